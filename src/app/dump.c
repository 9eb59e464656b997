/* Tensors to files. */
#include "app/dump.h"

#include <string.h>

#include "base/file.h"
#include "config/sample_files.h"
#include "io/npy.h"
#include "ir/graph.h"

struct cyg_dump {
    cyg_app *app;
    const char *folder;
    bool npy;
    const char **stems; /* [count] taken, growing */
    size_t count, room;
    cyg_strbuf text;
    cyg_json json;
};

cyg_status cyg_dump_open(cyg_app *app, const char *folder, bool npy, cyg_dump **out_dump)
{
    cyg_dump *d = CYG_NEW(&app->arena, cyg_dump);
    if (d == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    *d = (cyg_dump){.app = app, .folder = folder, .npy = npy};
    cyg_json_init(&d->json, &d->text, 2);
    cyg_json_begin_array(&d->json);
    *out_dump = d;
    return CYG_OK;
}

static bool is_taken(const cyg_dump *d, const char *stem)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->stems[i], stem) == 0)
            return true;
    return false;
}

/* The tensor's file name without its suffix, as nobody else has it. */
static const char *take_stem(cyg_dump *d, const char *tensor)
{
    cyg_arena *arena = &d->app->arena;
    const char *file = cyg_tensor_file_name(arena, tensor);
    if (file == NULL)
        return NULL;
    const int length = (int)(strlen(file) - strlen(".bin"));
    const char *stem = cyg_arena_printf(arena, "%.*s", length, file);
    for (int i = 1; stem != NULL && is_taken(d, stem); i++)
        stem = cyg_arena_printf(arena, "%.*s_%d", length, file, i);
    if (d->count == d->room) {
        const size_t room = d->room == 0 ? 64 : d->room * 2;
        const char **stems = CYG_NEW_ARRAY(arena, const char *, room);
        if (stems == NULL)
            return NULL;
        if (d->count > 0)
            memcpy(stems, d->stems, d->count * sizeof *stems);
        d->stems = stems;
        d->room = room;
    }
    if (stem != NULL)
        d->stems[d->count++] = stem;
    return stem;
}

static bool npy_type_of(cyg_type type, cyg_npy_type *out)
{
    static const struct {
        cyg_type type;
        cyg_npy_type npy;
    } pairs[] = {
        {CYG_TYPE_F32, CYG_NPY_F32}, {CYG_TYPE_F64, CYG_NPY_F64}, {CYG_TYPE_F16, CYG_NPY_F16},
        {CYG_TYPE_S8, CYG_NPY_I8},   {CYG_TYPE_U8, CYG_NPY_U8},   {CYG_TYPE_S16, CYG_NPY_I16},
        {CYG_TYPE_U16, CYG_NPY_U16}, {CYG_TYPE_S32, CYG_NPY_I32}, {CYG_TYPE_U32, CYG_NPY_U32},
        {CYG_TYPE_S64, CYG_NPY_I64}, {CYG_TYPE_U64, CYG_NPY_U64}, {CYG_TYPE_BOOL, CYG_NPY_BOOL},
        {CYG_TYPE_BF16, CYG_NPY_U16}}; /* NumPy has none: the bits */
    for (size_t i = 0; i < CYG_COUNT(pairs); i++)
        if (pairs[i].type == type) {
            *out = pairs[i].npy;
            return true;
        }
    return false;
}

static void describe(cyg_dump *d, const cyg_dump_tensor *t, const char *file)
{
    cyg_json *j = &d->json;
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "name", t->name);
    if (t->layer != NULL)
        cyg_json_key_string(j, "layer", t->layer);
    cyg_json_key_string(j, "file", file);
    cyg_json_key_string(j, "dtype", cyg_type_name(t->type));
    cyg_json_key_ints(j, "shape", t->dims, (size_t)t->rank);
    if (t->scale_count == 1) {
        cyg_json_key_double(j, "scale", (double)t->scales[0]);
        cyg_json_key_int(j, "zero_point", t->zero_point);
    } else if (t->scale_count > 1) {
        cyg_json_key(j, "scale");
        cyg_json_begin_inline_array(j);
        for (size_t i = 0; i < t->scale_count; i++)
            cyg_json_double(j, (double)t->scales[i]);
        cyg_json_end_array(j);
        cyg_json_key_int(j, "zero_point", t->zero_point);
        cyg_json_key_int(j, "axis", t->axis);
    }
    cyg_json_end_object(j);
}

cyg_status cyg_dump_add(cyg_dump *d, const cyg_dump_tensor *t, const void *data)
{
    cyg_ctx *ctx = &d->app->ctx;
    cyg_npy_type type = CYG_NPY_U8;
    size_t bytes = cyg_type_size(t->type);
    for (int i = 0; i < t->rank; i++)
        bytes *= (size_t)t->dims[i];
    const bool npy = d->npy && npy_type_of(t->type, &type);
    const char *stem = take_stem(d, t->name);
    const char *file =
        stem == NULL ? NULL : cyg_arena_printf(&d->app->arena, "%s.%s", stem, npy ? "npy" : "bin");
    const char *path =
        file == NULL ? NULL : cyg_arena_printf(&d->app->arena, "%s/%s", d->folder, file);
    if (path == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    describe(d, t, file);
    return npy ? cyg_npy_save(ctx, path, type, (size_t)t->rank, t->dims, data)
               : cyg_write_file(ctx, path, data, bytes);
}

cyg_status cyg_dump_close(cyg_dump *d)
{
    cyg_ctx *ctx = &d->app->ctx;
    const char *path = cyg_arena_printf(&d->app->arena, "%s/tensors.json", d->folder);
    cyg_json_end_array(&d->json);
    cyg_strbuf_puts(&d->text, "\n");
    const cyg_status status = path == NULL || d->text.failed
                                  ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                                  : cyg_write_file(ctx, path, d->text.data, d->text.len);
    cyg_strbuf_deinit(&d->text);
    return status;
}

void cyg_dump_abort(cyg_dump *d)
{
    if (d != NULL)
        cyg_strbuf_deinit(&d->text);
}

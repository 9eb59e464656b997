/* Samples as folders of raw tensors.
 *
 * A file holds exactly one tensor: little-endian, C order, no header. A file of another size is an
 * error that names both sizes, because a wrong size is almost always a wrong layout or type. All
 * samples of a run are checked before the first is executed: a mistake in the last line of a list
 * should not cost the time of all others. Outputs of one sample appear together or not at all. */
#include "app/sample.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "config/sample_files.h"

static cyg_status file_names(cyg_app *app, const cyg_engine *e, bool outputs,
                             cyg_string_list *out_names)
{
    const uint32_t count = outputs ? cyg_engine_output_count(e) : cyg_engine_input_count(e);
    const char **tensors = CYG_NEW_ARRAY(&app->arena, const char *, (size_t)count + 1);
    if (tensors == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < count; i++)
        tensors[i] =
            outputs ? cyg_engine_output_info(e, i)->name : cyg_engine_input_info(e, i)->name;
    return cyg_tensor_file_names(&app->ctx, &app->arena, tensors, count, out_names);
}

cyg_status cyg_sample_layout_open(cyg_app *app, const cyg_engine *e, const char *list,
                                  cyg_sample_layout *out_layout)
{
    static const char *const whole[] = {""};
    memset(out_layout, 0, sizeof *out_layout);
    CYG_DO(file_names(app, e, false, &out_layout->inputs));
    CYG_DO(file_names(app, e, true, &out_layout->outputs));
    if (list == NULL) {
        out_layout->samples.items = CYG_NEW_ARRAY(&app->arena, const char *, 1);
        if (out_layout->samples.items == NULL)
            return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
        out_layout->samples.items[0] = whole[0];
        out_layout->samples.count = 1;
        return CYG_OK;
    }
    cyg_map map;
    CYG_DO(cyg_map_open(&app->ctx, list, &map));
    cyg_status status = cyg_sample_list_parse(&app->ctx, &app->arena, list, map.data, map.size,
                                              &out_layout->samples);
    cyg_map_close(&map);
    if (status == CYG_OK && out_layout->samples.count == 0)
        status = CYG_FAIL(&app->ctx, CYG_E_CONFIG, "%s: lists no folder", list);
    return status;
}

const char *cyg_sample_path(cyg_app *app, const char *root, const char *sample, const char *file)
{
    const size_t len = strlen(root);
    const char *slash = len > 0 && root[len - 1] == '/' ? "" : "/";
    return sample[0] == '\0'
               ? cyg_arena_printf(&app->arena, "%s%s%s", root, slash, file)
               : cyg_arena_printf(&app->arena, "%s%s%s/%s", root, slash, sample, file);
}

static cyg_status input_path(cyg_app *app, const cyg_sample_layout *layout, const char *root,
                             const char *sample, uint32_t i, const char **out_path)
{
    *out_path = cyg_sample_path(app, root, sample, layout->inputs.items[i]);
    return *out_path != NULL ? CYG_OK : CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
}

static cyg_status wrong_size(cyg_app *app, const char *path, const cyg_engine_tensor *info,
                             uint64_t found)
{
    cyg_strbuf text = {0};
    cyg_engine_describe(info, &text);
    const cyg_status status = CYG_FAIL(
        &app->ctx, CYG_E_FORMAT, "%s: expected %zu bytes for input \"%s\" (%s), found %llu", path,
        info->bytes, info->name, text.data != NULL ? text.data : "?", (unsigned long long)found);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_sample_check(cyg_app *app, const cyg_engine *e, const cyg_sample_layout *layout,
                            const char *root, const char *sample)
{
    for (uint32_t i = 0; i < cyg_engine_input_count(e); i++) {
        const char *path = NULL;
        struct stat st;
        CYG_DO(input_path(app, layout, root, sample, i, &path));
        if (stat(path, &st) != 0) {
            cyg_map map; /* its message says why the file cannot be read */
            CYG_DO(cyg_map_open(&app->ctx, path, &map));
            cyg_map_close(&map);
        } else if ((uint64_t)st.st_size != cyg_engine_input_info(e, i)->bytes) {
            return wrong_size(app, path, cyg_engine_input_info(e, i), (uint64_t)st.st_size);
        }
    }
    return CYG_OK;
}

cyg_status cyg_sample_read(cyg_app *app, const cyg_engine *e, const cyg_sample_layout *layout,
                           const char *root, const char *sample)
{
    for (uint32_t i = 0; i < cyg_engine_input_count(e); i++) {
        const cyg_engine_tensor *info = cyg_engine_input_info(e, i);
        const char *path = NULL;
        cyg_map map;
        CYG_DO(input_path(app, layout, root, sample, i, &path));
        CYG_DO(cyg_map_open(&app->ctx, path, &map));
        const bool fits = map.size == info->bytes;
        if (fits && map.size > 0)
            memcpy(cyg_engine_input(e, i), map.data, map.size);
        const size_t found = map.size;
        cyg_map_close(&map);
        if (!fits)
            return wrong_size(app, path, info, found);
    }
    return CYG_OK;
}

static cyg_status write_all(cyg_app *app, const cyg_engine *e, const cyg_sample_layout *layout,
                            const char *folder)
{
    for (uint32_t i = 0; i < cyg_engine_output_count(e); i++) {
        const char *path = cyg_sample_path(app, folder, "", layout->outputs.items[i]);
        if (path == NULL)
            return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
        CYG_DO(cyg_write_file(&app->ctx, path, cyg_engine_output(e, i),
                              cyg_engine_output_info(e, i)->bytes));
    }
    return CYG_OK;
}

cyg_status cyg_sample_write(cyg_app *app, const cyg_engine *e, const cyg_sample_layout *layout,
                            const char *root, const char *sample)
{
    cyg_staging staging = {0};
    const char *folder = sample[0] == '\0' ? root : cyg_sample_path(app, root, sample, "");
    if (folder == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_staging_open(&app->ctx, folder, &staging));
    cyg_status status = write_all(app, e, layout, staging.temp_path);
    if (status != CYG_OK) {
        cyg_staging_abort(&staging);
        return status;
    }
    CYG_DO(cyg_staging_commit(&app->ctx, &staging));
    for (uint32_t i = 0; i < cyg_engine_output_count(e); i++) {
        const char *path = cyg_sample_path(app, root, sample, layout->outputs.items[i]);
        cyg_app_print(app, "write [%s] to [%s] successfully, size: %zu\n",
                      cyg_engine_output_info(e, i)->name, path != NULL ? path : "?",
                      cyg_engine_output_info(e, i)->bytes);
    }
    return CYG_OK;
}

/* ---- random inputs ---- */

/* splitmix64: one addition and three multiplications, good enough for noise, the same everywhere.
 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = (*state += 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void cyg_sample_random(const cyg_engine_tensor *info, uint64_t seed, void *out_data)
{
    const size_t count = cyg_engine_elements(info);
    const size_t size = count > 0 ? info->bytes / count : 0;
    char *out = out_data;
    for (size_t i = 0; i < count; i++) {
        const uint64_t r = next_random(&seed);
        uint64_t bits = r >> 32;
        if (info->type == CYG_TYPE_F32) {
            const float x = (float)((double)(r >> 40) / 8388608.0 - 1.0); /* exact in 24 bits */
            memcpy(&bits, &x, sizeof x);
        } else if (size > 2 || info->type == CYG_TYPE_BOOL) {
            bits = r >> 63;
        }
        memcpy(out + i * size, &bits, size); /* little-endian: the low bytes come first */
    }
}

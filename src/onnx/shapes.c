/* Shapes that the file or the user states: inputs, outputs, symbols, --input_shapes.
 *
 * --input_shapes is "name:1x3x224x224;name2:1x8", split at the last colon of each item because
 * tensor names may hold colons. It gives symbols their size, everywhere where they appear, and may
 * also replace a fixed size; then what the file states about outputs is stale and is dropped,
 * for shape inference to find again.
 *
 * What is still symbolic afterwards: the first dimension of an input is its batch and becomes 1,
 * with a note; any other is an error that asks for --input_shapes. With keep_symbolic nothing is
 * bound that the user did not bind. */
#include "onnx/import.h"

#include <string.h>

#include "base/str.h"

static int64_t dim_of(cyg_graph *g, const cyg_onnx_dim *dim)
{
    if (dim->value >= 0)
        return dim->value;
    return dim->param != NULL ? cyg_graph_symbol(g, dim->param) : -1;
}

cyg_status cyg_onnx_set_info(cyg_onnx_importer *imp, cyg_value_id v,
                             const cyg_onnx_value_info *info)
{
    if (info->foreign != NULL)
        return CYG_OK;
    int64_t dims[CYG_MAX_RANK] = {0};
    if (info->has_shape && info->rank > CYG_MAX_RANK)
        return cyg_onnx_refuse(imp, "tensor", "", info->name, 0, "more than 8 dimensions");
    for (uint32_t i = 0; info->has_shape && i < info->rank; i++)
        dims[i] = dim_of(imp->graph, &info->dims[i]);
    cyg_value *value = cyg_val(imp->graph, v);
    value->type = cyg_type_from_onnx(info->elem_type);
    if (info->has_shape) {
        value->rank = (uint8_t)info->rank;
        memcpy(value->dims, dims, sizeof dims);
    }
    return CYG_OK;
}

/* An initialiser that is also an input must agree with what the input states. */
static cyg_status check_constant_input(cyg_onnx_importer *imp, const cyg_onnx_value_info *info,
                                       const cyg_onnx_tensor_ref *ref)
{
    if (!info->has_shape)
        return CYG_OK;
    /* Only dims are wanted; reading the tensor would copy its data. */
    cyg_wire_array dims = {0};
    cyg_wire w = cyg_wire_root(&imp->model.file, ref->bytes, "tensor");
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(imp->ctx, &w, &f));
        if (f.number == 0)
            break;
        if (f.number == 1)
            CYG_DO(cyg_wire_ints(imp->ctx, &w, &f, "dims", &imp->scratch, &dims));
    }
    bool same = dims.count == info->rank;
    for (uint32_t i = 0; same && i < info->rank; i++)
        same = info->dims[i].value < 0 || info->dims[i].value == ((const int64_t *)dims.data)[i];
    if (same)
        return CYG_OK;
    return CYG_FAIL(imp->ctx, CYG_E_GRAPH,
                    "%s: input \"%s\" states a shape that its initialiser does not have", imp->path,
                    info->name);
}

cyg_status cyg_onnx_add_inputs(cyg_onnx_importer *imp, cyg_onnx_scope *s, cyg_value_id **out_inputs,
                               uint32_t *out_count)
{
    const cyg_onnx_graph *file = &imp->model.graph;
    cyg_value_id *inputs = CYG_NEW_ARRAY(&imp->scratch, cyg_value_id, file->input_count + 1);
    uint32_t count = 0;
    if (inputs == NULL)
        return CYG_ONNX_NOMEM(imp);
    for (uint32_t i = 0; i < file->input_count; i++) {
        const cyg_onnx_value_info *info = &file->inputs[i];
        cyg_onnx_entry *e = cyg_onnx_scope_entry(imp, s, info->name);
        if (e == NULL)
            return CYG_ONNX_NOMEM(imp);
        if (e->initializer != NULL) {
            CYG_DO(check_constant_input(imp, info, e->initializer));
            continue;
        }
        if (info->name[0] == '\0')
            return CYG_FAIL(imp->ctx, CYG_E_GRAPH, "%s: input %u has no name", imp->path, i);
        e->info = info;
        if (info->foreign != NULL)
            CYG_DO(cyg_onnx_refuse(imp, "input", "", info->name, 0, info->foreign));
        else if (cyg_type_from_onnx(info->elem_type) == CYG_TYPE_NONE)
            CYG_DO(cyg_onnx_refuse(imp, "input", "", info->name, 0,
                                   "an element type that cygnet does not have"));
        CYG_DO(cyg_onnx_scope_define(imp, s, info->name, "the graph's input", &inputs[count]));
        count++;
    }
    *out_inputs = inputs;
    *out_count = count;
    return CYG_OK;
}

/* ---- --input_shapes -------------------------------------------------------------------------- */

typedef struct wanted_shape {
    const char *name;
    int rank;
    int64_t dims[CYG_MAX_RANK];
} wanted_shape;

/* "1x3x224x224"; false when it is nothing of the kind. */
static bool parse_dims(const char *text, wanted_shape *out)
{
    out->rank = 0;
    for (;;) {
        int64_t value = 0;
        const size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 9 || out->rank == CYG_MAX_RANK)
            return false;
        for (size_t i = 0; i < digits; i++)
            value = value * 10 + (text[i] - '0');
        if (value == 0)
            return false;
        out->dims[out->rank++] = value;
        text += digits;
        if (*text == '\0')
            return true;
        if (*text != 'x' && *text != 'X')
            return false;
        text++;
    }
}

static cyg_status parse_item(cyg_onnx_importer *imp, const char *item, size_t len,
                             wanted_shape *out)
{
    char *text = cyg_arena_strndup(&imp->scratch, item, len);
    if (text == NULL)
        return CYG_ONNX_NOMEM(imp);
    char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || !parse_dims(colon + 1, out))
        return CYG_FAIL(imp->ctx, CYG_E_USAGE,
                        "input_shapes: expected name:1x3x224x224;..., found \"%s\"", text);
    *colon = '\0';
    out->name = text;
    return CYG_OK;
}

static cyg_status unknown_input(cyg_onnx_importer *imp, const char *name)
{
    const cyg_graph *g = imp->graph;
    const char **names = CYG_NEW_ARRAY(&imp->scratch, const char *, g->input_count + 1);
    if (names == NULL)
        return CYG_ONNX_NOMEM(imp);
    for (uint32_t i = 0; i < g->input_count; i++)
        names[i] = cyg_val(g, g->inputs[i])->name;
    int near = cyg_nearest_name(name, names, g->input_count);
    if (near < 0 && g->input_count == 1)
        near = 0;
    return CYG_FAIL(imp->ctx, CYG_E_USAGE, "input_shapes: %s has no input \"%s\"%s%s%s", imp->path,
                    name, near >= 0 ? "; did you mean \"" : "", near >= 0 ? names[near] : "",
                    near >= 0 ? "\"?" : "");
}

/* Sets one input; *out_stale when a fixed size was replaced. */
static cyg_status apply_shape(cyg_onnx_importer *imp, const wanted_shape *want, bool *out_stale)
{
    cyg_graph *g = imp->graph;
    uint32_t i = 0;
    while (i < g->input_count && strcmp(cyg_val(g, g->inputs[i])->name, want->name) != 0)
        i++;
    if (i == g->input_count)
        return unknown_input(imp, want->name);
    cyg_value *v = cyg_val(g, g->inputs[i]);
    if (v->rank == CYG_RANK_UNKNOWN)
        v->rank = (uint8_t)want->rank;
    else if (v->rank != want->rank)
        return CYG_FAIL(imp->ctx, CYG_E_USAGE,
                        "input_shapes: input \"%s\": expected %d dimensions, found %d", want->name,
                        v->rank, want->rank);
    for (int k = 0; k < want->rank; k++) {
        if (v->dims[k] < -1)
            cyg_graph_bind_symbol(g, v->dims[k], want->dims[k]);
        else if (v->dims[k] >= 0 && v->dims[k] != want->dims[k])
            *out_stale = true;
        v->dims[k] = want->dims[k];
    }
    return CYG_OK;
}

static void drop_stated_shapes(cyg_graph *g)
{
    for (uint32_t i = 0; i < g->value_count; i++)
        if (!g->values[i].is_const && !cyg_graph_is_input(g, (cyg_value_id){i}))
            g->values[i].rank = CYG_RANK_UNKNOWN;
}

static cyg_status apply_option(cyg_onnx_importer *imp)
{
    const char *text = imp->options != NULL ? imp->options->input_shapes : NULL;
    bool stale = false;
    while (text != NULL && *text != '\0') {
        const size_t len = strcspn(text, ";");
        wanted_shape want = {0};
        if (len > 0) {
            CYG_DO(parse_item(imp, text, len, &want));
            CYG_DO(apply_shape(imp, &want, &stale));
        }
        text += len;
        text += *text == ';';
    }
    if (stale)
        drop_stated_shapes(imp->graph);
    return CYG_OK;
}

/* ---- what is left symbolic ------------------------------------------------------------------- */

static cyg_status bind_batch(cyg_onnx_importer *imp, cyg_value *v)
{
    cyg_graph *g = imp->graph;
    if (v->rank == CYG_RANK_UNKNOWN || v->rank == 0 || v->dims[0] >= 0)
        return CYG_OK;
    const char *symbol = g->symbols[-v->dims[0] - 1];
    cyg_graph_bind_symbol(g, v->dims[0], 1);
    v->dims[0] = 1;
    cyg_note(imp->ctx,
             "%s: input \"%s\": batch \"%s\" set to 1; --input_shapes chooses another size",
             imp->path, v->name, symbol);
    return CYG_OK;
}

static cyg_status check_bound(cyg_onnx_importer *imp, const cyg_value *v)
{
    const cyg_graph *g = imp->graph;
    if (v->rank == CYG_RANK_UNKNOWN)
        return CYG_FAIL(
            imp->ctx, CYG_E_USAGE,
            "%s: input \"%s\" has no shape; give it by --input_shapes \"%s:1x3x224x224\"",
            imp->path, v->name, v->name);
    for (int i = 0; i < v->rank; i++)
        if (v->dims[i] < 0)
            return CYG_FAIL(
                imp->ctx, CYG_E_USAGE,
                "%s: input \"%s\": dimension %d is \"%s\", which has no size; give it by "
                "--input_shapes \"%s:...\"",
                imp->path, v->name, i, g->symbols[-v->dims[i] - 1], v->name);
    return CYG_OK;
}

cyg_status cyg_onnx_bind_inputs(cyg_onnx_importer *imp)
{
    cyg_graph *g = imp->graph;
    CYG_DO(apply_option(imp));
    if (imp->options != NULL && imp->options->keep_symbolic)
        return CYG_OK;
    for (uint32_t i = 0; i < g->input_count; i++)
        CYG_DO(bind_batch(imp, cyg_val(g, g->inputs[i])));
    for (uint32_t i = 0; i < g->input_count; i++)
        CYG_DO(check_bound(imp, cyg_val(g, g->inputs[i])));
    return CYG_OK;
}

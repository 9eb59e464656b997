/* From wire to structs: one small function for each message of onnx.proto that matters.
 *
 * Lists are counted first and filled second, so that they are exact; counting also proves the whole
 * message well-formed before anything is allocated for it. A list is never larger than the file has
 * fields, which bounds what a hostile file can ask for. Tensors are not read here, only found:
 * many are large, some are never used. Bodies of control flow are not read at all, since the
 * operators that own them are refused by name.
 *
 * Field numbers are those of onnx.proto and appear as literals next to the name that messages use
 * for them; that pairing is the documentation. Unknown fields are skipped. */
#include "onnx/model.h"

#include <string.h>

#include "base/ctx.h"

typedef struct decoder {
    cyg_ctx *ctx;
    cyg_arena *arena;
} decoder;

/* One read function per message: cursor in, struct out. */
typedef cyg_status (*read_message)(decoder *d, cyg_wire *w, void *out);

static cyg_status no_memory(const decoder *d, const cyg_wire *w)
{
    return CYG_FAIL(d->ctx, CYG_E_NOMEM, "%s: out of memory", w->file->path);
}

/* Allocates an array for counted fields; empty arrays are NULL. */
static cyg_status new_list(decoder *d, const cyg_wire *w, size_t count, size_t size, void *out_list)
{
    void *list = NULL;
    if (count > UINT32_MAX / 2)
        return cyg_wire_fail(d->ctx, w, 0, "%zu entries are more than anything real", count);
    if (count > 0 && (list = cyg_arena_calloc(d->arena, count, size)) == NULL)
        return no_memory(d, w);
    memcpy(out_list, &list, sizeof list);
    return CYG_OK;
}

/* Reads field f as the next element of a counted list. */
static cyg_status read_element(decoder *d, const cyg_wire *w, const cyg_wire_field *f,
                               const char *name, void *list, uint32_t *count, size_t size,
                               read_message read)
{
    cyg_wire child;
    CYG_DO(cyg_wire_message(d->ctx, w, f, name, *count, &child));
    CYG_DO(read(d, &child, (char *)list + (size_t)*count * size));
    ++*count;
    return CYG_OK;
}

static cyg_status read_name(decoder *d, const cyg_wire *w, const cyg_wire_field *f,
                            const char *name, const char **list, uint32_t *count)
{
    CYG_DO(cyg_wire_string(d->ctx, w, f, name, d->arena, &list[*count]));
    ++*count;
    return CYG_OK;
}

static cyg_status read_domain(decoder *d, const cyg_wire *w, const cyg_wire_field *f,
                              const char **out_domain)
{
    CYG_DO(cyg_wire_string(d->ctx, w, f, "domain", d->arena, out_domain));
    if (strcmp(*out_domain, "ai.onnx") == 0)
        *out_domain = "";
    return CYG_OK;
}

static const char *const attr_type_names[CYG_ONNX_ATTR_TYPES] = {
    "nothing", "a float",         "an integer",     "a string", "a tensor",
    "a graph", "floats",          "integers",       "strings",  "tensors",
    "graphs",  "a sparse tensor", "sparse tensors", "a type",   "types"};

const char *cyg_onnx_attr_type_name(int64_t type)
{
    return type >= 0 && type < CYG_ONNX_ATTR_TYPES ? attr_type_names[type] : "an unknown type";
}

/* The type that a value field implies, for files that leave `type` out. */
static int64_t implied_type(uint32_t field)
{
    static const uint8_t types[] = {
        [2] = CYG_ONNX_ATTR_FLOAT,  [3] = CYG_ONNX_ATTR_INT,     [4] = CYG_ONNX_ATTR_STRING,
        [5] = CYG_ONNX_ATTR_TENSOR, [6] = CYG_ONNX_ATTR_GRAPH,   [7] = CYG_ONNX_ATTR_FLOATS,
        [8] = CYG_ONNX_ATTR_INTS,   [9] = CYG_ONNX_ATTR_STRINGS, [10] = CYG_ONNX_ATTR_TENSORS,
        [11] = CYG_ONNX_ATTR_GRAPHS};
    return field < sizeof types ? types[field] : 0;
}

/* Several strings (only LSTM's activations are asked for) become one, with blanks between. The room
 * doubles, so that many strings cost no more than their bytes. */
static cyg_status join_string(decoder *d, const cyg_wire *w, const cyg_wire_field *f, size_t *room,
                              cyg_span *io)
{
    cyg_span part;
    CYG_DO(cyg_wire_bytes(d->ctx, w, f, "strings", &part));
    const size_t size = io->size + (io->data != NULL ? 1 : 0) + part.size;
    uint8_t *text;
    memcpy(&text, &io->data, sizeof text);
    if (text == NULL || size > *room) {
        *room = 2 * size + 16;
        text = cyg_arena_alloc(d->arena, *room, 1);
        if (text == NULL)
            return no_memory(d, w);
        if (io->size > 0)
            memcpy(text, io->data, io->size);
    }
    if (io->data != NULL)
        text[io->size] = ' ';
    if (part.size > 0)
        memcpy(text + size - part.size, part.data, part.size);
    *io = (cyg_span){text, size};
    return CYG_OK;
}

static cyg_status read_attr(decoder *d, cyg_wire *w, void *out)
{
    cyg_onnx_attr *attr = out;
    *attr = (cyg_onnx_attr){.name = ""};
    int64_t implied = 0;
    size_t joined = 0;
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        if (implied_type(f.number) != 0)
            implied = implied_type(f.number);
        switch (f.number) {
        case 0:
            if (attr->type == 0)
                attr->type = implied;
            if (attr->type < 0 || attr->type >= CYG_ONNX_ATTR_TYPES)
                return cyg_wire_fail(d->ctx, w, 0, "attribute \"%s\": type %lld is unknown",
                                     attr->name, (long long)attr->type);
            return CYG_OK;
        case 1:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "name", d->arena, &attr->name));
            break;
        case 2:
            CYG_DO(cyg_wire_float(d->ctx, w, &f, "f", &attr->f));
            break;
        case 3:
            CYG_DO(cyg_wire_int(d->ctx, w, &f, "i", &attr->i));
            break;
        case 4:
            CYG_DO(cyg_wire_bytes(d->ctx, w, &f, "s", &attr->s));
            break;
        case 5:
            CYG_DO(cyg_wire_bytes(d->ctx, w, &f, "t", &attr->t));
            break;
        case 7:
            CYG_DO(cyg_wire_fixed(d->ctx, w, &f, "floats", 4, d->arena, &attr->floats));
            break;
        case 8:
            CYG_DO(cyg_wire_ints(d->ctx, w, &f, "ints", d->arena, &attr->ints));
            break;
        case 9:
            CYG_DO(join_string(d, w, &f, &joined, &attr->s));
            break;
        case 20:
            CYG_DO(cyg_wire_int(d->ctx, w, &f, "type", &attr->type));
            break;
        case 21:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "ref_attr_name", d->arena, &attr->ref));
            if (attr->ref[0] == '\0')
                attr->ref = NULL;
            break;
        default:
            break;
        }
    }
}

static cyg_status read_node(decoder *d, cyg_wire *w, void *out)
{
    cyg_onnx_node *node = out;
    size_t counts[6];
    CYG_DO(cyg_wire_count(d->ctx, w, counts, CYG_COUNT(counts)));
    *node = (cyg_onnx_node){.name = "", .op_type = "", .domain = "", .overload = ""};
    CYG_DO(new_list(d, w, counts[1], sizeof *node->in, &node->in));
    CYG_DO(new_list(d, w, counts[2], sizeof *node->out, &node->out));
    CYG_DO(new_list(d, w, counts[5], sizeof *node->attrs, &node->attrs));
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        switch (f.number) {
        case 0:
            return CYG_OK;
        case 1:
            CYG_DO(read_name(d, w, &f, "input", node->in, &node->in_count));
            break;
        case 2:
            CYG_DO(read_name(d, w, &f, "output", node->out, &node->out_count));
            break;
        case 3:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "name", d->arena, &node->name));
            break;
        case 4:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "op_type", d->arena, &node->op_type));
            break;
        case 5:
            CYG_DO(read_element(d, w, &f, "attribute", node->attrs, &node->attr_count,
                                sizeof *node->attrs, read_attr));
            break;
        case 7:
            CYG_DO(read_domain(d, w, &f, &node->domain));
            break;
        case 8:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "overload", d->arena, &node->overload));
            break;
        default:
            break;
        }
    }
}

static cyg_status read_dim(decoder *d, cyg_wire *w, void *out)
{
    cyg_onnx_dim *dim = out;
    *dim = (cyg_onnx_dim){.value = -1};
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        if (f.number == 0)
            break;
        if (f.number == 1)
            CYG_DO(cyg_wire_int(d->ctx, w, &f, "dim_value", &dim->value));
        if (f.number == 2)
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "dim_param", d->arena, &dim->param));
    }
    if (dim->value < 0) /* some exporters write -1 for "any" */
        dim->value = -1;
    if (dim->param != NULL && (dim->param[0] == '\0' || strcmp(dim->param, "?") == 0))
        dim->param = NULL;
    return CYG_OK;
}

static cyg_status read_shape(decoder *d, cyg_wire *w, cyg_onnx_value_info *info)
{
    size_t counts[2];
    CYG_DO(cyg_wire_count(d->ctx, w, counts, CYG_COUNT(counts)));
    CYG_DO(new_list(d, w, counts[1], sizeof *info->dims, &info->dims));
    info->has_shape = true;
    info->rank = 0;
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        if (f.number == 0)
            return CYG_OK;
        if (f.number == 1)
            CYG_DO(read_element(d, w, &f, "dim", info->dims, &info->rank, sizeof *info->dims,
                                read_dim));
    }
}

static cyg_status read_tensor_type(decoder *d, cyg_wire *w, cyg_onnx_value_info *info)
{
    for (;;) {
        cyg_wire_field f;
        cyg_wire child;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        if (f.number == 0)
            return CYG_OK;
        if (f.number == 1)
            CYG_DO(cyg_wire_int(d->ctx, w, &f, "elem_type", &info->elem_type));
        if (f.number == 2) {
            CYG_DO(cyg_wire_message(d->ctx, w, &f, "shape", -1, &child));
            CYG_DO(read_shape(d, &child, info));
        }
    }
}

static cyg_status read_type(decoder *d, cyg_wire *w, cyg_onnx_value_info *info)
{
    for (;;) {
        cyg_wire_field f;
        cyg_wire child;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        switch (f.number) {
        case 0:
            return CYG_OK;
        case 1:
            CYG_DO(cyg_wire_message(d->ctx, w, &f, "tensor_type", -1, &child));
            CYG_DO(read_tensor_type(d, &child, info));
            break;
        case 4:
            info->foreign = "a sequence";
            break;
        case 5:
            info->foreign = "a map";
            break;
        case 7:
            info->foreign = "an opaque type";
            break;
        case 8:
            info->foreign = "a sparse tensor";
            break;
        case 9:
            info->foreign = "an optional";
            break;
        default:
            break;
        }
    }
}

static cyg_status read_value_info(decoder *d, cyg_wire *w, void *out)
{
    cyg_onnx_value_info *info = out;
    *info = (cyg_onnx_value_info){.name = ""};
    for (;;) {
        cyg_wire_field f;
        cyg_wire child;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        if (f.number == 0)
            return CYG_OK;
        if (f.number == 1)
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "name", d->arena, &info->name));
        if (f.number == 2) {
            CYG_DO(cyg_wire_message(d->ctx, w, &f, "type", -1, &child));
            CYG_DO(read_type(d, &child, info));
        }
    }
}

/* Finds the name; proves the rest well-formed. */
static cyg_status read_tensor_ref(decoder *d, cyg_wire *w, void *out)
{
    cyg_onnx_tensor_ref *ref = out;
    *ref = (cyg_onnx_tensor_ref){.name = "", .bytes = w->all};
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        if (f.number == 0)
            return CYG_OK;
        if (f.number == 8)
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "name", d->arena, &ref->name));
    }
}

static cyg_status read_graph(decoder *d, cyg_wire *w, cyg_onnx_graph *g)
{
    size_t counts[16];
    CYG_DO(cyg_wire_count(d->ctx, w, counts, CYG_COUNT(counts)));
    *g = (cyg_onnx_graph){.name = "", .sparse_count = (uint32_t)counts[15]};
    CYG_DO(new_list(d, w, counts[1], sizeof *g->nodes, &g->nodes));
    CYG_DO(new_list(d, w, counts[5], sizeof *g->initializers, &g->initializers));
    CYG_DO(new_list(d, w, counts[11], sizeof *g->inputs, &g->inputs));
    CYG_DO(new_list(d, w, counts[12], sizeof *g->outputs, &g->outputs));
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        switch (f.number) {
        case 0:
            return CYG_OK;
        case 1:
            CYG_DO(read_element(d, w, &f, "node", g->nodes, &g->node_count, sizeof *g->nodes,
                                read_node));
            break;
        case 2:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "name", d->arena, &g->name));
            break;
        case 5:
            CYG_DO(read_element(d, w, &f, "initializer", g->initializers, &g->initializer_count,
                                sizeof *g->initializers, read_tensor_ref));
            break;
        case 11:
            CYG_DO(read_element(d, w, &f, "input", g->inputs, &g->input_count, sizeof *g->inputs,
                                read_value_info));
            break;
        case 12:
            CYG_DO(read_element(d, w, &f, "output", g->outputs, &g->output_count,
                                sizeof *g->outputs, read_value_info));
            break;
        default:
            break;
        }
    }
}

static cyg_status read_opset(decoder *d, cyg_wire *w, void *out)
{
    cyg_onnx_opset *opset = out;
    *opset = (cyg_onnx_opset){.domain = ""};
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        if (f.number == 0)
            return CYG_OK;
        if (f.number == 1)
            CYG_DO(read_domain(d, w, &f, &opset->domain));
        if (f.number == 2)
            CYG_DO(cyg_wire_int(d->ctx, w, &f, "version", &opset->version));
    }
}

static cyg_status read_text_pair(decoder *d, cyg_wire *w, void *out)
{
    cyg_onnx_text_pair *pair = out;
    *pair = (cyg_onnx_text_pair){.key = "", .value = ""};
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        if (f.number == 0)
            return CYG_OK;
        if (f.number == 1)
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "key", d->arena, &pair->key));
        if (f.number == 2)
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "value", d->arena, &pair->value));
    }
}

static cyg_status read_function(decoder *d, cyg_wire *w, void *out)
{
    cyg_onnx_function *fn = out;
    size_t counts[12];
    CYG_DO(cyg_wire_count(d->ctx, w, counts, CYG_COUNT(counts)));
    *fn = (cyg_onnx_function){.name = "", .domain = "", .overload = ""};
    CYG_DO(new_list(d, w, counts[4], sizeof *fn->in, &fn->in));
    CYG_DO(new_list(d, w, counts[5], sizeof *fn->out, &fn->out));
    CYG_DO(new_list(d, w, counts[7], sizeof *fn->nodes, &fn->nodes));
    CYG_DO(new_list(d, w, counts[9], sizeof *fn->opsets, &fn->opsets));
    CYG_DO(new_list(d, w, counts[11], sizeof *fn->defaults, &fn->defaults));
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        switch (f.number) {
        case 0:
            return CYG_OK;
        case 1:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "name", d->arena, &fn->name));
            break;
        case 4:
            CYG_DO(read_name(d, w, &f, "input", fn->in, &fn->in_count));
            break;
        case 5:
            CYG_DO(read_name(d, w, &f, "output", fn->out, &fn->out_count));
            break;
        case 7:
            CYG_DO(read_element(d, w, &f, "node", fn->nodes, &fn->node_count, sizeof *fn->nodes,
                                read_node));
            break;
        case 9:
            CYG_DO(read_element(d, w, &f, "opset_import", fn->opsets, &fn->opset_count,
                                sizeof *fn->opsets, read_opset));
            break;
        case 10:
            CYG_DO(read_domain(d, w, &f, &fn->domain));
            break;
        case 11:
            CYG_DO(read_element(d, w, &f, "attribute_proto", fn->defaults, &fn->default_count,
                                sizeof *fn->defaults, read_attr));
            break;
        case 13:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "overload", d->arena, &fn->overload));
            break;
        default:
            break;
        }
    }
}

static cyg_status read_model(decoder *d, cyg_wire *w, cyg_onnx_model *m)
{
    size_t counts[26];
    CYG_DO(cyg_wire_count(d->ctx, w, counts, CYG_COUNT(counts)));
    if (counts[7] != 1)
        return cyg_wire_fail(d->ctx, w, 0, "expected one graph, found %zu: is this an ONNX model?",
                             counts[7]);
    CYG_DO(new_list(d, w, counts[8], sizeof *m->opsets, &m->opsets));
    CYG_DO(new_list(d, w, counts[14], sizeof *m->metas, &m->metas));
    CYG_DO(new_list(d, w, counts[25], sizeof *m->functions, &m->functions));
    for (;;) {
        cyg_wire_field f;
        cyg_wire child;
        CYG_DO(cyg_wire_next(d->ctx, w, &f));
        switch (f.number) {
        case 0:
            return CYG_OK;
        case 1:
            CYG_DO(cyg_wire_int(d->ctx, w, &f, "ir_version", &m->ir_version));
            break;
        case 2:
            CYG_DO(cyg_wire_string(d->ctx, w, &f, "producer_name", d->arena, &m->producer));
            break;
        case 7:
            CYG_DO(cyg_wire_message(d->ctx, w, &f, "graph", -1, &child));
            CYG_DO(read_graph(d, &child, &m->graph));
            break;
        case 8:
            CYG_DO(read_element(d, w, &f, "opset_import", m->opsets, &m->opset_count,
                                sizeof *m->opsets, read_opset));
            break;
        case 14:
            CYG_DO(read_element(d, w, &f, "metadata_props", m->metas, &m->meta_count,
                                sizeof *m->metas, read_text_pair));
            break;
        case 25:
            CYG_DO(read_element(d, w, &f, "functions", m->functions, &m->function_count,
                                sizeof *m->functions, read_function));
            break;
        default:
            break;
        }
    }
}

cyg_status cyg_onnx_decode(cyg_ctx *ctx, const char *path, cyg_span bytes, bool mapped,
                           cyg_arena *arena, cyg_onnx_model *out_model)
{
    decoder d = {.ctx = ctx, .arena = arena};
    *out_model = (cyg_onnx_model){
        .file = {.path = path, .data = bytes.data, .mapped = mapped ? bytes.size : 0},
        .producer = ""};
    if (bytes.size == 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: expected an ONNX model, found an empty file", path);
    cyg_wire w = cyg_wire_root(&out_model->file, bytes, "model");
    return read_model(&d, &w, out_model);
}

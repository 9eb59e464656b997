/* A graph as an ONNX file, streamed.
 *
 * protobuf wants each message's length before its bytes. Everything but tensor data is small (some
 * hundred kilobytes for a large model), so it is encoded into buffers; the size of every tensor is
 * known from its shape. The graph's length is then a sum, and the weights go from where they are
 * (a mapped file, mostly) to the writer without a copy.
 *
 * A Transpose of a constant is folded here: the constant is written permuted, row by row, under the
 * name of the result. So expansion may leave weights as they are (expand.c), and no more than one
 * chunk of them is ever in memory.
 *
 * protobuf ends at 2 GiB: a larger model's tensors go into a second file beside it (external data,
 * export_tensor.c).
 *
 * Written: names, shapes of all values, metadata. Not written: provenance. */
#include "onnx/export.h"

#include <string.h>

#include "base/checked.h"
#include "onnx/onnx.h"
#include "onnx/proto.h"

enum { /* ModelProto, GraphProto, and their parts */
       MODEL_IR_VERSION = 1,
       MODEL_PRODUCER = 2,
       MODEL_PRODUCER_VERSION = 3,
       MODEL_DOC = 6,
       MODEL_GRAPH = 7,
       MODEL_OPSET = 8,
       MODEL_META = 14,
       GRAPH_NODE = 1,
       GRAPH_NAME = 2,
       GRAPH_INPUT = 11,
       GRAPH_OUTPUT = 12,
       GRAPH_VALUE_INFO = 13,
       MOST_BYTES = INT32_MAX - (1 << 20), /* of a protobuf; the rest is for the model's head */
};

/* IR version that came with an opset. */
static int ir_version(int opset)
{
    return opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 15 ? 8 : 7;
}

/* ---- values ---- */

static void put_value_info(cyg_exporter *x, uint32_t field, cyg_value_id id, cyg_strbuf *out)
{
    const cyg_value *v = cyg_val(x->g, id);
    cyg_strbuf shape = {0}, part = {0}, info = {0};
    for (unsigned i = 0; v->rank != CYG_RANK_UNKNOWN && i < v->rank; i++) {
        if (v->dims[i] >= 0)
            cyg_proto_int(&part, 1, v->dims[i]);
        else if (v->dims[i] < -1)
            cyg_proto_string(&part, 2, x->g->symbols[-v->dims[i] - 1]);
        cyg_proto_message(&shape, 1, &part);
    }
    /* TypeProto.Tensor */
    cyg_proto_int(&part, 1, cyg_type_to_onnx(v->type));
    if (v->rank != CYG_RANK_UNKNOWN)
        cyg_proto_message(&part, 2, &shape);
    /* TypeProto */
    cyg_proto_message(&shape, 1, &part);
    cyg_proto_string(&info, 1, v->name);
    cyg_proto_message(&info, 2, &shape);
    cyg_proto_message(out, field, &info);
    cyg_strbuf_deinit(&shape);
    cyg_strbuf_deinit(&part);
    cyg_strbuf_deinit(&info);
}

/* ---- graph and model ---- */

/* Transposes of constants that the writer does itself. */
static void find_folded(cyg_exporter *x)
{
    for (uint32_t i = 0; i < x->g->value_count; i++)
        x->folded[i] = CYG_NO_NODE;
    for (uint32_t k = 0; k < x->g->order_count; k++) {
        const cyg_node *n = cyg_nod(x->g, x->g->order[k]);
        const int64_t *perm;
        if (n->op == CYG_OP_transpose && cyg_val(x->g, n->in[0])->is_const &&
            cyg_val(x->g, n->in[0])->rank > 0 &&
            cyg_node_ints(n, CYG_ATTR_perm, &perm) == cyg_val(x->g, n->in[0])->rank &&
            !cyg_graph_is_output(x->g, n->out[0]))
            x->folded[n->out[0].i] = x->g->order[k];
    }
}

/* A constant that only a folded Transpose reads gives its name to the result: in the file stands
 * one tensor, and it is called what the source calls it. */
static cyg_status keep_names(cyg_exporter *x, cyg_graph *g, cyg_arena *scratch)
{
    cyg_uses uses;
    CYG_DO(cyg_uses_build(x->ctx, g, scratch, &uses));
    for (uint32_t i = 0; i < g->value_count; i++) {
        if (cyg_node_is_none(x->folded[i]))
            continue;
        const cyg_value_id from = cyg_nod(g, x->folded[i])->in[0];
        const char *name = cyg_val(g, from)->name;
        if (uses.first[from.i + 1] - uses.first[from.i] == 1 && !cyg_graph_is_output(g, from) &&
            (!cyg_graph_rename_value(g, from, "folded") ||
             !cyg_graph_rename_value(g, (cyg_value_id){i}, name)))
            return CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
    }
    return CYG_OK;
}

static cyg_status put_graph(cyg_exporter *x, cyg_strbuf *out)
{
    cyg_strbuf node = {0};
    cyg_status st = CYG_OK;
    for (uint32_t k = 0; k < x->g->order_count && st == CYG_OK; k++) {
        const cyg_node *n = cyg_nod(x->g, x->g->order[k]);
        if (n->op == CYG_OP_removed || !cyg_node_is_none(x->folded[n->out[0].i]))
            continue;
        st = cyg_export_node(x, n, &node);
        cyg_proto_message(out, GRAPH_NODE, &node);
    }
    cyg_strbuf_deinit(&node);
    CYG_DO(st);
    cyg_proto_string(out, GRAPH_NAME, x->g->name[0] == '\0' ? "graph" : x->g->name);
    for (uint32_t i = 0; i < x->g->input_count; i++)
        put_value_info(x, GRAPH_INPUT, x->g->inputs[i], out);
    for (uint32_t i = 0; i < x->g->output_count; i++) {
        put_value_info(x, GRAPH_OUTPUT, x->g->outputs[i], out);
        x->needed[x->g->outputs[i].i] = true;
    }
    for (uint32_t i = 0; i < x->g->value_count; i++) {
        const cyg_value *v = &x->g->values[i];
        if (!cyg_node_is_none(v->producer) && cyg_node_is_none(x->folded[i]) &&
            v->type != CYG_TYPE_NONE && v->rank != CYG_RANK_UNKNOWN &&
            !cyg_graph_is_output(x->g, (cyg_value_id){i}))
            put_value_info(x, GRAPH_VALUE_INFO, (cyg_value_id){i}, out);
    }
    return CYG_OK;
}

static void put_opset(cyg_strbuf *out, const char *domain, int version)
{
    cyg_strbuf id = {0};
    cyg_proto_string(&id, 1, domain);
    cyg_proto_int(&id, 2, version);
    cyg_proto_message(out, MODEL_OPSET, &id);
    cyg_strbuf_deinit(&id);
}

/* Everything of the model but the graph, whose head comes last. */
static void put_model(cyg_exporter *x, const char *note, cyg_strbuf *out)
{
    cyg_proto_int(out, MODEL_IR_VERSION, ir_version(x->opset));
    cyg_proto_string(out, MODEL_PRODUCER, "cygnet");
    cyg_proto_string(out, MODEL_PRODUCER_VERSION, CYG_VERSION);
    if (note != NULL)
        cyg_proto_string(out, MODEL_DOC, note);
    put_opset(out, "", x->opset);
    for (uint32_t i = 0; i < x->g->meta_count; i++) {
        cyg_strbuf pair = {0};
        cyg_proto_string(&pair, 1, x->g->metas[i].key);
        cyg_proto_string(&pair, 2, x->g->metas[i].text);
        cyg_proto_message(out, MODEL_META, &pair);
        cyg_strbuf_deinit(&pair);
    }
}

/* The one file: `head` and `graph` are what comes before the tensors. */
static cyg_status write_file(cyg_exporter *x, const char *path, const cyg_strbuf *head,
                             const cyg_strbuf *graph, uint64_t size)
{
    cyg_writer *w = NULL;
    CYG_DO(cyg_writer_open(x->ctx, path, &w));
    cyg_writer_write(w, head->data, head->len);
    cyg_writer_write(w, graph->data, graph->len);
    cyg_status st = cyg_export_tensors(x, w);
    if (st == CYG_OK && cyg_writer_offset(w) != size)
        st = CYG_FAIL(x->ctx, CYG_E_INTERNAL, "%s: expected %llu bytes, wrote %llu", path,
                      (unsigned long long)size, (unsigned long long)cyg_writer_offset(w));
    if (st == CYG_OK)
        return cyg_writer_commit(x->ctx, w);
    cyg_writer_abort(w);
    return st;
}

/* Both files, where the model is too large for one, or two are asked for. */
static cyg_status write_model(cyg_exporter *x, const char *path,
                              const cyg_onnx_export_options *options)
{
    cyg_strbuf graph = {0}, model = {0};
    cyg_status st;
    st = put_graph(x, &graph);
    if (st != CYG_OK)
        goto done;
    put_model(x, options->producer_note, &model);
    if (options->external_data || graph.len + cyg_export_tensors_size(x) > MOST_BYTES) {
        st = cyg_export_external(x, path);
        if (st != CYG_OK)
            goto done;
    }
    const size_t size = graph.len + cyg_export_tensors_size(x);
    cyg_proto_head(&model, MODEL_GRAPH, size);
    if (graph.failed || model.failed || x->scratch[0].failed || x->scratch[1].failed)
        st = CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
    else if (size > MOST_BYTES)
        st = CYG_FAIL(x->ctx, CYG_E_UNSUPPORTED,
                      "%s: the nodes alone have %zu bytes, but an ONNX file ends at 2 GiB", path,
                      size);
    else
        st = write_file(x, path, &model, &graph, size + model.len);
done:
    cyg_strbuf_deinit(&graph);
    cyg_strbuf_deinit(&model);
    return st;
}

static cyg_status prepare(cyg_exporter *x, cyg_graph *g, cyg_arena *scratch)
{
    find_folded(x);
    return keep_names(x, g, scratch);
}

cyg_status cyg_onnx_export(cyg_ctx *ctx, const cyg_graph *g, const char *path,
                           const cyg_onnx_export_options *options)
{
    const cyg_onnx_export_options none = {0};
    options = options == NULL ? &none : options;
    const int opset = options->opset == 0 ? 17 : options->opset;
    cyg_graph *expanded = NULL;
    cyg_arena scratch;
    CYG_TRY(ctx, cyg_onnx_expand(ctx, g, opset, &expanded), "while exporting %s", path);
    cyg_arena_init(&scratch);
    cyg_exporter x = {.ctx = ctx,
                      .g = expanded,
                      .opset = opset,
                      .arena = &scratch,
                      .written = options->written,
                      .user = options->user};
    x.needed = CYG_NEW_ARRAY(&scratch, bool, (size_t)expanded->value_count + 1);
    x.folded = CYG_NEW_ARRAY(&scratch, cyg_node_id, (size_t)expanded->value_count + 1);
    cyg_status st = CYG_OK;
    if (x.needed == NULL || x.folded == NULL)
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    else
        st = prepare(&x, expanded, &scratch);
    if (st == CYG_OK)
        st = write_model(&x, path, options);
    if (st != CYG_OK)
        st = CYG_FAIL(ctx, st, "while exporting %s", path);
    cyg_strbuf_deinit(&x.scratch[0]);
    cyg_strbuf_deinit(&x.scratch[1]);
    cyg_arena_deinit(&scratch);
    cyg_graph_destroy(expanded);
    return st;
}

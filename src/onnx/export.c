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
 * Written: names, shapes of all values, metadata. Not written: external data (a file above 2 GiB is
 * refused, for protobuf ends there), provenance. */
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
       GRAPH_INITIALIZER = 5,
       GRAPH_INPUT = 11,
       GRAPH_OUTPUT = 12,
       GRAPH_VALUE_INFO = 13,
       TENSOR_DIMS = 1,
       TENSOR_TYPE = 2,
       TENSOR_NAME = 8,
       TENSOR_RAW = 9,
       CHUNK = 1 << 16,
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

void cyg_export_tensor_head(const cyg_value *v, const char *name, int rank, const int64_t *dims,
                            cyg_strbuf *out)
{
    for (int i = 0; i < rank; i++)
        cyg_proto_int(out, TENSOR_DIMS, dims[i]);
    cyg_proto_int(out, TENSOR_TYPE, cyg_type_to_onnx(v->type));
    cyg_proto_string(out, TENSOR_NAME, name);
    cyg_proto_head(out, TENSOR_RAW, v->bytes);
}

/* ---- constants ---- */

/* The constant behind value i (itself, or what the folded Transpose reads); NULL when i is none. */
static const cyg_value *constant_of(const cyg_exporter *x, uint32_t i)
{
    if (!cyg_node_is_none(x->folded[i]))
        return cyg_val(x->g, cyg_nod(x->g, x->folded[i])->in[0]);
    return x->g->values[i].is_const ? &x->g->values[i] : NULL;
}

static void initializer_head(const cyg_exporter *x, uint32_t i, cyg_strbuf *out)
{
    const cyg_value *v = constant_of(x, i);
    int64_t dims[CYG_MAX_RANK];
    const int64_t *perm = NULL;
    if (!cyg_node_is_none(x->folded[i]))
        CYG_IGNORE(cyg_node_ints(cyg_nod(x->g, x->folded[i]), CYG_ATTR_perm, &perm));
    for (int k = 0; k < v->rank; k++)
        dims[k] = v->dims[perm == NULL ? k : perm[k]];
    out->len = 0;
    cyg_export_tensor_head(v, x->g->values[i].name, v->rank, dims, out);
}

/* Writes v with its dimensions in the order of perm: one row of the result at a time. */
static void write_permuted(cyg_writer *w, const cyg_value *v, const int64_t *perm)
{
    const size_t size = cyg_type_size(v->type);
    const int rank = v->rank, last = rank - 1;
    size_t stride[CYG_MAX_RANK], step[CYG_MAX_RANK];
    int64_t at[CYG_MAX_RANK] = {0};
    size_t elements = 1;
    for (int k = last; k >= 0; k--) {
        stride[k] = elements * size;
        elements *= (size_t)v->dims[k];
    }
    for (int k = 0; k < rank; k++)
        step[k] = stride[perm[k]];
    const size_t row = (size_t)v->dims[perm[last]];
    const char *from = v->data;
    for (size_t done = 0; done < elements; done += row) {
        char buffer[4096];
        for (size_t i = 0; i < row;) {
            size_t n = 0;
            for (; i < row && n + size <= sizeof buffer; i++, n += size)
                memcpy(buffer + n, from + i * step[last], size);
            cyg_writer_write(w, buffer, n);
        }
        for (int k = last - 1; k >= 0; k--) { /* the next row, like an odometer */
            from += step[k];
            if (++at[k] < v->dims[perm[k]])
                break;
            from -= step[k] * (size_t)v->dims[perm[k]];
            at[k] = 0;
        }
    }
}

static cyg_status write_initializers(cyg_exporter *x, cyg_writer *w)
{
    cyg_strbuf head = {0}, tag = {0};
    cyg_status st = CYG_OK;
    for (uint32_t i = 0; i < x->g->value_count && st == CYG_OK; i++) {
        const cyg_value *v = x->needed[i] ? constant_of(x, i) : NULL;
        if (v == NULL)
            continue;
        initializer_head(x, i, &head);
        tag.len = 0;
        cyg_proto_head(&tag, GRAPH_INITIALIZER, head.len + v->bytes);
        cyg_writer_write(w, tag.data, tag.len);
        cyg_writer_write(w, head.data, head.len);
        if (!cyg_node_is_none(x->folded[i])) {
            const int64_t *perm;
            CYG_IGNORE(cyg_node_ints(cyg_nod(x->g, x->folded[i]), CYG_ATTR_perm, &perm));
            write_permuted(w, v, perm);
        } else {
            for (size_t at = 0; at < v->bytes; at += CHUNK)
                cyg_writer_write(w, (const char *)v->data + at,
                                 v->bytes - at < CHUNK ? v->bytes - at : CHUNK);
        }
        if (x->written != NULL && v->bytes > 0)
            x->written(x->user, v->data, v->bytes);
        st = head.failed || tag.failed ? CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory")
                                       : cyg_ctx_check_cancelled(x->ctx);
    }
    cyg_strbuf_deinit(&head);
    cyg_strbuf_deinit(&tag);
    return st;
}

static size_t initializers_size(cyg_exporter *x)
{
    cyg_strbuf head = {0};
    size_t total = 0;
    for (uint32_t i = 0; i < x->g->value_count; i++) {
        const cyg_value *v = x->needed[i] ? constant_of(x, i) : NULL;
        if (v == NULL)
            continue;
        initializer_head(x, i, &head);
        const size_t size = head.len + v->bytes;
        total += 1 + cyg_proto_varint_size(size) + size;
        x->scratch[0].failed = x->scratch[0].failed || head.failed;
    }
    cyg_strbuf_deinit(&head);
    return total;
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

static cyg_status write_model(cyg_exporter *x, const char *path, const char *note)
{
    cyg_strbuf graph = {0}, model = {0};
    cyg_writer *w = NULL;
    cyg_status st;
    st = put_graph(x, &graph);
    if (st != CYG_OK)
        goto done;
    put_model(x, note, &model);
    const size_t size = graph.len + initializers_size(x);
    cyg_proto_head(&model, MODEL_GRAPH, size);
    if (graph.failed || model.failed || x->scratch[0].failed || x->scratch[1].failed) {
        st = CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
        goto done;
    }
    if (size + model.len > INT32_MAX) {
        st = CYG_FAIL(x->ctx, CYG_E_UNSUPPORTED,
                      "%s: the model has %zu bytes, but an ONNX file ends at 2 GiB", path, size);
        goto done;
    }
    st = cyg_writer_open(x->ctx, path, &w);
    if (st != CYG_OK)
        goto done;
    cyg_writer_write(w, model.data, model.len);
    cyg_writer_write(w, graph.data, graph.len);
    st = write_initializers(x, w);
    if (st == CYG_OK && cyg_writer_offset(w) != size + model.len)
        st = CYG_FAIL(x->ctx, CYG_E_INTERNAL, "%s: expected %zu bytes, wrote %llu", path,
                      size + model.len, (unsigned long long)cyg_writer_offset(w));
    if (st == CYG_OK)
        st = cyg_writer_commit(x->ctx, w);
    else
        cyg_writer_abort(w);
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
    const int opset = options == NULL || options->opset == 0 ? 17 : options->opset;
    cyg_graph *expanded = NULL;
    cyg_arena scratch;
    CYG_TRY(ctx, cyg_onnx_expand(ctx, g, opset, &expanded), "while exporting %s", path);
    cyg_arena_init(&scratch);
    cyg_exporter x = {.ctx = ctx, .g = expanded, .opset = opset};
    if (options != NULL) {
        x.written = options->written;
        x.user = options->user;
    }
    x.needed = CYG_NEW_ARRAY(&scratch, bool, (size_t)expanded->value_count + 1);
    x.folded = CYG_NEW_ARRAY(&scratch, cyg_node_id, (size_t)expanded->value_count + 1);
    cyg_status st = CYG_OK;
    if (x.needed == NULL || x.folded == NULL)
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    else
        st = prepare(&x, expanded, &scratch);
    if (st == CYG_OK)
        st = write_model(&x, path, options == NULL ? NULL : options->producer_note);
    if (st != CYG_OK)
        st = CYG_FAIL(ctx, st, "while exporting %s", path);
    cyg_strbuf_deinit(&x.scratch[0]);
    cyg_strbuf_deinit(&x.scratch[1]);
    cyg_arena_deinit(&scratch);
    cyg_graph_destroy(expanded);
    return st;
}

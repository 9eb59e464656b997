/* Constants as TensorProtos, streamed: in the file itself, or in a second one beside it.
 *
 * External data is what ONNX has for models above the 2 GiB of a protobuf. Tensors from 1 KiB on
 * then lie in FILE.data, each at a multiple of 64 bytes, so that a reader can map them; smaller
 * ones stay in the file. The second file is complete before the first is begun. */
#include "onnx/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/permute.h"
#include "onnx/proto.h"

enum {
    GRAPH_INITIALIZER = 5, /* of GraphProto; the rest of TensorProto */
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    TENSOR_EXTERNAL = 13,
    TENSOR_LOCATION = 14,
    EXTERNAL_FROM = 1024,
    EXTERNAL_ALIGN = 64,
    ROWS = 64, /* permuted together, where they fit into MOST_BUFFER */
    MOST_BUFFER = 1 << 20,
};

/* The constant behind value i (itself, or what the folded Transpose reads); NULL when i is none. */
static const cyg_value *constant_of(const cyg_exporter *x, uint32_t i)
{
    if (!cyg_node_is_none(x->folded[i]))
        return cyg_val(x->g, cyg_nod(x->g, x->folded[i])->in[0]);
    return x->g->values[i].is_const ? &x->g->values[i] : NULL;
}

/* How value i, the constant v, is stored: the folded Transpose's perm, or NULL. */
static const int64_t *perm_of(const cyg_exporter *x, uint32_t i)
{
    const int64_t *perm = NULL;
    if (!cyg_node_is_none(x->folded[i]))
        CYG_IGNORE(cyg_node_ints(cyg_nod(x->g, x->folded[i]), CYG_ATTR_perm, &perm));
    return perm;
}

static bool is_external(const cyg_exporter *x, const cyg_value *v)
{
    return x->location != NULL && v->bytes >= EXTERNAL_FROM;
}

static void put_entry(const char *key, const char *text, cyg_strbuf *out)
{
    cyg_strbuf entry = {0};
    cyg_proto_string(&entry, 1, key);
    cyg_proto_string(&entry, 2, text);
    cyg_proto_message(out, TENSOR_EXTERNAL, &entry);
    cyg_strbuf_deinit(&entry);
}

/* Where the bytes are instead of raw_data. */
static void put_place(const cyg_exporter *x, uint64_t offset, uint64_t size, cyg_strbuf *out)
{
    char number[32];
    put_entry("location", x->location, out);
    snprintf(number, sizeof number, "%llu", (unsigned long long)offset);
    put_entry("offset", number, out);
    snprintf(number, sizeof number, "%llu", (unsigned long long)size);
    put_entry("length", number, out);
    cyg_proto_int(out, TENSOR_LOCATION, 1);
}

static void tensor_intro(const cyg_value *v, const char *name, int rank, const int64_t *dims,
                         cyg_strbuf *out)
{
    for (int i = 0; i < rank; i++)
        cyg_proto_int(out, TENSOR_DIMS, dims[i]);
    cyg_proto_int(out, TENSOR_TYPE, cyg_type_to_onnx(v->type));
    cyg_proto_string(out, TENSOR_NAME, name);
}

void cyg_export_tensor_head(const cyg_value *v, const char *name, int rank, const int64_t *dims,
                            cyg_strbuf *out)
{
    tensor_intro(v, name, rank, dims, out);
    cyg_proto_head(out, TENSOR_RAW, v->bytes);
}

/* Up to the bytes, when they follow; *io_offset is where the next external tensor begins. */
static void initializer_head(const cyg_exporter *x, uint32_t i, uint64_t *io_offset,
                             cyg_strbuf *out)
{
    const cyg_value *v = constant_of(x, i);
    const int64_t *perm = perm_of(x, i);
    int64_t dims[CYG_MAX_RANK];
    for (int k = 0; k < v->rank; k++)
        dims[k] = v->dims[perm == NULL ? k : perm[k]];
    out->len = 0;
    if (!is_external(x, v)) {
        cyg_export_tensor_head(v, x->g->values[i].name, v->rank, dims, out);
        return;
    }
    tensor_intro(v, x->g->values[i].name, v->rank, dims, out);
    put_place(x, *io_offset, v->bytes, out);
    *io_offset = cyg_align_up(*io_offset + v->bytes, EXTERNAL_ALIGN);
}

/* Writes v with its dimensions in the order of perm, some rows of the result at a time. */
static cyg_status write_permuted(const cyg_exporter *x, cyg_writer *w, const cyg_value *v,
                                 const int64_t *perm)
{
    cyg_permutation p;
    cyg_permutation_init(&p, cyg_type_size(v->type), v->rank, v->dims, perm);
    const size_t bytes = (size_t)p.row * p.size;
    const int64_t together = bytes <= MOST_BUFFER / ROWS ? ROWS : 1;
    char *buffer = malloc((size_t)together * bytes + 1);
    if (buffer == NULL)
        return CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t at = 0; at < p.rows; at += together) {
        const int64_t rows = p.rows - at < together ? p.rows - at : together;
        cyg_permute_rows(&p, v->data, at, rows, buffer);
        cyg_writer_write(w, buffer, (size_t)rows * bytes);
    }
    free(buffer);
    return CYG_OK;
}

/* The bytes of value i, constant v. */
static cyg_status write_bytes(cyg_exporter *x, cyg_writer *w, uint32_t i, const cyg_value *v)
{
    const int64_t *perm = perm_of(x, i);
    cyg_status st = CYG_OK;
    if (perm != NULL)
        st = write_permuted(x, w, v, perm);
    else
        cyg_writer_write(w, v->data, v->bytes);
    if (x->written != NULL && v->bytes > 0)
        x->written(x->user, v->data, v->bytes);
    return st;
}

cyg_status cyg_export_tensors(cyg_exporter *x, cyg_writer *w)
{
    cyg_strbuf head = {0}, tag = {0};
    cyg_status st = CYG_OK;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < x->g->value_count && st == CYG_OK; i++) {
        const cyg_value *v = x->needed[i] ? constant_of(x, i) : NULL;
        if (v == NULL)
            continue;
        initializer_head(x, i, &offset, &head);
        tag.len = 0;
        cyg_proto_head(&tag, GRAPH_INITIALIZER, head.len + (is_external(x, v) ? 0 : v->bytes));
        cyg_writer_write(w, tag.data, tag.len);
        cyg_writer_write(w, head.data, head.len);
        if (!is_external(x, v))
            st = write_bytes(x, w, i, v);
        if (st == CYG_OK)
            st = head.failed || tag.failed ? CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory")
                                           : cyg_ctx_check_cancelled(x->ctx);
    }
    cyg_strbuf_deinit(&head);
    cyg_strbuf_deinit(&tag);
    return st;
}

size_t cyg_export_tensors_size(cyg_exporter *x)
{
    cyg_strbuf head = {0};
    size_t total = 0;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < x->g->value_count; i++) {
        const cyg_value *v = x->needed[i] ? constant_of(x, i) : NULL;
        if (v == NULL)
            continue;
        initializer_head(x, i, &offset, &head);
        const size_t size = head.len + (is_external(x, v) ? 0 : v->bytes);
        total += 1 + cyg_proto_varint_size(size) + size;
        x->scratch[0].failed = x->scratch[0].failed || head.failed;
    }
    cyg_strbuf_deinit(&head);
    return total;
}

cyg_status cyg_export_external(cyg_exporter *x, const char *path)
{
    static const char zeros[EXTERNAL_ALIGN];
    cyg_strbuf beside = {0}, name = {0};
    cyg_writer *w = NULL;
    struct stat info;
    cyg_status st;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return CYG_FAIL(x->ctx, CYG_E_UNSUPPORTED,
                        "%s: the tensors need a file beside it, and this is no regular file", path);
    cyg_strbuf_printf(&beside, "%s.data", path);
    cyg_strbuf_printf(&name, "%s.data", cyg_path_base(path));
    x->location = cyg_arena_strndup(x->arena, name.data == NULL ? "" : name.data, name.len);
    st = beside.failed || name.failed || x->location == NULL
             ? CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory")
             : cyg_writer_open(x->ctx, beside.data, &w);
    for (uint32_t i = 0; i < x->g->value_count && st == CYG_OK; i++) {
        const cyg_value *v = x->needed[i] ? constant_of(x, i) : NULL;
        if (v == NULL || !is_external(x, v))
            continue;
        const uint64_t at = cyg_writer_offset(w);
        cyg_writer_write(w, zeros, (size_t)(cyg_align_up(at, EXTERNAL_ALIGN) - at));
        st = write_bytes(x, w, i, v);
        if (st == CYG_OK)
            st = cyg_ctx_check_cancelled(x->ctx);
    }
    if (st == CYG_OK)
        st = cyg_writer_commit(x->ctx, w);
    else if (w != NULL)
        cyg_writer_abort(w);
    cyg_strbuf_deinit(&beside);
    cyg_strbuf_deinit(&name);
    return st;
}

/* Invalid models: every integer of a test's file (attributes, dimensions, element types, opsets,
 * sizes of constants) is replaced in turn by wrong ones, and the spoilt model is imported,
 * optimised and run on the test's inputs.
 *
 * Whatever comes of it must be an answer (an axis of -1 may well be a right one) or a refusal that
 * says what and where: some name of the model must be in it, or the place in the file. A crash, an
 * internal error or a loop without end is a failure of the test, named with number and value. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node_test.h"
#include "onnx/proto.h"

/* The messages of a model that hold numbers: field -> what lies in it. */
typedef enum kind {
    NOTHING,
    NUMBER,
    MODEL,
    OPSET,
    GRAPH,
    FUNCTION,
    NODE,
    ATTR,
    TENSOR,
    VALUE,
    TYPE,
    TENSOR_TYPE,
    SHAPE,
    DIM,
    KINDS
} kind;
enum { FIELDS = 26 };
static const uint8_t fields[KINDS][FIELDS] = {
    [MODEL] = {[7] = GRAPH, [8] = OPSET, [25] = FUNCTION},
    [OPSET] = {[2] = NUMBER},
    [GRAPH] = {[1] = NODE, [5] = TENSOR, [11] = VALUE, [12] = VALUE},
    [FUNCTION] = {[7] = NODE, [9] = OPSET},
    [NODE] = {[5] = ATTR},
    [ATTR] = {[3] = NUMBER, [5] = TENSOR, [8] = NUMBER},
    [TENSOR] = {[1] = NUMBER, [2] = NUMBER},
    [VALUE] = {[2] = TYPE},
    [TYPE] = {[1] = TENSOR_TYPE},
    [TENSOR_TYPE] = {[1] = NUMBER, [2] = SHAPE},
    [SHAPE] = {[1] = DIM},
    [DIM] = {[1] = NUMBER},
};

typedef struct spoiler {
    cyg_ctx *ctx;
    const cyg_wire_file *file;
    node_spoiler at;
} spoiler;

static uint64_t spoil(spoiler *s, uint64_t v)
{
    return s->at.met++ == s->at.target ? (uint64_t)s->at.value : v;
}

/* A list of varints in one field. */
static void copy_packed(spoiler *s, cyg_span bytes, cyg_strbuf *out)
{
    uint64_t v = 0;
    unsigned shift = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        v |= shift < 64 ? (uint64_t)(bytes.data[i] & 0x7f) << shift : 0;
        shift += 7;
        if ((bytes.data[i] & 0x80) != 0)
            continue;
        cyg_proto_varint(out, spoil(s, v));
        v = 0;
        shift = 0;
    }
}

/* The message with its target replaced, lengths made anew. */
static cyg_status copy(spoiler *s, kind k, cyg_span bytes, cyg_strbuf *out)
{
    cyg_wire w = cyg_wire_root(s->file, bytes, "message");
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(s->ctx, &w, &f));
        if (f.number == 0)
            return CYG_OK;
        const kind inner = f.number < FIELDS ? (kind)fields[k][f.number] : NOTHING;
        cyg_proto_varint(out, (uint64_t)f.number << 3 | f.type);
        if (f.type == CYG_WIRE_VARINT) {
            cyg_proto_varint(out, inner == NUMBER ? spoil(s, f.value) : f.value);
        } else if (f.type != CYG_WIRE_BYTES) {
            cyg_strbuf_add(out, (const char *)&f.value, f.type == CYG_WIRE_FIXED32 ? 4 : 8);
        } else {
            cyg_strbuf child = {0};
            if (inner == NUMBER)
                copy_packed(s, f.bytes, &child);
            else if (inner != NOTHING)
                CYG_DO(copy(s, inner, f.bytes, &child));
            else if (f.bytes.size > 0)
                cyg_strbuf_add(&child, (const char *)f.bytes.data, f.bytes.size);
            cyg_proto_varint(out, child.len);
            if (child.len > 0)
                cyg_strbuf_add(out, child.data, child.len);
            cyg_strbuf_deinit(&child);
        }
    }
}

/* ---- what the refusal must say ---- */

static bool says_any(const cyg_ctx *ctx, const char *const *names, uint32_t count)
{
    for (size_t i = 0; i < cyg_ctx_message_count(ctx); i++)
        for (uint32_t k = 0; k < count; k++)
            if (names[k][0] != '\0' && strstr(cyg_ctx_message(ctx, i), names[k]) != NULL)
                return true;
    return false;
}

/* Some node, tensor or place in the file. */
static bool says_where(const cyg_ctx *ctx, const cyg_onnx_model *m)
{
    static const char *const places[] = {"opset", " byte ", "offset"};
    const cyg_onnx_graph *g = &m->graph;
    for (uint32_t i = 0; i < g->node_count; i++)
        if (says_any(ctx, g->nodes[i].out, g->nodes[i].out_count) ||
            says_any(ctx, &g->nodes[i].name, 1) || says_any(ctx, &g->nodes[i].op_type, 1))
            return true;
    for (uint32_t i = 0; i < g->input_count; i++)
        if (says_any(ctx, &g->inputs[i].name, 1))
            return true;
    for (uint32_t i = 0; i < g->initializer_count; i++)
        if (says_any(ctx, &g->initializers[i].name, 1))
            return true;
    return says_any(ctx, places, CYG_COUNT(places));
}

/* ---- the run ---- */

static const int64_t wrong[] = {-1, -7, 0, 3, 99, INT64_C(1) << 31, INT64_MAX, INT64_MIN};

/* Runs a model and its inputs, spoilt or not; true when the outcome is one that may be. */
static bool try_model(const cyg_onnx_model *original, const char *path, node_spoiler *inputs,
                      char *why)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    const cyg_status status = node_run_form(&ctx, path, NODE_FUSED, inputs);
    if (status == CYG_OK)
        return true;
    const size_t count = cyg_ctx_message_count(&ctx);
    snprintf(why, NODE_TEXT, "%s: %.300s: %.300s", cyg_status_text(status),
             count > 0 ? cyg_ctx_message(&ctx, 0) : "",
             count > 0 ? cyg_ctx_message(&ctx, count - 1) : "");
    return status != CYG_E_INTERNAL && says_where(&ctx, original);
}

static bool try_bytes(const cyg_onnx_model *original, const cyg_strbuf *bytes, char *why)
{
    char path[64];
    node_spoiler none = {.target = -1};
    const int fd = memfd_create("onnx", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(why, NODE_TEXT, "no file in memory");
    const bool ok = fd >= 0 && write(fd, bytes->data, bytes->len) == (ssize_t)bytes->len &&
                    try_model(original, path, &none, why);
    close(fd);
    return ok;
}

static void fail(node_result *r, const char *what, const node_spoiler *at, const char *why)
{
    r->outcome = NODE_FAILED;
    snprintf(r->text, sizeof r->text, "number %" PRId64 " of %s as %" PRId64 ": %.900s", at->target,
             what, at->value, why);
}

static void spoil_file(node_file *file, node_result *r)
{
    cyg_onnx_importer *imp = &file->imp;
    spoiler s = {.ctx = imp->ctx, .file = &imp->model.file, .at = {.target = -1}};
    cyg_strbuf bytes = {0};
    char why[NODE_TEXT] = "it cannot be copied";
    if (copy(&s, MODEL, imp->file, &bytes) != CYG_OK)
        fail(r, "the file", &s.at, why);
    const int64_t numbers = s.at.met;
    for (int64_t i = 0; r->outcome == NODE_PASSED && i < numbers; i++)
        for (size_t k = 0; r->outcome == NODE_PASSED && k < CYG_COUNT(wrong); k++) {
            s.at = (node_spoiler){.target = i, .value = wrong[k]};
            bytes.len = 0;
            if (copy(&s, MODEL, imp->file, &bytes) != CYG_OK ||
                !try_bytes(&imp->model, &bytes, why))
                fail(r, "the file", &s.at, why);
        }
    cyg_strbuf_deinit(&bytes);
}

static void spoil_inputs(const cyg_onnx_model *m, node_result *r)
{
    char why[NODE_TEXT] = "";
    node_spoiler at = {.target = -1};
    if (!try_model(m, NODE_MODEL, &at, why))
        fail(r, "the inputs", &at, why);
    const int64_t numbers = at.met;
    for (int64_t i = 0; r->outcome == NODE_PASSED && i < numbers; i++)
        for (size_t k = 0; r->outcome == NODE_PASSED && k < CYG_COUNT(wrong); k++) {
            at = (node_spoiler){.target = i, .value = wrong[k]};
            if (!try_model(m, NODE_MODEL, &at, why))
                fail(r, "the inputs", &at, why);
        }
}

void node_run_hostile(node_result *out_result)
{
    static cyg_ctx ctx;
    node_file file;
    cyg_ctx_init(&ctx);
    out_result->outcome = node_scope(&ctx, NODE_MODEL, out_result->text);
    if (out_result->outcome != NODE_PASSED)
        return;
    out_result->outcome = NODE_FAILED;
    snprintf(out_result->text, sizeof out_result->text, "the model cannot be read");
#if !defined(__SANITIZE_ADDRESS__)
    const struct rlimit room = {INT64_C(1) << 31, INT64_C(1) << 31};
    setrlimit(RLIMIT_AS, &room); /* what asks for more is refused for lack of memory */
#endif
    if (node_file_open(&ctx, NODE_MODEL, &file) != CYG_OK)
        return;
    if (cyg_onnx_decode(&ctx, NODE_MODEL, file.imp.file, false, &file.imp.scratch,
                        &file.imp.model) == CYG_OK) {
        out_result->outcome = NODE_PASSED;
        out_result->text[0] = '\0';
        spoil_file(&file, out_result);
        spoil_inputs(&file.imp.model, out_result);
    }
    node_file_close(&file);
}

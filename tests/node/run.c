/* One test in three forms: the graph as imported, cleaned (optimised without fusing) and fused,
 * each imported anew, run on every data set of the test. The first difference ends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interp/interp.h"
#include "kernels/number.h"
#include "node_test.h"
#include "onnx/onnx.h"
#include "pass/pass.h"

enum { MOST_TENSORS = 32, SMALL = 16 };
static const char *const form_names[NODE_FORMS] = {"as imported", "cleaned", "fused", "exported"};

/* The .pb files of one data set: input_0 ... or output_0 ... */
typedef struct tensors {
    node_file files[MOST_TENSORS];
    cyg_kbuf bufs[MOST_TENSORS];
    uint32_t count;
} tensors;

static void close_tensors(tensors *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        node_file_close(&t->files[i]);
    t->count = 0;
}

static cyg_status open_tensors(cyg_ctx *ctx, int set, const char *kind, tensors *t)
{
    static char paths[2 * MOST_TENSORS][NODE_PATH]; /* files keep them for messages */
    const uint32_t half = strcmp(kind, "input") == 0 ? 0 : MOST_TENSORS;
    t->count = 0;
    while (t->count < MOST_TENSORS) {
        char *path = paths[half + t->count];
        snprintf(path, NODE_PATH, "test_data_set_%d/%s_%u.pb", set, kind, t->count);
        if (!cyg_path_exists(path))
            return CYG_OK;
        CYG_DO(node_file_open(ctx, path, &t->files[t->count]));
        t->count++;
        CYG_DO(node_read_tensor(&t->files[t->count - 1], &t->bufs[t->count - 1]));
    }
    return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "more than %d %ss", MOST_TENSORS, kind);
}

/* numpy has no bfloat16: the tests store its bits as uint16 where the model says bfloat16. */
static void name_bits(const cyg_graph *g, const cyg_value_id *values, uint32_t count, tensors *t)
{
    for (uint32_t i = 0; i < t->count && i < count; i++)
        if (cyg_val(g, values[i])->type == CYG_TYPE_BF16 && t->bufs[i].type == CYG_TYPE_U16)
            t->bufs[i].type = CYG_TYPE_BF16;
}

/* A small tensor of integers (sizes, axes, indices) with one of them replaced, in `room`. */
static void spoil_ints(node_spoiler *s, cyg_kbuf *b, int64_t room[SMALL])
{
    const int64_t count = cyg_count_of(b);
    if ((b->type != CYG_TYPE_S64 && b->type != CYG_TYPE_S32) || count > SMALL)
        return;
    memcpy(room, b->data, (size_t)(count * cyg_type_bytes(b->type)));
    b->data = room;
    for (int64_t i = 0; i < count; i++)
        if (s->met++ == s->target)
            cyg_store_int(room, b->type, i, s->value);
}

static cyg_status compare(cyg_ctx *ctx, const cyg_graph *g, const cyg_interp *interp,
                          const tensors *want)
{
    if (g->output_count != want->count)
        return CYG_FAIL(ctx, CYG_E_CHECK, "expected %u outputs, found %u", want->count,
                        g->output_count);
    for (uint32_t i = 0; i < want->count; i++) {
        char why[256];
        const cyg_kbuf *got = cyg_interp_value(interp, g->outputs[i]);
        if (got == NULL)
            return CYG_FAIL(ctx, CYG_E_CHECK, "output %u is not there", i);
        if (!node_same(got, &want->bufs[i], why, sizeof why))
            return CYG_FAIL(ctx, CYG_E_CHECK, "output %u: %s", i, why);
    }
    return CYG_OK;
}

static cyg_status run_set(cyg_ctx *ctx, const cyg_graph *g, cyg_interp *interp, int set,
                          node_spoiler *spoiler)
{
    static tensors in, want;
    static int64_t rooms[MOST_TENSORS][SMALL];
    cyg_status status = open_tensors(ctx, set, "input", &in);
    if (status == CYG_OK)
        status = open_tensors(ctx, set, "output", &want);
    name_bits(g, g->inputs, g->input_count, &in);
    name_bits(g, g->outputs, g->output_count, &want);
    for (uint32_t i = 0; spoiler != NULL && i < in.count; i++)
        spoil_ints(spoiler, &in.bufs[i], rooms[i]);
    if (status == CYG_OK)
        status = cyg_interp_run(ctx, interp, in.bufs, in.count);
    if (status == CYG_OK && spoiler == NULL)
        status = compare(ctx, g, interp, &want);
    close_tensors(&in);
    close_tensors(&want);
    return status;
}

/* The graph written at opset 20, the last that export knows, and read back; unchanged when it says
 * what came with opset 21. */
static cyg_status through_file(cyg_ctx *ctx, const cyg_onnx_import_options *import, cyg_graph **io)
{
    char folder[] = "/tmp/cyg-node-XXXXXX", path[64];
    const cyg_onnx_export_options export = {.opset = 20};
    cyg_graph *back = NULL;
    if (mkdtemp(folder) == NULL)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot be made", folder);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    cyg_status status = cyg_onnx_export(ctx, *io, path, &export);
    const bool too_young =
        status == CYG_E_UNSUPPORTED &&
        strstr(cyg_ctx_message(ctx, cyg_ctx_message_count(ctx) - 1), "from opset 21 on") != NULL;
    if (status == CYG_OK)
        status = cyg_onnx_import(ctx, path, import, &back, NULL);
    CYG_IGNORE(cyg_remove_tree(NULL, folder));
    if (status == CYG_OK) {
        cyg_graph_destroy(*io);
        *io = back;
    }
    return too_young ? CYG_OK : status;
}

cyg_status node_run_form(cyg_ctx *ctx, const char *model, node_form f, node_spoiler *inputs)
{
    char path[NODE_PATH];
    const cyg_onnx_import_options import = {.keep_symbolic = true};
    const cyg_optimise_options optimise = {.fuse = f >= NODE_FUSED};
    cyg_optimise_report report;
    cyg_graph *g = NULL;
    cyg_interp *interp = NULL;
    cyg_status status = cyg_onnx_import(ctx, model, &import, &g, NULL);
    if (status == CYG_OK && f != NODE_AS_IMPORTED)
        status = cyg_optimise(ctx, g, &optimise, &report);
    if (status == CYG_OK && f == NODE_EXPORTED)
        status = through_file(ctx, &import, &g);
    if (status == CYG_OK)
        status = cyg_interp_create(ctx, g, NULL, &interp);
    for (int set = 0; status == CYG_OK; set++) {
        snprintf(path, sizeof path, "test_data_set_%d", set);
        if (!cyg_path_is_dir(path))
            break;
        status = run_set(ctx, g, interp, set, inputs);
    }
    cyg_interp_destroy(interp);
    cyg_graph_destroy(g);
    return status;
}

static void say_chain(const cyg_ctx *ctx, node_form f, char *text)
{
    int used = snprintf(text, NODE_TEXT, "%s", form_names[f]);
    for (size_t i = 0; i < cyg_ctx_message_count(ctx) && used < NODE_TEXT; i++)
        used += snprintf(text + used, NODE_TEXT - (size_t)used, ": %s", cyg_ctx_message(ctx, i));
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
}

void node_run(node_result *out_result)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    out_result->text[0] = '\0';
    out_result->outcome = node_scope(&ctx, NODE_MODEL, out_result->text);
    for (int f = 0; out_result->outcome == NODE_PASSED && f < NODE_FORMS; f++)
        if (node_run_form(&ctx, NODE_MODEL, (node_form)f, NULL) != CYG_OK) {
            out_result->outcome = NODE_FAILED;
            say_chain(&ctx, (node_form)f, out_result->text);
        }
}

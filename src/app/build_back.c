/* The quantised file as something to build from: `--model_type QuantAxModel` runs the back end
 * alone, on quant/quant_axmodel.onnx of an earlier build, and makes the same package.
 *
 * Standard operators say less than the compiler knows (an attention is a dozen of them), so the
 * file also carries, in its metadata:
 *
 *   cygnet.graph      the quantised graph in text form (docs/ir.md), large constants left to the
 *                     file's own tensors of the same name
 *   cygnet.constants  one line for each of these: the hash of its bytes and its name
 *   cygnet.package    what the package says of itself, without its sizes and batches
 *
 * Export stores weights of linears and convolutions in another order; the hash tells which order
 * gives the bytes back. Constants that the file does not hold so have their data in the text. A
 * tensor that was changed since has another hash and is an error: the graph in the metadata would
 * not know of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/build.h"
#include "base/hash.h"
#include "base/permute.h"

enum { SMALL = 256 };

static const char graph_key[] = "cygnet.graph", constants_key[] = "cygnet.constants",
                  package_key[] = "cygnet.package";

/* ---- bytes of a constant in a file ---- */

static bool hashes_to(const void *data, size_t bytes, uint64_t want)
{
    return cyg_hash64(data, bytes, 0) == want;
}

/* The bytes of constant v, from the file's tensor of its name; NULL when they are not there. */
static const void *find_bytes(const cyg_graph *file, const cyg_value *v, uint64_t hash,
                              cyg_arena *arena)
{
    /* As export transposes, and back. */
    static const int64_t turns[][4] = {{1, 0}, {0, 3, 1, 2}}, back[][4] = {{1, 0}, {0, 2, 3, 1}};
    const cyg_value_id id = cyg_graph_find_value(file, v->name);
    const cyg_value *x = cyg_value_is_none(id) ? NULL : cyg_val(file, id);
    if (x == NULL || !x->is_const || x->type != v->type || x->bytes != v->bytes)
        return NULL;
    uint8_t *data = cyg_arena_alloc(arena, v->bytes + 1, 64);
    if (data == NULL)
        return NULL;
    if (hashes_to(x->data, v->bytes, hash))
        return memcpy(data, x->data, v->bytes);
    const int64_t *perm = turns[x->rank == 4];
    if ((x->rank != 2 && x->rank != 4) || v->rank != x->rank)
        return NULL;
    for (int k = 0; k < x->rank; k++)
        if (x->dims[k] != v->dims[perm[k]])
            return NULL;
    cyg_permutation p;
    cyg_permutation_init(&p, cyg_type_size(x->type), x->rank, x->dims, back[x->rank == 4]);
    cyg_permute_rows(&p, x->data, 0, p.rows, data);
    return hashes_to(data, v->bytes, hash) ? data : NULL;
}

/* ---- writing ---- */

typedef struct writer {
    const cyg_graph *g;
    bool *used, *in_text; /* by value */
    uint64_t *hash;       /* by value; of constants that are not small */
    const cyg_graph *file;
} writer;

static cyg_print_const choose(void *user, cyg_value_id v)
{
    const writer *w = user;
    return !w->used[v.i] ? CYG_PRINT_NOT : w->in_text[v.i] ? CYG_PRINT_DATA : CYG_PRINT_HASH;
}

static void mark_used(writer *w)
{
    const cyg_graph *g = w->g;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->in_count; k++)
            if (!cyg_value_is_none(n->in[k]))
                w->used[n->in[k].i] = true;
        for (uint32_t k = 0; k < n->attr_count; k++)
            if (n->attrs[k].kind == CYG_KIND_TENSOR)
                w->used[n->attrs[k].u.tensor.i] = true;
    }
    for (uint32_t i = 0; i < g->output_count; i++)
        w->used[g->outputs[i].i] = true;
    for (uint32_t v = 0; v < g->value_count; v++)
        w->in_text[v] = g->values[v].bytes <= SMALL;
}

static void look_up_values(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const writer *w = arg;
    cyg_arena arena;
    (void)worker;
    cyg_arena_init(&arena);
    for (int64_t v = begin; v < end; v++) {
        const cyg_value *value = &w->g->values[v];
        if (!value->is_const || !w->used[v] || w->in_text[v])
            continue;
        w->hash[v] = cyg_hash64(value->data, value->bytes, 0);
        w->in_text[v] = find_bytes(w->file, value, w->hash[v], &arena) == NULL;
        cyg_arena_reset(&arena);
    }
    cyg_arena_deinit(&arena);
}

/* Constants that the file does not give back go into the text. */
static cyg_status look_up(cyg_build *b, writer *w, const char *path)
{
    cyg_graph *file = NULL;
    CYG_DO(cyg_onnx_import(&b->app->ctx, path, NULL, &file, NULL));
    w->file = file;
    cyg_pool_for(b->app->ctx.pool, w->g->value_count, 1, look_up_values, w);
    cyg_graph_destroy(file);
    return CYG_OK;
}

static void list_constants(const writer *w, cyg_strbuf *out)
{
    for (uint32_t v = 0; v < w->g->value_count; v++) {
        const cyg_value *value = &w->g->values[v];
        if (value->is_const && w->used[v] && !w->in_text[v])
            cyg_strbuf_printf(out, "%016llx %s\n", (unsigned long long)w->hash[v], value->name);
    }
}

static cyg_status export_with(cyg_build *b, const cyg_graph *g, const writer *w, const char *path,
                              const cyg_onnx_export_options *options)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_strbuf text = {0}, list = {0}, package = {0};
    cyg_graph *copy = cyg_graph_clone(g);
    cyg_status status = CYG_OK;
    cyg_graph_print_with(g, choose, (void *)(uintptr_t)w, &text);
    list_constants(w, &list);
    cyg_build_write_meta(b, &package);
    if (copy == NULL || text.failed || list.failed || package.failed) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    } else {
        cyg_graph_set_meta(copy, graph_key, text.data);
        cyg_graph_set_meta(copy, constants_key, list.data == NULL ? "" : list.data);
        cyg_graph_set_meta(copy, package_key, package.data);
        status = cyg_onnx_export(ctx, copy, path, options);
    }
    cyg_graph_destroy(copy);
    cyg_strbuf_deinit(&text);
    cyg_strbuf_deinit(&list);
    cyg_strbuf_deinit(&package);
    return status;
}

cyg_status cyg_build_write_back(cyg_build *b, const char *path,
                                const cyg_onnx_export_options *options)
{
    const size_t count = (size_t)b->graph->value_count + 1;
    writer w = {.g = b->graph,
                .used = CYG_NEW_ARRAY(&b->app->arena, bool, count),
                .in_text = CYG_NEW_ARRAY(&b->app->arena, bool, count),
                .hash = CYG_NEW_ARRAY(&b->app->arena, uint64_t, count)};
    if (w.used == NULL || w.in_text == NULL || w.hash == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_onnx_export(&b->app->ctx, b->graph, path, options));
    mark_used(&w);
    CYG_DO(look_up(b, &w, path));
    return export_with(b, b->graph, &w, path, options);
}

/* ---- reading ---- */

static cyg_status fill_constants(cyg_build *b, const cyg_graph *file, const char *list,
                                 cyg_graph *g)
{
    cyg_ctx *ctx = &b->app->ctx;
    while (*list != '\0') {
        char *end;
        const uint64_t hash = strtoull(list, &end, 16);
        const size_t length = *end == ' ' ? strcspn(end + 1, "\n") : 0;
        const char *name =
            length == 0 ? NULL : cyg_arena_printf(&b->app->arena, "%.*s", (int)length, end + 1);
        const cyg_value_id v = name == NULL ? CYG_NO_VALUE : cyg_graph_find_value(g, name);
        if (cyg_value_is_none(v) || !cyg_val(g, v)->is_const)
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: %s names \"%s\", which its graph does not hold",
                            b->config.input, constants_key, name == NULL ? "" : name);
        const void *data = find_bytes(file, cyg_val(g, v), hash, &g->arena);
        if (data == NULL)
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "%s: tensor \"%s\" is not what the build wrote: a file that was "
                            "edited is read as --model_type QuantONNX",
                            b->config.input, name);
        cyg_graph_make_const(g, v, data, cyg_val(g, v)->bytes);
        list = end + 1 + length;
        list += *list == '\n';
    }
    return CYG_OK;
}

/* What was written down for stages that do not run here. */
static void add_idle(cyg_ctx *ctx, const cyg_config_message *message, const void *config,
                     const char *prefix, cyg_strbuf *out)
{
    for (size_t i = 0; i < message->count; i++) {
        const cyg_config_field *field = &message->fields[i];
        const bool set = field->type.kind == CYG_VALUE_SUBS
                             ? cyg_config_item_count(field, config) > 0
                             : cyg_config_asks(ctx, message, config, field->name);
        if (set && field->type.kind != CYG_VALUE_SUB)
            cyg_strbuf_printf(out, "%s%s%s", out->len > 0 ? ", " : "", prefix, field->name);
    }
}

static void warn_of_idle(cyg_build *b)
{
    const cyg_config_build *c = &b->config;
    cyg_strbuf text = {0};
    cyg_ctx *ctx = &b->app->ctx;
    add_idle(ctx, &cyg_config_message_quant, &c->quant, "quant.", &text);
    add_idle(ctx, &cyg_config_message_onnx_opt, &c->onnx_opt, "onnx_opt.", &text);
    add_idle(ctx, &cyg_config_message_debug, &c->debug, "debug.", &text);
    if (cyg_config_asks(ctx, &cyg_config_message_build, c, "input_shapes"))
        cyg_strbuf_printf(&text, "%sinput_shapes", text.len > 0 ? ", " : "");
    const struct list {
        size_t count;
        const char *name;
    } lists[] = {{c->input_processors.count, "input_processors"},
                 {c->output_processors.count, "output_processors"},
                 {c->const_processors.count, "const_processors"},
                 {c->op_processors.count, "op_processors"},
                 {c->quant_op_processors.count, "quant_op_processors"}};
    for (size_t i = 0; i < CYG_COUNT(lists); i++)
        if (lists[i].count > 0)
            cyg_strbuf_printf(&text, "%s%s", text.len > 0 ? ", " : "", lists[i].name);
    if (text.len > 0 && !text.failed)
        cyg_warn(&b->app->ctx,
                 "no effect with model_type QuantAxModel, where the back end alone runs: %s",
                 text.data);
    cyg_strbuf_deinit(&text);
}

cyg_status cyg_build_read_back(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const char *path = b->config.input;
    char nodes[32];
    cyg_graph *file = NULL;
    cyg_build_begin(b);
    warn_of_idle(b);
    CYG_DO(cyg_build_hash_file(b, "model", path));
    CYG_DO(cyg_onnx_import(ctx, path, NULL, &file, &b->source.info));
    const char *text = cyg_graph_meta(file, graph_key), *list = cyg_graph_meta(file, constants_key),
               *package = cyg_graph_meta(file, package_key);
    cyg_status status = CYG_OK;
    if (text == NULL || list == NULL || package == NULL)
        status = CYG_FAIL(ctx, CYG_E_CONFIG,
                          "%s is no quant/quant_axmodel.onnx of a cygnet build: quantised files of "
                          "other tools are --model_type QuantONNX",
                          path);
    if (status == CYG_OK)
        status = cyg_graph_parse(ctx, path, text, strlen(text), &b->source.graph);
    if (status == CYG_OK)
        status = fill_constants(b, file, list, b->source.graph);
    if (status == CYG_OK)
        status = cyg_target_check_graph(ctx, b->source.graph);
    if (status == CYG_OK) {
        b->stored_meta = cyg_arena_strdup(&b->app->arena, package);
        if (b->stored_meta == NULL)
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    }
    cyg_graph_destroy(file);
    b->graph = b->source.graph;
    if (status == CYG_OK)
        cyg_build_end(b, "read", "%s steps, quantised already",
                      cyg_text_count(b->graph->order_count, nodes));
    return status;
}

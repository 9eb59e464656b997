/* Where did this node go, what did it become? Every rewrite hands the provenance of the nodes that
 * it replaces on to the node that replaces them, so the answer is read from the graph: after each
 * pass, which nodes have the source in question. A line is added whenever these are others than
 * before; when there are none any more, the pass that was at work is the reason. */
#include "app/simplify.h"

#include <string.h>

static bool mark_named(const cyg_graph *g, const char *name, bool *wanted)
{
    bool any = false;
    for (uint32_t i = 0; i < g->source_count; i++)
        if (strcmp(g->sources[i].name, name) == 0)
            any = wanted[i] = true;
    return any;
}

/* By a tensor's name: the nodes that its producer came from. */
static bool mark_producer(const cyg_graph *g, const char *tensor, bool *wanted)
{
    const cyg_value_id v = cyg_graph_find_value(g, tensor);
    if (cyg_value_is_none(v) || cyg_node_is_none(cyg_val(g, v)->producer))
        return false;
    const cyg_node *n = cyg_nod(g, cyg_val(g, v)->producer);
    for (uint32_t i = 0; i < n->source_count; i++)
        wanted[n->sources[i].i] = true;
    return n->source_count > 0;
}

cyg_status cyg_explain_begin(cyg_app *app, const cyg_graph *g, const char *node, cyg_explain *out)
{
    *out = (cyg_explain){.node = node};
    out->wanted = CYG_NEW_ARRAY(&app->arena, bool, (size_t)g->source_count + 1);
    const char **names = CYG_NEW_ARRAY(&app->arena, const char *, (size_t)g->source_count + 1);
    if (out->wanted == NULL || names == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    if (!mark_named(g, node, out->wanted) && !mark_producer(g, node, out->wanted)) {
        for (uint32_t i = 0; i < g->source_count; i++)
            names[i] = g->sources[i].name;
        const int near = cyg_nearest_name(node, names, g->source_count);
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--explain: the model has no node \"%.200s\"%s%s%s",
                        node, near < 0 ? "" : "; did you mean \"", near < 0 ? "" : names[near],
                        near < 0 ? "" : "\"?");
    }
    cyg_explain_step(out, "read", "nothing", g);
    return CYG_OK;
}

static bool is_wanted(const cyg_explain *e, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->source_count; i++)
        if (e->wanted[n->sources[i].i])
            return true;
    return false;
}

void cyg_explain_step(cyg_explain *e, const char *step, const char *reason, const cyg_graph *g)
{
    cyg_strbuf now = {0};
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        if (n->op == CYG_OP_removed || !is_wanted(e, n))
            continue;
        cyg_strbuf_printf(&now, "%s%s \"%s\"", now.len > 0 ? "\n               " : "",
                          cyg_op_schema_of(n->op)->onnx, n->name);
        if (n->source_count > 1)
            cyg_strbuf_printf(&now, ", made of %u source nodes", n->source_count);
    }
    if (now.len == 0)
        cyg_strbuf_printf(&now, "gone: %s", reason);
    const bool same =
        e->last.data != NULL && now.data != NULL &&
        (strcmp(now.data, e->last.data) == 0 ||
         (strncmp(now.data, "gone", 4) == 0 && strncmp(e->last.data, "gone", 4) == 0));
    if (!same && now.data != NULL) {
        cyg_strbuf_printf(&e->lines, "  %-12s %s\n", step, now.data);
        cyg_strbuf_deinit(&e->last);
        e->last = now;
        return;
    }
    cyg_strbuf_deinit(&now);
}

void cyg_explain_deinit(cyg_explain *e)
{
    cyg_strbuf_deinit(&e->last);
    cyg_strbuf_deinit(&e->lines);
}

/* layer_configs to a precision for each node of the optimised graph.
 *
 * An entry may name a node of the optimised graph or an operator of the source model that went into
 * it; types likewise. Of the entries that match, one by name goes before one by type, that before a
 * sub-graph, and the earlier before the later. What an operator that became part of a step sets:
 *
 *   MatMul, Gemm, Conv   of a linear or convolution   its input
 *   any other            of a linear or convolution   its output (sums inside are exact integers)
 *   the first MatMul     of an attention              q and k
 *   its other MatMul     of an attention              v and the probabilities
 *   Softmax              of an attention              the probabilities, in 8 or 16 bits
 *   any other            of an attention              q, k and v (16 bits: the probabilities too)
 *   any                  of another step              the step
 *
 * FP32 makes a float step of it, whichever part of it was named; but an activation or a residual
 * behind a product was made a step of its own before (build_split.c), and the product writes
 * floats. */
#include <string.h>

#include "app/build.h"

enum role { ROLE_STEP, ROLE_OUTPUT, ROLE_SCORES, ROLE_CONTEXT, ROLE_PROBABILITIES, ROLES };

typedef struct layer_matcher {
    cyg_build *b;
    const cyg_graph *g;
    bool **inside;    /* by entry: nodes of its sub-graph; NULL = no sub-graph */
    cyg_node_id node; /* being looked at */
    cyg_asked *out;   /* by node */
} layer_matcher;

/* ---- sub-graphs
 * ---------------------------------------------------------------------------------------------- */

static bool is_default(const cyg_string_list *names)
{
    return names->count == 1 && strcmp(names->items[0], "DEFAULT") == 0;
}

static cyg_status unknown(layer_matcher *m, size_t entry, const char *what, const char *name,
                          const char *const *names, size_t count)
{
    const int near = cyg_nearest_name(name, names, count);
    if (strcmp(name, "DEFAULT") == 0) /* other lists of the file know it as a name for all */
        return CYG_FAIL(
            &m->b->app->ctx, CYG_E_CONFIG,
            "quant.layer_configs[%zu]: there is no %s \"DEFAULT\"; the whole model is "
            "\"start_tensor_names\": [\"DEFAULT\"], \"end_tensor_names\": [\"DEFAULT\"]",
            entry, what);
    return CYG_FAIL(&m->b->app->ctx, CYG_E_CONFIG,
                    "quant.layer_configs[%zu]: there is no %s \"%s\"%s%s%s", entry, what, name,
                    near >= 0 ? "; did you mean \"" : "", near >= 0 ? names[near] : "",
                    near >= 0 ? "\"?" : "");
}

/* Marks the named values in a table by value. */
static cyg_status mark_tensors(layer_matcher *m, size_t entry, const cyg_string_list *names,
                               bool *marks)
{
    for (size_t i = 0; i < names->count; i++) {
        const cyg_value_id v = cyg_graph_find_value(m->g, names->items[i]);
        if (!cyg_value_is_none(v) && !cyg_val(m->g, v)->is_const) {
            marks[v.i] = true;
            continue;
        }
        const char **all = CYG_NEW_ARRAY(&m->b->app->arena, const char *, m->g->value_count + 1);
        size_t count = 0;
        if (all == NULL)
            return CYG_FAIL(&m->b->app->ctx, CYG_E_NOMEM, "out of memory");
        for (uint32_t k = 0; k < m->g->value_count; k++)
            if (!m->g->values[k].is_const)
                all[count++] = m->g->values[k].name;
        return unknown(m, entry, "tensor in the optimised model", names->items[i], all, count);
    }
    return CYG_OK;
}

/* Nodes on a way from a start to an end. */
static cyg_status mark_range(layer_matcher *m, size_t entry, const cyg_config_layer *l)
{
    const cyg_graph *g = m->g;
    cyg_arena *arena = &m->b->app->arena;
    bool *from = CYG_NEW_ARRAY(arena, bool, g->value_count + 1),
         *to = CYG_NEW_ARRAY(arena, bool, g->value_count + 1),
         *inside = CYG_NEW_ARRAY(arena, bool, g->node_count + 1);
    if (from == NULL || to == NULL || inside == NULL)
        return CYG_FAIL(&m->b->app->ctx, CYG_E_NOMEM, "out of memory");
    const bool all_from = is_default(&l->start_tensor_names),
               all_to = is_default(&l->end_tensor_names);
    if (!all_from)
        CYG_DO(mark_tensors(m, entry, &l->start_tensor_names, from));
    if (!all_to)
        CYG_DO(mark_tensors(m, entry, &l->end_tensor_names, to));
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        bool follows = all_from;
        for (uint32_t k = 0; k < n->in_count; k++)
            follows = follows || (!cyg_value_is_none(n->in[k]) && from[n->in[k].i]);
        inside[g->order[i].i] = follows;
        for (uint32_t k = 0; follows && k < n->out_count; k++)
            if (!cyg_value_is_none(n->out[k]))
                from[n->out[k].i] = true;
    }
    for (uint32_t i = g->order_count; i-- > 0;) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        bool leads = all_to;
        for (uint32_t k = 0; k < n->out_count; k++)
            leads = leads || (!cyg_value_is_none(n->out[k]) && to[n->out[k].i]);
        inside[g->order[i].i] = inside[g->order[i].i] && leads;
        for (uint32_t k = 0; leads && k < n->in_count; k++)
            if (!cyg_value_is_none(n->in[k]))
                to[n->in[k].i] = true;
    }
    m->inside[entry] = inside;
    return CYG_OK;
}

static bool in_range(void *user, size_t entry)
{
    const layer_matcher *m = user;
    return m->inside[entry] != NULL && m->inside[entry][m->node.i];
}

/* ---- one node
 * ------------------------------------------------------------------------------------------------
 */

/* No other MatMul of the source model that went into n stands before this one. */
static bool is_first_product(const cyg_graph *g, const cyg_node *n, uint32_t source)
{
    for (uint32_t k = 0; k < n->source_count; k++)
        if (n->sources[k].i < source && strcmp(g->sources[n->sources[k].i].kind, "MatMul") == 0)
            return false;
    return true;
}

static enum role role_of(const cyg_graph *g, const cyg_node *n, uint32_t source)
{
    const char *kind = g->sources[source].kind;
    const bool product = strcmp(kind, "MatMul") == 0 || strcmp(kind, "Gemm") == 0 ||
                         strcmp(kind, "Conv") == 0 || strcmp(kind, "tensor") == 0;
    if (n->op == CYG_OP_attention && strcmp(kind, "MatMul") == 0)
        return is_first_product(g, n, source) ? ROLE_SCORES : ROLE_CONTEXT;
    if (n->op == CYG_OP_attention)
        return strcmp(kind, "Softmax") == 0 ? ROLE_PROBABILITIES : ROLE_STEP;
    if (n->op == CYG_OP_linear || n->op == CYG_OP_conv2d)
        return product ? ROLE_STEP : ROLE_OUTPUT;
    return ROLE_STEP;
}

static int rank_of(const cyg_config_layer *l)
{
    return l->layer_name != NULL || l->layer_names.count > 0 ? 3
           : l->op_type != NULL || l->op_types.count > 0     ? 2
                                                             : 1;
}

static cyg_type type_of(cyg_config_data_type t)
{
    return t == CYG_CONFIG_DTYPE_FP32                               ? CYG_TYPE_F32
           : t == CYG_CONFIG_DTYPE_U16 || t == CYG_CONFIG_DTYPE_S16 ? CYG_TYPE_S16
           : t == CYG_CONFIG_DTYPE_S8                               ? CYG_TYPE_S8
                                                                    : CYG_TYPE_U8;
}

static bool is_set(const cyg_config_mark *at)
{
    return at->origin != CYG_CONFIG_DEFAULT;
}

/* Sets what entry l asks of a node that it matches in this role; returns the parts that it set. */
static unsigned apply(const cyg_node *n, enum role role, const cyg_config_layer *l, cyg_asked *p)
{
    cyg_type type = is_set(&l->data_type_at) ? type_of(l->data_type) : CYG_TYPE_NONE;
    unsigned parts = 0;
    if (l->weight_data_type == CYG_CONFIG_DTYPE_FP32)
        type = CYG_TYPE_F32;
    const bool wide = type == CYG_TYPE_S16;
    if (type == CYG_TYPE_F32 && role == ROLE_OUTPUT) { /* the product stays in integers */
        p->output = type;
        parts |= CYG_PART_OUTPUT;
    } else if (type == CYG_TYPE_F32 || role == ROLE_STEP || role == ROLE_SCORES) {
        p->data = type != CYG_TYPE_NONE ? type : p->data;
        p->insist = rank_of(l) > 1;
        parts |= type == CYG_TYPE_F32    ? CYG_FLOAT_AS_ASKED
                 : type != CYG_TYPE_NONE ? CYG_PART_DATA
                                         : 0;
    } else if (role == ROLE_OUTPUT && type != CYG_TYPE_NONE) {
        p->output = type;
        parts |= CYG_PART_OUTPUT;
    } else if (role == ROLE_CONTEXT && type != CYG_TYPE_NONE) {
        p->value = type;
        parts |= CYG_PART_VALUE;
    }
    /* The probabilities: of their own, as an input of the second product, and where all of an
     * attention is to have 16 bits. */
    if (type != CYG_TYPE_NONE && type != CYG_TYPE_F32 &&
        (role == ROLE_PROBABILITIES || role == ROLE_CONTEXT ||
         (n->op == CYG_OP_attention && role == ROLE_STEP && wide))) {
        p->e_bits = wide ? 16 : 8;
        parts |= CYG_PART_PROBABILITIES;
    }
    if (is_set(&l->weight_data_type_at) && role == ROLE_STEP &&
        l->weight_data_type != CYG_CONFIG_DTYPE_FP32) {
        p->s4 = l->weight_data_type == CYG_CONFIG_DTYPE_S4;
        p->weight = p->s4                                         ? CYG_TYPE_NONE
                    : l->weight_data_type == CYG_CONFIG_DTYPE_S16 ? CYG_TYPE_S16
                                                                  : CYG_TYPE_S8;
        if (n->op == CYG_OP_linear || n->op == CYG_OP_conv2d)
            parts |= CYG_PART_WEIGHT;
    }
    if (is_set(&l->output_data_type_at)) {
        p->output = type_of(l->output_data_type);
        parts |= CYG_PART_OUTPUT;
    }
    return parts;
}

/* Entry `entry` set these parts of the node being looked at; of an earlier entry's, they go. */
static void keep_match(layer_matcher *m, size_t entry, unsigned parts)
{
    cyg_build *b = m->b;
    cyg_build_match *same = NULL;
    for (size_t i = b->match_count; i-- > 0 && b->matches[i].node.i == m->node.i;)
        if (b->matches[i].entry == entry)
            same = &b->matches[i];
        else
            b->matches[i].lost |= b->matches[i].parts & parts;
    if (same != NULL)
        same->parts |= parts;
    else
        b->matches[b->match_count++] = (cyg_build_match){entry, m->node, parts, 0};
}

static void match_node(layer_matcher *m)
{
    const cyg_config_quant *q = &m->b->config.quant;
    const cyg_node *n = cyg_nod(m->g, m->node);
    const cyg_config_layer *chosen[ROLES] = {NULL};
    bool chosen_by_name = false;
    for (uint32_t k = 0; k <= n->source_count; k++) {
        const bool own = k == n->source_count;
        const cyg_source *source = own ? NULL : &m->g->sources[n->sources[k].i];
        const char *kind = own ? cyg_op_schema_of(n->op)->onnx : source->kind;
        const enum role role = own ? ROLE_STEP : role_of(m->g, n, n->sources[k].i);
        const cyg_config_layer *l =
            cyg_config_pick_layer(q, own ? n->name : source->name, kind, own ? in_range : NULL, m);
        /* A step is called after one of its operators: that name means the operator. */
        if (l == NULL || (own && rank_of(l) == 3 && chosen_by_name))
            continue;
        chosen_by_name = chosen_by_name || rank_of(l) == 3;
        const cyg_config_layer *was = chosen[role];
        if (was == NULL || rank_of(l) > rank_of(was) || (rank_of(l) == rank_of(was) && l < was))
            chosen[role] = l;
    }
    for (int role = 0; role < ROLES; role++)
        if (chosen[role] != NULL) {
            const unsigned parts = apply(n, (enum role)role, chosen[role], &m->out[m->node.i]);
            keep_match(m, (size_t)(chosen[role] - q->layer_configs.items), parts);
        }
}

/* ---- all
 * ------------------------------------------------------------------------------------------------------
 */

static bool known(const layer_matcher *m, const char *name, bool type)
{
    for (uint32_t i = 0; i < m->g->order_count; i++) {
        const cyg_node *n = cyg_nod(m->g, m->g->order[i]);
        if (strcmp(type ? cyg_op_schema_of(n->op)->onnx : n->name, name) == 0)
            return true;
        for (uint32_t k = 0; k < n->source_count; k++) {
            const cyg_source *s = &m->g->sources[n->sources[k].i];
            if (strcmp(type ? s->kind : s->name, name) == 0)
                return true;
        }
    }
    return false;
}

/* Every name and type that an entry gives must exist. */
static cyg_status check_known(layer_matcher *m, size_t entry, const char *name, bool type)
{
    if (name == NULL || known(m, name, type))
        return CYG_OK;
    const char **all =
        CYG_NEW_ARRAY(&m->b->app->arena, const char *, m->g->order_count + m->g->source_count + 1);
    size_t count = 0;
    if (all == NULL)
        return CYG_FAIL(&m->b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < m->g->order_count; i++) {
        const cyg_node *n = cyg_nod(m->g, m->g->order[i]);
        all[count++] = type ? cyg_op_schema_of(n->op)->onnx : n->name;
    }
    for (uint32_t i = 0; i < m->g->source_count; i++) {
        const char *source = type ? m->g->sources[i].kind : m->g->sources[i].name;
        if (strcmp(source, name) == 0)
            return CYG_FAIL(&m->b->app->ctx, CYG_E_CONFIG,
                            "quant.layer_configs[%zu]: the model has %s\"%s\", but nothing of it "
                            "is left in the optimised one: leave it out",
                            entry, type ? "operators of type " : "operator ", name);
        all[count++] = source;
    }
    return unknown(m, entry, type ? "operator of type" : "operator", name, all, count);
}

static cyg_status check_entry(layer_matcher *m, size_t entry, const cyg_config_layer *l)
{
    CYG_DO(check_known(m, entry, l->layer_name, false));
    for (size_t i = 0; i < l->layer_names.count; i++)
        CYG_DO(check_known(m, entry, l->layer_names.items[i], false));
    CYG_DO(check_known(m, entry, l->op_type, true));
    for (size_t i = 0; i < l->op_types.count; i++)
        CYG_DO(check_known(m, entry, l->op_types.items[i], true));
    return l->start_tensor_names.count > 0 ? mark_range(m, entry, l) : CYG_OK;
}

/* output_dtype U8: whatever computes the output is asked for 8 bits there. */
static cyg_status ask_for_codes(cyg_build *b)
{
    const cyg_graph *g = b->graph;
    cyg_asked *asked = NULL;
    for (uint32_t i = 0; i < g->output_count; i++) {
        cyg_node_id n = cyg_val(g, g->outputs[i])->producer;
        if (b->outputs[i].output_dtype != CYG_CONFIG_DTYPE_U8)
            continue;
        while (!cyg_node_is_none(n) &&
               (cyg_op_schema_of(cyg_nod(g, n)->op)->flags & CYG_OPF_MOVE) != 0)
            n = cyg_val(g, cyg_nod(g, n)->in[0])->producer;
        if (cyg_node_is_none(n))
            continue;
        if (asked == NULL) {
            asked = CYG_NEW_ARRAY(&b->app->arena, cyg_asked, g->node_count + 1);
            if (asked == NULL)
                return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
            if (b->asked != NULL)
                memcpy(asked, b->asked, g->node_count * sizeof *asked);
            b->asked = asked;
        }
        if (asked[n.i].output == CYG_TYPE_NONE)
            asked[n.i].output = CYG_TYPE_U8;
    }
    return CYG_OK;
}

cyg_status cyg_build_layers(cyg_build *b)
{
    const cyg_config_quant *q = &b->config.quant;
    const size_t count = q->layer_configs.count;
    layer_matcher m = {.b = b, .g = b->graph};
    b->match_count = 0;
    if (count == 0)
        return ask_for_codes(b);
    m.inside = CYG_NEW_ARRAY(&b->app->arena, bool *, count);
    m.out = CYG_NEW_ARRAY(&b->app->arena, cyg_asked, m.g->node_count + 1);
    b->matches =
        CYG_NEW_ARRAY(&b->app->arena, cyg_build_match, (size_t)m.g->order_count * ROLES + 1);
    if (m.inside == NULL || m.out == NULL || b->matches == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        CYG_DO(check_entry(&m, i, &q->layer_configs.items[i]));
    for (uint32_t i = 0; i < m.g->order_count; i++) {
        m.node = m.g->order[i];
        match_node(&m);
    }
    b->asked = m.out;
    return ask_for_codes(b);
}

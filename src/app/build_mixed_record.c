/* What a search for mixed precision leaves: entries of layer_configs that say the same, and the
 * curve of cost and gain. */
#include <string.h>

#include "app/build_mixed.h"

static bool is_product(const char *kind)
{
    return strcmp(kind, "MatMul") == 0 || strcmp(kind, "Gemm") == 0 || strcmp(kind, "Conv") == 0 ||
           strcmp(kind, "tensor") == 0;
}

/* An operator's name is unique where it went into this node alone. */
static bool is_shared(const cyg_graph *g, cyg_node_id id, uint32_t source)
{
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; g->order[i].i != id.i && k < n->source_count; k++)
            if (n->sources[k].i == source)
                return true;
    }
    return false;
}

/* Names that mean the inputs of a step: its products of the source model (both of an attention),
 * one of a linear or convolution, else its own. */
static size_t names_of(const cyg_graph *g, cyg_node_id id, const char **out, size_t room)
{
    const cyg_node *n = cyg_nod(g, id);
    const bool attention = n->op == CYG_OP_attention;
    size_t count = 0;
    for (uint32_t k = 0; k < n->source_count; k++) {
        const cyg_source *s = &g->sources[n->sources[k].i];
        const bool fits =
            attention ? strcmp(s->kind, "MatMul") == 0 : count == 0 && is_product(s->kind);
        if (fits && count < room && !is_shared(g, id, n->sources[k].i))
            out[count++] = s->name;
    }
    if (count == 0)
        out[count++] = n->name;
    return count;
}

enum { NAMES_OF_STEP = 8 };

/* Both increments of a node are one entry's business: the last one counts. */
static bool is_last_of(const cyg_build_mixed *m, size_t raised, size_t i)
{
    for (size_t k = i + 1; k < raised; k++)
        if (m->steps[k].node.i == m->steps[i].node.i)
            return false;
    return true;
}

static bool wide_weights(const cyg_build_mixed *m, size_t raised, cyg_node_id node)
{
    for (size_t k = 0; k < raised; k++)
        if (m->steps[k].node.i == node.i && m->steps[k].wide_weights)
            return true;
    return false;
}

static cyg_status fill_names(cyg_build *b, size_t raised, bool wide, cyg_string_list *out)
{
    const cyg_build_mixed *m = b->mixed;
    out->count = 0;
    out->items = CYG_NEW_ARRAY(&b->app->arena, const char *, raised *NAMES_OF_STEP + 1);
    if (out->items == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < raised; i++)
        if (is_last_of(m, raised, i) && wide_weights(m, raised, m->steps[i].node) == wide)
            out->count +=
                names_of(b->graph, m->steps[i].node, out->items + out->count, NAMES_OF_STEP);
    return CYG_OK;
}

cyg_status cyg_mixed_configure(cyg_build *b, size_t raised)
{
    cyg_config_quant *q = &b->config.quant;
    const cyg_config_mark set = {.origin = CYG_CONFIG_COMMAND_LINE};
    const size_t given = b->given_layers;
    cyg_config_layer *items = CYG_NEW_ARRAY(&b->app->arena, cyg_config_layer, given + 2);
    if (items == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    if (given > 0)
        memcpy(items, q->layer_configs.items, given * sizeof *items);
    size_t count = given;
    for (int wide = 0; wide < 2; wide++) {
        cyg_config_layer l = {.data_type = CYG_CONFIG_DTYPE_S16,
                              .data_type_at = set,
                              .layer_names_at = set,
                              .output_data_type = CYG_CONFIG_DTYPE_U8,
                              .weight_data_type =
                                  wide ? CYG_CONFIG_DTYPE_S16 : CYG_CONFIG_DTYPE_S8};
        if (wide)
            l.weight_data_type_at = set;
        CYG_DO(fill_names(b, raised, wide != 0, &l.layer_names));
        if (l.layer_names.count > 0)
            items[count++] = l;
    }
    q->layer_configs.items = items;
    q->layer_configs.count = count;
    return cyg_build_layers(b);
}

/* ---- records ---- */

static void write_entries(const cyg_build *b, cyg_json *j)
{
    const cyg_config_quant *q = &b->config.quant;
    cyg_json_begin_array(j);
    for (size_t i = b->given_layers; i < q->layer_configs.count; i++) {
        const cyg_config_layer *l = &q->layer_configs.items[i];
        cyg_json_begin_object(j);
        cyg_json_key(j, "layer_names");
        cyg_json_begin_array(j);
        for (size_t k = 0; k < l->layer_names.count; k++)
            cyg_json_string(j, l->layer_names.items[k]);
        cyg_json_end_array(j);
        cyg_json_key_string(j, "data_type", "S16");
        if (l->weight_data_type == CYG_CONFIG_DTYPE_S16)
            cyg_json_key_string(j, "weight_data_type", "S16");
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
}

cyg_status cyg_mixed_write_fragment(cyg_build *b)
{
    cyg_strbuf text = {0};
    cyg_json j;
    const char *path;
    CYG_DO(cyg_build_path(b, "quant/mixed_precision.json", &path));
    cyg_json_init(&j, &text, 2);
    cyg_json_begin_object(&j);
    cyg_json_key(&j, "quant");
    cyg_json_begin_object(&j);
    cyg_json_key(&j, "layer_configs");
    write_entries(b, &j);
    cyg_json_end_object(&j);
    cyg_json_end_object(&j);
    cyg_strbuf_puts(&text, "\n");
    const cyg_status status = text.failed ? CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory")
                                          : cyg_write_file(&b->app->ctx, path, text.data, text.len);
    cyg_strbuf_deinit(&text);
    return status;
}

static void write_step(const cyg_mixed_step *s, bool raised, cyg_json *j)
{
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "name", s->name);
    cyg_json_key_string(j, "operator", s->kind);
    cyg_json_key_string(j, "raises", s->wide_weights ? "inputs and weights" : "inputs");
    cyg_json_key_double(j, "cost", s->cost);
    cyg_json_key_double(j, "gain", s->gain);
    cyg_json_key_bool(j, "raised", raised);
    cyg_json_end_object(j);
}

static void write_point(const cyg_mixed_point *p, cyg_json *j)
{
    cyg_json_begin_object(j);
    cyg_json_key_int(j, "steps", (int64_t)p->raised);
    cyg_json_key_double(j, "cost", p->cost);
    cyg_json_key_double(j, "sqnr_db", p->sqnr_db);
    cyg_json_key_double(j, "cosine", p->cosine);
    cyg_json_key_double(j, "agreement", p->agreement);
    cyg_json_key_bool(j, "from_scratch", p->whole);
    cyg_json_end_object(j);
}

void cyg_mixed_write(const cyg_build *b, cyg_json *j)
{
    const cyg_build_mixed *m = b->mixed;
    if (m == NULL) {
        cyg_json_null(j);
        return;
    }
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "target", m->metric);
    cyg_json_key_double(j, "at_least", m->target);
    cyg_json_key_int(j, "sensitivity_samples", (int64_t)m->samples);
    cyg_json_key(j, "curve");
    cyg_json_begin_array(j);
    for (size_t i = 0; i < m->point_count; i++)
        write_point(&m->points[i], j);
    cyg_json_end_array(j);
    cyg_json_key(j, "steps");
    cyg_json_begin_array(j);
    for (size_t i = 0; i < m->count; i++)
        write_step(&m->steps[i], i < m->raised, j);
    cyg_json_end_array(j);
    cyg_json_end_object(j);
}

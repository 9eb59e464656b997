/* A study: what samples say is learned once, then parameters are assigned again and again for other
 * wishes, as the search for a mixed precision needs it. Equalisation and ranges stay those of the
 * first wishes; quantised weights and corrected biases are kept by layer and type of its input, so
 * that a trial costs little more than a copy of the graph. */
#include "quant/study.h"

#include <stdlib.h>

#include "base/arena.h"
#include "quant/correct.h"

/* What a layer's weights and bias became. */
typedef struct kept_weights {
    cyg_type x_type, type;
    float x_scale;
    int32_t x_zero;
    cyg_value weights; /* data and scales in the study's arena */
    const float *bias; /* NULL = as it was */
    int64_t channels;
    struct kept_weights *next;
} kept_weights;

struct cyg_weight_memo {
    cyg_arena arena;
    kept_weights **of; /* by node */
};

struct cyg_quant_study {
    cyg_arena arena;
    cyg_graph *g;
    cyg_quant_options options;
    cyg_scheme learned;
    struct cyg_weight_memo memo;
};

static bool is_same(const kept_weights *k, const cyg_quant *x, cyg_type type)
{
    return k->x_type == x->type && k->type == type && k->x_zero == x->zero_point &&
           !(k->x_scale < x->scales[0]) && !(k->x_scale > x->scales[0]);
}

cyg_status cyg_quant_memo_recall(cyg_scheme *s, cyg_node_id id, const cyg_quant *x, cyg_type type,
                                 bool *out_known)
{
    *out_known = false;
    if (s->memo == NULL)
        return CYG_OK;
    for (const kept_weights *k = s->memo->of[id.i]; k != NULL; k = k->next) {
        if (!is_same(k, x, type))
            continue;
        const cyg_value *w = &k->weights;
        const cyg_value_id now =
            cyg_graph_add_const(s->g, w->name, w->type, w->rank, w->dims, w->data, w->bytes);
        if (cyg_value_is_none(now))
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
        cyg_val(s->g, now)->quant = w->quant;
        cyg_node_set_input(s->g, id, 1, now);
        *out_known = true;
        return k->bias == NULL ? CYG_OK : cyg_quant_set_bias(s, id, k->bias, k->channels);
    }
    return CYG_OK;
}

cyg_status cyg_quant_memo_keep(cyg_scheme *s, cyg_node_id id, const cyg_quant *x,
                               cyg_value_id bias_before)
{
    if (s->memo == NULL)
        return CYG_OK;
    cyg_arena *arena = &s->memo->arena;
    const cyg_node *n = cyg_nod(s->g, id);
    const cyg_value *w = cyg_val(s->g, n->in[1]);
    const cyg_value_id bias = cyg_node_in(n, 2);
    kept_weights *k = CYG_NEW(arena, kept_weights);
    if (k == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    *k = (kept_weights){.x_type = x->type,
                        .type = w->type,
                        .x_scale = x->scales[0],
                        .x_zero = x->zero_point,
                        .weights = *w,
                        .channels = w->dims[0],
                        .next = s->memo->of[id.i]};
    k->weights.name = cyg_arena_strdup(arena, w->name);
    k->weights.data = cyg_arena_memdup(arena, w->data, w->bytes);
    k->weights.quant.scales =
        cyg_arena_memdup(arena, w->quant.scales, w->quant.count * sizeof *w->quant.scales);
    if (bias.i != bias_before.i)
        k->bias = cyg_arena_memdup(arena, cyg_val(s->g, bias)->data, cyg_val(s->g, bias)->bytes);
    if (k->weights.name == NULL || k->weights.data == NULL || k->weights.quant.scales == NULL ||
        (bias.i != bias_before.i && k->bias == NULL))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    s->memo->of[id.i] = k;
    return CYG_OK;
}

static cyg_status learn(cyg_quant_study *t, const cyg_sample_source *samples)
{
    cyg_quant_report report = {0};
    cyg_scheme *s = &t->learned;
    t->memo.of = CYG_NEW_ARRAY(&t->memo.arena, kept_weights *, t->g->node_count + 1);
    if (t->memo.of == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    return cyg_quant_learn(s, samples, &report);
}

cyg_status cyg_quant_study_open(cyg_ctx *ctx, const cyg_graph *g, const cyg_sample_source *samples,
                                const cyg_quant_options *options, cyg_quant_study **out_study)
{
    *out_study = NULL;
    cyg_quant_study *t = calloc(1, sizeof *t);
    if (t == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_arena_init(&t->arena);
    cyg_arena_init(&t->memo.arena);
    t->options = *options;
    t->g = cyg_graph_clone(g);
    if (t->g == NULL) {
        cyg_quant_study_close(t);
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    }
    t->learned = (cyg_scheme){.ctx = ctx,
                              .g = t->g,
                              .arena = &t->arena,
                              .options = &t->options,
                              .value_count = t->g->value_count,
                              .node_count = t->g->node_count};
    const cyg_status status = learn(t, samples);
    if (status == CYG_OK)
        *out_study = t;
    else
        cyg_quant_study_close(t);
    return status;
}

void cyg_quant_study_close(cyg_quant_study *t)
{
    if (t == NULL)
        return;
    cyg_graph_destroy(t->g);
    cyg_arena_deinit(&t->memo.arena);
    cyg_arena_deinit(&t->arena);
    free(t);
}

/* Ranges and rows of a trial's own: it may fold the normalisation into the first layer, whose rows
 * then hold pixels. Equalisation has added constants since samples were observed. */
static cyg_status take_over(const cyg_quant_study *t, cyg_scheme *s)
{
    s->observed = CYG_NEW_ARRAY(s->arena, cyg_observed, s->value_count + 1);
    s->rows = CYG_NEW_ARRAY(s->arena, cyg_rows, s->node_count + 1);
    if (s->observed == NULL || s->rows == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    memcpy(s->observed, t->learned.observed, t->learned.value_count * sizeof *s->observed);
    memcpy(s->rows, t->learned.rows, t->learned.node_count * sizeof *s->rows);
    return CYG_OK;
}

static cyg_status assign_again(cyg_quant_study *t, cyg_scheme *s)
{
    cyg_quant_report report = {0};
    s->isa = t->learned.isa;
    CYG_DO(take_over(t, s));
    CYG_DO(cyg_quant_choose(s));
    CYG_DO(cyg_quant_gains_prepare(s));
    CYG_DO(cyg_quant_normalize_input(s));
    return cyg_quant_assign(s, &report);
}

cyg_status cyg_quant_study_try(cyg_ctx *ctx, cyg_quant_study *t, const cyg_asked *asked,
                               cyg_graph **out_g)
{
    cyg_arena arena;
    cyg_quant_options options = t->options;
    cyg_graph *g = cyg_graph_clone(t->g);
    *out_g = NULL;
    if (g == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_arena_init(&arena);
    options.asked = asked;
    cyg_scheme s = {.ctx = ctx,
                    .g = g,
                    .arena = &arena,
                    .options = &options,
                    .value_count = g->value_count,
                    .node_count = g->node_count,
                    .memo = &t->memo};
    const cyg_status status = assign_again(t, &s);
    cyg_arena_deinit(&arena);
    if (status == CYG_OK)
        *out_g = g;
    else
        cyg_graph_destroy(g);
    return status;
}

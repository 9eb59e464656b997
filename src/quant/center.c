/* Centring of weights behind a LayerNorm. What it writes before gamma and beta adds up to zero in
 * every row, so with x = gamma u + beta, sum u = 0,
 *     sum_k (w[k] + c / gamma[k]) x[k]  =  sum_k w[k] x[k]  +  c sum_k beta[k] / gamma[k]
 * for any c: each row of the weights may be moved along 1 / gamma, and its bias takes the constant
 * back. Chosen is the c with the least largest weight, since one output's weights share a scale
 * and the largest decides on the step of all: some 0.8 dB less rounding error for nothing. The
 * function to be made small is convex in c: golden sections find it. Only for inputs of 16 bits:
 * the rounding of 8-bit inputs does not add up to zero, and outweighs it. */
#include <math.h>

#include "base/pool.h"
#include "quant/correct.h"
#include "quant/params.h"

enum {
    LANES = 16,    /* maxima side by side, so that compilers use vectors */
    SECTIONS = 24, /* 0.618^24: a hundred thousandth of the interval */
};

typedef struct centring {
    cyg_scheme *s;
    cyg_node_id id, norm;
    int64_t channels, taps;
    const float *weights;
    float *inverse; /* 1 / gamma, [taps] */
    float *moves;   /* c, by output */
    float *centred; /* [channels][taps] */
    double *steps;  /* largest weights before and after, squared, [channels][2] */
} centring;

static const float *constant_floats(const cyg_graph *g, cyg_value_id v, int64_t count)
{
    if (cyg_value_is_none(v) || !cyg_val(g, v)->is_const || cyg_val(g, v)->type != CYG_TYPE_F32 ||
        cyg_value_elements(cyg_val(g, v)) != count)
        return NULL;
    return cyg_val(g, v)->data;
}

/* A linear with weights of 8 bits that reads 16 bits from an integer LayerNorm. */
static bool applies(centring *c, cyg_node_id id)
{
    const cyg_scheme *s = c->s;
    const cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id);
    if (n->op != CYG_OP_linear || !s->integer[id.i] || s->s4[id.i] ||
        cyg_quant_asked(s, n).weight == CYG_TYPE_S16 || n->in[0].i >= s->value_count ||
        s->store[s->class_of[n->in[0].i]] != CYG_STORE_S16 ||
        cyg_quant_demand(s, n, 0) != CYG_STORE_S16)
        return false;
    c->id = id;
    c->norm = cyg_val(g, n->in[0])->producer;
    if (cyg_node_is_none(c->norm) || !s->integer[c->norm.i] ||
        cyg_nod(g, c->norm)->op != CYG_OP_layer_normalization)
        return false;
    const cyg_value *w = cyg_val(g, n->in[1]), *x = cyg_val(g, n->in[0]);
    c->taps = x->rank > 0 ? x->dims[x->rank - 1] : 0;
    c->channels = w->dims[0];
    c->weights = constant_floats(g, n->in[1], c->channels * c->taps);
    return c->weights != NULL && c->taps > 1 && c->channels > 0;
}

static float largest(const float *w, const float *v, float c, int64_t count)
{
    float most[LANES] = {0};
    int64_t k = 0;
    for (; k + LANES <= count; k += LANES)
        for (int i = 0; i < LANES; i++) {
            const float x = fabsf(w[k + i] + c * v[k + i]);
            most[i] = x > most[i] ? x : most[i];
        }
    for (; k < count; k++) {
        const float x = fabsf(w[k] + c * v[k]);
        most[0] = x > most[0] ? x : most[0];
    }
    for (int i = 1; i < LANES; i++)
        most[0] = most[i] > most[0] ? most[i] : most[0];
    return most[0];
}

/* At the best c no weight is larger than the largest was, so |c v[k]| <= 2 max |w|. */
static float best_move(const float *w, const float *v, int64_t count, float before, float widest)
{
    static const float golden = 0.618033989f;
    float lo = -2.0f * before / widest, hi = -lo, a = hi - golden * (hi - lo),
          b = lo + golden * (hi - lo);
    float at_a = largest(w, v, a, count), at_b = largest(w, v, b, count);
    for (int i = 0; i < SECTIONS; i++) {
        if (at_a < at_b) {
            hi = b;
            b = a;
            at_b = at_a;
            a = hi - golden * (hi - lo);
            at_a = largest(w, v, a, count);
        } else {
            lo = a;
            a = b;
            at_a = at_b;
            b = lo + golden * (hi - lo);
            at_b = largest(w, v, b, count);
        }
    }
    return at_a < at_b ? a : b;
}

static void center_rows(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const centring *c = arg;
    const float widest = largest(c->inverse, c->inverse, 0.0f, c->taps);
    (void)worker;
    for (int64_t n = begin; n < end; n++) {
        const float *w = c->weights + n * c->taps;
        float *to = c->centred + n * c->taps;
        const float before = largest(w, w, 0.0f, c->taps);
        float move = best_move(w, c->inverse, c->taps, before, widest);
        if (!(largest(w, c->inverse, move, c->taps) < before))
            move = 0.0f;
        for (int64_t k = 0; k < c->taps; k++)
            to[k] = (float)((double)w[k] + (double)move * (double)c->inverse[k]);
        const float after = largest(to, to, 0.0f, c->taps);
        c->moves[n] = move;
        c->steps[2 * n] = (double)before * (double)before;
        c->steps[2 * n + 1] = (double)after * (double)after;
    }
}

/* sum beta / gamma, and 1 / gamma. false: gamma has a zero, whose channel is constant. */
static bool invert_gamma(centring *c, double *out_offset)
{
    const cyg_graph *g = c->s->g;
    const cyg_node *norm = cyg_nod(g, c->norm);
    const float *gamma = constant_floats(g, cyg_node_in(norm, 1), c->taps),
                *beta = constant_floats(g, cyg_node_in(norm, 2), c->taps);
    if (gamma == NULL || (beta == NULL && !cyg_value_is_none(cyg_node_in(norm, 2))))
        return false;
    *out_offset = 0.0;
    for (int64_t k = 0; k < c->taps; k++) {
        c->inverse[k] = 1.0f / gamma[k];
        if (!isfinite(c->inverse[k]))
            return false;
        *out_offset += beta != NULL ? (double)beta[k] * (double)c->inverse[k] : 0.0;
    }
    return true;
}

static cyg_status center(centring *c, cyg_arena *scratch)
{
    cyg_scheme *s = c->s;
    cyg_graph *g = s->g;
    double offset, before = 0.0, after = 0.0;
    c->inverse = CYG_NEW_ARRAY(scratch, float, c->taps);
    c->moves = CYG_NEW_ARRAY(scratch, float, c->channels);
    c->steps = CYG_NEW_ARRAY(scratch, double, 2 * c->channels);
    c->centred = CYG_NEW_ARRAY(&g->arena, float, c->channels * c->taps);
    float *bias = CYG_NEW_ARRAY(&g->arena, float, c->channels);
    if (c->inverse == NULL || c->moves == NULL || c->steps == NULL || c->centred == NULL ||
        bias == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    if (!invert_gamma(c, &offset))
        return CYG_OK;
    cyg_pool_for(s->ctx->pool, c->channels, 0, center_rows, c);
    const cyg_value_id w = cyg_nod(g, c->id)->in[1], old = cyg_node_in(cyg_nod(g, c->id), 2);
    const float *was = cyg_value_is_none(old) ? NULL : constant_floats(g, old, c->channels);
    if (was == NULL && !cyg_value_is_none(old))
        return CYG_OK;
    for (int64_t n = 0; n < c->channels; n++) {
        before += c->steps[2 * n];
        after += c->steps[2 * n + 1];
        bias[n] = (float)((was != NULL ? (double)was[n] : 0.0) - (double)c->moves[n] * offset);
    }
    if (!(after < before))
        return CYG_OK;
    const cyg_value from = *cyg_val(g, w); /* adding values may move the array */
    const cyg_value_id now = cyg_graph_add_const(g, from.name, CYG_TYPE_F32, from.rank, from.dims,
                                                 c->centred, from.bytes);
    if (cyg_value_is_none(now))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_node_set_input(g, c->id, 1, now);
    cyg_quant_gains_add(s, "center", c->id, before, after);
    return cyg_quant_set_bias(s, c->id, bias, c->channels);
}

cyg_status cyg_quant_center_weights(cyg_scheme *s)
{
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        centring c = {.s = s};
        if (!applies(&c, s->g->order[i]))
            continue;
        cyg_arena scratch;
        cyg_arena_init(&scratch);
        const cyg_status status = center(&c, &scratch);
        cyg_arena_deinit(&scratch);
        CYG_DO(status);
    }
    return CYG_OK;
}

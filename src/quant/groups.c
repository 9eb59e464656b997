/* Scales of 4-bit weights. With fifteen multipliers a group's step is within 1/30 of what it would
 * choose for itself; the output's scale, which all of its groups share, is tried at some shares of
 * what its widest group needs, and each group takes the multiplier with the least error: a little
 * clipping buys the other fifteen weights finer steps. Errors of taps are taken as independent
 * here; how they work together is the business of round.c. */
#include "quant/groups.h"

#include <math.h>

#include "base/pool.h"
#include "quant/params.h"

enum { SHARES = 4 };
static const float shares[SHARES] = {1.0f, 0.9f, 0.8f, 0.7f};
static const double least_energy = 0.01; /* of the mean: rows have hardly seen such a tap */

typedef struct search {
    const cyg_kernels *isa;
    const float *weights, *energy; /* [channels][taps], [taps] */
    int64_t channels, taps, groups;
    float *scales;
    uint8_t *multipliers, *trial; /* [channels][groups]; by worker [groups] */
} search;

static bool wants_s4(const cyg_scheme *s, const cyg_node *n)
{
    if (n->op != CYG_OP_linear &&
        (n->op != CYG_OP_conv2d || cyg_node_int(n, CYG_ATTR_group, 1) != 1))
        return false;
    const cyg_asked asked = cyg_quant_asked(s, n);
    if (asked.s4 || !s->options->s4 || asked.weight != CYG_TYPE_NONE)
        return asked.s4;
    const cyg_value_id x = n->in[0];
    return s->store[s->class_of[x.i]] != CYG_STORE_S16 && !cyg_graph_is_input(s->g, x);
}

cyg_status cyg_quant_choose_s4(cyg_scheme *s)
{
    s->s4 = CYG_NEW_ARRAY(s->arena, bool, s->node_count + 1);
    if (s->s4 == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        const cyg_node_id id = s->g->order[i];
        s->s4[id.i] = s->integer[id.i] && wants_s4(s, cyg_nod(s->g, id));
    }
    return CYG_OK;
}

static float widest(const float *w, int64_t count)
{
    float most = 0.0f;
    for (int64_t k = 0; k < count; k++) {
        const float v = w[k] < 0.0f ? -w[k] : w[k];
        most = v > most ? v : most;
    }
    return most;
}

/* Multipliers for one output at this scale; returns the error. */
static double choose(const search *r, const float *w, float scale, uint8_t *out)
{
    double sum = 0.0;
    for (int64_t g = 0; g < r->groups; g++) {
        const int64_t k = g * CYG_GROUP_TAPS,
                      count = r->taps - k < CYG_GROUP_TAPS ? r->taps - k : CYG_GROUP_TAPS;
        /* Half of what holds the widest weight is the least that can pay. */
        const float need = widest(w + k, count) / ((float)CYG_GROUP_MOST * scale);
        const int top = need < (float)CYG_GROUP_MULTIPLIERS ? (int)need + 1 : CYG_GROUP_MULTIPLIERS,
                  bottom = need < 30.0f ? (int)(need * 0.5f) : CYG_GROUP_MULTIPLIERS;
        double least = INFINITY;
        for (int m = top; m >= 1 && (m >= bottom || m == top); m--) {
            const float step = scale * (float)m;
            const cyg_f32_grid grid = {step, 1.0f / step, CYG_GROUP_LEAST, CYG_GROUP_MOST};
            const double error = r->isa->f32_round_error(&grid, count, w + k, r->energy + k);
            if (error < least) {
                least = error;
                out[g] = (uint8_t)m;
            }
        }
        sum += least;
    }
    return sum;
}

static void search_outputs(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const search *r = arg;
    uint8_t *trial = r->trial + (int64_t)worker * r->groups;
    for (int64_t n = begin; n < end; n++) {
        const float *w = r->weights + n * r->taps,
                    whole = widest(w, r->taps) / (CYG_GROUP_MOST * CYG_GROUP_MULTIPLIERS);
        double least = INFINITY;
        r->scales[n] = 1.0f;
        memset(r->multipliers + n * r->groups, 1, (size_t)r->groups);
        for (int i = 0; i < SHARES && whole > 1e-30f; i++) {
            const double error = choose(r, w, whole * shares[i], trial);
            if (!(error < least))
                continue;
            least = error;
            r->scales[n] = whole * shares[i];
            memcpy(r->multipliers + n * r->groups, trial, (size_t)r->groups);
        }
    }
}

/* Variance of each tap over the rows, none less than a share of their mean. */
static bool measure_energy(const cyg_kernels *isa, const cyg_rows *r, const cyg_quant *x,
                           int64_t taps, cyg_arena *arena, float *energy)
{
    double *sums = CYG_NEW_ARRAY(arena, double, 2 * taps), all = 0.0;
    float *row = CYG_NEW_ARRAY(arena, float, taps);
    if (sums == NULL || row == NULL)
        return false;
    for (int64_t m = 0; r->taps == taps && m < r->count; m++) {
        cyg_quant_stored_row(isa, x, r->data + m * taps, row, taps);
        for (int64_t k = 0; k < taps; k++) {
            sums[k] += (double)row[k];
            sums[taps + k] += (double)row[k] * (double)row[k];
        }
    }
    for (int64_t k = 0; k < taps && r->count > 0; k++) {
        sums[k] = (sums[taps + k] - sums[k] * sums[k] / (double)r->count) / (double)r->count;
        all += sums[k];
    }
    const double least = least_energy * all / (double)taps;
    for (int64_t k = 0; k < taps; k++)
        energy[k] = !(all > 1e-30) ? 1.0f : (float)(sums[k] > least ? sums[k] : least);
    return true;
}

cyg_status cyg_quant_groups(cyg_scheme *s, cyg_node_id id, const cyg_quant *x, const float *weights,
                            int64_t channels, int64_t taps, cyg_weight_grid *out_grid)
{
    cyg_arena *keep = &s->g->arena, scratch;
    cyg_arena_init(&scratch);
    search r = {.isa = s->isa,
                .weights = weights,
                .channels = channels,
                .taps = taps,
                .groups = (taps + CYG_GROUP_TAPS - 1) / CYG_GROUP_TAPS};
    float *energy = CYG_NEW_ARRAY(&scratch, float, taps);
    r.energy = energy;
    r.scales = CYG_NEW_ARRAY(keep, float, channels);
    r.multipliers = CYG_NEW_ARRAY(keep, uint8_t, channels * r.groups);
    r.trial = CYG_NEW_ARRAY(&scratch, uint8_t, r.groups * (int64_t)cyg_pool_threads(s->ctx->pool));
    const bool ok = energy != NULL && r.scales != NULL && r.multipliers != NULL &&
                    r.trial != NULL &&
                    measure_energy(s->isa, &s->rows[id.i], x, taps, &scratch, energy);
    if (ok)
        cyg_pool_for(s->ctx->pool, channels, 16, search_outputs, &r);
    cyg_arena_deinit(&scratch);
    *out_grid = (cyg_weight_grid){.channels = channels,
                                  .taps = taps,
                                  .scales = r.scales,
                                  .least = CYG_GROUP_LEAST,
                                  .most = CYG_GROUP_MOST,
                                  .group = CYG_GROUP_TAPS,
                                  .multipliers = r.multipliers};
    return ok ? CYG_OK : CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory for the scales of weights");
}

/* Second-order rounding in closed form (the OBQ and GPTQ family). Rounding one weight up or down
 * shifts the layer's output by a multiple of one input; inputs are correlated, so the next weight
 * can take part of that back. Taps are visited once, the one with most energy first; each is
 * rounded to the nearest point of its grid after what the errors of those before it leave for it,
 *     v[p] = w[p] + sum_{k>p} L[k][p] d[k],   d[k] = w[k] - rounded w[k],
 * which is the least squares answer for one tap at a time (hessian.h). Outputs are independent of
 * each other: threads take them in packs of 64, sums run over k in blocks of 64 taps, inside the
 * block ascending and after the sum of those above it. No libm, no order that a thread could
 * change.
 *
 * The first three quarters of the rows, that is of the samples, decide; the last quarter judges, by
 * the error of up to 64 outputs against float inputs and weights. */
#include "quant/round.h"

#include "base/pool.h"
#include "quant/correct.h"
#include "quant/hessian.h"
#include "quant/params.h"

enum {
    BLOCK = CYG_HESSIAN_BLOCK,
    PACK = 64, /* outputs */
    DEPTH = 384,
    PANEL = CYG_F32_PANEL,
    JUDGED_OUTPUTS = 64,
    JUDGED_ROWS = 256,
    LEAST_ROWS = 32,
};

/* ---- rounding ---- */

static int32_t multiplier(const cyg_weight_grid *g, int64_t n, int64_t k)
{
    return g->group == 0 ? 1
                         : g->multipliers[n * ((g->taps + g->group - 1) / g->group) + k / g->group];
}

/* rne(x / step) within the grid. */
static float nearest(const cyg_weight_grid *g, float x, float step)
{
    const float least = (float)g->least, most = (float)g->most;
    float q = x / step;
    q = q > least ? q : least;
    q = q < most ? q : most;
    return (q + 12582912.0f) - 12582912.0f;
}

void cyg_quant_round_nearest(const cyg_weight_grid *g, const float *weights, int8_t *out)
{
    for (int64_t n = 0; n < g->channels; n++)
        for (int64_t k = 0; k < g->taps; k++) {
            const int32_t m = multiplier(g, n, k);
            const float q = nearest(g, weights[n * g->taps + k], g->scales[n] * (float)m);
            out[n * g->taps + k] = (int8_t)((int32_t)q * m);
        }
}

typedef struct rounding {
    const cyg_kernels *isa;
    const cyg_hessian *h;
    const cyg_weight_grid *grid;
    const float *weights;
    int8_t *out;
    float *errors; /* by worker: panels [size][PACK] of d */
} rounding;

/* Block `first` of a pack of outputs: c holds what the taps above the block leave for it. */
static void round_block(const rounding *r, int64_t n0, int64_t first, const float *c, float *errors)
{
    const cyg_hessian *h = r->h;
    const cyg_weight_grid *g = r->grid;
    const cyg_f32_codes codes = {CYG_TYPE_S8, 0, g->least, g->most};
    const int64_t panel_stride = h->size * PANEL,
                  columns = g->channels - n0 < PACK ? g->channels - n0 : PACK;
    for (int64_t j = BLOCK - 1; j >= 0 && first + j >= h->padding; j--) {
        const int64_t p = first + j, tap = h->order[p - h->padding];
        float w[PACK] = {0}, v[PACK], step[PACK];
        int8_t q[PACK] = {0};
        for (int64_t n = 0; n < columns; n++)
            w[n] = r->weights[(n0 + n) * g->taps + tap];
        for (int n = 0; n < PACK; n++)
            v[n] = w[n] + c[j * PACK + n];
        if (j < BLOCK - 1)
            r->isa->f32_gemm(1, PACK, BLOCK - 1 - j, h->factor + p * h->stride + p + 1, BLOCK,
                             errors + (p + 1) * PANEL, panel_stride, v, PACK, 1);
        for (int64_t n = 0; n < PACK; n++)
            step[n] = n < columns ? g->scales[n0 + n] * (float)multiplier(g, n0 + n, tap) : 0.0f;
        r->isa->f32_encode(&codes, columns, v, step, q);
        for (int64_t n = 0; n < PACK; n++)
            errors[n / PANEL * panel_stride + p * PANEL + n % PANEL] = w[n] - (float)q[n] * step[n];
        for (int64_t n = 0; n < columns; n++)
            r->out[(n0 + n) * g->taps + tap] = (int8_t)(q[n] * multiplier(g, n0 + n, tap));
    }
}

static void round_pack(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const rounding *r = arg;
    const cyg_hessian *h = r->h;
    const int64_t panel_stride = h->size * PANEL;
    float *errors = r->errors + (int64_t)worker * h->size * PACK;
    for (int64_t pack = begin; pack < end; pack++) {
        memset(errors, 0, (size_t)h->size * PACK * sizeof *errors);
        for (int64_t first = h->size - BLOCK; first >= 0; first -= BLOCK) {
            float c[BLOCK * PACK] = {0};
            for (int64_t k = first + BLOCK; k < h->size; k += DEPTH)
                r->isa->f32_gemm(BLOCK, PACK, h->size - k < DEPTH ? h->size - k : DEPTH,
                                 h->factor + first * h->stride + k, h->stride, errors + k * PANEL,
                                 panel_stride, c, PACK, 1);
            round_block(r, pack * PACK, first, c, errors);
        }
    }
}

/* ---- judgement ---- */

typedef struct judgement {
    const cyg_kernels *isa;
    const cyg_rows *rows;
    int64_t first, count;   /* rows that judge */
    int64_t outputs, step;  /* judged */
    float *real, *stored;   /* [count][taps] */
    float *panels;          /* of weights, [taps][outputs] */
    float *wanted, *result; /* [count][outputs] */
} judgement;

static bool prepare_judgement(judgement *j, const cyg_quant *x, int64_t channels, cyg_arena *arena)
{
    const int64_t taps = j->rows->taps;
    j->outputs = channels < JUDGED_OUTPUTS ? channels : JUDGED_OUTPUTS;
    j->step = channels / j->outputs;
    j->real = j->rows->data + j->first * taps;
    j->stored = CYG_NEW_ARRAY(arena, float, j->count *taps);
    j->panels = CYG_NEW_ARRAY(arena, float, JUDGED_OUTPUTS *taps);
    j->wanted = CYG_NEW_ARRAY(arena, float, j->count *JUDGED_OUTPUTS);
    j->result = CYG_NEW_ARRAY(arena, float, j->count *JUDGED_OUTPUTS);
    if (j->stored == NULL || j->panels == NULL || j->wanted == NULL || j->result == NULL)
        return false;
    for (int64_t m = 0; m < j->count; m++)
        cyg_quant_stored_row(j->isa, x, j->real + m * taps, j->stored + m * taps, taps);
    return true;
}

/* Output of the judged rows; weights [n][k] are real, or integers times scales. */
static void outputs_of(const judgement *j, const float *x, const float *weights,
                       const int8_t *integers, const float *scales, float *y)
{
    const int64_t taps = j->rows->taps;
    for (int64_t i = 0; i < j->outputs; i++) {
        const int64_t n = i * j->step;
        float *to = j->panels + i / PANEL * taps * PANEL + i % PANEL;
        for (int64_t k = 0; k < taps; k++)
            to[k * PANEL] =
                weights != NULL ? weights[n * taps + k] : scales[n] * (float)integers[n * taps + k];
    }
    for (int64_t k = 0; k < taps; k += DEPTH)
        j->isa->f32_gemm(j->count, j->outputs, taps - k < DEPTH ? taps - k : DEPTH, x + k, taps,
                         j->panels + k * PANEL, taps * PANEL, y, JUDGED_OUTPUTS, k != 0);
}

/* Squared error of integer weights on stored inputs against wanted; centred: without its mean. */
static double error_of(const judgement *j, const int8_t *integers, const float *scales,
                       bool centred)
{
    double sum = 0.0;
    outputs_of(j, j->stored, NULL, integers, scales, j->result);
    for (int64_t i = 0; i < j->outputs; i++) {
        double one = 0.0, two = 0.0;
        for (int64_t m = 0; m < j->count; m++) {
            const double off = (double)j->wanted[m * JUDGED_OUTPUTS + i] -
                               (double)j->result[m * JUDGED_OUTPUTS + i];
            one += off;
            two += off * off;
        }
        sum += centred ? two - one * one / (double)j->count : two;
    }
    return sum;
}

/* ---- a layer ---- */

/* Shares of the mean diagonal that are added to it (hessian.h). Rows of one picture resemble each
 * other, so a sample says less about directions than its number of rows promises, and what is
 * fitted to it alone can be worse for other pictures. The rounding of 8-bit inputs is noise that
 * damps by itself, and of 8-bit weights little is left to gain then: only the first is tried. */
static const double dampings[] = {0.01, 0.2};

/* r->out: the weights rounded with what the first `train` rows say. */
static cyg_status round_with(cyg_ctx *ctx, rounding *r, const cyg_rows *rows, int64_t train,
                             const cyg_quant *x, bool centred, double damping)
{
    cyg_arena scratch;
    cyg_hessian h;
    cyg_arena_init(&scratch);
    cyg_status status =
        cyg_hessian_make(ctx, r->isa, rows, train, x, centred, damping, &scratch, &h);
    if (status == CYG_OK) {
        r->h = &h;
        r->errors =
            CYG_NEW_ARRAY(&scratch, float, (int64_t)cyg_pool_threads(ctx->pool) * h.size * PACK);
        if (r->errors != NULL)
            cyg_pool_for(ctx->pool, (r->grid->channels + PACK - 1) / PACK, 1, round_pack, r);
        else
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        r->h = NULL; /* both lived here */
        r->errors = NULL;
    }
    cyg_arena_deinit(&scratch);
    return status;
}

static cyg_status round_layer(cyg_scheme *s, cyg_node_id id, const cyg_weight_grid *grid,
                              const float *weights, int8_t *data, cyg_arena *arena)
{
    cyg_ctx *ctx = s->ctx;
    const cyg_rows *rows = &s->rows[id.i];
    const cyg_quant x = cyg_val(s->g, cyg_nod(s->g, id)->in[0])->quant;
    const bool centred = s->options->correct_bias;
    const int64_t train = rows->count - rows->count / 4;
    const size_t tries = grid->group > 0 || x.type == CYG_TYPE_S16 ? CYG_COUNT(dampings) : 1;
    judgement j = {.isa = s->isa, .rows = rows, .first = train, .count = rows->count - train};
    j.count = j.count < JUDGED_ROWS ? j.count : JUDGED_ROWS;
    rounding r = {.isa = j.isa, .grid = grid, .weights = weights};
    r.out = CYG_NEW_ARRAY(arena, int8_t, grid->channels * grid->taps);
    if (r.out == NULL || !prepare_judgement(&j, &x, grid->channels, arena))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    outputs_of(&j, j.real, weights, NULL, NULL, j.wanted);
    const double before = error_of(&j, data, grid->scales, centred);
    double least = before;
    for (size_t i = 0; i < tries; i++) {
        CYG_DO(round_with(ctx, &r, rows, train, &x, centred, dampings[i]));
        const double error = error_of(&j, r.out, grid->scales, centred);
        if (error < least) {
            memcpy(data, r.out, (size_t)(grid->channels * grid->taps));
            least = error;
        }
    }
    if (least < before)
        cyg_quant_gains_add(s, "rounding", id, before, least);
    return CYG_OK;
}

cyg_status cyg_quant_round_weights(cyg_scheme *s, cyg_node_id id, const cyg_weight_grid *grid,
                                   const float *weights, int8_t *data)
{
    cyg_arena scratch;
    if (s->rows[id.i].taps != grid->taps || s->rows[id.i].count < LEAST_ROWS)
        return CYG_OK; /* grouped convolutions keep no rows */
    cyg_arena_init(&scratch);
    const cyg_status status = round_layer(s, id, grid, weights, data, &scratch);
    cyg_arena_deinit(&scratch);
    return status;
}

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
 * the error of up to 64 outputs against float inputs and weights. Where inputs have 16 bits this
 * rounding is nearly all of the layer's error: if it helps, it is done again with all rows, with a
 * second step for each output to choose from, and refined by descent (descend.h). */
#include "quant/round.h"

#include "base/pool.h"
#include "quant/correct.h"
#include "quant/descend.h"
#include "quant/params.h"

enum {
    BLOCK = CYG_HESSIAN_BLOCK,
    PACK = 64,                  /* outputs */
    WORK = PACK + 3 + PACK / 4, /* floats of each position that refining a pack takes */
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
    float *scales; /* of what is in out */
    float *errors; /* by worker: panels [size][PACK] of d */
    bool refined;  /* descent, and steps that are searched: out is the best of some */
    float *work;   /* then by worker: [size][PACK] of H d, and rows of a descent */
} rounding;

/* Factors of an output's step that are tried where the rounding is refined. The second is not
 * better as such: it is another draw of all roundings, and the better of two errs less. */
static const float coarser[] = {1.0f, 1.03f};

/* A block of a pack of outputs, tap by tap. */
typedef struct pack_block {
    int64_t n0, columns; /* the pack's outputs */
    int64_t first;       /* position of the block's first tap */
    int64_t from;        /* the first one in the block that is no padding */
    float w[BLOCK][PACK];
    int8_t q[BLOCK][PACK]; /* of the grid */
    float step[PACK];
} pack_block;

static int64_t tap_at(const rounding *r, const pack_block *b, int64_t j)
{
    return r->h->order[b->first + j - r->h->padding];
}

/* Output by output: one's weights lie together, taps are in order of their energy. */
static void gather(const rounding *r, pack_block *b)
{
    for (int64_t n = 0; n < b->columns; n++) {
        const float *row = r->weights + (b->n0 + n) * r->grid->taps;
        for (int64_t j = b->from; j < BLOCK; j++)
            b->w[j][n] = row[tap_at(r, b, j)];
    }
}

static void scatter(const rounding *r, const pack_block *b, int8_t *out)
{
    const cyg_weight_grid *g = r->grid;
    for (int64_t n = 0; n < b->columns; n++)
        for (int64_t j = b->from; j < BLOCK; j++) {
            const int64_t tap = tap_at(r, b, j);
            out[n * g->taps + tap] = (int8_t)(b->q[j][n] * multiplier(g, b->n0 + n, tap));
        }
}

static void take_steps(const rounding *r, pack_block *b, float share, int64_t tap)
{
    const cyg_weight_grid *g = r->grid;
    for (int64_t n = 0; n < b->columns; n++)
        b->step[n] = share * g->scales[b->n0 + n] * (float)multiplier(g, b->n0 + n, tap);
}

/* Block `first` of a pack of outputs: c holds what the taps above the block leave for it. */
static void round_block(const rounding *r, int64_t n0, int64_t first, float share, const float *c,
                        float *errors, int8_t *out)
{
    const cyg_hessian *h = r->h;
    const cyg_weight_grid *g = r->grid;
    const cyg_f32_codes codes = {CYG_TYPE_S8, 0, g->least, g->most};
    const int64_t panel_stride = h->size * PANEL;
    pack_block b = {.n0 = n0,
                    .columns = g->channels - n0 < PACK ? g->channels - n0 : PACK,
                    .first = first,
                    .from = first < h->padding ? h->padding - first : 0};
    gather(r, &b);
    if (g->group == 0)
        take_steps(r, &b, share, 0);
    for (int64_t j = BLOCK - 1; j >= b.from; j--) {
        const int64_t p = first + j;
        float v[PACK];
        for (int n = 0; n < PACK; n++)
            v[n] = b.w[j][n] + c[j * PACK + n];
        if (j < BLOCK - 1)
            r->isa->f32_gemm(1, PACK, BLOCK - 1 - j, h->factor + p * h->stride + p + 1, BLOCK,
                             errors + (p + 1) * PANEL, panel_stride, v, PACK, 1);
        if (g->group != 0)
            take_steps(r, &b, share, tap_at(r, &b, j));
        r->isa->f32_encode(&codes, b.columns, v, b.step, b.q[j]);
        for (int n = 0; n < PACK; n += PANEL)
            for (int i = n; i < n + PANEL; i++)
                errors[n / PANEL * panel_stride + p * PANEL + i - n] =
                    b.w[j][i] - (float)b.q[j][i] * b.step[i];
    }
    scatter(r, &b, out);
}

/* Outputs n0 to n0 + PACK - 1 to out [PACK][taps], their steps times share. */
static void round_outputs(const rounding *r, int64_t n0, float share, float *errors, int8_t *out)
{
    const cyg_hessian *h = r->h;
    const int64_t panel_stride = h->size * PANEL;
    memset(errors, 0, (size_t)h->size * PACK * sizeof *errors);
    for (int64_t first = h->size - BLOCK; first >= 0; first -= BLOCK) {
        float c[BLOCK * PACK] = {0};
        for (int64_t k = first + BLOCK; k < h->size; k += DEPTH)
            r->isa->f32_gemm(BLOCK, PACK, h->size - k < DEPTH ? h->size - k : DEPTH,
                             h->factor + first * h->stride + k, h->stride, errors + k * PANEL,
                             panel_stride, c, PACK, 1);
        round_block(r, n0, first, share, c, errors, out);
    }
}

/* What refining one pack needs. */
typedef struct refining {
    float *gradients; /* [size][PACK] */
    float *off, *row; /* [size] */
    int32_t *q;       /* [size] */
    int8_t *out;      /* [PACK][taps] */
    double least[PACK];
} refining;

/* Output n0 + i of a try: descends, and keeps it when it is the best so far. */
static void refine_output(const rounding *r, refining *f, int64_t n0, int64_t i, float share,
                          const float *errors)
{
    const cyg_hessian *h = r->h;
    const cyg_weight_grid *g = r->grid;
    const int64_t n = n0 + i, taps = g->taps;
    cyg_descent d = {h, share * g->scales[n], g->least, g->most, f->off, f->row, f->q};
    for (int64_t p = h->padding; p < h->size; p++) {
        f->off[p] = errors[i / PANEL * h->size * PANEL + p * PANEL + i % PANEL];
        f->row[p] = f->gradients[p * PACK + i];
        f->q[p] = f->out[i * taps + h->order[p - h->padding]];
    }
    const double error = cyg_quant_descend(&d);
    if (!(error < f->least[i]))
        return;
    f->least[i] = error;
    r->scales[n] = d.step;
    for (int64_t p = h->padding; p < h->size; p++)
        r->out[n * taps + h->order[p - h->padding]] = (int8_t)f->q[p];
}

static void refine_pack(const rounding *r, int64_t n0, float *errors, float *work)
{
    const cyg_hessian *h = r->h;
    const int64_t size = h->size, left = r->grid->channels - n0;
    refining f = {.gradients = work, .off = work + size * PACK, .row = work + size * (PACK + 1)};
    f.q = (int32_t *)(work + size * (PACK + 2));
    f.out = (int8_t *)(work + size * (PACK + 3));
    for (int i = 0; i < PACK; i++)
        f.least[i] = 1e300;
    for (size_t t = 0; t < CYG_COUNT(coarser); t++) {
        round_outputs(r, n0, coarser[t], errors, f.out);
        for (int64_t k = 0; k < size; k += DEPTH)
            r->isa->f32_gemm(size, PACK, size - k < DEPTH ? size - k : DEPTH, h->matrix + k,
                             h->stride, errors + k * PANEL, size * PANEL, f.gradients, PACK,
                             k != 0);
        for (int64_t i = 0; i < PACK && i < left; i++)
            refine_output(r, &f, n0, i, coarser[t], errors);
    }
}

static void round_pack(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const rounding *r = arg;
    const int64_t size = r->h->size;
    float *errors = r->errors + (int64_t)worker * size * PACK;
    for (int64_t pack = begin; pack < end; pack++) {
        const int64_t n0 = pack * PACK;
        if (r->refined) {
            refine_pack(r, n0, errors, r->work + (int64_t)worker * size * WORK);
            continue;
        }
        round_outputs(r, n0, 1.0f, errors, r->out + n0 * r->grid->taps);
        for (int64_t n = n0; n < r->grid->channels && n < n0 + PACK; n++)
            r->scales[n] = r->grid->scales[n];
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
 * damps by itself: there the first is enough, for weights of 4 bits the second is tried as well.
 * 16-bit inputs have no such noise. */
static const double dampings[] = {0.01, 0.2}, wide_damping = 0.1;

/* r->out: the weights rounded with what the first `train` rows say. */
static cyg_status round_with(cyg_ctx *ctx, rounding *r, const cyg_rows *rows, int64_t train,
                             const cyg_quant *x, bool centred, double damping)
{
    cyg_arena scratch;
    cyg_hessian h;
    cyg_arena_init(&scratch);
    cyg_status status =
        cyg_hessian_make(ctx, r->isa, rows, train, x, centred, damping, r->refined, &scratch, &h);
    if (status == CYG_OK) {
        const int64_t threads = cyg_pool_threads(ctx->pool);
        r->h = &h;
        r->errors = CYG_NEW_ARRAY(&scratch, float, threads *h.size *PACK);
        r->work = r->refined ? CYG_NEW_ARRAY(&scratch, float, threads *h.size *WORK) : NULL;
        if (r->errors != NULL && (r->work != NULL || !r->refined))
            cyg_pool_for(ctx->pool, (r->grid->channels + PACK - 1) / PACK, 1, round_pack, r);
        else
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        r->h = NULL; /* both lived here */
        r->errors = NULL;
    }
    cyg_arena_deinit(&scratch);
    return status;
}

static cyg_status round_layer(cyg_scheme *s, cyg_node_id id, cyg_weight_grid *grid,
                              const float *weights, int8_t *data, cyg_arena *arena)
{
    cyg_ctx *ctx = s->ctx;
    const cyg_rows *rows = &s->rows[id.i];
    const cyg_quant x = cyg_val(s->g, cyg_nod(s->g, id)->in[0])->quant;
    const bool centred = s->options->correct_bias;
    const int64_t train = rows->count - rows->count / 4;
    judgement j = {.isa = s->isa, .rows = rows, .first = train, .count = rows->count - train};
    j.count = j.count < JUDGED_ROWS ? j.count : JUDGED_ROWS;
    const bool refined = x.type == CYG_TYPE_S16 && grid->group == 0;
    const size_t tries = grid->group > 0 ? CYG_COUNT(dampings) : 1;
    rounding r = {.isa = j.isa, .grid = grid, .weights = weights};
    r.out = CYG_NEW_ARRAY(arena, int8_t, grid->channels * grid->taps);
    r.scales = CYG_NEW_ARRAY(arena, float, grid->channels);
    float *scales = CYG_NEW_ARRAY(&s->g->arena, float, grid->channels);
    if (r.out == NULL || r.scales == NULL || scales == NULL ||
        !prepare_judgement(&j, &x, grid->channels, arena))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    outputs_of(&j, j.real, weights, NULL, NULL, j.wanted);
    const double before = error_of(&j, data, grid->scales, centred);
    double least = before;
    for (size_t i = 0; i < tries; i++) {
        CYG_DO(round_with(ctx, &r, rows, train, &x, centred, refined ? wide_damping : dampings[i]));
        const double error = error_of(&j, r.out, r.scales, centred);
        if (error < least) {
            memcpy(data, r.out, (size_t)(grid->channels * grid->taps));
            memcpy(scales, r.scales, (size_t)grid->channels * sizeof *scales);
            least = error;
        }
    }
    if (refined && least < before) { /* it helps: now with all rows and all means */
        r.refined = true;
        CYG_DO(round_with(ctx, &r, rows, rows->count, &x, centred, wide_damping));
        memcpy(data, r.out, (size_t)(grid->channels * grid->taps));
        memcpy(scales, r.scales, (size_t)grid->channels * sizeof *scales);
    }
    if (!(least < before))
        return CYG_OK;
    grid->scales = scales;
    cyg_quant_gains_add(s, "rounding", id, before, least);
    return CYG_OK;
}

cyg_status cyg_quant_round_weights(cyg_scheme *s, cyg_node_id id, cyg_weight_grid *grid,
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

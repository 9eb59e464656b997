/* Builds and factors the Hessian of hessian.h.
 *
 * H[i][j] = chain of fma over rows; to its diagonal a share of its mean is added, so that
 * directions that the sample never took are not believed to be free. L D L^T block column by block
 * column (left-looking): the block column less what the columns before it explain, one chain of fma
 * over ascending k; its diagonal block by plain loops in binary64; what lies below that times the
 * block's inverse. Threads take rows: no sum is ever split. */
#include "quant/hessian.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/pool.h"
#include "quant/params.h"

enum { BLOCK = CYG_HESSIAN_BLOCK, DEPTH = 384, ROWS = 96, STRIP = 128, PANEL = CYG_F32_PANEL };

typedef struct factoring {
    const cyg_kernels *isa;
    cyg_hessian *h;
    int64_t rows;  /* sampled */
    float *x, *xt; /* panels of [rows][size], and [size][rows] */
    float *before; /* panels: minus D times the block's rows of L, [first][BLOCK] */
    float *solve;  /* panels of the block's inverse, [BLOCK][BLOCK] */
    float *pivots; /* D */
    float *row;    /* [taps] a worker */
    int64_t first; /* position of the present block */
} factoring;

/* c = a b, or c += a b, each output one chain over ascending k. */
static void add_product(const cyg_kernels *isa, int64_t m, int64_t n, int64_t k, const float *a,
                        int64_t a_stride, const float *b, int64_t panel_stride, float *c,
                        int64_t c_stride, bool resume)
{
    for (int64_t k0 = 0; k0 < k; k0 += DEPTH)
        isa->f32_gemm(m, n, k - k0 < DEPTH ? k - k0 : DEPTH, a + k0, a_stride, b + k0 * PANEL,
                      panel_stride, c, c_stride, resume || k0 > 0);
}

/* ---- H ---- */

typedef struct energy {
    double sum;
    uint32_t tap;
} energy;

static int by_energy(const void *a, const void *b)
{
    const energy *x = a, *y = b;
    if (x->sum < y->sum || x->sum > y->sum)
        return x->sum < y->sum ? -1 : 1;
    return (x->tap > y->tap) - (x->tap < y->tap);
}

/* Sums of taps; threads take strips of them, rows come in their order. */
typedef struct summing {
    const factoring *f;
    const cyg_rows *from;
    const cyg_quant *x;
    double *mean; /* by tap: 0 when not centred */
    energy *by_tap;
    bool centred;
} summing;

static void sum_taps(void *arg, unsigned worker, int64_t begin, int64_t end_strip)
{
    const summing *job = arg;
    const int64_t taps = job->from->taps, rows = job->f->rows,
                  end = end_strip * STRIP < taps ? end_strip * STRIP : taps;
    (void)worker;
    for (int64_t k0 = begin * STRIP; k0 < end; k0 += STRIP) {
        const int64_t width = end - k0 < STRIP ? end - k0 : STRIP;
        double sum[STRIP] = {0}, square[STRIP] = {0};
        float row[STRIP];
        for (int64_t m = 0; m < rows; m++) {
            cyg_quant_stored_row(job->f->isa, job->x, job->from->data + m * taps + k0, row, width);
            for (int64_t k = 0; k < width; k++) {
                sum[k] += (double)row[k];
                square[k] += (double)row[k] * (double)row[k];
            }
        }
        for (int64_t k = 0; k < width; k++) {
            const double mean = job->centred ? sum[k] / (double)rows : 0.0;
            job->mean[k0 + k] = mean;
            job->by_tap[k0 + k] =
                (energy){square[k] - (double)rows * mean * mean, (uint32_t)(k0 + k)};
        }
    }
}

/* Rows as stored, less their mean, in order of energy and in both layouts; threads take rows. */
static void lay_out_rows(void *arg, unsigned worker, int64_t begin, int64_t end_block)
{
    const summing *job = arg;
    const factoring *f = job->f;
    const cyg_hessian *h = f->h;
    const int64_t taps = job->from->taps, rows = f->rows,
                  end = end_block * PANEL < rows ? end_block * PANEL : rows;
    float *row = f->row + (int64_t)worker * taps;
    for (int64_t m = begin * PANEL; m < end; m++) {
        cyg_quant_stored_row(f->isa, job->x, job->from->data + m * taps, row, taps);
        for (int64_t k = 0; k < taps; k++) {
            const int64_t p = h->padding + k, tap = h->order[k];
            const float v = row[tap] - (float)job->mean[tap];
            f->xt[p * rows + m] = v;
            f->x[p / PANEL * rows * PANEL + m * PANEL + p % PANEL] = v;
        }
    }
}

static bool lay_out(factoring *f, const cyg_rows *r, const cyg_quant *x, bool centred,
                    cyg_pool *pool, cyg_arena *arena)
{
    const int64_t taps = r->taps;
    summing job = {.f = f, .from = r, .x = x, .centred = centred};
    job.mean = CYG_NEW_ARRAY(arena, double, taps);
    job.by_tap = CYG_NEW_ARRAY(arena, energy, taps);
    f->row = CYG_NEW_ARRAY(arena, float, taps *cyg_pool_threads(pool));
    if (job.mean == NULL || job.by_tap == NULL || f->row == NULL)
        return false;
    cyg_pool_for(pool, (taps + STRIP - 1) / STRIP, 1, sum_taps, &job);
    qsort(job.by_tap, (size_t)taps, sizeof *job.by_tap, by_energy);
    for (int64_t k = 0; k < taps; k++)
        f->h->order[k] = job.by_tap[k].tap;
    cyg_pool_for(pool, (f->rows + PANEL - 1) / PANEL, 0, lay_out_rows, &job);
    return true;
}

static void multiply(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const factoring *f = arg;
    const int64_t rows = f->rows, stride = f->h->stride;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t block = f->h->size / BLOCK - 1 - i; /* the longest first */
        const float *a = f->xt + block * BLOCK * rows;
        float *to = f->h->factor + block * BLOCK * stride;
        for (int64_t n = 0; n <= block; n++)
            add_product(f->isa, BLOCK, BLOCK, rows, a, rows,
                        f->x + n * (BLOCK / PANEL) * rows * PANEL, rows * PANEL, to + n * BLOCK,
                        stride, false);
    }
}

static void damp(const factoring *f, double damping)
{
    const cyg_hessian *h = f->h;
    double sum = 0.0;
    for (int64_t p = h->padding; p < h->size; p++)
        sum += (double)h->factor[p * h->stride + p];
    const double mean = sum / (double)(h->size - h->padding);
    const float more = mean > 1e-30 ? (float)(damping * mean) : 1.0f;
    for (int64_t p = 0; p < h->size; p++)
        h->factor[p * h->stride + p] += more;
}

/* ---- L D L^T ---- */

static void subtract_explained(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const factoring *f = arg;
    const int64_t stride = f->h->stride;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t r = f->first + i * ROWS, left = f->h->size - r;
        float *row = f->h->factor + r * stride;
        add_product(f->isa, left < ROWS ? left : ROWS, BLOCK, f->first, row, stride, f->before,
                    f->first * PANEL, row + f->first, stride, true);
    }
}

static void solve_below(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const factoring *f = arg;
    const int64_t stride = f->h->stride;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t r = f->first + BLOCK + i * ROWS, left = f->h->size - r,
                      rows = left < ROWS ? left : ROWS;
        float *from = f->h->factor + r * stride + f->first, result[ROWS * BLOCK];
        f->isa->f32_gemm(rows, BLOCK, BLOCK, from, stride, f->solve, BLOCK * PANEL, result, BLOCK,
                         0);
        for (int64_t m = 0; m < rows; m++)
            memcpy(from + m * stride, result + m * BLOCK, BLOCK * sizeof *from);
    }
}

/* The diagonal block in place, and in panels [k][j] the matrix that what lies below is multiplied
 * with: L^-T D^-1. Each element is a sum over ascending k; columns of many elements go together. */
static void factor_block(factoring *f)
{
    static const double least = 1e-6; /* of the diagonal before: what rounding can do to a pivot */
    const int64_t stride = f->h->stride;
    float *a = f->h->factor + f->first * stride + f->first;
    double l[BLOCK][BLOCK], inverse[BLOCK][BLOCK] = {{0}}, d[BLOCK]; /* l: transposed */
    for (int j = 0; j < BLOCK; j++) {
        double *sum = l[j];
        for (int i = j; i < BLOCK; i++)
            sum[i] = (double)a[i * stride + j];
        const double floor = least * sum[j];
        for (int k = 0; k < j; k++)
            for (int i = j; i < BLOCK; i++)
                sum[i] -= l[k][i] * l[k][j] * d[k];
        d[j] = sum[j] > floor ? sum[j] : floor > 1e-30 ? floor : 1e-30;
        for (int i = j + 1; i < BLOCK; i++)
            sum[i] /= d[j];
    }
    for (int i = 0; i < BLOCK; i++) { /* rows of L^-1 */
        for (int k = 0; k < i; k++)
            for (int j = 0; j <= k; j++)
                inverse[i][j] -= l[k][i] * inverse[k][j];
        inverse[i][i] = 1.0;
    }
    for (int j = 0; j < BLOCK; j++) {
        f->pivots[f->first + j] = (float)d[j];
        for (int i = 0; i < BLOCK; i++)
            f->solve[j / PANEL * BLOCK * PANEL + i * PANEL + j % PANEL] =
                (float)(inverse[j][i] / d[j]);
        for (int i = j + 1; i < BLOCK; i++)
            a[i * stride + j] = (float)l[j][i];
    }
}

/* Panels of -D[k] L[first + j][k] for k < first; threads take strips of k. */
static void negate(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const factoring *f = arg;
    (void)worker;
    for (int64_t j = 0; j < BLOCK; j++) {
        const float *row = f->h->factor + (f->first + j) * f->h->stride;
        float *to = f->before + j / PANEL * f->first * PANEL + j % PANEL;
        for (int64_t k = begin * BLOCK; k < end * BLOCK; k++)
            to[k * PANEL] = -f->pivots[k] * row[k];
    }
}

/* What lies below the diagonal, above it. */
typedef struct mirroring {
    float *a;
    int64_t size, stride;
} mirroring;

static void mirror(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const mirroring *m = arg;
    (void)worker;
    for (int64_t b = begin; b < end; b++)
        for (int64_t k0 = b * BLOCK; k0 < m->size; k0 += BLOCK)
            for (int64_t p = b * BLOCK; p < (b + 1) * BLOCK; p++)
                for (int64_t k = k0 > p ? k0 : p + 1; k < k0 + BLOCK; k++)
                    m->a[p * m->stride + k] = m->a[k * m->stride + p];
}

static void decompose(factoring *f, cyg_pool *pool)
{
    const int64_t size = f->h->size;
    for (f->first = 0; f->first < size; f->first += BLOCK) {
        if (f->first > 0) {
            cyg_pool_for(f->first < STRIP * 4 ? NULL : pool, f->first / BLOCK, 0, negate, f);
            cyg_pool_for(pool, (size - f->first + ROWS - 1) / ROWS, 1, subtract_explained, f);
        }
        factor_block(f);
        cyg_pool_for(pool, (size - f->first - BLOCK + ROWS - 1) / ROWS, 1, solve_below, f);
    }
    mirroring m = {f->h->factor, size, f->h->stride};
    cyg_pool_for(pool, size / BLOCK, 1, mirror, &m);
}

cyg_status cyg_hessian_make(cyg_ctx *ctx, const cyg_kernels *isa, const cyg_rows *r, int64_t rows,
                            const cyg_quant *x, bool centred, double damping, bool keep,
                            cyg_arena *arena, cyg_hessian *out_hessian)
{
    cyg_hessian *h = out_hessian;
    const int64_t size = (r->taps + BLOCK - 1) / BLOCK * BLOCK;
    /* 16 beyond: rows a multiple of 2 KiB apart would share few sets of the cache. */
    *h = (cyg_hessian){.size = size, .padding = size - r->taps, .stride = size + 16};
    factoring f = {.isa = isa, .h = h, .rows = rows};
    const size_t factor_bytes = (size_t)(size * h->stride) * sizeof(float);
    h->order = CYG_NEW_ARRAY(arena, uint32_t, r->taps + 1);
    /* Written block by block below the diagonal, and mirrored. */
    h->factor = cyg_arena_alloc(arena, factor_bytes, 64);
    f.x = CYG_NEW_ARRAY(arena, float, rows *size);
    f.xt = CYG_NEW_ARRAY(arena, float, rows *size);
    f.before = CYG_NEW_ARRAY(arena, float, size *BLOCK);
    f.solve = CYG_NEW_ARRAY(arena, float, BLOCK *BLOCK);
    f.pivots = CYG_NEW_ARRAY(arena, float, size);
    if (h->order == NULL || h->factor == NULL || f.x == NULL || f.xt == NULL || f.before == NULL ||
        f.solve == NULL || f.pivots == NULL || !lay_out(&f, r, x, centred, ctx->pool, arena))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for second-order rounding of %lld taps",
                        (long long)r->taps);
    cyg_pool_for(ctx->pool, size / BLOCK, 1, multiply, &f);
    damp(&f, damping);
    if (keep) {
        mirroring m = {CYG_NEW_ARRAY(arena, float, size * h->stride), size, h->stride};
        if (m.a == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        memcpy(m.a, h->factor, (size_t)(size * h->stride) * sizeof *m.a);
        cyg_pool_for(ctx->pool, size / BLOCK, 1, mirror, &m);
        h->matrix = m.a;
    }
    decompose(&f, ctx->pool);
    return CYG_OK;
}

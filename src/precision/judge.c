/* Where error is made and where it grows. A step's own share is the noise that it makes when fed
 * float values, against all the noise of its result in the running program; where its own share is
 * small and the result is still much noisier than the operands, the step amplifies what came in. */
#include "precision/judge.h"

#include <math.h>
#include <stdlib.h>

#include "precision/reference.h"

/* Own share from which a step counts as the maker of the noise. */
static const double maker = 0.5;

static void compare_operands(const cyg_program *p, const size_t *row_of, cyg_precision *r, size_t i)
{
    cyg_precision_row *row = &r->rows[i];
    const cyg_step *s = &p->steps[row->step];
    double noisiest = INFINITY;
    for (uint32_t k = 0; k < s->in_count; k++) {
        if (s->in[k] == CYG_NO_TENSOR)
            continue;
        const size_t from = row_of[cyg_precision_owner(p, s->in[k])];
        if (from != SIZE_MAX && r->rows[from].run.sqnr_db < noisiest)
            noisiest = r->rows[from].run.sqnr_db;
    }
    row->drop_db = isfinite(noisiest) ? noisiest - row->run.sqnr_db : 0.0;
    /* Relative noise of the two runs; they have the same signal. */
    const double alone = pow(10.0, -row->alone.sqnr_db / 10.0);
    const double run = pow(10.0, -row->run.sqnr_db / 10.0);
    row->own = row->alone.mse <= 0.0 ? 0.0 : alone < run ? alone / run : 1.0;
}

void cyg_precision_judge(const cyg_program *p, const size_t *row_of, cyg_precision *r)
{
    r->born = r->grows = SIZE_MAX;
    for (size_t i = 0; i < r->row_count; i++)
        compare_operands(p, row_of, r, i);
    for (size_t i = 0; i < r->row_count; i++) {
        const cyg_precision_row *row = &r->rows[i];
        if (row->own >= maker &&
            (r->born == SIZE_MAX || row->alone.sqnr_db < r->rows[r->born].alone.sqnr_db))
            r->born = i;
        if (row->own < maker && row->drop_db > 0.0 &&
            (r->grows == SIZE_MAX || row->drop_db > r->rows[r->grows].drop_db))
            r->grows = i;
    }
}

typedef struct ranked {
    double db;
    size_t row;
} ranked;

static int by_noise(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->db < y->db || x->db > y->db)
        return x->db < y->db ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

cyg_status cyg_precision_rank(cyg_ctx *ctx, const cyg_precision *r, size_t *out_rows)
{
    ranked *all = calloc(r->row_count + 1, sizeof *all);
    if (all == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the precision analysis");
    for (size_t i = 0; i < r->row_count; i++)
        all[i] = (ranked){r->rows[i].alone.sqnr_db, i};
    qsort(all, r->row_count, sizeof *all, by_noise);
    for (size_t i = 0; i < r->row_count; i++)
        out_rows[i] = all[i].row;
    free(all);
    return CYG_OK;
}

/* ---- weights ---- */

/* The weights of the linear or convolution that step s is; NULL = it is none. */
static const cyg_value *weights_of(const cyg_graph *reference, const cyg_step *s)
{
    const cyg_node_id id = cyg_graph_find_node(reference, s->name);
    if (cyg_node_is_none(id))
        return NULL;
    const cyg_node *n = cyg_nod(reference, id);
    if (n->op != CYG_OP_linear && n->op != CYG_OP_conv2d)
        return NULL;
    const cyg_value *w = cyg_val(reference, n->in[1]);
    return w->is_const && w->type == CYG_TYPE_F32 && w->rank > 0 && w->dims[0] > 0 ? w : NULL;
}

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Largest of |x|; what is no number is passed by. */
static float peak_of(const float *x, int64_t count)
{
    enum { LANES = 16 };
    float part[LANES] = {0}, peak = 0.0f;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const float size = fabsf(x[i + k]);
            part[k] = size > part[k] ? size : part[k];
        }
    for (int k = 0; k < LANES; k++)
        peak = part[k] > peak ? part[k] : peak;
    for (; i < count; i++)
        peak = fabsf(x[i]) > peak ? fabsf(x[i]) : peak;
    return peak;
}

typedef struct peaking {
    const float *x;
    int64_t taps;
    float *peaks; /* by channel */
} peaking;

static void find_peaks(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const peaking *job = arg;
    (void)worker;
    for (int64_t c = begin; c < end; c++)
        job->peaks[c] = peak_of(job->x + c * job->taps, job->taps);
}

/* Silent channels have no place on a logarithmic scale and are left out. */
static void spread_of(cyg_pool *pool, const cyg_value *w, float *peaks, double out[5])
{
    const int64_t channels = w->dims[0];
    peaking job = {w->data, cyg_value_elements(w) / channels, peaks};
    size_t count = 0;
    cyg_pool_for(pool, channels, 0, find_peaks, &job);
    for (int64_t c = 0; c < channels; c++)
        if (peaks[c] > 0.0f && isfinite(peaks[c]))
            peaks[count++] = peaks[c];
    qsort(peaks, count, sizeof *peaks, by_size);
    for (size_t i = 0; i < 5; i++)
        out[i] =
            count == 0
                ? 0.0
                : log2((double)peaks[count - 1] / (double)peaks[(count - 1) - (count - 1) * i / 4]);
}

cyg_status cyg_precision_weights(cyg_ctx *ctx, const cyg_graph *reference, const cyg_program *p,
                                 cyg_arena *arena, cyg_precision *r)
{
    int64_t most = 0;
    r->weights = CYG_NEW_ARRAY(arena, cyg_precision_weight, (size_t)p->step_count + 1);
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_value *w = weights_of(reference, &p->steps[i]);
        most = w != NULL && w->dims[0] > most ? w->dims[0] : most;
    }
    float *peaks = calloc((size_t)most + 1, sizeof *peaks);
    if (r->weights == NULL || peaks == NULL) {
        free(peaks);
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the precision analysis");
    }
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_value *w = weights_of(reference, &p->steps[i]);
        if (w == NULL)
            continue;
        cyg_precision_weight *out = &r->weights[r->weight_count++];
        out->step = i;
        spread_of(ctx->pool, w, peaks, out->spread);
    }
    free(peaks);
    return CYG_OK;
}

/* i_reduce_max: the largest (smallest) of n elements, bytes as they are; i_reduce_mean: x seen as
 * [outer, n, inner], the exact sum over n, one multiply (docs/numerics.md, Others). An item is up
 * to 64 neighbouring outputs of one outer index: rows of x are then read along memory. */
#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/dispatch.h"

enum { ITEM = 64 };

static const char *check_sizes(const cyg_kcall *call, int64_t outer, int64_t n, int64_t inner)
{
    const int64_t limit = (int64_t)1 << 31;
    int64_t outputs, inputs;
    CYG_WANT(outer >= 0 && n >= 1 && inner >= 0 && outer < limit && n < limit && inner < limit &&
                 !__builtin_mul_overflow(outer, inner, &outputs) &&
                 !__builtin_mul_overflow(outputs, n, &inputs),
             "sizes out of range");
    CYG_WANT(cyg_elements(&call->in[0]) == inputs && cyg_elements(&call->out[0]) == outputs,
             "sizes do not fit the shapes");
    return NULL;
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_ireduce *p = call->params;
    CYG_WANT_OK(cyg_check_counts(call, 1, 1));
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_WANT(cyg_is_activation(x->type), "x's type is not supported");
    CYG_WANT_OK(check_sizes(call, p->outer, p->n, p->inner));
    return cyg_check_sat(&p->sat, y->type);
}

static int64_t blocks(const cyg_kp_ireduce *p)
{
    return (p->inner + ITEM - 1) / ITEM;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_ireduce *p = call->params;
    return p->outer * blocks(p);
}

static void finish(const cyg_kcall *call, int64_t at, int64_t sum)
{
    const cyg_kp_ireduce *p = call->params;
    const int64_t centred =
        (int64_t)((uint64_t)sum - (uint64_t)p->n * (uint64_t)(int64_t)p->x_zero);
    cyg_store_out(call->out[0].type, call->out[0].data, at, &p->sat, (float)centred * p->k);
}

/* Sums of one item; type is a constant where this is inlined. */
CYG_INLINE void add_rows(int32_t type, const void *x, int64_t at, int64_t n, int64_t stride,
                         int64_t width, int64_t *sums)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < width; j++)
            sums[j] += cyg_load_q(type, x, at + i * stride + j);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_ireduce *p = call->params;
    const void *x = call->in[0].data;
    for (int64_t item = begin; item < end; item++) {
        int64_t sums[ITEM] = {0};
        const int64_t outer = item / blocks(p), first = item % blocks(p) * ITEM;
        const int64_t width = p->inner - first < ITEM ? p->inner - first : ITEM;
        const int64_t at = outer * p->n * p->inner + first;
        switch (call->in[0].type) {
        case CYG_TYPE_U8:
            add_rows(CYG_TYPE_U8, x, at, p->n, p->inner, width, sums);
            break;
        case CYG_TYPE_S8:
            add_rows(CYG_TYPE_S8, x, at, p->n, p->inner, width, sums);
            break;
        case CYG_TYPE_S16:
            add_rows(CYG_TYPE_S16, x, at, p->n, p->inner, width, sums);
            break;
        default:
            add_rows(CYG_TYPE_U16, x, at, p->n, p->inner, width, sums);
            break;
        }
        for (int64_t j = 0; j < width; j++)
            finish(call, outer * p->inner + first + j, sums[j]);
    }
}

static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_ireduce *p = call->params;
    for (int64_t item = begin; item < end; item++) {
        const int64_t outer = item / blocks(p), first = item % blocks(p) * ITEM;
        for (int64_t j = first; j < p->inner && j < first + ITEM; j++) {
            int64_t sum = 0;
            for (int64_t i = 0; i < p->n; i++)
                sum += cyg_load_q(call->in[0].type, call->in[0].data,
                                  (outer * p->n + i) * p->inner + j);
            finish(call, outer * p->inner + j, sum);
        }
    }
}

const cyg_kop_info cyg_kop_info_i_reduce_mean = {
    .name = "i_reduce_mean",
    .params_size = sizeof(cyg_kp_ireduce),
    .check = check,
    .items = items,
    .run = run,
    .ref = ref,
};

/* ---- extremes ---- */

static const char *check_extreme(const cyg_kcall *call)
{
    const cyg_kp_iextreme *p = call->params;
    CYG_WANT_OK(cyg_check_counts(call, 1, 1));
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_WANT(cyg_is_activation(x->type) && y->type == x->type,
             "x's type is not supported, or y has another");
    CYG_WANT_OK(check_sizes(call, p->outer, p->n, p->inner));
    return NULL;
}

/* An item is an outer index. */
static int64_t extreme_items(const cyg_kcall *call)
{
    return ((const cyg_kp_iextreme *)call->params)->outer;
}

CYG_INLINE void extreme_rows(int32_t type, const cyg_kcall *call, int64_t outer)
{
    const cyg_kp_iextreme *p = call->params;
    const void *x = call->in[0].data;
    void *y = call->out[0].data;
    const int64_t from = outer * p->n * p->inner, to = outer * p->inner;
    for (int64_t j = 0; j < p->inner; j++)
        cyg_store_q(type, y, to + j, cyg_load_q(type, x, from + j));
    for (int64_t i = 1; i < p->n; i++)
        for (int64_t j = 0; j < p->inner; j++) {
            const int32_t v = cyg_load_q(type, x, from + i * p->inner + j),
                          w = cyg_load_q(type, y, to + j);
            cyg_store_q(type, y, to + j, p->is_min ? (v < w ? v : w) : (v > w ? v : w));
        }
}

static void run_extreme(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    for (int64_t outer = begin; outer < end; outer++) {
        switch (call->in[0].type) {
        case CYG_TYPE_U8:
            extreme_rows(CYG_TYPE_U8, call, outer);
            break;
        case CYG_TYPE_S8:
            extreme_rows(CYG_TYPE_S8, call, outer);
            break;
        case CYG_TYPE_S16:
            extreme_rows(CYG_TYPE_S16, call, outer);
            break;
        default:
            extreme_rows(CYG_TYPE_U16, call, outer);
            break;
        }
    }
}

/* Element by element, each over its own n. */
static void ref_extreme(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_iextreme *p = call->params;
    const int32_t type = call->in[0].type;
    for (int64_t at = begin * p->inner; at < end * p->inner; at++) {
        const int64_t from = at / p->inner * p->n * p->inner + at % p->inner;
        int32_t found = cyg_load_q(type, call->in[0].data, from);
        for (int64_t i = 1; i < p->n; i++) {
            const int32_t v = cyg_load_q(type, call->in[0].data, from + i * p->inner);
            if (p->is_min ? v < found : v > found)
                found = v;
        }
        cyg_store_q(type, call->out[0].data, at, found);
    }
}

const cyg_kop_info cyg_kop_info_i_reduce_max = {
    .name = "i_reduce_max",
    .params_size = sizeof(cyg_kp_iextreme),
    .check = check_extreme,
    .items = extreme_items,
    .run = run_extreme,
    .ref = ref_extreme,
};

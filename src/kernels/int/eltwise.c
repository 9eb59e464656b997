/* i_eltwise: add (and sub, by a negative scale) and mul of two integer tensors with numpy
 * broadcasting (docs/numerics.md, Others).
 *
 * y is walked in runs along its innermost axes. Adjacent axes are merged when both operands step
 * through them alike, so that equal shapes are one long run and a per-channel operand gives runs of
 * C. An item is 4096 elements of y; a run may begin and end inside one. */
#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/dispatch.h"

enum { ITEM = 4096 };

/* Axes of y from the innermost, merged; strides in elements, 0 where an operand repeats. */
typedef struct walk {
    int32_t rank;
    int64_t size[CYG_MAX_RANK], a[CYG_MAX_RANK], b[CYG_MAX_RANK];
} walk;

/* Stride of y's axis (counted from the last) in a contiguous operand, given the stride that its
 * next axis would have. */
static int64_t operand_size(const cyg_kbuf *x, int32_t from_last)
{
    return from_last < x->rank ? x->dims[x->rank - 1 - from_last] : 1;
}

static walk walk_of(const cyg_kcall *call)
{
    const cyg_kbuf *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    walk w = {0};
    int64_t a_next = 1, b_next = 1;
    for (int32_t i = 0; i < y->rank; i++) {
        const int64_t size = y->dims[y->rank - 1 - i], a_size = operand_size(a, i),
                      b_size = operand_size(b, i);
        if (size == 1)
            continue;
        const int64_t sa = a_size == 1 ? 0 : a_next, sb = b_size == 1 ? 0 : b_next;
        a_next *= a_size;
        b_next *= b_size;
        const int32_t last = w.rank - 1;
        if (w.rank > 0 && sa == w.a[last] * w.size[last] && sb == w.b[last] * w.size[last]) {
            w.size[last] *= size;
            continue;
        }
        w.size[w.rank] = size;
        w.a[w.rank] = sa;
        w.b[w.rank++] = sb;
    }
    if (w.rank == 0) {
        w.rank = 1;
        w.size[0] = 1;
    }
    return w;
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_ieltwise *p = call->params;
    CYG_WANT_OK(cyg_check_counts(call, 2, 2));
    const cyg_kbuf *y = &call->out[0];
    for (int i = 0; i < 2; i++) {
        const cyg_kbuf *x = &call->in[i];
        CYG_WANT(cyg_is_activation(x->type), "an operand's type is not supported");
        CYG_WANT(x->rank <= y->rank, "an operand has more dimensions than y");
        for (int32_t d = 0; d < x->rank; d++) {
            const int64_t size = x->dims[x->rank - 1 - d];
            CYG_WANT(size == 1 || size == y->dims[y->rank - 1 - d],
                     "operands do not broadcast to y's shape");
        }
    }
    return cyg_check_sat(&p->sat, y->type);
}

static int64_t items(const cyg_kcall *call)
{
    return (cyg_elements(&call->out[0]) + ITEM - 1) / ITEM;
}

/* Offsets of the operands at element `at` of y; the position on the innermost axis is returned. */
static int64_t seek(const walk *w, int64_t at, int64_t *out_a, int64_t *out_b)
{
    const int64_t inner = at % w->size[0];
    *out_a = inner * w->a[0];
    *out_b = inner * w->b[0];
    at /= w->size[0];
    for (int32_t i = 1; i < w->rank; i++) {
        *out_a += at % w->size[i] * w->a[i];
        *out_b += at % w->size[i] * w->b[i];
        at /= w->size[i];
    }
    return inner;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kbuf *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const walk w = walk_of(call);
    const int64_t count = cyg_elements(y), limit = end * ITEM < count ? end * ITEM : count;
    const int64_t a_bytes = cyg_int_bytes(a->type), b_bytes = cyg_int_bytes(b->type),
                  y_bytes = cyg_int_bytes(y->type);
    for (int64_t at = begin * ITEM; at < limit;) {
        int64_t a_at, b_at;
        const int64_t left = w.size[0] - seek(&w, at, &a_at, &b_at);
        const int64_t n = left < limit - at ? left : limit - at;
        call->isa->i_eltwise(call->params, a->type, (const uint8_t *)a->data + a_at * a_bytes,
                             w.a[0], b->type, (const uint8_t *)b->data + b_at * b_bytes, w.b[0], n,
                             y->type, (uint8_t *)y->data + at * y_bytes);
        at += n;
    }
}

/* Element by element, each index taken apart along y's own axes. */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_ieltwise *p = call->params;
    const cyg_kbuf *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const int64_t count = cyg_elements(y);
    for (int64_t at = begin * ITEM; at < end * ITEM && at < count; at++) {
        int64_t rest = at, a_at = 0, b_at = 0, a_stride = 1, b_stride = 1;
        for (int32_t i = 0; i < y->rank; i++) {
            const int64_t size = y->dims[y->rank - 1 - i], index = rest % size;
            const int64_t a_size = operand_size(a, i), b_size = operand_size(b, i);
            rest /= size;
            a_at += a_size == 1 ? 0 : index * a_stride;
            b_at += b_size == 1 ? 0 : index * b_stride;
            a_stride *= a_size;
            b_stride *= b_size;
        }
        const float u = cyg_load_centred(a->type, a->data, a_at, p->a_zero);
        const float v = cyg_load_centred(b->type, b->data, b_at, p->b_zero);
        cyg_store_out(y->type, y->data, at, &p->sat, cyg_eltwise_out(p, u, v));
    }
}

const cyg_kop_info cyg_kop_info_i_eltwise = {
    .name = "i_eltwise",
    .params_size = sizeof(cyg_kp_ieltwise),
    .check = check,
    .items = items,
    .run = run,
    .ref = ref,
};

/* top_k: the k largest (or smallest) elements of each line along an axis, best first, and where
 * they were. Among equals the lower index comes first; a NaN is above every number, as in numpy's
 * order.
 *
 * An item is one line. Its positions are merge-sorted in scratch: n log n for any k, no bad case,
 * and stable, which is what puts the lower index first. */
#include "kernels/number.h"

typedef struct line {
    const void *x;
    int32_t type;
    int64_t at, stride, n; /* first element, step */
    bool largest;
} line;

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 2, 2);
    const cyg_kp_top_k *p = call->params;
    const cyg_kbuf *x = &call->in[0], *values = &call->out[0], *index = &call->out[1];
    CYG_REQUIRE(p->axis >= 0 && p->axis < x->rank, "axis out of range");
    CYG_REQUIRE(values->type == x->type && index->type == CYG_TYPE_S64 &&
                    cyg_same_dims(values, index) && values->rank == x->rank,
                "values or index have a wrong type or shape");
    for (int32_t i = 0; i < x->rank; i++)
        CYG_REQUIRE(i == p->axis ? values->dims[i] <= x->dims[i] : values->dims[i] == x->dims[i],
                    "values do not fit x");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_top_k *p = call->params;
    const cyg_kbuf *y = &call->out[0];
    return cyg_count_of(y) == 0
               ? 0
               : cyg_count_dims(y, 0, p->axis) * cyg_count_dims(y, p->axis + 1, y->rank);
}

static size_t scratch_size(const cyg_kcall *call)
{
    const cyg_kp_top_k *p = call->params;
    return cyg_align_up((size_t)call->in[0].dims[p->axis] * 2 * sizeof(int64_t), 64);
}

/* -1, 0, 1 as a is below, equal to, above b. */
static int order_of(const line *l, int64_t a, int64_t b)
{
    a = l->at + a * l->stride;
    b = l->at + b * l->stride;
    if (!cyg_is_float_type(l->type)) {
        const int64_t flip = l->type == CYG_TYPE_U64 ? INT64_MIN : 0;
        const int64_t va = cyg_load_int(l->x, l->type, a) ^ flip;
        const int64_t vb = cyg_load_int(l->x, l->type, b) ^ flip;
        return (va > vb) - (va < vb);
    }
    const double va = cyg_load_real(l->x, l->type, a), vb = cyg_load_real(l->x, l->type, b);
    if (va != va || vb != vb)
        return (va != va) - (vb != vb);
    return (va > vb) - (va < vb);
}

/* Does b stand before a although it comes after it? */
static bool swapped(const line *l, int64_t a, int64_t b)
{
    const int order = order_of(l, a, b);
    return l->largest ? order < 0 : order > 0;
}

/* Sorts positions 0 .. n - 1 into scratch's first or second half; returns which. */
static const int64_t *sorted(const line *l, int64_t *scratch)
{
    int64_t *from = scratch, *to = scratch + l->n;
    for (int64_t i = 0; i < l->n; i++)
        from[i] = i;
    for (int64_t width = 1; width < l->n; width *= 2) {
        for (int64_t begin = 0; begin < l->n; begin += 2 * width) {
            const int64_t middle = cyg_min64(begin + width, l->n);
            const int64_t end = cyg_min64(begin + 2 * width, l->n);
            int64_t a = begin, b = middle;
            for (int64_t i = begin; i < end; i++) {
                const bool second = a == middle || (b < end && swapped(l, from[a], from[b]));
                to[i] = second ? from[b++] : from[a++];
            }
        }
        int64_t *other = from;
        from = to;
        to = other;
    }
    return from;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_top_k *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t inner = cyg_count_dims(x, p->axis + 1, x->rank), size = cyg_type_bytes(x->type);
    const int64_t k = y->dims[p->axis];
    int64_t *index = call->out[1].data;
    line l = {.x = x->data, .type = x->type, .stride = inner, .largest = p->largest != 0};
    l.n = x->dims[p->axis];
    for (int64_t item = begin; item < end; item++) {
        l.at = item / inner * l.n * inner + item % inner;
        const int64_t to = item / inner * k * inner + item % inner;
        const int64_t *order = sorted(&l, scratch);
        for (int64_t i = 0; i < k; i++) {
            memcpy((char *)y->data + (to + i * inner) * size,
                   (const char *)x->data + (l.at + order[i] * inner) * size, (size_t)size);
            index[to + i * inner] = order[i];
        }
    }
}

const cyg_kop_info cyg_kop_info_top_k = {.name = "top_k",
                                         .params_size = sizeof(cyg_kp_top_k),
                                         .check = check,
                                         .items = items,
                                         .scratch = scratch_size,
                                         .run = run};

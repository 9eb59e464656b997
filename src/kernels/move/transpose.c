/* transpose: any permutation, elements of 1, 2, 4, 8 bytes.
 *
 * Neighbouring axes that stay neighbours are merged first, axes of length 1 dropped. Then either
 * the last axis stays last, and rows are copied whole, or some other axis of x comes last in y:
 * then squares of 16 x 16 (y's last axis against the axis that is last in x) are moved, so that
 * each cache line of either side is used whole.
 *
 * DepthToSpace and SpaceToDepth are transposes of x seen in six dimensions: that is what the view
 * of the parameters is for. */
#include "kernels/move/strided.h"

enum { SQUARE = 16 };

typedef struct plan {
    int32_t rank;
    int64_t dims[CYG_MAX_RANK];    /* of y, merged */
    int64_t strides[CYG_MAX_RANK]; /* in x, for y's axes */
    int64_t y_strides[CYG_MAX_RANK];
    int32_t unit; /* y's axis that is contiguous in x; rank - 1 = rows */
} plan;

/* x as the permutation sees it: in its own dimensions, or in those of the view. */
static cyg_kbuf seen_of(const cyg_kcall *call)
{
    const cyg_kp_transpose *p = call->params;
    cyg_kbuf x = call->in[0];
    if (p->view_rank > 0) {
        x.rank = (int32_t)p->view_rank;
        memcpy(x.dims, p->view, sizeof x.dims);
    }
    return x;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_transpose *p = call->params;
    CYG_REQUIRE(p->view_rank >= 0 && p->view_rank <= CYG_MAX_RANK, "the view's rank is above 8");
    const cyg_kbuf x = seen_of(call);
    const cyg_kbuf *y = &call->out[0];
    CYG_REQUIRE(cyg_buf_ok(&x), "the view has a bad shape");
    CYG_REQUIRE(cyg_type_bytes(x.type) == cyg_type_bytes(y->type) &&
                    (p->view_rank > 0 || x.rank == y->rank) &&
                    cyg_count_of(&x) == cyg_count_of(&call->in[0]) &&
                    cyg_count_of(&x) == cyg_count_of(y),
                "x and y differ");
    uint32_t seen = 0;
    for (int32_t i = 0; i < x.rank; i++) {
        CYG_REQUIRE(p->perm[i] >= 0 && p->perm[i] < x.rank && (seen >> p->perm[i] & 1u) == 0,
                    "perm is no permutation");
        seen |= 1u << p->perm[i];
        CYG_REQUIRE(p->view_rank > 0 || y->dims[i] == x.dims[p->perm[i]],
                    "y's shape is not x's, permuted");
    }
    return NULL;
}

static plan plan_of(const cyg_kcall *call)
{
    const cyg_kp_transpose *p = call->params;
    const cyg_kbuf x = seen_of(call);
    int64_t strides[CYG_MAX_RANK];
    plan q = {.rank = 0};
    cyg_strides_of(&x, strides);
    for (int32_t i = 0; i < x.rank; i++) {
        const int64_t d = x.dims[p->perm[i]], s = strides[p->perm[i]];
        if (d == 1)
            continue;
        if (q.rank > 0 && q.strides[q.rank - 1] == s * d) {
            q.dims[q.rank - 1] *= d;
            q.strides[q.rank - 1] = s;
        } else {
            q.dims[q.rank] = d;
            q.strides[q.rank++] = s;
        }
    }
    if (q.rank == 0) {
        q.dims[0] = 1;
        q.strides[0] = 1;
        q.rank = 1;
    }
    int64_t n = 1;
    q.unit = q.rank - 1;
    for (int32_t i = q.rank - 1; i >= 0; i--) {
        q.y_strides[i] = n;
        n *= q.dims[i];
        if (q.strides[i] == 1)
            q.unit = i;
    }
    return q;
}

/* Items: rows of y, or strips of SQUARE along the unit axis times all axes but it and the last. */
static int64_t items(const cyg_kcall *call)
{
    const plan q = plan_of(call);
    int64_t n = 1;
    if (cyg_count_of(&call->out[0]) == 0)
        return 0;
    for (int32_t i = 0; i < q.rank - 1; i++)
        n *= i == q.unit ? cyg_div_up(q.dims[i], SQUARE) : q.dims[i];
    return n;
}

#define CYG_SQUARES(T)                                                                             \
    do {                                                                                           \
        const T *f_ = (const T *)x + from;                                                         \
        T *t_ = (T *)y + to;                                                                       \
        for (int64_t j0 = 0; j0 < n; j0 += SQUARE) {                                               \
            const int64_t j1 = cyg_min64(j0 + SQUARE, n);                                          \
            for (int64_t u = 0; u < width; u++)                                                    \
                for (int64_t j = j0; j < j1; j++)                                                  \
                    t_[u * y_step + j] = f_[j * x_step + u];                                       \
        }                                                                                          \
    } while (0)

/* width elements along the unit axis, n along y's last. */
static void squares(int64_t size, const void *x, int64_t from, int64_t x_step, void *y, int64_t to,
                    int64_t y_step, int64_t width, int64_t n)
{
    switch (size) {
    case 1:
        CYG_SQUARES(uint8_t);
        break;
    case 2:
        CYG_SQUARES(uint16_t);
        break;
    case 4:
        CYG_SQUARES(uint32_t);
        break;
    default:
        CYG_SQUARES(uint64_t);
        break;
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const plan q = plan_of(call);
    const int64_t size = cyg_type_bytes(call->out[0].type), last = q.rank - 1, n = q.dims[last];
    const char *x = call->in[0].data;
    char *y = call->out[0].data;
    for (int64_t item = begin; item < end; item++) {
        int64_t rest = item, from = 0, to = 0, width = 1;
        for (int32_t i = q.rank - 2; i >= 0; i--) {
            const bool strip = i == q.unit;
            const int64_t count = strip ? cyg_div_up(q.dims[i], SQUARE) : q.dims[i];
            const int64_t at = rest % count * (strip ? SQUARE : 1);
            rest /= count;
            from += at * q.strides[i];
            to += at * q.y_strides[i];
            if (strip)
                width = cyg_min64(SQUARE, q.dims[i] - at);
        }
        if (q.unit == last || width == 0)
            cyg_copy_strided(size, n, x + from * size, q.strides[last], y + to * size);
        else
            squares(size, x, from, q.strides[last], y, to, q.y_strides[q.unit], width, n);
    }
}

const cyg_kop_info cyg_kop_info_transpose = {.name = "transpose",
                                             .params_size = sizeof(cyg_kp_transpose),
                                             .check = check,
                                             .items = items,
                                             .run = run};

/* f_reduce over any set of axes and f_argmax along one.
 *
 * Element i of a reduction (in row-major order of the reduced axes) belongs to partial i mod 16;
 * the partials fold as a tree (docs/kernels.md). f32; integers and bool too (exact: sums
 * wrap, mean truncates, L2 is refused; the largest bool is true if any is). When the reduced axes
 * are the last ones a row is contiguous and goes to the micro-kernel; other layouts gather the
 * elements of one output into scratch first, sixteen outputs' worth of cache lines at a time would
 * be faster but such reductions are small. */
#include "kernels/dispatch.h"
#include "kernels/number.h"

#include <string.h>

enum { LAST = 1, SMALLEST = 2 }; /* f_argmax's choice */

typedef struct axes {
    int64_t outputs, n; /* outputs, elements a reduction */
    int32_t kept_rank, reduced_rank;
    int64_t kept_dims[CYG_MAX_RANK], kept_strides[CYG_MAX_RANK];
    int64_t reduced_dims[CYG_MAX_RANK], reduced_strides[CYG_MAX_RANK];
} axes;

static axes axes_of(const cyg_kcall *call)
{
    const cyg_kp_reduce *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    int64_t strides[CYG_MAX_RANK];
    axes a = {.outputs = 1, .n = 1};
    cyg_strides_of(x, strides);
    for (int32_t i = 0; i < x->rank; i++) {
        if ((p->axes_mask >> i & 1u) != 0) {
            a.reduced_dims[a.reduced_rank] = x->dims[i];
            a.reduced_strides[a.reduced_rank++] = strides[i];
            a.n *= x->dims[i];
        } else {
            a.kept_dims[a.kept_rank] = x->dims[i];
            a.kept_strides[a.kept_rank++] = strides[i];
            a.outputs *= x->dims[i];
        }
    }
    return a;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_reduce *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 || !cyg_is_float_type(x->type),
                "f_reduce works on f32, integers and bool");
    CYG_REQUIRE(x->type == y->type, "x and y differ in type");
    CYG_REQUIRE(p->fn >= CYG_REDUCE_MEAN && p->fn <= CYG_REDUCE_L2, "unknown reduction");
    CYG_REQUIRE(x->type == CYG_TYPE_F32 || p->fn != CYG_REDUCE_L2, "L2 of integers");
    CYG_REQUIRE(p->axes_mask >> x->rank == 0, "axis out of range");
    CYG_REQUIRE(axes_of(call).outputs == cyg_count_of(y), "y's shape is not what remains of x");
    return NULL;
}

static const char *check_argmax(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_reduce *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE((x->type == CYG_TYPE_F32 || !cyg_is_float_type(x->type)) && y->type == CYG_TYPE_S64,
                "f_argmax wants f32, integers or bool in, s64 out");
    CYG_REQUIRE(p->axes_mask >> x->rank == 0 && p->axes_mask != 0, "axis out of range");
    CYG_REQUIRE((p->fn & ~(LAST | SMALLEST)) == 0, "unknown choice");
    CYG_REQUIRE(axes_of(call).outputs == cyg_count_of(y), "y's shape is not what remains of x");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    return axes_of(call).outputs;
}

static size_t scratch_size(const cyg_kcall *call)
{
    return cyg_align_up((size_t)(axes_of(call).n * cyg_type_bytes(call->in[0].type)), 64);
}

static int64_t offset_of(int64_t index, int32_t rank, const int64_t *dims, const int64_t *strides)
{
    int64_t at = 0;
    for (int32_t i = rank - 1; i >= 0; i--) {
        at += index % dims[i] * strides[i];
        index /= dims[i];
    }
    return at;
}

/* The elements of one reduction next to each other: where they are when they are, else copied to
 * scratch. */
static const void *row_of(const cyg_kcall *call, const axes *a, int64_t output, void *scratch)
{
    const size_t size = (size_t)cyg_type_bytes(call->in[0].type);
    const char *x = call->in[0].data;
    if (a->n == 0)
        return scratch;
    const int64_t at = offset_of(output, a->kept_rank, a->kept_dims, a->kept_strides);
    int64_t run = 1;
    bool contiguous = true;
    for (int32_t i = a->reduced_rank - 1; i >= 0; i--) {
        contiguous = contiguous && (a->reduced_strides[i] == run || a->reduced_dims[i] == 1);
        run *= a->reduced_dims[i];
    }
    if (contiguous)
        return x + (size_t)at * size;
    const int32_t last = a->reduced_rank - 1;
    const int64_t inner = a->reduced_dims[last], stride = a->reduced_strides[last];
    char *to = scratch;
    for (int64_t i = 0; i < a->n; i += inner) {
        const int64_t from = at + offset_of(i / inner, last, a->reduced_dims, a->reduced_strides);
        for (int64_t j = 0; j < inner; j++, to += size)
            memcpy(to, x + (size_t)(from + j * stride) * size, size);
    }
    return scratch;
}

static int64_t reduce_ints(int32_t fn, int32_t type, int64_t n, const void *row)
{
    const int64_t flip = type == CYG_TYPE_U64 ? INT64_MIN : 0; /* orders u64 as s64 */
    uint64_t sum = fn == CYG_REDUCE_PROD ? 1 : 0;
    int64_t best = n > 0 ? cyg_load_int(row, type, 0) ^ flip : 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t v = cyg_load_int(row, type, i);
        if (fn == CYG_REDUCE_PROD)
            sum *= (uint64_t)v;
        else
            sum += (uint64_t)v;
        if (fn == CYG_REDUCE_MAX ? (v ^ flip) > best : (v ^ flip) < best)
            best = v ^ flip;
    }
    switch (fn) {
    case CYG_REDUCE_MAX:
    case CYG_REDUCE_MIN:
        return best ^ flip;
    case CYG_REDUCE_MEAN:
        if (n == 0)
            return 0;
        return type == CYG_TYPE_U64 ? (int64_t)(sum / (uint64_t)n) : (int64_t)sum / n;
    default:
        return (int64_t)sum;
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_reduce *p = call->params;
    const axes a = axes_of(call);
    const int32_t type = call->in[0].type;
    void *y = call->out[0].data;
    for (int64_t i = begin; i < end; i++) {
        const void *row = row_of(call, &a, i, scratch);
        if (type == CYG_TYPE_F32)
            ((float *)y)[i] = call->isa->f32_reduce(p->fn, a.n, row);
        else
            cyg_store_int(y, type, i, reduce_ints(p->fn, type, a.n, row));
    }
}

/* Is a better than b? Among equals the later one counts as better with LAST. */
static bool better_int(int32_t fn, int64_t a, int64_t b)
{
    if (a == b)
        return (fn & LAST) != 0;
    return (fn & SMALLEST) != 0 ? a < b : a > b;
}
static bool better_f32(int32_t fn, float a, float b)
{
    if (b != b)
        return a == a;
    if (a == b)
        return (fn & LAST) != 0;
    return (fn & SMALLEST) != 0 ? a < b : a > b;
}

/* The first largest (fn: the last, the smallest); a NaN never wins. */
static void run_argmax(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_reduce *p = call->params;
    const axes a = axes_of(call);
    const int32_t type = call->in[0].type;
    const int64_t flip = type == CYG_TYPE_U64 ? INT64_MIN : 0; /* orders u64 as s64 */
    int64_t *y = call->out[0].data;
    for (int64_t i = begin; i < end; i++) {
        const void *row = row_of(call, &a, i, scratch);
        int64_t best = 0;
        for (int64_t j = 1; j < a.n; j++) {
            const bool better =
                type == CYG_TYPE_F32
                    ? better_f32(p->fn, ((const float *)row)[j], ((const float *)row)[best])
                    : better_int(p->fn, cyg_load_int(row, type, j) ^ flip,
                                 cyg_load_int(row, type, best) ^ flip);
            if (better)
                best = j;
        }
        y[i] = best;
    }
}

const cyg_kop_info cyg_kop_info_f_reduce = {
    .name = "f_reduce",
    .params_size = sizeof(cyg_kp_reduce),
    .check = check,
    .items = items,
    .scratch = scratch_size,
    .run = run,
};
const cyg_kop_info cyg_kop_info_f_argmax = {
    .name = "f_argmax",
    .params_size = sizeof(cyg_kp_reduce),
    .check = check_argmax,
    .items = items,
    .scratch = scratch_size,
    .run = run_argmax,
};

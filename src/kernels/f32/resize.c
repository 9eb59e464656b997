/* f_resize: ONNX Resize in any number of dimensions, every mode.
 *
 * Each axis is a table made once: for every output coordinate the source elements that count and
 * their weights. prepare writes the tables, binary64 throughout; an element of y is then
 *     sum over the outer axes' taps, row-major, of (product of weights) * sum over the last axis'
 * taps of weight * x, rounded once to y's type. Nearest copies bytes, so any type is exact.
 *
 * With x_o the source coordinate of an output (by the coordinate transformation) and r = x_o -
 * (ceil(x_o) - 1) in (0, 1], the taps are the m elements at and below ceil(x_o) - 1 and the m
 * above; beyond the edge the edge repeats. m is 1 (linear), 2 (cubic), and with antialias stretched
 * by 1 / scale when the scale is below 1. */
#include <string.h>

#include "kernels/f32/sampling.h"
#include "kernels/move/strided.h"
#include "kernels/number.h"

#define SIZE_LIMIT ((int64_t)1 << 28)
#define TABLE_LIMIT ((int64_t)1 << 31)
#define COMBINATION_LIMIT ((int64_t)1 << 16)

typedef struct tap {
    int64_t index; /* -1: outside, y is the extrapolation value */
    double weight;
} tap;

/* Neither stretched nor moved. */
static bool is_still(const cyg_kcall *call, int32_t axis)
{
    const cyg_kp_resize *p = call->params;
    return p->scale[axis] == 1.0 && call->in[0].dims[axis] == call->out[0].dims[axis] &&
           (p->transform != CYG_RESIZE_CROP ||
            (p->roi_start[axis] == 0.0 && p->roi_end[axis] == 1.0));
}

/* Half the number of taps of an axis; 0 = a single one. */
static int64_t reach(const cyg_kcall *call, int32_t axis)
{
    const cyg_kp_resize *p = call->params;
    if (p->mode == CYG_RESIZE_NEAREST || is_still(call, axis))
        return 0;
    const double width = p->mode == CYG_RESIZE_CUBIC ? 2.0 : 1.0;
    const double shrink = p->antialias != 0 && p->scale[axis] < 1.0 ? p->scale[axis] : 1.0;
    return -cyg_floor_i64(-width / shrink);
}
static int64_t taps_of(const cyg_kcall *call, int32_t axis)
{
    const int64_t half = reach(call, axis);
    return half == 0 ? 1 : 2 * half;
}

static bool sane(double v, double low, double high)
{
    return v >= low && v <= high; /* false for a NaN */
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_resize *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == y->type && x->rank == y->rank && x->rank >= 1, "x and y differ");
    CYG_REQUIRE(p->mode >= 0 && p->mode <= CYG_RESIZE_CUBIC && p->transform >= 0 &&
                    p->transform < CYG_RESIZE_TRANSFORMS && p->nearest >= 0 &&
                    p->nearest <= CYG_RESIZE_CEIL,
                "unknown mode");
    CYG_REQUIRE(p->mode == CYG_RESIZE_NEAREST || x->type != CYG_TYPE_BOOL,
                "bool is not interpolated");
    int64_t bytes = 0, combinations = 1;
    for (int32_t i = 0; i < x->rank; i++) {
        CYG_REQUIRE(x->dims[i] < SIZE_LIMIT && y->dims[i] < SIZE_LIMIT, "a size is too large");
        CYG_REQUIRE(x->dims[i] > 0 || y->dims[i] == 0, "nothing to repeat");
        CYG_REQUIRE(sane(p->scale[i], 1e-9, 1e9), "a scale is out of range");
        CYG_REQUIRE(sane(p->roi_start[i], -1e6, 1e6) && sane(p->roi_end[i], -1e6, 1e6),
                    "a region is out of range");
        const int64_t taps = taps_of(call, i);
        CYG_REQUIRE(taps <= 4 * (x->dims[i] + 2) * 2, "a scale is far from the sizes");
        bytes += y->dims[i] * taps * (int64_t)sizeof(tap);
        CYG_REQUIRE(bytes < TABLE_LIMIT, "the tables are too large");
        if (i + 1 < x->rank)
            CYG_REQUIRE(cyg_mul_i64(combinations, taps, &combinations) &&
                            combinations <= COMBINATION_LIMIT,
                        "too many source elements for one");
    }
    return NULL;
}

/* Source coordinate of output i; false = outside of the crop region. */
static bool source_of(const cyg_kcall *call, int32_t axis, int64_t i, double *out)
{
    const cyg_kp_resize *p = call->params;
    const double in = (double)call->in[0].dims[axis], scale = p->scale[axis], at = (double)i;
    const double length = scale * in;
    switch (p->transform) {
    case CYG_RESIZE_ALIGN_CORNERS:
        *out = length == 1.0 ? 0.0 : at * (in - 1.0) / (length - 1.0);
        break;
    case CYG_RESIZE_ASYMMETRIC:
        *out = at / scale;
        break;
    case CYG_RESIZE_PYTORCH_HALF_PIXEL:
        *out = length == 1.0 ? -0.5 : (at + 0.5) / scale - 0.5;
        break;
    case CYG_RESIZE_HALF_PIXEL_SYMMETRIC: {
        const double adjust = (double)call->out[0].dims[axis] / length;
        *out = in / 2.0 * (1.0 - adjust) + (at + 0.5) / scale - 0.5;
        break;
    }
    case CYG_RESIZE_CROP: {
        const double part = p->roi_end[axis] - p->roi_start[axis];
        *out = length == 1.0 ? part * (in - 1.0) / 2.0 : at * part * (in - 1.0) / (length - 1.0);
        *out += p->roi_start[axis] * (in - 1.0);
        return *out >= 0.0 && *out <= in - 1.0;
    }
    default: /* half pixel */
        *out = (at + 0.5) / scale - 0.5;
        break;
    }
    /* A hostile scale of about 1 / size makes length - 1 nearly nothing. */
    *out = *out < -1e15 ? -1e15 : *out > 1e15 ? 1e15 : *out;
    return true;
}

static int64_t nearest_to(int32_t rule, double at)
{
    const int64_t low = cyg_floor_i64(at);
    const double rest = at - (double)low;
    switch (rule) {
    case CYG_RESIZE_FLOOR:
        return low;
    case CYG_RESIZE_CEIL:
        return rest > 0.0 ? low + 1 : low;
    case CYG_RESIZE_ROUND_PREFER_CEIL:
        return rest >= 0.5 ? low + 1 : low;
    default:
        return rest > 0.5 ? low + 1 : low;
    }
}

/* Weight of an element at distance d. */
static double kernel_at(const cyg_kp_resize *p, double d)
{
    const double x = d < 0.0 ? -d : d;
    if (p->mode == CYG_RESIZE_CUBIC)
        return cyg_cubic_weight((double)p->cubic_a, x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static void fill_taps(const cyg_kcall *call, int32_t axis, int64_t i, tap *t)
{
    const cyg_kp_resize *p = call->params;
    const int64_t in = call->in[0].dims[axis], half = reach(call, axis), n = taps_of(call, axis);
    double at, sum = 0;
    if (is_still(call, axis)) {
        *t = (tap){i, 1.0};
        return;
    }
    if (!source_of(call, axis, i, &at)) {
        for (int64_t k = 0; k < n; k++)
            t[k] = (tap){-1, 0.0};
        return;
    }
    if (half == 0) {
        *t = (tap){cyg_min64(cyg_max64(nearest_to(p->nearest, at), 0), in - 1), 1.0};
        return;
    }
    const int64_t low = cyg_floor_i64(at), base = (double)low == at ? low - 1 : low;
    const bool soft = p->antialias != 0;
    const double shrink = soft && p->scale[axis] < 1.0 ? p->scale[axis] : 1.0;
    for (int64_t k = 0; k < n; k++) {
        const int64_t index = base - half + 1 + k;
        t[k].index = cyg_min64(cyg_max64(index, 0), in - 1);
        t[k].weight = kernel_at(p, ((double)index - at) * shrink);
        if (p->exclude_outside != 0 && t[k].index != index)
            t[k].weight = 0.0;
        sum += t[k].weight;
    }
    if (soft || p->exclude_outside != 0)
        for (int64_t k = 0; k < n; k++)
            t[k].weight /= sum;
}

static size_t prepare_size(const cyg_kcall *call)
{
    size_t count = 0;
    for (int32_t i = 0; i < call->out[0].rank; i++)
        count += (size_t)(call->out[0].dims[i] * taps_of(call, i));
    return cyg_align_up(count * sizeof(tap), 64);
}

static void prepare(const cyg_kcall *call, void *out_prepared)
{
    tap *t = out_prepared;
    for (int32_t axis = 0; axis < call->out[0].rank; axis++)
        for (int64_t i = 0; i < call->out[0].dims[axis]; i++, t += taps_of(call, axis))
            fill_taps(call, axis, i, t);
}

static int64_t items(const cyg_kcall *call)
{
    return cyg_rows_of(&call->out[0]);
}

static int64_t outer_combinations(const cyg_kcall *call)
{
    int64_t n = 1;
    for (int32_t i = 0; i + 1 < call->out[0].rank; i++)
        n *= taps_of(call, i);
    return n;
}

static size_t scratch_size(const cyg_kcall *call)
{
    return cyg_align_up((size_t)outer_combinations(call) * sizeof(tap), 64);
}

/* The outer axes' taps of one row as offsets into x and products of weights; false = outside. */
static bool combine(const cyg_kcall *call, int64_t row, tap *out, int64_t *out_count)
{
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    int64_t strides[CYG_MAX_RANK], at[CYG_MAX_RANK];
    const tap *table = call->prepared;
    cyg_strides_of(x, strides);
    for (int32_t i = y->rank - 2; i >= 0; i--) {
        at[i] = row % y->dims[i];
        row /= y->dims[i];
    }
    int64_t count = 1;
    out[0] = (tap){0, 1.0};
    for (int32_t i = 0; i < y->rank - 1; i++) {
        const int64_t n = taps_of(call, i);
        const tap *t = table + at[i] * n;
        if (t[0].index < 0)
            return false;
        /* From the back, so that the list can grow in place: entry c becomes entries c n .. */
        for (int64_t c = count - 1; c >= 0; c--)
            for (int64_t k = n - 1; k >= 0; k--)
                out[c * n + k] =
                    (tap){out[c].index + t[k].index * strides[i], out[c].weight * t[k].weight};
        count *= n;
        table += y->dims[i] * n;
    }
    *out_count = count;
    return true;
}

static void fill_row(const cyg_kcall *call, int64_t at, const tap *rows, int64_t row_count)
{
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int32_t type = x->type, last = y->rank - 1;
    const int64_t width = y->dims[last], n = taps_of(call, last), size = cyg_type_bytes(type);
    const tap *t = call->prepared;
    for (int32_t i = 0; i < last; i++)
        t += y->dims[i] * taps_of(call, i);
    const bool copies = ((const cyg_kp_resize *)call->params)->mode == CYG_RESIZE_NEAREST;
    const bool rounds = ((const cyg_kp_resize *)call->params)->rounds != 0;
    for (int64_t j = 0; j < width; j++, t += n) {
        if (rows == NULL || t[0].index < 0) {
            const cyg_kp_resize *p = call->params;
            cyg_store_real(y->data, type, at + j, (double)p->extrapolation);
        } else if (copies) {
            memcpy((char *)y->data + (at + j) * size,
                   (const char *)x->data + (rows[0].index + t[0].index) * size, (size_t)size);
        } else {
            double sum = 0;
            for (int64_t r = 0; r < row_count; r++) {
                double inner = 0;
                for (int64_t k = 0; k < n; k++)
                    inner += t[k].weight * cyg_load_real(x->data, type, rows[r].index + t[k].index);
                sum += rows[r].weight * inner;
            }
            if (rounds) /* of 16 bits at most: the adder does it */
                sum = (sum + 6755399441055744.0) - 6755399441055744.0;
            cyg_store_real(y->data, type, at + j, sum);
        }
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const int64_t width = cyg_row_length(&call->out[0]);
    for (int64_t row = begin; row < end; row++) {
        int64_t count = 0;
        const bool inside = combine(call, row, scratch, &count);
        fill_row(call, row * width, inside ? scratch : NULL, count);
    }
}

const cyg_kop_info cyg_kop_info_f_resize = {.name = "f_resize",
                                            .params_size = sizeof(cyg_kp_resize),
                                            .check = check,
                                            .prepare_size = prepare_size,
                                            .prepare = prepare,
                                            .items = items,
                                            .scratch = scratch_size,
                                            .run = run};

/* f_grid_sample: x read at the places that a grid names, in two or three dimensions.
 *
 * x [B, C, s..], grid [B, t.., d] with d coordinates in [-1, 1], the last axis of x first; y [B, C,
 * t..]. Binary64 throughout, one rounding to y's type; the taps of a place are the product of those
 * of its axes, row-major: one (nearest, ties to even), two (linear) or four (cubic, a = -0.75). An
 * item is a place of the grid, for all channels. A NaN coordinate is far outside. */
#include "kernels/f32/sampling.h"
#include "kernels/number.h"

enum { NEAREST, LINEAR, CUBIC, MOST_AXES = 3 };
enum { ZEROS, BORDER, REFLECTION };

typedef struct taps {
    int count;
    int64_t index[4]; /* -1 = a zero */
    double weight[4];
} taps;

static int axes_of(const cyg_kcall *call)
{
    return call->in[0].rank - 2;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 2, 1, 1);
    const cyg_kp_grid_sample *p = call->params;
    const cyg_kbuf *x = &call->in[0], *grid = &call->in[1], *y = &call->out[0];
    const int axes = axes_of(call);
    CYG_REQUIRE(axes >= 1 && axes <= MOST_AXES && grid->rank == axes + 2 && y->rank == axes + 2,
                "f_grid_sample wants two or three spatial axes");
    CYG_REQUIRE(p->mode >= NEAREST && p->mode <= CUBIC && p->padding >= ZEROS &&
                    p->padding <= REFLECTION,
                "unknown mode");
    CYG_REQUIRE(x->type == y->type && x->type != CYG_TYPE_BOOL && cyg_is_float_type(grid->type),
                "wrong types");
    CYG_REQUIRE(grid->dims[axes + 1] == axes && grid->dims[0] == x->dims[0],
                "the grid does not fit x");
    CYG_REQUIRE(y->dims[0] == x->dims[0] && y->dims[1] == x->dims[1], "y does not fit x");
    for (int i = 0; i < axes; i++) {
        CYG_REQUIRE(y->dims[2 + i] == grid->dims[1 + i], "y does not fit the grid");
        CYG_REQUIRE(x->dims[2 + i] > 0 && x->dims[2 + i] < (int64_t)1 << 30, "x has a bad size");
    }
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kbuf *y = &call->out[0];
    return cyg_count_of(y) == 0 ? 0 : y->dims[0] * cyg_count_dims(y, 2, y->rank);
}

static double round_even(double x)
{
    const int64_t low = cyg_floor_i64(x);
    const double rest = x - (double)low;
    return (double)(rest > 0.5 || (rest == 0.5 && (low & 1) != 0) ? low + 1 : low);
}

/* Mirrored at both ends until it lies between them. */
static double reflect(double x, double low, double high)
{
    const double range = high - low;
    if (range <= 0.0)
        return low;
    const bool below = x < low;
    const double over = below ? low - x : x - high;
    if (over <= 0.0)
        return x;
    const int64_t turns = (int64_t)(over / range);
    const double rest = over - (double)turns * range;
    const bool back = (turns & 1) == 0;
    return below == back ? low + rest : high - rest;
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Index i of an axis of `size` by the padding rule; -1 = a zero. */
static int64_t pad_index(const cyg_kp_grid_sample *p, int64_t i, int64_t size)
{
    if (i >= 0 && i < size)
        return i;
    if (p->padding == ZEROS)
        return -1;
    if (p->padding == BORDER)
        return i < 0 ? 0 : size - 1;
    const double low = p->align_corners != 0 ? 0.0 : -0.5;
    const int64_t r = (int64_t)reflect((double)i, low, (double)size - 1.0 - low);
    return r < 0 ? 0 : r < size ? r : size - 1;
}

static void taps_at(const cyg_kp_grid_sample *p, double place, int64_t size, taps *out)
{
    const double length = (double)size, low = p->align_corners != 0 ? 0.0 : -0.5;
    double at = p->align_corners != 0 ? (place + 1.0) / 2.0 * (length - 1.0)
                                      : ((place + 1.0) * length - 1.0) / 2.0;
    at = at == at ? clamp(at, -1e12, 1e12) : -1e12;
    if (p->mode == NEAREST)
        at = round_even(at);
    if (at < low || at > length - 1.0 - low) {
        if (p->padding == BORDER)
            at = clamp(at, 0.0, length - 1.0);
        else if (p->padding == REFLECTION)
            at = reflect(at, low, length - 1.0 - low);
    }
    if (p->mode == NEAREST) {
        out->count = 1;
        out->index[0] = pad_index(p, cyg_floor_i64(at), size);
        out->weight[0] = 1.0;
        return;
    }
    const int64_t base = cyg_floor_i64(at);
    const double rest = at - (double)base;
    out->count = p->mode == LINEAR ? 2 : 4;
    for (int k = 0; k < out->count; k++) {
        const int64_t step = p->mode == LINEAR ? k : k - 1;
        const double distance = (double)step - rest;
        out->index[k] = pad_index(p, base + step, size);
        out->weight[k] = p->mode == CUBIC ? cyg_cubic_weight(-0.75, distance)
                         : k == 0         ? 1.0 - rest
                                          : rest;
    }
}

/* Taps of all axes as offsets into a plane of x; returns their number. */
static int combine(const cyg_kbuf *x, const taps *t, int axes, int64_t *offset, double *weight)
{
    int count = 1;
    offset[0] = 0;
    weight[0] = 1.0;
    for (int i = 0; i < axes; i++) {
        for (int c = count - 1; c >= 0; c--)
            for (int k = t[i].count - 1; k >= 0; k--) {
                const bool zero = offset[c] < 0 || t[i].index[k] < 0;
                weight[c * t[i].count + k] = weight[c] * t[i].weight[k];
                offset[c * t[i].count + k] = zero ? -1 : offset[c] * x->dims[2 + i] + t[i].index[k];
            }
        count *= t[i].count;
    }
    return count;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_grid_sample *p = call->params;
    const cyg_kbuf *x = &call->in[0], *grid = &call->in[1], *y = &call->out[0];
    const int axes = axes_of(call);
    const int64_t places = cyg_count_dims(y, 2, y->rank), plane = cyg_count_dims(x, 2, x->rank);
    for (int64_t item = begin; item < end; item++) {
        taps t[MOST_AXES];
        int64_t offset[64];
        double weight[64];
        for (int i = 0; i < axes; i++)
            taps_at(p, cyg_load_real(grid->data, grid->type, item * axes + axes - 1 - i),
                    x->dims[2 + i], &t[i]);
        const int count = combine(x, t, axes, offset, weight);
        const int64_t image = item / places, place = item % places;
        for (int64_t c = 0; c < x->dims[1]; c++) {
            const int64_t from = (image * x->dims[1] + c) * plane;
            double sum = 0;
            for (int k = 0; k < count; k++)
                if (offset[k] >= 0)
                    sum += weight[k] * cyg_load_real(x->data, x->type, from + offset[k]);
            cyg_store_real(y->data, y->type, (image * x->dims[1] + c) * places + place, sum);
        }
    }
}

const cyg_kop_info cyg_kop_info_f_grid_sample = {.name = "f_grid_sample",
                                                 .params_size = sizeof(cyg_kp_grid_sample),
                                                 .check = check,
                                                 .items = items,
                                                 .run = run};

/* f_roi_align: regions of pictures brought to one size by averaging (or the largest of) bilinear
 * samples.
 *
 * x [B, C, H, W], rois [R, 4] as x1, y1, x2, y2, batch s64 [R]; y [R, C, h, w]. A cell of y takes
 * n x m samples at the middles of its parts, n m given or ceil(region / cells). A sample more than
 * one pixel outside is zero; up to there the edge counts. Binary64, one rounding. For the maximum
 * ONNX takes the largest of the four weighted neighbours, not of the interpolated value.
 *
 * A region can be as large as data says: a cell takes MOST_SAMPLES a side at most. An image outside
 * the batch gives zeros. An item is one region's channel. */
#include "kernels/index.h"
#include "kernels/number.h"

#define MOST_SAMPLES 1024.0

/* One sample: four neighbours and their weights; count 0 = outside. */
typedef struct sample {
    int count;
    int64_t at[4];
    double weight[4];
} sample;

typedef struct region {
    double x, y, cell_w, cell_h; /* first corner, size of a cell */
    int64_t samples_w, samples_h;
} region;

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 3, 3, 1, 1);
    const cyg_kbuf *x = &call->in[0], *rois = &call->in[1], *batch = &call->in[2],
                   *y = &call->out[0];
    CYG_REQUIRE(x->rank == 4 && y->rank == 4 && x->type == y->type && cyg_is_float_type(x->type),
                "x or y is no float [B, C, H, W]");
    CYG_REQUIRE(rois->rank == 2 && rois->dims[1] == 4 && cyg_is_float_type(rois->type),
                "rois is not [R, 4]");
    CYG_REQUIRE(batch->rank == 1 && cyg_is_index_type(batch->type) &&
                    batch->dims[0] == rois->dims[0],
                "the batch indices do not fit rois");
    CYG_REQUIRE(y->dims[0] == rois->dims[0] && y->dims[1] == x->dims[1], "y does not fit");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kbuf *y = &call->out[0];
    return cyg_count_of(y) == 0 ? 0 : y->dims[0] * y->dims[1];
}

static int64_t samples_of(int64_t wanted, double cell)
{
    if (wanted > 0)
        return wanted < (int64_t)MOST_SAMPLES ? wanted : (int64_t)MOST_SAMPLES;
    if (!(cell > 0.0))
        return 0;
    if (cell >= MOST_SAMPLES)
        return (int64_t)MOST_SAMPLES;
    const int64_t low = (int64_t)cell;
    return (double)low < cell ? low + 1 : low;
}

static region region_of(const cyg_kcall *call, int64_t r)
{
    const cyg_kp_roi_align *p = call->params;
    const cyg_kbuf *rois = &call->in[1], *y = &call->out[0];
    const double shift = p->half_pixel != 0 ? 0.5 : 0.0, scale = (double)p->spatial_scale;
    double corner[4];
    for (int i = 0; i < 4; i++) {
        const double v = cyg_load_real(rois->data, rois->type, 4 * r + i) * scale - shift;
        corner[i] = v > -1e9 ? v < 1e9 ? v : 1e9 : -1e9; /* a NaN too */
    }
    double width = corner[2] - corner[0], height = corner[3] - corner[1];
    if (p->half_pixel == 0) {
        width = width > 1.0 ? width : 1.0;
        height = height > 1.0 ? height : 1.0;
    }
    region q = {.x = corner[0], .y = corner[1]};
    q.cell_w = width / (double)y->dims[3];
    q.cell_h = height / (double)y->dims[2];
    q.samples_w = samples_of(p->sampling_ratio, q.cell_w);
    q.samples_h = samples_of(p->sampling_ratio, q.cell_h);
    return q;
}

/* Neighbours of a coordinate on one axis. */
static bool neighbours(double at, int64_t size, int64_t *low, int64_t *high, double *rest)
{
    if (at < -1.0 || at > (double)size)
        return false;
    at = at > 0.0 ? at : 0.0;
    *low = (int64_t)at;
    *high = *low + 1;
    if (*low >= size - 1) {
        *low = *high = size - 1;
        at = (double)*low;
    }
    *rest = at - (double)*low;
    return true;
}

static sample sample_at(const cyg_kbuf *x, double at_y, double at_x)
{
    int64_t top, bottom, left, right;
    double ry, rx;
    if (!neighbours(at_y, x->dims[2], &top, &bottom, &ry) ||
        !neighbours(at_x, x->dims[3], &left, &right, &rx))
        return (sample){.count = 0};
    const int64_t w = x->dims[3];
    return (sample){4,
                    {top * w + left, top * w + right, bottom * w + left, bottom * w + right},
                    {(1.0 - ry) * (1.0 - rx), (1.0 - ry) * rx, ry * (1.0 - rx), ry * rx}};
}

static double cell_at(const cyg_kcall *call, const region *q, int64_t plane, int64_t h, int64_t w)
{
    const cyg_kp_roi_align *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    double sum = 0, most = 0;
    bool any = false;
    for (int64_t i = 0; i < q->samples_h; i++) {
        const double part_h = ((double)i + 0.5) / (double)q->samples_h;
        for (int64_t j = 0; j < q->samples_w; j++) {
            const double part_w = ((double)j + 0.5) / (double)q->samples_w;
            const sample s = sample_at(x, q->y + ((double)h + part_h) * q->cell_h,
                                       q->x + ((double)w + part_w) * q->cell_w);
            if (s.count == 0) {
                most = any && most > 0.0 ? most : 0.0;
                any = true;
            }
            for (int k = 0; k < s.count; k++) {
                const double v = s.weight[k] * cyg_load_real(x->data, x->type, plane + s.at[k]);
                sum += v;
                most = any && most > v ? most : v;
                any = true;
            }
        }
    }
    const int64_t count = q->samples_h * q->samples_w;
    return p->is_max != 0 ? most : sum / (double)(count > 0 ? count : 1);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t size = y->dims[2] * y->dims[3];
    for (int64_t item = begin; item < end; item++) {
        const int64_t r = item / y->dims[1], c = item % y->dims[1];
        const int64_t image = cyg_index_at(&call->in[2], r);
        const bool there = image >= 0 && image < x->dims[0] && x->dims[2] > 0 && x->dims[3] > 0;
        const region q = region_of(call, r);
        const int64_t plane = there ? (image * x->dims[1] + c) * x->dims[2] * x->dims[3] : 0;
        for (int64_t i = 0; i < size; i++)
            cyg_store_real(y->data, y->type, item * size + i,
                           there ? cell_at(call, &q, plane, i / y->dims[3], i % y->dims[3]) : 0.0);
    }
}

const cyg_kop_info cyg_kop_info_f_roi_align = {.name = "f_roi_align",
                                               .params_size = sizeof(cyg_kp_roi_align),
                                               .check = check,
                                               .items = items,
                                               .run = run};

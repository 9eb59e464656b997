/* Resize, grids, regions, transposed convolution, LSTM and the norms over groups and lines: no
 * split and no level changes a byte, nothing outside a buffer is touched, and what comes out has
 * the property that defines the operator or equals a reference written the other way round here
 * (ONNX's node tests hold the exact values). Parameters that would leave the buffers are refused.
 */
#include "kernel_harness.h"

#include <math.h>

static void fill(const kh_call *c, uint32_t i, float lo, float hi)
{
    kh_fill_float(c->in[i].data, kh_elements(&c->in[i]), lo, hi);
}

static void near(const kh_call *c, int64_t i, double want, double slack)
{
    const double got = (double)((const float *)c->out[0].data)[i];
    if (!(fabs(got - want) <= slack))
        fail_msg("%s: element %lld: expected %.9g, found %.9g", cyg_kop_info_of(c->call.op)->name,
                 (long long)i, want, got);
}

static void refused(kh_call *c)
{
    assert_non_null(cyg_kop_info_of(c->call.op)->check(&c->call));
}

static cyg_kp_resize plain_resize(void)
{
    cyg_kp_resize p = {.mode = CYG_RESIZE_NEAREST, .cubic_a = -0.75f};
    for (int i = 0; i < 8; i++)
        p.scale[i] = p.roi_end[i] = 1.0;
    return p;
}

/* A constant picture stays constant whatever the mode; a nearest one is made of its own pixels. */
static void test_resize(void **state)
{
    (void)state;
    kh_seed(81);
    for (int round = 0; round < 120; round++) {
        cyg_kp_resize p = plain_resize();
        int64_t d[3] = {kh_between(1, 3), kh_between(1, 9), kh_between(1, 9)}, yd[3];
        p.mode = round % 3;
        p.transform = (int32_t)kh_between(0, CYG_RESIZE_TRANSFORMS - 1);
        p.nearest = (int32_t)kh_between(0, 3);
        p.antialias = round % 2;
        p.exclude_outside = round % 5 == 0;
        p.extrapolation = 3.0f;
        for (int i = 0; i < 3; i++) {
            p.scale[i] = i == 0 ? 1.0 : (double)kh_float(0.3f, 3.0f);
            yd[i] = (int64_t)((double)d[i] * p.scale[i]);
        }
        kh_call c;
        kh_begin(&c, CYG_KOP_f_resize, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, 3, d);
        kh_out(&c, CYG_TYPE_F32, 3, yd);
        for (int64_t i = 0; i < kh_elements(&c.in[0]); i++)
            x[i] = 3.0f;
        kh_run(&c);
        for (int64_t i = 0; i < kh_elements(&c.out[0]); i++)
            near(&c, i, 3.0, 1e-5);
        kh_end(&c);
    }
}

static void test_resize_by_two(void **state)
{
    (void)state;
    cyg_kp_resize p = plain_resize();
    p.transform = CYG_RESIZE_ASYMMETRIC;
    p.nearest = CYG_RESIZE_FLOOR;
    p.scale[1] = p.scale[2] = 2.0;
    for (int linear = 0; linear < 2; linear++) {
        kh_call c;
        p.mode = linear;
        kh_begin(&c, CYG_KOP_f_resize, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 3, 5));
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, 6, 10));
        fill(&c, 0, -1, 1);
        kh_run(&c);
        for (int64_t i = 0; i < 120; i++) {
            const int64_t plane = i / 60 * 15, h = i / 10 % 6, w = i % 10;
            const int64_t h1 = h / 2 < 2 ? h / 2 + 1 : 2, w1 = w / 2 < 4 ? w / 2 + 1 : 4;
            const double rh = (double)(linear * (h % 2)) * 0.5,
                         rw = (double)(linear * (w % 2)) * 0.5;
            const float *top = x + plane + h / 2 * 5, *bottom = x + plane + h1 * 5;
            near(&c, i,
                 (1 - rh) * ((1 - rw) * (double)top[w / 2] + rw * (double)top[w1]) +
                     rh * ((1 - rw) * (double)bottom[w / 2] + rw * (double)bottom[w1]),
                 1e-6);
        }
        kh_end(&c);
    }
}

static void test_resize_refusals(void **state)
{
    (void)state;
    const double scales[] = {NAN, INFINITY, 0.0, -1.0, 1e-12, 1e-7};
    for (size_t i = 0; i < CYG_COUNT(scales); i++) {
        cyg_kp_resize p = plain_resize();
        p.mode = CYG_RESIZE_CUBIC;
        p.antialias = 1;
        p.scale[0] = scales[i];
        kh_call c;
        kh_begin(&c, CYG_KOP_f_resize, &p, sizeof p);
        kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(4));
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(4));
        refused(&c);
        kh_end(&c);
    }
}

/* A grid that names the pixels themselves gives the picture back. */
static void test_grid_identity(void **state)
{
    (void)state;
    kh_seed(82);
    for (int mode = 0; mode < 3; mode++) {
        const cyg_kp_grid_sample p = {.mode = mode, .padding = mode, .align_corners = 1};
        kh_call c;
        kh_begin(&c, CYG_KOP_f_grid_sample, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 3, 5, 9));
        float *grid = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 5, 9, 2));
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, 3, 5, 9));
        fill(&c, 0, -1, 1);
        for (int64_t i = 0; i < 90; i++) {
            grid[2 * i] = (float)(i % 9) / 4.0f - 1.0f;
            grid[2 * i + 1] = (float)(i / 9 % 5) / 2.0f - 1.0f;
        }
        kh_run(&c);
        for (int64_t i = 0; i < 270; i++)
            near(&c, i, (double)x[i], 1e-6);
        kh_end(&c);
    }
}

/* Whatever a grid says, only the picture is read (the harness has guard pages). */
static void test_grid_anything(void **state)
{
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, -1.0f, 1.0f, 0.99999f};
    kh_seed(83);
    for (int round = 0; round < 54; round++) {
        const cyg_kp_grid_sample p = {
            .mode = round % 3, .padding = round / 3 % 3, .align_corners = round & 1};
        const bool deep = round >= 27;
        kh_call c;
        kh_begin(&c, CYG_KOP_f_grid_sample, &p, sizeof p);
        if (deep) {
            kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(1, 2, 1, 3, 4));
            kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(1, 2, 2, 5, 3));
            kh_out(&c, CYG_TYPE_F32, KH_DIMS(1, 2, 2, 2, 5));
        } else {
            kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(1, 2, 1, 3));
            kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(1, 4, 8, 2));
            kh_out(&c, CYG_TYPE_F32, KH_DIMS(1, 2, 4, 8));
        }
        fill(&c, 0, -1, 1);
        fill(&c, 1, -3, 3);
        float *grid = c.in[1].data;
        for (size_t i = 0; i < CYG_COUNT(odd); i++)
            grid[3 * i] = odd[i];
        kh_run(&c);
        kh_end(&c);
    }
}

/* The average of a constant picture, also of regions that reach outside by less than a pixel. */
static void test_regions(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        const cyg_kp_roi_align p = {.sampling_ratio = round % 3,
                                    .spatial_scale = 0.5f,
                                    .half_pixel = round & 1,
                                    .is_max = 0};
        kh_call c;
        kh_begin(&c, CYG_KOP_f_roi_align, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 2, 7, 6));
        float *rois = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(3, 4));
        int64_t *batch = kh_in(&c, CYG_TYPE_S64, 0, KH_DIMS(3));
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(3, 2, 2, 3));
        for (int i = 0; i < 168; i++)
            x[i] = 2.5f;
        const float boxes[] = {0, 0, 12, 14, 2, 3, 9, 9, NAN, -INFINITY, INFINITY, 1e30f};
        memcpy(rois, boxes, sizeof boxes);
        batch[0] = 1;
        batch[1] = 0;
        batch[2] = round < 4 ? 0 : 7; /* an image that is not there */
        kh_run(&c);
        for (int i = 0; i < 24; i++)
            near(&c, i, 2.5, 1e-6);
        for (int i = 24; round >= 4 && i < 36; i++)
            near(&c, i, 0.0, 0.0);
        kh_end(&c);
    }
}

/* Against the scatter form: every input adds its kernel to the output. */
static void test_conv_transpose(void **state)
{
    (void)state;
    kh_seed(84);
    for (int round = 0; round < 40; round++) {
        cyg_kp_windows p = {.group = round % 2 + 1};
        int64_t x[5] = {2, 4, kh_between(1, 3), kh_between(1, 4), kh_between(1, 4)};
        int64_t w[5] = {4, 3}, y[5] = {2, 3 * p.group};
        for (int i = 0; i < 3; i++) {
            p.kernel[i] = w[2 + i] = kh_between(1, 3);
            p.stride[i] = kh_between(1, 3);
            p.dilation[i] = kh_between(1, 2);
            p.begin[i] = kh_between(0, 1);
            y[2 + i] = p.stride[i] * (x[2 + i] - 1) + (w[2 + i] - 1) * p.dilation[i] + 1 + 1;
        }
        kh_call c;
        kh_begin(&c, CYG_KOP_f_conv_transpose, &p, sizeof p);
        const float *in = kh_in(&c, CYG_TYPE_F32, 0, 5, x);
        const float *weight = kh_in(&c, CYG_TYPE_F32, round % 3 == 0, 5, w);
        kh_out(&c, CYG_TYPE_F32, 5, y);
        fill(&c, 0, -1, 1);
        fill(&c, 1, -1, 1);
        double *want = calloc((size_t)kh_elements(&c.out[0]), sizeof *want);
        const int64_t outs = 3, taps = w[2] * w[3] * w[4], plane = x[2] * x[3] * x[4];
        for (int64_t i = 0; i < kh_elements(&c.in[0]); i++)
            for (int64_t k = 0; k < outs * taps; k++) {
                const int64_t channel = i / plane % 4, group = channel / (4 / p.group);
                const int64_t tap[3] = {k / w[4] / w[3] % w[2], k / w[4] % w[3], k % w[4]};
                const int64_t at[3] = {i / x[4] / x[3] % x[2], i / x[4] % x[3], i % x[4]};
                int64_t to = i / plane / 4 * y[1] + group * outs + k / taps;
                bool inside = true;
                for (int a = 0; a < 3; a++) {
                    const int64_t o = at[a] * p.stride[a] + tap[a] * p.dilation[a] - p.begin[a];
                    inside = inside && o >= 0 && o < y[2 + a];
                    to = to * y[2 + a] + o;
                }
                if (inside)
                    want[to] += (double)in[i] * (double)weight[channel * outs * taps + k];
            }
        kh_run(&c);
        for (int64_t i = 0; i < kh_elements(&c.out[0]); i++)
            near(&c, i, want[i], 1e-5);
        free(want);
        kh_end(&c);
    }
}

/* Groups come out with mean 0 and variance 1, lines with norm 1. */
static void test_norms(void **state)
{
    (void)state;
    kh_seed(85);
    const cyg_kp_group_norm group = {.groups = 3, .epsilon = 0.0f};
    kh_call c;
    kh_begin(&c, CYG_KOP_f_group_norm, &group, sizeof group);
    kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 6, 5, 3));
    float *scale = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(3));
    float *bias = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(6));
    const float *y = kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, 6, 5, 3));
    fill(&c, 0, 2, 5);
    for (int i = 0; i < 6; i++) {
        scale[i % 3] = 1.0f;
        bias[i] = 0.0f;
    }
    kh_run(&c);
    for (int g = 0; g < 6; g++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < 30; i++) {
            sum += (double)y[30 * g + i];
            squares += (double)y[30 * g + i] * (double)y[30 * g + i];
        }
        assert_true(fabs(sum) < 1e-4 && fabs(squares / 30 - 1) < 1e-4);
    }
    kh_end(&c);
    for (int p = 1; p < 3; p++) {
        const cyg_kp_lp_norm lp = {.axis = 1, .p = p};
        kh_begin(&c, CYG_KOP_f_lp_norm, &lp, sizeof lp);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 7, 3));
        y = kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, 7, 3));
        fill(&c, 0, -2, 2);
        for (int i = 0; i < 7; i++)
            x[3 * i] = 0.0f; /* a line of zeros stays one */
        kh_run(&c);
        for (int line = 0; line < 6; line++) {
            double norm = 0;
            for (int i = 0; i < 7; i++) {
                const double v = (double)y[line / 3 * 21 + 3 * i + line % 3];
                norm += p == 2 ? v * v : fabs(v);
            }
            assert_true(fabs(norm - (line == 0 ? 0 : 1)) < 1e-5);
        }
        kh_end(&c);
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* One step at a time with libm, forward, hidden size 3. */
static void test_lstm(void **state)
{
    (void)state;
    enum { STEPS = 4, BATCH = 2, INPUT = 5, HIDDEN = 3, ROWS = 4 * HIDDEN };
    kh_seed(86);
    cyg_kp_lstm p = {.hidden = HIDDEN};
    for (int i = 0; i < 6; i++)
        p.activation[i] = i % 3 == 0 ? CYG_LSTM_SIGMOID : CYG_LSTM_TANH;
    kh_call c;
    kh_begin(&c, CYG_KOP_f_lstm, &p, sizeof p);
    const float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(STEPS, BATCH, INPUT));
    const float *w = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(1, ROWS, INPUT));
    const float *r = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(1, ROWS, HIDDEN));
    kh_out(&c, CYG_TYPE_F32, KH_DIMS(STEPS, 1, BATCH, HIDDEN));
    for (uint32_t i = 0; i < 3; i++)
        fill(&c, i, -1, 1);
    kh_run(&c);
    for (int b = 0; b < BATCH; b++) {
        double h[HIDDEN] = {0}, cell[HIDDEN] = {0}, a[ROWS];
        for (int t = 0; t < STEPS; t++) {
            for (int g = 0; g < ROWS; g++) {
                a[g] = 0;
                for (int k = 0; k < INPUT; k++)
                    a[g] += (double)x[(t * BATCH + b) * INPUT + k] * (double)w[g * INPUT + k];
                for (int k = 0; k < HIDDEN; k++)
                    a[g] += h[k] * (double)r[g * HIDDEN + k];
            }
            for (int k = 0; k < HIDDEN; k++) { /* i o f c */
                cell[k] =
                    sigmoid(a[2 * HIDDEN + k]) * cell[k] + sigmoid(a[k]) * tanh(a[3 * HIDDEN + k]);
                h[k] = sigmoid(a[HIDDEN + k]) * tanh(cell[k]);
                near(&c, (t * BATCH + b) * HIDDEN + k, h[k], 1e-6);
            }
        }
    }
    p.hidden = INT64_MAX / 4;
    memcpy(c.params.bytes, &p, sizeof p);
    refused(&c);
    p.hidden = HIDDEN;
    p.direction = CYG_LSTM_BOTH; /* W has one direction */
    memcpy(c.params.bytes, &p, sizeof p);
    refused(&c);
    kh_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_resize_by_two),
        cmocka_unit_test(test_resize_refusals),
        cmocka_unit_test(test_grid_identity),
        cmocka_unit_test(test_grid_anything),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_conv_transpose),
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_lstm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Matrix products and convolutions: every level gives the bytes of a naive loop over libm's fmaf, k
 * ascending, for shapes around every tile edge; both orders of convolution included. Activations
 * and residuals are compared between levels here and with double in test_f32_rows. */
#include "kernel_harness.h"

#include <math.h>

static const float specials[] = {
    0.0f,  -0.0f,    1.0f,   -1.0f,       1e-45f, -1e-40f, 1.17549435e-38f,
    3e38f, -3.4e38f, 1e-20f, 16777217.0f, 0.1f};

static void fill(float *x, int64_t n)
{
    const int mode = (int)kh_between(0, 3);
    for (int64_t i = 0; i < n; i++)
        x[i] = mode == 0 && kh_between(0, 7) == 0 ? specials[kh_between(0, CYG_COUNT(specials) - 1)]
                                                  : kh_float(-1, 1);
}

static void expect_bytes(const kh_call *c, const float *want, int64_t n, const char *what)
{
    const float *got = c->out[0].data;
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&want[i], &got[i], 4) != 0 && !(isnan(want[i]) && isnan(got[i])))
            fail_msg("%s: element %lld: want %a, got %a", what, (long long)i, (double)want[i],
                     (double)got[i]);
}

static int64_t odd_size(void)
{
    static const int64_t sizes[] = {1,  2,  3,  5,  6,  7,  11, 12, 13, 15, 16, 17,
                                    31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97};
    return sizes[kh_between(0, CYG_COUNT(sizes) - 1)];
}

static void one_linear(int64_t m, int64_t n, int64_t k, int is_const, int bias, int residual,
                       int act)
{
    const cyg_kp_linear p = {.act = act,
                             .post_act = residual ? CYG_ACT_RELU : CYG_ACT_NONE,
                             .act_lo = 0.1f,
                             .act_hi = 0.7f};
    kh_call c;
    kh_begin(&c, CYG_KOP_f_linear, &p, sizeof p);
    float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(m, k));
    float *w = kh_in(&c, CYG_TYPE_F32, is_const, KH_DIMS(n, k));
    float *b = kh_in(&c, bias ? CYG_TYPE_F32 : CYG_TYPE_NONE, 1, KH_DIMS(n));
    float *r = kh_in(&c, residual ? CYG_TYPE_F32 : CYG_TYPE_NONE, 0, KH_DIMS(m, n));
    kh_out(&c, CYG_TYPE_F32, KH_DIMS(m, n));
    fill(x, m * k);
    fill(w, n * k);
    if (bias)
        fill(b, n);
    if (residual)
        fill(r, m * n);
    kh_run(&c);
    if (act == CYG_ACT_NONE) {
        float *want = malloc((size_t)(m * n) * sizeof *want);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                float acc = 0;
                for (int64_t q = 0; q < k; q++)
                    acc = fmaf(x[i * k + q], w[j * k + q], acc);
                if (bias)
                    acc += b[j];
                if (residual) {
                    acc += r[i * n + j];
                    acc = acc < 0 ? 0 : acc;
                }
                want[i * n + j] = acc;
            }
        expect_bytes(&c, want, m * n, "linear");
        free(want);
    }
    kh_end(&c);
}

static void test_linear(void **state)
{
    (void)state;
    kh_seed(1);
    for (int i = 0; i < 60; i++)
        one_linear(odd_size(), odd_size(), odd_size(), i % 3 != 0, i & 1, i & 2, CYG_ACT_NONE);
    for (int act = 0; act < CYG_ACT_COUNT; act++)
        one_linear(7, 37, 21, 1, 1, 1, act);
    one_linear(1, 300, 40, 1, 1, 0, CYG_ACT_NONE);
    one_linear(13, 17, 1024, 1, 0, 0, CYG_ACT_NONE); /* rows 4 KiB apart, three slices of K */
    one_linear(100, 270, 390, 1, 1, 1, CYG_ACT_NONE);
    one_linear(100, 70, 390, 0, 1, 1, CYG_ACT_NONE);
    one_linear(3, 4, 0, 1, 1, 0, CYG_ACT_NONE);
    one_linear(0, 4, 5, 1, 1, 0, CYG_ACT_NONE);
}

static void test_matmul(void **state)
{
    (void)state;
    kh_seed(2);
    for (int i = 0; i < 30; i++) {
        const int64_t m = odd_size(), n = odd_size(), k = odd_size(), g = kh_between(1, 3),
                      h = kh_between(1, 3);
        const int shared =
            i % 3; /* 0: batches on both, 1: none on b, 2: broadcast against each other */
        const cyg_kp_matmul p = {0};
        kh_call c;
        kh_begin(&c, CYG_KOP_f_matmul, &p, sizeof p);
        const int64_t ag = g, ah = shared == 2 ? 1 : h, bg = shared == 2 ? 1 : g, bh = h;
        float *a = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(ag, ah, m, k));
        float *b = shared == 1 ? kh_in(&c, CYG_TYPE_F32, i & 1, KH_DIMS(k, n))
                               : kh_in(&c, CYG_TYPE_F32, i & 1, KH_DIMS(bg, bh, k, n));
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(g, h, m, n));
        fill(a, ag * ah * m * k);
        fill(b, shared == 1 ? k * n : bg * bh * k * n);
        kh_run(&c);
        float *want = malloc((size_t)(g * h * m * n) * sizeof *want);
        for (int64_t at = 0; at < g * h * m * n; at++) {
            const int64_t j = at % n, r = at / n % m, y = at / n / m % h, z = at / n / m / h;
            const float *pa = a + ((ag == 1 ? 0 : z) * ah + (ah == 1 ? 0 : y)) * m * k + r * k;
            const float *pb =
                shared == 1 ? b : b + ((bg == 1 ? 0 : z) * bh + (bh == 1 ? 0 : y)) * k * n;
            float acc = 0;
            for (int64_t q = 0; q < k; q++)
                acc = fmaf(pa[q], pb[q * n + j], acc);
            want[at] = acc;
        }
        expect_bytes(&c, want, g * h * m * n, "matmul");
        free(want);
        kh_end(&c);
    }
}

static void test_matmul_vectors(void **state)
{
    (void)state;
    kh_seed(3);
    const cyg_kp_matmul p = {0};
    for (int i = 0; i < 3; i++) {
        kh_call c;
        kh_begin(&c, CYG_KOP_f_matmul, &p, sizeof p);
        float *a = i == 1 ? kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(5, 9))
                          : kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(9));
        float *b = i == 0 ? kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(9, 4))
                          : kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(9));
        const int64_t n = i == 0 ? 4 : i == 1 ? 5 : 1;
        kh_out(&c, CYG_TYPE_F32, i == 2 ? 0 : 1, &n);
        fill(a, i == 1 ? 45 : 9);
        fill(b, i == 0 ? 36 : 9);
        kh_run(&c);
        float want[5];
        for (int64_t j = 0; j < n; j++) {
            float acc = 0;
            for (int q = 0; q < 9; q++)
                acc = fmaf(i == 1 ? a[j * 9 + q] : a[q], i == 0 ? b[q * 4 + j] : b[q], acc);
            want[j] = acc;
        }
        expect_bytes(&c, want, n, "vectors");
        kh_end(&c);
    }
}

static void test_gemm(void **state)
{
    (void)state;
    kh_seed(4);
    for (int i = 0; i < 32; i++) {
        const int64_t m = odd_size(), n = odd_size(), k = odd_size();
        const int ta = i & 1, tb = i >> 1 & 1, kind = (i >> 2) % 4;
        const cyg_kp_gemm p = {
            .alpha = i & 8 ? 0.7f : 1, .beta = i & 16 ? -1.3f : 1, .trans_a = ta, .trans_b = tb};
        kh_call c;
        kh_begin(&c, CYG_KOP_f_gemm, &p, sizeof p);
        float *a = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(ta ? k : m, ta ? m : k));
        float *b = kh_in(&c, CYG_TYPE_F32, i % 3 == 0, KH_DIMS(tb ? n : k, tb ? k : n));
        const int64_t cr = kind == 1 ? m : 1,
                      cc = kind == 2 ? 1 : n; /* 1: [m, n], 2: [1, 1], 3: [1, n] */
        float *add = kh_in(&c, kind == 0 ? CYG_TYPE_NONE : CYG_TYPE_F32, 0, KH_DIMS(cr, cc));
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(m, n));
        fill(a, m * k);
        fill(b, n * k);
        if (add != NULL)
            fill(add, cr * cc);
        kh_run(&c);
        float *want = malloc((size_t)(m * n) * sizeof *want);
        for (int64_t at = 0; at < m * n; at++) {
            const int64_t r = at / n, j = at % n;
            float acc = 0;
            for (int64_t q = 0; q < k; q++)
                acc = fmaf(ta ? a[q * m + r] : a[r * k + q], tb ? b[j * k + q] : b[q * n + j], acc);
            acc *= p.alpha;
            if (add != NULL)
                acc = fmaf(add[(cr == 1 ? 0 : r) * cc + (cc == 1 ? 0 : j)], p.beta, acc);
            want[at] = acc;
        }
        expect_bytes(&c, want, m * n, "gemm");
        free(want);
        kh_end(&c);
    }
}

typedef struct conv_case {
    int64_t batch, c, o, group, h, w, kh, kw, sh, sw, pt, pl, pb, pr, dh, dw;
} conv_case;

/* One output by the definition; depthwise kernels skip taps outside, which differs only in the sign
 * of zero: none appears here. */
static float conv_at(const conv_case *q, const float *x, const float *w, int x_last, int w_last,
                     int64_t b, int64_t o, int64_t oh, int64_t ow)
{
    const int64_t cg = q->c / q->group, first = o / (q->o / q->group) * cg, taps = q->kh * q->kw;
    float acc = 0;
    for (int64_t i = 0; i < cg * taps; i++) {
        const int64_t ch = w_last ? i % cg : i / taps, tap = w_last ? i / cg : i % taps;
        const int64_t ih = oh * q->sh + tap / q->kw * q->dh - q->pt,
                      iw = ow * q->sw + tap % q->kw * q->dw - q->pl;
        const int inside = ih >= 0 && ih < q->h && iw >= 0 && iw < q->w;
        const int64_t at = x_last ? ((b * q->h + ih) * q->w + iw) * q->c + first + ch
                                  : ((b * q->c + first + ch) * q->h + ih) * q->w + iw;
        acc = fmaf(inside ? x[at] : 0, w[o * cg * taps + i], acc);
    }
    return acc;
}

static conv_case random_conv(int i)
{
    static const int64_t groups[] = {1, 1, 2, 3};
    conv_case q = {.batch = kh_between(1, 2), .group = groups[i % 4]};
    q.c = q.group * kh_between(1, 9);
    q.o = q.group * kh_between(1, 20);
    if (i % 5 == 4) /* depthwise */
        q.c = q.o = q.group = kh_between(2, 37);
    q.h = kh_between(1, 14);
    q.w = kh_between(1, 21);
    q.kh = kh_between(1, 4);
    q.kw = kh_between(1, 4);
    q.sh = kh_between(1, 3);
    q.sw = kh_between(1, 3);
    q.dh = kh_between(1, 2);
    q.dw = kh_between(1, 2);
    q.pt = kh_between(0, 3);
    q.pl = kh_between(0, 3);
    q.pb = kh_between(0, 3);
    q.pr = kh_between(0, 3);
    if (i % 7 == 6) { /* pointwise */
        q.kh = q.kw = q.sh = q.sw = 1;
        q.pt = q.pl = q.pb = q.pr = 0;
    }
    return q;
}

static void one_conv(const conv_case *q, int last, int x_nchw, int is_const)
{
    const int64_t oh = (q->h + q->pt + q->pb - q->dh * (q->kh - 1) - 1) / q->sh + 1;
    const int64_t ow = (q->w + q->pl + q->pr - q->dw * (q->kw - 1) - 1) / q->sw + 1;
    const int64_t cg = q->c / q->group;
    if (q->h + q->pt + q->pb < q->dh * (q->kh - 1) + 1 ||
        q->w + q->pl + q->pr < q->dw * (q->kw - 1) + 1)
        return;
    const cyg_kp_conv p = {.kh = q->kh,
                           .kw = q->kw,
                           .stride_h = q->sh,
                           .stride_w = q->sw,
                           .pad_t = q->pt,
                           .pad_l = q->pl,
                           .pad_b = q->pb,
                           .pad_r = q->pr,
                           .dilation_h = q->dh,
                           .dilation_w = q->dw,
                           .group = q->group,
                           .x_nchw = x_nchw};
    kh_call c;
    kh_begin(&c, last ? CYG_KOP_f_conv2d : CYG_KOP_f_conv, &p, sizeof p);
    const int x_last = last && !x_nchw;
    float *x = x_last ? kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(q->batch, q->h, q->w, q->c))
                      : kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(q->batch, q->c, q->h, q->w));
    float *w = last ? kh_in(&c, CYG_TYPE_F32, is_const, KH_DIMS(q->o, q->kh, q->kw, cg))
                    : kh_in(&c, CYG_TYPE_F32, is_const, KH_DIMS(q->o, cg, q->kh, q->kw));
    float *bias = kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(q->o));
    if (last)
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(q->batch, oh, ow, q->o));
    else
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(q->batch, q->o, oh, ow));
    kh_fill_float(x, q->batch * q->c * q->h * q->w, -1, 1);
    kh_fill_float(w, q->o * cg * q->kh * q->kw, -1, 1);
    kh_fill_float(bias, q->o, -1, 1);
    kh_run(&c);
    const int64_t n = q->batch * oh * ow * q->o;
    float *want = malloc((size_t)n * sizeof *want);
    for (int64_t at = 0; at < n; at++) {
        const int64_t o = last ? at % q->o : at / ow / oh % q->o, pixel = last ? at / q->o : at;
        const int64_t b = last ? pixel / ow / oh : at / ow / oh / q->o;
        want[at] = conv_at(q, x, w, x_last, last, b, o, pixel / ow % oh, pixel % ow) + bias[o];
    }
    expect_bytes(&c, want, n, last ? "conv2d" : "conv");
    free(want);
    kh_end(&c);
}

static void test_conv(void **state)
{
    (void)state;
    kh_seed(5);
    for (int i = 0; i < 60; i++) {
        const conv_case q = random_conv(i);
        one_conv(&q, 0, 0, 1);
        one_conv(&q, 1, i & 1, i % 3 != 0);
    }
    const conv_case deep = {1, 50, 100, 1, 9, 9, 3, 3,
                            1, 1,  1,   1, 1, 1, 1, 1}; /* K = 450: two slices */
    one_conv(&deep, 0, 0, 1);
    one_conv(&deep, 1, 0, 1);
    const conv_case wide = {1, 512, 20, 1, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
    one_conv(&wide, 1, 0, 1);
}

/* Three axes against a naive loop: every tap in its place, taps outside left out. */
static void one_conv3d(const cyg_kp_windows *p, int64_t c, int64_t o, const int64_t in[3])
{
    int64_t out[3];
    for (int i = 0; i < 3; i++)
        out[i] = (in[i] + p->begin[i] + p->end[i] - p->dilation[i] * (p->kernel[i] - 1) - 1) /
                     p->stride[i] +
                 1;
    const int64_t cg = c / p->group, taps = p->kernel[0] * p->kernel[1] * p->kernel[2];
    const int64_t n = o * out[0] * out[1] * out[2];
    kh_call call;
    kh_begin(&call, CYG_KOP_f_conv3d, p, sizeof *p);
    float *x = kh_in(&call, CYG_TYPE_F32, 0, KH_DIMS(1, c, in[0], in[1], in[2]));
    float *w =
        kh_in(&call, CYG_TYPE_F32, 1, KH_DIMS(o, cg, p->kernel[0], p->kernel[1], p->kernel[2]));
    float *bias = kh_in(&call, CYG_TYPE_F32, 1, KH_DIMS(o));
    kh_out(&call, CYG_TYPE_F32, KH_DIMS(1, o, out[0], out[1], out[2]));
    kh_fill_float(x, c * in[0] * in[1] * in[2], -1, 1);
    kh_fill_float(w, o * cg * taps, -1, 1);
    kh_fill_float(bias, o, -1, 1);
    kh_run(&call);
    float *want = malloc((size_t)n * sizeof *want);
    for (int64_t at = 0; at < n; at++) {
        const int64_t f = at / out[2] / out[1] / out[0];
        const int64_t first[3] = {at / out[2] / out[1] % out[0], at / out[2] % out[1], at % out[2]};
        want[at] = 0.0f;
        for (int64_t k = 0; k < cg * taps; k++) {
            const int64_t tap[3] = {k % taps / p->kernel[2] / p->kernel[1],
                                    k % taps / p->kernel[2] % p->kernel[1], k % p->kernel[2]};
            int64_t from = f / (o / p->group) * cg + k / taps;
            bool inside = true;
            for (int i = 0; i < 3; i++) {
                const int64_t pos = first[i] * p->stride[i] + tap[i] * p->dilation[i] - p->begin[i];
                inside = inside && pos >= 0 && pos < in[i];
                from = from * in[i] + pos;
            }
            if (inside)
                want[at] = fmaf(x[from], w[f * cg * taps + k], want[at]);
        }
        want[at] += bias[f];
    }
    expect_bytes(&call, want, n, "conv3d");
    free(want);
    kh_end(&call);
}

static void test_conv_3d(void **state)
{
    (void)state;
    kh_seed(7);
    const cyg_kp_windows cases[] = {
        {{2, 4, 4}, {2, 4, 4}, {1, 1, 1}, {0}, {0}, 1}, /* a patch embedding */
        {{3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1},
        {{3, 2, 3}, {1, 2, 3}, {2, 1, 2}, {2, 0, 1}, {1, 1, 4}, 2},
        {{1, 3, 5}, {1, 1, 2}, {1, 2, 1}, {0, 3, 2}, {0, 2, 1}, 4}};
    for (size_t i = 0; i < CYG_COUNT(cases); i++)
        one_conv3d(&cases[i], 4, 8, (const int64_t[]){6, 8, 17});
}

/* 1-D: rank 3, H = 1. */
static void test_conv_1d(void **state)
{
    (void)state;
    kh_seed(6);
    const cyg_kp_conv p = {.kh = 1,
                           .kw = 5,
                           .stride_h = 1,
                           .stride_w = 2,
                           .pad_l = 2,
                           .pad_r = 2,
                           .dilation_h = 1,
                           .dilation_w = 1,
                           .group = 1};
    kh_call c;
    kh_begin(&c, CYG_KOP_f_conv, &p, sizeof p);
    float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 3, 40)),
          *w = kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(7, 3, 5));
    kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, 7, 20));
    kh_fill_float(x, 240, -1, 1);
    kh_fill_float(w, 105, -1, 1);
    kh_run(&c);
    const conv_case q = {2, 3, 7, 1, 1, 40, 1, 5, 1, 2, 0, 2, 0, 2, 1, 1};
    float want[280];
    for (int64_t at = 0; at < 280; at++)
        want[at] = conv_at(&q, x, w, 0, 0, at / 140, at / 20 % 7, 0, at % 20);
    expect_bytes(&c, want, 280, "conv 1-D");
    kh_end(&c);
}

static void test_refuses_bad_calls(void **state)
{
    (void)state;
    const cyg_kp_linear p = {0};
    kh_call c;
    kh_begin(&c, CYG_KOP_f_linear, &p, sizeof p);
    kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(3, 5));
    kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(4, 5));
    kh_out(&c, CYG_TYPE_F32, KH_DIMS(3, 4));
    const cyg_kop_info *info = cyg_kop_info_of(CYG_KOP_f_linear);
    assert_null(info->check(&c.call));
    c.in[0].dims[1] = 6;
    assert_non_null(info->check(&c.call));
    c.in[0].dims[1] = 5;
    c.in[1].dims[0] = INT64_MAX;
    assert_non_null(info->check(&c.call));
    c.in[1].dims[0] = 4;
    c.out[0].dims[0] = 2;
    assert_non_null(info->check(&c.call));
    c.out[0].dims[0] = 3;
    c.in[0].type = CYG_TYPE_U8;
    assert_non_null(info->check(&c.call));
    c.in[0].type = CYG_TYPE_F32;
    c.call.in_count = 1;
    assert_non_null(info->check(&c.call));
    c.call.in_count = 2;
    kh_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),         cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_matmul_vectors), cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_conv),           cmocka_unit_test(test_conv_3d),
        cmocka_unit_test(test_conv_1d),        cmocka_unit_test(test_refuses_bad_calls),
    };
    return CYG_TEST_MAIN(tests);
}

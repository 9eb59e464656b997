/* Integer rules: every derived constant against its formula in docs/numerics.md, computed here in
 * double from the scales and rounded once; and what must be refused. */
#include "lower_testing.h"

static lowered l;

#define X_U8 "input %x: f32[2,3] q(u8 zero 128 axis -1 scale 0.02)\n"
#define W_S8                                                                                       \
    "const %w: s8[2,3] q(s8 zero 0 axis 0 scale 0.01 0.03) = [1, -2, 3, 100, 100, -127]\n"         \
    "const %b: f32[2] = [0.5, -0.25]\n"
#define S_X ((double)0.02f)
static const float s_w[2] = {0.01f, 0.03f};
static const float b[2] = {0.5f, -0.25f};
static const int sums[2] = {2, 73};

static void test_linear(void **unused)
{
    (void)unused;
    lower_ok(&l,
             X_U8 W_S8 "%y: f32[2,2] q(u8 zero 10 axis -1 scale 0.05) = linear(%x, %w, %b) \"fc\"\n"
                       "output %y\n");
    const cyg_kp_ilinear *p = l.low.params;
    assert_int_equal(l.low.op, CYG_KOP_i_linear);
    assert_int_equal(l.low.params_size, sizeof *p);
    assert_int_equal(l.low.in_count, 5);
    assert_int_equal(l.low.macs, 2 * 2 * 3);
    const int32_t *bias = operand(&l, 2, CYG_TYPE_S32, 2);
    const float *m = operand(&l, 3, CYG_TYPE_F32, 2);
    for (int n = 0; n < 2; n++) {
        const double s = S_X * (double)s_w[n];
        assert_int_equal(bias[n], (int32_t)rint((double)b[n] / s) - 128 * sums[n]);
        assert_true(m[n] == (float)(s / (double)0.05f));
    }
    assert_true(cyg_value_is_none(l.low.in[4].value) && l.low.in[4].constant.data == NULL);
    assert_true(p->sat.lo == -10.0f && p->sat.hi == 245.0f);
    assert_int_equal(p->sat.zero, 10);
    assert_int_equal(p->act, CYG_ACT_NONE);
    lowered_deinit(&l);
}

/* M without 1/s_y, I = 1/s_y; residual R = s_r / s_y. */
static void test_linear_gelu_residual(void **unused)
{
    (void)unused;
    lower_ok(&l,
             X_U8 W_S8 "input %r: f32[2,2] q(s16 zero 0 axis -1 scale 0.001)\n"
                       "%y: f32[2,2] q(s16 zero 0 axis -1 scale 0.0007) = linear(%x, %w, %b, %r) "
                       "{act = 2} \"fc\"\noutput %y\n");
    const cyg_kp_ilinear *p = l.low.params;
    const float *m = operand(&l, 3, CYG_TYPE_F32, 2);
    for (int n = 0; n < 2; n++)
        assert_true(m[n] == (float)(S_X * (double)s_w[n]));
    assert_int_equal(p->act, CYG_ACT_GELU_ERF);
    assert_true(p->inv_scale_y == (float)(1.0 / (double)0.0007f));
    assert_true(p->r_scale == (float)((double)0.001f / (double)0.0007f));
    assert_int_equal(p->r_zero, 0);
    assert_true(p->sat.lo == -32767.0f && p->sat.hi == 32767.0f);
    assert_int_equal(l.low.in[4].value.i, cyg_graph_find_value(l.g, "r").i);
    lowered_deinit(&l);
}

static void test_linear_float_result(void **unused)
{
    (void)unused;
    lower_ok(&l, X_U8 W_S8 "input %r: f32[2,2] q(u8 zero 7 axis -1 scale 0.3)\n"
                           "%y: f32[2,2] = linear(%x, %w, %b, %r) \"fc\"\noutput %y\n");
    const cyg_kp_ilinear *p = l.low.params;
    const float *m = operand(&l, 3, CYG_TYPE_F32, 2);
    assert_true(m[1] == (float)(S_X * (double)s_w[1]));
    assert_true(p->r_scale == 0.3f);
    assert_int_equal(p->r_zero, 7);
    lowered_deinit(&l);
}

/* 16-bit x: bias and accumulators in 64 bits. */
static void test_linear_wide(void **unused)
{
    (void)unused;
    lower_ok(&l, "input %x: f32[2,3] q(s16 zero 0 axis -1 scale 0.0001)\n" W_S8
                 "%y: f32[2,2] q(s8 zero 0 axis 1 scale 0.05 0.25) = linear(%x, %w, %b) "
                 "\"fc\"\noutput %y\n");
    const int64_t *bias = operand(&l, 2, CYG_TYPE_S64, 2);
    const float *m = operand(&l, 3, CYG_TYPE_F32, 2);
    static const float s_y[2] = {0.05f, 0.25f}; /* a scale for each channel of y */
    for (int n = 0; n < 2; n++) {
        const double s = (double)0.0001f * (double)s_w[n];
        assert_int_equal(bias[n], (int64_t)rint((double)b[n] / s));
        assert_true(m[n] == (float)(s / (double)s_y[n]));
    }
    lowered_deinit(&l);
}

/* Clamps that act last become saturation bounds. */
static void test_clamps(void **unused)
{
    (void)unused;
    static const struct {
        const char *attrs;
        float lo, hi; /* steps, z_y = 100 and s_y = 0.1 taken off */
    } cases[] = {
        {"{act = 1}", 0, 155},
        {"{post_act = 1}", 0, 155},
        {"{act = 4, act_lo = -1, act_hi = 2}", -10, 20},
        {"{act = 4, act_lo = -1.26, act_hi = 2000}", -13, 155},
        {"{act = 4, act_lo = -1000, act_hi = -5}", -100, -50},
        {"{act = 4, act_lo = 900, act_hi = 1000}", 155, 155},
        {"{act = 1, post_act = 4, act_lo = -1, act_hi = 2}", 0, 20},
        {"{act = 1, post_act = 4, act_lo = -2, act_hi = -1}", -10, -10},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s%s \"fc\"\noutput %%y\n", X_U8 W_S8,
                 "%y: f32[2,2] q(u8 zero 100 axis -1 scale 0.1) = linear(%x, %w, %b) ",
                 cases[i].attrs);
        lower_ok(&l, text);
        const cyg_kp_ilinear *p = l.low.params;
        assert_int_equal(p->act, CYG_ACT_NONE);
        if (p->sat.lo != cases[i].lo || p->sat.hi != cases[i].hi)
            fail_msg("%s: found %g, %g", cases[i].attrs, (double)p->sat.lo, (double)p->sat.hi);
        const float *m = operand(&l, 3, CYG_TYPE_F32, 2);
        assert_true(m[0] == (float)(S_X * (double)s_w[0] / (double)0.1f));
        lowered_deinit(&l);
    }
    /* In front of a residual relu stays an activation. */
    lower_ok(&l, X_U8 W_S8 "input %r: f32[2,2] q(s16 zero 0 axis -1 scale 0.001)\n"
                           "%y: f32[2,2] q(u8 zero 100 axis -1 scale 0.1) = linear(%x, %w, %b, %r) "
                           "{act = 1, post_act = 1} \"fc\"\noutput %y\n");
    const cyg_kp_ilinear *p = l.low.params;
    assert_int_equal(p->act, CYG_ACT_RELU);
    assert_true(p->sat.lo == 0.0f && p->inv_scale_y == (float)(1.0 / (double)0.1f));
    lowered_deinit(&l);
}

/* 255 sum|w| + |bias| < 2^31, the zero point's share included. */
static void test_overflow(void **unused)
{
    (void)unused;
    char text[1024];
    /* One weight of 127 and a bias at the edge: 255 * 127 + |rne(b / s)| against 2147483647. */
    const double s = (double)0.5f * (double)0.5f, edge = 2147483647.0 - 255.0 * 127.0;
    for (int side = 0; side < 2; side++) {
        const float bias =
            (float)((side == 0 ? edge - 200.0 : edge + 200.0) * s); /* 24-bit mantissa */
        const bool fits = 255.0 * 127.0 + rint((double)bias / s) < 2147483647.0;
        assert_int_equal(fits, side == 0);
        snprintf(text, sizeof text,
                 "input %%x: f32[1,1] q(u8 zero 0 axis -1 scale 0.5)\n"
                 "const %%w: s8[1,1] q(s8 zero 0 axis 0 scale 0.5) = [127]\n"
                 "const %%b: f32[1] = [%.9g]\n"
                 "%%y: f32[1,1] q(u8 zero 0 axis -1 scale 1) = linear(%%x, %%w, %%b) "
                 "\"fc\"\noutput %%y\n",
                 (double)bias);
        if (side == 0) {
            lower_ok(&l, text);
            lowered_deinit(&l);
        } else {
            lower_refused(text, "could overflow its accumulator");
        }
    }
    lower_refused(
        "input %x: f32[1,1] q(u8 zero 0 axis -1 scale 0.5)\n"
        "const %w: s8[1,1] q(s8 zero 0 axis 0 scale 0.5) = [1]\nconst %b: f32[1] = [nan]\n"
        "%y: f32[1,1] q(u8 zero 0 axis -1 scale 1) = linear(%x, %w, %b) \"fc\"\noutput %y\n",
        "could overflow");
}

static void test_layernorm(void **unused)
{
    (void)unused;
    lower_ok(&l, "input %x: f32[5,2] q(s16 zero 0 axis -1 scale 0.003)\n"
                 "const %g: f32[2] = [1.5, -0.75]\nconst %b: f32[2] = [0.25, 3]\n"
                 "%y: f32[5,2] q(u8 zero 90 axis -1 scale 0.04) = layer_normalization(%x, %g, %b) "
                 "{axis = -1, epsilon = 0.001} \"ln\"\noutput %y\n");
    const cyg_kp_ilayernorm *p = l.low.params;
    const float *g = operand(&l, 1, CYG_TYPE_F32, 2), *beta = operand(&l, 2, CYG_TYPE_F32, 2);
    assert_int_equal(p->channels, 2);
    assert_true(p->eps == (double)0.001f / ((double)0.003f * (double)0.003f));
    assert_true(g[0] == (float)(1.5 / (double)0.04f) && g[1] == (float)(-0.75 / (double)0.04f));
    assert_true(beta[0] == (float)(0.25 / (double)0.04f) &&
                beta[1] == (float)(3.0 / (double)0.04f));
    assert_true(p->sat.lo == -90.0f && p->sat.hi == 165.0f);
    lowered_deinit(&l);
}

static void test_attention(void **unused)
{
    (void)unused;
    lower_ok(
        &l,
        "input %x: f32[2,12] q(s8 zero 0 axis 1 scale 0.01 0.01 0.02 0.02 0.03 0.03 0.04 0.04 0.05 "
        "0.05 0.06 0.06)\n"
        "const %t: f32[1,2,2,2] = [0, 1, -100, -1e30, 0.5, 2, 3, 4]\n"
        "const %h: f32[2] = [1, 10]\n"
        "%y: f32[2,4] q(u8 zero 50 axis -1 scale 0.02) = attention(%x, %x, %x, %t, _, _, %h) "
        "{heads = 2, head_dim = 2, tokens = 2, scale = 0.7, k_offset = 4, v_offset = 8} \"at\"\n"
        "output %y\n");
    const cyg_kp_iattention *p = l.low.params;
    const float *c = operand(&l, 3, CYG_TYPE_F32, 2), *a = operand(&l, 4, CYG_TYPE_F32, 2),
                *t = operand(&l, 5, CYG_TYPE_F32, 8);
    const double log2e = 1.4426950408889634;
    static const float q[2] = {0.01f, 0.02f}, k[2] = {0.03f, 0.04f}, v[2] = {0.05f, 0.06f},
                       h[2] = {1, 10};
    for (int i = 0; i < 2; i++) {
        const double exact = (double)0.7f * log2e * (double)h[i] * (double)q[i] * (double)k[i];
        assert_true(fabs((double)c[i] / exact - 1.0) <
                    6.1e-8); /* half an ulp and the order of products */
        assert_true(a[i] == (float)((double)v[i] / (double)0.02f));
    }
    static const float table[] = {0, 1, -100, -1e30f, 0.5f, 2, 3, 4};
    for (int i = 0; i < 8; i++) {
        const double exact = (double)table[i] * log2e;
        assert_true(t[i] == (float)(exact > -32768.0 ? exact : -32768.0));
    }
    assert_int_equal(p->e_bits, 8);
    assert_int_equal(p->at.heads, 2);
    assert_int_equal(p->at.entries, 1);
    assert_int_equal(p->at.images, 1);
    assert_int_equal(p->at.tables, 1);
    assert_int_equal(p->at.k_offset, 4);
    lowered_deinit(&l);
}

static void test_eltwise(void **unused)
{
    (void)unused;
    static const char *const ops[] = {"add", "sub", "mul"};
    const double a = (double)0.02f, c = (double)0.5f, y = (double)0.3f;
    for (int i = 0; i < 3; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "input %%a: f32[2,3] q(u8 zero 12 axis -1 scale 0.02)\n"
                 "const %%b: s16[3] q(s16 zero 0 axis -1 scale 0.5) = [1, 2, 3]\n"
                 "%%y: f32[2,3] q(u8 zero 9 axis -1 scale 0.3) = %s(%%a, %%b) \"e\"\noutput %%y\n",
                 ops[i]);
        lower_ok(&l, text);
        const cyg_kp_ieltwise *p = l.low.params;
        assert_int_equal(p->is_mul, i == 2);
        assert_int_equal(p->a_zero, 12);
        assert_int_equal(p->b_zero, 0);
        assert_true(p->a_scale == (float)(i == 2 ? a * c / y : a / y));
        if (i < 2)
            assert_true(p->b_scale == (float)(i == 1 ? -(c / y) : c / y));
        assert_true(p->sat.lo == -9.0f);
        lowered_deinit(&l);
    }
}

static void test_others(void **unused)
{
    (void)unused;
    lower_ok(&l, "input %x: f32[2,3] q(u8 zero 12 axis -1 scale 0.02)\n"
                 "%y: f32[2,3] q(s16 zero 0 axis -1 scale 0.001) = requant(%x) \"r\"\noutput %y\n");
    const cyg_kp_irequant *r = l.low.params;
    assert_int_equal(r->x_zero, 12);
    assert_true(r->k == (float)((double)0.02f / (double)0.001f));
    lowered_deinit(&l);
    lower_ok(&l, "input %x: f32[2,3]\n"
                 "%y: f32[2,3] q(u8 zero 5 axis -1 scale 0.1) = requant(%x) \"r\"\noutput %y\n");
    r = l.low.params;
    assert_true(r->k == (float)(1.0 / (double)0.1f) && r->x_zero == 0);
    lowered_deinit(&l);
    lower_ok(&l, "input %x: f32[2,3] q(u8 zero 5 axis -1 scale 0.1)\n"
                 "%y: f32[2,3] q(u8 zero 5 axis -1 scale 0.1) = requant(%x) \"r\"\noutput %y\n");
    assert_true(l.low.is_view);
    lowered_deinit(&l);
    lower_ok(
        &l,
        "input %x: f32[2,3,4,5] q(u8 zero 5 axis -1 scale 0.1)\nconst %a: s64[2] = [1, -2]\n"
        "%y: f32[2,5] q(u8 zero 6 axis -1 scale 0.2) = reduce_mean(%x, %a) {keepdims = 0} \"m\"\n"
        "output %y\n");
    const cyg_kp_ireduce *m = l.low.params;
    assert_int_equal(m->outer, 2);
    assert_int_equal(m->n, 12);
    assert_int_equal(m->inner, 5);
    assert_true(m->k == (float)((double)0.1f / (12.0 * (double)0.2f)));
    lowered_deinit(&l);
    lower_ok(&l, "input %x: f32[2,3] q(s16 zero 0 axis -1 scale 0.01)\n"
                 "%y: f32[2,3] q(u8 zero 0 axis -1 scale 0.004) = softmax(%x) {axis = 1} "
                 "\"s\"\noutput %y\n");
    const cyg_kp_isoftmax *s = l.low.params;
    assert_true(s->c == (float)((double)0.01f * 1.4426950408889634));
    assert_true(s->inv_scale_y == (float)(1.0 / (double)0.004f));
    lowered_deinit(&l);
    lower_ok(
        &l,
        "input %x: f32[2,3] q(u8 zero 77 axis -1 scale 0.01)\nconst %i: s64[2] = [1, -1]\n"
        "%y: f32[2,3] q(u8 zero 77 axis -1 scale 0.01) = gather_rows(%x, %i) {rows_in = 2} \"g\"\n"
        "output %y\n");
    const cyg_kp_gather_rows *g = l.low.params;
    assert_int_equal(g->fill_bits & 0xff, 77);
    lowered_deinit(&l);
}

static void test_conv2d(void **unused)
{
    (void)unused;
    lower_ok(&l, "input %x: f32[1,4,4,3] q(u8 zero 3 axis -1 scale 0.02)\n"
                 "const %w: s8[1,1,2,3] q(s8 zero 0 axis 0 scale 0.01) = [1, 2, 3, 4, 5, -6]\n"
                 "%y: f32[1,4,3,1] q(u8 zero 0 axis -1 scale 0.5) = conv2d(%x, %w) {strides = [1, "
                 "1]} \"c\"\n"
                 "output %y\n");
    const cyg_kp_iconv2d *p = l.low.params;
    const int32_t *bias = operand(&l, 2, CYG_TYPE_S32, 1);
    assert_int_equal(bias[0], -3 * 9);
    assert_int_equal(p->x_zero, 3);
    assert_int_equal(p->geometry.kh, 1);
    assert_int_equal(p->geometry.kw, 2);
    assert_int_equal(l.low.macs, 12 * 6);
    lowered_deinit(&l);
}

/* Tables hold the function's values; relu and clip are clamps. */
static void test_functions(void **unused)
{
    (void)unused;
    lower_ok(&l, "input %x: f32[2,3] q(u8 zero 100 axis -1 scale 0.02)\n"
                 "%y: f32[2,3] q(u8 zero 7 axis -1 scale 0.03) = exp(%x) \"e\"\noutput %y\n");
    assert_int_equal(l.low.op, CYG_KOP_i_lut8);
    const uint8_t *narrow = operand(&l, 1, CYG_TYPE_U8, 256);
    for (int q = 0; q < 256; q++) {
        const double y = rint(exp((double)0.02f * (q - 100)) / (double)0.03f) + 7;
        assert_true(fabs(narrow[q] - fmin(y, 255)) <= 1.0);
    }
    lowered_deinit(&l);
    lower_ok(&l, "input %x: f32[2,3] q(s16 zero 0 axis -1 scale 0.0002)\n"
                 "%y: f32[2,3] q(s16 zero 0 axis -1 scale 0.0001) = tanh(%x) \"t\"\noutput %y\n");
    assert_int_equal(l.low.op, CYG_KOP_i_lut16);
    const int32_t *wide = operand(&l, 1, CYG_TYPE_S32, 1025);
    for (int i = 0; i < 1025; i++)
        assert_true(fabs(wide[i] - tanh((double)0.0002f * (64 * i - 32768)) / (double)0.0001f) <=
                    1.0);
    lowered_deinit(&l);
    lower_ok(&l, "input %x: f32[2,3] q(s16 zero 0 axis -1 scale 0.01)\n"
                 "const %six: f32[] = [6]\n"
                 "%y: f32[2,3] q(u8 zero 20 axis -1 scale 0.1) = clip(%x, _, %six) \"c\"\n"
                 "output %y\n");
    assert_int_equal(l.low.op, CYG_KOP_i_requant);
    const cyg_kp_irequant *clip = l.low.params;
    assert_true(clip->sat.lo == -20.0f && clip->sat.hi == 60.0f);
    assert_true(clip->k == (float)((double)0.01f / (double)0.1f));
    lowered_deinit(&l);
}

static void test_pool2d(void **unused)
{
    (void)unused;
    lower_ok(&l,
             "input %x: f32[1,4,4,3] q(u8 zero 3 axis -1 scale 0.02)\n"
             "%y: f32[1,2,2,3] q(s16 zero 0 axis -1 scale 0.001) = pool2d(%x) {mode = "
             "\"average\", kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 0, 0]} \"p\"\n"
             "output %y\n");
    const cyg_kp_ipool *p = l.low.params;
    assert_int_equal(l.low.op, CYG_KOP_i_pool2d);
    assert_int_equal(p->x_zero, 3);
    assert_int_equal(p->geometry.pad_t, 1);
    const float *k = operand(&l, 1, CYG_TYPE_F32, 6);
    for (int i = 0; i < 6; i++)
        assert_true(k[i] == (float)((double)0.02f / ((i + 1) * (double)0.001f)));
    lowered_deinit(&l);
    lower_refused("input %x: f32[1,4,4,3] q(u8 zero 3 axis -1 scale 0.02)\n"
                  "%y: f32[1,2,2,3] q(u8 zero 3 axis -1 scale 0.03) = pool2d(%x) {kernel_shape = "
                  "[2, 2], strides = [2, 2]} \"p\"\noutput %y\n",
                  "changes no scale");
}

static void test_refusals(void **unused)
{
    (void)unused;
    lower_refused("input %x: f32[2,3] q(u8 zero 1 axis -1 scale 0.1)\n"
                  "%y: f32[2,3] q(u8 zero 1 axis -1 scale 0.1) = pow(%x, %x) \"e\"\noutput %y\n",
                  "has no integer kernel");
    lower_refused(
        X_U8 "const %w: f32[2,3] = [1, 2, 3, 4, 5, 6]\n"
             "%y: f32[2,2] q(u8 zero 1 axis -1 scale 0.1) = linear(%x, %w) \"fc\"\noutput %y\n",
        "weights are not quantised");
    lower_refused("input %x: f32[2,2] q(s8 zero 0 axis 1 scale 0.1 0.2)\n"
                  "%y: f32[2,2] q(u8 zero 1 axis -1 scale 0.1) = requant(%x) \"r\"\noutput %y\n",
                  "exactly one scale");
    lower_refused(X_U8 W_S8 "%y: f32[2,2] q(s8 zero 0 axis 1 scale 0.1 0.2) = linear(%x, %w, %b) "
                            "{act = 4, act_lo = -1, act_hi = 1} \"fc\"\noutput %y\n",
                  "exactly one scale");
    lower_refused(X_U8 W_S8 "%y: f32[2,2] q(s8 zero 0 axis 1 scale 0.1 0.2) = linear(%x, %w, %b) "
                            "{act = 2} \"fc\"\noutput %y\n",
                  "exactly one scale");
    lower_refused(
        "input %x: f32[2,3,2] q(u8 zero 5 axis -1 scale 0.1)\nconst %a: s64[2] = [0, 2]\n"
        "%y: f32[3] q(u8 zero 6 axis -1 scale 0.2) = reduce_mean(%x, %a) {keepdims = 0} \"m\"\n"
        "output %y\n",
        "not adjacent");
    lower_refused("symbol N\ninput %x: f32[N]\n%y: f32[N] = neg(%x) \"n\"\noutput %y\n",
                  "shape is not known");
    lower_refused(
        "input %x: f32[4]\ninput %s: s64[1]\n%y: f32[2] = slice(%x, %s, %s) \"n\"\noutput %y\n",
        "not known before the run");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_gelu_residual),
        cmocka_unit_test(test_linear_float_result),
        cmocka_unit_test(test_linear_wide),
        cmocka_unit_test(test_clamps),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_layernorm),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_eltwise),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_conv2d),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_pool2d),
        cmocka_unit_test(test_refusals),
    };
    return CYG_TEST_MAIN(tests);
}

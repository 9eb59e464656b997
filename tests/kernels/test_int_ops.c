/* Every integer operator: the specification (ref) and run at every ISA level, whole and split, give
 * the same bytes on random and extreme data behind guard pages. */
#include "int_calls.h"

#include <math.h>

#include "kernels/dispatch.h"

static const kh_pattern patterns[][2] = {
    {KH_RANDOM, KH_RANDOM},   {KH_LOWEST, KH_LOWEST},       {KH_HIGHEST, KH_LOWEST},
    {KH_HIGHEST, KH_HIGHEST}, {KH_ALTERNATING, KH_HIGHEST}, {KH_HIGHEST, KH_ALTERNATING},
};

static void linear_tile_edges(void **state)
{
    (void)state;
    static const int64_t rows[] = {0, 1, 2, 3, 5, 7, 8, 9, 15, 17, 63, 64, 65, 67};
    static const int64_t columns[] = {1,  2,  7,  15, 16, 17, 31,  32,  33,
                                      47, 48, 49, 64, 95, 97, 191, 192, 193};
    static const int64_t depths[] = {1, 2, 3, 4, 5, 31, 32, 33, 96, 127};
    for (size_t i = 0; i < CYG_COUNT(rows); i++)
        for (size_t j = 0; j < CYG_COUNT(columns); j++) {
            const size_t pattern = (size_t)kh_between(0, (int64_t)CYG_COUNT(patterns) - 1);
            const int64_t k = depths[kh_between(0, (int64_t)CYG_COUNT(depths) - 1)];
            const int32_t x = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8),
                          y = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16);
            kh_call c;
            ic_linear(&c, x, y, CYG_ACT_NONE, CYG_TYPE_S16, kh_between(0, 1) ? rows[i] : 0, rows[i],
                      columns[j], k, patterns[pattern][0], patterns[pattern][1]);
            kh_run(&c);
            kh_end(&c);
        }
}

static void linear_types_and_activations(void **state)
{
    (void)state;
    static const int32_t xs[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16};
    static const int32_t ys[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16,
                                 CYG_TYPE_F32};
    for (int32_t act = 0; act < CYG_ACT_COUNT; act++)
        for (size_t i = 0; i < CYG_COUNT(xs); i++)
            for (size_t j = 0; j < CYG_COUNT(ys); j++) {
                const int32_t r = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16);
                kh_call c;
                ic_linear(&c, xs[i], ys[j], act, r, IC_PICK(0, 1, 3, 21), 21, 37,
                          kh_between(30, 70), KH_RANDOM, KH_RANDOM);
                kh_run(&c);
                kh_end(&c);
            }
}

/* 16-bit weights: extreme upper and lower bytes at every tile edge. */
static void linear_wide_weights(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 2, 7, 8, 9, 65}, columns[] = {1, 15, 17, 49, 97, 193};
    for (size_t i = 0; i < CYG_COUNT(rows); i++)
        for (size_t j = 0; j < CYG_COUNT(columns); j++)
            for (size_t pattern = 0; pattern < CYG_COUNT(patterns); pattern++) {
                const int64_t k = kh_between(1, 130);
                const int32_t y = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S16, CYG_TYPE_F32);
                kh_call c;
                ic_linear(&c, IC_PICK(CYG_TYPE_S16, CYG_TYPE_U16), y, CYG_ACT_NONE, CYG_TYPE_S16,
                          rows[i], rows[i], columns[j], k, patterns[pattern][0],
                          patterns[pattern][1]);
                kh_fill_int(CYG_TYPE_S8, kh_in(&c, CYG_TYPE_S8, 1, KH_DIMS(columns[j], k)),
                            columns[j] * k, patterns[pattern][1]);
                kh_run(&c);
                kh_end(&c);
            }
}

static void linear_extremes(void **state)
{
    (void)state;
    static const int32_t xs[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16};
    for (size_t i = 0; i < CYG_COUNT(xs); i++)
        for (int x = 0; x < KH_PATTERNS; x++)
            for (int w = 0; w < KH_PATTERNS; w++) {
                kh_call c;
                ic_linear(&c, xs[i], CYG_TYPE_F32, CYG_ACT_NONE, CYG_TYPE_S16, 0, 9, 50, 515,
                          (kh_pattern)x, (kh_pattern)w);
                kh_run(&c);
                kh_end(&c);
            }
}

static void linear_long_rows(void **state)
{
    (void)state;
    static const int64_t depths[] = {3072, 65000, 64999};
    for (size_t i = 0; i < CYG_COUNT(depths); i++)
        for (int wide = 0; wide < 2; wide++) {
            kh_call c;
            ic_linear(&c, wide ? CYG_TYPE_S16 : CYG_TYPE_U8, CYG_TYPE_F32, CYG_ACT_NONE,
                      CYG_TYPE_S16, 0, 11, 5, depths[i], KH_HIGHEST, KH_LOWEST);
            kh_run(&c);
            kh_end(&c);
        }
}

static void convolutions(void **state)
{
    (void)state;
    static const ic_conv shapes[] = {
        {CYG_TYPE_U8, CYG_TYPE_S16, CYG_ACT_NONE, 0, 1, 16, 16, 3, 96, 1, 4, 4, 4, 0, 1,
         0}, /* patch embedding */
        {CYG_TYPE_U8, CYG_TYPE_S16, CYG_ACT_NONE, 1, 2, 32, 32, 3, 24, 1, 16, 16, 16, 0, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_RELU, 1, 2, 9, 7, 8, 20, 1, 3, 3, 1, 1, 1, 0},
        {CYG_TYPE_S8, CYG_TYPE_S8, CYG_ACT_NONE, 0, 1, 11, 13, 5, 7, 1, 3, 2, 2, 2, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_GELU_ERF, 0, 1, 9, 9, 6, 6, 2, 3, 3, 1, 2, 2, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 14, 14, 100, 100, 100, 3, 3, 1, 1, 1,
         0}, /* depthwise */
        {CYG_TYPE_U8, CYG_TYPE_S16, CYG_ACT_HARDSWISH, 1, 2, 9, 7, 64, 64, 64, 5, 5, 2, 2, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_CLIP, 0, 1, 6, 7, 33, 33, 33, 3, 2, 1, 2, 2, 0},
        {CYG_TYPE_U8, CYG_TYPE_F32, CYG_ACT_NONE, 0, 1, 5, 5, 16, 16, 16, 1, 1, 1, 0, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 6, 6, 20, 40, 20, 3, 3, 1, 1, 1,
         0}, /* two results for each channel */
        {CYG_TYPE_S16, CYG_TYPE_S16, CYG_ACT_SILU, 1, 1, 8, 8, 70, 140, 70, 3, 3, 2, 1, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_NONE, 1, 1, 9, 9, 64, 400, 1, 1, 1, 1, 0, 1,
         0}, /* a pixel is a row; blocks of channels */
        {CYG_TYPE_U8, CYG_TYPE_S16, CYG_ACT_NONE, 1, 2, 5, 5, 30, 200, 1, 1, 1, 1, 0, 1, 0},
        {CYG_TYPE_S8, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 9, 9, 20, 50, 1, 1, 1, 1, 0, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 9, 9, 20, 400, 1, 3, 3, 2, 1, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_RELU, 0, 1, 9, 9, 24, 36, 4, 3, 3, 1, 1, 1, 0},
        {CYG_TYPE_S16, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 8, 8, 10, 33, 1, 3, 3, 1, 1, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_F32, CYG_ACT_NONE, 0, 3, 5, 5, 48, 64, 1, 1, 1, 1, 0, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 1, 30, 1, 4, 1, 1, 5, 1, 0, 3, 0},
        /* 16-bit weights: whole, pointwise, grouped, depthwise with one and two results */
        {CYG_TYPE_S16, CYG_TYPE_S16, CYG_ACT_NONE, 1, 2, 8, 9, 10, 50, 1, 3, 3, 2, 1, 1, 1},
        {CYG_TYPE_U16, CYG_TYPE_F32, CYG_ACT_NONE, 0, 1, 6, 7, 40, 400, 1, 1, 1, 1, 0, 1, 1},
        {CYG_TYPE_S16, CYG_TYPE_U8, CYG_ACT_GELU_ERF, 0, 1, 7, 7, 24, 36, 4, 3, 3, 1, 1, 1, 1},
        {CYG_TYPE_S16, CYG_TYPE_S16, CYG_ACT_NONE, 1, 1, 9, 8, 70, 70, 70, 3, 3, 1, 1, 1, 1},
        {CYG_TYPE_U16, CYG_TYPE_S16, CYG_ACT_CLIP, 0, 1, 6, 6, 20, 40, 20, 5, 3, 2, 2, 1, 1},
    };
    for (size_t i = 0; i < CYG_COUNT(shapes); i++)
        for (int pattern = 0; pattern < KH_PATTERNS; pattern++) {
            ic_conv d = shapes[i];
            if (d.kh == 1 && d.kw == 5)
                d.pad = 0;
            kh_call c;
            ic_conv2d(&c, &d, (kh_pattern)pattern);
            kh_run(&c);
            kh_end(&c);
        }
}

static void layernorms(void **state)
{
    (void)state;
    static const int64_t channels[] = {1,  2,  7,  15,  16,  17,  31,   33,
                                       48, 96, 97, 192, 384, 768, 1000, 4096};
    static const int32_t xs[] = {CYG_TYPE_S16, CYG_TYPE_U8, CYG_TYPE_S8};
    for (size_t i = 0; i < CYG_COUNT(channels); i++)
        for (size_t j = 0; j < CYG_COUNT(xs); j++)
            for (int pattern = 0; pattern < KH_PATTERNS; pattern++) {
                const int64_t n = channels[i], rows = IC_PICK(0, 1, 3, 16, 17, 35);
                const int32_t y = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16);
                const cyg_kp_ilayernorm p = {
                    .channels = n, .eps = kh_between(0, 3) ? 0.37 : 0.0, .sat = ic_sat(y)};
                kh_call c;
                kh_begin(&c, CYG_KOP_i_layernorm, &p, sizeof p);
                kh_fill_int(xs[j], kh_in(&c, xs[j], 0, KH_DIMS(rows, n)), rows * n,
                            (kh_pattern)pattern);
                kh_fill_float(kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(n)), n, 1.0f,
                              y == CYG_TYPE_S16 ? 9000.0f : 60.0f);
                kh_fill_float(kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(n)), n, -9.0f, 9.0f);
                kh_out(&c, y, KH_DIMS(rows, n));
                kh_run(&c);
                kh_end(&c);
            }
}

static void attentions(void **state)
{
    (void)state;
    static const int64_t dims[] = {32, 64, 24, 16, 12, 9, 1, 33};
    static const int64_t tokens[] = {49, 1, 2, 7, 8, 9, 16, 47, 48, 50, 64, 65, 197};
    for (size_t i = 0; i < CYG_COUNT(tokens); i++)
        for (size_t j = 0; j < CYG_COUNT(dims); j++) {
            const int64_t entries = tokens[i] > 64 ? 1 : 3;
            const ic_attention d = {.images = kh_between(1, 2),
                                    .entries = entries,
                                    .heads = kh_between(1, 3),
                                    .dim = dims[j],
                                    .tokens = tokens[i],
                                    .tables = IC_PICK(0, 1, (int32_t)entries),
                                    .cosine = kh_between(0, 2) == 0,
                                    .e_bits = kh_between(0, 1) ? 8 : 16,
                                    .use_rows = kh_between(0, 1) != 0,
                                    .y_type = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16)};
            for (int pattern = 0; pattern < 4; pattern++) {
                ic_attention e = d;
                e.use_mask = e.tables > 0 && kh_between(0, 1) != 0;
                e.pattern = pattern == 0 ? KH_RANDOM : (kh_pattern)kh_between(1, KH_PATTERNS - 1);
                if (pattern > 1 && e.tokens > 64)
                    continue;
                const int64_t wide = (int64_t)(i * CYG_COUNT(dims) + j) + pattern; /* operands */
                for (int operand = 0; operand < 3; operand++)
                    e.types[operand] = wide >> operand & 1 ? CYG_TYPE_S16 : CYG_TYPE_S8;
                kh_call c;
                ic_attention_call(&c, &e);
                kh_run(&c);
                kh_end(&c);
            }
        }
}

static void attention_long(void **state)
{
    (void)state;
    kh_call c;
    const ic_attention d = {.images = 1,
                            .entries = 1,
                            .heads = 1,
                            .dim = 32,
                            .tokens = 1031,
                            .e_bits = 16,
                            .y_type = CYG_TYPE_U8};
    ic_attention_call(&c, &d);
    kh_run(&c);
    kh_end(&c);
}

/* Sums of 16-bit operands at both ends of their range, over the longest heads and rows. */
static void attention_wide_extremes(void **state)
{
    (void)state;
    for (int pattern = 0; pattern < KH_PATTERNS; pattern++) {
        const ic_attention d = {.images = 1,
                                .entries = 1,
                                .heads = 1,
                                .dim = pattern % 2 ? 515 : 4096,
                                .tokens = pattern % 2 ? 300 : 11,
                                .cosine = pattern == KH_ALTERNATING,
                                .e_bits = pattern == KH_SMALL ? 8 : 16,
                                .y_type = CYG_TYPE_S16,
                                .pattern = (kh_pattern)pattern,
                                .types = {CYG_TYPE_S16, CYG_TYPE_S16, CYG_TYPE_S16}};
        kh_call c;
        ic_attention_call(&c, &d);
        kh_run(&c);
        kh_end(&c);
    }
}

static void softmaxes(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 2, 15, 16, 17, 49, 197, 1000, 5001};
    static const int32_t xs[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16};
    for (size_t i = 0; i < CYG_COUNT(lengths); i++)
        for (size_t j = 0; j < CYG_COUNT(xs); j++)
            for (int pattern = 0; pattern < KH_PATTERNS; pattern++) {
                const int64_t n = lengths[i];
                const int32_t y = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16);
                const cyg_kp_isoftmax p = {.c = ic_is_wide(xs[j]) ? 0.001f : 0.11f,
                                           .inv_scale_y = (float)kh_highest(y),
                                           .sat = ic_sat(y)};
                kh_call c;
                kh_begin(&c, CYG_KOP_i_softmax, &p, sizeof p);
                kh_fill_int(xs[j], kh_in(&c, xs[j], 0, KH_DIMS(5, n)), 5 * n, (kh_pattern)pattern);
                kh_out(&c, y, KH_DIMS(5, n));
                kh_run(&c);
                kh_end(&c);
            }
}

static void eltwise_case(int32_t a, int32_t b, int32_t y, const int64_t *ad, const int64_t *bd,
                         const int64_t *yd)
{
    cyg_kp_ieltwise p = {.is_mul = (int32_t)kh_between(0, 1),
                         .a_zero = a == CYG_TYPE_U8 ? 77 : 0,
                         .b_zero = b == CYG_TYPE_U8 ? 200 : 0};
    const float range = ic_is_wide(y) ? 20000.0f : 90.0f;
    p.a_scale = range / (ic_is_wide(a) ? 30000.0f : 120.0f);
    p.b_scale = -range / (ic_is_wide(b) ? 30000.0f : 120.0f);
    if (p.is_mul)
        p.a_scale /= ic_is_wide(b) ? 30000.0f : 120.0f;
    p.sat = ic_sat(y == CYG_TYPE_F32 ? CYG_TYPE_U8 : y);
    kh_call c;
    kh_begin(&c, CYG_KOP_i_eltwise, &p, sizeof p);
    void *x = kh_in(&c, a, 0, 4, ad);
    kh_fill_int(a, x, kh_elements(&c.in[0]), (kh_pattern)kh_between(0, KH_PATTERNS - 1));
    x = kh_in(&c, b, 0, 4, bd);
    kh_fill_int(b, x, kh_elements(&c.in[1]), (kh_pattern)kh_between(0, KH_PATTERNS - 1));
    kh_out(&c, y, 4, yd);
    kh_run(&c);
    kh_end(&c);
}

static void eltwises(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        int64_t a[4], b[4], y[4];
        for (int i = 0; i < 4; i++) {
            y[i] = round % 10 == 0 ? IC_PICK(1, 30, 7) : kh_between(1, i == 3 ? 70 : 5);
            a[i] = kh_between(0, 2) ? y[i] : 1;
            b[i] = kh_between(0, 2) ? y[i] : 1;
        }
        const int32_t ta = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16);
        const int32_t tb = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16);
        eltwise_case(ta, tb, IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_F32), a, b,
                     y);
    }
}

static void requants(void **state)
{
    (void)state;
    static const int32_t xs[] = {CYG_TYPE_U8,  CYG_TYPE_S8,  CYG_TYPE_S16,
                                 CYG_TYPE_U16, CYG_TYPE_S32, CYG_TYPE_F32};
    static const int32_t ys[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16,
                                 CYG_TYPE_F32};
    static const int64_t sizes[] = {0, 1, 7, 15, 16, 17, 33, 4095, 4096, 4097, 9000};
    for (size_t i = 0; i < CYG_COUNT(xs); i++)
        for (size_t j = 0; j < CYG_COUNT(ys); j++)
            for (size_t s = 0; s < CYG_COUNT(sizes); s++) {
                const int64_t n = sizes[s];
                const float range = ic_is_wide(ys[j]) ? 30000.0f : 120.0f;
                cyg_kp_irequant p = {.x_zero = xs[i] == CYG_TYPE_U8 ? 100 : 0,
                                     .sat = ic_sat(ys[j] == CYG_TYPE_F32 ? CYG_TYPE_U8 : ys[j])};
                p.k = xs[i] == CYG_TYPE_F32 ? range / 3 : range / (float)kh_highest(xs[i]);
                kh_call c;
                kh_begin(&c, CYG_KOP_i_requant, &p, sizeof p);
                void *x = kh_in(&c, xs[i], 0, KH_DIMS(n));
                if (xs[i] == CYG_TYPE_F32) {
                    static const float special[] = {0.0f,     -0.0f,     1e30f,  -1e30f,
                                                    INFINITY, -INFINITY, 1e-40f, 0.5f};
                    kh_fill_float(x, n, -4.0f, 4.0f);
                    for (int64_t e = 0; e < n; e += 5)
                        ((float *)x)[e] = special[kh_between(0, 7)];
                    if (ys[j] != CYG_TYPE_F32 && n > 20)
                        ((float *)x)[16] = NAN;
                } else {
                    kh_fill_int(xs[i], x, n, (kh_pattern)kh_between(0, KH_PATTERNS - 1));
                }
                kh_out(&c, ys[j], KH_DIMS(n));
                kh_run(&c);
                kh_end(&c);
            }
}

static void tables(void **state)
{
    (void)state;
    static const int32_t ys[] = {CYG_TYPE_U8, CYG_TYPE_S16, CYG_TYPE_F32};
    const cyg_kp_none none = {0};
    for (size_t j = 0; j < CYG_COUNT(ys); j++)
        for (int32_t s = 0; s < 2; s++) {
            kh_call c;
            kh_begin(&c, CYG_KOP_i_lut8, &none, sizeof none);
            const int32_t x = s ? CYG_TYPE_S8 : CYG_TYPE_U8;
            uint8_t *data = kh_in(&c, x, 0, KH_DIMS(256));
            for (int i = 0; i < 256; i++)
                data[i] = (uint8_t)(s ? i - 128 : i);
            uint8_t *table = kh_in(&c, ys[j], 1, KH_DIMS(256));
            for (int64_t i = 0; i < 256 * kh_type_bytes(ys[j]); i++)
                table[i] = (uint8_t)(kh_random() & 0x3f);
            kh_out(&c, ys[j], KH_DIMS(256));
            kh_run(&c);
            /* Indexed from the lowest value: sorted input copies the table. */
            assert_memory_equal(c.out[0].data, table, (size_t)(256 * kh_type_bytes(ys[j])));
            kh_end(&c);
        }
    kh_call c;
    kh_begin(&c, CYG_KOP_i_lut16, &none, sizeof none);
    int16_t *x = kh_in(&c, CYG_TYPE_S16, 0, KH_DIMS(65536));
    for (int i = 0; i < 65536; i++)
        x[i] = (int16_t)(i - 32768);
    int32_t *table = kh_in(&c, CYG_TYPE_S32, 1, KH_DIMS(1025));
    for (int i = 0; i < 1025; i++)
        table[i] = (int32_t)kh_between(-32768, 32767);
    const int16_t *y = kh_out(&c, CYG_TYPE_S16, KH_DIMS(65536));
    kh_run(&c);
    for (int i = 0; i < 65536; i++) {
        const double f = (i & 63) / 64.0, want = table[i / 64] * (1 - f) + table[i / 64 + 1] * f;
        assert_true(y[i] - want <= 0.5 && want - y[i] <= 0.5);
    }
    kh_end(&c);
}

static void means(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        const int64_t outer = kh_between(1, 3), n = kh_between(1, 60), inner = kh_between(1, 200);
        const int32_t x = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16);
        const int32_t y = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_F32);
        cyg_kp_ireduce p = {.outer = outer,
                            .n = n,
                            .inner = inner,
                            .x_zero = x == CYG_TYPE_U8 ? 99 : 0,
                            .sat = ic_sat(y == CYG_TYPE_F32 ? CYG_TYPE_U8 : y)};
        p.k = 1.3f / (float)n;
        kh_call c;
        kh_begin(&c, CYG_KOP_i_reduce_mean, &p, sizeof p);
        kh_fill_int(x, kh_in(&c, x, 0, KH_DIMS(outer, n, inner)), outer * n * inner,
                    (kh_pattern)kh_between(0, KH_PATTERNS - 1));
        kh_out(&c, y, KH_DIMS(outer, inner));
        kh_run(&c);
        kh_end(&c);
    }
}

static void pools(void **state)
{
    (void)state;
    for (int round = 0; round < 80; round++) {
        const int32_t x = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16);
        const int32_t y = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_F32);
        kh_call c;
        ic_pool2d(&c, round % 2, x, y, (kh_pattern)kh_between(0, KH_PATTERNS - 1));
        kh_run(&c);
        kh_end(&c);
    }
}

static void matmuls(void **state)
{
    (void)state;
    static const int32_t types[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16};
    static const int64_t rows[] = {1, 7, 9, 65}, columns[] = {1, 15, 17, 49, 97};
    for (int i = 0; i < 16; i++)
        for (int pattern = 0; pattern < KH_PATTERNS + 3; pattern++) {
            const ic_matmul d = {
                .a_type = types[i / 4],
                .b_type = types[i % 4],
                .y_type = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_F32),
                .shared = (int32_t)kh_between(0, 1),
                .batch = kh_between(1, 2),
                .heads = kh_between(1, 3),
                .m = rows[kh_between(0, 3)],
                .k = pattern == 1 ? 1000 : kh_between(1, 70),
                .n = columns[kh_between(0, 4)],
                .a = pattern < KH_PATTERNS ? (kh_pattern)pattern : KH_RANDOM,
                .b = pattern == 0 ? KH_RANDOM : (kh_pattern)kh_between(0, KH_PATTERNS - 1)};
            kh_call c;
            ic_matmul_call(&c, &d);
            kh_run(&c);
            kh_end(&c);
        }
}

static void extremes(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        const int32_t x = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16);
        const cyg_kp_iextreme p = {.outer = kh_between(1, 5),
                                   .n = kh_between(1, 40),
                                   .inner = kh_between(1, 70),
                                   .is_min = (int32_t)kh_between(0, 1)};
        kh_call c;
        kh_begin(&c, CYG_KOP_i_reduce_max, &p, sizeof p);
        kh_fill_int(x, kh_in(&c, x, 0, KH_DIMS(p.outer, p.n, p.inner)), p.outer * p.n * p.inner,
                    (kh_pattern)kh_between(0, KH_PATTERNS - 1));
        kh_out(&c, x, KH_DIMS(p.outer, p.inner));
        kh_run(&c);
        kh_end(&c);
    }
}

int main(void)
{
    const char *seed = getenv("CYG_KERNEL_SEED");
    kh_seed(seed == NULL ? 1 : strtoull(seed, NULL, 10));
    if (seed != NULL)
        printf("seed %s\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_tile_edges),
        cmocka_unit_test(linear_types_and_activations),
        cmocka_unit_test(linear_wide_weights),
        cmocka_unit_test(linear_extremes),
        cmocka_unit_test(linear_long_rows),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(layernorms),
        cmocka_unit_test(attentions),
        cmocka_unit_test(attention_long),
        cmocka_unit_test(attention_wide_extremes),
        cmocka_unit_test(softmaxes),
        cmocka_unit_test(eltwises),
        cmocka_unit_test(requants),
        cmocka_unit_test(tables),
        cmocka_unit_test(means),
        cmocka_unit_test(pools),
        cmocka_unit_test(matmuls),
        cmocka_unit_test(extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

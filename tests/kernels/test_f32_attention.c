/* Attention in float: all levels and splits byte for byte (kh_run), and the result against a plain
 * double computation of the definition in ops.def. */
#include "kernel_harness.h"

#include <math.h>

/* q, k, v in one buffer at offsets or apart, k and v of another length, tables, mask index, rows,
 * head scale, cosine, masks made at run time: all by the definition in ops.def. The bits of i say
 * what there is. */
static void one_attention(int i, int64_t heads, int64_t d, int64_t n, int64_t entries,
                          int64_t images)
{
    const int has_bias = i & 1, has_rows = i & 2, has_scale = i & 4, cosine = i >> 3 & 1,
              own = i >> 5 & 1, fused = (i >> 4 & 1) && !own, has_mask = i & 64, has_hide = i & 128;
    const int64_t m = own ? n + 3 : n, vd = own ? d + 1 : d, width = heads * d, wide = heads * vd,
                  stride = fused ? 3 * width : wide + 3, rows = entries * n, keys = entries * m,
                  tables = has_bias ? (i & 2 ? 2 : 1) : 0,
                  mask_dims[4] = {has_rows ? images * entries : 1, has_scale ? heads : 1,
                                  has_bias ? n : 1, m},
                  mask_count = mask_dims[0] * mask_dims[1] * mask_dims[2] * m;
    const cyg_kp_fattention p = {.at = {.heads = heads,
                                        .head_dim = d,
                                        .tokens = n,
                                        .entries = entries,
                                        .images = images,
                                        .q_stride = stride,
                                        .k_stride = stride,
                                        .v_stride = stride,
                                        .q_offset = fused ? 0 : 1,
                                        .k_offset = fused ? width : 2,
                                        .v_offset = fused ? 2 * width : 3,
                                        .tables = tables,
                                        .scale = 0.4f,
                                        .cosine = cosine},
                                 .keys = m,
                                 .value_dim = vd,
                                 .own_rows = own,
                                 .hide_when = cosine,
                                 .hide_fill = has_scale ? -1e9f : -0.5f,
                                 .zero_nan = !has_hide};
    kh_call c;
    kh_begin(&c, CYG_KOP_f_attention, &p, sizeof p);
    float *x[3];
    for (int j = 0; j < 3; j++) {
        const int64_t count = images * (j == 0 ? rows : keys);
        x[j] = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(count, stride));
        kh_fill_float(x[j], count * stride, -2, 2);
    }
    float *bias =
        kh_in(&c, has_bias ? CYG_TYPE_F32 : CYG_TYPE_NONE, 1, KH_DIMS(tables, heads, n, m));
    int64_t *index = kh_in(&c, tables == 2 ? CYG_TYPE_S64 : CYG_TYPE_NONE, 1, KH_DIMS(entries));
    int64_t *order = kh_in(&c, has_rows ? CYG_TYPE_S64 : CYG_TYPE_NONE, 1, KH_DIMS(entries, n));
    float *scale = kh_in(&c, has_scale ? CYG_TYPE_F32 : CYG_TYPE_NONE, 1, KH_DIMS(heads));
    float *mask = kh_in(&c, has_mask ? CYG_TYPE_F32 : CYG_TYPE_NONE, 0,
                        KH_DIMS(mask_dims[0], mask_dims[1], mask_dims[2], m));
    uint8_t *hide = kh_in(&c, has_hide ? CYG_TYPE_BOOL : CYG_TYPE_NONE, 0,
                          KH_DIMS(mask_dims[0], mask_dims[1], mask_dims[2], m));
    kh_out(&c, CYG_TYPE_F32, KH_DIMS(images * rows, wide));
    if (has_bias)
        kh_fill_float(bias, tables * heads * n * m, -3, 3);
    for (int64_t g = 0; index != NULL && g < entries; g++)
        index[g] = kh_between(0, 1);
    for (int64_t r = 0; has_rows && r < rows; r++) { /* a shuffle */
        const int64_t at = kh_between(0, r);
        order[r] = order[at];
        order[at] = r;
    }
    if (has_scale)
        kh_fill_float(scale, heads, 0.5f, 2);
    if (has_mask)
        kh_fill_float(mask, mask_count, -3, 3);
    for (int64_t k = 0; has_mask && p.zero_nan && k < m; k++) /* a row that sees nothing */
        mask[k] = -INFINITY;
    for (int64_t k = 0; has_hide && k < mask_count; k++)
        hide[k] = (uint8_t)kh_between(0, 1);
    kh_run(&c);
    double *want = malloc((size_t)(images * rows * wide) * sizeof *want),
           *t = malloc((size_t)m * sizeof *t);
    for (int64_t item = 0; item < images * rows * heads; item++) {
        const int64_t h = item % heads, r = item / heads % rows, image = item / heads / rows,
                      g = r / n, entry = mask_dims[0] == 1 ? 0 : image * entries + g;
        const int64_t in_mask =
            ((entry * mask_dims[1] + (has_scale ? h : 0)) * mask_dims[2] + (has_bias ? r % n : 0)) *
            m;
#define ROW(r_) (image * rows + (has_rows ? order[r_] : (r_)))
#define KEY(j_) (own ? image * keys + g * m + (j_) : ROW(g * n + (j_)))
        const float *q = x[0] + ROW(r) * stride + p.at.q_offset + h * d;
        double top = -1e300, sum = 0, qq = 0;
        for (int64_t e = 0; e < d; e++)
            qq += (double)q[e] * (double)q[e];
        for (int64_t j = 0; j < m; j++) {
            const float *k = x[1] + KEY(j) * stride + p.at.k_offset + h * d;
            double dot = 0, kk = 0;
            for (int64_t e = 0; e < d; e++) {
                dot += (double)q[e] * (double)k[e];
                kk += (double)k[e] * (double)k[e];
            }
            if (cosine)
                dot /= sqrt(qq) * sqrt(kk);
            t[j] = dot * (double)p.at.scale * (has_scale ? (double)scale[h] : 1);
            if (has_bias)
                t[j] += (double)
                    bias[(((index != NULL ? index[g] : 0) * heads + h) * n + r % n) * m + j];
            if (has_mask)
                t[j] += (double)mask[in_mask + j];
            if (has_hide && hide[in_mask + j] == p.hide_when)
                t[j] = (double)p.hide_fill;
            top = fmax(top, t[j]);
        }
        for (int64_t j = 0; j < m; j++)
            sum += t[j] = isinf(t[j]) ? 0 : exp(t[j] - top);
        for (int64_t e = 0; e < vd; e++) {
            double y = 0;
            for (int64_t j = 0; j < m; j++)
                y += (sum > 0 ? t[j] / sum : 0) *
                     (double)x[2][KEY(j) * stride + p.at.v_offset + h * vd + e];
            want[ROW(r) * wide + h * vd + e] = y;
        }
#undef KEY
#undef ROW
    }
    kh_expect_near(&c, want, images * rows * wide, 1e-5, 1e-5, "attention");
    free(t);
    free(want);
    kh_end(&c);
}

static void test_attention(void **state)
{
    (void)state;
    kh_seed(28);
    for (int i = 0; i < 256; i++)
        one_attention(i, kh_between(1, 3), kh_between(1, 40), kh_between(1, 50), kh_between(2, 4),
                      kh_between(1, 2));
    one_attention(3, 2, 32, 49, 4, 1);
    one_attention(16, 1, 64, 197, 1, 1); /* more than one block of queries */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
    };
    return CYG_TEST_MAIN(tests);
}

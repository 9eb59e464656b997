/* The integer micro-kernels in plain C, the level that every machine has. Rows of the
 * specification's scalar functions (arith.h): SIMD files must give these bytes.
 *
 * The tile kernel works on pairs of s16, as machines without a byte dot product do: a product of
 * two 8-bit values and the sum of two such products fit 32 bits, and compilers turn the loop over
 * columns into multiply-adds. Its sums are unsigned, so that wrapping is defined. */
#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/dispatch.h"

enum { TILE_ROWS = 2, TILE_COLUMNS = 8 };

static void tile_c(int64_t groups, const void *a, int64_t a_stride, const void *b,
                   const int32_t *bias, int32_t *c, int64_t c_stride, int64_t rows, int64_t columns)
{
    (void)columns;
    for (int64_t r = 0; r < rows; r++) {
        const int16_t *x = (const int16_t *)(const void *)((const uint8_t *)a + r * a_stride);
        const int16_t *w = b;
        uint32_t sum[TILE_COLUMNS];
        for (int j = 0; j < TILE_COLUMNS; j++)
            sum[j] = (uint32_t)bias[j];
        for (int64_t group = 0; group < groups; group++, x += 2, w += TILE_COLUMNS * 2)
            for (int j = 0; j < TILE_COLUMNS; j++)
                sum[j] += (uint32_t)(x[0] * w[2 * j] + x[1] * w[2 * j + 1]);
        for (int j = 0; j < TILE_COLUMNS; j++)
            c[r * c_stride + j] = (int32_t)sum[j];
    }
}

const cyg_igemm *cyg_igemm_s16s16_2x8k2__c(void)
{
    static const cyg_igemm igemm = {TILE_ROWS, TILE_COLUMNS, 1, 0, tile_c};
    return &igemm;
}

/* Blocks of 16 channels, one tap at a time. restrict: else clang makes a memmove of the case
 * without taps, which kernels do not have. */
static void depthwise_c(int64_t channels, int64_t groups, const uint8_t *const *taps,
                        const void *weights, const int32_t *restrict bias, int32_t *restrict sums)
{
    const int16_t *w = weights;
    for (int64_t c = 0; c < channels; c += 16, w += 16 * groups) {
        const int64_t width = channels - c < 16 ? channels - c : 16;
        uint32_t sum[16];
        for (int64_t j = 0; j < width; j++)
            sum[j] = (uint32_t)bias[c + j];
        for (int64_t t = 0; t < groups; t++)
            for (int64_t j = 0; j < width; j++)
                sum[j] += (uint32_t)(taps[t][c + j] * w[16 * t + j]);
        for (int64_t j = 0; j < width; j++)
            sums[c + j] = (int32_t)sum[j];
    }
}

const cyg_idepthwise *cyg_i_depthwise_16k1__c(void)
{
    static const cyg_idepthwise depthwise = {16, 1, 1, 0, depthwise_c};
    return &depthwise;
}

void cyg_i_epilogue__c(const cyg_kp_ilinear *p, int32_t acc_type, const void *acc,
                       int64_t acc_stride, const float *m, int64_t rows, int64_t columns,
                       int32_t r_type, const void *r, int64_t r_stride, int32_t y_type, void *y,
                       int64_t y_stride)
{
    for (int64_t row = 0; row < rows; row++) {
        const uint8_t *from = r == NULL ? NULL : (const uint8_t *)r + row * r_stride;
        uint8_t *to = (uint8_t *)y + row * y_stride;
        for (int64_t i = 0; i < columns; i++) {
            const float f = cyg_load_centred(acc_type, acc, row * acc_stride + i, 0);
            const float res = from == NULL ? 0.0f : cyg_load_centred(r_type, from, i, p->r_zero);
            cyg_store_out(y_type, to, i, &p->sat,
                          cyg_linear_out(p, y_type, f, m[i], from != NULL, res));
        }
    }
}

void cyg_i_layernorm__c(const cyg_kp_ilayernorm *p, int32_t x_type, const void *x,
                        const float *gamma, const float *beta, int32_t y_type, void *y)
{
    int64_t s1 = 0, s2 = 0;
    for (int64_t i = 0; i < p->channels; i++) {
        const int64_t v = cyg_load_q(x_type, x, i);
        s1 += v;
        s2 += v * v;
    }
    const cyg_layernorm_row row = cyg_layernorm_stats(p->channels, p->eps, s1, s2);
    for (int64_t i = 0; i < p->channels; i++) {
        const float v = ((float)cyg_load_q(x_type, x, i) - row.mean) * row.rstd;
        cyg_store_out(y_type, y, i, &p->sat, cyg_fmaf(v, gamma[i], beta[i]));
    }
}

static double plane(const int32_t *sums, int64_t j)
{
    return sums == NULL ? 0.0 : (double)sums[j];
}

void cyg_i_join__c(const cyg_plane_sums *sums, int64_t n, const double *base, double offset,
                   float *y)
{
    for (int64_t j = 0; j < n; j++) {
        const double high = plane(sums->by_256[0], j) + plane(sums->by_256[1], j);
        const float f = (float)((base == NULL ? 0.0 : base[j]) + offset + plane(sums->by_1, j) +
                                256.0 * high + 65536.0 * plane(sums->by_65536, j));
        memcpy(&y[j], &f, sizeof f); /* where a sum was */
    }
}

float cyg_i_scores__c(int32_t a_type, const void *a, int64_t n, float c, const float *bias,
                      const float *key_norms, float query_norm, float *t)
{
    float t_max = -CYG_INFINITY;
    for (int64_t j = 0; j < n; j++) {
        const float g = cyg_load_centred(a_type, a, j, 0);
        const float f = key_norms == NULL ? g : (g * query_norm) * key_norms[j];
        t[j] = cyg_fmaf(f, c, bias == NULL ? 0.0f : bias[j]);
        t_max = cyg_maxf(t[j], t_max);
    }
    return t_max;
}

int64_t cyg_i_exp__c(const float *t, int64_t n, float t_max, float q, int32_t e_type, void *e)
{
    int64_t sum = 0;
    for (int64_t j = 0; j < n; j++) {
        const int32_t v = cyg_exp_int(t[j] - t_max, q);
        cyg_store_q(e_type, e, j, v);
        sum += v;
    }
    return sum;
}

void cyg_i_requant__c(int32_t x_type, const void *x, int64_t n, int32_t x_zero, float k,
                      const cyg_isat *sat, int32_t y_type, void *y)
{
    for (int64_t i = 0; i < n; i++)
        cyg_store_out(y_type, y, i, sat, cyg_load_centred(x_type, x, i, x_zero) * k);
}

void cyg_i_eltwise__c(const cyg_kp_ieltwise *p, int32_t a_type, const void *a, int64_t a_step,
                      int32_t b_type, const void *b, int64_t b_step, int64_t n, int32_t y_type,
                      void *y)
{
    for (int64_t i = 0; i < n; i++) {
        const float u = cyg_load_centred(a_type, a, i * a_step, p->a_zero);
        const float v = cyg_load_centred(b_type, b, i * b_step, p->b_zero);
        cyg_store_out(y_type, y, i, &p->sat, cyg_eltwise_out(p, u, v));
    }
}

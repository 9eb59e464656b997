/* Looking at tensors of floats, of a level: what calibration, the searches and the precision
 * analysis do with every element (microkernels.h). Included after lanes.inc.h and written like it.
 *
 * Adding and taking away 1.5 * 2^23 rounds to the nearest whole number, ties to even, of what was
 * clipped to less than 2^22 before. */

static const float whole = 12582912.0f;

/* ---- sums and extremes of columns: rows as they lie in memory, sums in the nearest cache ---- */

void CYG_LANES(cyg_f32_extremes)(int64_t rows, int64_t n, const float *x, int64_t stride,
                                 float *restrict lo, float *restrict hi, int32_t *restrict bits)
{
    for (int64_t r = 0; r < rows; r++, x += stride)
        for (int64_t i = 0; i < n; i++) {
            const float v = x[i];
            const int32_t size = (int32_t)(cyg_f32_bits(v) & 0x7fffffffu);
            lo[i] = v < lo[i] ? v : lo[i];
            hi[i] = v > hi[i] ? v : hi[i];
            bits[i] = size > bits[i] ? size : bits[i];
        }
}

int64_t CYG_LANES(cyg_f32_look)(int64_t rows, int64_t n, const float *x, int64_t stride,
                                const float *least, const float *most, float *restrict lo,
                                float *restrict hi, double *restrict square)
{
    int64_t outside = 0;
    for (int64_t r = 0; r < rows; r++, x += stride) {
        int32_t count = 0;
        for (int64_t i = 0; i < n; i++) {
            const float v = x[i];
            lo[i] = v < lo[i] ? v : lo[i];
            hi[i] = v > hi[i] ? v : hi[i];
            square[i] += (double)v * (double)v;
            count += (v < least[i]) | (v > most[i]);
        }
        outside += count;
    }
    return outside;
}

/* y are T, real what element i of a row stands for. */
#define CYG_COMPARE(T, real)                                                                       \
    for (int64_t r = 0; r < rows; r++) {                                                           \
        const float *from = x + r * stride;                                                        \
        const T *code = (const T *)y + r * stride;                                                 \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const float v = from[i], off = v - (real), size = cyg_absf(off);                       \
            noise[i] += (double)off * (double)off;                                                 \
            cross[i] += (double)v * (double)off;                                                   \
            worst[i] = size > worst[i] ? size : worst[i];                                          \
        }                                                                                          \
    }                                                                                              \
    break
#define CYG_CODED scale[i] * (float)((int32_t)code[i] - zero)

void CYG_LANES(cyg_f32_compare)(const cyg_f32_codes *c, int64_t rows, int64_t n, const float *x,
                                const void *y, int64_t stride, const float *scale,
                                double *restrict noise, double *restrict cross,
                                float *restrict worst)
{
    const int32_t zero = c->zero;
    switch (c->type) {
    case CYG_TYPE_U8:
        CYG_COMPARE(uint8_t, CYG_CODED);
    case CYG_TYPE_S8:
        CYG_COMPARE(int8_t, CYG_CODED);
    case CYG_TYPE_U16:
        CYG_COMPARE(uint16_t, CYG_CODED);
    case CYG_TYPE_S16:
        CYG_COMPARE(int16_t, CYG_CODED);
    default:
        CYG_COMPARE(float, code[i]);
    }
}
#undef CYG_CODED
#undef CYG_COMPARE

/* ---- rounding to a grid ---- */

CYG_INLINE float on_grid(cyg_f32_grid g, float x)
{
    float t = x * g.inverse;
    t = t > g.lo ? t : g.lo;
    t = t < g.hi ? t : g.hi;
    return g.scale * ((t + whole) - whole);
}

void CYG_LANES(cyg_f32_round)(const cyg_f32_grid *g, int64_t n, const float *x, float *y)
{
    const cyg_f32_grid grid = *g;
    CYG_MAP(n, y, v, x, on_grid(grid, v));
}

CYG_INLINE void add_errors(cyg_f32_grid g, const int64_t n, const float *x, const float *weight,
                           float *part)
{
    for (int64_t j = 0; j < n; j++) {
        const float off = x[j] - on_grid(g, x[j]);
        part[j] += weight[j] * off * off;
    }
}

double CYG_LANES(cyg_f32_round_error)(const cyg_f32_grid *g, int64_t n, const float *x,
                                      const float *weight)
{
    const cyg_f32_grid grid = *g;
    float part[LANES] = {0};
    double sum = 0.0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        add_errors(grid, LANES, x + i, weight + i, part);
    add_errors(grid, n - i, x + i, weight + i, part);
    for (int j = 0; j < LANES; j++)
        sum += (double)part[j];
    return sum;
}

/* ---- codes ---- */

#define CYG_ENCODE(T)                                                                              \
    for (int64_t i = 0; i < n; i++) {                                                              \
        float t = x[i] / scale[i];                                                                 \
        t = t > low ? t : low;                                                                     \
        t = t < high ? t : high;                                                                   \
        ((T *)y)[i] = (T)((int32_t)((t + whole) - whole) + zero);                                  \
    }                                                                                              \
    break

void CYG_LANES(cyg_f32_encode)(const cyg_f32_codes *c, int64_t n, const float *x,
                               const float *scale, void *y)
{
    const int32_t zero = c->zero;
    const float low = (float)(c->least - zero), high = (float)(c->most - zero);
    switch (c->type) {
    case CYG_TYPE_U8:
        CYG_ENCODE(uint8_t);
    case CYG_TYPE_S8:
        CYG_ENCODE(int8_t);
    case CYG_TYPE_U16:
        CYG_ENCODE(uint16_t);
    case CYG_TYPE_S16:
        CYG_ENCODE(int16_t);
    default:
        memcpy(y, x, (size_t)n * sizeof *x);
    }
}
#undef CYG_ENCODE

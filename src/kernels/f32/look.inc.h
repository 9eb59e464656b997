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

/* Four rows at a time, so that a column's figures are loaded and stored once for them: one after
 * another, which is the order that rows of one make. */
enum { TOGETHER = 4 };

CYG_INLINE int64_t look_at(int64_t rows, int64_t n, const float *x, int64_t stride,
                           const float *least, const float *most, float *restrict lo,
                           float *restrict hi, double *restrict square)
{
    int32_t outside = 0;
    for (int64_t i = 0; i < n; i++) {
        const float no_less = least[i], no_more = most[i];
        float low = lo[i], high = hi[i];
        double sum = square[i];
        for (int64_t r = 0; r < rows; r++) {
            const float v = x[r * stride + i];
            low = v < low ? v : low;
            high = v > high ? v : high;
            sum += (double)v * (double)v;
            outside += (v < no_less) | (v > no_more);
        }
        lo[i] = low;
        hi[i] = high;
        square[i] = sum;
    }
    return outside;
}

int64_t CYG_LANES(cyg_f32_look)(int64_t rows, int64_t n, const float *x, int64_t stride,
                                const float *least, const float *most, float *restrict lo,
                                float *restrict hi, double *restrict square)
{
    int64_t outside = 0, r = 0;
    for (; r + TOGETHER <= rows; r += TOGETHER)
        outside += look_at(TOGETHER, n, x + r * stride, stride, least, most, lo, hi, square);
    for (; r < rows; r++)
        outside += look_at(1, n, x + r * stride, stride, least, most, lo, hi, square);
    return outside;
}

/* A row's numbers. Blocks of 16 bytes: else compilers ask for as many as fit the widest register,
 * and rows are shorter. */
#define CYG_DECODE(T)                                                                              \
    do {                                                                                           \
        const T *code = (const T *)y + at;                                                         \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= n; i += LANES)                                                         \
            for (int k = 0; k < LANES; k++)                                                        \
                out[i + k] = scale[i + k] * (float)((int32_t)code[i + k] - zero);                  \
        for (; i < n; i++)                                                                         \
            out[i] = scale[i] * (float)((int32_t)code[i] - zero);                                  \
    } while (0)

static void decode(const cyg_f32_codes *c, int64_t n, const void *y, int64_t at,
                   const float *restrict scale, float *restrict out)
{
    const int32_t zero = c->zero;
    switch (c->type) {
    case CYG_TYPE_U8:
        CYG_DECODE(uint8_t);
        break;
    case CYG_TYPE_S8:
        CYG_DECODE(int8_t);
        break;
    case CYG_TYPE_U16:
        CYG_DECODE(uint16_t);
        break;
    case CYG_TYPE_S16:
        CYG_DECODE(int16_t);
        break;
    default:
        memcpy(out, (const float *)y + at, (size_t)n * sizeof *out);
    }
}
#undef CYG_DECODE

enum { WIDE = 256 }; /* columns that are decoded together */

CYG_INLINE void compare_with(int64_t rows, int64_t n, const float *x, int64_t stride,
                             const float *y, double *restrict noise, double *restrict cross,
                             float *restrict worst)
{
    for (int64_t i = 0; i < n; i++) {
        double own = noise[i], both = cross[i];
        float most = worst[i];
        for (int64_t r = 0; r < rows; r++) {
            const float v = x[r * stride + i], off = v - y[r * WIDE + i], size = cyg_absf(off);
            own += (double)off * (double)off;
            both += (double)v * (double)off;
            most = size > most ? size : most;
        }
        noise[i] = own;
        cross[i] = both;
        worst[i] = most;
    }
}

void CYG_LANES(cyg_f32_compare)(const cyg_f32_codes *c, int64_t rows, int64_t n, const float *x,
                                const void *y, int64_t stride, const float *scale,
                                double *restrict noise, double *restrict cross,
                                float *restrict worst)
{
    float real[TOGETHER * WIDE];
    for (int64_t r = 0; r < rows; r += TOGETHER)
        for (int64_t i = 0; i < n; i += WIDE) {
            const int64_t left = rows - r < TOGETHER ? rows - r : TOGETHER,
                          wide = n - i < WIDE ? n - i : WIDE;
            const float *from = x + r * stride + i;
            for (int64_t k = 0; k < left; k++)
                decode(c, wide, y, (r + k) * stride + i, scale == NULL ? NULL : scale + i,
                       real + k * WIDE);
            if (left == TOGETHER)
                compare_with(TOGETHER, wide, from, stride, real, noise + i, cross + i, worst + i);
            for (int64_t k = 0; left < TOGETHER && k < left; k++)
                compare_with(1, wide, from + k * stride, stride, real + k * WIDE, noise + i,
                             cross + i, worst + i);
        }
}

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

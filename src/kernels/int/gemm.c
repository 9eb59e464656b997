/* Packing and the tile loop of the integer matrix product: see gemm.h.
 *
 * The loop runs panels outside and row tiles inside: a panel (nr columns, all of K) is read once
 * from level 2 and serves all rows of the item, whose packed rows stay close as well. The tile
 * kernel leaves int32 sums in a buffer of 2 KB that never leaves level 1, from where the epilogue
 * (scale, activation, residual, saturation) writes y. */
#include "kernels/int/gemm.h"

#include <string.h>

#include "base/attr.h"
#include "kernels/int/check.h"

static size_t align64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static int64_t groups_of(const cyg_igemm *g, int64_t k)
{
    return g->wide ? (k + 1) / 2 : (k + 3) / 4;
}

cyg_igemm_layout cyg_igemm_layout_of(const cyg_igemm *g, int32_t x_type, int64_t n, int64_t k)
{
    cyg_igemm_layout l;
    l.groups = groups_of(g, k);
    l.padded = (n + g->nr - 1) / g->nr * g->nr;
    l.m_at = align64((size_t)l.padded * 4);
    l.wide_bias_at = align64(l.m_at + (size_t)l.padded * 4);
    l.panels_at = l.wide_bias_at + (cyg_is_16bit(x_type) ? align64((size_t)l.padded * 8) : 0);
    l.size = align64(l.panels_at + (size_t)l.padded * (size_t)l.groups * 4);
    return l;
}

static const int8_t *source_row(const cyg_igemm_source *from, int64_t n)
{
    return from->w + (from->rows != NULL ? from->rows[n] : n) * from->stride;
}

/* One column of B: its groups, nr * 4 bytes apart. */
static void pack_column(const cyg_igemm *g, const int8_t *w, int64_t k, uint8_t *to)
{
    const int64_t step = (int64_t)g->nr * 4;
    int64_t i = 0;
    if (g->wide) {
        for (; i + 2 <= k; i += 2, to += step) {
            const int16_t pair[2] = {w[i], w[i + 1]};
            memcpy(to, pair, 4);
        }
        if (i < k) {
            const int16_t pair[2] = {w[i], 0};
            memcpy(to, pair, 4);
        }
        return;
    }
    for (; i + 4 <= k; i += 4, to += step)
        memcpy(to, w + i, 4);
    if (i < k) {
        int8_t rest[4] = {0, 0, 0, 0};
        memcpy(rest, w + i, (size_t)(k - i));
        memcpy(to, rest, 4);
    }
}

void cyg_igemm_pack_b(const cyg_igemm *g, const cyg_igemm_source *from, int64_t n, int64_t k,
                      void *out_panels)
{
    const int64_t groups = groups_of(g, k), padded = (n + g->nr - 1) / g->nr * g->nr;
    for (int64_t column = 0; column < padded; column++) {
        uint8_t *to =
            (uint8_t *)out_panels + (column / g->nr * groups * g->nr + column % g->nr) * 4;
        if (column < n)
            pack_column(g, source_row(from, column), k, to);
        else
            for (int64_t group = 0; group < groups; group++)
                memset(to + group * g->nr * 4, 0, 4);
    }
}

/* Elements of four (two) rows side by side; written so that compilers interleave vectors. */
static void interleave4(const int8_t *const rows[4], int64_t n, uint8_t *restrict to)
{
    const uint8_t *restrict a = (const uint8_t *)rows[0], *restrict b = (const uint8_t *)rows[1];
    const uint8_t *restrict c = (const uint8_t *)rows[2], *restrict d = (const uint8_t *)rows[3];
    for (int64_t j = 0; j < n; j++) {
        to[4 * j] = a[j];
        to[4 * j + 1] = b[j];
        to[4 * j + 2] = c[j];
        to[4 * j + 3] = d[j];
    }
}

static void interleave2(const int8_t *const rows[2], int64_t n, int16_t *restrict to)
{
    const int8_t *restrict a = rows[0], *restrict b = rows[1];
    for (int64_t j = 0; j < n; j++) {
        to[2 * j] = a[j];
        to[2 * j + 1] = b[j];
    }
}

void cyg_igemm_pack_bt(const cyg_igemm *g, const cyg_igemm_source *from, int64_t n, int64_t k,
                       void *out_panels)
{
    static const int8_t zeros[64];
    const int64_t groups = groups_of(g, k), panels = (n + g->nr - 1) / g->nr;
    const int64_t per_group = g->wide ? 2 : 4;
    for (int64_t panel = 0; panel < panels; panel++) {
        const int64_t first = panel * g->nr, count = n - first < g->nr ? n - first : g->nr;
        for (int64_t group = 0; group < groups; group++) {
            uint8_t *to = (uint8_t *)out_panels + (panel * groups + group) * g->nr * 4;
            const int8_t *rows[4];
            for (int64_t i = 0; i < per_group; i++) {
                const int64_t row = group * per_group + i;
                rows[i] = row < k ? source_row(from, row) + first : zeros;
            }
            if (g->wide)
                interleave2(rows, count, (int16_t *)(void *)to);
            else
                interleave4(rows, count, to);
            memset(to + count * 4, 0, (size_t)(g->nr - count) * 4);
        }
    }
}

void cyg_igemm_prepare(const cyg_igemm *g, int32_t x_type, const int8_t *w, const void *bias,
                       const float *m, int64_t n, int64_t k, void *out_prepared)
{
    const cyg_igemm_layout l = cyg_igemm_layout_of(g, x_type, n, k);
    uint8_t *base = out_prepared;
    int32_t *bias32 = (int32_t *)(void *)base;
    float *scale = (float *)(void *)(base + l.m_at);
    double *wide_bias = (double *)(void *)(base + l.wide_bias_at);
    const cyg_igemm_source from = {w, k, NULL};
    cyg_igemm_pack_b(g, &from, n, k, base + l.panels_at);
    const int is_offset = !g->wide && (x_type == CYG_TYPE_S8 || x_type == CYG_TYPE_S16);
    for (int64_t i = 0; i < l.padded; i++) {
        int64_t correction = 0;
        for (int64_t j = 0; i < n && is_offset && j < k; j++)
            correction += 128 * w[i * k + j];
        if (cyg_is_16bit(x_type)) {
            const int64_t b = i < n && bias != NULL ? ((const int64_t *)bias)[i] : 0;
            wide_bias[i] = (double)(b - 256 * correction);
            bias32[i] = 0;
        } else {
            const int32_t b = i < n && bias != NULL ? ((const int32_t *)bias)[i] : 0;
            bias32[i] = (int32_t)((uint32_t)b - (uint32_t)(uint64_t)correction);
        }
        scale[i] = i < n ? m[i] : 0.0f;
    }
}

static void pack_a_wide(int32_t x_type, const void *x, int64_t k, int16_t *lo, int16_t *hi)
{
    switch (x_type) {
    case CYG_TYPE_U8:
        for (int64_t i = 0; i < k; i++)
            lo[i] = ((const uint8_t *)x)[i];
        break;
    case CYG_TYPE_S8:
        for (int64_t i = 0; i < k; i++)
            lo[i] = ((const int8_t *)x)[i];
        break;
    case CYG_TYPE_U16:
        for (int64_t i = 0; i < k; i++) {
            lo[i] = ((const uint16_t *)x)[i] & 255;
            hi[i] = (int16_t)(((const uint16_t *)x)[i] >> 8);
        }
        break;
    default:
        for (int64_t i = 0; i < k; i++) {
            lo[i] = ((const int16_t *)x)[i] & 255;
            hi[i] = (int16_t)(((const int16_t *)x)[i] >> 8);
        }
        break;
    }
    if (k % 2 != 0) {
        lo[k] = 0;
        if (cyg_is_16bit(x_type))
            hi[k] = 0;
    }
}

static void pack_a_bytes(int32_t x_type, const void *x, int64_t k, uint8_t *lo, uint8_t *hi)
{
    switch (x_type) {
    case CYG_TYPE_U8:
        memcpy(lo, x, (size_t)k);
        break;
    case CYG_TYPE_S8:
        for (int64_t i = 0; i < k; i++)
            lo[i] = ((const uint8_t *)x)[i] ^ 0x80;
        break;
    default: {
        const uint16_t flip = x_type == CYG_TYPE_S16 ? 0x8000 : 0;
        for (int64_t i = 0; i < k; i++) {
            const uint16_t v = ((const uint16_t *)x)[i] ^ flip;
            lo[i] = (uint8_t)v;
            hi[i] = (uint8_t)(v >> 8);
        }
        break;
    }
    }
    for (int64_t i = k; i % 4 != 0; i++) {
        lo[i] = 0;
        if (cyg_is_16bit(x_type))
            hi[i] = 0;
    }
}

void cyg_igemm_pack_a(const cyg_igemm *g, int32_t x_type, const void *x, int64_t k, void *out_lo,
                      void *out_hi)
{
    if (g->wide)
        pack_a_wide(x_type, x, k, out_lo, out_hi);
    else
        pack_a_bytes(x_type, x, k, out_lo, out_hi);
}

int cyg_igemm_a_is_direct(const cyg_igemm *g, int32_t x_type, int64_t k)
{
    return !g->wide && x_type == CYG_TYPE_U8 && k % 4 == 0;
}

int64_t cyg_igemm_item_rows(int64_t k)
{
    const int64_t rows = (1 << 17) / (k > 0 ? k : 1) / 8 * 8;
    return rows < 8 ? 8 : rows > CYG_IGEMM_MAX_ROWS ? CYG_IGEMM_MAX_ROWS : rows;
}

void cyg_igemm_product(const cyg_igemm *g, int64_t groups, const void *a, const uint8_t *panels,
                       const int32_t *bias, int32_t *c, int64_t c_stride, int64_t rows,
                       int64_t columns)
{
    for (int64_t j = 0; j < columns; j += g->nr)
        g->tile(groups, a, groups * 4, panels + j * groups * 4, bias + j, c + j, c_stride, rows,
                columns - j < g->nr ? columns - j : g->nr);
}

void cyg_igemm_signed_bias(const cyg_igemm *g, int64_t groups, const uint8_t *panels,
                           int64_t columns, void *row, int32_t *sums, int32_t *out_bias)
{
    const int64_t padded = (columns + g->nr - 1) / g->nr * g->nr;
    memset(out_bias, 0, (size_t)padded * 4);
    if (g->wide)
        return;
    memset(row, 128, (size_t)groups * 4);
    cyg_igemm_product(g, groups, row, panels, out_bias, sums, padded, 1, columns);
    for (int64_t j = 0; j < columns; j++)
        out_bias[j] = -sums[j];
}

/* The epilogue over tile rows, split where the residual's rows wrap around. */
static void finish_tile(const cyg_igemm_job *job, int32_t acc_type, const void *acc,
                        int64_t acc_stride, const float *m, int64_t row0, int64_t rows,
                        int64_t column, int64_t columns)
{
    const int64_t y_bytes = cyg_int_bytes(job->y_type), r_bytes = cyg_int_bytes(job->r_type);
    for (int64_t done = 0; done < rows;) {
        const int64_t row = row0 + done;
        int64_t count = rows - done;
        const uint8_t *r = NULL;
        if (job->r_type != CYG_TYPE_NONE) {
            const int64_t r_row = row % job->r_rows;
            if (count > job->r_rows - r_row)
                count = job->r_rows - r_row;
            r = (const uint8_t *)job->r + (r_row * job->y_row + job->y_column + column) * r_bytes;
        }
        uint8_t *y = (uint8_t *)job->y + (row * job->y_row + job->y_column + column) * y_bytes;
        job->isa->i_epilogue(job->out, acc_type, (const uint8_t *)acc + done * acc_stride * 4,
                             acc_stride, m, count, columns, job->r_type, r, job->y_row * r_bytes,
                             job->y_type, y, job->y_row * y_bytes);
        done += count;
    }
}

/* The sums of a tile of 16-bit A, by plane of A, and of one set of weights. */
typedef struct plane_tile {
    CYG_ALIGNED(64) int32_t low[CYG_IGEMM_MAX_TILE];
    CYG_ALIGNED(64) int32_t high[CYG_IGEMM_MAX_TILE];
} plane_tile;

/* Both planes of a 16-bit A times one panel. */
static void multiply_planes(const cyg_igemm_job *job, const uint8_t *prepared, int64_t column,
                            const void *a_lo, const void *a_hi, int64_t a_stride, int64_t rows,
                            int64_t columns, plane_tile *out)
{
    const cyg_igemm *g = job->isa->igemm();
    const cyg_igemm_layout *l = &job->layout;
    const uint8_t *panel = prepared + l->panels_at + column * l->groups * 4;
    const int32_t *zeros = (const int32_t *)(const void *)prepared + column;
    g->tile(l->groups, a_lo, a_stride, panel, zeros, out->low, g->nr, rows, columns);
    g->tile(l->groups, a_hi, a_stride, panel, zeros, out->high, g->nr, rows, columns);
}

/* acc = 256 H + L + bias, of both sets of weights w = 256 upper + lower; as floats to where the
 * lower sums were. */
static void wide_tile(const cyg_igemm_job *job, const void *a_lo, const void *a_hi,
                      int64_t a_stride, int64_t row, int64_t rows, int64_t column, int64_t columns)
{
    plane_tile lower, upper;
    const cyg_igemm_layout *l = &job->layout;
    const int64_t nr = job->isa->igemm()->nr;
    const uint8_t *base = job->prepared, *high = job->high;
    const float *m = (const float *)(const void *)(base + l->m_at) + column;
    const double *bias = (const double *)(const void *)(base + l->wide_bias_at) + column;
    double both[CYG_IGEMM_MAX_NR];
    multiply_planes(job, base, column, a_lo, a_hi, a_stride, rows, columns, &lower);
    if (high != NULL) {
        const double *more = (const double *)(const void *)(high + l->wide_bias_at) + column;
        multiply_planes(job, high, column, a_lo, a_hi, a_stride, rows, columns, &upper);
        for (int64_t c = 0; c < columns; c++)
            both[c] = bias[c] + 256.0 * more[c];
        bias = both;
    }
    for (int64_t r = 0; r < rows; r++) {
        int32_t *low = lower.low + r * nr;
        const cyg_plane_sums sums = {
            low,
            {lower.high + r * nr, high != NULL ? upper.low + r * nr : NULL},
            high != NULL ? upper.high + r * nr : NULL};
        job->isa->i_join(&sums, columns, bias, 0.0, (float *)(void *)low);
    }
    finish_tile(job, CYG_TYPE_F32, lower.low, nr, m, row, rows, column, columns);
}

void cyg_igemm_block(const cyg_igemm_job *job, const void *a_lo, const void *a_hi, int64_t a_stride,
                     int64_t row0, int64_t rows, int64_t col0, int64_t col1)
{
    CYG_ALIGNED(64) int32_t tile[CYG_IGEMM_MAX_TILE];
    const cyg_igemm *g = job->isa->igemm();
    const cyg_igemm_layout *l = &job->layout;
    const uint8_t *base = job->prepared;
    for (int64_t column = col0; column < col1; column += g->nr) {
        const int64_t columns = col1 - column < g->nr ? col1 - column : g->nr;
        const uint8_t *panel = base + l->panels_at + column * l->groups * 4;
        const int32_t *bias = (const int32_t *)(const void *)base + column;
        const float *m = (const float *)(const void *)(base + l->m_at) + column;
        for (int64_t r = 0; r < rows; r += g->mr) {
            const int64_t count = rows - r < g->mr ? rows - r : g->mr;
            const uint8_t *lo = (const uint8_t *)a_lo + r * a_stride;
            if (cyg_is_16bit(job->x_type)) {
                wide_tile(job, lo, (const uint8_t *)a_hi + r * a_stride, a_stride, row0 + r, count,
                          column, columns);
                continue;
            }
            g->tile(l->groups, lo, a_stride, panel, bias, tile, g->nr, count, columns);
            finish_tile(job, CYG_TYPE_S32, tile, g->nr, m, row0 + r, count, column, columns);
        }
    }
}

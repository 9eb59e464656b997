/* The register tile of the integer matrix product, included by one file a level with these macros:
 *   VEC, LANES        vector type and its s32 lanes
 *   V_LOAD(p) V_STORE(p, v) V_SPREAD(s32)
 *   V_DOT(acc, x, b)  acc + the dot products of x's and b's groups of 4 bytes
 *   TILE_ROWS (at most 8), TILE_VECTORS (at most 3)
 *
 * Every accumulator is a variable with a name, rows and vectors are compile-time constants of an
 * inlined body: arrays of vectors were seen to be spilled by gcc, which costs two thirds of the
 * speed. Per group: TILE_VECTORS loads of B, one broadcast a row, rows x vectors dot products.
 * Bodies for fewer rows and vectors are made from the same text. */
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "kernels/dispatch.h"

CYG_INLINE int32_t load_group(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

CYG_INLINE void tile_body(const int rows, const int vectors, int64_t groups, const void *a,
                          int64_t a_stride, const void *b, const int32_t *bias, int32_t *c,
                          int64_t c_stride)
{
    const int32_t *panel = b;
    const VEC i0 = V_LOAD(bias), i1 = vectors > 1 ? V_LOAD(bias + LANES) : i0;
    const VEC i2 = vectors > 2 ? V_LOAD(bias + 2 * LANES) : i0;
#define BEGIN(r)                                                                                   \
    const uint8_t *a##r = (const uint8_t *)a + (rows > r ? r * a_stride : 0);                      \
    VEC c##r##0 = i0, c##r##1 = i1, c##r##2 = i2;
    EACH_ROW(BEGIN)
    for (int64_t at = 0; at < groups * 4; at += 4) {
        const VEC b0 = V_LOAD(panel), b1 = vectors > 1 ? V_LOAD(panel + LANES) : b0;
        const VEC b2 = vectors > 2 ? V_LOAD(panel + 2 * LANES) : b0;
        panel += LANES * TILE_VECTORS;
#define STEP(r)                                                                                    \
    if (rows > r) {                                                                                \
        const VEC x = V_SPREAD(load_group(a##r + at));                                             \
        c##r##0 = V_DOT(c##r##0, x, b0);                                                           \
        if (vectors > 1)                                                                           \
            c##r##1 = V_DOT(c##r##1, x, b1);                                                       \
        if (vectors > 2)                                                                           \
            c##r##2 = V_DOT(c##r##2, x, b2);                                                       \
    }
        EACH_ROW(STEP)
    }
#define END(r)                                                                                     \
    if (rows > r) {                                                                                \
        V_STORE(c + r * c_stride, c##r##0);                                                        \
        if (vectors > 1)                                                                           \
            V_STORE(c + r * c_stride + LANES, c##r##1);                                            \
        if (vectors > 2)                                                                           \
            V_STORE(c + r * c_stride + 2 * LANES, c##r##2);                                        \
    }
    EACH_ROW(END)
}

#define TILE(r, v)                                                                                 \
    static void tile_##r##x##v(int64_t groups, const void *a, int64_t a_stride, const void *b,     \
                               const int32_t *bias, int32_t *c, int64_t c_stride)                  \
    {                                                                                              \
        tile_body(r, v, groups, a, a_stride, b, bias, c, c_stride);                                \
    }
#define TILES_OF_ROWS(v) TILE(1, v) TILE(2, v) TILE(3, v) TILE(4, v) TILE(5, v) TILE(6, v)
/* clang-format off */
TILES_OF_ROWS(1)
TILES_OF_ROWS(2)
#if TILE_VECTORS > 2
TILES_OF_ROWS(3)
#endif
#if TILE_ROWS > 6
TILE(7, 1) TILE(8, 1)
TILE(7, 2) TILE(8, 2)
TILE(7, 3) TILE(8, 3)
#endif

typedef void tile_fn(int64_t groups, const void *a, int64_t a_stride, const void *b,
                     const int32_t *bias, int32_t *c, int64_t c_stride);
/* clang-format on */

static void tile(int64_t groups, const void *a, int64_t a_stride, const void *b,
                 const int32_t *bias, int32_t *c, int64_t c_stride, int64_t rows, int64_t columns)
{
#define ENTRY(r, v) [v - 1][r - 1] = tile_##r##x##v
#define ENTRIES(v) ENTRY(1, v), ENTRY(2, v), ENTRY(3, v), ENTRY(4, v), ENTRY(5, v), ENTRY(6, v)
    static tile_fn *const bodies[TILE_VECTORS][TILE_ROWS] = {
        ENTRIES(1),
        ENTRIES(2),
#if TILE_VECTORS > 2
        ENTRIES(3),
#endif
#if TILE_ROWS > 6
        ENTRY(7, 1),
        ENTRY(8, 1),
        ENTRY(7, 2),
        ENTRY(8, 2),
        ENTRY(7, 3),
        ENTRY(8, 3),
#endif
    };
    bodies[(columns - 1) / LANES][rows - 1](groups, a, a_stride, b, bias, c, c_stride);
}

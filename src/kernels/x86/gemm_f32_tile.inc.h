/* The float matrix tile of x86, one text for AVX2 (8 lanes) and AVX-512 (16 lanes).
 *
 * A tile is up to CYG_ROWS rows by two vectors of columns; its sums stay in registers (6 x 2 of 16,
 * or 12 x 2 of 32) while k runs: per k two loads of B, one broadcast and two fma a row. Each sum is
 * one chain of fma over ascending k, as in the C version. Rows are addressed from every third one,
 * base + {0, 1, 2} * stride, which x86 addressing does for free and which keeps the pointers of 12
 * rows in 4 registers. Column tails are masked on load and store of C; B's panels are padded.
 *
 * The including file defines CYG_ROW_LIST(X) (row, pointer, third), CYG_VEC, CYG_WIDTH, CYG_ROWS,
 * CYG_ZERO(), CYG_LOAD(p), CYG_BROADCAST(p), CYG_FMA(a, b, c), CYG_LOAD_PART(p, n) and
 * CYG_STORE_PART(p, n, v). */
#include <stdint.h>

#include "base/attr.h"
#include "kernels/dispatch.h"

typedef struct tile_args {
    int64_t k, a_stride, c_stride;
    const float *a, *b0, *b1;
    float *c;
    int64_t columns0, columns1; /* of each vector; 0 = not there */
    int resume;
} tile_args;

CYG_INLINE int64_t column_part(int64_t n)
{
    return n < 0 ? 0 : n < CYG_WIDTH ? n : CYG_WIDTH;
}

/* A panel's lines are read in order, but hardware stops at the end of each page: weights that come
 * from memory wait there. Far enough ahead for the third-level cache; what lies beyond the panel is
 * mostly the next block's. */
CYG_INLINE void prefetch(const float *b)
{
    enum { AHEAD = 32 * CYG_F32_PANEL };
    _mm_prefetch((const char *)((uintptr_t)b + AHEAD * sizeof *b), _MM_HINT_T0);
}

/* Named variables and not an array: gcc 12 would also write each sum to the stack in every step. */
#define CYG_DECLARE(i, group, third) CYG_VEC lo##i = CYG_ZERO(), hi##i = CYG_ZERO();
#define CYG_RESUME(i, group, third)                                                                \
    if (i < rows) {                                                                                \
        lo##i = CYG_LOAD_PART(t->c + i * t->c_stride, t->columns0);                                \
        if (vectors == 2)                                                                          \
            hi##i = CYG_LOAD_PART(t->c + i * t->c_stride + CYG_WIDTH, t->columns1);                \
    }
#define CYG_STEP(i, group, third)                                                                  \
    if (i < rows) {                                                                                \
        const CYG_VEC x = CYG_BROADCAST(group + third * s);                                        \
        lo##i = CYG_FMA(x, v0, lo##i);                                                             \
        if (vectors == 2)                                                                          \
            hi##i = CYG_FMA(x, v1, hi##i);                                                         \
    }
#define CYG_FINISH(i, group, third)                                                                \
    if (i < rows) {                                                                                \
        CYG_STORE_PART(t->c + i * t->c_stride, t->columns0, lo##i);                                \
        if (vectors == 2)                                                                          \
            CYG_STORE_PART(t->c + i * t->c_stride + CYG_WIDTH, t->columns1, hi##i);                \
    }

CYG_INLINE void tile(const tile_args *t, const int rows, const int vectors)
{
    CYG_ROW_LIST(CYG_DECLARE)
    if (t->resume) {
        CYG_ROW_LIST(CYG_RESUME)
    }
    const int64_t s = t->a_stride;
    const float *g0 = t->a, *g1 = g0 + 3 * s, *g2 = g1 + 3 * s, *g3 = g2 + 3 * s;
    const float *b0 = t->b0, *b1 = t->b1;
    for (int64_t p = t->k; p > 0; p--) {
        const CYG_VEC v0 = CYG_LOAD(b0), v1 = vectors == 2 ? CYG_LOAD(b1) : CYG_ZERO();
        prefetch(b0);
        if (vectors == 2 && (int)CYG_WIDTH == (int)CYG_F32_PANEL) /* else of the same line */
            prefetch(b1);
        b0 += CYG_F32_PANEL;
        b1 += CYG_F32_PANEL;
        CYG_ROW_LIST(CYG_STEP)
        g0++;
        g1++;
        g2++;
        g3++;
    }
    CYG_ROW_LIST(CYG_FINISH)
}

/* One function a tile shape, so that each is register-allocated on its own. */
typedef void tile_fn(const tile_args *t);
#define CYG_TILE(rows)                                                                             \
    static void tile_##rows##_1(const tile_args *t)                                                \
    {                                                                                              \
        tile(t, rows, 1);                                                                          \
    }                                                                                              \
    static void tile_##rows##_2(const tile_args *t)                                                \
    {                                                                                              \
        tile(t, rows, 2);                                                                          \
    }
#define CYG_TILE_ROW(rows) {tile_##rows##_1, tile_##rows##_2},
CYG_TILES(CYG_TILE)
static tile_fn *const tiles[CYG_ROWS][2] = {CYG_TILES(CYG_TILE_ROW)};

CYG_INLINE void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride,
                     const float *b, int64_t panel_stride, float *c, int64_t c_stride, int resume)
{
    tile_args t = {.k = k, .a_stride = a_stride, .c_stride = c_stride, .resume = resume};
    for (int64_t i = 0; i < m; i += CYG_ROWS) {
        const int64_t rows = m - i < CYG_ROWS ? m - i : CYG_ROWS;
        t.a = a + i * a_stride;
        for (int64_t j = 0; j < n; j += 2 * CYG_WIDTH) {
            t.columns0 = column_part(n - j);
            t.columns1 = column_part(n - j - CYG_WIDTH);
            t.b0 = b + j / CYG_F32_PANEL * panel_stride;
            t.b1 = t.b0 + (CYG_WIDTH < 16 ? CYG_WIDTH : panel_stride);
            t.c = c + i * c_stride + j;
            tiles[rows - 1][t.columns1 > 0](&t);
        }
    }
}

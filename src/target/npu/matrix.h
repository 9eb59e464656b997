/* Private to target/npu: what linear and conv2d share. Their output channels are cut into column
 * tiles, each with one blob of weights, bias and scales; their rows (or bands of picture rows) into
 * row tiles. CONV applies bias, scale, saturation, relu and clip; whatever else follows is TENG's:
 * then CONV leaves g as f32 in a tile buffer, which is exact, and teng.act finishes. */
#ifndef CYG_TARGET_NPU_MATRIX_H
#define CYG_TARGET_NPU_MATRIX_H

#include "target/npu/gen.h"

/* Cycles that a tile costs beyond its work, when sizes are chosen: what waits cost, and a price on
 * what the scheduler has to place. Smaller tiles overlap better, but not by that much. */
enum { CYG_NPU_TILE_TOLL = 90 };

enum { CYG_NPU_X, CYG_NPU_W, CYG_NPU_BIAS, CYG_NPU_M, CYG_NPU_RESIDUAL, CYG_NPU_W_HIGH };

typedef struct cyg_npu_matrix {
    cyg_npu_gen *gen;
    const cyg_step *step;
    const cyg_kp_ilinear *out; /* of the step */
    cyg_kp_ilinear conv, act;  /* of CONV's part and of TENG's */
    bool needs_teng;
    bool wide;        /* x has 16 bits: bias is s64 */
    int64_t n, depth; /* output channels, weights of each */
    int64_t rows;     /* outputs of one channel */
    uint32_t residual;
    /* The plan. */
    int64_t row_tile, column_tile; /* row_tile in the family's unit */
    int64_t block; /* rows that belong together: a tile lies inside one block, or is whole ones */
    bool columns_outer, again; /* again: weights are loaded for every row tile */
    uint32_t column_count;
    uint32_t *stored, *loaded; /* [column_count]: buffers in PARAM and OCM */
} cyg_npu_matrix;

/* What a choice of tiles would cost; the family fills it in. */
typedef struct cyg_npu_choice {
    int64_t row_tile, row_tiles, column_tile, column_tiles;
    int64_t conv_cycles, teng_cycles; /* of one tile; teng 0 = none */
    int64_t tile_bytes;               /* buffers of one tile: f32 and streamed operands */
    int64_t stream_bytes;             /* over the DDR in all but weights */
    int64_t again_bytes;              /* of x, should columns be outside: loaded for each of them */
} cyg_npu_choice;
/* Fills the choice for row_tile and column_tile. */
typedef void (*cyg_npu_evaluate)(const cyg_npu_matrix *x, void *user, cyg_npu_choice *choice);

cyg_status cyg_npu_matrix_open(cyg_npu_matrix *x, cyg_npu_gen *g, const cyg_step *s,
                               const cyg_kp_ilinear *out) CYG_MUST_USE;
/* Chooses among row tiles (multiples of row_unit, at most `rows`) and column tiles (multiples of
 * column_unit; of fewer columns, down to column_least, when nothing else fits). */
cyg_status cyg_npu_matrix_plan(cyg_npu_matrix *x, int64_t rows, int64_t row_unit,
                               int64_t column_unit, int64_t column_least, cyg_npu_evaluate evaluate,
                               void *user) CYG_MUST_USE;
/* Runs `tile` for every tile in the plan's order. */
typedef cyg_status (*cyg_npu_matrix_tile)(cyg_npu_matrix *x, void *user, int64_t row, int64_t rows,
                                          int64_t column, int64_t columns, uint32_t weights);
cyg_status cyg_npu_matrix_run(cyg_npu_matrix *x, int64_t rows, cyg_npu_matrix_tile tile,
                              void *user) CYG_MUST_USE;
/* Operands w (as w_view is shaped, offset 0), bias, M of a column tile. */
void cyg_npu_matrix_weights(const cyg_npu_matrix *x, cyg_npu_call *c, uint32_t weights,
                            int64_t columns, int rank, const int64_t *dims);
/* w_high, where there is one, behind an absent residual. */
void cyg_npu_matrix_high(const cyg_npu_matrix *x, cyg_npu_call *c, uint32_t weights, int rank,
                         const int64_t *dims);
/* Ends a CONV call whose output is the window y of the step's output: directly, or by an f32 tile
 * and teng.act with the window r of the residual (rank 0 = none). */
cyg_status cyg_npu_matrix_finish(cyg_npu_matrix *x, cyg_npu_call *c, cyg_npu_op op,
                                 const void *params, size_t params_size, const cyg_npu_view *y,
                                 const cyg_npu_view *r) CYG_MUST_USE;

/* Cycles of an instruction with these operands. */
int64_t cyg_npu_price(const cyg_npu_gen *g, cyg_npu_op op, const cyg_npu_view *operands,
                      uint32_t in_count, uint32_t out_count, const void *params,
                      size_t params_size);

#endif

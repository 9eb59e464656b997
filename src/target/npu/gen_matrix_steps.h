/* Private to target/npu: a linear step's tiles, which pointwise convolutions use too. */
#ifndef CYG_TARGET_NPU_GEN_MATRIX_STEPS_H
#define CYG_TARGET_NPU_GEN_MATRIX_STEPS_H

#include "target/npu/matrix.h"

/* s's x seen as rows of K, its weights as [N, K]. */
cyg_status cyg_npu_gen_rows_times_weights(cyg_npu_gen *g, const cyg_step *s,
                                          const cyg_kp_ilinear *p) CYG_MUST_USE;
/* What of the residual belongs to rows [row, row + rows) and these columns: [n, columns], n rows
 * that repeat where there are fewer; rank 0 = no residual. */
cyg_npu_view cyg_npu_residual_rows(const cyg_npu_matrix *x, int64_t row, int64_t rows,
                                   int64_t column, int64_t columns);

#endif

/* Private to target/npu: which steps the NPU takes, and who generates them. */
#ifndef CYG_TARGET_NPU_LEGAL_H
#define CYG_TARGET_NPU_LEGAL_H

#include "target/npu/matrix.h"

/* NULL when the NPU has none. */
cyg_npu_family cyg_npu_family_of(int32_t op);
/* gen_move.c: a transpose in as few axes as it has: y's dimensions, x's strides in elements. */
int cyg_npu_transpose_axes(const cyg_kp_transpose *p, const cyg_tensor *x, int64_t *dims,
                           int64_t *strides);

#endif

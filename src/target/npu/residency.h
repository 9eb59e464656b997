/* Private to target/npu: which tensors of a subgraph lie in the OCM as a whole, and until when.
 * Fills homes, live, io and the buffers of whole tensors. */
#ifndef CYG_TARGET_NPU_RESIDENCY_H
#define CYG_TARGET_NPU_RESIDENCY_H

#include "target/npu/gen.h"

cyg_status cyg_npu_residency(cyg_npu_gen *g) CYG_MUST_USE;

#endif

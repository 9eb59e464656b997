/* Private to precision/: which float value a tensor of the program stands for. */
#ifndef CYG_PRECISION_REFERENCE_H
#define CYG_PRECISION_REFERENCE_H

#include "format/program.h"
#include "ir/graph.h"

/* out_of[tensor_count]: the value of `reference` with the same meaning and as many elements, or
 * none: what stands between the caller and the first arithmetic (pixels, layouts, types) has none,
 * constants have none. CYG_E_NOMEM. */
cyg_status cyg_precision_reference(cyg_ctx *ctx, const cyg_graph *reference,
                                   const cyg_graph *quantised, const cyg_program *p,
                                   cyg_arena *arena, cyg_value_id **out_of) CYG_MUST_USE;
/* The tensor whose bytes t shows. */
CYG_INLINE uint32_t cyg_precision_owner(const cyg_program *p, uint32_t t)
{
    return p->tensors[t].kind == CYG_TENSOR_ALIAS ? (uint32_t)p->tensors[t].offset : t;
}

#endif

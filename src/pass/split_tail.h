/* What a fused linear or convolution does behind its product, as steps of its own: see
 * split_tail.c.
 */
#ifndef CYG_PASS_SPLIT_TAIL_H
#define CYG_PASS_SPLIT_TAIL_H

#include "ir/graph.h"

/* Where operator k of those that went into n (a linear or conv2d) stands in it, in this order. */
typedef enum cyg_tail_part {
    CYG_TAIL_PRODUCT,  /* MatMul, Gemm, Conv, and the addition of the bias */
    CYG_TAIL_ACT,      /* the activation */
    CYG_TAIL_RESIDUAL, /* the addition of another value */
    CYG_TAIL_POST      /* the activation behind that */
} cyg_tail_part;
cyg_tail_part cyg_tail_part_of(const cyg_graph *g, const cyg_node *n, uint32_t k);

/* Splits nodes[i] in front of part from[i] (ACT or later, which it has), shapes known: what comes
 * before keeps the name, the rest are nodes behind it. */
cyg_status cyg_split_tail(cyg_ctx *ctx, cyg_graph *g, const cyg_node_id *nodes,
                          const cyg_tail_part *from, size_t count) CYG_MUST_USE;

#endif

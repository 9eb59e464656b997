/* Private to quant/: see qdq_spread.c. */
#ifndef CYG_QUANT_QDQ_SPREAD_H
#define CYG_QUANT_QDQ_SPREAD_H

#include "ir/graph.h"

/* Rewrites movement and products of integers so that a DequantizeLinear reads each of them. */
cyg_status cyg_qdq_spread(cyg_ctx *ctx, cyg_graph *g) CYG_MUST_USE;

#endif

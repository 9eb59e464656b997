/* Fused attention back into steps: see split_attention.c. */
#ifndef CYG_PASS_SPLIT_ATTENTION_H
#define CYG_PASS_SPLIT_ATTENTION_H

#include "ir/graph.h"

/* An attention with constant tables and as many keys as queries, shapes known. */
bool cyg_split_attention_can(const cyg_graph *g, cyg_node_id n);
/* Splits these nodes, each of which can be; the results keep their names. */
cyg_status cyg_split_attention(cyg_ctx *ctx, cyg_graph *g, const cyg_node_id *nodes,
                               size_t count) CYG_MUST_USE;

#endif

/* check: does a graph still compute what it computed? Private to pass. */
#ifndef CYG_PASS_CHECK_H
#define CYG_PASS_CHECK_H

#include "ir/graph.h"

typedef struct cyg_check cyg_check;
/* Runs `original` on one random input and keeps input and outputs. */
cyg_status cyg_check_create(cyg_ctx *ctx, cyg_graph *original, cyg_check **out_check) CYG_MUST_USE;
void cyg_check_destroy(cyg_check *check); /* NULL is fine */
/* Runs g on that input. *out_difference: largest difference of an output element, over that
 * output's range. CYG_E_CHECK when it exceeds 1e-4, naming the output, the element, the expected
 * and the found. */
cyg_status cyg_check_compare(cyg_ctx *ctx, cyg_check *check, cyg_graph *g,
                             double *out_difference) CYG_MUST_USE;

#endif

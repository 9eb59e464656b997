/* check: does a graph still compute what it computed? The proof of the optimiser: inside it after
 * each pass, when one is sought that is wrong, and outside by whoever has written a result. */
#ifndef CYG_PASS_CHECK_H
#define CYG_PASS_CHECK_H

#include "interp/interp.h"

#define CYG_CHECK_TOLERANCE 1e-4 /* of an output's range */

typedef struct cyg_check_options {
    int64_t batch;          /* size of symbolic first dimensions of inputs; 0 = 1 */
    int64_t size;           /* of all other symbolic dimensions of inputs; 0 = 1 */
    const cyg_kbuf *inputs; /* one an input, copied; NULL = random */
    double tolerance;       /* largest difference allowed, over the output's range; 0 = 1e-4 */
} cyg_check_options;

typedef struct cyg_difference {
    double absolute; /* the largest difference of two elements of an output */
    double relative; /* the largest of a difference over that output's range */
} cyg_difference;

/* A graph that is `alone` (ir/graph.h) is run for the last time: its weights are gone afterwards.
 */
/* What one graph made of one input. A random one is the same every time: floats of mean 0 and
 * variance 1, integers and booleans 0 or 1. Confined. */
typedef struct cyg_check cyg_check;
/* Runs `original` and keeps copies of input and outputs; original is not needed any more.
 * options NULL = all defaults. */
cyg_status cyg_check_create(cyg_ctx *ctx, cyg_graph *original, const cyg_check_options *options,
                            cyg_check **out_check) CYG_MUST_USE;
int64_t cyg_check_batch(const cyg_check *check); /* the size that symbolic first dimensions got */
void cyg_check_destroy(cyg_check *check);        /* NULL is fine */
/* Output i of the original; lives as long as the check. */
const cyg_kbuf *cyg_check_output(const cyg_check *check, uint32_t i);
/* Runs g on that input. Raises *io_difference to what was found. CYG_E_CHECK when the tolerance is
 * exceeded, or types or shapes differ, naming the output, the element, the expected and the found.
 */
cyg_status cyg_check_compare(cyg_ctx *ctx, const cyg_check *check, cyg_graph *g,
                             cyg_difference *io_difference) CYG_MUST_USE;

#endif

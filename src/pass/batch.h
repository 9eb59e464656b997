/* batch: optimising a graph whose batch is symbolic. Private to pass. */
#ifndef CYG_PASS_BATCH_H
#define CYG_PASS_BATCH_H

#include "ir/graph.h"

/* What a graph that was optimised at one batch looks like, short of its weights. */
typedef struct cyg_batch_form cyg_batch_form;

/* Gives the batch, the symbolic first dimension that inputs share, a size. False, and nothing
 * done, when there is no such dimension, or when it is not alone: inputs with batches of different
 * names, or a batch that is a dimension of something else, too. */
bool cyg_batch_bind(cyg_graph *g, int64_t size);
/* The form of g, a clone of `like` that was optimised at this batch. */
cyg_status cyg_batch_read(cyg_ctx *ctx, const cyg_graph *g, const cyg_graph *like, int64_t size,
                          cyg_batch_form **out_form) CYG_MUST_USE;
void cyg_batch_free(cyg_batch_form *form); /* NULL is fine */
/* g, optimised at batch `size`, becomes a graph for every batch, named as `like` names it.
 * *out_joined false: the two forms differ by more than the batch, or in a way that no graph can
 * express; g is of no use then. */
cyg_status cyg_batch_join(cyg_ctx *ctx, cyg_graph *g, int64_t size, const cyg_batch_form *form,
                          const cyg_graph *like, bool *out_joined) CYG_MUST_USE;

#endif

/* masks: what is made at run time beside the chain of scores, as operands of attention. Private to
 * pass (attention.c). */
#ifndef CYG_PASS_MASKS_H
#define CYG_PASS_MASKS_H

#include "pass/scores.h"

typedef struct cyg_mask_sizes {
    int64_t total, heads, tokens, keys; /* windows of all images; rows of q and of k for each */
} cyg_mask_sizes;

/* Can all of them be seen as [total or 1, heads or 1, tokens or 1, keys]? */
bool cyg_masks_fit(const cyg_rw *rw, const cyg_scores *s, const cyg_mask_sizes *sizes);
/* The sum of the addends and the condition in that form, made in front of `before`; none where
 * there is none. cyg_masks_fit holds. */
cyg_status cyg_masks_build(cyg_rw *rw, cyg_node_id before, const cyg_scores *s,
                           const cyg_mask_sizes *sizes, cyg_value_id *out_mask,
                           cyg_value_id *out_hide) CYG_MUST_USE;

#endif

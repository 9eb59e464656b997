/* match: does a part of the graph compute what a formula says? Private to pass. */
#ifndef CYG_PASS_MATCH_H
#define CYG_PASS_MATCH_H

#include "pass/formula.h"
#include "pass/rewrite.h"

enum { CYG_MATCH_NODES = 40 };

typedef struct cyg_match {
    cyg_rw *rw;
    const cyg_formula *formula;
    int64_t channels; /* of the root's result: its last axis, axis 1 for channel_norm; -1 = not
                         known */
    cyg_value_id value[CYG_FORMULA_SLOTS]; /* of the names x, $w and #c; none = not met */
    double number[CYG_FORMULA_SLOTS];      /* of @names */
    bool has_number[CYG_FORMULA_SLOTS];
    cyg_node_id node[CYG_MATCH_NODES]; /* what the match consists of, the root first */
    int node_count;
} cyg_match;

/* Is the node the root of such a part? Cheap when its operator cannot be. */
bool cyg_match_at(cyg_rw *rw, const cyg_formula *formula, cyg_node_id root, cyg_match *out_match);

#endif

/* elements_parts: what elements.c and elements_move.c share. Private to them. */
#ifndef CYG_PASS_ELEMENTS_PARTS_H
#define CYG_PASS_ELEMENTS_PARTS_H

#include "pass/elements.h"

typedef struct cyg_table {
    int32_t *at;
    int64_t count;
} cyg_table;

/* The table of v, a result of the movement operator n (not Concat, not a view), from its operand's.
 * out has room for v. */
bool cyg_elements_move(cyg_rw *rw, cyg_value_id v, const cyg_node *n, const cyg_table *in,
                       cyg_table *out);
/* in, of x's shape, broadcast to y's. */
bool cyg_elements_expand(const cyg_table *in, const cyg_value *x, const cyg_value *y,
                         cyg_table *out);

#endif

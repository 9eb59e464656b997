/* elements_parts: what elements.c and elements_move.c share. Private to them. */
#ifndef CYG_PASS_ELEMENTS_PARTS_H
#define CYG_PASS_ELEMENTS_PARTS_H

#include "pass/elements.h"

/* In runs of `unit` elements that stay together: elements [i * unit, (i + 1) * unit) of the value
 * are run at[i] of the source, or zeros (-1). */
typedef struct cyg_table {
    int32_t *at;
    int64_t count, unit;
} cyg_table;

CYG_INLINE int64_t cyg_common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The longest runs, of those of the operand (`unit`), that the movement operator n leaves whole on
 * its way to v. */
int64_t cyg_elements_unit(cyg_rw *rw, cyg_value_id v, const cyg_node *n, int64_t unit);
/* The table of v, a result of the movement operator n (not Concat, not a view), from its operand's.
 * out has room for v in runs that n leaves whole; in has the same runs. */
bool cyg_elements_move(cyg_rw *rw, cyg_value_id v, const cyg_node *n, const cyg_table *in,
                       cyg_table *out);
/* in, of x's shape, broadcast to y's. */
bool cyg_elements_expand(const cyg_table *in, const cyg_value *x, const cyg_value *y,
                         cyg_table *out);

#endif

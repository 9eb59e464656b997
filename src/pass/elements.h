/* elements: where every element of a value comes from. Any chain of movement operators over one
 * source is a table "element i is element at[i] of the source, or zero (-1)", whatever operators an
 * exporter chose to spell it with. Private to pass. */
#ifndef CYG_PASS_ELEMENTS_H
#define CYG_PASS_ELEMENTS_H

#include "pass/rewrite.h"

enum {
    CYG_ELEMENTS_LIMIT = 1 << 25
}; /* elements of a value that maps are made for: 128 MiB of table */

typedef struct cyg_elements {
    cyg_value_id source;
    int32_t *at; /* [count], heap: cyg_elements_free */
    int64_t count;
    float scale; /* product of the constant factors on the way (cyg_elements_of_scaled) */
    bool cosine; /* each row of the last axis is divided by its L2 norm on the way */
} cyg_elements;

/* The value at the top of v's chain of movement operators; none when the chain has several sources,
 * or an operator on it is not understood. Cheap: no table. */
cyg_value_id cyg_elements_root(cyg_rw *rw, cyg_value_id v);
bool cyg_elements_moves(const cyg_rw *rw,
                        cyg_node_id n); /* is n a movement operator that is understood? */
/* False when there is no such table; nothing is held then. */
bool cyg_elements_of(cyg_rw *rw, cyg_value_id v, cyg_elements *out_map);
/* The same, and the chain may hold multiplications with and divisions by scalars, and the division
 * of rows by their L2 norm (`row_axis` of v, counted from the end: 1 = last). */
bool cyg_elements_of_scaled(cyg_rw *rw, cyg_value_id v, cyg_elements *out_map);
void cyg_elements_free(cyg_elements *map);

/* Row r of v (rows of `block` elements) is row out_rows[r] of the source, or -1. False when the
 * table has no such blocks. */
bool cyg_elements_rows(const cyg_elements *map, int64_t block, int64_t *out_rows);
bool cyg_elements_identity(const cyg_elements *map);

#endif

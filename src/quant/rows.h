/* Private to quant/: a fixed subsample of what integer linears and convolutions read during
 * calibration, kept as float rows in the order of the weights' taps. Corrections are searched on
 * it: ranges, equalisation, biases (docs/quantiser.md). Which rows are kept depends on shapes and
 * the number of samples alone. */
#ifndef CYG_QUANT_ROWS_H
#define CYG_QUANT_ROWS_H

#include "interp/interp.h"
#include "quant/internal.h"

typedef struct cyg_rows {
    int64_t taps; /* K of a linear, kh kw C of a convolution's patch; 0 = no rows are kept */
    int64_t each; /* rows that a sample gives */
    int64_t count, room;
    float *data;      /* [room, taps] */
    cyg_node_id next; /* further reader of the same value */
} cyg_rows;

/* Room for the rows of every integer linear and ungrouped conv2d over `samples` samples; some
 * 64 MiB together at most. s->rows[node] and s->row_reader[value] are set. */
cyg_status cyg_quant_rows_prepare(cyg_scheme *s, size_t samples) CYG_MUST_USE;
/* Takes sample number `sample`'s rows from a value that calibration just computed. */
void cyg_quant_rows_take(cyg_scheme *s, size_t sample, cyg_value_id v, const cyg_kbuf *x);

#endif

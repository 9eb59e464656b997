/* affine: a node that scales and shifts whole channels (axis 1) of its operand: a
 * BatchNormalization, or Mul, Div, Add, Sub with one number a channel or one for all. Private to
 * pass. */
#ifndef CYG_PASS_AFFINE_H
#define CYG_PASS_AFFINE_H

#include "pass/rewrite.h"

/* x * scale + shift, in binary64. */
typedef struct cyg_affine {
    int64_t channels;
    double *scale, *shift; /* [channels], scratch; finite */
    bool shifts;           /* some shift is not zero */
    cyg_value_id x;        /* what it is applied to */
    cyg_value_id named;    /* the constant that a bias made of it is called after */
} cyg_affine;

/* False when the node is no such step. */
bool cyg_affine_read(cyg_rw *rw, cyg_node_id id, cyg_affine *a);

#endif

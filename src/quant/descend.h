/* Private to quant/: a second pass over rounded weights. */
#ifndef CYG_QUANT_DESCEND_H
#define CYG_QUANT_DESCEND_H

#include "quant/hessian.h"

/* One output's weights in positions of the Hessian (hessian.h); nothing below h->padding is read or
 * changed. */
typedef struct cyg_descent {
    const cyg_hessian *h; /* its matrix kept */
    float step;           /* of the output: weights are step times integers, */
    int32_t least, most;  /* least to most */
    float *off;           /* [size] weight minus its rounded self, d */
    float *gradient;      /* [size] H d, half of it */
    int32_t *q;           /* [size] the integers */
} cyg_descent;

/* Moves one integer after the other to its best place, all others held, until none moves. Returns
 * the error d H d. Plain binary32 in a stated order: the same bits everywhere. */
double cyg_quant_descend(cyg_descent *d);

#endif

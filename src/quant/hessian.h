/* Private to quant/: the second-order picture of a layer. Over sampled rows x' of its input, as
 * stored, the squared output error of weights that are off by d is d H d^T, H = sum x'^T x'; with
 * H = L D L^T the error of tap p, once taps above p are chosen, is D[p] (d[p] + sum_{k>p} L[k][p]
 * d[k])^2 (round.c). All arithmetic is binary32 in a stated order: the same bits everywhere. */
#ifndef CYG_QUANT_HESSIAN_H
#define CYG_QUANT_HESSIAN_H

#include "kernels/dispatch.h"
#include "quant/rows.h"

enum { CYG_HESSIAN_BLOCK = 64 };

/* Taps are ordered by their energy, the largest last, for that one is chosen first; in front of
 * them are taps of nothing that fill up the block. */
typedef struct cyg_hessian {
    int64_t size;    /* taps, rounded up to whole blocks */
    int64_t padding; /* positions of nothing; tap of position p: order[p - padding] */
    int64_t stride;  /* of a row of factor */
    uint32_t *order; /* [size - padding] */
    float *factor;   /* [size][stride]; above the diagonal factor[p][k] = L[k][p] */
    float *matrix;   /* H, damped, as factor lies; NULL = not kept */
} cyg_hessian;

/* From the first `rows` rows of r, stored with x; centred: around their mean, which a bias takes
 * care of; damping: the share of the mean diagonal that is added to all of it; keep: the matrix
 * too. Results and scratch lie in arena. */
cyg_status cyg_hessian_make(cyg_ctx *ctx, const cyg_kernels *isa, const cyg_rows *r, int64_t rows,
                            const cyg_quant *x, bool centred, double damping, bool keep,
                            cyg_arena *arena, cyg_hessian *out_hessian) CYG_MUST_USE;

#endif

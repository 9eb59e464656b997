/* The axes of a dense array in another order, some rows of the result at a time: a caller that
 * streams needs no second copy of the array. */
#ifndef CYG_BASE_PERMUTE_H
#define CYG_BASE_PERMUTE_H

#include <stddef.h>
#include <stdint.h>

#include "base/type.h"

/* A row is the result along its last axis. */
typedef struct cyg_permutation {
    size_t size; /* bytes of an element: 1, 2, 4 or 8 */
    int rank;
    int64_t rows, row;            /* number of rows, elements of each */
    int64_t dims[CYG_MAX_RANK];   /* of the result */
    int64_t stride[CYG_MAX_RANK]; /* of the result's axes in the source, in elements */
} cyg_permutation;

/* Axis k of the result is axis perm[k] of the source, which has `dims`: rank <= CYG_MAX_RANK, perm
 * a permutation, and the number of elements does not overflow. */
void cyg_permutation_init(cyg_permutation *out_p, size_t size, int rank, const int64_t *dims,
                          const int64_t *perm);
/* Rows first .. first + count - 1 of the result to out; any thread. */
void cyg_permute_rows(const cyg_permutation *p, const void *from, int64_t first, int64_t count,
                      void *out);

#endif

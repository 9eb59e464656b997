/* Products of batches of matrices, as numpy broadcasts them: how many there are and where the
 * matrices of each begin. Batches are the axes left of an operand's last two. */
#ifndef CYG_KERNELS_BATCHES_H
#define CYG_KERNELS_BATCHES_H

#include <stddef.h>

#include "base/checked.h"
#include "kernels/call.h"

typedef struct cyg_batches {
    int64_t count;
    int32_t rank;
    int64_t dims[CYG_MAX_RANK];
    int64_t a_step[CYG_MAX_RANK], b_step[CYG_MAX_RANK]; /* in elements; 0 = the same for all */
} cyg_batches;

/* The axis `place` places left of the matrix, 1 where there is none. */
CYG_INLINE int64_t cyg_batch_dim(int32_t rank, const int64_t *dims, int32_t place)
{
    return place + 3 <= rank ? dims[rank - 3 - place] : 1;
}

/* Of operands that exist, so that their sizes do not overflow; NULL, or what is wrong with them. */
CYG_INLINE const char *cyg_batches_of(int32_t a_rank, const int64_t *a, int32_t b_rank,
                                      const int64_t *b, cyg_batches *out)
{
    const int32_t most = a_rank > b_rank ? a_rank : b_rank;
    int64_t a_step = 1, b_step = 1;
    *out = (cyg_batches){.count = 1, .rank = most > 2 ? most - 2 : 0};
    for (int32_t i = 1; i <= 2; i++) {
        a_step *= i <= a_rank ? a[a_rank - i] : 1;
        b_step *= i <= b_rank ? b[b_rank - i] : 1;
    }
    for (int32_t place = 0; place < out->rank; place++) {
        const int64_t da = cyg_batch_dim(a_rank, a, place), db = cyg_batch_dim(b_rank, b, place);
        const int32_t at = out->rank - 1 - place;
        if (da != db && da != 1 && db != 1)
            return "batches do not broadcast";
        out->dims[at] = da == 1 ? db : da;
        out->a_step[at] = da == 1 ? 0 : a_step;
        out->b_step[at] = db == 1 ? 0 : b_step;
        if (!cyg_mul_i64(out->count, out->dims[at], &out->count))
            return "too many batches";
        a_step *= da;
        b_step *= db;
    }
    return NULL;
}

/* First elements of the matrices of product `batch`. */
CYG_INLINE void cyg_batches_locate(const cyg_batches *b, int64_t batch, int64_t *out_a,
                                   int64_t *out_b)
{
    *out_a = *out_b = 0;
    for (int32_t i = b->rank - 1; i >= 0; i--) {
        const int64_t at = batch % b->dims[i];
        batch /= b->dims[i];
        *out_a += at * b->a_step[i];
        *out_b += at * b->b_step[i];
    }
}

#endif

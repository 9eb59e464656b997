/* How close two results are: signal to quantisation noise, cosine, and whether their largest
 * entries agree. Shared by the golden check and eval. */
#ifndef CYG_APP_SIMILARITY_H
#define CYG_APP_SIMILARITY_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cyg_similarity {
    double signal, noise; /* sums of squares over all rows */
    double cosine_sum;    /* of rows */
    size_t rows, agreeing;
} cyg_similarity;

void cyg_similarity_add(cyg_similarity *s, const float *reference, const float *other,
                        size_t count);
double cyg_similarity_sqnr_db(const cyg_similarity *s);   /* 200 when there is no noise at all */
double cyg_similarity_cosine(const cyg_similarity *s);    /* mean over rows */
double cyg_similarity_agreement(const cyg_similarity *s); /* 0..1 */
/* First index of the largest entry. */
size_t cyg_largest(const float *x, size_t count);

#endif

/* scores: the chain between Q K^T and the softmax. Private to pass (attention.c). */
#ifndef CYG_PASS_SCORES_H
#define CYG_PASS_SCORES_H

#include "pass/rewrite.h"

/* softmax input = factor * (Q K^T) + offset, element by element. */
typedef struct cyg_scores {
    cyg_value_id product; /* Q K^T */
    int64_t count;        /* elements of it */
    float scale;          /* the factor, when `factor` is NULL */
    float *factor;        /* [count], heap, or NULL */
    float *offset;        /* [count], heap, or NULL = zero */
    float *hidden;        /* [count], heap, or NULL: the softmax input that a Where puts in place of
                             the score, NaN where it puts none; offset is -1e30 there */
} cyg_scores;

/* False when the chain holds anything but views, additions of constants, products with and
 * quotients by constants, and masks by Where that are constants, leave something of each row and
 * put 1e4 or more below it where they hide. Nothing is held then. */
bool cyg_scores_match(cyg_rw *rw, cyg_value_id softmax_in, cyg_scores *out_scores);
void cyg_scores_free(cyg_scores *s);
/* factor as one number for each head of [entries, heads, n * n]; false when it differs within a
 * head. */
bool cyg_scores_head_scale(const cyg_scores *s, int64_t entries, int64_t heads, int64_t square,
                           float *out_scale);

#endif

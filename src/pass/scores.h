/* scores: the chain between Q K^T and the softmax. Private to pass (attention.c). */
#ifndef CYG_PASS_SCORES_H
#define CYG_PASS_SCORES_H

#include "pass/rewrite.h"

enum { CYG_SCORES_ADDENDS = 4 };

/* A value made at run time beside the chain, as the node that uses it sees it: broadcast to dims.
 */
typedef struct cyg_run_time {
    cyg_value_id value; /* none: not there */
    float scale;        /* addend: of it, -1 where it is subtracted, times the factors behind it */
    int rank;
    int64_t dims[CYG_MAX_RANK];
} cyg_run_time;

/* softmax input = factor * (Q K^T) + offset + addends, element by element; then hide_fill where
 * hide says so. */
typedef struct cyg_scores {
    cyg_value_id product; /* Q K^T */
    int64_t count;        /* elements of it */
    float scale;          /* the factor, when `factor` is NULL */
    float *factor;        /* [count], heap, or NULL */
    float *offset;        /* [count], heap, or NULL = zero */
    float *hidden;        /* [count], heap, or NULL: the softmax input that a Where puts in place of
                             the score, NaN where it puts none; offset is -1e30 there */
    cyg_run_time addend[CYG_SCORES_ADDENDS];
    int addend_count;
    cyg_run_time hide; /* the condition of a Where */
    bool hide_when;    /* hide_fill is taken where the condition is this */
    float hide_fill;
} cyg_scores;

/* False when the chain holds anything but views, additions (of constants, and of what is made at
 * run time and broadcasts), products with and quotients by constants, masks by Where that are
 * constants, leave something of each row and put 1e4 or more below it where they hide, and one
 * Where whose condition is made at run time and whose other operand is one number. Nothing is held
 * then. */
bool cyg_scores_match(cyg_rw *rw, cyg_value_id softmax_in, cyg_scores *out_scores);
void cyg_scores_free(cyg_scores *s);
/* factor as one number for each head of [entries, heads, n * n]; false when it differs within a
 * head. */
bool cyg_scores_head_scale(const cyg_scores *s, int64_t entries, int64_t heads, int64_t square,
                           float *out_scale);

#endif

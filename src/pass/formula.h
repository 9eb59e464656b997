/* formula: the notation of patterns.def, read into a tree.
 *
 *     0.5 * x * (1 + erf(0.70710678 * x)) -> gelu(x) {approximate = "none"}
 *
 * Left of the arrow is what is looked for, as arithmetic; right of it the operator that takes its
 * place. match.h says what counts as equal: order, grouping and spelling of products and sums do
 * not.
 *
 *     x             any value that is no constant, the same one wherever the name stands
 *     $w            a constant vector, one number for each channel of the result
 *     #c            any constant
 *     6, -0.5       a scalar constant of this value
 *     @eps          a scalar constant of any value, or a number of an attribute, the same
 * everywhere a + b, a - b, a * b, a / b, a ^ 2 op(a, b)      an operator by its name in ops.def;
 * these operands and no others op.last(a)    a reduction or softmax over exactly the last axis,
 * which stays as 1 op.channel(a) a reduction over exactly axis 1, which stays as 1 only op(a)
 * nobody else reads its result {key = 1}     attributes that the operator must have: a number,
 * @number or "string" where d = a   d is a value that a describes
 *
 * On the right $w is written as [channels], `ones` is a vector of ones, and vectors may be
 * multiplied and added. Private to pass. */
#ifndef CYG_PASS_FORMULA_H
#define CYG_PASS_FORMULA_H

#include "ir/graph.h"

enum { CYG_FORMULA_SLOTS = 8 }; /* names in one formula */

typedef enum cyg_term_kind {
    CYG_TERM_VALUE,    /* x */
    CYG_TERM_CHANNELS, /* $w */
    CYG_TERM_CONST,    /* #c */
    CYG_TERM_ONES,     /* ones, right side only */
    CYG_TERM_NUMBER,   /* 6 or @eps */
    CYG_TERM_PRODUCT,  /* number * child ^ weight * .. */
    CYG_TERM_SUM,      /* number + weight * child + .. */
    CYG_TERM_CALL,
} cyg_term_kind;

typedef struct cyg_term_attr {
    cyg_attr_key key;
    const char *text; /* a string; NULL: a number */
    int slot;         /* of @number, or -1 */
    double number;
    struct cyg_term_attr *next;
} cyg_term_attr;

typedef struct cyg_term {
    cyg_term_kind kind;
    int slot;      /* VALUE, CHANNELS, CONST, NUMBER: of the name; PRODUCT, SUM: of the @number
                      among its children; -1 = none */
    double number; /* NUMBER; PRODUCT: the constant factor; SUM: the constant addend */
    double weight; /* in a product: its exponent; in a sum: 1 or -1 */
    cyg_op op;     /* CALL */
    bool last, channel, only;
    cyg_term_attr *attrs;
    struct cyg_term *child, *next; /* in products and sums: what decides most comes first */
} cyg_term;

typedef struct cyg_formula {
    const char *text;
    cyg_term *pattern, *result;           /* result: a CALL */
    cyg_term *meaning[CYG_FORMULA_SLOTS]; /* of names behind `where`, else NULL */
} cyg_formula;

/* Everything in arena; text is lent. CYG_E_INTERNAL with the place when the text is none. */
cyg_status cyg_formula_parse(cyg_ctx *ctx, cyg_arena *arena, const char *text,
                             cyg_formula *out_formula) CYG_MUST_USE;

#endif

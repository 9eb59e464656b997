/* Equations of Einsum: "bij,bjk->bik". A letter names a dimension; "..." stands for the dimensions
 * that an operand has beyond its letters, aligned at their ends and broadcast; without "->" the
 * result has those first and then the letters that occur once, in order. */
#ifndef CYG_IR_EINSUM_H
#define CYG_IR_EINSUM_H

#include <stdint.h>

#include "ir/graph.h"

enum {
    CYG_EINSUM_LETTERS = 52,
    CYG_EINSUM_LABELS = CYG_EINSUM_LETTERS + CYG_MAX_RANK, /* those of "...", the last one first */
    CYG_EINSUM_OPERANDS = 16,
};

typedef struct cyg_einsum_term {
    uint8_t label[CYG_MAX_RANK]; /* of each dimension */
    uint8_t rank;
} cyg_einsum_term;

typedef struct cyg_einsum {
    cyg_einsum_term in[CYG_EINSUM_OPERANDS], out;
    uint32_t count;
    bool open; /* an operand with "..." has no known rank: only its letters are right */
} cyg_einsum;

/* ranks: of the `count` operands, CYG_RANK_UNKNOWN where it is not known. NULL, or why not. */
const char *cyg_einsum_parse(const char *equation, const uint8_t *ranks, uint32_t count,
                             cyg_einsum *out);

#endif

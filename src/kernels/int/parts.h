/* What the operators that are parts of i_attention share: addresses through row tables, checks. */
#ifndef CYG_KERNELS_INT_PARTS_H
#define CYG_KERNELS_INT_PARTS_H

#include "kernels/int/check.h"

/* Query rows of an item: as in attention.h. */
enum { CYG_PART_ROWS = 64 };

CYG_INLINE int64_t cyg_part_queries(const cyg_kp_attention *at, int64_t queries)
{
    return queries == 0 ? at->tokens : queries;
}

CYG_INLINE int64_t cyg_part_blocks(int64_t queries)
{
    return (queries + CYG_PART_ROWS - 1) / CYG_PART_ROWS;
}

/* Row number `at` of a table (s32 or s64), or `at` itself without one. */
CYG_INLINE int64_t cyg_part_row(const cyg_kbuf *table, int64_t at)
{
    if (table == NULL)
        return at;
    return table->type == CYG_TYPE_S32 ? ((const int32_t *)table->data)[at]
                                       : ((const int64_t *)table->data)[at];
}

/* One item of G entries x H heads x blocks of query rows. */
typedef struct cyg_part_item {
    int64_t group, entry, head, first, count; /* group: (entry, head) */
} cyg_part_item;

CYG_INLINE cyg_part_item cyg_part_item_of(const cyg_kp_attention *at, int64_t queries, int64_t item)
{
    const int64_t blocks = cyg_part_blocks(queries);
    cyg_part_item it = {.group = item / blocks, .first = item % blocks * CYG_PART_ROWS};
    it.head = it.group % at->heads;
    it.entry = it.group / at->heads;
    it.count = queries - it.first < CYG_PART_ROWS ? queries - it.first : CYG_PART_ROWS;
    return it;
}

/* Room for bytes of scratch, 64-aligned. */
CYG_INLINE size_t cyg_part_take(size_t *at, int64_t bytes)
{
    const size_t here = *at;
    *at += ((size_t)bytes + 63) / 64 * 64;
    return here;
}

/* heads, head_dim, tokens, entries, queries in range, one image. */
const char *cyg_check_part(const cyg_kp_attention *at, int64_t queries);
/* A row table of `count` entries, all below `rows`; NULL = absent. */
const char *cyg_check_row_table(const cyg_kbuf *table, int64_t count, int64_t rows);
/* s8 or s16 rows of `stride` channels of which the heads' lie at `offset`; `needed` rows an entry,
 * in order or by a table. */
const char *cyg_check_rows(const cyg_kbuf *b, const cyg_kbuf *table, const cyg_kp_attention *at,
                           int64_t needed, int64_t stride, int64_t offset);
/* [G, H, Q, N] or, columns 1, [G, H, Q] of one type. */
const char *cyg_check_square(const cyg_kbuf *b, const cyg_kp_attention *at, int64_t queries,
                             int64_t columns);

#endif

/* What attention's two bodies share: the addresses of one item. */
#ifndef CYG_KERNELS_INT_ATTENTION_H
#define CYG_KERNELS_INT_ATTENTION_H

#include "base/attr.h"
#include "kernels/call.h"

/* Query rows of an item: a long sequence splits among threads, each of which packs the keys and
 * values it needs. */
enum { CYG_ATTENTION_ROWS = 64 };

typedef struct cyg_attention_item {
    int64_t group;        /* (image, entry, head): items of one group share keys and values */
    int64_t first, count; /* query rows */
    const uint8_t *q, *k,
        *v; /* channels of this head in row 0 of the entry (with rows: of the image) */
    int64_t q_row, k_row, v_row; /* bytes of a row of each */
    int64_t y_at;                /* likewise, elements */
    int64_t head;
    const int64_t *rows; /* [tokens] or NULL */
    const float *bias;   /* [tokens, tokens] or NULL */
} cyg_attention_item;

cyg_attention_item cyg_attention_item_of(const cyg_kcall *call, int64_t item);
/* Sum of the squares, or (power 1) of the elements, of a row. */
int64_t cyg_attention_sum(int32_t type, const void *row, int64_t n, int power);

CYG_INLINE int64_t cyg_attention_row(const cyg_attention_item *it, int64_t token)
{
    return it->rows != NULL ? it->rows[token] : token;
}

/* Rows of the operands by token. */
CYG_INLINE const uint8_t *cyg_attention_q(const cyg_attention_item *it, int64_t token)
{
    return it->q + cyg_attention_row(it, token) * it->q_row;
}

CYG_INLINE const uint8_t *cyg_attention_k(const cyg_attention_item *it, int64_t token)
{
    return it->k + cyg_attention_row(it, token) * it->k_row;
}

CYG_INLINE const uint8_t *cyg_attention_v(const cyg_attention_item *it, int64_t token)
{
    return it->v + cyg_attention_row(it, token) * it->v_row;
}

void cyg_attention_ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch);
size_t cyg_attention_ref_scratch(const cyg_kcall *call);

#endif

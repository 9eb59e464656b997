/* Checks of the operators that are parts of i_attention: see parts.h. */
#include "kernels/int/parts.h"

enum { MAX_TOKENS = 65000, MAX_DIM = 4096, MAX_ENTRIES = 1 << 30 };

const char *cyg_check_part(const cyg_kp_attention *at, int64_t queries)
{
    CYG_WANT(at->heads >= 1 && at->heads <= MAX_DIM && at->head_dim >= 1 &&
                 at->head_dim <= MAX_DIM && at->tokens >= 1 && at->tokens <= MAX_TOKENS,
             "heads, dimensions or tokens out of range");
    CYG_WANT(at->entries >= 1 && at->entries <= MAX_ENTRIES && at->images == 1,
             "entries out of range, or not one image");
    CYG_WANT(queries >= 0 && queries <= at->tokens, "more queries than tokens");
    return NULL;
}

const char *cyg_check_row_table(const cyg_kbuf *table, int64_t count, int64_t rows)
{
    if (table == NULL)
        return NULL;
    CYG_WANT(table->type == CYG_TYPE_S32 || table->type == CYG_TYPE_S64,
             "an index table must be s32 or s64");
    CYG_WANT_OK(cyg_check_constant(table, table->type, count));
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = cyg_part_row(table, i);
        CYG_WANT(row >= 0 && row < rows, "an index is out of range");
    }
    return NULL;
}

const char *cyg_check_rows(const cyg_kbuf *b, const cyg_kbuf *table, const cyg_kp_attention *at,
                           int64_t needed, int64_t stride, int64_t offset)
{
    const int64_t used = at->heads * at->head_dim, elements = cyg_elements(b);
    CYG_WANT(b->type == CYG_TYPE_S8 || b->type == CYG_TYPE_S16, "q, k and v must be s8 or s16");
    CYG_WANT(stride >= 1 && offset >= 0 && used <= stride && offset <= stride - used,
             "channels of q, k or v leave their rows");
    CYG_WANT(elements >= 0 && elements % stride == 0, "q, k or v is not whole rows");
    CYG_WANT(table != NULL || elements / stride == at->entries * needed,
             "q, k or v has not as many rows as its entries need");
    return cyg_check_row_table(table, at->entries * needed, elements / stride);
}

const char *cyg_check_square(const cyg_kbuf *b, const cyg_kp_attention *at, int64_t queries,
                             int64_t columns)
{
    int64_t elements;
    CYG_WANT(!__builtin_mul_overflow(at->entries * at->heads, queries * columns, &elements) &&
                 cyg_elements(b) == elements,
             "an operand by entry, head and query has the wrong number of elements");
    return NULL;
}

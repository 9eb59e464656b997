/* Where the last axis moves, neighbours in the result are far apart in the source, each in a cache
 * line of its own. Rows along the last axis but one are therefore taken together, a strip of
 * columns after the other: the lines that one row touches then serve the next rows too. */
#include "base/permute.h"

#include <string.h>

enum { STRIP = 64 }; /* columns */

void cyg_permutation_init(cyg_permutation *out_p, size_t size, int rank, const int64_t *dims,
                          const int64_t *perm)
{
    int64_t stride[CYG_MAX_RANK], elements = 1;
    *out_p = (cyg_permutation){.size = size, .rank = rank, .rows = 1, .row = 1};
    for (int k = rank - 1; k >= 0; k--) {
        stride[k] = elements;
        elements *= dims[k];
    }
    for (int k = 0; k < rank; k++) {
        out_p->dims[k] = dims[perm[k]];
        out_p->stride[k] = stride[perm[k]];
        if (k < rank - 1)
            out_p->rows *= out_p->dims[k];
        else
            out_p->row = out_p->dims[k];
    }
}

/* `rows` rows whose starts are `down` elements apart, their elements `along`. */
#define CYG_COPY_STRIPS(suffix, type)                                                              \
    static void copy_##suffix(const char *from, int64_t rows, int64_t down, int64_t row,           \
                              int64_t along, char *out)                                            \
    {                                                                                              \
        for (int64_t j0 = 0; j0 < row; j0 += STRIP)                                                \
            for (int64_t i = 0; i < rows; i++)                                                     \
                for (int64_t j = j0; j < row && j < j0 + STRIP; j++)                               \
                    memcpy(out + (size_t)(i * row + j) * sizeof(type),                             \
                           from + (size_t)(i * down + j * along) * sizeof(type), sizeof(type));    \
    }
CYG_COPY_STRIPS(u8, uint8_t)
CYG_COPY_STRIPS(u16, uint16_t)
CYG_COPY_STRIPS(u32, uint32_t)
CYG_COPY_STRIPS(u64, uint64_t)
#undef CYG_COPY_STRIPS

static void copy_rows(const cyg_permutation *p, const char *from, int64_t rows, int64_t down,
                      char *out)
{
    const int64_t along = p->rank > 0 ? p->stride[p->rank - 1] : 1;
    const size_t bytes = (size_t)p->row * p->size;
    for (int64_t i = 0; along == 1 && i < rows; i++)
        memcpy(out + (size_t)i * bytes, from + (size_t)(i * down) * p->size, bytes);
    if (along == 1)
        return;
    if (p->size == 1)
        copy_u8(from, rows, down, p->row, along, out);
    else if (p->size == 2)
        copy_u16(from, rows, down, p->row, along, out);
    else if (p->size == 4)
        copy_u32(from, rows, down, p->row, along, out);
    else
        copy_u64(from, rows, down, p->row, along, out);
}

void cyg_permute_rows(const cyg_permutation *p, const void *from, int64_t first, int64_t count,
                      void *out)
{
    const int axis = p->rank - 2; /* along which rows are neighbours */
    const int64_t group = axis >= 0 ? p->dims[axis] : 1, down = axis >= 0 ? p->stride[axis] : 0;
    char *to = out;
    for (int64_t at = first; p->row > 0 && at < first + count;) {
        int64_t offset = 0, rest = at / group;
        for (int k = axis - 1; k >= 0; k--) {
            offset += rest % p->dims[k] * p->stride[k];
            rest /= p->dims[k];
        }
        const int64_t left = group - at % group, wanted = first + count - at,
                      rows = left < wanted ? left : wanted;
        offset += at % group * down;
        copy_rows(p, (const char *)from + (size_t)offset * p->size, rows, down, to);
        to += (size_t)(rows * p->row) * p->size;
        at += rows;
    }
}

/* Numpy broadcasting as rows: the trailing axes over which every operand either advances by one or
 * stands still are merged into one row; an item is a piece of a row. */
#ifndef CYG_KERNELS_BROADCAST_H
#define CYG_KERNELS_BROADCAST_H

#include "kernels/shape.h"

enum { CYG_BROADCAST_PIECE = 4096, CYG_BROADCAST_MAX = 3 };

typedef struct cyg_broadcast {
    int64_t row, rows; /* elements of a row, number of rows */
    int64_t pieces;    /* of a row */
    int32_t rank;      /* outer axes */
    int64_t dims[CYG_MAX_RANK];
    int64_t strides[CYG_BROADCAST_MAX][CYG_MAX_RANK];
    int64_t step[CYG_BROADCAST_MAX]; /* within a row: 0 or 1 */
} cyg_broadcast;

/* False when an input does not broadcast to y. */
CYG_INLINE bool cyg_broadcast_ok(const cyg_kbuf *x, const cyg_kbuf *y)
{
    if (x->rank > y->rank)
        return false;
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t d = x->dims[x->rank - 1 - i];
        if (d != 1 && d != y->dims[y->rank - 1 - i])
            return false;
    }
    return true;
}

CYG_INLINE cyg_broadcast cyg_broadcast_of(const cyg_kbuf *in, int inputs, const cyg_kbuf *y)
{
    cyg_broadcast b = {.row = 1, .rows = 1};
    int64_t strides[CYG_BROADCAST_MAX][CYG_MAX_RANK] = {{0}};
    for (int k = 0; k < inputs; k++) {
        int64_t n = 1;
        for (int32_t i = 0; i < in[k].rank; i++) {
            const int64_t d = in[k].dims[in[k].rank - 1 - i];
            strides[k][y->rank - 1 - i] = d == 1 ? 0 : n;
            n *= d;
        }
    }
    /* Grow the row over trailing axes while every operand keeps its step. */
    int32_t axis = y->rank;
    bool open = true;
    while (axis > 0 && open) {
        const int64_t d = y->dims[axis - 1];
        if (d != 1) {
            for (int k = 0; k < inputs; k++) {
                const int64_t s = strides[k][axis - 1];
                if (b.row == 1 ? s > 1 : s != b.step[k] * b.row)
                    open = false;
            }
            if (!open)
                break;
            if (b.row == 1)
                for (int k = 0; k < inputs; k++)
                    b.step[k] = strides[k][axis - 1];
            b.row *= d;
        }
        axis--;
    }
    b.rank = axis;
    for (int32_t i = 0; i < axis; i++) {
        b.dims[i] = y->dims[i];
        b.rows *= y->dims[i];
        for (int k = 0; k < inputs; k++)
            b.strides[k][i] = strides[k][i];
    }
    b.pieces = cyg_div_up(b.row, CYG_BROADCAST_PIECE);
    return b;
}
CYG_INLINE int64_t cyg_broadcast_items(const cyg_broadcast *b)
{
    return b->rows * b->pieces;
}
/* Item -> first element of y, count, and each operand's offset. */
CYG_INLINE int64_t cyg_broadcast_at(const cyg_broadcast *b, int inputs, int64_t item,
                                    int64_t *out_y, int64_t out_x[CYG_BROADCAST_MAX])
{
    const int64_t start = item % b->pieces * CYG_BROADCAST_PIECE;
    int64_t row = item / b->pieces;
    *out_y = row * b->row + start;
    for (int k = 0; k < inputs; k++)
        out_x[k] = start * b->step[k];
    for (int32_t i = b->rank - 1; i >= 0; i--) {
        const int64_t at = row % b->dims[i];
        row /= b->dims[i];
        for (int k = 0; k < inputs; k++)
            out_x[k] += at * b->strides[k][i];
    }
    return cyg_min64(b->row - start, CYG_BROADCAST_PIECE);
}

#endif

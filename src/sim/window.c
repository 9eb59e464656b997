/* Walks and copies of strided views: see window.h. Dimensions that continue each other are joined
 * first, so that what is dense becomes one memcpy. */
#include "sim/window.h"

#include <string.h>

#include "base/type.h"

static int64_t element_bytes(const cyg_npu_view *v)
{
    const cyg_npu_view one = {.type = v->type};
    return (int64_t)cyg_npu_view_bytes(&one);
}

bool cyg_window_is_dense(const cyg_npu_view *v)
{
    int64_t stride = element_bytes(v);
    for (unsigned i = v->rank; i-- > 0;) {
        if (v->dims[i] != 1 && v->strides[i] != stride)
            return false;
        stride *= v->dims[i];
    }
    return true;
}

cyg_npu_view cyg_window_dense(const cyg_npu_view *v)
{
    cyg_npu_view d = *v;
    int64_t stride = element_bytes(v);
    d.offset = 0;
    for (unsigned i = v->rank; i-- > 0;) {
        d.strides[i] = stride;
        stride *= v->dims[i];
    }
    return d;
}

/* A pair of windows of equal dimensions, without ones, neighbours joined; run: bytes that are
 * consecutive in both. */
typedef struct pair {
    unsigned rank;
    int64_t dims[CYG_NPU_RANK], x[CYG_NPU_RANK], y[CYG_NPU_RANK];
    int64_t run;
    bool empty;
} pair;

static pair join(const cyg_npu_view *xv, const cyg_npu_view *yv, unsigned first)
{
    pair p = {.run = element_bytes(xv)};
    for (unsigned i = first; i < xv->rank; i++) {
        p.empty |= xv->dims[i] == 0;
        if (xv->dims[i] == 1)
            continue;
        const unsigned last = p.rank - 1;
        if (p.rank > 0 && p.x[last] == xv->dims[i] * xv->strides[i] &&
            p.y[last] == xv->dims[i] * yv->strides[i]) {
            p.dims[last] *= xv->dims[i];
            p.x[last] = xv->strides[i];
            p.y[last] = yv->strides[i];
        } else {
            p.dims[p.rank] = xv->dims[i];
            p.x[p.rank] = xv->strides[i];
            p.y[p.rank++] = yv->strides[i];
        }
    }
    if (p.rank > 0 && p.x[p.rank - 1] == p.run && p.y[p.rank - 1] == p.run)
        p.run *= p.dims[--p.rank];
    return p;
}

bool cyg_window_is_same(const cyg_npu_view *a, const cyg_npu_view *b)
{
    const pair p = join(a, a, 0), q = join(b, b, 0);
    bool same = a->space == b->space && a->type == b->type && a->buffer == b->buffer &&
                a->offset == b->offset && p.rank == q.rank && p.run == q.run && !p.empty;
    for (unsigned i = 0; same && i < p.rank; i++)
        same = p.dims[i] == q.dims[i] && p.x[i] == q.x[i];
    return same;
}

static void copy_elements(int64_t bytes, int64_t n, const uint8_t *x, int64_t x_stride, uint8_t *y,
                          int64_t y_stride)
{
    switch (bytes) {
    case 1:
        for (int64_t i = 0; i < n; i++)
            y[i * y_stride] = x[i * x_stride];
        break;
    case 2:
        for (int64_t i = 0; i < n; i++)
            memcpy(y + i * y_stride, x + i * x_stride, 2);
        break;
    case 4:
        for (int64_t i = 0; i < n; i++)
            memcpy(y + i * y_stride, x + i * x_stride, 4);
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            memcpy(y + i * y_stride, x + i * x_stride, (size_t)bytes);
    }
}

static void copy_pair(const pair *p, unsigned axis, const uint8_t *x, uint8_t *y)
{
    if (p->empty)
        return;
    if (axis == p->rank) {
        memcpy(y, x, (size_t)p->run);
        return;
    }
    if (axis + 1 == p->rank) {
        copy_elements(p->run, p->dims[axis], x, p->x[axis], y, p->y[axis]);
        return;
    }
    for (int64_t i = 0; i < p->dims[axis]; i++)
        copy_pair(p, axis + 1, x + i * p->x[axis], y + i * p->y[axis]);
}

void cyg_window_copy(const cyg_npu_view *x_view, const uint8_t *x, const cyg_npu_view *y_view,
                     uint8_t *y)
{
    const pair p = join(x_view, y_view, 0);
    copy_pair(&p, 0, x, y);
}

void cyg_window_copy_row(const cyg_npu_view *x_view, const uint8_t *x, int64_t x_row,
                         const cyg_npu_view *y_view, uint8_t *y, int64_t y_row)
{
    const pair p = join(x_view, y_view, 1);
    copy_pair(&p, 0, x + x_row * x_view->strides[0], y + y_row * y_view->strides[0]);
}

static bool walk_pair(const pair *p, unsigned axis, uint64_t offset,
                      bool (*visit)(void *, uint64_t, uint64_t), void *user)
{
    if (axis == p->rank || axis == CYG_NPU_RANK)
        return visit(user, offset, (uint64_t)p->run);
    for (int64_t i = 0; i < p->dims[axis]; i++)
        if (!walk_pair(p, axis + 1, offset + (uint64_t)(i * p->x[axis]), visit, user))
            return false;
    return true;
}

bool cyg_window_walk(const cyg_npu_view *v, bool (*visit)(void *, uint64_t, uint64_t), void *user)
{
    const pair p = join(v, v, 0);
    return p.empty || walk_pair(&p, 0, v->offset, visit, user);
}

bool cyg_window_walk_row(const cyg_npu_view *v, int64_t row,
                         bool (*visit)(void *, uint64_t, uint64_t), void *user)
{
    const pair p = join(v, v, 1);
    return p.empty || walk_pair(&p, 0, v->offset + (uint64_t)(row * v->strides[0]), visit, user);
}

/* The side of LDX, STX and GATHER that the index does not name: rows whose index is -1 are left. */
static bool skips_rows(const cyg_npu_instr *instr, uint32_t at)
{
    return (instr->op == CYG_NPU_OP_STX && at == 0) ||
           ((instr->op == CYG_NPU_OP_LDX || instr->op == CYG_NPU_OP_CV_GATHER) && at == 2);
}

bool cyg_window_walk_operand(const cyg_npu_program *p, const cyg_npu_instr *instr, uint32_t at,
                             bool (*visit)(void *, uint64_t, uint64_t), void *user)
{
    const cyg_npu_op_info *op = cyg_npu_op_info_of(instr->op);
    const cyg_npu_view *v = &instr->operands[at], *index = NULL;
    const int operand = at < instr->in_count ? (int)at : CYG_NPU_OUT((int)at - instr->in_count);
    const bool skips = skips_rows(instr, at);
    for (unsigned k = 0; k < op->indexed_count; k++)
        if (op->indexed[k].operand == operand)
            index = cyg_npu_operand_of(instr, op->indexed[k].index);
    if (skips)
        index = &instr->operands[1];
    if (index == NULL)
        return cyg_window_walk(v, visit, user);
    const int64_t n = cyg_npu_view_elements(index);
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = cyg_npu_index_at(p, index, i);
        if (row >= 0 && !cyg_window_walk_row(v, skips ? i : row, visit, user))
            return false;
    }
    return true;
}

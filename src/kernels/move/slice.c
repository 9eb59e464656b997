/* slice, expand and tile: y's rows (its last axis) read x with strides; an item is a row. */
#include "kernels/move/strided.h"

static int64_t items(const cyg_kcall *call)
{
    return cyg_rows_of(&call->out[0]);
}

/* ---- slice ---- */

static const char *check_slice(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_slice *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(y->type) && x->rank == y->rank,
                "x and y differ");
    for (int32_t i = 0; i < x->rank; i++) {
        int64_t reach;
        if (y->dims[i] == 0)
            continue;
        CYG_REQUIRE(p->start[i] >= 0 && p->start[i] < x->dims[i] &&
                        cyg_mul_i64(y->dims[i] - 1, p->step[i], &reach) &&
                        cyg_add_i64(reach, p->start[i], &reach) && reach >= 0 && reach < x->dims[i],
                    "the slice leaves x");
    }
    return NULL;
}

static void run_slice(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_slice *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t size = cyg_type_bytes(y->type), n = cyg_row_length(y);
    int64_t strides[CYG_MAX_RANK] = {0}, first = 0;
    cyg_strides_of(x, strides);
    for (int32_t i = 0; i < x->rank; i++) {
        first += y->dims[i] > 0 ? p->start[i] * strides[i] : 0;
        strides[i] *= y->dims[i] > 1 ? p->step[i] : 0; /* a lone element's step is not checked */
    }
    for (int64_t row = begin; row < end; row++) {
        const int64_t from = first + cyg_row_offset(y, strides, row);
        cyg_copy_strided(size, n, (const char *)x->data + from * size,
                         y->rank == 0 ? 1 : strides[y->rank - 1], (char *)y->data + row * n * size);
    }
}

/* ---- expand ---- */

static const char *check_expand(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(y->type) && x->rank <= y->rank,
                "x and y differ");
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t d = x->dims[x->rank - 1 - i];
        CYG_REQUIRE(d == 1 || d == y->dims[y->rank - 1 - i], "x does not broadcast to y");
    }
    return NULL;
}

static void run_expand(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t size = cyg_type_bytes(y->type), n = cyg_row_length(y);
    int64_t strides[CYG_MAX_RANK] = {0}, run = 1;
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t d = x->dims[x->rank - 1 - i];
        strides[y->rank - 1 - i] = d == 1 ? 0 : run;
        run *= d;
    }
    for (int64_t row = begin; row < end; row++) {
        const int64_t from = cyg_row_offset(y, strides, row);
        cyg_copy_strided(size, n, (const char *)x->data + from * size,
                         y->rank == 0 ? 1 : strides[y->rank - 1], (char *)y->data + row * n * size);
    }
}

/* ---- tile ---- */

static const char *check_tile(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(y->type) && x->rank == y->rank,
                "x and y differ");
    for (int32_t i = 0; i < x->rank; i++)
        CYG_REQUIRE(y->dims[i] == 0 || (x->dims[i] > 0 && y->dims[i] % x->dims[i] == 0),
                    "y is not x repeated");
    return NULL;
}

static void run_tile(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t size = cyg_type_bytes(y->type), n = cyg_row_length(y), inner = cyg_row_length(x);
    int64_t strides[CYG_MAX_RANK] = {0};
    cyg_strides_of(x, strides);
    for (int64_t row = begin; row < end; row++) {
        int64_t from = 0, rest = row;
        for (int32_t i = y->rank - 2; i >= 0; i--) {
            from += rest % y->dims[i] % x->dims[i] * strides[i];
            rest /= y->dims[i];
        }
        for (int64_t at = 0; at < n; at += inner)
            memcpy((char *)y->data + (row * n + at) * size, (const char *)x->data + from * size,
                   (size_t)(inner * size));
    }
}

#define CYG_ROW_KOP(id, params)                                                                    \
    const cyg_kop_info cyg_kop_info_##id = {.name = #id,                                           \
                                            .params_size = sizeof(params),                         \
                                            .check = check_##id,                                   \
                                            .items = items,                                        \
                                            .run = run_##id}
CYG_ROW_KOP(slice, cyg_kp_slice);
CYG_ROW_KOP(expand, cyg_kp_none);
CYG_ROW_KOP(tile, cyg_kp_none);

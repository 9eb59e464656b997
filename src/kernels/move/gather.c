/* gather, gather_elements, gather_nd, gather_rows: reading by index.
 *
 * Indices are s32 or s64, negative ones count from the end (gather_rows: -1 is the fill row).
 * Constant index tables are checked once; an index outside that only shows at run time reads as
 * zero bytes (gather_rows: the fill value), never as foreign memory. */
#include <string.h>

#include "kernels/index.h"

static void copy_or_zero(char *to, const char *x, int64_t at, int64_t bytes)
{
    if (at >= 0)
        memcpy(to, x + at * bytes, (size_t)bytes);
    else
        memset(to, 0, (size_t)bytes);
}

/* ---- gather: y [before, index.., after] ---- */

static const char *check_gather(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 2, 1, 1);
    const cyg_kp_axis *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(y->type), "x and y differ in type");
    CYG_REQUIRE(cyg_is_index_type(index->type), "the index is not s32 or s64");
    CYG_REQUIRE(p->axis >= 0 && p->axis < x->rank && y->rank == x->rank + index->rank - 1,
                "axis or rank of y is wrong");
    for (int32_t i = 0; i < y->rank; i++) {
        const int64_t d = i < p->axis                 ? x->dims[i]
                          : i < p->axis + index->rank ? index->dims[i - p->axis]
                                                      : x->dims[i - index->rank + 1];
        CYG_REQUIRE(y->dims[i] == d, "y's shape is not [before, index, after]");
    }
    CYG_REQUIRE(cyg_index_in_range(index, -x->dims[p->axis], x->dims[p->axis] - 1),
                "index out of range");
    return NULL;
}

/* Items: [before][index]. */
static int64_t items_gather(const cyg_kcall *call)
{
    const cyg_kp_axis *p = call->params;
    if (cyg_count_of(&call->out[0]) == 0)
        return 0;
    return cyg_count_dims(&call->in[0], 0, (int32_t)p->axis) * cyg_count_of(&call->in[1]);
}

static void run_gather(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_axis *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1];
    const int64_t run = cyg_count_dims(x, (int32_t)p->axis + 1, x->rank) * cyg_type_bytes(x->type);
    const int64_t n = cyg_count_of(index), dim = x->dims[p->axis];
    for (int64_t item = begin; item < end; item++) {
        const int64_t at = cyg_index_wrap(cyg_index_at(index, item % n), dim);
        copy_or_zero((char *)call->out[0].data + item * run, x->data,
                     at >= 0 ? item / n * dim + at : -1, run);
    }
}

/* ---- gather_elements: y has index's shape ---- */

static const char *check_gather_elements(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 2, 1, 1);
    const cyg_kp_axis *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1];
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(call->out[0].type),
                "x and y differ in type");
    CYG_REQUIRE(cyg_is_index_type(index->type), "the index is not s32 or s64");
    CYG_REQUIRE(x->rank == index->rank && cyg_same_dims(index, &call->out[0]),
                "x, index and y differ in shape");
    CYG_REQUIRE(p->axis >= 0 && p->axis < x->rank, "axis out of range");
    for (int32_t i = 0; i < x->rank; i++)
        CYG_REQUIRE(i == p->axis || index->dims[i] <= x->dims[i], "index is larger than x");
    CYG_REQUIRE(cyg_index_in_range(index, -x->dims[p->axis], x->dims[p->axis] - 1),
                "index out of range");
    return NULL;
}

static int64_t items_gather_elements(const cyg_kcall *call)
{
    return cyg_count_of(&call->out[0]);
}

static void run_gather_elements(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_axis *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1];
    const int64_t size = cyg_type_bytes(x->type);
    int64_t strides[CYG_MAX_RANK];
    cyg_strides_of(x, strides);
    for (int64_t item = begin; item < end; item++) {
        int64_t rest = item, at = 0;
        const int64_t wanted = cyg_index_wrap(cyg_index_at(index, item), x->dims[p->axis]);
        for (int32_t i = x->rank - 1; i >= 0; i--) {
            at += (i == p->axis ? wanted : rest % index->dims[i]) * strides[i];
            rest /= index->dims[i];
        }
        copy_or_zero((char *)call->out[0].data + item * size, x->data, wanted >= 0 ? at : -1, size);
    }
}

/* ---- gather_nd: index [batch.., outer.., k], y [batch.., outer.., x's dims from batch + k on]
 * ---- */

static const char *check_gather_nd(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 2, 1, 1);
    const cyg_kp_axis *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(y->type), "x and y differ in type");
    CYG_REQUIRE(cyg_is_index_type(index->type), "the index is not s32 or s64");
    CYG_REQUIRE(index->rank >= 1 && p->axis >= 0 && p->axis < index->rank && p->axis < x->rank,
                "batch dims out of range");
    for (int32_t i = 0; i < p->axis; i++)
        CYG_REQUIRE(x->dims[i] == index->dims[i], "x and index differ in batch");
    const int64_t k = index->dims[index->rank - 1];
    CYG_REQUIRE(k >= 1 && k <= x->rank - p->axis, "the index tuple is too long");
    const int32_t first = (int32_t)(p->axis + k);
    CYG_REQUIRE(cyg_count_of(y) ==
                    cyg_count_dims(index, 0, index->rank - 1) * cyg_count_dims(x, first, x->rank),
                "y has a wrong size");
    return NULL;
}

static int64_t items_gather_nd(const cyg_kcall *call)
{
    const cyg_kbuf *index = &call->in[1];
    return cyg_count_of(&call->out[0]) == 0 ? 0 : cyg_count_dims(index, 0, index->rank - 1);
}

static void run_gather_nd(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_axis *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1];
    const int64_t k = index->dims[index->rank - 1];
    const int32_t first = (int32_t)(p->axis + k);
    const int64_t run = cyg_count_dims(x, first, x->rank) * cyg_type_bytes(x->type);
    const int64_t per_batch = cyg_count_dims(index, (int32_t)p->axis, index->rank - 1);
    for (int64_t item = begin; item < end; item++) {
        int64_t at = item / per_batch;
        bool inside = true;
        for (int64_t i = 0; i < k; i++) {
            const int64_t dim = x->dims[p->axis + i];
            const int64_t v = cyg_index_wrap(cyg_index_at(index, item * k + i), dim);
            inside = inside && v >= 0;
            at = inside ? at * dim + v : 0;
        }
        copy_or_zero((char *)call->out[0].data + item * run, x->data, inside ? at : -1, run);
    }
}

/* ---- gather_rows: x [images, rows_in, C] -> y [images, rows_out, C] ---- */

static const char *check_gather_rows(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 2, 1, 1);
    const cyg_kp_gather_rows *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(y->type), "x and y differ in type");
    CYG_REQUIRE(cyg_is_index_type(index->type) && cyg_count_of(index) == p->rows_out,
                "the index is not s32 or s64 [rows_out]");
    CYG_REQUIRE(x->rank >= 1 && p->rows_in >= 0 && p->rows_out >= 0 && p->images >= 0,
                "bad geometry");
    const int64_t channels = x->dims[x->rank - 1];
    int64_t in, out;
    CYG_REQUIRE(cyg_mul_i64(p->images, p->rows_in, &in) && cyg_mul_i64(in, channels, &in) &&
                    in == cyg_count_of(x),
                "x is not [images, rows_in, C]");
    CYG_REQUIRE(cyg_mul_i64(p->images, p->rows_out, &out) && cyg_mul_i64(out, channels, &out) &&
                    out == cyg_count_of(y),
                "y is not [images, rows_out, C]");
    CYG_REQUIRE(cyg_index_in_range(index, -1, p->rows_in - 1), "index out of range");
    return NULL;
}

static int64_t items_gather_rows(const cyg_kcall *call)
{
    const cyg_kp_gather_rows *p = call->params;
    return p->images * p->rows_out;
}

static void run_gather_rows(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_gather_rows *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    const int64_t size = cyg_type_bytes(x->type), run = x->dims[x->rank - 1] * size;
    uint8_t fill[8];
    for (int i = 0; i < 8; i++)
        fill[i] = (uint8_t)(p->fill_bits >> (8 * i));
    for (int64_t item = begin; item < end; item++) {
        const int64_t row = cyg_index_at(&call->in[1], item % p->rows_out);
        char *to = (char *)call->out[0].data + item * run;
        if (row >= 0 && row < p->rows_in) {
            memcpy(to, (const char *)x->data + (item / p->rows_out * p->rows_in + row) * run,
                   (size_t)run);
            continue;
        }
        for (int64_t i = 0; i < run; i += size)
            memcpy(to + i, fill, (size_t)size);
    }
}

#define CYG_GATHER_KOP(id, params)                                                                 \
    const cyg_kop_info cyg_kop_info_##id = {.name = #id,                                           \
                                            .params_size = sizeof(params),                         \
                                            .check = check_##id,                                   \
                                            .items = items_##id,                                   \
                                            .run = run_##id}
CYG_GATHER_KOP(gather, cyg_kp_axis);
CYG_GATHER_KOP(gather_elements, cyg_kp_axis);
CYG_GATHER_KOP(gather_nd, cyg_kp_axis);
CYG_GATHER_KOP(gather_rows, cyg_kp_gather_rows);

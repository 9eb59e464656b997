/* concat and split along one axis: an item is one run of one part, [outer][part]. */
#include <string.h>

#include "kernels/shape.h"

/* Parts along the axis agree with the whole in everything else and add up. */
static const char *check_parts(const cyg_kbuf *whole, const cyg_kbuf *parts, uint32_t count,
                               int64_t axis)
{
    int64_t sum = 0;
    CYG_REQUIRE(axis >= 0 && axis < whole->rank, "axis out of range");
    for (uint32_t i = 0; i < count; i++) {
        CYG_REQUIRE(cyg_type_bytes(parts[i].type) == cyg_type_bytes(whole->type) &&
                        parts[i].rank == whole->rank,
                    "parts differ in type or rank");
        for (int32_t d = 0; d < whole->rank; d++)
            CYG_REQUIRE(d == axis || parts[i].dims[d] == whole->dims[d], "parts differ in shape");
        CYG_REQUIRE(cyg_add_i64(sum, parts[i].dims[axis], &sum), "parts are too long");
    }
    CYG_REQUIRE(sum == whole->dims[axis], "parts do not add up");
    return NULL;
}

static const char *check_concat(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, call->in_count > 0 ? call->in_count : 1, UINT32_MAX, 1, 1);
    return check_parts(&call->out[0], call->in, call->in_count,
                       ((const cyg_kp_axis *)call->params)->axis);
}
static const char *check_split(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, UINT32_MAX);
    return check_parts(&call->in[0], call->out, call->out_count,
                       ((const cyg_kp_axis *)call->params)->axis);
}

/* Runs of `part` between it and the whole, outer begin..end. */
static void move_part(const cyg_kbuf *whole, const cyg_kbuf *part, int64_t axis, int64_t at,
                      bool join, int64_t begin, int64_t end)
{
    const int64_t size = cyg_type_bytes(whole->type);
    const int64_t inner = cyg_count_dims(whole, (int32_t)axis + 1, whole->rank) * size;
    const int64_t run = part->dims[axis] * inner, row = whole->dims[axis] * inner;
    if (run == 0)
        return;
    char *w = (char *)whole->data + at * inner, *p = part->data;
    for (int64_t i = begin; i < end; i++) {
        if (join)
            memcpy(w + i * row, p + i * run, (size_t)run);
        else
            memcpy(p + i * run, w + i * row, (size_t)run);
    }
}

static int64_t outer_of(const cyg_kbuf *whole, int64_t axis)
{
    return cyg_count_of(whole) == 0 ? 0 : cyg_count_dims(whole, 0, (int32_t)axis);
}

/* Items: [part][outer]. */
static void move_parts(const cyg_kbuf *whole, const cyg_kbuf *parts, uint32_t count, int64_t axis,
                       bool join, int64_t begin, int64_t end)
{
    const int64_t outer = outer_of(whole, axis);
    int64_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t first = (int64_t)i * outer;
        const int64_t from = cyg_max64(begin, first), to = cyg_min64(end, first + outer);
        if (from < to)
            move_part(whole, &parts[i], axis, at, join, from - first, to - first);
        at += parts[i].dims[axis];
    }
}

static int64_t items_concat(const cyg_kcall *call)
{
    return outer_of(&call->out[0], ((const cyg_kp_axis *)call->params)->axis) *
           (int64_t)call->in_count;
}
static int64_t items_split(const cyg_kcall *call)
{
    return outer_of(&call->in[0], ((const cyg_kp_axis *)call->params)->axis) *
           (int64_t)call->out_count;
}
static void run_concat(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_axis *p = call->params;
    move_parts(&call->out[0], call->in, call->in_count, p->axis, true, begin, end);
}
static void run_split(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_axis *p = call->params;
    move_parts(&call->in[0], call->out, call->out_count, p->axis, false, begin, end);
}

const cyg_kop_info cyg_kop_info_concat = {.name = "concat",
                                          .params_size = sizeof(cyg_kp_axis),
                                          .check = check_concat,
                                          .items = items_concat,
                                          .run = run_concat};
const cyg_kop_info cyg_kop_info_split = {.name = "split",
                                         .params_size = sizeof(cyg_kp_axis),
                                         .check = check_split,
                                         .items = items_split,
                                         .run = run_split};

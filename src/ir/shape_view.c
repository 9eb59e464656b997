/* Shape rules of the operators that only rename positions: Reshape, Flatten, Squeeze, Unsqueeze,
 * Transpose, DepthToSpace, SpaceToDepth; and of those that make shapes into data: Shape, Size.
 *
 * Reshape with symbolic sizes: the symbols of the input that the target repeats cancel; what is
 * left must be the one open dimension (-1, or a "?" when it is the only one). */
#include "ir/shape.h"

#include <string.h>

#include "base/checked.h"

/* Element counts as a number times symbols; the target's symbols are crossed out. */
typedef struct amount {
    int64_t number;
    int64_t symbols[CYG_MAX_RANK];
    int count;
    bool open; /* a "?" among them, or an overflow */
} amount;

static amount amount_of(const cyg_shape *x)
{
    amount a = {.number = 1};
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[i] == -1)
            a.open = true;
        else if (x->dims[i] < 0)
            a.symbols[a.count++] = x->dims[i];
        else if (!cyg_mul_i64(a.number, x->dims[i], &a.number))
            a.open = true;
    }
    return a;
}

static void cross_out(amount *a, int64_t symbol)
{
    for (int i = 0; i < a->count; i++)
        if (a->symbols[i] == symbol) {
            a->symbols[i] = a->symbols[--a->count];
            return;
        }
    a->open = true;
}

/* What dimension `free_at` of y must be for y to have as many elements as x. */
static cyg_status solve(cyg_infer *s, const cyg_shape *x, cyg_shape *y, int free_at)
{
    amount in = amount_of(x);
    int64_t rest = 1;
    for (int i = 0; i < y->rank; i++) {
        if (i == free_at)
            continue;
        if (y->dims[i] < 0)
            cross_out(&in, y->dims[i]);
        else if (!cyg_mul_i64(rest, y->dims[i], &rest))
            in.open = true;
    }
    if (in.open || in.count > 1)
        return CYG_OK;
    if (free_at < 0) {
        if (in.count == 0 && in.number != rest)
            return CYG_INFER_FAIL(
                s, "expected a shape of %lld elements (the input is %s), found %s",
                (long long)in.number, cyg_shape_str(s->g, x).s, cyg_shape_str(s->g, y).s);
        return CYG_OK;
    }
    if (in.count == 0 && (rest == 0 ? in.number != 0 : in.number % rest != 0))
        return CYG_INFER_FAIL(s, "%s does not divide into the shape %s", cyg_shape_str(s->g, x).s,
                              cyg_shape_str(s->g, y).s);
    if (in.count == 0)
        y->dims[free_at] = rest == 0 ? 0 : in.number / rest;
    else if (in.number == rest && rest != 0)
        y->dims[free_at] = in.symbols[0];
    return CYG_OK;
}

cyg_status cyg_shape_rule_reshape(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_ints want;
    if (!cyg_infer_ints(s, 1, &want))
        return cyg_infer_set_unknown(s, x.type);
    if (want.rank != 1 || want.count > CYG_MAX_RANK)
        return CYG_INFER_FAIL(s, "shape: expected a vector of at most %d, found %u elements",
                              CYG_MAX_RANK, want.count);
    const bool allow_zero = cyg_node_int(s->n, CYG_ATTR_allowzero, 0) != 0;
    cyg_shape y = {.type = x.type, .rank = (uint8_t)want.count};
    int minus_one = -1, open = -1, open_count = 0;
    for (int i = 0; i < y.rank; i++) {
        y.dims[i] = want.v[i];
        if (!want.known[i]) {
            open = i;
            open_count += want.v[i] == -1;
        } else if (want.v[i] == -1) {
            if (minus_one >= 0)
                return CYG_INFER_FAIL(s, "shape: -1 at positions %d and %d", minus_one, i);
            minus_one = i;
        } else if (want.v[i] == 0 && !allow_zero) {
            if (x.rank != CYG_RANK_UNKNOWN && i >= x.rank)
                return CYG_INFER_FAIL(s, "shape: 0 at position %d, but the input has rank %d", i,
                                      x.rank);
            y.dims[i] = x.rank == CYG_RANK_UNKNOWN ? -1 : x.dims[i];
            open_count += y.dims[i] == -1;
        } else if (want.v[i] < 0) {
            return CYG_INFER_FAIL(s, "shape: %lld at position %d", (long long)want.v[i], i);
        }
    }
    if (x.rank != CYG_RANK_UNKNOWN) {
        if (minus_one >= 0 || open_count == 0)
            CYG_DO(solve(s, &x, &y, minus_one));
        else if (open_count == 1 && open >= 0 && y.dims[open] == -1)
            CYG_DO(solve(s, &x, &y, open));
    }
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_flatten(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_shape y = {.type = x.type, .rank = 2, .dims = {-1, -1}};
    const int64_t axis = cyg_node_int(s->n, CYG_ATTR_axis, 1);
    if (x.rank != CYG_RANK_UNKNOWN) {
        if (axis < -(int64_t)x.rank || axis > x.rank)
            return CYG_INFER_FAIL(s, "expected an axis in [%d, %d], found %lld", -x.rank, x.rank,
                                  (long long)axis);
        const int at = (int)(axis < 0 ? axis + x.rank : axis);
        y.dims[0] = cyg_shape_product(&x, 0, at);
        y.dims[1] = cyg_shape_product(&x, at, x.rank);
    }
    return cyg_infer_set(s, 0, &y);
}

/* Marks the axes of a known axes input; false when the contents are not known. */
static cyg_status read_axes(cyg_infer *s, int rank, bool *marked, bool *out_known)
{
    cyg_ints axes;
    *out_known = cyg_infer_ints(s, 1, &axes) && cyg_ints_all_known(&axes);
    for (uint32_t i = 0; *out_known && i < axes.count; i++) {
        int axis;
        CYG_DO(cyg_infer_axis(s, axes.v[i], rank, &axis));
        if (marked[axis])
            return CYG_INFER_FAIL(s, "axis %d is named twice", axis);
        marked[axis] = true;
    }
    return CYG_OK;
}

cyg_status cyg_shape_rule_squeeze(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    bool marked[CYG_MAX_RANK] = {false}, known = false;
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (cyg_infer_in(s, 1) != NULL) {
        CYG_DO(read_axes(s, x.rank, marked, &known));
        if (!known)
            return cyg_infer_set_unknown(s, x.type);
    }
    cyg_shape y = {.type = x.type};
    for (int i = 0; i < x.rank; i++) {
        if (!known && x.dims[i] < 0)
            return cyg_infer_set_unknown(s, x.type);
        if (known && marked[i] && x.dims[i] >= 0 && x.dims[i] != 1)
            return CYG_INFER_FAIL(s, "axis %d: expected size 1, found %s", i,
                                  cyg_shape_str(s->g, &x).s);
        if (known ? !marked[i] : x.dims[i] != 1)
            y.dims[y.rank++] = x.dims[i];
    }
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_unsqueeze(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_ints axes;
    if (x.rank == CYG_RANK_UNKNOWN || !cyg_infer_ints(s, 1, &axes))
        return cyg_infer_set_unknown(s, x.type);
    if (axes.count + x.rank > CYG_MAX_RANK)
        return CYG_INFER_FAIL(s, "the result's rank %u is above %d", axes.count + x.rank,
                              CYG_MAX_RANK);
    cyg_shape y = {.type = x.type, .rank = (uint8_t)(x.rank + axes.count)};
    bool marked[CYG_MAX_RANK] = {false}, known;
    CYG_DO(read_axes(s, y.rank, marked, &known));
    for (int i = 0, from = 0; i < y.rank; i++)
        y.dims[i] = !known ? -1 : marked[i] ? 1 : x.dims[from++];
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_transpose(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    const int64_t *perm;
    const size_t count = cyg_node_ints(s->n, CYG_ATTR_perm, &perm);
    const bool stated = cyg_node_attr(s->n, CYG_ATTR_perm) != NULL;
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (stated && count != x.rank)
        return CYG_INFER_FAIL(s, "perm: expected %d axes, found %zu", x.rank, count);
    cyg_shape y = {.type = x.type, .rank = x.rank};
    bool taken[CYG_MAX_RANK] = {false};
    for (int i = 0; i < x.rank; i++) {
        const int64_t from = stated ? perm[i] : x.rank - 1 - i;
        if (from < 0 || from >= x.rank || taken[from])
            return CYG_INFER_FAIL(s, "perm: %lld at position %d", (long long)from, i);
        taken[from] = true;
        y.dims[i] = x.dims[from];
    }
    return cyg_infer_set(s, 0, &y);
}

/* The operand [B, C, H, W] and its block size, at most 2^15 so that its square is an int. */
static cyg_status read_blocks(cyg_infer *s, cyg_shape *out_x, int64_t *out_block)
{
    *out_x = cyg_infer_shape_in(s, 0);
    *out_block = cyg_node_int(s->n, CYG_ATTR_blocksize, 0);
    if (*out_block < 1 || *out_block > 1 << 15)
        return CYG_INFER_FAIL(s, "blocksize: %lld is out of range", (long long)*out_block);
    if (out_x->rank != 4 && out_x->rank != CYG_RANK_UNKNOWN)
        return CYG_INFER_FAIL(s, "expected rank 4, found %d", out_x->rank);
    return CYG_OK;
}

/* *dim times `by`; an unknown size stays unknown. */
static cyg_status grow(cyg_infer *s, int64_t by, int64_t *dim)
{
    if (*dim < 0)
        *dim = -1;
    else if (!cyg_mul_i64(*dim, by, dim))
        return CYG_INFER_FAIL(s, "a size times %lld overflows", (long long)by);
    return CYG_OK;
}
static cyg_status shrink(cyg_infer *s, int64_t by, int64_t *dim)
{
    if (*dim >= 0 && *dim % by != 0)
        return CYG_INFER_FAIL(s, "size %lld is no multiple of %lld", (long long)*dim,
                              (long long)by);
    *dim = *dim < 0 ? -1 : *dim / by;
    return CYG_OK;
}

cyg_status cyg_shape_rule_depth_to_space(cyg_infer *s)
{
    cyg_shape y;
    int64_t block;
    CYG_DO(read_blocks(s, &y, &block));
    const char *mode = cyg_node_string(s->n, CYG_ATTR_mode, "DCR");
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return CYG_INFER_FAIL(s, "mode: expected DCR or CRD, found %.40s", mode);
    if (y.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, y.type);
    CYG_DO(shrink(s, block * block, &y.dims[1]));
    CYG_DO(grow(s, block, &y.dims[2]));
    CYG_DO(grow(s, block, &y.dims[3]));
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_space_to_depth(cyg_infer *s)
{
    cyg_shape y;
    int64_t block;
    CYG_DO(read_blocks(s, &y, &block));
    if (y.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, y.type);
    CYG_DO(grow(s, block * block, &y.dims[1]));
    CYG_DO(shrink(s, block, &y.dims[2]));
    CYG_DO(shrink(s, block, &y.dims[3]));
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_shape(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_shape y = {.type = CYG_TYPE_S64, .rank = 1, .dims = {-1}};
    if (x.rank != CYG_RANK_UNKNOWN) {
        int64_t start = cyg_node_int(s->n, CYG_ATTR_start, 0);
        int64_t end = cyg_node_int(s->n, CYG_ATTR_end, x.rank);
        start = start < -x.rank ? 0 : start < 0 ? start + x.rank : start;
        end = end > x.rank ? x.rank : end < 0 ? end + x.rank : end;
        y.dims[0] = end > start ? end - start : 0;
    }
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_size(cyg_infer *s)
{
    const cyg_shape y = {.type = CYG_TYPE_S64, .rank = 0};
    return cyg_infer_set(s, 0, &y);
}

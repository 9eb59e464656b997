/* pad: constant, reflect (edge not repeated), edge, wrap; negative pads crop. An item is a line of
 * y: its last padded axis and all that lies behind it, of which each position is copied as one
 * piece.
 *
 * A source coordinate is reduced into x by its mode's rule; in constant mode a coordinate outside
 * gives the value (absent: zero bytes): one for all elements, or one for each position of the last
 * axis, as pictures with the channels last need where they hold pixels, whose zero is the mean. */
#include "kernels/move/strided.h"

enum { CONSTANT, REFLECT, EDGE, WRAP };

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 2, 1, 1);
    const cyg_kp_pad *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(p->mode >= CONSTANT && p->mode <= WRAP, "unknown mode");
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(y->type) && x->rank == y->rank,
                "x and y differ");
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t limit = (int64_t)1 << 40;
        CYG_REQUIRE(p->before[i] > -limit && p->before[i] < limit && p->after[i] > -limit &&
                        p->after[i] < limit &&
                        y->dims[i] == x->dims[i] + p->before[i] + p->after[i],
                    "y's shape is not x's with pads");
        CYG_REQUIRE(p->mode == CONSTANT || y->dims[i] == 0 || x->dims[i] > 0, "nothing to repeat");
    }
    if (cyg_has_in(call, 1))
        CYG_REQUIRE(cyg_type_bytes(call->in[1].type) == cyg_type_bytes(x->type) &&
                        (cyg_count_of(&call->in[1]) == 1 ||
                         (y->rank > 0 && cyg_count_of(&call->in[1]) == y->dims[y->rank - 1])),
                    "the value is neither one element of x's type nor one for each of the last "
                    "axis");
    return NULL;
}

/* The last axis with pads, or the first of all. */
static int32_t line_axis(const cyg_kcall *call)
{
    const cyg_kp_pad *p = call->params;
    int32_t axis = call->out[0].rank - 1;
    while (axis > 0 && p->before[axis] == 0 && p->after[axis] == 0)
        axis--;
    return axis;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kbuf *y = &call->out[0];
    return y->rank == 0 ? 1 : cyg_count_of(y) == 0 ? 0 : cyg_count_dims(y, 0, line_axis(call));
}

/* Coordinate of x for coordinate i of y minus before, -1 = the value. */
static int64_t source(int32_t mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    switch (mode) {
    case REFLECT: {
        if (n == 1)
            return 0;
        const int64_t period = 2 * (n - 1), r = (i % period + period) % period;
        return r < n ? r : period - r;
    }
    case EDGE:
        return i < 0 ? 0 : n - 1;
    case WRAP:
        return (i % n + n) % n;
    default:
        return -1;
    }
}

/* The value in elements [first, first + count) of a line. */
static void fill(const cyg_kcall *call, char *line, int64_t first, int64_t count)
{
    const bool given = cyg_has_in(call, 1);
    const int64_t size = cyg_type_bytes(call->out[0].type);
    const int64_t values = given ? cyg_count_of(&call->in[1]) : 1;
    const int64_t at = first % values, bytes = count * size;
    int64_t done = cyg_min64(values - at, count) * size;
    char *to = line + first * size;
    if (!given) {
        memset(to, 0, (size_t)bytes);
        return;
    }
    memcpy(to, (const char *)call->in[1].data + at * size, (size_t)done);
    while (done < bytes) { /* whole periods: a line of single elements has no second one */
        const int64_t n = cyg_min64(done, bytes - done);
        memcpy(to + done, to, (size_t)n);
        done += n;
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_pad *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t size = cyg_type_bytes(y->type);
    const int32_t axis = line_axis(call);
    if (y->rank == 0) {
        memcpy(y->data, x->data, (size_t)size);
        return;
    }
    const int64_t n = y->dims[axis], piece = cyg_count_dims(y, axis + 1, y->rank);
    int64_t strides[CYG_MAX_RANK] = {0};
    cyg_strides_of(x, strides);
    for (int64_t line = begin; line < end; line++) {
        int64_t rest = line, from = 0;
        bool outside = false;
        for (int32_t i = axis - 1; i >= 0; i--) {
            const int64_t at = source(p->mode, rest % y->dims[i] - p->before[i], x->dims[i]);
            rest /= y->dims[i];
            outside = outside || at < 0;
            from += at * strides[i];
        }
        const char *in = (const char *)x->data + (outside ? 0 : from) * size;
        char *to = (char *)y->data + line * n * piece * size;
        const int64_t shift = p->before[axis], width = x->dims[axis];
        for (int64_t i = 0, run; i < n; i += run) {
            const int64_t at = outside ? -1 : source(p->mode, i - shift, width);
            run = 1;
            if (at >= 0 && at == i - shift)
                run = cyg_min64(width - at, n - i);
            else if (at < 0)
                run = outside || i >= shift + width ? n - i : cyg_min64(shift - i, n - i);
            if (at >= 0)
                memcpy(to + i * piece * size, in + at * piece * size, (size_t)(run * piece * size));
            else
                fill(call, to, i * piece, run * piece);
        }
    }
}

const cyg_kop_info cyg_kop_info_pad = {
    .name = "pad", .params_size = sizeof(cyg_kp_pad), .check = check, .items = items, .run = run};

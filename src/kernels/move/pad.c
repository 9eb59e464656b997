/* pad: constant, reflect (edge not repeated), edge, wrap; negative pads crop. An item is a row of y
 * (its last axis).
 *
 * A source coordinate is reduced into x by its mode's rule; in constant mode a coordinate outside
 * gives the value (absent: zero bytes). */
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
                        cyg_count_of(&call->in[1]) == 1,
                    "the value is not one element of x's type");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    return cyg_rows_of(&call->out[0]);
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

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_pad *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t size = cyg_type_bytes(y->type), n = cyg_row_length(y);
    const int32_t last = y->rank - 1;
    int64_t strides[CYG_MAX_RANK] = {0};
    uint8_t value[8] = {0};
    cyg_strides_of(x, strides);
    if (cyg_has_in(call, 1))
        memcpy(value, call->in[1].data, (size_t)size);
    for (int64_t row = begin; row < end; row++) {
        int64_t rest = row, from = 0;
        bool outside = false;
        for (int32_t i = last - 1; i >= 0; i--) {
            const int64_t at = source(p->mode, rest % y->dims[i] - p->before[i], x->dims[i]);
            rest /= y->dims[i];
            outside = outside || at < 0;
            from += at * strides[i];
        }
        const char *in = (const char *)x->data + (outside ? 0 : from) * size;
        char *to = (char *)y->data + row * n * size;
        if (last < 0) {
            memcpy(to, x->data, (size_t)size);
            continue;
        }
        const int64_t shift = p->before[last], width = x->dims[last];
        int64_t i = 0;
        while (i < n) {
            const int64_t at = outside ? -1 : source(p->mode, i - shift, width);
            int64_t run = 1;
            if (at >= 0 && at == i - shift)
                run = cyg_min64(width - at, n - i);
            memcpy(to + i * size, at >= 0 ? (const void *)(in + at * size) : value,
                   (size_t)(run * size));
            i += run;
        }
    }
}

const cyg_kop_info cyg_kop_info_pad = {
    .name = "pad", .params_size = sizeof(cyg_kp_pad), .check = check, .items = items, .run = run};

/* nonzero: coordinates of the elements that are not zero, [rank, count], in row-major order of x.
 *
 * How many there are is data: shape inference has counted them. Should the buffer hold more or
 * fewer columns than there are elements, those beyond are left out and the missing ones are zero. A
 * NaN is not zero, minus zero is. One item: a running count has no parts. */
#include "kernels/number.h"

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(y->type == CYG_TYPE_S64 && y->rank == 2 && y->dims[0] == x->rank,
                "y is not s64 [rank, count]");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    (void)call;
    return 1;
}

static bool is_zero(const cyg_kbuf *x, int64_t i)
{
    return cyg_is_float_type(x->type) ? cyg_load_real(x->data, x->type, i) == 0.0
                                      : cyg_load_int(x->data, x->type, i) == 0;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t count = cyg_count_of(x), columns = y->dims[1];
    int64_t *to = y->data, found = 0, at[CYG_MAX_RANK] = {0};
    if (begin >= end)
        return;
    for (int64_t i = 0; i < count && found < columns; i++) {
        if (!is_zero(x, i)) {
            for (int32_t d = 0; d < x->rank; d++)
                to[d * columns + found] = at[d];
            found++;
        }
        for (int32_t d = x->rank - 1; d >= 0 && ++at[d] == x->dims[d]; d--)
            at[d] = 0;
    }
    for (int32_t d = 0; d < x->rank; d++)
        for (int64_t i = found; i < columns; i++)
            to[d * columns + i] = 0;
}

const cyg_kop_info cyg_kop_info_nonzero = {.name = "nonzero",
                                           .params_size = sizeof(cyg_kp_none),
                                           .check = check,
                                           .items = items,
                                           .run = run};

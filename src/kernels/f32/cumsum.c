/* f_cumsum: running sums along an axis, from either end, with or without the element itself.
 *
 * Floats of every width add in binary64 and each result is rounded once; integers add modulo 2^64
 * and narrow. An item is one line. */
#include "kernels/number.h"

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_cumsum *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == y->type && cyg_same_dims(x, y), "x and y differ");
    CYG_REQUIRE(x->type != CYG_TYPE_BOOL, "sums of bool");
    CYG_REQUIRE(p->axis >= 0 && p->axis < x->rank, "axis out of range");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_cumsum *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    return cyg_count_of(x) == 0
               ? 0
               : cyg_count_dims(x, 0, p->axis) * cyg_count_dims(x, p->axis + 1, x->rank);
}

static void sum_line(const cyg_kcall *call, int64_t at, int64_t step, int64_t n)
{
    const cyg_kp_cumsum *p = call->params;
    const int32_t type = call->in[0].type;
    const void *x = call->in[0].data;
    void *y = call->out[0].data;
    double real = 0;
    uint64_t whole = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = at + (p->reverse != 0 ? n - 1 - i : i) * step;
        const double before = real;
        const uint64_t before_whole = whole;
        if (cyg_is_float_type(type)) {
            real += cyg_load_real(x, type, k);
            cyg_store_real(y, type, k, p->exclusive != 0 ? before : real);
        } else {
            whole += (uint64_t)cyg_load_int(x, type, k);
            cyg_store_int(y, type, k, (int64_t)(p->exclusive != 0 ? before_whole : whole));
        }
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_cumsum *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    const int64_t inner = cyg_count_dims(x, p->axis + 1, x->rank), n = x->dims[p->axis];
    for (int64_t item = begin; item < end; item++)
        sum_line(call, item / inner * n * inner + item % inner, inner, n);
}

const cyg_kop_info cyg_kop_info_f_cumsum = {.name = "f_cumsum",
                                            .params_size = sizeof(cyg_kp_cumsum),
                                            .check = check,
                                            .items = items,
                                            .run = run};

/* scatter_nd: y = x, then y[index tuple] op= update, tuples in order (none: the last one wins).
 *
 * Updates may meet in one place, so the whole operator is a single item: it is rare and small.
 * A tuple outside y is skipped. */
#include "kernels/index.h"
#include "kernels/move/scatter.h"

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 3, 3, 1, 1);
    const cyg_kp_axis *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1], *updates = &call->in[2],
                   *y = &call->out[0];
    CYG_REQUIRE(p->axis >= CYG_SCATTER_NONE && p->axis <= CYG_SCATTER_MIN, "unknown reduction");
    CYG_REQUIRE(x->type == y->type && x->type == updates->type && cyg_same_dims(x, y),
                "x, updates and y differ");
    CYG_REQUIRE(cyg_is_index_type(index->type) && index->rank >= 1,
                "the index is not s32 or s64 tuples");
    const int64_t k = index->dims[index->rank - 1];
    CYG_REQUIRE(k >= 1 && k <= x->rank, "the index tuple is too long");
    CYG_REQUIRE(cyg_count_of(updates) == cyg_count_dims(index, 0, index->rank - 1) *
                                             cyg_count_dims(x, (int32_t)k, x->rank),
                "updates have a wrong size");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    (void)call;
    return 1;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_axis *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1], *y = &call->out[0];
    const int64_t k = index->dims[index->rank - 1],
                  tuples = cyg_count_dims(index, 0, index->rank - 1);
    const int64_t n = cyg_count_dims(x, (int32_t)k, x->rank);
    if (begin >= end)
        return;
    if (y->data != x->data && cyg_count_of(x) > 0)
        memcpy(y->data, x->data, (size_t)(cyg_count_of(x) * cyg_type_bytes(x->type)));
    for (int64_t t = 0; t < tuples && n > 0; t++) {
        int64_t at = 0;
        bool inside = true;
        for (int64_t i = 0; i < k; i++) {
            const int64_t v = cyg_index_wrap(cyg_index_at(index, t * k + i), x->dims[i]);
            inside = inside && v >= 0;
            at = inside ? at * x->dims[i] + v : 0;
        }
        if (inside)
            cyg_scatter_apply(p->axis, x->type, n, y->data, at * n, call->in[2].data, t * n);
    }
}

const cyg_kop_info cyg_kop_info_scatter_nd = {.name = "scatter_nd",
                                              .params_size = sizeof(cyg_kp_axis),
                                              .check = check,
                                              .items = items,
                                              .run = run};

/* scatter_elements: y = x, then for each position of index y[the position with index[position] on
 * the axis] op= updates[position], in row-major order (none: the last one wins).
 *
 * Updates may meet in one place, so the whole operator is a single item: it is rare and small. An
 * index outside is skipped. */
#include "kernels/index.h"
#include "kernels/move/scatter.h"

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 3, 3, 1, 1);
    const cyg_kp_scatter *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1], *updates = &call->in[2],
                   *y = &call->out[0];
    CYG_REQUIRE(p->reduction >= CYG_SCATTER_NONE && p->reduction <= CYG_SCATTER_MIN,
                "unknown reduction");
    CYG_REQUIRE(x->type == y->type && x->type == updates->type && cyg_same_dims(x, y),
                "x, updates and y differ");
    CYG_REQUIRE(cyg_is_index_type(index->type), "the index is not s32 or s64");
    CYG_REQUIRE(cyg_same_dims(index, updates) && index->rank == x->rank,
                "index and updates differ in shape");
    CYG_REQUIRE(p->axis >= 0 && p->axis < x->rank, "axis out of range");
    for (int32_t i = 0; i < x->rank; i++)
        CYG_REQUIRE(i == p->axis || index->dims[i] <= x->dims[i], "index is larger than x");
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
    const cyg_kp_scatter *p = call->params;
    const cyg_kbuf *x = &call->in[0], *index = &call->in[1], *y = &call->out[0];
    const int64_t count = cyg_count_of(index);
    int64_t strides[CYG_MAX_RANK], at_index[CYG_MAX_RANK] = {0};
    if (begin >= end)
        return;
    if (y->data != x->data && cyg_count_of(x) > 0)
        memcpy(y->data, x->data, (size_t)(cyg_count_of(x) * cyg_type_bytes(x->type)));
    cyg_strides_of(x, strides);
    for (int64_t k = 0; k < count; k++) {
        const int64_t v = cyg_index_wrap(cyg_index_at(index, k), x->dims[p->axis]);
        int64_t at = 0;
        for (int32_t i = 0; i < x->rank; i++)
            at += (i == p->axis ? v : at_index[i]) * strides[i];
        if (v >= 0)
            cyg_scatter_apply(p->reduction, x->type, 1, y->data, at, call->in[2].data, k);
        for (int32_t i = x->rank - 1; i >= 0 && ++at_index[i] == index->dims[i]; i--)
            at_index[i] = 0;
    }
}

const cyg_kop_info cyg_kop_info_scatter_elements = {.name = "scatter_elements",
                                                    .params_size = sizeof(cyg_kp_scatter),
                                                    .check = check,
                                                    .items = items,
                                                    .run = run};

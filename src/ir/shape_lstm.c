/* Shape rule of LSTM: Y [steps, directions, batch, hidden], Y_h and Y_c [directions, batch,
 * hidden]; with layout 1 the batch comes first everywhere. */
#include "ir/shape.h"

#include <string.h>

/* Operand i has rank 3 or an unknown one. */
static cyg_status expect_rank_3(cyg_infer *s, uint32_t i)
{
    const cyg_shape x = cyg_infer_shape_in(s, i);
    if (x.rank != 3 && x.rank != CYG_RANK_UNKNOWN)
        return CYG_INFER_FAIL(s, "input %u: expected rank 3, found %s", i,
                              cyg_shape_str(s->g, &x).s);
    return CYG_OK;
}

/* From R [directions, 4 hidden, hidden], from W, and from the attribute. */
static cyg_status hidden_size(cyg_infer *s, const cyg_shape *w, const cyg_shape *r, int64_t *out)
{
    *out = r->rank == 3 ? r->dims[2] : -1;
    const int64_t stated = cyg_node_int(s->n, CYG_ATTR_hidden_size, -1);
    CYG_DO(cyg_infer_same_dim(s, "hidden_size", *out, stated, out));
    for (const cyg_shape *m = w; m != NULL; m = m == w ? r : NULL)
        if (m->rank == 3 && m->dims[1] >= 0) {
            if (m->dims[1] % 4 != 0)
                return CYG_INFER_FAIL(s, "%lld rows are not four gates", (long long)m->dims[1]);
            CYG_DO(cyg_infer_same_dim(s, "hidden size", *out, m->dims[1] / 4, out));
        }
    return CYG_OK;
}

cyg_status cyg_shape_rule_lstm(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), w = cyg_infer_shape_in(s, 1),
                    r = cyg_infer_shape_in(s, 2);
    const char *direction = cyg_node_string(s->n, CYG_ATTR_direction, "forward");
    const bool first = cyg_node_int(s->n, CYG_ATTR_layout, 0) != 0;
    int64_t hidden, both, directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    for (uint32_t i = 0; i < 3; i++)
        CYG_DO(expect_rank_3(s, i));
    for (uint32_t i = 1; i < s->n->in_count; i++)
        if (i != 4)
            CYG_DO(cyg_infer_same_type(s, 0, i));
    CYG_DO(hidden_size(s, &w, &r, &hidden));
    if (w.rank == 3)
        CYG_DO(cyg_infer_same_dim(s, "directions of W", directions, w.dims[0], &directions));
    if (w.rank == 3 && x.rank == 3)
        CYG_DO(cyg_infer_same_dim(s, "inputs of W", x.dims[2], w.dims[2], &both));
    const int64_t steps = x.rank == 3 ? x.dims[first ? 1 : 0] : -1;
    const int64_t batch = x.rank == 3 ? x.dims[first ? 0 : 1] : -1;
    cyg_shape y = {.type = x.type, .rank = 4, .dims = {steps, directions, batch, hidden}};
    cyg_shape state = {.type = x.type, .rank = 3, .dims = {directions, batch, hidden}};
    if (first) {
        const int64_t dims[] = {batch, steps, directions, hidden};
        memcpy(y.dims, dims, sizeof dims);
        state.dims[0] = batch;
        state.dims[1] = directions;
    }
    CYG_DO(cyg_infer_set(s, 0, &y));
    CYG_DO(cyg_infer_set(s, 1, &state));
    return cyg_infer_set(s, 2, &state);
}

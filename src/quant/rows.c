/* The rows of rows.h: the first of each sample, where class tokens stand, the others spread evenly
 * over its tokens or output positions and shifted from sample to sample so that all are met. */
#include "quant/rows.h"

#include <string.h>

enum {
    MOST_ROWS = 1024, /* twice as many, in twice the budget, of 16-bit inputs */
    LEAST_ROWS = 64,
    BUDGET_BYTES = 64 << 20,
    SHIFT = 61, /* from sample to sample; coprime to the usual counts of tokens */
};

/* Positions of a sample at which a row can be taken, and a row's length. false: no rows here. */
static bool measure(const cyg_scheme *s, cyg_node_id id, int64_t *positions, int64_t *taps)
{
    const cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id);
    if (!s->integer[id.i] || (n->op != CYG_OP_linear && n->op != CYG_OP_conv2d))
        return false;
    const cyg_value *w = cyg_val(g, n->in[1]), *y = cyg_val(g, n->out[0]);
    if (w->dims[0] <= 0 || (n->op == CYG_OP_conv2d && cyg_node_int(n, CYG_ATTR_group, 1) != 1))
        return false;
    *taps = cyg_value_elements(w) / w->dims[0];
    *positions = cyg_value_elements(y) / w->dims[0];
    return *taps > 0 && *positions > 0;
}

/* Weights that meet 16-bit inputs make all of their layer's error: they are rounded with more care.
 */
static bool reads_wide(const cyg_scheme *s, cyg_node_id id)
{
    return cyg_quant_demand(s, cyg_nod(s->g, id), 0) == CYG_STORE_S16;
}

/* Rows of a sample for layers with 16-bit inputs, or for the others, which have all_taps taps. */
static int64_t rows_each(bool wide, int64_t all_taps, size_t samples)
{
    const int64_t most = wide ? 2 * MOST_ROWS : MOST_ROWS,
                  budget = wide ? 2 * BUDGET_BYTES : BUDGET_BYTES;
    int64_t wanted = all_taps > 0 ? budget / ((int64_t)sizeof(float) * all_taps) : most;
    wanted = wanted > most ? most : wanted < LEAST_ROWS ? LEAST_ROWS : wanted;
    return (wanted + (int64_t)samples - 1) / (int64_t)samples;
}

cyg_status cyg_quant_rows_prepare(cyg_scheme *s, size_t samples)
{
    const cyg_graph *g = s->g;
    int64_t positions, taps, all_taps[2] = {0};
    s->rows = cyg_arena_calloc(s->arena, (size_t)g->node_count + 1, sizeof *s->rows);
    s->row_reader = CYG_NEW_ARRAY(s->arena, cyg_node_id, g->value_count + 1);
    if (s->rows == NULL || s->row_reader == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t v = 0; v < g->value_count; v++)
        s->row_reader[v] = CYG_NO_NODE;
    for (uint32_t i = 0; i < g->order_count; i++)
        if (measure(s, g->order[i], &positions, &taps))
            all_taps[reads_wide(s, g->order[i])] += taps;
    const int64_t rows[2] = {rows_each(false, all_taps[0], samples),
                             rows_each(true, all_taps[1], samples)};
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node_id id = g->order[i];
        if (!measure(s, id, &positions, &taps))
            continue;
        const int64_t each = rows[reads_wide(s, id)];
        cyg_rows *r = &s->rows[id.i];
        const cyg_value_id x = cyg_nod(g, id)->in[0];
        *r = (cyg_rows){.taps = taps, .each = each < positions ? each : positions};
        r->room = r->each * (int64_t)samples;
        r->data = CYG_NEW_ARRAY(s->arena, float, r->room *taps);
        if (r->data == NULL)
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
        r->next = s->row_reader[x.i];
        s->row_reader[x.i] = id;
    }
    return CYG_OK;
}

static int64_t int_at(const cyg_node *n, cyg_attr_key key, size_t i, int64_t otherwise)
{
    const int64_t *data;
    return i < cyg_node_ints(n, key, &data) ? data[i] : otherwise;
}

/* The patch under output position `at` of [B, H', W'], zeros where it hangs over the edge. */
static void take_patch(const cyg_graph *g, const cyg_node *n, int64_t at, const cyg_kbuf *x,
                       float *row)
{
    const cyg_value *w = cyg_val(g, n->in[1]), *y = cyg_val(g, n->out[0]);
    const bool nchw = cyg_node_int(n, CYG_ATTR_x_nchw, 0) != 0;
    const int64_t height = x->dims[nchw ? 2 : 1], width = x->dims[nchw ? 3 : 2],
                  channels = w->dims[3];
    const int64_t batch = at / (y->dims[1] * y->dims[2]), oh = at / y->dims[2] % y->dims[1],
                  ow = at % y->dims[2];
    const float *data = x->data;
    for (int64_t kh = 0; kh < w->dims[1]; kh++)
        for (int64_t kw = 0; kw < w->dims[2]; kw++) {
            const int64_t h = oh * int_at(n, CYG_ATTR_strides, 0, 1) +
                              kh * int_at(n, CYG_ATTR_dilations, 0, 1) -
                              int_at(n, CYG_ATTR_pads, 0, 0);
            const int64_t c0 = ow * int_at(n, CYG_ATTR_strides, 1, 1) +
                               kw * int_at(n, CYG_ATTR_dilations, 1, 1) -
                               int_at(n, CYG_ATTR_pads, 1, 0);
            const bool inside = h >= 0 && h < height && c0 >= 0 && c0 < width;
            for (int64_t c = 0; c < channels; c++) {
                const int64_t from = nchw ? ((batch * channels + c) * height + h) * width + c0
                                          : ((batch * height + h) * width + c0) * channels + c;
                *row++ = inside ? data[from] : 0.0f;
            }
        }
}

static void take_rows(const cyg_graph *g, const cyg_node *n, cyg_rows *r, size_t sample,
                      const cyg_kbuf *x)
{
    const int64_t positions =
        cyg_value_elements(cyg_val(g, n->out[0])) / cyg_val(g, n->in[1])->dims[0];
    for (int64_t k = 0; k < r->each && r->count < r->room; k++) {
        const int64_t at = k == 0 || r->each == positions /* all of them */
                               ? k
                               : (k * positions / r->each + (int64_t)sample * SHIFT) % positions;
        float *row = r->data + r->count++ * r->taps;
        if (n->op == CYG_OP_conv2d)
            take_patch(g, n, at, x, row);
        else
            memcpy(row, (const float *)x->data + at * r->taps, (size_t)r->taps * sizeof *row);
    }
}

void cyg_quant_rows_take(cyg_scheme *s, size_t sample, cyg_value_id v, const cyg_kbuf *x)
{
    for (cyg_node_id id = s->row_reader[v.i]; !cyg_node_is_none(id); id = s->rows[id.i].next)
        take_rows(s->g, cyg_nod(s->g, id), &s->rows[id.i], sample, x);
}

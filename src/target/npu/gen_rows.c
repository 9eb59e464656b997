/* Steps of rows: layernorm and softmax (a tile is some rows), reduce (some outputs), all on TENG.
 */
#include <string.h>

#include "target/npu/matrix.h"

static int64_t parts(int64_t all, int64_t each)
{
    return all / each + (all % each != 0);
}

/* Rows of a tile: enough tiles to keep every TENG busy and its neighbours waiting only shortly, few
 * enough that starting costs little; within the room. */
int64_t cyg_npu_teng_rows(const cyg_npu_gen *g, cyg_npu_op op, int64_t rows, int64_t columns,
                          int32_t x_type, int32_t y_type, int64_t streamed_row_bytes)
{
    const int64_t tengs = cyg_npu_engines(g, CYG_NPU_TENG);
    int64_t best = 1;
    double best_cycles = -1;
    for (int64_t n = 1; n <= rows; n = n < 8 ? n + 1 : n + n / 8) {
        const int64_t tile = parts(rows, n), count = parts(rows, tile);
        const cyg_npu_view views[] = {cyg_npu_rows(x_type, tile, columns, columns, 0),
                                      cyg_npu_rows(y_type, tile, columns, columns, 0)};
        const double one = (double)(cyg_npu_price(g, op, views, 1, 1, NULL, 0) + CYG_NPU_TILE_TOLL);
        const double all = one * (double)parts(count, tengs),
                     cycles = all + one + all / (double)count;
        if (2 * tile * streamed_row_bytes > cyg_npu_room(g) && tile > 1)
            continue;
        if (best_cycles < 0 || cycles < best_cycles) {
            best = tile;
            best_cycles = cycles;
        }
    }
    return cyg_npu_tighten(g, best);
}

static int64_t streamed_bytes(const cyg_npu_gen *g, uint32_t tensor, int64_t columns)
{
    return cyg_npu_is_streamed(g, tensor)
               ? columns * cyg_npu_type_bytes(cyg_npu_tensor(g, tensor)->type)
               : 0;
}

static cyg_status constants(cyg_npu_gen *g, const cyg_step *s, uint32_t first, uint32_t count,
                            cyg_npu_piece *pieces, uint32_t *out_buffer)
{
    uint32_t stored;
    for (uint32_t i = 0; i < count; i++) {
        const cyg_tensor *t = &g->p->tensors[cyg_npu_owner(g->p, s->in[first + i])];
        pieces[i] = (cyg_npu_piece){.data = t->data, .bytes = cyg_tensor_bytes(t)};
    }
    CYG_DO(cyg_npu_store_pieces(g, pieces, count, s->name, &stored));
    return cyg_npu_load_stored(g, stored, out_buffer);
}

cyg_status cyg_npu_gen_layernorm(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_kp_ilayernorm *p = s->params;
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const int64_t c = p->channels, rows = cyg_tensor_elements(x) / c;
    cyg_npu_piece pieces[2];
    uint32_t blob;
    CYG_DO(constants(g, s, 1, 2, pieces, &blob));
    const int64_t step =
        cyg_npu_teng_rows(g, CYG_NPU_OP_TENG_LAYERNORM, rows, c, x->type, y->type,
                          streamed_bytes(g, s->in[0], c) + streamed_bytes(g, s->out[0], c));
    const cyg_npu_view gamma = cyg_npu_dense(CYG_TYPE_F32, 1, &c, pieces[0].offset),
                       beta = cyg_npu_dense(CYG_TYPE_F32, 1, &c, pieces[1].offset);
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t n = rows - row < step ? rows - row : step;
        const cyg_npu_view in = cyg_npu_rows(x->type, n, c, c, row * c),
                           out = cyg_npu_rows(y->type, n, c, c, row * c);
        cyg_npu_call call;
        cyg_npu_call_begin(&call, g);
        cyg_npu_call_in(&call, s->in[0], &in);
        cyg_npu_call_in_buffer(&call, blob, &gamma);
        cyg_npu_call_in_buffer(&call, blob, &beta);
        cyg_npu_call_out(&call, s->out[0], &out);
        CYG_DO(cyg_npu_call_end(&call, CYG_NPU_OP_TENG_LAYERNORM, p, sizeof *p));
    }
    return CYG_OK;
}

cyg_status cyg_npu_gen_softmax(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const int64_t c = x->dims[x->rank - 1], rows = cyg_tensor_elements(x) / c;
    const int64_t step =
        cyg_npu_teng_rows(g, CYG_NPU_OP_TENG_SOFTMAX, rows, c, x->type, y->type,
                          streamed_bytes(g, s->in[0], c) + streamed_bytes(g, s->out[0], c));
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t n = rows - row < step ? rows - row : step;
        const cyg_npu_view in = cyg_npu_rows(x->type, n, c, c, row * c),
                           out = cyg_npu_rows(y->type, n, c, c, row * c);
        cyg_npu_call call;
        cyg_npu_call_begin(&call, g);
        cyg_npu_call_in(&call, s->in[0], &in);
        cyg_npu_call_out(&call, s->out[0], &out);
        CYG_DO(cyg_npu_call_end(&call, CYG_NPU_OP_TENG_SOFTMAX, s->params, s->params_size));
    }
    return CYG_OK;
}

/* x [outer, n, inner]: the tile of positions [first, first + count) of outer and of inner. Both
 * operators' blocks begin with the three. */
static cyg_status reduce_tile(cyg_npu_gen *g, const cyg_step *s, cyg_npu_op op,
                              const int64_t *whole, const int64_t *first, const int64_t *count)
{
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const int64_t from = first[0] * whole[1] * whole[2] + first[1],
                  to = first[0] * whole[2] + first[1];
    int64_t *cut = cyg_arena_memdup(g->arena, s->params, s->params_size);
    if (cut == NULL)
        return cyg_npu_gen_nomem(g);
    cut[0] = count[0];
    cut[2] = count[1];
    cyg_npu_view in =
        cyg_npu_dense(x->type, 3, whole, (uint64_t)(from * cyg_npu_type_bytes(x->type)));
    cyg_npu_view out = cyg_npu_dense(y->type, 2, (const int64_t[]){whole[0], whole[2]},
                                     (uint64_t)(to * cyg_npu_type_bytes(y->type)));
    in.dims[0] = out.dims[0] = count[0];
    in.dims[2] = out.dims[1] = count[1];
    cyg_npu_call call;
    cyg_npu_call_begin(&call, g);
    cyg_npu_call_in(&call, s->in[0], &in);
    cyg_npu_call_out(&call, s->out[0], &out);
    return cyg_npu_call_end(&call, op, cut, s->params_size);
}

/* Tiles are runs of outer; or of inner, in each position of outer, where there is one position only
 * or one is too much for the room. */
static cyg_status reduce(cyg_npu_gen *g, const cyg_step *s, cyg_npu_op op)
{
    int64_t whole[3];
    memcpy(whole, s->params, sizeof whole);
    const int64_t outer = whole[0], inner = whole[2], slice = whole[1] * inner;
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const bool by_outer =
        outer > 1 && (inner == 1 || 2 * streamed_bytes(g, s->in[0], slice) <= cyg_npu_room(g));
    const int64_t units = by_outer ? outer : inner, unit = by_outer ? slice : whole[1];
    const int64_t step =
        cyg_npu_teng_rows(g, op, units, unit, x->type, y->type, streamed_bytes(g, s->in[0], unit));
    for (int64_t o = 0; o < (by_outer ? 1 : outer); o++)
        for (int64_t at = 0; at < units; at += step) {
            const int64_t n = units - at < step ? units - at : step;
            const int64_t first[] = {by_outer ? at : o, by_outer ? 0 : at},
                          count[] = {by_outer ? n : 1, by_outer ? inner : n};
            CYG_DO(reduce_tile(g, s, op, whole, first, count));
        }
    return CYG_OK;
}

cyg_status cyg_npu_gen_reduce(cyg_npu_gen *g, const cyg_step *s)
{
    return reduce(g, s, CYG_NPU_OP_TENG_REDUCE);
}

cyg_status cyg_npu_gen_extreme(cyg_npu_gen *g, const cyg_step *s)
{
    return reduce(g, s, CYG_NPU_OP_TENG_EXTREME);
}

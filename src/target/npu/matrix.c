/* Matrix steps: plans, weights, the split between CONV and TENG; see matrix.h. */
#include "target/npu/matrix.h"

#include <math.h>
#include <string.h>

int64_t cyg_npu_price(const cyg_npu_gen *g, cyg_npu_op op, const cyg_npu_view *operands,
                      uint32_t in_count, uint32_t out_count, const void *params, size_t params_size)
{
    cyg_npu_instr instr = {.op = (uint16_t)op,
                           .in_count = (uint16_t)in_count,
                           .out_count = (uint16_t)out_count,
                           .operands = operands,
                           .params = params,
                           .params_size = (uint32_t)params_size};
    const cyg_npu_op_info *info = cyg_npu_op_info_of(op);
    for (uint32_t e = 0; e < cyg_npu_engine_count(g->m); e++)
        if (cyg_npu_engine_at(g->m, e).kind == info->engine) {
            instr.engine = (uint16_t)e;
            break;
        }
    const cyg_npu_cost cost = cyg_npu_cost_of(g->m, &instr);
    return cyg_npu_alone(g->m, &cost);
}

static bool conv_can(int32_t act)
{
    return act == CYG_ACT_NONE || act == CYG_ACT_RELU || act == CYG_ACT_CLIP;
}

cyg_status cyg_npu_matrix_open(cyg_npu_matrix *x, cyg_npu_gen *g, const cyg_step *s,
                               const cyg_kp_ilinear *out)
{
    const cyg_tensor *w = cyg_npu_tensor(g, s->in[CYG_NPU_W]);
    const int32_t x_type = cyg_npu_tensor(g, s->in[CYG_NPU_X])->type;
    *x = (cyg_npu_matrix){.gen = g, .step = s, .out = out, .n = w->dims[0]};
    x->depth = cyg_tensor_elements(w) / x->n;
    x->rows = cyg_tensor_elements(cyg_npu_tensor(g, s->out[0])) / x->n;
    x->wide = x_type == CYG_TYPE_S16 || x_type == CYG_TYPE_U16;
    x->residual = s->in_count > CYG_NPU_RESIDUAL ? s->in[CYG_NPU_RESIDUAL] : CYG_NO_TENSOR;
    x->needs_teng = x->residual != CYG_NO_TENSOR || !conv_can(out->act);
    x->conv = x->act = *out;
    if (x->needs_teng)
        x->conv.act = CYG_ACT_NONE; /* g itself, with an f32 y */
    return CYG_OK;
}

/* ---- plans
 * ------------------------------------------------------------------------------------------------------
 */

static int64_t blob_bytes(const cyg_npu_matrix *x, int64_t columns)
{
    const bool high = x->step->in_count > CYG_NPU_W_HIGH;
    return (columns * x->depth + 63) / 64 * 64 * (high ? 2 : 1) +
           (columns * (x->wide ? 8 : 4) + 63) / 64 * 64 + (columns * 4 + 63) / 64 * 64;
}

static int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

typedef struct verdict {
    double cycles;
    bool fits, columns_outer, again;
} verdict;

/* Cycles of the step with these tiles: its busiest resource, and the time in which a neighbour has
 * nothing to do yet, which is about one row tile's. */
static verdict judge(const cyg_npu_matrix *x, const cyg_npu_choice *c)
{
    cyg_npu_gen *g = x->gen;
    const int64_t room = cyg_npu_room(g), weights = blob_bytes(x, x->n);
    const int64_t column = blob_bytes(x, c->column_tile < x->n ? c->column_tile : x->n);
    const int64_t count = c->row_tiles * c->column_tiles;
    const int64_t tiles = 2 * c->tile_bytes;
    verdict v = {0};
    int64_t ddr = weights + c->stream_bytes, need;
    if (c->row_tiles == 1 || !cyg_npu_stays(g, weights)) {
        v.columns_outer = true;
        need = tiles + 2 * column;
        ddr += c->again_bytes * (c->column_tiles - 1);
        if (c->again_bytes > 0 && c->column_tiles > 1 && weights + tiles <= room) {
            v.columns_outer = false; /* all weights stay, x passes once */
            need = tiles + weights;
            ddr = weights + c->stream_bytes;
        } else if (c->again_bytes * (c->column_tiles - 1) > weights * (c->row_tiles - 1)) {
            v.columns_outer = false;
            v.again = true;
            ddr = weights * c->row_tiles + c->stream_bytes;
        }
    } else {
        need = tiles + weights;
    }
    const int64_t convs = cyg_npu_engines(g, CYG_NPU_CONV),
                  tengs = cyg_npu_engines(g, CYG_NPU_TENG);
    const int64_t conv_one = c->conv_cycles + CYG_NPU_TILE_TOLL,
                  teng_one = c->teng_cycles > 0 ? c->teng_cycles + CYG_NPU_TILE_TOLL : 0;
    const double conv = (double)(up(count, convs) * conv_one),
                 teng = (double)(up(count, tengs) * teng_one), move = (double)ddr / g->m->ddr_bytes;
    const double most = fmax(conv, fmax(teng, move));
    v.cycles = most + 0.1 * (conv + teng) +
               (conv + teng) / (double)(v.columns_outer ? count : c->row_tiles) +
               (double)(conv_one + teng_one);
    v.fits = need <= room;
    return v;
}

/* Tile sizes to try: 1, 2, 3, .. parts, growing by about an eighth. */
static int64_t next_parts(int64_t parts)
{
    return parts < 8 ? parts + 1 : parts + parts / 8;
}

/* The best of the choices so far: what fits goes before what does not, then fewer cycles. */
typedef struct pick {
    bool any;
    verdict v;
    int64_t row_tile, column_tile;
} pick;

static void take_better(pick *p, const cyg_npu_choice *c, const verdict *v)
{
    if (p->any && ((p->v.fits && !v->fits) || (p->v.fits == v->fits && v->cycles >= p->v.cycles)))
        return;
    *p = (pick){true, *v, c->row_tile, c->column_tile};
}

static void search(const cyg_npu_matrix *x, int64_t rows, int64_t row_unit, int64_t column_unit,
                   cyg_npu_evaluate evaluate, void *user, pick *best, pick *alike)
{
    const cyg_npu_gen *g = x->gen;
    const int64_t row_units = up(rows, row_unit), column_units = up(x->n, column_unit);
    int64_t last_row = 0;
    for (int64_t r = 1; r <= row_units; r = next_parts(r)) {
        const int64_t row_tile = cyg_npu_tighten(g, up(row_units, r)) * row_unit;
        if (row_tile == last_row)
            continue;
        last_row = row_tile;
        int64_t last_column = 0;
        for (int64_t k = 1; k <= column_units; k = next_parts(k)) {
            const int64_t column_tile = cyg_npu_tighten(g, up(column_units, k)) * column_unit;
            if (column_tile == last_column)
                continue;
            last_column = column_tile;
            cyg_npu_choice c = {.row_tile = row_tile, .column_tile = column_tile};
            c.row_tiles = up(rows, row_tile);
            c.column_tiles = up(x->n, column_tile);
            evaluate(x, user, &c);
            const verdict v = judge(x, &c);
            take_better(best, &c, &v);
            if (column_tile == cyg_npu_cut_like(g))
                take_better(alike, &c, &v);
        }
    }
}

cyg_status cyg_npu_matrix_plan(cyg_npu_matrix *x, int64_t rows, int64_t row_unit,
                               int64_t column_unit, int64_t column_least, cyg_npu_evaluate evaluate,
                               void *user)
{
    cyg_npu_gen *g = x->gen;
    pick best = {.any = false}, alike = best;
    for (int64_t unit = column_unit;; unit = unit / column_least / 2 * column_least) {
        best = alike = (pick){.any = false};
        search(x, rows, row_unit, unit, evaluate, user, &best, &alike);
        if ((best.any && best.v.fits) || unit / column_least < 2)
            break;
    }
    if (alike.any && alike.v.fits && alike.v.cycles <= CYG_NPU_ALIKE * best.v.cycles)
        best = alike;
    if (!best.any || !best.v.fits) /* the smallest there is; the schedule says whether that fits */
        best = (pick){true, {.columns_outer = true}, row_unit, column_least};
    x->row_tile = best.row_tile;
    x->column_tile = best.column_tile;
    x->columns_outer = best.v.columns_outer;
    x->again = best.v.again;
    cyg_npu_tell_cut(g, x->column_tile);
    x->column_count = (uint32_t)up(x->n, x->column_tile);
    x->stored = CYG_NEW_ARRAY(g->arena, uint32_t, x->column_count);
    x->loaded = CYG_NEW_ARRAY(g->arena, uint32_t, x->column_count);
    if (x->stored == NULL || x->loaded == NULL)
        return cyg_npu_gen_nomem(g);
    memset(x->stored, 0xff, sizeof(uint32_t) * x->column_count);
    memset(x->loaded, 0xff, sizeof(uint32_t) * x->column_count);
    return CYG_OK;
}

/* ---- weights
 * -------------------------------------------------------------------------------------------------------
 */

static cyg_npu_piece piece(const cyg_npu_matrix *x, uint32_t operand, int64_t first, int64_t count,
                           int64_t each)
{
    const cyg_tensor *t = &x->gen->p->tensors[cyg_npu_owner(x->gen->p, x->step->in[operand])];
    return (cyg_npu_piece){.data = (const uint8_t *)t->data + first * each,
                           .bytes = (uint64_t)(count * each)};
}

/* Column tile `at` in the OCM. */
static cyg_status weights_of(cyg_npu_matrix *x, uint32_t at, uint32_t *out_buffer)
{
    const int64_t first = at * x->column_tile;
    const int64_t count = x->n - first < x->column_tile ? x->n - first : x->column_tile;
    if (x->stored[at] == CYG_NPU_NO_BUFFER) {
        cyg_npu_piece pieces[4] = {
            piece(x, CYG_NPU_W, first, count, x->depth),
            piece(x, CYG_NPU_BIAS, first, count, x->wide ? 8 : 4),
            piece(x, CYG_NPU_M, first, count, 4),
        };
        uint32_t n = 3;
        if (x->step->in_count > CYG_NPU_W_HIGH)
            pieces[n++] = piece(x, CYG_NPU_W_HIGH, first, count, x->depth);
        CYG_DO(cyg_npu_store_pieces(x->gen, pieces, n, x->step->name, &x->stored[at]));
    }
    if (x->loaded[at] == CYG_NPU_NO_BUFFER || x->again)
        CYG_DO(cyg_npu_load_stored(x->gen, x->stored[at], &x->loaded[at]));
    *out_buffer = x->loaded[at];
    return CYG_OK;
}

static int64_t aligned(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

void cyg_npu_matrix_weights(const cyg_npu_matrix *x, cyg_npu_call *c, uint32_t weights,
                            int64_t columns, int rank, const int64_t *dims)
{
    const cyg_npu_view w = cyg_npu_dense(CYG_TYPE_S8, rank, dims, 0);
    const int64_t bias_at = aligned(columns * x->depth),
                  m_at = bias_at + aligned(columns * (x->wide ? 8 : 4));
    const cyg_npu_view bias =
        cyg_npu_dense(x->wide ? CYG_TYPE_S64 : CYG_TYPE_S32, 1, &columns, (uint64_t)bias_at);
    const cyg_npu_view m = cyg_npu_dense(CYG_TYPE_F32, 1, &columns, (uint64_t)m_at);
    cyg_npu_call_in_buffer(c, weights, &w);
    cyg_npu_call_in_buffer(c, weights, &bias);
    cyg_npu_call_in_buffer(c, weights, &m);
}

void cyg_npu_matrix_high(const cyg_npu_matrix *x, cyg_npu_call *c, uint32_t weights, int rank,
                         const int64_t *dims)
{
    if (x->step->in_count <= CYG_NPU_W_HIGH)
        return;
    const int64_t columns = dims[0];
    const int64_t at =
        aligned(columns * x->depth) + aligned(columns * (x->wide ? 8 : 4)) + aligned(columns * 4);
    const cyg_npu_view high = cyg_npu_dense(CYG_TYPE_S8, rank, dims, (uint64_t)at);
    cyg_npu_call_absent(c); /* the residual is TENG's */
    cyg_npu_call_in_buffer(c, weights, &high);
}

/* ---- tiles
 * --------------------------------------------------------------------------------------------------------
 */

/* Rows of the tile that begins at `row`. */
static int64_t tile_rows(const cyg_npu_matrix *x, int64_t rows, int64_t row)
{
    int64_t n = x->row_tile;
    if (x->block > 0 && n > x->block)
        n -= n % x->block;
    else if (x->block > 0 && n > x->block - row % x->block)
        n = x->block - row % x->block;
    return n < rows - row ? n : rows - row;
}

static cyg_status one_tile(cyg_npu_matrix *x, int64_t rows, int64_t row, uint32_t column,
                           cyg_npu_matrix_tile tile, void *user)
{
    const int64_t first = column * x->column_tile, n = tile_rows(x, rows, row);
    const int64_t columns = x->n - first < x->column_tile ? x->n - first : x->column_tile;
    uint32_t weights;
    CYG_DO(weights_of(x, column, &weights));
    return tile(x, user, row, n, first, columns, weights);
}

cyg_status cyg_npu_matrix_run(cyg_npu_matrix *x, int64_t rows, cyg_npu_matrix_tile tile, void *user)
{
    if (x->columns_outer) {
        for (uint32_t c = 0; c < x->column_count; c++)
            for (int64_t row = 0; row < rows; row += tile_rows(x, rows, row))
                CYG_DO(one_tile(x, rows, row, c, tile, user));
        return CYG_OK;
    }
    for (int64_t row = 0; row < rows; row += tile_rows(x, rows, row))
        for (uint32_t c = 0; c < x->column_count; c++)
            CYG_DO(one_tile(x, rows, row, c, tile, user));
    return CYG_OK;
}

cyg_status cyg_npu_matrix_finish(cyg_npu_matrix *x, cyg_npu_call *c, cyg_npu_op op,
                                 const void *params, size_t params_size, const cyg_npu_view *y,
                                 const cyg_npu_view *r)
{
    cyg_npu_gen *g = x->gen;
    if (!x->needs_teng) {
        cyg_npu_call_out(c, x->step->out[0], y);
        return cyg_npu_call_end(c, op, params, params_size);
    }
    const cyg_npu_view sums = cyg_npu_dense(CYG_TYPE_F32, y->rank, y->dims, 0);
    const uint32_t tile = cyg_npu_new_tile(g, cyg_npu_view_bytes(&sums),
                                           (uint64_t)y->dims[y->rank - 1] * 4, x->step->name);
    if (tile == CYG_NPU_NO_BUFFER)
        return cyg_npu_gen_nomem(g);
    cyg_npu_call_out_buffer(c, tile, &sums);
    CYG_DO(cyg_npu_call_end(c, op, params, params_size));
    cyg_npu_call act;
    cyg_npu_call_begin(&act, g);
    cyg_npu_call_in_buffer(&act, tile, &sums);
    if (r->rank > 0)
        cyg_npu_call_in(&act, x->residual, r);
    cyg_npu_call_out(&act, x->step->out[0], y);
    return cyg_npu_call_end(&act, CYG_NPU_OP_TENG_ACT, &x->act, sizeof x->act);
}

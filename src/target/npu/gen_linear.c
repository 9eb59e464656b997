/* linear: row tiles times column tiles. A pointwise convolution is one, too (gen_conv2d.c). */
#include "target/npu/gen_matrix_steps.h"

typedef struct linear {
    int32_t x_type, y_type, r_type;
    int64_t k, r_rows; /* rows of the residual, 0 = none */
} linear;

static void evaluate(const cyg_npu_matrix *x, void *user, cyg_npu_choice *c)
{
    const linear *l = user;
    const cyg_npu_gen *g = x->gen;
    const int64_t rows = c->row_tile, columns = c->column_tile;
    const int64_t x_tile = rows * l->k * cyg_npu_type_bytes(l->x_type),
                  y_tile = rows * columns * cyg_npu_type_bytes(l->y_type);
    const cyg_npu_view views[] = {
        cyg_npu_rows(l->x_type, rows, l->k, l->k, 0),
        cyg_npu_rows(CYG_TYPE_S8, columns, l->k, l->k, 0),
        cyg_npu_rows(CYG_TYPE_S32, 1, columns, columns, 0),
        cyg_npu_rows(CYG_TYPE_F32, 1, columns, columns, 0),
        cyg_npu_rows(x->needs_teng ? CYG_TYPE_F32 : l->y_type, rows, columns, columns, 0),
    };
    c->conv_cycles = cyg_npu_price(g, CYG_NPU_OP_CONV_LINEAR, views, 4, 1, NULL, 0);
    if (x->needs_teng) {
        const cyg_npu_view act[] = {views[4], cyg_npu_rows(l->y_type, rows, columns, columns, 0)};
        c->teng_cycles = cyg_npu_price(g, CYG_NPU_OP_TENG_ACT, act, 1, 1, &x->act, sizeof x->act);
        c->tile_bytes += rows * columns * 4;
    }
    if (cyg_npu_is_streamed(g, x->step->in[CYG_NPU_X])) {
        c->tile_bytes += x_tile;
        c->again_bytes = x->rows * l->k * cyg_npu_type_bytes(l->x_type);
        c->stream_bytes += c->again_bytes;
    }
    if (cyg_npu_is_streamed(g, x->step->out[0]))
        c->tile_bytes += y_tile;
    if (x->residual != CYG_NO_TENSOR && cyg_npu_is_streamed(g, x->residual))
        c->tile_bytes += rows * columns * cyg_npu_type_bytes(l->r_type);
}

cyg_npu_view cyg_npu_residual_rows(const cyg_npu_matrix *x, int64_t row, int64_t rows,
                                   int64_t column, int64_t columns)
{
    if (x->residual == CYG_NO_TENSOR)
        return (cyg_npu_view){0};
    const cyg_tensor *r = cyg_npu_tensor(x->gen, x->residual);
    const int64_t r_rows = cyg_tensor_elements(r) / x->n;
    const int64_t n = r_rows < rows ? r_rows : rows;
    return cyg_npu_rows(r->type, n, columns, x->n, row % r_rows * x->n + column);
}

static cyg_status tile(cyg_npu_matrix *x, void *user, int64_t row, int64_t rows, int64_t column,
                       int64_t columns, uint32_t weights)
{
    const linear *l = user;
    const cyg_step *s = x->step;
    const cyg_npu_view in = cyg_npu_rows(l->x_type, rows, l->k, l->k, row * l->k);
    const cyg_npu_view out = cyg_npu_rows(l->y_type, rows, columns, x->n, row * x->n + column);
    const cyg_npu_view r = cyg_npu_residual_rows(x, row, rows, column, columns);
    const int64_t w[] = {columns, l->k};
    cyg_npu_call c;
    cyg_npu_call_begin(&c, x->gen);
    cyg_npu_call_in(&c, s->in[CYG_NPU_X], &in);
    cyg_npu_matrix_weights(x, &c, weights, columns, 2, w);
    cyg_npu_matrix_high(x, &c, weights, 2, w);
    return cyg_npu_matrix_finish(x, &c, CYG_NPU_OP_CONV_LINEAR, &x->conv, sizeof x->conv, &out, &r);
}

cyg_status cyg_npu_gen_rows_times_weights(cyg_npu_gen *g, const cyg_step *s,
                                          const cyg_kp_ilinear *p)
{
    cyg_npu_matrix x;
    CYG_DO(cyg_npu_matrix_open(&x, g, s, p));
    linear l = {.x_type = cyg_npu_tensor(g, s->in[CYG_NPU_X])->type,
                .y_type = cyg_npu_tensor(g, s->out[0])->type,
                .k = x.depth};
    if (x.residual != CYG_NO_TENSOR) {
        l.r_type = cyg_npu_tensor(g, x.residual)->type;
        l.r_rows = cyg_tensor_elements(cyg_npu_tensor(g, x.residual)) / x.n;
        x.block = l.r_rows > 1 && l.r_rows < x.rows ? l.r_rows : 0;
    }
    CYG_DO(cyg_npu_matrix_plan(&x, x.rows, 1, g->m->conv_out, 1, evaluate, &l));
    return cyg_npu_matrix_run(&x, x.rows, tile, &l);
}

cyg_status cyg_npu_gen_linear(cyg_npu_gen *g, const cyg_step *s)
{
    return cyg_npu_gen_rows_times_weights(g, s, s->params);
}

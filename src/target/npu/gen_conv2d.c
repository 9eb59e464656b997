/* conv2d: bands of output rows (of one picture, or whole pictures) times output channels. A band
 * reads its rows of x with the halo above and below; what lies outside the picture stays padding,
 * so only the pads of the parameter block differ from the step's. Grouped and depthwise
 * convolutions are cut between groups. */
#include "target/npu/gen_matrix_steps.h"

typedef struct conv {
    const cyg_kp_iconv2d *p;
    int32_t x_type, y_type, r_type;
    int64_t batch, in_h, in_w, in_c, out_h, out_w;
    int64_t group_in, group_out; /* channels of a group */
} conv;

/* Rows of x under output rows [row, row + rows) of one picture. */
typedef struct band {
    int64_t first, rows, pad_top, pad_bottom;
} band;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t div_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static band band_of(const conv *v, int64_t row, int64_t rows)
{
    const cyg_kp_conv *q = &v->p->geometry;
    const int64_t top = row * q->stride_h - q->pad_t;
    const int64_t end = top + (rows - 1) * q->stride_h + (q->kh - 1) * q->dilation_h + 1;
    band b = {.first = top < 0 ? 0 : top};
    const int64_t last = end > v->in_h ? v->in_h : end;
    b.pad_top = top < 0 ? -top : 0;
    b.pad_bottom = end > v->in_h ? end - v->in_h : 0;
    b.rows = last - b.first;
    return b;
}

static cyg_npu_view picture(int32_t type, int64_t images, int64_t rows, int64_t width,
                            int64_t channels, int64_t all_rows, int64_t all_channels, int64_t first)
{
    const int64_t size = cyg_npu_type_bytes(type);
    cyg_npu_view v = {.type = (uint8_t)type, .rank = 4, .offset = (uint64_t)(first * size)};
    const int64_t dims[] = {images, rows, width, channels},
                  strides[] = {all_rows * width * all_channels * size, width * all_channels * size,
                               all_channels * size, size};
    for (int i = 0; i < 4; i++) {
        v.dims[i] = dims[i];
        v.strides[i] = strides[i];
    }
    return v;
}

static void evaluate(const cyg_npu_matrix *x, void *user, cyg_npu_choice *c)
{
    const conv *v = user;
    const cyg_npu_gen *g = x->gen;
    const int64_t columns = c->column_tile < x->n ? c->column_tile : x->n;
    const int64_t rows = c->row_tile < v->out_h ? c->row_tile : v->out_h;
    const int64_t images = c->row_tile / v->out_h > 1 ? c->row_tile / v->out_h : 1;
    const int64_t in_rows =
        smaller(v->in_h, (rows - 1) * v->p->geometry.stride_h +
                             (v->p->geometry.kh - 1) * v->p->geometry.dilation_h + 1);
    const int64_t groups = v->p->geometry.group > 1 ? div_up(columns, v->group_out) : 1;
    const int64_t channels = groups * v->group_in;
    const cyg_npu_view views[] = {
        picture(v->x_type, images, in_rows, v->in_w, channels, in_rows, channels, 0),
        cyg_npu_dense(CYG_TYPE_S8, 4,
                      (const int64_t[]){columns, v->p->geometry.kh, v->p->geometry.kw, v->group_in},
                      0),
        cyg_npu_rows(CYG_TYPE_S32, 1, columns, columns, 0),
        cyg_npu_rows(CYG_TYPE_F32, 1, columns, columns, 0),
        picture(x->needs_teng ? CYG_TYPE_F32 : v->y_type, images, rows, v->out_w, columns, rows,
                columns, 0),
    };
    const int64_t outputs = images * rows * v->out_w * columns;
    c->conv_cycles = cyg_npu_price(g, CYG_NPU_OP_CONV_2D, views, 4, 1, v->p, sizeof *v->p);
    if (x->needs_teng) {
        const cyg_npu_view act[] = {
            views[4], picture(v->y_type, images, rows, v->out_w, columns, rows, columns, 0)};
        c->teng_cycles = cyg_npu_price(g, CYG_NPU_OP_TENG_ACT, act, 1, 1, &x->act, sizeof x->act);
        c->tile_bytes += outputs * 4;
    }
    if (cyg_npu_is_streamed(g, x->step->in[CYG_NPU_X])) {
        const int64_t tile = (int64_t)cyg_npu_view_bytes(&views[0]);
        c->tile_bytes += tile;
        c->stream_bytes += tile * c->row_tiles * (v->p->geometry.group > 1 ? c->column_tiles : 1);
        c->again_bytes = v->p->geometry.group > 1 ? 0 : tile * c->row_tiles;
    }
    if (cyg_npu_is_streamed(g, x->step->out[0])) {
        c->tile_bytes += outputs * cyg_npu_type_bytes(v->y_type);
        c->stream_bytes += outputs * cyg_npu_type_bytes(v->y_type) * c->row_tiles * c->column_tiles;
    }
    if (x->residual != CYG_NO_TENSOR && cyg_npu_is_streamed(g, x->residual)) {
        c->tile_bytes += outputs * cyg_npu_type_bytes(v->r_type);
        c->stream_bytes += outputs * cyg_npu_type_bytes(v->r_type) * c->row_tiles * c->column_tiles;
    }
}

static cyg_status tile(cyg_npu_matrix *x, void *user, int64_t row, int64_t rows, int64_t column,
                       int64_t columns, uint32_t weights)
{
    const conv *v = user;
    const cyg_step *s = x->step;
    const bool grouped = v->p->geometry.group > 1;
    const int64_t images = rows > v->out_h ? rows / v->out_h : 1, image = row / v->out_h;
    const int64_t first = row % v->out_h, n = images > 1 ? v->out_h : rows;
    const band b = images > 1 || n == v->out_h ? band_of(v, 0, v->out_h) : band_of(v, first, n);
    const int64_t groups = grouped ? columns / v->group_out : 1;
    const int64_t channels = groups * v->group_in,
                  channel = grouped ? column / v->group_out * v->group_in : 0;
    const cyg_npu_view in = picture(v->x_type, images, b.rows, v->in_w, channels, v->in_h, v->in_c,
                                    ((image * v->in_h + b.first) * v->in_w) * v->in_c + channel);
    const cyg_npu_view out = picture(v->y_type, images, n, v->out_w, columns, v->out_h, x->n,
                                     ((image * v->out_h + first) * v->out_w) * x->n + column);
    const cyg_npu_view r =
        cyg_npu_residual_rows(x, row * v->out_w, rows * v->out_w, column, columns);
    const int64_t w[] = {columns, v->p->geometry.kh, v->p->geometry.kw, v->group_in};
    cyg_kp_iconv2d p = *v->p;
    p.out = x->conv;
    p.geometry.group = groups;
    p.geometry.pad_t = b.pad_top;
    p.geometry.pad_b = b.pad_bottom;
    cyg_npu_call c;
    cyg_npu_call_begin(&c, x->gen);
    cyg_npu_call_in(&c, s->in[CYG_NPU_X], &in);
    cyg_npu_matrix_weights(x, &c, weights, columns, 4, w);
    cyg_npu_matrix_high(x, &c, weights, 4, w);
    return cyg_npu_matrix_finish(x, &c, CYG_NPU_OP_CONV_2D, &p, sizeof p, &out, &r);
}

static bool is_pointwise(const cyg_kp_conv *q)
{
    return q->group == 1 && q->kh == 1 && q->kw == 1 && q->stride_h == 1 && q->stride_w == 1 &&
           q->pad_t == 0 && q->pad_l == 0 && q->pad_b == 0 && q->pad_r == 0;
}

static int64_t common_multiple(int64_t a, int64_t b)
{
    int64_t x = a, y = b;
    while (y != 0) {
        const int64_t r = x % y;
        x = y;
        y = r;
    }
    return a / x * b;
}

cyg_status cyg_npu_gen_conv2d(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_kp_iconv2d *p = s->params;
    if (is_pointwise(&p->geometry))
        return cyg_npu_gen_rows_times_weights(g, s, &p->out);
    cyg_npu_matrix x;
    CYG_DO(cyg_npu_matrix_open(&x, g, s, &p->out));
    const cyg_tensor *in = cyg_npu_tensor(g, s->in[CYG_NPU_X]), *out = cyg_npu_tensor(g, s->out[0]);
    conv v = {.p = p,
              .x_type = in->type,
              .y_type = out->type,
              .batch = in->dims[0],
              .in_h = in->dims[1],
              .in_w = in->dims[2],
              .in_c = in->dims[3],
              .out_h = out->dims[1],
              .out_w = out->dims[2],
              .group_in = in->dims[3] / p->geometry.group,
              .group_out = out->dims[3] / p->geometry.group};
    if (x.residual != CYG_NO_TENSOR)
        v.r_type = cyg_npu_tensor(g, x.residual)->type;
    x.block = v.out_h;
    const int64_t unit =
        p->geometry.group == 1 ? g->m->conv_out : common_multiple(v.group_out, g->m->conv_out);
    const int64_t least = p->geometry.group == 1 ? 1 : v.group_out;
    CYG_DO(cyg_npu_matrix_plan(&x, v.batch * v.out_h, 1, unit < x.n ? unit : x.n, least, evaluate,
                               &v));
    return cyg_npu_matrix_run(&x, v.batch * v.out_h, tile, &v);
}

/* pool2d on TENG: bands of output rows, as convolutions are cut. */
#include "target/npu/matrix.h"

static cyg_npu_view picture(int32_t type, int64_t rows, int64_t width, int64_t all_channels,
                            int64_t channels, int64_t first)
{
    const int64_t size = cyg_npu_type_bytes(type);
    cyg_npu_view v = {.type = (uint8_t)type, .rank = 4, .offset = (uint64_t)(first * size)};
    const int64_t dims[] = {1, rows, width, channels},
                  strides[] = {rows * width * all_channels * size, width * all_channels * size,
                               all_channels * size, size};
    for (int i = 0; i < 4; i++) {
        v.dims[i] = dims[i];
        v.strides[i] = strides[i];
    }
    return v;
}

static int64_t streamed(const cyg_npu_gen *g, uint32_t tensor)
{
    return cyg_npu_is_streamed(g, tensor) ? cyg_npu_type_bytes(cyg_npu_tensor(g, tensor)->type) : 0;
}

/* Rows of a tile by the price of what they pool; at least one. */
static int64_t band_rows(const cyg_npu_gen *g, const cyg_step *s, const cyg_kp_ipool *p)
{
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const cyg_kp_pool *q = &p->geometry;
    const int64_t tengs = cyg_npu_engines_of(g->m, CYG_NPU_TENG), out_h = y->dims[1];
    int64_t best = 1;
    double best_cycles = -1;
    for (int64_t rows = out_h; rows > 0; rows = rows > 8 ? rows - rows / 8 : rows - 1) {
        const int64_t in_rows = (rows - 1) * q->stride_h + (q->kh - 1) * q->dilation_h + 1;
        const int64_t tile = in_rows * x->dims[2] * x->dims[3] * streamed(g, s->in[0]) +
                             rows * y->dims[2] * y->dims[3] * streamed(g, s->out[0]);
        if (2 * tile > cyg_npu_room(g) && rows > 1)
            continue;
        const cyg_npu_view views[] = {
            picture(x->type, in_rows, x->dims[2], x->dims[3], x->dims[3], 0),
            picture(y->type, rows, y->dims[2], y->dims[3], y->dims[3], 0)};
        const double one =
            (double)cyg_npu_price(g, CYG_NPU_OP_TENG_POOL, views, 1, 1, p, sizeof *p);
        const int64_t count = y->dims[0] * ((out_h + rows - 1) / rows);
        const double all = one * (double)((count + tengs - 1) / tengs);
        const double cycles = all + one + all / (double)count;
        if (best_cycles < 0 || cycles < best_cycles) {
            best = rows;
            best_cycles = cycles;
        }
    }
    return cyg_npu_tighten(g, best);
}

/* The pads of a band: what it needs of them, and for averages that count padding no more than there
 * is (a window may hang over the padded picture, too). */
static void band_pads(const cyg_kp_pool *q, int64_t in_h, int64_t row, int64_t rows,
                      cyg_kp_pool *out, int64_t *out_first, int64_t *out_rows)
{
    const int64_t top = row * q->stride_h - q->pad_t;
    const int64_t end = top + (rows - 1) * q->stride_h + (q->kh - 1) * q->dilation_h + 1;
    const int64_t first = top < 0 ? 0 : top, last = end > in_h ? in_h : end;
    *out = *q;
    out->pad_t = top < 0 ? -top : 0;
    out->pad_b = end > in_h ? end - in_h : 0;
    if (out->pad_b > q->pad_b)
        out->pad_b = q->pad_b;
    *out_first = first;
    *out_rows = last - first;
}

cyg_status cyg_npu_gen_pool(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_kp_ipool *whole = s->params;
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const int64_t step = band_rows(g, s, whole), w = x->dims[2], c = x->dims[3];
    uint32_t blob = CYG_NPU_NO_BUFFER;
    cyg_npu_view k = {0};
    if (s->in_count > 1) {
        const cyg_tensor *t = &g->p->tensors[cyg_npu_owner(g->p, s->in[1])];
        cyg_npu_piece piece = {.data = t->data, .bytes = cyg_tensor_bytes(t)};
        uint32_t stored;
        CYG_DO(cyg_npu_store_pieces(g, &piece, 1, s->name, &stored));
        CYG_DO(cyg_npu_load_stored(g, stored, &blob));
        k = cyg_npu_dense(t->type, t->rank, t->dims, 0);
    }
    for (int64_t image = 0; image < y->dims[0]; image++)
        for (int64_t row = 0; row < y->dims[1]; row += step) {
            const int64_t n = y->dims[1] - row < step ? y->dims[1] - row : step;
            cyg_kp_ipool p = *whole;
            int64_t first, rows;
            band_pads(&whole->geometry, x->dims[1], row, n, &p.geometry, &first, &rows);
            const cyg_npu_view in =
                picture(x->type, rows, w, c, c, (image * x->dims[1] + first) * w * c);
            const cyg_npu_view out =
                picture(y->type, n, y->dims[2], c, c, (image * y->dims[1] + row) * y->dims[2] * c);
            cyg_npu_call call;
            cyg_npu_call_begin(&call, g);
            cyg_npu_call_in(&call, s->in[0], &in);
            if (blob != CYG_NPU_NO_BUFFER)
                cyg_npu_call_in_buffer(&call, blob, &k);
            cyg_npu_call_out(&call, s->out[0], &out);
            CYG_DO(cyg_npu_call_end(&call, CYG_NPU_OP_TENG_POOL, &p, sizeof p));
        }
    return CYG_OK;
}

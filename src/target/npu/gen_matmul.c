/* matmul of two activations: for each batch row tiles of a times column tiles of b. */
#include "kernels/batches.h"
#include "target/npu/matrix.h"

typedef struct product {
    int64_t rows, depth, columns;
    cyg_batches batches;
    int32_t a_type, b_type, y_type;
    int64_t row_tile, column_tile;
} product;

static product product_of(const cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_tensor *a = cyg_npu_tensor(g, s->in[0]), *b = cyg_npu_tensor(g, s->in[1]),
                     *y = cyg_npu_tensor(g, s->out[0]);
    product p = {.rows = a->dims[a->rank - 2],
                 .depth = a->dims[a->rank - 1],
                 .columns = b->dims[b->rank - 1],
                 .a_type = a->type,
                 .b_type = b->type,
                 .y_type = y->type};
    (void)cyg_batches_of(a->rank, a->dims, b->rank, b->dims, &p.batches); /* lowering saw to it */
    return p;
}

static int64_t parts(int64_t all, int64_t each)
{
    return all / each + (all % each != 0);
}

static int64_t streamed(const cyg_npu_gen *g, uint32_t tensor)
{
    return cyg_npu_is_streamed(g, tensor) ? cyg_npu_type_bytes(cyg_npu_tensor(g, tensor)->type) : 0;
}

/* By price, within the room; the smallest there is when nothing fits. */
static void plan(const cyg_npu_gen *g, const cyg_step *s, product *p)
{
    const cyg_kp_imatmul *params = s->params;
    const int64_t unit = g->m->conv_out, convs = cyg_npu_engines(g, CYG_NPU_CONV);
    const int64_t a = streamed(g, s->in[0]), b = streamed(g, s->in[1]), y = streamed(g, s->out[0]);
    double best = -1;
    p->row_tile = 1;
    p->column_tile = p->columns < unit ? p->columns : unit;
    for (int64_t c = 1; c <= parts(p->columns, unit); c = c < 8 ? c + 1 : c + c / 4)
        for (int64_t r = 1; r <= p->rows; r = r < 8 ? r + 1 : r + r / 4) {
            const int64_t rows = cyg_npu_tighten(g, parts(p->rows, r));
            const int64_t cut = parts(parts(p->columns, unit), c) * unit;
            const int64_t columns = cut < p->columns ? cut : p->columns;
            const int64_t bytes = rows * p->depth * a + p->depth * columns * b + rows * columns * y;
            const cyg_npu_view views[] = {cyg_npu_rows(p->a_type, rows, p->depth, p->depth, 0),
                                          cyg_npu_rows(p->b_type, p->depth, columns, columns, 0),
                                          cyg_npu_rows(p->y_type, rows, columns, columns, 0)};
            const double one =
                (double)(cyg_npu_price(g, CYG_NPU_OP_CONV_MM, views, 2, 1, params, sizeof *params) +
                         CYG_NPU_TILE_TOLL);
            const int64_t count =
                p->batches.count * parts(p->rows, rows) * parts(p->columns, columns);
            const double cycles = one * (double)parts(count, convs) + one;
            if (2 * bytes > cyg_npu_room(g) || (best >= 0 && cycles >= best))
                continue;
            best = cycles;
            p->row_tile = rows;
            p->column_tile = columns;
        }
}

static cyg_status tile(cyg_npu_gen *g, const cyg_step *s, const product *p, const int64_t *first,
                       int64_t row, int64_t column)
{
    const int64_t rows = p->rows - row < p->row_tile ? p->rows - row : p->row_tile;
    const int64_t columns =
        p->columns - column < p->column_tile ? p->columns - column : p->column_tile;
    const cyg_npu_view a =
        cyg_npu_rows(p->a_type, rows, p->depth, p->depth, first[0] + row * p->depth);
    const cyg_npu_view b =
        cyg_npu_rows(p->b_type, p->depth, columns, p->columns, first[1] + column);
    const cyg_npu_view y =
        cyg_npu_rows(p->y_type, rows, columns, p->columns, first[2] + row * p->columns + column);
    cyg_npu_call c;
    cyg_npu_call_begin(&c, g);
    cyg_npu_call_in(&c, s->in[0], &a);
    cyg_npu_call_in(&c, s->in[1], &b);
    cyg_npu_call_out(&c, s->out[0], &y);
    return cyg_npu_call_end(&c, CYG_NPU_OP_CONV_MM, s->params, s->params_size);
}

cyg_status cyg_npu_gen_matmul(cyg_npu_gen *g, const cyg_step *s)
{
    product p = product_of(g, s);
    plan(g, s, &p);
    for (int64_t batch = 0; batch < p.batches.count; batch++) {
        int64_t first[3] = {0, 0, batch * p.rows * p.columns};
        cyg_batches_locate(&p.batches, batch, &first[0], &first[1]);
        for (int64_t column = 0; column < p.columns; column += p.column_tile)
            for (int64_t row = 0; row < p.rows; row += p.row_tile)
                CYG_DO(tile(g, s, &p, first, row, column));
    }
    return CYG_OK;
}

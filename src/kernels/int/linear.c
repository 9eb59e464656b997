/* i_linear: y = act(x w^T + bias) [+ r] on exact integers (docs/numerics.md, Linear). 16-bit
 * weights come as two operands of 8 bits: w + 256 w_high.
 *
 * An item is a block of rows times at most 192 columns, so that a short x (one image's class head)
 * still splits among threads. Consecutive items of a worker share their rows: packed rows are kept
 * in scratch from item to item. The partition depends on shapes only, and no item reads another's
 * output. */
#include <string.h>

#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/int/gemm.h"

enum { X, W, BIAS, M, RESIDUAL, W_HIGH };

typedef struct linear_shape {
    int64_t rows, n, k, item_rows, row_blocks, column_blocks;
} linear_shape;

static linear_shape shape_of(const cyg_kcall *call)
{
    linear_shape s;
    s.n = call->in[W].dims[0];
    s.k = call->in[W].dims[1];
    s.rows = s.k > 0 ? cyg_elements(&call->in[X]) / s.k : 0;
    s.item_rows = cyg_igemm_item_rows(s.k);
    s.row_blocks = (s.rows + s.item_rows - 1) / s.item_rows;
    s.column_blocks = (s.n + CYG_IGEMM_COLUMNS - 1) / CYG_IGEMM_COLUMNS;
    return s;
}

static const char *check(const cyg_kcall *call)
{
    CYG_WANT_OK(cyg_check_counts(call, 4, 6));
    const cyg_kbuf *x = &call->in[X], *w = &call->in[W], *y = &call->out[0];
    CYG_WANT(cyg_is_activation(x->type), "x's type is not supported");
    CYG_WANT(w->type == CYG_TYPE_S8 && w->rank == 2, "w must be s8 [N, K]");
    const int64_t n = w->dims[0], k = w->dims[1];
    CYG_WANT(n >= 1 && k >= 1 && k <= CYG_IGEMM_MAX_K && n <= INT32_MAX,
             "w's shape is out of range");
    CYG_WANT_OK(cyg_check_constant(w, CYG_TYPE_S8, n * k));
    CYG_WANT(x->rank >= 1 && cyg_last_dim(x) == k, "x's last dimension is not w's K");
    CYG_WANT_OK(cyg_check_bias(&call->in[BIAS], x->type, n));
    CYG_WANT_OK(cyg_check_constant(&call->in[M], CYG_TYPE_F32, n));
    const cyg_kbuf *high = cyg_optional(call, W_HIGH);
    if (high != NULL) {
        CYG_WANT(cyg_is_16bit(x->type), "16-bit weights need a 16-bit x");
        CYG_WANT_OK(cyg_check_constant(high, CYG_TYPE_S8, n * k));
    }
    const int64_t rows = cyg_elements(x) / k;
    CYG_WANT(y->rank >= 1 && cyg_last_dim(y) == n && cyg_elements(y) / n == rows,
             "y's shape is not [.., N]");
    return cyg_check_ilinear(call->params, y->type, cyg_optional(call, RESIDUAL), rows, n);
}

static size_t block_size(const cyg_kcall *call)
{
    const linear_shape s = shape_of(call);
    return cyg_igemm_layout_of(call->isa->igemm(), call->in[X].type, s.n, s.k).size;
}

static int has_high(const cyg_kcall *call)
{
    return cyg_optional(call, W_HIGH) != NULL;
}

/* The weights' lower bytes (or all of them), then the upper ones. */
static size_t prepare_size(const cyg_kcall *call)
{
    return block_size(call) * (has_high(call) ? 2 : 1);
}

static void prepare(const cyg_kcall *call, void *out_prepared)
{
    const linear_shape s = shape_of(call);
    cyg_igemm_prepare(call->isa->igemm(), call->in[X].type, call->in[W].data, call->in[BIAS].data,
                      call->in[M].data, s.n, s.k, out_prepared);
    if (has_high(call))
        cyg_igemm_prepare(call->isa->igemm(), call->in[X].type, call->in[W_HIGH].data, NULL,
                          call->in[M].data, s.n, s.k, (uint8_t *)out_prepared + block_size(call));
}

static int64_t items(const cyg_kcall *call)
{
    const linear_shape s = shape_of(call);
    return s.row_blocks * s.column_blocks;
}

/* Packed rows, two planes for 16-bit x. */
static size_t plane_bytes(const cyg_kcall *call, const linear_shape *s)
{
    const int64_t groups = cyg_igemm_layout_of(call->isa->igemm(), CYG_TYPE_U8, 1, s->k).groups;
    return (size_t)(groups * s->item_rows * 4 + 63) / 64 * 64;
}

static size_t scratch(const cyg_kcall *call)
{
    const linear_shape s = shape_of(call);
    if (cyg_igemm_a_is_direct(call->isa->igemm(), call->in[X].type, s.k))
        return 0;
    return plane_bytes(call, &s) * (cyg_is_16bit(call->in[X].type) ? 2 : 1);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    const linear_shape s = shape_of(call);
    const cyg_igemm *g = call->isa->igemm();
    const cyg_kbuf *x = &call->in[X], *r = cyg_optional(call, RESIDUAL);
    const int has_r = r != NULL && r->data != NULL;
    const cyg_igemm_job job = {
        .isa = call->isa,
        .prepared = call->prepared,
        .high = has_high(call) ? (const uint8_t *)call->prepared + block_size(call) : NULL,
        .layout = cyg_igemm_layout_of(g, x->type, s.n, s.k),
        .x_type = x->type,
        .y_type = call->out[0].type,
        .r_type = has_r ? r->type : CYG_TYPE_NONE,
        .n = s.n,
        .out = call->params,
        .y = call->out[0].data,
        .y_row = s.n,
        .r = has_r ? r->data : NULL,
        .r_rows = has_r ? cyg_elements(r) / s.n : 1,
    };
    const int direct = cyg_igemm_a_is_direct(g, x->type, s.k);
    const int64_t stride = job.layout.groups * 4, x_row = s.k * cyg_int_bytes(x->type);
    uint8_t *lo = scratch_memory, *hi = direct ? NULL : lo + plane_bytes(call, &s);
    int64_t packed = -1;
    for (int64_t item = begin; item < end; item++) {
        const int64_t block = item / s.column_blocks, row0 = block * s.item_rows;
        const int64_t rows = s.rows - row0 < s.item_rows ? s.rows - row0 : s.item_rows;
        const int64_t col0 = item % s.column_blocks * CYG_IGEMM_COLUMNS;
        const int64_t col1 = s.n - col0 < CYG_IGEMM_COLUMNS ? s.n : col0 + CYG_IGEMM_COLUMNS;
        const uint8_t *from = (const uint8_t *)x->data + row0 * x_row;
        if (!direct && packed != block) {
            for (int64_t i = 0; i < rows; i++)
                cyg_igemm_pack_a(g, x->type, from + i * x_row, s.k, lo + i * stride,
                                 hi + i * stride);
            packed = block;
        }
        cyg_igemm_block(&job, direct ? from : lo, hi, stride, row0, rows, col0, col1);
    }
}

/* The specification: one output at a time, operands as they stand in the package. */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    (void)scratch_memory;
    const linear_shape s = shape_of(call);
    const cyg_kp_ilinear *p = call->params;
    const cyg_kbuf *x = &call->in[X], *r = cyg_optional(call, RESIDUAL), *y = &call->out[0];
    const int8_t *w = call->in[W].data, *high = cyg_optional_data(call, W_HIGH);
    const float *m = call->in[M].data;
    const int has_r = r != NULL && r->data != NULL, wide = cyg_is_16bit(x->type);
    const int64_t r_count = has_r ? cyg_elements(r) : 1;
    for (int64_t item = begin; item < end; item++) {
        const int64_t row0 = item / s.column_blocks * s.item_rows,
                      col0 = item % s.column_blocks * CYG_IGEMM_COLUMNS;
        for (int64_t row = row0; row < s.rows && row < row0 + s.item_rows; row++) {
            for (int64_t n = col0; n < s.n && n < col0 + CYG_IGEMM_COLUMNS; n++) {
                uint64_t acc = wide ? (uint64_t)((const int64_t *)call->in[BIAS].data)[n]
                                    : (uint64_t)((const int32_t *)call->in[BIAS].data)[n];
                for (int64_t k = 0; k < s.k; k++) {
                    const int64_t weight =
                        w[n * s.k + k] + (high != NULL ? 256 * (int64_t)high[n * s.k + k] : 0);
                    acc += (uint64_t)(cyg_load_q(x->type, x->data, row * s.k + k) * weight);
                }
                const float f = wide ? (float)(double)(int64_t)acc : (float)(int32_t)(uint32_t)acc;
                const int64_t at = row * s.n + n;
                const float res =
                    has_r ? cyg_load_centred(r->type, r->data, at % r_count, p->r_zero) : 0.0f;
                cyg_store_out(y->type, y->data, at, &p->sat,
                              cyg_linear_out(p, y->type, f, m[n], has_r, res));
            }
        }
    }
}

const cyg_kop_info cyg_kop_info_i_linear = {
    .name = "i_linear",
    .params_size = sizeof(cyg_kp_ilinear),
    .check = check,
    .prepare_size = prepare_size,
    .prepare = prepare,
    .items = items,
    .scratch = scratch,
    .run = run,
    .ref = ref,
};

/* f_linear: y = post_act(act(x w^T + bias) + residual).
 *
 * x is seen as [M, K], y as [M, N]. Constant weights are packed once by prepare; others by each
 * item into its scratch. The products' sum is one chain from 0; bias is added after it, then the
 * activation, the residual, the second activation, while the rows are still in the cache. The
 * residual has as many elements as y or a divisor of it that is a whole number of rows (then it
 * repeats), or one row. */
#include "kernels/f32/gemm.h"

static int64_t depth_of(const cyg_kcall *call)
{
    return call->in[1].dims[1];
}
static int64_t width_of(const cyg_kcall *call)
{
    return call->in[1].dims[0];
}
static int64_t rows_of(const cyg_kcall *call)
{
    return cyg_count_dims(&call->out[0], 0, call->out[0].rank - 1);
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 4, 1, 1);
    const cyg_kp_linear *p = call->params;
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && w->type == CYG_TYPE_F32 && y->type == CYG_TYPE_F32,
                "f_linear works on f32");
    CYG_REQUIRE(p->act >= 0 && p->act < CYG_ACT_COUNT && p->post_act >= 0 &&
                    p->post_act < CYG_ACT_COUNT,
                "unknown activation");
    CYG_REQUIRE(w->rank == 2 && x->rank >= 1 && y->rank >= 1, "w is not [N, K]");
    CYG_REQUIRE(x->dims[x->rank - 1] == w->dims[1], "x's last axis is not w's K");
    CYG_REQUIRE(y->dims[y->rank - 1] == w->dims[0], "y's last axis is not w's N");
    CYG_REQUIRE(cyg_count_dims(x, 0, x->rank - 1) == rows_of(call), "x and y differ in rows");
    if (cyg_has_in(call, 2))
        CYG_REQUIRE(call->in[2].type == CYG_TYPE_F32 && cyg_count_of(&call->in[2]) == w->dims[0],
                    "bias is not f32 [N]");
    if (cyg_has_in(call, 3)) {
        const int64_t r = cyg_count_of(&call->in[3]), n = w->dims[0];
        CYG_REQUIRE(call->in[3].type == CYG_TYPE_F32, "residual is not f32");
        CYG_REQUIRE(cyg_count_of(y) == 0 || (r > 0 && r % n == 0 && rows_of(call) % (r / n) == 0),
                    "residual does not repeat over y");
    }
    return NULL;
}

static size_t prepare_size(const cyg_kcall *call)
{
    if (!call->in[1].is_const)
        return 0;
    return (size_t)cyg_gemm_packed(width_of(call), depth_of(call)) * sizeof(float);
}

static int64_t prepare_parts(const cyg_kcall *call)
{
    return cyg_div_up(width_of(call), CYG_F32_PANEL);
}

/* Panels begin..end-1. */
static void prepare_some(const cyg_kcall *call, int64_t begin, int64_t end, void *out_prepared)
{
    const int64_t k = depth_of(call), first = begin * CYG_F32_PANEL,
                  last = cyg_min64(end * CYG_F32_PANEL, width_of(call));
    cyg_gemm_pack_nk(last - first, k, (const float *)call->in[1].data + first * k, k,
                     (float *)out_prepared + first * k);
}

static void prepare(const cyg_kcall *call, void *out_prepared)
{
    prepare_some(call, 0, prepare_parts(call), out_prepared);
}

static cyg_gemm_cut cut_of(const cyg_kcall *call)
{
    return call->in[1].is_const ? cyg_gemm_cut_of(rows_of(call), width_of(call))
                                : cyg_gemm_cut_unpacked(rows_of(call), width_of(call));
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_gemm_cut cut = cut_of(call);
    return cut.row_blocks * cut.col_blocks;
}

static size_t scratch_size(const cyg_kcall *call)
{
    size_t bytes = CYG_GEMM_SCRATCH;
    if (!call->in[1].is_const)
        bytes += (size_t)cyg_gemm_packed(cut_of(call).columns, depth_of(call)) * sizeof(float);
    return bytes;
}

static void finish(const cyg_kcall *call, int64_t m0, int64_t rows, int64_t n0, int64_t columns)
{
    const cyg_kp_linear *p = call->params;
    const cyg_f32_finish f = {p->act, p->post_act, p->act_lo, p->act_hi};
    const int64_t n = width_of(call);
    const float *bias = cyg_has_in(call, 2) ? (const float *)call->in[2].data + n0 : NULL;
    const float *residual = cyg_has_in(call, 3) ? call->in[3].data : NULL;
    const int64_t period = residual != NULL ? cyg_count_of(&call->in[3]) / n : 1;
    float *y = call->out[0].data;
    if (bias == NULL && residual == NULL && f.act == CYG_ACT_NONE && f.post_act == CYG_ACT_NONE)
        return;
    for (int64_t m = m0; m < m0 + rows; m++)
        call->isa->f32_finish(&f, columns, bias, 1,
                              residual != NULL ? residual + m % period * n + n0 : NULL,
                              y + m * n + n0);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const int64_t k = depth_of(call), n = width_of(call), m = rows_of(call);
    const cyg_gemm_cut cut = cut_of(call);
    const float *x = call->in[0].data;
    float *y = call->out[0].data, *pack = (float *)scratch + CYG_GEMM_SCRATCH / 4;
    for (int64_t item = begin; item < end; item++) {
        const int64_t m0 = item % cut.row_blocks * cut.rows,
                      n0 = item / cut.row_blocks * cut.columns;
        const int64_t rows = cyg_min64(m - m0, cut.rows), columns = cyg_min64(n - n0, cut.columns);
        const float *b = pack;
        if (call->in[1].is_const)
            b = (const float *)call->prepared + n0 * k;
        else
            cyg_gemm_pack_nk(columns, k, (const float *)call->in[1].data + n0 * k, k, pack);
        for (int64_t i = 0; i < rows; i += CYG_GEMM_MC) {
            const int64_t part = cyg_min64(rows - i, CYG_GEMM_MC);
            cyg_gemm_block(call->isa, part, columns, k, x + (m0 + i) * k, k, b,
                           y + (m0 + i) * n + n0, n, scratch);
            finish(call, m0 + i, part, n0, columns);
        }
    }
}

const cyg_kop_info cyg_kop_info_f_linear = {
    .name = "f_linear",
    .params_size = sizeof(cyg_kp_linear),
    .check = check,
    .prepare_size = prepare_size,
    .prepare = prepare,
    .prepare_parts = prepare_parts,
    .prepare_some = prepare_some,
    .items = items,
    .scratch = scratch_size,
    .run = run,
};

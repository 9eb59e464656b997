/* i_layernorm: rows of channels, exact sums, binary64 only for a row's two scalars
 * (docs/numerics.md, LayerNorm). x's zero point needs no mention: the mean takes it out. An item is
 * 16 rows. */
#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/dispatch.h"

enum { X, GAMMA, BETA };
enum { ITEM_ROWS = 16, MAX_CHANNELS = 65536 }; /* channels * sum x^2 stays below 2^62 */

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_ilayernorm *p = call->params;
    CYG_WANT_OK(cyg_check_counts(call, 3, 3));
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    CYG_WANT(cyg_is_8bit(x->type) || x->type == CYG_TYPE_S16, "x's type is not supported");
    CYG_WANT(p->channels >= 1 && p->channels <= MAX_CHANNELS, "channels out of range");
    CYG_WANT(p->eps >= 0, "epsilon is negative");
    CYG_WANT(x->rank >= 1 && cyg_last_dim(x) == p->channels,
             "x's last dimension is not the channel count");
    CYG_WANT(cyg_elements(x) == cyg_elements(y), "y has not as many elements as x");
    CYG_WANT(y->type != CYG_TYPE_F32, "the output's type is not supported");
    CYG_WANT_OK(cyg_check_constant(&call->in[GAMMA], CYG_TYPE_F32, p->channels));
    CYG_WANT_OK(cyg_check_constant(&call->in[BETA], CYG_TYPE_F32, p->channels));
    return cyg_check_sat(&p->sat, y->type);
}

static int64_t row_count(const cyg_kcall *call)
{
    const cyg_kp_ilayernorm *p = call->params;
    return cyg_elements(&call->in[X]) / p->channels;
}

static int64_t items(const cyg_kcall *call)
{
    return (row_count(call) + ITEM_ROWS - 1) / ITEM_ROWS;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_ilayernorm *p = call->params;
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    const int64_t rows = row_count(call), x_row = p->channels * cyg_int_bytes(x->type);
    const int64_t y_row = p->channels * cyg_int_bytes(y->type);
    for (int64_t row = begin * ITEM_ROWS; row < end * ITEM_ROWS && row < rows; row++)
        call->isa->i_layernorm(p, x->type, (const uint8_t *)x->data + row * x_row,
                               call->in[GAMMA].data, call->in[BETA].data, y->type,
                               (uint8_t *)y->data + row * y_row);
}

static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_ilayernorm *p = call->params;
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    const float *gamma = call->in[GAMMA].data, *beta = call->in[BETA].data;
    const int64_t rows = row_count(call), c = p->channels;
    for (int64_t row = begin * ITEM_ROWS; row < end * ITEM_ROWS && row < rows; row++) {
        int64_t s1 = 0, s2 = 0;
        for (int64_t i = 0; i < c; i++) {
            const int64_t v = cyg_load_q(x->type, x->data, row * c + i);
            s1 += v;
            s2 += v * v;
        }
        const cyg_layernorm_row stats = cyg_layernorm_stats(c, p->eps, s1, s2);
        for (int64_t i = 0; i < c; i++) {
            const float v =
                ((float)cyg_load_q(x->type, x->data, row * c + i) - stats.mean) * stats.rstd;
            cyg_store_out(y->type, y->data, row * c + i, &p->sat, cyg_fmaf(v, gamma[i], beta[i]));
        }
    }
}

const cyg_kop_info cyg_kop_info_i_layernorm = {
    .name = "i_layernorm",
    .params_size = sizeof(cyg_kp_ilayernorm),
    .check = check,
    .items = items,
    .run = run,
    .ref = ref,
};

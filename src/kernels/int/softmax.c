/* i_softmax: along the last axis with 16-bit weights e, as attention computes them
 * (docs/numerics.md): t = (float)(x - max) * c, e = rne(65535 exp2(max(t, -24))), y = sat(rne(e *
 * (I / (float)sum e))) + z. The maximum is taken on the integers, so the zero point cancels. An
 * item is one row. */
#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/dispatch.h"

enum { MAX_LENGTH = 65536 };

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_isoftmax *p = call->params;
    CYG_WANT_OK(cyg_check_counts(call, 1, 1));
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_WANT(cyg_is_activation(x->type), "x's type is not supported");
    CYG_WANT(x->rank >= 1 && cyg_last_dim(x) >= 1 && cyg_last_dim(x) <= MAX_LENGTH,
             "row length out of range");
    CYG_WANT(p->c >= 0, "the scale is negative"); /* exp2's argument is never positive */
    CYG_WANT(cyg_elements(x) == cyg_elements(y), "y has not as many elements as x");
    CYG_WANT(y->type != CYG_TYPE_F32, "the output's type is not supported");
    return cyg_check_sat(&p->sat, y->type);
}

static int64_t items(const cyg_kcall *call)
{
    return cyg_elements(&call->in[0]) / cyg_last_dim(&call->in[0]);
}

/* t f32 [n], then e u16 [n]. */
static size_t scratch_size(const cyg_kcall *call)
{
    return ((size_t)cyg_last_dim(&call->in[0]) * 6 + 127) / 64 * 64;
}

static int32_t row_max(const cyg_kbuf *x, int64_t at, int64_t n)
{
    int32_t max = INT32_MIN;
    for (int64_t i = 0; i < n; i++) {
        const int32_t v = cyg_load_q(x->type, x->data, at + i);
        max = v > max ? v : max;
    }
    return max;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_isoftmax *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t n = cyg_last_dim(x), x_row = n * cyg_int_bytes(x->type),
                  y_row = n * cyg_int_bytes(y->type);
    float *t = scratch;
    uint16_t *e = (uint16_t *)(void *)(t + n);
    const cyg_isat unused = {0};
    for (int64_t row = begin; row < end; row++) {
        const int32_t max = row_max(x, row * n, n);
        call->isa->i_requant(x->type, (const uint8_t *)x->data + row * x_row, n, max, p->c, &unused,
                             CYG_TYPE_F32, t);
        const int64_t sum = call->isa->i_exp(t, n, 0.0f, 65535.0f, CYG_TYPE_U16, e);
        call->isa->i_requant(CYG_TYPE_U16, e, n, 0, p->inv_scale_y / (float)sum, &p->sat, y->type,
                             (uint8_t *)y->data + row * y_row);
    }
}

static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_isoftmax *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t n = cyg_last_dim(x);
    uint16_t *e = scratch;
    for (int64_t row = begin; row < end; row++) {
        const int32_t max = row_max(x, row * n, n);
        int64_t sum = 0;
        for (int64_t i = 0; i < n; i++) {
            const float t = cyg_load_centred(x->type, x->data, row * n + i, max) * p->c;
            e[i] = (uint16_t)cyg_exp_int(t, 65535.0f);
            sum += e[i];
        }
        const float k = p->inv_scale_y / (float)sum;
        for (int64_t i = 0; i < n; i++)
            cyg_store_out(y->type, y->data, row * n + i, &p->sat, (float)e[i] * k);
    }
}

const cyg_kop_info cyg_kop_info_i_softmax = {
    .name = "i_softmax",
    .params_size = sizeof(cyg_kp_isoftmax),
    .check = check,
    .items = items,
    .scratch = scratch_size,
    .run = run,
    .ref = ref,
    .ref_scratch = scratch_size,
};

/* i_requant: g = (x - x_zero) * k, then saturation, or g itself for a float y (dequantisation). A
 * float x is quantised. An item is 4096 elements. */
#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/dispatch.h"

enum { ITEM = 4096 };

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_irequant *p = call->params;
    CYG_WANT_OK(cyg_check_counts(call, 1, 1));
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_WANT(cyg_is_activation(x->type) || x->type == CYG_TYPE_S32 || x->type == CYG_TYPE_F32,
             "x's type is not supported");
    CYG_WANT(cyg_elements(x) == cyg_elements(y), "y has not as many elements as x");
    return cyg_check_sat(&p->sat, y->type);
}

static int64_t items(const cyg_kcall *call)
{
    return (cyg_elements(&call->in[0]) + ITEM - 1) / ITEM;
}

static int64_t clip_end(const cyg_kcall *call, int64_t end)
{
    const int64_t n = cyg_elements(&call->in[0]);
    return end * ITEM < n ? end * ITEM : n;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_irequant *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t at = begin * ITEM;
    call->isa->i_requant(x->type, (const uint8_t *)x->data + at * cyg_int_bytes(x->type),
                         clip_end(call, end) - at, p->x_zero, p->k, &p->sat, y->type,
                         (uint8_t *)y->data + at * cyg_int_bytes(y->type));
}

static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_irequant *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    for (int64_t i = begin * ITEM; i < clip_end(call, end); i++)
        cyg_store_out(y->type, y->data, i, &p->sat,
                      cyg_load_centred(x->type, x->data, i, p->x_zero) * p->k);
}

const cyg_kop_info cyg_kop_info_i_requant = {
    .name = "i_requant",
    .params_size = sizeof(cyg_kp_irequant),
    .check = check,
    .items = items,
    .run = run,
    .ref = ref,
};

/* i_lut8, i_lut16: any unary function as a table that the compiler built (docs/numerics.md,
 * Others).
 *
 * 8 bit: 256 entries of y's type, indexed from the type's lowest value (S8: x + 128). 16 bit: 1,025
 * nodes over u = x + 32768, linear between nodes with an arithmetic shift: y = T[i] + (((T[i+1] -
 * T[i]) * f + 32) >> 6), i = u >> 6, f = u & 63. Nodes are checked to be 16-bit numbers, so y is
 * one. Plain C is all there is: tables do not vectorise. */
#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/dispatch.h"

enum { X, TABLE };
enum { ITEM = 4096, NODES = 1025 };

static const char *check8(const cyg_kcall *call)
{
    CYG_WANT_OK(cyg_check_counts(call, 2, 2));
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    CYG_WANT(cyg_is_8bit(x->type), "x's type is not supported");
    CYG_WANT(cyg_is_activation(y->type) || y->type == CYG_TYPE_F32,
             "the output's type is not supported");
    CYG_WANT(cyg_elements(x) == cyg_elements(y), "y has not as many elements as x");
    return cyg_check_constant(&call->in[TABLE], y->type, 256);
}

static const char *check16(const cyg_kcall *call)
{
    CYG_WANT_OK(cyg_check_counts(call, 2, 2));
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    CYG_WANT(x->type == CYG_TYPE_S16 && y->type == CYG_TYPE_S16, "x and y must be s16");
    CYG_WANT(cyg_elements(x) == cyg_elements(y), "y has not as many elements as x");
    CYG_WANT_OK(cyg_check_constant(&call->in[TABLE], CYG_TYPE_S32, NODES));
    const int32_t *table = call->in[TABLE].data;
    for (int i = 0; i < NODES; i++)
        CYG_WANT(table[i] >= INT16_MIN && table[i] <= INT16_MAX,
                 "a table node is not a 16-bit number");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    return (cyg_elements(&call->in[X]) + ITEM - 1) / ITEM;
}

static int64_t clip_end(const cyg_kcall *call, int64_t end)
{
    const int64_t n = cyg_elements(&call->in[X]);
    return end * ITEM < n ? end * ITEM : n;
}

static void run8(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const uint8_t *x = call->in[X].data;
    const int64_t first = begin * ITEM, last = clip_end(call, end);
    const uint8_t flip = call->in[X].type == CYG_TYPE_S8 ? 0x80 : 0;
    const void *table = call->in[TABLE].data;
    void *y = call->out[0].data;
    switch (cyg_int_bytes(call->out[0].type)) {
    case 1:
        for (int64_t i = first; i < last; i++)
            ((uint8_t *)y)[i] = ((const uint8_t *)table)[x[i] ^ flip];
        break;
    case 2:
        for (int64_t i = first; i < last; i++)
            ((uint16_t *)y)[i] = ((const uint16_t *)table)[x[i] ^ flip];
        break;
    default:
        for (int64_t i = first; i < last; i++)
            ((uint32_t *)y)[i] = ((const uint32_t *)table)[x[i] ^ flip];
        break;
    }
}

static void run16(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const int16_t *x = call->in[X].data;
    const int32_t *table = call->in[TABLE].data;
    int16_t *y = call->out[0].data;
    for (int64_t i = begin * ITEM; i < clip_end(call, end); i++) {
        const int32_t u = x[i] + 32768, node = u >> 6;
        const int32_t product = (table[node + 1] - table[node]) * (u & 63) + 32;
        y[i] = (int16_t)(table[node] + (product >> 6));
    }
}

const cyg_kop_info cyg_kop_info_i_lut8 = {
    .name = "i_lut8",
    .params_size = sizeof(cyg_kp_none),
    .check = check8,
    .items = items,
    .run = run8,
    .ref = run8,
};

const cyg_kop_info cyg_kop_info_i_lut16 = {
    .name = "i_lut16",
    .params_size = sizeof(cyg_kp_none),
    .check = check16,
    .items = items,
    .run = run16,
    .ref = run16,
};

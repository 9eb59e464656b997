/* f_unary, f_clip and f_cast: one element in, one out.
 *
 * f_unary: every function for f32 (the micro-kernel); abs, neg, sign, relu and not for integers and
 * bool (modulo 2^bits: abs of the smallest is itself). f_clip: limits from buffers, any numeric
 * type; a NaN stays. f_cast: number.h's rules. */
#include "kernels/dispatch.h"
#include "kernels/f32/math.h"
#include "kernels/number.h"

enum { PIECE = 4096 };

static int64_t items(const cyg_kcall *call)
{
    return cyg_div_up(cyg_count_of(&call->out[0]), PIECE);
}
static int64_t piece_end(const cyg_kcall *call, int64_t end)
{
    return cyg_min64(end * PIECE, cyg_count_of(&call->out[0]));
}

static bool has_int_form(int32_t fn)
{
    return fn == CYG_FN_ABS || fn == CYG_FN_NEG || fn == CYG_FN_SIGN || fn == CYG_FN_RELU ||
           fn == CYG_FN_NOT;
}

static const char *check_unary(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_unary *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(p->fn >= 0 && p->fn < CYG_FN_COUNT, "unknown function");
    CYG_REQUIRE(x->type == y->type && cyg_count_of(x) == cyg_count_of(y), "x and y differ");
    CYG_REQUIRE(x->type == CYG_TYPE_F32 || (!cyg_is_float_type(x->type) && has_int_form(p->fn)),
                "the function has no form for this type");
    return NULL;
}

static int64_t unary_int(int32_t fn, int32_t type, int64_t v)
{
    switch (fn) {
    case CYG_FN_ABS:
        return v < 0 && type != CYG_TYPE_U64 ? (int64_t)(0 - (uint64_t)v) : v;
    case CYG_FN_NEG:
        return (int64_t)(0 - (uint64_t)v);
    case CYG_FN_SIGN:
        return v == 0 ? 0 : v < 0 && type != CYG_TYPE_U64 ? -1 : 1;
    case CYG_FN_RELU:
        return v < 0 && type != CYG_TYPE_U64 ? 0 : v;
    default:
        return v == 0;
    }
}

static void run_unary(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_unary *p = call->params;
    const int64_t from = begin * PIECE, to = piece_end(call, end);
    const int32_t type = call->in[0].type;
    if (type == CYG_TYPE_F32) {
        call->isa->f32_unary(p->fn, p->alpha, p->beta, to - from,
                             (const float *)call->in[0].data + from,
                             (float *)call->out[0].data + from);
        return;
    }
    for (int64_t i = from; i < to; i++)
        cyg_store_int(call->out[0].data, type, i,
                      unary_int(p->fn, type, cyg_load_int(call->in[0].data, type, i)));
}

/* ---- clip ---- */

static const char *check_clip(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 3, 1, 1);
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == y->type && cyg_count_of(x) == cyg_count_of(y), "x and y differ");
    CYG_REQUIRE(x->type != CYG_TYPE_BOOL, "f_clip of bool");
    for (uint32_t i = 1; i < 3; i++)
        if (cyg_has_in(call, i))
            CYG_REQUIRE(call->in[i].type == x->type && cyg_count_of(&call->in[i]) == 1,
                        "a limit is not one element of x's type");
    return NULL;
}

static void clip_real(const cyg_kcall *call, int64_t from, int64_t to)
{
    const int32_t type = call->in[0].type;
    const bool has_lo = cyg_has_in(call, 1), has_hi = cyg_has_in(call, 2);
    const double lo = has_lo ? cyg_load_real(call->in[1].data, type, 0) : 0;
    const double hi = has_hi ? cyg_load_real(call->in[2].data, type, 0) : 0;
    for (int64_t i = from; i < to; i++) {
        double v = cyg_load_real(call->in[0].data, type, i);
        v = has_lo && v < lo ? lo : v;
        v = has_hi && v > hi ? hi : v;
        cyg_store_real(call->out[0].data, type, i, v);
    }
}

static void run_clip(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const int64_t from = begin * PIECE, to = piece_end(call, end);
    const int32_t type = call->in[0].type;
    const bool has_lo = cyg_has_in(call, 1), has_hi = cyg_has_in(call, 2);
    if (type == CYG_TYPE_F32) {
        const float inf = cyg_f32_from(0x7f800000u);
        const float lo = has_lo ? *(const float *)call->in[1].data : -inf;
        const float hi = has_hi ? *(const float *)call->in[2].data : inf;
        const float *x = call->in[0].data;
        float *y = call->out[0].data;
        for (int64_t i = from; i < to; i++)
            y[i] = cyg_clipf(x[i], lo, hi);
    } else if (cyg_is_float_type(type)) {
        clip_real(call, from, to);
    } else {
        /* Bit 63 flipped orders u64 as s64. */
        const int64_t flip = type == CYG_TYPE_U64 ? INT64_MIN : 0;
        const int64_t lo = has_lo ? cyg_load_int(call->in[1].data, type, 0) ^ flip : INT64_MIN;
        const int64_t hi = has_hi ? cyg_load_int(call->in[2].data, type, 0) ^ flip : INT64_MAX;
        for (int64_t i = from; i < to; i++) {
            const int64_t v = cyg_load_int(call->in[0].data, type, i) ^ flip;
            cyg_store_int(call->out[0].data, type, i, cyg_min64(cyg_max64(v, lo), hi) ^ flip);
        }
    }
}

/* ---- cast ---- */

static const char *check_cast(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    CYG_REQUIRE(cyg_count_of(&call->in[0]) == cyg_count_of(&call->out[0]),
                "x and y differ in size");
    return NULL;
}

static void run_cast(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const int64_t from = begin * PIECE, to = piece_end(call, end);
    const int32_t x_type = call->in[0].type, y_type = call->out[0].type;
    const void *x = call->in[0].data;
    void *y = call->out[0].data;
    if (x_type == y_type) {
        const int64_t size = cyg_type_bytes(x_type);
        memcpy((char *)y + from * size, (const char *)x + from * size,
               (size_t)((to - from) * size));
        return;
    }
    if (cyg_is_float_type(x_type)) {
        for (int64_t i = from; i < to; i++)
            cyg_store_real(y, y_type, i, cyg_load_real(x, x_type, i));
    } else if (y_type == CYG_TYPE_F32 && x_type != CYG_TYPE_U64) { /* one rounding, not two */
        for (int64_t i = from; i < to; i++)
            ((float *)y)[i] = (float)cyg_load_int(x, x_type, i);
    } else if (y_type == CYG_TYPE_F32) {
        for (int64_t i = from; i < to; i++)
            ((float *)y)[i] = (float)((const uint64_t *)x)[i];
    } else if (cyg_is_float_type(y_type)) {
        for (int64_t i = from; i < to; i++)
            cyg_store_real(y, y_type, i, cyg_load_real(x, x_type, i));
    } else {
        for (int64_t i = from; i < to; i++)
            cyg_store_int(y, y_type, i, cyg_load_int(x, x_type, i));
    }
}

const cyg_kop_info cyg_kop_info_f_unary = {
    .name = "f_unary",
    .params_size = sizeof(cyg_kp_unary),
    .check = check_unary,
    .items = items,
    .run = run_unary,
};
const cyg_kop_info cyg_kop_info_f_clip = {
    .name = "f_clip",
    .params_size = sizeof(cyg_kp_clip),
    .check = check_clip,
    .items = items,
    .run = run_clip,
};
const cyg_kop_info cyg_kop_info_f_cast = {
    .name = "f_cast",
    .params_size = sizeof(cyg_kp_none),
    .check = check_cast,
    .items = items,
    .run = run_cast,
};

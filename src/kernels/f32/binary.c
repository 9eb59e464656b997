/* f_binary and f_where with numpy broadcasting.
 *
 * f32 arithmetic goes to the micro-kernel row by row; pow, mod, comparisons and all integer types
 * run here. Integers compute modulo 2^64 and narrow; division truncates towards zero, mod takes the
 * divisor's sign, fmod the dividend's, a zero divisor gives zero; s64's smallest / -1 wraps. Max
 * and min select by comparison: a NaN in a gives b. */
#include "kernels/broadcast.h"
#include "kernels/dispatch.h"
#include "kernels/f32/math.h"
#include "kernels/number.h"

static bool is_comparison(int32_t fn)
{
    return (fn >= CYG_BFN_EQUAL && fn <= CYG_BFN_LESS_OR_EQUAL) || fn == CYG_BFN_NOT_EQUAL;
}
static bool is_logical(int32_t fn)
{
    return fn >= CYG_BFN_AND && fn <= CYG_BFN_XOR;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 2, 1, 1);
    const cyg_kp_binary *p = call->params;
    const cyg_kbuf *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(p->fn >= 0 && p->fn < CYG_BFN_COUNT, "unknown function");
    CYG_REQUIRE(cyg_broadcast_ok(a, y) && cyg_broadcast_ok(b, y), "operands do not broadcast to y");
    if (p->fn == CYG_BFN_POW)
        CYG_REQUIRE(b->type == CYG_TYPE_F32 || !cyg_is_float_type(b->type),
                    "pow of mixed float types");
    else
        CYG_REQUIRE(a->type == b->type, "a and b differ in type");
    CYG_REQUIRE(a->type == CYG_TYPE_F32 || !cyg_is_float_type(a->type),
                "f_binary works on f32 and integers");
    if (is_comparison(p->fn))
        CYG_REQUIRE(y->type == CYG_TYPE_BOOL, "a comparison gives bool");
    else
        CYG_REQUIRE(y->type == a->type, "y has another type than a");
    if (is_logical(p->fn))
        CYG_REQUIRE(a->type != CYG_TYPE_F32, "logic on floats");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_broadcast b = cyg_broadcast_of(call->in, 2, &call->out[0]);
    return cyg_broadcast_items(&b);
}

static bool compare_f32(int32_t fn, float a, float b)
{
    switch (fn) {
    case CYG_BFN_EQUAL:
        return a == b;
    case CYG_BFN_NOT_EQUAL:
        return a != b;
    case CYG_BFN_GREATER:
        return a > b;
    case CYG_BFN_GREATER_OR_EQUAL:
        return a >= b;
    case CYG_BFN_LESS:
        return a < b;
    default:
        return a <= b;
    }
}

/* Exact remainder of |a| by |b| by shifted subtraction in binary64 steps would be slow for far
 * exponents; it is long division on the significands. */
static float fmod_f32(float a, float b)
{
    const uint32_t inf = 0x7f800000u;
    uint32_t ua = cyg_f32_bits(a) & 0x7fffffffu, ub = cyg_f32_bits(b) & 0x7fffffffu;
    const uint32_t sign = cyg_f32_bits(a) & 0x80000000u;
    if (ua >= inf || ub > inf || ub == 0)
        return cyg_f32_from(0x7fc00000u);
    if (ua < ub)
        return a;
    int32_t ea = (int32_t)(ua >> 23), eb = (int32_t)(ub >> 23);
    uint64_t ma = ea != 0 ? (ua & 0x7fffffu) | 0x800000u : ua,
             mb = eb != 0 ? (ub & 0x7fffffu) | 0x800000u : ub;
    ea = ea != 0 ? ea : 1;
    eb = eb != 0 ? eb : 1;
    ma %= mb;
    for (int32_t e = ea - eb; e > 0;) {
        const int32_t step = e < 32 ? e : 32;
        ma = (ma << step) % mb;
        e -= step;
    }
    if (ma == 0)
        return cyg_f32_from(sign);
    while (eb > 1 && ma < 0x800000u) {
        ma <<= 1;
        eb--;
    }
    const uint32_t bits =
        ma >= 0x800000u ? (uint32_t)eb << 23 | ((uint32_t)ma & 0x7fffffu) : (uint32_t)ma;
    return cyg_f32_from(sign | bits);
}

static float rare_f32(int32_t fn, float a, float b)
{
    if (fn == CYG_BFN_POW)
        return cyg_powf(a, b);
    const float r = fmod_f32(a, b);
    if (fn == CYG_BFN_FMOD || r == 0.0f)
        return r;
    return (r < 0.0f) != (b < 0.0f) ? r + b : r;
}

static int64_t pow_int(int64_t a, int64_t b)
{
    uint64_t r = 1, base = (uint64_t)a;
    if (b < 0)
        return a == 1 ? 1 : a == -1 ? ((b & 1) != 0 ? -1 : 1) : 0;
    for (uint64_t n = (uint64_t)b; n != 0; n >>= 1) {
        if ((n & 1) != 0)
            r *= base;
        base *= base;
    }
    return (int64_t)r;
}

/* Division and remainders; unsigned 64 bit apart because the others all fit int64. */
static int64_t divide(int32_t fn, bool wide, int64_t a, int64_t b)
{
    if (b == 0)
        return 0;
    if (wide)
        return fn == CYG_BFN_DIV ? (int64_t)((uint64_t)a / (uint64_t)b)
                                 : (int64_t)((uint64_t)a % (uint64_t)b);
    if (b == -1)
        return fn == CYG_BFN_DIV ? (int64_t)(0 - (uint64_t)a) : 0;
    if (fn == CYG_BFN_DIV)
        return a / b;
    const int64_t r = a % b;
    return fn == CYG_BFN_MOD && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t apply_int(int32_t fn, bool wide, int64_t a, int64_t b)
{
    const int64_t flip = wide ? INT64_MIN : 0; /* orders u64 as s64 */
    const int64_t oa = a ^ flip, ob = b ^ flip;
    switch (fn) {
    case CYG_BFN_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case CYG_BFN_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case CYG_BFN_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case CYG_BFN_DIV:
    case CYG_BFN_MOD:
    case CYG_BFN_FMOD:
        return divide(fn, wide, a, b);
    case CYG_BFN_POW:
        return pow_int(a, b);
    case CYG_BFN_EQUAL:
        return a == b;
    case CYG_BFN_NOT_EQUAL:
        return a != b;
    case CYG_BFN_GREATER:
        return oa > ob;
    case CYG_BFN_GREATER_OR_EQUAL:
        return oa >= ob;
    case CYG_BFN_LESS:
        return oa < ob;
    case CYG_BFN_LESS_OR_EQUAL:
        return oa <= ob;
    case CYG_BFN_AND:
        return a != 0 && b != 0;
    case CYG_BFN_OR:
        return a != 0 || b != 0;
    case CYG_BFN_XOR:
        return (a != 0) != (b != 0);
    case CYG_BFN_MAX:
        return oa > ob ? a : b;
    case CYG_BFN_MIN:
        return oa < ob ? a : b;
    default: /* prelu */
        return a < 0 && !wide ? (int64_t)((uint64_t)a * (uint64_t)b) : a;
    }
}

typedef struct operands {
    int64_t n, y;
    int64_t x[CYG_BROADCAST_MAX];
    const int64_t *step;
} operands;

static void run_f32(const cyg_kcall *call, int32_t fn, const operands *o)
{
    const float *a = (const float *)call->in[0].data + o->x[0];
    const float *b = (const float *)call->in[1].data + o->x[1];
    if (is_comparison(fn)) {
        uint8_t *y = (uint8_t *)call->out[0].data + o->y;
        for (int64_t i = 0; i < o->n; i++)
            y[i] = compare_f32(fn, a[i * o->step[0]], b[i * o->step[1]]);
        return;
    }
    float *y = (float *)call->out[0].data + o->y;
    if (fn == CYG_BFN_POW || fn == CYG_BFN_MOD || fn == CYG_BFN_FMOD) {
        for (int64_t i = 0; i < o->n; i++) {
            const int64_t at = o->x[1] + i * o->step[1];
            const float vb = call->in[1].type == CYG_TYPE_F32
                                 ? b[i * o->step[1]]
                                 : (float)cyg_load_real(call->in[1].data, call->in[1].type, at);
            y[i] = rare_f32(fn, a[i * o->step[0]], vb);
        }
        return;
    }
    call->isa->f32_binary(fn, o->n, a, o->step[0], b, o->step[1], y);
}

/* An integer to a float power: in binary32, cut to the integer's range. */
static void pow_int_by_f32(const cyg_kcall *call, const operands *o)
{
    const cyg_kbuf *a = &call->in[0], *y = &call->out[0];
    const float *b = (const float *)call->in[1].data + o->x[1];
    for (int64_t i = 0; i < o->n; i++) {
        const float base = (float)cyg_load_real(a->data, a->type, o->x[0] + i * o->step[0]);
        cyg_store_real(y->data, y->type, o->y + i, (double)cyg_powf(base, b[i * o->step[1]]));
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_binary *p = call->params;
    const cyg_broadcast b = cyg_broadcast_of(call->in, 2, &call->out[0]);
    const int32_t type = call->in[0].type;
    const bool wide = type == CYG_TYPE_U64;
    operands o = {.step = b.step};
    for (int64_t item = begin; item < end; item++) {
        o.n = cyg_broadcast_at(&b, 2, item, &o.y, o.x);
        if (type == CYG_TYPE_F32) {
            run_f32(call, p->fn, &o);
            continue;
        }
        if (call->in[1].type == CYG_TYPE_F32) {
            pow_int_by_f32(call, &o);
            continue;
        }
        for (int64_t i = 0; i < o.n; i++) {
            const int64_t va = cyg_load_int(call->in[0].data, type, o.x[0] + i * o.step[0]);
            const int64_t vb =
                cyg_load_int(call->in[1].data, call->in[1].type, o.x[1] + i * o.step[1]);
            cyg_store_int(call->out[0].data, call->out[0].type, o.y + i,
                          apply_int(p->fn, wide, va, vb));
        }
    }
}

/* ---- where ---- */

static const char *check_where(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 3, 3, 1, 1);
    const cyg_kbuf *y = &call->out[0];
    CYG_REQUIRE(call->in[0].type == CYG_TYPE_BOOL, "the condition is not bool");
    CYG_REQUIRE(call->in[1].type == y->type && call->in[2].type == y->type,
                "a, b and y differ in type");
    for (int i = 0; i < 3; i++)
        CYG_REQUIRE(cyg_broadcast_ok(&call->in[i], y), "operands do not broadcast to y");
    return NULL;
}

static int64_t items_where(const cyg_kcall *call)
{
    const cyg_broadcast b = cyg_broadcast_of(call->in, 3, &call->out[0]);
    return cyg_broadcast_items(&b);
}

#define CYG_WHERE(T)                                                                               \
    do {                                                                                           \
        const T *a = (const T *)call->in[1].data + x[1], *c = (const T *)call->in[2].data + x[2];  \
        T *to = (T *)call->out[0].data + y;                                                        \
        for (int64_t i = 0; i < n; i++)                                                            \
            to[i] = cond[i * b.step[0]] != 0 ? a[i * b.step[1]] : c[i * b.step[2]];                \
    } while (0)

static void run_where(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_broadcast b = cyg_broadcast_of(call->in, 3, &call->out[0]);
    for (int64_t item = begin; item < end; item++) {
        int64_t y, x[CYG_BROADCAST_MAX];
        const int64_t n = cyg_broadcast_at(&b, 3, item, &y, x);
        const uint8_t *cond = (const uint8_t *)call->in[0].data + x[0];
        switch (cyg_type_bytes(call->out[0].type)) {
        case 1:
            CYG_WHERE(uint8_t);
            break;
        case 2:
            CYG_WHERE(uint16_t);
            break;
        case 4:
            CYG_WHERE(uint32_t);
            break;
        default:
            CYG_WHERE(uint64_t);
            break;
        }
    }
}

const cyg_kop_info cyg_kop_info_f_binary = {
    .name = "f_binary",
    .params_size = sizeof(cyg_kp_binary),
    .check = check,
    .items = items,
    .run = run,
};
const cyg_kop_info cyg_kop_info_f_where = {
    .name = "f_where",
    .params_size = sizeof(cyg_kp_none),
    .check = check_where,
    .items = items_where,
    .run = run_where,
};

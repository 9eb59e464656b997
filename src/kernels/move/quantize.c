/* quantize and dequantize: ONNX QuantizeLinear and DequantizeLinear, per tensor, along an axis or
 * in blocks along an axis, our input step, and both in one (fake_quant).
 *
 * quantize: q = sat(rne(x / scale) + zero) with the scale in in[1] (a true division, as ONNX says),
 * or sat(rne(x * scale_inv) + zero) from the parameters when in[1] is absent; NaN gives the lower
 * limit. dequantize: y = (q - zero) * scale; a 32-bit difference becomes a float by one rounding.
 * Zero point: in[2], of q's type, or the parameters', or 0. */
#include "kernels/f32/math.h"
#include "kernels/number.h"

enum { PIECE = 4096 };

static bool limits_of(int32_t type, int32_t *lo, int32_t *hi)
{
    switch (type) {
    case CYG_TYPE_U8:
        *lo = 0;
        *hi = 255;
        return true;
    case CYG_TYPE_S8:
        *lo = -128;
        *hi = 127;
        return true;
    case CYG_TYPE_U16:
        *lo = 0;
        *hi = 65535;
        return true;
    case CYG_TYPE_S16:
        *lo = -32768;
        *hi = 32767;
        return true;
    default:
        return false;
    }
}

static const char *check_scale(const cyg_kcall *call, int32_t q_type)
{
    const cyg_kp_quantize *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    CYG_REQUIRE(cyg_count_of(x) == cyg_count_of(&call->out[0]), "x and y differ in size");
    CYG_REQUIRE(p->axis >= -1 && p->axis < x->rank, "axis out of range");
    CYG_REQUIRE(p->zero >= -65536 && p->zero <= 65536, "zero point out of range");
    CYG_REQUIRE(p->block >= 0 && (p->block == 0 || p->axis >= 0), "blocks without an axis");
    int64_t n = p->axis < 0 ? 1 : x->dims[p->axis];
    if (p->block > 0)
        n = cyg_count_dims(x, 0, p->axis) * cyg_div_up(n, p->block) *
            cyg_count_dims(x, p->axis + 1, x->rank);
    if (cyg_has_in(call, 1))
        CYG_REQUIRE(call->in[1].type == CYG_TYPE_F32 && cyg_count_of(&call->in[1]) == n,
                    "scale is not one f32 a channel");
    else
        CYG_REQUIRE(p->axis == -1, "several channels but no scales");
    if (cyg_has_in(call, 2))
        CYG_REQUIRE(call->in[2].type == q_type && cyg_count_of(&call->in[2]) == n,
                    "zero point is not one element of the integer type a channel");
    return NULL;
}

static const char *check_quantize(const cyg_kcall *call)
{
    int32_t lo, hi;
    CYG_REQUIRE_BUFS(call, 1, 3, 1, 1);
    CYG_REQUIRE(call->in[0].type == CYG_TYPE_F32 && limits_of(call->out[0].type, &lo, &hi),
                "quantize wants f32 in and 8 or 16 bits out");
    return check_scale(call, call->out[0].type);
}

static const char *check_dequantize(const cyg_kcall *call)
{
    int32_t lo, hi;
    CYG_REQUIRE_BUFS(call, 1, 3, 1, 1);
    CYG_REQUIRE(call->out[0].type == CYG_TYPE_F32 &&
                    (limits_of(call->in[0].type, &lo, &hi) || call->in[0].type == CYG_TYPE_S32),
                "dequantize wants 8, 16 or 32 bits in and f32 out");
    return check_scale(call, call->in[0].type);
}

/* Runs of one channel: pieces of PIECE elements, cut at channel borders by the loops below. */
static int64_t items(const cyg_kcall *call)
{
    return cyg_div_up(cyg_count_of(&call->out[0]), PIECE);
}

typedef struct channel {
    float scale;
    int32_t zero;
    int64_t end; /* first element of the next channel */
} channel;

/* Which of the blocks element i belongs to, and where its run of that block ends. */
static int64_t block_at(const cyg_kp_quantize *p, const cyg_kbuf *x, int64_t i, int64_t *out_end)
{
    const int64_t inner = cyg_count_dims(x, p->axis + 1, x->rank), size = x->dims[p->axis];
    const int64_t outer = i / (inner * size), at = i / inner % size, block = at / p->block;
    *out_end = inner > 1 ? i + 1 : outer * size + cyg_min64((block + 1) * p->block, size);
    return (outer * cyg_div_up(size, p->block) + block) * inner + i % inner;
}

static channel channel_at(const cyg_kcall *call, int64_t i, float fallback)
{
    const cyg_kp_quantize *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    channel c = {fallback, p->zero, cyg_count_of(x)};
    int64_t index = 0;
    if (p->block > 0) {
        index = block_at(p, x, i, &c.end);
    } else if (p->axis >= 0) {
        const int64_t inner = cyg_count_dims(x, p->axis + 1, x->rank);
        index = i / inner % x->dims[p->axis];
        c.end = (i / inner + 1) * inner;
    }
    if (cyg_has_in(call, 1)) {
        c.scale = ((const float *)call->in[1].data)[index];
        c.zero = cyg_has_in(call, 2)
                     ? (int32_t)cyg_load_int(call->in[2].data, call->in[2].type, index)
                     : 0;
    }
    return c;
}

#define CYG_QUANTIZE(T)                                                                            \
    for (int64_t i_ = from; i_ < to; i_++) {                                                       \
        const float v_ = x[i_];                                                                    \
        const float g_ = divide ? v_ / c.scale : v_ * c.scale;                                     \
        ((T *)y)[i_] = (T)((int32_t)cyg_rintf(cyg_minf(cyg_maxf(g_, low), high)) + c.zero);        \
    }

/* lo - zero and hi - zero are exact floats, so clamp-then-round is round-then-saturate. */
static void quantize_run(const cyg_kcall *call, channel c, bool divide, int64_t from, int64_t to)
{
    int32_t lo = 0, hi = 0;
    const int32_t type = call->out[0].type;
    limits_of(type, &lo, &hi);
    const float low = (float)(lo - c.zero), high = (float)(hi - c.zero);
    const float *x = call->in[0].data;
    void *y = call->out[0].data;
    switch (type) {
    case CYG_TYPE_U8:
        CYG_QUANTIZE(uint8_t)
        break;
    case CYG_TYPE_S8:
        CYG_QUANTIZE(int8_t)
        break;
    case CYG_TYPE_U16:
        CYG_QUANTIZE(uint16_t)
        break;
    default:
        CYG_QUANTIZE(int16_t)
        break;
    }
}

static void run_quantize(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_quantize *p = call->params;
    const int64_t last = cyg_min64(end * PIECE, cyg_count_of(&call->out[0]));
    for (int64_t i = begin * PIECE; i < last;) {
        const channel c = channel_at(call, i, p->scale_inv);
        const int64_t to = cyg_min64(c.end, last);
        quantize_run(call, c, cyg_has_in(call, 1), i, to);
        i = to;
    }
}

static void run_dequantize(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_quantize *p = call->params;
    const int64_t last = cyg_min64(end * PIECE, cyg_count_of(&call->out[0]));
    const int32_t type = call->in[0].type;
    float *y = call->out[0].data;
    for (int64_t i = begin * PIECE; i < last;) {
        const channel c = channel_at(call, i, p->scale);
        const int64_t to = cyg_min64(c.end, last);
        for (; i < to; i++)
            y[i] = (float)(cyg_load_int(call->in[0].data, type, i) - c.zero) * c.scale;
    }
}

const cyg_kop_info cyg_kop_info_quantize = {.name = "quantize",
                                            .params_size = sizeof(cyg_kp_quantize),
                                            .check = check_quantize,
                                            .items = items,
                                            .run = run_quantize};
const cyg_kop_info cyg_kop_info_dequantize = {.name = "dequantize",
                                              .params_size = sizeof(cyg_kp_quantize),
                                              .check = check_dequantize,
                                              .items = items,
                                              .run = run_dequantize};

/* ---- both in one ---- */

static const char *check_fake_quant(const cyg_kcall *call)
{
    const cyg_kp_fake_quant *p = call->params;
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    CYG_REQUIRE(call->in[0].type == CYG_TYPE_F32 && call->out[0].type == CYG_TYPE_F32,
                "fake_quant wants f32");
    CYG_REQUIRE(cyg_count_of(&call->in[0]) == cyg_count_of(&call->out[0]),
                "x and y differ in size");
    CYG_REQUIRE(p->scale > 0.0f && p->lo >= -65536.0f && p->lo <= p->hi && p->hi <= 65536.0f,
                "scale or bounds out of range");
    return NULL;
}

static void run_fake_quant(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_fake_quant *p = call->params;
    const int64_t last = cyg_min64(end * PIECE, cyg_count_of(&call->out[0]));
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    for (int64_t i = begin * PIECE; i < last; i++)
        y[i] = cyg_rintf(cyg_minf(cyg_maxf(x[i] / p->scale, p->lo), p->hi)) * p->scale;
}

const cyg_kop_info cyg_kop_info_f_fake_quant = {.name = "f_fake_quant",
                                                .params_size = sizeof(cyg_kp_fake_quant),
                                                .check = check_fake_quant,
                                                .items = items,
                                                .run = run_fake_quant};

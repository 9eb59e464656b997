/* Steps of random networks at the level of kernel calls: every family that an NPU takes, with
 * random geometry and random constants. npu_zoo.h strings them together. */
#ifndef CYG_TESTS_NPU_ZOO_STEPS_H
#define CYG_TESTS_NPU_ZOO_STEPS_H

#include "../quant/tiny_model.h"

#include "format/program.h"
#include "kernels/call.h"
#include "kernels/params.h"

typedef struct zoo {
    cyg_arena arena;
    cyg_program p;
    rng r;
    uint32_t number; /* for names */
} zoo;

static inline int64_t pick(zoo *z, int64_t low, int64_t high)
{
    return low + (int64_t)(rng_next(&z->r) % (uint32_t)(high - low + 1));
}
static inline bool coin(zoo *z)
{
    return rng_next(&z->r) % 2 == 0;
}

static inline int64_t zoo_bytes(int32_t type)
{
    return type == CYG_TYPE_U8 || type == CYG_TYPE_S8     ? 1
           : type == CYG_TYPE_U16 || type == CYG_TYPE_S16 ? 2
           : type == CYG_TYPE_S64                         ? 8
                                                          : 4;
}

static inline uint32_t zoo_tensor(zoo *z, int32_t kind, int32_t type, int rank, const int64_t *dims,
                                  const void *data)
{
    cyg_tensor t = {.name = cyg_arena_printf(&z->arena, "t%u", z->number++),
                    .type = type,
                    .rank = rank,
                    .kind = kind,
                    .scale = 1,
                    .data = data};
    memcpy(t.dims, dims, sizeof *dims * (size_t)rank);
    return cyg_program_add_tensor(&z->p, &z->arena, &t);
}

static inline uint32_t zoo_value(zoo *z, int32_t type, int rank, const int64_t *dims)
{
    return zoo_tensor(z, CYG_TENSOR_ARENA, type, rank, dims, NULL);
}

static inline uint32_t zoo_const(zoo *z, int32_t type, int rank, const int64_t *dims, void *data)
{
    return zoo_tensor(z, CYG_TENSOR_CONST, type, rank, dims, data);
}

static inline int64_t zoo_count(int rank, const int64_t *dims)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= dims[i];
    return n;
}

static inline void *zoo_alloc(zoo *z, int64_t bytes)
{
    void *p = cyg_arena_zalloc(&z->arena, (size_t)bytes + 64, 64);
    assert_non_null(p);
    return p;
}

static inline uint32_t zoo_weights(zoo *z, int rank, const int64_t *dims)
{
    const int64_t n = zoo_count(rank, dims);
    int8_t *w = zoo_alloc(z, n);
    for (int64_t i = 0; i < n; i++)
        w[i] = (int8_t)pick(z, -127, 127);
    return zoo_const(z, CYG_TYPE_S8, rank, dims, w);
}

static inline uint32_t zoo_floats(zoo *z, int rank, const int64_t *dims, float centre, float spread)
{
    const int64_t n = zoo_count(rank, dims);
    float *w = zoo_alloc(z, n * 4);
    for (int64_t i = 0; i < n; i++)
        w[i] = centre + spread * rng_unit(&z->r);
    return zoo_const(z, CYG_TYPE_F32, rank, dims, w);
}

static inline uint32_t zoo_bias(zoo *z, int32_t x_type, int64_t n)
{
    const bool wide = zoo_bytes(x_type) == 2;
    void *b = zoo_alloc(z, n * 8);
    for (int64_t i = 0; i < n; i++) {
        if (wide)
            ((int64_t *)b)[i] = pick(z, -30000, 30000);
        else
            ((int32_t *)b)[i] = (int32_t)pick(z, -30000, 30000);
    }
    return zoo_const(z, wide ? CYG_TYPE_S64 : CYG_TYPE_S32, 1, &n, b);
}

static inline cyg_isat zoo_sat(zoo *z, int32_t type)
{
    const int32_t lo = type == CYG_TYPE_U8 || type == CYG_TYPE_U16 ? 0
                       : type == CYG_TYPE_S8                       ? -127
                                                                   : -32767;
    const int32_t hi = type == CYG_TYPE_U8 ? 255 : type == CYG_TYPE_S8 ? 127 : 32767;
    const int32_t zero = lo == 0 ? (int32_t)pick(z, 0, 255) : 0;
    return (cyg_isat){.lo = (float)(lo - zero), .hi = (float)(hi - zero), .zero = zero};
}

static inline int32_t zoo_type(zoo *z)
{
    static const int32_t types[] = {CYG_TYPE_U8, CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16};
    return types[pick(z, 0, 3)];
}

static inline uint32_t zoo_step(zoo *z, int32_t op, const uint32_t *in, uint32_t in_count,
                                const uint32_t *out, uint32_t out_count, const void *params,
                                size_t size, int64_t macs)
{
    const cyg_step s = {.name = cyg_arena_printf(&z->arena, "step%u", z->p.step_count),
                        .sources = "",
                        .op = op,
                        .in = in,
                        .in_count = in_count,
                        .out = out,
                        .out_count = out_count,
                        .params = params,
                        .params_size = (uint32_t)size,
                        .macs = macs};
    assert_true(cyg_program_add_step(&z->p, &z->arena, &s));
    return out[0];
}

static inline uint32_t zoo_view(zoo *z, uint32_t of, int rank, const int64_t *dims)
{
    const uint32_t t = zoo_value(z, z->p.tensors[of].type, rank, dims);
    z->p.tensors[t].kind = CYG_TENSOR_ALIAS;
    while (z->p.tensors[of].kind == CYG_TENSOR_ALIAS)
        of = (uint32_t)z->p.tensors[of].offset;
    z->p.tensors[t].offset = of;
    return t;
}

/* ---- matrix steps ---- */

static inline cyg_kp_ilinear zoo_epilogue(zoo *z, int32_t y_type, bool residual)
{
    static const int32_t acts[] = {CYG_ACT_NONE,      CYG_ACT_NONE, CYG_ACT_GELU_ERF, CYG_ACT_SILU,
                                   CYG_ACT_HARDSWISH, CYG_ACT_RELU, CYG_ACT_SIGMOID};
    cyg_kp_ilinear p = {
        .act = acts[pick(z, 0, 6)], .inv_scale_y = 40, .r_scale = 0.5f, .r_zero = residual ? 3 : 0};
    if (y_type != CYG_TYPE_F32)
        p.sat = zoo_sat(z, y_type);
    return p;
}

/* x [.., K] -> [.., N]; residual: a tensor of y's shape, or CYG_NO_TENSOR. */
static inline uint32_t zoo_linear(zoo *z, uint32_t x, int64_t n, int32_t y_type, uint32_t residual)
{
    const cyg_tensor t = z->p.tensors[x];
    const int64_t k = t.dims[t.rank - 1], w_dims[] = {n, k};
    int64_t dims[8];
    memcpy(dims, t.dims, sizeof dims);
    dims[t.rank - 1] = n;
    const bool wide = zoo_bytes(t.type) == 2, high = wide && coin(z);
    const uint32_t y = zoo_value(z, y_type, t.rank, dims);
    const float m = (wide ? 1e-6f : 3e-4f) / sqrtf((float)k) * (y_type == CYG_TYPE_F32 ? 0.1f : 1);
    const uint32_t in[] = {x,
                           zoo_weights(z, 2, w_dims),
                           zoo_bias(z, t.type, n),
                           zoo_floats(z, 1, &n, m, m / 2),
                           residual,
                           high ? zoo_weights(z, 2, w_dims) : CYG_NO_TENSOR};
    const cyg_kp_ilinear p = zoo_epilogue(z, y_type, residual != CYG_NO_TENSOR);
    return zoo_step(z, CYG_KOP_i_linear, in,
                    high                        ? 6
                    : residual != CYG_NO_TENSOR ? 5
                                                : 4,
                    &y, 1, &p, sizeof p, zoo_count(t.rank, dims) * k);
}

static inline uint32_t zoo_conv(zoo *z, uint32_t x, int64_t n, int64_t group, int32_t y_type,
                                bool residual)
{
    const cyg_tensor t = z->p.tensors[x];
    cyg_kp_iconv2d p = {.x_zero = t.type == CYG_TYPE_U8 ? (int32_t)pick(z, 0, 255) : 0};
    cyg_kp_conv *g = &p.geometry;
    g->kh = pick(z, 1, 5);
    g->kw = pick(z, 1, 5);
    g->stride_h = pick(z, 1, 3);
    g->stride_w = pick(z, 1, 3);
    g->dilation_h = pick(z, 1, 2);
    g->dilation_w = 1;
    g->group = group;
    if (g->kh > 1) {
        g->pad_t = pick(z, 0, g->kh - 1);
        g->pad_b = pick(z, 0, g->kh - 1);
    }
    g->pad_l = pick(z, 0, g->kw - 1);
    g->pad_r = pick(z, 0, g->kw - 1);
    const int64_t high = (g->kh - 1) * g->dilation_h + 1;
    while (t.dims[1] + g->pad_t + g->pad_b < high || t.dims[2] + g->pad_l + g->pad_r < g->kw) {
        g->pad_t++;
        g->pad_l++;
    }
    if (g->pad_t >= high)
        g->pad_t = high - 1;
    const int64_t c = t.dims[3] / group, w_dims[] = {n, g->kh, g->kw, c};
    const int64_t dims[] = {t.dims[0], (t.dims[1] + g->pad_t + g->pad_b - high) / g->stride_h + 1,
                            (t.dims[2] + g->pad_l + g->pad_r - g->kw) / g->stride_w + 1, n};
    const uint32_t y = zoo_value(z, y_type, 4, dims);
    const float m = (zoo_bytes(t.type) == 2 ? 1e-6f : 3e-4f) / sqrtf((float)(c * g->kh * g->kw));
    uint32_t r = CYG_NO_TENSOR;
    if (residual) { /* of y's shape, or one row for all */
        const int64_t n_only[] = {1, n};
        int8_t *data = zoo_alloc(z, zoo_count(4, dims));
        for (int64_t i = 0; i < zoo_count(4, dims); i++)
            data[i] = (int8_t)pick(z, -128, 127);
        r = coin(z) ? zoo_const(z, CYG_TYPE_S8, 4, dims, data)
                    : zoo_const(z, CYG_TYPE_S8, 2, n_only, data);
    }
    const bool w_high = zoo_bytes(t.type) == 2 && coin(z);
    const uint32_t in[] = {x,
                           zoo_weights(z, 4, w_dims),
                           zoo_bias(z, t.type, n),
                           zoo_floats(z, 1, &n, m, m / 2),
                           r,
                           w_high ? zoo_weights(z, 4, w_dims) : CYG_NO_TENSOR};
    p.out = zoo_epilogue(z, y_type, residual);
    return zoo_step(z, CYG_KOP_i_conv2d, in,
                    w_high     ? 6
                    : residual ? 5
                               : 4,
                    &y, 1, &p, sizeof p, zoo_count(4, dims) * c * g->kh * g->kw);
}

/* ---- attention: x [images, rows, C] ---- */

static inline uint32_t zoo_attention(zoo *z, uint32_t x, int64_t entries, int64_t heads,
                                     int64_t dim)
{
    const cyg_tensor t = z->p.tensors[x];
    const int64_t images = t.dims[0], tokens = t.dims[1] / entries, c = heads * dim;
    const int32_t type = pick(z, 0, 2) == 0 ? CYG_TYPE_S16 : CYG_TYPE_S8;
    const uint32_t qkv = zoo_linear(z, x, 3 * c, type, CYG_NO_TENSOR);
    const float unit = type == CYG_TYPE_S16 ? 1.0f / 65536.0f : 1.0f;
    cyg_kp_iattention p = {.e_bits = coin(z) ? 8 : 16};
    p.at = (cyg_kp_attention){.heads = heads,
                              .head_dim = dim,
                              .tokens = tokens,
                              .entries = entries,
                              .images = images,
                              .q_stride = 3 * c,
                              .k_stride = 3 * c,
                              .v_stride = 3 * c,
                              .k_offset = c,
                              .v_offset = 2 * c,
                              .cosine = coin(z)};
    const int32_t y_type = coin(z) ? CYG_TYPE_U8 : CYG_TYPE_S16;
    const int64_t dims[] = {images, t.dims[1], c};
    p.sat = zoo_sat(z, y_type);
    uint32_t bias = CYG_NO_TENSOR, mask = CYG_NO_TENSOR, rows = CYG_NO_TENSOR;
    if (coin(z)) {
        p.at.tables = coin(z) ? 1 : coin(z) ? entries : 2;
        const int64_t b_dims[] = {p.at.tables, heads, tokens, tokens};
        bias = zoo_floats(z, 4, b_dims, 0, 8);
        if (p.at.tables > 1 && (p.at.tables != entries || coin(z))) {
            int64_t *index = zoo_alloc(z, entries * 8);
            for (int64_t i = 0; i < entries; i++)
                index[i] = pick(z, 0, p.at.tables - 1);
            mask = zoo_const(z, CYG_TYPE_S64, 1, &entries, index);
        }
    }
    if (coin(z)) { /* windows shifted and scattered: some permutation of all rows */
        const int64_t n = t.dims[1], shift = pick(z, 0, n - 1), stride = coin(z) ? 1 : entries;
        int64_t *index = zoo_alloc(z, n * 8);
        for (int64_t i = 0; i < n; i++)
            index[i] = (i % tokens * stride + i / tokens * (stride == 1 ? tokens : 1) + shift) % n;
        rows = zoo_const(z, CYG_TYPE_S64, 1, &n, index);
    }
    const uint32_t in[] = {qkv,
                           qkv,
                           qkv,
                           zoo_floats(z, 1, &heads, 2e-3f * unit, 1e-3f * unit),
                           zoo_floats(z, 1, &heads, 1, 0.5f),
                           bias,
                           mask,
                           rows};
    const uint32_t y = zoo_value(z, y_type, 3, dims);
    return zoo_step(z, CYG_KOP_i_attention, in, 8, &y, 1, &p, sizeof p,
                    2 * images * t.dims[1] * tokens * c);
}

/* ---- rows and elements ---- */

static inline uint32_t zoo_layernorm(zoo *z, uint32_t x, int32_t y_type)
{
    const cyg_tensor t = z->p.tensors[x];
    const int64_t c = t.dims[t.rank - 1];
    const cyg_kp_ilayernorm p = {.channels = c, .eps = 0.01, .sat = zoo_sat(z, y_type)};
    const uint32_t in[] = {x, zoo_floats(z, 1, &c, 40, 10), zoo_floats(z, 1, &c, 0, 10)};
    const uint32_t y = zoo_value(z, y_type, t.rank, t.dims);
    return zoo_step(z, CYG_KOP_i_layernorm, in, 3, &y, 1, &p, sizeof p, 0);
}

static inline uint32_t zoo_softmax(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    const cyg_kp_isoftmax p = {
        .c = 0.02f, .inv_scale_y = 255, .sat = {.lo = 0, .hi = 255, .zero = 0}};
    const uint32_t y = zoo_value(z, CYG_TYPE_U8, t.rank, t.dims);
    return zoo_step(z, CYG_KOP_i_softmax, &x, 1, &y, 1, &p, sizeof p, 0);
}

static inline uint32_t zoo_eltwise(zoo *z, uint32_t a, uint32_t b, int32_t y_type)
{
    const cyg_tensor t = z->p.tensors[a];
    const cyg_kp_ieltwise p = {.is_mul = coin(z),
                               .a_zero = 1,
                               .b_zero = 2,
                               .a_scale = 0.02f,
                               .b_scale = -0.4f,
                               .sat = zoo_sat(z, y_type)};
    const uint32_t in[] = {a, b}, y = zoo_value(z, y_type, t.rank, t.dims);
    return zoo_step(z, CYG_KOP_i_eltwise, in, 2, &y, 1, &p, sizeof p, 0);
}

/* With a constant that has a 1 in some places of x's shape. */
static inline uint32_t zoo_eltwise_const(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    int64_t dims[8];
    for (int i = 0; i < t.rank; i++)
        dims[i] = coin(z) ? 1 : t.dims[i];
    const int64_t n = zoo_count(t.rank, dims);
    uint8_t *data = zoo_alloc(z, n);
    for (int64_t i = 0; i < n; i++)
        data[i] = (uint8_t)pick(z, 0, 255);
    return zoo_eltwise(z, x, zoo_const(z, CYG_TYPE_U8, t.rank, dims, data), zoo_type(z));
}

static inline uint32_t zoo_requant(zoo *z, uint32_t x, int32_t y_type)
{
    const cyg_tensor t = z->p.tensors[x];
    const cyg_kp_irequant p = {.x_zero = 1,
                               .k = t.type == CYG_TYPE_F32   ? 60.0f
                                    : zoo_bytes(t.type) == 2 ? 0.01f
                                                             : 0.7f,
                               .sat = zoo_sat(z, y_type)};
    const uint32_t y = zoo_value(z, y_type, t.rank, t.dims);
    return zoo_step(z, CYG_KOP_i_requant, &x, 1, &y, 1, &p, sizeof p, 0);
}

static inline uint32_t zoo_lut(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    const cyg_kp_none p = {0};
    const bool wide = t.type == CYG_TYPE_S16;
    const int64_t n = wide ? 1025 : 256;
    int32_t *nodes = zoo_alloc(z, n * 4);
    uint8_t *bytes = zoo_alloc(z, n);
    for (int64_t i = 0; i < n; i++) {
        nodes[i] = (int32_t)pick(z, -32768, 32767);
        bytes[i] = (uint8_t)pick(z, 0, 255);
    }
    const uint32_t in[] = {x, wide ? zoo_const(z, CYG_TYPE_S32, 1, &n, nodes)
                                   : zoo_const(z, CYG_TYPE_U8, 1, &n, bytes)};
    const uint32_t y = zoo_value(z, wide ? CYG_TYPE_S16 : CYG_TYPE_U8, t.rank, t.dims);
    return zoo_step(z, wide ? CYG_KOP_i_lut16 : CYG_KOP_i_lut8, in, 2, &y, 1, &p, sizeof p, 0);
}

static inline uint32_t zoo_reduce(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    const int32_t y_type = zoo_type(z);
    cyg_kp_ireduce p = {.outer = t.dims[0], .n = 1, .inner = t.dims[t.rank - 1], .k = 0.02f};
    for (int i = 1; i + 1 < t.rank; i++)
        p.n *= t.dims[i];
    p.sat = zoo_sat(z, y_type);
    const int64_t dims[] = {p.outer, p.inner};
    const uint32_t y = zoo_value(z, y_type, 2, dims);
    return zoo_step(z, CYG_KOP_i_reduce_mean, &x, 1, &y, 1, &p, sizeof p, 0);
}

/* The largest or smallest over the axes in the middle. */
static inline uint32_t zoo_extreme(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    cyg_kp_iextreme p = {
        .outer = t.dims[0], .n = 1, .inner = t.dims[t.rank - 1], .is_min = coin(z)};
    for (int i = 1; i + 1 < t.rank; i++)
        p.n *= t.dims[i];
    const int64_t dims[] = {p.outer, p.inner};
    const uint32_t y = zoo_value(z, t.type, 2, dims);
    return zoo_step(z, CYG_KOP_i_reduce_max, &x, 1, &y, 1, &p, sizeof p, 0);
}

/* x [.., M, K] times the transpose of itself, or of its first batch for all. */
static inline uint32_t zoo_matmul(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    const int r = t.rank;
    int64_t dims[8], turned[8];
    cyg_kp_transpose turn = {0};
    cyg_kp_imatmul p = {.a_zero = t.type == CYG_TYPE_U8 ? 9 : 0,
                        .b_zero = t.type == CYG_TYPE_U8 ? 3 : 0,
                        .k = t.type == CYG_TYPE_U8 || t.type == CYG_TYPE_S8 ? 1e-3f : 1e-8f};
    const int32_t y_type = zoo_type(z);
    uint32_t b = x;
    if (coin(z) && t.dims[0] > 1) { /* one batch of b for all of a's */
        cyg_kp_slice cut = {.step = {1, 1, 1, 1, 1, 1, 1, 1}};
        memcpy(dims, t.dims, sizeof dims);
        dims[0] = 1;
        b = zoo_value(z, t.type, r, dims);
        zoo_step(z, CYG_KOP_slice, &x, 1, &b, 1, &cut, sizeof cut, 0);
    }
    for (int i = 0; i < r; i++) {
        turn.perm[i] = i < r - 2 ? i : i == r - 2 ? r - 1 : r - 2;
        turned[i] = z->p.tensors[b].dims[turn.perm[i]];
    }
    const uint32_t c = zoo_value(z, t.type, r, turned);
    zoo_step(z, CYG_KOP_transpose, &b, 1, &c, 1, &turn, sizeof turn, 0);
    memcpy(dims, t.dims, sizeof dims);
    dims[r - 1] = t.dims[r - 2];
    p.sat = zoo_sat(z, y_type);
    const uint32_t in[] = {x, c}, y = zoo_value(z, y_type, r, dims);
    return zoo_step(z, CYG_KOP_i_matmul, in, 2, &y, 1, &p, sizeof p,
                    zoo_count(r, t.dims) * t.dims[r - 2]);
}

/* x with an axis of one in front of its rows, repeated along it. */
static inline uint32_t zoo_expand(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    const int64_t all = zoo_count(t.rank, t.dims), c = t.dims[t.rank - 1];
    const int64_t seen[] = {all / c, 1, c}, dims[] = {all / c, pick(z, 1, 3), c};
    const uint32_t v = zoo_view(z, x, 3, seen), y = zoo_value(z, t.type, 3, dims);
    return zoo_step(z, CYG_KOP_expand, &v, 1, &y, 1, NULL, 0, 0);
}

static inline uint32_t zoo_pool(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    cyg_kp_ipool p = {.x_zero = t.type == CYG_TYPE_U8 ? 7 : 0};
    cyg_kp_pool *g = &p.geometry;
    g->kh = pick(z, 1, 3);
    g->kw = pick(z, 1, 3);
    g->stride_h = pick(z, 1, 2);
    g->stride_w = pick(z, 1, 2);
    g->dilation_h = g->dilation_w = 1;
    g->pad_t = pick(z, 0, g->kh - 1);
    g->pad_b = pick(z, 0, g->kh - 1);
    g->pad_l = pick(z, 0, g->kw - 1);
    g->pad_r = pick(z, 0, g->kw - 1);
    g->is_max = coin(z);
    g->count_include_pad = coin(z);
    if (t.dims[1] + g->pad_t + g->pad_b < g->kh || t.dims[2] + g->pad_l + g->pad_r < g->kw)
        g->kh = g->kw = 1, g->pad_t = g->pad_b = g->pad_l = g->pad_r = 0;
    /* Rounded up now and then: the last window hangs over the padded picture. */
    const int64_t up =
        coin(z) && g->stride_h == 2 && (t.dims[1] + g->pad_t + g->pad_b - g->kh) % 2 == 1 &&
                (t.dims[1] + g->pad_t + g->pad_b - g->kh) / 2 * 2 + 2 - g->pad_t < t.dims[1]
            ? 1
            : 0;
    const int64_t dims[] = {t.dims[0],
                            (t.dims[1] + g->pad_t + g->pad_b - g->kh) / g->stride_h + 1 + up,
                            (t.dims[2] + g->pad_l + g->pad_r - g->kw) / g->stride_w + 1, t.dims[3]};
    const int32_t y_type = g->is_max ? t.type : zoo_type(z);
    if (!g->is_max)
        p.sat = zoo_sat(z, y_type);
    const int64_t taps = g->kh * g->kw;
    float *k = zoo_alloc(z, taps * 4);
    for (int64_t i = 0; i < taps; i++)
        k[i] = 0.9f / (float)(i + 1);
    const uint32_t in[] = {x, zoo_const(z, CYG_TYPE_F32, 1, &taps, k)},
                   y = zoo_value(z, y_type, 4, dims);
    return zoo_step(z, CYG_KOP_i_pool2d, in, g->is_max ? 1 : 2, &y, 1, &p, sizeof p, 0);
}

/* ---- moves ---- */

static inline uint32_t zoo_transpose(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    cyg_kp_transpose p = {0};
    int64_t dims[8];
    for (int i = 0; i < t.rank; i++)
        p.perm[i] = i;
    for (int i = t.rank - 1; i > 0; i--) {
        const int64_t k = pick(z, 0, i), swap = p.perm[i];
        p.perm[i] = p.perm[k];
        p.perm[k] = swap;
    }
    for (int i = 0; i < t.rank; i++)
        dims[i] = t.dims[p.perm[i]];
    const uint32_t y = zoo_value(z, t.type, t.rank, dims);
    return zoo_step(z, CYG_KOP_transpose, &x, 1, &y, 1, &p, sizeof p, 0);
}

static inline uint32_t zoo_slice(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    cyg_kp_slice p = {0};
    int64_t dims[8];
    for (int i = 0; i < t.rank; i++) {
        p.step[i] = pick(z, 1, 2);
        p.start[i] = pick(z, 0, (t.dims[i] - 1) / 2);
        dims[i] = 1 + (t.dims[i] - 1 - p.start[i]) / p.step[i];
    }
    const uint32_t y = zoo_value(z, t.type, t.rank, dims);
    return zoo_step(z, CYG_KOP_slice, &x, 1, &y, 1, &p, sizeof p, 0);
}

static inline uint32_t zoo_pad(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    cyg_kp_pad p = {0};
    int64_t dims[8];
    for (int i = 0; i < t.rank; i++) {
        p.before[i] = pick(z, t.dims[i] > 2 ? -1 : 0, 2);
        p.after[i] = pick(z, t.dims[i] > 2 ? -1 : 0, 2);
        dims[i] = t.dims[i] + p.before[i] + p.after[i];
    }
    /* One value, or one for each position of y's last axis. */
    const int64_t count = coin(z) ? 1 : dims[t.rank - 1];
    uint8_t *value = zoo_alloc(z, count * 8);
    const int64_t size = zoo_bytes(t.type);
    const bool runs = coin(z); /* of equal values */
    for (int64_t i = 0; i < count * size; i++)
        value[i] =
            runs && i >= size && i / size % 5 != 0 ? value[i - size] : (uint8_t)pick(z, 0, 255);
    const uint32_t in[] = {x, zoo_const(z, t.type, 1, &count, value)},
                   y = zoo_value(z, t.type, t.rank, dims);
    return zoo_step(z, CYG_KOP_pad, in, coin(z) ? 2 : 1, &y, 1, &p, sizeof p, 0);
}

static inline uint32_t zoo_gather_rows(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    const int64_t c = t.dims[t.rank - 1], images = t.dims[0];
    const int64_t rows_in = zoo_count(t.rank, t.dims) / c / images, rows = pick(z, 1, 2 * rows_in);
    cyg_kp_gather_rows p = {
        .rows_in = rows_in, .rows_out = rows, .images = images, .fill_bits = 0x4321};
    int64_t *index = zoo_alloc(z, rows * 8);
    const bool holes = coin(z);
    for (int64_t i = 0; i < rows; i++)
        index[i] = pick(z, holes ? -1 : 0, rows_in - 1);
    const int64_t dims[] = {images, rows, c};
    const uint32_t in[] = {x, zoo_const(z, CYG_TYPE_S64, 1, &rows, index)},
                   y = zoo_value(z, t.type, 3, dims);
    return zoo_step(z, CYG_KOP_gather_rows, in, 2, &y, 1, &p, sizeof p, 0);
}

static inline uint32_t zoo_gather(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    const int64_t axis = pick(z, 0, t.rank - 1), n = pick(z, 1, 4);
    const cyg_kp_axis p = {axis};
    int64_t *index = zoo_alloc(z, n * 8), dims[8];
    for (int64_t i = 0; i < n; i++)
        index[i] = pick(z, -t.dims[axis], t.dims[axis] - 1);
    memcpy(dims, t.dims, sizeof dims);
    dims[axis] = n;
    const uint32_t in[] = {x, zoo_const(z, CYG_TYPE_S64, 1, &n, index)},
                   y = zoo_value(z, t.type, t.rank, dims);
    return zoo_step(z, CYG_KOP_gather, in, 2, &y, 1, &p, sizeof p, 0);
}

/* Split along an axis and put together again in the other order. */
static inline uint32_t zoo_split_concat(zoo *z, uint32_t x)
{
    const cyg_tensor t = z->p.tensors[x];
    const int64_t axis = pick(z, 0, t.rank - 1);
    const cyg_kp_axis p = {axis};
    if (t.dims[axis] < 2)
        return x;
    int64_t a[8], b[8];
    memcpy(a, t.dims, sizeof a);
    memcpy(b, t.dims, sizeof b);
    a[axis] = pick(z, 1, t.dims[axis] - 1);
    b[axis] = t.dims[axis] - a[axis];
    const uint32_t parts[] = {zoo_value(z, t.type, t.rank, a), zoo_value(z, t.type, t.rank, b)};
    zoo_step(z, CYG_KOP_split, &x, 1, parts, 2, &p, sizeof p, 0);
    const uint32_t turned[] = {parts[1], parts[0]}, y = zoo_value(z, t.type, t.rank, t.dims);
    return zoo_step(z, CYG_KOP_concat, turned, 2, &y, 1, &p, sizeof p, 0);
}

/* ---- networks ---- */

#endif

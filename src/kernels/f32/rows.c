/* f_layernorm, f_softmax and f_batchnorm: rows of channels.
 *
 * Layer norm: mean, then the mean of squared distances from it (two passes: no cancellation), both
 * with the 16-partial rule; y = fma((x - mean) * (1 / sqrt(variance + epsilon)), gamma, beta).
 * RMS norm: x * (1 / sqrt(mean of x^2 + epsilon)) * gamma, the mean with the same rule.
 * Softmax: exp(x - max) times 1 / sum. Along an axis that isn't the last one, all three gather
 * rows into scratch and scatter them back. Batch norm folds a channel into y = fma(x, a, b), a =
 * scale / sqrt(var + epsilon), b = fma(-mean, a, bias). */
#include "kernels/dispatch.h"
#include "kernels/f32/math.h"
#include "kernels/shape.h"

/* ---- layer norm ---- */

static const char *check_layernorm(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 3, 1, 1);
    const cyg_kp_layernorm *p = call->params;
    const cyg_kbuf *x = &call->in[0], *gamma = &call->in[1];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && gamma->type == CYG_TYPE_F32 &&
                    call->out[0].type == CYG_TYPE_F32,
                "f_layernorm works on f32");
    int64_t block;
    CYG_REQUIRE(p->channels >= 1 && p->inner >= 1 && cyg_mul_i64(p->channels, p->inner, &block) &&
                    cyg_count_of(x) % block == 0 && cyg_count_of(x) == cyg_count_of(&call->out[0]),
                "x and y are not rows of channels");
    CYG_REQUIRE(p->rms == 0 || !cyg_has_in(call, 2), "RMS norm has no beta");
    CYG_REQUIRE(cyg_count_of(gamma) == p->channels, "gamma is not [channels]");
    if (cyg_has_in(call, 2))
        CYG_REQUIRE(call->in[2].type == CYG_TYPE_F32 && cyg_count_of(&call->in[2]) == p->channels,
                    "beta is not f32 [channels]");
    return NULL;
}

static int64_t items_layernorm(const cyg_kcall *call)
{
    const cyg_kp_layernorm *p = call->params;
    return cyg_count_of(&call->out[0]) / p->channels;
}

static size_t scratch_layernorm(const cyg_kcall *call)
{
    const cyg_kp_layernorm *p = call->params;
    return p->inner > 1 || p->rms ? 2 * cyg_align_up((size_t)p->channels * sizeof(float), 64) : 0;
}

/* `squares` has room for a row. */
static void rms_row(const cyg_kcall *call, const float *from, float *squares, float *to)
{
    const cyg_kp_layernorm *p = call->params;
    call->isa->f32_binary(CYG_BFN_MUL, p->channels, from, 1, from, 1, squares);
    const float mean = call->isa->f32_reduce(CYG_REDUCE_MEAN, p->channels, squares);
    const float by = 1.0f / __builtin_sqrtf(mean + p->epsilon);
    call->isa->f32_binary(CYG_BFN_MUL, p->channels, from, 1, &by, 0, to);
    call->isa->f32_binary(CYG_BFN_MUL, p->channels, to, 1, call->in[1].data, 1, to);
}

static void run_layernorm(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_layernorm *p = call->params;
    const float *beta = cyg_has_in(call, 2) ? call->in[2].data : NULL;
    float *row = scratch, *second = row + cyg_align_up((size_t)p->channels, 16);
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = i / p->inner * p->channels * p->inner + i % p->inner;
        const float *from = (const float *)call->in[0].data + at;
        float *const out = (float *)call->out[0].data + at, *to = out;
        for (int64_t c = 0; p->inner > 1 && c < p->channels; c++)
            row[c] = from[c * p->inner];
        if (p->inner > 1)
            from = to = row;
        if (p->rms)
            rms_row(call, from, second, to);
        else
            call->isa->f32_layernorm(p->channels, from, call->in[1].data, beta, p->epsilon, to);
        for (int64_t c = 0; p->inner > 1 && c < p->channels; c++)
            out[c * p->inner] = row[c];
    }
}

/* ---- softmax ---- */

static const char *check_softmax(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_softmax *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && call->out[0].type == CYG_TYPE_F32,
                "f_softmax works on f32");
    CYG_REQUIRE(cyg_same_dims(x, &call->out[0]), "x and y differ in shape");
    CYG_REQUIRE(p->axis >= 0 && p->axis < x->rank, "axis out of range");
    return NULL;
}

static int64_t items_softmax(const cyg_kcall *call)
{
    const cyg_kp_softmax *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    if (cyg_count_of(x) == 0)
        return 0;
    return cyg_count_of(x) / x->dims[p->axis];
}

static size_t scratch_softmax(const cyg_kcall *call)
{
    const cyg_kp_softmax *p = call->params;
    return cyg_align_up((size_t)call->in[0].dims[p->axis] * sizeof(float), 64);
}

static void run_softmax(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_softmax *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    const int64_t n = x->dims[p->axis], inner = cyg_count_dims(x, p->axis + 1, x->rank);
    float *row = scratch;
    for (int64_t item = begin; item < end; item++) {
        const int64_t at = item / inner * n * inner + item % inner;
        const float *from = (const float *)x->data + at;
        float *to = (float *)call->out[0].data + at;
        if (inner == 1) {
            call->isa->f32_softmax(n, from, 1.0f, NULL, p->is_log, to);
            continue;
        }
        for (int64_t i = 0; i < n; i++)
            row[i] = from[i * inner];
        call->isa->f32_softmax(n, row, 1.0f, NULL, p->is_log, row);
        for (int64_t i = 0; i < n; i++)
            to[i * inner] = row[i];
    }
}

/* ---- batch norm ---- */

static const char *check_batchnorm(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 5, 5, 1, 1);
    const cyg_kbuf *x = &call->in[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && call->out[0].type == CYG_TYPE_F32,
                "f_batchnorm works on f32");
    CYG_REQUIRE(cyg_same_dims(x, &call->out[0]), "x and y differ in shape");
    CYG_REQUIRE(x->rank >= 1, "x has no axes");
    for (uint32_t i = 1; i < 5; i++)
        CYG_REQUIRE(call->in[i].type == CYG_TYPE_F32 &&
                        cyg_count_of(&call->in[i]) == (x->rank >= 2 ? x->dims[1] : 1),
                    "scale, bias, mean or variance is not f32 [C]");
    return NULL;
}

static int64_t items_batchnorm(const cyg_kcall *call)
{
    const cyg_kbuf *x = &call->in[0];
    if (cyg_count_of(x) == 0)
        return 0;
    return x->rank >= 2 ? x->dims[0] * x->dims[1] : x->dims[0];
}

static void run_batchnorm(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_batchnorm *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    const int64_t channels = x->rank >= 2 ? x->dims[1] : 1,
                  inner = cyg_count_dims(x, 2, x->rank > 2 ? x->rank : 2);
    const float *scale = call->in[1].data, *bias = call->in[2].data;
    const float *mean = call->in[3].data, *variance = call->in[4].data;
    for (int64_t item = begin; item < end; item++) {
        const int64_t c = item % channels;
        const float a = scale[c] / __builtin_sqrtf(variance[c] + p->epsilon);
        const float b = cyg_fmaf(-mean[c], a, bias[c]);
        const float *from = (const float *)x->data + item * inner;
        float *to = (float *)call->out[0].data + item * inner;
        for (int64_t i = 0; i < inner; i++)
            to[i] = b;
        call->isa->f32_fma(inner, from, 1, &a, 0, to);
    }
}

const cyg_kop_info cyg_kop_info_f_layernorm = {
    .name = "f_layernorm",
    .params_size = sizeof(cyg_kp_layernorm),
    .check = check_layernorm,
    .items = items_layernorm,
    .scratch = scratch_layernorm,
    .run = run_layernorm,
};
const cyg_kop_info cyg_kop_info_f_softmax = {
    .name = "f_softmax",
    .params_size = sizeof(cyg_kp_softmax),
    .check = check_softmax,
    .items = items_softmax,
    .scratch = scratch_softmax,
    .run = run_softmax,
};
const cyg_kop_info cyg_kop_info_f_batchnorm = {
    .name = "f_batchnorm",
    .params_size = sizeof(cyg_kp_batchnorm),
    .check = check_batchnorm,
    .items = items_batchnorm,
    .run = run_batchnorm,
};

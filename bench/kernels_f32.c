/* Speed of the float kernels: GFLOP/s, and percent of the fma rate that this machine reaches on
 * registers alone.
 *
 * Usage: kernels_f32 [level [threads]]. Each case runs until 0.3 s have passed; the best run
 * counts. Shapes are those of Swin-T, DeiT-S and ResNet-50. A bench, not a test: it prints and
 * asserts nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/pool.h"
#include "kernels/dispatch.h"
#include "kernels/shape.h"

enum { MAX_WORKERS = 64 };

typedef struct bench {
    cyg_kcall call;
    cyg_kbuf in[8], out[1];
    const cyg_kop_info *info;
    char *scratch;
    size_t scratch_bytes;
} bench;

static cyg_pool *pool;
static double peak;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, cyg_align_up(bytes + 64, 64));
    if (p == NULL)
        exit(1);
    memset(p, 0, bytes);
    return p;
}

static cyg_kbuf tensor(int32_t rank, const int64_t *dims)
{
    cyg_kbuf b = {.type = CYG_TYPE_F32, .rank = rank, .is_const = 1};
    memcpy(b.dims, dims, (size_t)rank * sizeof dims[0]);
    const int64_t n = cyg_count_of(&b);
    float *x = aligned((size_t)n * 4);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((i * 2654435761) % 1000) * 1e-3f - 0.5f;
    b.data = x;
    return b;
}
#define T(...)                                                                                     \
    tensor((int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (const int64_t[]){__VA_ARGS__})

static void body(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const bench *b = arg;
    b->info->run(&b->call, begin, end, b->scratch + worker * b->scratch_bytes);
}

static void report(const char *name, int op, const void *params, uint32_t inputs,
                   const cyg_kbuf *in, cyg_kbuf out, int level, double flops)
{
    bench b = {.call = {.op = op, .in_count = inputs, .out_count = 1, .params = params}};
    memcpy(b.in, in, inputs * sizeof *in);
    b.in[0].is_const = 0;
    b.out[0] = out;
    b.call.in = b.in;
    b.call.out = b.out;
    b.call.isa = cyg_kernels_for(level);
    b.info = cyg_kop_info_of(op);
    const char *wrong = b.info->check(&b.call);
    if (wrong != NULL) {
        printf("%-34s %s\n", name, wrong);
        return;
    }
    void *prepared = NULL;
    if (b.info->prepare_size != NULL && b.info->prepare_size(&b.call) > 0) {
        prepared = aligned(b.info->prepare_size(&b.call));
        b.info->prepare(&b.call, prepared);
        b.call.prepared = prepared;
    }
    b.scratch_bytes = cyg_align_up(b.info->scratch != NULL ? b.info->scratch(&b.call) : 0, 64);
    b.scratch = aligned(b.scratch_bytes * MAX_WORKERS);
    const int64_t items = b.info->items(&b.call);
    double best = 1e9;
    for (double until = now() + 0.3; now() < until;) {
        const double start = now();
        cyg_pool_for(pool, items, 0, body, &b);
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    printf("%-34s %9.3f ms %8.1f GFLOP/s %5.1f %%\n", name, best * 1e3, flops / best * 1e-9,
           flops / best * 1e-9 / peak * 100);
    free(b.scratch);
    free(prepared);
    for (uint32_t i = 0; i < inputs; i++)
        free(b.in[i].data);
    free(out.data);
}

/* A tile whose operands stay in the first-level cache: what the fma units give on this machine. */
static void fma_body(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const cyg_kernels *isa = arg;
    static float a[12 * 256], b[2 * 16 * 256], c[MAX_WORKERS][12 * 32];
    for (int64_t i = begin; i < end; i++)
        isa->f32_gemm(12, 32, 256, a, 256, b, 16 * 256, c[worker % MAX_WORKERS], 32, 0);
}

static void measure_peak(int level)
{
    enum { COUNT = 4000 };
    double best = 1e9;
    for (int i = 0; i < 30; i++) {
        union {
            const cyg_kernels *isa;
            void *arg;
        } u = {.isa = cyg_kernels_for(level)};
        const double start = now();
        cyg_pool_for(pool, COUNT, 0, fma_body, u.arg);
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    peak = 2.0 * 12 * 32 * 256 * COUNT / best * 1e-9;
    printf("tile in cache: %.1f GFLOP/s = 100 %%\n", peak);
}

static void linear(const char *name, int64_t m, int64_t n, int64_t k, int act, int level)
{
    const cyg_kp_linear p = {.act = act};
    const cyg_kbuf in[3] = {T(m, k), T(n, k), T(n)};
    report(name, CYG_KOP_f_linear, &p, 3, in, T(m, n), level, 2.0 * (double)(m * n * k));
}

static void conv(const char *name, bool last, int64_t c, int64_t o, int64_t hw, int64_t k,
                 int64_t stride, int64_t group, int level)
{
    const int64_t pad = stride == k ? 0 : k / 2, out = (hw + 2 * pad - k) / stride + 1;
    const cyg_kp_conv p = {.kh = k,
                           .kw = k,
                           .stride_h = stride,
                           .stride_w = stride,
                           .pad_t = pad,
                           .pad_l = pad,
                           .pad_b = pad,
                           .pad_r = pad,
                           .dilation_h = 1,
                           .dilation_w = 1,
                           .group = group};
    const double flops = 2.0 * (double)(out * out * o * (c / group) * k * k);
    if (last) {
        const cyg_kbuf in[3] = {T(1, hw, hw, c), T(o, k, k, c / group), T(o)};
        report(name, CYG_KOP_f_conv2d, &p, 3, in, T(1, out, out, o), level, flops);
    } else {
        const cyg_kbuf in[3] = {T(1, c, hw, hw), T(o, c / group, k, k), T(o)};
        report(name, CYG_KOP_f_conv, &p, 3, in, T(1, o, out, out), level, flops);
    }
}

/* masked: a quarter of the pairs, as in the windows at a shifted picture's edge. */
static void attention(const char *name, int64_t entries, int64_t heads, int64_t tokens, int64_t d,
                      bool masked, int level)
{
    const int64_t c = heads * d, rows = entries * tokens;
    const cyg_kp_fattention p = {.at = {.heads = heads,
                                        .head_dim = d,
                                        .tokens = tokens,
                                        .entries = entries,
                                        .images = 1,
                                        .q_stride = c,
                                        .k_stride = c,
                                        .v_stride = c,
                                        .tables = 1,
                                        .scale = 0.1f},
                                 .keys = tokens,
                                 .value_dim = d};
    const cyg_kbuf in[4] = {T(rows, c), T(rows, c), T(rows, c), T(1, heads, tokens, tokens)};
    float *bias = in[3].data;
    for (int64_t i = 0; masked && i < heads * tokens * tokens; i++)
        bias[i] -= i % 4 == 0 ? 100.0f : 0.0f;
    report(name, CYG_KOP_f_attention, &p, 4, in, T(rows, c), level,
           4.0 * (double)(entries * heads * tokens * tokens * d));
}

int main(int argc, char **argv)
{
    int level = CYG_CPU_C;
    for (int i = 0; i < CYG_CPU_COUNT; i++)
        if (cyg_cpu_has((cyg_cpu_level_id)i) &&
            (argc < 2 || strcmp(argv[1], cyg_cpu_name((cyg_cpu_level_id)i)) == 0))
            level = i;
    pool = cyg_pool_create(argc > 2 ? (unsigned)atoi(argv[2]) : 1);
    printf("level %s, %u threads\n", cyg_cpu_name((cyg_cpu_level_id)level), cyg_pool_threads(pool));
    measure_peak(level);
    linear("swin-t qkv 3136x288x96", 3136, 288, 96, CYG_ACT_NONE, level);
    linear("swin-t fc1 3136x384x96 gelu", 3136, 384, 96, CYG_ACT_GELU_ERF, level);
    linear("swin-t fc2 196x384x1536", 196, 384, 1536, CYG_ACT_NONE, level);
    linear("swin-t fc1 49x3072x768", 49, 3072, 768, CYG_ACT_NONE, level);
    linear("deit-s fc1 197x1536x384 gelu", 197, 1536, 384, CYG_ACT_GELU_ERF, level);
    linear("vit-l fc2 197x1024x4096", 197, 1024, 4096, CYG_ACT_NONE, level);
    linear("head 1x1000x768", 1, 1000, 768, CYG_ACT_NONE, level);
    conv("resnet 3x3 64x56 nchw", false, 64, 64, 56, 3, 1, 1, level);
    conv("resnet 3x3 64x56 nhwc", true, 64, 64, 56, 3, 1, 1, level);
    conv("resnet 3x3 512x7 nchw", false, 512, 512, 7, 3, 1, 1, level);
    conv("resnet 3x3 512x7 nhwc", true, 512, 512, 7, 3, 1, 1, level);
    conv("resnet 1x1 256x64 56 nchw", false, 256, 64, 56, 1, 1, 1, level);
    conv("resnet 7x7/2 3x224 nchw", false, 3, 64, 224, 7, 2, 1, level);
    conv("patch 4x4 3x224 nhwc", true, 3, 96, 224, 4, 4, 1, level);
    conv("depthwise 3x3 192x56 nchw", false, 192, 192, 56, 3, 1, 192, level);
    conv("depthwise 3x3 192x56 nhwc", true, 192, 192, 56, 3, 1, 192, level);
    attention("swin-t window 64x3x49x32", 64, 3, 49, 32, false, level);
    attention("the same, masked with -100", 64, 3, 49, 32, true, level);
    attention("deit-s 1x6x197x64", 1, 6, 197, 64, false, level);
    const cyg_kp_layernorm ln = {.channels = 96, .inner = 1, .epsilon = 1e-5f};
    const cyg_kbuf ln_in[3] = {T(3136, 96), T(96), T(96)};
    report("layernorm 3136x96 (8 flop an element)", CYG_KOP_f_layernorm, &ln, 3, ln_in, T(3136, 96),
           level, 8.0 * 3136 * 96);
    const cyg_kp_unary gelu = {.fn = CYG_FN_GELU_ERF};
    const cyg_kbuf gelu_in[1] = {T(3136, 384)};
    report("gelu 3136x384 (45 flop)", CYG_KOP_f_unary, &gelu, 1, gelu_in, T(3136, 384), level,
           45.0 * 3136 * 384);
    const cyg_kp_transpose tr = {.perm = {0, 2, 1}};
    const cyg_kbuf tr_in[1] = {T(1, 3136, 384)};
    report("transpose 3136x384 (elements)", CYG_KOP_transpose, &tr, 1, tr_in, T(1, 384, 3136),
           level, 3136.0 * 384);
    cyg_pool_destroy(pool);
    return 0;
}

/* Speed of the integer kernels: the tile kernel alone on data that stays in level 1, i_linear on
 * shapes of Swin-T and DeiT-Ti, and the row kernels, each against the dot-product rate that this
 * machine reaches with nothing but independent dot products in a loop. Prints GMAC/s and per cent
 * of that peak, best of several runs. Usage: kernels_int [level]. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "kernels/call.h"
#include "kernels/dispatch.h"
#include "kernels/params.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* 16 independent chains: enough for any latency times rate. */
__attribute__((target("avx512f,avx512vnni"))) static double peak_macs(int64_t rounds)
{
    __m512i acc[16], x = _mm512_set1_epi32(0x01020304), w = _mm512_set1_epi32(0x01010101);
    for (int i = 0; i < 16; i++)
        acc[i] = _mm512_setzero_si512();
    for (int64_t r = 0; r < rounds; r++) {
#define DOT(i) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(acc[i]) : "v"(x), "v"(w));
        DOT(0)
        DOT(1)
        DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10) DOT(11) DOT(12) DOT(13)
            DOT(14) DOT(15)
    }
    return (double)rounds * 16 * 64;
}
#else
static double peak_macs(int64_t rounds)
{
    (void)rounds;
    return 0;
}
#endif

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double measure_peak(void)
{
    double best = 0;
    for (int i = 0; i < 60; i++) {
        const double start = now(), macs = peak_macs(100000), rate = macs / (now() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

static void *fresh(size_t size)
{
    uint8_t *p = aligned_alloc(64, (size + 127) / 64 * 64);
    if (p == NULL)
        exit(1);
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(i * 37 + i / 251);
    return p;
}

static cyg_kbuf buffer(int32_t type, int64_t bytes, int64_t rows, int64_t columns, int is_const)
{
    cyg_kbuf b = {.type = type, .rank = 2, .dims = {rows, columns}, .is_const = is_const};
    b.data = fresh((size_t)(rows * columns * bytes));
    if (type == CYG_TYPE_F32)
        for (int64_t i = 0; i < rows * columns; i++)
            ((float *)b.data)[i] = 1e-4f * (float)(i % 17 + 1);
    return b;
}

/* Seconds of one run of the call, best of many. */
static double time_call(cyg_kcall *call)
{
    const cyg_kop_info *info = cyg_kop_info_of(call->op);
    const char *complaint = info->check(call);
    if (complaint != NULL) {
        fprintf(stderr, "%s: %s\n", info->name, complaint);
        exit(1);
    }
    void *scratch = fresh(info->scratch != NULL ? info->scratch(call) : 0);
    void *prepared = NULL;
    if (info->prepare_size != NULL) {
        prepared = fresh(info->prepare_size(call));
        info->prepare(call, prepared);
    }
    call->prepared = prepared;
    const int64_t items = info->items(call);
    double best = 1e9;
    for (double spent = 0; spent < 0.15;) {
        const double start = now();
        info->run(call, 0, items, scratch);
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
        spent += seconds + 1e-6;
    }
    free(scratch);
    free(prepared);
    return best;
}

static void report(const char *name, double seconds, double macs, double peak)
{
    printf("  %-44s %9.1f us %8.1f GMAC/s", name, seconds * 1e6, macs / seconds * 1e-9);
    if (peak > 0)
        printf(" %6.1f %% of peak", 100 * macs / seconds / peak);
    printf("\n");
}

static void bench_tile(const struct cyg_kernels *isa, double peak)
{
    const cyg_igemm *g = isa->igemm();
    for (int64_t k = 96; k <= 384; k *= 2) {
        const int64_t groups = g->wide ? k / 2 : k / 4;
        uint8_t *a = fresh((size_t)(g->mr * groups * 4)), *b = fresh((size_t)(g->nr * groups * 4));
        int32_t *bias = fresh((size_t)g->nr * 4), *c = fresh((size_t)(g->nr * g->mr) * 4);
        double best = 1e9;
        const int rounds = 2000;
        for (int i = 0; i < 30; i++) {
            const double start = now();
            for (int r = 0; r < rounds; r++)
                g->tile(groups, a, groups * 4, b, bias, c, g->nr, g->mr, g->nr);
            const double seconds = (now() - start) / rounds;
            best = seconds < best ? seconds : best;
        }
        char name[64];
        snprintf(name, sizeof name, "tile %dx%d K=%d, in level 1", g->mr, g->nr, (int)k);
        report(name, best, (double)(g->mr * g->nr * k), peak);
        free(a);
        free(b);
        free(bias);
        free(c);
    }
}

static void bench_linear(const struct cyg_kernels *isa, double peak, int64_t rows, int64_t n,
                         int64_t k, int32_t act, int32_t y_type, int residual)
{
    const cyg_kp_ilinear p = {.act = act,
                              .inv_scale_y = 40.0f,
                              .r_scale = 0.5f,
                              .sat = {y_type == CYG_TYPE_U8 ? 0.0f : -32767.0f,
                                      y_type == CYG_TYPE_U8 ? 255.0f : 32767.0f, 0, 0}};
    cyg_kbuf in[5] = {buffer(CYG_TYPE_U8, 1, rows, k, 0), buffer(CYG_TYPE_S8, 1, n, k, 1),
                      buffer(CYG_TYPE_S32, 4, 1, n, 1), buffer(CYG_TYPE_F32, 4, 1, n, 1),
                      buffer(CYG_TYPE_S16, 2, rows, n, 0)};
    cyg_kbuf out = buffer(y_type, y_type == CYG_TYPE_U8 ? 1 : 2, rows, n, 0);
    cyg_kcall call = {.op = CYG_KOP_i_linear,
                      .in_count = residual ? 5u : 4u,
                      .out_count = 1,
                      .in = in,
                      .out = &out,
                      .params = &p,
                      .isa = isa};
    char name[96];
    snprintf(name, sizeof name, "linear %dx%dx%d%s%s", (int)rows, (int)n, (int)k,
             act == CYG_ACT_GELU_ERF ? " gelu" : "", residual ? " + residual s16" : "");
    report(name, time_call(&call), (double)rows * (double)n * (double)k, peak);
    for (int i = 0; i < 5; i++)
        free(in[i].data);
    free(out.data);
}

static void bench_layernorm(const struct cyg_kernels *isa, int64_t rows, int64_t c)
{
    const cyg_kp_ilayernorm p = {.channels = c, .eps = 0.1, .sat = {0, 255, 0, 0}};
    cyg_kbuf in[3] = {buffer(CYG_TYPE_S16, 2, rows, c, 0), buffer(CYG_TYPE_F32, 4, 1, c, 1),
                      buffer(CYG_TYPE_F32, 4, 1, c, 1)};
    cyg_kbuf out = buffer(CYG_TYPE_U8, 1, rows, c, 0);
    cyg_kcall call = {.op = CYG_KOP_i_layernorm,
                      .in_count = 3,
                      .out_count = 1,
                      .in = in,
                      .out = &out,
                      .params = &p,
                      .isa = isa};
    const double seconds = time_call(&call);
    printf("  layernorm %dx%d s16 -> u8 %30.1f us %8.2f Gelement/s\n", (int)rows, (int)c,
           seconds * 1e6, (double)(rows * c) / seconds * 1e-9);
    for (int i = 0; i < 3; i++)
        free(in[i].data);
    free(out.data);
}

static void bench_attention(const struct cyg_kernels *isa, double peak, int64_t entries,
                            int64_t heads, int64_t dim, int64_t tokens, int32_t e_bits)
{
    const int64_t channels = heads * dim, rows = entries * tokens;
    const cyg_kp_iattention p = {.at = {.heads = heads,
                                        .head_dim = dim,
                                        .tokens = tokens,
                                        .entries = entries,
                                        .images = 1,
                                        .q_stride = 3 * channels,
                                        .k_stride = 3 * channels,
                                        .v_stride = 3 * channels,
                                        .k_offset = channels,
                                        .v_offset = 2 * channels,
                                        .tables = 1},
                                 .e_bits = e_bits,
                                 .sat = {-128, 127, 128, 0}};
    cyg_kbuf in[6] = {buffer(CYG_TYPE_S8, 1, rows, 3 * channels, 0)};
    in[1] = in[2] = in[0];
    in[3] = buffer(CYG_TYPE_F32, 4, 1, heads, 1);
    in[4] = buffer(CYG_TYPE_F32, 4, 1, heads, 1);
    in[5] = buffer(CYG_TYPE_F32, 4, heads * tokens, tokens, 1);
    cyg_kbuf out = buffer(CYG_TYPE_U8, 1, rows, channels, 0);
    cyg_kcall call = {.op = CYG_KOP_i_attention,
                      .in_count = 6,
                      .out_count = 1,
                      .in = in,
                      .out = &out,
                      .params = &p,
                      .isa = isa};
    char name[96];
    snprintf(name, sizeof name, "attention %dx%d heads, %d tokens, d=%d, e%d", (int)entries,
             (int)heads, (int)tokens, (int)dim, e_bits);
    report(name, time_call(&call), 2.0 * (double)(entries * heads * tokens * tokens * dim), peak);
    free(in[0].data);
    for (int i = 3; i < 6; i++)
        free(in[i].data);
    free(out.data);
}

static void bench_level(int level, double peak)
{
    const struct cyg_kernels *isa = cyg_kernels_for(level);
    printf("%s\n", cyg_cpu_name((cyg_cpu_level_id)level));
    bench_tile(isa, peak);
    /* Swin-T, one image: qkv, proj, fc1, fc2 of each stage. */
    static const int64_t stages[4][2] = {{3136, 96}, {784, 192}, {196, 384}, {49, 768}};
    for (int s = 0; s < 4; s++) {
        const int64_t m = stages[s][0], c = stages[s][1];
        bench_linear(isa, peak, m, 3 * c, c, CYG_ACT_NONE, CYG_TYPE_U8, 0);
        bench_linear(isa, peak, m, c, c, CYG_ACT_NONE, CYG_TYPE_S16, 1);
        bench_linear(isa, peak, m, 4 * c, c, CYG_ACT_GELU_ERF, CYG_TYPE_U8, 0);
        bench_linear(isa, peak, m, c, 4 * c, CYG_ACT_NONE, CYG_TYPE_S16, 1);
    }
    bench_linear(isa, peak, 1, 1000, 768, CYG_ACT_NONE, CYG_TYPE_S16, 0);
    bench_layernorm(isa, 3136, 96);
    bench_layernorm(isa, 196, 384);
    bench_attention(isa, peak, 64, 3, 32, 49, 8);
    bench_attention(isa, peak, 4, 12, 32, 49, 8);
    bench_attention(isa, peak, 1, 3, 64, 197, 8);
    bench_attention(isa, peak, 1, 3, 64, 197, 16);
}

int main(int argc, char **argv)
{
    const double peak = cyg_cpu_has(CYG_CPU_AVX512VNNI) ? measure_peak() : 0;
    if (peak > 0)
        printf("vpdpbusd peak, 512 bit: %.1f GMAC/s\n", peak * 1e-9);
    for (int level = 0; level < CYG_CPU_COUNT; level++)
        if (cyg_cpu_has((cyg_cpu_level_id)level) &&
            (argc < 2 || strcmp(argv[1], cyg_cpu_name((cyg_cpu_level_id)level)) == 0))
            bench_level(level, peak);
    return 0;
}

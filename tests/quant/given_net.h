/* Nets with QuantizeLinear and DequantizeLinear, written as text, for the tests of given scales. */
#ifndef CYG_TESTS_GIVEN_NET_H
#define CYG_TESTS_GIVEN_NET_H

#include <stdarg.h>

#include "../testing.h"

#include "quant/qdq.h"

enum { TEXT = 1 << 16, INPUT = 512, OUTPUT = 4096 };

typedef struct net {
    char text[TEXT];
    size_t used;
    uint32_t seed;
} net;

CYG_PRINTF(2, 3)
static inline void add(net *t, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    t->used += (size_t)vsnprintf(t->text + t->used, TEXT - t->used, fmt, list);
    va_end(list);
    assert_true(t->used < TEXT);
}

static inline void begin(net *t)
{
    t->used = 0;
    t->seed = 12345;
    add(t, "graph \"given\" opset 18\n");
}

static inline int32_t number(net *t, int32_t lo, int32_t hi)
{
    t->seed = t->seed * 1664525u + 1013904223u;
    return lo + (int32_t)((t->seed >> 8) % (uint32_t)(hi - lo + 1));
}

/* const %name: type[dims] of random integers, the two ends among them. */
static inline void integers(net *t, const char *name, const char *type, const char *dims, int count,
                            int32_t lo, int32_t hi)
{
    add(t, "const %%%s: %s[%s] = [", name, type, dims);
    for (int i = 0; i < count; i++)
        add(t, "%s%d", i > 0 ? ", " : "", i == 0 ? lo : i == 1 ? hi : number(t, lo, hi));
    add(t, "]\n");
}

static inline void scales(net *t, const char *name, int count, double from)
{
    add(t, "const %%%s: f32[%d] = [", name, count);
    for (int i = 0; i < count; i++)
        add(t, "%s%.9g", i > 0 ? ", " : "", from * (1.0 + 0.1 * i));
    add(t, "]\n");
}

/* %to = DequantizeLinear(QuantizeLinear(%from)). */
static inline void pair(net *t, const char *from, const char *to, const char *dims,
                        const char *type, double scale, int zero)
{
    add(t, "const %%%s_s: f32[] = [%.9g]\nconst %%%s_z: %s[] = [%d]\n", to, scale, to, type, zero);
    add(t, "%%%s_q: %s[%s] = quantize_linear(%%%s, %%%s_s, %%%s_z)\n", to, type, dims, from, to,
        to);
    add(t, "%%%s: f32[%s] = dequantize_linear(%%%s_q, %%%s_s, %%%s_z)\n", to, dims, to, to, to);
}

static inline void say(const cyg_ctx *ctx)
{
    for (size_t i = 0; i < cyg_ctx_message_count(ctx); i++)
        print_message("  %s\n", cyg_ctx_message(ctx, i));
}

#define MUST(ctx, expr)                                                                            \
    do {                                                                                           \
        if ((expr) != CYG_OK) {                                                                    \
            say(ctx);                                                                              \
            fail_msg("%s", #expr);                                                                 \
        }                                                                                          \
    } while (0)

static inline cyg_graph *parse(cyg_ctx *ctx, const net *t)
{
    cyg_graph *g;
    MUST(ctx, cyg_graph_parse(ctx, "given", t->text, t->used, &g));
    MUST(ctx, cyg_graph_infer_shapes(ctx, g));
    return g;
}

/* x -> linear with weights of `type` in lo..hi and zero point -> y. */
static inline void linear_net(net *t, const char *x_type, int x_zero, const char *type, int32_t lo,
                              int32_t hi, int zero)
{
    begin(t);
    add(t, "input %%x: f32[5,12]\n");
    pair(t, "x", "x1", "5,12", x_type, 0.02, x_zero);
    integers(t, "wi", type, "12,6", 72, lo, hi);
    scales(t, "ws", 6, 0.004);
    add(t, "const %%wz: %s[6] = [%d, %d, %d, %d, %d, %d]\n", type, zero, zero, zero, zero, zero,
        zero);
    add(t, "%%w: f32[12,6] = dequantize_linear(%%wi, %%ws, %%wz) {axis = 1}\n");
    integers(t, "bi", "s32", "6", 6, -9000, 9000);
    scales(t, "bs", 6, 0.02 * 0.004);
    add(t, "%%b: f32[6] = dequantize_linear(%%bi, %%bs) {axis = 0}\n"
           "%%m: f32[5,6] = matmul(%%x1, %%w)\n%%a: f32[5,6] = add(%%m, %%b)\n");
    pair(t, "a", "y", "5,6", "u8", 0.05, 110);
    add(t, "output %%y\n");
}

#endif

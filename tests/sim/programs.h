/* Small programs written by hand in the assembler's text form, with data and the result that one
 * kernel call on the whole gives: what simulator, race detector, encoder and fuzzer are tested on.
 */
#ifndef CYG_TESTS_SIM_PROGRAMS_H
#define CYG_TESTS_SIM_PROGRAMS_H

#include "../testing.h"

#include <math.h>

#include "base/cpu.h"
#include "base/type.h"
#include "kernels/call.h"
#include "kernels/params.h"
#include "npu/code.h"

enum { SP_MOST_IO = 4 };

typedef struct sp_program {
    cyg_arena arena;
    cyg_npu_machine machine;
    cyg_npu_program program;
    cyg_strbuf text;
    uint8_t *io[SP_MOST_IO]; /* inputs filled, outputs zero; 64-byte aligned, in arena */
    const void *want;        /* of the last tensor, which is the output */
    uint32_t random;
} sp_program;

static inline uint32_t sp_random(sp_program *s)
{
    s->random = s->random * 1664525u + 1013904223u;
    return s->random >> 8;
}

static inline void sp_line(sp_program *s, const char *fmt, ...) CYG_PRINTF(2, 3);
static inline void sp_line(sp_program *s, const char *fmt, ...)
{
    char line[2048];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof line);
    cyg_strbuf_puts(&s->text, line);
    cyg_strbuf_puts(&s->text, "\n");
}

/* A parameter block as {hex}; valid until the fourth call after. */
static inline const char *sp_block(const void *params, size_t size)
{
    static char texts[4][1200];
    static int next;
    char *text = texts[next++ % 4];
    size_t at = 0;
    assert_true(size * 2 + 3 <= sizeof texts[0]);
    text[at++] = '{';
    for (size_t i = 0; i < size; i++)
        at += (size_t)snprintf(text + at, 3, "%02x", ((const uint8_t *)params)[i]);
    text[at++] = '}';
    text[at] = '\0';
    return text;
}

static inline void sp_begin(sp_program *s, uint32_t seed)
{
    memset(s, 0, sizeof *s);
    cyg_arena_init(&s->arena);
    s->random = seed;
    assert_int_equal(cyg_npu_machine_find(NULL, &s->arena, "AX650", "NPU1", &s->machine), CYG_OK);
    sp_line(s, "npu \"AX650\" \"NPU1\" machine 0x%llx",
            (unsigned long long)cyg_npu_machine_hash(&s->machine));
}

static inline void sp_end(sp_program *s)
{
    cyg_strbuf_deinit(&s->text);
    cyg_arena_deinit(&s->arena);
}

static inline void *sp_alloc(sp_program *s, size_t size)
{
    void *p = cyg_arena_zalloc(&s->arena, size + 64, 64);
    assert_non_null(p);
    return p;
}

static inline void *sp_bytes(sp_program *s, size_t size)
{
    uint8_t *p = sp_alloc(s, size);
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)sp_random(s);
    return p;
}

static inline void *sp_ints(sp_program *s, size_t n, int32_t range)
{
    int32_t *p = sp_alloc(s, n * 4);
    for (size_t i = 0; i < n; i++)
        p[i] = (int32_t)(sp_random(s) % (2 * (uint32_t)range)) - range;
    return p;
}

static inline void *sp_floats(sp_program *s, size_t n, float low, float high)
{
    float *p = sp_alloc(s, n * 4);
    for (size_t i = 0; i < n; i++)
        p[i] = low + (high - low) * (float)(sp_random(s) % 4096) / 4096.0f;
    return p;
}

/* Parses the text, puts data at PARAM's offset 0, 64, .. as given. */
static inline void sp_assemble(sp_program *s)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    if (cyg_npu_parse(&ctx, &s->machine, "text", s->text.data, s->text.len, &s->arena,
                      &s->program) != CYG_OK ||
        cyg_npu_program_check(&ctx, &s->machine, &s->program) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, cyg_ctx_message_count(&ctx) - 1));
    for (uint32_t i = 0; i < s->program.io_count; i++)
        s->io[i] = sp_alloc(s, (size_t)s->program.io[i].bytes);
}

static inline void sp_param(sp_program *s, uint64_t offset, const void *data, size_t size)
{
    assert_true(offset + size <= s->program.param_bytes);
    uint8_t *to;
    memcpy(&to, &s->program.params, sizeof to); /* the test's own memory */
    memcpy(to + offset, data, size);
}

#define SP_DIMS(...)                                                                               \
    (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static inline cyg_kbuf sp_buf(const void *data, int32_t type, int32_t rank, const int64_t *dims)
{
    cyg_kbuf b = {.type = type, .rank = rank, .is_const = 1};
    memcpy(&b.data, &data, sizeof data);
    for (int32_t i = 0; i < rank; i++)
        b.dims[i] = dims[i];
    return b;
}

/* The specification on the whole: what the program must give. */
static inline void sp_reference(sp_program *s, int32_t op, const void *params, const cyg_kbuf *in,
                                uint32_t in_count, const cyg_kbuf *out, uint32_t out_count)
{
    const cyg_kop_info *info = cyg_kop_info_of(op);
    const cyg_kcall call = {.op = op,
                            .in_count = in_count,
                            .out_count = out_count,
                            .in = in,
                            .out = out,
                            .params = params,
                            .isa = cyg_kernels_for(CYG_CPU_C)};
    const char *why = info->check(&call);
    if (why != NULL)
        fail_msg("%s: %s", info->name, why);
    void *scratch =
        info->ref_scratch != NULL ? sp_alloc(s, info->ref_scratch(&call)) : sp_alloc(s, 64);
    info->ref(&call, 0, info->items(&call), scratch);
}

/* x [56, 96] u8 times w [128, 96], rows in two tiles on two CONVs, then the exact GELU on TENG. */
void sp_linear(sp_program *s);
/* 3 x 3 convolution of a 12 x 10 x 8 picture in three bands with halos, double-buffered. */
void sp_conv(sp_program *s);
/* Attention of 4 windows of 9 tokens, rows by a table, heads one by one. */
void sp_attention(sp_program *s);
/* Gather from the DDR, layer norm, fill, copy, add, scatter. */
void sp_rows(sp_program *s);

/* Linear in two halves of its columns, whose weights take the same place one after the other. */
void sp_reload(sp_program *s);

/* A package around a program: its tensors, for each of its taps a step with weights that have no
 * bytes, `subgraphs` times the program as the subgraph of these steps. */
void sp_write_package(sp_program *s, const char *path, uint32_t subgraphs);

typedef void (*sp_maker)(sp_program *s);
extern const sp_maker sp_makers[];
extern const size_t sp_maker_count;

#endif

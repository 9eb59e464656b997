/* Compilation for the CPU: what lives at the same time lies apart, whatever the lifetimes are, and
 * the report counts what is there. */
#include "../quant/tiny_model.h"

#include "kernels/call.h"
#include "target/cpu/cpu.h"

static uint32_t owner_of(const cyg_program *p, uint32_t t)
{
    while (p->tensors[t].kind == CYG_TENSOR_ALIAS)
        t = (uint32_t)p->tensors[t].offset;
    return t;
}

/* Replays the steps on a map of bytes: who wrote each last. Every read must find its own tensor. */
static void check_placement(const cyg_program *p)
{
    uint32_t *owner = malloc(sizeof *owner * (p->arena_bytes + 1));
    assert_non_null(owner);
    memset(owner, 0xff, sizeof *owner * p->arena_bytes);
    for (uint32_t i = 0; i < p->input_count; i++)
        for (size_t k = 0; k < cyg_tensor_bytes(&p->tensors[p->inputs[i]]); k++)
            owner[p->tensors[p->inputs[i]].arena_offset + k] = p->inputs[i];
    for (uint32_t i = 0; i <= p->step_count; i++) {
        const bool last = i == p->step_count;
        const cyg_step *s = &p->steps[i];
        const uint32_t reads = last ? p->output_count : s->in_count;
        for (uint32_t k = 0; k < reads; k++) {
            if (!last && s->in[k] == CYG_NO_TENSOR)
                continue;
            const uint32_t t = owner_of(p, last ? p->outputs[k] : s->in[k]);
            const cyg_tensor *from = &p->tensors[t];
            for (size_t b = 0; from->kind != CYG_TENSOR_CONST && b < cyg_tensor_bytes(from); b++)
                if (owner[from->arena_offset + b] != t)
                    fail_msg("step %u reads \"%s\" after it was overwritten", i, from->name);
        }
        for (uint32_t k = 0; !last && k < s->out_count; k++) {
            const cyg_tensor *to = &p->tensors[s->out[k]];
            assert_int_equal(to->arena_offset % 64, 0);
            assert_true(to->arena_offset + cyg_tensor_bytes(to) <= p->arena_bytes);
            for (uint32_t j = 0; j < s->in_count; j++) { /* a step never works in place */
                if (s->in[j] == CYG_NO_TENSOR)
                    continue;
                const cyg_tensor *from = &p->tensors[owner_of(p, s->in[j])];
                if (from->kind != CYG_TENSOR_CONST)
                    assert_true(from->arena_offset + cyg_tensor_bytes(from) <= to->arena_offset ||
                                to->arena_offset + cyg_tensor_bytes(to) <= from->arena_offset);
            }
            for (size_t b = 0; b < cyg_tensor_bytes(to); b++)
                owner[to->arena_offset + b] = s->out[k];
        }
    }
    free(owner);
}

static void compile(cyg_graph *g, cyg_cpu_report *report, uint64_t *all_bytes)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_program p;
    OK(&ctx, cyg_target_cpu_compile(&ctx, g, &arena, &p, report));
    check_placement(&p);
    *all_bytes = 0;
    for (uint32_t i = 0; i < p.tensor_count; i++)
        if (p.tensors[i].kind != CYG_TENSOR_CONST && p.tensors[i].kind != CYG_TENSOR_ALIAS)
            *all_bytes += cyg_tensor_bytes(&p.tensors[i]);
    assert_int_equal(report->steps, p.step_count);
    assert_int_equal(report->arena_bytes, p.arena_bytes);
    cyg_graph_destroy(g);
    cyg_arena_deinit(&arena);
}

static void test_tiny(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_quant_report quantised;
    cyg_cpu_report report;
    uint64_t all;
    compile(tiny_quantised(&ctx, true, &quantised), &report, &all);
    assert_int_equal(report.integer_steps, 11);
    assert_int_equal(report.float_steps, 0);
    assert_true(report.arena_bytes < all);
    const int64_t macs =
        16 * (16 * 12 + 48 * 16 + 16 * 16 + 2 * 32 * 16) + 2 * 16 * 16 * 16 + 5 * 16;
    assert_int_equal(report.macs, macs);
    compile(tiny_graph(), &report, &all);
    assert_int_equal(report.integer_steps, 0);
    assert_int_equal(report.float_steps, 11);
    assert_int_equal(report.macs, macs);
}

/* Random graphs of additions, views and long-lived values. */
static void test_random(void **unused)
{
    (void)unused;
    rng r = {31};
    for (int round = 0; round < 40; round++) {
        cyg_strbuf s = {0};
        cyg_strbuf_puts(&s, "graph \"g\" opset 18\ninput %v0: f32[4,8]\ninput %v1: f32[4,8]\n"
                            "const %flat: s64[1] = [32]\nconst %back: s64[2] = [4, 8]\n");
        const uint32_t count = 3 + rng_next(&r) % 25;
        for (uint32_t i = 2; i < count; i++) {
            const uint32_t a = rng_next(&r) % i, b = rng_next(&r) % i;
            if (rng_next(&r) % 3 == 0)
                cyg_strbuf_printf(&s,
                                  "%%f%u: f32[32] = reshape(%%v%u, %%flat) \"f%u\"\n"
                                  "%%v%u: f32[4,8] = reshape(%%f%u, %%back) \"n%u\"\n",
                                  i, a, i, i, i, i);
            else
                cyg_strbuf_printf(&s, "%%v%u: f32[4,8] = add(%%v%u, %%v%u) \"n%u\"\n", i, a, b, i);
        }
        cyg_strbuf_printf(&s, "output %%v%u\noutput %%v%u\n", count - 1, rng_next(&r) % count);
        cyg_graph *g = parse_graph(s.data);
        cyg_strbuf_deinit(&s);
        cyg_cpu_report report;
        uint64_t all;
        compile(g, &report, &all);
    }
}

static void test_unsupported(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_program p;
    cyg_cpu_report report;
    cyg_graph *g = parse_graph("graph \"g\" opset 18\nsymbol N\ninput %x: f32[N]\n"
                               "%y: f32[N] = neg(%x) \"the node\"\noutput %y\n");
    assert_int_equal(cyg_target_cpu_compile(&ctx, g, &arena, &p, &report), CYG_E_UNSUPPORTED);
    assert_true(ctx_says(&ctx, "the node"));
    cyg_graph_destroy(g);
    cyg_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_unsupported),
    };
    return CYG_TEST_MAIN(tests);
}

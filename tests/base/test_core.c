/* Status chain, log, arena, strings, checked arithmetic, 16-bit floats. */
#include "../testing.h"

#include <math.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/str.h"

static cyg_status inner(cyg_ctx *ctx)
{
    return CYG_FAIL(ctx, CYG_E_FORMAT, "x.onnx: offset %d: cut short", 12);
}

static cyg_status outer(cyg_ctx *ctx)
{
    CYG_TRY(ctx, inner(ctx), "while reading %s", "x.onnx");
    return CYG_OK;
}

static void test_chain_reads_outermost_first(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    assert_int_equal(outer(&ctx), CYG_E_FORMAT);
    assert_int_equal(cyg_ctx_message_count(&ctx), 2);
    assert_string_equal(cyg_ctx_message(&ctx, 0), "while reading x.onnx");
    assert_string_equal(cyg_ctx_message(&ctx, 1), "x.onnx: offset 12: cut short");
    assert_string_equal(cyg_ctx_message(&ctx, 2), "");
    cyg_ctx_clear(&ctx);
    assert_int_equal(cyg_ctx_message_count(&ctx), 0);
    assert_int_equal(cyg_fail_at(NULL, "f", 1, CYG_E_IO, "no context"), CYG_E_IO);
}

static void test_chain_is_bounded(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    for (int i = 0; i < 100; i++)
        assert_int_equal(CYG_FAIL(&ctx, CYG_E_IO, "message %d", i), CYG_E_IO);
    assert_int_equal(cyg_ctx_message_count(&ctx), CYG_CTX_FRAMES);
    assert_string_equal(cyg_ctx_message(&ctx, CYG_CTX_FRAMES - 1), "message 0");
    cyg_ctx_clear(&ctx);
    static char big[3 * CYG_CTX_TEXT];
    memset(big, 'x', sizeof big - 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(CYG_FAIL(&ctx, CYG_E_IO, "%s", big), CYG_E_IO);
    const char *cut = cyg_ctx_message(&ctx, cyg_ctx_message_count(&ctx) - 1);
    assert_string_equal(cut + strlen(cut) - 4, "x...");
}

static void test_status_table(void **state)
{
    (void)state;
    assert_string_equal(cyg_status_text(CYG_OK), "ok");
    assert_int_equal(cyg_status_exit_code(CYG_OK), 0);
    assert_int_equal(cyg_status_exit_code(CYG_E_CANCELLED), 130);
    assert_int_equal(cyg_status_exit_code((cyg_status)99), 70);
    assert_non_null(cyg_status_text((cyg_status)99));
}

static void test_cancel(void **state)
{
    (void)state;
    cyg_ctx ctx;
    volatile int flag = 0;
    cyg_ctx_init(&ctx);
    ctx.cancelled = &flag;
    assert_int_equal(cyg_ctx_check_cancelled(&ctx), CYG_OK);
    flag = 1;
    assert_int_equal(cyg_ctx_check_cancelled(&ctx), CYG_E_CANCELLED);
}

typedef struct sink_state {
    cyg_log_kind kind;
    size_t length;
    int64_t done, total;
    int calls;
} sink_state;

static void sink(void *user, const cyg_log_event *event)
{
    sink_state *s = user;
    *s = (sink_state){event->kind, strlen(event->text), event->done, event->total, s->calls + 1};
}

static void test_log(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_warn(&ctx, "nobody listens");
    cyg_warn(NULL, "nobody at all");
    sink_state s = {0};
    ctx.log = (cyg_log){.sink = sink, .user = &s};
    cyg_note(&ctx, "%0*d", 5000, 1); /* longer than any buffer on the stack */
    assert_int_equal(s.kind, CYG_LOG_NOTE);
    assert_int_equal(s.length, 5000);
    cyg_progress(&ctx, "calibrate", 3, 32);
    assert_int_equal(s.kind, CYG_LOG_PROGRESS);
    assert_int_equal(s.done, 3);
    assert_int_equal(s.total, 32);
    assert_int_equal(s.calls, 2);
}

static void test_arena(void **state)
{
    (void)state;
    cyg_arena a;
    cyg_arena_init(&a);
    for (size_t i = 0; i < 3000; i++) {
        const size_t align = (size_t)1 << i % 9;
        uint8_t *p = cyg_arena_alloc(&a, i % 777, align);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p & (align - 1), 0);
        if (i % 777 != 0)
            memset(p, (int)i, i % 777);
    }
    uint8_t *big = cyg_arena_zalloc(&a, 5 << 20, 64);
    assert_non_null(big);
    assert_int_equal(big[(5 << 20) - 1], 0);
    assert_null(cyg_arena_calloc(&a, SIZE_MAX / 2, 3));
    assert_null(cyg_arena_alloc(&a, SIZE_MAX - 8, 64));
    assert_null(CYG_NEW_ARRAY(&a, int, -1));
    assert_string_equal(cyg_arena_printf(&a, "%s-%d", "blk", 7), "blk-7");
    assert_string_equal(cyg_arena_strdup(&a, "x"), "x");
    assert_string_equal(cyg_arena_strndup(&a, "abcdef", 3), "abc");
    assert_memory_equal(cyg_arena_memdup(&a, "abc", 3), "abc", 3);
    cyg_arena_reset(&a);
    assert_int_equal(a.used, 0);
    assert_non_null(cyg_arena_alloc(&a, 10, 0));
    cyg_arena_deinit(&a);
    cyg_arena_deinit(&a);
}

static void test_arena_adopts(void **state)
{
    static const size_t counts[] = {0, 1, 3000};
    (void)state;
    for (size_t i = 0; i < CYG_COUNT(counts); i++)
        for (size_t k = 0; k < CYG_COUNT(counts); k++) {
            cyg_arena a, b;
            char **kept = calloc(counts[k] + 1, sizeof *kept);
            cyg_arena_init(&a);
            cyg_arena_init(&b);
            for (size_t n = 0; n < counts[i]; n++)
                assert_non_null(cyg_arena_printf(&a, "a%zu", n));
            for (size_t n = 0; n < counts[k]; n++)
                kept[n] = cyg_arena_printf(&b, "b%zu", n);
            const size_t used = a.used + b.used;
            cyg_arena_adopt(&a, &b);
            assert_int_equal(a.used, used);
            assert_int_equal(b.used, 0);
            cyg_arena_deinit(&b);
            for (size_t n = 0; n < 2000; n++)
                assert_non_null(cyg_arena_printf(&a, "later %zu", n));
            for (size_t n = 0; n < counts[k]; n++) {
                char want[32];
                snprintf(want, sizeof want, "b%zu", n);
                assert_string_equal(kept[n], want);
            }
            cyg_arena_deinit(&a); /* the leak checker sees that it owned all */
            free(kept);
        }
}

/* Against printf and strtof: numbers of every size, decimal ones and their neighbours. */
static void test_float_text(void **state)
{
    (void)state;
    uint32_t random = 7;
    for (int i = 0; i < 400000; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t bits = random;
        if (i % 4 == 1)
            bits = (bits & 0x807fffffu) | (110u + bits % 30u) << 23; /* as scales are */
        float x;
        memcpy(&x, &bits, sizeof x);
        if (i % 4 == 2)
            x = (float)((double)(random % 1000000) * pow(10.0, (int)(random >> 20) % 25 - 16));
        if (i % 4 == 3)
            x = nextafterf((float)pow(10.0, i % 70 - 40), random & 4096 ? 0.0f : INFINITY);
        if (!isfinite(x))
            continue;
        char text[CYG_FLOAT_TEXT], want[40];
        for (int digits = 6; digits <= 9; digits++) {
            snprintf(want, sizeof want, "%.*g", digits, (double)x);
            if (strtof(want, NULL) == x)
                break;
        }
        cyg_text_float(x, text);
        assert_string_equal(text, want);
    }
}

static void test_strbuf(void **state)
{
    (void)state;
    cyg_strbuf s = {0};
    for (int i = 0; i < 1000; i++)
        cyg_strbuf_printf(&s, "%d,", i % 10);
    cyg_strbuf_puts(&s, "end");
    cyg_strbuf_add(&s, NULL, 0);
    assert_false(s.failed);
    assert_int_equal(s.len, 2003);
    assert_string_equal(s.data + 1996, "8,9,end");
    cyg_strbuf_deinit(&s);
    s = (cyg_strbuf){.len = SIZE_MAX - 2};
    cyg_strbuf_add(&s, "abcdef", 6);
    assert_true(s.failed);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"calibration_size", "calibration_mean", "tensor_name",
                                        "output_dir", "a"};
    assert_int_equal(cyg_nearest_name("calibraton_size", names, 5), 0);
    assert_int_equal(cyg_nearest_name("Calibration-Mean", names, 5), 1);
    assert_int_equal(cyg_nearest_name("tesnor_name", names, 5), 2);
    assert_int_equal(cyg_nearest_name("zebra_crossing", names, 5), -1);
    assert_int_equal(cyg_nearest_name("b", names, 5), -1);
    assert_int_equal(cyg_nearest_name("", names, 5), -1);
}

static void test_checked(void **state)
{
    (void)state;
    size_t n;
    int64_t m;
    assert_false(cyg_mul_size(SIZE_MAX, 2, &n));
    assert_false(cyg_add_i64(INT64_MAX, 1, &m));
    assert_true(cyg_mul_size(6, 7, &n));
    assert_int_equal(n, 42);
    assert_true(cyg_range_ok(10, 0, 10));
    assert_false(cyg_range_ok(11, 0, 10));
    assert_false(cyg_range_ok(5, UINT64_MAX, 10));
    assert_int_equal(cyg_align_up(65, 64), 128);
}

/* Witness: the defining formula of binary16, and the compiler's own conversion where it has one. */
static void test_half_floats(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
        const float got = cyg_f16_to_f32((uint16_t)h);
        if (exponent == 31) {
            assert_true(fraction != 0 ? isnan(got) : isinf(got));
        } else {
            const double want =
                exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
            assert_true((double)got == ((h & 0x8000u) != 0 ? -want : want));
        }
        if (exponent != 31 || fraction == 0)
            assert_int_equal(cyg_f32_to_f16(got), h);
    }
    /* Between two neighbours: below the middle down, above up, on it to even. */
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float low = cyg_f16_to_f32((uint16_t)h), high = cyg_f16_to_f32((uint16_t)(h + 1));
        const float middle = (low + high) / 2;
        assert_int_equal(cyg_f32_to_f16(middle), (h & 1) != 0 ? h + 1 : h);
        assert_int_equal(cyg_f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(cyg_f32_to_f16(nextafterf(middle, 1e9f)), h + 1);
    }
    assert_int_equal(cyg_f32_to_f16(65519.99f), 0x7bff);
    assert_int_equal(cyg_f32_to_f16(65520.0f), 0x7c00);
    assert_true(isnan(cyg_f16_to_f32(cyg_f32_to_f16(NAN))));
    assert_true(cyg_bf16_to_f32(0xc040) == -3.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_reads_outermost_first),
        cmocka_unit_test(test_chain_is_bounded),
        cmocka_unit_test(test_status_table),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_adopts),
        cmocka_unit_test(test_float_text),
        cmocka_unit_test(test_strbuf),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_checked),
        cmocka_unit_test(test_half_floats),
    };
    return CYG_TEST_MAIN(tests);
}

/* Taps: what steps leave inside a program, taken while it is there, in every order; wrong and
 * damaged taps; the chains beside them. */
#include "programs.h"

#include "npu/tap.h"
#include "sim/sim.h"

static const char *message(const cyg_ctx *ctx)
{
    const size_t n = cyg_ctx_message_count(ctx);
    return n > 0 ? cyg_ctx_message(ctx, n - 1) : "no message";
}

static cyg_sim *open_tapped(cyg_ctx *ctx, const sp_program *s, const cyg_npu_program *p,
                            cyg_sim_options options)
{
    cyg_sim *sim;
    options.taps = true;
    if (cyg_sim_create(ctx, &s->machine, p, &options, NULL, CYG_CPU_C, &sim) != CYG_OK)
        return NULL;
    for (uint32_t i = 0; i < p->io_count; i++)
        cyg_sim_bind(sim, i, s->io[i]);
    return sim;
}

/* The last step's output is the program's; in the OCM it is gone by the end where `reload` says. */
static void the_last_tap_is_the_output(void **state)
{
    (void)state;
    static const char *const orders[] = {"program",  "reverse",  "random:1", "random:2",
                                         "starve:0", "starve:2", "starve:4"};
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        sp_makers[k](&s);
        const uint64_t bytes = s.program.io[s.program.io_count - 1].bytes;
        const cyg_npu_tap *last = &s.program.taps[s.program.tap_count - 1];
        assert_int_equal(last->bytes, bytes);
        for (size_t i = 0; i < CYG_COUNT(orders); i++) {
            cyg_ctx ctx;
            cyg_sim_options options = {.check = true};
            cyg_ctx_init(&ctx);
            assert_int_equal(cyg_sim_order_parse(&ctx, orders[i], &options), CYG_OK);
            cyg_sim *sim = open_tapped(&ctx, &s, &s.program, options);
            if (sim == NULL)
                fail_msg("program %zu: %s", k, message(&ctx));
            for (int run = 0; run < 2; run++) {
                assert_int_equal(cyg_sim_run(&ctx, sim), CYG_OK);
                assert_memory_equal(cyg_sim_tapped(sim, last->step, last->output), s.want,
                                    (size_t)bytes);
            }
            assert_null(cyg_sim_tapped(sim, last->step + 1, 0));
            assert_null(cyg_sim_tapped(sim, last->step, 1));
            cyg_sim_destroy(sim);
        }
        sp_end(&s);
    }
}

/* The place may be written over before the run ends: here it is, right behind its last reader. */
static void a_place_that_is_used_again(void **state)
{
    (void)state;
    sp_program s;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    sp_begin(&s, 1);
    sp_line(&s, "memory ocm 64 swap 0 param 0 code 0 macs 0\nio in \"x\" bytes 16 tensor 0");
    sp_line(&s, "io out \"y\" bytes 16 tensor 1\nstep \"a\"\nstep \"b\"");
    sp_line(&s, "tap step 0 output 0 at ocm[0] bytes 16\ntap step 1 output 0 at ocm[0] bytes 16");
    sp_line(&s, "tap step 1 output 0 at io1[0] bytes 16");
    sp_line(&s, "sdma4 ld step 0 tile 0 tap 0 : io0[0] u8 16 -> ocm[0] u8 16");
    sp_line(&s, "cv3 cv.copy step 1 tile 0 wait sdma4 1 : ocm[0] u8 16 -> ocm[16] u8 16");
    sp_line(&s, "cv3 cv.fill step 1 tile 1 tap 1 -> ocm[0] u8 8 {07}");
    sp_line(&s, "cv3 cv.copy step 1 tile 2 tap 1 : ocm[16] u8 8 -> ocm[8] u8 8");
    sp_line(&s, "sdma4 st step 1 tile 2 tap 2 wait cv3 3 : ocm[0] u8 16 -> io1[0] u8 16");
    sp_assemble(&s);
    for (uint8_t i = 0; i < 16; i++)
        s.io[0][i] = (uint8_t)(i + 100);
    cyg_sim *sim = open_tapped(&ctx, &s, &s.program, (cyg_sim_options){.check = true});
    assert_non_null(sim);
    assert_int_equal(cyg_sim_run(&ctx, sim), CYG_OK);
    assert_memory_equal(cyg_sim_tapped(sim, 0, 0), s.io[0], 16);
    assert_memory_equal(cyg_sim_tapped(sim, 1, 0), "\7\7\7\7\7\7\7\7", 8);
    assert_memory_equal((const uint8_t *)cyg_sim_tapped(sim, 1, 0) + 8, s.io[0], 8);
    assert_memory_equal(cyg_sim_tapped_copy(sim, 1, 0), cyg_sim_tapped(sim, 1, 0), 16);
    assert_null(cyg_sim_tapped_copy(sim, 0, 0));
    uint32_t writer;
    assert_true(cyg_sim_tap_writer(&s.program, 1, 0, true, 15, &writer) && writer == 4);
    assert_true(cyg_sim_tap_writer(&s.program, 1, 0, false, 7, &writer) && writer == 2);
    assert_true(cyg_sim_tap_writer(&s.program, 1, 0, false, 8, &writer) && writer == 3);
    assert_true(cyg_sim_tap_writer(&s.program, 0, 0, false, 8, &writer) && writer == 0);
    assert_false(cyg_sim_tap_writer(&s.program, 0, 0, false, 16, &writer));
    assert_false(cyg_sim_tap_writer(&s.program, 0, 1, false, 0, &writer));
    cyg_sim_destroy(sim);
    sp_end(&s);
}

/* Every way in which a table can be wrong, by name. */
static void wrong_taps_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *taps, *message;
    } cases[] = {
        {"tap step 0 output 0 at ocm[0] bytes 16", NULL},
        {"tap step 2 output 0 at ocm[0] bytes 16", "tap 0 is of no step"},
        {"tap step 0 output 0 at ocm[0] bytes 0", "do not lie in its memory"},
        {"tap step 0 output 0 at ocm[56] bytes 16", "do not lie in its memory"},
        {"tap step 0 output 0 at ocm[0xffffffffffffffff] bytes 16", "do not lie in its memory"},
        {"tap step 0 output 0 at param[0] bytes 16", "do not lie in its memory"},
        {"tap step 0 output 0 at io0[0] bytes 16", "do not lie in its memory"},
        {"tap step 0 output 0 at io7[0] bytes 16", "do not lie in its memory"},
        {"tap step 0 output 0 at ocm[0] bytes 8", "writes no piece of output 0 of step \"a\""},
        {"tap step 0 output 0 at ocm[1] bytes 16", "writes no piece of output 0"},
        {"tap step 1 output 0 at ocm[0] bytes 16", "writes no piece of output 0 of step \"b\""},
        {"tap step 0 output 0 at swap[0] bytes 16", "writes no piece"},
        {"tap step 0 output 0 at ocm[0] bytes 17", "nothing writes byte 16"},
        {"tap step 0 output 0 at ocm[0] bytes 16\ntap step 0 output 0 at ocm[0] bytes 16",
         "once each"},
        {"tap step 0 output 0 at ocm[0] bytes 16\ntap step 0 output 0 at swap[0] bytes 15",
         "once each"},
        {"tap step 0 output 0 at ocm[0] bytes 16\ntap step 0 output 0 at swap[0] bytes 16",
         "nothing writes byte 0"},
        {"tap step 0 output 1 at ocm[0] bytes 16\ntap step 0 output 0 at ocm[0] bytes 16",
         "once each"},
        {"tap step 0 output 0 at ocm[0] bytes 16\ntap step 1 output 0 at ocm[0] bytes 16",
         "nothing writes byte 0 of output 0 of step \"b\""},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        sp_program s;
        cyg_ctx ctx;
        cyg_npu_program p;
        cyg_ctx_init(&ctx);
        sp_begin(&s, 1);
        sp_line(&s, "memory ocm 64 swap 32 param 32 code 0 macs 0\nio in \"x\" bytes 16 tensor 0");
        sp_line(&s, "step \"a\"\nstep \"b\"\n%s", cases[i].taps);
        sp_line(&s, "sdma4 ld step 0 tile 0 tap 0 : io0[0] u8 16 -> ocm[0] u8 16");
        assert_int_equal(
            cyg_npu_parse(&ctx, &s.machine, "text", s.text.data, s.text.len, &s.arena, &p), CYG_OK);
        cyg_sim *sim = open_tapped(&ctx, &s, &p, (cyg_sim_options){.check = false});
        if (cases[i].message == NULL
                ? sim == NULL
                : sim != NULL || strstr(message(&ctx), cases[i].message) == NULL)
            fail_msg("\"%s\" gives \"%s\"", cases[i].taps, message(&ctx));
        cyg_sim_destroy(sim);
        sp_end(&s);
    }
    /* None at all: refused only when they are wanted. */
    sp_program s;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    sp_linear(&s);
    s.program.tap_count = 0;
    assert_null(open_tapped(&ctx, &s, &s.program, (cyg_sim_options){.check = false}));
    assert_non_null(strstr(message(&ctx), "build it again"));
    sp_end(&s);
}

static void damaged_taps_are_harmless(void **state)
{
    (void)state;
    size_t refused = 0, unchecked = 0, ran = 0;
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        cyg_strbuf bytes = {0};
        sp_makers[k](&s);
        assert_int_equal(cyg_npu_taps_encode(NULL, &s.program, &bytes), CYG_OK);
        for (int round = 0; round < 1000; round++) {
            cyg_arena arena;
            cyg_ctx ctx;
            cyg_npu_program p = s.program;
            cyg_arena_init(&arena);
            cyg_ctx_init(&ctx);
            size_t size = sp_random(&s) % 8 == 0 ? sp_random(&s) % bytes.len : bytes.len;
            uint8_t *copy = malloc(size + 1); /* exact: sanitizers see one byte too many */
            memcpy(copy, bytes.data, size);
            for (uint32_t changes = 1 + sp_random(&s) % 2; changes > 0 && size > 0; changes--)
                copy[sp_random(&s) % size] = (uint8_t)sp_random(&s);
            if (cyg_npu_taps_decode(&ctx, copy, size, &arena, &p) != CYG_OK) {
                refused++;
            } else {
                cyg_sim *sim = p.tap_count == 0
                                   ? NULL
                                   : open_tapped(&ctx, &s, &p, (cyg_sim_options){.check = false});
                ran += sim != NULL && cyg_sim_run(&ctx, sim) == CYG_OK;
                unchecked += sim == NULL;
                cyg_sim_destroy(sim);
            }
            free(copy);
            cyg_arena_deinit(&arena);
        }
        cyg_strbuf_deinit(&bytes);
        sp_end(&s);
    }
    print_message("%zu refused by the decoder, %zu by checks, %zu ran\n", refused, unchecked, ran);
    assert_true(refused > 500 && unchecked > 500 && ran > 50);
}

/* What attention leaves inside: sums, probabilities, factors. */
static void chains_are_named(void **state)
{
    (void)state;
    static const struct {
        uint16_t op, output, next;
        uint8_t type;
    } expected[] = {{CYG_NPU_OP_CONV_QK, 0, CYG_NPU_OP_TENG_WEIGH, CYG_TYPE_S32},
                    {CYG_NPU_OP_TENG_WEIGH, 0, CYG_NPU_OP_CONV_PV, CYG_TYPE_U8},
                    {CYG_NPU_OP_TENG_WEIGH, 1, CYG_NPU_OP_CONV_PV, CYG_TYPE_F32}};
    sp_program s;
    const cyg_npu_chain *chains;
    uint32_t count;
    sp_attention(&s);
    assert_int_equal(cyg_npu_chains_of(NULL, &s.program, &s.arena, &chains, &count), CYG_OK);
    assert_int_equal(count, CYG_COUNT(expected));
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(chains[i].step, 0);
        assert_int_equal(chains[i].op, expected[i].op);
        assert_int_equal(chains[i].output, expected[i].output);
        assert_int_equal(chains[i].next, expected[i].next);
        assert_int_equal(chains[i].pieces, 2);
        assert_int_equal(chains[i].largest->type, expected[i].type);
    }
    sp_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_tap_is_the_output), cmocka_unit_test(a_place_that_is_used_again),
        cmocka_unit_test(wrong_taps_are_named),       cmocka_unit_test(damaged_taps_are_harmless),
        cmocka_unit_test(chains_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Programs as bytes and as text: both ways round, and damaged. */
#include "programs.h"

#include "npu/tap.h"
#include "sim/sim.h"

static const char *message(const cyg_ctx *ctx)
{
    const size_t n = cyg_ctx_message_count(ctx);
    return n > 0 ? cyg_ctx_message(ctx, n - 1) : "no message";
}

static cyg_strbuf text_of(const sp_program *s, const cyg_npu_program *p)
{
    cyg_strbuf text = {0};
    cyg_npu_print(&s->machine, p, true, &text);
    assert_false(text.failed);
    return text;
}

static void text_comes_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        cyg_npu_program again;
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        sp_makers[k](&s);
        cyg_strbuf first = text_of(&s, &s.program);
        if (cyg_npu_parse(&ctx, &s.machine, "print", first.data, first.len, &s.arena, &again) !=
            CYG_OK)
            fail_msg("program %zu: %s", k, message(&ctx));
        cyg_strbuf second = text_of(&s, &again);
        assert_string_equal(first.data, second.data);
        assert_memory_equal(again.params, s.program.params, s.program.param_bytes);
        assert_memory_equal(again.code, s.program.code, s.program.code_bytes);
        cyg_strbuf_deinit(&first);
        cyg_strbuf_deinit(&second);
        sp_end(&s);
    }
}

/* Dimensions of no elements: 0x4 is no hexadecimal number. */
static void empty_views_come_back(void **state)
{
    (void)state;
    static const char line[] = "cv3 cv.fill step 0 tile 0 -> ocm[0x0] u8 0x4 {00}";
    sp_program s;
    sp_begin(&s, 1);
    sp_line(&s, "memory ocm 64 swap 0 param 0 code 0 macs 0\nstep \"s\"\n%s", line);
    sp_assemble(&s);
    const cyg_npu_view *y = &s.program.instrs[0].operands[0];
    assert_true(y->rank == 2 && y->dims[0] == 0 && y->dims[1] == 4);
    cyg_strbuf text = text_of(&s, &s.program);
    assert_non_null(strstr(text.data, line));
    cyg_strbuf_deinit(&text);
    sp_end(&s);
}

static void bytes_come_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        cyg_npu_program again;
        cyg_ctx ctx;
        cyg_strbuf bytes = {0}, twice = {0}, taps = {0}, taps_twice = {0};
        cyg_ctx_init(&ctx);
        sp_makers[k](&s);
        assert_int_equal(cyg_npu_encode(&ctx, &s.program, &bytes), CYG_OK);
        assert_int_equal(cyg_npu_taps_encode(&ctx, &s.program, &taps), CYG_OK);
        if (cyg_npu_decode(&ctx, bytes.data, bytes.len, s.program.params, s.program.param_bytes,
                           &s.arena, &again) != CYG_OK ||
            cyg_npu_taps_decode(&ctx, taps.data, taps.len, &s.arena, &again) != CYG_OK ||
            cyg_npu_program_check(&ctx, &s.machine, &again) != CYG_OK)
            fail_msg("program %zu: %s", k, message(&ctx));
        cyg_strbuf first = text_of(&s, &s.program), second = text_of(&s, &again);
        assert_string_equal(first.data, second.data);
        assert_non_null(strstr(first.data, "\ntap step 0 output 0 at "));
        assert_int_equal(cyg_npu_encode(&ctx, &again, &twice), CYG_OK);
        assert_int_equal(cyg_npu_taps_encode(&ctx, &again, &taps_twice), CYG_OK);
        assert_int_equal(twice.len, bytes.len);
        assert_int_equal(taps_twice.len, taps.len);
        assert_memory_equal(twice.data, bytes.data, bytes.len);
        assert_memory_equal(taps_twice.data, taps.data, taps.len);
        cyg_strbuf_deinit(&first);
        cyg_strbuf_deinit(&second);
        cyg_strbuf_deinit(&bytes);
        cyg_strbuf_deinit(&twice);
        cyg_strbuf_deinit(&taps);
        cyg_strbuf_deinit(&taps_twice);
        sp_end(&s);
    }
}

/* Runs what decoder, check and kernels let pass: it stays inside its memories (sanitizers watch).
 */
static bool run_if_good(sp_program *s, const cyg_npu_program *p)
{
    cyg_sim *sim;
    if (p->swap_bytes > 1 << 20 || p->io_count > SP_MOST_IO ||
        cyg_sim_create(NULL, &s->machine, p, NULL, NULL, CYG_CPU_C, &sim) != CYG_OK)
        return false;
    cyg_arena memory;
    cyg_arena_init(&memory);
    bool bound = true;
    for (uint32_t i = 0; i < p->io_count; i++) {
        void *io = p->io[i].bytes > 1 << 20
                       ? NULL
                       : cyg_arena_zalloc(&memory, (size_t)p->io[i].bytes + 1, 64);
        bound = bound && io != NULL;
        cyg_sim_bind(sim, i, io);
    }
    CYG_IGNORE(bound ? cyg_sim_run(NULL, sim) : CYG_OK);
    cyg_sim_destroy(sim);
    cyg_arena_deinit(&memory);
    return bound;
}

/* Names are the model's, as long as they like. */
static void long_names_come_back(void **state)
{
    (void)state;
    char name[10001];
    const char *names[] = {name};
    sp_program s;
    cyg_npu_program again;
    cyg_strbuf bytes = {0};
    sp_linear(&s);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    s.program.step_names = names;
    assert_int_equal(cyg_npu_encode(NULL, &s.program, &bytes), CYG_OK);
    assert_int_equal(cyg_npu_decode(NULL, bytes.data, bytes.len, s.program.params,
                                    s.program.param_bytes, &s.arena, &again),
                     CYG_OK);
    assert_string_equal(again.step_names[0], name);
    cyg_strbuf_deinit(&bytes);
    sp_end(&s);
}

static void damaged_bytes_are_harmless(void **state)
{
    (void)state;
    size_t refused = 0, unchecked = 0, ran = 0;
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        cyg_strbuf bytes = {0};
        sp_makers[k](&s);
        assert_int_equal(cyg_npu_encode(NULL, &s.program, &bytes), CYG_OK);
        for (int round = 0; round < 1500; round++) {
            cyg_arena arena;
            cyg_npu_program p;
            cyg_arena_init(&arena);
            uint8_t *copy = cyg_arena_memdup(&arena, bytes.data, bytes.len);
            assert_non_null(copy);
            size_t size = bytes.len;
            for (uint32_t changes = 1 + sp_random(&s) % 3; changes > 0; changes--)
                copy[sp_random(&s) % size] = (uint8_t)sp_random(&s);
            if (sp_random(&s) % 8 == 0)
                size = sp_random(&s) % size;
            if (cyg_npu_decode(NULL, copy, size, s.program.params, s.program.param_bytes, &arena,
                               &p) != CYG_OK)
                refused++;
            else if (run_if_good(&s, &p))
                ran++;
            else
                unchecked++;
            cyg_arena_deinit(&arena);
        }
        cyg_strbuf_deinit(&bytes);
        sp_end(&s);
    }
    print_message("%zu refused by the decoder, %zu by checks, %zu ran\n", refused, unchecked, ran);
    assert_true(refused > 500 && unchecked > 500 && ran > 100);
}

static void damaged_text_is_harmless(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        sp_makers[k](&s);
        cyg_strbuf text = text_of(&s, &s.program);
        for (int round = 0; round < 1000; round++) {
            cyg_arena arena;
            cyg_npu_program p;
            cyg_arena_init(&arena);
            char *copy = cyg_arena_memdup(&arena, text.data, text.len);
            assert_non_null(copy);
            const size_t at = sp_random(&s) % text.len;
            copy[at] = text.data[sp_random(&s) % text.len];
            const size_t size = sp_random(&s) % 4 == 0 ? sp_random(&s) % text.len : text.len;
            refused += cyg_npu_parse(NULL, &s.machine, "text", copy, size, &arena, &p) != CYG_OK;
            cyg_arena_deinit(&arena);
        }
        cyg_strbuf_deinit(&text);
        sp_end(&s);
    }
    assert_true(refused > 500);
}

static void bad_text_is_located(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"conv9 ld step 0 tile 0 -> ocm[0] u8 1", "text:4: expected an engine of the machine"},
        {"sdma4 load step 0 tile 0 -> ocm[0] u8 1", "text:4: expected an instruction"},
        {"sdma4 ld step 0 -> ocm[0] u8 1", "text:4: expected tile, found \"-> ocm[0] u8 1\""},
        {"sdma4 ld step 0 tile 0 : io0[0] u7 1 -> ocm[0] u8 1", "expected an element type"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 1/1,1 -> ocm[0] u8 1", "expected -> and the outputs"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 1x1x1x1x1x1x1 -> ocm[0] u8", "no more dimensions"},
        {"io out \"y\" bytes 99999999999999999999 tensor 0", "a number of 64 bits"},
        {"code 00ff00", "expected no more bytes"},
        {"npu \"A\" \"B\" machine 0", "expected one line \"npu\""},
    };
    sp_program s;
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_ctx ctx;
        cyg_npu_program p;
        cyg_ctx_init(&ctx);
        sp_begin(&s, 1);
        sp_line(&s, "memory ocm 64 swap 0 param 0 code 2 macs 0\n# a comment\n%s", cases[i].line);
        assert_int_equal(
            cyg_npu_parse(&ctx, &s.machine, "text", s.text.data, s.text.len, &s.arena, &p),
            CYG_E_FORMAT);
        if (strstr(message(&ctx), cases[i].message) == NULL)
            fail_msg("\"%s\" gives \"%s\"", cases[i].line, message(&ctx));
        sp_end(&s);
    }
}

/* What the structural check refuses, by the words of its message. */
static void bad_programs_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"conv0 ld step 0 tile 0 : io0[0] u8 4 -> ocm[0] u8 4", "engine 0 of AX650 NPU1 can't"},
        {"sdma4 ld step 1 tile 0 : io0[0] u8 4 -> ocm[0] u8 4", "step 1 of 1"},
        {"sdma4 ld step 0 tile 0 : io0[61] u8 4 -> ocm[0] u8 4", "leave the 64 bytes of IO 0"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 4 -> ocm[61] u8 4", "leave the 64 bytes of OCM"},
        {"sdma4 ld step 0 tile 0 : io2[0] u8 4 -> ocm[0] u8 4", "leave the 0 bytes of IO 2"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 4 -> io1[0] u8 4", "must lie in OCM"},
        {"sdma4 ld step 0 tile 0 : ocm[0] u8 4 -> ocm[8] u8 4", "must lie in the DDR"},
        {"sdma4 st step 0 tile 0 : ocm[0] u8 4 -> io0[0] u8 4", "only to be read"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 4 -> ocm[0] u8 2x2", "different types or ranks"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 4 -> ocm[0] u8 5", "dimension 0 is 4 here, 5 there"},
        {"sdma4 ld step 0 tile 0 : io0[0] s16 4 -> ocm[1] s16 4", "no multiple of its elements'"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 4x4/2,1 -> ocm[0] u8 4x4", "its elements overlap"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 4 -> ocm[0] u8 4 {00}", "a move takes no parameters"},
        {"sdma4 ldx step 0 tile 0 : io0[0] u8 2x4; code[0] s32 1 -> ocm[0] u8 1x4",
         "is 5, there are 2 rows"},
        {"sdma4 ldx step 0 tile 0 : io0[0] u8 6x4; code[0] s32 1 -> ocm[0] u8 2x4",
         "1 indices for 2 rows"},
        {"sdma4 ldx step 0 tile 0 : io0[0] u8 6x4; ocm[0] s32 1 -> ocm[0] u8 1x4",
         "an index table is s32 or s64, dense, in CODE"},
        {"sdma4 ld step 0 tile 0 wait conv0 1 : io0[0] u8 4 -> ocm[0] u8 4",
         "for 1 instructions of engine 0, which has 0 before"},
        {"sdma4 ld step 0 tile 0 wait sdma4 1 : io0[0] u8 4 -> ocm[0] u8 4", "engine 4 is its own"},
        {"sdma4 ld step 0 tile 0 : io0[0] u8 4; io0[0] u8 4 -> ocm[0] u8 4",
         "2 operands in, 1 out: expected 1 to 1 in, 1 out"},
        {"cv3 cv.fill step 0 tile 0 -> ocm[0] s16 4 {00}", "not one element"},
        {"io out \"z\" bytes 0xffffffffffffffff tensor 2", "\"z\" has 18446744073709551615 bytes"},
        /* Empty, and yet a product of its dimensions overflows. */
        {"cv3 cv.copy step 0 tile 0 : ocm[0] u8 0x4294967296x4294967296/1,4294967296,1 -> "
         "ocm[0] u8 0x4294967296x4294967296/1,4294967296,1",
         "its dimensions are too large"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        sp_program s;
        cyg_ctx ctx;
        cyg_npu_program p;
        cyg_ctx_init(&ctx);
        sp_begin(&s, 1);
        sp_line(&s, "memory ocm 64 swap 0 param 0 code 4 macs 0\ncode.s32 5\nstep \"s\"");
        sp_line(&s, "io in \"x\" bytes 64 tensor 0\nio out \"y\" bytes 64 tensor 1");
        sp_line(&s, "%s", cases[i].line);
        assert_int_equal(
            cyg_npu_parse(&ctx, &s.machine, "text", s.text.data, s.text.len, &s.arena, &p), CYG_OK);
        assert_int_equal(cyg_npu_program_check(&ctx, &s.machine, &p), CYG_E_FORMAT);
        if (strstr(message(&ctx), cases[i].message) == NULL &&
            strstr(cyg_ctx_message(&ctx, 0), cases[i].message) == NULL)
            fail_msg("\"%s\" gives \"%s\"", cases[i].line, message(&ctx));
        sp_end(&s);
    }
}

/* docs/npu-isa.md has a row for every instruction. */
static void every_instruction_is_documented(void **state)
{
    (void)state;
    cyg_map map;
    assert_int_equal(cyg_map_open(NULL, CYG_SOURCE_ROOT "/docs/npu-isa.md", &map), CYG_OK);
    char *page = strndup((const char *)map.data, map.size);
    assert_non_null(page);
    for (uint32_t op = 0; op < CYG_NPU_OP_LIMIT; op++) {
        const cyg_npu_op_info *info = cyg_npu_op_info_of(op);
        char row[64];
        if (info == NULL)
            continue;
        snprintf(row, sizeof row, "\n| `%s` | ", info->mnemonic);
        if (strstr(page, row) == NULL)
            fail_msg("no row for %s", info->mnemonic);
        assert_int_equal(cyg_npu_op_named(info->mnemonic, strlen(info->mnemonic)), op);
    }
    free(page);
    cyg_map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back),
        cmocka_unit_test(empty_views_come_back),
        cmocka_unit_test(bytes_come_back),
        cmocka_unit_test(long_names_come_back),
        cmocka_unit_test(damaged_bytes_are_harmless),
        cmocka_unit_test(damaged_text_is_harmless),
        cmocka_unit_test(bad_text_is_located),
        cmocka_unit_test(bad_programs_are_refused),
        cmocka_unit_test(every_instruction_is_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

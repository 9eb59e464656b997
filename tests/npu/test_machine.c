/* Machine descriptions: the built-in ones are whole, files are checked key by key. */
#include "../testing.h"

#include "npu/machine.h"

#define WHOLE                                                                                      \
    "\"chip\": \"T\", \"clock_khz\": 800000,\n"                                                    \
    "\"groups\": 1, \"convs\": 2, \"tengs\": 1, \"cvs\": 1, \"sdmas\": 1,\n"                       \
    "\"ocm_bytes\": 65536, \"conv_in\": 32, \"conv_out\": 32, \"conv_few\": 8, \"conv_post\": "    \
    "8,\n"                                                                                         \
    "\"conv_s16\": 4, \"conv_s16_out\": 32, \"conv_start\": 64, \"teng_simple\": 64, "             \
    "\"teng_function\": 16, "                                                                      \
    "\"teng_norm\": 2,\n"                                                                          \
    "\"teng_start\": 64, \"cv_bytes\": 64, \"cv_start\": 64, \"ddr_bytes\": 26.5,\n"               \
    "\"ddr_stream_bytes\": 13.25, \"ddr_start\": 53, \"wait\": 16, \"call\": 20000"

static cyg_ctx ctx;
static cyg_npu_machine machine;

static cyg_status parse(const char *text, const char *mode)
{
    static cyg_arena arena;
    cyg_arena_deinit(&arena);
    cyg_arena_init(&arena);
    cyg_ctx_init(&ctx);
    return cyg_npu_machine_parse(&ctx, &arena, "m.json", text, strlen(text), mode, &machine);
}

static void test_built_in(void **state)
{
    (void)state;
    cyg_arena arena;
    cyg_arena_init(&arena);
    uint64_t hashes[16];
    for (size_t i = 0; i < cyg_npu_machine_count(); i++) {
        cyg_npu_machine m, found;
        cyg_ctx_init(&ctx);
        assert_int_equal(cyg_npu_machine_built_in(&ctx, &arena, i, &m), CYG_OK);
        assert_int_equal(cyg_npu_machine_find(&ctx, &arena, m.chip, m.mode, &found), CYG_OK);
        hashes[i] = cyg_npu_machine_hash(&m);
        assert_int_equal(hashes[i], cyg_npu_machine_hash(&found));
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(hashes[i], hashes[k]);
    }
    cyg_arena_deinit(&arena);
}

static void test_lanes_of_one_group(void **state)
{
    (void)state;
    static const char *const lanes[] = {"conv0", "conv1", "teng2", "cv3", "sdma4"};
    cyg_arena arena;
    cyg_npu_machine m;
    cyg_arena_init(&arena);
    assert_int_equal(cyg_npu_machine_find(&ctx, &arena, "AX650", "NPU3", &m), CYG_OK);
    assert_int_equal(cyg_npu_engine_count(&m), 15);
    assert_int_equal(cyg_npu_engines_of(&m, CYG_NPU_CONV), 6);
    for (uint32_t i = 0; i < 5; i++) {
        assert_string_equal(cyg_npu_engine_at(&m, i).lane, lanes[i]);
        assert_int_equal(cyg_npu_engine_at(&m, i).group, 0);
        assert_int_equal(cyg_npu_engine_at(&m, i + 10).group, 2);
        assert_int_equal(cyg_npu_engine_at(&m, i + 10).kind, cyg_npu_engine_at(&m, i).kind);
    }
    cyg_arena_deinit(&arena);
}

static void test_unknown_chip_lists_what_exists(void **state)
{
    (void)state;
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_npu_machine_find(&ctx, &arena, "AX650", "NPU4", &machine), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "there are AX650 NPU1, AX650 NPU2, AX650 NPU3 ("));
    cyg_arena_deinit(&arena);
}

static void test_one_machine(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"mode\": \"M\"," WHOLE "}", NULL), CYG_OK);
    assert_string_equal(machine.mode, "M");
    assert_true(machine.ddr_bytes == 26.5);
    assert_int_equal(machine.call, 20000);
    const uint64_t hash = cyg_npu_machine_hash(&machine);
    /* Sources are words: they change no cycle and no hash. */
    assert_int_equal(
        parse("{\"mode\": \"M\", \"sources\": {\"call\": \"guessed\"}," WHOLE "}", "M"), CYG_OK);
    assert_string_equal(machine.sources[CYG_NPU_FIELD_call], "guessed");
    assert_int_equal(cyg_npu_machine_hash(&machine), hash);
}

static void test_modes(void **state)
{
    (void)state;
    static const char text[] =
        "{\"modes\": {\"A\": {}, \"B\": {\"convs\": 4, \"call\": 7}}," WHOLE "}";
    assert_int_equal(parse(text, "A"), CYG_OK);
    assert_int_equal(machine.convs, 2);
    assert_int_equal(parse(text, "B"), CYG_OK);
    assert_int_equal(machine.convs, 4);
    assert_int_equal(machine.call, 7);
    assert_string_equal(machine.mode, "B");
    assert_int_equal(parse(text, NULL), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "A, B"));
    assert_int_equal(parse(text, "C"), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "m.json:1:11: no mode C; the file has A, B"));
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[]", "m.json:1:1:"},
        {"{}", "mode"},
        {"{\"mode\": \"M\", \"chip\": \"\"}", "m.json:1:23: \"chip\" is empty"},
        {"{\"mode\": \"M\",\n \"convz\": 3}", "m.json:2:2: unknown key \"convz\""},
        {"{\"mode\": \"M\",\n \"convz\": 3}", "did you mean \"convs\"?"},
        {"{\"mode\": \"M\", \"convs\": 0}", "\"convs\" is 0; it may be 1 to 16"},
        {"{\"mode\": \"M\", \"convs\": \"2\"}", "m.json:1:24:"},
        {"{\"mode\": \"M\", \"ddr_bytes\": 1e9}", "\"ddr_bytes\" is 1e+09; it may be 0.01 to 4096"},
        {"{\"mode\": \"M\"}", "\"chip\" is missing"},
        {"{\"modes\": {}}", "\"modes\" is empty"},
        {"{\"modes\": {\"A\": {\"chip\": \"x\"}}}", "\"chip\" belongs outside of \"modes\""},
        {"{\"modes\": {\"A\": {\"sources\": {}}}}", "unknown key \"sources\""},
        {"{\"sources\": {\"cal\": \"x\"}}", "did you mean \"call\"?"},
        {"{\"mode\": \"M\", \"modes\": {\"A\": {}}," WHOLE "}", "exclude each other"},
        {"{\"modes\": {\"A\": {\"groups\": 16}}," WHOLE "}", "has 80 engines"},
        {"{\"modes\": {\"A\": {\"ddr_bytes\": 13}}," WHOLE "}", "more than all together"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        assert_int_not_equal(parse(cases[i].text, NULL), CYG_OK);
        if (!ctx_says(&ctx, cases[i].says))
            fail_msg("%s: says \"%s\", not \"%s\"", cases[i].text, cyg_ctx_message(&ctx, 0),
                     cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in),
        cmocka_unit_test(test_lanes_of_one_group),
        cmocka_unit_test(test_unknown_chip_lists_what_exists),
        cmocka_unit_test(test_one_machine),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_refused),
    };
    return CYG_TEST_MAIN(tests);
}

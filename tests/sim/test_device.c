/* Subgraphs in packages: written, read, run by the simulator in a session; refused without one, and
 * when damaged. */
#include "programs.h"

#include "../format/mend.h"
#include "base/file.h"
#include "cygnet/runtime.h"
#include "format/package.h"
#include "npu/subgraph.h"
#include "sim/device.h"

static cyg_session *open_session(const cyg_model *model, cyg_sim_device *device)
{
    cyg_session *session;
    cyg_session_options options;
    const cyg_executor *executors[] = {&device->executor};
    cyg_session_options_init(&options);
    options.threads = 2;
    options.executors = executors;
    options.executor_count = 1;
    return cyg_session_create(model, &options, &session) == 0 ? session : NULL;
}

static void run_and_compare(const sp_program *s, cyg_session *session)
{
    const cyg_npu_io *last = &s->program.io[s->program.io_count - 1];
    for (uint32_t i = 0; i + 1 < s->program.io_count; i++)
        memcpy(cyg_session_input(session, i), s->io[i], (size_t)s->program.io[i].bytes);
    assert_int_equal(cyg_session_run(session), 0);
    assert_memory_equal(cyg_session_output(session, 0), s->want, (size_t)last->bytes);
}

static void sessions_run_subgraphs(void **state)
{
    const char *path = scratch_path(state, "m.cyg");
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        cyg_model *model;
        cyg_sim_device device;
        const cyg_sim_options options = {.order = CYG_SIM_REVERSE, .check = true, .taps = true};
        sp_makers[k](&s);
        sp_write_package(&s, path, 1);
        assert_int_equal(cyg_model_open(path, &model), 0);
        cyg_sim_device_init(&device, &options);
        cyg_session *session = open_session(model, &device);
        if (session == NULL)
            fail_msg("%s", cyg_runtime_message());
        run_and_compare(&s, session);
        run_and_compare(&s, session);
        assert_non_null(device.first);
        assert_int_equal(device.first->runs, 2);
        assert_string_equal(device.first->machine->mode, "NPU1");
        const cyg_sim_totals totals = cyg_sim_device_totals(&device);
        assert_true(totals.cycles == 2 * device.first->timing->cycles && totals.cycles > 0);
        assert_true(totals.ocm_peak_bytes == s.program.ocm_bytes && totals.seconds > 0);
        assert_true(cyg_session_memory(session) > s.program.ocm_bytes);
        cyg_session_destroy(session);
        assert_null(device.first);
        cyg_model_close(model);
        sp_end(&s);
    }
}

static void a_missing_executor_is_named(void **state)
{
    const char *path = scratch_path(state, "m.cyg");
    sp_program s;
    cyg_model *model;
    cyg_session *session;
    sp_linear(&s);
    sp_write_package(&s, path, 1);
    assert_int_equal(cyg_model_open(path, &model), 0);
    assert_int_equal(cyg_session_create(model, NULL, &session), CYG_E_UNSUPPORTED);
    assert_null(session);
    assert_non_null(strstr(cyg_runtime_message(), "needs executor \"npu\""));
    assert_non_null(strstr(cyg_runtime_message(), "subgraph_npu_0"));
    cyg_model_close(model);
    /* The steps alone: nothing to run them with. */
    sp_write_package(&s, path, 0);
    assert_int_equal(cyg_model_open(path, &model), CYG_E_FORMAT);
    assert_non_null(strstr(cyg_runtime_message(), "lives inside a subgraph only"));
    /* The same steps twice. */
    sp_write_package(&s, path, 2);
    assert_int_equal(cyg_model_open(path, &model), CYG_E_FORMAT);
    assert_non_null(strstr(cyg_runtime_message(), "another subgraph's, too"));
    sp_end(&s);
}

static void the_machine_comes_along(void **state)
{
    (void)state;
    sp_program s;
    sp_linear(&s);
    cyg_subgraph g = {.name = "g"};
    cyg_npu_machine machine;
    cyg_npu_program program;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    s.machine.ddr_bytes += 0.1;
    s.machine.chip = "AX \"650\"";
    s.program.chip = s.machine.chip;
    s.program.machine_hash = cyg_npu_machine_hash(&s.machine);
    assert_int_equal(cyg_npu_subgraph_make(&ctx, &s.machine, &s.program, &s.arena, &g), CYG_OK);
    assert_int_equal(cyg_npu_subgraph_open(&ctx, &g, &s.arena, &machine, &program), CYG_OK);
    assert_true(cyg_npu_machine_hash(&machine) == cyg_npu_machine_hash(&s.machine));
    s.program.machine_hash++;
    assert_int_equal(cyg_npu_subgraph_make(&ctx, &s.machine, &s.program, &s.arena, &g), CYG_OK);
    assert_int_equal(cyg_npu_subgraph_open(&ctx, &g, &s.arena, &machine, &program), CYG_E_FORMAT);
    sp_end(&s);
}

/* Offset of the first section of a kind. */
static size_t section_at(const uint8_t *d, uint32_t kind)
{
    for (uint32_t i = 0; i < cyg_load_u32(d + 12); i++)
        if (cyg_load_u32(d + 64 + 48 * (size_t)i) == kind)
            return (size_t)cyg_load_u64(d + 64 + 48 * (size_t)i + 8);
    fail_msg("no section %u", kind);
    return 0;
}

/* Every field of a subgraph's record, wrong. */
static void wrong_records_are_named(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
        const char *message;
    } cases[] = {
        {0, 1, "its steps are none of a program"},
        {4, 1, "its steps are none of a program"},
        {4, UINT32_MAX, "its steps are none of a program"},
        {8, 0, "its steps are none of a program"},
        {8, 2, "its steps are none of a program"},
        {12, 1, "counts do not add up"},
        {12, 5000, "too many tensors"},
        {16, 1 << 20, "a name lies outside"},
        {20, 1 << 20, "a name lies outside"},
        {24, 1, "its section \"parameters\" is missing"},
        {32, 0, "counts do not add up"},
        {40, UINT32_MAX, "counts do not add up"},
        {48, 99, "a tensor that does not exist"},
        {52, 2, "a tensor that does not exist"},
        {48, 2, "a tensor that has no place for that"}, /* what lives inside */
        {52, 1, "a tensor that has no place for that"}, /* writes an input */
        {16, 0, "needs executor \"\""},
        {24, UINT32_MAX, "sizes of memories that are not those of its parameters"},
        {60, 0, "tensors are not those of its subgraph"},
    };
    const char *path = scratch_path(state, "m.cyg"), *bad = scratch_path(state, "bad.cyg");
    sp_program s;
    cyg_map map;
    sp_linear(&s);
    sp_write_package(&s, path, 1);
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_model *model = NULL;
        cyg_sim_device device;
        uint8_t *copy = cyg_arena_memdup(&s.arena, map.data, map.size);
        assert_non_null(copy);
        cyg_store_u32(copy + section_at(copy, CYG_SECTION_SUBGRAPH) + cases[i].at, cases[i].value);
        mend_package(copy, map.size);
        assert_int_equal(cyg_write_file(NULL, bad, copy, map.size), CYG_OK);
        cyg_sim_device_init(&device, NULL);
        cyg_session *session =
            cyg_model_open(bad, &model) == 0 ? open_session(model, &device) : NULL;
        if (session != NULL || strstr(cyg_runtime_message(), cases[i].message) == NULL)
            fail_msg("case %zu: %s", i, session != NULL ? "it runs" : cyg_runtime_message());
        cyg_model_close(model);
    }
    cyg_map_close(&map);
    sp_end(&s);
}

/* As earlier versions wrote it, and as later ones may: a section that the reader does not know in
 * the place of taps. It runs; nobody looks inside. Sizes that do not add up are damage. */
static void packages_without_taps(void **state)
{
    const char *path = scratch_path(state, "m.cyg");
    for (int round = 0; round < 4; round++) {
        sp_program s;
        cyg_map map;
        cyg_model *model = NULL;
        cyg_sim_device device;
        sp_rows(&s);
        sp_write_package(&s, path, 1);
        assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
        uint8_t *copy = cyg_arena_memdup(&s.arena, map.data, map.size);
        const size_t taps = section_at(copy, CYG_SECTION_TAPS);
        if (round < 2)
            for (uint32_t i = 0; i < cyg_load_u32(copy + 12); i++)
                if (cyg_load_u32(copy + 64 + 48 * (size_t)i) == CYG_SECTION_TAPS)
                    cyg_store_u32(copy + 64 + 48 * (size_t)i, 77);
        if (round >= 2)
            cyg_store_u64(copy + taps, round == 2 ? 1 : UINT64_MAX);
        mend_package(copy, map.size);
        assert_int_equal(cyg_write_file(NULL, path, copy, map.size), CYG_OK);
        cyg_map_close(&map);
        const int opened = cyg_model_open(path, &model);
        if (round >= 2) {
            assert_int_equal(opened, CYG_E_FORMAT);
            assert_non_null(strstr(cyg_runtime_message(), "its sizes do not add up to its"));
            sp_end(&s);
            continue;
        }
        const cyg_sim_options options = {.taps = round == 1};
        cyg_sim_device_init(&device, &options);
        cyg_session *session = open_session(model, &device);
        if (round == 0) {
            assert_non_null(session);
            run_and_compare(&s, session);
        } else {
            assert_null(session);
            assert_non_null(strstr(cyg_runtime_message(), "build it again"));
        }
        cyg_session_destroy(session);
        cyg_model_close(model);
        sp_end(&s);
    }
}

/* Bytes changed anywhere, checksums mended: refused, or it runs inside its memories. */
static void damaged_packages_are_harmless(void **state)
{
    const char *path = scratch_path(state, "m.cyg"), *bad = scratch_path(state, "bad.cyg");
    sp_program s;
    cyg_map map;
    size_t refused = 0, no_session = 0, ran = 0;
    sp_attention(&s);
    sp_write_package(&s, path, 1);
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    for (int round = 0; round < 600; round++) {
        cyg_model *model;
        cyg_sim_device device;
        uint8_t *copy = cyg_arena_memdup(&s.arena, map.data, map.size);
        assert_non_null(copy);
        for (uint32_t changes = 1 + sp_random(&s) % 2; changes > 0; changes--)
            copy[sp_random(&s) % map.size] ^= (uint8_t)(1u << sp_random(&s) % 8);
        mend_package(copy, map.size);
        assert_int_equal(cyg_write_file(NULL, bad, copy, map.size), CYG_OK);
        if (cyg_model_open(bad, &model) != 0) {
            refused++;
            continue;
        }
        const cyg_sim_options options = {.taps = round % 2 == 0};
        cyg_sim_device_init(&device, &options);
        cyg_session *session = open_session(model, &device);
        ran += session != NULL && cyg_session_run(session) == 0;
        no_session += session == NULL;
        cyg_session_destroy(session);
        cyg_model_close(model);
    }
    print_message("%zu refused on opening, %zu by the session, %zu ran\n", refused, no_session,
                  ran);
    assert_true(refused > 20 && no_session > 50 && ran > 50);
    cyg_map_close(&map);
    sp_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sessions_run_subgraphs, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(a_missing_executor_is_named, setup_scratch,
                                        teardown_scratch),
        cmocka_unit_test(the_machine_comes_along),
        cmocka_unit_test_setup_teardown(wrong_records_are_named, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(packages_without_taps, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(damaged_packages_are_harmless, setup_scratch,
                                        teardown_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

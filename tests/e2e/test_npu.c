/* A build for an NPU from the outside: the same bytes as the CPU's package in every mode, and the
 * same cycles wherever they are told. */
#include "e2e.h"

static e2e_result result;

static int setup(void **state)
{
    const int status = fixture_setup(state);
    if (status == 0) {
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config build.json --output_dir cpu --target_hardware CPU");
        e2e_expect(&result, 0);
        e2e_cygnet(&result, (e2e_how){0},
                   "run --model cpu/compiled.cyg --input_dir in --output_dir cpu-run "
                   "--random_input");
        e2e_expect(&result, 0);
    }
    return status;
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static void build(const char *out, const char *flags)
{
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir %s %s", out, flags);
}

static void same_bytes(const char *out)
{
    size_t a_size, b_size;
    e2e_cygnet(&result, (e2e_how){0},
               "run --model %s/compiled.axmodel --input_dir in --output_dir %s-run --sim_check",
               out, out);
    e2e_expect(&result, 0);
    char *a = fixture_read(e2e_path("cpu-run/logits.bin"), &a_size),
         *b = fixture_read(e2e_path("%s-run/logits.bin", out), &b_size);
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
    free(a);
    free(b);
}

static void modes(void **state)
{
    (void)state;
    static const struct {
        const char *out, *flags;
    } cases[] = {
        {"npu1", "--target_hardware AX650"},
        {"npu3", "--target_hardware=AX650 --npu_mode NPU3"},
        {"half", "--target_hardware AX620E --npu_mode NPU1"},
        {"plain", "--target_hardware AX650 --compiler.schedule baseline"},
        {"slow", "--target_hardware AX650 --compiler.ddr_bw_limit 1.5"},
    };
    double cycles[5];
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        build(cases[i].out, cases[i].flags);
        e2e_expect(&result, 0);
        assert_non_null(strstr(result.out, "max_cycle = "));
        assert_non_null(strstr(result.out, "1 NPU subgraph, 0 CPU steps"));
        assert_non_null(strstr(result.out, "same bytes as the CPU"));
        same_bytes(cases[i].out);
        e2e_cygnet(&result, (e2e_how){0}, "bench -m %s/compiled.cyg -r 1 -w 0 --json",
                   cases[i].out);
        e2e_expect(&result, 0);
        cycles[i] = e2e_number(&result, "cycles");
    }
    assert_true(cycles[1] <= cycles[0]);
    assert_true(cycles[0] <= cycles[3]);
    assert_true(cycles[0] < cycles[4]);
}

static void records(void **state)
{
    (void)state;
    build("traced", "--target_hardware AX650 --compiler.npu_perf --json");
    e2e_expect(&result, 0);
    const double cycles = e2e_number(&result, "max_cycle");
    assert_true(cycles > 0 && e2e_number(&result, "estimated_ms") > 0);
    assert_true(e2e_number(&result, "baseline_ms") >= e2e_number(&result, "estimated_ms"));
    size_t size;
    char *trace =
        fixture_read(e2e_path("traced/compiler/debug/subgraph_npu_0/b1/trace.json"), &size);
    assert_non_null(strstr(trace, "conv0"));
    assert_non_null(strstr(trace, "traceEvents"));
    free(trace);
    free(fixture_read(e2e_path("traced/compiler/debug/subgraph_npu_0/b1/op_profile.csv"), &size));
    assert_int_equal(fixture_count(e2e_path("traced/compiler"), "reference"), 0);
    e2e_cygnet(&result, (e2e_how){0}, "bench -m traced/compiled.cyg -r 1 -w 0 --json");
    assert_true(e2e_number(&result, "cycles") == cycles);
}

static void batches(void **state)
{
    (void)state;
    build("two", "--target_hardware AX650 --compiler.static_batch_sizes 1 2");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "batchs [1, 2]"));
    /* Weights are stored once: the second program costs its code. */
    e2e_cygnet(&result, (e2e_how){0}, "inspect two/compiled.cyg");
    e2e_expect(&result, 0);
    const char *section = strstr(result.out, "parameters");
    assert_non_null(section);
    assert_null(strstr(section + 1, "\n              parameters"));
    e2e_cygnet(&result, (e2e_how){0},
               "run --model two/compiled.cyg --input_dir in --output_dir two-run --batch_size 1 "
               "--sim_check");
    e2e_expect(&result, 0);
}

/* Batches as long as they gain: here the run's fixed cost is shared by more and more pictures. */
static void dynamic_batches(void **state)
{
    (void)state;
    build("grow", "--target_hardware AX650 --compiler.max_dynamic_batch_size 4");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "batchs [1, 2, 4]"));
    /* Two pictures do not fit into a small memory, and leave it for the DDR. */
    size_t size;
    fixture_copy(CYG_SOURCE_ROOT "/src/npu/machines/ax650.json", "small.json");
    char *text = fixture_read(e2e_path("small.json"), &size), *at = strstr(text, "3141632");
    assert_non_null(at);
    memcpy(at, "  24576", 7);
    fixture_write("small.json", text, size);
    free(text);
    build("stop", "--machine small.json --compiler.max_dynamic_batch_size 64");
    e2e_expect(&result, 0);
    assert_null(strstr(result.out, "batchs [1, 2, 4, 8, 16, 32, 64]"));
    assert_non_null(strstr(result.err, "takes no less time an image"));
}

/* The five lines of scores that classify prints in the vendor's form: behind the times, before a
 * rule. */
static char *scores_of(const char *package)
{
    e2e_cygnet(&result, (e2e_how){0}, "classify %s/compiled.cyg val/ant/a.png --format axera",
               package);
    e2e_expect(&result, 0);
    const char *times = strstr(result.out, "topk cost time");
    assert_non_null(times);
    const char *first = strchr(times, '\n') + 1, *rule = strstr(first, "\n---");
    assert_non_null(rule);
    return strndup(first, (size_t)(rule - first));
}

/* eval and classify see no difference but time. */
static void pictures(void **state)
{
    (void)state;
    static const char *const packages[] = {"cpu", "seen"};
    char *rows[2], *scores[2];
    size_t sizes[2];
    build("seen", "--target_hardware AX650 --json");
    e2e_expect(&result, 0);
    const double max_cycle = e2e_number(&result, "max_cycle");
    for (int i = 0; i < 2; i++) {
        e2e_cygnet(&result, (e2e_how){0},
                   "eval %s/compiled.cyg --dataset val --logits %s.npy --json", packages[i],
                   packages[i]);
        e2e_expect(&result, 0);
        assert_true(i == 0 || e2e_number(&result, "cycles") == max_cycle);
        rows[i] = fixture_read(e2e_path("%s.npy", packages[i]), &sizes[i]);
        scores[i] = scores_of(packages[i]);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(rows[0], rows[1], sizes[0]);
    assert_string_equal(scores[0], scores[1]);
    assert_non_null(strstr(scores[0], ", "));
    for (int i = 0; i < 2; i++) {
        free(rows[i]);
        free(scores[i]);
    }
}

static void machines(void **state)
{
    (void)state;
    fixture_copy(CYG_SOURCE_ROOT "/src/npu/machines/ax650.json", "own.json");
    build("own", "--target_hardware own.json --npu_mode NPU2");
    e2e_expect(&result, 0);
    same_bytes("own");
    build("no", "--target_hardware missing.json");
    e2e_expect_error(&result, 3, "missing.json", "no");
    fixture_text("bad.json", "{\"chip\": \"x\"}");
    build("no", "--target_hardware=bad.json");
    assert_true(result.code != 0);
    assert_non_null(strstr(result.err, "bad.json"));
    build("cpu2", "--target_hardware CPU --npu_mode NPU2 --compiler.npu_perf");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "npu_mode has no effect"));
    assert_non_null(strstr(result.err, "compiler.npu_perf has no effect"));
}

static void with_sub_configs(const char *text)
{
    size_t size;
    char *whole = fixture_read(e2e_path("build.json"), &size);
    char *end = strrchr(whole, '}');
    *end = '\0';
    fixture_text("sub.json", "%s, \"compiler\": {\"sub_configs\": [%s]}}\n", whole, text);
    free(whole);
}

/* compiler.sub_configs: subgraphs of their own, with settings of their own. */
static void sub_configs(void **state)
{
    (void)state;
    with_sub_configs("{\"start_tensor_names\": [\"one.norm1\"], "
                     "\"end_tensor_names\": \"one.out\", \"schedule\": \"baseline\", "
                     "\"npu_perf\": true, \"ddr_bw_limit\": 2}");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config sub.json --output_dir parts --target_hardware AX650");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "3 NPU subgraphs, 0 CPU steps"));
    assert_non_null(strstr(result.err, "compiler.sub_configs[0]: 6 steps"));
    same_bytes("parts");
    size_t size;
    free(fixture_read(e2e_path("parts/compiler/debug/subgraph_npu_1/b1/trace.json"), &size));
    assert_int_equal(fixture_count(e2e_path("parts/compiler/debug"), "subgraph"), 1);
    char *context = fixture_read(e2e_path("parts/build_context.json"), &size);
    assert_non_null(strstr(context, "\"sub_config\": 0"));
    free(context);
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"{\"start_tensor_names\": [\"one.norm3\"], \"end_tensor_names\": [\"one.out\"]}",
         "start_tensor_names|one.norm3|did you mean"},
        {"{\"start_tensor_names\": [\"one.out\"], \"end_tensor_names\": [\"one.norm1\"]}",
         "no step from a start to an end"},
        {"{\"start_tensor_names\": [\"one.norm1\"], \"end_tensor_names\": [\"one.out\"]}, "
         "{\"start_tensor_names\": [\"one.q\"], \"end_tensor_names\": [\"one.norm2\"]}",
         "share the step"},
    };
    for (size_t i = 0; i < CYG_COUNT(bad); i++) {
        with_sub_configs(bad[i].text);
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config sub.json --output_dir no --target_hardware AX650");
        e2e_expect_error(&result, 2, bad[i].words, "no");
    }
}

/* run --enable_perlayer_output: the same folder as of the CPU's package, tensors.json included,
 * whatever machine, order, schedule, partition and batch. */
static void same_layers(const char *cpu, const char *npu, const char *flags)
{
    char command[512];
    const char *const packages[] = {cpu, npu};
    for (size_t i = 0; i < 2; i++) {
        e2e_cygnet(&result, (e2e_how){0},
                   "run --model %s/compiled.cyg --input_dir %s-in --output_dir %s-layers "
                   "--enable_perlayer_output%s %s",
                   packages[i], cpu, packages[i], i == 0 ? " --random_input" : "", flags);
        e2e_expect(&result, 0);
    }
    snprintf(command, sizeof command, "diff -r %s/%s-layers %s/%s-layers", e2e_root, cpu, e2e_root,
             npu);
    assert_int_equal(system(command), 0);
    assert_true(fixture_count(e2e_path("%s-layers", npu), ".bin") > 10);
}

static void layers(void **state)
{
    (void)state;
    build("l1", "--target_hardware AX650 --npu_mode NPU2");
    e2e_expect(&result, 0);
    same_layers("cpu", "l1", "--sim_order reverse --sim_check");
    build("l2", "--target_hardware AX620E --compiler.schedule baseline");
    e2e_expect(&result, 0);
    same_layers("cpu", "l2", "--sim_order random:5");
    with_sub_configs(
        "{\"start_tensor_names\": [\"one.norm1\"], \"end_tensor_names\": \"one.out\"}");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config sub.json --output_dir l3 --target_hardware AX650 --npu_mode NPU3");
    e2e_expect(&result, 0);
    same_layers("cpu", "l3", "--sim_order starve:2");
    build("c2", "--target_hardware CPU --compiler.static_batch_sizes 1 2");
    e2e_expect(&result, 0);
    build("l4", "--target_hardware AX650 --compiler.static_batch_sizes 1 2");
    e2e_expect(&result, 0);
    same_layers("c2", "l4", "--batch_size 3"); /* both programs: two samples and one */
    e2e_cygnet(&result, (e2e_how){0}, "inspect l4/compiled.cyg --json");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "\"name\": \"taps\""));
    assert_null(strstr(result.out, "\"tap_bytes\": 0"));
}

static size_t checked_layers(size_t samples, size_t batches)
{
    size_t tensors = 0, of_samples = 0, of_batches = 0;
    e2e_expect(&result, 0);
    const char *line = strstr(result.out, "check layers [npu]: ");
    assert_non_null(line);
    assert_int_equal(sscanf(line,
                            "check layers [npu]: %zu tensors of %zu samples in %zu batch sizes",
                            &tensors, &of_samples, &of_batches),
                     3);
    assert_int_equal(of_samples, samples);
    assert_int_equal(of_batches, batches);
    assert_non_null(strstr(line, "never exist whole"));
    return tensors;
}

/* compiler.check_mode CheckPerLayer looks inside: every step, sample and batch. */
static void check_layers(void **state)
{
    (void)state;
    build("k1", "--target_hardware AX650 --compiler.check 2");
    e2e_expect(&result, 0);
    assert_null(strstr(result.out, "check layers"));
    char flags[256];
    static const char layers_of[] = "--target_hardware AX650 --npu_mode NPU3 --compiler.check 2 "
                                    "--compiler.check_mode CheckPerLayer";
    build("k2", layers_of);
    const size_t all = checked_layers(4, 1);
    assert_true(all > 40);
    snprintf(flags, sizeof flags, "%s --compiler.static_batch_sizes 1 2", layers_of);
    build("k3", flags);
    assert_int_equal(checked_layers(4, 2), all + all / 4);
    snprintf(flags, sizeof flags, "%s --compiler.check_tensor_black_list ^two\\.", layers_of);
    build("k4", flags);
    const size_t some = checked_layers(4, 1);
    assert_true(some < all && some > 0);
    static uint8_t pixels[E2E_SIDE * E2E_SIDE * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7 % 251);
    fixture_write("folder/pixel_values.bin", pixels, sizeof pixels);
    build("k5", "--target_hardware AX650 --compiler.check 2 --compiler.check_mode CheckPerLayer "
                "--compiler.input_sample_dir folder");
    assert_int_equal(checked_layers(1, 1), all / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes),        cmocka_unit_test(records),
        cmocka_unit_test(batches),      cmocka_unit_test(dynamic_batches),
        cmocka_unit_test(pictures),     cmocka_unit_test(machines),
        cmocka_unit_test(sub_configs),  cmocka_unit_test(layers),
        cmocka_unit_test(check_layers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

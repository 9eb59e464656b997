/* Graph, program, package, session: the bytes that come out equal those of the plain C bodies on
 * the unplaced program, on every ISA level the machine has, on one, two and three threads. */
#include "models.h"

#include "interp/interp.h"
#include "lower/lower.h"

static cyg_ctx ctx;

static void check_graph(void **state, const cyg_graph *g, const void *input)
{
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_program p;
    OK(&ctx, cyg_lower_graph(&ctx, g, &arena, &p));
    const cyg_tensor *t = &p.tensors[p.inputs[0]];
    cyg_kbuf in = {.type = t->type, .rank = t->rank}, expected[1];
    memcpy(in.dims, t->dims, sizeof in.dims);
    memcpy(&in.data, &input, sizeof in.data);
    OK(&ctx, cyg_interp_run_program(&ctx, &p, true, &in, 1, NULL, NULL, &arena, expected));
    const char *path = scratch_path(state, "m.cyg");
    write_package(&ctx, g, path);
    int levels = 0;
    for (int level = 0; level < CYG_CPU_COUNT; level++) {
        if (!cyg_cpu_has((cyg_cpu_level_id)level))
            continue;
        levels++;
        for (unsigned threads = 1; threads <= 3; threads++) {
            size_t bytes;
            void *found =
                run_package(path, cyg_cpu_name((cyg_cpu_level_id)level), threads, &input, &bytes);
            assert_int_equal(bytes, cyg_tensor_bytes(&p.tensors[p.outputs[0]]));
            if (memcmp(found, expected[0].data, bytes) != 0)
                fail_msg("%s, %u threads: other bytes", cyg_cpu_name((cyg_cpu_level_id)level),
                         threads);
            free(found);
        }
    }
    assert_true(levels >= 1);
    cyg_arena_deinit(&arena);
}

static void test_tiny(void **state)
{
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    cyg_quant_report report;
    tiny_samples_init(&samples);
    cyg_graph *g = tiny_quantised(&ctx, true, &report);
    check_graph(state, g, samples.pixels[5]);
    cyg_graph_destroy(g);
    g = tiny_graph();
    check_graph(state, g, samples.inputs[5]);
    cyg_graph_destroy(g);
}

static void test_wide(void **state)
{
    cyg_ctx_init(&ctx);
    rng r = {3};
    float *x = random_floats(&r, WIDE_INPUT, 2.0f);
    cyg_graph *g = wide_graph(&ctx, x);
    check_graph(state, g, x);
    cyg_graph_destroy(g);
    g = wide_graph(&ctx, NULL);
    check_graph(state, g, x);
    cyg_graph_destroy(g);
    free(x);
}

/* A second run with the same input gives the same, with another input what a fresh session gives;
 * two sessions share a model. */
static void test_repeat(void **state)
{
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    cyg_quant_report report;
    tiny_samples_init(&samples);
    cyg_graph *g = tiny_quantised(&ctx, true, &report);
    const char *path = scratch_path(state, "m.cyg");
    write_package(&ctx, g, path);
    cyg_graph_destroy(g);
    cyg_model *model;
    cyg_session *s[2];
    assert_int_equal(cyg_model_open(path, &model), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(cyg_session_create(model, NULL, &s[i]), 0);
    for (int k = 0; k < 3 * TINY_SAMPLES; k++) {
        float first[TINY_CLASSES];
        for (int i = 0; i < 2; i++) {
            const int sample = (k * 5) % TINY_SAMPLES;
            memcpy(cyg_session_input(s[i], 0), samples.pixels[sample], TINY_PIXELS);
            assert_int_equal(cyg_session_run(s[i]), 0);
            if (i == 0)
                memcpy(first, cyg_session_output(s[i], 0), sizeof first);
            assert_memory_equal(first, cyg_session_output(s[i], 0), sizeof first);
            /* Inputs are the caller's: a run leaves them alone. */
            assert_memory_equal(cyg_session_input(s[i], 0), samples.pixels[sample], TINY_PIXELS);
        }
    }
    for (int i = 0; i < 2; i++)
        cyg_session_destroy(s[i]);
    cyg_model_close(model);
}

typedef struct counted {
    uint32_t steps;
    double seconds;
} counted;

static void on_step(void *user, uint32_t step, const char *name, double seconds)
{
    counted *c = user;
    assert_int_equal(step, c->steps);
    assert_true(name[0] != '\0');
    c->steps++;
    c->seconds += seconds;
}

static void test_questions(void **state)
{
    cyg_ctx_init(&ctx);
    cyg_quant_report report;
    cyg_graph *g = tiny_quantised(&ctx, true, &report);
    const char *path = scratch_path(state, "m.cyg");
    write_package(&ctx, g, path);
    cyg_graph_destroy(g);
    cyg_model *model;
    cyg_session *session;
    cyg_session_options options;
    cyg_tensor_info info = {.struct_size = sizeof info};
    size_t size;
    assert_int_equal(cyg_model_open(path, &model), 0);
    assert_int_equal(cyg_model_input_count(model), 1);
    assert_int_equal(cyg_model_output_count(model), 1);
    assert_string_equal(cyg_model_meta(model, &size), "{}");
    assert_int_equal(size, 2);
    assert_int_equal(cyg_model_input_info(model, 0, &info), 0);
    assert_string_equal(info.name, "image");
    assert_int_equal(info.type, CYG_TYPE_U8);
    assert_int_equal(info.bytes, TINY_PIXELS);
    assert_true(info.scale == 1.0f && info.zero_point == 0);
    assert_int_equal(cyg_model_output_info(model, 0, &info), 0);
    assert_string_equal(info.name, "logits");
    assert_int_equal(info.dims[1], TINY_CLASSES);
    assert_int_not_equal(cyg_model_output_info(model, 1, &info), 0);
    assert_non_null(strstr(cyg_runtime_message(), "tensor 1 of 1"));
    info.struct_size = 4;
    assert_int_not_equal(cyg_model_output_info(model, 0, &info), 0);
    cyg_session_options_init(&options);
    options.isa = "z80";
    assert_int_not_equal(cyg_session_create(model, &options, &session), 0);
    assert_null(session);
    assert_non_null(strstr(cyg_runtime_message(), "z80"));
    options.isa = "c";
    options.threads = 2;
    counted c = {0};
    options.on_step = on_step;
    options.user = &c;
    assert_int_equal(cyg_session_create(model, &options, &session), 0);
    assert_string_equal(cyg_session_isa(session), "c");
    assert_int_equal(cyg_session_threads(session), 2);
    assert_true(cyg_session_memory(session) > TINY_PIXELS);
    assert_int_equal(cyg_session_run(session), 0);
    assert_int_equal(c.steps, cyg_model_step_count(model));
    assert_null(cyg_session_input(session, 1));
    assert_null(cyg_session_output(session, 1));
    cyg_session_destroy(session);
    options.struct_size = 1;
    assert_int_not_equal(cyg_session_create(model, &options, &session), 0);
    cyg_model_close(model);
    assert_int_not_equal(cyg_model_open(scratch_path(state, "absent.cyg"), &model), 0);
    assert_null(model);
    assert_non_null(strstr(cyg_runtime_message(), "absent.cyg"));
    cyg_model_close(NULL);
    cyg_session_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tiny, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_wide, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_repeat, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_questions, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}

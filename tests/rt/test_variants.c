/* Packages of several programs: a batch of any size gives, sample by sample, the bytes of a run
 * alone, however it is split; groups are told apart; weights and what is packed of them are there
 * once; variants that are none are refused. */
#include "models.h"

#include "pass/pass.h"
#include "rt/model.h"

static cyg_ctx ctx;

enum { SAMPLES = 9, VARIANTS = 8 };

typedef struct variants {
    cyg_graph *graph;
    cyg_graph *clones[VARIANTS];
    cyg_arena arena;
    cyg_program programs[VARIANTS];
    uint32_t count;
    float *inputs; /* [SAMPLES, WIDE_INPUT] */
    char *alone;   /* the results of runs alone */
    size_t out_bytes;
} variants;

static void add_program(variants *v, uint32_t group, uint32_t batch)
{
    cyg_cpu_report report;
    cyg_graph *g = v->clones[v->count] = cyg_graph_clone(v->graph);
    assert_non_null(g);
    OK(&ctx, cyg_multiply_batch(&ctx, g, batch, true));
    cyg_program *p = &v->programs[v->count++];
    OK(&ctx, cyg_target_cpu_compile(&ctx, g, &v->arena, p, &report));
    p->group = group;
    p->batch = batch;
}

static void variants_init(variants *v, void **state, bool quantised)
{
    rng r = {11};
    cyg_ctx_init(&ctx);
    memset(v, 0, sizeof *v);
    cyg_arena_init(&v->arena);
    v->inputs = random_floats(&r, (size_t)SAMPLES * WIDE_INPUT, 2.0f);
    v->graph = wide_graph(&ctx, quantised ? v->inputs : NULL);
    write_package(&ctx, v->graph, scratch_path(state, "one.cyg"));
    for (size_t i = 0; i < SAMPLES; i++) {
        const void *input = v->inputs + i * WIDE_INPUT;
        char *y = run_package(scratch_path(state, "one.cyg"), NULL, 2, &input, &v->out_bytes);
        v->alone = realloc(v->alone, (i + 1) * v->out_bytes);
        assert_non_null(v->alone);
        memcpy(v->alone + i * v->out_bytes, y, v->out_bytes);
        free(y);
    }
}

static void variants_deinit(variants *v)
{
    for (uint32_t i = 0; i < v->count; i++)
        cyg_graph_destroy(v->clones[i]);
    cyg_graph_destroy(v->graph);
    cyg_arena_deinit(&v->arena);
    free(v->inputs);
    free(v->alone);
}

static cyg_model *open_written(const variants *v, void **state)
{
    cyg_model *model;
    const char *path = scratch_path(state, "variants.cyg");
    OK(&ctx, cyg_package_write(&ctx, path, v->programs, v->count, "{}"));
    if (cyg_model_open(path, &model) != 0)
        fail_msg("%s", cyg_runtime_message());
    return model;
}

static cyg_session *open_session(const cyg_model *model, uint32_t group, uint32_t batch)
{
    cyg_session *session;
    cyg_session_options options;
    cyg_session_options_init(&options);
    options.threads = 2;
    options.group = group;
    options.batch = batch;
    if (cyg_session_create(model, &options, &session) != 0)
        fail_msg("%s", cyg_runtime_message());
    return session;
}

/* The first `count` samples, twice: a run leaves its inputs alone. */
static void check_run(const variants *v, cyg_session *s, uint32_t count)
{
    memcpy(cyg_session_input(s, 0), v->inputs, count * WIDE_INPUT * sizeof(float));
    for (int again = 0; again < 2; again++) {
        assert_int_equal(cyg_session_run_batch(s, count), 0);
        assert_memory_equal(cyg_session_output(s, 0), v->alone, count * v->out_bytes);
    }
    assert_memory_equal(cyg_session_input(s, 0), v->inputs, count * WIDE_INPUT * sizeof(float));
}

static void check_batches(void **state, bool quantised, const uint32_t *sizes, uint32_t count)
{
    variants v;
    variants_init(&v, state, quantised);
    for (uint32_t i = 0; i < count; i++)
        add_program(&v, 0, sizes[i]);
    cyg_model *model = open_written(&v, state);
    assert_int_equal(cyg_model_group_count(model), 1);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(cyg_model_batch_size(model, 0, i), sizes[i]);
    assert_int_equal(cyg_model_batch_size(model, 0, count), 0);
    assert_int_equal(cyg_model_batch_size(model, 1, 0), 0);
    cyg_tensor_info info = {.struct_size = sizeof info};
    assert_int_equal(cyg_model_input_info(model, 0, &info), 0);
    assert_int_equal(info.dims[0], 64 * sizes[0]); /* the package shows its largest */
    for (uint32_t n = 1; n <= SAMPLES; n++) {
        cyg_session *s = open_session(model, 0, n);
        assert_int_equal(cyg_session_batch(s), n);
        assert_int_equal(cyg_session_input_info(s, 0, &info), 0);
        assert_int_equal(info.dims[0], 64 * n);
        assert_int_equal(info.bytes, n * WIDE_INPUT * sizeof(float));
        assert_int_equal(cyg_session_output_info(s, 0, &info), 0);
        assert_int_equal(info.bytes, n * v.out_bytes);
        for (uint32_t k = 1; k <= n; k++)
            check_run(&v, s, k);
        assert_int_not_equal(cyg_session_run_batch(s, 0), 0);
        assert_int_not_equal(cyg_session_run_batch(s, n + 1), 0);
        cyg_session_destroy(s);
    }
    cyg_session *s = open_session(model, 0, 0);
    assert_int_equal(cyg_session_batch(s), sizes[0]);
    cyg_session_destroy(s);
    cyg_model_close(model);
    variants_deinit(&v);
}

static void test_batches(void **state)
{
    static const uint32_t sizes[] = {4, 2, 1}, odd[] = {3, 2}, large[] = {8};
    for (int quantised = 0; quantised < 2; quantised++) {
        check_batches(state, quantised, sizes, 3);
        check_batches(state, quantised, odd, 2);
        check_batches(state, quantised, large, 1);
    }
}

/* How a batch is split shows in the steps that are called. */
static void count_step(void *user, uint32_t step, const char *name, double seconds)
{
    (void)name;
    (void)seconds;
    ((unsigned *)user)[step]++;
}

static void test_split(void **state)
{
    variants v;
    unsigned calls[64] = {0};
    cyg_session *session;
    cyg_session_options options;
    variants_init(&v, state, true);
    add_program(&v, 0, 4);
    add_program(&v, 0, 2);
    add_program(&v, 0, 1);
    cyg_model *model = open_written(&v, state);
    const uint32_t steps = cyg_model_step_count(model);
    assert_true(3 * steps <= CYG_COUNT(calls));
    cyg_session_options_init(&options);
    options.batch = 9;
    options.on_step = count_step;
    options.user = calls;
    assert_int_equal(cyg_session_create(model, &options, &session), 0);
    assert_int_equal(cyg_session_run(session), 0); /* 9 = 4 + 4 + 1 */
    for (uint32_t i = 0; i < 3 * steps; i++)
        assert_int_equal(calls[i], i < steps ? 2 : i < 2 * steps ? 0 : 1);
    assert_int_equal(cyg_session_run_batch(session, 3), 0); /* 2 + 1 */
    for (uint32_t i = 0; i < 3 * steps; i++)
        assert_int_equal(calls[i], i < steps ? 2 : i < 2 * steps ? 1 : 2);
    cyg_session_destroy(session);
    cyg_model_close(model);
    variants_deinit(&v);
}

static size_t file_size(const char *path)
{
    cyg_map map;
    assert_int_equal(cyg_map_open(&ctx, path, &map), CYG_OK);
    const size_t size = map.size;
    cyg_map_close(&map);
    return size;
}

static void test_weights_once(void **state)
{
    variants v;
    variants_init(&v, state, true);
    add_program(&v, 0, 4);
    const size_t one = file_size(scratch_path(state, "one.cyg"));
    cyg_model *model = open_written(&v, state);
    cyg_session *s = open_session(model, 0, 0);
    const size_t memory = cyg_session_memory(s);
    cyg_session_destroy(s);
    cyg_model_close(model);
    add_program(&v, 0, 2);
    add_program(&v, 0, 1);
    model = open_written(&v, state);
    s = open_session(model, 0, 0);
    /* Ends of its own and bindings, but neither weights nor activations again. */
    assert_true(cyg_session_memory(s) <
                memory + 4 * (WIDE_INPUT * sizeof(float) + v.out_bytes) + 65536);
    assert_true(file_size(scratch_path(state, "variants.cyg")) < one + 16384);
    cyg_session_destroy(s);
    cyg_model_close(model);
    variants_deinit(&v);
}

static void test_groups(void **state)
{
    variants v;
    variants_init(&v, state, true);
    add_program(&v, 0, 2);
    add_program(&v, 0, 1);
    add_program(&v, 1, 4); /* another size is another shape; the same serves as well */
    add_program(&v, 1, 1);
    cyg_model *model = open_written(&v, state);
    assert_int_equal(cyg_model_group_count(model), 2);
    assert_int_equal(cyg_model_batch_size(model, 1, 0), 4);
    assert_int_equal(cyg_model_batch_size(model, 1, 1), 1);
    assert_int_equal(cyg_model_batch_size(model, 2, 0), 0);
    for (uint32_t group = 0; group < 2; group++) {
        cyg_session *s = open_session(model, group, 5);
        check_run(&v, s, 5);
        cyg_session_destroy(s);
    }
    cyg_session *s;
    cyg_session_options options;
    cyg_session_options_init(&options);
    options.group = 2;
    assert_int_not_equal(cyg_session_create(model, &options, &s), 0);
    assert_non_null(strstr(cyg_runtime_message(), "2 size groups"));
    cyg_model_close(model);
    variants_deinit(&v);
}

static void refuse(const variants *v, void **state, const char *says)
{
    cyg_model *model;
    const char *path = scratch_path(state, "variants.cyg");
    OK(&ctx, cyg_package_write(&ctx, path, v->programs, v->count, "{}"));
    assert_int_not_equal(cyg_model_open(path, &model), 0);
    if (strstr(cyg_runtime_message(), says) == NULL)
        fail_msg("%s", cyg_runtime_message());
}

static void test_refused(void **state)
{
    variants v;
    variants_init(&v, state, true);
    add_program(&v, 0, 2);
    add_program(&v, 0, 1);
    cyg_program *p = v.programs;
    p[1].batch = 2;
    refuse(&v, state, "out of order");
    p[1].batch = 1;
    p[1].group = 2;
    refuse(&v, state, "out of order");
    p[1].group = 0;
    p[0].batch = 4;
    refuse(&v, state, "at another size");
    p[0].batch = 2;
    cyg_tensor *t = &p[1].tensors[p[1].inputs[0]];
    const char *name = t->name;
    t->name = "other";
    refuse(&v, state, "at another size");
    t->name = name;
    t->zero_point++;
    refuse(&v, state, "at another size");
    t->zero_point--;
    p[1].output_count = 0;
    refuse(&v, state, "at another size");
    p[1].output_count = 1;
    cyg_model_close(open_written(&v, state));
    assert_int_not_equal(cyg_package_write(&ctx, "none", p, 65, "{}"), CYG_OK);
    assert_int_not_equal(cyg_package_write(&ctx, "none", p, 0, "{}"), CYG_OK);
    variants_deinit(&v);
}

int main(void)
{
#define SCRATCH(name) cmocka_unit_test_setup_teardown(name, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH(test_batches), SCRATCH(test_split),   SCRATCH(test_weights_once),
        SCRATCH(test_groups),  SCRATCH(test_refused),
    };
    return CYG_TEST_MAIN(tests);
}

/* Import of a model made in memory, and a look at what came of it. */
#ifndef CYG_TESTS_ONNX_FIXTURE_H
#define CYG_TESTS_ONNX_FIXTURE_H

#include "onnx/onnx.h"
#include "onnx_builder.h"

static cyg_ctx test_ctx;
static char last_note[1024];

static inline void keep_note(void *user, const cyg_log_event *event)
{
    (void)user;
    if (event->kind == CYG_LOG_NOTE)
        snprintf(last_note, sizeof last_note, "%s", event->text);
}

static inline cyg_status import_with(void **state, ob model, const cyg_onnx_import_options *options,
                                     cyg_graph **out_graph)
{
    cyg_ctx_init(&test_ctx);
    test_ctx.log.sink = keep_note;
    last_note[0] = '\0';
    write_scratch(state, "m.onnx", model.data, model.size);
    free(model.data);
    return cyg_onnx_import(&test_ctx, scratch_path(state, "m.onnx"), options, out_graph, NULL);
}

static inline void print_messages(void)
{
    for (size_t i = 0; i < cyg_ctx_message_count(&test_ctx); i++)
        print_message("  %s\n", cyg_ctx_message(&test_ctx, i));
}

/* Takes the model; the caller destroys the graph. */
static inline cyg_graph *import_ok(void **state, ob model)
{
    cyg_graph *g = NULL;
    const cyg_status status = import_with(state, model, NULL, &g);
    if (status != CYG_OK)
        print_messages();
    assert_int_equal(status, CYG_OK);
    return g;
}

/* Import fails with the status and says each of the texts. */
static inline void import_fails(void **state, ob model, cyg_status want, const char *says,
                                const char *says_too)
{
    cyg_graph *g = NULL;
    const cyg_status status = import_with(state, model, NULL, &g);
    assert_null(g);
    if (status != want || !ctx_says(&test_ctx, says) || !ctx_says(&test_ctx, says_too))
        print_messages();
    assert_int_equal(status, want);
    assert_true(ctx_says(&test_ctx, says));
    assert_true(ctx_says(&test_ctx, says_too));
}

/* Node i in execution order. */
static inline const cyg_node *nth(const cyg_graph *g, uint32_t i)
{
    assert_true(i < g->order_count);
    return cyg_nod(g, g->order[i]);
}

/* Input i of a node is a constant of s64 that reads as listed. */
static inline void expect_ints(const cyg_graph *g, const cyg_node *n, uint32_t i,
                               const int64_t *want, size_t count)
{
    const cyg_value_id v = cyg_node_in(n, i);
    assert_false(cyg_value_is_none(v));
    assert_true(cyg_val(g, v)->is_const);
    assert_int_equal(cyg_val(g, v)->type, CYG_TYPE_S64);
    assert_int_equal(cyg_val(g, v)->bytes, count * sizeof *want);
    assert_memory_equal(cyg_val(g, v)->data, want, count * sizeof *want);
}
#define EXPECT_INTS(g, n, i, ...)                                                                  \
    expect_ints((g), (n), (i), (const int64_t[]){__VA_ARGS__},                                     \
                CYG_COUNT(((const int64_t[]){__VA_ARGS__})))

static inline void expect_dims(const cyg_value *v, const int64_t *want, size_t count)
{
    assert_int_equal(v->rank, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(v->dims[i], want[i]);
}
#define EXPECT_DIMS(v, ...)                                                                        \
    expect_dims((v), (const int64_t[]){__VA_ARGS__}, CYG_COUNT(((const int64_t[]){__VA_ARGS__})))

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_scratch, teardown_scratch)

#endif

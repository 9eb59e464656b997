/* The check of a converted file: the right file passes, also with an open batch; a file of another
 * model, a damaged weight and a model that gives no numbers are found, and the file goes. */
#include "../testing.h"

#include <math.h>

#include "app/convert_check.h"
#include "onnx/onnx.h"

static cyg_app app;
static const char *path;

static int setup(void **state)
{
    memset(&app, 0, sizeof app);
    cyg_ctx_init(&app.ctx);
    cyg_arena_init(&app.arena);
    return setup_scratch(state);
}

static int teardown(void **state)
{
    cyg_arena_deinit(&app.arena);
    return teardown_scratch(state);
}

/* The demo's model with one setting changed ("" = none), written to `path` as an ONNX file. */
static cyg_converted *convert(void **state, const char *set, int64_t batch)
{
    const cyg_convert_options options = {.path = CYG_SOURCE_ROOT "/demo/model",
                                         .sets = &set,
                                         .set_count = set[0] != '\0',
                                         .batch = batch};
    const cyg_onnx_export_options export = {0};
    cyg_converted *model = NULL;
    path = scratch_path(state, "m.onnx");
    assert_int_equal(cyg_convert_open(&app.ctx, &options, &model), CYG_OK);
    assert_int_equal(cyg_onnx_export(&app.ctx, model->graph, path, &export), CYG_OK);
    return model;
}

static void test_the_right_file(void **state)
{
    static const struct {
        int64_t batch;
        int runs;
    } cases[] = {{1, 1}, {3, 1}, {0, 2}};
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_convert_check check = {0};
        cyg_converted *model = convert(state, "", cases[i].batch);
        assert_int_equal(cyg_convert_check_noise(&app, model, path, &check), CYG_OK);
        assert_int_equal(check.runs, cases[i].runs);
        assert_true(check.difference.absolute >= 0 && check.difference.relative < 1e-4);
        assert_true(check.seconds > 0);
        assert_true(cyg_path_exists(path));
        cyg_convert_close(model);
    }
}

static void assert_found(cyg_converted *model)
{
    cyg_convert_check check = {0};
    assert_int_equal(cyg_convert_check_noise(&app, model, path, &check), CYG_E_CHECK);
    assert_true(ctx_says(&app.ctx, "does not say what"));
    assert_true(check.difference.relative > 1e-4);
    cyg_convert_close(model);
    cyg_ctx_clear(&app.ctx);
}

static void test_another_model(void **state)
{
    cyg_converted *model = convert(state, "", 1);
    cyg_convert_close(convert(state, "hidden_act=relu", 1)); /* writes over it */
    assert_found(model);
}

/* The last weight of the file: one wrong number is seen, and one that is no number. */
static void test_damage(void **state)
{
    static const float wrong[] = {100.0f, NAN};
    for (size_t i = 0; i < CYG_COUNT(wrong); i++) {
        cyg_converted *model = convert(state, "", 1);
        cyg_map map;
        assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
        const cyg_checkpoint *c = model->checkpoint;
        const cyg_checkpoint_tensor *bias = NULL;
        for (size_t k = 0; k < cyg_checkpoint_count(c); k++)
            if (strcmp(cyg_checkpoint_at(c, k)->name, "classifier.bias") == 0)
                bias = cyg_checkpoint_at(c, k);
        assert_non_null(bias);
        const size_t size = bias->elements * sizeof(float);
        const uint8_t *at = memmem(map.data, map.size, bias->data, size);
        assert_non_null(at);
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, (long)(at - map.data), SEEK_SET), 0);
        assert_int_equal(fwrite(&wrong[i], sizeof wrong[i], 1, f), 1);
        assert_int_equal(fclose(f), 0);
        cyg_map_close(&map);
        assert_found(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_right_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Weights that stay where they lie in the file, at addresses that suit no float: what runs, what is
 * folded and what is written is the same as with weights that were copied into place. */
#include "fixture.h"

#include "interp/interp.h"

enum { F32 = 1, ROWS = 128, COLUMNS = 160, COUNT = ROWS * COLUMNS }; /* 80 KiB */

/* y = (x w + (x u^T)) * m, with a name in front that moves the weights by `shift` bytes. */
static ob model(int shift)
{
    static float w[COUNT];
    char name[8] = "aaaaaaa";
    ob g = {0};
    name[shift] = '\0';
    ob_put(&g, 12, ob_value("y", F32, "2,160"));
    ob_put(&g, 11, ob_value("x", F32, "2,128"));
    for (int k = 0; k < 2; k++) {
        const char *names[] = {"w", "u"}, *dims[] = {"128,160", "160,128"};
        for (int i = 0; i < COUNT; i++)
            w[i] = (float)((i * 7 + k * 3) % 31) / 8.0f;
        ob_put(&g, 5, ob_tensor_raw(names[k], F32, dims[k], w, sizeof w));
    }
    NODE(&g, "MatMul", name, "x,w", "p", {0});
    NODE(&g, "Transpose", "turn", "u", "t", at_ints("perm", "1,0"));
    NODE(&g, "MatMul", "second", "x,t", "q", {0});
    NODE(&g, "Add", "sum", "p,q", "y", {0});
    return ob_model(g, 17);
}

static cyg_graph *import_model(void **state, int shift, bool in_place)
{
    const cyg_onnx_import_options options = {.in_place = in_place};
    cyg_graph *g = NULL;
    assert_int_equal(import_with(state, model(shift), &options, &g), CYG_OK);
    return g;
}

static bool lies_in_file(const cyg_graph *g, const char *name)
{
    const cyg_value *v = cyg_val(g, cyg_graph_find_value(g, name));
    const uintptr_t at = (uintptr_t)v->data, begin = (uintptr_t)g->maps[0].data;
    return at >= begin && at - begin < g->maps[0].size;
}

static void run(const cyg_graph *graph, bool once, float y[2 * COLUMNS])
{
    static float x[2 * ROWS];
    cyg_graph *g = cyg_graph_clone(graph);
    cyg_interp *it = NULL;
    const cyg_kbuf in = {.type = CYG_TYPE_F32, .rank = 2, .dims = {2, ROWS}, .data = x};
    for (int i = 0; i < 2 * ROWS; i++)
        x[i] = (float)(i % 13) - 6.0f;
    assert_int_equal(cyg_interp_create(&test_ctx, g, &(cyg_interp_options){.once = once}, &it),
                     CYG_OK);
    for (int k = 0; k < (once ? 1 : 3); k++)
        assert_int_equal(cyg_interp_run(&test_ctx, it, &in, 1), CYG_OK);
    memcpy(y, cyg_interp_value(it, g->outputs[0])->data, 2 * COLUMNS * sizeof *y);
    cyg_interp_destroy(it);
    cyg_graph_destroy(g);
}

static void test_runs_alike(void **state)
{
    static float want[2 * COLUMNS], got[2 * COLUMNS];
    int odd = 0;
    cyg_graph *copied = import_model(state, 1, false);
    run(copied, false, want);
    cyg_graph_destroy(copied);
    for (int shift = 1; shift <= 4; shift++) {
        cyg_graph *g = import_model(state, shift, true);
        assert_true(lies_in_file(g, "w") && lies_in_file(g, "u"));
        odd += (uintptr_t)cyg_val(g, cyg_graph_find_value(g, "w"))->data % 4 != 0;
        for (int once = 0; once < 2; once++) {
            memset(got, 0, sizeof got);
            run(g, once, got);
            assert_memory_equal(got, want, sizeof want);
        }
        cyg_graph_destroy(g);
    }
    assert_true(odd >= 2);
}

/* What was written in place is read again, and gives the same bytes as from copies. */
static void test_written_alike(void **state)
{
    cyg_map file[2];
    for (int in_place = 0; in_place < 2; in_place++) {
        cyg_graph *g = import_model(state, 2, in_place);
        const char *path = scratch_path(state, in_place ? "a.onnx" : "b.onnx");
        assert_int_equal(cyg_onnx_export(&test_ctx, g, path, NULL), CYG_OK);
        cyg_graph_destroy(g);
        assert_int_equal(cyg_map_open(&test_ctx, path, &file[in_place]), CYG_OK);
    }
    assert_int_equal(file[0].size, file[1].size);
    assert_memory_equal(file[0].data, file[1].data, file[0].size);
    cyg_map_close(&file[0]);
    cyg_map_close(&file[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_runs_alike), TEST(test_written_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

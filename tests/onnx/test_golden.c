/* Real exports: the golden models of the shared folder, and full-size graphs in the folder named by
 * CYG_GRAPHS. Witnesses: node counts as the exporters' side counted them (case.json through
 * golden/README.md, skeletons.tsv), and the shape of what ONNX Runtime answered (onnx_output.npy).
 */
#include "fixture.h"

#include <dirent.h>

typedef struct golden_case {
    const char *file;
    int opset;
    int64_t nodes, without_constant;
    const char *answer; /* .npy */
} golden_case;

static const golden_case cases[] = {
    {"hf_deit/model.onnx", 13, 292, 229, "hf_deit/onnx_output.npy"},
    {"hf_swin/model.onnx", 13, 2163, 1300, "hf_swin/onnx_output.npy"},
    {"hf_swin_2stage_bin/model.onnx", 17, 1992, 1187, "hf_swin_2stage_bin/onnx_output.npy"},
    {"hf_swin_2stage_bin/model_dynamo.onnx", 18, 2640, 1565,
     "hf_swin_2stage_bin/onnx_output_dynamo.npy"},
    {"hf_swinv2/model.onnx", 17, 2115, 1281, "hf_swinv2/onnx_output.npy"},
    {"hf_vit/model.onnx", 17, 180, 142, "hf_vit/onnx_output.npy"},
    {"hf_vit/model_dynamo.onnx", 18, 542, 309, "hf_vit/onnx_output_dynamo.npy"},
    {"ms_swin/model.onnx", 13, 423, 286, "ms_swin/onnx_output.npy"},
    {"timm_deit/model.onnx", 17, 309, 218, "timm_deit/onnx_output.npy"},
    {"timm_swin/model.onnx", 17, 998, 556, "timm_swin/onnx_output.npy"},
    {"timm_swin/model_dynamo.onnx", 18, 1222, 556, "timm_swin/onnx_output_dynamo.npy"},
    {"timm_swin_legacy_pth/model.onnx", 13, 1252, 731, "timm_swin_legacy_pth/onnx_output.npy"},
    {"timm_swinv2/model.onnx", 13, 1664, 988, "timm_swinv2/onnx_output.npy"},
    {"timm_vit/model.onnx", 13, 204, 156, "timm_vit/onnx_output.npy"},
    {"torchvision_mobilenet_v2/model.onnx", 13, 103, 61,
     "torchvision_mobilenet_v2/onnx_output.npy"},
    {"torchvision_resnet/model.onnx", 17, 34, 34, "torchvision_resnet/onnx_output.npy"},
    {"torchvision_swin/model.onnx", 17, 1568, 895, "torchvision_swin/onnx_output.npy"},
    {"torchvision_vit/model.onnx", 17, 269, 190, "torchvision_vit/onnx_output.npy"},
};

/* The two dimensions in an .npy header: 'shape': (1, 10). */
static void read_npy_shape(const char *path, long long dims[2])
{
    cyg_map map;
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    char header[129] = {0};
    memcpy(header, map.data + 10, map.size - 10 < 128 ? map.size - 10 : 128);
    const char *shape = strstr(header, "'shape': (");
    assert_non_null(shape);
    assert_int_equal(sscanf(shape, "'shape': (%lld, %lld)", &dims[0], &dims[1]), 2);
    cyg_map_close(&map);
}

static cyg_graph *import_file(const char *path, const char *shapes, cyg_onnx_info *info)
{
    const cyg_onnx_import_options options = {.input_shapes = shapes};
    cyg_graph *g = NULL;
    cyg_ctx_init(&test_ctx);
    test_ctx.log.sink = keep_note;
    const cyg_status status = cyg_onnx_import(&test_ctx, path, &options, &g, info);
    if (status != CYG_OK)
        print_messages();
    assert_int_equal(status, CYG_OK);
    return g;
}

/* Every node comes from a node of the file, every result has a type, constants are aligned. */
static void check_graph(const cyg_graph *g)
{
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = nth(g, i);
        assert_true(n->source_count >= 1);
        for (uint32_t k = 0; k < n->out_count; k++)
            assert_true(cyg_val(g, n->out[k])->type != CYG_TYPE_NONE);
    }
    for (uint32_t i = 0; i < g->value_count; i++)
        if (g->values[i].is_const)
            assert_int_equal((uintptr_t)g->values[i].data % cyg_type_size(g->values[i].type), 0);
}

/* What is known agrees. The batch may still be a symbol: exporters compute the padding of windows
 * in the graph, on matrices, which only constant folding sees through. */
static void expect_answer_shape(const cyg_value *v, long long rows, long long classes)
{
    assert_int_equal(v->rank, 2);
    assert_true(v->dims[0] == rows || v->dims[0] < 0);
    assert_int_equal(v->dims[1], classes);
}

static void test_golden(void **state)
{
    (void)state;
    const char *shared = shared_folder();
    if (shared == NULL)
        skip();
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        char path[512];
        cyg_onnx_info info;
        long long want[2];
        snprintf(path, sizeof path, "%s/golden/%s", shared, cases[i].answer);
        read_npy_shape(path, want);
        snprintf(path, sizeof path, "%s/golden/%s", shared, cases[i].file);
        /* timm_deit has a symbolic batch, and was asked with two images. */
        const bool batch = strncmp(cases[i].file, "timm_deit", 9) == 0;
        cyg_graph *g = import_file(path, batch ? "pixel_values:2x3x64x64" : NULL, &info);
        assert_int_equal(info.opset, cases[i].opset);
        assert_int_equal(info.nodes, cases[i].nodes);
        assert_int_equal(info.nodes_without_constant, cases[i].without_constant);
        assert_int_equal(g->input_count, 1);
        assert_string_equal(cyg_val(g, g->inputs[0])->name, "pixel_values");
        assert_string_equal(cyg_val(g, g->outputs[0])->name, "logits");
        expect_answer_shape(cyg_val(g, g->outputs[0]), want[0], want[1]);
        check_graph(g);
        cyg_graph_destroy(g);
    }
}

static void test_batch_becomes_one(void **state)
{
    (void)state;
    const char *shared = shared_folder();
    if (shared == NULL)
        skip();
    char path[512];
    snprintf(path, sizeof path, "%s/golden/timm_deit/model.onnx", shared);
    last_note[0] = '\0';
    cyg_graph *g = import_file(path, NULL, NULL);
    assert_non_null(strstr(last_note, "batch \"batch\" set to 1"));
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 1, 10);
    cyg_graph_destroy(g);
}

static void test_full_size(void **state)
{
    (void)state;
    const char *folder = getenv("CYG_GRAPHS");
    DIR *dir = folder != NULL ? opendir(folder) : NULL;
    if (dir == NULL)
        skip();
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[1024];
        cyg_onnx_info info;
        const size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 5, ".onnx") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        cyg_graph *g = import_file(path, NULL, &info);
        check_graph(g);
        assert_int_equal(g->order_count, info.nodes_without_constant);
        expect_answer_shape(cyg_val(g, g->outputs[0]), 1, 1000);
        cyg_graph_destroy(g);
    }
    closedir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_batch_becomes_one),
        cmocka_unit_test(test_full_size),
    };
    return CYG_TEST_MAIN(tests);
}

/* Real exports: how many fused steps each becomes, and that the numbers stay. The golden cases come
 * from every library's own exporter; the full-size graphs are the models of the benches (folder
 * "graphs" beside the shared one, or CYG_GRAPHS). Absent files are skipped, visibly. Whether the
 * results equal ONNX Runtime's is the golden test's business. */
#include "../testing.h"

#include "onnx/onnx.h"
#include "pass/pass.h"

typedef struct model {
    const char *name; /* also the test's */
    const char *file;
    const char *shapes; /* of the import, or NULL */
    int64_t steps;
    int attentions;
    bool check; /* numbers too */
} model;

/* Swin: convolution, norm; a block = norm, qkv, attention, projection, norm, fc1, fc2; a merge =
 * gather, norm, linear; norm, mean, head. SwinV2 normalises after attention and MLP, so its
 * additions are steps of their own (two a block). Convolutional networks: a step for each
 * convolution, with its normalisation, activation and addition, and for each pool and Concat; mean
 * and classifier. */
static const model golden[] = {
    {"hf_deit", "hf_deit/model.onnx", NULL, 38, 4,
     true}, /* two heads: 2 rows, 2 linears, add, div */
    {"hf_swin", "hf_swin/model.onnx", NULL, 2 + 4 * 7 + 2 * 3 + 3, 4, true},
    {"hf_swin_2stage_bin", "hf_swin_2stage_bin/model.onnx", NULL, 2 + 4 * 7 + 3 + 3, 4, true},
    {"hf_swin_2stage_bin, dynamo", "hf_swin_2stage_bin/model_dynamo.onnx", NULL, 2 + 4 * 7 + 3 + 3,
     4, true},
    {"hf_swinv2", "hf_swinv2/model.onnx", NULL, 2 + 4 * 9 + 3 + 3, 4, true},
    {"hf_vit", "hf_vit/model.onnx", NULL, 3 + 3 * 7 + 3, 3, true},
    {"hf_vit, dynamo", "hf_vit/model_dynamo.onnx", NULL, 3 + 3 * 7 + 3, 3, true},
    {"ms_swin", "ms_swin/model.onnx", NULL, 2 + 4 * 7 + 3 + 3, 4, true},
    {"timm_deit", "timm_deit/model.onnx", NULL, 3 + 4 * 7 + 3, 4, true},
    {"timm_deit, batch of 2", "timm_deit/model.onnx", "pixel_values:2x3x64x64", 3 + 4 * 7 + 3, 4,
     true},
    {"timm_swin", "timm_swin/model.onnx", NULL, 2 + 4 * 7 + 3 + 3, 4, true},
    {"timm_swin, dynamo", "timm_swin/model_dynamo.onnx", NULL, 2 + 4 * 7 + 3 + 3, 4, true},
    {"timm_swin_legacy_pth", "timm_swin_legacy_pth/model.onnx", NULL, 2 + 4 * 7 + 2 * 3 + 3, 4,
     true},
    {"timm_swinv2", "timm_swinv2/model.onnx", NULL, 2 + 5 * 9 + 2 * 3 + 3, 5, true},
    {"timm_vit", "timm_vit/model.onnx", NULL, 2 + 3 * 7 + 3, 3,
     true}, /* no class token; mean, norm, head */
    {"torchvision_mobilenet_v2", "torchvision_mobilenet_v2/model.onnx", NULL, 1 + 2 + 9 * 3 + 3, 0,
     true},
    {"torchvision_resnet", "torchvision_resnet/model.onnx", NULL, 2 + 5 * 2 + 3 + 2, 0, true},
    {"torchvision_swin", "torchvision_swin/model.onnx", NULL, 2 + 4 * 7 + 3 + 3, 4, true},
    {"torchvision_vit", "torchvision_vit/model.onnx", NULL, 3 + 3 * 7 + 3, 3, true},
};
static const model full[] = {
    {"Swin-T, timm", "swin_t_timm.onnx", NULL, 98, 12, true},
    {"Swin-T, HF opset 17", "swin_t_hf.onnx", NULL, 98, 12, false},
    {"Swin-T, HF opset 13", "swin_t_hf13.onnx", NULL, 98, 12, false},
    {"Swin-T, torchvision", "swin_t_tv.onnx", NULL, 98, 12, false},
    {"SwinV2-T, timm", "swinv2_t_timm.onnx", NULL, 98 + 24, 12, false},
    {"DeiT-T, timm", "deit_t_timm.onnx", NULL, 90, 12, true},
    {"MobileNetV2", "mobilenet_v2_tv.onnx", NULL, 52 + 2, 0, false},
    {"ResNet-18", "resnet18_tv.onnx", NULL, 20 + 3, 0, false},
    {"GoogLeNet", "googlenet_tv.onnx", NULL, 57 + 13 + 9 + 2, 0, false},
};
static const model real[] = {
    {"Swin nano", "swin_nano_imagenette/model.onnx", NULL, 98, 12, true},
    {"DeiT-T, matlab", "deit_tiny_patch16_224.onnx", NULL, 90, 12, false},
};

static const char *shared_path(const char *folder, const char *file)
{
    static char path[1024];
    const char *shared = getenv("CYG_SHARED"), *graphs = getenv("CYG_GRAPHS");
    if (strcmp(folder, "graphs") != 0)
        snprintf(path, sizeof path, "%s/%s/%s",
                 shared != NULL ? shared : CYG_SOURCE_ROOT "/../shared", folder, file);
    else
        snprintf(path, sizeof path, "%s/%s", graphs != NULL ? graphs : CYG_SOURCE_ROOT "/../graphs",
                 file);
    return path;
}

static void run_model(const model *m, const char *folder)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    const char *path = shared_path(folder, m->file);
    if (!cyg_path_exists(path)) {
        print_message("skipped: %s is not here\n", m->file);
        skip();
    }
    cyg_graph *g = NULL;
    cyg_onnx_info info;
    const cyg_onnx_import_options import = {.input_shapes = m->shapes};
    const cyg_optimise_options options = {.fuse = true, .verify_numerics = m->check};
    cyg_optimise_report report;
    cyg_status status = cyg_onnx_import(&ctx, path, &import, &g, &info);
    if (status == CYG_OK)
        status = cyg_optimise(&ctx, g, &options, &report);
    for (size_t i = 0; status != CYG_OK && i < cyg_ctx_message_count(&ctx); i++)
        print_error("%s\n", cyg_ctx_message(&ctx, i));
    assert_int_equal(status, CYG_OK);
    int attentions = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        attentions += g->nodes[i].op == CYG_OP_attention;
    print_message("%s: %lld nodes, %lld steps, difference %.1e\n", m->name,
                  (long long)report.nodes_before, (long long)report.fused_steps,
                  report.max_difference);
    assert_int_equal(report.fused_steps, m->steps);
    assert_int_equal(attentions, m->attentions);
    assert_true(report.max_difference < 1e-5);
    cyg_graph_destroy(g);
}

static void test_golden(void **state)
{
    run_model(*state, "golden");
}

static void test_full(void **state)
{
    run_model(*state, "graphs");
}

static void test_real(void **state)
{
    run_model(*state, "models");
}

int main(void)
{
    enum { COUNT = CYG_COUNT(golden) + CYG_COUNT(full) + CYG_COUNT(real) };
    static struct CMUnitTest tests[COUNT];
    static model copies[COUNT];
    size_t n = 0;
    for (size_t i = 0; i < COUNT; i++) {
        const size_t in_full = i - CYG_COUNT(golden), in_real = in_full - CYG_COUNT(full);
        const bool is_golden = i < CYG_COUNT(golden),
                   is_full = !is_golden && in_full < CYG_COUNT(full);
        copies[i] = is_golden ? golden[i] : is_full ? full[in_full] : real[in_real];
        tests[n++] = (struct CMUnitTest){copies[i].name,
                                         is_golden ? test_golden
                                         : is_full ? test_full
                                                   : test_real,
                                         NULL, NULL, &copies[i]};
    }
    return _cmocka_run_group_tests("models", tests, n, NULL, NULL);
}

/* Converting: what is inferred, what is said when a checkpoint does not fit, and that no damage to
 * a file does more than fail. The checkpoint is a tiny Swin in microsoft's names, written here as
 * safetensors. */
#include "testing.h"

#include "models/models.h"

typedef struct tensor {
    const char *name;
    int rank;
    int64_t dims[4];
} tensor;

static const tensor tiny[] = {
    {"patch_embed.proj.weight", 4, {4, 3, 4, 4}},
    {"patch_embed.proj.bias", 1, {4}},
    {"patch_embed.norm.weight", 1, {4}},
    {"patch_embed.norm.bias", 1, {4}},
    {"layers.0.blocks.0.norm1.weight", 1, {4}},
    {"layers.0.blocks.0.norm1.bias", 1, {4}},
    {"layers.0.blocks.0.norm2.weight", 1, {4}},
    {"layers.0.blocks.0.norm2.bias", 1, {4}},
    {"layers.0.blocks.0.attn.qkv.weight", 2, {12, 4}},
    {"layers.0.blocks.0.attn.qkv.bias", 1, {12}},
    {"layers.0.blocks.0.attn.relative_position_bias_table", 2, {9, 2}},
    {"layers.0.blocks.0.attn.proj.weight", 2, {4, 4}},
    {"layers.0.blocks.0.attn.proj.bias", 1, {4}},
    {"layers.0.blocks.0.mlp.fc1.weight", 2, {8, 4}},
    {"layers.0.blocks.0.mlp.fc1.bias", 1, {8}},
    {"layers.0.blocks.0.mlp.fc2.weight", 2, {4, 8}},
    {"layers.0.blocks.0.mlp.fc2.bias", 1, {4}},
    {"norm.weight", 1, {4}},
    {"norm.bias", 1, {4}},
    {"head.weight", 2, {3, 4}},
    {"head.bias", 1, {3}},
};
enum { TENSORS = sizeof tiny / sizeof tiny[0] };

/* The bytes of a safetensors file; data is all 0.25. */
static size_t write_tensors(const tensor *t, size_t count, uint8_t *out, size_t room)
{
    char head[8192];
    size_t at = 0, elements = 0;
    at += (size_t)snprintf(head, sizeof head, "{");
    for (size_t i = 0; i < count; i++) {
        size_t n = 1;
        at +=
            (size_t)snprintf(head + at, sizeof head - at, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
                             i > 0 ? "," : "", t[i].name);
        for (int d = 0; d < t[i].rank; d++) {
            n *= (size_t)t[i].dims[d];
            at += (size_t)snprintf(head + at, sizeof head - at, d > 0 ? ",%lld" : "%lld",
                                   (long long)t[i].dims[d]);
        }
        at += (size_t)snprintf(head + at, sizeof head - at, "],\"data_offsets\":[%zu,%zu]}",
                               4 * elements, 4 * (elements + n));
        elements += n;
    }
    at += (size_t)snprintf(head + at, sizeof head - at, "}");
    while (at % 8 != 0)
        head[at++] = ' ';
    assert_true(8 + at + 4 * elements <= room);
    memset(out, 0, 8);
    out[0] = (uint8_t)at;
    out[1] = (uint8_t)(at >> 8);
    memcpy(out + 8, head, at);
    const float value = 0.25f;
    for (size_t i = 0; i < elements; i++)
        memcpy(out + 8 + at + 4 * i, &value, 4);
    return 8 + at + 4 * elements;
}

static uint8_t bytes[1 << 16];
static cyg_ctx ctx;

static cyg_status open_with(void **state, const tensor *t, size_t count, const char *const *sets,
                            size_t set_count, cyg_converted **out)
{
    write_scratch(state, "m.safetensors", bytes, write_tensors(t, count, bytes, sizeof bytes));
    const cyg_convert_options o = {.path = scratch_path(state, "m.safetensors"),
                                   .sets = sets,
                                   .set_count = set_count,
                                   .batch = 1};
    cyg_ctx_init(&ctx);
    return cyg_convert_open(&ctx, &o, out);
}

static void test_infers(void **state)
{
    static const char *const sets[] = {"image_size=16"};
    cyg_converted *m;
    assert_int_equal(open_with(state, tiny, TENSORS, sets, 1, &m), CYG_OK);
    assert_string_equal(m->architecture, "swin");
    assert_string_equal(m->library, "microsoft");
    const cyg_value *out = cyg_val(m->graph, m->graph->outputs[0]);
    assert_string_equal(out->name, "logits");
    assert_int_equal(out->dims[0], 1);
    assert_int_equal(out->dims[1], 3);
    /* Constants and nodes are called as the checkpoint's tensors, and say where they are from. */
    assert_true(cyg_graph_find_value(m->graph, "layers.0.blocks.0.attn.qkv.weight").i != CYG_NO_ID);
    const cyg_node_id qkv = cyg_graph_find_node(m->graph, "layers.0.blocks.0.attn.qkv");
    assert_false(cyg_node_is_none(qkv));
    assert_int_equal(cyg_nod(m->graph, qkv)->source_count, 2);
    cyg_convert_close(m);
}

static void test_all_that_is_wrong_at_once(void **state)
{
    static const char *const sets[] = {"image_size=16"};
    tensor t[TENSORS + 1];
    cyg_converted *m;
    memcpy(t, tiny, sizeof tiny);
    t[5].name = "layers.0.blocks.0.norm1.extra"; /* missing and unknown */
    t[14].dims[0] = 7;
    t[TENSORS] = (tensor){"something.else", 1, {2}};
    assert_int_equal(open_with(state, t, TENSORS + 1, sets, 1, &m), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "4 tensors do not fit"));
    assert_true(ctx_says(&ctx, "layers.0.blocks.0.norm1.bias [4]"));
    assert_true(ctx_says(&ctx, "layers.0.blocks.0.mlp.fc1.bias: expected [8], found [7]"));
    assert_true(ctx_says(&ctx, "something.else"));
    assert_true(ctx_says(&ctx, "layers.0.blocks.0.norm1.extra"));
}

/* timm's architecture name tells the picture's size: the last number, behind "to" where there is
 * one. */
static void test_architecture_names(void **state)
{
    static const struct {
        const char *set;
        int64_t height;
    } names[] = {
        {"arch=swin_tiny_patch4_window2_48.ms_in22k", 48},
        {"arch=swin_tiny_patch4_window2to2_16to32", 32},
        {"arch=swin_tiny_patch4_window2_in22k", 224},
        {"arch=swin_tiny_patch4_window2", 224},
        {"arch=_", 224},
    };
    for (size_t i = 0; i < CYG_COUNT(names); i++) {
        const char *const sets[] = {names[i].set, "window_size=2"};
        cyg_converted *m;
        assert_int_equal(open_with(state, tiny, TENSORS, sets, 2, &m), CYG_OK);
        assert_int_equal(m->height, names[i].height);
        cyg_convert_close(m);
    }
}

/* The first tensors that are looked at: what they spoil must not hide the rest. */
static void test_bad_patch_and_table(void **state)
{
    static const char *const sets[] = {"image_size=16"};
    tensor t[TENSORS];
    cyg_converted *m;
    memcpy(t, tiny, sizeof tiny);
    t[0].rank = 2;
    t[10].dims[0] = 3;
    t[10].dims[1] = 9;
    t[19].dims[1] = 5;
    assert_int_equal(open_with(state, t, TENSORS, sets, 1, &m), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "3 tensors do not fit"));
    assert_true(ctx_says(&ctx, "patch_embed.proj.weight: expected [4, 3, 4, 4], found [4, 3]"));
    assert_true(ctx_says(&ctx, "position_bias_table: expected [49, 1], found [3, 9]"));
    assert_true(ctx_says(&ctx, "head.weight: expected [3, 4], found [3, 5]"));
}

/* A thousand faults make one message that says how many it leaves out. */
static void test_many_faults(void **state)
{
    static const char *const sets[] = {"image_size=16", "depths=[100]"};
    cyg_converted *m;
    assert_int_equal(open_with(state, tiny, TENSORS, sets, 2, &m), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "missing:\n  layers.0.blocks.1.norm1.weight [4]"));
    assert_true(ctx_says(&ctx, " more"));
}

static void test_settings(void **state)
{
    static const struct {
        const char *set, *says;
    } wrong[] = {
        {"image_sise=16", "did you mean image_size"},
        {"image_size", "expected key=value"},
        {"image_size=0", "expected 1 to"},
        {"image_size=[1,2,3,4,5]", "expected 1 to 4 numbers"},
        {"image_size=99999999", "expected 1 to"},
        {"num_heads=3", "4 channels for 3 heads"},
        {"num_heads=4", "do not fit"},
        {"depths=[1,1]", "missing"},
        {"window_size=3", "no multiple of the window"},
        {"window_size=4", "do not fit"},
        {"hidden_act=snake", "not known"},
        {"layer_norm_eps=7", "expected 0 to 1"},
        {"mlp_ratio=1e9", "mlp_ratio"},
        {"qk_scale=-1", "qk_scale: expected above 0"},
        {"global_pool=max", "Swin is known with avg"},
        {"window_size=[2,2,2]", "3 numbers for 1 stages"},
        {"head_dim=4", "do not fit"},
        {"hidden_act=quick_gelu_new", "not known"},
        {"depths=[1000,1000,1000]", "missing"},
    };
    for (size_t i = 0; i < CYG_COUNT(wrong); i++) {
        const char *sets[] = {wrong[i].set, "patch_norm=true"};
        cyg_converted *m = NULL;
        assert_int_not_equal(open_with(state, tiny, TENSORS, sets, 2, &m), CYG_OK);
        if (!ctx_says(&ctx, wrong[i].says))
            fail_msg("--set %s: \"%s\" is not said", wrong[i].set, wrong[i].says);
    }
}

static void test_refused(void **state)
{
    const tensor other[] = {{"conv1.weight", 4, {4, 3, 4, 4}}, {"fc.weight", 2, {3, 4}}};
    cyg_converted *m;
    assert_int_equal(open_with(state, other, 2, NULL, 0, &m), CYG_E_UNSUPPORTED);
    assert_true(ctx_says(&ctx, "none of the known architectures"));
    assert_true(ctx_says(&ctx, "conv1.weight [4, 3, 4, 4]"));
}

/* Any byte of the header changed: fails or works, and nothing else. */
static void test_damage(void **state)
{
    const size_t size = write_tensors(tiny, TENSORS, bytes, sizeof bytes);
    static uint8_t copy[sizeof bytes];
    memcpy(copy, bytes, size);
    const size_t head = 8 + ((size_t)copy[0] | (size_t)copy[1] << 8);
    const char *const path = "d.safetensors";
    const char *const sets[] = {"image_size=16"};
    for (size_t i = 0; i < head + 40; i += 3) {
        copy[i] ^= (uint8_t)(1 + i % 7);
        write_scratch(state, path, copy, size);
        copy[i] = bytes[i];
        const cyg_convert_options o = {
            .path = scratch_path(state, path), .sets = sets, .set_count = 1};
        cyg_converted *m = NULL;
        cyg_ctx_init(&ctx);
        if (cyg_convert_open(&ctx, &o, &m) == CYG_OK)
            cyg_convert_close(m);
        else
            assert_null(m);
    }
    for (size_t cut = 0; cut < size; cut += 29) {
        write_scratch(state, path, copy, cut);
        const cyg_convert_options o = {.path = scratch_path(state, path)};
        cyg_converted *m = NULL;
        cyg_ctx_init(&ctx);
        assert_int_not_equal(cyg_convert_open(&ctx, &o, &m), CYG_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_infers, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_all_that_is_wrong_at_once, setup_scratch,
                                        teardown_scratch),
        cmocka_unit_test_setup_teardown(test_architecture_names, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_bad_patch_and_table, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_many_faults, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_settings, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_refused, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_damage, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}

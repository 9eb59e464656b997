/* A window transformer in miniature, as exporters write one: patch embedding by convolution, a
 * window attention block with position bias (LayerNormalization of opset 17, GELU spelled out with
 * Erf), patch merging by strided slices, a second block whose layer norm is spelled out too, mean
 * over tokens, Gemm. 64 tokens of 16 channels, then 16 of 32. Weights are splitmix64 noise: they
 * are the same everywhere, and a network of noise is as hard to quantise as a trained one. */
#include "e2e.h"

#include <math.h>

#include "../onnx/onnx_builder.h"

enum { DIM = 16, WIDE = 32, HEADS = 2, HIDDEN = 48 };

static uint64_t seed;

static float noise(void)
{
    uint64_t x = (seed += 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (float)(int32_t)((x ^ (x >> 31)) >> 40) / 8388608.0f - 1.0f;
}

/* Noise in centre +- width. */
static void weight(ob *g, const char *name, const char *dims, float centre, float width)
{
    size_t count = 1;
    char *end;
    for (const char *d = dims; *d != '\0'; d = *end == ',' ? end + 1 : end)
        count *= (size_t)strtoll(d, &end, 10);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++)
        values[i] = centre + width * noise();
    ob_put(g, 5, ob_tensor_raw(name, 1, dims, values, count * sizeof *values));
    free(values);
}

static void scalar(ob *g, const char *name, float v)
{
    ob_put(g, 5, ob_tensor_raw(name, 1, "", &v, sizeof v));
}

static void ints(ob *g, const char *name, const char *list)
{
    int64_t values[8];
    char dims[8], *end;
    size_t n = 0;
    for (const char *d = list; *d != '\0'; d = *end == ',' ? end + 1 : end)
        values[n++] = strtoll(d, &end, 10);
    snprintf(dims, sizeof dims, "%zu", n);
    ob_put(g, 5, ob_tensor_raw(name, 7, dims, values, n * sizeof *values));
}

/* "<block>.<name>" in one of 16 rotating buffers. */
static const char *in(const char *block, const char *name)
{
    static char names[16][96];
    static unsigned next;
    char *out = names[next++ % 16];
    snprintf(out, sizeof names[0], "%s.%s", block, name);
    return out;
}

static const char *pair(const char *a, const char *b)
{
    static char lists[8][256];
    static unsigned next;
    char *out = lists[next++ % 8];
    snprintf(out, sizeof lists[0], "%s,%s", a, b);
    return out;
}

#define OP(kind, block, name, inputs, ...)                                                         \
    NODE(g, kind, in(block, name), inputs, in(block, name), __VA_ARGS__)

static void linear(ob *g, const char *block, const char *name, const char *x, int from, int to)
{
    char dims[32], w[64], b[64], product[64];
    snprintf(dims, sizeof dims, "%d,%d", from, to);
    snprintf(w, sizeof w, "%s_weight", name);
    snprintf(b, sizeof b, "%s_bias", name);
    snprintf(product, sizeof product, "%s_product", name);
    weight(g, in(block, w), dims, 0.0f, 1.7f / sqrtf((float)from));
    snprintf(dims, sizeof dims, "%d", to);
    weight(g, in(block, b), dims, 0.0f, 0.1f);
    OP("MatMul", block, product, pair(x, in(block, w)), {0});
    OP("Add", block, name, pair(in(block, b), in(block, product)), {0});
}

static void layer_norm(ob *g, const char *block, const char *name, const char *x, int width,
                       bool spelled_out)
{
    char dims[16], n[6][64];
    static const char *const parts[] = {"gamma", "beta", "mean", "centred", "square", "scaled"};
    for (int i = 0; i < 6; i++)
        snprintf(n[i], sizeof n[i], "%s_%s", name, parts[i]);
    snprintf(dims, sizeof dims, "%d", width);
    weight(g, in(block, n[0]), dims, 1.0f, 0.3f);
    weight(g, in(block, n[1]), dims, 0.0f, 0.2f);
    if (!spelled_out) {
        char list[256];
        snprintf(list, sizeof list, "%s,%s,%s", x, in(block, n[0]), in(block, n[1]));
        NODE(g, "LayerNormalization", in(block, name), list, in(block, name), at_int("axis", -1),
             at_float("epsilon", 1e-5f));
        return;
    }
    char variance[64], eps[64], root[64];
    snprintf(variance, sizeof variance, "%s_variance", name);
    snprintf(eps, sizeof eps, "%s_plus", name);
    snprintf(root, sizeof root, "%s_root", name);
    OP("ReduceMean", block, n[2], x, at_ints("axes", "-1"));
    OP("Sub", block, n[3], pair(x, in(block, n[2])), {0});
    OP("Pow", block, n[4], pair(in(block, n[3]), "two"), {0});
    OP("ReduceMean", block, variance, in(block, n[4]), at_ints("axes", "-1"));
    OP("Add", block, eps, pair(in(block, variance), "epsilon"), {0});
    OP("Sqrt", block, root, in(block, eps), {0});
    char normal[64];
    snprintf(normal, sizeof normal, "%s_normal", name);
    OP("Div", block, normal, pair(in(block, n[3]), in(block, root)), {0});
    OP("Mul", block, n[5], pair(in(block, normal), in(block, n[0])), {0});
    OP("Add", block, name, pair(in(block, n[5]), in(block, n[1])), {0});
}

/* x [groups, tokens, width] -> block.attention of the same shape. */
static void attention(ob *g, const char *block, const char *x, int groups, int tokens, int width,
                      bool bias)
{
    char text[64];
    static const char *const names[] = {"q", "k", "v"};
    snprintf(text, sizeof text, "%d,%d,%d,%d", groups, tokens, HEADS, width / HEADS);
    ints(g, in(block, "to_heads"), text);
    snprintf(text, sizeof text, "%d,%d,%d", groups, tokens, width);
    ints(g, in(block, "to_tokens"), text);
    for (int i = 0; i < 3; i++) {
        char split[16], heads[16];
        snprintf(split, sizeof split, "%s_split", names[i]);
        snprintf(heads, sizeof heads, "%s_heads", names[i]);
        linear(g, block, names[i], x, width, width);
        OP("Reshape", block, split, pair(in(block, names[i]), in(block, "to_heads")), {0});
        OP("Transpose", block, heads, in(block, split),
           at_ints("perm", i == 1 ? "0,2,3,1" : "0,2,1,3"));
    }
    scalar(g, in(block, "factor"), 1.0f / sqrtf((float)(width / HEADS)));
    OP("Mul", block, "q_scaled", pair(in(block, "q_heads"), in(block, "factor")), {0});
    OP("MatMul", block, "scores", pair(in(block, "q_scaled"), in(block, "k_heads")), {0});
    const char *scores = "scores";
    if (bias) {
        snprintf(text, sizeof text, "1,%d,%d,%d", HEADS, tokens, tokens);
        weight(g, in(block, "position"), text, 0.0f, 0.5f);
        OP("Add", block, "biased", pair(in(block, "scores"), in(block, "position")), {0});
        scores = "biased";
    }
    OP("Softmax", block, "shares", in(block, scores), at_int("axis", -1));
    OP("MatMul", block, "mixed", pair(in(block, "shares"), in(block, "v_heads")), {0});
    OP("Transpose", block, "mixed_back", in(block, "mixed"), at_ints("perm", "0,2,1,3"));
    OP("Reshape", block, "joined", pair(in(block, "mixed_back"), in(block, "to_tokens")), {0});
    linear(g, block, "attention", in(block, "joined"), width, width);
}

/* x + mlp(norm(x)) -> block.out */
static void feed_forward(ob *g, const char *block, const char *x, int width, bool spelled_out)
{
    layer_norm(g, block, "norm2", x, width, spelled_out);
    linear(g, block, "fc1", in(block, "norm2"), width, HIDDEN);
    OP("Div", block, "gelu_in", pair(in(block, "fc1"), "root_two"), {0});
    OP("Erf", block, "gelu_erf", in(block, "gelu_in"), {0});
    OP("Add", block, "gelu_one", pair(in(block, "gelu_erf"), "one"), {0});
    OP("Mul", block, "gelu_x", pair(in(block, "fc1"), in(block, "gelu_one")), {0});
    OP("Mul", block, "gelu", pair(in(block, "gelu_x"), "half"), {0});
    linear(g, block, "fc2", in(block, "gelu"), HIDDEN, width);
    OP("Add", block, "out", pair(x, in(block, "fc2")), {0});
}

/* tokens [1, 64, DIM] -> one.out, attention in four windows of 16 tokens. */
static void window_block(ob *g)
{
    layer_norm(g, "one", "norm1", "tokens", DIM, false);
    ints(g, "one.to_windows", "2,4,2,4,16");
    ints(g, "one.to_groups", "4,16,16");
    ints(g, "one.to_grid", "2,2,4,4,16");
    ints(g, "one.to_sequence", "1,64,16");
    OP("Reshape", "one", "grid", "one.norm1,one.to_windows", {0});
    OP("Transpose", "one", "windows", "one.grid", at_ints("perm", "0,2,1,3,4"));
    OP("Reshape", "one", "groups", "one.windows,one.to_groups", {0});
    attention(g, "one", "one.groups", 4, 16, DIM, true);
    OP("Reshape", "one", "back_windows", "one.attention,one.to_grid", {0});
    OP("Transpose", "one", "back_grid", "one.back_windows", at_ints("perm", "0,2,1,3,4"));
    OP("Reshape", "one", "sequence", "one.back_grid,one.to_sequence", {0});
    OP("Add", "one", "residual", "tokens,one.sequence", {0});
    feed_forward(g, "one", "one.residual", DIM, false);
}

/* [1, 64, DIM] -> merge.out [1, 16, WIDE]: 2x2 neighbours side by side, normalised, projected. */
static void patch_merging(ob *g)
{
    static const char *const parts[] = {"a", "b", "c", "d"};
    ints(g, "merge.to_map", "1,8,8,16");
    ints(g, "merge.to_sequence", "1,16,64");
    ints(g, "merge.ends", "9223372036854775807,9223372036854775807");
    ints(g, "merge.axes", "1,2");
    ints(g, "merge.steps", "2,2");
    OP("Reshape", "merge", "map", "one.out,merge.to_map", {0});
    for (int i = 0; i < 4; i++) {
        char starts[32], list[128];
        snprintf(starts, sizeof starts, "merge.starts_%s", parts[i]);
        ints(g, starts, i == 0 ? "0,0" : i == 1 ? "1,0" : i == 2 ? "0,1" : "1,1");
        snprintf(list, sizeof list, "merge.map,%s,merge.ends,merge.axes,merge.steps", starts);
        OP("Slice", "merge", parts[i], list, {0});
    }
    OP("Concat", "merge", "joined", "merge.a,merge.b,merge.c,merge.d", at_int("axis", -1));
    OP("Reshape", "merge", "sequence", "merge.joined,merge.to_sequence", {0});
    layer_norm(g, "merge", "norm", "merge.sequence", 64, true);
    weight(g, "merge.weight", "64,32", 0.0f, 0.21f);
    OP("MatMul", "merge", "out", "merge.norm,merge.weight", {0});
}

static void global_block(ob *g)
{
    layer_norm(g, "two", "norm1", "merge.out", WIDE, true);
    attention(g, "two", "two.norm1", 1, 16, WIDE, false);
    OP("Add", "two", "residual", "merge.out,two.attention", {0});
    feed_forward(g, "two", "two.residual", WIDE, true);
}

static void head(ob *g)
{
    layer_norm(g, "head", "norm", "two.out", WIDE, false);
    OP("ReduceMean", "head", "pooled", "head.norm", at_ints("axes", "1"), at_int("keepdims", 0));
    weight(g, "head.weight", "7,32", 0.0f, 0.8f);
    weight(g, "head.bias", "7", 0.0f, 0.1f);
    NODE(g, "Gemm", "head.gemm", "head.pooled,head.weight,head.bias", "logits",
         at_int("transB", 1));
}

static void break_graph(ob *g, model_damage damage)
{
    if (damage == MODEL_CYCLE) {
        NODE(g, "Add", "ring.first", "logits,ring_b", "ring_a", {0});
        NODE(g, "Relu", "ring.second", "ring_a", "ring_b", {0});
        OUTPUT(g, "ring_b", "1,7");
    } else if (damage == MODEL_MISSING_WEIGHT) {
        NODE(g, "Add", "lost.add", "logits,lost.weight", "lost", {0});
        OUTPUT(g, "lost", "1,7");
    } else if (damage == MODEL_SHAPE_MISMATCH) {
        weight(g, "odd.weight", "31,8", 0.0f, 1.0f);
        NODE(g, "MatMul", "odd.matmul", "head.pooled,odd.weight", "odd", {0});
        OUTPUT(g, "odd", "1,8");
    } else if (damage == MODEL_UNSUPPORTED) {
        NODE(g, "NonMaxSuppression", "bad.nms", "logits,logits", "bad_boxes", {0});
        NODE(g, "Loop", "bad.loop", ",one,logits", "bad_loop", {0});
        ob_put(g, 1,
               ob_node("com.stranger", "Whirl", "bad.whirl", "logits", "bad_whirl", (attrs){0}));
        OUTPUT(g, "bad_boxes", "1");
        OUTPUT(g, "bad_loop", "1");
        OUTPUT(g, "bad_whirl", "1");
    }
}

uint8_t *model_make(model_damage damage, size_t *out_size)
{
    ob graph = {0}, *g = &graph;
    seed = 42;
    ob_text(g, 2, "miniature");
    INPUT(g, "pixel_values", "1,3,32,32");
    OUTPUT(g, "logits", "1,7");
    scalar(g, "one", 1.0f);
    scalar(g, "half", 0.5f);
    scalar(g, "two", 2.0f);
    scalar(g, "epsilon", 1e-5f);
    scalar(g, "root_two", 1.41421354f);
    weight(g, "embed.weight", "16,3,4,4", 0.0f, 0.25f);
    weight(g, "embed.bias", "16", 0.0f, 0.1f);
    ints(g, "embed.to_sequence", "1,16,64");
    OP("Conv", "embed", "conv", "pixel_values,embed.weight,embed.bias", at_ints("strides", "4,4"),
       at_ints("kernel_shape", "4,4"));
    OP("Reshape", "embed", "flat", "embed.conv,embed.to_sequence", {0});
    NODE(g, "Transpose", "embed.tokens", "embed.flat", "tokens", at_ints("perm", "0,2,1"));
    window_block(g);
    patch_merging(g);
    global_block(g);
    head(g);
    break_graph(g, damage);
    ob model = ob_model(graph, 17);
    *out_size = model.size;
    return model.data;
}

uint8_t *model_make_cnn(size_t *out_size)
{
    ob graph = {0}, *g = &graph;
    seed = 7;
    ob_text(g, 2, "convolutions");
    INPUT(g, "pixel_values", "1,3,32,32");
    OUTPUT(g, "logits", "1,7");
    weight(g, "first.weight", "12,3,3,3", 0.0f, 0.4f);
    weight(g, "first.bias", "12", 0.0f, 0.1f);
    weight(g, "second.weight", "12,12,3,3", 0.0f, 0.2f);
    weight(g, "second.bias", "12", 0.0f, 0.1f);
    weight(g, "head.weight", "7,12", 0.0f, 0.8f);
    weight(g, "head.bias", "7", 0.0f, 0.1f);
    OP("Conv", "first", "conv", "pixel_values,first.weight,first.bias", at_ints("strides", "2,2"),
       at_ints("kernel_shape", "3,3"), at_ints("pads", "1,1,1,1"));
    OP("Relu", "first", "out", "first.conv", {0});
    OP("Conv", "second", "conv", "first.out,second.weight,second.bias",
       at_ints("kernel_shape", "3,3"), at_ints("pads", "1,1,1,1"));
    OP("Add", "second", "sum", "second.conv,first.out", {0});
    OP("Relu", "second", "out", "second.sum", {0});
    OP("GlobalAveragePool", "head", "pooled", "second.out", {0});
    OP("Flatten", "head", "flat", "head.pooled", at_int("axis", 1));
    NODE(g, "Gemm", "head.gemm", "head.flat,head.weight,head.bias", "logits", at_int("transB", 1));
    ob model = ob_model(graph, 17);
    *out_size = model.size;
    return model.data;
}

/* What the runtime feeds: codes of every type and video pixels in every layout, against the
 * formulas of yuv.h and scale * (q - zero) done here. */
#include "../testing.h"

#include "interp/interp.h"
#include "lower/lower.h"
#include "quant/source.h"

enum { H = 6, W = 8, COUNT = 3 * H * W };

static cyg_ctx ctx;

#define OK(expr)                                                                                   \
    do {                                                                                           \
        if ((expr) != CYG_OK) {                                                                    \
            for (size_t m_ = 0; m_ < cyg_ctx_message_count(&ctx); m_++)                            \
                print_message("  %s\n", cyg_ctx_message(&ctx, m_));                                \
            fail_msg("%s", #expr);                                                                 \
        }                                                                                          \
    } while (0)

/* y = x - 1; `pixels`: x is stored as they are, as behind a folded normalisation. */
static cyg_graph *net(bool pixels, int height, int channels)
{
    char text[512];
    cyg_graph *g;
    snprintf(text, sizeof text,
             "graph \"g\" opset 18\ninput %%x: f32[1,%d,%d,8]\nconst %%one: f32[] = [1]\n"
             "%%y: f32[1,%d,%d,8] = sub(%%x, %%one)\noutput %%y\n",
             channels, height, channels, height);
    cyg_ctx_init(&ctx);
    OK(cyg_graph_parse(&ctx, "g", text, strlen(text), &g));
    OK(cyg_graph_infer_shapes(&ctx, g));
    if (pixels) {
        static const float one = 1.0f;
        const cyg_value_id x = g->inputs[0];
        const cyg_value_id f = cyg_graph_add_value(g, "f", CYG_TYPE_F32, 4, cyg_val(g, x)->dims);
        cyg_node_set_input(g, g->order[0], 0, f);
        assert_false(cyg_node_is_none(
            cyg_graph_add_node(g, g->order[0], CYG_OP_requant, NULL, &x, 1, &f, 1)));
        cyg_val(g, x)->quant =
            (cyg_quant){.type = CYG_TYPE_U8, .axis = -1, .count = 1, .scales = &one};
    }
    return g;
}

/* Runs the bound graph on `fed`; [3, H, W]. */
static void run(cyg_graph *g, const void *fed, float *out)
{
    cyg_arena arena;
    cyg_program p;
    cyg_kbuf y;
    cyg_arena_init(&arena);
    OK(cyg_graph_verify(&ctx, g));
    OK(cyg_lower_graph(&ctx, g, &arena, &p));
    const cyg_tensor *t = &p.tensors[p.inputs[0]];
    assert_string_equal(t->name, "x");
    cyg_kbuf x = {.data = (void *)(uintptr_t)fed, .type = t->type, .rank = t->rank};
    memcpy(x.dims, t->dims, sizeof x.dims);
    OK(cyg_interp_run_program(&ctx, &p, true, &x, 1, NULL, NULL, &arena, &y));
    memcpy(out, y.data, COUNT * sizeof *out);
    cyg_arena_deinit(&arena);
    cyg_graph_destroy(g);
}

static void test_video(void **state)
{
    (void)state;
    static const cyg_yuv layouts[] = {CYG_YUV_420SP, CYG_YVU_420SP, CYG_YUYV_422, CYG_UYVY_422};
    uint8_t yuv[2 * H * W], pixels[COUNT];
    float found[COUNT];
    for (size_t i = 0; i < sizeof yuv; i++)
        yuv[i] = (uint8_t)(i * 89 + i / 7 * 31);
    for (int kind = 0; kind < 16; kind++) {
        cyg_quant_source s = {
            .type = CYG_TYPE_U8, .nhwc = true, .scale = 1.0f, .yuv = layouts[kind % 4]};
        cyg_yuv_integers m;
        cyg_yuv_matrix(kind / 4 % 2 == 1, kind % 3 == 0, kind % 2 == 1, s.csc);
        assert_true(cyg_yuv_round(s.csc, &m));
        cyg_yuv_decode(s.yuv, &m, yuv, H, W, pixels);
        cyg_graph *g = net(kind >= 8, H, 3);
        OK(cyg_quant_bind_source(&ctx, g, 0, &s));
        int64_t dims[3];
        cyg_yuv_shape(s.yuv, H, W, dims);
        const cyg_value *x = cyg_val(g, g->inputs[0]);
        assert_int_equal(x->dims[0], 1);
        for (int k = 0; k < 3; k++)
            assert_int_equal(x->dims[k + 1], dims[k]);
        run(g, yuv, found);
        for (int c = 0; c < 3; c++)
            for (int i = 0; i < H * W; i++)
                assert_true(found[c * H * W + i] == (float)pixels[3 * i + c] - 1.0f);
    }
}

static void test_codes(void **state)
{
    (void)state;
    static const struct {
        cyg_type type;
        int32_t zero;
        float scale;
    } cases[] = {{CYG_TYPE_U8, 100, 0.5f},     {CYG_TYPE_S8, -7, 0.25f},
                 {CYG_TYPE_U16, 30000, 0.01f}, {CYG_TYPE_S16, 0, 0.02f},
                 {CYG_TYPE_U32, 3, 1.0f},      {CYG_TYPE_S32, -100000, 0.001f},
                 {CYG_TYPE_S16, 12, 1.0f},     {CYG_TYPE_F16, 0, 1.0f}};
    for (size_t i = 0; i < 2 * CYG_COUNT(cases); i++) {
        const cyg_type type = cases[i / 2].type;
        const cyg_quant_source s = {.type = type,
                                    .nhwc = i % 2 == 1,
                                    .scale = cases[i / 2].scale,
                                    .zero_point = cases[i / 2].zero};
        uint32_t fed[COUNT] = {0};
        float found[COUNT], wanted[COUNT];
        for (int k = 0; k < COUNT; k++) {
            const int32_t q = k * 37 % 113;
            const uint16_t half = (uint16_t)(0x3c00 + k); /* 1 + k / 1024 */
            const size_t size = cyg_type_size(type);
            memcpy((char *)fed + (size_t)k * size, type == CYG_TYPE_F16 ? (const void *)&half : &q,
                   size);
            const float x = type == CYG_TYPE_F16 ? 1.0f + (float)k / 1024.0f
                                                 : ((float)q - (float)s.zero_point) * s.scale;
            wanted[s.nhwc ? k % 3 * H * W + k / 3 : k] = x - 1.0f;
        }
        cyg_graph *g = net(false, H, 3);
        OK(cyg_quant_bind_source(&ctx, g, 0, &s));
        assert_int_equal(cyg_val(g, g->inputs[0])->type, type);
        run(g, fed, found);
        for (int k = 0; k < COUNT; k++)
            assert_true(found[k] == wanted[k]);
    }
}

static void refuses(int height, int channels, double factor, const char *message)
{
    cyg_quant_source s = {.type = CYG_TYPE_U8, .nhwc = true, .scale = 1.0f, .yuv = CYG_YUV_420SP};
    cyg_graph *g = net(false, height, channels);
    cyg_yuv_matrix(false, false, false, s.csc);
    s.csc[5] = factor;
    assert_int_equal(cyg_quant_bind_source(&ctx, g, 0, &s), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, message));
    cyg_graph_destroy(g);
}

static void test_refusals(void **state)
{
    (void)state;
    refuses(5, 3, 1.0, "needs an even height and width, found 5 x 8");
    refuses(6, 1, 1.0, "is for pictures of three channels");
    refuses(6, 3, 1e6, "csc_mat has a factor beyond 32639");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_video), cmocka_unit_test(test_codes),
                                       cmocka_unit_test(test_refusals)};
    return CYG_TEST_MAIN(tests);
}

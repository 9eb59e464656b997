/* Packages whose structure is sound and whose steps are not: refused when the session is made,
 * with a message that names the step; never run. */
#include "models.h"

#include "kernels/call.h"
#include "kernels/params.h"
#include "lower/lower.h"

typedef void (*spoiler)(cyg_program *p);

static cyg_step *step_of(cyg_program *p, const char *name)
{
    for (uint32_t i = 0; i < p->step_count; i++)
        if (strcmp(p->steps[i].name, name) == 0)
            return &p->steps[i];
    fail_msg("no step %s", name);
    return NULL;
}

static void *params_of(cyg_program *p, const char *step)
{
    void *out;
    const void *params = step_of(p, step)->params;
    memcpy(&out, &params, sizeof out); /* the program copied them into its arena */
    return out;
}

static void unknown_operator(cyg_program *p)
{
    step_of(p, "qkv")->op = 255;
}
static void negative_operator(cyg_program *p)
{
    step_of(p, "qkv")->op = -1;
}
static void other_operator(cyg_program *p)
{
    step_of(p, "qkv")->op = CYG_KOP_i_attention;
}
static void output_on_input(cyg_program *p)
{
    const cyg_step *s = step_of(p, "fc1");
    p->tensors[s->out[0]].arena_offset = p->tensors[s->in[0]].arena_offset;
}
static void output_beside_input(cyg_program *p)
{
    const cyg_step *s = step_of(p, "fc1");
    p->tensors[s->out[0]].arena_offset = p->tensors[s->in[0]].arena_offset + 64;
}
static void wider_result(cyg_program *p)
{
    p->tensors[step_of(p, "fc1")->out[0]].dims[2] = 31;
}
static void fewer_weights(cyg_program *p)
{
    p->tensors[step_of(p, "fc1")->in[1]].dims[0] = 31;
}
static void short_bias(cyg_program *p)
{
    p->tensors[step_of(p, "fc1")->in[2]].dims[0] = 31;
}
static void no_bias(cyg_program *p)
{
    static uint32_t in[5];
    cyg_step *s = step_of(p, "fc1");
    memcpy(in, s->in, sizeof in);
    in[2] = CYG_NO_TENSOR;
    s->in = in;
}
static void few_operands(cyg_program *p)
{
    step_of(p, "fc1")->in_count = 2;
}
static void type_of_weights(cyg_program *p)
{
    p->tensors[step_of(p, "fc1")->in[1]].type = CYG_TYPE_U8;
}
static void unknown_activation(cyg_program *p)
{
    ((cyg_kp_ilinear *)params_of(p, "fc1"))->act = 99;
}
static void channels(cyg_program *p)
{
    ((cyg_kp_ilayernorm *)params_of(p, "ln2"))->channels = 15;
}
static void channels_huge(cyg_program *p)
{
    ((cyg_kp_ilayernorm *)params_of(p, "ln2"))->channels = INT64_MAX;
}
static void channels_zero(cyg_program *p)
{
    ((cyg_kp_ilayernorm *)params_of(p, "ln2"))->channels = 0;
}
static void heads(cyg_program *p)
{
    ((cyg_kp_iattention *)params_of(p, "attention"))->at.heads = 1 << 30;
}
static void head_offset(cyg_program *p)
{
    ((cyg_kp_iattention *)params_of(p, "attention"))->at.v_offset = 40;
}
static void head_offset_negative(cyg_program *p)
{
    ((cyg_kp_iattention *)params_of(p, "attention"))->at.q_offset = -1;
}
static void tokens(cyg_program *p)
{
    ((cyg_kp_iattention *)params_of(p, "attention"))->at.tokens = 17;
}
static void e_bits(cyg_program *p)
{
    ((cyg_kp_iattention *)params_of(p, "attention"))->e_bits = 12;
}
static void kernel_size(cyg_program *p)
{
    ((cyg_kp_iconv2d *)params_of(p, "patch"))->geometry.kh = 1000;
}
static void stride_zero(cyg_program *p)
{
    ((cyg_kp_iconv2d *)params_of(p, "patch"))->geometry.stride_h = 0;
}
static void pad_huge(cyg_program *p)
{
    ((cyg_kp_iconv2d *)params_of(p, "patch"))->geometry.pad_t = INT64_MAX;
}
static void no_params(cyg_program *p)
{
    step_of(p, "patch")->params_size = 0;
}
static void reduce_shape(cyg_program *p)
{
    ((cyg_kp_ireduce *)params_of(p, "mean"))->n = 1 << 20;
}

/* create must fail cleanly. */
static void refuse(void **state, cyg_ctx *ctx, const char *what, const cyg_program *p)
{
    cyg_model *model;
    cyg_session *session;
    const char *path = scratch_path(state, "bad.cyg");
    OK(ctx, cyg_package_write(ctx, path, p, 1, "{}"));
    if (cyg_model_open(path, &model) != 0)
        return; /* refused even earlier */
    if (cyg_session_create(model, NULL, &session) == 0)
        fail_msg("%s: accepted", what);
    assert_null(session);
    assert_non_null(strstr(cyg_runtime_message(), "step "));
    cyg_model_close(model);
}

static void test_spoiled(void **state)
{
    static const struct {
        const char *what;
        spoiler spoil;
    } cases[] = {
        {"unknown operator", unknown_operator},
        {"negative operator", negative_operator},
        {"another operator", other_operator},
        {"output on an input", output_on_input},
        {"output half on an input", output_beside_input},
        {"result's shape", wider_result},
        {"weights' shape", fewer_weights},
        {"short bias", short_bias},
        {"no bias", no_bias},
        {"few operands", few_operands},
        {"type of weights", type_of_weights},
        {"activation", unknown_activation},
        {"channels", channels},
        {"channels huge", channels_huge},
        {"channels zero", channels_zero},
        {"heads", heads},
        {"head offset", head_offset},
        {"negative offset", head_offset_negative},
        {"tokens", tokens},
        {"e_bits", e_bits},
        {"kernel size", kernel_size},
        {"stride 0", stride_zero},
        {"pad", pad_huge},
        {"no parameters", no_params},
        {"reduced count", reduce_shape},
    };
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_quant_report quantised;
    cyg_graph *g = tiny_quantised(&ctx, true, &quantised);
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_arena arena;
        cyg_arena_init(&arena);
        cyg_program p;
        cyg_cpu_report report;
        OK(&ctx, cyg_target_cpu_compile(&ctx, g, &arena, &p, &report));
        cases[i].spoil(&p);
        refuse(state, &ctx, cases[i].what, &p);
        cyg_arena_deinit(&arena);
    }
    cyg_graph_destroy(g);
}

/* Constant index tables out of bounds: gather_rows, gather, attention's rows and mask index. */
static void test_index_tables(void **state)
{
    static const char *const bodies[] = {
        "const %i: s64[2] = [0, 2]\n%y: f32[2,4] = gather_rows(%x, %i) {rows_in = 2} \"g\"\n",
        "const %i: s64[2] = [0, -2]\n%y: f32[2,4] = gather_rows(%x, %i) {rows_in = 2} \"g\"\n",
        "const %i: s64[2] = [0, 2]\n%y: f32[2,4] = gather(%x, %i) {axis = 0} \"g\"\n",
        "const %i: s64[2] = [0, -3]\n%y: f32[2,4] = gather(%x, %i) {axis = 0} \"g\"\n",
        "const %i: s64[1,2] = [0, 9]\n%y: f32[2,4] = attention(%x, %x, %x, _, _, %i) {heads = 1, "
        "head_dim = 4, "
        "tokens = 2, scale = 1} \"g\"\n",
        "const %b: f32[1,1,2,2] = [0, 0, 0, 0]\nconst %i: s64[1] = [1]\n%y: f32[2,4] = "
        "attention(%x, %x, %x, %b, "
        "%i) {heads = 1, head_dim = 4, tokens = 2, scale = 1} \"g\"\n",
        "const %i: s64[1,2] = [0, 9223372036854775807]\n%y: f32[2,4] = attention(%x, %x, %x, _, _, "
        "%i) {heads = 1, "
        "head_dim = 4, tokens = 2, scale = 1} \"g\"\n",
    };
    static cyg_ctx ctx;
    for (size_t i = 0; i < CYG_COUNT(bodies); i++) {
        char text[1024];
        cyg_ctx_init(&ctx);
        snprintf(text, sizeof text, "graph \"g\" opset 18\ninput %%x: f32[2,4]\n%soutput %%y\n",
                 bodies[i]);
        cyg_graph *g = parse_graph(text);
        cyg_arena arena;
        cyg_arena_init(&arena);
        cyg_program p;
        cyg_cpu_report report;
        OK(&ctx, cyg_target_cpu_compile(&ctx, g, &arena, &p, &report));
        refuse(state, &ctx, bodies[i], &p);
        cyg_arena_deinit(&arena);
        cyg_graph_destroy(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_spoiled, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_index_tables, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}

/* The scheme on a transformer of one block: the types it chooses, the parameters it writes, where
 * requant nodes stand, and how well the integers follow the floats. */
#include "tiny_runs.h"

static const cyg_quant *quant_of(const cyg_graph *g, const char *value)
{
    return &value_named(g, value)->quant;
}

static void test_types(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_quant_report report;
    cyg_graph *g = tiny_quantised(&ctx, true, &report);
    static const struct {
        const char *value;
        cyg_type type;
    } expected[] = {
        {"image", CYG_TYPE_U8},                                              /* pixels */
        {"t", CYG_TYPE_S16},                                                 /* residual stream */
        {"p", CYG_TYPE_S16},                                                 /* one class with t */
        {"r1", CYG_TYPE_S16},     {"r2", CYG_TYPE_S16}, {"n1", CYG_TYPE_U8}, /* read by a linear */
        {"n2", CYG_TYPE_U8},      {"h", CYG_TYPE_U8},   {"a", CYG_TYPE_U8},
        {"qkv", CYG_TYPE_S8},     {"n3", CYG_TYPE_S16}, /* read by a mean */
        {"logits", CYG_TYPE_NONE}};
    for (size_t i = 0; i < CYG_COUNT(expected); i++)
        if (quant_of(g, expected[i].value)->type != expected[i].type)
            fail_msg("%s is stored as %s, expected %s", expected[i].value,
                     cyg_type_name(quant_of(g, expected[i].value)->type),
                     cyg_type_name(expected[i].type));
    const cyg_quant *pixels = quant_of(g, "image");
    assert_true(pixels->scales[0] == 1.0f);
    assert_int_equal(pixels->zero_point, 0);
    assert_int_equal(report.samples, TINY_SAMPLES);
    assert_int_equal(report.float_nodes, 0);
    assert_int_equal(report.integer_nodes, 11);
    /* Nothing but equal ends anywhere: no requant at all in this graph. */
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if (n->op != CYG_OP_requant)
            continue;
        const cyg_quant *x = &cyg_val(g, n->in[0])->quant, *y = &cyg_val(g, n->out[0])->quant;
        if (x->type == y->type && x->zero_point == y->zero_point && x->count == y->count &&
            x->scales[0] == y->scales[0])
            fail_msg("requant %s changes nothing", n->name);
    }
    cyg_graph_destroy(g);
}

static void test_heads(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_quant_report report;
    cyg_graph *g = tiny_quantised(&ctx, true, &report);
    const cyg_quant *q = quant_of(g, "qkv");
    assert_int_equal(q->count, 48);
    assert_int_equal(q->axis, 2);
    for (uint32_t c = 0; c < 48; c++)
        assert_true(q->scales[c] == q->scales[c / 8 * 8]);
    assert_true(q->scales[0] != q->scales[8]);
    cyg_graph_destroy(g);
}

static void test_weights(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_quant_report report;
    cyg_graph *g = tiny_quantised(&ctx, true, &report), *f = tiny_graph();
    static const char *const nodes[] = {"qkv", "proj", "fc1", "fc2", "head"};
    for (size_t i = 0; i < CYG_COUNT(nodes); i++) {
        const cyg_value *w = cyg_val(g, node_named(g, nodes[i])->in[1]);
        const cyg_value *from = cyg_val(f, node_named(f, nodes[i])->in[1]);
        assert_int_equal(w->type, CYG_TYPE_S8);
        assert_int_equal(w->quant.count, w->dims[0]);
        assert_int_equal(w->quant.axis, 0);
        for (int64_t n = 0; n < w->dims[0]; n++) {
            const float *row = (const float *)from->data + n * w->dims[1];
            const int8_t *q = (const int8_t *)w->data + n * w->dims[1];
            double most = 0;
            for (int64_t k = 0; k < w->dims[1]; k++)
                most = fmax(most, fabs((double)row[k]));
            assert_true(w->quant.scales[n] == (float)(most / 127.0));
            for (int64_t k = 0; k < w->dims[1]; k++) {
                assert_true(q[k] >= -127);
                assert_int_equal(q[k], (int)rint((double)row[k] / (double)w->quant.scales[n]));
            }
        }
    }
    assert_true(report.weight_bytes_quantised < report.weight_bytes_float / 2);
    cyg_graph_destroy(f);
    cyg_graph_destroy(g);
}

static void test_accuracy(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    tiny_samples_init(&samples);
    cyg_quant_report report;
    cyg_graph *g = tiny_quantised(&ctx, true, &report), *f = tiny_graph();
    const double db = tiny_sqnr(&ctx, f, g, &samples);
    if (!(db > 30.0))
        fail_msg("SQNR is %.1f dB", db);
    cyg_graph_destroy(f);
    cyg_graph_destroy(g);
}

/* Without normalisation the input is float and converted once. */
static void test_float_input(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    tiny_samples_init(&samples);
    cyg_quant_report report;
    cyg_graph *g = tiny_quantised(&ctx, false, &report), *f = tiny_graph();
    assert_int_equal(quant_of(g, "image")->type, CYG_TYPE_NONE);
    uint32_t requants = 0;
    for (uint32_t i = 0; i < g->order_count; i++)
        requants += cyg_nod(g, g->order[i])->op == CYG_OP_requant;
    assert_int_equal(requants, 1);
    float expected[TINY_CLASSES], found[TINY_CLASSES];
    float_run(&ctx, f, samples.inputs[3], expected);
    integer_run(&ctx, g, samples.inputs[3], CYG_TYPE_F32, found);
    for (int k = 0; k < TINY_CLASSES; k++)
        assert_true(fabsf(expected[k] - found[k]) < 0.1f);
    cyg_graph_destroy(f);
    cyg_graph_destroy(g);
}

/* ---- awkward graphs */

static cyg_status get_vector(cyg_ctx *ctx, void *self, size_t i, cyg_sample_tensor *out)
{
    (void)ctx;
    (void)i;
    *out = *(cyg_sample_tensor *)self;
    return CYG_OK;
}

static cyg_status quantise_text(cyg_ctx *ctx, const char *text, float *data, size_t count,
                                cyg_graph **out_g)
{
    cyg_sample_tensor t = {data, count};
    const cyg_sample_source source = {&t, 2, 1, get_vector, tiny_name};
    const cyg_quant_options options = {.transformer_level = 1};
    cyg_quant_report report;
    *out_g = parse_graph(text);
    fill_weights(*out_g, 3);
    return cyg_quantise(ctx, *out_g, &source, &options, &report);
}

/* Quantises, verifies, lowers, runs with both bodies; the two and the float graph must agree. */
static void check_text(const char *text, size_t count, float bound)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    rng r = {5};
    float *data = random_floats(&r, count, 2.0f);
    cyg_graph *g;
    OK(&ctx, quantise_text(&ctx, text, data, count, &g));
    OK(&ctx, cyg_graph_verify(&ctx, g));
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_program p;
    OK(&ctx, cyg_lower_graph(&ctx, g, &arena, &p));
    const cyg_kbuf in = {.data = data, .type = CYG_TYPE_F32, .rank = 1, .dims = {(int64_t)count}};
    cyg_kbuf ref[4], fast[4];
    assert_true(p.output_count <= 4);
    OK(&ctx, cyg_interp_run_program(&ctx, &p, true, &in, 1, NULL, NULL, &arena, ref));
    OK(&ctx, cyg_interp_run_program(&ctx, &p, false, &in, 1, NULL, NULL, &arena, fast));
    cyg_graph *f = parse_graph(text);
    fill_weights(f, 3);
    cyg_interp *it;
    OK(&ctx, cyg_interp_create(&ctx, f, NULL, &it));
    cyg_kbuf fin = in;
    const cyg_value *declared = cyg_val(f, f->inputs[0]);
    fin.rank = declared->rank;
    memcpy(fin.dims, declared->dims, sizeof fin.dims);
    OK(&ctx, cyg_interp_run(&ctx, it, &fin, 1));
    for (uint32_t i = 0; i < p.output_count; i++) {
        const size_t bytes = cyg_tensor_bytes(&p.tensors[p.outputs[i]]);
        assert_memory_equal(ref[i].data, fast[i].data, bytes);
        assert_int_equal(ref[i].type, CYG_TYPE_F32);
        const float *expected = cyg_interp_value(it, f->outputs[i])->data, *found = ref[i].data;
        for (size_t k = 0; k < bytes / 4; k++)
            if (!(fabsf(expected[k] - found[k]) <= bound))
                fail_msg("output %u[%zu]: expected %g, found %g", i, k, (double)expected[k],
                         (double)found[k]);
    }
    cyg_interp_destroy(it);
    cyg_graph_destroy(f);
    cyg_graph_destroy(g);
    cyg_arena_deinit(&arena);
    free(data);
}

/* A float-only operator (exp) between integers: converted before and behind. */
static void test_float_island(void **unused)
{
    (void)unused;
    check_text("graph \"g\" opset 18\n"
               "input %x: f32[4,16]\n"
               "const %w: f32[16,16] = #0000000000000000 1024\n"
               "const %v: f32[8,16] = #0000000000000000 512\n"
               "%a: f32[4,16] = linear(%x, %w) \"first\"\n"
               "%s: f32[4,16] = sigmoid(%a) \"float\"\n"
               "%y: f32[4,8] = linear(%s, %v) \"second\"\n"
               "output %y\n",
               64, 0.1f);
}

/* q, k and v that cannot have a scale for each head: made by an element-wise node, read by others
 * too, an output of the graph, heads of two sizes on one value, an activation in between. */
static void test_awkward_heads(void **unused)
{
    (void)unused;
    static const char *const bodies[] = {
        "%q: f32[8,16] = linear(%x, %w) \"q\"\n%r: f32[8,16] = mul(%q, %q) \"square\"\n"
        "%y: f32[8,16] = attention(%r, %q, %q) {heads = 2, head_dim = 8, tokens = 8, scale = 0.3}\n"
        "output %y\n",
        "%q: f32[8,16] = linear(%x, %w) \"q\"\n"
        "%a: f32[8,16] = attention(%q, %q, %q) {heads = 2, head_dim = 8, tokens = 8, scale = 0.3}\n"
        "%y: f32[8,16] = linear(%q, %w) \"reads q too\"\noutput %a\noutput %y\n",
        "%q: f32[8,16] = linear(%x, %w) \"q\"\n"
        "%a: f32[8,16] = attention(%q, %q, %q) {heads = 2, head_dim = 8, tokens = 8, scale = 0.3}\n"
        "output %a\noutput %q\noutput %a\n",
        "%q: f32[8,16] = linear(%x, %w) \"q\"\n"
        "%a: f32[8,16] = attention(%q, %q, %q) {heads = 2, head_dim = 8, tokens = 8, scale = 0.3}\n"
        "%b: f32[8,16] = attention(%q, %q, %q) {heads = 4, head_dim = 4, tokens = 8, scale = 0.3}\n"
        "output %a\noutput %b\n",
        "%q: f32[8,16] = linear(%x, %w) {act = 2} \"gelu\"\n"
        "%a: f32[8,16] = attention(%q, %q, %q) {heads = 2, head_dim = 8, tokens = 8, scale = 0.3}\n"
        "%b: f32[8,16] = attention(%a, %a, %a) {heads = 2, head_dim = 8, tokens = 8, scale = 0.3}\n"
        "output %b\n",
        "%q: f32[8,16] = linear(%x, %w) \"q\"\n%e: f32[8,16] = exp(%q) \"float reads q\"\n"
        "%a: f32[8,16] = attention(%q, %q, %q) {heads = 2, head_dim = 8, tokens = 8, scale = 0.3}\n"
        "output %a\noutput %e\n",
    };
    for (size_t i = 0; i < CYG_COUNT(bodies); i++) {
        char text[2048];
        snprintf(text, sizeof text,
                 "graph \"g\" opset 18\ninput %%x: f32[8,16]\n"
                 "const %%w: f32[16,16] = #0000000000000000 1024\n%s",
                 bodies[i]);
        check_text(text, 128, i == 5 ? 3.0f : 0.25f);
    }
}

/* relu and clip with and without residual, and a class that a concat makes of several values. */
static void test_clamps(void **unused)
{
    (void)unused;
    check_text("graph \"g\" opset 18\ninput %x: f32[4,16]\n"
               "const %w: f32[16,16] = #0000000000000000 1024\n"
               "%a: f32[4,16] = linear(%x, %w) {act = 1} \"relu\"\n"
               "%b: f32[4,16] = linear(%a, %w) {act = 4, act_lo = -0.5, act_hi = 0.5} \"clip\"\n"
               "%c: f32[4,16] = linear(%b, %w, _, %a) {post_act = 1} \"relu behind\"\n"
               "%d: f32[4,16] = linear(%c, %w) {post_act = 1} \"relu behind nothing\"\n"
               "%e: f32[4,32] = concat(%c, %d) {axis = 1} \"both\"\n"
               "output %e\n",
               64, 0.3f);
}

/* Every operator of this text is an integer node: all values but input and output have a type. */
static void expect_integers(const char *text, size_t count)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    rng r = {5};
    float *data = random_floats(&r, count, 2.0f);
    cyg_graph *g;
    OK(&ctx, quantise_text(&ctx, text, data, count, &g));
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if (n->op != CYG_OP_requant && cyg_val(g, n->in[0])->quant.type == CYG_TYPE_NONE)
            fail_msg("\"%s\" runs in float", n->name);
    }
    cyg_graph_destroy(g);
    free(data);
}

/* Products of two activations, softmax, extremes, resizing, and a gate for each channel. */
static void test_more_integers(void **unused)
{
    (void)unused;
    static const char *const products =
        "graph \"g\" opset 18\ninput %x: f32[2,4,16]\n"
        "const %w: f32[16,16] = #0000000000000000 1024\n"
        "%a: f32[2,4,16] = linear(%x, %w) \"first\"\n"
        "%b: f32[2,4,16] = linear(%a, %w) \"second\"\n"
        "%t: f32[2,16,4] = transpose(%b) {perm = [0, 2, 1]} \"turn\"\n"
        "%s: f32[2,4,4] = matmul(%a, %t) \"scores\"\n"
        "%p: f32[2,4,4] = softmax(%s) {axis = -1} \"soft\"\n"
        "%o: f32[2,4,16] = matmul(%p, %a) \"context\"\n"
        "%y: f32[2,4,16] = linear(%o, %w) \"last\"\n"
        "output %y\n";
    static const char *const pictures =
        "graph \"g\" opset 18\ninput %x: f32[1,4,4,8]\n"
        "const %w: f32[8,1,1,8] = #0000000000000000 256\n"
        "const %axes: s64[2] = [1, 2]\n"
        "const %twice: f32[4] = [1, 2, 2, 1]\n"
        "%a: f32[1,4,4,8] = conv2d(%x, %w) \"first\"\n"
        "%m: f32[1,1,1,8] = reduce_max(%a, %axes) \"largest\"\n"
        "%l: f32[1,1,1,8] = reduce_min(%a, %axes) \"least\"\n"
        "%g: f32[1,1,1,8] = hardsigmoid(%m) \"gate\"\n"
        "%b: f32[1,4,4,8] = mul(%a, %g) \"gated\"\n"
        "%d: f32[1,4,4,8] = add(%b, %l) \"shifted\"\n"
        "%n: f32[1,8,8,8] = resize(%d, _, %twice) {mode = \"nearest\"} \"near\"\n"
        "%r: f32[1,8,8,8] = resize(%d, _, %twice) {mode = \"linear\"} \"between\"\n"
        "%e: f32[1,8,8,16] = concat(%n, %r) {axis = 3} \"both\"\n"
        "const %v: f32[4,1,1,16] = #0000000000000000 256\n"
        "%y: f32[1,8,8,4] = conv2d(%e, %v) \"last\"\n"
        "output %y\n";
    expect_integers(products, 128);
    expect_integers(pictures, 128);
    check_text(products, 128, 0.25f);
    check_text(pictures, 128, 0.25f);
}

/* The residual stream of a post-norm network has 16 bits, though linears and sums alone read it; a
 * sum of two values that nothing else reads has not. */
static void test_stream(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static const struct {
        const char *text, *value;
        cyg_type type;
    } cases[] = {
        {"graph \"g\" opset 18\ninput %x: f32[4,16]\n"
         "const %w: f32[16,16] = #0000000000000000 1024\n"
         "const %g: f32[16] = #0000000000000000 64\n"
         "%a: f32[4,16] = linear(%x, %w) \"first\"\n"
         "%b: f32[4,16] = linear(%a, %w) \"branch\"\n"
         "%n: f32[4,16] = layer_normalization(%b, %g) {axis = -1} \"norm\"\n"
         "%s: f32[4,16] = add(%a, %n) \"sum\"\n"
         "%y: f32[4,16] = linear(%s, %w) \"last\"\n"
         "output %y\n",
         "n", CYG_TYPE_S16},
        {"graph \"g\" opset 18\ninput %x: f32[4,16]\n"
         "const %w: f32[16,16] = #0000000000000000 1024\n"
         "%a: f32[4,16] = linear(%x, %w) \"one\"\n"
         "%n: f32[4,16] = linear(%x, %w) {act = 1} \"other\"\n"
         "%s: f32[4,16] = add(%a, %n) \"sum\"\n"
         "%y: f32[4,16] = linear(%s, %w) \"last\"\n"
         "output %y\n",
         "n", CYG_TYPE_U8},
    };
    cyg_ctx_init(&ctx);
    rng r = {5};
    float *data = random_floats(&r, 64, 2.0f);
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_graph *g;
        OK(&ctx, quantise_text(&ctx, cases[i].text, data, 64, &g));
        assert_int_equal(value_named(g, cases[i].value)->quant.type, cases[i].type);
        cyg_graph_destroy(g);
    }
    free(data);
}

static void test_refusals(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_graph *g;
    float data[64];
    static const char *const text = "graph \"g\" opset 18\ninput %x: f32[4,16]\n"
                                    "const %w: f32[16,16] = #0000000000000000 1024\n"
                                    "%y: f32[4,16] = linear(%x, %w) \"fc\"\noutput %y\n";
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        cyg_ctx_init(&ctx);
        for (int k = 0; k < 64; k++)
            data[k] = 1.0f;
        data[17 + 20 * i] = bad[i];
        assert_int_equal(quantise_text(&ctx, text, data, 64, &g), CYG_E_CHECK);
        assert_true(ctx_says(&ctx, "infinities or NaN"));
        cyg_graph_destroy(g);
    }
    cyg_ctx_init(&ctx);
    assert_int_equal(quantise_text(&ctx, text, data, 63, &g), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "needs 64 values, found 63"));
    cyg_graph_destroy(g);
    cyg_ctx_init(&ctx);
    assert_int_equal(quantise_text(&ctx,
                                   "graph \"g\" opset 18\nsymbol N\ninput %x: f32[N,16]\n"
                                   "%y: f32[N,16] = relu(%x)\noutput %y\n",
                                   data, 64, &g),
                     CYG_E_UNSUPPORTED);
    cyg_graph_destroy(g);
    cyg_ctx_init(&ctx);
    assert_int_equal(quantise_text(&ctx,
                                   "graph \"g\" opset 18\ninput %x: s64[8]\n"
                                   "%y: s64[8] = abs(%x)\noutput %y\n",
                                   data, 8, &g),
                     CYG_E_UNSUPPORTED);
    assert_true(ctx_says(&ctx, "s64"));
    cyg_graph_destroy(g);
}

typedef struct hurt_samples {
    cyg_sample_source source;
    float data[12][64];
    size_t unreadable;
    char order[64]; /* of results */
} hurt_samples;

static cyg_status hurt_get(cyg_ctx *c, void *self, size_t i, cyg_sample_tensor *out)
{
    const hurt_samples *h = self;
    if (i == h->unreadable)
        return CYG_FAIL(c, CYG_E_IO, "cannot read it");
    out[0] = (cyg_sample_tensor){h->data[i], 64};
    return CYG_OK;
}

static const char *hurt_name(void *self, size_t i)
{
    static char name[8];
    (void)self;
    name[0] = (char)('a' + i);
    return name;
}

static cyg_status hurt_output(cyg_ctx *c, void *user, size_t sample, uint32_t output,
                              const float *data, size_t count)
{
    hurt_samples *h = user;
    (void)c, (void)output, (void)data, (void)count;
    h->order[strlen(h->order)] = (char)('a' + sample);
    return CYG_OK;
}

/* Of several bad samples the first is told about, on any number of threads, though some run
 * together; results come in the samples' order. */
static void test_first_bad_sample(void **unused)
{
    (void)unused;
    static const struct {
        size_t poisoned, unreadable;
        const char *says, *order;
    } cases[] = {{99, 99, "", "abcdefghijkl"},
                 {6, 5, "while running sample 5, \"f\"", "abcde"},
                 {5, 6, "while running sample 5, \"f\"", "abcde"},
                 {0, 1, "while running sample 0, \"a\"", ""},
                 {11, 99, "while running sample 11, \"l\"", "abcdefghijk"},
                 {8, 8, "while running sample 8, \"i\"", "abcdefgh"}};
    for (size_t i = 0; i < CYG_COUNT(cases); i++)
        for (unsigned threads = 1; threads <= 3; threads++) {
            static cyg_ctx ctx;
            static hurt_samples h;
            cyg_quant_report report;
            cyg_ctx_init(&ctx);
            ctx.pool = cyg_pool_create(threads);
            h = (hurt_samples){.unreadable = cases[i].unreadable};
            h.source = (cyg_sample_source){&h, 12, 1, hurt_get, hurt_name};
            for (size_t k = 0; k < 12 * 64; k++)
                h.data[k / 64][k % 64] = (float)(k % 23) - 9.0f;
            if (cases[i].poisoned < 12)
                h.data[cases[i].poisoned][33] = NAN;
            const cyg_quant_options options = {.on_output = hurt_output, .user = &h};
            cyg_graph *g = parse_graph("graph \"g\" opset 18\ninput %x: f32[4,16]\n"
                                       "const %w: f32[16,16] = #0000000000000000 1024\n"
                                       "%y: f32[4,16] = linear(%x, %w) \"fc\"\noutput %y\n");
            const cyg_status status = cyg_quantise(&ctx, g, &h.source, &options, &report);
            assert_int_equal(status == CYG_OK, cases[i].says[0] == '\0');
            if (status != CYG_OK && !ctx_says(&ctx, cases[i].says))
                fail_msg("case %zu, %u threads: %s", i, threads, cyg_ctx_message(&ctx, 0));
            if (status != CYG_OK && cases[i].poisoned < cases[i].unreadable)
                assert_true(ctx_says(&ctx, "infinities or NaN"));
            assert_true(strncmp(h.order, cases[i].order, strlen(cases[i].order)) == 0);
            cyg_graph_destroy(g);
            cyg_pool_destroy(ctx.pool);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),         cmocka_unit_test(test_heads),
        cmocka_unit_test(test_weights),       cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_float_input),   cmocka_unit_test(test_float_island),
        cmocka_unit_test(test_awkward_heads), cmocka_unit_test(test_clamps),
        cmocka_unit_test(test_more_integers), cmocka_unit_test(test_stream),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_first_bad_sample),
    };
    return CYG_TEST_MAIN(tests);
}

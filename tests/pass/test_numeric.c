/* Whole optimisations of small graphs, judged by numbers: cyg_optimise runs the graph before and
 * after on one random input (verify_numerics), and the operators that are left are counted. The
 * graphs are the cases that no golden model has: windows that do not divide the map, a batch of
 * images with shifted windows, head-wise scales, channels-first spelling. Large constants are
 * filled here. */
#include "../testing.h"

#include "base/str.h"
#include "ir/graph.h"
#include "pass/pass.h"

/* Placeholder constants (printed as a hash, parsed as zeros) get numbers of about the size of
 * weights. */
static void fill_constants(cyg_graph *g)
{
    uint32_t state = 12345;
    for (uint32_t v = 0; v < g->value_count; v++) {
        cyg_value *value = &g->values[v];
        const int64_t n = cyg_value_elements(value);
        if (!value->is_const || value->type != CYG_TYPE_F32 || n < 17)
            continue;
        float *data = cyg_arena_alloc(&g->arena, (size_t)n * sizeof *data, 64);
        assert_non_null(data);
        for (int64_t i = 0; i < n; i++) {
            state = state * 1664525u + 1013904223u;
            data[i] = ((float)(state >> 8) / 8388608.0f - 1.0f) * 0.5f;
        }
        value->data = data;
    }
}

static cyg_graph *parse(cyg_ctx *ctx, const char *text)
{
    cyg_graph *g = NULL;
    cyg_ctx_init(ctx);
    if (cyg_graph_parse(ctx, "test", text, strlen(text), &g) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(ctx, cyg_ctx_message_count(ctx) - 1));
    fill_constants(g);
    return g;
}

static int count(const cyg_graph *g, cyg_op op)
{
    int n = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        n += g->nodes[i].op == op;
    return n;
}

static cyg_graph *optimised(const char *text, cyg_optimise_report *out_report)
{
    static cyg_ctx ctx;
    cyg_graph *g = parse(&ctx, text);
    const cyg_optimise_options options = {.fuse = true, .verify_numerics = true};
    if (cyg_optimise(&ctx, g, &options, out_report) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, cyg_ctx_message_count(&ctx) - 1));
    assert_true(out_report->max_difference < 1e-5);
    return g;
}

/* A Swin block without MLP on a map of B x H x H tokens of 8 channels; windows of 3; the map is
 * padded to P; shift 0 or 1. */
static void window_block(cyg_strbuf *s, int batch, int size, int padded, int shift, bool mask)
{
    const int windows = padded / 3, all = windows * windows, pad = padded - size;
    cyg_strbuf_printf(s, "graph \"w\" opset 18\ninput %%x: f32[%d,%d,%d,8]\n", batch, size, size);
    cyg_strbuf_puts(s,
                    "const %gamma: f32[8] = [1, 1.1, 0.9, 1, 1.2, 1, 0.8, 1]\n"
                    "const %beta: f32[8] = [0, 0.1, -0.1, 0, 0.2, 0, 0, 0.3]\n"
                    "const %wq: f32[8,24] = #0 768\nconst %bq: f32[24] = #0 96\n"
                    "const %wp: f32[8,8] = #0 256\nconst %bp: f32[8] = [1, 2, 3, 4, 5, 6, 7, 8]\n"
                    "const %bias: f32[1,2,9,9] = #0 648\n"
                    "const %i0: s64[] = [0]\nconst %i1: s64[] = [1]\nconst %i2: s64[] = [2]\nconst "
                    "%k: f32[] = [0.5]\n");
    cyg_strbuf_printf(s, "const %%mask: f32[1,%d,1,9,9] = #0 %d\n", all, all * 81 * 4);
    cyg_strbuf_printf(s, "const %%pads: s64[8] = [0, 0, 0, 0, 0, %d, %d, 0]\n", pad, pad);
    cyg_strbuf_printf(s, "const %%split: s64[6] = [%d, %d, 3, %d, 3, 8]\n", batch, windows,
                      windows);
    cyg_strbuf_printf(s, "const %%rows: s64[3] = [%d, 9, 8]\n", batch * all);
    cyg_strbuf_printf(s, "const %%heads: s64[5] = [%d, 9, 3, 2, 4]\n", batch * all);
    cyg_strbuf_printf(s, "const %%wide: s64[5] = [%d, %d, 2, 9, 9]\n", batch, all);
    cyg_strbuf_printf(s, "const %%narrow: s64[4] = [%d, 2, 9, 9]\n", batch * all);
    cyg_strbuf_printf(s, "const %%join: s64[6] = [%d, %d, %d, 3, 3, 8]\n", batch, windows, windows);
    cyg_strbuf_printf(s, "const %%map: s64[4] = [%d, %d, %d, 8]\n", batch, padded, padded);
    cyg_strbuf_printf(s,
                      "const %%start: s64[2] = [0, 0]\nconst %%stop: s64[2] = [%d, %d]\nconst "
                      "%%axes: s64[2] = [1, 2]\n",
                      size, size);
    cyg_strbuf_puts(
        s, "const %one: s64[1] = [1]\nconst %zero: s64[1] = [0]\nconst %minus: s64[1] = [-1]\n"
           "const %big: s64[1] = [9223372036854775807]\nconst %two: s64[1] = [2]\n");
    const int b = batch, p = padded, e = batch * all;
    cyg_strbuf_printf(
        s,
        "%%n: f32[%d,%d,%d,8] = layer_normalization(%%x, %%gamma, %%beta) {axis = -1} \"norm\"\n",
        b, size, size);
    cyg_strbuf_printf(s, "%%p: f32[%d,%d,%d,8] = pad(%%n, %%pads) \"pad\"\n", b, p, p);
    const char *now = "p";
    if (shift != 0) {
        cyg_strbuf_printf(s, "%%r1: f32[%d,%d,%d,8] = slice(%%p, %%one, %%big, %%one) \"r1\"\n", b,
                          p - 1, p);
        cyg_strbuf_printf(s, "%%r2: f32[%d,1,%d,8] = slice(%%p, %%zero, %%one, %%one) \"r2\"\n", b,
                          p);
        cyg_strbuf_printf(s, "%%r3: f32[%d,%d,%d,8] = concat(%%r1, %%r2) {axis = 1} \"r3\"\n", b, p,
                          p);
        cyg_strbuf_printf(s, "%%r4: f32[%d,%d,%d,8] = slice(%%r3, %%one, %%big, %%two) \"r4\"\n", b,
                          p, p - 1);
        cyg_strbuf_printf(s, "%%r5: f32[%d,%d,1,8] = slice(%%r3, %%zero, %%one, %%two) \"r5\"\n", b,
                          p);
        cyg_strbuf_printf(s, "%%r6: f32[%d,%d,%d,8] = concat(%%r4, %%r5) {axis = 2} \"r6\"\n", b, p,
                          p);
        now = "r6";
    }
    cyg_strbuf_printf(s, "%%a: f32[%d,%d,3,%d,3,8] = reshape(%%%s, %%split) \"split\"\n", b,
                      windows, windows, now);
    cyg_strbuf_printf(
        s, "%%c: f32[%d,%d,%d,3,3,8] = transpose(%%a) {perm = [0, 1, 3, 2, 4, 5]} \"part\"\n", b,
        windows, windows);
    cyg_strbuf_printf(s, "%%d: f32[%d,9,8] = reshape(%%c, %%rows) \"rows\"\n", e);
    cyg_strbuf_printf(s,
                      "%%m: f32[%d,9,24] = matmul(%%d, %%wq) \"qkv\"\n%%f: f32[%d,9,24] = add(%%m, "
                      "%%bq) \"qkv.bias\"\n",
                      e, e);
    cyg_strbuf_printf(s, "%%g: f32[%d,9,3,2,4] = reshape(%%f, %%heads) \"heads\"\n", e);
    cyg_strbuf_printf(
        s, "%%h: f32[3,%d,2,9,4] = transpose(%%g) {perm = [2, 0, 3, 1, 4]} \"first\"\n", e);
    cyg_strbuf_printf(s, "%%q: f32[%d,2,9,4] = gather(%%h, %%i0) {axis = 0} \"q\"\n", e);
    cyg_strbuf_printf(s, "%%kk: f32[%d,2,9,4] = gather(%%h, %%i1) {axis = 0} \"k\"\n", e);
    cyg_strbuf_printf(s, "%%v: f32[%d,2,9,4] = gather(%%h, %%i2) {axis = 0} \"v\"\n", e);
    cyg_strbuf_printf(s, "%%qs: f32[%d,2,9,4] = mul(%%q, %%k) \"scale\"\n", e);
    cyg_strbuf_printf(s, "%%kt: f32[%d,2,4,9] = transpose(%%kk) {perm = [0, 1, 3, 2]} \"kt\"\n", e);
    cyg_strbuf_printf(s, "%%s: f32[%d,2,9,9] = matmul(%%qs, %%kt) \"scores\"\n", e);
    cyg_strbuf_printf(s, "%%sb: f32[%d,2,9,9] = add(%%s, %%bias) \"position\"\n", e);
    now = "sb";
    if (mask) {
        cyg_strbuf_printf(s, "%%s5: f32[%d,%d,2,9,9] = reshape(%%sb, %%wide) \"wide\"\n", b, all);
        cyg_strbuf_printf(s, "%%sm: f32[%d,%d,2,9,9] = add(%%s5, %%mask) \"mask\"\n", b, all);
        cyg_strbuf_printf(s, "%%s4: f32[%d,2,9,9] = reshape(%%sm, %%narrow) \"narrow\"\n", e);
        now = "s4";
    }
    cyg_strbuf_printf(s, "%%pr: f32[%d,2,9,9] = softmax(%%%s) {axis = -1} \"softmax\"\n", e, now);
    cyg_strbuf_printf(s, "%%o: f32[%d,2,9,4] = matmul(%%pr, %%v) \"weighted\"\n", e);
    cyg_strbuf_printf(s, "%%t: f32[%d,9,2,4] = transpose(%%o) {perm = [0, 2, 1, 3]} \"together\"\n",
                      e);
    cyg_strbuf_printf(s, "%%u: f32[%d,9,8] = reshape(%%t, %%rows) \"merge\"\n", e);
    cyg_strbuf_printf(s,
                      "%%w: f32[%d,9,8] = matmul(%%u, %%wp) \"proj\"\n%%z: f32[%d,9,8] = add(%%w, "
                      "%%bp) \"proj.bias\"\n",
                      e, e);
    cyg_strbuf_printf(s, "%%j: f32[%d,%d,%d,3,3,8] = reshape(%%z, %%join) \"unsplit\"\n", b,
                      windows, windows);
    cyg_strbuf_printf(
        s, "%%l: f32[%d,%d,3,%d,3,8] = transpose(%%j) {perm = [0, 1, 3, 2, 4, 5]} \"reverse\"\n", b,
        windows, windows);
    cyg_strbuf_printf(s, "%%aa: f32[%d,%d,%d,8] = reshape(%%l, %%map) \"map\"\n", b, p, p);
    now = "aa";
    if (shift != 0) {
        cyg_strbuf_printf(s, "%%q1: f32[%d,1,%d,8] = slice(%%aa, %%minus, %%big, %%one) \"q1\"\n",
                          b, p);
        cyg_strbuf_printf(s, "%%q2: f32[%d,%d,%d,8] = slice(%%aa, %%zero, %%minus, %%one) \"q2\"\n",
                          b, p - 1, p);
        cyg_strbuf_printf(s, "%%q3: f32[%d,%d,%d,8] = concat(%%q1, %%q2) {axis = 1} \"q3\"\n", b, p,
                          p);
        cyg_strbuf_printf(s, "%%q4: f32[%d,%d,1,8] = slice(%%q3, %%minus, %%big, %%two) \"q4\"\n",
                          b, p);
        cyg_strbuf_printf(s, "%%q5: f32[%d,%d,%d,8] = slice(%%q3, %%zero, %%minus, %%two) \"q5\"\n",
                          b, p, p - 1);
        cyg_strbuf_printf(s, "%%q6: f32[%d,%d,%d,8] = concat(%%q4, %%q5) {axis = 2} \"q6\"\n", b, p,
                          p);
        now = "q6";
    }
    cyg_strbuf_printf(s, "%%cut: f32[%d,%d,%d,8] = slice(%%%s, %%start, %%stop, %%axes) \"cut\"\n",
                      b, size, size, now);
    cyg_strbuf_printf(s, "%%y: f32[%d,%d,%d,8] = add(%%x, %%cut) \"sum\"\noutput %%y\n", b, size,
                      size);
}

static cyg_node *only(cyg_graph *g, cyg_op op)
{
    for (uint32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].op == op)
            return &g->nodes[i];
    return NULL;
}

static void check_block(int batch, int size, int padded, int shift, bool mask, int gathers,
                        int64_t steps, int64_t entries)
{
    cyg_strbuf text = {0};
    cyg_optimise_report report;
    window_block(&text, batch, size, padded, shift, mask);
    cyg_graph *g = optimised(text.data, &report);
    assert_int_equal(count(g, CYG_OP_attention), 1);
    assert_int_equal(count(g, CYG_OP_gather_rows), gathers);
    assert_int_equal(count(g, CYG_OP_transpose), 0);
    assert_int_equal(report.fused_steps, steps);
    const cyg_node *n = only(g, CYG_OP_attention);
    assert_int_equal(cyg_value_is_none(cyg_node_in(n, 5)) ? 0 : cyg_val(g, n->in[5])->dims[0],
                     entries);
    cyg_graph_destroy(g);
    cyg_strbuf_deinit(&text);
}

static void test_windows(void **state)
{
    (void)state;
    check_block(1, 6, 6, 0, false, 0, 4, 4); /* norm, qkv, attention, proj + residual */
    check_block(1, 6, 6, 1, true, 0, 4, 4);
}

static void test_windows_of_a_batch(void **state)
{
    (void)state;
    check_block(2, 6, 6, 0, false, 0, 4, 4);
    check_block(2, 6, 6, 1, true, 0, 4, 4);
    check_block(3, 3, 3, 0, false, 0, 4, 0); /* one window an image: rows stay where they are */
}

/* Padding is attended to: the padded rows stay explicit, in front of qkv and behind the projection.
 */
static void test_windows_that_do_not_divide(void **state)
{
    (void)state;
    check_block(1, 5, 6, 0, false, 2, 7, 0);
    check_block(2, 4, 6, 1, true, 2, 7, 0);
}

static void test_masks_are_shared(void **state)
{
    (void)state;
    cyg_strbuf text = {0};
    cyg_optimise_report report;
    window_block(&text, 2, 6, 6, 1, true);
    static cyg_ctx ctx;
    cyg_graph *g = parse(&ctx, text.data);
    /* Windows 0 and 2 get the same mask, window 1 none but zeros: three tables. */
    for (uint32_t v = 0; v < g->value_count; v++)
        if (strcmp(g->values[v].name, "mask") == 0) {
            float *m = cyg_arena_memdup(&g->arena, g->values[v].data, g->values[v].bytes);
            memcpy(m + 2 * 81, m, 81 * sizeof *m);
            memset(m + 81, 0, 81 * sizeof *m);
            g->values[v].data = m;
        }
    const cyg_optimise_options options = {.fuse = true, .verify_numerics = true};
    assert_int_equal(cyg_optimise(&ctx, g, &options, &report), CYG_OK);
    const cyg_node *n = only(g, CYG_OP_attention);
    assert_int_equal(cyg_val(g, n->in[3])->dims[0], 3);
    const int64_t *index = cyg_val(g, n->in[4])->data;
    assert_int_equal(cyg_value_elements(cyg_val(g, n->in[4])), 4);
    assert_true(index[0] == 0 && index[1] == 1 && index[2] == 0 && index[3] == 2);
    cyg_graph_destroy(g);
    cyg_strbuf_deinit(&text);
}

/* A text's attention on two samples, straight from the graph's input: causal by Where that keeps,
 * one token of padding by Where that hides, a bias between the two; what is hidden must weigh
 * nothing. */
static void test_where_masks(void **state)
{
    (void)state;
    cyg_optimise_report report;
    cyg_graph *g = optimised(
        "graph \"g\" opset 18\ninput %x: f32[2,4,24]\n"
        "const %split: s64[4] = [2, 4, 2, 4]\nconst %back: s64[3] = [2, 4, 8]\n"
        "const %k: f32[] = [0.5]\nconst %low: f32[] = [-inf]\nconst %deep: f32[] = [-65504]\n"
        "const %keep: bool[4,4] = [1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1]\n"
        "const %hide: bool[4] = [0, 0, 1, 0]\nconst %bias: f32[2,4,4] = #0 128\n"
        "const %sizes: s64[3] = [8, 8, 8]\n"
        "%q0: f32[2,4,8], %k0: f32[2,4,8], %v0: f32[2,4,8] = split(%x, %sizes) {axis = 2} \"s\"\n"
        "%q1: f32[2,4,2,4] = reshape(%q0, %split) \"q1\"\n"
        "%k1: f32[2,4,2,4] = reshape(%k0, %split) \"k1\"\n"
        "%v1: f32[2,4,2,4] = reshape(%v0, %split) \"v1\"\n"
        "%q: f32[2,2,4,4] = transpose(%q1) {perm = [0, 2, 1, 3]} \"q\"\n"
        "%kt: f32[2,2,4,4] = transpose(%k1) {perm = [0, 2, 3, 1]} \"kt\"\n"
        "%v: f32[2,2,4,4] = transpose(%v1) {perm = [0, 2, 1, 3]} \"v\"\n"
        "%s: f32[2,2,4,4] = matmul(%q, %kt) \"scores\"\n"
        "%a: f32[2,2,4,4] = where(%keep, %s, %deep) \"causal\"\n"
        "%b: f32[2,2,4,4] = mul(%a, %k) \"scale\"\n"
        "%c: f32[2,2,4,4] = add(%b, %bias) \"bias\"\n"
        "%d: f32[2,2,4,4] = where(%hide, %low, %c) \"padding\"\n"
        "%p: f32[2,2,4,4] = softmax(%d) {axis = -1} \"softmax\"\n"
        "%o: f32[2,2,4,4] = matmul(%p, %v) \"weighted\"\n"
        "%t: f32[2,4,2,4] = transpose(%o) {perm = [0, 2, 1, 3]} \"together\"\n"
        "%y: f32[2,4,8] = reshape(%t, %back) \"merge\"\noutput %y\n",
        &report);
    assert_int_equal(count(g, CYG_OP_attention), 1);
    assert_int_equal(count(g, CYG_OP_where), 0);
    assert_int_equal(report.fused_steps, 1);
    /* One table for both samples, -1e30 exactly where either mask hides. */
    const cyg_value *bias = cyg_val(g, only(g, CYG_OP_attention)->in[3]);
    assert_int_equal(cyg_value_elements(bias), 2 * 4 * 4);
    for (int i = 0; i < 32; i++) {
        const int row = i / 4 % 4, column = i % 4;
        assert_true((((const float *)bias->data)[i] == -1e30f) == (column > row || column == 2));
    }
    cyg_graph_destroy(g);
}

/* Masks made at run time in three spellings at once: a position bias that is computed (of all
 * heads), an addend for each sample, and on the outside a Where that hides whole rows too, whose
 * softmax is then a mean. Keys come from elsewhere and are more than the queries, values wider. */
static void test_run_time_masks(void **state)
{
    (void)state;
    cyg_optimise_report report;
    cyg_graph *g = optimised(
        "graph \"g\" opset 18\ninput %x: f32[2,4,8]\ninput %c: f32[2,5,20]\n"
        "input %far: f32[2,1,1,5]\ninput %b: f32[2,20]\n"
        "const %qs: s64[4] = [2, 4, 2, 4]\nconst %ks: s64[4] = [2, 5, 2, 4]\n"
        "const %vs: s64[4] = [2, 5, 2, 6]\nconst %bs: s64[4] = [1, 2, 4, 5]\n"
        "const %back: s64[3] = [2, 4, 12]\nconst %sizes: s64[2] = [8, 12]\n"
        "const %k: f32[] = [0.5]\nconst %three: f32[] = [3]\nconst %low: f32[] = [-1e9]\n"
        "const %limit: f32[4,5] = [0, 1, -1, 0, 5, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0, 1, -9, -9, 0, 1]\n"
        "%x0: f32[2,4,8] = relu(%x) \"relu\"\n"
        "%k0: f32[2,5,8], %v0: f32[2,5,12] = split(%c, %sizes) {axis = 2} \"kv\"\n"
        "%q1: f32[2,4,2,4] = reshape(%x0, %qs) \"q1\"\n"
        "%k1: f32[2,5,2,4] = reshape(%k0, %ks) \"k1\"\n"
        "%v1: f32[2,5,2,6] = reshape(%v0, %vs) \"v1\"\n"
        "%q: f32[2,2,4,4] = transpose(%q1) {perm = [0, 2, 1, 3]} \"q\"\n"
        "%kt: f32[2,2,4,5] = transpose(%k1) {perm = [0, 2, 3, 1]} \"kt\"\n"
        "%v: f32[2,2,5,6] = transpose(%v1) {perm = [0, 2, 1, 3]} \"v\"\n"
        "%s: f32[2,2,4,5] = matmul(%q, %kt) \"scores\"\n"
        "%m0: f32[2,2,4,5] = mul(%s, %k) \"scale\"\n"
        "%b1: f32[1,2,4,5] = reshape(%b, %bs) \"position\"\n"
        "%m1: f32[2,2,4,5] = add(%b1, %m0) \"bias\"\n"
        "%m2: f32[2,2,4,5] = add(%m1, %far) \"mask\"\n"
        "%h: bool[2,1,4,5] = less(%far, %limit) \"which\"\n"
        "%m3: f32[2,2,4,5] = where(%h, %low, %m2) \"padding\"\n"
        "%m4: f32[2,2,4,5] = mul(%m3, %three) \"sharpen\"\n"
        "%p: f32[2,2,4,5] = softmax(%m4) {axis = -1} \"softmax\"\n"
        "%o: f32[2,2,4,6] = matmul(%p, %v) \"weighted\"\n"
        "%t: f32[2,4,2,6] = transpose(%o) {perm = [0, 2, 1, 3]} \"together\"\n"
        "%y: f32[2,4,12] = reshape(%t, %back) \"merge\"\noutput %y\n",
        &report);
    const cyg_node *n = only(g, CYG_OP_attention);
    assert_int_equal(n->in_count, 9);
    assert_int_equal(cyg_node_int(n, CYG_ATTR_kv_tokens, 0), 5);
    assert_int_equal(cyg_node_int(n, CYG_ATTR_value_dim, 0), 6);
    assert_int_equal(count(g, CYG_OP_softmax) + count(g, CYG_OP_where), 0);
    cyg_graph_destroy(g);
}

static void test_nothing_is_fused_when_not_asked(void **state)
{
    (void)state;
    static cyg_ctx ctx;
    cyg_strbuf text = {0};
    cyg_optimise_report report;
    window_block(&text, 1, 6, 6, 1, true);
    cyg_graph *g = parse(&ctx, text.data);
    const cyg_optimise_options options = {.verify_numerics = true};
    assert_int_equal(cyg_optimise(&ctx, g, &options, &report), CYG_OK);
    for (uint32_t i = 0; i < g->node_count; i++)
        assert_false((cyg_op_schema_of(g->nodes[i].op)->flags & CYG_OPF_FUSED) != 0);
    cyg_graph_destroy(g);
    cyg_strbuf_deinit(&text);
}

/* The half of a GELU must not fold into the convolution behind it. */
static void test_formulas_come_first(void **state)
{
    (void)state;
    cyg_optimise_report report;
    cyg_graph *g =
        optimised("graph \"g\" opset 18\ninput %x: f32[1,2,3,3]\n"
                  "const %w: f32[2,2,1,1] = [1, 2, 3, 4]\nconst %r: f32[] = [1.4142135]\n"
                  "const %one: f32[] = [1]\nconst %half: f32[] = [0.5]\n"
                  "%a: f32[1,2,3,3] = conv(%x, %w) {kernel_shape = [1, 1]} \"first\"\n"
                  "%b: f32[1,2,3,3] = div(%a, %r) \"b\"\n%c: f32[1,2,3,3] = erf(%b) \"c\"\n"
                  "%d: f32[1,2,3,3] = add(%c, %one) \"d\"\n%e: f32[1,2,3,3] = mul(%a, %d) \"e\"\n"
                  "%f: f32[1,2,3,3] = mul(%e, %half) \"f\"\n"
                  "%y: f32[1,2,3,3] = conv(%f, %w) {kernel_shape = [1, 1]} \"second\"\noutput %y\n",
                  &report);
    bool found = false; /* it moves on into the convolution in front */
    for (uint32_t i = 0; i < g->node_count; i++)
        found = found || (g->nodes[i].op == CYG_OP_conv2d &&
                          cyg_node_int(&g->nodes[i], CYG_ATTR_act, 0) == CYG_ACT_GELU_ERF);
    assert_true(found);
    assert_int_equal(report.fused_steps, 3); /* two convolutions, and back to channels first */
    cyg_graph_destroy(g);
}

/* A graph that becomes ONNX again gets no Transposes around its convolutions. */
static void test_convolutions_stay_channels_first(void **state)
{
    (void)state;
    static cyg_ctx ctx;
    static const char text[] =
        "graph \"g\" opset 18\ninput %x: f32[1,2,3,3]\nconst %w: f32[2,2,1,1] = [1, 2, 3, 4]\n"
        "%a: f32[1,2,3,3] = conv(%x, %w) {kernel_shape = [1, 1]} \"first\"\n"
        "%b: f32[1,2,3,3] = relu(%a) \"relu\"\n"
        "%y: f32[1,2,3,3] = conv(%b, %w) {kernel_shape = [1, 1]} \"second\"\noutput %y\n";
    for (int first = 0; first < 2; first++) {
        cyg_optimise_report report;
        const cyg_optimise_options options = {.fuse = true, .channels_first = first == 1};
        cyg_graph *g = parse(&ctx, text);
        assert_int_equal(cyg_optimise(&ctx, g, &options, &report), CYG_OK);
        assert_int_equal(count(g, CYG_OP_conv), first == 1 ? 2 : 0);
        assert_int_equal(count(g, CYG_OP_conv2d), first == 1 ? 0 : 2);
        cyg_graph_destroy(g);
    }
}

/* Padding written apart, one-sided and two-sided, in front of everything that can take it. */
static void test_pads_go_where_they_are_used(void **state)
{
    (void)state;
    static const char text[] =
        "graph \"g\" opset 18\ninput %x: f32[1,3,9,8]\nconst %w: f32[4,3,3,3] = #0 432\n"
        "const %one: s64[8] = [0, 0, 0, 0, 0, 0, 1, 1]\n"
        "const %two: s64[8] = [0, 0, 1, 1, 0, 0, 1, 1]\nconst %low: f32[] = [-inf]\n"
        "%a: f32[1,3,10,9] = pad(%x, %one) \"pad1\"\n"
        "%b: f32[1,4,5,5] = conv(%a, %w) {kernel_shape = [3, 3], strides = [2, 2], "
        "pads = [1, 1, 0, 1]} \"conv\"\n"
        "%c: f32[1,4,5,5] = relu(%b) \"relu\"\n"
        "%d: f32[1,4,7,7] = pad(%c, %two) \"pad2\"\n"
        "%e: f32[1,4,5,5] = max_pool(%d) {kernel_shape = [3, 3]} \"max\"\n"
        "%f: f32[1,4,6,6] = pad(%e, %one) \"pad3\"\n"
        "%h: f32[1,4,5,5] = average_pool(%f) {kernel_shape = [2, 2]} \"mean\"\n"
        "%i: f32[1,4,6,6] = pad(%h, %one, %low) \"pad4\"\n"
        "%y: f32[1,4,3,3] = max_pool(%i) {kernel_shape = [2, 2], strides = [2, 2]} \"last\"\n"
        "output %y\n";
    cyg_optimise_report report;
    cyg_graph *g = optimised(text, &report);
    assert_int_equal(count(g, CYG_OP_pad), 0);
    cyg_graph_destroy(g);
}

/* Same input, same text out; and what is optimal stays as it is. */
static void test_deterministic_and_stable(void **state)
{
    (void)state;
    static cyg_ctx ctx;
    cyg_strbuf text = {0}, printed[3] = {{0}, {0}, {0}};
    cyg_optimise_report report;
    window_block(&text, 2, 5, 6, 1, true);
    const cyg_optimise_options options = {.fuse = true};
    for (int i = 0; i < 3; i++) {
        cyg_graph *g = parse(&ctx, text.data);
        for (int run = 0; run < (i == 2 ? 2 : 1); run++)
            assert_int_equal(cyg_optimise(&ctx, g, &options, &report), CYG_OK);
        cyg_graph_print(g, true, &printed[i]);
        cyg_graph_destroy(g);
    }
    assert_string_equal(printed[0].data, printed[1].data);
    assert_int_equal(report.nodes_before, report.nodes_after);
    for (int i = 0; i < 3; i++)
        cyg_strbuf_deinit(&printed[i]);
    cyg_strbuf_deinit(&text);
}

static void test_dump_after(void **state)
{
    static cyg_ctx ctx;
    cyg_strbuf text = {0};
    cyg_optimise_report report;
    cyg_map map;
    window_block(&text, 1, 6, 6, 0, false);
    cyg_graph *g = parse(&ctx, text.data);
    const char *path = scratch_path(state, "dump.txt");
    const cyg_optimise_options options = {.fuse = true, .dump_after = "linear", .dump_path = path};
    assert_int_equal(cyg_optimise(&ctx, g, &options, &report), CYG_OK);
    cyg_graph_destroy(g);
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    assert_int_equal(cyg_graph_parse(&ctx, path, (const char *)map.data, map.size, &g), CYG_OK);
    assert_int_equal(count(g, CYG_OP_linear), 2);
    assert_int_equal(count(g, CYG_OP_attention), 0);
    cyg_graph_destroy(g);
    cyg_map_close(&map);
    cyg_strbuf_deinit(&text);
}

static void test_unknown_dump_is_an_error(void **state)
{
    (void)state;
    static cyg_ctx ctx;
    cyg_optimise_report report;
    cyg_graph *g = parse(
        &ctx, "graph \"g\" opset 18\ninput %x: f32[2]\n%y: f32[2] = relu(%x) \"r\"\noutput %y\n");
    const cyg_optimise_options options = {.dump_after = "atention", .dump_path = "unused"};
    assert_int_equal(cyg_optimise(&ctx, g, &options, &report), CYG_E_USAGE);
    assert_true(ctx_says(&ctx, "attention"));
    cyg_graph_destroy(g);
}

static void test_dump_after_a_pass_that_does_not_run_is_an_error(void **state)
{
    (void)state;
    static cyg_ctx ctx;
    cyg_optimise_report report;
    cyg_graph *g = parse(
        &ctx, "graph \"g\" opset 18\ninput %x: f32[2]\n%y: f32[2] = relu(%x) \"r\"\noutput %y\n");
    cyg_optimise_options options = {
        .fuse = true, .channels_first = true, .dump_after = "channels_last", .dump_path = "unused"};
    assert_int_equal(cyg_optimise(&ctx, g, &options, &report), CYG_E_USAGE);
    assert_true(ctx_says(&ctx, "channels_last does not run"));
    options.channels_first = false;
    options.dump_after = "branches";
    assert_int_equal(cyg_optimise(&ctx, g, &options, &report), CYG_E_USAGE);
    assert_true(ctx_says(&ctx, "branches does not run"));
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_windows_of_a_batch),
        cmocka_unit_test(test_windows_that_do_not_divide),
        cmocka_unit_test(test_masks_are_shared),
        cmocka_unit_test(test_where_masks),
        cmocka_unit_test(test_run_time_masks),
        cmocka_unit_test(test_nothing_is_fused_when_not_asked),
        cmocka_unit_test(test_formulas_come_first),
        cmocka_unit_test(test_convolutions_stay_channels_first),
        cmocka_unit_test(test_pads_go_where_they_are_used),
        cmocka_unit_test(test_deterministic_and_stable),
        cmocka_unit_test_setup_teardown(test_dump_after, setup_scratch, teardown_scratch),
        cmocka_unit_test(test_unknown_dump_is_an_error),
        cmocka_unit_test(test_dump_after_a_pass_that_does_not_run_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

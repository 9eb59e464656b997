/* Second-order rounding against a witness: optimal brain quantisation as its paper writes it, with
 * an inverse Hessian that loses a row and a column for each tap that is done, in binary64. That is
 * another formula for the same choice; where binary32 falls to the other side of a tie the two may
 * part, so most integers must be equal and the objective must be the same. */
#include "tiny_model.h"

#include "quant/correct.h"
#include "quant/params.h"
#include "quant/round.h"

enum { SAMPLES = 4, ROWS = 64, TRAIN = 3 * ROWS, TAPS = 72, OUTPUTS = 37 };

typedef struct inputs {
    float x[SAMPLES][ROWS * TAPS], unseen[ROWS * TAPS];
} inputs;

static cyg_status get(cyg_ctx *ctx, void *self, size_t i, cyg_sample_tensor *out)
{
    (void)ctx;
    out[0] = (cyg_sample_tensor){((inputs *)self)->x[i], ROWS * TAPS};
    return CYG_OK;
}

/* Taps follow each other: what one weight does wrong its neighbour can mend. Off centre, so that
 * means matter. */
static void fill(inputs *in)
{
    rng r = {31};
    for (int s = 0; s <= SAMPLES; s++)
        for (int m = 0; m < ROWS; m++) {
            float walk = 0.0f, *row = (s < SAMPLES ? in->x[s] : in->unseen) + m * TAPS;
            for (int k = 0; k < TAPS; k++) {
                walk = 0.9f * walk + rng_unit(&r);
                row[k] = walk * (1.0f + (float)(k % 5)) + 0.5f;
            }
        }
}

static cyg_graph *layer(void)
{
    cyg_graph *g = parse_graph("graph \"layer\" opset 18\n"
                               "input %x: f32[64,72]\n"
                               "const %w: f32[37,72] = #0000000000000000 10656\n"
                               "%y: f32[64,37] = linear(%x, %w) \"layer\"\n"
                               "output %y\n");
    fill_weights(g, 11);
    return g;
}

/* ---- the witness ---- */

typedef struct witness {
    double rows[TRAIN][TAPS]; /* as stored, around their mean */
    double hessian[TAPS][TAPS], inverse[TAPS][TAPS];
    int order[TAPS];
} witness;

static void read_rows(witness *w, const inputs *in, const cyg_quant *x, bool centred)
{
    for (int k = 0; k < TAPS; k++) {
        double mean = 0.0;
        for (int m = 0; m < TRAIN; m++) {
            w->rows[m][k] = cyg_quant_stored(x, in->x[m / ROWS][m % ROWS * TAPS + k]);
            mean += w->rows[m][k] / TRAIN;
        }
        for (int m = 0; m < TRAIN && centred; m++)
            w->rows[m][k] -= mean;
    }
}

static void invert(double a[TAPS][TAPS], double out[TAPS][TAPS])
{
    static double work[TAPS][2 * TAPS];
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < 2 * TAPS; j++)
            work[i][j] = j < TAPS ? a[i][j] : (double)(j - TAPS == i);
    for (int p = 0; p < TAPS; p++) {
        for (int j = 2 * TAPS - 1; j >= p; j--)
            work[p][j] /= work[p][p];
        for (int i = 0; i < TAPS; i++)
            for (int j = 2 * TAPS - 1; i != p && j >= p; j--)
                work[i][j] -= work[i][p] * work[p][j];
    }
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < TAPS; j++)
            out[i][j] = work[i][TAPS + j];
}

static void prepare(witness *w)
{
    double trace = 0.0;
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < TAPS; j++) {
            w->hessian[i][j] = 0.0;
            for (int m = 0; m < TRAIN; m++)
                w->hessian[i][j] += w->rows[m][i] * w->rows[m][j];
        }
    for (int k = 0; k < TAPS; k++)
        trace += w->hessian[k][k];
    for (int k = 0; k < TAPS; k++) { /* most energy first: insertion sort */
        int at = k;
        for (; at > 0 && w->hessian[w->order[at - 1]][w->order[at - 1]] < w->hessian[k][k]; at--)
            w->order[at] = w->order[at - 1];
        w->order[at] = k;
    }
    for (int k = 0; k < TAPS; k++)
        w->hessian[k][k] += 0.01 * trace / TAPS;
    invert(w->hessian, w->inverse);
}

/* out[k] = integer of output n's tap k; step[k] and most are its grid. */
static void round_one(const witness *w, const float *weights, const double *step, double most,
                      double *out)
{
    static double inverse[TAPS][TAPS];
    double left[TAPS];
    memcpy(inverse, w->inverse, sizeof inverse);
    for (int k = 0; k < TAPS; k++)
        left[k] = (double)weights[k];
    for (int i = 0; i < TAPS; i++) {
        const int p = w->order[i];
        double q = nearbyint(left[p] / step[p]);
        q = q < -most ? -most : q > most ? most : q;
        out[p] = q;
        const double error = (left[p] - q * step[p]) / inverse[p][p], pivot = inverse[p][p];
        for (int k = 0; k < TAPS; k++)
            left[k] -= error * inverse[k][p];
        static double column[TAPS];
        for (int k = 0; k < TAPS; k++)
            column[k] = inverse[k][p];
        for (int a = 0; a < TAPS; a++)
            for (int b = 0; b < TAPS; b++)
                inverse[a][b] -= column[a] * column[b] / pivot;
    }
}

static double objective(const witness *w, const float *weights, const double *rounded)
{
    double sum = 0.0;
    for (int m = 0; m < TRAIN; m++) {
        double off = 0.0;
        for (int k = 0; k < TAPS; k++)
            off += w->rows[m][k] * ((double)weights[k] - rounded[k]);
        sum += off * off;
    }
    return sum;
}

/* ---- tests ---- */

static const int8_t *rounded_weights(const cyg_graph *g, const float **scales)
{
    const cyg_value *v = cyg_val(g, node_named(g, "layer")->in[1]);
    assert_int_equal(v->type, CYG_TYPE_S8);
    *scales = v->quant.scales;
    return v->data;
}

/* s4: asked for this layer by name. */
static cyg_graph *quantise_as(cyg_ctx *ctx, inputs *in, cyg_quant_options *options, bool s4,
                              cyg_quant_report *report)
{
    cyg_graph *g = layer();
    const cyg_sample_source source = {in, SAMPLES, 1, get, tiny_name};
    cyg_asked *asked = calloc(g->node_count, sizeof *asked);
    assert_non_null(asked);
    asked[0] = (cyg_asked){.data = CYG_TYPE_U8, .s4 = s4}; /* the only layer would get 16 bits */
    options->transformer_level = 1;
    options->asked = asked;
    OK(ctx, cyg_quantise(ctx, g, &source, options, report));
    free(asked);
    return g;
}

static cyg_graph *quantise(cyg_ctx *ctx, inputs *in, bool round, bool centred,
                           cyg_quant_report *report)
{
    cyg_quant_options options = {.round_weights = round, .correct_bias = centred};
    return quantise_as(ctx, in, &options, false, report);
}

static void against_witness(bool centred)
{
    static cyg_ctx ctx;
    static inputs in;
    static witness w;
    cyg_quant_report report;
    const float *scales, *plain_scales;
    cyg_ctx_init(&ctx);
    fill(&in);
    cyg_graph *original = layer(), *g = quantise(&ctx, &in, true, centred, &report),
              *plain = quantise(&ctx, &in, false, centred, &report);
    const float *weights = value_named(original, "w")->data;
    const int8_t *found = rounded_weights(g, &scales),
                 *nearest = rounded_weights(plain, &plain_scales);
    read_rows(&w, &in, &cyg_val(g, node_named(g, "layer")->in[0])->quant, centred);
    prepare(&w);
    int equal = 0;
    double mine = 0.0, theirs = 0.0, before = 0.0;
    for (int n = 0; n < OUTPUTS; n++) {
        double step[TAPS], best[TAPS], one[TAPS], two[TAPS], three[TAPS];
        for (int k = 0; k < TAPS; k++)
            step[k] = (double)scales[n];
        assert_true(scales[n] == plain_scales[n]);
        round_one(&w, weights + n * TAPS, step, 127.0, best);
        for (int k = 0; k < TAPS; k++) {
            one[k] = step[k] * found[n * TAPS + k];
            two[k] = step[k] * best[k];
            three[k] = step[k] * nearest[n * TAPS + k];
            equal += (double)found[n * TAPS + k] == best[k];
        }
        mine += objective(&w, weights + n * TAPS, one);
        theirs += objective(&w, weights + n * TAPS, two);
        before += objective(&w, weights + n * TAPS, three);
    }
    if (equal < OUTPUTS * TAPS * 98 / 100)
        fail_msg("%d of %d integers are the witness's", equal, OUTPUTS * TAPS);
    if (!(fabs(mine / theirs - 1.0) < 0.01))
        fail_msg("objective %g, the witness has %g", mine, theirs);
    if (!(mine < 0.5 * before))
        fail_msg("objective %g, to the nearest it is %g", mine, before);
    cyg_graph_destroy(original);
    cyg_graph_destroy(g);
    cyg_graph_destroy(plain);
}

static void test_witness(void **unused)
{
    (void)unused;
    against_witness(false);
    against_witness(true);
}

static void test_gain(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static inputs in;
    cyg_quant_report report;
    cyg_ctx_init(&ctx);
    fill(&in);
    cyg_graph *g = quantise(&ctx, &in, true, false, &report);
    assert_int_equal(report.gain_count, 1);
    assert_string_equal(report.gains[0].kind, "rounding");
    assert_string_equal(report.gains[0].node, "layer");
    if (!(cyg_quant_gain_db(&report.gains[0]) > 0.1)) /* errors of inputs stay */
        fail_msg("gain %g dB", cyg_quant_gain_db(&report.gains[0]));
    cyg_graph_destroy(g);
}

/* Every group of 16 taps of every output is a multiplier of 1 to 15 times numbers of -8..7. */
static bool is_s4(const int8_t *w)
{
    for (int n = 0; n < OUTPUTS; n++)
        for (int k = 0; k < TAPS; k += 16) {
            bool fits = false;
            for (int m = 1; m <= 15 && !fits; m++) {
                fits = true;
                for (int i = k; i < k + 16 && i < TAPS; i++)
                    fits = fits && w[n * TAPS + i] % m == 0 && w[n * TAPS + i] / m >= -8 &&
                           w[n * TAPS + i] / m <= 7;
            }
            if (!fits)
                return false;
        }
    return true;
}

static void test_s4(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static inputs in;
    static witness w;
    double error[2];
    const float *scales;
    cyg_quant_report report;
    cyg_ctx_init(&ctx);
    fill(&in);
    cyg_graph *original = layer();
    const float *weights = value_named(original, "w")->data;
    for (int round = 0; round < 2; round++) {
        cyg_quant_options options = {.round_weights = round == 1};
        cyg_graph *g = quantise_as(&ctx, &in, &options, true, &report);
        const int8_t *found = rounded_weights(g, &scales);
        assert_true(is_s4(found));
        read_rows(&w, &in, &cyg_val(g, node_named(g, "layer")->in[0])->quant, false);
        error[round] = 0.0;
        for (int n = 0; n < OUTPUTS; n++) {
            double one[TAPS];
            for (int k = 0; k < TAPS; k++)
                one[k] = (double)scales[n] * found[n * TAPS + k];
            error[round] += objective(&w, weights + n * TAPS, one);
        }
        assert_true(report.weight_bytes_quantised < OUTPUTS * (TAPS / 2 + 3 + 4));
        cyg_graph_destroy(g);
    }
    if (!(error[1] < 0.4 * error[0]))
        fail_msg("objective %g, to the nearest it is %g", error[1], error[0]);
    /* The option alone leaves entrance and classifier be, and this layer is both. */
    cyg_quant_options option = {.s4 = true};
    cyg_graph *g = quantise_as(&ctx, &in, &option, false, &report);
    assert_false(is_s4(rounded_weights(g, &scales)));
    cyg_graph_destroy(g);
    cyg_graph_destroy(original);
}

/* Rows of which one half says nothing about the other: rounding must not be kept. */
static void test_judged(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static inputs in;
    cyg_quant_report report;
    rng r = {5};
    cyg_ctx_init(&ctx);
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < ROWS * TAPS; i++) /* taps move together, but not in the last sample */
            in.x[s][i] = s < 3 ? (float)(i / TAPS % 7) + 0.01f * rng_unit(&r) : 6.0f * rng_unit(&r);
    cyg_graph *g = quantise(&ctx, &in, true, false, &report);
    assert_int_equal(report.gain_count, 0);
    cyg_graph_destroy(g);
}

static cyg_graph *wide_layer(cyg_ctx *ctx, inputs *in, bool round, cyg_quant_report *report)
{
    cyg_graph *g = layer();
    const cyg_sample_source source = {in, SAMPLES, 1, get, tiny_name};
    cyg_asked *asked = calloc(g->node_count, sizeof *asked);
    assert_non_null(asked);
    asked[0].data = CYG_TYPE_S16;
    const cyg_quant_options options = {
        .transformer_level = 1, .round_weights = round, .asked = asked};
    OK(ctx, cyg_quantise(ctx, g, &source, &options, report));
    free(asked);
    return g;
}

/* Output error of a layer with 16-bit inputs on rows that it has not seen, of all outputs. */
static double unseen_error(cyg_ctx *ctx, inputs *in, bool round, cyg_quant_report *report)
{
    const float *scales;
    double sum = 0.0;
    cyg_graph *g = wide_layer(ctx, in, round, report), *original = layer();
    const float *weights = value_named(original, "w")->data;
    const int8_t *found = rounded_weights(g, &scales);
    for (int m = 0; m < ROWS; m++)
        for (int n = 0; n < OUTPUTS; n++) {
            double off = 0.0;
            for (int k = 0; k < TAPS; k++)
                off += (double)in->unseen[m * TAPS + k] *
                       ((double)weights[n * TAPS + k] - (double)scales[n] * found[n * TAPS + k]);
            sum += off * off;
        }
    cyg_graph_destroy(original);
    cyg_graph_destroy(g);
    return sum;
}

/* Many rows that say little: three pictures of eight rows each, eight times over. What fits them
 * best is worse than rounding to the nearest on another picture; damped it is better. */
static void test_damped(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static inputs in;
    cyg_quant_report report;
    rng r = {7};
    cyg_ctx_init(&ctx);
    fill(&in);
    for (int s = 0; s <= SAMPLES; s++)
        for (int i = 0; i < ROWS * TAPS; i++)
            (s < SAMPLES ? in.x[s] : in.unseen)[i] += 4.0f * rng_unit(&r);
    for (int s = 0; s < SAMPLES - 1; s++)
        for (int i = 8 * TAPS; i < ROWS * TAPS; i++)
            in.x[s][i] = in.x[s][i % (8 * TAPS)];
    const double nearest = unseen_error(&ctx, &in, false, &report);
    assert_int_equal(report.gain_count, 0);
    const double rounded = unseen_error(&ctx, &in, true, &report);
    assert_int_equal(report.gain_count, 1);
    if (!(rounded < 0.9 * nearest))
        fail_msg("error %g, to the nearest it is %g", rounded, nearest);
}

/* The short cut says yes only where the look at each weight does, and it does say yes. */
static void test_sums_always_fit(void **unused)
{
    (void)unused;
    float x_scale = 0.02f;
    const cyg_quant wide = {.type = CYG_TYPE_S16, .count = 1, .scales = &x_scale},
                    narrow = {
                        .type = CYG_TYPE_U8, .count = 1, .scales = &x_scale, .zero_point = 131};
    rng r = {5};
    int64_t yes = 0;
    for (int i = 0; i < 2000; i++) {
        const cyg_quant *x = i % 2 ? &wide : &narrow;
        const int64_t taps = 1 + (int64_t)(fabsf(rng_unit(&r)) * 70000.0f);
        const double most = i % 2 ? 32640.0 : 128.0, scale = 1e-3,
                     bias = (double)rng_unit(&r) * (i % 7 == 0 ? 4e4 : 10.0);
        if (!cyg_quant_sums_always_fit(x, taps, most, bias, scale))
            continue;
        yes++;
        for (int share = -4; share <= 4; share++) { /* the worst: all weights at the end */
            const double sum = most * (double)taps * share / 4.0;
            assert_true(cyg_quant_sum_fits(x, most * (double)taps, sum, bias, scale));
        }
    }
    assert_true(yes > 500);
    assert_true(cyg_quant_sums_always_fit(&narrow, 3072, 128.0, 0.0, 1e-3));
    assert_false(cyg_quant_sums_always_fit(&narrow, 66000, 128.0, 0.0, 1e-3));
    assert_false(cyg_quant_sums_always_fit(&narrow, 64, 128.0, 1e6, 1e-3));
}

/* Behind 16 bits every output has the better of two steps. */
static void test_refined(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static inputs in;
    cyg_quant_report report;
    const float *scales, *plain_scales;
    static const float shares[] = {1.0f, 1.03f};
    int used[CYG_COUNT(shares)] = {0};
    cyg_ctx_init(&ctx);
    fill(&in);
    cyg_graph *g = wide_layer(&ctx, &in, true, &report),
              *plain = wide_layer(&ctx, &in, false, &report);
    rounded_weights(g, &scales);
    rounded_weights(plain, &plain_scales);
    for (int n = 0; n < OUTPUTS; n++)
        for (size_t i = 0; i < CYG_COUNT(shares); i++)
            used[i] += scales[n] == shares[i] * plain_scales[n];
    assert_int_equal(used[0] + used[1], OUTPUTS);
    assert_true(used[0] < OUTPUTS && used[0] > 0);
    cyg_graph_destroy(g);
    cyg_graph_destroy(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_witness), cmocka_unit_test(test_gain),
        cmocka_unit_test(test_s4),      cmocka_unit_test(test_judged),
        cmocka_unit_test(test_damped),  cmocka_unit_test(test_sums_always_fit),
        cmocka_unit_test(test_refined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Histograms and the calibration methods: counts that depend on nothing but the elements, ranges
 * against an exhaustive search over the elements themselves. */
#include "tiny_model.h"

#include "quant/histogram.h"

enum { COUNT = 100000 };
static float data[COUNT];

/* The sum of twelve uniform numbers is close to normal, with variance 4 times that of one. */
static void fill_normal(float scale)
{
    rng r = {17};
    for (int i = 0; i < COUNT; i++) {
        float sum = 0.0f;
        for (int k = 0; k < 12; k++)
            sum += rng_unit(&r);
        data[i] = 0.5f * scale * sum;
    }
}

static cyg_span extremes(void)
{
    cyg_span all = {0.0, 0.0};
    for (int i = 0; i < COUNT; i++) {
        all.lo = (double)data[i] < all.lo ? (double)data[i] : all.lo;
        all.hi = (double)data[i] > all.hi ? (double)data[i] : all.hi;
    }
    return all;
}

static double reach(const float *x, int64_t count)
{
    double most = 0.0;
    for (int64_t i = 0; i < count; i++)
        most = fabs((double)x[i]) > most ? fabs((double)x[i]) : most;
    return most;
}

/* Added in pieces of `piece`, forwards or backwards, with room made piece by piece. */
static cyg_histogram collect(cyg_arena *arena, int64_t piece, bool backwards)
{
    cyg_histogram h;
    assert_true(cyg_histogram_init(&h, arena));
    const int64_t pieces = (COUNT + piece - 1) / piece;
    for (int64_t i = 0; i < pieces; i++) {
        const int64_t at = (backwards ? pieces - 1 - i : i) * piece,
                      count = COUNT - at < piece ? COUNT - at : piece;
        cyg_histogram_widen(&h, reach(data + at, count));
        cyg_histogram_add(&h, data + at, 1, count, count);
    }
    return h;
}

static void assert_same(const cyg_histogram *a, const cyg_histogram *b)
{
    assert_int_equal(a->exponent, b->exponent);
    assert_int_equal(a->zeros, b->zeros);
    assert_int_equal(a->others, b->others);
    assert_memory_equal(a->bins, b->bins, CYG_HISTOGRAM_BINS * sizeof *a->bins);
}

static void test_order(void **unused)
{
    (void)unused;
    cyg_arena arena;
    cyg_arena_init(&arena);
    fill_normal(1.0f);
    for (int i = 0; i < COUNT; i++) /* small ones first: the width doubles many times */
        data[i] *= i < 1000 ? 1e-6f : i < 50000 ? 1e-2f : 1.0f;
    for (int i = 0; i < COUNT; i += 7)
        data[i] = 0.0f;
    data[COUNT - 1] = -4096.0f; /* a power of two: the edge of the last bin */
    data[COUNT - 2] = 4095.9998f;
    const cyg_histogram whole = collect(&arena, COUNT, false);
    const cyg_histogram forwards = collect(&arena, 97, false), back = collect(&arena, 97, true);
    assert_same(&forwards, &whole);
    assert_same(&back, &whole);
    assert_int_equal(whole.zeros, (COUNT + 6) / 7);
    assert_int_equal(whole.zeros + whole.others, COUNT);
    uint64_t in_bins = 0;
    for (int b = 0; b < CYG_HISTOGRAM_BINS; b++)
        in_bins += whole.bins[b];
    assert_int_equal(in_bins, whole.others);

    /* Two halves, one of them narrow, make the whole. */
    cyg_histogram a, b;
    assert_true(cyg_histogram_init(&a, &arena) && cyg_histogram_init(&b, &arena));
    cyg_histogram_widen(&a, reach(data, 50000));
    cyg_histogram_add(&a, data, 1, 50000, 50000);
    cyg_histogram_widen(&b, reach(data + 50000, 50000));
    cyg_histogram_add(&b, data + 50000, 1, 50000, 50000);
    cyg_histogram_take(&a, &b);
    assert_same(&a, &whole);
    assert_int_equal(b.others + b.zeros, 0);
    cyg_arena_deinit(&arena);
}

static void test_percentile(void **unused)
{
    (void)unused;
    cyg_arena arena;
    cyg_arena_init(&arena);
    fill_normal(1.0f);
    for (int outliers = 5; outliers <= 15; outliers += 10) { /* of 100,000: 10 may be left out */
        for (int i = 0; i < outliers; i++)
            data[i * 1000] = 50.0f + (float)i;
        const cyg_histogram h = collect(&arena, COUNT, false);
        const cyg_span all = extremes();
        const cyg_span found = cyg_histogram_range(&h, CYG_RANGE_PERCENTILE, all, false);
        assert_true(outliers == 5 ? found.hi < 6.0 : found.hi > 50.0);
        assert_true(found.lo > -6.0 && found.lo < -2.5);
        const cyg_span even = cyg_histogram_range(&h, CYG_RANGE_PERCENTILE, all, true);
        assert_true(even.hi == -even.lo && even.hi >= found.hi);
    }
    cyg_arena_deinit(&arena);
}

/* True squared error of all elements in 256 steps of a range. */
static double squared_error(cyg_span range)
{
    const double step = (range.hi - range.lo) / 255.0;
    double sum = 0.0;
    for (int i = 0; i < COUNT; i++) {
        const double x = (double)data[i], in = x < range.lo   ? range.lo
                                               : x > range.hi ? range.hi
                                                              : x;
        const double off = x - (range.lo + step * rint((in - range.lo) / step));
        sum += off * off;
    }
    return sum;
}

static void test_mse(void **unused)
{
    (void)unused;
    cyg_arena arena;
    cyg_arena_init(&arena);
    fill_normal(1.0f);
    data[1000] = 9.0f;
    const cyg_histogram h = collect(&arena, COUNT, false);
    const cyg_span all = extremes(), found = cyg_histogram_range(&h, CYG_RANGE_MSE, all, false);
    double least = squared_error(all);
    const double kept = squared_error(found);
    assert_true(kept < 0.95 * least);
    for (int i = 1; i <= 40; i++)
        for (int k = 1; k <= 40; k++) {
            const double now = squared_error((cyg_span){all.lo * i / 40, all.hi * k / 40});
            least = now < least ? now : least;
        }
    if (!(kept < 1.02 * least))
        fail_msg("squared error %.4f, possible %.4f", kept, least);
    cyg_arena_deinit(&arena);
}

static void test_kl(void **unused)
{
    (void)unused;
    cyg_arena arena;
    cyg_arena_init(&arena);
    rng r = {23};
    for (int i = 0; i < COUNT; i++)
        data[i] = rng_unit(&r);
    cyg_histogram h = collect(&arena, COUNT, false);
    cyg_span all = extremes(), found = cyg_histogram_range(&h, CYG_RANGE_KL, all, false);
    assert_true(found.hi > 0.9 && found.lo < -0.9); /* nothing of it is rare */
    fill_normal(1.0f);
    for (int i = 0; i < 20; i++)
        data[i * 1000] = 100.0f;
    h = collect(&arena, COUNT, false);
    all = extremes();
    found = cyg_histogram_range(&h, CYG_RANGE_KL, all, false);
    assert_true(found.hi < 50.0);
    cyg_arena_deinit(&arena);
}

/* A value that is one number, or nothing at all. */
static void test_degenerate(void **unused)
{
    (void)unused;
    cyg_arena arena;
    cyg_arena_init(&arena);
    for (cyg_range_method m = CYG_RANGE_MINMAX; m <= CYG_RANGE_KL; m++) {
        const float values[] = {0.0f, 3.0f, -3.0f, 1e-40f, 3e38f};
        for (size_t k = 0; k < CYG_COUNT(values); k++) {
            for (int i = 0; i < COUNT; i++)
                data[i] = values[k];
            const cyg_histogram h = collect(&arena, 1000, false);
            const cyg_span all = extremes(), found = cyg_histogram_range(&h, m, all, false);
            assert_true(found.lo >= all.lo && found.hi <= all.hi);
            assert_true(found.hi - found.lo >= 0.9 * (all.hi - all.lo));
        }
    }
    cyg_arena_deinit(&arena);
}

static cyg_graph *by_method(cyg_range_method method, bool search)
{
    static cyg_ctx ctx;
    cyg_quant_options options = tiny_options(true);
    cyg_quant_report report;
    cyg_ctx_init(&ctx);
    options.method = method;
    options.search_ranges = search;
    return tiny_quantised_as(&ctx, &options, &report);
}

/* In a model: each method narrows 8-bit values, heads on their own, and leaves 16-bit ones alone.
 */
static void test_model(void **unused)
{
    (void)unused;
    cyg_graph *plain = NULL;
    for (cyg_range_method m = CYG_RANGE_MINMAX; m <= CYG_RANGE_KL; m++) {
        cyg_graph *g = by_method(m, false);
        if (m == CYG_RANGE_MINMAX) {
            plain = g;
            continue;
        }
        const cyg_quant *heads = &value_named(g, "qkv")->quant,
                        *were = &value_named(plain, "qkv")->quant;
        for (uint32_t c = 0; c < heads->count; c++)
            assert_true(heads->scales[c] <= were->scales[c] &&
                        heads->scales[c] > 0.3f * were->scales[c]);
        assert_true(value_named(g, "h")->quant.scales[0] <=
                    value_named(plain, "h")->quant.scales[0]);
        assert_true(value_named(g, "t")->quant.scales[0] ==
                    value_named(plain, "t")->quant.scales[0]);
        cyg_graph_destroy(g);
    }
    cyg_graph_destroy(plain);
}

/* A method's clip that hardly helps on the samples leaves no trace behind a search. */
static void test_searched(void **unused)
{
    (void)unused;
    cyg_graph *plain = NULL;
    for (cyg_range_method m = CYG_RANGE_MINMAX; m <= CYG_RANGE_KL; m++) {
        cyg_graph *g = by_method(m, true);
        if (m == CYG_RANGE_MINMAX) {
            plain = g;
            continue;
        }
        const char *const names[] = {"qkv", "h"};
        for (size_t i = 0; i < CYG_COUNT(names); i++) {
            const cyg_quant *q = &value_named(g, names[i])->quant,
                            *were = &value_named(plain, names[i])->quant;
            assert_int_equal(q->count, were->count);
            assert_memory_equal(q->scales, were->scales, q->count * sizeof *q->scales);
        }
        cyg_graph_destroy(g);
    }
    cyg_graph_destroy(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),      cmocka_unit_test(test_percentile),
        cmocka_unit_test(test_mse),        cmocka_unit_test(test_kl),
        cmocka_unit_test(test_degenerate), cmocka_unit_test(test_model),
        cmocka_unit_test(test_searched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

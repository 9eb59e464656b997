/* The precision analysis on the tiny transformer: its figures against sums written down here from
 * runs of the two interpreters, and whether a fault that was put in is named. */
#include "../quant/tiny_runs.h"

#include "precision/precision.h"

typedef struct run {
    cyg_ctx ctx;
    cyg_arena arena;
    tiny_samples samples;
    cyg_quant_report report;
    cyg_graph *g;
    cyg_program program;
    cyg_precision result;
} run;

static cyg_status get(cyg_ctx *ctx, void *self, size_t i, cyg_kbuf *floats, const cyg_kbuf *fed)
{
    run *r = self;
    (void)ctx;
    floats[0] = (cyg_kbuf){
        .data = r->samples.inputs[i], .type = CYG_TYPE_F32, .rank = 4, .dims = {1, 3, 8, 8}};
    if (fed[0].type == CYG_TYPE_U8)
        memcpy(fed[0].data, r->samples.pixels[i], TINY_PIXELS);
    else
        memcpy(fed[0].data, r->samples.inputs[i], sizeof r->samples.inputs[i]);
    return CYG_OK;
}

typedef void (*meddle)(cyg_graph *g);

static void begin(run *r, cyg_quant_options options, meddle before, meddle after)
{
    memset(r, 0, sizeof *r);
    cyg_ctx_init(&r->ctx);
    cyg_arena_init(&r->arena);
    tiny_samples_init(&r->samples);
    r->g = tiny_graph();
    if (before != NULL)
        before(r->g);
    options.keep_reference = true;
    OK(&r->ctx, cyg_quantise(&r->ctx, r->g, &r->samples.source, &options, &r->report));
    assert_non_null(r->report.reference);
    if (after != NULL)
        after(r->g);
    OK(&r->ctx, cyg_lower_graph(&r->ctx, r->g, &r->arena, &r->program));
}

static void analyse(run *r, bool use_ref)
{
    const cyg_precision_source source = {r, TINY_SAMPLES, get};
    OK(&r->ctx, cyg_precision_analyse(&r->ctx, r->report.reference, r->g, &r->program, &source,
                                      use_ref, &r->arena, &r->result));
}

static void end(run *r)
{
    cyg_graph_destroy(r->report.reference);
    cyg_graph_destroy(r->g);
    cyg_arena_deinit(&r->arena);
}

static const char *tensor_of(const run *r, size_t row)
{
    return r->program.tensors[r->result.rows[row].tensor].name;
}

static const char *layer_of(const run *r, size_t row)
{
    assert_true(row < r->result.row_count);
    return r->program.steps[r->result.rows[row].step].name;
}

static const cyg_precision_row *row_named(const run *r, const char *tensor)
{
    for (size_t i = 0; i < r->result.row_count; i++)
        if (strcmp(tensor_of(r, i), tensor) == 0)
            return &r->result.rows[i];
    fail_msg("no row for %s", tensor);
    return NULL;
}

static void expect_near(double found, double expected, double within)
{
    if (!(fabs(found - expected) <= within))
        fail_msg("found %.9g, expected %.9g", found, expected);
}

/* ---- figures ---- */

/* Everything that one tensor held in all runs. */
typedef struct record {
    cyg_value_id wanted;
    float values[TINY_SAMPLES * 1024];
    size_t count;
} record;

static cyg_status keep(cyg_ctx *ctx, void *user, cyg_value_id v, const cyg_kbuf *buf)
{
    record *r = user;
    size_t count = 1;
    (void)ctx;
    if (v.i != r->wanted.i)
        return CYG_OK;
    for (int i = 0; i < buf->rank; i++)
        count *= (size_t)buf->dims[i];
    assert_true(r->count + count <= CYG_COUNT(r->values));
    for (size_t i = 0; i < count; i++)
        r->values[r->count + i] =
            buf->type == CYG_TYPE_F32  ? ((const float *)buf->data)[i]
            : buf->type == CYG_TYPE_U8 ? (float)((const uint8_t *)buf->data)[i]
            : buf->type == CYG_TYPE_S8 ? (float)((const int8_t *)buf->data)[i]
                                       : (float)((const int16_t *)buf->data)[i];
    r->count += count;
    return CYG_OK;
}

static uint32_t tensor_named(const run *r, const char *name)
{
    for (uint32_t t = 0; t < r->program.tensor_count; t++)
        if (strcmp(r->program.tensors[t].name, name) == 0)
            return t;
    fail_msg("no tensor %s", name);
    return 0;
}

/* The same from the float graph as it was, and from the program in plain C. */
static void check_row(run *r, const char *name)
{
    static record x, y;
    cyg_graph *f = tiny_graph();
    const uint32_t t = tensor_named(r, name);
    const cyg_quant *q = &cyg_val(r->g, (cyg_value_id){r->program.tensors[t].value})->quant;
    const int64_t channels = r->program.tensors[t].dims[r->program.tensors[t].rank - 1];
    x = (record){.wanted = cyg_graph_find_value(f, name)};
    y = (record){.wanted = {t}};
    const cyg_interp_options options = {.observer = keep, .user = &x};
    cyg_interp *it;
    OK(&r->ctx, cyg_interp_create(&r->ctx, f, &options, &it));
    for (int i = 0; i < TINY_SAMPLES; i++) {
        cyg_kbuf in = {
            .data = r->samples.inputs[i], .type = CYG_TYPE_F32, .rank = 4, .dims = {1, 3, 8, 8}};
        cyg_kbuf out;
        OK(&r->ctx, cyg_interp_run(&r->ctx, it, &in, 1));
        in.data = r->samples.pixels[i];
        in.type = r->program.tensors[r->program.inputs[0]].type;
        if (in.type == CYG_TYPE_F32)
            in.data = r->samples.inputs[i];
        OK(&r->ctx,
           cyg_interp_run_program(&r->ctx, &r->program, true, &in, 1, keep, &y, &r->arena, &out));
    }
    cyg_interp_destroy(it);
    cyg_graph_destroy(f);
    assert_int_equal(x.count, y.count);
    double xx = 0, yy = 0, xy = 0, dd = 0, most = 0;
    for (size_t i = 0; i < x.count; i++) {
        double v = (double)y.values[i];
        if (q->type != CYG_TYPE_NONE)
            v = (double)q->scales[q->count == 1 ? 0 : i % (size_t)channels] * (v - q->zero_point);
        const double u = (double)x.values[i], d = fabs(u - v);
        xx += u * u;
        yy += v * v;
        xy += u * v;
        dd += d * d;
        most = d > most ? d : most;
    }
    const cyg_precision_row *row = row_named(r, name);
    expect_near(row->run.sqnr_db, 10.0 * log10(xx / dd), 1e-3);
    expect_near(row->run.cosine, xy / sqrt(xx * yy), 1e-6);
    expect_near(row->run.mse, dd / (double)x.count, 1e-4 * dd / (double)x.count);
    expect_near(row->run.max_error, most, 1e-4 * most);
}

static void test_figures(void **unused)
{
    (void)unused;
    static const char *const tensors[] = {"p", "n1", "qkv", "a", "r1", "n2", "h", "r2", "logits"};
    static run r;
    begin(&r, tiny_options(true), NULL, NULL);
    analyse(&r, false);
    assert_int_equal(r.result.samples, TINY_SAMPLES);
    for (size_t i = 0; i < CYG_COUNT(tensors); i++)
        check_row(&r, tensors[i]);
    for (size_t i = 0; i < r.result.row_count; i++) {
        const cyg_precision_row *row = &r.result.rows[i];
        assert_true(row->run.worst_channel_db <= row->run.sqnr_db + 1e-9);
        assert_true(row->own >= 0.0 && row->own <= 1.0);
        int64_t binned = 0;
        for (int k = 0; k < CYG_PRECISION_BINS; k++)
            binned += row->bins[k];
        const cyg_tensor *t = &r.program.tensors[row->tensor];
        assert_int_equal(
            binned, t->type == CYG_TYPE_F32 ? 0 : cyg_tensor_elements(t) * (int64_t)TINY_SAMPLES);
    }
    end(&r);
}

/* The first layer reads what both runs read: alone and as run are one. Later ones inherit. */
static void test_alone(void **unused)
{
    (void)unused;
    static run r;
    begin(&r, tiny_options(true), NULL, NULL);
    analyse(&r, false);
    const cyg_precision_row *first = row_named(&r, "p"), *last = row_named(&r, "logits");
    expect_near(first->alone.sqnr_db, first->run.sqnr_db, 0.0);
    expect_near(first->own, 1.0, 0.0);
    assert_true(last->alone.sqnr_db > last->run.sqnr_db);
    assert_true(last->own < 1.0);
    end(&r);
}

/* The plain C bodies give the same figures, bit for bit; so do inputs that are floats. */
static void test_same_for_plain_c(void **unused)
{
    (void)unused;
    static run a, b;
    for (int pixels = 0; pixels < 2; pixels++) {
        begin(&a, tiny_options(pixels != 0), NULL, NULL);
        begin(&b, tiny_options(pixels != 0), NULL, NULL);
        analyse(&a, false);
        analyse(&b, true);
        assert_int_equal(a.result.row_count, b.result.row_count);
        assert_true(a.result.row_count >= 9);
        for (size_t i = 0; i < a.result.row_count; i++) {
            assert_memory_equal(&a.result.rows[i].alone, &b.result.rows[i].alone,
                                sizeof a.result.rows[i].alone);
            assert_memory_equal(&a.result.rows[i].run, &b.result.rows[i].run,
                                sizeof a.result.rows[i].run);
        }
        end(&a);
        end(&b);
    }
}

/* ---- faults ---- */

static void scale_of(cyg_graph *g, const char *name, float factor)
{
    cyg_value *v = cyg_val(g, cyg_graph_find_value(g, name));
    float *scales = cyg_arena_memdup(&g->arena, v->quant.scales, v->quant.count * sizeof *scales);
    assert_non_null(scales);
    for (uint32_t i = 0; i < v->quant.count; i++)
        scales[i] *= factor;
    v->quant.scales = scales;
}

static void ruin_hidden(cyg_graph *g)
{
    scale_of(g, "h", 0.1f);
}

static void ruin_qkv(cyg_graph *g)
{
    scale_of(g, "qkv", 30.0f);
}

static void expect_born(meddle fault, const char *layer, bool cut)
{
    static run r;
    size_t ranked[64];
    begin(&r, tiny_options(true), NULL, fault);
    analyse(&r, false);
    assert_true(r.result.row_count <= CYG_COUNT(ranked));
    assert_string_equal(layer_of(&r, r.result.born), layer);
    OK(&r.ctx, cyg_precision_rank(&r.ctx, &r.result, ranked));
    assert_string_equal(layer_of(&r, ranked[0]), layer);
    for (size_t i = 1; i < r.result.row_count; i++)
        assert_true(r.result.rows[ranked[i]].alone.sqnr_db >=
                    r.result.rows[ranked[i - 1]].alone.sqnr_db);
    const cyg_precision_row *row = &r.result.rows[r.result.born];
    assert_true(cut ? row->saturation > 0.05 : row->saturation < 0.01);
    assert_true(row->own > 0.5);
    end(&r);
}

static void test_a_ruined_range_is_named(void **unused)
{
    (void)unused;
    expect_born(ruin_hidden, "fc1", true); /* far too narrow */
    expect_born(ruin_qkv, "qkv", false);   /* far too wide */
}

static void silence_and_widen(cyg_graph *g)
{
    cyg_value *w = cyg_val(g, cyg_graph_find_value(g, "pw"));
    cyg_value *b = cyg_val(g, cyg_graph_find_value(g, "pb"));
    float *x = cyg_arena_memdup(&g->arena, w->data, w->bytes);
    float *y = cyg_arena_memdup(&g->arena, b->data, b->bytes);
    assert_true(x != NULL && y != NULL);
    for (int k = 0; k < 12; k++) {
        x[k] = 0.0f;          /* channel 0 is silent */
        x[12 + k] *= 1000.0f; /* channel 1 is far wider than all others */
    }
    y[0] = 0.0f;
    w->data = x;
    b->data = y;
}

static void test_outliers(void **unused)
{
    (void)unused;
    static run r;
    begin(&r, tiny_options(true), silence_and_widen, NULL);
    analyse(&r, false);
    const cyg_precision_row *row = row_named(&r, "p");
    expect_near(row->silent, 1.0 / 16.0, 1e-12);
    expect_near(row->level[0], 14.0 / 16.0, 1e-12);
    expect_near(row->level[3], 14.0 / 16.0, 1e-12);
    assert_true(row->run.worst_channel_db < row->run.sqnr_db - 10.0);
    const cyg_precision_weight *w = &r.result.weights[0];
    assert_string_equal(r.program.steps[w->step].name, "patch");
    expect_near(w->spread[0], 0.0, 0.0);
    assert_true(w->spread[1] > 6.0);
    for (int k = 1; k < 5; k++)
        assert_true(w->spread[k] >= w->spread[k - 1]);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),          cmocka_unit_test(test_alone),
        cmocka_unit_test(test_same_for_plain_c), cmocka_unit_test(test_a_ruined_range_is_named),
        cmocka_unit_test(test_outliers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

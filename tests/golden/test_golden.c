/* The float path against its outside witnesses: every ONNX file of the golden cases is imported and
 * run on its stored input; the result must be what ONNX Runtime gave (onnx_output.npy), first as
 * imported, then as optimised. With arguments, a development tool: MODEL INPUT.npy OUTPUT.npy
 * prints the differences. */
#include <dirent.h>
#include <math.h>
#include <time.h>

#include "testing.h"

#include "base/pool.h"
#include "interp/interp.h"
#include "io/npy.h"
#include "onnx/onnx.h"
#include "pass/pass.h"

typedef struct run_result {
    double import_s, optimise_s, run_s, difference;
    cyg_optimise_report report;
    int64_t nodes;
} run_result;

static float *load_f32(cyg_ctx *ctx, const char *path, cyg_npy *out)
{
    cyg_map map;
    if (cyg_map_open(ctx, path, &map) != CYG_OK)
        return NULL;
    float *data = NULL;
    if (cyg_npy_parse(ctx, path, map.data, map.size, out) == CYG_OK) {
        data = malloc(out->count * sizeof *data + 64);
        if (data != NULL)
            cyg_npy_to_f32(out, data);
    }
    cyg_map_close(&map);
    return data;
}

/* Largest difference over the range of the expected values. */
static double difference(const float *got, const float *want, size_t count)
{
    double lo = INFINITY, hi = -INFINITY, worst = 0;
    for (size_t i = 0; i < count; i++) {
        lo = fmin(lo, (double)want[i]);
        hi = fmax(hi, (double)want[i]);
        const double d = fabs((double)got[i] - (double)want[i]);
        worst = d <= worst ? worst : d; /* NaN sticks */
    }
    return worst / (hi > lo ? hi - lo : 1.0);
}

static cyg_status run_graph(cyg_ctx *ctx, cyg_graph *g, const cyg_npy *in, float *x,
                            const cyg_npy *out, const float *want, run_result *r)
{
    cyg_interp *interp;
    CYG_DO(cyg_interp_create(ctx, g, NULL, &interp));
    cyg_kbuf buf = {.data = x, .type = CYG_TYPE_F32, .rank = (int32_t)in->rank};
    memcpy(buf.dims, in->dims, sizeof buf.dims);
    const double start = cyg_seconds();
    cyg_status status = cyg_interp_run(ctx, interp, &buf, 1);
    r->run_s = cyg_seconds() - start;
    if (status == CYG_OK) {
        const cyg_kbuf *y = cyg_interp_value(interp, g->outputs[0]);
        size_t count = 1;
        for (int i = 0; i < y->rank; i++)
            count *= (size_t)y->dims[i];
        r->difference = count == out->count ? difference(y->data, want, count) : INFINITY;
    }
    cyg_interp_destroy(interp);
    return status;
}

static cyg_status run_model(cyg_ctx *ctx, const char *model, const char *in_path,
                            const char *out_path, bool optimise, run_result *r)
{
    cyg_npy in, out;
    float *x = load_f32(ctx, in_path, &in), *want = load_f32(ctx, out_path, &out);
    cyg_graph *g = NULL;
    cyg_onnx_info info;
    const cyg_onnx_import_options options = {.keep_symbolic = !optimise};
    double start = cyg_seconds();
    cyg_status status =
        x == NULL || want == NULL ? CYG_E_IO : cyg_onnx_import(ctx, model, &options, &g, &info);
    r->import_s = cyg_seconds() - start;
    start = cyg_seconds();
    if (status == CYG_OK && optimise) {
        const cyg_optimise_options fuse = {.fuse = true};
        status = cyg_optimise(ctx, g, &fuse, &r->report);
        if (in.rank > 0 && in.dims[0] > 1 &&
            cyg_val(g, g->inputs[0])->dims[0] == 1) { /* bound to batch 1: one row of the answer */
            out.count /= (size_t)in.dims[0];
            in.dims[0] = 1;
        }
    }
    r->optimise_s = cyg_seconds() - start;
    r->nodes = g != NULL ? (int64_t)g->order_count : 0;
    if (status == CYG_OK)
        status = run_graph(ctx, g, &in, x, &out, want, r);
    cyg_graph_destroy(g);
    free(x);
    free(want);
    return status;
}

static void print_chain(const cyg_ctx *ctx)
{
    for (size_t i = 0; i < cyg_ctx_message_count(ctx); i++)
        printf("    %s\n", cyg_ctx_message(ctx, i));
}

static int check_case(const char *folder, const char *name, const char *model, const char *answer,
                      bool optimise)
{
    char m[1024], i[1024], o[1024];
    snprintf(m, sizeof m, "%s/%s/%s", folder, name, model);
    snprintf(i, sizeof i, "%s/%s/onnx_input.npy", folder, name);
    snprintf(o, sizeof o, "%s/%s/%s", folder, name, answer);
    if (!cyg_path_exists(m))
        return 0;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    ctx.pool = cyg_pool_create(2);
    run_result r = {.difference = INFINITY};
    const cyg_status status = run_model(&ctx, m, i, o, optimise, &r);
    const bool ok = status == CYG_OK && r.difference <= 1e-4;
    printf("  %-4s %-26s %-18s %-9s nodes %5lld steps %4lld  difference %.1e\n", ok ? "ok" : "FAIL",
           name, model, optimise ? "optimised" : "imported", (long long)r.nodes,
           (long long)r.report.fused_steps, r.difference);
    if (status != CYG_OK)
        print_chain(&ctx);
    cyg_pool_destroy(ctx.pool);
    return ok ? 0 : 1;
}

static const char *golden_folder(void)
{
    static char path[1024];
    const char *shared = getenv("CYG_SHARED");
    snprintf(path, sizeof path, "%s/golden", shared != NULL ? shared : "../shared");
    return path;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void check_all(bool optimise)
{
    struct dirent **entries;
    const int count = scandir(golden_folder(), &entries, NULL, by_name);
    if (count < 0) {
        printf("  %s is not here: skipped\n", golden_folder());
        skip();
    }
    int failed = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            failed += check_case(golden_folder(), entries[i]->d_name, "model.onnx",
                                 "onnx_output.npy", optimise);
            failed += check_case(golden_folder(), entries[i]->d_name, "model_dynamo.onnx",
                                 "onnx_output_dynamo.npy", optimise);
        }
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(failed, 0);
}

static void imported_models_match(void **state)
{
    (void)state;
    check_all(false);
}

static void optimised_models_match(void **state)
{
    (void)state;
    check_all(true);
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        for (int optimise = 0; optimise < 2; optimise++) {
            static cyg_ctx ctx;
            cyg_ctx_init(&ctx);
            ctx.pool = cyg_pool_create(2);
            run_result r = {0};
            const cyg_status status = run_model(&ctx, argv[1], argv[2], argv[3], optimise != 0, &r);
            printf("%s: nodes %lld steps %lld difference %.2e import %.3f s optimise %.3f s run "
                   "%.3f s\n",
                   argv[1], (long long)r.nodes, (long long)r.report.fused_steps, r.difference,
                   r.import_s, r.optimise_s, r.run_s);
            if (status != CYG_OK)
                print_chain(&ctx);
            cyg_pool_destroy(ctx.pool);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(imported_models_match),
                                       cmocka_unit_test(optimised_models_match)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every checkpoint of the golden cases, built straight into a graph and run in float: the logits
 * must be those of the library that wrote it. case.json is given as --model_config; Hugging Face's
 * folders must do without. A case of another architecture must be refused with the known ones
 * named. With a folder as argument, a development tool: the same on all cases in it. */
#include <dirent.h>
#include <math.h>

#include "testing.h"

#include "interp/interp.h"
#include "io/npy.h"
#include "models/models.h"

static const char *folder;
static cyg_ctx ctx;

static float *load(const char *path, cyg_npy *out)
{
    cyg_map map;
    if (cyg_map_open(&ctx, path, &map) != CYG_OK)
        return NULL;
    float *data = NULL;
    if (cyg_npy_parse(&ctx, path, map.data, map.size, out) == CYG_OK) {
        data = malloc(out->count * sizeof *data + 64);
        if (data != NULL)
            cyg_npy_to_f32(out, data);
    }
    cyg_map_close(&map);
    return data;
}

static void print_messages(const char *name)
{
    for (size_t i = 0; i < cyg_ctx_message_count(&ctx); i++)
        print_error("%s: %s\n", name, cyg_ctx_message(&ctx, i));
}

/* Largest difference over the range of the expected values; infinite when it does not even run. */
static double difference(cyg_converted *m, const char *input_path, const char *logits_path)
{
    cyg_npy in = {0}, out = {0};
    float *x = load(input_path, &in), *want = load(logits_path, &out);
    cyg_interp *interp = NULL;
    double worst = INFINITY;
    cyg_kbuf buf = {.data = x, .type = CYG_TYPE_F32, .rank = (int32_t)in.rank};
    memcpy(buf.dims, in.dims, sizeof buf.dims);
    if (x == NULL || want == NULL || cyg_interp_create(&ctx, m->graph, NULL, &interp) != CYG_OK ||
        cyg_interp_run(&ctx, interp, &buf, 1) != CYG_OK)
        goto done;
    const cyg_kbuf *got = cyg_interp_value(interp, m->graph->outputs[0]);
    if (got == NULL || got->rank != 2 || got->dims[0] * got->dims[1] != (int64_t)out.count)
        goto done;
    double lo = INFINITY, hi = -INFINITY;
    worst = 0;
    for (size_t i = 0; i < out.count; i++) {
        lo = fmin(lo, (double)want[i]);
        hi = fmax(hi, (double)want[i]);
        const double d = fabs((double)((const float *)got->data)[i] - (double)want[i]);
        worst = d <= worst ? worst : d; /* NaN sticks */
    }
    worst /= hi > lo ? hi - lo : 1;
done:
    cyg_interp_destroy(interp);
    free(x);
    free(want);
    return worst;
}

/* 0 = fine, 1 = wrong */
static int run_case(const char *name, const char *file, bool with_config)
{
    char base[512], path[800], config[800], input[800], logits[800];
    snprintf(base, sizeof base, "%s/%s", folder, name);
    snprintf(path, sizeof path, "%s%s%s", base, file[0] != '\0' ? "/" : "", file);
    snprintf(config, sizeof config, "%s/case.json", base);
    snprintf(input, sizeof input, "%s/input.npy", base);
    snprintf(logits, sizeof logits, "%s/logits.npy", base);
    const cyg_convert_options options = {.path = path, .config_file = with_config ? config : NULL};
    cyg_converted *m = NULL;
    cyg_ctx_clear(&ctx);
    const cyg_status st = cyg_convert_open(&ctx, &options, &m);
    const bool ours = strstr(name, "resnet") == NULL && strstr(name, "mobilenet") == NULL;
    if (!ours) {
        const bool said = st == CYG_E_UNSUPPORTED && ctx_says(&ctx, "none of the known");
        print_message("%-26s %-20s %s\n", name, file, said ? "refused" : "NOT REFUSED");
        return !said;
    }
    if (st != CYG_OK) {
        print_messages(name);
        return 1;
    }
    const double d = difference(m, input, logits);
    if (isinf(d))
        print_messages(name);
    print_message("%-26s %-20s %-8s %-13s %4u nodes   %.1e%s\n", name, file, m->title, m->library,
                  m->graph->order_count, d, d <= 1e-4 ? "" : "   TOO MUCH");
    cyg_convert_close(m);
    return !(d <= 1e-4);
}

static int run_all(void)
{
    static const char *const files[] = {"model.pth", "pytorch_model.bin", "model.safetensors",
                                        "pytorch_model.bin.index.json",
                                        "model.safetensors.index.json"};
    DIR *d = opendir(folder);
    int wrong = 0, cases = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[800];
        snprintf(path, sizeof path, "%s/%s/case.json", folder, e->d_name);
        if (e->d_name[0] == '.' || !cyg_path_exists(path))
            continue;
        for (size_t i = 0; i < CYG_COUNT(files); i++) {
            snprintf(path, sizeof path, "%s/%s/%s", folder, e->d_name, files[i]);
            if (!cyg_path_exists(path))
                continue;
            wrong += run_case(e->d_name, files[i], true);
            cases++;
            snprintf(path, sizeof path, "%s/%s/config.json", folder, e->d_name);
            if (i > 0 && cyg_path_exists(path))
                wrong += run_case(e->d_name, i % 2 == 0 ? "" : files[i], false);
        }
    }
    if (d != NULL)
        closedir(d);
    print_message("%d checkpoints, %d wrong\n", cases, wrong);
    return cases == 0 ? -1 : wrong;
}

static void golden_checkpoints(void **state)
{
    static char path[512];
    (void)state;
    if (shared_folder() == NULL) {
        print_message("no shared folder: skipped\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/golden", shared_folder());
    folder = path;
    assert_int_equal(run_all(), 0);
}

/* The rarer hyper-parameters, see make_variants.py. */
static void small_variants(void **state)
{
    (void)state;
    folder = CYG_SOURCE_ROOT "/tests/models/golden";
    assert_int_equal(run_all(), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_checkpoints),
                                       cmocka_unit_test(small_variants)};
    cyg_ctx_init(&ctx);
    if (argc > 1) {
        folder = argv[1];
        return run_all() != 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

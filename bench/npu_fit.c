/* The cycle model under changing parameters: what bench/npu-fit asks while it searches.
 *
 *   npu_fit FOLDER LATENCY.tsv MATMUL.tsv
 *
 * FOLDER holds <model>.cyg, packages of the CPU made from the networks of LATENCY.tsv. Standard
 * input is a line a request: "compile" or "time", then "[CHIP[.MODE].]field=value" words, which
 * hold for this request only. compile makes all programs anew under these parameters with the
 * schedule `baseline`; time counts the programs of the last compile under these. The answer is one
 * line: cycles of each row, first of LATENCY.tsv, then of MATMUL.tsv; -1 for a row that did not
 * compile. A matrix product is a linear step whose input, weights and result (float) all pass the
 * DDR. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/package.h"
#include "io/tsv.h"
#include "kernels/call.h"
#include "kernels/params.h"
#include "target/npu/npu.h"

enum { MOST = 512 };

typedef struct fit_row {
    char chip[16], mode[16], model[64];
    bool is_matmul, wide;
    int64_t k, m, n;
    cyg_package package;
    cyg_program product;
    cyg_arena keep, arena;
    cyg_npu_result result;
    bool compiled;
} fit_row;

static cyg_ctx ctx;
static fit_row rows[MOST];
static size_t row_count;
static char *words[64];
static size_t word_count;

static void stop(const char *where)
{
    fprintf(stderr, "npu_fit: %s\n", where);
    for (size_t i = 0; i < cyg_ctx_message_count(&ctx); i++)
        fprintf(stderr, "  %s\n", cyg_ctx_message(&ctx, i));
    exit(1);
}

/* ---- parameters ------------------------------------------------------------------------------ */

static bool set_field(cyg_npu_machine *m, const char *name, double value)
{
#define CYG_MACHINE_TEXT(field, text)
#define CYG_MACHINE_COUNT(field, low, high, unit, text)                                            \
    if (strcmp(name, #field) == 0) {                                                               \
        m->field = (int64_t)(value + 0.5);                                                         \
        return true;                                                                               \
    }
#define CYG_MACHINE_RATE(field, low, high, unit, text)                                             \
    if (strcmp(name, #field) == 0) {                                                               \
        m->field = value;                                                                          \
        return true;                                                                               \
    }
#include "npu/machine.def"
#undef CYG_MACHINE_TEXT
#undef CYG_MACHINE_COUNT
#undef CYG_MACHINE_RATE
    return false;
}

/* "AX650.NPU3.ddr_bytes=13", "AX650.ddr_bytes=13", "ddr_bytes=13" */
static void apply(cyg_npu_machine *m, const char *word)
{
    char name[128];
    const char *equal = strchr(word, '=');
    if (equal == NULL || (size_t)(equal - word) >= sizeof name)
        stop(word);
    memcpy(name, word, (size_t)(equal - word));
    name[equal - word] = '\0';
    char *field = name, *dot;
    const char *const wanted[] = {m->chip, m->mode};
    for (size_t i = 0; (dot = strchr(field, '.')) != NULL && i < 2; i++) {
        *dot = '\0';
        if (strcmp(field, wanted[i]) != 0)
            return;
        field = dot + 1;
    }
    if (!set_field(m, field, atof(equal + 1)))
        stop(word);
}

static cyg_npu_machine machine_of(const fit_row *r, cyg_arena *arena)
{
    cyg_npu_machine m;
    if (cyg_npu_machine_find(&ctx, arena, r->chip, r->mode, &m) != CYG_OK)
        stop("machine");
    for (size_t i = 0; i < word_count; i++)
        apply(&m, words[i]);
    return m;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static uint32_t tensor(fit_row *r, const char *name, int32_t type, cyg_tensor_kind kind, int64_t a,
                       int64_t b, uint64_t offset)
{
    const int64_t dims[2] = {a, b};
    cyg_tensor t = {.name = name, .type = type, .rank = b == 0 ? 1 : 2, .kind = (int32_t)kind};
    memcpy(t.dims, dims, sizeof dims);
    t.offset = offset;
    if (kind == CYG_TENSOR_CONST) {
        t.data = cyg_arena_zalloc(&r->keep, cyg_tensor_bytes(&t), 64);
        if (t.data == NULL)
            stop("out of memory");
    }
    return cyg_program_add_tensor(&r->product, &r->keep, &t);
}

/* x [rows, K] w [columns, K] -> y f32: the longer side of the result is the rows. */
static void make_product(fit_row *r)
{
    const int64_t n = r->m > r->n ? r->m : r->n, columns = r->m > r->n ? r->n : r->m;
    const cyg_kp_ilinear p = {.inv_scale_y = 1};
    uint32_t in[6] = {
        tensor(r, "x", r->wide ? CYG_TYPE_S16 : CYG_TYPE_S8, CYG_TENSOR_INPUT, n, r->k, 0),
        tensor(r, "w", CYG_TYPE_S8, CYG_TENSOR_CONST, columns, r->k, 0),
        tensor(r, "b", r->wide ? CYG_TYPE_S64 : CYG_TYPE_S32, CYG_TENSOR_CONST, columns, 0, 0),
        tensor(r, "m", CYG_TYPE_F32, CYG_TENSOR_CONST, columns, 0, 0),
        CYG_NO_TENSOR,
        r->wide ? tensor(r, "high", CYG_TYPE_S8, CYG_TENSOR_CONST, columns, r->k, 0)
                : CYG_NO_TENSOR};
    uint32_t out = tensor(r, "y", CYG_TYPE_F32, CYG_TENSOR_OUTPUT, n, columns, 0);
    const cyg_step s = {.name = "product",
                        .sources = "",
                        .op = CYG_KOP_i_linear,
                        .in_count = r->wide ? 6 : 4,
                        .out_count = 1,
                        .in = in,
                        .out = &out,
                        .params = &p,
                        .params_size = sizeof p,
                        .macs = r->m * r->n * r->k};
    uint32_t *border = CYG_NEW_ARRAY(&r->keep, uint32_t, 2);
    if (border == NULL || !cyg_program_add_step(&r->product, &r->keep, &s))
        stop("out of memory");
    border[0] = in[0];
    border[1] = out;
    r->product.inputs = border;
    r->product.outputs = border + 1;
    r->product.input_count = r->product.output_count = 1;
}

static const char *cell(const cyg_tsv *t, size_t row, const char *column)
{
    size_t c;
    if (cyg_tsv_column(&ctx, t, column, &c) != CYG_OK)
        stop(column);
    return cyg_tsv_cell(t, row, c);
}

static fit_row *new_row(const char *chip, const char *mode)
{
    if (row_count == MOST)
        stop("too many rows");
    fit_row *r = &rows[row_count++];
    cyg_arena_init(&r->keep);
    cyg_arena_init(&r->arena);
    snprintf(r->chip, sizeof r->chip, "%s", chip);
    snprintf(r->mode, sizeof r->mode, "%s", mode);
    return r;
}

static void read_latency(const char *path, const char *folder)
{
    cyg_tsv *t;
    if (cyg_tsv_open(&ctx, path, &t) != CYG_OK)
        stop(path);
    for (size_t i = 0; i < cyg_tsv_rows(t); i++) {
        const char *chip = cell(t, i, "chip"), *mode = cell(t, i, "mode");
        const bool is_630 = strcmp(chip, "AX630C") == 0;
        fit_row *r = new_row(is_630 ? "AX620E" : chip, strcmp(mode, "full") == 0 ? "NPU2" : mode);
        char file[512];
        snprintf(r->model, sizeof r->model, "%s", cell(t, i, "model"));
        snprintf(file, sizeof file, "%s/%s.cyg", folder, r->model);
        if (cyg_package_open(&ctx, file, &r->keep, NULL, &r->package) != CYG_OK)
            stop(file);
    }
    cyg_tsv_close(t);
}

static void read_products(const char *path)
{
    cyg_tsv *t;
    if (cyg_tsv_open(&ctx, path, &t) != CYG_OK)
        stop(path);
    for (size_t i = 0; i < cyg_tsv_rows(t); i++) {
        fit_row *r = new_row("AX650", strcmp(cell(t, i, "mode"), "npu1") == 0 ? "NPU1" : "NPU3");
        r->is_matmul = true;
        r->wide = strcmp(cell(t, i, "dtype"), "s16") == 0;
        r->k = atoll(cell(t, i, "K"));
        r->m = atoll(cell(t, i, "M"));
        r->n = atoll(cell(t, i, "N"));
        make_product(r);
    }
    cyg_tsv_close(t);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void compile_row(fit_row *r)
{
    const cyg_program *p = r->is_matmul ? &r->product : &r->package.programs[0];
    cyg_arena_reset(&r->arena);
    const cyg_npu_options o = {.machine = machine_of(r, &r->arena),
                               .kind = CYG_NPU_SCHEDULE_BASELINE};
    cyg_ctx_clear(&ctx);
    r->compiled = cyg_target_npu_compile(&ctx, p, &o, &r->arena, &r->result) == CYG_OK;
    if (!r->compiled)
        fprintf(stderr, "npu_fit: %s %s %s: %s\n", r->chip, r->mode, r->model,
                cyg_ctx_message(&ctx, 0));
}

static int64_t time_row(const fit_row *r)
{
    cyg_arena arena;
    int64_t cycles = 0;
    cyg_arena_init(&arena);
    const cyg_npu_machine m = machine_of(r, &arena);
    for (uint32_t i = 0; r->compiled && i < r->result.subgraph_count; i++) {
        cyg_npu_timing timing;
        if (cyg_npu_time(&ctx, &m, &r->result.subgraphs[i].program, &arena, &timing) != CYG_OK)
            stop("time");
        cycles += timing.cycles;
    }
    cyg_arena_deinit(&arena);
    return cycles > 0 ? cycles : -1;
}

int main(int argc, char **argv)
{
    static char line[8192];
    cyg_ctx_init(&ctx);
    if (argc != 4)
        stop("usage: npu_fit FOLDER LATENCY.tsv MATMUL.tsv");
    read_latency(argv[2], argv[1]);
    read_products(argv[3]);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *save = NULL, *request = strtok_r(line, " \n", &save);
        word_count = 0;
        while (word_count < CYG_COUNT(words) &&
               (words[word_count] = strtok_r(NULL, " \n", &save)) != NULL)
            word_count++;
        if (request == NULL)
            break;
        for (size_t i = 0; i < row_count; i++) {
            if (strcmp(request, "compile") == 0)
                compile_row(&rows[i]);
            printf("%lld%c", (long long)time_row(&rows[i]), i + 1 == row_count ? '\n' : ' ');
        }
        fflush(stdout);
    }
    return 0;
}

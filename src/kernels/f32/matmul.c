/* f_matmul (numpy rules: batches broadcast, vectors promoted) and f_gemm (y = alpha a' b' + beta
 * c): both are batches of [m, k] x [k, n] on the one core.
 *
 * A constant b without batch is packed once by prepare; else each item packs its columns. A
 * transposed a is copied row by row into scratch. f_gemm: the chain sums a b; then y = alpha * sum,
 * then y = fma(beta, c, y) (alpha = 1 and beta = 1 multiply exactly, so plain Gemm is sum + c). */
#include "kernels/f32/gemm.h"

#include <string.h>

#include "kernels/batches.h"
#include "kernels/f32/math.h"

typedef struct product {
    int64_t m, n, k;
    cyg_batches batches;
    bool trans_a, trans_b;
    bool packed; /* b was packed by prepare */
} product;

/* The matrix part of a matmul operand: vectors become [1, k] or [k, 1]. */
static void matrix_dims(const cyg_kbuf *x, bool right, int64_t *rows, int64_t *columns)
{
    if (x->rank == 1) {
        *rows = right ? x->dims[0] : 1;
        *columns = right ? 1 : x->dims[0];
    } else {
        *rows = x->dims[x->rank - 2];
        *columns = x->dims[x->rank - 1];
    }
}

static const char *describe_matmul(const cyg_kcall *call, product *out)
{
    const cyg_kbuf *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    memset(out, 0, sizeof *out);
    CYG_REQUIRE(a->rank >= 1 && b->rank >= 1, "a scalar has no product");
    int64_t bk;
    matrix_dims(a, false, &out->m, &out->k);
    matrix_dims(b, true, &bk, &out->n);
    CYG_REQUIRE(bk == out->k, "a and b differ in K");
    const char *why = cyg_batches_of(a->rank, a->dims, b->rank, b->dims, &out->batches);
    if (why != NULL)
        return why;
    int64_t matrix, total;
    CYG_REQUIRE(cyg_mul_i64(out->m, out->n, &matrix) &&
                    cyg_mul_i64(matrix, out->batches.count, &total) && total == cyg_count_of(y),
                "y's shape is not the product's");
    /* One long a against one b: rows of all batches in a row. */
    bool shared_b = true;
    const cyg_batches *s = &out->batches;
    for (int32_t i = 0; i < s->rank; i++)
        shared_b = shared_b && (s->b_step[i] == 0 && (s->a_step[i] != 0 || s->dims[i] == 1));
    if (shared_b && a->rank >= 2) {
        out->m *= s->count;
        out->batches = (cyg_batches){.count = 1};
    }
    out->packed = call->in[1].is_const && cyg_count_of(b) == out->k * out->n;
    return NULL;
}

static const char *check_matmul(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 2, 1, 1);
    CYG_REQUIRE(call->in[0].type == CYG_TYPE_F32 && call->in[1].type == CYG_TYPE_F32 &&
                    call->out[0].type == CYG_TYPE_F32,
                "f_matmul works on f32");
    product p;
    return describe_matmul(call, &p);
}

static const char *describe_gemm(const cyg_kcall *call, product *out)
{
    const cyg_kp_gemm *p = call->params;
    const cyg_kbuf *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    memset(out, 0, sizeof *out);
    CYG_REQUIRE(a->rank == 2 && b->rank == 2 && y->rank == 2, "f_gemm works on matrices");
    out->trans_a = p->trans_a != 0;
    out->trans_b = p->trans_b != 0;
    out->m = a->dims[out->trans_a ? 1 : 0];
    out->k = a->dims[out->trans_a ? 0 : 1];
    out->n = b->dims[out->trans_b ? 0 : 1];
    out->batches.count = 1;
    CYG_REQUIRE(b->dims[out->trans_b ? 1 : 0] == out->k, "a and b differ in K");
    CYG_REQUIRE(y->dims[0] == out->m && y->dims[1] == out->n, "y is not [M, N]");
    out->packed = b->is_const != 0;
    return NULL;
}

/* c of f_gemm broadcasts to [m, n] from the right. */
static int64_t c_dim(const cyg_kbuf *c, int32_t from_right)
{
    return c->rank > from_right ? c->dims[c->rank - 1 - from_right] : 1;
}

static const char *check_gemm(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 3, 1, 1);
    CYG_REQUIRE(call->in[0].type == CYG_TYPE_F32 && call->in[1].type == CYG_TYPE_F32 &&
                    call->out[0].type == CYG_TYPE_F32,
                "f_gemm works on f32");
    product p;
    const char *wrong = describe_gemm(call, &p);
    if (wrong != NULL || !cyg_has_in(call, 2))
        return wrong;
    const cyg_kbuf *c = &call->in[2];
    const int64_t rows = c_dim(c, 1), columns = c_dim(c, 0);
    CYG_REQUIRE(c->type == CYG_TYPE_F32 && c->rank <= 2 && (rows == 1 || rows == p.m) &&
                    (columns == 1 || columns == p.n),
                "c does not broadcast to y");
    return NULL;
}

static void describe(const cyg_kcall *call, product *out)
{
    const char *wrong =
        call->op == CYG_KOP_f_gemm ? describe_gemm(call, out) : describe_matmul(call, out);
    (void)wrong; /* check has been here */
}

static size_t prepare_size(const cyg_kcall *call)
{
    product p;
    describe(call, &p);
    return p.packed ? (size_t)cyg_gemm_packed(p.n, p.k) * sizeof(float) : 0;
}

static void pack(const cyg_kcall *call, const product *p, const float *b, int64_t n0,
                 int64_t columns, float *out)
{
    (void)call;
    if (p->trans_b)
        cyg_gemm_pack_nk(columns, p->k, b + n0 * p->k, p->k, out);
    else
        cyg_gemm_pack_kn(columns, p->k, b + n0, p->n, out);
}

static void prepare(const cyg_kcall *call, void *out_prepared)
{
    product p;
    describe(call, &p);
    pack(call, &p, call->in[1].data, 0, p.n, out_prepared);
}

static cyg_gemm_cut cut_of(const product *p)
{
    return p->packed ? cyg_gemm_cut_of(p->m, p->n) : cyg_gemm_cut_unpacked(p->m, p->n);
}

static int64_t items(const cyg_kcall *call)
{
    product p;
    describe(call, &p);
    const cyg_gemm_cut cut = cut_of(&p);
    return p.batches.count * cut.row_blocks * cut.col_blocks;
}

static size_t scratch_size(const cyg_kcall *call)
{
    product p;
    describe(call, &p);
    size_t bytes = CYG_GEMM_SCRATCH;
    if (!p.packed)
        bytes += (size_t)cyg_gemm_packed(cyg_min64(cut_of(&p).columns, p.n), p.k) * sizeof(float);
    if (p.trans_a)
        bytes += (size_t)(CYG_GEMM_MC * p.k) * sizeof(float);
    return cyg_align_up(bytes, 64);
}

/* Rows m0.. of a transposed a [k, m]. */
static void gather_rows_of_a(const product *p, const float *a, int64_t m0, int64_t rows, float *out)
{
    for (int64_t k = 0; k < p->k; k++)
        for (int64_t i = 0; i < rows; i++)
            out[i * p->k + k] = a[k * p->m + m0 + i];
}

static void finish_gemm(const cyg_kcall *call, const product *p, int64_t m0, int64_t rows,
                        int64_t n0, int64_t columns)
{
    const cyg_kp_gemm *g = call->params;
    float *y = call->out[0].data;
    for (int64_t m = m0; m < m0 + rows; m++) {
        float *row = y + m * p->n + n0;
        if (g->alpha != 1.0f)
            call->isa->f32_binary(CYG_BFN_MUL, columns, row, 1, &g->alpha, 0, row);
        if (cyg_has_in(call, 2)) {
            const cyg_kbuf *c = &call->in[2];
            const int64_t c_columns = c_dim(c, 0), c_m = c_dim(c, 1) == 1 ? 0 : m;
            const float *from =
                (const float *)c->data + c_m * c_columns + (c_columns == 1 ? 0 : n0);
            if (c_columns == 1) {
                for (int64_t j = 0; j < columns; j++)
                    row[j] = cyg_fmaf(from[0], g->beta, row[j]);
            } else {
                call->isa->f32_fma(columns, from, 1, &g->beta, 0, row);
            }
        }
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    product p;
    describe(call, &p);
    const cyg_gemm_cut cut = cut_of(&p);
    const int64_t blocks = cut.row_blocks * cut.col_blocks;
    float *rows_copy = (float *)scratch + CYG_GEMM_SCRATCH / 4;
    float *packed = rows_copy + (p.trans_a ? CYG_GEMM_MC * p.k : 0);
    for (int64_t item = begin; item < end; item++) {
        const int64_t batch = item / blocks, block = item % blocks;
        const int64_t m0 = block % cut.row_blocks * cut.rows,
                      n0 = block / cut.row_blocks * cut.columns;
        const int64_t rows = cyg_min64(p.m - m0, cut.rows),
                      columns = cyg_min64(p.n - n0, cut.columns);
        int64_t a_at, b_at;
        cyg_batches_locate(&p.batches, batch, &a_at, &b_at);
        const float *a = (const float *)call->in[0].data + a_at, *b = packed;
        float *y = (float *)call->out[0].data + batch * p.m * p.n;
        if (p.packed)
            b = (const float *)call->prepared + n0 * p.k;
        else
            pack(call, &p, (const float *)call->in[1].data + b_at, n0, columns, packed);
        for (int64_t i = 0; i < rows; i += CYG_GEMM_MC) {
            const int64_t part = cyg_min64(rows - i, CYG_GEMM_MC);
            const float *from = a + (m0 + i) * p.k;
            if (p.trans_a) {
                gather_rows_of_a(&p, a, m0 + i, part, rows_copy);
                from = rows_copy;
            }
            cyg_gemm_block(call->isa, part, columns, p.k, from, p.k, b, y + (m0 + i) * p.n + n0,
                           p.n, scratch);
            if (call->op == CYG_KOP_f_gemm)
                finish_gemm(call, &p, m0 + i, part, n0, columns);
        }
    }
}

const cyg_kop_info cyg_kop_info_f_matmul = {
    .name = "f_matmul",
    .params_size = sizeof(cyg_kp_matmul),
    .check = check_matmul,
    .prepare_size = prepare_size,
    .prepare = prepare,
    .items = items,
    .scratch = scratch_size,
    .run = run,
};
const cyg_kop_info cyg_kop_info_f_gemm = {
    .name = "f_gemm",
    .params_size = sizeof(cyg_kp_gemm),
    .check = check_gemm,
    .prepare_size = prepare_size,
    .prepare = prepare,
    .items = items,
    .scratch = scratch_size,
    .run = run,
};

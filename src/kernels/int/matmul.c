/* i_matmul: products of two activations, numpy's batches (docs/numerics.md, The rest):
 * acc = sum_k (a - z_a) (b - z_b), exact; y = sat((float)acc * k).
 *
 * An item is at most 64 rows of one batch's product. Its b is packed as panels for the tile kernel,
 * in planes that are s8: b itself (s8), b - 128 (u8), 256 high + low + 128 (s16) or + 32896 (u16).
 * a is packed as in gemm.h, u = a + offset. With c what the planes leave out of b, acc = sum u b' +
 * (c - z_b) sum u - (offset + z_a) (sum b - K z_b), where the second term is one number a row and
 * the third one a column, added when planes are joined. */
#include <string.h>

#include "kernels/batches.h"
#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/int/gemm.h"

enum { A, B };
enum { ROWS = 64 };
#define MATRIX_LIMIT ((int64_t)1 << 26) /* elements of b, which each worker packs */

typedef struct matmul_shape {
    int64_t m, n, k, blocks;
    cyg_batches batches;
} matmul_shape;

/* Of a checked call. */
static matmul_shape shape_of(const cyg_kcall *call)
{
    const cyg_kbuf *a = &call->in[A], *b = &call->in[B];
    matmul_shape s = {
        .m = a->dims[a->rank - 2], .k = a->dims[a->rank - 1], .n = b->dims[b->rank - 1]};
    (void)cyg_batches_of(a->rank, a->dims, b->rank, b->dims, &s.batches);
    s.blocks = (s.m + ROWS - 1) / ROWS;
    return s;
}

static const char *check_zero(int32_t type, int32_t zero)
{
    const int32_t lo = type == CYG_TYPE_S8    ? -128
                       : type == CYG_TYPE_S16 ? -32768
                                              : 0,
                  hi = type == CYG_TYPE_U8    ? 255
                       : type == CYG_TYPE_S8  ? 127
                       : type == CYG_TYPE_U16 ? 65535
                                              : 32767;
    CYG_WANT(zero >= lo && zero <= hi, "a zero point is out of range");
    return NULL;
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_imatmul *p = call->params;
    CYG_WANT_OK(cyg_check_counts(call, 2, 2));
    const cyg_kbuf *a = &call->in[A], *b = &call->in[B], *y = &call->out[0];
    CYG_WANT(cyg_is_activation(a->type) && cyg_is_activation(b->type),
             "an operand's type is not supported");
    CYG_WANT(a->rank >= 2 && b->rank >= 2 && y->rank >= a->rank && y->rank >= b->rank,
             "operands and y must be matrices, y of the larger rank");
    const int64_t k = a->dims[a->rank - 1], n = b->dims[b->rank - 1];
    CYG_WANT(k >= 1 && k <= CYG_IGEMM_MAX_K && b->dims[b->rank - 2] == k, "a and b differ in K");
    CYG_WANT(n >= 1 && n <= MATRIX_LIMIT / k, "b's matrix is empty or too large");
    CYG_WANT(y->dims[y->rank - 2] == a->dims[a->rank - 2] && y->dims[y->rank - 1] == n,
             "y's matrix is not [M, N]");
    cyg_batches batches;
    CYG_WANT_OK(cyg_batches_of(a->rank, a->dims, b->rank, b->dims, &batches));
    for (int32_t i = 0; i < y->rank - 2; i++)
        CYG_WANT(y->dims[y->rank - 3 - i] ==
                     (i < batches.rank ? batches.dims[batches.rank - 1 - i] : 1),
                 "batches do not broadcast to y's");
    CYG_WANT_OK(check_zero(a->type, p->a_zero));
    CYG_WANT_OK(check_zero(b->type, p->b_zero));
    return cyg_check_sat(&p->sat, y->type);
}

static int64_t items(const cyg_kcall *call)
{
    const matmul_shape s = shape_of(call);
    return s.batches.count * s.blocks;
}

/* ---- run ---- */

static int planes_of(int32_t type)
{
    return cyg_is_16bit(type) ? 2 : 1;
}

/* What packing adds to an element of a. */
static int64_t offset_of(const cyg_igemm *g, int32_t type)
{
    return g->wide ? 0 : type == CYG_TYPE_S8 ? 128 : type == CYG_TYPE_S16 ? 32768 : 0;
}

/* What the planes of b leave out of an element. */
static int64_t left_out_of(int32_t type)
{
    return type == CYG_TYPE_U8    ? 128
           : type == CYG_TYPE_S16 ? 128
           : type == CYG_TYPE_U16 ? 32768 + 128
                                  : 0;
}

/* Scratch of a worker, offsets in bytes; sums of a's plane i and b's plane j at [2 i + j]. */
typedef struct matmul_space {
    int64_t groups, columns;
    size_t split, panels[2], base, column_sums, zeros, a[2], sums[4], size;
} matmul_space;

static size_t take(size_t *at, int64_t bytes)
{
    const size_t here = *at;
    *at += ((size_t)bytes + 63) / 64 * 64;
    return here;
}

static matmul_space space_of(const cyg_kcall *call, const matmul_shape *s)
{
    const cyg_igemm *g = call->isa->igemm();
    const cyg_igemm_layout l = cyg_igemm_layout_of(g, CYG_TYPE_S8, s->n, s->k);
    const int a = planes_of(call->in[A].type), b = planes_of(call->in[B].type);
    matmul_space x = {.groups = l.groups, .columns = l.padded};
    size_t end = 0;
    x.split = take(&end, call->in[B].type == CYG_TYPE_S8 ? 0 : s->k * s->n);
    x.base = take(&end, l.padded * 8);
    x.column_sums = take(&end, l.padded * 8);
    x.zeros = take(&end, l.padded * 4);
    for (int i = 0; i < b; i++)
        x.panels[i] = take(&end, l.padded * l.groups * 4);
    for (int i = 0; i < a; i++)
        x.a[i] = take(&end, l.groups * 4 * g->mr);
    for (int i = 0; i < a; i++)
        for (int j = 0; j < b; j++)
            x.sums[2 * i + j] = take(&end, l.padded * 4 * g->mr);
    x.size = end;
    return x;
}

static size_t scratch(const cyg_kcall *call)
{
    const matmul_shape s = shape_of(call);
    return space_of(call, &s).size;
}

typedef struct matmul_run {
    const cyg_kcall *call;
    const cyg_kp_imatmul *p;
    const cyg_igemm *g;
    matmul_shape s;
    matmul_space x;
    int a_planes, b_planes;
    uint8_t *base;
} matmul_run;

/* Plane `high` of a matrix of b as s8. */
static void split(int32_t type, const void *from, int64_t count, int high, int8_t *to)
{
    if (type == CYG_TYPE_U8) {
        for (int64_t i = 0; i < count; i++)
            to[i] = (int8_t)(((const uint8_t *)from)[i] - 128);
        return;
    }
    const uint16_t *x = from;
    const int flip = type == CYG_TYPE_U16 ? 128 : 0; /* of the high byte */
    for (int64_t i = 0; i < count; i++)
        to[i] = (int8_t)(uint8_t)(high ? (x[i] >> 8) ^ flip : (x[i] & 255) ^ 128);
}

/* sum_k b[k][j], added row by row. */
CYG_INLINE void add_rows(int32_t type, const void *b, const matmul_shape *s, int64_t *sums)
{
    for (int64_t k = 0; k < s->k; k++)
        for (int64_t j = 0; j < s->n; j++)
            sums[j] += cyg_load_q(type, b, k * s->n + j);
}

static void sum_columns(int32_t type, const void *b, const matmul_shape *s, int64_t *sums)
{
    memset(sums, 0, (size_t)s->n * sizeof *sums);
    switch (type) {
    case CYG_TYPE_U8:
        add_rows(CYG_TYPE_U8, b, s, sums);
        break;
    case CYG_TYPE_S8:
        add_rows(CYG_TYPE_S8, b, s, sums);
        break;
    case CYG_TYPE_S16:
        add_rows(CYG_TYPE_S16, b, s, sums);
        break;
    default:
        add_rows(CYG_TYPE_U16, b, s, sums);
        break;
    }
}

static void pack_matrix(const matmul_run *r, int64_t b_at)
{
    const cyg_kbuf *b = &r->call->in[B];
    const uint8_t *from = (const uint8_t *)b->data + b_at * cyg_int_bytes(b->type);
    double *base = (double *)(void *)(r->base + r->x.base);
    int64_t *sums = (int64_t *)(void *)(r->base + r->x.column_sums);
    for (int plane = 0; plane < r->b_planes; plane++) {
        cyg_igemm_source source = {(const int8_t *)from, r->s.n, NULL};
        if (b->type != CYG_TYPE_S8) {
            split(b->type, from, r->s.k * r->s.n, plane, (int8_t *)(r->base + r->x.split));
            source.w = (const int8_t *)(r->base + r->x.split);
        }
        cyg_igemm_pack_bt(r->g, &source, r->s.n, r->s.k, r->base + r->x.panels[plane]);
    }
    const int64_t factor = offset_of(r->g, r->call->in[A].type) + r->p->a_zero;
    sum_columns(b->type, from, &r->s, sums);
    for (int64_t j = 0; j < r->s.n; j++)
        base[j] = (double)(-factor * (sums[j] - r->s.k * r->p->b_zero));
}

static int64_t sum_row(int32_t type, const void *a, int64_t at, int64_t n)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += cyg_load_q(type, a, at + i);
    return sum;
}

static void finish_row(const matmul_run *r, int64_t slot, int64_t a_at, int64_t y_at)
{
    const cyg_kbuf *a = &r->call->in[A], *y = &r->call->out[0];
    const int64_t factor = left_out_of(r->call->in[B].type) - r->p->b_zero,
                  offset = r->s.k * offset_of(r->g, a->type), step = slot * r->x.columns;
    const double row = (double)(factor * (sum_row(a->type, a->data, a_at, r->s.k) + offset));
    int32_t *sums[4] = {NULL, NULL, NULL, NULL};
    for (int i = 0; i < r->a_planes; i++)
        for (int j = 0; j < r->b_planes; j++)
            sums[2 * i + j] = (int32_t *)(void *)(r->base + r->x.sums[2 * i + j]) + step;
    const cyg_plane_sums planes = {sums[0], {sums[1], sums[2]}, sums[3]};
    float *f = (float *)(void *)sums[0];
    r->call->isa->i_join(&planes, r->s.n, (const double *)(const void *)(r->base + r->x.base), row,
                         f);
    r->call->isa->i_requant(CYG_TYPE_F32, f, r->s.n, 0, r->p->k, &r->p->sat, y->type,
                            (uint8_t *)y->data + y_at * cyg_int_bytes(y->type));
}

static void run_rows(const matmul_run *r, int64_t a_at, int64_t y_at, int64_t rows)
{
    const cyg_kbuf *a = &r->call->in[A];
    const int64_t row = r->x.groups * 4, bytes = cyg_int_bytes(a->type);
    const int32_t *zeros = (const int32_t *)(const void *)(r->base + r->x.zeros);
    for (int64_t i = 0; i < rows; i++)
        cyg_igemm_pack_a(r->g, a->type, (const uint8_t *)a->data + (a_at + i * r->s.k) * bytes,
                         r->s.k, r->base + r->x.a[0] + i * row, r->base + r->x.a[1] + i * row);
    for (int i = 0; i < r->a_planes; i++)
        for (int j = 0; j < r->b_planes; j++)
            cyg_igemm_product(r->g, r->x.groups, r->base + r->x.a[i], r->base + r->x.panels[j],
                              zeros, (int32_t *)(void *)(r->base + r->x.sums[2 * i + j]),
                              r->x.columns, rows, r->s.n);
    for (int64_t i = 0; i < rows; i++)
        finish_row(r, i, a_at + i * r->s.k, y_at + i * r->s.n);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    matmul_run r = {.call = call,
                    .p = call->params,
                    .g = call->isa->igemm(),
                    .s = shape_of(call),
                    .a_planes = planes_of(call->in[A].type),
                    .b_planes = planes_of(call->in[B].type),
                    .base = scratch_memory};
    r.x = space_of(call, &r.s);
    memset(r.base + r.x.zeros, 0, (size_t)r.x.columns * 4);
    int64_t packed = -1;
    for (int64_t item = begin; item < end; item++) {
        const int64_t batch = item / r.s.blocks, first = item % r.s.blocks * ROWS;
        const int64_t last = r.s.m - first < ROWS ? r.s.m : first + ROWS;
        int64_t a_at, b_at;
        cyg_batches_locate(&r.s.batches, batch, &a_at, &b_at);
        if (packed != b_at)
            pack_matrix(&r, b_at);
        packed = b_at;
        for (int64_t row = first; row < last; row += r.g->mr)
            run_rows(&r, a_at + row * r.s.k, (batch * r.s.m + row) * r.s.n,
                     last - row < r.g->mr ? last - row : r.g->mr);
    }
}

/* The specification: one output at a time. */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    (void)scratch_memory;
    const cyg_kp_imatmul *p = call->params;
    const matmul_shape s = shape_of(call);
    const cyg_kbuf *a = &call->in[A], *b = &call->in[B], *y = &call->out[0];
    for (int64_t item = begin; item < end; item++) {
        const int64_t batch = item / s.blocks, first = item % s.blocks * ROWS;
        int64_t a_at, b_at;
        cyg_batches_locate(&s.batches, batch, &a_at, &b_at);
        for (int64_t row = first; row < s.m && row < first + ROWS; row++)
            for (int64_t j = 0; j < s.n; j++) {
                int64_t acc = 0;
                for (int64_t k = 0; k < s.k; k++)
                    acc +=
                        ((int64_t)cyg_load_q(a->type, a->data, a_at + row * s.k + k) - p->a_zero) *
                        ((int64_t)cyg_load_q(b->type, b->data, b_at + k * s.n + j) - p->b_zero);
                cyg_store_out(y->type, y->data, (batch * s.m + row) * s.n + j, &p->sat,
                              (float)(double)acc * p->k);
            }
    }
}

const cyg_kop_info cyg_kop_info_i_matmul = {
    .name = "i_matmul",
    .params_size = sizeof(cyg_kp_imatmul),
    .check = check,
    .items = items,
    .scratch = scratch,
    .run = run,
    .ref = ref,
};

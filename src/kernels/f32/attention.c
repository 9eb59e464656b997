/* f_attention: softmax(c[h] q k^T + bias + mask) v for every image, entry (window) and head; the
 * definition stands in ir/ops.def.
 *
 * An item is one head of one entry of one image. Its keys are packed as panels [d][16 tokens], its
 * values as panels [tokens][16 channels], both through the row table, so windows and shifts cost no
 * movement. Blocks of queries then take: scores (chain over d), softmax of fma(score, c, bias) or
 * score * c, product with v (chain over tokens), rows written where q's came from. cosine: q and k
 * rows are divided by max(L2 norm, 1e-12) first. c = scale * head_scale[h]. A row index or mask
 * index outside its table (only possible when made at run time) reads as a row of zeros and is not
 * written, or means no bias.
 *
 * Masks made at run time join the bias in one row of addends for each query: bias + mask, and where
 * `hide` says so the score gives way to 0 and the addend to hide_fill. */
#include "kernels/f32/gemm.h"
#include "kernels/index.h"

#include <string.h>

enum { QUERIES = 96 };

static const char *check_operand(const cyg_kbuf *b, int64_t rows, int64_t stride, int64_t offset,
                                 int64_t width)
{
    int64_t total;
    CYG_REQUIRE(b->type == CYG_TYPE_F32, "f_attention works on f32");
    CYG_REQUIRE(stride >= 0 && offset >= 0 && offset <= stride && width <= stride - offset,
                "heads lie outside the row");
    CYG_REQUIRE(cyg_mul_i64(rows, stride, &total) && total == cyg_count_of(b),
                "q, k or v has a wrong number of rows");
    return NULL;
}

/* Operand i: absent, or of this type and [E, heads or 1, N or 1, M], E = 1 or all entries. */
static bool fits_scores(const cyg_kcall *call, uint32_t i, cyg_type type)
{
    if (!cyg_has_in(call, i))
        return true;
    const cyg_kp_fattention *f = call->params;
    const cyg_kp_attention *p = &f->at;
    const cyg_kbuf *b = &call->in[i];
    return b->type == (int32_t)type && b->rank == 4 &&
           (b->dims[0] == 1 || b->dims[0] == p->images * p->entries) &&
           (b->dims[1] == 1 || b->dims[1] == p->heads) &&
           (b->dims[2] == 1 || b->dims[2] == p->tokens) && b->dims[3] == f->keys;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 3, 9, 1, 1);
    const cyg_kp_fattention *f = call->params;
    const cyg_kp_attention *p = &f->at;
    int64_t width, out_width, rows, keys, entry_rows, total;
    CYG_REQUIRE(p->heads >= 1 && p->head_dim >= 1 && p->tokens >= 1 && p->entries >= 0 &&
                    p->images >= 0 && f->keys >= 1 && f->value_dim >= 1 &&
                    (f->own_rows != 0 || f->keys == p->tokens),
                "bad attention geometry");
    CYG_REQUIRE(cyg_mul_i64(p->heads, p->head_dim, &width) &&
                    cyg_mul_i64(p->heads, f->value_dim, &out_width) &&
                    cyg_mul_i64(p->tokens, p->entries, &entry_rows) &&
                    cyg_mul_i64(entry_rows, p->images, &rows) &&
                    cyg_mul_i64(f->keys, p->entries, &keys) &&
                    cyg_mul_i64(keys, p->images, &keys) && cyg_mul_i64(rows, out_width, &total) &&
                    p->tokens < (int64_t)1 << 24 && f->keys < (int64_t)1 << 24 &&
                    p->head_dim < (int64_t)1 << 24 && f->value_dim < (int64_t)1 << 24,
                "attention is too large");
    const int64_t strides[3] = {p->q_stride, p->k_stride, p->v_stride};
    const int64_t offsets[3] = {p->q_offset, p->k_offset, p->v_offset};
    for (int i = 0; i < 3; i++) {
        const char *wrong = check_operand(&call->in[i], i == 0 ? rows : keys, strides[i],
                                          offsets[i], i == 2 ? out_width : width);
        if (wrong != NULL)
            return wrong;
    }
    CYG_REQUIRE(call->out[0].type == CYG_TYPE_F32 && cyg_count_of(&call->out[0]) == total,
                "y is not [rows, heads * value_dim]");
    if (cyg_has_in(call, 3)) {
        int64_t table;
        CYG_REQUIRE(call->in[3].type == CYG_TYPE_F32 && p->tables >= 1 &&
                        cyg_mul_i64(p->tokens * f->keys, p->heads, &table) &&
                        cyg_mul_i64(table, p->tables, &table) &&
                        cyg_count_of(&call->in[3]) == table,
                    "bias is not f32 [T, heads, N, M]");
        CYG_REQUIRE(p->tables == 1 || p->tables == p->entries || cyg_has_in(call, 4),
                    "several tables but no mask index");
    }
    if (cyg_has_in(call, 4))
        CYG_REQUIRE(cyg_is_index_type(call->in[4].type) &&
                        cyg_count_of(&call->in[4]) == p->entries &&
                        cyg_index_in_range(&call->in[4], 0, p->tables - 1),
                    "mask index is not [G] with entries below T");
    if (cyg_has_in(call, 5))
        CYG_REQUIRE(cyg_is_index_type(call->in[5].type) &&
                        cyg_count_of(&call->in[5]) == entry_rows &&
                        cyg_index_in_range(&call->in[5], 0, entry_rows - 1),
                    "rows is not [G, N] with entries below G * N");
    if (cyg_has_in(call, 6))
        CYG_REQUIRE(call->in[6].type == CYG_TYPE_F32 && cyg_count_of(&call->in[6]) == p->heads,
                    "head scale is not f32 [heads]");
    CYG_REQUIRE(fits_scores(call, 7, CYG_TYPE_F32), "mask is not f32 [E, heads or 1, N or 1, M]");
    CYG_REQUIRE(fits_scores(call, 8, CYG_TYPE_BOOL), "hide is not bool [E, heads or 1, N or 1, M]");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_attention *p = &((const cyg_kp_fattention *)call->params)->at;
    return p->images * p->entries * p->heads;
}

typedef struct layout { /* floats of an item's scratch */
    int64_t keys, values, queries, scores, score_stride, sums, sum_stride, addends;
} layout;

static layout layout_of(const cyg_kp_fattention *p)
{
    const int64_t n = cyg_div_up(p->keys, 16) * 16, d = cyg_div_up(p->at.head_dim, 16) * 16,
                  wide = cyg_div_up(p->value_dim, 16) * 16;
    layout l = {.keys = n * d,
                .values = n * wide,
                .queries = QUERIES * (d > wide ? d : wide),
                .score_stride = n + 16,
                .sums = QUERIES * wide,
                .sum_stride = wide,
                .addends = n};
    l.scores = QUERIES * l.score_stride;
    return l;
}

static size_t scratch_size(const cyg_kcall *call)
{
    const layout l = layout_of(call->params);
    return (size_t)(l.keys + l.values + l.queries + l.scores + l.sums + l.addends) * sizeof(float);
}

/* Row of token i of entry g within the whole buffer, -1 = none. */
static int64_t row_of(const cyg_kcall *call, int64_t image, int64_t g, int64_t i)
{
    const cyg_kp_attention *p = &((const cyg_kp_fattention *)call->params)->at;
    const int64_t rows = p->entries * p->tokens;
    int64_t row = g * p->tokens + i;
    if (cyg_has_in(call, 5)) {
        row = cyg_index_at(&call->in[5], row);
        if (row < 0 || row >= rows)
            return -1;
    }
    return image * rows + row;
}

/* The same for row j of k and v. */
static int64_t key_row_of(const cyg_kcall *call, int64_t image, int64_t g, int64_t j)
{
    const cyg_kp_fattention *p = call->params;
    return p->own_rows ? (image * p->at.entries + g) * p->keys + j : row_of(call, image, g, j);
}

/* `width` channels of a row, normalised for cosine attention. */
static void load_row(const cyg_kcall *call, uint32_t input, int64_t row, int64_t at, int64_t stride,
                     int64_t width, bool normalise, float *out)
{
    if (row < 0) {
        memset(out, 0, (size_t)width * sizeof(float));
        return;
    }
    const float *from = (const float *)call->in[input].data + row * stride + at;
    if (!normalise) {
        memcpy(out, from, (size_t)width * sizeof(float));
        return;
    }
    const float norm = call->isa->f32_reduce(CYG_REDUCE_L2, width, from);
    const float safe = norm < 1e-12f ? 1e-12f : norm;
    call->isa->f32_binary(CYG_BFN_DIV, width, from, 1, &safe, 0, out);
}

static void pack_keys(const cyg_kcall *call, int64_t image, int64_t g, int64_t h, float *row,
                      float *out)
{
    const cyg_kp_fattention *f = call->params;
    const cyg_kp_attention *p = &f->at;
    const int64_t d = p->head_dim, n = cyg_div_up(f->keys, 16) * 16;
    for (int64_t j = 0; j < n; j++) {
        float *to = out + j / 16 * d * 16 + j % 16;
        if (j < f->keys)
            load_row(call, 1, key_row_of(call, image, g, j), p->k_offset + h * d, p->k_stride, d,
                     p->cosine != 0, row);
        else
            memset(row, 0, (size_t)d * sizeof(float));
        for (int64_t c = 0; c < d; c++)
            to[c * 16] = row[c];
    }
}

static void pack_values(const cyg_kcall *call, int64_t image, int64_t g, int64_t h, float *row,
                        float *out)
{
    const cyg_kp_fattention *f = call->params;
    const cyg_kp_attention *p = &f->at;
    const int64_t d = f->value_dim, wide = cyg_div_up(d, 16) * 16;
    for (int64_t j = 0; j < f->keys; j++) {
        load_row(call, 2, key_row_of(call, image, g, j), p->v_offset + h * d, p->v_stride, d, false,
                 row);
        for (int64_t c = d; c < wide; c++)
            row[c] = 0.0f;
        for (int64_t c = 0; c < wide; c += 16)
            memcpy(out + c * f->keys + j * 16, row + c, 16 * sizeof(float));
    }
}

/* The N x M table of entry g and head h, or NULL. */
static const float *table_of(const cyg_kcall *call, int64_t g, int64_t h)
{
    const cyg_kp_fattention *f = call->params;
    const cyg_kp_attention *p = &f->at;
    if (!cyg_has_in(call, 3))
        return NULL;
    int64_t table = p->tables == 1 ? 0 : g;
    if (cyg_has_in(call, 4))
        table = cyg_index_at(&call->in[4], g);
    if (table < 0 || table >= p->tables)
        return NULL;
    return (const float *)call->in[3].data + (table * p->heads + h) * p->tokens * f->keys;
}

/* First element of query i's row of mask or hide, for entry e of all images and head h. */
static int64_t mask_row(const cyg_kcall *call, uint32_t input, int64_t e, int64_t h, int64_t i)
{
    const int64_t *dims = call->in[input].dims;
    return (((dims[0] == 1 ? 0 : e) * dims[1] + (dims[1] == 1 ? 0 : h)) * dims[2] +
            (dims[2] == 1 ? 0 : i)) *
           dims[3];
}

/* What is added to the row of scores, NULL = nothing; hidden scores become 0. */
static const float *addends(const cyg_kcall *call, int64_t e, int64_t h, int64_t i,
                            const float *bias, float *scores, float *sum)
{
    const cyg_kp_fattention *p = call->params;
    const float *mask = NULL;
    if (cyg_has_in(call, 7))
        mask = (const float *)call->in[7].data + mask_row(call, 7, e, h, i);
    if (mask != NULL && bias != NULL) {
        call->isa->f32_binary(CYG_BFN_ADD, p->keys, bias, 1, mask, 1, sum);
        bias = sum;
    } else if (mask != NULL) {
        bias = mask;
    }
    if (!cyg_has_in(call, 8))
        return bias;
    const uint8_t *hide = (const uint8_t *)call->in[8].data + mask_row(call, 8, e, h, i);
    for (int64_t j = 0; j < p->keys; j++) {
        const bool hidden = (hide[j] != 0) == (p->hide_when != 0);
        sum[j] = hidden ? p->hide_fill : bias != NULL ? bias[j] : 0.0f;
        scores[j] = hidden ? 0.0f : scores[j];
    }
    return sum;
}

static void run_head(const cyg_kcall *call, int64_t e, int64_t h, float *scratch)
{
    const cyg_kp_fattention *f = call->params;
    const cyg_kp_attention *p = &f->at;
    const layout l = layout_of(f);
    const int64_t image = e / p->entries, g = e % p->entries;
    const int64_t d = p->head_dim, n = f->keys, d_wide = cyg_div_up(d, 16) * 16;
    float *keys = scratch, *values = keys + l.keys, *queries = values + l.values;
    float *scores = queries + l.queries, *sums = scores + l.scores, *sum = sums + l.sums;
    const float c =
        cyg_has_in(call, 6) ? p->scale * ((const float *)call->in[6].data)[h] : p->scale;
    const float *bias = table_of(call, g, h);
    pack_keys(call, image, g, h, queries, keys);
    pack_values(call, image, g, h, queries, values);
    for (int64_t i0 = 0; i0 < p->tokens; i0 += QUERIES) {
        const int64_t m = cyg_min64(QUERIES, p->tokens - i0);
        for (int64_t i = 0; i < m; i++)
            load_row(call, 0, row_of(call, image, g, i0 + i), p->q_offset + h * d, p->q_stride, d,
                     p->cosine != 0, queries + i * d_wide);
        call->isa->f32_gemm(m, n, d, queries, d_wide, keys, d * 16, scores, l.score_stride, 0);
        for (int64_t i = 0; i < m; i++) {
            float *row = scores + i * l.score_stride;
            const float *own = bias != NULL ? bias + (i0 + i) * n : NULL;
            call->isa->f32_softmax(n, row, c, addends(call, e, h, i0 + i, own, row, sum), 0, row);
            for (int64_t j = 0; f->zero_nan && j < n; j++)
                row[j] = row[j] != row[j] ? 0.0f : row[j];
        }
        call->isa->f32_gemm(m, f->value_dim, n, scores, l.score_stride, values, n * 16, sums,
                            l.sum_stride, 0);
        for (int64_t i = 0; i < m; i++) {
            const int64_t row = row_of(call, image, g, i0 + i);
            if (row >= 0)
                memcpy((float *)call->out[0].data + (row * p->heads + h) * f->value_dim,
                       sums + i * l.sum_stride, (size_t)f->value_dim * sizeof(float));
        }
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_attention *p = &((const cyg_kp_fattention *)call->params)->at;
    for (int64_t item = begin; item < end; item++)
        run_head(call, item / p->heads, item % p->heads, scratch);
}

const cyg_kop_info cyg_kop_info_f_attention = {
    .name = "f_attention",
    .params_size = sizeof(cyg_kp_fattention),
    .check = check,
    .items = items,
    .scratch = scratch_size,
    .run = run,
};

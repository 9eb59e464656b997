/* i_attention: softmax(q k^T) v on exact integers, per image, batch entry and head
 * (docs/numerics.md, Attention).
 *
 * An item is at most 64 query rows of one (image, entry, head). Its keys are packed as panels for
 * the tile kernel (columns = tokens) and its values transposed (columns = channels), so both
 * products run on i_linear's tile kernel: q x K gives the sums of a block of query rows, the row
 * kernels make t, its maximum and the integers e, and e x V gives o. Signed q on u8 x s8 kernels:
 * 128 * (sum of a key) goes into the bias, as in gemm.h. 16-bit e: two products, o = 256 H + L.
 *
 * Rows of q, k, v, y are addressed by the table rows[entry][token] (a window is a batch entry) or,
 * without it, in order. Tables are constants, checked once. */
#include <string.h>

#include "kernels/int/arith.h"
#include "kernels/int/attention.h"
#include "kernels/int/check.h"
#include "kernels/int/gemm.h"

enum { Q, K, V, C, A, BIAS, MASK_INDEX, ROWS };
enum { MAX_TOKENS = 65000, MAX_DIM = 4096 };

static const char *check_operand(const cyg_kbuf *b, int64_t rows, int64_t stride, int64_t offset,
                                 int64_t used)
{
    int64_t elements;
    CYG_WANT(b->type == CYG_TYPE_S8, "q, k and v must be s8");
    CYG_WANT(stride >= 1 && offset >= 0 && used <= stride && offset <= stride - used,
             "channels of q, k or v leave their rows");
    CYG_WANT(!__builtin_mul_overflow(rows, stride, &elements) && cyg_elements(b) == elements,
             "q, k or v has not as many elements as its rows need");
    return NULL;
}

static const char *check_tables(const cyg_kcall *call, const cyg_kp_attention *at)
{
    const cyg_kbuf *bias = cyg_optional(call, BIAS), *mask = cyg_optional(call, MASK_INDEX);
    const cyg_kbuf *rows = cyg_optional(call, ROWS);
    CYG_WANT((bias == NULL) == (at->tables == 0),
             "bias tables and their count contradict each other");
    if (bias != NULL) {
        int64_t elements;
        CYG_WANT(at->tables >= 1 && at->tables <= INT32_MAX, "number of bias tables out of range");
        CYG_WANT(
            !__builtin_mul_overflow(at->tables * at->heads, at->tokens * at->tokens, &elements),
            "bias tables are too large");
        CYG_WANT_OK(cyg_check_constant(bias, CYG_TYPE_F32, elements));
        CYG_WANT(mask != NULL || at->tables == 1 || at->tables == at->entries,
                 "no mask index chooses among the tables");
    }
    if (mask != NULL) {
        CYG_WANT_OK(cyg_check_constant(mask, CYG_TYPE_S64, at->entries));
        const int64_t *index = mask->data;
        for (int64_t i = 0; bias != NULL && i < at->entries; i++)
            CYG_WANT(index[i] >= 0 && index[i] < at->tables, "a mask index is out of range");
    }
    if (rows != NULL) {
        const int64_t count = at->entries * at->tokens;
        CYG_WANT_OK(cyg_check_constant(rows, CYG_TYPE_S64, count));
        const int64_t *row = rows->data;
        for (int64_t i = 0; i < count; i++)
            CYG_WANT(row[i] >= 0 && row[i] < count, "a row index is out of range");
    }
    return NULL;
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_iattention *p = call->params;
    const cyg_kp_attention *at = &p->at;
    const int64_t limit = (int64_t)1 << 30;
    CYG_WANT_OK(cyg_check_counts(call, 5, 8));
    CYG_WANT(at->heads >= 1 && at->heads <= MAX_DIM && at->head_dim >= 1 &&
                 at->head_dim <= MAX_DIM && at->tokens >= 1 && at->tokens <= MAX_TOKENS,
             "heads, dimensions or tokens out of range");
    CYG_WANT(at->entries >= 1 && at->entries <= limit && at->images >= 0 && at->images <= limit,
             "entries or images out of range");
    CYG_WANT(p->e_bits == 8 || p->e_bits == 16, "e has 8 or 16 bits");
    int64_t rows;
    const int64_t used = at->heads * at->head_dim;
    CYG_WANT(!__builtin_mul_overflow(at->entries * at->tokens, at->images, &rows), "too many rows");
    CYG_WANT_OK(check_operand(&call->in[Q], rows, at->q_stride, at->q_offset, used));
    CYG_WANT_OK(check_operand(&call->in[K], rows, at->k_stride, at->k_offset, used));
    CYG_WANT_OK(check_operand(&call->in[V], rows, at->v_stride, at->v_offset, used));
    CYG_WANT_OK(cyg_check_constant(&call->in[C], CYG_TYPE_F32, at->heads));
    CYG_WANT_OK(cyg_check_constant(&call->in[A], CYG_TYPE_F32, at->heads));
    CYG_WANT_OK(check_tables(call, at));
    int64_t outputs;
    CYG_WANT(!__builtin_mul_overflow(rows, used, &outputs) &&
                 cyg_elements(&call->out[0]) == outputs,
             "y has the wrong number of elements");
    CYG_WANT(call->out[0].type != CYG_TYPE_F32, "the output's type is not supported");
    return cyg_check_sat(&p->sat, call->out[0].type);
}

static int64_t blocks_of(const cyg_kp_attention *at)
{
    return (at->tokens + CYG_ATTENTION_ROWS - 1) / CYG_ATTENTION_ROWS;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_attention *at = &((const cyg_kp_iattention *)call->params)->at;
    return at->images * at->entries * at->heads * blocks_of(at);
}

cyg_attention_item cyg_attention_item_of(const cyg_kcall *call, int64_t item)
{
    const cyg_kp_attention *at = &((const cyg_kp_iattention *)call->params)->at;
    const int64_t group = item / blocks_of(at), block = item % blocks_of(at);
    const int64_t head = group % at->heads, entry = group / at->heads % at->entries;
    const int64_t image = group / at->heads / at->entries, image_rows = at->entries * at->tokens;
    const int64_t *rows = cyg_optional_data(call, ROWS),
                  *mask = cyg_optional_data(call, MASK_INDEX);
    const float *bias = cyg_optional_data(call, BIAS);
    const int64_t first = image * image_rows + (rows == NULL ? entry * at->tokens : 0);
    const int64_t channel = head * at->head_dim;
    cyg_attention_item it = {.group = group, .first = block * CYG_ATTENTION_ROWS, .head = head};
    it.count =
        at->tokens - it.first < CYG_ATTENTION_ROWS ? at->tokens - it.first : CYG_ATTENTION_ROWS;
    it.rows = rows == NULL ? NULL : rows + entry * at->tokens;
    it.q = (const int8_t *)call->in[Q].data + first * at->q_stride + at->q_offset + channel;
    it.k = (const int8_t *)call->in[K].data + first * at->k_stride + at->k_offset + channel;
    it.v = (const int8_t *)call->in[V].data + first * at->v_stride + at->v_offset + channel;
    it.y_at = first * at->heads * at->head_dim + channel;
    if (bias != NULL) {
        const int64_t table = mask != NULL ? mask[entry] : at->tables == 1 ? 0 : entry;
        it.bias = bias + (table * at->heads + head) * at->tokens * at->tokens;
    }
    return it;
}

int64_t cyg_attention_squares(const int8_t *row, int64_t n)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += row[i] * row[i];
    return sum;
}

/* ---- run
 * ---------------------------------------------------------------------------------------------------------
 */

/* Scratch of a worker; offsets in bytes, each 64-aligned. */
typedef struct attention_space {
    int64_t qk_groups, pv_groups, key_columns, value_columns;
    size_t keys, values, key_bias, zeros, key_norms, q, sums, t, e, e_lo, e_hi, o_lo, o_hi, size;
} attention_space;

static size_t take(size_t *at, int64_t bytes)
{
    const size_t here = *at;
    *at += ((size_t)bytes + 63) / 64 * 64;
    return here;
}

static attention_space space_of(const cyg_kcall *call)
{
    const cyg_kp_attention *at = &((const cyg_kp_iattention *)call->params)->at;
    const cyg_igemm *g = call->isa->igemm();
    attention_space s = {0};
    const cyg_igemm_layout keys = cyg_igemm_layout_of(g, CYG_TYPE_S8, at->tokens, at->head_dim);
    const cyg_igemm_layout values = cyg_igemm_layout_of(g, CYG_TYPE_S8, at->head_dim, at->tokens);
    s.qk_groups = keys.groups;
    s.pv_groups = values.groups;
    s.key_columns = keys.padded;
    s.value_columns = values.padded;
    size_t end = 0;
    s.keys = take(&end, keys.padded * keys.groups * 4);
    s.values = take(&end, values.padded * values.groups * 4);
    s.key_bias = take(&end, keys.padded * 4);
    s.zeros = take(&end, values.padded * 4);
    s.key_norms = take(&end, at->tokens * 4);
    s.q = take(&end, keys.groups * 4 * g->mr);
    s.sums = take(&end, keys.padded * 4 * g->mr);
    s.t = take(&end, at->tokens * 4);
    s.e = take(&end, at->tokens * 2);
    s.e_lo = take(&end, values.groups * 4 * g->mr);
    s.e_hi = take(&end, values.groups * 4 * g->mr);
    s.o_lo = take(&end, values.padded * 4 * g->mr);
    s.o_hi = take(&end, values.padded * 4 * g->mr);
    s.size = end;
    return s;
}

static size_t scratch(const cyg_kcall *call)
{
    return space_of(call).size;
}

/* One worker's view of its scratch. */
typedef struct attention_run {
    const cyg_kcall *call;
    const cyg_kp_iattention *p;
    const cyg_igemm *g;
    attention_space s;
    uint8_t *base;
} attention_run;

static void pack_keys_and_values(const attention_run *r, const cyg_attention_item *it)
{
    const cyg_kp_attention *at = &r->p->at;
    int32_t *key_bias = (int32_t *)(void *)(r->base + r->s.key_bias);
    const cyg_igemm_source keys = {it->k, at->k_stride, it->rows},
                           values = {it->v, at->v_stride, it->rows};
    cyg_igemm_pack_b(r->g, &keys, at->tokens, at->head_dim, r->base + r->s.keys);
    cyg_igemm_signed_bias(r->g, r->s.qk_groups, r->base + r->s.keys, at->tokens, r->base + r->s.q,
                          (int32_t *)(void *)(r->base + r->s.sums), key_bias);
    cyg_igemm_pack_bt(r->g, &values, at->head_dim, at->tokens, r->base + r->s.values);
    if (at->cosine) {
        float *norms = (float *)(void *)(r->base + r->s.key_norms);
        for (int64_t j = 0; j < at->tokens; j++)
            norms[j] = cyg_inverse_norm(cyg_attention_squares(
                it->k + cyg_attention_row(it, j) * at->k_stride, at->head_dim));
    }
}

/* e of one query row from its sums, packed as a row of A; returns sum e. */
static int64_t weigh_row(const attention_run *r, const cyg_attention_item *it, int64_t i,
                         const int32_t *sums, uint8_t *lo, uint8_t *hi)
{
    const cyg_kp_attention *at = &r->p->at;
    const struct cyg_kernels *isa = r->call->isa;
    float *t = (float *)(void *)(r->base + r->s.t);
    uint16_t *e = (uint16_t *)(void *)(r->base + r->s.e);
    const float *norms =
        at->cosine ? (const float *)(const void *)(r->base + r->s.key_norms) : NULL;
    const float norm = at->cosine
                           ? cyg_inverse_norm(cyg_attention_squares(
                                 it->q + cyg_attention_row(it, i) * at->q_stride, at->head_dim))
                           : 1.0f;
    const float *bias = it->bias == NULL ? NULL : it->bias + i * at->tokens;
    const float t_max = isa->i_scores(
        sums, at->tokens, ((const float *)r->call->in[C].data)[it->head], bias, norms, norm, t);
    if (r->p->e_bits == 16) {
        const int64_t sum = isa->i_exp(t, at->tokens, t_max, 65535.0f, CYG_TYPE_U16, e);
        cyg_igemm_pack_a(r->g, CYG_TYPE_U16, e, at->tokens, lo, hi);
        return sum;
    }
    /* 8 bits: what i_exp writes is a packed row already, but for its tail. */
    const int64_t sum =
        isa->i_exp(t, at->tokens, t_max, 255.0f, r->g->wide ? CYG_TYPE_U16 : CYG_TYPE_U8, lo);
    const int64_t used = at->tokens * (r->g->wide ? 2 : 1);
    memset(lo + used, 0, (size_t)(r->s.pv_groups * 4 - used));
    return sum;
}

static void finish_row(const attention_run *r, const cyg_attention_item *it, int64_t i, int64_t sum,
                       int32_t *lo, const int32_t *hi)
{
    const cyg_kp_attention *at = &r->p->at;
    const int32_t y_type = r->call->out[0].type;
    const float k = ((const float *)r->call->in[A].data)[it->head] / (float)sum;
    const int64_t to = it->y_at + cyg_attention_row(it, i) * at->heads * at->head_dim;
    const int wide = r->p->e_bits == 16;
    for (int64_t d = 0; wide && d < at->head_dim; d++) {
        const float o = (float)(256 * (int64_t)hi[d] + lo[d]);
        memcpy(&lo[d], &o, 4);
    }
    r->call->isa->i_requant(wide ? CYG_TYPE_F32 : CYG_TYPE_S32, lo, at->head_dim, 0, k, &r->p->sat,
                            y_type, (uint8_t *)r->call->out[0].data + to * cyg_int_bytes(y_type));
}

static void run_rows(const attention_run *r, const cyg_attention_item *it, int64_t first,
                     int64_t count)
{
    const cyg_kp_attention *at = &r->p->at;
    const attention_space *s = &r->s;
    const int64_t q_row = s->qk_groups * 4, e_row = s->pv_groups * 4;
    int32_t *sums = (int32_t *)(void *)(r->base + s->sums);
    int32_t *o_lo = (int32_t *)(void *)(r->base + s->o_lo),
            *o_hi = (int32_t *)(void *)(r->base + s->o_hi);
    const int32_t *zeros = (const int32_t *)(const void *)(r->base + s->zeros);
    int64_t totals[CYG_IGEMM_MAX_ROWS];
    for (int64_t i = 0; i < count; i++)
        cyg_igemm_pack_a(r->g, CYG_TYPE_S8, it->q + cyg_attention_row(it, first + i) * at->q_stride,
                         at->head_dim, r->base + s->q + i * q_row, NULL);
    cyg_igemm_product(r->g, s->qk_groups, r->base + s->q, r->base + s->keys,
                      (const int32_t *)(void *)(r->base + s->key_bias), sums, s->key_columns, count,
                      at->tokens);
    for (int64_t i = 0; i < count; i++)
        totals[i] = weigh_row(r, it, first + i, sums + i * s->key_columns,
                              r->base + s->e_lo + i * e_row, r->base + s->e_hi + i * e_row);
    cyg_igemm_product(r->g, s->pv_groups, r->base + s->e_lo, r->base + s->values, zeros, o_lo,
                      s->value_columns, count, at->head_dim);
    if (r->p->e_bits == 16)
        cyg_igemm_product(r->g, s->pv_groups, r->base + s->e_hi, r->base + s->values, zeros, o_hi,
                          s->value_columns, count, at->head_dim);
    for (int64_t i = 0; i < count; i++)
        finish_row(r, it, first + i, totals[i], o_lo + i * s->value_columns,
                   o_hi + i * s->value_columns);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    const cyg_kp_iattention *p = call->params;
    const attention_run r = {call, p, call->isa->igemm(), space_of(call), scratch_memory};
    memset(r.base + r.s.zeros, 0, (size_t)r.s.value_columns * 4);
    int64_t packed = -1;
    for (int64_t item = begin; item < end; item++) {
        const cyg_attention_item it = cyg_attention_item_of(call, item);
        if (it.group != packed)
            pack_keys_and_values(&r, &it);
        packed = it.group;
        for (int64_t i = 0; i < it.count; i += r.g->mr)
            run_rows(&r, &it, it.first + i, it.count - i < r.g->mr ? it.count - i : r.g->mr);
    }
}

const cyg_kop_info cyg_kop_info_i_attention = {
    .name = "i_attention",
    .params_size = sizeof(cyg_kp_iattention),
    .check = check,
    .items = items,
    .scratch = scratch,
    .run = run,
    .ref = cyg_attention_ref,
    .ref_scratch = cyg_attention_ref_scratch,
};

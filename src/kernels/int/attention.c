/* i_attention: softmax(q k^T) v on exact integers, per image, batch entry and head
 * (docs/numerics.md, Attention).
 *
 * An item is at most 64 query rows of one (image, entry, head). Its keys are packed as panels for
 * the tile kernel (columns = tokens) and its values transposed (columns = channels), so both
 * products run on i_linear's tile kernel: q x K gives the sums of a block of query rows, the row
 * kernels make t, its maximum and the integers e, and e x V gives o. Signed q on u8 x s8 kernels:
 * 128 * (sum of a key) goes into the bias, as in gemm.h.
 *
 * 16-bit operands are planes of 8 bits, and each pair of planes is one product: q and e as in
 * gemm.h, k and v as 256 high + low + 128 with low in -128..127, so that both planes are s8 over
 * the whole range of s16. What that 128 and the offset of q leave out is one number a row (128 *
 * sum of q, of e) and one a key, added when the planes are joined (i_join).
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
    CYG_WANT(b->type == CYG_TYPE_S8 || b->type == CYG_TYPE_S16, "q, k and v must be s8 or s16");
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
    const int64_t q_bytes = cyg_int_bytes(call->in[Q].type),
                  k_bytes = cyg_int_bytes(call->in[K].type),
                  v_bytes = cyg_int_bytes(call->in[V].type);
    it.q_row = at->q_stride * q_bytes;
    it.k_row = at->k_stride * k_bytes;
    it.v_row = at->v_stride * v_bytes;
    it.q =
        (const uint8_t *)call->in[Q].data + first * it.q_row + (at->q_offset + channel) * q_bytes;
    it.k =
        (const uint8_t *)call->in[K].data + first * it.k_row + (at->k_offset + channel) * k_bytes;
    it.v =
        (const uint8_t *)call->in[V].data + first * it.v_row + (at->v_offset + channel) * v_bytes;
    it.y_at = first * at->heads * at->head_dim + channel;
    if (bias != NULL) {
        const int64_t table = mask != NULL ? mask[entry] : at->tables == 1 ? 0 : entry;
        it.bias = bias + (table * at->heads + head) * at->tokens * at->tokens;
    }
    return it;
}

CYG_INLINE int64_t sum_of(int32_t type, const void *row, int64_t n, int power)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t v = cyg_load_q(type, row, i);
        sum += power == 2 ? v * v : v;
    }
    return sum;
}

int64_t cyg_attention_sum(int32_t type, const void *row, int64_t n, int power)
{
    if (type == CYG_TYPE_S8)
        return power == 2 ? sum_of(CYG_TYPE_S8, row, n, 2) : sum_of(CYG_TYPE_S8, row, n, 1);
    return power == 2 ? sum_of(CYG_TYPE_S16, row, n, 2) : sum_of(CYG_TYPE_S16, row, n, 1);
}

/* ---- run
 * ---------------------------------------------------------------------------------------------------------
 */

/* Scratch of a worker; offsets in bytes, each 64-aligned. [2]: low or only plane, high plane. A sum
 * is one of A's plane a and B's plane b, at [2 a + b]. */
typedef struct attention_space {
    int64_t qk_groups, pv_groups, key_columns, value_columns;
    size_t split, keys[2], values[2], key_bias, key_base, zeros, key_norms, q[2], sums[4], t, e,
        weights[2], o[4], size;
} attention_space;

static size_t take(size_t *at, int64_t bytes)
{
    const size_t here = *at;
    *at += ((size_t)bytes + 63) / 64 * 64;
    return here;
}

static int planes_of(int32_t type)
{
    return cyg_is_16bit(type) ? 2 : 1;
}

static attention_space space_of(const cyg_kcall *call)
{
    const cyg_kp_iattention *p = call->params;
    const cyg_kp_attention *at = &p->at;
    const cyg_igemm *g = call->isa->igemm();
    const int q = planes_of(call->in[Q].type), k = planes_of(call->in[K].type),
              v = planes_of(call->in[V].type), e = p->e_bits / 8;
    attention_space s = {0};
    const cyg_igemm_layout keys = cyg_igemm_layout_of(g, CYG_TYPE_S8, at->tokens, at->head_dim);
    const cyg_igemm_layout values = cyg_igemm_layout_of(g, CYG_TYPE_S8, at->head_dim, at->tokens);
    s.qk_groups = keys.groups;
    s.pv_groups = values.groups;
    s.key_columns = keys.padded;
    s.value_columns = values.padded;
    size_t end = 0;
    s.split = take(&end, k + v > 2 ? 2 * at->tokens * at->head_dim : 0);
    s.key_bias = take(&end, keys.padded * 4);
    s.key_base = take(&end, q + k > 2 ? keys.padded * 8 : 0);
    s.zeros = take(&end, values.padded * 4);
    s.key_norms = take(&end, at->tokens * 4);
    s.t = take(&end, at->tokens * 4);
    s.e = take(&end, at->tokens * 2);
    for (int i = 0; i < k; i++)
        s.keys[i] = take(&end, keys.padded * keys.groups * 4);
    for (int i = 0; i < v; i++)
        s.values[i] = take(&end, values.padded * values.groups * 4);
    for (int i = 0; i < q; i++)
        s.q[i] = take(&end, keys.groups * 4 * g->mr);
    for (int i = 0; i < e; i++)
        s.weights[i] = take(&end, values.groups * 4 * g->mr);
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
            s.sums[2 * a + b] = take(&end, a < q && b < k ? keys.padded * 4 * g->mr : 0);
            s.o[2 * a + b] = take(&end, a < e && b < v ? values.padded * 4 * g->mr : 0);
        }
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
    int q_planes, k_planes, v_planes, e_planes;
    attention_space s;
    uint8_t *base;
} attention_run;

/* Plane `high` of a 16-bit operand's rows, [tokens, head_dim]. */
static const int8_t *split_rows(const attention_run *r, const cyg_attention_item *it,
                                const uint8_t *(*row_of)(const cyg_attention_item *, int64_t),
                                int high)
{
    const int64_t n = r->p->at.head_dim;
    int8_t *to = (int8_t *)(r->base + r->s.split) + (high ? r->p->at.tokens * n : 0);
    for (int64_t j = 0; j < r->p->at.tokens; j++) {
        const int16_t *from = (const int16_t *)(const void *)row_of(it, j);
        for (int64_t i = 0; i < n; i++)
            to[j * n + i] = (int8_t)(high ? from[i] >> 8 : (from[i] & 255) - 128);
    }
    return (const int8_t *)(r->base + r->s.split) + (high ? r->p->at.tokens * n : 0);
}

static const uint8_t *row_of_k(const cyg_attention_item *it, int64_t token)
{
    return cyg_attention_k(it, token);
}

static const uint8_t *row_of_v(const cyg_attention_item *it, int64_t token)
{
    return cyg_attention_v(it, token);
}

/* What the offset of q adds to a key's sums, taken off: -128 * (sum of a key) of 8-bit q, -32768 *
 * that of 16-bit q. As the products' bias where both are 8 bits wide (made by the tile kernel from
 * a row of 128), else for the join. */
static void correct_keys(const attention_run *r, const cyg_attention_item *it)
{
    const int64_t columns = r->p->at.tokens;
    int32_t *bias = (int32_t *)(void *)(r->base + r->s.key_bias);
    double *base = (double *)(void *)(r->base + r->s.key_base);
    if (r->q_planes + r->k_planes == 2) {
        cyg_igemm_signed_bias(r->g, r->s.qk_groups, r->base + r->s.keys[0], columns,
                              r->base + r->s.q[0], (int32_t *)(void *)(r->base + r->s.sums[0]),
                              bias);
        return;
    }
    memset(bias, 0, (size_t)r->s.key_columns * 4);
    const double offset = r->g->wide ? 0.0 : r->q_planes == 2 ? -32768.0 : -128.0;
    for (int64_t j = 0; j < columns; j++)
        base[j] = offset * (double)cyg_attention_sum(r->call->in[K].type, cyg_attention_k(it, j),
                                                     r->p->at.head_dim, 1);
}

static void pack_keys_and_values(const attention_run *r, const cyg_attention_item *it)
{
    const cyg_kp_attention *at = &r->p->at;
    for (int plane = 0; plane < r->k_planes; plane++) {
        cyg_igemm_source keys = {(const int8_t *)it->k, it->k_row, it->rows};
        if (r->k_planes == 2)
            keys = (cyg_igemm_source){split_rows(r, it, row_of_k, plane), at->head_dim, NULL};
        cyg_igemm_pack_b(r->g, &keys, at->tokens, at->head_dim, r->base + r->s.keys[plane]);
    }
    correct_keys(r, it);
    for (int plane = 0; plane < r->v_planes; plane++) {
        cyg_igemm_source values = {(const int8_t *)it->v, it->v_row, it->rows};
        if (r->v_planes == 2)
            values = (cyg_igemm_source){split_rows(r, it, row_of_v, plane), at->head_dim, NULL};
        cyg_igemm_pack_bt(r->g, &values, at->head_dim, at->tokens, r->base + r->s.values[plane]);
    }
    if (at->cosine) {
        float *norms = (float *)(void *)(r->base + r->s.key_norms);
        for (int64_t j = 0; j < at->tokens; j++)
            norms[j] = cyg_inverse_norm(
                cyg_attention_sum(r->call->in[K].type, cyg_attention_k(it, j), at->head_dim, 2));
    }
}

/* Sums of planes at columns of row i; planes that are not there stay NULL. `low` is the first sum.
 */
static cyg_plane_sums planes_at(const attention_run *r, const size_t at[4], int a_planes,
                                int b_planes, int64_t i, int64_t columns)
{
    const int32_t *sums[4] = {NULL, NULL, NULL, NULL};
    for (int a = 0; a < a_planes; a++)
        for (int b = 0; b < b_planes; b++)
            sums[2 * a + b] =
                (const int32_t *)(const void *)(r->base + at[2 * a + b]) + i * columns;
    const cyg_plane_sums s = {sums[0], {sums[1], sums[2]}, sums[3]};
    return s;
}

/* Scores of query i: sums to floats where an operand has planes; their type. */
static int32_t join_scores(const attention_run *r, const cyg_attention_item *it, int64_t i,
                           int64_t slot, void *first)
{
    const int64_t n = r->p->at.head_dim;
    const int32_t q_type = r->call->in[Q].type;
    if (r->q_planes + r->k_planes == 2)
        return CYG_TYPE_S32;
    double row = 0.0;
    if (r->k_planes == 2) { /* 128 times what was packed of q */
        const int64_t offset = r->g->wide ? 0 : r->q_planes == 2 ? 32768 : 128;
        row =
            128.0 * (double)(cyg_attention_sum(q_type, cyg_attention_q(it, i), n, 1) + offset * n);
    }
    const cyg_plane_sums sums =
        planes_at(r, r->s.sums, r->q_planes, r->k_planes, slot, r->s.key_columns);
    r->call->isa->i_join(&sums, r->p->at.tokens,
                         (const double *)(const void *)(r->base + r->s.key_base), row, first);
    return CYG_TYPE_F32;
}

/* e of one query row from its sums, packed as a row of A; returns sum e. */
static int64_t weigh_row(const attention_run *r, const cyg_attention_item *it, int64_t i,
                         int64_t slot)
{
    const cyg_kp_attention *at = &r->p->at;
    const struct cyg_kernels *isa = r->call->isa;
    const int64_t row = r->s.pv_groups * 4;
    uint8_t *lo = r->base + r->s.weights[0] + slot * row;
    float *t = (float *)(void *)(r->base + r->s.t);
    uint16_t *e = (uint16_t *)(void *)(r->base + r->s.e);
    void *sums = r->base + r->s.sums[0] + slot * r->s.key_columns * 4;
    const float *norms =
        at->cosine ? (const float *)(const void *)(r->base + r->s.key_norms) : NULL;
    const float norm =
        at->cosine ? cyg_inverse_norm(cyg_attention_sum(r->call->in[Q].type, cyg_attention_q(it, i),
                                                        at->head_dim, 2))
                   : 1.0f;
    const float *bias = it->bias == NULL ? NULL : it->bias + i * at->tokens;
    const int32_t type = join_scores(r, it, i, slot, sums);
    const float t_max =
        isa->i_scores(type, sums, at->tokens, ((const float *)r->call->in[C].data)[it->head], bias,
                      norms, norm, t);
    if (r->e_planes == 2) {
        const int64_t sum = isa->i_exp(t, at->tokens, t_max, 65535.0f, CYG_TYPE_U16, e);
        cyg_igemm_pack_a(r->g, CYG_TYPE_U16, e, at->tokens, lo,
                         r->base + r->s.weights[1] + slot * row);
        return sum;
    }
    /* 8 bits: what i_exp writes is a packed row already, but for its tail. */
    const int64_t sum =
        isa->i_exp(t, at->tokens, t_max, 255.0f, r->g->wide ? CYG_TYPE_U16 : CYG_TYPE_U8, lo);
    const int64_t used = at->tokens * (r->g->wide ? 2 : 1);
    memset(lo + used, 0, (size_t)(row - used));
    return sum;
}

static void finish_row(const attention_run *r, const cyg_attention_item *it, int64_t i, int64_t sum,
                       int64_t slot)
{
    const cyg_kp_attention *at = &r->p->at;
    const int32_t y_type = r->call->out[0].type;
    const float k = ((const float *)r->call->in[A].data)[it->head] / (float)sum;
    const int64_t to = it->y_at + cyg_attention_row(it, i) * at->heads * at->head_dim;
    void *o = r->base + r->s.o[0] + slot * r->s.value_columns * 4;
    const int wide = r->e_planes + r->v_planes > 2;
    if (wide) {
        const cyg_plane_sums sums =
            planes_at(r, r->s.o, r->e_planes, r->v_planes, slot, r->s.value_columns);
        r->call->isa->i_join(&sums, at->head_dim, NULL,
                             r->v_planes == 2 ? 128.0 * (double)sum : 0.0, o);
    }
    r->call->isa->i_requant(wide ? CYG_TYPE_F32 : CYG_TYPE_S32, o, at->head_dim, 0, k, &r->p->sat,
                            y_type, (uint8_t *)r->call->out[0].data + to * cyg_int_bytes(y_type));
}

static void run_rows(const attention_run *r, const cyg_attention_item *it, int64_t first,
                     int64_t count)
{
    const cyg_kp_attention *at = &r->p->at;
    const attention_space *s = &r->s;
    const int64_t q_row = s->qk_groups * 4;
    const int32_t *zeros = (const int32_t *)(const void *)(r->base + s->zeros),
                  *key_bias = (const int32_t *)(const void *)(r->base + s->key_bias);
    int64_t totals[CYG_IGEMM_MAX_ROWS];
    for (int64_t i = 0; i < count; i++)
        cyg_igemm_pack_a(r->g, r->call->in[Q].type, cyg_attention_q(it, first + i), at->head_dim,
                         r->base + s->q[0] + i * q_row, r->base + s->q[1] + i * q_row);
    for (int a = 0; a < r->q_planes; a++)
        for (int b = 0; b < r->k_planes; b++)
            cyg_igemm_product(r->g, s->qk_groups, r->base + s->q[a], r->base + s->keys[b], key_bias,
                              (int32_t *)(void *)(r->base + s->sums[2 * a + b]), s->key_columns,
                              count, at->tokens);
    for (int64_t i = 0; i < count; i++)
        totals[i] = weigh_row(r, it, first + i, i);
    for (int a = 0; a < r->e_planes; a++)
        for (int b = 0; b < r->v_planes; b++)
            cyg_igemm_product(r->g, s->pv_groups, r->base + s->weights[a], r->base + s->values[b],
                              zeros, (int32_t *)(void *)(r->base + s->o[2 * a + b]),
                              s->value_columns, count, at->head_dim);
    for (int64_t i = 0; i < count; i++)
        finish_row(r, it, first + i, totals[i], i);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    const cyg_kp_iattention *p = call->params;
    const attention_run r = {.call = call,
                             .p = p,
                             .g = call->isa->igemm(),
                             .q_planes = planes_of(call->in[Q].type),
                             .k_planes = planes_of(call->in[K].type),
                             .v_planes = planes_of(call->in[V].type),
                             .e_planes = p->e_bits / 8,
                             .s = space_of(call),
                             .base = scratch_memory};
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

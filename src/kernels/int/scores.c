/* i_scores: the exact sums q k^T of attention for some entries, heads and query rows: the first
 * part of i_attention (parts.h, attention.c). s32; where q or k has 16 bits f32, rounded once, as
 * i_attention rounds them before it scales. */
#include <string.h>

#include "kernels/int/arith.h"
#include "kernels/int/gemm.h"
#include "kernels/int/parts.h"

enum { Q, K, Q_ROWS, K_ROWS };

typedef struct scores_shape {
    const cyg_kp_attention *at;
    int64_t queries, groups, columns;
    size_t keys, key_bias, key_rows, q, sums, size; /* scratch of a worker, 64-aligned offsets */
} scores_shape;

static scores_shape shape_of(const cyg_kcall *call)
{
    const cyg_kp_iattention_part *p = call->params;
    const cyg_igemm *g = call->isa->igemm();
    const cyg_igemm_layout keys = cyg_igemm_layout_of(g, CYG_TYPE_S8, p->at.tokens, p->at.head_dim);
    scores_shape s = {.at = &p->at,
                      .queries = cyg_part_queries(&p->at, p->queries),
                      .groups = keys.groups,
                      .columns = keys.padded};
    s.keys = cyg_part_take(&s.size, keys.padded * keys.groups * 4);
    s.key_bias = cyg_part_take(&s.size, keys.padded * 4);
    s.key_rows = cyg_part_take(&s.size, p->at.tokens * 8);
    s.q = cyg_part_take(&s.size, keys.groups * 4 * g->mr);
    s.sums = cyg_part_take(&s.size, keys.padded * 4 * g->mr);
    return s;
}

static int is_wide(const cyg_kcall *call)
{
    return cyg_is_16bit(call->in[Q].type) || cyg_is_16bit(call->in[K].type);
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_iattention_part *p = call->params;
    const cyg_kp_attention *at = &p->at;
    CYG_WANT_OK(cyg_check_counts(call, 2, 4));
    CYG_WANT_OK(cyg_check_part(at, p->queries));
    const int64_t queries = cyg_part_queries(at, p->queries);
    CYG_WANT_OK(cyg_check_rows(&call->in[Q], cyg_optional(call, Q_ROWS), at, queries, at->q_stride,
                               at->q_offset));
    CYG_WANT_OK(cyg_check_rows(&call->in[K], cyg_optional(call, K_ROWS), at, at->tokens,
                               at->k_stride, at->k_offset));
    CYG_WANT(call->out[0].type == (is_wide(call) ? CYG_TYPE_F32 : CYG_TYPE_S32),
             "sums must be s32, or f32 of 16-bit q or k");
    return cyg_check_square(&call->out[0], at, queries, at->tokens);
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_iattention_part *p = call->params;
    return p->at.entries * p->at.heads * cyg_part_blocks(cyg_part_queries(&p->at, p->queries));
}

static size_t scratch(const cyg_kcall *call)
{
    return shape_of(call).size;
}

static void pack_keys(const cyg_kcall *call, const scores_shape *s, const cyg_part_item *it,
                      uint8_t *base)
{
    const cyg_igemm *g = call->isa->igemm();
    const cyg_kp_attention *at = s->at;
    int64_t *rows = (int64_t *)(void *)(base + s->key_rows);
    for (int64_t j = 0; j < at->tokens; j++)
        rows[j] = cyg_part_row(cyg_optional(call, K_ROWS), it->entry * at->tokens + j);
    const cyg_igemm_source from = {(const int8_t *)call->in[K].data + at->k_offset +
                                       it->head * at->head_dim,
                                   at->k_stride, rows};
    cyg_igemm_pack_b(g, &from, at->tokens, at->head_dim, base + s->keys);
    cyg_igemm_signed_bias(g, s->groups, base + s->keys, at->tokens, base + s->q,
                          (int32_t *)(void *)(base + s->sums),
                          (int32_t *)(void *)(base + s->key_bias));
}

static void run_rows(const cyg_kcall *call, const scores_shape *s, const cyg_part_item *it,
                     int64_t first, int64_t count, uint8_t *base)
{
    const cyg_igemm *g = call->isa->igemm();
    const cyg_kp_attention *at = s->at;
    const int8_t *q = (const int8_t *)call->in[Q].data + at->q_offset + it->head * at->head_dim;
    int32_t *sums = (int32_t *)(void *)(base + s->sums), *y = call->out[0].data;
    for (int64_t i = 0; i < count; i++) {
        const int64_t row =
            cyg_part_row(cyg_optional(call, Q_ROWS), it->entry * s->queries + first + i);
        cyg_igemm_pack_a(g, CYG_TYPE_S8, q + row * at->q_stride, at->head_dim,
                         base + s->q + i * s->groups * 4, NULL);
    }
    cyg_igemm_product(g, s->groups, base + s->q, base + s->keys,
                      (const int32_t *)(const void *)(base + s->key_bias), sums, s->columns, count,
                      at->tokens);
    for (int64_t i = 0; i < count; i++)
        memcpy(y + (it->group * s->queries + first + i) * at->tokens, sums + i * s->columns,
               (size_t)at->tokens * 4);
}

/* One sum at a time, of rows of any width. The types are constants in each loop. */
CYG_INLINE int64_t dot_of(int32_t q_type, const void *q, int64_t q_at, int32_t k_type,
                          const void *k, int64_t k_at, int64_t n)
{
    int64_t sum = 0;
    for (int64_t d = 0; d < n; d++)
        sum += (int64_t)cyg_load_q(q_type, q, q_at + d) * cyg_load_q(k_type, k, k_at + d);
    return sum;
}

static int64_t dot(const cyg_kbuf *q, int64_t q_at, const cyg_kbuf *k, int64_t k_at, int64_t n)
{
    if (q->type == CYG_TYPE_S8 && k->type == CYG_TYPE_S8)
        return dot_of(CYG_TYPE_S8, q->data, q_at, CYG_TYPE_S8, k->data, k_at, n);
    if (q->type == CYG_TYPE_S16 && k->type == CYG_TYPE_S16)
        return dot_of(CYG_TYPE_S16, q->data, q_at, CYG_TYPE_S16, k->data, k_at, n);
    return dot_of(q->type, q->data, q_at, k->type, k->data, k_at, n);
}

/* The specification, and what runs for 16 bits. */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    (void)scratch_memory;
    const cyg_kp_iattention_part *p = call->params;
    const cyg_kp_attention *at = &p->at;
    const int64_t queries = cyg_part_queries(at, p->queries);
    const int wide = is_wide(call);
    for (int64_t item = begin; item < end; item++) {
        const cyg_part_item it = cyg_part_item_of(at, queries, item);
        for (int64_t i = it.first; i < it.first + it.count; i++) {
            const int64_t q_row = cyg_part_row(cyg_optional(call, Q_ROWS), it.entry * queries + i);
            const int64_t q = q_row * at->q_stride + at->q_offset + it.head * at->head_dim;
            for (int64_t j = 0; j < at->tokens; j++) {
                const int64_t k_row =
                    cyg_part_row(cyg_optional(call, K_ROWS), it.entry * at->tokens + j);
                const int64_t k = k_row * at->k_stride + at->k_offset + it.head * at->head_dim;
                const int64_t sum = dot(&call->in[Q], q, &call->in[K], k, at->head_dim);
                const int64_t to = (it.group * queries + i) * at->tokens + j;
                if (wide)
                    ((float *)call->out[0].data)[to] = (float)(double)sum;
                else
                    ((int32_t *)call->out[0].data)[to] = (int32_t)sum;
            }
        }
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    if (is_wide(call)) {
        ref(call, begin, end, scratch_memory);
        return;
    }
    const scores_shape s = shape_of(call);
    const int64_t mr = call->isa->igemm()->mr;
    int64_t packed = -1;
    for (int64_t item = begin; item < end; item++) {
        const cyg_part_item it = cyg_part_item_of(s.at, s.queries, item);
        if (it.group != packed)
            pack_keys(call, &s, &it, scratch_memory);
        packed = it.group;
        for (int64_t i = 0; i < it.count; i += mr)
            run_rows(call, &s, &it, it.first + i, it.count - i < mr ? it.count - i : mr,
                     scratch_memory);
    }
}

const cyg_kop_info cyg_kop_info_i_scores = {
    .name = "i_scores",
    .params_size = sizeof(cyg_kp_iattention_part),
    .check = check,
    .items = items,
    .scratch = scratch,
    .run = run,
    .ref = ref,
};

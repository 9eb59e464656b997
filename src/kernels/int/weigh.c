/* i_weigh: attention's sums to the unnormalised probabilities e and each row's factor A[h] /
 * (float)L: the second part of i_attention (parts.h, attention.c). Cosine attention takes the
 * norms of q's and k's rows here, hence these operands. */
#include "kernels/dispatch.h"
#include "kernels/int/arith.h"
#include "kernels/int/attention.h"
#include "kernels/int/parts.h"

enum { SUMS, C, A, BIAS, MASK_INDEX, Q, K, Q_ROWS, K_ROWS };
enum { E, F };

static const char *check_tables(const cyg_kcall *call, const cyg_kp_attention *at, int64_t queries)
{
    const cyg_kbuf *bias = cyg_optional(call, BIAS), *mask = cyg_optional(call, MASK_INDEX);
    CYG_WANT((bias == NULL) == (at->tables == 0),
             "bias tables and their count contradict each other");
    if (bias != NULL) {
        int64_t elements;
        CYG_WANT(at->tables >= 1 && at->tables <= INT32_MAX, "number of bias tables out of range");
        CYG_WANT(!__builtin_mul_overflow(at->tables * at->heads, queries * at->tokens, &elements),
                 "bias tables are too large");
        CYG_WANT_OK(cyg_check_constant(bias, CYG_TYPE_F32, elements));
        CYG_WANT(mask != NULL || at->tables == 1 || at->tables == at->entries,
                 "no mask index chooses among the tables");
    }
    return cyg_check_row_table(mask, at->entries, bias != NULL ? at->tables : INT32_MAX);
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_iattention_part *p = call->params;
    const cyg_kp_attention *at = &p->at;
    CYG_WANT(call->in_count >= 3 && call->in_count <= 9, "wrong number of inputs");
    CYG_WANT(call->out_count == 2, "two outputs expected");
    for (uint32_t i = 0; i < call->in_count; i++)
        CYG_WANT(call->in[i].type == CYG_TYPE_NONE || cyg_elements(&call->in[i]) >= 0,
                 "an input's shape is out of range");
    CYG_WANT_OK(cyg_check_part(at, p->queries));
    const int64_t queries = cyg_part_queries(at, p->queries);
    CYG_WANT(call->in[SUMS].type == CYG_TYPE_S32 || call->in[SUMS].type == CYG_TYPE_F32,
             "sums must be s32 or f32");
    CYG_WANT_OK(cyg_check_square(&call->in[SUMS], at, queries, at->tokens));
    CYG_WANT_OK(cyg_check_constant(&call->in[C], CYG_TYPE_F32, at->heads));
    CYG_WANT_OK(cyg_check_constant(&call->in[A], CYG_TYPE_F32, at->heads));
    CYG_WANT_OK(check_tables(call, at, queries));
    if (at->cosine) {
        CYG_WANT(cyg_optional(call, Q) != NULL && cyg_optional(call, K) != NULL,
                 "cosine attention needs q and k");
        CYG_WANT_OK(cyg_check_rows(&call->in[Q], cyg_optional(call, Q_ROWS), at, queries,
                                   at->q_stride, at->q_offset));
        CYG_WANT_OK(cyg_check_rows(&call->in[K], cyg_optional(call, K_ROWS), at, at->tokens,
                                   at->k_stride, at->k_offset));
    }
    CYG_WANT(call->out[E].type == CYG_TYPE_U8 || call->out[E].type == CYG_TYPE_U16,
             "e must be u8 or u16");
    CYG_WANT_OK(cyg_check_square(&call->out[E], at, queries, at->tokens));
    CYG_WANT(call->out[F].type == CYG_TYPE_F32, "the rows' factors must be f32");
    return cyg_check_square(&call->out[F], at, queries, 1);
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_iattention_part *p = call->params;
    return p->at.entries * p->at.heads * cyg_part_blocks(cyg_part_queries(&p->at, p->queries));
}

/* t f32 [tokens], norms of keys f32 [tokens]. */
static size_t scratch(const cyg_kcall *call)
{
    const cyg_kp_iattention_part *p = call->params;
    return ((size_t)p->at.tokens * 8 + 63) / 64 * 64;
}

static float norm_of(const cyg_kcall *call, uint32_t operand, uint32_t table, int64_t at,
                     int64_t stride, int64_t channel, int64_t channels)
{
    const int64_t row = cyg_part_row(cyg_optional(call, table), at);
    const int32_t type = call->in[operand].type;
    const uint8_t *x =
        (const uint8_t *)call->in[operand].data + (row * stride + channel) * cyg_int_bytes(type);
    return cyg_inverse_norm(cyg_attention_sum(type, x, channels, 2));
}

/* The table of one (entry, head), or NULL. */
static const float *bias_of(const cyg_kcall *call, const cyg_kp_attention *at, int64_t queries,
                            const cyg_part_item *it)
{
    const float *bias = cyg_optional_data(call, BIAS);
    const cyg_kbuf *mask = cyg_optional(call, MASK_INDEX);
    if (bias == NULL)
        return NULL;
    const int64_t table = mask != NULL      ? cyg_part_row(mask, it->entry)
                          : at->tables == 1 ? 0
                                            : it->entry;
    return bias + (table * at->heads + it->head) * queries * at->tokens;
}

static void run_with(const struct cyg_kernels *isa, const cyg_kcall *call, int64_t begin,
                     int64_t end, void *scratch_memory)
{
    const cyg_kp_iattention_part *p = call->params;
    const cyg_kp_attention *at = &p->at;
    const int64_t queries = cyg_part_queries(at, p->queries), n = at->tokens;
    const int32_t e_type = call->out[E].type;
    const float q_full = e_type == CYG_TYPE_U8 ? 255.0f : 65535.0f;
    float *t = scratch_memory, *norms = t + n;
    int64_t normed = -1;
    for (int64_t item = begin; item < end; item++) {
        const cyg_part_item it = cyg_part_item_of(at, queries, item);
        const int64_t channel = it.head * at->head_dim;
        const float *bias = bias_of(call, at, queries, &it);
        for (int64_t j = 0; at->cosine && normed != it.group && j < n; j++)
            norms[j] = norm_of(call, K, K_ROWS, it.entry * n + j, at->k_stride,
                               at->k_offset + channel, at->head_dim);
        normed = it.group;
        for (int64_t i = it.first; i < it.first + it.count; i++) {
            const int64_t row = it.group * queries + i;
            const float norm = at->cosine
                                   ? norm_of(call, Q, Q_ROWS, it.entry * queries + i, at->q_stride,
                                             at->q_offset + channel, at->head_dim)
                                   : 1.0f;
            const float t_max = isa->i_scores(
                call->in[SUMS].type, (const uint8_t *)call->in[SUMS].data + row * n * 4, n,
                ((const float *)call->in[C].data)[it.head], bias == NULL ? NULL : bias + i * n,
                at->cosine ? norms : NULL, norm, t);
            const int64_t sum =
                isa->i_exp(t, n, t_max, q_full, e_type,
                           (uint8_t *)call->out[E].data + row * n * cyg_int_bytes(e_type));
            ((float *)call->out[F].data)[row] =
                ((const float *)call->in[A].data)[it.head] / (float)sum;
        }
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    run_with(call->isa, call, begin, end, scratch_memory);
}

/* The plain C rows are the specification's (rows_c.c). */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    run_with(cyg_kernels_for(0), call, begin, end, scratch_memory);
}

const cyg_kop_info cyg_kop_info_i_weigh = {
    .name = "i_weigh",
    .params_size = sizeof(cyg_kp_iattention_part),
    .check = check,
    .items = items,
    .scratch = scratch,
    .run = run,
    .ref = ref,
    .ref_scratch = scratch,
};

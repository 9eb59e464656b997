/* i_attention's specification: row by row, operands as they lie, formulas as in docs/numerics.md.
 */
#include "kernels/int/arith.h"
#include "kernels/int/attention.h"
#include "kernels/params.h"

/* t f32 [tokens], e s32 [tokens] */
size_t cyg_attention_ref_scratch(const cyg_kcall *call)
{
    const cyg_kp_iattention *p = call->params;
    return ((size_t)p->at.tokens * 8 + 63) / 64 * 64;
}

CYG_INLINE int64_t dot_of(int32_t a_type, const void *a, int32_t b_type, const void *b, int64_t n)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (int64_t)cyg_load_q(a_type, a, i) * cyg_load_q(b_type, b, i);
    return sum;
}

/* The types are constants in each loop. */
static int64_t dot(int32_t a_type, const void *a, int32_t b_type, const void *b, int64_t n)
{
    if (a_type == CYG_TYPE_S8)
        return b_type == CYG_TYPE_S8 ? dot_of(CYG_TYPE_S8, a, CYG_TYPE_S8, b, n)
                                     : dot_of(CYG_TYPE_S8, a, CYG_TYPE_S16, b, n);
    return b_type == CYG_TYPE_S8 ? dot_of(CYG_TYPE_S16, a, CYG_TYPE_S8, b, n)
                                 : dot_of(CYG_TYPE_S16, a, CYG_TYPE_S16, b, n);
}

/* t of query i against all keys; returns the maximum. */
static float scores(const cyg_kcall *call, const cyg_attention_item *it, float c, int64_t i,
                    float *t)
{
    const cyg_kp_attention *at = &((const cyg_kp_iattention *)call->params)->at;
    const int32_t q_type = call->in[0].type, k_type = call->in[1].type;
    const int64_t n = at->head_dim;
    const uint8_t *q = cyg_attention_q(it, i);
    const float q_norm = cyg_inverse_norm(cyg_attention_sum(q_type, q, n, 2));
    float t_max = -CYG_INFINITY;
    for (int64_t j = 0; j < at->tokens; j++) {
        const uint8_t *k = cyg_attention_k(it, j);
        float f = (float)(double)dot(q_type, q, k_type, k, n);
        if (at->cosine)
            f = (f * q_norm) * cyg_inverse_norm(cyg_attention_sum(k_type, k, n, 2));
        t[j] = cyg_fmaf(f, c, it->bias == NULL ? 0.0f : it->bias[i * at->tokens + j]);
        t_max = cyg_maxf(t[j], t_max);
    }
    return t_max;
}

void cyg_attention_ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_kp_iattention *p = call->params;
    const cyg_kp_attention *at = &p->at;
    const int32_t v_type = call->in[2].type;
    float *t = scratch;
    int32_t *e = (int32_t *)(void *)(t + at->tokens);
    for (int64_t item = begin; item < end; item++) {
        const cyg_attention_item it = cyg_attention_item_of(call, item);
        const float c = ((const float *)call->in[3].data)[it.head],
                    a = ((const float *)call->in[4].data)[it.head];
        for (int64_t i = it.first; i < it.first + it.count; i++) {
            const float t_max = scores(call, &it, c, i, t);
            int64_t sum = 0;
            for (int64_t j = 0; j < at->tokens; j++) {
                e[j] = cyg_exp_int(t[j] - t_max, p->e_bits == 8 ? 255.0f : 65535.0f);
                sum += e[j];
            }
            const float k = a / (float)sum;
            const int64_t to = it.y_at + cyg_attention_row(&it, i) * at->heads * at->head_dim;
            for (int64_t d = 0; d < at->head_dim; d++) {
                int64_t o = 0;
                for (int64_t j = 0; j < at->tokens; j++)
                    o += (int64_t)e[j] * cyg_load_q(v_type, cyg_attention_v(&it, j), d);
                cyg_store_out(call->out[0].type, call->out[0].data, to + d, &p->sat,
                              (float)(double)o * k);
            }
        }
    }
}

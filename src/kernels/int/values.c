/* i_values: probabilities times v, a factor for each row, saturation: the last part of i_attention
 * (parts.h, attention.c). With y_rows only the rows that it names are written. */
#include <string.h>

#include "kernels/int/arith.h"
#include "kernels/int/gemm.h"
#include "kernels/int/parts.h"

enum { E, V, F, V_ROWS, Y_ROWS };

typedef struct values_shape {
    const cyg_kp_attention *at;
    int64_t queries, groups, columns;
    int wide;                                                       /* e of 16 bits */
    size_t values, value_rows, zeros, e_lo, e_hi, o_lo, o_hi, size; /* scratch of a worker */
} values_shape;

static values_shape shape_of(const cyg_kcall *call)
{
    const cyg_kp_ivalues *p = call->params;
    const cyg_igemm *g = call->isa->igemm();
    const cyg_igemm_layout values =
        cyg_igemm_layout_of(g, CYG_TYPE_S8, p->at.head_dim, p->at.tokens);
    values_shape s = {.at = &p->at,
                      .queries = cyg_part_queries(&p->at, p->queries),
                      .groups = values.groups,
                      .columns = values.padded,
                      .wide = call->in[E].type == CYG_TYPE_U16};
    s.values = cyg_part_take(&s.size, values.padded * values.groups * 4);
    s.value_rows = cyg_part_take(&s.size, p->at.tokens * 8);
    s.zeros = cyg_part_take(&s.size, values.padded * 4);
    s.e_lo = cyg_part_take(&s.size, values.groups * 4 * g->mr);
    s.e_hi = cyg_part_take(&s.size, values.groups * 4 * g->mr);
    s.o_lo = cyg_part_take(&s.size, values.padded * 4 * g->mr);
    s.o_hi = cyg_part_take(&s.size, values.padded * 4 * g->mr);
    return s;
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_ivalues *p = call->params;
    const cyg_kp_attention *at = &p->at;
    const cyg_kbuf *y = &call->out[0];
    CYG_WANT_OK(cyg_check_counts(call, 3, 5));
    CYG_WANT_OK(cyg_check_part(at, p->queries));
    const int64_t queries = cyg_part_queries(at, p->queries), used = at->heads * at->head_dim;
    CYG_WANT(call->in[E].type == CYG_TYPE_U8 || call->in[E].type == CYG_TYPE_U16,
             "e must be u8 or u16");
    CYG_WANT_OK(cyg_check_square(&call->in[E], at, queries, at->tokens));
    CYG_WANT_OK(cyg_check_rows(&call->in[V], cyg_optional(call, V_ROWS), at, at->tokens,
                               at->v_stride, at->v_offset));
    CYG_WANT(call->in[F].type == CYG_TYPE_F32, "the rows' factors must be f32");
    CYG_WANT_OK(cyg_check_square(&call->in[F], at, queries, 1));
    const int64_t rows = at->entries * queries;
    CYG_WANT(cyg_elements(y) % used == 0 &&
                 (cyg_optional(call, Y_ROWS) != NULL || cyg_elements(y) / used == rows),
             "y has the wrong number of elements");
    CYG_WANT_OK(cyg_check_row_table(cyg_optional(call, Y_ROWS), rows, cyg_elements(y) / used));
    CYG_WANT(y->type != CYG_TYPE_F32, "the output's type is not supported");
    return cyg_check_sat(&p->sat, y->type);
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_ivalues *p = call->params;
    return p->at.entries * p->at.heads * cyg_part_blocks(cyg_part_queries(&p->at, p->queries));
}

static void pack_values(const cyg_kcall *call, const values_shape *s, const cyg_part_item *it,
                        uint8_t *base)
{
    const cyg_kp_attention *at = s->at;
    int64_t *rows = (int64_t *)(void *)(base + s->value_rows);
    for (int64_t j = 0; j < at->tokens; j++)
        rows[j] = cyg_part_row(cyg_optional(call, V_ROWS), it->entry * at->tokens + j);
    const cyg_igemm_source from = {(const int8_t *)call->in[V].data + at->v_offset +
                                       it->head * at->head_dim,
                                   at->v_stride, rows};
    cyg_igemm_pack_bt(call->isa->igemm(), &from, at->head_dim, at->tokens, base + s->values);
}

/* Where query i of an item goes in y, in elements. */
static int64_t y_at(const cyg_kcall *call, const cyg_kp_attention *at, int64_t queries,
                    const cyg_part_item *it, int64_t i)
{
    const int64_t row = cyg_part_row(cyg_optional(call, Y_ROWS), it->entry * queries + i);
    return (row * at->heads + it->head) * at->head_dim;
}

static void run_rows(const cyg_kcall *call, const values_shape *s, const cyg_part_item *it,
                     int64_t first, int64_t count, uint8_t *base)
{
    const cyg_kp_ivalues *p = call->params;
    const cyg_igemm *g = call->isa->igemm();
    const cyg_kp_attention *at = s->at;
    const int64_t e_row = s->groups * 4, row0 = it->group * s->queries + first;
    const int32_t e_type = call->in[E].type, y_type = call->out[0].type;
    const uint8_t *e =
        (const uint8_t *)call->in[E].data + row0 * at->tokens * cyg_int_bytes(e_type);
    const float *f = (const float *)call->in[F].data + row0;
    int32_t *lo = (int32_t *)(void *)(base + s->o_lo), *hi = (int32_t *)(void *)(base + s->o_hi);
    const int32_t *zeros = (const int32_t *)(const void *)(base + s->zeros);
    for (int64_t i = 0; i < count; i++)
        cyg_igemm_pack_a(g, e_type, e + i * at->tokens * cyg_int_bytes(e_type), at->tokens,
                         base + s->e_lo + i * e_row, base + s->e_hi + i * e_row);
    cyg_igemm_product(g, s->groups, base + s->e_lo, base + s->values, zeros, lo, s->columns, count,
                      at->head_dim);
    if (s->wide)
        cyg_igemm_product(g, s->groups, base + s->e_hi, base + s->values, zeros, hi, s->columns,
                          count, at->head_dim);
    for (int64_t i = 0; i < count; i++) {
        int32_t *o = lo + i * s->columns;
        for (int64_t d = 0; s->wide && d < at->head_dim; d++) {
            const float v = (float)(256 * (int64_t)hi[i * s->columns + d] + o[d]);
            memcpy(&o[d], &v, 4);
        }
        call->isa->i_requant(s->wide ? CYG_TYPE_F32 : CYG_TYPE_S32, o, at->head_dim, 0, f[i],
                             &p->sat, y_type,
                             (uint8_t *)call->out[0].data +
                                 y_at(call, at, s->queries, it, first + i) * cyg_int_bytes(y_type));
    }
}

/* Sums of a query's channels from its e, [head_dim]. The types are constants in each loop. */
CYG_INLINE void weigh_rows(const cyg_kcall *call, int32_t e_type, int32_t v_type, int64_t e_at,
                           const cyg_part_item *it, int64_t *o)
{
    const cyg_kp_attention *at = &((const cyg_kp_ivalues *)call->params)->at;
    for (int64_t d = 0; d < at->head_dim; d++)
        o[d] = 0;
    for (int64_t j = 0; j < at->tokens; j++) {
        const int64_t e = cyg_load_q(e_type, call->in[E].data, e_at + j);
        const int64_t row = cyg_part_row(cyg_optional(call, V_ROWS), it->entry * at->tokens + j);
        const int64_t v = row * at->v_stride + at->v_offset + it->head * at->head_dim;
        for (int64_t d = 0; d < at->head_dim; d++)
            o[d] += e * cyg_load_q(v_type, call->in[V].data, v + d);
    }
}

/* The specification, and what runs for 16-bit v. */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    const cyg_kp_ivalues *p = call->params;
    const cyg_kp_attention *at = &p->at;
    const int64_t queries = cyg_part_queries(at, p->queries);
    const int32_t e_type = call->in[E].type, v_type = call->in[V].type;
    int64_t *o = scratch_memory;
    for (int64_t item = begin; item < end; item++) {
        const cyg_part_item it = cyg_part_item_of(at, queries, item);
        for (int64_t i = it.first; i < it.first + it.count; i++) {
            const int64_t row = it.group * queries + i, to = y_at(call, at, queries, &it, i);
            const float k = ((const float *)call->in[F].data)[row];
            if (e_type == CYG_TYPE_U8 && v_type == CYG_TYPE_S8)
                weigh_rows(call, CYG_TYPE_U8, CYG_TYPE_S8, row * at->tokens, &it, o);
            else if (e_type == CYG_TYPE_U16 && v_type == CYG_TYPE_S16)
                weigh_rows(call, CYG_TYPE_U16, CYG_TYPE_S16, row * at->tokens, &it, o);
            else
                weigh_rows(call, e_type, v_type, row * at->tokens, &it, o);
            for (int64_t d = 0; d < at->head_dim; d++)
                cyg_store_out(call->out[0].type, call->out[0].data, to + d, &p->sat,
                              (float)(double)o[d] * k);
        }
    }
}

static size_t ref_scratch(const cyg_kcall *call)
{
    return (size_t)((const cyg_kp_ivalues *)call->params)->at.head_dim * sizeof(int64_t);
}

static size_t scratch(const cyg_kcall *call)
{
    return cyg_is_16bit(call->in[V].type) ? ref_scratch(call) : shape_of(call).size;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    if (cyg_is_16bit(call->in[V].type)) {
        ref(call, begin, end, scratch_memory);
        return;
    }
    const values_shape s = shape_of(call);
    const int64_t mr = call->isa->igemm()->mr;
    uint8_t *base = scratch_memory;
    memset(base + s.zeros, 0, (size_t)s.columns * 4);
    int64_t packed = -1;
    for (int64_t item = begin; item < end; item++) {
        const cyg_part_item it = cyg_part_item_of(s.at, s.queries, item);
        if (it.group != packed)
            pack_values(call, &s, &it, base);
        packed = it.group;
        for (int64_t i = 0; i < it.count; i += mr)
            run_rows(call, &s, &it, it.first + i, it.count - i < mr ? it.count - i : mr, base);
    }
}

const cyg_kop_info cyg_kop_info_i_values = {
    .name = "i_values",
    .params_size = sizeof(cyg_kp_ivalues),
    .check = check,
    .items = items,
    .scratch = scratch,
    .run = run,
    .ref = ref,
    .ref_scratch = ref_scratch,
};

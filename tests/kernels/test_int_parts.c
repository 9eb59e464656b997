/* The operators that are parts of others (i_scores, i_weigh, i_values; i_act) against the whole:
 * one after another, for any cut into entries, heads and query rows, they give the bytes of
 * i_attention and i_linear, at every ISA level. */
#include "int_calls.h"

/* Runs a call at a level, split, and compares with its own specification on the way. */
static void run_level(kh_call *c, int level)
{
    const cyg_kop_info *info = cyg_kop_info_of(c->call.op);
    const char *complaint = info->check(&c->call);
    if (complaint != NULL)
        fail_msg("%s: check says \"%s\"", info->name, complaint);
    kh_execute(c, CYG_CPU_C, 2, 1);
    const size_t size = c->out_memory.size, second = c->second_memory.size;
    uint8_t *want = malloc(size + second + 1);
    assert_non_null(want);
    memcpy(want, c->out_memory.data, size);
    if (second > 0)
        memcpy(want + size, c->second_memory.data, second);
    kh_execute(c, level, 2, 0);
    kh_compare(c, want, "against ref", level);
    if (second > 0)
        assert_memory_equal(want + size, c->second_memory.data, second);
    free(want);
}

static void *copy_in(kh_call *c, int32_t type, int is_const, const void *data, int32_t rank,
                     const int64_t *dims)
{
    void *to = kh_in(c, type, is_const, rank, dims);
    memcpy(to, data, (size_t)(kh_elements(&c->in[c->call.in_count - 1]) * kh_type_bytes(type)));
    return to;
}

/* One cut of an attention: entries [g0, g0 + g), heads [h0, h0 + h), queries [q0, q0 + q). */
typedef struct cut {
    const kh_call *whole;
    const cyg_kp_iattention *p;
    int64_t g0, g, h0, h, q0, q;
    int32_t e_bits;
    int level;
} cut;

static cyg_kp_attention part_at(const cut *k)
{
    cyg_kp_attention at = k->p->at;
    at.entries = k->g;
    at.heads = k->h;
    at.images = 1;
    at.q_offset += k->h0 * at.head_dim;
    at.k_offset += k->h0 * at.head_dim;
    at.v_offset += k->h0 * at.head_dim;
    return at;
}

/* Row tables of the cut, always given (rows of the whole buffer): [g, q] and [g, N], s32 or s64. */
static void table_in(kh_call *c, const cut *k, int64_t first, int64_t count, int32_t type)
{
    const cyg_kp_attention *at = &k->p->at;
    const int64_t *rows = k->whole->in[7].data;
    void *to = kh_in(c, type, 1, KH_DIMS(k->g, count));
    for (int64_t g = 0; g < k->g; g++)
        for (int64_t i = 0; i < count; i++) {
            const int64_t entry = k->g0 + g,
                          in_image = entry % at->entries * at->tokens + first + i;
            const int64_t row = entry / at->entries * at->entries * at->tokens +
                                (rows != NULL ? rows[in_image] : in_image);
            if (type == CYG_TYPE_S32)
                ((int32_t *)to)[g * count + i] = (int32_t)row;
            else
                ((int64_t *)to)[g * count + i] = row;
        }
}

static void rows_in(kh_call *c, const cut *k, int i)
{
    const cyg_kbuf *b = &k->whole->in[i];
    copy_in(c, b->type, 0, b->data, 2, b->dims);
}

static void scores_of(const cut *k, kh_call *c)
{
    const cyg_kp_iattention_part p = {.at = part_at(k), .queries = k->q};
    kh_begin(c, CYG_KOP_i_scores, &p, sizeof p);
    rows_in(c, k, 0);
    rows_in(c, k, 1);
    const int32_t type = IC_PICK(CYG_TYPE_S32, CYG_TYPE_S64);
    table_in(c, k, k->q0, k->q, type);
    table_in(c, k, 0, p.at.tokens, type);
    const bool wide = k->whole->in[0].type == CYG_TYPE_S16 || k->whole->in[1].type == CYG_TYPE_S16;
    kh_out(c, wide ? CYG_TYPE_F32 : CYG_TYPE_S32, KH_DIMS(k->g, k->h, k->q, p.at.tokens));
    run_level(c, k->level);
}

/* The bias tables of the cut's heads and queries; table numbers stay. */
static void bias_in(kh_call *c, const cut *k)
{
    const cyg_kp_attention *at = &k->p->at;
    const int64_t n = at->tokens;
    float *to = kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(at->tables, k->h, k->q, n));
    for (int64_t t = 0; t < at->tables; t++)
        for (int64_t h = 0; h < k->h; h++)
            memcpy(to + (t * k->h + h) * k->q * n,
                   (const float *)k->whole->in[5].data +
                       ((t * at->heads + k->h0 + h) * n + k->q0) * n,
                   (size_t)(k->q * n) * 4);
}

static void weigh_of(const cut *k, const kh_call *scores, kh_call *c)
{
    const cyg_kp_iattention_part p = {.at = part_at(k), .queries = k->q};
    const int64_t n = p.at.tokens;
    kh_begin(c, CYG_KOP_i_weigh, &p, sizeof p);
    copy_in(c, scores->out[0].type, 0, scores->out[0].data, KH_DIMS(k->g, k->h, k->q, n));
    for (int i = 3; i < 5; i++)
        copy_in(c, CYG_TYPE_F32, 1, (const float *)k->whole->in[i].data + k->h0, KH_DIMS(k->h));
    if (p.at.tables > 0) {
        bias_in(c, k);
        int64_t *mask = kh_in(c, CYG_TYPE_S64, 1, KH_DIMS(k->g));
        const int64_t *from = k->whole->in[6].data;
        for (int64_t g = 0; g < k->g; g++) {
            const int64_t entry = (k->g0 + g) % k->p->at.entries;
            mask[g] = from != NULL ? from[entry] : p.at.tables == 1 ? 0 : entry;
        }
    } else {
        kh_in(c, CYG_TYPE_NONE, 0, KH_DIMS(0));
        kh_in(c, CYG_TYPE_NONE, 0, KH_DIMS(0));
    }
    if (p.at.cosine) {
        rows_in(c, k, 0);
        rows_in(c, k, 1);
        table_in(c, k, k->q0, k->q, CYG_TYPE_S32);
        table_in(c, k, 0, n, CYG_TYPE_S64);
    }
    kh_out(c, k->e_bits == 8 ? CYG_TYPE_U8 : CYG_TYPE_U16, KH_DIMS(k->g, k->h, k->q, n));
    kh_second_out(c, CYG_TYPE_F32, KH_DIMS(k->g, k->h, k->q));
    run_level(c, k->level);
}

/* y of the cut's heads in all rows, of which only the cut's are written. */
static void values_of(const cut *k, const kh_call *weigh, kh_call *c)
{
    const cyg_kp_ivalues p = {.at = part_at(k), .queries = k->q, .sat = k->p->sat};
    const int64_t n = p.at.tokens;
    kh_begin(c, CYG_KOP_i_values, &p, sizeof p);
    copy_in(c, weigh->out[0].type, 0, weigh->out[0].data, KH_DIMS(k->g, k->h, k->q, n));
    rows_in(c, k, 2);
    copy_in(c, CYG_TYPE_F32, 0, weigh->out[1].data, KH_DIMS(k->g, k->h, k->q));
    table_in(c, k, 0, n, CYG_TYPE_S32);
    table_in(c, k, k->q0, k->q, CYG_TYPE_S32);
    const int64_t rows = k->p->at.images * k->p->at.entries * n;
    kh_out(c, k->whole->out[0].type, KH_DIMS(rows, k->h * p.at.head_dim));
    run_level(c, k->level);
}

static void attention_cut(const cut *k, uint8_t *y)
{
    const cyg_kp_attention *at = &k->p->at;
    kh_call scores, weigh, values;
    scores_of(k, &scores);
    weigh_of(k, &scores, &weigh);
    values_of(k, &weigh, &values);
    const int32_t *rows = values.in[4].data;
    const int64_t bytes = kh_type_bytes(values.out[0].type), width = k->h * at->head_dim * bytes;
    for (int64_t i = 0; i < k->g * k->q; i++)
        memcpy(y + (rows[i] * at->heads + k->h0) * at->head_dim * bytes,
               (const uint8_t *)values.out[0].data + rows[i] * width, (size_t)width);
    kh_end(&scores);
    kh_end(&weigh);
    kh_end(&values);
}

static void attention_in_parts(const ic_attention *d, int level)
{
    kh_call c;
    ic_attention_call(&c, d);
    assert_null(cyg_kop_info_of(c.call.op)->check(&c.call));
    kh_execute(&c, CYG_CPU_C, 0, 1);
    uint8_t *y = calloc(c.out_memory.size + 1, 1);
    assert_non_null(y);
    const int64_t entries = d->images * d->entries, g = kh_between(1, entries),
                  h = kh_between(1, d->heads), q = kh_between((d->tokens + 2) / 3, d->tokens);
    for (int64_t g0 = 0; g0 < entries; g0 += g)
        for (int64_t h0 = 0; h0 < d->heads; h0 += h)
            for (int64_t q0 = 0; q0 < d->tokens; q0 += q) {
                const cut k = {.whole = &c,
                               .p = (const cyg_kp_iattention *)(const void *)&c.params,
                               .g0 = g0,
                               .g = entries - g0 < g ? entries - g0 : g,
                               .h0 = h0,
                               .h = d->heads - h0 < h ? d->heads - h0 : h,
                               .q0 = q0,
                               .q = d->tokens - q0 < q ? d->tokens - q0 : q,
                               .e_bits = d->e_bits,
                               .level = level};
                attention_cut(&k, y);
            }
    if (memcmp(y, c.out_memory.data, c.out_memory.size) != 0)
        fail_msg("parts differ from i_attention at level %s: %lld tokens, dim %lld, cosine %d",
                 cyg_cpu_name((cyg_cpu_level_id)level), (long long)d->tokens, (long long)d->dim,
                 d->cosine);
    free(y);
    kh_end(&c);
}

static void attention_is_the_sum_of_its_parts(void **state)
{
    (void)state;
    static const int64_t dims[] = {32, 64, 24, 9, 1};
    static const int64_t tokens[] = {49, 1, 2, 8, 47, 50, 65, 144};
    for (size_t i = 0; i < CYG_COUNT(tokens); i++)
        for (size_t j = 0; j < CYG_COUNT(dims); j++)
            for (int level = 0; level < CYG_CPU_COUNT; level++) {
                if (!cyg_cpu_has((cyg_cpu_level_id)level))
                    continue;
                const int64_t entries = tokens[i] > 64 ? 1 : 3;
                ic_attention d = {.images = kh_between(1, 2),
                                  .entries = entries,
                                  .heads = kh_between(1, 3),
                                  .dim = dims[j],
                                  .tokens = tokens[i],
                                  .tables = IC_PICK(0, 1, (int32_t)entries),
                                  .cosine = kh_between(0, 2) == 0,
                                  .e_bits = kh_between(0, 1) ? 8 : 16,
                                  .use_rows = kh_between(0, 1) != 0,
                                  .y_type = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16),
                                  .pattern = (kh_pattern)kh_between(0, KH_PATTERNS - 1)};
                d.use_mask = d.tables > 0 && kh_between(0, 1) != 0;
                for (int k = 0; k < 3 && (i + j) % 2 == 0; k++)
                    d.types[k] = IC_PICK(CYG_TYPE_S8, CYG_TYPE_S16);
                attention_in_parts(&d, level);
            }
}

/* Without tables rows are in order: the same bytes again. */
static void parts_without_tables(void **state)
{
    (void)state;
    const cyg_kp_iattention_part p = {.at = {.heads = 2,
                                             .head_dim = 8,
                                             .tokens = 7,
                                             .entries = 3,
                                             .images = 1,
                                             .q_stride = 16,
                                             .k_stride = 16},
                                      .queries = 4};
    kh_call c;
    kh_begin(&c, CYG_KOP_i_scores, &p, sizeof p);
    kh_fill_int(CYG_TYPE_S8, kh_in(&c, CYG_TYPE_S8, 0, KH_DIMS(12, 16)), 192, KH_RANDOM);
    kh_fill_int(CYG_TYPE_S8, kh_in(&c, CYG_TYPE_S8, 0, KH_DIMS(21, 16)), 336, KH_RANDOM);
    kh_out(&c, CYG_TYPE_S32, KH_DIMS(3, 2, 4, 7));
    kh_run(&c);
    const int8_t *q = c.in[0].data, *k = c.in[1].data;
    int32_t sum = 0; /* entry 2, head 1, query 3, key 6 */
    for (int d = 0; d < 8; d++)
        sum += q[(2 * 4 + 3) * 16 + 8 + d] * k[(2 * 7 + 6) * 16 + 8 + d];
    assert_int_equal(((const int32_t *)c.out[0].data)[((2 * 2 + 1) * 4 + 3) * 7 + 6], sum);
    kh_end(&c);
}

/* i_linear with an f32 y and no activation, then i_act: the bytes of i_linear alone. */
static void linear_then_act(void **state)
{
    (void)state;
    static const int32_t ys[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16,
                                 CYG_TYPE_F32};
    for (int32_t act = 0; act < CYG_ACT_COUNT; act++)
        for (size_t j = 0; j < CYG_COUNT(ys); j++)
            for (int round = 0; round < 4; round++) {
                const int32_t x_type = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16),
                              r_type = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16);
                const int64_t rows = 21, n = kh_between(1, 600), k = kh_between(1, 40),
                              r_rows = IC_PICK(0, 1, 3, 7, 21);
                kh_call whole, scaled, act_call;
                ic_linear(&whole, x_type, ys[j], act, r_type, r_rows, rows, n, k, KH_RANDOM,
                          KH_RANDOM);
                kh_run(&whole);
                cyg_kp_ilinear p;
                memcpy(&p, &whole.params, sizeof p);
                const cyg_kp_ilinear none = {.act = CYG_ACT_NONE};
                kh_begin(&scaled, CYG_KOP_i_linear, &none, sizeof none);
                for (int i = 0; i < 4; i++)
                    copy_in(&scaled, whole.in[i].type, whole.in[i].is_const, whole.in[i].data,
                            whole.in[i].rank, whole.in[i].dims);
                kh_out(&scaled, CYG_TYPE_F32, KH_DIMS(rows, n));
                kh_run(&scaled);
                kh_begin(&act_call, CYG_KOP_i_act, &p, sizeof p);
                copy_in(&act_call, CYG_TYPE_F32, 0, scaled.out[0].data, KH_DIMS(rows, n));
                if (r_rows > 0)
                    copy_in(&act_call, r_type, 0, whole.in[4].data, KH_DIMS(r_rows, n));
                kh_out(&act_call, ys[j], KH_DIMS(rows, n));
                kh_run(&act_call);
                assert_memory_equal(act_call.out[0].data, whole.out[0].data, whole.out_memory.size);
                kh_end(&whole);
                kh_end(&scaled);
                kh_end(&act_call);
            }
}

static void bad_tables_are_refused(void **state)
{
    (void)state;
    const ic_attention d = {.images = 1,
                            .entries = 2,
                            .heads = 2,
                            .dim = 8,
                            .tokens = 5,
                            .tables = 2,
                            .e_bits = 8,
                            .use_mask = 1,
                            .y_type = CYG_TYPE_U8};
    kh_call c, scores, weigh, values;
    ic_attention_call(&c, &d);
    const cut k = {.whole = &c,
                   .p = (const cyg_kp_iattention *)(const void *)&c.params,
                   .g = 2,
                   .h = 2,
                   .q = 5,
                   .e_bits = 8};
    scores_of(&k, &scores);
    weigh_of(&k, &scores, &weigh);
    values_of(&k, &weigh, &values);
    kh_call *const calls[] = {&scores, &scores, &weigh, &values, &values};
    static const int tables[] = {2, 3, 4, 3, 4};
    for (size_t i = 0; i < CYG_COUNT(calls); i++) {
        const cyg_kcall *call = &calls[i]->call;
        const cyg_kop_info *info = cyg_kop_info_of(call->op);
        uint8_t *entry = calls[i]->in[tables[i]].data;
        uint8_t saved[4];
        assert_null(info->check(call));
        memcpy(saved, entry, 4);
        memcpy(entry, &(int32_t){10}, 4);
        assert_non_null(info->check(call));
        memcpy(entry, &(int32_t){-1}, 4);
        assert_non_null(info->check(call));
        memcpy(entry, saved, 4);
        calls[i]->in[tables[i]].is_const = 0;
        assert_non_null(info->check(call));
        calls[i]->in[tables[i]].is_const = 1;
    }
    kh_end(&c);
    kh_end(&scores);
    kh_end(&weigh);
    kh_end(&values);
}

int main(void)
{
    const char *seed = getenv("CYG_KERNEL_SEED");
    kh_seed(seed == NULL ? 1 : strtoull(seed, NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_the_sum_of_its_parts),
        cmocka_unit_test(parts_without_tables),
        cmocka_unit_test(linear_then_act),
        cmocka_unit_test(bad_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

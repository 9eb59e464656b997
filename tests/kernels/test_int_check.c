/* check() of the integer operators against damaged calls: each round takes a valid call and changes
 * one thing in its parameters, shapes, types, counts or tables. What check still accepts is run,
 * with every buffer exactly as large as its shape says and a guard page behind it: whatever check
 * lets pass may compute nonsense, but stays inside its buffers. */
#include "int_calls.h"

enum { SMALL = 1 << 13 };

/* One of attention's parts, with row tables. */
static void valid_part(kh_call *c, int which)
{
    const cyg_kp_attention at = {.heads = 2,
                                 .head_dim = 6,
                                 .tokens = 9,
                                 .entries = 2,
                                 .images = 1,
                                 .q_stride = 13,
                                 .k_stride = 13,
                                 .v_stride = 13,
                                 .k_offset = 1,
                                 .tables = 2,
                                 .cosine = (int32_t)kh_between(0, 1)};
    const cyg_kp_iattention_part p = {.at = at, .queries = 4};
    const cyg_kp_ivalues values = {.at = at, .queries = 4, .sat = ic_sat(CYG_TYPE_U8)};
    const int32_t ops[] = {CYG_KOP_i_scores, CYG_KOP_i_weigh, CYG_KOP_i_values};
    kh_begin(c, ops[which], which == 2 ? (const void *)&values : &p,
             which == 2 ? sizeof values : sizeof p);
    if (which == 1) {
        kh_fill_int(CYG_TYPE_S32, kh_in(c, CYG_TYPE_S32, 0, KH_DIMS(2, 2, 4, 9)), 144, KH_SMALL);
        kh_fill_float(kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(2)), 2, 0.1f, 0.2f);
        kh_fill_float(kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(2)), 2, 1.0f, 2.0f);
        kh_fill_float(kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(2, 2, 4, 9)), 144, -3.0f, 3.0f);
        kh_fill_int(CYG_TYPE_S32, kh_in(c, CYG_TYPE_S32, 1, KH_DIMS(2)), 2, KH_LOWEST);
        memset(c->in[4].data, 0, 8);
    }
    if (which == 2)
        kh_fill_int(CYG_TYPE_U8, kh_in(c, CYG_TYPE_U8, 0, KH_DIMS(2, 2, 4, 9)), 144, KH_RANDOM);
    kh_fill_int(CYG_TYPE_S8, kh_in(c, CYG_TYPE_S8, 0, KH_DIMS(20, 13)), 260, KH_RANDOM);
    if (which == 2)
        kh_fill_float(kh_in(c, CYG_TYPE_F32, 0, KH_DIMS(2, 2, 4)), 16, 0.001f, 0.01f);
    else
        kh_fill_int(CYG_TYPE_S8, kh_in(c, CYG_TYPE_S8, 0, KH_DIMS(20, 13)), 260, KH_RANDOM);
    for (int k = 0; k < 2; k++) { /* rows of q and k, or of v and y */
        const int64_t count = (which == 2) == (k == 0) ? 18 : 8;
        int32_t *rows = kh_in(c, CYG_TYPE_S32, 1, KH_DIMS(count));
        for (int64_t i = 0; i < count; i++)
            rows[i] = (int32_t)((i * 7) % 18);
    }
    if (which == 0)
        kh_out(c, CYG_TYPE_S32, KH_DIMS(2, 2, 4, 9));
    else if (which == 1)
        kh_out(c, CYG_TYPE_U8, KH_DIMS(2, 2, 4, 9));
    else
        kh_out(c, CYG_TYPE_U8, KH_DIMS(18, 12));
    if (which == 1)
        kh_second_out(c, CYG_TYPE_F32, KH_DIMS(2, 2, 4));
}

static void valid_call(kh_call *c, int which)
{
    switch (which % 13) {
    case 0:
        ic_linear(c, IC_PICK(CYG_TYPE_U8, CYG_TYPE_S16), CYG_TYPE_U8, CYG_ACT_GELU_ERF,
                  CYG_TYPE_S16, 3, 9, 7, 11, KH_RANDOM, KH_RANDOM);
        break;
    case 1: {
        const int32_t x = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S16);
        const ic_conv d = {
            x, CYG_TYPE_U8, CYG_ACT_NONE,     1, 1, 6, 7, 4, 6, IC_PICK(1, 2), 3, 2, 1,
            1, 1,           x == CYG_TYPE_S16};
        ic_conv2d(c, &d, KH_RANDOM);
        break;
    }
    case 2: {
        const ic_attention d = {2,
                                2,
                                2,
                                6,
                                9,
                                2,
                                (int32_t)kh_between(0, 1),
                                kh_between(0, 1) ? 8 : 16,
                                1,
                                1,
                                CYG_TYPE_U8,
                                KH_RANDOM,
                                {CYG_TYPE_S8, IC_PICK(CYG_TYPE_S8, CYG_TYPE_S16), CYG_TYPE_S16}};
        ic_attention_call(c, &d);
        break;
    }
    case 3: {
        const cyg_kp_ilayernorm p = {.channels = 21, .eps = 0.1, .sat = ic_sat(CYG_TYPE_U8)};
        kh_begin(c, CYG_KOP_i_layernorm, &p, sizeof p);
        kh_fill_int(CYG_TYPE_S16, kh_in(c, CYG_TYPE_S16, 0, KH_DIMS(5, 21)), 105, KH_RANDOM);
        kh_fill_float(kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(21)), 21, 1, 60);
        kh_fill_float(kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(21)), 21, -9, 9);
        kh_out(c, CYG_TYPE_U8, KH_DIMS(5, 21));
        break;
    }
    case 4: {
        const cyg_kp_ieltwise p = {.a_scale = 0.5f, .b_scale = 0.01f, .sat = ic_sat(CYG_TYPE_U8)};
        kh_begin(c, CYG_KOP_i_eltwise, &p, sizeof p);
        kh_fill_int(CYG_TYPE_U8, kh_in(c, CYG_TYPE_U8, 0, KH_DIMS(3, 1, 5)), 15, KH_RANDOM);
        kh_fill_int(CYG_TYPE_S16, kh_in(c, CYG_TYPE_S16, 0, KH_DIMS(4, 5)), 20, KH_RANDOM);
        kh_out(c, CYG_TYPE_U8, KH_DIMS(3, 4, 5));
        break;
    }
    case 5: {
        const cyg_kp_isoftmax p = {.c = 0.1f, .inv_scale_y = 255, .sat = ic_sat(CYG_TYPE_U8)};
        kh_begin(c, CYG_KOP_i_softmax, &p, sizeof p);
        kh_fill_int(CYG_TYPE_U8, kh_in(c, CYG_TYPE_U8, 0, KH_DIMS(3, 21)), 63, KH_RANDOM);
        kh_out(c, CYG_TYPE_U8, KH_DIMS(3, 21));
        break;
    }
    case 6: {
        const cyg_kp_none none = {0};
        kh_begin(c, CYG_KOP_i_lut16, &none, sizeof none);
        kh_fill_int(CYG_TYPE_S16, kh_in(c, CYG_TYPE_S16, 0, KH_DIMS(50)), 50, KH_RANDOM);
        kh_fill_int(CYG_TYPE_S32, kh_in(c, CYG_TYPE_S32, 1, KH_DIMS(1025)), 1025, KH_SMALL);
        kh_out(c, CYG_TYPE_S16, KH_DIMS(50));
        break;
    }
    case 7:
        ic_pool2d(c, (int)kh_between(0, 1), CYG_TYPE_U8, CYG_TYPE_U8, KH_RANDOM);
        break;
    case 9:
        valid_part(c, (int)kh_between(0, 2));
        break;
    case 10: {
        const cyg_kp_ilinear p = ic_out(CYG_ACT_GELU_ERF, CYG_TYPE_U8, CYG_TYPE_S16);
        kh_begin(c, CYG_KOP_i_act, &p, sizeof p);
        kh_fill_float(kh_in(c, CYG_TYPE_F32, 0, KH_DIMS(6, 37)), 222, -4.0f, 4.0f);
        kh_fill_int(CYG_TYPE_S16, kh_in(c, CYG_TYPE_S16, 0, KH_DIMS(3, 37)), 111, KH_RANDOM);
        kh_out(c, CYG_TYPE_U8, KH_DIMS(6, 37));
        break;
    }
    case 11: {
        const ic_matmul d = {.a_type = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S16),
                             .b_type = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_U16),
                             .y_type = CYG_TYPE_U8,
                             .shared = (int32_t)kh_between(0, 1),
                             .batch = 2,
                             .heads = 3,
                             .m = 5,
                             .k = 6,
                             .n = 7};
        ic_matmul_call(c, &d);
        break;
    }
    case 12: {
        const cyg_kp_iextreme p = {.outer = 2, .n = 5, .inner = 70};
        kh_begin(c, CYG_KOP_i_reduce_max, &p, sizeof p);
        kh_fill_int(CYG_TYPE_U8, kh_in(c, CYG_TYPE_U8, 0, KH_DIMS(2, 5, 70)), 700, KH_RANDOM);
        kh_out(c, CYG_TYPE_U8, KH_DIMS(2, 70));
        break;
    }
    default: {
        const cyg_kp_ireduce p = {
            .outer = 2, .n = 5, .inner = 70, .x_zero = 3, .k = 0.1f, .sat = ic_sat(CYG_TYPE_U8)};
        kh_begin(c, CYG_KOP_i_reduce_mean, &p, sizeof p);
        kh_fill_int(CYG_TYPE_U8, kh_in(c, CYG_TYPE_U8, 0, KH_DIMS(2, 5, 70)), 700, KH_RANDOM);
        kh_out(c, CYG_TYPE_U8, KH_DIMS(2, 70));
        break;
    }
    }
}

static int64_t interesting(void)
{
    static const int64_t values[] = {0,
                                     1,
                                     2,
                                     3,
                                     4,
                                     7,
                                     8,
                                     16,
                                     64,
                                     255,
                                     65000,
                                     65536,
                                     -1,
                                     -2,
                                     INT32_MAX,
                                     INT32_MIN,
                                     INT64_MAX,
                                     INT64_MIN,
                                     (int64_t)1 << 31,
                                     (int64_t)1 << 40,
                                     (int64_t)1 << 62};
    return values[kh_between(0, (int64_t)CYG_COUNT(values) - 1)];
}

/* Elements of a mutated shape, or -1 when too many to allocate here. */
static int64_t small_elements(const cyg_kbuf *b)
{
    int64_t n = 1;
    if (b->rank < 0 || b->rank > CYG_MAX_RANK)
        return -1;
    for (int i = 0; i < b->rank; i++) {
        if (b->dims[i] < 0 || b->dims[i] > SMALL)
            return -1;
        n *= b->dims[i];
        if (n > SMALL)
            return -1;
    }
    return n;
}

/* Gives a buffer whose shape changed memory of exactly that size; false when that is out of the
 * question. */
static int reallocate(cyg_kbuf *b, kh_memory *m)
{
    const int64_t n = small_elements(b);
    if (b->type <= CYG_TYPE_NONE || b->type >= CYG_TYPE_COUNT || n < 0)
        return 0;
    const size_t size = (size_t)(n * kh_type_bytes(b->type));
    const kh_memory fresh = kh_alloc(size, 1);
    for (size_t i = 0; i < size; i++)
        fresh.data[i] = (uint8_t)kh_random();
    memcpy(fresh.data, m->data, m->size < size ? m->size : size);
    kh_free(m);
    *m = fresh;
    b->data = fresh.data;
    return 1;
}

static void mutate_buffer(cyg_kbuf *b)
{
    switch (kh_between(0, 3)) {
    case 0:
        b->type = (int32_t)kh_between(0, CYG_TYPE_COUNT);
        break;
    case 1:
        b->rank = (int32_t)kh_between(-1, CYG_MAX_RANK + 1);
        break;
    default:
        b->dims[kh_between(0, 4)] = kh_between(0, 1) ? interesting() : kh_between(0, 30);
    }
}

/* False when the damaged call cannot be run even if check accepts it (its buffers would be too
 * large for a test). */
static int damage(kh_call *c)
{
    const cyg_kop_info *info = cyg_kop_info_of(c->call.op);
    const int64_t what = kh_between(0, 9);
    if (what < 4) { /* a field of the parameters */
        const int64_t at = kh_between(0, (int64_t)info->params_size / 4 - 1) * 4;
        const int64_t value = interesting();
        const size_t width = at % 8 == 0 && kh_between(0, 1) ? 8 : 4;
        memcpy(c->params.bytes + at, &value, width);
        return 1;
    }
    const uint32_t i = (uint32_t)kh_between(0, c->call.in_count);
    cyg_kbuf *b = i == c->call.in_count ? &c->out[0] : &c->in[i];
    kh_memory *m = i == c->call.in_count ? &c->out_memory : &c->in_memory[i];
    if (b->type == CYG_TYPE_NONE)
        return 1;
    if (what < 8) {
        mutate_buffer(b);
        return b->type == CYG_TYPE_NONE || reallocate(b, m);
    }
    if (what == 8) {
        b->is_const = 0;
        return 1;
    }
    /* A word of the data: hits index tables. */
    if (m->size >= 8) {
        const int64_t value = interesting();
        memcpy(m->data + kh_between(0, (int64_t)m->size / 8 - 1) * 8, &value, 8);
    }
    return 1;
}

static void damaged_calls_stay_inside(void **state)
{
    (void)state;
    int64_t rejected = 0, run = 0;
    for (int round = 0; round < 6000; round++) {
        kh_call c;
        valid_call(&c, round);
        const cyg_kop_info *info = cyg_kop_info_of(c.call.op);
        assert_null(info->check(&c.call));
        int runnable = 1;
        for (int64_t changes = kh_between(1, 2); changes > 0; changes--)
            runnable = damage(&c) && runnable;
        if (info->check(&c.call) != NULL) {
            rejected++;
        } else if (runnable && info->items(&c.call) < SMALL) {
            run++;
            kh_execute(&c, CYG_CPU_C, 0, 1);
            for (int level = 0; level < CYG_CPU_COUNT; level++)
                if (cyg_cpu_has((cyg_cpu_level_id)level))
                    kh_execute(&c, level, 0, 0);
        }
        kh_end(&c);
    }
    printf("%lld rejected, %lld accepted and run\n", (long long)rejected, (long long)run);
    assert_true(rejected > 1000 && run > 500);
}

static void tables_out_of_bounds_are_rejected(void **state)
{
    (void)state;
    const ic_attention d = {1, 3, 2, 8, 4, 2, 0, 8, 1, 1, CYG_TYPE_U8, KH_RANDOM, {0}};
    kh_call c;
    ic_attention_call(&c, &d);
    const cyg_kop_info *info = cyg_kop_info_of(c.call.op);
    assert_null(info->check(&c.call));
    int64_t *mask = c.in[6].data, *rows = c.in[7].data;
    mask[2] = 2;
    assert_non_null(info->check(&c.call));
    mask[2] = 1;
    rows[11] = 12;
    assert_non_null(info->check(&c.call));
    rows[11] = -1;
    assert_non_null(info->check(&c.call));
    rows[11] = 0;
    assert_null(info->check(&c.call));
    c.in[7].is_const = 0; /* a table that may change later proves nothing */
    assert_non_null(info->check(&c.call));
    kh_end(&c);
}

int main(void)
{
    const char *seed = getenv("CYG_KERNEL_SEED");
    kh_seed(seed == NULL ? 1 : strtoull(seed, NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_calls_stay_inside),
        cmocka_unit_test(tables_out_of_bounds_are_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

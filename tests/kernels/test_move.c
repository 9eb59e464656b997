/* Movement operators and quantize/dequantize against naive index arithmetic, for every element
 * size, with guard pages around every buffer. Movement never computes, so elements are numbered: a
 * wrong byte is a wrong address. */
#include "kernel_harness.h"

#include <math.h>

static const int32_t sizes[] = {CYG_TYPE_U8, CYG_TYPE_S16, CYG_TYPE_F32, CYG_TYPE_S64};

static void number(void *data, int32_t type, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const uint64_t v = (uint64_t)i * 0x9e3779b97f4a7c15u >> 8;
        memcpy((char *)data + i * kh_type_bytes(type), &v, (size_t)kh_type_bytes(type));
    }
}

static void expect_element(const kh_call *c, int64_t at, const void *x, int64_t from)
{
    static const uint8_t zeros[8];
    const int64_t size = kh_type_bytes(c->out[0].type);
    const char *got = (const char *)c->out[0].data + at * size;
    if (memcmp(got, from < 0 ? (const char *)zeros : (const char *)x + from * size, (size_t)size) !=
        0)
        fail_msg("%s: element %lld is wrong", cyg_kop_info_of(c->call.op)->name, (long long)at);
}

static void split_index(int64_t at, int rank, const int64_t *dims, int64_t *out)
{
    for (int i = rank - 1; i >= 0; i--) {
        out[i] = at % dims[i];
        at /= dims[i];
    }
}
static int64_t join_index(int rank, const int64_t *dims, const int64_t *index)
{
    int64_t at = 0;
    for (int i = 0; i < rank; i++)
        at = at * dims[i] + index[i];
    return at;
}
static int64_t product(int rank, const int64_t *dims)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= dims[i];
    return n;
}

static void test_transpose(void **state)
{
    (void)state;
    kh_seed(41);
    for (int round = 0; round < 200; round++) {
        const int rank = (int)kh_between(0, 6);
        const int32_t type = sizes[round % 4];
        int64_t d[8], yd[8], index[8], from[8];
        cyg_kp_transpose p = {0};
        for (int i = 0; i < rank; i++) {
            d[i] = kh_between(1, rank < 4 ? 40 : 6);
            const int64_t j = kh_between(0, i);
            p.perm[i] = p.perm[j];
            p.perm[j] = i;
        }
        for (int i = 0; i < rank; i++)
            yd[i] = d[p.perm[i]];
        kh_call c;
        kh_begin(&c, CYG_KOP_transpose, &p, sizeof p);
        void *x = kh_in(&c, type, 0, rank, d);
        kh_out(&c, type, rank, yd);
        number(x, type, product(rank, d));
        kh_run(&c);
        for (int64_t at = 0; at < product(rank, d); at++) {
            split_index(at, rank, yd, index);
            for (int i = 0; i < rank; i++)
                from[p.perm[i]] = index[i];
            expect_element(&c, at, x, join_index(rank, d, from));
        }
        kh_end(&c);
    }
}

static void test_slice_pad(void **state)
{
    (void)state;
    kh_seed(42);
    for (int round = 0; round < 160; round++) {
        const int rank = (int)kh_between(1, 4), is_pad = round & 1, mode = round / 2 % 4;
        const int32_t type = sizes[round % 3 + 1];
        int64_t d[4], yd[4], index[4];
        cyg_kp_slice slice = {0};
        cyg_kp_pad pad = {.mode = mode};
        for (int i = 0; i < rank; i++) {
            d[i] = kh_between(1, 9);
            slice.step[i] = kh_between(0, 1) ? kh_between(1, 3) : -kh_between(1, 3);
            slice.start[i] = kh_between(0, d[i] - 1);
            const int64_t room = slice.step[i] > 0 ? (d[i] - 1 - slice.start[i]) / slice.step[i]
                                                   : slice.start[i] / -slice.step[i];
            yd[i] = kh_between(1, room + 1);
            if (is_pad) {
                pad.before[i] = kh_between(-(d[i] - 1) / 2, 5);
                pad.after[i] = kh_between(-(d[i] - 1) / 2, 5);
                yd[i] = d[i] + pad.before[i] + pad.after[i];
            }
        }
        kh_call c;
        if (is_pad)
            kh_begin(&c, CYG_KOP_pad, &pad, sizeof pad);
        else
            kh_begin(&c, CYG_KOP_slice, &slice, sizeof slice);
        void *x = kh_in(&c, type, 0, rank, d);
        /* No value, one, or one for each position of the last axis. */
        const int64_t values = !is_pad ? 0 : round % 3 == 0 ? 1 : round % 3 == 1 ? yd[rank - 1] : 0;
        uint8_t *value = values > 0 ? kh_in(&c, type, 0, 1, &values) : NULL;
        for (int64_t i = 0; i < values * kh_type_bytes(type); i++)
            value[i] = (uint8_t)kh_between(0, 255);
        kh_out(&c, type, rank, yd);
        number(x, type, product(rank, d));
        kh_run(&c);
        for (int64_t at = 0; at < product(rank, yd); at++) {
            int outside = 0;
            split_index(at, rank, yd, index);
            for (int i = 0; i < rank; i++) {
                if (!is_pad) {
                    index[i] = slice.start[i] + index[i] * slice.step[i];
                    continue;
                }
                int64_t v = index[i] - pad.before[i];
                if (mode == 0)
                    outside |= v < 0 || v >= d[i];
                while (mode == 1 && (v < 0 || v >= d[i]))
                    v = d[i] == 1 ? 0 : v < 0 ? -v : 2 * (d[i] - 1) - v;
                if (mode == 2)
                    v = v < 0 ? 0 : v >= d[i] ? d[i] - 1 : v;
                if (mode == 3)
                    v = (v + 100 * d[i]) % d[i];
                index[i] = v;
            }
            if (outside && value != NULL)
                expect_element(&c, at, value, values == 1 ? 0 : at % yd[rank - 1]);
            else
                expect_element(&c, at, x, outside ? -1 : join_index(rank, d, index));
        }
        kh_end(&c);
    }
}

static void test_expand_tile(void **state)
{
    (void)state;
    kh_seed(43);
    for (int round = 0; round < 80; round++) {
        const int is_tile = round & 1;
        const int32_t type = sizes[round / 2 % 4];
        int64_t d[4], yd[4], index[4];
        for (int i = 0; i < 4; i++) {
            d[i] = kh_between(0, 2) ? kh_between(1, 5) : 1;
            yd[i] = is_tile ? d[i] * kh_between(1, 3) : d[i] == 1 ? kh_between(1, 5) : d[i];
        }
        const cyg_kp_none p = {0};
        kh_call c;
        kh_begin(&c, is_tile ? CYG_KOP_tile : CYG_KOP_expand, &p, sizeof p);
        void *x = kh_in(&c, type, 0, 4, d);
        kh_out(&c, type, 4, yd);
        number(x, type, product(4, d));
        kh_run(&c);
        for (int64_t at = 0; at < product(4, yd); at++) {
            split_index(at, 4, yd, index);
            for (int i = 0; i < 4; i++)
                index[i] %= d[i];
            expect_element(&c, at, x, join_index(4, d, index));
        }
        kh_end(&c);
    }
}

/* kh_call has one output, so split is driven by hand: concat of its parts must give x back. */
static void test_concat_split(void **state)
{
    (void)state;
    kh_seed(44);
    for (int round = 0; round < 60; round++) {
        const int axis = round % 3;
        const int32_t type = sizes[round % 4];
        int64_t d[3] = {kh_between(1, 5), kh_between(1, 5), kh_between(1, 20)}, part[3], total = 0;
        const cyg_kp_axis p = {.axis = axis};
        kh_call c;
        kh_begin(&c, CYG_KOP_concat, &p, sizeof p);
        void *x[3];
        for (int i = 0; i < 3; i++) {
            memcpy(part, d, sizeof part);
            part[axis] = kh_between(0, 6);
            total += part[axis];
            x[i] = kh_in(&c, type, 0, 3, part);
            number(x[i], type, product(3, part));
            if (product(3, part) > 0)
                *(uint8_t *)x[i] = (uint8_t)(100 + i);
        }
        d[axis] = total;
        kh_out(&c, type, 3, d);
        kh_run(&c);
        int64_t index[3];
        for (int64_t at = 0; at < product(3, d); at++) {
            split_index(at, 3, d, index);
            int i = 0;
            while (index[axis] >= c.in[i].dims[axis])
                index[axis] -= c.in[i++].dims[axis];
            expect_element(&c, at, x[i], join_index(3, c.in[i].dims, index));
        }
        cyg_kbuf parts[3];
        kh_memory memory[3];
        for (int i = 0; i < 3; i++) {
            parts[i] = c.in[i];
            memory[i] = kh_alloc(c.in_memory[i].size, 1);
            parts[i].data = memory[i].data;
        }
        const cyg_kcall split = {.op = CYG_KOP_split,
                                 .in_count = 1,
                                 .out_count = 3,
                                 .in = c.out,
                                 .out = parts,
                                 .params = &p};
        const cyg_kop_info *info = cyg_kop_info_of(CYG_KOP_split);
        assert_null(info->check(&split));
        for (int64_t i = info->items(&split); i-- > 0;)
            info->run(&split, i, i + 1, NULL);
        for (int i = 0; i < 3; i++) {
            assert_memory_equal(parts[i].data, x[i], c.in_memory[i].size);
            kh_free(&memory[i]);
        }
        kh_end(&c);
    }
}

static void test_gather(void **state)
{
    (void)state;
    kh_seed(45);
    for (int round = 0; round < 90; round++) {
        const int axis = round % 3, wide = round & 1, hostile = round % 5 == 4;
        const int32_t type = sizes[round % 4];
        const int64_t d[3] = {kh_between(1, 5), kh_between(1, 5), kh_between(1, 5)};
        const int64_t id[2] = {kh_between(1, 4), kh_between(1, 4)};
        int64_t yd[4], index[4];
        for (int i = 0, o = 0; i < 3; i++) {
            if (i == axis) {
                yd[o++] = id[0];
                yd[o++] = id[1];
            } else {
                yd[o++] = d[i];
            }
        }
        const cyg_kp_axis p = {.axis = axis};
        kh_call c;
        kh_begin(&c, CYG_KOP_gather, &p, sizeof p);
        void *x = kh_in(&c, type, 0, 3, d);
        void *list = kh_in(&c, wide ? CYG_TYPE_S64 : CYG_TYPE_S32, !hostile, 2, id);
        kh_out(&c, type, 4, yd);
        number(x, type, product(3, d));
        for (int64_t i = 0; i < id[0] * id[1]; i++) {
            const int64_t v = hostile && i == 0 ? kh_between(-1, 0) * INT32_MAX + 1000
                                                : kh_between(-d[axis], d[axis] - 1);
            if (wide)
                ((int64_t *)list)[i] = v;
            else
                ((int32_t *)list)[i] = (int32_t)v;
        }
        kh_run(&c);
        for (int64_t at = 0; at < product(4, yd); at++) {
            split_index(at, 4, yd, index);
            const int64_t i = index[axis] * id[1] + index[axis + 1];
            int64_t v = wide ? ((int64_t *)list)[i] : ((int32_t *)list)[i];
            v = v < 0 ? v + d[axis] : v;
            int64_t from[3];
            for (int k = 0; k < 3; k++)
                from[k] = k < axis ? index[k] : k == axis ? v : index[k + 1];
            expect_element(&c, at, x, v < 0 || v >= d[axis] ? -1 : join_index(3, d, from));
        }
        c.in[1].is_const = 1; /* a constant table is refused when it leaves x */
        if (hostile)
            assert_non_null(cyg_kop_info_of(CYG_KOP_gather)->check(&c.call));
        kh_end(&c);
    }
}

static void test_gather_elements_nd_rows(void **state)
{
    (void)state;
    kh_seed(46);
    for (int round = 0; round < 40; round++) {
        const int axis = round % 2;
        const int64_t d[2] = {kh_between(1, 6), kh_between(1, 6)};
        int64_t id[2] = {kh_between(1, d[0]), kh_between(1, d[1])}, index[3];
        const cyg_kp_axis p = {.axis = axis};
        kh_call c;
        kh_begin(&c, CYG_KOP_gather_elements, &p, sizeof p);
        void *x = kh_in(&c, CYG_TYPE_F32, 0, 2, d);
        int64_t *list = kh_in(&c, CYG_TYPE_S64, 1, 2, id);
        kh_out(&c, CYG_TYPE_F32, 2, id);
        number(x, CYG_TYPE_F32, d[0] * d[1]);
        for (int64_t i = 0; i < id[0] * id[1]; i++)
            list[i] = kh_between(-d[axis], d[axis] - 1);
        kh_run(&c);
        for (int64_t at = 0; at < id[0] * id[1]; at++) {
            split_index(at, 2, id, index);
            index[axis] = list[at] < 0 ? list[at] + d[axis] : list[at];
            expect_element(&c, at, x, join_index(2, d, index));
        }
        kh_end(&c);
    }
    /* gather_nd with one batch axis: x [2, 3, 4, 5], index [2, 6, 2] -> y [2, 6, 5] */
    const cyg_kp_axis nd = {.axis = 1};
    kh_call c;
    kh_begin(&c, CYG_KOP_gather_nd, &nd, sizeof nd);
    void *x = kh_in(&c, CYG_TYPE_S16, 0, KH_DIMS(2, 3, 4, 5));
    int64_t *list = kh_in(&c, CYG_TYPE_S64, 0, KH_DIMS(2, 6, 2));
    kh_out(&c, CYG_TYPE_S16, KH_DIMS(2, 6, 5));
    number(x, CYG_TYPE_S16, 120);
    for (int i = 0; i < 24; i++)
        list[i] = i == 5 ? 77 : kh_between(i % 2 ? -4 : -3, i % 2 ? 3 : 2);
    kh_run(&c);
    for (int64_t at = 0; at < 60; at++) {
        const int64_t t = at / 5, a = list[2 * t], b = list[2 * t + 1];
        expect_element(&c, at, x,
                       b == 77 ? -1
                               : ((t / 6 * 3 + (a < 0 ? a + 3 : a)) * 4 + (b < 0 ? b + 4 : b)) * 5 +
                                     at % 5);
    }
    kh_end(&c);
    const cyg_kp_gather_rows rows = {.rows_in = 4, .rows_out = 7, .images = 3, .fill_bits = 0x85};
    kh_begin(&c, CYG_KOP_gather_rows, &rows, sizeof rows);
    uint8_t *u = kh_in(&c, CYG_TYPE_U8, 0, KH_DIMS(3, 4, 11));
    int64_t *r = kh_in(&c, CYG_TYPE_S64, 1, KH_DIMS(7));
    const uint8_t *y = kh_out(&c, CYG_TYPE_U8, KH_DIMS(3, 7, 11));
    number(u, CYG_TYPE_U8, 132);
    for (int i = 0; i < 7; i++)
        r[i] = kh_between(-1, 3);
    kh_run(&c);
    for (int i = 0; i < 231; i++)
        assert_int_equal(y[i],
                         r[i / 11 % 7] < 0 ? 0x85 : u[(i / 77 * 4 + r[i / 11 % 7]) * 11 + i % 11]);
    kh_end(&c);
}

static void test_scatter(void **state)
{
    (void)state;
    for (int op = 0; op <= 4; op++) {
        const cyg_kp_axis p = {.axis = op};
        kh_call c;
        kh_begin(&c, CYG_KOP_scatter_nd, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(4, 2));
        int64_t *list = kh_in(&c, CYG_TYPE_S64, 0, KH_DIMS(4, 1));
        float *u = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(4, 2)), want[8];
        const float *y = kh_out(&c, CYG_TYPE_F32, KH_DIMS(4, 2));
        const int64_t where[4] = {2, -4, 2, 99};
        for (int i = 0; i < 8; i++) {
            want[i] = x[i] = (float)(i + 1);
            u[i] = (float)(5 - 2 * i);
        }
        memcpy(list, where, sizeof where);
        for (int i = 0; i < 6; i++) {
            float *to = &want[(where[i / 2] < 0 ? 0 : where[i / 2]) * 2 + i % 2];
            *to = op == 0   ? u[i]
                  : op == 1 ? *to + u[i]
                  : op == 2 ? *to * u[i]
                  : op == 3 ? fmaxf(*to, u[i])
                            : fminf(*to, u[i]);
        }
        kh_run(&c);
        assert_memory_equal(y, want, sizeof want);
        kh_end(&c);
    }
}

static void test_copy_fill_range(void **state)
{
    (void)state;
    for (size_t t = 0; t < CYG_COUNT(sizes); t++) {
        const cyg_kp_none none = {0};
        const cyg_kp_fill fill = {.bits = 0x8877665544332211u};
        kh_call c;
        kh_begin(&c, CYG_KOP_copy, &none, sizeof none);
        void *x = kh_in(&c, sizes[t], 0, KH_DIMS(40001));
        kh_out(&c, sizes[t], KH_DIMS(1, 40001));
        number(x, sizes[t], 40001);
        kh_run(&c);
        assert_memory_equal(x, c.out[0].data, c.out_memory.size);
        kh_end(&c);
        kh_begin(&c, CYG_KOP_fill, &fill, sizeof fill);
        const uint8_t *y = kh_out(&c, sizes[t], KH_DIMS(17));
        kh_run(&c);
        for (int64_t i = 0; i < 17 * kh_type_bytes(sizes[t]); i++)
            assert_int_equal(y[i], 0x11 * (i % kh_type_bytes(sizes[t]) + 1));
        kh_end(&c);
    }
    const cyg_kp_none none = {0};
    kh_call c;
    kh_begin(&c, CYG_KOP_range, &none, sizeof none);
    const int64_t values[3] = {7, -8, -3};
    for (int i = 0; i < 3; i++)
        *(int64_t *)kh_in(&c, CYG_TYPE_S64, 1, 0, NULL) = values[i];
    const int64_t *y = kh_out(&c, CYG_TYPE_S64, KH_DIMS(5));
    kh_run(&c);
    for (int i = 0; i < 5; i++)
        assert_int_equal(y[i], 7 - 3 * i);
    kh_end(&c);
}

static void test_quantize(void **state)
{
    (void)state;
    kh_seed(47);
    static const int32_t types[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_U16, CYG_TYPE_S16};
    for (int round = 0; round < 24; round++) {
        const int32_t type = types[round % 4];
        const int axis = round % 3 - 1;
        const int64_t d[2] = {6, 50}, n = axis < 0 ? 1 : d[axis];
        const cyg_kp_quantize p = {.axis = axis};
        kh_call c;
        kh_begin(&c, CYG_KOP_quantize, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, 2, d), *s = kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(n));
        void *z = kh_in(&c, type, 1, KH_DIMS(n));
        kh_out(&c, type, 2, d);
        kh_fill_float(x, 300, -300, 300);
        for (int i = 0; i < 20; i++)
            x[i] = (float)i - 9.5f; /* ties when the scale is one */
        for (int64_t i = 0; i < n; i++)
            s[i] = round < 8 ? 1.0f : kh_float(0.01f, 3);
        x[20] = INFINITY;
        x[21] = -INFINITY;
        kh_fill_int(type, z, n, KH_RANDOM);
        kh_run(&c);
        const double lo = (double)kh_lowest(type), hi = (double)kh_highest(type);
        for (int64_t i = 0; i < 300; i++) {
            const int64_t ch = axis < 0 ? 0 : axis == 0 ? i / 50 : i % 50;
            int64_t zero = 0, got = 0;
            memcpy(&zero, (char *)z + ch * kh_type_bytes(type), (size_t)kh_type_bytes(type));
            memcpy(&got, (char *)c.out[0].data + i * kh_type_bytes(type),
                   (size_t)kh_type_bytes(type));
            if (lo < 0 && zero > (int64_t)hi)
                zero -= 2 * ((int64_t)hi + 1);
            if (lo < 0 && got > (int64_t)hi)
                got -= 2 * ((int64_t)hi + 1);
            const double want = fmin(fmax((double)rintf(x[i] / s[ch]) + (double)zero, lo), hi);
            assert_int_equal(got, (int64_t)want);
        }
        kh_end(&c);
    }
    const cyg_kp_quantize p = {.axis = -1, .zero = 3, .scale_inv = 2, .scale = 0.25f};
    kh_call c;
    kh_begin(&c, CYG_KOP_quantize, &p,
             sizeof p); /* the input step: parameters instead of buffers */
    float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(4));
    const uint8_t *q = kh_out(&c, CYG_TYPE_U8, KH_DIMS(4));
    x[0] = 1.25f;
    x[1] = -7;
    x[2] = 1000;
    x[3] = NAN;
    kh_run(&c);
    assert_int_equal(q[0], 5);
    assert_int_equal(q[1], 0);
    assert_int_equal(q[2], 255);
    assert_int_equal(q[3], 0);
    kh_end(&c);
    kh_begin(&c, CYG_KOP_dequantize, &p, sizeof p);
    uint8_t *u = kh_in(&c, CYG_TYPE_U8, 0, KH_DIMS(2));
    const float *y = kh_out(&c, CYG_TYPE_F32, KH_DIMS(2));
    u[0] = 0;
    u[1] = 255;
    kh_run(&c);
    assert_true(y[0] == -0.75f && y[1] == 63.0f);
    kh_end(&c);
}

/* Parameters and dims from a damaged package: check may say what it likes, but what it lets pass
 * must stay inside its buffers. Dims are kept as they are (buffers are sized by them elsewhere);
 * parameters are noise. */
static void test_hostile_parameters(void **state)
{
    (void)state;
    kh_seed(48);
    static const int32_t ops[] = {
        CYG_KOP_transpose,   CYG_KOP_concat,          CYG_KOP_split,     CYG_KOP_slice,
        CYG_KOP_gather,      CYG_KOP_gather_elements, CYG_KOP_gather_nd, CYG_KOP_scatter_nd,
        CYG_KOP_pad,         CYG_KOP_gather_rows,     CYG_KOP_quantize,  CYG_KOP_f_softmax,
        CYG_KOP_f_reduce,    CYG_KOP_f_pool,          CYG_KOP_f_conv,    CYG_KOP_f_conv2d,
        CYG_KOP_f_layernorm, CYG_KOP_f_attention,     CYG_KOP_f_unary,   CYG_KOP_f_binary,
        CYG_KOP_f_linear,    CYG_KOP_f_pool2d};
    int passed = 0;
    for (int round = 0; round < 40000; round++) {
        const cyg_kop_info *info = cyg_kop_info_of(ops[round % (int)CYG_COUNT(ops)]);
        int64_t params[32];
        for (int i = 0; i < 32; i++)
            params[i] = kh_between(0, 9) == 0 ? (int64_t)((uint64_t)kh_random() << 32 | kh_random())
                                              : kh_between(-1, 3);
        kh_call c;
        kh_begin(&c, ops[round % (int)CYG_COUNT(ops)], params, info->params_size);
        const int inputs = (int)kh_between(1, 4), rank = (int)kh_between(1, 4);
        int64_t d[4];
        for (int k = 0; k < inputs; k++) {
            for (int i = 0; i < rank; i++)
                d[i] = kh_between(1, 3);
            const int32_t type = k == 1 && kh_between(0, 1) ? CYG_TYPE_S64 : CYG_TYPE_F32;
            void *x = kh_in(&c, type, (int)kh_between(0, 1), rank, d);
            for (int64_t i = 0; i < kh_elements(&c.in[k]); i++)
                if (type == CYG_TYPE_S64)
                    ((int64_t *)x)[i] = kh_between(-4, 4);
                else
                    ((float *)x)[i] = kh_float(-9, 9);
        }
        for (int i = 0; i < rank; i++)
            d[i] = kh_between(0, 1) ? c.in[0].dims[i] : kh_between(1, 3);
        kh_out(&c, CYG_TYPE_F32, rank, d);
        if (info->check(&c.call) == NULL &&
            (info->scratch == NULL || info->scratch(&c.call) < 1 << 24)) {
            kh_execute(&c, CYG_CPU_C, 0, 0);
            passed++;
        }
        kh_end(&c);
    }
    print_message("%d of 40000 damaged calls were well formed\n", passed);
    assert_true(passed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transpose),   cmocka_unit_test(test_slice_pad),
        cmocka_unit_test(test_expand_tile), cmocka_unit_test(test_concat_split),
        cmocka_unit_test(test_gather),      cmocka_unit_test(test_gather_elements_nd_rows),
        cmocka_unit_test(test_scatter),     cmocka_unit_test(test_copy_fill_range),
        cmocka_unit_test(test_quantize),    cmocka_unit_test(test_hostile_parameters),
    };
    return CYG_TEST_MAIN(tests);
}

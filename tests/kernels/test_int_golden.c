/* The specification's bytes, pinned: digests of fixed calls that every compiler and processor must
 * reproduce (x86-64 and aarch64 gave these). A digest that changes means that the numbers of every
 * package change: docs/numerics.md has to say so. Random data come in one written order, because C
 * leaves the order of arguments open. */
#include "int_calls.h"

static uint64_t digest(const kh_call *c)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < c->out_memory.size; i++)
        h = (h ^ c->out_memory.data[i]) * 0x100000001b3u;
    return h;
}

static void finish(kh_call *c, const char *what, uint64_t want)
{
    kh_run(c);
    const uint64_t got = digest(c);
    kh_end(c);
    if (got != want)
        fail_msg("%s: digest 0x%016llxu, expected 0x%016llxu", what, (unsigned long long)got,
                 (unsigned long long)want);
}

static void linear(void **state)
{
    (void)state;
    static const uint64_t want[CYG_ACT_COUNT] = {
        0x4f92ecf32f12bef7u, 0x7dff07e2a0af6a96u, 0xa27693506ef1cf75u, 0xb6d34083984b5e3du,
        0xc808667f79015122u, 0xc5bbccfdd97b0cd8u, 0xfaaaf0271a08b6bdu, 0xac7f89230a53073au,
        0x44a0f7fec3b680acu, 0x20fbea5987a65ee1u, 0xc0013b54a2caaa79u};
    for (int32_t act = 0; act < CYG_ACT_COUNT; act++) {
        kh_seed((uint64_t)act + 1);
        kh_call c;
        ic_linear(&c, act % 2 ? CYG_TYPE_S16 : CYG_TYPE_U8, act % 3 ? CYG_TYPE_S16 : CYG_TYPE_U8,
                  act, CYG_TYPE_S16, 5, 20, 65, 50, KH_RANDOM, KH_RANDOM);
        finish(&c, "linear", want[act]);
    }
}

static void attention(void **state)
{
    (void)state;
    static const uint64_t want[4] = {0xe6d993822e371860u, 0x749a6726ac878dcbu, 0x4f4e80daffcddca0u,
                                     0x80c94942daa2496bu};
    for (int i = 0; i < 4; i++) {
        const ic_attention d = {.images = 1,
                                .entries = 2,
                                .heads = 2,
                                .dim = 24,
                                .tokens = 49,
                                .tables = 2,
                                .cosine = i % 2,
                                .e_bits = i < 2 ? 8 : 16,
                                .use_rows = 1,
                                .use_mask = 1,
                                .y_type = CYG_TYPE_U8};
        kh_seed((uint64_t)i + 21);
        kh_call c;
        ic_attention_call(&c, &d);
        finish(&c, "attention", want[i]);
    }
}

/* 16 bits on both sides: attention, and a convolution with 16-bit weights. */
static void wide(void **state)
{
    (void)state;
    static const uint64_t want[3] = {0x35cb69a7764a486bu, 0x8341e655817a2c9bu, 0xb5990a7a584afe32u};
    for (int i = 0; i < 2; i++) {
        const ic_attention d = {.images = 1,
                                .entries = 2,
                                .heads = 2,
                                .dim = 24,
                                .tokens = 49,
                                .tables = 2,
                                .cosine = i,
                                .e_bits = 16,
                                .use_rows = 1,
                                .use_mask = 1,
                                .y_type = CYG_TYPE_S16,
                                .types = {CYG_TYPE_S16, CYG_TYPE_S16, CYG_TYPE_S16}};
        kh_seed((uint64_t)i + 25);
        kh_call c;
        ic_attention_call(&c, &d);
        finish(&c, "attention of 16 bits", want[i]);
    }
    const ic_conv d = {
        CYG_TYPE_S16, CYG_TYPE_S16, CYG_ACT_NONE, 1, 1, 8, 9, 10, 50, 1, 3, 3, 2, 1, 1, 1};
    kh_seed(27);
    kh_call c;
    ic_conv2d(&c, &d, KH_RANDOM);
    finish(&c, "convolution with weights of 16 bits", want[2]);
}

static void layernorm(void **state)
{
    (void)state;
    const cyg_kp_ilayernorm p = {.channels = 97, .eps = 0.3, .sat = {-120.0f, 135.0f, 120, 0}};
    kh_seed(31);
    kh_call c;
    kh_begin(&c, CYG_KOP_i_layernorm, &p, sizeof p);
    kh_fill_int(CYG_TYPE_S16, kh_in(&c, CYG_TYPE_S16, 0, KH_DIMS(40, 97)), 40 * 97, KH_RANDOM);
    kh_fill_float(kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(97)), 97, 1.0f, 60.0f);
    kh_fill_float(kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(97)), 97, -9.0f, 9.0f);
    kh_out(&c, CYG_TYPE_U8, KH_DIMS(40, 97));
    finish(&c, "layernorm", 0x2a88855f49046901u);
}

static void softmax(void **state)
{
    (void)state;
    const cyg_kp_isoftmax p = {
        .c = 0.11f, .inv_scale_y = 32767.0f, .sat = {-32767.0f, 32767.0f, 0, 0}};
    kh_seed(32);
    kh_call c;
    kh_begin(&c, CYG_KOP_i_softmax, &p, sizeof p);
    kh_fill_int(CYG_TYPE_U8, kh_in(&c, CYG_TYPE_U8, 0, KH_DIMS(30, 101)), 30 * 101, KH_RANDOM);
    kh_out(&c, CYG_TYPE_S16, KH_DIMS(30, 101));
    finish(&c, "softmax", 0x3c145f440ed477e3u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear),    cmocka_unit_test(attention), cmocka_unit_test(wide),
        cmocka_unit_test(layernorm), cmocka_unit_test(softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Constants of 4 bits: stored in half the bytes where they fit, read as what they were; damage is
 * refused before anything is expanded. */
#include "../testing.h"

#include "format/nibbles.h"
#include "mend.h" /* checksums of all but the weights */

enum { ROWS = 30, TAPS = 50, GROUPS = 4, OFF_TENSORS = 48, TENSOR = 104 };

/* Every multiplier and every 4-bit number, groups of zeros, a short group at each row's end. */
static void fill(int8_t w[ROWS * TAPS])
{
    uint32_t x = 12345;
    for (int n = 0; n < ROWS; n++)
        for (int k = 0; k < TAPS; k++) {
            const int m = (n + k / 16) % 15 + 1;
            x = x * 1664525u + 1013904223u;
            w[n * TAPS + k] = (int8_t)(n == 7 ? 0 : m * ((int)(x >> 28) - 8));
        }
}

static void test_round_trip(void **unused)
{
    (void)unused;
    static int8_t w[ROWS * TAPS], back[ROWS * TAPS];
    const cyg_nibbles n = {ROWS, TAPS, 16};
    const size_t size = cyg_nibbles_size(&n);
    assert_int_equal(size, ROWS * GROUPS / 2 + ROWS * TAPS / 2);
    uint8_t *stored = malloc(size);
    assert_non_null(stored);
    fill(w);
    assert_true(cyg_nibbles_pack(&n, w, stored));
    cyg_nibbles_unpack(&n, stored, back);
    assert_memory_equal(w, back, sizeof w);
    /* The layout that docs/package.md states, read by hand: weight (3, 17), group 1 of row 3. */
    const size_t at = 3 * TAPS + 17, group = 3 * GROUPS + 1;
    const int q = stored[ROWS * GROUPS / 2 + at / 2] >> (at % 2 * 4) & 15,
              m = stored[group / 2] >> (group % 2 * 4) & 15;
    assert_int_equal(w[at], m * (q >= 8 ? q - 16 : q));
    w[40] = 127; /* prime: no multiplier leaves 4 bits of it */
    assert_false(cyg_nibbles_pack(&n, w, stored));
    free(stored);
}

/* Two constants, [30, 50] and [25, 60], that fit, one that does not. */
typedef struct fixture {
    cyg_arena arena;
    cyg_program p;
    int8_t first[ROWS * TAPS], second[ROWS * TAPS], plain[ROWS * TAPS];
    uint8_t *bytes;
    size_t size;
} fixture;

static void add_const(fixture *f, const char *name, int64_t rows, const int8_t *data)
{
    const cyg_tensor t = {.name = name,
                          .type = CYG_TYPE_S8,
                          .rank = 2,
                          .dims = {rows, ROWS * TAPS / rows},
                          .kind = CYG_TENSOR_CONST,
                          .data = data};
    assert_int_not_equal(cyg_program_add_tensor(&f->p, &f->arena, &t), CYG_NO_TENSOR);
}

static void fixture_init(fixture *f, void **state)
{
    static cyg_ctx ctx;
    cyg_map map;
    cyg_ctx_init(&ctx);
    memset(f, 0, sizeof *f);
    cyg_arena_init(&f->arena);
    fill(f->first);
    for (int i = 0; i < ROWS * TAPS; i++) {
        f->second[i] = (int8_t)(i % 16 - 8);
        f->plain[i] = (int8_t)(i % 251 - 125);
    }
    add_const(f, "first", ROWS, f->first);
    add_const(f, "second", 25, f->second);
    add_const(f, "plain", ROWS, f->plain);
    const char *path = scratch_path(state, "s4.cyg");
    assert_int_equal(cyg_package_write(&ctx, path, &f->p, 1, "{}"), CYG_OK);
    assert_int_equal(cyg_map_open(&ctx, path, &map), CYG_OK);
    f->size = map.size;
    f->bytes = malloc(f->size);
    assert_non_null(f->bytes);
    memcpy(f->bytes, map.data, f->size);
    cyg_map_close(&map);
}

static void fixture_deinit(fixture *f)
{
    free(f->bytes);
    cyg_arena_deinit(&f->arena);
}

static cyg_status open_bytes(void **state, const fixture *f, bool skip, cyg_ctx *ctx,
                             cyg_arena *arena, cyg_package *k)
{
    const cyg_package_options options = {.skip_weight_checksum = skip};
    cyg_ctx_init(ctx);
    cyg_arena_init(arena);
    write_scratch(state, "m.cyg", f->bytes, f->size);
    return cyg_package_open(ctx, scratch_path(state, "m.cyg"), arena, &options, k);
}

static void test_package(void **state)
{
    static fixture f;
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_package k;
    fixture_init(&f, state);
    assert_int_equal(open_bytes(state, &f, false, &ctx, &arena, &k), CYG_OK);
    const int8_t *expected[] = {f.first, f.second, f.plain};
    for (int i = 0; i < 3; i++)
        assert_memory_equal(k.programs[0].tensors[i].data, expected[i], ROWS * TAPS);
    assert_int_equal(k.programs[0].tensors[0].group, 16);
    assert_int_equal(k.programs[0].tensors[1].group, 16);
    assert_int_equal(k.programs[0].tensors[2].group, 0);
    assert_true(k.weights_size < 2 * 900 + 1600);
    cyg_package_close(&k);
    cyg_arena_deinit(&arena);
    fixture_deinit(&f);
}

/* The bytes of a constant in 4 bits, once more in shapes and a type that read them otherwise. */
static void test_equal_bytes(void **state)
{
    static fixture f;
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_package k;
    fixture_init(&f, state);
    add_const(&f, "again", ROWS, f.first);
    add_const(&f, "turned", TAPS, f.first);
    add_const(&f, "u8", ROWS, f.first);
    f.p.tensors[f.p.tensor_count - 1].type = CYG_TYPE_U8;
    const char *path = scratch_path(state, "equal.cyg");
    assert_int_equal(cyg_package_write(&ctx, path, &f.p, 1, "{}"), CYG_OK);
    cyg_arena_init(&arena);
    assert_int_equal(cyg_package_open(&ctx, path, &arena, NULL, &k), CYG_OK);
    const cyg_tensor *t = k.programs[0].tensors;
    assert_true(t[3].group == 16 && t[3].offset == t[0].offset);
    assert_int_equal(t[5].group, 0);
    for (int i = 3; i < 6; i++)
        assert_memory_equal(t[i].data, f.first, ROWS * TAPS);
    cyg_package_close(&k);
    cyg_arena_deinit(&arena);
    fixture_deinit(&f);
}

static size_t program_at(const fixture *f)
{
    for (uint32_t i = 0; i < cyg_load_u32(f->bytes + 12); i++)
        if (cyg_load_u32(f->bytes + 64 + 48 * i) == CYG_SECTION_PROGRAM)
            return cyg_load_u64(f->bytes + 64 + 48 * i + 8);
    fail();
    return 0;
}

static void test_hostile(void **state)
{
    static const struct {
        const char *says;
        int tensor;
        size_t at;
        uint64_t value;
    } cases[] = {
        {"groups of 4-bit numbers are too long", 0, 96, 1u << 21},
        {"groups of 4-bit numbers are too long", 0, 96, UINT64_MAX},
        {"lies outside section \"weights\"", 2, 88, 1u << 20},
        {"shares the bytes of another of a different shape", 1, 88, 0},
        {"overlaps another", 1, 88, 64},
        {"not S8 of two dimensions", 0, 4, CYG_TYPE_F32 | 2ull << 32},
        {"not S8 of two dimensions", 0, 8, 1ull | (uint64_t)CYG_TENSOR_CONST << 32},
    };
    static fixture f;
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_package k;
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        fixture_init(&f, state);
        cyg_store_u64(f.bytes + program_at(&f) + OFF_TENSORS + (size_t)cases[i].tensor * TENSOR +
                          cases[i].at,
                      cases[i].value);
        mend_package(f.bytes, f.size);
        const cyg_status status = open_bytes(state, &f, true, &ctx, &arena, &k);
        if (status != CYG_E_FORMAT || !ctx_says(&ctx, cases[i].says))
            fail_msg("case %zu: %s, expected %s", i,
                     status == CYG_OK ? "accepted" : cyg_ctx_message(&ctx, 0), cases[i].says);
        cyg_arena_deinit(&arena);
        fixture_deinit(&f);
    }
}

/* The stored bytes are summed, not the expanded ones. */
static void test_damage(void **state)
{
    static fixture f;
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_package k;
    fixture_init(&f, state);
    for (uint32_t i = 0; i < cyg_load_u32(f.bytes + 12); i++)
        if (cyg_load_u32(f.bytes + 64 + 48 * i) == CYG_SECTION_WEIGHTS)
            f.bytes[cyg_load_u64(f.bytes + 64 + 48 * i + 8) + 700] ^= 1;
    assert_int_equal(open_bytes(state, &f, false, &ctx, &arena, &k), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "damaged"));
    cyg_arena_deinit(&arena);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test_setup_teardown(test_package, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_equal_bytes, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_hostile, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_damage, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}

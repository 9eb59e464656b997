/* Packages: what is written is read back; the same program gives the same bytes; every cut and
 * every changed byte is an error or changes nothing; tables made hostile on purpose, with checksums
 * that fit, are refused by the check that is meant for them. */
#include "../testing.h"

#include "format/package.h"
#include "mend.h"

enum { OFF_TENSORS = 48 + 8, TENSOR = 104, STEP = 40, TENSORS = 7, STEPS = 2 };

static const int8_t weights[24] = {1,  -2, 3,    4,  5,  6,  7,  8,  9,  -10, 11, 12,
                                   13, 14, -127, 16, 17, 18, 19, 20, 21, 22,  23, 24};
static const float biases[3] = {0.5f, -1.0f, 2.0f};

/* Input, two constants with equal bytes, another, an alias of a buffer, an output. */
static void make_program(cyg_arena *arena, cyg_program *p)
{
    const uint64_t params[2] = {0x1122334455667788u, 42};
    const cyg_tensor tensors[TENSORS] = {
        {.name = "x",
         .type = CYG_TYPE_U8,
         .rank = 2,
         .dims = {4, 8},
         .kind = CYG_TENSOR_INPUT,
         .scale = 0.25f,
         .zero_point = 3},
        {.name = "w",
         .type = CYG_TYPE_S8,
         .rank = 2,
         .dims = {3, 8},
         .kind = CYG_TENSOR_CONST,
         .data = weights},
        {.name = "w again",
         .type = CYG_TYPE_S8,
         .rank = 1,
         .dims = {24},
         .kind = CYG_TENSOR_CONST,
         .data = weights},
        {.name = "b",
         .type = CYG_TYPE_F32,
         .rank = 1,
         .dims = {3},
         .kind = CYG_TENSOR_CONST,
         .data = biases},
        {.name = "t",
         .type = CYG_TYPE_F32,
         .rank = 2,
         .dims = {4, 3},
         .kind = CYG_TENSOR_ARENA,
         .arena_offset = 64},
        {.name = "view",
         .type = CYG_TYPE_F32,
         .rank = 1,
         .dims = {12},
         .kind = CYG_TENSOR_ALIAS,
         .offset = 4},
        {.name = "y",
         .type = CYG_TYPE_F32,
         .rank = 1,
         .dims = {12},
         .kind = CYG_TENSOR_OUTPUT,
         .arena_offset = 128},
    };
    static const uint32_t in0[] = {0, 1, 3, CYG_NO_TENSOR}, out0[] = {4}, in1[] = {5, 2},
                          out1[] = {6};
    const cyg_step steps[STEPS] = {
        {.name = "first",
         .sources = "a,b",
         .op = 7,
         .in = in0,
         .in_count = 4,
         .out = out0,
         .out_count = 1,
         .params = params,
         .params_size = 12,
         .macs = 96},
        {.name = "second",
         .sources = "",
         .op = 18,
         .in = in1,
         .in_count = 2,
         .out = out1,
         .out_count = 1,
         .params = params,
         .params_size = 16,
         .macs = 0},
    };
    memset(p, 0, sizeof *p);
    for (int i = 0; i < TENSORS; i++)
        assert_int_equal(cyg_program_add_tensor(p, arena, &tensors[i]), i);
    for (int i = 0; i < STEPS; i++)
        assert_true(cyg_program_add_step(p, arena, &steps[i]));
    p->inputs = CYG_NEW_ARRAY(arena, uint32_t, 1);
    p->outputs = CYG_NEW_ARRAY(arena, uint32_t, 1);
    p->inputs[0] = 0;
    p->outputs[0] = 6;
    p->input_count = p->output_count = 1;
    p->arena_bytes = 192;
}

static void assert_same(const cyg_program *a, const cyg_program *b)
{
    assert_int_equal(a->tensor_count, b->tensor_count);
    assert_int_equal(a->step_count, b->step_count);
    assert_int_equal(a->arena_bytes, b->arena_bytes);
    assert_int_equal(a->input_count, b->input_count);
    assert_int_equal(a->output_count, b->output_count);
    assert_memory_equal(a->inputs, b->inputs, 4 * a->input_count);
    assert_memory_equal(a->outputs, b->outputs, 4 * a->output_count);
    for (uint32_t i = 0; i < a->tensor_count; i++) {
        const cyg_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->rank, y->rank);
        assert_memory_equal(x->dims, y->dims, sizeof x->dims);
        assert_int_equal(x->kind, y->kind);
        assert_int_equal(x->zero_point, y->zero_point);
        assert_true(x->scale == y->scale);
        assert_int_equal(x->arena_offset, y->arena_offset);
        if (x->kind == CYG_TENSOR_CONST)
            assert_memory_equal(x->data, y->data, cyg_tensor_bytes(x));
        else
            assert_int_equal(x->offset, y->offset);
    }
    for (uint32_t i = 0; i < a->step_count; i++) {
        const cyg_step *x = &a->steps[i], *y = &b->steps[i];
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->sources, y->sources);
        assert_int_equal(x->op, y->op);
        assert_int_equal(x->in_count, y->in_count);
        assert_int_equal(x->out_count, y->out_count);
        assert_memory_equal(x->in, y->in, 4 * x->in_count);
        assert_memory_equal(x->out, y->out, 4 * x->out_count);
        assert_int_equal(x->params_size, y->params_size);
        assert_memory_equal(x->params, y->params, x->params_size);
        assert_int_equal(x->macs, y->macs);
    }
}

typedef struct fixture {
    cyg_arena arena;
    cyg_program program;
    uint8_t *bytes;
    size_t size;
} fixture;

static void fixture_init(fixture *f, void **state)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_map map;
    cyg_arena_init(&f->arena);
    make_program(&f->arena, &f->program);
    const char *path = scratch_path(state, "good.cyg");
    assert_int_equal(cyg_package_write(&ctx, path, &f->program, 1, "{\"k\": 1}"), CYG_OK);
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

/* Opens bytes; on success they must hold the fixture's program (NULL: any). */
static cyg_status open_bytes(void **state, const uint8_t *bytes, size_t size, const fixture *same,
                             cyg_ctx *ctx)
{
    cyg_package k;
    cyg_arena arena;
    cyg_ctx_init(ctx);
    cyg_arena_init(&arena);
    write_scratch(state, "m.cyg", bytes, size);
    const cyg_status status = cyg_package_open(ctx, scratch_path(state, "m.cyg"), &arena, NULL, &k);
    if (status == CYG_OK && same != NULL) {
        assert_int_equal(k.program_count, 1);
        assert_same(k.programs, &same->program);
        assert_string_equal(k.meta, "{\"k\": 1}");
    }
    if (status == CYG_OK)
        cyg_package_close(&k);
    else
        assert_true(cyg_ctx_message_count(ctx) > 0);
    cyg_arena_deinit(&arena);
    return status;
}

static void test_round_trip(void **state)
{
    static cyg_ctx ctx;
    fixture f, again;
    fixture_init(&f, state);
    assert_int_equal(open_bytes(state, f.bytes, f.size, &f, &ctx), CYG_OK);
    assert_true(cyg_package_is(f.bytes, f.size));
    assert_false(cyg_package_is(f.bytes, 7));
    assert_int_equal(f.size % 64, 0);
    fixture_init(&again, state);
    assert_int_equal(f.size, again.size);
    assert_memory_equal(f.bytes, again.bytes, f.size);
    fixture_deinit(&again);
    fixture_deinit(&f);
}

static void test_equal_constants_once(void **state)
{
    fixture f;
    fixture_init(&f, state);
    int found = 0;
    for (size_t i = 0; i + sizeof weights <= f.size; i++)
        found += memcmp(f.bytes + i, weights, sizeof weights) == 0;
    assert_int_equal(found, 1);
    fixture_deinit(&f);
}

static void test_truncation(void **state)
{
    static cyg_ctx ctx;
    fixture f;
    fixture_init(&f, state);
    for (size_t n = 0; n < f.size; n++)
        assert_int_equal(open_bytes(state, f.bytes, n, NULL, &ctx), CYG_E_FORMAT);
    uint8_t *longer = calloc(1, f.size + 64);
    memcpy(longer, f.bytes, f.size);
    assert_int_equal(open_bytes(state, longer, f.size + 64, NULL, &ctx), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "truncated or grown"));
    free(longer);
    fixture_deinit(&f);
}

static void test_flips(void **state)
{
    static cyg_ctx ctx;
    fixture f;
    size_t refused = 0, equal = 0;
    fixture_init(&f, state);
    for (size_t i = 0; i < f.size; i++)
        for (int kind = 0; kind < 2; kind++) {
            const uint8_t kept = f.bytes[i];
            f.bytes[i] = (uint8_t)(kept ^ (kind == 0 ? 1u << i % 8 : 0xffu));
            if (open_bytes(state, f.bytes, f.size, &f, &ctx) == CYG_OK)
                equal++; /* padding: checked to be the same program */
            else
                refused++;
            f.bytes[i] = kept;
        }
    assert_true(refused > 2000);
    assert_true(equal < f.size); /* less than half of all changes fell on padding */
    fixture_deinit(&f);
}

static size_t section_at(const fixture *f, uint32_t kind)
{
    for (uint32_t i = 0; i < cyg_load_u32(f->bytes + 12); i++)
        if (cyg_load_u32(f->bytes + 64 + i * 48) == kind)
            return (size_t)cyg_load_u64(f->bytes + 64 + i * 48 + 8);
    fail_msg("no section %u", kind);
    return 0;
}

static void test_weights(void **state)
{
    static cyg_ctx ctx;
    fixture f;
    fixture_init(&f, state);
    const size_t at = section_at(&f, CYG_SECTION_WEIGHTS);
    f.bytes[at + 5] ^= 1;
    assert_int_equal(open_bytes(state, f.bytes, f.size, NULL, &ctx), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "\"weights\" is damaged"));
    /* Not looked at on request. */
    cyg_package k;
    cyg_arena arena;
    const cyg_package_options fast = {.skip_weight_checksum = true};
    cyg_arena_init(&arena);
    write_scratch(state, "m.cyg", f.bytes, f.size);
    assert_int_equal(cyg_package_open(&ctx, scratch_path(state, "m.cyg"), &arena, &fast, &k),
                     CYG_OK);
    cyg_package_close(&k);
    cyg_arena_deinit(&arena);
    fixture_deinit(&f);
}

typedef struct hostile {
    const char *what, *says;
    size_t
        at; /* offset in section PROGRAM; SIZE_MAX - n: n in the section table's row of PROGRAM */
    int width;
    uint64_t value;
} hostile;

#define T(i, field) (OFF_TENSORS + (i)*TENSOR + (field))
#define S(i, field) (OFF_TENSORS + TENSORS * TENSOR + (i)*STEP + (field))
#define O(i) (OFF_TENSORS + TENSORS * TENSOR + STEPS * STEP + 4 * (i))

static void test_hostile(void **state)
{
    static const hostile cases[] = {
        {"tensors without end", "do not add up", 0, 4, 0xffffffff},
        {"steps without end", "do not add up", 4, 4, 0xffffffff},
        {"inputs without end", "do not add up", 8, 4, 0xffffffff},
        {"operands without end", "do not add up", 16, 4, 0xffffffff},
        {"parameters without end", "do not add up", 24, 8, UINT64_MAX},
        {"one tensor less", "do not add up", 0, 4, TENSORS - 1},
        {"arena of 2^63", "1 TiB", 32, 8, 1ull << 63},
        {"arena of 2^40", "larger than its tensors need", 32, 8, 1ull << 40},
        {"arena a bit larger", "larger than its tensors need", 32, 8, 256},
        {"arena too small", "outside the arena", 32, 8, 128},
        {"input of no tensor", "not such a tensor", 48, 4, TENSORS},
        {"input is an output", "not such a tensor", 48, 4, 6},
        {"no batch", "out of order", 44, 4, 0},
        {"batch too large", "out of order", 44, 4, 65537},
        {"batch of nothing", "at another size", 44, 4, 3},
        {"first group is not 0", "out of order", 40, 4, 1},
        {"name outside", "outside section \"strings\"", T(0, 0), 4, 0x7fffffff},
        {"type unknown", "type or shape", T(0, 4), 4, 99},
        {"type none", "type or shape", T(0, 4), 4, 0},
        {"type negative", "type or shape", T(0, 4), 4, 0xffffffff},
        {"rank 9", "rank", T(0, 8), 4, 9},
        {"rank negative", "rank", T(0, 8), 4, 0xffffffff},
        {"dim negative", "type or shape", T(0, 16), 8, UINT64_MAX},
        {"dims overflow", "type or shape", T(0, 16), 8, 1ull << 62},
        {"kind unknown", "unknown kind", T(4, 12), 4, 6},
        {"kind inner with a place", "inside a subgraph has a place", T(4, 12), 4, 5},
        {"kind negative", "unknown kind", T(4, 12), 4, 0xffffffff},
        {"constant outside", "outside section \"weights\"", T(1, 88), 8, 1 << 20},
        {"constant offset wraps", "outside section \"weights\"", T(1, 88), 8, UINT64_MAX - 63},
        {"constant unaligned", "outside section \"weights\"", T(1, 88), 8, 8},
        {"constant too long", "outside section \"weights\"", T(1, 24), 8, 4096},
        {"buffer outside", "outside the arena", T(4, 96), 8, 192},
        {"buffer offset wraps", "outside the arena", T(4, 96), 8, UINT64_MAX - 63},
        {"buffer unaligned", "outside the arena", T(4, 96), 8, 4},
        {"alias of itself", "leads nowhere", T(5, 88), 8, 5},
        {"alias forward", "leads nowhere", T(5, 88), 8, 6},
        {"alias far out", "leads nowhere", T(5, 88), 8, UINT64_MAX},
        {"alias of another size", "differs in size", T(5, 88), 8, 0},
        {"step name outside", "outside section \"strings\"", S(0, 0), 4, 0xffffffff},
        {"inputs of a step", "operands lie outside", S(0, 12), 4, 0xffffffff},
        {"outputs of a step", "operands lie outside", S(0, 16), 4, 0xffffffff},
        {"no output", "operands lie outside", S(0, 16), 4, 0},
        {"first operand", "operands lie outside", S(1, 20), 4, 0xfffffff0},
        {"parameters outside", "parameters lie outside", S(1, 24), 4, 0xfffffff8},
        {"parameters too long", "parameters lie outside", S(0, 28), 4, 0xffffffff},
        {"operand of no tensor", "does not exist", O(0), 4, TENSORS},
        {"output absent", "does not exist", O(4), 4, CYG_NO_TENSOR},
        {"writes a constant", "writes to a constant", O(4), 4, 1},
        {"writes an input", "writes to a constant", O(4), 4, 0},
        {"writes a view", "writes to a constant", O(4), 4, 5},
    };
    static cyg_ctx ctx;
    fixture f;
    fixture_init(&f, state);
    const size_t program = section_at(&f, CYG_SECTION_PROGRAM);
    uint8_t *kept = malloc(f.size);
    memcpy(kept, f.bytes, f.size);
    mend_package(f.bytes, f.size);
    assert_memory_equal(kept, f.bytes, f.size); /* mending agrees with the writer */
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        memcpy(f.bytes + program + cases[i].at, &cases[i].value, (size_t)cases[i].width);
        mend_package(f.bytes, f.size);
        if (open_bytes(state, f.bytes, f.size, NULL, &ctx) != CYG_E_FORMAT ||
            !ctx_says(&ctx, cases[i].says))
            fail_msg("%s: %s", cases[i].what,
                     cyg_ctx_message_count(&ctx) > 0 ? cyg_ctx_message(&ctx, 0) : "accepted");
        memcpy(f.bytes, kept, f.size);
    }
    free(kept);
    fixture_deinit(&f);
}

/* The section table, with checksums that fit. */
static void test_hostile_table(void **state)
{
    static const struct {
        const char *says;
        size_t at;
        int width;
        uint64_t value;
    } cases[] = {
        {"does not fit", 12, 4, 0xffffffff},
        {"does not fit", 12, 4, 257},
        {"too high", 64 + 4, 4, 1},
        {"too high", 64 + 2 * 48 + 4, 4, 64},
        {"is missing", 64 + 2 * 48 + 4, 4, 1},
        {"is missing", 12, 4, 3},
        {"is missing", 64, 4, 77},
        {"occurs twice", 64, 4, 2},
        {"outside the file", 64 + 8, 8, UINT64_MAX - 63},
        {"outside the file", 64 + 16, 8, UINT64_MAX},
        {"not aligned", 64 + 8, 8, 257},
        {"package version 1", 8, 4, 1},
        {"not a cygnet package", 0, 4, 0},
        {"too short", 64 + 2 * 48 + 16, 8, 47},
        {"outside section \"strings\"", 64 + 48 + 16, 8, 0},
        {"outside section \"strings\"", 64 + 48 + 16, 8, 3},
    };
    static cyg_ctx ctx;
    fixture f;
    fixture_init(&f, state);
    uint8_t *kept = malloc(f.size);
    memcpy(kept, f.bytes, f.size);
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        memcpy(f.bytes + cases[i].at, &cases[i].value, (size_t)cases[i].width);
        mend_package(f.bytes, f.size);
        if (open_bytes(state, f.bytes, f.size, NULL, &ctx) != CYG_E_FORMAT ||
            !ctx_says(&ctx, cases[i].says))
            fail_msg("case %zu, expected \"%s\": %s", i, cases[i].says,
                     cyg_ctx_message_count(&ctx) > 0 ? cyg_ctx_message(&ctx, 0) : "accepted");
        memcpy(f.bytes, kept, f.size);
    }
    free(kept);
    fixture_deinit(&f);
}

/* Every byte of PROGRAM changed, checksums mended: an error or a program whose numbers are sane. */
static void test_mended_flips(void **state)
{
    static cyg_ctx ctx;
    static const uint8_t values[] = {0x01, 0x80, 0xff};
    fixture f;
    fixture_init(&f, state);
    const size_t from = section_at(&f, CYG_SECTION_PROGRAM),
                 to = section_at(&f, CYG_SECTION_WEIGHTS);
    uint8_t *kept = malloc(f.size);
    memcpy(kept, f.bytes, f.size);
    for (size_t i = from; i < to; i++)
        for (size_t k = 0; k < sizeof values; k++) {
            f.bytes[i] ^= values[k];
            mend_package(f.bytes, f.size);
            const cyg_status status = open_bytes(state, f.bytes, f.size, NULL, &ctx);
            assert_true(status == CYG_OK || status == CYG_E_FORMAT);
            memcpy(f.bytes, kept, f.size);
        }
    free(kept);
    fixture_deinit(&f);
}

static void test_empty_program(void **state)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_program p = {0};
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_package k;
    const cyg_tensor none = {
        .name = "empty", .type = CYG_TYPE_F32, .rank = 1, .kind = CYG_TENSOR_CONST};
    assert_int_equal(cyg_program_add_tensor(&p, &arena, &none), 0);
    const char *path = scratch_path(state, "e.cyg");
    assert_int_equal(cyg_package_write(&ctx, path, &p, 1, ""), CYG_OK);
    assert_int_equal(cyg_package_open(&ctx, path, &arena, NULL, &k), CYG_OK);
    assert_int_equal(k.programs->step_count, 0);
    assert_string_equal(k.meta, "");
    cyg_package_close(&k);
    assert_int_not_equal(cyg_package_open(&ctx, "/nonexistent", &arena, NULL, &k), CYG_OK);
    cyg_arena_deinit(&arena);
}

int main(void)
{
#define SCRATCH(name) cmocka_unit_test_setup_teardown(name, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH(test_round_trip),    SCRATCH(test_equal_constants_once),
        SCRATCH(test_truncation),    SCRATCH(test_flips),
        SCRATCH(test_weights),       SCRATCH(test_hostile),
        SCRATCH(test_hostile_table), SCRATCH(test_mended_flips),
        SCRATCH(test_empty_program),
    };
    return CYG_TEST_MAIN(tests);
}

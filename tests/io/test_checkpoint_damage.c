/* Checkpoints that are damaged or hostile: cut at every length, bits flipped, pickles that want to
 * run code, count to 2^60, nest a million deep or double themselves, zips and headers that lie.
 *
 * Everything is opened from an exact heap copy, so that a sanitizer sees one byte too many. */
#include "../testing.h"

#include "base/bytes.h"
#include "io/checkpoint_parts.h"
#include "io/unpickle.h"

#define CHECKPOINTS CYG_SOURCE_ROOT "/tests/io/data/checkpoints/"

static cyg_ctx ctx;

/* Opens a copy and reads all of it. */
static cyg_status try_open(const void *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    cyg_checkpoint *c;
    assert_non_null(copy);
    memcpy(copy, data, size);
    cyg_ctx_init(&ctx);
    const cyg_status status = cyg_checkpoint_open_memory(&ctx, "x.pth", copy, size, &c);
    for (size_t i = 0; status == CYG_OK && i < cyg_checkpoint_count(c); i++) {
        cyg_checkpoint_stats stats;
        assert_int_equal(cyg_checkpoint_measure(NULL, cyg_checkpoint_at(c, i), &stats), CYG_OK);
    }
    if (status == CYG_OK)
        cyg_checkpoint_close(c);
    else
        assert_true(cyg_ctx_message_count(&ctx) > 0);
    free(copy);
    return status;
}

static void map_ours(const char *name, cyg_map *out_map)
{
    char path[512];
    snprintf(path, sizeof path, CHECKPOINTS "%s", name);
    assert_int_equal(cyg_map_open(NULL, path, out_map), CYG_OK);
}

/* ---- cuts and flips ---- */

static void damage(const char *name, bool all_cuts_fail)
{
    cyg_map map;
    map_ours(name, &map);
    for (size_t cut = 0; cut < map.size; cut++)
        assert_true(try_open(map.data, cut) != CYG_OK || !all_cuts_fail);
    uint8_t *copy = malloc(map.size);
    assert_non_null(copy);
    memcpy(copy, map.data, map.size);
    for (size_t i = 0; i < map.size; i++) {
        copy[i] ^= (uint8_t)(1u << (i * 5 + i / 8) % 8);
        CYG_IGNORE(try_open(copy, map.size));
        copy[i] = map.data[i];
    }
    free(copy);
    cyg_map_close(&map);
}

static void test_damage(void **state)
{
    (void)state;
    damage("types.safetensors", true);
    damage("views.pth", true);
    damage("views_old.pth", true);
    damage("types_old.pth", true);
    damage("training.pth", true);
    damage("packed_pickle.pth", true);
}

/* ---- pickles ---- */

typedef struct pickle_text {
    const char *bytes;
    size_t size;
} pickle_text;
#define PICKLE(text)                                                                               \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const uint8_t legacy_head[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                      0x20, 0x6a, 0xa8, 0x50, 0x19, '.',  0x80, 2,    'M',
                                      0xe9, 3,    '.',  0x80, 2,    '}',  '.'};

/* A file in the old form around a pickle of the object, with the storages given. */
static cyg_status try_pickle(const void *pickle, size_t size, const char *rest, size_t rest_size)
{
    uint8_t *file = malloc(sizeof legacy_head + size + rest_size);
    assert_non_null(file);
    memcpy(file, legacy_head, sizeof legacy_head);
    memcpy(file + sizeof legacy_head, pickle, size);
    memcpy(file + sizeof legacy_head + size, rest, rest_size);
    const cyg_status status = try_open(file, sizeof legacy_head + size + rest_size);
    free(file);
    return status;
}

static cyg_status try_text(pickle_text p)
{
    if (memmem(p.bytes, p.size, "storage", 7) == NULL)
        return try_pickle(p.bytes, p.size, "].", 2);
    return try_pickle(p.bytes, p.size, "]X\1\0\0\0ka.\2\0\0\0\0\0\0\0AAAABBBB", 25);
}

/* {"w": tensor} with a float storage "k" of 2 elements; then offset, shape, stride */
#define TENSOR(numbers)                                                                            \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0" \
    "\0cpuK\2tQ" numbers "\x89}tR"
#define STATE(numbers) "}X\1\0\0\0w" TENSOR(numbers) "s."

static void test_hand_made(void **state)
{
    (void)state;
    const pickle_text good = PICKLE(STATE("K\0K\2\x85K\1\x85"));
    const pickle_text expanded = PICKLE(STATE("K\1K\3\x85K\0\x85"));
    const pickle_text inert =
        PICKLE("}(X\1\0\0\0acposix\nsystem\nX\4\0\0\0boom\x85RX\1\0\0\0w" TENSOR(
            "K\0K\2\x85K\1\x85") "X\5\0\0\0model}u.");
    assert_int_equal(try_text(good), CYG_OK);
    assert_int_equal(try_text(expanded), CYG_OK);
    assert_int_equal(try_text(inert), CYG_OK);
}

static void test_refused_pickles(void **state)
{
    (void)state;
    static const struct {
        pickle_text pickle;
        const char *message;
    } cases[] = {
        {PICKLE("cos\nsystem\nX\4\0\0\0boom\x85R."), "os.system"},
        {PICKLE("cposix\nsystem\n(S'boom'\ntR."), "posix.system"},
        {PICKLE("(S'boom'\nios\nsystem\n."), "os.system"},
        {PICKLE("}X\1\0\0\0wcevil\nWrap\n" TENSOR("K\0K\2\x85K\1\x85") "\x85Rs."), "no tensors"},
        {PICKLE("}(X\1\0\0\0wcevil\nWrap\n" TENSOR("K\0K\2\x85K\1\x85") "\x85RX\1\0\0\0v" TENSOR(
             "K\0K\2\x85K\1\x85") "u."),
         "evil.Wrap around a tensor"},
        {PICKLE(STATE("K\0K\3\x85K\1\x85")), "reaches element 2"},
        {PICKLE(STATE("K\1K\2\x85K\1\x85")), "reaches element 1"},
        {PICKLE(STATE("K\3K\1\x85K\1\x85")), "starts at element 3"},
        {PICKLE(STATE("K\0K\2\x85K\2\x85")), "reaches element 2"},
        {PICKLE(STATE("K\0K\2\x85K\1K\1\x86")), "as many strides"},
        {PICKLE(STATE("K\0K\2\x85J\xff\xff\xff\xff\x85")), "none negative"},
        {PICKLE(STATE("K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1tK\1\x85")), "at most 8"},
        {PICKLE(STATE("K\0\x8a\7\0\0\0\0\0\0\x10\x8a\7\0\0\0\0\0\0\x10\x86K\0K\0\x86")),
         "overflows"},
        {PICKLE(STATE("K\0\x8a\5\0\0\0\0\x10\x85K\0\x85")), "repeats"},
        {PICKLE(STATE("K\0K\2\x85\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f\x85")), "reaches element"},
        {PICKLE("}(X\1\0\0\0w" TENSOR("K\0K\2\x85K\1\x85") "X\1\0\0\0w" TENSOR(
             "K\0K\2\x85K\1\x85") "u."),
         "comes twice"},
        {PICKLE("X\xff\xff\xff\x7f"
                "boom."),
         "past the end"},
        {PICKLE("\x8d\xff\xff\xff\xff\xff\xff\xff\x7f."), "past the end"},
        {PICKLE("\x8b\xff\xff\xff\xff."), "past the end"},
        {PICKLE("Nr\xff\xff\xff\xff."), "memo number larger"},
        {PICKLE("Np4294967295\n."), "memo number larger"},
        {PICKLE("Np99999999999999999999\n."), "memo number was expected"},
        {PICKLE("j\0\0\0\0."), "never put there"},
        {PICKLE("."), "stack is empty"},
        {PICKLE("t."), "no mark"},
        {PICKLE("(N)s."), "stack is empty"},
        {PICKLE("(((N."), "no state dict"},
        {PICKLE("N"), "ends without STOP"},
        {PICKLE("\xff"), "no opcode 0xff"},
        {PICKLE("NNN\x87\x93."), "stack is empty"},
        {PICKLE("]N]sa."), "takes none"},
        {PICKLE("}(Nu."), "key without a value"},
        {PICKLE("I12x\n."), "integer was expected"},
        {PICKLE("F1.5.5\n."), "number was expected"},
        {PICKLE("\x80\x09N."), "protocol above 5"},
        {PICKLE("]."), "holds a list"},
        {PICKLE("}."), "no tensors"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        assert_int_not_equal(try_text(cases[i].pickle), CYG_OK);
        if (!ctx_says(&ctx, cases[i].message))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, cyg_ctx_message(&ctx, 0),
                     cases[i].message);
    }
}

static void test_storages_that_lie(void **state)
{
    (void)state;
    static const char good[] = STATE("K\0K\2\x85K\1\x85");
    static const struct {
        pickle_text rest;
        const char *message;
    } cases[] = {
        {PICKLE("]X\1\0\0\0ka.\2\0\0\0\0\0\0\0AAAABBB"), "the file ends after"},
        {PICKLE("]X\1\0\0\0ka.\3\0\0\0\0\0\0\0AAAABBBBCCCC"), "3 elements, expected 2"},
        {PICKLE("]X\1\0\0\0ka.\xff\xff\xff\xff\xff\xff\xff\xff"), "expected 2"},
        {PICKLE("]X\1\0\0\0xa.\2\0\0\0\0\0\0\0AAAABBBB"), "no tensor uses"},
        {PICKLE("](X\1\0\0\0kX\1\0\0\0ke.\2\0\0\0\0\0\0\0AAAABBBB"), "one twice"},
        {PICKLE("]."), "not there"},
        {PICKLE("N."), "no list"},
        {PICKLE("]X\1\0\0\0ka.\2"), "ends before a storage"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        assert_int_not_equal(
            try_pickle(good, sizeof good - 1, cases[i].rest.bytes, cases[i].rest.size), CYG_OK);
        assert_true(ctx_says(&ctx, cases[i].message));
    }
}

/* ---- enormous pickles in few bytes ---- */

static void fill(uint8_t *out, size_t size, const char *pattern, size_t pattern_size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)pattern[i % pattern_size];
}

/* Rows and arena of a pickle that repeats a pattern and ends in STOP; 0 = refused. */
static size_t memory_of(const char *pattern, size_t pattern_size, size_t size)
{
    uint8_t *data = malloc(size + 1);
    cyg_pickle p;
    assert_non_null(data);
    fill(data, size, pattern, pattern_size);
    data[size] = '.';
    const cyg_status status = cyg_unpickle(NULL, "bomb", data, size + 1, &p);
    const size_t used = p.count * sizeof *p.values + p.arena.used;
    assert_true(used <= 100 * size + 4096);
    cyg_pickle_deinit(&p);
    free(data);
    return status == CYG_OK ? used : 0;
}

static void test_bombs(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    assert_true(memory_of("]", 1, SIZE) > 0);
    assert_true(memory_of("}", 1, SIZE) > 0);
    assert_true(memory_of("(", 1, SIZE) == 0);
    assert_true(memory_of("N2\x86", 3, SIZE) > 0);     /* each tuple holds the last one twice */
    assert_true(memory_of("]2\x86h\0", 4, SIZE) == 0); /* the memo is empty */
    assert_true(memory_of("N\x85\x94", 3, SIZE) > 0);
    assert_true(memory_of("cos\nsystem\n", 11, SIZE / 11 * 11) > 0);
}

/* A dict nested a million deep under "model", and one that holds itself. */
static void test_depth_and_cycles(void **state)
{
    (void)state;
    enum { DEPTH = 200000 };
    static const char head[] = "X\5\0\0\0modelq\0"
                               "0";
    static const char self[] = "}q\0X\5\0\0\0modelh\0s.";
    static const char list[] = "]q\0h\0a.";
    uint8_t *data = malloc(sizeof head + 4 * DEPTH + 16);
    assert_non_null(data);
    size_t n = sizeof head - 1;
    memcpy(data, head, n);
    for (int i = 0; i < DEPTH; i++, n += 3)
        memcpy(data + n, "}h\0", 3);
    memcpy(data + n, "}", 1);
    n++;
    memset(data + n, 's', DEPTH);
    n += DEPTH;
    data[n++] = '.';
    assert_int_not_equal(try_pickle(data, n, "].", 2), CYG_OK);
    assert_true(ctx_says(&ctx, "no tensors"));
    free(data);
    assert_int_not_equal(try_pickle(self, sizeof self - 1, "].", 2), CYG_OK);
    assert_int_not_equal(try_pickle(list, sizeof list - 1, "].", 2), CYG_OK);
}

/* 2^40 paths through forty dicts that name the next one twice: each is entered once. */
static void test_diamonds(void **state)
{
    (void)state;
    char data[4096];
    size_t n = 0;
    data[n++] = '}';
    for (int i = 0; i < 40; i++) {
        static const char step[] = "q\1"
                                   "0"
                                   "}(X\5\0\0\0modelh\1X\3\0\0\0neth\1u";
        memcpy(data + n, step, sizeof step - 1);
        n += sizeof step - 1;
    }
    data[n++] = '.';
    assert_int_not_equal(try_pickle(data, n, "].", 2), CYG_OK);
    assert_true(ctx_says(&ctx, "no tensors"));
}

/* OrderedDict(list) over one list, again and again. */
static void test_repeated_pairs(void **state)
{
    (void)state;
    enum { PAIRS = 2000, CALLS = 2000 };
    uint8_t *data = malloc(1 << 20);
    assert_non_null(data);
    size_t n = 0;
#define PUT(text) (memcpy(data + n, text, sizeof(text) - 1), n += sizeof(text) - 1)
    PUT("](");
    for (int i = 0; i < PAIRS; i++)
        PUT("NN\x86");
    PUT("eq\0"
        "0"
        "ccollections\nOrderedDict\nq\1"
        "0");
    for (int i = 0; i < CALLS; i++)
        PUT("h\1h\0\x85R");
    PUT(".");
#undef PUT
    assert_int_not_equal(try_pickle(data, n, "].", 2), CYG_OK);
    assert_true(ctx_says(&ctx, "repeat one list too often"));
    free(data);
}

/* ---- zips that lie ---- */

/* Replaces the first `from` after `at` by `to`, of the same size. */
static size_t replace(uint8_t *data, size_t size, size_t at, const char *from, const void *to,
                      size_t n)
{
    for (; at + n <= size; at++)
        if (memcmp(data + at, from, n) == 0) {
            memcpy(data + at, to, n);
            return at;
        }
    fail_msg("the file has no such bytes");
    return 0;
}

static size_t find_last(const uint8_t *data, size_t size, const char *what, size_t n)
{
    size_t at = size - n;
    while (at > 0 && memcmp(data + at, what, n) != 0)
        at--;
    return at;
}

static void test_zip_lies(void **state)
{
    (void)state;
    cyg_map map;
    map_ours("lightning.pth", &map);
    uint8_t *data = malloc(map.size);
    assert_non_null(data);
    const size_t end = find_last(map.data, map.size, "PK\5\6", 4);
    const size_t first = cyg_load_u32(map.data + end + 16); /* the first directory entry */
    const struct {
        size_t at;
        uint32_t value;
        size_t bytes;
        const char *message;
    } cases[] = {
        {end + 16, 0xfffffff0u, 4, "disagree"},
        {end + 12, 0xfffffff0u, 4, "disagree"},
        {end + 10, 0xfff0u, 2, "disagree"},
        {end - 20 + 8, 0xfffffff0u, 4, "not where it should be"},
        {first + 20, 0x7fffffffu, 4, "two different sizes"},
        {first + 42, 0x7ffffff0u, 4, "no member where"},
        {first + 8, 1, 2, "encrypted"},
        {first + 10, 8, 2, "packed otherwise"},
        {first + 28, 0xffff, 2, "past the directory"},
        {first + 46, 'x', 1, "another name"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        memcpy(data, map.data, map.size);
        memcpy(data + cases[i].at, &cases[i].value, cases[i].bytes);
        assert_int_not_equal(try_open(data, map.size), CYG_OK);
        if (!ctx_says(&ctx, cases[i].message))
            fail_msg("case %zu: \"%s\"", i, cyg_ctx_message(&ctx, 0));
    }
    /* both end records say the same, which is wrong */
    const size_t end64 = (size_t)cyg_load_u64(map.data + end - 20 + 8);
    static const struct {
        size_t at, at64, bytes;
        const char *message;
    } twice[] = {{16, 48, 4, "outside the file"},
                 {12, 40, 4, "outside the file"},
                 {10, 32, 2, "more members than"}};
    for (size_t i = 0; i < CYG_COUNT(twice); i++) {
        memcpy(data, map.data, map.size);
        memset(data + end + twice[i].at, 0xfe, twice[i].bytes);
        memset(data + end64 + twice[i].at64, 0xfe, twice[i].bytes);
        assert_int_equal(try_open(data, map.size), CYG_E_FORMAT);
        assert_true(ctx_says(&ctx, twice[i].message));
    }
    /* both sizes of a member too large: it runs into the directory */
    memcpy(data, map.data, map.size);
    cyg_store_u32(data + first + 20, 1u << 20);
    cyg_store_u32(data + first + 24, 1u << 20);
    assert_int_equal(try_open(data, map.size), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "past the end of the data"));
    /* or only into the next member */
    memcpy(data, map.data, map.size);
    cyg_store_u32(data + first + 20, cyg_load_u32(data + first + 20) + 200);
    cyg_store_u32(data + first + 24, cyg_load_u32(data + first + 24) + 200);
    assert_int_equal(try_open(data, map.size), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "share bytes"));
    /* the pickle asks for more elements than the member has */
    memcpy(data, map.data, map.size);
    const size_t count = replace(data, map.size, 0, "X\3\0\0\0cpu", "X\3\0\0\0cpu", 8);
    size_t k = count;
    while (data[k] != 'K')
        k++;
    data[k + 1] = 200;
    assert_int_equal(try_open(data, map.size), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "expected 200 x 4"));
    free(data);
    cyg_map_close(&map);
}

static void test_other_zips(void **state)
{
    (void)state;
    static const struct {
        const char *name, *message;
    } cases[] = {
        {"module.pth", "torch.nn.modules.container.Sequential"},
        {"module_inside.pth", "under \"model\""},
        {"script.pth", "TorchScript"},
        {"packed.pth", "is compressed"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_map map;
        map_ours(cases[i].name, &map);
        assert_int_equal(try_open(map.data, map.size), CYG_E_UNSUPPORTED);
        assert_true(ctx_says(&ctx, cases[i].message));
        cyg_map_close(&map);
    }
    static const char empty_zip[] = "PK\3\4PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_int_equal(try_open(empty_zip, sizeof empty_zip - 1), CYG_E_FORMAT);
}

/* ---- safetensors headers that lie ---- */

static void test_safetensors_lies(void **state)
{
    (void)state;
    static const struct {
        const char *header, *message;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}", "lies at bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "needs 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "the tensors take 4"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "leave a hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\","
         "\"shape\":[1],\"data_offsets\":[4,8]}}",
         "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "lies at bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "negative"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}",
         "overflows"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}",
         "at most 8"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", "F8_E4M3"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":1}", "a"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "data_offsets"},
        {"{\"a\\u001b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "control characters"},
        {"{\"__metadata__\":{\"a\":1}}", "string"},
        {"{}", "the tensors take 0"},
        {"{", "x.pth"},
    };
    uint8_t file[512];
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        const size_t n = strlen(cases[i].header);
        cyg_store_u64(file, n);
        memcpy(file + 8, cases[i].header, n);
        memset(file + 8 + n, 1, 8);
        assert_int_not_equal(try_open(file, 8 + n + 8), CYG_OK);
        if (!ctx_says(&ctx, cases[i].message))
            fail_msg("case %zu: \"%s\"", i, cyg_ctx_message(&ctx, 0));
        cyg_store_u64(file, UINT64_C(1) << 60);
        assert_int_equal(try_open(file, 8 + n + 8), CYG_E_FORMAT);
        assert_true(ctx_says(&ctx, "header of 1152921504606846976 bytes"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_made),
        cmocka_unit_test(test_refused_pickles),
        cmocka_unit_test(test_storages_that_lie),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_depth_and_cycles),
        cmocka_unit_test(test_diamonds),
        cmocka_unit_test(test_repeated_pairs),
        cmocka_unit_test(test_zip_lies),
        cmocka_unit_test(test_other_zips),
        cmocka_unit_test(test_safetensors_lies),
        cmocka_unit_test(test_damage),
    };
    return CYG_TEST_MAIN(tests);
}

/* Witnesses: the vectors of FIPS 180-4 / NIST CAVP for SHA-256, the published ones of XXH64. */
#include "../testing.h"

#include "base/hash.h"

static void test_sha256_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "m"
         "nopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < CYG_COUNT(known); i++) {
        char hex[65];
        cyg_sha256_hex(known[i].text, strlen(known[i].text), hex);
        assert_string_equal(hex, known[i].digest);
    }
}

static void test_sha256_in_pieces(void **state)
{
    (void)state;
    static char million[1000000];
    memset(million, 'a', sizeof million);
    static const size_t pieces[] = {1, 3, 63, 64, 65, 4096, sizeof million};
    for (size_t i = 0; i < CYG_COUNT(pieces); i++) {
        cyg_sha h;
        char hex[65];
        cyg_sha256_init(&h);
        for (size_t at = 0; at < sizeof million;) {
            const size_t left = sizeof million - at;
            const size_t n = left < pieces[i] ? left : pieces[i];
            cyg_sha_update(&h, million + at, n);
            at += n;
        }
        cyg_sha_final_hex(&h, hex);
        assert_string_equal(hex,
                            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

/* With the processor's instructions, where it has them, and without: the same for every length. */
static void test_sha256_plain(void **state)
{
    (void)state;
    uint8_t data[517];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 167 + i / 7);
    for (size_t size = 0; size <= sizeof data; size++) {
        char fast[65], plain[65];
        cyg_sha h;
        cyg_sha256_hex(data, size, fast);
        cyg_sha256_init_plain(&h);
        cyg_sha_update(&h, data, size);
        cyg_sha_final_hex(&h, plain);
        assert_string_equal(fast, plain);
    }
    char hex[65];
    cyg_sha h;
    cyg_sha256_init_plain(&h);
    cyg_sha_update(&h, "abc", 3);
    cyg_sha_final_hex(&h, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_hash64(void **state)
{
    (void)state;
    assert_true(cyg_hash64("", 0, 0) == 0xEF46DB3751D8E999u);
    assert_true(cyg_hash64("a", 1, 0) == 0xD24EC4F1A98C6E5Bu);
    assert_true(cyg_hash64("abc", 3, 0) == 0x44BC2CF5AD770999u);
    static const char long_text[] = "Nobody inspects the spammish repetition";
    assert_true(cyg_hash64(long_text, sizeof long_text - 1, 0) == 0xFBCEA83C8A378BF1u);
}

/* FIPS 180's own examples, the last one in pieces too. */
static void test_sha1_vectors(void **state)
{
    (void)state;
    char sum[41];
    cyg_sha1_hex("abc", 3, sum);
    assert_string_equal(sum, "a9993e364706816aba3e25717850c26c9cd0d89d");
    cyg_sha1_hex("", 0, sum);
    assert_string_equal(sum, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    cyg_sha1_hex(two, strlen(two), sum);
    assert_string_equal(sum, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    cyg_sha h;
    cyg_sha1_init(&h);
    for (size_t i = 0; i < strlen(two); i++)
        cyg_sha_update(&h, two + i, 1);
    cyg_sha_final_hex(&h, sum);
    assert_string_equal(sum, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_vectors), cmocka_unit_test(test_sha256_in_pieces),
        cmocka_unit_test(test_sha256_plain),   cmocka_unit_test(test_sha1_vectors),
        cmocka_unit_test(test_hash64),
    };
    return CYG_TEST_MAIN(tests);
}

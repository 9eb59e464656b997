/* Levels: the kernel's own list of flags (/proc/cpuinfo) is the witness on x86. */
#include "../testing.h"

#include "base/cpu.h"

static void test_cap(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_cpu_level_id level;
    for (unsigned i = 0; i < CYG_CPU_COUNT; i++) {
        const cyg_cpu_level_id id = (cyg_cpu_level_id)i;
        setenv("CYGNET_CPU", cyg_cpu_name(id), 1);
        assert_int_equal(cyg_cpu_level(&ctx, &level), cyg_cpu_has(id) ? CYG_OK : CYG_E_USAGE);
        if (cyg_cpu_has(id))
            assert_int_equal(level, id);
    }
    setenv("CYGNET_CPU", "sse9", 1);
    assert_int_equal(cyg_cpu_level(&ctx, &level), CYG_E_USAGE);
    assert_true(ctx_says(&ctx, "unknown level"));
    unsetenv("CYGNET_CPU");
    assert_int_equal(cyg_cpu_level(&ctx, &level), CYG_OK);
    assert_true(cyg_cpu_has(level));
    assert_string_equal(cyg_cpu_name(CYG_CPU_COUNT), "?");
    assert_false(cyg_cpu_has(CYG_CPU_COUNT));
}

static void test_against_the_kernels_list(void **state)
{
    (void)state;
    static char text[65536];
    FILE *f = fopen("/proc/cpuinfo", "r");
    const size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f != NULL)
        fclose(f);
    text[n] = '\0';
    if (strstr(text, "flags\t") == NULL)
        skip();
    assert_int_equal(cyg_cpu_has(CYG_CPU_AVX2), strstr(text, " avx2 ") != NULL);
    assert_int_equal(cyg_cpu_has(CYG_CPU_AVX512VNNI), strstr(text, " avx512_vnni ") != NULL);
    assert_int_equal(cyg_cpu_has(CYG_CPU_AVXVNNI), strstr(text, " avx_vnni ") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_against_the_kernels_list),
    };
    return CYG_TEST_MAIN(tests);
}

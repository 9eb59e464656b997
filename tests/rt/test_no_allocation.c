/* A run allocates nothing: the linker sends every allocator of ours through a counter. */
#include "models.h"

static unsigned allocations;

#define WRAP(type, name, parameters, arguments)                                                    \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);                                     \
        return __real_##name arguments;                                                            \
    }
WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, aligned_alloc, (size_t align, size_t n), (align, n))
WRAP(int, posix_memalign, (void **p, size_t align, size_t n), (p, align, n))
WRAP(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t offset),
     (at, n, prot, flags, fd, offset))

static void check(void **state, cyg_graph *g, cyg_ctx *ctx)
{
    const char *path = scratch_path(state, "m.cyg");
    write_package(ctx, g, path);
    cyg_graph_destroy(g);
    for (unsigned threads = 1; threads <= 2; threads++) {
        cyg_model *model;
        cyg_session *session;
        cyg_session_options options;
        cyg_session_options_init(&options);
        options.threads = threads;
        const unsigned at_start = allocations;
        assert_int_equal(cyg_model_open(path, &model), 0);
        assert_int_equal(cyg_session_create(model, &options, &session), 0);
        assert_true(allocations > at_start); /* the counter counts */
        const unsigned before = allocations;
        for (int i = 0; i < 3; i++)
            assert_int_equal(cyg_session_run(session), 0);
        assert_int_equal(allocations, before);
        cyg_session_destroy(session);
        cyg_model_close(model);
    }
}

static void test_run(void **state)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    rng r = {3};
    cyg_quant_report report;
    float *x = random_floats(&r, WIDE_INPUT, 2.0f);
    check(state, tiny_quantised(&ctx, true, &report), &ctx);
    check(state, wide_graph(&ctx, x), &ctx);
    check(state, wide_graph(&ctx, NULL), &ctx);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_run, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}

/* What every test needs: cmocka in the order it insists on, and a scratch folder. */
#ifndef CYG_TESTS_TESTING_H
#define CYG_TESTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/file.h"

/* A fresh folder, as the state of a test; removed by teardown_scratch. */
static inline int setup_scratch(void **state)
{
    char *path = malloc(64);
    if (path == NULL)
        return -1;
    snprintf(path, 64, "/tmp/cyg-test-XXXXXX");
    *state = path;
    return mkdtemp(path) == NULL ? -1 : 0;
}

static inline int teardown_scratch(void **state)
{
    CYG_IGNORE(cyg_remove_tree(NULL, *state));
    free(*state);
    return 0;
}

/* "<scratch>/<name>", valid until the fourth call after. */
static inline const char *scratch_path(void **state, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/%s", (const char *)*state, name);
    return out;
}

static inline void write_scratch(void **state, const char *name, const void *data, size_t size)
{
    assert_int_equal(cyg_write_file(NULL, scratch_path(state, name), data, size), CYG_OK);
}

/* True when some message of the chain contains text. */
static inline int ctx_says(const cyg_ctx *ctx, const char *text)
{
    for (size_t i = 0; i < cyg_ctx_message_count(ctx); i++)
        if (strstr(cyg_ctx_message(ctx, i), text) != NULL)
            return 1;
    return 0;
}

/* The folder of common material (design.md section "shared"), or NULL: such tests skip. */
static inline const char *shared_folder(void)
{
    const char *env = getenv("CYG_SHARED");
    if (env != NULL && env[0] != '\0')
        return cyg_path_is_dir(env) ? env : NULL;
#ifdef CYG_SOURCE_ROOT
    return cyg_path_is_dir(CYG_SOURCE_ROOT "/../shared") ? CYG_SOURCE_ROOT "/../shared" : NULL;
#else
    return NULL;
#endif
}

#define CYG_TEST_MAIN(tests) cmocka_run_group_tests(tests, NULL, NULL)

#endif

/* A graph through the whole back end: compile, package, model, session, run. */
#ifndef CYG_TESTS_SESSION_TESTING_H
#define CYG_TESTS_SESSION_TESTING_H

#include "../quant/tiny_model.h"

#include "base/cpu.h"
#include "cygnet/runtime.h"
#include "format/package.h"
#include "target/cpu/cpu.h"

static inline void write_package(cyg_ctx *ctx, const cyg_graph *g, const char *path)
{
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_program p;
    cyg_cpu_report report;
    OK(ctx, cyg_target_cpu_compile(ctx, g, &arena, &p, &report));
    OK(ctx, cyg_package_write(ctx, path, &p, 1, "{}"));
    cyg_arena_deinit(&arena);
}

/* One run; returns output 0 (malloc'd). inputs[i] are dense, in the model's own types. */
static inline void *run_package(const char *path, const char *isa, unsigned threads,
                                const void *const *inputs, size_t *out_bytes)
{
    cyg_model *model;
    cyg_session *session;
    cyg_session_options options;
    cyg_tensor_info info = {.struct_size = sizeof info};
    cyg_session_options_init(&options);
    options.isa = isa;
    options.threads = threads;
    if (cyg_model_open(path, &model) != 0)
        fail_msg("%s", cyg_runtime_message());
    if (cyg_session_create(model, &options, &session) != 0)
        fail_msg("%s", cyg_runtime_message());
    for (uint32_t i = 0; i < cyg_model_input_count(model); i++) {
        assert_int_equal(cyg_model_input_info(model, i, &info), 0);
        memcpy(cyg_session_input(session, i), inputs[i], info.bytes);
    }
    assert_int_equal(cyg_session_run(session), 0);
    assert_int_equal(cyg_model_output_info(model, 0, &info), 0);
    void *out = malloc(info.bytes + 1);
    assert_non_null(out);
    memcpy(out, cyg_session_output(session, 0), info.bytes);
    *out_bytes = info.bytes;
    cyg_session_destroy(session);
    cyg_model_close(model);
    return out;
}

#endif

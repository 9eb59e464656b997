/* Fuzz entry: packages. The bytes as they are, and once more with checksums that fit, so that the
 * checks behind them are reached: what opens is bound to a session and run. Neither may harm, and
 * every refusal has a message. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../format/mend.h"
#include "cygnet/runtime.h"
#include "format/package.h"
#include "rt/model.h"
#include "sim/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_ARENA = 1 << 22, MOST_MACS = 1 << 24 };

/* Small enough to run thousands of times. */
static bool is_small(const cyg_package *k)
{
    int64_t elements = 0;
    for (uint32_t n = 0; n < k->program_count; n++) {
        const cyg_program *p = &k->programs[n];
        for (uint32_t i = 0; i < p->tensor_count; i++)
            elements +=
                p->tensors[i].kind != CYG_TENSOR_CONST ? cyg_tensor_elements(&p->tensors[i]) : 0;
        if (p->arena_bytes > MOST_ARENA || elements > MOST_MACS)
            return false;
    }
    return true;
}

static void run_session(const cyg_model *model, uint32_t group, uint32_t batch, bool taps)
{
    cyg_session *session = NULL;
    cyg_session_options options;
    cyg_session_options_init(&options);
    options.threads = 1;
    options.group = group;
    options.batch = batch;
    cyg_sim_device npu;
    const cyg_executor *const executors[] = {&npu.executor};
    const cyg_sim_options sim = {.taps = taps};
    cyg_sim_device_init(&npu, &sim);
    options.executors = executors;
    options.executor_count = 1;
    if (cyg_session_create(model, &options, &session) != 0) {
        if (session != NULL || cyg_runtime_message()[0] == '\0')
            abort();
        return;
    }
    for (uint32_t i = 0; i < cyg_model_input_count(model); i++) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        if (cyg_session_input_info(session, i, &info) == 0)
            memset(cyg_session_input(session, i), 0x5a, info.bytes);
    }
    /* Only a subgraph can fail: its kernels may refuse data. */
    if (cyg_session_run(session) != 0 && npu.first == NULL)
        abort();
    cyg_session_destroy(session);
}

/* Every group at the batch that it shows and at one that has to be split. */
static void run_model(const cyg_model *model)
{
    for (uint32_t group = 0; group < cyg_model_group_count(model); group++) {
        run_session(model, group, 0, true);
        run_session(model, group, 3, false);
    }
}

static void try_package(const uint8_t *data, size_t size, bool skip_weights)
{
    static cyg_ctx ctx;
    char path[64];
    cyg_model model = {0};
    const cyg_package_options options = {.skip_weight_checksum = skip_weights};
    const int fd = memfd_create("package", MFD_CLOEXEC);
    if (fd < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (size == 0 || write(fd, data, size) == (ssize_t)size) {
        cyg_ctx_init(&ctx);
        cyg_arena_init(&model.arena);
        const cyg_status status =
            cyg_package_open(&ctx, path, &model.arena, &options, &model.package);
        if (status == CYG_E_INTERNAL || (status != CYG_OK && cyg_ctx_message_count(&ctx) == 0))
            abort();
        if (status == CYG_OK) {
            if (is_small(&model.package))
                run_model(&model);
            cyg_package_close(&model.package);
        }
        cyg_arena_deinit(&model.arena);
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_package(data, size, false);
    uint8_t *mended = malloc(size + 1);
    if (mended == NULL)
        return 0;
    memcpy(mended, data, size);
    mend_package(mended, size);
    try_package(mended, size, true);
    free(mended);
    return 0;
}

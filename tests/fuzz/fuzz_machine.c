/* Fuzz entry: machine descriptions, and the cycle model's simple questions to what was accepted. */
#include <stdint.h>
#include <stdlib.h>

#include "npu/machine.h"
#include "npu/timing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const modes[] = {NULL, "NPU1", "NPU3"};
    cyg_arena arena;
    cyg_arena_init(&arena);
    for (size_t i = 0; i < CYG_COUNT(modes); i++) {
        cyg_npu_machine m;
        cyg_npu_timing timing;
        const cyg_npu_program nothing = {0};
        const cyg_npu_cost cost = {.cycles = 1, .ddr_bytes = 1000};
        if (cyg_npu_machine_parse(NULL, &arena, "fuzz", data, size, modes[i], &m) != CYG_OK)
            continue;
        const uint32_t engines = cyg_npu_engine_count(&m);
        if (engines == 0 || engines > CYG_NPU_MAX_ENGINES || cyg_npu_machine_hash(&m) == 0 ||
            cyg_npu_alone(&m, &cost) < 1)
            abort();
        for (uint32_t e = 0; e < engines; e++)
            if (cyg_npu_engine_at(&m, e).kind >= CYG_NPU_ENGINE_KINDS)
                abort();
        if (cyg_npu_time(NULL, &m, &nothing, &arena, &timing) != CYG_OK || timing.cycles != m.call)
            abort();
    }
    cyg_arena_deinit(&arena);
    return 0;
}

/* Fuzz entry: taps of an NPU program. 4 bytes: size of the parameters (their content is made here),
 * 4 bytes: size of the code; then code and taps. What passes is run and tapped in two orders: the
 * bytes agree where no race was found. */
#include "base/bytes.h"
#include "npu/code.h"
#include "npu/tap.h"
#include "npu_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARAMS = 1 << 16, MOST_TAPPED = 1 << 22 };

/* What was read can be written, and read again. */
static void round_trip(const cyg_npu_program *p, cyg_arena *arena)
{
    cyg_npu_program again = *p;
    cyg_strbuf first = {0}, second = {0};
    if (cyg_npu_taps_encode(NULL, p, &first) != CYG_OK ||
        (first.len > 0 &&
         cyg_npu_taps_decode(NULL, first.data, first.len, arena, &again) != CYG_OK) ||
        cyg_npu_taps_encode(NULL, &again, &second) != CYG_OK || first.len != second.len ||
        (first.len > 0 && memcmp(first.data, second.data, first.len) != 0))
        abort();
    cyg_strbuf_deinit(&first);
    cyg_strbuf_deinit(&second);
}

/* One run; the tapped bytes follow one another in *out_taken. False: the simulator refuses. */
static bool run_tapped(const cyg_npu_machine *m, const cyg_npu_program *p, cyg_sim_order order,
                       cyg_strbuf *out_taken)
{
    static uint8_t memory[NPU_RUN_BYTES + 64 * 64];
    const cyg_sim_options options = {.order = order, .check = true, .taps = true};
    cyg_sim *sim;
    size_t at = 0;
    if (cyg_sim_create(NULL, m, p, &options, NULL, CYG_CPU_C, &sim) != CYG_OK)
        return false;
    memset(memory, 0x5a, sizeof memory);
    for (uint32_t i = 0; i < p->io_count; i++) {
        cyg_sim_bind(sim, i, memory + at);
        at += ((size_t)p->io[i].bytes + 63) / 64 * 64;
    }
    const bool ran = cyg_sim_run(NULL, sim) == CYG_OK;
    for (uint32_t i = 0; ran && i < p->tap_count; i++)
        for (int copy = 0; copy < 2; copy++) {
            const cyg_npu_tap *t = &p->taps[i];
            const void *taken = copy ? cyg_sim_tapped_copy(sim, t->step, t->output)
                                     : cyg_sim_tapped(sim, t->step, t->output);
            if (taken == NULL && copy == 0)
                abort();
            if (taken != NULL)
                cyg_strbuf_add(out_taken, taken, (size_t)t->bytes);
        }
    cyg_sim_destroy(sim);
    return ran;
}

static bool may_run(const cyg_npu_machine *m, const cyg_npu_program *p)
{
    uint64_t bytes = 0;
    cyg_sim *sim;
    for (uint32_t i = 0; i < p->tap_count && bytes <= MOST_TAPPED; i++)
        bytes += p->taps[i].bytes;
    /* Costs are defined for what the kernels accept: so first a simulator, then its size. */
    if (bytes > MOST_TAPPED || p->swap_bytes > NPU_RUN_BYTES ||
        cyg_sim_create(NULL, m, p, NULL, NULL, CYG_CPU_C, &sim) != CYG_OK)
        return false;
    cyg_sim_destroy(sim);
    return npu_is_small(m, p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cyg_ctx ctx;
    static CYG_ALIGNED(64) uint8_t params[PARAMS];
    cyg_npu_machine machine;
    cyg_npu_program program;
    cyg_arena arena;
    if (size < 8 || cyg_load_u32(data) > sizeof params || cyg_load_u32(data + 4) > size - 8)
        return 0;
    const uint32_t code = cyg_load_u32(data + 4);
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    for (size_t i = 0; i < sizeof params; i++)
        params[i] = (uint8_t)(i * 7 + i / 64);
    cyg_status status =
        cyg_npu_decode(&ctx, data + 8, code, params, cyg_load_u32(data), &arena, &program);
    if (status == CYG_OK)
        status = cyg_npu_taps_decode(&ctx, data + 8 + code, size - 8 - code, &arena, &program);
    if (status == CYG_OK)
        round_trip(&program, &arena);
    if (status == CYG_OK && cyg_npu_machine_find(NULL, &arena, "AX650", "NPU1", &machine) != CYG_OK)
        abort();
    if (status == CYG_OK)
        status = cyg_npu_program_check(&ctx, &machine, &program);
    if (status != CYG_OK && cyg_ctx_message_count(&ctx) == 0)
        abort();
    if (status == CYG_OK) {
        const cyg_npu_chain *chains;
        uint32_t count;
        cyg_strbuf first = {0}, second = {0};
        if (cyg_npu_chains_of(NULL, &program, &arena, &chains, &count) != CYG_OK)
            abort();
        if (program.tap_count > 0 && may_run(&machine, &program) &&
            run_tapped(&machine, &program, CYG_SIM_PROGRAM, &first) &&
            run_tapped(&machine, &program, CYG_SIM_REVERSE, &second) &&
            (first.len != second.len || memcmp(first.data, second.data, first.len) != 0))
            abort();
        cyg_strbuf_deinit(&first);
        cyg_strbuf_deinit(&second);
    }
    cyg_arena_deinit(&arena);
    return 0;
}

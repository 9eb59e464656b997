/* A package of the CPU, compiled for an NPU and run in order, or simulated in another, against the
 * CPU's bytes. npu_package PACKAGE CHIP MODE [default|baseline] [ocm=BYTES] [ORDER] */
#include "npu_in_order.h"

#include "format/package.h"

int main(int argc, char **argv)
{
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_package k;
    cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_DEFAULT};
    cyg_npu_result r;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    if (argc < 4 || cyg_package_open(&ctx, argv[1], &arena, NULL, &k) != CYG_OK ||
        cyg_npu_machine_find(&ctx, &arena, argv[2], argv[3], &o.machine) != CYG_OK)
        return 2;
    if (argc > 4 && strcmp(argv[4], "baseline") == 0)
        o.kind = CYG_NPU_SCHEDULE_BASELINE;
    if (argc > 5)
        o.machine.ocm_bytes = atoll(argv[5] + 4);
    if (cyg_target_npu_compile(&ctx, &k.programs[0], &o, &arena, &r) != CYG_OK) {
        printf("%s\n", cyg_ctx_message(&ctx, 0));
        return 1;
    }
    for (uint32_t i = 0; i < r.subgraph_count; i++)
        if (cyg_npu_program_check(&ctx, &o.machine, &r.subgraphs[i].program) != CYG_OK) {
            printf("%s\n", cyg_ctx_message(&ctx, 0));
            return 1;
        }
    if (argc > 6) {
        cyg_sim_options order;
        if (cyg_sim_order_parse(&ctx, argv[6], &order) != CYG_OK)
            return 2;
        order.check = true;
        check_same_bytes(&o.machine, &k.programs[0], &r, 1, &order);
    } else {
        check_same_bytes(&o.machine, &k.programs[0], &r, 1, NULL);
    }
    uint64_t spill = 0;
    uint32_t attempts = 0;
    for (uint32_t i = 0; i < r.subgraph_count; i++) {
        spill += r.subgraphs[i].spill_bytes;
        attempts = r.subgraphs[i].attempts > attempts ? r.subgraphs[i].attempts : attempts;
    }
    printf("%s %s %s ocm %lld: same bytes, %u subgraphs, %u CPU steps, %lld cycles, spill %llu, "
           "attempts %u\n",
           argv[1], argv[2], argv[3], (long long)o.machine.ocm_bytes, r.subgraph_count,
           r.refusal_count, (long long)r.cycles, (unsigned long long)spill, attempts);
    for (uint32_t i = 0; i < r.refusal_count; i++)
        printf("  CPU: \"%s\": %s: %s\n", k.programs[0].steps[r.refusals[i].step].name,
               cyg_kop_info_of(k.programs[0].steps[r.refusals[i].step].op)->name,
               r.refusals[i].reason);
    return 0;
}

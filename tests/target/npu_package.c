/* A package of the CPU, compiled for an NPU and run in many orders against the CPU's bytes.
 *   npu_package PACKAGE CHIP MODE [baseline] [ocm=BYTES|ocm/N] [batch=N] [tries=N] [ORDER...]
 * ORDER: plain (one instruction after another, by the tests' own executor), program, reverse,
 * random:SEED, starve:SEED (by the simulator); race: in program order with the race detector. None
 * = plain. One line for the compilation, one for each step on the CPU, one for each order. */
#include "npu_in_order.h"

#include "base/attr.h"
#include "format/package.h"

typedef struct job {
    const char *package, *chip, *mode;
    int64_t ocm, share, batch;
    cyg_npu_options options;
    cyg_npu_result result;
} job;

static int tell(const cyg_ctx *ctx)
{
    for (size_t i = 0; i < cyg_ctx_message_count(ctx); i++)
        printf("%s\n", cyg_ctx_message(ctx, i));
    return 1;
}

/* The program for the batch asked for, or the package's first. */
static const cyg_program *program_of(const cyg_package *k, int64_t batch)
{
    for (uint32_t i = 0; i < k->program_count; i++)
        if (batch == 0 || (int64_t)k->programs[i].batch == batch ||
            (batch == 1 && k->programs[i].batch == 0))
            return &k->programs[i];
    return NULL;
}

static cyg_status compile(cyg_ctx *ctx, cyg_arena *arena, const cyg_program *p, job *j)
{
    cyg_npu_result *r = &j->result;
    uint64_t spill = 0, instrs = 0;
    uint32_t attempts = 0;
    CYG_DO(cyg_npu_machine_find(ctx, arena, j->chip, j->mode, &j->options.machine));
    if (j->ocm > 0)
        j->options.machine.ocm_bytes = j->ocm;
    j->options.machine.ocm_bytes /= j->share;
    const double start = cyg_seconds();
    CYG_DO(cyg_target_npu_compile(ctx, p, &j->options, arena, r));
    for (uint32_t i = 0; i < r->subgraph_count; i++) {
        CYG_DO(cyg_npu_program_check(ctx, &j->options.machine, &r->subgraphs[i].program));
        spill += r->subgraphs[i].spill_bytes;
        instrs += r->subgraphs[i].program.instr_count;
        attempts = r->subgraphs[i].attempts > attempts ? r->subgraphs[i].attempts : attempts;
    }
    printf("%s %s %s ocm %lld batch %u: %u subgraphs, %u CPU steps, %lld cycles, %llu "
           "instructions, spill %llu, attempts %u, compiled in %.1f s\n",
           j->package, j->chip, j->mode, (long long)j->options.machine.ocm_bytes, p->batch,
           r->subgraph_count, r->refusal_count, (long long)r->cycles, (unsigned long long)instrs,
           (unsigned long long)spill, attempts, cyg_seconds() - start);
    for (uint32_t i = 0; i < r->refusal_count; i++)
        printf("CPU: \"%s\": %s: %s\n", p->steps[r->refusals[i].step].name,
               cyg_kop_info_of(p->steps[r->refusals[i].step].op)->name, r->refusals[i].reason);
    return CYG_OK;
}

static cyg_status run(cyg_ctx *ctx, const cyg_program *p, const job *j, uint8_t **cpu,
                      const char *name)
{
    const bool plain = strcmp(name, "plain") == 0, race = strcmp(name, "race") == 0;
    cyg_sim_options order = {.check = race};
    if (!plain && !race)
        CYG_DO(cyg_sim_order_parse(ctx, name, &order));
    const double start = cyg_seconds();
    check_against(&j->options.machine, p, &j->result, cpu, plain ? NULL : &order);
    printf("%s: same bytes, %.1f s\n", name, cyg_seconds() - start);
    fflush(stdout);
    return CYG_OK;
}

int main(int argc, char **argv)
{
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_package k;
    job j = {.share = 1, .options = {.kind = CYG_NPU_SCHEDULE_DEFAULT}};
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    if (argc < 4)
        return 2;
    j.package = argv[1];
    j.chip = argv[2];
    j.mode = argv[3];
    int at = 4;
    for (; at < argc; at++)
        if (strcmp(argv[at], "baseline") == 0)
            j.options.kind = CYG_NPU_SCHEDULE_BASELINE;
        else if (strncmp(argv[at], "ocm=", 4) == 0)
            j.ocm = atoll(argv[at] + 4);
        else if (strncmp(argv[at], "ocm/", 4) == 0 && atoll(argv[at] + 4) > 0)
            j.share = atoll(argv[at] + 4);
        else if (strncmp(argv[at], "tries=", 6) == 0)
            j.options.tries = (uint32_t)atoi(argv[at] + 6);
        else if (strncmp(argv[at], "batch=", 6) == 0)
            j.batch = atoll(argv[at] + 6);
        else if (strcmp(argv[at], "default") != 0)
            break;
    if (cyg_package_open(&ctx, argv[1], &arena, NULL, &k) != CYG_OK)
        return tell(&ctx);
    const cyg_program *p = program_of(&k, j.batch);
    if (p == NULL) {
        printf("%s has no program for batch %lld\n", argv[1], (long long)j.batch);
        return 2;
    }
    if (compile(&ctx, &arena, p, &j) != CYG_OK)
        return tell(&ctx);
    uint8_t **cpu = run_on_cpu(p, 1);
    static const char plain[] = "plain";
    for (int i = at; i < argc || i == at; i++)
        if (run(&ctx, p, &j, cpu, i < argc ? argv[i] : plain) != CYG_OK)
            return tell(&ctx);
    tensors_free(p, cpu);
    cyg_package_close(&k);
    cyg_arena_deinit(&arena);
    return 0;
}

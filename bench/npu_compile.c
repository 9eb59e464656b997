/* Compiles a package of the CPU for an NPU and says what came of it: cycles, bounds by resource,
 * memory, time spent.
 *   npu_compile PACKAGE CHIP MODE [default|baseline] [tries] [steps] [time] [ocm=BYTES]
 * steps: a line for each step. time: a line for each fortieth of the run, how busy the engines of
 * each kind and the DDR were and which step was the oldest that still computed: where they idle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/file.h"
#include "format/package.h"
#include "target/npu/npu.h"

/* First start and last end of what computes a step (its weights may come long before). */
static void extent(const cyg_npu_machine *m, const cyg_npu_subgraph *s, const cyg_npu_timing *t,
                   uint32_t step, int64_t *start, int64_t *end)
{
    *start = INT64_MAX;
    *end = 0;
    for (uint32_t i = 0; i < s->program.instr_count; i++) {
        const cyg_npu_instr *instr = &s->program.instrs[i];
        if (instr->step != step || cyg_npu_engine_at(m, instr->engine).kind == CYG_NPU_SDMA)
            continue;
        *start = t->spans[i].start < *start ? t->spans[i].start : *start;
        *end = t->spans[i].end > *end ? t->spans[i].end : *end;
    }
}

static void print_steps(const cyg_npu_machine *m, const cyg_program *p, const cyg_npu_subgraph *s,
                        const cyg_npu_timing *t)
{
    printf("%5s %6s %9s %9s %9s %9s %9s %9s %10s  %s\n", "step", "tasks", "start", "end", "conv",
           "teng", "cv", "sdma", "ddr bytes", "name");
    for (uint32_t i = 0; i <= s->last - s->first; i++) {
        const cyg_npu_step_report *r = &s->steps[i];
        int64_t start, end;
        extent(m, s, t, i, &start, &end);
        printf("%5u %6u %9lld %9lld %9lld %9lld %9lld %9lld %10lld  %s\n", r->step, r->tasks,
               (long long)start, (long long)end, (long long)r->busy[CYG_NPU_CONV],
               (long long)r->busy[CYG_NPU_TENG], (long long)r->busy[CYG_NPU_CV],
               (long long)r->busy[CYG_NPU_SDMA], (long long)r->ddr_bytes, p->steps[r->step].name);
    }
}

/* How busy each kind of engine and the DDR were, by slice of the run. */
static void print_time(const cyg_npu_machine *m, const cyg_npu_subgraph *s, const cyg_npu_timing *t)
{
    enum { SLICES = 40 };
    double busy[SLICES][CYG_NPU_ENGINE_KINDS] = {0}, bytes[SLICES] = {0};
    uint32_t oldest[SLICES], youngest[SLICES] = {0};
    const double slice = (double)t->cycles / SLICES;
    memset(oldest, 0xff, sizeof oldest);
    for (uint32_t i = 0; i < s->program.instr_count; i++) {
        const cyg_npu_instr *instr = &s->program.instrs[i];
        const cyg_npu_engine_kind kind = cyg_npu_engine_at(m, instr->engine).kind;
        const double start = (double)t->spans[i].start, end = (double)t->spans[i].end;
        const double rate =
            end > start ? (double)cyg_npu_cost_of(m, instr).ddr_bytes / (end - start) : 0;
        for (int k = (int)(start / slice); k < SLICES && k * slice < end; k++) {
            const double from = start > k * slice ? start : k * slice,
                         to = end < (k + 1) * slice ? end : (k + 1) * slice;
            busy[k][kind] += to - from;
            bytes[k] += rate * (to - from);
            if (kind == CYG_NPU_SDMA)
                continue;
            oldest[k] = instr->step < oldest[k] ? instr->step : oldest[k];
            youngest[k] = instr->step > youngest[k] ? instr->step : youngest[k];
        }
    }
    printf("%9s %6s %6s %6s %6s  %s\n", "from", "conv", "teng", "cv", "ddr", "steps");
    for (int k = 0; k < SLICES; k++) {
        printf("%9.0f", k * slice);
        for (int kind = 0; kind < CYG_NPU_SDMA; kind++)
            printf(" %5.0f%%",
                   100 * busy[k][kind] / slice / cyg_npu_engines_of(m, (cyg_npu_engine_kind)kind));
        printf(" %5.0f%%  %u to %u\n", 100 * bytes[k] / slice / m->ddr_bytes, oldest[k],
               youngest[k]);
    }
}

static int fail(cyg_ctx *ctx)
{
    for (size_t i = 0; i < cyg_ctx_message_count(ctx); i++)
        fprintf(stderr, "%s\n", cyg_ctx_message(ctx, i));
    return 1;
}

static void print_subgraph(cyg_ctx *ctx, cyg_arena *arena, const cyg_npu_options *o,
                           const cyg_npu_subgraph *s, uint32_t number,
                           const cyg_program *with_steps, bool with_time)
{
    int64_t busy[CYG_NPU_ENGINE_KINDS] = {0};
    for (uint32_t k = 0; k <= s->last - s->first; k++)
        for (int e = 0; e < CYG_NPU_ENGINE_KINDS; e++)
            busy[e] += s->steps[k].busy[e];
    cyg_npu_timing timing = {0};
    if (cyg_npu_program_check(ctx, &o->machine, &s->program) != CYG_OK ||
        cyg_npu_time(ctx, &o->machine, &s->program, arena, &timing) != CYG_OK)
        fail(ctx);
    printf("subgraph %u: steps %u..%u, %u instructions, attempt %u, %lld cycles (timed %lld)\n",
           number, s->first, s->last, s->program.instr_count, s->attempts,
           (long long)s->schedule.cycles, (long long)timing.cycles);
    const double useful =
        (double)s->program.macs / ((double)(o->machine.conv_in * o->machine.conv_out) *
                                   cyg_npu_engines_of(&o->machine, CYG_NPU_CONV));
    printf("  bounds: conv %lld (useful %.0f), teng %lld, cv %lld, sdma %lld cycles; utilisation "
           "%.1f %%\n",
           (long long)busy[0], useful, (long long)busy[1], (long long)busy[2], (long long)busy[3],
           100 * timing.conv_utilisation);
    printf("  ddr: weights %llu, input %llu, output %llu, spill %llu; OCM peak %llu of %lld, used "
           "%llu\n",
           (unsigned long long)s->weight_bytes, (unsigned long long)s->input_bytes,
           (unsigned long long)s->output_bytes, (unsigned long long)s->spill_bytes,
           (unsigned long long)s->schedule.ocm_peak_bytes, (long long)o->machine.ocm_bytes,
           (unsigned long long)s->program.ocm_bytes);
    if (with_steps != NULL)
        print_steps(&o->machine, with_steps, s, &timing);
    if (with_time)
        print_time(&o->machine, s, &timing);
}

int main(int argc, char **argv)
{
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_package k;
    cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_DEFAULT, .tries = 8};
    cyg_npu_result r;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    if (argc < 4)
        return 2;
    if (argc > 4 && strcmp(argv[4], "baseline") == 0)
        o.kind = CYG_NPU_SCHEDULE_BASELINE;
    if (argc > 5)
        o.tries = (uint32_t)atoi(argv[5]);
    if (cyg_package_open(&ctx, argv[1], &arena, NULL, &k) != CYG_OK ||
        cyg_npu_machine_find(&ctx, &arena, argv[2], argv[3], &o.machine) != CYG_OK)
        return fail(&ctx);
    bool with_steps = false, with_time = false;
    for (int i = 6; i < argc; i++) {
        with_steps |= strcmp(argv[i], "steps") == 0;
        with_time |= strcmp(argv[i], "time") == 0;
        if (strncmp(argv[i], "ocm=", 4) == 0)
            o.machine.ocm_bytes = atoll(argv[i] + 4);
    }
    const double start = cyg_seconds();
    if (cyg_target_npu_compile(&ctx, &k.programs[0], &o, &arena, &r) != CYG_OK)
        return fail(&ctx);
    const double seconds = cyg_seconds() - start;
    for (uint32_t i = 0; i < r.subgraph_count; i++)
        print_subgraph(&ctx, &arena, &o, &r.subgraphs[i], i, with_steps ? &k.programs[0] : NULL,
                       with_time);
    for (uint32_t i = 0; i < r.refusal_count; i++)
        printf("CPU: step %u \"%s\": %s\n", r.refusals[i].step,
               k.programs[0].steps[r.refusals[i].step].name, r.refusals[i].reason);
    printf("%s %s %s: %lld cycles = %.3f ms, compiled in %.2f s, %.0f MB\n", argv[2], argv[3],
           o.kind == CYG_NPU_SCHEDULE_BASELINE ? "baseline" : "default", (long long)r.cycles,
           r.estimated_ms, seconds, (double)arena.used / 1e6);
    cyg_package_close(&k);
    cyg_arena_deinit(&arena);
    return 0;
}

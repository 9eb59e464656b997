/* The record of an NPU's schedule for the report's page. Long runs of one engine on one step become
 * one bar where the pauses between are too short to see, so that a page of 15,000 instructions
 * stays small. */
#include "app/npu_record.h"

#include <stdio.h>

#include "npu/usage.h"

typedef struct record_work {
    const cyg_npu_machine *m;
    const cyg_program *lowered;
    const cyg_npu_subgraph *s;
    cyg_npu_timing t;
    cyg_npu_usage usage;
    cyg_arena arena;
} record_work;

static const char *const kind_names[CYG_NPU_ENGINE_KINDS] = {
#define CYG_ENGINE(id, lane, text) lane,
    CYG_NPU_ENGINES(CYG_ENGINE)
#undef CYG_ENGINE
};

static int64_t ddr_cycles(const cyg_npu_machine *m, uint64_t bytes)
{
    return (int64_t)((double)bytes / m->ddr_bytes);
}

static void write_runs(const record_work *w, cyg_json *j, uint32_t engine)
{
    const cyg_npu_program *p = &w->s->program;
    const int64_t unseen = w->t.cycles / 4000;
    int64_t start = 0, end = 0;
    uint32_t step = 0;
    bool open = false;
    cyg_json_key(j, "runs");
    cyg_json_begin_inline_array(j);
    for (uint32_t i = 0; i <= p->instr_count; i++) {
        const bool last = i == p->instr_count;
        if (!last && p->instrs[i].engine != engine)
            continue;
        if (!last && open && p->instrs[i].step == step && w->t.spans[i].start - end <= unseen) {
            end = w->t.spans[i].end;
            continue;
        }
        if (open) {
            cyg_json_begin_inline_array(j);
            cyg_json_int(j, start);
            cyg_json_int(j, end);
            cyg_json_int(j, step);
            cyg_json_end_array(j);
        }
        if (last)
            break;
        open = true;
        start = w->t.spans[i].start;
        end = w->t.spans[i].end;
        step = p->instrs[i].step;
    }
    cyg_json_end_array(j);
}

static void write_lanes(const record_work *w, cyg_json *j)
{
    cyg_json_key(j, "lanes");
    cyg_json_begin_array(j);
    for (uint32_t e = 0; e < cyg_npu_engine_count(w->m); e++) {
        const cyg_npu_engine engine = cyg_npu_engine_at(w->m, e);
        cyg_json_begin_object(j);
        cyg_json_key_string(j, "name", engine.lane);
        cyg_json_key_int(j, "busy", w->t.busy[e]);
        write_runs(w, j, e);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
}

static void write_samples(cyg_json *j, const char *key, const double *values, double unit)
{
    cyg_json_key(j, key);
    cyg_json_begin_inline_array(j);
    for (int i = 0; i < CYG_NPU_SAMPLES; i++)
        cyg_json_double(j, (double)(int64_t)(values[i] / unit + 0.5) * unit);
    cyg_json_end_array(j);
}

/* First and last cycle of a step's tasks. */
static void find_span(const record_work *w, uint32_t step, int64_t *start, int64_t *end)
{
    *start = INT64_MAX;
    *end = 0;
    for (uint32_t i = 0; i < w->s->program.instr_count; i++) {
        const cyg_npu_instr *instr = &w->s->program.instrs[i];
        if (instr->step != step || cyg_npu_op_info_of(instr->op)->engine == CYG_NPU_SDMA)
            continue; /* weights come long before */
        *start = w->t.spans[i].start < *start ? w->t.spans[i].start : *start;
        *end = w->t.spans[i].end > *end ? w->t.spans[i].end : *end;
    }
    if (*start == INT64_MAX)
        *start = 0;
}

/* The resource without which the step would be shortest, and its cycles. */
static const char *limit_of(const record_work *w, const cyg_npu_step_report *r, int64_t *out_cycles)
{
    const char *limit = "ddr";
    *out_cycles = ddr_cycles(w->m, (uint64_t)r->ddr_bytes);
    for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
        if (k != CYG_NPU_SDMA && r->busy[k] > *out_cycles) {
            *out_cycles = r->busy[k];
            limit = kind_names[k];
        }
    return limit;
}

static void write_step(const record_work *w, cyg_json *j, uint32_t i)
{
    const cyg_npu_step_report *r = &w->s->steps[i];
    int64_t start, end, bound;
    const char *limit = limit_of(w, r, &bound);
    find_span(w, i, &start, &end);
    cyg_json_begin_object(j);
    cyg_json_key_int(j, "step", r->step);
    cyg_json_key_string(j, "name", w->lowered->steps[r->step].name);
    cyg_json_key_int(j, "start", start);
    cyg_json_key_int(j, "end", end);
    cyg_json_key_string(j, "limit", limit);
    cyg_json_key_double(j, "of_bound", end > start ? (double)bound / (double)(end - start) : 0.0);
    for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
        if (k != CYG_NPU_SDMA)
            cyg_json_key_int(j, kind_names[k], r->busy[k]);
    cyg_json_key_int(j, "ddr", ddr_cycles(w->m, (uint64_t)r->ddr_bytes));
    cyg_json_key_int(j, "ddr_bytes", r->ddr_bytes);
    cyg_json_key_int(j, "tasks", r->tasks);
    cyg_json_end_object(j);
}

static void write_bounds(const record_work *w, cyg_json *j)
{
    const cyg_npu_subgraph *s = w->s;
    const uint32_t steps = s->last - s->first + 1;
    int64_t busy[CYG_NPU_ENGINE_KINDS] = {0};
    for (uint32_t i = 0; i < steps; i++)
        for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
            busy[k] += s->steps[i].busy[k];
    cyg_json_key(j, "bounds");
    cyg_json_begin_object(j);
    for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
        if (k != CYG_NPU_SDMA)
            cyg_json_key_int(j, kind_names[k], busy[k]);
    cyg_json_key_int(
        j, "ddr",
        ddr_cycles(w->m, s->weight_bytes + s->input_bytes + s->output_bytes + s->spill_bytes));
    cyg_json_end_object(j);
    cyg_json_key(j, "critical_path");
    cyg_json_begin_object(j);
    for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
        cyg_json_key_int(j, kind_names[k], w->usage.critical[k]);
    cyg_json_key_int(j, "wait", w->usage.waiting);
    cyg_json_end_object(j);
}

static void write_subgraph(const record_work *w, cyg_json *j, uint32_t number, int64_t baseline)
{
    const cyg_npu_subgraph *s = w->s;
    char name[32];
    snprintf(name, sizeof name, "subgraph_npu_%u", number);
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "name", name);
    cyg_json_key_int(j, "cycles", w->t.cycles);
    if (baseline > 0)
        cyg_json_key_int(j, "baseline_cycles", baseline);
    cyg_json_key_double(j, "conv_utilisation", w->t.conv_utilisation);
    cyg_json_key_int(j, "instructions", s->program.instr_count);
    cyg_json_key_int(j, "ocm_peak_bytes", (int64_t)s->schedule.ocm_peak_bytes);
    cyg_json_key_int(j, "ocm_bytes", w->m->ocm_bytes);
    cyg_json_key(j, "ddr");
    cyg_json_begin_object(j);
    cyg_json_key_int(j, "weights", (int64_t)s->weight_bytes);
    cyg_json_key_int(j, "input", (int64_t)s->input_bytes);
    cyg_json_key_int(j, "output", (int64_t)s->output_bytes);
    cyg_json_key_int(j, "spill", (int64_t)s->spill_bytes);
    cyg_json_end_object(j);
    write_bounds(w, j);
    write_lanes(w, j);
    write_samples(j, "ocm", w->usage.ocm_bytes, 1024);
    cyg_json_key(j, "ddr_share");
    cyg_json_begin_inline_array(j);
    for (int i = 0; i < CYG_NPU_SAMPLES; i++)
        cyg_json_double(j, (double)(int64_t)(w->usage.ddr[i] * 1000 + 0.5) / 1000);
    cyg_json_end_array(j);
    cyg_json_key(j, "steps");
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i <= s->last - s->first; i++)
        write_step(w, j, i);
    cyg_json_end_array(j);
    cyg_json_end_object(j);
}

static cyg_status measure(cyg_ctx *ctx, record_work *w)
{
    CYG_DO(cyg_npu_time(ctx, w->m, &w->s->program, &w->arena, &w->t));
    return cyg_npu_usage_of(ctx, w->m, &w->s->program, &w->t, &w->arena, &w->usage);
}

cyg_status cyg_npu_write_record(cyg_ctx *ctx, cyg_json *j, const cyg_npu_machine *m,
                                const cyg_program *lowered, const cyg_npu_result *result,
                                const int64_t *baseline)
{
    cyg_status status = CYG_OK;
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "chip", m->chip);
    cyg_json_key_string(j, "mode", m->mode);
    cyg_json_key_int(j, "clock_khz", m->clock_khz);
    cyg_json_key(j, "subgraphs");
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i < result->subgraph_count && status == CYG_OK; i++) {
        record_work w = {.m = m, .lowered = lowered, .s = &result->subgraphs[i]};
        cyg_arena_init(&w.arena);
        status = measure(ctx, &w);
        if (status == CYG_OK)
            write_subgraph(&w, j, i, baseline != NULL ? baseline[i] : 0);
        cyg_arena_deinit(&w.arena);
    }
    cyg_json_end_array(j);
    cyg_json_key(j, "cpu_steps");
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i < result->refusal_count; i++) {
        cyg_json_begin_object(j);
        cyg_json_key_int(j, "step", result->refusals[i].step);
        cyg_json_key_string(j, "name", lowered->steps[result->refusals[i].step].name);
        cyg_json_key_string(j, "reason", result->refusals[i].reason);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
    cyg_json_end_object(j);
    return status;
}

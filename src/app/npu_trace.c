/* trace.json and op_profile.csv of one subgraph, from the program and the cycle model. */
#include <stdio.h>
#include <string.h>

#include "app/npu_record.h"
#include "kernels/call.h"
#include "report/trace.h"

typedef struct trace_work {
    const cyg_npu_machine *m;
    const cyg_npu_program *p;
    cyg_npu_timing t;
    uint32_t *queue_at[CYG_NPU_MAX_ENGINES]; /* by engine: its instructions in order */
    cyg_arena arena;
} trace_work;

static bool make_queues(trace_work *w)
{
    uint32_t counts[CYG_NPU_MAX_ENGINES] = {0};
    uint32_t *all = CYG_NEW_ARRAY(&w->arena, uint32_t, (size_t)w->p->instr_count + 1);
    if (all == NULL)
        return false;
    for (uint32_t i = 0; i < w->p->instr_count; i++)
        counts[w->p->instrs[i].engine]++;
    for (uint32_t e = 0; e < cyg_npu_engine_count(w->m); e++) {
        w->queue_at[e] = all;
        all += counts[e];
        counts[e] = 0;
    }
    for (uint32_t i = 0; i < w->p->instr_count; i++) {
        const uint32_t e = w->p->instrs[i].engine;
        w->queue_at[e][counts[e]++] = i;
    }
    return true;
}

static cyg_trace_class class_of(const cyg_npu_instr *instr)
{
    const cyg_npu_view *x = &instr->operands[0], *y = &instr->operands[instr->in_count];
    switch (instr->op) {
    case CYG_NPU_OP_LD:
    case CYG_NPU_OP_LDX:
        return x->space == CYG_NPU_PARAM  ? CYG_TRACE_LD_PARAM
               : x->space == CYG_NPU_SWAP ? CYG_TRACE_LD_SWAP
                                          : CYG_TRACE_LD_INPUT;
    case CYG_NPU_OP_ST:
    case CYG_NPU_OP_STX:
        return y->space == CYG_NPU_SWAP ? CYG_TRACE_ST_SWAP : CYG_TRACE_ST_OUTPUT;
    default:
        return CYG_TRACE_COMPUTE;
    }
}

/* "in0 - ocm_base:[64:128]" */
static const char *describe(trace_work *w, const cyg_npu_view *v, const char *role, uint32_t k)
{
    static const char *const spaces[CYG_NPU_SPACES] = {"ocm_base", "ddr_swap", "params", "",
                                                       "code"};
    const bool io = v->space == CYG_NPU_IO && v->buffer < w->p->io_count;
    const unsigned long long begin = v->offset, end = v->offset + cyg_npu_view_extent(v);
    return cyg_arena_printf(&w->arena, "%s%u - %s:[%llu:%llu]", role, k,
                            io ? w->p->io[v->buffer].name : spaces[v->space], begin, end);
}

static bool fill_task(trace_work *w, uint32_t i, cyg_trace_task *out)
{
    const cyg_npu_instr *instr = &w->p->instrs[i];
    const uint32_t operands = (uint32_t)instr->in_count + instr->out_count;
    const char **texts = CYG_NEW_ARRAY(&w->arena, const char *, operands + 1);
    uint32_t *waits = CYG_NEW_ARRAY(&w->arena, uint32_t, instr->wait_count + 1);
    if (texts == NULL || waits == NULL)
        return false;
    *out = (cyg_trace_task){.kind = class_of(instr),
                            .start = w->t.spans[i].start,
                            .end = w->t.spans[i].end,
                            .inputs = texts,
                            .waits = waits};
    out->label =
        cyg_arena_printf(&w->arena, "%s_%u_%u", w->p->step_names[instr->step], instr->step, i);
    out->lane = cyg_arena_strdup(&w->arena, cyg_npu_engine_at(w->m, instr->engine).lane);
    if (out->label == NULL || out->lane == NULL)
        return false;
    for (uint32_t k = 0; k < operands; k++) {
        const bool is_in = k < instr->in_count;
        if (instr->operands[k].type == 0)
            continue;
        const char *text =
            describe(w, &instr->operands[k], is_in ? "in" : "out", is_in ? k : k - instr->in_count);
        if (text == NULL)
            return false;
        texts[out->input_count + out->output_count] = text;
        if (is_in)
            out->input_count++;
        else
            out->output_count++;
    }
    out->outputs = texts + out->input_count;
    for (uint32_t k = 0; k < instr->wait_count; k++)
        if (instr->waits[k].count > 0)
            waits[out->wait_count++] =
                w->queue_at[instr->waits[k].engine][instr->waits[k].count - 1];
    return true;
}

static cyg_status write_trace(cyg_ctx *ctx, trace_work *w, const char *path, uint32_t number)
{
    const uint32_t engines = cyg_npu_engine_count(w->m);
    cyg_trace_task *tasks = CYG_NEW_ARRAY(&w->arena, cyg_trace_task, (size_t)w->p->instr_count + 1);
    const char **lanes = CYG_NEW_ARRAY(&w->arena, const char *, engines);
    const char *process = cyg_arena_printf(&w->arena, "subgraph_npu_%u", number);
    bool well = tasks != NULL && lanes != NULL && process != NULL && make_queues(w);
    for (uint32_t e = 0; well && e < engines; e++)
        well = (lanes[e] = cyg_arena_strdup(&w->arena, cyg_npu_engine_at(w->m, e).lane)) != NULL;
    for (uint32_t i = 0; well && i < w->p->instr_count; i++)
        well = fill_task(w, i, &tasks[i]);
    if (!well)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a trace");
    const cyg_trace trace = {.process = process,
                             .chip = w->m->chip,
                             .mode = w->m->mode,
                             .clock_khz = w->m->clock_khz,
                             .cycles = w->t.cycles,
                             .lanes = lanes,
                             .lane_count = engines,
                             .task_count = w->p->instr_count,
                             .tasks = tasks};
    return cyg_trace_write(ctx, path, &trace);
}

/* ---- the table
 * -------------------------------------------------------------------------------------------- */

static const char *shape_of(cyg_arena *arena, const cyg_tensor *t)
{
    char text[160] = "";
    size_t used = 0;
    for (int32_t i = 0; i < t->rank && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", i > 0 ? "x" : "",
                                 (long long)t->dims[i]);
    return cyg_arena_strdup(arena, text);
}

static bool fill_row(trace_work *w, const cyg_program *lowered, const cyg_npu_step_report *r,
                     cyg_profile_row *out)
{
    const cyg_step *step = &lowered->steps[r->step];
    const cyg_kop_info *kernel = cyg_kop_info_of(step->op);
    int64_t most = (int64_t)((double)r->ddr_bytes / w->m->ddr_bytes);
    static const char *const names[CYG_NPU_ENGINE_KINDS] = {
#define CYG_ENGINE(id, lane, text) lane,
        CYG_NPU_ENGINES(CYG_ENGINE)
#undef CYG_ENGINE
    };
    *out = (cyg_profile_row){.name = step->name,
                             .kernel = kernel != NULL ? kernel->name : "?",
                             .shape = shape_of(&w->arena, &lowered->tensors[step->out[0]]),
                             .limit = "ddr",
                             .start = INT64_MAX,
                             .conv = r->busy[CYG_NPU_CONV],
                             .teng = r->busy[CYG_NPU_TENG],
                             .cv = r->busy[CYG_NPU_CV],
                             .sdma = r->busy[CYG_NPU_SDMA],
                             .ddr_bytes = r->ddr_bytes,
                             .macs = r->macs,
                             .tasks = r->tasks};
    for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
        if (k != CYG_NPU_SDMA && r->busy[k] > most) {
            most = r->busy[k];
            out->limit = names[k];
        }
    return out->shape != NULL;
}

static cyg_status write_profile(cyg_ctx *ctx, trace_work *w, const char *path,
                                const cyg_program *lowered, const cyg_npu_subgraph *s)
{
    const uint32_t steps = s->last - s->first + 1;
    cyg_profile_row *rows = CYG_NEW_ARRAY(&w->arena, cyg_profile_row, steps);
    bool well = rows != NULL;
    for (uint32_t i = 0; well && i < steps; i++)
        well = fill_row(w, lowered, &s->steps[i], &rows[i]);
    if (!well)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a profile");
    for (uint32_t i = 0; i < w->p->instr_count; i++) {
        cyg_profile_row *r = &rows[w->p->instrs[i].step];
        r->start = w->t.spans[i].start < r->start ? w->t.spans[i].start : r->start;
        r->end = w->t.spans[i].end > r->end ? w->t.spans[i].end : r->end;
    }
    for (uint32_t i = 0; i < steps; i++)
        rows[i].start = rows[i].start == INT64_MAX ? 0 : rows[i].start;
    return cyg_profile_write(ctx, path, rows, steps, w->m->clock_khz);
}

cyg_status cyg_npu_write_trace(cyg_ctx *ctx, const char *trace_path, const char *profile_path,
                               const cyg_npu_machine *m, const cyg_program *lowered,
                               const cyg_npu_subgraph *s, uint32_t number)
{
    trace_work w = {.m = m, .p = &s->program};
    cyg_arena_init(&w.arena);
    cyg_status status = cyg_npu_time(ctx, m, w.p, &w.arena, &w.t);
    if (status == CYG_OK)
        status = write_trace(ctx, &w, trace_path, number);
    if (status == CYG_OK)
        status = write_profile(ctx, &w, profile_path, lowered, s);
    cyg_arena_deinit(&w.arena);
    return status;
}

/* The driver: partition, then for each subgraph residency, tasks and schedule, again with less room
 * and smaller tiles for the steps that do not fit. A step that fits in no way goes to the CPU and
 * the rest is compiled anew: slower code is acceptable, a wrong result or an aborted build is not.
 */
#include <string.h>

#include "target/npu/legal.h"
#include "target/npu/residency.h"

enum { MAX_ATTEMPTS = 32, MAX_RETREATS = 64 };

typedef struct compiler {
    cyg_ctx *ctx;
    const cyg_program *p;
    const cyg_npu_options *options;
    cyg_arena *arena;
    const char **refused; /* [steps]: why a step stays on the CPU; NULL = it goes to the NPU */
    uint8_t *levels;      /* [steps]: how hard it is pressed (gen.h) */
    uint64_t *needs;      /* [steps]: bytes of the OCM that the last attempt needed at once */
    cyg_npu_result *out;
} compiler;

static cyg_status nomem(const compiler *c)
{
    return CYG_FAIL(c->ctx, CYG_E_NOMEM, "out of memory while compiling for %s %s",
                    c->options->machine.chip, c->options->machine.mode);
}

/* ---- one attempt
 * ------------------------------------------------------------------------------------------------
 */

/* Parameter blocks and index tables get their place for good, tasks point there. */
static cyg_status settle_code(cyg_npu_gen *g, cyg_npu_program *program)
{
    uint64_t *at = CYG_NEW_ARRAY(g->arena, uint64_t, g->tasks.task_count + 1);
    if (at == NULL)
        return cyg_npu_gen_nomem(g);
    for (uint32_t i = 0; i < g->tasks.task_count; i++)
        if (g->tasks.tasks[i].params != NULL &&
            !cyg_npu_code_add(g, g->tasks.tasks[i].params, g->tasks.tasks[i].params_size, &at[i]))
            return cyg_npu_gen_nomem(g);
    for (uint32_t i = 0; i < g->tasks.task_count; i++)
        if (g->tasks.tasks[i].params != NULL)
            g->tasks.tasks[i].params = g->code.data + at[i];
    program->code = g->code.data;
    program->code_bytes = g->code.size;
    program->params = g->params.data;
    program->param_bytes = g->params.size;
    return CYG_OK;
}

static cyg_status name_steps(cyg_npu_gen *g, cyg_npu_program *program)
{
    program->step_count = g->last - g->first + 1;
    const char **names = CYG_NEW_ARRAY(g->arena, const char *, program->step_count);
    if (names == NULL)
        return cyg_npu_gen_nomem(g);
    for (uint32_t i = 0; i < program->step_count; i++) {
        names[i] = g->p->steps[g->first + i].name;
        program->macs += g->p->steps[g->first + i].macs;
    }
    program->step_names = names;
    program->io = g->io;
    program->io_count = g->io_count;
    program->chip = g->m->chip;
    program->mode = g->m->mode;
    program->machine_hash = cyg_npu_machine_hash(g->m);
    return CYG_OK;
}

/* The pieces of PARAM, in the order in which they were put there. */
static cyg_status list_pieces(cyg_npu_gen *g, cyg_npu_subgraph *s)
{
    s->pieces = CYG_NEW_ARRAY(g->arena, cyg_npu_param_piece, g->tasks.buffer_count + 1);
    s->piece_count = 0;
    if (s->pieces == NULL)
        return cyg_npu_gen_nomem(g);
    for (uint32_t i = 0; i < g->tasks.buffer_count; i++) {
        const cyg_npu_buffer *b = &g->tasks.buffers[i];
        if (b->space == CYG_NPU_PARAM && b->bytes > 0)
            s->pieces[s->piece_count++] = (cyg_npu_param_piece){b->address, b->bytes};
    }
    return CYG_OK;
}

static cyg_status attempt(const compiler *c, cyg_npu_subgraph *s)
{
    cyg_npu_gen g = {.ctx = c->ctx,
                     .arena = c->arena,
                     .m = &s->options->machine,
                     .p = c->p,
                     .options = s->options,
                     .levels = c->levels,
                     .first = s->first,
                     .last = s->last};
    if (!cyg_npu_reserve_constants(&g))
        return nomem(c);
    CYG_DO(cyg_npu_residency(&g));
    for (uint32_t i = s->first; i <= s->last; i++) {
        const cyg_step *step = &c->p->steps[i];
        g.step = i - s->first;
        g.tile = 0;
        g.phase = 0;
        g.stored = NULL;
        CYG_TRY(c->ctx, cyg_npu_tap_outputs(&g, step), "while tiling \"%s\"", step->name);
        CYG_TRY(c->ctx, cyg_npu_family_of(step->op)(&g, step), "while tiling \"%s\"", step->name);
        CYG_TRY(c->ctx, cyg_npu_store_outputs(&g, step), "while tiling \"%s\"", step->name);
    }
    s->program = (cyg_npu_program){0};
    CYG_DO(settle_code(&g, &s->program));
    CYG_DO(name_steps(&g, &s->program));
    CYG_DO(list_pieces(&g, s));
    memset(c->needs + s->first, 0, sizeof *c->needs * (s->last - s->first + 1));
    const cyg_npu_schedule_options options = {
        .kind = s->options->kind, .tries = s->options->tries, .needs = c->needs + s->first};
    return cyg_npu_schedule(c->ctx, &s->options->machine, &g.tasks, &options, c->arena, &s->program,
                            &s->schedule);
}

/* ---- reports
 * ---------------------------------------------------------------------------------------------------
 */

static void count_bytes(cyg_npu_subgraph *s, const cyg_npu_instr *instr, int64_t bytes)
{
    const cyg_npu_view *x = &instr->operands[0], *y = &instr->operands[instr->in_count];
    const uint8_t space =
        instr->op == CYG_NPU_OP_ST || instr->op == CYG_NPU_OP_STX ? y->space : x->space;
    if (space == CYG_NPU_PARAM)
        s->weight_bytes += (uint64_t)bytes;
    else if (space == CYG_NPU_SWAP)
        s->spill_bytes += (uint64_t)bytes;
    else if (instr->op == CYG_NPU_OP_ST || instr->op == CYG_NPU_OP_STX)
        s->output_bytes += (uint64_t)bytes;
    else
        s->input_bytes += (uint64_t)bytes;
}

static cyg_status report(const compiler *c, cyg_npu_subgraph *s)
{
    const cyg_npu_machine *m = &s->options->machine;
    const uint32_t steps = s->last - s->first + 1;
    s->steps = CYG_NEW_ARRAY(c->arena, cyg_npu_step_report, steps);
    if (s->steps == NULL)
        return nomem(c);
    for (uint32_t i = 0; i < steps; i++)
        s->steps[i].step = s->first + i;
    for (uint32_t i = 0; i < s->program.instr_count; i++) {
        const cyg_npu_instr *instr = &s->program.instrs[i];
        const cyg_npu_cost cost = cyg_npu_cost_of(m, instr);
        cyg_npu_step_report *r = &s->steps[instr->step];
        r->busy[cyg_npu_engine_at(m, instr->engine).kind] += cost.cycles;
        r->ddr_bytes += cost.ddr_bytes;
        r->macs += cost.macs;
        r->tasks++;
        if (cost.ddr_bytes > 0)
            count_bytes(s, instr, cost.ddr_bytes);
    }
    for (uint32_t i = 0; i < steps; i++)
        for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
            s->steps[i].busy[k] /= cyg_npu_engines_of(m, (cyg_npu_engine_kind)k);
    return CYG_OK;
}

/* ---- subgraphs
 * -------------------------------------------------------------------------------------------------
 */

/* Presses the steps whose buffers are too much, or, where only the places of all together do not
 * fit, every step; *out_worn: one that was pressed to the last, or UINT32_MAX. */
static void press(const compiler *c, const cyg_npu_subgraph *s, uint32_t *out_worn)
{
    const uint64_t ocm = (uint64_t)s->options->machine.ocm_bytes;
    const bool all = s->schedule.tight_bytes <= ocm;
    bool pressed = false;
    *out_worn = UINT32_MAX;
    for (uint32_t i = s->first; i <= s->last; i++) {
        if (!all && c->needs[i] <= ocm)
            continue;
        if (c->levels[i] + 1 < CYG_NPU_LEVELS) {
            c->levels[i]++;
            pressed = true;
        } else if (!all && (*out_worn == UINT32_MAX || c->needs[i] > c->needs[*out_worn])) {
            *out_worn = i;
        }
    }
    if (!pressed && *out_worn == UINT32_MAX)
        *out_worn = s->first + s->schedule.tight_step;
}

/* A subgraph that fits; or CYG_OK with *out_tight the step that does not. */
static cyg_status fit(const compiler *c, cyg_npu_subgraph *s, uint32_t *out_tight)
{
    *out_tight = UINT32_MAX;
    for (uint32_t i = 0; i < MAX_ATTEMPTS && *out_tight == UINT32_MAX; i++) {
        CYG_DO(cyg_ctx_check_cancelled(c->ctx));
        CYG_DO(attempt(c, s));
        s->attempts = i + 1;
        if (s->schedule.fits)
            return report(c, s);
        press(c, s, out_tight);
    }
    if (*out_tight == UINT32_MAX)
        *out_tight = s->first + s->schedule.tight_step;
    return CYG_OK;
}

static cyg_status refuse(const compiler *c, const cyg_npu_subgraph *s, uint32_t step)
{
    c->refused[step] = cyg_arena_printf(
        c->arena, "its smallest tiles need %llu bytes of the OCM's %lld",
        (unsigned long long)c->needs[step], (long long)s->options->machine.ocm_bytes);
    return c->refused[step] == NULL ? nomem(c) : CYG_OK;
}

/* The part that step i is in, UINT32_MAX = none. */
static uint32_t part_of(const compiler *c, uint32_t i)
{
    for (uint32_t k = 0; k < c->options->part_count; k++)
        if (c->options->parts[k].first <= i && i <= c->options->parts[k].last)
            return k;
    return UINT32_MAX;
}

/* The next subgraph from step `from` on: as long as steps go to the NPU and belong to one part.
 * False: there is none. */
static bool next_range(const compiler *c, uint32_t from, cyg_npu_subgraph *out)
{
    const uint32_t count = c->p->step_count;
    while (from < count && c->refused[from] != NULL)
        from++;
    if (from == count)
        return false;
    uint32_t last = from;
    const uint32_t part = part_of(c, from);
    while (last + 1 < count && c->refused[last + 1] == NULL && part_of(c, last + 1) == part)
        last++;
    *out = (cyg_npu_subgraph){.first = from,
                              .last = last,
                              .part = part,
                              .options = part == UINT32_MAX ? c->options
                                                            : &c->options->parts[part].options};
    return true;
}

/* A package holds so many subgraphs: of more those with the least work stay on the CPU. */
static void drop_least(const compiler *c)
{
    for (;;) {
        cyg_npu_subgraph s, least = {0};
        int64_t least_macs = INT64_MAX;
        uint32_t count = 0;
        for (uint32_t i = 0; next_range(c, i, &s); i = s.last + 1, count++) {
            int64_t macs = s.last - s.first;
            for (uint32_t k = s.first; k <= s.last; k++)
                macs += c->p->steps[k].macs;
            if (macs < least_macs) {
                least_macs = macs;
                least = s;
            }
        }
        if (c->options->most_subgraphs == 0 || count <= c->options->most_subgraphs)
            return;
        for (uint32_t k = least.first; k <= least.last; k++)
            c->refused[k] = "a package has no room for so many subgraphs, and this one does least";
    }
}

/* All subgraphs of the present partition; *out_again when one had to give up a step. */
static cyg_status compile_ranges(const compiler *c, bool *out_again)
{
    cyg_npu_result *out = c->out;
    cyg_npu_subgraph next;
    out->subgraph_count = 0;
    *out_again = false;
    drop_least(c);
    for (uint32_t i = 0; next_range(c, i, &next); i = next.last + 1) {
        cyg_npu_subgraph *s = &out->subgraphs[out->subgraph_count];
        *s = next;
        uint32_t tight;
        CYG_DO(fit(c, s, &tight));
        if (tight != UINT32_MAX) {
            CYG_DO(refuse(c, s, tight));
            *out_again = true;
            return CYG_OK;
        }
        out->subgraph_count++;
    }
    return CYG_OK;
}

static cyg_status sum_up(const compiler *c)
{
    cyg_npu_result *out = c->out;
    for (uint32_t i = 0; i < out->subgraph_count; i++) {
        out->cycles += out->subgraphs[i].schedule.cycles;
        if (out->subgraphs[i].schedule.ocm_peak_bytes > out->ocm_peak_bytes)
            out->ocm_peak_bytes = out->subgraphs[i].schedule.ocm_peak_bytes;
    }
    out->estimated_ms = (double)out->cycles / (double)c->options->machine.clock_khz;
    out->refusals = CYG_NEW_ARRAY(c->arena, cyg_npu_refusal, c->p->step_count + 1);
    if (out->refusals == NULL)
        return nomem(c);
    for (uint32_t i = 0; i < c->p->step_count; i++)
        if (c->refused[i] != NULL)
            out->refusals[out->refusal_count++] = (cyg_npu_refusal){i, c->refused[i]};
    return CYG_OK;
}

cyg_status cyg_target_npu_compile(cyg_ctx *ctx, const cyg_program *p,
                                  const cyg_npu_options *options, cyg_arena *arena,
                                  cyg_npu_result *out_result)
{
    compiler c = {.ctx = ctx, .p = p, .options = options, .arena = arena, .out = out_result};
    *out_result = (cyg_npu_result){0};
    c.refused = CYG_NEW_ARRAY(arena, const char *, p->step_count + 1);
    out_result->subgraphs = CYG_NEW_ARRAY(arena, cyg_npu_subgraph, p->step_count + 1);
    c.levels = CYG_NEW_ARRAY(arena, uint8_t, p->step_count + 1);
    c.needs = CYG_NEW_ARRAY(arena, uint64_t, p->step_count + 1);
    if (c.refused == NULL || out_result->subgraphs == NULL || c.levels == NULL || c.needs == NULL)
        return nomem(&c);
    for (uint32_t i = 0; i < p->step_count; i++)
        c.refused[i] = cyg_npu_refuses(p, i);
    bool again = true;
    for (uint32_t i = 0; again && i < MAX_RETREATS; i++)
        CYG_DO(compile_ranges(&c, &again));
    if (again) { /* so little fits that none of it is worth an NPU */
        for (uint32_t i = 0; i < p->step_count; i++)
            if (c.refused[i] == NULL)
                c.refused[i] = "too many steps around it do not fit into the OCM";
        out_result->subgraph_count = 0;
    }
    return sum_up(&c);
}

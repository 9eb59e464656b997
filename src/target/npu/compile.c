/* The driver: partition, then for each subgraph residency, tasks and schedule, again with less room
 * and smaller tiles for the steps that do not fit. Steps that fit in no way, or only in more tiles
 * than are worth it, go to the CPU and their subgraph is compiled anew; one of too many tasks
 * becomes two. Slower code is acceptable, a wrong result, an aborted build or one without end is
 * not: tasks of a step, of a subgraph and of all attempts together are bounded. */
#include <string.h>

#include "target/npu/legal.h"
#include "target/npu/residency.h"

enum {
    MAX_ATTEMPTS = 32, /* at one subgraph, without giving up a step */
    MOST_TASKS =
        1 << 22, /* of all attempts together: then steps are given up without trying more */
};

typedef struct compiler {
    cyg_ctx *ctx;
    const cyg_program *p;
    const cyg_npu_options *options;
    cyg_arena *arena;
    const char **refused; /* [steps]: why a step stays on the CPU; NULL = it goes to the NPU */
    uint8_t *levels;      /* [steps]: how hard it is pressed (gen.h) */
    uint64_t *needs;      /* [steps]: bytes of the OCM that the last attempt needed at once */
    bool *cuts;           /* [steps]: a subgraph begins here, for the one before is full */
    uint64_t *tasks;      /* of all attempts so far */
    bool keeps_more;      /* as in gen.h */
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
    const char **names = CYG_NEW_ARRAY(g->keep, const char *, program->step_count);
    program->io = cyg_arena_memdup(g->keep, g->io, (g->io_count + 1) * sizeof *g->io);
    if (names == NULL || program->io == NULL)
        return cyg_npu_gen_nomem(g);
    for (uint32_t i = 0; i < program->step_count; i++) {
        names[i] = g->p->steps[g->first + i].name;
        program->macs += g->p->steps[g->first + i].macs;
    }
    program->step_names = names;
    program->io_count = g->io_count;
    program->chip = g->m->chip;
    program->mode = g->m->mode;
    program->machine_hash = cyg_npu_machine_hash(g->m);
    return CYG_OK;
}

/* The pieces of PARAM, in the order in which they were put there. */
static cyg_status list_pieces(cyg_npu_gen *g, cyg_npu_subgraph *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->tasks.buffer_count; i++)
        count += g->tasks.buffers[i].space == CYG_NPU_PARAM;
    s->pieces = CYG_NEW_ARRAY(g->keep, cyg_npu_param_piece, (size_t)count + 1);
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

/* What came of an attempt. */
typedef enum outcome {
    FITS,
    TIGHT, /* the schedule says where */
    SPLIT, /* steps were given up, or the subgraph is to be two */
} outcome;

typedef struct plan_made {
    outcome came;
    bool torn;      /* a plan would be another if it kept more, or less */
    cyg_arena keep; /* what the program hangs on: the caller's to free or to adopt */
} plan_made;

static cyg_status crowded(const compiler *c, const cyg_npu_gen *g, uint32_t step)
{
    cyg_ctx_clear(c->ctx);
    c->refused[step] = cyg_arena_printf(
        c->arena, "its tiles and moves would be more than %u with an OCM of %lld bytes",
        cyg_npu_most_step_tasks(g), (long long)g->m->ocm_bytes);
    return c->refused[step] == NULL ? nomem(c) : CYG_OK;
}

/* The tasks of all steps. Steps of too many are given up at once, all of them; where tasks become
 * too many for one subgraph, the next begins. */
static cyg_status generate(const compiler *c, cyg_npu_gen *g, outcome *out)
{
    const uint32_t most =
        g->options->most_tasks != 0 ? g->options->most_tasks : CYG_NPU_SUBGRAPH_TASKS;
    for (uint32_t i = g->first; i <= g->last; i++) {
        const cyg_step *step = &c->p->steps[i];
        g->step = i - g->first;
        g->step_begins = g->tasks.task_count;
        g->tile = 0;
        g->phase = 0;
        g->stored = NULL;
        CYG_TRY(c->ctx, cyg_npu_tap_outputs(g, step), "while tiling \"%s\"", step->name);
        cyg_status status = cyg_npu_family_of(step->op)(g, step);
        if (status == CYG_OK)
            status = cyg_npu_store_outputs(g, step);
        *c->tasks += g->tasks.task_count - g->step_begins;
        if (g->crowded) {
            CYG_DO(crowded(c, g, i));
            g->crowded = false;
            g->tasks.task_count = g->step_begins;
            g->tasks.tap_count = g->first_tap;
            *out = SPLIT;
            continue;
        }
        CYG_TRY(c->ctx, status, "while tiling \"%s\"", step->name);
        if (g->tasks.task_count > most && i > g->first) {
            c->cuts[i] = true;
            *out = SPLIT;
            return CYG_OK;
        }
    }
    return CYG_OK;
}

/* Everything that tiling made goes with scratch; the program hangs on keep. */
static cyg_status attempt_on(const compiler *c, cyg_npu_subgraph *s, cyg_arena *scratch,
                             plan_made *out)
{
    cyg_npu_gen g = {.ctx = c->ctx,
                     .arena = scratch,
                     .keep = &out->keep,
                     .m = &s->options->machine,
                     .p = c->p,
                     .options = s->options,
                     .levels = c->levels,
                     .first = s->first,
                     .last = s->last,
                     .keeps_more = c->keeps_more};
    out->came = FITS;
    if (!cyg_npu_reserve_constants(&g))
        return nomem(c);
    CYG_DO(cyg_npu_residency(&g));
    CYG_DO(generate(c, &g, &out->came));
    out->torn = g.torn;
    if (out->came == SPLIT)
        return CYG_OK;
    s->program = (cyg_npu_program){0};
    CYG_DO(settle_code(&g, &s->program));
    CYG_DO(name_steps(&g, &s->program));
    CYG_DO(list_pieces(&g, s));
    memset(c->needs + s->first, 0, sizeof *c->needs * (s->last - s->first + 1));
    const cyg_npu_schedule_options options = {
        .kind = s->options->kind, .tries = s->options->tries, .needs = c->needs + s->first};
    CYG_DO(cyg_npu_schedule(c->ctx, &s->options->machine, &g.tasks, &options, &out->keep,
                            &s->program, &s->schedule));
    out->came = s->schedule.fits ? FITS : TIGHT;
    return CYG_OK;
}

static cyg_status attempt(const compiler *c, cyg_npu_subgraph *s, plan_made *out)
{
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    cyg_arena_init(&out->keep);
    const cyg_status status = attempt_on(c, s, &scratch, out);
    cyg_arena_deinit(&scratch);
    return status;
}

/* Of a subgraph that fits, the same with more constants kept; the better of the two stays. Which is
 * better no plan of a single step knows: constants that stay take the room in which others come
 * early. What the other one gives up, or where it does not fit, is of no consequence. */
static cyg_status attempt_more(const compiler *c, cyg_npu_subgraph *s, plan_made *best)
{
    if (!best->torn || s->options->kind == CYG_NPU_SCHEDULE_BASELINE || s->options->tries == 0 ||
        *c->tasks > MOST_TASKS / 2)
        return CYG_OK;
    compiler more = *c;
    cyg_npu_subgraph other = *s;
    plan_made m = {.came = TIGHT};
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    const size_t steps = c->p->step_count + 1;
    more.keeps_more = true;
    more.refused = cyg_arena_memdup(&scratch, c->refused, steps * sizeof *c->refused);
    more.cuts = cyg_arena_memdup(&scratch, c->cuts, steps * sizeof *c->cuts);
    more.needs = CYG_NEW_ARRAY(&scratch, uint64_t, steps);
    cyg_arena_init(&m.keep);
    cyg_status status = more.refused == NULL || more.cuts == NULL || more.needs == NULL
                            ? nomem(c)
                            : attempt(&more, &other, &m);
    if (status == CYG_OK && m.came == FITS && other.schedule.cycles < s->schedule.cycles) {
        const plan_made worse = *best;
        *s = other;
        s->keeps_more = true;
        *best = m;
        m = worse;
    }
    cyg_arena_deinit(&m.keep);
    cyg_arena_deinit(&scratch);
    return status;
}

static cyg_status attempt_both(const compiler *c, cyg_npu_subgraph *s, outcome *out)
{
    plan_made m = {.came = TIGHT};
    cyg_status status = attempt(c, s, &m);
    if (status == CYG_OK && m.came == FITS)
        status = attempt_more(c, s, &m);
    *out = m.came;
    if (status == CYG_OK && m.came == FITS)
        cyg_arena_adopt(c->arena, &m.keep);
    else
        cyg_arena_deinit(&m.keep);
    return status;
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

static cyg_status refuse(const compiler *c, const cyg_npu_subgraph *s, uint32_t step)
{
    const long long ocm = s->options->machine.ocm_bytes;
    c->refused[step] =
        c->needs[step] > (uint64_t)ocm
            ? cyg_arena_printf(c->arena, "its smallest tiles need %llu bytes of the OCM's %lld",
                               (unsigned long long)c->needs[step], ocm)
            : cyg_arena_printf(c->arena, "its tiles find no place in the OCM's %lld bytes", ocm);
    return c->refused[step] == NULL ? nomem(c) : CYG_OK;
}

/* Presses the steps whose buffers are too much, or, where only the places of all together do not
 * fit, every step. Those that were pressed to the last are given up; where nothing else is left,
 * the tightest. */
static cyg_status press(const compiler *c, const cyg_npu_subgraph *s, bool is_last, bool *out_split)
{
    const uint64_t ocm = (uint64_t)s->options->machine.ocm_bytes;
    const bool all = s->schedule.tight_bytes <= ocm;
    bool pressed = false;
    *out_split = false;
    for (uint32_t i = s->first; i <= s->last; i++) {
        if (!all && c->needs[i] <= ocm)
            continue;
        if (!is_last && c->levels[i] + 1 < CYG_NPU_LEVELS) {
            c->levels[i]++;
            pressed = true;
        } else if (!all) {
            CYG_DO(refuse(c, s, i));
            *out_split = true;
        }
    }
    if (pressed || *out_split)
        return CYG_OK;
    *out_split = true;
    return refuse(c, s, s->first + s->schedule.tight_step);
}

/* A subgraph that fits; *out_split: it is another, or none, by now. */
static cyg_status fit(const compiler *c, cyg_npu_subgraph *s, bool *out_split)
{
    *out_split = false;
    for (uint32_t i = 1; !*out_split; i++) {
        outcome came;
        CYG_DO(cyg_ctx_check_cancelled(c->ctx));
        CYG_DO(attempt_both(c, s, &came));
        s->attempts = i;
        if (came == FITS)
            return report(c, s);
        if (came == SPLIT)
            *out_split = true;
        else
            CYG_DO(press(c, s, i >= MAX_ATTEMPTS || *c->tasks > MOST_TASKS, out_split));
    }
    return CYG_OK;
}

/* The part that step i is in, UINT32_MAX = none. */
static uint32_t part_of(const compiler *c, uint32_t i)
{
    for (uint32_t k = 0; k < c->options->part_count; k++)
        if (c->options->parts[k].first <= i && i <= c->options->parts[k].last)
            return k;
    return UINT32_MAX;
}

/* The next subgraph from step `from` on: as long as steps go to the NPU, belong to one part and are
 * not too many. False: there is none. */
static bool next_range(const compiler *c, uint32_t from, cyg_npu_subgraph *out)
{
    const uint32_t count = c->p->step_count;
    while (from < count && c->refused[from] != NULL)
        from++;
    if (from == count)
        return false;
    uint32_t last = from;
    const uint32_t part = part_of(c, from);
    while (last + 1 < count && c->refused[last + 1] == NULL && part_of(c, last + 1) == part &&
           !c->cuts[last + 1])
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

/* Of the subgraphs that an earlier partition had from the i-th on, the one of the same steps. */
static const cyg_npu_subgraph *made_before(const cyg_npu_result *out, uint32_t i, uint32_t count,
                                           const cyg_npu_subgraph *next)
{
    for (; i < count; i++)
        if (out->subgraphs[i].first == next->first && out->subgraphs[i].last == next->last)
            return &out->subgraphs[i];
    return NULL;
}

/* All subgraphs of the present partition, as long as it stays; *out_again when it changed. Those
 * made before stay: changes are in the first that was not, or behind it. */
static cyg_status compile_ranges(const compiler *c, bool *out_again)
{
    cyg_npu_result *out = c->out;
    cyg_npu_subgraph next;
    const uint32_t made = out->subgraph_count;
    out->subgraph_count = 0;
    *out_again = false;
    drop_least(c);
    for (uint32_t i = 0; next_range(c, i, &next); i = next.last + 1) {
        cyg_npu_subgraph *s = &out->subgraphs[out->subgraph_count];
        const cyg_npu_subgraph *before = made_before(out, out->subgraph_count, made, &next);
        if (before != NULL) {
            *s = *before;
        } else {
            *s = next;
            CYG_DO(fit(c, s, out_again));
            if (*out_again)
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
    c.cuts = CYG_NEW_ARRAY(arena, bool, p->step_count + 1);
    if (c.refused == NULL || out_result->subgraphs == NULL || c.levels == NULL || c.needs == NULL ||
        c.cuts == NULL)
        return nomem(&c);
    for (uint32_t i = 0; i < p->step_count; i++)
        c.refused[i] = cyg_npu_refuses(p, i);
    uint64_t tasks = 0;
    c.tasks = &tasks;
    for (bool again = true; again;) /* each time a step is given up or a subgraph cut: it ends */
        CYG_DO(compile_ranges(&c, &again));
    return sum_up(&c);
}

/* A session: a package made ready for one machine, and run.
 *
 * Everything that can fail or allocate happens at creation: programs are bound and checked
 * (bind.c), arena and buffers are taken. A run walks the steps; each is split over the pool, and
 * no split changes a byte.
 *
 * A session holds a batch. Where one program of the package takes just that, the session's inputs
 * and outputs are the program's own. Else they are buffers of the session: the batch is split
 * greedily, the largest program first, and samples are copied to and fro; what the smallest
 * program takes too much is zeros in front and forgotten behind. */
#include "rt/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cpu.h"
#include "base/pool.h"
#include "rt/bind.h"

/* An input or output as the caller sees it. */
typedef struct session_end {
    char *data;
    size_t sample_bytes;
    bool owned;
} session_end;

struct cyg_session {
    const cyg_model *model;
    cyg_binding binding;
    cyg_pool *pool;
    uint32_t batch; /* samples that the ends hold */
    bool direct;    /* the ends are those of the only program */
    session_end *inputs, *outputs;
    size_t end_bytes; /* of what the session owns */
    void (*on_step)(void *, uint32_t, const char *, double);
    void *user;
};

void cyg_session_options_init(cyg_session_options *options)
{
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
}

/* The first program of the group: its largest batch. */
static const cyg_program *shown(const cyg_session *s)
{
    return s->binding.programs[0].program;
}

/* ---- life ---- */

static cyg_status choose_level(cyg_ctx *ctx, const char *isa, int *out_level)
{
    cyg_cpu_level_id level;
    if (isa == NULL) {
        CYG_DO(cyg_cpu_level(ctx, &level));
        *out_level = (int)level;
        return CYG_OK;
    }
    for (int i = 0; i < CYG_CPU_COUNT; i++)
        if (strcmp(isa, cyg_cpu_name((cyg_cpu_level_id)i)) == 0) {
            if (!cyg_cpu_has((cyg_cpu_level_id)i))
                return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "this machine has no %s", isa);
            *out_level = i;
            return CYG_OK;
        }
    return CYG_FAIL(ctx, CYG_E_USAGE, "unknown ISA level \"%s\"", isa);
}

/* Which programs a session of this batch needs: of its group those that are not larger, and the
 * smallest in any case. */
static cyg_status choose_programs(cyg_ctx *ctx, cyg_session *s, const cyg_session_options *o,
                                  uint32_t *out_first, uint32_t *out_count)
{
    const cyg_package *k = &s->model->package;
    uint32_t first = 0, end;
    while (first < k->program_count && k->programs[first].group != o->group)
        first++;
    if (first == k->program_count)
        return CYG_FAIL(ctx, CYG_E_USAGE, "the package has %u size groups, there is no group %u",
                        k->programs[k->program_count - 1].group + 1, o->group);
    s->batch = o->batch > 0 ? o->batch : k->programs[first].batch;
    if (s->batch > CYG_PACKAGE_MOST_BATCH)
        return CYG_FAIL(ctx, CYG_E_USAGE, "a batch of %u: at most %d are possible", s->batch,
                        CYG_PACKAGE_MOST_BATCH);
    for (end = first; end < k->program_count && k->programs[end].group == o->group;)
        end++;
    while (first + 1 < end && k->programs[first].batch > s->batch)
        first++;
    *out_first = first;
    *out_count = end - first;
    s->direct = *out_count == 1 && k->programs[first].batch == s->batch;
    return CYG_OK;
}

static cyg_status open_end(cyg_ctx *ctx, cyg_session *s, const uint32_t *ids, uint32_t i,
                           session_end *e)
{
    const cyg_program *p = shown(s);
    const cyg_tensor *t = &p->tensors[ids[i]];
    size_t bytes;
    if (s->direct) {
        *e = (session_end){cyg_bound_data(&s->binding, p, ids[i]), cyg_tensor_bytes(t), false};
        return CYG_OK;
    }
    if (p->batch == 1 && t->rank == 0)
        return CYG_FAIL(ctx, CYG_E_USAGE, "tensor \"%s\" has no dimension for a batch of %u",
                        t->name, s->batch);
    *e = (session_end){NULL, cyg_tensor_bytes(t) / p->batch, true};
    if (!cyg_mul_size(e->sample_bytes, s->batch, &bytes) || bytes > SIZE_MAX / 2 ||
        (e->data = aligned_alloc(64, (size_t)cyg_align_up(bytes + 64, 64))) == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a batch of %u of \"%s\"", s->batch,
                        t->name);
    memset(e->data, 0, bytes);
    s->end_bytes += bytes;
    return CYG_OK;
}

static cyg_status open_ends(cyg_ctx *ctx, cyg_session *s)
{
    const cyg_program *p = shown(s);
    s->inputs = calloc((size_t)p->input_count + 1, sizeof *s->inputs);
    s->outputs = calloc((size_t)p->output_count + 1, sizeof *s->outputs);
    if (s->inputs == NULL || s->outputs == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < p->input_count; i++)
        CYG_DO(open_end(ctx, s, p->inputs, i, &s->inputs[i]));
    for (uint32_t i = 0; i < p->output_count; i++)
        CYG_DO(open_end(ctx, s, p->outputs, i, &s->outputs[i]));
    return CYG_OK;
}

static void close_ends(session_end *list, uint32_t count)
{
    for (uint32_t i = 0; list != NULL && i < count; i++)
        if (list[i].owned)
            free(list[i].data);
    free(list);
}

static cyg_status open_session(cyg_ctx *ctx, cyg_session *s, const cyg_session_options *options)
{
    uint32_t first = 0, count = 0;
    CYG_DO(choose_level(ctx, options->isa, &s->binding.level));
    CYG_DO(choose_programs(ctx, s, options, &first, &count));
    s->pool = cyg_pool_create(options->threads);
    if (s->pool == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_pool_set_patient(s->pool, options->patient != 0);
    s->binding.threads = cyg_pool_threads(s->pool);
    s->binding.pool = s->pool;
    s->binding.executors = options->executors;
    s->binding.executor_count = options->executor_count;
    CYG_DO(cyg_bind_programs(ctx, &s->binding, first, count));
    return open_ends(ctx, s);
}

int cyg_session_create(const cyg_model *model, const cyg_session_options *options,
                       cyg_session **out_session)
{
    cyg_ctx ctx;
    cyg_session_options defaults;
    cyg_ctx_init(&ctx);
    cyg_session_options_init(&defaults);
    *out_session = NULL;
    if (options == NULL)
        options = &defaults;
    cyg_session *s = options->struct_size == sizeof defaults ? calloc(1, sizeof *s) : NULL;
    if (s == NULL)
        return cyg_rt_report(
            &ctx, CYG_FAIL(&ctx, CYG_E_NOMEM, "out of memory, or options not initialised"));
    cyg_arena_init(&s->binding.memory);
    s->model = model;
    s->binding.package = &model->package;
    s->on_step = options->on_step;
    s->user = options->user;
    const cyg_status status = open_session(&ctx, s, options);
    if (status != CYG_OK) {
        cyg_session_destroy(s);
        return cyg_rt_report(&ctx, status);
    }
    *out_session = s;
    return CYG_OK;
}

void cyg_session_destroy(cyg_session *s)
{
    if (s == NULL)
        return;
    if (s->binding.program_count > 0) {
        close_ends(s->inputs, shown(s)->input_count);
        close_ends(s->outputs, shown(s)->output_count);
    }
    cyg_binding_deinit(&s->binding);
    cyg_pool_destroy(s->pool);
    free(s);
}

/* ---- running ---- */

typedef struct part_arg {
    const cyg_bound_step *step;
    char *scratch;
} part_arg;

static void run_part(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const part_arg *a = arg;
    a->step->run(&a->step->call, begin, end,
                 a->scratch == NULL ? NULL : a->scratch + worker * a->step->scratch_stride);
}

static int run_subgraph(const cyg_bound_step *step)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    const cyg_status status = step->executor->run(&ctx, step->state);
    if (status == CYG_OK)
        return CYG_OK;
    return cyg_rt_report(&ctx, CYG_FAIL(&ctx, status, "subgraph \"%s\"", step->name));
}

static int run_program(const cyg_session *s, const cyg_bound_program *bp)
{
    for (uint32_t i = 0; i < bp->program->step_count; i += bp->steps[i].covers) {
        const cyg_bound_step *step = &bp->steps[i];
        part_arg arg = {step, s->binding.scratch};
        const double start = s->on_step != NULL ? cyg_seconds() : 0.0;
        if (step->executor != NULL) {
            const int status = run_subgraph(step);
            if (status != CYG_OK)
                return status;
        } else {
            cyg_pool_for(s->pool, step->items, step->grain, run_part, &arg);
        }
        if (s->on_step != NULL)
            s->on_step(s->user, bp->first_step + i, step->name, cyg_seconds() - start);
    }
    return CYG_OK;
}

/* Samples [from, from + count) through a program of at least as many. */
static int run_some(cyg_session *s, const cyg_bound_program *bp, uint32_t from, uint32_t count)
{
    const cyg_program *p = bp->program;
    for (uint32_t i = 0; i < p->input_count; i++) {
        const size_t bytes = s->inputs[i].sample_bytes;
        char *to = cyg_bound_data(&s->binding, p, p->inputs[i]);
        memcpy(to, s->inputs[i].data + from * bytes, count * bytes);
        memset(to + count * bytes, 0, (p->batch - count) * bytes);
    }
    const int status = run_program(s, bp);
    for (uint32_t i = 0; status == CYG_OK && i < p->output_count; i++) {
        const size_t bytes = s->outputs[i].sample_bytes;
        memcpy(s->outputs[i].data + from * bytes, cyg_bound_data(&s->binding, p, p->outputs[i]),
               count * bytes);
    }
    return status;
}

int cyg_session_run_batch(cyg_session *s, uint32_t samples)
{
    if (samples == 0 || samples > s->batch) {
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        return cyg_rt_report(&ctx,
                             CYG_FAIL(&ctx, CYG_E_USAGE, "a batch of %u: the session holds 1 to %u",
                                      samples, s->batch));
    }
    if (s->direct)
        return run_program(s, &s->binding.programs[0]);
    uint32_t done = 0;
    for (uint32_t k = 0; k < s->binding.program_count; k++) {
        const uint32_t size = s->binding.programs[k].program->batch;
        const bool last = k + 1 == s->binding.program_count;
        while (done < samples && (samples - done >= size || last)) {
            const uint32_t count = samples - done < size ? samples - done : size;
            const int status = run_some(s, &s->binding.programs[k], done, count);
            if (status != CYG_OK)
                return status;
            done += count;
        }
    }
    return CYG_OK;
}

int cyg_session_run(cyg_session *s)
{
    return cyg_session_run_batch(s, s->batch);
}

void *cyg_session_input(cyg_session *s, uint32_t i)
{
    return i < shown(s)->input_count ? s->inputs[i].data : NULL;
}

const void *cyg_session_output(const cyg_session *s, uint32_t i)
{
    return i < shown(s)->output_count ? s->outputs[i].data : NULL;
}

/* The program that a step belongs to and its number there; NULL: there is no such step. */
static const cyg_bound_program *find_step(const cyg_session *s, uint32_t step, uint32_t *out_number)
{
    for (uint32_t k = 0; k < s->binding.program_count; k++) {
        const cyg_bound_program *bp = &s->binding.programs[k];
        *out_number = step - bp->first_step; /* wraps when it is an earlier one */
        if (*out_number < bp->program->step_count)
            return bp;
    }
    return NULL;
}

const void *cyg_session_step_output(const cyg_session *s, uint32_t step, uint32_t output)
{
    uint32_t i;
    const cyg_bound_program *bp = find_step(s, step, &i);
    if (bp == NULL || output >= bp->program->steps[i].out_count)
        return NULL;
    uint32_t first = i;
    while (first > 0 && bp->steps[first].covers == 0)
        first--;
    const cyg_bound_step *b = &bp->steps[first];
    if (b->executor != NULL)
        return b->executor->output != NULL ? b->executor->output(b->state, i - first, output)
                                           : NULL;
    return cyg_bound_data(&s->binding, bp->program, bp->program->steps[i].out[output]);
}

const cyg_tensor *cyg_session_step_tensor(const cyg_session *s, uint32_t step, uint32_t output)
{
    uint32_t i;
    const cyg_bound_program *bp = find_step(s, step, &i);
    return bp != NULL && output < bp->program->steps[i].out_count
               ? &bp->program->tensors[bp->program->steps[i].out[output]]
               : NULL;
}

uint32_t cyg_session_step_covers(const cyg_session *s, uint32_t step)
{
    uint32_t i;
    const cyg_bound_program *bp = find_step(s, step, &i);
    return bp != NULL ? bp->steps[i].covers : 0;
}

const cyg_subgraph *cyg_session_step_subgraph(const cyg_session *s, uint32_t step,
                                              uint32_t *out_number)
{
    uint32_t i;
    const cyg_bound_program *bp = find_step(s, step, &i);
    const cyg_package *k = s->binding.package;
    const cyg_subgraph *g =
        bp != NULL ? cyg_package_subgraph_at(k, (uint32_t)(bp->program - k->programs), i) : NULL;
    *out_number = g != NULL ? i - g->first_step : 0;
    return g;
}

const char *cyg_session_step_name(const cyg_session *s, uint32_t step)
{
    uint32_t i;
    const cyg_bound_program *bp = find_step(s, step, &i);
    return bp != NULL ? bp->program->steps[i].name : NULL;
}

uint32_t cyg_session_batch(const cyg_session *s)
{
    return s->batch;
}

int cyg_session_input_info(const cyg_session *s, uint32_t i, cyg_tensor_info *out_info)
{
    const cyg_program *p = shown(s);
    return cyg_rt_describe(p, p->inputs, p->input_count, i, s->batch, out_info);
}

int cyg_session_output_info(const cyg_session *s, uint32_t i, cyg_tensor_info *out_info)
{
    const cyg_program *p = shown(s);
    return cyg_rt_describe(p, p->outputs, p->output_count, i, s->batch, out_info);
}

const char *cyg_session_isa(const cyg_session *s)
{
    return cyg_cpu_name((cyg_cpu_level_id)s->binding.level);
}

unsigned cyg_session_threads(const cyg_session *s)
{
    return cyg_pool_threads(s->pool);
}

size_t cyg_session_memory(const cyg_session *s)
{
    return s->binding.arena_bytes + s->binding.packed_bytes + s->binding.scratch_bytes +
           s->binding.executor_bytes + s->end_bytes + s->binding.memory.used;
}

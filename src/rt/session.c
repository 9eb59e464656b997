/* A session: one package made ready for one machine, and run.
 *
 * Everything that can fail or allocate happens at creation: every step is bound to its buffers and
 * checked by its kernel (a package is hostile input), weights are packed for the ISA level, scratch
 * and arena are taken. Packed weights replace the mapped ones, whose pages are given back. A run
 * walks the steps; each is split over the pool, and no split changes a byte. */
#include "rt/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cpu.h"
#include "base/pool.h"
#include "kernels/call.h"

typedef struct bound_step {
    cyg_kcall call;
    void (*run)(const cyg_kcall *, int64_t, int64_t, void *);
    int64_t items, grain;
    size_t scratch_stride;
    const char *name;
} bound_step;

struct cyg_session {
    const cyg_model *model;
    cyg_arena memory; /* bindings */
    cyg_pool *pool;
    int level;
    char *arena;  /* activations, 64-byte aligned */
    char *packed; /* prepared operands of all steps */
    char *scratch;
    size_t packed_bytes, scratch_bytes;
    bound_step *steps;
    uint32_t step_count;
    void (*on_step)(void *, uint32_t, const char *, double);
    void *user;
};

void cyg_session_options_init(cyg_session_options *options)
{
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
}

/* ---- binding
 * -------------------------------------------------------------------------------------------------
 */

static const cyg_tensor *owner_of(const cyg_program *p, const cyg_tensor *t)
{
    while (t->kind == CYG_TENSOR_ALIAS) /* the reader proved that this ends */
        t = &p->tensors[t->offset];
    return t;
}

static void bind_tensor(const cyg_session *s, uint32_t id, cyg_kbuf *buf)
{
    const cyg_program *p = &s->model->package.program;
    memset(buf, 0, sizeof *buf);
    if (id == CYG_NO_TENSOR)
        return;
    const cyg_tensor *t = &p->tensors[id], *owner = owner_of(p, t);
    buf->type = t->type;
    buf->rank = t->rank;
    memcpy(buf->dims, t->dims, sizeof buf->dims);
    if (owner->kind == CYG_TENSOR_CONST) {
        memcpy(&buf->data, &owner->data, sizeof buf->data); /* never written: kinds were checked */
        buf->is_const = 1;
    } else {
        buf->data = s->arena + owner->arena_offset;
    }
}

static bool overlap(const cyg_program *p, uint32_t a, uint32_t b)
{
    const cyg_tensor *x = owner_of(p, &p->tensors[a]), *y = owner_of(p, &p->tensors[b]);
    if (x->kind == CYG_TENSOR_CONST || y->kind == CYG_TENSOR_CONST)
        return false;
    return x->arena_offset < y->arena_offset + cyg_tensor_bytes(y) &&
           y->arena_offset < x->arena_offset + cyg_tensor_bytes(x);
}

static cyg_status check_step(cyg_ctx *ctx, const cyg_session *s, uint32_t i, const cyg_kcall *call)
{
    const cyg_program *p = &s->model->package.program;
    const cyg_step *step = &p->steps[i];
    const cyg_kop_info *info = cyg_kop_info_of(step->op);
    if (info == NULL)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "step %u \"%s\": unknown kernel operator %d", i,
                        step->name, (int)step->op);
    for (uint32_t o = 0; o < step->out_count; o++)
        for (uint32_t k = 0; k < step->in_count + o; k++) {
            const uint32_t other = k < step->in_count ? step->in[k] : step->out[k - step->in_count];
            if (other != CYG_NO_TENSOR && overlap(p, step->out[o], other))
                return CYG_FAIL(ctx, CYG_E_FORMAT,
                                "step %u \"%s\": an output overlaps another operand", i,
                                step->name);
        }
    const char *why = info->check(call);
    if (why != NULL)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "step %u \"%s\": kernel %s refuses its operands: %s", i,
                        step->name, info->name, why);
    return CYG_OK;
}

static cyg_status bind_steps(cyg_ctx *ctx, cyg_session *s)
{
    const cyg_program *p = &s->model->package.program;
    const unsigned threads = cyg_pool_threads(s->pool);
    const struct cyg_kernels *isa = cyg_kernels_for(s->level);
    s->steps = CYG_NEW_ARRAY(&s->memory, bound_step, (size_t)p->step_count + 1);
    if (s->steps == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_step *step = &p->steps[i];
        bound_step *b = &s->steps[i];
        cyg_kbuf *in = CYG_NEW_ARRAY(&s->memory, cyg_kbuf, (size_t)step->in_count + 1);
        cyg_kbuf *out = CYG_NEW_ARRAY(&s->memory, cyg_kbuf, (size_t)step->out_count + 1);
        if (in == NULL || out == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        for (uint32_t k = 0; k < step->in_count; k++)
            bind_tensor(s, step->in[k], &in[k]);
        for (uint32_t k = 0; k < step->out_count; k++)
            bind_tensor(s, step->out[k], &out[k]);
        b->call = (cyg_kcall){.op = step->op,
                              .in_count = step->in_count,
                              .out_count = step->out_count,
                              .in = in,
                              .out = out,
                              .params = step->params,
                              .isa = isa};
        CYG_DO(check_step(ctx, s, i, &b->call));
        const cyg_kop_info *info = cyg_kop_info_of(step->op);
        b->run = info->run;
        b->name = step->name;
        b->items = info->items(&b->call);
        b->grain = cyg_kcall_bytes(&b->call) < CYG_CALL_SMALL ? b->items
                   : info->grain != NULL                      ? info->grain(&b->call, threads)
                                                              : 0;
        b->scratch_stride = cyg_align_up(info->scratch != NULL ? info->scratch(&b->call) : 0, 64);
        size_t bytes;
        if (!cyg_mul_size(b->scratch_stride, threads, &bytes))
            return CYG_FAIL(ctx, CYG_E_FORMAT, "step %u \"%s\": too much scratch", i, step->name);
        s->scratch_bytes = bytes > s->scratch_bytes ? bytes : s->scratch_bytes;
        const size_t packed =
            cyg_align_up(info->prepare_size != NULL ? info->prepare_size(&b->call) : 0, 64);
        if (!cyg_add_size(s->packed_bytes, packed, &s->packed_bytes))
            return CYG_FAIL(ctx, CYG_E_FORMAT, "step %u \"%s\": too many packed weights", i,
                            step->name);
    }
    s->step_count = p->step_count;
    return CYG_OK;
}

/* What was packed is not read from the file again; the little that still is comes back page by
 * page. Step by step, so that file and packed weights are never resident together. */
static void release_constants(const cyg_session *s, const cyg_step *step)
{
    const cyg_package *k = &s->model->package;
    for (uint32_t i = 0; i < step->in_count; i++) {
        if (step->in[i] == CYG_NO_TENSOR ||
            k->program.tensors[step->in[i]].kind != CYG_TENSOR_CONST)
            continue;
        const cyg_tensor *t = &k->program.tensors[step->in[i]];
        cyg_map_release_pages(&k->map, (size_t)(k->weights - k->map.data) + (size_t)t->offset,
                              cyg_tensor_bytes(t));
    }
}

static cyg_status pack_weights(cyg_ctx *ctx, cyg_session *s)
{
    s->packed = aligned_alloc(64, s->packed_bytes + 64);
    s->scratch = aligned_alloc(64, s->scratch_bytes + 64);
    if (s->packed == NULL || s->scratch == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM,
                        "out of memory for %zu bytes of packed weights and %zu of scratch",
                        s->packed_bytes, s->scratch_bytes);
    size_t at = 0;
    for (uint32_t i = 0; i < s->step_count; i++) {
        const cyg_kop_info *info = cyg_kop_info_of(s->steps[i].call.op);
        const size_t bytes = info->prepare_size != NULL ? info->prepare_size(&s->steps[i].call) : 0;
        if (bytes == 0)
            continue;
        info->prepare(&s->steps[i].call, s->packed + at);
        s->steps[i].call.prepared = s->packed + at;
        at += cyg_align_up(bytes, 64);
        release_constants(s, &s->model->package.program.steps[i]);
    }
    return CYG_OK;
}

/* ---- life
 * ------------------------------------------------------------------------------------------------------
 */

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

static cyg_status open_session(cyg_ctx *ctx, cyg_session *s, const cyg_session_options *options)
{
    const uint64_t bytes = s->model->package.program.arena_bytes;
    CYG_DO(choose_level(ctx, options->isa, &s->level));
    s->pool = cyg_pool_create(options->threads);
    cyg_pool_set_patient(s->pool, options->patient != 0);
    s->arena = aligned_alloc(64, (size_t)cyg_align_up(bytes + 64, 64));
    if (s->pool == NULL || s->arena == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %llu bytes of activations",
                        (unsigned long long)bytes);
    memset(s->arena, 0, (size_t)bytes);
    CYG_DO(bind_steps(ctx, s));
    return pack_weights(ctx, s);
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
    cyg_arena_init(&s->memory);
    s->model = model;
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
    cyg_pool_destroy(s->pool);
    cyg_arena_deinit(&s->memory);
    free(s->arena);
    free(s->packed);
    free(s->scratch);
    free(s);
}

/* ---- running
 * ---------------------------------------------------------------------------------------------------
 */

typedef struct part_arg {
    const bound_step *step;
    char *scratch;
} part_arg;

static void run_part(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const part_arg *a = arg;
    a->step->run(&a->step->call, begin, end,
                 a->scratch == NULL ? NULL : a->scratch + worker * a->step->scratch_stride);
}

int cyg_session_run(cyg_session *s)
{
    for (uint32_t i = 0; i < s->step_count; i++) {
        part_arg arg = {&s->steps[i], s->scratch};
        const double start = s->on_step != NULL ? cyg_seconds() : 0.0;
        cyg_pool_for(s->pool, s->steps[i].items, s->steps[i].grain, run_part, &arg);
        if (s->on_step != NULL)
            s->on_step(s->user, i, s->steps[i].name, cyg_seconds() - start);
    }
    return CYG_OK;
}

static char *address(const cyg_session *s, uint32_t tensor)
{
    return s->arena + s->model->package.program.tensors[tensor].arena_offset;
}

void *cyg_session_input(cyg_session *s, uint32_t i)
{
    const cyg_program *p = &s->model->package.program;
    return i < p->input_count ? address(s, p->inputs[i]) : NULL;
}

const void *cyg_session_output(const cyg_session *s, uint32_t i)
{
    const cyg_program *p = &s->model->package.program;
    return i < p->output_count ? address(s, p->outputs[i]) : NULL;
}

const char *cyg_session_isa(const cyg_session *s)
{
    return cyg_cpu_name((cyg_cpu_level_id)s->level);
}

unsigned cyg_session_threads(const cyg_session *s)
{
    return cyg_pool_threads(s->pool);
}

size_t cyg_session_memory(const cyg_session *s)
{
    return (size_t)s->model->package.program.arena_bytes + s->packed_bytes + s->scratch_bytes +
           s->memory.used;
}

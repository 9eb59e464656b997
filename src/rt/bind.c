/* Binding: every step of a program gets its buffers and is checked by its kernel, since a package
 * is hostile input; then constants are packed for the ISA level. Packed weights replace the mapped
 * ones, whose pages are given back.
 *
 * The variants of a program share what is packed: their steps stand at the same places, and the
 * packed form of a constant does not depend on the batch. */
#include "rt/bind.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static const cyg_tensor *owner_of(const cyg_program *p, const cyg_tensor *t)
{
    while (t->kind == CYG_TENSOR_ALIAS) /* the reader proved that this ends */
        t = &p->tensors[t->offset];
    return t;
}

void *cyg_bound_data(const cyg_binding *b, const cyg_program *p, uint32_t tensor)
{
    const cyg_tensor *owner = owner_of(p, &p->tensors[tensor]);
    void *data;
    if (owner->kind != CYG_TENSOR_CONST)
        return b->arena + owner->arena_offset;
    memcpy(&data, &owner->data, sizeof data); /* never written: kinds were checked */
    return data;
}

static void bind_tensor(const cyg_binding *b, const cyg_program *p, uint32_t id, cyg_kbuf *buf)
{
    memset(buf, 0, sizeof *buf);
    if (id == CYG_NO_TENSOR)
        return;
    const cyg_tensor *t = &p->tensors[id];
    buf->type = t->type;
    buf->rank = t->rank;
    memcpy(buf->dims, t->dims, sizeof buf->dims);
    buf->data = cyg_bound_data(b, p, id);
    buf->is_const = owner_of(p, t)->kind == CYG_TENSOR_CONST;
}

static bool overlap(const cyg_program *p, uint32_t a, uint32_t b)
{
    const cyg_tensor *x = owner_of(p, &p->tensors[a]), *y = owner_of(p, &p->tensors[b]);
    if (x->kind == CYG_TENSOR_CONST || y->kind == CYG_TENSOR_CONST)
        return false;
    return x->arena_offset < y->arena_offset + cyg_tensor_bytes(y) &&
           y->arena_offset < x->arena_offset + cyg_tensor_bytes(x);
}

static cyg_status check_step(cyg_ctx *ctx, const cyg_program *p, uint32_t i, const cyg_kcall *call)
{
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

/* ---- sharing what is packed ---- */

static bool same_operand(const cyg_kbuf *a, const cyg_kbuf *b)
{
    if (a->type != b->type || a->rank != b->rank || a->is_const != b->is_const ||
        (a->is_const && a->data != b->data))
        return false;
    for (int k = a->is_const ? 0 : 1; k < a->rank; k++)
        if (a->dims[k] != b->dims[k])
            return false;
    return true;
}

static bool same_operands(const cyg_kbuf *a, const cyg_kbuf *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!same_operand(&a[i], &b[i]))
            return false;
    return true;
}

/* Step `index` of an earlier program that packs the very same; NULL = none. */
static const cyg_bound_step *find_same(const cyg_binding *b, uint32_t program, uint32_t index)
{
    const cyg_step *own = &b->programs[program].program->steps[index];
    const cyg_bound_step *step = &b->programs[program].steps[index];
    for (uint32_t k = 0; k < program; k++) {
        const cyg_program *p = b->programs[k].program;
        const cyg_bound_step *other = &b->programs[k].steps[index];
        if (index < p->step_count && other->packed_bytes == step->packed_bytes &&
            p->steps[index].op == own->op && p->steps[index].params_size == own->params_size &&
            memcmp(p->steps[index].params, own->params, own->params_size) == 0 &&
            other->call.in_count == step->call.in_count &&
            other->call.out_count == step->call.out_count &&
            same_operands(other->call.in, step->call.in, step->call.in_count) &&
            same_operands(other->call.out, step->call.out, step->call.out_count))
            return other;
    }
    return NULL;
}

/* What was packed is not read from the file again; the little that still is comes back page by
 * page. Step by step, so that file and packed weights are never resident together. */
static void release_constants(const cyg_package *k, const cyg_program *p, const cyg_step *step)
{
    for (uint32_t i = 0; i < step->in_count; i++) {
        if (step->in[i] == CYG_NO_TENSOR || p->tensors[step->in[i]].kind != CYG_TENSOR_CONST)
            continue;
        const cyg_tensor *t = &p->tensors[step->in[i]];
        if (t->group > 0)
            continue; /* expanded: not in the file's pages */
        cyg_map_release_pages(&k->map, (size_t)(k->weights - k->map.data) + (size_t)t->offset,
                              cyg_tensor_bytes(t));
    }
}

static cyg_status pack_weights(cyg_ctx *ctx, cyg_binding *b)
{
    b->packed = aligned_alloc(64, b->packed_bytes + 64);
    b->scratch = aligned_alloc(64, b->scratch_bytes + 64);
    if (b->packed == NULL || b->scratch == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM,
                        "out of memory for %zu bytes of packed weights and %zu of scratch",
                        b->packed_bytes, b->scratch_bytes);
    size_t at = 0;
    for (uint32_t k = 0; k < b->program_count; k++) {
        const cyg_program *p = b->programs[k].program;
        for (uint32_t i = 0; i < p->step_count; i++) {
            cyg_bound_step *step = &b->programs[k].steps[i];
            const cyg_bound_step *same = step->packed_bytes > 0 ? find_same(b, k, i) : NULL;
            if (same != NULL) {
                step->call.prepared = same->call.prepared;
            } else if (step->packed_bytes > 0) {
                cyg_kop_info_of(step->call.op)->prepare(&step->call, b->packed + at);
                step->call.prepared = b->packed + at;
                at += step->packed_bytes;
                release_constants(b->package, p, &p->steps[i]);
            }
        }
    }
    return CYG_OK;
}

/* ---- binding ---- */

static const cyg_executor *find_executor(const cyg_binding *b, const char *name)
{
    for (uint32_t i = 0; i < b->executor_count; i++)
        if (strcmp(b->executors[i]->name, name) == 0)
            return b->executors[i];
    return NULL;
}

static cyg_status check_tensors(cyg_ctx *ctx, const cyg_program *p, const cyg_subgraph *g)
{
    for (uint32_t o = 0; o < g->tensor_count; o++)
        for (uint32_t k = 0; k < g->tensor_count; k++)
            if (g->tensors[o].is_output && k != o &&
                overlap(p, g->tensors[o].tensor, g->tensors[k].tensor))
                return CYG_FAIL(ctx, CYG_E_FORMAT,
                                "subgraph \"%s\": output \"%s\" overlaps another tensor", g->name,
                                p->tensors[g->tensors[o].tensor].name);
    return CYG_OK;
}

static cyg_status bind_subgraph(cyg_ctx *ctx, cyg_binding *b, const cyg_program *p,
                                const cyg_subgraph *g, cyg_bound_step *s)
{
    const cyg_executor *executor = find_executor(b, g->executor);
    if (executor == NULL)
        return CYG_FAIL(
            ctx, CYG_E_UNSUPPORTED,
            "subgraph \"%s\" (%u steps from \"%s\" on) needs executor \"%s\", which "
            "this program does not have: run the package with `cygnet`, or build it for "
            "the CPU",
            g->name, g->step_count, p->steps[g->first_step].name, g->executor);
    CYG_DO(check_tensors(ctx, p, g));
    void **tensors = CYG_NEW_ARRAY(&b->memory, void *, (size_t)g->tensor_count + 1);
    if (tensors == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->tensor_count; i++)
        tensors[i] = cyg_bound_data(b, p, g->tensors[i].tensor);
    const cyg_executor_job job = {
        .subgraph = g, .program = p, .tensors = tensors, .pool = b->pool, .level = b->level};
    *s = (cyg_bound_step){.name = g->name, .covers = g->step_count};
    CYG_TRY(ctx, executor->open(ctx, executor->user, &job, &s->state), "subgraph \"%s\"", g->name);
    s->executor = executor;
    b->executor_bytes += executor->memory(s->state);
    return CYG_OK;
}

static cyg_status bind_step(cyg_ctx *ctx, cyg_binding *b, cyg_bound_program *bp, uint32_t i)
{
    const cyg_program *p = bp->program;
    const cyg_step *step = &p->steps[i];
    cyg_bound_step *s = &bp->steps[i];
    cyg_kbuf *in = CYG_NEW_ARRAY(&b->memory, cyg_kbuf, (size_t)step->in_count + 1);
    cyg_kbuf *out = CYG_NEW_ARRAY(&b->memory, cyg_kbuf, (size_t)step->out_count + 1);
    if (in == NULL || out == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t k = 0; k < step->in_count; k++)
        bind_tensor(b, p, step->in[k], &in[k]);
    for (uint32_t k = 0; k < step->out_count; k++)
        bind_tensor(b, p, step->out[k], &out[k]);
    s->call = (cyg_kcall){.op = step->op,
                          .in_count = step->in_count,
                          .out_count = step->out_count,
                          .in = in,
                          .out = out,
                          .params = step->params,
                          .isa = cyg_kernels_for(b->level)};
    CYG_DO(check_step(ctx, p, i, &s->call));
    const cyg_kop_info *info = cyg_kop_info_of(step->op);
    s->run = info->run;
    s->name = step->name;
    s->covers = 1;
    s->items = info->items(&s->call);
    s->grain = cyg_kcall_bytes(&s->call) < CYG_CALL_SMALL ? s->items
               : info->grain != NULL                      ? info->grain(&s->call, b->threads)
                                                          : 0;
    s->scratch_stride = cyg_align_up(info->scratch != NULL ? info->scratch(&s->call) : 0, 64);
    size_t bytes;
    if (!cyg_mul_size(s->scratch_stride, b->threads, &bytes))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "step %u \"%s\": too much scratch", i, step->name);
    b->scratch_bytes = bytes > b->scratch_bytes ? bytes : b->scratch_bytes;
    s->packed_bytes =
        cyg_align_up(info->prepare_size != NULL ? info->prepare_size(&s->call) : 0, 64);
    return CYG_OK;
}

static cyg_status bind_program(cyg_ctx *ctx, cyg_binding *b, uint32_t index)
{
    cyg_bound_program *bp = &b->programs[index];
    const cyg_program *p = bp->program;
    bp->steps = CYG_NEW_ARRAY(&b->memory, cyg_bound_step, (size_t)p->step_count + 1);
    if (bp->steps == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    bp->first_step = index > 0 ? bp[-1].first_step + bp[-1].program->step_count : 0;
    for (uint32_t i = 0; i < p->step_count; i += bp->steps[i].covers) {
        const cyg_subgraph *g =
            cyg_package_subgraph_at(b->package, (uint32_t)(p - b->package->programs), i);
        if (g != NULL)
            CYG_DO(bind_subgraph(ctx, b, p, g, &bp->steps[i]));
        else
            CYG_DO(bind_step(ctx, b, bp, i));
        if (bp->steps[i].packed_bytes > 0 && find_same(b, index, i) == NULL &&
            !cyg_add_size(b->packed_bytes, bp->steps[i].packed_bytes, &b->packed_bytes))
            return CYG_FAIL(ctx, CYG_E_FORMAT, "step %u \"%s\": too many packed weights", i,
                            bp->steps[i].name);
    }
    return CYG_OK;
}

cyg_status cyg_bind_programs(cyg_ctx *ctx, cyg_binding *b, uint32_t first, uint32_t count)
{
    b->programs = CYG_NEW_ARRAY(&b->memory, cyg_bound_program, (size_t)count + 1);
    if (b->programs == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    b->program_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const cyg_program *p = &b->package->programs[first + i];
        b->programs[i].program = p;
        b->arena_bytes = p->arena_bytes > b->arena_bytes ? (size_t)p->arena_bytes : b->arena_bytes;
    }
    b->arena = aligned_alloc(64, (size_t)cyg_align_up(b->arena_bytes + 64, 64));
    if (b->arena == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %zu bytes of activations",
                        b->arena_bytes);
    memset(b->arena, 0, b->arena_bytes);
    for (uint32_t i = 0; i < count; i++)
        CYG_DO(bind_program(ctx, b, i));
    return pack_weights(ctx, b);
}

void cyg_binding_deinit(cyg_binding *b)
{
    for (uint32_t k = 0; b->programs != NULL && k < b->program_count; k++)
        for (uint32_t i = 0; b->programs[k].steps != NULL && i < b->programs[k].program->step_count;
             i++)
            if (b->programs[k].steps[i].executor != NULL)
                b->programs[k].steps[i].executor->close(b->programs[k].steps[i].state);
    cyg_arena_deinit(&b->memory);
    free(b->arena);
    free(b->packed);
    free(b->scratch);
}

/* The integer interpreter: runs a lowered program step by step, by default with the plain C
 * specification bodies on unpacked operands. Every tensor keeps a buffer of its own, so an observer
 * sees each of them whole; memory is not its concern. It shares lowering with the runtime, but
 * neither packed kernels nor memory placement: that is what makes it a witness. */
#include <stdlib.h>
#include <string.h>

#include "interp/execute.h"
#include "interp/interp.h"

struct cyg_stepper {
    const cyg_program *p;
    bool use_ref;
    const struct cyg_kernels *isa;
    cyg_scratch scratch;
    cyg_arena arena; /* packed weights */
    void **prepared; /* [step], made at the first run; NULL = none */
};

typedef struct program_run {
    cyg_ctx *ctx;
    const cyg_program *p;
    cyg_arena *arena;
    cyg_kbuf *bufs; /* by tensor */
} program_run;

/* ---- one step ---- */

cyg_status cyg_stepper_create(cyg_ctx *ctx, const cyg_program *p, bool use_ref,
                              cyg_stepper **out_stepper)
{
    cyg_stepper *s = calloc(1, sizeof *s);
    if (s == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a program's steps");
    s->p = p;
    s->use_ref = use_ref;
    cyg_arena_init(&s->arena);
    s->prepared = CYG_NEW_ARRAY(&s->arena, void *, (size_t)p->step_count + 1);
    const cyg_status status =
        s->prepared == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a program's steps")
                            : cyg_execute_isa(ctx, &s->isa);
    if (status != CYG_OK) {
        cyg_stepper_destroy(s);
        return status;
    }
    *out_stepper = s;
    return CYG_OK;
}

void cyg_stepper_destroy(cyg_stepper *s)
{
    if (s == NULL)
        return;
    cyg_scratch_deinit(&s->scratch);
    cyg_arena_deinit(&s->arena);
    free(s);
}

static cyg_status prepare(cyg_ctx *ctx, cyg_stepper *s, uint32_t step, cyg_kcall *call)
{
    const cyg_kop_info *info = cyg_kop_info_of(call->op);
    if ((s->use_ref && info->ref != NULL) || info->prepare_size == NULL)
        return CYG_OK;
    const size_t bytes = info->prepare_size(call);
    if (s->prepared[step] == NULL && bytes > 0) {
        s->prepared[step] = cyg_arena_alloc(&s->arena, bytes, 64);
        if (s->prepared[step] == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for packed weights");
        info->prepare(call, s->prepared[step]);
    }
    call->prepared = s->prepared[step];
    return CYG_OK;
}

cyg_status cyg_stepper_run(cyg_ctx *ctx, cyg_stepper *s, uint32_t step, const cyg_kbuf *in,
                           const cyg_kbuf *out)
{
    const cyg_step *what = &s->p->steps[step];
    cyg_kcall call = {.op = what->op,
                      .in_count = what->in_count,
                      .out_count = what->out_count,
                      .in = in,
                      .out = out,
                      .params = what->params,
                      .isa = s->isa};
    cyg_status status = cyg_execute_check(ctx, &call, what->name);
    if (status == CYG_OK)
        status = prepare(ctx, s, step, &call);
    if (status == CYG_OK)
        status = cyg_execute(ctx, &call, s->use_ref, &s->scratch);
    return status == CYG_OK ? CYG_OK
                            : CYG_FAIL(ctx, status, "while running step \"%s\"", what->name);
}

/* ---- all of them ---- */

static cyg_status bind_tensor(program_run *r, uint32_t i)
{
    const cyg_tensor *t = &r->p->tensors[i];
    cyg_kbuf *b = &r->bufs[i];
    b->type = t->type;
    b->rank = t->rank;
    memcpy(b->dims, t->dims, sizeof b->dims);
    if (t->kind == CYG_TENSOR_CONST) {
        static const uint64_t empty[8];
        const void *data = t->data != NULL ? t->data : empty;
        memcpy(&b->data, &data, sizeof data);
        b->is_const = 1;
    } else if (t->kind == CYG_TENSOR_ALIAS) {
        b->data = NULL; /* bound when its source exists: sources may stand behind it in the list */
    } else if (t->kind != CYG_TENSOR_INPUT) {
        b->data = cyg_arena_alloc(r->arena, cyg_tensor_bytes(t) + 64, 64);
        if (b->data == NULL)
            return CYG_FAIL(r->ctx, CYG_E_NOMEM, "out of memory for tensor \"%s\"", t->name);
    }
    return CYG_OK;
}

static void *data_of(program_run *r, uint32_t tensor)
{
    uint32_t hops = 0;
    while (r->p->tensors[tensor].kind == CYG_TENSOR_ALIAS && hops++ < r->p->tensor_count)
        tensor = (uint32_t)r->p->tensors[tensor].offset;
    return r->bufs[tensor].data;
}

static cyg_status run_step(program_run *r, cyg_stepper *stepper, uint32_t step)
{
    const cyg_step *s = &r->p->steps[step];
    cyg_kbuf *in = CYG_NEW_ARRAY(r->arena, cyg_kbuf, s->in_count + 1);
    cyg_kbuf *out = CYG_NEW_ARRAY(r->arena, cyg_kbuf, s->out_count + 1);
    if (in == NULL || out == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < s->in_count; i++)
        if (s->in[i] != CYG_NO_TENSOR) {
            in[i] = r->bufs[s->in[i]];
            in[i].data = data_of(r, s->in[i]);
        }
    for (uint32_t i = 0; i < s->out_count; i++) {
        out[i] = r->bufs[s->out[i]];
        out[i].data = data_of(r, s->out[i]);
    }
    return cyg_stepper_run(r->ctx, stepper, step, in, out);
}

static cyg_status run_steps(program_run *r, bool use_ref, cyg_observer observer, void *user)
{
    cyg_stepper *stepper;
    CYG_DO(cyg_stepper_create(r->ctx, r->p, use_ref, &stepper));
    cyg_status status = CYG_OK;
    for (uint32_t i = 0; status == CYG_OK && i < r->p->step_count; i++) {
        const cyg_step *s = &r->p->steps[i];
        status = cyg_ctx_check_cancelled(r->ctx);
        if (status == CYG_OK)
            status = run_step(r, stepper, i);
        for (uint32_t k = 0; status == CYG_OK && observer != NULL && k < s->out_count; k++)
            status = observer(r->ctx, user, (cyg_value_id){s->out[k]}, &r->bufs[s->out[k]]);
    }
    cyg_stepper_destroy(stepper);
    return status;
}

/* The type and the number of elements; a shape of rank 0 in the descriptor is not looked at. */
static cyg_status check_input(cyg_ctx *ctx, const cyg_tensor *t, const cyg_kbuf *buf)
{
    int64_t count = 1;
    for (int i = 0; i < buf->rank; i++)
        count *= buf->dims[i];
    if (buf->type == t->type && (count == cyg_tensor_elements(t) || buf->rank == 0))
        return CYG_OK;
    return CYG_FAIL(
        ctx, CYG_E_GRAPH, "input \"%s\": expected %lld elements of type %d, found %lld of type %d",
        t->name, (long long)cyg_tensor_elements(t), (int)t->type, (long long)count, (int)buf->type);
}

cyg_status cyg_interp_run_program(cyg_ctx *ctx, const cyg_program *p, bool use_ref,
                                  const cyg_kbuf *inputs, uint32_t input_count,
                                  cyg_observer observer, void *user, cyg_arena *arena,
                                  cyg_kbuf *out_buffers)
{
    program_run r = {.ctx = ctx,
                     .p = p,
                     .arena = arena,
                     .bufs = CYG_NEW_ARRAY(arena, cyg_kbuf, p->tensor_count + 1)};
    if (r.bufs == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (input_count != p->input_count)
        return CYG_FAIL(ctx, CYG_E_GRAPH, "expected %u inputs, found %u", p->input_count,
                        input_count);
    for (uint32_t i = 0; i < input_count; i++)
        CYG_DO(check_input(ctx, &p->tensors[p->inputs[i]], &inputs[i]));
    for (uint32_t i = 0; i < p->tensor_count; i++)
        CYG_DO(bind_tensor(&r, i));
    for (uint32_t i = 0; i < input_count; i++)
        r.bufs[p->inputs[i]].data = inputs[i].data;
    CYG_DO(run_steps(&r, use_ref, observer, user));
    for (uint32_t i = 0; i < p->output_count; i++) {
        out_buffers[i] = r.bufs[p->outputs[i]];
        out_buffers[i].data = data_of(&r, p->outputs[i]);
    }
    return CYG_OK;
}

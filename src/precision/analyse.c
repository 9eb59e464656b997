/* The two runs in lock step. The float interpreter leads: each value that a step of the program
 * will want is copied when it is computed, and steps run as soon as all of theirs are there. What
 * nobody wants any more is freed at once, so memory is that of two runs, whatever the depth. */
#include <string.h>

#include "base/cpu.h"
#include "interp/buffers.h"
#include "interp/interp.h"
#include "kernels/call.h"
#include "precision/judge.h"
#include "precision/measure.h"
#include "precision/reference.h"

/* Bytes with the number of readers to come. */
typedef struct held {
    void *data;
    uint32_t wanted, left;
} held;

typedef struct analysis {
    cyg_ctx *ctx;
    const cyg_kernels *isa;
    const cyg_graph *reference, *g;
    const cyg_program *p;
    cyg_arena *arena;
    cyg_stepper *stepper;
    const cyg_value_id *of; /* by tensor: its float value */
    held *floats;           /* by value of reference */
    held *run;              /* by tensor that owns bytes */
    cyg_coding *coding;     /* by tensor with a float value */
    size_t *row_of;         /* by tensor; SIZE_MAX = none */
    cyg_measure *measures;  /* by row */
    cyg_precision *result;
    cyg_kbuf *in, *out; /* operands of one step */
    void **made;        /* buffers made for one step */
    size_t made_count;
    uint32_t next; /* step */
    cyg_buffers buffers;
} analysis;

static cyg_status nomem(const analysis *a)
{
    return CYG_FAIL(a->ctx, CYG_E_NOMEM, "out of memory for the precision analysis");
}

static void let_go(analysis *a, held *h)
{
    if (h->left > 0 && --h->left == 0) {
        cyg_buffers_put(&a->buffers, h->data);
        h->data = NULL;
    }
}

static bool is_const(const analysis *a, uint32_t t)
{
    return a->p->tensors[cyg_precision_owner(a->p, t)].kind == CYG_TENSOR_CONST;
}

/* ---- what there is to do ---- */

static cyg_status add_row(analysis *a, uint32_t step, uint32_t t)
{
    cyg_precision *r = a->result;
    if (cyg_value_is_none(a->of[t]) || a->row_of[t] != SIZE_MAX)
        return CYG_OK;
    cyg_measure *m = &a->measures[r->row_count];
    if (!cyg_measure_init(m, &a->coding[t], a->arena))
        return nomem(a);
    r->rows[r->row_count] = (cyg_precision_row){.step = step, .tensor = t};
    a->row_of[t] = r->row_count++;
    return CYG_OK;
}

static cyg_status plan(analysis *a, cyg_value_id *of)
{
    const cyg_program *p = a->p;
    size_t outputs = 0;
    for (uint32_t i = 0; i < p->step_count; i++)
        outputs += p->steps[i].out_count;
    a->floats = CYG_NEW_ARRAY(a->arena, held, (size_t)a->reference->value_count + 1);
    a->run = CYG_NEW_ARRAY(a->arena, held, (size_t)p->tensor_count + 1);
    a->coding = CYG_NEW_ARRAY(a->arena, cyg_coding, (size_t)p->tensor_count + 1);
    a->row_of = CYG_NEW_ARRAY(a->arena, size_t, (size_t)p->tensor_count + 1);
    a->measures = CYG_NEW_ARRAY(a->arena, cyg_measure, outputs + 1);
    a->result->rows = CYG_NEW_ARRAY(a->arena, cyg_precision_row, outputs + 1);
    if (a->floats == NULL || a->run == NULL || a->coding == NULL || a->row_of == NULL ||
        a->measures == NULL || a->result->rows == NULL)
        return nomem(a);
    for (uint32_t t = 0; t < p->tensor_count; t++) {
        a->row_of[t] = SIZE_MAX;
        if (!cyg_value_is_none(of[t]) &&
            !cyg_coding_of(cyg_val(a->g, (cyg_value_id){p->tensors[t].value}), a->arena,
                           &a->coding[t]))
            of[t] = CYG_NO_VALUE;
    }
    a->of = of;
    uint32_t widest = 1;
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_step *s = &p->steps[i];
        const uint32_t operands = s->in_count + s->out_count;
        widest = operands > widest ? operands : widest;
        for (uint32_t k = 0; k < operands; k++) {
            const uint32_t t = k < s->in_count ? s->in[k] : s->out[k - s->in_count];
            if (t == CYG_NO_TENSOR || is_const(a, t))
                continue;
            a->run[cyg_precision_owner(p, t)].wanted++;
            if (!cyg_value_is_none(of[t]))
                a->floats[of[t].i].wanted++;
        }
        for (uint32_t k = 0; k < s->out_count; k++)
            CYG_DO(add_row(a, i, s->out[k]));
    }
    a->in = CYG_NEW_ARRAY(a->arena, cyg_kbuf, widest + 1);
    a->out = CYG_NEW_ARRAY(a->arena, cyg_kbuf, widest + 1);
    a->made = CYG_NEW_ARRAY(a->arena, void *, 2 * (size_t)widest + 1);
    return a->in == NULL || a->out == NULL || a->made == NULL ? nomem(a) : CYG_OK;
}

/* ---- one step ---- */

static cyg_kbuf describe(const cyg_tensor *t, const void *data, bool constant)
{
    cyg_kbuf b = {.type = t->type, .rank = t->rank, .is_const = constant};
    memcpy(b.dims, t->dims, sizeof b.dims);
    memcpy(&b.data, &data, sizeof data); /* operands are only read */
    return b;
}

/* Operand t as the program runs. */
static cyg_kbuf as_run(const analysis *a, uint32_t t)
{
    static const uint64_t empty[8];
    if (t == CYG_NO_TENSOR)
        return (cyg_kbuf){0};
    const cyg_tensor *own = &a->p->tensors[cyg_precision_owner(a->p, t)];
    if (own->kind == CYG_TENSOR_CONST)
        return describe(&a->p->tensors[t], own->data != NULL ? own->data : empty, true);
    return describe(&a->p->tensors[t], a->run[cyg_precision_owner(a->p, t)].data, false);
}

static cyg_status make(analysis *a, size_t bytes, void **out)
{
    *out = cyg_buffers_get(&a->buffers, bytes);
    if (*out == NULL)
        return nomem(a);
    a->made[a->made_count++] = *out;
    return CYG_OK;
}

/* Operand t holding its float value in its own integers. */
static cyg_status as_float(analysis *a, uint32_t t, cyg_kbuf *out)
{
    *out = as_run(a, t);
    if (t == CYG_NO_TENSOR || is_const(a, t) || cyg_value_is_none(a->of[t]))
        return CYG_OK;
    const cyg_tensor *tensor = &a->p->tensors[t];
    out->data = a->floats[a->of[t].i].data;
    if (a->coding[t].type == CYG_TYPE_F32)
        return CYG_OK;
    void *codes;
    CYG_DO(make(a, cyg_tensor_bytes(tensor), &codes));
    cyg_coding_store(a->isa, a->ctx->pool, &a->coding[t], out->data, cyg_tensor_elements(tensor),
                     codes);
    out->data = codes;
    return CYG_OK;
}

static cyg_status run_program(analysis *a, const cyg_step *s)
{
    for (uint32_t k = 0; k < s->in_count; k++)
        a->in[k] = as_run(a, s->in[k]);
    for (uint32_t k = 0; k < s->out_count; k++) {
        const uint32_t t = cyg_precision_owner(a->p, s->out[k]);
        if (a->run[t].data == NULL)
            a->run[t].data = cyg_buffers_get(&a->buffers, cyg_tensor_bytes(&a->p->tensors[t]));
        if (a->run[t].data == NULL)
            return nomem(a);
        a->out[k] = as_run(a, s->out[k]);
    }
    return cyg_stepper_run(a->ctx, a->stepper, a->next, a->in, a->out);
}

static cyg_status run_alone(analysis *a, const cyg_step *s)
{
    for (uint32_t k = 0; k < s->in_count; k++)
        CYG_DO(as_float(a, s->in[k], &a->in[k]));
    for (uint32_t k = 0; k < s->out_count; k++) {
        a->out[k] = as_run(a, s->out[k]);
        CYG_DO(make(a, cyg_tensor_bytes(&a->p->tensors[s->out[k]]), &a->out[k].data));
    }
    return cyg_stepper_run(a->ctx, a->stepper, a->next, a->in, a->out);
}

static void compare(analysis *a, const cyg_step *s)
{
    for (uint32_t k = 0; k < s->out_count; k++) {
        const uint32_t t = s->out[k];
        if (a->row_of[t] == SIZE_MAX)
            continue;
        cyg_measure *m = &a->measures[a->row_of[t]];
        const float *x = a->floats[a->of[t].i].data;
        const int64_t count = cyg_tensor_elements(&a->p->tensors[t]);
        cyg_measure_sample(a->isa, a->ctx->pool, m, x, as_run(a, t).data, a->out[k].data, count);
    }
}

static cyg_status do_step(analysis *a)
{
    const cyg_step *s = &a->p->steps[a->next];
    cyg_status status = run_program(a, s);
    a->made_count = 0;
    if (status == CYG_OK)
        status = run_alone(a, s);
    if (status == CYG_OK)
        compare(a, s);
    while (a->made_count > 0)
        cyg_buffers_put(&a->buffers, a->made[--a->made_count]);
    for (uint32_t k = 0; k < s->in_count + s->out_count; k++) {
        const uint32_t t = k < s->in_count ? s->in[k] : s->out[k - s->in_count];
        if (t == CYG_NO_TENSOR || is_const(a, t))
            continue;
        let_go(a, &a->run[cyg_precision_owner(a->p, t)]);
        if (!cyg_value_is_none(a->of[t]))
            let_go(a, &a->floats[a->of[t].i]);
    }
    return status;
}

/* ---- a sample ---- */

static bool ready(const analysis *a)
{
    const cyg_step *s = &a->p->steps[a->next];
    for (uint32_t k = 0; k < s->in_count + s->out_count; k++) {
        const uint32_t t = k < s->in_count ? s->in[k] : s->out[k - s->in_count];
        if (t != CYG_NO_TENSOR && !is_const(a, t) && !cyg_value_is_none(a->of[t]) &&
            a->floats[a->of[t].i].data == NULL)
            return false;
    }
    return true;
}

typedef struct copying {
    const char *from;
    char *to;
} copying;

static void copy_part(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const copying *job = arg;
    (void)worker;
    memcpy(job->to + begin, job->from + begin, (size_t)(end - begin));
}

static cyg_status observe(cyg_ctx *ctx, void *user, cyg_value_id v, const cyg_kbuf *buf)
{
    enum { PART = 1 << 16 }; /* bytes */
    analysis *a = user;
    held *h = &a->floats[v.i];
    if (h->left > 0 && h->data == NULL) {
        const size_t bytes = (size_t)cyg_value_elements(cyg_val(a->reference, v)) * sizeof(float);
        h->data = cyg_buffers_get(&a->buffers, bytes);
        if (h->data == NULL)
            return nomem(a);
        copying job = {buf->data, h->data};
        cyg_pool_for(bytes > PART ? ctx->pool : NULL, (int64_t)bytes, PART, copy_part, &job);
    }
    for (; a->next < a->p->step_count && ready(a); a->next++)
        CYG_DO(do_step(a));
    return CYG_OK;
}

static void forget(analysis *a)
{
    for (uint32_t v = 0; a->floats != NULL && v < a->reference->value_count; v++) {
        cyg_buffers_put(&a->buffers, a->floats[v].data);
        a->floats[v] = (held){.wanted = a->floats[v].wanted, .left = a->floats[v].wanted};
    }
    for (uint32_t t = 0; a->run != NULL && t < a->p->tensor_count; t++) {
        cyg_buffers_put(&a->buffers, a->run[t].data);
        a->run[t] = (held){.wanted = a->run[t].wanted, .left = a->run[t].wanted};
    }
}

static cyg_status run_sample(analysis *a, cyg_interp *interp, const cyg_precision_source *samples,
                             size_t i)
{
    const cyg_program *p = a->p;
    cyg_kbuf *floats = CYG_NEW_ARRAY(a->arena, cyg_kbuf, a->reference->input_count + 1);
    cyg_kbuf *fed = CYG_NEW_ARRAY(a->arena, cyg_kbuf, p->input_count + 1);
    if (floats == NULL || fed == NULL)
        return nomem(a);
    forget(a);
    a->next = 0;
    for (uint32_t k = 0; k < p->input_count; k++) {
        const cyg_tensor *t = &p->tensors[p->inputs[k]];
        a->run[p->inputs[k]].data = cyg_buffers_get(&a->buffers, cyg_tensor_bytes(t));
        if (a->run[p->inputs[k]].data == NULL)
            return nomem(a);
        fed[k] = describe(t, a->run[p->inputs[k]].data, false);
    }
    CYG_DO(samples->get(a->ctx, samples->self, i, floats, fed));
    CYG_DO(cyg_interp_run(a->ctx, interp, floats, a->reference->input_count));
    if (a->next < p->step_count)
        return CYG_FAIL(a->ctx, CYG_E_INTERNAL, "step \"%s\" was not analysed",
                        p->steps[a->next].name);
    return CYG_OK;
}

static cyg_status run_samples(analysis *a, cyg_graph *reference,
                              const cyg_precision_source *samples)
{
    const cyg_interp_options options = {.observer = observe, .user = a, .lean = true};
    cyg_interp *interp;
    CYG_DO(cyg_interp_create(a->ctx, reference, &options, &interp));
    cyg_status status = CYG_OK;
    for (size_t i = 0; status == CYG_OK && i < samples->count; i++) {
        cyg_progress(a->ctx, "analyse", (int64_t)i, (int64_t)samples->count);
        status = run_sample(a, interp, samples, i);
    }
    if (status == CYG_OK)
        cyg_progress(a->ctx, "analyse", (int64_t)samples->count, (int64_t)samples->count);
    cyg_interp_destroy(interp);
    return status;
}

cyg_status cyg_precision_analyse(cyg_ctx *ctx, cyg_graph *reference, const cyg_graph *quantised,
                                 const cyg_program *p, const cyg_precision_source *samples,
                                 bool use_ref, cyg_arena *arena, cyg_precision *out_precision)
{
    cyg_arena scratch;
    cyg_value_id *of = NULL;
    cyg_arena_init(&scratch);
    *out_precision = (cyg_precision){.samples = samples->count};
    analysis a = {.ctx = ctx,
                  .reference = reference,
                  .g = quantised,
                  .p = p,
                  .arena = &scratch,
                  .result = out_precision};
    cyg_cpu_level_id level;
    cyg_status status = cyg_cpu_level(ctx, &level);
    if (status == CYG_OK)
        a.isa = cyg_kernels_for((int)level);
    if (status == CYG_OK)
        status = cyg_precision_reference(ctx, reference, quantised, p, &scratch, &of);
    if (status == CYG_OK)
        status = cyg_stepper_create(ctx, p, use_ref, &a.stepper);
    if (status == CYG_OK)
        status = plan(&a, of);
    if (status == CYG_OK)
        status = run_samples(&a, reference, samples);
    if (status == CYG_OK) {
        for (size_t i = 0; i < out_precision->row_count; i++)
            cyg_measure_finish(&a.measures[i], &out_precision->rows[i]);
        out_precision->rows =
            cyg_arena_memdup(arena, out_precision->rows,
                             (out_precision->row_count + 1) * sizeof *out_precision->rows);
        if (out_precision->rows == NULL)
            status = nomem(&a);
        else
            cyg_precision_judge(p, a.row_of, out_precision);
    }
    if (status == CYG_OK)
        status = cyg_precision_weights(ctx, reference, p, arena, out_precision);
    forget(&a);
    cyg_buffers_deinit(&a.buffers);
    cyg_stepper_destroy(a.stepper);
    cyg_arena_deinit(&scratch);
    return status;
}

/* The numeric check: one random input through the graph before and after.
 *
 * Inputs are made by a fixed generator (same graph, same input): floats of mean 0 and unit
 * variance, about what a normalised image is; integers small and non-negative. Symbolic dimensions
 * get the sizes of the options: the same for the original and for what is held against it. Outputs
 * are compared element by element against the range of the original output; reassociation in float
 * moves them by some 1e-6 of it, a wrong rewrite by far more than the tolerance. */
#include "pass/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

struct cyg_check {
    cyg_arena arena;
    cyg_check_options options;
    cyg_kbuf *inputs, *outputs;
    uint32_t input_count, output_count;
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Sum of four uniform numbers: mean 0, variance 1. */
static float random_float(uint64_t *state)
{
    const uint64_t r = next_random(state);
    int32_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (int32_t)((r >> (16 * i)) & 0xffff) - 32768;
    return (float)sum * (float)(1.7320508 / 2.0 / 32768.0);
}

static cyg_status make_input(cyg_ctx *ctx, cyg_check *c, const cyg_value *v, uint64_t *state,
                             cyg_kbuf *out)
{
    *out = (cyg_kbuf){.type = (int32_t)v->type, .rank = v->rank};
    if (v->rank == CYG_RANK_UNKNOWN)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "input %s: its rank is not known", v->name);
    int64_t count = 1;
    for (unsigned i = 0; i < v->rank; i++) {
        out->dims[i] = v->dims[i] >= 0 ? v->dims[i] : i == 0 ? c->options.batch : c->options.size;
        if (out->dims[i] != 0 && count > ((int64_t)1 << 31) / out->dims[i])
            return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "input %s: too large to check", v->name);
        count *= out->dims[i];
    }
    const size_t size = cyg_type_size(v->type);
    out->data = cyg_arena_zalloc(&c->arena, (size_t)count * size + 64, 64);
    if (out->data == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        if (v->type == CYG_TYPE_F32)
            ((float *)out->data)[i] = random_float(state);
        else if (v->type == CYG_TYPE_S64)
            ((int64_t *)out->data)[i] = (int64_t)(next_random(state) & 1);
        else if (v->type == CYG_TYPE_S32)
            ((int32_t *)out->data)[i] = (int32_t)(next_random(state) & 1);
        else if (size == 1)
            ((uint8_t *)out->data)[i] = (uint8_t)(next_random(state) & 1);
    }
    return CYG_OK;
}

static int64_t elements(const cyg_kbuf *b)
{
    int64_t n = 1;
    for (int32_t i = 0; i < b->rank; i++)
        n *= b->dims[i];
    return n;
}

/* All NaN is all NaN afterwards, whatever a pass did. */
static bool says_something(const cyg_kbuf *b)
{
    const int64_t count = elements(b);
    bool finite = count == 0 || b->type != CYG_TYPE_F32;
    for (int64_t i = 0; i < count && !finite; i++)
        finite = isfinite(cyg_float_at(b->data, i));
    return finite;
}

static cyg_status keep(cyg_ctx *ctx, cyg_check *c, const cyg_kbuf *from, const char *name,
                       cyg_kbuf *out)
{
    if (from == NULL)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "output %s: not computed", name);
    if (!says_something(from))
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "output %s has no finite number, which would prove nothing", name);
    *out = *from;
    out->data = cyg_arena_memdup(&c->arena, from->data,
                                 (size_t)elements(from) * cyg_type_size((cyg_type)from->type));
    return out->data == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
}

cyg_status cyg_check_create(cyg_ctx *ctx, cyg_graph *original, const cyg_check_options *options,
                            cyg_check **out_check)
{
    cyg_interp *interp = NULL;
    uint64_t state = 1;
    cyg_check *c = calloc(1, sizeof *c);
    if (c == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_arena_init(&c->arena);
    if (options != NULL)
        c->options = *options;
    c->options.batch = c->options.batch > 0 ? c->options.batch : 1;
    c->options.size = c->options.size > 0 ? c->options.size : 1;
    c->options.tolerance = c->options.tolerance > 0 ? c->options.tolerance : CYG_CHECK_TOLERANCE;
    c->input_count = original->input_count;
    c->output_count = original->output_count;
    c->inputs = CYG_NEW_ARRAY(&c->arena, cyg_kbuf, c->input_count + 1);
    c->outputs = CYG_NEW_ARRAY(&c->arena, cyg_kbuf, c->output_count + 1);
    cyg_status status = c->inputs == NULL || c->outputs == NULL
                            ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                            : CYG_OK;
    for (uint32_t i = 0; status == CYG_OK && i < c->input_count; i++) {
        const cyg_value *v = cyg_val(original, original->inputs[i]);
        status = c->options.inputs != NULL
                     ? keep(ctx, c, &c->options.inputs[i], v->name, &c->inputs[i])
                     : make_input(ctx, c, v, &state, &c->inputs[i]);
    }
    if (status == CYG_OK)
        status = cyg_interp_create(ctx, original, &(cyg_interp_options){.once = original->alone},
                                   &interp);
    if (status == CYG_OK)
        status = cyg_interp_run(ctx, interp, c->inputs, c->input_count);
    for (uint32_t i = 0; status == CYG_OK && i < c->output_count; i++)
        status = keep(ctx, c, cyg_interp_value(interp, original->outputs[i]),
                      cyg_val(original, original->outputs[i])->name, &c->outputs[i]);
    cyg_interp_destroy(interp);
    if (status != CYG_OK) {
        cyg_check_destroy(c);
        return status;
    }
    *out_check = c;
    return CYG_OK;
}

const cyg_kbuf *cyg_check_output(const cyg_check *c, uint32_t i)
{
    return &c->outputs[i];
}

int64_t cyg_check_batch(const cyg_check *c)
{
    return c->options.batch;
}

void cyg_check_destroy(cyg_check *c)
{
    if (c == NULL)
        return;
    cyg_arena_deinit(&c->arena);
    free(c);
}

static bool same_shape(const cyg_kbuf *a, const cyg_kbuf *b)
{
    return a->type == b->type && a->rank == b->rank &&
           memcmp(a->dims, b->dims, sizeof a->dims[0] * (size_t)a->rank) == 0;
}

/* Two infinities or two NaNs are the same; a NaN against a number is infinitely far. */
static double distance(float a, float b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return 0;
    const double d = fabs((double)a - (double)b);
    return isnan(d) ? HUGE_VAL : d;
}

static cyg_status compare_output(cyg_ctx *ctx, const cyg_check *c, const cyg_kbuf *want,
                                 const cyg_kbuf *got, const char *name, cyg_difference *io)
{
    const int64_t count = elements(want);
    if (got == NULL || !same_shape(want, got))
        return CYG_FAIL(ctx, CYG_E_CHECK, "output %s: its type or shape changed", name);
    if (want->type != CYG_TYPE_F32)
        return memcmp(want->data, got->data, (size_t)count * cyg_type_size((cyg_type)want->type)) ==
                       0
                   ? CYG_OK
                   : CYG_FAIL(ctx, CYG_E_CHECK, "output %s: values changed", name);
    const float *a = want->data;
    double lo = 0, hi = 0, worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        lo = (double)a[i] < lo ? (double)a[i] : lo;
        hi = (double)a[i] > hi ? (double)a[i] : hi;
        const double d = distance(a[i], cyg_float_at(got->data, i));
        if (d > worst) {
            worst = d;
            at = i;
        }
    }
    const double relative = worst == 0 ? 0 : worst / (hi > lo && isfinite(hi - lo) ? hi - lo : 1.0);
    io->absolute = worst > io->absolute ? worst : io->absolute;
    io->relative = relative > io->relative ? relative : io->relative;
    if (relative > c->options.tolerance)
        return CYG_FAIL(ctx, CYG_E_CHECK,
                        "output %s, element %lld: expected %g, found %g: a difference of %.1e of "
                        "the range, %g is allowed",
                        name, (long long)at, (double)a[at], (double)cyg_float_at(got->data, at),
                        relative, c->options.tolerance);
    return CYG_OK;
}

cyg_status cyg_check_compare(cyg_ctx *ctx, const cyg_check *c, cyg_graph *g,
                             cyg_difference *io_difference)
{
    cyg_interp *interp = NULL;
    if (g->input_count != c->input_count || g->output_count != c->output_count)
        return CYG_FAIL(ctx, CYG_E_CHECK, "expected %u inputs and %u outputs, found %u and %u",
                        c->input_count, c->output_count, g->input_count, g->output_count);
    cyg_status status = cyg_interp_create(ctx, g, &(cyg_interp_options){.once = g->alone}, &interp);
    if (status == CYG_OK)
        status = cyg_interp_run(ctx, interp, c->inputs, c->input_count);
    for (uint32_t i = 0; status == CYG_OK && i < c->output_count; i++)
        status = compare_output(ctx, c, &c->outputs[i], cyg_interp_value(interp, g->outputs[i]),
                                cyg_val(g, g->outputs[i])->name, io_difference);
    cyg_interp_destroy(interp);
    return status;
}

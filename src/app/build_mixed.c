/* Automatic mixed precision: the cheapest set of steps at 16 bits that reaches a target at the
 * model's output.
 *
 * Each step is raised alone, and what that takes off the noise at the output is measured on some
 * calibration samples: noises of different steps are nearly independent, so they add up. Steps go
 * up in the order of noise removed a bit operation added. How many of them it takes is first
 * reckoned from the sum of their gains, then measured on all samples, and narrowed down by halving.
 * The result is a list of layer_configs entries, and the model is quantised with these from scratch
 * and measured once more, so that a build with the entries alone gives the same package. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/build_mixed.h"

enum { SENSITIVITY_SAMPLES = 4, MORE_TRIES = 6 };

typedef struct search {
    cyg_build *b;
    cyg_build_mixed *m;
    const cyg_quant_options *options;
    cyg_quant_study *study;
    cyg_build_trial trial;
    cyg_asked *asked; /* by node: of a trial */
    size_t nodes;
} search;

/* ---- measuring ---- */

static void start(search *s)
{
    if (s->options->asked != NULL)
        memcpy(s->asked, s->options->asked, s->nodes * sizeof *s->asked);
    else
        memset(s->asked, 0, s->nodes * sizeof *s->asked);
}

static void raise_step(search *s, const cyg_mixed_step *step)
{
    cyg_asked *a = &s->asked[step->node.i];
    a->data = CYG_TYPE_S16;
    a->e_bits = 16; /* read by attention alone */
    if (step->wide_weights)
        a->weight = CYG_TYPE_S16;
}

static void wishes(search *s, size_t raised)
{
    start(s);
    for (size_t i = 0; i < raised; i++)
        raise_step(s, &s->m->steps[i]);
}

/* Everything at 16 bits; but of `low`, inputs and weights at 8, or with keep_inputs the weights
 * alone. */
static void wishes_but(search *s, const cyg_mixed_step *low, bool keep_inputs)
{
    wishes(s, s->m->count);
    if (low == NULL)
        return;
    cyg_asked *a = &s->asked[low->node.i];
    *a = s->options->asked != NULL ? s->options->asked[low->node.i] : (cyg_asked){0};
    if (keep_inputs)
        a->data = CYG_TYPE_S16;
}

static cyg_status try_wishes(search *s, size_t samples, cyg_similarity *out)
{
    cyg_graph *g = NULL;
    CYG_DO(cyg_quant_study_try(&s->b->app->ctx, s->study, s->asked, &g));
    const cyg_status status = cyg_build_trial_measure(&s->trial, g, samples, out);
    cyg_graph_destroy(g);
    return status;
}

static double value_of(const search *s, const cyg_mixed_point *p)
{
    return strcmp(s->m->metric, "sqnr_db") == 0  ? p->sqnr_db
           : strcmp(s->m->metric, "cosine") == 0 ? p->cosine
                                                 : p->agreement;
}

static bool reached(const search *s, const cyg_mixed_point *p)
{
    return value_of(s, p) >= s->m->target;
}

static cyg_mixed_point point_of(const search *s, size_t raised, const cyg_similarity *x, bool whole)
{
    cyg_mixed_point p = {.raised = raised,
                         .sqnr_db = cyg_similarity_sqnr_db(x),
                         .cosine = cyg_similarity_cosine(x),
                         .agreement = cyg_similarity_agreement(x),
                         .whole = whole};
    for (size_t i = 0; i < raised; i++)
        p.cost += s->m->steps[i].cost;
    return p;
}

static void tell(search *s, const cyg_mixed_point *p)
{
    cyg_build_mixed *m = s->m;
    if (m->point_count < CYG_MIXED_POINTS)
        m->points[m->point_count++] = *p;
    cyg_app_print(s->b->app,
                  "  mixed       %3zu of %zu steps at 16 bits: +%.1f %% bit operations, SQNR %.1f "
                  "dB, cosine %.4f, same top-1 %.1f %%%s\n",
                  p->raised, m->count, 100.0 * p->cost, p->sqnr_db, p->cosine, 100.0 * p->agreement,
                  p->whole ? ", quantised anew" : "");
}

static cyg_status measure(search *s, size_t raised, cyg_mixed_point *out)
{
    cyg_similarity x;
    wishes(s, raised);
    CYG_DO(try_wishes(s, 0, &x));
    *out = point_of(s, raised, &x, false);
    tell(s, out);
    return CYG_OK;
}

/* ---- steps and their sensitivity ---- */

/* Products of 8-bit numbers that a step makes; twice for attention. */
static int64_t products_of(const cyg_graph *g, const cyg_node *n)
{
    const cyg_value *y = cyg_val(g, n->out[0]);
    if (n->op == CYG_OP_attention)
        return 2 * cyg_value_elements(y) * cyg_node_int(n, CYG_ATTR_tokens, 1);
    if (n->op != CYG_OP_linear && n->op != CYG_OP_conv2d)
        return 0;
    const cyg_value *w = cyg_val(g, n->in[1]);
    return w->dims[0] > 0 ? cyg_value_elements(y) * (cyg_value_elements(w) / w->dims[0]) : 0;
}

static bool is_free(const search *s, cyg_node_id id)
{
    if (s->options->asked == NULL)
        return true;
    const cyg_asked *a = &s->options->asked[id.i];
    return a->data == CYG_TYPE_NONE && a->value == CYG_TYPE_NONE && a->output == CYG_TYPE_NONE &&
           a->weight == CYG_TYPE_NONE && !a->s4 && a->e_bits == 0;
}

/* Every product that no entry of layer_configs speaks of: with 16-bit inputs, and linears and
 * convolutions with 16-bit weights besides. */
static cyg_status list_steps(search *s)
{
    const cyg_graph *g = s->b->graph;
    double all = 0.0;
    s->m->steps = CYG_NEW_ARRAY(&s->b->app->arena, cyg_mixed_step, 2 * (size_t)g->order_count + 1);
    if (s->m->steps == NULL)
        return CYG_FAIL(&s->b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->order_count; i++)
        all += 64.0 * (double)products_of(g, cyg_nod(g, g->order[i]));
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        const double products = (double)products_of(g, n);
        if (!(products > 0.0) || !is_free(s, g->order[i]))
            continue;
        const bool attention = n->op == CYG_OP_attention;
        cyg_mixed_step step = {.node = g->order[i],
                               .name = n->name,
                               .kind = cyg_op_schema_of(n->op)->onnx,
                               .cost = products * (attention ? 256.0 - 64.0 : 128.0 - 64.0) / all};
        s->m->steps[s->m->count++] = step;
        step.wide_weights = true;
        step.cost = products * (256.0 - 64.0) / all;
        if (!attention)
            s->m->steps[s->m->count++] = step;
    }
    return CYG_OK;
}

static double noise_of(const cyg_similarity *x)
{
    return x->signal > 0.0 ? x->noise / x->signal : 0.0;
}

/* gain: the noise that 8 bits make there, less what the step leaves of it. */
static cyg_status measure_sensitivity(search *s, double *out_noise)
{
    cyg_ctx *ctx = &s->b->app->ctx;
    cyg_similarity x;
    double alone = 0.0; /* of the node at 8 bits */
    wishes(s, 0);
    CYG_DO(try_wishes(s, SENSITIVITY_SAMPLES, &x));
    *out_noise = noise_of(&x);
    s->m->samples = x.rows;
    wishes_but(s, NULL, false);
    CYG_DO(try_wishes(s, SENSITIVITY_SAMPLES, &x));
    const double least = noise_of(&x);
    for (size_t i = 0; i < s->m->count; i++) {
        cyg_mixed_step *step = &s->m->steps[i];
        cyg_progress(ctx, "mixed", (int64_t)i, (int64_t)s->m->count);
        if (i == 0 || step->node.i != s->m->steps[i - 1].node.i) {
            wishes_but(s, step, false);
            CYG_DO(try_wishes(s, SENSITIVITY_SAMPLES, &x));
            alone = noise_of(&x);
        }
        double left = least;
        if (!step->wide_weights && cyg_nod(s->b->graph, step->node)->op != CYG_OP_attention) {
            wishes_but(s, step, true);
            CYG_DO(try_wishes(s, SENSITIVITY_SAMPLES, &x));
            left = noise_of(&x);
        }
        step->gain = *out_noise > 0.0 ? (alone - left) / *out_noise : 0.0;
    }
    cyg_progress(ctx, "mixed", (int64_t)s->m->count, (int64_t)s->m->count);
    return CYG_OK;
}

/* ---- the order ---- */

static double ratio(double gain, double cost)
{
    return gain / (cost > 1e-12 ? cost : 1e-12);
}

/* The most gain for the cost first; of equal ones the earlier step. */
static int by_ratio(const void *a, const void *b)
{
    const cyg_mixed_step *x = a, *y = b;
    const double rx = ratio(x->gain, x->cost), ry = ratio(y->gain, y->cost);
    return rx > ry                  ? -1
           : rx < ry                ? 1
           : x->node.i != y->node.i ? (x->node.i < y->node.i ? -1 : 1)
                                    : (int)x->wide_weights - (int)y->wide_weights;
}

/* Two steps of one node (inputs; weights as well) become increments: first the inputs, then what
 * the weights add to that; or one step, where the second increment is worth more than the first or
 * the first nothing. What gains nothing stays at 8 bits. */
static void order_steps(search *s)
{
    cyg_build_mixed *m = s->m;
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++) {
        cyg_mixed_step now = m->steps[i];
        const bool pair = i + 1 < m->count && m->steps[i + 1].node.i == now.node.i;
        if (!pair) {
            if (now.gain > 0.0)
                m->steps[kept++] = now;
            continue;
        }
        cyg_mixed_step both = m->steps[++i];
        const double more = both.gain - now.gain, cost = both.cost - now.cost;
        const bool split = now.gain > 0.0 && ratio(more, cost) < ratio(now.gain, now.cost);
        if (split) {
            m->steps[kept++] = now;
            both.gain = more;
            both.cost = cost;
        }
        if (both.gain > 0.0)
            m->steps[kept++] = both;
    }
    m->count = kept;
    qsort(m->steps, m->count, sizeof *m->steps, by_ratio);
}

/* ---- how many ---- */

/* Of the noise at 8 bits, what the target leaves; a guess for agreement. */
static double share_left(const search *s, double noise)
{
    const double target = s->m->target;
    if (!(noise > 0.0))
        return 1.0;
    if (strcmp(s->m->metric, "sqnr_db") == 0)
        return pow(10.0, -target / 10.0) / noise;
    if (strcmp(s->m->metric, "cosine") == 0)
        return (1.0 / (target * target) - 1.0) / noise;
    return 0.5;
}

static size_t reckon(const search *s, double noise)
{
    double left = 1.0;
    size_t k = 0;
    while (k < s->m->count && left > share_left(s, noise))
        left -= s->m->steps[k++].gain;
    return k > 0 ? k : 1;
}

/* The least prefix of the order that reaches the target by trials: *out_raised; above the number of
 * steps when there is none. */
static cyg_status narrow_down(search *s, double noise, size_t *out_raised)
{
    const size_t count = s->m->count;
    cyg_mixed_point p;
    size_t below = 0, above = count + 1;
    for (size_t k = count > 0 ? reckon(s, noise) : 0; count > 0 && above > count;) {
        CYG_DO(measure(s, k, &p));
        if (reached(s, &p)) {
            above = k;
        } else {
            below = k;
            if (k == count)
                break;
            k = k + 1 + k / 4 < count ? k + 1 + k / 4 : count;
        }
    }
    while (above <= count && above - below > 1) {
        const size_t k = below + (above - below) / 2;
        CYG_DO(measure(s, k, &p));
        if (reached(s, &p))
            above = k;
        else
            below = k;
    }
    *out_raised = above;
    return CYG_OK;
}

/* ---- the result, quantised from scratch ---- */

static cyg_status quantise_anew(search *s, size_t raised, cyg_graph **out_g, cyg_mixed_point *out)
{
    cyg_build *b = s->b;
    cyg_ctx *ctx = &b->app->ctx;
    cyg_quant_options options = *s->options;
    cyg_similarity x = {0};
    CYG_DO(cyg_mixed_configure(b, raised));
    options.asked = b->asked;
    b->golden.samples = 0;
    cyg_graph *g = cyg_graph_clone(b->graph);
    if (g == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_status status = cyg_quantise(ctx, g, &b->samples, &options, &b->quantised);
    cyg_graph *copy = status == CYG_OK ? cyg_graph_clone(g) : NULL;
    if (status == CYG_OK && copy == NULL)
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (status == CYG_OK)
        status = cyg_build_trial_measure(&s->trial, copy, 0, &x);
    cyg_graph_destroy(copy);
    if (status != CYG_OK) {
        cyg_graph_destroy(g);
        return status;
    }
    *out = point_of(s, raised, &x, true);
    tell(s, out);
    *out_g = g;
    return CYG_OK;
}

static cyg_status fail(search *s, const cyg_mixed_point *best)
{
    return CYG_FAIL(&s->b->app->ctx, CYG_E_CHECK,
                    "quant.target_%s %g cannot be reached: with all %zu steps that gain at 16 bits "
                    "it is %.4g. Ask for less, or use more or other calibration samples",
                    s->m->metric, s->m->target, s->m->count, value_of(s, best));
}

/* Raises a few more where quantising from scratch falls short of the trials. */
static cyg_status settle(search *s, size_t raised)
{
    cyg_build *b = s->b;
    cyg_mixed_point p = {0};
    for (int i = 0; i < MORE_TRIES && raised <= s->m->count; i++) {
        cyg_graph *g = NULL;
        cyg_graph_destroy(b->quantised.reference);
        b->quantised.reference = NULL;
        CYG_DO(quantise_anew(s, raised, &g, &p));
        if (reached(s, &p)) {
            s->m->raised = raised;
            cyg_graph_take_over(b->graph, g);
            return CYG_OK;
        }
        cyg_graph_destroy(b->quantised.reference); /* before its lender */
        b->quantised.reference = NULL;
        cyg_graph_destroy(g);
        if (raised == s->m->count)
            break;
        raised = raised + 1 + raised / 4 < s->m->count ? raised + 1 + raised / 4 : s->m->count;
    }
    return fail(s, &p);
}

static cyg_status search_all(search *s)
{
    cyg_mixed_point base;
    double noise = 0.0;
    size_t raised = 0;
    CYG_DO(list_steps(s));
    CYG_DO(measure(s, 0, &base));
    if (!reached(s, &base)) {
        CYG_DO(measure_sensitivity(s, &noise));
        order_steps(s);
        CYG_DO(narrow_down(s, noise, &raised));
        if (raised > s->m->count) {
            const cyg_mixed_point *best = &s->m->points[s->m->point_count - 1];
            return fail(s, best);
        }
    } else {
        s->m->count = 0;
    }
    return settle(s, raised);
}

/* The target, of which validation allows one. */
static bool take_target(const cyg_config_quant *c, cyg_build_mixed *m)
{
    m->metric = c->target_sqnr_db > 0     ? "sqnr_db"
                : c->target_agreement > 0 ? "agreement"
                                          : "cosine";
    m->target = c->target_sqnr_db > 0     ? c->target_sqnr_db
                : c->target_agreement > 0 ? c->target_agreement
                                          : c->target_cosine;
    return m->target > 0.0;
}

cyg_status cyg_build_mix(cyg_build *b, const cyg_quant_options *options, bool *out_done)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_build_mixed m = {0};
    search s = {.b = b, .options = options, .nodes = (size_t)b->graph->node_count + 1};
    *out_done = take_target(&b->config.quant, &m);
    if (!*out_done)
        return CYG_OK;
    s.m = b->mixed = cyg_arena_memdup(&b->app->arena, &m, sizeof m);
    s.asked = CYG_NEW_ARRAY(&b->app->arena, cyg_asked, s.nodes);
    if (s.m == NULL || s.asked == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_quant_options quiet = *options;
    quiet.keep_reference = false;
    CYG_DO(cyg_build_trial_open(b, &s.trial));
    cyg_status status = cyg_quant_study_open(ctx, b->graph, &b->samples, &quiet, &s.study);
    if (status == CYG_OK)
        status = search_all(&s);
    cyg_quant_study_close(s.study);
    cyg_build_trial_close(&s.trial);
    return status == CYG_OK ? cyg_mixed_write_fragment(b) : status;
}

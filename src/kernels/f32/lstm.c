/* f_lstm: ONNX LSTM with everything that it may have: both directions, peepholes, clipping, lengths
 * of sequences, coupled gates, batch-major layout and the whole list of activations.
 *
 * Per step, with gates i, o, f, c in ONNX's order, each from
 *     a = x W^T + h R^T + Wb + Rb (+ P * cell)
 * summed in binary64 in that order, k ascending, clipped, and rounded to binary32 for its
 * activation (math.h; the result counts as binary64 again): i = f(a_i), f = f(a_f) or 1 - i, c' = f
 * c + i g(a_c), o = f(a_o with P * c'), h' = o h(c'). State stays binary64 from step to step;
 * outputs are rounded to their type. An item is one sequence in one direction. Steps behind a
 * sequence's length are zero in Y and leave h and c alone; the reverse direction begins at the
 * length. */
#include "kernels/f32/math.h"
#include "kernels/index.h"
#include "kernels/number.h"

enum { X, W, R, B, LENGTHS, H0, C0, P, INPUTS };
enum { Y, Y_H, Y_C, OUTPUTS };
enum { GATE_I, GATE_O, GATE_F, GATE_C, GATES };

typedef struct shape {
    int64_t steps, batch, inputs, hidden, directions;
} shape;

static shape shape_of(const cyg_kcall *call)
{
    const cyg_kp_lstm *p = call->params;
    const cyg_kbuf *x = &call->in[X];
    const bool rows = p->batch_first != 0;
    return (shape){.steps = x->dims[rows ? 1 : 0],
                   .batch = x->dims[rows ? 0 : 1],
                   .inputs = x->dims[2],
                   .hidden = p->hidden,
                   .directions = p->direction == CYG_LSTM_BOTH ? 2 : 1};
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 3, INPUTS, 1, OUTPUTS);
    const cyg_kp_lstm *p = call->params;
    const cyg_kbuf *x = &call->in[X];
    CYG_REQUIRE(x->rank == 3 && cyg_is_float_type(x->type), "x is no float of rank 3");
    CYG_REQUIRE(p->direction >= 0 && p->direction <= CYG_LSTM_BOTH && p->hidden >= 1 &&
                    p->hidden < (int64_t)1 << 24,
                "direction or hidden size out of range");
    for (int i = 0; i < 6; i++)
        CYG_REQUIRE(p->activation[i] >= 0 && p->activation[i] < CYG_LSTM_ACTIVATIONS,
                    "unknown activation");
    const shape s = shape_of(call);
    const int64_t d = s.directions, h = s.hidden, state = d * s.batch * h;
    const int64_t counts[INPUTS] = {[X] = s.steps * s.batch * s.inputs,
                                    [W] = d * GATES * h * s.inputs,
                                    [R] = d * GATES * h * h,
                                    [B] = d * 2 * GATES * h,
                                    [LENGTHS] = s.batch,
                                    [H0] = state,
                                    [C0] = state,
                                    [P] = d * 3 * h};
    for (uint32_t i = 0; i < INPUTS; i++) {
        if (!cyg_has_in(call, i))
            continue;
        CYG_REQUIRE(cyg_count_of(&call->in[i]) == counts[i], "an operand has a wrong size");
        CYG_REQUIRE(i == LENGTHS ? cyg_is_index_type(call->in[i].type)
                                 : call->in[i].type == x->type,
                    "an operand has a wrong type");
    }
    for (uint32_t i = 0; i < call->out_count; i++)
        CYG_REQUIRE(call->out[i].type == x->type &&
                        cyg_count_of(&call->out[i]) == (i == Y ? s.steps * state : state),
                    "an output has a wrong type or size");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const shape s = shape_of(call);
    return s.directions * s.batch;
}

/* Gates, h, c of one sequence. */
static size_t scratch_size(const cyg_kcall *call)
{
    return cyg_align_up((size_t)shape_of(call).hidden * (GATES + 2) * sizeof(double), 64);
}

static double at(const cyg_kcall *call, uint32_t i, int64_t k)
{
    return cyg_load_real(call->in[i].data, call->in[i].type, k);
}

static double activate(const cyg_kp_lstm *p, int which, double v)
{
    const float x = (float)v, alpha = p->alpha[which], beta = p->beta[which];
    switch (p->activation[which]) {
    case CYG_LSTM_SIGMOID:
        return (double)cyg_sigmoidf(x);
    case CYG_LSTM_TANH:
        return (double)cyg_tanhf(x);
    case CYG_LSTM_RELU:
        return (double)(x < 0.0f ? 0.0f : x);
    case CYG_LSTM_AFFINE:
        return (double)(alpha * x + beta);
    case CYG_LSTM_LEAKY_RELU:
        return (double)(x < 0.0f ? alpha * x : x);
    case CYG_LSTM_THRESHOLDED_RELU:
        return (double)(x < alpha ? 0.0f : x);
    case CYG_LSTM_SCALED_TANH:
        return (double)(alpha * cyg_tanhf(beta * x));
    case CYG_LSTM_HARD_SIGMOID:
        return (double)cyg_hardsigmoidf(x, alpha, beta);
    case CYG_LSTM_ELU:
        return (double)(x < 0.0f ? alpha * (cyg_expf(x) - 1.0f) : x);
    case CYG_LSTM_SOFTSIGN:
        return (double)(x / (1.0f + cyg_absf(x)));
    default:
        return (double)cyg_softplusf(x);
    }
}

static double clip(const cyg_kp_lstm *p, double v)
{
    const double limit = (double)p->clip;
    if (limit <= 0.0)
        return v;
    return v < -limit ? -limit : v > limit ? limit : v;
}

/* a of every gate, without peepholes. */
static void sums(const cyg_kcall *call, const shape *s, int64_t direction, int64_t x_row,
                 const double *h, double *gates)
{
    const int64_t rows = GATES * s->hidden;
    for (int64_t g = 0; g < rows; g++) {
        const int64_t row = direction * rows + g;
        double sum = 0;
        for (int64_t k = 0; k < s->inputs; k++)
            sum += at(call, X, x_row + k) * at(call, W, row * s->inputs + k);
        for (int64_t k = 0; k < s->hidden; k++)
            sum += h[k] * at(call, R, row * s->hidden + k);
        if (cyg_has_in(call, B))
            sum +=
                at(call, B, 2 * direction * rows + g) + at(call, B, (2 * direction + 1) * rows + g);
        gates[g] = sum;
    }
}

static void advance(const cyg_kcall *call, const shape *s, int64_t direction, const double *gates,
                    double *h, double *c)
{
    const cyg_kp_lstm *p = call->params;
    const int64_t n = s->hidden;
    const int first = (int)direction * 3; /* f, g, h of this direction */
    const bool peeps = cyg_has_in(call, P);
    for (int64_t k = 0; k < n; k++) {
        double peep[3] = {0, 0, 0}; /* i, o, f */
        for (int i = 0; peeps && i < 3; i++)
            peep[i] = at(call, P, (direction * 3 + i) * n + k);
        const double in = activate(p, first, clip(p, gates[GATE_I * n + k] + peep[0] * c[k]));
        const double forget =
            p->input_forget != 0
                ? 1.0 - in
                : activate(p, first, clip(p, gates[GATE_F * n + k] + peep[2] * c[k]));
        c[k] = forget * c[k] + in * activate(p, first + 1, clip(p, gates[GATE_C * n + k]));
        const double out = activate(p, first, clip(p, gates[GATE_O * n + k] + peep[1] * c[k]));
        h[k] = out * activate(p, first + 2, c[k]);
    }
}

/* Trailing outputs may be left off. */
static void store(const cyg_kcall *call, uint32_t i, int64_t row, int64_t n, const double *v)
{
    if (i >= call->out_count)
        return;
    const cyg_kbuf *y = &call->out[i];
    for (int64_t k = 0; k < n; k++)
        cyg_store_real(y->data, y->type, row * n + k, v == NULL ? 0.0 : v[k]);
}

/* Row of a [directions, batch] state, or of [batch, directions] in batch-major layout. */
static int64_t state_row(const cyg_kp_lstm *p, const shape *s, int64_t direction, int64_t b)
{
    return p->batch_first != 0 ? b * s->directions + direction : direction * s->batch + b;
}

static void run_sequence(const cyg_kcall *call, const shape *s, int64_t direction, int64_t b,
                         double *gates)
{
    const cyg_kp_lstm *p = call->params;
    const int64_t n = s->hidden, row = state_row(p, s, direction, b);
    double *h = gates + GATES * n, *c = h + n;
    int64_t length = s->steps;
    if (cyg_has_in(call, LENGTHS))
        length = cyg_min64(cyg_max64(cyg_index_at(&call->in[LENGTHS], b), 0), s->steps);
    for (int64_t k = 0; k < n; k++) {
        h[k] = cyg_has_in(call, H0) ? at(call, H0, row * n + k) : 0.0;
        c[k] = cyg_has_in(call, C0) ? at(call, C0, row * n + k) : 0.0;
    }
    const bool backwards = p->direction == CYG_LSTM_REVERSE || direction == 1;
    for (int64_t i = 0; i < s->steps; i++) {
        const int64_t t = backwards && i < length ? length - 1 - i : i;
        const int64_t x_row = p->batch_first != 0 ? b * s->steps + t : t * s->batch + b;
        const int64_t y_row = p->batch_first != 0 ? x_row * s->directions + direction
                                                  : (t * s->directions + direction) * s->batch + b;
        if (i < length) {
            sums(call, s, direction, x_row * s->inputs, h, gates);
            advance(call, s, direction, gates, h, c);
        }
        store(call, Y, y_row, n, i < length ? h : NULL);
    }
    store(call, Y_H, row, n, h);
    store(call, Y_C, row, n, c);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const shape s = shape_of(call);
    for (int64_t item = begin; item < end; item++)
        run_sequence(call, &s, item / s.batch, item % s.batch, scratch);
}

const cyg_kop_info cyg_kop_info_f_lstm = {.name = "f_lstm",
                                          .params_size = sizeof(cyg_kp_lstm),
                                          .check = check,
                                          .items = items,
                                          .scratch = scratch_size,
                                          .run = run};

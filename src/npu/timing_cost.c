/* What one instruction costs on its engine: formulas of its shapes and the machine, no tables.
 * docs/npu-model.md derives them and says how well they fit.
 *
 * CONV: an array of conv_in x conv_out multipliers makes conv_out sums of one pixel at once,
 * conv_in channels of one tap a cycle; with few channels several taps share the input lanes.
 * Finished sums leave at conv_post a cycle, beside the products: what is slower counts. 16-bit
 * operands take conv_s16 times as long. TENG: elements over a rate by kind of work. CV: bytes over
 * a rate. SDMA: a start, then bytes at what the DDR gives (timing.c). */
#include <math.h>

#include "base/type.h"
#include "kernels/params.h"
#include "npu/timing.h"

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* What hostile programs are counted as, at most (timing.h). */
static const int64_t most = CYG_NPU_MOST_CYCLES;

static int64_t over_rate(double amount, double rate)
{
    const double cycles = ceil(amount / rate);
    return cycles < (double)most ? (int64_t)cycles : most;
}

static int64_t product(int64_t a, int64_t b)
{
    int64_t p;
    return __builtin_mul_overflow(a, b, &p) || p > most ? most : p;
}

static double elements(const cyg_npu_view *v)
{
    return (double)cyg_npu_view_elements(v);
}

/* Product of the dimensions [from, to) of v; a dimension that v lacks is 1. */
static int64_t dims(const cyg_npu_view *v, unsigned from, unsigned to)
{
    int64_t n = 1;
    for (unsigned i = from; i < to && i < v->rank; i++)
        n = product(n, v->dims[i]);
    return n;
}

static bool is_wide(const cyg_npu_view *v)
{
    return v->type == CYG_TYPE_S16 || v->type == CYG_TYPE_U16;
}

/* Cycles for one sum of `taps` times `depth` products in each output lane. */
static int64_t sum_cycles(const cyg_npu_machine *m, int64_t taps, int64_t depth)
{
    if (depth <= m->conv_few && m->conv_few < m->conv_in)
        return ceil_div(product(taps, m->conv_few), m->conv_in);
    return product(taps, ceil_div(depth, m->conv_in));
}

/* How many halves of 16 bits the operands have. */
typedef enum conv_width {
    WIDTH_8,
    WIDTH_16_8,
    WIDTH_16_16,
} conv_width;

/* x of 16 bits; weights of 16 bits come as two operands, the upper halves behind the residual. */
static conv_width width_of(const cyg_npu_instr *instr)
{
    enum { W_HIGH = 5 };
    if (!is_wide(&instr->operands[0]))
        return WIDTH_8;
    return instr->in_count > W_HIGH && instr->operands[W_HIGH].type != CYG_TYPE_NONE ? WIDTH_16_16
                                                                                     : WIDTH_16_8;
}

/* Passes of the array over the same input: 16 by 8 bits is two halves, 16 by 16 four. These also
 * take one pass more, in which the input's halves are parted, and for fewer than conv_s16_out
 * output channels as long as for these. */
static double passes(const cyg_npu_machine *m, int64_t columns, conv_width width)
{
    const double plain = (double)ceil_div(columns, m->conv_out);
    if (width == WIDTH_16_8)
        return plain * m->conv_s16 / 2;
    if (width == WIDTH_16_16)
        return m->conv_s16 * (1 + fmax(plain, (double)ceil_div(m->conv_s16_out, m->conv_out)));
    return plain;
}

/* `sums` = sums of each of `columns` output channels, `taps` times `depth` products each. */
static void conv_cost(const cyg_npu_machine *m, int64_t sums, int64_t taps, int64_t depth,
                      int64_t columns, conv_width width, cyg_npu_cost *cost)
{
    const double one = (double)product(sums, sum_cycles(m, taps, depth));
    const int64_t products = over_rate(one * passes(m, columns, width), 1);
    const int64_t post = over_rate((double)product(sums, columns), m->conv_post);
    cost->cycles = m->conv_start + (products > post ? products : post);
    cost->macs = product(product(product(sums, taps), depth), columns);
}

/* x [.., K], w [N, K] -> y [.., N] */
static void linear_cost(const cyg_npu_machine *m, const cyg_npu_instr *instr, cyg_npu_cost *cost)
{
    const cyg_npu_view *x = &instr->operands[0], *w = &instr->operands[1];
    const int64_t columns = dims(w, 0, 1), depth = dims(w, 1, 2);
    const int64_t rows = depth == 0 ? 0 : cyg_npu_view_elements(x) / depth;
    conv_cost(m, rows, 1, depth, columns, width_of(instr), cost);
}

/* x [B, H, W, C], w [O, kh, kw, C / groups] -> y [B, h, w, O] */
static void conv2d_cost(const cyg_npu_machine *m, const cyg_npu_instr *instr, cyg_npu_cost *cost)
{
    const cyg_npu_view *x = &instr->operands[0], *w = &instr->operands[1];
    const cyg_npu_view *y = &instr->operands[instr->in_count];
    const int64_t taps = dims(w, 1, 3), depth = dims(w, 3, 4), columns = dims(w, 0, 1);
    const int64_t groups = depth == 0 ? 1 : ceil_div(dims(x, 3, 4), depth);
    const conv_width width = width_of(instr);
    /* Depth-wise: each output lane has input lanes of its own, so that groups share a pass. */
    if (depth == 1 && groups > 1)
        conv_cost(m, dims(y, 0, 3), taps, depth, columns, width, cost);
    else
        conv_cost(m, product(groups, dims(y, 0, 3)), taps, depth, columns / groups, width, cost);
}

/* q, k -> sums [G, H, Q, N]; e [G, H, Q, N], v -> y: G x H products of Q rows, N keys and as many
 * channels as the parameters say (q and v may be rows of more than the heads' channels). */
static void attention_cost(const cyg_npu_machine *m, const cyg_npu_instr *instr, cyg_npu_cost *cost)
{
    const bool is_qk = instr->op == CYG_NPU_OP_CONV_QK;
    const cyg_npu_view *square = &instr->operands[is_qk ? instr->in_count : 0];
    if (square->rank < 2 || instr->params == NULL ||
        instr->params_size < sizeof(cyg_kp_iattention_part))
        return;
    /* Both operators' blocks begin with the addresses. */
    const int64_t channels = ((const cyg_kp_attention *)instr->params)->head_dim;
    const int64_t rows = square->dims[square->rank - 2], keys = square->dims[square->rank - 1];
    const int64_t count = rows * keys == 0 ? 0 : cyg_npu_view_elements(square) / (rows * keys);
    const int wide = is_wide(&instr->operands[0]) + is_wide(&instr->operands[1]);
    conv_cost(m, count * rows, 1, is_qk ? channels : keys, is_qk ? keys : channels,
              wide == 2   ? WIDTH_16_16
              : wide == 1 ? WIDTH_16_8
                          : WIDTH_8,
              cost);
}

/* a [.., M, K], b [.., K, N] -> y [.., M, N] */
static void product_cost(const cyg_npu_machine *m, const cyg_npu_instr *instr, cyg_npu_cost *cost)
{
    const cyg_npu_view *a = &instr->operands[0], *y = &instr->operands[instr->in_count];
    if (a->rank < 2 || y->rank < 2)
        return;
    const int64_t depth = a->dims[a->rank - 1], columns = y->dims[y->rank - 1];
    const int64_t rows = columns == 0 ? 0 : cyg_npu_view_elements(y) / columns;
    const int wide = is_wide(a) + is_wide(&instr->operands[1]);
    conv_cost(m, rows, 1, depth, columns,
              wide == 2   ? WIDTH_16_16
              : wide == 1 ? WIDTH_16_8
                          : WIDTH_8,
              cost);
}

/* What follows a product: limits are simple, GELU and its kin are not. */
static bool is_curved(const cyg_npu_instr *instr)
{
    if (instr->params == NULL || instr->params_size < sizeof(cyg_kp_ilinear))
        return false;
    const int32_t act = ((const cyg_kp_ilinear *)instr->params)->act;
    return act != CYG_ACT_NONE && act != CYG_ACT_RELU && act != CYG_ACT_CLIP;
}

static void teng_cost(const cyg_npu_machine *m, const cyg_npu_instr *instr, cyg_npu_cost *cost)
{
    const cyg_npu_view *x = &instr->operands[0], *y = &instr->operands[instr->in_count];
    double simple = 0, function = 0, norm = 0;
    switch (instr->op) {
    case CYG_NPU_OP_TENG_ACT:
        *(is_curved(instr) ? &function : &simple) = elements(y);
        break;
    case CYG_NPU_OP_TENG_LAYERNORM:
        norm = elements(x);
        break;
    case CYG_NPU_OP_TENG_SOFTMAX: /* maximum and sum; exponential */
    case CYG_NPU_OP_TENG_WEIGH:
        simple = 2 * elements(x);
        function = elements(x);
        break;
    case CYG_NPU_OP_TENG_LUT8:
    case CYG_NPU_OP_TENG_LUT16:
        function = elements(y);
        break;
    case CYG_NPU_OP_TENG_REDUCE:
    case CYG_NPU_OP_TENG_EXTREME:
        simple = elements(x);
        break;
    case CYG_NPU_OP_TENG_POOL: /* a row of windows slides: each element is read once */
        simple = elements(x) > elements(y) ? elements(x) : elements(y);
        break;
    default:
        simple = elements(y);
        break;
    }
    cost->cycles = m->teng_start + over_rate(simple, m->teng_simple) +
                   over_rate(function, m->teng_function) + over_rate(norm, m->teng_norm);
}

/* What crosses the DDR: as many bytes as the other end, in the OCM, takes or gives. */
static uint64_t ddr_bytes(const cyg_npu_instr *instr)
{
    const cyg_npu_view *x = &instr->operands[0], *y = &instr->operands[instr->in_count];
    switch (instr->op) {
    case CYG_NPU_OP_LD:
    case CYG_NPU_OP_LDX:
        return cyg_npu_view_bytes(y);
    case CYG_NPU_OP_ST:
    case CYG_NPU_OP_STX:
        return cyg_npu_view_bytes(x);
    default:
        return 0;
    }
}

cyg_npu_cost cyg_npu_cost_of(const cyg_npu_machine *m, const cyg_npu_instr *instr)
{
    cyg_npu_cost cost = {0};
    switch (cyg_npu_engine_at(m, instr->engine).kind) {
    case CYG_NPU_CONV:
        if (instr->op == CYG_NPU_OP_CONV_2D)
            conv2d_cost(m, instr, &cost);
        else if (instr->op == CYG_NPU_OP_CONV_LINEAR)
            linear_cost(m, instr, &cost);
        else if (instr->op == CYG_NPU_OP_CONV_MM)
            product_cost(m, instr, &cost);
        else
            attention_cost(m, instr, &cost);
        break;
    case CYG_NPU_TENG:
        teng_cost(m, instr, &cost);
        break;
    case CYG_NPU_CV:
        cost.cycles =
            m->cv_start +
            over_rate((double)cyg_npu_view_bytes(&instr->operands[instr->in_count]), m->cv_bytes);
        break;
    case CYG_NPU_SDMA:
        cost.cycles = m->ddr_start;
        cost.ddr_bytes = (int64_t)ddr_bytes(instr);
        break;
    case CYG_NPU_ENGINE_KINDS:
        break;
    }
    return cost;
}

/* f_group_norm: GroupNormalization, and InstanceNormalization as one group a channel; f_lp_norm:
 * lines divided by their norm. Any float type.
 *
 * Group norm: x [B, C, ..], groups of C / G channels; mean and variance over a group in binary64
 * (two passes), y = (x - mean) / sqrt(variance + epsilon) * scale + bias, rounded once. scale and
 * bias have one element a channel or one a group. Lp norm: y = x / (sum |x|), or / sqrt(sum x^2),
 * sums in binary64; a line whose norm is zero stays zero. */
#include "kernels/number.h"

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 3, 3, 1, 1);
    const cyg_kp_group_norm *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == y->type && cyg_is_float_type(x->type) && cyg_same_dims(x, y),
                "x and y differ, or are no floats");
    CYG_REQUIRE(x->rank >= 2, "f_group_norm wants [B, C, ..]");
    CYG_REQUIRE(p->groups >= 1 && x->dims[1] % p->groups == 0, "channels do not divide");
    for (uint32_t i = 1; i < 3; i++) {
        const int64_t n = cyg_count_of(&call->in[i]);
        CYG_REQUIRE(call->in[i].type == x->type && (n == x->dims[1] || n == p->groups),
                    "scale or bias does not fit");
    }
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kp_group_norm *p = call->params;
    return cyg_count_of(&call->out[0]) == 0 ? 0 : call->in[0].dims[0] * p->groups;
}

static double of_channel(const cyg_kcall *call, uint32_t i, int64_t channel)
{
    const cyg_kp_group_norm *p = call->params;
    const cyg_kbuf *b = &call->in[i];
    const int64_t channels = call->in[0].dims[1];
    return cyg_load_real(b->data, b->type,
                         cyg_count_of(b) == channels ? channel : channel / (channels / p->groups));
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_group_norm *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t plane = cyg_count_dims(x, 2, x->rank), channels = x->dims[1] / p->groups;
    const int64_t n = channels * plane;
    for (int64_t item = begin; item < end; item++) {
        const int64_t at = item * n;
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < n; i++)
            mean += cyg_load_real(x->data, x->type, at + i);
        mean /= (double)n;
        for (int64_t i = 0; i < n; i++) {
            const double d = cyg_load_real(x->data, x->type, at + i) - mean;
            variance += d * d;
        }
        variance /= (double)n;
        const double factor = 1.0 / __builtin_sqrt(variance + (double)p->epsilon);
        for (int64_t c = 0; c < channels; c++) {
            const int64_t channel = item % p->groups * channels + c;
            const double scale = of_channel(call, 1, channel), bias = of_channel(call, 2, channel);
            for (int64_t i = at + c * plane; i < at + (c + 1) * plane; i++)
                cyg_store_real(y->data, y->type, i,
                               (cyg_load_real(x->data, x->type, i) - mean) * factor * scale + bias);
        }
    }
}

/* ---- lp norm ---- */

static const char *check_lp(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_lp_norm *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == y->type && cyg_is_float_type(x->type) && cyg_same_dims(x, y),
                "x and y differ, or are no floats");
    CYG_REQUIRE(p->axis >= 0 && p->axis < x->rank && (p->p == 1 || p->p == 2),
                "axis out of range, or p is neither 1 nor 2");
    return NULL;
}

static int64_t items_lp(const cyg_kcall *call)
{
    const cyg_kp_lp_norm *p = call->params;
    const cyg_kbuf *x = &call->in[0];
    return cyg_count_of(x) == 0
               ? 0
               : cyg_count_dims(x, 0, p->axis) * cyg_count_dims(x, p->axis + 1, x->rank);
}

static void run_lp(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_lp_norm *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t step = cyg_count_dims(x, p->axis + 1, x->rank), n = x->dims[p->axis];
    for (int64_t item = begin; item < end; item++) {
        const int64_t at = item / step * n * step + item % step;
        double norm = 0;
        for (int64_t i = 0; i < n; i++) {
            const double v = cyg_load_real(x->data, x->type, at + i * step);
            norm += p->p == 2 ? v * v : v < 0 ? -v : v;
        }
        norm = p->p == 2 ? __builtin_sqrt(norm) : norm;
        for (int64_t i = at; i < at + n * step; i += step)
            cyg_store_real(y->data, y->type, i,
                           norm == 0.0 ? 0.0 : cyg_load_real(x->data, x->type, i) / norm);
    }
}

const cyg_kop_info cyg_kop_info_f_group_norm = {.name = "f_group_norm",
                                                .params_size = sizeof(cyg_kp_group_norm),
                                                .check = check,
                                                .items = items,
                                                .run = run};
const cyg_kop_info cyg_kop_info_f_lp_norm = {.name = "f_lp_norm",
                                             .params_size = sizeof(cyg_kp_lp_norm),
                                             .check = check_lp,
                                             .items = items_lp,
                                             .run = run_lp};

/* f_conv_transpose: transposed convolution, one to three spatial axes, channels first, any float
 * type.
 *
 * x [B, C, s..], w [C, O / g, k..], bias [O]?, y [B, O, t..]. An output gathers: of every tap k the
 * input i with i * stride = o + pad - k * dilation, where there is one. The sum runs over (channel
 * of the group, taps row-major) in binary64, then the bias, then one rounding. An item is a row of
 * y.
 *
 * Axes that x lacks are axes of size 1 in front. */
#include "kernels/f32/geometry.h"
#include "kernels/number.h"

enum { AXES = 3 };

typedef struct shape {
    int64_t batch, channels, outputs; /* C, O */
    int64_t group_channels, group_outputs;
    cyg_window w[AXES];
} shape;

static shape shape_of(const cyg_kcall *call)
{
    const cyg_kp_windows *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t group = p->group > 0 ? p->group : 1;
    shape s = {.batch = x->dims[0], .channels = x->dims[1], .outputs = y->dims[1]};
    s.group_channels = s.channels / group;
    s.group_outputs = s.outputs / group;
    for (int i = 0; i < AXES; i++) {
        const int axis = i - (AXES - (x->rank - 2)); /* of x and y, behind their first two */
        s.w[i] = (cyg_window){p->kernel[i],
                              p->stride[i],
                              p->dilation[i],
                              p->begin[i],
                              axis < 0 ? 1 : x->dims[2 + axis],
                              axis < 0 ? 1 : y->dims[2 + axis]};
    }
    return s;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 3, 1, 1);
    const cyg_kp_windows *p = call->params;
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(x->rank >= 3 && x->rank <= 2 + AXES && w->rank == x->rank && y->rank == x->rank,
                "f_conv_transpose wants one to three spatial axes");
    CYG_REQUIRE(cyg_is_float_type(x->type) && x->type == w->type && x->type == y->type,
                "operands differ in type, or are no floats");
    const shape s = shape_of(call);
    CYG_REQUIRE(p->group >= 1 && s.channels % p->group == 0 && s.outputs % p->group == 0 &&
                    w->dims[0] == s.channels && w->dims[1] == s.group_outputs &&
                    y->dims[0] == s.batch,
                "channels do not fit the groups");
    for (int i = 0; i < AXES; i++)
        CYG_REQUIRE(cyg_window_ok(&s.w[i], 0), "bad window");
    for (int i = 0; i < x->rank - 2; i++)
        CYG_REQUIRE(w->dims[2 + i] == p->kernel[AXES - (x->rank - 2) + i],
                    "the kernel's size is not the weight's");
    if (cyg_has_in(call, 2))
        CYG_REQUIRE(call->in[2].type == x->type && cyg_count_of(&call->in[2]) == s.outputs,
                    "the bias does not fit");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const shape s = shape_of(call);
    return cyg_count_of(&call->out[0]) == 0 ? 0 : s.batch * s.outputs * s.w[0].out * s.w[1].out;
}

/* The input that tap k of output o meets, -1 = none. */
static int64_t input_of(const cyg_window *w, int64_t o, int64_t k)
{
    const int64_t at = o + w->pad - k * w->dilation;
    return at >= 0 && at % w->stride == 0 && at / w->stride < w->in ? at / w->stride : -1;
}

/* One channel's part of an output. */
static double channel_sum(const cyg_kcall *call, const shape *s, int64_t x_plane, int64_t w_plane,
                          const int64_t o[AXES])
{
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1];
    double sum = 0;
    for (int64_t a = 0; a < s->w[0].kernel; a++) {
        const int64_t i = input_of(&s->w[0], o[0], a);
        for (int64_t b = 0; i >= 0 && b < s->w[1].kernel; b++) {
            const int64_t j = input_of(&s->w[1], o[1], b);
            for (int64_t c = 0; j >= 0 && c < s->w[2].kernel; c++) {
                const int64_t k = input_of(&s->w[2], o[2], c);
                if (k < 0)
                    continue;
                const int64_t at = x_plane + (i * s->w[1].in + j) * s->w[2].in + k;
                const int64_t tap = w_plane + (a * s->w[1].kernel + b) * s->w[2].kernel + c;
                sum += cyg_load_real(x->data, x->type, at) * cyg_load_real(w->data, w->type, tap);
            }
        }
    }
    return sum;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const shape s = shape_of(call);
    const cyg_kbuf *y = &call->out[0];
    const int64_t in = s.w[0].in * s.w[1].in * s.w[2].in;
    const int64_t taps = s.w[0].kernel * s.w[1].kernel * s.w[2].kernel;
    for (int64_t item = begin; item < end; item++) {
        const int64_t rows = s.w[0].out * s.w[1].out;
        const int64_t channel = item / rows % s.outputs, image = item / rows / s.outputs;
        const int64_t group = channel / s.group_outputs;
        int64_t o[AXES] = {item % rows / s.w[1].out, item % s.w[1].out, 0};
        const double bias =
            cyg_has_in(call, 2) ? cyg_load_real(call->in[2].data, call->in[2].type, channel) : 0.0;
        for (o[2] = 0; o[2] < s.w[2].out; o[2]++) {
            double sum = 0;
            for (int64_t c = group * s.group_channels; c < (group + 1) * s.group_channels; c++)
                sum += channel_sum(call, &s, (image * s.channels + c) * in,
                                   (c * s.group_outputs + channel % s.group_outputs) * taps, o);
            cyg_store_real(y->data, y->type, item * s.w[2].out + o[2], sum + bias);
        }
    }
}

const cyg_kop_info cyg_kop_info_f_conv_transpose = {.name = "f_conv_transpose",
                                                    .params_size = sizeof(cyg_kp_windows),
                                                    .check = check,
                                                    .items = items,
                                                    .run = run};

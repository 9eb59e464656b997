/* f_conv3d: ONNX Conv over three axes, channels first, groups: patch embeddings of videos.
 *
 * An output is one chain of fma over (c, kd, kh, kw) ascending from 0, taps outside left out; then
 * + bias. An item is one plane (depth) of one output channel: its rows are filled tap by tap with
 * the fma micro-kernel. Such layers are rare; two axes have the matrix core (conv.c). */
#include "kernels/dispatch.h"
#include "kernels/f32/geometry.h"

#include <string.h>

enum { AXES = 3 };
typedef struct shape {
    int64_t channels, group_channels, outputs, group_outputs;
    int64_t taps, in; /* elements of a kernel, of an input volume */
    cyg_window at[AXES];
} shape;

static shape shape_of(const cyg_kcall *call)
{
    const cyg_kp_windows *p = call->params;
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    shape s = {.channels = x->dims[1],
               .group_channels = x->dims[1] / p->group,
               .outputs = w->dims[0],
               .group_outputs = w->dims[0] / p->group,
               .taps = 1,
               .in = 1};
    for (int i = 0; i < AXES; i++) {
        s.at[i] = (cyg_window){p->kernel[i], p->stride[i],   p->dilation[i],
                               p->begin[i],  x->dims[2 + i], y->dims[2 + i]};
        s.taps *= p->kernel[i];
        s.in *= x->dims[2 + i];
    }
    return s;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 3, 1, 1);
    const cyg_kp_windows *p = call->params;
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && w->type == CYG_TYPE_F32 && y->type == CYG_TYPE_F32,
                "f_conv3d works on f32");
    CYG_REQUIRE(x->rank == 2 + AXES && w->rank == x->rank && y->rank == x->rank,
                "f_conv3d wants rank 5");
    CYG_REQUIRE(p->group >= 1 && x->dims[1] % p->group == 0 && w->dims[0] % p->group == 0 &&
                    w->dims[1] == x->dims[1] / p->group,
                "w is not [O, C/g, ..], or the channels are no multiple of group");
    const shape s = shape_of(call);
    for (int i = 0; i < AXES; i++)
        CYG_REQUIRE(cyg_window_ok(&s.at[i], p->end[i]) && w->dims[2 + i] == p->kernel[i],
                    "bad window");
    CYG_REQUIRE(y->dims[0] == x->dims[0] && y->dims[1] == s.outputs, "y is not [B, O, ..]");
    if (cyg_has_in(call, 2))
        CYG_REQUIRE(call->in[2].type == CYG_TYPE_F32 && cyg_count_of(&call->in[2]) == s.outputs,
                    "bias is not f32 [O]");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_kbuf *y = &call->out[0];
    return cyg_count_of(y) == 0 ? 0 : cyg_count_dims(y, 0, 3);
}

/* Adds one channel's taps of depth kd to the rows of a plane. */
static void add_taps(const cyg_kcall *call, const shape *s, const float *x, const float *w,
                     float *y)
{
    const cyg_window *v = &s->at[1], *u = &s->at[2];
    for (int64_t kh = 0; kh < v->kernel; kh++)
        for (int64_t kw = 0; kw < u->kernel; kw++) {
            int64_t from, to, top, bottom;
            cyg_window_inside(u, kw, &from, &to);
            cyg_window_inside(v, kh, &top, &bottom);
            const float *weight = w + kh * u->kernel + kw;
            const int64_t column = from * u->stride + kw * u->dilation - u->pad;
            for (int64_t oh = top; from < to && oh < bottom; oh++) {
                const int64_t row = oh * v->stride + kh * v->dilation - v->pad;
                call->isa->f32_fma(to - from, x + row * u->in + column, u->stride, weight, 0,
                                   y + oh * u->out + from);
            }
        }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const shape s = shape_of(call);
    const cyg_window *depth = &s.at[0];
    const int64_t plane = s.at[1].out * s.at[2].out, in_plane = s.at[1].in * s.at[2].in;
    const int64_t kernel_plane = s.at[1].kernel * s.at[2].kernel;
    for (int64_t item = begin; item < end; item++) {
        const int64_t od = item % depth->out, o = item / depth->out % s.outputs,
                      image = item / depth->out / s.outputs;
        float *y = (float *)call->out[0].data + item * plane;
        memset(y, 0, (size_t)plane * sizeof(float));
        for (int64_t c = 0; c < s.group_channels; c++) {
            const int64_t channel = image * s.channels + o / s.group_outputs * s.group_channels + c;
            const float *x = (const float *)call->in[0].data + channel * s.in;
            const float *w = (const float *)call->in[1].data + (o * s.group_channels + c) * s.taps;
            for (int64_t kd = 0; kd < depth->kernel; kd++) {
                const int64_t id = od * depth->stride + kd * depth->dilation - depth->pad;
                if (id >= 0 && id < depth->in)
                    add_taps(call, &s, x + id * in_plane, w + kd * kernel_plane, y);
            }
        }
        for (int64_t i = 0; cyg_has_in(call, 2) && i < plane; i++)
            y[i] += ((const float *)call->in[2].data)[o];
    }
}

const cyg_kop_info cyg_kop_info_f_conv3d = {
    .name = "f_conv3d",
    .params_size = sizeof(cyg_kp_windows),
    .check = check,
    .items = items,
    .run = run,
};

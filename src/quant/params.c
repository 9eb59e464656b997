/* From ranges to parameters. Scales are computed in binary64 and rounded once to binary32: that
 * float is the scale, everywhere. */
#include "quant/params.h"

#include <math.h>
#include <string.h>

#include "base/pool.h"

static cyg_status give_scales(cyg_scheme *s, uint32_t count, float **out_scales)
{
    *out_scales = CYG_NEW_ARRAY(&s->g->arena, float, count);
    return *out_scales != NULL ? CYG_OK : CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
}

bool cyg_quant_take_name(cyg_graph *g, cyg_value_id from, cyg_value_id to)
{
    const char *name = cyg_val(g, from)->name, *other = cyg_val(g, to)->name; /* arena: they stay */
    return cyg_graph_rename_value(g, to, "v") && cyg_graph_rename_value(g, from, other) &&
           cyg_graph_rename_value(g, to, name);
}

/* A range of nothing but zeros still needs a scale: any will do. */
static float usable(double scale)
{
    return scale > 1e-30 && scale < 1e30 ? (float)scale : 1.0f;
}

cyg_quant cyg_quant_range(cyg_store store, double lo, double hi, float *scale)
{
    const double low = lo < 0 ? lo : 0.0, high = hi > 0 ? hi : 0.0;
    const double reach = -low > high ? -low : high;
    cyg_quant q = {.axis = -1, .count = 1, .scales = scale};
    switch (store) {
    case CYG_STORE_U8:
        q.type = CYG_TYPE_U8;
        *scale = usable((high - low) / 255.0);
        q.zero_point = (int32_t)rint(-low / (double)*scale);
        q.zero_point = q.zero_point > 255 ? 255 : q.zero_point;
        break;
    case CYG_STORE_S8:
    case CYG_STORE_S8_HEADS:
        q.type = CYG_TYPE_S8;
        *scale = usable(reach / 127.0);
        break;
    case CYG_STORE_S16:
        q.type = CYG_TYPE_S16;
        *scale = usable(2.0 * reach / 32767.0);
        break;
    case CYG_STORE_FLOAT:
    case CYG_STORES:
        break;
    }
    return q;
}

cyg_status cyg_quant_from_range(cyg_scheme *s, cyg_store store, float lo, float hi,
                                cyg_quant *out_q)
{
    float *scale;
    CYG_DO(give_scales(s, 1, &scale));
    *out_q = cyg_quant_range(store, (double)lo, (double)hi, scale);
    return CYG_OK;
}

cyg_status cyg_quant_from_heads(cyg_scheme *s, const cyg_observed *o, int64_t head_dim,
                                int32_t axis, cyg_quant *out_q)
{
    float *scales;
    CYG_DO(give_scales(s, (uint32_t)o->channels, &scales));
    *out_q = (cyg_quant){
        .type = CYG_TYPE_S8, .axis = axis, .count = (uint32_t)o->channels, .scales = scales};
    for (int64_t first = 0; first < o->channels; first += head_dim) {
        double reach = o->head_width > 0 ? (double)o->head_reach[first / head_dim] : 0.0;
        for (int64_t c = first; c < first + head_dim && o->head_width == 0; c++) {
            reach = -(double)o->channel_lo[c] > reach ? -(double)o->channel_lo[c] : reach;
            reach = (double)o->channel_hi[c] > reach ? (double)o->channel_hi[c] : reach;
        }
        for (int64_t c = first; c < first + head_dim; c++)
            scales[c] = usable(reach / 127.0);
    }
    return CYG_OK;
}

void cyg_quant_const_range(const cyg_value *v, float *lo, float *hi)
{
    const float *x = v->data;
    *lo = *hi = 0.0f;
    for (int64_t i = 0; i < cyg_value_elements(v); i++) {
        *lo = x[i] < *lo ? x[i] : *lo;
        *hi = x[i] > *hi ? x[i] : *hi;
    }
}

double cyg_quant_stored(const cyg_quant *q, float x)
{
    static const struct limits {
        cyg_type type;
        double lo, hi;
    } limits[] = {{CYG_TYPE_U8, 0.0, 255.0},
                  {CYG_TYPE_S8, -127.0, 127.0},
                  {CYG_TYPE_U16, 0.0, 65535.0},
                  {CYG_TYPE_S16, -32767.0, 32767.0}};
    const double scale = (double)q->scales[0], real = rint((double)x / scale) + q->zero_point;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (q->type == limits[i].type)
            return scale * ((real < limits[i].lo   ? limits[i].lo
                             : real > limits[i].hi ? limits[i].hi
                                                   : real) -
                            q->zero_point);
    return (double)x;
}

static cyg_f32_grid grid_of(const cyg_quant *q)
{
    static const struct {
        cyg_type type;
        float lo, hi;
    } limits[] = {{CYG_TYPE_U8, 0, 255}, {CYG_TYPE_S8, -127, 127}, {CYG_TYPE_S16, -32767, 32767}};
    cyg_f32_grid g = {.scale = q->scales[0], .inverse = (float)(1.0 / (double)q->scales[0])};
    for (size_t i = 0; i < CYG_COUNT(limits); i++)
        if (q->type == limits[i].type) {
            g.lo = limits[i].lo - (float)q->zero_point;
            g.hi = limits[i].hi - (float)q->zero_point;
        }
    return g;
}

void cyg_quant_stored_row(const cyg_kernels *isa, const cyg_quant *q, const float *x, float *out,
                          int64_t count)
{
    const cyg_f32_grid g = grid_of(q);
    isa->f32_round(&g, count, x, out);
}

double cyg_quant_row_error(const cyg_kernels *isa, const cyg_quant *q, const float *x,
                           const float *weight, int64_t count)
{
    const cyg_f32_grid g = grid_of(q);
    return isa->f32_round_error(&g, count, x, weight);
}

enum { SMALL = 1 << 14 /* weights that are not worth a second thread */ };

cyg_status cyg_quant_set_bias(cyg_scheme *s, cyg_node_id id, const float *bias, int64_t channels)
{
    cyg_graph *g = s->g;
    const cyg_value_id old = cyg_node_in(cyg_nod(g, id), 2);
    const cyg_value_id now =
        cyg_graph_add_const(g, cyg_value_is_none(old) ? NULL : cyg_val(g, old)->name, CYG_TYPE_F32,
                            1, &channels, bias, (size_t)channels * sizeof *bias);
    if (cyg_value_is_none(now))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_node *n = cyg_nod(g, id);
    if (n->in_count < 3) { /* room for the bias */
        cyg_value_id *in = CYG_NEW_ARRAY(&g->arena, cyg_value_id, 3);
        if (in == NULL)
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
        for (uint32_t i = 0; i < 3; i++)
            in[i] = cyg_node_in(n, i);
        n->in = in;
        n->in_count = 3;
    }
    cyg_node_set_input(g, id, 2, now);
    return CYG_OK;
}

/* rint without a call: from 2^51 on, doubles are whole numbers or may as well be. */
static double nearest(double x)
{
    const double whole = 0x1.8p52;
    return fabs(x) < 0x1p51 ? (x + whole) - whole : x;
}

static int64_t saturate(double x, int64_t lo, int64_t hi)
{
    x = nearest(x);
    return x < (double)lo ? lo : x > (double)hi ? hi : (int64_t)x;
}

cyg_status cyg_quant_constant(cyg_scheme *s, cyg_value_id v, const cyg_quant *q,
                              cyg_value_id *out_v)
{
    cyg_graph *g = s->g;
    const cyg_value from = *cyg_val(g, v); /* adding values may move the array */
    const int64_t count = cyg_value_elements(&from);
    const float *x = from.data;
    const double scale = (double)q->scales[0];
    const size_t size = cyg_type_size(q->type), bytes = (size_t)count * size;
    uint8_t *data = cyg_arena_alloc(&g->arena, bytes + 1, 64);
    if (data == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        const double real = (double)x[i] / scale;
        if (q->type == CYG_TYPE_U8) {
            data[i] = (uint8_t)saturate(real + q->zero_point, 0, 255);
        } else if (q->type == CYG_TYPE_S8) {
            data[i] = (uint8_t)(int8_t)saturate(real, -127, 127);
        } else if (q->type == CYG_TYPE_U16) {
            const uint16_t wide = (uint16_t)saturate(real + q->zero_point, 0, 65535);
            memcpy(data + 2 * i, &wide, 2);
        } else {
            const int16_t wide = (int16_t)saturate(real, -32767, 32767);
            memcpy(data + 2 * i, &wide, 2);
        }
    }
    *out_v = cyg_graph_add_const(g, from.name, q->type, from.rank, from.dims, data, bytes);
    if (cyg_value_is_none(*out_v))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_val(g, *out_v)->quant = *q;
    return CYG_OK;
}

/* reach sum|w| + |bias| < limit, the zero point's share included (docs/numerics.md). The limit
 * leaves 2^24 for a corrected bias. */
bool cyg_quant_sum_fits(const cyg_quant *x, double magnitude, double sum, double bias, double scale)
{
    const bool wide = x->type == CYG_TYPE_S16;
    return (wide ? 32768.0 : 255.0) * magnitude +
               fabs(rint(bias / ((double)x->scales[0] * scale)) - (double)x->zero_point * sum) <
           (wide ? 4503599627370496.0 : 2130706432.0);
}

bool cyg_quant_sums_always_fit(const cyg_quant *x, int64_t taps, double most, double bias,
                               double scale)
{
    const double sum = (double)taps * most;
    return cyg_quant_sum_fits(x, sum, sum, bias, scale) &&
           cyg_quant_sum_fits(x, sum, -sum, bias, scale);
}

/* `steps` on each side, unless the accumulator could overflow. */
static float channel_scale(const float *w, int64_t taps, double bias, const cyg_quant *x,
                           double steps, double least)
{
    double reach = 0.0;
    for (int64_t k = 0; k < taps; k++)
        reach = fabs((double)w[k]) > reach ? fabs((double)w[k]) : reach;
    reach = reach > 0.0 && reach < least ? least : reach;
    double s_w = reach > 0.0 ? reach / steps : fabs(bias) / ((double)x->scales[0] * 1048576.0);
    for (int tries = 0; tries < 64; tries++) {
        const double scale = (double)usable(s_w);
        double magnitude = 0.0, sum = 0.0;
        if (cyg_quant_sums_always_fit(x, taps, reach / scale + 1.0, bias, scale))
            break;
        for (int64_t k = 0; k < taps; k++) {
            const double q = nearest((double)w[k] / scale);
            magnitude += fabs(q);
            sum += q;
        }
        if (cyg_quant_sum_fits(x, magnitude, sum, bias, scale))
            break;
        s_w = scale * 2.0;
    }
    return usable(s_w);
}

typedef struct quantising {
    const cyg_value *from, *bias;
    const cyg_quant *x;
    int64_t taps, steps;
    double least;
    bool wide;
    float *scales;
    int8_t *data;
} quantising;

/* saturate for 8 bits: clamped first, which rounds to the same and needs no branch. */
static void quantise_row(const float *w, int64_t taps, double scale, double steps, int8_t *out)
{
    const double whole = 0x1.8p52;
    for (int64_t k = 0; k < taps; k++) {
        double q = (double)w[k] / scale;
        q = q > -steps ? q : -steps;
        q = q < steps ? q : steps;
        out[k] = (int8_t)(int32_t)((q + whole) - whole);
    }
}

static void quantise_channels(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const quantising *job = arg;
    const int64_t taps = job->taps, steps = job->steps;
    (void)worker;
    for (int64_t n = begin; n < end; n++) {
        const float *row = (const float *)job->from->data + n * taps;
        job->scales[n] = channel_scale(
            row, taps, job->bias != NULL ? (double)((const float *)job->bias->data)[n] : 0.0,
            job->x, (double)steps, job->least);
        if (!job->wide)
            quantise_row(row, taps, (double)job->scales[n], (double)steps, job->data + n * taps);
        for (int64_t k = 0; job->wide && k < taps; k++) {
            const int16_t q =
                (int16_t)saturate((double)row[k] / (double)job->scales[n], -steps, steps);
            memcpy(job->data + 2 * (n * taps + k), &q, 2);
        }
    }
}

cyg_status cyg_quant_weights(cyg_scheme *s, cyg_value_id w, const cyg_value *bias,
                             const cyg_quant *x, cyg_type type, cyg_value_id *out_w)
{
    cyg_graph *g = s->g;
    const cyg_value from = *cyg_val(g, w); /* adding values may move the array */
    const int64_t count = cyg_value_elements(&from), channels = from.dims[0],
                  taps = channels > 0 ? count / channels : 0;
    float *scales;
    CYG_DO(give_scales(s, (uint32_t)channels, &scales));
    const bool wide = type == CYG_TYPE_S16;
    const size_t bytes = (size_t)count * cyg_type_size(type);
    int8_t *data = cyg_arena_alloc(&g->arena, bytes + 1, 64);
    if (data == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    quantising job = {&from, bias,   x,   taps, wide ? 32639 : 127, s->options->least_weight,
                      wide,  scales, data};
    cyg_pool_for(count < SMALL ? NULL : s->ctx->pool, channels, 0, quantise_channels, &job);
    *out_w = cyg_graph_add_const(g, from.name, type, from.rank, from.dims, data, bytes);
    if (cyg_value_is_none(*out_w))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_val(g, *out_w)->quant =
        (cyg_quant){.type = type, .axis = 0, .count = (uint32_t)channels, .scales = scales};
    return CYG_OK;
}

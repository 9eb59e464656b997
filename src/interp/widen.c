/* float16, bfloat16 and float64 where a kernel knows float32 only: the operands are converted, the
 * kernel computes in float32, and its results are rounded to the type that the graph states.
 *
 * That is how accelerators without narrow arithmetic run such models, and more exact than float16
 * arithmetic. float64 keeps float32's precision in these operators (kernels that move, compare or
 * cast have forms of their own). Only calls that are refused as they stand are widened, so kernels
 * with a form for the type keep it. Constants are converted once and stay as long as the call. */
#include <stdlib.h>

#include "base/checked.h"
#include "interp/node_call.h"
#include "kernels/number.h"

static bool is_other_float(const cyg_kbuf *b)
{
    return b->data != NULL && b->type != CYG_TYPE_F32 && cyg_is_float_type(b->type);
}

bool cyg_node_call_wants_f32(const cyg_node_call *c)
{
    enum { MOST = 16 };
    cyg_kbuf in[MOST], out[MOST];
    const cyg_kop_info *info = cyg_kop_info_of(c->call.op);
    bool any = false;
    if (info == NULL || info->check(&c->call) == NULL || c->call.in_count > MOST ||
        c->call.out_count > MOST)
        return false;
    for (uint32_t i = 0; i < c->call.in_count; i++) {
        in[i] = c->in[i];
        any |= is_other_float(&in[i]);
        in[i].type = is_other_float(&in[i]) ? CYG_TYPE_F32 : in[i].type;
    }
    for (uint32_t i = 0; i < c->call.out_count; i++) {
        out[i] = c->out[i];
        any |= is_other_float(&out[i]);
        out[i].type = is_other_float(&out[i]) ? CYG_TYPE_F32 : out[i].type;
    }
    cyg_kcall call = c->call;
    call.in = in;
    call.out = out;
    return any && info->check(&call) == NULL;
}

static cyg_status convert(cyg_ctx *ctx, const cyg_node_call *c, const cyg_kbuf *from,
                          const cyg_kbuf *to, cyg_scratch *scratch)
{
    const cyg_kp_none none = {0};
    const cyg_kcall cast = {.op = CYG_KOP_f_cast,
                            .in_count = 1,
                            .out_count = 1,
                            .in = from,
                            .out = to,
                            .params = &none,
                            .isa = c->call.isa};
    CYG_DO(cyg_execute_check(ctx, &cast, c->name));
    return cyg_execute(ctx, &cast, false, scratch);
}

/* b as f32 of its own; the room may be there already. */
static cyg_status make_room(cyg_ctx *ctx, const cyg_node_call *c, cyg_kbuf *b, void **room)
{
    if (*room == NULL)
        *room = aligned_alloc(
            64, cyg_align_up((size_t)cyg_max64(cyg_count_of(b), 1) * sizeof(float), 64));
    if (*room == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for \"%s\" in float32", c->name);
    b->type = CYG_TYPE_F32;
    b->data = *room;
    return CYG_OK;
}

cyg_status cyg_node_call_widen(cyg_ctx *ctx, cyg_node_call *c, cyg_scratch *scratch)
{
    for (uint32_t i = 0; i < c->call.in_count; i++) {
        const cyg_kbuf from = c->in[i];
        if (!is_other_float(&from))
            continue;
        const bool is_done = from.is_const != 0 && c->wide[i] != NULL;
        CYG_DO(make_room(ctx, c, &c->in[i], &c->wide[i]));
        if (!is_done)
            CYG_DO(convert(ctx, c, &from, &c->in[i], scratch));
    }
    for (uint32_t i = 0; i < c->call.out_count; i++)
        if (is_other_float(&c->out[i]))
            CYG_DO(make_room(ctx, c, &c->out[i], &c->wide[c->call.in_count + i]));
    return CYG_OK;
}

cyg_status cyg_node_call_narrow(cyg_ctx *ctx, cyg_node_call *c, cyg_buf_of buf_of, void *user,
                                cyg_scratch *scratch)
{
    for (uint32_t i = 0; i < c->call.out_count; i++)
        if (c->wide[c->call.in_count + i] != NULL)
            CYG_DO(convert(ctx, c, &c->out[i], buf_of(user, c->lowered.out[i]), scratch));
    cyg_node_call_free_wide(c, false);
    return CYG_OK;
}

void cyg_node_call_free_wide(cyg_node_call *c, bool constants_too)
{
    for (uint32_t i = 0; c->wide != NULL && i < c->call.in_count + c->call.out_count; i++) {
        if (!constants_too && i < c->call.in_count && c->in[i].is_const != 0)
            continue;
        free(c->wide[i]);
        c->wide[i] = NULL;
    }
}

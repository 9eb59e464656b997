/* Binds a lowered node to buffers. Weights are packed at the first bind and stay packed for the
 * life of the call. */
#include "interp/node_call.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/shape.h"

void cyg_node_call_shape(const cyg_value *v, cyg_type type, cyg_kbuf *buf)
{
    buf->type = (int32_t)type;
    buf->rank = v->rank;
    memcpy(buf->dims, v->dims, sizeof buf->dims);
}

void cyg_node_call_const_buf(const cyg_value *v, cyg_kbuf *buf)
{
    static const uint64_t empty[8]; /* an empty constant still has an address */
    const void *data = v->data != NULL ? v->data : empty;
    cyg_node_call_shape(v, v->type, buf);
    memcpy(&buf->data, &data, sizeof data);
    buf->is_const = 1;
}

cyg_status cyg_node_call_init(cyg_ctx *ctx, const cyg_graph *g, cyg_node_id n, cyg_arena *arena,
                              cyg_data_of data_of, void *user, cyg_node_call *out_call)
{
    memset(out_call, 0, sizeof *out_call);
    out_call->name = cyg_nod(g, n)->name;
    out_call->g = g;
    CYG_DO(cyg_lower_node(ctx, g, n, arena, data_of, user, &out_call->lowered));
    const cyg_lowered *low = &out_call->lowered;
    out_call->in = CYG_NEW_ARRAY(arena, cyg_kbuf, low->in_count + 1);
    out_call->out = CYG_NEW_ARRAY(arena, cyg_kbuf, low->out_count + 1);
    out_call->wide = CYG_NEW_ARRAY(arena, void *, low->in_count + low->out_count + 1);
    if (out_call->in == NULL || out_call->out == NULL || out_call->wide == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    out_call->call = (cyg_kcall){.op = low->op,
                                 .in_count = low->in_count,
                                 .out_count = low->out_count,
                                 .in = out_call->in,
                                 .out = out_call->out,
                                 .params = low->params};
    return CYG_OK;
}

enum { WEIGHTS = 1 }; /* the operand that kernels pack */

/* Packed weights are not looked at again: an aligned copy of them was for packing only. */
static void drop_packed(cyg_node_call *c)
{
    if (WEIGHTS >= c->call.in_count || c->is_widened || c->in[WEIGHTS].data != c->wide[WEIGHTS])
        return;
    free(c->wide[WEIGHTS]);
    c->wide[WEIGHTS] = NULL;
    c->in[WEIGHTS].data = NULL;
}

static void prepare_part(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const cyg_node_call *c = arg;
    (void)worker;
    cyg_kop_info_of(c->call.op)->prepare_some(&c->call, begin, end, c->prepared);
}

static cyg_status prepare(cyg_ctx *ctx, cyg_node_call *c)
{
    const cyg_kop_info *info = cyg_kop_info_of(c->call.op);
    /* A model may ask for types that ONNX has and a kernel has not: no bug of ours. */
    const char *why = info != NULL ? info->check(&c->call) : "there is no such kernel";
    if (why != NULL)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "node \"%s\": no kernel for its operands: %s",
                        c->name, why);
    const size_t bytes = info->prepare_size != NULL ? info->prepare_size(&c->call) : 0;
    if (bytes > 0) {
        c->prepared = aligned_alloc(64, cyg_align_up(bytes, 64));
        if (c->prepared == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for packed weights of \"%s\"",
                            c->name);
        if (info->prepare_some != NULL)
            cyg_pool_for(bytes < CYG_CALL_SMALL ? NULL : ctx->pool, info->prepare_parts(&c->call),
                         0, prepare_part, c);
        else
            info->prepare(&c->call, c->prepared);
        c->call.prepared = c->prepared;
        drop_packed(c);
    }
    c->is_checked = true;
    return CYG_OK;
}

/* Floats that lie in a file at any address (onnx/onnx.h, in_place), where kernels can read them;
 * constants are copied once. */
static cyg_status align_operand(cyg_ctx *ctx, cyg_node_call *c, uint32_t i)
{
    cyg_kbuf *b = &c->in[i];
    if (b->type != CYG_TYPE_F32 || (uintptr_t)b->data % sizeof(float) == 0)
        return CYG_OK;
    if (i == WEIGHTS && c->prepared != NULL)
        return CYG_OK;
    const size_t bytes = (size_t)cyg_count_of(b) * sizeof(float);
    const bool is_done = b->is_const != 0 && c->wide[i] != NULL;
    if (c->wide[i] == NULL)
        c->wide[i] = aligned_alloc(64, cyg_align_up(bytes, 64));
    if (c->wide[i] == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for an operand of \"%s\"", c->name);
    if (!is_done)
        memcpy(c->wide[i], b->data, bytes);
    (void)cyg_graph_release_map(c->g, b->data);
    b->data = c->wide[i];
    return CYG_OK;
}

cyg_status cyg_node_call_bind(cyg_ctx *ctx, cyg_node_call *c, cyg_buf_of buf_of, void *user,
                              const struct cyg_kernels *isa, cyg_scratch *scratch)
{
    for (uint32_t i = 0; i < c->lowered.in_count; i++) {
        const cyg_operand *o = &c->lowered.in[i];
        c->in[i] = cyg_value_is_none(o->value) ? o->constant : *buf_of(user, o->value);
        CYG_DO(align_operand(ctx, c, i));
    }
    for (uint32_t i = 0; i < c->lowered.out_count; i++)
        c->out[i] = *buf_of(user, c->lowered.out[i]);
    c->call.isa = isa;
    if (!c->is_checked)
        c->is_widened = cyg_node_call_wants_f32(c);
    if (c->is_widened)
        CYG_DO(cyg_node_call_widen(ctx, c, scratch));
    return c->is_checked ? CYG_OK : prepare(ctx, c);
}

cyg_status cyg_node_call_run(cyg_ctx *ctx, cyg_node_call *c, cyg_buf_of buf_of, void *user,
                             cyg_scratch *scratch)
{
    CYG_DO(cyg_execute(ctx, &c->call, false, scratch));
    return c->is_widened ? cyg_node_call_narrow(ctx, c, buf_of, user, scratch) : CYG_OK;
}

void cyg_node_call_unpack(cyg_node_call *c)
{
    if (c->prepared == NULL)
        return;
    free(c->prepared);
    c->prepared = NULL;
    c->call.prepared = NULL;
    c->is_checked = false; /* the next bind packs again */
}

void cyg_node_call_deinit(cyg_node_call *c)
{
    cyg_node_call_free_wide(c, true);
    free(c->prepared);
    memset(c, 0, sizeof *c);
}

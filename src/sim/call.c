/* One instruction as a call of its kernel.
 *
 * Kernels take dense buffers. A dense operand is used in place; another is copied to scratch, of an
 * indexed one the rows that the index names. An output that may overlap an input goes through
 * scratch as well: all is read before anything is written. */
#include <string.h>

#include "base/checked.h"
#include "base/type.h"
#include "kernels/dispatch.h"
#include "sim/parts.h"
#include "sim/window.h"

uint8_t *cyg_sim_address(const cyg_sim *sim, const cyg_npu_view *v)
{
    switch (v->space) {
    case CYG_NPU_OCM:
        return sim->ocm + v->offset;
    case CYG_NPU_SWAP:
        return sim->swap + v->offset;
    case CYG_NPU_IO:
        return sim->io[v->buffer] == NULL ? NULL : sim->io[v->buffer] + v->offset;
    default: {
        /* Never written: outputs do not lie there. */
        const uint8_t *base = v->space == CYG_NPU_PARAM ? sim->p->params : sim->p->code;
        uint8_t *at;
        base = base == NULL ? NULL : base + v->offset;
        memcpy(&at, &base, sizeof at);
        return at;
    }
    }
}

bool cyg_sim_may_overlap(const cyg_npu_view *a, const cyg_npu_view *b)
{
    return a->space == b->space && a->buffer == b->buffer &&
           a->offset < b->offset + cyg_npu_view_extent(b) &&
           b->offset < a->offset + cyg_npu_view_extent(a);
}

/* The index operand of operand `at`, or NULL: all of its rows are touched. */
static const cyg_npu_view *index_of(const cyg_sim_call *c, uint32_t at)
{
    const int operand =
        at < c->instr->in_count ? (int)at : CYG_NPU_OUT((int)at - c->instr->in_count);
    for (unsigned k = 0; k < c->op->indexed_count; k++)
        if (c->op->indexed[k].operand == operand)
            return cyg_npu_operand_of(c->instr, c->op->indexed[k].index);
    return NULL;
}

static bool needs_staging(const cyg_sim_call *c, uint32_t at)
{
    const cyg_npu_view *v = &c->instr->operands[at];
    if (!cyg_window_is_dense(v))
        return true;
    for (uint32_t i = 0; at >= c->instr->in_count && i < at; i++)
        if (c->instr->operands[i].type != CYG_TYPE_NONE &&
            cyg_sim_may_overlap(v, &c->instr->operands[i]))
            return true;
    return false;
}

static size_t take(size_t *at, uint64_t bytes)
{
    const size_t here = *at;
    *at = cyg_align_up(here + bytes, 64);
    return here;
}

static void lay_operand(const cyg_sim *sim, cyg_sim_call *c, uint32_t at)
{
    const cyg_npu_view *v = &c->instr->operands[at];
    cyg_kbuf *b = &c->buffers[at];
    c->staged[at] = false;
    *b = (cyg_kbuf){.type = v->type, .rank = v->rank, .is_const = at < c->instr->in_count};
    if (v->type == CYG_TYPE_NONE)
        return;
    memcpy(b->dims, v->dims, sizeof v->dims);
    c->memory[at] = cyg_sim_address(sim, v);
    b->data = c->memory[at];
    c->staged[at] = needs_staging(c, at);
    if (c->staged[at]) {
        const size_t room = take(&c->scratch_bytes, cyg_npu_view_bytes(v));
        b->data = sim->scratch == NULL ? sim->ocm : sim->scratch + room;
    }
}

const char *cyg_sim_call_make(const cyg_sim *sim, const cyg_npu_instr *instr, bool checks,
                              cyg_sim_call *c)
{
    c->instr = instr;
    c->op = cyg_npu_op_info_of(instr->op);
    c->kernel = cyg_kop_info_of(c->op->kop);
    c->scratch_bytes = c->prepared_bytes = c->worker_at = c->worker_stride = 0;
    if (c->kernel == NULL || c->kernel->params_size > CYG_SIM_PARAMS)
        return "no kernel";
    if (instr->params_size > c->kernel->params_size)
        return "the parameter block is longer than the kernel's";
    memset(c->params.bytes, 0, c->kernel->params_size);
    if (instr->params_size > 0)
        memcpy(c->params.bytes, instr->params, instr->params_size);
    for (uint32_t i = 0; i < (uint32_t)instr->in_count + instr->out_count; i++)
        lay_operand(sim, c, i);
    c->call = (cyg_kcall){.op = c->op->kop,
                          .in_count = instr->in_count,
                          .out_count = instr->out_count,
                          .in = c->buffers,
                          .out = c->buffers + instr->in_count,
                          .params = &c->params,
                          .isa = sim->isa};
    const char *why = checks ? c->kernel->check(&c->call) : NULL;
    if (why != NULL)
        return why;
    c->prepared_bytes = c->kernel->prepare_size != NULL ? c->kernel->prepare_size(&c->call) : 0;
    c->worker_stride =
        cyg_align_up(c->kernel->scratch != NULL ? c->kernel->scratch(&c->call) : 0, 64);
    c->worker_at = take(&c->scratch_bytes, c->worker_stride * cyg_pool_threads(sim->pool));
    return NULL;
}

/* Between an operand's memory and its place in scratch. */
static void stage(const cyg_sim *sim, cyg_sim_call *c, uint32_t at, bool to_scratch)
{
    const cyg_npu_view *v = &c->instr->operands[at], *index = index_of(c, at);
    const cyg_npu_view dense = cyg_window_dense(v);
    uint8_t *scratch = c->buffers[at].data;
    if (index == NULL) {
        if (to_scratch)
            cyg_window_copy(v, c->memory[at], &dense, scratch);
        else
            cyg_window_copy(&dense, scratch, v, c->memory[at]);
        return;
    }
    const int64_t n = cyg_npu_view_elements(index);
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = cyg_npu_index_at(sim->p, index, i);
        if (to_scratch)
            cyg_window_copy_row(v, c->memory[at], row, &dense, scratch, row);
        else
            cyg_window_copy_row(&dense, scratch, row, v, c->memory[at], row);
    }
}

typedef struct part_arg {
    const cyg_sim_call *call;
    uint8_t *scratch;
} part_arg;

static void run_part(void *user, unsigned worker, int64_t begin, int64_t end)
{
    const part_arg *a = user;
    a->call->kernel->run(
        &a->call->call, begin, end,
        a->call->worker_stride == 0 ? NULL : a->scratch + worker * a->call->worker_stride);
}

void cyg_sim_call_run(cyg_sim *sim, cyg_sim_call *c)
{
    const uint32_t operands = (uint32_t)c->instr->in_count + c->instr->out_count;
    for (uint32_t i = 0; i < c->instr->in_count; i++)
        if (c->staged[i] && c->buffers[i].type != CYG_TYPE_NONE)
            stage(sim, c, i, true);
    if (c->prepared_bytes > 0) {
        c->call.prepared = cyg_sim_prepared_find(sim, c->instr, c->prepared_bytes);
        if (c->call.prepared == NULL) {
            uint8_t *to = cyg_sim_prepared_add(sim, c->instr, c->prepared_bytes);
            c->kernel->prepare(&c->call, to);
            c->call.prepared = to;
        }
    }
    const int64_t items = c->kernel->items(&c->call);
    const int64_t grain = cyg_kcall_bytes(&c->call) < CYG_CALL_SMALL ? items
                          : c->kernel->grain != NULL
                              ? c->kernel->grain(&c->call, cyg_pool_threads(sim->pool))
                              : 0;
    part_arg arg = {c, sim->scratch + c->worker_at};
    if (items > 0)
        cyg_pool_for(sim->pool, items, grain, run_part, &arg);
    for (uint32_t i = c->instr->in_count; i < operands; i++)
        if (c->staged[i])
            stage(sim, c, i, false);
}

/* The structural check of a program: what no reader, assembler or compiler may get past. All sizes
 * are hostile; nothing is added or multiplied unchecked.
 *
 * Waits: an instruction may wait for counts that the instructions before it, in program order, have
 * reached. Then executing in order never stops, and so no order of the engines does. */
#include "npu/program.h"

#include "base/checked.h"
#include "base/type.h"
#include "npu/tap.h"

typedef struct checker {
    cyg_ctx *ctx;
    const cyg_npu_machine *m;
    const cyg_npu_program *p;
    uint32_t at; /* instruction */
    const cyg_npu_op_info *info;
    uint32_t issued[CYG_NPU_MAX_ENGINES]; /* instructions before this one, by engine */
} checker;

#define FAIL(c, ...) fail_at(c, CYG_FAIL((c)->ctx, CYG_E_FORMAT, __VA_ARGS__))

static cyg_status fail_at(const checker *c, cyg_status status)
{
    const cyg_npu_instr *instr = &c->p->instrs[c->at];
    const char *step = instr->step < c->p->step_count ? c->p->step_names[instr->step] : "?";
    CYG_IGNORE(CYG_FAIL(c->ctx, status, "instruction %u, %s of step \"%s\", tile %u", c->at,
                        c->info != NULL ? c->info->mnemonic : "?", step, instr->tile));
    return status;
}

static uint64_t type_bytes(uint8_t type)
{
    const cyg_npu_view one = {.type = type};
    return cyg_npu_view_bytes(&one);
}

static const char *const space_names[CYG_NPU_SPACES] = {"OCM", "SWAP", "PARAM", "IO", "CODE"};

/* Size of the memory that v is a window on, 0 when there is none. */
static uint64_t memory_bytes(const cyg_npu_program *p, const cyg_npu_view *v)
{
    switch (v->space) {
    case CYG_NPU_OCM:
        return p->ocm_bytes;
    case CYG_NPU_SWAP:
        return p->swap_bytes;
    case CYG_NPU_PARAM:
        return p->param_bytes;
    case CYG_NPU_IO:
        return v->buffer < p->io_count ? p->io[v->buffer].bytes : 0;
    case CYG_NPU_CODE:
        return p->code_bytes;
    default:
        return 0;
    }
}

/* Every stride spans what the smaller ones reach, so that elements lie apart: then their number is
 * bounded by the memory, too. */
static bool is_apart(const cyg_npu_view *v)
{
    bool used[CYG_NPU_RANK] = {false};
    uint64_t reach = type_bytes(v->type);
    for (unsigned n = 0; n < v->rank; n++) {
        unsigned smallest = v->rank;
        for (unsigned i = 0; i < v->rank; i++)
            if (!used[i] && (smallest == v->rank || v->strides[i] < v->strides[smallest]))
                smallest = i;
        used[smallest] = true;
        if (v->dims[smallest] <= 1)
            continue;
        if ((uint64_t)v->strides[smallest] < reach)
            return false;
        reach += ((uint64_t)v->dims[smallest] - 1) * (uint64_t)v->strides[smallest];
    }
    return true;
}

/* The extent of an empty view as if each empty dimension had one element, so that no product of the
 * others overflows anywhere behind this check. */
static uint64_t largest_extent(const cyg_npu_view *v)
{
    cyg_npu_view full = *v;
    for (unsigned i = 0; i < v->rank; i++)
        full.dims[i] = v->dims[i] == 0 ? 1 : v->dims[i];
    return cyg_npu_view_extent(&full);
}

static cyg_status check_view(const checker *c, uint32_t operand, const cyg_npu_view *v)
{
    const uint64_t size = type_bytes(v->type);
    if (size == 0 || v->rank > CYG_NPU_RANK || v->space >= CYG_NPU_SPACES || v->reserved != 0)
        return FAIL(c, "operand %u: type %u, rank %u or memory %u does not exist", operand, v->type,
                    v->rank, v->space);
    if (v->space != CYG_NPU_IO && v->buffer != 0)
        return FAIL(c, "operand %u: a buffer number, %u, without IO", operand, v->buffer);
    if (v->offset % size != 0)
        return FAIL(c, "operand %u: offset %llu is no multiple of its elements' %llu bytes",
                    operand, (unsigned long long)v->offset, (unsigned long long)size);
    for (unsigned i = 0; i < v->rank; i++)
        if (v->dims[i] < 0 || v->strides[i] <= 0 || (uint64_t)v->strides[i] % size != 0)
            return FAIL(c, "operand %u: dimension %u is %lld elements, %lld bytes apart", operand,
                        i, (long long)v->dims[i], (long long)v->strides[i]);
    if (largest_extent(v) > CYG_NPU_MOST_BYTES)
        return FAIL(c, "operand %u: its dimensions are too large", operand);
    const uint64_t extent = cyg_npu_view_extent(v), limit = memory_bytes(c->p, v);
    if (!cyg_range_ok(v->offset, extent, limit))
        return FAIL(c, "operand %u: %llu bytes at %llu leave the %llu bytes of %s %u", operand,
                    (unsigned long long)extent, (unsigned long long)v->offset,
                    (unsigned long long)limit, space_names[v->space], v->buffer);
    if (!is_apart(v))
        return FAIL(c, "operand %u: its elements overlap", operand);
    return CYG_OK;
}

static bool is_dense(const cyg_npu_view *v)
{
    uint64_t stride = type_bytes(v->type);
    for (unsigned i = v->rank; i-- > 0;) {
        if (v->dims[i] != 1 && (uint64_t)v->strides[i] != stride)
            return false;
        stride *= (uint64_t)v->dims[i];
    }
    return true;
}

/* Where an operand may lie: transfers cross from DDR to OCM or back, everything else stays in the
 * OCM; index tables lie in the code. */
static cyg_status check_space(const checker *c, uint32_t operand, bool is_out,
                              const cyg_npu_view *v)
{
    const cyg_npu_instr *instr = &c->p->instrs[c->at];
    const bool is_index = !is_out && (c->info->index_mask >> operand & 1) != 0;
    const bool is_load = instr->op == CYG_NPU_OP_LD || instr->op == CYG_NPU_OP_LDX;
    if (is_index) {
        if (v->space != CYG_NPU_CODE || (v->type != CYG_TYPE_S32 && v->type != CYG_TYPE_S64) ||
            !is_dense(v))
            return FAIL(c, "operand %u: an index table is s32 or s64, dense, in CODE", operand);
        return CYG_OK;
    }
    const bool wants_ddr = c->info->engine == CYG_NPU_SDMA && is_load != is_out;
    const bool is_ddr =
        v->space == CYG_NPU_SWAP || v->space == CYG_NPU_PARAM || v->space == CYG_NPU_IO;
    if (wants_ddr ? !is_ddr : v->space != CYG_NPU_OCM)
        return FAIL(c, "operand %u: must lie in %s, lies in %s", operand,
                    wants_ddr ? "the DDR" : "OCM", space_names[v->space]);
    if (is_out &&
        (v->space == CYG_NPU_PARAM || (v->space == CYG_NPU_IO && !c->p->io[v->buffer].is_output)))
        return FAIL(c, "operand %u: writes what is only to be read", operand);
    return CYG_OK;
}

/* Entries of index tables name rows of what they index. */
static cyg_status check_indices(const checker *c)
{
    const cyg_npu_instr *instr = &c->p->instrs[c->at];
    const int64_t lowest = c->info->kop == 0 ? -1 : 0;
    for (unsigned k = 0; k < c->info->indexed_count; k++) {
        const cyg_npu_view *rows = cyg_npu_operand_of(instr, c->info->indexed[k].operand),
                           *table = cyg_npu_operand_of(instr, c->info->indexed[k].index);
        if (rows == NULL || table == NULL)
            continue;
        if (rows->rank == 0)
            return FAIL(c, "an operand without rows is indexed");
        const int64_t n = cyg_npu_view_elements(table);
        for (int64_t i = 0; i < n; i++) {
            const int64_t row = cyg_npu_index_at(c->p, table, i);
            if (row < lowest || row >= rows->dims[0])
                return FAIL(c, "index %lld of operand %d is %lld, there are %lld rows",
                            (long long)i, c->info->indexed[k].index, (long long)row,
                            (long long)rows->dims[0]);
        }
    }
    return CYG_OK;
}

/* Moves have no kernel that would check their shapes. */
static cyg_status check_move(const checker *c)
{
    const cyg_npu_instr *instr = &c->p->instrs[c->at];
    const cyg_npu_view *y = &instr->operands[instr->in_count], *x = &instr->operands[0];
    if (instr->op == CYG_NPU_OP_CV_FILL) {
        if (instr->params == NULL || instr->params_size != type_bytes(y->type))
            return FAIL(c, "the parameter block is not one element");
        return CYG_OK;
    }
    if (instr->params_size != 0)
        return FAIL(c, "a move takes no parameters");
    const bool is_indexed = c->info->indexed_count > 0;
    if (x->type != y->type || x->rank != y->rank || (is_indexed && x->rank == 0))
        return FAIL(c, "a move between different types or ranks");
    for (unsigned i = is_indexed; i < x->rank; i++)
        if (x->dims[i] != y->dims[i])
            return FAIL(c, "dimension %u is %lld here, %lld there", i, (long long)x->dims[i],
                        (long long)y->dims[i]);
    if (!is_indexed)
        return CYG_OK;
    const int64_t rows = instr->op == CYG_NPU_OP_STX ? x->dims[0] : y->dims[0];
    if (cyg_npu_view_elements(&instr->operands[1]) != rows)
        return FAIL(c, "%lld indices for %lld rows",
                    (long long)cyg_npu_view_elements(&instr->operands[1]), (long long)rows);
    return CYG_OK;
}

static cyg_status check_operands(const checker *c)
{
    const cyg_npu_instr *instr = &c->p->instrs[c->at];
    if (instr->in_count < c->info->min_in || instr->in_count > c->info->max_in ||
        instr->out_count != c->info->outs || instr->operands == NULL)
        return FAIL(c, "%u operands in, %u out: expected %u to %u in, %u out", instr->in_count,
                    instr->out_count, c->info->min_in, c->info->max_in, c->info->outs);
    for (uint32_t i = 0; i < (uint32_t)instr->in_count + instr->out_count; i++) {
        const cyg_npu_view *v = &instr->operands[i];
        if (v->type == CYG_TYPE_NONE && i >= c->info->min_in && i < instr->in_count)
            continue;
        CYG_DO(check_view(c, i, v));
        CYG_DO(check_space(c, i, i >= instr->in_count, v));
    }
    if (instr->params_size > CYG_NPU_MOST_PARAMS ||
        (instr->params == NULL && instr->params_size > 0) || (uintptr_t)instr->params % 8 != 0)
        return FAIL(c, "a parameter block of %u bytes, absent or not aligned", instr->params_size);
    if (c->info->kop == 0)
        CYG_DO(check_move(c));
    return check_indices(c);
}

static cyg_status check_waits(const checker *c)
{
    const cyg_npu_instr *instr = &c->p->instrs[c->at];
    uint64_t seen = 0; /* CYG_NPU_MAX_ENGINES bits */
    if (instr->wait_count > CYG_NPU_MAX_ENGINES || (instr->wait_count > 0 && instr->waits == NULL))
        return FAIL(c, "%u waits", instr->wait_count);
    for (uint32_t i = 0; i < instr->wait_count; i++) {
        const cyg_npu_wait *w = &instr->waits[i];
        if (w->engine >= cyg_npu_engine_count(c->m) || w->engine == instr->engine ||
            (seen >> w->engine & 1) != 0)
            return FAIL(c, "wait %u: engine %u is its own, does not exist or was waited for", i,
                        w->engine);
        seen |= (uint64_t)1 << w->engine;
        if (w->count == 0 || w->count > c->issued[w->engine])
            return FAIL(c, "wait %u: for %u instructions of engine %u, which has %u before this", i,
                        w->count, w->engine, c->issued[w->engine]);
    }
    return CYG_OK;
}

static cyg_status check_instr(checker *c)
{
    const cyg_npu_instr *instr = &c->p->instrs[c->at];
    c->info = cyg_npu_op_info_of(instr->op);
    if (c->info == NULL)
        return FAIL(c, "operation %u does not exist", instr->op);
    if (instr->engine >= cyg_npu_engine_count(c->m) ||
        cyg_npu_engine_at(c->m, instr->engine).kind != c->info->engine)
        return FAIL(c, "engine %u of %s %s can't run it", instr->engine, c->m->chip, c->m->mode);
    if (instr->step >= c->p->step_count)
        return FAIL(c, "step %u of %u", instr->step, c->p->step_count);
    CYG_DO(check_operands(c));
    CYG_DO(check_waits(c));
    c->issued[instr->engine]++;
    return CYG_OK;
}

cyg_status cyg_npu_program_check(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p)
{
    checker c = {.ctx = ctx, .m = m, .p = p};
    if (p->instr_count > CYG_NPU_MOST_INSTRS || p->io_count > CYG_NPU_MOST_IO ||
        p->step_count > CYG_NPU_MOST_STEPS || p->swap_bytes > CYG_NPU_MOST_SWAP || p->macs < 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "an NPU program of %u instructions, %u steps, %u tensors, %llu bytes of "
                        "swap: too large",
                        p->instr_count, p->step_count, p->io_count,
                        (unsigned long long)p->swap_bytes);
    for (uint32_t i = 0; i < p->io_count; i++)
        if (p->io[i].bytes > CYG_NPU_MOST_BYTES)
            return CYG_FAIL(ctx, CYG_E_FORMAT, "an NPU program's tensor \"%s\" has %llu bytes",
                            p->io[i].name, (unsigned long long)p->io[i].bytes);
    if (p->ocm_bytes > (uint64_t)m->ocm_bytes)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "an NPU program for %llu bytes of OCM, %s %s has %lld",
                        (unsigned long long)p->ocm_bytes, m->chip, m->mode,
                        (long long)m->ocm_bytes);
    for (; c.at < p->instr_count; c.at++)
        CYG_DO(check_instr(&c));
    return cyg_npu_taps_check(ctx, p);
}

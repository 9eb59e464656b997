/* Bytes to programs. Nothing is believed: a count is refused unless the bytes that it needs at
 * least are there, so that memory stays in proportion to the input. */
#include <string.h>

#include "base/bytes.h"
#include "base/type.h"
#include "npu/code.h"
#include "npu/varint.h"

typedef struct reader {
    cyg_ctx *ctx;
    cyg_arena *arena;
    cyg_varint_reader in;
    const void **blocks; /* [block_count] */
    uint32_t *block_sizes;
    uint32_t block_count;
    cyg_npu_program *p;
} reader;

static cyg_status damaged(const reader *r, const char *what)
{
    return CYG_FAIL(r->ctx, CYG_E_FORMAT, "NPU code: %s, at byte %zu of %zu", what,
                    (size_t)(r->in.at - r->in.begin), (size_t)(r->in.end - r->in.begin));
}

static cyg_status no_memory(const reader *r)
{
    return CYG_FAIL(r->ctx, CYG_E_NOMEM, "out of memory for an NPU program");
}

static uint64_t get(reader *r)
{
    return cyg_varint_get(&r->in);
}

static uint64_t get_limited(reader *r, uint64_t highest)
{
    return cyg_varint_limited(&r->in, highest);
}

static uint32_t get_count(reader *r, uint64_t highest, size_t least)
{
    return cyg_varint_count(&r->in, highest, least);
}

static const uint8_t *get_bytes(reader *r, uint64_t size)
{
    const uint8_t *bytes = r->in.at;
    if (r->in.failed || size > (uint64_t)(r->in.end - r->in.at)) {
        r->in.failed = true;
        return NULL;
    }
    r->in.at += size;
    return bytes;
}

/* A copy with its zero byte; names hold none themselves. */
static const char *get_string(reader *r)
{
    const uint64_t size = get(r);
    const uint8_t *bytes = get_bytes(r, size);
    if (bytes == NULL || memchr(bytes, 0, (size_t)size) != NULL) {
        r->in.failed = true;
        return NULL;
    }
    return cyg_arena_strndup(r->arena, (const char *)bytes, (size_t)size);
}

static cyg_status read_head(reader *r)
{
    cyg_npu_program *p = r->p;
    if (get(r) != CYG_NPU_CODE_VERSION)
        return damaged(r, "a version that this cygnet does not read");
    p->chip = get_string(r);
    p->mode = get_string(r);
    const uint8_t *hash = get_bytes(r, 8);
    if (r->in.failed)
        return damaged(r, "no name of a chip and its mode");
    p->machine_hash = cyg_load_u64(hash);
    p->ocm_bytes = get(r);
    p->swap_bytes = get(r);
    const uint64_t param_bytes = get(r);
    p->macs = (int64_t)get_limited(r, INT64_MAX);
    if (r->in.failed || param_bytes != p->param_bytes)
        return damaged(r, "sizes of memories that are not those of its parameters");
    return p->chip == NULL || p->mode == NULL ? no_memory(r) : CYG_OK;
}

static cyg_status read_tensors(reader *r)
{
    cyg_npu_program *p = r->p;
    p->io_count = get_count(r, CYG_NPU_MOST_IO, 4);
    cyg_npu_io *io = CYG_NEW_ARRAY(r->arena, cyg_npu_io, (size_t)p->io_count + 1);
    if (io == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < p->io_count; i++) {
        io[i].name = get_string(r);
        io[i].bytes = get(r);
        io[i].tensor = (uint32_t)get_limited(r, UINT32_MAX);
        io[i].is_output = get_limited(r, 1) != 0;
        if (r->in.failed)
            return damaged(r, "a tensor's record");
        if (io[i].name == NULL)
            return no_memory(r);
    }
    p->io = io;
    p->step_count = get_count(r, CYG_NPU_MOST_STEPS, 1);
    const char **names = CYG_NEW_ARRAY(r->arena, const char *, (size_t)p->step_count + 1);
    if (names == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < p->step_count; i++) {
        names[i] = get_string(r);
        if (r->in.failed)
            return damaged(r, "a step's name");
        if (names[i] == NULL)
            return no_memory(r);
    }
    p->step_names = names;
    return r->in.failed ? damaged(r, "more tensors or steps than there are bytes for") : CYG_OK;
}

static cyg_status read_blocks(reader *r)
{
    cyg_npu_program *p = r->p;
    p->code_bytes = get(r);
    const uint8_t *code = get_bytes(r, p->code_bytes);
    if (code == NULL)
        return damaged(r, "constants that leave the section");
    uint8_t *copy = cyg_arena_alloc(r->arena, (size_t)p->code_bytes + 8, 64);
    r->block_count = get_count(r, CYG_NPU_MOST_INSTRS, 2);
    r->blocks = CYG_NEW_ARRAY(r->arena, const void *, (size_t)r->block_count + 1);
    r->block_sizes = CYG_NEW_ARRAY(r->arena, uint32_t, (size_t)r->block_count + 1);
    if (copy == NULL || r->blocks == NULL || r->block_sizes == NULL)
        return no_memory(r);
    memcpy(copy, code, (size_t)p->code_bytes);
    p->code = copy;
    for (uint32_t i = 0; i < r->block_count; i++) {
        r->block_sizes[i] = (uint32_t)get_limited(r, CYG_NPU_MOST_PARAMS);
        const uint8_t *bytes = get_bytes(r, r->block_sizes[i]);
        if (bytes == NULL || r->block_sizes[i] == 0)
            return damaged(r, "a parameter block");
        void *block = cyg_arena_alloc(r->arena, r->block_sizes[i], 8);
        if (block == NULL)
            return no_memory(r);
        memcpy(block, bytes, r->block_sizes[i]);
        r->blocks[i] = block;
    }
    return r->in.failed ? damaged(r, "more parameter blocks than there are bytes for") : CYG_OK;
}

static void read_view(reader *r, cyg_npu_view *v)
{
    v->type = (uint8_t)get_limited(r, CYG_TYPE_COUNT - 1);
    if (v->type == CYG_TYPE_NONE)
        return;
    const uint64_t head = get_limited(r, 255);
    const bool dense = head >= 128;
    v->space = head >> 4 & 7;
    v->rank = head & 15;
    if (v->rank > CYG_NPU_RANK || v->space >= CYG_NPU_SPACES) {
        v->rank = 0;
        r->in.failed = true;
        return;
    }
    if (v->space == CYG_NPU_IO)
        v->buffer = (uint32_t)get_limited(r, UINT32_MAX);
    v->offset = get(r);
    for (unsigned i = 0; i < v->rank; i++)
        v->dims[i] = (int64_t)get_limited(r, INT64_MAX);
    for (unsigned i = 0; !dense && i < v->rank; i++)
        v->strides[i] = (int64_t)get_limited(r, INT64_MAX);
    const cyg_npu_view one = {.type = v->type};
    int64_t stride = (int64_t)cyg_npu_view_bytes(&one);
    for (unsigned i = v->rank; dense && i-- > 0;) {
        v->strides[i] = stride;
        if (__builtin_mul_overflow(stride, v->dims[i] > 0 ? v->dims[i] : 1, &stride))
            r->in.failed = true;
    }
}

static cyg_status read_instr(reader *r, cyg_npu_instr *instr)
{
    instr->op = (uint16_t)get_limited(r, CYG_NPU_OP_LIMIT - 1);
    instr->engine = (uint16_t)get_limited(r, CYG_NPU_MAX_ENGINES - 1);
    instr->step = (uint32_t)get_limited(r, UINT32_MAX);
    instr->tile = (uint32_t)get_limited(r, UINT32_MAX);
    const uint32_t block = (uint32_t)get_limited(r, r->block_count);
    if (block > 0) {
        instr->params = r->blocks[block - 1];
        instr->params_size = r->block_sizes[block - 1];
    }
    instr->wait_count = get_count(r, CYG_NPU_MAX_ENGINES, 2);
    cyg_npu_wait *waits = CYG_NEW_ARRAY(r->arena, cyg_npu_wait, (size_t)instr->wait_count + 1);
    if (waits == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < instr->wait_count; i++) {
        waits[i].engine = (uint32_t)get_limited(r, CYG_NPU_MAX_ENGINES - 1);
        waits[i].count = (uint32_t)get_limited(r, UINT32_MAX);
    }
    instr->waits = waits;
    instr->in_count = (uint16_t)get_limited(r, CYG_NPU_MAX_OPERANDS);
    instr->out_count = (uint16_t)get_limited(r, (uint64_t)CYG_NPU_MAX_OPERANDS - instr->in_count);
    const uint32_t operands = (uint32_t)instr->in_count + instr->out_count;
    cyg_npu_view *views = CYG_NEW_ARRAY(r->arena, cyg_npu_view, (size_t)operands + 1);
    if (views == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < operands; i++)
        read_view(r, &views[i]);
    instr->operands = views;
    return r->in.failed ? damaged(r, "an instruction") : CYG_OK;
}

cyg_status cyg_npu_decode(cyg_ctx *ctx, const void *data, size_t size, const uint8_t *params,
                          uint64_t param_bytes, cyg_arena *arena, cyg_npu_program *out_program)
{
    memset(out_program, 0, sizeof *out_program);
    out_program->params = params;
    out_program->param_bytes = param_bytes;
    reader r = {.ctx = ctx,
                .arena = arena,
                .in = {.at = data, .end = (const uint8_t *)data + size, .begin = data},
                .p = out_program};
    CYG_DO(read_head(&r));
    CYG_DO(read_tensors(&r));
    CYG_DO(read_blocks(&r));
    /* The shortest instruction: eight numbers. */
    const uint32_t count = get_count(&r, CYG_NPU_MOST_INSTRS, 8);
    if (r.in.failed)
        return damaged(&r, "more instructions than there are bytes for");
    cyg_npu_instr *instrs = CYG_NEW_ARRAY(arena, cyg_npu_instr, (size_t)count + 1);
    if (instrs == NULL)
        return no_memory(&r);
    out_program->instrs = instrs;
    out_program->instr_count = count;
    for (uint32_t i = 0; i < count; i++)
        CYG_DO(read_instr(&r, &instrs[i]));
    return r.in.at == r.in.end ? CYG_OK : damaged(&r, "bytes behind the last instruction");
}

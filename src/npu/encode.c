/* Programs to bytes: numbers as LEB128, strings and blocks with their length in front
 * (docs/npu-isa.md, Encoding). Equal parameter blocks are stored once. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/type.h"
#include "npu/code.h"
#include "npu/varint.h"

static void put(cyg_strbuf *s, uint64_t v)
{
    cyg_varint_put(s, v);
}

static void put_bytes(cyg_strbuf *s, const void *bytes, size_t size)
{
    put(s, size);
    cyg_strbuf_add(s, bytes, size);
}

static void put_string(cyg_strbuf *s, const char *text)
{
    put_bytes(s, text, strlen(text));
}

static bool is_dense(const cyg_npu_view *v)
{
    const cyg_npu_view one = {.type = v->type};
    int64_t stride = (int64_t)cyg_npu_view_bytes(&one);
    for (unsigned i = v->rank; i-- > 0;) {
        if (v->strides[i] != stride)
            return false;
        stride *= v->dims[i] > 0 ? v->dims[i] : 1;
    }
    return true;
}

/* Type; then, if it is one: 128 dense | 16 space | rank; IO: buffer; offset; dimensions; strides
 * unless dense. */
static void put_view(cyg_strbuf *s, const cyg_npu_view *v)
{
    put(s, v->type);
    if (v->type == CYG_TYPE_NONE)
        return;
    const bool dense = is_dense(v);
    put(s, (dense ? 128u : 0u) | (unsigned)v->space << 4 | v->rank);
    if (v->space == CYG_NPU_IO)
        put(s, v->buffer);
    put(s, v->offset);
    for (unsigned i = 0; i < v->rank; i++)
        put(s, (uint64_t)v->dims[i]);
    for (unsigned i = 0; !dense && i < v->rank; i++)
        put(s, (uint64_t)v->strides[i]);
}

/* ---- parameter blocks: numbered from 1 in order of first use ---- */

typedef struct blocks {
    const cyg_npu_instr **first; /* the instruction that has it */
    uint32_t *number;            /* by instruction; 0 = none */
    uint32_t *table;             /* hash table of numbers, 0 = empty */
    size_t table_size;
    uint32_t count;
} blocks;

static bool collect_blocks(const cyg_npu_program *p, blocks *b)
{
    b->table_size = 64;
    while (b->table_size < 2 * (size_t)p->instr_count)
        b->table_size *= 2;
    b->first = calloc((size_t)p->instr_count + 1, sizeof *b->first);
    b->number = calloc((size_t)p->instr_count + 1, sizeof *b->number);
    b->table = calloc(b->table_size, sizeof *b->table);
    if (b->first == NULL || b->number == NULL || b->table == NULL)
        return false;
    for (uint32_t i = 0; i < p->instr_count; i++) {
        const cyg_npu_instr *instr = &p->instrs[i];
        if (instr->params_size == 0)
            continue;
        size_t at = cyg_hash64(instr->params, instr->params_size, 0) & (b->table_size - 1);
        for (; b->table[at] != 0; at = (at + 1) & (b->table_size - 1)) {
            const cyg_npu_instr *other = b->first[b->table[at] - 1];
            if (other->params_size == instr->params_size &&
                memcmp(other->params, instr->params, instr->params_size) == 0)
                break;
        }
        if (b->table[at] == 0) {
            b->first[b->count] = instr;
            b->table[at] = ++b->count;
        }
        b->number[i] = b->table[at];
    }
    return true;
}

static void put_instr(cyg_strbuf *s, const cyg_npu_instr *instr, uint32_t block)
{
    put(s, instr->op);
    put(s, instr->engine);
    put(s, instr->step);
    put(s, instr->tile);
    put(s, block);
    put(s, instr->wait_count);
    for (uint32_t i = 0; i < instr->wait_count; i++) {
        put(s, instr->waits[i].engine);
        put(s, instr->waits[i].count);
    }
    put(s, instr->in_count);
    put(s, instr->out_count);
    for (uint32_t i = 0; i < (uint32_t)instr->in_count + instr->out_count; i++)
        put_view(s, &instr->operands[i]);
}

cyg_status cyg_npu_encode(cyg_ctx *ctx, const cyg_npu_program *p, cyg_strbuf *out)
{
    blocks b = {0};
    char hash[8];
    bool ok = collect_blocks(p, &b);
    cyg_store_u64(hash, p->machine_hash);
    put(out, CYG_NPU_CODE_VERSION);
    put_string(out, p->chip);
    put_string(out, p->mode);
    cyg_strbuf_add(out, hash, sizeof hash);
    put(out, p->ocm_bytes);
    put(out, p->swap_bytes);
    put(out, p->param_bytes);
    put(out, (uint64_t)p->macs);
    put(out, p->io_count);
    for (uint32_t i = 0; i < p->io_count; i++) {
        put_string(out, p->io[i].name);
        put(out, p->io[i].bytes);
        put(out, p->io[i].tensor);
        put(out, p->io[i].is_output);
    }
    put(out, p->step_count);
    for (uint32_t i = 0; i < p->step_count; i++)
        put_string(out, p->step_names[i]);
    put_bytes(out, p->code, (size_t)p->code_bytes);
    put(out, b.count);
    for (uint32_t i = 0; ok && i < b.count; i++)
        put_bytes(out, b.first[i]->params, b.first[i]->params_size);
    put(out, p->instr_count);
    for (uint32_t i = 0; ok && i < p->instr_count; i++)
        put_instr(out, &p->instrs[i], b.number[i]);
    free(b.first);
    free(b.number);
    free(b.table);
    return ok && !out->failed ? CYG_OK
                              : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for an NPU program");
}

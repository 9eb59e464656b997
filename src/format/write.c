/* The package writer. Small sections are built in memory, weights are streamed; constants with
 * equal bytes are stored once. Nothing that depends on the clock, on paths or on addresses goes in:
 * the same program gives the same file. */
#include "format/package.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/hash.h"
#include "base/str.h"
#include "format/layout.h"

typedef struct weight_slot {
    uint64_t hash, offset;
    const void *data;
    size_t bytes;
} weight_slot;

typedef struct encoder {
    const cyg_program *p;
    cyg_strbuf strings, program;
    weight_slot *slots; /* unique constants, in order of first use */
    size_t slot_count;
    uint64_t *weight_offset; /* by tensor */
    uint64_t weight_bytes;
} encoder;

static void put_u32(cyg_strbuf *s, uint32_t v)
{
    char b[4];
    cyg_store_u32(b, v);
    cyg_strbuf_add(s, b, sizeof b);
}

static void put_u64(cyg_strbuf *s, uint64_t v)
{
    char b[8];
    cyg_store_u64(b, v);
    cyg_strbuf_add(s, b, sizeof b);
}

static uint32_t put_string(encoder *e, const char *text)
{
    const size_t at = e->strings.len;
    cyg_strbuf_add(&e->strings, text, strlen(text) + 1);
    return (uint32_t)at;
}

static cyg_status place_weights(cyg_ctx *ctx, encoder *e)
{
    e->slots = calloc((size_t)e->p->tensor_count + 1, sizeof *e->slots);
    e->weight_offset = calloc((size_t)e->p->tensor_count + 1, sizeof *e->weight_offset);
    if (e->slots == NULL || e->weight_offset == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the package's constants");
    for (uint32_t i = 0; i < e->p->tensor_count; i++) {
        const cyg_tensor *t = &e->p->tensors[i];
        if (t->kind != CYG_TENSOR_CONST)
            continue;
        const size_t bytes = cyg_tensor_bytes(t);
        const uint64_t hash = cyg_hash64(t->data, bytes, 0);
        size_t k = 0;
        while (k < e->slot_count &&
               !(e->slots[k].hash == hash && e->slots[k].bytes == bytes &&
                 (bytes == 0 || memcmp(e->slots[k].data, t->data, bytes) == 0)))
            k++;
        if (k == e->slot_count) {
            e->slots[k] = (weight_slot){hash, e->weight_bytes, t->data, bytes};
            e->slot_count++;
            e->weight_bytes = cyg_align_up(e->weight_bytes + bytes, CYG_PK_ALIGN);
        }
        e->weight_offset[i] = e->slots[k].offset;
    }
    return CYG_OK;
}

static void put_tensor(encoder *e, uint32_t i)
{
    const cyg_tensor *t = &e->p->tensors[i];
    cyg_strbuf *s = &e->program;
    uint32_t scale_bits;
    memcpy(&scale_bits, &t->scale, sizeof scale_bits);
    put_u32(s, put_string(e, t->name));
    put_u32(s, (uint32_t)t->type);
    put_u32(s, (uint32_t)t->rank);
    put_u32(s, (uint32_t)t->kind);
    for (int k = 0; k < CYG_MAX_RANK; k++)
        put_u64(s, k < t->rank ? (uint64_t)t->dims[k] : 0);
    put_u32(s, (uint32_t)t->zero_point);
    put_u32(s, scale_bits);
    put_u64(s, t->kind == CYG_TENSOR_CONST ? e->weight_offset[i] : t->offset);
    put_u64(s, t->arena_offset);
}

static void encode_program(encoder *e)
{
    const cyg_program *p = e->p;
    cyg_strbuf *s = &e->program;
    uint64_t params_bytes = 0;
    uint32_t operands = 0;
    for (uint32_t i = 0; i < p->step_count; i++) {
        params_bytes += cyg_align_up(p->steps[i].params_size, 8);
        operands += p->steps[i].in_count + p->steps[i].out_count;
    }
    const uint32_t head[] = {p->tensor_count, p->step_count, p->input_count,
                             p->output_count, operands,      0};
    for (size_t i = 0; i < CYG_COUNT(head); i++)
        put_u32(s, head[i]);
    put_u64(s, params_bytes);
    put_u64(s, p->arena_bytes);
    for (uint32_t i = 0; i < p->input_count; i++)
        put_u32(s, p->inputs[i]);
    for (uint32_t i = 0; i < p->output_count; i++)
        put_u32(s, p->outputs[i]);
    for (uint32_t i = 0; i < p->tensor_count; i++)
        put_tensor(e, i);
    uint32_t operand = 0, params = 0;
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_step *step = &p->steps[i];
        const uint32_t row[] = {put_string(e, step->name),
                                put_string(e, step->sources),
                                (uint32_t)step->op,
                                step->in_count,
                                step->out_count,
                                operand,
                                params,
                                step->params_size};
        for (size_t k = 0; k < CYG_COUNT(row); k++)
            put_u32(s, row[k]);
        put_u64(s, (uint64_t)step->macs);
        operand += step->in_count + step->out_count;
        params += (uint32_t)cyg_align_up(step->params_size, 8);
    }
    for (uint32_t i = 0; i < p->step_count; i++) {
        for (uint32_t k = 0; k < p->steps[i].in_count; k++)
            put_u32(s, p->steps[i].in[k]);
        for (uint32_t k = 0; k < p->steps[i].out_count; k++)
            put_u32(s, p->steps[i].out[k]);
    }
    for (uint32_t i = 0; i < p->step_count; i++) {
        static const char zeros[8];
        cyg_strbuf_add(s, p->steps[i].params, p->steps[i].params_size);
        cyg_strbuf_add(s, zeros,
                       cyg_align_up(p->steps[i].params_size, 8) - p->steps[i].params_size);
    }
}

/* Header and table are zeros at first and patched when sizes and checksums are known. */
static cyg_status write_sections(cyg_ctx *ctx, cyg_writer *w, const encoder *e, const char *meta)
{
    uint8_t head[CYG_PK_HEADER + CYG_PK_SECTIONS * CYG_PK_ROW] = {0};
    const struct {
        uint32_t kind;
        const void *data;
        size_t size;
    } small[] = {{CYG_SECTION_META, meta, strlen(meta)},
                 {CYG_SECTION_STRINGS, e->strings.data, e->strings.len},
                 {CYG_SECTION_PROGRAM, e->program.data, e->program.len}};
    cyg_writer_write(w, head, sizeof head);
    for (size_t i = 0; i <= CYG_COUNT(small); i++) {
        uint8_t *row = head + CYG_PK_HEADER + i * CYG_PK_ROW;
        cyg_writer_pad(w, CYG_PK_ALIGN);
        const uint64_t offset = cyg_writer_offset(w);
        uint64_t size = 0, checksum = 0;
        if (i < CYG_COUNT(small)) {
            cyg_writer_write(w, small[i].data, small[i].size);
            size = small[i].size;
            checksum = cyg_hash64(small[i].data, small[i].size, 0);
        } else {
            for (size_t k = 0; k < e->slot_count; k++) {
                cyg_writer_pad(w, CYG_PK_ALIGN);
                cyg_writer_write(w, e->slots[k].data, e->slots[k].bytes);
                if (e->slots[k].bytes > 0)
                    checksum = cyg_hash64(e->slots[k].data, e->slots[k].bytes, checksum);
            }
            cyg_writer_pad(w, CYG_PK_ALIGN);
            size = e->weight_bytes;
        }
        cyg_store_u32(row, i < CYG_COUNT(small) ? small[i].kind : CYG_SECTION_WEIGHTS);
        cyg_store_u64(row + 8, offset);
        cyg_store_u64(row + 16, size);
        cyg_store_u64(row + 24, checksum);
    }
    memcpy(head, CYG_PK_MAGIC, 8);
    cyg_store_u32(head + 8, CYG_PACKAGE_VERSION);
    cyg_store_u32(head + 12, CYG_PK_SECTIONS);
    cyg_store_u64(head + 16, cyg_writer_offset(w));
    cyg_store_u64(head + 24, cyg_hash64(head + CYG_PK_HEADER, sizeof head - CYG_PK_HEADER, 0));
    return cyg_writer_patch(ctx, w, 0, head, sizeof head);
}

cyg_status cyg_package_write(cyg_ctx *ctx, const char *path, const cyg_program *program,
                             const char *meta_json)
{
    encoder e = {.p = program};
    cyg_writer *w = NULL;
    cyg_status status = place_weights(ctx, &e);
    if (status != CYG_OK)
        goto done;
    put_string(&e, "");
    encode_program(&e);
    if (e.strings.failed || e.program.failed || e.strings.len > UINT32_MAX ||
        e.program.len > UINT32_MAX) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while encoding the package");
        goto done;
    }
    status = cyg_writer_open(ctx, path, &w);
    if (status != CYG_OK)
        goto done;
    status = write_sections(ctx, w, &e, meta_json);
    if (status == CYG_OK) {
        status = cyg_writer_commit(ctx, w);
        w = NULL;
    }
done:
    cyg_writer_abort(w);
    free(e.slots);
    free(e.weight_offset);
    cyg_strbuf_deinit(&e.strings);
    cyg_strbuf_deinit(&e.program);
    return status;
}

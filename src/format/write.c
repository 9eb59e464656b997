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
#include "format/nibbles.h"
#include "format/subgraph.h"

enum { LEAST_SHRUNK = 256 }; /* bytes of a constant that 4 bits are worth a look for */

typedef struct weight_slot {
    uint64_t hash, offset;
    const void *data;
    size_t bytes;
    uint8_t *nibbles; /* what is stored instead, own memory; NULL = data itself */
    size_t stored;
    int64_t rows; /* of nibbles */
} weight_slot;

typedef struct encoder {
    const cyg_program *programs;
    uint32_t program_count;
    cyg_strbuf strings, *encoded; /* encoded: by program */
    weight_slot *slots;           /* unique constants, in order of first use */
    size_t slot_count;
    size_t **weight_slot; /* by program and tensor: number in slots */
    uint64_t weight_bytes;
    const cyg_subgraph *subgraphs;
    uint32_t subgraph_count;
    cyg_strbuf *subgraph_bytes;      /* by subgraph */
    cyg_strbuf taps;                 /* of all */
    const cyg_subgraph **parameters; /* the first subgraph with these */
    uint32_t parameter_count;
    /* the program that is being encoded */
    uint32_t at;
    const cyg_program *p;
    cyg_strbuf *program;
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

/* Stores in 4 bits what fits. false when out of memory. */
static bool shrink(weight_slot *slot, const cyg_tensor *t)
{
    const cyg_nibbles n = cyg_nibbles_of(t, CYG_PACKAGE_NIBBLE_GROUP);
    const size_t size = cyg_nibbles_size(&n);
    if (size == 0 || slot->bytes < LEAST_SHRUNK)
        return true;
    slot->nibbles = malloc(size);
    if (slot->nibbles == NULL)
        return false;
    if (cyg_nibbles_pack(&n, t->data, slot->nibbles)) {
        slot->stored = size;
        slot->rows = n.rows;
    } else {
        free(slot->nibbles);
        slot->nibbles = NULL;
    }
    return true;
}

/* Equal bytes share a place; what is stored in 4 bits only with constants of the same rows and
 * taps, since these decide how it is read. */
static bool may_share(const weight_slot *slot, const cyg_tensor *t)
{
    const cyg_nibbles n = cyg_nibbles_of(t, CYG_PACKAGE_NIBBLE_GROUP);
    return slot->nibbles == NULL || (n.rows == slot->rows && cyg_nibbles_size(&n) == slot->stored);
}

/* The number of the constant's place in WEIGHTS: that of an equal one, or a new one. */
static cyg_status place_constant(cyg_ctx *ctx, encoder *e, const cyg_tensor *t, size_t *out_slot)
{
    const size_t bytes = cyg_tensor_bytes(t);
    const uint64_t hash = cyg_hash64(t->data, bytes, 0);
    size_t k = 0;
    while (k < e->slot_count &&
           !(e->slots[k].hash == hash && e->slots[k].bytes == bytes && may_share(&e->slots[k], t) &&
             (bytes == 0 || e->slots[k].data == t->data ||
              memcmp(e->slots[k].data, t->data, bytes) == 0)))
        k++;
    if (k == e->slot_count) {
        e->slots[k] = (weight_slot){.hash = hash,
                                    .offset = e->weight_bytes,
                                    .data = t->data,
                                    .bytes = bytes,
                                    .stored = bytes};
        e->slot_count++;
        if (!shrink(&e->slots[k], t))
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for constant \"%s\"", t->name);
        e->weight_bytes = cyg_align_up(e->weight_bytes + e->slots[k].stored, CYG_PK_ALIGN);
    }
    *out_slot = k;
    return CYG_OK;
}

static cyg_status place_weights(cyg_ctx *ctx, encoder *e)
{
    size_t tensors = 0;
    for (uint32_t i = 0; i < e->program_count; i++)
        tensors += e->programs[i].tensor_count;
    e->slots = calloc(tensors + 1, sizeof *e->slots);
    e->weight_slot = calloc((size_t)e->program_count + 1, sizeof *e->weight_slot);
    e->encoded = calloc((size_t)e->program_count + 1, sizeof *e->encoded);
    if (e->slots == NULL || e->weight_slot == NULL || e->encoded == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the package's constants");
    for (uint32_t i = 0; i < e->program_count; i++) {
        const cyg_program *p = &e->programs[i];
        e->weight_slot[i] = calloc((size_t)p->tensor_count + 1, sizeof **e->weight_slot);
        if (e->weight_slot[i] == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the package's constants");
        for (uint32_t t = 0; t < p->tensor_count; t++)
            if (p->tensors[t].kind == CYG_TENSOR_CONST)
                CYG_DO(place_constant(ctx, e, &p->tensors[t], &e->weight_slot[i][t]));
    }
    return CYG_OK;
}

static void put_tensor(encoder *e, uint32_t i)
{
    const cyg_tensor *t = &e->p->tensors[i];
    cyg_strbuf *s = e->program;
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
    if (t->kind == CYG_TENSOR_CONST) {
        const weight_slot *slot = &e->slots[e->weight_slot[e->at][i]];
        put_u64(s, slot->offset);
        put_u64(s, slot->nibbles != NULL ? CYG_PACKAGE_NIBBLE_GROUP : 0);
    } else {
        put_u64(s, t->offset);
        put_u64(s, t->arena_offset);
    }
}

static void encode_program(encoder *e, uint32_t index)
{
    const cyg_program *p = e->p = &e->programs[index];
    cyg_strbuf *s = e->program = &e->encoded[index];
    e->at = index;
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
    put_u32(s, p->group);
    put_u32(s, p->batch > 0 ? p->batch : 1);
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

/* ---- sections ---- */

typedef struct section_row {
    uint32_t kind, index;
    uint64_t offset, size, checksum;
} section_row;

static section_row write_small(cyg_writer *w, uint32_t kind, uint32_t index, const void *data,
                               size_t size)
{
    cyg_writer_pad(w, CYG_PK_ALIGN);
    const section_row row = {kind, index, cyg_writer_offset(w), size, cyg_hash64(data, size, 0)};
    cyg_writer_write(w, data, size);
    return row;
}

static section_row write_weights(cyg_writer *w, const encoder *e)
{
    cyg_writer_pad(w, CYG_PK_ALIGN);
    section_row row = {CYG_SECTION_WEIGHTS, 0, cyg_writer_offset(w), e->weight_bytes, 0};
    for (size_t k = 0; k < e->slot_count; k++) {
        cyg_writer_pad(w, CYG_PK_ALIGN);
        const weight_slot *slot = &e->slots[k];
        const void *data = slot->nibbles != NULL ? slot->nibbles : slot->data;
        cyg_writer_write(w, data, slot->stored);
        if (slot->stored > 0)
            row.checksum = cyg_hash64(data, slot->stored, row.checksum);
    }
    cyg_writer_pad(w, CYG_PK_ALIGN);
    return row;
}

static void put_row(uint8_t *head, uint32_t i, const section_row *row)
{
    uint8_t *at = head + CYG_PK_HEADER + (size_t)i * CYG_PK_ROW;
    cyg_store_u32(at, row->kind);
    cyg_store_u32(at + 4, row->index);
    cyg_store_u64(at + 8, row->offset);
    cyg_store_u64(at + 16, row->size);
    cyg_store_u64(at + 24, row->checksum);
}

/* Header and table are zeros at first and patched when sizes and checksums are known. */
static cyg_status write_sections(cyg_ctx *ctx, cyg_writer *w, const encoder *e, const char *meta)
{
    uint8_t head[CYG_PK_HEADER + CYG_PK_MOST_SECTIONS * CYG_PK_ROW] = {0};
    const uint32_t count =
        3 + e->program_count + e->subgraph_count + e->parameter_count + (e->taps.len > 0);
    const size_t size = CYG_PK_HEADER + (size_t)count * CYG_PK_ROW;
    uint32_t n = 0;
    cyg_writer_write(w, head, size);
    section_row row = write_small(w, CYG_SECTION_META, 0, meta, strlen(meta));
    put_row(head, n++, &row);
    row = write_small(w, CYG_SECTION_STRINGS, 0, e->strings.data, e->strings.len);
    put_row(head, n++, &row);
    for (uint32_t i = 0; i < e->program_count; i++) {
        row = write_small(w, CYG_SECTION_PROGRAM, i, e->encoded[i].data, e->encoded[i].len);
        put_row(head, n++, &row);
    }
    for (uint32_t i = 0; i < e->subgraph_count; i++) {
        row = write_small(w, CYG_SECTION_SUBGRAPH, i, e->subgraph_bytes[i].data,
                          e->subgraph_bytes[i].len);
        put_row(head, n++, &row);
    }
    row = write_weights(w, e);
    put_row(head, n++, &row);
    for (uint32_t i = 0; i < e->parameter_count; i++) {
        row = write_small(w, CYG_SECTION_PARAMETERS, i, e->parameters[i]->params,
                          e->parameters[i]->params_size);
        put_row(head, n++, &row);
    }
    if (e->taps.len > 0) {
        row = write_small(w, CYG_SECTION_TAPS, 0, e->taps.data, e->taps.len);
        put_row(head, n++, &row);
    }
    memcpy(head, CYG_PK_MAGIC, 8);
    cyg_store_u32(head + 8, CYG_PACKAGE_VERSION);
    cyg_store_u32(head + 12, count);
    cyg_store_u64(head + 16, cyg_writer_offset(w));
    cyg_store_u64(head + 24, cyg_hash64(head + CYG_PK_HEADER, size - CYG_PK_HEADER, 0));
    return cyg_writer_patch(ctx, w, 0, head, size);
}

/* Equal parameters are stored once: variants of a program share theirs. */
static uint32_t place_parameters(encoder *e, const cyg_subgraph *g)
{
    uint32_t k = 0;
    if (g->params_size == 0)
        return CYG_PK_NO_PARAMETERS;
    while (k < e->parameter_count &&
           (e->parameters[k]->params_size != g->params_size ||
            (e->parameters[k]->params != g->params &&
             memcmp(e->parameters[k]->params, g->params, g->params_size) != 0)))
        k++;
    if (k == e->parameter_count)
        e->parameters[e->parameter_count++] = g;
    return k;
}

static cyg_status encode_subgraphs(cyg_ctx *ctx, encoder *e)
{
    bool fits = true;
    e->subgraph_bytes = calloc((size_t)e->subgraph_count + 1, sizeof *e->subgraph_bytes);
    e->parameters = calloc((size_t)e->subgraph_count + 1, sizeof *e->parameters);
    if (e->subgraph_bytes == NULL || e->parameters == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while encoding the package");
    for (uint32_t i = 0; i < e->subgraph_count; i++) {
        const cyg_subgraph *g = &e->subgraphs[i];
        const uint32_t executor = put_string(e, g->executor), name = put_string(e, g->name);
        cyg_package_encode_subgraph(g, executor, name, place_parameters(e, g),
                                    &e->subgraph_bytes[i]);
        fits = fits && !e->subgraph_bytes[i].failed;
    }
    cyg_package_encode_taps(e->subgraphs, e->subgraph_count, &e->taps);
    return fits && !e->taps.failed
               ? CYG_OK
               : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while encoding the package");
}

static cyg_status encode_programs(cyg_ctx *ctx, encoder *e)
{
    bool fits = true;
    put_string(e, "");
    for (uint32_t i = 0; i < e->program_count; i++) {
        encode_program(e, i);
        fits = fits && !e->encoded[i].failed && e->encoded[i].len <= UINT32_MAX;
    }
    return fits && !e->strings.failed && e->strings.len <= UINT32_MAX
               ? CYG_OK
               : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while encoding the package");
}

static cyg_status encode_all(cyg_ctx *ctx, encoder *e)
{
    CYG_DO(place_weights(ctx, e));
    CYG_DO(encode_programs(ctx, e));
    CYG_DO(encode_subgraphs(ctx, e));
    return !e->strings.failed && e->strings.len <= UINT32_MAX
               ? CYG_OK
               : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while encoding the package");
}

static void close_encoder(encoder *e)
{
    for (uint32_t i = 0; e->weight_slot != NULL && i < e->program_count; i++)
        free(e->weight_slot[i]);
    for (size_t i = 0; i < e->slot_count; i++)
        free(e->slots[i].nibbles);
    for (uint32_t i = 0; e->encoded != NULL && i < e->program_count; i++)
        cyg_strbuf_deinit(&e->encoded[i]);
    for (uint32_t i = 0; e->subgraph_bytes != NULL && i < e->subgraph_count; i++)
        cyg_strbuf_deinit(&e->subgraph_bytes[i]);
    cyg_strbuf_deinit(&e->taps);
    free(e->slots);
    free(e->weight_slot);
    free(e->encoded);
    free(e->subgraph_bytes);
    free(e->parameters);
    cyg_strbuf_deinit(&e->strings);
}

cyg_status cyg_package_write_content(cyg_ctx *ctx, const char *path,
                                     const cyg_package_content *content)
{
    encoder e = {.programs = content->programs,
                 .program_count = content->program_count,
                 .subgraphs = content->subgraphs,
                 .subgraph_count = content->subgraph_count};
    cyg_writer *w = NULL;
    if (e.program_count == 0 || e.program_count > CYG_PACKAGE_MOST_PROGRAMS)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "a package holds 1 to %d programs (size groups times batch sizes), not %u",
                        CYG_PACKAGE_MOST_PROGRAMS, e.program_count);
    if (e.subgraph_count > CYG_PACKAGE_MOST_SUBGRAPHS)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "a package holds at most %d subgraphs, not %u",
                        CYG_PACKAGE_MOST_SUBGRAPHS, e.subgraph_count);
    for (uint32_t i = 0; i < e.subgraph_count; i++)
        if (e.subgraphs[i].tensor_count > CYG_PK_MOST_SUBGRAPH_TENSORS)
            return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                            "subgraph \"%s\" has %u tensors at its border, a package holds at most "
                            "%d of one",
                            e.subgraphs[i].name, e.subgraphs[i].tensor_count,
                            CYG_PK_MOST_SUBGRAPH_TENSORS);
    cyg_status status = encode_all(ctx, &e);
    if (status == CYG_OK)
        status = cyg_writer_open(ctx, path, &w);
    if (status == CYG_OK)
        status = write_sections(ctx, w, &e, content->meta_json);
    if (status == CYG_OK) {
        status = cyg_writer_commit(ctx, w);
        w = NULL;
    }
    cyg_writer_abort(w);
    close_encoder(&e);
    return status;
}

cyg_status cyg_package_write(cyg_ctx *ctx, const char *path, const cyg_program *programs,
                             uint32_t program_count, const char *meta_json)
{
    const cyg_package_content content = {
        .programs = programs, .program_count = program_count, .meta_json = meta_json};
    return cyg_package_write_content(ctx, path, &content);
}

/* The package reader. Nothing in the file is trusted: sizes are compared before use, strings are
 * bounded, every tensor's bytes lie inside the arena or the weights, and steps refer only to
 * tensors that exist. Records are copied out of the map (they may be unaligned there in a hostile
 * file); weights are used in place. */
#include "format/package.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/hash.h"
#include "format/layout.h"
#include "format/nibbles.h"
#include "format/subgraph.h"
#include "format/variants.h"

enum { MOST_OF_A_KIND = 64 };

typedef struct reader {
    cyg_ctx *ctx;
    const char *path;
    cyg_arena *arena;
    cyg_package *out;
    cyg_package_section sections[CYG_PK_KINDS + 1][MOST_OF_A_KIND]; /* by kind and index */
    uint32_t counts[CYG_PK_KINDS + 1];
    /* the program that is being read, and its decoded head */
    cyg_program *program;
    const cyg_package_section *at;
    uint32_t operand_count;
    uint64_t params_bytes;
    const uint8_t *io, *tensors, *steps, *operands, *params;
} reader;

static const char *section_name(uint32_t kind)
{
    switch (kind) {
#define CYG_SECTION(id, value, name)                                                               \
    case value:                                                                                    \
        return name;
        CYG_SECTIONS(CYG_SECTION)
#undef CYG_SECTION
    default:
        return "?";
    }
}

bool cyg_package_is(const void *bytes, size_t size)
{
    return size >= 8 && memcmp(bytes, CYG_PK_MAGIC, 8) == 0;
}

/* How often a kind may occur; its sections are numbered through from 0. */
static uint32_t most_of(uint32_t kind)
{
    switch (kind) {
    case CYG_SECTION_PROGRAM:
        return CYG_PACKAGE_MOST_PROGRAMS;
    case CYG_SECTION_SUBGRAPH:
    case CYG_SECTION_PARAMETERS:
        return CYG_PACKAGE_MOST_SUBGRAPHS;
    default:
        return 1;
    }
}

static cyg_status note_section(reader *r, uint32_t kind, uint32_t index, cyg_package_section found)
{
    if (kind < 1 || kind > CYG_PK_KINDS)
        return CYG_OK; /* a later version's section */
    if (index >= most_of(kind))
        return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: section \"%s\" has number %u, which is too high",
                        r->path, section_name(kind), index);
    cyg_package_section *own = &r->sections[kind][index];
    if (own->seen)
        return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: section \"%s\" occurs twice", r->path,
                        section_name(kind));
    *own = found;
    r->counts[kind]++;
    return CYG_OK;
}

static cyg_status check_complete(const reader *r)
{
    for (uint32_t kind = 1; kind <= CYG_PK_KINDS; kind++) {
        const bool optional = kind == CYG_SECTION_SUBGRAPH || kind == CYG_SECTION_PARAMETERS ||
                              kind == CYG_SECTION_TAPS;
        if (r->counts[kind] == 0 && !optional)
            return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: section \"%s\" is missing", r->path,
                            section_name(kind));
        for (uint32_t i = 0; i < r->counts[kind]; i++)
            if (!r->sections[kind][i].seen)
                return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: section \"%s\" %u is missing", r->path,
                                section_name(kind), i);
    }
    return CYG_OK;
}

/* WEIGHTS is summed constant by constant as written, that is over the whole section in order: see
 * check_weights. */
static cyg_status read_table(reader *r)
{
    const cyg_map *m = &r->out->map;
    const uint8_t *d = m->data;
    if (m->size < CYG_PK_HEADER || !cyg_package_is(d, m->size))
        return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                        "%s: not a cygnet package (expected \"%s\" at offset 0)", r->path,
                        CYG_PK_MAGIC);
    const uint32_t version = cyg_load_u32(d + 8), count = cyg_load_u32(d + 12);
    if (version != CYG_PACKAGE_VERSION)
        return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                        "%s: package version %u, this cygnet reads %d: build it again", r->path,
                        version, CYG_PACKAGE_VERSION);
    if (cyg_load_u64(d + 16) != m->size)
        return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                        "%s: truncated or grown: expected %llu bytes, found %zu", r->path,
                        (unsigned long long)cyg_load_u64(d + 16), m->size);
    if (count > CYG_PK_MOST_SECTIONS ||
        !cyg_range_ok(CYG_PK_HEADER, (uint64_t)count * CYG_PK_ROW, m->size))
        return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: section table of %u rows does not fit the file",
                        r->path, count);
    const uint64_t sum = cyg_hash64(d + CYG_PK_HEADER, (size_t)count * CYG_PK_ROW, 0);
    if (sum != cyg_load_u64(d + 24))
        return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                        "%s: section table is damaged (checksum %016llx, expected %016llx)",
                        r->path, (unsigned long long)sum, (unsigned long long)cyg_load_u64(d + 24));
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *row = d + CYG_PK_HEADER + (size_t)i * CYG_PK_ROW;
        const uint32_t kind = cyg_load_u32(row);
        const uint64_t offset = cyg_load_u64(row + 8), size = cyg_load_u64(row + 16);
        if (!cyg_range_ok(offset, size, m->size) || offset % CYG_PK_ALIGN != 0)
            return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                            "%s: section \"%s\" lies outside the file or is not aligned", r->path,
                            section_name(kind));
        CYG_DO(note_section(r, kind, cyg_load_u32(row + 4),
                            (cyg_package_section){d + offset, (size_t)size, true}));
    }
    return check_complete(r);
}

static cyg_status check_checksum(const reader *r, const uint8_t *row)
{
    const uint32_t kind = cyg_load_u32(row);
    const cyg_package_section *s = &r->sections[kind][cyg_load_u32(row + 4)];
    const uint64_t sum = cyg_hash64(s->data, s->size, 0);
    if (sum == cyg_load_u64(row + 24))
        return CYG_OK;
    return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                    "%s: section \"%s\" is damaged (checksum %016llx, expected %016llx)", r->path,
                    section_name(kind), (unsigned long long)sum,
                    (unsigned long long)cyg_load_u64(row + 24));
}

/* Of the small sections, or of the parameters. */
static cyg_status check_sections(const reader *r, bool parameters)
{
    const uint8_t *d = r->out->map.data;
    const uint32_t count = cyg_load_u32(d + 12);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *row = d + CYG_PK_HEADER + (size_t)i * CYG_PK_ROW;
        const uint32_t kind = cyg_load_u32(row);
        if (kind < 1 || kind > CYG_PK_KINDS || kind == CYG_SECTION_WEIGHTS ||
            (kind == CYG_SECTION_PARAMETERS) != parameters)
            continue;
        CYG_DO(check_checksum(r, row));
    }
    return CYG_OK;
}

static uint64_t weights_expected(const reader *r)
{
    const uint8_t *d = r->out->map.data;
    for (uint32_t i = 0; i < cyg_load_u32(d + 12); i++)
        if (cyg_load_u32(d + CYG_PK_HEADER + (size_t)i * CYG_PK_ROW) == CYG_SECTION_WEIGHTS)
            return cyg_load_u64(d + CYG_PK_HEADER + (size_t)i * CYG_PK_ROW + 24);
    return 0;
}

static size_t stored_bytes(const cyg_tensor *t)
{
    const cyg_nibbles n = cyg_nibbles_of(t, t->group);
    return t->group == 0 ? cyg_tensor_bytes(t) : cyg_nibbles_size(&n);
}

/* The writer chains the checksums of the distinct constants in file order; they are found again as
 * the distinct offsets of the constant tensors in order of first use, program after program. */
static cyg_status check_weights(reader *r)
{
    uint64_t sum = 0, next = 0;
    for (uint32_t k = 0; k < r->out->program_count; k++) {
        const cyg_program *p = &r->out->programs[k];
        for (uint32_t i = 0; i < p->tensor_count; i++) {
            const cyg_tensor *t = &p->tensors[i];
            const size_t bytes = t->kind == CYG_TENSOR_CONST ? stored_bytes(t) : 0;
            if (t->offset < next || bytes == 0)
                continue;
            sum = cyg_hash64(r->out->weights + t->offset, bytes, sum);
            cyg_map_release_pages(&r->out->map,
                                  (size_t)(r->out->weights - r->out->map.data) + (size_t)t->offset,
                                  bytes);
            next = cyg_align_up(t->offset + bytes, CYG_PK_ALIGN);
        }
    }
    if (sum != weights_expected(r))
        return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                        "%s: section \"weights\" is damaged (checksum %016llx, expected %016llx)",
                        r->path, (unsigned long long)sum, (unsigned long long)weights_expected(r));
    return CYG_OK;
}

static cyg_status damaged(const reader *r, const char *what, uint64_t which)
{
    return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: section \"program\" %u: %s (record %llu)", r->path,
                    (unsigned)(r->at - r->sections[CYG_SECTION_PROGRAM]), what,
                    (unsigned long long)which);
}

static cyg_status text_at(const reader *r, uint32_t offset, const char **out_text)
{
    const cyg_package_section *s = r->sections[CYG_SECTION_STRINGS];
    if (offset >= s->size || s->data[s->size - 1] != '\0')
        return damaged(r, "a name lies outside section \"strings\"", offset);
    *out_text = (const char *)(s->data + offset);
    return CYG_OK;
}

static cyg_status read_head(reader *r)
{
    const cyg_package_section *s = r->at;
    cyg_program *p = r->program;
    if (s->size < CYG_PK_PROGRAM_HEAD)
        return damaged(r, "too short", 0);
    p->tensor_count = cyg_load_u32(s->data);
    p->step_count = cyg_load_u32(s->data + 4);
    p->input_count = cyg_load_u32(s->data + 8);
    p->output_count = cyg_load_u32(s->data + 12);
    r->operand_count = cyg_load_u32(s->data + 16);
    r->params_bytes = cyg_load_u64(s->data + 24);
    p->arena_bytes = cyg_load_u64(s->data + 32);
    p->group = cyg_load_u32(s->data + 40);
    p->batch = cyg_load_u32(s->data + 44);
    /* 32-bit counts times small records can't overflow 64 bits. */
    const uint64_t io = 4 * ((uint64_t)p->input_count + p->output_count);
    const uint64_t tensors = (uint64_t)p->tensor_count * CYG_PK_TENSOR,
                   steps = (uint64_t)p->step_count * CYG_PK_STEP;
    const uint64_t operands = 4 * (uint64_t)r->operand_count;
    const uint64_t before = CYG_PK_PROGRAM_HEAD + io + tensors + steps + operands;
    if (before > s->size || r->params_bytes != s->size - before)
        return damaged(r, "its counts do not add up to its size", 0);
    if (p->arena_bytes > (uint64_t)1 << 40)
        return damaged(r, "the arena is larger than 1 TiB", 0);
    r->io = s->data + CYG_PK_PROGRAM_HEAD;
    r->tensors = r->io + io;
    r->steps = r->tensors + tensors;
    r->operands = r->steps + steps;
    r->params = r->operands + operands;
    return CYG_OK;
}

static cyg_status read_tensor(reader *r, uint32_t i)
{
    const uint8_t *b = r->tensors + (size_t)i * CYG_PK_TENSOR;
    cyg_program *p = r->program;
    cyg_tensor *t = &p->tensors[i];
    CYG_DO(text_at(r, cyg_load_u32(b), &t->name));
    t->type = cyg_load_i32(b + 4);
    t->rank = cyg_load_i32(b + 8);
    t->kind = cyg_load_i32(b + 12);
    if (t->rank < 0 || t->rank > CYG_MAX_RANK)
        return damaged(r, "a tensor's rank is not in 0..8", i);
    for (int k = 0; k < t->rank; k++)
        t->dims[k] = cyg_load_i64(b + 16 + 8 * k);
    t->zero_point = cyg_load_i32(b + 80);
    t->scale = cyg_load_f32(b + 84);
    t->offset = cyg_load_u64(b + 88);
    t->arena_offset = cyg_load_u64(b + 96);
    t->value = 0xffffffffu;
    const size_t bytes = cyg_tensor_bytes(t);
    if (bytes == SIZE_MAX || bytes > (size_t)1 << 40)
        return damaged(r, "a tensor's type or shape is not valid", i);
    switch (t->kind) {
    case CYG_TENSOR_CONST:
        if (t->arena_offset > CYG_PK_MOST_GROUP)
            return damaged(r, "a constant's groups of 4-bit numbers are too long", i);
        t->group = (int64_t)t->arena_offset;
        t->arena_offset = 0;
        if (t->group > 0 && stored_bytes(t) == 0)
            return damaged(r, "a constant in 4 bits is not S8 of two dimensions and more", i);
        if (!cyg_range_ok(t->offset, stored_bytes(t), r->out->weights_size) ||
            t->offset % CYG_PK_ALIGN != 0)
            return damaged(r, "a constant lies outside section \"weights\"", i);
        t->data = r->out->weights + t->offset;
        return CYG_OK;
    case CYG_TENSOR_ALIAS:
        return CYG_OK; /* checked when all tensors are known */
    case CYG_TENSOR_ARENA:
    case CYG_TENSOR_INPUT:
    case CYG_TENSOR_OUTPUT:
        if (!cyg_range_ok(t->arena_offset, bytes, p->arena_bytes) ||
            t->arena_offset % CYG_PK_ALIGN != 0)
            return damaged(r, "a tensor lies outside the arena", i);
        return CYG_OK;
    case CYG_TENSOR_INNER:
        return t->offset == 0 && t->arena_offset == 0
                   ? CYG_OK
                   : damaged(r, "a tensor inside a subgraph has a place", i);
    default:
        return damaged(r, "a tensor is of unknown kind", i);
    }
}

/* An alias shows a tensor of its size that stands before it and is no alias itself: no loops, and
 * no chains that would cost a walk each time. */
static cyg_status check_alias(const reader *r, uint32_t i)
{
    const cyg_tensor *list = r->program->tensors;
    const uint64_t shown = list[i].offset;
    if (shown >= i || list[shown].kind == CYG_TENSOR_ALIAS)
        return damaged(r, "an alias leads nowhere", i);
    return cyg_tensor_bytes(&list[shown]) == cyg_tensor_bytes(&list[i])
               ? CYG_OK
               : damaged(r, "an alias differs in size from what it shows", i);
}

/* The arena ends with the last tensor in it, so that its size is no number of its own to lie with.
 */
static cyg_status check_arena(const reader *r)
{
    const cyg_program *p = r->program;
    uint64_t end = 0;
    for (uint32_t i = 0; i < p->tensor_count; i++) {
        const cyg_tensor *t = &p->tensors[i];
        if (t->kind == CYG_TENSOR_CONST || t->kind == CYG_TENSOR_ALIAS ||
            t->kind == CYG_TENSOR_INNER)
            continue;
        const uint64_t own = t->arena_offset + cyg_tensor_bytes(t);
        end = own > end ? own : end;
    }
    return p->arena_bytes <= cyg_align_up(end, CYG_PK_ALIGN)
               ? CYG_OK
               : damaged(r, "the arena is larger than its tensors need", 0);
}

static cyg_status read_step(reader *r, uint32_t i)
{
    const uint8_t *b = r->steps + (size_t)i * CYG_PK_STEP;
    const cyg_program *p = r->program;
    cyg_step *s = &p->steps[i];
    CYG_DO(text_at(r, cyg_load_u32(b), &s->name));
    CYG_DO(text_at(r, cyg_load_u32(b + 4), &s->sources));
    s->op = cyg_load_i32(b + 8);
    s->in_count = cyg_load_u32(b + 12);
    s->out_count = cyg_load_u32(b + 16);
    const uint32_t first = cyg_load_u32(b + 20), params = cyg_load_u32(b + 24);
    s->params_size = cyg_load_u32(b + 28);
    s->macs = cyg_load_i64(b + 32);
    const uint64_t operands = (uint64_t)s->in_count + s->out_count;
    if (!cyg_range_ok(first, operands, r->operand_count) || s->out_count == 0)
        return damaged(r, "a step's operands lie outside their list", i);
    if (!cyg_range_ok(params, s->params_size, r->params_bytes) ||
        s->params_size > CYG_PK_PARAMS_ROOM)
        return damaged(r, "a step's parameters lie outside their list", i);
    uint32_t *list = CYG_NEW_ARRAY(r->arena, uint32_t, operands);
    uint8_t *block = cyg_arena_zalloc(r->arena, CYG_PK_PARAMS_ROOM, 16);
    if (list == NULL || block == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->path);
    memcpy(block, r->params + params, s->params_size);
    for (uint64_t k = 0; k < operands; k++) {
        list[k] = cyg_load_u32(r->operands + 4 * (first + k));
        const bool absent = list[k] == CYG_NO_TENSOR;
        if ((absent && k >= s->in_count) || (!absent && list[k] >= p->tensor_count))
            return damaged(r, "a step refers to a tensor that does not exist", i);
        if (k >= s->in_count && p->tensors[list[k]].kind != CYG_TENSOR_ARENA &&
            p->tensors[list[k]].kind != CYG_TENSOR_OUTPUT &&
            p->tensors[list[k]].kind != CYG_TENSOR_INNER)
            return damaged(r, "a step writes to a constant, an input or a view", i);
    }
    s->in = list;
    s->out = list + s->in_count;
    s->params = block;
    return CYG_OK;
}

static cyg_status read_io(reader *r, const uint8_t *at, uint32_t count, int32_t kind,
                          uint32_t **out_list)
{
    const cyg_program *p = r->program;
    *out_list = CYG_NEW_ARRAY(r->arena, uint32_t, count + 1);
    if (*out_list == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->path);
    for (uint32_t i = 0; i < count; i++) {
        (*out_list)[i] = cyg_load_u32(at + 4 * (size_t)i);
        if ((*out_list)[i] >= p->tensor_count || p->tensors[(*out_list)[i]].kind != kind)
            return damaged(r, "an input or output is not such a tensor", i);
    }
    return CYG_OK;
}

static cyg_status read_program(reader *r)
{
    cyg_program *p = r->program;
    CYG_DO(read_head(r));
    p->tensors = CYG_NEW_ARRAY(r->arena, cyg_tensor, (size_t)p->tensor_count + 1);
    p->steps = CYG_NEW_ARRAY(r->arena, cyg_step, (size_t)p->step_count + 1);
    if (p->tensors == NULL || p->steps == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->path);
    p->tensor_cap = p->tensor_count;
    p->step_cap = p->step_count;
    for (uint32_t i = 0; i < p->tensor_count; i++)
        CYG_DO(read_tensor(r, i));
    for (uint32_t i = 0; i < p->tensor_count; i++)
        if (p->tensors[i].kind == CYG_TENSOR_ALIAS)
            CYG_DO(check_alias(r, i));
    CYG_DO(check_arena(r));
    CYG_DO(read_io(r, r->io, p->input_count, CYG_TENSOR_INPUT, &p->inputs));
    CYG_DO(read_io(r, r->io + 4 * (size_t)p->input_count, p->output_count, CYG_TENSOR_OUTPUT,
                   &p->outputs));
    for (uint32_t i = 0; i < p->step_count; i++)
        CYG_DO(read_step(r, i));
    return CYG_OK;
}

static cyg_status read_programs(reader *r)
{
    cyg_package *k = r->out;
    k->program_count = r->counts[CYG_SECTION_PROGRAM];
    k->programs = CYG_NEW_ARRAY(r->arena, cyg_program, k->program_count);
    if (k->programs == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->path);
    for (uint32_t i = 0; i < k->program_count; i++) {
        r->program = &k->programs[i];
        r->at = &r->sections[CYG_SECTION_PROGRAM][i];
        CYG_DO(read_program(r));
    }
    CYG_DO(cyg_package_check_variants(r->ctx, r->path, k));
    return cyg_package_read_subgraphs(
        r->ctx, r->path, r->sections[CYG_SECTION_SUBGRAPH], r->counts[CYG_SECTION_SUBGRAPH],
        r->sections[CYG_SECTION_PARAMETERS], r->counts[CYG_SECTION_PARAMETERS],
        r->sections[CYG_SECTION_TAPS], r->sections[CYG_SECTION_STRINGS], r->arena, k);
}

cyg_status cyg_package_open(cyg_ctx *ctx, const char *path, cyg_arena *arena,
                            const cyg_package_options *options, cyg_package *out_package)
{
    memset(out_package, 0, sizeof *out_package);
    CYG_DO(cyg_map_open(ctx, path, &out_package->map));
    reader r = {.ctx = ctx, .path = path, .arena = arena, .out = out_package};
    cyg_status status = read_table(&r);
    if (status == CYG_OK)
        status = check_sections(&r, false);
    if (status == CYG_OK) {
        const cyg_package_section *meta = r.sections[CYG_SECTION_META];
        out_package->weights = r.sections[CYG_SECTION_WEIGHTS]->data;
        out_package->weights_size = r.sections[CYG_SECTION_WEIGHTS]->size;
        out_package->meta = cyg_arena_strndup(arena, (const char *)meta->data, meta->size);
        out_package->meta_size = meta->size;
        status = out_package->meta == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path)
                                           : read_programs(&r);
    }
    if (status == CYG_OK && (options == NULL || !options->skip_weight_checksum)) {
        status = check_weights(&r);
        if (status == CYG_OK)
            status = check_sections(&r, true);
    }
    if (status == CYG_OK)
        status = cyg_nibbles_expand(ctx, path, arena, out_package);
    if (status != CYG_OK)
        cyg_package_close(out_package);
    return status;
}

void cyg_package_close(cyg_package *package)
{
    cyg_map_close(&package->map);
    memset(package, 0, sizeof *package);
}

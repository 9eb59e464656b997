/* Protobuf's wire format: tag, then a varint, eight bytes, four bytes, or a length and that many
 * bytes.
 *
 * Nothing is copied: a length-delimited field is a range of the mapped file, which is why a 500 MB
 * model costs no memory until its weights are touched. (Reading the head of a tensor may map
 * megabytes around it; they are given back once the tensor is stepped over.) Every length is
 * checked against the message that holds it, so a child can never reach beyond its parent; depth is
 * bounded, so a hostile file cannot exhaust the stack. Unknown fields are skipped, as protobuf
 * demands of old readers; groups (wire types 3 and 4) never occur in ONNX and are refused.
 *
 * Repeated numbers may come packed or one by one, and even mixed: both go through one growing array
 * whose size is known before anything is stored, so a false count cannot cause an allocation larger
 * than the bytes that are really there (times eight, for varints). */
#include "onnx/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/ctx.h"
#include "base/file.h"

cyg_wire cyg_wire_root(const cyg_wire_file *file, cyg_span all, const char *name)
{
    return (cyg_wire){.file = file, .all = all, .name = name, .index = -1};
}

/* "graph.node[17].attribute[0]" into text; the innermost parts are kept when it gets long. */
static void format_path(const cyg_wire *w, char *text, size_t size)
{
    const cyg_wire *chain[CYG_WIRE_MAX_DEPTH + 1];
    size_t count = 0, used = 0;
    for (; w != NULL && count < CYG_COUNT(chain); w = w->parent)
        chain[count++] = w;
    text[0] = '\0';
    while (count-- > 0 && used < size) {
        const char *dot = used > 0 ? "." : "";
        const int n = chain[count]->index >= 0
                          ? snprintf(text + used, size - used, "%s%s[%lld]", dot,
                                     chain[count]->name, (long long)chain[count]->index)
                          : snprintf(text + used, size - used, "%s%s", dot, chain[count]->name);
        used += n > 0 ? (size_t)n : 0;
    }
}

cyg_status cyg_wire_fail(cyg_ctx *ctx, const cyg_wire *w, size_t at, const char *fmt, ...)
{
    char path[256], text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    format_path(w, path, sizeof path);
    const size_t offset = w->all.size > 0 ? (size_t)(w->all.data - w->file->data) + at : 0;
    return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: %s: byte %zu: %s", w->file->path, path, offset, text);
}

/* Reads a varint of at most ten bytes at *pos; false when it is cut or too long. */
static bool read_varint(cyg_span s, size_t *pos, uint64_t *out_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && *pos < s.size; shift += 7) {
        const uint8_t byte = s.data[(*pos)++];
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

enum { LARGE = 64 * 1024 };

/* The field was large: of the map up to its end nothing needs to stay. */
static void step_over(const cyg_wire_file *file, cyg_span field)
{
    if (field.size >= LARGE && file->mapped > 0)
        cyg_map_release_pages(&(cyg_map){.data = file->data, .size = file->mapped}, 0,
                              (size_t)(field.data - file->data) + field.size);
}

cyg_status cyg_wire_next(cyg_ctx *ctx, cyg_wire *w, cyg_wire_field *out_field)
{
    *out_field = (cyg_wire_field){.offset = w->pos};
    if (w->pos >= w->all.size)
        return CYG_OK;
    const size_t at = w->pos;
    uint64_t tag;
    if (!read_varint(w->all, &w->pos, &tag))
        return cyg_wire_fail(ctx, w, at, "expected a field tag, found a damaged varint");
    if (tag >> 3 == 0 || tag > UINT32_MAX)
        return cyg_wire_fail(ctx, w, at, "expected a field number from 1 to 536870911, found %llu",
                             (unsigned long long)(tag >> 3));
    out_field->number = (uint32_t)(tag >> 3);
    out_field->type = (uint32_t)(tag & 7);
    const size_t left = w->all.size - w->pos;
    switch (out_field->type) {
    case CYG_WIRE_VARINT:
        if (!read_varint(w->all, &w->pos, &out_field->value))
            return cyg_wire_fail(ctx, w, at, "field %u: the number is cut or longer than 64 bits",
                                 out_field->number);
        return CYG_OK;
    case CYG_WIRE_FIXED64:
    case CYG_WIRE_FIXED32: {
        const size_t size = out_field->type == CYG_WIRE_FIXED64 ? 8 : 4;
        if (left < size)
            return cyg_wire_fail(ctx, w, at, "field %u: expected %zu bytes, found %zu",
                                 out_field->number, size, left);
        out_field->value =
            size == 8 ? cyg_load_u64(w->all.data + w->pos) : cyg_load_u32(w->all.data + w->pos);
        w->pos += size;
        return CYG_OK;
    }
    case CYG_WIRE_BYTES: {
        uint64_t size;
        if (!read_varint(w->all, &w->pos, &size))
            return cyg_wire_fail(ctx, w, at, "field %u: the length is cut or longer than 64 bits",
                                 out_field->number);
        if (size > w->all.size - w->pos)
            return cyg_wire_fail(ctx, w, at,
                                 "field %u: expected %llu bytes, found %zu before the end of the "
                                 "message",
                                 out_field->number, (unsigned long long)size, w->all.size - w->pos);
        out_field->bytes = (cyg_span){w->all.data + w->pos, (size_t)size};
        w->pos += (size_t)size;
        step_over(w->file, out_field->bytes);
        return CYG_OK;
    }
    default:
        return cyg_wire_fail(ctx, w, at, "field %u: wire type %u is not in use by ONNX",
                             out_field->number, out_field->type);
    }
}

static cyg_status expect(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f, const char *name,
                         cyg_wire_type want)
{
    static const char *const types[] = {"a number", "8 bytes", "a length", "?", "?", "4 bytes"};
    if (f->type == (uint32_t)want)
        return CYG_OK;
    return cyg_wire_fail(ctx, w, f->offset, "%s (field %u): expected %s, found %s", name, f->number,
                         types[want], types[f->type]);
}

cyg_status cyg_wire_int(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f, const char *name,
                        int64_t *out_value)
{
    CYG_DO(expect(ctx, w, f, name, CYG_WIRE_VARINT));
    *out_value = (int64_t)f->value;
    return CYG_OK;
}

cyg_status cyg_wire_float(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                          const char *name, float *out_value)
{
    CYG_DO(expect(ctx, w, f, name, CYG_WIRE_FIXED32));
    const uint32_t bits = (uint32_t)f->value;
    memcpy(out_value, &bits, sizeof bits);
    return CYG_OK;
}

cyg_status cyg_wire_bytes(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                          const char *name, cyg_span *out_bytes)
{
    CYG_DO(expect(ctx, w, f, name, CYG_WIRE_BYTES));
    *out_bytes = f->bytes;
    return CYG_OK;
}

cyg_status cyg_wire_string(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                           const char *name, cyg_arena *arena, const char **out_text)
{
    CYG_DO(expect(ctx, w, f, name, CYG_WIRE_BYTES));
    if (f->bytes.size > 0 && memchr(f->bytes.data, 0, f->bytes.size) != NULL)
        return cyg_wire_fail(ctx, w, f->offset, "%s: a zero byte inside the text", name);
    *out_text = cyg_arena_strndup(arena, (const char *)f->bytes.data, f->bytes.size);
    if (*out_text == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", w->file->path);
    return CYG_OK;
}

cyg_status cyg_wire_message(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                            const char *name, int64_t index, cyg_wire *out_child)
{
    CYG_DO(expect(ctx, w, f, name, CYG_WIRE_BYTES));
    if (w->depth >= CYG_WIRE_MAX_DEPTH)
        return cyg_wire_fail(ctx, w, f->offset, "%s: messages are nested deeper than %d", name,
                             CYG_WIRE_MAX_DEPTH);
    *out_child = (cyg_wire){.file = w->file,
                            .all = f->bytes,
                            .parent = w,
                            .name = name,
                            .index = index,
                            .depth = w->depth + 1};
    return CYG_OK;
}

/* Room for `more` elements of `size` bytes; doubles so that unpacked elements cost linear time. */
static cyg_status reserve(cyg_ctx *ctx, const cyg_wire *w, cyg_arena *arena, cyg_wire_array *array,
                          size_t more, size_t size)
{
    size_t need, bytes;
    if (!cyg_add_size(array->count, more, &need))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", w->file->path);
    if (need <= array->cap)
        return CYG_OK;
    size_t cap = array->cap > 0 ? array->cap * 2 : need;
    if (cap < need)
        cap = need;
    void *data = cyg_mul_size(cap, size, &bytes) ? cyg_arena_alloc(arena, bytes, 64) : NULL;
    if (data == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", w->file->path);
    if (array->count > 0)
        memcpy(data, array->data, array->count * size);
    array->data = data;
    array->cap = cap;
    return CYG_OK;
}

cyg_status cyg_wire_ints(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f, const char *name,
                         cyg_arena *arena, cyg_wire_array *array)
{
    if (f->type == CYG_WIRE_VARINT) {
        CYG_DO(reserve(ctx, w, arena, array, 1, sizeof(int64_t)));
        ((int64_t *)array->data)[array->count++] = (int64_t)f->value;
        return CYG_OK;
    }
    CYG_DO(expect(ctx, w, f, name, CYG_WIRE_BYTES));
    size_t count = 0;
    for (size_t i = 0; i < f->bytes.size; i++)
        count += f->bytes.data[i] < 0x80;
    CYG_DO(reserve(ctx, w, arena, array, count, sizeof(int64_t)));
    for (size_t pos = 0; pos < f->bytes.size;) {
        uint64_t value;
        if (!read_varint(f->bytes, &pos, &value))
            return cyg_wire_fail(ctx, w, f->offset, "%s: a number is cut or longer than 64 bits",
                                 name);
        ((int64_t *)array->data)[array->count++] = (int64_t)value;
    }
    return CYG_OK;
}

cyg_status cyg_wire_fixed(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                          const char *name, size_t size, cyg_arena *arena, cyg_wire_array *array)
{
    if (f->type != CYG_WIRE_BYTES) {
        CYG_DO(expect(ctx, w, f, name, size == 8 ? CYG_WIRE_FIXED64 : CYG_WIRE_FIXED32));
        CYG_DO(reserve(ctx, w, arena, array, 1, size));
        memcpy((uint8_t *)array->data + array->count * size, &f->value, size);
        array->count++;
        return CYG_OK;
    }
    if (f->bytes.size % size != 0)
        return cyg_wire_fail(ctx, w, f->offset, "%s: expected a multiple of %zu bytes, found %zu",
                             name, size, f->bytes.size);
    if (f->bytes.size == 0)
        return CYG_OK;
    CYG_DO(reserve(ctx, w, arena, array, f->bytes.size / size, size));
    memcpy((uint8_t *)array->data + array->count * size, f->bytes.data, f->bytes.size);
    array->count += f->bytes.size / size;
    return CYG_OK;
}

cyg_status cyg_wire_count(cyg_ctx *ctx, const cyg_wire *w, size_t *counts, size_t limit)
{
    cyg_wire scan = *w;
    scan.pos = 0;
    memset(counts, 0, limit * sizeof *counts);
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(ctx, &scan, &f));
        if (f.number == 0)
            return CYG_OK;
        if (f.number < limit)
            counts[f.number]++;
    }
}

/* TensorProto to constant data.
 *
 * ONNX has four places where elements may be: raw_data (little-endian bytes), a typed list
 * (float_data, int32_data, int64_data, double_data, uint64_data), or a file beside the model. Raw
 * and external data are used where they lie in the mapped file when that address suits the element
 * type. In practice it seldom does: protobuf does not align, so about three in four float tensors
 * start at an odd place. Those are copied to 64-byte aligned memory of the graph, and the pages of
 * the file they came from are handed back, so that the peak is the weights once, not twice. Who
 * only hands weights on may ask for them in place (in_place): then those of more than one dimension
 * are used at any address, and every reader of constants in ir, pass and interp goes by that.
 *
 * int32_data also carries everything narrower, one element per number, and the bit patterns of the
 * 16-bit floats; numbers outside the element's range are refused rather than cut.
 *
 * The shape decides how many elements there must be; any other number is an error. Types that
 * Cygnet has no room for (strings, complex, float8, 4-bit) are reported through `refused`, so that
 * they appear in the one list of what is unsupported. */
#include "onnx/import.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

enum { RELEASE_FROM = 64 * 1024 };

const uint64_t cyg_onnx_nothing = 0;

/* As read: what the message holds, before any of it is believed. */
typedef struct raw_tensor {
    int64_t data_type;
    cyg_wire_array dims, floats, int32s, int64s, doubles, uint64s;
    cyg_span raw;
    bool has_raw, is_external;
    cyg_onnx_text_pair *externals;
    uint32_t external_count;
} raw_tensor;

static cyg_status read_entry(cyg_onnx_importer *imp, cyg_wire *w, cyg_onnx_text_pair *out)
{
    *out = (cyg_onnx_text_pair){.key = "", .value = ""};
    for (;;) {
        cyg_wire_field f;
        CYG_DO(cyg_wire_next(imp->ctx, w, &f));
        if (f.number == 0)
            return CYG_OK;
        if (f.number == 1)
            CYG_DO(cyg_wire_string(imp->ctx, w, &f, "key", &imp->scratch, &out->key));
        if (f.number == 2)
            CYG_DO(cyg_wire_string(imp->ctx, w, &f, "value", &imp->scratch, &out->value));
    }
}

static cyg_status read_external_entry(cyg_onnx_importer *imp, const cyg_wire *w,
                                      const cyg_wire_field *f, raw_tensor *t)
{
    cyg_wire child;
    CYG_DO(cyg_wire_message(imp->ctx, w, f, "external_data", t->external_count, &child));
    CYG_DO(read_entry(imp, &child, &t->externals[t->external_count]));
    t->external_count++;
    return CYG_OK;
}

static cyg_status read_fields(cyg_onnx_importer *imp, cyg_wire *w, raw_tensor *t)
{
    cyg_ctx *ctx = imp->ctx;
    cyg_arena *keep = &imp->graph->arena, *scratch = &imp->scratch;
    size_t counts[15];
    CYG_DO(cyg_wire_count(ctx, w, counts, CYG_COUNT(counts)));
    t->externals = CYG_NEW_ARRAY(scratch, cyg_onnx_text_pair, counts[13] + 1);
    if (t->externals == NULL)
        return CYG_ONNX_NOMEM(imp);
    for (;;) {
        cyg_wire_field f;
        int64_t number = 0;
        CYG_DO(cyg_wire_next(ctx, w, &f));
        switch (f.number) {
        case 0:
            return CYG_OK;
        case 1:
            CYG_DO(cyg_wire_ints(ctx, w, &f, "dims", scratch, &t->dims));
            break;
        case 2:
            CYG_DO(cyg_wire_int(ctx, w, &f, "data_type", &t->data_type));
            break;
        case 3:
            return cyg_wire_fail(ctx, w, f.offset, "segmented tensors are not in use by ONNX");
        case 4:
            CYG_DO(cyg_wire_fixed(ctx, w, &f, "float_data", 4, keep, &t->floats));
            break;
        case 5:
            CYG_DO(cyg_wire_ints(ctx, w, &f, "int32_data", scratch, &t->int32s));
            break;
        case 7:
            CYG_DO(cyg_wire_ints(ctx, w, &f, "int64_data", keep, &t->int64s));
            break;
        case 9:
            CYG_DO(cyg_wire_bytes(ctx, w, &f, "raw_data", &t->raw));
            t->has_raw = true;
            break;
        case 10:
            CYG_DO(cyg_wire_fixed(ctx, w, &f, "double_data", 8, keep, &t->doubles));
            break;
        case 11:
            CYG_DO(cyg_wire_ints(ctx, w, &f, "uint64_data", keep, &t->uint64s));
            break;
        case 13:
            CYG_DO(read_external_entry(imp, w, &f, t));
            break;
        case 14:
            CYG_DO(cyg_wire_int(ctx, w, &f, "data_location", &number));
            t->is_external = number == 1;
            break;
        default:
            break;
        }
    }
}

static const char *refused_type(int64_t data_type)
{
    switch (data_type) {
    case 8:
        return "element type string";
    case 14:
    case 15:
        return "element type complex";
    case 17:
    case 18:
    case 19:
    case 20:
        return "element type float8";
    case 23:
        return "element type float4";
    default:
        return "an element type that is newer than cygnet";
    }
}

/* Floats in more than one dimension. */
static bool is_matrix(const cyg_onnx_tensor *t)
{
    int wide = 0;
    for (int i = 0; i < t->rank; i++)
        wide += t->dims[i] != 1;
    return t->type == CYG_TYPE_F32 && wide > 1;
}

/* Copies what lies at an address that does not suit the type, and hands the pages back; small
 * things too, for reading one of them later maps 64 KiB of the file around it. */
static cyg_status align(cyg_onnx_importer *imp, cyg_span bytes, size_t element, cyg_onnx_tensor *t)
{
    const void **out = &t->data;
    *out = bytes.data;
    if (bytes.size == 0) {
        *out = &cyg_onnx_nothing;
        return CYG_OK;
    }
    const bool suits = (uintptr_t)bytes.data % element == 0 ||
                       (imp->options != NULL && imp->options->in_place && is_matrix(t));
    if (suits && bytes.size >= RELEASE_FROM)
        return CYG_OK;
    void *copy = cyg_arena_alloc(&imp->graph->arena, bytes.size, 64);
    if (copy == NULL)
        return CYG_ONNX_NOMEM(imp);
    memcpy(copy, bytes.data, bytes.size);
    *out = copy;
    const uintptr_t begin = (uintptr_t)imp->file.data, at = (uintptr_t)bytes.data;
    if (bytes.size >= RELEASE_FROM && at >= begin && at - begin < imp->file.size) {
        const cyg_map map = {.data = imp->file.data, .size = imp->file.size};
        cyg_map_release_pages(&map, at - begin, bytes.size);
    }
    return CYG_OK;
}

/* Stores numbers as elements of at most 32 bits; false when one does not fit. */
static bool narrow(const int64_t *from, size_t count, cyg_type type, uint8_t *to)
{
    const size_t size = cyg_type_size(type);
    int64_t low = 0, high = ((int64_t)1 << (8 * size)) - 1;
    if (type == CYG_TYPE_S8 || type == CYG_TYPE_S16 || type == CYG_TYPE_S32) {
        low = -(high / 2) - 1;
        high = high / 2;
    }
    if (type == CYG_TYPE_BOOL)
        high = 1;
    for (size_t i = 0; i < count; i++) {
        if (from[i] < low || from[i] > high)
            return false;
        memcpy(to + i * size, &from[i], size);
    }
    return true;
}

/* The typed list that belongs to a type. */
static const cyg_wire_array *list_of(const raw_tensor *t, cyg_type type, const char **out_name)
{
    switch ((int)type) {
    case CYG_TYPE_F32:
        *out_name = "float_data";
        return &t->floats;
    case CYG_TYPE_F64:
        *out_name = "double_data";
        return &t->doubles;
    case CYG_TYPE_S64:
        *out_name = "int64_data";
        return &t->int64s;
    case CYG_TYPE_U32:
    case CYG_TYPE_U64:
        *out_name = "uint64_data";
        return &t->uint64s;
    default:
        *out_name = "int32_data";
        return &t->int32s;
    }
}

static cyg_status from_list(cyg_onnx_importer *imp, const cyg_wire *w, const raw_tensor *raw,
                            size_t count, cyg_onnx_tensor *t)
{
    const char *name;
    const cyg_wire_array *list = list_of(raw, t->type, &name);
    if (list->count != count)
        return cyg_wire_fail(imp->ctx, w, 0,
                             "tensor \"%s\": expected %zu elements in %s, found %zu", t->name,
                             count, name, list->count);
    if (count == 0) {
        t->data = &cyg_onnx_nothing;
        return CYG_OK;
    }
    t->data = list->data;
    if (list != &raw->int32s && t->type != CYG_TYPE_U32)
        return CYG_OK;
    uint8_t *copy = cyg_arena_alloc(&imp->graph->arena, t->bytes, 64);
    if (copy == NULL)
        return CYG_ONNX_NOMEM(imp);
    if (!narrow(list->data, count, t->type, copy))
        return cyg_wire_fail(imp->ctx, w, 0, "tensor \"%s\": a number in %s is no %s", t->name,
                             name, cyg_type_name(t->type));
    t->data = copy;
    return CYG_OK;
}

static cyg_status read_shape(cyg_onnx_importer *imp, const cyg_wire *w, const raw_tensor *raw,
                             cyg_onnx_tensor *t, size_t *out_count)
{
    const int64_t *dims = raw->dims.data;
    if (raw->dims.count > CYG_MAX_RANK) {
        t->refused = "a tensor of more than 8 dimensions";
        return CYG_OK;
    }
    int64_t count = 1, bytes = 0;
    bool ok = true;
    t->rank = (int)raw->dims.count;
    for (int i = 0; i < t->rank; i++) {
        t->dims[i] = dims[i];
        ok = ok && dims[i] >= 0 && cyg_mul_i64(count, dims[i], &count);
    }
    if (!ok || !cyg_mul_i64(count, (int64_t)cyg_type_size(t->type), &bytes))
        return cyg_wire_fail(imp->ctx, w, 0,
                             "tensor \"%s\": its dimensions are negative or their product is "
                             "beyond 64 bits",
                             t->name);
    *out_count = (size_t)count;
    t->bytes = (size_t)bytes;
    return CYG_OK;
}

enum { ONNX_UINT4 = 21, ONNX_INT4 = 22 };

/* Two elements a byte, the first in the low half, become bytes. */
static cyg_status unpack(cyg_onnx_importer *imp, const cyg_wire *w, const raw_tensor *raw,
                         cyg_onnx_tensor *t, size_t count)
{
    const size_t packed = count / 2 + count % 2;
    cyg_span from = raw->raw;
    if (raw->is_external)
        CYG_DO(cyg_onnx_read_external(imp, t->name, raw->externals, raw->external_count, packed,
                                      &from));
    const bool listed = !raw->is_external && !raw->has_raw;
    if (listed ? raw->int32s.count != packed : from.size != packed)
        return cyg_wire_fail(imp->ctx, w, 0,
                             "tensor \"%s\": expected %zu bytes for %zu elements of 4 bits, found "
                             "%zu",
                             t->name, packed, count, listed ? raw->int32s.count : from.size);
    uint8_t *to = cyg_arena_alloc(&imp->graph->arena, count + 1, 64);
    if (to == NULL)
        return CYG_ONNX_NOMEM(imp);
    for (size_t i = 0; i < count; i++) {
        const uint8_t byte = listed ? (uint8_t)((const int64_t *)raw->int32s.data)[i / 2]
                                    : ((const uint8_t *)from.data)[i / 2];
        const uint8_t half = i % 2 == 0 ? byte & 15 : byte >> 4;
        to[i] = t->type == CYG_TYPE_S8 && half > 7 ? (uint8_t)(half - 16) : half;
    }
    t->data = to;
    t->four_bits = true;
    return CYG_OK;
}

cyg_status cyg_onnx_read_tensor(cyg_onnx_importer *imp, cyg_span bytes, const char *what,
                                cyg_onnx_tensor *out_tensor)
{
    cyg_onnx_tensor *t = out_tensor;
    *t = (cyg_onnx_tensor){.name = what};
    raw_tensor raw = {0};
    cyg_wire w = cyg_wire_root(&imp->model.file, bytes, "tensor");
    CYG_DO(read_fields(imp, &w, &raw));
    t->type = cyg_type_from_onnx(raw.data_type);
    if (raw.data_type == 0)
        return cyg_wire_fail(imp->ctx, &w, 0, "tensor \"%s\": has no element type", what);
    const bool packed = raw.data_type == ONNX_UINT4 || raw.data_type == ONNX_INT4;
    if (packed)
        t->type = raw.data_type == ONNX_INT4 ? CYG_TYPE_S8 : CYG_TYPE_U8;
    if (t->type == CYG_TYPE_NONE)
        t->refused = refused_type(raw.data_type);
    if (t->refused != NULL)
        return CYG_OK;
    size_t count = 0;
    CYG_DO(read_shape(imp, &w, &raw, t, &count));
    if (t->refused != NULL)
        return CYG_OK;
    if (packed)
        return unpack(imp, &w, &raw, t, count);
    const size_t element = cyg_type_size(t->type);
    if (raw.is_external) {
        CYG_DO(cyg_onnx_read_external(imp, what, raw.externals, raw.external_count, t->bytes,
                                      &raw.raw));
        return align(imp, raw.raw, element, t);
    }
    if (!raw.has_raw)
        return from_list(imp, &w, &raw, count, t);
    if (raw.raw.size != t->bytes)
        return cyg_wire_fail(imp->ctx, &w, 0,
                             "tensor \"%s\": expected %zu bytes of raw_data for %zu elements of "
                             "type %s, found %zu",
                             what, t->bytes, count, cyg_type_name(t->type), raw.raw.size);
    return align(imp, raw.raw, element, t);
}

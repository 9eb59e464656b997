/* NumPy's .npy.
 *
 * Six magic bytes, a version, a length, then a Python dict literal with exactly three keys: descr,
 * fortran_order, shape; then the data. The dict is read by a small scanner for that literal and
 * nothing else: no expression is evaluated, an object dtype ('|O', a pickle) is refused but where
 * it is asked for. Big-endian data is refused too: nobody has it. */
#include "io/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

static const struct {
    const char *letters;
    size_t size;
} types[] = {
#define CYG_NPY(id, letters, bytes) [CYG_NPY_##id] = {letters, bytes},
    CYG_NPY_TYPES(CYG_NPY)
#undef CYG_NPY
};

size_t cyg_npy_type_size(cyg_npy_type type)
{
    return types[type].size;
}

const char *cyg_npy_type_name(cyg_npy_type type)
{
    return types[type].letters;
}

bool cyg_npy_type_find(const char *letters, size_t length, cyg_npy_type *out_type)
{
    for (size_t i = 0; i < CYG_COUNT(types); i++)
        if (length == strlen(types[i].letters) && memcmp(letters, types[i].letters, length) == 0) {
            *out_type = (cyg_npy_type)i;
            return true;
        }
    return false;
}

typedef struct scanner {
    cyg_ctx *ctx;
    const char *name;
    const char *start, *p, *end;
    bool objects, is_object; /* whether objects are asked for; whether these are some */
} scanner;

static cyg_status malformed(const scanner *s, const char *expected)
{
    return CYG_FAIL(s->ctx, CYG_E_FORMAT, "%s: npy header, character %td: expected %s", s->name,
                    s->p - s->start, expected);
}

static void skip_space(scanner *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n'))
        s->p++;
}

/* Takes c, and the space around it, if it comes next. */
static bool take(scanner *s, char c)
{
    skip_space(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    skip_space(s);
    return true;
}

static bool take_word(scanner *s, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* 'text' or "text" into out. */
static cyg_status read_string(scanner *s, char *out, size_t size)
{
    skip_space(s);
    if (s->p == s->end || (*s->p != '\'' && *s->p != '"'))
        return malformed(s, "a string");
    const char quote = *s->p++;
    size_t n = 0;
    while (s->p < s->end && *s->p != quote && n + 1 < size)
        out[n++] = *s->p++;
    out[n] = '\0';
    if (s->p == s->end || *s->p != quote)
        return malformed(s, "the end of a short string");
    s->p++;
    return CYG_OK;
}

static cyg_status read_shape(scanner *s, cyg_npy *out)
{
    if (!take(s, '('))
        return malformed(s, "a tuple");
    out->rank = 0;
    while (!take(s, ')')) {
        int64_t dim = 0;
        const char *first = s->p;
        for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
            if (!cyg_mul_i64(dim, 10, &dim) || !cyg_add_i64(dim, *s->p - '0', &dim))
                return malformed(s, "a dimension that fits 63 bits");
        if (s->p == first)
            return malformed(s, "a dimension");
        if (out->rank == CYG_NPY_MOST_DIMS)
            return malformed(s, "at most 8 dimensions");
        (void)take_word(s, "L"); /* Python 2 wrote 3L */
        out->dims[out->rank++] = dim;
        if (!take(s, ',') && (s->p == s->end || *s->p != ')'))
            return malformed(s, "',' or ')'");
    }
    return CYG_OK;
}

static cyg_status read_type(scanner *s, cyg_npy *out)
{
    char text[32];
    skip_space(s);
    if (s->p < s->end && *s->p == '[')
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED, "%s: npy with named fields", s->name);
    CYG_DO(read_string(s, text, sizeof text));
    s->is_object = strchr(text, 'O') != NULL;
    if (s->is_object && s->objects)
        return CYG_OK;
    if (s->is_object)
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                        "%s: npy of Python objects (a pickle): save plain arrays instead", s->name);
    const bool prefixed = text[0] == '<' || text[0] == '|' || text[0] == '=' || text[0] == '>';
    const char *letters = text + prefixed;
    if (!cyg_npy_type_find(letters, strlen(letters), &out->type))
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED, "%s: npy of type \"%s\"", s->name, text);
    if (text[0] == '>' && types[out->type].size > 1)
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                        "%s: big-endian npy (%s): save it as little-endian (astype(\"<..\"))",
                        s->name, text);
    return CYG_OK;
}

static cyg_status read_dict(scanner *s, cyg_npy *out)
{
    unsigned seen = 0;
    if (!take(s, '{'))
        return malformed(s, "'{'");
    while (!take(s, '}')) {
        char key[32];
        unsigned bit = 0;
        CYG_DO(read_string(s, key, sizeof key));
        if (!take(s, ':'))
            return malformed(s, "':'");
        if (strcmp(key, "descr") == 0) {
            bit = 1;
            CYG_DO(read_type(s, out));
        } else if (strcmp(key, "fortran_order") == 0) {
            bit = 2;
            out->fortran = take_word(s, "True");
            if (!out->fortran && !take_word(s, "False"))
                return malformed(s, "True or False");
        } else if (strcmp(key, "shape") == 0) {
            bit = 4;
            CYG_DO(read_shape(s, out));
        }
        if (bit == 0 || (seen & bit) != 0)
            return malformed(s, "descr, fortran_order and shape once each");
        seen |= bit;
        if (!take(s, ',') && (s->p == s->end || *s->p != '}'))
            return malformed(s, "',' or '}'");
    }
    return seen == 7 ? CYG_OK : malformed(s, "descr, fortran_order and shape");
}

/* The header; out_array gets type, order, shape, and what lies behind it as data and size. */
static cyg_status read_header(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                              bool objects, cyg_npy *out_array)
{
    *out_array = (cyg_npy){0};
    const uint8_t *bytes = data;
    if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: not an npy file", name);
    const unsigned version = bytes[6];
    if (version < 1 || version > 3 || (version > 1 && size < 12))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: npy version %u, expected 1, 2 or 3", name, version);
    const size_t head = version == 1 ? 10 : 12;
    const size_t length = version == 1 ? cyg_load_u16(bytes + 8) : cyg_load_u32(bytes + 8);
    if (!cyg_range_ok(head, length, size))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: npy header of %zu bytes in a file of %zu", name,
                        length, size);
    const char *text = (const char *)bytes + head;
    scanner s = {.ctx = ctx,
                 .name = name,
                 .start = text,
                 .p = text,
                 .end = text + length,
                 .objects = objects};
    CYG_DO(read_dict(&s, out_array));
    if (objects && !s.is_object)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: npy of plain numbers, expected one saved from a dict {input name: "
                        "array}; calibration_format Numpy takes plain ones",
                        name);
    size_t count = 1;
    for (size_t i = 0; i < out_array->rank; i++)
        if (!cyg_mul_size(count, (size_t)out_array->dims[i], &count))
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: npy shape overflows", name);
    out_array->count = count;
    out_array->data = bytes + head + length;
    out_array->size = size - head - length;
    return CYG_OK;
}

cyg_status cyg_npy_parse(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                         cyg_npy *out_array)
{
    size_t need;
    CYG_DO(read_header(ctx, name, data, size, false, out_array));
    if (!cyg_mul_size(out_array->count, types[out_array->type].size, &need) ||
        need > out_array->size)
        return CYG_FAIL(
            ctx, CYG_E_FORMAT,
            "%s: npy of %zu elements needs more than the %zu bytes that follow the header", name,
            out_array->count, out_array->size);
    out_array->size = need;
    return CYG_OK;
}

cyg_status cyg_npy_parse_object(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                                const uint8_t **out_pickle, size_t *out_size)
{
    cyg_npy array;
    CYG_DO(read_header(ctx, name, data, size, true, &array));
    if (array.count != 1)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: npy of %zu Python objects, expected one dict", name,
                        array.count);
    *out_pickle = array.data;
    *out_size = array.size;
    return CYG_OK;
}

static float element(const uint8_t *p, cyg_npy_type type)
{
    switch (type) {
    case CYG_NPY_F32:
        return cyg_load_f32(p);
    case CYG_NPY_F64:
        return (float)cyg_load_f64(p);
    case CYG_NPY_F16:
        return cyg_f16_to_f32(cyg_load_u16(p));
    case CYG_NPY_I8:
        return (float)(int8_t)p[0];
    case CYG_NPY_U8:
        return (float)p[0];
    case CYG_NPY_I16:
        return (float)cyg_load_i16(p);
    case CYG_NPY_U16:
        return (float)cyg_load_u16(p);
    case CYG_NPY_I32:
        return (float)cyg_load_i32(p);
    case CYG_NPY_U32:
        return (float)cyg_load_u32(p);
    case CYG_NPY_I64:
        return (float)cyg_load_i64(p);
    case CYG_NPY_U64:
        return (float)cyg_load_u64(p);
    case CYG_NPY_BOOL:
        return p[0] != 0 ? 1.0f : 0.0f;
    }
    return 0;
}

void cyg_npy_to_f32(const cyg_npy *a, float *out)
{
    const size_t size = types[a->type].size;
    if (!a->fortran || a->rank < 2) {
        for (size_t i = 0; i < a->count; i++)
            out[i] = element(a->data + i * size, a->type);
        return;
    }
    int64_t index[CYG_NPY_MOST_DIMS] = {0};
    for (size_t i = 0; i < a->count; i++) {
        size_t at = 0; /* the first index is the fastest in the file */
        for (size_t d = a->rank; d-- > 0;)
            at = at * (size_t)a->dims[d] + (size_t)index[d];
        out[i] = element(a->data + at * size, a->type);
        for (size_t d = a->rank; d-- > 0 && ++index[d] == a->dims[d];)
            index[d] = 0;
    }
}

size_t cyg_npy_header(char out[CYG_NPY_HEADER], cyg_npy_type type, size_t rank, const int64_t *dims)
{
    CYG_ASSERT(rank <= CYG_NPY_MOST_DIMS);
    char shape[CYG_NPY_MOST_DIMS * 22 + 4];
    size_t n = 0;
    for (size_t i = 0; i < rank; i++)
        n +=
            (size_t)snprintf(shape + n, sizeof shape - n, "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
    snprintf(shape + n, sizeof shape - n, "%s", rank == 1 ? "," : "");
    const char order = types[type].size == 1 ? '|' : '<';
    char text[CYG_NPY_HEADER];
    const int length =
        snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
                 order, types[type].letters, shape);
    const size_t used = length > 0 ? (size_t)length : 0;
    const size_t total = cyg_align_up(10 + used + 1, 64);
    CYG_ASSERT(total <= CYG_NPY_HEADER);
    memset(out, ' ', total);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    cyg_store_u16(out + 8, (uint16_t)(total - 10));
    memcpy(out + 10, text, used);
    out[total - 1] = '\n';
    return total;
}

cyg_status cyg_npy_save(cyg_ctx *ctx, const char *path, cyg_npy_type type, size_t rank,
                        const int64_t *dims, const void *data)
{
    char header[CYG_NPY_HEADER];
    cyg_writer *w = NULL;
    size_t size = types[type].size;
    for (size_t i = 0; i < rank; i++)
        if (!cyg_mul_size(size, (size_t)dims[i], &size))
            return CYG_FAIL(ctx, CYG_E_INTERNAL, "%s: shape overflows", path);
    CYG_DO(cyg_writer_open(ctx, path, &w));
    cyg_writer_write(w, header, cyg_npy_header(header, type, rank, dims));
    cyg_writer_write(w, data, size);
    return cyg_writer_commit(ctx, w);
}

/* A tiny protobuf writer for ONNX files that tests make up: what is legal and what is not.
 *
 * Buffers grow on the heap; ob_put moves a finished child into its parent and frees it. Lists are
 * written as text: names "a,b,,c" (an empty name between commas is an absent input), dimensions
 * "1,N,?" (letters are symbols). */
#ifndef CYG_TESTS_ONNX_BUILDER_H
#define CYG_TESTS_ONNX_BUILDER_H

#include "../testing.h"

typedef struct ob {
    uint8_t *data;
    size_t size;
} ob;

static inline void ob_raw(ob *b, const void *data, size_t size)
{
    b->data = realloc(b->data, b->size + size + 1);
    assert_non_null(b->data);
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

static inline void ob_varint(ob *b, uint64_t v)
{
    do {
        const uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        ob_raw(b, &byte, 1);
        v >>= 7;
    } while (v > 0);
}

static inline void ob_int(ob *b, unsigned field, int64_t v)
{
    ob_varint(b, (uint64_t)field << 3);
    ob_varint(b, (uint64_t)v);
}

static inline void ob_bytes(ob *b, unsigned field, const void *data, size_t size)
{
    ob_varint(b, (uint64_t)field << 3 | 2);
    ob_varint(b, size);
    ob_raw(b, data, size);
}

static inline void ob_text(ob *b, unsigned field, const char *text)
{
    ob_bytes(b, field, text, strlen(text));
}

static inline void ob_f32(ob *b, unsigned field, float f)
{
    ob_varint(b, (uint64_t)field << 3 | 5);
    ob_raw(b, &f, sizeof f);
}

static inline void ob_put(ob *b, unsigned field, ob child)
{
    ob_bytes(b, field, child.data, child.size);
    free(child.data);
}

/* One field for each item of a comma-separated list; an empty text is no item at all. */
static inline void ob_names(ob *b, unsigned field, const char *list)
{
    while (*list != '\0') {
        const size_t len = strcspn(list, ",");
        ob_bytes(b, field, list, len);
        list += len;
        if (*list == ',' && *++list == '\0')
            ob_bytes(b, field, "", 0);
    }
}

/* ---- attributes: return an AttributeProto ---- */
static inline ob at(const char *name, int type)
{
    ob a = {0};
    ob_text(&a, 1, name);
    ob_int(&a, 20, type);
    return a;
}
static inline ob at_int(const char *name, int64_t v)
{
    ob a = at(name, 2);
    ob_int(&a, 3, v);
    return a;
}
static inline ob at_float(const char *name, float v)
{
    ob a = at(name, 1);
    ob_f32(&a, 2, v);
    return a;
}
static inline ob at_text(const char *name, const char *v)
{
    ob a = at(name, 3);
    ob_text(&a, 4, v);
    return a;
}
static inline ob at_ints(const char *name, const char *list)
{
    ob a = at(name, 7);
    for (char *end; *list != '\0'; list = *end == ',' ? end + 1 : end)
        ob_int(&a, 8, strtoll(list, &end, 10));
    return a;
}
static inline ob at_tensor(const char *name, ob tensor)
{
    ob a = at(name, 4);
    ob_put(&a, 5, tensor);
    return a;
}
static inline ob at_ref(const char *name, int type, const char *ref)
{
    ob a = at(name, type);
    ob_text(&a, 21, ref);
    return a;
}

/* ---- nodes ---- */
enum { MAX_ATTRS = 6 };
typedef struct attrs {
    ob a[MAX_ATTRS];
} attrs;

static inline ob ob_node(const char *domain, const char *op, const char *name, const char *in,
                         const char *out, attrs list)
{
    ob n = {0};
    ob_names(&n, 1, in);
    ob_names(&n, 2, out);
    if (name[0] != '\0')
        ob_text(&n, 3, name);
    ob_text(&n, 4, op);
    for (size_t i = 0; i < MAX_ATTRS; i++)
        if (list.a[i].data != NULL)
            ob_put(&n, 5, list.a[i]);
    if (domain[0] != '\0')
        ob_text(&n, 7, domain);
    return n;
}
/* Appends to a graph (or, with field 7, a function). */
#define NODE(graph, op, name, in, out, ...)                                                        \
    ob_put((graph), 1, ob_node("", (op), (name), (in), (out), (attrs){{__VA_ARGS__}}))

/* ---- tensors and types ---- */
static inline ob ob_tensor(const char *name, int type, const char *dims)
{
    ob t = {0};
    for (char *end; *dims != '\0'; dims = *end == ',' ? end + 1 : end)
        ob_int(&t, 1, strtoll(dims, &end, 10));
    ob_int(&t, 2, type);
    if (name[0] != '\0')
        ob_text(&t, 8, name);
    return t;
}
static inline ob ob_tensor_raw(const char *name, int type, const char *dims, const void *data,
                               size_t size)
{
    ob t = ob_tensor(name, type, dims);
    ob_bytes(&t, 9, data, size);
    return t;
}
static inline ob ob_value(const char *name, int type, const char *dims)
{
    ob shape = {0}, tensor = {0}, wrapper = {0}, value = {0};
    while (dims != NULL && *dims != '\0') {
        ob dim = {0};
        const size_t len = strcspn(dims, ",");
        if (*dims == '-' || (*dims >= '0' && *dims <= '9'))
            ob_int(&dim, 1, strtoll(dims, NULL, 10));
        else if (*dims != '?')
            ob_bytes(&dim, 2, dims, len);
        ob_put(&shape, 1, dim);
        dims += len;
        dims += *dims == ',';
    }
    ob_int(&tensor, 1, type);
    if (dims != NULL)
        ob_put(&tensor, 2, shape);
    ob_put(&wrapper, 1, tensor);
    ob_text(&value, 1, name);
    ob_put(&value, 2, wrapper);
    return value;
}
#define INPUT(graph, name, dims) ob_put((graph), 11, ob_value((name), 1, (dims)))
#define OUTPUT(graph, name, dims) ob_put((graph), 12, ob_value((name), 1, (dims)))

static inline ob ob_opset(const char *domain, int version)
{
    ob o = {0};
    ob_text(&o, 1, domain);
    ob_int(&o, 2, version);
    return o;
}

/* ---- functions and models ---- */
static inline ob ob_function(const char *domain, const char *name, const char *in, const char *out)
{
    ob f = {0};
    ob_text(&f, 1, name);
    ob_names(&f, 4, in);
    ob_names(&f, 5, out);
    ob_put(&f, 9, ob_opset("", 17));
    ob_text(&f, 10, domain);
    return f;
}

/* The model of a graph, which it takes. More fields may be appended. */
static inline ob ob_model(ob graph, int opset)
{
    ob m = {0};
    ob_int(&m, 1, 8);
    ob_text(&m, 2, "tests");
    ob_put(&m, 8, ob_opset("", opset));
    ob_put(&m, 7, graph);
    return m;
}

#endif

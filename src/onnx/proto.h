/* Writing protobuf's wire format into a growing buffer; export only. */
#ifndef CYG_ONNX_PROTO_H
#define CYG_ONNX_PROTO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

static inline size_t cyg_proto_varint_size(uint64_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

static inline void cyg_proto_varint(cyg_strbuf *out, uint64_t v)
{
    char bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (char)(v | 0x80);
    bytes[n++] = (char)v;
    cyg_strbuf_add(out, bytes, n);
}

static inline void cyg_proto_int(cyg_strbuf *out, uint32_t field, int64_t v)
{
    cyg_proto_varint(out, (uint64_t)field << 3);
    cyg_proto_varint(out, (uint64_t)v);
}

static inline void cyg_proto_float(cyg_strbuf *out, uint32_t field, float v)
{
    char bytes[4];
    memcpy(bytes, &v, 4);
    cyg_proto_varint(out, ((uint64_t)field << 3) | 5);
    cyg_strbuf_add(out, bytes, 4);
}

/* The head of a length-delimited field; its bytes follow. */
static inline void cyg_proto_head(cyg_strbuf *out, uint32_t field, uint64_t size)
{
    cyg_proto_varint(out, ((uint64_t)field << 3) | 2);
    cyg_proto_varint(out, size);
}

static inline void cyg_proto_bytes(cyg_strbuf *out, uint32_t field, const char *data, size_t size)
{
    cyg_proto_head(out, field, size);
    cyg_strbuf_add(out, data, size);
}

static inline void cyg_proto_string(cyg_strbuf *out, uint32_t field, const char *text)
{
    cyg_proto_bytes(out, field, text, strlen(text));
}

/* Puts a finished message into another and empties it for the next. */
static inline void cyg_proto_message(cyg_strbuf *out, uint32_t field, cyg_strbuf *message)
{
    cyg_proto_bytes(out, field, message->len == 0 ? "" : message->data, message->len);
    out->failed = out->failed || message->failed;
    message->len = 0;
}

#endif

/* A reader of protobuf's wire format over a byte range. Confined to one thread; copies nothing.
 *
 * A cyg_wire is a cursor over one message; nested messages get cursors of their own, linked to
 * their parent while that lives, so that an error can name the path and the byte in the file. */
#ifndef CYG_ONNX_WIRE_H
#define CYG_ONNX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum { CYG_WIRE_MAX_DEPTH = 24 };

typedef struct cyg_span {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;
} cyg_span;

typedef struct cyg_wire_file {
    const char *path;
    const uint8_t *data; /* offsets in messages count from here */
    size_t mapped;       /* bytes of the file map that data is; 0: other memory */
} cyg_wire_file;

typedef struct cyg_wire {
    const cyg_wire_file *file;
    cyg_span all;
    size_t pos; /* of the next field in all */
    const struct cyg_wire *parent;
    const char *name; /* of this message inside its parent */
    int64_t index;    /* -1 = not repeated */
    unsigned depth;
} cyg_wire;

typedef enum cyg_wire_type {
    CYG_WIRE_VARINT = 0,
    CYG_WIRE_FIXED64 = 1,
    CYG_WIRE_BYTES = 2,
    CYG_WIRE_FIXED32 = 5,
} cyg_wire_type;

typedef struct cyg_wire_field {
    uint32_t number; /* 0 = the end of the message */
    uint32_t type;
    uint64_t value; /* varint, fixed64, fixed32 */
    cyg_span bytes; /* length-delimited */
    size_t offset;  /* of its tag in the message */
} cyg_wire_field;

/* A cursor over a whole message that has no living parent. */
cyg_wire cyg_wire_root(const cyg_wire_file *file, cyg_span all, const char *name);
cyg_status cyg_wire_next(cyg_ctx *ctx, cyg_wire *w, cyg_wire_field *out_field) CYG_MUST_USE;
/* Fails with `status`, naming file, path and byte. at = offset in the message. */
cyg_status cyg_wire_fail(cyg_ctx *ctx, const cyg_wire *w, size_t at, const char *fmt, ...)
    CYG_PRINTF(4, 5);

/* Each checks that the field has the wire type that its declaration asks for; `name` is for the
 * message. */
cyg_status cyg_wire_int(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f, const char *name,
                        int64_t *out_value) CYG_MUST_USE;
cyg_status cyg_wire_float(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                          const char *name, float *out_value) CYG_MUST_USE;
cyg_status cyg_wire_bytes(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                          const char *name, cyg_span *out_bytes) CYG_MUST_USE;
/* A NUL-terminated copy; a NUL inside is an error. */
cyg_status cyg_wire_string(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                           const char *name, cyg_arena *arena, const char **out_text) CYG_MUST_USE;
cyg_status cyg_wire_message(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                            const char *name, int64_t index, cyg_wire *out_child) CYG_MUST_USE;

/* Repeated numbers, packed or not, in any number of pieces. size 8 = int64 of varints, else the
 * fixed size of the elements (4 or 8) kept as bytes. */
typedef struct cyg_wire_array {
    void *data;
    size_t count, cap;
} cyg_wire_array;
cyg_status cyg_wire_ints(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f, const char *name,
                         cyg_arena *arena, cyg_wire_array *array) CYG_MUST_USE;
cyg_status cyg_wire_fixed(cyg_ctx *ctx, const cyg_wire *w, const cyg_wire_field *f,
                          const char *name, size_t size, cyg_arena *arena,
                          cyg_wire_array *array) CYG_MUST_USE;

/* Counts fields by number (numbers of `limit` and above are not counted); checks the whole message
 * on the way. */
cyg_status cyg_wire_count(cyg_ctx *ctx, const cyg_wire *w, size_t *counts,
                          size_t limit) CYG_MUST_USE;

#endif

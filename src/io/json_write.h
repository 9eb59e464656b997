/* Streaming JSON writer onto a string buffer: report.json, build_context.json, --json.
 *
 * Commas, indentation and escapes are the writer's business; nesting is checked by assertions.
 * Output is always valid JSON: broken UTF-8 becomes U+FFFD, NaN and infinity become null. Numbers
 * are the shortest text that reads back the same. */
#ifndef CYG_IO_JSON_WRITE_H
#define CYG_IO_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef struct cyg_json {
    cyg_strbuf *out;   /* lent; out->failed tells about memory, once at the end */
    unsigned indent;   /* spaces a level; 0 = everything on one line */
    unsigned depth;    /* at most 63 */
    uint64_t has_item; /* bit d: the container at depth d has something in it */
    uint64_t inlined;  /* bit d: written on one line */
    bool after_key;
} cyg_json;

void cyg_json_init(cyg_json *j, cyg_strbuf *out, unsigned indent);
void cyg_json_begin_object(cyg_json *j);
void cyg_json_end_object(cyg_json *j);
void cyg_json_begin_array(cyg_json *j);
void cyg_json_end_array(cyg_json *j);
/* An array whose items stay on one line: shapes, rows of numbers. Close with cyg_json_end_array. */
void cyg_json_begin_inline_array(cyg_json *j);

void cyg_json_key(cyg_json *j, const char *key);
void cyg_json_string(cyg_json *j, const char *text); /* NULL writes null */
void cyg_json_string_n(cyg_json *j, const char *text, size_t size);
void cyg_json_int(cyg_json *j, int64_t value);
void cyg_json_uint(cyg_json *j, uint64_t value);
void cyg_json_double(cyg_json *j, double value);
void cyg_json_float(cyg_json *j, float value); /* shortest for binary32: 0.1f writes 0.1 */
void cyg_json_bool(cyg_json *j, bool value);
void cyg_json_null(cyg_json *j);

/* key and value in one call */
void cyg_json_key_string(cyg_json *j, const char *key, const char *text);
void cyg_json_key_int(cyg_json *j, const char *key, int64_t value);
void cyg_json_key_double(cyg_json *j, const char *key, double value);
void cyg_json_key_bool(cyg_json *j, const char *key, bool value);
/* "key": [1, 3, 224, 224] */
void cyg_json_key_ints(cyg_json *j, const char *key, const int64_t *values, size_t count);

#endif

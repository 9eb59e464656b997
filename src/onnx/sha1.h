/* SHA-1, for the checksum that ONNX allows on external data. Not for anything that matters. */
#ifndef CYG_ONNX_SHA1_H
#define CYG_ONNX_SHA1_H

#include <stddef.h>

/* 40 hex digits and NUL. */
void cyg_onnx_sha1_hex(const void *data, size_t size, char out[41]);

#endif

/* NumPy's .npy: read versions 1 to 3, write version 1.
 *
 * A parsed array is a view into the bytes it was parsed from. */
#ifndef CYG_IO_NPY_H
#define CYG_IO_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

enum { CYG_NPY_MOST_DIMS = 8 };

/* CYG_NPY(id, dtype letters, bytes) */
#define CYG_NPY_TYPES(CYG_NPY)                                                                     \
    CYG_NPY(F32, "f4", 4)                                                                          \
    CYG_NPY(F64, "f8", 8)                                                                          \
    CYG_NPY(F16, "f2", 2)                                                                          \
    CYG_NPY(I8, "i1", 1)                                                                           \
    CYG_NPY(U8, "u1", 1)                                                                           \
    CYG_NPY(I16, "i2", 2)                                                                          \
    CYG_NPY(U16, "u2", 2)                                                                          \
    CYG_NPY(I32, "i4", 4)                                                                          \
    CYG_NPY(U32, "u4", 4)                                                                          \
    CYG_NPY(I64, "i8", 8)                                                                          \
    CYG_NPY(U64, "u8", 8)                                                                          \
    CYG_NPY(BOOL, "b1", 1)

typedef enum cyg_npy_type {
#define CYG_NPY(id, letters, bytes) CYG_NPY_##id,
    CYG_NPY_TYPES(CYG_NPY)
#undef CYG_NPY
} cyg_npy_type;

typedef struct cyg_npy {
    cyg_npy_type type;
    size_t rank; /* 0 = a scalar */
    int64_t dims[CYG_NPY_MOST_DIMS];
    size_t count;        /* elements */
    bool fortran;        /* first index fastest; cyg_npy_to_f32 puts it right */
    const uint8_t *data; /* unaligned, count elements; lent */
    size_t size;         /* bytes */
} cyg_npy;

size_t cyg_npy_type_size(cyg_npy_type type);
const char *cyg_npy_type_name(cyg_npy_type type); /* "f4" */
/* The type of these letters, which need no NUL behind them; false when there is none. */
bool cyg_npy_type_find(const char *letters, size_t length, cyg_npy_type *out_type);

cyg_status cyg_npy_parse(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                         cyg_npy *out_array) CYG_MUST_USE;
/* The pickle in a file of one Python object, unread; npy_dict.h reads it. */
cyg_status cyg_npy_parse_object(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                                const uint8_t **out_pickle, size_t *out_size) CYG_MUST_USE;
/* All elements as float32, last index fastest. out holds count floats. */
void cyg_npy_to_f32(const cyg_npy *array, float *out);

/* The header that precedes the data; for writing rows as they come. Returns its length, a multiple
 * of 64. */
enum { CYG_NPY_HEADER = 256 };
size_t cyg_npy_header(char out[CYG_NPY_HEADER], cyg_npy_type type, size_t rank,
                      const int64_t *dims);
/* A whole array to a file, atomically. */
cyg_status cyg_npy_save(cyg_ctx *ctx, const char *path, cyg_npy_type type, size_t rank,
                        const int64_t *dims, const void *data) CYG_MUST_USE;

#endif

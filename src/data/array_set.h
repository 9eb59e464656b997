/* Calibration arrays: .npy files of an array or of a dict of arrays, or .bin files of raw
 * little-endian numbers, fed to the model as they are. */
#ifndef CYG_DATA_ARRAY_SET_H
#define CYG_DATA_ARRAY_SET_H

#include <stddef.h>
#include <stdint.h>

#include "base/samples.h"
#include "base/type.h"

typedef struct cyg_array_set cyg_array_set;

typedef enum cyg_array_format {
    CYG_ARRAY_NPY,      /* every numeric type; the shape must be the input's */
    CYG_ARRAY_BIN,      /* element type given here; the size must fit the shape */
    CYG_ARRAY_NPY_DICT, /* .npy saved from a dict {input name: array}; as NPY in the rest */
} cyg_array_format;

typedef struct cyg_array_spec {
    cyg_array_format format;
    cyg_type type;   /* BIN: element type of the files */
    const char *key; /* NPY_DICT: name of the input; must outlive the set */
    size_t rank;
    int64_t dims[CYG_MAX_RANK]; /* of the model's input */
} cyg_array_spec;

/* The first `limit` (-1 = all) files of a folder or archive with the format's suffix, in byte-wise
 * order. None is an error; so is, when it is read, a file of another shape. */
cyg_status cyg_array_set_open(cyg_ctx *ctx, const char *path, const cyg_array_spec *spec,
                              int64_t limit, cyg_array_set **out_set) CYG_MUST_USE;
void cyg_array_set_close(cyg_array_set *set); /* NULL is fine */
/* Valid as long as the set. */
cyg_sample_source cyg_array_set_source(cyg_array_set *set);

#endif

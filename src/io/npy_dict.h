/* A .npy saved from a dict {name: array}: np.save("1.npy", {"ids": ids, "mask": mask}).
 *
 * Such a file is a pickle inside an npy. It is read as inert values (unpickle.h) and accepted only
 * if it is nothing but one dict with texts as keys and plain arrays of numbers as values. Internal
 * to io and data; one thread. */
#ifndef CYG_IO_NPY_DICT_H
#define CYG_IO_NPY_DICT_H

#include "io/npy.h"
#include "io/unpickle.h"

/* 256 MiB of arrays take a few dozen instructions each. */
enum { CYG_NPY_DICT_BYTES = 256 << 20, CYG_NPY_DICT_INSTRUCTIONS = 1 << 18 };

typedef struct cyg_npy_dict {
    cyg_pickle pickle;
    uint32_t dict; /* row of the dict */
} cyg_npy_dict;

/* Reads and checks all of it. data must outlive the result; name is for messages. out_dict is to be
 * deinitialised in any case. FORMAT: damaged, or something other than said above. */
cyg_status cyg_npy_dict_parse(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                              cyg_npy_dict *out_dict) CYG_MUST_USE;
void cyg_npy_dict_deinit(cyg_npy_dict *dict);
/* The array of this key, lent by the data. FORMAT: the dict has no such key, or twice. */
cyg_status cyg_npy_dict_find(cyg_ctx *ctx, const char *name, const cyg_npy_dict *dict,
                             const char *key, cyg_npy *out_array) CYG_MUST_USE;

#endif

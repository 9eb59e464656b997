/* The members of a zip file that lies in memory, with the place of their bytes. Internal to io. */
#ifndef CYG_IO_STORED_ZIP_H
#define CYG_IO_STORED_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cyg_zip_member {
    const char *name; /* lent by the file, no NUL behind it */
    size_t name_size;
    const uint8_t *data; /* as stored: `packed` bytes */
    size_t packed, size;
    unsigned method; /* 0 = stored, 8 = deflated */
} cyg_zip_member;

typedef struct cyg_stored_zip {
    cyg_zip_member *members; /* heap, sorted by name */
    size_t count;
} cyg_stored_zip;

/* out_zip is to be deinitialised in any case. */
cyg_status cyg_stored_zip_open(cyg_ctx *ctx, const char *path, const void *data, size_t size,
                               cyg_stored_zip *out_zip) CYG_MUST_USE;
void cyg_stored_zip_deinit(cyg_stored_zip *zip);
/* NULL = absent */
const cyg_zip_member *cyg_stored_zip_find(const cyg_stored_zip *zip, const char *name,
                                          size_t name_size);

#endif

/* What the two kinds of member lists share. Internal to io. */
#ifndef CYG_IO_ARCHIVE_PARTS_H
#define CYG_IO_ARCHIVE_PARTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "io/archive.h"

typedef struct cyg_archive_member {
    const char *name;
    uint64_t size;
    uint64_t position; /* ordinal in the archive; listing order in a folder */
    uint64_t offset;   /* packed: byte offset of the header in the unpacked stream */
} cyg_archive_member;

struct archive; /* libarchive's */

struct cyg_archive {
    cyg_arena names;
    const char *path;
    bool is_folder;
    cyg_archive_member *members; /* heap, sorted by name */
    size_t count, cap, skipped;
    uint64_t total;
    /* packed only: an open pass over the archive that stands before entry number `next` */
    struct archive *pass;
    uint64_t next;
    bool is_plain_tar;
    int fd; /* of the pass, 0 = none */
};

/* Some part of the path starts with a dot or is __MACOSX. */
bool cyg_archive_is_junk(const char *name);
cyg_status cyg_archive_add(cyg_ctx *ctx, cyg_archive *a, const char *name, uint64_t size,
                           uint64_t position) CYG_MUST_USE;

cyg_status cyg_folder_list(cyg_ctx *ctx, cyg_archive *a) CYG_MUST_USE;
cyg_status cyg_folder_read(cyg_ctx *ctx, const cyg_archive *a, const cyg_archive_member *m,
                           uint8_t **out_data, size_t *out_size) CYG_MUST_USE;
cyg_status cyg_packed_list(cyg_ctx *ctx, cyg_archive *a) CYG_MUST_USE;
cyg_status cyg_packed_read(cyg_ctx *ctx, cyg_archive *a, const cyg_archive_member *m,
                           uint8_t **out_data, size_t *out_size) CYG_MUST_USE;
void cyg_packed_close(cyg_archive *a);

#endif

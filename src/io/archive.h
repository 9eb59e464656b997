/* The files of a folder, or of a tar, tar.gz (bz2, xz, zst) or zip archive, behind one interface.
 *
 * Members are regular files, in byte-wise order of their path whatever order the disk or the
 * archive has. Dot files and
 * __MACOSX are left out and counted. Nothing is ever extracted to disk: a member is read into
 * memory, so a path like
 * "../../etc/passwd" inside an archive is only a name. Confined to one thread. */
#ifndef CYG_IO_ARCHIVE_H
#define CYG_IO_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define CYG_ARCHIVE_LARGEST_MEMBER ((uint64_t)256 << 20)
#define CYG_ARCHIVE_LARGEST_TOTAL ((uint64_t)1 << 40)
enum { CYG_ARCHIVE_MOST_MEMBERS = 4000000 };

typedef struct cyg_archive cyg_archive;

/* path is a folder or an archive; anything else is an error. Lists, reads no member. */
cyg_status cyg_archive_open(cyg_ctx *ctx, const char *path, cyg_archive **out_archive) CYG_MUST_USE;
void cyg_archive_close(cyg_archive *archive); /* NULL is fine */
const char *cyg_archive_path(const cyg_archive *archive);
size_t cyg_archive_count(const cyg_archive *archive);
size_t cyg_archive_skipped(const cyg_archive *archive); /* dot files, __MACOSX, links, devices */
/* Path of member i inside the archive, or below the folder. Lent. */
const char *cyg_archive_name(const cyg_archive *archive, size_t i);
/* Size as the archive states it. */
uint64_t cyg_archive_size(const cyg_archive *archive, size_t i);
/* Where member i lies: reading in this order costs one pass, against it a new pass for each step
 * back (plain tar and folders do not care). */
uint64_t cyg_archive_position(const cyg_archive *archive, size_t i);
/* Reads member i whole. out_data is malloc'ed (never NULL on success) and belongs to the caller. */
cyg_status cyg_archive_read(cyg_ctx *ctx, cyg_archive *archive, size_t i, uint8_t **out_data,
                            size_t *out_size) CYG_MUST_USE;

#endif

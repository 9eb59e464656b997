/* libarchive, opened late (late.h). Internal to io: for the two files that read archives. */
#ifndef CYG_IO_LATE_ARCHIVE_H
#define CYG_IO_LATE_ARCHIVE_H

#include <archive.h>
#include <archive_entry.h>

#include "base/ctx.h"

extern struct cyg_libarchive {
#define CYG_LATE(f) __typeof__(&f) f;
#include "io/late_archive.def"
#undef CYG_LATE
} cyg_libarchive;
/* Before the first call of any of them. */
cyg_status cyg_libarchive_open(cyg_ctx *ctx) CYG_MUST_USE;

#endif

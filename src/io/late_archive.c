/* libarchive, opened late (late.h). */
#include "io/late_archive.h"

#include "io/late.h"

struct cyg_libarchive cyg_libarchive;

cyg_status cyg_libarchive_open(cyg_ctx *ctx)
{
    static const char *const names[] = {
#define CYG_LATE(f) #f,
#include "io/late_archive.def"
#undef CYG_LATE
    };
    static const cyg_late late = {"libarchive.so.13", "to read archives", names, CYG_COUNT(names)};
    static int ready;
    return cyg_late_open(ctx, &late, &cyg_libarchive, &ready);
}

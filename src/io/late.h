/* Libraries that few commands need, opened when one does: they bring forty more with them, which
 * would cost every start of the program some ten milliseconds and 9 MB. Internal to io.
 *
 * A table of functions (late_curl.def, late_archive.def) becomes a structure of pointers of their
 * own types, so that calls are checked against the library's header as ever. */
#ifndef CYG_IO_LATE_H
#define CYG_IO_LATE_H

#include <stddef.h>

#include "base/ctx.h"

/* Opens the library once for the life of the process and looks `count` functions up; from then on
 * (*io_ready) does nothing. CYG_E_UNSUPPORTED names the library and what is missing. Any thread.
 * what: "to fetch models", for the message. */
typedef struct cyg_late {
    const char *library, *what;
    const char *const *names;
    size_t count;
} cyg_late;
cyg_status cyg_late_open(cyg_ctx *ctx, const cyg_late *late, void *out_functions,
                         int *io_ready) CYG_MUST_USE;

#endif

/* Another program as a filter: bytes in at its standard input, bytes out at its standard output. */
#ifndef CYG_BASE_FILTER_H
#define CYG_BASE_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/str.h"

/* Runs argv (NULL at the end; argv[0] is looked up in PATH, no shell in between) and appends to
 * *out what it prints. What it says on standard error is dropped. *out_found = false, with CYG_OK,
 * when there is no such program. Fails with CYG_E_IO when it ends with another status than 0, takes
 * longer than `seconds` or prints more than CYG_FILTER_LARGEST bytes; *out is then unfinished.
 * Safe from any thread; the context's cancel flag ends it. */
enum { CYG_FILTER_LARGEST = 64 << 20 };
cyg_status cyg_filter_run(cyg_ctx *ctx, const char *const *argv, const char *input, size_t size,
                          double seconds, cyg_strbuf *out, bool *out_found) CYG_MUST_USE;

#endif

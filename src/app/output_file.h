/* A file that a command makes and then proves: written under another name in the target's folder,
 * read back, and renamed when all is well. What stood at the target stays until then. */
#ifndef CYG_APP_OUTPUT_FILE_H
#define CYG_APP_OUTPUT_FILE_H

#include "app/app.h"
#include "base/file.h"

typedef struct cyg_output_file {
    const char *path; /* where it is to stand, lent */
    const char
        *written; /* where to write and read it meanwhile; path itself for a device or pipe */
    cyg_staging staging;
} cyg_output_file;

/* Devices and pipes are written directly, for nothing can be renamed over them; with read_back they
 * are refused, and `instead` says what to ask for. */
cyg_status cyg_output_open(cyg_app *app, const char *path, bool read_back, const char *instead,
                           cyg_output_file *out_file) CYG_MUST_USE;
bool cyg_output_is_regular(const cyg_output_file *file);
cyg_status cyg_output_commit(cyg_app *app, cyg_output_file *file) CYG_MUST_USE;
void cyg_output_abort(cyg_output_file *file); /* after a commit it does nothing */

#endif

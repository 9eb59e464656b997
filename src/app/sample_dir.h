/* Folders of samples that a configuration names: the folder itself is one sample, or each folder in
 * it is; a file <input>.bin for each input. */
#ifndef CYG_APP_SAMPLE_DIR_H
#define CYG_APP_SAMPLE_DIR_H

#include "app/app.h"
#include "config/value.h"

typedef struct cyg_sample_dir {
    const char *const *folders; /* [count], by bytes */
    size_t count;
    cyg_string_list files; /* by input */
} cyg_sample_dir;

/* key names the setting in messages. Everything lives in app->arena. CYG_E_IO: no such folder, or
 * nothing in it. */
cyg_status cyg_sample_dir_open(cyg_app *app, const char *key, const char *root,
                               const char *const *inputs, size_t input_count,
                               cyg_sample_dir *out_dir) CYG_MUST_USE;
/* Reads input i of a sample, which has to have `bytes` bytes. */
cyg_status cyg_sample_dir_read(cyg_app *app, const cyg_sample_dir *dir, size_t sample, size_t i,
                               size_t bytes, void *out_data) CYG_MUST_USE;

#endif

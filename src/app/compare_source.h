/* What compiler.check compares on: calibration samples, or files in the form that the package takes
 * (compiler.input_sample_dir); and the tensors that it leaves out (check_tensor_black_list). */
#ifndef CYG_APP_COMPARE_SOURCE_H
#define CYG_APP_COMPARE_SOURCE_H

#include <regex.h>

#include "app/build.h"
#include "app/sample_dir.h"

typedef struct cyg_compare_source {
    cyg_build *build;
    size_t samples;
    cyg_build_feed feed;
    cyg_sample_dir dir; /* no folders = calibration samples */
    regex_t *skip;      /* [skip_count] */
    bool *skip_used;
    size_t skip_count;
} cyg_compare_source;

/* most: calibration samples at most; with compiler.check 0 neither the folder nor the list is
 * looked at. _close in any case. */
cyg_status cyg_compare_source_open(cyg_build *b, const cyg_model *model, size_t most,
                                   cyg_compare_source *out) CYG_MUST_USE;
/* Sample `sample` as sample `slot` of the session's batch. */
cyg_status cyg_compare_source_read(cyg_compare_source *s, size_t sample, cyg_session *session,
                                   uint32_t slot) CYG_MUST_USE;
/* user: a source. True: the tensor of this name is left out. */
bool cyg_compare_source_skips(void *user, const char *name);
/* Warns of patterns that matched nothing. */
void cyg_compare_source_tell_unused(const cyg_compare_source *s);
void cyg_compare_source_close(cyg_compare_source *s);

#endif

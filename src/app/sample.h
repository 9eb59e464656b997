/* The vendor's folder layout, shared by run and bench: one file a tensor, one folder a sample. */
#ifndef CYG_APP_SAMPLE_H
#define CYG_APP_SAMPLE_H

#include "app/engine.h"

typedef struct cyg_sample_layout {
    cyg_string_list samples; /* sub-folders; one "" when there is no list */
    cyg_string_list inputs;  /* file names, in the order of the engine's inputs */
    cyg_string_list outputs;
} cyg_sample_layout;

/* list NULL = the folder itself is the one sample. Everything lives in app->arena. */
cyg_status cyg_sample_layout_open(cyg_app *app, const cyg_engine *engine, const char *list,
                                  cyg_sample_layout *out_layout) CYG_MUST_USE;
/* "root/sample/file" or "root/file", in app->arena; NULL when out of memory. */
const char *cyg_sample_path(cyg_app *app, const char *root, const char *sample, const char *file);
/* Fails unless every input file of the sample is there and has its tensor's size. */
cyg_status cyg_sample_check(cyg_app *app, const cyg_engine *engine, const cyg_sample_layout *layout,
                            const char *root, const char *sample) CYG_MUST_USE;
/* Reads all inputs of a sample into the engine's buffers. */
cyg_status cyg_sample_read(cyg_app *app, const cyg_engine *engine, const cyg_sample_layout *layout,
                           const char *root, const char *sample) CYG_MUST_USE;
/* Writes all outputs; the folder appears whole, with lines "write [name] to [path] successfully"
 * behind it. */
cyg_status cyg_sample_write(cyg_app *app, const cyg_engine *engine, const cyg_sample_layout *layout,
                            const char *root, const char *sample) CYG_MUST_USE;
/* Fills a buffer with values that depend on seed only: bytes and codes over their whole range,
 * floats in [-1, 1), wide integers 0 or 1 (they are indices more often than not). */
void cyg_sample_random(const cyg_engine_tensor *info, uint64_t seed, void *out_data);

#endif

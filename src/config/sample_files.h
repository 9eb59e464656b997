/* Names in the folders of `run` (the vendor's layout): one file a tensor, one sub-folder a line of
 * the list file. */
#ifndef CYG_CONFIG_SAMPLE_FILES_H
#define CYG_CONFIG_SAMPLE_FILES_H

#include "config/value.h"

/* "/head/out:0" -> "_head_out_0.bin": every code point outside A-Z a-z 0-9 _ - becomes one "_". In
 * the arena; NULL when out of memory. */
const char *cyg_tensor_file_name(cyg_arena *arena, const char *tensor);
/* The same for all tensors of one side of a model. Fails, naming both, when two would share a file.
 */
cyg_status cyg_tensor_file_names(cyg_ctx *ctx, cyg_arena *arena, const char *const *tensors,
                                 size_t count, cyg_string_list *out_names) CYG_MUST_USE;
/* The lines of a list file: CR and blanks at the ends are dropped, empty lines skipped. Refuses
 * absolute paths, "..", and a folder that is listed twice (its results would overwrite each other).
 */
cyg_status cyg_sample_list_parse(cyg_ctx *ctx, cyg_arena *arena, const char *path, const void *data,
                                 size_t size, cyg_string_list *out_lines) CYG_MUST_USE;

#endif

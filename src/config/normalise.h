/* Shared by validate.c and resolve.c: the lengths of mean and std. */
#ifndef CYG_CONFIG_NORMALISE_H
#define CYG_CONFIG_NORMALISE_H

#include "config/schema.h"

/* channels of a colour space, 0 = unknown. */
int64_t cyg_config_channels(cyg_config_color color);
/* Fails unless the list is empty or has 1 or `channels` values; channels 0 = unknown. */
cyg_status cyg_config_check_lengths(cyg_ctx *ctx, const cyg_config_mark *mark, const char *path,
                                    cyg_float_list list, int64_t channels) CYG_MUST_USE;

#endif

/* A checkpoint by its name on the Hugging Face hub, through the hub's own cache folder.
 *
 * cyg_hub_fetch makes a snapshot folder hold config.json, preprocessor_config.json (when the model
 * has one) and the weights, safetensors preferred, and returns that folder: what
 * cyg_checkpoint_open takes. The layout is that of the hub's own libraries, so both sides find each
 * other's downloads. docs/hub.md tells what is honoured and what is checked. Confined. */
#ifndef CYG_IO_HUB_H
#define CYG_IO_HUB_H

#include <stdbool.h>

#include "base/status.h"

/* Zero or NULL everywhere (or a NULL pointer to it) means: as the environment and the hub's habits
 * say. Strings are lent for the call. */
typedef struct cyg_hub_options {
    const char *endpoint;   /* NULL: HF_ENDPOINT, else the public hub */
    const char *token;      /* NULL: HF_TOKEN, else as docs/hub.md says; "": none */
    const char *cache;      /* NULL: HF_HUB_CACHE, else HF_HOME/hub, else below ~/.cache */
    bool offline;           /* use what the cache has, never the network; also HF_HUB_OFFLINE=1 */
    int tries;              /* requests without one new byte before giving up; 0: 5 */
    double wait_seconds;    /* pause before the second try, doubled for each further one; 0: 1 */
    double connect_seconds; /* 0: 15 */
    double stall_seconds;   /* silence after which a connection counts as cut; 0: 30 */
} cyg_hub_options;

/* "owner/name" or "owner/name@revision" in the hub's spelling, and no such path exists here. */
bool cyg_hub_is_name(const char *text);

/* Makes the snapshot complete and returns its folder, malloc'ed; NULL on failure. A snapshot that
 * is complete already is used without the network. After a cut, an error or Ctrl-C the cache holds
 * whole files and at most resumable blobs/NAME.incomplete. options may be NULL. */
cyg_status cyg_hub_fetch(cyg_ctx *ctx, const cyg_hub_options *options, const char *name,
                         char **out_folder) CYG_MUST_USE;

#endif

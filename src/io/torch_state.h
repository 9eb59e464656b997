/* From an unpickled torch file to tensors: which dict is the state dict, and where its tensors lie.
 * Internal to io. */
#ifndef CYG_IO_TORCH_STATE_H
#define CYG_IO_TORCH_STATE_H

#include "io/checkpoint_parts.h"
#include "io/unpickle.h"

/* A storage as a persistent id describes it. */
typedef struct cyg_torch_storage {
    const char *key; /* lent, no NUL behind it */
    size_t key_size;
    cyg_type type; /* NONE: counted in bytes */
    uint64_t count;
    uint64_t view_offset, view_count; /* legacy: the part that is meant, in elements */
} cyg_torch_storage;

/* Where the bytes of storages lie. */
typedef struct cyg_torch_source {
    void *self;
    cyg_status (*find)(cyg_ctx *ctx, void *self, const cyg_torch_storage *storage,
                       const uint8_t **out_data, size_t *out_size);
} cyg_torch_source;

/* Reads the arguments of a STORAGE row. where is for messages. */
cyg_status cyg_torch_storage_read(cyg_ctx *ctx, const char *where, const cyg_pickle *p, uint32_t id,
                                  cyg_torch_storage *out_storage) CYG_MUST_USE;
/* Chooses the state dict under p's root, adds its tensors to c, notes what was chosen and left
 * out. Marks p's containers as seen. */
cyg_status cyg_torch_state_read(cyg_ctx *ctx, cyg_checkpoint *c, const char *where, cyg_pickle *p,
                                const cyg_torch_source *source) CYG_MUST_USE;

#endif

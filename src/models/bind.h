/* The names of a checkpoint, read: which library wrote it, and what each tensor is. Private to
 * models. */
#ifndef CYG_MODELS_BIND_H
#define CYG_MODELS_BIND_H

#include "base/arena.h"
#include "base/str.h"
#include "io/checkpoint.h"

typedef enum cyg_role {
#define CYG_ROLE(id) CYG_ROLE_##id,
#include "models/layouts.def"
#undef CYG_ROLE
    CYG_ROLE_COUNT
} cyg_role;

typedef enum cyg_family { CYG_FAMILY_SWIN, CYG_FAMILY_VIT } cyg_family;
typedef enum cyg_library {
    CYG_LIBRARY_HF,
    CYG_LIBRARY_MS,
    CYG_LIBRARY_TIMM,
    CYG_LIBRARY_TORCHVISION,
} cyg_library;

typedef enum cyg_layout_id {
#define CYG_LAYOUT(id, family, library, prefixes) CYG_LAYOUT_##id,
#include "models/layouts.def"
#undef CYG_LAYOUT
    CYG_LAYOUT_COUNT
} cyg_layout_id;

typedef enum cyg_part { CYG_WEIGHT, CYG_BIAS } cyg_part;

/* Which tensor: a role, and where it is. stage and block are 0 where the role has none. */
typedef struct cyg_slot {
    cyg_role role;
    cyg_part part;
    int stage, block;
} cyg_slot;

typedef struct cyg_bound {
    uint64_t key; /* of the slot */
    const cyg_checkpoint_tensor *tensor;
    bool used;
} cyg_bound;

typedef struct cyg_binding {
    cyg_layout_id layout;
    cyg_family family;
    cyg_library library;
    const char *prefix; /* stands for ^ */
    size_t prefix_size;
    cyg_bound *items; /* sorted by key */
    size_t count;
    const cyg_checkpoint_tensor **unknown; /* whose names say nothing */
    size_t unknown_count;
    int stages; /* one more than the largest stage that has a block */
} cyg_binding;

/* Finds the layout that explains most names. CYG_E_UNSUPPORTED, with what was looked for and what
 * is there, when none explains even the patch embedding and a block. */
cyg_status cyg_bind(cyg_ctx *ctx, const cyg_checkpoint *checkpoint, cyg_arena *arena,
                    cyg_binding *out_binding) CYG_MUST_USE;
/* NULL when absent. */
cyg_bound *cyg_binding_find(const cyg_binding *b, cyg_slot slot);
/* Blocks of a stage: one more than the largest block number. */
int cyg_binding_blocks(const cyg_binding *b, int stage);
/* The name that the layout gives a slot, in arena; NULL when it has none (or no memory). */
const char *cyg_binding_name(const cyg_binding *b, cyg_slot slot, cyg_arena *arena);
const char *cyg_library_name(cyg_library library);
const char *cyg_layout_name(cyg_layout_id id); /* "swin_hf" */

#endif

/* What the readers of checkpoints share. Internal to io (and to its tests). */
#ifndef CYG_IO_CHECKPOINT_PARTS_H
#define CYG_IO_CHECKPOINT_PARTS_H

#include "base/arena.h"
#include "io/checkpoint.h"

typedef struct cyg_checkpoint_map {
    const char *path;
    cyg_map map;
    bool owned; /* the map is ours to close */
} cyg_checkpoint_map;

struct cyg_checkpoint {
    cyg_arena arena;
    cyg_checkpoint_map *files; /* heap */
    size_t file_count, file_cap;
    cyg_checkpoint_tensor *tensors; /* heap; sorted by name once open is done */
    size_t count, cap;
    const char *format;
    const char *place;  /* where the state dict lay in the pickle, "" = at its root */
    const char *prefix; /* taken off every name, "" = none */
    const char **notes; /* heap; lines for people */
    size_t note_count, note_cap;
    const char **unknown; /* heap; globals that were met and not known, sorted */
    size_t unknown_count, unknown_cap;
    const char **meta; /* heap; key, value, key, value ... */
    size_t meta_count, meta_cap;
};

/* An element type by its size, for bounds. */
size_t cyg_checkpoint_type_size(cyg_type type);
/* Adds a tensor whose data starts at `data` in a storage that ends `room` bytes later. Strides in
 * elements; NULL = row-major. Checks name, shape, strides and bounds; copies the name. where names
 * file and place for messages. */
typedef struct cyg_checkpoint_draft {
    const char *where;
    const char *name;
    size_t name_size;
    cyg_type type;
    int rank;
    const int64_t *dims, *strides;
    const uint8_t *data;
    size_t room;
} cyg_checkpoint_draft;
cyg_status cyg_checkpoint_add(cyg_ctx *ctx, cyg_checkpoint *c,
                              const cyg_checkpoint_draft *draft) CYG_MUST_USE;
cyg_status cyg_checkpoint_add_note(cyg_ctx *ctx, cyg_checkpoint *c, const char *fmt, ...)
    CYG_PRINTF(3, 4) CYG_MUST_USE;
/* Sorts c's tensors from `first` on by name; the same name twice is an error. */
cyg_status cyg_checkpoint_sort(cyg_ctx *ctx, cyg_checkpoint *c, const char *where,
                               size_t first) CYG_MUST_USE;
/* Makes room for one more item of `size` bytes in a heap array. */
bool cyg_checkpoint_grow(void **items, size_t count, size_t *cap, size_t size);

/* Each reads one file's bytes and adds its tensors. */
cyg_status cyg_safetensors_read(cyg_ctx *ctx, cyg_checkpoint *c, const char *path,
                                cyg_map map) CYG_MUST_USE;
cyg_status cyg_torch_zip_read(cyg_ctx *ctx, cyg_checkpoint *c, const char *path,
                              cyg_map map) CYG_MUST_USE;
cyg_status cyg_torch_legacy_read(cyg_ctx *ctx, cyg_checkpoint *c, const char *path,
                                 cyg_map map) CYG_MUST_USE;
bool cyg_safetensors_is(const void *data, size_t size);
bool cyg_torch_zip_is(const void *data, size_t size);
bool cyg_torch_legacy_is(const void *data, size_t size);
/* One file, by its content. */
cyg_status cyg_checkpoint_read_file(cyg_ctx *ctx, cyg_checkpoint *c, const char *path) CYG_MUST_USE;
/* A set of files behind an index.json. */
cyg_status cyg_checkpoint_read_index(cyg_ctx *ctx, cyg_checkpoint *c,
                                     const char *path) CYG_MUST_USE;

/* The same as cyg_checkpoint_open on bytes in memory that outlive the result: tests and fuzzing. */
cyg_status cyg_checkpoint_open_memory(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                                      cyg_checkpoint **out_checkpoint) CYG_MUST_USE;

#endif

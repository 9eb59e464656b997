/* Files: read-only maps, atomic writes, and output folders that appear whole or not at all. */
#ifndef CYG_BASE_FILE_H
#define CYG_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cyg_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
} cyg_map;

/* Maps a regular file privately. Pages are dropped with cyg_map_release_pages once a reader is past
 * them. */
cyg_status cyg_map_open(cyg_ctx *ctx, const char *path, cyg_map *out_map) CYG_MUST_USE;
void cyg_map_close(cyg_map *map);
void cyg_map_release_pages(const cyg_map *map, size_t offset, size_t size);

/* The whole pages inside [data, data + size) go back to the system; what they held is undefined
 * from now on (a map's come back from the file). */
void cyg_memory_release(const void *data, size_t size);
/* What was freed goes back to the system: between phases of which each holds a model. */
void cyg_memory_trim(void);

bool cyg_path_exists(const char *path);
bool cyg_path_is_dir(const char *path);
/* What stands behind the last slash, lent from path. */
const char *cyg_path_base(const char *path);
/* SHA-256 of a whole file as 64 hex digits and NUL, and its size in bytes. */
cyg_status cyg_sha256_file(cyg_ctx *ctx, const char *path, char out_hex[65],
                           uint64_t *out_size) CYG_MUST_USE;
/* mkdir -p. */
cyg_status cyg_make_dirs(cyg_ctx *ctx, const char *path) CYG_MUST_USE;
/* rm -r; follows no links. Missing is fine. */
cyg_status cyg_remove_tree(cyg_ctx *ctx, const char *path) CYG_MUST_USE;

/* A file that is written under a temporary name beside `path` and renamed on commit. Destroying an
 * uncommitted writer removes the temporary. Errors stick: commit reports the first. */
typedef struct cyg_writer cyg_writer;
cyg_status cyg_writer_open(cyg_ctx *ctx, const char *path, cyg_writer **out_writer) CYG_MUST_USE;
void cyg_writer_write(cyg_writer *w, const void *data, size_t size); /* buffered */
void cyg_writer_pad(cyg_writer *w, size_t align); /* zeros up to a multiple of align */
uint64_t cyg_writer_offset(const cyg_writer *w);
cyg_status cyg_writer_patch(cyg_ctx *ctx, cyg_writer *w, uint64_t offset, const void *data,
                            size_t size) CYG_MUST_USE;
cyg_status cyg_writer_commit(cyg_ctx *ctx, cyg_writer *w) CYG_MUST_USE; /* frees w in any case */
void cyg_writer_abort(cyg_writer *w);                                   /* NULL is fine */
/* Whole file at once, atomically. */
cyg_status cyg_write_file(cyg_ctx *ctx, const char *path, const void *data,
                          size_t size) CYG_MUST_USE;

/* An output folder in the making: "<path>.partial-<pid>" beside the target, renamed entry by entry
 * over it on commit (files of the target that the job did not write stay). Registered so that
 * cyg_staging_cleanup(), called on Ctrl-C's way out, removes what is unfinished. */
typedef struct cyg_staging {
    char *final_path;
    char *temp_path; /* write here */
} cyg_staging;
cyg_status cyg_staging_open(cyg_ctx *ctx, const char *final_path,
                            cyg_staging *out_staging) CYG_MUST_USE;
/* For files that join what a folder holds: the temporary lies inside, as ".partial-<pid>". */
cyg_status cyg_staging_open_inside(cyg_ctx *ctx, const char *folder,
                                   cyg_staging *out_staging) CYG_MUST_USE;
/* Releases staging in any case; on failure what was written under temp_path is gone too. */
cyg_status cyg_staging_commit(cyg_ctx *ctx, cyg_staging *staging) CYG_MUST_USE;
/* Fine after commit, and on a zeroed struct. */
void cyg_staging_abort(cyg_staging *staging);
/* Removes every staging folder and temporary file that is still unfinished. For the way out, not
 * for a signal handler. */
void cyg_staging_cleanup(void);

/* Peak resident set of this process, bytes. */
uint64_t cyg_peak_rss_bytes(void);
/* Monotonic seconds. */
double cyg_seconds(void);
/* Processor time of all threads of this process, seconds. */
double cyg_cpu_seconds(void);

#endif

/* A folder as a list of members.
 *
 * Recursive; links to files and to folders are followed, since data sets are often built of links.
 * A link back to a folder that is being listed would never end: each folder knows the ones above it
 * by device and inode. */
#include "io/archive_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum { DEEPEST = 64 };

typedef struct level {
    const struct level *above;
    struct stat identity;
    int depth;
} level;

static bool is_above(const level *l, const struct stat *st)
{
    for (; l != NULL; l = l->above)
        if (l->identity.st_dev == st->st_dev && l->identity.st_ino == st->st_ino)
            return true;
    return false;
}

static cyg_status list(cyg_ctx *ctx, cyg_archive *a, const char *below, const level *above);

/* One directory entry; name is its path below the root. */
static cyg_status add_entry(cyg_ctx *ctx, cyg_archive *a, const char *name, const level *here)
{
    char *full = NULL;
    struct stat st;
    if (asprintf(&full, "%s/%s", a->path, name) < 0)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", a->path);
    const int failed = stat(full, &st);
    free(full);
    if (failed == 0 && S_ISDIR(st.st_mode)) {
        if (is_above(here, &st)) {
            a->skipped++;
            return CYG_OK;
        }
        return list(ctx, a, name, here);
    }
    if (failed != 0 || !S_ISREG(st.st_mode)) { /* a dangling link, a device */
        a->skipped++;
        return CYG_OK;
    }
    return cyg_archive_add(ctx, a, name, (uint64_t)st.st_size, a->count);
}

static cyg_status list(cyg_ctx *ctx, cyg_archive *a, const char *below, const level *above)
{
    const char *slash = below[0] != '\0' ? "/" : "";
    char *full = NULL;
    DIR *dir = NULL;
    cyg_status status = CYG_OK;
    level here = {.above = above, .depth = above != NULL ? above->depth + 1 : 0};
    if (asprintf(&full, "%s%s%s", a->path, slash, below) < 0)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", a->path);
    dir = opendir(full);
    if (dir == NULL || fstat(dirfd(dir), &here.identity) != 0) {
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: cannot list: %s", full, strerror(errno));
        goto done;
    }
    if (here.depth > DEEPEST) {
        status = CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: folders nest deeper than %d", full, DEEPEST);
        goto done;
    }
    for (const struct dirent *e = readdir(dir); e != NULL && status == CYG_OK; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (cyg_archive_is_junk(e->d_name)) {
            a->skipped++;
            continue;
        }
        char *name = NULL;
        if (asprintf(&name, "%s%s%s", below, slash, e->d_name) < 0) {
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", a->path);
            break;
        }
        status = add_entry(ctx, a, name, &here);
        free(name);
    }
done:
    if (dir != NULL)
        closedir(dir);
    free(full);
    return status;
}

cyg_status cyg_folder_list(cyg_ctx *ctx, cyg_archive *a)
{
    return list(ctx, a, "", NULL);
}

cyg_status cyg_folder_read(cyg_ctx *ctx, const cyg_archive *a, const cyg_archive_member *m,
                           uint8_t **out_data, size_t *out_size)
{
    char *full = NULL;
    uint8_t *data = NULL;
    cyg_map map = {0};
    cyg_status status = CYG_OK;
    if (asprintf(&full, "%s/%s", a->path, m->name) < 0)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", a->path);
    status = cyg_map_open(ctx, full, &map);
    if (status != CYG_OK)
        goto done;
    if (map.size > CYG_ARCHIVE_LARGEST_MEMBER) {
        status = CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s has grown to %zu bytes", full, map.size);
        goto done;
    }
    data = malloc(map.size + 1);
    if (data == NULL) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", full);
        goto done;
    }
    if (map.size > 0)
        memcpy(data, map.data, map.size);
    *out_data = data;
    *out_size = map.size;
done:
    cyg_map_close(&map);
    free(full);
    return status;
}

/* Output folders that appear whole or not at all.
 *
 * A job writes into "<path>.partial-<pid>" beside the target. On commit a target that does not
 * exist yet is one rename; otherwise every file is renamed over its old self, folder by folder, and
 * files of the target that the job did not write stay. (The second case is atomic for each file,
 * not for the folder: POSIX has no more.) When the target is itself a mount point, as a container's
 * volume is, a folder beside it lies on another file system and cannot be renamed; then the
 * temporary goes inside it, as ".partial-<pid>". */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp.h"

enum { DEEPEST = 32 };

static void release(cyg_staging *staging)
{
    free(staging->final_path);
    free(staging->temp_path);
    *staging = (cyg_staging){0};
}

/* True when path and the folder that holds it lie on one file system and that folder can be
 * written. */
static bool can_stage_beside(const char *path)
{
    char *parent = NULL;
    struct stat here, above;
    if (asprintf(&parent, "%s/..", path) < 0)
        return false;
    const bool same = stat(path, &here) == 0 && stat(parent, &above) == 0 &&
                      here.st_dev == above.st_dev && here.st_ino != above.st_ino &&
                      access(parent, W_OK) == 0;
    free(parent);
    return same;
}

/* The target by a name that a suffix can be put behind: no trailing slash, no final "." or "..". */
static char *clean_path(const char *path)
{
    char *clean = cyg_path_is_dir(path) ? realpath(path, NULL) : strdup(path);
    for (size_t n = clean != NULL ? strlen(clean) : 0; n > 1 && clean[n - 1] == '/'; n--)
        clean[n - 1] = '\0';
    return clean;
}

/* The temporary is "<path>.partial-<pid>", or that inside the folder. */
static cyg_status open_staging(cyg_ctx *ctx, const char *final_path, bool inside,
                               cyg_staging *out_staging)
{
    cyg_staging s = {0};
    *out_staging = s;
    if (cyg_path_exists(final_path) && !cyg_path_is_dir(final_path))
        return CYG_FAIL(ctx, CYG_E_IO, "%s: is a file, expected a folder", final_path);
    s.final_path = clean_path(final_path);
    if (s.final_path == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", final_path);
    const char *infix =
        inside || (cyg_path_is_dir(s.final_path) && !can_stage_beside(s.final_path)) ? "/" : "";
    if (asprintf(&s.temp_path, "%s%s.partial-%ld", s.final_path, infix, (long)getpid()) < 0)
        s.temp_path = NULL;
    cyg_status status = CYG_OK;
    if (s.temp_path == NULL || !cyg_temp_add(s.temp_path))
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", final_path);
    if (status == CYG_OK)
        status = cyg_remove_tree(ctx, s.temp_path); /* a dead process had our pid */
    if (status == CYG_OK)
        status = cyg_make_dirs(ctx, s.temp_path);
    if (status != CYG_OK) {
        cyg_staging_abort(&s);
        return status;
    }
    *out_staging = s;
    return CYG_OK;
}

cyg_status cyg_staging_open(cyg_ctx *ctx, const char *final_path, cyg_staging *out_staging)
{
    return open_staging(ctx, final_path, false, out_staging);
}

cyg_status cyg_staging_open_inside(cyg_ctx *ctx, const char *folder, cyg_staging *out_staging)
{
    if (!cyg_path_is_dir(folder))
        return CYG_FAIL(ctx, CYG_E_IO, "%s: there is no such folder", folder);
    return open_staging(ctx, folder, true, out_staging);
}

void cyg_staging_abort(cyg_staging *staging)
{
    if (staging->temp_path != NULL) {
        CYG_IGNORE(cyg_remove_tree(NULL, staging->temp_path));
        cyg_temp_forget(staging->temp_path);
    }
    release(staging);
}

static cyg_status move_tree(cyg_ctx *ctx, const char *from, const char *to, int depth);

static cyg_status move_entry(cyg_ctx *ctx, const char *from, const char *to, int depth)
{
    struct stat st, target;
    if (lstat(from, &st) != 0)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot stat: %s", from, strerror(errno));
    if (S_ISDIR(st.st_mode) && stat(to, &target) == 0) {
        if (!S_ISDIR(target.st_mode))
            return CYG_FAIL(ctx, CYG_E_IO, "%s: is a file, expected a folder", to);
        return move_tree(ctx, from, to, depth + 1);
    }
    if (rename(from, to) != 0)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot rename %s to it: %s", to, from, strerror(errno));
    return CYG_OK;
}

static cyg_status move_tree(cyg_ctx *ctx, const char *from, const char *to, int depth)
{
    if (depth > DEEPEST)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: folders nest deeper than %d", from, DEEPEST);
    DIR *dir = opendir(from);
    if (dir == NULL)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot list: %s", from, strerror(errno));
    cyg_status status = CYG_OK;
    for (struct dirent *e = readdir(dir); e != NULL && status == CYG_OK; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *a = NULL, *b = NULL;
        if (asprintf(&a, "%s/%s", from, e->d_name) < 0)
            a = NULL;
        if (asprintf(&b, "%s/%s", to, e->d_name) < 0)
            b = NULL;
        status = a != NULL && b != NULL ? move_entry(ctx, a, b, depth)
                                        : CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", from);
        free(a);
        free(b);
    }
    closedir(dir);
    return status;
}

cyg_status cyg_staging_commit(cyg_ctx *ctx, cyg_staging *staging)
{
    const char *from = staging->temp_path, *to = staging->final_path;
    cyg_status status = CYG_OK;
    if (cyg_path_exists(to)) {
        status = move_tree(ctx, from, to, 0);
    } else if (rename(from, to) != 0) {
        status =
            CYG_FAIL(ctx, CYG_E_IO, "%s: cannot rename %s to it: %s", to, from, strerror(errno));
    }
    cyg_staging_abort(
        staging); /* whatever is left is an emptied skeleton, or the remains of a failure */
    return status;
}

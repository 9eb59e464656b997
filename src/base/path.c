/* Paths: existence, last part, mkdir -p, rm -r. */
#include "base/file.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool cyg_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool cyg_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *cyg_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

cyg_status cyg_make_dirs(cyg_ctx *ctx, const char *path)
{
    cyg_status status = CYG_OK;
    char *partial = strdup(path);
    if (partial == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    for (char *p = partial; *p != '\0' && status == CYG_OK;) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        const char cut = *p;
        *p = '\0';
        /* EEXIST may be a file; stat tells. A racing process that makes the same folder is fine. */
        if (*partial != '\0' && mkdir(partial, 0777) != 0 && !cyg_path_is_dir(partial)) {
            const int why = errno == EEXIST ? ENOTDIR : errno;
            status = CYG_FAIL(ctx, CYG_E_IO, "%s: cannot make folder: %s", partial, strerror(why));
        }
        *p = cut;
    }
    free(partial);
    return status;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

cyg_status cyg_remove_tree(cyg_ctx *ctx, const char *path)
{
    /* FTW_PHYS: links are removed, not followed. FTW_DEPTH: a folder after what is in it. */
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return CYG_OK;
    return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot remove: %s", path, strerror(errno));
}

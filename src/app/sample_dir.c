/* Listing and reading sample folders. */
#include "app/sample_dir.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config/sample_files.h"

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static cyg_status list_folders(cyg_app *app, const char *key, const char *root, cyg_sample_dir *out)
{
    const char **names = NULL;
    size_t room = 0;
    const char *first = cyg_arena_printf(&app->arena, "%s/%s", root, out->files.items[0]);
    DIR *dir = opendir(root);
    const struct dirent *entry;
    cyg_status st = CYG_OK;
    if (dir == NULL || first == NULL)
        st = CYG_FAIL(&app->ctx, CYG_E_IO, "%s: cannot read %s", key, root);
    const bool whole = st == CYG_OK && cyg_path_exists(first);
    while (st == CYG_OK && (whole ? out->count == 0 : (entry = readdir(dir)) != NULL)) {
        if (!whole && entry->d_name[0] == '.')
            continue;
        const char *path =
            whole ? root : cyg_arena_printf(&app->arena, "%s/%s", root, entry->d_name);
        if (path != NULL && !cyg_path_is_dir(path))
            continue;
        if (out->count == room) {
            const char **more = CYG_NEW_ARRAY(&app->arena, const char *, 2 * room + 16);
            if (more != NULL && room > 0)
                memcpy(more, names, room * sizeof *names);
            names = more;
            room = 2 * room + 16;
        }
        if (path == NULL || names == NULL)
            st = CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
        else
            names[out->count++] = path;
    }
    if (dir != NULL)
        closedir(dir);
    if (st == CYG_OK && out->count == 0)
        st = CYG_FAIL(&app->ctx, CYG_E_IO, "%s: %s holds neither %s nor folders with it", key, root,
                      out->files.items[0]);
    if (st == CYG_OK)
        qsort(names, out->count, sizeof *names, by_bytes);
    out->folders = names;
    return st;
}

cyg_status cyg_sample_dir_open(cyg_app *app, const char *key, const char *root,
                               const char *const *inputs, size_t input_count,
                               cyg_sample_dir *out_dir)
{
    *out_dir = (cyg_sample_dir){0};
    CYG_DO(cyg_tensor_file_names(&app->ctx, &app->arena, inputs, input_count, &out_dir->files));
    return list_folders(app, key, root, out_dir);
}

cyg_status cyg_sample_dir_read(cyg_app *app, const cyg_sample_dir *dir, size_t sample, size_t i,
                               size_t bytes, void *out_data)
{
    cyg_map map;
    const char *path =
        cyg_arena_printf(&app->arena, "%s/%s", dir->folders[sample], dir->files.items[i]);
    if (path == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_map_open(&app->ctx, path, &map));
    const size_t found = map.size;
    if (found == bytes && found > 0)
        memcpy(out_data, map.data, found);
    cyg_map_close(&map);
    return found == bytes ? CYG_OK
                          : CYG_FAIL(&app->ctx, CYG_E_FORMAT, "%s: expected %zu bytes, found %zu",
                                     path, bytes, found);
}

/* See output_file.h. */
#include "app/output_file.h"

#include <sys/stat.h>

cyg_status cyg_output_open(cyg_app *app, const char *path, bool read_back, const char *instead,
                           cyg_output_file *out_file)
{
    struct stat st;
    const char *name = cyg_path_base(path);
    *out_file = (cyg_output_file){.path = path, .written = path};
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "%s is a folder, expected a file name", path);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        if (read_back)
            return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                            "%s is no file that could be read back, which the proof needs: %s",
                            path, instead);
        return CYG_OK;
    }
    const char *folder =
        name == path ? "." : cyg_arena_strndup(&app->arena, path, (size_t)(name - path));
    if (folder == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_staging_open_inside(&app->ctx, folder, &out_file->staging));
    out_file->written = cyg_arena_printf(&app->arena, "%s/%s", out_file->staging.temp_path, name);
    return out_file->written != NULL ? CYG_OK : CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
}

bool cyg_output_is_regular(const cyg_output_file *file)
{
    return file->staging.temp_path != NULL;
}

cyg_status cyg_output_commit(cyg_app *app, cyg_output_file *file)
{
    return cyg_output_is_regular(file) ? cyg_staging_commit(&app->ctx, &file->staging) : CYG_OK;
}

void cyg_output_abort(cyg_output_file *file)
{
    cyg_staging_abort(&file->staging);
}

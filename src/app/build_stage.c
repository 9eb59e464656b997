/* Bookkeeping of a build: stage times and lines, hashes of what was read, paths in the staging
 * folder. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "app/build.h"
#include "base/hash.h"

void cyg_build_begin(cyg_build *b)
{
    b->stage_start = cyg_seconds();
    b->stage_cpu_start = cyg_cpu_seconds();
}

void cyg_build_end(cyg_build *b, const char *name, const char *fmt, ...)
{
    const double seconds = cyg_seconds() - b->stage_start;
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (b->stage_count < CYG_BUILD_STAGES)
        b->stages[b->stage_count++] = (cyg_build_stage){
            name, seconds, cyg_cpu_seconds() - b->stage_cpu_start, cyg_peak_rss_bytes()};
    cyg_terminal_flush();
    /* Columns are counted in characters, not bytes: continuation bytes of UTF-8 take none. */
    int wide = 0;
    for (const char *c = text; *c != '\0'; c++)
        wide += ((unsigned char)*c & 0xc0) == 0x80;
    cyg_app_print(b->app, "  %-11s %-*s %6.2f s\n", name, 68 + wide, text, seconds);
    cyg_build_begin(b);
}

cyg_status cyg_build_add_file(cyg_build *b, const char *role, const char *path,
                              cyg_build_file **out_file)
{
    *out_file = NULL;
    if (b->file_count == CYG_COUNT(b->files) || cyg_path_is_dir(path))
        return CYG_OK;
    cyg_build_file *f = &b->files[b->file_count++];
    f->role = role;
    f->path = path;
    f->name = cyg_arena_strdup(&b->app->arena, cyg_path_base(path));
    if (f->name == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    *out_file = f;
    return CYG_OK;
}

cyg_status cyg_build_hash_file(cyg_build *b, const char *role, const char *path)
{
    cyg_build_file *f;
    CYG_DO(cyg_build_add_file(b, role, path, &f));
    return f == NULL ? CYG_OK : cyg_sha256_file(&b->app->ctx, path, f->sha256, &f->bytes);
}

cyg_status cyg_build_path(cyg_build *b, const char *relative, const char **out_path)
{
    /* Folders are those of the stages; what lies at the top is the result. */
    const bool work = b->work.temp_path != NULL && strchr(relative, '/') != NULL;
    char *path = cyg_arena_printf(&b->app->arena, "%s/%s",
                                  work ? b->work.temp_path : b->staging.temp_path, relative);
    if (path == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    char *slash = strrchr(path, '/');
    *slash = '\0';
    const cyg_status status = cyg_make_dirs(&b->app->ctx, path);
    *slash = '/';
    *out_path = path;
    return status;
}

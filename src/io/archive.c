/* A list of members and two ways to fill and read it: folder.c for folders, packed.c for archives.
 * Here is what they share: which names count, the order, the limits. */
#include "io/archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/archive_parts.h"

bool cyg_archive_is_junk(const char *name)
{
    for (const char *part = name; part != NULL;) {
        const char *slash = strchr(part, '/');
        const size_t n = slash != NULL ? (size_t)(slash - part) : strlen(part);
        if ((n > 0 && part[0] == '.') || (n == 8 && memcmp(part, "__MACOSX", 8) == 0))
            return true;
        part = slash != NULL ? slash + 1 : NULL;
    }
    return false;
}

cyg_status cyg_archive_add(cyg_ctx *ctx, cyg_archive *a, const char *name, uint64_t size,
                           uint64_t position)
{
    if (a->count == CYG_ARCHIVE_MOST_MEMBERS)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: more than %d files", a->path,
                        CYG_ARCHIVE_MOST_MEMBERS);
    if (size > CYG_ARCHIVE_LARGEST_TOTAL - a->total)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: its files claim more than %" PRIu64 " bytes",
                        a->path, CYG_ARCHIVE_LARGEST_TOTAL);
    if (a->count == a->cap) {
        const size_t cap = a->cap == 0 ? 64 : a->cap * 2;
        cyg_archive_member *members = realloc(a->members, cap * sizeof *members);
        if (members == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", a->path);
        a->members = members;
        a->cap = cap;
    }
    const char *copy = cyg_arena_strdup(&a->names, name);
    if (copy == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", a->path);
    a->members[a->count++] = (cyg_archive_member){.name = copy, .size = size, .position = position};
    a->total += size;
    return CYG_OK;
}

/* By name; two members of one name (tar allows it) by position. */
static int by_name(const void *left, const void *right)
{
    const cyg_archive_member *a = left, *b = right;
    const int order = strcmp(a->name, b->name);
    return order != 0 ? order : (a->position > b->position) - (a->position < b->position);
}

cyg_status cyg_archive_open(cyg_ctx *ctx, const char *path, cyg_archive **out_archive)
{
    *out_archive = NULL;
    cyg_archive *a = calloc(1, sizeof *a);
    if (a == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    cyg_arena_init(&a->names);
    a->path = cyg_arena_strdup(&a->names, path);
    a->is_folder = cyg_path_is_dir(path);
    cyg_status status = CYG_OK;
    if (a->path == NULL)
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    else
        status = a->is_folder ? cyg_folder_list(ctx, a) : cyg_packed_list(ctx, a);
    if (status != CYG_OK) {
        cyg_archive_close(a);
        return status;
    }
    if (a->count > 0)
        qsort(a->members, a->count, sizeof *a->members, by_name);
    *out_archive = a;
    return CYG_OK;
}

void cyg_archive_close(cyg_archive *a)
{
    if (a == NULL)
        return;
    cyg_packed_close(a);
    free(a->members);
    cyg_arena_deinit(&a->names);
    free(a);
}

const char *cyg_archive_path(const cyg_archive *a)
{
    return a->path;
}

size_t cyg_archive_count(const cyg_archive *a)
{
    return a->count;
}

size_t cyg_archive_skipped(const cyg_archive *a)
{
    return a->skipped;
}

const char *cyg_archive_name(const cyg_archive *a, size_t i)
{
    return i < a->count ? a->members[i].name : "";
}

uint64_t cyg_archive_size(const cyg_archive *a, size_t i)
{
    return i < a->count ? a->members[i].size : 0;
}

uint64_t cyg_archive_position(const cyg_archive *a, size_t i)
{
    return i < a->count ? a->members[i].position : 0;
}

cyg_status cyg_archive_read(cyg_ctx *ctx, cyg_archive *a, size_t i, uint8_t **out_data,
                            size_t *out_size)
{
    *out_data = NULL;
    *out_size = 0;
    if (i >= a->count)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "%s: no member %zu of %zu", a->path, i, a->count);
    const cyg_archive_member *m = &a->members[i];
    if (m->size > CYG_ARCHIVE_LARGEST_MEMBER)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: \"%s\" has %" PRIu64 " bytes; a member may have %" PRIu64, a->path,
                        m->name, m->size, CYG_ARCHIVE_LARGEST_MEMBER);
    return a->is_folder ? cyg_folder_read(ctx, a, m, out_data, out_size)
                        : cyg_packed_read(ctx, a, m, out_data, out_size);
}

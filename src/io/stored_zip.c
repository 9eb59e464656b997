/* A zip's directory, for members that are used where they lie.
 *
 * Why not a library: torch stores tensors uncompressed so that they can be mapped, and libzip and
 * libarchive hand out copies only; neither tells the offset of a member's bytes. What is needed is
 * small: the end record (and its 64-bit form), the central directory, and each member's local
 * header for the one thing the directory does not say, how long that header is.
 *
 * Sizes are taken from the central directory, since torch leaves those of the local header empty. A
 * zip says most things twice and a hostile one says them differently, so: the local name must equal
 * the central one, a stored member must have equal sizes, every range is checked against the file,
 * members may not share bytes, and no name may come twice. The count in the end record is only a
 * check, never the size of an allocation. CRCs are not compared: torch can write files without
 * (set_crc32_options), and weights are never read twice.
 *
 * Not done: multi-disk zips, encryption (refused), bytes in front of the first member (refused by
 * their wrong offsets). */
#include "io/stored_zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

enum {
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    LONGEST_COMMENT = 65535,
};

typedef struct zip_file {
    cyg_ctx *ctx;
    const char *path;
    const uint8_t *data;
    size_t size;
    uint64_t directory, directory_size, entries;
} zip_file;

static cyg_status damaged(const zip_file *z, uint64_t at, const char *text)
{
    return CYG_FAIL(z->ctx, CYG_E_FORMAT, "%s: zip, offset %llu: %s", z->path,
                    (unsigned long long)at, text);
}

static bool starts(const zip_file *z, uint64_t at, size_t size, const char *magic)
{
    return cyg_range_ok(at, size, z->size) && memcmp(z->data + at, magic, 4) == 0;
}

static bool agrees(uint64_t narrow, uint64_t all_ones, uint64_t wide)
{
    return narrow == wide || narrow == all_ones;
}

/* Replaces the 16- and 32-bit fields by those of the 64-bit end record, if there is one. */
static cyg_status read_end64(zip_file *z, size_t end)
{
    if (end < LOCATOR_SIZE || !starts(z, end - LOCATOR_SIZE, LOCATOR_SIZE, "PK\6\7"))
        return CYG_OK;
    const uint64_t at = cyg_load_u64(z->data + end - LOCATOR_SIZE + 8);
    if (!starts(z, at, END64_SIZE, "PK\6\6"))
        return damaged(z, end - LOCATOR_SIZE, "the 64-bit end record is not where it should be");
    const uint64_t entries = cyg_load_u64(z->data + at + 32);
    const uint64_t directory_size = cyg_load_u64(z->data + at + 40);
    const uint64_t directory = cyg_load_u64(z->data + at + 48);
    if (!agrees(z->entries, UINT16_MAX, entries) ||
        !agrees(z->directory_size, UINT32_MAX, directory_size) ||
        !agrees(z->directory, UINT32_MAX, directory))
        return damaged(z, at, "the two end records disagree");
    z->entries = entries;
    z->directory_size = directory_size;
    z->directory = directory;
    return CYG_OK;
}

static cyg_status find_directory(zip_file *z)
{
    if (z->size < END_SIZE)
        return damaged(z, 0, "too short for a zip file");
    const size_t last = z->size - END_SIZE;
    const size_t lowest = last > LONGEST_COMMENT ? last - LONGEST_COMMENT : 0;
    size_t at = last;
    while (memcmp(z->data + at, "PK\5\6", 4) != 0) {
        if (at == lowest)
            return damaged(z, at, "no end record: the file is cut off, or not a zip");
        at--;
    }
    z->entries = cyg_load_u16(z->data + at + 10);
    z->directory_size = cyg_load_u32(z->data + at + 12);
    z->directory = cyg_load_u32(z->data + at + 16);
    CYG_DO(read_end64(z, at));
    if (!cyg_range_ok(z->directory, z->directory_size, at))
        return damaged(z, at, "the directory lies outside the file");
    if (z->entries > z->directory_size / CENTRAL_SIZE)
        return damaged(z, at, "more members than the directory has room for");
    return CYG_OK;
}

/* Takes 64-bit sizes and offset from the extra field where the 32-bit ones are all ones. */
static bool read_extra(const uint8_t *extra, size_t size, uint64_t *plain, uint64_t *packed,
                       uint64_t *offset)
{
    uint64_t *const fields[] = {plain, packed, offset};
    if (*plain != UINT32_MAX && *packed != UINT32_MAX && *offset != UINT32_MAX)
        return true;
    while (size >= 4) {
        const size_t length = cyg_load_u16(extra + 2);
        if (length > size - 4)
            return false;
        if (cyg_load_u16(extra) == 1) {
            const uint8_t *p = extra + 4;
            size_t left = length;
            for (size_t i = 0; i < CYG_COUNT(fields); i++) {
                if (*fields[i] != UINT32_MAX)
                    continue;
                if (left < 8)
                    return false;
                *fields[i] = cyg_load_u64(p);
                p += 8;
                left -= 8;
            }
            return true;
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return true; /* exactly 4 GiB - 1, then */
}

/* Finds the member's bytes behind its local header. */
static cyg_status locate(const zip_file *z, uint64_t offset, cyg_zip_member *m)
{
    if (!starts(z, offset, LOCAL_SIZE, "PK\3\4"))
        return damaged(z, offset, "no member where the directory says");
    const uint8_t *local = z->data + offset;
    const size_t name_size = cyg_load_u16(local + 26), extra_size = cyg_load_u16(local + 28);
    const uint64_t start = offset + LOCAL_SIZE + name_size + extra_size;
    if (!cyg_range_ok(start, m->packed, z->directory))
        return damaged(z, offset, "a member goes past the end of the data");
    if (name_size != m->name_size || memcmp(local + LOCAL_SIZE, m->name, name_size) != 0)
        return damaged(z, offset, "a member has another name than in the directory");
    if (cyg_load_u16(local + 8) != m->method)
        return damaged(z, offset, "a member is packed otherwise than the directory says");
    m->data = z->data + start;
    return CYG_OK;
}

/* Reads the directory entry at *at and steps over it. */
static cyg_status read_entry(const zip_file *z, uint64_t *at, cyg_zip_member *m)
{
    const uint64_t end = z->directory + z->directory_size;
    if (!cyg_range_ok(*at, CENTRAL_SIZE, end) || memcmp(z->data + *at, "PK\1\2", 4) != 0)
        return damaged(z, *at, "no directory entry here");
    const uint8_t *entry = z->data + *at;
    const size_t name_size = cyg_load_u16(entry + 28), extra_size = cyg_load_u16(entry + 30);
    const size_t length = CENTRAL_SIZE + name_size + extra_size + cyg_load_u16(entry + 32);
    if (!cyg_range_ok(*at, length, end))
        return damaged(z, *at, "a directory entry goes past the directory");
    uint64_t packed = cyg_load_u32(entry + 20), plain = cyg_load_u32(entry + 24);
    uint64_t offset = cyg_load_u32(entry + 42);
    if (!read_extra(entry + CENTRAL_SIZE + name_size, extra_size, &plain, &packed, &offset))
        return damaged(z, *at, "the 64-bit sizes are cut short");
    *m = (cyg_zip_member){.name = (const char *)entry + CENTRAL_SIZE,
                          .name_size = name_size,
                          .packed = packed,
                          .size = plain,
                          .method = cyg_load_u16(entry + 10)};
    if ((cyg_load_u16(entry + 8) & 1) != 0)
        return CYG_FAIL(z->ctx, CYG_E_UNSUPPORTED, "%s: an encrypted zip", z->path);
    if (m->method == 0 && packed != plain)
        return damaged(z, *at, "a stored member with two different sizes");
    CYG_DO(locate(z, offset, m));
    *at += length;
    return CYG_OK;
}

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_name(const void *a, const void *b)
{
    const cyg_zip_member *x = a, *y = b;
    return compare_names(x->name, x->name_size, y->name, y->name_size);
}

static int by_place(const void *a, const void *b)
{
    const cyg_zip_member *x = a, *y = b;
    return x->data != y->data ? (x->data > y->data) - (x->data < y->data)
                              : (x->packed > y->packed) - (x->packed < y->packed);
}

static cyg_status check_members(const zip_file *z, cyg_stored_zip *zip)
{
    cyg_zip_member *m = zip->members;
    qsort(m, zip->count, sizeof *m, by_place);
    for (size_t i = 1; i < zip->count; i++)
        if (m[i].packed > 0 && (size_t)(m[i].data - m[i - 1].data) < m[i - 1].packed)
            return damaged(z, (uint64_t)(m[i].data - z->data), "two members share bytes");
    qsort(m, zip->count, sizeof *m, by_name);
    for (size_t i = 1; i < zip->count; i++)
        if (by_name(&m[i - 1], &m[i]) == 0)
            return damaged(z, z->directory, "two members have the same name");
    return CYG_OK;
}

cyg_status cyg_stored_zip_open(cyg_ctx *ctx, const char *path, const void *data, size_t size,
                               cyg_stored_zip *out_zip)
{
    *out_zip = (cyg_stored_zip){0};
    zip_file z = {.ctx = ctx, .path = path, .data = data, .size = size};
    CYG_DO(find_directory(&z));
    out_zip->members = calloc((size_t)z.entries + 1, sizeof *out_zip->members);
    if (out_zip->members == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    uint64_t at = z.directory;
    while (out_zip->count < z.entries) {
        CYG_DO(read_entry(&z, &at, &out_zip->members[out_zip->count]));
        out_zip->count++;
    }
    return check_members(&z, out_zip);
}

void cyg_stored_zip_deinit(cyg_stored_zip *zip)
{
    free(zip->members);
    *zip = (cyg_stored_zip){0};
}

const cyg_zip_member *cyg_stored_zip_find(const cyg_stored_zip *zip, const char *name,
                                          size_t name_size)
{
    size_t low = 0, high = zip->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const cyg_zip_member *m = &zip->members[middle];
        const int order = compare_names(name, name_size, m->name, m->name_size);
        if (order == 0)
            return m;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* File names of tensors and sample folders.
 *
 * The vendor's rule maps names to files many to one, and says nothing of collisions: "a/b" and
 * "a:b" would overwrite each other. Here that is an error before anything runs. A multi-byte UTF-8
 * character is one code point and gives one "_"; bytes that are no UTF-8 count one by one, so any
 * name has a file name.
 *
 * List files come from Windows often enough: CR at the end of a line made the vendor's tool skip
 * 299 of 300 samples. */
#include "config/sample_files.h"

#include <stdint.h>
#include <string.h>

#include "base/hash.h"

/* Bytes of the code point at p, which is not NUL. */
static size_t code_point_size(const char *p)
{
    const unsigned char lead = (unsigned char)p[0];
    const size_t want = lead >= 0xF0 && lead < 0xF8 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
    for (size_t i = 1; i < want; i++)
        if (((unsigned char)p[i] & 0xC0) != 0x80) /* stops at NUL too */
            return 1;
    return lead >= 0xF8 ? 1 : want;
}

static bool is_plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

const char *cyg_tensor_file_name(cyg_arena *arena, const char *tensor)
{
    static const char suffix[] = ".bin";
    char *name = cyg_arena_alloc(arena, strlen(tensor) + sizeof suffix, 1);
    size_t len = 0;
    if (name == NULL)
        return NULL;
    for (const char *p = tensor; *p != '\0';) {
        name[len++] = is_plain(*p) ? *p : '_';
        p += code_point_size(p);
    }
    memcpy(name + len, suffix, sizeof suffix);
    return name;
}

/* Index of text in items[0..count), by a small open hash table of indices + 1 (its size a power of
 * two > 2 count); inserts count when absent and returns it. */
static size_t find_or_add(uint32_t *table, size_t mask, const char *const *items, size_t count)
{
    size_t at = (size_t)cyg_hash64(items[count], strlen(items[count]), 0) & mask;
    while (table[at] != 0) {
        if (strcmp(items[table[at] - 1], items[count]) == 0)
            return table[at] - 1;
        at = (at + 1) & mask;
    }
    table[at] = (uint32_t)count + 1;
    return count;
}

static uint32_t *make_table(cyg_arena *arena, size_t count, size_t *out_mask)
{
    size_t size = 16;
    while (size < SIZE_MAX / 8 && size <= 2 * count)
        size *= 2;
    *out_mask = size - 1;
    return CYG_NEW_ARRAY(arena, uint32_t, size);
}

cyg_status cyg_tensor_file_names(cyg_ctx *ctx, cyg_arena *arena, const char *const *tensors,
                                 size_t count, cyg_string_list *out_names)
{
    size_t mask = 0;
    const char **names = CYG_NEW_ARRAY(arena, const char *, count + 1);
    uint32_t *table = make_table(arena, count, &mask);
    if (names == NULL || table == NULL || count >= UINT32_MAX)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        names[i] = cyg_tensor_file_name(arena, tensors[i]);
        if (names[i] == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        const size_t other = find_or_add(table, mask, names, i);
        if (other != i)
            return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                            "tensors \"%.200s\" and \"%.200s\" would share the file %.200s",
                            tensors[other], tensors[i], names[i]);
    }
    *out_names = (cyg_string_list){names, count};
    return CYG_OK;
}

/* Whether a part of the path is "..". */
static bool climbs(const char *path)
{
    for (const char *p = path; p != NULL; p = strchr(p, '/')) {
        p += *p == '/';
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
            return true;
    }
    return false;
}

cyg_status cyg_sample_list_parse(cyg_ctx *ctx, cyg_arena *arena, const char *path, const void *data,
                                 size_t size, cyg_string_list *out_lines)
{
    const char *text = data;
    size_t most = 1, count = 0, mask = 0;
    for (size_t i = 0; i < size; i++)
        most += text[i] == '\n';
    const char **lines = CYG_NEW_ARRAY(arena, const char *, most);
    uint32_t *table = make_table(arena, most, &mask);
    if (lines == NULL || table == NULL || most >= UINT32_MAX)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    for (size_t at = 0, number = 1; at < size; number++) {
        const char *start = text + at;
        const char *newline = memchr(start, '\n', size - at);
        size_t len = newline ? (size_t)(newline - start) : size - at;
        at += len + 1;
        while (len > 0 && strchr(" \t\r", start[len - 1]) != NULL && start[len - 1] != '\0')
            len--;
        while (len > 0 && (*start == ' ' || *start == '\t')) {
            start++;
            len--;
        }
        if (len == 0)
            continue;
        if (memchr(start, '\0', len) != NULL)
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s:%zu: holds a NUL byte: not a text file", path,
                            number);
        lines[count] = cyg_arena_strndup(arena, start, len);
        if (lines[count] == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
        if (start[0] == '/' || climbs(lines[count]))
            return CYG_FAIL(ctx, CYG_E_CONFIG,
                            "%s:%zu: \"%.200s\": expected a folder below input_dir", path, number,
                            lines[count]);
        if (find_or_add(table, mask, lines, count) != count)
            return CYG_FAIL(ctx, CYG_E_CONFIG, "%s:%zu: \"%.200s\" is listed twice", path, number,
                            lines[count]);
        count++;
    }
    *out_lines = (cyg_string_list){lines, count};
    return CYG_OK;
}

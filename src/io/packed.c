/* tar, tar.gz (bz2, xz, zst) and zip as a list of members, by libarchive.
 *
 * Listing is one pass over the headers. Reading goes forward in the pass that is open and starts a
 * new one for a step back, so the memory is that of one member and libarchive's window, however
 * large the archive. A plain tar can be entered at any header: there a step back costs a seek.
 * Whether an archive is a plain tar is asked of libarchive (format tar, no filter).
 *
 * Formats and filters are enabled one by one: "all" would include filters that start other
 * programs. */
#include "io/archive_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/file.h"
#include "io/late_archive.h"

enum { READ_BLOCK = 128 * 1024 };

static struct archive *new_reader(void)
{
    struct archive *r = cyg_libarchive.archive_read_new();
    if (r == NULL)
        return NULL;
    if (cyg_libarchive.archive_read_support_format_tar(r) != ARCHIVE_OK ||
        cyg_libarchive.archive_read_support_format_zip(r) != ARCHIVE_OK ||
        cyg_libarchive.archive_read_support_filter_gzip(r) != ARCHIVE_OK) {
        cyg_libarchive.archive_read_free(r);
        return NULL;
    }
    /* ARCHIVE_WARN: this libarchive would start a program for it; then the archive is reported as
     * unknown. */
    (void)cyg_libarchive.archive_read_support_filter_bzip2(r);
    (void)cyg_libarchive.archive_read_support_filter_xz(r);
    (void)cyg_libarchive.archive_read_support_filter_zstd(r);
    return r;
}

static cyg_status fail(cyg_ctx *ctx, const cyg_archive *a, struct archive *r, const char *doing)
{
    const char *why = cyg_libarchive.archive_error_string(r);
    const int code = cyg_libarchive.archive_errno(r);
    return CYG_FAIL(ctx, code == ENOMEM ? CYG_E_NOMEM : CYG_E_FORMAT, "%s: %s: %s", a->path, doing,
                    why != NULL ? why : "unknown error");
}

static const char *name_of(struct archive_entry *entry)
{
    const char *name = cyg_libarchive.archive_entry_pathname(entry);
    if (name == NULL)
        name = cyg_libarchive.archive_entry_pathname_utf8(entry);
    if (name == NULL)
        return NULL;
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    return name;
}

/* One header of the listing pass. */
static cyg_status add_header(cyg_ctx *ctx, cyg_archive *a, struct archive *r,
                             struct archive_entry *entry, uint64_t ordinal)
{
    const char *name = name_of(entry);
    if (cyg_libarchive.archive_entry_filetype(entry) == AE_IFDIR)
        return CYG_OK;
    if (name == NULL || name[0] == '\0' ||
        cyg_libarchive.archive_entry_filetype(entry) != AE_IFREG ||
        cyg_libarchive.archive_entry_hardlink(entry) != NULL || cyg_archive_is_junk(name)) {
        a->skipped++;
        return CYG_OK;
    }
    const int64_t size = cyg_libarchive.archive_entry_size_is_set(entry)
                             ? cyg_libarchive.archive_entry_size(entry)
                             : 0;
    CYG_DO(cyg_archive_add(ctx, a, name, size > 0 ? (uint64_t)size : 0, ordinal));
    a->members[a->count - 1].offset = (uint64_t)cyg_libarchive.archive_read_header_position(r);
    return CYG_OK;
}

cyg_status cyg_packed_list(cyg_ctx *ctx, cyg_archive *a)
{
    CYG_DO(cyg_libarchive_open(ctx)); /* every archive is listed before it is read */
    struct archive *r = new_reader();
    if (r == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", a->path);
    cyg_status status = CYG_OK;
    if (!cyg_path_exists(a->path)) {
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: no such file or folder", a->path);
        goto done;
    }
    if (cyg_libarchive.archive_read_open_filename(r, a->path, READ_BLOCK) != ARCHIVE_OK) {
        status = fail(ctx, a, r, "neither a folder nor a tar, tar.gz or zip archive");
        goto done;
    }
    for (uint64_t ordinal = 0; status == CYG_OK; ordinal++) {
        struct archive_entry *entry = NULL;
        const int code = cyg_libarchive.archive_read_next_header(r, &entry);
        if (code == ARCHIVE_EOF)
            break;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            status = fail(ctx, a, r,
                          ordinal == 0 ? "neither a folder nor a tar, tar.gz or zip archive"
                                       : "damaged archive");
        else
            status = add_header(ctx, a, r, entry, ordinal);
        if (status == CYG_OK)
            status = cyg_ctx_check_cancelled(ctx);
    }
    a->is_plain_tar =
        cyg_libarchive.archive_filter_count(r) == 1 &&
        (cyg_libarchive.archive_format(r) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
done:
    cyg_libarchive.archive_read_free(r);
    return status;
}

void cyg_packed_close(cyg_archive *a)
{
    if (a->pass != NULL)
        cyg_libarchive.archive_read_free(a->pass);
    a->pass = NULL;
    if (a->fd > 0)
        close(a->fd);
    a->fd = 0;
}

/* Starts a pass: at the member's own header in a plain tar, else at the beginning. */
static cyg_status start_pass(cyg_ctx *ctx, cyg_archive *a, const cyg_archive_member *m)
{
    cyg_packed_close(a);
    a->pass = new_reader();
    if (a->pass == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", a->path);
    a->next = 0;
    if (!a->is_plain_tar) {
        if (cyg_libarchive.archive_read_open_filename(a->pass, a->path, READ_BLOCK) != ARCHIVE_OK)
            return fail(ctx, a, a->pass, "cannot open again");
        return CYG_OK;
    }
    const int fd = open(a->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot open again: %s", a->path, strerror(errno));
    a->fd = fd;
    if (lseek(fd, (off_t)m->offset, SEEK_SET) < 0 ||
        cyg_libarchive.archive_read_open_fd(a->pass, fd, READ_BLOCK) != ARCHIVE_OK)
        return fail(ctx, a, a->pass, "cannot open again");
    a->next = m->position;
    return CYG_OK;
}

/* Moves the pass onto the member's header. */
static cyg_status seek_member(cyg_ctx *ctx, cyg_archive *a, const cyg_archive_member *m)
{
    const bool far = a->is_plain_tar && a->next != m->position;
    if (a->pass == NULL || a->next > m->position || far)
        CYG_DO(start_pass(ctx, a, m));
    for (;;) {
        struct archive_entry *entry = NULL;
        const int code = cyg_libarchive.archive_read_next_header(a->pass, &entry);
        if (code == ARCHIVE_EOF)
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: \"%s\" is gone since it was listed", a->path,
                            m->name);
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            return fail(ctx, a, a->pass, "damaged archive");
        if (a->next++ < m->position)
            continue;
        const char *name = name_of(entry);
        if (name == NULL || strcmp(name, m->name) != 0)
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: \"%s\" is gone since it was listed", a->path,
                            m->name);
        return CYG_OK;
    }
}

/* The content. Its size is what arrives, not what the header said (zip may say nothing), within the
 * limit. */
static cyg_status read_content(cyg_ctx *ctx, cyg_archive *a, const cyg_archive_member *m,
                               uint8_t **out_data, size_t *out_size)
{
    size_t cap = m->size > 0 ? (size_t)m->size + 1 : READ_BLOCK, size = 0;
    uint8_t *data = malloc(cap);
    while (data != NULL) {
        const la_ssize_t n = cyg_libarchive.archive_read_data(a->pass, data + size, cap - size);
        if (n < 0) {
            const char *why = cyg_libarchive.archive_error_string(a->pass);
            free(data);
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: \"%s\" is damaged after %zu bytes: %s", a->path,
                            m->name, size, why != NULL ? why : "unknown error");
        }
        if (n == 0) {
            *out_data = data;
            *out_size = size;
            return CYG_OK;
        }
        size += (size_t)n;
        if (size < cap)
            continue;
        if (size > CYG_ARCHIVE_LARGEST_MEMBER) {
            free(data);
            return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: \"%s\" has more than %" PRIu64 " bytes",
                            a->path, m->name, CYG_ARCHIVE_LARGEST_MEMBER);
        }
        cap *= 2;
        uint8_t *larger = realloc(data, cap);
        if (larger == NULL)
            free(data);
        data = larger;
    }
    return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory for \"%s\"", a->path, m->name);
}

cyg_status cyg_packed_read(cyg_ctx *ctx, cyg_archive *a, const cyg_archive_member *m,
                           uint8_t **out_data, size_t *out_size)
{
    cyg_status status = seek_member(ctx, a, m);
    if (status == CYG_OK)
        status = read_content(ctx, a, m, out_data, out_size);
    if (status != CYG_OK)
        cyg_packed_close(a); /* where the pass stands now is unknown */
    return status;
}

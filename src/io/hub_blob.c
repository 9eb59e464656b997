/* The bytes of one file: resumed, counted, hashed, and renamed once they are all there.
 *
 * Bytes go to blobs/<etag>.incomplete, the name the hub's own libraries use, under the lock they
 * use (.locks/.../<etag>.lock, flock). A cut, an error or Ctrl-C leaves that file and the next call
 * goes on behind it. Invariant: hash and `have` describe exactly what the file holds, whether it
 * was downloaded now or read back from disk.
 *
 * What a server says is checked, not believed: the ETag of every answer names the blob that was
 * asked for; a 206 starts where it was told to (else the file starts over, as it does when a server
 * ignores the range and answers 200); size and Content-Length, Content-Range, linked size agree; an
 * ETag of 64 hex digits is the SHA-256 of the content, one of 40 is git's SHA-1 of it (of the text
 * "blob SIZE", a NUL and the content), which small files have; that one is taken from the whole
 * file at the end, since the size stands in front. A wrong hash after a resume may be the fault of
 * the old part, so the file starts over once; otherwise it is an error and the bytes are dropped.
 *
 * Tries are counted between gains: each try that ends with more bytes than ever before resets the
 * count, so a shaky line gets through; MOST_TRIES bounds a server that feeds single bytes. */
#include "io/hub_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/file.h"
#include "base/hash.h"

enum { MOST_TRIES = 200, READ_BACK = 1 << 16 };
static const char git_sha1[] = "git's SHA-1";
#define LARGEST_FILE ((int64_t)1 << 40)

typedef struct download {
    cyg_ctx *ctx;
    cyg_hub_session *s;
    const cyg_hub_blob *blob;
    const char *partial, *path; /* blobs/<name>.incomplete, blobs/<name> */
    int fd, lock;
    int64_t have, best, size; /* size: -1 unknown */
    int64_t base;             /* bytes of an earlier call: progress and its ETA count the rest */
    const char *hashed;       /* which hash the blob's name is; NULL = none that we know */
    bool old_part;            /* some of the bytes are from an earlier answer */
    bool begun;               /* this answer's headers were looked at */
    bool framed;
    bool start_over;   /* this answer does not continue what we have */
    cyg_status status; /* of the taker, with its message on ctx */
    char if_range[CYG_HUB_ETAG + 4];
    const char *url; /* of the answer, for messages */
    cyg_sha hash;
    char stage[256];
} download;

static cyg_status write_failed(download *d)
{
    const int why = errno;
    return CYG_FAIL(d->ctx, CYG_E_IO, "%s: cannot write: %s", d->partial, strerror(why));
}

/* done reaches total when all is checked and renamed, not before. */
static void report(const download *d, bool ended)
{
    const int64_t done = d->have - d->base;
    int64_t total = d->size > d->base ? d->size - d->base : 0;
    if (ended)
        total = done > 0 ? done : 1;
    cyg_progress_bytes(d->ctx, d->stage,
                       ended                        ? total
                       : total > 0 && done >= total ? total - 1
                                                    : done,
                       total);
}

static cyg_status drop_bytes(download *d)
{
    d->have = d->base = 0;
    d->old_part = false;
    cyg_sha256_init(&d->hash);
    if (ftruncate(d->fd, 0) != 0 || lseek(d->fd, 0, SEEK_SET) != 0)
        return write_failed(d);
    return CYG_OK;
}

static cyg_status size_differs(download *d, const char *what, int64_t found)
{
    return CYG_FAIL(d->ctx, CYG_E_FORMAT,
                    "%s: %s says %" PRId64 " bytes, expected %" PRId64 " as the hub states", d->url,
                    what, found, d->size);
}

/* The headers of a 200 or 206, before its first byte. */
static cyg_status begin(download *d, const cyg_hub_reply *r)
{
    char name[CYG_HUB_ETAG + 1];
    d->begun = true;
    d->url = r->url;
    d->framed = r->framed || r->length >= 0;
    if (r->etag[0] != '\0' &&
        (!cyg_hub_blob_name(r->etag, name) || strcmp(name, d->blob->name) != 0))
        return CYG_FAIL(d->ctx, CYG_E_FORMAT,
                        "%s: the file changed under way: its ETag was %s and is another now",
                        r->url, d->blob->name);
    if (r->last_etag[0] == '"') /* weak ones are no promise of equal bytes */
        memcpy(d->if_range, r->last_etag, sizeof d->if_range);
    if (r->status == 200) {
        if (d->have > 0)
            CYG_DO(drop_bytes(d)); /* the server ignores ranges, or the part was of another file */
        if (d->size < 0)
            d->size = r->length;
        return r->length >= 0 && r->length != d->size ? size_differs(d, "Content-Length", r->length)
                                                      : CYG_OK;
    }
    if (r->range_total >= 0 && d->size >= 0 && r->range_total != d->size)
        return size_differs(d, "Content-Range", r->range_total);
    if (d->size < 0)
        d->size = r->range_total;
    d->start_over = r->range_start != d->have;
    return CYG_OK;
}

static cyg_status append(download *d, const uint8_t *data, size_t size)
{
    const int64_t limit = d->size >= 0 ? d->size : LARGEST_FILE;
    if ((uint64_t)size > (uint64_t)(limit - d->have))
        return CYG_FAIL(d->ctx, CYG_E_FORMAT, "%s: sends more than %" PRId64 " bytes", d->url,
                        limit);
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(d->fd, data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return write_failed(d);
        }
        /* hash and count follow the file, so that a full disk leaves a true partial */
        cyg_sha_update(&d->hash, data + done, (size_t)n);
        d->have += n;
        done += (size_t)n;
    }
    report(d, false);
    return CYG_OK;
}

static bool take(void *user, const cyg_hub_reply *r, const void *data, size_t size)
{
    download *d = user;
    if (!d->begun)
        d->status = begin(d, r);
    if (d->status == CYG_OK && !d->start_over)
        d->status = append(d, data, size);
    return d->status == CYG_OK && !d->start_over;
}

/* One request. out_again: not there yet, and why. */
static cyg_status attempt(download *d, bool *out_again, cyg_hub_reply *r)
{
    const cyg_hub_request request = {.url = d->blob->url,
                                     .from = d->have,
                                     .if_range = d->if_range[0] != '\0' ? d->if_range : NULL,
                                     .take = take,
                                     .user = d};
    d->begun = d->start_over = false;
    d->old_part = d->have > 0;
    d->status = CYG_OK;
    CYG_DO(cyg_hub_request_once(d->ctx, d->s, &request, r));
    CYG_DO(d->status);
    const bool body = r->status == 200 || r->status == 206;
    if (!r->again && body && !d->begun) { /* an empty body */
        CYG_DO(begin(d, r));
    }
    *out_again = true;
    if (r->again)
        return CYG_OK;
    if (r->status == 416 || d->start_over) {
        snprintf(r->why, sizeof r->why, "the server cannot go on behind byte %" PRId64, d->have);
        return drop_bytes(d);
    }
    if (!body)
        return CYG_FAIL(d->ctx, CYG_E_IO, "%s: HTTP %d", r->url, r->status);
    if (d->size >= 0 && d->have < d->size) {
        snprintf(r->why, sizeof r->why, "the answer ended early");
        return CYG_OK;
    }
    if (d->size < 0 && !d->framed && d->hashed == NULL)
        return CYG_FAIL(d->ctx, CYG_E_FORMAT,
                        "%s: the server states neither size nor hash, nor marks the end: nobody "
                        "can tell whether that was all",
                        r->url);
    *out_again = false;
    return CYG_OK;
}

/* Requests until all is there. */
static cyg_status pull(download *d)
{
    cyg_hub_reply r;
    bool again = d->size < 0 || d->have < d->size;
    if (d->size == 0)
        again = true; /* one request even so: nothing is stored that no server has sent */
    for (int fruitless = 0, all = 0; again;) {
        CYG_DO(attempt(d, &again, &r));
        if (!again)
            break;
        fruitless = d->have > d->best ? 0 : fruitless + 1;
        d->best = d->have > d->best ? d->have : d->best;
        if (fruitless >= d->s->tries || ++all >= MOST_TRIES)
            return CYG_FAIL(d->ctx, CYG_E_IO,
                            "%s: gave up at byte %" PRId64 " after %d tries: %s%s", r.url, d->have,
                            fruitless >= d->s->tries ? fruitless : all, r.why,
                            d->have > 0 ? "; the next call goes on from there" : "");
        CYG_DO(cyg_hub_pause(d->ctx, d->s, fruitless > 0 ? fruitless : 1, r.retry_after));
    }
    return CYG_OK;
}

/* Another process may be at the same blob: its download is ours too. */
static cyg_status take_lock(download *d)
{
    CYG_DO(cyg_make_dirs(d->ctx, d->s->locks));
    const char *path = cyg_arena_printf(&d->s->arena, "%s/%s.lock", d->s->locks, d->blob->name);
    if (path == NULL)
        return CYG_FAIL(d->ctx, CYG_E_NOMEM, "%s: out of memory", d->s->name);
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (d->lock < 0)
        return CYG_FAIL(d->ctx, CYG_E_IO, "%s: cannot create: %s", path, strerror(errno));
    for (bool told = false;; told = true) {
        if (flock(d->lock, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR))
            return CYG_OK; /* a file system without locks is no reason to stop */
        if (!told)
            cyg_note(d->ctx, "%s: waiting for another process that downloads it (%s)",
                     d->blob->file, path);
        CYG_DO(cyg_ctx_check_cancelled(d->ctx));
        usleep(50000);
    }
}

/* Opens the partial file and takes in what an earlier call left. */
static cyg_status open_partial(download *d)
{
    static const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    struct stat st;
    d->fd = open(d->partial, flags, 0666);
    if (d->fd < 0 || fstat(d->fd, &st) != 0)
        return CYG_FAIL(d->ctx, CYG_E_IO, "%s: cannot create: %s", d->partial, strerror(errno));
    cyg_sha256_init(&d->hash);
    if (!S_ISREG(st.st_mode))
        return CYG_FAIL(d->ctx, CYG_E_IO, "%s: is no regular file", d->partial);
    if (st.st_size > (d->size >= 0 ? d->size : LARGEST_FILE))
        return drop_bytes(d);
    uint8_t *buffer = malloc(READ_BACK);
    cyg_status status =
        buffer != NULL ? CYG_OK : CYG_FAIL(d->ctx, CYG_E_NOMEM, "%s: out of memory", d->s->name);
    while (status == CYG_OK) {
        const ssize_t n = read(d->fd, buffer, READ_BACK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = CYG_FAIL(d->ctx, CYG_E_IO, "%s: cannot read: %s", d->partial, strerror(errno));
        if (n <= 0)
            break;
        cyg_sha_update(&d->hash, buffer, (size_t)n);
        d->have += n;
        status = cyg_ctx_check_cancelled(d->ctx);
    }
    free(buffer);
    if (d->have > 0 && status == CYG_OK) {
        d->old_part = true;
        d->best = d->base = d->have;
    }
    return status;
}

/* As `git hash-object` of the partial file. */
static cyg_status git_hash(download *d, char found[65])
{
    cyg_map map;
    cyg_sha h;
    char head[40];
    CYG_DO(cyg_map_open(d->ctx, d->partial, &map));
    const int size = snprintf(head, sizeof head, "blob %zu", map.size);
    cyg_sha1_init(&h);
    cyg_sha_update(&h, head, (size_t)size + 1); /* with its NUL */
    if (map.size > 0)
        cyg_sha_update(&h, map.data, map.size);
    cyg_sha_final_hex(&h, found);
    cyg_map_close(&map);
    return CYG_OK;
}

static cyg_status compare_hash(download *d, char found[65], bool *out_fits)
{
    if (d->hashed == git_sha1) {
        CYG_DO(git_hash(d, found));
    } else {
        cyg_sha copy = d->hash;
        cyg_sha_final_hex(&copy, found);
    }
    *out_fits = d->hashed == NULL || strcmp(found, d->blob->name) == 0;
    return CYG_OK;
}

/* Checks the whole and gives it its name. */
static cyg_status finish(download *d)
{
    char found[65];
    bool fits;
    CYG_DO(compare_hash(d, found, &fits));
    if (!fits && d->old_part) {
        cyg_note(d->ctx, "%s: the resumed download is damaged; starting over", d->blob->file);
        CYG_DO(drop_bytes(d));
        d->best = 0;
        CYG_DO(pull(d));
        CYG_DO(compare_hash(d, found, &fits));
    }
    if (!fits) {
        unlink(d->partial);
        return CYG_FAIL(d->ctx, CYG_E_FORMAT,
                        "%s: wrong content: %s %s, expected %s as the hub states; the bytes were "
                        "dropped",
                        d->blob->url, d->hashed, found, d->blob->name);
    }
    /* A blob counts as whole for ever: it must not lose its tail to a power cut. */
    struct stat st;
    if (fstat(d->fd, &st) != 0 || st.st_size != d->have)
        return CYG_FAIL(d->ctx, CYG_E_IO, "%s: another process changed it under way", d->partial);
    if (fdatasync(d->fd) != 0 && errno != EINVAL && errno != EROFS)
        return write_failed(d);
    const int closed = close(d->fd);
    d->fd = -1;
    if (closed != 0)
        return write_failed(d);
    if (rename(d->partial, d->path) != 0)
        return CYG_FAIL(d->ctx, CYG_E_IO, "%s: cannot rename %s to it: %s", d->path, d->partial,
                        strerror(errno));
    report(d, true);
    return CYG_OK;
}

/* A blob of the right size is there already: another revision, another process. */
static bool is_there(const download *d)
{
    struct stat st;
    return stat(d->path, &st) == 0 && S_ISREG(st.st_mode) && (d->size < 0 || st.st_size == d->size);
}

cyg_status cyg_hub_blob_fetch(cyg_ctx *ctx, cyg_hub_session *s, const cyg_hub_blob *blob)
{
    download *d = calloc(1, sizeof *d);
    if (d == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
    *d = (download){.ctx = ctx, .s = s, .blob = blob, .fd = -1, .lock = -1, .size = blob->size};
    cyg_status status = CYG_OK;
    const char *folder = cyg_arena_printf(&s->arena, "%s/blobs", s->folder);
    d->path = cyg_arena_printf(&s->arena, "%s/blobs/%s", s->folder, blob->name);
    d->partial = cyg_arena_printf(&s->arena, "%s/blobs/%s.incomplete", s->folder, blob->name);
    d->hashed = cyg_hub_is_sha256(blob->name)   ? "SHA-256"
                : cyg_hub_is_commit(blob->name) ? git_sha1
                                                : NULL;
    d->url = blob->url;
    snprintf(d->stage, sizeof d->stage, "download %s", blob->file);
    if (blob->etag_is_final && blob->etag[0] == '"')
        snprintf(d->if_range, sizeof d->if_range, "%s", blob->etag);
    if (folder == NULL || d->path == NULL || d->partial == NULL) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
        goto done;
    }
    if (d->size > LARGEST_FILE) {
        status =
            CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: claims %" PRId64 " bytes", blob->url, d->size);
        goto done;
    }
    if ((status = cyg_make_dirs(ctx, folder)) != CYG_OK || (status = take_lock(d)) != CYG_OK ||
        is_there(d) || (status = open_partial(d)) != CYG_OK)
        goto done;
    report(d, false);
    if ((status = pull(d)) == CYG_OK)
        status = finish(d);

done:
    if (d->fd >= 0)
        close(d->fd);
    if (status != CYG_OK && d->partial != NULL && d->have == 0 && d->fd >= 0)
        unlink(d->partial); /* an empty one is of no use */
    if (d->lock >= 0)
        close(d->lock); /* and with it the lock */
    free(d);
    return status;
}

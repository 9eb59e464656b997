/* Atomic file writer.
 *
 * Bytes go to "<path>.partial-<pid>-<k>" beside the target and the file is renamed over it on
 * commit: a reader sees the old file or the new one, never half of one. A target that is no regular
 * file (/dev/null, /dev/stdout, a pipe) is written directly, since a rename would replace the
 * device itself. Errors stick; commit reports the first with its errno. No fsync: a crash of the
 * machine may lose a build that can be repeated. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp.h"

enum { BUFFER = 256 * 1024, DIRECT = 32 * 1024, TRIES = 100 };

struct cyg_writer {
    char *path;
    char *temp; /* NULL: written directly */
    int fd;
    int error; /* first errno */
    uint64_t offset;
    size_t fill;
    uint8_t buffer[BUFFER];
};

static void writer_free(cyg_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    if (w->temp != NULL) {
        unlink(w->temp);
        cyg_temp_forget(w->temp);
    }
    free(w->temp);
    free(w->path);
    free(w);
}

/* Opens a name that nobody has: a stale temporary of a crashed process with our pid is stepped
 * over. */
static cyg_status open_temp(cyg_ctx *ctx, cyg_writer *w)
{
    for (int k = 0; k < TRIES && w->fd < 0; k++) {
        char *name = NULL;
        if (asprintf(&name, "%s.partial-%ld-%d", w->path, (long)getpid(), k) < 0)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", w->path);
        w->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0) {
            w->temp = name;
            if (!cyg_temp_add(name))
                return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", w->path);
            return CYG_OK;
        }
        free(name);
        if (errno != EEXIST)
            break;
    }
    return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot create: %s", w->path, strerror(errno));
}

cyg_status cyg_writer_open(cyg_ctx *ctx, const char *path, cyg_writer **out_writer)
{
    *out_writer = NULL;
    cyg_writer *w = malloc(sizeof *w);
    char *copy = strdup(path);
    if (w == NULL || copy == NULL) {
        free(w);
        free(copy);
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    }
    w->path = copy;
    w->temp = NULL;
    w->fd = -1;
    w->error = 0;
    w->offset = 0;
    w->fill = 0;

    cyg_status status = CYG_OK;
    struct stat st;
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode)) {
        status = open_temp(ctx, w);
    } else if (S_ISDIR(st.st_mode)) {
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: is a folder, expected a file name", path);
    } else {
        w->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (w->fd < 0)
            status = CYG_FAIL(ctx, CYG_E_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    if (status != CYG_OK) {
        writer_free(w);
        return status;
    }
    *out_writer = w;
    return CYG_OK;
}

static void put(cyg_writer *w, const uint8_t *data, size_t size)
{
    while (size > 0 && w->error == 0) {
        const ssize_t n = write(w->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            w->error = n < 0 ? errno : EIO;
            return;
        }
        data += n;
        size -= (size_t)n;
    }
}

static void flush(cyg_writer *w)
{
    put(w, w->buffer, w->fill);
    w->fill = 0;
}

void cyg_writer_write(cyg_writer *w, const void *data, size_t size)
{
    w->offset += size;
    if (size == 0 || w->error != 0)
        return;
    if (size > BUFFER - w->fill)
        flush(w);
    if (size >= DIRECT) { /* not through the buffer: a copy less */
        flush(w);
        put(w, data, size);
        return;
    }
    memcpy(w->buffer + w->fill, data, size);
    w->fill += size;
}

void cyg_writer_pad(cyg_writer *w, size_t align)
{
    static const uint8_t zeros[64];
    size_t left = align > 1 ? (align - (size_t)(w->offset % align)) % align : 0;
    while (left > 0) {
        const size_t n = left < sizeof zeros ? left : sizeof zeros;
        cyg_writer_write(w, zeros, n);
        left -= n;
    }
}

uint64_t cyg_writer_offset(const cyg_writer *w)
{
    return w->offset;
}

cyg_status cyg_writer_patch(cyg_ctx *ctx, cyg_writer *w, uint64_t offset, const void *data,
                            size_t size)
{
    CYG_ASSERT(offset <= w->offset && size <= w->offset - offset);
    flush(w);
    const uint8_t *p = data;
    while (size > 0 && w->error == 0) {
        const ssize_t n = pwrite(w->fd, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            w->error = n < 0 ? errno : EIO;
            break;
        }
        p += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    if (w->error != 0)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot write: %s", w->path, strerror(w->error));
    return CYG_OK;
}

cyg_status cyg_writer_commit(cyg_ctx *ctx, cyg_writer *w)
{
    flush(w);
    /* close reports what a network or quota file system kept to itself until now */
    if (close(w->fd) != 0 && w->error == 0)
        w->error = errno;
    w->fd = -1;
    cyg_status status = CYG_OK;
    if (w->error != 0) {
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: cannot write: %s", w->path, strerror(w->error));
    } else if (w->temp != NULL) {
        if (rename(w->temp, w->path) != 0) {
            status = CYG_FAIL(ctx, CYG_E_IO, "%s: cannot rename %s to it: %s", w->path, w->temp,
                              strerror(errno));
        } else {
            cyg_temp_forget(w->temp);
            free(w->temp);
            w->temp = NULL;
        }
    }
    writer_free(w);
    return status;
}

void cyg_writer_abort(cyg_writer *w)
{
    if (w != NULL)
        writer_free(w);
}

cyg_status cyg_write_file(cyg_ctx *ctx, const char *path, const void *data, size_t size)
{
    cyg_writer *w = NULL;
    CYG_DO(cyg_writer_open(ctx, path, &w));
    cyg_writer_write(w, data, size);
    return cyg_writer_commit(ctx, w);
}

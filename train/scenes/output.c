/* Where pictures go.
 *
 * A folder a class, named so that byte order is class order; a table of all files with their
 * classes; or, for training, one file of bare pixels.  The table depends on the count alone and
 * is moved into place whole, and raw pixels have a fixed place each, so several processes may
 * share the work on one folder or one raw file. */
#include <errno.h>
#include <inttypes.h>
#include <spng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "output.h"
#include "scenes.h"

static int complain(char const *what, char const *path)
{
    fprintf(stderr, "scenes: %s %s: %s\n", what, path, strerror(errno));
    return 0;
}

int output_png(char const *path, unsigned char const *rgb, int size)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return complain("cannot write", path);
    struct spng_ihdr head = {0};
    head.width = (uint32_t)size;
    head.height = (uint32_t)size;
    head.bit_depth = 8;
    head.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
    int err = SPNG_EMEM;
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    if (png) {
        /* Noise hardly compresses: a low level costs little size and saves most of the time. */
        err = spng_set_option(png, SPNG_IMG_COMPRESSION_LEVEL, 3);
        if (!err)
            err = spng_set_option(png, SPNG_FILTER_CHOICE, SPNG_FILTER_CHOICE_SUB);
        if (!err)
            err = spng_set_png_file(png, f);
        if (!err)
            err = spng_set_ihdr(png, &head);
        size_t bytes = (size_t)size * (size_t)size * 3;
        if (!err)
            err = spng_encode_image(png, rgb, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
        spng_ctx_free(png);
    }
    if (fclose(f) != 0 && !err)
        return complain("cannot write", path);
    if (err)
        fprintf(stderr, "scenes: cannot write %s: %s\n", path, spng_strerror(err));
    return !err;
}

static int folder_name(char *name, size_t bytes, int kind)
{
    int n = snprintf(name, bytes, "%02d_%s", kind, scene_kinds[kind].name);
    return n > 0 && (size_t)n < bytes;
}

int output_picture_path(char *path, size_t bytes, uint64_t index)
{
    char folder[64];
    int kind = picture_kind(index);
    if (!folder_name(folder, sizeof folder, kind))
        return 0;
    int n = snprintf(path, bytes, "%s/%04" PRIu64 ".png", folder, index / SCENE_KINDS);
    return n > 0 && (size_t)n < bytes;
}

static int make_folder(char const *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 1;
    return complain("cannot make the folder", path);
}

/* Makes the folder with all its parents, then one in it for each class. */
int output_folders(char const *dir)
{
    char path[PATH_BYTES];
    size_t n = strlen(dir);
    if (n + 64 > sizeof path) {
        fprintf(stderr, "scenes: the name of the output folder is too long\n");
        return 0;
    }
    memcpy(path, dir, n + 1);
    for (size_t i = 1; i < n; i++) {
        if (path[i] == '/') {
            path[i] = '\0';
            if (!make_folder(path))
                return 0;
            path[i] = '/';
        }
    }
    if (!make_folder(path))
        return 0;
    for (int k = 0; k < SCENE_KINDS; k++) {
        char folder[64];
        if (!folder_name(folder, sizeof folder, k))
            return 0;
        snprintf(path + n, sizeof path - n, "/%s", folder);
        if (!make_folder(path))
            return 0;
    }
    return 1;
}

int output_table(char const *dir, uint64_t count)
{
    char path[PATH_BYTES];
    char part[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/labels.tsv", dir);
    int m = snprintf(part, sizeof part, "%s/.labels.%ld", dir, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof path || m < 0 || (size_t)m >= sizeof part)
        return 0;
    FILE *f = fopen(part, "w");
    if (!f)
        return complain("cannot write", part);
    int ok = fprintf(f, "file\tclass_index\n") > 0;
    for (uint64_t i = 0; i < count && ok; i++) {
        char name[128];
        ok = output_picture_path(name, sizeof name, i) &&
             fprintf(f, "%s\t%d\n", name, picture_kind(i)) > 0;
    }
    if (fclose(f) != 0)
        ok = 0;
    if (ok && rename(part, path) == 0)
        return 1;
    complain("cannot write", path);
    remove(part);
    return 0;
}

int output_raw(int fd, unsigned char const *bytes, size_t count, uint64_t offset)
{
    while (count > 0) {
        ssize_t n = pwrite(fd, bytes, count, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fprintf(stderr, "scenes: cannot write the raw file: %s\n", strerror(errno));
            return 0;
        }
        bytes += n;
        count -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 1;
}

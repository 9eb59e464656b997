/* scenes: labelled pictures out of nothing.
 *
 * The demo must work on a machine without data, so its data are computed: ten classes of
 * rendered scenes, the same bytes everywhere.  A picture depends only on the seed and its own
 * index; its class is the index modulo ten.  Training, test and calibration sets are seeds 1, 2
 * and 3.  This file reads the command line and walks the range. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "scenes.h"

struct options {
    char const *out, *raw, *split;
    uint64_t count, seed, begin, end;
    int size, hash, has_count, has_seed, has_end;
};

static char const usage[] =
    "usage: scenes --count N --seed S [--out DIR [--split NAME]] [--raw FILE] [--hash]\n"
    "              [--size 224] [--begin I] [--end J]\n"
    "  --out DIR     write DIR/<class>/<number>.png and DIR/labels.tsv\n"
    "  --split NAME  write into DIR/NAME instead of DIR\n"
    "  --raw FILE    write pixels, count x size x size x 3 bytes, and FILE.labels\n"
    "  --hash        print a hash of all pixels drawn\n"
    "  --begin, --end  draw only pictures I .. J - 1 of the N (to share work)\n";

static int fail(char const *what, char const *arg)
{
    fprintf(stderr, "scenes: %s%s%s (see scenes --help)\n", what, arg ? ": " : "", arg ? arg : "");
    return 0;
}

static int number(char const *text, uint64_t lo, uint64_t hi, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    if (text[0] < '0' || text[0] > '9')
        return 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *end != '\0' || n < lo || n > hi)
        return 0;
    *value = n;
    return 1;
}

static int parse(struct options *o, int argc, char **argv)
{
    enum { MOST = 10000000 };
    for (int i = 1; i < argc; i++) {
        char const *arg = argv[i];
        if (strcmp(arg, "--hash") == 0) {
            o->hash = 1;
            continue;
        }
        char const *value = i + 1 < argc ? argv[i + 1] : NULL;
        uint64_t n = 0;
        int good = value != NULL;
        if (!good && strncmp(arg, "--", 2) == 0)
            return fail("a value is missing after", arg);
        if (strcmp(arg, "--out") == 0) {
            good = value[0] != '\0';
            o->out = value;
        } else if (strcmp(arg, "--raw") == 0) {
            good = value[0] != '\0';
            o->raw = value;
        } else if (strcmp(arg, "--split") == 0) {
            good = value[0] != '\0' && !strchr(value, '/') && value[0] != '.';
            o->split = value;
        } else if (strcmp(arg, "--count") == 0) {
            good = number(value, 1, MOST, &o->count);
            o->has_count = 1;
        } else if (strcmp(arg, "--seed") == 0) {
            good = number(value, 0, UINT64_MAX, &o->seed);
            o->has_seed = 1;
        } else if (strcmp(arg, "--begin") == 0) {
            good = number(value, 0, MOST, &o->begin);
        } else if (strcmp(arg, "--end") == 0) {
            good = number(value, 1, MOST, &o->end);
            o->has_end = 1;
        } else if (strcmp(arg, "--size") == 0) {
            good = number(value, 16, 2048, &n);
            o->size = (int)n;
        } else {
            return fail("unknown argument", arg);
        }
        if (!good)
            return fail("not a valid value", arg);
        i++;
    }
    if (!o->has_count || !o->has_seed)
        return fail("--count and --seed are needed", NULL);
    if (!o->out && !o->raw && !o->hash)
        return fail("one of --out, --raw and --hash is needed", NULL);
    if (o->split && !o->out)
        return fail("--split needs --out", NULL);
    if (!o->has_end)
        o->end = o->count;
    if (o->begin >= o->end || o->end > o->count)
        return fail("the range --begin .. --end must lie within the count", NULL);
    return 1;
}

static int open_raw(char const *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    if (fd < 0)
        fprintf(stderr, "scenes: cannot write %s: %s\n", path, strerror(errno));
    return fd;
}

struct sinks {
    char dir[PATH_BYTES]; /* empty: no PNG files */
    int raw, labels;      /* -1: no raw file */
    uint64_t hash;
};

/* FNV-1a over the bytes of all pictures in order. */
static uint64_t hash_bytes(uint64_t h, unsigned char const *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

static int emit(struct options const *o, struct sinks *s, uint64_t index, unsigned char const *rgb)
{
    size_t bytes = (size_t)o->size * (size_t)o->size * 3;
    if (o->hash)
        s->hash = hash_bytes(s->hash, rgb, bytes);
    if (s->raw >= 0) {
        unsigned char label = (unsigned char)picture_kind(index);
        if (!output_raw(s->raw, rgb, bytes, index * bytes) ||
            !output_raw(s->labels, &label, 1, index))
            return 0;
    }
    if (s->dir[0]) {
        char name[128];
        char path[PATH_BYTES + 160];
        if (!output_picture_path(name, sizeof name, index))
            return 0;
        snprintf(path, sizeof path, "%s/%s", s->dir, name);
        return output_png(path, rgb, o->size);
    }
    return 1;
}

static int open_sinks(struct options const *o, struct sinks *s)
{
    if (o->out) {
        char const *split = o->split ? o->split : "";
        int n = snprintf(s->dir, sizeof s->dir, "%s%s%s", o->out, o->split ? "/" : "", split);
        if (n < 0 || (size_t)n + 64 > sizeof s->dir)
            return fail("the name of the output folder is too long", NULL);
        if (!output_folders(s->dir) || !output_table(s->dir, o->count))
            return 0;
    }
    if (o->raw) {
        char name[PATH_BYTES];
        int n = snprintf(name, sizeof name, "%s.labels", o->raw);
        if (n < 0 || (size_t)n >= sizeof name)
            return fail("the name of the raw file is too long", NULL);
        s->raw = open_raw(o->raw);
        s->labels = open_raw(name);
        if (s->raw < 0 || s->labels < 0)
            return 0;
    }
    return 1;
}

static int close_sinks(struct sinks *s)
{
    int ok = 1;
    if (s->raw >= 0 && close(s->raw) != 0)
        ok = 0;
    if (s->labels >= 0 && close(s->labels) != 0)
        ok = 0;
    if (!ok)
        fprintf(stderr, "scenes: cannot write the raw file: %s\n", strerror(errno));
    return ok;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
    }
    struct options o = {.size = 224};
    if (!parse(&o, argc, argv))
        return 2;
    struct sinks s = {.raw = -1, .labels = -1, .hash = 0xcbf29ce484222325u};
    int ok = open_sinks(&o, &s);
    unsigned char *rgb = malloc((size_t)o.size * (size_t)o.size * 3);
    if (!rgb)
        ok = fail("out of memory", NULL);
    for (uint64_t i = o.begin; i < o.end && ok; i++) {
        ok = picture_draw(o.seed, i, o.size, rgb);
        if (!ok)
            fail("out of memory", NULL);
        else
            ok = emit(&o, &s, i, rgb);
    }
    free(rgb);
    if (!close_sinks(&s))
        ok = 0;
    if (ok && o.hash)
        printf("%016" PRIx64 "\n", s.hash);
    return ok ? 0 : 1;
}

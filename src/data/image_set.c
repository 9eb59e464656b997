/* Calibration pictures.
 *
 * Which samples a set has must be known when it is opened, and only decoding tells whether a
 * picture is whole; so opening decodes in order until enough usable ones are found. The decoder
 * keeps their pixels (up to 64 MiB), and calibration, which passes over the samples several times,
 * finds them there. */
#include "data/image_set.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/ctx.h"
#include "base/str.h"
#include "data/decoder.h"
#include "io/archive.h"

enum { KEEP_BYTES = 64 << 20, MOST_NAMED = 20 };

struct cyg_image_set {
    cyg_archive *archive;
    cyg_decoder *decoder;
    cyg_preprocess p;
    size_t *usable; /* member numbers */
    size_t count, skipped;
    float *sample; /* the last one handed out */
};

static const char *list_name(void *self, size_t i)
{
    const cyg_image_set *set = self;
    return cyg_archive_name(set->archive, i);
}

static cyg_status list_read(cyg_ctx *ctx, void *self, size_t i, uint8_t **out_data,
                            size_t *out_size)
{
    cyg_image_set *set = self;
    return cyg_archive_read(ctx, set->archive, i, out_data, out_size);
}

static uint64_t list_position(void *self, size_t i)
{
    const cyg_image_set *set = self;
    return cyg_archive_position(set->archive, i);
}

typedef struct findings {
    cyg_strbuf skipped; /* one line of problems */
    size_t turned;      /* pictures that EXIF wants turned */
    size_t first_turned;
} findings;

static void add_problem(cyg_image_set *set, findings *f, size_t i, const char *problem)
{
    set->skipped++;
    if (set->skipped > MOST_NAMED)
        return;
    cyg_strbuf_printf(&f->skipped, "%s\n  entry %zu: %s", set->skipped == 1 ? "" : ",", i + 1,
                      problem);
}

static void report(cyg_ctx *ctx, const cyg_image_set *set, const findings *f, int64_t limit)
{
    const char *path = cyg_archive_path(set->archive);
    const size_t junk = cyg_archive_skipped(set->archive);
    if (junk > 0)
        cyg_note(ctx, "%s: %zu hidden or special files left out", path, junk);
    if (set->skipped > MOST_NAMED)
        cyg_warn(ctx, "%s: %zu files skipped:%s,\n  and %zu more", path, set->skipped,
                 f->skipped.data, set->skipped - MOST_NAMED);
    else if (set->skipped > 0)
        cyg_warn(ctx, "%s: %zu file%s skipped:%s", path, set->skipped, set->skipped == 1 ? "" : "s",
                 f->skipped.data);
    if (limit > 0 && set->count < (size_t)limit)
        cyg_warn(ctx, "%s: %zu of %zu files were usable; calibration_size asks for %" PRId64, path,
                 set->count, cyg_archive_count(set->archive), limit);
    if (f->turned > 0)
        cyg_warn(
            ctx,
            "%s: %zu picture%s to be turned by EXIF (the first is \"%s\"); this is not done: turn "
            "the files if the model expects upright pictures",
            path, f->turned, f->turned == 1 ? " asks" : "s ask",
            cyg_archive_name(set->archive, f->first_turned));
}

/* Decodes until `limit` usable pictures are found. */
static cyg_status select_usable(cyg_ctx *ctx, cyg_image_set *set, int64_t limit, findings *f)
{
    const size_t members = cyg_archive_count(set->archive);
    const size_t most = limit >= 0 && (size_t)limit < members ? (size_t)limit : members;
    set->usable = malloc((most > 0 ? most : 1) * sizeof *set->usable);
    if (set->usable == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %zu pictures", most);
    for (size_t i = 0; i < members && set->count < most; i++) {
        cyg_picture picture;
        CYG_DO(cyg_decoder_get(ctx, set->decoder, i, &picture));
        if (picture.pixels == NULL) {
            add_problem(set, f, i, picture.problem);
            continue;
        }
        if (picture.orientation != 1 && f->turned++ == 0)
            f->first_turned = i;
        set->usable[set->count++] = i;
        cyg_progress(ctx, "read pictures", (int64_t)set->count, (int64_t)most);
    }
    return CYG_OK;
}

cyg_status cyg_image_set_open(cyg_ctx *ctx, const char *path, const cyg_preprocess *p,
                              int64_t limit, cyg_image_set **out_set)
{
    *out_set = NULL;
    findings f = {0};
    cyg_status status = CYG_OK;
    cyg_image_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    set->p = *p;
    status = cyg_archive_open(ctx, path, &set->archive);
    if (status != CYG_OK)
        goto done;
    const cyg_picture_list list = {.self = set,
                                   .count = cyg_archive_count(set->archive),
                                   .read = list_read,
                                   .name = list_name,
                                   .position = list_position};
    status = cyg_decoder_create(ctx, &list, p, KEEP_BYTES, &set->decoder);
    if (status == CYG_OK)
        status = select_usable(ctx, set, limit, &f);
    if (status != CYG_OK)
        goto done;
    if (set->count == 0 && limit != 0) {
        status =
            list.count == 0
                ? CYG_FAIL(ctx, CYG_E_FORMAT,
                           "%s: there are no files in it; put JPEG or PNG pictures there", path)
                : CYG_FAIL(ctx, CYG_E_FORMAT,
                           "%s: none of its %zu files is a usable picture (JPEG or PNG; arrays "
                           "have the format Numpy or Binary)%s%s",
                           path, list.count, f.skipped.data != NULL ? ":" : "",
                           f.skipped.data != NULL ? f.skipped.data : "");
        goto done;
    }
    set->sample = malloc(cyg_preprocess_count(p) * sizeof *set->sample);
    if (set->sample == NULL || f.skipped.failed) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
        goto done;
    }
    report(ctx, set, &f, limit);
    *out_set = set;
    set = NULL;
done:
    cyg_strbuf_deinit(&f.skipped);
    cyg_image_set_close(set);
    return status;
}

void cyg_image_set_close(cyg_image_set *set)
{
    if (set == NULL)
        return;
    cyg_decoder_destroy(set->decoder);
    cyg_archive_close(set->archive);
    free(set->usable);
    free(set->sample);
    free(set);
}

size_t cyg_image_set_count(const cyg_image_set *set)
{
    return set->count;
}

size_t cyg_image_set_skipped(const cyg_image_set *set)
{
    return set->skipped;
}

const char *cyg_image_set_name(const cyg_image_set *set, size_t i)
{
    return i < set->count ? cyg_archive_name(set->archive, set->usable[i]) : "";
}

cyg_status cyg_image_set_pixels(cyg_ctx *ctx, cyg_image_set *set, size_t i,
                                const uint8_t **out_pixels)
{
    cyg_picture picture;
    if (i >= set->count)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "sample %zu of %zu", i, set->count);
    CYG_DO(cyg_decoder_get(ctx, set->decoder, set->usable[i], &picture));
    if (picture.pixels == NULL) /* it was whole when the set was opened */
        return CYG_FAIL(ctx, CYG_E_IO, "%s: changed while in use: %s",
                        cyg_archive_path(set->archive), picture.problem);
    *out_pixels = picture.pixels;
    return CYG_OK;
}

static cyg_status source_get(cyg_ctx *ctx, void *self, size_t index, cyg_sample_tensor *out_tensors)
{
    cyg_image_set *set = self;
    const uint8_t *pixels = NULL;
    CYG_DO(cyg_image_set_pixels(ctx, set, index, &pixels));
    cyg_preprocess_normalise(&set->p, pixels, set->sample);
    out_tensors[0] =
        (cyg_sample_tensor){.data = set->sample, .count = cyg_preprocess_count(&set->p)};
    return CYG_OK;
}

static const char *source_name(void *self, size_t index)
{
    return cyg_image_set_name(self, index);
}

cyg_sample_source cyg_image_set_source(cyg_image_set *set)
{
    return (cyg_sample_source){
        .self = set, .count = set->count, .input_count = 1, .get = source_get, .name = source_name};
}

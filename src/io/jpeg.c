/* JPEG by libjpeg-turbo.
 *
 * The library reports through callbacks: an error must not return, so it jumps back to where
 * decoding began; a warning is only counted, but two of them mean that the data ended early and the
 * rest of the picture is grey, which is no sample of anything: these are errors here. (Other
 * warnings, like stray bytes between markers, occur in well-known data sets and change no pixel.) A
 * hostile progressive file may hold thousands of scans over a large picture; they are bounded.
 *
 * Everything the jump may not lose lives in one struct behind a pointer that does not change. */
#include "io/image_parts.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* after stdio.h and size_t, as these headers want it */
#include <jpeglib.h>
#include <jerror.h>

enum { MOST_SCANS = 500 };

typedef struct job {
    struct jpeg_decompress_struct codec;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
    JSAMPLE *row; /* CMYK only */
    cyg_status status;
} job;

static void on_error(j_common_ptr codec)
{
    job *j = codec->client_data;
    codec->err->format_message(codec, j->message);
    j->status = codec->err->msg_code == JERR_OUT_OF_MEMORY ? CYG_E_NOMEM : CYG_E_FORMAT;
    longjmp(j->escape, 1);
}

static void on_message(j_common_ptr codec, int level)
{
    if (level < 0 &&
        (codec->err->msg_code == JWRN_JPEG_EOF || codec->err->msg_code == JWRN_HIT_MARKER))
        on_error(codec);
}

static void on_output(j_common_ptr codec)
{
    (void)codec; /* nothing goes to stderr */
}

static void on_progress(j_common_ptr codec)
{
    job *j = codec->client_data;
    if (j->codec.input_scan_number <= MOST_SCANS)
        return;
    snprintf(j->message, sizeof j->message, "more than %d scans", MOST_SCANS);
    j->status = CYG_E_FORMAT;
    longjmp(j->escape, 1);
}

static int orientation_of(const job *j)
{
    for (jpeg_saved_marker_ptr m = j->codec.marker_list; m != NULL; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            return cyg_exif_orientation(m->data + 6, m->data_length - 6);
    return 1;
}

/* a * b / 255, rounded, in integers. */
static unsigned scale255(unsigned a, unsigned b)
{
    const unsigned t = a * b + 128;
    return (t + (t >> 8)) >> 8;
}

/* Adobe stores CMYK inverted; this is Pillow's conversion of the inverted values. */
static void cmyk_to_rgb(const JSAMPLE *in, uint8_t *out, size_t width)
{
    for (size_t x = 0; x < width; x++, in += 4, out += 3) {
        const unsigned k = in[3];
        for (unsigned c = 0; c < 3; c++)
            out[c] = (uint8_t)(k - scale255(255u - in[c], k));
    }
}

static void read_rows(job *j, cyg_image *image)
{
    const size_t width = (size_t)image->width;
    while (j->codec.output_scanline < j->codec.output_height) {
        uint8_t *out = image->pixels + (size_t)j->codec.output_scanline * width * 3;
        JSAMPROW rows[1] = {j->row != NULL ? j->row : out};
        if (jpeg_read_scanlines(&j->codec, rows, 1) == 1 && j->row != NULL)
            cmyk_to_rgb(j->row, out, width);
    }
}

static cyg_status decode(cyg_ctx *ctx, const char *name, job *j, const uint8_t *data, size_t size,
                         cyg_image *image)
{
    if (setjmp(j->escape) != 0)
        return CYG_FAIL(ctx, j->status, "%s: damaged JPEG: %s", name, j->message);
    jpeg_create_decompress(&j->codec);
    j->codec.progress = &j->progress;
    jpeg_mem_src(&j->codec, data, (unsigned long)size);
    jpeg_save_markers(&j->codec, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&j->codec, TRUE);
    image->orientation = orientation_of(j);
    const bool cmyk =
        j->codec.jpeg_color_space == JCS_CMYK || j->codec.jpeg_color_space == JCS_YCCK;
    j->codec.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    j->codec.dct_method = JDCT_ISLOW;
    j->codec.do_fancy_upsampling = TRUE;
    CYG_DO(cyg_image_alloc(ctx, name, j->codec.image_width, j->codec.image_height, image));
    if (cmyk) {
        j->row = malloc((size_t)image->width * 4);
        if (j->row == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", name);
    }
    jpeg_start_decompress(&j->codec);
    read_rows(j, image);
    jpeg_finish_decompress(&j->codec);
    return CYG_OK;
}

cyg_status cyg_jpeg_decode(cyg_ctx *ctx, const char *name, const uint8_t *data, size_t size,
                           cyg_image *out_image)
{
    job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", name);
    j->codec.err = jpeg_std_error(&j->errors);
    j->codec.client_data = j;
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    j->errors.output_message = on_output;
    j->progress.progress_monitor = on_progress;
    const cyg_status status = decode(ctx, name, j, data, size, out_image);
    jpeg_destroy_decompress(&j->codec);
    free(j->row);
    free(j);
    return status;
}

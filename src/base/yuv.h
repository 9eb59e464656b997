/* Video pixels: 8-bit luma and subsampled chroma, and their conversion to colour.
 *
 * Layouts of a picture of height H and width W, both even, as the runtime feeds it:
 *
 *   YUV420SP (NV12)   [1.5 H, W]   H rows of Y, then H/2 rows of U V U V ..
 *   YVU420SP (NV21)   the same with V U
 *   YUYV422           [H, W, 2]    Y0 U Y1 V
 *   UYVY422           [H, W, 2]    U Y0 V Y1
 *
 * A chroma sample stands for all pixels that it covers (no interpolation). Channel c of a pixel is
 *
 *     sat(rne((w[c][0] Y + w[c][1] U + w[c][2] V + b[c]) / 2^s[c])),  0..255
 *
 * with integers w = rne(m 2^s), b = rne(255 m[c][3] 2^s) of a 3x4 matrix m and the largest s <= 14
 * that keeps |w| <= 32639 and |b| <= 2^24: exact on every machine. The built-in matrices are those
 * of ITU-R BT.601 and BT.709, from Kr and Kb: full range (Y, U, V in 0..255, as JPEG has it) and
 * limited range (Y in 16..235, chroma in 16..240). */
#ifndef CYG_BASE_YUV_H
#define CYG_BASE_YUV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum cyg_yuv {
    CYG_YUV_NONE,
    CYG_YUV_420SP,
    CYG_YVU_420SP,
    CYG_YUYV_422,
    CYG_UYVY_422,
    CYG_YUV_LAYOUTS
} cyg_yuv;

/* "YUV420SP", ..; "" for NONE. */
const char *cyg_yuv_name(cyg_yuv layout);
/* Rows, columns and bytes a place of what the runtime feeds. */
void cyg_yuv_shape(cyg_yuv layout, int64_t height, int64_t width, int64_t out_dims[3]);

/* Rows R, G, B (or B, G, R) of the built-in matrices. */
void cyg_yuv_matrix(bool limited, bool bt709, bool bgr, double out[12]);

/* The integers of a matrix. false: an element is no number, a factor beyond 32639 or an addend
 * beyond 9 times full scale. */
typedef struct cyg_yuv_integers {
    int32_t w[3][3], shift[3];
    int64_t b[3];
} cyg_yuv_integers;
bool cyg_yuv_round(const double matrix[12], cyg_yuv_integers *out);

/* What the package computes: [height, width, 3] from the layout. height and width are even. */
void cyg_yuv_decode(cyg_yuv layout, const cyg_yuv_integers *m, const uint8_t *yuv, int64_t height,
                    int64_t width, uint8_t *out_pixels);
/* The nearest there is to the other direction, for pictures that are to be fed: the matrix is
 * inverted in binary64, chroma averaged. false: the matrix has no inverse. */
bool cyg_yuv_encode(cyg_yuv layout, const double matrix[12], const uint8_t *pixels, int64_t height,
                    int64_t width, uint8_t *out_yuv);

#endif

/* Video pixels to colour and back: the specification that packages are held against, and what
 * feeds them pictures. See yuv.h for layouts and the formula. */
#include "base/yuv.h"

#include <math.h>
#include <string.h>

const char *cyg_yuv_name(cyg_yuv layout)
{
    static const char *const names[CYG_YUV_LAYOUTS] = {"", "YUV420SP", "YVU420SP", "YUYV422",
                                                       "UYVY422"};
    return names[layout];
}

static bool is_planar(cyg_yuv layout)
{
    return layout == CYG_YUV_420SP || layout == CYG_YVU_420SP;
}

void cyg_yuv_shape(cyg_yuv layout, int64_t height, int64_t width, int64_t out_dims[3])
{
    out_dims[0] = is_planar(layout) ? height + height / 2 : height;
    out_dims[1] = width;
    out_dims[2] = is_planar(layout) ? 1 : 2;
}

/* Y = Kr R + (1 - Kr - Kb) G + Kb B, U = (B - Y) / (2 (1 - Kb)), V = (R - Y) / (2 (1 - Kr)). */
void cyg_yuv_matrix(bool limited, bool bt709, bool bgr, double out[12])
{
    const double kr = bt709 ? 0.2126 : 0.299, kb = bt709 ? 0.0722 : 0.114, kg = 1.0 - kr - kb;
    const double luma = limited ? 255.0 / 219.0 : 1.0, chroma = limited ? 255.0 / 224.0 : 1.0;
    const double black = limited ? 16.0 / 255.0 : 0.0, centre = 128.0 / 255.0;
    const double u[3] = {0.0, -2.0 * (1.0 - kb) * kb / kg, 2.0 * (1.0 - kb)},
                 v[3] = {2.0 * (1.0 - kr), -2.0 * (1.0 - kr) * kr / kg, 0.0};
    for (int c = 0; c < 3; c++) {
        double *row = out + 4 * (bgr ? 2 - c : c);
        row[0] = luma;
        row[1] = chroma * u[c];
        row[2] = chroma * v[c];
        row[3] = -(row[0] * black + (row[1] + row[2]) * centre);
    }
}

bool cyg_yuv_round(const double matrix[12], cyg_yuv_integers *out)
{
    for (int c = 0; c < 3; c++) {
        const double *row = matrix + 4 * c;
        double reach = 0.0;
        for (int k = 0; k < 3; k++) {
            if (!(fabs(row[k]) <= 32639.0))
                return false;
            reach = fabs(row[k]) > reach ? fabs(row[k]) : reach;
        }
        if (!(fabs(row[3]) <= 9.0))
            return false;
        int shift = 14;
        while (shift > 0 && (reach * (double)(1 << shift) > 32639.0 ||
                             255.0 * fabs(row[3]) * (double)(1 << shift) > 16777216.0))
            shift--; /* what is added has 24 bits, as a float has */
        out->shift[c] = shift;
        for (int k = 0; k < 3; k++)
            out->w[c][k] = (int32_t)rint(row[k] * (double)(1 << shift));
        out->b[c] = (int64_t)rint(255.0 * row[3] * (double)(1 << shift));
    }
    return true;
}

/* Where Y, U and V of pixel (i, j) lie. */
static void locate(cyg_yuv layout, int64_t height, int64_t width, int64_t i, int64_t j,
                   int64_t at[3])
{
    if (is_planar(layout)) {
        const int64_t pair = (height + i / 2) * width + (j & ~(int64_t)1);
        at[0] = i * width + j;
        at[1] = pair + (layout == CYG_YVU_420SP);
        at[2] = pair + (layout == CYG_YUV_420SP);
        return;
    }
    const int64_t row = i * width * 2, pair = row + 2 * (j & ~(int64_t)1),
                  first = layout == CYG_UYVY_422;
    at[0] = row + 2 * j + first;
    at[1] = pair + 1 - first;
    at[2] = pair + 3 - first;
}

void cyg_yuv_decode(cyg_yuv layout, const cyg_yuv_integers *m, const uint8_t *yuv, int64_t height,
                    int64_t width, uint8_t *out_pixels)
{
    for (int64_t i = 0; i < height; i++)
        for (int64_t j = 0; j < width; j++) {
            int64_t at[3];
            locate(layout, height, width, i, j, at);
            for (int c = 0; c < 3; c++) {
                int64_t acc = m->b[c];
                for (int k = 0; k < 3; k++)
                    acc += (int64_t)m->w[c][k] * yuv[at[k]];
                const double near = rint((double)acc / (double)(1 << m->shift[c]));
                out_pixels[(i * width + j) * 3 + c] = (uint8_t)(near < 0.0     ? 0.0
                                                                : near > 255.0 ? 255.0
                                                                               : near);
            }
        }
}

/* The inverse of the matrix's left three columns; false: there is none. */
static bool invert(const double m[12], double out[9])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
            out[3 * i + j] = m[4 * a + c] * m[4 * b + d] - m[4 * a + d] * m[4 * b + c];
        }
    const double det = m[0] * out[0] + m[4] * out[1] + m[8] * out[2];
    if (!(fabs(det) > 1e-9))
        return false;
    for (int i = 0; i < 9; i++)
        out[i] /= det;
    return true;
}

static uint8_t byte_of(double x)
{
    return (uint8_t)(!(x > 0.0) ? 0.0 : x > 255.0 ? 255.0 : rint(x));
}

/* Y, U or V (k) of a pixel, as a real number. */
static double component(const double inverse[9], const double m[12], const uint8_t *pixel, int k)
{
    double sum = 0.0;
    for (int c = 0; c < 3; c++)
        sum += inverse[3 * k + c] * ((double)pixel[c] - 255.0 * m[4 * c + 3]);
    return sum;
}

bool cyg_yuv_encode(cyg_yuv layout, const double matrix[12], const uint8_t *pixels, int64_t height,
                    int64_t width, uint8_t *out_yuv)
{
    double inverse[9];
    const int64_t rows = is_planar(layout) ? 2 : 1;
    if (!invert(matrix, inverse))
        return false;
    for (int64_t i = 0; i < height; i += rows)
        for (int64_t j = 0; j < width; j += 2) {
            double chroma[2] = {0.0, 0.0};
            int64_t at[3];
            for (int64_t y = i; y < i + rows; y++)
                for (int64_t x = j; x < j + 2; x++) {
                    const uint8_t *pixel = pixels + (y * width + x) * 3;
                    locate(layout, height, width, y, x, at);
                    out_yuv[at[0]] = byte_of(component(inverse, matrix, pixel, 0));
                    for (int k = 0; k < 2; k++)
                        chroma[k] += component(inverse, matrix, pixel, k + 1);
                }
            for (int k = 0; k < 2; k++)
                out_yuv[at[k + 1]] = byte_of(chroma[k] / (double)(2 * rows));
        }
    return true;
}

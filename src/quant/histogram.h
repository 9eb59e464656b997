/* Private to quant/: how the elements of a value are spread, kept while calibration streams by.
 *
 * A fixed number of bins, whose width is a power of two: when a larger element comes, the width
 * doubles and bins merge in pairs. So memory does not depend on the number of samples, one pass is
 * enough, and the counts depend on neither the order of the elements nor on threads. */
#ifndef CYG_QUANT_HISTOGRAM_H
#define CYG_QUANT_HISTOGRAM_H

#include "base/pool.h"
#include "quant/quant.h"

enum { CYG_HISTOGRAM_HALF = 2048, CYG_HISTOGRAM_BINS = 2 * CYG_HISTOGRAM_HALF };

typedef struct cyg_span {
    double lo, hi; /* lo <= 0 <= hi */
} cyg_span;

/* Bin b counts the elements in [b - HALF, b - HALF + 1) times 2^exponent. Zeros are counted apart:
 * every scale stores them exactly. */
typedef struct cyg_histogram {
    uint64_t *bins; /* [CYG_HISTOGRAM_BINS] */
    uint64_t zeros, others;
    int exponent;
    cyg_span start; /* methods.c: the method's range, once it is known */
} cyg_histogram;

/* Bins in the arena, empty. */
bool cyg_histogram_init(cyg_histogram *h, cyg_arena *arena);
/* Makes room for elements of magnitude up to reach (finite). */
void cyg_histogram_widen(cyg_histogram *h, double reach);
/* count rows of `width` elements, `stride` apart, all inside what there is room for. */
void cyg_histogram_add(cyg_histogram *h, const float *x, int64_t count, int64_t width,
                       int64_t stride);
/* The same of count elements without gaps, shared by threads. */
void cyg_histogram_add_all(cyg_histogram *h, cyg_pool *pool, const float *x, int64_t count);
/* Moves the counts of `from` over; it is empty afterwards. */
void cyg_histogram_take(cyg_histogram *h, cyg_histogram *from);

/* The range that the method gives for 8 bits, inside `all`, the extremes; symmetric: -hi..hi. An
 * empty histogram, and MinMax, give `all`. */
cyg_span cyg_histogram_range(const cyg_histogram *h, cyg_range_method method, cyg_span all,
                             bool symmetric);
/* Sum over elements of their error to an even power (2 or 4) when stored in 256 steps of `range`.
 */
double cyg_histogram_error(const cyg_histogram *h, cyg_span range, int power);

#endif

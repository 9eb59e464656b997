/* The histogram of histogram.h, and the textbook methods that read a range off it:
 *
 * Percentile  the narrowest ends that leave out at most 1 element in 10,000 on each side
 * MSE         the least sum of squared errors, one end after the other: elements inside are off by
 *             step^2 / 12 on average, elements outside by their distance from the end
 * KL          the least divergence between the clipped spread (what lies outside is counted at the
 *             ends) and the same in 255 steps, as TensorRT does
 *
 * Sums and products in binary64 only, in bin order: the same ranges on every machine. */
#include "quant/histogram.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "kernels/f32/math.h"

enum { STEPS = 255, CANDIDATES = 64, ROUNDS = 2, LEAST_EXPONENT = -100, PART = 1 << 14 };
static const double left_out = 1e-4; /* of all elements, on each side */

bool cyg_histogram_init(cyg_histogram *h, cyg_arena *arena)
{
    *h = (cyg_histogram){.exponent = LEAST_EXPONENT};
    h->bins = cyg_arena_calloc(arena, CYG_HISTOGRAM_BINS, sizeof *h->bins);
    return h->bins != NULL;
}

static void double_width(cyg_histogram *h)
{
    enum { HALF = CYG_HISTOGRAM_HALF };
    uint64_t *up = h->bins + HALF, *down = h->bins + HALF - 1; /* from zero outwards */
    for (int i = 0; i < HALF / 2; i++) {
        up[i] = up[2 * i] + up[2 * i + 1];
        down[-i] = down[-2 * i] + down[-2 * i - 1];
    }
    memset(up + HALF / 2, 0, HALF / 2 * sizeof *up);
    memset(h->bins, 0, HALF / 2 * sizeof *up);
    h->exponent++;
}

void cyg_histogram_widen(cyg_histogram *h, double reach)
{
    while (!(reach < ldexp(CYG_HISTOGRAM_HALF, h->exponent))) {
        if (h->others > 0)
            double_width(h);
        else
            h->exponent++;
    }
}

void cyg_histogram_add(cyg_histogram *h, const float *x, int64_t count, int64_t width,
                       int64_t stride)
{
    const double inverse = ldexp(1.0, -h->exponent);
    uint64_t zeros = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < width; k++) {
            const float v = x[i * stride + k];
            const bool some = v < 0.0f || v > 0.0f;
            zeros += !some;
            h->bins[(int)((double)v * inverse + CYG_HISTOGRAM_HALF)] += some;
        }
    h->zeros += zeros;
    h->others += (uint64_t)(count * width) - zeros;
}

typedef struct adding {
    cyg_histogram *h;
    const float *x;
    int64_t count;
    pthread_mutex_t lock;
} adding;

/* Counts of a part in bins of its own, then into the shared ones. */
static void add_part(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    adding *job = arg;
    uint64_t bins[CYG_HISTOGRAM_BINS] = {0};
    cyg_histogram own = {.bins = bins, .exponent = job->h->exponent};
    const int64_t first = begin * PART, last = end * PART < job->count ? end * PART : job->count;
    (void)worker;
    cyg_histogram_add(&own, job->x + first, 1, last - first, 0);
    pthread_mutex_lock(&job->lock);
    for (int b = 0; b < CYG_HISTOGRAM_BINS; b++)
        job->h->bins[b] += bins[b];
    job->h->zeros += own.zeros;
    job->h->others += own.others;
    pthread_mutex_unlock(&job->lock);
}

void cyg_histogram_add_all(cyg_histogram *h, cyg_pool *pool, const float *x, int64_t count)
{
    const int64_t parts = (count + PART - 1) / PART, threads = (int64_t)cyg_pool_threads(pool);
    adding job = {h, x, count, PTHREAD_MUTEX_INITIALIZER};
    if (parts < 2 || threads < 2)
        cyg_histogram_add(h, x, 1, count, 0);
    else
        cyg_pool_for(pool, parts, (parts + threads - 1) / threads, add_part, &job);
}

void cyg_histogram_take(cyg_histogram *h, cyg_histogram *from)
{
    cyg_histogram_widen(h, ldexp(CYG_HISTOGRAM_HALF - 1, from->exponent));
    const int shift = h->exponent - from->exponent; /* >= 0 by now */
    for (int b = 0; b < CYG_HISTOGRAM_BINS; b++) {
        const int i = b - CYG_HISTOGRAM_HALF, up = i >= 0 ? i : -i - 1;
        const int to = shift < 31 ? up >> shift : 0;
        h->bins[CYG_HISTOGRAM_HALF + (i >= 0 ? to : -to - 1)] += from->bins[b];
        from->bins[b] = 0;
    }
    h->zeros += from->zeros;
    h->others += from->others;
    from->zeros = from->others = 0;
}

/* ---- percentile
 * ---------------------------------------------------------------------------------------------- */

static double end_of(const cyg_histogram *h, int step)
{
    const double spare = left_out * (double)(h->zeros + h->others);
    const double width = ldexp(1.0, h->exponent);
    double passed = 0.0;
    for (int b = step > 0 ? CYG_HISTOGRAM_BINS - 1 : 0; b >= 0 && b < CYG_HISTOGRAM_BINS;
         b -= step) {
        passed += (double)h->bins[b];
        const int edge = b - CYG_HISTOGRAM_HALF + (step > 0); /* the bin's outer one */
        if (edge * step <= 0)
            return 0.0;
        if (passed > spare)
            return width * edge;
    }
    return 0.0;
}

static cyg_span percentile(const cyg_histogram *h)
{
    return (cyg_span){end_of(h, -1), end_of(h, 1)};
}

/* ---- MSE
 * -----------------------------------------------------------------------------------------------------
 */

static double middle_of(int bin, double width)
{
    return (bin - CYG_HISTOGRAM_HALF + 0.5) * width;
}

/* Only bins outside the range have errors of their own, added in their order. */
double cyg_histogram_error(const cyg_histogram *h, cyg_span range, int power)
{
    const double width = ldexp(1.0, h->exponent), step = (range.hi - range.lo) / STEPS;
    const double each = power == 2 ? step * step / 12.0 : step * step * step * step / 80.0;
    double sum = 0.0;
    uint64_t inside = 0;
    int b = 0, above = CYG_HISTOGRAM_BINS;
    while (above > 0 && middle_of(above - 1, width) > range.hi)
        above--;
    for (; b < above && middle_of(b, width) < range.lo; b++) {
        const double off = range.lo - middle_of(b, width), square = off * off;
        sum += (double)h->bins[b] * (power == 2 ? square : square * off * off);
    }
    for (; b < above; b++)
        inside += h->bins[b];
    for (; b < CYG_HISTOGRAM_BINS; b++) {
        const double off = middle_of(b, width) - range.hi, square = off * off;
        sum += (double)h->bins[b] * (power == 2 ? square : square * off * off);
    }
    return sum + (double)inside * each;
}

static cyg_span least_squares(const cyg_histogram *h, cyg_span all, bool symmetric)
{
    cyg_span best = all;
    double least = cyg_histogram_error(h, best, 2);
    for (int round = 0; round < ROUNDS; round++)
        for (int end = 0; end < 2; end++) {
            const cyg_span from = best;
            for (int i = 1; i < CANDIDATES; i++) {
                const double share = (double)i / CANDIDATES;
                const cyg_span now = {end == 0 || symmetric ? all.lo * share : from.lo,
                                      end == 1 || symmetric ? all.hi * share : from.hi};
                const double error = cyg_histogram_error(h, now, 2);
                if (error < least) {
                    least = error;
                    best = now;
                }
            }
        }
    return best;
}

/* ---- KL
 * ------------------------------------------------------------------------------------------------------
 */

/* Divergence when bins first..end-1 are kept, in 255 equal steps. */
static double divergence(const cyg_histogram *h, int first, int end)
{
    const double total = (double)h->others;
    double below = 0.0, above = 0.0, sum = 0.0;
    for (int b = 0; b < first; b++)
        below += (double)h->bins[b];
    for (int b = end; b < CYG_HISTOGRAM_BINS; b++)
        above += (double)h->bins[b];
    const double kept = total - below - above;
    for (int step = 0, b = first; step < STEPS && kept > 0.0; step++) {
        const int next = first + (int)((int64_t)(end - first) * (step + 1) / STEPS);
        double mass = 0.0;
        int filled = 0;
        for (int i = b; i < next; i++) {
            mass += (double)h->bins[i];
            filled += h->bins[i] > 0;
        }
        for (; b < next; b++) {
            const double p =
                (double)h->bins[b] + (b == first ? below : 0.0) + (b == end - 1 ? above : 0.0);
            /* An end that was empty before takes what lies beyond it: a step with no share of its
             * own counts as one element. */
            const double q = h->bins[b] > 0 ? mass / filled : 1.0;
            if (p > 0.0)
                sum += p / total * cyg_log_core(p / total / (q / kept));
        }
    }
    return kept > 0.0 ? sum : INFINITY;
}

static cyg_span least_divergence(const cyg_histogram *h, cyg_span all)
{
    const double width = ldexp(1.0, h->exponent), reach = -all.lo > all.hi ? -all.lo : all.hi;
    cyg_span best = all;
    double least = INFINITY;
    for (int i = CANDIDATES; i >= 1; i--) {
        const double limit = reach * i / CANDIDATES; /* the same for both ends */
        const cyg_span now = {all.lo > -limit ? all.lo : -limit, all.hi < limit ? all.hi : limit};
        const int first = CYG_HISTOGRAM_HALF - (int)ceil(-now.lo / width),
                  end = CYG_HISTOGRAM_HALF + (int)ceil(now.hi / width);
        if (end - first < STEPS || first < 0 || end > CYG_HISTOGRAM_BINS)
            continue;
        const double error = divergence(h, first, end);
        if (error < least) {
            least = error;
            best = now;
        }
    }
    return best;
}

cyg_span cyg_histogram_range(const cyg_histogram *h, cyg_range_method method, cyg_span all,
                             bool symmetric)
{
    const double reach = -all.lo > all.hi ? -all.lo : all.hi;
    if (symmetric)
        all = (cyg_span){-reach, reach};
    if (h->others == 0 || method == CYG_RANGE_MINMAX)
        return all;
    cyg_span found = method == CYG_RANGE_PERCENTILE ? percentile(h)
                     : method == CYG_RANGE_MSE      ? least_squares(h, all, symmetric)
                                                    : least_divergence(h, all);
    if (symmetric) {
        found.hi = -found.lo > found.hi ? -found.lo : found.hi;
        found.lo = -found.hi;
    }
    found.lo = found.lo > all.lo ? found.lo : all.lo;
    found.hi = found.hi < all.hi ? found.hi : all.hi;
    return found;
}

/* SQNR = 10 log10(sum of reference^2 / sum of difference^2) over all rows together, so that a few
 * loud rows do not hide behind quiet ones; the cosine is a mean over rows, as the field's tools
 * report it. */
#include "app/similarity.h"

#include <math.h>

size_t cyg_largest(const float *x, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

void cyg_similarity_add(cyg_similarity *s, const float *reference, const float *other, size_t count)
{
    double aa = 0, bb = 0, ab = 0, dd = 0;
    for (size_t i = 0; i < count; i++) {
        const double a = (double)reference[i], b = (double)other[i];
        aa += a * a;
        bb += b * b;
        ab += a * b;
        dd += (a - b) * (a - b);
    }
    s->signal += aa;
    s->noise += dd;
    s->cosine_sum += aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : (double)(aa == bb);
    s->rows++;
    s->agreeing += count == 0 || cyg_largest(reference, count) == cyg_largest(other, count);
}

double cyg_similarity_sqnr_db(const cyg_similarity *s)
{
    if (s->noise <= 0)
        return 200.0;
    return s->signal > 0 ? 10.0 * log10(s->signal / s->noise) : -200.0;
}

double cyg_similarity_cosine(const cyg_similarity *s)
{
    return s->rows > 0 ? s->cosine_sum / (double)s->rows : 0.0;
}

double cyg_similarity_agreement(const cyg_similarity *s)
{
    return s->rows > 0 ? (double)s->agreeing / (double)s->rows : 0.0;
}

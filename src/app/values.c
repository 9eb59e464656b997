/* Comparing tensors. */
#include "app/values.h"

#include <math.h>
#include <string.h>

bool cyg_values_close(const cyg_engine_tensor *t, const void *expected, const void *found,
                      double rtol, double atol, size_t *out_at)
{
    const size_t count = cyg_engine_elements(t);
    for (size_t i = 0; i < count; i++) {
        const double x = cyg_engine_value(t, expected, i), y = cyg_engine_value(t, found, i);
        if (!(fabs(x - y) <= atol + rtol * fabs(x))) {
            *out_at = i;
            return false;
        }
    }
    return true;
}

bool cyg_values_equal(const cyg_engine_tensor *t, const void *expected, const void *found,
                      size_t *out_at)
{
    const char *x = expected, *y = found;
    if (t->bytes == 0 || memcmp(x, y, t->bytes) == 0)
        return true;
    const size_t size = t->bytes / cyg_engine_elements(t);
    size_t i = 0;
    while (memcmp(x + i * size, y + i * size, size) == 0)
        i++;
    *out_at = i;
    return false;
}

double cyg_values_cosine(const cyg_engine_tensor *t, const void *expected, const void *found)
{
    const size_t count = cyg_engine_elements(t);
    double xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < count; i++) {
        const double x = cyg_engine_value(t, expected, i), y = cyg_engine_value(t, found, i);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    if (xx > 0 && yy > 0)
        return xy / sqrt(xx * yy);
    return xx > 0 || yy > 0 ? 0.0 : 1.0;
}

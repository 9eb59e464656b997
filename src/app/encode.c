/* A file of its own: the kernels' headers name resizing filters as the preprocessing does. */
#include "app/encode.h"

#include <math.h>

#include "kernels/number.h"

void cyg_encode(cyg_type type, float scale, int32_t zero, double x, void *out, size_t i)
{
    const bool real = type == CYG_TYPE_F32 || type == CYG_TYPE_F16;
    cyg_store_real(out, (int32_t)type, (int64_t)i,
                   real ? x : rint(x / (double)scale) + (double)zero);
}

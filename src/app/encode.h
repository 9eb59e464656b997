/* Real numbers as codes of an input. */
#ifndef CYG_APP_ENCODE_H
#define CYG_APP_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/type.h"

/* Element i of out: the whole number of `type` (8 to 32 bits) nearest to x / scale + zero, within
 * the type; x itself in f32 and f16. */
void cyg_encode(cyg_type type, float scale, int32_t zero, double x, void *out, size_t i);

#endif

/* Two tensors of one type and shape, value by value. */
#ifndef CYG_APP_VALUES_H
#define CYG_APP_VALUES_H

#include "app/engine.h"

/* |found - expected| <= atol + rtol |expected| for every element, as real numbers; NaN is close to
 * nothing. Else *out_at is the first that is not. */
bool cyg_values_close(const cyg_engine_tensor *t, const void *expected, const void *found,
                      double rtol, double atol, size_t *out_at);
/* Byte by byte. */
bool cyg_values_equal(const cyg_engine_tensor *t, const void *expected, const void *found,
                      size_t *out_at);
/* Cosine of the two as vectors of real numbers; of two zeros 1, of zeros with something 0. */
double cyg_values_cosine(const cyg_engine_tensor *t, const void *expected, const void *found);

#endif

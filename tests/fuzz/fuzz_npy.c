/* Fuzz entry: npy files. */
#include <stdint.h>
#include <stdlib.h>

#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_npy a;
    if (cyg_npy_parse(NULL, "fuzz", data, size, &a) != CYG_OK)
        return 0;
    if (a.size > size || a.count > size)
        abort();
    float *out = malloc(a.count * sizeof *out + 1);
    if (out != NULL)
        cyg_npy_to_f32(&a, out);
    free(out);
    return 0;
}

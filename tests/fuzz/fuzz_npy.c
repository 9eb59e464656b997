/* Fuzz entry: npy files, as plain arrays and as a dict of arrays; of the latter memory stays within
 * a multiple of the file's size. */
#include <stdint.h>
#include <stdlib.h>

#include "io/npy_dict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(const cyg_npy *a, size_t size)
{
    if (a->size > size || a->count > size)
        abort();
    float *out = malloc(a->count * sizeof *out + 1);
    if (out != NULL)
        cyg_npy_to_f32(a, out);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_npy a;
    cyg_npy_dict dict;
    if (cyg_npy_parse(NULL, "fuzz", data, size, &a) == CYG_OK)
        convert(&a, size);
    const cyg_status status = cyg_npy_dict_parse(NULL, "fuzz", data, size, &dict);
    const cyg_pickle *p = &dict.pickle;
    if (p->count * sizeof *p->values + p->arena.used > 100 * (size + 8))
        abort();
    if (status == CYG_OK && cyg_npy_dict_find(NULL, "fuzz", &dict, "ids", &a) == CYG_OK)
        convert(&a, size);
    cyg_npy_dict_deinit(&dict);
    return 0;
}

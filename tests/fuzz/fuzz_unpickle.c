/* Fuzz entry: pickles. Besides not crashing, memory stays within a multiple of the pickle's size.
 */
#include <stdint.h>
#include <stdlib.h>

#include "io/unpickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_pickle p;
    char text[CYG_PICKLE_NAME + 32];
    const cyg_status status = cyg_unpickle(NULL, "fuzz", data, size, &p);
    if (p.count * sizeof *p.values + p.arena.used > 100 * (size + 8))
        abort();
    if (status == CYG_OK)
        for (uint32_t i = 0; i < p.count; i++)
            cyg_pickle_describe(&p, i, text);
    cyg_pickle_deinit(&p);
    return 0;
}

/* Fuzz entry: safetensors files. Whatever opens is read at both ends of each tensor. */
#include <stdint.h>
#include <stdlib.h>

#include "io/checkpoint_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_checkpoint *c;
    double piece[64];
    cyg_checkpoint_stats stats;
    if (!cyg_safetensors_is(data, size) ||
        cyg_checkpoint_open_memory(NULL, "fuzz", data, size, &c) != CYG_OK)
        return 0;
    for (size_t i = 0; i < cyg_checkpoint_count(c); i++) {
        const cyg_checkpoint_tensor *t = cyg_checkpoint_at(c, i);
        if (cyg_checkpoint_find(c, t->name) == NULL)
            abort();
        const size_t n = t->elements < 64 ? (size_t)t->elements : 64;
        CYG_IGNORE(cyg_checkpoint_read_f64(NULL, t, 0, n, piece));
        CYG_IGNORE(cyg_checkpoint_read_f64(NULL, t, t->elements - n, n, piece));
        if (t->elements < 4096)
            CYG_IGNORE(cyg_checkpoint_measure(NULL, t, &stats));
    }
    cyg_checkpoint_close(c);
    return 0;
}

/* Partition and cyclic shift as tables.
 *
 * A padded grid is cut into windows after it was rolled by the shift, so place (y, x) of the rolled
 * grid holds token (y + shift, x + shift), modulo the size. The libraries differ in what is rolled:
 * Hugging Face and torchvision the padded grid, timm the grid itself, which it pads afterwards.
 * Along a shifted axis the last window holds two parts that were not neighbours: its first
 * window - shift places, and the shift places that came round. Tokens of different parts must not
 * see each other; all other windows are whole. Padding belongs to the part where it lies. */
#include "models/windows.h"

#include <stddef.h>

void cyg_windows_init(cyg_windows *w)
{
    w->count = w->tokens = 1;
    for (int a = 0; a < 2; a++) {
        w->across[a] = (w->size[a] + w->window[a] - 1) / w->window[a];
        w->padded[a] = w->across[a] * w->window[a];
        w->count *= w->across[a];
        w->tokens *= w->window[a];
    }
}

/* The grid's row (column) at a place of the rolled, padded one; -1 = padding. */
static int64_t source(const cyg_windows *w, int a, int64_t place)
{
    if (w->roll_first)
        return place < w->size[a] ? (place + w->shift[a]) % w->size[a] : -1;
    const int64_t at = (place + w->shift[a]) % w->padded[a];
    return at < w->size[a] ? at : -1;
}

void cyg_windows_index(const cyg_windows *w, int64_t *out_index)
{
    for (int64_t wy = 0; wy < w->across[0]; wy++)
        for (int64_t wx = 0; wx < w->across[1]; wx++)
            for (int64_t i = 0; i < w->tokens; i++) {
                const int64_t y = source(w, 0, wy * w->window[0] + i / w->window[1]);
                const int64_t x = source(w, 1, wx * w->window[1] + i % w->window[1]);
                *out_index++ = y < 0 || x < 0 ? -1 : y * w->size[1] + x;
            }
}

int cyg_windows_kinds(const cyg_windows *w, int64_t *out_kind_of, int out_kinds[CYG_WINDOW_KINDS])
{
    int count = 0;
    for (int64_t g = 0; g < w->count; g++) {
        const bool last_row = g / w->across[1] == w->across[0] - 1;
        const bool last_column = g % w->across[1] == w->across[1] - 1;
        const int kind =
            (w->shift[0] > 0 && last_row ? 1 : 0) | (w->shift[1] > 0 && last_column ? 2 : 0);
        int k = 0;
        while (k < count && out_kinds[k] != kind)
            k++;
        if (k == count)
            out_kinds[count++] = kind;
        out_kind_of[g] = k;
    }
    return count;
}

bool cyg_windows_strangers(const cyg_windows *w, int kind, int64_t i, int64_t j)
{
    const int64_t at[2][2] = {{i / w->window[1], j / w->window[1]},
                              {i % w->window[1], j % w->window[1]}};
    for (int a = 0; a < 2; a++) {
        const int64_t cut = w->window[a] - w->shift[a];
        if ((kind >> a & 1) != 0 && (at[a][0] < cut) != (at[a][1] < cut))
            return true;
    }
    return false;
}

/* Windows of a grid: which token is where, which tokens of a shifted window are strangers. Private
 * to models. */
#ifndef CYG_MODELS_WINDOWS_H
#define CYG_MODELS_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cyg_windows {
    int64_t size[2]; /* of the grid: rows, columns */
    int64_t window[2];
    int64_t shift[2]; /* 0 = not shifted along this axis */
    bool roll_first;  /* timm: the grid is rolled, then padded; else padded, then rolled */
    /* made by cyg_windows_init */
    int64_t padded[2];     /* size rounded up to whole windows */
    int64_t across[2];     /* windows along each axis */
    int64_t count, tokens; /* windows; tokens of a window */
} cyg_windows;

enum { CYG_WINDOW_KINDS = 4 };

void cyg_windows_init(cyg_windows *w);
/* out_index[count * tokens]: the grid's token at each place, -1 = padding. */
void cyg_windows_index(const cyg_windows *w, int64_t *out_index);
/* Windows differ in their mask by lying at the end of a shifted axis or not: 4 kinds at most.
 * out_kind_of[count]: an index into the kinds that occur; returns how many do. out_kinds holds, for
 * each, bit 0 for the end of the rows, bit 1 for the end of the columns. */
int cyg_windows_kinds(const cyg_windows *w, int64_t *out_kind_of, int out_kinds[CYG_WINDOW_KINDS]);
/* Whether tokens i and j of a window of that kind come from different parts of the picture. */
bool cyg_windows_strangers(const cyg_windows *w, int kind, int64_t i, int64_t j);

#endif

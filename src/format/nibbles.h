/* Private to format/: weights of 4 bits as a package stores them (docs/package.md). Weight [n][k]
 * is q times the multiplier of its group: q -8..7 and `group` neighbouring taps share one
 * multiplier 1..15. That is S8 when expanded, and kernels see nothing else. */
#ifndef CYG_FORMAT_NIBBLES_H
#define CYG_FORMAT_NIBBLES_H

#include "format/package.h"

/* Rows are the first dimension; a row's other dimensions are its taps. */
typedef struct cyg_nibbles {
    int64_t rows, taps, group;
} cyg_nibbles;

/* Bytes stored; 0 when there are none or the sizes make no sense. */
size_t cyg_nibbles_size(const cyg_nibbles *n);
/* Whether every group of w is a multiplier times 4-bit numbers; then out holds cyg_nibbles_size
 * bytes. */
bool cyg_nibbles_pack(const cyg_nibbles *n, const int8_t *w, uint8_t *out);
void cyg_nibbles_unpack(const cyg_nibbles *n, const uint8_t *stored, int8_t *out_w);

/* What a tensor would be with groups of this many taps: rank 2 and more, S8; rows = 0 otherwise. */
cyg_nibbles cyg_nibbles_of(const cyg_tensor *t, int64_t group);

/* Constants of the package that are stored so become S8 in the arena, equal ones once. */
cyg_status cyg_nibbles_expand(cyg_ctx *ctx, const char *path, cyg_arena *arena,
                              cyg_package *package) CYG_MUST_USE;

#endif

/* See nibbles.h. The writer finds multipliers by itself: of what divides a group's weights it takes
 * the least that leaves 4-bit numbers, so nothing but the bytes of a constant decides how it is
 * stored, and what is read is what was there. */
#include "format/nibbles.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static int64_t groups_of(const cyg_nibbles *n)
{
    return (n->taps + n->group - 1) / n->group;
}

/* Bytes of the multipliers, in front. */
static size_t head_of(const cyg_nibbles *n)
{
    return ((size_t)n->rows * (size_t)groups_of(n) + 1) / 2;
}

size_t cyg_nibbles_size(const cyg_nibbles *n)
{
    size_t weights;
    if (n->rows <= 0 || n->taps <= 0 || n->group <= 0 ||
        !cyg_mul_size((size_t)n->rows, (size_t)n->taps, &weights) || weights > SIZE_MAX / 4)
        return 0;
    return head_of(n) + (weights + 1) / 2;
}

static int multiplier_of(const int8_t *w, int64_t count)
{
    for (int m = 1; m <= 15; m++) {
        bool fits = true;
        for (int64_t k = 0; k < count && fits; k++)
            fits = w[k] % m == 0 && w[k] / m >= -8 && w[k] / m <= 7;
        if (fits)
            return m;
    }
    return 0;
}

static void put(uint8_t *out, size_t at, int v)
{
    out[at / 2] = (uint8_t)(out[at / 2] | (unsigned)(v & 15) << (at % 2 * 4));
}

bool cyg_nibbles_pack(const cyg_nibbles *n, const int8_t *w, uint8_t *out)
{
    memset(out, 0, cyg_nibbles_size(n));
    uint8_t *weights = out + head_of(n);
    size_t group = 0;
    for (int64_t row = 0; row < n->rows; row++)
        for (int64_t k = 0; k < n->taps; k += n->group) {
            const size_t first = (size_t)(row * n->taps + k);
            const int64_t count = n->taps - k < n->group ? n->taps - k : n->group;
            const int m = multiplier_of(w + first, count);
            if (m == 0)
                return false;
            put(out, group++, m);
            for (int64_t i = 0; i < count; i++)
                put(weights, first + (size_t)i, w[first + (size_t)i] / m);
        }
    return true;
}

static int take(const uint8_t *in, size_t at)
{
    return in[at / 2] >> (at % 2 * 4) & 15;
}

void cyg_nibbles_unpack(const cyg_nibbles *n, const uint8_t *stored, int8_t *out_w)
{
    const uint8_t *weights = stored + head_of(n);
    size_t group = 0, at = 0;
    for (int64_t row = 0; row < n->rows; row++)
        for (int64_t k = 0; k < n->taps; k += n->group) {
            const int m = take(stored, group++);
            for (int64_t i = k; i < k + n->group && i < n->taps; i++, at++)
                out_w[at] = (int8_t)(m * ((take(weights, at) ^ 8) - 8));
        }
}

cyg_nibbles cyg_nibbles_of(const cyg_tensor *t, int64_t group)
{
    if (t->kind != CYG_TENSOR_CONST || t->type != CYG_TYPE_S8 || t->rank < 2 || t->dims[0] <= 0)
        return (cyg_nibbles){0, 0, group};
    return (cyg_nibbles){t->dims[0], cyg_tensor_elements(t) / t->dims[0], group};
}

/* ---- reading ---- */

static int by_offset(const void *a, const void *b)
{
    const cyg_tensor *x = *(cyg_tensor *const *)a, *y = *(cyg_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* All that is stored so, by offset. */
static bool collect(const cyg_package *package, cyg_arena *arena, cyg_tensor ***out, size_t *count)
{
    size_t found = 0;
    for (uint32_t i = 0; i < package->program_count; i++)
        for (uint32_t t = 0; t < package->programs[i].tensor_count; t++)
            found += package->programs[i].tensors[t].group > 0;
    *count = found;
    *out = CYG_NEW_ARRAY(arena, cyg_tensor *, found + 1);
    found = 0;
    for (uint32_t i = 0; *out != NULL && i < package->program_count; i++)
        for (uint32_t t = 0; t < package->programs[i].tensor_count; t++)
            if (package->programs[i].tensors[t].group > 0)
                (*out)[found++] = &package->programs[i].tensors[t];
    if (*out != NULL)
        qsort(*out, found, sizeof **out, by_offset);
    return *out != NULL;
}

cyg_status cyg_nibbles_expand(cyg_ctx *ctx, const char *path, cyg_arena *arena,
                              cyg_package *package)
{
    cyg_tensor **list;
    size_t count;
    uint64_t end = 0;
    if (!collect(package, arena, &list, &count))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < count; i++) {
        cyg_tensor *t = list[i];
        const cyg_nibbles n = cyg_nibbles_of(t, t->group);
        if (i > 0 && list[i - 1]->offset == t->offset) { /* stored once, expanded once */
            if (list[i - 1]->group != t->group || list[i - 1]->dims[0] != t->dims[0] ||
                cyg_tensor_elements(list[i - 1]) != cyg_tensor_elements(t))
                return CYG_FAIL(ctx, CYG_E_FORMAT,
                                "%s: section \"program\": constant \"%s\" shares the bytes of "
                                "another of a different shape",
                                path, t->name);
            t->data = list[i - 1]->data;
            continue;
        }
        /* Else a small file could ask for a lot of memory. */
        if (t->offset < end)
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "%s: section \"program\": constant \"%s\" of 4 bits overlaps another",
                            path, t->name);
        end = t->offset + cyg_nibbles_size(&n);
        int8_t *w = cyg_arena_alloc(arena, cyg_tensor_bytes(t), 64);
        if (w == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory for constant \"%s\"", path,
                            t->name);
        cyg_nibbles_unpack(&n, package->weights + t->offset, w);
        t->data = w;
    }
    return CYG_OK;
}

/* plan: places buffers with lifetimes into one arena (greedy by size, best fit), shared by every
 * target. Deterministic. */
#ifndef CYG_PLAN_PLAN_H
#define CYG_PLAN_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/ctx.h"

typedef struct cyg_plan_buffer {
    uint64_t size;        /* bytes */
    uint32_t first, last; /* steps at which it is alive, both inclusive */
    uint64_t offset;      /* out, multiple of align */
} cyg_plan_buffer;
/* Fills offsets so that no two buffers whose lifetimes meet overlap; returns the arena size. */
cyg_status cyg_plan_place(cyg_ctx *ctx, cyg_plan_buffer *buffers, size_t count, uint64_t align,
                          uint64_t *out_bytes) CYG_MUST_USE;

#endif

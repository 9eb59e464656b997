/* Private to target/npu: attention in the plain schedule. The graph of an attention has transposes
 * around it: heads are laid out one behind another. Where it has windows, too, what enters and what
 * leaves is moved once more (partition and reverse, transposes), and with cyclic shifts once more
 * an axis (slices, concatenated). Our instructions read and write through index tables instead and
 * move nothing; the plain schedule runs the graph as it stands, so there these moves are made, one
 * after another: into buffers apart for q, k and v, and from y's behind. */
#ifndef CYG_TARGET_NPU_GEN_APART_H
#define CYG_TARGET_NPU_GEN_APART_H

#include "target/npu/gen.h"

enum { CYG_NPU_APART_Q, CYG_NPU_APART_K, CYG_NPU_APART_V, CYG_NPU_APART_Y, CYG_NPU_APARTS };

typedef struct cyg_npu_apart {
    cyg_npu_gen *gen;
    const cyg_step *step;
    const cyg_kp_attention *at;
    const int64_t *rows; /* [entries x tokens]: the step's row table, NULL = in order */
    int moves;           /* of all rows, before heads are parted and after they are joined */
    int64_t most;        /* entries that are apart at a time; 0 = nothing is */
    int64_t image, entry, entries;    /* present ones */
    uint32_t buffers[CYG_NPU_APARTS]; /* [entries x tokens, heads x head_dim] each */
} cyg_npu_apart;

/* Whether and how many entries are moved apart at a time: only in the plain schedule, when all
 * operands lie in the OCM and `tile_bytes` of other buffers leave room for `tile_entries` or more
 * of them. */
void cyg_npu_apart_open(cyg_npu_apart *x, cyg_npu_gen *g, const cyg_step *s,
                        const cyg_kp_attention *at, const int64_t *rows, int64_t tile_entries,
                        int64_t tile_bytes);
/* Gathers q, k, v of these entries and begins a phase. */
cyg_status cyg_npu_apart_fetch(cyg_npu_apart *x, int64_t image, int64_t entry,
                               int64_t entries) CYG_MUST_USE;
/* Begins a phase, moves y's rows to their places, begins another. */
cyg_status cyg_npu_apart_return(cyg_npu_apart *x) CYG_MUST_USE;
/* Window of one of the buffers: `count` tokens of each entry from the first on, some channels. */
cyg_npu_view cyg_npu_apart_window(const cyg_npu_apart *x, int which, int64_t entry, int64_t entries,
                                  int64_t first, int64_t count, int64_t channel, int64_t channels);

#endif

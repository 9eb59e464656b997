/* Private to sim/: the simulator's state, and one instruction as a kernel call. */
#ifndef CYG_SIM_PARTS_H
#define CYG_SIM_PARTS_H

#include "kernels/call.h"
#include "npu/program.h"
#include "sim/sim.h"

enum { CYG_SIM_PREPARED = 32 };
/* What prepare made of an instruction's constant operands: prepared.c. */
typedef struct cyg_sim_prepared {
    const cyg_npu_instr *instr; /* NULL = unused */
    size_t at, size;            /* in the ring */
    uint32_t made;              /* number of the instruction in this count of writes */
} cyg_sim_prepared;

struct cyg_sim {
    const cyg_npu_machine *m;
    const cyg_npu_program *p;
    cyg_sim_options options;
    cyg_pool *pool;
    const struct cyg_kernels *isa;
    cyg_arena arena; /* timing, queues */
    cyg_npu_timing timing;
    uint8_t *ocm, *swap, *scratch;
    size_t ocm_room, swap_room, scratch_room;
    uint8_t **io;                /* [io_count], lent */
    uint8_t **taps, *tap_memory; /* [tap_count] in the memory; NULL = not wanted: tap.c */
    size_t tap_room;
    uint32_t engine_count;
    uint32_t *queue[CYG_NPU_MAX_ENGINES]; /* instructions by engine */
    uint32_t queued[CYG_NPU_MAX_ENGINES];
    uint64_t runs;
    uint32_t now;      /* instructions executed since the count began */
    uint32_t *written; /* by 64 bytes of OCM: which of them wrote last */
    size_t written_count;
    uint8_t *ring;
    size_t ring_room, ring_at;
    cyg_sim_prepared prepared[CYG_SIM_PREPARED];
    uint32_t prepared_next;
};

enum { CYG_SIM_PARAMS = 512 }; /* room of a kernel's parameter block */

/* An instruction ready for its kernel: operands that are not dense, or outputs that overlap an
 * input, stand in scratch. */
typedef struct cyg_sim_call {
    const cyg_npu_instr *instr;
    const cyg_npu_op_info *op;
    const cyg_kop_info *kernel;
    cyg_kcall call;
    cyg_kbuf buffers[CYG_NPU_MAX_OPERANDS];
    uint8_t *memory[CYG_NPU_MAX_OPERANDS]; /* element 0 in its memory */
    bool staged[CYG_NPU_MAX_OPERANDS];     /* in scratch */
    size_t prepared_bytes, worker_at, worker_stride, scratch_bytes;
    union {
        int64_t align;
        uint8_t bytes[CYG_SIM_PARAMS];
    } params;
} cyg_sim_call;

/* Lays the call out in scratch (which may be NULL: then only sizes count); a static text when the
 * kernel refuses it, else NULL. */
const char *cyg_sim_call_make(const cyg_sim *sim, const cyg_npu_instr *instr, bool checks,
                              cyg_sim_call *out_call);
/* Reads, computes, writes. */
void cyg_sim_call_run(cyg_sim *sim, cyg_sim_call *call);

/* Packed operands for as long as nobody writes what they came from: prepared.c. `largest`: bytes of
 * the largest. */
bool cyg_sim_prepared_open(cyg_sim *sim, size_t largest);
void cyg_sim_prepared_close(cyg_sim *sim);
void cyg_sim_prepared_forget(cyg_sim *sim);
const uint8_t *cyg_sim_prepared_find(cyg_sim *sim, const cyg_npu_instr *instr, size_t size);
uint8_t *cyg_sim_prepared_add(cyg_sim *sim, const cyg_npu_instr *instr, size_t size);
/* Results of steps. After instruction i has written: takes what it wrote of one. */
cyg_status cyg_sim_tap_open(cyg_ctx *ctx, cyg_sim *sim) CYG_MUST_USE;
void cyg_sim_tap_take(const cyg_sim *sim, uint32_t i);
void cyg_sim_tap_close(cyg_sim *sim);

/* Every instruction, for each of its outputs. */
void cyg_sim_note_write(cyg_sim *sim, const cyg_npu_view *v);

/* Where v's element 0 stands. */
uint8_t *cyg_sim_address(const cyg_sim *sim, const cyg_npu_view *v);
/* The instructions that have no kernel. */
void cyg_sim_move(const cyg_sim *sim, const cyg_npu_instr *instr);
/* Scratch that cyg_sim_move needs. */
size_t cyg_sim_move_scratch(const cyg_npu_instr *instr);
/* True when two views may share a byte (by their extents). */
bool cyg_sim_may_overlap(const cyg_npu_view *a, const cyg_npu_view *b);

#endif

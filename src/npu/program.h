/* An NPU program: instructions in queues, the memories that they touch, and nothing else. The
 * compiler makes it, packages hold it (encode.h), the simulator executes it, timing.h counts it.
 *
 * Memories. OCM: on chip, one address space. SWAP: DDR for what does not fit. PARAM: DDR, weights
 * as the compiler laid them out, read-only. IO: DDR, one buffer for each tensor at the subgraph's
 * border. CODE: the program's own constants (parameter blocks and index tables), fetched with the
 * instructions; only index operands may lie there.
 *
 * Order. `instrs` is one valid sequential order. Each engine executes its own instructions in that
 * order, one at a time; engines run independently but for waits: an instruction starts when, for
 * each of its waits, that engine has finished `count` instructions since the run began (a counting
 * semaphore each engine signals at the end of every instruction). Whatever the machine may reorder
 * under these rules must give the same bytes; sim/race.h checks it. */
#ifndef CYG_NPU_PROGRAM_H
#define CYG_NPU_PROGRAM_H

#include "npu/machine.h"

typedef enum cyg_npu_space {
    CYG_NPU_OCM = 0,
    CYG_NPU_SWAP = 1,
    CYG_NPU_PARAM = 2,
    CYG_NPU_IO = 3,
    CYG_NPU_CODE = 4,
    CYG_NPU_SPACES
} cyg_npu_space;

enum { CYG_NPU_RANK = 6, CYG_NPU_MAX_OPERANDS = 12 };

typedef enum cyg_npu_op {
#define CYG_NPU_OP(id, value, engine, kop, mnemonic, summary) CYG_NPU_OP_##id = value,
#include "npu/isa.def"
#undef CYG_NPU_OP
    CYG_NPU_OP_LIMIT = 256
} cyg_npu_op;

/* A strided window on a memory. An absent optional operand has type 0. */
typedef struct cyg_npu_view {
    uint8_t space; /* cyg_npu_space */
    uint8_t type;  /* cyg_type */
    uint8_t rank;  /* 0..CYG_NPU_RANK */
    uint8_t reserved;
    uint32_t buffer; /* IO: number of the tensor; else 0 */
    uint64_t offset; /* bytes, of element (0, .., 0) */
    int64_t dims[CYG_NPU_RANK];
    int64_t strides[CYG_NPU_RANK]; /* bytes, > 0; the last need not be the element's size
                                      (transposes) */
} cyg_npu_view;

typedef struct cyg_npu_wait {
    uint32_t engine;
    uint32_t count;
} cyg_npu_wait;

typedef struct cyg_npu_instr {
    uint16_t op;     /* cyg_npu_op */
    uint16_t engine; /* number in the machine; of the kind that isa.def says */
    uint16_t in_count, out_count;
    const cyg_npu_view *operands; /* [in_count + out_count] */
    const void *params; /* the kernel operator's block, 8-byte aligned, in the code; NULL = none */
    uint32_t params_size;
    uint32_t wait_count;
    const cyg_npu_wait *waits; /* at most one an engine, none on its own engine; counts from 1 */
    uint32_t step;             /* of the subgraph's steps: where it came from */
    uint32_t tile;             /* number within the step: labels */
} cyg_npu_instr;

typedef struct cyg_npu_io {
    const char *name;
    uint64_t bytes;
    uint32_t tensor; /* of the package's program */
    bool is_output;
} cyg_npu_io;

/* Where an output of a step lies, dense, while it is there: some of the step's instructions write a
 * piece of it each. All of it is there at the end of the step at the latest, but perhaps never at
 * once for longer: who wants the tensor takes every piece when it is written (sim/tap.c). An output
 * that lies in the OCM and is stored to the DDR, too, has a second tap behind the first one. */
typedef struct cyg_npu_tap {
    uint32_t step, output; /* of the subgraph's steps; of the step's outputs */
    uint32_t buffer;       /* IO: number of the tensor; else 0 */
    uint8_t space;         /* OCM, SWAP or IO */
    uint64_t offset, bytes;
} cyg_npu_tap;

typedef struct cyg_npu_program {
    const char *chip, *mode;
    uint64_t machine_hash;
    const cyg_npu_instr *instrs;
    uint32_t instr_count, io_count, step_count;
    const cyg_npu_io *io;
    const char *const *step_names; /* [step_count] */
    const uint8_t *code;           /* parameter blocks and index tables, 8-byte aligned */
    uint64_t code_bytes;
    const uint8_t *params; /* PARAM, 64-byte aligned */
    uint64_t param_bytes;
    uint64_t ocm_bytes; /* highest address used */
    uint64_t swap_bytes;
    int64_t macs; /* multiply-adds of the model's steps, not of padded tiles */
    /* What the steps leave, for who looks inside; nothing executes by it. By step, then output. */
    const cyg_npu_tap *taps;
    const uint32_t *tap_of; /* [instr_count]: 1 + the tap that output 0 is a piece of, 0 = of none;
                               NULL when there are no taps */
    uint32_t tap_count;     /* 0 = not known */
} cyg_npu_program;

/* An operand (an input's number, or CYG_NPU_OUT(output)) of which the rows are named by an index
 * operand in CODE, s32 or s64: of its dimension 0 the instruction touches only the rows named. */
typedef struct cyg_npu_indexed {
    int8_t operand, index;
} cyg_npu_indexed;
#define CYG_NPU_OUT(output) ((int8_t)(-1 - (output)))

typedef struct cyg_npu_op_info {
    const char *mnemonic, *summary;
    cyg_npu_engine_kind engine;
    int32_t kop; /* cyg_kop's value, 0 = a move; a number, since npu knows no kernels */
    uint8_t min_in, max_in, outs; /* optional inputs behind min_in may be absent */
    uint16_t index_mask;          /* bit i: input i is an index table */
    uint8_t indexed_count;
    cyg_npu_indexed indexed[3];
} cyg_npu_op_info;
/* NULL when op is unknown. */
const cyg_npu_op_info *cyg_npu_op_info_of(uint32_t op);
/* By mnemonic; 0 = none. */
uint32_t cyg_npu_op_named(const char *mnemonic, size_t length);

/* Entry i of an index operand; v lies in the code, was checked, and is dense. In LDX, STX and
 * GATHER -1 leaves the row out. */
int64_t cyg_npu_index_at(const cyg_npu_program *p, const cyg_npu_view *v, int64_t i);
/* The operand that a cyg_npu_indexed means, or NULL when it is absent. */
const cyg_npu_view *cyg_npu_operand_of(const cyg_npu_instr *instr, int operand);

/* Bytes from the view's first to behind its last element; 0 for an empty one, UINT64_MAX on
 * overflow. */
uint64_t cyg_npu_view_extent(const cyg_npu_view *v);
int64_t cyg_npu_view_elements(const cyg_npu_view *v);
/* Elements times their size: what a transfer of it moves. */
uint64_t cyg_npu_view_bytes(const cyg_npu_view *v);

/* Limits of a program: far above what compilers make, low enough that a hostile one costs little.
 */
enum {
    CYG_NPU_MOST_INSTRS = 1 << 20,
    CYG_NPU_MOST_IO = 1 << 12,
    CYG_NPU_MOST_STEPS = 1 << 16,
    CYG_NPU_MOST_PARAMS = 4096, /* bytes of a parameter block */
};
#define CYG_NPU_MOST_SWAP ((uint64_t)1 << 34)
#define CYG_NPU_MOST_BYTES ((uint64_t)1 << 40) /* of an IO tensor; of a view, empty or not */

/* Structure of any program, trusted or not: engines and ops exist and fit each other, operands lie
 * inside their memories (sizes as stated in the program), their elements do not overlap, spaces are
 * legal for the engine, indices name rows that exist, waits can be met (no deadlock: executing in
 * order never waits for what comes later), taps name pieces that lie in their places. Kernels check
 * shapes themselves. */
cyg_status cyg_npu_program_check(cyg_ctx *ctx, const cyg_npu_machine *m,
                                 const cyg_npu_program *p) CYG_MUST_USE;

#endif

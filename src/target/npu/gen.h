/* Private to target/npu: generation of tasks, the state that all families of steps share.
 *
 * A family cuts its step into calls of the very kernel operator on windows of the operands, so the
 * bytes are right by construction. It names windows of tensors; whether a tensor lies in the OCM as
 * a whole (one buffer, every tile a window of it) or in the DDR (every tile a buffer of its own,
 * loaded before the call or stored behind it) is decided here, from its home. */
#ifndef CYG_TARGET_NPU_GEN_H
#define CYG_TARGET_NPU_GEN_H

#include "format/program.h"
#include "kernels/call.h"
#include "kernels/params.h"
#include "target/npu/npu.h"
#include "target/npu/task.h"

/* Bytes that grow: CODE and PARAM. They hang on keep. */
typedef struct cyg_npu_blob {
    uint8_t *data;
    uint64_t size, cap;
} cyg_npu_blob;

/* Where a tensor (never an alias) lives during one subgraph. */
typedef struct cyg_npu_home {
    uint32_t ocm;      /* buffer that holds all of it, CYG_NPU_NO_BUFFER = only tiles do */
    uint32_t ddr;      /* IO or SWAP buffer of its dense bytes, or CYG_NPU_NO_BUFFER */
    uint32_t until;    /* last step that finds it in the OCM; later ones load from the DDR */
    bool needs_load;   /* a border input that is to lie in the OCM and is not loaded yet */
    bool needs_store;  /* written by the present step, stored as a whole when that is done */
    bool shares_input; /* y takes the residual's place, byte for byte */
} cyg_npu_home;

/* cyg_npu_options' most_step_tasks and most_tasks where they are 0. */
enum { CYG_NPU_STEP_TASKS = 1 << 15, CYG_NPU_SUBGRAPH_TASKS = 1 << 18 };

/* How hard the driver presses a step's tiles until the schedule fits (compile.c): 0 is free, each
 * level leaves its plan a smaller share of the OCM, the last ones halve its tiles, too. */
enum { CYG_NPU_LEVELS = 8 };

typedef struct cyg_npu_gen {
    cyg_ctx *ctx;
    cyg_arena *arena, *keep; /* keep: what the program lends, the rest goes with the tasks */
    const cyg_npu_machine *m;
    const cyg_program *p;
    const cyg_npu_options *options;
    const uint8_t *levels; /* [steps of p] */
    uint32_t first, last;  /* steps of the subgraph, both inclusive */
    cyg_npu_home *homes;   /* by tensor */
    uint64_t *live;        /* [steps of p]: bytes of whole tensors in the OCM during a step */
    cyg_npu_tasks tasks;
    cyg_npu_blob code, params;
    struct cyg_npu_known *known; /* what CODE holds, by hash */
    uint32_t known_count, known_cap;
    struct cyg_npu_stored *stored; /* constants of this step that PARAM holds already */
    struct cyg_npu_stream *streams;
    cyg_npu_io *io;
    uint32_t io_count;
    uint32_t step, tile;  /* of the task under construction; step counts from `first` */
    uint16_t phase;       /* likewise; 0 when a step begins */
    uint32_t first_tap;   /* likewise: of the step's outputs */
    uint32_t step_begins; /* likewise: tasks that there were before it */
    bool crowded;         /* it has more tasks than a step may: its family failed */
    bool keeps_more;      /* constants stay for a whole step up to half of its room, not a third */
    bool torn;            /* out: constants of some step lie between the two */
} cyg_npu_gen;

/* Whether constants of so many bytes stay in the OCM for all of the present step: where they are
 * small beside its room. */
bool cyg_npu_stays(cyg_npu_gen *g, int64_t bytes);

/* ---- views ---- */

enum { CYG_NPU_NO_TENSOR_ROW = -1 };

int64_t cyg_npu_type_bytes(int32_t type);
/* A dense view of rank dims at byte offset `offset`. */
cyg_npu_view cyg_npu_dense(int32_t type, int rank, const int64_t *dims, uint64_t offset);
/* Row-major view [rows, columns] of rows of `pitch` elements, beginning at element `first`. */
cyg_npu_view cyg_npu_rows(int32_t type, int64_t rows, int64_t columns, int64_t pitch,
                          int64_t first);
/* The tensor that owns the bytes of t. */
uint32_t cyg_npu_owner(const cyg_program *p, uint32_t t);
CYG_INLINE const cyg_tensor *cyg_npu_tensor(const cyg_npu_gen *g, uint32_t t)
{
    return &g->p->tensors[t];
}
CYG_INLINE bool cyg_npu_is_const(const cyg_npu_gen *g, uint32_t t)
{
    return g->p->tensors[cyg_npu_owner(g->p, t)].kind == CYG_TENSOR_CONST;
}

/* In the plain schedule a step whose tensors all lie in the OCM has no tiles to overlap: a border
 * tensor passes the DDR in one transfer, before the step or behind it. Else tensors come and go in
 * pieces. */
bool cyg_npu_moves_whole(const cyg_npu_gen *g);
/* Begins a step: where its outputs lie. */
cyg_status cyg_npu_tap_outputs(cyg_npu_gen *g, const cyg_step *s) CYG_MUST_USE;
/* For a task that writes a piece of an output of the present step to this buffer, one of its home:
 * its tap, as tasks have it. */
uint32_t cyg_npu_tap_of(const cyg_npu_gen *g, uint32_t buffer);
/* Ends a step: the stores of whole tensors. */
cyg_status cyg_npu_store_outputs(cyg_npu_gen *g, const cyg_step *s) CYG_MUST_USE;

/* ---- a call under construction ---- */

typedef struct cyg_npu_store {
    cyg_npu_operand from, to;
    cyg_npu_operand index; /* rows of `to`, by stx */
    uint32_t tap;          /* as a task has it */
    bool by_index;
} cyg_npu_store;
enum { CYG_NPU_CALL_STORES = 16 };
typedef struct cyg_npu_call {
    cyg_npu_gen *gen;
    cyg_status status; /* the first failure; later additions do nothing */
    cyg_npu_operand operands[CYG_NPU_MAX_OPERANDS];
    uint32_t in_count, out_count;
    cyg_npu_store stores[CYG_NPU_CALL_STORES];
    uint32_t store_count;
    uint32_t tap; /* of the call itself */
} cyg_npu_call;

void cyg_npu_call_begin(cyg_npu_call *c, cyg_npu_gen *g);
/* A window of a tensor or constant. rows: of its first dimension only these are read or written (an
 * index table relative to the window, `row_count` long), NULL = all. Of a tensor in the DDR the
 * operand is these rows alone, in the order named: there the call takes no table of them. */
void cyg_npu_call_in(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window);
void cyg_npu_call_in_rows(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window,
                          const int64_t *rows, int64_t row_count);
void cyg_npu_call_out(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window);
void cyg_npu_call_out_rows(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window,
                           const int64_t *rows, int64_t row_count);
/* Named rows of a window of a streamed tensor where they lie in the DDR, for ldx. */
void cyg_npu_call_in_ddr(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window,
                         const int64_t *rows, int64_t row_count);
/* A window of a buffer of the generator's own. */
void cyg_npu_call_in_buffer(cyg_npu_call *c, uint32_t buffer, const cyg_npu_view *window);
void cyg_npu_call_out_buffer(cyg_npu_call *c, uint32_t buffer, const cyg_npu_view *window);
void cyg_npu_call_absent(cyg_npu_call *c);
/* An index table s32, stored in CODE once for equal contents; dims as given. */
void cyg_npu_call_index(cyg_npu_call *c, const int64_t *index, int rank, const int64_t *dims);
/* Ends the call: the task, then the stores that its outputs need. */
cyg_status cyg_npu_call_end(cyg_npu_call *c, cyg_npu_op op, const void *params,
                            size_t params_size) CYG_MUST_USE;

/* ---- buffers and moves ---- */

/* One move from buffer to buffer. */
cyg_status cyg_npu_add_move(cyg_npu_gen *g, cyg_npu_op op, uint32_t from, const cyg_npu_view *x,
                            uint32_t to, const cyg_npu_view *y) CYG_MUST_USE;
/* The PARAM buffer that holds all of a constant tensor, row-major. */
cyg_status cyg_npu_stored_constant(cyg_npu_gen *g, uint32_t tensor,
                                   uint32_t *out_buffer) CYG_MUST_USE;
/* A tile buffer in the OCM of dense rows. CYG_NPU_NO_BUFFER = out of memory. */
uint32_t cyg_npu_new_tile(cyg_npu_gen *g, uint64_t bytes, uint64_t pitch, const char *name);

/* A piece of a parameter blob: bytes at a 64-aligned offset. */
typedef struct cyg_npu_piece {
    const void *data;
    uint64_t bytes;
    uint64_t offset; /* out: in the buffer */
} cyg_npu_piece;
/* Room in PARAM for what the steps hold, in one go: it is as large as the model. false = out of
 * memory. */
bool cyg_npu_reserve_constants(cyg_npu_gen *g);
/* Puts the pieces one after another into PARAM; *out_stored is their buffer there. */
cyg_status cyg_npu_store_pieces(cyg_npu_gen *g, cyg_npu_piece *pieces, uint32_t count,
                                const char *name, uint32_t *out_stored) CYG_MUST_USE;
/* Loads them with one transfer into a buffer of their own. */
cyg_status cyg_npu_load_stored(cyg_npu_gen *g, uint32_t stored, uint32_t *out_buffer) CYG_MUST_USE;
/* Bytes at an 8-aligned place of CODE, stored once for equal contents. false = out of memory. */
bool cyg_npu_code_add(cyg_npu_gen *g, const void *data, uint64_t size, uint64_t *out_at);
/* Copies window x of tensor `from` to window y of tensor `to` (equal shapes): by LD, ST or CV,
 * whatever their homes ask for. */
cyg_status cyg_npu_move(cyg_npu_gen *g, uint32_t from, const cyg_npu_view *x, uint32_t to,
                        const cyg_npu_view *y) CYG_MUST_USE;
/* Loads of a border input that is to lie in the OCM as a whole; nothing when they are out. */
cyg_status cyg_npu_fetch_input(cyg_npu_gen *g, uint32_t owner) CYG_MUST_USE;
cyg_status cyg_npu_gen_nomem(cyg_npu_gen *g);

/* Bytes of the OCM that a step may plan with; tasks that it may have. */
uint64_t cyg_npu_share(const cyg_npu_gen *g, uint32_t step);
uint32_t cyg_npu_most_step_tasks(const cyg_npu_gen *g);
/* Bytes that a step's tile buffers may take: what whole tensors leave of its share. */
int64_t cyg_npu_room(const cyg_npu_gen *g);
/* `tile` halved as often as the step's level asks, at least 1. */
int64_t cyg_npu_tighten(const cyg_npu_gen *g, int64_t tile);
/* How another variant cuts the present step's weights, 0 = as one likes; and telling how they are
 * cut. Being alike may cost CYG_NPU_ALIKE times the cycles. */
#define CYG_NPU_ALIKE 1.1
int64_t cyg_npu_cut_like(const cyg_npu_gen *g);
void cyg_npu_tell_cut(const cyg_npu_gen *g, int64_t cut);
/* True when windows of the tensor need buffers of their own in this step. */
bool cyg_npu_is_streamed(const cyg_npu_gen *g, uint32_t tensor);
uint32_t cyg_npu_engines(const cyg_npu_gen *g, cyg_npu_engine_kind kind);

/* Rows of a TENG tile of rows of `columns` elements, of which streamed_row_bytes need buffers. */
int64_t cyg_npu_teng_rows(const cyg_npu_gen *g, cyg_npu_op op, int64_t rows, int64_t columns,
                          int32_t x_type, int32_t y_type, int64_t streamed_row_bytes);

/* ---- families: one file each ---- */

typedef cyg_status (*cyg_npu_family)(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_linear(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_conv2d(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_attention(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_layernorm(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_softmax(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_reduce(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_extreme(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_matmul(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_expand(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_eltwise(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_requant(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_lut(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_pool(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_copy(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_transpose(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_concat(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_split(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_slice(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_gather(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_gather_rows(cyg_npu_gen *g, const cyg_step *s);
cyg_status cyg_npu_gen_pad(cyg_npu_gen *g, const cyg_step *s);

#endif

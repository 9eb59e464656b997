/* Private to interp/: a graph node as an executable kernel call: lowered, bound to buffers,
 * constants packed, run. */
#ifndef CYG_INTERP_NODE_CALL_H
#define CYG_INTERP_NODE_CALL_H

#include "interp/execute.h"
#include "lower/lower.h"

typedef struct cyg_node_call {
    cyg_lowered lowered;
    cyg_kcall call;
    cyg_kbuf *in, *out; /* arena; what call points at */
    void **wide;        /* arena, [in, then out], heap or NULL: operands as f32 (widen.c), or
                           aligned */
    bool is_widened;
    void *prepared; /* heap */
    bool is_checked;
    const char *name;   /* node's, lent */
    const cyg_graph *g; /* lent */
} cyg_node_call;

cyg_status cyg_node_call_init(cyg_ctx *ctx, const cyg_graph *g, cyg_node_id n, cyg_arena *arena,
                              cyg_data_of data_of, void *user,
                              cyg_node_call *out_call) CYG_MUST_USE;
/* Current buffer of a value. */
typedef const cyg_kbuf *(*cyg_buf_of)(void *user, cyg_value_id v);
/* Points the operands at their buffers; checks and prepares at the first time. */
cyg_status cyg_node_call_bind(cyg_ctx *ctx, cyg_node_call *c, cyg_buf_of buf_of, void *user,
                              const struct cyg_kernels *isa, cyg_scratch *scratch) CYG_MUST_USE;
/* Runs the bound call. */
cyg_status cyg_node_call_run(cyg_ctx *ctx, cyg_node_call *c, cyg_buf_of buf_of, void *user,
                             cyg_scratch *scratch) CYG_MUST_USE;
/* Frees packed weights; the next bind makes them again. */
void cyg_node_call_unpack(cyg_node_call *c);
void cyg_node_call_deinit(cyg_node_call *c);

/* widen.c: for kernels that know f32 only. */
/* Would the call be well formed with its other floats as f32? */
bool cyg_node_call_wants_f32(const cyg_node_call *c);
/* The operands as f32: inputs converted (constants once), outputs with room of their own. */
cyg_status cyg_node_call_widen(cyg_ctx *ctx, cyg_node_call *c, cyg_scratch *scratch) CYG_MUST_USE;
/* The outputs back into their buffers; frees what the next run makes anew. */
cyg_status cyg_node_call_narrow(cyg_ctx *ctx, cyg_node_call *c, cyg_buf_of buf_of, void *user,
                                cyg_scratch *scratch) CYG_MUST_USE;
void cyg_node_call_free_wide(cyg_node_call *c, bool constants_too);

/* Shape and type of a value into a buffer descriptor (data untouched). */
void cyg_node_call_shape(const cyg_value *v, cyg_type type, cyg_kbuf *buf);
void cyg_node_call_const_buf(const cyg_value *v, cyg_kbuf *buf);

#endif

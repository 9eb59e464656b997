/* interp: runs a graph, node by node: in float (constant folding, calibration, golden check,
 * verification), or a lowered integer program with the unpacked plain C bodies (the witness for
 * packed kernels, precision analysis). */
#ifndef CYG_INTERP_INTERP_H
#define CYG_INTERP_INTERP_H

#include "format/program.h"
#include "ir/graph.h"
#include "kernels/call.h"

/* Called for each value right after its producer ran (and for graph inputs first). buf is lent for
 * the call. Runs on the caller's thread, in order. */
typedef cyg_status (*cyg_observer)(cyg_ctx *ctx, void *user, cyg_value_id value,
                                   const cyg_kbuf *buf);

/* The same for a run of several lanes, once for all of them: buf is lane 0's, lane l's data lie
 * l * apart bytes further. */
typedef cyg_status (*cyg_lane_observer)(cyg_ctx *ctx, void *user, cyg_value_id value,
                                        const cyg_kbuf *buf, size_t apart, uint32_t lanes);

typedef struct cyg_interp_options {
    cyg_observer observer;           /* NULL = none; sees lane 0 only */
    cyg_lane_observer lane_observer; /* in its place; NULL = none */
    void *user;
    const cyg_value_id *keep; /* further values to keep alive besides the outputs */
    size_t keep_count;
    bool lean; /* packed weights live only while their node runs: less memory, for a few runs */
    bool once; /* the graph runs once and nobody needs its constants afterwards: their memory goes
                  back while it runs */
} cyg_interp_options;

/* A session keeps lowered steps, packed weights and buffers between runs (as long as shapes stay);
 * g is lent and must not change. Symbolic input dimensions are bound by the buffers of each run.
 * Buffers are freed as soon as their last reader ran. */
typedef struct cyg_interp cyg_interp;
cyg_status cyg_interp_create(cyg_ctx *ctx, cyg_graph *g, const cyg_interp_options *options,
                             cyg_interp **out_interp) CYG_MUST_USE;
void cyg_interp_destroy(cyg_interp *interp);
/* inputs in the order of g->inputs, types and ranks as declared (CYG_E_GRAPH with expected and
 * found otherwise). */
cyg_status cyg_interp_run(cyg_ctx *ctx, cyg_interp *interp, const cyg_kbuf *inputs,
                          uint32_t input_count) CYG_MUST_USE;
/* Several samples side by side, each in a lane of its own: node by node, all lanes at once, so that
 * threads meet once for all of them and each mostly stays in a lane of its own, which its cache
 * holds (calibrating Swin-T on two threads: a tenth less time). Each lane's results are those of a
 * run of its own, byte for byte. inputs: 64-byte aligned, lane l of each cyg_interp_apart(bytes) *
 * l further. Only after a run that said cyg_interp_is_steady, with inputs of the same shapes. */
cyg_status cyg_interp_run_lanes(cyg_ctx *ctx, cyg_interp *interp, const cyg_kbuf *inputs,
                                uint32_t input_count, uint32_t lanes) CYG_MUST_USE;
size_t cyg_interp_apart(size_t bytes);
/* After a run: no shape and no step followed from what the data were. */
bool cyg_interp_is_steady(const cyg_interp *interp);
/* A graph output or kept value, lent until the next run; NULL when not available. Of lane 0. */
const cyg_kbuf *cyg_interp_value(const cyg_interp *interp, cyg_value_id value);
/* Its data of a lane; NULL likewise. */
const void *cyg_interp_lane_data(const cyg_interp *interp, cyg_value_id value, uint32_t lane);

/* Constant folding's helper: all inputs of n are constants; its outputs become constants of g (data
 * in g's arena). CYG_E_UNSUPPORTED when it cannot. */
cyg_status cyg_interp_fold_node(cyg_ctx *ctx, cyg_graph *g, cyg_node_id n) CYG_MUST_USE;

/* Integer interpreter: runs an unplaced program with ref bodies (use_ref) or the dispatched ones;
 * observer's value ids are tensor ids. out_buffers[output_count] are allocated from arena. */
cyg_status cyg_interp_run_program(cyg_ctx *ctx, const cyg_program *p, bool use_ref,
                                  const cyg_kbuf *inputs, uint32_t input_count,
                                  cyg_observer observer, void *user, cyg_arena *arena,
                                  cyg_kbuf *out_buffers) CYG_MUST_USE;

/* Single steps of a program, in any order, on operands that the caller holds; packed weights are
 * kept from run to run. p is lent. */
typedef struct cyg_stepper cyg_stepper;
cyg_status cyg_stepper_create(cyg_ctx *ctx, const cyg_program *p, bool use_ref,
                              cyg_stepper **out_stepper) CYG_MUST_USE;
void cyg_stepper_destroy(cyg_stepper *s);
/* in, out: of the step's tensors, in its order; constants with is_const set. */
cyg_status cyg_stepper_run(cyg_ctx *ctx, cyg_stepper *s, uint32_t step, const cyg_kbuf *in,
                           const cyg_kbuf *out) CYG_MUST_USE;

#endif

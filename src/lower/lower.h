/* lower: graph nodes to kernel calls. The one place where a node's attributes and quantisation
 * parameters become a kernel operator's flat parameters and derived constants, shared by the float
 * interpreter, the integer interpreter and target/cpu, so that all three run the same call.
 *
 * Derived constants (M, folded bias, inverse scales, look-up tables) are computed here, in
 * binary64, rounded once to binary32 (docs/numerics.md rule 4). */
#ifndef CYG_LOWER_LOWER_H
#define CYG_LOWER_LOWER_H

#include "format/program.h"
#include "ir/graph.h"
#include "kernels/call.h"
#include "kernels/params.h"

/* A lowered node: operator, parameter block, operands. Operands are the node's values (in its
 * order, shape-only operands dropped) or new constants. */
typedef struct cyg_operand {
    cyg_value_id value; /* a graph value, or none */
    cyg_kbuf constant;  /* when value is none and data != NULL: derived constant, owned by the arena
                           given to the lowering */
} cyg_operand;
enum { CYG_LOWERED_IN = 8 };
typedef struct cyg_lowered {
    int32_t op; /* cyg_kop; CYG_KOP_copy with is_view set = nothing to do */
    bool is_view;
    const void *params;
    uint32_t params_size;
    cyg_operand *in; /* [in_count], absent optional: value none and constant.data NULL */
    uint32_t in_count;
    cyg_value_id *out;
    uint32_t out_count;
    int64_t macs;
} cyg_lowered;

/* Lowers node n in float, or in integers when its values carry quantisation parameters
 * (value.quant.type != NONE). Shapes of all operands must be known; `data_of` gives the current
 * contents of small integer operands that steer shapes (axes, pads, slice bounds): NULL = constants
 * only. CYG_E_UNSUPPORTED names node and reason when there is no kernel for it. */
typedef const void *(*cyg_data_of)(void *user, cyg_value_id v);
cyg_status cyg_lower_node(cyg_ctx *ctx, const cyg_graph *g, cyg_node_id n, cyg_arena *arena,
                          cyg_data_of data_of, void *user, cyg_lowered *out_lowered) CYG_MUST_USE;

/* What kernels an operator has, whatever its operands (for `cygnet ops`). */
typedef struct cyg_lower_forms {
    bool in_float;
    bool in_integers; /* arithmetic on quantised values */
    bool moves;       /* one kernel for floats and quantised values alike: only bytes move */
} cyg_lower_forms;
cyg_lower_forms cyg_lower_forms_of(cyg_op op);

/* For quantised graphs that were read: what rules take for granted holds, or CYG_E_GRAPH names the
 * node or value where it does not. */
cyg_status cyg_lower_check(cyg_ctx *ctx, const cyg_graph *g) CYG_MUST_USE;

/* The whole graph, all shapes known, into an unplaced program; element types of tensors are the
 * quantised ones. */
cyg_status cyg_lower_graph(cyg_ctx *ctx, const cyg_graph *g, cyg_arena *arena,
                           cyg_program *out_program) CYG_MUST_USE;

#endif

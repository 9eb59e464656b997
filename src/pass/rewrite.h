/* rewrite: what passes are written with. A cyg_rw holds the graph, open for editing, and a scratch
 * arena while one pass runs; matching is by small predicates (producer of, constant scalar, single
 * use, commutative operand), building by a few constructors that keep provenance, names and shapes.
 * Private to pass. */
#ifndef CYG_PASS_REWRITE_H
#define CYG_PASS_REWRITE_H

#include "ir/graph.h"
#include "pass/pass.h"

typedef struct cyg_rw {
    cyg_ctx *ctx;
    cyg_graph *g;
    cyg_arena scratch; /* of the pass */
    bool changed;      /* the graph was changed */
    const void *data;  /* of the pass: cyg_rw_each_with */
} cyg_rw;

cyg_status cyg_rw_begin(cyg_ctx *ctx, cyg_graph *g, cyg_rw *out_rw) CYG_MUST_USE;
/* Sorts the graph when it was changed, frees, hands `changed` out. `status` goes through unless
 * sorting fails. */
cyg_status cyg_rw_end(cyg_rw *rw, cyg_status status, bool *out_changed) CYG_MUST_USE;

/* Runs `visit` on every live node by id (those it adds too): the whole of a local pass. */
typedef cyg_status (*cyg_rw_visit)(cyg_rw *rw, cyg_node_id n);
cyg_status cyg_rw_each(cyg_ctx *ctx, cyg_graph *g, cyg_rw_visit visit,
                       bool *out_changed) CYG_MUST_USE;
/* The same with rw->data = data. */
cyg_status cyg_rw_each_with(cyg_ctx *ctx, cyg_graph *g, cyg_rw_visit visit, const void *data,
                            bool *out_changed) CYG_MUST_USE;

/* ---- matching ---- */
/* Producer when it is op, else none. */
cyg_node_id cyg_rw_producer(const cyg_rw *rw, cyg_value_id v, cyg_op op);
/* Number of uses, graph outputs counted. */
uint32_t cyg_rw_use_count(const cyg_rw *rw, cyg_value_id v);
bool cyg_rw_single_use(const cyg_rw *rw, cyg_value_id v);
/* The only user; none when there are more, or when v is a graph output. */
cyg_node_id cyg_rw_only_user(const cyg_rw *rw, cyg_value_id v);
bool cyg_rw_is_const(const cyg_rw *rw, cyg_value_id v);
/* f32 constant of one element. */
bool cyg_rw_scalar(const cyg_rw *rw, cyg_value_id v, float *out_x);
/* s64 or s32 constant as int64s in scratch. */
bool cyg_rw_ints(cyg_rw *rw, cyg_value_id v, const int64_t **out_data, size_t *out_count);
/* A Pad node's constant pads for each axis of its operand, [rank] each. */
bool cyg_rw_pads(cyg_rw *rw, const cyg_node *pad, int rank, int64_t *out_begin, int64_t *out_end);
/* A binary node with one constant operand: its index, or -1 (both or none constant). */
int cyg_rw_const_operand(const cyg_rw *rw, cyg_node_id n);
bool cyg_rw_same_shape(const cyg_rw *rw, cyg_value_id a, cyg_value_id b);
bool cyg_rw_is_view(cyg_op op); /* reshape, flatten, squeeze, unsqueeze, identity */
/* Up through views to the value whose elements these are. */
cyg_value_id cyg_rw_through_views(const cyg_rw *rw, cyg_value_id v);
/* Down through single-use views: the last value, and the node that uses it (none when not exactly
 * one). */
cyg_node_id cyg_rw_down_views(const cyg_rw *rw, cyg_value_id v, cyg_value_id *out_last);
int64_t cyg_rw_last_dim(const cyg_rw *rw, cyg_value_id v); /* -1 when unknown */
/* f32 constant vector that broadcasts along the last axis only: [n], [1, n], ...; a scalar when n
 * == 1. */
bool cyg_rw_channel_vector(const cyg_rw *rw, cyg_value_id v, int64_t n);
/* An f32 constant, or a bool one as 0 and 1, as all `count` elements of shape_of's shape. */
bool cyg_rw_broadcast_const(const cyg_rw *rw, cyg_value_id c, cyg_value_id shape_of,
                            float *out_data, int64_t count);
/* Axis counted from 0; -1 when out of range. */
int cyg_rw_axis(int64_t axis, int rank);
/* n reduces exactly the last axis of its operand and keeps it as 1. */
bool cyg_rw_reduces_last(cyg_rw *rw, cyg_node_id n);

/* ---- building ---- */
/* A node that takes `main`'s place in the order, its name and sources, and produces `out` (whose
 * former producer must be main or removed). main is removed. */
cyg_node_id cyg_rw_replace(cyg_rw *rw, cyg_node_id main, cyg_op op, const cyg_value_id *in,
                           uint32_t in_count, cyg_value_id out);
/* A new value that takes over the name of `old`, which is renamed to "<name>/view"; a graph output
 * keeps its name. */
cyg_value_id cyg_rw_value_for(cyg_rw *rw, cyg_value_id old, int rank, const int64_t *dims);
/* A constant that takes over the name of `old`, the one it is made from (renamed to
 * "<name>/source"). data lies in the graph's arena. */
cyg_value_id cyg_rw_const_for(cyg_rw *rw, cyg_value_id old, int rank, const int64_t *dims,
                              const void *data, size_t bytes);
/* `node` with other inputs swallows `consumer` (the reader of its result, through views): it
 * produces consumer's result, in its own shape with a reshape behind it where the two differ.
 * Attributes are kept. */
cyg_node_id cyg_rw_swallow(cyg_rw *rw, cyg_node_id node, cyg_node_id consumer,
                           const cyg_value_id *in, uint32_t in_count);
/* N of a linear. */
int64_t cyg_rw_linear_width(const cyg_rw *rw, cyg_node_id linear);
/* Row-wise operators see [.., C] as rows: layer_normalization over the last axis, linear, unary
 * ones, gather-free. */
bool cyg_rw_is_row_wise(const cyg_rw *rw, cyg_node_id n);
/* A node in front of `before` with a value of its own of this shape. */
cyg_value_id cyg_rw_insert(cyg_rw *rw, cyg_node_id before, cyg_op op, const cyg_value_id *in,
                           uint32_t in_count, cyg_value_id like_type, int rank,
                           const int64_t *dims);
/* v seen in another shape (v itself when it has that shape already). */
cyg_value_id cyg_rw_reshaped(cyg_rw *rw, cyg_node_id before, cyg_value_id v, int rank,
                             const int64_t *dims);
/* Makes `out` (whose producer is removed or about to be) a reshape of v. */
void cyg_rw_reshape_into(cyg_rw *rw, cyg_node_id before, cyg_value_id v, cyg_value_id out);
cyg_value_id cyg_rw_const_ints(cyg_rw *rw, const char *name, const int64_t *data, size_t count);
cyg_value_id cyg_rw_const_scalar(cyg_rw *rw, const char *name, float x);
/* Replaces out by v everywhere. False when names forbid it: out is a graph output and v is an
 * input, an output or a constant. */
bool cyg_rw_bypass(cyg_rw *rw, cyg_value_id out, cyg_value_id v);
/* A constant that nobody reads any more gives its memory back, when the graph alone has it. */
void cyg_rw_release(cyg_rw *rw, cyg_value_id v);
/* Of operator, operands and attributes, results left out (cse.c). */
uint64_t cyg_rw_node_hash(const cyg_node *n);
/* n inherits the provenance of every node between v and `until` (v's producers, upwards, not beyond
 * `until`); few steps. */
void cyg_rw_merge_upwards(cyg_rw *rw, cyg_node_id n, cyg_value_id v, cyg_value_id until);
/* n gets these attributes (of another node; the values are shared). */
cyg_status cyg_rw_copy_attrs(cyg_rw *rw, cyg_node_id n, const cyg_attr *attrs,
                             uint32_t count) CYG_MUST_USE;
/* Removes the producers of v that nothing uses any more, upwards. */
void cyg_rw_drop(cyg_rw *rw, cyg_value_id v);

#define CYG_RW_NOMEM(rw) CYG_FAIL((rw)->ctx, CYG_E_NOMEM, "out of memory")

#endif

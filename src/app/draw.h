/* From graphs to pictures: what of a graph is drawn, what is drawn as one box, and what the boxes
 * say. For `cygnet draw` and for the page of a build; the picture itself is report/picture.h. */
#ifndef CYG_APP_DRAW_H
#define CYG_APP_DRAW_H

#include "base/arena.h"
#include "ir/graph.h"
#include "report/picture.h"

enum { CYG_DRAW_BOXES = 400 }; /* more in one panel and nobody sees anything */

/* What of a graph goes into one panel. Arrays are by node id and live in the caller's arena. */
typedef struct cyg_drawing {
    const cyg_graph *g;
    bool *chosen;    /* [node_count] */
    uint32_t *steps; /* [node_count]: number of the step that the node is or became, 0 = none; NULL
                        = no numbers */
    const uint32_t *was; /* [step]: nodes of the source that became the step; NULL = not known */
    bool fold; /* runs of movement are one box, and so is what can be computed before the first run
                */
} cyg_drawing;

/* ---- draw_choose.c: parts of a graph ---- */
cyg_status cyg_draw_all(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *g,
                        cyg_drawing *out) CYG_MUST_USE;
/* The nodes at most `radius` arrows from the node of this name, of the source node of this name, or
 * of the value of this name. CYG_E_USAGE, with the nearest name, when there is none. */
cyg_status cyg_draw_around(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *g, const char *name,
                           int64_t radius, cyg_drawing *out) CYG_MUST_USE;

/* ---- draw_block.c: attention blocks ---- */
/* An attention block is an attention step with the norm and the linears before it and the linear
 * (with what follows up to the addition) behind it. Blocks are counted from 1 in execution order;
 * g is optimised. */
uint32_t cyg_draw_block_count(const cyg_graph *g);
/* The block worth showing when nobody chose: the first of those whose attention has most operands
 * (shift and mask with it). 0 when there is none. */
uint32_t cyg_draw_best_block(const cyg_graph *g);
/* The steps of block k, numbered from 1. CYG_E_USAGE when there is no such block. */
cyg_status cyg_draw_block(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *g, int64_t k,
                          cyg_drawing *out) CYG_MUST_USE;
/* Fills in the shapes that take folding to know; for a graph that is drawn and not optimised. */
cyg_status cyg_draw_settle_shapes(cyg_ctx *ctx, cyg_graph *g) CYG_MUST_USE;
/* The nodes of `source`, the graph as it was before it was optimised, that became that block: those
 * in the provenance of its steps, what lies between them, and what is computed for them alone.
 * Fills block->was. */
cyg_status cyg_draw_block_source(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *source,
                                 cyg_drawing *block, cyg_drawing *out) CYG_MUST_USE;

/* ---- draw_fold.c: which nodes share a box ---- */
typedef struct cyg_draw_fold {
    bool *fixed;     /* [value_count]: known before the first run */
    uint32_t *group; /* [node_count]: node that stands for the box; CYG_NO_ID = not drawn */
    uint32_t sizes;  /* the box of all computation of shapes; CYG_NO_ID = none */
} cyg_draw_fold;
cyg_status cyg_draw_fold_nodes(cyg_ctx *ctx, cyg_arena *arena, const cyg_drawing *d,
                               cyg_draw_fold *out) CYG_MUST_USE;
bool cyg_draw_node_fixed(const cyg_graph *g, const cyg_node *n, const bool *fixed);

/* ---- draw_text.c: words ---- */
cyg_picture_role cyg_draw_role(const cyg_node *n);
/* "1×3136×96", with the type in front unless it is f32. */
const char *cyg_draw_value(cyg_arena *arena, const cyg_graph *g, const cyg_value *v);
/* A copy, "" when out of memory: a picture outlives the graphs that it was made of. */
const char *cyg_draw_keep(cyg_arena *arena, const char *text);
/* The end of a long name, copied. */
const char *cyg_draw_short(cyg_arena *arena, const char *name);
/* Title, attributes, weights and constants of a node; prefix_size bytes of its name are left out.
 */
void cyg_draw_describe(cyg_arena *arena, const cyg_graph *g, const cyg_node *n, size_t prefix_size,
                       cyg_picture_box *box);
/* Bytes that the names of the chosen nodes begin with, up to a '/' (or '.') inclusive. */
size_t cyg_draw_prefix(const cyg_drawing *d);

/* ---- draw_panel.c ---- */
/* Adds a panel with boxes and arrows. out_box: [node_count], the box of each node.
 * CYG_E_UNSUPPORTED when it needs more than CYG_DRAW_BOXES boxes. */
cyg_status cyg_draw_panel(cyg_ctx *ctx, const cyg_drawing *d, const char *title, cyg_picture *p,
                          uint32_t **out_box) CYG_MUST_USE;

/* ---- draw_compare.c ---- */
/* Block k of `optimised` before and after, side by side. source: the graph as it was before it was
 * optimised, shapes settled; NULL, for a model that was never anything else, compares with the
 * standard operators that the block would be exported as. */
cyg_status cyg_draw_compare(cyg_ctx *ctx, const cyg_graph *source, const cyg_graph *optimised,
                            int64_t k, cyg_picture *p) CYG_MUST_USE;

#endif

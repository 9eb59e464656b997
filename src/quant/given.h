/* Private to quant/: what given.c, given_open.c and given_weights.c share. */
#ifndef CYG_QUANT_GIVEN_H
#define CYG_QUANT_GIVEN_H

#include "quant/internal.h"
#include "quant/qdq.h"

typedef struct cyg_given {
    cyg_ctx *ctx;
    cyg_graph *g;
    cyg_arena scratch;
    cyg_uses uses; /* of the values below `known`, as the graph was when they were built */
    uint32_t known;
    cyg_value_id *floats; /* by value: its conversion to float, once there is one */
    cyg_quant_report *report;
    cyg_observed *observed; /* by value of the graph as it came; NULL: nothing is open */
    const cyg_asked *asked; /* by node, as floating; NULL = none */
    bool *floating;         /* [floating_count] by node: asked to stay float; NULL = none */
    uint32_t floating_count;
} cyg_given;

/* given_open.c. A fake_quant whose scale the file leaves to run time. */
bool cyg_given_is_open(const cyg_node *n);
/* Whether anything is open that ranges of calibration data are needed for. */
bool cyg_given_needs_ranges(const cyg_graph *g, const cyg_quant_options *options);
/* Closes what is open, from s->observed; fills s->floating and the report's outcomes. */
cyg_status cyg_given_close(cyg_given *s, const cyg_quant_options *options) CYG_MUST_USE;

/* A linear or conv2d: an integer node with the weights that the file stored, writing what requant r
 * wrote, or floats when r is none; or float as a whole. */
cyg_status cyg_given_weights(cyg_given *s, cyg_node_id id, cyg_node_id r) CYG_MUST_USE;
/* id writes the result of r, which goes; twins of r too. */
void cyg_given_take_result(cyg_given *s, cyg_node_id id, cyg_node_id r);
/* id reads floats. */
cyg_status cyg_given_stay_float(cyg_given *s, cyg_node_id id) CYG_MUST_USE;

#endif

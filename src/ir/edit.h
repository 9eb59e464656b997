/* edit: uses and order as linked lists while a graph is being rewritten. Private to ir; passes see
 * cyg_graph_edit_begin and what follows it in graph.h. */
#ifndef CYG_IR_EDIT_H
#define CYG_IR_EDIT_H

#include "ir/graph.h"

/* What the mutators of a graph call; nothing happens unless it is being edited. False: out of
 * memory. */
bool cyg_edit_add_node(cyg_graph *g, cyg_node_id n, cyg_node_id before);
void cyg_edit_remove_node(cyg_graph *g, cyg_node_id n);
/* Operand i of n is about to become v. */
void cyg_edit_set_input(cyg_graph *g, cyg_node_id n, uint32_t i, cyg_value_id v);
/* n got a longer list of operands: the old ones count no more, the new ones do. */
bool cyg_edit_renew_inputs(cyg_graph *g, cyg_node_id n, uint32_t former_count);
void cyg_edit_free(cyg_graph *g);

#endif

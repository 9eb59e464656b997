/* Name tables: string to id, open addressing with linear probing. Private to ir. */
#ifndef CYG_IR_NAMES_H
#define CYG_IR_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "ir/graph.h"

typedef struct cyg_name_slot {
    const char *name; /* NULL = free; lent by the graph's arena */
    uint32_t id;      /* CYG_NO_ID with a name = tombstone */
    uint32_t hash;
} cyg_name_slot;

void cyg_names_deinit(cyg_names *t);
/* CYG_NO_ID when absent. */
uint32_t cyg_names_find(const cyg_names *t, const char *name);
/* The name must be absent. False when out of memory. */
bool cyg_names_add(cyg_names *t, const char *name, uint32_t id);
/* Fine when the name is absent or belongs to another id. */
void cyg_names_remove(cyg_names *t, const char *name, uint32_t id);
/* A copy of `wanted` in the graph's arena that the table lacks: itself, or with ".<counter>" after
 * it; wanted NULL or empty starts from `stem`. NULL when out of memory. */
const char *cyg_names_fresh(cyg_graph *g, const cyg_names *t, const char *wanted, const char *stem);

#endif

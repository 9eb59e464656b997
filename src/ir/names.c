/* Name tables.
 *
 * Names are unique per kind (values, nodes, symbols), and files bring tens of thousands of them, so
 * every adder needs a look-up in constant time. Open addressing with linear probing, at most 70 %
 * full; a removed name leaves a tombstone that the next growth sweeps away.
 *
 * A taken name gets a suffix from the graph's one counter. The counter never goes back, so a file
 * that repeats one name a million times costs a million probes, not a million squared. The counter
 * also makes names deterministic: same operations, same names. */
#include "ir/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static uint32_t hash_of(const char *name)
{
    return (uint32_t)cyg_hash64(name, strlen(name), 0);
}

void cyg_names_deinit(cyg_names *t)
{
    free(t->slots);
    *t = (cyg_names){0};
}

static cyg_name_slot *find_slot(const cyg_names *t, const char *name, uint32_t hash)
{
    if (t->cap == 0)
        return NULL;
    for (uint32_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
        cyg_name_slot *s = &t->slots[i];
        if (s->name == NULL)
            return NULL;
        if (s->id != CYG_NO_ID && s->hash == hash && strcmp(s->name, name) == 0)
            return s;
    }
}

uint32_t cyg_names_find(const cyg_names *t, const char *name)
{
    const cyg_name_slot *s = find_slot(t, name, hash_of(name));
    return s == NULL ? CYG_NO_ID : s->id;
}

static void put(cyg_name_slot *slots, uint32_t cap, cyg_name_slot what)
{
    uint32_t i = what.hash & (cap - 1);
    while (slots[i].name != NULL)
        i = (i + 1) & (cap - 1);
    slots[i] = what;
}

static bool grow(cyg_names *t)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < t->cap; i++)
        live += t->slots[i].name != NULL && t->slots[i].id != CYG_NO_ID;
    uint32_t cap = 64;
    while (cap / 2 <= live) {
        if (cap > UINT32_MAX / 2)
            return false;
        cap *= 2;
    }
    cyg_name_slot *slots = calloc(cap, sizeof *slots);
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < t->cap; i++)
        if (t->slots[i].name != NULL && t->slots[i].id != CYG_NO_ID)
            put(slots, cap, t->slots[i]);
    free(t->slots);
    *t = (cyg_names){.slots = slots, .cap = cap, .used = live};
    return true;
}

bool cyg_names_add(cyg_names *t, const char *name, uint32_t id)
{
    if ((uint64_t)t->used * 10 >= (uint64_t)t->cap * 7 && !grow(t))
        return false;
    put(t->slots, t->cap, (cyg_name_slot){.name = name, .id = id, .hash = hash_of(name)});
    t->used++;
    return true;
}

void cyg_names_remove(cyg_names *t, const char *name, uint32_t id)
{
    cyg_name_slot *s = find_slot(t, name, hash_of(name));
    if (s != NULL && s->id == id)
        s->id = CYG_NO_ID;
}

const char *cyg_names_fresh(cyg_graph *g, const cyg_names *t, const char *wanted, const char *stem)
{
    if (wanted != NULL && wanted[0] != '\0') {
        if (cyg_names_find(t, wanted) == CYG_NO_ID)
            return cyg_arena_strdup(&g->arena, wanted);
        stem = wanted;
    }
    for (;;) {
        char *name = cyg_arena_printf(&g->arena, "%s.%u", stem, g->next_name++);
        if (name == NULL || cyg_names_find(t, name) == CYG_NO_ID)
            return name;
    }
}

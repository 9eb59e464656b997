/* Arena: memory of one compilation, freed at once.
 *
 * Nothing frees inside an arena, nothing inside outlives it. Confined to one thread. Allocation
 * returns NULL when out of memory (or over the optional limit); callers turn that into CYG_E_NOMEM.
 */
#ifndef CYG_BASE_ARENA_H
#define CYG_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

typedef struct cyg_arena_block cyg_arena_block;
typedef struct cyg_arena {
    cyg_arena_block *head;
    size_t used; /* bytes handed out, for reports */
} cyg_arena;

void cyg_arena_init(cyg_arena *arena);
void cyg_arena_deinit(cyg_arena *arena);
/* Forgets everything but keeps one block for reuse. */
void cyg_arena_reset(cyg_arena *arena);
/* Takes over everything that lives in `from`, which is empty then. */
void cyg_arena_adopt(cyg_arena *arena, cyg_arena *from);
/* size bytes, uninitialised / zeroed; align is a power of two (0 = 16). */
void *cyg_arena_alloc(cyg_arena *arena, size_t size, size_t align);
void *cyg_arena_zalloc(cyg_arena *arena, size_t size, size_t align);
/* count * size zeroed bytes; NULL on overflow too. */
void *cyg_arena_calloc(cyg_arena *arena, size_t count, size_t size);
char *cyg_arena_strdup(cyg_arena *arena, const char *text);
char *cyg_arena_strndup(cyg_arena *arena, const char *text, size_t len);
void *cyg_arena_memdup(cyg_arena *arena, const void *data, size_t size);
/* Room for one more of count elements of size bytes in *list: a list that is full moves to twice
 * the room, zeroed behind its elements; the old one stays until the arena goes. False when out of
 * memory. */
bool cyg_arena_grow(cyg_arena *arena, void **list, uint32_t count, uint32_t *cap, size_t size);
char *cyg_arena_printf(cyg_arena *arena, const char *fmt, ...) CYG_PRINTF(2, 3);

#define CYG_NEW(arena, type) ((type *)cyg_arena_calloc((arena), 1, sizeof(type)))
#define CYG_NEW_ARRAY(arena, type, n) ((type *)cyg_arena_calloc((arena), (size_t)(n), sizeof(type)))

#endif

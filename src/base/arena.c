/* Arena: a list of blocks, filled from the front, freed together.
 *
 * The newest block is the head and the only one that is filled. Block sizes double from 16 KiB to 1
 * MiB, so that a small job stays small and a large one makes few calls; a request that does not fit
 * the usual size gets a block of its own size. The tail of a block that was too short is given up:
 * with blocks much larger than requests that waste is small. Sizes may come from files, hence the
 * overflow checks: a refused request is a NULL like any other lack of memory. */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum { FIRST_BLOCK = 16 * 1024, LARGEST_USUAL_BLOCK = 1024 * 1024, DEFAULT_ALIGN = 16 };

struct cyg_arena_block {
    cyg_arena_block *next;
    size_t size; /* of the room behind this header */
    size_t used;
};

static uint8_t *block_room(cyg_arena_block *block)
{
    return (uint8_t *)block + sizeof *block;
}

void cyg_arena_init(cyg_arena *arena)
{
    *arena = (cyg_arena){0};
}

static void free_blocks(cyg_arena_block *block)
{
    while (block != NULL) {
        cyg_arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void cyg_arena_deinit(cyg_arena *arena)
{
    free_blocks(arena->head);
    *arena = (cyg_arena){0};
}

void cyg_arena_reset(cyg_arena *arena)
{
    if (arena->head != NULL) {
        free_blocks(arena->head->next);
        arena->head->next = NULL;
        arena->head->used = 0;
    }
    arena->used = 0;
}

void cyg_arena_adopt(cyg_arena *arena, cyg_arena *from)
{
    cyg_arena_block **end = arena->head != NULL ? &arena->head->next : &arena->head;
    cyg_arena_block *rest = *end;
    *end = from->head;
    while (*end != NULL)
        end = &(*end)->next;
    *end = rest;
    arena->used += from->used;
    *from = (cyg_arena){0};
}

/* Room for size bytes at alignment align in the block, or NULL. */
static void *take(cyg_arena_block *block, size_t size, size_t align)
{
    const uintptr_t start = (uintptr_t)block_room(block) + block->used;
    const size_t pad = (size_t)(-start & (align - 1));
    const size_t left = block->size - block->used;
    if (pad > left || size > left - pad)
        return NULL;
    uint8_t *p = block_room(block) + block->used + pad;
    block->used += pad + size;
    return p;
}

static bool grow(cyg_arena *arena, size_t size, size_t align)
{
    size_t room = FIRST_BLOCK;
    if (arena->head != NULL)
        room = arena->head->size < LARGEST_USUAL_BLOCK / 2 ? arena->head->size * 2
                                                           : LARGEST_USUAL_BLOCK;
    size_t need, total;
    if (!cyg_add_size(size, align, &need))
        return false;
    if (room < need)
        room = need;
    if (!cyg_add_size(room, sizeof(cyg_arena_block), &total))
        return false;
    cyg_arena_block *block = malloc(total);
    if (block == NULL)
        return false;
    *block = (cyg_arena_block){.next = arena->head, .size = room};
    arena->head = block;
    return true;
}

void *cyg_arena_alloc(cyg_arena *arena, size_t size, size_t align)
{
    if (align == 0)
        align = DEFAULT_ALIGN;
    void *p = arena->head != NULL ? take(arena->head, size, align) : NULL;
    if (p == NULL && grow(arena, size, align))
        p = take(arena->head, size, align);
    if (p != NULL)
        arena->used += size;
    return p;
}

void *cyg_arena_zalloc(cyg_arena *arena, size_t size, size_t align)
{
    void *p = cyg_arena_alloc(arena, size, align);
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

void *cyg_arena_calloc(cyg_arena *arena, size_t count, size_t size)
{
    size_t total;
    return cyg_mul_size(count, size, &total) ? cyg_arena_zalloc(arena, total, 0) : NULL;
}

char *cyg_arena_strndup(cyg_arena *arena, const char *text, size_t len)
{
    size_t size;
    if (!cyg_add_size(len, 1, &size))
        return NULL;
    char *copy = cyg_arena_alloc(arena, size, 1);
    if (copy == NULL)
        return NULL;
    if (len != 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *cyg_arena_strdup(cyg_arena *arena, const char *text)
{
    return cyg_arena_strndup(arena, text, strlen(text));
}

void *cyg_arena_memdup(cyg_arena *arena, const void *data, size_t size)
{
    void *copy = cyg_arena_alloc(arena, size, 0);
    if (copy != NULL && size != 0)
        memcpy(copy, data, size);
    return copy;
}

bool cyg_arena_grow(cyg_arena *arena, void **list, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return true;
    const uint32_t wanted = *cap == 0 ? 64 : *cap * 2;
    void *moved = wanted > *cap ? cyg_arena_calloc(arena, wanted, size) : NULL;
    if (moved == NULL)
        return false;
    if (count > 0)
        memcpy(moved, *list, (size_t)count * size);
    *list = moved;
    *cap = wanted;
    return true;
}

char *cyg_arena_printf(cyg_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int want = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = want < 0 ? NULL : cyg_arena_alloc(arena, (size_t)want + 1, 1);
    if (text != NULL)
        vsnprintf(text, (size_t)want + 1, fmt, again);
    va_end(again);
    return text;
}

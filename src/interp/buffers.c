/* A free list of activation buffers. Best fit within a factor of two: an interpreter run asks for
 * the same few dozen sizes again and again, so nearly every request after the first run is served
 * from the list and no page is touched anew. The search is bounded, for a graph may well have ten
 * thousand values alive at once.
 *
 * A run that is not repeated may be lean. Then buffers that lie idle are given up, the oldest
 * first, before a new one would take the total above what was in use at any time. */
#include "interp/buffers.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/file.h"

enum { HEADER = 64, LOOKED_AT = 256 };

struct cyg_buffer_block {
    cyg_buffer_block *next;
    size_t bytes;
};

/* Takes the last of the list out: the one that was put there first. */
static cyg_buffer_block *take_oldest(cyg_buffers *b)
{
    cyg_buffer_block **p = &b->free_list;
    while ((*p)->next != NULL)
        p = &(*p)->next;
    cyg_buffer_block *block = *p;
    *p = NULL;
    b->free -= block->bytes;
    return block;
}

static void give_up(cyg_buffer_block *block)
{
    cyg_memory_release(block, block->bytes); /* malloc may keep the place, but not the pages */
    free(block);
}

void *cyg_buffers_get(cyg_buffers *b, size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * HEADER)
        return NULL;
    bytes = cyg_align_up(bytes + 1, 64);
    cyg_buffer_block **best = NULL, **p = &b->free_list;
    for (int i = 0; i < LOOKED_AT && *p != NULL; i++, p = &(*p)->next) {
        if ((*p)->bytes >= bytes && (*p)->bytes / 2 <= bytes &&
            (best == NULL || (*p)->bytes < (*best)->bytes))
            best = p;
        if (best == p && (*p)->bytes == bytes)
            break;
    }
    cyg_buffer_block *block;
    if (best != NULL) {
        block = *best;
        *best = block->next;
        b->free -= block->bytes;
    } else {
        const size_t after = b->in_use + bytes, limit = after > b->most ? after : b->most;
        while (b->lean && b->free_list != NULL && after + b->free > limit)
            give_up(take_oldest(b));
        block = aligned_alloc(64, HEADER + bytes);
        if (block == NULL)
            return NULL;
        block->bytes = bytes;
    }
    block->next = NULL;
    b->in_use += block->bytes;
    b->most = b->in_use > b->most ? b->in_use : b->most;
    return (char *)block + HEADER;
}

void cyg_buffers_put(cyg_buffers *b, void *data)
{
    if (data == NULL)
        return;
    cyg_buffer_block *block = (cyg_buffer_block *)(void *)((char *)data - HEADER);
    block->next = b->free_list;
    b->free_list = block;
    b->in_use -= block->bytes;
    b->free += block->bytes;
}

void cyg_buffers_deinit(cyg_buffers *b)
{
    b->free = 0;
    while (b->free_list != NULL) {
        cyg_buffer_block *next = b->free_list->next;
        free(b->free_list);
        b->free_list = next;
    }
}

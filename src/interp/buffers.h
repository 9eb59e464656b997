/* Private to interp/: activation buffers with a free list, 64-byte aligned. */
#ifndef CYG_INTERP_BUFFERS_H
#define CYG_INTERP_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cyg_buffer_block cyg_buffer_block;
typedef struct cyg_buffers {
    cyg_buffer_block *free_list;
    size_t in_use, free, most; /* bytes; most: that ever were in use */
    bool lean; /* for one run: all buffers together take no more than those in use at the peak */
} cyg_buffers;

/* NULL = out of memory; never NULL for 0 bytes. */
void *cyg_buffers_get(cyg_buffers *b, size_t bytes);
void cyg_buffers_put(cyg_buffers *b, void *data); /* NULL is fine */
/* Frees the free list; at the end everything must have been put back. */
void cyg_buffers_deinit(cyg_buffers *b);

#endif

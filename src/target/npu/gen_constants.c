/* What the code and the parameters of a subgraph hold: index tables and blocks once for equal
 * contents, constants as tiles want them; see gen.h. */
#include "target/npu/gen.h"

#include <string.h>

#include "base/checked.h"
#include "base/hash.h"

struct cyg_npu_stored {
    struct cyg_npu_stored *next;
    uint32_t tensor, buffer; /* of PARAM */
};
/* ---- bytes that grow
 * ----------------------------------------------------------------------------------------------
 */

/* Room for `size` bytes at a multiple of align; UINT64_MAX = out of memory. */
static uint64_t blob_take(cyg_npu_gen *g, cyg_npu_blob *b, uint64_t size, uint64_t align)
{
    const uint64_t at = (b->size + align - 1) / align * align;
    if (at + size > b->cap) {
        const uint64_t cap = (at + size) * 2 + 65536;
        uint8_t *moved = cyg_arena_alloc(g->keep, (size_t)cap, 64);
        if (moved == NULL)
            return UINT64_MAX;
        if (b->size > 0)
            memcpy(moved, b->data, (size_t)b->size);
        b->data = moved;
        b->cap = cap;
    }
    memset(b->data + b->size, 0, (size_t)(at - b->size));
    b->size = at + size;
    return at;
}

struct cyg_npu_known {
    uint64_t hash, at, size; /* size 0 = an empty slot */
};

static bool known_grow(cyg_npu_gen *g)
{
    const uint32_t cap = g->known_cap == 0 ? 1024 : g->known_cap * 2;
    struct cyg_npu_known *table = CYG_NEW_ARRAY(g->arena, struct cyg_npu_known, cap);
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < g->known_cap; i++) {
        if (g->known[i].size == 0)
            continue;
        uint32_t slot = (uint32_t)g->known[i].hash & (cap - 1);
        while (table[slot].size != 0)
            slot = (slot + 1) & (cap - 1);
        table[slot] = g->known[i];
    }
    g->known = table;
    g->known_cap = cap;
    return true;
}

bool cyg_npu_code_add(cyg_npu_gen *g, const void *data, uint64_t size, uint64_t *out_at)
{
    *out_at = 0;
    if (size == 0)
        return true;
    if (g->known_count * 2 >= g->known_cap && !known_grow(g))
        return false;
    const uint64_t hash = cyg_hash64(data, (size_t)size, 0);
    uint32_t slot = (uint32_t)hash & (g->known_cap - 1);
    for (; g->known[slot].size != 0; slot = (slot + 1) & (g->known_cap - 1)) {
        const struct cyg_npu_known *k = &g->known[slot];
        if (k->hash == hash && k->size == size &&
            memcmp(g->code.data + k->at, data, (size_t)size) == 0) {
            *out_at = k->at;
            return true;
        }
    }
    const uint64_t at = blob_take(g, &g->code, size, 8);
    if (at == UINT64_MAX)
        return false;
    memcpy(g->code.data + at, data, (size_t)size);
    g->known[slot] = (struct cyg_npu_known){hash, at, size};
    g->known_count++;
    *out_at = at;
    return true;
}

bool cyg_npu_reserve_constants(cyg_npu_gen *g)
{
    uint64_t bytes = 0;
    for (uint32_t i = g->first; i <= g->last; i++) {
        const cyg_step *s = &g->p->steps[i];
        for (uint32_t k = 0; k < s->in_count; k++)
            if (s->in[k] != CYG_NO_TENSOR && cyg_npu_is_const(g, s->in[k]))
                bytes += cyg_tensor_bytes(&g->p->tensors[s->in[k]]);
    }
    g->params.cap = bytes + bytes / 16 + 65536; /* tiles are padded a little */
    g->params.data = cyg_arena_alloc(g->keep, (size_t)g->params.cap, 64);
    return g->params.data != NULL;
}

/* ---- constants
 * ----------------------------------------------------------------------------------------------------
 */

static cyg_status add_param(cyg_npu_gen *g, uint64_t bytes, const char *name, uint32_t *out_buffer,
                            uint8_t **out_data)
{
    const uint64_t at = blob_take(g, &g->params, bytes, 64);
    const cyg_npu_buffer b = {.bytes = bytes,
                              .pitch = bytes > 0 ? bytes : 1,
                              .space = CYG_NPU_PARAM,
                              .address = at,
                              .name = name};
    *out_buffer =
        at == UINT64_MAX ? CYG_NPU_NO_BUFFER : cyg_npu_tasks_add_buffer(&g->tasks, g->arena, &b);
    if (*out_buffer == CYG_NPU_NO_BUFFER)
        return cyg_npu_gen_nomem(g);
    *out_data = g->params.data + at;
    return CYG_OK;
}

/* Weights come over all streams of the DDR at once: in as many parts as it takes to fill it, where
 * parts are worth a start each. */
static uint64_t load_part(const cyg_npu_gen *g, uint64_t bytes)
{
    enum { LEAST = 8192 };
    const uint64_t streams = (uint64_t)(g->m->ddr_bytes / g->m->ddr_stream_bytes + 0.5);
    const uint64_t most = bytes / LEAST, parts = most < streams ? most : streams;
    return parts <= 1 ? bytes : cyg_align_up((bytes + parts - 1) / parts, 64);
}

cyg_status cyg_npu_load_stored(cyg_npu_gen *g, uint32_t stored, uint32_t *out_buffer)
{
    const uint64_t bytes = g->tasks.buffers[stored].bytes, part = load_part(g, bytes);
    *out_buffer = cyg_npu_new_tile(g, bytes, bytes > 0 ? bytes : 1, g->tasks.buffers[stored].name);
    if (*out_buffer == CYG_NPU_NO_BUFFER)
        return cyg_npu_gen_nomem(g);
    g->tasks.buffers[*out_buffer].is_param = 1;
    uint64_t at = 0;
    do {
        const int64_t dims[] = {(int64_t)(bytes - at < part ? bytes - at : part)};
        const cyg_npu_view view = cyg_npu_dense(CYG_TYPE_U8, 1, dims, at);
        CYG_DO(cyg_npu_add_move(g, CYG_NPU_OP_LD, stored, &view, *out_buffer, &view));
        at += part;
    } while (at < bytes);
    return CYG_OK;
}

cyg_status cyg_npu_store_pieces(cyg_npu_gen *g, cyg_npu_piece *pieces, uint32_t count,
                                const char *name, uint32_t *out_stored)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        pieces[i].offset = size;
        size += (pieces[i].bytes + 63) / 64 * 64;
    }
    uint8_t *data = NULL;
    CYG_DO(add_param(g, size, name, out_stored, &data));
    memset(data, 0, (size_t)size);
    for (uint32_t i = 0; i < count; i++)
        memcpy(data + pieces[i].offset, pieces[i].data, (size_t)pieces[i].bytes);
    return CYG_OK;
}

cyg_status cyg_npu_stored_constant(cyg_npu_gen *g, uint32_t tensor, uint32_t *out_buffer)
{
    const uint32_t owner = cyg_npu_owner(g->p, tensor);
    for (struct cyg_npu_stored *s = g->stored; s != NULL; s = s->next)
        if (s->tensor == owner) {
            *out_buffer = s->buffer;
            return CYG_OK;
        }
    const cyg_tensor *t = &g->p->tensors[owner];
    uint8_t *data = NULL;
    CYG_DO(add_param(g, cyg_tensor_bytes(t), t->name, out_buffer, &data));
    memcpy(data, t->data, cyg_tensor_bytes(t));
    struct cyg_npu_stored *s = CYG_NEW(g->arena, struct cyg_npu_stored);
    if (s == NULL)
        return cyg_npu_gen_nomem(g);
    *s = (struct cyg_npu_stored){g->stored, owner, *out_buffer};
    g->stored = s;
    return CYG_OK;
}

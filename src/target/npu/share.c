/* PARAM of several subgraphs in one: batches and sizes of a model have the same weights, and what
 * tiles of the same shape load is the same bytes. Pieces of equal contents are kept once, and the
 * programs' windows of PARAM move to where their pieces went. A package then stores one section for
 * all of them. Which tiles load what does not change, so neither do cycles. */
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "target/npu/npu.h"

typedef struct known {
    uint64_t hash, at, bytes; /* bytes 0 = an empty slot */
} known;

typedef struct pool {
    cyg_arena *arena;
    uint8_t *data; /* room for all pieces of all subgraphs */
    uint64_t size;
    known *table;
    uint64_t cap; /* a power of two, twice the pieces at least */
} pool;

static bool pool_init(pool *p, const cyg_npu_result *results, uint32_t count, cyg_arena *arena)
{
    uint64_t bytes = 64, pieces = 1;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < results[i].subgraph_count; k++) {
            const cyg_npu_subgraph *s = &results[i].subgraphs[k];
            pieces += s->piece_count;
            bytes += s->program.param_bytes + 64 * (uint64_t)s->piece_count;
        }
    *p = (pool){.arena = arena, .cap = 1};
    while (p->cap < 2 * pieces)
        p->cap *= 2;
    p->data = cyg_arena_zalloc(arena, (size_t)bytes, 64);
    p->table = CYG_NEW_ARRAY(arena, known, p->cap);
    return p->data != NULL && p->table != NULL;
}

/* Where these bytes are in the pool, put there if they are new. */
static uint64_t put(pool *p, const uint8_t *data, uint64_t bytes)
{
    const uint64_t hash = cyg_hash64(data, (size_t)bytes, 0);
    uint64_t slot = hash & (p->cap - 1);
    for (; p->table[slot].bytes != 0; slot = (slot + 1) & (p->cap - 1)) {
        const known *k = &p->table[slot];
        if (k->hash == hash && k->bytes == bytes &&
            memcmp(p->data + k->at, data, (size_t)bytes) == 0)
            return k->at;
    }
    const uint64_t at = cyg_align_up(p->size, 64);
    memcpy(p->data + at, data, (size_t)bytes);
    p->size = at + bytes;
    p->table[slot] = (known){hash, at, bytes};
    return at;
}

/* The piece of s that byte `offset` of its PARAM lies in. */
static uint32_t piece_of(const cyg_npu_subgraph *s, uint64_t offset)
{
    uint32_t low = 0, high = s->piece_count; /* the last that begins at or before offset */
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (s->pieces[middle].at <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static cyg_status move_windows(cyg_ctx *ctx, cyg_npu_subgraph *s, const uint64_t *now,
                               cyg_arena *arena)
{
    cyg_npu_instr *instrs = cyg_arena_memdup(arena, s->program.instrs,
                                             s->program.instr_count * sizeof *s->program.instrs);
    if (instrs == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while sharing weights");
    s->program.instrs = instrs;
    for (uint32_t i = 0; i < s->program.instr_count; i++) {
        const uint32_t count = (uint32_t)instrs[i].in_count + instrs[i].out_count;
        bool any = false;
        for (uint32_t k = 0; k < count; k++)
            any = any || (instrs[i].operands[k].type != CYG_TYPE_NONE &&
                          instrs[i].operands[k].space == CYG_NPU_PARAM);
        if (!any)
            continue;
        cyg_npu_view *views =
            cyg_arena_memdup(arena, instrs[i].operands, count * sizeof *instrs[i].operands);
        if (views == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while sharing weights");
        for (uint32_t k = 0; k < count; k++) {
            if (views[k].type == CYG_TYPE_NONE || views[k].space != CYG_NPU_PARAM)
                continue;
            const uint32_t piece = piece_of(s, views[k].offset);
            views[k].offset += now[piece] - s->pieces[piece].at; /* wraps and comes back */
        }
        instrs[i].operands = views;
    }
    return CYG_OK;
}

cyg_status cyg_target_npu_share(cyg_ctx *ctx, cyg_npu_result *results, uint32_t count,
                                cyg_arena *arena)
{
    pool p;
    uint32_t subgraphs = 0;
    for (uint32_t i = 0; i < count; i++)
        subgraphs += results[i].subgraph_count;
    if (subgraphs < 2)
        return CYG_OK;
    if (!pool_init(&p, results, count, arena))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while sharing weights");
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < results[i].subgraph_count; k++) {
            cyg_npu_subgraph *s = &results[i].subgraphs[k];
            uint64_t *now = CYG_NEW_ARRAY(arena, uint64_t, s->piece_count + 1);
            if (now == NULL)
                return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while sharing weights");
            for (uint32_t n = 0; n < s->piece_count; n++)
                now[n] = put(&p, s->program.params + s->pieces[n].at, s->pieces[n].bytes);
            CYG_DO(move_windows(ctx, s, now, arena));
        }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < results[i].subgraph_count; k++) {
            cyg_npu_program *program = &results[i].subgraphs[k].program;
            if (program->param_bytes == 0)
                continue;
            program->params = p.data;
            program->param_bytes = p.size;
        }
    return CYG_OK;
}

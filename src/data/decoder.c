/* Read-ahead decoding.
 *
 * A miss at picture i reads the encoded bytes of i and the following ones (in the order in which
 * they lie in the archive, one pass forward), then decodes and resizes all of them on the pool;
 * results go to slots by index, so neither thread count nor order of completion shows. A batch is a
 * few pictures a thread and ends early when the encoded bytes or the pixels grow large. While the
 * budget lasts, pixels are kept for good; after that the slots of a batch are reused by the next.
 *
 * Workers have a context of their own on the stack: the caller's is confined to its thread. What
 * they report is kept as the picture's problem text. */
#include "data/decoder.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "base/pool.h"

enum { MOST_BATCH = 64, BATCH_BYTES = 32 << 20, PROBLEM_TEXT = 240 };

typedef struct slot {
    size_t index; /* which picture; SIZE_MAX = empty */
    uint8_t *data;
    size_t size;
    uint8_t *pixels;
    cyg_status status;
    int orientation;
    char problem[PROBLEM_TEXT];
} slot;

typedef struct kept {
    uint8_t *pixels;
    int orientation;
} kept;

struct cyg_decoder {
    cyg_picture_list list;
    cyg_preprocess p;
    size_t bytes; /* of one picture's pixels */
    size_t keep_left;
    kept *kept; /* [list.count], pixels NULL where not kept */
    size_t used;
    slot slots[MOST_BATCH];
};

cyg_status cyg_decoder_create(cyg_ctx *ctx, const cyg_picture_list *list, const cyg_preprocess *p,
                              size_t keep_bytes, cyg_decoder **out_decoder)
{
    *out_decoder = NULL;
    CYG_DO(cyg_preprocess_check(ctx, p));
    cyg_decoder *d = calloc(1, sizeof *d);
    kept *all = calloc(list->count > 0 ? list->count : 1, sizeof *all);
    if (d == NULL || all == NULL) {
        free(d);
        free(all);
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %zu pictures", list->count);
    }
    d->list = *list;
    d->p = *p;
    d->bytes = cyg_preprocess_count(p);
    d->keep_left = keep_bytes;
    d->kept = all;
    *out_decoder = d;
    return CYG_OK;
}

void cyg_decoder_destroy(cyg_decoder *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < MOST_BATCH; i++) {
        free(d->slots[i].data);
        free(d->slots[i].pixels);
    }
    for (size_t i = 0; i < d->list.count; i++)
        free(d->kept[i].pixels);
    free(d->kept);
    free(d);
}

/* The innermost message of a chain: what is wrong, without what was being done. */
static void keep_problem(slot *s, const cyg_ctx *ctx)
{
    const size_t n = cyg_ctx_message_count(ctx);
    snprintf(s->problem, sizeof s->problem, "%s",
             n > 0 ? cyg_ctx_message(ctx, n - 1) : cyg_status_text(s->status));
}

static void decode_slots(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    cyg_decoder *d = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        slot *s = &d->slots[i];
        if (s->status != CYG_OK)
            continue;
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        s->status = cyg_preprocess_decode(&ctx, &d->p, d->list.name(d->list.self, s->index),
                                          s->data, s->size, s->pixels, &s->orientation);
        if (s->status != CYG_OK)
            keep_problem(s, &ctx);
        free(s->data);
        s->data = NULL;
    }
}

static cyg_status read_slot(cyg_ctx *ctx, cyg_decoder *d, slot *s)
{
    if (s->pixels == NULL)
        s->pixels = malloc(d->bytes);
    if (s->pixels == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for pictures");
    cyg_ctx own; /* the failure of one picture must not stay in the caller's chain */
    cyg_ctx_init(&own);
    s->problem[0] = '\0';
    s->orientation = 1;
    s->status = d->list.read(&own, d->list.self, s->index, &s->data, &s->size);
    if (s->status == CYG_E_NOMEM)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for pictures");
    if (s->status != CYG_OK)
        keep_problem(s, &own);
    return CYG_OK;
}

typedef struct order {
    uint64_t position;
    size_t index;
} order;

static int by_position(const void *left, const void *right)
{
    const order *a = left, *b = right;
    return (a->position > b->position) - (a->position < b->position);
}

/* Fills the slots with picture i and what follows. */
static cyg_status read_batch(cyg_ctx *ctx, cyg_decoder *d, size_t first)
{
    order orders[MOST_BATCH];
    const size_t threads = cyg_pool_threads(ctx != NULL ? ctx->pool : NULL);
    size_t most = threads > 1 ? threads * 4 : 1, n = 0;
    if (most > MOST_BATCH)
        most = MOST_BATCH;
    if (most > 1 && most * d->bytes > BATCH_BYTES)
        most = d->bytes < BATCH_BYTES ? BATCH_BYTES / d->bytes : 1;
    for (size_t i = first; i < d->list.count && n < most; i++)
        if (d->kept[i].pixels == NULL)
            orders[n++] = (order){d->list.position(d->list.self, i), i};
    if (n > 1)
        qsort(orders, n, sizeof *orders, by_position);
    d->used = 0;
    size_t bytes = 0;
    bool has_first = false;
    for (size_t i = 0; i < n && (bytes < BATCH_BYTES || !has_first); i++) {
        slot *s = &d->slots[d->used++];
        s->index = orders[i].index;
        const cyg_status status = read_slot(ctx, d, s);
        if (status != CYG_OK) {
            d->used = 0; /* the slots are half filled */
            return status;
        }
        bytes += s->size;
        has_first = has_first || s->index == first;
    }
    cyg_pool_for(ctx != NULL ? ctx->pool : NULL, (int64_t)d->used, 1, decode_slots, d);
    return CYG_OK;
}

/* Hands a slot's pixels over to those kept for good. */
static void keep(cyg_decoder *d, slot *s)
{
    if (s->status != CYG_OK || d->keep_left < d->bytes)
        return;
    d->keep_left -= d->bytes;
    d->kept[s->index] = (kept){s->pixels, s->orientation};
    s->pixels = NULL;
    s->index = SIZE_MAX;
}

static bool find(const cyg_decoder *d, size_t i, cyg_picture *out)
{
    if (d->kept[i].pixels != NULL) {
        *out = (cyg_picture){d->kept[i].pixels, "", d->kept[i].orientation};
        return true;
    }
    for (size_t k = 0; k < d->used; k++) {
        const slot *s = &d->slots[k];
        if (s->index != i)
            continue;
        *out = (cyg_picture){s->status == CYG_OK ? s->pixels : NULL, s->problem, s->orientation};
        return true;
    }
    return false;
}

cyg_status cyg_decoder_get(cyg_ctx *ctx, cyg_decoder *d, size_t i, cyg_picture *out_picture)
{
    if (i >= d->list.count)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "picture %zu of %zu", i, d->list.count);
    if (find(d, i, out_picture))
        return CYG_OK;
    CYG_DO(cyg_ctx_check_cancelled(ctx));
    CYG_DO(read_batch(ctx, d, i));
    for (size_t k = 0; k < d->used; k++) {
        if (d->slots[k].status == CYG_E_NOMEM)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s", d->slots[k].problem);
        keep(d, &d->slots[k]);
    }
    if (!find(d, i, out_picture))
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "picture %zu was not decoded", i);
    return CYG_OK;
}

/* Places buffers in the OCM by when they live: greedy, in a few orders (by size, by bytes times
 * time, by birth), each at the tightest gap among those alive with it, and each again with those
 * first that stuck out; the order that needs least wins. Placed buffers hang in time slots, so that
 * a buffer is compared only with those that live about when it does. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "target/npu/schedule_parts.h"

enum {
    LEAST_SLOTS = 64,
    SLOT_LIVES = 16, /* lives that begin in a slot, about */
    MERGED = 8,      /* slots whose runs are merged; of more they are sorted */
};

typedef struct life {
    uint32_t buffer;
    int64_t birth, death; /* cycles; death is the first at which it is gone */
    uint64_t bytes, address;
} life;

typedef struct extent {
    uint64_t address, end;
} extent;

/* A placed life as its slots keep it: what a comparison wants, side by side. */
typedef struct hung {
    int64_t birth, death;
    extent place;
    uint32_t first; /* slot that it hangs in */
} hung;

typedef struct slot_list {
    hung *lives; /* by address */
    uint32_t count, cap;
} slot_list;

typedef struct sort_entry {
    double key; /* largest first */
    uint64_t address;
    uint32_t id;
} sort_entry;

typedef struct placing {
    life *lives;
    uint32_t count;
    int64_t end;
    slot_list *slots;
    uint32_t slot_count;
    extent *meet, *found, *merged; /* scratch of one comparison */
    sort_entry *order;
} placing;

static int by_key(const void *a, const void *b)
{
    const sort_entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_address(const void *a, const void *b)
{
    const sort_entry *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static uint32_t slot_of(const placing *p, int64_t time)
{
    return (uint32_t)((double)time / (double)(p->end + 1) * p->slot_count);
}

static bool hang(placing *p, const life *l)
{
    const uint32_t first = slot_of(p, l->birth), last = slot_of(p, l->death - 1);
    const hung h = {l->birth, l->death, {l->address, l->address + l->bytes}, first};
    for (uint32_t s = first; s <= last; s++) {
        slot_list *list = &p->slots[s];
        if (list->count == list->cap) {
            const uint32_t cap = list->cap == 0 ? 32 : list->cap * 2;
            hung *lives = realloc(list->lives, (size_t)cap * sizeof *lives);
            if (lives == NULL)
                return false;
            list->lives = lives;
            list->cap = cap;
        }
        uint32_t at = list->count++;
        for (; at > 0 && list->lives[at - 1].place.address > l->address; at--)
            list->lives[at] = list->lives[at - 1];
        list->lives[at] = h;
    }
    return true;
}

/* Two runs, each by address, to one. */
static void merge(const extent *a, uint32_t a_count, const extent *b, uint32_t b_count, extent *out)
{
    uint32_t i = 0, k = 0;
    while (i < a_count && k < b_count)
        *out++ = a[i].address <= b[k].address ? a[i++] : b[k++];
    while (i < a_count)
        *out++ = a[i++];
    while (k < b_count)
        *out++ = b[k++];
}

/* Those of slot s that meet l in time and hang in no slot from `from` to before s. */
static uint32_t meet_slot(const slot_list *list, const life *l, uint32_t s, uint32_t from,
                          extent *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const hung *o = &list->lives[i];
        out[count] = o->place; /* there is room for one more than there are lives */
        count += (o->birth < l->death) & (l->birth < o->death) & (s == from || o->first == s);
    }
    return count;
}

static int by_start(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    return x->address < y->address ? -1 : x->address > y->address;
}

/* Places that meet this life in time, by address, in p->meet. */
static uint32_t neighbours(placing *p, const life *l)
{
    const uint32_t first = slot_of(p, l->birth), last = slot_of(p, l->death - 1);
    if (last - first >= MERGED) {
        uint32_t all = 0;
        for (uint32_t s = first; s <= last; s++)
            all += meet_slot(&p->slots[s], l, s, first, p->meet + all);
        qsort(p->meet, all, sizeof *p->meet, by_start);
        return all;
    }
    uint32_t count = meet_slot(&p->slots[first], l, first, first, p->meet);
    for (uint32_t s = first + 1; s <= last; s++) {
        const uint32_t found = meet_slot(&p->slots[s], l, s, first, p->found);
        if (found == 0)
            continue;
        merge(p->meet, count, p->found, found, p->merged);
        extent *swap = p->meet;
        p->meet = p->merged;
        p->merged = swap;
        count += found;
    }
    return count;
}

static uint64_t tightest_gap(const extent *meet, uint32_t count, uint64_t bytes)
{
    uint64_t cursor = 0, best = UINT64_MAX, best_size = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const extent o = meet[i];
        if (o.address > cursor && o.address - cursor >= bytes && o.address - cursor < best_size) {
            best = cursor;
            best_size = o.address - cursor;
        }
        cursor = o.end > cursor ? o.end : cursor;
    }
    return best != UINT64_MAX ? best : cursor;
}

/* Highest address used, or UINT64_MAX when out of memory. */
static uint64_t place_in_order(placing *p)
{
    uint64_t most = 0;
    for (uint32_t s = 0; s < p->slot_count; s++)
        p->slots[s].count = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        life *l = &p->lives[p->order[i].id];
        const uint32_t count = neighbours(p, l);
        l->address = tightest_gap(p->meet, count, l->bytes);
        if (l->address + l->bytes > most)
            most = l->address + l->bytes;
        if (!hang(p, l))
            return UINT64_MAX;
    }
    return most;
}

static double weight_of(const life *l, int order)
{
    switch (order) {
    case 0:
        return (double)l->bytes;
    case 1:
        return (double)l->bytes * (double)(l->death - l->birth);
    default:
        return -(double)l->birth;
    }
}

/* Most bytes alive at once. */
static uint64_t peak_of(const placing *p, sort_entry *events)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        events[count++] = (sort_entry){.address = (uint64_t)p->lives[i].birth * 2 + 1, .id = i};
        events[count++] = (sort_entry){.address = (uint64_t)p->lives[i].death * 2, .id = i};
    }
    qsort(events, count, sizeof *events, by_address);
    uint64_t alive = 0, peak = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t bytes = p->lives[events[i].id].bytes;
        alive = events[i].address % 2 == 1 ? alive + bytes : alive - bytes;
        peak = alive > peak ? alive : peak;
    }
    return peak;
}

static bool collect(placing *p, const cyg_npu_tasks *tasks, const cyg_npu_depend *depend,
                    const cyg_npu_load *load, const cyg_npu_order *order, cyg_arena *arena)
{
    uint32_t *life_of = CYG_NEW_ARRAY(arena, uint32_t, (size_t)tasks->buffer_count + 1);
    p->lives = CYG_NEW_ARRAY(arena, life, (size_t)tasks->buffer_count + 1);
    if (life_of == NULL || p->lives == NULL)
        return false;
    for (uint32_t u = 0; u < tasks->task_count; u++)
        for (uint32_t i = depend->touch_at[u]; i < depend->touch_at[u + 1]; i++) {
            const uint32_t b = depend->touched[i];
            if (load->room[b] == 0)
                continue;
            if (life_of[b] == 0) {
                p->lives[p->count] = (life){b, order->start[u], order->end[u], load->room[b], 0};
                life_of[b] = ++p->count;
            }
            life *l = &p->lives[life_of[b] - 1];
            l->birth = order->start[u] < l->birth ? order->start[u] : l->birth;
            l->death = order->end[u] > l->death ? order->end[u] : l->death;
        }
    p->end = order->cycles;
    p->slot_count = p->count / SLOT_LIVES > LEAST_SLOTS ? p->count / SLOT_LIVES : LEAST_SLOTS;
    p->slots = CYG_NEW_ARRAY(arena, slot_list, p->slot_count);
    p->order = CYG_NEW_ARRAY(arena, sort_entry, 2 * (size_t)p->count + 1);
    p->meet = CYG_NEW_ARRAY(arena, extent, (size_t)p->count + 1);
    p->found = CYG_NEW_ARRAY(arena, extent, (size_t)p->count + 1);
    p->merged = CYG_NEW_ARRAY(arena, extent, (size_t)p->count + 1);
    return p->slots != NULL && p->order != NULL && p->meet != NULL && p->found != NULL &&
           p->merged != NULL;
}

/* Places in the order of p->order; keeps addresses if that is the best so far. False = out of
 * memory.
 */
static bool try_order(placing *p, uint64_t *addresses, uint64_t *best)
{
    const uint64_t bytes = place_in_order(p);
    if (bytes == UINT64_MAX)
        return false;
    if (bytes < *best) {
        *best = bytes;
        for (uint32_t i = 0; i < p->count; i++)
            addresses[p->lives[i].buffer] = p->lives[i].address;
    }
    return true;
}

/* What sticks out by more than this no other order makes up for. */
static bool is_near(uint64_t bytes, uint64_t enough)
{
    return bytes - enough <= enough / 4;
}

/* Those that stick out come first, the rest as before; false: they did already. */
static bool favour_high(placing *p, uint64_t enough, sort_entry *scratch)
{
    uint32_t low = 0, high = 0;
    bool changed = false;
    for (uint32_t i = 0; i < p->count; i++) {
        const life *l = &p->lives[p->order[i].id];
        if (l->address + l->bytes <= enough) {
            scratch[low++] = p->order[i];
            continue;
        }
        changed |= low > 0;
        p->order[high++] = p->order[i];
    }
    memcpy(p->order + high, scratch, low * sizeof *scratch);
    return changed;
}

cyg_status cyg_npu_place_ocm(cyg_ctx *ctx, const cyg_npu_tasks *tasks, const cyg_npu_depend *depend,
                             const cyg_npu_load *load, const cyg_npu_order *order, uint64_t enough,
                             cyg_arena *arena, uint64_t *addresses, uint64_t *out_bytes,
                             uint64_t *out_peak)
{
    enum { ORDERS = 3, AGAIN = 6 };
    placing *p = CYG_NEW(arena, placing);
    bool well = p != NULL && collect(p, tasks, depend, load, order, arena);
    *out_peak = 0;
    uint64_t best = UINT64_MAX;
    for (int k = 0; well && k < ORDERS && best > enough; k++) {
        for (uint32_t i = 0; i < p->count; i++)
            p->order[i] = (sort_entry){.key = weight_of(&p->lives[i], k), .id = i};
        qsort(p->order, p->count, sizeof *p->order, by_key);
        well = try_order(p, addresses, &best);
        for (int i = 0; well && i < AGAIN && best > enough && is_near(best, enough); i++) {
            if (!favour_high(p, enough, p->order + p->count))
                break;
            well = try_order(p, addresses, &best);
        }
    }
    *out_bytes = best;
    if (well)
        *out_peak = peak_of(p, p->order);
    for (uint32_t s = 0; p != NULL && p->slots != NULL && s < p->slot_count; s++)
        free(p->slots[s].lives);
    if (!well)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while placing %u buffers",
                        tasks->buffer_count);
    return CYG_OK;
}

/* From names to roles.
 *
 * Every layout of layouts.def is tried on all names of the checkpoint; the one that explains most
 * wins, provided it finds a patch embedding and a block. So nothing is asked of people, and a file
 * that misses some tensors is still recognised and told what it misses.
 *
 * A pattern is walked beside the name; numbers must be plain decimals below 10000. The same
 * patterns, walked the other way, make the names of missing tensors. Slots are packed into one
 * number (role, stage, block, part) and the found ones sorted by it: finding is a binary search,
 * and the blocks of a stage are neighbours. */
#include "models/bind.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_NUMBER = 9999 };

typedef struct layout {
    const char *id;
    cyg_family family;
    cyg_library library;
    const char *prefixes;
} layout;

typedef struct pattern {
    cyg_layout_id layout;
    cyg_role role;
    const char *text;
} pattern;

static const layout layouts[] = {
#define CYG_LAYOUT(id, family, library, prefixes)                                                  \
    {#id, CYG_FAMILY_##family, CYG_LIBRARY_##library, prefixes},
#include "models/layouts.def"
#undef CYG_LAYOUT
};

static const pattern patterns[] = {
#define CYG_KEY(layout, role, text) {CYG_LAYOUT_##layout, CYG_ROLE_##role, text},
#include "models/layouts.def"
#undef CYG_KEY
};

const char *cyg_library_name(cyg_library library)
{
    static const char *const names[] = {"transformers", "microsoft", "timm", "torchvision"};
    return names[library];
}

const char *cyg_layout_name(cyg_layout_id id)
{
    return layouts[id].id;
}

static uint64_t key_of(cyg_slot s)
{
    return (uint64_t)s.role << 40 | (uint64_t)s.stage << 24 | (uint64_t)s.block << 8 |
           (uint64_t)s.part;
}

/* ---- patterns ---- */

static const char *read_number(const char *name, int *out_number)
{
    int n = 0;
    const char *p = name;
    for (; *p >= '0' && *p <= '9' && n <= LARGEST_NUMBER; p++)
        n = 10 * n + (*p - '0');
    *out_number = n;
    return p == name || n > LARGEST_NUMBER || (*name == '0' && p != name + 1) ? NULL : p;
}

/* The number under a pattern's letter to stage or block; false when no slot has it. */
static bool take_number(char letter, int n, cyg_slot *slot)
{
    const int shift = letter == 'n' ? 1 : letter == 'o' ? 1 : letter == 'e' ? 2 : 0;
    if (letter == 'b')
        slot->block = n;
    else if (letter == 'o' || letter == 'e')
        slot->stage = (n - shift) / 2;
    else
        slot->stage = n - shift;
    return n >= shift && (letter == 'b' || letter == 's' || letter == 'n' || (n - shift) % 2 == 0);
}

static int give_number(char letter, const cyg_slot *slot)
{
    switch (letter) {
    case 'b':
        return slot->block;
    case 'n':
        return slot->stage + 1;
    case 'o':
        return 2 * slot->stage + 1;
    case 'e':
        return 2 * slot->stage + 2;
    default:
        return slot->stage;
    }
}

/* name against a pattern whose ^ is prefix. */
static bool match(const char *text, const char *prefix, size_t prefix_size, const char *name,
                  cyg_slot *out_slot)
{
    cyg_slot slot = *out_slot;
    for (; *text != '\0'; text++) {
        if (*text == '^') {
            if (strncmp(name, prefix, prefix_size) != 0)
                return false;
            name += prefix_size;
        } else if (*text == '%') {
            int n;
            name = read_number(name, &n);
            if (name == NULL || !take_number(*++text, n, &slot))
                return false;
        } else if (*text == '*') {
            slot.part = strcmp(name, "bias") == 0 ? CYG_BIAS : CYG_WEIGHT;
            if (slot.part == CYG_WEIGHT && strcmp(name, "weight") != 0)
                return false;
            *out_slot = slot;
            return true;
        } else if (*name++ != *text) {
            return false;
        }
    }
    *out_slot = slot;
    return *name == '\0';
}

const char *cyg_binding_name(const cyg_binding *b, cyg_slot slot, cyg_arena *arena)
{
    cyg_strbuf out = {0};
    const char *name = NULL;
    for (size_t i = 0; i < CYG_COUNT(patterns) && name == NULL; i++) {
        if (patterns[i].layout != b->layout || patterns[i].role != slot.role)
            continue;
        for (const char *t = patterns[i].text; *t != '\0'; t++) {
            if (*t == '^')
                cyg_strbuf_add(&out, b->prefix, b->prefix_size);
            else if (*t == '%')
                cyg_strbuf_printf(&out, "%d", give_number(*++t, &slot));
            else if (*t == '*')
                cyg_strbuf_puts(&out, slot.part == CYG_BIAS ? "bias" : "weight");
            else
                cyg_strbuf_add(&out, t, 1);
        }
        name = out.failed ? NULL : cyg_arena_strdup(arena, out.data);
    }
    cyg_strbuf_deinit(&out);
    return name;
}

/* ---- recognising ---- */

static bool slot_of(const cyg_binding *b, const char *name, cyg_slot *out_slot)
{
    for (size_t i = 0; i < CYG_COUNT(patterns); i++) {
        *out_slot = (cyg_slot){.role = patterns[i].role};
        if (patterns[i].layout == b->layout &&
            match(patterns[i].text, b->prefix, b->prefix_size, name, out_slot))
            return true;
    }
    return false;
}

/* How many names the layout with this prefix explains, and whether the essential ones are there. */
static size_t score(const cyg_binding *b, const cyg_checkpoint *c, bool *out_is_it)
{
    size_t found = 0;
    bool patch = false, block = false;
    for (size_t i = 0; i < cyg_checkpoint_count(c); i++) {
        cyg_slot slot;
        if (!slot_of(b, cyg_checkpoint_at(c, i)->name, &slot))
            continue;
        found++;
        patch = patch || slot.role == CYG_ROLE_PATCH;
        block = block || slot.role == CYG_ROLE_NORM1 || slot.role == CYG_ROLE_QKV ||
                slot.role == CYG_ROLE_Q;
    }
    *out_is_it = patch && block;
    return found;
}

static int by_key(const void *a, const void *b)
{
    const cyg_bound *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static cyg_status collect(cyg_ctx *ctx, const cyg_checkpoint *c, cyg_arena *arena, cyg_binding *b)
{
    const size_t count = cyg_checkpoint_count(c);
    b->items = CYG_NEW_ARRAY(arena, cyg_bound, count + 1);
    b->unknown = CYG_NEW_ARRAY(arena, const cyg_checkpoint_tensor *, count + 1);
    if (b->items == NULL || b->unknown == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const cyg_checkpoint_tensor *t = cyg_checkpoint_at(c, i);
        cyg_slot slot;
        if (!slot_of(b, t->name, &slot))
            b->unknown[b->unknown_count++] = t;
        else if (slot.role != CYG_ROLE_IGNORED)
            b->items[b->count++] = (cyg_bound){.key = key_of(slot), .tensor = t};
        else
            continue;
    }
    qsort(b->items, b->count, sizeof b->items[0], by_key);
    for (size_t i = 0; i + 1 < b->count; i++)
        if (b->items[i].key == b->items[i + 1].key)
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "tensors %s and %s are the same thing under two names",
                            b->items[i].tensor->name, b->items[i + 1].tensor->name);
    while (cyg_binding_blocks(b, b->stages) > 0)
        b->stages++;
    return CYG_OK;
}

/* Says why the file is none of ours: the tensors that would have told, and what is there. */
static cyg_status unknown(cyg_ctx *ctx, const cyg_checkpoint *c)
{
    cyg_strbuf looked = {0}, found = {0};
    for (size_t l = 0; l < CYG_COUNT(layouts); l++) {
        const cyg_binding b = {.layout = (cyg_layout_id)l,
                               .prefix = layouts[l].prefixes,
                               .prefix_size = strcspn(layouts[l].prefixes, "|")};
        cyg_arena arena;
        cyg_arena_init(&arena);
        const char *patch = cyg_binding_name(&b, (cyg_slot){.role = CYG_ROLE_PATCH}, &arena);
        const char *norm = cyg_binding_name(&b, (cyg_slot){.role = CYG_ROLE_NORM1}, &arena);
        bool is_it;
        const size_t explained = score(&b, c, &is_it);
        if (patch != NULL && norm != NULL)
            cyg_strbuf_printf(&looked, "\n  %s (%s): %s%s and %s%s; %zu names fit",
                              layouts[l].family == CYG_FAMILY_SWIN     ? "Swin, SwinV2"
                              : strncmp(layouts[l].id, "beit", 4) == 0 ? "BEiT"
                              : strncmp(layouts[l].id, "dino", 4) == 0 ? "DINOv2"
                                                                       : "ViT, DeiT",
                              cyg_library_name(layouts[l].library), patch,
                              cyg_checkpoint_find(c, patch) != NULL ? " (is there)" : "", norm,
                              cyg_checkpoint_find(c, norm) != NULL ? " (is there)" : "", explained);
        cyg_arena_deinit(&arena);
    }
    const size_t count = cyg_checkpoint_count(c), step = count > 8 ? count / 8 : 1;
    for (size_t i = 0; i < count; i += step) {
        const cyg_checkpoint_tensor *t = cyg_checkpoint_at(c, i);
        cyg_strbuf_printf(&found, "\n  %.200s [", t->name);
        for (int d = 0; d < t->rank; d++)
            cyg_strbuf_printf(&found, d > 0 ? ", %lld" : "%lld", (long long)t->dims[d]);
        cyg_strbuf_puts(&found, "]");
    }
    const cyg_status st = CYG_FAIL(
        ctx, CYG_E_UNSUPPORTED,
        "%s is none of the known architectures. Looked for the patch embedding and first block "
        "of:%s\nFound %zu tensors, such as:%s",
        cyg_checkpoint_file_count(c) > 0 ? cyg_checkpoint_file(c, 0) : "the checkpoint",
        looked.data != NULL ? looked.data : "", count, found.data != NULL ? found.data : "");
    cyg_strbuf_deinit(&looked);
    cyg_strbuf_deinit(&found);
    return st;
}

cyg_status cyg_bind(cyg_ctx *ctx, const cyg_checkpoint *checkpoint, cyg_arena *arena,
                    cyg_binding *out_binding)
{
    cyg_binding best = {0};
    size_t best_score = 0;
    for (size_t l = 0; l < CYG_COUNT(layouts); l++) {
        const char *p = layouts[l].prefixes;
        for (;;) {
            const cyg_binding b = {.layout = (cyg_layout_id)l,
                                   .family = layouts[l].family,
                                   .library = layouts[l].library,
                                   .prefix = p,
                                   .prefix_size = strcspn(p, "|")};
            bool is_it;
            const size_t s = score(&b, checkpoint, &is_it);
            if (is_it && s > best_score) {
                best = b;
                best_score = s;
            }
            p += b.prefix_size;
            if (*p++ == '\0')
                break;
        }
    }
    if (best_score == 0)
        return unknown(ctx, checkpoint);
    *out_binding = best;
    return collect(ctx, checkpoint, arena, out_binding);
}

/* ---- finding ---- */

static size_t lower_bound(const cyg_binding *b, uint64_t key)
{
    size_t low = 0, high = b->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (b->items[mid].key < key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

cyg_bound *cyg_binding_find(const cyg_binding *b, cyg_slot slot)
{
    const size_t i = lower_bound(b, key_of(slot));
    return i < b->count && b->items[i].key == key_of(slot) ? &b->items[i] : NULL;
}

int cyg_binding_blocks(const cyg_binding *b, int stage)
{
    int blocks = 0;
    static const cyg_role roles[] = {CYG_ROLE_NORM1, CYG_ROLE_PROJ, CYG_ROLE_FC1};
    for (size_t r = 0; r < CYG_COUNT(roles); r++) {
        const cyg_slot next = {.role = roles[r], .stage = stage + 1};
        const size_t i = lower_bound(b, key_of(next));
        if (i == 0)
            continue;
        const uint64_t key = b->items[i - 1].key;
        if (key >> 24 == key_of((cyg_slot){.role = roles[r], .stage = stage}) >> 24 &&
            (int)(key >> 8 & 0xffff) + 1 > blocks)
            blocks = (int)(key >> 8 & 0xffff) + 1;
    }
    return blocks;
}

/* Tensor names and what they stand for, in the main graph or in one call of a function.
 *
 * A name becomes a value at its first mention, whether that is its definition or a use: ONNX asks
 * for topological order, but files exist that lack it, and the graph can be sorted afterwards. What
 * was used and never defined shows when the scope is closed.
 *
 * Constants are read at first use, so that tensors nobody needs cost nothing, and a model whose
 * operators are refused is refused without reading its weights. */
#include "onnx/import.h"

#include <string.h>

#include "base/hash.h"

static uint32_t *find_slot(const cyg_onnx_scope *s, const char *name)
{
    const uint32_t mask = s->slot_count - 1;
    uint32_t at = (uint32_t)cyg_hash64(name, strlen(name), 0) & mask;
    while (s->slots[at] != 0 && strcmp(s->entries[s->slots[at] - 1].name, name) != 0)
        at = (at + 1) & mask;
    return &s->slots[at];
}

cyg_onnx_entry *cyg_onnx_scope_find(const cyg_onnx_scope *s, const char *name)
{
    if (s->slot_count == 0)
        return NULL;
    const uint32_t slot = *find_slot(s, name);
    return slot != 0 ? &s->entries[slot - 1] : NULL;
}

/* Doubles entries and slots; slots stay at most half full. */
static bool grow(cyg_onnx_importer *imp, cyg_onnx_scope *s)
{
    const uint32_t cap = s->entry_cap > 0 ? s->entry_cap * 2 : 16;
    cyg_onnx_entry *entries = CYG_NEW_ARRAY(&imp->scratch, cyg_onnx_entry, cap);
    uint32_t *slots = CYG_NEW_ARRAY(&imp->scratch, uint32_t, cap * 2);
    if (entries == NULL || slots == NULL)
        return false;
    if (s->entry_count > 0)
        memcpy(entries, s->entries, s->entry_count * sizeof *entries);
    s->entries = entries;
    s->slots = slots;
    s->entry_cap = cap;
    s->slot_count = cap * 2;
    for (uint32_t i = 0; i < s->entry_count; i++)
        *find_slot(s, entries[i].name) = i + 1;
    return true;
}

cyg_onnx_entry *cyg_onnx_scope_entry(cyg_onnx_importer *imp, cyg_onnx_scope *s, const char *name)
{
    if (s->entry_count == s->entry_cap && !grow(imp, s))
        return NULL;
    uint32_t *slot = find_slot(s, name);
    if (*slot == 0) {
        s->entries[s->entry_count] =
            (cyg_onnx_entry){.name = name, .value = CYG_NO_VALUE, .maker = CYG_NO_NODE};
        *slot = ++s->entry_count;
    }
    return &s->entries[*slot - 1];
}

static cyg_status note_four_bits(cyg_onnx_importer *imp, cyg_value_id v)
{
    if (imp->four_bit_count == imp->four_bit_cap) {
        const uint32_t cap = imp->four_bit_cap == 0 ? 16 : imp->four_bit_cap * 2;
        cyg_value_id *more = CYG_NEW_ARRAY(&imp->scratch, cyg_value_id, cap);
        if (more == NULL)
            return CYG_ONNX_NOMEM(imp);
        if (imp->four_bit_count > 0)
            memcpy(more, imp->four_bits, sizeof *more * imp->four_bit_count);
        imp->four_bits = more;
        imp->four_bit_cap = cap;
    }
    imp->four_bits[imp->four_bit_count++] = v;
    return CYG_OK;
}

bool cyg_onnx_is_four_bits(const cyg_onnx_importer *imp, cyg_value_id v)
{
    for (uint32_t i = 0; i < imp->four_bit_count; i++)
        if (imp->four_bits[i].i == v.i)
            return true;
    return false;
}

cyg_status cyg_onnx_add_tensor(cyg_onnx_importer *imp, const char *name, cyg_span bytes,
                               cyg_value_id *out_value)
{
    cyg_onnx_tensor t;
    *out_value = CYG_NO_VALUE;
    CYG_DO(cyg_onnx_read_tensor(imp, bytes, name, &t));
    if (t.refused != NULL) {
        CYG_DO(cyg_onnx_refuse(imp, "tensor", "", name, 0, t.refused));
        *out_value = cyg_graph_add_value(imp->graph, name, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
    } else {
        *out_value = cyg_graph_add_const(imp->graph, name, t.type, t.rank, t.dims, t.data, t.bytes);
    }
    if (cyg_value_is_none(*out_value))
        return CYG_ONNX_NOMEM(imp);
    return t.four_bits ? note_four_bits(imp, *out_value) : CYG_OK;
}

cyg_status cyg_onnx_prefixed(cyg_onnx_importer *imp, const char *prefix, const char *name,
                             const char **out_name)
{
    *out_name = name;
    if (prefix[0] == '\0')
        return CYG_OK;
    imp->name_bytes += strlen(prefix) + strlen(name);
    if (imp->name_bytes > CYG_ONNX_MAX_NAME_BYTES)
        return CYG_FAIL(imp->ctx, CYG_E_GRAPH,
                        "%s: names take more than %d bytes once its functions are expanded",
                        imp->path, CYG_ONNX_MAX_NAME_BYTES);
    *out_name = cyg_arena_printf(&imp->scratch, "%s%s", prefix, name);
    return *out_name == NULL ? CYG_ONNX_NOMEM(imp) : CYG_OK;
}

/* Gives the entry its value. */
static cyg_status make_value(cyg_onnx_importer *imp, cyg_onnx_scope *s, cyg_onnx_entry *e)
{
    const char *name;
    CYG_DO(cyg_onnx_prefixed(imp, s->prefix, e->name, &name));
    if (e->initializer != NULL)
        return cyg_onnx_add_tensor(imp, name, e->initializer->bytes, &e->value);
    e->value = cyg_graph_add_value(imp->graph, name, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
    if (cyg_value_is_none(e->value))
        return CYG_ONNX_NOMEM(imp);
    return e->info != NULL ? cyg_onnx_set_info(imp, e->value, e->info) : CYG_OK;
}

cyg_status cyg_onnx_scope_reserve(cyg_onnx_importer *imp, cyg_onnx_scope *s, const char *name)
{
    cyg_onnx_entry *e = cyg_onnx_scope_entry(imp, s, name);
    if (e == NULL)
        return CYG_ONNX_NOMEM(imp);
    return e->defined || !cyg_value_is_none(e->value) ? CYG_OK : make_value(imp, s, e);
}

cyg_status cyg_onnx_scope_use(cyg_onnx_importer *imp, cyg_onnx_scope *s, const char *name,
                              const char *user, cyg_value_id *out_value)
{
    *out_value = CYG_NO_VALUE;
    if (name[0] == '\0')
        return CYG_OK;
    cyg_onnx_entry *e = cyg_onnx_scope_entry(imp, s, name);
    if (e == NULL)
        return CYG_ONNX_NOMEM(imp);
    if (e->first_user == NULL)
        e->first_user = user;
    if (!e->defined)
        imp->unsorted = true;
    /* A function's input that the call leaves out is defined and has no value. */
    if (cyg_value_is_none(e->value) &&
        (!e->defined || e->initializer != NULL || e->refused_why != NULL))
        CYG_DO(make_value(imp, s, e));
    *out_value = e->value;
    return CYG_OK;
}

cyg_status cyg_onnx_scope_define(cyg_onnx_importer *imp, cyg_onnx_scope *s, const char *name,
                                 const char *producer, cyg_value_id *out_value)
{
    cyg_onnx_entry *e = cyg_onnx_scope_entry(imp, s, name);
    if (e == NULL)
        return CYG_ONNX_NOMEM(imp);
    if (e->defined)
        return CYG_FAIL(imp->ctx, CYG_E_GRAPH,
                        "%s: tensor \"%s\" is defined twice, the second time by \"%s\"", imp->path,
                        name, producer);
    e->defined = true;
    if (cyg_value_is_none(e->value))
        CYG_DO(make_value(imp, s, e));
    *out_value = e->value;
    return CYG_OK;
}

cyg_status cyg_onnx_scope_close(cyg_onnx_importer *imp, const cyg_onnx_scope *s)
{
    for (uint32_t i = 0; i < s->entry_count; i++) {
        const cyg_onnx_entry *e = &s->entries[i];
        if (e->first_user == NULL)
            continue;
        if (e->refused_why != NULL && !cyg_node_is_none(e->maker))
            CYG_DO(cyg_onnx_make_output(imp, e));
        else if (e->refused_why != NULL)
            CYG_DO(cyg_onnx_refuse(imp, e->refused_op, "", e->refused_node, e->refused_opset,
                                   e->refused_why));
        else if (!e->defined)
            return CYG_FAIL(imp->ctx, CYG_E_GRAPH,
                            "%s: \"%s\" reads tensor \"%s\", which no node, input or initialiser "
                            "provides",
                            imp->path, e->first_user, e->name);
    }
    return CYG_OK;
}

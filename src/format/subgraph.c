/* Subgraphs in packages: one record each, then what they read and write, then the executor's own
 * data; the taps of all in a section together. The reader proves that ranges do not overlap and
 * that no other step uses what has no bytes.
 */
#include "format/subgraph.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "format/layout.h"

typedef struct reader {
    cyg_ctx *ctx;
    const char *path;
    const cyg_package_section *at, *parameters, *strings;
    uint32_t index, parameter_count;
    cyg_arena *arena;
    cyg_package *package;
} reader;

static cyg_status damaged(const reader *r, const char *what)
{
    return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: section \"subgraph\" %u: %s", r->path, r->index,
                    what);
}

static cyg_status text_at(const reader *r, uint32_t offset, const char **out_text)
{
    const cyg_package_section *s = r->strings;
    if (offset >= s->size || s->data[s->size - 1] != '\0')
        return damaged(r, "a name lies outside section \"strings\"");
    *out_text = (const char *)(s->data + offset);
    return CYG_OK;
}

static int32_t owner_kind(const cyg_program *p, uint32_t tensor)
{
    const cyg_tensor *t = &p->tensors[tensor];
    return t->kind == CYG_TENSOR_ALIAS ? p->tensors[t->offset].kind : t->kind;
}

static cyg_status read_tensors(const reader *r, const uint8_t *at, cyg_subgraph *g)
{
    const cyg_program *p = &r->package->programs[g->program];
    cyg_subgraph_tensor *list =
        CYG_NEW_ARRAY(r->arena, cyg_subgraph_tensor, (size_t)g->tensor_count + 1);
    if (list == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->path);
    for (uint32_t i = 0; i < g->tensor_count; i++, at += CYG_PK_SUBGRAPH_TENSOR) {
        const uint32_t tensor = cyg_load_u32(at), is_output = cyg_load_u32(at + 4);
        if (tensor >= p->tensor_count || is_output > 1)
            return damaged(r, "it refers to a tensor that does not exist");
        const int32_t kind = is_output ? p->tensors[tensor].kind : owner_kind(p, tensor);
        if (kind != CYG_TENSOR_ARENA && kind != CYG_TENSOR_OUTPUT &&
            !(kind == CYG_TENSOR_INPUT && !is_output))
            return damaged(r, "it reads or writes a tensor that has no place for that");
        list[i] = (cyg_subgraph_tensor){tensor, is_output != 0};
    }
    g->tensors = list;
    return CYG_OK;
}

static cyg_status read_subgraph(const reader *r, cyg_subgraph *g)
{
    const cyg_package_section *s = r->at;
    if (s->size < CYG_PK_SUBGRAPH)
        return damaged(r, "too short");
    g->program = cyg_load_u32(s->data);
    g->first_step = cyg_load_u32(s->data + 4);
    g->step_count = cyg_load_u32(s->data + 8);
    g->tensor_count = cyg_load_u32(s->data + 12);
    CYG_DO(text_at(r, cyg_load_u32(s->data + 16), &g->executor));
    CYG_DO(text_at(r, cyg_load_u32(s->data + 20), &g->name));
    const uint32_t parameters = cyg_load_u32(s->data + 24);
    const uint64_t machine = cyg_load_u64(s->data + 32), code = cyg_load_u64(s->data + 40);
    const uint64_t tensors = (uint64_t)g->tensor_count * CYG_PK_SUBGRAPH_TENSOR;
    const uint64_t room = s->size - CYG_PK_SUBGRAPH;
    if (g->tensor_count > CYG_PK_MOST_SUBGRAPH_TENSORS)
        return damaged(r, "too many tensors");
    if (tensors > room || machine > room - tensors || code != room - tensors - machine)
        return damaged(r, "its counts do not add up to its size");
    if (g->program >= r->package->program_count || g->step_count == 0 ||
        !cyg_range_ok(g->first_step, g->step_count, r->package->programs[g->program].step_count))
        return damaged(r, "its steps are none of a program");
    if (parameters != CYG_PK_NO_PARAMETERS) {
        if (parameters >= r->parameter_count)
            return damaged(r, "its section \"parameters\" is missing");
        g->params = r->parameters[parameters].data;
        g->params_size = r->parameters[parameters].size;
    }
    CYG_DO(read_tensors(r, s->data + CYG_PK_SUBGRAPH, g));
    g->machine = (const char *)(s->data + CYG_PK_SUBGRAPH + tensors);
    g->machine_size = (size_t)machine;
    g->code = s->data + CYG_PK_SUBGRAPH + tensors + machine;
    g->code_size = (size_t)code;
    return CYG_OK;
}

static cyg_status check_apart(const reader *r, const cyg_subgraph *list)
{
    const cyg_subgraph *g = &list[r->index];
    for (uint32_t i = 0; i < r->index; i++)
        if (list[i].program == g->program &&
            list[i].first_step < g->first_step + (uint64_t)g->step_count &&
            g->first_step < list[i].first_step + (uint64_t)list[i].step_count)
            return damaged(r, "its steps are another subgraph's, too");
    return CYG_OK;
}

/* Steps that the CPU runs use tensors that have bytes. */
static cyg_status check_steps(const reader *r, uint32_t program)
{
    const cyg_program *p = &r->package->programs[program];
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_subgraph *g = cyg_package_subgraph_at(r->package, program, i);
        if (g != NULL) {
            i = g->first_step + g->step_count - 1;
            continue;
        }
        const cyg_step *s = &p->steps[i];
        for (uint32_t k = 0; k < s->in_count + s->out_count; k++) {
            const uint32_t tensor = k < s->in_count ? s->in[k] : s->out[k - s->in_count];
            if (tensor != CYG_NO_TENSOR && owner_kind(p, tensor) == CYG_TENSOR_INNER)
                return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                                "%s: section \"program\" %u: step %u \"%s\" uses a tensor that "
                                "lives inside a subgraph only",
                                r->path, program, i, s->name);
        }
    }
    return CYG_OK;
}

const cyg_subgraph *cyg_package_subgraph_at(const cyg_package *package, uint32_t program,
                                            uint32_t step)
{
    for (uint32_t i = 0; i < package->subgraph_count; i++) {
        const cyg_subgraph *g = &package->subgraphs[i];
        if (g->program == program && step >= g->first_step && step - g->first_step < g->step_count)
            return g;
    }
    return NULL;
}

/* Sizes of all, then the taps of all: they fill the section. */
static cyg_status read_taps(const reader *r, const cyg_package_section *taps, cyg_subgraph *list,
                            uint32_t count)
{
    const uint64_t head = (uint64_t)count * CYG_PK_TAPS_OF_ONE;
    uint64_t at = head;
    bool well = head <= taps->size;
    for (uint32_t i = 0; well && i < count; i++) {
        const uint64_t size = cyg_load_u64(taps->data + (size_t)i * CYG_PK_TAPS_OF_ONE);
        well = cyg_range_ok(at, size, taps->size);
        if (!well)
            break;
        list[i].taps = taps->data + at;
        list[i].taps_size = (size_t)size;
        at += size;
    }
    return well && at == taps->size
               ? CYG_OK
               : CYG_FAIL(r->ctx, CYG_E_FORMAT,
                          "%s: section \"taps\": its sizes do not add up to its %zu bytes", r->path,
                          taps->size);
}

cyg_status cyg_package_read_subgraphs(cyg_ctx *ctx, const char *path,
                                      const cyg_package_section *subgraphs, uint32_t subgraph_count,
                                      const cyg_package_section *parameters,
                                      uint32_t parameter_count, const cyg_package_section *taps,
                                      const cyg_package_section *strings, cyg_arena *arena,
                                      cyg_package *package)
{
    reader r = {.ctx = ctx,
                .path = path,
                .parameters = parameters,
                .strings = strings,
                .parameter_count = parameter_count,
                .arena = arena,
                .package = package};
    cyg_subgraph *list = CYG_NEW_ARRAY(arena, cyg_subgraph, (size_t)subgraph_count + 1);
    if (list == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    for (; r.index < subgraph_count; r.index++) {
        r.at = &subgraphs[r.index];
        CYG_DO(read_subgraph(&r, &list[r.index]));
        CYG_DO(check_apart(&r, list));
    }
    if (taps->seen)
        CYG_DO(read_taps(&r, taps, list, subgraph_count));
    package->subgraphs = list;
    package->subgraph_count = subgraph_count;
    for (uint32_t i = 0; i < package->program_count; i++)
        CYG_DO(check_steps(&r, i));
    return CYG_OK;
}

void cyg_package_encode_subgraph(const cyg_subgraph *g, uint32_t executor, uint32_t name,
                                 uint32_t parameters, cyg_strbuf *out)
{
    const uint32_t head[] = {g->program, g->first_step, g->step_count, g->tensor_count,
                             executor,   name,          parameters,    0};
    const uint64_t sizes[] = {g->machine_size, g->code_size};
    char bytes[8];
    for (size_t i = 0; i < CYG_COUNT(head); i++) {
        cyg_store_u32(bytes, head[i]);
        cyg_strbuf_add(out, bytes, 4);
    }
    for (size_t i = 0; i < CYG_COUNT(sizes); i++) {
        cyg_store_u64(bytes, sizes[i]);
        cyg_strbuf_add(out, bytes, 8);
    }
    for (uint32_t i = 0; i < g->tensor_count; i++) {
        cyg_store_u32(bytes, g->tensors[i].tensor);
        cyg_store_u32(bytes + 4, g->tensors[i].is_output);
        cyg_strbuf_add(out, bytes, CYG_PK_SUBGRAPH_TENSOR);
    }
    cyg_strbuf_add(out, g->machine, g->machine_size);
    cyg_strbuf_add(out, (const char *)g->code, g->code_size);
}

void cyg_package_encode_taps(const cyg_subgraph *list, uint32_t count, cyg_strbuf *out)
{
    bool any = false;
    for (uint32_t i = 0; i < count; i++)
        any = any || list[i].taps_size > 0;
    for (uint32_t i = 0; any && i < count; i++) {
        char size[CYG_PK_TAPS_OF_ONE];
        cyg_store_u64(size, list[i].taps_size);
        cyg_strbuf_add(out, size, sizeof size);
    }
    for (uint32_t i = 0; i < count; i++)
        cyg_strbuf_add(out, (const char *)list[i].taps, list[i].taps_size);
}

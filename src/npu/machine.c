/* Machine descriptions: reading, checking, naming.
 *
 * A file describes one chip. What holds for the chip stands at the top, what differs by mode under
 * "modes"; a file without "modes" is one machine and names its mode itself. The built-in
 * descriptions are such files too, turned into bytes at build time (embed.c) and read by the same
 * code, so that no default hides in C: a field that neither the file nor its mode gives is an
 * error. "sources" may say for each field where its value comes from; `cygnet targets` shows it. */
#include "npu/machine.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "io/doc.h"
#include "npu/machine_files.h"

typedef enum field_kind {
    FIELD_TEXT,
    FIELD_COUNT,
    FIELD_RATE,
} field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    size_t offset;
    double low, high;
} field;

static const field fields[CYG_NPU_FIELDS] = {
#define CYG_MACHINE_TEXT(name, text) {#name, FIELD_TEXT, offsetof(cyg_npu_machine, name), 0, 0},
#define CYG_MACHINE_COUNT(name, low, high, unit, text)                                             \
    {#name, FIELD_COUNT, offsetof(cyg_npu_machine, name), low, high},
#define CYG_MACHINE_RATE(name, low, high, unit, text)                                              \
    {#name, FIELD_RATE, offsetof(cyg_npu_machine, name), low, high},
#include "npu/machine.def"
#undef CYG_MACHINE_TEXT
#undef CYG_MACHINE_COUNT
#undef CYG_MACHINE_RATE
};

static const char *const kind_lanes[CYG_NPU_ENGINE_KINDS] = {
#define CYG_ENGINE(id, lane, text) lane,
    CYG_NPU_ENGINES(CYG_ENGINE)
#undef CYG_ENGINE
};

static int64_t kind_count(const cyg_npu_machine *m, cyg_npu_engine_kind kind)
{
    switch (kind) {
    case CYG_NPU_CONV:
        return m->convs;
    case CYG_NPU_TENG:
        return m->tengs;
    case CYG_NPU_CV:
        return m->cvs;
    case CYG_NPU_SDMA:
        return m->sdmas;
    case CYG_NPU_ENGINE_KINDS:
        break;
    }
    return 0;
}

static uint32_t group_size(const cyg_npu_machine *m)
{
    return (uint32_t)(m->convs + m->tengs + m->cvs + m->sdmas);
}

uint32_t cyg_npu_engine_count(const cyg_npu_machine *m)
{
    return (uint32_t)m->groups * group_size(m);
}

uint32_t cyg_npu_engines_of(const cyg_npu_machine *m, cyg_npu_engine_kind kind)
{
    return (uint32_t)(m->groups * kind_count(m, kind));
}

cyg_npu_engine cyg_npu_engine_at(const cyg_npu_machine *m, uint32_t engine)
{
    const uint32_t size = group_size(m);
    cyg_npu_engine e = {.group = engine / size};
    int64_t left = engine % size;
    while (left >= kind_count(m, e.kind))
        left -= kind_count(m, e.kind++);
    snprintf(e.lane, sizeof e.lane, "%s%u", kind_lanes[e.kind], engine);
    return e;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int find_field(const char *name)
{
    for (int i = 0; i < CYG_NPU_FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0)
            return i;
    return -1;
}

static cyg_status fail_unknown(cyg_ctx *ctx, const cyg_doc_node *item, bool at_top)
{
    const char *names[CYG_NPU_FIELDS + 2];
    size_t count = 0;
    for (size_t i = 0; i < CYG_NPU_FIELDS; i++)
        names[count++] = fields[i].name;
    if (at_top) {
        names[count++] = "modes";
        names[count++] = "sources";
    }
    const int near = cyg_nearest_name(item->key, names, count);
    return CYG_DOC_FAIL_KEY(
        ctx, item, CYG_E_CONFIG, "unknown key \"%s\" in a machine description%s%s%s", item->key,
        near >= 0 ? "; did you mean \"" : "", near >= 0 ? names[near] : "", near >= 0 ? "\"?" : "");
}

/* Every key of one map: a field's name, with a value of its kind and inside its range. */
static cyg_status check_field(cyg_ctx *ctx, const cyg_doc_node *item, const field *f)
{
    const char *text;
    int64_t count = 0;
    double rate = 0;
    switch (f->kind) {
    case FIELD_TEXT:
        CYG_DO(cyg_doc_as_string(ctx, item, &text));
        if (text[0] == '\0')
            return CYG_DOC_FAIL(ctx, item, CYG_E_CONFIG, "\"%s\" is empty", f->name);
        return CYG_OK;
    case FIELD_COUNT:
        CYG_DO(cyg_doc_as_int(ctx, item, &count));
        if (count < (int64_t)f->low || count > (int64_t)f->high)
            return CYG_DOC_FAIL(ctx, item, CYG_E_CONFIG, "\"%s\" is %lld; it may be %.0f to %.0f",
                                f->name, (long long)count, f->low, f->high);
        return CYG_OK;
    case FIELD_RATE:
        CYG_DO(cyg_doc_as_float(ctx, item, &rate));
        if (!(rate >= f->low && rate <= f->high))
            return CYG_DOC_FAIL(ctx, item, CYG_E_CONFIG, "\"%s\" is %g; it may be %g to %g",
                                f->name, rate, f->low, f->high);
        return CYG_OK;
    }
    return CYG_OK;
}

static cyg_status check_sources(cyg_ctx *ctx, const cyg_doc_node *sources)
{
    const char *text;
    CYG_DO(cyg_doc_as_map(ctx, sources));
    for (size_t i = 0; i < sources->count; i++) {
        if (find_field(sources->items[i]->key) < 0)
            return fail_unknown(ctx, sources->items[i], false);
        CYG_DO(cyg_doc_as_string(ctx, sources->items[i], &text));
    }
    return CYG_OK;
}

static cyg_status check_mode(cyg_ctx *ctx, const cyg_doc_node *mode)
{
    CYG_DO(cyg_doc_as_map(ctx, mode));
    for (size_t i = 0; i < mode->count; i++) {
        const cyg_doc_node *item = mode->items[i];
        const int f = find_field(item->key);
        if (f < 0)
            return fail_unknown(ctx, item, false);
        if (fields[f].kind == FIELD_TEXT)
            return CYG_DOC_FAIL_KEY(ctx, item, CYG_E_CONFIG, "\"%s\" belongs outside of \"modes\"",
                                    item->key);
        CYG_DO(check_field(ctx, item, &fields[f]));
    }
    return CYG_OK;
}

static cyg_status check_keys(cyg_ctx *ctx, const cyg_doc_node *root)
{
    CYG_DO(cyg_doc_as_map(ctx, root));
    for (size_t i = 0; i < root->count; i++) {
        const cyg_doc_node *item = root->items[i];
        const int f = find_field(item->key);
        if (f >= 0) {
            CYG_DO(check_field(ctx, item, &fields[f]));
        } else if (strcmp(item->key, "sources") == 0) {
            CYG_DO(check_sources(ctx, item));
        } else if (strcmp(item->key, "modes") == 0) {
            CYG_DO(cyg_doc_as_map(ctx, item));
            if (item->count == 0)
                return CYG_DOC_FAIL(ctx, item, CYG_E_CONFIG, "\"modes\" is empty");
            for (size_t k = 0; k < item->count; k++)
                CYG_DO(check_mode(ctx, item->items[k]));
        } else {
            return fail_unknown(ctx, item, true);
        }
    }
    return CYG_OK;
}

static void list_modes(const cyg_doc_node *modes, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < modes->count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i == 0 ? "" : ", ",
                                 modes->items[i]->key);
}

/* The map of the mode wanted (NULL when the file is one machine) and the mode's name. */
static cyg_status choose_mode(cyg_ctx *ctx, const cyg_doc_node *root, const char *mode,
                              const cyg_doc_node **out_map, const char **out_name)
{
    const cyg_doc_node *modes = cyg_doc_get(root, "modes"), *named = cyg_doc_get(root, "mode");
    char list[256];
    *out_map = NULL;
    if (modes == NULL) {
        CYG_DO(cyg_doc_need(ctx, root, "mode", &named));
        CYG_DO(cyg_doc_as_string(ctx, named, out_name));
        if (mode != NULL && strcmp(mode, *out_name) != 0)
            return CYG_DOC_FAIL(ctx, named, CYG_E_CONFIG,
                                "this machine is mode %s, and npu_mode says %s", *out_name, mode);
        return CYG_OK;
    }
    if (named != NULL)
        return CYG_DOC_FAIL_KEY(ctx, named, CYG_E_CONFIG,
                                "\"mode\" and \"modes\" exclude each other");
    list_modes(modes, list, sizeof list);
    if (mode == NULL && modes->count > 1)
        return CYG_DOC_FAIL(ctx, modes, CYG_E_CONFIG, "which mode? The file has %s", list);
    *out_map = mode == NULL ? modes->items[0] : cyg_doc_get(modes, mode);
    if (*out_map == NULL)
        return CYG_DOC_FAIL(ctx, modes, CYG_E_CONFIG, "no mode %s; the file has %s", mode, list);
    *out_name = (*out_map)->key;
    return CYG_OK;
}

static cyg_status fill_field(cyg_ctx *ctx, cyg_arena *arena, const cyg_doc_node *node,
                             const field *f, cyg_npu_machine *m)
{
    char *const at = (char *)m + f->offset;
    const char *text;
    int64_t count;
    double rate;
    switch (f->kind) {
    case FIELD_TEXT:
        CYG_DO(cyg_doc_as_string(ctx, node, &text));
        text = cyg_arena_strdup(arena, text);
        memcpy(at, &text, sizeof text);
        return text == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
    case FIELD_COUNT:
        CYG_DO(cyg_doc_as_int(ctx, node, &count));
        memcpy(at, &count, sizeof count);
        return CYG_OK;
    case FIELD_RATE:
        CYG_DO(cyg_doc_as_float(ctx, node, &rate));
        memcpy(at, &rate, sizeof rate);
        return CYG_OK;
    }
    return CYG_OK;
}

/* What no field alone can show. */
static cyg_status check_whole(cyg_ctx *ctx, const cyg_doc_node *root, const cyg_npu_machine *m)
{
    const int64_t engines = m->groups * (m->convs + m->tengs + m->cvs + m->sdmas);
    if (engines > CYG_NPU_MAX_ENGINES)
        return CYG_DOC_FAIL(ctx, root, CYG_E_CONFIG,
                            "%s %s has %lld engines (groups x (convs + tengs + cvs + sdmas)); at "
                            "most %d are possible",
                            m->chip, m->mode, (long long)engines, CYG_NPU_MAX_ENGINES);
    if (m->ddr_stream_bytes > m->ddr_bytes)
        return CYG_DOC_FAIL(ctx, root, CYG_E_CONFIG,
                            "%s %s: one DDR stream moves %g B a cycle (ddr_stream_bytes), more "
                            "than all together (ddr_bytes, %g)",
                            m->chip, m->mode, m->ddr_stream_bytes, m->ddr_bytes);
    return CYG_OK;
}

static cyg_status fill(cyg_ctx *ctx, cyg_arena *arena, const cyg_doc_node *root, const char *mode,
                       cyg_npu_machine *m)
{
    const cyg_doc_node *mode_map, *sources = cyg_doc_get(root, "sources");
    const char *name;
    CYG_DO(choose_mode(ctx, root, mode, &mode_map, &name));
    for (size_t i = 0; i < CYG_NPU_FIELDS; i++) {
        const cyg_doc_node *said = cyg_doc_get(sources, fields[i].name);
        const cyg_doc_node *node = cyg_doc_get(mode_map, fields[i].name);
        if (node == NULL)
            node = cyg_doc_get(root, fields[i].name);
        if (said != NULL) {
            m->sources[i] = cyg_arena_strdup(arena, said->text);
            if (m->sources[i] == NULL)
                return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        }
        if (i == CYG_NPU_FIELD_mode) {
            m->mode = cyg_arena_strdup(arena, name);
            if (m->mode == NULL)
                return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
            continue;
        }
        if (node == NULL)
            return CYG_DOC_FAIL(ctx, mode_map == NULL ? root : mode_map, CYG_E_CONFIG,
                                "\"%s\" is missing", fields[i].name);
        CYG_DO(fill_field(ctx, arena, node, &fields[i], m));
    }
    return check_whole(ctx, root, m);
}

cyg_status cyg_npu_machine_parse(cyg_ctx *ctx, cyg_arena *arena, const char *path, const void *data,
                                 size_t size, const char *mode, cyg_npu_machine *out_machine)
{
    cyg_doc *doc;
    cyg_npu_machine m = {0};
    CYG_DO(cyg_doc_parse(ctx, path, data, size, CYG_DOC_JSON, &doc));
    const cyg_doc_node *root = cyg_doc_root(doc);
    cyg_status status = check_keys(ctx, root);
    if (status == CYG_OK)
        status = fill(ctx, arena, root, mode, &m);
    if (status == CYG_OK)
        *out_machine = m;
    cyg_doc_close(doc);
    return status;
}

cyg_status cyg_npu_machine_read(cyg_ctx *ctx, cyg_arena *arena, const char *path, const char *mode,
                                cyg_npu_machine *out_machine)
{
    cyg_map map;
    CYG_DO(cyg_map_open(ctx, path, &map));
    const cyg_status status =
        cyg_npu_machine_parse(ctx, arena, path, map.data, map.size, mode, out_machine);
    cyg_map_close(&map);
    return status;
}

static cyg_status list_of_modes(cyg_ctx *ctx, cyg_arena *arena, const cyg_doc_node *root,
                                const char *const **out_modes, size_t *out_count)
{
    const cyg_doc_node *modes = cyg_doc_get(root, "modes"), *mode = NULL;
    const char *only = NULL;
    CYG_DO(cyg_doc_as_map(ctx, root));
    if (modes == NULL) {
        CYG_DO(cyg_doc_need(ctx, root, "mode", &mode));
        CYG_DO(cyg_doc_as_string(ctx, mode, &only));
    } else {
        CYG_DO(cyg_doc_as_map(ctx, modes));
    }
    const size_t count = modes == NULL ? 1 : modes->count;
    const char **names = CYG_NEW_ARRAY(arena, const char *, count + 1);
    if (names == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        names[i] = cyg_arena_strdup(arena, modes == NULL ? only : modes->items[i]->key);
        if (names[i] == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    }
    *out_modes = names;
    *out_count = count;
    return CYG_OK;
}

cyg_status cyg_npu_machine_modes(cyg_ctx *ctx, cyg_arena *arena, const char *path,
                                 const char *const **out_modes, size_t *out_count)
{
    cyg_doc *doc;
    CYG_DO(cyg_doc_open(ctx, path, &doc));
    const cyg_status status = list_of_modes(ctx, arena, cyg_doc_root(doc), out_modes, out_count);
    cyg_doc_close(doc);
    return status;
}

/* ---- built-in ------------------------------------------------------------------------------ */

/* CYG_MACHINE(file's symbol, chip, mode): in the order of `cygnet targets`. */
#define BUILT_IN(CYG_MACHINE)                                                                      \
    CYG_MACHINE(ax650, "AX650", "NPU1")                                                            \
    CYG_MACHINE(ax650, "AX650", "NPU2")                                                            \
    CYG_MACHINE(ax650, "AX650", "NPU3")                                                            \
    CYG_MACHINE(ax620e, "AX620E", "NPU1")                                                          \
    CYG_MACHINE(ax620e, "AX620E", "NPU2")

typedef struct built_in {
    const char *chip, *mode, *path;
    const unsigned char *data;
    size_t size;
} built_in;

static const built_in machines[] = {
#define CYG_MACHINE(file, chip, mode)                                                              \
    {chip, mode, "machines/" #file ".json", cyg_npu_file_##file, sizeof cyg_npu_file_##file},
    BUILT_IN(CYG_MACHINE)
#undef CYG_MACHINE
};

size_t cyg_npu_machine_count(void)
{
    return CYG_COUNT(machines);
}

cyg_status cyg_npu_machine_built_in(cyg_ctx *ctx, cyg_arena *arena, size_t i,
                                    cyg_npu_machine *out_machine)
{
    CYG_ASSERT(i < CYG_COUNT(machines));
    const built_in *b = &machines[i];
    return cyg_npu_machine_parse(ctx, arena, b->path, b->data, b->size, b->mode, out_machine);
}

cyg_status cyg_npu_machine_find(cyg_ctx *ctx, cyg_arena *arena, const char *chip, const char *mode,
                                cyg_npu_machine *out_machine)
{
    char list[512];
    size_t used = 0;
    bool chip_known = false;
    for (size_t i = 0; i < CYG_COUNT(machines); i++) {
        const bool same = strcmp(machines[i].chip, chip) == 0;
        if (same && strcmp(machines[i].mode, mode) == 0)
            return cyg_npu_machine_built_in(ctx, arena, i, out_machine);
        chip_known |= same;
    }
    for (size_t i = 0; i < CYG_COUNT(machines) && used < sizeof list; i++)
        if (!chip_known || strcmp(machines[i].chip, chip) == 0)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s %s",
                                     used == 0 ? "" : ", ", machines[i].chip, machines[i].mode);
    return CYG_FAIL(ctx, CYG_E_CONFIG,
                    "no machine description of %s %s: there are %s (others from a file: "
                    "docs/npu-machines.md)",
                    chip, mode, list);
}

/* Numbers with 17 digits come back as they were. Texts came from JSON, that is from valid UTF-8. */
void cyg_npu_machine_print(const cyg_npu_machine *m, cyg_strbuf *out)
{
    for (size_t i = 0; i < CYG_NPU_FIELDS; i++) {
        const char *at = (const char *)m + fields[i].offset;
        cyg_strbuf_printf(out, "%s\"%s\": ", i == 0 ? "{\n  " : ",\n  ", fields[i].name);
        switch (fields[i].kind) {
        case FIELD_TEXT: {
            const char *text;
            memcpy(&text, at, sizeof text);
            cyg_strbuf_puts(out, "\"");
            for (; *text != '\0'; text++) {
                if (*text == '"' || *text == '\\' || (unsigned char)*text < 32)
                    cyg_strbuf_printf(out, "\\u%04x", (unsigned)(unsigned char)*text);
                else
                    cyg_strbuf_add(out, text, 1);
            }
            cyg_strbuf_puts(out, "\"");
            break;
        }
        case FIELD_COUNT: {
            int64_t count;
            memcpy(&count, at, sizeof count);
            cyg_strbuf_printf(out, "%lld", (long long)count);
            break;
        }
        case FIELD_RATE: {
            double rate;
            memcpy(&rate, at, sizeof rate);
            cyg_strbuf_printf(out, "%.17g", rate);
            break;
        }
        }
    }
    cyg_strbuf_puts(out, "\n}\n");
}

uint64_t cyg_npu_machine_hash(const cyg_npu_machine *m)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < CYG_NPU_FIELDS; i++) {
        const char *at = (const char *)m + fields[i].offset, *text;
        uint64_t bits;
        uint8_t bytes[8];
        hash = cyg_hash64(fields[i].name, strlen(fields[i].name), hash);
        if (fields[i].kind == FIELD_TEXT) {
            memcpy(&text, at, sizeof text);
            hash = cyg_hash64(text, strlen(text), hash);
            continue;
        }
        memcpy(&bits, at, sizeof bits);
        for (unsigned k = 0; k < 8; k++)
            bytes[k] = (uint8_t)(bits >> (8 * k));
        hash = cyg_hash64(bytes, sizeof bytes, hash);
    }
    return hash;
}

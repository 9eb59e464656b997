/* `cygnet inspect` of a package: sections as they lie in the file, tensors, steps, and what META
 * says about how it was made.
 *
 * The reader checks the file first, so the section table may be walked here without asking again.
 * A damaged package is an error, not a partial listing. */
#include "app/inspect.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "format/layout.h"
#include "format/package.h"
#include "io/doc.h"
#include "ir/graph.h"
#include "kernels/call.h"

static const char *section_name(uint32_t kind)
{
    switch (kind) {
#define CYG_SECTION(id, value, name)                                                               \
    case value:                                                                                    \
        return name;
        CYG_SECTIONS(CYG_SECTION)
#undef CYG_SECTION
    default:
        return "unknown";
    }
}

static const char *tensor_kind(int32_t kind)
{
    static const char *const names[] = {"arena", "const", "input", "output", "alias", "inner"};
    return kind >= 0 && (size_t)kind < CYG_COUNT(names) ? names[kind] : "?";
}

static const char *kernel_name(int32_t op)
{
    const cyg_kop_info *info = cyg_kop_info_of(op);
    return info != NULL ? info->name : "unknown";
}

static const char *type_name(int32_t type)
{
    return type >= 0 && type < CYG_TYPE_COUNT ? cyg_type_name((cyg_type)type) : "?";
}

static void describe(const cyg_tensor *t, cyg_strbuf *out)
{
    cyg_strbuf_printf(out, "%s ", type_name(t->type));
    if (t->rank == 0)
        cyg_strbuf_puts(out, "scalar");
    for (int i = 0; i < t->rank; i++)
        cyg_strbuf_printf(out, "%s%lld", i > 0 ? "x" : "", (long long)t->dims[i]);
}

/* ---- text ---- */

static void print_sections(cyg_app *app, const cyg_package *k)
{
    const uint8_t *d = k->map.data;
    char bytes[32];
    for (uint32_t i = 0; i < cyg_load_u32(d + 12); i++) {
        const uint8_t *row = d + CYG_PK_HEADER + (size_t)i * CYG_PK_ROW;
        cyg_app_print_result(
            app, "  %-12s%-10s%12s  at %llu, checksum %016llx\n", i == 0 ? "sections" : "",
            section_name(cyg_load_u32(row)), cyg_text_bytes(cyg_load_u64(row + 16), bytes),
            (unsigned long long)cyg_load_u64(row + 8), (unsigned long long)cyg_load_u64(row + 24));
    }
}

static void print_ends(cyg_app *app, const cyg_program *p, const char *title, const uint32_t *ids,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const cyg_tensor *t = &p->tensors[ids[i]];
        cyg_strbuf text = {0};
        describe(t, &text);
        if (t->scale > 0)
            cyg_strbuf_printf(&text, ", scale %.9g, zero point %d", (double)t->scale,
                              t->zero_point);
        cyg_app_print_result(app, "  %-12s%s   %s\n", i == 0 ? title : "", t->name,
                             text.data != NULL ? text.data : "");
        cyg_strbuf_deinit(&text);
    }
}

static void print_steps(cyg_app *app, const cyg_program *p)
{
    char macs[32];
    cyg_app_print_result(app, "\n%5s  %-16s%-24s%14s  %s\n", "step", "kernel", "result", "MACs",
                         "name");
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_step *s = &p->steps[i];
        cyg_strbuf text = {0};
        if (s->out_count > 0 && s->out[0] != CYG_NO_TENSOR)
            describe(&p->tensors[s->out[0]], &text);
        cyg_app_print_result(app, "%5u  %-16s%-24s%14s  %s\n", i, kernel_name(s->op),
                             text.data != NULL ? text.data : "",
                             s->macs > 0 ? cyg_text_count(s->macs, macs) : "", s->name);
        cyg_strbuf_deinit(&text);
    }
}

static const char *text_of(const cyg_doc_node *node)
{
    return node != NULL && node->kind != CYG_DOC_LIST && node->kind != CYG_DOC_MAP ? node->text
                                                                                   : NULL;
}

/* The entries of META that people ask for; `inspect --json` has all of it. */
static void print_meta(cyg_app *app, const cyg_doc_node *root)
{
    static const char *const maps[] = {"model", "input", "preprocess", "calibration",
                                       "golden_check"};
    if (text_of(cyg_doc_get(root, "cygnet")) != NULL)
        cyg_app_print_result(app, "  %-12scygnet %s\n", "made by",
                             text_of(cyg_doc_get(root, "cygnet")));
    for (size_t m = 0; m < CYG_COUNT(maps); m++) {
        const cyg_doc_node *map = cyg_doc_get(root, maps[m]);
        if (map == NULL || map->kind != CYG_DOC_MAP)
            continue;
        cyg_app_print_result(app, "  %-12s", maps[m]);
        for (size_t i = 0, shown = 0; i < map->count; i++)
            if (text_of(map->items[i]) != NULL)
                cyg_app_print_result(app, "%s%s %s", shown++ > 0 ? ", " : "", map->items[i]->key,
                                     text_of(map->items[i]));
        cyg_app_print_result(app, "\n");
    }
    const cyg_doc_node *labels = cyg_doc_get(root, "labels");
    if (labels != NULL && labels->kind == CYG_DOC_LIST)
        cyg_app_print_result(app, "  %-12s%zu\n", "labels", labels->count);
}

static int64_t total_macs(const cyg_program *p)
{
    int64_t macs = 0;
    for (uint32_t i = 0; i < p->step_count; i++)
        macs += p->steps[i].macs;
    return macs;
}

/* The programs of a package that has several; the first is shown in full. */
static void print_variants(cyg_app *app, const cyg_package *k)
{
    char macs[32], arena[32];
    for (uint32_t i = 0; k->program_count > 1 && i < k->program_count; i++) {
        const cyg_program *p = &k->programs[i];
        cyg_app_print_result(app, "  %-12sgroup %u, batch %u: %s MACs, activations %s\n",
                             i == 0 ? "variants" : "", p->group, p->batch,
                             cyg_text_count(total_macs(p), macs),
                             cyg_text_bytes(p->arena_bytes, arena));
    }
}

static void print_subgraphs(cyg_app *app, const cyg_package *k)
{
    char params[32], taps[32];
    for (uint32_t i = 0; i < k->subgraph_count; i++) {
        const cyg_subgraph *g = &k->subgraphs[i];
        cyg_app_print_result(
            app, "  %-12s%s for %s: program %u, steps %u to %u, parameters %s, taps %s\n",
            i == 0 ? "subgraphs" : "", g->name, g->executor, g->program, g->first_step,
            g->first_step + g->step_count - 1, cyg_text_bytes(g->params_size, params),
            g->taps_size > 0 ? cyg_text_bytes(g->taps_size, taps) : "none");
    }
}

static void print_text(cyg_app *app, const char *path, const cyg_package *k, const char *sha256,
                       const cyg_doc_node *meta)
{
    const cyg_program *p = k->programs;
    char a[32];
    cyg_app_print_result(app, "%s   package, version %d   %s\n", path, CYG_PACKAGE_VERSION,
                         cyg_text_bytes(k->map.size, a));
    cyg_app_print_result(app, "  %-12s%s\n", "sha256", sha256);
    print_meta(app, meta);
    print_sections(app, k);
    print_variants(app, k);
    print_subgraphs(app, k);
    print_ends(app, p, "inputs", p->inputs, p->input_count);
    print_ends(app, p, "outputs", p->outputs, p->output_count);
    cyg_app_print_result(app, "  %-12s%u steps, %u tensors, %s MACs", "program", p->step_count,
                         p->tensor_count, cyg_text_count(total_macs(p), a));
    cyg_app_print_result(app, ", activations %s\n", cyg_text_bytes(p->arena_bytes, a));
    print_steps(app, p);
}

/* ---- JSON ---- */

static void write_sections(cyg_json *json, const cyg_package *k)
{
    const uint8_t *d = k->map.data;
    char sum[24];
    cyg_json_key(json, "sections");
    cyg_json_begin_array(json);
    for (uint32_t i = 0; i < cyg_load_u32(d + 12); i++) {
        const uint8_t *row = d + CYG_PK_HEADER + (size_t)i * CYG_PK_ROW;
        snprintf(sum, sizeof sum, "%016llx", (unsigned long long)cyg_load_u64(row + 24));
        cyg_json_begin_object(json);
        cyg_json_key_string(json, "name", section_name(cyg_load_u32(row)));
        cyg_json_key_int(json, "offset", (int64_t)cyg_load_u64(row + 8));
        cyg_json_key_int(json, "bytes", (int64_t)cyg_load_u64(row + 16));
        cyg_json_key_string(json, "checksum", sum);
        cyg_json_end_object(json);
    }
    cyg_json_end_array(json);
}

static void write_variants(cyg_json *json, const cyg_package *k)
{
    cyg_json_key(json, "variants");
    cyg_json_begin_array(json);
    for (uint32_t i = 0; i < k->program_count; i++) {
        const cyg_program *p = &k->programs[i];
        cyg_json_begin_object(json);
        cyg_json_key_int(json, "group", p->group);
        cyg_json_key_int(json, "batch", p->batch);
        cyg_json_key_int(json, "macs", total_macs(p));
        cyg_json_key_int(json, "arena_bytes", (int64_t)p->arena_bytes);
        cyg_json_end_object(json);
    }
    cyg_json_end_array(json);
}

static void write_subgraphs(cyg_json *json, const cyg_package *k)
{
    cyg_json_key(json, "subgraphs");
    cyg_json_begin_array(json);
    for (uint32_t i = 0; i < k->subgraph_count; i++) {
        const cyg_subgraph *g = &k->subgraphs[i];
        cyg_json_begin_object(json);
        cyg_json_key_string(json, "name", g->name);
        cyg_json_key_string(json, "executor", g->executor);
        cyg_json_key_int(json, "program", g->program);
        cyg_json_key_int(json, "first_step", g->first_step);
        cyg_json_key_int(json, "steps", g->step_count);
        cyg_json_key_int(json, "code_bytes", (int64_t)g->code_size);
        cyg_json_key_int(json, "parameter_bytes", (int64_t)g->params_size);
        cyg_json_key_int(json, "tap_bytes", (int64_t)g->taps_size);
        cyg_json_end_object(json);
    }
    cyg_json_end_array(json);
}

static void write_tensors(cyg_json *json, const cyg_program *p)
{
    cyg_json_key(json, "tensors");
    cyg_json_begin_array(json);
    for (uint32_t i = 0; i < p->tensor_count; i++) {
        const cyg_tensor *t = &p->tensors[i];
        cyg_json_begin_object(json);
        cyg_json_key_string(json, "name", t->name);
        cyg_json_key_string(json, "kind", tensor_kind(t->kind));
        cyg_json_key_string(json, "type", type_name(t->type));
        cyg_json_key_ints(json, "shape", t->dims, (size_t)t->rank);
        if (t->scale > 0) {
            cyg_json_key(json, "scale");
            cyg_json_float(json, t->scale);
            cyg_json_key_int(json, "zero_point", t->zero_point);
        }
        cyg_json_end_object(json);
    }
    cyg_json_end_array(json);
}

static void write_ids(cyg_json *json, const char *key, const uint32_t *ids, uint32_t count)
{
    cyg_json_key(json, key);
    cyg_json_begin_inline_array(json);
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == CYG_NO_TENSOR)
            cyg_json_null(json);
        else
            cyg_json_int(json, ids[i]);
    }
    cyg_json_end_array(json);
}

static void write_steps(cyg_json *json, const cyg_program *p)
{
    cyg_json_key(json, "steps");
    cyg_json_begin_array(json);
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_step *s = &p->steps[i];
        cyg_json_begin_object(json);
        cyg_json_key_int(json, "index", i);
        cyg_json_key_string(json, "name", s->name);
        cyg_json_key_string(json, "kernel", kernel_name(s->op));
        write_ids(json, "inputs", s->in, s->in_count);
        write_ids(json, "outputs", s->out, s->out_count);
        cyg_json_key_int(json, "macs", s->macs);
        cyg_json_key_string(json, "sources", s->sources);
        cyg_json_end_object(json);
    }
    cyg_json_end_array(json);
}

static cyg_status print_json(cyg_app *app, const cyg_package *k, const char *sha256,
                             const cyg_doc_node *meta)
{
    const cyg_program *p = k->programs;
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 2);
    cyg_json_begin_object(&json);
    cyg_json_key_string(&json, "kind", "package");
    cyg_json_key_int(&json, "version", CYG_PACKAGE_VERSION);
    cyg_json_key_int(&json, "bytes", (int64_t)k->map.size);
    cyg_json_key_string(&json, "sha256", sha256);
    cyg_json_key_int(&json, "macs", total_macs(p));
    cyg_json_key_int(&json, "arena_bytes", (int64_t)p->arena_bytes);
    cyg_json_key_int(&json, "weights_bytes", (int64_t)k->weights_size);
    write_sections(&json, k);
    write_variants(&json, k);
    write_subgraphs(&json, k);
    write_ids(&json, "inputs", p->inputs, p->input_count);
    write_ids(&json, "outputs", p->outputs, p->output_count);
    write_tensors(&json, p);
    write_steps(&json, p);
    cyg_json_key(&json, "meta");
    cyg_doc_write(meta, &json);
    cyg_json_end_object(&json);
    const cyg_status status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_inspect_package(cyg_app *app, const char *path)
{
    cyg_package k = {0};
    cyg_doc *meta = NULL;
    char sha256[65];
    CYG_DO(cyg_package_open(&app->ctx, path, &app->arena, NULL, &k));
    cyg_sha256_hex(k.map.data, k.map.size, sha256);
    cyg_status status =
        cyg_doc_parse(&app->ctx, "section \"meta\"", k.meta, k.meta_size, CYG_DOC_JSON, &meta);
    if (status != CYG_OK)
        status = CYG_FAIL(&app->ctx, status, "%s", path);
    else if (app->json)
        status = print_json(app, &k, sha256, cyg_doc_root(meta));
    else
        print_text(app, path, &k, sha256, cyg_doc_root(meta));
    cyg_doc_close(meta);
    cyg_package_close(&k);
    return status;
}

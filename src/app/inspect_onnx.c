/* `cygnet inspect` of an ONNX model: inputs, outputs, operators, parameters, opset.
 *
 * Operators are counted in the canonical form that import makes (docs/ir.md), where opset
 * differences are gone; the counts of the file itself stand in the first lines. Parameters are the
 * elements of all floating-point constants. */
#include "app/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "ir/graph.h"
#include "onnx/onnx.h"

typedef struct op_count {
    const char *name;
    int64_t count;
} op_count;

typedef struct model_facts {
    cyg_graph *graph;
    cyg_onnx_info info;
    op_count ops[CYG_OP_COUNT];
    size_t op_count;
    int64_t parameters;
    size_t file_bytes;
    char sha256[65];
} model_facts;

static int by_count(const void *a, const void *b)
{
    const op_count *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void count_ops(model_facts *f)
{
    for (int i = 0; i < CYG_OP_COUNT; i++)
        f->ops[i].name = cyg_op_schema_of((cyg_op)i)->onnx;
    for (uint32_t i = 0; i < f->graph->order_count; i++)
        f->ops[cyg_nod(f->graph, f->graph->order[i])->op].count++;
    qsort(f->ops, CYG_OP_COUNT, sizeof f->ops[0], by_count);
    while (f->op_count < CYG_OP_COUNT && f->ops[f->op_count].count > 0)
        f->op_count++;
}

static void count_parameters(model_facts *f)
{
    for (uint32_t i = 0; i < f->graph->value_count; i++) {
        const cyg_value *v = &f->graph->values[i];
        if (v->is_const && (v->type == CYG_TYPE_F32 || v->type == CYG_TYPE_F16 ||
                            v->type == CYG_TYPE_BF16 || v->type == CYG_TYPE_F64))
            f->parameters += cyg_value_elements(v);
    }
}

static void describe(const cyg_graph *g, const cyg_value *v, cyg_strbuf *out)
{
    cyg_strbuf_printf(out, "%s ", cyg_type_name(v->type));
    if (v->rank == CYG_RANK_UNKNOWN) {
        cyg_strbuf_puts(out, "of unknown rank");
        return;
    }
    if (v->rank == 0)
        cyg_strbuf_puts(out, "scalar");
    for (int i = 0; i < v->rank; i++) {
        cyg_strbuf_puts(out, i > 0 ? "x" : "");
        if (v->dims[i] >= 0)
            cyg_strbuf_printf(out, "%lld", (long long)v->dims[i]);
        else
            cyg_strbuf_puts(out, g->symbols[-v->dims[i] - 1]);
    }
}

static void print_values(cyg_app *app, const cyg_graph *g, const char *title,
                         const cyg_value_id *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const cyg_value *v = cyg_val(g, ids[i]);
        cyg_strbuf text = {0};
        describe(g, v, &text);
        cyg_app_print_result(app, "  %-12s%s   %s\n", i == 0 ? title : "", v->name,
                             text.data != NULL ? text.data : "");
        cyg_strbuf_deinit(&text);
    }
}

static void print_text(cyg_app *app, const char *path, const model_facts *f)
{
    const cyg_graph *g = f->graph;
    char a[32], b[32];
    cyg_app_print_result(app, "%s   ONNX, opset %d   %s\n", path, f->info.opset,
                         cyg_text_bytes(f->file_bytes, a));
    cyg_app_print_result(app, "  %-12s%s in the file, %s without Constant\n", "nodes",
                         cyg_text_count(f->info.nodes, a),
                         cyg_text_count(f->info.nodes_without_constant, b));
    cyg_app_print_result(app, "  %-12s%s\n", "parameters", cyg_text_count(f->parameters, a));
    cyg_app_print_result(app, "  %-12s%s\n", "sha256", f->sha256);
    print_values(app, g, "inputs", g->inputs, g->input_count);
    print_values(app, g, "outputs", g->outputs, g->output_count);
    for (size_t i = 0; i < f->op_count; i++)
        cyg_app_print_result(app, "  %-12s%8s  %s\n", i == 0 ? "operators" : "",
                             cyg_text_count(f->ops[i].count, a), f->ops[i].name);
}

static void write_values(cyg_json *json, const cyg_graph *g, const char *key,
                         const cyg_value_id *ids, uint32_t count)
{
    cyg_json_key(json, key);
    cyg_json_begin_array(json);
    for (uint32_t i = 0; i < count; i++) {
        const cyg_value *v = cyg_val(g, ids[i]);
        cyg_json_begin_object(json);
        cyg_json_key_string(json, "name", v->name);
        cyg_json_key_string(json, "type", cyg_type_name(v->type));
        cyg_json_key(json, "shape");
        cyg_json_begin_inline_array(json);
        for (int k = 0; v->rank != CYG_RANK_UNKNOWN && k < v->rank; k++) {
            if (v->dims[k] >= 0)
                cyg_json_int(json, v->dims[k]);
            else
                cyg_json_string(json, g->symbols[-v->dims[k] - 1]);
        }
        cyg_json_end_array(json);
        cyg_json_end_object(json);
    }
    cyg_json_end_array(json);
}

static cyg_status print_json(cyg_app *app, const model_facts *f)
{
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 2);
    cyg_json_begin_object(&json);
    cyg_json_key_string(&json, "kind", "onnx");
    cyg_json_key_int(&json, "bytes", (int64_t)f->file_bytes);
    cyg_json_key_string(&json, "sha256", f->sha256);
    cyg_json_key_int(&json, "opset", f->info.opset);
    cyg_json_key_int(&json, "nodes", f->info.nodes);
    cyg_json_key_int(&json, "nodes_without_constant", f->info.nodes_without_constant);
    cyg_json_key_int(&json, "parameters", f->parameters);
    write_values(&json, f->graph, "inputs", f->graph->inputs, f->graph->input_count);
    write_values(&json, f->graph, "outputs", f->graph->outputs, f->graph->output_count);
    cyg_json_key(&json, "operators");
    cyg_json_begin_object(&json);
    for (size_t i = 0; i < f->op_count; i++)
        cyg_json_key_int(&json, f->ops[i].name, f->ops[i].count);
    cyg_json_end_object(&json);
    cyg_json_end_object(&json);
    const cyg_status status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_inspect_onnx(cyg_app *app, const char *path)
{
    const cyg_onnx_import_options options = {.keep_symbolic = true};
    model_facts f = {0};
    cyg_map map;
    CYG_DO(cyg_map_open(&app->ctx, path, &map));
    f.file_bytes = map.size;
    cyg_sha256_hex(map.data, map.size, f.sha256);
    cyg_map_close(&map);
    CYG_DO(cyg_onnx_import(&app->ctx, path, &options, &f.graph, &f.info));
    count_ops(&f);
    count_parameters(&f);
    cyg_status status = CYG_OK;
    if (app->json)
        status = print_json(app, &f);
    else
        print_text(app, path, &f);
    cyg_graph_destroy(f.graph);
    return status;
}

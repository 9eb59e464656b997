/* ONNX import, the order of things:
 *
 *   1. map the file, decode its messages
 *   2. name inputs and constants; walk the nodes, opening functions, collecting refusals
 *   3. one error for all that is unsupported, before any other complaint about the graph
 *   4. inputs and outputs, order, symbols
 *   5. verify, infer shapes, settle what needed shapes, verify again
 *
 * What the file states about inner tensors (value_info) is not read: shapes are inferred from the
 * inputs, and exporters get it wrong often enough (torch's dynamo exporter states attention's
 * second output with its dimensions swapped) that believing it would refuse good models. What it
 * states about outputs is held against what is inferred.
 *
 * The graph keeps the map: constants point into it. Everything that is only needed on the way lives
 * in a scratch arena. On failure nothing is left behind. */
#include "onnx/import.h"

#include <string.h>

static cyg_status check_opset(cyg_onnx_importer *imp, int *out_opset)
{
    const cyg_onnx_scope top = {.prefix = ""};
    const int opset = cyg_onnx_opset_of(imp, &top, "");
    *out_opset = opset;
    if (opset == 0 && imp->model.opset_count > 0)
        return CYG_OK; /* a file without standard operators; its nodes are refused one by one */
    if (opset == 0)
        return CYG_FAIL(imp->ctx, CYG_E_FORMAT,
                        "%s: expected the version of the standard operators (opset_import), found "
                        "none",
                        imp->path);
    if (opset < CYG_ONNX_OPSET_MIN || opset > CYG_ONNX_OPSET_MAX)
        return CYG_FAIL(imp->ctx, CYG_E_UNSUPPORTED, "%s: expected opset %d to %d, found %d",
                        imp->path, CYG_ONNX_OPSET_MIN, CYG_ONNX_OPSET_MAX, opset);
    return CYG_OK;
}

/* Names what the main graph starts from. */
static cyg_status fill_scope(cyg_onnx_importer *imp, cyg_onnx_scope *s)
{
    const cyg_onnx_graph *file = &imp->model.graph;
    for (uint32_t i = 0; i < file->initializer_count; i++) {
        const cyg_onnx_tensor_ref *ref = &file->initializers[i];
        if (ref->name[0] == '\0')
            return CYG_FAIL(imp->ctx, CYG_E_GRAPH, "%s: initialiser %u has no name", imp->path, i);
        cyg_onnx_entry *e = cyg_onnx_scope_entry(imp, s, ref->name);
        if (e == NULL)
            return CYG_ONNX_NOMEM(imp);
        if (e->initializer != NULL)
            return CYG_FAIL(imp->ctx, CYG_E_GRAPH, "%s: two initialisers are called \"%s\"",
                            imp->path, ref->name);
        e->initializer = ref;
        e->defined = true;
    }
    for (uint32_t i = 0; i < file->output_count; i++) {
        cyg_onnx_entry *e = cyg_onnx_scope_entry(imp, s, file->outputs[i].name);
        if (e == NULL)
            return CYG_ONNX_NOMEM(imp);
        e->info = &file->outputs[i];
    }
    return CYG_OK;
}

static cyg_status find_outputs(cyg_onnx_importer *imp, cyg_onnx_scope *s, cyg_value_id *out)
{
    const cyg_onnx_graph *file = &imp->model.graph;
    const bool unsorted = imp->unsorted;
    if (file->output_count == 0)
        return CYG_FAIL(imp->ctx, CYG_E_GRAPH, "%s: the graph has no outputs", imp->path);
    for (uint32_t i = 0; i < file->output_count; i++) {
        const cyg_onnx_value_info *info = &file->outputs[i];
        if (info->name[0] == '\0')
            return CYG_FAIL(imp->ctx, CYG_E_GRAPH, "%s: output %u has no name", imp->path, i);
        if (info->foreign != NULL)
            CYG_DO(cyg_onnx_refuse(imp, "output", "", info->name, 0, info->foreign));
        CYG_DO(cyg_onnx_scope_use(imp, s, info->name, "the graph's output", &out[i]));
    }
    imp->unsorted = unsorted;
    return CYG_OK;
}

static cyg_status add_metas(cyg_onnx_importer *imp)
{
    const cyg_onnx_model *m = &imp->model;
    for (uint32_t i = 0; i < m->meta_count; i++)
        if (m->metas[i].key[0] != '\0')
            cyg_graph_set_meta(imp->graph, m->metas[i].key, m->metas[i].value);
    if (m->producer[0] != '\0' && cyg_graph_meta(imp->graph, "producer") == NULL)
        cyg_graph_set_meta(imp->graph, "producer", m->producer);
    return cyg_graph_failed(imp->graph) ? CYG_ONNX_NOMEM(imp) : CYG_OK;
}

/* A graph that a file describes badly is the file's fault, not ours. */
static cyg_status blame_file(cyg_onnx_importer *imp, cyg_status status)
{
    if (status == CYG_OK)
        return CYG_OK;
    return CYG_FAIL(imp->ctx, status == CYG_E_INTERNAL ? CYG_E_GRAPH : status,
                    "%s: the model is not a valid graph", imp->path);
}

/* Steps 2 to 4. */
static cyg_status build(cyg_onnx_importer *imp)
{
    const cyg_onnx_graph *file = &imp->model.graph;
    cyg_onnx_scope top = {.prefix = ""};
    cyg_value_id *inputs, *outputs;
    uint32_t input_count;
    imp->graph->opset = CYG_ONNX_OPSET_CANONICAL;
    imp->graph->name = cyg_arena_strdup(&imp->graph->arena, file->name);
    outputs = CYG_NEW_ARRAY(&imp->scratch, cyg_value_id, file->output_count + 1);
    if (imp->graph->name == NULL || outputs == NULL)
        return CYG_ONNX_NOMEM(imp);
    if (file->sparse_count > 0)
        CYG_DO(cyg_onnx_refuse(imp, "initialiser", "", "sparse_initializer", 0, "a sparse tensor"));
    CYG_DO(fill_scope(imp, &top));
    CYG_DO(cyg_onnx_add_inputs(imp, &top, &inputs, &input_count));
    for (uint32_t i = 0; i < file->output_count; i++)
        CYG_DO(cyg_onnx_scope_reserve(imp, &top, file->outputs[i].name));
    CYG_DO(cyg_onnx_walk(imp, &top, file->nodes, file->node_count));
    CYG_DO(find_outputs(imp, &top, outputs));
    CYG_DO(cyg_onnx_scope_close(imp, &top));
    CYG_DO(cyg_onnx_report_refusals(imp));
    CYG_DO(
        cyg_graph_set_io(imp->ctx, imp->graph, inputs, input_count, outputs, file->output_count));
    CYG_DO(add_metas(imp));
    if (imp->unsorted)
        CYG_DO(blame_file(imp, cyg_graph_sort(imp->ctx, imp->graph)));
    return cyg_onnx_bind_inputs(imp);
}

static void count_nodes(const cyg_onnx_graph *file, cyg_onnx_info *info)
{
    info->nodes = info->nodes_without_constant = file->node_count;
    for (uint32_t i = 0; i < file->node_count; i++)
        info->nodes_without_constant -=
            file->nodes[i].domain[0] == '\0' && strcmp(file->nodes[i].op_type, "Constant") == 0;
}

static cyg_status run(cyg_onnx_importer *imp, cyg_onnx_info *info)
{
    cyg_ctx *ctx = imp->ctx;
    CYG_DO(cyg_onnx_decode(ctx, imp->path, imp->file, true, &imp->scratch, &imp->model));
    CYG_DO(check_opset(imp, &info->opset));
    count_nodes(&imp->model.graph, info);
    CYG_DO(build(imp));
    if (imp->options != NULL && imp->options->edit != NULL)
        CYG_DO(imp->options->edit(ctx, imp->options->user, imp->graph));
    CYG_DO(blame_file(imp, cyg_graph_verify(ctx, imp->graph)));
    CYG_TRY(ctx, cyg_graph_infer_shapes(ctx, imp->graph), "%s: shapes do not fit", imp->path);
    CYG_TRY(ctx, cyg_onnx_settle(imp), "%s: shapes do not fit", imp->path);
    return blame_file(imp, cyg_graph_verify(ctx, imp->graph));
}

cyg_status cyg_onnx_import(cyg_ctx *ctx, const char *path, const cyg_onnx_import_options *options,
                           cyg_graph **out_graph, cyg_onnx_info *out_info)
{
    cyg_onnx_importer imp = {.ctx = ctx, .path = path, .options = options};
    cyg_onnx_info info = {0};
    cyg_map map = {0};
    cyg_status status = CYG_OK;
    *out_graph = NULL;
    cyg_arena_init(&imp.scratch);
    imp.graph = cyg_graph_create();
    if (imp.graph == NULL) {
        status = CYG_ONNX_NOMEM(&imp);
        goto done;
    }
    status = cyg_map_open(ctx, path, &map);
    if (status != CYG_OK)
        goto done;
    imp.file = (cyg_span){map.data, map.size};
    status = cyg_graph_adopt_map(ctx, imp.graph, &map);
    if (status != CYG_OK)
        goto done;
    status = run(&imp, &info);
    if (status != CYG_OK)
        goto done;
    /* Reading touched all of it; what is used in place comes back when it is. */
    cyg_map_release_pages(&(cyg_map){.data = imp.file.data, .size = imp.file.size}, 0,
                          imp.file.size);
    *out_graph = imp.graph;
    imp.graph = NULL;
    if (out_info != NULL)
        *out_info = info;
done:
    cyg_map_close(&map);
    if (imp.graph != NULL)
        cyg_graph_destroy(imp.graph);
    cyg_arena_deinit(&imp.scratch);
    return status;
}

/* Opening a model: recognise, read the settings, build, complain about everything at once, check.
 *
 * The order of authority for a number: --set, --model_config, config.json beside the checkpoint,
 * shapes of tensors, timm's architecture name, an assumption that is told in a note. Tensors are
 * asked for with the shapes that follow, so a wrong setting shows as a list of shapes that do not
 * fit. */
#include "models/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/net.h"

static const struct {
    cyg_arch_info info;
    cyg_family family;
    cyg_role sign;
} table[] = {
#define CYG_MODEL(id, family, sign, title, summary)                                                \
    {{#id, title, summary}, CYG_FAMILY_##family, CYG_ROLE_##sign},
#include "models/models.def"
#undef CYG_MODEL
};

size_t cyg_arch_count(void)
{
    return CYG_COUNT(table);
}

const cyg_arch_info *cyg_arch_at(size_t i)
{
    return &table[i].info;
}

static bool has_role(const cyg_binding *b, cyg_role role)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].key >> 40 == (uint64_t)role)
            return true;
    return false;
}

static void name_architecture(cyg_net *n)
{
    const char *layout = cyg_layout_name(n->bound.layout);
    const size_t stem = strcspn(layout, "_");
    size_t found = CYG_COUNT(table);
    for (size_t i = 0; i < CYG_COUNT(table) && found == CYG_COUNT(table); i++)
        if (table[i].family == n->bound.family &&
            (table[i].sign == CYG_ROLE_IGNORED || has_role(&n->bound, table[i].sign)))
            found = i;
    for (size_t i = 0; i < CYG_COUNT(table); i++)
        if (strlen(table[i].info.id) == stem && strncmp(table[i].info.id, layout, stem) == 0 &&
            table[found].sign == CYG_ROLE_IGNORED)
            found = i;
    n->model->architecture = table[found].info.id;
    n->model->title = table[found].info.title;
    n->model->library = cyg_library_name(n->bound.library);
}

/* ---- settings that every family has ---- */

static cyg_status read_activation(cyg_net *n)
{
    static const struct {
        const char *name;
        cyg_act act;
    } acts[] = {{"gelu", CYG_ACT_GELU_ERF},       {"gelu_new", CYG_ACT_GELU_TANH},
                {"gelu_tanh", CYG_ACT_GELU_TANH}, {"gelu_pytorch_tanh", CYG_ACT_GELU_TANH},
                {"quick_gelu", CYG_ACT_NONE},     {"relu", CYG_ACT_RELU},
                {"silu", CYG_ACT_SILU},           {"swish", CYG_ACT_SILU}};
    const char *name = cyg_settings_text(&n->settings, CYG_SETTING_ACT);
    const char *arch = cyg_settings_text(&n->settings, CYG_SETTING_ARCH);
    n->act = CYG_ACT_GELU_ERF;
    if (name == NULL && arch != NULL && strstr(arch, "quickgelu") != NULL)
        name = "quick_gelu"; /* timm's CLIP of OpenAI */
    if (name == NULL)
        return CYG_OK;
    for (size_t i = 0; i < CYG_COUNT(acts); i++)
        if (strcmp(acts[i].name, name) == 0) {
            n->act = acts[i].act;
            n->quick_gelu = acts[i].act == CYG_ACT_NONE;
            return CYG_OK;
        }
    return CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED, "hidden_act \"%s\" is not known", name);
}

/* id2label: {"0": "cat", ...}, every number below the count once. */
static cyg_status read_labels(cyg_net *n)
{
    const cyg_doc_node *map = cyg_settings_find(&n->settings, CYG_SETTING_ID2LABEL);
    cyg_converted *m = n->model;
    if (map == NULL || map->kind != CYG_DOC_MAP || map->count == 0)
        return CYG_OK;
    const char **labels = CYG_NEW_ARRAY(&m->arena, const char *, map->count);
    if (labels == NULL)
        return CYG_FAIL(n->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < map->count; i++) {
        const cyg_doc_node *item = map->items[i];
        char *end;
        const unsigned long id = strtoul(item->key, &end, 10);
        const char *text;
        if (*item->key < '0' || *item->key > '9' || *end != '\0' || id >= map->count ||
            labels[id] != NULL)
            return CYG_DOC_FAIL_KEY(n->ctx, item, CYG_E_CONFIG,
                                    "id2label: expected each of 0 to %zu once, found \"%s\"",
                                    map->count - 1, item->key);
        CYG_DO(cyg_doc_as_string(n->ctx, item, &text));
        labels[id] = cyg_arena_strdup(&m->arena, text);
        if (labels[id] == NULL)
            return CYG_FAIL(n->ctx, CYG_E_NOMEM, "out of memory");
    }
    m->labels = labels;
    m->label_count = map->count;
    return CYG_OK;
}

/* preprocessor_config.json beside the checkpoint, or a config.json that holds timm's. */
static void find_preprocessor(cyg_net *n, const char *path)
{
    cyg_converted *m = n->model;
    const char *slash = strrchr(path, '/');
    const int folder = cyg_path_is_dir(path) ? (int)strlen(path)
                       : slash != NULL       ? (int)(slash - path)
                                             : -1;
    char *file = folder < 0
                     ? cyg_arena_strdup(&m->arena, "preprocessor_config.json")
                     : cyg_arena_printf(&m->arena, "%.*s/preprocessor_config.json", folder, path);
    if (file != NULL && cyg_path_exists(file))
        m->preprocessor = file;
    else if (n->settings.roots[2] != NULL &&
             cyg_doc_get(n->settings.roots[2], "pretrained_cfg") != NULL)
        m->preprocessor = n->settings.config_path;
}

/* ---- what is wrong, all of it ---- */

static cyg_status complain(cyg_net *n)
{
    const cyg_converted *m = n->model;
    for (size_t i = 0; i < n->bound.unknown_count; i++)
        cyg_faults_add_extra(&n->faults, n->bound.unknown[i]);
    for (size_t i = 0; i < n->bound.count; i++)
        if (!n->bound.items[i].used)
            cyg_faults_add_extra(&n->faults, n->bound.items[i].tensor);
    const char *taken_for =
        cyg_arena_printf(&n->model->arena, "%s as %s writes it (image %lld x %lld)", m->title,
                         m->library, (long long)m->height, (long long)m->width);
    return cyg_faults_report(n->ctx, &n->faults, m->title,
                             taken_for != NULL ? taken_for : m->title);
}

/* ---- opening ---- */

static cyg_status build(cyg_net *n, const cyg_convert_options *o)
{
    cyg_value_id result = CYG_NO_VALUE;
    cyg_converted *m = n->model;
    CYG_DO(cyg_bind(n->ctx, m->checkpoint, &m->arena, &n->bound));
    name_architecture(n);
    CYG_DO(cyg_settings_open(n->ctx, &m->arena, o->path, o->config_file, o->sets, o->set_count,
                             &n->settings));
    CYG_DO(read_activation(n));
    CYG_DO(read_labels(n));
    find_preprocessor(n, o->path);
    n->batch = o->batch > 0 ? o->batch : cyg_graph_symbol(n->g, "batch");
    CYG_DO(n->bound.family == CYG_FAMILY_SWIN ? cyg_net_build_swin(n, &result)
                                              : cyg_net_build_vit(n, &result));
    CYG_DO(n->status);
    CYG_DO(complain(n));
    if (cyg_graph_failed(n->g) || cyg_value_is_none(result))
        return CYG_FAIL(n->ctx, CYG_E_NOMEM, "out of memory");
    if (!cyg_graph_rename_value(n->g, result,
                                has_role(&n->bound, CYG_ROLE_HEAD) ? "logits" : "features"))
        return CYG_FAIL(n->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_graph_set_io(n->ctx, n->g, &n->input, 1, &result, 1));
    CYG_TRY(n->ctx, cyg_graph_infer_shapes(n->ctx, n->g), "while building %s", m->title);
    CYG_TRY(n->ctx, cyg_graph_verify(n->ctx, n->g), "while building %s", m->title);
    n->g->name = m->architecture;
    return CYG_OK;
}

cyg_status cyg_convert_open(cyg_ctx *ctx, const cyg_convert_options *options,
                            cyg_converted **out_model)
{
    cyg_status st;
    cyg_net n = {.ctx = ctx};
    *out_model = NULL;
    cyg_converted *m = calloc(1, sizeof *m);
    if (m == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_arena_init(&m->arena);
    m->graph = cyg_graph_create();
    if (m->graph == NULL) {
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        goto done;
    }
    n.model = m;
    n.g = m->graph;
    n.g->opset = 18;
    st = cyg_checkpoint_open(ctx, options->path, &m->checkpoint);
    if (st == CYG_OK)
        st = build(&n, options);
    if (st != CYG_OK)
        st = CYG_FAIL(ctx, st, "while converting %s", options->path);
done:
    cyg_settings_close(&n.settings);
    cyg_faults_deinit(&n.faults);
    if (st != CYG_OK)
        cyg_convert_close(m);
    else
        *out_model = m;
    return st;
}

void cyg_convert_close(cyg_converted *model)
{
    if (model == NULL)
        return;
    cyg_graph_destroy(model->graph);
    cyg_checkpoint_close(model->checkpoint);
    cyg_arena_deinit(&model->arena);
    free(model);
}

/* `cygnet ops`: the operators that import knows, straight from the table that the importer, the
 * verifier and the shape rules use (ir/ops.def), so that this list cannot promise more than there
 * is. Fused operators are cygnet's own: no ONNX file holds them, the optimiser makes them. */
#include "app/app.h"

#include "ir/graph.h"

static const cyg_op_schema *shown(int op)
{
    const cyg_op_schema *s = cyg_op_schema_of((cyg_op)op);
    return s->onnx[0] != '\0' ? s : NULL;
}

static const char *domain_of(const cyg_op_schema *s)
{
    return s->domain[0] != '\0' ? s->domain : "ai.onnx";
}

static cyg_status print_json(cyg_app *app)
{
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 2);
    cyg_json_begin_object(&json);
    cyg_json_key(&json, "ops");
    cyg_json_begin_array(&json);
    for (int i = 0; i < CYG_OP_COUNT; i++) {
        const cyg_op_schema *s = shown(i);
        if (s == NULL)
            continue;
        cyg_json_begin_object(&json);
        cyg_json_key_string(&json, "name", s->onnx);
        cyg_json_key_string(&json, "domain", domain_of(s));
        cyg_json_key_int(&json, "since", s->since);
        cyg_json_key_bool(&json, "fused", (s->flags & CYG_OPF_FUSED) != 0);
        cyg_json_key(&json, "attributes");
        cyg_json_begin_inline_array(&json);
        for (size_t k = 0; k < s->attr_count; k++)
            cyg_json_string(&json, cyg_attr_key_name(s->attrs[k].key));
        cyg_json_end_array(&json);
        cyg_json_key_string(&json, "notes", s->note);
        cyg_json_end_object(&json);
    }
    cyg_json_end_array(&json);
    cyg_json_end_object(&json);
    const cyg_status status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

static void print_table(cyg_app *app)
{
    cyg_app_print_result(app, "%-24s%-22s%7s  %s\n", "operator", "domain", "since", "notes");
    for (int i = 0; i < CYG_OP_COUNT; i++) {
        const cyg_op_schema *s = shown(i);
        if (s == NULL)
            continue;
        const char *gap = s->note[0] != '\0' ? "  " : "";
        cyg_app_print_result(app, "%-24s%-22s%7d%s%s\n", s->onnx, domain_of(s), s->since, gap,
                             s->note);
    }
}

cyg_status cyg_cmd_ops(cyg_app *app, int argc, const char *const *argv)
{
    CYG_DO(cyg_app_parse(app, "ops", NULL, 0, argc, argv, NULL));
    if (app->help)
        return CYG_OK;
    if (app->json)
        return print_json(app);
    print_table(app);
    return CYG_OK;
}

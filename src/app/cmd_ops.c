/* `cygnet ops`: the operators that import knows, straight from the table that the importer, the
 * verifier and the shape rules use (ir/ops.def) and from the rules that make kernel calls of them
 * (lower), so that this list cannot promise more than there is. What it prints is docs/ops.md.
 *
 * Operators of the AX650's list that have no row of their own come last, with what becomes of them.
 */
#include "app/app.h"

#include "ir/graph.h"
#include "lower/lower.h"

static const char heading[] = "# Operators\n"
                              "\n"
                              "What `cygnet ops` prints; do not edit. Opset 7 to 22 of the domain "
                              "ai.onnx is read and brought\n"
                              "to one form ([onnx.md](onnx.md)); domain cygnet are the fused "
                              "operators that the optimiser makes\n"
                              "([fused-ops.md](fused-ops.md)).\n"
                              "\n"
                              "* since: the opset that has the operator first.\n"
                              "* AX650: on the chip maker's list of operators.\n"
                              "* float: a kernel for float32; float16, bfloat16 and float64 "
                              "compute in float32 unless only bytes\n"
                              "  move.\n"
                              "* integer: a kernel for quantised values; \"moves\": bytes move as "
                              "they are. Convolutions, products\n"
                              "  and activations get theirs inside the fused operators.\n"
                              "\n";

/* Printed and given as JSON alike. */
typedef struct row {
    const char *name, *domain, *integer, *note;
    int since; /* 0: not an operator of the graph */
    bool listed, in_float;
} row;

/* Row i of the operators; false for one without a name. */
static bool row_of(int i, row *out)
{
    const cyg_op_schema *s = cyg_op_schema_of((cyg_op)i);
    const cyg_lower_forms forms = cyg_lower_forms_of((cyg_op)i);
    *out = (row){.name = s->onnx,
                 .domain = s->domain[0] != '\0' ? s->domain : "ai.onnx",
                 .integer = forms.moves         ? "moves"
                            : forms.in_integers ? "yes"
                                                : "no",
                 .note = s->note,
                 .since = s->since,
                 .listed = (s->flags & CYG_OPF_LISTED) != 0,
                 .in_float = forms.in_float};
    return s->onnx[0] != '\0';
}

static cyg_status print_json(cyg_app *app)
{
    cyg_strbuf text = {0};
    cyg_json json;
    row r;
    cyg_json_init(&json, &text, 2);
    cyg_json_begin_object(&json);
    cyg_json_key(&json, "ops");
    cyg_json_begin_array(&json);
    for (int i = 0; i < CYG_OP_COUNT; i++) {
        const cyg_op_schema *s = cyg_op_schema_of((cyg_op)i);
        if (!row_of(i, &r))
            continue;
        cyg_json_begin_object(&json);
        cyg_json_key_string(&json, "name", r.name);
        cyg_json_key_string(&json, "domain", r.domain);
        cyg_json_key_int(&json, "since", r.since);
        cyg_json_key_bool(&json, "fused", (s->flags & CYG_OPF_FUSED) != 0);
        cyg_json_key_bool(&json, "ax650", r.listed);
        cyg_json_key_bool(&json, "float", r.in_float);
        cyg_json_key_string(&json, "integer", r.integer);
        cyg_json_key(&json, "attributes");
        cyg_json_begin_inline_array(&json);
        for (size_t k = 0; k < s->attr_count; k++)
            cyg_json_string(&json, cyg_attr_key_name(s->attrs[k].key));
        cyg_json_end_array(&json);
        cyg_json_key_string(&json, "notes", r.note);
        cyg_json_end_object(&json);
    }
    cyg_json_end_array(&json);
    cyg_json_end_object(&json);
    const cyg_status status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

static const char *yes_or_no(bool yes)
{
    return yes ? "yes" : "no";
}

static void print_table(cyg_app *app)
{
    const cyg_op_elsewhere *e;
    row r;
    cyg_app_print_result(app, "%s", heading);
    cyg_app_print_result(app, "| %-21s | %-7s | %5s | %-5s | %-5s | %-7s | %s |\n", "operator",
                         "domain", "since", "AX650", "float", "integer", "notes");
    cyg_app_print_result(app, "|%s|%s|%s|%s|%s|%s|%s|\n", "-----------------------", "---------",
                         "------:", "-------", "-------", "---------", "-------");
    for (int i = 0; i < CYG_OP_COUNT; i++)
        if (row_of(i, &r))
            cyg_app_print_result(app, "| %-21s | %-7s | %5d | %-5s | %-5s | %-7s | %s |\n", r.name,
                                 r.domain, r.since, yes_or_no(r.listed), yes_or_no(r.in_float),
                                 r.integer, r.note);
    for (size_t i = 0; (e = cyg_op_elsewhere_at(i)) != NULL; i++)
        cyg_app_print_result(app, "| %-21s | %-7s | %5s | %-5s | %-5s | %-7s | %s |\n", e->onnx, "",
                             "", "yes", "", "", e->note);
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

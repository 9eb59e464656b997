/* docs/config.md, written from the same tables that the readers use; a test compares the page with
 * this output.
 *
 * One table a message, in the order of config.def but the roots first, then the enums. The page is
 * Markdown: "|" cannot occur in the texts. */
#include "config/config.h"

#include <string.h>

static const char *status_text(const cyg_config_field *field)
{
    if (field->category == CYG_CATEGORY_E)
        return "not built yet";
    if (field->category == CYG_CATEGORY_W)
        return "no effect, warns";
    return field->category == CYG_CATEGORY_X ? "built, ours" : "built";
}

static void doc_type(const cyg_config_field *field, cyg_strbuf *out)
{
    static const char *const names[CYG_VALUE_COUNT] = {
        [CYG_VALUE_BOOL] = "bool",
        [CYG_VALUE_INT] = "int",
        [CYG_VALUE_FLOAT] = "float",
        [CYG_VALUE_STRING] = "string",
        [CYG_VALUE_IN_PATH] = "path",
        [CYG_VALUE_OUT_PATH] = "path",
        [CYG_VALUE_INTS] = "list of int",
        [CYG_VALUE_FLOATS] = "list of float",
        [CYG_VALUE_STRINGS] = "list of string",
        [CYG_VALUE_ANY] = "any",
    };
    if (field->type.kind == CYG_VALUE_ENUM)
        cyg_strbuf_puts(out, field->type.of->name);
    else if (field->type.kind == CYG_VALUE_SUB)
        cyg_strbuf_puts(out, field->sub->name);
    else if (field->type.kind == CYG_VALUE_SUBS)
        cyg_strbuf_printf(out, "list of %s", field->sub->name);
    else
        cyg_strbuf_puts(out, names[field->type.kind]);
    if (field->type.valid[0] != '\0')
        cyg_strbuf_printf(out, ": %s", field->type.valid);
}

static void doc_field(const cyg_config_field *field, cyg_strbuf *out)
{
    const bool needed = field->where == CYG_WHERE_NEED || field->where == CYG_WHERE_NEED_FILE;
    const bool flag = field->where == CYG_WHERE_FLAG || field->where == CYG_WHERE_NEED;
    cyg_strbuf_printf(out, "| `%s` | ", field->name);
    doc_type(field, out);
    cyg_strbuf_printf(out, " | %s | %s | %s", needed ? "required" : field->preset,
                      flag ? "flag, file" : "file", status_text(field));
    if (field->built[0] != '\0')
        cyg_strbuf_printf(out, ": %s", field->built);
    cyg_strbuf_printf(out, field->why[0] ? " | %s (%s) |\n" : " | %s%s |\n", field->text,
                      field->why);
}

static void doc_message(const cyg_config_message *message, cyg_strbuf *out)
{
    cyg_strbuf_printf(out, "\n## %s\n\n%s\n\n", message->name, message->text);
    cyg_strbuf_puts(
        out,
        "| key | type | default | where | this release | meaning |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < message->count; i++)
        doc_field(&message->fields[i], out);
    for (size_t i = 0; i < cyg_config_alias_total; i++)
        if (cyg_config_aliases[i].message == message)
            cyg_strbuf_printf(out, "\n`%s` is another spelling of `%s`.\n",
                              cyg_config_aliases[i].other, cyg_config_aliases[i].field);
}

static const char intro[] = "# Configuration\n"
                            "\n"
                            "Generated from src/config/config.def; do not edit (a test compares).\n"
                            "\n"
                            "A config file holds one map, in JSON, YAML, TOML or protobuf's text "
                            "format: `--config F.json`, `.yaml`, `.yml`,\n"
                            "`.toml` or `.prototxt`. Keys are snake_case; lowerCamelCase is taken "
                            "too. JSON\n"
                            "may hold `//`, `#` and `/* */` comments and trailing commas. A list "
                            "of one may be written without brackets, an enum\n"
                            "by number. Unknown and repeated keys are errors. `\"\"` and null mean "
                            "unset; 0, false and [] are values.\n"
                            "\n"
                            "Fields with `flag` are set on the command line too: those of "
                            "BuildConfig and RunConfig by name, those of the messages\n"
                            "inside with a dot, as in `--quant.calibration_method MinMax` or "
                            "`--compiler.cpu_fallback=0`. A bare bool means true. A\n"
                            "list takes words up to the next flag. The command line wins over the "
                            "file, the file over the default.\n"
                            "\n"
                            "Relative paths start from the current directory; where nothing is "
                            "there, from the config file's folder, with a note.\n"
                            "\n"
                            "\"not built yet\": set to anything but the default, it is refused. "
                            "\"no effect\": accepted with a warning. The default\n"
                            "target is the vendor's AX650, which is simulated; pass "
                            "`--target_hardware CPU` for a package that runs here.\n";

void cyg_config_docs(cyg_strbuf *out)
{
    cyg_strbuf_puts(out, intro);
    doc_message(&cyg_config_message_build, out);
    for (size_t i = 0; i < cyg_config_message_total; i++)
        if (cyg_config_messages[i] != &cyg_config_message_build &&
            cyg_config_messages[i] != &cyg_config_message_run)
            doc_message(cyg_config_messages[i], out);
    doc_message(&cyg_config_message_run, out);
    cyg_strbuf_puts(out, "\n## Enums\n\n| enum | values (the number that a file may write in place "
                         "of the name) |\n|---|---|\n");
    for (size_t i = 0; i < cyg_config_enum_total; i++) {
        const cyg_config_enum *e = cyg_config_enums[i];
        cyg_strbuf_printf(out, "| %s |", e->name);
        for (size_t k = 0; k < e->count; k++) {
            cyg_strbuf_printf(out, " %s", e->names[k]);
            if (e->numbers[k] >= 0)
                cyg_strbuf_printf(out, "(%d)", e->numbers[k]);
        }
        cyg_strbuf_puts(out, " |\n");
    }
}

/* Writing the merged configuration, for build_context.json.
 *
 * Two objects: the values, in a form that reads back as a config file, and beside it, flat, the
 * origin of each value. The order is that of config.def, so equal configurations give equal bytes.
 * Unset names and paths are left out of the values (they have none), and so is all that an entry of
 * a list leaves open: there "unset" has a meaning of its own (a type that is not asked for, a mean
 * that is inherited). Attributes of op_processors have no reader yet and are left out too. */
#include "config/config.h"

#include <string.h>

static void write_value(cyg_json *json, const cyg_config_field *field, const void *value)
{
    const cyg_value_kind kind = field->type.kind;
    if (kind == CYG_VALUE_BOOL) {
        cyg_json_bool(json, *(const bool *)value);
    } else if (kind == CYG_VALUE_INT) {
        cyg_json_int(json, *(const int64_t *)value);
    } else if (kind == CYG_VALUE_FLOAT) {
        cyg_json_double(json, *(const double *)value);
    } else if (kind == CYG_VALUE_ENUM) {
        int v = 0;
        memcpy(&v, value, sizeof v);
        cyg_json_string(json, field->type.of->names[v]);
    } else if (cyg_value_is_text(kind)) {
        cyg_json_string(json, *(const char *const *)value);
    } else {
        cyg_json_begin_inline_array(json);
        for (size_t i = 0; kind == CYG_VALUE_INTS && i < ((const cyg_int_list *)value)->count; i++)
            cyg_json_int(json, ((const cyg_int_list *)value)->items[i]);
        for (size_t i = 0; kind == CYG_VALUE_FLOATS && i < ((const cyg_float_list *)value)->count;
             i++)
            cyg_json_double(json, ((const cyg_float_list *)value)->items[i]);
        for (size_t i = 0; kind == CYG_VALUE_STRINGS && i < ((const cyg_string_list *)value)->count;
             i++)
            cyg_json_string(json, ((const cyg_string_list *)value)->items[i]);
        cyg_json_end_array(json);
    }
}

static void write_message(cyg_json *json, const cyg_config_message *message, const void *config,
                          bool in_list)
{
    cyg_json_begin_object(json);
    for (size_t i = 0; i < message->count; i++) {
        const cyg_config_field *field = &message->fields[i];
        const void *value = cyg_config_value_const(field, config);
        const bool open = cyg_config_mark_const(field, config)->origin == CYG_CONFIG_DEFAULT;
        const bool unset =
            field->preset[0] == '\0' && field->type.kind != CYG_VALUE_SUB &&
            field->type.kind != CYG_VALUE_SUBS &&
            (open || (cyg_value_is_text(field->type.kind) && *(const char *const *)value == NULL));
        if (unset || (in_list && open && field->type.kind != CYG_VALUE_SUB) ||
            field->type.kind == CYG_VALUE_ANY)
            continue;
        cyg_json_key(json, field->name);
        if (field->type.kind == CYG_VALUE_SUB) {
            write_message(json, field->sub, value, in_list);
        } else if (field->type.kind == CYG_VALUE_SUBS) {
            cyg_json_begin_array(json);
            for (size_t k = 0; k < cyg_config_item_count(field, config); k++)
                write_message(json, field->sub, cyg_config_item(field, config, k), true);
            cyg_json_end_array(json);
        } else {
            write_value(json, field, value);
        }
    }
    cyg_json_end_object(json);
}

void cyg_config_write(cyg_json *json, const cyg_config_message *message, const void *config)
{
    write_message(json, message, config, false);
}

static void write_origins(cyg_json *json, const char *prefix, const cyg_config_message *message,
                          const void *config)
{
    static const char *const names[] = {
        [CYG_CONFIG_DEFAULT] = "default",
        [CYG_CONFIG_FILE] = "file",
        [CYG_CONFIG_COMMAND_LINE] = "command line",
    };
    for (size_t i = 0; i < message->count; i++) {
        const cyg_config_field *field = &message->fields[i];
        cyg_strbuf path = {0};
        cyg_strbuf_printf(&path, "%s%s", prefix, field->name);
        if (field->type.kind == CYG_VALUE_SUB) {
            cyg_strbuf_puts(&path, ".");
            if (!path.failed)
                write_origins(json, path.data, field->sub, cyg_config_value_const(field, config));
        } else if (field->type.kind == CYG_VALUE_SUBS && cyg_config_item_count(field, config) > 0) {
            for (size_t k = 0; k < cyg_config_item_count(field, config); k++) {
                cyg_strbuf inner = {0};
                cyg_strbuf_printf(&inner, "%s%s[%zu].", prefix, field->name, k);
                if (!inner.failed)
                    write_origins(json, inner.data, field->sub, cyg_config_item(field, config, k));
                json->out->failed = json->out->failed || inner.failed;
                cyg_strbuf_deinit(&inner);
            }
        } else if (!path.failed) {
            cyg_json_key_string(json, path.data,
                                names[cyg_config_mark_const(field, config)->origin]);
        }
        json->out->failed = json->out->failed || path.failed;
        cyg_strbuf_deinit(&path);
    }
}

void cyg_config_write_origins(cyg_json *json, const cyg_config_message *message, const void *config)
{
    cyg_json_begin_object(json);
    write_origins(json, "", message, config);
    cyg_json_end_object(json);
}

/* Loading: defaults, the command line, the config file, in an order that makes the command line
 * win.
 *
 * The flags are parsed first and mark what they set; the file then fills only fields without that
 * mark. One pass over each, and both are checked in full: a wrong value in the file is an error
 * even where a flag overrides it.
 *
 * The flag table is made from config.def: every scalar of the root and of the messages that it
 * holds directly, dotted
 * (--quant.check), and the two lists that the vendor has as flags. Fields that only a file can hold
 * get rows without a destination, so that naming them on the command line says so. */
#include "config/config.h"

#include <string.h>

typedef struct flag_list {
    cyg_arena *arena;
    cyg_flag *items;
    size_t count;
} flag_list;

static size_t count_fields(const cyg_config_message *message)
{
    size_t n = message->count + cyg_config_alias_total;
    for (size_t i = 0; i < message->count; i++)
        if (message->fields[i].type.kind == CYG_VALUE_SUB)
            n += count_fields(message->fields[i].sub);
    return n;
}

static const char *remark_of(cyg_arena *arena, const cyg_config_field *field)
{
    if (field->category == CYG_CATEGORY_E)
        return "not built yet";
    if (field->category == CYG_CATEGORY_W)
        return cyg_arena_printf(arena, "no effect: %s", field->why);
    if (field->built[0] != '\0')
        return cyg_arena_printf(arena, "built: %s", field->built);
    return NULL;
}

static bool add_field(flag_list *list, const char *prefix, const cyg_config_message *message,
                      const cyg_config_field *field, void *config)
{
    const bool file_only = field->where == CYG_WHERE_FILE || field->where == CYG_WHERE_NEED_FILE;
    const char *name = cyg_arena_printf(list->arena, "%s%s", prefix, field->name);
    if (name == NULL)
        return false;
    const cyg_flag row = {
        .name = name,
        .type = field->type,
        .dest = file_only ? NULL : cyg_config_value(field, config),
        .mark = cyg_config_mark_of(field, config),
        .preset = field->preset,
        .required = field->where == CYG_WHERE_NEED,
        .text = field->text,
        .remark = remark_of(list->arena, field),
    };
    list->items[list->count++] = row;
    for (size_t i = 0; i < cyg_config_alias_total; i++) {
        const cyg_config_alias *alias = &cyg_config_aliases[i];
        if (alias->message != message || strcmp(alias->field, field->name) != 0)
            continue;
        cyg_flag other = row;
        other.text = NULL;
        other.preset = NULL;
        other.name = cyg_arena_printf(list->arena, "%s%s", prefix, alias->other);
        if (other.name == NULL)
            return false;
        list->items[list->count++] = other;
    }
    return true;
}

static bool add_message(flag_list *list, const char *prefix, const cyg_config_message *message,
                        void *config)
{
    for (size_t i = 0; i < message->count; i++) {
        const cyg_config_field *field = &message->fields[i];
        if (field->type.kind != CYG_VALUE_SUB) {
            if (!add_field(list, prefix, message, field, config))
                return false;
            continue;
        }
        const char *inner = cyg_arena_printf(list->arena, "%s%s.", prefix, field->name);
        if (inner == NULL || !add_message(list, inner, field->sub, cyg_config_value(field, config)))
            return false;
    }
    return true;
}

cyg_status cyg_config_flags(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_message *message,
                            void *config, const char **file_dest, const cyg_flag **out_flags,
                            size_t *out_count)
{
    flag_list list = {.arena = arena,
                      .items = CYG_NEW_ARRAY(arena, cyg_flag, count_fields(message) + 1)};
    if (list.items == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    list.items[list.count++] =
        (cyg_flag){.name = "config",
                   .type = {.kind = CYG_VALUE_IN_PATH},
                   .dest = (void *)file_dest,
                   .preset = "",
                   .text = "config file: .json, .yaml, .toml or .prototxt; flags win over "
                           "it"};
    if (!add_message(&list, "", message, config))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    *out_flags = list.items;
    *out_count = list.count;
    return CYG_OK;
}

cyg_status cyg_config_load(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_message *message,
                           int argc, const char *const *argv, const cyg_flag *extra,
                           size_t extra_count, void *config, const char **out_file)
{
    const cyg_flag *own = NULL;
    size_t count = 0;
    *out_file = NULL;
    CYG_DO(cyg_config_init(ctx, arena, message, config));
    CYG_DO(cyg_config_flags(ctx, arena, message, config, out_file, &own, &count));
    cyg_flag *all = CYG_NEW_ARRAY(arena, cyg_flag, count + extra_count);
    if (all == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    memcpy(all, own, count * sizeof *all);
    if (extra_count > 0)
        memcpy(all + count, extra, extra_count * sizeof *all);
    CYG_DO(cyg_flags_parse(ctx, arena, all, count + extra_count, argc, argv, NULL));
    if (*out_file == NULL)
        return CYG_OK;
    return cyg_config_read_file(ctx, arena, *out_file, message, config);
}

cyg_status cyg_config_help(cyg_ctx *ctx, const cyg_config_message *message, cyg_strbuf *out)
{
    cyg_arena arena;
    const cyg_flag *flags = NULL;
    const char *file = NULL;
    size_t count = 0;
    cyg_status st = CYG_OK;
    cyg_arena_init(&arena);
    void *config = cyg_arena_zalloc(&arena, message->size, 0);
    st = config == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                        : cyg_config_flags(ctx, &arena, message, config, &file, &flags, &count);
    if (st == CYG_OK)
        cyg_flags_help(flags, count, out);
    cyg_arena_deinit(&arena);
    return st;
}

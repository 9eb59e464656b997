/* What this release does not have: refused or warned of, field by field, from the category column
 * of config.def.
 *
 * E: set to anything but its default, the field is refused: somebody relies on an effect that would
 * not come. W: one warning that says why there is no effect; a switch that is explicitly off asks
 * for nothing and stays quiet. Y and X: the value must be among those built; this holds for a
 * default too (target_hardware is AX650 unless told otherwise, as the vendor has it), and then the
 * message says what to pass.
 *
 * All refusals come in one error, each with its place, so that a file written for the vendor's tool
 * is adapted in one go. */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

typedef struct check_state {
    cyg_ctx *ctx;
    cyg_arena *arena;
    cyg_strbuf refused; /* one line each */
    size_t count;
} check_state;

/* What to do instead of a value that is not built. */
static const char *hint_of(const cyg_config_field *field)
{
    static const struct hint {
        const char *name, *text;
    } hints[] = {
        {"src_format", "bring RAW and RGBA to RGB or BGR before they are fed"},
        {"target_hardware", "--machine describes another chip, as `cygnet targets` explains"},
        {"ln_scale_data_type", "LayerNorm's scale is a float, on every target"},
        {"device", "nothing is trained: corrections are closed forms, on the CPU"},
        {"model_type", "quant/quant_axmodel.onnx of an earlier build is a QuantAxModel"},
    };
    for (size_t i = 0; i < CYG_COUNT(hints); i++)
        if (strcmp(hints[i].name, field->name) == 0)
            return hints[i].text;
    return NULL;
}

static void refuse(check_state *s, const cyg_config_field *field, const char *path,
                   const void *message)
{
    const cyg_config_mark *mark = cyg_config_mark_const(field, message);
    cyg_strbuf *out = &s->refused;
    cyg_strbuf_puts(out, s->count++ ? "\n  " : "");
    cyg_config_place(mark, path, out);
    if (field->category == CYG_CATEGORY_E) {
        cyg_strbuf_printf(out, " is not built yet%s%s", field->why[0] != '\0' ? ": " : "",
                          field->why);
        return;
    }
    cyg_strbuf_puts(out,
                    mark->origin == CYG_CONFIG_DEFAULT ? " is not set, and its default " : " ");
    cyg_value_print(field->type, cyg_config_value_const(field, message), out);
    cyg_strbuf_printf(out, " is not built yet (built: %s)", field->built);
    const char *hint = hint_of(field);
    if (mark->origin != CYG_CONFIG_DEFAULT && hint != NULL)
        cyg_strbuf_printf(out, ": %s", hint);
    if (mark->origin == CYG_CONFIG_DEFAULT)
        cyg_strbuf_printf(out, ": pass --%s %.*s", path, (int)strcspn(field->built, " "),
                          field->built);
}

static void warn_no_effect(check_state *s, const cyg_config_field *field, const char *path,
                           const void *message)
{
    cyg_strbuf place = {0};
    cyg_config_place(cyg_config_mark_const(field, message), path, &place);
    cyg_warn(s->ctx, "%s has no effect: %s", place.failed ? path : place.data, field->why);
    cyg_strbuf_deinit(&place);
}

static cyg_status check_message(check_state *s, const char *prefix,
                                const cyg_config_message *message, const void *config);

static cyg_status check_field(check_state *s, const char *prefix, const cyg_config_field *field,
                              const void *config)
{
    const char *path = cyg_arena_printf(s->arena, "%s%s", prefix, field->name);
    if (path == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    if (field->type.kind == CYG_VALUE_SUB) {
        const char *inner = cyg_arena_printf(s->arena, "%s.", path);
        if (inner == NULL)
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
        return check_message(s, inner, field->sub, cyg_config_value_const(field, config));
    }
    const bool set = cyg_config_mark_const(field, config)->origin != CYG_CONFIG_DEFAULT;
    bool same = true;
    CYG_DO(cyg_config_is_default(s->ctx, s->arena, field, config, &same));
    if (field->category == CYG_CATEGORY_E) {
        if (set && !same)
            refuse(s, field, path, config);
        return CYG_OK;
    }
    if (field->category == CYG_CATEGORY_W) {
        if (set && (!same || field->type.kind == CYG_VALUE_ENUM))
            warn_no_effect(s, field, path, config);
        return CYG_OK;
    }
    if (field->type.kind == CYG_VALUE_SUBS) {
        for (size_t i = 0; i < cyg_config_item_count(field, config); i++) {
            const char *inner = cyg_arena_printf(s->arena, "%s[%zu].", path, i);
            if (inner == NULL)
                return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
            CYG_DO(check_message(s, inner, field->sub, cyg_config_item(field, config, i)));
        }
        return CYG_OK;
    }
    if (!cyg_value_allows(field->type, field->built, cyg_config_value_const(field, config)))
        refuse(s, field, path, config);
    return CYG_OK;
}

static cyg_status check_message(check_state *s, const char *prefix,
                                const cyg_config_message *message, const void *config)
{
    for (size_t i = 0; i < message->count; i++)
        CYG_DO(check_field(s, prefix, &message->fields[i], config));
    return CYG_OK;
}

cyg_status cyg_config_check_supported(cyg_ctx *ctx, const cyg_config_message *message,
                                      const void *config)
{
    cyg_arena arena;
    cyg_arena_init(&arena);
    check_state s = {.ctx = ctx, .arena = &arena};
    cyg_status st = check_message(&s, "", message, config);
    if (st == CYG_OK && s.refused.failed)
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    else if (st == CYG_OK && s.count == 1)
        st = CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s", s.refused.data);
    else if (st == CYG_OK && s.count > 1)
        st = CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%zu settings are not built yet:\n  %s", s.count,
                      s.refused.data);
    cyg_strbuf_deinit(&s.refused);
    cyg_arena_deinit(&arena);
    return st;
}

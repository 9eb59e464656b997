/* `cygnet targets`: what build can aim at. The CPU target is one portable package; which
 * instructions it runs on is decided where it runs, so this lists the levels of this machine. The
 * chips of config/chips.def are names that the configuration accepts and that no back end serves
 * yet: they are shown as such, because a name that is silently missing helps nobody. */
#include "app/app.h"

#include "base/cpu.h"

typedef struct chip {
    const char *name, *npu_modes;
} chip;

static const chip chips[] = {
#define CYG_CHIP(hardware, modes) {#hardware, modes},
#include "config/chips.def"
#undef CYG_CHIP
};

static void print_table(cyg_app *app, cyg_cpu_level_id level)
{
    cyg_app_print_result(app, "%-10s%-16s%s\n", "target", "status", "notes");
    cyg_app_print_result(app, "%-10s%-16sx86-64 and aarch64; here:", "CPU", "ready");
    for (int i = 0; i < CYG_CPU_COUNT; i++)
        if (cyg_cpu_has((cyg_cpu_level_id)i))
            cyg_app_print_result(app, " %s%s", cyg_cpu_name((cyg_cpu_level_id)i),
                                 (cyg_cpu_level_id)i == level ? " (used)" : "");
    cyg_app_print_result(app, "\n");
    for (size_t i = 0; i < CYG_COUNT(chips); i++)
        cyg_app_print_result(app, "%-10s%-16s%s\n", chips[i].name, "not built yet",
                             chips[i].npu_modes);
}

static cyg_status print_json(cyg_app *app, cyg_cpu_level_id level)
{
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 2);
    cyg_json_begin_object(&json);
    cyg_json_key(&json, "targets");
    cyg_json_begin_array(&json);
    cyg_json_begin_object(&json);
    cyg_json_key_string(&json, "name", "CPU");
    cyg_json_key_bool(&json, "built", true);
    cyg_json_key_string(&json, "isa", cyg_cpu_name(level));
    cyg_json_key(&json, "isa_levels");
    cyg_json_begin_inline_array(&json);
    for (int i = 0; i < CYG_CPU_COUNT; i++)
        if (cyg_cpu_has((cyg_cpu_level_id)i))
            cyg_json_string(&json, cyg_cpu_name((cyg_cpu_level_id)i));
    cyg_json_end_array(&json);
    cyg_json_end_object(&json);
    for (size_t i = 0; i < CYG_COUNT(chips); i++) {
        cyg_json_begin_object(&json);
        cyg_json_key_string(&json, "name", chips[i].name);
        cyg_json_key_bool(&json, "built", false);
        cyg_json_key_string(&json, "npu_modes", chips[i].npu_modes);
        cyg_json_end_object(&json);
    }
    cyg_json_end_array(&json);
    cyg_json_end_object(&json);
    const cyg_status status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_cmd_targets(cyg_app *app, int argc, const char *const *argv)
{
    cyg_cpu_level_id level;
    CYG_DO(cyg_app_parse(app, "targets", NULL, 0, argc, argv, NULL));
    if (app->help)
        return CYG_OK;
    CYG_DO(cyg_cpu_level(&app->ctx, &level));
    if (app->json)
        return print_json(app, level);
    print_table(app, level);
    return CYG_OK;
}

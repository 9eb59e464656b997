/* `cygnet report D`: writes D/report.html again from D/report.json, which build left there. */
#include "app/app.h"
#include "base/file.h"
#include "report/report.h"

cyg_status cyg_cmd_report(cyg_app *app, int argc, const char *const *argv)
{
    cyg_string_list words = {0};
    CYG_DO(cyg_app_parse(app, "report", NULL, 0, argc, argv, &words));
    if (app->help)
        return CYG_OK;
    if (words.count != 1)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "expected one folder that build wrote, found %zu",
                        words.count);
    const char *json = cyg_arena_printf(&app->arena, "%s/report.json", words.items[0]);
    const char *html = cyg_arena_printf(&app->arena, "%s/report.html", words.items[0]);
    if (json == NULL || html == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_report_write_html(&app->ctx, json, html));
    cyg_app_print_result(app, "wrote %s\n", html);
    if (!app->json)
        return CYG_OK;
    cyg_strbuf text = {0};
    cyg_json object;
    cyg_json_init(&object, &text, 0);
    cyg_json_begin_object(&object);
    cyg_json_key_string(&object, "report", html);
    cyg_json_end_object(&object);
    const cyg_status status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

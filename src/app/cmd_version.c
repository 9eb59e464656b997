/* `cygnet version`: two lines in the vendor's form, so that scripts which read them go on working.
 */
#include "app/app.h"
#include "app/commit.h"

cyg_status cyg_cmd_version(cyg_app *app, int argc, const char *const *argv)
{
    CYG_DO(cyg_app_parse(app, "version", NULL, 0, argc, argv, NULL));
    if (app->help)
        return CYG_OK;
    cyg_app_print_result(app, "version: %s\ncommit: %s\n", CYG_VERSION, CYG_COMMIT);
    if (!app->json)
        return CYG_OK;
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 0);
    cyg_json_begin_object(&json);
    cyg_json_key_string(&json, "version", CYG_VERSION);
    cyg_json_key_string(&json, "commit", CYG_COMMIT);
    cyg_json_end_object(&json);
    const cyg_status status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

/* `cygnet inspect FILE`: what is in a model, a checkpoint or a package. The file's kind is told by
 * its content; inspect_package.c, inspect_checkpoint.c and inspect_onnx.c describe it. */
#include "app/engine.h"
#include "app/inspect.h"
#include "io/checkpoint.h"

cyg_status cyg_cmd_inspect(cyg_app *app, int argc, const char *const *argv)
{
    cyg_string_list words = {0};
    bool is_package = false, disasm = false;
    const cyg_flag flags[] = {
        {"disasm", 0, false, (cyg_value_type){.kind = CYG_VALUE_BOOL}, &disasm, NULL, NULL, NULL,
         "the instructions of a package's NPU subgraphs as text", NULL},
    };
    CYG_DO(cyg_app_parse(app, "inspect", flags, CYG_COUNT(flags), argc, argv, &words));
    if (app->help)
        return CYG_OK;
    if (words.count != 1)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "expected one file, found %zu", words.count);
    if (disasm && app->json)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--disasm prints text: leave --json out");
    if (cyg_checkpoint_is(words.items[0]) && !disasm)
        return cyg_inspect_checkpoint(app, words.items[0]);
    CYG_DO(cyg_engine_is_package(app, words.items[0], &is_package));
    if (disasm && !is_package)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "%s: no package, so no NPU code to show",
                        words.items[0]);
    if (disasm)
        return cyg_inspect_disasm(app, words.items[0]);
    return is_package ? cyg_inspect_package(app, words.items[0])
                      : cyg_inspect_onnx(app, words.items[0]);
}

/* `cygnet inspect --disasm`: NPU code as text (docs/npu-isa.md). */
#include "app/inspect.h"

#include <string.h>

#include "format/package.h"
#include "npu/code.h"
#include "npu/subgraph.h"

static cyg_status print_one(cyg_app *app, const cyg_subgraph *g)
{
    cyg_npu_machine machine;
    cyg_npu_program program;
    cyg_strbuf text = {0};
    CYG_DO(cyg_npu_subgraph_open(&app->ctx, g, &app->arena, &machine, &program));
    cyg_strbuf_printf(&text, "# %s: program %u, steps %u to %u\n", g->name, g->program,
                      g->first_step, g->first_step + g->step_count - 1);
    cyg_npu_print(&machine, &program, false, &text);
    const cyg_status status =
        text.failed ? CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
    if (status == CYG_OK)
        cyg_app_print_result(app, "%s", text.data);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_inspect_disasm(cyg_app *app, const char *path)
{
    cyg_package k = {0};
    cyg_status status = CYG_OK;
    uint32_t shown = 0;
    CYG_DO(cyg_package_open(&app->ctx, path, &app->arena, NULL, &k));
    for (uint32_t i = 0; i < k.subgraph_count && status == CYG_OK; i++)
        if (strcmp(k.subgraphs[i].executor, CYG_NPU_EXECUTOR) == 0) {
            status = print_one(app, &k.subgraphs[i]);
            shown++;
        }
    if (status != CYG_OK)
        status = CYG_FAIL(&app->ctx, status, "%s", path);
    else if (shown == 0)
        status = CYG_FAIL(&app->ctx, CYG_E_USAGE, "%s: a package without NPU code", path);
    cyg_package_close(&k);
    return status;
}

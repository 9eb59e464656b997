/* `cygnet inspect --disasm`: NPU code as text (docs/npu-isa.md). */
#include "app/inspect.h"

#include <string.h>

#include "format/package.h"
#include "npu/code.h"
#include "npu/subgraph.h"
#include "npu/tap.h"

/* As comments: what has no tap because it never exists whole. */
static cyg_status print_chains(cyg_app *app, const cyg_npu_program *p, cyg_strbuf *text)
{
    const cyg_npu_chain *chains;
    uint32_t count;
    CYG_DO(cyg_npu_chains_of(&app->ctx, p, &app->arena, &chains, &count));
    for (uint32_t i = 0; i < count; i++) {
        const cyg_npu_chain *c = &chains[i];
        cyg_strbuf_printf(text, "# step %u: output %u of %s never exists whole: ", c->step,
                          c->output, cyg_npu_op_info_of(c->op)->mnemonic);
        cyg_strbuf_printf(text, "%u piece%s of up to %llu bytes, each ", c->pieces,
                          c->pieces == 1 ? "" : "s",
                          (unsigned long long)cyg_npu_view_bytes(c->largest));
        if (c->next != 0)
            cyg_strbuf_printf(text, "used up by %s", cyg_npu_op_info_of(c->next)->mnemonic);
        else
            cyg_strbuf_puts(text, "read by nobody");
        cyg_strbuf_puts(text, " before its place is used again\n");
    }
    return CYG_OK;
}

/* As comments: when each tapped output is whole, as an instruction would wait for it. */
static cyg_status print_taps(cyg_app *app, const cyg_npu_machine *m, const cyg_npu_program *p,
                             cyg_strbuf *text)
{
    uint32_t done[CYG_NPU_MAX_ENGINES] = {0};
    uint32_t(*last)[CYG_NPU_MAX_ENGINES] =
        cyg_arena_calloc(&app->arena, (size_t)p->tap_count + 1, sizeof *last);
    uint32_t *pieces = CYG_NEW_ARRAY(&app->arena, uint32_t, (size_t)p->tap_count + 1);
    if (last == NULL || pieces == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; p->tap_count > 0 && i < p->instr_count; i++) {
        const uint32_t engine = p->instrs[i].engine;
        done[engine]++;
        if (p->tap_of[i] == 0)
            continue;
        last[p->tap_of[i] - 1][engine] = done[engine];
        pieces[p->tap_of[i] - 1]++;
    }
    for (uint32_t k = 0; k < p->tap_count; k++) {
        const char *between = " ";
        cyg_strbuf_printf(text, "# tap %u, output %u of step %u: %u piece%s, whole when", k,
                          p->taps[k].output, p->taps[k].step, pieces[k], pieces[k] == 1 ? "" : "s");
        for (uint32_t e = 0; e < cyg_npu_engine_count(m); e++)
            if (last[k][e] > 0) {
                cyg_strbuf_printf(text, "%s%s %u", between, cyg_npu_engine_at(m, e).lane,
                                  last[k][e]);
                between = ", ";
            }
        cyg_strbuf_puts(text, "\n");
    }
    return CYG_OK;
}

static cyg_status print_one(cyg_app *app, const cyg_subgraph *g)
{
    cyg_npu_machine machine;
    cyg_npu_program program;
    cyg_strbuf text = {0};
    CYG_DO(cyg_npu_subgraph_open(&app->ctx, g, &app->arena, &machine, &program));
    cyg_strbuf_printf(&text, "# %s: program %u, steps %u to %u\n", g->name, g->program,
                      g->first_step, g->first_step + g->step_count - 1);
    cyg_status status = print_taps(app, &machine, &program, &text);
    if (status == CYG_OK)
        status = print_chains(app, &program, &text);
    cyg_npu_print(&machine, &program, false, &text);
    if (status == CYG_OK && text.failed)
        status = CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
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

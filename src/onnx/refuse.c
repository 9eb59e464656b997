/* The list of what is valid ONNX and not supported.
 *
 * Import goes on after a refusal, so that one run shows everything that stands in the way. The
 * message has one line for each, in the order of the file, in columns. When there are more lines
 * than a message holds, the last one says how many were left out. */
#include "onnx/import.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { MAX_TEXT = 12000, MAX_COLUMN = 48 };

cyg_status cyg_onnx_refuse(cyg_onnx_importer *imp, const char *op, const char *domain,
                           const char *node, int opset, const char *why)
{
    if (imp->refusal_count == imp->refusal_cap) {
        const uint32_t cap = imp->refusal_cap > 0 ? imp->refusal_cap * 2 : 16;
        cyg_onnx_refusal *more = CYG_NEW_ARRAY(&imp->scratch, cyg_onnx_refusal, cap);
        if (more == NULL)
            return CYG_ONNX_NOMEM(imp);
        if (imp->refusal_count > 0)
            memcpy(more, imp->refusals, imp->refusal_count * sizeof *more);
        imp->refusals = more;
        imp->refusal_cap = cap;
    }
    imp->refusals[imp->refusal_count++] = (cyg_onnx_refusal){op, node, why, domain, opset};
    return CYG_OK;
}

/* "/head/nms (opset 11)", "/gelu (com.microsoft 1)", "weights" */
static const char *place_of(cyg_onnx_importer *imp, const cyg_onnx_refusal *r)
{
    if (r->opset <= 0 && r->domain[0] == '\0')
        return r->node;
    if (r->opset <= 0)
        return cyg_arena_printf(&imp->scratch, "%s (%s)", r->node, r->domain);
    return cyg_arena_printf(&imp->scratch, "%s (%s %d)", r->node,
                            r->domain[0] != '\0' ? r->domain : "opset", r->opset);
}

static int width_of(const char *text, int width)
{
    const size_t len = strlen(text);
    if (len > MAX_COLUMN)
        return width;
    return (int)len > width ? (int)len : width;
}

cyg_status cyg_onnx_report_refusals(cyg_onnx_importer *imp)
{
    if (imp->refusal_count == 0)
        return CYG_OK;
    const char **places = CYG_NEW_ARRAY(&imp->scratch, const char *, imp->refusal_count);
    int op_width = 0, place_width = 0;
    for (uint32_t i = 0; places != NULL && i < imp->refusal_count; i++) {
        places[i] = place_of(imp, &imp->refusals[i]);
        if (places[i] == NULL)
            return CYG_ONNX_NOMEM(imp);
        op_width = width_of(imp->refusals[i].op, op_width);
        place_width = width_of(places[i], place_width);
    }
    cyg_strbuf text = {0};
    uint32_t shown = 0;
    for (; places != NULL && shown < imp->refusal_count && text.len < MAX_TEXT; shown++) {
        const cyg_onnx_refusal *r = &imp->refusals[shown];
        cyg_strbuf_printf(&text, "\n  %-*.200s  %-*.400s  %.300s", op_width, r->op, place_width,
                          places[shown], r->why);
    }
    if (shown < imp->refusal_count)
        cyg_strbuf_printf(&text, "\n  and %u more", imp->refusal_count - shown);
    cyg_status status;
    if (places == NULL || text.failed)
        status = CYG_ONNX_NOMEM(imp);
    else
        status = CYG_FAIL(imp->ctx, CYG_E_UNSUPPORTED, "%s: %u %s not supported:%s", imp->path,
                          imp->refusal_count,
                          imp->refusal_count == 1 ? "operator is" : "operators are", text.data);
    cyg_strbuf_deinit(&text);
    return status;
}

/* report.json to report.html.
 *
 * Every section stands for itself and is left out when its record is missing, so the page of a
 * build without a golden check, or of a later version with more records, is still a page. Numbers
 * that can be sorted or copied carry their plain value in data-v; what is shown is rounded for
 * people. The record format is docs/report.md. */
#include "report/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/ctx.h"
#include "base/file.h"
#include "report/html.h"
#include "report/npu.h"
#include "report/picture.h"
#include "report/precision.h"

/* ---- summary ---- */

static void card(cyg_strbuf *out, const char *value, const char *unit, const char *label)
{
    cyg_strbuf_puts(out, "<div class=\"card\"><b>");
    cyg_html_text(out, value);
    cyg_html_text(out, unit);
    cyg_strbuf_puts(out, "</b><span class=\"soft\">");
    cyg_html_text(out, label);
    cyg_strbuf_puts(out, "</span></div>\n");
}

static void number_card(cyg_strbuf *out, const cyg_doc_node *map, const char *key, double scale,
                        const char *format, const char *label)
{
    const cyg_doc_node *node = cyg_doc_get(map, key);
    cyg_strbuf text = {0};
    if (node == NULL || (node->kind != CYG_DOC_INT && node->kind != CYG_DOC_FLOAT))
        return;
    cyg_strbuf_printf(&text, "%.*f", format[0] - '0', node->number * scale);
    card(out, text.data != NULL ? text.data : "", format + 1, label);
    cyg_strbuf_deinit(&text);
}

static double total_seconds(const cyg_doc_node *root)
{
    const cyg_doc_node *stages = cyg_html_items(root, "stages");
    double seconds = 0;
    for (size_t i = 0; stages != NULL && i < stages->count; i++)
        seconds += cyg_html_number(stages->items[i], "seconds");
    return seconds;
}

static const char *model_name(const cyg_doc_node *root)
{
    const cyg_doc_node *inputs = cyg_html_items(root, "inputs");
    for (size_t i = 0; inputs != NULL && i < inputs->count; i++)
        if (strcmp(cyg_html_entry(inputs->items[i], "role"), "model") == 0)
            return cyg_html_entry(inputs->items[i], "path");
    return inputs != NULL ? cyg_html_entry(inputs->items[0], "path") : "";
}

static void summary(cyg_strbuf *out, const cyg_doc_node *root)
{
    const cyg_doc_node *model = cyg_doc_get(root, "model"), *memory = cyg_doc_get(root, "memory");
    const cyg_doc_node *golden = cyg_doc_get(root, "golden_check");
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%.1f", total_seconds(root));
    cyg_strbuf_puts(out, "<h1>");
    cyg_html_text(out, model_name(root));
    cyg_strbuf_puts(out, "</h1>\n<div class=\"soft\">built by cygnet ");
    cyg_html_text(out, cyg_html_entry(root, "cygnet"));
    cyg_strbuf_puts(out, " for ");
    cyg_html_text(out, cyg_html_entry(root, "target"));
    cyg_strbuf_puts(out, "</div>\n<div class=\"cards\">\n");
    number_card(out, golden, "sqnr_db", 1, "1 dB", "SQNR of the output");
    number_card(out, golden, "cosine", 1, "4", "cosine with float");
    number_card(out, golden, "agreement", 1, "1 %", "same largest output");
    number_card(out, model, "parameters", 1e-6, "1 M", "parameters");
    number_card(out, model, "macs", 1e-9, "2 G", "multiply-adds");
    number_card(out, model, "steps", 1, "0", "steps");
    number_card(out, memory, "weight_bytes", 1e-6, "1 MB", "weights");
    number_card(out, memory, "arena_bytes", 1e-6, "1 MB", "activations");
    card(out, seconds, " s", "build");
    cyg_strbuf_puts(out, "</div>\n");
    if (cyg_html_entry(root, "command")[0] != '\0') {
        cyg_strbuf_puts(out, "<p><code>");
        cyg_html_text(out, cyg_html_entry(root, "command"));
        cyg_strbuf_puts(out, "</code></p>\n");
    }
}

static void warnings(cyg_strbuf *out, const cyg_doc_node *root)
{
    const cyg_doc_node *list = cyg_html_items(root, "warnings");
    if (list == NULL)
        return;
    cyg_strbuf_puts(out, "<h2>Warnings</h2>\n<ul class=\"warn\">\n");
    for (size_t i = 0; i < list->count; i++) {
        cyg_strbuf_puts(out, "<li>");
        cyg_html_text(out, list->items[i]->text);
        cyg_strbuf_puts(out, "</li>\n");
    }
    cyg_strbuf_puts(out, "</ul>\n");
}

/* ---- tables ---- */

/* ---- the block before and after ---- */

static void block(cyg_strbuf *out, const cyg_doc_node *root, const char *picture)
{
    if (cyg_html_items(root, "block") == NULL)
        return;
    cyg_strbuf_puts(out, "<h2>What became of attention</h2>\n");
    if (picture == NULL) {
        cyg_strbuf_puts(out, "<p class=\"soft\">The picture of one block before and after "
                             "optimisation needs graphviz. Install it (its program is called dot) "
                             "and run <code>cygnet report</code> on this folder.</p>\n");
        return;
    }
    cyg_strbuf_puts(out, "<div class=\"box\">");
    cyg_strbuf_puts(out, picture);
    cyg_strbuf_puts(out, "</div>\n");
}

/* A page without its picture is better than none, so only Ctrl-C is a failure. */
static cyg_status lay_out(cyg_ctx *ctx, const cyg_doc_node *root, cyg_strbuf *out)
{
    const cyg_doc_node *record = cyg_html_items(root, "block");
    cyg_arena arena;
    cyg_picture picture;
    bool found;
    if (record == NULL)
        return CYG_OK;
    cyg_arena_init(&arena);
    cyg_picture_read(record, &arena, &picture);
    const cyg_status status = cyg_picture_svg(ctx, &picture, false, out, &found);
    cyg_arena_deinit(&arena);
    if (status == CYG_OK || status == CYG_E_CANCELLED)
        return status;
    cyg_warn(ctx, "the report goes without its picture: %s", cyg_ctx_message(ctx, 0));
    cyg_ctx_clear(ctx);
    cyg_strbuf_deinit(out);
    return CYG_OK;
}

static void golden_check(cyg_strbuf *out, const cyg_doc_node *root)
{
    const cyg_doc_node *g = cyg_html_items(root, "golden_check");
    if (g == NULL || g->kind != CYG_DOC_MAP)
        return;
    cyg_html_begin_table(out, "golden", "Golden check: the package against the float model",
                         "<th>measure</th><th class=\"n\">value</th>", false);
    for (size_t i = 0; i < g->count; i++) {
        cyg_strbuf_puts(out, "<tr>");
        cyg_html_text_cell(out, "c", g->items[i]->key);
        if (g->items[i]->kind == CYG_DOC_FLOAT)
            cyg_html_number_cell(out, g->items[i]->number, 4);
        else
            cyg_html_text_cell(out, "n", cyg_html_entry(g, g->items[i]->key));
        cyg_strbuf_puts(out, "</tr>\n");
    }
    cyg_html_end_table(out);
}

static void stages(cyg_strbuf *out, const cyg_doc_node *root)
{
    const cyg_doc_node *list = cyg_html_items(root, "stages");
    if (list == NULL)
        return;
    cyg_html_begin_table(
        out, "stages", "Stages",
        "<th>stage</th><th class=\"n\">seconds</th><th class=\"n\">peak memory, bytes</th>", false);
    for (size_t i = 0; i < list->count; i++) {
        cyg_strbuf_puts(out, "<tr>");
        cyg_html_text_cell(out, "", cyg_html_entry(list->items[i], "name"));
        cyg_html_number_cell(out, cyg_html_number(list->items[i], "seconds"), 2);
        cyg_html_count_cell(out, cyg_html_integer(list->items[i], "peak_rss_bytes"), 0);
        cyg_strbuf_puts(out, "</tr>\n");
    }
    cyg_html_end_table(out);
}

static void inputs(cyg_strbuf *out, const cyg_doc_node *root)
{
    const cyg_doc_node *list = cyg_html_items(root, "inputs");
    if (list == NULL)
        return;
    cyg_html_begin_table(out, "inputs", "Inputs",
                         "<th>role</th><th>file</th><th class=\"n\">bytes</th><th>sha256</th>",
                         false);
    for (size_t i = 0; i < list->count; i++) {
        cyg_strbuf_puts(out, "<tr>");
        cyg_html_text_cell(out, "", cyg_html_entry(list->items[i], "role"));
        cyg_html_text_cell(out, "", cyg_html_entry(list->items[i], "path"));
        cyg_html_count_cell(out, cyg_html_integer(list->items[i], "bytes"), 0);
        cyg_html_text_cell(out, "c", cyg_html_entry(list->items[i], "sha256"));
        cyg_strbuf_puts(out, "</tr>\n");
    }
    cyg_html_end_table(out);
}

static void shape_cell(cyg_strbuf *out, const cyg_doc_node *step)
{
    const cyg_doc_node *shape = cyg_html_items(step, "shape");
    cyg_strbuf_puts(out, "<td class=\"c\">");
    for (size_t i = 0; shape != NULL && i < shape->count; i++) {
        cyg_strbuf_puts(out, i > 0 ? "×" : "");
        cyg_html_text(out, shape->items[i]->text);
    }
    cyg_strbuf_puts(out, "</td>");
}

/* A fused step has a dozen source nodes: a list of more than one folds up. */
static void sources_cell(cyg_strbuf *out, const char *sources)
{
    size_t count = sources[0] != '\0';
    for (const char *p = sources; *p != '\0'; p++)
        count += *p == ',';
    cyg_strbuf_puts(out, "<td class=\"w\">");
    if (count > 1)
        cyg_strbuf_printf(out, "<details><summary>%zu nodes</summary><div>", count);
    for (const char *p = sources; *p != '\0';) {
        const size_t len = strcspn(p, ",");
        cyg_html_text_n(out, p, len);
        p += len;
        if (*p == ',') {
            cyg_strbuf_puts(out, ", ");
            p++;
        }
    }
    cyg_strbuf_puts(out, count > 1 ? "</div></details></td>" : "</td>");
}

static void steps(cyg_strbuf *out, const cyg_doc_node *root)
{
    const cyg_doc_node *list = cyg_html_items(root, "steps");
    int64_t most = 1;
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->count; i++) {
        const int64_t macs = cyg_html_integer(list->items[i], "macs");
        most = macs > most ? macs : most;
    }
    cyg_html_begin_table(
        out, "steps", "Steps",
        "<th class=\"n\">step</th><th>kernel</th><th>name</th><th>shape</th><th>type</th>"
        "<th class=\"n\">MACs</th><th class=\"n\">weight bytes</th><th class=\"n\">output "
        "bytes</th><th>source nodes</th>",
        true);
    for (size_t i = 0; i < list->count; i++) {
        const cyg_doc_node *s = list->items[i];
        const int64_t macs = cyg_html_integer(s, "macs");
        cyg_strbuf_printf(out, "<tr><td class=\"n\" data-v=\"%" PRId64 "\">%" PRId64 "</td>",
                          cyg_html_integer(s, "index"), cyg_html_integer(s, "index"));
        cyg_html_text_cell(out, "c", cyg_html_entry(s, "kernel"));
        cyg_html_text_cell(out, "w", cyg_html_entry(s, "name"));
        shape_cell(out, s);
        cyg_html_text_cell(out, "c", cyg_html_entry(s, "type"));
        cyg_html_count_cell(out, macs, (double)macs / (double)most);
        cyg_html_count_cell(out, cyg_html_integer(s, "weight_bytes"), 0);
        cyg_html_count_cell(out, cyg_html_integer(s, "out_bytes"), 0);
        sources_cell(out, cyg_html_entry(s, "sources"));
        cyg_strbuf_puts(out, "</tr>\n");
    }
    cyg_html_end_table(out);
}

/* ---- the page ---- */

cyg_status cyg_report_render(cyg_ctx *ctx, const cyg_doc_node *root, const char *picture,
                             cyg_strbuf *out_html)
{
    cyg_strbuf title = {0};
    CYG_DO(cyg_doc_as_map(ctx, root));
    cyg_strbuf_printf(&title, "cygnet: %s", model_name(root));
    cyg_html_begin(out_html, title.data != NULL ? title.data : "cygnet");
    cyg_strbuf_deinit(&title);
    summary(out_html, root);
    warnings(out_html, root);
    golden_check(out_html, root);
    cyg_report_npu(root, out_html);
    cyg_report_precision(root, out_html);
    block(out_html, root, picture);
    steps(out_html, root);
    stages(out_html, root);
    inputs(out_html, root);
    cyg_html_end(out_html);
    return out_html->failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a report") : CYG_OK;
}

cyg_status cyg_report_write_html(cyg_ctx *ctx, const char *json_path, const char *html_path)
{
    cyg_doc *doc = NULL;
    cyg_strbuf html = {0}, picture = {0};
    CYG_DO(cyg_doc_open(ctx, json_path, &doc));
    cyg_status status = lay_out(ctx, cyg_doc_root(doc), &picture);
    if (status == CYG_OK)
        status = cyg_report_render(ctx, cyg_doc_root(doc), picture.data, &html);
    if (status == CYG_OK)
        status = cyg_write_file(ctx, html_path, html.data, html.len);
    cyg_strbuf_deinit(&html);
    cyg_strbuf_deinit(&picture);
    cyg_doc_close(doc);
    return status;
}

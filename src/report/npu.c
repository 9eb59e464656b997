/* What the schedule does and what limits it: a sentence, the timeline, the critical path as one
 * bar, the table of steps, and the steps that stay on the CPU with their reasons. */
#include "report/npu.h"

#include <stdio.h>
#include <string.h>

#include "report/html.h"

static void sentence(const cyg_doc_node *npu, const cyg_doc_node *s, cyg_strbuf *out)
{
    const cyg_doc_node *ddr = cyg_doc_get(s, "ddr");
    const double khz = cyg_html_number(npu, "clock_khz"), cycles = cyg_html_number(s, "cycles");
    cyg_strbuf_puts(out, "<p class=\"soft\"><b>");
    cyg_html_text(out, cyg_html_entry(s, "name"));
    cyg_strbuf_puts(out, "</b>: ");
    cyg_html_count(out, cyg_html_integer(s, "cycles"));
    cyg_strbuf_printf(
        out, " cycles, %.3f ms at %.0f MHz; CONV does useful work %.0f %% of the time. ",
        khz > 0 ? cycles / khz : 0.0, khz / 1000.0, 100.0 * cyg_html_number(s, "conv_utilisation"));
    if (cyg_html_integer(s, "baseline_cycles") > 0) {
        cyg_strbuf_puts(out, "The baseline schedule takes ");
        cyg_html_count(out, cyg_html_integer(s, "baseline_cycles"));
        cyg_strbuf_puts(out, " cycles under the same model. ");
    }
    cyg_strbuf_puts(out, "OCM: ");
    cyg_html_count(out, cyg_html_integer(s, "ocm_peak_bytes"));
    cyg_strbuf_puts(out, " of ");
    cyg_html_count(out, cyg_html_integer(s, "ocm_bytes"));
    cyg_strbuf_puts(out, " bytes at most. DDR: ");
    cyg_html_count(out, cyg_html_integer(ddr, "weights"));
    cyg_strbuf_puts(out, " bytes of weights, ");
    cyg_html_count(out, cyg_html_integer(ddr, "input"));
    cyg_strbuf_puts(out, " in, ");
    cyg_html_count(out, cyg_html_integer(ddr, "output"));
    cyg_strbuf_puts(out, " out, ");
    cyg_html_count(out, cyg_html_integer(ddr, "spill"));
    cyg_strbuf_puts(out, " spilled. Cycles are a model's estimate (docs/npu-model.md), bytes are "
                         "exact. Double-click or ctrl-wheel zooms, shift-double-click shows all."
                         "</p>\n");
}

/* No schedule can take fewer cycles than any of these. */
static void bounds(const cyg_doc_node *s, cyg_strbuf *out)
{
    const cyg_doc_node *map = cyg_html_items(s, "bounds");
    const double cycles = cyg_html_number(s, "cycles");
    if (map == NULL || map->kind != CYG_DOC_MAP || cycles <= 0)
        return;
    cyg_html_begin_table(out, "npu-bounds", "Bounds: no schedule takes less than the largest",
                         "<th>resource</th><th class=\"n\">cycles</th><th class=\"n\">% of the "
                         "schedule</th>",
                         false);
    for (size_t i = 0; i < map->count; i++) {
        cyg_strbuf_puts(out, "<tr>");
        cyg_html_text_cell(out, "c", map->items[i]->key);
        cyg_html_count_cell(out, cyg_html_integer(map, map->items[i]->key),
                            cyg_html_number(map, map->items[i]->key) / cycles);
        cyg_html_number_cell(out, 100.0 * cyg_html_number(map, map->items[i]->key) / cycles, 1);
        cyg_strbuf_puts(out, "</tr>\n");
    }
    cyg_html_end_table(out);
}

/* The chain of tasks that determines the end, by who holds it. */
static void critical_path(const cyg_doc_node *s, cyg_strbuf *out)
{
    const cyg_doc_node *map = cyg_html_items(s, "critical_path");
    double all = 0;
    for (size_t i = 0; map != NULL && i < map->count; i++)
        all += cyg_html_number(map, map->items[i]->key);
    if (map == NULL || map->kind != CYG_DOC_MAP || all <= 0)
        return;
    cyg_strbuf_puts(out, "<p class=\"soft\">The critical path, by the engine that works on it:</p>"
                         "<div class=\"way\">");
    for (size_t i = 0; i < map->count; i++) {
        static const char *const known[] = {"conv", "teng", "cv", "sdma", "wait"};
        const double share = cyg_html_number(map, map->items[i]->key) / all;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            if (strcmp(known[k], map->items[i]->key) == 0 && share > 0)
                cyg_strbuf_printf(out,
                                  "<span class=\"%s\" style=\"width:%.2f%%\">%s %.0f %%</span>",
                                  known[k], 100.0 * share, known[k], 100.0 * share);
    }
    cyg_strbuf_puts(out, "</div>\n");
}

static void step_row(const cyg_doc_node *r, double all, cyg_strbuf *out)
{
    const double start = cyg_html_number(r, "start"), end = cyg_html_number(r, "end");
    cyg_strbuf_puts(out, "<tr>");
    cyg_html_number_cell(out, cyg_html_number(r, "step"), 0);
    cyg_html_text_cell(out, "w", cyg_html_entry(r, "name"));
    cyg_html_text_cell(out, "c", cyg_html_entry(r, "limit"));
    cyg_html_count_cell(out, (int64_t)(end - start), (end - start) / all);
    cyg_html_number_cell(out, 100.0 * cyg_html_number(r, "of_bound"), 0);
    cyg_html_count_cell(out, cyg_html_integer(r, "conv"), 0);
    cyg_html_count_cell(out, cyg_html_integer(r, "teng"), 0);
    cyg_html_count_cell(out, cyg_html_integer(r, "cv"), 0);
    cyg_html_count_cell(out, cyg_html_integer(r, "ddr"), 0);
    cyg_html_count_cell(out, cyg_html_integer(r, "ddr_bytes"), 0);
    cyg_html_count_cell(out, cyg_html_integer(r, "tasks"), 0);
    cyg_strbuf_puts(out, "</tr>\n");
}

static void step_table(const cyg_doc_node *s, cyg_strbuf *out)
{
    const cyg_doc_node *steps = cyg_html_items(s, "steps");
    const double cycles = cyg_html_number(s, "cycles");
    if (steps == NULL || cycles <= 0)
        return;
    cyg_html_begin_table(
        out, "npu-steps", "Steps on the NPU: cycles by resource, and the one that limits",
        "<th class=\"n\">step</th><th>name</th><th>limit</th><th class=\"n\">cycles</th>"
        "<th class=\"n\">% of bound</th><th class=\"n\">conv</th><th class=\"n\">teng</th>"
        "<th class=\"n\">cv</th><th class=\"n\">ddr</th><th class=\"n\">DDR bytes</th>"
        "<th class=\"n\">tasks</th>",
        true);
    for (size_t i = 0; i < steps->count; i++)
        step_row(steps->items[i], cycles, out);
    cyg_html_end_table(out);
}

static void cpu_table(const cyg_doc_node *npu, cyg_strbuf *out)
{
    const cyg_doc_node *list = cyg_html_items(npu, "cpu_steps");
    if (list == NULL)
        return;
    cyg_html_begin_table(out, "npu-cpu", "Steps that stay on the CPU",
                         "<th class=\"n\">step</th><th>name</th><th>reason</th>", false);
    for (size_t i = 0; i < list->count; i++) {
        cyg_strbuf_puts(out, "<tr>");
        cyg_html_number_cell(out, cyg_html_number(list->items[i], "step"), 0);
        cyg_html_text_cell(out, "w", cyg_html_entry(list->items[i], "name"));
        cyg_html_text_cell(out, "w", cyg_html_entry(list->items[i], "reason"));
        cyg_strbuf_puts(out, "</tr>\n");
    }
    cyg_html_end_table(out);
}

void cyg_report_npu(const cyg_doc_node *root, cyg_strbuf *out)
{
    const cyg_doc_node *npu = cyg_html_items(root, "npu");
    const cyg_doc_node *list = npu != NULL ? cyg_html_items(npu, "subgraphs") : NULL;
    if (npu == NULL)
        return;
    cyg_strbuf_puts(out, "<h2>On the NPU: ");
    cyg_html_text(out, cyg_html_entry(npu, "chip"));
    cyg_strbuf_puts(out, " ");
    cyg_html_text(out, cyg_html_entry(npu, "mode"));
    cyg_strbuf_puts(out, "</h2>\n");
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        sentence(npu, list->items[i], out);
        cyg_npu_timeline(list->items[i], cyg_html_number(npu, "clock_khz"), out);
        critical_path(list->items[i], out);
        bounds(list->items[i], out);
        step_table(list->items[i], out);
    }
    cpu_table(npu, out);
}

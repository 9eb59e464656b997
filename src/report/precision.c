/* What the integers cost: a sentence, pictures, and the table behind them. */
#include "report/precision.h"

#include "report/html.h"

static void sentence(const cyg_doc_node *p, cyg_strbuf *out)
{
    const char *born = cyg_html_entry(p, "born"), *grows = cyg_html_entry(p, "grows");
    cyg_strbuf_puts(out, "<p class=\"soft\">Every tensor against its float value on ");
    cyg_html_count(out, cyg_html_integer(p, "samples"));
    cyg_strbuf_puts(out, " samples: each step alone, fed float values, and as the package runs.");
    if (born[0] != '\0') {
        cyg_strbuf_puts(out, " Error is born in <code>");
        cyg_html_text(out, born);
        cyg_strbuf_puts(out, "</code>");
    }
    if (grows[0] != '\0') {
        cyg_strbuf_puts(out, born[0] != '\0' ? " and grows most in <code>" : " It grows in <code>");
        cyg_html_text(out, grows);
        cyg_strbuf_puts(out, "</code>");
    }
    cyg_strbuf_puts(out, born[0] != '\0' || grows[0] != '\0' ? ".</p>\n" : "</p>\n");
}

static void error_cells(const cyg_doc_node *row, const char *run, cyg_strbuf *out)
{
    const cyg_doc_node *e = cyg_doc_get(row, run);
    cyg_html_number_cell(out, cyg_html_number(e, "sqnr_db"), 1);
    cyg_html_number_cell(out, cyg_html_number(e, "worst_channel_db"), 1);
    cyg_html_number_cell(out, cyg_html_number(e, "cosine"), 5);
}

static void range_cell(const cyg_doc_node *row, const char *key, cyg_strbuf *out)
{
    const cyg_doc_node *pair = cyg_html_items(row, key);
    cyg_strbuf_puts(out, "<td class=\"n\">");
    if (pair != NULL && pair->count == 2 && pair->items[0]->number < pair->items[1]->number)
        cyg_strbuf_printf(out, "%.4g..%.4g", pair->items[0]->number, pair->items[1]->number);
    cyg_strbuf_puts(out, "</td>");
}

static void table(const cyg_doc_node *layers, cyg_strbuf *out)
{
    cyg_html_begin_table(
        out, "precision", "Precision, layer by layer",
        "<th class=\"n\">step</th><th>layer</th><th>kernel</th><th>type</th>"
        "<th class=\"n\">alone dB</th><th class=\"n\">worst channel</th><th class=\"n\">cosine</th>"
        "<th class=\"n\">as run dB</th><th class=\"n\">worst channel</th><th "
        "class=\"n\">cosine</th><th class=\"n\">own %</th><th class=\"n\">drop dB</th>"
        "<th class=\"n\">saturated %</th><th class=\"n\">range</th><th class=\"n\">seen</th>"
        "<th>corrections</th>",
        true);
    for (size_t i = 0; i < layers->count; i++) {
        const cyg_doc_node *row = layers->items[i];
        cyg_strbuf_puts(out, "<tr>");
        cyg_html_number_cell(out, cyg_html_number(row, "step"), 0);
        cyg_html_text_cell(out, "w", cyg_html_entry(row, "layer"));
        cyg_html_text_cell(out, "c", cyg_html_entry(row, "kernel"));
        cyg_html_text_cell(out, "c", cyg_html_entry(row, "type"));
        error_cells(row, "alone", out);
        error_cells(row, "run", out);
        cyg_html_number_cell(out, 100.0 * cyg_html_number(row, "own"), 0);
        cyg_html_number_cell(out, cyg_html_number(row, "drop_db"), 1);
        cyg_html_number_cell(out, 100.0 * cyg_html_number(row, "saturation"), 2);
        range_cell(row, "range", out);
        range_cell(row, "seen", out);
        cyg_html_text_cell(out, "", cyg_html_entry(row, "corrections"));
        cyg_strbuf_puts(out, "</tr>\n");
    }
    cyg_html_end_table(out);
}

void cyg_report_precision(const cyg_doc_node *root, cyg_strbuf *out)
{
    const cyg_doc_node *p = cyg_html_items(root, "precision");
    const cyg_doc_node *layers = p != NULL ? cyg_html_items(p, "layers") : NULL;
    if (layers == NULL)
        return;
    cyg_strbuf_puts(out, "<h2>Precision by depth</h2>\n");
    sentence(p, out);
    cyg_precision_depth(layers, cyg_html_entry(p, "born"), out);
    cyg_precision_histograms(layers, out);
    if (cyg_html_items(p, "weights") != NULL)
        cyg_precision_spread(cyg_html_items(p, "weights"), out);
    table(layers, out);
}

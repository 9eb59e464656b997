/* The pictures of precision, written by hand: dots, bars and boxes on a grid. Coordinates are
 * clamped to the picture, so a damaged record draws nonsense but nothing outside. Texts come from
 * model files and are escaped. */
#include "report/precision.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/html.h"

const char cyg_precision_style[] =
    ".chart{display:block;width:100%;height:auto;font:11px system-ui,sans-serif}\n"
    ".chart text{fill:var(--soft)}.chart .grid{stroke:var(--line);stroke-width:1}\n"
    ".chart .run{fill:var(--mark)}.chart .alone{fill:var(--card);stroke:var(--warn);"
    "stroke-width:1.5}.chart .gap{stroke:var(--line);stroke-width:2}\n"
    ".chart .born{fill:none;stroke:var(--warn);stroke-width:1.5}.chart .held{fill:var(--warnbg)}"
    ".chart .edge{stroke:var(--warn);stroke-width:1.5}.chart .bar{fill:var(--mark)}\n"
    ".chart .box{fill:var(--bar)}.chart .mid{stroke:var(--mark);stroke-width:2}"
    ".chart .name{fill:var(--fg)}\n";

enum { WIDTH = 1000, LEFT = 42, RIGHT = 12, TOP = 24, PLOT = 220, BOTTOM = 26 };
static const double no_noise_db = 199.0;

static double clamp(double x, double low, double high)
{
    return x > low ? x < high ? x : high : low; /* NaN is low */
}

static double number_at(const cyg_doc_node *list, size_t i)
{
    const cyg_doc_node *n = list != NULL && i < list->count ? list->items[i] : NULL;
    return n != NULL && (n->kind == CYG_DOC_INT || n->kind == CYG_DOC_FLOAT) ? n->number : 0.0;
}

static void begin(cyg_strbuf *out, int height, const char *label)
{
    cyg_strbuf_printf(out,
                      "<div class=\"box\"><svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" "
                      "aria-label=\"%s\">\n",
                      (int)WIDTH, height, label);
}

static void end(cyg_strbuf *out)
{
    cyg_strbuf_puts(out, "</svg></div>\n");
}

static void line(cyg_strbuf *out, const char *class_name, double x1, double y1, double x2,
                 double y2)
{
    cyg_strbuf_printf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                      class_name, x1, y1, x2, y2);
}

static void rect(cyg_strbuf *out, const char *class_name, double x, double y, double w, double h)
{
    cyg_strbuf_printf(out,
                      "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                      class_name, x, y, w > 0 ? w : 0, h > 0 ? h : 0);
}

static void label(cyg_strbuf *out, double x, double y, const char *anchor, const char *text)
{
    cyg_strbuf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    cyg_html_text(out, text);
    cyg_strbuf_puts(out, "</text>");
}

/* ---- a plot over layers ---- */

typedef struct axis {
    double most; /* the scale's upper end; its lower is 0 */
    size_t count;
} axis;

static double at_x(const axis *a, size_t i)
{
    return LEFT + ((double)i + 0.5) * (WIDTH - LEFT - RIGHT) / (double)a->count;
}

static double at_y(const axis *a, double value)
{
    return TOP + PLOT * (1.0 - clamp(value / a->most, 0.0, 1.0));
}

static void grid(cyg_strbuf *out, const axis *a, double step, const char *unit)
{
    for (double v = 0.0; v <= a->most * 1.0001; v += step) {
        char text[32];
        snprintf(text, sizeof text, "%g", v);
        line(out, "grid", LEFT, at_y(a, v), WIDTH - RIGHT, at_y(a, v));
        label(out, LEFT - 6, at_y(a, v) + 4, "end", text);
    }
    label(out, LEFT - 6, TOP - 10, "end", unit);
    label(out, LEFT, TOP + PLOT + 18, "start", "first layer");
    label(out, WIDTH - RIGHT, TOP + PLOT + 18, "end", "last layer");
    cyg_strbuf_puts(out, "\n");
}

static double sqnr_of(const cyg_doc_node *row, const char *run)
{
    const cyg_doc_node *e = cyg_doc_get(row, run);
    return e != NULL ? cyg_html_number(e, "sqnr_db") : no_noise_db;
}

static void dot(cyg_strbuf *out, const axis *a, const char *class_name, size_t i, double db,
                double radius, const cyg_doc_node *row, const char *what)
{
    if (db >= no_noise_db)
        return;
    cyg_strbuf_printf(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"><title>",
                      class_name, at_x(a, i), at_y(a, db), radius);
    cyg_html_text(out, cyg_html_entry(row, "layer"));
    cyg_strbuf_printf(out, ": %.1f dB %s</title></circle>", db, what);
}

void cyg_precision_depth(const cyg_doc_node *layers, const char *born, cyg_strbuf *out)
{
    axis a = {.most = 20.0, .count = layers->count};
    for (size_t i = 0; i < layers->count; i++) {
        const double alone = sqnr_of(layers->items[i], "alone"),
                     run = sqnr_of(layers->items[i], "run");
        a.most = alone < no_noise_db && alone > a.most ? alone : a.most;
        a.most = run < no_noise_db && run > a.most ? run : a.most;
    }
    a.most = 20.0 * ceil(a.most / 20.0);
    begin(out, TOP + PLOT + BOTTOM, "SQNR of every tensor in order of execution");
    grid(out, &a, 20.0, "dB");
    const double radius = clamp(300.0 / (double)a.count, 1.5, 4.0);
    bool named = false;
    for (size_t i = 0; i < layers->count; i++) {
        const cyg_doc_node *row = layers->items[i];
        const double alone = sqnr_of(row, "alone"), run = sqnr_of(row, "run");
        if (alone < no_noise_db && run < no_noise_db)
            line(out, "gap", at_x(&a, i), at_y(&a, alone), at_x(&a, i), at_y(&a, run));
        dot(out, &a, "alone", i, alone, radius, row, "alone");
        dot(out, &a, "run", i, run, radius, row, "as run");
        if (!named && born[0] != '\0' && strcmp(born, cyg_html_entry(row, "layer")) == 0) {
            cyg_strbuf_printf(out, "<circle class=\"born\" cx=\"%.1f\" cy=\"%.1f\" r=\"9\"/>",
                              at_x(&a, i), at_y(&a, run));
            named = true;
        }
        cyg_strbuf_puts(out, "\n");
    }
    cyg_strbuf_printf(out, "<circle class=\"alone\" cx=\"%d\" cy=\"10\" r=\"4\"/>", LEFT + 30);
    label(out, LEFT + 40, 14, "start", "alone");
    cyg_strbuf_printf(out, "<circle class=\"run\" cx=\"%d\" cy=\"10\" r=\"4\"/>", LEFT + 100);
    label(out, LEFT + 110, 14, "start", "as run");
    if (named) {
        cyg_strbuf_printf(out, "<circle class=\"born\" cx=\"%d\" cy=\"10\" r=\"7\"/>", LEFT + 180);
        label(out, LEFT + 194, 14, "start", "error is born here");
    }
    end(out);
}

void cyg_precision_spread(const cyg_doc_node *weights, cyg_strbuf *out)
{
    axis a = {.most = 2.0, .count = weights->count};
    for (size_t i = 0; i < weights->count; i++) {
        const double most = number_at(cyg_html_items(weights->items[i], "spread"), 4);
        a.most = most > a.most ? clamp(most, 0.0, 40.0) : a.most;
    }
    const double step = ceil(a.most / 6.0);
    a.most = step * ceil(a.most / step);
    cyg_strbuf_puts(out, "<h2>Spread of the weights' channels</h2>\n<p class=\"soft\">log2(largest "
                         "weight of the layer / largest of an output channel): the bits that one "
                         "scale for the whole layer would take from the channel. Box: the middle "
                         "half of the channels.</p>\n");
    begin(out, TOP + PLOT + BOTTOM, "Spread of weights between channels");
    grid(out, &a, step, "bits");
    const double half = clamp(0.3 * (WIDTH - LEFT - RIGHT) / (double)a.count, 0.5, 8.0);
    for (size_t i = 0; i < weights->count; i++) {
        const cyg_doc_node *s = cyg_html_items(weights->items[i], "spread");
        const double x = at_x(&a, i);
        if (s == NULL || s->count != 5)
            continue;
        cyg_strbuf_puts(out, "<g><title>");
        cyg_html_text(out, cyg_html_entry(weights->items[i], "layer"));
        cyg_strbuf_printf(out, ": half within %.1f to %.1f, most %.1f</title>", number_at(s, 1),
                          number_at(s, 3), number_at(s, 4));
        line(out, "gap", x, at_y(&a, number_at(s, 0)), x, at_y(&a, number_at(s, 4)));
        const double top = at_y(&a, number_at(s, 3));
        rect(out, "box", x - half, top, 2.0 * half, at_y(&a, number_at(s, 1)) - top);
        line(out, "mid", x - half, at_y(&a, number_at(s, 2)), x + half, at_y(&a, number_at(s, 2)));
        cyg_strbuf_puts(out, "</g>\n");
    }
    end(out);
}

/* ---- histograms ---- */

enum {
    ACROSS = 5,
    CELL_WIDTH = WIDTH / ACROSS,
    CELL_HEIGHT = 165,
    BARS = 84,
    MARGIN = 10,
    MOST = 400
};

/* The tail of a name, which tells more than its head. */
static void short_name(cyg_strbuf *out, const char *name)
{
    const size_t size = strlen(name), most = 28;
    const char *from = size > most ? name + size - most + 1 : name;
    while (((unsigned char)*from & 0xc0) == 0x80) /* not within a character */
        from++;
    cyg_strbuf_puts(out, size > most ? "…" : "");
    cyg_html_text(out, from);
}

static void histogram(const cyg_doc_node *row, const cyg_doc_node *bins, double x, double y,
                      cyg_strbuf *out)
{
    const cyg_doc_node *span = cyg_html_items(row, "bins_range"),
                       *range = cyg_html_items(row, "range"), *seen = cyg_html_items(row, "seen");
    const double low = number_at(span, 0), width = number_at(span, 1) - low;
    const double plot = CELL_WIDTH - 2.0 * MARGIN, base = y + 24 + BARS;
    const size_t count = bins->count < MOST ? bins->count : MOST;
    double most = 1.0;
    if (!(width > 0.0))
        return;
    for (size_t i = 0; i < count; i++)
        most = number_at(bins, i) > most ? number_at(bins, i) : most;
    const double held_low = plot * clamp((number_at(range, 0) - low) / width, 0.0, 1.0);
    const double held_high = plot * clamp((number_at(range, 1) - low) / width, 0.0, 1.0);
    cyg_strbuf_puts(out, "<g><title>");
    cyg_html_text(out, cyg_html_entry(row, "tensor"));
    cyg_strbuf_printf(out, "</title><text class=\"name\" x=\"%.1f\" y=\"%.1f\">", x, y + 14);
    short_name(out, cyg_html_entry(row, "layer"));
    cyg_strbuf_puts(out, "</text>");
    rect(out, "held", x + held_low, y + 22, held_high - held_low, BARS + 2);
    for (size_t i = 0; i < count; i++) {
        const double n = number_at(bins, i);
        const double h = n > 0.0 ? BARS * clamp(log1p(n) / log1p(most), 0.0, 1.0) : 0.0;
        if (h > 0.0)
            rect(out, "bar", x + plot * (double)i / (double)count, base - h,
                 plot / (double)count * 0.9, h);
    }
    line(out, "edge", x + held_low, y + 22, x + held_low, base);
    line(out, "edge", x + held_high, y + 22, x + held_high, base);
    line(out, "grid", x, base, x + plot, base);
    cyg_strbuf_printf(out,
                      "<text x=\"%.1f\" y=\"%.1f\">holds %.3g..%.3g</text><text x=\"%.1f\" "
                      "y=\"%.1f\">seen %.3g..%.3g · %.1f dB</text></g>\n",
                      x, base + 14, number_at(range, 0), number_at(range, 1), x, base + 28,
                      number_at(seen, 0), number_at(seen, 1), sqnr_of(row, "alone"));
}

void cyg_precision_histograms(const cyg_doc_node *layers, cyg_strbuf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < layers->count; i++)
        count += cyg_html_items(layers->items[i], "bins") != NULL;
    if (count == 0)
        return;
    cyg_strbuf_puts(out,
                    "<h2>The worst tensors, and what their integers hold</h2>\n<p "
                    "class=\"soft\">Float values on a logarithmic scale of counts; shaded: the "
                    "chosen range.</p>\n");
    begin(out, (int)((count + ACROSS - 1) / ACROSS) * CELL_HEIGHT,
          "Histograms of the worst tensors");
    size_t cell = 0;
    for (size_t i = 0; i < layers->count; i++) {
        const cyg_doc_node *bins = cyg_html_items(layers->items[i], "bins");
        if (bins == NULL)
            continue;
        histogram(layers->items[i], bins, (double)(cell % ACROSS) * CELL_WIDTH + MARGIN,
                  (double)(cell / ACROSS) * CELL_HEIGHT, out);
        cell++;
    }
    end(out);
}

/* The timeline: one lane an engine, a bar wherever it works without a longer pause on one step,
 * shaded by step so that neighbours differ; below it what the OCM holds and how busy the DDR is.
 * Zooming only changes the viewBox and the bars stay rectangles, so the page needs no library.
 * Records are read leniently and coordinates clamped. */
#include "report/npu.h"

#include <math.h>
#include <stdio.h>

#include "report/html.h"

const char cyg_npu_style[] =
    ".lanes{display:block;width:100%;height:auto;font:11px "
    "system-ui,sans-serif;touch-action:pan-y}\n"
    ".lanes text{fill:var(--soft)}.lanes .grid{stroke:var(--line);stroke-width:1;"
    "vector-effect:non-scaling-stroke}.lanes .back{fill:var(--bg)}"
    ".lanes .even{fill:var(--mark)}.lanes .odd{fill:var(--mark);opacity:.55}"
    ".lanes .ocm{fill:var(--bar)}.lanes .ddr{fill:var(--warn);opacity:.6}"
    ".lanes .full{stroke:var(--warn);stroke-width:1;vector-effect:non-scaling-stroke}\n"
    ".way{display:flex;height:1.4rem;border-radius:.4rem;overflow:hidden;margin:.4rem 0}"
    ".way span{color:#fff;font-size:.75rem;padding:.15rem .3rem;white-space:nowrap;overflow:hidden}"
    ".way .conv{background:#0b6e6e}.way .teng{background:#8a5a00}.way .cv{background:#5b4b8a}"
    ".way .sdma{background:#2a5db0}.way .wait{background:#777}\n";

const char cyg_npu_script[] =
    "document.querySelectorAll('svg.zoom').forEach(s=>{const all=s.viewBox.baseVal.width,"
    "inner=s.querySelector('svg'),w=inner.viewBox.baseVal.width;let x=0,z=1;\n"
    "const set=()=>{x=Math.max(0,Math.min(w-w/z,x));inner.setAttribute('viewBox',x+' 0 '+w/z+' '+"
    "inner.viewBox.baseVal.height)};\n"
    "const at=e=>{const r=inner.getBoundingClientRect(),m=s.getBoundingClientRect();"
    "const left=m.left+m.width*(all-w)/all;return Math.max(0,Math.min(1,(e.clientX-left)/"
    "(m.width*w/all)))};\n"
    "s.addEventListener('wheel',e=>{if(!e.ctrlKey&&!e.shiftKey)return;e.preventDefault();"
    "const p=x+at(e)*w/z;z=Math.max(1,Math.min(400,z*(e.deltaY<0?1.25:.8)));x=p-at(e)*w/z;set()},"
    "{passive:false});\n"
    "s.addEventListener('dblclick',e=>{const p=x+at(e)*w/z;z=e.shiftKey?1:Math.min(400,z*2);"
    "x=p-at(e)*w/z;set()});\n"
    "let from=null;s.addEventListener('pointerdown',e=>{from=[e.clientX,x]});\n"
    "addEventListener('pointermove',e=>{if(from&&z>1){x=from[1]-(e.clientX-from[0])*all/"
    "s.getBoundingClientRect().width/z;set()}});addEventListener('pointerup',()=>from=null)});\n";

enum { WIDTH = 1000, LEFT = 60, LANE = 18, BAR = 14, PLOT = 60, GAP = 10, AXIS = 18 };

static double clamp(double x, double low, double high)
{
    return x > low ? x < high ? x : high : low; /* NaN is low */
}

static double number_at(const cyg_doc_node *list, size_t i)
{
    const cyg_doc_node *n = list != NULL && i < list->count ? list->items[i] : NULL;
    return n != NULL && (n->kind == CYG_DOC_INT || n->kind == CYG_DOC_FLOAT) ? n->number : 0.0;
}

static void bar(cyg_strbuf *out, const char *class_name, double x, double y, double w, double h)
{
    cyg_strbuf_printf(out,
                      "<rect class=\"%s\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"",
                      class_name, x, y, w > 0.02 ? w : 0.02, h > 0 ? h : 0);
}

/* Runs are [start, end, step] in cycles. */
static void lane(const cyg_doc_node *record, double cycles, double y, const char *const *names,
                 size_t name_count, cyg_strbuf *out)
{
    const cyg_doc_node *runs = cyg_html_items(record, "runs");
    for (size_t i = 0; runs != NULL && i < runs->count; i++) {
        const double start = clamp(number_at(runs->items[i], 0), 0, cycles),
                     end = clamp(number_at(runs->items[i], 1), start, cycles);
        const size_t step = (size_t)clamp(number_at(runs->items[i], 2), 0, 1e6);
        bar(out, step % 2 == 0 ? "even" : "odd", start / cycles * (WIDTH - LEFT), y,
            (end - start) / cycles * (WIDTH - LEFT), BAR);
        cyg_strbuf_puts(out, "><title>");
        if (step < name_count)
            cyg_html_text(out, names[step]);
        cyg_strbuf_printf(out, " · %.0f cycles</title></rect>", end - start);
    }
}

/* A list of samples over the whole time as bars from the bottom. */
static void area(const cyg_doc_node *list, double most, const char *class_name, double bottom,
                 cyg_strbuf *out)
{
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        const double h = clamp(number_at(list, i) / most, 0, 1) * PLOT;
        bar(out, class_name, (double)i * (WIDTH - LEFT) / (double)list->count, bottom - h,
            (double)(WIDTH - LEFT) / (double)list->count + 0.2, h);
        cyg_strbuf_puts(out, "/>");
    }
}

static void label(cyg_strbuf *out, double x, double y, const char *anchor, const char *text)
{
    cyg_strbuf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    cyg_html_text(out, text);
    cyg_strbuf_puts(out, "</text>");
}

static void axis(double cycles, double cycles_a_ms, double y, cyg_strbuf *out)
{
    enum { TICKS = 8 };
    for (int i = 0; i <= TICKS; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.2f ms", cycles / cycles_a_ms * i / TICKS);
        label(out, LEFT + (double)(WIDTH - LEFT) * i / TICKS, y,
              i == 0       ? "start"
              : i == TICKS ? "end"
                           : "middle",
              text);
    }
}

void cyg_npu_timeline(const cyg_doc_node *subgraph, double cycles_a_ms, cyg_strbuf *out)
{
    enum { NAMES = 4096 };
    static const char *const none[1] = {""};
    const cyg_doc_node *lanes = cyg_html_items(subgraph, "lanes"),
                       *steps = cyg_html_items(subgraph, "steps");
    const double cycles = cyg_html_number(subgraph, "cycles"),
                 ocm = cyg_html_number(subgraph, "ocm_bytes");
    if (lanes == NULL || cycles <= 0 || cycles_a_ms <= 0)
        return;
    const size_t count = steps != NULL && steps->count < NAMES ? steps->count : 0;
    const char *list[NAMES];
    for (size_t i = 0; i < count; i++)
        list[i] = cyg_html_entry(steps->items[i], "name");
    const double bars = (double)lanes->count * LANE, height = bars + 2 * (PLOT + GAP);
    cyg_strbuf_printf(out,
                      "<div class=\"box\"><svg class=\"lanes zoom\" viewBox=\"0 0 %d %.0f\" "
                      "role=\"img\" aria-label=\"engines, OCM and DDR over time\">\n",
                      (int)WIDTH, height + AXIS);
    for (size_t i = 0; i < lanes->count; i++)
        label(out, LEFT - 6, (double)i * LANE + BAR - 3, "end",
              cyg_html_entry(lanes->items[i], "name"));
    label(out, LEFT - 6, bars + GAP + PLOT / 2.0, "end", "OCM");
    label(out, LEFT - 6, bars + 2 * GAP + PLOT + PLOT / 2.0, "end", "DDR");
    axis(cycles, cycles_a_ms, height + AXIS - 4, out);
    cyg_strbuf_printf(out,
                      "<svg x=\"%d\" y=\"0\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
                      "preserveAspectRatio=\"none\">\n",
                      (int)LEFT, (int)WIDTH - (int)LEFT, height, (int)WIDTH - (int)LEFT, height);
    for (size_t i = 0; i < lanes->count; i++)
        lane(lanes->items[i], cycles, (double)i * LANE, count > 0 ? list : none, count, out);
    area(cyg_html_items(subgraph, "ocm"), ocm > 0 ? ocm : 1, "ocm", bars + GAP + PLOT, out);
    area(cyg_html_items(subgraph, "ddr_share"), 1, "ddr", bars + 2 * (GAP + PLOT), out);
    for (int i = 0; i < 2; i++)
        cyg_strbuf_printf(out, "<line class=\"%s\" x1=\"0\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>",
                          i == 0 ? "full" : "grid", (int)WIDTH - (int)LEFT,
                          bars + GAP + i * (GAP + PLOT), bars + GAP + i * (GAP + PLOT));
    cyg_strbuf_puts(out, "</svg></svg></div>\n");
}

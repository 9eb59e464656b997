/* The frame of the page: style and script, both constant, both inline, so that the file needs no
 * network and can be mailed.
 *
 * Colours are variables with a dark set that follows the reader's system. Wide tables scroll inside
 * their own box, so that the page itself fits a phone. On paper the light set is used, boxes open
 * up and table heads repeat. The script sorts tables by a click on a column's head (numbers by
 * data-v, text by content) and copies a table as tab-separated text; without script the page is
 * complete, only not sortable. */
#include "report/html.h"
#include "report/npu.h"
#include "report/picture.h"
#include "report/precision.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fbfbfa;--fg:#1c1d1f;--soft:#6a6d72;--line:#dcdcd8;"
    "--card:#fff;--mark:#0b6e6e;--bar:#bfe0dd;--warn:#9a4d00;--warnbg:#fff3e0}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#16181b;--fg:#e6e6e3;--soft:#9a9da3;"
    "--line:#33363b;--card:#1e2125;--mark:#5cc4bd;--bar:#1f4a4a;--warn:#ffb866;--warnbg:#33261a}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:76rem;padding:1.2rem;background:var(--bg);color:var(--fg);"
    "font:15px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.1rem;margin:1.8rem 0 .5rem}\n"
    ".soft{color:var(--soft)}code,td.c{font-family:ui-monospace,monospace;font-size:.86em}\n"
    "code{overflow-wrap:anywhere}\n"
    ".cards{display:grid;gap:.7rem;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));"
    "margin:1rem 0}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;"
    "padding:.6rem .8rem}\n"
    ".card b{display:block;font-size:1.3rem;font-variant-numeric:tabular-nums}\n"
    ".box{overflow-x:auto;background:var(--card);border:1px solid var(--line);"
    "border-radius:.5rem}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.3rem .6rem;text-align:left;border-bottom:1px solid var(--line);"
    "vertical-align:top;white-space:nowrap}\n"
    "tr:last-child td{border-bottom:0}th{font-weight:600;color:var(--soft)}\n"
    "summary{cursor:pointer;color:var(--soft)}"
    "td.n,th.n{text-align:right}td.w{white-space:normal;min-width:14rem;"
    "overflow-wrap:anywhere}\n"
    ".sort th{cursor:pointer;user-select:none}.sort th[aria-sort]{color:var(--mark)}\n"
    ".sort th[aria-sort=ascending]::after{content:' \\2191'}"
    ".sort th[aria-sort=descending]::after{content:' \\2193'}\n"
    ".share{background:linear-gradient(var(--bar),var(--bar)) no-repeat right/var(--s,0%) 100%}\n"
    "ul.warn{list-style:none;margin:0;padding:0}ul.warn li{background:var(--warnbg);"
    "color:var(--warn);border-radius:.4rem;padding:.4rem .7rem;margin:.3rem 0;"
    "overflow-wrap:anywhere}\n"
    "button{font:400 .8rem system-ui,sans-serif;color:var(--mark);background:none;border:1px solid "
    "var(--line);"
    "border-radius:.4rem;padding:.1rem .6rem;cursor:pointer;float:right}\n"
    "@media print{:root{--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--card:#fff;--mark:#000;"
    "--bar:#ddd;--warn:#000;--warnbg:#eee}body{max-width:none;padding:0;font-size:10px}"
    "button{display:none}.box{overflow:visible;border:0}thead{display:table-header-group}"
    "tr,.card{break-inside:avoid}th,td{white-space:normal;overflow-wrap:anywhere}}\n";

static const char script[] =
    "document.querySelectorAll('table.sort').forEach(t=>{const heads=[...t.tHead.rows[0].cells];\n"
    "heads.forEach((h,i)=>{h.tabIndex=0;const go=()=>{\n"
    "const up=h.getAttribute('aria-sort')==='descending'||(!h.hasAttribute('aria-sort')&&"
    "!h.classList.contains('n'));\n"
    "heads.forEach(x=>x.removeAttribute('aria-sort'));\n"
    "h.setAttribute('aria-sort',up?'ascending':'descending');\n"
    "const key=r=>{const c=r.cells[i];return c.dataset.v!==undefined?Number(c.dataset.v):"
    "c.textContent};\n"
    "const rows=[...t.tBodies[0].rows].map(r=>[key(r),r]);\n"
    "rows.sort((a,b)=>(a[0]<b[0]?-1:a[0]>b[0]?1:0)*(up?1:-1));\n"
    "t.tBodies[0].append(...rows.map(x=>x[1]))};\n"
    "h.onclick=go;h.onkeydown=e=>{if(e.key==='Enter'||e.key===' '){e.preventDefault();go()}}})});\n"
    "document.querySelectorAll('button[data-t]').forEach(b=>b.onclick=()=>{\n"
    "const t=document.getElementById(b.dataset.t);\n"
    "const text=[...t.rows].map(r=>[...r.cells].map(c=>c.dataset.v!==undefined?c.dataset.v:"
    "(c.querySelector('details>div')||c).textContent.replace(/\\s+/g,' "
    "').trim()).join('\\t')).join('\\n');\n"
    "const done=()=>{const was=b.textContent;b.textContent='copied';"
    "setTimeout(()=>b.textContent=was,1500)};\n"
    "const old=()=>{const a=document.createElement('textarea');a.value=text;"
    "document.body.append(a);a.select();document.execCommand('copy');a.remove();done()};\n"
    "if(navigator.clipboard)navigator.clipboard.writeText(text).then(done,old);else old()});\n";

void cyg_html_begin(cyg_strbuf *out, const char *title)
{
    cyg_strbuf_puts(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                         "<title>");
    cyg_html_text(out, title);
    cyg_strbuf_puts(out, "</title>\n<style>\n");
    cyg_strbuf_puts(out, style);
    cyg_strbuf_puts(out, cyg_picture_style);
    cyg_strbuf_puts(out, cyg_precision_style);
    cyg_strbuf_puts(out, cyg_npu_style);
    cyg_strbuf_puts(out, "</style>\n</head>\n<body>\n");
}

void cyg_html_end(cyg_strbuf *out)
{
    cyg_strbuf_puts(out, "<script>\n");
    cyg_strbuf_puts(out, script);
    cyg_strbuf_puts(out, cyg_npu_script);
    cyg_strbuf_puts(out, "</script>\n</body>\n</html>\n");
}

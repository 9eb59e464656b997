/* What a person sees while the program works.
 *
 * On a terminal a stage that takes a while is one line that is drawn over itself: name, bar, count,
 * ETA. It vanishes when the stage ends, because the stage's result line says the rest. Elsewhere
 * (a pipe, a log file) the same news is a plain line every ten seconds. Progress, notes and
 * warnings go to standard error, so that standard output stays clean for results; a warning is
 * printed once however often it arises.
 *
 * The state is the process's, as the terminal is: one file-level struct, used from the main thread
 * only. The ETA is elapsed * left / done since the stage began, shown after half a second. */
#include "app/app.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"

enum { MOST_WARNINGS = 256, BAR_CELLS = 26, STAGE_TEXT = 64 };

static struct terminal {
    bool bars, colour;
    bool line_open; /* a progress line stands on the terminal */
    char stage[STAGE_TEXT];
    double stage_start, last_drawn;
    uint64_t warned[MOST_WARNINGS];
    size_t warned_count;
} term;

bool cyg_terminal_is_tty(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

const char *cyg_terminal_colour(char what)
{
    if (!term.colour)
        return "";
    return what == 'e'   ? "\033[1;31m"
           : what == 'w' ? "\033[1;33m"
           : what == 'n' ? "\033[36m"
                         : "\033[0m";
}

void cyg_terminal_flush(void)
{
    if (!term.line_open)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    term.line_open = false;
}

/* ---- numbers as people read them ---- */

const char *cyg_text_count(int64_t n, char out[32])
{
    char digits[32];
    const int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    size_t o = 0;
    for (int i = 0; i < len && o + 2 < 32; i++) {
        const int left = len - i;
        if (i > 0 && digits[i - 1] != '-' && left % 3 == 0)
            out[o++] = ',';
        out[o++] = digits[i];
    }
    out[o] = '\0';
    return out;
}

const char *cyg_text_bytes(uint64_t n, char out[32])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    if (n < 1000) {
        snprintf(out, 32, "%llu bytes", (unsigned long long)n);
        return out;
    }
    double x = (double)n / 1e3;
    size_t unit = 0;
    while (x >= 999.95 && unit + 1 < CYG_COUNT(units)) {
        x /= 1e3;
        unit++;
    }
    snprintf(out, 32, "%.1f %s", x, units[unit]);
    return out;
}

void cyg_text_bar(double share, int width, cyg_strbuf *out)
{
    const double cells = share * width + 0.5;
    const int filled = !(cells > 0) ? 0 : cells > width ? width : (int)cells;
    for (int i = 0; i < width; i++)
        cyg_strbuf_puts(out, i < filled ? "\u2588" : "\u2591");
}

/* ---- events ---- */

static bool warned_before(const char *text)
{
    const uint64_t hash = cyg_hash64(text, strlen(text), 0);
    for (size_t i = 0; i < term.warned_count; i++)
        if (term.warned[i] == hash)
            return true;
    if (term.warned_count < MOST_WARNINGS)
        term.warned[term.warned_count++] = hash;
    return false;
}

static void eta_text(const cyg_log_event *e, double elapsed, char out[32])
{
    out[0] = '\0';
    if (e->total <= 0 || e->done <= 0 || elapsed < 0.5)
        return;
    const double left = elapsed * (double)(e->total - e->done) / (double)e->done;
    if (left < 100)
        snprintf(out, 32, "  eta %.0f s", left);
    else if (left < 6000)
        snprintf(out, 32, "  eta %.0f min", left / 60);
    else
        snprintf(out, 32, "  eta %.1f h", left / 3600);
}

static const char *amount_text(const cyg_log_event *e, int64_t n, char out[32])
{
    return e->bytes ? cyg_text_bytes(n > 0 ? (uint64_t)n : 0, out) : cyg_text_count(n, out);
}

const char *cyg_text_progress(const cyg_log_event *e, double elapsed, char out[112])
{
    char done[32], total[32] = "", eta[32];
    if (e->total > 0)
        amount_text(e, e->total, total);
    eta_text(e, elapsed, eta);
    snprintf(out, 112, "%s%s%s%s", amount_text(e, e->done, done),
             total[0] == '\0' ? ""
             : e->bytes       ? " of "
                              : "/",
             total, eta);
    return out;
}

static void draw_bar(const cyg_log_event *e, double elapsed)
{
    char text[112];
    cyg_strbuf bar = {0};
    if (e->total > 0)
        cyg_text_bar((double)e->done / (double)e->total, BAR_CELLS, &bar);
    fprintf(stderr, "\r\033[K  %-12s%s%s%s", e->text, bar.data != NULL ? bar.data : "",
            bar.data != NULL ? "  " : "", cyg_text_progress(e, elapsed, text));
    fflush(stderr);
    term.line_open = true;
    cyg_strbuf_deinit(&bar);
}

static void progress(const cyg_log_event *e)
{
    const double now = cyg_seconds();
    if (strncmp(term.stage, e->text, STAGE_TEXT - 1) != 0 || e->done == 0) {
        cyg_terminal_flush();
        snprintf(term.stage, sizeof term.stage, "%s", e->text);
        term.stage_start = now;
        term.last_drawn = now;
    }
    if (e->total > 0 && e->done >= e->total) {
        cyg_terminal_flush();
        term.stage[0] = '\0';
        return;
    }
    if (now - term.last_drawn < (term.bars ? 0.1 : 10.0))
        return;
    term.last_drawn = now;
    if (term.bars) {
        draw_bar(e, now - term.stage_start);
        return;
    }
    char text[112];
    fprintf(stderr, "  %-12s%s\n", e->text, cyg_text_progress(e, now - term.stage_start, text));
}

static void sink(void *user, const cyg_log_event *e)
{
    cyg_app *app = user;
    switch (e->kind) {
    case CYG_LOG_PROGRESS:
        if (!app->quiet)
            progress(e);
        return;
    case CYG_LOG_INFO:
        cyg_app_print(app, "%s\n", e->text);
        return;
    case CYG_LOG_NOTE:
        if (app->quiet)
            return;
        cyg_terminal_flush();
        fflush(stdout); /* in order, when both streams are one terminal or file */
        fprintf(stderr, "%snote:%s %s\n", cyg_terminal_colour('n'), cyg_terminal_colour(0),
                e->text);
        return;
    case CYG_LOG_WARNING:
        if (warned_before(e->text))
            return;
        cyg_terminal_flush();
        fflush(stdout);
        fprintf(stderr, "%swarning:%s %s\n", cyg_terminal_colour('w'), cyg_terminal_colour(0),
                e->text);
        return;
    }
}

void cyg_terminal_init(cyg_app *app)
{
    const char *kind = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    const bool able = cyg_terminal_is_tty(stderr) && kind != NULL && strcmp(kind, "dumb") != 0;
    memset(&term, 0, sizeof term);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* a pipe's reader sees each line when it is said */

    term.bars = able;
    term.colour = able && (no_colour == NULL || no_colour[0] == '\0');
    app->ctx.log = (cyg_log){.sink = sink, .user = app};
}

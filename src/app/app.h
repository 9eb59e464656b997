/* What every command shares: the context with its terminal and pool, the common flags, and small
 * helpers. */
#ifndef CYG_APP_APP_H
#define CYG_APP_APP_H

#include <stdio.h>

#include "base/arena.h"
#include "base/ctx.h"
#include "config/flags.h"
#include "cygnet/runtime.h"
#include "io/json_write.h"

/* Given to each command. argv[0] is the first word behind the command's name. */
typedef struct cyg_app {
    cyg_ctx ctx;
    cyg_arena arena; /* lives as long as the command */
    bool json;       /* --json: one object on standard output, everything else on standard error */
    bool quiet;      /* --quiet: warnings and the last line only */
    bool help;       /* --help was among the flags: print help and return CYG_OK */
    bool verbose;    /* --verbose: messages with source lines */
} cyg_app;

#define CYG_COMMAND(id, name, usage, summary)                                                      \
    cyg_status cyg_cmd_##id(cyg_app *app, int argc, const char *const *argv);
#include "app/commands.def"
#undef CYG_COMMAND

/* The whole program; main() is one call. */
int cyg_app_main(int argc, char **argv);

/* The flags --json, --quiet, --verbose, --help, for appending to a command's own table. count is
 * CYG_APP_FLAGS. */
enum { CYG_APP_FLAGS = 4 };
void cyg_app_flags(cyg_app *app, cyg_flag out_flags[CYG_APP_FLAGS]);
/* Parses a command's own flags plus the common ones; applies --quiet/--json to the terminal.
 * out_rest = words. Prints help (usage line from commands.def, flags) and sets app->help when
 * asked. */
cyg_status cyg_app_parse(cyg_app *app, const char *command, const cyg_flag *flags, size_t count,
                         int argc, const char *const *argv, cyg_string_list *out_rest) CYG_MUST_USE;
/* Human output of a command: standard output, or standard error under --json; nothing under
 * --quiet. */
void cyg_app_print(cyg_app *app, const char *fmt, ...) CYG_PRINTF(2, 3);
/* What the command was run for: standard output even under --quiet, nothing under --json. */
void cyg_app_print_result(cyg_app *app, const char *fmt, ...) CYG_PRINTF(2, 3);
/* Usage line and these flags, for a command that parses by itself (cyg_config_load). */
cyg_status cyg_app_print_help(cyg_app *app, const char *command, const cyg_flag *flags,
                              size_t count) CYG_MUST_USE;
/* Prints a finished JSON text to standard output, with a newline; CYG_E_IO when that fails. */
cyg_status cyg_app_print_json(cyg_app *app, const cyg_strbuf *text) CYG_MUST_USE;
/* Creates the pool with this many threads (0 = default) into app->ctx.pool, replacing a former one.
 */
cyg_status cyg_app_use_threads(cyg_app *app, unsigned threads) CYG_MUST_USE;
/* Turns a runtime API status into a message on the context. */
cyg_status cyg_app_rt(cyg_app *app, int rt_status) CYG_MUST_USE;

/* ---- terminal.c ---- */
/* Installs the log sink: bars with ETA on a terminal, plain lines otherwise. */
void cyg_terminal_init(cyg_app *app);
/* Ends an unfinished progress line. */
void cyg_terminal_flush(void);
bool cyg_terminal_is_tty(FILE *stream);
/* Escape sequence for 'e'rror, 'w'arning, 'n'ote, 0 = back to plain; "" where there is no colour.
 */
const char *cyg_terminal_colour(char what);
/* "12,345" into out. */
const char *cyg_text_count(int64_t n, char out[32]);
/* "28.4 MB" */
const char *cyg_text_bytes(uint64_t n, char out[32]);
/* "28/32  eta 3 s", "12.4 MB of 113.2 MB  eta 12 s": how far a stage is after so many seconds; the
 * ETA comes after half a second. */
const char *cyg_text_progress(const cyg_log_event *e, double elapsed, char out[112]);
/* A bar of `width` cells filled to share (0..1), UTF-8 blocks. */
void cyg_text_bar(double share, int width, cyg_strbuf *out);

#endif

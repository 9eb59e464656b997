/* The program's frame: find the command, run it, say what went wrong, leave nothing behind.
 *
 * Commands are the rows of commands.def; each returns a status and leaves its messages on the
 * context. Only this file turns a status into text and an exit code (docs/exit-codes.md). Results
 * go to standard output, everything else to standard error; under --json standard output carries
 * one JSON object and nothing more.
 *
 * Ctrl-C: SIGINT and SIGTERM are blocked in every thread and taken by one that waits for them. The
 * first sets the context's cancel flag, which long work looks at between units; the second removes
 * unfinished files and ends the process at once. A handler could do neither safely, since removing
 * files takes locks and memory. SIGPIPE is ignored, so that a closed pipe (`cygnet ops | head`) is
 * a failed write like any other and temporaries are removed. */
#include "app/app.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

typedef struct command {
    const char *name, *usage, *summary;
    cyg_status (*run)(cyg_app *app, int argc, const char *const *argv);
} command;

static const command commands[] = {
#define CYG_COMMAND(id, name, usage, summary) {name, usage, summary, cyg_cmd_##id},
#include "app/commands.def"
#undef CYG_COMMAND
};

static const command *find_command(const char *name)
{
    for (size_t i = 0; i < CYG_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* ---- Ctrl-C ---- */

static volatile int cancelled;

static void *wait_for_signals(void *arg)
{
    const sigset_t *set = arg;
    for (int signal = 0; sigwait(set, &signal) == 0;) {
        if (cancelled) {
            cyg_staging_cleanup();
            _exit(cyg_status_exit_code(CYG_E_CANCELLED));
        }
        cancelled = 1;
    }
    return NULL;
}

/* Called before any other thread exists: they inherit the mask. Without the thread, signals keep
 * their default. */
static void catch_signals(void)
{
    static sigset_t set;
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, wait_for_signals, &set) != 0)
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    else
        pthread_detach(thread);
}

/* ---- flags ---- */

void cyg_app_flags(cyg_app *app, cyg_flag out_flags[CYG_APP_FLAGS])
{
    const cyg_value_type yes_no = {.kind = CYG_VALUE_BOOL};
    out_flags[0] = (cyg_flag){.name = "json",
                              .type = yes_no,
                              .dest = &app->json,
                              .text = "one JSON object on standard output, nothing else there"};
    out_flags[1] = (cyg_flag){
        .name = "quiet", .type = yes_no, .dest = &app->quiet, .text = "warnings and results only"};
    out_flags[2] = (cyg_flag){.name = "verbose",
                              .type = yes_no,
                              .dest = &app->verbose,
                              .text = "messages with the source line that they come from"};
    out_flags[3] = (cyg_flag){
        .name = "help", .letter = 'h', .type = yes_no, .dest = &app->help, .text = "this text"};
}

static void print_usage(const command *c, FILE *to)
{
    fprintf(to, "cygnet %s%s%s\n  %s\n", c->name, c->usage[0] ? " " : "", c->usage, c->summary);
}

cyg_status cyg_app_print_help(cyg_app *app, const char *name, const cyg_flag *flags, size_t count)
{
    cyg_strbuf text = {0};
    const command *c = find_command(name);
    cyg_flags_help(flags, count, &text);
    if (text.failed) {
        cyg_strbuf_deinit(&text);
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    }
    if (c != NULL)
        print_usage(c, stdout);
    printf("\n%s", text.data != NULL ? text.data : "");
    cyg_strbuf_deinit(&text);
    return CYG_OK;
}

/* The vendor's tools answer to "-?", which is no flag by the engine's rules. */
static const char *const *replace_question(cyg_app *app, int argc, const char *const *argv)
{
    const char **words = CYG_NEW_ARRAY(&app->arena, const char *, argc + 1);
    for (int i = 0; words != NULL && i < argc; i++)
        words[i] = strcmp(argv[i], "-?") == 0 ? "--help" : argv[i];
    return words;
}

cyg_status cyg_app_parse(cyg_app *app, const char *name, const cyg_flag *flags, size_t count,
                         int argc, const char *const *argv, cyg_string_list *out_rest)
{
    cyg_flag *all = CYG_NEW_ARRAY(&app->arena, cyg_flag, count + CYG_APP_FLAGS);
    const char *const *words = replace_question(app, argc, argv);
    if (all == NULL || words == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    if (count > 0)
        memcpy(all, flags, count * sizeof *all);
    cyg_app_flags(app, all + count);
    count += CYG_APP_FLAGS;
    CYG_DO(cyg_flags_parse(&app->ctx, &app->arena, all, count, argc, words, out_rest));
    if (app->help)
        return cyg_app_print_help(app, name, all, count);
    return cyg_flags_require(&app->ctx, all, count);
}

/* ---- output ---- */

void cyg_app_print(cyg_app *app, const char *fmt, ...)
{
    va_list args;
    if (app->quiet)
        return;
    cyg_terminal_flush();
    va_start(args, fmt);
    vfprintf(app->json ? stderr : stdout, fmt, args);
    va_end(args);
}

void cyg_app_print_result(cyg_app *app, const char *fmt, ...)
{
    va_list args;
    if (app->json)
        return;
    cyg_terminal_flush();
    va_start(args, fmt);
    vfprintf(stdout, fmt, args);
    va_end(args);
}

cyg_status cyg_app_print_json(cyg_app *app, const cyg_strbuf *text)
{
    if (text->failed || text->data == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    cyg_terminal_flush();
    if (fwrite(text->data, 1, text->len, stdout) != text->len || fputc('\n', stdout) == EOF)
        return CYG_FAIL(&app->ctx, CYG_E_IO, "standard output: %s", strerror(errno));
    return CYG_OK;
}

cyg_status cyg_app_use_threads(cyg_app *app, unsigned threads)
{
    if (threads == 0)
        CYG_DO(cyg_pool_threads_from_env(&app->ctx, &threads));
    cyg_pool_destroy(app->ctx.pool);
    app->ctx.pool = cyg_pool_create(threads);
    if (app->ctx.pool == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory for %u threads", threads);
    cyg_pool_set_patient(app->ctx.pool, true); /* the loops of a float model are long */
    return CYG_OK;
}

cyg_status cyg_app_rt(cyg_app *app, int rt_status)
{
    if (rt_status == CYG_OK)
        return CYG_OK;
    return CYG_FAIL(&app->ctx, (cyg_status)rt_status, "%s", cyg_runtime_message());
}

/* ---- failure ---- */

static bool said_before(const cyg_ctx *ctx, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(cyg_ctx_message(ctx, k), cyg_ctx_message(ctx, i)) == 0)
            return true;
    return false;
}

/* "error: outermost", then the way to the cause, one message a line, each once. */
static void print_failure(cyg_app *app, const char *name, cyg_status status)
{
    const cyg_ctx *ctx = &app->ctx;
    const size_t count = cyg_ctx_message_count(ctx);
    cyg_terminal_flush();
    fflush(stdout);
    if (count == 0)
        fprintf(stderr, "%serror:%s %s\n", cyg_terminal_colour('e'), cyg_terminal_colour(0),
                cyg_status_text(status));
    for (size_t i = 0; i < count; i++) {
        if (said_before(ctx, i))
            continue;
        if (i == 0)
            fprintf(stderr, "%serror:%s %s", cyg_terminal_colour('e'), cyg_terminal_colour(0),
                    cyg_ctx_message(ctx, i));
        else
            fprintf(stderr, "       %s", cyg_ctx_message(ctx, i));
        const cyg_frame *frame = &ctx->frames[count - 1 - i];
        if (app->verbose)
            fprintf(stderr, "  [%s:%d]", frame->file, frame->line);
        fputc('\n', stderr);
    }
    if (status == CYG_E_USAGE && name != NULL)
        fprintf(stderr, "       `cygnet %s --help` lists what it takes\n", name);
}

/* ---- the program ---- */

static void print_overview(FILE *to)
{
    fprintf(to, "cygnet %s: transformers as exact 8-bit integers\n\n", CYG_VERSION);
    for (size_t i = 0; i < CYG_COUNT(commands); i++)
        fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\n`cygnet COMMAND --help` lists a command's flags.\n");
}

static cyg_status fail_unknown(cyg_app *app, const char *word)
{
    const char *names[CYG_COUNT(commands)];
    for (size_t i = 0; i < CYG_COUNT(commands); i++)
        names[i] = commands[i].name;
    const int near = cyg_nearest_name(word, names, CYG_COUNT(names));
    if (near >= 0)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "unknown command \"%.100s\"; did you mean \"%s\"?",
                        word, names[near]);
    return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                    "unknown command \"%.100s\": `cygnet --help` lists the commands", word);
}

/* *out_command stays NULL when no command was reached. */
static cyg_status dispatch(cyg_app *app, int argc, const char *const *argv,
                           const command **out_command)
{
    static const char *const only_help[] = {"--help"};
    const char *word = argc > 1 ? argv[1] : "";
    const bool asks_help = strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 ||
                           strcmp(word, "-h") == 0 || strcmp(word, "-?") == 0;
    if (asks_help && argc == 2) {
        print_overview(stdout);
        return CYG_OK;
    }
    if (argc <= 1) {
        print_overview(stderr);
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "expected a command");
    }
    if (asks_help)
        word = argv[2];
    if (strcmp(word, "--version") == 0)
        word = "version";
    const command *c = find_command(word);
    if (c == NULL)
        return fail_unknown(app, word);
    *out_command = c;
    return asks_help ? c->run(app, 1, only_help) : c->run(app, argc - 2, argv + 2);
}

/* What stdio still holds is written now, so that a full disk is an error and not silence. A reader
 * that went away needs no message. */
static cyg_status finish_output(cyg_app *app, bool *out_silent)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CYG_OK;
    *out_silent = errno == EPIPE || errno == 0;
    return CYG_FAIL(&app->ctx, CYG_E_IO, "standard output: %s", strerror(errno));
}

int cyg_app_main(int argc, char **argv)
{
    cyg_app app = {0};
    const command *c = NULL;
    bool silent = false;
    cyg_ctx_init(&app.ctx);
    cyg_arena_init(&app.arena);
    app.ctx.cancelled = &cancelled;
    catch_signals();
    cyg_terminal_init(&app);
    cyg_status status = dispatch(&app, argc, (const char *const *)argv, &c);
    cyg_terminal_flush();
    if (status == CYG_OK)
        status = finish_output(&app, &silent);
    if (status != CYG_OK && !silent)
        print_failure(&app, c != NULL ? c->name : NULL, status);
    cyg_staging_cleanup();
    cyg_pool_destroy(app.ctx.pool);
    cyg_arena_deinit(&app.arena);
    return cyg_status_exit_code(status);
}

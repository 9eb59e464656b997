/* What the config tests share: a context that remembers notes and warnings, an arena, and one-line
 * loading. */
#ifndef CYG_TESTS_CONFIG_FIXTURE_H
#define CYG_TESTS_CONFIG_FIXTURE_H

#include "../testing.h"
#include "config/config.h"

typedef struct fixture {
    cyg_ctx ctx;
    cyg_arena arena;
    cyg_config_build cfg;
    cyg_strbuf log; /* notes and warnings, one a line */
    size_t warnings;
    const char *file;
} fixture;

static inline void fixture_sink(void *user, const cyg_log_event *event)
{
    fixture *f = user;
    if (event->kind != CYG_LOG_NOTE && event->kind != CYG_LOG_WARNING)
        return;
    f->warnings += event->kind == CYG_LOG_WARNING;
    cyg_strbuf_printf(&f->log, "%s\n", event->text);
}

static inline void fixture_init(fixture *f)
{
    memset(f, 0, sizeof *f);
    cyg_ctx_init(&f->ctx);
    f->ctx.log = (cyg_log){fixture_sink, f};
    cyg_arena_init(&f->arena);
    assert_int_equal(cyg_config_init(&f->ctx, &f->arena, &cyg_config_message_build, &f->cfg),
                     CYG_OK);
}

static inline void fixture_deinit(fixture *f)
{
    cyg_arena_deinit(&f->arena);
    cyg_strbuf_deinit(&f->log);
}

static inline cyg_status fixture_read(fixture *f, const char *name, const char *text)
{
    cyg_ctx_clear(&f->ctx);
    return cyg_config_read_text(&f->ctx, &f->arena, name, text, strlen(text),
                                &cyg_config_message_build, &f->cfg);
}

/* Splits `line` at blanks and loads it as the build command would. */
static inline cyg_status fixture_load(fixture *f, const char *line)
{
    const char *argv[64];
    int argc = 0;
    char *copy = cyg_arena_strdup(&f->arena, line);
    cyg_ctx_clear(&f->ctx);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    return cyg_config_load(&f->ctx, &f->arena, &cyg_config_message_build, argc, argv, NULL, 0,
                           &f->cfg, &f->file);
}

/* The text is refused with `status`, and one message contains `says`. */
static inline void assert_refused(const char *name, const char *text, cyg_status status,
                                  const char *says)
{
    fixture f;
    fixture_init(&f);
    const cyg_status st = fixture_read(&f, name, text);
    if (st != status || !ctx_says(&f.ctx, says))
        fail_msg("%s\n  status %d, message: %s\n  expected: %s", text, (int)st,
                 cyg_ctx_message(&f.ctx, 0), says);
    fixture_deinit(&f);
}

/* Same for a command line. */
static inline void assert_line_refused(const char *line, cyg_status status, const char *says)
{
    fixture f;
    fixture_init(&f);
    const cyg_status st = fixture_load(&f, line);
    if (st != status || !ctx_says(&f.ctx, says))
        fail_msg("%s\n  status %d, message: %s\n  expected: %s", line, (int)st,
                 cyg_ctx_message(&f.ctx, 0), says);
    fixture_deinit(&f);
}

/* The effective values as JSON: two configurations are equal when these are. In the arena. */
static inline const char *config_text(fixture *f)
{
    cyg_strbuf out = {0};
    cyg_json json;
    cyg_json_init(&json, &out, 1);
    cyg_config_write(&json, &cyg_config_message_build, &f->cfg);
    assert_false(out.failed);
    const char *text = cyg_arena_strdup(&f->arena, out.data);
    cyg_strbuf_deinit(&out);
    return text;
}

#endif

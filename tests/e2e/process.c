/* Runs the program under test: a child with its own environment and folder, standard output and
 * error in files of the scratch folder (no pipe that could fill up), and a limit on time so that a
 * hang is a failure. */
#include "e2e.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { MOST_WORDS = 96, LONGEST = 8192, LIMIT_SECONDS = 120 };

char e2e_root[64];

const char *e2e_path(const char *fmt, ...)
{
    static char paths[16][512];
    static unsigned next;
    char *out = paths[next++ % 16];
    const int n = snprintf(out, sizeof paths[0], "%s/", e2e_root);
    va_list args;
    va_start(args, fmt);
    vsnprintf(out + n, sizeof paths[0] - (size_t)n, fmt, args);
    va_end(args);
    return out;
}

void e2e_free(e2e_result *r)
{
    free(r->out);
    free(r->err);
    cyg_doc_close(r->doc);
    *r = (e2e_result){0};
}

static void set_or_unset(const char *name, const char *value)
{
    if (value != NULL)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static void become_program(char **words, e2e_how how, const char *out, const char *err)
{
    const char *program = getenv("CYGNET");
    const int a = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int b = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (program == NULL || a < 0 || b < 0 || dup2(a, 1) < 0 || dup2(b, 2) < 0 ||
        chdir(how.folder != NULL ? how.folder : e2e_root) != 0)
        _exit(125);
    set_or_unset("CYGNET_CPU", how.cpu);
    set_or_unset("CYGNET_THREADS", how.threads != NULL ? how.threads : "2");
    set_or_unset("NO_COLOR", "1");
    words[0] = strdup(program);
    execv(program, words);
    _exit(126);
}

static bool some_path_matches(const char *pattern)
{
    glob_t found = {0};
    const bool matches = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0;
    globfree(&found);
    return matches;
}

static int wait_for(pid_t child, e2e_how how)
{
    const struct timespec pause = {0, 1000000};
    int status = 0;
    bool interrupted = how.interrupt_at == NULL;
    for (double start = cyg_seconds(); cyg_seconds() - start < LIMIT_SECONDS;) {
        const pid_t ended =
            waitpid(child, &status, interrupted && how.interrupt_at == NULL ? 0 : WNOHANG);
        if (ended == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        if (ended < 0 && errno != EINTR)
            break;
        if (!interrupted && some_path_matches(how.interrupt_at)) {
            kill(child, how.signal);
            interrupted = true;
        }
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return 1000 + SIGKILL;
}

void e2e_cygnet(e2e_result *r, e2e_how how, const char *fmt, ...)
{
    char line[LONGEST], *words[MOST_WORDS + 2] = {NULL}, *rest = NULL;
    int count = 1;
    const char *out = e2e_path(".stdout"), *err = e2e_path(".stderr");
    va_list args;
    va_start(args, fmt);
    assert_in_range(vsnprintf(line, sizeof line, fmt, args), 1, sizeof line - 1);
    va_end(args);
    for (char *w = strtok_r(line, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
        assert_true(count < MOST_WORDS);
        words[count++] = w;
    }
    e2e_free(r);
    fflush(NULL);
    CYG_IGNORE(cyg_remove_tree(NULL, out));
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        become_program(words, how, out, err);
    r->code = wait_for(child, how);
    r->out = fixture_read(out, &r->out_size);
    r->err = fixture_read(err, NULL);
}

const cyg_doc_node *e2e_json(e2e_result *r, const char *key)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    if (r->doc == NULL &&
        cyg_doc_parse(&ctx, "stdout.json", r->out, r->out_size, CYG_DOC_JSON, &r->doc) != CYG_OK)
        fail_msg("no JSON on standard output: %s\n%s", cyg_ctx_message(&ctx, 0), r->out);
    const cyg_doc_node *node = cyg_doc_get(cyg_doc_root(r->doc), key);
    if (node == NULL)
        fail_msg("no \"%s\" in %s", key, r->out);
    return node;
}

double e2e_number(e2e_result *r, const char *key)
{
    double value = 0;
    if (cyg_doc_as_float(NULL, e2e_json(r, key), &value) != CYG_OK)
        fail_msg("\"%s\" is no number in %s", key, r->out);
    return value;
}

void e2e_expect(const e2e_result *r, int code)
{
    if (r->code != code)
        fail_msg("exit code %d, expected %d\n--- stdout\n%s--- stderr\n%s", r->code, code, r->out,
                 r->err);
}

void e2e_expect_error(const e2e_result *r, int code, const char *words, const char *out)
{
    e2e_expect(r, code);
    int errors = 0;
    for (const char *at = strstr(r->err, "error:"); at != NULL; at = strstr(at + 1, "error:"))
        errors += at == r->err || at[-1] == '\n';
    if (errors != 1)
        fail_msg("%d lines begin with error:\n%s", errors, r->err);
    char list[1024], *rest = NULL;
    snprintf(list, sizeof list, "%s", words);
    for (char *w = strtok_r(list, "|", &rest); w != NULL; w = strtok_r(NULL, "|", &rest))
        if (strstr(r->err, w) == NULL)
            fail_msg("the error does not say \"%s\":\n%s", w, r->err);
    if (out != NULL && cyg_path_exists(e2e_path("%s", out)))
        fail_msg("%s was left behind", out);
    assert_int_equal(fixture_count(e2e_root, ".partial-"), 0);
}

void e2e_refuses_broken_models(e2e_result *r, const char *command, const char *out)
{
    static const struct {
        model_damage damage;
        int code;
        const char *words;
    } cases[] = {
        {MODEL_CYCLE, 4, "bad.onnx|ring"},
        {MODEL_MISSING_WEIGHT, 4, "bad.onnx|lost.weight|lost.add"},
        {MODEL_SHAPE_MISMATCH, 4, "bad.onnx|odd.matmul|31|32"},
        {MODEL_UNSUPPORTED, 5,
         "bad.onnx|NonMaxSuppression|bad.nms|Loop|bad.loop|control flow|Whirl|bad.whirl|"
         "com.stranger"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        size_t size;
        uint8_t *model = model_make(cases[i].damage, &size);
        fixture_write("bad.onnx", model, size);
        free(model);
        e2e_cygnet(r, (e2e_how){0}, "%s", command);
        e2e_expect_error(r, cases[i].code, cases[i].words, out);
    }
}

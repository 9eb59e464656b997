/* Runs ONNX's backend tests and counts: passed, failed, out of scope by reason. Each test runs in a
 * child of its own, so that a crash or an endless loop is one failed test with a name.
 *
 *   node_tests DATA [--hostile] [--verbose] [PREFIX ...]
 *
 * DATA is onnx/backend/test/data of the wheel; PREFIX keeps the tests whose names begin so;
 * --verbose also lists what is out of scope and why. --hostile runs every test with its numbers
 * spoilt instead: passed then means that each was refused with a reason or ran. Exit status 1 when
 * a test failed, 77 (skipped) when DATA has no tests. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node_test.h"

/* Of processor time, so that a busy machine fails nothing; on the clock much later, for what
 * sleeps. */
enum { SECONDS = 20, CLOCK_SECONDS = 300, SKIPPED = 77 };

static const char *const suites[] = {"node", "simple", "pytorch-converted", "pytorch-operator"};

typedef struct options {
    bool hostile, verbose;
    char **prefixes;
    int prefix_count;
} options;

typedef struct tally {
    int counts[NODE_OUTCOMES];
} tally;

static const char *outcome_text(node_outcome outcome)
{
    switch (outcome) {
#define X(id, text)                                                                                \
    case NODE_OUT_##id:                                                                            \
        return text;
        NODE_OUT_REASONS(X)
#undef X
    case NODE_PASSED:
    case NODE_FAILED:
    case NODE_OUTCOMES:
        break;
    }
    return "";
}

static void say_end(int status, node_result *r)
{
    r->outcome = NODE_FAILED;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
        snprintf(r->text, sizeof r->text, "took more than %d s of processor time", SECONDS);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(r->text, sizeof r->text, "took more than %d s", CLOCK_SECONDS);
    else if (WIFSIGNALED(status))
        snprintf(r->text, sizeof r->text, "crashed: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(r->text, sizeof r->text, "ended with status %d", WEXITSTATUS(status));
}

static void run_apart(const char *folder, bool hostile, node_result *r)
{
    int ends[2], status = 0;
    *r = (node_result){.outcome = NODE_FAILED, .text = "cannot start a process"};
    if (pipe(ends) != 0)
        return;
    const pid_t child = fork();
    if (child == 0) {
        const struct itimerval limit = {.it_value.tv_sec = SECONDS};
        alarm(CLOCK_SECONDS);
        setitimer(ITIMER_PROF, &limit, NULL);
        if (chdir(folder) != 0)
            _exit(1);
        if (hostile)
            node_run_hostile(r);
        else
            node_run(r);
        const bool sent = write(ends[1], r, sizeof *r) == (ssize_t)sizeof *r;
        _exit(sent ? 0 : 1);
    }
    close(ends[1]);
    const bool got = child > 0 && read(ends[0], r, sizeof *r) == (ssize_t)sizeof *r;
    close(ends[0]);
    if (child > 0)
        waitpid(child, &status, 0);
    if (child > 0 && (!got || status != 0))
        say_end(status, r);
}

static bool wanted(const char *name, const options *o)
{
    bool keep = o->prefix_count == 0;
    for (int i = 0; i < o->prefix_count; i++)
        keep |= strncmp(name, o->prefixes[i], strlen(o->prefixes[i])) == 0;
    return keep && name[0] != '.';
}

static void run_suite(const char *data, const char *suite, const options *o, tally *t)
{
    char folder[NODE_PATH / 2];
    struct dirent **entries = NULL;
    snprintf(folder, sizeof folder, "%s/%s", data, suite);
    const int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char test[NODE_PATH];
        static node_result r;
        snprintf(test, sizeof test, "%s/%s", folder, entries[i]->d_name);
        if (wanted(entries[i]->d_name, o)) {
            run_apart(test, o->hostile, &r);
            t->counts[r.outcome]++;
            if (r.outcome == NODE_FAILED)
                printf("FAILED %s/%s: %s\n", suite, entries[i]->d_name, r.text);
            else if (o->verbose)
                printf("%s %s/%s %s\n", r.outcome == NODE_PASSED ? "passed" : "out", suite,
                       entries[i]->d_name, r.text);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    tally t = {{0}};
    options o = {0};
    int at = 2;
    for (; at < argc && argv[at][0] == '-'; at++) {
        o.hostile |= strcmp(argv[at], "--hostile") == 0;
        o.verbose |= strcmp(argv[at], "--verbose") == 0;
    }
    o.prefixes = argv + at;
    o.prefix_count = argc > at ? argc - at : 0;
    setvbuf(stdout, NULL, _IONBF, 0); /* children inherit nothing half-written */
    for (size_t i = 0; argc > 1 && i < CYG_COUNT(suites); i++)
        run_suite(argv[1], suites[i], &o, &t);
    int out = 0, all = 0;
    for (int i = 0; i < NODE_OUTCOMES; i++) {
        all += t.counts[i];
        out += i > NODE_FAILED ? t.counts[i] : 0;
    }
    if (all == 0) {
        printf("no tests in %s: skipped\n", argc > 1 ? argv[1] : "(no folder)");
        return SKIPPED;
    }
    printf("%d tests: %d passed, %d failed, %d out of scope\n", all, t.counts[NODE_PASSED],
           t.counts[NODE_FAILED], out);
    for (int i = NODE_FAILED + 1; i < NODE_OUTCOMES; i++)
        printf("  %4d  %s\n", t.counts[i], outcome_text((node_outcome)i));
    return t.counts[NODE_FAILED] > 0 ? 1 : 0;
}

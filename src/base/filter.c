/* Running another program as a filter.
 *
 * One loop over poll feeds and drains at once, so that neither side can wait for the other with a
 * full pipe. The child's standard input is a socket and not a pipe: a write to a child that has
 * gone is then an error (MSG_NOSIGNAL) whatever the process does with SIGPIPE. The child starts
 * with no signal blocked and SIGPIPE as usual, since our threads block and ignore some. Its words
 * go from argv straight to exec; nothing is ever given to a shell. */
#include "base/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/file.h"

extern char **environ;

typedef struct filter {
    cyg_ctx *ctx;
    const char *name;
    pid_t child;
    int to, from; /* our ends; -1 = closed */
    const char *input;
    size_t left;
    double until; /* of cyg_seconds */
    cyg_strbuf *out;
    size_t printed;
} filter;

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int spawn(filter *f, const char *const *argv, int child_in, int child_out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    char *const *words;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    memcpy(&words, &argv, sizeof words); /* POSIX takes char *const * and changes nothing */
    int error = posix_spawn_file_actions_init(&files);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attr);
    if (error == 0) {
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &usual);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        error = posix_spawn_file_actions_adddup2(&files, child_in, STDIN_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&files, child_out, STDOUT_FILENO);
        if (error == 0)
            error =
                posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (error == 0)
            error = posix_spawnp(&f->child, argv[0], &files, &attr, words, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* Some of the input; the end of it closes the child's standard input. A child that stops reading
 * is judged by its exit status. */
static void feed(filter *f)
{
    const ssize_t n = send(f->to, f->input, f->left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n > 0) {
        f->input += n;
        f->left -= (size_t)n;
    }
    if (n <= 0 || f->left == 0)
        close_end(&f->to);
}

static cyg_status drain(filter *f)
{
    char block[1 << 16];
    const ssize_t n = read(f->from, block, sizeof block);
    if (n < 0 && errno == EINTR)
        return CYG_OK;
    if (n < 0)
        return CYG_FAIL(f->ctx, CYG_E_IO, "%s: reading its output: %s", f->name, strerror(errno));
    if (n == 0) {
        close_end(&f->from);
        return CYG_OK;
    }
    f->printed += (size_t)n;
    if (f->printed > CYG_FILTER_LARGEST)
        return CYG_FAIL(f->ctx, CYG_E_IO, "%s: printed more than %d bytes", f->name,
                        (int)CYG_FILTER_LARGEST);
    cyg_strbuf_add(f->out, block, (size_t)n);
    return f->out->failed ? CYG_FAIL(f->ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
}

/* Until the child closes its standard output. */
static cyg_status pump(filter *f)
{
    if (f->left == 0)
        close_end(&f->to);
    while (f->from >= 0) {
        struct pollfd ends[2] = {{.fd = f->from, .events = POLLIN},
                                 {.fd = f->to, .events = POLLOUT}};
        if (poll(ends, 2, 50) < 0 && errno != EINTR)
            return CYG_FAIL(f->ctx, CYG_E_IO, "%s: poll: %s", f->name, strerror(errno));
        if (f->ctx != NULL)
            CYG_DO(cyg_ctx_check_cancelled(f->ctx));
        if (cyg_seconds() > f->until)
            return CYG_FAIL(f->ctx, CYG_E_IO, "%s: takes too long, stopped", f->name);
        if (f->to >= 0 && ends[1].revents != 0)
            feed(f);
        if (ends[0].revents != 0)
            CYG_DO(drain(f));
    }
    return CYG_OK;
}

static cyg_status reap(filter *f, cyg_status status)
{
    int how = 0;
    if (status != CYG_OK)
        kill(f->child, SIGKILL);
    while (waitpid(f->child, &how, 0) < 0)
        if (errno != EINTR)
            return CYG_FAIL(f->ctx, CYG_E_IO, "%s: waiting for it: %s", f->name, strerror(errno));
    if (status != CYG_OK || (WIFEXITED(how) && WEXITSTATUS(how) == 0))
        return status;
    if (WIFEXITED(how))
        return CYG_FAIL(f->ctx, CYG_E_IO, "%s: ended with status %d", f->name, WEXITSTATUS(how));
    return CYG_FAIL(f->ctx, CYG_E_IO, "%s: ended by signal %d", f->name, WTERMSIG(how));
}

cyg_status cyg_filter_run(cyg_ctx *ctx, const char *const *argv, const char *input, size_t size,
                          double seconds, cyg_strbuf *out, bool *out_found)
{
    int in[2] = {-1, -1}, from[2] = {-1, -1};
    filter f = {.ctx = ctx,
                .name = argv[0],
                .input = input,
                .left = size,
                .until = cyg_seconds() + seconds,
                .out = out};
    *out_found = true;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: socketpair: %s", argv[0], strerror(errno));
    if (pipe2(from, O_CLOEXEC) != 0) {
        const int error = errno;
        close_end(&in[0]);
        close_end(&in[1]);
        return CYG_FAIL(ctx, CYG_E_IO, "%s: pipe: %s", argv[0], strerror(error));
    }
    const int error = spawn(&f, argv, in[1], from[1]);
    close_end(&in[1]);
    close_end(&from[1]);
    f.to = in[0];
    f.from = from[0];
    cyg_status status = CYG_OK;
    if (error == ENOENT || error == EACCES)
        *out_found = false;
    else if (error != 0)
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: cannot be started: %s", argv[0], strerror(error));
    else
        status = reap(&f, pump(&f));
    close_end(&f.to);
    close_end(&f.from);
    return status;
}

/* A small hub on the loopback address for test_hub*.c: one thread, one request a connection, an
 * ephemeral port. It serves the files of one model, o/m, as the real one does (small ones directly,
 * large ones by a redirect to a storage with its own ETag), and has knobs for everything that goes
 * wrong. It ends with server_stop, or with the test's alarm. */
#ifndef CYG_TESTS_HUB_SERVER_H
#define CYG_TESTS_HUB_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/socket.h>

#include "../testing.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
enum { MOST_REQUESTS = 128 };

typedef struct item {
    const char *file;
    const void *body;
    size_t size;
    const char *etag; /* without quotes */
    bool lfs;         /* behind a redirect to /cdn/FILE, with linked headers */
} item;

typedef struct request {
    char method[8], path[300], range[64], if_range[160], auth[160];
} request;

typedef struct server server;
struct server {
    pthread_t thread;
    int listener, stop[2];
    char base[64]; /* http://127.0.0.1:port */
    pthread_mutex_t lock;
    request log[MOST_REQUESTS];
    int count;
    /* knobs; set while no request is under way */
    const item *items;
    size_t item_count;
    const char *cdn;                                   /* where /cdn lives; NULL: here */
    bool (*hook)(server *s, int fd, const request *r); /* true: answered */
    void *hook_user;
    const char *only;  /* the knobs below act on bodies of this file only */
    long cut_after;    /* close after that many bytes of the body ... */
    int cuts;          /* ... this many times */
    bool ignore_range; /* always 200 with everything */
    bool chunked, no_length;
    long length_lie; /* added to Content-Length */
    bool stall;      /* after cut_after bytes: keep the line open, say nothing */
    bool no_linked_size;
};

static inline void say(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size > 0) {
        const ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        p += n;
        size -= (size_t)n;
    }
}

CYG_PRINTF(2, 3) static inline void sayf(int fd, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    say(fd, text, (size_t)n);
}

static inline void say_status(int fd, const char *status, const char *headers)
{
    sayf(fd, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n%s\r\n", status, headers);
}

/* Until the other side hangs up, or the test ends. */
static inline void wait_for_hangup(const server *s, int fd)
{
    struct pollfd watch[2] = {{.fd = fd, .events = POLLIN}, {.fd = s->stop[0], .events = POLLIN}};
    poll(watch, 2, 4000);
}

static inline void say_body(server *s, int fd, const request *r, const item *it, const char *etag,
                            bool storage)
{
    const bool odd = s->only != NULL && strcmp(s->only, it->file) == 0;
    const bool head = strcmp(r->method, "HEAD") == 0;
    size_t from = 0;
    char quoted[160];
    snprintf(quoted, sizeof quoted, "\"%s\"", etag);
    if (r->range[0] != '\0' && !(odd && s->ignore_range) &&
        (r->if_range[0] == '\0' || strcmp(r->if_range, quoted) == 0))
        from = (size_t)strtoul(r->range + strlen("bytes="), NULL, 10);
    if (from > 0 && from >= it->size) {
        say_status(fd, "416 Range Not Satisfiable", "");
        return;
    }
    size_t left = it->size - from;
    sayf(fd, "HTTP/1.1 %s\r\nETag: %s\r\nConnection: close\r\n",
         from > 0 ? "206 Partial Content" : "200 OK", quoted);
    if (!storage)
        sayf(fd, "X-Repo-Commit: " COMMIT "\r\n");
    if (from > 0)
        sayf(fd, "Content-Range: bytes %zu-%zu/%zu\r\n", from, it->size - 1, it->size);
    if (odd && s->chunked)
        sayf(fd, "Transfer-Encoding: chunked\r\n");
    else if (!(odd && s->no_length))
        sayf(fd, "Content-Length: %ld\r\n", (long)left + (odd ? s->length_lie : 0));
    sayf(fd, "\r\n");
    if (head)
        return;
    const char *data = (const char *)it->body + from;
    if (odd && s->cuts > 0 && (size_t)s->cut_after < left) {
        s->cuts--;
        if (s->chunked)
            sayf(fd, "%zx\r\n", left);
        say(fd, data, (size_t)s->cut_after);
        if (s->stall)
            wait_for_hangup(s, fd);
        return;
    }
    while (odd && s->chunked && left > 0) {
        const size_t n = left < 5000 ? left : 5000;
        sayf(fd, "%zx\r\n", n);
        say(fd, data, n);
        sayf(fd, "\r\n");
        data += n;
        left -= n;
    }
    if (odd && s->chunked)
        sayf(fd, "0\r\n\r\n");
    else
        say(fd, data, left);
}

static inline const item *find_item(const server *s, const char *file)
{
    const size_t size = strcspn(file, "?");
    for (size_t i = 0; i < s->item_count; i++)
        if (strlen(s->items[i].file) == size && memcmp(s->items[i].file, file, size) == 0)
            return &s->items[i];
    return NULL;
}

static inline void answer(server *s, int fd, const request *r)
{
    if (s->hook != NULL && s->hook(s, fd, r))
        return;
    static const char repo[] = "/o/m/resolve/";
    const size_t skip = sizeof repo - 1;
    if (strncmp(r->path, "/cdn/", 5) == 0) {
        const item *it = find_item(s, r->path + 5);
        char etag[80];
        snprintf(etag, sizeof etag, "cdn-%.60s", it != NULL ? it->file : "");
        if (it != NULL && strcmp(r->method, "GET") == 0) /* signed for GET only, as the real one */
            say_body(s, fd, r, it, etag, true);
        else
            say_status(fd, "403 Forbidden", "");
        return;
    }
    if (strncmp(r->path, repo, skip) != 0) {
        say_status(fd, "404 Not Found", "X-Error-Code: RepoNotFound\r\n");
        return;
    }
    const char *slash = strchr(r->path + skip, '/');
    const size_t rev = slash != NULL ? (size_t)(slash - r->path) - skip : 0;
    if (!(rev == 4 && memcmp(r->path + skip, "main", 4) == 0) &&
        !(rev == 40 && memcmp(r->path + skip, COMMIT, 40) == 0)) {
        say_status(fd, "404 Not Found", "X-Error-Code: RevisionNotFound\r\n");
        return;
    }
    const item *it = find_item(s, slash + 1);
    if (it == NULL) {
        say_status(fd, "404 Not Found",
                   "X-Error-Code: EntryNotFound\r\nX-Repo-Commit: " COMMIT "\r\n");
    } else if (it->lfs) {
        sayf(fd,
             "HTTP/1.1 302 Found\r\nContent-Length: 2\r\nConnection: close\r\n"
             "Location: %s/cdn/%s?signature=SECRET\r\nX-Repo-Commit: " COMMIT "\r\n"
             "X-Linked-Etag: \"%s\"\r\n",
             s->cdn != NULL ? s->cdn : "", it->file, it->etag);
        if (!s->no_linked_size)
            sayf(fd, "X-Linked-Size: %zu\r\n", it->size);
        sayf(fd, "\r\n%s", strcmp(r->method, "HEAD") == 0 ? "" : "hi");
    } else {
        say_body(s, fd, r, it, it->etag, false);
    }
}

static inline void take_header(const char *line, const char *name, char *out, size_t cap)
{
    const size_t n = strlen(name);
    if (strncasecmp(line, name, n) == 0 && line[n] == ':')
        snprintf(out, cap, "%s", line + n + 1 + strspn(line + n + 1, " "));
}

static inline void serve_one(server *s, int fd)
{
    char text[8192];
    size_t have = 0;
    const struct timeval patience = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    text[0] = '\0';
    while (have < sizeof text - 1 && strstr(text, "\r\n\r\n") == NULL) {
        const ssize_t n = recv(fd, text + have, sizeof text - 1 - have, 0);
        if (n <= 0)
            return;
        have += (size_t)n;
        text[have] = '\0';
        if (text[0] == 0x16) /* a TLS greeting */
            return;
    }
    request r = {0};
    sscanf(text, "%7s %299s", r.method, r.path);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        take_header(line, "Range", r.range, sizeof r.range);
        take_header(line, "If-Range", r.if_range, sizeof r.if_range);
        take_header(line, "Authorization", r.auth, sizeof r.auth);
    }
    pthread_mutex_lock(&s->lock);
    if (s->count < MOST_REQUESTS)
        s->log[s->count++] = r;
    pthread_mutex_unlock(&s->lock);
    answer(s, fd, &r);
    /* close with unread bytes would reset the line and lose what was sent */
    shutdown(fd, SHUT_WR);
}

static inline void *serve(void *user)
{
    server *s = user;
    for (;;) {
        struct pollfd watch[2] = {{.fd = s->listener, .events = POLLIN},
                                  {.fd = s->stop[0], .events = POLLIN}};
        if (poll(watch, 2, -1) < 0)
            continue;
        if (watch[1].revents != 0)
            return NULL;
        const int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve_one(s, fd);
        close(fd);
    }
}

static inline server *server_start(const item *items, size_t count)
{
    server *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->items = items;
    s->item_count = count;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(pipe(s->stop), 0);
    snprintf(s->base, sizeof s->base, "http://127.0.0.1:%d", ntohs(at.sin_port));
    pthread_mutex_init(&s->lock, NULL);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

static inline void server_stop(server *s)
{
    assert_int_equal(write(s->stop[1], "x", 1), 1);
    pthread_join(s->thread, NULL);
    close(s->listener);
    close(s->stop[0]);
    close(s->stop[1]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static inline int server_count(server *s)
{
    pthread_mutex_lock(&s->lock);
    const int count = s->count;
    pthread_mutex_unlock(&s->lock);
    return count;
}

#endif

/* One HTTP request over libcurl: headers, redirects, time limits, cancellation.
 *
 * Redirects are followed by hand, hop by hop, since what matters happens between the hops: the
 * token goes to the endpoint's own scheme, host and port and, once a hop has left that, never
 * again; https is not left for http; the headers that describe the file (X-Repo-Commit,
 * X-Linked-Etag, X-Linked-Size) come with the hub's redirect, not with the storage's answer. The
 * first value of each wins.
 *
 * The transfer runs in a multi handle although it is only one: polling it ourselves, ten times a
 * second, sees Ctrl-C at once and lets a stall be counted from the last byte in fractions of a
 * second, where the easy interface has whole seconds.
 *
 * Failures that another try may heal (cut, timeout, overload) are not errors here: the reply says
 * `again` and why, and the caller decides. Queries of URLs never reach a message: storage signs its
 * addresses there. */
#include "io/hub_parts.h"

#define CURL_DISABLE_TYPECHECK /* calls go through pointers */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/ctx.h"
#include "base/file.h"
#include "io/late.h"

enum {
    MOST_HOPS = 10,
    ERROR_BODY = 1 << 16,
    MOST_HEADERS = 1 << 18,
    POLL_MS = 100,
    LONGEST_PAUSE = 60
};

static struct {
#define CYG_LATE(f) __typeof__(&f) f;
#include "io/late_curl.def"
#undef CYG_LATE
} lib;

static cyg_status open_library(cyg_ctx *ctx)
{
    static const char *const names[] = {
#define CYG_LATE(f) #f,
#include "io/late_curl.def"
#undef CYG_LATE
    };
    static const cyg_late late = {"libcurl.so.4", "to fetch models", names, CYG_COUNT(names)};
    static int ready;
    return cyg_late_open(ctx, &late, &lib, &ready);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode started;

static void start_curl(void)
{
    started = lib.curl_global_init(CURL_GLOBAL_DEFAULT);
}

cyg_status cyg_hub_connect(cyg_ctx *ctx, cyg_hub_session *s)
{
    CYG_DO(open_library(ctx));
    pthread_once(&once, start_curl);
    if (started == CURLE_OK && s->multi == NULL)
        s->multi = lib.curl_multi_init();
    if (started == CURLE_OK && s->curl == NULL)
        s->curl = lib.curl_easy_init();
    if (s->multi == NULL || s->curl == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: libcurl does not start", s->name);
    return CYG_OK;
}

void cyg_hub_disconnect(cyg_hub_session *s)
{
    if (s->curl != NULL)
        lib.curl_easy_cleanup(s->curl);
    if (s->multi != NULL)
        lib.curl_multi_cleanup(s->multi);
    s->curl = s->multi = NULL;
}

const char *cyg_hub_url(cyg_hub_session *s, const char *revision, const char *file)
{
    char *rev = lib.curl_easy_escape(s->curl, revision, 0);
    char *name = lib.curl_easy_escape(s->curl, file, 0);
    const char *url = NULL;
    if (rev != NULL && name != NULL)
        url = cyg_arena_printf(&s->arena, "%s/%s/resolve/%s/%s", s->endpoint, s->repo, rev, name);
    lib.curl_free(rev);
    lib.curl_free(name);
    return url;
}

cyg_status cyg_hub_pause(cyg_ctx *ctx, const cyg_hub_session *s, int attempt, double at_least)
{
    double wait = s->wait_seconds;
    for (int i = 1; i < attempt && wait < LONGEST_PAUSE; i++)
        wait *= 2;
    wait = wait < at_least ? at_least : wait;
    wait = wait > LONGEST_PAUSE ? LONGEST_PAUSE : wait;
    for (const double end = cyg_seconds() + wait;;) {
        CYG_DO(cyg_ctx_check_cancelled(ctx));
        const double left = end - cyg_seconds();
        if (left <= 0)
            return CYG_OK;
        const struct timespec nap = {.tv_nsec = left < 0.05 ? (long)(left * 1e9) + 1 : 50000000};
        nanosleep(&nap, NULL);
    }
}

/* ---- one hop ---- */

typedef struct hop {
    cyg_hub_session *s;
    const cyg_hub_request *request;
    cyg_hub_reply *reply;
    double last_byte;                 /* when something arrived */
    size_t header_bytes, error_bytes; /* error: of a body that nobody wants */
    bool any, refused, enough;
    char detail[CURL_ERROR_SIZE];
} hop;

/* Number in [text, text + size), or -1: digits only, below 2^62. */
static int64_t number(const char *text, size_t size)
{
    int64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || value > (INT64_MAX >> 1) / 10 - 1)
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return size > 0 ? value : -1;
}

/* Keeps a value that fits; one that does not is as good as none. */
static void keep(char *out, size_t cap, const char *text, size_t size)
{
    if (size >= cap || memchr(text, '\0', size) != NULL)
        size = 0;
    memcpy(out, text, size);
    out[size] = '\0';
}

/* "bytes 100-199/1000" or "bytes 100-199/ *" */
static void content_range(cyg_hub_reply *r, const char *text, size_t size)
{
    if (size < 6 || strncasecmp(text, "bytes ", 6) != 0)
        return;
    const char *from = text + 6, *end = text + size;
    const char *dash = memchr(from, '-', (size_t)(end - from));
    const char *slash = memchr(from, '/', (size_t)(end - from));
    if (dash == NULL || slash == NULL || slash < dash)
        return;
    r->range_start = number(from, (size_t)(dash - from));
    r->range_total = number(slash + 1, (size_t)(end - slash - 1));
}

static void status_line(hop *h, const char *line, size_t size)
{
    cyg_hub_reply *r = h->reply;
    const char *space = memchr(line, ' ', size);
    r->status = 0;
    if (space != NULL && size - (size_t)(space - line) >= 4)
        r->status = (int)number(space + 1, 3);
    r->framed = size > 5 && (line[5] == '2' || line[5] == '3');
    r->length = r->range_start = r->range_total = -1;
    r->last_etag[0] = '\0';
    r->retry_after = 0;
    h->s->contacted = true;
}

static void header(hop *h, const char *name, size_t name_size, const char *text, size_t size)
{
    cyg_hub_reply *r = h->reply;
#define IS(literal) (name_size == sizeof(literal) - 1 && strncasecmp(name, literal, name_size) == 0)
    if (IS("content-length")) {
        r->length = number(text, size);
    } else if (IS("content-range")) {
        content_range(r, text, size);
    } else if (IS("transfer-encoding")) {
        r->framed = r->framed || (size >= 7 && strncasecmp(text + size - 7, "chunked", 7) == 0);
    } else if (IS("retry-after")) {
        const int64_t seconds = number(text, size);
        r->retry_after = seconds > 0 ? (double)seconds : 0;
    } else if (IS("etag")) {
        keep(r->last_etag, sizeof r->last_etag, text, size);
        if (r->etag[0] == '\0')
            keep(r->etag, sizeof r->etag, text, size);
    } else if (IS("x-linked-etag")) {
        if (!r->linked)
            keep(r->etag, sizeof r->etag, text, size);
        r->linked = r->etag[0] != '\0';
    } else if (IS("x-linked-size")) {
        if (r->linked_size < 0)
            r->linked_size = number(text, size);
    } else if (IS("x-repo-commit")) {
        if (r->commit[0] == '\0')
            keep(r->commit, sizeof r->commit, text, size);
        if (!cyg_hub_is_commit(r->commit))
            r->commit[0] = '\0';
    } else if (IS("x-error-code")) {
        keep(r->error_code, sizeof r->error_code, text, size);
    }
#undef IS
}

static size_t on_header(char *line, size_t one, size_t size, void *user)
{
    hop *h = user;
    (void)one; /* libcurl: always 1 */
    h->last_byte = cyg_seconds();
    h->any = true;
    h->header_bytes += size;
    if (h->header_bytes > MOST_HEADERS)
        return 0; /* not every libcurl bounds their number */
    size_t end = size;
    while (end > 0 && strchr("\r\n \t", line[end - 1]) != NULL && line[end - 1] != '\0')
        end--;
    if (end >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        status_line(h, line, end);
        return size;
    }
    const char *colon = memchr(line, ':', end);
    if (colon != NULL) {
        const char *text = colon + 1;
        while (text < line + end && (*text == ' ' || *text == '\t'))
            text++;
        header(h, line, (size_t)(colon - line), text, (size_t)(line + end - text));
    }
    return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *user)
{
    hop *h = user;
    (void)one;
    h->last_byte = cyg_seconds();
    if (h->reply->status == 200 || h->reply->status == 206) {
        h->refused = !h->request->take(h->request->user, h->reply, data, size);
        return h->refused ? CURL_WRITEFUNC_ERROR : size;
    }
    h->error_bytes += size;
    h->enough = h->error_bytes > ERROR_BODY;
    return h->enough ? CURL_WRITEFUNC_ERROR : size;
}

/* The header list of a hop; NULL = out of memory. */
static struct curl_slist *header_list(const hop *h)
{
    const cyg_hub_request *request = h->request;
    struct curl_slist *list = NULL;
    char *lines[4] = {NULL};
    size_t count = 0;
    bool fine = true;
    /* lengths and ranges are those of the file itself only without compression */
    fine = fine && (lines[count++] = strdup("Accept-Encoding: identity")) != NULL;
    if (h->s->token != NULL && !h->reply->left)
        fine = fine && asprintf(&lines[count++], "Authorization: Bearer %s", h->s->token) > 0;
    if (request->from > 0)
        fine =
            fine && asprintf(&lines[count++], "Range: bytes=%lld-", (long long)request->from) > 0;
    if (request->from > 0 && request->if_range != NULL)
        fine = fine && asprintf(&lines[count++], "If-Range: %s", request->if_range) > 0;
    for (size_t i = 0; i < count && fine; i++) {
        struct curl_slist *longer = lib.curl_slist_append(list, lines[i]);
        fine = longer != NULL;
        list = fine ? longer : list;
    }
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    if (!fine) {
        lib.curl_slist_free_all(list);
        return NULL;
    }
    return list;
}

static CURLcode set_options(hop *h, const char *url, struct curl_slist *headers)
{
    CURL *c = h->s->curl;
    CURLcode code = CURLE_OK;
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = lib.curl_easy_setopt(c, option, value)
    lib.curl_easy_reset(c);
    SET(CURLOPT_ERRORBUFFER, h->detail);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_USERAGENT, "cygnet/" CYG_VERSION);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOBODY, h->request->head ? 1L : 0L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's headers are not the hub's */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(h->s->connect_seconds * 1000));
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, h);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, h);
    const char *authorities = getenv("SSL_CERT_FILE");
    if (authorities != NULL && authorities[0] != '\0')
        SET(CURLOPT_CAINFO, authorities);
#undef SET
    /* a wish only: a handle whose last try found no host keeps its buffer and refuses */
    (void)lib.curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L * 1024);
    return code;
}

/* Runs the transfer to its end or to a reason to leave it; out_code is libcurl's word. */
static cyg_status drive(cyg_ctx *ctx, hop *h, CURLcode *out_code)
{
    cyg_hub_session *s = h->s;
    const double start = cyg_seconds();
    h->last_byte = start;
    for (int running = 1;;) {
        if (lib.curl_multi_perform(s->multi, &running) != CURLM_OK)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: libcurl cannot go on", h->reply->url);
        if (running == 0)
            break;
        CYG_DO(cyg_ctx_check_cancelled(ctx));
        const double now = cyg_seconds();
        const double patience = s->stall_seconds + (h->any ? 0 : s->connect_seconds);
        if (now - h->last_byte > patience ||
            (h->request->head && now - start > s->connect_seconds + s->stall_seconds)) {
            snprintf(h->detail, sizeof h->detail, "no answer for %.3g s", now - h->last_byte);
            *out_code = CURLE_OPERATION_TIMEDOUT;
            return CYG_OK;
        }
        if (lib.curl_multi_poll(s->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: libcurl cannot wait", h->reply->url);
    }
    int left = 0;
    const CURLMsg *message = lib.curl_multi_info_read(s->multi, &left);
    *out_code =
        message != NULL && message->msg == CURLMSG_DONE ? message->data.result : CURLE_FAILED_INIT;
    return CYG_OK;
}

/* Another try may go better. */
static bool is_passing(CURLcode code)
{
    static const CURLcode passing[] = {CURLE_COULDNT_RESOLVE_PROXY,
                                       CURLE_COULDNT_RESOLVE_HOST,
                                       CURLE_COULDNT_CONNECT,
                                       CURLE_PARTIAL_FILE,
                                       CURLE_OPERATION_TIMEDOUT,
                                       CURLE_SSL_CONNECT_ERROR,
                                       CURLE_GOT_NOTHING,
                                       CURLE_SEND_ERROR,
                                       CURLE_RECV_ERROR,
                                       CURLE_HTTP2,
                                       CURLE_HTTP2_STREAM};
    for (size_t i = 0; i < CYG_COUNT(passing); i++)
        if (code == passing[i])
            return true;
    return false;
}

static bool is_certificate(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CRL_BADFILE ||
           code == CURLE_SSL_INVALIDCERTSTATUS || code == CURLE_SSL_CERTPROBLEM;
}

static cyg_status judge(cyg_ctx *ctx, hop *h, CURLcode code)
{
    cyg_hub_reply *r = h->reply;
    if (code == CURLE_OK || h->refused || h->enough) {
        const int s = r->status;
        r->again = !h->refused && (s == 408 || s == 425 || s == 429 || s == 500 || s == 502 ||
                                   s == 503 || s == 504);
        if (r->again)
            snprintf(r->why, sizeof r->why, "HTTP %d", s);
        return CYG_OK;
    }
    if (h->header_bytes > MOST_HEADERS)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: more than %d bytes of headers", r->url,
                        MOST_HEADERS);
    char text[CURL_ERROR_SIZE + 4];
    cyg_hub_clean(h->detail[0] != '\0' ? h->detail : lib.curl_easy_strerror(code), text,
                  sizeof text);
    if (is_passing(code)) {
        r->again = true;
        snprintf(r->why, sizeof r->why, "%s", text);
        return CYG_OK;
    }
    if (code == CURLE_OUT_OF_MEMORY)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", r->url);
    if (is_certificate(code))
        return CYG_FAIL(ctx, CYG_E_IO,
                        "%s: TLS: the server's certificate is not accepted: %s (SSL_CERT_FILE "
                        "names further authorities)",
                        r->url, text);
    return CYG_FAIL(ctx, CYG_E_IO, "%s: %s", r->url, text);
}

static cyg_status run_hop(cyg_ctx *ctx, hop *h, const char *url)
{
    CURLcode code = CURLE_OUT_OF_MEMORY;
    cyg_status status = CYG_OK;
    struct curl_slist *headers = header_list(h);
    h->detail[0] = '\0';
    h->any = h->refused = h->enough = false;
    h->header_bytes = h->error_bytes = 0;
    if (headers == NULL || (code = set_options(h, url, headers)) != CURLE_OK)
        goto done;
    if (lib.curl_multi_add_handle(h->s->multi, h->s->curl) != CURLM_OK) {
        code = CURLE_OUT_OF_MEMORY;
        goto done;
    }
    status = drive(ctx, h, &code);
    lib.curl_multi_remove_handle(h->s->multi, h->s->curl);

done:
    if (status == CYG_OK)
        status = judge(ctx, h, code);
    lib.curl_slist_free_all(headers);
    return status;
}

/* ---- from hop to hop ---- */

typedef struct origin {
    char *scheme, *host, *port;
} origin;

static void origin_deinit(origin *o)
{
    lib.curl_free(o->scheme);
    lib.curl_free(o->host);
    lib.curl_free(o->port);
}

/* False when url is no address we go to. */
static bool origin_init(origin *o, const char *url)
{
    *o = (origin){0};
    CURLU *u = lib.curl_url();
    const bool fine = u != NULL &&
                      lib.curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) == 0 &&
                      lib.curl_url_get(u, CURLUPART_SCHEME, &o->scheme, 0) == 0 &&
                      lib.curl_url_get(u, CURLUPART_HOST, &o->host, 0) == 0 &&
                      lib.curl_url_get(u, CURLUPART_PORT, &o->port, CURLU_DEFAULT_PORT) == 0 &&
                      (strcasecmp(o->scheme, "https") == 0 || strcasecmp(o->scheme, "http") == 0);
    lib.curl_url_cleanup(u);
    return fine;
}

static bool same_origin(const origin *a, const origin *b)
{
    return strcasecmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

static void show_url(cyg_hub_reply *reply, const char *url)
{
    char bare[sizeof reply->url];
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(url, "?#"), url);
    cyg_hub_clean(bare, reply->url, sizeof reply->url);
}

/* May we go from `from` to `to`? Notes when that leaves the endpoint. */
static cyg_status check_redirect(cyg_ctx *ctx, const cyg_hub_session *s, cyg_hub_reply *reply,
                                 const char *from, const char *to)
{
    origin home, here, there;
    const bool known = origin_init(&home, s->endpoint);
    const bool came = origin_init(&here, from), goes = origin_init(&there, to);
    cyg_status status = CYG_OK;
    if (!known || !came || !goes)
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: redirects to what is no plain http(s) address",
                          reply->url);
    else if (strcasecmp(here.scheme, "https") == 0 && strcasecmp(there.scheme, "http") == 0 &&
             strcasecmp(home.scheme, "https") == 0)
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: redirects from https to http: refused", reply->url);
    else if (!same_origin(&home, &there))
        reply->left = true;
    origin_deinit(&home);
    origin_deinit(&here);
    origin_deinit(&there);
    return status;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

cyg_status cyg_hub_request_once(cyg_ctx *ctx, cyg_hub_session *s, const cyg_hub_request *request,
                                cyg_hub_reply *reply)
{
    *reply = (cyg_hub_reply){.linked_size = -1, .length = -1, .range_start = -1, .range_total = -1};
    hop h = {.s = s, .request = request, .reply = reply};
    cyg_status status = CYG_OK;
    char *url = strdup(request->url);
    for (int hops = 0;; hops++) {
        if (url == NULL) {
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
            break;
        }
        show_url(reply, url);
        status = run_hop(ctx, &h, url);
        const char *to = NULL;
        if (status != CYG_OK || reply->again || !is_redirect(reply->status) ||
            lib.curl_easy_getinfo(s->curl, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || to == NULL)
            break;
        if (hops == MOST_HOPS) {
            status = CYG_FAIL(ctx, CYG_E_IO, "%s: more than %d redirects", reply->url, MOST_HOPS);
            break;
        }
        status = check_redirect(ctx, s, reply, url, to);
        /* The hub's redirect has said all; the storage behind it may not even take a HEAD. */
        if (status != CYG_OK || (request->head && (reply->linked || reply->left) &&
                                 reply->etag[0] != '\0' && reply->commit[0] != '\0'))
            break;
        char *next = strdup(to);
        free(url);
        url = next;
    }
    free(url);
    return status;
}

/* The parts of the hub download: names and folders, one HTTP request, one file. Internal to io. */
#ifndef CYG_IO_HUB_PARTS_H
#define CYG_IO_HUB_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "io/hub.h"

enum { CYG_HUB_COMMIT = 40, CYG_HUB_ETAG = 128, CYG_HUB_WHY = 640, CYG_HUB_SHARDS = 4096 };

typedef void cyg_hub_curl;       /* CURL, which is void: only hub_http.c sees libcurl */
typedef void cyg_hub_curl_multi; /* CURLM */

/* One fetch: where from, where to, and the connection. */
typedef struct cyg_hub_session {
    cyg_arena arena;
    const char *name;                /* as the caller wrote it, for messages */
    const char *repo, *revision;     /* "owner/name", "main" */
    const char *endpoint;            /* no slash at its end */
    const char *token;               /* NULL: none */
    const char *token_from;          /* the variable or file that it is from, for messages */
    const char *folder;              /* <cache>/models--owner--name */
    const char *locks;               /* <cache>/.locks/models--owner--name */
    char commit[CYG_HUB_COMMIT + 1]; /* "" until known */
    bool offline, contacted;         /* contacted: some server has answered */
    int tries;
    double wait_seconds, connect_seconds, stall_seconds;
    cyg_hub_curl *curl;
    cyg_hub_curl_multi *multi;
} cyg_hub_session;

/* hub_name.c: fills names, folders and settings; nothing on disk or network yet. */
cyg_status cyg_hub_session_init(cyg_ctx *ctx, cyg_hub_session *s, const cyg_hub_options *options,
                                const char *name) CYG_MUST_USE;
bool cyg_hub_is_commit(const char *text); /* 40 hex digits, as every SHA-1 of git */
bool cyg_hub_is_sha256(const char *text);
/* A weight file beside its index: one plain visible name that ends in suffix. */
bool cyg_hub_is_file(const char *text, const char *suffix);
/* Name of the blob: the ETag without W/ and quotes; false when it cannot be a file name. */
bool cyg_hub_blob_name(const char *etag, char out[CYG_HUB_ETAG + 1]);
/* text for messages: control characters and bytes that are no UTF-8 become '?', long text is cut.
 */
const char *cyg_hub_clean(const char *text, char *out, size_t size);
/* Paths in the arena; NULL = out of memory. */
const char *cyg_hub_snapshot_path(cyg_hub_session *s, const char *file);
const char *cyg_hub_absent_path(cyg_hub_session *s, const char *file);

/* What a server said, over all hops of one request. Text fields are "" when not sent. */
typedef struct cyg_hub_reply {
    int status;         /* of the last hop */
    bool again;         /* cut, refused or overloaded: worth another try; `why` tells */
    bool left;          /* some hop was on another host than the endpoint */
    bool framed;        /* the end of the body is marked (chunks, HTTP/2), not just a closed line */
    double retry_after; /* seconds the server asks to wait, 0 = none */
    char commit[CYG_HUB_COMMIT + 1];  /* X-Repo-Commit */
    char etag[CYG_HUB_ETAG + 4];      /* first X-Linked-Etag, else first ETag, as sent */
    char last_etag[CYG_HUB_ETAG + 4]; /* ETag of the last hop */
    char error_code[64];              /* X-Error-Code */
    bool linked;                      /* etag is an X-Linked-Etag */
    int64_t linked_size;              /* X-Linked-Size, -1 */
    int64_t length;                   /* Content-Length of the last hop, -1 */
    int64_t range_start, range_total; /* Content-Range of the last hop, -1 */
    char url[512];                    /* of the last hop, without its query: for messages */
    char why[CYG_HUB_WHY];
} cyg_hub_reply;

typedef struct cyg_hub_request {
    const char *url;
    bool head;            /* headers only; stops at the redirect to the storage */
    int64_t from;         /* > 0: Range: bytes=from- */
    const char *if_range; /* NULL: none */
    /* Body of a 200 or 206. false: stop; the taker keeps the reason. */
    bool (*take)(void *user, const cyg_hub_reply *reply, const void *data, size_t size);
    void *user;
} cyg_hub_request;

/* hub_http.c */
cyg_status cyg_hub_connect(cyg_ctx *ctx, cyg_hub_session *s) CYG_MUST_USE;
void cyg_hub_disconnect(cyg_hub_session *s);
/* {endpoint}/{repo}/resolve/{revision}/{file} in the arena; NULL = out of memory. */
const char *cyg_hub_url(cyg_hub_session *s, const char *revision, const char *file);
/* CYG_OK: a reply, whatever its status, or reply->again. When take refused: CYG_OK as well.
 * Anything else has its message on ctx. */
cyg_status cyg_hub_request_once(cyg_ctx *ctx, cyg_hub_session *s, const cyg_hub_request *request,
                                cyg_hub_reply *reply) CYG_MUST_USE;
/* Sleeps before try number `attempt` (from 1 for the second try); CYG_E_CANCELLED when told so. */
cyg_status cyg_hub_pause(cyg_ctx *ctx, const cyg_hub_session *s, int attempt,
                         double at_least) CYG_MUST_USE;

/* hub_file.c: makes <snapshot>/<file> exist. The first call learns the commit. out_found: false
 * when the model has no such file (remembered in the cache, as the hub's libraries do). */
cyg_status cyg_hub_file(cyg_ctx *ctx, cyg_hub_session *s, const char *file,
                        bool *out_found) CYG_MUST_USE;
/* Same, offline: is it there, is it known to be absent? */
bool cyg_hub_has(cyg_hub_session *s, const char *file);
bool cyg_hub_knows_absent(cyg_hub_session *s, const char *file);

/* hub_blob.c */
typedef struct cyg_hub_blob {
    const char *file; /* for messages and progress */
    const char *url;
    const char *etag;   /* as the server sent it */
    bool etag_is_final; /* etag is that of the server that sends the bytes: fit for If-Range */
    int64_t size;       /* -1: not known */
    char name[CYG_HUB_ETAG + 1];
} cyg_hub_blob;
/* Makes <folder>/blobs/<name> exist: whole and checked, or not at all. */
cyg_status cyg_hub_blob_fetch(cyg_ctx *ctx, cyg_hub_session *s,
                              const cyg_hub_blob *blob) CYG_MUST_USE;

#endif

/* One file of a model into its snapshot: ask, fetch the blob, link it.
 *
 * A HEAD tells ETag, size and commit (or that there is no such file) before anything is written;
 * the redirect to a storage host ends it, since the hub's own headers say all. The first answer
 * fixes the commit and every later address names that commit, so a push in between cannot mix two
 * versions. A file that a model lacks is remembered as .no_exist/<commit>/<file>: what makes an
 * offline call sure that nothing is missing.
 *
 * The snapshot entry is a relative link to the blob, put in place by rename; where the file system
 * has no links the blob itself moves there, as the hub's libraries do. */
#include "io/hub_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/file.h"

static bool is_file(const char *path)
{
    struct stat st;
    return path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool cyg_hub_has(cyg_hub_session *s, const char *file)
{
    return s->commit[0] != '\0' && is_file(cyg_hub_snapshot_path(s, file));
}

bool cyg_hub_knows_absent(cyg_hub_session *s, const char *file)
{
    return s->commit[0] != '\0' && is_file(cyg_hub_absent_path(s, file));
}

static cyg_status no_memory(cyg_ctx *ctx, const cyg_hub_session *s)
{
    return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
}

/* Best effort: without the marker the next call asks again. */
static void remember_absent(cyg_hub_session *s, const char *file)
{
    const char *path = cyg_hub_absent_path(s, file);
    const char *folder = cyg_hub_absent_path(s, "");
    if (path != NULL && folder != NULL && cyg_make_dirs(NULL, folder) == CYG_OK)
        CYG_IGNORE(cyg_write_file(NULL, path, "", 0));
}

static cyg_status link_blob(cyg_ctx *ctx, cyg_hub_session *s, const char *file, const char *blob)
{
    const char *path = cyg_hub_snapshot_path(s, file), *folder = cyg_hub_snapshot_path(s, "");
    const char *to = cyg_arena_printf(&s->arena, "../../blobs/%s", blob);
    const char *whole = cyg_arena_printf(&s->arena, "%s/blobs/%s", s->folder, blob);
    if (path == NULL || folder == NULL || to == NULL || whole == NULL)
        return no_memory(ctx, s);
    const char *temp = cyg_arena_printf(&s->arena, "%s.partial-%ld", path, (long)getpid());
    if (temp == NULL)
        return no_memory(ctx, s);
    CYG_DO(cyg_make_dirs(ctx, folder));
    unlink(temp);
    const bool linked = symlink(to, temp) == 0;
    if (!linked && errno != EPERM && errno != ENOSYS && errno != EOPNOTSUPP)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot create: %s", temp, strerror(errno));
    if (rename(linked ? temp : whole, path) != 0) {
        const int why = errno;
        if (linked)
            unlink(temp);
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot create: %s", path, strerror(why));
    }
    return CYG_OK;
}

/* What a status that is no success means, in words. */
static cyg_status refuse(cyg_ctx *ctx, const cyg_hub_session *s, const cyg_hub_reply *r)
{
    if (r->status == 401 || r->status == 403) {
        const bool gated = strcmp(r->error_code, "GatedRepo") == 0;
        return CYG_FAIL(ctx, CYG_E_IO, "%s: HTTP %d for %s: %s; %s%s%s", s->name, r->status, r->url,
                        gated ? "the model is gated: accept its terms on its page"
                              : "the model is private or gated, or does not exist",
                        s->token != NULL ? "the token in " : "set HF_TOKEN to a token",
                        s->token != NULL ? s->token_from : "",
                        s->token != NULL ? " does not open it" : " that may read it");
    }
    if (r->status == 404 && strcmp(r->error_code, "RevisionNotFound") == 0)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: the model has no revision \"%s\" (HTTP 404 for %s)",
                        s->name, s->revision, r->url);
    if (r->status == 404)
        return CYG_FAIL(ctx, CYG_E_IO,
                        "%s: no such model or file (HTTP 404 for %s); neither is there a file or "
                        "folder of that name here",
                        s->name, r->url);
    return CYG_FAIL(ctx, CYG_E_IO, "%s: HTTP %d for %s", s->name, r->status, r->url);
}

/* The headers of file, with tries. */
static cyg_status ask(cyg_ctx *ctx, cyg_hub_session *s, const char *file, cyg_hub_reply *r)
{
    const cyg_hub_request request = {
        .url = cyg_hub_url(s, s->commit[0] != '\0' ? s->commit : s->revision, file), .head = true};
    if (request.url == NULL)
        return no_memory(ctx, s);
    for (int tries = 1;; tries++) {
        CYG_DO(cyg_hub_request_once(ctx, s, &request, r));
        if (!r->again)
            return CYG_OK;
        /* nothing has ever answered: most likely there is no network, and waiting is no help */
        if (tries >= s->tries || (tries >= 2 && !s->contacted))
            return CYG_FAIL(ctx, CYG_E_IO, "%s: %s: %s (%d %s)%s", s->name, r->url, r->why, tries,
                            tries == 1 ? "try" : "tries",
                            s->contacted ? "" : "; no file or folder here has that name either");
        CYG_DO(cyg_hub_pause(ctx, s, tries, r->retry_after));
    }
}

/* Takes the commit of an answer, the first time, and holds later ones to it. */
static cyg_status settle_commit(cyg_ctx *ctx, cyg_hub_session *s, const cyg_hub_reply *r)
{
    if (s->commit[0] == '\0')
        memcpy(s->commit, r->commit, sizeof s->commit);
    if (s->commit[0] == '\0')
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: %s: the answer has no X-Repo-Commit header: HF_ENDPOINT is no hub",
                        s->name, r->url);
    if (r->commit[0] != '\0' && strcmp(r->commit, s->commit) != 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: %s: is of commit %s, expected %s", s->name, r->url,
                        r->commit, s->commit);
    return CYG_OK;
}

cyg_status cyg_hub_file(cyg_ctx *ctx, cyg_hub_session *s, const char *file, bool *out_found)
{
    *out_found = cyg_hub_has(s, file);
    if (*out_found || cyg_hub_knows_absent(s, file))
        return CYG_OK;
    CYG_DO(cyg_hub_connect(ctx, s));
    cyg_hub_reply r;
    CYG_DO(ask(ctx, s, file, &r));

    const bool no_entry = r.status == 404 && (r.commit[0] != '\0' || s->commit[0] != '\0') &&
                          (r.error_code[0] == '\0' || strcmp(r.error_code, "EntryNotFound") == 0);
    if (r.status != 200 && !no_entry &&
        !(r.status >= 300 && r.status < 400 && r.etag[0] != '\0' && r.commit[0] != '\0'))
        return refuse(ctx, s, &r);
    CYG_DO(settle_commit(ctx, s, &r));
    if (no_entry) {
        remember_absent(s, file);
        return CYG_OK;
    }
    *out_found = cyg_hub_has(s, file); /* now that the commit is known */
    if (*out_found)
        return CYG_OK;

    cyg_hub_blob blob = {.file = file,
                         .url = cyg_hub_url(s, s->commit, file),
                         .etag = r.etag,
                         .etag_is_final = r.status == 200 && !r.left && !r.linked,
                         .size = r.linked_size >= 0 ? r.linked_size
                                 : r.status == 200  ? r.length
                                                    : -1};
    if (blob.url == NULL)
        return no_memory(ctx, s);
    char shown[2 * CYG_HUB_ETAG];
    if (!cyg_hub_blob_name(r.etag, blob.name))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: %s: the ETag header is no usable name: \"%s\"",
                        s->name, r.url, cyg_hub_clean(r.etag, shown, sizeof shown));
    const cyg_status status = cyg_hub_blob_fetch(ctx, s, &blob);
    if (status != CYG_OK) /* storage has addresses that say nothing: name the model */
        return CYG_FAIL(ctx, status, "%s: while downloading %s", s->name, file);
    CYG_DO(link_blob(ctx, s, file, blob.name));
    *out_found = true;
    return CYG_OK;
}

/* Names and folders of the hub: everything that is decided before the first byte moves.
 *
 * A name becomes parts of URLs and of paths on disk, and so does much of what the server says
 * (commit, ETag, shard names). Nothing of that is used before one of the checks here has passed:
 * they are allow-lists, so that "..", separators, control characters and whatever the next file
 * system dislikes need no list of their own.
 *
 * Environment: HF_ENDPOINT, HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH, HF_HUB_CACHE, HF_HOME,
 * XDG_CACHE_HOME, HF_HUB_OFFLINE, HF_HUB_DISABLE_IMPLICIT_TOKEN, as the hub's own libraries read
 * them; an option of the caller goes before each. */
#include "io/hub_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/str.h"

#define DEFAULT_ENDPOINT "https://huggingface.co"
enum { NAME_LONGEST = 96, REVISION_LONGEST = 128, FILE_LONGEST = 200, TOKEN_FILE_LONGEST = 4096 };

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* One part of a repository name: letters, digits, "_", and inside "-" and ".", but not "--", "..".
 */
static bool is_repo_part(const char *text, size_t size)
{
    if (size == 0 || size > NAME_LONGEST || !is_word_char(text[0]) || !is_word_char(text[size - 1]))
        return false;
    for (size_t i = 1; i < size; i++) {
        const char c = text[i];
        if (!is_word_char(c) && c != '-' && c != '.')
            return false;
        if ((c == '-' || c == '.') && text[i - 1] == c)
            return false;
    }
    return true;
}

/* A branch, tag, commit or "refs/pr/1": words of "._-" between single slashes. */
static bool is_revision(const char *text)
{
    const size_t size = strlen(text);
    if (size == 0 || size > REVISION_LONGEST || text[0] == '/' || text[size - 1] == '/')
        return false;
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        const bool starts = i == 0 || text[i - 1] == '/';
        if (c == '/' ? starts : !is_word_char(c) && (starts || (c != '.' && c != '-')))
            return false;
        if (c == '.' && text[i - 1] == '.')
            return false;
    }
    return true;
}

/* Sizes of "owner/name[@revision]"; false when text is nothing like it. */
static bool split_name(const char *text, size_t *out_repo, const char **out_revision)
{
    const char *at = strchr(text, '@'), *slash = strchr(text, '/');
    const size_t repo = at != NULL ? (size_t)(at - text) : strlen(text);
    if (slash == NULL || (size_t)(slash - text) >= repo)
        return false;
    const size_t owner = (size_t)(slash - text);
    *out_repo = repo;
    *out_revision = at != NULL ? at + 1 : NULL;
    return is_repo_part(text, owner) && is_repo_part(slash + 1, repo - owner - 1) &&
           (at == NULL || is_revision(at + 1));
}

/* "models/swin.onnx" that does not exist is a path mistyped, not a model by name. */
static bool ends_like_a_file(const char *text, size_t size)
{
    static const char *const endings[] = {".onnx", ".safetensors", ".bin",  ".pth",  ".pt",
                                          ".ckpt", ".tar",         ".json", ".yaml", ".git",
                                          ".cyg",  ".zip",         ".gz",   ".pkl"};
    for (size_t i = 0; i < CYG_COUNT(endings); i++) {
        const size_t n = strlen(endings[i]);
        if (size > n && strncasecmp(text + size - n, endings[i], n) == 0)
            return true;
    }
    return false;
}

bool cyg_hub_is_name(const char *text)
{
    size_t repo = 0;
    const char *revision = NULL;
    return split_name(text, &repo, &revision) && !cyg_path_exists(text) &&
           (revision != NULL || !ends_like_a_file(text, repo));
}

static bool is_lower_hex(const char *text, size_t digits)
{
    return strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

bool cyg_hub_is_commit(const char *text)
{
    return is_lower_hex(text, CYG_HUB_COMMIT);
}

bool cyg_hub_is_sha256(const char *text)
{
    return is_lower_hex(text, 64);
}

bool cyg_hub_is_file(const char *text, const char *suffix)
{
    const size_t size = strlen(text), tail = strlen(suffix);
    if (size <= tail || size > FILE_LONGEST || strcmp(text + size - tail, suffix) != 0)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!is_word_char(text[i]) && (i == 0 || strchr("-.+=, ()", text[i]) == NULL))
            return false;
    return true;
}

bool cyg_hub_blob_name(const char *etag, char out[CYG_HUB_ETAG + 1])
{
    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    size_t size = strlen(etag);
    if (size >= 2 && etag[0] == '"' && etag[size - 1] == '"') {
        etag++;
        size -= 2;
    }
    if (size == 0 || size > CYG_HUB_ETAG)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!is_word_char(etag[i]) && (etag[i] != '-' || i == 0))
            return false;
    memcpy(out, etag, size);
    out[size] = '\0';
    return true;
}

const char *cyg_hub_clean(const char *text, char *out, size_t size)
{
    size_t used = 0;
    for (size_t left = strlen(text); left > 0;) {
        const size_t n = cyg_utf8_length(text, left);
        const size_t step = n == 0 ? 1 : n;
        if (used + step + 4 > size) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        if (n == 0 || (n == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f)))
            out[used++] = '?';
        else
            for (size_t i = 0; i < n; i++)
                out[used++] = text[i];
        text += step;
        left -= step;
    }
    out[used] = '\0';
    return out;
}

const char *cyg_hub_snapshot_path(cyg_hub_session *s, const char *file)
{
    return cyg_arena_printf(&s->arena, "%s/snapshots/%s/%s", s->folder, s->commit, file);
}

const char *cyg_hub_absent_path(cyg_hub_session *s, const char *file)
{
    return cyg_arena_printf(&s->arena, "%s/.no_exist/%s/%s", s->folder, s->commit, file);
}

/* Empty counts as not set, as people write HF_TOKEN= to switch one off. */
static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool env_is_on(const char *name)
{
    const char *value = env(name);
    return value != NULL && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0 ||
                             strcasecmp(value, "yes") == 0 || strcasecmp(value, "on") == 0);
}

/* HF_HOME, else where the hub's libraries keep their things; NULL = nowhere, or out of memory. */
static const char *hub_home(cyg_hub_session *s)
{
    if (env("HF_HOME") != NULL)
        return cyg_arena_strdup(&s->arena, env("HF_HOME"));
    if (env("XDG_CACHE_HOME") != NULL)
        return cyg_arena_printf(&s->arena, "%s/huggingface", env("XDG_CACHE_HOME"));
    return env("HOME") != NULL ? cyg_arena_printf(&s->arena, "%s/.cache/huggingface", env("HOME"))
                               : NULL;
}

static cyg_status find_cache(cyg_ctx *ctx, cyg_hub_session *s, const char *option,
                             const char **out_cache)
{
    const char *given = option != NULL ? option : env("HF_HUB_CACHE");
    const char *home = given == NULL ? hub_home(s) : NULL;
    if (given == NULL && home == NULL)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "%s: no folder to download to: set HF_HUB_CACHE (HF_HOME and HOME are not "
                        "set either)",
                        s->name);
    *out_cache = given != NULL ? cyg_arena_strdup(&s->arena, given)
                               : cyg_arena_printf(&s->arena, "%s/hub", home);
    return *out_cache != NULL ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
}

/* The token goes into a header line: it must not be able to start another one. Never quoted. */
static cyg_status take_token(cyg_ctx *ctx, cyg_hub_session *s, const char *text, size_t size,
                             const char *from)
{
    while (size > 0 && strchr(" \t\r\n", text[0]) != NULL && text[0] != '\0') {
        text++;
        size--;
    }
    while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL && text[size - 1] != '\0')
        size--;
    for (size_t i = 0; i < size; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return CYG_FAIL(ctx, CYG_E_CONFIG,
                            "%s holds a character that no token has (number %zu)", from, i + 1);
    if (size == 0)
        return CYG_OK;
    s->token = cyg_arena_strndup(&s->arena, text, size);
    s->token_from = from;
    return s->token != NULL ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
}

/* What `hf auth login` has left: HF_TOKEN_PATH, else the file token in the hub's folder. */
static cyg_status read_token(cyg_ctx *ctx, cyg_hub_session *s)
{
    cyg_map map;
    const char *path = env("HF_TOKEN_PATH"), *home = path == NULL ? hub_home(s) : NULL;
    if (path == NULL && home == NULL)
        return CYG_OK;
    path = path != NULL ? cyg_arena_strdup(&s->arena, path)
                        : cyg_arena_printf(&s->arena, "%s/token", home);
    if (path == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
    if (!cyg_path_exists(path))
        return CYG_OK;
    CYG_TRY(ctx, cyg_map_open(ctx, path, &map), "%s: while reading the token", s->name);
    const cyg_status st =
        map.size > TOKEN_FILE_LONGEST
            ? CYG_FAIL(ctx, CYG_E_CONFIG, "%s: %zu bytes are no token", path, map.size)
            : take_token(ctx, s, (const char *)map.data, map.size, path);
    cyg_map_close(&map);
    return st;
}

/* In the order of the hub's own libraries. */
static cyg_status find_token(cyg_ctx *ctx, cyg_hub_session *s, const char *option)
{
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    if (option != NULL)
        return take_token(ctx, s, option, strlen(option), names[0]);
    if (env_is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        return CYG_OK;
    for (size_t i = 0; i < CYG_COUNT(names); i++)
        if (env(names[i]) != NULL)
            return take_token(ctx, s, env(names[i]), strlen(env(names[i])), names[i]);
    return read_token(ctx, s);
}

static cyg_status find_endpoint(cyg_ctx *ctx, cyg_hub_session *s, const char *option)
{
    const char *text = option != NULL ? option : env("HF_ENDPOINT");
    if (text == NULL)
        text = DEFAULT_ENDPOINT;
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == '/')
        size--;
    const size_t scheme = strncasecmp(text, "https://", 8) == 0  ? 8
                          : strncasecmp(text, "http://", 7) == 0 ? 7
                                                                 : 0;
    bool fine = scheme != 0 && size > scheme;
    for (size_t i = 0; i < size && fine; i++)
        fine = text[i] > 0x20 && text[i] < 0x7f && strchr("@?#\\", text[i]) == NULL;
    if (!fine) /* not quoted: it may hold a password */
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "HF_ENDPOINT is no plain address as https://host (no user, query or "
                        "blanks)");
    s->endpoint = cyg_arena_strndup(&s->arena, text, size);
    return s->endpoint != NULL ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
}

cyg_status cyg_hub_session_init(cyg_ctx *ctx, cyg_hub_session *s, const cyg_hub_options *options,
                                const char *name)
{
    static const cyg_hub_options none;
    const cyg_hub_options *o = options != NULL ? options : &none;
    *s = (cyg_hub_session){0};
    cyg_arena_init(&s->arena);
    char shown[160];
    size_t repo = 0;
    const char *revision = NULL, *cache = NULL;
    if (!split_name(name, &repo, &revision))
        return CYG_FAIL(ctx, CYG_E_USAGE,
                        "%s: is no name of a model on the hub: expected owner/name or "
                        "owner/name@revision",
                        cyg_hub_clean(name, shown, sizeof shown));
    s->name = name;
    s->revision = revision != NULL ? revision : "main";
    s->offline = o->offline || env_is_on("HF_HUB_OFFLINE");
    s->tries = o->tries > 0 ? o->tries : 5;
    s->wait_seconds = o->wait_seconds > 0 ? o->wait_seconds : 1;
    s->connect_seconds = o->connect_seconds > 0 ? o->connect_seconds : 15;
    s->stall_seconds = o->stall_seconds > 0 ? o->stall_seconds : 30;
    CYG_DO(find_cache(ctx, s, o->cache, &cache));
    CYG_DO(find_token(ctx, s, o->token));
    CYG_DO(find_endpoint(ctx, s, o->endpoint));

    s->repo = cyg_arena_strndup(&s->arena, name, repo);
    const int owner = (int)(strchr(name, '/') - name), rest = (int)repo - owner - 1;
    const char *tail = name + owner + 1;
    s->folder =
        cyg_arena_printf(&s->arena, "%s/models--%.*s--%.*s", cache, owner, name, rest, tail);
    s->locks =
        cyg_arena_printf(&s->arena, "%s/.locks/models--%.*s--%.*s", cache, owner, name, rest, tail);
    if (s->repo == NULL || s->folder == NULL || s->locks == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", name);
    return CYG_OK;
}

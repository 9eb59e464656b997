/* From a name to a snapshot folder: which files, in which order, and when the cache is enough.
 *
 * Order: config.json first (it must exist, and its answer fixes the commit), the optional
 * preprocessor_config.json, then the first kind of weights that the model has:
 *     model.safetensors, else model.safetensors.index.json and its shards,
 *     else pytorch_model.bin, else pytorch_model.bin.index.json and its shards.
 * refs/<revision> is written last: a reference always points at a snapshot that is whole, so the
 * next call finds out without the network. It does not ask whether `main` has moved since: name a
 * revision, or remove the reference, to get another.
 *
 * A snapshot made by the hub's own libraries is used as it is when config and weights are there;
 * only a preprocessor_config.json that nobody knows about is asked for, and when that fails the
 * snapshot does without.
 *
 * An index is hostile input like any file: its shard names must be plain names of the right ending,
 * in the folder of the index. */
#include "io/hub_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "base/file.h"
#include "io/doc.h"

#define CONFIG "config.json"
#define PREPROCESSOR "preprocessor_config.json"

static const struct {
    const char *whole, *index, *suffix;
} kinds[] = {
    {"model.safetensors", "model.safetensors.index.json", ".safetensors"},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", ".bin"},
};

typedef struct shards {
    cyg_doc *doc; /* holds the names */
    const char **names;
    size_t count;
} shards;

static void shards_deinit(shards *x)
{
    free(x->names);
    cyg_doc_close(x->doc);
}

static int by_text(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    return strcmp(*a, *b);
}

/* The shard names of an index, each once, in order. ctx may be NULL. */
static cyg_status read_index(cyg_ctx *ctx, const char *path, const char *suffix, shards *out)
{
    *out = (shards){0};
    const cyg_doc_node *map = NULL;
    CYG_DO(cyg_doc_open(ctx, path, &out->doc));
    CYG_DO(cyg_doc_need(ctx, cyg_doc_root(out->doc), "weight_map", &map));
    CYG_DO(cyg_doc_as_map(ctx, map));
    if (map->count == 0)
        return CYG_DOC_FAIL(ctx, map, CYG_E_FORMAT, "the weight_map is empty");
    out->names = calloc(map->count, sizeof *out->names);
    if (out->names == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < map->count; i++) {
        const char *name = NULL;
        char shown[120];
        CYG_DO(cyg_doc_as_string(ctx, map->items[i], &name));
        if (!cyg_hub_is_file(name, suffix))
            return CYG_DOC_FAIL(ctx, map->items[i], CYG_E_FORMAT,
                                "\"%s\" is refused as the name of a shard: expected a plain file "
                                "name that ends in %s",
                                cyg_hub_clean(name, shown, sizeof shown), suffix);
        out->names[i] = name;
    }
    qsort(out->names, map->count, sizeof *out->names, by_text);
    for (size_t i = 0; i < map->count; i++)
        if (i == 0 || strcmp(out->names[i], out->names[out->count - 1]) != 0)
            out->names[out->count++] = out->names[i];
    if (out->count > CYG_HUB_SHARDS)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: names %zu shards, the most is %d", path,
                        out->count, CYG_HUB_SHARDS);
    return CYG_OK;
}

/* Does the cache hold all weights of some kind? */
static bool has_weights(cyg_hub_session *s)
{
    for (size_t k = 0; k < CYG_COUNT(kinds); k++) {
        if (cyg_hub_has(s, kinds[k].whole))
            return true;
        const char *path = cyg_hub_snapshot_path(s, kinds[k].index);
        if (path == NULL || !cyg_hub_has(s, kinds[k].index))
            continue;
        shards x;
        bool all = read_index(NULL, path, kinds[k].suffix, &x) == CYG_OK;
        for (size_t i = 0; all && i < x.count; i++)
            all = cyg_hub_has(s, x.names[i]);
        shards_deinit(&x);
        if (all)
            return true;
    }
    return false;
}

static cyg_status fetch_shards(cyg_ctx *ctx, cyg_hub_session *s, const char *index,
                               const char *suffix)
{
    shards x = {0};
    const char *path = cyg_hub_snapshot_path(s, index);
    cyg_status status = path != NULL ? read_index(ctx, path, suffix, &x)
                                     : CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
    for (size_t i = 0; status == CYG_OK && i < x.count; i++) {
        bool found = false;
        status = cyg_hub_file(ctx, s, x.names[i], &found);
        if (status == CYG_OK && !found)
            status = CYG_FAIL(ctx, CYG_E_IO, "%s: %s names the shard %s, which the model lacks",
                              s->name, index, x.names[i]);
    }
    shards_deinit(&x);
    return status;
}

static cyg_status fetch_weights(cyg_ctx *ctx, cyg_hub_session *s)
{
    for (size_t k = 0; k < CYG_COUNT(kinds); k++) {
        bool found = false;
        CYG_DO(cyg_hub_file(ctx, s, kinds[k].whole, &found));
        if (found)
            return CYG_OK;
        CYG_DO(cyg_hub_file(ctx, s, kinds[k].index, &found));
        if (found)
            return fetch_shards(ctx, s, kinds[k].index, kinds[k].suffix);
    }
    return CYG_FAIL(ctx, CYG_E_IO,
                    "%s: the model has no weights that cygnet reads; it has none of %s, %s, %s, %s "
                    "at %s/%s, commit %s",
                    s->name, kinds[0].whole, kinds[0].index, kinds[1].whole, kinds[1].index,
                    s->endpoint, s->repo, s->commit);
}

static const char *ref_path(cyg_hub_session *s)
{
    return cyg_arena_printf(&s->arena, "%s/refs/%s", s->folder, s->revision);
}

/* The commit that the cache knows for the revision; "" = none. */
static void read_ref(cyg_hub_session *s)
{
    char text[CYG_HUB_COMMIT + 8] = "";
    const char *path = ref_path(s);
    FILE *f = path != NULL ? fopen(path, "re") : NULL;
    if (f == NULL)
        return;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    text[strcspn(text, " \t\r\n")] = '\0';
    if (cyg_hub_is_commit(text))
        memcpy(s->commit, text, sizeof s->commit);
}

static cyg_status write_ref(cyg_ctx *ctx, cyg_hub_session *s)
{
    const char *path = ref_path(s);
    char *folder = path != NULL ? cyg_arena_strdup(&s->arena, path) : NULL;
    if (folder == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->name);
    *strrchr(folder, '/') = '\0';
    CYG_DO(cyg_make_dirs(ctx, folder));
    return cyg_write_file(ctx, path, s->commit, CYG_HUB_COMMIT);
}

static cyg_status download(cyg_ctx *ctx, cyg_hub_session *s)
{
    bool found = false;
    const bool by_commit = cyg_hub_is_commit(s->revision);
    if (!by_commit)
        s->commit[0] = '\0'; /* ask again what the revision is */
    CYG_DO(cyg_hub_file(ctx, s, CONFIG, &found));
    if (!found)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: the model has no " CONFIG " at %s/%s, commit %s",
                        s->name, s->endpoint, s->repo, s->commit);
    CYG_DO(cyg_hub_file(ctx, s, PREPROCESSOR, &found));
    CYG_DO(fetch_weights(ctx, s));
    return by_commit ? CYG_OK : write_ref(ctx, s);
}

/* The cache has all that is needed; preprocessor_config.json may be there to be had. */
static cyg_status complete(cyg_ctx *ctx, cyg_hub_session *s)
{
    if (s->offline || cyg_hub_has(s, PREPROCESSOR) || cyg_hub_knows_absent(s, PREPROCESSOR))
        return CYG_OK;
    bool found = false;
    s->tries = 1; /* without a network nobody should wait for it */
    const cyg_status status = cyg_hub_file(ctx, s, PREPROCESSOR, &found);
    if (status == CYG_OK || status == CYG_E_CANCELLED || status == CYG_E_NOMEM)
        return status;
    if (ctx != NULL) {
        cyg_note(ctx, "%s: the cache has no " PREPROCESSOR " and it cannot be fetched: %s", s->name,
                 cyg_ctx_message(ctx, 0));
        cyg_ctx_clear(ctx);
    }
    return CYG_OK;
}

static cyg_status fetch(cyg_ctx *ctx, cyg_hub_session *s)
{
    if (cyg_hub_is_commit(s->revision))
        memcpy(s->commit, s->revision, sizeof s->commit);
    else
        read_ref(s);
    if (cyg_hub_has(s, CONFIG) && has_weights(s))
        return complete(ctx, s);
    if (s->offline)
        return CYG_FAIL(ctx, CYG_E_IO,
                        "%s: revision %s is not, or not completely, in %s, and downloading is off "
                        "(HF_HUB_OFFLINE)",
                        s->name, s->revision, s->folder);
    return download(ctx, s);
}

cyg_status cyg_hub_fetch(cyg_ctx *ctx, const cyg_hub_options *options, const char *name,
                         char **out_folder)
{
    *out_folder = NULL;
    cyg_hub_session s;
    cyg_status status = cyg_hub_session_init(ctx, &s, options, name);
    if (status == CYG_OK)
        status = fetch(ctx, &s);
    if (status == CYG_OK && asprintf(out_folder, "%s/snapshots/%s", s.folder, s.commit) < 0) {
        *out_folder = NULL;
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", name);
    }
    cyg_hub_disconnect(&s);
    cyg_arena_deinit(&s.arena);
    return status;
}

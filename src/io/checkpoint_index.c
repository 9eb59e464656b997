/* Sharded checkpoints: an index.json that says which file holds which tensor.
 *
 * weight_map names plain files beside the index; a name with a slash, or one that starts with a
 * dot, is refused, so an index cannot reach outside its folder. Each shard is opened once, in order
 * of name, and only what the map assigns to it is kept; whatever the map promises and no shard has
 * is listed in one message. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/checkpoint_parts.h"
#include "io/doc.h"

enum { MOST_LISTED = 10 };

typedef struct assignment {
    const char *shard, *tensor;
} assignment;

static int by_shard(const void *a, const void *b)
{
    const assignment *x = a, *y = b;
    const int order = strcmp(x->shard, y->shard);
    return order != 0 ? order : strcmp(x->tensor, y->tensor);
}

static cyg_status read_map(cyg_ctx *ctx, const cyg_doc_node *map, assignment *out)
{
    for (size_t i = 0; i < map->count; i++) {
        out[i].tensor = map->items[i]->key;
        CYG_DO(cyg_doc_as_string(ctx, map->items[i], &out[i].shard));
        if (out[i].shard[0] == '\0' || out[i].shard[0] == '.' || strchr(out[i].shard, '/') != NULL)
            return CYG_DOC_FAIL(ctx, map->items[i], CYG_E_FORMAT,
                                "shard \"%.100s\" is not the name of a file in this folder",
                                out[i].shard);
    }
    if (map->count > 0)
        qsort(out, map->count, sizeof *out, by_shard);
    return CYG_OK;
}

/* Keeps of the tensors from `first` on those that are among the wanted; both are sorted by name. */
static void keep_wanted(cyg_checkpoint *c, size_t first, const assignment *wanted, size_t count,
                        cyg_strbuf *missing, size_t *missing_count)
{
    size_t kept = first, i = first, k = 0;
    while (k < count) {
        const int order = i < c->count ? strcmp(c->tensors[i].name, wanted[k].tensor) : 1;
        if (order < 0) {
            i++;
        } else if (order == 0) {
            c->tensors[kept++] = c->tensors[i++];
            k++;
        } else {
            if ((*missing_count)++ < MOST_LISTED)
                cyg_strbuf_printf(missing, "\n  %s: \"%.200s\"", wanted[k].shard, wanted[k].tensor);
            k++;
        }
    }
    c->count = kept;
}

static cyg_status read_shard(cyg_ctx *ctx, cyg_checkpoint *c, const char *index, const char *shard)
{
    cyg_strbuf path = {0};
    const char *slash = strrchr(index, '/');
    if (slash != NULL)
        cyg_strbuf_add(&path, index, (size_t)(slash - index) + 1);
    cyg_strbuf_puts(&path, shard);
    const cyg_status status = path.failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", index)
                                          : cyg_checkpoint_read_file(ctx, c, path.data);
    cyg_strbuf_deinit(&path);
    return status;
}

static cyg_status read_shards(cyg_ctx *ctx, cyg_checkpoint *c, const char *path,
                              const assignment *all, size_t count, cyg_strbuf *missing)
{
    size_t missing_count = 0;
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin; end < count && strcmp(all[end].shard, all[begin].shard) == 0;)
            end++;
        const size_t first = c->count;
        CYG_DO(read_shard(ctx, c, path, all[begin].shard));
        keep_wanted(c, first, all + begin, end - begin, missing, &missing_count);
    }
    if (missing_count > 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: %zu tensors are not in the shard it names:%s%s",
                        path, missing_count, missing->data != NULL ? missing->data : "",
                        missing_count > MOST_LISTED ? "\n  ..." : "");
    return cyg_checkpoint_sort(ctx, c, path, 0);
}

cyg_status cyg_checkpoint_read_index(cyg_ctx *ctx, cyg_checkpoint *c, const char *path)
{
    cyg_doc *doc = NULL;
    assignment *all = NULL;
    cyg_strbuf missing = {0};
    const cyg_doc_node *map;
    cyg_status status = cyg_doc_open(ctx, path, &doc);
    if (status == CYG_OK)
        status = cyg_doc_need(ctx, cyg_doc_root(doc), "weight_map", &map);
    if (status == CYG_OK)
        status = cyg_doc_as_map(ctx, map);
    if (status != CYG_OK)
        goto done;
    all = calloc(map->count + 1, sizeof *all);
    if (all == NULL) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
        goto done;
    }
    status = read_map(ctx, map, all);
    if (status == CYG_OK)
        status = read_shards(ctx, c, path, all, map->count, &missing);
done:
    cyg_strbuf_deinit(&missing);
    free(all);
    cyg_doc_close(doc);
    return status;
}

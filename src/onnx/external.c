/* Tensor data in files beside the model.
 *
 * A model names such a file by a relative path. Since models come from strangers, the path may only
 * lead to a file inside the model's own folder: no absolute paths, no "..", and no symbolic link
 * that leads out. The last is decided on the resolved paths of both, and the resolved path is what
 * gets opened. Each file is mapped once and the graph keeps the map.
 *
 * The optional checksum is the SHA-1 of the whole file; see base/sha1.c for why that is computed at
 * all.
 */
#include "onnx/import.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/str.h"

/* A decimal number of at most 18 digits. */
static bool parse_number(const char *text, uint64_t *out_value)
{
    const size_t len = strlen(text);
    uint64_t value = 0;
    if (len == 0 || len > 18 || strspn(text, "0123456789") != len)
        return false;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    *out_value = value;
    return true;
}

static bool has_dot_dot(const char *path)
{
    while (*path != '\0') {
        const size_t len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.')
            return true;
        path += len;
        path += strspn(path, "/");
    }
    return false;
}

/* The resolved path of location, proved to be inside the model's folder. Heap. */
static cyg_status resolve(cyg_onnx_importer *imp, const char *tensor, const char *location,
                          char **out_path)
{
    cyg_ctx *ctx = imp->ctx;
    cyg_status status = CYG_OK;
    char *folder = NULL, *file = NULL;
    cyg_strbuf joined = {0}, parent = {0};
    *out_path = NULL;
    if (location[0] == '\0' || location[0] == '/' || has_dot_dot(location))
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: tensor \"%s\": external data may only come from the model's own "
                        "folder, found location \"%s\"",
                        imp->path, tensor, location);
    const char *slash = strrchr(imp->path, '/');
    cyg_strbuf_add(&parent, imp->path, slash != NULL ? (size_t)(slash - imp->path) + 1 : 0);
    cyg_strbuf_puts(&parent, ".");
    cyg_strbuf_printf(&joined, "%s/%s", parent.data != NULL ? parent.data : "", location);
    if (parent.failed || joined.failed) {
        status = CYG_ONNX_NOMEM(imp);
        goto done;
    }
    folder = realpath(parent.data, NULL);
    file = realpath(joined.data, NULL);
    if (folder == NULL || file == NULL) {
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: tensor \"%s\": external data \"%s\": %s", imp->path,
                          tensor, location, strerror(errno));
        goto done;
    }
    const size_t len = strcmp(folder, "/") == 0 ? 0 : strlen(folder);
    if (strncmp(file, folder, len) != 0 || file[len] != '/') {
        status = CYG_FAIL(ctx, CYG_E_FORMAT,
                          "%s: tensor \"%s\": external data \"%s\" is a link that leads out of the "
                          "model's folder",
                          imp->path, tensor, location);
        goto done;
    }
    *out_path = file;
    file = NULL;
done:
    free(folder);
    free(file);
    cyg_strbuf_deinit(&joined);
    cyg_strbuf_deinit(&parent);
    return status;
}

static cyg_status check_sha1(cyg_onnx_importer *imp, const char *location, cyg_span bytes,
                             const char *want)
{
    char found[41];
    cyg_sha1_hex(bytes.data, bytes.size, found);
    if (strcmp(found, want) == 0)
        return CYG_OK;
    return CYG_FAIL(imp->ctx, CYG_E_FORMAT,
                    "%s: external data \"%s\": expected SHA-1 %.60s, found %s", imp->path, location,
                    want, found);
}

/* The whole file, mapped once. */
static cyg_status open_external(cyg_onnx_importer *imp, const char *tensor, const char *location,
                                const char *checksum, cyg_span *out_bytes)
{
    for (const cyg_onnx_external *e = imp->externals; e != NULL; e = e->next) {
        if (strcmp(e->location, location) == 0) {
            *out_bytes = e->bytes;
            return CYG_OK;
        }
    }
    cyg_status status = CYG_OK;
    cyg_map map = {0};
    char *path = NULL;
    cyg_onnx_external *e = CYG_NEW(&imp->scratch, cyg_onnx_external);
    if (e == NULL)
        return CYG_ONNX_NOMEM(imp);
    status = resolve(imp, tensor, location, &path);
    if (status != CYG_OK)
        goto done;
    status = cyg_map_open(imp->ctx, path, &map);
    if (status != CYG_OK)
        goto done;
    *e = (cyg_onnx_external){location, {map.data, map.size}, imp->externals};
    if (checksum != NULL)
        status = check_sha1(imp, location, e->bytes, checksum);
    if (status != CYG_OK)
        goto done;
    status = cyg_graph_adopt_map(imp->ctx, imp->graph, &map);
    if (status != CYG_OK)
        goto done;
    imp->externals = e;
    *out_bytes = e->bytes;
done:
    cyg_map_close(&map);
    free(path);
    return status;
}

cyg_status cyg_onnx_read_external(cyg_onnx_importer *imp, const char *tensor,
                                  const cyg_onnx_text_pair *entries, uint32_t count, size_t size,
                                  cyg_span *out_bytes)
{
    const char *location = "", *checksum = NULL;
    uint64_t offset = 0, length = size;
    for (uint32_t i = 0; i < count; i++) {
        bool ok = true;
        if (strcmp(entries[i].key, "location") == 0)
            location = entries[i].value;
        else if (strcmp(entries[i].key, "offset") == 0)
            ok = parse_number(entries[i].value, &offset);
        else if (strcmp(entries[i].key, "length") == 0)
            ok = parse_number(entries[i].value, &length);
        else if (strcmp(entries[i].key, "checksum") == 0)
            checksum = entries[i].value;
        if (!ok)
            return CYG_FAIL(imp->ctx, CYG_E_FORMAT,
                            "%s: tensor \"%s\": external data: expected a number for %s, found "
                            "\"%s\"",
                            imp->path, tensor, entries[i].key, entries[i].value);
    }
    if (length != size)
        return CYG_FAIL(imp->ctx, CYG_E_FORMAT,
                        "%s: tensor \"%s\": external data: expected %zu bytes for its shape, found "
                        "length %llu",
                        imp->path, tensor, size, (unsigned long long)length);
    cyg_span all = {0};
    CYG_DO(open_external(imp, tensor, location, checksum, &all));
    if (!cyg_range_ok(offset, size, all.size))
        return CYG_FAIL(imp->ctx, CYG_E_FORMAT,
                        "%s: tensor \"%s\": expected %zu bytes at offset %llu of \"%s\", the file "
                        "has %zu",
                        imp->path, tensor, size, (unsigned long long)offset, location, all.size);
    *out_bytes = (cyg_span){all.data != NULL ? all.data + offset : NULL, size};
    return CYG_OK;
}

/* Fuzz entry: the hub's names (as a name, an ETag, a shard) and a shard index in the cache. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "io/hub_parts.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char cache[] = "/tmp/cyg-fuzz-hub-XXXXXX", snapshot[200];

static void put(const char *name, const void *data, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", snapshot, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0)
        abort();
}

static void clean_up(void)
{
    CYG_IGNORE(cyg_remove_tree(NULL, cache));
}

static void make_cache(void)
{
    if (snapshot[0] != '\0')
        return;
    if (mkdtemp(cache) == NULL)
        abort();
    atexit(clean_up);
    snprintf(snapshot, sizeof snapshot, "%s/models--o--m/snapshots/" COMMIT, cache);
    if (cyg_make_dirs(NULL, snapshot) != CYG_OK)
        abort();
    put("config.json", "{}", 2);
    put("a.safetensors", "", 0);
    put("b.safetensors", "", 0);
}

static void try_names(const char *text)
{
    char etag[CYG_HUB_ETAG + 1], shown[40];
    (void)cyg_hub_is_name(text);
    const bool is_file = cyg_hub_is_file(text, "s") || cyg_hub_is_file(text, ".safetensors");
    if (is_file && (strchr(text, '/') != NULL || text[0] == '.' || strchr(text, '\n') != NULL))
        abort();
    if (cyg_hub_blob_name(text, etag) && (etag[0] == '\0' || strpbrk(etag, "./\n") != NULL))
        abort();
    if (strpbrk(cyg_hub_clean(text, shown, sizeof shown), "\n\033") != NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_cache();
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    try_names(text);
    free(text);

    put("model.safetensors.index.json", data, size);
    const cyg_hub_options options = {.cache = cache, .offline = true};
    char *folder = NULL;
    if (cyg_hub_fetch(NULL, &options, "o/m@" COMMIT, &folder) == CYG_OK &&
        strcmp(folder, snapshot) != 0)
        abort();
    free(folder);
    return 0;
}

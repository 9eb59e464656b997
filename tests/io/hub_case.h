/* What the tests of the hub download share: a model to serve, options that do not wait, checks.
 * The hashes of the bodies are from Python's hashlib. */
#ifndef CYG_TESTS_HUB_CASE_H
#define CYG_TESTS_HUB_CASE_H

#include <sys/stat.h>

#include "hub_server.h"
#include "io/hub.h"

enum { WEIGHTS = 300000, SHARD = 50000 };
#define WEIGHTS_SHA "d08928a168952dcd1f23061570816ee3b9d5c5c01ec65e00adbda68d328f4dbb"
#define SHARD_SHA "eda6734f47842c921ea8bd641bbfb914155d3fce53c9b02f0738d8faddb4c3ef"
#define CONFIG_TEXT "{\"model_type\": \"swin\"}\n"
#define CONFIG_SHA1 "9b9784825262199eb5d97a241cacb00b52db714f"
#define PREPROCESSOR_TEXT "{\"do_resize\": true}\n"
#define PREPROCESSOR_SHA1 "0707440d4f98891a2c8195f0442e9d89bd060a49"

static uint8_t weights[WEIGHTS], shard[SHARD];

#define CONFIG_ITEM                                                                                \
    {                                                                                              \
        "config.json", CONFIG_TEXT, sizeof CONFIG_TEXT - 1, CONFIG_SHA1, false                     \
    }
#define PREPROCESSOR_ITEM                                                                          \
    {                                                                                              \
        "preprocessor_config.json", PREPROCESSOR_TEXT, sizeof PREPROCESSOR_TEXT - 1,               \
            PREPROCESSOR_SHA1, false                                                               \
    }
#define WEIGHTS_ITEM                                                                               \
    {                                                                                              \
        "model.safetensors", weights, WEIGHTS, WEIGHTS_SHA, true                                   \
    }

#define BLOB "blobs/" WEIGHTS_SHA
#define PARTIAL BLOB ".incomplete"
#define SERVE(items) server_start(items, CYG_COUNT(items))

static const item whole_model[] = {CONFIG_ITEM, PREPROCESSOR_ITEM, WEIGHTS_ITEM};

static inline void fill_bodies(void)
{
    for (size_t i = 0; i < WEIGHTS; i++)
        weights[i] = (uint8_t)(i * 7 + (i >> 8));
    for (size_t i = 0; i < SHARD; i++)
        shard[i] = (uint8_t)(i * 11 + (i >> 8) + 1);
    static const char *const variables[] = {"HF_ENDPOINT",   "HF_TOKEN",
                                            "HF_HUB_CACHE",  "HUGGING_FACE_HUB_TOKEN",
                                            "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN",
                                            "HF_HOME",       "HF_HUB_OFFLINE",
                                            "http_proxy",    "XDG_CACHE_HOME",
                                            "all_proxy",     "ALL_PROXY"};
    for (size_t i = 0; i < CYG_COUNT(variables); i++)
        unsetenv(variables[i]);
    setenv("no_proxy", "*", 1);
    setenv("HOME", "/nowhere", 1); /* whoever runs this may be logged in */
    alarm(60);                     /* a hang is a failure, not a wait */
}

static inline cyg_hub_options quick(const server *s, void **state)
{
    static char endpoints[4][sizeof s->base]; /* outlive the server */
    static unsigned next;
    char *endpoint = strcpy(endpoints[next++ % 4], s->base);
    return (cyg_hub_options){.endpoint = endpoint,
                             .cache = *state,
                             .tries = 3,
                             .wait_seconds = 0.001,
                             .connect_seconds = 2,
                             .stall_seconds = 2};
}

static inline const char *repo_path(void **state, const char *below)
{
    static char paths[4][700];
    static unsigned next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/models--o--m/%s", (const char *)*state, below);
    return out;
}

static inline const char *snapshot_path(void **state, const char *file)
{
    char below[300];
    snprintf(below, sizeof below, "snapshots/" COMMIT "/%s", file);
    return repo_path(state, below);
}

static inline void assert_content(const char *path, const void *data, size_t size)
{
    cyg_map map;
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    assert_int_equal(map.size, size);
    if (size > 0)
        assert_memory_equal(map.data, data, size);
    cyg_map_close(&map);
}

static inline void assert_weights(void **state)
{
    assert_content(snapshot_path(state, "model.safetensors"), weights, WEIGHTS);
}

static inline long file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static inline void assert_no_weights(void **state)
{
    assert_int_equal(file_size(repo_path(state, BLOB)), -1);
    assert_int_equal(file_size(snapshot_path(state, "model.safetensors")), -1);
    assert_int_equal(file_size(repo_path(state, "refs/main")), -1);
}

/* Fetches and expects success. */
static inline void fetch_fine(const cyg_hub_options *options, const char *name)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    char *folder = NULL;
    const cyg_status status = cyg_hub_fetch(&ctx, options, name, &folder);
    if (status != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
    assert_true(cyg_path_is_dir(folder));
    free(folder);
}

/* Fetches and expects that status and words (a NULL ends them) in the messages, never the token. */
static inline void fetch_fails(const cyg_hub_options *options, const char *name, cyg_status wanted,
                               ...)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    char *folder = NULL;
    const cyg_status status = cyg_hub_fetch(&ctx, options, name, &folder);
    if (status != wanted)
        fail_msg("status %d, expected %d: %s", (int)status, (int)wanted, cyg_ctx_message(&ctx, 0));
    assert_null(folder);
    va_list words;
    va_start(words, wanted);
    for (const char *word; (word = va_arg(words, const char *)) != NULL;)
        if (!ctx_says(&ctx, word))
            fail_msg("\"%s\" is not in \"%s\"", word, cyg_ctx_message(&ctx, 0));
    va_end(words);
    if (options->token != NULL && options->token[0] != '\0')
        assert_false(ctx_says(&ctx, options->token));
    assert_false(ctx_says(&ctx, "SECRET"));
    if (getenv("CYG_TEST_SHOW") != NULL)
        for (size_t i = 0; i < cyg_ctx_message_count(&ctx); i++)
            printf("    | %s\n", cyg_ctx_message(&ctx, i));
}

#endif

/* The hub download in good weather: names, cache layout, redirects, shards, the cache alone. */
#include "hub_case.h"

#include "base/hash.h"

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"o/m",
                                       "microsoft/swin-tiny-patch4-window7-224",
                                       "timm/swin_tiny.ms_in1k",
                                       "o/m@main",
                                       "o/m@v1.0",
                                       "o/m@refs/pr/1",
                                       "o/m.onnx@main",
                                       ("o/m@" COMMIT)};
    static const char *const bad[] = {"",
                                      "m",
                                      "/m",
                                      "o/",
                                      "o/m/n",
                                      "../m",
                                      "o/..",
                                      "./m",
                                      "o/.m",
                                      "o/m.",
                                      "-o/m",
                                      "o--p/m",
                                      "o/m..n",
                                      "o/m n",
                                      "o/m@",
                                      "o/m@../x",
                                      "o/m@/x",
                                      "o/m@x/",
                                      "o/m@x//y",
                                      "o/m@x y",
                                      "@main/x",
                                      "o/m\n",
                                      "o/m@a\n",
                                      "o/\xc3\xa9",
                                      "o/m?x",
                                      "o/m#x",
                                      "o/m%2e",
                                      "o\\m",
                                      "o/m.onnx",
                                      "o/m.PTH",
                                      "models/swin.safetensors",
                                      "o/m@a..b",
                                      "o/m@.x",
                                      "~/m",
                                      "http://o/m"};
    for (size_t i = 0; i < CYG_COUNT(good); i++)
        if (!cyg_hub_is_name(good[i]))
            fail_msg("\"%s\" is a name", good[i]);
    for (size_t i = 0; i < CYG_COUNT(bad); i++)
        if (cyg_hub_is_name(bad[i]))
            fail_msg("\"%s\" is no name", bad[i]);
}

static void test_a_path_that_exists_is_no_name(void **state)
{
    char *here = getcwd(NULL, 0);
    assert_non_null(here);
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "o/m")), CYG_OK);
    assert_int_equal(chdir(*state), 0);
    const bool taken = cyg_hub_is_name("o/m"), free_name = cyg_hub_is_name("o/n");
    assert_int_equal(chdir(here), 0);
    free(here);
    assert_false(taken);
    assert_true(free_name);
}

typedef struct watcher {
    int64_t last, total;
    char stage[100];
    int ended;
} watcher;

static void watch(void *user, const cyg_log_event *e)
{
    watcher *w = user;
    if (e->kind != CYG_LOG_PROGRESS)
        return;
    if (strcmp(w->stage, e->text) != 0) {
        snprintf(w->stage, sizeof w->stage, "%s", e->text);
        w->last = 0;
    }
    assert_true(e->bytes);
    assert_true(e->done >= w->last);
    w->last = e->done;
    w->total = e->total;
    w->ended += e->done == e->total;
}

static void test_plain_fetch(void **state)
{
    char hex[65];
    cyg_sha256_hex(weights, WEIGHTS, hex);
    assert_string_equal(hex, WEIGHTS_SHA);
    server *s = server_start(whole_model, CYG_COUNT(whole_model));
    const cyg_hub_options o = quick(s, state);
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    watcher w = {0};
    ctx.log = (cyg_log){.sink = watch, .user = &w};
    char *folder = NULL;
    assert_int_equal(cyg_hub_fetch(&ctx, &o, "o/m", &folder), CYG_OK);
    assert_string_equal(folder, repo_path(state, "snapshots/" COMMIT));
    free(folder);
    assert_string_equal(w.stage, "download model.safetensors");
    assert_int_equal(w.last, WEIGHTS);
    assert_int_equal(w.total, WEIGHTS);
    assert_int_equal(w.ended, 3);

    assert_weights(state);
    assert_content(snapshot_path(state, "config.json"), CONFIG_TEXT, strlen(CONFIG_TEXT));
    assert_content(snapshot_path(state, "preprocessor_config.json"), PREPROCESSOR_TEXT,
                   strlen(PREPROCESSOR_TEXT));
    assert_content(repo_path(state, "refs/main"), COMMIT, strlen(COMMIT));
    assert_content(repo_path(state, "blobs/" WEIGHTS_SHA), weights, WEIGHTS);
    char target[200] = "";
    assert_true(readlink(snapshot_path(state, "config.json"), target, sizeof target - 1) > 0);
    assert_string_equal(target, "../../blobs/" CONFIG_SHA1);
    assert_int_equal(file_size(repo_path(state, "blobs/" WEIGHTS_SHA ".incomplete")), -1);
    /* a HEAD and a GET each, and the storage; after the first by commit, not by branch */
    assert_int_equal(server_count(s), 7);
    assert_string_equal(s->log[0].path, "/o/m/resolve/main/config.json");
    assert_string_equal(s->log[1].path, "/o/m/resolve/" COMMIT "/config.json");

    /* again, and with the server gone: the cache is enough */
    fetch_fine(&o, "o/m");
    assert_int_equal(server_count(s), 7);
    server_stop(s);
    fetch_fine(&o, "o/m");
    fetch_fine(&o, "o/m@" COMMIT);
}

static void test_missing_preprocessor_is_remembered(void **state)
{
    static const item items[] = {CONFIG_ITEM, WEIGHTS_ITEM};
    server *s = server_start(items, CYG_COUNT(items));
    cyg_hub_options o = quick(s, state);
    fetch_fine(&o, "o/m");
    assert_int_equal(file_size(repo_path(state, ".no_exist/" COMMIT "/preprocessor_config.json")),
                     0);
    const int before = server_count(s);
    fetch_fine(&o, "o/m");
    assert_int_equal(server_count(s), before);

    /* nobody knows: asked for, and done without when the network is gone or off */
    assert_int_equal(unlink(repo_path(state, ".no_exist/" COMMIT "/preprocessor_config.json")), 0);
    fetch_fine(&o, "o/m");
    assert_int_equal(server_count(s), before + 1);
    assert_int_equal(unlink(repo_path(state, ".no_exist/" COMMIT "/preprocessor_config.json")), 0);
    server_stop(s);
    fetch_fine(&o, "o/m");
    o.offline = true;
    fetch_fine(&o, "o/m");
}

static void test_offline_without_cache(void **state)
{
    server *s = server_start(whole_model, CYG_COUNT(whole_model));
    cyg_hub_options o = quick(s, state);
    o.offline = true;
    fetch_fails(&o, "o/m", CYG_E_IO, "o/m", "HF_HUB_OFFLINE", "models--o--m", NULL);
    assert_int_equal(server_count(s), 0);
    server_stop(s);
}

/* Config by a relative 307 on the same host, as today's hub; weights from another host. */
static bool relative_redirect(server *s, int fd, const request *r)
{
    (void)s;
    if (strstr(r->path, "/resolve/") == NULL || strstr(r->path, "config.json") == NULL)
        return false;
    char header[400];
    snprintf(header, sizeof header,
             "X-Repo-Commit: " COMMIT "\r\nLocation: /api/resolve-cache/%s\r\n",
             strrchr(r->path, '/') + 1);
    say_status(fd, "307 Temporary Redirect", header);
    return true;
}

static bool behind_the_redirect(server *s, int fd, const request *r)
{
    if (strncmp(r->path, "/api/resolve-cache/", 19) != 0)
        return relative_redirect(s, fd, r);
    const item *it = find_item(s, r->path + 19);
    if (it == NULL)
        say_status(fd, "404 Not Found", "X-Error-Code: EntryNotFound\r\n");
    else
        say_body(s, fd, r, it, it->etag, false);
    return true;
}

static void test_redirects_and_token(void **state)
{
    server *s = server_start(whole_model, CYG_COUNT(whole_model));
    server *storage = server_start(whole_model, CYG_COUNT(whole_model));
    s->cdn = storage->base;
    s->hook = behind_the_redirect;
    cyg_hub_options o = quick(s, state);
    o.token = " hf_unseen42\n";
    fetch_fine(&o, "o/m");
    assert_weights(state);
    for (int i = 0; i < server_count(s); i++)
        assert_string_equal(s->log[i].auth, "Bearer hf_unseen42");
    assert_int_equal(server_count(storage), 1);
    assert_string_equal(storage->log[0].method, "GET");
    assert_string_equal(storage->log[0].auth, "");
    server_stop(storage);
    server_stop(s);
}

static const char index_text[] = "{\"metadata\": {\"total_size\": 350000}, \"weight_map\": {"
                                 "\"b\": \"model-00002-of-00002.safetensors\","
                                 "\"a\": \"model-00001-of-00002.safetensors\","
                                 "\"c\": \"model-00002-of-00002.safetensors\"}}";

static void test_shards(void **state)
{
    static const item items[] = {
        CONFIG_ITEM,
        {"model.safetensors.index.json", index_text, sizeof index_text - 1, "index-etag", false},
        {"model-00001-of-00002.safetensors", weights, WEIGHTS, WEIGHTS_SHA, true},
        {"model-00002-of-00002.safetensors", shard, SHARD, SHARD_SHA, true}};
    server *s = server_start(items, 3);
    const cyg_hub_options o = quick(s, state);
    fetch_fails(&o, "o/m", CYG_E_IO, "model-00002-of-00002.safetensors", "lacks", NULL);
    assert_int_equal(file_size(repo_path(state, "refs/main")), -1);
    s->item_count = 4;
    assert_int_equal(
        unlink(repo_path(state, ".no_exist/" COMMIT "/model-00002-of-00002.safetensors")), 0);
    fetch_fine(&o, "o/m");
    assert_content(snapshot_path(state, "model-00001-of-00002.safetensors"), weights, WEIGHTS);
    assert_content(snapshot_path(state, "model-00002-of-00002.safetensors"), shard, SHARD);
    const int before = server_count(s);
    fetch_fine(&o, "o/m");
    assert_int_equal(server_count(s), before);
    /* a shard lost from the cache is seen and fetched again */
    assert_int_equal(unlink(repo_path(state, "blobs/" SHARD_SHA)), 0);
    fetch_fine(&o, "o/m");
    assert_content(snapshot_path(state, "model-00002-of-00002.safetensors"), shard, SHARD);
    server_stop(s);
}

static void test_pickle_when_nothing_else(void **state)
{
    static const item items[] = {CONFIG_ITEM,
                                 {"pytorch_model.bin", weights, WEIGHTS, WEIGHTS_SHA, true}};
    server *s = server_start(items, CYG_COUNT(items));
    const cyg_hub_options o = quick(s, state);
    fetch_fine(&o, "o/m");
    assert_content(snapshot_path(state, "pytorch_model.bin"), weights, WEIGHTS);
    server_stop(s);
}

static void test_a_blob_that_is_there_is_not_fetched(void **state)
{
    server *s = server_start(whole_model, CYG_COUNT(whole_model));
    const cyg_hub_options o = quick(s, state);
    assert_int_equal(cyg_make_dirs(NULL, repo_path(state, "blobs")), CYG_OK);
    assert_int_equal(cyg_write_file(NULL, repo_path(state, "blobs/" WEIGHTS_SHA), weights, WEIGHTS),
                     CYG_OK);
    fetch_fine(&o, "o/m");
    assert_weights(state);
    for (int i = 0; i < server_count(s); i++)
        assert_null(strstr(s->log[i].path, "/cdn/"));
    server_stop(s);
}

static void test_environment(void **state)
{
    server *s = server_start(whole_model, CYG_COUNT(whole_model));
    char *folder = NULL;
    char base[80];
    snprintf(base, sizeof base, "%s//", s->base);
    setenv("HF_ENDPOINT", base, 1);
    setenv("HF_TOKEN", "hf_fromenv", 1);
    setenv("HF_HOME", *state, 1);
    assert_int_equal(cyg_hub_fetch(NULL, NULL, "o/m@main", &folder), CYG_OK);
    assert_string_equal(folder, scratch_path(state, "hub/models--o--m/snapshots/" COMMIT));
    free(folder);
    assert_string_equal(s->log[0].auth, "Bearer hf_fromenv");
    setenv("HF_HUB_CACHE", scratch_path(state, "other"), 1);
    setenv("HF_TOKEN", "", 1);
    const int before = server_count(s);
    assert_int_equal(cyg_hub_fetch(NULL, NULL, "o/m", &folder), CYG_OK);
    assert_string_equal(folder, scratch_path(state, "other/models--o--m/snapshots/" COMMIT));
    free(folder);
    assert_string_equal(s->log[before].auth, "");
    setenv("HF_HUB_OFFLINE", "1", 1);
    assert_int_equal(cyg_hub_fetch(NULL, NULL, "o/n", &folder), CYG_E_IO);
    static const char *const all[] = {"HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_CACHE",
                                      "HF_HUB_OFFLINE"};
    for (size_t i = 0; i < CYG_COUNT(all); i++)
        unsetenv(all[i]);
    server_stop(s);
}

/* The token that reaches the server, in the order of the hub's own libraries. */
static void assert_token(void **state, server *s, const char *wanted)
{
    static int turn;
    char cache[20], wanted_header[80] = "";
    snprintf(cache, sizeof cache, "cache%d", turn++);
    cyg_hub_options o = quick(s, state);
    o.cache = scratch_path(state, cache);
    const int before = server_count(s);
    fetch_fine(&o, "o/m");
    if (wanted[0] != '\0')
        snprintf(wanted_header, sizeof wanted_header, "Bearer %s", wanted);
    assert_string_equal(s->log[before].auth, wanted_header);
}

static void test_tokens(void **state)
{
    server *s = SERVE(whole_model);
    assert_token(state, s, "");
    setenv("XDG_CACHE_HOME", scratch_path(state, "xdg"), 1);
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "xdg/huggingface")), CYG_OK);
    write_scratch(state, "xdg/huggingface/token", "hf_xdg", 6);
    assert_token(state, s, "hf_xdg");
    setenv("HF_HOME", *state, 1);
    assert_token(state, s, "");
    write_scratch(state, "token", "", 0);
    assert_token(state, s, "");
    write_scratch(state, "token", " hf_file\r\n", 10);
    assert_token(state, s, "hf_file");
    setenv("HF_TOKEN", "", 1); /* empty is not set */
    assert_token(state, s, "hf_file");
    write_scratch(state, "elsewhere", "hf_path\n", 8);
    setenv("HF_TOKEN_PATH", scratch_path(state, "elsewhere"), 1);
    assert_token(state, s, "hf_path");
    setenv("HUGGING_FACE_HUB_TOKEN", "hf_old", 1);
    assert_token(state, s, "hf_old");
    setenv("HF_TOKEN", "hf_new", 1);
    assert_token(state, s, "hf_new");
    setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
    assert_token(state, s, "");
    unsetenv("HF_HUB_DISABLE_IMPLICIT_TOKEN");
    unsetenv("HF_TOKEN");
    unsetenv("HUGGING_FACE_HUB_TOKEN");

    /* a file that holds no token: said by its name, its content never */
    cyg_hub_options o = quick(s, state);
    write_scratch(state, "elsewhere", "hf_SECRET\nX-Header: 1", 21);
    fetch_fails(&o, "o/m", CYG_E_CONFIG, "/elsewhere holds a character", NULL);
    char *large = calloc(1, 5000);
    assert_non_null(large);
    write_scratch(state, "elsewhere", memset(large, 'a', 5000), 5000);
    fetch_fails(&o, "o/m", CYG_E_CONFIG, "/elsewhere", "5000 bytes are no token", NULL);
    free(large);
    setenv("HF_TOKEN_PATH", *state, 1);
    fetch_fails(&o, "o/m", CYG_E_IO, "while reading the token", NULL);
    unsetenv("HF_TOKEN_PATH");
    unsetenv("HF_HOME");
    unsetenv("XDG_CACHE_HOME");
    server_stop(s);
}

int main(void)
{
    fill_bodies();
#define SCRATCH(test) cmocka_unit_test_setup_teardown(test, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        SCRATCH(test_a_path_that_exists_is_no_name),
        SCRATCH(test_plain_fetch),
        SCRATCH(test_missing_preprocessor_is_remembered),
        SCRATCH(test_offline_without_cache),
        SCRATCH(test_redirects_and_token),
        SCRATCH(test_shards),
        SCRATCH(test_pickle_when_nothing_else),
        SCRATCH(test_a_blob_that_is_there_is_not_fetched),
        SCRATCH(test_environment),
        SCRATCH(test_tokens),
    };
    return CYG_TEST_MAIN(tests);
}

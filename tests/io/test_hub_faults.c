/* The hub download in bad weather: servers that refuse, cut, stall and lie, Ctrl-C, a full disk.
 * Whatever happens, the cache holds whole files, or a partial that the next call resumes, and the
 * error says what and where. */
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "hub_case.h"

/* The n-th request (from 0) for something that ends in text; NULL when there is none. */
static const request *nth(const server *s, const char *method, const char *text, int n)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->log[i].method, method) == 0 && strstr(s->log[i].path, text) != NULL &&
            n-- == 0)
            return &s->log[i];
    return NULL;
}

static const char *range_of(const server *s, int n)
{
    const request *r = nth(s, "GET", "/cdn/model.safetensors", n);
    return r != NULL ? r->range : "no such request";
}

static void test_not_there(void **state)
{
    server *s = SERVE(whole_model);
    cyg_hub_options o = quick(s, state);
    fetch_fails(&o, "o/none", CYG_E_IO, "o/none", "no such model", "404",
                "/o/none/resolve/main/config.json", NULL);
    fetch_fails(&o, "o/m@v9", CYG_E_IO, "o/m@v9", "no revision \"v9\"", NULL);
    s->item_count = 1;
    fetch_fails(&o, "o/m", CYG_E_IO, "model.safetensors, model.safetensors.index.json",
                "pytorch_model.bin, pytorch_model.bin.index.json", NULL);
    assert_no_weights(state);
    s->items = &whole_model[1];
    o.cache = scratch_path(state, "other");
    fetch_fails(&o, "o/m", CYG_E_IO, "no config.json", COMMIT, NULL);
    server_stop(s);
}

static bool refuse(server *s, int fd, const request *r)
{
    (void)r;
    say_status(fd, s->hook_user, "X-Error-Code: GatedRepo\r\n");
    return true;
}

static void test_refused(void **state)
{
    server *s = SERVE(whole_model);
    cyg_hub_options o = quick(s, state);
    s->hook = refuse;
    s->hook_user = (char[]){"401 Unauthorized"};
    fetch_fails(&o, "o/m", CYG_E_IO, "401", "set HF_TOKEN", "config.json", NULL);
    o.token = "hf_unseen42";
    fetch_fails(&o, "o/m", CYG_E_IO, "401", "the token in HF_TOKEN does not open it", NULL);
    s->hook_user = (char[]){"403 Forbidden"};
    fetch_fails(&o, "o/m", CYG_E_IO, "403", "gated", NULL);
    assert_int_equal(server_count(s), 3);
    s->hook_user = (char[]){"418 Teapot"};
    fetch_fails(&o, "o/m", CYG_E_IO, "HTTP 418", NULL);
    s->hook_user = (char[]){"502 Bad Gateway"};
    fetch_fails(&o, "o/m", CYG_E_IO, "HTTP 502", "3 tries", NULL);
    server_stop(s);
}

static bool busy_twice(server *s, int fd, const request *r)
{
    (void)r;
    if (s->count > 2)
        return false;
    say_status(fd, "503 Busy", "");
    return true;
}

static void test_busy_then_fine(void **state)
{
    server *s = SERVE(whole_model);
    s->hook = busy_twice;
    const cyg_hub_options o = quick(s, state);
    fetch_fine(&o, "o/m");
    assert_weights(state);
    server_stop(s);
}

static void test_cut_and_resumed(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->only = "model.safetensors";
    s->cut_after = 100000;
    s->cuts = 2;
    fetch_fine(&o, "o/m");
    assert_weights(state);
    assert_string_equal(range_of(s, 0), "");
    assert_string_equal(range_of(s, 1), "bytes=100000-");
    assert_string_equal(range_of(s, 2), "bytes=200000-");
    assert_string_equal(nth(s, "GET", "/cdn/", 2)->if_range, "\"cdn-model.safetensors\"");
    server_stop(s);
}

static void test_small_file_cut_and_resumed(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->only = "config.json";
    s->cut_after = 10;
    s->cuts = 1;
    fetch_fine(&o, "o/m");
    assert_content(snapshot_path(state, "config.json"), CONFIG_TEXT, strlen(CONFIG_TEXT));
    assert_string_equal(nth(s, "GET", "/config.json", 1)->if_range, "\"" CONFIG_SHA1 "\"");
    server_stop(s);
}

static bool storage_down_after_first(server *s, int fd, const request *r)
{
    if (strncmp(r->path, "/cdn/", 5) != 0 || nth(s, "GET", "/cdn/", 1) == NULL)
        return false;
    say_status(fd, "503 Busy", "");
    return true;
}

static void test_resumed_by_the_next_call(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->only = "model.safetensors";
    s->cut_after = 120000;
    s->cuts = 1;
    s->hook = storage_down_after_first;
    fetch_fails(&o, "o/m", CYG_E_IO, "gave up at byte 120000", "HTTP 503", "model.safetensors",
                NULL);
    assert_int_equal(file_size(repo_path(state, PARTIAL)), 120000);
    assert_no_weights(state);
    s->hook = NULL;
    s->count = 0;
    fetch_fine(&o, "o/m");
    assert_string_equal(range_of(s, 0), "bytes=120000-");
    assert_weights(state);
    assert_int_equal(file_size(repo_path(state, PARTIAL)), -1);
    server_stop(s);
}

static void test_server_without_ranges(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->only = "model.safetensors";
    s->cut_after = 100000;
    s->cuts = 2; /* at the same place: no gain, but fewer than the tries */
    s->ignore_range = true;
    fetch_fine(&o, "o/m");
    assert_weights(state);
    assert_string_equal(range_of(s, 1), "bytes=100000-");

    /* always cut there: bounded */
    cyg_hub_options other = quick(s, state);
    other.cache = scratch_path(state, "other");
    s->cuts = 1000;
    s->count = 0;
    fetch_fails(&other, "o/m", CYG_E_IO, "gave up", NULL);
    assert_null(nth(s, "GET", "/cdn/", 5));
    server_stop(s);
}

static void test_wrong_hash(void **state)
{
    static const item items[] = {CONFIG_ITEM,
                                 {"model.safetensors", weights, WEIGHTS, SHARD_SHA, true}};
    server *s = SERVE(items);
    const cyg_hub_options o = quick(s, state);
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "SHA-256 " WEIGHTS_SHA, "expected " SHARD_SHA,
                "/o/m/resolve/" COMMIT "/model.safetensors", NULL);
    assert_no_weights(state);
    assert_int_equal(file_size(repo_path(state, "blobs/" SHARD_SHA)), -1);
    assert_int_equal(file_size(repo_path(state, "blobs/" SHARD_SHA ".incomplete")), -1);
    server_stop(s);
}

/* Small files have git's hash as ETag. */
static void test_wrong_git_hash(void **state)
{
    static const item items[] = {
        {"config.json", CONFIG_TEXT, sizeof CONFIG_TEXT - 1, PREPROCESSOR_SHA1, false},
        WEIGHTS_ITEM};
    server *s = SERVE(items);
    cyg_hub_options o = quick(s, state);
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "git's SHA-1 " CONFIG_SHA1, "expected " PREPROCESSOR_SHA1,
                "config.json", NULL);
    assert_int_equal(file_size(snapshot_path(state, "config.json")), -1);
    assert_int_equal(file_size(repo_path(state, "blobs/" PREPROCESSOR_SHA1)), -1);
    assert_int_equal(file_size(repo_path(state, "blobs/" PREPROCESSOR_SHA1 ".incomplete")), -1);

    /* the old part is to blame: started over */
    s->items = whole_model;
    s->item_count = CYG_COUNT(whole_model);
    assert_int_equal(cyg_make_dirs(NULL, repo_path(state, "blobs")), CYG_OK);
    assert_int_equal(
        cyg_write_file(NULL, repo_path(state, "blobs/" CONFIG_SHA1 ".incomplete"), "?????", 5),
        CYG_OK);
    fetch_fine(&o, "o/m");
    assert_content(snapshot_path(state, "config.json"), CONFIG_TEXT, strlen(CONFIG_TEXT));
    server_stop(s);
}

static void test_damaged_partial(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    static const size_t sizes[] = {1, 1000, WEIGHTS, WEIGHTS + 5000};
    uint8_t *junk = calloc(1, WEIGHTS + 5000);
    assert_non_null(junk);
    assert_int_equal(cyg_make_dirs(NULL, repo_path(state, "blobs")), CYG_OK);
    for (size_t i = 0; i < CYG_COUNT(sizes); i++) {
        junk[0] = 99;
        assert_int_equal(cyg_write_file(NULL, repo_path(state, PARTIAL), junk, sizes[i]), CYG_OK);
        fetch_fine(&o, "o/m");
        assert_weights(state);
        assert_int_equal(unlink(repo_path(state, BLOB)), 0);
    }
    /* a whole one, of a process that died before the rename, needs no storage */
    assert_int_equal(cyg_write_file(NULL, repo_path(state, PARTIAL), weights, WEIGHTS), CYG_OK);
    s->count = 0;
    fetch_fine(&o, "o/m");
    assert_weights(state);
    assert_null(nth(s, "GET", "/cdn/", 0));
    free(junk);
    server_stop(s);
}

static void test_content_length_lies(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->only = "model.safetensors";
    for (int i = 0; i < 4; i++) {
        s->length_lie = i % 2 == 0 ? 10 : -10;
        s->no_linked_size = i >= 2;
        if (i < 2)
            fetch_fails(&o, "o/m", CYG_E_FORMAT, "Content-Length says", "expected 300000", NULL);
        else if (i == 2) /* ten bytes that never come */
            fetch_fails(&o, "o/m", CYG_E_IO, "gave up", NULL);
        else
            fetch_fails(&o, "o/m", CYG_E_FORMAT, "wrong content", NULL);
        assert_no_weights(state);
    }
    s->only = "config.json";
    s->length_lie = 5;
    cyg_hub_options other = quick(s, state);
    other.cache = scratch_path(state, "other");
    fetch_fails(&other, "o/m", CYG_E_IO, "gave up", "config.json", NULL);
    server_stop(s);
}

static bool small_linked_size(server *s, int fd, const request *r)
{
    if (strstr(r->path, "/resolve/") == NULL || strstr(r->path, "/model.safetensors") == NULL)
        return false;
    (void)s;
    say_status(fd, "302 Found",
               "Location: /cdn/model.safetensors\r\nX-Linked-Size: 1000\r\n"
               "X-Linked-Etag: \"" WEIGHTS_SHA "\"\r\nX-Repo-Commit: " COMMIT "\r\n");
    return true;
}

static void test_more_than_stated(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->hook = small_linked_size;
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "Content-Length says 300000", "expected 1000", NULL);
    s->only = "model.safetensors";
    s->chunked = true;
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "sends more than 1000 bytes", NULL);
    assert_no_weights(state);
    server_stop(s);
}

static void test_chunked(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->only = "model.safetensors";
    s->chunked = s->no_linked_size = true;
    s->cut_after = 70000;
    s->cuts = 1;
    fetch_fine(&o, "o/m");
    assert_weights(state);
    cyg_hub_options other = quick(s, state);
    other.cache = scratch_path(state, "other");
    s->only = "config.json";
    fetch_fine(&other, "o/m");
    server_stop(s);
}

static void test_no_length_at_all(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->only = "model.safetensors"; /* a hash tells that it is whole */
    s->no_length = s->no_linked_size = true;
    fetch_fine(&o, "o/m");
    assert_weights(state);
    s->only = "config.json"; /* so does git's */
    cyg_hub_options other = quick(s, state);
    other.cache = scratch_path(state, "git");
    fetch_fine(&other, "o/m");
    static const item unknown[] = {
        {"config.json", CONFIG_TEXT, sizeof CONFIG_TEXT - 1, "v1", false}};
    s->items = unknown; /* nothing does */
    s->item_count = 1;
    other.cache = scratch_path(state, "other");
    fetch_fails(&other, "o/m", CYG_E_FORMAT, "neither size nor hash", "config.json", NULL);
    server_stop(s);
}

static volatile int cancelled;

static void cancel_at_first_byte(void *user, const cyg_log_event *e)
{
    (void)user;
    if (e->kind == CYG_LOG_PROGRESS && strstr(e->text, "model.safetensors") != NULL && e->done > 0)
        cancelled = 1;
}

static void test_cancel(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    ctx.cancelled = &cancelled;
    ctx.log.sink = cancel_at_first_byte;
    char *folder = NULL;
    cancelled = 1; /* before anything */
    assert_int_equal(cyg_hub_fetch(&ctx, &o, "o/m", &folder), CYG_E_CANCELLED);
    assert_null(folder);
    assert_no_weights(state);
    cancelled = 0; /* amid a silence */
    s->only = "model.safetensors";
    s->cut_after = 100000;
    s->cuts = 1;
    s->stall = true;
    cyg_ctx_clear(&ctx);
    assert_int_equal(cyg_hub_fetch(&ctx, &o, "o/m", &folder), CYG_E_CANCELLED);
    assert_null(folder);
    const long part = file_size(repo_path(state, PARTIAL));
    assert_in_range(part, 1, 100000);
    assert_no_weights(state);
    cancelled = 0;
    ctx.log.sink = NULL;
    s->count = 0;
    assert_int_equal(cyg_hub_fetch(&ctx, &o, "o/m", &folder), CYG_OK);
    free(folder);
    char range[40];
    snprintf(range, sizeof range, "bytes=%ld-", part);
    assert_string_equal(range_of(s, 0), range);
    assert_weights(state);
    server_stop(s);
}

static void test_silence(void **state)
{
    server *s = SERVE(whole_model);
    cyg_hub_options o = quick(s, state);
    o.stall_seconds = 0.2;
    s->only = "model.safetensors";
    s->cut_after = 100000;
    s->cuts = 1;
    s->stall = true;
    fetch_fine(&o, "o/m");
    assert_string_equal(range_of(s, 1), "bytes=100000-");
    assert_weights(state);
    server_stop(s);
}

static void test_full_disk(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 150000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fetch_fails(&o, "o/m", CYG_E_IO, PARTIAL, "cannot write", strerror(EFBIG), NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(file_size(repo_path(state, PARTIAL)), 150000);
    assert_no_weights(state);
    fetch_fine(&o, "o/m");
    assert_string_equal(range_of(s, 1), "bytes=150000-");
    assert_weights(state);

    write_scratch(state, "file", "x", 1);
    cyg_hub_options other = quick(s, state);
    other.cache = scratch_path(state, "file");
    fetch_fails(&other, "o/m", CYG_E_IO, "file", strerror(ENOTDIR), NULL);
    server_stop(s);
}

static void test_no_server(void **state)
{
    server *s = SERVE(whole_model);
    cyg_hub_options o = quick(s, state);
    char base[80];
    snprintf(base, sizeof base, "https%s", s->base + 4); /* TLS to a server that speaks none */
    const char *plain = o.endpoint;
    o.endpoint = base;
    fetch_fails(&o, "o/m", CYG_E_IO, base, "SSL", "2 tries", NULL);
    server_stop(s);
    char nowhere[100] = "http://"; /* too long a label for a host: found out without a query */
    memset(nowhere + strlen(nowhere), 'a', 70);
    o.endpoint = nowhere;
    fetch_fails(&o, "o/m", CYG_E_IO, nowhere, "resolve", "2 tries", NULL);
    o.endpoint = plain;
    fetch_fails(&o, "o/m", CYG_E_IO, plain, "connect", "2 tries", "no file or folder here", NULL);
}

static void *unlock_soon(void *user)
{
    usleep(120000);
    flock(*(int *)user, LOCK_UN);
    return NULL;
}

static void test_waits_for_another_process(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    const char *locks = scratch_path(state, ".locks/models--o--m");
    assert_int_equal(cyg_make_dirs(NULL, locks), CYG_OK);
    char path[700];
    snprintf(path, sizeof path, "%s/" WEIGHTS_SHA ".lock", locks);
    write_scratch(state, ".locks/models--o--m/" WEIGHTS_SHA ".lock", "", 0);
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    int fd = fileno(f);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, unlock_soon, &fd), 0);
    fetch_fine(&o, "o/m");
    assert_weights(state);
    pthread_join(thread, NULL);
    fclose(f);
    server_stop(s);
}

int main(void)
{
    fill_bodies();
#define SCRATCH(test) cmocka_unit_test_setup_teardown(test, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH(test_not_there),
        SCRATCH(test_refused),
        SCRATCH(test_busy_then_fine),
        SCRATCH(test_cut_and_resumed),
        SCRATCH(test_small_file_cut_and_resumed),
        SCRATCH(test_resumed_by_the_next_call),
        SCRATCH(test_server_without_ranges),
        SCRATCH(test_wrong_hash),
        SCRATCH(test_wrong_git_hash),
        SCRATCH(test_damaged_partial),
        SCRATCH(test_content_length_lies),
        SCRATCH(test_more_than_stated),
        SCRATCH(test_chunked),
        SCRATCH(test_no_length_at_all),
        SCRATCH(test_cancel),
        SCRATCH(test_silence),
        SCRATCH(test_full_disk),
        SCRATCH(test_no_server),
        SCRATCH(test_waits_for_another_process),
    };
    return CYG_TEST_MAIN(tests);
}

/* The hub download against what is hostile or nonsense: redirects to elsewhere, index files that
 * name paths, headers that would become paths, servers that speak no HTTP, answers with a bit
 * flipped, names and settings that no one should send. Nothing is written outside, nothing hangs.
 */
#include "hub_case.h"

static bool redirect_to_user(server *s, int fd, const request *r)
{
    (void)r;
    char header[500];
    snprintf(header, sizeof header, "Location: %s\r\n", (const char *)s->hook_user);
    say_status(fd, "302 Found", header);
    return true;
}

static void test_bad_redirects(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->hook = redirect_to_user;
    s->hook_user = (char[]){"/o/m/resolve/main/config.json?again=SECRET"};
    fetch_fails(&o, "o/m", CYG_E_IO, "more than 10 redirects", NULL);
    assert_int_equal(server_count(s), 11);
    static char *const places[] = {"ftp://127.0.0.1/x", "file:///etc/passwd",
                                   "gopher://h/",       "http://user:SECRET@127.0.0.1/",
                                   "http://",           "http://[::bad/"};
    for (size_t i = 0; i < CYG_COUNT(places); i++) {
        s->hook_user = places[i];
        fetch_fails(&o, "o/m", CYG_E_IO, s->base, NULL);
    }
    assert_int_equal(server_count(s), 11 + (int)CYG_COUNT(places));
    server_stop(s);
}

static void test_hostile_index(void **state)
{
    static const char *const texts[] = {"{\"weight_map\": {\"a\": \"../../../evil.safetensors\"}}",
                                        "{\"weight_map\": {\"a\": \"/tmp/evil.safetensors\"}}",
                                        "{\"weight_map\": {\"a\": \"sub/evil.safetensors\"}}",
                                        "{\"weight_map\": {\"a\": \".evil.safetensors\"}}",
                                        "{\"weight_map\": {\"a\": \"evil\\u0001.safetensors\"}}",
                                        "{\"weight_map\": {\"a\": \"evil\\r\\nX: y.safetensors\"}}",
                                        "{\"weight_map\": {\"a\": \"C:\\\\evil.safetensors\"}}",
                                        "{\"weight_map\": {\"a\": \"evil.bin\"}}",
                                        "{\"weight_map\": {\"a\": \".safetensors\"}}",
                                        "{\"weight_map\": {\"a\": \"\"}}",
                                        "{\"weight_map\": {\"a\": 1}}",
                                        "{\"weight_map\": {}}",
                                        "{\"weight_map\": []}",
                                        "{}",
                                        "[]",
                                        "",
                                        "{\"weight_map\": {\"a\":"};
    for (size_t i = 0; i < CYG_COUNT(texts); i++) {
        const item items[] = {
            CONFIG_ITEM,
            {"model.safetensors.index.json", texts[i], strlen(texts[i]), "index", false}};
        server *s = SERVE(items);
        cyg_hub_options o = quick(s, state);
        char cache[100];
        snprintf(cache, sizeof cache, "%s/%zu", (const char *)*state, i);
        o.cache = cache;
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        char *folder = NULL;
        const cyg_status status = cyg_hub_fetch(&ctx, &o, "o/m", &folder);
        if (status == CYG_OK || !ctx_says(&ctx, "model.safetensors.index.json"))
            fail_msg("index %s: status %d, %s", texts[i], (int)status, cyg_ctx_message(&ctx, 0));
        assert_null(folder);
        for (int k = 0; k < s->count; k++)
            assert_null(strstr(s->log[k].path, "evil"));
        server_stop(s);
    }
}

static bool odd_headers(server *s, int fd, const request *r)
{
    (void)r;
    sayf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\n%s", (const char *)s->hook_user,
         strcmp(r->method, "HEAD") == 0 ? "" : "{}");
    return true;
}

static bool changed_etag(server *s, int fd, const request *r)
{
    s->hook_user = strcmp(r->method, "HEAD") == 0
                       ? (char[]){"X-Repo-Commit: " COMMIT "\r\nETag: \"one\"\r\n"}
                       : (char[]){"X-Repo-Commit: " COMMIT "\r\nETag: \"two\"\r\n"};
    return odd_headers(s, fd, r);
}

static void test_odd_headers(void **state)
{
    server *s = SERVE(whole_model);
    const cyg_hub_options o = quick(s, state);
    s->hook = odd_headers;
    s->hook_user = (char[]){"ETag: \"abc\"\r\n"};
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "no X-Repo-Commit", "HF_ENDPOINT", NULL);
    s->hook_user = (char[]){"ETag: \"abc\"\r\nX-Repo-Commit: ../../../../evil\r\n"};
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "no X-Repo-Commit", NULL);
    s->hook_user = (char[]){"ETag: \"../../evil\"\r\nX-Repo-Commit: " COMMIT "\r\n"};
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "ETag", "../../evil", NULL);
    s->hook_user = (char[]){"X-Repo-Commit: " COMMIT "\r\n"};
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "ETag", NULL);
    s->hook = changed_etag;
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "changed under way", NULL);
    assert_no_weights(state);
    server_stop(s);
}

static bool say_user_raw(server *s, int fd, const request *r)
{
    (void)r;
    say(fd, s->hook_user, strlen(s->hook_user));
    return true;
}

static bool endless_headers(server *s, int fd, const request *r)
{
    (void)s;
    (void)r;
    sayf(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 40000; i++)
        sayf(fd, "X-Filler-%d: abcdefghijklmnopqrstuvwxyz0123456789\r\n", i);
    return true;
}

static void test_no_http(void **state)
{
    server *s = SERVE(whole_model);
    cyg_hub_options o = quick(s, state);
    o.tries = 2;
    s->hook = say_user_raw;
    static char *const texts[] = {"",
                                  "220 mail ready\r\n",
                                  "HTTP/1.1 abc\r\n\r\n",
                                  "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
                                  "HTTP/1.1 2",
                                  "HTTP/1.1 302 Found\r\n\r\n"};
    for (size_t i = 0; i < CYG_COUNT(texts); i++) {
        s->hook_user = texts[i];
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        char *folder = NULL;
        assert_int_not_equal(cyg_hub_fetch(&ctx, &o, "o/m", &folder), CYG_OK);
        assert_true(ctx_says(&ctx, s->base));
    }
    s->hook = endless_headers;
    fetch_fails(&o, "o/m", CYG_E_FORMAT, "bytes of headers", NULL);
    server_stop(s);
}

/* Answers with one byte changed: any outcome but a crash, a hang, or wrong bytes called right. */
static bool one_byte_off(server *s, int fd, const request *r)
{
    const int n = *(int *)s->hook_user;
    if (s->count != 1 + n % 3 || n < 0)
        return false;
    char text[512];
    const int size =
        snprintf(text, sizeof text,
                 "HTTP/1.1 200 OK\r\nETag: \"" CONFIG_SHA1 "\"\r\nX-Repo-Commit: " COMMIT
                 "\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(CONFIG_TEXT), strcmp(r->method, "HEAD") == 0 ? "" : CONFIG_TEXT);
    text[(n * 7919) % size] ^= (char)(1 << (n % 7));
    say(fd, text, (size_t)size);
    return true;
}

static void test_flipped_answers(void **state)
{
    server *s = SERVE(whole_model);
    cyg_hub_options o = quick(s, state);
    o.tries = 1;
    o.stall_seconds = 0.05;
    o.connect_seconds = 0.15;
    int n = 0;
    s->hook = one_byte_off;
    s->hook_user = &n;
    for (n = 0; n < 60; n++) {
        char cache[100], path[300];
        snprintf(cache, sizeof cache, "%s/%d", (const char *)*state, n);
        o.cache = cache;
        s->count = 0;
        char *folder = NULL;
        if (cyg_hub_fetch(NULL, &o, "o/m", &folder) == CYG_OK) {
            snprintf(path, sizeof path, "%s/model.safetensors", folder);
            assert_content(path, weights, WEIGHTS);
        }
        free(folder);
    }
    server_stop(s);
}

static void test_wrong_use(void **state)
{
    server *s = SERVE(whole_model);
    cyg_hub_options o = quick(s, state);
    fetch_fails(&o, "../../etc", CYG_E_USAGE, "owner/name", NULL);
    fetch_fails(&o, "o/m\033[2J", CYG_E_USAGE, "o/m?[2J", NULL);
    o.token = "hf_x\r\nX-Evil: 1";
    fetch_fails(&o, "o/m", CYG_E_CONFIG, "HF_TOKEN", NULL);
    o.token = NULL;
    static const char *const endpoints[] = {
        "", "ftp://h", "h", "http://", "http://u:p@h", "http://h?x", "http://h\r\nX: y"};
    for (size_t i = 0; i < CYG_COUNT(endpoints); i++) {
        o.endpoint = endpoints[i];
        fetch_fails(&o, "o/m", CYG_E_CONFIG, "HF_ENDPOINT", NULL);
    }
    assert_int_equal(server_count(s), 0);
    server_stop(s);
}

int main(void)
{
    fill_bodies();
#define SCRATCH(test) cmocka_unit_test_setup_teardown(test, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH(test_bad_redirects), SCRATCH(test_hostile_index),   SCRATCH(test_odd_headers),
        SCRATCH(test_no_http),       SCRATCH(test_flipped_answers), SCRATCH(test_wrong_use),
    };
    return CYG_TEST_MAIN(tests);
}

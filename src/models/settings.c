/* Settings from three places, one lookup.
 *
 * --set key=value pairs become one small JSON document (a value that is no JSON is a string), so
 * that everything behind is a document with places for messages. timm's config.json keeps
 * constructor arguments under model_args and the input size under pretrained_cfg; a file made of
 * a whole case ({"config": {...}}) is read as its config. Unknown names: an error in --set, where a
 * person typed them; a note in --model_config; nothing in config.json, which says much that does
 * not concern us. */
#include "models/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "base/file.h"
#include "io/json_write.h"

static const char *const aliases[] = {
#define CYG_SETTING(id, names) names,
#define CYG_SETTING_UNUSED(names)
#include "models/settings.def"
#undef CYG_SETTING
#undef CYG_SETTING_UNUSED
};

static const char *const unused[] = {
#define CYG_SETTING(id, names)
#define CYG_SETTING_UNUSED(names) names,
#include "models/settings.def"
#undef CYG_SETTING
#undef CYG_SETTING_UNUSED
};

static bool among(const char *names, const char *key)
{
    const size_t size = strlen(key);
    for (const char *p = names;;) {
        const size_t n = strcspn(p, "|");
        if (n == size && memcmp(p, key, n) == 0)
            return true;
        if (p[n] == '\0')
            return false;
        p += n + 1;
    }
}

static bool known(const char *key, bool with_unused)
{
    for (size_t i = 0; i < CYG_COUNT(aliases); i++)
        if (among(aliases[i], key))
            return true;
    for (size_t i = 0; with_unused && i < CYG_COUNT(unused); i++)
        if (among(unused[i], key))
            return true;
    return false;
}

/* ---- reading the sources ---- */

static cyg_status bad_set(cyg_ctx *ctx, const char *set, size_t key_size)
{
    const char *names[CYG_SETTING_COUNT + 1];
    char *words[CYG_SETTING_COUNT] = {0}, key[64] = "";
    cyg_status st;
    size_t count = 0;
    for (; count < CYG_SETTING_COUNT; count++) {
        words[count] = strndup(aliases[count], strcspn(aliases[count], "|"));
        names[count] = words[count] != NULL ? words[count] : "";
    }
    memcpy(key, set, key_size < sizeof key ? key_size : sizeof key - 1);
    const int near = cyg_nearest_name(key, names, count);
    if (near >= 0)
        st = CYG_FAIL(ctx, CYG_E_USAGE, "--set %s: unknown key \"%s\"; did you mean %s?", set, key,
                      names[near]);
    else
        st = CYG_FAIL(ctx, CYG_E_USAGE, "--set %s: unknown key \"%s\"", set, key);
    for (size_t i = 0; i < count; i++)
        free(words[i]);
    return st;
}

static bool is_json(const char *text)
{
    cyg_doc *doc = NULL;
    cyg_ctx *quiet = malloc(sizeof *quiet);
    if (quiet == NULL)
        return false;
    cyg_ctx_init(quiet);
    const bool ok = cyg_doc_parse(quiet, "--set", text, strlen(text), CYG_DOC_JSON, &doc) == CYG_OK;
    cyg_doc_close(doc);
    free(quiet);
    return ok;
}

static cyg_status open_sets(cyg_ctx *ctx, const char *const *sets, size_t count, cyg_doc **out_doc)
{
    cyg_strbuf text = {0};
    cyg_status st = CYG_OK;
    cyg_strbuf_puts(&text, "{");
    for (size_t i = 0; i < count && st == CYG_OK; i++) {
        const char *const equals = strchr(sets[i], '=');
        char key[64] = "";
        if (equals == NULL || equals == sets[i]) {
            st = CYG_FAIL(ctx, CYG_E_USAGE, "--set %s: expected key=value", sets[i]);
            break;
        }
        const size_t size = (size_t)(equals - sets[i]);
        memcpy(key, sets[i], size < sizeof key ? size : sizeof key - 1);
        if (size >= sizeof key || !known(key, false)) {
            st = bad_set(ctx, sets[i], size);
            break;
        }
        cyg_strbuf_printf(&text, "%s\"%s\": ", i > 0 ? ", " : "", key);
        if (is_json(equals + 1)) {
            cyg_strbuf_puts(&text, equals + 1);
        } else {
            cyg_json j;
            cyg_json_init(&j, &text, 0);
            cyg_json_string(&j, equals + 1);
        }
    }
    cyg_strbuf_puts(&text, "}");
    if (st == CYG_OK && text.failed)
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (st == CYG_OK)
        st = cyg_doc_parse(ctx, "--set", text.data, text.len, CYG_DOC_JSON, out_doc);
    cyg_strbuf_deinit(&text);
    return st;
}

static cyg_status open_model_config(cyg_ctx *ctx, cyg_settings *s, const char *path)
{
    CYG_DO(cyg_doc_open(ctx, path, &s->docs[1]));
    const cyg_doc_node *root = cyg_doc_root(s->docs[1]);
    CYG_DO(cyg_doc_as_map(ctx, root));
    const cyg_doc_node *inner = cyg_doc_get(root, "config");
    s->roots[1] = root;
    if (inner != NULL && inner->kind == CYG_DOC_MAP)
        return CYG_OK;
    /* Hugging Face's own file says much more than constructor arguments. */
    for (size_t i = 0; i < root->count && cyg_doc_get(root, "model_type") == NULL; i++)
        if (!known(root->items[i]->key, true))
            cyg_note(ctx, "%s: \"%s\" is not used", path, root->items[i]->key);
    return CYG_OK;
}

static cyg_status open_beside(cyg_ctx *ctx, cyg_arena *arena, cyg_settings *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *file;
    if (cyg_path_is_dir(path))
        file = cyg_arena_printf(arena, "%s/config.json", path);
    else if (slash != NULL)
        file = cyg_arena_printf(arena, "%.*s/config.json", (int)(slash - path), path);
    else
        file = cyg_arena_strdup(arena, "config.json");
    if (file == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (!cyg_path_exists(file) || cyg_path_is_dir(file))
        return CYG_OK;
    CYG_DO(cyg_doc_open(ctx, file, &s->docs[2]));
    CYG_DO(cyg_doc_as_map(ctx, cyg_doc_root(s->docs[2])));
    s->roots[2] = cyg_doc_root(s->docs[2]);
    s->config_path = file;
    return CYG_OK;
}

cyg_status cyg_settings_open(cyg_ctx *ctx, cyg_arena *arena, const char *path,
                             const char *config_file, const char *const *sets, size_t set_count,
                             cyg_settings *out_settings)
{
    *out_settings = (cyg_settings){0};
    if (set_count > 0) {
        CYG_DO(open_sets(ctx, sets, set_count, &out_settings->docs[0]));
        out_settings->roots[0] = cyg_doc_root(out_settings->docs[0]);
    }
    if (config_file != NULL)
        CYG_TRY(ctx, open_model_config(ctx, out_settings, config_file),
                "while reading --model_config %s", config_file);
    return open_beside(ctx, arena, out_settings, path);
}

void cyg_settings_close(cyg_settings *s)
{
    for (size_t i = 0; i < CYG_COUNT(s->docs); i++)
        cyg_doc_close(s->docs[i]);
    *s = (cyg_settings){0};
}

/* ---- looking up ---- */

static const cyg_doc_node *find_in(const cyg_doc_node *map, const char *names)
{
    for (const char *p = names;;) {
        const size_t n = strcspn(p, "|");
        char key[64];
        memcpy(key, p, n);
        key[n] = '\0';
        const cyg_doc_node *node = cyg_doc_get(map, key);
        if (node != NULL && node->kind != CYG_DOC_NULL)
            return node;
        if (p[n] == '\0')
            return NULL;
        p += n + 1;
    }
}

const cyg_doc_node *cyg_settings_find(const cyg_settings *s, cyg_setting setting)
{
    static const char *const inner[] = {"config", "model_args", NULL, "pretrained_cfg"};
    for (size_t i = 0; i < CYG_COUNT(s->roots); i++)
        for (size_t k = 0; k < CYG_COUNT(inner) && s->roots[i] != NULL; k++) {
            const cyg_doc_node *map =
                inner[k] == NULL ? s->roots[i] : cyg_doc_get(s->roots[i], inner[k]);
            const cyg_doc_node *node = map == NULL ? NULL : find_in(map, aliases[setting]);
            if (node != NULL)
                return node;
        }
    return NULL;
}

static cyg_status check_range(cyg_ctx *ctx, const cyg_doc_node *node, int64_t low, int64_t high,
                              int64_t value)
{
    if (value < low || value > high)
        return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "expected %lld to %lld, found %lld",
                            (long long)low, (long long)high, (long long)value);
    return CYG_OK;
}

cyg_status cyg_settings_int(cyg_ctx *ctx, const cyg_settings *s, cyg_setting setting, int64_t low,
                            int64_t high, int64_t *out_value, bool *out_given)
{
    size_t count;
    int64_t values[4];
    CYG_DO(cyg_settings_ints(ctx, s, setting, low, high, CYG_COUNT(values), values, &count));
    if (count > 0)
        *out_value = values[0];
    if (out_given != NULL)
        *out_given = count > 0;
    return CYG_OK;
}

cyg_status cyg_settings_bool(cyg_ctx *ctx, const cyg_settings *s, cyg_setting setting,
                             bool *out_value, bool *out_given)
{
    const cyg_doc_node *node = cyg_settings_find(s, setting);
    if (out_given != NULL)
        *out_given = node != NULL;
    return node == NULL ? CYG_OK : cyg_doc_as_bool(ctx, node, out_value);
}

cyg_status cyg_settings_float(cyg_ctx *ctx, const cyg_settings *s, cyg_setting setting,
                              double *out_value, bool *out_given)
{
    const cyg_doc_node *node = cyg_settings_find(s, setting);
    if (out_given != NULL)
        *out_given = node != NULL;
    return node == NULL ? CYG_OK : cyg_doc_as_float(ctx, node, out_value);
}

const char *cyg_settings_text(const cyg_settings *s, cyg_setting setting)
{
    const cyg_doc_node *node = cyg_settings_find(s, setting);
    return node != NULL && node->kind == CYG_DOC_STRING ? node->text : NULL;
}

cyg_status cyg_settings_ints(cyg_ctx *ctx, const cyg_settings *s, cyg_setting setting, int64_t low,
                             int64_t high, size_t most, int64_t *out_values, size_t *out_count)
{
    const cyg_doc_node *node = cyg_settings_find(s, setting);
    *out_count = 0;
    if (node == NULL)
        return CYG_OK;
    if (node->kind != CYG_DOC_LIST) {
        CYG_DO(cyg_doc_as_int(ctx, node, &out_values[0]));
        *out_count = 1;
        return check_range(ctx, node, low, high, out_values[0]);
    }
    if (node->count < 1 || node->count > most)
        return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "expected 1 to %zu numbers, found %zu", most,
                            node->count);
    for (size_t i = 0; i < node->count; i++) {
        CYG_DO(cyg_doc_as_int(ctx, node->items[i], &out_values[i]));
        CYG_DO(check_range(ctx, node->items[i], low, high, out_values[i]));
    }
    *out_count = node->count;
    return CYG_OK;
}

/* A number at p that ends before `end`; 0 = none. *out_end: behind it. */
static int64_t number_at(const char *p, const char *end, const char **out_end)
{
    int64_t n = 0;
    const char *q = p;
    while (q < end && isdigit((unsigned char)*q) && n <= 16384)
        n = 10 * n + (*q++ - '0');
    *out_end = q;
    return n <= 16384 ? n : 0;
}

void cyg_settings_arch_number(const cyg_settings *s, const char *word, int64_t *out_first,
                              int64_t *out_number)
{
    const char *arch = cyg_settings_text(s, CYG_SETTING_ARCH), *p = NULL, *q;
    *out_first = *out_number = 0;
    if (arch == NULL)
        return;
    const char *const end = arch + strcspn(arch, "."); /* "vit_base_patch16_224.augreg_in21k" */
    if (word[0] != '\0') {
        p = strstr(arch, word);
        p = p == NULL ? NULL : p + strlen(word);
    } else {
        for (q = arch; q < end; q++)
            p = *q == '_' ? q + 1 : p;
    }
    if (p == NULL || p >= end)
        return;
    *out_first = *out_number = number_at(p, end, &q);
    if (*out_first > 0 && end - q > 2 && strncmp(q, "to", 2) == 0)
        *out_number = number_at(q + 2, end, &q);
    if (word[0] == '\0' && q != end) /* "_224" at the end, not "_22k" or "_4block" */
        *out_first = *out_number = 0;
}

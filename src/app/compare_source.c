/* Samples and exceptions of compiler.check. */
#include "app/compare_source.h"

#include <string.h>

static cyg_status compile_patterns(cyg_compare_source *s)
{
    cyg_app *app = s->build->app;
    const cyg_string_list *list = &s->build->config.compiler.check_tensor_black_list;
    s->skip = CYG_NEW_ARRAY(&app->arena, regex_t, list->count + 1);
    s->skip_used = CYG_NEW_ARRAY(&app->arena, bool, list->count + 1);
    if (s->skip == NULL || s->skip_used == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < list->count; i++) {
        const int code = regcomp(&s->skip[i], list->items[i], REG_EXTENDED | REG_NOSUB);
        char why[128];
        if (code != 0) {
            regerror(code, &s->skip[i], why, sizeof why);
            return CYG_FAIL(&app->ctx, CYG_E_CONFIG,
                            "compiler.check_tensor_black_list: \"%s\" is no pattern: %s",
                            list->items[i], why);
        }
        s->skip_count++;
    }
    return CYG_OK;
}

static cyg_status open_folder(cyg_compare_source *s, const char *root)
{
    cyg_app *app = s->build->app;
    const cyg_program *p = &s->build->program;
    const char **names = CYG_NEW_ARRAY(&app->arena, const char *, (size_t)p->input_count + 1);
    if (names == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < p->input_count; i++)
        names[i] = p->tensors[p->inputs[i]].name;
    CYG_DO(cyg_sample_dir_open(app, "compiler.input_sample_dir", root, names, p->input_count,
                               &s->dir));
    s->samples = s->dir.count;
    return CYG_OK;
}

cyg_status cyg_compare_source_open(cyg_build *b, const cyg_model *model, size_t most,
                                   cyg_compare_source *out)
{
    const cyg_config_compiler *c = &b->config.compiler;
    *out = (cyg_compare_source){.build = b};
    out->samples = b->golden.samples < most ? b->golden.samples : most;
    if (c->check > 0) {
        CYG_DO(compile_patterns(out));
        if (c->input_sample_dir != NULL && c->input_sample_dir[0] != '\0')
            CYG_DO(open_folder(out, c->input_sample_dir));
    }
    return out->dir.folders != NULL ? CYG_OK : cyg_build_feed_open(b, model, &out->feed);
}

cyg_status cyg_compare_source_read(cyg_compare_source *s, size_t sample, cyg_session *session,
                                   uint32_t slot)
{
    cyg_app *app = s->build->app;
    const uint32_t count = s->build->program.input_count;
    void *inputs[16], **list = inputs;
    if (count > CYG_COUNT(inputs) &&
        (list = CYG_NEW_ARRAY(&app->arena, void *, (size_t)count)) == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        CYG_DO(cyg_app_rt(app, cyg_session_input_info(session, i, &info)));
        const size_t bytes = info.bytes / cyg_session_batch(session);
        list[i] = (char *)cyg_session_input(session, i) + slot * bytes;
        if (s->dir.folders != NULL)
            CYG_TRY(&app->ctx, cyg_sample_dir_read(app, &s->dir, sample, i, bytes, list[i]),
                    "input \"%s\"", info.name);
    }
    return s->dir.folders != NULL ? CYG_OK : cyg_build_feed_sample(&s->feed, sample, list);
}

bool cyg_compare_source_skips(void *user, const char *name)
{
    cyg_compare_source *s = user;
    for (size_t i = 0; i < s->skip_count; i++)
        if (regexec(&s->skip[i], name, 0, NULL, 0) == 0) {
            s->skip_used[i] = true;
            return true;
        }
    return false;
}

void cyg_compare_source_tell_unused(const cyg_compare_source *s)
{
    for (size_t i = 0; i < s->skip_count; i++)
        if (!s->skip_used[i])
            cyg_warn(&s->build->app->ctx,
                     "compiler.check_tensor_black_list: \"%s\" matches no tensor",
                     s->build->config.compiler.check_tensor_black_list.items[i]);
}

void cyg_compare_source_close(cyg_compare_source *s)
{
    for (size_t i = 0; i < s->skip_count; i++)
        regfree(&s->skip[i]);
    s->skip_count = 0;
}

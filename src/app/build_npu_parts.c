/* compiler.sub_configs: ranges of the compiled program that become subgraphs of their own, compiled
 * with settings of their own.
 *
 * A range goes from the first step that reads one of its start tensors to the last that makes one
 * of its end tensors, in the order in which the program runs; names are those of the quantised
 * model. Sub-graphs of a package run one after another, so a range is whole: a step in it that is
 * on no way from its start to its end belongs to it, too. Every program of the package (batches,
 * sizes) is cut alike. */
#include "app/build_npu.h"

#include <string.h>

#include "base/str.h"

const cyg_config_compiler *cyg_build_npu_setting(const cyg_build *b, uint32_t part)
{
    return part == UINT32_MAX ? &b->config.compiler : &b->npu->settings[part];
}

static uint32_t owner_of(const cyg_program *p, uint32_t t)
{
    return p->tensors[t].kind == CYG_TENSOR_ALIAS ? (uint32_t)p->tensors[t].offset : t;
}

static cyg_status find_tensor(cyg_build *b, const cyg_program *p, const char *name,
                              const cyg_config_mark *at, const char *path, uint32_t *out_tensor)
{
    const char **names = CYG_NEW_ARRAY(&b->app->arena, const char *, p->tensor_count + 1);
    size_t count = 0;
    if (names == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t t = 0; t < p->tensor_count; t++) {
        if (p->tensors[t].kind == CYG_TENSOR_CONST || p->tensors[t].name == NULL)
            continue;
        if (strcmp(p->tensors[t].name, name) == 0) {
            *out_tensor = t;
            return CYG_OK;
        }
        names[count++] = p->tensors[t].name;
    }
    const int near = cyg_nearest_name(name, names, count);
    if (near >= 0)
        return cyg_config_fail(&b->app->ctx, CYG_E_CONFIG, at, path,
                               "\"%s\" is no tensor of the quantised model: did you mean \"%s\"?",
                               name, names[near]);
    return cyg_config_fail(&b->app->ctx, CYG_E_CONFIG, at, path,
                           "\"%s\" is no tensor of the quantised model, which "
                           "quant/quant_axmodel.onnx shows",
                           name);
}

static bool reads(const cyg_program *p, const cyg_step *s, uint32_t tensor)
{
    for (uint32_t i = 0; i < s->in_count; i++)
        if (s->in[i] != CYG_NO_TENSOR && owner_of(p, s->in[i]) == owner_of(p, tensor))
            return true;
    return false;
}

static bool makes(const cyg_program *p, const cyg_step *s, uint32_t tensor)
{
    for (uint32_t i = 0; i < s->out_count; i++)
        if (owner_of(p, s->out[i]) == owner_of(p, tensor))
            return true;
    return false;
}

/* The steps of one sub_config. */
static cyg_status find_range(cyg_build *b, const cyg_program *p, const cyg_config_compiler *sub,
                             size_t number, cyg_npu_part *out)
{
    char path[96];
    bool any = false;
    uint32_t t;
    out->first = UINT32_MAX;
    out->last = 0;
    snprintf(path, sizeof path, "compiler.sub_configs[%zu].start_tensor_names", number);
    for (size_t i = 0; i < sub->start_tensor_names.count; i++) {
        CYG_DO(find_tensor(b, p, sub->start_tensor_names.items[i], &sub->start_tensor_names_at,
                           path, &t));
        uint32_t step = 0;
        while (step < p->step_count && !reads(p, &p->steps[step], t))
            step++;
        out->first = step < out->first ? step : out->first;
    }
    snprintf(path, sizeof path, "compiler.sub_configs[%zu].end_tensor_names", number);
    for (size_t i = 0; i < sub->end_tensor_names.count; i++) {
        CYG_DO(
            find_tensor(b, p, sub->end_tensor_names.items[i], &sub->end_tensor_names_at, path, &t));
        for (uint32_t step = 0; step < p->step_count; step++)
            if (makes(p, &p->steps[step], t)) {
                any = true;
                out->last = step > out->last ? step : out->last;
            }
    }
    if (out->first > out->last || !any)
        return cyg_config_fail(&b->app->ctx, CYG_E_CONFIG, &sub->end_tensor_names_at, path,
                               "no step from a start to an end: the ends are made before the "
                               "starts are read");
    return CYG_OK;
}

/* What a sub_config does not set is the compiler's. */
static cyg_status settle(cyg_build *b, const cyg_config_compiler *sub, size_t number,
                         cyg_config_compiler *setting, cyg_npu_options *options)
{
    char name[96];
    const cyg_config_compiler *whole = &b->config.compiler;
    *setting = *whole;
    if (sub->schedule_at.origin != CYG_CONFIG_DEFAULT)
        setting->schedule = sub->schedule;
    if (sub->npu_perf_at.origin != CYG_CONFIG_DEFAULT)
        setting->npu_perf = sub->npu_perf;
    if (sub->cpu_fallback_at.origin != CYG_CONFIG_DEFAULT)
        setting->cpu_fallback = sub->cpu_fallback;
    if (sub->check_at.origin != CYG_CONFIG_DEFAULT)
        setting->check = sub->check;
    options->kind = setting->schedule == CYG_CONFIG_SCHEDULE_baseline ? CYG_NPU_SCHEDULE_BASELINE
                                                                      : CYG_NPU_SCHEDULE_DEFAULT;
    if (sub->ddr_bw_limit_at.origin == CYG_CONFIG_DEFAULT)
        return CYG_OK;
    setting->ddr_bw_limit = sub->ddr_bw_limit;
    snprintf(name, sizeof name, "compiler.sub_configs[%zu].ddr_bw_limit", number);
    return cyg_build_npu_limit_ddr(b, sub->ddr_bw_limit, name, &options->machine);
}

cyg_status cyg_build_npu_parts(cyg_build *b, uint32_t index, bool first, cyg_npu_options *options)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_config_compiler *c = &b->config.compiler;
    const uint32_t count = (uint32_t)c->sub_configs.count;
    const cyg_program *named = &b->programs[0], *p = &b->programs[index];
    if (count == 0)
        return CYG_OK;
    cyg_npu_part *parts = CYG_NEW_ARRAY(&b->app->arena, cyg_npu_part, count);
    cyg_config_compiler *settings = CYG_NEW_ARRAY(&b->app->arena, cyg_config_compiler, count);
    if (parts == NULL || settings == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (p->step_count != named->step_count)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "compiler.sub_configs: at another batch or size the model has other steps");
    options->parts = NULL;
    options->part_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const cyg_config_compiler *sub = &c->sub_configs.items[i];
        CYG_DO(find_range(b, named, sub, i, &parts[i]));
        for (uint32_t k = 0; k < i; k++)
            if (parts[i].first <= parts[k].last && parts[k].first <= parts[i].last)
                return cyg_config_fail(
                    ctx, CYG_E_CONFIG, &sub->start_tensor_names_at, "compiler.sub_configs",
                    "entries %u and %u share the step \"%s\"", k, i,
                    named->steps[parts[i].first > parts[k].first ? parts[i].first : parts[k].first]
                        .name);
        parts[i].options = *options;
        CYG_DO(settle(b, sub, i, &settings[i], &parts[i].options));
        if (first)
            cyg_note(ctx, "compiler.sub_configs[%u]: %u steps, \"%s\" to \"%s\"", i,
                     parts[i].last - parts[i].first + 1, named->steps[parts[i].first].name,
                     named->steps[parts[i].last].name);
    }
    options->parts = parts;
    options->part_count = count;
    b->npu->settings = settings;
    return CYG_OK;
}

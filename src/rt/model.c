/* Loading a package and asking what is in it. A model is read-only once open: sessions share it.
 * The last message is kept per thread, as errno is, because a caller that failed to get an object
 * has none to ask. */
#include "rt/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_message[1024] = "no failure so far";

const char *cyg_runtime_message(void)
{
    return last_message;
}

int cyg_rt_report(cyg_ctx *ctx, cyg_status status)
{
    if (status != CYG_OK) {
        size_t used = 0;
        const size_t count = cyg_ctx_message_count(ctx);
        snprintf(last_message, sizeof last_message, "%s", cyg_status_text(status));
        for (size_t i = 0; i < count && used < sizeof last_message; i++)
            used += (size_t)snprintf(last_message + used, sizeof last_message - used, "%s%s",
                                     i > 0 ? ": " : "", cyg_ctx_message(ctx, i));
    }
    return (int)status;
}

int cyg_model_open(const char *path, cyg_model **out_model)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    *out_model = NULL;
    cyg_model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return cyg_rt_report(&ctx, CYG_FAIL(&ctx, CYG_E_NOMEM, "%s: out of memory", path));
    cyg_arena_init(&m->arena);
    const cyg_status status = cyg_package_open(&ctx, path, &m->arena, NULL, &m->package);
    if (status != CYG_OK) {
        cyg_arena_deinit(&m->arena);
        free(m);
        return cyg_rt_report(&ctx, status);
    }
    *out_model = m;
    return CYG_OK;
}

void cyg_model_close(cyg_model *model)
{
    if (model == NULL)
        return;
    cyg_package_close(&model->package);
    cyg_arena_deinit(&model->arena);
    free(model);
}

uint32_t cyg_model_input_count(const cyg_model *model)
{
    return model->package.programs[0].input_count;
}

uint32_t cyg_model_output_count(const cyg_model *model)
{
    return model->package.programs[0].output_count;
}

uint32_t cyg_model_step_count(const cyg_model *model)
{
    return model->package.programs[0].step_count;
}

const char *cyg_model_meta(const cyg_model *model, size_t *out_size)
{
    if (out_size != NULL)
        *out_size = model->package.meta_size;
    return model->package.meta;
}

int cyg_rt_describe(const cyg_program *p, const uint32_t *list, uint32_t count, uint32_t i,
                    uint32_t batch, cyg_tensor_info *out_info)
{
    if (i >= count || out_info->struct_size < sizeof *out_info) {
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        return cyg_rt_report(&ctx, CYG_FAIL(&ctx, CYG_E_USAGE,
                                            "tensor %u of %u, struct_size %zu (expected %zu)", i,
                                            count, out_info->struct_size, sizeof *out_info));
    }
    const cyg_tensor *t = &p->tensors[list[i]];
    out_info->name = t->name;
    out_info->type = t->type;
    out_info->rank = t->rank;
    memcpy(out_info->dims, t->dims, sizeof out_info->dims);
    out_info->bytes = cyg_tensor_bytes(t);
    if (batch != p->batch && t->rank > 0) {
        out_info->dims[0] = t->dims[0] / p->batch * batch;
        out_info->bytes = out_info->bytes / p->batch * batch;
    }
    out_info->scale = t->scale;
    out_info->zero_point = t->zero_point;
    return CYG_OK;
}

int cyg_model_input_info(const cyg_model *model, uint32_t i, cyg_tensor_info *out_info)
{
    const cyg_program *p = &model->package.programs[0];
    return cyg_rt_describe(p, p->inputs, p->input_count, i, p->batch, out_info);
}

int cyg_model_output_info(const cyg_model *model, uint32_t i, cyg_tensor_info *out_info)
{
    const cyg_program *p = &model->package.programs[0];
    return cyg_rt_describe(p, p->outputs, p->output_count, i, p->batch, out_info);
}

uint32_t cyg_model_group_count(const cyg_model *model)
{
    return model->package.programs[model->package.program_count - 1].group + 1;
}

uint32_t cyg_model_batch_size(const cyg_model *model, uint32_t group, uint32_t i)
{
    const cyg_package *k = &model->package;
    uint32_t at = 0;
    while (at < k->program_count && k->programs[at].group < group)
        at++;
    return i < k->program_count - at && k->programs[at + i].group == group
               ? k->programs[at + i].batch
               : 0;
}

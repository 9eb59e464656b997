/* Settings that cannot both act. Where both were written down, that is an error which names the two
 * with their places: whichever went first, somebody would get what they did not ask for. Where one
 * was left open, the other one decides, and cyg_config_settle says so in the merged configuration.
 *
 * One row a pair: each a setting with the value at which it excludes the other. */
#include "config/config.h"

typedef struct side {
    const cyg_config_mark *at;
    const char *path;
    bool holds; /* it has the value that excludes the other one */
    const char *value;
} side;

/* The value is written by somebody. */
static bool is_given(const side *s)
{
    return s->at->origin != CYG_CONFIG_DEFAULT;
}

#define SIDE(field, path, condition, text)                                                         \
    {                                                                                              \
        &(field##_at), path, (condition), text                                                     \
    }
#define QUANT(field, condition, text) SIDE(q->field, "quant." #field, condition, text)
#define OPT(field, condition, text) SIDE(o->field, "onnx_opt." #field, condition, text)

cyg_status cyg_config_check_pairs(cyg_ctx *ctx, const cyg_config_build *config)
{
    const cyg_config_quant *q = &config->quant;
    const cyg_config_onnx_opt *o = &config->onnx_opt;
    const bool off = q->disable_quant_optimization, highest = q->highest_mix_precision;
    const struct pair {
        side a, b;
        const char *why;
    } pairs[] = {
        {QUANT(search_ranges, q->search_ranges, "true"),
         QUANT(disable_auto_refine_scale, q->disable_auto_refine_scale, "true"),
         "the second keeps the ranges that the first refines"},
        {QUANT(enable_smooth_quant, q->enable_smooth_quant, "true"),
         QUANT(disable_quant_optimization, off, "true"), "the second turns the first off"},
        {QUANT(center_weights, q->center_weights, "true"),
         QUANT(disable_quant_optimization, off, "true"), "the second turns the first off"},
        {QUANT(correct_bias, q->correct_bias, "true"),
         QUANT(disable_quant_optimization, off, "true"), "the second turns the first off"},
        {QUANT(round_weights, q->round_weights, "true"),
         QUANT(disable_quant_optimization, off, "true"), "the second turns the first off"},
        {QUANT(search_ranges, !q->search_ranges, "false"),
         QUANT(enable_easy_quant, q->enable_easy_quant, "true"),
         "the first turns off the search that stands for the second"},
        {QUANT(round_weights, !q->round_weights, "false"),
         QUANT(enable_adaround, q->enable_adaround, "true"),
         "the first turns off the rounding that stands for the second"},
        {QUANT(enable_easy_quant, q->enable_easy_quant, "true"),
         QUANT(disable_auto_refine_scale, q->disable_auto_refine_scale, "true"),
         "the second turns off the search that stands for the first"},
        {QUANT(enable_adaround, q->enable_adaround, "true"),
         QUANT(disable_quant_optimization, off, "true"),
         "the second turns off the rounding that stands for the first"},
        {QUANT(weight_data_type, q->weight_data_type == CYG_CONFIG_DTYPE_S4, "S4"),
         QUANT(highest_mix_precision, highest, "true"), "4 bits are not the highest precision"},
        {QUANT(transformer_opt_level, q->transformer_opt_level == 2, "2"),
         QUANT(highest_mix_precision, highest, "true"),
         "the first stores the residual in 8 bits, the second in 16"},
        {OPT(enable_onnxsim, o->enable_onnxsim, "true"),
         OPT(disable_onnx_optimization, o->disable_onnx_optimization, "true"),
         "the second turns off all that simplifies"},
        {OPT(model_check, o->model_check, "true"),
         OPT(disable_onnx_optimization, o->disable_onnx_optimization, "true"),
         "there is no optimised model to compare"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const side *a = &pairs[i].a, *b = &pairs[i].b;
        if (!a->holds || !b->holds || !is_given(a) || !is_given(b))
            continue;
        cyg_strbuf place = {0};
        cyg_config_place(b->at, b->path, &place);
        const cyg_status status = cyg_config_fail(
            ctx, CYG_E_CONFIG, a->at, a->path, "is %s, and %s is %s: %s; leave one of them out",
            a->value, place.failed ? b->path : place.data, b->value, pairs[i].why);
        cyg_strbuf_deinit(&place);
        return status;
    }
    return CYG_OK;
}

void cyg_config_settle(cyg_config_build *config)
{
    cyg_config_quant *q = &config->quant;
    q->search_ranges = q->search_ranges && !q->disable_auto_refine_scale;
    q->center_weights = q->center_weights && !q->disable_quant_optimization;
    q->correct_bias = q->correct_bias && !q->disable_quant_optimization;
    q->round_weights = q->round_weights && !q->disable_quant_optimization;
    if (q->highest_mix_precision && q->transformer_opt_level == 2)
        q->transformer_opt_level = 1;
}

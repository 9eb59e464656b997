/* Settings that are written down and that nothing reads, because another one stands elsewhere: each
 * gets a warning which says what would make it act. (Two that contradict each other are an error:
 * pairs.c. What no release of ours does at all: supported.c.)
 *
 * One row a setting: its name, whether it acts, and the reason when it does not. A setting that is
 * given at its default asks for nothing: a merged configuration that is read again has all of them.
 */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

typedef struct idle {
    const char *name; /* of a field of the message at hand */
    bool acts;
    const char *why;
} idle;

/* prefix: "quant.", .. */
static void warn(cyg_ctx *ctx, const cyg_config_message *message, const void *config,
                 const char *prefix, const idle *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].acts || !cyg_config_asks(ctx, message, config, rows[i].name))
            continue;
        const cyg_config_field *field =
            &message->fields[cyg_config_find_field(message, rows[i].name)];
        char path[128];
        cyg_strbuf place = {0};
        snprintf(path, sizeof path, "%s%s", prefix, rows[i].name);
        cyg_config_place(cyg_config_mark_const(field, config), path, &place);
        cyg_warn(ctx, "%s has no effect: %s", place.failed ? path : place.data, rows[i].why);
        cyg_strbuf_deinit(&place);
    }
}

static void warn_of_quant(cyg_ctx *ctx, const cyg_config_quant *q, cyg_config_model_type type)
{
    static const char *const searched = "equalisation is searched layer by layer unless "
                                        "quant.enable_smooth_quant is true";
    static const char *const pictures = "it is about pictures, and no calibration_format is Image";
    bool images = q->input_configs.count == 0;
    for (size_t i = 0; i < q->input_configs.count; i++)
        images = images || q->input_configs.items[i].calibration_format == CYG_CONFIG_FORMAT_Image;
    const bool stated = q->enable_smooth_quant_at.origin != CYG_CONFIG_DEFAULT;
    const bool smooth = q->enable_smooth_quant || type != CYG_CONFIG_MODEL_ONNX;
    const char *const why =
        stated ? "quant.enable_smooth_quant is false: nothing is equalised" : searched;
    const idle rows[] = {
        {"smooth_quant_threshold", smooth, why},
        {"smooth_quant_strength", smooth, why},
        {"calibration_resize", images, pictures},
        {"calibration_filter", images, pictures},
        {"preprocessor", images, pictures},
        {"conv_bias_data_type", q->conv_bias_data_type == CYG_CONFIG_DTYPE_S32,
         "a bias is S32 in steps of the input's scale times the weights', finer than what the "
         "result shows"},
    };
    warn(ctx, &cyg_config_message_quant, q, "quant.", rows, CYG_COUNT(rows));
}

static void warn_of_data(cyg_ctx *ctx, const cyg_config_input_quant *q, size_t i)
{
    static const char *const why = "arrays are fed as they are, only an Image is resized";
    const bool image = q->calibration_format == CYG_CONFIG_FORMAT_Image;
    const idle rows[] = {{"calibration_resize", image, why}, {"calibration_filter", image, why}};
    char prefix[64];
    snprintf(prefix, sizeof prefix, "quant.input_configs[%zu].", i);
    warn(ctx, &cyg_config_message_input_quant, q, prefix, rows, CYG_COUNT(rows));
}

static void warn_of_processor(cyg_ctx *ctx, const cyg_config_input_processor *p, size_t i)
{
    const bool converts =
        p->csc_mode == CYG_CONFIG_CSC_FullRange || p->csc_mode == CYG_CONFIG_CSC_LimitedRange;
    const idle rows[] = {
        {"csc_standard", converts, "csc_mode is neither FullRange nor LimitedRange"}};
    char prefix[64];
    snprintf(prefix, sizeof prefix, "input_processors[%zu].", i);
    warn(ctx, &cyg_config_message_input_processor, p, prefix, rows, CYG_COUNT(rows));
}

static void warn_of_check(cyg_ctx *ctx, const cyg_config_compiler *c)
{
    static const char *const off = "compiler.check is 0";
    const bool on = c->check != 0;
    const idle rows[] = {
        {"check_mode", on, off},
        {"check_tensor_black_list", on, off},
        {"input_sample_dir", on, off},
        {"check_rtol", c->check == 1, "compiler.check 1 has tolerances"},
        {"check_atol", c->check == 1, "compiler.check 1 has tolerances"},
        {"check_cosine_simularity", c->check == 3, "compiler.check 3 has a cosine"},
    };
    warn(ctx, &cyg_config_message_compiler, c, "compiler.", rows, CYG_COUNT(rows));
}

void cyg_config_warn_of_idle(cyg_ctx *ctx, const cyg_config_build *config)
{
    if (config->model_type != CYG_CONFIG_MODEL_QuantAxModel) { /* else the back end tells */
        warn_of_quant(ctx, &config->quant, config->model_type);
        for (size_t i = 0; i < config->quant.input_configs.count; i++)
            warn_of_data(ctx, &config->quant.input_configs.items[i], i);
        for (size_t i = 0; i < config->input_processors.count; i++)
            warn_of_processor(ctx, &config->input_processors.items[i], i);
    }
    warn_of_check(ctx, &config->compiler);
}

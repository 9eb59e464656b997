/* From entries to one tensor: which entry applies, and what it inherits.
 *
 * The entry that names the tensor wins over DEFAULT as a whole; fields are not mixed from both.
 * Then, where the entry is silent (mark = default): calibration_resize and _filter come from
 * quant.*, mean and std of the runtime from calibration_mean and _std. An explicit [] or [0,0,0] is
 * not silent, and `normalize: false` ends the inheritance. So what calibration saw is what the
 * runtime does unless somebody says otherwise.
 *
 * input_shapes: items separated by ";", each split at its last colon since names may hold colons;
 * dimensions are positive. */
#include "config/config.h"
#include "config/normalise.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_NAME "DEFAULT"

/* Index of the entry for the tensor in (list).items, or count. */
#define FIND_ENTRY(list, tensor, out_index)                                                        \
    do {                                                                                           \
        (out_index) = (list).count;                                                                \
        for (size_t i_ = 0; i_ < (list).count; i_++) {                                             \
            const char *name_ = (list).items[i_].tensor_name;                                      \
            if (name_ != NULL && strcmp(name_, (tensor)) == 0) {                                   \
                (out_index) = i_;                                                                  \
                break;                                                                             \
            }                                                                                      \
            if (name_ != NULL && strcmp(name_, DEFAULT_NAME) == 0)                                 \
                (out_index) = i_;                                                                  \
        }                                                                                          \
    } while (0)

static void inherit_enum(const cyg_config_mark *from, cyg_config_mark *to, const void *from_value,
                         void *to_value)
{
    if (to->origin != CYG_CONFIG_DEFAULT)
        return;
    memcpy(to_value, from_value, sizeof(int));
    *to = *from;
}

static void inherit_floats(const cyg_config_mark *from, cyg_config_mark *to,
                           cyg_float_list from_value, cyg_float_list *to_value)
{
    if (to->origin != CYG_CONFIG_DEFAULT)
        return;
    *to_value = from_value;
    *to = *from;
}

const cyg_config_input_processor *cyg_config_find_processor(const cyg_config_build *config,
                                                            const char *tensor)
{
    size_t i = 0;
    FIND_ENTRY(config->input_processors, tensor, i);
    return i < config->input_processors.count ? &config->input_processors.items[i] : NULL;
}

cyg_status cyg_config_resolve_input(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_build *config,
                                    const char *tensor, int64_t channels,
                                    cyg_config_input *out_input)
{
    cyg_config_input in;
    const cyg_config_quant *q = &config->quant;
    size_t i = 0;
    memset(&in, 0, sizeof in);
    CYG_DO(cyg_config_init(ctx, arena, &cyg_config_message_input_quant, &in.quant));
    CYG_DO(cyg_config_init(ctx, arena, &cyg_config_message_input_processor, &in.processor));
    FIND_ENTRY(q->input_configs, tensor, i);
    in.has_quant = i < q->input_configs.count;
    if (!in.has_quant && config->model_type == CYG_CONFIG_MODEL_ONNX)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "model input \"%.200s\" has no entry in quant.input_configs (an entry "
                        "named " DEFAULT_NAME " covers every input)",
                        tensor);
    if (in.has_quant)
        in.quant = q->input_configs.items[i];
    FIND_ENTRY(config->input_processors, tensor, i);
    if (i < config->input_processors.count) {
        in.has_processor = true;
        in.processor = config->input_processors.items[i];
    }
    in.quant.tensor_name = in.processor.tensor_name = tensor;

    inherit_enum(&q->calibration_resize_at, &in.quant.calibration_resize_at, &q->calibration_resize,
                 &in.quant.calibration_resize);
    inherit_enum(&q->calibration_filter_at, &in.quant.calibration_filter_at, &q->calibration_filter,
                 &in.quant.calibration_filter);
    if (in.processor.normalize) {
        inherit_floats(&in.quant.calibration_mean_at, &in.processor.mean_at,
                       in.quant.calibration_mean, &in.processor.mean);
        inherit_floats(&in.quant.calibration_std_at, &in.processor.std_at, in.quant.calibration_std,
                       &in.processor.std);
    }

    const int64_t by_color = cyg_config_channels(in.processor.tensor_format);
    if (channels != 0 && by_color != 0 && channels != by_color)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &in.processor.tensor_format_at,
                               "input_processors tensor_format",
                               "%s means %lld channels; input \"%.200s\" has %lld",
                               cyg_config_enum_color.names[in.processor.tensor_format],
                               (long long)by_color, tensor, (long long)channels);
    const int64_t c = channels ? channels : by_color;
    CYG_DO(cyg_config_check_lengths(ctx, &in.quant.calibration_mean_at, "calibration_mean",
                                    in.quant.calibration_mean, c));
    CYG_DO(cyg_config_check_lengths(ctx, &in.quant.calibration_std_at, "calibration_std",
                                    in.quant.calibration_std, c));
    CYG_DO(cyg_config_check_lengths(ctx, &in.processor.mean_at, "mean", in.processor.mean, c));
    CYG_DO(cyg_config_check_lengths(ctx, &in.processor.std_at, "std", in.processor.std, c));
    *out_input = in;
    return CYG_OK;
}

cyg_status cyg_config_resolve_output(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_build *config,
                                     const char *tensor, cyg_config_output_processor *out_output)
{
    size_t i = 0;
    FIND_ENTRY(config->output_processors, tensor, i);
    if (i < config->output_processors.count)
        *out_output = config->output_processors.items[i];
    else
        CYG_DO(cyg_config_init(ctx, arena, &cyg_config_message_output_processor, out_output));
    out_output->tensor_name = tensor;
    return CYG_OK;
}

/* ---- input_shapes ---- */

/* "1x3x224x224" of len bytes. */
static cyg_status parse_dims(cyg_ctx *ctx, cyg_arena *arena, const char *item, const char *text,
                             size_t len, cyg_int_list *out_dims)
{
    int64_t *dims = CYG_NEW_ARRAY(arena, int64_t, len + 1);
    size_t count = 0, i = 0;
    if (dims == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    while (true) {
        int64_t v = 0;
        const size_t start = i;
        while (i < len && text[i] >= '0' && text[i] <= '9' && v <= INT32_MAX)
            v = v * 10 + (text[i++] - '0');
        if (i == start || v == 0 || v > INT32_MAX || (i < len && text[i] != 'x'))
            return CYG_FAIL(ctx, CYG_E_CONFIG,
                            "input_shapes: \"%.200s\": expected positive dimensions as in "
                            "1x3x224x224, found \"%.*s\"",
                            item, (int)(len < 80 ? len : 80), text);
        dims[count++] = v;
        if (i == len)
            break;
        i++;
    }
    *out_dims = (cyg_int_list){dims, count};
    return CYG_OK;
}

static cyg_status parse_shape(cyg_ctx *ctx, cyg_arena *arena, char *item,
                              cyg_config_shape_list *shapes)
{
    char *colon = strrchr(item, ':');
    if (colon == NULL || colon == item)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input_shapes: expected name:1x3x224x224, found \"%.200s\"", item);
    cyg_config_shape *shape = &shapes->items[shapes->count];
    CYG_DO(parse_dims(ctx, arena, item, colon + 1, strlen(colon + 1), &shape->dims));
    *colon = '\0';
    shape->name = item;
    for (size_t i = 0; i < shapes->count; i++)
        if (strcmp(shapes->items[i].name, item) == 0)
            return CYG_FAIL(ctx, CYG_E_CONFIG, "input_shapes: input \"%.200s\" is given twice",
                            item);
    shapes->count++;
    return CYG_OK;
}

cyg_status cyg_config_parse_shapes(cyg_ctx *ctx, cyg_arena *arena, const char *text,
                                   cyg_config_shape_list *out_shapes)
{
    *out_shapes = (cyg_config_shape_list){NULL, 0};
    if (text == NULL)
        return CYG_OK;
    size_t most = 1;
    for (const char *p = text; *p != '\0'; p++)
        most += *p == ';';
    char *copy = cyg_arena_strdup(arena, text);
    out_shapes->items = CYG_NEW_ARRAY(arena, cyg_config_shape, most);
    if (copy == NULL || out_shapes->items == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    while (copy != NULL) {
        char *item = copy + strspn(copy, " ");
        copy = strchr(item, ';');
        if (copy != NULL)
            *copy++ = '\0';
        size_t len = strlen(item);
        while (len > 0 && item[len - 1] == ' ')
            item[--len] = '\0';
        if (len > 0) /* a trailing ";" is fine */
            CYG_DO(parse_shape(ctx, arena, item, out_shapes));
    }
    return CYG_OK;
}

/* ---- names against the model ---- */

static cyg_status check_name(cyg_ctx *ctx, const char *list, const char *what, const char *name,
                             const cyg_config_mark *mark, const char *const *known, size_t count)
{
    if (name == NULL || strcmp(name, DEFAULT_NAME) == 0)
        return CYG_OK;
    for (size_t i = 0; i < count; i++)
        if (strcmp(known[i], name) == 0)
            return CYG_OK;
    const int near = count == 1 ? 0 : cyg_nearest_name(name, known, count);
    return cyg_config_fail(
        ctx, CYG_E_CONFIG, mark, list, "\"%.200s\" is no %s of the model%s%.200s%s", name, what,
        near >= 0 ? "; did you mean \"" : "", near >= 0 ? known[near] : "", near >= 0 ? "\"?" : "");
}

cyg_status cyg_config_check_names(cyg_ctx *ctx, const cyg_config_build *config,
                                  const char *const *inputs, size_t input_count,
                                  const char *const *outputs, size_t output_count)
{
    for (size_t i = 0; i < config->quant.input_configs.count; i++) {
        const cyg_config_input_quant *e = &config->quant.input_configs.items[i];
        CYG_DO(check_name(ctx, "quant.input_configs tensor_name", "input", e->tensor_name,
                          &e->tensor_name_at, inputs, input_count));
    }
    for (size_t i = 0; i < config->input_processors.count; i++) {
        const cyg_config_input_processor *e = &config->input_processors.items[i];
        CYG_DO(check_name(ctx, "input_processors tensor_name", "input", e->tensor_name,
                          &e->tensor_name_at, inputs, input_count));
    }
    for (size_t i = 0; i < config->output_processors.count; i++) {
        const cyg_config_output_processor *e = &config->output_processors.items[i];
        CYG_DO(check_name(ctx, "output_processors tensor_name", "output", e->tensor_name,
                          &e->tensor_name_at, outputs, output_count));
    }
    cyg_arena arena;
    cyg_config_shape_list shapes;
    cyg_arena_init(&arena);
    cyg_status st = cyg_config_parse_shapes(ctx, &arena, config->input_shapes, &shapes);
    for (size_t i = 0; st == CYG_OK && i < shapes.count; i++)
        st = check_name(ctx, "input_shapes", "input", shapes.items[i].name,
                        &config->input_shapes_at, inputs, input_count);
    cyg_arena_deinit(&arena);
    return st;
}

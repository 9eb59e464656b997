/* What one field alone cannot show.
 *
 * Each rule has its reason in the vendor's users' troubles (docs/config.md lists the fields): two
 * entries of equal rank for one tensor, mean and std of the wrong length or scale, normalisation of
 * data that is not normalised, batch modes that exclude each other, an npu_mode that the chip
 * lacks, layers chosen in two ways at once, sub_configs inside sub_configs.
 *
 * std: images are 0..255 here, so a std below 0.01 is a reciprocal (people write 0.004 for 1/255),
 * an error; all below 1 with images smells of values for 0..1 images, a warning.
 *
 * The number of channels is known here only from tensor_format; resolve.c checks again when the
 * model is known. Errors are CYG_E_CONFIG and point at the field's line or flag. */
#include "config/config.h"
#include "config/normalise.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum { PATH_SIZE = 160 };

/* ---- entries by tensor ---- */

typedef struct entry {
    const char *tensor;
    const cyg_config_mark *mark;
} entry;

static cyg_status check_rank(cyg_ctx *ctx, const char *list, const entry *earlier, size_t count,
                             entry now)
{
    for (size_t i = 0; i < count; i++) {
        if (now.tensor == NULL || earlier[i].tensor == NULL ||
            strcmp(earlier[i].tensor, now.tensor) != 0)
            continue;
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s[%zu].tensor_name", list, count);
        return cyg_config_fail(ctx, CYG_E_CONFIG, now.mark, path,
                               "\"%.200s\" has an entry already (%s[%zu], line %u)", now.tensor,
                               list, i, earlier[i].mark->line);
    }
    return CYG_OK;
}

/* Two entries for one tensor, list by list. */
static cyg_status check_entries(cyg_ctx *ctx, const cyg_config_build *c)
{
    cyg_arena arena;
    cyg_status st = CYG_OK;
    const size_t most =
        c->quant.input_configs.count + c->input_processors.count + c->output_processors.count;
    cyg_arena_init(&arena);
    entry *seen = CYG_NEW_ARRAY(&arena, entry, most + 1);
    if (seen == NULL)
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
#define CHECK_LIST(list, text)                                                                     \
    for (size_t i = 0; st == CYG_OK && i < (list).count; i++) {                                    \
        seen[i] = (entry){(list).items[i].tensor_name, &(list).items[i].tensor_name_at};           \
        st = check_rank(ctx, text, seen, i, seen[i]);                                              \
    }
    CHECK_LIST(c->quant.input_configs, "quant.input_configs")
    CHECK_LIST(c->input_processors, "input_processors")
    CHECK_LIST(c->output_processors, "output_processors")
#undef CHECK_LIST
    cyg_arena_deinit(&arena);
    return st;
}

/* ---- normalisation ---- */

cyg_status cyg_config_check_lengths(cyg_ctx *ctx, const cyg_config_mark *mark, const char *path,
                                    cyg_float_list list, int64_t channels)
{
    if (list.count <= 1 || channels == 0 || (uint64_t)channels == list.count)
        return CYG_OK;
    return cyg_config_fail(ctx, CYG_E_CONFIG, mark, path,
                           "has %zu values; the input has %lld channel%s", list.count,
                           (long long)channels, channels == 1 ? "" : "s");
}

int64_t cyg_config_channels(cyg_config_color color)
{
    return color == CYG_CONFIG_COLOR_GRAY                                   ? 1
           : color == CYG_CONFIG_COLOR_RGB || color == CYG_CONFIG_COLOR_BGR ? 3
                                                                            : 0;
}

static cyg_status check_std(cyg_ctx *ctx, const cyg_config_mark *mark, const char *path,
                            cyg_float_list std)
{
    for (size_t i = 0; i < std.count; i++) {
        if (std.items[i] < 0.01)
            return cyg_config_fail(ctx, CYG_E_CONFIG, mark, path,
                                   "holds %g: the data is divided by it, so it must be a positive "
                                   "number of the data's "
                                   "scale (255 where you mean a factor of 1/255)",
                                   std.items[i]);
    }
    return CYG_OK;
}

static bool all_below(cyg_float_list list, double limit)
{
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i] >= limit)
            return false;
    return list.count > 0;
}

static cyg_status check_input_quant(cyg_ctx *ctx, const cyg_config_input_quant *q, size_t i)
{
    char mean[PATH_SIZE], std[PATH_SIZE], size[PATH_SIZE];
    snprintf(mean, sizeof mean, "quant.input_configs[%zu].calibration_mean", i);
    snprintf(std, sizeof std, "quant.input_configs[%zu].calibration_std", i);
    snprintf(size, sizeof size, "quant.input_configs[%zu].calibration_size", i);
    if (q->calibration_size == 0)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &q->calibration_size_at, size,
                               "is 0; expected a number of samples, or -1 for all");
    CYG_DO(check_std(ctx, &q->calibration_std_at, std, q->calibration_std));
    if (q->calibration_format != CYG_CONFIG_FORMAT_Image &&
        q->calibration_mean.count + q->calibration_std.count > 0) {
        const bool m = q->calibration_mean.count > 0;
        return cyg_config_fail(
            ctx, CYG_E_CONFIG, m ? &q->calibration_mean_at : &q->calibration_std_at, m ? mean : std,
            "is not applied to %s data, which is fed as it is; move it to mean and std in "
            "input_processors if the runtime shall normalise",
            cyg_config_enum_format.names[q->calibration_format]);
    }
    if (q->calibration_mean.count > 1 && q->calibration_std.count > 1 &&
        q->calibration_mean.count != q->calibration_std.count)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &q->calibration_std_at, std,
                               "has %zu values and calibration_mean %zu", q->calibration_std.count,
                               q->calibration_mean.count);
    if (all_below(q->calibration_std, 1.0))
        cyg_warn(ctx,
                 "%s is below 1: images are 0..255 here; if your values are for 0..1 images, "
                 "multiply mean and std "
                 "by 255",
                 std);
    return CYG_OK;
}

/* Padding and slicing, as far as the configuration alone tells. */
static cyg_status check_fit(cyg_ctx *ctx, const cyg_config_build *c, size_t i)
{
    const cyg_config_input_processor *p = &c->input_processors.items[i];
    const bool pads = p->padding.count > 0;
    const cyg_config_mark *at = pads ? &p->padding_at : &p->slicing_at;
    char path[PATH_SIZE], constant[PATH_SIZE];
    snprintf(path, sizeof path, "input_processors[%zu].%s", i, pads ? "padding" : "slicing");
    snprintf(constant, sizeof constant, "input_processors[%zu].padding_constant_value", i);
    if (p->padding_constant_value != 0 && !pads)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &p->padding_constant_value_at, constant,
                               "has no effect without padding");
    if (p->padding.count + p->slicing.count == 0)
        return CYG_OK;
    if (c->model_type == CYG_CONFIG_MODEL_QuantAxModel)
        return cyg_config_fail(
            ctx, CYG_E_CONFIG, at, path,
            "has no effect with model_type QuantAxModel: the back end alone runs");
    if (p->src_extra_shapes.count > 0)
        return cyg_config_fail(ctx, CYG_E_UNSUPPORTED, at, path,
                               "is not built yet beside src_extra_shapes");
    return CYG_OK;
}

static bool is_video(cyg_config_color c)
{
    return c == CYG_CONFIG_COLOR_YUV420SP || c == CYG_CONFIG_COLOR_YVU420SP ||
           c == CYG_CONFIG_COLOR_YUYV422 || c == CYG_CONFIG_COLOR_UYVY422;
}

/* Colour conversion: asked for where there is video, and nowhere else. */
static cyg_status check_csc(cyg_ctx *ctx, const cyg_config_input_processor *p, size_t i)
{
    const bool video = is_video(p->src_format), matrix = p->csc_mode == CYG_CONFIG_CSC_Matrix;
    const char *format = cyg_config_enum_color.names[p->src_format];
    char mode[PATH_SIZE], mat[PATH_SIZE], dtype[PATH_SIZE];
    snprintf(mode, sizeof mode, "input_processors[%zu].csc_mode", i);
    snprintf(mat, sizeof mat, "input_processors[%zu].csc_mat", i);
    snprintf(dtype, sizeof dtype, "input_processors[%zu].src_dtype", i);
    if (video && p->csc_mode == CYG_CONFIG_CSC_NoCSC)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &p->src_format_at, mode,
                               "is needed for src_format %s: FullRange, LimitedRange, or Matrix "
                               "with csc_mat",
                               format);
    if (video && p->src_dtype_at.origin != CYG_CONFIG_DEFAULT &&
        p->src_dtype != CYG_CONFIG_DTYPE_U8)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &p->src_dtype_at, dtype,
                               "is %s; %s pixels are U8",
                               cyg_config_enum_data_type.names[p->src_dtype], format);
    if (!video && p->csc_mode != CYG_CONFIG_CSC_NoCSC)
        cyg_warn(ctx, "%s has no effect: src_format %s is no video format", mode, format);
    if (matrix && video && p->csc_mat.count != 12)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &p->csc_mode_at, mat,
                               "has %zu numbers; csc_mode Matrix needs the 12 of a 3x4 matrix",
                               p->csc_mat.count);
    if (video && p->src_layout_at.origin != CYG_CONFIG_DEFAULT &&
        p->src_layout == CYG_CONFIG_LAYOUT_NCHW)
        cyg_warn(ctx, "input_processors[%zu].src_layout NCHW has no effect: %s is fed as NHWC", i,
                 format);
    if (p->csc_mat.count > 0 && !matrix)
        cyg_warn(ctx, "%s has no effect: csc_mode is %s, not Matrix", mat,
                 cyg_config_enum_csc_mode.names[p->csc_mode]);
    for (size_t k = 3; matrix && video && k < 12; k += 4)
        if (!(p->csc_mat.items[k] > -9.0 && p->csc_mat.items[k] < 8.0))
            return cyg_config_fail(ctx, CYG_E_CONFIG, &p->csc_mat_at, mat,
                                   "adds %g, outside -9..8: elements 4, 8 and 12 are in units of "
                                   "full scale; divide them by 255 if they are in pixels",
                                   p->csc_mat.items[k]);
    return CYG_OK;
}

/* Scale and zero point: of whole numbers only, the latter in the type's range. */
static cyg_status check_codes(cyg_ctx *ctx, const cyg_config_input_processor *p, size_t i)
{
    static const struct range {
        double lo, hi;
    } ranges[] = {[CYG_CONFIG_DTYPE_U8] = {0, 255},
                  [CYG_CONFIG_DTYPE_S8] = {-128, 127},
                  [CYG_CONFIG_DTYPE_U16] = {0, 65535},
                  [CYG_CONFIG_DTYPE_S16] = {-32768, 32767},
                  [CYG_CONFIG_DTYPE_U32] = {0, 4294967295.0},
                  [CYG_CONFIG_DTYPE_S32] = {-2147483648.0, 2147483647.0}};
    char scale[PATH_SIZE], zero[PATH_SIZE];
    snprintf(scale, sizeof scale, "input_processors[%zu].scale", i);
    snprintf(zero, sizeof zero, "input_processors[%zu].zeropoint", i);
    const bool given = p->scale > 0.0;
    const bool whole =
        p->src_dtype != CYG_CONFIG_DTYPE_FP32 && p->src_dtype != CYG_CONFIG_DTYPE_FP16;
    if (given && (!whole || is_video(p->src_format)))
        return cyg_config_fail(
            ctx, CYG_E_CONFIG, &p->scale_at, scale, "is for whole numbers; the runtime feeds %s",
            is_video(p->src_format) ? cyg_config_enum_color.names[p->src_format]
                                    : cyg_config_enum_data_type.names[p->src_dtype]);
    if (given && !(p->scale >= 1e-30 && p->scale <= 1e30))
        return cyg_config_fail(ctx, CYG_E_CONFIG, &p->scale_at, scale,
                               "is %g; expected a number that binary32 has", p->scale);
    if (!given && p->zeropoint != 0)
        cyg_warn(ctx, "%s has no effect without a scale", zero);
    if (given && ((double)p->zeropoint < ranges[p->src_dtype].lo ||
                  (double)p->zeropoint > ranges[p->src_dtype].hi))
        return cyg_config_fail(ctx, CYG_E_CONFIG, &p->zeropoint_at, zero,
                               "is %lld, which %s does not hold", (long long)p->zeropoint,
                               cyg_config_enum_data_type.names[p->src_dtype]);
    return CYG_OK;
}

static cyg_status check_input_processor(cyg_ctx *ctx, const cyg_config_input_processor *p, size_t i)
{
    char mean[PATH_SIZE], std[PATH_SIZE], normalize[PATH_SIZE];
    snprintf(mean, sizeof mean, "input_processors[%zu].mean", i);
    snprintf(std, sizeof std, "input_processors[%zu].std", i);
    snprintf(normalize, sizeof normalize, "input_processors[%zu].normalize", i);
    CYG_DO(check_std(ctx, &p->std_at, std, p->std));
    CYG_DO(cyg_config_check_lengths(ctx, &p->mean_at, mean, p->mean,
                                    cyg_config_channels(p->tensor_format)));
    CYG_DO(cyg_config_check_lengths(ctx, &p->std_at, std, p->std,
                                    cyg_config_channels(p->tensor_format)));
    if (!p->normalize && p->mean.count + p->std.count > 0)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &p->normalize_at, normalize,
                               "is false, yet mean or std is given beside it");
    CYG_DO(check_csc(ctx, p, i));
    return check_codes(ctx, p, i);
}

/* ---- layers ---- */

static cyg_status check_layer(cyg_ctx *ctx, const cyg_config_layer *l, size_t i)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "quant.layer_configs[%zu]", i);
    const bool name = l->layer_name != NULL || l->layer_names.count > 0;
    const bool type = l->op_type != NULL || l->op_types.count > 0;
    const bool start = l->start_tensor_names.count > 0, end = l->end_tensor_names.count > 0;
    if (start != end)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &l->at, path, "has %s but no %s",
                               start ? "start_tensor_names" : "end_tensor_names",
                               start ? "end_tensor_names" : "start_tensor_names");
    if (name + type + start != 1)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &l->at, path,
                               "must choose layers in exactly one way: layer_name(s), op_type(s), "
                               "or start_tensor_names "
                               "with end_tensor_names; found %s%s%s%s",
                               name ? "names " : "", type ? "types " : "", start ? "a range" : "",
                               name || type || start ? "" : "none");
    if ((l->layer_name != NULL && l->layer_names.count > 0) ||
        (l->op_type != NULL && l->op_types.count > 0))
        return cyg_config_fail(ctx, CYG_E_CONFIG, &l->at, path,
                               "gives both the single and the list form of one key");
    return CYG_OK;
}

static bool layer_names(const cyg_config_layer *l, const char *name)
{
    if (l->layer_name != NULL && strcmp(l->layer_name, name) == 0)
        return true;
    for (size_t i = 0; i < l->layer_names.count; i++)
        if (strcmp(l->layer_names.items[i], name) == 0)
            return true;
    return false;
}

static bool layer_types(const cyg_config_layer *l, const char *type)
{
    if (l->op_type != NULL && strcmp(l->op_type, type) == 0)
        return true;
    for (size_t i = 0; i < l->op_types.count; i++)
        if (strcmp(l->op_types.items[i], type) == 0)
            return true;
    return false;
}

/* The first name or type of entry i that an earlier entry has too, or NULL. */
static const char *repeated_choice(const cyg_config_quant *q, size_t i)
{
    const cyg_config_layer *l = &q->layer_configs.items[i];
    for (size_t j = 0; j < i; j++) {
        const cyg_config_layer *other = &q->layer_configs.items[j];
        if (l->layer_name != NULL && layer_names(other, l->layer_name))
            return l->layer_name;
        for (size_t k = 0; k < l->layer_names.count; k++)
            if (layer_names(other, l->layer_names.items[k]))
                return l->layer_names.items[k];
        if (l->op_type != NULL && layer_types(other, l->op_type))
            return l->op_type;
        for (size_t k = 0; k < l->op_types.count; k++)
            if (layer_types(other, l->op_types.items[k]))
                return l->op_types.items[k];
    }
    return NULL;
}

/* What mixed precision is searched for: one thing, and not beside 16 bits everywhere. */
static cyg_status check_target(cyg_ctx *ctx, const cyg_config_quant *q)
{
    const bool sqnr = q->target_sqnr_db > 0, agreement = q->target_agreement > 0,
               cosine = q->target_cosine > 0;
    const cyg_config_mark *at = sqnr        ? &q->target_sqnr_db_at
                                : agreement ? &q->target_agreement_at
                                            : &q->target_cosine_at;
    const char *path = sqnr        ? "quant.target_sqnr_db"
                       : agreement ? "quant.target_agreement"
                                   : "quant.target_cosine";
    if (sqnr + agreement + cosine > 1)
        return cyg_config_fail(ctx, CYG_E_CONFIG, at, path,
                               "is one of several targets: give one of target_sqnr_db, "
                               "target_agreement and target_cosine");
    if (sqnr + agreement + cosine == 1 && q->highest_mix_precision)
        return cyg_config_fail(ctx, CYG_E_CONFIG, at, path,
                               "and highest_mix_precision exclude each other: that leaves nothing "
                               "to raise");
    return CYG_OK;
}

/* Types of one entry that exclude each other. */
static cyg_status check_types(cyg_ctx *ctx, const cyg_config_layer *l, size_t i)
{
    const cyg_config_data_type data = l->data_type, weight = l->weight_data_type;
    const bool both = l->data_type_at.origin != CYG_CONFIG_DEFAULT &&
                      l->weight_data_type_at.origin != CYG_CONFIG_DEFAULT;
    const bool narrow = data == CYG_CONFIG_DTYPE_U8 || data == CYG_CONFIG_DTYPE_S8;
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "quant.layer_configs[%zu].weight_data_type", i);
    if (both && (data == CYG_CONFIG_DTYPE_FP32) != (weight == CYG_CONFIG_DTYPE_FP32))
        return cyg_config_fail(ctx, CYG_E_CONFIG, &l->weight_data_type_at, path,
                               "is %s and data_type is %s: in FP32 the whole operator is",
                               cyg_config_enum_data_type.names[weight],
                               cyg_config_enum_data_type.names[data]);
    if (both && narrow && weight == CYG_CONFIG_DTYPE_S16)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &l->weight_data_type_at, path,
                               "is S16 and data_type is %s: weights of 16 bits multiply inputs of "
                               "16 bits",
                               cyg_config_enum_data_type.names[data]);
    return CYG_OK;
}

static cyg_status check_layers(cyg_ctx *ctx, const cyg_config_quant *q)
{
    CYG_DO(check_target(ctx, q));
    for (size_t i = 0; i < q->layer_configs.count; i++) {
        CYG_DO(check_layer(ctx, &q->layer_configs.items[i], i));
        CYG_DO(check_types(ctx, &q->layer_configs.items[i], i));
        const char *twice = repeated_choice(q, i);
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "quant.layer_configs[%zu]", i);
        if (twice != NULL)
            return cyg_config_fail(ctx, CYG_E_CONFIG, &q->layer_configs.items[i].at, path,
                                   "chooses \"%.200s\", as an earlier entry of the same rank does",
                                   twice);
    }
    return CYG_OK;
}

const cyg_config_layer *cyg_config_pick_layer(const cyg_config_quant *quant, const char *layer,
                                              const char *op_type,
                                              bool (*in_range)(void *user, size_t i), void *user)
{
    const cyg_config_layer *by_type = NULL, *by_range = NULL;
    for (size_t i = 0; i < quant->layer_configs.count; i++) {
        const cyg_config_layer *l = &quant->layer_configs.items[i];
        if (layer_names(l, layer))
            return l;
        if (by_type == NULL && layer_types(l, op_type))
            by_type = l;
        if (by_range == NULL && l->start_tensor_names.count > 0 && in_range != NULL &&
            in_range(user, i))
            by_range = l;
    }
    return by_type ? by_type : by_range;
}

/* ---- compiler and chip ---- */

static cyg_status check_batches(cyg_ctx *ctx, const cyg_config_compiler *c, const char *prefix)
{
    char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%smax_dynamic_batch_size", prefix);
    if (c->static_batch_sizes.count > 0 && c->max_dynamic_batch_size > 0)
        return cyg_config_fail(ctx, CYG_E_CONFIG, &c->max_dynamic_batch_size_at, path,
                               "and static_batch_sizes exclude each other: give one of them");
    return CYG_OK;
}

/* A sub-graph is told from the rest by its tensors, and has of its own what the compiler decides
 * for it alone. */
static cyg_status check_sub(cyg_ctx *ctx, const cyg_config_compiler *c,
                            const cyg_config_compiler *sub, const char *prefix)
{
    const struct {
        const char *name;
        const cyg_config_mark *at;
    } whole[] = {
        {"static_batch_sizes", &sub->static_batch_sizes_at},
        {"max_dynamic_batch_size", &sub->max_dynamic_batch_size_at},
        {"disable_ir_fix", &sub->disable_ir_fix_at},
        {"check_mode", &sub->check_mode_at},
        {"check_rtol", &sub->check_rtol_at},
        {"check_atol", &sub->check_atol_at},
        {"check_cosine_simularity", &sub->check_cosine_simularity_at},
        {"check_tensor_black_list", &sub->check_tensor_black_list_at},
        {"input_sample_dir", &sub->input_sample_dir_at},
    };
    char path[PATH_SIZE + 64];
    for (size_t i = 0; i < CYG_COUNT(whole); i++) {
        snprintf(path, sizeof path, "%s%s", prefix, whole[i].name);
        if (whole[i].at->origin != CYG_CONFIG_DEFAULT)
            return cyg_config_fail(ctx, CYG_E_CONFIG, whole[i].at, path,
                                   "is a setting of the whole package: give it in compiler");
    }
    for (int end = 0; end < 2; end++) {
        const cyg_string_list *names = end ? &sub->end_tensor_names : &sub->start_tensor_names;
        snprintf(path, sizeof path, "%s%s_tensor_names", prefix, end ? "end" : "start");
        if (names->count == 0)
            return cyg_config_fail(ctx, CYG_E_CONFIG, &c->sub_configs_at, path,
                                   "is missing: a sub-graph is named by the tensors that it reads "
                                   "and makes");
    }
    return CYG_OK;
}

static cyg_status check_compiler(cyg_ctx *ctx, const cyg_config_compiler *c)
{
    CYG_DO(check_batches(ctx, c, "compiler."));
    if (c->start_tensor_names.count + c->end_tensor_names.count > 0)
        return cyg_config_fail(ctx, CYG_E_CONFIG,
                               c->start_tensor_names.count ? &c->start_tensor_names_at
                                                           : &c->end_tensor_names_at,
                               c->start_tensor_names.count ? "compiler.start_tensor_names"
                                                           : "compiler.end_tensor_names",
                               "is legal inside compiler.sub_configs only");
    for (size_t i = 0; i < c->sub_configs.count; i++) {
        const cyg_config_compiler *sub = &c->sub_configs.items[i];
        char prefix[PATH_SIZE];
        snprintf(prefix, sizeof prefix, "compiler.sub_configs[%zu].", i);
        CYG_DO(check_batches(ctx, sub, prefix));
        if (sub->sub_configs.count > 0)
            return cyg_config_fail(ctx, CYG_E_CONFIG, &sub->sub_configs_at, "compiler.sub_configs",
                                   "may not contain sub_configs");
        CYG_DO(check_sub(ctx, c, sub, prefix));
    }
    return CYG_OK;
}

static cyg_status check_npu_mode(cyg_ctx *ctx, const cyg_config_build *c)
{
    static const struct {
        cyg_config_hardware hardware;
        const char *modes;
    } chips[] = {
#define CYG_CHIP(hardware, modes) {CYG_CONFIG_HARDWARE_##hardware, modes},
#include "config/chips.def"
#undef CYG_CHIP
    };
    const cyg_value_type type = {.kind = CYG_VALUE_ENUM, .of = &cyg_config_enum_npu_mode};
    const bool own = c->machine != NULL && c->machine[0] != '\0'; /* it says itself what it has */
    for (size_t i = 0; !own && i < CYG_COUNT(chips); i++) {
        if (chips[i].hardware == c->target_hardware &&
            !cyg_value_allows(type, chips[i].modes, &c->npu_mode))
            return cyg_config_fail(ctx, CYG_E_CONFIG, &c->npu_mode_at, "npu_mode",
                                   "%s does not exist on %s, which has %s",
                                   cyg_config_enum_npu_mode.names[c->npu_mode],
                                   cyg_config_enum_hardware.names[c->target_hardware],
                                   chips[i].modes);
    }
    return CYG_OK;
}

static cyg_status check_consts(cyg_ctx *ctx, const cyg_config_build *c)
{
    for (size_t i = 0; i < c->const_processors.count; i++) {
        const cyg_config_const_processor *p = &c->const_processors.items[i];
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "const_processors[%zu]", i);
        const bool data = p->data_at.origin != CYG_CONFIG_DEFAULT, file = p->data_path != NULL;
        if (data == file)
            return cyg_config_fail(ctx, CYG_E_CONFIG, &p->at, path,
                                   "must have exactly one of data and data_path, has %s",
                                   data ? "both" : "none");
    }
    return CYG_OK;
}

cyg_status cyg_config_validate(cyg_ctx *ctx, const cyg_config_build *config)
{
    cyg_arena arena;
    cyg_config_shape_list shapes;
    CYG_DO(check_entries(ctx, config));
    for (size_t i = 0; i < config->quant.input_configs.count; i++)
        CYG_DO(check_input_quant(ctx, &config->quant.input_configs.items[i], i));
    for (size_t i = 0; i < config->input_processors.count; i++) {
        CYG_DO(check_input_processor(ctx, &config->input_processors.items[i], i));
        CYG_DO(check_fit(ctx, config, i));
    }
    CYG_DO(cyg_config_check_pairs(ctx, config));
    CYG_DO(check_layers(ctx, &config->quant));
    CYG_DO(check_compiler(ctx, &config->compiler));
    CYG_DO(check_consts(ctx, config));
    CYG_DO(check_npu_mode(ctx, config));
    cyg_arena_init(&arena);
    const cyg_status st = cyg_config_parse_shapes(ctx, &arena, config->input_shapes, &shapes);
    cyg_arena_deinit(&arena);
    return st;
}

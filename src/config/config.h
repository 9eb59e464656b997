/* The configuration of `cygnet build` and `cygnet run`: file, flags, checks, and what they mean for
 * one tensor.
 *
 * A command reads its configuration in these steps:
 *
 *     const cyg_config_message *m = &cyg_config_message_build;
 *     cyg_config_build cfg;
 *     CYG_DO(cyg_config_load(ctx, arena, m, argc, argv, extra, extra_count, &cfg, &file));
 *     ... --help is looked at here ...
 *     CYG_DO(cyg_config_require(ctx, m, &cfg));
 *     CYG_DO(cyg_config_validate(ctx, &cfg)); (build only)
 *     CYG_DO(cyg_config_check_supported(ctx, m, &cfg));
 *
 * and asks cyg_config_resolve_input/_output once per tensor of the model. Everything read lives in
 * the arena. Nothing here opens a dataset or a model. Errors of files and values are CYG_E_CONFIG,
 * of flags CYG_E_USAGE, of things for a later release CYG_E_UNSUPPORTED. */
#ifndef CYG_CONFIG_CONFIG_H
#define CYG_CONFIG_CONFIG_H

#include "config/flags.h"
#include "config/schema.h"
#include "io/json_write.h"

/* ---- reading ---- */

/* Defaults, then the command line, then the file that --config names for all that the command line
 * left open. `extra` are the command's own flags (--json, --help), parsed along; the flag --config
 * itself is added here. out_file is the config file's path or NULL. */
cyg_status cyg_config_load(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_message *message,
                           int argc, const char *const *argv, const cyg_flag *extra,
                           size_t extra_count, void *config, const char **out_file) CYG_MUST_USE;
/* The flags that reach into *config, --config first (its destination is file_dest), for parsing or
 * for help. */
cyg_status cyg_config_flags(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_message *message,
                            void *config, const char **file_dest, const cyg_flag **out_flags,
                            size_t *out_count) CYG_MUST_USE;
/* What --help prints for the message's flags, without the command's own. */
cyg_status cyg_config_help(cyg_ctx *ctx, const cyg_config_message *message,
                           cyg_strbuf *out) CYG_MUST_USE;

/* Reads a .json, .yaml or .yml file over *config, which was initialised; fields that the command
 * line set stay. */
cyg_status cyg_config_read_file(cyg_ctx *ctx, cyg_arena *arena, const char *path,
                                const cyg_config_message *message, void *config) CYG_MUST_USE;
/* The same from memory; `name` (with its suffix) chooses the syntax and stands in messages. */
cyg_status cyg_config_read_text(cyg_ctx *ctx, cyg_arena *arena, const char *name, const void *data,
                                size_t size, const cyg_config_message *message,
                                void *config) CYG_MUST_USE;

/* ---- checks ---- */

/* Fields that must be given are. */
cyg_status cyg_config_require(cyg_ctx *ctx, const cyg_config_message *message,
                              const void *config) CYG_MUST_USE;
/* What one field alone cannot show: entries of equal rank, lengths, contradictions, npu_mode
 * against the chip. */
cyg_status cyg_config_validate(cyg_ctx *ctx, const cyg_config_build *config) CYG_MUST_USE;
/* Of validate: settings that cannot both act, both given (pairs.c). */
cyg_status cyg_config_check_pairs(cyg_ctx *ctx, const cyg_config_build *config) CYG_MUST_USE;
/* After validation: what one setting turns off in another that was left open is off in the values
 * too, so that the merged configuration reads back as itself. */
void cyg_config_settle(cyg_config_build *config);
/* Warns of settings that are given and that nothing reads, since another one stands elsewhere. */
void cyg_config_warn_of_idle(cyg_ctx *ctx, const cyg_config_build *config);
/* Refuses all that config.def marks as not built yet, in one error that lists it; warns of what has
 * no effect. */
cyg_status cyg_config_check_supported(cyg_ctx *ctx, const cyg_config_message *message,
                                      const void *config) CYG_MUST_USE;

/* ---- what it means for one tensor ---- */

/* The settings of one model input: the entry that names it, else DEFAULT, else defaults, with all
 * inheritance done: quant.calibration_resize and _filter into the quant entry where unset there,
 * calibration_mean and _std into the processor where unset there. */
typedef struct cyg_config_input {
    bool has_quant, has_processor; /* an entry was written */
    cyg_config_input_quant quant;
    cyg_config_input_processor processor; /* mean and std empty = no normalisation */
} cyg_config_input;

/* The entry of input_processors for this input as it was given, or DEFAULT's; NULL = none. */
const cyg_config_input_processor *cyg_config_find_processor(const cyg_config_build *config,
                                                            const char *tensor);
/* channels is C of the model's input, 0 = unknown or no image: lengths of mean and std are checked
 * against it. Fails when no entry of quant.input_configs covers the input of a float model. */
cyg_status cyg_config_resolve_input(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_build *config,
                                    const char *tensor, int64_t channels,
                                    cyg_config_input *out_input) CYG_MUST_USE;
cyg_status cyg_config_resolve_output(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_build *config,
                                     const char *tensor,
                                     cyg_config_output_processor *out_output) CYG_MUST_USE;
/* Fails, naming the nearest, unless every tensor_name of the configuration, and each of
 * input_shapes, is among the model's (or DEFAULT). */
cyg_status cyg_config_check_names(cyg_ctx *ctx, const cyg_config_build *config,
                                  const char *const *inputs, size_t input_count,
                                  const char *const *outputs, size_t output_count) CYG_MUST_USE;

/* input_shapes: "name:1x3x224x224;other:1x8", each item split at its last colon. */
typedef struct cyg_config_shape {
    const char *name;
    cyg_int_list dims;
} cyg_config_shape;
typedef struct cyg_config_shape_list {
    cyg_config_shape *items;
    size_t count;
} cyg_config_shape_list;
cyg_status cyg_config_parse_shapes(cyg_ctx *ctx, cyg_arena *arena, const char *text,
                                   cyg_config_shape_list *out_shapes) CYG_MUST_USE;

/* The layer_configs entry for an operator, by rank name > type > range, or NULL. in_range tells
 * whether entry i (a start and end pair) holds the operator; NULL = none does. */
const cyg_config_layer *cyg_config_pick_layer(const cyg_config_quant *quant, const char *layer,
                                              const char *op_type,
                                              bool (*in_range)(void *user, size_t i), void *user);

/* ---- writing ---- */

/* The effective configuration as one JSON object that may itself serve as a config file (what is
 * unset and has no default is left out), and a flat object "quant.check": "default" | "file" |
 * "command line" that tells where each value came from. */
void cyg_config_write(cyg_json *json, const cyg_config_message *message, const void *config);
void cyg_config_write_origins(cyg_json *json, const cyg_config_message *message,
                              const void *config);
/* docs/config.md. */
void cyg_config_docs(cyg_strbuf *out);

#endif

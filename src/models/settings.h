/* What a model is told beside its tensors, by precedence: --set, --model_config, the config.json
 * beside the checkpoint. Private to models. */
#ifndef CYG_MODELS_SETTINGS_H
#define CYG_MODELS_SETTINGS_H

#include "base/arena.h"
#include "io/doc.h"

typedef enum cyg_setting {
#define CYG_SETTING(id, names) CYG_SETTING_##id,
#define CYG_SETTING_UNUSED(names)
#include "models/settings.def"
#undef CYG_SETTING
#undef CYG_SETTING_UNUSED
    CYG_SETTING_COUNT
} cyg_setting;

enum { CYG_SETTINGS_SOURCES = 3 };

typedef struct cyg_settings {
    cyg_doc *docs[CYG_SETTINGS_SOURCES];
    const cyg_doc_node *roots[CYG_SETTINGS_SOURCES]; /* maps; NULL = not given */
    const char *config_path;                         /* of the config.json beside; NULL = none */
} cyg_settings;

/* path: the checkpoint; config_file may be NULL; sets: "key=value". Call _close in any case. */
cyg_status cyg_settings_open(cyg_ctx *ctx, cyg_arena *arena, const char *path,
                             const char *config_file, const char *const *sets, size_t set_count,
                             cyg_settings *out_settings) CYG_MUST_USE;
void cyg_settings_close(cyg_settings *s);
/* The first source that has it; null counts as absent. NULL when none. */
const cyg_doc_node *cyg_settings_find(const cyg_settings *s, cyg_setting setting);
/* Typed reads: *out_value stays when absent, *out_given (may be NULL) says whether it was there.
 * Numbers are checked to lie in low .. high. */
cyg_status cyg_settings_int(cyg_ctx *ctx, const cyg_settings *s, cyg_setting setting, int64_t low,
                            int64_t high, int64_t *out_value, bool *out_given) CYG_MUST_USE;
cyg_status cyg_settings_bool(cyg_ctx *ctx, const cyg_settings *s, cyg_setting setting,
                             bool *out_value, bool *out_given) CYG_MUST_USE;
cyg_status cyg_settings_float(cyg_ctx *ctx, const cyg_settings *s, cyg_setting setting,
                              double *out_value, bool *out_given) CYG_MUST_USE;
const char *cyg_settings_text(const cyg_settings *s, cyg_setting setting); /* NULL = no string */
/* A list, or one number for all: fills up to `most`; *out_count = 0 when absent, 1 for a number. */
cyg_status cyg_settings_ints(cyg_ctx *ctx, const cyg_settings *s, cyg_setting setting, int64_t low,
                             int64_t high, size_t most, int64_t *out_values,
                             size_t *out_count) CYG_MUST_USE;
/* The number behind `word` in timm's architecture name ("swin_tiny_patch4_window7_224": 7 for
 * "window", 224 for "", the end); 0 = none. Where the name says that the model was trained at one
 * and made for another ("window12to24_192to384"), *out_first is the former; else they are equal. */
void cyg_settings_arch_number(const cyg_settings *s, const char *word, int64_t *out_first,
                              int64_t *out_number);

#endif

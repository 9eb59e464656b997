/* What a command may be given as a model: an ONNX file, a checkpoint (file or folder), or the name
 * of one on the hub. Every command that takes a float model opens it here. */
#ifndef CYG_APP_MODEL_SOURCE_H
#define CYG_APP_MODEL_SOURCE_H

#include "app/app.h"
#include "data/preprocess.h"
#include "models/models.h"
#include "onnx/onnx.h"

/* name as a path: itself, or the folder that the hub's copy is in (fetched when it is not there).
 * In app->arena. */
cyg_status cyg_source_locate(cyg_app *app, const char *name, const char **out_path) CYG_MUST_USE;
/* A checkpoint, by its content; all else is taken for ONNX. */
bool cyg_source_is_checkpoint(const char *path);

/* --model_config and --set: what a checkpoint is told beside its tensors. Strings are lent. */
typedef struct cyg_source_settings {
    const char *config_file; /* NULL = none */
    cyg_string_list sets;    /* "key=value" */
    /* Changes constants of what is opened, before shapes are inferred; NULL = nobody does. */
    cyg_status (*edit)(cyg_ctx *ctx, void *user, cyg_graph *g);
    void *user;
} cyg_source_settings;
/* Their rows in a command's table of flags; s points to the settings. */
#define CYG_FLAG_MODEL_CONFIG(s)                                                                   \
    {                                                                                              \
        .name = "model_config", .type = {.kind = CYG_VALUE_IN_PATH}, .dest = &(s)->config_file,    \
        .text = "checkpoints: JSON of the library's own arguments"                                 \
    }
#define CYG_FLAG_SET(s)                                                                            \
    {                                                                                              \
        .name = "set", .type = {.kind = CYG_VALUE_STRINGS}, .dest = &(s)->sets,                    \
        .text = "checkpoints: key=value, one of them; repeatable"                                  \
    }
/* --set may come several times and takes one word each: takes them out of the words, before the
 * rest is parsed. */
cyg_status cyg_source_take_sets(cyg_app *app, cyg_source_settings *s, int *argc,
                                const char *const **argv) CYG_MUST_USE;
/* Fails when something is set: path is a `kind` ("a package"), where it would have no effect.
 * s may be NULL. */
cyg_status cyg_source_refuse_settings(cyg_app *app, const cyg_source_settings *s, const char *path,
                                      const char *kind) CYG_MUST_USE;

/* An opened model. Zeros = none. Confined. */
typedef struct cyg_float_model {
    const char *path;         /* where it lies; in app->arena */
    cyg_graph *graph;         /* verified, shapes inferred */
    cyg_converted *converted; /* owns graph and says more, when it is a checkpoint; else NULL */
    cyg_onnx_info info;       /* of a checkpoint: the graph's own numbers */
} cyg_float_model;
/* Opens name at batch 1. settings may be NULL; input_shapes is import's and may be NULL or "".
 * Settings for an ONNX file and input_shapes for a checkpoint are errors. _close in any case. */
cyg_status cyg_float_model_open(cyg_app *app, const char *name, const cyg_source_settings *settings,
                                const char *input_shapes, cyg_float_model *out_source) CYG_MUST_USE;
/* The same, fused by the optimiser: the float reference that eval and bench run. */
cyg_status cyg_float_model_open_fused(cyg_app *app, const char *name,
                                      const cyg_source_settings *settings,
                                      cyg_float_model *out_source) CYG_MUST_USE;
void cyg_float_model_close(cyg_float_model *source);

/* How pictures are prepared for the model: from the file beside it, else ImageNet's usual numbers
 * (*out_assumed). */
cyg_status cyg_source_preprocess(cyg_app *app, const cyg_converted *model, cyg_preprocess *out_p,
                                 bool *out_assumed) CYG_MUST_USE;
/* Labels, preprocessing and the hash of the source as metadata of the graph. */
cyg_status cyg_source_describe(cyg_app *app, cyg_converted *model) CYG_MUST_USE;

#endif

/* models: from a checkpoint straight to a graph of fused operators, no ONNX in between.
 *
 * The checkpoint's library and architecture are recognised by its names and shapes; what these do
 * not tell comes from settings, or is assumed and said in a note. */
#ifndef CYG_MODELS_MODELS_H
#define CYG_MODELS_MODELS_H

#include "base/arena.h"
#include "io/checkpoint.h"
#include "ir/graph.h"

typedef struct cyg_convert_options {
    const char *path;        /* of the checkpoint: a file or a folder */
    const char *config_file; /* --model_config; NULL = none */
    const char *const *sets; /* --set: "key=value" */
    size_t set_count;
    int64_t batch; /* 0 = the symbol "batch" */
} cyg_convert_options;

/* Confined. The graph's constants may point into the checkpoint: they live and die together. */
typedef struct cyg_converted {
    cyg_graph *graph; /* verified, shapes inferred; input "pixel_values" [batch, channels, h, w] */
    cyg_checkpoint *checkpoint;
    cyg_arena arena;                  /* of the strings here */
    const char *architecture, *title; /* "swinv2", "SwinV2" */
    const char *library;              /* whose names the checkpoint has */
    const char *const *labels;        /* id2label; NULL = none */
    size_t label_count;
    const char *preprocessor; /* preprocessor_config.json, or timm's config.json; NULL = none */
    int64_t channels, height, width;
    int64_t parameters; /* elements of the tensors that the graph uses */
} cyg_converted;

cyg_status cyg_convert_open(cyg_ctx *ctx, const cyg_convert_options *options,
                            cyg_converted **out_model) CYG_MUST_USE;
void cyg_convert_close(cyg_converted *model); /* NULL is fine */

/* The table of architectures, for people. */
typedef struct cyg_arch_info {
    const char *id, *title, *summary;
} cyg_arch_info;
size_t cyg_arch_count(void);
const cyg_arch_info *cyg_arch_at(size_t i);

#endif

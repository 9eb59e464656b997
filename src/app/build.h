/* Private to `cygnet build`: the state of one build, handed from stage to stage. Stages are in
 * build_*.c, the order of them in cmd_build.c. */
#ifndef CYG_APP_BUILD_H
#define CYG_APP_BUILD_H

#include "app/meta.h"
#include "app/model_source.h"
#include "app/similarity.h"
#include "base/aside.h"
#include "base/samples.h"
#include "config/config.h"
#include "format/package.h"
#include "cygnet/runtime.h"
#include "pass/pass.h"
#include "precision/precision.h"
#include "quant/qdq.h"
#include "quant/quant.h"
#include "quant/source.h"
#include "report/picture.h"
#include "target/cpu/cpu.h"

enum {
    CYG_BUILD_STAGES = 12,
    CYG_BUILD_ENDS = 64, /* inputs, or outputs, of a model with several batch sizes */
};

typedef struct cyg_build_stage {
    const char *name;
    double seconds, cpu_seconds;
    uint64_t peak_rss_bytes;
} cyg_build_stage;

/* A file that the build read, by name and hash: what makes a build reproducible. */
typedef struct cyg_build_file {
    const char *role, *name, *path; /* name without its folder */
    char sha256[65];
    uint64_t bytes;
} cyg_build_file;

/* Calibration of one model input. */
typedef struct cyg_build_input {
    const char *name;
    cyg_config_input config;
    bool is_image;    /* its samples are pictures, or arrays of normalised pixels: */
    bool from_arrays; /* the package gets pixels and normalises them */
    cyg_preprocess preprocess;
    const char *const *labels; /* from the preprocessor file; NULL = none */
    size_t label_count;
} cyg_build_input;

/* One step that an entry of layer_configs applies to. */
typedef struct cyg_build_match {
    size_t entry;
    cyg_node_id node; /* of the optimised graph */
    unsigned parts;   /* what it sets: CYG_PART bits, or CYG_FLOAT_AS_ASKED for the whole step */
    unsigned lost;    /* those that another entry then set otherwise */
} cyg_build_match;

/* Float results of the calibration runs, kept for the golden check. */
typedef struct cyg_golden {
    float *data; /* [samples, count]: output 0 */
    size_t samples, count, room;
} cyg_golden;

/* What the package took and gave on a sample, one buffer an input and an output; NULL = not run. */
typedef struct cyg_build_run {
    void **inputs, **outputs;
} cyg_build_run;

typedef struct cyg_golden_result {
    bool done;
    size_t samples;
    double sqnr_db, cosine,
        agreement; /* agreement: share of samples with the same largest output, 0..1 */
} cyg_golden_result;

/* A further input size. */
typedef struct cyg_build_group {
    cyg_float_model source; /* optimised at this size */
    cyg_graph *graph;       /* quantised, bound */
} cyg_build_group;

typedef struct cyg_build_mixed cyg_build_mixed;

typedef struct cyg_build_npu cyg_build_npu; /* build_npu.h */

typedef struct cyg_build {
    cyg_app *app;
    cyg_config_build config;
    const char *config_file; /* NULL = none */
    const char *command_line;
    cyg_staging staging;
    cyg_staging work;         /* of work_dir; zeros = everything goes to output_dir */
    const char *package_name; /* in the output folder */

    cyg_source_settings settings; /* of a checkpoint */
    cyg_float_model source;
    cyg_graph *graph; /* of source */
    int64_t parameters;
    cyg_optimise_report optimised;
    const char *stored_meta;  /* META as an earlier build left it in the quantised file, or NULL */
    cyg_qdq_report given;     /* of a model that brings its scales */
    const cyg_asked *asked;   /* by node of graph, from layer_configs; NULL = none */
    cyg_build_match *matches; /* [match_count], in order of execution */
    size_t match_count;
    cyg_quant_report quantised;
    size_t given_layers;    /* entries of layer_configs that the configuration gave */
    cyg_build_mixed *mixed; /* NULL = no target was given (build_mixed.h) */
    cyg_cpu_report compiled;
    cyg_program program; /* at batch 1 */
    cyg_build_npu *npu;  /* NULL = a build for the CPU */

    bool has_batches;        /* several were asked for, or one other than 1 */
    const uint32_t *batches; /* [batch_count], falling */
    size_t batch_count;
    cyg_graph *first_size;   /* the float graph as optimised; NULL without groups */
    cyg_build_group *groups; /* [group_count]: groups 1 and up of the package */
    size_t group_count;
    cyg_program *programs; /* [program_count]: what the package holds */
    uint32_t program_count;
    cyg_graph **variants; /* [variant_count]: that they lend from */
    size_t variant_count;

    cyg_build_input *inputs;     /* one a model input */
    const cyg_type *input_types; /* [input_count] as the file has them; NULL = as the graph's */
    uint32_t input_count;
    cyg_config_output_processor *outputs; /* one a model output */
    cyg_sample_source samples;
    void *sample_set;              /* what samples.self is; build_data.c's business */
    cyg_normalize quant_normalize; /* of the image input, as folded */
    cyg_graph *before;             /* the graph as read, for the picture; NULL = a checkpoint */
    cyg_picture picture;           /* of one block before and after; no boxes = there is none */
    cyg_golden golden;
    cyg_golden_result check;
    cyg_build_run first_run; /* of the golden check, on sample 0 */
    cyg_precision precision; /* no rows = not analysed */

    cyg_build_stage stages[CYG_BUILD_STAGES];
    size_t stage_count;
    double stage_start, stage_cpu_start, start;
    cyg_build_file files[8];
    size_t file_count;
    /* Beside the stages, each joined where its results are wanted. */
    cyg_aside hashing;          /* the model's files, beside the optimiser */
    cyg_aside writing;          /* frontend/optimized.onnx, while the calibration data is read */
    const char *optimised_path; /* of that */
    const char *warnings[64];   /* as printed, for the report */
    size_t warning_count;
} cyg_build;

/* build_stage.c */
void cyg_build_begin(cyg_build *b);
/* Ends a stage: records it and prints its line ("  read   text ... 0.05 s"). */
void cyg_build_end(cyg_build *b, const char *name, const char *fmt, ...) CYG_PRINTF(3, 4);
cyg_status cyg_build_hash_file(cyg_build *b, const char *role, const char *path) CYG_MUST_USE;
/* Its entry alone, NULL where none is kept: for someone else to hash. */
cyg_status cyg_build_add_file(cyg_build *b, const char *role, const char *path,
                              cyg_build_file **out_file) CYG_MUST_USE;
/* "<staging>/<relative>", in the app's arena; folders are made. What frontend, quant and compiler
 * leave goes to work_dir where that is set. */
cyg_status cyg_build_path(cyg_build *b, const char *relative, const char **out_path) CYG_MUST_USE;

/* build_data.c: resolves the configuration of every input and opens the calibration data. */
cyg_status cyg_build_open_data(cyg_build *b) CYG_MUST_USE;
/* The pixels of calibration sample i of the image input, [height, width, channels], preprocessed.
 */
cyg_status cyg_build_pixels(cyg_build *b, size_t sample, uint8_t *out_pixels) CYG_MUST_USE;
void cyg_build_close_data(cyg_build *b);

/* build_table.c: the Quant Config Table, once the data is open. */
void cyg_build_print_table(cyg_build *b);

/* build_picture.c: what the report shows of the optimiser. Before: keeps a copy of the graph;
 * after: makes the picture and drops the copy. */
cyg_status cyg_build_keep_before(cyg_build *b) CYG_MUST_USE;
cyg_status cyg_build_draw(cyg_build *b) CYG_MUST_USE;

/* build_split.c: fused attention that the configuration wants apart. */
cyg_status cyg_build_split(cyg_build *b) CYG_MUST_USE;

/* build_layers.c: layer_configs and transformer_opt_level to a precision for each node. */
cyg_status cyg_build_layers(cyg_build *b) CYG_MUST_USE;

/* build_matches.c: says what the entries set, and after quantisation what they could not; the array
 * of build_context.json. */
void cyg_build_tell_matches(cyg_build *b);
void cyg_build_tell_unmet(cyg_build *b);
void cyg_build_write_matches(const cyg_build *b, cyg_json *j);

/* build_quant.c: calibrates and quantises. */
cyg_status cyg_build_quantise(cyg_build *b) CYG_MUST_USE;

/* build_bind.c. _check_sources: what the runtime is to feed, against what there is, and what the
 * package does to pixels (b->quant_normalize); _tell_sources: what that means for the caller;
 * _bind_inputs: nodes in front of a quantised graph for it; _bind_ends: those behind it too. */
cyg_status cyg_build_check_sources(cyg_build *b) CYG_MUST_USE;
/* What the configuration says that the runtime feeds to an input. */
void cyg_build_source_of(const cyg_build_input *in, cyg_quant_source *out);
void cyg_build_tell_sources(cyg_build *b);
cyg_status cyg_build_bind_inputs(cyg_build *b, cyg_graph *g) CYG_MUST_USE;
cyg_status cyg_build_bind_ends(cyg_build *b, cyg_graph *g) CYG_MUST_USE;
/* Values of output 0 of a run as the float model has them: dequantised, in the model's order. */
void cyg_build_take_output(const cyg_build *b, const cyg_tensor_info *info, const void *data,
                           float *out);

/* build_fit.c: padding and slicing of input_processors become nodes behind the source's inputs. */
cyg_status cyg_build_fit_inputs(cyg_build *b, cyg_graph *g) CYG_MUST_USE;

/* build_edit.c: const_processors, op_processors, then the above; user is the build. */
cyg_status cyg_build_edit_source(cyg_ctx *ctx, void *user, cyg_graph *g) CYG_MUST_USE;
/* quant_op_processors, on the quantised graph. */
cyg_status cyg_build_edit_quantised(cyg_build *b) CYG_MUST_USE;
/* build_given.c: models that were quantised elsewhere. Reads their scales before the optimiser
 * runs; the other quantises with them. */
cyg_status cyg_build_read_given(cyg_build *b) CYG_MUST_USE;
cyg_status cyg_build_quantise_given(cyg_build *b, const cyg_quant_options *options) CYG_MUST_USE;

/* build_dump.c: tensors of the first sample, for other tools (quant/debug), once the golden check
 * has run it. */
cyg_status cyg_build_dump(cyg_build *b) CYG_MUST_USE;

/* build_back.c: quant_axmodel.onnx of an earlier build as the model, so that only the back end
 * runs. Writing takes the graph as it will be compiled. */
cyg_status cyg_build_write_back(cyg_build *b, const char *path,
                                const cyg_onnx_export_options *options) CYG_MUST_USE;
cyg_status cyg_build_read_back(cyg_build *b) CYG_MUST_USE;

/* build_feed.c: calibration samples as the package takes them. */
typedef struct cyg_build_feed {
    cyg_build *build;
    cyg_package_meta meta;
    cyg_sample_tensor *tensors; /* of the last sample, where there are no pixels */
    uint8_t *pixels;            /* NULL = the inputs are arrays */
} cyg_build_feed;
cyg_status cyg_build_feed_open(cyg_build *b, const cyg_model *model,
                               cyg_build_feed *out_feed) CYG_MUST_USE;
/* What the float model takes, one array an input, as the package takes it. */
cyg_status cyg_build_feed_values(cyg_build_feed *f, const cyg_sample_tensor *values,
                                 void *const *inputs) CYG_MUST_USE;
/* inputs: one buffer an input of the package. */
cyg_status cyg_build_feed_sample(cyg_build_feed *f, size_t sample,
                                 void *const *inputs) CYG_MUST_USE;

/* build_trial.c: a quantised graph as a package, on calibration samples, against floats. */
typedef struct cyg_build_trial {
    cyg_build *build;
    const char *path; /* of the package, removed at close */
    cyg_build_feed feed;
    void **inputs; /* NULL = nothing was fed yet */
} cyg_build_trial;
cyg_status cyg_build_trial_open(cyg_build *b, cyg_build_trial *out_trial) CYG_MUST_USE;
void cyg_build_trial_close(cyg_build_trial *t);
/* On `most` of the samples (0 = all), spread evenly. g gets nodes in front of its inputs. */
cyg_status cyg_build_trial_measure(cyg_build_trial *t, cyg_graph *g, size_t most,
                                   cyg_similarity *out) CYG_MUST_USE;

/* build_mixed.c: with a target in the configuration, finds the steps to raise to 16 bits, adds them
 * to layer_configs and leaves the graph quantised; false: there is no target. */
cyg_status cyg_build_mix(cyg_build *b, const cyg_quant_options *options,
                         bool *out_done) CYG_MUST_USE;

/* build_precision.c: compares every tensor of the program with its float value, prints the worst
 * layers and writes quant/debug/precision_analysis_table.txt. */
cyg_status cyg_build_analyse(cyg_build *b, const cyg_model *model) CYG_MUST_USE;
/* The object of report.json; and the layer to look at first with what to try, for messages. */
cyg_status cyg_build_write_precision(const cyg_build *b, cyg_json *j) CYG_MUST_USE;
void cyg_build_advise(const cyg_build *b, cyg_strbuf *out);
/* precision_table.c: the long table. */
cyg_status cyg_build_precision_table(cyg_build *b, cyg_strbuf *out) CYG_MUST_USE;
/* precision_mmd.c: the same as a flowchart. */
cyg_status cyg_build_precision_chart(const cyg_build *b, cyg_strbuf *out) CYG_MUST_USE;
/* Prints, kind by kind, how many corrections were kept and what they gained on their layers. */
void cyg_build_tell_corrections(const cyg_build *b);
/* "equalise +3.2 dB, bias +0.4 dB": the corrections that were kept on a layer; "" = none. */
void cyg_build_corrections(const cyg_build *b, const char *layer, char *out, size_t size);

/* build_variants.c: batch sizes from the configuration; the package's programs; the proof that a
 * batch gives what its samples give alone (model: of the finished package; alone: a session of
 * batch 1). */
cyg_status cyg_build_choose_batches(cyg_build *b) CYG_MUST_USE;
cyg_status cyg_build_compile_variants(cyg_build *b) CYG_MUST_USE;
cyg_status cyg_build_check_variants(cyg_build *b, const cyg_model *model,
                                    cyg_session *alone) CYG_MUST_USE;
/* graph [main] batchs [1, 2] */
void cyg_build_tell_batches(cyg_build *b);
void cyg_build_drop_variants(cyg_build *b);

/* build_groups.c: opens the model at further input sizes, once the data is open; makes the
 * quantised graph for each; checks each against float. */
cyg_status cyg_build_open_groups(cyg_build *b) CYG_MUST_USE;
cyg_status cyg_build_size_groups(cyg_build *b) CYG_MUST_USE;
cyg_status cyg_build_check_groups(cyg_build *b, const cyg_model *model) CYG_MUST_USE;
void cyg_build_drop_groups(cyg_build *b);
/* cmd_build.c: the model at these shapes (NULL = as it is), with what the configuration changes in
 * it. */
cyg_status cyg_build_open_source(cyg_build *b, const char *input_shapes,
                                 cyg_float_model *out_source) CYG_MUST_USE;

/* build_compare.c: compiler.check, the package against the quantised model. */
cyg_status cyg_build_compare(cyg_build *b, const cyg_model *model) CYG_MUST_USE;

/* build_check.c: the golden check, on the finished package; fills first_run. */
cyg_status cyg_build_golden_check(cyg_build *b, const cyg_model *model) CYG_MUST_USE;

/* build_record.c */
void cyg_build_write_meta(cyg_build *b, cyg_strbuf *out); /* META of the package */
cyg_status cyg_build_write_package(cyg_build *b, const char *path) CYG_MUST_USE;
/* "CPU", or chip and mode. */
const char *cyg_build_target(const cyg_build *b);
cyg_status cyg_build_write_records(cyg_build *b)
    CYG_MUST_USE; /* build_context.json, quant_axmodel.json, report.json, report.html */
/* build_tensors.c: the object of quant_axmodel.json. */
void cyg_build_write_tensors(cyg_build *b, cyg_strbuf *out);
void cyg_build_write_context(cyg_build *b, cyg_strbuf *out); /* the object of build_context.json */

#endif

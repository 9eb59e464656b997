/* Private to quant/: what its stages hand each other. */
#ifndef CYG_QUANT_INTERNAL_H
#define CYG_QUANT_INTERNAL_H

#include <string.h>

#include "quant/quant.h"

/* Longest row of attention whose unnormalised probabilities stay in 8 bits. Longer rows lose more
 * than 1 % of their mass in the tail; on DeiT-T (197 tokens) 16 bits raise agreement with float
 * from 97.7 to 98.9 % on 1,000 photographs and cost 12 % of
 * the time (one thread, 7.7 to 8.7 ms). */
enum { CYG_QUANT_NARROW_ROW = 64 };

/* Smallest and largest value seen; per channel of the last axis where `channels` > 0. */
typedef struct cyg_observed {
    float lo, hi;      /* the range to store; before methods.c the extremes */
    float least, most; /* the extremes, from methods.c on */
    bool seen;
    int64_t channels;
    float *channel_lo, *channel_hi;
    struct cyg_histogram *histograms; /* one, or one a head; NULL = the method needs none */
    int64_t head_width;               /* channels a histogram; 0 = one histogram for all */
    float *head_reach;                /* by head: the range -reach..reach to store */
} cyg_observed;

/* How values are stored. A class is a set of values that movement operators connect: they share one
 * quantisation. */
typedef enum cyg_store {
    CYG_STORE_FLOAT,
    CYG_STORE_U8,
    CYG_STORE_S8,       /* z = 0, one scale; only where it is asked for */
    CYG_STORE_S8_HEADS, /* S8, one scale a head (or one for the tensor when heads are not known) */
    CYG_STORE_S16,
    CYG_STORES
} cyg_store;

typedef struct cyg_scheme {
    cyg_ctx *ctx;
    cyg_graph *g;
    cyg_arena *arena;
    const cyg_quant_options *options;
    const struct cyg_kernels *isa; /* of this machine, from calibration on */
    cyg_observed *observed;        /* by value */
    uint32_t value_count;          /* of the graph before quantisation added any */
    uint32_t node_count;           /* likewise */
    uint32_t *class_of;            /* by value: representative value id */
    cyg_store *store;              /* by class */
    bool *integer;                 /* by node */
    bool *shared;                  /* by class: more than one operand of an integer node reads it */
    int64_t *head_dim; /* by class: channels that share a scale, for S8_HEADS; 0 = one scale */
    bool *s4;          /* by node: weights of 4 bits */
    int64_t total_macs;
    struct cyg_rows *rows;        /* by node: what it reads, sampled (rows.h) */
    cyg_node_id *row_reader;      /* by value: the first node whose rows it gives */
    size_t sample;                /* being calibrated with */
    struct cyg_weight_memo *memo; /* of a study (study.h), or NULL */
    uint8_t *outcomes;            /* by node: report.outcomes, to be added to; NULL = nobody asks */
    cyg_quant_gain *gains;        /* room for all that can be kept */
    size_t gain_count;
} cyg_scheme;

/* quantise.c: all that comes from samples: observed, equalised, ranges searched. */
cyg_status cyg_quant_learn(cyg_scheme *s, const cyg_sample_source *samples,
                           cyg_quant_report *report) CYG_MUST_USE;
/* calibrate.c: fills observed over the samples. */
cyg_status cyg_quant_calibrate(cyg_scheme *s, const cyg_sample_source *samples,
                               size_t *out_samples) CYG_MUST_USE;
/* scheme.c: decides class_of, integer, store. */
cyg_status cyg_quant_choose(cyg_scheme *s) CYG_MUST_USE;
/* outcome.c: what of the wishes came true. */
cyg_status cyg_quant_outcomes(cyg_scheme *s, cyg_quant_report *report) CYG_MUST_USE;
/* assign.c: writes parameters into the graph, quantises weights, inserts requant nodes. */
cyg_status cyg_quant_assign(cyg_scheme *s, cyg_quant_report *report) CYG_MUST_USE;
/* input.c: folds or spells out the normalisation of input 0. */
cyg_status cyg_quant_normalize_input(cyg_scheme *s) CYG_MUST_USE;

/* What the options ask of node n, highest precision included. */
cyg_asked cyg_quant_asked(const cyg_scheme *s, const cyg_node *n);
/* How a type that is asked for is stored: U16 as S16. */
CYG_INLINE cyg_store cyg_quant_store_of(cyg_type t)
{
    return t == CYG_TYPE_S16 || t == CYG_TYPE_U16 ? CYG_STORE_S16
           : t == CYG_TYPE_U8                     ? CYG_STORE_U8
           : t == CYG_TYPE_S8                     ? CYG_STORE_S8
                                                  : CYG_STORE_FLOAT;
}
/* What is asked of operand i of n, or NONE: of an attention q and k are `data`, v is `value`. */
cyg_type cyg_quant_asked_operand(const cyg_scheme *s, const cyg_node *n, uint32_t i);
/* Whether the operator has an integer form as such: constants where it needs them, axes that fit.
 */
bool cyg_quant_has_form(const cyg_scheme *s, const cyg_node *n);
/* Runs the samples through the graph in float and hands its results to options->on_output.
 * observed: [value_count], zeros; gets the extremes of every float value, whose infinities and NaN
 * are errors then. NULL = not wanted. */
cyg_status cyg_quant_run_samples(cyg_ctx *ctx, cyg_graph *g, const cyg_sample_source *samples,
                                 const cyg_quant_options *options, cyg_observed *observed,
                                 size_t *out_samples) CYG_MUST_USE;
/* The normalisation of input 0 as float nodes in front of it. */
cyg_status cyg_quant_spell_normalize(cyg_scheme *s) CYG_MUST_USE;
/* What a consumer wants for operand i of node n: the type that serves it best. */
cyg_store cyg_quant_demand(const cyg_scheme *s, const cyg_node *n, uint32_t i);
/* A function of one operand that is looked up: not relu and clip, which are clamps. */
bool cyg_quant_is_table(const cyg_node *n);
/* Operand i of an integer node is data, not a constant of its own (weights, axes, limits). */
bool cyg_quant_reads_data(const cyg_node *n, uint32_t i);
/* Whether it can take a value stored as `store` as it is. */
bool cyg_quant_accepts(const cyg_scheme *s, const cyg_node *n, uint32_t i, cyg_store store);
CYG_INLINE bool cyg_quant_is_move(const cyg_node *n)
{
    return (cyg_op_schema_of(n->op)->flags & CYG_OPF_MOVE) != 0;
}
/* Movement and max pools: whatever the elements stand for. */
CYG_INLINE bool cyg_quant_moves_elements(const cyg_node *n)
{
    return cyg_quant_is_move(n) ||
           (n->op == CYG_OP_pool2d && strcmp(cyg_node_string(n, CYG_ATTR_mode, "max"), "max") == 0);
}
/* Operators whose result is stored as their operand is: movement, max pools, extremes over adjacent
 * axes, and resizing by nearest or linear. */
bool cyg_quant_keeps_store(const cyg_graph *g, const cyg_node *n);
/* `to` and `from` swap names. false when out of memory. */
bool cyg_quant_take_name(cyg_graph *g, cyg_value_id from, cyg_value_id to);
/* Multiply-accumulates of a linear or conv2d. */
int64_t cyg_quant_macs(const cyg_graph *g, const cyg_node *n);

#endif

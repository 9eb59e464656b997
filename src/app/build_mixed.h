/* Private to `cygnet build`: the search for a mixed precision, and what it leaves to the records.
 */
#ifndef CYG_APP_BUILD_MIXED_H
#define CYG_APP_BUILD_MIXED_H

#include "app/build.h"

/* A step that could have more bits. */
typedef struct cyg_mixed_step {
    cyg_node_id node; /* of the optimised graph */
    const char *name, *kind;
    bool wide_weights; /* 16-bit weights too */
    double cost;       /* bit operations that it adds, as a share of the model's at 8 bits */
    double gain;       /* share of the 8-bit model's noise that goes with this step alone */
} cyg_mixed_step;

/* A point of the curve: the first `raised` steps of the order. */
typedef struct cyg_mixed_point {
    size_t raised;
    double cost, sqnr_db, cosine, agreement;
    bool whole; /* quantised from scratch, not assigned again */
} cyg_mixed_point;

enum { CYG_MIXED_POINTS = 64 };

struct cyg_build_mixed {
    const char *metric; /* of the target: "sqnr_db", "agreement", "cosine" */
    double target;
    size_t samples;        /* that sensitivity was measured on */
    cyg_mixed_step *steps; /* [count] in the order in which they are raised */
    size_t count, raised;
    cyg_mixed_point points[CYG_MIXED_POINTS];
    size_t point_count;
};

/* build_mixed_record.c. The steps [raised] as entries of layer_configs behind those that there are;
 * the file quant/mixed_precision.json with them; the object of build_context.json. */
cyg_status cyg_mixed_configure(cyg_build *b, size_t raised) CYG_MUST_USE;
cyg_status cyg_mixed_write_fragment(cyg_build *b) CYG_MUST_USE;
void cyg_mixed_write(const cyg_build *b, cyg_json *j);

#endif

/* Private to quant/: corrections of linears and convolutions, searched on sampled rows. */
#ifndef CYG_QUANT_CORRECT_H
#define CYG_QUANT_CORRECT_H

#include "quant/rows.h"

/* A calibration method's range takes the place of one that was searched from the extremes only when
 * its error is less than this share: 32 pictures hardly show what clipping costs on others. */
#define CYG_NARROW_MARGIN 0.7

/* Room for the gains, and kernels; the corrections below add those that they keep to s->gains. */
cyg_status cyg_quant_gains_prepare(cyg_scheme *s) CYG_MUST_USE;
void cyg_quant_gains_add(cyg_scheme *s, const char *kind, cyg_node_id node, double before,
                         double after);

/* Moves the spread between channels of LayerNorm results into the weights of the linears that read
 * them, where that lowers their error (or as the options state). After calibration, before
 * parameters are assigned. */
cyg_status cyg_quant_equalise(cyg_scheme *s) CYG_MUST_USE;

/* Moves each row of the weights behind a LayerNorm with 16-bit results along 1 / gamma, where the
 * sum of what it writes is zero, so that its largest weight is least. After equalisation. */
cyg_status cyg_quant_center_weights(cyg_scheme *s) CYG_MUST_USE;

/* Narrows the ranges of 8-bit inputs of linears and convolutions, where that lowers their error, or
 * widens what the calibration method left of them. */
cyg_status cyg_quant_search_ranges(cyg_scheme *s) CYG_MUST_USE;

/* methods.c. Room for histograms, where the calibration method needs them. */
cyg_status cyg_quant_methods_prepare(cyg_scheme *s) CYG_MUST_USE;
/* count elements of a value whose extremes, theirs included, are in o. */
void cyg_quant_methods_observe(cyg_observed *o, struct cyg_pool *pool, const float *x,
                               int64_t count);
/* Value v is no longer what was observed, but what these rows hold. */
cyg_status cyg_quant_methods_resample(cyg_scheme *s, cyg_value_id v,
                                      const cyg_rows *rows) CYG_MUST_USE;
/* From extremes to the method's ranges. */
cyg_status cyg_quant_methods_apply(cyg_scheme *s) CYG_MUST_USE;
/* Between the two, for classes that no layer's output judges. */
void cyg_quant_methods_widen(const cyg_scheme *s, const uint32_t *classes, uint32_t count);
/* The stored range becomes lo..hi, as far as the extremes reach. */
void cyg_quant_narrow(cyg_observed *o, double lo, double hi);

/* Node id's weights are quantised and its input's parameters are set; `weights` are the floats that
 * they came from. Replaces its bias where that makes the mean output more exact. */
cyg_status cyg_quant_correct_bias(cyg_scheme *s, cyg_node_id id, const float *weights) CYG_MUST_USE;

#endif

/* Models that were quantised elsewhere: from QuantizeLinear and DequantizeLinear to a graph that
 * says the same of its values (qdq.c), and, once that is optimised, to integers (given.c). */
#ifndef CYG_QUANT_QDQ_H
#define CYG_QUANT_QDQ_H

#include "quant/quant.h"

typedef struct cyg_qdq_report {
    uint32_t pairs;     /* activations through both: now fake_quant nodes */
    uint32_t constants; /* stored as integers */
    uint32_t apart;     /* pairs that stay two float nodes: scales along an axis, or computed */
    uint32_t open;      /* of `pairs`: scales that calibration data have to give */
} cyg_qdq_report;

/* g as imported, in canonical form. A scale that is no positive number, a zero point of another
 * type, scales that do not fit their axis: CYG_E_GRAPH naming the node. calibrated: scales that the
 * file computes while it runs (dynamic quantisation to U8) are left open, for samples to give them
 * (a fake_quant with scale 0, which does nothing in floats); otherwise they stay float nodes. */
cyg_status cyg_qdq_read(cyg_ctx *ctx, cyg_graph *g, bool calibrated,
                        cyg_qdq_report *out_report) CYG_MUST_USE;

/* g optimised, static, with fake_quant nodes and constants as cyg_qdq_read left them. On success g
 * is the quantised graph: scales as given, operators in integers where all that they read and write
 * is given, everything else in float between conversions. samples may be NULL: then nothing is
 * measured, and nothing may be open. Of options count: asked (what the file leaves open gets such a
 * form, from the samples' extremes), normalize, on_output, keep_reference, max_samples. On failure
 * g must be discarded. */
cyg_status cyg_quant_given(cyg_ctx *ctx, cyg_graph *g, const cyg_sample_source *samples,
                           const cyg_quant_options *options,
                           cyg_quant_report *out_report) CYG_MUST_USE;

#endif

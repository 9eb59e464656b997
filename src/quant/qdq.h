/* Models that were quantised elsewhere: from QuantizeLinear and DequantizeLinear to a graph that
 * says the same of its values (qdq.c), and, once that is optimised, to integers (given.c). */
#ifndef CYG_QUANT_QDQ_H
#define CYG_QUANT_QDQ_H

#include "quant/quant.h"

typedef struct cyg_qdq_report {
    uint32_t pairs;     /* activations through both: now fake_quant nodes */
    uint32_t constants; /* stored as integers */
    uint32_t apart;     /* pairs that stay two float nodes: scales along an axis, or computed */
} cyg_qdq_report;

/* g as imported, in canonical form. A scale that is no positive number, a zero point of another
 * type, scales that do not fit their axis: CYG_E_GRAPH naming the node. */
cyg_status cyg_qdq_read(cyg_ctx *ctx, cyg_graph *g, cyg_qdq_report *out_report) CYG_MUST_USE;

/* g optimised, static, with fake_quant nodes and constants as cyg_qdq_read left them. On success g
 * is the quantised graph: scales as given, operators in integers where all that they read and write
 * is given, everything else in float between conversions. samples may be NULL: then nothing is
 * called, for nothing has to be measured. Of options count: normalize, on_output, keep_reference,
 * max_samples. On failure g must be discarded. */
cyg_status cyg_quant_given(cyg_ctx *ctx, cyg_graph *g, const cyg_sample_source *samples,
                           const cyg_quant_options *options,
                           cyg_quant_report *out_report) CYG_MUST_USE;

#endif

/* What the runtime feeds to an input, where that is neither floats nor plain pixels. */
#ifndef CYG_QUANT_SOURCE_H
#define CYG_QUANT_SOURCE_H

#include "base/yuv.h"
#include "ir/graph.h"

/* Codes q of another type: the input is scale * (q - zero_point). */
typedef struct cyg_quant_source {
    cyg_type type; /* U8 S8 U16 S16 U32 S32 F16 F32 */
    bool nhwc;     /* [B, H, W, C] instead of [B, C, H, W] */
    float scale;
    int32_t zero_point;
    cyg_yuv yuv; /* of video pixels (type U8, scale 1): then the matrix of yuv.h */
    double csc[12];
} cyg_quant_source;

/* Gives input `index` of a quantised graph nodes in front of it: codes of any type, or video
 * pixels. Plain floats and pixels go on to cyg_quant_bind_input. An input of another type than f32
 * is cast. CYG_E_CONFIG: odd sizes, no picture of three channels, a matrix that does not fit. */
cyg_status cyg_quant_bind_source(cyg_ctx *ctx, cyg_graph *g, uint32_t index,
                                 const cyg_quant_source *source) CYG_MUST_USE;

#endif

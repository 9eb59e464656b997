/* Depthwise convolution of U8 pixels on exact integers: how weights are packed for the micro-kernel
 * i_depthwise, and how a run of output pixels is computed. Part of i_conv2d (conv2d.c), which keeps
 * the specification and every other element type. */
#ifndef CYG_KERNELS_INT_DEPTHWISE_H
#define CYG_KERNELS_INT_DEPTHWISE_H

#include "kernels/call.h"
#include "kernels/params.h"

/* U8, one input channel for each output channel. */
int cyg_depthwise_fits(const cyg_kcall *call);
size_t cyg_depthwise_prepared(const cyg_kcall *call);
void cyg_depthwise_prepare(const cyg_kcall *call, void *out_prepared);
/* Bytes of scratch. */
size_t cyg_depthwise_scratch(const cyg_kcall *call);
/* Output pixels [first, last) of all images in a row. */
void cyg_depthwise_run(const cyg_kcall *call, int64_t first, int64_t last, void *scratch);

#endif

/* Function types of the micro-kernels: the contract between generic kernel code and the ISA files. Names: docs/kernel-names.md. */
#ifndef CYG_KERNELS_MICROKERNELS_H
#define CYG_KERNELS_MICROKERNELS_H

#include <stddef.h>
#include <stdint.h>

/* float (f32/) */

/* integers (int/) */

#endif

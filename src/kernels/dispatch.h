/* The dispatch table: one pointer a micro-kernel, filled with C first and then raised level by
 * level. */
#ifndef CYG_KERNELS_DISPATCH_H
#define CYG_KERNELS_DISPATCH_H

#include "kernels/microkernels.h"

typedef struct cyg_kernels {
    int level; /* cyg_cpu_level_id */
#define CYG_SLOT(slot, type) type *slot;
#include "kernels/kernels.def"
} cyg_kernels;

/* Declares every micro-kernel of the list with its slot's type. */
#define CYG_SLOT(slot, type) typedef type cyg_slot_##slot;
#define CYG_KERNEL(level, slot, function) cyg_slot_##slot function;
#include "kernels/kernels.def"

#endif

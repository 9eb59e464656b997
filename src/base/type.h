/* Element types: the one enumeration that graph, kernels and package share. Values are stored in
 * packages: append only. */
#ifndef CYG_BASE_TYPE_H
#define CYG_BASE_TYPE_H

typedef enum cyg_type {
#define CYG_TYPE(id, text, bytes, onnx) CYG_TYPE_##id,
#include "base/types.def"
#undef CYG_TYPE
    CYG_TYPE_COUNT
} cyg_type;

enum { CYG_MAX_RANK = 8 };

/* Activations that linear and conv carry: one enumeration for graph, kernels and package. */
typedef enum cyg_act {
#define CYG_ACT(id, text) CYG_ACT_##id,
#include "base/acts.def"
#undef CYG_ACT
    CYG_ACT_COUNT
} cyg_act;

#endif

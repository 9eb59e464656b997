/* A program: the steps of one CPU subgraph as flat data, in memory and in packages.
 *
 * lower/ builds it from a graph (tensors unplaced), target/cpu places the tensors, package.h stores
 * it, rt executes it; the integer interpreter executes an unplaced one. Tensor and step order is
 * execution order. Everything hangs on an arena; constant data is lent. */
#ifndef CYG_FORMAT_PROGRAM_H
#define CYG_FORMAT_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ctx.h"
#include "base/type.h"

typedef enum cyg_tensor_kind {
    CYG_TENSOR_ARENA = 0,  /* offset into the session's arena, once placed */
    CYG_TENSOR_CONST = 1,  /* offset into the weights section */
    CYG_TENSOR_INPUT = 2,  /* offset = input number; lives in the arena too: arena_offset */
    CYG_TENSOR_OUTPUT = 3, /* offset = output number */
    CYG_TENSOR_ALIAS =
        4, /* offset = tensor id whose bytes it shares: same size, earlier, no alias */
    CYG_TENSOR_INNER = 5, /* lives inside a subgraph only (package.h): no bytes in the package or
                             the arena; steps outside of subgraphs do not use it */
} cyg_tensor_kind;

typedef struct cyg_tensor {
    const char *name; /* of the value in the optimised graph */
    int32_t type;     /* cyg_type */
    int32_t rank;
    int64_t dims[CYG_MAX_RANK];
    int32_t kind;       /* cyg_tensor_kind */
    int32_t zero_point; /* with scale: real = scale * (q - zero_point); scale 0 = not one scale
                           (float, or per channel) */
    float scale;
    uint32_t value;        /* id in the graph it came from, CYG_NO_ID-like 0xffffffff; not stored */
    uint64_t offset;       /* by kind */
    uint64_t arena_offset; /* INPUT, OUTPUT, ARENA: placed by target/cpu, bytes, 64-aligned */
    const void *data;      /* constants, while in memory */
    int64_t group;         /* constants of a file: taps that share a multiplier, stored in 4 bits
                              (nibbles.h);         0 = stored as they are */
} cyg_tensor;

#define CYG_NO_TENSOR 0xffffffffu /* absent optional input */

typedef struct cyg_step {
    const char *name;    /* fused node's name */
    const char *sources; /* provenance: source nodes, comma separated */
    int32_t op;          /* cyg_kop's value */
    uint32_t in_count, out_count;
    const uint32_t *in, *out; /* tensor ids */
    const void *params;
    uint32_t params_size;
    int64_t macs;
} cyg_step;

typedef struct cyg_program {
    cyg_tensor *tensors;
    uint32_t tensor_count, tensor_cap;
    cyg_step *steps;
    uint32_t step_count, step_cap;
    uint32_t *inputs, *outputs; /* tensor ids */
    uint32_t input_count, output_count;
    uint64_t arena_bytes; /* once placed */
    uint32_t group;       /* size group: inputs of one size each */
    uint32_t batch;       /* samples at once, along dimension 0 of all inputs and outputs; 0 = 1 */
} cyg_program;

size_t cyg_tensor_bytes(const cyg_tensor *t); /* SIZE_MAX on overflow */
int64_t cyg_tensor_elements(const cyg_tensor *t);
/* Builders; ids are indices. CYG_NO_TENSOR when out of memory. */
uint32_t cyg_program_add_tensor(cyg_program *p, cyg_arena *arena, const cyg_tensor *t);
/* Copies lists, params, and strings. false when out of memory. */
bool cyg_program_add_step(cyg_program *p, cyg_arena *arena, const cyg_step *step);

#endif

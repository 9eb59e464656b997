/* The package (compiled.cyg): header, section table, 64-byte aligned sections, each with a
 * checksum; little-endian, versioned.
 *
 *   header, 64 bytes       "CYGNETPK", u32 version, u32 sections, u64 file size, u64 checksum of
 *                          the table, zeros
 *   table, 48 bytes a row  u32 kind, u32 index, u64 offset, u64 size, u64 checksum, zeros
 *
 * META is JSON text (how it was made, preprocessing, labels: app and data read it, rt does not),
 * PROGRAM the encoded steps, STRINGS the names, WEIGHTS constant data that rt maps and uses in
 * place. The reader checks every count, offset and string before anything is used. docs/package.md
 * has the layout; same inputs give the same bytes (no clock, no path).
 *
 * A package holds one program or several variants of it, which share names and weights: in each
 * size group one for each batch size. They stand in order of group, and in a group the largest
 * batch first: programs[0] is what the package shows, and a batch is split by walking on. */
#ifndef CYG_FORMAT_PACKAGE_H
#define CYG_FORMAT_PACKAGE_H

#include "base/file.h"
#include "format/program.h"

#define CYG_SECTIONS(CYG_SECTION)                                                                  \
    CYG_SECTION(META, 1, "meta")                                                                   \
    CYG_SECTION(STRINGS, 2, "strings")                                                             \
    CYG_SECTION(PROGRAM, 3, "program")                                                             \
    CYG_SECTION(WEIGHTS, 4, "weights")                                                             \
    CYG_SECTION(SUBGRAPH, 5, "subgraph")                                                           \
    CYG_SECTION(PARAMETERS, 6, "parameters")                                                       \
    CYG_SECTION(TAPS, 7, "taps")
typedef enum cyg_section_kind {
#define CYG_SECTION(id, value, name) CYG_SECTION_##id = value,
    CYG_SECTIONS(CYG_SECTION)
#undef CYG_SECTION
} cyg_section_kind;
enum {
    CYG_PACKAGE_VERSION = 2,
    CYG_PACKAGE_NIBBLE_GROUP = 16, /* taps that share a multiplier, as the writer looks for them */
    CYG_PACKAGE_MOST_PROGRAMS = 64,
    CYG_PACKAGE_MOST_BATCH = 65536,
    CYG_PACKAGE_MOST_SUBGRAPHS = 64,
};

/* A range of a program's steps that another executor than the CPU runs (rt/executor.h). The steps
 * stay in the program as a record of what is computed; their tensors that nobody else needs are of
 * kind INNER. What stands in machine, code, taps and params is the executor's business. */
typedef struct cyg_subgraph_tensor {
    uint32_t tensor; /* of the program: no constant; an output is no view and no input */
    bool is_output;
} cyg_subgraph_tensor;
typedef struct cyg_subgraph {
    const char *name;     /* "subgraph_npu_0" */
    const char *executor; /* "npu" */
    uint32_t program;     /* number in the package */
    uint32_t first_step, step_count;
    const cyg_subgraph_tensor *tensors; /* what it reads and writes of the program's */
    uint32_t tensor_count;
    const char *machine; /* text, not ended by a zero */
    size_t machine_size;
    const uint8_t *code;
    size_t code_size;
    const uint8_t
        *taps;        /* where to find the steps' outputs while it runs; nothing needs it to run */
    size_t taps_size; /* 0 = not said */
    const uint8_t *params; /* 64-byte aligned when read: in the map; equal ones are stored once */
    size_t params_size;
} cyg_subgraph;

/* Writes programs (placed, in the order above) and meta to path, atomically. Constants with equal
 * bytes are stored once. */
cyg_status cyg_package_write(cyg_ctx *ctx, const char *path, const cyg_program *programs,
                             uint32_t program_count, const char *meta_json) CYG_MUST_USE;
typedef struct cyg_package_content {
    const cyg_program *programs;
    uint32_t program_count, subgraph_count;
    const cyg_subgraph *subgraphs; /* any order; ranges of one program do not overlap */
    const char *meta_json;
} cyg_package_content;
cyg_status cyg_package_write_content(cyg_ctx *ctx, const char *path,
                                     const cyg_package_content *content) CYG_MUST_USE;

typedef struct cyg_package {
    cyg_map map;
    const char *meta; /* NUL-terminated copy in the arena */
    size_t meta_size;
    const uint8_t *weights;
    size_t weights_size;
    cyg_program *programs; /* [program_count], at least one; strings, lists and params point into
                              the arena or the map, constants' data into the map */
    uint32_t program_count;
    const cyg_subgraph *subgraphs; /* code and params in the map */
    uint32_t subgraph_count;
} cyg_package;
/* The subgraph that covers a step, or NULL. */
const cyg_subgraph *cyg_package_subgraph_at(const cyg_package *package, uint32_t program,
                                            uint32_t step);

typedef struct cyg_package_options {
    bool skip_weight_checksum; /* and that of parameters: the small sections are always checked */
} cyg_package_options;
/* Structural checks are complete: every tensor has a sane shape whose bytes lie inside its section
 * or the arena, every step refers to earlier or constant tensors, aliases point backwards, the
 * variants of a program differ in nothing but sizes, and no step outside of a subgraph uses what
 * lives inside of one only. Whether a kernel accepts its operands is rt's check (kernels/call.h).
 */
cyg_status cyg_package_open(cyg_ctx *ctx, const char *path, cyg_arena *arena,
                            const cyg_package_options *options,
                            cyg_package *out_package) CYG_MUST_USE;
void cyg_package_close(cyg_package *package);
/* True when the file starts like a package. */
bool cyg_package_is(const void *bytes, size_t size);

#endif

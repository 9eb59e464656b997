/* The package (compiled.cyg): header, section table, 64-byte aligned sections, each with a
 * checksum; little-endian, versioned.
 *
 *   offset 0   "CYGNETPK"  u32 version  u32 section count  u64 file size  u64 checksum of the table
 * (32 bytes), padded to 64 then       table rows of 48 bytes: u32 kind, u32 index, u64 offset, u64
 * size, u64 checksum, u64 reserved, u64 reserved
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
    CYG_SECTION(PROGRAM, 3, "program") CYG_SECTION(WEIGHTS, 4, "weights")
typedef enum cyg_section_kind {
#define CYG_SECTION(id, value, name) CYG_SECTION_##id = value,
    CYG_SECTIONS(CYG_SECTION)
#undef CYG_SECTION
} cyg_section_kind;
enum {
    CYG_PACKAGE_VERSION = 2,
    CYG_PACKAGE_MOST_PROGRAMS = 64,
    CYG_PACKAGE_MOST_BATCH = 65536,
};

/* Writes programs (placed, in the order above) and meta to path, atomically. Constants with equal
 * bytes are stored once. */
cyg_status cyg_package_write(cyg_ctx *ctx, const char *path, const cyg_program *programs,
                             uint32_t program_count, const char *meta_json) CYG_MUST_USE;

typedef struct cyg_package {
    cyg_map map;
    const char *meta; /* NUL-terminated copy in the arena */
    size_t meta_size;
    const uint8_t *weights;
    size_t weights_size;
    cyg_program *programs; /* [program_count], at least one; strings, lists and params point into
                              the arena or the map, constants' data into the map */
    uint32_t program_count;
} cyg_package;

typedef struct cyg_package_options {
    bool skip_weight_checksum; /* for speed: the small sections are always checked */
} cyg_package_options;
/* Structural checks are complete: every tensor has a sane shape whose bytes lie inside its section
 * or the arena, every step refers to earlier or constant tensors, aliases point backwards, and the
 * variants of a program differ in nothing but sizes. Whether a kernel accepts its operands is rt's
 * check (kernels/call.h). */
cyg_status cyg_package_open(cyg_ctx *ctx, const char *path, cyg_arena *arena,
                            const cyg_package_options *options,
                            cyg_package *out_package) CYG_MUST_USE;
void cyg_package_close(cyg_package *package);
/* True when the file starts like a package. */
bool cyg_package_is(const void *bytes, size_t size);

#endif

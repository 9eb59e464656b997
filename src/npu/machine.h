/* A machine description: what one NPU mode of one chip has, and the few physical parameters from
 * which every cycle in this project is predicted (timing.h). Data, not code: the built-in ones are
 * the files of src/npu/machines/, a user can write another (docs/npu-machines.md).
 *
 * Engines are numbered through: for each group its CONVs, TENGs, CVs and SDMAs in this order, so
 * that the lanes of one AX650 group are conv0 conv1 teng2 cv3 sdma4, as in the vendor's traces. All
 * groups share one on-chip memory (OCM) and one DDR. */
#ifndef CYG_NPU_MACHINE_H
#define CYG_NPU_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ctx.h"
#include "base/str.h"

/* CYG_ENGINE(id, "lane name", what it does) */
#define CYG_NPU_ENGINES(CYG_ENGINE)                                                                \
    CYG_ENGINE(CONV, "conv", "convolution and matrix products, bias, scale, saturation")           \
    CYG_ENGINE(TENG, "teng", "element-wise, normalisation, look-up, reduction, exponentials")      \
    CYG_ENGINE(CV, "cv", "reshapes and copies inside the OCM")                                     \
    CYG_ENGINE(SDMA, "sdma", "DDR to OCM and back")
typedef enum cyg_npu_engine_kind {
#define CYG_ENGINE(id, lane, text) CYG_NPU_##id,
    CYG_NPU_ENGINES(CYG_ENGINE)
#undef CYG_ENGINE
        CYG_NPU_ENGINE_KINDS
} cyg_npu_engine_kind;

enum { CYG_NPU_MAX_ENGINES = 64 };

/* Number of a field in the order of machine.def. */
typedef enum cyg_npu_field {
#define CYG_MACHINE_TEXT(name, text) CYG_NPU_FIELD_##name,
#define CYG_MACHINE_COUNT(name, low, high, unit, text) CYG_NPU_FIELD_##name,
#define CYG_MACHINE_RATE(name, low, high, unit, text) CYG_NPU_FIELD_##name,
#include "npu/machine.def"
#undef CYG_MACHINE_TEXT
#undef CYG_MACHINE_COUNT
#undef CYG_MACHINE_RATE
    CYG_NPU_FIELDS
} cyg_npu_field;

typedef struct cyg_npu_machine {
#define CYG_MACHINE_TEXT(name, text) const char *name;
#define CYG_MACHINE_COUNT(name, low, high, unit, text) int64_t name;
#define CYG_MACHINE_RATE(name, low, high, unit, text) double name;
#include "npu/machine.def"
#undef CYG_MACHINE_TEXT
#undef CYG_MACHINE_COUNT
#undef CYG_MACHINE_RATE
    const char *sources[CYG_NPU_FIELDS]; /* where a value comes from; NULL = not said. Not hashed */
} cyg_npu_machine;

typedef struct cyg_npu_engine {
    cyg_npu_engine_kind kind;
    uint32_t group;
    char lane[16]; /* "conv0" */
} cyg_npu_engine;

/* Engines of one group times groups; at most CYG_NPU_MAX_ENGINES (the reader checks). */
uint32_t cyg_npu_engine_count(const cyg_npu_machine *m);
cyg_npu_engine cyg_npu_engine_at(const cyg_npu_machine *m, uint32_t engine);
/* Number of engines of one kind. */
uint32_t cyg_npu_engines_of(const cyg_npu_machine *m, cyg_npu_engine_kind kind);

/* Built-in descriptions, one each mode of each chip, in a fixed order. Texts live in arena. */
size_t cyg_npu_machine_count(void);
cyg_status cyg_npu_machine_built_in(cyg_ctx *ctx, cyg_arena *arena, size_t i,
                                    cyg_npu_machine *out_machine) CYG_MUST_USE;
/* chip and mode as on the command line ("AX650", "NPU1"); an error lists what exists. */
cyg_status cyg_npu_machine_find(cyg_ctx *ctx, cyg_arena *arena, const char *chip, const char *mode,
                                cyg_npu_machine *out_machine) CYG_MUST_USE;
/* A description file (JSON, docs/npu-machines.md): one machine, or one chip with several modes of
 * which `mode` chooses (NULL: the only one). Every key is checked: unknown, missing, out of range,
 * with line and column. Texts live in arena. */
cyg_status cyg_npu_machine_read(cyg_ctx *ctx, cyg_arena *arena, const char *path, const char *mode,
                                cyg_npu_machine *out_machine) CYG_MUST_USE;
/* The same from memory; path names it in messages. */
cyg_status cyg_npu_machine_parse(cyg_ctx *ctx, cyg_arena *arena, const char *path, const void *data,
                                 size_t size, const char *mode,
                                 cyg_npu_machine *out_machine) CYG_MUST_USE;
/* A description file of this one machine, without sources; parsing it gives the same fields. */
void cyg_npu_machine_print(const cyg_npu_machine *m, cyg_strbuf *out);
/* The modes that a description file has, in its order; one for a file that is one machine. */
cyg_status cyg_npu_machine_modes(cyg_ctx *ctx, cyg_arena *arena, const char *path,
                                 const char *const **out_modes, size_t *out_count) CYG_MUST_USE;
/* Hash of all fields: build_context.json and packages record it, so that a cycle count names the
 * parameters under which it holds. */
uint64_t cyg_npu_machine_hash(const cyg_npu_machine *m);

#endif

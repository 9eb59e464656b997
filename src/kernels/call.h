/* The kernel call: one step of any program, as flat data.
 *
 * lower/ makes calls out of graph nodes, the float and integer interpreters and the runtime execute
 * them, the package stores them. A call names a kernel operator (kops.def), its buffers and a
 * parameter block (one POD of params.h).
 *
 * Life of a call: prepare (once, when constant inputs are known: pack weights for the ISA) -> run
 * on item ranges, by any number of threads. Items are disjoint parts of the output, so no split
 * changes a byte. Kernels use no libc but memcpy/memset, allocate nothing, keep no state: scratch
 * comes from the caller.
 *
 * Every kernel operator has two bodies: `run` (dispatched to the ISA's micro-kernels, packed
 * weights) and, for the integer ones, `ref` (unpacked plain C, the numeric specification, used by
 * the integer interpreter). */
#ifndef CYG_KERNELS_CALL_H
#define CYG_KERNELS_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "base/type.h" /* header only: kernels link against nothing */

typedef struct cyg_kbuf {
    void *data;   /* dense row-major; NULL = absent optional input */
    int32_t type; /* cyg_type */
    int32_t rank;
    int64_t dims[CYG_MAX_RANK];
    int32_t is_const; /* data never changes between runs: prepare may read it */
    int32_t reserved;
} cyg_kbuf;

typedef enum cyg_kop {
#define CYG_KOP(id, value, params, summary) CYG_KOP_##id = value,
#include "kernels/kops.def"
#undef CYG_KOP
    CYG_KOP_LIMIT = 256
} cyg_kop;

struct cyg_kernels; /* dispatch.h: the micro-kernels of one ISA level */

typedef struct cyg_kcall {
    int32_t op; /* cyg_kop */
    uint32_t in_count, out_count;
    const cyg_kbuf *in;
    const cyg_kbuf *out;
    const void *params;   /* the POD that kops.def names, 8-byte aligned */
    const void *prepared; /* what prepare wrote, 64-byte aligned, or NULL when prepare_size was 0 */
    const struct cyg_kernels *isa;
} cyg_kcall;

/* NULL when op is unknown. */
typedef struct cyg_kop_info {
    const char *name;
    size_t params_size;
    /* 0 when the call is well formed: buffer counts, types, ranks and shapes fit each other and the
     * parameters, every index table in bounds, so that run can't leave its buffers. Else a static
     * text that says what is wrong. Called on package load (hostile input) and by tests. */
    const char *(*check)(const cyg_kcall *call);
    size_t (*prepare_size)(const cyg_kcall *call); /* NULL = nothing to prepare */
    void (*prepare)(const cyg_kcall *call, void *out_prepared);
    /* The same in parts that threads may share; NULL = only as a whole. */
    int64_t (*prepare_parts)(const cyg_kcall *call);
    void (*prepare_some)(const cyg_kcall *call, int64_t begin, int64_t end, void *out_prepared);
    int64_t (*items)(const cyg_kcall *call); /* units of parallel work */
    int64_t (*grain)(const cyg_kcall *call,
                     unsigned threads); /* NULL = items / threads; items a part may take at once */
    size_t (*scratch)(const cyg_kcall *call); /* bytes per worker, 64-byte aligned; NULL = 0 */
    void (*run)(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch);
    void (*ref)(const cyg_kcall *call, int64_t begin, int64_t end,
                void *scratch); /* NULL for float operators: run is the only body */
    size_t (*ref_scratch)(const cyg_kcall *call);
} cyg_kop_info;
const cyg_kop_info *cyg_kop_info_of(int32_t op);

/* Bytes of all buffers of a call: calls below CYG_CALL_SMALL are not worth a second thread. */
enum { CYG_CALL_SMALL = 32768 };
int64_t cyg_kcall_bytes(const cyg_kcall *call);

/* The dispatch table of a level (base/cpu.h's names; values as cyg_cpu_level_id). Filled with C
 * first, then raised level by level. */
const struct cyg_kernels *cyg_kernels_for(int level);

#endif

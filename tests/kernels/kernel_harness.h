/* Harness of the kernel tests: guarded memory, data patterns, and the comparison of every ISA level
 * and every item split with a reference body.
 *
 * Each buffer ends at an unreadable page, so one element too far is a crash; outputs are filled
 * with a canary first, and bytes in front of a buffer are checked. Everything random comes from one
 * seed, printed when CYG_KERNEL_SEED is set. Written by the integer side; the float side uses the
 * same calls (kh_run without a ref compares levels with C). */
#ifndef CYG_TESTS_KERNEL_HARNESS_H
#define CYG_TESTS_KERNEL_HARNESS_H

#include "../testing.h"

#include <math.h>
#include <sys/mman.h>

#include "base/cpu.h"
#include "kernels/call.h"
#include "kernels/params.h"

enum { KH_FRONT = 64, KH_CANARY = 0xa5 };

static uint64_t kh_state = 0x9e3779b97f4a7c15u;

static inline void kh_seed(uint64_t seed)
{
    kh_state = seed * 0x9e3779b97f4a7c15u + 1;
}

static inline uint32_t kh_random(void)
{
    kh_state ^= kh_state << 13;
    kh_state ^= kh_state >> 7;
    kh_state ^= kh_state << 17;
    return (uint32_t)(kh_state >> 32);
}

static inline int64_t kh_between(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(kh_random() % (uint64_t)(hi - lo + 1));
}

static inline float kh_float(float lo, float hi)
{
    return lo + (hi - lo) * ((float)(kh_random() >> 8) / 16777216.0f);
}

/* Memory whose last byte is the last one before an unreadable page; align > 1 rounds the size up
 * (scratch, prepared). */
typedef struct kh_memory {
    uint8_t *map, *data;
    size_t map_size, size;
} kh_memory;

static inline kh_memory kh_alloc(size_t size, size_t align)
{
    const size_t page = 4096;
    kh_memory m;
    m.size = (size + align - 1) / align * align;
    m.map_size = (m.size + KH_FRONT + page - 1) / page * page + page;
    m.map = mmap(NULL, m.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(m.map, MAP_FAILED);
    assert_int_equal(mprotect(m.map + m.map_size - page, page, PROT_NONE), 0);
    m.data = m.map + m.map_size - page - m.size;
    memset(m.map, KH_CANARY, m.map_size - page);
    return m;
}

static inline void kh_free(kh_memory *m)
{
    for (const uint8_t *p = m->map; p < m->data; p++)
        if (*p != KH_CANARY)
            fail_msg("bytes in front of a buffer were overwritten");
    munmap(m->map, m->map_size);
}

static inline int64_t kh_type_bytes(int32_t type)
{
    switch (type) {
#define CYG_TYPE(id, text, bytes, onnx)                                                            \
    case CYG_TYPE_##id:                                                                            \
        return bytes;
#include "base/types.def"
#undef CYG_TYPE
    default:
        return 0;
    }
}

static inline int64_t kh_elements(const cyg_kbuf *b)
{
    int64_t n = 1;
    for (int i = 0; i < b->rank; i++)
        n *= b->dims[i];
    return n;
}

/* ---- one call under test
 * -------------------------------------------------------------------------------------- */

enum { KH_MAX_IN = 10 };
typedef struct kh_call {
    cyg_kbuf in[KH_MAX_IN], out[2];
    kh_memory in_memory[KH_MAX_IN], out_memory, second_memory; /* of out[0], out[1] */
    cyg_kcall call;
    union {
        int64_t align;
        uint8_t bytes[512];
    } params;
} kh_call;

static inline void kh_begin(kh_call *c, int32_t op, const void *params, size_t params_size)
{
    memset(c, 0, sizeof *c);
    assert_true(params_size <= sizeof c->params);
    memcpy(c->params.bytes, params, params_size);
    c->call.op = op;
    c->call.in = c->in;
    c->call.out = c->out;
    c->call.params = &c->params;
    c->call.out_count = 1;
    c->call.isa = cyg_kernels_for(CYG_CPU_C);
}

static inline cyg_kbuf kh_shape(int32_t type, int32_t rank, const int64_t *dims)
{
    cyg_kbuf b = {.type = type, .rank = rank};
    for (int32_t i = 0; i < rank; i++)
        b.dims[i] = dims[i];
    return b;
}

#define KH_DIMS(...)                                                                               \
    (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* Adds an input; its data is uninitialised (canary) and returned. type NONE: absent. */
static inline void *kh_in(kh_call *c, int32_t type, int is_const, int32_t rank, const int64_t *dims)
{
    const uint32_t i = c->call.in_count++;
    c->in[i] = kh_shape(type, rank, dims);
    if (type == CYG_TYPE_NONE)
        return NULL;
    c->in[i].is_const = is_const;
    c->in_memory[i] = kh_alloc((size_t)(kh_elements(&c->in[i]) * kh_type_bytes(type)), 1);
    return c->in[i].data = c->in_memory[i].data;
}

static inline void *kh_out(kh_call *c, int32_t type, int32_t rank, const int64_t *dims)
{
    c->out[0] = kh_shape(type, rank, dims);
    c->out_memory = kh_alloc((size_t)(kh_elements(&c->out[0]) * kh_type_bytes(type)), 1);
    return c->out[0].data = c->out_memory.data;
}

/* A second output, for the few operators that have one. */
static inline void *kh_second_out(kh_call *c, int32_t type, int32_t rank, const int64_t *dims)
{
    c->call.out_count = 2;
    c->out[1] = kh_shape(type, rank, dims);
    c->second_memory = kh_alloc((size_t)(kh_elements(&c->out[1]) * kh_type_bytes(type)), 1);
    return c->out[1].data = c->second_memory.data;
}

static inline void kh_end(kh_call *c)
{
    for (uint32_t i = 0; i < c->call.in_count; i++)
        if (c->in[i].data != NULL)
            kh_free(&c->in_memory[i]);
    kh_free(&c->out_memory);
    if (c->second_memory.map != NULL)
        kh_free(&c->second_memory);
}

/* Runs items in random parts of at most `part` (0: all at once), each with scratch of its own
 * guarded size. */
static inline void kh_execute(kh_call *c, int level, int64_t part, int use_ref)
{
    const cyg_kop_info *info = cyg_kop_info_of(c->call.op);
    c->call.isa = cyg_kernels_for(level);
    c->call.prepared = NULL;
    kh_memory prepared = {0}, scratch = {0};
    if (!use_ref && info->prepare_size != NULL && info->prepare_size(&c->call) > 0) {
        prepared = kh_alloc(info->prepare_size(&c->call), 64);
        info->prepare(&c->call, prepared.data);
        c->call.prepared = prepared.data;
    }
    size_t (*size_of)(const cyg_kcall *) = use_ref ? info->ref_scratch : info->scratch;
    if (size_of != NULL && size_of(&c->call) > 0)
        scratch = kh_alloc(size_of(&c->call), 64);
    memset(c->out_memory.data, KH_CANARY, c->out_memory.size);
    if (c->second_memory.map != NULL)
        memset(c->second_memory.data, KH_CANARY, c->second_memory.size);
    const int64_t items = info->items(&c->call);
    void (*body)(const cyg_kcall *, int64_t, int64_t, void *) = use_ref ? info->ref : info->run;
    if (part == 0) {
        body(&c->call, 0, items, scratch.data);
    } else {
        /* Parts from the back to the front: nothing may depend on order. */
        for (int64_t end = items; end > 0;) {
            const int64_t begin = end - kh_between(1, part) < 0 ? 0 : end - kh_between(1, part);
            const int64_t from = begin < 0 ? 0 : begin >= end ? end - 1 : begin;
            body(&c->call, from, end, scratch.data);
            end = from;
        }
    }
    if (scratch.map != NULL)
        kh_free(&scratch);
    if (prepared.map != NULL)
        kh_free(&prepared);
}

static inline void kh_compare(const kh_call *c, const uint8_t *want, const char *what, int level)
{
    if (memcmp(want, c->out_memory.data, c->out_memory.size) == 0)
        return;
    size_t at = 0, bad = 0;
    for (size_t i = c->out_memory.size; i-- > 0;)
        if (want[i] != c->out_memory.data[i]) {
            at = i;
            bad++;
        }
    fail_msg("%s: level %s, %s: %zu of %zu bytes differ, first at %zu (want %u, got %u)",
             cyg_kop_info_of(c->call.op)->name, cyg_cpu_name((cyg_cpu_level_id)level), what, bad,
             c->out_memory.size, at, want[at], c->out_memory.data[at]);
}

/* check() accepts the call; ref (or, without one, run at level C) and run at every level this
 * machine has give the same bytes, however items are split. The result stays in the output buffer.
 */
static inline void kh_run(kh_call *c)
{
    const cyg_kop_info *info = cyg_kop_info_of(c->call.op);
    const char *complaint = info->check(&c->call);
    if (complaint != NULL)
        fail_msg("%s: check says \"%s\"", info->name, complaint);
    kh_execute(c, CYG_CPU_C, 0, info->ref != NULL);
    uint8_t *want = malloc(c->out_memory.size + 1);
    assert_non_null(want);
    memcpy(want, c->out_memory.data, c->out_memory.size);
    if (info->ref != NULL) {
        kh_execute(c, CYG_CPU_C, 2, 1);
        kh_compare(c, want, "ref, split", CYG_CPU_C);
    }
    for (int level = 0; level < CYG_CPU_COUNT; level++) {
        if (!cyg_cpu_has((cyg_cpu_level_id)level))
            continue;
        kh_execute(c, level, 0, 0);
        kh_compare(c, want, "whole", level);
        kh_execute(c, level, 3, 0);
        kh_compare(c, want, "split", level);
    }
    free(want);
}

/* ---- data
 * -------------------------------------------------------------------------------------------------------
 */

typedef enum kh_pattern {
    KH_RANDOM,
    KH_LOWEST,
    KH_HIGHEST,
    KH_ALTERNATING,
    KH_SMALL,
    KH_PATTERNS
} kh_pattern;

static inline int64_t kh_lowest(int32_t type)
{
    return type == CYG_TYPE_S8    ? INT8_MIN
           : type == CYG_TYPE_S16 ? INT16_MIN
           : type == CYG_TYPE_S32 ? INT32_MIN
                                  : 0;
}

static inline int64_t kh_highest(int32_t type)
{
    switch (type) {
    case CYG_TYPE_U8:
        return UINT8_MAX;
    case CYG_TYPE_S8:
        return INT8_MAX;
    case CYG_TYPE_U16:
        return UINT16_MAX;
    case CYG_TYPE_S16:
        return INT16_MAX;
    default:
        return INT32_MAX;
    }
}

static inline void kh_fill_int(int32_t type, void *data, int64_t n, kh_pattern pattern)
{
    const int64_t lo = kh_lowest(type), hi = kh_highest(type);
    for (int64_t i = 0; i < n; i++) {
        int64_t v = lo;
        if (pattern == KH_RANDOM)
            v = kh_between(lo, hi);
        else if (pattern == KH_SMALL)
            v = kh_between(lo < 0 ? -3 : 0, 3);
        else if (pattern == KH_HIGHEST || (pattern == KH_ALTERNATING && i % 2 != 0))
            v = hi;
        memcpy((uint8_t *)data + i * kh_type_bytes(type), &v, (size_t)kh_type_bytes(type));
    }
}

static inline void kh_fill_float(float *data, int64_t n, float lo, float hi)
{
    for (int64_t i = 0; i < n; i++)
        data[i] = kh_float(lo, hi);
}

/* The call's result against a computation in double. */
static inline void kh_expect_near(const kh_call *c, const double *want, int64_t n, double relative,
                                  double absolute, const char *what)
{
    const float *got = c->out[0].data;
    for (int64_t i = 0; i < n; i++)
        if ((double)got[i] != want[i] &&
            !(fabs((double)got[i] - want[i]) <= absolute + relative * fabs(want[i])))
            fail_msg("%s: element %lld: want %.9g, got %.9g", what, (long long)i, want[i],
                     (double)got[i]);
}

#endif

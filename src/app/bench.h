/* Private to `cygnet bench`: one measurement, handed from part to part. */
#ifndef CYG_APP_BENCH_H
#define CYG_APP_BENCH_H

#include "app/engine.h"

typedef struct cyg_bench_flags {
    const char *model, *isa;
    cyg_source_settings settings;
    int64_t repeat, warmup, threads, affinity, vnpu, batch, sleep_ms, group;
    const char *input_folder, *output_folder, *list; /* the data test */
    const char *input, *output;                      /* one .npy each */
    const char *save;                                /* --save-benchmark */
    bool verify, parallel, profile;
    bool old[3]; /* old scripts' flags whose only remaining meaning is the default */
} cyg_bench_flags;

typedef struct cyg_bench_step {
    const char *name;
    double seconds;
    uint32_t calls;
} cyg_bench_step;

typedef struct cyg_bench {
    cyg_app *app;
    cyg_bench_flags flags;
    cyg_engine *engine;
    double load_ms;
    double *times_ms; /* heap, in the order of the runs */
    size_t count, room;
    cyg_bench_step *steps; /* --profile: heap, by step number; NULL = none */
    uint32_t step_count, step_room;
} cyg_bench;

/* cmd_bench.c: warms up and measures `repeat` runs. */
cyg_status cyg_bench_measure(cyg_bench *b, bool warm) CYG_MUST_USE;
/* bench_data.c: the test over a list of folders; fails in the end when one was skipped or differs.
 */
cyg_status cyg_bench_data_test(cyg_bench *b) CYG_MUST_USE;
/* bench_result.c */
void cyg_bench_print_header(const cyg_bench *b);
cyg_status cyg_bench_print_result(cyg_bench *b) CYG_MUST_USE;
/* bench_profile.c */
cyg_status cyg_bench_print_profile(cyg_bench *b) CYG_MUST_USE;
void cyg_bench_on_step(void *user, uint32_t step, const char *name, double seconds);

#endif

/* `cygnet bench --profile`: where the time goes, step by step.
 *
 * The runtime calls back after each step; sums are over all timed runs. The kernel and the
 * multiply-adds of a step are read from the package itself, which the runtime does not show. The
 * callback costs two clock reads a step, so the block above the table is the truth about the
 * total. */
#include "app/bench.h"

#include <stdlib.h>

#include "format/package.h"
#include "kernels/call.h"

enum { SHOWN = 20 };

void cyg_bench_on_step(void *user, uint32_t step, const char *name, double seconds)
{
    cyg_bench *b = user;
    if (step >= b->step_room)
        return;
    b->steps[step].name = name;
    b->steps[step].seconds += seconds;
    b->steps[step].calls++;
    if (step >= b->step_count)
        b->step_count = step + 1;
}

typedef struct ranked {
    double seconds;
    uint32_t step;
} ranked;

static int slowest_first(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? 1 : -1;
    return x->step < y->step ? -1 : 1;
}

/* What ran as step i: a kernel, or the executor of a subgraph in the place of several steps. */
static const char *runner_of(const cyg_package *k, uint32_t i, int64_t *out_macs)
{
    const cyg_program *p = k->programs;
    const cyg_subgraph *g = cyg_package_subgraph_at(k, 0, i);
    *out_macs = 0;
    if (i >= p->step_count)
        return "?";
    for (uint32_t s = i; s < (g != NULL ? g->first_step + g->step_count : i + 1); s++)
        *out_macs += p->steps[s].macs;
    if (g != NULL)
        return g->executor;
    return cyg_kop_info_of(p->steps[i].op) != NULL ? cyg_kop_info_of(p->steps[i].op)->name : "?";
}

static void print_step(const cyg_bench *b, const cyg_package *k, uint32_t i, double total)
{
    const cyg_bench_step *s = &b->steps[i];
    const double ms = s->calls > 0 ? 1e3 * s->seconds / s->calls : 0;
    char speed[32] = "";
    int64_t macs;
    const char *runner = runner_of(k, i, &macs);
    if (macs > 0 && ms > 0)
        snprintf(speed, sizeof speed, "%.1f", (double)macs / (ms * 1e6));
    cyg_app_print_result(b->app, "%5u  %9.3f  %5.1f %%  %8s  %-14s%s\n", i, ms,
                         total > 0 ? 100 * s->seconds / total : 0, speed, runner, s->name);
}

cyg_status cyg_bench_print_profile(cyg_bench *b)
{
    const cyg_package_options options = {.skip_weight_checksum = true}; /* rt checked them */
    cyg_package package = {0};
    double total = 0;
    if (b->steps == NULL || b->step_count == 0)
        return CYG_OK;
    ranked *order = calloc(b->step_count, sizeof *order);
    if (order == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    const cyg_status status =
        cyg_package_open(&b->app->ctx, b->flags.model, &b->app->arena, &options, &package);
    for (uint32_t i = 0; i < b->step_count; i++) {
        order[i] = (ranked){b->steps[i].seconds, i};
        total += b->steps[i].seconds;
    }
    qsort(order, b->step_count, sizeof *order, slowest_first);
    if (status == CYG_OK) {
        cyg_app_print_result(b->app, "\n%5s  %9s  %7s  %8s  %-14s%s\n", "step", "ms", "share",
                             "GMAC/s", "kernel", "name");
        for (uint32_t i = 0; i < b->step_count && i < SHOWN; i++)
            print_step(b, &package, order[i].step, total);
        cyg_package_close(&package);
    }
    free(order);
    return status;
}

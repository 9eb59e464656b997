/* The NPU's part of a build: machine, compilation of every variant, the package with its subgraphs.
 *
 * The program of the CPU is the reference: it lies in a package of its own while the build lasts,
 * and the golden check runs that one, which is fast. That the NPU computes the same bytes is then
 * shown on a few samples (build_npu_check.c), because simulating takes its time. */
#include "app/build_npu.h"

#include <math.h>
#include <string.h>

#include "app/npu_record.h"
#include "format/package.h"
#include "npu/subgraph.h"

/* Tries of the scheduler's refinement: more find little. */
enum { TRIES = 8 };

bool cyg_build_is_npu(const cyg_build *b)
{
    return b->config.target_hardware != CYG_CONFIG_HARDWARE_CPU ||
           (b->config.machine != NULL && b->config.machine[0] != '\0');
}

/* ---- options
 * -------------------------------------------------------------------------------------------------------
 */

/* `--target_hardware F.json` says what `--machine F.json` does. */
cyg_status cyg_build_machine_flag(cyg_app *app, int argc, const char *const **argv)
{
    static const char name[] = "--target_hardware";
    const char **words = cyg_arena_memdup(&app->arena, *argv, sizeof **argv * (size_t)(argc + 1));
    if (words == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (int i = 0; i < argc; i++) {
        const bool joined = strncmp(words[i], "--target_hardware=", sizeof name) == 0;
        const char *value = joined ? words[i] + sizeof name : i + 1 < argc ? words[i + 1] : NULL;
        if (value == NULL || (!joined && strcmp(words[i], name) != 0))
            continue;
        const size_t length = strlen(value);
        if (length < 6 || strcmp(value + length - 5, ".json") != 0)
            continue;
        words[i] = joined ? cyg_arena_printf(&app->arena, "--machine=%s", value) : "--machine";
        if (words[i] == NULL)
            return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    }
    *argv = words;
    return CYG_OK;
}

/* What only an NPU has is named where somebody asked for it. */
void cyg_build_warn_without_npu(cyg_build *b)
{
    const cyg_config_compiler *c = &b->config.compiler;
    const struct {
        const char *name;
        bool is_set;
    } fields[] = {
        {"npu_mode", b->config.npu_mode_at.origin != CYG_CONFIG_DEFAULT},
        {"compiler.schedule", c->schedule_at.origin != CYG_CONFIG_DEFAULT},
        {"compiler.npu_perf", c->npu_perf},
        {"compiler.ddr_bw_limit", c->ddr_bw_limit > 0},
        {"compiler.sub_configs", c->sub_configs.count > 0},
    };
    for (size_t i = 0; i < CYG_COUNT(fields); i++)
        if (fields[i].is_set)
            cyg_warn(&b->app->ctx, "%s has no effect: the CPU target has no NPU", fields[i].name);
}

static cyg_status find_machine(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_config_build *c = &b->config;
    const char *mode = cyg_config_enum_npu_mode.names[c->npu_mode];
    cyg_npu_machine *m = &b->npu->options.machine;
    if (c->machine != NULL && c->machine[0] != '\0') {
        CYG_DO(cyg_npu_machine_read(ctx, &b->app->arena, c->machine, mode, m));
        CYG_DO(cyg_build_hash_file(b, "machine", c->machine));
    } else {
        CYG_DO(cyg_npu_machine_find(ctx, &b->app->arena,
                                    cyg_config_enum_hardware.names[c->target_hardware], mode, m));
    }
    b->npu->full = *m;
    return cyg_build_npu_limit_ddr(b, c->compiler.ddr_bw_limit, "compiler.ddr_bw_limit", m);
}

cyg_status cyg_build_npu_limit_ddr(cyg_build *b, double limit, const char *name,
                                   cyg_npu_machine *out_machine)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_npu_machine *m = out_machine;
    *m = b->npu->full;
    if (limit <= 0)
        return CYG_OK;
    const double bytes = limit * 1e6 / (double)m->clock_khz;
    if (bytes >= m->ddr_bytes)
        cyg_warn(ctx, "%s has no effect: %g GB/s is above the %.2f that %s %s has", name, limit,
                 m->ddr_bytes * (double)m->clock_khz / 1e6, m->chip, m->mode);
    m->ddr_bytes = fmin(m->ddr_bytes, bytes);
    m->ddr_stream_bytes = fmin(m->ddr_stream_bytes, bytes);
    return m->ddr_bytes >= 0.01
               ? CYG_OK
               : CYG_FAIL(ctx, CYG_E_CONFIG, "%s %g is next to nothing", name, limit);
}

cyg_status cyg_build_npu_open(cyg_build *b)
{
    b->npu = CYG_NEW(&b->app->arena, cyg_build_npu);
    if (b->npu == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    b->npu->options.kind = b->config.compiler.schedule == CYG_CONFIG_SCHEDULE_baseline
                               ? CYG_NPU_SCHEDULE_BASELINE
                               : CYG_NPU_SCHEDULE_DEFAULT;
    b->npu->options.tries = TRIES;
    return find_machine(b);
}

/* ---- compilation
 * -----------------------------------------------------------------------------------------------------
 */

static bool may_fall_back(const cyg_build *b, uint32_t step)
{
    const cyg_npu_options *o = &b->npu->options;
    for (uint32_t i = 0; i < o->part_count; i++)
        if (o->parts[i].first <= step && step <= o->parts[i].last)
            return cyg_build_npu_setting(b, i)->cpu_fallback;
    return b->config.compiler.cpu_fallback;
}

/* Every step that stays on the CPU, with its reason; an error when that is not wanted. */
static cyg_status tell_refusals(cyg_build *b, const cyg_program *p, const cyg_npu_result *r)
{
    cyg_strbuf text = {0};
    bool allowed = true;
    for (uint32_t i = 0; i < r->refusal_count; i++) {
        cyg_strbuf_printf(&text, "%s%s: %s", i > 0 ? "\n         " : "",
                          p->steps[r->refusals[i].step].name, r->refusals[i].reason);
        allowed = allowed && may_fall_back(b, r->refusals[i].step);
    }
    cyg_status status = CYG_OK;
    if (r->refusal_count == 0)
        return CYG_OK;
    if (!allowed)
        status =
            CYG_FAIL(&b->app->ctx, CYG_E_UNSUPPORTED,
                     "%u of %u steps are not for the NPU, and cpu_fallback is off:\n         %s",
                     r->refusal_count, p->step_count, text.data != NULL ? text.data : "");
    else
        cyg_note(&b->app->ctx, "%u of %u steps run on the CPU:\n         %s", r->refusal_count,
                 p->step_count, text.data != NULL ? text.data : "");
    cyg_strbuf_deinit(&text);
    return status;
}

/* The subgraphs of one program as the package holds them, and the rest of it. */
static cyg_status make_subgraphs(cyg_build *b, uint32_t index, cyg_program *sealed,
                                 cyg_subgraph *subgraphs, uint32_t *count)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_arena *arena = &b->app->arena;
    const cyg_npu_result *r = &b->npu->results[index];
    if (*count + r->subgraph_count > CYG_PACKAGE_MOST_SUBGRAPHS)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "%u subgraphs, a package holds %d",
                        *count + r->subgraph_count, CYG_PACKAGE_MOST_SUBGRAPHS);
    for (uint32_t i = 0; i < r->subgraph_count; i++) {
        const cyg_npu_subgraph *s = &r->subgraphs[i];
        cyg_subgraph *g = &subgraphs[(*count)++];
        *g = (cyg_subgraph){.name = cyg_arena_printf(arena, "subgraph_npu_%u", i),
                            .program = index,
                            .first_step = s->first,
                            .step_count = s->last - s->first + 1};
        if (g->name == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        CYG_DO(cyg_npu_program_check(ctx, &s->options->machine, &s->program));
        CYG_DO(cyg_npu_subgraph_make(ctx, &s->options->machine, &s->program, arena, g));
    }
    return cyg_target_npu_seal(ctx, &b->programs[index], r, arena, sealed);
}

/* What the plain schedule would take, for comparison: cycles by subgraph. Partitions are the same
 * unless memory decided otherwise; then there is nothing to compare. */
static cyg_status compile_baseline(cyg_ctx *ctx, void *arg)
{
    cyg_build_npu *npu = arg;
    const cyg_npu_result *own = &npu->results[npu->shown];
    cyg_npu_options options = npu->options;
    cyg_npu_result r;
    cyg_arena arena;
    options.kind = CYG_NPU_SCHEDULE_BASELINE;
    cyg_arena_init(&arena);
    const cyg_status status = cyg_target_npu_compile(ctx, npu->shown_program, &options, &arena, &r);
    if (status == CYG_OK && r.subgraph_count == own->subgraph_count) {
        for (uint32_t i = 0; i < r.subgraph_count; i++)
            npu->baseline[i] = r.subgraphs[i].schedule.cycles;
        npu->baseline_known = true;
        npu->baseline_ms = r.estimated_ms;
    }
    cyg_arena_deinit(&arena);
    return status;
}

static cyg_status begin_baseline(cyg_build *b)
{
    cyg_build_npu *npu = b->npu;
    if (npu->options.kind == CYG_NPU_SCHEDULE_BASELINE)
        return CYG_OK;
    npu->shown_program = &b->programs[npu->shown];
    npu->baseline =
        CYG_NEW_ARRAY(&b->app->arena, int64_t, (size_t)npu->results[npu->shown].subgraph_count + 1);
    if (npu->baseline == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    cyg_aside_begin(&b->app->ctx, &npu->comparing, compile_baseline, npu);
    return CYG_OK;
}

/* trace.json and op_profile.csv of the program shown, one folder a subgraph. */
static cyg_status write_traces(cyg_build *b)
{
    const cyg_npu_result *r = &b->npu->results[b->npu->shown];
    const uint32_t batch = b->programs[b->npu->shown].batch;
    for (uint32_t i = 0; i < r->subgraph_count; i++) {
        if (!cyg_build_npu_setting(b, r->subgraphs[i].part)->npu_perf)
            continue;
        const char *trace, *profile,
            *folder = cyg_arena_printf(&b->app->arena, "compiler/debug/subgraph_npu_%u/b%u/", i,
                                       batch > 0 ? batch : 1);
        if (folder == NULL)
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
        const char *first = cyg_arena_printf(&b->app->arena, "%strace.json", folder),
                   *second = cyg_arena_printf(&b->app->arena, "%sop_profile.csv", folder);
        if (first == NULL || second == NULL)
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
        CYG_DO(cyg_build_path(b, first, &trace));
        CYG_DO(cyg_build_path(b, second, &profile));
        CYG_DO(cyg_npu_write_trace(&b->app->ctx, trace, profile, &r->subgraphs[i].options->machine,
                                   &b->programs[b->npu->shown], &r->subgraphs[i], i));
        if (b->npu->trace == NULL)
            b->npu->trace = first;
    }
    return CYG_OK;
}

static void tell_schedule(cyg_build *b)
{
    const cyg_npu_result *r = &b->npu->results[b->npu->shown];
    const cyg_npu_machine *m = &b->npu->options.machine;
    const double most = (double)(m->conv_in * m->conv_out) *
                        (double)cyg_npu_engines_of(m, CYG_NPU_CONV) * (double)r->cycles;
    uint64_t ddr = 0;
    int64_t macs = 0;
    char cycles[32], bytes[32];
    for (uint32_t i = 0; i < r->subgraph_count; i++) {
        const cyg_npu_subgraph *s = &r->subgraphs[i];
        ddr += s->weight_bytes + s->input_bytes + s->output_bytes + s->spill_bytes;
        macs += s->program.macs;
    }
    b->npu->conv_utilisation = most > 0 ? (double)macs / most : 0;
    b->npu->ddr_bytes = ddr;
    cyg_build_end(b, "compile", "%u NPU subgraph%s, %u CPU steps · OCM %.3g of %.3g MiB · DDR %s",
                  r->subgraph_count, r->subgraph_count == 1 ? "" : "s", r->refusal_count,
                  (double)r->ocm_peak_bytes / 1048576, (double)m->ocm_bytes / 1048576,
                  cyg_text_bytes(ddr, bytes));
    cyg_build_end(b, "schedule", "%s cycles = %.2f ms at %lld MHz · CONV busy %.0f %%",
                  cyg_text_count(r->cycles, cycles), r->estimated_ms,
                  (long long)(m->clock_khz / 1000), 100 * b->npu->conv_utilisation);
    cyg_app_print(b->app, "  max_cycle = %s\n", cyg_text_count(r->cycles, cycles));
    if (b->npu->trace != NULL)
        cyg_app_print(b->app, "  %s shows it in Perfetto or chrome://tracing\n", b->npu->trace);
}

cyg_status cyg_build_npu_compile(cyg_build *b, const char *path)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_arena *arena = &b->app->arena;
    cyg_program *sealed = CYG_NEW_ARRAY(arena, cyg_program, b->program_count + 1);
    cyg_subgraph *subgraphs = CYG_NEW_ARRAY(arena, cyg_subgraph, CYG_PACKAGE_MOST_SUBGRAPHS);
    b->npu->results = CYG_NEW_ARRAY(arena, cyg_npu_result, b->program_count + 1);
    if (sealed == NULL || subgraphs == NULL || b->npu->results == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    uint32_t count = 0;
    CYG_DO(cyg_build_npu_compile_programs(b));
    CYG_DO(begin_baseline(b));
    const uint32_t n = b->program_count;
    CYG_DO(cyg_target_npu_share(ctx, b->npu->results, n, arena));
    for (uint32_t i = 0; i < n; i++)
        CYG_DO(make_subgraphs(b, i, &sealed[i], subgraphs, &count));
    CYG_DO(tell_refusals(b, &b->programs[b->npu->shown], &b->npu->results[b->npu->shown]));
    cyg_strbuf meta = {0};
    cyg_build_write_meta(b, &meta);
    const cyg_package_content content = {.programs = sealed,
                                         .program_count = n,
                                         .subgraphs = subgraphs,
                                         .subgraph_count = count,
                                         .meta_json = meta.data};
    const cyg_status status = meta.failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                                          : cyg_package_write_content(ctx, path, &content);
    cyg_strbuf_deinit(&meta);
    CYG_DO(status);
    CYG_DO(write_traces(b));
    tell_schedule(b);
    return CYG_OK;
}

/* ---- records
 * ----------------------------------------------------------------------------------------------------------
 */

static void write_subgraph(const cyg_build *b, const cyg_npu_subgraph *s, uint32_t number,
                           cyg_json *j)
{
    char name[32];
    snprintf(name, sizeof name, "subgraph_npu_%u", number);
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "name", name);
    cyg_json_key_string(j, "type", "GraphType.NPU");
    if (s->part != UINT32_MAX)
        cyg_json_key_int(j, "sub_config", s->part);
    cyg_json_key_string(j, "first_step", b->program.steps[s->first].name);
    cyg_json_key_int(j, "steps", s->last - s->first + 1);
    cyg_json_key_int(j, "instructions", s->program.instr_count);
    cyg_json_key_int(j, "cycles", s->schedule.cycles);
    cyg_json_key_int(j, "macs", s->program.macs);
    cyg_json_key_int(j, "ocm_peak_bytes", (int64_t)s->schedule.ocm_peak_bytes);
    cyg_json_key_int(j, "weight_bytes", (int64_t)s->weight_bytes);
    cyg_json_key_int(j, "input_bytes", (int64_t)s->input_bytes);
    cyg_json_key_int(j, "output_bytes", (int64_t)s->output_bytes);
    cyg_json_key_int(j, "spill_bytes", (int64_t)s->spill_bytes);
    cyg_json_key_int(j, "attempts", s->attempts);
    cyg_json_key_bool(j, "keeps_more_constants", s->keeps_more);
    cyg_json_end_object(j);
}

void cyg_build_npu_write(const cyg_build *b, cyg_json *j)
{
    const cyg_npu_machine *m = &b->npu->options.machine;
    const cyg_npu_result *r = &b->npu->results[b->npu->shown];
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)cyg_npu_machine_hash(m));
    cyg_json_key_string(j, "npu_mode", m->mode);
    cyg_json_key_string(j, "machine_hash", hash);
    cyg_json_key_string(j, "schedule",
                        b->npu->options.kind == CYG_NPU_SCHEDULE_BASELINE ? "baseline" : "default");
    cyg_json_key_int(j, "max_cycle", r->cycles);
    cyg_json_key_double(j, "estimated_ms", r->estimated_ms);
    if (b->npu->baseline_known)
        cyg_json_key_double(j, "baseline_ms", b->npu->baseline_ms);
    cyg_json_key_double(j, "conv_utilisation", b->npu->conv_utilisation);
    cyg_json_key_int(j, "ddr_bytes", (int64_t)b->npu->ddr_bytes);
    cyg_json_key_int(j, "ocm_peak_bytes", (int64_t)r->ocm_peak_bytes);
    cyg_json_key_int(j, "simulated_samples", (int64_t)b->npu->checked);
    cyg_json_key(j, "subgraphs");
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i < r->subgraph_count; i++)
        write_subgraph(b, &r->subgraphs[i], i, j);
    cyg_json_end_array(j);
    cyg_json_key(j, "cpu_steps");
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i < r->refusal_count; i++) {
        cyg_json_begin_object(j);
        cyg_json_key_string(j, "name", b->program.steps[r->refusals[i].step].name);
        cyg_json_key_string(j, "reason", r->refusals[i].reason);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
}

cyg_status cyg_build_npu_record(const cyg_build *b, cyg_json *j)
{
    cyg_json_key(j, "npu");
    return cyg_npu_write_record(&b->app->ctx, j, &b->npu->options.machine,
                                &b->programs[b->npu->shown], &b->npu->results[b->npu->shown],
                                b->npu->baseline_known ? b->npu->baseline : NULL);
}

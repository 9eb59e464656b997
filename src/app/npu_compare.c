/* Two sessions in lock step, not at the same time: the CPU's runs first and every output of a step
 * is kept, then the NPU's. Its subgraphs come as one call with all of their steps, so the first
 * difference met is that of the first step in the program's order: what follows from it comes
 * later. */
#include "app/npu_compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/values.h"
#include "rt/model.h"

struct cyg_npu_compare {
    cyg_app *app;
    cyg_npu_compare_options options;
    cyg_sim_device device;
    cyg_session *sessions[CYG_NPU_COMPARE_SIDES];
    cyg_arena arena;
    void ***kept; /* by step of the session and output: the CPU's */
    size_t compared;
    cyg_status status; /* of the first difference */
};

/* ---- the CPU's side ---- */

static cyg_status make_room(cyg_npu_compare *c)
{
    const cyg_session *s = c->sessions[CYG_NPU_COMPARE_CPU];
    const cyg_tensor *t;
    uint32_t steps = 0;
    while (cyg_session_step_name(s, steps) != NULL)
        steps++;
    c->kept = CYG_NEW_ARRAY(&c->arena, void **, (size_t)steps + 1);
    for (uint32_t i = 0; c->kept != NULL && i < steps; i++) {
        uint32_t count = 0;
        while (cyg_session_step_tensor(s, i, count) != NULL)
            count++;
        c->kept[i] = CYG_NEW_ARRAY(&c->arena, void *, (size_t)count + 1);
        for (uint32_t k = 0; k < count; k++) {
            t = cyg_session_step_tensor(s, i, k);
            if (c->kept[i] != NULL)
                c->kept[i][k] = cyg_arena_zalloc(&c->arena, cyg_tensor_bytes(t) + 1, 64);
            if (c->kept[i] == NULL || c->kept[i][k] == NULL)
                return CYG_FAIL(&c->app->ctx, CYG_E_NOMEM, "out of memory for the CPU's tensors");
        }
    }
    return c->kept != NULL ? CYG_OK : CYG_FAIL(&c->app->ctx, CYG_E_NOMEM, "out of memory");
}

static void keep_step(void *user, uint32_t step, const char *name, double seconds)
{
    cyg_npu_compare *c = user;
    const cyg_session *s = c->sessions[CYG_NPU_COMPARE_CPU];
    const cyg_tensor *t;
    (void)name;
    (void)seconds;
    for (uint32_t k = 0; (t = cyg_session_step_tensor(s, step, k)) != NULL; k++)
        memcpy(c->kept[step][k], cyg_session_step_output(s, step, k), cyg_tensor_bytes(t));
}

/* ---- the NPU's side ---- */

/* What is being compared: an output of a step. */
typedef struct result {
    uint32_t step, output;        /* of the session */
    const cyg_sim_loaded *loaded; /* that ran it; NULL = the CPU did */
    uint32_t number;              /* of the step in the subgraph */
    bool copy;                    /* what was stored to the DDR of what lies in the OCM */
    cyg_engine_tensor tensor;
} result;

/* "; instruction 12 of subgraph_npu_0 wrote it: conv.linear on conv3, group 0, tile 4" */
static void tell_writer(const result *r, uint64_t byte, cyg_strbuf *out)
{
    uint32_t at;
    const cyg_sim_loaded *l = r->loaded;
    if (l == NULL)
        cyg_strbuf_puts(out, "; the CPU ran this step");
    if (l == NULL || !cyg_sim_tap_writer(l->program, r->number, r->output, r->copy, byte, &at))
        return;
    const cyg_npu_instr *instr = &l->program->instrs[at];
    const cyg_npu_engine engine = cyg_npu_engine_at(l->machine, instr->engine);
    cyg_strbuf_printf(
        out, "; instruction %" PRIu32 " of %s wrote it: %s on %s, group %" PRIu32 ", tile %" PRIu32,
        at, l->subgraph->name, cyg_npu_op_info_of(instr->op)->mnemonic, engine.lane, engine.group,
        instr->tile);
}

static cyg_status differs(const cyg_npu_compare *c, const result *r, size_t at,
                          const void *expected, const void *found)
{
    const cyg_engine_tensor *t = &r->tensor;
    const size_t n = cyg_engine_elements(t), size = t->bytes / n;
    cyg_strbuf where = {0}, shape = {0};
    size_t count = 0;
    for (size_t i = at; i < n; i++)
        count +=
            memcmp((const char *)expected + i * size, (const char *)found + i * size, size) != 0;
    tell_writer(r, (uint64_t)at * size, &where);
    cyg_engine_describe(t, &shape);
    const cyg_status status = CYG_FAIL(
        &c->app->ctx, CYG_E_CHECK,
        "step %u \"%s\" is the first whose result on the simulated NPU is not the CPU's: tensor "
        "\"%s\" (%s)%s differs in %zu of %zu elements, first in element %zu: expected %.9g, found "
        "%.9g%s",
        r->step, cyg_session_step_name(c->sessions[CYG_NPU_COMPARE_NPU], r->step), t->name,
        shape.data != NULL ? shape.data : "", r->copy ? " as stored to the DDR" : "", count, n, at,
        cyg_engine_value(t, expected, at), cyg_engine_value(t, found, at),
        where.data != NULL ? where.data : "");
    cyg_strbuf_deinit(&where);
    cyg_strbuf_deinit(&shape);
    return status;
}

static void compare_result(cyg_npu_compare *c, const result *r, const void *found)
{
    const void *expected = c->kept[r->step][r->output];
    size_t at;
    if (found == NULL)
        c->status = CYG_FAIL(&c->app->ctx, CYG_E_INTERNAL, "nothing was kept of step \"%s\"",
                             cyg_session_step_name(c->sessions[CYG_NPU_COMPARE_NPU], r->step));
    else if (!cyg_values_equal(&r->tensor, expected, found, &at))
        c->status = differs(c, r, at, expected, found);
}

static void compare_step(cyg_npu_compare *c, uint32_t step)
{
    const cyg_session *s = c->sessions[CYG_NPU_COMPARE_NPU];
    const cyg_tensor *t;
    result r = {.step = step, .loaded = c->device.first};
    const cyg_subgraph *g = cyg_session_step_subgraph(s, step, &r.number);
    while (r.loaded != NULL && r.loaded->subgraph != g)
        r.loaded = r.loaded->next;
    for (; c->status == CYG_OK && (t = cyg_session_step_tensor(s, step, r.output)) != NULL;
         r.output++) {
        r.tensor = (cyg_engine_tensor){.name = t->name,
                                       .type = (cyg_type)t->type,
                                       .rank = t->rank,
                                       .bytes = cyg_tensor_bytes(t)};
        memcpy(r.tensor.dims, t->dims, sizeof r.tensor.dims);
        if (r.tensor.bytes == 0 ||
            (c->options.skips != NULL && c->options.skips(c->options.user, t->name)))
            continue;
        r.copy = false;
        compare_result(c, &r, cyg_session_step_output(s, step, r.output));
        r.copy = true;
        const void *copy =
            r.loaded != NULL ? cyg_sim_tapped_copy(r.loaded->sim, r.number, r.output) : NULL;
        if (c->status == CYG_OK && copy != NULL)
            compare_result(c, &r, copy);
        c->compared++;
    }
}

static void compare_steps(void *user, uint32_t step, const char *name, double seconds)
{
    cyg_npu_compare *c = user;
    const uint32_t end = step + cyg_session_step_covers(c->sessions[CYG_NPU_COMPARE_NPU], step);
    (void)name;
    (void)seconds;
    for (; step < end; step++)
        compare_step(c, step);
}

/* ---- both ---- */

static cyg_status open_session(cyg_npu_compare *c, int side, const cyg_model *model)
{
    const cyg_executor *executors[] = {&c->device.executor};
    cyg_session_options options;
    cyg_session_options_init(&options);
    options.patient = 1;
    options.threads = cyg_pool_threads(c->app->ctx.pool);
    options.batch = c->options.batch;
    options.executors = executors;
    options.executor_count = side == CYG_NPU_COMPARE_NPU ? 1 : 0;
    if (c->options.layers)
        options.on_step = side == CYG_NPU_COMPARE_NPU ? compare_steps : keep_step;
    options.user = c;
    return cyg_app_rt(c->app, cyg_session_create(model, &options, &c->sessions[side]));
}

/* The same steps in both, or nothing can be said about layers. */
static cyg_status check_alike(const cyg_npu_compare *c)
{
    const cyg_session *cpu = c->sessions[CYG_NPU_COMPARE_CPU],
                      *npu = c->sessions[CYG_NPU_COMPARE_NPU];
    const cyg_tensor *a, *b;
    uint32_t step = 0;
    bool same = true;
    for (; same && cyg_session_step_name(cpu, step) != NULL; step++) {
        const char *name = cyg_session_step_name(npu, step);
        same = name != NULL && strcmp(name, cyg_session_step_name(cpu, step)) == 0;
        for (uint32_t k = 0; same && (a = cyg_session_step_tensor(cpu, step, k)) != NULL; k++) {
            b = cyg_session_step_tensor(npu, step, k);
            same = b != NULL && a->type == b->type && cyg_tensor_bytes(a) == cyg_tensor_bytes(b);
        }
    }
    return same && cyg_session_step_name(npu, step) == NULL
               ? CYG_OK
               : CYG_FAIL(
                     &c->app->ctx, CYG_E_USAGE,
                     "the two packages do not have the same steps: there is nothing to compare");
}

cyg_status cyg_npu_compare_open(cyg_app *app, const cyg_model *cpu, const cyg_model *npu,
                                const cyg_npu_compare_options *options,
                                cyg_npu_compare **out_compare)
{
    const cyg_sim_options sim = {.taps = options->layers};
    cyg_npu_compare *c = calloc(1, sizeof *c);
    *out_compare = NULL;
    if (c == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    *c = (cyg_npu_compare){.app = app, .options = *options};
    cyg_arena_init(&c->arena);
    cyg_sim_device_init(&c->device, &sim);
    cyg_status status = open_session(c, CYG_NPU_COMPARE_CPU, cpu);
    if (status == CYG_OK)
        status = open_session(c, CYG_NPU_COMPARE_NPU, npu);
    if (status == CYG_OK)
        status = check_alike(c);
    if (status == CYG_OK && options->layers)
        status = make_room(c);
    if (status != CYG_OK) {
        cyg_npu_compare_close(c);
        return status;
    }
    *out_compare = c;
    return CYG_OK;
}

void cyg_npu_compare_close(cyg_npu_compare *c)
{
    if (c == NULL)
        return;
    for (int side = CYG_NPU_COMPARE_SIDES; side-- > 0;)
        cyg_session_destroy(c->sessions[side]);
    cyg_arena_deinit(&c->arena);
    free(c);
}

cyg_session *cyg_npu_compare_session(const cyg_npu_compare *c, int side)
{
    return c->sessions[side];
}

const cyg_sim_device *cyg_npu_compare_device(const cyg_npu_compare *c)
{
    return &c->device;
}

size_t cyg_npu_compare_tensors(const cyg_npu_compare *c)
{
    return c->compared;
}

static cyg_status compare_output(const cyg_npu_compare *c, uint32_t i, const cyg_tensor_info *info)
{
    const uint8_t *cpu = cyg_session_output(c->sessions[CYG_NPU_COMPARE_CPU], i),
                  *npu = cyg_session_output(c->sessions[CYG_NPU_COMPARE_NPU], i);
    size_t at = 0;
    if (memcmp(cpu, npu, info->bytes) == 0)
        return CYG_OK;
    while (cpu[at] == npu[at])
        at++;
    return CYG_FAIL(&c->app->ctx, CYG_E_CHECK,
                    "output \"%s\" of the simulated NPU differs from the CPU's at byte %zu of %zu",
                    info->name, at, info->bytes);
}

cyg_status cyg_npu_compare_run(cyg_npu_compare *c)
{
    cyg_session *cpu = c->sessions[CYG_NPU_COMPARE_CPU];
    cyg_tensor_info info = {.struct_size = sizeof info};
    c->status = CYG_OK;
    for (int side = 0; side < CYG_NPU_COMPARE_SIDES; side++)
        CYG_DO(cyg_app_rt(c->app, cyg_session_run(c->sessions[side])));
    CYG_DO(c->status);
    for (uint32_t i = 0; cyg_session_output(cpu, i) != NULL; i++) {
        CYG_DO(cyg_app_rt(c->app, cyg_session_output_info(cpu, i, &info)));
        CYG_DO(compare_output(c, i, &info));
    }
    return CYG_OK;
}

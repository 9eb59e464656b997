/* The comparison behind compiler.check_mode CheckPerLayer: a package that is right passes, one with
 * a single damaged instruction or constant is caught at the very step that it belongs to. */
#include "../target/npu_zoo.h"

#include "app/npu_compare.h"
#include "base/file.h"
#include "format/package.h"
#include "npu/code.h"
#include "npu/subgraph.h"
#include "target/cpu/cpu.h"
#include "target/npu/npu.h"

typedef struct pair {
    cyg_app app;
    zoo z;
    cyg_arena arena;
    cyg_npu_machine machine;
    cyg_npu_options options;
    cyg_npu_result compiled;
    cyg_program sealed;
    cyg_model *cpu;
    const char *path; /* of the NPU's package */
    uint64_t random;
} pair;

static uint32_t next_random(pair *p)
{
    p->random = p->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(p->random >> 33);
}

static void write_cpu(pair *p, const char *path)
{
    cyg_program placed = p->z.p;
    placed.tensors =
        cyg_arena_memdup(&p->arena, placed.tensors, sizeof *placed.tensors * placed.tensor_count);
    OK(&p->app.ctx, cyg_target_place(&p->app.ctx, &placed, NULL, 0, &p->arena));
    OK(&p->app.ctx, cyg_package_write(&p->app.ctx, path, &placed, 1, "{}"));
    assert_int_equal(cyg_model_open(path, &p->cpu), 0);
}

/* The NPU's package, with one subgraph's program and parameters replaced. */
static void write_npu(pair *p, uint32_t changed, const cyg_npu_program *program)
{
    cyg_subgraph list[CYG_PACKAGE_MOST_SUBGRAPHS];
    for (uint32_t i = 0; i < p->compiled.subgraph_count; i++) {
        const cyg_npu_subgraph *s = &p->compiled.subgraphs[i];
        list[i] = (cyg_subgraph){.name = cyg_arena_printf(&p->arena, "subgraph_npu_%u", i),
                                 .first_step = s->first,
                                 .step_count = s->last - s->first + 1};
        OK(&p->app.ctx,
           cyg_npu_subgraph_make(&p->app.ctx, &p->machine,
                                 program != NULL && i == changed ? program : &s->program, &p->arena,
                                 &list[i]));
    }
    const cyg_package_content content = {.programs = &p->sealed,
                                         .program_count = 1,
                                         .subgraphs = list,
                                         .subgraph_count = p->compiled.subgraph_count,
                                         .meta_json = "{}"};
    OK(&p->app.ctx, cyg_package_write_content(&p->app.ctx, p->path, &content));
}

static void pair_begin(pair *p, void **state, uint64_t seed, const char *chip, const char *mode,
                       int64_t ocm)
{
    *p = (pair){.random = seed};
    cyg_ctx_init(&p->app.ctx);
    cyg_arena_init(&p->app.arena);
    cyg_arena_init(&p->arena);
    if (seed % 2 == 0)
        zoo_token_net(&p->z, seed);
    else
        zoo_picture_net(&p->z, seed);
    p->z.p.batch = 1;
    OK(&p->app.ctx, cyg_npu_machine_find(&p->app.ctx, &p->arena, chip, mode, &p->machine));
    if (ocm > 0)
        p->machine.ocm_bytes = ocm;
    p->options = (cyg_npu_options){.machine = p->machine,
                                   .kind = seed % 3 == 0 ? CYG_NPU_SCHEDULE_BASELINE
                                                         : CYG_NPU_SCHEDULE_DEFAULT};
    OK(&p->app.ctx,
       cyg_target_npu_compile(&p->app.ctx, &p->z.p, &p->options, &p->arena, &p->compiled));
    OK(&p->app.ctx, cyg_target_npu_seal(&p->app.ctx, &p->z.p, &p->compiled, &p->arena, &p->sealed));
    p->path = strdup(scratch_path(state, "npu.cyg"));
    write_cpu(p, scratch_path(state, "cpu.cyg"));
}

static void pair_end(pair *p)
{
    cyg_model_close(p->cpu);
    cyg_arena_deinit(&p->z.arena);
    cyg_arena_deinit(&p->arena);
    cyg_arena_deinit(&p->app.arena);
    free((void *)(uintptr_t)p->path);
}

/* CYG_OK, or why not; the message is the context's first. */
static cyg_status compare(pair *p, bool (*skips)(void *, const char *), size_t *out_tensors)
{
    const cyg_npu_compare_options options = {.batch = 1, .layers = true, .skips = skips, .user = p};
    cyg_npu_compare *c;
    cyg_model *npu;
    cyg_tensor_info info = {.struct_size = sizeof info};
    cyg_ctx_init(&p->app.ctx);
    CYG_DO(cyg_app_rt(&p->app, cyg_model_open(p->path, &npu)));
    cyg_status status = cyg_npu_compare_open(&p->app, p->cpu, npu, &options, &c);
    if (status == CYG_OK) {
        for (int side = 0; side < CYG_NPU_COMPARE_SIDES; side++) {
            cyg_session *s = cyg_npu_compare_session(c, side);
            assert_int_equal(cyg_session_input_info(s, 0, &info), 0);
            for (size_t i = 0; i < info.bytes; i++)
                ((uint8_t *)cyg_session_input(s, 0))[i] = (uint8_t)(i * 151 % 251 + i / 7);
        }
        status = cyg_npu_compare_run(c);
        if (out_tensors != NULL)
            *out_tensors = cyg_npu_compare_tensors(c);
        cyg_npu_compare_close(c);
    }
    cyg_model_close(npu);
    return status;
}

static const char *message(const pair *p)
{
    return cyg_ctx_message_count(&p->app.ctx) > 0 ? cyg_ctx_message(&p->app.ctx, 0) : "";
}

static const char *const machines[][2] = {
    {"AX650", "NPU1"}, {"AX650", "NPU3"}, {"AX620E", "NPU1"}, {"AX650", "NPU2"}};

static void what_is_right_passes(void **state)
{
    for (uint64_t seed = 1; seed <= 16; seed++) {
        pair p;
        size_t tensors = 0;
        pair_begin(&p, state, seed, machines[seed % 4][0], machines[seed % 4][1],
                   seed % 3 == 0 ? 16384 : 0);
        write_npu(&p, 0, NULL);
        if (compare(&p, NULL, &tensors) != CYG_OK)
            fail_msg("seed %u: %s", (unsigned)seed, message(&p));
        assert_true(tensors >= p.z.p.step_count);
        pair_end(&p);
    }
}

/* A copy of a program in which instruction `at` is the caller's to change. */
static cyg_npu_instr *change(pair *p, const cyg_npu_program *from, uint32_t at,
                             cyg_npu_program *out)
{
    *out = *from;
    cyg_npu_instr *instrs =
        cyg_arena_memdup(&p->arena, from->instrs, sizeof *instrs * from->instr_count);
    out->instrs = instrs;
    return &instrs[at];
}

/* What the parameters' byte `at` is of: the first step that loads it. */
static uint32_t step_of_param(const cyg_npu_program *p, uint64_t at)
{
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < p->instr_count; i++) {
        const cyg_npu_view *x = &p->instrs[i].operands[0];
        if (p->instrs[i].in_count > 0 && x->space == CYG_NPU_PARAM && x->offset <= at &&
            at - x->offset < cyg_npu_view_extent(x) && p->instrs[i].step < first)
            first = p->instrs[i].step;
    }
    return first;
}

/* One bit of a constant. UINT32_MAX: nothing loads it. */
static uint32_t damage_constant(pair *p, const cyg_npu_program *from, cyg_npu_program *out)
{
    *out = *from;
    if (from->param_bytes == 0)
        return UINT32_MAX;
    uint8_t *params = cyg_arena_alloc(&p->arena, (size_t)from->param_bytes + 64, 64);
    memcpy(params, from->params, (size_t)from->param_bytes);
    const uint64_t at = next_random(p) % from->param_bytes;
    params[at] ^= (uint8_t)(1u << next_random(p) % 7);
    out->params = params;
    return step_of_param(from, at);
}

/* An instruction that reads elsewhere. UINT32_MAX: then the program would be none. */
static uint32_t damage_instruction(pair *p, const cyg_npu_program *from, cyg_npu_program *out)
{
    const uint32_t at = next_random(p) % from->instr_count;
    cyg_npu_instr *instr = change(p, from, at, out);
    const uint32_t count = (uint32_t)instr->in_count + instr->out_count;
    if (instr->in_count == 0)
        return UINT32_MAX;
    cyg_npu_view *views = cyg_arena_memdup(&p->arena, instr->operands, sizeof *views * count);
    cyg_npu_view *x = &views[next_random(p) % instr->in_count];
    const cyg_npu_view one = {.type = x->type};
    instr->operands = views;
    if (x->type == 0 || x->space == CYG_NPU_CODE)
        return UINT32_MAX;
    x->offset += (next_random(p) % 2 == 0 ? 1 : 8) * cyg_npu_view_bytes(&one);
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    return cyg_npu_program_check(&ctx, &p->machine, out) == CYG_OK ? instr->step : UINT32_MAX;
}

/* Every difference is told as one of the step that was damaged. */
static void damage_is_named(void **state)
{
    size_t named = 0, harmless = 0, refused = 0, as_stored = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        pair p;
        pair_begin(&p, state, seed, machines[seed % 4][0], machines[seed % 4][1],
                   seed % 3 == 0 ? 16384 : 0);
        for (int round = 0; round < 60; round++) {
            const uint32_t which = next_random(&p) % p.compiled.subgraph_count;
            const cyg_npu_subgraph *s = &p.compiled.subgraphs[which];
            cyg_npu_program bad;
            char expected[64];
            const uint32_t step = round % 2 == 0 ? damage_constant(&p, &s->program, &bad)
                                                 : damage_instruction(&p, &s->program, &bad);
            if (step == UINT32_MAX)
                continue;
            write_npu(&p, which, &bad);
            const cyg_status status = compare(&p, NULL, NULL);
            if (status == CYG_OK) { /* saturated, rounded away, or equal bytes there */
                harmless++;
                continue;
            }
            if (status != CYG_E_CHECK || strstr(message(&p), "is the first whose result") == NULL) {
                refused++; /* a kernel does not take it */
                continue;
            }
            snprintf(expected, sizeof expected, "\"step%u\" is the first", s->first + step);
            if (strstr(message(&p), expected) == NULL)
                fail_msg("seed %u, round %d: damaged step %u, told \"%s\"", (unsigned)seed, round,
                         s->first + step, message(&p));
            assert_non_null(strstr(message(&p), " wrote it: "));
            as_stored += strstr(message(&p), "as stored to the DDR") != NULL;
            named++;
        }
        pair_end(&p);
    }
    print_message("%zu named, %zu of them as stored, %zu without effect, %zu refused\n", named,
                  as_stored, harmless, refused);
    assert_true(named > 150 && as_stored > 0);
}

static bool skip_all(void *user, const char *tensor)
{
    (void)user;
    (void)tensor;
    return true;
}

/* What is left out is not compared; the outputs always are. */
static void skipped_tensors(void **state)
{
    pair p;
    size_t tensors = 1;
    pair_begin(&p, state, 2, "AX650", "NPU1", 0);
    write_npu(&p, 0, NULL);
    OK(&p.app.ctx, compare(&p, skip_all, &tensors));
    assert_int_equal(tensors, 0);
    const cyg_npu_program *program = &p.compiled.subgraphs[0].program;
    for (uint32_t i = program->instr_count; i-- > 0;) {
        cyg_npu_program bad;
        cyg_npu_instr *instr = change(&p, program, i, &bad);
        cyg_npu_view views[2];
        if (instr->op != CYG_NPU_OP_ST || instr->operands[1].space != CYG_NPU_IO)
            continue;
        memcpy(views, instr->operands, sizeof views);
        views[0].offset = 0;
        instr->operands = views;
        write_npu(&p, 0, &bad);
        assert_int_equal(compare(&p, skip_all, NULL), CYG_E_CHECK);
        assert_non_null(strstr(message(&p), "of the simulated NPU differs from the CPU's at byte"));
        break;
    }
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_right_passes, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(damage_is_named, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(skipped_tensors, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}

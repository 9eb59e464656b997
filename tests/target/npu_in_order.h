/* A program of the NPU executed one instruction after another, in the plainest way there is:
 * operands are copied out of their memories, the kernel runs, results are copied back. It knows no
 * engines, waits or cycles; it asks only whether tiling and placement give the CPU's bytes. */
#ifndef CYG_TESTS_NPU_IN_ORDER_H
#define CYG_TESTS_NPU_IN_ORDER_H

#include "../testing.h"

#include "base/cpu.h"
#include "kernels/call.h"
#include "kernels/dispatch.h"
#include "sim/sim.h"
#include "target/npu/npu.h"

/* ---- one kernel call on dense buffers ---- */

static inline void run_kernel(int32_t op, const cyg_kbuf *in, uint32_t in_count,
                              const cyg_kbuf *out, uint32_t out_count, const void *params,
                              const char *where)
{
    const cyg_kop_info *info = cyg_kop_info_of(op);
    cyg_cpu_level_id level;
    assert_non_null(info);
    assert_int_equal(cyg_cpu_level(NULL, &level), CYG_OK);
    cyg_kcall call = {.op = op,
                      .in_count = in_count,
                      .out_count = out_count,
                      .in = in,
                      .out = out,
                      .params = params,
                      .isa = cyg_kernels_for((int)level)};
    const char *why = info->check(&call);
    if (why != NULL)
        fail_msg("%s: kernel %s refuses: %s", where, info->name, why);
    void *prepared = NULL, *scratch = NULL;
    const size_t size = info->prepare_size != NULL ? info->prepare_size(&call) : 0;
    if (size > 0) {
        prepared = aligned_alloc(64, (size + 63) / 64 * 64);
        info->prepare(&call, prepared);
        call.prepared = prepared;
    }
    const size_t room = info->scratch != NULL ? info->scratch(&call) : 0;
    if (room > 0)
        scratch = aligned_alloc(64, (room + 63) / 64 * 64);
    info->run(&call, 0, info->items(&call), scratch);
    free(prepared);
    free(scratch);
}

/* ---- memories ---- */

typedef struct npu_memories {
    const cyg_npu_program *p;
    uint8_t *ocm, *swap;
    uint8_t **io; /* [io_count] lent */
} npu_memories;

static inline uint8_t *npu_bytes(const npu_memories *m, const cyg_npu_view *v)
{
    switch (v->space) {
    case CYG_NPU_OCM:
        return m->ocm + v->offset;
    case CYG_NPU_SWAP:
        return m->swap + v->offset;
    case CYG_NPU_IO:
        return m->io[v->buffer] + v->offset;
    case CYG_NPU_PARAM:
    default: {
        uint8_t *bytes;
        const uint8_t *from = v->space == CYG_NPU_PARAM ? m->p->params : m->p->code;
        memcpy(&bytes, &from, sizeof bytes);
        return bytes + v->offset;
    }
    }
}

static inline void npu_copy(const npu_memories *m, const cyg_npu_view *v, uint8_t *dense,
                            bool to_memory)
{
    uint8_t *base = npu_bytes(m, v);
    const int64_t n = cyg_npu_view_elements(v);
    const size_t size = n > 0 ? cyg_npu_view_bytes(v) / (size_t)n : 0;
    int64_t index[CYG_NPU_RANK] = {0};
    const int last = v->rank - 1;
    const int64_t run = v->rank > 0 ? v->dims[last] : 1;
    for (int64_t i = 0; i < n; i += run) {
        int64_t at = 0;
        for (int d = 0; d < last; d++)
            at += index[d] * v->strides[d];
        for (int64_t k = 0; k < run; k++) {
            uint8_t *element = base + at + (v->rank > 0 ? k * v->strides[last] : 0);
            memcpy(to_memory ? element : dense, to_memory ? dense : element, size);
            dense += size;
        }
        for (int d = last - 1; d >= 0 && ++index[d] == v->dims[d]; d--)
            index[d] = 0;
    }
}

static inline cyg_kbuf npu_dense(const npu_memories *m, const cyg_npu_view *v)
{
    cyg_kbuf b = {.type = v->type, .rank = v->rank, .is_const = 1};
    if (v->type == CYG_TYPE_NONE)
        return b;
    memcpy(b.dims, v->dims, sizeof v->dims);
    b.data = aligned_alloc(64, (cyg_npu_view_bytes(v) + 127) / 64 * 64);
    assert_non_null(b.data);
    npu_copy(m, v, b.data, false);
    return b;
}

static inline void npu_move_rows(const npu_memories *m, const cyg_npu_instr *i)
{
    const cyg_npu_view *x = &i->operands[0], *index = &i->operands[1], *y = &i->operands[2];
    for (int64_t k = 0; k < index->dims[0]; k++) {
        int32_t row;
        memcpy(&row, npu_bytes(m, index) + 4 * k, 4);
        cyg_npu_view from = *x, to = *y;
        from.dims[0] = to.dims[0] = 1;
        const bool scatter = i->op == CYG_NPU_OP_STX;
        from.offset += (uint64_t)((scatter ? k : row) * x->strides[0]);
        to.offset += (uint64_t)((scatter ? row : k) * y->strides[0]);
        cyg_kbuf b = npu_dense(m, &from);
        npu_copy(m, &to, b.data, true);
        free(b.data);
    }
}

static inline void npu_step(const npu_memories *m, const cyg_npu_instr *i)
{
    const cyg_npu_op_info *info = cyg_npu_op_info_of(i->op);
    cyg_kbuf operands[CYG_NPU_MAX_OPERANDS];
    const uint32_t count = (uint32_t)i->in_count + i->out_count;
    if (info->kop == 0 && i->in_count == 2) {
        npu_move_rows(m, i);
        return;
    }
    for (uint32_t k = 0; k < count; k++)
        operands[k] = npu_dense(m, &i->operands[k]);
    if (i->op == CYG_NPU_OP_CV_FILL) {
        const int64_t n = cyg_npu_view_elements(&i->operands[0]);
        const size_t size = cyg_npu_view_bytes(&i->operands[0]) / (size_t)n;
        for (int64_t k = 0; k < n; k++)
            memcpy((uint8_t *)operands[0].data + (size_t)k * size, i->params, size);
    } else if (info->kop == 0) {
        memcpy(operands[1].data, operands[0].data, cyg_npu_view_bytes(&i->operands[0]));
    } else {
        run_kernel(info->kop, operands, i->in_count, operands + i->in_count, i->out_count,
                   i->params, m->p->step_names[i->step]);
    }
    for (uint32_t k = 0; k < count; k++) {
        if (k >= i->in_count)
            npu_copy(m, &i->operands[k], operands[k].data, true);
        free(operands[k].data);
    }
}

/* ---- whole programs ---- */

/* Bytes by tensor (owners), malloc'd; constants are the program's own. */
static inline uint8_t **tensors_new(const cyg_program *p)
{
    uint8_t **data = calloc(p->tensor_count + 1, sizeof *data);
    for (uint32_t t = 0; t < p->tensor_count; t++)
        if (p->tensors[t].kind != CYG_TENSOR_CONST && p->tensors[t].kind != CYG_TENSOR_ALIAS)
            data[t] = calloc(1, (cyg_tensor_bytes(&p->tensors[t]) + 127) / 64 * 64);
    return data;
}

static inline void tensors_free(const cyg_program *p, uint8_t **data)
{
    for (uint32_t t = 0; t < p->tensor_count; t++)
        free(data[t]);
    free(data);
}

static inline void step_on_cpu(const cyg_program *p, uint32_t step, uint8_t **data)
{
    const cyg_step *s = &p->steps[step];
    cyg_kbuf bufs[64] = {{0}};
    assert_true(s->in_count + s->out_count <= 64);
    for (uint32_t i = 0; i < s->in_count + s->out_count; i++) {
        const uint32_t t = i < s->in_count ? s->in[i] : s->out[i - s->in_count];
        if (t == CYG_NO_TENSOR)
            continue;
        uint32_t owner = t;
        while (p->tensors[owner].kind == CYG_TENSOR_ALIAS)
            owner = (uint32_t)p->tensors[owner].offset;
        bufs[i] = (cyg_kbuf){.data = data[owner],
                             .type = p->tensors[t].type,
                             .rank = p->tensors[t].rank,
                             .is_const = p->tensors[owner].kind == CYG_TENSOR_CONST};
        if (bufs[i].is_const)
            memcpy(&bufs[i].data, &p->tensors[owner].data, sizeof bufs[i].data);
        memcpy(bufs[i].dims, p->tensors[t].dims, sizeof bufs[i].dims);
    }
    run_kernel(s->op, bufs, s->in_count, bufs + s->in_count, s->out_count, s->params, s->name);
}

static inline void subgraph_in_order(const cyg_npu_subgraph *s, uint8_t **data)
{
    npu_memories m = {.p = &s->program};
    m.ocm = malloc(s->program.ocm_bytes + 64);
    m.swap = malloc(s->program.swap_bytes + 64);
    m.io = calloc(s->program.io_count + 1, sizeof *m.io);
    memset(m.ocm, 0xa5, s->program.ocm_bytes);
    memset(m.swap, 0xa5, s->program.swap_bytes);
    for (uint32_t i = 0; i < s->program.io_count; i++)
        m.io[i] = data[s->program.io[i].tensor];
    for (uint32_t i = 0; i < s->program.instr_count; i++)
        npu_step(&m, &s->program.instrs[i]);
    free(m.ocm);
    free(m.swap);
    free(m.io);
}

/* Every output of every step as the simulator took it from inside, against the CPU's. */
static inline void check_taps(const cyg_program *p, const cyg_npu_subgraph *s, const cyg_sim *sim,
                              uint8_t *const *cpu)
{
    for (uint32_t i = s->first; i <= s->last; i++)
        for (uint32_t k = 0; k < p->steps[i].out_count; k++) {
            const uint32_t t = p->steps[i].out[k];
            const size_t n = cyg_tensor_bytes(&p->tensors[t]);
            const uint8_t *tapped = cyg_sim_tapped(sim, i - s->first, k);
            if ((tapped == NULL) != (n == 0))
                fail_msg("step \"%s\" has no tap of output %u", p->steps[i].name, k);
            for (size_t b = 0; b < n; b++)
                if (cpu[t][b] != tapped[b])
                    fail_msg("step \"%s\", output %u as tapped differs at byte %zu of %zu",
                             p->steps[i].name, k, b, n);
            const void *copy = cyg_sim_tapped_copy(sim, i - s->first, k);
            if (copy != NULL)
                assert_memory_equal(copy, cpu[t], n);
        }
}

/* The same by the simulator, in an order of its own, which also looks for races and takes what the
 * steps leave. */
static inline void subgraph_simulated(const cyg_npu_machine *m, const cyg_program *p,
                                      const cyg_npu_subgraph *s, uint8_t **data,
                                      uint8_t *const *cpu, cyg_sim_options options)
{
    static cyg_ctx ctx;
    cyg_sim *sim;
    cyg_cpu_level_id level;
    cyg_ctx_init(&ctx);
    options.taps = true;
    assert_int_equal(cyg_cpu_level(NULL, &level), CYG_OK);
    if (cyg_sim_create(&ctx, m, &s->program, &options, NULL, (int)level, &sim) != CYG_OK)
        fail_msg("%s / %s", cyg_ctx_message(&ctx, 0),
                 cyg_ctx_message(&ctx, cyg_ctx_message_count(&ctx) - 1));
    for (uint32_t i = 0; i < s->program.io_count; i++)
        cyg_sim_bind(sim, i, data[s->program.io[i].tensor]);
    if (cyg_sim_run(&ctx, sim) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
    assert_int_equal(cyg_sim_timing(sim)->cycles, s->schedule.cycles);
    check_taps(p, s, sim, cpu);
    cyg_sim_destroy(sim);
}

/* What p computes on the CPU from inputs filled by seed: every tensor's bytes (tensors_free). */
static inline uint8_t **run_on_cpu(const cyg_program *p, uint32_t seed)
{
    uint8_t **cpu = tensors_new(p);
    for (uint32_t i = 0; i < p->input_count; i++) {
        const cyg_tensor *t = &p->tensors[p->inputs[i]];
        const size_t n = cyg_tensor_bytes(t);
        for (size_t k = 0; k < n; k++) {
            seed = seed * 1664525u + 1013904223u;
            cpu[p->inputs[i]][k] = (uint8_t)(seed >> 24);
        }
        for (size_t k = 0; t->type == CYG_TYPE_F32 && k < n / 4; k++) {
            const float v = (float)(int8_t)cpu[p->inputs[i]][4 * k] / 48.0f;
            memcpy(cpu[p->inputs[i]] + 4 * k, &v, 4);
        }
    }
    for (uint32_t i = 0; i < p->step_count; i++)
        step_on_cpu(p, i, cpu);
    return cpu;
}

/* Runs p's subgraphs on the NPU, in order or as `order` says, the rest on the CPU; every tensor
 * that both have must be equal to the CPU's, those inside a subgraph too where the simulator runs
 * it. */
static inline void check_against(const cyg_npu_machine *m, const cyg_program *p,
                                 const cyg_npu_result *r, uint8_t **cpu,
                                 const cyg_sim_options *order)
{
    uint8_t **npu = tensors_new(p);
    for (uint32_t i = 0; i < p->input_count; i++)
        memcpy(npu[p->inputs[i]], cpu[p->inputs[i]], cyg_tensor_bytes(&p->tensors[p->inputs[i]]));
    uint32_t next = 0;
    for (uint32_t i = 0; i < p->step_count; i++) {
        if (next < r->subgraph_count && r->subgraphs[next].first == i) {
            if (order == NULL)
                subgraph_in_order(&r->subgraphs[next], npu);
            else
                subgraph_simulated(m, p, &r->subgraphs[next], npu, cpu, *order);
            i = r->subgraphs[next++].last;
        } else {
            step_on_cpu(p, i, npu);
        }
    }
    for (uint32_t i = 0; i < r->subgraph_count; i++)
        for (uint32_t k = 0; k < r->subgraphs[i].program.io_count; k++) {
            const uint32_t t = r->subgraphs[i].program.io[k].tensor;
            const size_t n = cyg_tensor_bytes(&p->tensors[t]);
            for (size_t b = 0; b < n; b++)
                if (cpu[t][b] != npu[t][b])
                    fail_msg("tensor \"%s\" differs at byte %zu of %zu", p->tensors[t].name, b, n);
        }
    for (uint32_t i = 0; i < p->output_count; i++) {
        uint32_t t = p->outputs[i];
        while (p->tensors[t].kind == CYG_TENSOR_ALIAS)
            t = (uint32_t)p->tensors[t].offset;
        if (p->tensors[t].kind != CYG_TENSOR_CONST)
            assert_memory_equal(cpu[t], npu[t], cyg_tensor_bytes(&p->tensors[t]));
    }
    tensors_free(p, npu);
}

static inline void check_same_bytes(const cyg_npu_machine *m, const cyg_program *p,
                                    const cyg_npu_result *r, uint32_t seed,
                                    const cyg_sim_options *order)
{
    uint8_t **cpu = run_on_cpu(p, seed);
    check_against(m, p, r, cpu, order);
    tensors_free(p, cpu);
}

#endif

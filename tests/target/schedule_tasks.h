/* Random lists of tasks for the tests of the NPU's scheduler, and a machine to schedule them for.
 */
#ifndef CYG_TESTS_TARGET_SCHEDULE_TASKS_H
#define CYG_TESTS_TARGET_SCHEDULE_TASKS_H

#include "../testing.h"

#include <stdlib.h>
#include <string.h>

#include "base/type.h"
#include "target/npu/schedule.h"

#define OK(ctx, call)                                                                              \
    do {                                                                                           \
        if ((call) != CYG_OK)                                                                      \
            fail_msg("%s", cyg_ctx_message(ctx, 0));                                               \
    } while (0)

enum { CELL = 64, MOST_ROWS = 64 };

typedef struct random_state {
    uint64_t x;
} random_state;

static inline uint32_t draw(random_state *r, uint32_t below)
{
    r->x ^= r->x << 13;
    r->x ^= r->x >> 7;
    r->x ^= r->x << 17;
    return (uint32_t)(r->x >> 33) % below;
}

/* ---- tasks: steps of row tiles, each reading rows of earlier tensors, some through a weight tile
 * --------------- */

typedef struct tensor {
    uint32_t buffer;
    int64_t rows, bytes; /* bytes of a row */
} tensor;

typedef struct maker {
    cyg_arena *arena;
    cyg_npu_tasks tasks;
    uint64_t param_at;
} maker;

static inline cyg_npu_view view_of(uint8_t space, int64_t row, int64_t rows, int64_t bytes,
                                   uint64_t pitch)
{
    return (cyg_npu_view){.space = space,
                          .type = CYG_TYPE_U8,
                          .rank = 2,
                          .offset = (uint64_t)row * pitch,
                          .dims = {rows, bytes},
                          .strides = {(int64_t)pitch, 1}};
}

static inline cyg_npu_operand part(const tensor *t, const cyg_npu_rect *rect)
{
    cyg_npu_operand o = {
        .buffer = t->buffer,
        .view = view_of(CYG_NPU_OCM, rect->row, rect->rows, rect->bytes, (uint64_t)t->bytes),
        .rects = rect,
        .rect_count = 1};
    o.view.offset += (uint64_t)rect->byte;
    return o;
}

static inline uint32_t new_buffer(maker *k, uint8_t space, int64_t rows, int64_t bytes,
                                  bool is_param)
{
    const cyg_npu_buffer b = {.bytes = (uint64_t)(rows * bytes),
                              .pitch = (uint64_t)bytes,
                              .space = space,
                              .is_param = is_param};
    const uint32_t id = cyg_npu_tasks_add_buffer(&k->tasks, k->arena, &b);
    assert_true(id != CYG_NPU_NO_BUFFER);
    return id;
}

static inline void add(maker *k, uint16_t op, const cyg_npu_operand *in, uint16_t in_count,
                       const cyg_npu_operand *out, uint32_t step, uint32_t tile)
{
    cyg_npu_operand all[CYG_NPU_MAX_OPERANDS];
    memcpy(all, in, in_count * sizeof *in);
    all[in_count] = *out;
    const cyg_npu_task t = {.op = op,
                            .in_count = in_count,
                            .out_count = 1,
                            .operands = all,
                            .step = step,
                            .tile = tile};
    assert_true(cyg_npu_tasks_add(&k->tasks, k->arena, &t));
}

static inline tensor load_weights(maker *k, int64_t bytes, uint32_t step, uint32_t tile)
{
    const tensor source = {new_buffer(k, CYG_NPU_PARAM, 1, bytes, false), 1, bytes};
    const tensor w = {new_buffer(k, CYG_NPU_OCM, 1, bytes, true), 1, bytes};
    k->tasks.buffers[source.buffer].address = k->param_at;
    k->param_at += (uint64_t)bytes;
    const cyg_npu_rect all = {0, 1, 0, bytes};
    cyg_npu_operand from = part(&source, &all), to = part(&w, &all);
    from.view.space = CYG_NPU_PARAM;
    add(k, CYG_NPU_OP_LD, &from, 1, &to, step, tile);
    return w;
}

/* One step: y's tiles from a's (and, now and then, scattered rows of b). */
static inline tensor add_step(maker *k, random_state *r, const tensor *a, const tensor *b,
                              uint32_t step)
{
    static const uint16_t ops[] = {CYG_NPU_OP_CONV_LINEAR, CYG_NPU_OP_TENG_ELTWISE,
                                   CYG_NPU_OP_CV_COPY};
    const uint16_t op = ops[draw(r, 3)];
    const int64_t bytes = CELL * (1 + (int64_t)draw(r, 8));
    const int64_t tile_rows = 1 + draw(r, 16), columns = draw(r, 2) == 0 ? bytes : CELL;
    const bool in_place = op == CYG_NPU_OP_TENG_ELTWISE && draw(r, 3) == 0;
    const tensor y =
        in_place ? *a : (tensor){new_buffer(k, CYG_NPU_OCM, a->rows, bytes, false), a->rows, bytes};
    uint32_t tile = 0;
    for (int64_t c = 0; c < y.bytes; c += in_place ? y.bytes : columns) {
        tensor w = {0};
        if (op == CYG_NPU_OP_CONV_LINEAR)
            w = load_weights(k, CELL * (1 + (int64_t)draw(r, 30)), step, tile);
        for (int64_t row = 0; row < y.rows; row += tile_rows, tile++) {
            const int64_t rows = y.rows - row < tile_rows ? y.rows - row : tile_rows;
            const cyg_npu_rect from = {row, rows, 0, a->bytes},
                               to = {row, rows, c, in_place ? y.bytes : columns},
                               half[2] = {{row / 2, 1, 0, CELL},
                                          {b->rows - 1 - row / 2, 1, b->bytes - CELL, CELL}},
                               whole = {0, 1, 0, w.bytes};
            cyg_npu_operand in[3] = {part(a, &from), {.buffer = CYG_NPU_NO_BUFFER}, {0}};
            uint16_t count = 1;
            if (op == CYG_NPU_OP_CONV_LINEAR)
                in[count++] = part(&w, &whole);
            if (draw(r, 2) == 0 && b->buffer != y.buffer) {
                in[count] = part(b, &half[0]);
                in[count].rects = half;
                in[count++].rect_count = 2;
            }
            const cyg_npu_operand out = part(&y, &to);
            add(k, op, in, count, &out, step, tile);
        }
    }
    return y;
}

static inline void make_tasks(maker *k, random_state *r, uint32_t steps)
{
    const int64_t rows = 8 + draw(r, MOST_ROWS - 8);
    tensor list[32] = {{new_buffer(k, CYG_NPU_IO, rows, CELL, false), rows, CELL}};
    tensor x = {new_buffer(k, CYG_NPU_OCM, rows, CELL, false), rows, CELL};
    const cyg_npu_rect all = {0, rows, 0, CELL};
    cyg_npu_operand from = part(&list[0], &all), to = part(&x, &all);
    from.view.space = CYG_NPU_IO;
    add(k, CYG_NPU_OP_LD, &from, 1, &to, 0, 0);
    list[0] = x;
    for (uint32_t s = 1; s <= steps; s++)
        list[s] = add_step(k, r, &list[s - 1], &list[draw(r, s)], s);
    const tensor *last = &list[steps];
    const cyg_npu_rect end = {0, last->rows, 0, last->bytes};
    const tensor out = {new_buffer(k, CYG_NPU_IO, last->rows, last->bytes, false), last->rows,
                        last->bytes};
    k->tasks.buffers[out.buffer].io = 1;
    from = part(last, &end);
    to = part(&out, &end);
    to.view.space = CYG_NPU_IO;
    add(k, CYG_NPU_OP_ST, &from, 1, &to, steps + 1, 0);
}

static const cyg_npu_machine machine = {.chip = "test",
                                        .mode = "NPU1",
                                        .clock_khz = 800000,
                                        .groups = 1,
                                        .convs = 2,
                                        .tengs = 1,
                                        .cvs = 1,
                                        .sdmas = 1,
                                        .conv_in = 32,
                                        .conv_out = 32,
                                        .conv_few = 8,
                                        .conv_post = 8,
                                        .conv_s16 = 4,
                                        .conv_s16_out = 64,
                                        .conv_start = 20,
                                        .teng_simple = 16,
                                        .teng_function = 4,
                                        .teng_norm = 1,
                                        .teng_start = 30,
                                        .cv_bytes = 32,
                                        .cv_start = 20,
                                        .ddr_bytes = 26.8,
                                        .ddr_stream_bytes = 26.8,
                                        .ddr_start = 50,
                                        .wait = 10};

#endif

/* Tasks: what tiling makes of a subgraph's steps and the scheduler makes a program of.
 *
 * A task is one instruction without an engine number, an address or waits. The list is in a valid
 * sequential order, on buffers that are all apart: dependences are not written down but follow from
 * which rectangles of which buffers each task reads and writes. The scheduler may run tasks in any
 * order and on any engine that respects them, places the buffers in the OCM by lifetime, and finds
 * the waits. */
#ifndef CYG_TARGET_NPU_TASK_H
#define CYG_TARGET_NPU_TASK_H

#include "npu/program.h"

/* Bytes seen as rows of `pitch` bytes; rectangles count in rows and bytes of a row. */
typedef struct cyg_npu_buffer {
    uint64_t bytes;
    uint64_t pitch; /* > 0 */
    uint8_t space; /* OCM: placed by the scheduler; SWAP: placed too; PARAM, IO: fixed, `address` is
                      given */
    uint8_t is_param; /* filled by loads from PARAM alone: a weight tile, may be loaded long before
                         its use */
    uint32_t io;      /* IO: number of the tensor */
    uint64_t address; /* offset in its space; OCM and SWAP: out */
    const char *name; /* for errors and traces; may be NULL */
} cyg_npu_buffer;

typedef struct cyg_npu_rect {
    int64_t row, rows, byte, bytes;
} cyg_npu_rect;

typedef struct cyg_npu_operand {
    uint32_t buffer;           /* CYG_NPU_NO_BUFFER: absent, or in CODE (view.space says) */
    cyg_npu_view view;         /* offset counts from the buffer's beginning (CODE: of the code) */
    const cyg_npu_rect *rects; /* what of the buffer it touches; NULL = all of it */
    uint32_t rect_count;
} cyg_npu_operand;
#define CYG_NPU_NO_BUFFER 0xffffffffu

typedef struct cyg_npu_task {
    uint16_t op; /* cyg_npu_op: says the kind of engine */
    uint16_t in_count, out_count;
    uint16_t phase; /* the plain schedule ends the tasks of one before the step's next begins */
    const cyg_npu_operand
        *operands; /* in, then out; an out operand never overlaps an in operand of the same
                      task, but exactly equal views of element-wise ops (in place) */
    const void *params;
    uint32_t params_size;
    uint32_t step, tile;
    uint32_t tap; /* 1 + the tap that output 0 is a piece of, 0 = of none */
} cyg_npu_task;

/* An output of a step (program.h has the same with an address), in order of steps and outputs. */
typedef struct cyg_npu_task_tap {
    uint32_t step, output;
    uint32_t buffer; /* that holds all of it */
    uint64_t bytes;
} cyg_npu_task_tap;

typedef struct cyg_npu_tasks {
    cyg_npu_buffer *buffers;
    cyg_npu_task *tasks;
    cyg_npu_task_tap *taps;
    uint32_t buffer_count, buffer_cap, task_count, task_cap, tap_count, tap_cap;
} cyg_npu_tasks;

/* Builders; everything is copied into arena. CYG_NPU_NO_BUFFER / false when out of memory. */
uint32_t cyg_npu_tasks_add_buffer(cyg_npu_tasks *t, cyg_arena *arena, const cyg_npu_buffer *b);
bool cyg_npu_tasks_add(cyg_npu_tasks *t, cyg_arena *arena, const cyg_npu_task *task);
bool cyg_npu_tasks_add_tap(cyg_npu_tasks *t, cyg_arena *arena, const cyg_npu_task_tap *tap);

#endif

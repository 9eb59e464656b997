/* Lists of tasks and buffers in memory: growing arrays on an arena (a list that outgrows its room
 * moves; the old one stays until the arena goes). */
#include "target/npu/task.h"

#include <string.h>

uint32_t cyg_npu_tasks_add_buffer(cyg_npu_tasks *t, cyg_arena *arena, const cyg_npu_buffer *b)
{
    void *list = t->buffers;
    if (!cyg_arena_grow(arena, &list, t->buffer_count, &t->buffer_cap, sizeof *t->buffers))
        return CYG_NPU_NO_BUFFER;
    t->buffers = list;
    t->buffers[t->buffer_count] = *b;
    return t->buffer_count++;
}

bool cyg_npu_tasks_add(cyg_npu_tasks *t, cyg_arena *arena, const cyg_npu_task *task)
{
    void *list = t->tasks;
    if (!cyg_arena_grow(arena, &list, t->task_count, &t->task_cap, sizeof *t->tasks))
        return false;
    t->tasks = list;
    const size_t count = (size_t)task->in_count + task->out_count;
    cyg_npu_operand *operands = cyg_arena_memdup(arena, task->operands, count * sizeof *operands);
    if (operands == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (operands[i].rects == NULL)
            continue;
        operands[i].rects = cyg_arena_memdup(arena, operands[i].rects,
                                             operands[i].rect_count * sizeof *operands[i].rects);
        if (operands[i].rects == NULL)
            return false;
    }
    cyg_npu_task *to = &t->tasks[t->task_count];
    *to = *task;
    to->operands = operands;
    if (task->params != NULL) {
        /* 8-byte aligned, as kernels want their blocks. */
        void *params = cyg_arena_alloc(arena, task->params_size, 16);
        if (params == NULL)
            return false;
        memcpy(params, task->params, task->params_size);
        to->params = params;
    }
    t->task_count++;
    return true;
}

bool cyg_npu_tasks_add_tap(cyg_npu_tasks *t, cyg_arena *arena, const cyg_npu_task_tap *tap)
{
    void *list = t->taps;
    if (!cyg_arena_grow(arena, &list, t->tap_count, &t->tap_cap, sizeof *t->taps))
        return false;
    t->taps = list;
    t->taps[t->tap_count++] = *tap;
    return true;
}

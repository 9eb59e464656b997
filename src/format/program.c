/* Programs in memory: growing lists on an arena (a list that outgrows its room moves; the old one
 * stays until the arena goes). */
#include "format/program.h"

#include <string.h>

#include "base/checked.h"

int64_t cyg_tensor_elements(const cyg_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] < 0 || !cyg_mul_i64(n, t->dims[i], &n))
            return -1;
    return n;
}

static size_t type_bytes(int32_t type)
{
    static const unsigned char bytes[] = {
#define CYG_TYPE(id, text, size, onnx) size,
#include "base/types.def"
#undef CYG_TYPE
    };
    return type > 0 && (size_t)type < sizeof bytes ? bytes[type] : 0;
}

size_t cyg_tensor_bytes(const cyg_tensor *t)
{
    const int64_t n = cyg_tensor_elements(t);
    size_t bytes;
    if (n < 0 || type_bytes(t->type) == 0 || !cyg_mul_size((size_t)n, type_bytes(t->type), &bytes))
        return SIZE_MAX;
    return bytes;
}

uint32_t cyg_program_add_tensor(cyg_program *p, cyg_arena *arena, const cyg_tensor *t)
{
    void *list = p->tensors;
    if (!cyg_arena_grow(arena, &list, p->tensor_count, &p->tensor_cap, sizeof *p->tensors))
        return CYG_NO_TENSOR;
    p->tensors = list;
    p->tensors[p->tensor_count] = *t;
    return p->tensor_count++;
}

bool cyg_program_add_step(cyg_program *p, cyg_arena *arena, const cyg_step *step)
{
    void *list = p->steps;
    if (!cyg_arena_grow(arena, &list, p->step_count, &p->step_cap, sizeof *p->steps))
        return false;
    p->steps = list;
    cyg_step s = *step;
    s.in = cyg_arena_memdup(arena, step->in, sizeof *step->in * step->in_count);
    s.out = cyg_arena_memdup(arena, step->out, sizeof *step->out * step->out_count);
    s.params = cyg_arena_memdup(arena, step->params, step->params_size);
    s.name = cyg_arena_strdup(arena, step->name);
    s.sources = cyg_arena_strdup(arena, step->sources);
    if (s.in == NULL || s.out == NULL || s.params == NULL || s.name == NULL || s.sources == NULL)
        return false;
    p->steps[p->step_count++] = s;
    return true;
}

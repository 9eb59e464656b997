/* Loads, stores, copies, gathers and fills: what has no kernel. Where source and destination may
 * overlap (copies inside the OCM), the source goes through scratch first. */
#include <string.h>

#include "sim/parts.h"
#include "sim/window.h"

static bool overlaps(const cyg_npu_instr *instr)
{
    return instr->in_count > 0 &&
           cyg_sim_may_overlap(&instr->operands[0], &instr->operands[instr->in_count]);
}

size_t cyg_sim_move_scratch(const cyg_npu_instr *instr)
{
    return overlaps(instr) ? cyg_npu_view_bytes(&instr->operands[0]) : 0;
}

static void fill(const cyg_npu_instr *instr, uint8_t *y)
{
    /* One element, every stride 0, seen in y's shape. */
    const cyg_npu_view *v = &instr->operands[0];
    cyg_npu_view one = *v;
    memset(one.strides, 0, sizeof one.strides);
    uint8_t element[8];
    memcpy(element, instr->params, instr->params_size);
    if (cyg_npu_view_elements(v) > 0)
        cyg_window_copy(&one, element, v, y);
}

static void move_rows(const cyg_sim *sim, const cyg_npu_instr *instr, const cyg_npu_view *x_view,
                      const uint8_t *x, const cyg_npu_view *y_view, uint8_t *y)
{
    const cyg_npu_view *index = &instr->operands[1];
    const bool scatters = instr->op == CYG_NPU_OP_STX;
    const int64_t n = cyg_npu_view_elements(index);
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = cyg_npu_index_at(sim->p, index, i);
        if (row >= 0)
            cyg_window_copy_row(x_view, x, scatters ? i : row, y_view, y, scatters ? row : i);
    }
}

void cyg_sim_move(const cyg_sim *sim, const cyg_npu_instr *instr)
{
    const cyg_npu_view *x_view = &instr->operands[0], *y_view = &instr->operands[instr->in_count];
    uint8_t *y = cyg_sim_address(sim, y_view);
    if (instr->op == CYG_NPU_OP_CV_FILL) {
        fill(instr, y);
        return;
    }
    const uint8_t *x = cyg_sim_address(sim, x_view);
    cyg_npu_view dense;
    if (overlaps(instr)) {
        dense = cyg_window_dense(x_view);
        cyg_window_copy(x_view, x, &dense, sim->scratch);
        x_view = &dense;
        x = sim->scratch;
    }
    if (instr->in_count == 1)
        cyg_window_copy(x_view, x, y_view, y);
    else
        move_rows(sim, instr, x_view, x, y_view, y);
}

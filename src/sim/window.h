/* Windows of memory: a view as a walk over runs of consecutive bytes, and copies between two views.
 */
#ifndef CYG_SIM_WINDOW_H
#define CYG_SIM_WINDOW_H

#include "npu/program.h"

/* True when the view's elements lie one after another in order. */
bool cyg_window_is_dense(const cyg_npu_view *v);
/* The same window laid out densely, from offset 0. */
cyg_npu_view cyg_window_dense(const cyg_npu_view *v);

/* True when both are the same elements in the same order, whatever their shapes. */
bool cyg_window_is_same(const cyg_npu_view *a, const cyg_npu_view *b);

/* y[i] = x[i] for two views of the same type and dimensions; x and y are their elements 0. The
 * views do not overlap. */
void cyg_window_copy(const cyg_npu_view *x_view, const uint8_t *x, const cyg_npu_view *y_view,
                     uint8_t *y);
/* Likewise rows (entries of dimension 0) x_row of x and y_row of y. */
void cyg_window_copy_row(const cyg_npu_view *x_view, const uint8_t *x, int64_t x_row,
                         const cyg_npu_view *y_view, uint8_t *y, int64_t y_row);

/* Calls visit(user, offset, bytes) for the runs of v, offsets as in the view. With rows, only of
 * entry `row` of dimension 0. Stops at the first false and returns it. */
bool cyg_window_walk(const cyg_npu_view *v, bool (*visit)(void *, uint64_t, uint64_t), void *user);
bool cyg_window_walk_row(const cyg_npu_view *v, int64_t row,
                         bool (*visit)(void *, uint64_t, uint64_t), void *user);
/* Likewise the bytes of operand `at` that the instruction touches: of what an index table names the
 * rows named alone, and of the other side of a move only the rows that are not left out. */
bool cyg_window_walk_operand(const cyg_npu_program *p, const cyg_npu_instr *instr, uint32_t at,
                             bool (*visit)(void *, uint64_t, uint64_t), void *user);

#endif

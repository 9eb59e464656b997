/* Private to target/npu: which rectangles of a buffer a window touches. Never too few: where a
 * window has no exact answer it is the rows from its first to its last byte. */
#ifndef CYG_TARGET_NPU_RECTS_H
#define CYG_TARGET_NPU_RECTS_H

#include "target/npu/task.h"

/* rows: numbers along the view's first dimension that alone are touched, NULL = all. *out_rects
 * NULL = all of the buffer. false = out of memory. */
bool cyg_npu_rects_of(cyg_arena *arena, const cyg_npu_buffer *b, const cyg_npu_view *v,
                      const int64_t *rows, int64_t row_count, const cyg_npu_rect **out_rects,
                      uint32_t *out_count);

#endif

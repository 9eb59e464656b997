/* Private to rt/: a loaded package. */
#ifndef CYG_RT_MODEL_H
#define CYG_RT_MODEL_H

#include "base/ctx.h"
#include "cygnet/runtime.h"
#include "format/package.h"

struct cyg_model {
    cyg_arena arena;
    cyg_package package;
};

/* Keeps ctx's chain as this thread's last message and returns the status as the API's int. */
int cyg_rt_report(cyg_ctx *ctx, cyg_status status);
/* Tensor list[i] of a program, as a session that holds `batch` samples has it. */
int cyg_rt_describe(const cyg_program *p, const uint32_t *list, uint32_t count, uint32_t i,
                    uint32_t batch, cyg_tensor_info *out_info);

/* Inside on_step. How many steps from the one that it is called for on ran at once: those of a
 * subgraph, else 1. */
uint32_t cyg_session_step_covers(const cyg_session *session, uint32_t step);
/* The name of any of them. */
const char *cyg_session_step_name(const cyg_session *session, uint32_t step);
/* The subgraph that has it and its number there; NULL: the CPU runs it. */
const cyg_subgraph *cyg_session_step_subgraph(const cyg_session *session, uint32_t step,
                                              uint32_t *out_number);
/* The tensor that cyg_session_step_output lends, NULL = there is no such output. */
const cyg_tensor *cyg_session_step_tensor(const cyg_session *session, uint32_t step,
                                          uint32_t output);

#endif

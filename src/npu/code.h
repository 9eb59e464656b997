/* A program as bytes (packages) and as text (assembler, `cygnet inspect --disasm`): docs/npu-isa.md
 * has both forms. */
#ifndef CYG_NPU_CODE_H
#define CYG_NPU_CODE_H

#include "base/str.h"
#include "npu/program.h"

enum { CYG_NPU_CODE_VERSION = 1 };

/* Everything but the PARAM bytes. The same program gives the same bytes; p must be checked. */
cyg_status cyg_npu_encode(cyg_ctx *ctx, const cyg_npu_program *p, cyg_strbuf *out) CYG_MUST_USE;
/* Hostile input: what it gives is well formed in memory but not yet checked
 * (cyg_npu_program_check). Everything is copied into arena; params is lent and as long as the
 * code says. */
cyg_status cyg_npu_decode(cyg_ctx *ctx, const void *data, size_t size, const uint8_t *params,
                          uint64_t param_bytes, cyg_arena *arena,
                          cyg_npu_program *out_program) CYG_MUST_USE;

/* Text. with_data: index tables and PARAM bytes, too, so that parsing gives the same program. */
void cyg_npu_print(const cyg_npu_machine *m, const cyg_npu_program *p, bool with_data,
                   cyg_strbuf *out);
/* path names the text in messages. Hostile input; the program is to be checked. Everything,
 * PARAM included, is in arena. */
cyg_status cyg_npu_parse(cyg_ctx *ctx, const cyg_npu_machine *m, const char *path, const char *text,
                         size_t size, cyg_arena *arena, cyg_npu_program *out_program) CYG_MUST_USE;

#endif

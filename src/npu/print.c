/* The disassembler: one line an instruction (docs/npu-isa.md, Text). */
#include <inttypes.h>
#include <string.h>

#include "base/type.h"
#include "npu/code.h"

static const char *const space_names[CYG_NPU_SPACES] = {"ocm", "swap", "param", "io", "code"};

static const char *type_name(uint8_t type)
{
    static const char *const names[CYG_TYPE_COUNT] = {
#define CYG_TYPE(id, text, bytes, onnx) text,
#include "base/types.def"
#undef CYG_TYPE
    };
    return type < CYG_TYPE_COUNT ? names[type] : "?";
}

/* Quoted; what would not survive becomes \xHH. */
static void put_string(cyg_strbuf *s, const char *text)
{
    cyg_strbuf_puts(s, "\"");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\' || (unsigned char)*c < 32 || *c == 127)
            cyg_strbuf_printf(s, "\\x%02x", (unsigned)(unsigned char)*c);
        else
            cyg_strbuf_add(s, c, 1);
    }
    cyg_strbuf_puts(s, "\"");
}

static void put_hex(cyg_strbuf *s, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        const char two[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        cyg_strbuf_add(s, two, 2);
    }
}

static void put_data(cyg_strbuf *s, const char *directive, const uint8_t *bytes, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += 64) {
        cyg_strbuf_printf(s, "%s ", directive);
        put_hex(s, bytes + at, size - at < 64 ? (size_t)(size - at) : 64);
        cyg_strbuf_puts(s, "\n");
    }
}

static bool is_dense(const cyg_npu_view *v)
{
    const cyg_npu_view one = {.type = v->type};
    int64_t stride = (int64_t)cyg_npu_view_bytes(&one);
    for (unsigned i = v->rank; i-- > 0;) {
        if (v->strides[i] != stride)
            return false;
        if (__builtin_mul_overflow(stride, v->dims[i] > 0 ? v->dims[i] : 1, &stride))
            return false;
    }
    return true;
}

/* ocm[0x40] u8 49x96, strided ocm[0x40] u8 49x96/288,1; io2[0x0]; absent - */
static void put_view(cyg_strbuf *s, const cyg_npu_view *v)
{
    if (v->type == CYG_TYPE_NONE) {
        cyg_strbuf_puts(s, "-");
        return;
    }
    cyg_strbuf_puts(s, v->space < CYG_NPU_SPACES ? space_names[v->space] : "?");
    if (v->space == CYG_NPU_IO)
        cyg_strbuf_printf(s, "%" PRIu32, v->buffer);
    cyg_strbuf_printf(s, "[0x%" PRIx64 "] %s", v->offset, type_name(v->type));
    for (unsigned i = 0; i < v->rank; i++)
        cyg_strbuf_printf(s, "%c%" PRId64, i == 0 ? ' ' : 'x', v->dims[i]);
    for (unsigned i = 0; i < v->rank && !is_dense(v); i++)
        cyg_strbuf_printf(s, "%c%" PRId64, i == 0 ? '/' : ',', v->strides[i]);
}

static void put_tap(cyg_strbuf *s, const cyg_npu_tap *t)
{
    cyg_strbuf_printf(s, "tap step %" PRIu32 " output %" PRIu32 " at %s", t->step, t->output,
                      t->space < CYG_NPU_SPACES ? space_names[t->space] : "?");
    if (t->space == CYG_NPU_IO)
        cyg_strbuf_printf(s, "%" PRIu32, t->buffer);
    cyg_strbuf_printf(s, "[0x%" PRIx64 "] bytes %" PRIu64 "\n", t->offset, t->bytes);
}

static void put_instr(cyg_strbuf *s, const cyg_npu_machine *m, const cyg_npu_program *p,
                      uint32_t at)
{
    const cyg_npu_instr *instr = &p->instrs[at];
    const cyg_npu_op_info *info = cyg_npu_op_info_of(instr->op);
    cyg_strbuf_printf(s, "%s %s step %" PRIu32 " tile %" PRIu32,
                      cyg_npu_engine_at(m, instr->engine).lane, info != NULL ? info->mnemonic : "?",
                      instr->step, instr->tile);
    if (p->tap_count > 0 && p->tap_of[at] > 0)
        cyg_strbuf_printf(s, " tap %" PRIu32, p->tap_of[at] - 1);
    for (uint32_t i = 0; i < instr->wait_count; i++)
        cyg_strbuf_printf(s, "%s%s %" PRIu32, i == 0 ? " wait " : ", ",
                          cyg_npu_engine_at(m, instr->waits[i].engine).lane, instr->waits[i].count);
    for (uint32_t i = 0; i < instr->in_count; i++) {
        cyg_strbuf_puts(s, i == 0 ? " : " : "; ");
        put_view(s, &instr->operands[i]);
    }
    for (uint32_t i = 0; i < instr->out_count; i++) {
        cyg_strbuf_puts(s, i == 0 ? " -> " : "; ");
        put_view(s, &instr->operands[instr->in_count + i]);
    }
    if (instr->params_size > 0) {
        cyg_strbuf_puts(s, " {");
        put_hex(s, instr->params, instr->params_size);
        cyg_strbuf_puts(s, "}");
    }
    cyg_strbuf_puts(s, "\n");
}

void cyg_npu_print(const cyg_npu_machine *m, const cyg_npu_program *p, bool with_data,
                   cyg_strbuf *out)
{
    cyg_strbuf_puts(out, "npu ");
    put_string(out, p->chip);
    cyg_strbuf_puts(out, " ");
    put_string(out, p->mode);
    cyg_strbuf_printf(out,
                      " machine 0x%016" PRIx64 "\nmemory ocm %" PRIu64 " swap %" PRIu64
                      " param %" PRIu64 " code %" PRIu64 " macs %" PRId64 "\n",
                      p->machine_hash, p->ocm_bytes, p->swap_bytes, p->param_bytes, p->code_bytes,
                      p->macs);
    for (uint32_t i = 0; i < p->io_count; i++) {
        cyg_strbuf_printf(out, "io %s ", p->io[i].is_output ? "out" : "in");
        put_string(out, p->io[i].name);
        cyg_strbuf_printf(out, " bytes %" PRIu64 " tensor %" PRIu32 "\n", p->io[i].bytes,
                          p->io[i].tensor);
    }
    for (uint32_t i = 0; i < p->step_count; i++) {
        cyg_strbuf_puts(out, "step ");
        put_string(out, p->step_names[i]);
        cyg_strbuf_puts(out, "\n");
    }
    for (uint32_t i = 0; i < p->tap_count; i++)
        put_tap(out, &p->taps[i]);
    if (with_data) {
        put_data(out, "code", p->code, p->code_bytes);
        put_data(out, "param", p->params, p->param_bytes);
    }
    for (uint32_t i = 0; i < p->instr_count; i++)
        put_instr(out, m, p, i);
}

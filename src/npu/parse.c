/* The assembler: text to program (docs/npu-isa.md, Text). Two passes over the lines: the first
 * counts, so that lists are taken once; the second fills them. Memory stays in proportion to the
 * text but for what `memory` asks, which is bounded. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/type.h"
#include "npu/code.h"

#define MOST_DATA ((uint64_t)1 << 32)

typedef struct parser {
    cyg_ctx *ctx;
    const cyg_npu_machine *m;
    const char *path;
    cyg_arena *arena;
    cyg_npu_program *p;
    const char *at, *end; /* of the line */
    uint32_t line;
    bool has_head, has_memory;
    cyg_npu_io *io;
    const char **steps;
    cyg_npu_instr *instrs;
    cyg_npu_tap *taps;
    uint32_t *tap_of;                                      /* by instruction */
    uint32_t io_count, step_count, instr_count, tap_count; /* filled so far */
    uint32_t tap_total;
    uint8_t *code, *params;
    uint64_t code_at, param_at;
} parser;

static cyg_status wrong(const parser *r, const char *expected)
{
    const char *found = r->at;
    while (found < r->end && *found == ' ')
        found++;
    return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s:%u: expected %s, found \"%.*s\"", r->path, r->line,
                    expected, (int)(r->end - found > 24 ? 24 : r->end - found), found);
}

static cyg_status no_memory(const parser *r)
{
    return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->path);
}

static void skip_blanks(parser *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_';
}

static size_t word(parser *r, const char **out_word)
{
    skip_blanks(r);
    *out_word = r->at;
    while (r->at < r->end && is_word(*r->at))
        r->at++;
    return (size_t)(r->at - *out_word);
}

/* Takes the word if it is next. */
static bool accept(parser *r, const char *wanted)
{
    const char *before = r->at, *w;
    const size_t n = word(r, &w);
    if (n == strlen(wanted) && memcmp(w, wanted, n) == 0)
        return true;
    r->at = before;
    return false;
}

static bool accept_char(parser *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static cyg_status digits(parser *r, bool hex, uint64_t highest, uint64_t *out_number)
{
    uint64_t v = 0;
    const char *first = r->at + (hex ? 2 : 0), *c = first;
    for (; c < r->end && hex_digit(*c) >= 0 && (hex || hex_digit(*c) < 10); c++)
        if (__builtin_mul_overflow(v, hex ? 16u : 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)hex_digit(*c), &v))
            return wrong(r, "a number of 64 bits");
    if (c == first || v > highest)
        return wrong(r, c == first ? "a number" : "a smaller number");
    r->at = c;
    *out_number = v;
    return CYG_OK;
}

/* Decimal or 0x hexadecimal. */
static cyg_status number(parser *r, uint64_t highest, uint64_t *out_number)
{
    skip_blanks(r);
    const bool hex = r->end - r->at > 2 && r->at[0] == '0' && r->at[1] == 'x';
    return digits(r, hex, highest, out_number);
}

static cyg_status keyed(parser *r, const char *key, uint64_t highest, uint64_t *out_number)
{
    if (!accept(r, key))
        return wrong(r, key);
    return number(r, highest, out_number);
}

static cyg_status string(parser *r, const char **out_text)
{
    skip_blanks(r);
    char *text = cyg_arena_alloc(r->arena, (size_t)(r->end - r->at) + 1, 1);
    size_t n = 0;
    if (text == NULL)
        return no_memory(r);
    if (!accept_char(r, '"'))
        return wrong(r, "a text in quotes");
    for (; r->at < r->end && *r->at != '"'; n++) {
        text[n] = *r->at;
        if (*r->at != '\\') {
            r->at++;
            continue;
        }
        if (r->end - r->at < 4 || r->at[1] != 'x' || hex_digit(r->at[2]) < 0 ||
            hex_digit(r->at[3]) < 0)
            return wrong(r, "\\xHH");
        text[n] = (char)(hex_digit(r->at[2]) * 16 + hex_digit(r->at[3]));
        r->at += 4;
    }
    text[n] = '\0';
    if (!accept_char(r, '"') || strlen(text) != n)
        return wrong(r, "\"");
    *out_text = text;
    return CYG_OK;
}

static cyg_status line_end(parser *r)
{
    skip_blanks(r);
    return r->at == r->end || *r->at == '#' ? CYG_OK : wrong(r, "the end of the line");
}

/* ---- operands ---- */

static cyg_status engine(parser *r, uint64_t *out_engine)
{
    const char *w;
    const size_t n = word(r, &w);
    const uint32_t count = cyg_npu_engine_count(r->m);
    for (uint32_t e = 0; e < count; e++) {
        const cyg_npu_engine named = cyg_npu_engine_at(r->m, e);
        if (strlen(named.lane) == n && memcmp(named.lane, w, n) == 0) {
            *out_engine = e;
            return CYG_OK;
        }
    }
    r->at = w;
    return wrong(r, "an engine of the machine");
}

static cyg_status type(parser *r, uint8_t *out_type)
{
#define CYG_TYPE(id, text, bytes, onnx)                                                            \
    if (bytes > 0 && accept(r, text)) {                                                            \
        *out_type = CYG_TYPE_##id;                                                                 \
        return CYG_OK;                                                                             \
    }
#include "base/types.def"
#undef CYG_TYPE
    return wrong(r, "an element type");
}

static cyg_status space(parser *r, cyg_npu_view *v)
{
    static const struct {
        const char *name;
        uint8_t space;
    } spaces[] = {{"ocm", CYG_NPU_OCM},
                  {"swap", CYG_NPU_SWAP},
                  {"param", CYG_NPU_PARAM},
                  {"code", CYG_NPU_CODE}};
    for (size_t i = 0; i < CYG_COUNT(spaces); i++)
        if (accept(r, spaces[i].name)) {
            v->space = spaces[i].space;
            return CYG_OK;
        }
    skip_blanks(r);
    if (r->end - r->at < 3 || r->at[0] != 'i' || r->at[1] != 'o')
        return wrong(r, "ocm, swap, param, code, io with a number, or -");
    r->at += 2;
    uint64_t buffer;
    CYG_DO(number(r, UINT32_MAX, &buffer));
    v->space = CYG_NPU_IO;
    v->buffer = (uint32_t)buffer;
    return CYG_OK;
}

/* NxMx.. : a word that begins with a digit; decimal, since 0x4 is an empty dimension and one of 4.
 */
static cyg_status dims(parser *r, cyg_npu_view *v)
{
    skip_blanks(r);
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
        uint64_t dim;
        if (v->rank == CYG_NPU_RANK)
            return wrong(r, "no more dimensions");
        CYG_DO(digits(r, false, INT64_MAX, &dim));
        v->dims[v->rank++] = (int64_t)dim;
        if (r->at == r->end || *r->at != 'x')
            break;
        r->at++;
    }
    return CYG_OK;
}

static cyg_status strides(parser *r, cyg_npu_view *v)
{
    for (unsigned i = 0; i < v->rank; i++) {
        uint64_t stride;
        if (i > 0 && !accept_char(r, ','))
            return wrong(r, ", and a stride for each dimension");
        CYG_DO(number(r, INT64_MAX, &stride));
        v->strides[i] = (int64_t)stride;
    }
    return CYG_OK;
}

static cyg_status view(parser *r, cyg_npu_view *v)
{
    memset(v, 0, sizeof *v);
    skip_blanks(r);
    if (r->at < r->end && *r->at == '-' && !(r->end - r->at > 1 && r->at[1] == '>')) {
        r->at++;
        return CYG_OK;
    }
    CYG_DO(space(r, v));
    if (!accept_char(r, '['))
        return wrong(r, "[ and an offset");
    CYG_DO(number(r, UINT64_MAX, &v->offset));
    if (!accept_char(r, ']'))
        return wrong(r, "]");
    CYG_DO(type(r, &v->type));
    CYG_DO(dims(r, v));
    if (accept_char(r, '/'))
        return strides(r, v);
    const cyg_npu_view one = {.type = v->type};
    int64_t stride = (int64_t)cyg_npu_view_bytes(&one);
    for (unsigned i = v->rank; i-- > 0;) {
        v->strides[i] = stride;
        if (__builtin_mul_overflow(stride, v->dims[i] > 0 ? v->dims[i] : 1, &stride))
            return wrong(r, "smaller dimensions");
    }
    return CYG_OK;
}

static cyg_status views(parser *r, cyg_npu_view *list, uint16_t room, uint16_t *out_count)
{
    do {
        if (*out_count == room)
            return wrong(r, "no more operands");
        CYG_DO(view(r, &list[*out_count]));
        ++*out_count;
    } while (accept_char(r, ';'));
    return CYG_OK;
}

static bool accept_arrow(parser *r)
{
    skip_blanks(r);
    if (r->end - r->at < 2 || r->at[0] != '-' || r->at[1] != '>')
        return false;
    r->at += 2;
    return true;
}

static cyg_status waits(parser *r, cyg_npu_instr *instr)
{
    cyg_npu_wait list[CYG_NPU_MAX_ENGINES];
    do {
        uint64_t on = 0, count = 0;
        if (instr->wait_count == CYG_NPU_MAX_ENGINES)
            return wrong(r, "no more waits");
        CYG_DO(engine(r, &on));
        CYG_DO(number(r, UINT32_MAX, &count));
        list[instr->wait_count++] = (cyg_npu_wait){(uint32_t)on, (uint32_t)count};
    } while (accept_char(r, ','));
    instr->waits = cyg_arena_memdup(r->arena, list, instr->wait_count * sizeof *list);
    return instr->waits == NULL ? no_memory(r) : CYG_OK;
}

static cyg_status hex_block(parser *r, uint8_t *to, uint64_t room, uint64_t *out_size)
{
    *out_size = 0;
    skip_blanks(r);
    while (r->end - r->at >= 2 && hex_digit(r->at[0]) >= 0 && hex_digit(r->at[1]) >= 0) {
        if (*out_size == room)
            return wrong(r, "no more bytes");
        to[(*out_size)++] = (uint8_t)(hex_digit(r->at[0]) * 16 + hex_digit(r->at[1]));
        r->at += 2;
        skip_blanks(r);
    }
    return CYG_OK;
}

static cyg_status block(parser *r, cyg_npu_instr *instr)
{
    uint8_t bytes[CYG_NPU_MOST_PARAMS];
    uint64_t size = 0;
    CYG_DO(hex_block(r, bytes, sizeof bytes, &size));
    if (size == 0 || !accept_char(r, '}'))
        return wrong(r, "bytes in hexadecimal and }");
    void *copy = cyg_arena_alloc(r->arena, (size_t)size, 8);
    if (copy == NULL)
        return no_memory(r);
    memcpy(copy, bytes, (size_t)size);
    instr->params = copy;
    instr->params_size = (uint32_t)size;
    return CYG_OK;
}

/* ENGINE OP step S tile T [tap N] [wait ENGINE N, ..] [: IN; ..] -> OUT; .. [{PARAMS}] */
static cyg_status instruction(parser *r)
{
    cyg_npu_instr *instr = &r->instrs[r->instr_count++];
    cyg_npu_view operands[CYG_NPU_MAX_OPERANDS];
    uint64_t n = 0;
    const char *w;
    CYG_DO(engine(r, &n));
    instr->engine = (uint16_t)n;
    const size_t length = word(r, &w);
    instr->op = (uint16_t)cyg_npu_op_named(w, length);
    if (instr->op == 0) {
        r->at = w;
        return wrong(r, "an instruction");
    }
    CYG_DO(keyed(r, "step", UINT32_MAX, &n));
    instr->step = (uint32_t)n;
    CYG_DO(keyed(r, "tile", UINT32_MAX, &n));
    instr->tile = (uint32_t)n;
    if (accept(r, "tap")) {
        CYG_DO(number(r, UINT32_MAX, &n));
        if (n >= r->tap_total)
            return wrong(r, "the number of a line \"tap\"");
        r->tap_of[r->instr_count - 1] = (uint32_t)n + 1;
    }
    if (accept(r, "wait"))
        CYG_DO(waits(r, instr));
    if (accept_char(r, ':'))
        CYG_DO(views(r, operands, CYG_NPU_MAX_OPERANDS, &instr->in_count));
    if (!accept_arrow(r))
        return wrong(r, "-> and the outputs");
    CYG_DO(views(r, operands + instr->in_count, (uint16_t)(CYG_NPU_MAX_OPERANDS - instr->in_count),
                 &instr->out_count));
    if (accept_char(r, '{'))
        CYG_DO(block(r, instr));
    instr->operands = cyg_arena_memdup(
        r->arena, operands, ((size_t)instr->in_count + instr->out_count) * sizeof *operands);
    return instr->operands == NULL ? no_memory(r) : line_end(r);
}

/* ---- other lines ---- */

static cyg_status head(parser *r)
{
    if (r->has_head)
        return wrong(r, "one line \"npu\"");
    r->has_head = true;
    CYG_DO(string(r, &r->p->chip));
    CYG_DO(string(r, &r->p->mode));
    CYG_DO(keyed(r, "machine", UINT64_MAX, &r->p->machine_hash));
    return line_end(r);
}

static cyg_status memory(parser *r)
{
    cyg_npu_program *p = r->p;
    uint64_t macs = 0;
    if (r->has_memory)
        return wrong(r, "one line \"memory\"");
    r->has_memory = true;
    CYG_DO(keyed(r, "ocm", UINT64_MAX, &p->ocm_bytes));
    CYG_DO(keyed(r, "swap", UINT64_MAX, &p->swap_bytes));
    CYG_DO(keyed(r, "param", MOST_DATA, &p->param_bytes));
    CYG_DO(keyed(r, "code", MOST_DATA, &p->code_bytes));
    CYG_DO(keyed(r, "macs", INT64_MAX, &macs));
    p->macs = (int64_t)macs;
    r->code = cyg_arena_zalloc(r->arena, (size_t)p->code_bytes + 8, 64);
    r->params = cyg_arena_zalloc(r->arena, (size_t)p->param_bytes + 8, 64);
    if (r->code == NULL || r->params == NULL)
        return no_memory(r);
    p->code = r->code;
    p->params = r->params;
    return line_end(r);
}

static cyg_status tensor(parser *r)
{
    cyg_npu_io *io = &r->io[r->io_count++];
    uint64_t n = 0;
    io->is_output = accept(r, "out");
    if (!io->is_output && !accept(r, "in"))
        return wrong(r, "in or out");
    CYG_DO(string(r, &io->name));
    CYG_DO(keyed(r, "bytes", UINT64_MAX, &io->bytes));
    CYG_DO(keyed(r, "tensor", UINT32_MAX, &n));
    io->tensor = (uint32_t)n;
    return line_end(r);
}

/* tap step S output O at MEMORY[OFFSET] bytes N */
static cyg_status tap(parser *r)
{
    cyg_npu_tap *t = &r->taps[r->tap_count++];
    cyg_npu_view place = {0};
    uint64_t n = 0;
    CYG_DO(keyed(r, "step", UINT32_MAX, &n));
    t->step = (uint32_t)n;
    CYG_DO(keyed(r, "output", UINT32_MAX, &n));
    t->output = (uint32_t)n;
    if (!accept(r, "at"))
        return wrong(r, "at and a place");
    CYG_DO(space(r, &place));
    t->space = place.space;
    t->buffer = place.buffer;
    if (!accept_char(r, '['))
        return wrong(r, "[ and an offset");
    CYG_DO(number(r, UINT64_MAX, &t->offset));
    if (!accept_char(r, ']'))
        return wrong(r, "]");
    CYG_DO(keyed(r, "bytes", UINT64_MAX, &t->bytes));
    return line_end(r);
}

static cyg_status data(parser *r, uint8_t *to, uint64_t size, uint64_t *at)
{
    uint64_t n = 0;
    if (!r->has_memory)
        return wrong(r, "\"memory\" before data");
    CYG_DO(hex_block(r, to + *at, size - *at, &n));
    *at += n;
    return line_end(r);
}

/* code.s32: index tables by hand. */
static cyg_status indices(parser *r)
{
    if (!r->has_memory)
        return wrong(r, "\"memory\" before data");
    for (skip_blanks(r); r->at < r->end && *r->at != '#'; skip_blanks(r)) {
        uint64_t v = 0;
        const bool negative = accept_char(r, '-');
        CYG_DO(number(r, INT32_MAX, &v));
        if (r->p->code_bytes - r->code_at < 4)
            return wrong(r, "no more bytes");
        cyg_store_u32(r->code + r->code_at, negative ? -(uint32_t)v : (uint32_t)v);
        r->code_at += 4;
    }
    return CYG_OK;
}

typedef enum line_kind {
    LINE_EMPTY,
    LINE_HEAD,
    LINE_MEMORY,
    LINE_IO,
    LINE_STEP,
    LINE_TAP,
    LINE_CODE,
    LINE_INDICES,
    LINE_PARAM,
    LINE_INSTR
} line_kind;

static line_kind kind_of(parser *r)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at == '#')
        return LINE_EMPTY;
    return accept(r, "npu")        ? LINE_HEAD
           : accept(r, "memory")   ? LINE_MEMORY
           : accept(r, "io")       ? LINE_IO
           : accept(r, "step")     ? LINE_STEP
           : accept(r, "tap")      ? LINE_TAP
           : accept(r, "code")     ? LINE_CODE
           : accept(r, "code.s32") ? LINE_INDICES
           : accept(r, "param")    ? LINE_PARAM
                                   : LINE_INSTR;
}

static cyg_status read_line(parser *r)
{
    switch (kind_of(r)) {
    case LINE_EMPTY:
        return CYG_OK;
    case LINE_HEAD:
        return head(r);
    case LINE_MEMORY:
        return memory(r);
    case LINE_IO:
        return tensor(r);
    case LINE_STEP:
        CYG_DO(string(r, &r->steps[r->step_count++]));
        return line_end(r);
    case LINE_TAP:
        return tap(r);
    case LINE_CODE:
        return data(r, r->code, r->p->code_bytes, &r->code_at);
    case LINE_INDICES:
        return indices(r);
    case LINE_PARAM:
        return data(r, r->params, r->p->param_bytes, &r->param_at);
    case LINE_INSTR:
        break;
    }
    return instruction(r);
}

/* Calls for every line; NULL text ends. */
static bool next_line(parser *r, const char **text, const char *end)
{
    if (*text == end)
        return false;
    const char *newline = memchr(*text, '\n', (size_t)(end - *text));
    r->at = *text;
    r->end = newline != NULL ? newline : end;
    *text = newline != NULL ? newline + 1 : end;
    r->line++;
    return true;
}

cyg_status cyg_npu_parse(cyg_ctx *ctx, const cyg_npu_machine *m, const char *path, const char *text,
                         size_t size, cyg_arena *arena, cyg_npu_program *out_program)
{
    parser r = {.ctx = ctx, .m = m, .path = path, .arena = arena, .p = out_program};
    uint32_t io = 0, steps = 0, instrs = 0;
    const char *at = text, *end = text + size;
    memset(out_program, 0, sizeof *out_program);
    while (next_line(&r, &at, end)) {
        const line_kind kind = kind_of(&r);
        io += kind == LINE_IO;
        steps += kind == LINE_STEP;
        r.tap_total += kind == LINE_TAP;
        instrs += kind == LINE_INSTR;
    }
    r.io = CYG_NEW_ARRAY(arena, cyg_npu_io, (size_t)io + 1);
    r.steps = CYG_NEW_ARRAY(arena, const char *, (size_t)steps + 1);
    r.instrs = CYG_NEW_ARRAY(arena, cyg_npu_instr, (size_t)instrs + 1);
    r.taps = CYG_NEW_ARRAY(arena, cyg_npu_tap, (size_t)r.tap_total + 1);
    r.tap_of = CYG_NEW_ARRAY(arena, uint32_t, (size_t)instrs + 1);
    if (r.io == NULL || r.steps == NULL || r.instrs == NULL || r.taps == NULL || r.tap_of == NULL)
        return no_memory(&r);
    r.line = 0;
    at = text;
    while (next_line(&r, &at, end))
        CYG_DO(read_line(&r));
    if (!r.has_head || !r.has_memory)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: no line \"npu\", or no line \"memory\"", path);
    out_program->io = r.io;
    out_program->io_count = r.io_count;
    out_program->step_names = r.steps;
    out_program->step_count = r.step_count;
    out_program->instrs = r.instrs;
    out_program->instr_count = r.instr_count;
    out_program->taps = r.taps;
    out_program->tap_of = r.tap_total > 0 ? r.tap_of : NULL;
    out_program->tap_count = r.tap_total;
    return CYG_OK;
}

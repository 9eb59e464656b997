/* The state of generation: buffers, windows, loads and stores; see gen.h. */
#include "target/npu/gen.h"

#include <string.h>

#include "target/npu/rects.h"

/* One of the last windows of a tensor that was loaded for a tile, so that neighbours share it. */
struct cyg_npu_stream {
    struct cyg_npu_stream *next;
    uint32_t tensor, buffer, step;
    cyg_npu_view window;
    const int64_t *rows; /* of the window, NULL = all */
    int64_t row_count;
};

cyg_status cyg_npu_gen_nomem(cyg_npu_gen *g)
{
    return CYG_FAIL(g->ctx, CYG_E_NOMEM, "out of memory while generating tasks");
}

/* ---- buffers
 * -------------------------------------------------------------------------------------------------------
 */

/* A task more, unless the step has too many. */
static cyg_status add_task(cyg_npu_gen *g, const cyg_npu_task *task)
{
    const uint32_t most = cyg_npu_most_step_tasks(g);
    if (g->tasks.task_count - g->step_begins >= most) {
        g->crowded = true;
        return CYG_FAIL(g->ctx, CYG_E_UNSUPPORTED, "a step of more than %u tiles and moves", most);
    }
    return cyg_npu_tasks_add(&g->tasks, g->arena, task) ? CYG_OK : cyg_npu_gen_nomem(g);
}

uint32_t cyg_npu_new_tile(cyg_npu_gen *g, uint64_t bytes, uint64_t pitch, const char *name)
{
    const cyg_npu_buffer b = {.bytes = bytes, .pitch = pitch, .space = CYG_NPU_OCM, .name = name};
    return cyg_npu_tasks_add_buffer(&g->tasks, g->arena, &b);
}

/* A tile buffer for a dense copy of a window. */
static uint32_t tile_for(cyg_npu_gen *g, const cyg_npu_view *window, const char *name)
{
    const int64_t columns = window->rank > 0 ? window->dims[window->rank - 1] : 1;
    return cyg_npu_new_tile(g, cyg_npu_view_bytes(window),
                            (uint64_t)(columns * cyg_npu_type_bytes(window->type)), name);
}

static bool make_operand(cyg_npu_gen *g, uint32_t buffer, const cyg_npu_view *window,
                         const int64_t *rows, int64_t row_count, cyg_npu_operand *out)
{
    const cyg_npu_buffer *b = &g->tasks.buffers[buffer];
    *out = (cyg_npu_operand){.buffer = buffer, .view = *window};
    out->view.space = b->space;
    out->view.buffer = b->io;
    return cyg_npu_rects_of(g->arena, b, &out->view, rows, row_count, &out->rects,
                            &out->rect_count);
}

/* tap: as a task has it. */
static cyg_status add_move(cyg_npu_gen *g, cyg_npu_op op, uint32_t from, const cyg_npu_view *x,
                           uint32_t to, const cyg_npu_view *y, uint32_t tap)
{
    cyg_npu_operand operands[2];
    if (!make_operand(g, from, x, NULL, 0, &operands[0]) ||
        !make_operand(g, to, y, NULL, 0, &operands[1]))
        return cyg_npu_gen_nomem(g);
    const cyg_npu_task task = {.op = (uint16_t)op,
                               .in_count = 1,
                               .out_count = 1,
                               .operands = operands,
                               .step = g->step,
                               .tile = g->tile,
                               .phase = g->phase,
                               .tap = tap};
    return add_task(g, &task);
}

cyg_status cyg_npu_add_move(cyg_npu_gen *g, cyg_npu_op op, uint32_t from, const cyg_npu_view *x,
                            uint32_t to, const cyg_npu_view *y)
{
    return add_move(g, op, from, x, to, y, 0);
}

/* ---- windows of tensors
 * --------------------------------------------------------------------------------------------
 */

bool cyg_npu_is_streamed(const cyg_npu_gen *g, uint32_t tensor)
{
    const uint32_t owner = cyg_npu_owner(g->p, tensor);
    if (g->p->tensors[owner].kind == CYG_TENSOR_CONST)
        return true;
    const cyg_npu_home *h = &g->homes[owner];
    return h->ocm == CYG_NPU_NO_BUFFER || g->first + g->step > h->until;
}

bool cyg_npu_moves_whole(const cyg_npu_gen *g)
{
    const cyg_step *s = &g->p->steps[g->first + g->step];
    if (g->options->kind != CYG_NPU_SCHEDULE_BASELINE)
        return false;
    for (uint32_t i = 0; i < s->in_count; i++)
        if (s->in[i] != CYG_NO_TENSOR && !cyg_npu_is_const(g, s->in[i]) &&
            cyg_npu_is_streamed(g, s->in[i]))
            return false;
    for (uint32_t i = 0; i < s->out_count; i++)
        if (cyg_npu_is_streamed(g, s->out[i]))
            return false;
    return true;
}

static bool same_view(const cyg_npu_view *a, const cyg_npu_view *b)
{
    if (a->offset != b->offset || a->type != b->type || a->rank != b->rank)
        return false;
    return memcmp(a->dims, b->dims, sizeof a->dims[0] * a->rank) == 0 &&
           memcmp(a->strides, b->strides, sizeof a->strides[0] * a->rank) == 0;
}

/* Index i of dims as a table in CODE. */
static bool make_index(cyg_npu_gen *g, const int64_t *index, int rank, const int64_t *dims,
                       cyg_npu_operand *out)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    int32_t *narrow = CYG_NEW_ARRAY(g->arena, int32_t, count + 1);
    uint64_t at;
    for (int64_t i = 0; narrow != NULL && i < count; i++)
        narrow[i] = (int32_t)index[i];
    if (narrow == NULL || !cyg_npu_code_add(g, narrow, (uint64_t)count * 4, &at))
        return false;
    *out = (cyg_npu_operand){.buffer = CYG_NPU_NO_BUFFER,
                             .view = cyg_npu_dense(CYG_TYPE_S32, rank, dims, at)};
    out->view.space = CYG_NPU_CODE;
    return true;
}

/* The window as its tile buffer holds it: dense, of the rows named alone. */
static cyg_npu_view tile_view(const cyg_npu_view *window, const int64_t *rows, int64_t row_count)
{
    cyg_npu_view v = *window;
    if (rows != NULL)
        v.dims[0] = row_count;
    return cyg_npu_dense(v.type, v.rank, v.dims, 0);
}

/* Into a tile: by ld, or by ldx of the rows named. */
static cyg_status load_tile(cyg_npu_gen *g, uint32_t from, const cyg_npu_view *window,
                            const int64_t *rows, int64_t row_count, uint32_t to)
{
    const cyg_npu_view tile = tile_view(window, rows, row_count);
    cyg_npu_operand operands[3];
    if (rows == NULL)
        return cyg_npu_add_move(g, CYG_NPU_OP_LD, from, window, to, &tile);
    if (!make_operand(g, from, window, rows, row_count, &operands[0]) ||
        !make_index(g, rows, 1, &row_count, &operands[1]) ||
        !make_operand(g, to, &tile, NULL, 0, &operands[2]))
        return cyg_npu_gen_nomem(g);
    const cyg_npu_task task = {.op = CYG_NPU_OP_LDX,
                               .in_count = 2,
                               .out_count = 1,
                               .operands = operands,
                               .step = g->step,
                               .tile = g->tile};
    return add_task(g, &task);
}

/* q, k and v of an attention are windows of one tensor. */
enum { STREAMS_OF_A_TENSOR = 3 };

/* The first channel of a window, in bytes. */
static uint64_t channel_of(const cyg_npu_view *v)
{
    return v->rank < 2 ? 0 : v->offset % (uint64_t)v->strides[v->rank - 2];
}

static bool same_stream(const struct cyg_npu_stream *s, uint32_t step, const cyg_npu_view *window,
                        const int64_t *rows, int64_t row_count)
{
    if (s->step != step || !same_view(&s->window, window) || s->row_count != row_count ||
        (s->rows == NULL) != (rows == NULL))
        return false;
    return rows == NULL || memcmp(s->rows, rows, (size_t)row_count * sizeof *rows) == 0;
}

/* The stream with this window; or the one to replace, in front of all: of the same channels, so
 * that nothing stays longer than a tile, else a new one or this tensor's oldest. */
static struct cyg_npu_stream *find_stream(cyg_npu_gen *g, uint32_t owner,
                                          const cyg_npu_view *window, const int64_t *rows,
                                          int64_t row_count, bool *out_found)
{
    struct cyg_npu_stream **old = NULL, *s = NULL;
    uint32_t count = 0;
    bool same_channel = false;
    *out_found = false;
    for (struct cyg_npu_stream **at = &g->streams; *at != NULL; at = &(*at)->next) {
        if ((*at)->tensor != owner)
            continue;
        count++;
        if (same_stream(*at, g->step, window, rows, row_count)) {
            *out_found = true;
            return *at;
        }
        if (!same_channel)
            old = at;
        same_channel = same_channel || channel_of(&(*at)->window) == channel_of(window);
    }
    if (same_channel || count == STREAMS_OF_A_TENSOR) {
        s = *old;
        *old = s->next;
    } else {
        s = CYG_NEW(g->arena, struct cyg_npu_stream);
    }
    if (s != NULL) {
        s->next = g->streams;
        g->streams = s;
    }
    return s;
}

/* The tile buffer with a copy of the window: one of the last of this tensor when it fits, else a
 * load into a new one. */
static cyg_status stream_in(cyg_npu_gen *g, uint32_t tensor, const cyg_npu_view *window,
                            const int64_t *rows, int64_t row_count, uint32_t *out_buffer)
{
    const uint32_t owner = cyg_npu_owner(g->p, tensor);
    const bool is_const = g->p->tensors[owner].kind == CYG_TENSOR_CONST;
    const cyg_npu_view tile = tile_view(window, rows, row_count);
    uint32_t from = g->homes[owner].ddr;
    bool found;
    struct cyg_npu_stream *s = find_stream(g, owner, window, rows, row_count, &found);
    if (s == NULL)
        return cyg_npu_gen_nomem(g);
    if (found) {
        *out_buffer = s->buffer;
        return CYG_OK;
    }
    if (is_const)
        CYG_DO(cyg_npu_stored_constant(g, tensor, &from));
    *out_buffer = tile_for(g, &tile, g->p->tensors[owner].name);
    if (*out_buffer == CYG_NPU_NO_BUFFER)
        return cyg_npu_gen_nomem(g);
    g->tasks.buffers[*out_buffer].is_param = is_const;
    CYG_DO(load_tile(g, from, window, rows, row_count, *out_buffer));
    s->tensor = owner;
    s->buffer = *out_buffer;
    s->step = g->step;
    s->window = *window;
    s->rows = rows;
    s->row_count = row_count;
    return CYG_OK;
}

/* Loads of about this many bytes let the first tiles start before the last have come. */
enum { FETCH_BYTES = 32768 };

cyg_status cyg_npu_fetch_input(cyg_npu_gen *g, uint32_t owner)
{
    cyg_npu_home *h = &g->homes[owner];
    if (!h->needs_load)
        return CYG_OK;
    h->needs_load = false;
    const cyg_npu_buffer *b = &g->tasks.buffers[h->ocm];
    const int64_t rows = (int64_t)(b->bytes / b->pitch), pitch = (int64_t)b->pitch;
    int64_t step = pitch < FETCH_BYTES ? FETCH_BYTES / pitch : 1;
    if (cyg_npu_moves_whole(g))
        step = rows;
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t n = rows - row < step ? rows - row : step;
        const cyg_npu_view part = cyg_npu_rows(CYG_TYPE_U8, n, pitch, pitch, row * pitch);
        CYG_DO(cyg_npu_add_move(g, CYG_NPU_OP_LD, h->ddr, &part, h->ocm, &part));
    }
    return CYG_OK;
}

cyg_status cyg_npu_store_outputs(cyg_npu_gen *g, const cyg_step *s)
{
    for (uint32_t i = 0; i < s->out_count; i++) {
        cyg_npu_home *h = &g->homes[cyg_npu_owner(g->p, s->out[i])];
        if (!h->needs_store)
            continue;
        h->needs_store = false;
        const int64_t bytes = (int64_t)g->tasks.buffers[h->ocm].bytes;
        const cyg_npu_view all = cyg_npu_dense(CYG_TYPE_U8, 1, &bytes, 0);
        CYG_DO(add_move(g, CYG_NPU_OP_ST, h->ocm, &all, h->ddr, &all, cyg_npu_tap_of(g, h->ddr)));
    }
    return CYG_OK;
}

/* ---- calls
 * --------------------------------------------------------------------------------------------------------
 */

void cyg_npu_call_begin(cyg_npu_call *c, cyg_npu_gen *g)
{
    c->gen = g;
    c->status = CYG_OK;
    c->in_count = c->out_count = c->store_count = 0;
    c->tap = 0;
}

static void add_operand(cyg_npu_call *c, uint32_t buffer, const cyg_npu_view *window,
                        const int64_t *rows, int64_t row_count, bool is_out)
{
    if (c->status != CYG_OK)
        return;
    CYG_ASSERT(c->in_count + c->out_count < CYG_NPU_MAX_OPERANDS);
    cyg_npu_operand *o = &c->operands[c->in_count + c->out_count];
    if (!make_operand(c->gen, buffer, window, rows, row_count, o))
        c->status = cyg_npu_gen_nomem(c->gen);
    else if (is_out)
        c->out_count++;
    else
        c->in_count++;
}

void cyg_npu_call_in_rows(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window,
                          const int64_t *rows, int64_t row_count)
{
    cyg_npu_gen *g = c->gen;
    if (c->status != CYG_OK)
        return;
    if (tensor == CYG_NO_TENSOR) {
        cyg_npu_call_absent(c);
    } else if (cyg_npu_is_streamed(g, tensor)) {
        uint32_t buffer = CYG_NPU_NO_BUFFER;
        c->status = stream_in(g, tensor, window, rows, row_count, &buffer);
        const cyg_npu_view dense = tile_view(window, rows, row_count);
        add_operand(c, buffer, &dense, NULL, 0, false);
    } else {
        const uint32_t owner = cyg_npu_owner(g->p, tensor);
        c->status = cyg_npu_fetch_input(g, owner);
        add_operand(c, g->homes[owner].ocm, window, rows, row_count, false);
    }
}

void cyg_npu_call_in(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window)
{
    cyg_npu_call_in_rows(c, tensor, window, NULL, 0);
}

void cyg_npu_call_in_ddr(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window,
                         const int64_t *rows, int64_t row_count)
{
    cyg_npu_gen *g = c->gen;
    const uint32_t owner = cyg_npu_owner(g->p, tensor);
    uint32_t from = g->homes[owner].ddr;
    if (c->status == CYG_OK && g->p->tensors[owner].kind == CYG_TENSOR_CONST)
        c->status = cyg_npu_stored_constant(g, tensor, &from);
    add_operand(c, from, window, rows, row_count, false);
}

/* Stored behind the call. rows: by stx, from a tile of these rows. */
static void store_later(cyg_npu_call *c, const cyg_npu_operand *from, uint32_t ddr,
                        const cyg_npu_view *window, const int64_t *rows, int64_t row_count)
{
    cyg_npu_store *s = &c->stores[c->store_count];
    s->from = *from;
    s->tap = cyg_npu_tap_of(c->gen, ddr);
    s->by_index = rows != NULL;
    if (!make_operand(c->gen, ddr, window, rows, row_count, &s->to) ||
        (rows != NULL && !make_index(c->gen, rows, 1, &row_count, &s->index)))
        c->status = cyg_npu_gen_nomem(c->gen);
    else
        c->store_count++;
}

/* A store for each run of the rows named of a tensor that lies in the OCM, too; of very many runs
 * the whole tensor goes when the step is done. */
static void store_runs(cyg_npu_call *c, cyg_npu_home *h, const cyg_npu_view *window,
                       const int64_t *rows, int64_t row_count)
{
    cyg_npu_gen *g = c->gen;
    const cyg_npu_operand from = c->operands[c->in_count + c->out_count - 1];
    int64_t runs = row_count > 0;
    for (int64_t i = 1; i < row_count; i++)
        runs += rows[i] != rows[i - 1] + 1;
    if (runs > CYG_NPU_CALL_STORES - (int64_t)c->store_count) {
        h->needs_store = true;
        return;
    }
    for (int64_t i = 0; i < row_count && c->status == CYG_OK;) {
        int64_t n = 1;
        while (i + n < row_count && rows[i + n] == rows[i] + n)
            n++;
        cyg_npu_view part = *window, there = from.view;
        part.dims[0] = there.dims[0] = n;
        part.offset += (uint64_t)(rows[i] * part.strides[0]);
        there.offset += (uint64_t)(rows[i] * there.strides[0]);
        cyg_npu_operand run;
        if (make_operand(g, from.buffer, &there, NULL, 0, &run))
            store_later(c, &run, h->ddr, &part, NULL, 0);
        else
            c->status = cyg_npu_gen_nomem(g);
        i += n;
    }
}

void cyg_npu_call_out_rows(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window,
                           const int64_t *rows, int64_t row_count)
{
    cyg_npu_gen *g = c->gen;
    const uint32_t owner = cyg_npu_owner(g->p, tensor);
    cyg_npu_home *h = &g->homes[owner];
    if (c->status != CYG_OK)
        return;
    if (h->ocm == CYG_NPU_NO_BUFFER) {
        const cyg_npu_view tile = tile_view(window, rows, row_count);
        const uint32_t buffer = tile_for(g, &tile, g->p->tensors[owner].name);
        if (buffer == CYG_NPU_NO_BUFFER) {
            c->status = cyg_npu_gen_nomem(g);
            return;
        }
        add_operand(c, buffer, &tile, NULL, 0, true);
        const cyg_npu_operand from = c->operands[c->in_count + c->out_count - 1];
        if (c->status == CYG_OK)
            store_later(c, &from, h->ddr, window, rows, row_count);
        return;
    }
    CYG_ASSERT(c->out_count == 0); /* taps are of output 0 */
    c->tap = cyg_npu_tap_of(g, h->ocm);
    add_operand(c, h->ocm, window, rows, row_count, true);
    if (c->status != CYG_OK || h->ddr == CYG_NPU_NO_BUFFER)
        return;
    const cyg_npu_operand from = c->operands[c->in_count + c->out_count - 1];
    if (cyg_npu_moves_whole(g))
        h->needs_store = true;
    else if (rows != NULL)
        store_runs(c, h, window, rows, row_count);
    else
        store_later(c, &from, h->ddr, window, NULL, 0);
}

void cyg_npu_call_out(cyg_npu_call *c, uint32_t tensor, const cyg_npu_view *window)
{
    cyg_npu_call_out_rows(c, tensor, window, NULL, 0);
}

void cyg_npu_call_in_buffer(cyg_npu_call *c, uint32_t buffer, const cyg_npu_view *window)
{
    add_operand(c, buffer, window, NULL, 0, false);
}

void cyg_npu_call_out_buffer(cyg_npu_call *c, uint32_t buffer, const cyg_npu_view *window)
{
    add_operand(c, buffer, window, NULL, 0, true);
}

void cyg_npu_call_absent(cyg_npu_call *c)
{
    c->operands[c->in_count++] = (cyg_npu_operand){.buffer = CYG_NPU_NO_BUFFER};
}

void cyg_npu_call_index(cyg_npu_call *c, const int64_t *index, int rank, const int64_t *dims)
{
    if (c->status != CYG_OK)
        return;
    if (make_index(c->gen, index, rank, dims, &c->operands[c->in_count]))
        c->in_count++;
    else
        c->status = cyg_npu_gen_nomem(c->gen);
}

cyg_status cyg_npu_call_end(cyg_npu_call *c, cyg_npu_op op, const void *params, size_t params_size)
{
    cyg_npu_gen *g = c->gen;
    if (c->status != CYG_OK)
        return c->status;
    cyg_npu_task task = {.op = (uint16_t)op,
                         .in_count = (uint16_t)c->in_count,
                         .out_count = (uint16_t)c->out_count,
                         .operands = c->operands,
                         .params = params,
                         .params_size = (uint32_t)params_size,
                         .step = g->step,
                         .tile = g->tile,
                         .phase = g->phase,
                         .tap = c->tap};
    CYG_DO(add_task(g, &task));
    for (uint32_t i = 0; i < c->store_count; i++) {
        const bool by_index = c->stores[i].by_index;
        const cyg_npu_operand operands[] = {
            c->stores[i].from, by_index ? c->stores[i].index : c->stores[i].to, c->stores[i].to};
        const cyg_npu_task store = {.op = by_index ? CYG_NPU_OP_STX : CYG_NPU_OP_ST,
                                    .in_count = by_index ? 2 : 1,
                                    .out_count = 1,
                                    .operands = operands,
                                    .step = g->step,
                                    .tile = g->tile,
                                    .phase = g->phase,
                                    .tap = c->stores[i].tap};
        CYG_DO(add_task(g, &store));
    }
    g->tile++;
    return CYG_OK;
}

/* ---- moves
 * --------------------------------------------------------------------------------------------------------
 */

cyg_status cyg_npu_move(cyg_npu_gen *g, uint32_t from, const cyg_npu_view *x, uint32_t to,
                        const cyg_npu_view *y)
{
    const uint32_t source = cyg_npu_owner(g->p, from), target = cyg_npu_owner(g->p, to);
    const bool is_const = g->p->tensors[source].kind == CYG_TENSOR_CONST;
    cyg_npu_home *h = &g->homes[target];
    const uint32_t in_ocm = cyg_npu_tap_of(g, h->ocm), in_ddr = cyg_npu_tap_of(g, h->ddr);
    uint32_t at = is_const ? CYG_NPU_NO_BUFFER : g->homes[source].ddr;
    if (is_const)
        CYG_DO(cyg_npu_stored_constant(g, from, &at));
    if (!cyg_npu_is_streamed(g, from)) {
        CYG_DO(cyg_npu_fetch_input(g, source));
        at = g->homes[source].ocm;
        if (h->ocm == CYG_NPU_NO_BUFFER)
            CYG_DO(add_move(g, CYG_NPU_OP_ST, at, x, h->ddr, y, in_ddr));
        else
            CYG_DO(add_move(g, CYG_NPU_OP_CV_COPY, at, x, h->ocm, y, in_ocm));
    } else if (h->ocm != CYG_NPU_NO_BUFFER) {
        CYG_DO(add_move(g, CYG_NPU_OP_LD, at, x, h->ocm, y, in_ocm));
    } else {
        const uint32_t tile = tile_for(g, y, g->p->tensors[target].name);
        const cyg_npu_view dense = cyg_npu_dense(y->type, y->rank, y->dims, 0);
        if (tile == CYG_NPU_NO_BUFFER)
            return cyg_npu_gen_nomem(g);
        CYG_DO(cyg_npu_add_move(g, CYG_NPU_OP_LD, at, x, tile, &dense));
        CYG_DO(add_move(g, CYG_NPU_OP_ST, tile, &dense, h->ddr, y, in_ddr));
    }
    if (h->ocm != CYG_NPU_NO_BUFFER && h->ddr != CYG_NPU_NO_BUFFER) {
        if (cyg_npu_moves_whole(g))
            h->needs_store = true;
        else
            CYG_DO(add_move(g, CYG_NPU_OP_ST, h->ocm, y, h->ddr, y, in_ddr));
    }
    g->tile++;
    return CYG_OK;
}

uint64_t cyg_npu_share(const cyg_npu_gen *g, uint32_t step)
{
    static const double shares[CYG_NPU_LEVELS] = {0.97, 0.88, 0.78, 0.66, 0.5, 0.4, 0.3, 0.2};
    return (uint64_t)((double)g->m->ocm_bytes * shares[g->levels[step]]);
}

uint32_t cyg_npu_most_step_tasks(const cyg_npu_gen *g)
{
    return g->options->most_step_tasks != 0 ? g->options->most_step_tasks : CYG_NPU_STEP_TASKS;
}

int64_t cyg_npu_room(const cyg_npu_gen *g)
{
    const int64_t all = (int64_t)cyg_npu_share(g, g->first + g->step);
    const int64_t taken = (int64_t)g->live[g->first + g->step];
    return all > taken ? all - taken : 0;
}

bool cyg_npu_stays(cyg_npu_gen *g, int64_t bytes)
{
    const int64_t room = cyg_npu_room(g);
    g->torn |= bytes > room / 3 && bytes <= room / 2;
    return bytes <= room / (g->keeps_more ? 2 : 3);
}

int64_t cyg_npu_tighten(const cyg_npu_gen *g, int64_t tile)
{
    static const uint8_t halvings[CYG_NPU_LEVELS] = {0, 0, 0, 0, 1, 2, 4, 16};
    for (uint32_t i = 0; i < halvings[g->levels[g->first + g->step]] && tile > 1; i++)
        tile = (tile + 1) / 2;
    return tile;
}

int64_t cyg_npu_cut_like(const cyg_npu_gen *g)
{
    return g->options->cut_like == NULL ? 0 : g->options->cut_like[g->first + g->step];
}

void cyg_npu_tell_cut(const cyg_npu_gen *g, int64_t cut)
{
    if (g->options->cut != NULL)
        g->options->cut[g->first + g->step] = cut;
}

uint32_t cyg_npu_engines(const cyg_npu_gen *g, cyg_npu_engine_kind kind)
{
    return cyg_npu_engines_of(g->m, kind);
}

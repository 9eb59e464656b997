/* Moves around an attention in the plain schedule; see gen_apart.h. */
#include "target/npu/gen_apart.h"

#include <stdlib.h>

enum { PIECE = 65536 }; /* bytes of a move: starting costs little beside it */

static uint32_t tensor_of(const cyg_npu_apart *x, int which)
{
    return which == CYG_NPU_APART_Y ? x->step->out[0] : x->step->in[which];
}

static int32_t type_of(const cyg_npu_apart *x, int which)
{
    return cyg_npu_tensor(x->gen, tensor_of(x, which))->type;
}

static int64_t channels_of(const cyg_npu_apart *x)
{
    return x->at->heads * x->at->head_dim;
}

void cyg_npu_apart_open(cyg_npu_apart *x, cyg_npu_gen *g, const cyg_step *s,
                        const cyg_kp_attention *at, const int64_t *rows, int64_t tile_entries,
                        int64_t tile_bytes)
{
    *x = (cyg_npu_apart){.gen = g, .step = s, .at = at, .rows = rows};
    if (!cyg_npu_moves_whole(g))
        return;
    int64_t each = 0; /* bytes of an entry */
    for (int i = 0; i < CYG_NPU_APARTS; i++)
        each += at->tokens * channels_of(x) * cyg_npu_type_bytes(type_of(x, i));
    const int64_t room = cyg_npu_room(g) - tile_bytes;
    const int64_t most = room > 0 && each > 0 ? room / each : 0;
    x->most = most < at->entries ? most - most % tile_entries : at->entries;
    /* phases have 16 bits */
    if (x->most > 0 && at->images * (at->entries / x->most + 1) > UINT16_MAX / 2)
        x->most = 0;
}

/* The tensor's row that the i-th row apart is of. */
static int64_t row_of(const cyg_npu_apart *x, int64_t i)
{
    const int64_t token = x->entry * x->at->tokens + i;
    return x->image * x->at->entries * x->at->tokens + (x->rows != NULL ? x->rows[token] : token);
}

static int64_t piece_rows(const cyg_npu_apart *x, int which)
{
    const int64_t row = channels_of(x) * cyg_npu_type_bytes(type_of(x, which));
    return row < PIECE ? cyg_npu_tighten(x->gen, PIECE / row) : 1;
}

/* Makes n rows relative to the lowest of them, which it returns; *out_high: the highest, likewise
 * relative; *out_in_order: they are 0, 1, 2, .. */
static int64_t make_relative(int64_t *rows, int64_t n, int64_t *out_high, bool *out_in_order)
{
    int64_t low = rows[0];
    *out_high = 0;
    *out_in_order = true;
    for (int64_t i = 1; i < n; i++)
        low = rows[i] < low ? rows[i] : low;
    for (int64_t i = 0; i < n; i++) {
        rows[i] -= low;
        *out_high = rows[i] > *out_high ? rows[i] : *out_high;
        *out_in_order = *out_in_order && rows[i] == i;
    }
    return low;
}

/* Rows at .. at + n of buffer `which` from the tensor's: rows of another pitch, among others'
 * channels. */
static cyg_status fetch(cyg_npu_apart *x, int which, int64_t at, int64_t n)
{
    const int64_t strides[] = {x->at->q_stride, x->at->k_stride, x->at->v_stride};
    const int64_t offsets[] = {x->at->q_offset, x->at->k_offset, x->at->v_offset};
    const int64_t c = channels_of(x);
    const int32_t type = type_of(x, which);
    int64_t *rows = CYG_NEW_ARRAY(x->gen->arena, int64_t, n + 1), high;
    bool in_order;
    if (rows == NULL)
        return cyg_npu_gen_nomem(x->gen);
    for (int64_t i = 0; i < n; i++)
        rows[i] = row_of(x, at + i);
    const int64_t low = make_relative(rows, n, &high, &in_order);
    const cyg_npu_view from =
        cyg_npu_rows(type, high + 1, c, strides[which], low * strides[which] + offsets[which]);
    const cyg_npu_view to = cyg_npu_rows(type, n, c, c, at * c);
    cyg_npu_call call;
    cyg_npu_call_begin(&call, x->gen);
    cyg_npu_call_in_rows(&call, tensor_of(x, which), &from, rows, n);
    if (!in_order)
        cyg_npu_call_index(&call, rows, 1, &n);
    cyg_npu_call_out_buffer(&call, x->buffers[which], &to);
    return cyg_npu_call_end(&call, in_order ? CYG_NPU_OP_CV_COPY : CYG_NPU_OP_CV_GATHER, NULL, 0);
}

cyg_status cyg_npu_apart_fetch(cyg_npu_apart *x, int64_t image, int64_t entry, int64_t entries)
{
    const int64_t count = entries * x->at->tokens;
    x->image = image;
    x->entry = entry;
    x->entries = entries;
    for (int i = 0; i < CYG_NPU_APARTS; i++) {
        const uint64_t pitch = (uint64_t)(channels_of(x) * cyg_npu_type_bytes(type_of(x, i)));
        x->buffers[i] = cyg_npu_new_tile(x->gen, (uint64_t)count * pitch, pitch, x->step->name);
        if (x->buffers[i] == CYG_NPU_NO_BUFFER)
            return cyg_npu_gen_nomem(x->gen);
        const int64_t piece = piece_rows(x, i);
        for (int64_t at = 0; i != CYG_NPU_APART_Y && at < count; at += piece)
            CYG_DO(fetch(x, i, at, count - at < piece ? count - at : piece));
    }
    x->gen->phase++;
    return CYG_OK;
}

typedef struct pair {
    int64_t to, from; /* row of y, row apart */
} pair;

static int by_target(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    if (x->to != y->to)
        return x->to < y->to ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* A run of y's rows. */
static cyg_status give_back(cyg_npu_apart *x, const pair *run, int64_t n)
{
    const int64_t c = channels_of(x);
    const int32_t type = type_of(x, CYG_NPU_APART_Y);
    int64_t *rows = CYG_NEW_ARRAY(x->gen->arena, int64_t, n + 1), high;
    bool in_order;
    if (rows == NULL)
        return cyg_npu_gen_nomem(x->gen);
    for (int64_t i = 0; i < n; i++)
        rows[i] = run[i].from;
    const int64_t low = make_relative(rows, n, &high, &in_order);
    const cyg_npu_view from = cyg_npu_rows(type, high + 1, c, c, low * c);
    const cyg_npu_view to = cyg_npu_rows(type, n, c, c, run[0].to * c);
    cyg_npu_call call;
    cyg_npu_call_begin(&call, x->gen);
    cyg_npu_call_in_buffer(&call, x->buffers[CYG_NPU_APART_Y], &from);
    if (!in_order)
        cyg_npu_call_index(&call, rows, 1, &n);
    cyg_npu_call_out(&call, tensor_of(x, CYG_NPU_APART_Y), &to);
    return cyg_npu_call_end(&call, in_order ? CYG_NPU_OP_CV_COPY : CYG_NPU_OP_CV_GATHER, NULL, 0);
}

cyg_status cyg_npu_apart_return(cyg_npu_apart *x)
{
    const int64_t count = x->entries * x->at->tokens, piece = piece_rows(x, CYG_NPU_APART_Y);
    pair *pairs = CYG_NEW_ARRAY(x->gen->arena, pair, count + 1);
    if (pairs == NULL)
        return cyg_npu_gen_nomem(x->gen);
    for (int64_t i = 0; i < count; i++)
        pairs[i] = (pair){row_of(x, i), i};
    qsort(pairs, (size_t)count, sizeof *pairs, by_target);
    x->gen->phase++;
    for (int64_t at = 0, n; at < count; at += n) {
        n = 1;
        while (n < piece && at + n < count && pairs[at + n].to == pairs[at + n - 1].to + 1)
            n++;
        CYG_DO(give_back(x, pairs + at, n));
    }
    x->gen->phase++;
    return CYG_OK;
}

cyg_npu_view cyg_npu_apart_window(const cyg_npu_apart *x, int which, int64_t entry, int64_t entries,
                                  int64_t first, int64_t count, int64_t channel, int64_t channels)
{
    /* Tokens of several entries only when all of each are meant. */
    const int64_t row = (entry - x->entry) * x->at->tokens + first, c = channels_of(x);
    return cyg_npu_rows(type_of(x, which), entries * count, channels, c, row * c + channel);
}

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

static int64_t row_bytes(const cyg_npu_apart *x, int which)
{
    return channels_of(x) * cyg_npu_type_bytes(type_of(x, which));
}

/* ---- what the graph does to get rows into this order
 * -----------------------------------------------------------------------------------------------
 */

/* Blocks of `block` rows, beginning at row 0, that follow one another at one distance. */
static int64_t blocks_alike(const int64_t *rows, int64_t n, int64_t block)
{
    const int64_t stride = rows[block] - rows[0];
    for (int64_t i = block; i < n; i++)
        if (rows[i] != rows[i % block] + i / block * stride)
            return i / block;
    return n / block;
}

/* How many axes the rows 0 .. n walk along as one transpose does, each a fixed distance a position;
 * 0 = no transpose walks like that. */
static int axes_walked(const int64_t *rows, int64_t n)
{
    int axes = 0;
    for (int64_t block = 1; block < n; axes++) {
        const int64_t count = blocks_alike(rows, n, block);
        if (count < 2 || n % (block * count) != 0)
            return 0;
        block *= count;
    }
    return axes;
}

/* Moves of all rows by which the graph gets them into this order: none; one, a transpose; or, where
 * no transpose does it, a cyclic shift along each axis of an entry before that. A shift is one
 * move, a concatenation of two slices: cropping is the mover's address generation. */
static int moves_of(const int64_t *rows, int64_t entries, int64_t tokens)
{
    const int64_t n = rows == NULL ? 0 : entries * tokens;
    int64_t in_order = 0;
    while (in_order < n && rows[in_order] == in_order)
        in_order++;
    if (in_order == n)
        return 0;
    return axes_walked(rows, n) > 0 ? 1 : 1 + axes_walked(rows, tokens);
}

void cyg_npu_apart_open(cyg_npu_apart *x, cyg_npu_gen *g, const cyg_step *s,
                        const cyg_kp_attention *at, const int64_t *rows, int64_t tile_entries,
                        int64_t tile_bytes)
{
    *x = (cyg_npu_apart){.gen = g, .step = s, .at = at, .rows = rows};
    if (!cyg_npu_moves_whole(g))
        return;
    x->moves = moves_of(rows, at->entries, at->tokens);
    int64_t each = 0, between = 0; /* bytes of an entry */
    for (int i = 0; i < CYG_NPU_APARTS; i++) {
        const int64_t bytes = at->tokens * row_bytes(x, i);
        each += bytes;
        between = bytes > between ? bytes : between;
    }
    if (x->moves > 0)
        each += 2 * between; /* from one buffer to the next */
    const int64_t room = cyg_npu_room(g) - tile_bytes;
    const int64_t most = room > 0 && each > 0 ? room / each : 0;
    x->most = most < at->entries ? most - most % tile_entries : at->entries;
    /* phases have 16 bits */
    if (x->most > 0 && at->images * (at->entries / x->most + 1) > UINT16_MAX / (2 * (x->moves + 1)))
        x->most = 0;
}

/* The tensor's row that the i-th row apart is of. */
static int64_t row_of(const cyg_npu_apart *x, int64_t i)
{
    const int64_t token = x->entry * x->at->tokens + i;
    return x->image * x->at->entries * x->at->tokens + (x->rows != NULL ? x->rows[token] : token);
}

/* Rows of a move: equal shares of all of them for the engines that move. */
static int64_t piece_rows(const cyg_npu_apart *x, int which)
{
    const int64_t row = row_bytes(x, which), count = x->entries * x->at->tokens;
    const int64_t most = row < PIECE ? PIECE / row : 1, cvs = cyg_npu_engines(x->gen, CYG_NPU_CV);
    const int64_t pieces = ((count + most - 1) / most + cvs - 1) / cvs * cvs;
    return cyg_npu_tighten(x->gen, (count + pieces - 1) / pieces);
}

/* ---- moves: `from` and `to` are buffers of all rows apart, or CYG_NPU_NO_BUFFER for the tensor
 * -------------------------------------------------------------------------------------- */

static cyg_npu_view rows_at(const cyg_npu_apart *x, int which, uint32_t buffer, int64_t first,
                            int64_t n)
{
    const int64_t strides[] = {x->at->q_stride, x->at->k_stride, x->at->v_stride};
    const int64_t offsets[] = {x->at->q_offset, x->at->k_offset, x->at->v_offset};
    const int64_t c = channels_of(x);
    /* q, k and v are tensors of another pitch, among others' channels. */
    const bool among = buffer == CYG_NPU_NO_BUFFER && which != CYG_NPU_APART_Y;
    const int64_t pitch = among ? strides[which] : c, channel = among ? offsets[which] : 0;
    return cyg_npu_rows(type_of(x, which), n, c, pitch, first * pitch + channel);
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

/* The rows named of `from`, n of them, to rows at .. at + n of `to`. */
static cyg_status move(cyg_npu_apart *x, int which, uint32_t from, const int64_t *named,
                       uint32_t to, int64_t at, int64_t n)
{
    int64_t *rows = CYG_NEW_ARRAY(x->gen->arena, int64_t, n + 1), high;
    bool in_order;
    if (rows == NULL)
        return cyg_npu_gen_nomem(x->gen);
    for (int64_t i = 0; i < n; i++)
        rows[i] = named[i];
    const int64_t low = make_relative(rows, n, &high, &in_order);
    const cyg_npu_view in = rows_at(x, which, from, low, high + 1),
                       out = rows_at(x, which, to, at, n);
    cyg_npu_call call;
    cyg_npu_call_begin(&call, x->gen);
    if (from == CYG_NPU_NO_BUFFER)
        cyg_npu_call_in_rows(&call, tensor_of(x, which), &in, rows, n);
    else
        cyg_npu_call_in_buffer(&call, from, &in);
    if (!in_order)
        cyg_npu_call_index(&call, rows, 1, &n);
    if (to == CYG_NPU_NO_BUFFER)
        cyg_npu_call_out(&call, tensor_of(x, which), &out);
    else
        cyg_npu_call_out_buffer(&call, to, &out);
    return cyg_npu_call_end(&call, in_order ? CYG_NPU_OP_CV_COPY : CYG_NPU_OP_CV_GATHER, NULL, 0);
}

static cyg_status new_buffer(cyg_npu_apart *x, int which, uint32_t *out)
{
    const uint64_t pitch = (uint64_t)row_bytes(x, which);
    const uint64_t rows = (uint64_t)(x->entries * x->at->tokens);
    *out = cyg_npu_new_tile(x->gen, rows * pitch, pitch, x->step->name);
    return *out == CYG_NPU_NO_BUFFER ? cyg_npu_gen_nomem(x->gen) : CYG_OK;
}

/* All rows, named in this order, to a buffer of their own. */
static cyg_status gather(cyg_npu_apart *x, int which, uint32_t from, const int64_t *named,
                         uint32_t *out)
{
    const int64_t count = x->entries * x->at->tokens, piece = piece_rows(x, which);
    CYG_DO(new_buffer(x, which, out));
    for (int64_t at = 0; at < count; at += piece)
        CYG_DO(move(x, which, from, named + at, *out, at, count - at < piece ? count - at : piece));
    return CYG_OK;
}

/* The same as an operator of its own, which others wait for. */
static cyg_status gather_first(cyg_npu_apart *x, int which, const int64_t *named, uint32_t *buffer)
{
    CYG_DO(gather(x, which, *buffer, named, buffer));
    x->gen->phase++;
    return CYG_OK;
}

/* ---- the order of rows apart, and the tensor's
 * ------------------------------------------------------------------------------------------------
 */

/* All by number of a row: apart or in the tensor's order. */
typedef struct orders {
    int64_t *plain;  /* 0, 1, 2, .. */
    int64_t *tensor; /* apart: which row of the tensor it is */
    int64_t *lowest; /* those, from the lowest to the highest */
    int64_t *apart;  /* in that order: which row apart it is */
    int64_t *rank;   /* apart: its number in that order */
} orders;

typedef struct pair {
    int64_t row, apart;
} pair;

static int by_row(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return x->apart < y->apart ? -1 : x->apart > y->apart;
}

static cyg_status find_orders(const cyg_npu_apart *x, orders *o)
{
    const int64_t count = x->entries * x->at->tokens;
    pair *pairs = CYG_NEW_ARRAY(x->gen->arena, pair, count + 1);
    int64_t *all = CYG_NEW_ARRAY(x->gen->arena, int64_t, 5 * count + 1);
    if (pairs == NULL || all == NULL)
        return cyg_npu_gen_nomem(x->gen);
    *o = (orders){all, all + count, all + 2 * count, all + 3 * count, all + 4 * count};
    for (int64_t i = 0; i < count; i++)
        pairs[i] = (pair){row_of(x, i), i};
    for (int64_t i = 0; i < count; i++) {
        o->plain[i] = i;
        o->tensor[i] = pairs[i].row;
    }
    qsort(pairs, (size_t)count, sizeof *pairs, by_row);
    for (int64_t i = 0; i < count; i++) {
        o->lowest[i] = pairs[i].row;
        o->apart[i] = pairs[i].apart;
        o->rank[pairs[i].apart] = i;
    }
    return CYG_OK;
}

/* What the graph does with all channels of an entry before it multiplies by the weights of q, k and
 * v, done to the product's q: as many bytes. Shifts, then a transpose; heads are parted later. */
static cyg_status enter_windows(cyg_npu_apart *x, const orders *o, uint32_t *q)
{
    if (x->moves == 1)
        return gather_first(x, CYG_NPU_APART_Q, o->tensor, q);
    CYG_DO(gather_first(x, CYG_NPU_APART_Q, o->lowest, q));
    for (int i = 2; i < x->moves; i++)
        CYG_DO(gather_first(x, CYG_NPU_APART_Q, o->plain, q));
    return gather_first(x, CYG_NPU_APART_Q, o->rank, q);
}

cyg_status cyg_npu_apart_fetch(cyg_npu_apart *x, int64_t image, int64_t entry, int64_t entries)
{
    orders o;
    uint32_t q = CYG_NPU_NO_BUFFER;
    x->image = image;
    x->entry = entry;
    x->entries = entries;
    CYG_DO(find_orders(x, &o));
    if (x->moves > 0)
        CYG_DO(enter_windows(x, &o, &q));
    CYG_DO(gather(x, CYG_NPU_APART_Q, q, x->moves > 0 ? o.plain : o.tensor,
                  &x->buffers[CYG_NPU_APART_Q]));
    for (int i = CYG_NPU_APART_K; i <= CYG_NPU_APART_V; i++)
        CYG_DO(gather(x, i, CYG_NPU_NO_BUFFER, o.tensor, &x->buffers[i]));
    CYG_DO(new_buffer(x, CYG_NPU_APART_Y, &x->buffers[CYG_NPU_APART_Y]));
    x->gen->phase++;
    return CYG_OK;
}

/* Rows of a buffer to y, a move for each run of y's rows: named by the rank of what they are. */
static cyg_status give_back(cyg_npu_apart *x, const orders *o, uint32_t from, const int64_t *named)
{
    const int64_t count = x->entries * x->at->tokens, piece = piece_rows(x, CYG_NPU_APART_Y);
    for (int64_t at = 0, n; at < count; at += n) {
        n = 1;
        while (n < piece && at + n < count && o->lowest[at + n] == o->lowest[at + n - 1] + 1)
            n++;
        CYG_DO(move(x, CYG_NPU_APART_Y, from, named + at, CYG_NPU_NO_BUFFER, o->lowest[at], n));
    }
    x->gen->phase++;
    return CYG_OK;
}

cyg_status cyg_npu_apart_return(cyg_npu_apart *x)
{
    orders o;
    uint32_t y = x->buffers[CYG_NPU_APART_Y];
    CYG_DO(find_orders(x, &o));
    x->gen->phase++;
    if (x->moves > 0) /* heads alone; the graph does the rest behind the product that follows */
        CYG_DO(gather_first(x, CYG_NPU_APART_Y, o.plain, &y));
    if (x->moves < 2)
        return give_back(x, &o, y, o.apart);
    CYG_DO(gather_first(x, CYG_NPU_APART_Y, o.apart, &y));
    for (int i = 2; i < x->moves; i++)
        CYG_DO(gather_first(x, CYG_NPU_APART_Y, o.plain, &y));
    return give_back(x, &o, y, o.plain);
}

cyg_npu_view cyg_npu_apart_window(const cyg_npu_apart *x, int which, int64_t entry, int64_t entries,
                                  int64_t first, int64_t count, int64_t channel, int64_t channels)
{
    /* Tokens of several entries only when all of each are meant. */
    const int64_t row = (entry - x->entry) * x->at->tokens + first, c = channels_of(x);
    return cyg_npu_rows(type_of(x, which), entries * count, channels, c, row * c + channel);
}

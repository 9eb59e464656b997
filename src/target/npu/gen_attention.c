/* attention: for sets of entries (windows), heads and query rows: conv.qk makes the sums,
 * teng.weigh the probabilities and a factor for each row, conv.pv the weighted values. Rows of q,
 * k, v and y go through the step's row table, which lies in CODE; a tile sees the rows from its
 * first to its last. */
#include <math.h>
#include <string.h>

#include "target/npu/gen_apart.h"
#include "target/npu/matrix.h"

enum { Q, K, V, C, A, BIAS, MASK, ROWS };

typedef struct attention {
    cyg_npu_gen *gen;
    const cyg_step *step;
    const cyg_kp_iattention *p;
    int32_t type[3], y_type; /* of q, k, v */
    int32_t sum_type;
    int64_t entries, heads, queries; /* of a tile, at most */
    const int64_t *rows, *mask;      /* tables of the step, or NULL */
    const float *bias;
    /* c, A and bias by part of heads and queries: in PARAM, in the OCM; pieces: of the present. */
    uint32_t *stored, *loaded, blob;
    int64_t slots;      /* parts of them */
    bool keep;          /* all of them stay in the OCM for all entries */
    bool entries_inner; /* else a part comes for each tile, or, with entries inside, once */
    int64_t bytes;      /* of all buffers that tiles need */
    cyg_npu_apart apart;
    cyg_npu_piece pieces[3];
} attention;

/* One tile. */
typedef struct part {
    int64_t image, entry, entries, head, heads, query, queries;
} part;

/* A window of q, k, v or y: rows from the lowest to the highest that the tile names. */
typedef struct window {
    cyg_npu_view view;
    const int64_t *index; /* [entries, count] relative to the view, NULL = in order */
    int64_t count;
    uint32_t buffer; /* the buffer apart that it is of, or CYG_NPU_NO_BUFFER: the tensor */
} window;

static const void *constant_data(const cyg_npu_gen *g, const cyg_step *s, uint32_t i)
{
    if (i >= s->in_count || s->in[i] == CYG_NO_TENSOR)
        return NULL;
    return g->p->tensors[cyg_npu_owner(g->p, s->in[i])].data;
}

static cyg_status window_of(const attention *a, const part *t, int32_t type, int64_t stride,
                            int64_t channel, int64_t first, int64_t count, window *out)
{
    const cyg_kp_attention *at = &a->p->at;
    const int64_t total = t->entries * count, image = t->image * at->entries * at->tokens;
    int64_t *index = CYG_NEW_ARRAY(a->gen->arena, int64_t, total + 1);
    if (index == NULL)
        return cyg_npu_gen_nomem(a->gen);
    int64_t low = INT64_MAX, high = -1;
    for (int64_t i = 0; i < total; i++) {
        const int64_t token = (t->entry + i / count) * at->tokens + first + i % count;
        index[i] = a->rows != NULL ? a->rows[token] : token;
        low = index[i] < low ? index[i] : low;
        high = index[i] > high ? index[i] : high;
    }
    bool in_order = high - low + 1 == total;
    for (int64_t i = 0; i < total; i++) {
        index[i] -= low;
        in_order = in_order && index[i] == i;
    }
    out->view = cyg_npu_rows(type, high - low + 1, t->heads * at->head_dim, stride,
                             (image + low) * stride + channel);
    out->index = in_order ? NULL : index;
    out->count = count;
    out->buffer = CYG_NPU_NO_BUFFER;
    return CYG_OK;
}

/* The same tokens where they lie apart: in order. */
static void move_apart(const attention *a, const part *t, int which, int64_t first, window *w)
{
    const cyg_kp_attention *at = &a->p->at;
    if (a->apart.most == 0)
        return;
    w->view = cyg_npu_apart_window(&a->apart, which, t->entry, t->entries, first, w->count,
                                   t->head * at->head_dim, t->heads * at->head_dim);
    w->index = NULL;
    w->buffer = a->apart.buffers[which];
}

static void add_window(cyg_npu_call *c, uint32_t tensor, const window *w, const part *t)
{
    if (w->buffer != CYG_NPU_NO_BUFFER) {
        cyg_npu_call_in_buffer(c, w->buffer, &w->view);
        return;
    }
    cyg_npu_call_in_rows(c, tensor, &w->view, w->index,
                         w->index != NULL ? t->entries * w->count : 0);
}

/* Rows of a tensor in the DDR come, and go, in order. */
static void add_table(cyg_npu_call *c, uint32_t tensor, const window *w, const part *t)
{
    const int64_t dims[] = {t->entries, w->count};
    if (w->index == NULL || cyg_npu_is_streamed(c->gen, tensor))
        cyg_npu_call_absent(c);
    else
        cyg_npu_call_index(c, w->index, 2, dims);
}

/* ---- constants
 * ---------------------------------------------------------------------------------------------------
 */

static int64_t parts(int64_t all, int64_t each)
{
    return all / each + (all % each != 0);
}

/* The bias tables of some heads and queries, [T, heads, queries, N]. */
static const float *cut_tables(const attention *a, const part *t)
{
    const cyg_kp_attention *at = &a->p->at;
    const int64_t row = at->tokens, piece = t->queries * row;
    float *tables = cyg_arena_alloc(a->gen->arena, (size_t)(at->tables * t->heads * piece) * 4, 64);
    for (int64_t i = 0; tables != NULL && i < at->tables; i++)
        for (int64_t h = 0; h < t->heads; h++)
            memcpy(tables + (i * t->heads + h) * piece,
                   a->bias + ((i * at->heads + t->head + h) * at->tokens + t->query) * row,
                   (size_t)piece * 4);
    return tables;
}

/* c, A and the bias tables of the tile's heads and queries. */
static cyg_status load_constants(attention *a, const part *t)
{
    cyg_npu_gen *g = a->gen;
    const cyg_kp_attention *at = &a->p->at;
    const int64_t slot = t->head / a->heads * parts(at->tokens, a->queries) + t->query / a->queries;
    const uint64_t each = (uint64_t)t->heads * 4, step = (each + 63) / 64 * 64;
    a->pieces[0] = (cyg_npu_piece){(const float *)constant_data(g, a->step, C) + t->head, each, 0};
    a->pieces[1] =
        (cyg_npu_piece){(const float *)constant_data(g, a->step, A) + t->head, each, step};
    a->pieces[2] = (cyg_npu_piece){NULL, 0, 2 * step};
    if (a->stored[slot] == CYG_NPU_NO_BUFFER) {
        if (a->bias != NULL) {
            a->pieces[2].data = cut_tables(a, t);
            a->pieces[2].bytes = (uint64_t)(at->tables * t->heads * t->queries * at->tokens) * 4;
            if (a->pieces[2].data == NULL)
                return cyg_npu_gen_nomem(g);
        }
        CYG_DO(cyg_npu_store_pieces(g, a->pieces, a->bias != NULL ? 3 : 2, a->step->name,
                                    &a->stored[slot]));
    }
    if (a->loaded[slot] == CYG_NPU_NO_BUFFER || (!a->keep && !a->entries_inner))
        CYG_DO(cyg_npu_load_stored(g, a->stored[slot], &a->loaded[slot]));
    a->blob = a->loaded[slot];
    return CYG_OK;
}

/* ---- the three calls
 * --------------------------------------------------------------------------------------------- */

static cyg_kp_attention geometry(const attention *a, const part *t)
{
    cyg_kp_attention at = a->p->at;
    at.heads = t->heads;
    at.entries = t->entries;
    at.images = 1;
    at.q_stride = at.k_stride = at.v_stride = t->heads * at.head_dim;
    at.q_offset = at.k_offset = at.v_offset = 0;
    return at;
}

typedef struct buffers {
    uint32_t sums, e, f;
    cyg_npu_view sums_view, e_view, f_view;
} buffers;

static cyg_status make_buffers(const attention *a, const part *t, buffers *out)
{
    const int64_t square[] = {t->entries, t->heads, t->queries, a->p->at.tokens};
    const int32_t e_type = a->p->e_bits == 8 ? CYG_TYPE_U8 : CYG_TYPE_U16;
    out->sums_view = cyg_npu_dense(a->sum_type, 4, square, 0);
    out->e_view = cyg_npu_dense(e_type, 4, square, 0);
    out->f_view = cyg_npu_dense(CYG_TYPE_F32, 3, square, 0);
    const cyg_npu_view *views[] = {&out->sums_view, &out->e_view, &out->f_view};
    uint32_t *made[] = {&out->sums, &out->e, &out->f};
    for (int i = 0; i < 3; i++) {
        const cyg_npu_view *v = views[i];
        *made[i] = cyg_npu_new_tile(a->gen, cyg_npu_view_bytes(v),
                                    (uint64_t)(v->dims[v->rank - 1] * cyg_npu_type_bytes(v->type)),
                                    a->step->name);
        if (*made[i] == CYG_NPU_NO_BUFFER)
            return cyg_npu_gen_nomem(a->gen);
    }
    return CYG_OK;
}

static cyg_status scores(const attention *a, const part *t, const window *q, const window *k,
                         const buffers *b)
{
    const cyg_kp_iattention_part p = {.at = geometry(a, t), .queries = t->queries};
    cyg_npu_call c;
    cyg_npu_call_begin(&c, a->gen);
    add_window(&c, a->step->in[Q], q, t);
    add_window(&c, a->step->in[K], k, t);
    add_table(&c, a->step->in[Q], q, t);
    add_table(&c, a->step->in[K], k, t);
    cyg_npu_call_out_buffer(&c, b->sums, &b->sums_view);
    return cyg_npu_call_end(&c, CYG_NPU_OP_CONV_QK, &p, sizeof p);
}

static void add_mask(const attention *a, const part *t, cyg_npu_call *c)
{
    int64_t *mask = CYG_NEW_ARRAY(a->gen->arena, int64_t, t->entries);
    if (a->bias == NULL || a->p->at.tables == 1 || mask == NULL) {
        cyg_npu_call_absent(c);
        return;
    }
    for (int64_t i = 0; i < t->entries; i++)
        mask[i] = a->mask != NULL ? a->mask[t->entry + i] : t->entry + i;
    cyg_npu_call_index(c, mask, 1, &t->entries);
}

static cyg_status weigh(const attention *a, const part *t, const window *q, const window *k,
                        const buffers *b)
{
    const cyg_kp_iattention_part p = {.at = geometry(a, t), .queries = t->queries};
    const cyg_npu_view c_view = cyg_npu_dense(CYG_TYPE_F32, 1, &t->heads, a->pieces[0].offset);
    const cyg_npu_view a_view = cyg_npu_dense(CYG_TYPE_F32, 1, &t->heads, a->pieces[1].offset);
    cyg_npu_call c;
    cyg_npu_call_begin(&c, a->gen);
    cyg_npu_call_in_buffer(&c, b->sums, &b->sums_view);
    cyg_npu_call_in_buffer(&c, a->blob, &c_view);
    cyg_npu_call_in_buffer(&c, a->blob, &a_view);
    if (a->bias != NULL) {
        const int64_t dims[] = {p.at.tables, t->heads, t->queries, p.at.tokens};
        const cyg_npu_view bias = cyg_npu_dense(CYG_TYPE_F32, 4, dims, a->pieces[2].offset);
        cyg_npu_call_in_buffer(&c, a->blob, &bias);
        add_mask(a, t, &c);
    } else if (p.at.cosine) {
        cyg_npu_call_absent(&c);
        cyg_npu_call_absent(&c);
    }
    if (p.at.cosine) {
        add_window(&c, a->step->in[Q], q, t);
        add_window(&c, a->step->in[K], k, t);
        add_table(&c, a->step->in[Q], q, t);
        add_table(&c, a->step->in[K], k, t);
    }
    cyg_npu_call_out_buffer(&c, b->e, &b->e_view);
    cyg_npu_call_out_buffer(&c, b->f, &b->f_view);
    return cyg_npu_call_end(&c, CYG_NPU_OP_TENG_WEIGH, &p, sizeof p);
}

static cyg_status values(const attention *a, const part *t, const window *v, const window *y,
                         const buffers *b)
{
    const cyg_kp_ivalues p = {.at = geometry(a, t), .queries = t->queries, .sat = a->p->sat};
    cyg_npu_call c;
    cyg_npu_call_begin(&c, a->gen);
    cyg_npu_call_in_buffer(&c, b->e, &b->e_view);
    add_window(&c, a->step->in[V], v, t);
    cyg_npu_call_in_buffer(&c, b->f, &b->f_view);
    add_table(&c, a->step->in[V], v, t);
    add_table(&c, a->step->out[0], y, t);
    if (y->buffer != CYG_NPU_NO_BUFFER)
        cyg_npu_call_out_buffer(&c, y->buffer, &y->view);
    else
        cyg_npu_call_out_rows(&c, a->step->out[0], &y->view, y->index,
                              y->index != NULL ? t->entries * y->count : 0);
    return cyg_npu_call_end(&c, CYG_NPU_OP_CONV_PV, &p, sizeof p);
}

static cyg_status tile(attention *a, const part *t)
{
    const cyg_kp_attention *at = &a->p->at;
    const int64_t channel = t->head * at->head_dim;
    window q, k, v, y;
    buffers b;
    CYG_DO(window_of(a, t, a->type[Q], at->q_stride, at->q_offset + channel, t->query, t->queries,
                     &q));
    CYG_DO(window_of(a, t, a->type[K], at->k_stride, at->k_offset + channel, 0, at->tokens, &k));
    CYG_DO(window_of(a, t, a->type[V], at->v_stride, at->v_offset + channel, 0, at->tokens, &v));
    CYG_DO(window_of(a, t, a->y_type, at->heads * at->head_dim, channel, t->query, t->queries, &y));
    move_apart(a, t, CYG_NPU_APART_Q, t->query, &q);
    move_apart(a, t, CYG_NPU_APART_K, 0, &k);
    move_apart(a, t, CYG_NPU_APART_V, 0, &v);
    move_apart(a, t, CYG_NPU_APART_Y, t->query, &y);
    CYG_DO(load_constants(a, t));
    CYG_DO(make_buffers(a, t, &b));
    CYG_DO(scores(a, t, &q, &k, &b));
    CYG_DO(weigh(a, t, &q, &k, &b));
    return values(a, t, &v, &y, &b);
}

/* ---- plan
 * --------------------------------------------------------------------------------------------------------
 */

typedef struct choice {
    int64_t entries, heads, queries;
    double cycles;
    int64_t bytes; /* of all buffers */
    bool fits, keep, entries_inner;
} choice;

/* Bytes of an element of q, k or v that tiles hold, 0 = the tensor lies in the OCM. */
static int64_t streamed_bytes(const attention *a, int which)
{
    return cyg_npu_is_streamed(a->gen, a->step->in[which]) ? cyg_npu_type_bytes(a->type[which]) : 0;
}

static void price(const attention *a, choice *c)
{
    cyg_npu_gen *g = a->gen;
    const cyg_kp_attention *at = &a->p->at;
    const int32_t e_type = a->p->e_bits == 8 ? CYG_TYPE_U8 : CYG_TYPE_U16;
    const int64_t square[] = {c->entries, c->heads, c->queries, at->tokens},
                  deep[] = {c->entries, c->heads, c->queries, at->head_dim};
    const part t = {.entries = c->entries, .heads = c->heads, .queries = c->queries};
    const cyg_kp_iattention_part p = {.at = geometry(a, &t), .queries = c->queries};
    const cyg_npu_view qk[] = {cyg_npu_dense(a->type[Q], 4, deep, 0),
                               cyg_npu_dense(a->type[K], 4, deep, 0),
                               cyg_npu_dense(a->sum_type, 4, square, 0)},
                       pv[] = {cyg_npu_dense(e_type, 4, square, 0),
                               cyg_npu_dense(a->type[V], 4, deep, 0),
                               cyg_npu_dense(a->y_type, 4, deep, 0)},
                       ew[] = {qk[2], pv[0]};
    const int64_t count = at->images * parts(at->entries, c->entries) * parts(at->heads, c->heads) *
                          parts(at->tokens, c->queries);
    const int64_t convs = cyg_npu_engines(g, CYG_NPU_CONV),
                  tengs = cyg_npu_engines(g, CYG_NPU_TENG);
    const double conv = (double)(cyg_npu_price(g, CYG_NPU_OP_CONV_QK, qk, 2, 1, &p, sizeof p) +
                                 cyg_npu_price(g, CYG_NPU_OP_CONV_PV, pv, 2, 1, &p, sizeof p) +
                                 2 * CYG_NPU_TILE_TOLL),
                 teng = (double)(cyg_npu_price(g, CYG_NPU_OP_TENG_WEIGH, ew, 1, 1, &p, sizeof p) +
                                 CYG_NPU_TILE_TOLL);
    const double conv_all = conv * (double)parts(count, convs),
                 teng_all = teng * (double)parts(count, tengs);
    const int64_t rows = c->entries * at->tokens * c->heads * at->head_dim;
    const int64_t tables = a->bias != NULL ? at->tables * at->tokens * 4 : 0;
    const int64_t all = tables * at->heads * at->tokens, bias = tables * c->heads * c->queries;
    const int64_t room = cyg_npu_room(g);
    c->keep = cyg_npu_stays(g, all);
    int64_t bytes = c->entries * c->heads * c->queries * (at->tokens * (4 + a->p->e_bits / 8) + 4);
    for (int i = Q; i <= V; i++)
        bytes += rows * streamed_bytes(a, i);
    if (cyg_npu_is_streamed(g, a->step->out[0]))
        bytes += rows * cyg_npu_type_bytes(a->y_type);
    c->bytes = 2 * bytes + (c->keep ? all : 2 * bias);
    c->fits = c->bytes <= room;
    /* With entries outside, the steps around flow along with them; with entries inside they wait
     * for the last part of the tables, beside the busier engine's work at best. But then the tables
     * come once only, and k and v for each part of queries. */
    const int64_t whole = at->images * at->entries * at->tokens * at->heads * at->head_dim;
    const int64_t tables_again = c->keep ? 0 : bias * count, tables_once = all * at->images;
    const int64_t keys_again =
        (parts(at->tokens, c->queries) - 1) * whole * (streamed_bytes(a, K) + streamed_bytes(a, V));
    const double most = fmax(conv_all, teng_all), both = conv_all + teng_all;
    const double share = (double)(c->entries * c->queries) / (double)(at->entries * at->tokens);
    const double outside = fmax(most, (double)tables_again / g->m->ddr_bytes) + share * both,
                 inside =
                     fmax(most, (double)(tables_once + keys_again) / g->m->ddr_bytes) + both - most;
    c->entries_inner = !c->keep && inside < outside;
    c->cycles = (c->entries_inner ? inside : outside) + 0.1 * both + conv + teng;
}

/* Divisors of n from n down to 1; 0 = no more. */
static int64_t next_divisor(int64_t n, int64_t d)
{
    for (d--; d > 0 && n % d != 0; d--)
        ;
    return d;
}

/* Heads and queries of a tile decide what is stored of the tables. */
static int64_t cut_of(int64_t heads, int64_t queries)
{
    return heads << 32 | queries;
}

static void plan(attention *a)
{
    const cyg_kp_attention *at = &a->p->at;
    choice best = {.entries = 1, .heads = 1, .queries = 1}, alike = best;
    bool any = false, any_alike = false;
    for (int64_t e = at->entries; e > 0; e = next_divisor(at->entries, e))
        for (int64_t h = at->heads; h > 0; h = next_divisor(at->heads, h))
            for (int64_t n = 1; n <= at->tokens; n *= 2) {
                choice c = {.entries = e, .heads = h, .queries = parts(at->tokens, n)};
                if (n > 1 && e > 1)
                    break; /* queries are cut only when an entry alone is too much, or too few */
                price(a, &c);
                if (c.fits && (!any || c.cycles < best.cycles)) {
                    best = c;
                    any = true;
                }
                if (c.fits && cut_of(c.heads, c.queries) == cyg_npu_cut_like(a->gen) &&
                    (!any_alike || c.cycles < alike.cycles)) {
                    alike = c;
                    any_alike = true;
                }
            }
    if (any_alike && alike.cycles <= CYG_NPU_ALIKE * best.cycles)
        best = alike;
    if (!any)
        best.queries = at->tokens < 8 ? at->tokens : 8;
    a->keep = best.keep;
    a->entries_inner = best.entries_inner;
    a->bytes = any ? best.bytes : INT64_MAX;
    a->entries = cyg_npu_tighten(a->gen, best.entries);
    a->heads = best.entries > 1 ? best.heads : cyg_npu_tighten(a->gen, best.heads);
    a->queries = a->entries > 1                         ? at->tokens
                 : best.entries == 1 && best.heads == 1 ? cyg_npu_tighten(a->gen, best.queries)
                                                        : best.queries;
    cyg_npu_tell_cut(a->gen, cut_of(a->heads, a->queries));
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* All tiles of some entries, heads and queries. */
static cyg_status cell(attention *a, int64_t image, int64_t entry, int64_t end, int64_t head,
                       int64_t query)
{
    const cyg_kp_attention *at = &a->p->at;
    const part t = {image,
                    entry,
                    lesser(a->entries, end - entry),
                    head,
                    lesser(a->heads, at->heads - head),
                    query,
                    lesser(a->queries, at->tokens - query)};
    return tile(a, &t);
}

/* All tiles of some entries of an image. */
static cyg_status entries(attention *a, int64_t image, int64_t first, int64_t end)
{
    const cyg_kp_attention *at = &a->p->at;
    for (int64_t h = 0; a->entries_inner && h < at->heads; h += a->heads)
        for (int64_t q = 0; q < at->tokens; q += a->queries) {
            memset(a->loaded, 0xff, sizeof(uint32_t) * (size_t)a->slots);
            for (int64_t e = first; e < end; e += a->entries)
                CYG_DO(cell(a, image, e, end, h, q));
        }
    for (int64_t e = first; !a->entries_inner && e < end; e += a->entries)
        for (int64_t h = 0; h < at->heads; h += a->heads)
            for (int64_t q = 0; q < at->tokens; q += a->queries)
                CYG_DO(cell(a, image, e, end, h, q));
    return CYG_OK;
}

cyg_status cyg_npu_gen_attention(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_kp_iattention *p = s->params;
    const cyg_kp_attention *at = &p->at;
    attention a = {.gen = g,
                   .step = s,
                   .p = p,
                   .y_type = cyg_npu_tensor(g, s->out[0])->type,
                   .rows = constant_data(g, s, ROWS),
                   .mask = constant_data(g, s, MASK),
                   .bias = constant_data(g, s, BIAS)};
    for (int i = Q; i <= V; i++)
        a.type[i] = cyg_npu_tensor(g, s->in[i])->type;
    a.sum_type = a.type[Q] == CYG_TYPE_S8 && a.type[K] == CYG_TYPE_S8 ? CYG_TYPE_S32 : CYG_TYPE_F32;
    plan(&a);
    a.slots = parts(at->heads, a.heads) * parts(at->tokens, a.queries);
    a.stored = CYG_NEW_ARRAY(g->arena, uint32_t, a.slots);
    a.loaded = CYG_NEW_ARRAY(g->arena, uint32_t, a.slots);
    if (a.stored == NULL || a.loaded == NULL)
        return cyg_npu_gen_nomem(g);
    memset(a.stored, 0xff, sizeof(uint32_t) * (size_t)a.slots);
    memset(a.loaded, 0xff, sizeof(uint32_t) * (size_t)a.slots);
    cyg_npu_apart_open(&a.apart, g, s, at, a.rows, a.entries, a.bytes);
    const int64_t set = a.apart.most > 0 ? a.apart.most : at->entries;
    for (int64_t image = 0; image < at->images; image++)
        for (int64_t e = 0; e < at->entries; e += set) {
            const int64_t n = lesser(set, at->entries - e);
            if (a.apart.most > 0)
                CYG_DO(cyg_npu_apart_fetch(&a.apart, image, e, n));
            CYG_DO(entries(&a, image, e, e + n));
            if (a.apart.most > 0)
                CYG_DO(cyg_npu_apart_return(&a.apart));
        }
    return CYG_OK;
}

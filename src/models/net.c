/* Tensors and nodes for the builders.
 *
 * A builder asks for every tensor by slot and shape and builds on whatever it gets: a missing or
 * mis-shaped one is written down and an empty constant stands in, so one run over the architecture
 * finds all that is wrong. The graph of such a run is thrown away.
 *
 * Weights are views of the checkpoint where they are dense, aligned float32; else they are
 * converted once, into the graph's arena, and the file's pages go back. Tensors taken since the
 * last node are the provenance of the next. */
#include "models/net.h"

#include <string.h>

#include "base/checked.h"

/* ---- tensors ---- */

bool cyg_net_has(const cyg_net *n, cyg_slot slot)
{
    return cyg_binding_find(&n->bound, slot) != NULL;
}

int64_t cyg_net_dim(const cyg_net *n, cyg_slot slot, int d)
{
    const cyg_bound *b = cyg_binding_find(&n->bound, slot);
    return b == NULL || d >= b->tensor->rank ? -1 : b->tensor->dims[d];
}

enum { MOST_TOKENS = 1 << 22 };

const cyg_checkpoint_tensor *cyg_net_take(cyg_net *n, cyg_slot slot, int rank, const int64_t *dims)
{
    cyg_bound *b = cyg_binding_find(&n->bound, slot);
    if (b == NULL) {
        const char *name = cyg_binding_name(&n->bound, slot, &n->model->arena);
        cyg_faults_add_missing(&n->faults, name != NULL ? name : "?", rank, dims);
        return NULL;
    }
    const cyg_checkpoint_tensor *t = b->tensor;
    bool fits = t->rank == rank;
    for (int i = 0; fits && i < rank; i++)
        fits = dims[i] < 0 || t->dims[i] == dims[i];
    if (!b->used && fits)
        n->model->parameters += (int64_t)t->elements;
    b->used = true;
    if (!fits) {
        cyg_faults_add_shape(&n->faults, t, rank, dims);
        return NULL;
    }
    if (n->pending_count < CYG_COUNT(n->pending))
        n->pending[n->pending_count++] = cyg_graph_add_source(n->g, t->name, "tensor");
    return t;
}

void *cyg_net_alloc(cyg_net *n, int64_t count, size_t size)
{
    const size_t most = (size_t)6 << 30; /* a small file can ask for large tables */
    size_t bytes = 0;
    void *p = NULL;
    if (count < 0 || !cyg_mul_size((size_t)count, size, &bytes) || bytes > most - n->made) {
        if (n->status == CYG_OK)
            n->status = CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED,
                                 "tables and converted weights take more than %zu GiB", most >> 30);
        return NULL;
    }
    n->made += bytes;
    p = cyg_arena_alloc(&n->g->arena, bytes + 1, 64);
    if (p == NULL && n->status == CYG_OK)
        n->status = CYG_FAIL(n->ctx, CYG_E_NOMEM, "out of memory");
    return p;
}

const float *cyg_net_floats(cyg_net *n, const cyg_checkpoint_tensor *t)
{
    if (t == NULL)
        return NULL;
    if (t->type == CYG_TYPE_F32 && t->contiguous && (uintptr_t)t->data % sizeof(float) == 0)
        return t->data;
    float *copy = cyg_net_alloc(n, (int64_t)t->elements, sizeof *copy);
    if (copy == NULL)
        return NULL;
    const cyg_status st = cyg_checkpoint_read_f32(n->ctx, t, copy);
    if (st != CYG_OK && n->status == CYG_OK)
        n->status = CYG_FAIL(n->ctx, st, "while reading tensor %s", t->name);
    cyg_checkpoint_release(n->model->checkpoint, t);
    return copy;
}

/* Stands in where there is nothing. */
static cyg_value_id nothing(cyg_net *n)
{
    const int64_t none = 0;
    return cyg_graph_add_const(n->g, "missing", CYG_TYPE_F32, 1, &none, NULL, 0);
}

cyg_value_id cyg_net_floats_const(cyg_net *n, const char *name, int rank, const int64_t *dims,
                                  const float *data)
{
    size_t bytes = sizeof *data;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || !cyg_mul_size(bytes, (size_t)dims[i], &bytes))
            return nothing(n);
    if (data == NULL)
        return nothing(n);
    return cyg_graph_add_const(n->g, name, CYG_TYPE_F32, rank, dims, data, bytes);
}

cyg_value_id cyg_net_index_const(cyg_net *n, const char *name, int rank, const int64_t *dims,
                                 const int64_t *data)
{
    size_t bytes = sizeof *data;
    for (int i = 0; i < rank; i++)
        bytes *= (size_t)dims[i];
    if (data == NULL)
        return nothing(n);
    return cyg_graph_add_const(n->g, name, CYG_TYPE_S64, rank, dims, data, bytes);
}

cyg_value_id cyg_net_tensor(cyg_net *n, cyg_slot slot, int rank, const int64_t *dims)
{
    const cyg_checkpoint_tensor *t = cyg_net_take(n, slot, rank, dims);
    return t == NULL ? nothing(n)
                     : cyg_net_floats_const(n, t->name, t->rank, t->dims, cyg_net_floats(n, t));
}

bool cyg_net_hopeless(const cyg_net *n)
{
    return cyg_faults_count(&n->faults) > 1000;
}

void cyg_net_ignore(cyg_net *n, cyg_role role)
{
    for (size_t i = 0; i < n->bound.count; i++)
        if (n->bound.items[i].key >> 40 == (uint64_t)role)
            n->bound.items[i].used = true;
}

/* ---- nodes ---- */

const char *cyg_net_stem(cyg_net *n, cyg_slot slot)
{
    static const char *const ends[] = {".weight", "_weight"};
    slot.part = CYG_WEIGHT;
    const char *name = cyg_binding_name(&n->bound, slot, &n->model->arena);
    if (name == NULL)
        return NULL;
    const size_t size = strlen(name), end = strlen(ends[0]);
    for (size_t i = 0; i < CYG_COUNT(ends); i++)
        if (size > end && strcmp(name + size - end, ends[i]) == 0)
            return cyg_arena_strndup(&n->model->arena, name, size - end);
    return name;
}

cyg_value_id cyg_net_node(cyg_net *n, cyg_op op, const char *name, const cyg_value_id *in,
                          uint32_t count)
{
    while (count > 1 && cyg_value_is_none(in[count - 1]))
        count--;
    const cyg_value_id out = cyg_graph_add_value(n->g, name, CYG_TYPE_F32, CYG_RANK_UNKNOWN, NULL);
    if (cyg_value_is_none(out))
        return out;
    const cyg_node_id node = cyg_graph_add_node(n->g, CYG_NO_NODE, op, name, in, count, &out, 1);
    for (size_t i = 0; i < n->pending_count && !cyg_node_is_none(node); i++)
        cyg_node_add_source(n->g, node, n->pending[i]);
    n->pending_count = 0;
    return cyg_node_is_none(node) ? CYG_NO_VALUE : out;
}

cyg_node_id cyg_net_maker(const cyg_net *n, cyg_value_id v)
{
    return cyg_value_is_none(v) ? CYG_NO_NODE : cyg_val(n->g, v)->producer;
}

cyg_value_id cyg_net_reshape(cyg_net *n, const char *name, cyg_value_id x, int rank,
                             const int64_t *dims)
{
    const int64_t count = rank;
    const cyg_value_id in[] = {x, cyg_graph_add_const_copy(n->g, "shape", CYG_TYPE_S64, 1, &count,
                                                           dims, (size_t)rank * sizeof *dims)};
    return cyg_net_node(n, CYG_OP_reshape, name, in, 2);
}

cyg_value_id cyg_net_mean_tokens(cyg_net *n, cyg_value_id x)
{
    const int64_t one = 1;
    const cyg_value_id in[] = {
        x,
        cyg_net_index_const(n, "axes", 1, &one, cyg_arena_memdup(&n->g->arena, &one, sizeof one))};
    const cyg_value_id y = cyg_net_node(n, CYG_OP_reduce_mean, "mean", in, 2);
    CYG_IGNORE(cyg_node_set_int(n->g, cyg_net_maker(n, y), CYG_ATTR_keepdims, 0));
    return y;
}

cyg_value_id cyg_net_add(cyg_net *n, const char *name, cyg_value_id a, cyg_value_id b)
{
    return cyg_net_node(n, CYG_OP_add, name, (const cyg_value_id[]){a, b}, 2);
}

static cyg_slot bias_of(cyg_slot slot)
{
    slot.part = CYG_BIAS;
    return slot;
}

cyg_value_id cyg_net_layer_norm(cyg_net *n, cyg_value_id x, cyg_slot slot, int64_t channels,
                                double eps)
{
    const cyg_value_id in[] = {x, cyg_net_tensor(n, slot, 1, &channels),
                               cyg_net_tensor(n, bias_of(slot), 1, &channels)};
    const cyg_value_id y =
        cyg_net_node(n, CYG_OP_layer_normalization, cyg_net_stem(n, slot), in, 3);
    const cyg_node_id node = cyg_net_maker(n, y);
    CYG_IGNORE(cyg_node_set_int(n->g, node, CYG_ATTR_axis, -1));
    CYG_IGNORE(cyg_node_set_float(n->g, node, CYG_ATTR_epsilon, (float)eps));
    return y;
}

static cyg_value_id linear(cyg_net *n, const char *name, const cyg_value_id in[4], cyg_act act)
{
    const cyg_value_id y = cyg_net_node(n, CYG_OP_linear, name, in, 4);
    if (act != CYG_ACT_NONE)
        CYG_IGNORE(cyg_node_set_int(n->g, cyg_net_maker(n, y), CYG_ATTR_act, act));
    return y;
}

cyg_value_id cyg_net_linear(cyg_net *n, cyg_value_id x, cyg_slot slot, const cyg_linear *what)
{
    const int64_t dims[] = {what->out, what->in};
    const cyg_value_id in[] = {
        x, cyg_net_tensor(n, slot, 2, dims),
        what->bias ? cyg_net_tensor(n, bias_of(slot), 1, dims) : CYG_NO_VALUE, what->residual};
    return linear(n, cyg_net_stem(n, slot), in, what->act);
}

cyg_value_id cyg_net_mlp_in(cyg_net *n, cyg_value_id x, cyg_slot slot, int64_t in, int64_t out)
{
    static const float factor = 1.702f;
    const char *name = cyg_net_stem(n, slot);
    const cyg_linear what = {
        .in = in, .out = out, .bias = true, .act = n->act, .residual = CYG_NO_VALUE};
    const cyg_value_id y = cyg_net_linear(n, x, slot, &what);
    if (!n->quick_gelu)
        return y;
    const cyg_value_id scaled[] = {y, cyg_net_floats_const(n, "quick_gelu", 0, NULL, &factor)};
    const cyg_value_id z = cyg_net_node(n, CYG_OP_mul, name, scaled, 2);
    const cyg_value_id gate[] = {y, cyg_net_node(n, CYG_OP_sigmoid, name, &z, 1)};
    return cyg_net_node(n, CYG_OP_mul, name, gate, 2);
}

/* rows of `count` floats at position `part` of three, from t or zeros. */
static void put_third(cyg_net *n, float *out, int part, int64_t count,
                      const cyg_checkpoint_tensor *t)
{
    if (out == NULL)
        return;
    if (t == NULL)
        memset(out + part * count, 0, (size_t)count * sizeof *out);
    else if (cyg_checkpoint_read_f32(n->ctx, t, out + part * count) != CYG_OK &&
             n->status == CYG_OK)
        n->status = CYG_FAIL(n->ctx, CYG_E_FORMAT, "while reading tensor %s", t->name);
    if (t != NULL)
        cyg_checkpoint_release(n->model->checkpoint, t);
}

static cyg_value_id joined(cyg_net *n, cyg_slot named, const cyg_slot slots[3], int rank,
                           const cyg_qkv *what, bool with_key)
{
    const int64_t dims[] = {what->width, what->in}, all[] = {3 * what->width, what->in};
    const int64_t count = rank == 2 ? what->width * what->in : what->width;
    const cyg_checkpoint_tensor *parts[3] = {0};
    bool whole = true;
    for (int i = 0; i < 3; i++)
        if (i != 1 || with_key) {
            parts[i] = cyg_net_take(n, slots[i], rank, dims);
            whole = whole && parts[i] != NULL;
        }
    float *data = whole ? cyg_net_alloc(n, 3 * count, sizeof *data) : NULL;
    for (int i = 0; i < 3; i++)
        put_third(n, data, i, count, parts[i]);
    return cyg_net_floats_const(n, cyg_binding_name(&n->bound, named, &n->model->arena), rank, all,
                                data);
}

/* torchvision's SwinV2 keeps a key bias that its forward replaces by zeros. */
static cyg_value_id without_key(cyg_net *n, cyg_slot slot, int64_t channels)
{
    const int64_t all = 3 * channels;
    const cyg_checkpoint_tensor *t = cyg_net_take(n, slot, 1, &all);
    float *data = t == NULL ? NULL : cyg_net_alloc(n, all, sizeof *data);
    if (data != NULL && cyg_checkpoint_read_f32(n->ctx, t, data) != CYG_OK && n->status == CYG_OK)
        n->status = CYG_FAIL(n->ctx, CYG_E_FORMAT, "while reading tensor %s", t->name);
    if (data != NULL)
        memset(data + channels, 0, (size_t)channels * sizeof *data);
    return cyg_net_floats_const(n, t == NULL ? NULL : t->name, 1, &all, data);
}

cyg_value_id cyg_net_qkv(cyg_net *n, cyg_value_id x, const cyg_qkv *what)
{
#define AT(r, p)                                                                                   \
    {                                                                                              \
        .role = CYG_ROLE_##r, .part = CYG_##p, .stage = what->stage, .block = what->block          \
    }
    const cyg_slot whole = AT(QKV, WEIGHT), whole_bias = AT(QKV, BIAS);
    const cyg_slot weights[3] = {AT(Q, WEIGHT), AT(K, WEIGHT), AT(V, WEIGHT)};
    const cyg_slot biases[3] = {AT(Q, BIAS), AT(K, BIAS), AT(V, BIAS)};
    const cyg_slot loose[3] = {AT(Q_BIAS, WEIGHT), AT(Q_BIAS, WEIGHT), AT(V_BIAS, WEIGHT)};
#undef AT
    const int64_t dims[] = {3 * what->width, what->in};
    const bool split = n->bound.library == CYG_LIBRARY_HF;
    cyg_value_id in[4] = {x, CYG_NO_VALUE, CYG_NO_VALUE, CYG_NO_VALUE};
    in[1] = split ? joined(n, whole, weights, 2, what, true) : cyg_net_tensor(n, whole, 2, dims);
    if (!n->qkv_bias)
        ;
    else if (split)
        in[2] = joined(n, whole_bias, biases, 1, what, what->key_bias);
    else if (what->key_bias)
        in[2] = cyg_net_tensor(n, whole_bias, 1, dims);
    else if (n->bound.library == CYG_LIBRARY_TORCHVISION)
        in[2] = without_key(n, whole_bias, what->width);
    else
        in[2] = joined(n, whole_bias, loose, 1, what, false);
    return linear(n, cyg_net_stem(n, whole), in, CYG_ACT_NONE);
}

cyg_value_id cyg_net_attention(cyg_net *n, const char *name, cyg_value_id qkv,
                               const cyg_attention *what)
{
    const bool q = !cyg_value_is_none(what->q), k = !cyg_value_is_none(what->k);
    const cyg_value_id in[] = {q ? what->q : qkv, k ? what->k : qkv, qkv,
                               what->bias,        what->mask_index,  what->rows,
                               what->head_scale};
    const int64_t width = what->heads * what->dim;
    const cyg_value_id y = cyg_net_node(n, CYG_OP_attention, name, in, 7);
    const cyg_node_id node = cyg_net_maker(n, y);
    const struct {
        cyg_attr_key key;
        int64_t value;
    } numbers[] = {{CYG_ATTR_heads, what->heads},      {CYG_ATTR_head_dim, what->dim},
                   {CYG_ATTR_tokens, what->tokens},    {CYG_ATTR_q_offset, 0},
                   {CYG_ATTR_k_offset, k ? 0 : width}, {CYG_ATTR_v_offset, 2 * width}};
    for (size_t i = 0; i < CYG_COUNT(numbers); i++)
        CYG_IGNORE(cyg_node_set_int(n->g, node, numbers[i].key, numbers[i].value));
    if (what->cosine)
        CYG_IGNORE(cyg_node_set_int(n->g, node, CYG_ATTR_cosine, 1));
    CYG_IGNORE(cyg_node_set_float(n->g, node, CYG_ATTR_scale, what->scale));
    return y;
}

cyg_value_id cyg_net_gather(cyg_net *n, const char *name, cyg_value_id x, int64_t rows_in,
                            const int64_t *index, int64_t count)
{
    const cyg_value_id in[] = {x, cyg_net_index_const(n, "rows", 1, &count, index)};
    const cyg_value_id y = cyg_net_node(n, CYG_OP_gather_rows, name, in, 2);
    CYG_IGNORE(cyg_node_set_int(n->g, cyg_net_maker(n, y), CYG_ATTR_rows_in, rows_in));
    return y;
}

/* ---- patches ---- */

/* (D, channels, h, w) to (D, h, w, channels). */
static cyg_value_id patch_weight(cyg_net *n, const cyg_checkpoint_tensor *t)
{
    const float *from = cyg_net_floats(n, t); /* NULL for NULL */
    float *to = from == NULL ? NULL : cyg_net_alloc(n, (int64_t)t->elements, sizeof *to);
    if (to == NULL)
        return nothing(n);
    const int64_t *d = t->dims, area = d[2] * d[3];
    for (int64_t o = 0; o < d[0]; o++)
        for (int64_t c = 0; c < d[1]; c++)
            for (int64_t i = 0; i < area; i++)
                to[(o * area + i) * d[1] + c] = from[(o * d[1] + c) * area + i];
    return cyg_net_floats_const(n, t->name, 4, (const int64_t[]){d[0], d[2], d[3], d[1]}, to);
}

cyg_status cyg_net_patch_sizes(cyg_net *n, int64_t usual_size, cyg_patches *out_patches)
{
    const cyg_slot slot = {.role = CYG_ROLE_PATCH}, norm = {.role = CYG_ROLE_NORM1};
    cyg_patches p = {.dim = cyg_net_dim(n, slot, 0),
                     .size_h = cyg_net_dim(n, slot, 2),
                     .size_w = cyg_net_dim(n, slot, 3)};
    int64_t v[2] = {usual_size, usual_size};
    size_t count;
    n->model->channels = cyg_net_dim(n, slot, 1);
    if (p.dim < 1 || n->model->channels < 1 || p.size_h < 1 || p.size_w < 1 ||
        cyg_net_dim(n, slot, 4) >= 0) {
        CYG_DO(cyg_settings_ints(n->ctx, &n->settings, CYG_SETTING_PATCH_SIZE, 1, CYG_LARGEST_SIZE,
                                 2, v, &count));
        p = (cyg_patches){
            .dim = cyg_net_dim(n, norm, 0), .size_h = v[0], .size_w = v[count > 1 ? 1 : 0]};
        n->model->channels = 3;
    }
    *out_patches = p;
    if (p.dim < 1 || p.dim > CYG_LARGEST_SIZE)
        return CYG_FAIL(n->ctx, CYG_E_FORMAT, "the patch embedding has no usable shape");
    return CYG_OK;
}

cyg_value_id cyg_net_patches(cyg_net *n, bool pad, cyg_patches *p)
{
    const cyg_slot slot = {.role = CYG_ROLE_PATCH};
    cyg_converted *m = n->model;
    const int64_t shape[] = {p->dim, m->channels, p->size_h, p->size_w};
    const cyg_checkpoint_tensor *t = cyg_net_take(n, slot, 4, shape);
    if (m->height < p->size_h || m->width < p->size_w) {
        if (n->status == CYG_OK)
            n->status = CYG_FAIL(n->ctx, CYG_E_CONFIG,
                                 "image of %lld x %lld is below one patch of "
                                 "%lld x %lld",
                                 (long long)m->height, (long long)m->width, (long long)p->size_h,
                                 (long long)p->size_w);
        return nothing(n);
    }
    const int64_t dims[] = {n->batch, m->channels, m->height, m->width};
    n->input = cyg_graph_add_value(n->g, "pixel_values", CYG_TYPE_F32, 4, dims);
    const int64_t odd_h = pad ? (p->size_h - m->height % p->size_h) % p->size_h : 0;
    const int64_t odd_w = pad ? (p->size_w - m->width % p->size_w) % p->size_w : 0;
    p->rows = (m->height + odd_h) / p->size_h;
    p->columns = (m->width + odd_w) / p->size_w;
    if (p->rows > MOST_TOKENS / p->columns) {
        n->status =
            CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED, "a grid of %lld x %lld patches is too large",
                     (long long)p->rows, (long long)p->columns);
        return nothing(n);
    }
    const int64_t sizes[] = {p->size_h, p->size_w}, pads[] = {0, 0, odd_h, odd_w};
    const bool bias = cyg_net_has(n, bias_of(slot));
    const cyg_value_id in[] = {n->input, patch_weight(n, t),
                               bias ? cyg_net_tensor(n, bias_of(slot), 1, &p->dim) : CYG_NO_VALUE};
    const cyg_value_id y = cyg_net_node(n, CYG_OP_conv2d, cyg_net_stem(n, slot), in, 3);
    const cyg_node_id node = cyg_net_maker(n, y);
    CYG_IGNORE(cyg_node_set_ints(n->g, node, CYG_ATTR_kernel_shape, sizes, 2));
    CYG_IGNORE(cyg_node_set_ints(n->g, node, CYG_ATTR_strides, sizes, 2));
    if (odd_h > 0 || odd_w > 0)
        CYG_IGNORE(cyg_node_set_ints(n->g, node, CYG_ATTR_pads, pads, 4));
    CYG_IGNORE(cyg_node_set_int(n->g, node, CYG_ATTR_x_nchw, 1));
    return y;
}

/* ---- head ---- */

cyg_status cyg_net_head(cyg_net *n, cyg_value_id x, cyg_role role, int64_t channels,
                        cyg_value_id *out_result)
{
    const cyg_slot slot = {.role = role};
    int64_t classes = 0;
    *out_result = x;
    if (!cyg_net_has(n, slot)) {
        cyg_note(n->ctx, "the checkpoint has no classifier: the output is the pooled features");
        return CYG_OK;
    }
    CYG_DO(cyg_net_classes(n, &classes));
    if (classes == 0)
        classes = cyg_net_dim(n, slot, 0);
    *out_result = cyg_net_linear(n, x, slot,
                                 &(cyg_linear){.in = channels,
                                               .out = classes,
                                               .bias = cyg_net_has(n, bias_of(slot)),
                                               .residual = CYG_NO_VALUE});
    return CYG_OK;
}

/* ---- settings ---- */

cyg_status cyg_net_image_size(cyg_net *n, int64_t *out_height, int64_t *out_width, bool *out_given)
{
    int64_t v[4]; /* size; rows, columns; the same behind channels; behind batch and channels */
    size_t count;
    CYG_DO(cyg_settings_ints(n->ctx, &n->settings, CYG_SETTING_IMAGE_SIZE, 1, CYG_LARGEST_IMAGE, 4,
                             v, &count));
    *out_given = count > 0;
    if (count == 0)
        return CYG_OK;
    *out_height = v[count > 1 ? count - 2 : 0];
    *out_width = v[count - 1];
    return CYG_OK;
}

cyg_status cyg_net_eps(cyg_net *n, double preset, double *out_eps)
{
    bool given;
    *out_eps = preset;
    CYG_DO(cyg_settings_float(n->ctx, &n->settings, CYG_SETTING_EPS, out_eps, &given));
    if (!given)
        cyg_note(n->ctx, "assumed layer_norm_eps = %g: no checkpoint says, it is what %s has",
                 preset, cyg_library_name(n->bound.library));
    if (!(*out_eps >= 0 && *out_eps < 1))
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "layer_norm_eps: expected 0 to 1, found %g",
                        *out_eps);
    return CYG_OK;
}

cyg_status cyg_net_classes(cyg_net *n, int64_t *out_classes)
{
    const cyg_doc_node *labels = cyg_settings_find(&n->settings, CYG_SETTING_ID2LABEL);
    *out_classes = 0;
    CYG_DO(cyg_settings_int(n->ctx, &n->settings, CYG_SETTING_CLASSES, 0, 10000000, out_classes,
                            NULL));
    if (*out_classes == 0 && labels != NULL && labels->kind == CYG_DOC_MAP)
        *out_classes = (int64_t)labels->count;
    return CYG_OK;
}

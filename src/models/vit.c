/* ViT and what is made of it: DeiT, BEiT, DINOv2.
 *
 *   x = [class token, distillation token, registers, patches] + positions
 *   block: x += scale1 * proj(attend(norm1(x)));  x += scale2 * fc2(gelu(fc1(norm2(x))))
 *   logits: norm, then the class token or the mean of the patches, then the classifier
 *
 * A gated MLP is fc2(silu(a) * b) with a and b the halves of fc1's answer; two linears make them.
 *
 * The tokens are put in front by one gather of rows whose first ones are zeros; what belongs there
 * is part of the table of positions that is added next. Only the rows that the classifier looks at
 * are normalised. With a second head (DeiT with a teacher) the logits are the mean of both. BEiT
 * adds a table of relative positions in every block, with three more entries for the class token.
 *
 * A table of positions for another square grid is resampled as the library does it, with a note. */
#include "models/net.h"
#include "models/position.h"

#include <math.h>
#include <string.h>

typedef enum pooling {
    POOL_TOKEN, /* the class token */
    POOL_MEAN,  /* mean of the patches */
    POOL_BOTH,  /* class token and mean of the patches, side by side (DINOv2) */
} pooling;

typedef struct vit {
    cyg_net *n;
    int64_t dim, depth, heads, hidden;
    int64_t tokens, patches; /* in front, with registers; of the picture */
    int64_t registers;
    bool gated;          /* the MLP */
    cyg_value_id shared; /* biases of all blocks, or none */
    int64_t grid[2];
    double eps;
    pooling pool;
    bool pool_prefix; /* the mean is of all tokens */
} vit;

#define SLOT(r, b) ((cyg_slot){.role = CYG_ROLE_##r, .block = (b)})

/* ---- what the model is ---- */

static cyg_status read_heads(vit *m)
{
    static const int64_t large[] = {1152, 1280, 1408, 1664}; /* So400m, Huge, giant, gigantic */
    cyg_net *n = m->n;
    bool given;
    m->heads = cyg_net_dim(n, SLOT(BIAS_TABLE, 0), 1);
    if (m->heads < 1)
        m->heads = cyg_net_dim(n, SLOT(SHARED_TABLE, 0), 1);
    if (m->heads < 1 && cyg_net_dim(n, SLOT(Q_NORM, 0), 0) > 0)
        m->heads = m->dim / cyg_net_dim(n, SLOT(Q_NORM, 0), 0);
    CYG_DO(cyg_settings_int(n->ctx, &n->settings, CYG_SETTING_HEADS, 1, CYG_LARGEST_SIZE, &m->heads,
                            &given));
    for (size_t i = 0; !given && m->heads < 1 && i < CYG_COUNT(large); i++)
        if (m->dim == large[i]) {
            m->heads = 16;
            cyg_note(n->ctx, "assumed num_heads = 16: as the published models of %lld channels",
                     (long long)m->dim);
        }
    if (!given && m->heads < 1) {
        if (m->dim % 64 != 0)
            return CYG_FAIL(n->ctx, CYG_E_CONFIG,
                            "the checkpoint does not tell the number of heads, and %lld channels "
                            "are no multiple of 64: give --set num_heads= or --model_config",
                            (long long)m->dim);
        m->heads = m->dim / 64;
        cyg_note(n->ctx, "assumed num_heads = %lld: heads of 64 channels", (long long)m->heads);
    }
    if (m->heads < 1 || m->dim % m->heads != 0)
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "%lld channels do not divide into %lld heads",
                        (long long)m->dim, (long long)m->heads);
    return CYG_OK;
}

/* Side of a square of so many; 0 = no square. */
static int64_t side_of(int64_t area)
{
    const int64_t side = area > 0 ? (int64_t)(sqrt((double)area) + 0.5) : 0;
    return side * side == area && side <= 4096 ? side : 0;
}

static cyg_status read_image_size(vit *m, const cyg_patches *p)
{
    cyg_net *n = m->n;
    cyg_converted *model = n->model;
    const int64_t rows = cyg_net_dim(n, SLOT(POSITION, 0), 1);
    const int64_t own = cyg_net_dim(n, SLOT(BIAS_TABLE, 0), 0);
    bool given;
    CYG_DO(cyg_net_image_size(n, &model->height, &model->width, &given));
    if (given)
        return CYG_OK;
    const int64_t shared = cyg_net_dim(n, SLOT(SHARED_TABLE, 0), 0);
    int64_t grid = side_of(rows - m->tokens);
    if (grid == 0)
        grid = side_of(rows); /* positions of the patches only */
    const int64_t biases = own > 0 ? own : shared;
    if (grid == 0 && biases > 3 && side_of(biases - 3) % 2 == 1)
        grid = (side_of(biases - 3) + 1) / 2;
    if (grid == 0) {
        int64_t first, named;
        cyg_settings_arch_number(&n->settings, "", &first, &named);
        grid = (named > 0 ? named : 224) / p->size_h;
        cyg_note(n->ctx,
                 "assumed image_size = %lld: the checkpoint does not say (--set "
                 "image_size=)",
                 (long long)(grid * p->size_h));
    }
    model->height = grid * p->size_h;
    model->width = grid * p->size_w;
    return CYG_OK;
}

/* The libraries' own; timm's CLIP, told by its name or by a norm before the first block, has
 * PyTorch's. */
static cyg_status read_eps(vit *m)
{
    cyg_net *n = m->n;
    const char *arch = cyg_settings_text(&n->settings, CYG_SETTING_ARCH);
    const bool clip =
        arch != NULL ? strstr(arch, "clip") != NULL : cyg_net_has(n, SLOT(PRE_NORM, 0));
    return cyg_net_eps(n,
                       n->bound.layout == CYG_LAYOUT_dinov2_hf ? 1e-6
                       : n->bound.library == CYG_LIBRARY_HF    ? 1e-12
                       : clip                                  ? 1e-5
                                                               : 1e-6,
                       &m->eps);
}

static cyg_status read_rest(vit *m)
{
    cyg_net *n = m->n;
    double ratio = 0;
    bool given;
    m->depth = cyg_binding_blocks(&n->bound, 0);
    CYG_DO(cyg_settings_int(n->ctx, &n->settings, CYG_SETTING_DEPTH, 1, 1000, &m->depth, NULL));
    m->hidden = cyg_net_dim(n, SLOT(FC1, 0), 0);
    m->gated = m->hidden > 1 && m->hidden == 2 * cyg_net_dim(n, SLOT(FC2, 0), 1);
    CYG_DO(cyg_settings_float(n->ctx, &n->settings, CYG_SETTING_MLP_RATIO, &ratio, &given));
    if (given && !(ratio > 0 && ratio < 256))
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "mlp_ratio: expected up to 256, found %g", ratio);
    if (given)
        m->hidden = (int64_t)((double)m->dim * ratio);
    if (m->gated && given && n->bound.library == CYG_LIBRARY_HF) /* two thirds, in eights */
        m->hidden = 2 * ((m->hidden * 2 / 3 + 7) / 8 * 8);
    CYG_DO(cyg_settings_int(n->ctx, &n->settings, CYG_SETTING_MLP_DIM, 1, CYG_LARGEST_SIZE,
                            &m->hidden, NULL));
    CYG_DO(read_eps(m));
    const bool split = n->bound.library == CYG_LIBRARY_HF;
    n->qkv_bias = split ? cyg_net_has(n, (cyg_slot){.role = CYG_ROLE_Q, .part = CYG_BIAS})
                        : cyg_net_has(n, (cyg_slot){.role = CYG_ROLE_QKV, .part = CYG_BIAS}) ||
                              cyg_net_has(n, SLOT(Q_BIAS, 0));
    CYG_DO(cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_QKV_BIAS, &n->qkv_bias, NULL));
    return CYG_OK;
}

static cyg_status read_pooling(vit *m)
{
    cyg_net *n = m->n;
    const bool class_token = cyg_net_has(n, SLOT(CLASS_TOKEN, 0));
    const char *pool = cyg_settings_text(&n->settings, CYG_SETTING_POOL);
    bool fc_norm = false; /* asked for by itself: then it says nothing of the pooling */
    CYG_DO(cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_FC_NORM, &fc_norm, NULL));
    CYG_DO(cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_POOL_PREFIX, &m->pool_prefix, NULL));
    m->pool = POOL_TOKEN;
    if (n->bound.layout == CYG_LAYOUT_dinov2_hf) {
        m->pool = cyg_net_has(n, SLOT(HEAD, 0)) ? POOL_BOTH : POOL_TOKEN;
    } else if (pool != NULL && strcmp(pool, "avg") == 0) {
        m->pool = POOL_MEAN;
    } else if (pool != NULL && strcmp(pool, "token") != 0) {
        return CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED, "global_pool \"%s\"; known are token and avg",
                        pool);
    } else if (!class_token || (pool == NULL && !fc_norm && cyg_net_has(n, SLOT(POOL_NORM, 0)))) {
        m->pool = POOL_MEAN;
    }
    if (pool == NULL && class_token && n->bound.library == CYG_LIBRARY_TIMM)
        cyg_note(n->ctx, "assumed global_pool = %s: the checkpoint does not say",
                 m->pool == POOL_MEAN ? "avg" : "token");
    if (m->pool != POOL_MEAN && !class_token)
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "global_pool is token, but there is no class token");
    return CYG_OK;
}

/* ---- tokens ---- */

/* The stored positions, of `front` tokens and the patches: [front + patches, D]. */
static const float *positions(vit *m, int64_t front)
{
    cyg_net *n = m->n;
    const cyg_library library = n->bound.library;
    const int64_t rows = cyg_net_dim(n, SLOT(POSITION, 0), 1), side = side_of(rows - front);
    const bool fits = rows == front + m->patches, square = m->grid[0] == m->grid[1];
    const bool as_is = side == 0 || (fits && (square || n->bound.layout != CYG_LAYOUT_dinov2_hf));
    const int64_t dims[] = {1, as_is ? front + m->patches : rows, m->dim}, from[] = {side, side};
    const float *p = cyg_net_floats(n, cyg_net_take(n, SLOT(POSITION, 0), 3, dims));
    if (as_is || p == NULL)
        return p;
    float *out = cyg_net_alloc(n, (front + m->patches) * m->dim, sizeof *out);
    double *scratch = cyg_net_alloc(n, 2 * side + 8, sizeof *scratch);
    if (out == NULL || scratch == NULL)
        return NULL;
    memcpy(out, p, (size_t)(front * m->dim) * sizeof *out);
    cyg_position_resample(p + front * m->dim, from,
                          library == CYG_LIBRARY_HF     ? CYG_RESAMPLE_HALF_PIXEL
                          : library == CYG_LIBRARY_TIMM ? CYG_RESAMPLE_ANTIALIAS
                                                        : CYG_RESAMPLE_CORNERS,
                          m->grid, m->dim, scratch, out + front * m->dim);
    cyg_note(n->ctx, "positions of %lld x %lld patches resampled to %lld x %lld, as %s does",
             (long long)side, (long long)side, (long long)m->grid[0], (long long)m->grid[1],
             cyg_library_name(library));
    return out;
}

/* [1, all, D]: positions, and the tokens in front where the gather leaves zeros. */
static cyg_value_id embeddings(vit *m, bool patches_only)
{
    static const cyg_role roles[] = {CYG_ROLE_CLASS_TOKEN, CYG_ROLE_DIST_TOKEN, CYG_ROLE_REGISTERS};
    cyg_net *n = m->n;
    const int64_t all = m->tokens + m->patches, dims[] = {1, all, m->dim};
    const int64_t rows = patches_only ? m->patches : all;
    const bool relative =
        cyg_net_has(n, SLOT(BIAS_TABLE, 0)) || cyg_net_has(n, SLOT(SHARED_TABLE, 0));
    float *out = cyg_net_alloc(n, all * m->dim, sizeof *out);
    if (out == NULL)
        return CYG_NO_VALUE;
    memset(out, 0, (size_t)(all * m->dim) * sizeof *out);
    if (cyg_net_has(n, SLOT(POSITION, 0)) || !relative) {
        const float *p = positions(m, patches_only ? 0 : m->tokens);
        if (p != NULL)
            memcpy(out + (all - rows) * m->dim, p, (size_t)(rows * m->dim) * sizeof *out);
    }
    for (size_t i = 0, at = 0; i < CYG_COUNT(roles); i++) {
        const cyg_slot slot = {.role = roles[i]};
        if (!cyg_net_has(n, slot))
            continue;
        const int64_t count = roles[i] == CYG_ROLE_REGISTERS ? m->registers : 1;
        const float *t = cyg_net_floats(n, cyg_net_take(n, slot, 3, (int64_t[]){1, count, m->dim}));
        for (int64_t c = 0; c < count * m->dim && t != NULL; c++)
            out[(int64_t)at * m->dim + c] += t[c];
        at += (size_t)count;
    }
    return cyg_net_floats_const(n, "embeddings", 3, dims, out);
}

static cyg_value_id rows_of(vit *m, const char *name, cyg_value_id x, int64_t rows_in,
                            int64_t first, int64_t count)
{
    int64_t *index = cyg_net_alloc(m->n, count, sizeof *index);
    for (int64_t i = 0; i < count && index != NULL; i++)
        index[i] = first + i < 0 ? -1 : first + i;
    return cyg_net_gather(m->n, name, x, rows_in, index, count);
}

static cyg_status embed(vit *m, const cyg_patches *given, cyg_value_id *out_x)
{
    cyg_net *n = m->n;
    cyg_patches p = *given;
    bool patches_only = false;
    cyg_value_id x = cyg_net_patches(n, false, &p);
    CYG_DO(n->status);
    if (n->model->height % p.size_h != 0 || n->model->width % p.size_w != 0)
        return CYG_FAIL(n->ctx, CYG_E_CONFIG,
                        "image of %lld x %lld is no multiple of the patch of %lld x %lld",
                        (long long)n->model->height, (long long)n->model->width,
                        (long long)p.size_h, (long long)p.size_w);
    m->patches = p.rows * p.columns;
    m->grid[0] = p.rows;
    m->grid[1] = p.columns;
    x = cyg_net_reshape(n, "patches", x, 3, (int64_t[]){0, m->patches, m->dim});
    const int64_t rows = cyg_net_dim(n, SLOT(POSITION, 0), 1);
    patches_only = m->tokens > 0 &&
                   (rows == m->patches || (rows != m->tokens + m->patches &&
                                           side_of(rows - m->tokens) == 0 && side_of(rows) > 0));
    CYG_DO(
        cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_NO_EMBED_CLASS, &patches_only, NULL));
    if (m->tokens > 0)
        x = rows_of(m, "tokens", x, m->patches, -m->tokens, m->tokens + m->patches);
    x = cyg_net_add(n, "positions", x, embeddings(m, patches_only));
    if (cyg_net_has(n, SLOT(PRE_NORM, 0)))
        x = cyg_net_layer_norm(n, x, SLOT(PRE_NORM, 0), m->dim, m->eps);
    *out_x = x;
    return n->status;
}

/* ---- blocks ---- */

/* BEiT: [1, heads, all, all] from a table of offsets, then class to patch, patch to class, class to
 * class. */
static cyg_value_id bias_table(vit *m, cyg_slot slot)
{
    cyg_net *n = m->n;
    const int64_t all = m->tokens + m->patches;
    const int64_t offsets = (2 * m->grid[0] - 1) * (2 * m->grid[1] - 1);
    const int64_t dims[] = {1, m->heads, all, all}, stored[] = {offsets + 3, m->heads};
    const cyg_checkpoint_tensor *t = cyg_net_take(n, slot, 2, stored);
    const float *table = cyg_net_floats(n, t);
    float *out = table == NULL || m->tokens != 1 || all > 16384
                     ? NULL
                     : cyg_net_alloc(n, m->heads * all * all, sizeof *out);
    for (int64_t h = 0; h < m->heads && out != NULL; h++)
        for (int64_t i = 0; i < all; i++)
            for (int64_t j = 0; j < all; j++) {
                const int64_t row = i == 0 && j == 0 ? offsets + 2
                                    : j == 0         ? offsets + 1
                                    : i == 0         ? offsets
                                                     : cyg_position_offset(m->grid, i - 1, j - 1);
                out[(h * all + i) * all + j] = table[row * m->heads + h];
            }
    return cyg_net_floats_const(n, t == NULL ? NULL : t->name, 4, dims, out);
}

/* x + scale * linear(y), the scale where the checkpoint has one. */
static cyg_value_id residual(vit *m, cyg_value_id x, cyg_value_id y, cyg_slot slot, cyg_slot scale,
                             int64_t in)
{
    cyg_net *n = m->n;
    cyg_linear what = {.in = in, .out = m->dim, .bias = true, .residual = CYG_NO_VALUE};
    if (!cyg_net_has(n, scale)) {
        what.residual = x;
        return cyg_net_linear(n, y, slot, &what);
    }
    y = cyg_net_linear(n, y, slot, &what);
    const cyg_value_id factors[] = {y, cyg_net_tensor(n, scale, 1, &m->dim)};
    y = cyg_net_node(n, CYG_OP_mul, cyg_net_stem(n, scale), factors, 2);
    return cyg_net_add(n, "residual", x, y);
}

/* q or k with every head normalised by itself: [.., C], from part 0 or 1 of qkv. */
static cyg_value_id head_norm(vit *m, cyg_value_id qkv, cyg_slot slot, int part)
{
    cyg_net *n = m->n;
    const int64_t all = m->tokens + m->patches, heads = m->heads, size = m->dim / heads;
    const char *name = cyg_net_stem(n, slot);
    int64_t *index = cyg_net_alloc(n, all * heads, sizeof *index);
    for (int64_t i = 0; i < all * heads && index != NULL; i++)
        index[i] = (i / heads * 3 + part) * heads + i % heads;
    cyg_value_id x = cyg_net_reshape(n, name, qkv, 3, (int64_t[]){0, all * 3 * heads, size});
    x = cyg_net_gather(n, name, x, all * 3 * heads, index, all * heads);
    x = cyg_net_layer_norm(n, x, slot, size, m->eps);
    return cyg_net_reshape(n, name, x, 3, (int64_t[]){0, all, m->dim});
}

/* Half `part` of a gated MLP's first linear. */
static cyg_value_id half(vit *m, int b, cyg_value_id x, int part)
{
    cyg_net *n = m->n;
    const int64_t rows = m->hidden / 2, both[] = {m->hidden, m->dim}, dims[] = {rows, m->dim};
    const cyg_slot weight = SLOT(FC1, b);
    cyg_slot bias = weight;
    bias.part = CYG_BIAS;
    const cyg_checkpoint_tensor *w = cyg_net_take(n, weight, 2, both);
    const cyg_checkpoint_tensor *v = cyg_net_take(n, bias, 1, both);
    const float *rows_of_w = cyg_net_floats(n, w), *rows_of_v = cyg_net_floats(n, v);
    if (rows_of_w == NULL || rows_of_v == NULL)
        return x;
    const char *name = cyg_arena_printf(&n->model->arena, "%s.%s", cyg_net_stem(n, weight),
                                        part == 0 ? "gate" : "up");
    const cyg_value_id in[] = {
        x, cyg_net_floats_const(n, name, 2, dims, rows_of_w + part * rows * m->dim),
        cyg_net_floats_const(n, name, 1, dims, rows_of_v + part * rows)};
    const cyg_value_id y = cyg_net_node(n, CYG_OP_linear, name, in, 3);
    if (part == 0)
        CYG_IGNORE(cyg_node_set_int(n->g, cyg_net_maker(n, y), CYG_ATTR_act, CYG_ACT_SILU));
    return y;
}

static cyg_value_id build_mlp(vit *m, int b, cyg_value_id x, cyg_value_id sum)
{
    cyg_net *n = m->n;
    if (!m->gated)
        return residual(m, sum, cyg_net_mlp_in(n, x, SLOT(FC1, b), m->dim, m->hidden), SLOT(FC2, b),
                        SLOT(SCALE2, b), m->hidden);
    const cyg_value_id halves[] = {half(m, b, x, 0), half(m, b, x, 1)};
    x = cyg_net_node(n, CYG_OP_mul, cyg_net_stem(n, SLOT(FC1, b)), halves, 2);
    return residual(m, sum, x, SLOT(FC2, b), SLOT(SCALE2, b), m->hidden / 2);
}

static cyg_value_id build_block(vit *m, int b, cyg_value_id x)
{
    cyg_net *n = m->n;
    const char *name = cyg_net_stem(n, SLOT(PROJ, b));
    const bool key_bias = n->bound.library == CYG_LIBRARY_HF
                              ? cyg_net_has(n, (cyg_slot){.role = CYG_ROLE_K, .part = CYG_BIAS})
                              : !cyg_net_has(n, SLOT(Q_BIAS, 0));
    cyg_attention a = {.heads = m->heads,
                       .dim = m->dim / m->heads,
                       .tokens = m->tokens + m->patches,
                       .scale = (float)(1.0 / sqrt((double)(m->dim / m->heads))),
                       .q = CYG_NO_VALUE,
                       .k = CYG_NO_VALUE,
                       .mask_index = CYG_NO_VALUE,
                       .bias = m->shared,
                       .rows = CYG_NO_VALUE,
                       .head_scale = CYG_NO_VALUE};
    const cyg_qkv parts = {.block = b, .in = m->dim, .width = m->dim, .key_bias = key_bias};
    cyg_value_id y = cyg_net_layer_norm(n, x, SLOT(NORM1, b), m->dim, m->eps);
    y = cyg_net_qkv(n, y, &parts);
    if (cyg_net_has(n, SLOT(BIAS_TABLE, 0)))
        a.bias = bias_table(m, SLOT(BIAS_TABLE, b));
    if (cyg_net_has(n, SLOT(Q_NORM, 0))) {
        a.q = head_norm(m, y, SLOT(Q_NORM, b), 0);
        a.k = head_norm(m, y, SLOT(K_NORM, b), 1);
    }
    y = cyg_net_attention(n, cyg_arena_printf(&n->model->arena, "%s/attention", name), y, &a);
    x = residual(m, x, y, SLOT(PROJ, b), SLOT(SCALE1, b), m->dim);
    return build_mlp(m, b, cyg_net_layer_norm(n, x, SLOT(NORM2, b), m->dim, m->eps), x);
}

/* ---- the end ---- */

/* Row i of every image, normalised: [batch, D]. */
static cyg_value_id token(vit *m, cyg_value_id x, int64_t i, const char *name)
{
    cyg_net *n = m->n;
    x = rows_of(m, name, x, m->tokens + m->patches, i, 1);
    x = cyg_net_reshape(n, name, x, 2, (int64_t[]){0, m->dim});
    return cyg_net_has(n, SLOT(NORM, 0)) || !cyg_net_has(n, SLOT(POOL_NORM, 0))
               ? cyg_net_layer_norm(n, x, SLOT(NORM, 0), m->dim, m->eps)
               : x;
}

static cyg_value_id mean_of_patches(vit *m, cyg_value_id x)
{
    cyg_net *n = m->n;
    if (m->tokens > 0 && !m->pool_prefix)
        x = rows_of(m, "patches", x, m->tokens + m->patches, m->tokens, m->patches);
    if (cyg_net_has(n, SLOT(NORM, 0)) || !cyg_net_has(n, SLOT(POOL_NORM, 0)))
        x = cyg_net_layer_norm(n, x, SLOT(NORM, 0), m->dim, m->eps);
    return cyg_net_mean_tokens(n, x);
}

static cyg_status finish(vit *m, cyg_value_id x, cyg_value_id *out_result)
{
    cyg_net *n = m->n;
    const bool two = cyg_net_has(n, SLOT(DIST_HEAD, 0));
    int64_t width = m->dim;
    cyg_value_id y;
    if (two) {
        cyg_value_id both[2];
        CYG_DO(cyg_net_head(n, token(m, x, 0, "class_token"), CYG_ROLE_HEAD, width, &both[0]));
        CYG_DO(cyg_net_head(n, token(m, x, 1, "distillation_token"), CYG_ROLE_DIST_HEAD, width,
                            &both[1]));
        static const float half = 0.5f;
        y = cyg_net_add(n, "both", both[0], both[1]);
        both[0] = y;
        both[1] = cyg_net_floats_const(n, "half", 0, NULL, &half);
        *out_result = cyg_net_node(n, CYG_OP_mul, "mean_of_heads", both, 2);
        return n->status;
    }
    y = m->pool == POOL_MEAN ? mean_of_patches(m, x) : token(m, x, 0, "class_token");
    if (m->pool == POOL_BOTH) {
        const cyg_value_id both[] = {y, mean_of_patches(m, x)};
        y = cyg_net_node(n, CYG_OP_concat, "pooled", both, 2);
        CYG_IGNORE(cyg_node_set_int(n->g, cyg_net_maker(n, y), CYG_ATTR_axis, 1));
        width *= 2;
    }
    if (cyg_net_has(n, SLOT(POOL_NORM, 0)))
        y = cyg_net_layer_norm(n, y, SLOT(POOL_NORM, 0), width, m->eps);
    if (cyg_net_has(n, SLOT(POOLER, 0)) && !cyg_net_has(n, SLOT(HEAD, 0)))
        y = cyg_net_linear(n, y, SLOT(POOLER, 0),
                           &(cyg_linear){.in = width,
                                         .out = width,
                                         .bias = true,
                                         .act = CYG_ACT_TANH,
                                         .residual = CYG_NO_VALUE});
    cyg_net_ignore(n, CYG_ROLE_POOLER);
    if (cyg_net_has(n, SLOT(PRE_LOGITS, 0))) {
        const int64_t out = cyg_net_dim(n, SLOT(PRE_LOGITS, 0), 0);
        y = cyg_net_linear(n, y, SLOT(PRE_LOGITS, 0),
                           &(cyg_linear){.in = width,
                                         .out = out,
                                         .bias = true,
                                         .act = CYG_ACT_TANH,
                                         .residual = CYG_NO_VALUE});
        width = out;
    }
    return cyg_net_head(n, y, CYG_ROLE_HEAD, width, out_result);
}

cyg_status cyg_net_build_vit(cyg_net *n, cyg_value_id *out_result)
{
    cyg_patches p;
    vit m = {.n = n, .shared = CYG_NO_VALUE};
    cyg_value_id x;
    CYG_DO(cyg_net_patch_sizes(n, 16, &p));
    m.dim = p.dim;
    m.registers = cyg_net_dim(n, SLOT(REGISTERS, 0), 1);
    m.registers = m.registers < 0 || m.registers > CYG_LARGEST_SIZE ? 0 : m.registers;
    m.tokens =
        cyg_net_has(n, SLOT(CLASS_TOKEN, 0)) + cyg_net_has(n, SLOT(DIST_TOKEN, 0)) + m.registers;
    CYG_DO(read_heads(&m));
    CYG_DO(read_image_size(&m, &p));
    CYG_DO(read_rest(&m));
    CYG_DO(read_pooling(&m));
    CYG_DO(embed(&m, &p, &x));
    if (cyg_net_has(n, SLOT(SHARED_TABLE, 0)))
        m.shared = bias_table(&m, SLOT(SHARED_TABLE, 0));
    for (int64_t b = 0; b < m.depth && n->status == CYG_OK && !cyg_net_hopeless(n); b++)
        x = build_block(&m, (int)b, x);
    CYG_DO(n->status);
    return finish(&m, x, out_result);
}

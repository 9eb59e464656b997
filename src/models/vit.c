/* ViT and what is made of it: DeiT, BEiT, DINOv2.
 *
 *   x = [class token, distillation token, patches] + positions
 *   block: x += scale1 * proj(attend(norm1(x)));  x += scale2 * fc2(gelu(fc1(norm2(x))))
 *   logits: norm, then the class token or the mean of the patches, then the classifier
 *
 * The tokens are put in front by one gather of rows whose first ones are zeros; what belongs there
 * is part of the table of positions that is added next. Only the rows that the classifier looks at
 * are normalised. With a second head (DeiT with a teacher) the logits are the mean of both. BEiT
 * adds a table of relative positions in every block, with three more entries for the class token.
 *
 * Positions are taken as they are: a picture size other than the table's (which libraries
 * interpolate) is an error that names the shapes. */
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
    int64_t tokens, patches; /* in front; of the picture */
    int64_t grid[2];
    double eps;
    pooling pool;
} vit;

#define SLOT(r, b) ((cyg_slot){.role = CYG_ROLE_##r, .block = (b)})

/* ---- what the model is ---- */

static cyg_status read_heads(vit *m)
{
    cyg_net *n = m->n;
    bool given;
    m->heads = cyg_net_dim(n, SLOT(BIAS_TABLE, 0), 1);
    CYG_DO(cyg_settings_int(n->ctx, &n->settings, CYG_SETTING_HEADS, 1, CYG_LARGEST_SIZE, &m->heads,
                            &given));
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
    const int64_t biases = cyg_net_dim(n, SLOT(BIAS_TABLE, 0), 0);
    bool given;
    CYG_DO(cyg_net_image_size(n, &model->height, &model->width, &given));
    if (given)
        return CYG_OK;
    int64_t grid = side_of(rows - m->tokens);
    if (grid == 0)
        grid = side_of(rows); /* positions of the patches only */
    if (grid == 0 && biases > 3 && side_of(biases - 3) % 2 == 1)
        grid = (side_of(biases - 3) + 1) / 2;
    if (grid == 0) {
        const int64_t named = cyg_settings_arch_number(&n->settings, "");
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

static cyg_status read_rest(vit *m)
{
    cyg_net *n = m->n;
    double ratio = 0;
    bool given;
    m->depth = cyg_binding_blocks(&n->bound, 0);
    CYG_DO(cyg_settings_int(n->ctx, &n->settings, CYG_SETTING_DEPTH, 1, 1000, &m->depth, NULL));
    m->hidden = cyg_net_dim(n, SLOT(FC1, 0), 0);
    CYG_DO(cyg_settings_float(n->ctx, &n->settings, CYG_SETTING_MLP_RATIO, &ratio, &given));
    if (given && !(ratio > 0 && ratio < 256))
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "mlp_ratio: expected up to 256, found %g", ratio);
    if (given)
        m->hidden = (int64_t)((double)m->dim * ratio);
    CYG_DO(cyg_settings_int(n->ctx, &n->settings, CYG_SETTING_MLP_DIM, 1, CYG_LARGEST_SIZE,
                            &m->hidden, NULL));
    CYG_DO(cyg_net_eps(n, n->bound.library == CYG_LIBRARY_HF ? 1e-12 : 1e-6, &m->eps));
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
    m->pool = POOL_TOKEN;
    if (n->bound.layout == CYG_LAYOUT_dinov2_hf) {
        m->pool = POOL_BOTH;
    } else if (pool != NULL && strcmp(pool, "avg") == 0) {
        m->pool = POOL_MEAN;
    } else if (pool != NULL && strcmp(pool, "token") != 0) {
        return CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED, "global_pool \"%s\"; known are token and avg",
                        pool);
    } else if (!class_token || (pool == NULL && cyg_net_has(n, SLOT(POOL_NORM, 0)))) {
        m->pool = POOL_MEAN;
    }
    if (m->pool != POOL_MEAN && !class_token)
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "global_pool is token, but there is no class token");
    return CYG_OK;
}

/* ---- tokens ---- */

/* [1, all, D]: positions, and the tokens in front where the gather leaves zeros. */
static cyg_value_id embeddings(vit *m, bool patches_only)
{
    static const cyg_role roles[] = {CYG_ROLE_CLASS_TOKEN, CYG_ROLE_DIST_TOKEN};
    cyg_net *n = m->n;
    const int64_t all = m->tokens + m->patches, dims[] = {1, all, m->dim};
    const int64_t rows = patches_only ? m->patches : all, stored[] = {1, rows, m->dim};
    const int64_t one[] = {1, 1, m->dim};
    if (m->tokens == 0)
        return cyg_net_tensor(n, SLOT(POSITION, 0), 3, stored);
    float *out = cyg_net_alloc(n, all * m->dim, sizeof *out);
    if (out == NULL)
        return CYG_NO_VALUE;
    memset(out, 0, (size_t)(all * m->dim) * sizeof *out);
    if (cyg_net_has(n, SLOT(POSITION, 0)) || !cyg_net_has(n, SLOT(BIAS_TABLE, 0))) {
        const float *p = cyg_net_floats(n, cyg_net_take(n, SLOT(POSITION, 0), 3, stored));
        if (p != NULL)
            memcpy(out + (all - rows) * m->dim, p, (size_t)(rows * m->dim) * sizeof *out);
    }
    for (int64_t i = 0, at = 0; i < 2; i++) {
        if (!cyg_net_has(n, (cyg_slot){.role = roles[i]}))
            continue;
        const float *t = cyg_net_floats(n, cyg_net_take(n, (cyg_slot){.role = roles[i]}, 3, one));
        for (int64_t c = 0; c < m->dim && t != NULL; c++)
            out[at * m->dim + c] += t[c];
        at++;
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
    patches_only = m->tokens > 0 && cyg_net_dim(n, SLOT(POSITION, 0), 1) == m->patches;
    CYG_DO(
        cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_NO_EMBED_CLASS, &patches_only, NULL));
    if (m->tokens > 0)
        x = rows_of(m, "tokens", x, m->patches, -m->tokens, m->tokens + m->patches);
    *out_x = cyg_net_add(n, "positions", x, embeddings(m, patches_only));
    return n->status;
}

/* ---- blocks ---- */

/* BEiT: [1, heads, all, all] from a table of offsets, then class to patch, patch to class, class to
 * class. */
static cyg_value_id bias_table(vit *m, int block)
{
    cyg_net *n = m->n;
    const int64_t all = m->tokens + m->patches;
    const int64_t offsets = (2 * m->grid[0] - 1) * (2 * m->grid[1] - 1);
    const int64_t dims[] = {1, m->heads, all, all}, stored[] = {offsets + 3, m->heads};
    const cyg_checkpoint_tensor *t = cyg_net_take(n, SLOT(BIAS_TABLE, block), 2, stored);
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
                       .mask_index = CYG_NO_VALUE,
                       .bias = CYG_NO_VALUE,
                       .rows = CYG_NO_VALUE,
                       .head_scale = CYG_NO_VALUE};
    const cyg_linear in = {
        .in = m->dim, .out = m->hidden, .bias = true, .act = n->act, .residual = CYG_NO_VALUE};
    cyg_value_id y = cyg_net_layer_norm(n, x, SLOT(NORM1, b), m->dim, m->eps);
    y = cyg_net_qkv(n, y, 0, b, m->dim, key_bias);
    if (cyg_net_has(n, SLOT(BIAS_TABLE, 0)))
        a.bias = bias_table(m, b);
    y = cyg_net_attention(n, cyg_arena_printf(&n->model->arena, "%s/attention", name), y, &a);
    x = residual(m, x, y, SLOT(PROJ, b), SLOT(SCALE1, b), m->dim);
    y = cyg_net_layer_norm(n, x, SLOT(NORM2, b), m->dim, m->eps);
    y = cyg_net_linear(n, y, SLOT(FC1, b), &in);
    return residual(m, x, y, SLOT(FC2, b), SLOT(SCALE2, b), m->hidden);
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
    if (m->tokens > 0)
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
    return cyg_net_head(n, y, CYG_ROLE_HEAD, width, out_result);
}

cyg_status cyg_net_build_vit(cyg_net *n, cyg_value_id *out_result)
{
    const cyg_slot patch = SLOT(PATCH, 0);
    const cyg_patches p = {.dim = cyg_net_dim(n, patch, 0),
                           .size_h = cyg_net_dim(n, patch, 2),
                           .size_w = cyg_net_dim(n, patch, 3)};
    vit m = {.n = n, .dim = p.dim};
    cyg_value_id x;
    n->model->channels = cyg_net_dim(n, patch, 1);
    if (p.dim < 1 || p.dim > CYG_LARGEST_SIZE || p.size_h < 1 || p.size_w < 1)
        return CYG_FAIL(n->ctx, CYG_E_FORMAT, "the patch embedding has no usable shape");
    m.tokens = cyg_net_has(n, SLOT(CLASS_TOKEN, 0)) + cyg_net_has(n, SLOT(DIST_TOKEN, 0));
    CYG_DO(read_heads(&m));
    CYG_DO(read_image_size(&m, &p));
    CYG_DO(read_rest(&m));
    CYG_DO(read_pooling(&m));
    CYG_DO(embed(&m, &p, &x));
    for (int64_t b = 0; b < m.depth && n->status == CYG_OK && !cyg_net_hopeless(n); b++)
        x = build_block(&m, (int)b, x);
    CYG_DO(n->status);
    return finish(&m, x, out_result);
}

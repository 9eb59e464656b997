/* Swin and SwinV2.
 *
 *   V1 block: x += proj(attend(norm1(x)));  x += fc2(gelu(fc1(norm2(x))))
 *   V2 block: x += norm1(proj(attend(x)));  x += norm2(fc2(gelu(fc1(x))))
 *   between stages: 2 x 2 neighbours side by side, in the order (row, column) 00 10 01 11, then
 *   V1 norm and reduction, V2 reduction and norm
 *
 * Tokens stay in the order of the picture. Partition and shift are the `rows` of the attention
 * (windows.c); where the grid needs padding, rows are gathered into windows before qkv, zeros where
 * there is nothing, so that padding's keys and values are the biases as in all libraries, and
 * gathered back behind it.
 *
 * V1 adds a table of biases, V2 16 * sigmoid of a small network's answer to the offsets, folded
 * here into the same table (position.c). Masks of shifted windows are added to that table: at most
 * four tables a block. Hugging Face's SwinV2 adds its mask twice (-200); near the clamp of the
 * logit scale that shows. What to do with a grid that does not fit its windows differs by library,
 * see place_windows. */
#include "models/net.h"
#include "models/position.h"
#include "models/windows.h"

#include <math.h>
#include <string.h>

typedef struct swin {
    cyg_net *n;
    bool v2;
    int stages;
    int64_t depths[CYG_MOST_STAGES], heads[CYG_MOST_STAGES];
    int64_t head_dim[CYG_MOST_STAGES];  /* 0 = channels over heads */
    int64_t window[CYG_MOST_STAGES][2]; /* rows, columns */
    bool always_partition;              /* timm: windows never shrink */
    int64_t pretrained[CYG_MOST_STAGES];
    int64_t size[2];    /* of the grid of tokens, now */
    int64_t nominal[2]; /* what the library takes it for when the model is made */
    int64_t dim;        /* of the tokens, now */
    double mlp_ratio;   /* 0 = as the tensors say */
    double qk_scale;    /* 0 = head size to the power -0.5 */
    double eps;
} swin;

#define SLOT(r, s, b) ((cyg_slot){.role = CYG_ROLE_##r, .stage = (s), .block = (b)})

/* ---- what the model is ---- */

/* What the first block says whose number of heads can be; one bad tensor must not hide the others.
 */
static int64_t heads_of(const swin *m, int stage)
{
    for (int b = 0; b < (int)m->depths[stage]; b++) {
        const int64_t heads = m->v2 ? cyg_net_dim(m->n, SLOT(LOGIT_SCALE, stage, b), 0)
                                    : cyg_net_dim(m->n, SLOT(BIAS_TABLE, stage, b), 1);
        if (heads > 0 && (m->dim << stage) % heads == 0)
            return heads;
    }
    return 1;
}

static cyg_status read_depths(swin *m)
{
    cyg_net *n = m->n;
    size_t count;
    CYG_DO(cyg_settings_ints(n->ctx, &n->settings, CYG_SETTING_DEPTHS, 1, 1000, CYG_MOST_STAGES,
                             m->depths, &count));
    m->stages = count > 0 ? (int)count : n->bound.stages;
    if (m->stages < 1 || m->stages > CYG_MOST_STAGES)
        return CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED, "%d stages; expected 1 to %d", m->stages,
                        CYG_MOST_STAGES);
    for (int s = 0; count == 0 && s < m->stages; s++)
        m->depths[s] = cyg_binding_blocks(&n->bound, s);
    CYG_DO(cyg_settings_ints(n->ctx, &n->settings, CYG_SETTING_HEADS, 1, CYG_LARGEST_SIZE,
                             CYG_MOST_STAGES, m->heads, &count));
    if (count > 0 && count != (size_t)m->stages)
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "num_heads: %zu numbers for %d stages", count,
                        m->stages);
    for (int s = 0; count == 0 && s < m->stages; s++)
        m->heads[s] = heads_of(m, s);
    return CYG_OK;
}

/* 2w - 1 squared to w; 0 = no such window. */
static int64_t window_of_table(int64_t rows)
{
    const int64_t side = rows > 0 ? (int64_t)(sqrt((double)rows) + 0.5) : 0;
    return side * side == rows && side % 2 == 1 ? (side + 1) / 2 : 0;
}

/* One number for all; rows and columns for all; or one for each of more than two stages. */
static cyg_status read_given_window(swin *m, bool *out_given)
{
    cyg_net *n = m->n;
    int64_t v[CYG_MOST_STAGES];
    size_t count;
    CYG_DO(cyg_settings_ints(n->ctx, &n->settings, CYG_SETTING_WINDOW, 1, 256, CYG_MOST_STAGES, v,
                             &count));
    *out_given = count > 0;
    if (count > 2 && count != (size_t)m->stages)
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "window_size: %zu numbers for %d stages", count,
                        m->stages);
    for (int s = 0; s < m->stages && count > 0; s++) {
        m->window[s][0] = v[count > 2 ? s : 0];
        m->window[s][1] = v[count > 2 ? s : (int)count - 1];
    }
    return CYG_OK;
}

static cyg_status read_window(swin *m)
{
    cyg_net *n = m->n;
    int64_t window = 0, first;
    bool given;
    CYG_DO(read_given_window(m, &given));
    CYG_DO(cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_ALWAYS_PARTITION,
                             &m->always_partition, NULL));
    if (given)
        return CYG_OK;
    for (int s = 0; s < m->stages; s++) { /* small grids have smaller windows */
        const int64_t coordinates = cyg_net_dim(n, SLOT(COORDINATES, s, 0), 1);
        const int64_t w = m->v2 ? (coordinates + 1) / 2
                                : window_of_table(cyg_net_dim(n, SLOT(BIAS_TABLE, s, 0), 0));
        window = w > window ? w : window;
    }
    if (window == 0)
        cyg_settings_arch_number(&n->settings, "window", &first, &window);
    if (window == 0) {
        window = m->v2 ? 8 : 7;
        cyg_note(n->ctx, "assumed window_size = %lld: the checkpoint does not say",
                 (long long)window);
    }
    for (int s = 0; s < m->stages; s++)
        m->window[s][0] = m->window[s][1] = window;
    return window <= 256 ? CYG_OK
                         : CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED, "windows of %lld; at most 256",
                                    (long long)window);
}

/* microsoft's masks tell the size of the grid: one for each window of the stage. */
static int64_t grid_from_masks(const swin *m)
{
    for (int s = 0; s < m->stages; s++)
        for (int64_t b = 0; b < m->depths[s]; b++) {
            const int64_t windows = cyg_net_dim(m->n, SLOT(ATTENTION_MASK, s, (int)b), 0);
            const int64_t tokens = cyg_net_dim(m->n, SLOT(ATTENTION_MASK, s, (int)b), 1);
            const int64_t across = windows > 0 ? (int64_t)(sqrt((double)windows) + 0.5) : 0;
            const int64_t w = tokens > 0 ? (int64_t)(sqrt((double)tokens) + 0.5) : 0;
            if (across > 0 && across * across == windows && w * w == tokens && across * w < 4096)
                return across * w << s;
        }
    return 0;
}

static cyg_status read_image_size(swin *m, const cyg_patches *p)
{
    cyg_net *n = m->n;
    cyg_converted *model = n->model;
    const int64_t tokens = cyg_net_dim(n, SLOT(POSITION, 0, 0), 1);
    const int64_t side = tokens > 0 ? (int64_t)(sqrt((double)tokens) + 0.5) : 0;
    const int64_t masks = grid_from_masks(m);
    bool given;
    CYG_DO(cyg_net_image_size(n, &model->height, &model->width, &given));
    if (given)
        return CYG_OK;
    int64_t first, named;
    cyg_settings_arch_number(&n->settings, "", &first, &named);
    int64_t grid = side * side == tokens && side < 4096 ? side : 0;
    if (grid == 0)
        grid = masks;
    if (grid == 0)
        grid = named / p->size_h;
    const bool known = grid > 0;
    if (!known) { /* the sizes that these models are trained at */
        const int64_t w = m->window[0][0];
        const int64_t image = w == 8 || w == 16    ? 256
                              : w == 12 && m->v2   ? 192
                              : w == 12 || w == 24 ? 384
                                                   : 224;
        grid = image / p->size_h;
    }
    model->height = grid * p->size_h;
    model->width = grid * p->size_w;
    if (!known)
        cyg_note(n->ctx,
                 "assumed image_size = %lld: the checkpoint does not say (--set image_size=)",
                 (long long)model->height);
    return CYG_OK;
}

/* One number a stage, from a list that may be longer (libraries' defaults are for four stages) or
 * one number for all. Zeros where nothing is given. */
static cyg_status read_per_stage(swin *m, cyg_setting setting, const char *name, int64_t high,
                                 int64_t out[CYG_MOST_STAGES], bool *out_given)
{
    cyg_net *n = m->n;
    size_t count;
    CYG_DO(cyg_settings_ints(n->ctx, &n->settings, setting, 0, high, CYG_MOST_STAGES, out, &count));
    *out_given = count > 0;
    if (count > 1 && count < (size_t)m->stages)
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "%s: %zu numbers for %d stages", name, count,
                        m->stages);
    for (int s = 1; count == 1 && s < m->stages; s++)
        out[s] = out[0];
    return CYG_OK;
}

static cyg_status read_scales(swin *m)
{
    cyg_net *n = m->n;
    bool given;
    CYG_DO(cyg_settings_float(n->ctx, &n->settings, CYG_SETTING_MLP_RATIO, &m->mlp_ratio, &given));
    if (given && !(m->mlp_ratio > 0 && m->mlp_ratio < 256))
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "mlp_ratio: expected up to 256, found %g",
                        m->mlp_ratio);
    CYG_DO(cyg_settings_float(n->ctx, &n->settings, CYG_SETTING_QK_SCALE, &m->qk_scale, &given));
    if (given && !(m->qk_scale > 0 && m->qk_scale < 1e6))
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "qk_scale: expected above 0, found %g", m->qk_scale);
    return cyg_net_eps(n, 1e-5, &m->eps);
}

/* "window12to24_192to384": 12 in pretraining, less where the grid of 192 pixels was smaller. */
static bool named_pretrained(swin *m, const cyg_patches *p)
{
    int64_t window, window_now, size, size_now;
    cyg_settings_arch_number(&m->n->settings, "window", &window, &window_now);
    cyg_settings_arch_number(&m->n->settings, "", &size, &size_now);
    if (window == window_now || size == size_now)
        return false;
    for (int s = 0; s < m->stages; s++) {
        const int64_t grid = size / p->size_h >> s;
        m->pretrained[s] = window < grid ? window : grid;
    }
    return true;
}

static cyg_status read_rest(swin *m, const cyg_patches *p)
{
    cyg_net *n = m->n;
    bool given;
    const char *pool = cyg_settings_text(&n->settings, CYG_SETTING_POOL);
    if (pool != NULL && strcmp(pool, "avg") != 0)
        return CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED, "global_pool \"%s\"; Swin is known with avg",
                        pool);
    CYG_DO(read_scales(m));
    CYG_DO(read_per_stage(m, CYG_SETTING_HEAD_DIM, "head_dim", 4096, m->head_dim, &given));
    CYG_DO(read_per_stage(m, CYG_SETTING_PRETRAINED_WINDOW, "pretrained_window_sizes", 256,
                          m->pretrained, &given));
    if (m->v2 && !given && cyg_net_dim(n, SLOT(COORDINATES, 0, 0), 0) < 0 &&
        n->bound.library != CYG_LIBRARY_TORCHVISION && !named_pretrained(m, p))
        cyg_note(n->ctx, "assumed pretrained_window_sizes = 0: the checkpoint does not say");
    const bool split = n->bound.library == CYG_LIBRARY_HF;
    n->qkv_bias = split ? cyg_net_has(n, (cyg_slot){.role = CYG_ROLE_Q, .part = CYG_BIAS})
                        : cyg_net_has(n, (cyg_slot){.role = CYG_ROLE_QKV, .part = CYG_BIAS}) ||
                              cyg_net_has(n, SLOT(Q_BIAS, 0, 0));
    return cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_QKV_BIAS, &n->qkv_bias, NULL);
}

/* ---- windows ---- */

/* Whether the library shrinks the window to the grid along axis a (and then does not shift), and to
 * which size. */
static bool shrinks(const swin *m, int stage, int a, int64_t *out_window)
{
    const bool made_with = m->n->bound.library != CYG_LIBRARY_HF || m->v2;
    const int64_t *const size = made_with ? m->nominal : m->size; /* HF's V1 looks at run time */
    switch (m->n->bound.library) {
    case CYG_LIBRARY_TORCHVISION: /* keeps the window and pads */
        return false;
    case CYG_LIBRARY_TIMM: /* each axis by itself */
        if (m->always_partition)
            return false;
        *out_window = size[a];
        break;
    case CYG_LIBRARY_HF: /* V2 looks at the rows only */
        *out_window = m->v2 || size[0] < size[1] ? size[0] : size[1];
        break;
    case CYG_LIBRARY_MS:
    default:
        *out_window = size[0] < size[1] ? size[0] : size[1];
        break;
    }
    return *out_window <= m->window[stage][a];
}

/* Chooses window and shift of a block, as the checkpoint's library does. */
static cyg_status place_windows(swin *m, int stage, int64_t block, cyg_windows *w)
{
    cyg_net *n = m->n;
    const cyg_library library = n->bound.library;
    *w = (cyg_windows){.size = {m->size[0], m->size[1]}, .roll_first = library == CYG_LIBRARY_TIMM};
    for (int a = 0; a < 2; a++) {
        const int64_t window = m->window[stage][a];
        w->window[a] = window;
        w->shift[a] = block % 2 == 1 ? window / 2 : 0;
        int64_t smaller;
        if (shrinks(m, stage, a, &smaller)) {
            w->window[a] = smaller;
            w->shift[a] = 0;
        } else if (library == CYG_LIBRARY_TORCHVISION && w->size[a] <= window) {
            w->shift[a] = 0; /* one window, padded */
        }
    }
    if (w->window[0] < 1 || w->window[1] < 1)
        return CYG_FAIL(n->ctx, CYG_E_CONFIG, "stage %d: the grid is empty; the image is too small",
                        stage);
    if (library == CYG_LIBRARY_HF && !m->v2 && w->window[0] < m->window[stage][0])
        return CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED,
                        "stage %d: the grid of %lld x %lld is smaller than the window of %lld, "
                        "which Hugging Face's Swin itself cannot run; give a larger image_size",
                        stage, (long long)m->size[0], (long long)m->size[1],
                        (long long)m->window[stage][0]);
    cyg_windows_init(w);
    if (library == CYG_LIBRARY_MS && (w->padded[0] != w->size[0] || w->padded[1] != w->size[1]))
        return CYG_FAIL(n->ctx, CYG_E_CONFIG,
                        "stage %d: the grid of %lld x %lld is no multiple of the window of %lld, "
                        "which microsoft's Swin refuses; --set image_size= or window_size=",
                        stage, (long long)w->size[0], (long long)w->size[1],
                        (long long)w->window[0]);
    return CYG_OK;
}

/* [kinds, heads, tokens, tokens]: biases and masks. table: [offsets, heads]. */
static cyg_value_id bias_tables(swin *m, const char *stem, const cyg_windows *w, int64_t heads,
                                const float *table, cyg_value_id *out_mask_index)
{
    cyg_net *n = m->n;
    const float mask = m->v2 && n->bound.library == CYG_LIBRARY_HF ? -200.0f : -100.0f;
    int kinds[CYG_WINDOW_KINDS];
    int64_t *kind_of = cyg_net_alloc(n, w->count, sizeof *kind_of);
    *out_mask_index = CYG_NO_VALUE;
    if (kind_of == NULL || table == NULL)
        return cyg_net_floats_const(n, stem, 0, NULL, NULL);
    const int count = cyg_windows_kinds(w, kind_of, kinds);
    const int64_t tokens = w->tokens, dims[] = {count, heads, tokens, tokens};
    float *out = tokens > 65536 || heads > CYG_LARGEST_SIZE
                     ? NULL
                     : cyg_net_alloc(n, count * heads * tokens * tokens, sizeof *out);
    for (int k = 0; k < count && out != NULL; k++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < tokens; i++)
                for (int64_t j = 0; j < tokens; j++)
                    out[((k * heads + h) * tokens + i) * tokens + j] =
                        table[cyg_position_offset(w->window, i, j) * heads + h] +
                        (cyg_windows_strangers(w, kinds[k], i, j) ? mask : 0.0f);
    if (count > 1)
        *out_mask_index = cyg_net_index_const(n, "window_kinds", 1, &w->count, kind_of);
    return cyg_net_floats_const(n, stem, 4, dims, out);
}

/* ---- blocks ---- */

/* V1: the stored table; V2: the network's answers. [offsets, heads] */
static const float *position_table(swin *m, int stage, int block, const cyg_windows *w)
{
    cyg_net *n = m->n;
    const int64_t heads = m->heads[stage];
    const int64_t rows[] = {2 * w->window[0] - 1, 2 * w->window[1] - 1};
    const int64_t offsets = rows[0] * rows[1];
    if (!m->v2)
        return cyg_net_floats(
            n, cyg_net_take(n, SLOT(BIAS_TABLE, stage, block), 2, (int64_t[]){offsets, heads}));
    const cyg_slot first = SLOT(BIAS_MLP1, stage, block), second = SLOT(BIAS_MLP2, stage, block);
    cyg_slot first_bias = first;
    first_bias.part = CYG_BIAS;
    int64_t hidden = cyg_net_dim(n, first, 0);
    hidden = hidden > 0 && hidden <= CYG_LARGEST_SIZE ? hidden : 512;
    const cyg_slot stored = SLOT(COORDINATES, stage, block);
    cyg_position_mlp mlp = {
        .hidden = hidden,
        .heads = heads,
        .w1 = cyg_net_floats(n, cyg_net_take(n, first, 2, (int64_t[]){hidden, 2})),
        .b1 = cyg_net_floats(n, cyg_net_take(n, first_bias, 1, &hidden)),
        .w2 = cyg_net_floats(n, cyg_net_take(n, second, 2, (int64_t[]){heads, hidden})),
    };
    if (cyg_net_has(n, stored))
        mlp.coordinates =
            cyg_net_floats(n, cyg_net_take(n, stored, 4, (int64_t[]){1, rows[0], rows[1], 2}));
    float *table = cyg_net_alloc(n, offsets * heads, sizeof *table);
    if (table == NULL || mlp.w1 == NULL || mlp.b1 == NULL || mlp.w2 == NULL ||
        (cyg_net_has(n, stored) && mlp.coordinates == NULL))
        return NULL;
    cyg_position_run(&mlp, w->window, m->pretrained[stage], table);
    return table;
}

/* exp(min(logit_scale, ln 100)) */
static cyg_value_id head_scale(swin *m, int stage, int block)
{
    cyg_net *n = m->n;
    const cyg_slot slot = SLOT(LOGIT_SCALE, stage, block);
    const int64_t heads = m->heads[stage];
    const cyg_checkpoint_tensor *t = cyg_net_take(n, slot, 3, (int64_t[]){heads, 1, 1});
    const float *logs = cyg_net_floats(n, t);
    float *scales = logs == NULL ? NULL : cyg_net_alloc(n, heads, sizeof *scales);
    for (int64_t h = 0; h < heads && scales != NULL; h++)
        scales[h] = (float)exp(fmin((double)logs[h], log(100.0)));
    return cyg_net_floats_const(n, t == NULL ? "logit_scale" : t->name, 1, &heads, scales);
}

/* x to the output of the projection: attention in windows. */
static cyg_status attend(swin *m, int stage, int block, cyg_value_id x, cyg_value_id residual,
                         cyg_value_id *out_result)
{
    cyg_net *n = m->n;
    const int64_t heads = m->heads[stage], tokens_in = m->size[0] * m->size[1];
    const char *qkv = cyg_net_stem(n, SLOT(QKV, stage, block));
    cyg_windows w;
    CYG_DO(place_windows(m, stage, block, &w));
    const int64_t places = w.count * w.tokens;
    const bool padded = places != tokens_in;
    bool moved = false;
    int64_t *index = cyg_net_alloc(n, places, sizeof *index);
    int64_t *back = cyg_net_alloc(n, tokens_in, sizeof *back);
    if (index == NULL || back == NULL || qkv == NULL)
        return n->status != CYG_OK ? n->status : CYG_FAIL(n->ctx, CYG_E_NOMEM, "out of memory");
    cyg_windows_index(&w, index);
    for (int64_t i = 0; i < places; i++) {
        moved = moved || index[i] != i;
        if (index[i] >= 0)
            back[index[i]] = i;
    }
    const char *const dot = strrchr(qkv, '.');
    const char *name =
        cyg_arena_strndup(&n->model->arena, qkv, dot != NULL ? (size_t)(dot - qkv) : strlen(qkv));
    if (name == NULL)
        return CYG_FAIL(n->ctx, CYG_E_NOMEM, "out of memory");
    if (padded)
        x = cyg_net_gather(n, "pad_windows", x, tokens_in, index, places);
    const int64_t each = m->head_dim[stage] > 0 ? m->head_dim[stage]
                         : heads > 0            ? m->dim / heads
                                                : 0;
    const cyg_qkv parts = {
        .stage = stage, .block = block, .in = m->dim, .width = each * heads, .key_bias = !m->v2};
    x = cyg_net_qkv(n, x, &parts);
    cyg_attention a = {.heads = heads,
                       .dim = each,
                       .q = CYG_NO_VALUE,
                       .k = CYG_NO_VALUE,
                       .tokens = w.tokens,
                       .cosine = m->v2,
                       .rows = CYG_NO_VALUE,
                       .head_scale = CYG_NO_VALUE};
    a.scale = m->v2             ? 1.0f
              : m->qk_scale > 0 ? (float)m->qk_scale
                                : (float)(1.0 / sqrt((double)(a.dim > 0 ? a.dim : 1)));
    a.bias = bias_tables(m, cyg_arena_printf(&n->model->arena, "%s.position_bias", name), &w, heads,
                         position_table(m, stage, block, &w), &a.mask_index);
    if (m->v2)
        a.head_scale = head_scale(m, stage, block);
    if (moved && !padded)
        a.rows = cyg_net_index_const(n, "window_rows", 2, (int64_t[]){w.count, w.tokens}, index);
    x = cyg_net_attention(n, name, x, &a);
    if (padded)
        x = cyg_net_gather(n, "unpad_windows", x, places, back, tokens_in);
    *out_result = cyg_net_linear(
        n, x, SLOT(PROJ, stage, block),
        &(cyg_linear){.in = parts.width, .out = m->dim, .bias = true, .residual = residual});
    return n->status;
}

/* Channels inside the MLP: stated, or those of the stage's first block. */
static int64_t hidden_of(const swin *m, cyg_slot fc1)
{
    fc1.block = 0;
    const int64_t rows = cyg_net_dim(m->n, fc1, 0);
    if (m->mlp_ratio > 0)
        return (int64_t)((double)m->dim * m->mlp_ratio);
    return rows > 0 && rows <= 256 * m->dim ? rows : 4 * m->dim;
}

static cyg_status build_block(swin *m, int stage, int block, cyg_value_id *x)
{
    cyg_net *n = m->n;
    const cyg_slot norm1 = SLOT(NORM1, stage, block), norm2 = SLOT(NORM2, stage, block);
    const cyg_slot fc1 = SLOT(FC1, stage, block), fc2 = SLOT(FC2, stage, block);
    const int64_t hidden = hidden_of(m, fc1);
    cyg_linear out = {.in = hidden, .out = m->dim, .bias = true, .residual = CYG_NO_VALUE};
    cyg_value_id y;
    if (m->v2) {
        CYG_DO(attend(m, stage, block, *x, CYG_NO_VALUE, &y));
        y = cyg_net_layer_norm(n, y, norm1, m->dim, m->eps);
        *x = cyg_net_add(n, "residual", *x, y);
        y = cyg_net_linear(n, cyg_net_mlp_in(n, *x, fc1, m->dim, hidden), fc2, &out);
        y = cyg_net_layer_norm(n, y, norm2, m->dim, m->eps);
        *x = cyg_net_add(n, "residual", *x, y);
        return n->status;
    }
    CYG_DO(attend(m, stage, block, cyg_net_layer_norm(n, *x, norm1, m->dim, m->eps), *x, &y));
    out.residual = y;
    *x = cyg_net_layer_norm(n, y, norm2, m->dim, m->eps);
    *x = cyg_net_linear(n, cyg_net_mlp_in(n, *x, fc1, m->dim, hidden), fc2, &out);
    return n->status;
}

/* 2 x 2 neighbours to one token; odd sizes get a row or column of zeros. */
static cyg_status merge(swin *m, int stage, cyg_value_id *x)
{
    cyg_net *n = m->n;
    const int64_t h = (m->size[0] + 1) / 2, w = (m->size[1] + 1) / 2, c = m->dim;
    const cyg_slot reduction = SLOT(MERGE, stage, 0), norm = SLOT(MERGE_NORM, stage, 0);
    if (n->bound.library == CYG_LIBRARY_MS && (m->size[0] % 2 != 0 || m->size[1] % 2 != 0))
        return CYG_FAIL(n->ctx, CYG_E_CONFIG,
                        "stage %d: the grid of %lld x %lld is odd, which microsoft's Swin refuses; "
                        "--set image_size=",
                        stage, (long long)m->size[0], (long long)m->size[1]);
    int64_t *index = cyg_net_alloc(n, 4 * h * w, sizeof *index);
    if (index == NULL)
        return n->status;
    for (int64_t i = 0; i < 4 * h * w; i++) {
        const int64_t y = i / 4 / w * 2 + i % 2, at = i / 4 % w * 2 + i % 4 / 2;
        index[i] = y < m->size[0] && at < m->size[1] ? y * m->size[1] + at : -1;
    }
    const char *name = cyg_net_stem(n, reduction);
    cyg_value_id y = cyg_net_gather(n, "neighbours", *x, m->size[0] * m->size[1], index, 4 * h * w);
    y = cyg_net_reshape(n, name, y, 3, (int64_t[]){0, h * w, 4 * c});
    const cyg_linear what = {.in = 4 * c, .out = 2 * c, .residual = CYG_NO_VALUE};
    if (m->v2)
        *x = cyg_net_layer_norm(n, cyg_net_linear(n, y, reduction, &what), norm, 2 * c, 1e-5);
    else
        *x = cyg_net_linear(n, cyg_net_layer_norm(n, y, norm, 4 * c, 1e-5), reduction, &what);
    m->size[0] = h;
    m->size[1] = w;
    for (int a = 0; a < 2; a++) /* timm rounds up, as the merge does */
        m->nominal[a] = (m->nominal[a] + (n->bound.library == CYG_LIBRARY_TIMM)) / 2;
    m->dim = 2 * c;
    return n->status;
}

static cyg_status embed(swin *m, const cyg_patches *given, cyg_value_id *out_x)
{
    cyg_net *n = m->n;
    cyg_patches p = *given;
    const bool hf = n->bound.library == CYG_LIBRARY_HF;
    bool norm = cyg_net_has(n, SLOT(PATCH_NORM, 0, 0));
    bool absolute = cyg_net_has(n, SLOT(POSITION, 0, 0));
    cyg_value_id x = cyg_net_patches(n, hf, &p);
    CYG_DO(n->status);
    const int64_t tokens = p.rows * p.columns;
    x = cyg_net_reshape(n, "tokens", x, 3, (int64_t[]){0, tokens, p.dim});
    CYG_DO(cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_PATCH_NORM, &norm, NULL));
    if (norm)
        x = cyg_net_layer_norm(n, x, SLOT(PATCH_NORM, 0, 0), p.dim, 1e-5);
    CYG_DO(cyg_settings_bool(n->ctx, &n->settings, CYG_SETTING_ABSOLUTE, &absolute, NULL));
    if (absolute && hf)
        return CYG_FAIL(n->ctx, CYG_E_UNSUPPORTED,
                        "absolute position embeddings: Hugging Face's table has one row more than "
                        "there are tokens, and its own model fails on it");
    if (absolute)
        x = cyg_net_add(n, "positions", x,
                        cyg_net_tensor(n, SLOT(POSITION, 0, 0), 3, (int64_t[]){1, tokens, p.dim}));
    m->size[0] = p.rows;
    m->size[1] = p.columns;
    m->nominal[0] = n->model->height / p.size_h;
    m->nominal[1] = n->model->width / p.size_w;
    *out_x = x;
    return n->status;
}

cyg_status cyg_net_build_swin(cyg_net *n, cyg_value_id *out_result)
{
    swin m = {.n = n, .v2 = cyg_net_has(n, SLOT(LOGIT_SCALE, 0, 0))};
    cyg_patches p;
    cyg_value_id x;
    CYG_DO(cyg_net_patch_sizes(n, 4, &p));
    m.dim = p.dim;
    CYG_DO(read_depths(&m));
    CYG_DO(read_window(&m));
    CYG_DO(read_image_size(&m, &p));
    CYG_DO(read_rest(&m, &p));
    CYG_DO(embed(&m, &p, &x));
    for (int s = 0; s < m.stages; s++) {
        if (m.heads[s] > 0 && m.dim % m.heads[s] != 0)
            return CYG_FAIL(n->ctx, CYG_E_CONFIG, "stage %d: %lld channels for %lld heads", s,
                            (long long)m.dim, (long long)m.heads[s]);
        for (int64_t b = 0; b < m.depths[s]; b++)
            if (!cyg_net_hopeless(n))
                CYG_DO(build_block(&m, s, (int)b, &x));
        if (s + 1 < m.stages)
            CYG_DO(merge(&m, s, &x));
    }
    x = cyg_net_layer_norm(n, x, SLOT(NORM, 0, 0), m.dim, m.eps);
    x = cyg_net_mean_tokens(n, x);
    cyg_net_ignore(n, CYG_ROLE_ATTENTION_MASK);
    cyg_net_ignore(n, CYG_ROLE_COORDINATES);
    return cyg_net_head(n, x, CYG_ROLE_HEAD, m.dim, out_result);
}

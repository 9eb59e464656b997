/* What the builders of architectures share: tensors by slot, nodes with provenance, and the list of
 * everything that is wrong with the checkpoint. Private to models. */
#ifndef CYG_MODELS_NET_H
#define CYG_MODELS_NET_H

#include "ir/graph.h"
#include "models/bind.h"
#include "models/faults.h"
#include "models/models.h"
#include "models/settings.h"

enum {
    CYG_LARGEST_SIZE = 65536, /* of any dimension that a setting gives */
    CYG_LARGEST_IMAGE = 16384,
    CYG_MOST_STAGES = 16,
};

typedef struct cyg_net {
    cyg_ctx *ctx;
    cyg_graph *g;
    cyg_converted *model;
    cyg_binding bound;
    cyg_settings settings;
    int64_t batch;   /* a size or a symbol */
    bool qkv_bias;   /* q, k and v have biases */
    cyg_act act;     /* of the MLP */
    bool quick_gelu; /* act is NONE; x sigmoid(1.702 x) stands behind the MLP's first linear */
    cyg_faults faults;
    cyg_source_id pending[8]; /* tensors taken since the last node: its provenance */
    size_t pending_count;
    cyg_value_id input;
    size_t made;       /* bytes that cyg_net_alloc gave */
    cyg_status status; /* first hard failure (memory, a bad conversion) */
} cyg_net;

/* ---- tensors ---- */
bool cyg_net_has(const cyg_net *n, cyg_slot slot);
/* Dimension d of a tensor, -1 when there is no such tensor or dimension. */
int64_t cyg_net_dim(const cyg_net *n, cyg_slot slot, int d);
/* The tensor, with this shape (-1 = any size); NULL, noted for the error, when it is missing or has
 * another. */
const cyg_checkpoint_tensor *cyg_net_take(cyg_net *n, cyg_slot slot, int rank, const int64_t *dims);
/* Its elements: a view, or converted in the graph's arena. NULL for NULL. */
const float *cyg_net_floats(cyg_net *n, const cyg_checkpoint_tensor *t);
/* As a constant under its own name. */
cyg_value_id cyg_net_tensor(cyg_net *n, cyg_slot slot, int rank, const int64_t *dims);
/* size * count bytes in the graph's arena; NULL (and status) when there is no memory, or when
 * tables and conversions together grow beyond what any real model needs. */
void *cyg_net_alloc(cyg_net *n, int64_t count, size_t size);
cyg_value_id cyg_net_floats_const(cyg_net *n, const char *name, int rank, const int64_t *dims,
                                  const float *data);
cyg_value_id cyg_net_index_const(cyg_net *n, const char *name, int rank, const int64_t *dims,
                                 const int64_t *data);
/* So much is wrong already that looking further only costs. */
bool cyg_net_hopeless(const cyg_net *n);
/* Tensors that the architecture does not use even where they are there. */
void cyg_net_ignore(cyg_net *n, cyg_role role);

/* ---- nodes ---- */
/* "layers.0.blocks.1.attn.qkv": the slot's name without ".weight". In the model's arena. */
const char *cyg_net_stem(cyg_net *n, cyg_slot slot);
/* A node with one new output; absent operands at the end are dropped. */
cyg_value_id cyg_net_node(cyg_net *n, cyg_op op, const char *name, const cyg_value_id *in,
                          uint32_t count);
cyg_node_id cyg_net_maker(const cyg_net *n, cyg_value_id v);
cyg_value_id cyg_net_reshape(cyg_net *n, const char *name, cyg_value_id x, int rank,
                             const int64_t *dims);
/* [batch, tokens, C] to [batch, C]. */
cyg_value_id cyg_net_mean_tokens(cyg_net *n, cyg_value_id x);
cyg_value_id cyg_net_add(cyg_net *n, const char *name, cyg_value_id a, cyg_value_id b);
cyg_value_id cyg_net_layer_norm(cyg_net *n, cyg_value_id x, cyg_slot slot, int64_t channels,
                                double eps);
typedef struct cyg_linear {
    int64_t in, out;
    bool bias;
    cyg_act act;
    cyg_value_id residual; /* or none */
} cyg_linear;
cyg_value_id cyg_net_linear(cyg_net *n, cyg_value_id x, cyg_slot slot, const cyg_linear *what);
/* The first linear of an MLP with its activation. */
cyg_value_id cyg_net_mlp_in(cyg_net *n, cyg_value_id x, cyg_slot slot, int64_t in, int64_t out);
/* x to [.., 3 width]: all of q, all of k, all of v, from one tensor or three. */
typedef struct cyg_qkv {
    int stage, block;
    int64_t in, width; /* width: heads times their size */
    bool key_bias;
} cyg_qkv;
cyg_value_id cyg_net_qkv(cyg_net *n, cyg_value_id x, const cyg_qkv *what);
typedef struct cyg_attention {
    int64_t heads, dim, tokens;
    float scale;
    bool cosine;
    cyg_value_id q, k;                               /* or none */
    cyg_value_id bias, mask_index, rows, head_scale; /* or none */
} cyg_attention;
/* On a fused qkv of 3 * heads * dim channels; q and k, where given, replace its first thirds. */
cyg_value_id cyg_net_attention(cyg_net *n, const char *name, cyg_value_id qkv,
                               const cyg_attention *what);
/* index: [count], -1 = zeros; in the graph's arena. */
cyg_value_id cyg_net_gather(cyg_net *n, const char *name, cyg_value_id x, int64_t rows_in,
                            const int64_t *index, int64_t count);
typedef struct cyg_patches {
    int64_t dim, size_h, size_w; /* of a patch */
    int64_t rows, columns;       /* of the grid */
} cyg_patches;
/* Sizes of the patch convolution and the picture's channels; of a tensor without a usable shape,
 * what its neighbours and the settings say, so that the rest can be looked at. */
cyg_status cyg_net_patch_sizes(cyg_net *n, int64_t usual_size,
                               cyg_patches *out_patches) CYG_MUST_USE;
/* pixel_values to [batch, rows, columns, D]: the input, the patch convolution. `pad`: pictures that
 * are no multiple of the patch are padded with zeros, else cut. Sets input; returns none on a
 * failure that is in status. */
cyg_value_id cyg_net_patches(cyg_net *n, bool pad, cyg_patches *patches);

/* ---- settings ---- */
/* Height and width, when the settings state them. */
cyg_status cyg_net_image_size(cyg_net *n, int64_t *out_height, int64_t *out_width,
                              bool *out_given) CYG_MUST_USE;
/* Norms' epsilon from settings, else preset. */
cyg_status cyg_net_eps(cyg_net *n, double preset, double *out_eps) CYG_MUST_USE;
/* Classes that the settings state; 0 = they do not. */
cyg_status cyg_net_classes(cyg_net *n, int64_t *out_classes) CYG_MUST_USE;

/* ---- families ---- */
/* Builds from input to the returned value: logits, or features when there is no head. */
cyg_status cyg_net_build_swin(cyg_net *n, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_net_build_vit(cyg_net *n, cyg_value_id *out_result) CYG_MUST_USE;
/* [.., C] to [.., classes], or x itself with a note when the checkpoint has no head. */
cyg_status cyg_net_head(cyg_net *n, cyg_value_id x, cyg_role role, int64_t channels,
                        cyg_value_id *out_result) CYG_MUST_USE;

#endif

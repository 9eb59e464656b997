/* Random networks at the level of kernel calls, strung together as real networks are. */
#ifndef CYG_TESTS_NPU_ZOO_H
#define CYG_TESTS_NPU_ZOO_H

#include "npu_zoo_steps.h"

static inline void zoo_begin(zoo *z, uint64_t seed)
{
    *z = (zoo){.r = {seed * 77 + 1}};
    cyg_arena_init(&z->arena);
}

static inline uint32_t zoo_input(zoo *z, int32_t type, int rank, const int64_t *dims)
{
    const uint32_t t = zoo_value(z, type, rank, dims);
    z->p.inputs = zoo_alloc(z, 8);
    z->p.inputs[0] = t;
    z->p.input_count = 1;
    z->p.tensors[t].kind = CYG_TENSOR_INPUT;
    return t;
}

/* Everything that no step reads leaves the program, as do the tensors given. */
static inline void zoo_end(zoo *z)
{
    z->p.outputs = zoo_alloc(z, 4 * z->p.tensor_count);
    for (uint32_t t = 0; t < z->p.tensor_count; t++) {
        bool read = z->p.tensors[t].kind != CYG_TENSOR_ARENA;
        for (uint32_t i = 0; i < z->p.step_count && !read; i++)
            for (uint32_t k = 0; k < z->p.steps[i].in_count; k++) {
                uint32_t in = z->p.steps[i].in[k];
                while (in != CYG_NO_TENSOR && z->p.tensors[in].kind == CYG_TENSOR_ALIAS)
                    in = (uint32_t)z->p.tensors[in].offset;
                read = read || in == t;
            }
        if (read)
            continue;
        z->p.tensors[t].kind = CYG_TENSOR_OUTPUT;
        z->p.tensors[t].offset = z->p.output_count;
        z->p.outputs[z->p.output_count++] = t;
    }
}

/* Convolutions, pools, element-wise steps and moves on pictures, then a classifier. */
static inline void zoo_picture_net(zoo *z, uint64_t seed)
{
    zoo_begin(z, seed);
    const int64_t dims[] = {pick(z, 1, 3), pick(z, 5, 20), pick(z, 5, 20), pick(z, 1, 6)};
    uint32_t x = zoo_input(z, coin(z) ? CYG_TYPE_U8 : CYG_TYPE_S8, 4, dims);
    for (int i = 0; i < 7; i++) {
        const cyg_tensor t = z->p.tensors[x];
        const int64_t c = t.dims[3];
        switch (pick(z, 0, 9)) {
        case 0:
        case 1:
            x = zoo_conv(z, x, pick(z, 1, 70), 1, zoo_type(z), coin(z));
            break;
        case 2:
            x = zoo_conv(z, x, c, c, zoo_type(z), coin(z)); /* depthwise */
            break;
        case 3:
            x = c % 2 == 0 ? zoo_conv(z, x, 6 * pick(z, 1, 9), 2, zoo_type(z), false) : x;
            break;
        case 4:
            x = zoo_pool(z, x);
            break;
        case 5:
            x = zoo_eltwise_const(z, x);
            break;
        case 6:
            x = t.type == CYG_TYPE_U16 ? x : zoo_lut(z, x);
            break;
        case 7:
            x = coin(z) ? zoo_pad(z, x) : zoo_slice(z, x);
            break;
        case 8:
            x = coin(z) ? zoo_split_concat(z, x) : zoo_transpose(z, x);
            break;
        default:
            x = zoo_requant(z, x, zoo_type(z));
            break;
        }
    }
    if (coin(z) && z->p.tensors[x].dims[2] < 24)
        x = zoo_matmul(z, x);
    x = coin(z) ? zoo_reduce(z, x) : zoo_extreme(z, x);
    if (coin(z))
        x = zoo_reduce(z, zoo_expand(z, x));
    x = zoo_linear(z, x, pick(z, 2, 40), CYG_TYPE_F32, CYG_NO_TENSOR);
    zoo_end(z);
}

/* Blocks of attention and MLP with residuals, as transformers have them. */
static inline void zoo_token_net(zoo *z, uint64_t seed)
{
    zoo_begin(z, seed);
    const int64_t entries = pick(z, 1, 4), tokens = pick(z, 2, 12), heads = pick(z, 1, 3),
                  dim = 4 * pick(z, 1, 3), images = pick(z, 1, 2);
    const int64_t dims[] = {images, entries * tokens, pick(z, 3, 40)};
    uint32_t x = zoo_input(z, CYG_TYPE_U8, 3, dims);
    x = zoo_linear(z, x, heads * dim, CYG_TYPE_S16, CYG_NO_TENSOR);
    for (int i = 0; i < 2; i++) {
        uint32_t h = zoo_layernorm(z, x, coin(z) ? CYG_TYPE_U8 : CYG_TYPE_S8);
        h = zoo_attention(z, h, entries, heads, dim);
        x = zoo_linear(z, h, heads * dim, CYG_TYPE_S16, x);
        h = zoo_layernorm(z, x, CYG_TYPE_U8);
        h = zoo_linear(z, h, pick(z, 8, 90), coin(z) ? CYG_TYPE_U8 : CYG_TYPE_S16, CYG_NO_TENSOR);
        x = zoo_linear(z, h, heads * dim, CYG_TYPE_S16, x);
    }
    uint32_t y = coin(z) ? zoo_gather_rows(z, x) : zoo_gather(z, x);
    y = zoo_requant(z, y, CYG_TYPE_U8);
    const cyg_tensor t = z->p.tensors[y];
    const int64_t flat[] = {1, zoo_count(3, t.dims)};
    zoo_softmax(z, zoo_view(z, y, 2, flat));
    x = zoo_reduce(z, x);
    zoo_linear(z, x, 5, CYG_TYPE_F32, CYG_NO_TENSOR);
    zoo_end(z);
}

#endif

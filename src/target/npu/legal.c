/* What the NPU can do of a step, and in words why not. Everything that a family relies on is asked
 * here, so that a step that passes can always be cut into tiles. */
#include "target/npu/legal.h"

static const cyg_tensor *tensor(const cyg_program *p, uint32_t t)
{
    return t == CYG_NO_TENSOR ? NULL : &p->tensors[t];
}

static bool is_const(const cyg_program *p, uint32_t t)
{
    return t != CYG_NO_TENSOR && p->tensors[cyg_npu_owner(p, t)].kind == CYG_TENSOR_CONST;
}

static bool is_activation(int32_t type)
{
    return type == CYG_TYPE_U8 || type == CYG_TYPE_S8 || type == CYG_TYPE_U16 ||
           type == CYG_TYPE_S16;
}

/* ---- matrix steps
 * ---------------------------------------------------------------------------------------------- */

static const char *matrix(const cyg_program *p, const cyg_step *s, int64_t pixels)
{
    for (uint32_t i = CYG_NPU_W; i <= CYG_NPU_M; i++)
        if (!is_const(p, s->in[i]))
            return "its weights are not constants";
    if (is_const(p, s->in[CYG_NPU_X]))
        return "it multiplies two constants";
    if (s->in_count > CYG_NPU_W_HIGH && s->in[CYG_NPU_W_HIGH] != CYG_NO_TENSOR &&
        !is_const(p, s->in[CYG_NPU_W_HIGH]))
        return "its weights are not constants";
    const cyg_tensor *r =
        s->in_count > CYG_NPU_RESIDUAL ? tensor(p, s->in[CYG_NPU_RESIDUAL]) : NULL;
    if (r == NULL)
        return NULL;
    const int64_t n = p->tensors[s->in[CYG_NPU_W]].dims[0];
    const int64_t rows = cyg_tensor_elements(&p->tensors[s->out[0]]) / n,
                  r_rows = cyg_tensor_elements(r) / n;
    /* Bands of pictures: the residual is one row, one picture, or all of them. */
    if (pixels > 0 && r_rows != 1 && r_rows != rows && r_rows != pixels)
        return "its residual repeats inside a picture";
    return NULL;
}

static const char *linear(const cyg_program *p, const cyg_step *s)
{
    return matrix(p, s, 0);
}

static const char *conv2d(const cyg_program *p, const cyg_step *s)
{
    const cyg_kp_conv *q = &((const cyg_kp_iconv2d *)s->params)->geometry;
    const cyg_tensor *y = &p->tensors[s->out[0]];
    const int64_t high = (q->kh - 1) * q->dilation_h + 1;
    if (q->pad_t >= high || q->pad_b >= high)
        return "its padding is as large as its kernel";
    return matrix(p, s, y->dims[1] * y->dims[2]);
}

static const char *attention(const cyg_program *p, const cyg_step *s)
{
    for (uint32_t i = 3; i < s->in_count; i++)
        if (s->in[i] != CYG_NO_TENSOR && !is_const(p, s->in[i]))
            return "its tables are not constants";
    for (uint32_t i = 0; i < 3; i++) {
        if (is_const(p, s->in[i]))
            return "its q, k or v is a constant";
    }
    return NULL;
}

/* ---- rows and elements
 * ----------------------------------------------------------------------------------------- */

static const char *constant_rest(const cyg_program *p, const cyg_step *s)
{
    if (is_const(p, s->in[0]))
        return "it computes on a constant";
    for (uint32_t i = 1; i < s->in_count; i++)
        if (!is_const(p, s->in[i]))
            return "its tables are not constants";
    return NULL;
}

static const char *eltwise(const cyg_program *p, const cyg_step *s)
{
    const cyg_tensor *y = &p->tensors[s->out[0]];
    if (y->rank > CYG_NPU_RANK)
        return "it has more than six dimensions";
    return is_const(p, s->in[0]) && is_const(p, s->in[1]) ? "it computes on constants" : NULL;
}

static const char *requant(const cyg_program *p, const cyg_step *s)
{
    const int32_t x = p->tensors[s->in[0]].type, y = p->tensors[s->out[0]].type;
    if (!is_activation(x) && x != CYG_TYPE_F32 && x != CYG_TYPE_S32)
        return "its operand's type is not one of TENG's";
    if (!is_activation(y) && y != CYG_TYPE_F32)
        return "its result's type is not one of TENG's";
    return constant_rest(p, s);
}

static const char *pool(const cyg_program *p, const cyg_step *s)
{
    const cyg_kp_pool *q = &((const cyg_kp_ipool *)s->params)->geometry;
    const cyg_tensor *x = &p->tensors[s->in[0]], *y = &p->tensors[s->out[0]];
    const int64_t high = (q->kh - 1) * q->dilation_h + 1;
    if (q->pad_t < 0 || q->pad_b < 0 || q->pad_t >= high || q->pad_b >= high)
        return "its padding is negative, or as large as its window";
    if ((y->dims[1] - 1) * q->stride_h - q->pad_t >= x->dims[1])
        return "its last window lies outside the picture";
    return constant_rest(p, s);
}

/* ---- moves
 * ------------------------------------------------------------------------------------------------------
 */

static const char *copy(const cyg_program *p, const cyg_step *s)
{
    return is_const(p, s->in[0]) ? "it moves a constant" : NULL;
}

static const char *transpose(const cyg_program *p, const cyg_step *s)
{
    int64_t dims[CYG_MAX_RANK], strides[CYG_MAX_RANK];
    if (cyg_npu_transpose_axes(s->params, &p->tensors[s->in[0]], dims, strides) > CYG_NPU_RANK)
        return "it permutes more than six axes";
    return copy(p, s);
}

static const char *any_part(const cyg_program *p, const cyg_step *s)
{
    for (uint32_t i = 0; i < s->in_count; i++)
        if (!is_const(p, s->in[i]))
            return NULL;
    return p->step_count > 0 ? "it moves constants" : NULL;
}

static const char *slice(const cyg_program *p, const cyg_step *s)
{
    const cyg_kp_slice *q = s->params;
    const cyg_tensor *y = &p->tensors[s->out[0]];
    if (y->rank > CYG_NPU_RANK)
        return "it has more than six dimensions";
    for (int i = 0; i < y->rank; i++)
        if (y->dims[i] > 1 && q->step[i] < 1)
            return "it steps backwards";
    return copy(p, s);
}

static const char *by_index(const cyg_program *p, const cyg_step *s)
{
    if (!is_const(p, s->in[1]))
        return "its index is not a constant";
    return copy(p, s);
}

static const char *pad(const cyg_program *p, const cyg_step *s)
{
    const cyg_kp_pad *q = s->params;
    if (q->mode != 0)
        return "it pads with other values than one constant";
    if (p->tensors[s->out[0]].rank > CYG_NPU_RANK)
        return "it has more than six dimensions";
    if (s->in_count <= 1 || s->in[1] == CYG_NO_TENSOR)
        return copy(p, s);
    if (!is_const(p, s->in[1]))
        return "its value is not a constant";
    const cyg_tensor *y = &p->tensors[s->out[0]];
    const int64_t values = cyg_tensor_elements(&p->tensors[s->in[1]]);
    if (values != 1 && (y->rank == 0 || values != y->dims[y->rank - 1]))
        return "its values are neither one nor one for each position of the last axis";
    return copy(p, s);
}

static const char *matmul(const cyg_program *p, const cyg_step *s)
{
    return is_const(p, s->in[0]) && is_const(p, s->in[1]) ? "it multiplies two constants" : NULL;
}

/* Every repetition is a copy of its own. */
static const char *expand(const cyg_program *p, const cyg_step *s)
{
    enum { MOST_COPIES = 256 };
    const cyg_tensor *x = &p->tensors[s->in[0]], *y = &p->tensors[s->out[0]];
    if (y->rank > CYG_NPU_RANK)
        return "it has more than six dimensions";
    if (cyg_tensor_elements(y) / cyg_tensor_elements(x) > MOST_COPIES)
        return "it repeats more than 256 times";
    return copy(p, s);
}

/* ---- the table
 * -----------------------------------------------------------------------------------------------------
 */

static const struct {
    int32_t op;
    const char *(*refuses)(const cyg_program *, const cyg_step *);
    cyg_npu_family generate;
} families[] = {
    {CYG_KOP_i_linear, linear, cyg_npu_gen_linear},
    {CYG_KOP_i_conv2d, conv2d, cyg_npu_gen_conv2d},
    {CYG_KOP_i_attention, attention, cyg_npu_gen_attention},
    {CYG_KOP_i_layernorm, constant_rest, cyg_npu_gen_layernorm},
    {CYG_KOP_i_softmax, constant_rest, cyg_npu_gen_softmax},
    {CYG_KOP_i_reduce_mean, constant_rest, cyg_npu_gen_reduce},
    {CYG_KOP_i_reduce_max, constant_rest, cyg_npu_gen_extreme},
    {CYG_KOP_i_matmul, matmul, cyg_npu_gen_matmul},
    {CYG_KOP_expand, expand, cyg_npu_gen_expand},
    {CYG_KOP_i_eltwise, eltwise, cyg_npu_gen_eltwise},
    {CYG_KOP_i_requant, requant, cyg_npu_gen_requant},
    {CYG_KOP_i_lut8, constant_rest, cyg_npu_gen_lut},
    {CYG_KOP_i_lut16, constant_rest, cyg_npu_gen_lut},
    {CYG_KOP_i_pool2d, pool, cyg_npu_gen_pool},
    {CYG_KOP_copy, copy, cyg_npu_gen_copy},
    {CYG_KOP_transpose, transpose, cyg_npu_gen_transpose},
    {CYG_KOP_concat, any_part, cyg_npu_gen_concat},
    {CYG_KOP_split, copy, cyg_npu_gen_split},
    {CYG_KOP_slice, slice, cyg_npu_gen_slice},
    {CYG_KOP_gather, by_index, cyg_npu_gen_gather},
    {CYG_KOP_gather_rows, by_index, cyg_npu_gen_gather_rows},
    {CYG_KOP_pad, pad, cyg_npu_gen_pad},
};

cyg_npu_family cyg_npu_family_of(int32_t op)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (families[i].op == op)
            return families[i].generate;
    return NULL;
}

/* Quantisation of what the CPU or the caller has in float: done there, it moves a quarter of the
 * bytes, and the NPU takes in 8 bits as its networks do. */
static const char *refuse_entrance(const cyg_program *p, const cyg_step *s)
{
    const uint32_t x = cyg_npu_owner(p, s->in[0]);
    if (p->tensors[x].type != CYG_TYPE_F32)
        return NULL;
    for (uint32_t i = 0; &p->steps[i] != s; i++)
        for (uint32_t k = 0; k < p->steps[i].out_count; k++)
            if (cyg_npu_owner(p, p->steps[i].out[k]) == x && cyg_npu_refuses(p, i) == NULL)
                return NULL;
    return "it quantises floats that the CPU has: there it leaves a quarter of the bytes to move";
}

const char *cyg_npu_refuses(const cyg_program *p, uint32_t step)
{
    const cyg_step *s = &p->steps[step];
    size_t i = 0;
    while (i < sizeof families / sizeof families[0] && families[i].op != s->op)
        i++;
    if (i == sizeof families / sizeof families[0])
        return s->op < CYG_KOP_copy || s->op == CYG_KOP_quantize || s->op == CYG_KOP_dequantize
                   ? "it computes in float"
                   : "the NPU has no instruction for it";
    for (uint32_t k = 0; k < s->out_count; k++)
        if (cyg_tensor_elements(&p->tensors[s->out[k]]) == 0)
            return "its result is empty";
    for (uint32_t k = 0; k < s->in_count; k++)
        if (s->in[k] != CYG_NO_TENSOR && cyg_tensor_elements(&p->tensors[s->in[k]]) == 0)
            return "an operand is empty";
    const char *why = families[i].refuses(p, s);
    return why == NULL && s->op == CYG_KOP_i_requant ? refuse_entrance(p, s) : why;
}

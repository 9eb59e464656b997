/* Shared parts of the integer operators' validation: see check.h. */
#include "kernels/int/check.h"

#include <string.h>

const char *cyg_check_counts(const cyg_kcall *call, uint32_t min_in, uint32_t max_in)
{
    CYG_WANT(call->in_count >= min_in && call->in_count <= max_in, "wrong number of inputs");
    CYG_WANT(call->out_count == 1, "one output expected");
    for (uint32_t i = 0; i < call->in_count; i++)
        CYG_WANT(call->in[i].type == CYG_TYPE_NONE || cyg_elements(&call->in[i]) >= 0,
                 "an input's shape is out of range");
    CYG_WANT(cyg_elements(&call->out[0]) >= 0, "the output's shape is out of range");
    return NULL;
}

const char *cyg_check_constant(const cyg_kbuf *b, int32_t type, int64_t elements)
{
    CYG_WANT(b->type == type, "a constant has the wrong type");
    CYG_WANT(cyg_elements(b) == elements, "a constant has the wrong number of elements");
    CYG_WANT(b->is_const && (b->data != NULL || elements == 0), "an operand must be a constant");
    return NULL;
}

const char *cyg_check_bias(const cyg_kbuf *b, int32_t x_type, int64_t elements)
{
    const int64_t limit = (int64_t)1 << 52;
    CYG_WANT_OK(
        cyg_check_constant(b, cyg_is_16bit(x_type) ? CYG_TYPE_S64 : CYG_TYPE_S32, elements));
    for (int64_t i = 0; cyg_is_16bit(x_type) && i < elements; i++) {
        int64_t v;
        memcpy(&v, (const uint8_t *)b->data + 8 * i, sizeof v);
        CYG_WANT(v > -limit && v < limit, "a bias is 2^52 or more");
    }
    return NULL;
}

const char *cyg_check_sat(const cyg_isat *sat, int32_t y_type)
{
    int32_t lo = -32768, hi = 32767;
    if (y_type == CYG_TYPE_F32)
        return NULL;
    if (y_type == CYG_TYPE_U8 || y_type == CYG_TYPE_U16) {
        lo = 0;
        hi = y_type == CYG_TYPE_U8 ? 255 : 65535;
    } else if (y_type == CYG_TYPE_S8) {
        lo = -128;
        hi = 127;
    } else {
        CYG_WANT(y_type == CYG_TYPE_S16, "the output's type is not supported");
    }
    CYG_WANT(sat->zero >= lo && sat->zero <= hi, "the output's zero point is out of range");
    CYG_WANT(sat->lo >= -65535.0f && sat->hi <= 65535.0f && sat->lo <= sat->hi,
             "saturation limits are out of range");
    CYG_WANT((float)(int32_t)sat->lo == sat->lo && (float)(int32_t)sat->hi == sat->hi,
             "saturation limits are not whole numbers");
    CYG_WANT((int32_t)sat->lo + sat->zero >= lo && (int32_t)sat->hi + sat->zero <= hi,
             "saturation limits leave the output's type");
    return NULL;
}

const char *cyg_check_ilinear(const cyg_kp_ilinear *p, int32_t y_type, const cyg_kbuf *residual,
                              int64_t rows, int64_t columns)
{
    CYG_WANT(p->act >= 0 && p->act < CYG_ACT_COUNT, "unknown activation");
    CYG_WANT_OK(cyg_check_sat(&p->sat, y_type));
    if (residual == NULL)
        return NULL;
    const int64_t n = cyg_elements(residual);
    CYG_WANT(cyg_is_activation(residual->type), "the residual's type is not supported");
    CYG_WANT(rows * columns == 0 || (n > 0 && n % columns == 0 && rows % (n / columns) == 0),
             "the residual does not broadcast over leading rows");
    return NULL;
}

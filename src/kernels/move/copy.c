/* copy, fill, range: no geometry. Elements are 1, 2, 4 or 8 bytes wide and are moved as bytes. */
#include <string.h>

#include "kernels/number.h"

enum { PIECE = 16384 };

static int64_t items(const cyg_kcall *call)
{
    return cyg_div_up(cyg_count_of(&call->out[0]), PIECE);
}
static int64_t piece_end(const cyg_kcall *call, int64_t end)
{
    return cyg_min64(end * PIECE, cyg_count_of(&call->out[0]));
}

static const char *check_copy(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    CYG_REQUIRE(cyg_type_bytes(call->in[0].type) == cyg_type_bytes(call->out[0].type) &&
                    cyg_count_of(&call->in[0]) == cyg_count_of(&call->out[0]),
                "x and y differ in size");
    return NULL;
}

static void run_copy(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const int64_t size = cyg_type_bytes(call->out[0].type), from = begin * PIECE,
                  to = piece_end(call, end);
    if (call->out[0].data != call->in[0].data) /* the planner may have placed both at one address */
        memcpy((char *)call->out[0].data + from * size,
               (const char *)call->in[0].data + from * size, (size_t)((to - from) * size));
}

/* ---- fill ---- */

static const char *check_fill(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 0, 0, 1, 1);
    return NULL;
}

static void run_fill(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_fill *p = call->params;
    const int64_t size = cyg_type_bytes(call->out[0].type);
    char *y = call->out[0].data;
    uint8_t bytes[8]; /* low end first, as the machine stores it */
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(p->bits >> (8 * i));
    for (int64_t i = begin * PIECE; i < piece_end(call, end); i++)
        memcpy(y + i * size, bytes, (size_t)size);
}

/* ---- range: start + i * delta, in the element's own arithmetic ---- */

static const char *check_range(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 3, 3, 1, 1);
    for (int i = 0; i < 3; i++)
        CYG_REQUIRE(call->in[i].type == call->out[0].type && cyg_count_of(&call->in[i]) == 1,
                    "start, limit and delta are not one element of y's type");
    CYG_REQUIRE(call->out[0].type != CYG_TYPE_BOOL && call->out[0].type != CYG_TYPE_F16 &&
                    call->out[0].type != CYG_TYPE_BF16,
                "range of this type");
    return NULL;
}

static void run_range(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const int32_t type = call->out[0].type;
    const void *start = call->in[0].data, *delta = call->in[2].data;
    void *y = call->out[0].data;
    for (int64_t i = begin * PIECE; i < piece_end(call, end); i++) {
        if (type == CYG_TYPE_F32)
            ((float *)y)[i] = *(const float *)start + (float)i * *(const float *)delta;
        else if (type == CYG_TYPE_F64)
            ((double *)y)[i] = *(const double *)start + (double)i * *(const double *)delta;
        else
            cyg_store_int(y, type, i,
                          (int64_t)((uint64_t)cyg_load_int(start, type, 0) +
                                    (uint64_t)i * (uint64_t)cyg_load_int(delta, type, 0)));
    }
}

const cyg_kop_info cyg_kop_info_copy = {.name = "copy",
                                        .params_size = sizeof(cyg_kp_none),
                                        .check = check_copy,
                                        .items = items,
                                        .run = run_copy};
const cyg_kop_info cyg_kop_info_fill = {.name = "fill",
                                        .params_size = sizeof(cyg_kp_fill),
                                        .check = check_fill,
                                        .items = items,
                                        .run = run_fill};
const cyg_kop_info cyg_kop_info_range = {.name = "range",
                                         .params_size = sizeof(cyg_kp_none),
                                         .check = check_range,
                                         .items = items,
                                         .run = run_range};

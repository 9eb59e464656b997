/* trilu: the upper or lower triangle of the last two axes, the rest zero bytes. Any type.
 *
 * An item is a row of a matrix: row r keeps the columns from r + k on (upper) or up to r + k. */
#include <string.h>

#include "kernels/move/strided.h"

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(cyg_type_bytes(x->type) == cyg_type_bytes(y->type) && cyg_same_dims(x, y),
                "x and y differ");
    CYG_REQUIRE(x->rank >= 2, "trilu wants matrices");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    return cyg_rows_of(&call->out[0]);
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_trilu *p = call->params;
    const cyg_kbuf *y = &call->out[0];
    const int64_t n = cyg_row_length(y), height = y->dims[y->rank - 2];
    const int64_t size = cyg_type_bytes(y->type);
    /* Beyond the matrix every diagonal is the same; clamped, r + k cannot overflow. */
    const int64_t k = cyg_min64(cyg_max64(p->k, -height - 1), n + 1);
    for (int64_t row = begin; row < end; row++) {
        const int64_t diagonal = row % height + k;
        const int64_t from = p->upper != 0 ? cyg_min64(cyg_max64(diagonal, 0), n) : 0;
        const int64_t to = p->upper != 0 ? n : cyg_min64(cyg_max64(diagonal + 1, 0), n);
        const char *in = (const char *)call->in[0].data + row * n * size;
        char *out = (char *)y->data + row * n * size;
        memset(out, 0, (size_t)(from * size));
        memcpy(out + from * size, in + from * size, (size_t)((to - from) * size));
        memset(out + to * size, 0, (size_t)((n - to) * size));
    }
}

const cyg_kop_info cyg_kop_info_trilu = {.name = "trilu",
                                         .params_size = sizeof(cyg_kp_trilu),
                                         .check = check,
                                         .items = items,
                                         .run = run};

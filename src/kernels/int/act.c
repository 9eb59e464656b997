/* i_act: what i_linear and i_conv2d do behind g = f * M, for machines whose matrix engine leaves g
 * as f32 (i_linear with an f32 y and no activation): activation, scale, residual, saturation. The
 * epilogue kernel runs on g with M = 1, which changes no bit. */
#include <string.h>

#include "kernels/dispatch.h"
#include "kernels/int/arith.h"
#include "kernels/int/check.h"

enum { X, RESIDUAL };
enum {
    COLUMNS = 256,
    VECTOR = 16, /* elements of the widest vector */
    TAIL_ROWS = 32,
    ITEM = 16384, /* elements of an item, about */
};

typedef struct act_shape {
    int64_t rows, n, item_rows;
} act_shape;

static act_shape shape_of(const cyg_kcall *call)
{
    act_shape s = {.n = cyg_last_dim(&call->in[X])};
    s.rows = s.n > 0 ? cyg_elements(&call->in[X]) / s.n : 0;
    s.item_rows = s.n < ITEM ? ITEM / (s.n > 0 ? s.n : 1) : 1;
    return s;
}

static const char *check(const cyg_kcall *call)
{
    CYG_WANT_OK(cyg_check_counts(call, 1, 2));
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    CYG_WANT(x->type == CYG_TYPE_F32 && x->rank >= 1, "x must be f32 [.., N]");
    CYG_WANT(cyg_elements(x) == cyg_elements(y), "y has not as many elements as x");
    const act_shape s = shape_of(call);
    return cyg_check_ilinear(call->params, y->type, cyg_optional(call, RESIDUAL), s.rows, s.n);
}

static int64_t items(const cyg_kcall *call)
{
    const act_shape s = shape_of(call);
    return (s.rows + s.item_rows - 1) / s.item_rows;
}

/* Rows [row, row + count) x columns [c, c + columns) from x, `stride` elements apart. */
static void finish(const struct cyg_kernels *isa, const cyg_kcall *call, const act_shape *s,
                   const float *x, int64_t stride, int64_t row, int64_t count, int64_t c,
                   int64_t columns)
{
    const cyg_kbuf *r = cyg_optional(call, RESIDUAL), *y = &call->out[0];
    const int has_r = r != NULL && r->data != NULL;
    const int64_t r_bytes = has_r ? cyg_int_bytes(r->type) : 0, y_bytes = cyg_int_bytes(y->type);
    const int64_t r_row = has_r ? row % (cyg_elements(r) / s->n) : 0;
    float ones[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        ones[i] = 1.0f;
    isa->i_epilogue(call->params, CYG_TYPE_F32, x, stride, ones, count, columns,
                    has_r ? r->type : CYG_TYPE_NONE,
                    has_r ? (const uint8_t *)r->data + (r_row * s->n + c) * r_bytes : NULL,
                    s->n * r_bytes, y->type, (uint8_t *)y->data + (row * s->n + c) * y_bytes,
                    s->n * y_bytes);
}

/* The kernel reads whole vectors of sums: the columns that fill none go through a padded copy. */
static void finish_rows(const struct cyg_kernels *isa, const cyg_kcall *call, const act_shape *s,
                        int64_t row, int64_t count)
{
    const float *x = (const float *)call->in[X].data + row * s->n;
    const int64_t tail = s->n % VECTOR, whole = s->n - tail;
    for (int64_t c = 0; c < whole; c += COLUMNS)
        finish(isa, call, s, x + c, s->n, row, count, c, whole - c < COLUMNS ? whole - c : COLUMNS);
    for (int64_t i = 0; tail > 0 && i < count; i += TAIL_ROWS) {
        float padded[TAIL_ROWS][VECTOR] = {{0}};
        const int64_t rows = count - i < TAIL_ROWS ? count - i : TAIL_ROWS;
        for (int64_t k = 0; k < rows; k++)
            memcpy(padded[k], x + (i + k) * s->n + whole, (size_t)tail * 4);
        finish(isa, call, s, padded[0], VECTOR, row + i, rows, whole, tail);
    }
}

static void run_with(const struct cyg_kernels *isa, const cyg_kcall *call, int64_t begin,
                     int64_t end)
{
    const act_shape s = shape_of(call);
    const cyg_kbuf *r = cyg_optional(call, RESIDUAL);
    const int64_t last = end * s.item_rows < s.rows ? end * s.item_rows : s.rows;
    for (int64_t row = begin * s.item_rows; row < last;) {
        /* As many rows as the residual has behind this one: it repeats over leading rows. */
        int64_t count = last - row;
        if (r != NULL && r->data != NULL) {
            const int64_t r_rows = cyg_elements(r) / s.n;
            if (count > r_rows - row % r_rows)
                count = r_rows - row % r_rows;
        }
        finish_rows(isa, call, &s, row, count);
        row += count;
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    run_with(call->isa, call, begin, end);
}

/* The plain C epilogue is the specification's (rows_c.c). */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    run_with(cyg_kernels_for(0), call, begin, end);
}

const cyg_kop_info cyg_kop_info_i_act = {
    .name = "i_act",
    .params_size = sizeof(cyg_kp_ilinear),
    .check = check,
    .items = items,
    .run = run,
    .ref = ref,
};

/* The variants of a program: order and likeness. */
#include "format/variants.h"

#include <string.h>

/* Groups count from 0; in each the batches fall. */
static bool in_order(const cyg_program *p, const cyg_program *former)
{
    if (p->batch < 1 || p->batch > CYG_PACKAGE_MOST_BATCH)
        return false;
    if (former == NULL)
        return p->group == 0;
    return p->group == former->group ? p->batch < former->batch : p->group == former->group + 1;
}

/* A batch of several lies along dimension 0. */
static bool has_batch(const cyg_program *p, const cyg_tensor *t)
{
    return p->batch == 1 || (t->rank > 0 && t->dims[0] % p->batch == 0);
}

/* The same tensor for another batch; for another size, when any_size. */
static bool is_like(const cyg_program *p, const cyg_tensor *t, const cyg_program *first,
                    const cyg_tensor *like, bool any_size)
{
    if (t->type != like->type || t->rank != like->rank || t->zero_point != like->zero_point ||
        memcmp(&t->scale, &like->scale, sizeof t->scale) != 0)
        return false;
    if (any_size)
        return true;
    if (strcmp(t->name, like->name) != 0 ||
        (t->rank > 0 && t->dims[0] / p->batch != like->dims[0] / first->batch))
        return false;
    for (int k = 1; k < t->rank; k++)
        if (t->dims[k] != like->dims[k])
            return false;
    return true;
}

static bool are_like(const cyg_program *p, const uint32_t *ids, uint32_t count,
                     const cyg_program *first, const uint32_t *firsts, uint32_t first_count)
{
    if (count != first_count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const cyg_tensor *t = &p->tensors[ids[i]];
        if (!has_batch(p, t) ||
            !is_like(p, t, first, &first->tensors[firsts[i]], p->group != first->group))
            return false;
    }
    return true;
}

cyg_status cyg_package_check_variants(cyg_ctx *ctx, const char *path, const cyg_package *k)
{
    const cyg_program *first = &k->programs[0]; /* of the group, or of the package */
    for (uint32_t i = 0; i < k->program_count; i++) {
        const cyg_program *p = &k->programs[i];
        if (!in_order(p, i > 0 ? p - 1 : NULL))
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "%s: section \"program\" %u: group %u with batch %u is out of order",
                            path, i, p->group, p->batch);
        if (!are_like(p, p->inputs, p->input_count, first, first->inputs, first->input_count) ||
            !are_like(p, p->outputs, p->output_count, first, first->outputs, first->output_count))
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "%s: section \"program\" %u: its inputs and outputs are not those of "
                            "program %u at another size",
                            path, i, (unsigned)(first - k->programs));
        if (p->group != first->group)
            first = p;
    }
    return CYG_OK;
}

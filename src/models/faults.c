/* The lists of what does not fit.
 *
 * A message of the context is bounded, and so is each list: what no longer fits is counted. All
 * three lists together stay below the context's text. */
#include "models/faults.h"

#include "base/ctx.h"

enum { MOST_BYTES = CYG_CTX_TEXT / 4 };

/* Counts one more; false when there is no room to describe it. */
static bool add(cyg_fault_list *list)
{
    list->count++;
    if (list->text.len >= MOST_BYTES)
        return false;
    list->listed++;
    return true;
}

static void put_shape(cyg_strbuf *out, int rank, const int64_t *dims)
{
    cyg_strbuf_puts(out, "[");
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0)
            cyg_strbuf_puts(out, i > 0 ? ", any" : "any");
        else
            cyg_strbuf_printf(out, i > 0 ? ", %lld" : "%lld", (long long)dims[i]);
    cyg_strbuf_puts(out, "]");
}

void cyg_faults_add_shape(cyg_faults *f, const cyg_checkpoint_tensor *found, int rank,
                          const int64_t *dims)
{
    cyg_strbuf *out = &f->shapes.text;
    if (!add(&f->shapes))
        return;
    cyg_strbuf_printf(out, "\n  %.200s: expected ", found->name);
    put_shape(out, rank, dims);
    cyg_strbuf_puts(out, ", found ");
    put_shape(out, found->rank, found->dims);
}

void cyg_faults_add_missing(cyg_faults *f, const char *name, int rank, const int64_t *dims)
{
    if (!add(&f->missing))
        return;
    cyg_strbuf_printf(&f->missing.text, "\n  %.200s ", name);
    put_shape(&f->missing.text, rank, dims);
}

void cyg_faults_add_extra(cyg_faults *f, const cyg_checkpoint_tensor *found)
{
    if (!add(&f->extra))
        return;
    cyg_strbuf_printf(&f->extra.text, "\n  %.200s ", found->name);
    put_shape(&f->extra.text, found->rank, found->dims);
}

size_t cyg_faults_count(const cyg_faults *f)
{
    return f->shapes.count + f->missing.count + f->extra.count;
}

static void put_list(cyg_strbuf *out, const cyg_fault_list *list, const char *what,
                     const char *whose)
{
    if (list->count == 0)
        return;
    cyg_strbuf_printf(out, "\n%zu %s%s:%s", list->count, what, whose,
                      list->text.data != NULL ? list->text.data : "");
    if (list->count > list->listed)
        cyg_strbuf_printf(out, "\n  and %zu more", list->count - list->listed);
}

cyg_status cyg_faults_report(cyg_ctx *ctx, const cyg_faults *f, const char *title,
                             const char *taken_for)
{
    cyg_strbuf all = {0};
    if (cyg_faults_count(f) == 0)
        return CYG_OK;
    put_list(&all, &f->shapes, "of another shape", "");
    put_list(&all, &f->missing, "missing", "");
    put_list(&all, &f->extra, "unknown to ", title);
    const cyg_status st =
        CYG_FAIL(ctx, CYG_E_FORMAT, "taken for a %s, but %zu tensors do not fit:%s", taken_for,
                 cyg_faults_count(f), all.data != NULL ? all.data : "");
    cyg_strbuf_deinit(&all);
    return st;
}

void cyg_faults_deinit(cyg_faults *f)
{
    cyg_strbuf_deinit(&f->shapes.text);
    cyg_strbuf_deinit(&f->missing.text);
    cyg_strbuf_deinit(&f->extra.text);
}

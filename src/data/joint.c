/* Several inputs, one sample.
 *
 * The base name of a file is its name without folders and without the last suffix: "a/1.bin" goes
 * with "b/1.npy". Each source's base names are sorted once and looked up by binary search; of two
 * files with one base name in a source the first counts. */
#include "data/joint.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"

typedef struct named {
    const char *name; /* lent by the source */
    size_t length;    /* of the base name within it */
    size_t index;
} named;

struct cyg_joint {
    cyg_sample_source *sources;
    size_t inputs, count;
    size_t *table; /* [count, inputs]: index in each source */
};

static named base_name(const char *path, size_t index)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    return (named){base, dot != NULL && dot > base ? (size_t)(dot - base) : strlen(base), index};
}

static int compare_names(const named *a, const named *b)
{
    const size_t n = a->length < b->length ? a->length : b->length;
    const int order = memcmp(a->name, b->name, n);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int by_name(const void *left, const void *right)
{
    const named *a = left, *b = right;
    const int order = compare_names(a, b);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static named *sorted_names(const cyg_sample_source *source)
{
    named *names = malloc((source->count > 0 ? source->count : 1) * sizeof *names);
    if (names == NULL)
        return NULL;
    for (size_t i = 0; i < source->count; i++)
        names[i] = base_name(source->name(source->self, i), i);
    qsort(names, source->count, sizeof *names, by_name);
    return names;
}

/* Index in the source of the first file with this base name, or SIZE_MAX. */
static size_t look_up(const named *names, size_t count, const named *wanted)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_names(&names[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && compare_names(&names[low], wanted) == 0 ? names[low].index : SIZE_MAX;
}

static cyg_status match(cyg_ctx *ctx, cyg_joint *j, named **names, int64_t limit)
{
    const cyg_sample_source *first = &j->sources[0];
    size_t alone = 0;
    for (size_t i = 0; i < first->count && (limit < 0 || j->count < (size_t)limit); i++) {
        const named wanted = base_name(first->name(first->self, i), i);
        size_t *row = j->table + j->count * j->inputs;
        bool complete = true;
        row[0] = i;
        for (size_t k = 1; k < j->inputs && complete; k++) {
            row[k] = look_up(names[k], j->sources[k].count, &wanted);
            complete = row[k] != SIZE_MAX;
        }
        if (complete)
            j->count++;
        else if (alone++ == 0)
            cyg_note(ctx, "\"%.*s\" is not there for every input", (int)wanted.length, wanted.name);
    }
    if (alone > 0)
        cyg_warn(ctx, "%zu samples skipped: not every input has a file of their base name", alone);
    if (j->count == 0 && limit != 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "no base name is common to the %zu inputs' calibration data", j->inputs);
    return CYG_OK;
}

cyg_status cyg_joint_open(cyg_ctx *ctx, const cyg_sample_source *sources, size_t n, int64_t limit,
                          cyg_joint **out_joint)
{
    *out_joint = NULL;
    CYG_ASSERT(n > 0);
    cyg_status status = CYG_OK;
    named **names = calloc(n, sizeof(named *));
    cyg_joint *j = calloc(1, sizeof *j);
    bool ok = names != NULL && j != NULL;
    if (ok) {
        const size_t rows = sources[0].count > 0 ? sources[0].count : 1;
        j->inputs = n;
        j->sources = malloc(n * sizeof *j->sources);
        j->table = calloc(rows, n * sizeof *j->table);
        ok = j->sources != NULL && j->table != NULL;
    }
    if (ok) {
        memcpy(j->sources, sources, n * sizeof *sources);
        for (size_t k = 1; k < n && ok; k++) {
            names[k] = sorted_names(&sources[k]);
            ok = names[k] != NULL;
        }
    }
    status = ok ? match(ctx, j, names, limit)
                : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the calibration data");
    for (size_t k = 0; names != NULL && k < n; k++)
        free(names[k]);
    free(names);
    if (status != CYG_OK) {
        cyg_joint_close(j);
        return status;
    }
    *out_joint = j;
    return CYG_OK;
}

void cyg_joint_close(cyg_joint *j)
{
    if (j == NULL)
        return;
    free(j->sources);
    free(j->table);
    free(j);
}

static cyg_status source_get(cyg_ctx *ctx, void *self, size_t index, cyg_sample_tensor *out_tensors)
{
    cyg_joint *j = self;
    if (index >= j->count)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "sample %zu of %zu", index, j->count);
    for (size_t k = 0; k < j->inputs; k++)
        CYG_DO(j->sources[k].get(ctx, j->sources[k].self, j->table[index * j->inputs + k],
                                 &out_tensors[k]));
    return CYG_OK;
}

static const char *source_name(void *self, size_t index)
{
    const cyg_joint *j = self;
    return index < j->count ? j->sources[0].name(j->sources[0].self, j->table[index * j->inputs])
                            : "";
}

cyg_sample_source cyg_joint_source(cyg_joint *j)
{
    return (cyg_sample_source){.self = j,
                               .count = j->count,
                               .input_count = j->inputs,
                               .get = source_get,
                               .name = source_name};
}

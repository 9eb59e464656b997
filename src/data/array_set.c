/* Calibration arrays.
 *
 * Each file is one sample, read when asked for: nothing is kept, arrays may be large. The shape
 * must be the model input's; a missing or an additional batch axis of 1 is let through, since both
 * are what people save. Values are converted to float32, which is exact for float32 and float16
 * files and for integers up to 2^24. */
#include "data/array_set.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/ctx.h"
#include "io/archive.h"
#include "io/npy.h"
#include "io/npy_dict.h"

struct cyg_array_set {
    cyg_archive *archive;
    cyg_array_spec spec;
    size_t elements;
    size_t *members;
    size_t count;
    float *sample;
};

static bool has_suffix(const char *name, const char *suffix)
{
    const size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

/* The npy reader's name for an element type; false for types that no raw file holds. */
static bool npy_type_of(cyg_type type, cyg_npy_type *out)
{
    static const struct {
        cyg_type type;
        cyg_npy_type npy;
    } pairs[] = {
        {CYG_TYPE_F32, CYG_NPY_F32}, {CYG_TYPE_F16, CYG_NPY_F16}, {CYG_TYPE_F64, CYG_NPY_F64},
        {CYG_TYPE_U8, CYG_NPY_U8},   {CYG_TYPE_S8, CYG_NPY_I8},   {CYG_TYPE_U16, CYG_NPY_U16},
        {CYG_TYPE_S16, CYG_NPY_I16}, {CYG_TYPE_U32, CYG_NPY_U32}, {CYG_TYPE_S32, CYG_NPY_I32},
        {CYG_TYPE_U64, CYG_NPY_U64}, {CYG_TYPE_S64, CYG_NPY_I64}, {CYG_TYPE_BOOL, CYG_NPY_BOOL}};
    for (size_t i = 0; i < CYG_COUNT(pairs); i++) {
        if (pairs[i].type == type) {
            *out = pairs[i].npy;
            return true;
        }
    }
    return false;
}

static void print_shape(char *out, size_t size, size_t rank, const int64_t *dims)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (size_t i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
    if (n < size)
        snprintf(out + n, size - n, "]");
}

/* Equal but for leading axes of 1. */
static bool same_shape(size_t a_rank, const int64_t *a, size_t b_rank, const int64_t *b)
{
    for (; a_rank > 0 && a[0] == 1; a_rank--)
        a++;
    for (; b_rank > 0 && b[0] == 1; b_rank--)
        b++;
    return a_rank == b_rank && (a_rank == 0 || memcmp(a, b, a_rank * sizeof *a) == 0);
}

static cyg_status select_members(cyg_ctx *ctx, cyg_array_set *set, int64_t limit)
{
    const char *suffix = set->spec.format == CYG_ARRAY_BIN ? ".bin" : ".npy";
    const char *path = cyg_archive_path(set->archive);
    const size_t members = cyg_archive_count(set->archive);
    size_t others = 0;
    set->members = malloc((members > 0 ? members : 1) * sizeof *set->members);
    if (set->members == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < members && (limit < 0 || set->count < (size_t)limit); i++) {
        if (has_suffix(cyg_archive_name(set->archive, i), suffix))
            set->members[set->count++] = i;
        else
            others++;
    }
    if (set->count == 0 && limit != 0)
        return members == 0
                   ? CYG_FAIL(ctx, CYG_E_FORMAT, "%s: there are no files in it; put %s files there",
                              path, suffix)
                   : CYG_FAIL(ctx, CYG_E_FORMAT,
                              "%s: none of its %zu files ends in %s; pictures have the format "
                              "Image",
                              path, members, suffix);
    if (others > 0)
        cyg_warn(ctx, "%s: %zu files that do not end in %s skipped", path, others, suffix);
    if (limit > 0 && set->count < (size_t)limit)
        cyg_warn(ctx, "%s: %zu files found; calibration_size asks for %" PRId64, path, set->count,
                 limit);
    return CYG_OK;
}

cyg_status cyg_array_set_open(cyg_ctx *ctx, const char *path, const cyg_array_spec *spec,
                              int64_t limit, cyg_array_set **out_set)
{
    *out_set = NULL;
    cyg_npy_type type;
    size_t elements = 1, bytes;
    for (size_t i = 0; i < spec->rank; i++)
        if (spec->dims[i] < 1 || !cyg_mul_size(elements, (size_t)spec->dims[i], &elements))
            return CYG_FAIL(ctx, CYG_E_CONFIG, "%s: the input's shape is not known", path);
    if (!cyg_mul_size(elements, sizeof(float), &bytes) || bytes > CYG_ARCHIVE_LARGEST_MEMBER)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: samples of %zu elements are too large", path,
                        elements);
    if (spec->format == CYG_ARRAY_BIN && !npy_type_of(spec->type, &type))
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: raw files of this element type", path);
    cyg_array_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    set->spec = *spec;
    set->elements = elements;
    set->sample = malloc(bytes);
    cyg_status status =
        set->sample != NULL ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    if (status == CYG_OK)
        status = cyg_archive_open(ctx, path, &set->archive);
    if (status == CYG_OK)
        status = select_members(ctx, set, limit);
    if (status != CYG_OK) {
        cyg_array_set_close(set);
        return status;
    }
    *out_set = set;
    return CYG_OK;
}

void cyg_array_set_close(cyg_array_set *set)
{
    if (set == NULL)
        return;
    cyg_archive_close(set->archive);
    free(set->members);
    free(set->sample);
    free(set);
}

/* The array as the sample, if its shape is the input's. */
static cyg_status take_array(cyg_ctx *ctx, const cyg_array_set *set, const char *name,
                             const cyg_npy *array)
{
    const cyg_array_spec *spec = &set->spec;
    char want[160], got[160];
    if (same_shape(array->rank, array->dims, spec->rank, spec->dims)) {
        cyg_npy_to_f32(array, set->sample);
        return CYG_OK;
    }
    print_shape(want, sizeof want, spec->rank, spec->dims);
    print_shape(got, sizeof got, array->rank, array->dims);
    if (spec->format == CYG_ARRAY_NPY_DICT)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: \"%s\": the array \"%s\" has the shape %s, the input takes %s",
                        cyg_archive_path(set->archive), name, spec->key, got, want);
    return CYG_FAIL(
        ctx, CYG_E_FORMAT,
        "%s: \"%s\" has the shape %s, the input takes %s: save it in that shape, or leave it out",
        cyg_archive_path(set->archive), name, got, want);
}

static cyg_status take_raw(cyg_ctx *ctx, const cyg_array_set *set, const char *name,
                           const uint8_t *data, size_t size)
{
    cyg_npy array = {.data = data, .count = set->elements};
    if (!npy_type_of(set->spec.type, &array.type))
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "element type of a raw file");
    const size_t need = set->elements * cyg_npy_type_size(array.type);
    if (size != need)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: \"%s\" has %zu bytes, the input takes %zu",
                        cyg_archive_path(set->archive), name, size, need);
    cyg_npy_to_f32(&array, set->sample);
    return CYG_OK;
}

static cyg_status take_dict(cyg_ctx *ctx, const cyg_array_set *set, const char *name,
                            const uint8_t *data, size_t size)
{
    cyg_npy_dict dict;
    cyg_npy array;
    cyg_status status = cyg_npy_dict_parse(ctx, name, data, size, &dict);
    if (status == CYG_OK)
        status = cyg_npy_dict_find(ctx, name, &dict, set->spec.key, &array);
    if (status == CYG_OK)
        status = take_array(ctx, set, name, &array);
    cyg_npy_dict_deinit(&dict);
    return status;
}

/* The file's numbers as the sample, checked against the input. */
static cyg_status take(cyg_ctx *ctx, const cyg_array_set *set, const char *name,
                       const uint8_t *data, size_t size)
{
    cyg_npy array;
    if (set->spec.format == CYG_ARRAY_BIN)
        return take_raw(ctx, set, name, data, size);
    if (set->spec.format == CYG_ARRAY_NPY_DICT) {
        CYG_TRY(ctx, take_dict(ctx, set, name, data, size), "in %s",
                cyg_archive_path(set->archive));
        return CYG_OK;
    }
    CYG_TRY(ctx, cyg_npy_parse(ctx, name, data, size, &array), "in %s",
            cyg_archive_path(set->archive));
    return take_array(ctx, set, name, &array);
}

static cyg_status source_get(cyg_ctx *ctx, void *self, size_t index, cyg_sample_tensor *out_tensors)
{
    cyg_array_set *set = self;
    if (index >= set->count)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "sample %zu of %zu", index, set->count);
    const size_t member = set->members[index];
    uint8_t *data = NULL;
    size_t size = 0;
    CYG_DO(cyg_archive_read(ctx, set->archive, member, &data, &size));
    const cyg_status status = take(ctx, set, cyg_archive_name(set->archive, member), data, size);
    if (status == CYG_OK)
        out_tensors[0] = (cyg_sample_tensor){.data = set->sample, .count = set->elements};
    free(data);
    return status;
}

static const char *source_name(void *self, size_t index)
{
    const cyg_array_set *set = self;
    return index < set->count ? cyg_archive_name(set->archive, set->members[index]) : "";
}

cyg_sample_source cyg_array_set_source(cyg_array_set *set)
{
    return (cyg_sample_source){
        .self = set, .count = set->count, .input_count = 1, .get = source_get, .name = source_name};
}

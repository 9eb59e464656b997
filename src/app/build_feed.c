/* A calibration sample to what the package takes, along the very path that a deployment goes:
 * pixels where the package normalises, channels last where the build moved them. */
#include "app/build.h"
#include "app/encode.h"
#include "cygnet/runtime.h"

cyg_status cyg_build_feed_open(cyg_build *b, const cyg_model *model, cyg_build_feed *out_feed)
{
    size_t size;
    const char *text = cyg_model_meta(model, &size);
    *out_feed = (cyg_build_feed){.build = b};
    CYG_DO(cyg_meta_read(b->app, text, size, &out_feed->meta));
    out_feed->tensors =
        CYG_NEW_ARRAY(&b->app->arena, cyg_sample_tensor, (size_t)b->input_count + 1);
    if (b->inputs[0].is_image)
        out_feed->pixels =
            cyg_arena_alloc(&b->app->arena, cyg_preprocess_count(&out_feed->meta.preprocess), 64);
    if ((b->inputs[0].is_image && out_feed->pixels == NULL) || out_feed->tensors == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    return CYG_OK;
}

/* A sample's values to an input of the package: floats, or codes of them. */
static cyg_status feed_array(const cyg_build *b, uint32_t index, const cyg_sample_tensor *values,
                             void *out)
{
    const cyg_tensor *t = &b->program.tensors[b->program.inputs[index]];
    const size_t count = values->count;
    cyg_quant_source source;
    cyg_build_source_of(&b->inputs[index], &source);
    if (t->type != (int32_t)source.type ||
        cyg_tensor_bytes(t) != count * cyg_type_size(source.type))
        return CYG_FAIL(&b->app->ctx, CYG_E_INTERNAL,
                        "input \"%s\" of the package differs from the model's", t->name);
    const bool nhwc =
        t->rank == 4 && b->inputs[index].config.processor.src_layout == CYG_CONFIG_LAYOUT_NHWC;
    const size_t channels = nhwc ? (size_t)t->dims[3] : 1;
    const size_t plane = nhwc ? (size_t)(t->dims[1] * t->dims[2]) : count;
    const size_t image = channels * plane;
    for (size_t i = 0; i < count; i++) {
        const size_t at = i % image, to = i - at + at % plane * channels + at / plane;
        cyg_encode(source.type, source.scale, source.zero_point, (double)values->data[i], out, to);
    }
    return CYG_OK;
}

cyg_status cyg_build_feed_values(cyg_build_feed *f, const cyg_sample_tensor *values,
                                 void *const *inputs)
{
    cyg_build *b = f->build;
    if (f->pixels != NULL)
        return cyg_meta_feed_array(b->app, &f->meta, b->inputs[0].name, values[0].data,
                                   values[0].count, inputs[0], cyg_meta_input_bytes(&f->meta));
    for (uint32_t i = 0; i < b->input_count; i++)
        CYG_DO(feed_array(b, i, &values[i], inputs[i]));
    return CYG_OK;
}

cyg_status cyg_build_feed_sample(cyg_build_feed *f, size_t sample, void *const *inputs)
{
    cyg_build *b = f->build;
    cyg_ctx *ctx = &b->app->ctx;
    if (f->pixels != NULL && !b->inputs[0].from_arrays) { /* then there is one input */
        CYG_DO(cyg_build_pixels(b, sample, f->pixels));
        cyg_meta_feed_pixels(&f->meta, f->pixels, inputs[0]);
        return CYG_OK;
    }
    CYG_DO(b->samples.get(ctx, b->samples.self, sample, f->tensors));
    return cyg_build_feed_values(f, f->tensors, inputs);
}

/* The golden check: the calibration samples go through the finished package, along the very path
 * that a deployment takes (pixels, preprocessing, runtime), and the result is compared with what
 * the float model gave for them. A collapse is an error, not a surprise on the board. */
#include <stdlib.h>
#include <string.h>

#include "app/build.h"
#include "app/similarity.h"
#include "cygnet/runtime.h"

static const double warn_below_db = 10.0;

/* A sample's values to a float input of the package, channels last where the build moved them. */
static cyg_status feed_array(cyg_build *b, const cyg_model *model, uint32_t index,
                             const cyg_sample_tensor *values, float *out)
{
    cyg_tensor_info info = {.struct_size = sizeof info};
    CYG_DO(cyg_app_rt(b->app, cyg_model_input_info(model, index, &info)));
    const size_t count = values->count;
    if (info.type != CYG_TYPE_F32 || info.bytes != count * sizeof *out)
        return CYG_FAIL(&b->app->ctx, CYG_E_INTERNAL,
                        "input \"%s\" of the package differs from the model's", info.name);
    const bool nhwc =
        info.rank == 4 && b->inputs[index].config.processor.src_layout == CYG_CONFIG_LAYOUT_NHWC;
    const size_t channels = nhwc ? (size_t)info.dims[3] : 1;
    const size_t plane = nhwc ? (size_t)(info.dims[1] * info.dims[2]) : count;
    const size_t image = channels * plane;
    for (size_t i = 0; i < count; i++) {
        const size_t at = i % image;
        out[i - at + at % plane * channels + at / plane] = values->data[i];
    }
    return CYG_OK;
}

static cyg_status feed(cyg_build *b, const cyg_model *model, cyg_session *session,
                       const cyg_package_meta *meta, size_t sample, cyg_sample_tensor *tensors,
                       uint8_t *pixels)
{
    cyg_ctx *ctx = &b->app->ctx;
    if (pixels != NULL) { /* then there is one input */
        CYG_DO(cyg_build_pixels(b, sample, pixels));
        cyg_meta_feed_pixels(meta, pixels, cyg_session_input(session, 0));
        return CYG_OK;
    }
    CYG_DO(b->samples.get(ctx, b->samples.self, sample, tensors));
    for (uint32_t i = 0; i < b->input_count; i++)
        CYG_DO(feed_array(b, model, i, &tensors[i], cyg_session_input(session, i)));
    return CYG_OK;
}

static cyg_status compare(cyg_build *b, const cyg_model *model, cyg_session *session,
                          cyg_similarity *out)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_package_meta meta;
    size_t size;
    const char *text = cyg_model_meta(model, &size);
    CYG_DO(cyg_meta_read(b->app, text, size, &meta));
    uint8_t *pixels =
        b->inputs[0].is_image
            ? cyg_arena_alloc(&b->app->arena, cyg_preprocess_count(&meta.preprocess), 64)
            : NULL;
    cyg_sample_tensor *tensors =
        CYG_NEW_ARRAY(&b->app->arena, cyg_sample_tensor, (size_t)b->input_count + 1);
    if ((b->inputs[0].is_image && pixels == NULL) || tensors == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < b->golden.samples; i++) {
        cyg_progress(ctx, "check", (int64_t)i, (int64_t)b->golden.samples);
        CYG_DO(cyg_ctx_check_cancelled(ctx));
        CYG_DO(feed(b, model, session, &meta, i, tensors, pixels));
        CYG_DO(cyg_app_rt(b->app, cyg_session_run(session)));
        cyg_similarity_add(out, b->golden.data + i * b->golden.count,
                           cyg_session_output(session, 0), b->golden.count);
    }
    cyg_progress(ctx, "check", (int64_t)b->golden.samples, (int64_t)b->golden.samples);
    return CYG_OK;
}

static cyg_status judge(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_golden_result *r = &b->check;
    const double limit = b->config.quant.min_sqnr_db;
    if (limit > 0 && !(r->sqnr_db >= limit))
        return CYG_FAIL(ctx, CYG_E_CHECK,
                        "golden check failed: the integer model differs from the float one by SQNR "
                        "%.1f dB (at least %.1f asked; cosine %.4f, same "
                        "top-1 on %.0f of %zu calibration samples). Check mean, std and colour "
                        "order of the calibration data first; "
                        "--quant.min_sqnr_db 0 builds nevertheless",
                        r->sqnr_db, limit, r->cosine, r->agreement * (double)r->samples,
                        r->samples);
    if (!(r->sqnr_db >= warn_below_db))
        cyg_warn(ctx,
                 "SQNR %.1f dB against float is low (cosine %.4f): evaluate the package on "
                 "labelled data before you ship it",
                 r->sqnr_db, r->cosine);
    return CYG_OK;
}

cyg_status cyg_build_golden_check(cyg_build *b, const char *package_path)
{
    cyg_model *model = NULL;
    cyg_session *session = NULL;
    cyg_session_options options;
    cyg_similarity similarity = {0};
    cyg_session_options_init(&options);
    options.patient = 1; /* takes turns with the float model and the decoder */
    options.threads = cyg_pool_threads(b->app->ctx.pool);
    cyg_status status = cyg_app_rt(b->app, cyg_model_open(package_path, &model));
    if (status == CYG_OK)
        status = cyg_app_rt(b->app, cyg_session_create(model, &options, &session));
    if (status == CYG_OK) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        status = cyg_app_rt(b->app, cyg_model_output_info(model, 0, &info));
        if (status == CYG_OK &&
            (info.type != CYG_TYPE_F32 || info.bytes != b->golden.count * sizeof(float)))
            status = CYG_FAIL(&b->app->ctx, CYG_E_INTERNAL,
                              "output \"%s\" of the package differs in shape from the model's",
                              info.name);
    }
    if (status == CYG_OK)
        status = compare(b, model, session, &similarity);
    if (status == CYG_OK) {
        b->check = (cyg_golden_result){true, similarity.rows, cyg_similarity_sqnr_db(&similarity),
                                       cyg_similarity_cosine(&similarity),
                                       cyg_similarity_agreement(&similarity)};
        status = judge(b);
    }
    cyg_session_destroy(session);
    cyg_model_close(model);
    return status;
}

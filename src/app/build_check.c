/* The golden check: the calibration samples go through the finished package, along the very path
 * that a deployment takes (pixels, preprocessing, runtime), and the result is compared with what
 * the float model gave for them. A collapse is an error, not a surprise on the board. */
#include <string.h>

#include "app/build.h"
#include "app/similarity.h"
#include "cygnet/runtime.h"

static const double warn_below_db = 10.0;

static cyg_status keep(cyg_build *b, cyg_session *session, uint32_t count, bool is_output,
                       void ***out)
{
    void **kept = CYG_NEW_ARRAY(&b->app->arena, void *, (size_t)count + 1);
    cyg_tensor_info info = {.struct_size = sizeof info};
    for (uint32_t i = 0; kept != NULL && i < count; i++) {
        CYG_DO(cyg_app_rt(b->app, is_output ? cyg_session_output_info(session, i, &info)
                                            : cyg_session_input_info(session, i, &info)));
        const void *data =
            is_output ? cyg_session_output(session, i) : cyg_session_input(session, i);
        kept[i] = cyg_arena_alloc(&b->app->arena, info.bytes + 1, 64);
        if (kept[i] == NULL)
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
        memcpy(kept[i], data, info.bytes);
    }
    *out = kept;
    return kept != NULL ? CYG_OK : CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
}

/* The run just made, for those that look at it later. */
static cyg_status keep_run(cyg_build *b, cyg_session *session)
{
    CYG_DO(keep(b, session, b->program.input_count, false, &b->first_run.inputs));
    return keep(b, session, b->program.output_count, true, &b->first_run.outputs);
}

static cyg_status compare(cyg_build *b, const cyg_model *model, cyg_session *session,
                          cyg_similarity *out)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_build_feed feed;
    void **inputs = CYG_NEW_ARRAY(&b->app->arena, void *, (size_t)b->input_count + 1);
    float *values = CYG_NEW_ARRAY(&b->app->arena, float, b->golden.count + 1);
    cyg_tensor_info info = {.struct_size = sizeof info};
    if (inputs == NULL || values == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_app_rt(b->app, cyg_session_output_info(session, 0, &info)));
    for (uint32_t i = 0; i < b->input_count; i++)
        inputs[i] = cyg_session_input(session, i);
    CYG_DO(cyg_build_feed_open(b, model, &feed));
    for (size_t i = 0; i < b->golden.samples; i++) {
        cyg_progress(ctx, "check", (int64_t)i, (int64_t)b->golden.samples);
        CYG_DO(cyg_ctx_check_cancelled(ctx));
        CYG_DO(cyg_build_feed_sample(&feed, i, inputs));
        CYG_DO(cyg_app_rt(b->app, cyg_session_run(session)));
        if (i == 0)
            CYG_DO(keep_run(b, session));
        cyg_build_take_output(b, &info, cyg_session_output(session, 0), values);
        cyg_similarity_add(out, b->golden.data + i * b->golden.count, values, b->golden.count);
    }
    cyg_progress(ctx, "check", (int64_t)b->golden.samples, (int64_t)b->golden.samples);
    return CYG_OK;
}

static cyg_status judge(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_golden_result *r = &b->check;
    const double limit = b->config.quant.min_sqnr_db;
    const bool fails = limit > 0 && !(r->sqnr_db >= limit);
    if (!fails && r->sqnr_db >= warn_below_db)
        return CYG_OK;
    cyg_status status = CYG_OK;
    cyg_strbuf advice = {0};
    cyg_build_advise(b, &advice);
    const char *why = advice.data != NULL ? advice.data : "";
    if (fails)
        status = CYG_FAIL(ctx, CYG_E_CHECK,
                          "golden check failed: the integer model differs from the float one by "
                          "SQNR %.1f dB (at least %.1f asked; cosine %.4f, same top-1 on %.0f of "
                          "%zu calibration samples). Check mean, std and colour order of the "
                          "calibration data first%s%s; --quant.min_sqnr_db 0 builds nevertheless",
                          r->sqnr_db, limit, r->cosine, r->agreement * (double)r->samples,
                          r->samples, why[0] != '\0' ? "; " : "", why);
    else
        cyg_warn(ctx,
                 "SQNR %.1f dB against float is low (cosine %.4f): %s%sevaluate the package on "
                 "labelled data before you ship it",
                 r->sqnr_db, r->cosine, why, why[0] != '\0' ? "; " : "");
    cyg_strbuf_deinit(&advice);
    return status;
}

cyg_status cyg_build_golden_check(cyg_build *b, const cyg_model *model)
{
    cyg_session *session = NULL;
    cyg_session_options options;
    cyg_similarity similarity = {0};
    cyg_session_options_init(&options);
    options.threads = cyg_pool_threads(b->app->ctx.pool);
    options.batch = 1;
    cyg_status status = cyg_app_rt(b->app, cyg_session_create(model, &options, &session));
    if (status == CYG_OK) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        status = cyg_app_rt(b->app, cyg_session_output_info(session, 0, &info));
        if (status == CYG_OK && info.bytes != b->golden.count * cyg_type_size((cyg_type)info.type))
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
    if (status == CYG_OK)
        status = cyg_build_check_variants(b, model, session);
    if (status == CYG_OK)
        status = cyg_build_check_groups(b, model);
    cyg_session_destroy(session);
    return status;
}

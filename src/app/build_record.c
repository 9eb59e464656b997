/* What a build leaves beside the package: META inside it, build_context.json (the merged
 * configuration with origins, stages, figures), and
 * report.json with its page. META holds nothing that changes between two builds of the same inputs.
 */
#include <stdlib.h>
#include <string.h>

#include "app/build_mixed.h"
#include "app/build_npu.h"
#include "kernels/call.h"
#include "format/package.h"
#include "report/report.h"

static void write_check(const cyg_build *b, cyg_json *j)
{
    cyg_json_begin_object(j);
    cyg_json_key_int(j, "samples", (int64_t)b->check.samples);
    cyg_json_key_double(j, "sqnr_db", b->check.sqnr_db);
    cyg_json_key_double(j, "cosine", b->check.cosine);
    cyg_json_key_double(j, "agreement", 100.0 * b->check.agreement);
    cyg_json_end_object(j);
}

/* The package names what its bytes depend on. The config file is not among that: its values are,
 * however they were given, and two spellings of one configuration make the same package. */
static void write_files(const cyg_build *b, bool with_config, cyg_json *j)
{
    cyg_json_begin_array(j);
    for (size_t i = 0; i < b->file_count; i++) {
        if (!with_config && strcmp(b->files[i].role, "config") == 0)
            continue;
        cyg_json_begin_object(j);
        cyg_json_key_string(j, "role", b->files[i].role);
        cyg_json_key_string(j, "path", b->files[i].name);
        cyg_json_key_string(j, "sha256", b->files[i].sha256);
        cyg_json_key_int(j, "bytes", (int64_t)b->files[i].bytes);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
}

/* ---- META
 * ----------------------------------------------------------------------------------------------------
 */

static void write_meta_input(const cyg_build *b, cyg_json *j)
{
    const cyg_build_input *in = &b->inputs[0];
    const cyg_config_input_processor *c = &in->config.processor;
    const bool bgr = c->src_format == CYG_CONFIG_COLOR_AutoColorSpace
                         ? in->preprocess.order == CYG_ORDER_BGR
                         : c->src_format == CYG_CONFIG_COLOR_BGR;
    cyg_quant_source s;
    cyg_build_source_of(in, &s);
    const bool codes = s.scale < 1.0f || s.scale > 1.0f || s.zero_point != 0;
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "dtype", cyg_type_name(s.type));
    if (codes) {
        cyg_json_key_double(j, "scale", (double)s.scale);
        cyg_json_key_int(j, "zero_point", s.zero_point);
    }
    cyg_json_key_string(j, "layout", s.nhwc ? "NHWC" : "NCHW");
    if (s.yuv != CYG_YUV_NONE) {
        cyg_json_key(j, "csc");
        cyg_json_begin_inline_array(j);
        for (int i = 0; i < 12; i++)
            cyg_json_double(j, s.csc[i]);
        cyg_json_end_array(j);
    }
    cyg_json_key_string(j, "format",
                        s.yuv != CYG_YUV_NONE                    ? cyg_yuv_name(s.yuv)
                        : in->preprocess.order == CYG_ORDER_GRAY ? "GRAY"
                        : bgr                                    ? "BGR"
                                                                 : "RGB");
    cyg_json_key_bool(j, "normalized", in->preprocess.normalize && !b->quant_normalize.enabled);
    cyg_json_end_object(j);
}

/* Sizes and batches, in the order of the programs. */
static void write_variants(const cyg_build *b, cyg_json *j)
{
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i < b->program_count; i++) {
        const cyg_program *p = &b->programs[i];
        cyg_json_begin_object(j);
        cyg_json_key_int(j, "group", p->group);
        cyg_json_key_int(j, "batch", p->batch);
        cyg_json_key(j, "shapes");
        cyg_json_begin_object(j);
        for (uint32_t k = 0; k < p->input_count; k++) {
            const cyg_tensor *t = &p->tensors[p->inputs[k]];
            cyg_json_key_ints(j, t->name, t->dims, (size_t)t->rank);
        }
        cyg_json_end_object(j);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
}

/* What an earlier build says of the package, with the sizes and batches of this one. */
static void write_stored_meta(const cyg_build *b, cyg_strbuf *out)
{
    static const char none[] = "\"variants\": []";
    const char *at = strstr(b->stored_meta, none);
    cyg_json j;
    if (at == NULL) {
        cyg_strbuf_puts(out, b->stored_meta);
        return;
    }
    cyg_strbuf_add(out, b->stored_meta, (size_t)(at - b->stored_meta));
    cyg_strbuf_puts(out, "\"variants\": ");
    cyg_json_init(&j, out, 0);
    write_variants(b, &j);
    cyg_strbuf_puts(out, at + sizeof none - 1);
}

void cyg_build_write_meta(cyg_build *b, cyg_strbuf *out)
{
    if (b->stored_meta != NULL) {
        write_stored_meta(b, out);
        return;
    }
    const cyg_build_input *in = &b->inputs[0];
    cyg_json j;
    cyg_json_init(&j, out, 0);
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "cygnet", CYG_VERSION);
    cyg_json_key_string(&j, "kind", b->npu != NULL ? "npu" : "cpu");
    cyg_json_key(&j, "files");
    write_files(b, false, &j);
    cyg_json_key(&j, "preprocess");
    if (in->is_image)
        cyg_preprocess_write(&in->preprocess, &j);
    else
        cyg_json_null(&j);
    cyg_json_key(&j, "input");
    write_meta_input(b, &j);
    cyg_json_key(&j, "variants");
    write_variants(b, &j);
    cyg_json_key(&j, "labels");
    if (in->label_count > 0) {
        cyg_json_begin_array(&j);
        for (size_t i = 0; i < in->label_count; i++)
            cyg_json_string(&j, in->labels[i]);
        cyg_json_end_array(&j);
    } else {
        cyg_json_null(&j);
    }
    cyg_json_key(&j, "calibration");
    cyg_json_begin_object(&j);
    cyg_json_key_int(&j, "samples", (int64_t)b->quantised.samples);
    cyg_json_key_string(&j, "method",
                        cyg_config_enum_method.names[b->config.quant.calibration_method]);
    cyg_json_end_object(&j);
    cyg_json_end_object(&j);
}

cyg_status cyg_build_write_package(cyg_build *b, const char *path)
{
    cyg_strbuf meta = {0};
    cyg_build_write_meta(b, &meta);
    const cyg_status status = meta.failed ? CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory")
                                          : cyg_package_write(&b->app->ctx, path, b->programs,
                                                              b->program_count, meta.data);
    cyg_strbuf_deinit(&meta);
    return status;
}

const char *cyg_build_target(const cyg_build *b)
{
    return b->npu == NULL ? "CPU" : b->npu->options.machine.chip;
}

/* ---- build_context.json
 * ------------------------------------------------------------------------------------------ */

static void write_stages(const cyg_build *b, cyg_json *j)
{
    cyg_json_begin_array(j);
    for (size_t i = 0; i < b->stage_count; i++) {
        cyg_json_begin_object(j);
        cyg_json_key_string(j, "name", b->stages[i].name);
        cyg_json_key_double(j, "seconds", b->stages[i].seconds);
        cyg_json_key_double(j, "cpu_seconds", b->stages[i].cpu_seconds);
        cyg_json_key_int(j, "peak_rss_bytes", (int64_t)b->stages[i].peak_rss_bytes);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
}

/* What each correction gained on its layer, in dB of error. */
static void write_corrections(const cyg_build *b, cyg_json *j)
{
    cyg_json_begin_array(j);
    for (size_t i = 0; i < b->quantised.gain_count; i++) {
        const cyg_quant_gain *g = &b->quantised.gains[i];
        cyg_json_begin_object(j);
        cyg_json_key_string(j, "kind", g->kind);
        cyg_json_key_string(j, "layer", g->node);
        cyg_json_key_double(j, "gain_db", cyg_quant_gain_db(g));
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
}

void cyg_build_write_context(cyg_build *b, cyg_strbuf *out)
{
    cyg_json j;
    cyg_json_init(&j, out, 2);
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "cygnet", CYG_VERSION);
    cyg_json_key_string(&j, "target", cyg_build_target(b));
    cyg_json_key(&j, "config");
    cyg_config_write(&j, &cyg_config_message_build, &b->config);
    cyg_json_key(&j, "origins");
    cyg_config_write_origins(&j, &cyg_config_message_build, &b->config);
    cyg_json_key(&j, "files");
    write_files(b, true, &j);
    cyg_json_key(&j, "stages");
    write_stages(b, &j);
    cyg_json_key_double(&j, "seconds", cyg_seconds() - b->start);
    cyg_json_key_int(&j, "peak_rss_bytes", (int64_t)cyg_peak_rss_bytes());
    cyg_json_key_int(&j, "source_nodes", b->source.info.nodes);
    cyg_json_key_int(&j, "optimised_nodes", b->optimised.nodes_after);
    cyg_json_key_int(&j, "fused_steps", (int64_t)b->compiled.steps);
    cyg_json_key_int(&j, "macs", b->compiled.macs);
    cyg_json_key_int(&j, "weights_bytes", (int64_t)b->compiled.weight_bytes);
    cyg_json_key_int(&j, "arena_bytes", (int64_t)b->compiled.arena_bytes);
    cyg_json_key_int(&j, "quantised_ops", b->quantised.integer_nodes);
    cyg_json_key_int(&j, "float_ops", b->quantised.float_nodes);
    if (b->npu != NULL)
        cyg_build_npu_write(b, &j);
    cyg_json_key(&j, "layer_configs");
    cyg_build_write_matches(b, &j);
    cyg_json_key(&j, "mixed_precision");
    cyg_mixed_write(b, &j);
    cyg_json_key(&j, "corrections");
    write_corrections(b, &j);
    cyg_json_key_double(&j, "sqnr_db", b->check.sqnr_db);
    cyg_json_key_double(&j, "cosine", b->check.cosine);
    cyg_json_key_double(&j, "agreement", 100.0 * b->check.agreement);
    cyg_json_end_object(&j);
    cyg_strbuf_puts(out, "\n");
}

/* ---- report.json
 * ----------------------------------------------------------------------------------------------------
 */

static void write_step(const cyg_build *b, cyg_json *j, uint32_t index)
{
    const cyg_step *s = &b->program.steps[index];
    const cyg_tensor *y = &b->program.tensors[s->out[0]];
    uint64_t weights = 0;
    for (uint32_t i = 0; i < s->in_count; i++)
        if (s->in[i] != CYG_NO_TENSOR && b->program.tensors[s->in[i]].kind == CYG_TENSOR_CONST)
            weights += cyg_tensor_bytes(&b->program.tensors[s->in[i]]);
    cyg_json_begin_object(j);
    cyg_json_key_int(j, "index", index);
    cyg_json_key_string(j, "name", s->name);
    cyg_json_key_string(j, "kernel", cyg_kop_info_of(s->op)->name);
    cyg_json_key_ints(j, "shape", y->dims, (size_t)y->rank);
    cyg_json_key_string(j, "type", cyg_type_name((cyg_type)y->type));
    cyg_json_key_int(j, "macs", s->macs);
    cyg_json_key_int(j, "weight_bytes", (int64_t)weights);
    cyg_json_key_int(j, "out_bytes", (int64_t)cyg_tensor_bytes(y));
    cyg_json_key_string(j, "sources", s->sources);
    cyg_json_end_object(j);
}

static cyg_status write_report(const cyg_build *b, cyg_strbuf *out)
{
    cyg_json j;
    cyg_json_init(&j, out, 1);
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "cygnet", CYG_VERSION);
    cyg_json_key_string(&j, "command", b->command_line);
    cyg_json_key_string(&j, "target", cyg_build_target(b));
    cyg_json_key(&j, "stages");
    write_stages(b, &j);
    cyg_json_key(&j, "inputs");
    write_files(b, true, &j);
    cyg_json_key(&j, "golden_check");
    if (b->check.done)
        write_check(b, &j);
    else
        cyg_json_null(&j);
    cyg_json_key(&j, "model");
    cyg_json_begin_object(&j);
    cyg_json_key_int(&j, "source_nodes", b->source.info.nodes);
    cyg_json_key_int(&j, "optimised_nodes", b->optimised.nodes_after);
    cyg_json_key_int(&j, "steps", (int64_t)b->compiled.steps);
    cyg_json_key_int(&j, "integer_steps", (int64_t)b->compiled.integer_steps);
    cyg_json_key_int(&j, "float_steps", (int64_t)b->compiled.float_steps);
    cyg_json_key_int(&j, "parameters", b->parameters);
    cyg_json_key_int(&j, "macs", b->compiled.macs);
    cyg_json_end_object(&j);
    cyg_json_key(&j, "memory");
    cyg_json_begin_object(&j);
    cyg_json_key_int(&j, "arena_bytes", (int64_t)b->compiled.arena_bytes);
    cyg_json_key_int(&j, "weight_bytes", (int64_t)b->compiled.weight_bytes);
    cyg_json_end_object(&j);
    cyg_json_key(&j, "steps");
    cyg_json_begin_array(&j);
    for (uint32_t i = 0; i < b->program.step_count; i++)
        write_step(b, &j, i);
    cyg_json_end_array(&j);
    if (b->picture.box_count > 0) {
        cyg_json_key(&j, "block");
        cyg_picture_write(&b->picture, &j);
    }
    if (b->npu != NULL)
        CYG_DO(cyg_build_npu_record(b, &j));
    if (b->precision.row_count > 0) {
        cyg_json_key(&j, "precision");
        CYG_DO(cyg_build_write_precision(b, &j));
    }
    cyg_json_key(&j, "warnings");
    cyg_json_begin_array(&j);
    for (size_t i = 0; i < b->warning_count; i++)
        cyg_json_string(&j, b->warnings[i]);
    cyg_json_end_array(&j);
    cyg_json_end_object(&j);
    cyg_strbuf_puts(out, "\n");
    return CYG_OK;
}

static cyg_status save(cyg_build *b, const char *relative, const cyg_strbuf *text,
                       const char **out_path)
{
    if (text->failed)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_build_path(b, relative, out_path));
    return cyg_write_file(&b->app->ctx, *out_path, text->data, text->len);
}

cyg_status cyg_build_write_records(cyg_build *b)
{
    cyg_strbuf context = {0}, tensors = {0}, report = {0};
    const char *path = NULL, *html = NULL;
    cyg_build_write_context(b, &context);
    cyg_build_write_tensors(b, &tensors);
    cyg_status status = write_report(b, &report);
    if (status == CYG_OK)
        status = save(b, "build_context.json", &context, &path);
    if (status == CYG_OK)
        status = save(b, "quant/quant_axmodel.json", &tensors, &path);
    if (status == CYG_OK)
        status = save(b, "report.json", &report, &path);
    if (status == CYG_OK)
        status = cyg_build_path(b, "report.html", &html);
    if (status == CYG_OK)
        status = cyg_report_write_html(&b->app->ctx, path, html);
    cyg_strbuf_deinit(&context);
    cyg_strbuf_deinit(&tensors);
    cyg_strbuf_deinit(&report);
    return status;
}

/* `cygnet draw`: a model, or a part of it, as a picture.
 *
 * The model is read as every command reads it. --stage says which graph is drawn: as it was read,
 * optimised, or one block of both side by side. The output's suffix chooses the form. SVG needs
 * graphviz; without it the DOT text is written instead, beside the wanted file, and said. */
#include <string.h>

#include "app/app.h"
#include "app/draw.h"
#include "app/engine.h"
#include "app/model_source.h"
#include "base/file.h"
#include "pass/pass.h"

typedef enum draw_stage { STAGE_AUTO, STAGE_SOURCE, STAGE_OPTIMISED, STAGE_BOTH } draw_stage;

static const char *const stage_names[] = {"auto", "source", "optimised", "both"};
static const cyg_config_enum stage_enum = {.name = "stage", .names = stage_names, .count = 4};

typedef struct draw_job {
    cyg_app *app;
    const char *model, *output, *around;
    cyg_config_mark radius_mark, block_mark;
    int64_t radius, block;
    int stage;
    cyg_source_settings settings;
    cyg_float_model read; /* its graph is optimised when the stage says so */
    cyg_graph *source;    /* a copy from before; NULL = not needed */
    cyg_picture picture;
    const char *written; /* the file, which may be another than output */
    bool laid_out;
} draw_job;

/* ---- what is asked ---- */

static cyg_status parse(draw_job *job, int argc, const char *const *argv)
{
    cyg_app *app = job->app;
    cyg_string_list words = {0};
    const cyg_flag flags[] = {
        {.name = "output",
         .letter = 'o',
         .required = true,
         .type = {.kind = CYG_VALUE_OUT_PATH},
         .dest = &job->output,
         .text = "the picture to write, .svg or .dot"},
        {.name = "block",
         .type = {.kind = CYG_VALUE_INT, .valid = "1.."},
         .dest = &job->block,
         .mark = &job->block_mark,
         .text = "only attention block K, from 1 in execution order"},
        {.name = "around",
         .type = {.kind = CYG_VALUE_STRING},
         .dest = &job->around,
         .text = "only what is near the node or value of this name"},
        {.name = "radius",
         .type = {.kind = CYG_VALUE_INT, .valid = "0.."},
         .dest = &job->radius,
         .mark = &job->radius_mark,
         .preset = "3",
         .text = "how many arrows away is near"},
        {.name = "stage",
         .type = {.kind = CYG_VALUE_ENUM, .of = &stage_enum},
         .dest = &job->stage,
         .preset = "auto",
         .text = "source: as read; optimised; both: a block before and after, side by side; auto: "
                 "both with --block, else source"},
        CYG_FLAG_MODEL_CONFIG(&job->settings),
        CYG_FLAG_SET(&job->settings),
    };
    CYG_DO(cyg_source_take_sets(app, &job->settings, &argc, &argv));
    CYG_DO(cyg_app_parse(app, "draw", flags, CYG_COUNT(flags), argc, argv, &words));
    if (app->help)
        return CYG_OK;
    const bool one_block = job->block_mark.origin != CYG_CONFIG_DEFAULT;
    if (words.count != 1)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "expected one model, found %zu", words.count);
    job->model = words.items[0];
    if (one_block && job->around != NULL)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--block and --around exclude each other");
    if (job->radius_mark.origin != CYG_CONFIG_DEFAULT && job->around == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--radius belongs to --around");
    if (job->stage == STAGE_BOTH && !one_block)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--stage both draws one block: add --block K");
    if (job->stage == STAGE_AUTO)
        job->stage = one_block ? STAGE_BOTH : STAGE_SOURCE;
    return CYG_OK;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && strcmp(text + size - end_size, end) == 0;
}

/* ---- the graphs ---- */

static cyg_status read_model(draw_job *job)
{
    const char *path;
    bool is_package = false;
    CYG_DO(cyg_source_locate(job->app, job->model, &path));
    if (!cyg_source_is_checkpoint(path))
        CYG_DO(cyg_engine_is_package(job->app, path, &is_package));
    if (is_package)
        return CYG_FAIL(&job->app->ctx, CYG_E_UNSUPPORTED,
                        "%s is a compiled package: draw the model that it was built from "
                        "(`cygnet inspect` lists a package's steps)",
                        path);
    return cyg_float_model_open(job->app, path, &job->settings, NULL, &job->read);
}

static cyg_status optimise(draw_job *job)
{
    cyg_ctx *ctx = &job->app->ctx;
    const cyg_optimise_options options = {.fuse = true};
    cyg_optimise_report report;
    if (job->stage == STAGE_SOURCE && job->block == 0)
        return cyg_draw_settle_shapes(ctx, job->read.graph);
    if (job->stage != STAGE_OPTIMISED && job->read.converted == NULL) {
        job->source = cyg_graph_clone(job->read.graph);
        if (job->source == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        CYG_DO(cyg_draw_settle_shapes(ctx, job->source));
    }
    CYG_TRY(ctx, cyg_optimise(ctx, job->read.graph, &options, &report), "while optimising %s",
            job->model);
    return CYG_OK;
}

/* ---- the picture ---- */

static cyg_status draw_one(draw_job *job, const char *file)
{
    cyg_ctx *ctx = &job->app->ctx;
    cyg_arena *arena = &job->app->arena;
    cyg_drawing d;
    uint32_t *boxes;
    if (job->block > 0) {
        cyg_drawing source;
        CYG_DO(cyg_draw_block(ctx, arena, job->read.graph, job->block, &d));
        if (job->source != NULL) { /* a checkpoint is read as the steps that it stays */
            CYG_DO(cyg_draw_block_source(ctx, arena, job->source, &d, &source));
            d = source;
        }
    } else if (job->around != NULL) {
        CYG_DO(cyg_draw_around(ctx, arena, job->read.graph, job->around, job->radius, &d));
    } else {
        CYG_DO(cyg_draw_all(ctx, arena, job->read.graph, &d));
    }
    job->picture.title = job->around != NULL ? cyg_arena_printf(arena, "%s: around %s", file,
                                                                cyg_draw_short(arena, job->around))
                                             : file;
    if (job->picture.title == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    return cyg_draw_panel(ctx, &d, job->stage == STAGE_SOURCE ? "as read" : "optimised",
                          &job->picture, &boxes);
}

static cyg_status draw(draw_job *job)
{
    const char *base = cyg_path_base(job->model), *file = base[0] != '\0' ? base : job->model;
    cyg_ctx *ctx = &job->app->ctx;
    job->picture = (cyg_picture){.arena = &job->app->arena};
    if (job->stage != STAGE_BOTH)
        return draw_one(job, file);
    job->picture.title =
        cyg_arena_printf(&job->app->arena, "%s: attention block %lld of %u", file,
                         (long long)job->block, cyg_draw_block_count(job->read.graph));
    if (job->picture.title == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    return cyg_draw_compare(ctx, job->source, job->read.graph, job->block, &job->picture);
}

/* ---- the file ---- */

static cyg_status write_picture(draw_job *job)
{
    cyg_ctx *ctx = &job->app->ctx;
    const bool wants_svg = ends_with(job->output, ".svg");
    cyg_strbuf text = {0};
    cyg_status status = CYG_OK;
    job->written = job->output;
    if (wants_svg)
        status = cyg_picture_svg(ctx, &job->picture, true, &text, &job->laid_out);
    if (status == CYG_OK && wants_svg && !job->laid_out) {
        job->written = cyg_arena_printf(&job->app->arena, "%.*s.dot",
                                        (int)(strlen(job->output) - strlen(".svg")), job->output);
        cyg_warn(ctx, "graphviz is not installed (no `dot` in PATH): wrote DOT; install it, or run "
                      "`dot -Tsvg` on the file elsewhere");
    }
    if (status == CYG_OK && !job->laid_out)
        cyg_picture_dot(&job->picture, &text);
    if (status == CYG_OK && (text.failed || job->written == NULL))
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (status == CYG_OK)
        status = cyg_write_file(ctx, job->written, text.data, text.len);
    cyg_strbuf_deinit(&text);
    return status;
}

static cyg_status report(draw_job *job)
{
    const cyg_picture *p = &job->picture;
    cyg_strbuf text = {0};
    cyg_json j;
    cyg_app_print_result(job->app, "wrote %s (%u boxes, %u arrows)\n", job->written, p->box_count,
                         p->edge_count);
    if (!job->app->json)
        return CYG_OK;
    cyg_json_init(&j, &text, 0);
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "picture", job->written);
    cyg_json_key_string(&j, "form", job->laid_out ? "svg" : "dot");
    cyg_json_key_int(&j, "boxes", p->box_count);
    cyg_json_key_int(&j, "arrows", p->edge_count);
    cyg_json_end_object(&j);
    const cyg_status status = cyg_app_print_json(job->app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_cmd_draw(cyg_app *app, int argc, const char *const *argv)
{
    draw_job job = {.app = app};
    CYG_DO(parse(&job, argc, argv));
    if (app->help)
        return CYG_OK;
    if (!ends_with(job.output, ".svg") && !ends_with(job.output, ".dot"))
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--output: expected a .svg or .dot file, found %s",
                        job.output);
    cyg_status status = cyg_app_use_threads(app, 0);
    if (status == CYG_OK)
        status = read_model(&job);
    if (status == CYG_OK)
        status = optimise(&job);
    if (status == CYG_OK)
        status = draw(&job);
    if (status == CYG_OK)
        status = write_picture(&job);
    if (status == CYG_OK)
        status = report(&job);
    cyg_graph_destroy(job.source);
    cyg_float_model_close(&job.read);
    return status;
}

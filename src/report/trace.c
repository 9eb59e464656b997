/* Events of a trace, and the table beside it. */
#include "report/trace.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/str.h"
#include "io/json_write.h"

typedef struct class_info {
    const char *cname, *colour, *prefix;
} class_info;

/* "ld:" of "ld:param": what stands before a label. */
static class_info info_of(cyg_trace_class kind)
{
    static const class_info infos[] = {
#define CYG_TRACE_CLASS(id, cname, colour, text) {cname, colour, ""},
        CYG_TRACE_CLASSES(CYG_TRACE_CLASS)
#undef CYG_TRACE_CLASS
    };
    class_info info = infos[kind];
    if (info.cname[0] != '\0')
        info.prefix = info.cname[0] == 'l' ? "ld:" : "st:";
    return info;
}

static double microseconds(const cyg_trace *t, int64_t cycles)
{
    return (double)cycles * 1000.0 / (double)t->clock_khz;
}

static void put_name(cyg_json *j, const cyg_trace_task *task)
{
    cyg_strbuf name = {0};
    cyg_strbuf_puts(&name, info_of(task->kind).prefix);
    cyg_strbuf_puts(&name, task->label);
    cyg_json_string(j, name.data);
    j->out->failed |= name.failed;
    cyg_strbuf_deinit(&name);
}

static void put_texts(cyg_json *j, const char *key, const char *const *texts, uint32_t count)
{
    cyg_json_key(j, key);
    cyg_json_begin_inline_array(j);
    for (uint32_t i = 0; i < count; i++)
        cyg_json_string(j, texts[i]);
    cyg_json_end_array(j);
}

/* Who waits for each task, in compressed rows. */
typedef struct dependents {
    uint32_t *at, *ids;
} dependents;

static bool invert(const cyg_trace *t, dependents *d)
{
    size_t edges = 0;
    for (uint32_t i = 0; i < t->task_count; i++)
        edges += t->tasks[i].wait_count;
    d->at = calloc((size_t)t->task_count + 2, sizeof *d->at);
    d->ids = calloc(edges + 1, sizeof *d->ids);
    if (d->at == NULL || d->ids == NULL)
        return false;
    for (uint32_t i = 0; i < t->task_count; i++)
        for (uint32_t k = 0; k < t->tasks[i].wait_count; k++)
            d->at[t->tasks[i].waits[k] + 2]++;
    for (uint32_t i = 0; i < t->task_count; i++)
        d->at[i + 2] += d->at[i + 1];
    for (uint32_t i = 0; i < t->task_count; i++)
        for (uint32_t k = 0; k < t->tasks[i].wait_count; k++)
            d->ids[d->at[t->tasks[i].waits[k] + 1]++] = i;
    return true;
}

static void put_category(cyg_json *j, const cyg_trace *t, const cyg_trace_task *task)
{
    cyg_strbuf cat = {0};
    for (uint32_t k = 0; k < task->wait_count; k++) {
        const cyg_trace_task *other = &t->tasks[task->waits[k]];
        cyg_strbuf_printf(&cat, "%s%s%s", k > 0 ? "," : "", info_of(other->kind).prefix,
                          other->label);
    }
    cyg_json_key_string(j, "cat", cat.data != NULL ? cat.data : "");
    j->out->failed |= cat.failed;
    cyg_strbuf_deinit(&cat);
}

static void put_task(cyg_json *j, const cyg_trace *t, const dependents *d, uint32_t index)
{
    const cyg_trace_task *task = &t->tasks[index];
    const class_info info = info_of(task->kind);
    cyg_json_begin_object(j);
    cyg_json_key(j, "name");
    put_name(j, task);
    put_category(j, t, task);
    cyg_json_key_string(j, "ph", "X");
    cyg_json_key_double(j, "ts", microseconds(t, task->start));
    cyg_json_key_double(j, "dur", microseconds(t, task->end - task->start));
    cyg_json_key_string(j, "pid", t->process);
    cyg_json_key_string(j, "tid", task->lane);
    if (info.colour[0] != '\0')
        cyg_json_key_string(j, "cname", info.colour);
    cyg_json_key(j, "args");
    cyg_json_begin_object(j);
    cyg_json_key(j, "label");
    put_name(j, task);
    put_texts(j, "inputs", task->inputs, task->input_count);
    put_texts(j, "outputs", task->outputs, task->output_count);
    cyg_json_key_string(j, "cname", info.cname);
    cyg_json_key_int(j, "starts", task->start);
    cyg_json_key_int(j, "dur", task->end - task->start);
    cyg_json_key_int(j, "index", index);
    cyg_json_key(j, "dep_by");
    cyg_json_begin_inline_array(j);
    for (uint32_t k = d->at[index]; k < d->at[index + 1]; k++)
        put_name(j, &t->tasks[d->ids[k]]);
    cyg_json_end_array(j);
    cyg_json_end_object(j);
    cyg_json_end_object(j);
}

/* An arrow from the end of one task to the start of one that waits for it. */
static void put_flow(cyg_json *j, const cyg_trace *t, uint32_t from, uint32_t to, int64_t id)
{
    for (int end = 0; end < 2; end++) {
        const cyg_trace_task *task = &t->tasks[end == 0 ? from : to];
        cyg_json_begin_object(j);
        cyg_json_key_string(j, "name", "wait");
        cyg_json_key_string(j, "cat", "wait");
        cyg_json_key_string(j, "ph", end == 0 ? "s" : "f");
        if (end == 1)
            cyg_json_key_string(j, "bp", "e");
        cyg_json_key_int(j, "id", id);
        /* a step must lie inside its task to bind to it */
        cyg_json_key_double(j, "ts",
                            end == 0
                                ? (microseconds(t, task->start) + microseconds(t, task->end)) / 2
                                : microseconds(t, task->start));
        cyg_json_key_string(j, "pid", t->process);
        cyg_json_key_string(j, "tid", task->lane);
        cyg_json_end_object(j);
    }
}

static void put_metadata(cyg_json *j, const cyg_trace *t)
{
    for (uint32_t i = 0; i < t->lane_count; i++) {
        cyg_json_begin_object(j);
        cyg_json_key_string(j, "name", "thread_sort_index");
        cyg_json_key_string(j, "ph", "M");
        cyg_json_key_string(j, "pid", t->process);
        cyg_json_key_string(j, "tid", t->lanes[i]);
        cyg_json_key(j, "args");
        cyg_json_begin_object(j);
        cyg_json_key_int(j, "sort_index", i);
        cyg_json_end_object(j);
        cyg_json_end_object(j);
    }
}

cyg_status cyg_trace_write(cyg_ctx *ctx, const char *path, const cyg_trace *t)
{
    cyg_strbuf text = {0};
    cyg_json j;
    dependents d = {0};
    int64_t id = 0;
    cyg_status status = CYG_OK;
    cyg_json_init(&j, &text, 0);
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "displayTimeUnit", "ns");
    cyg_json_key(&j, "otherData");
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "chip", t->chip);
    cyg_json_key_string(&j, "mode", t->mode);
    cyg_json_key_int(&j, "clock_khz", t->clock_khz);
    cyg_json_key_int(&j, "cycles", t->cycles);
    cyg_json_end_object(&j);
    cyg_json_key(&j, "traceEvents");
    cyg_json_begin_array(&j);
    put_metadata(&j, t);
    const bool well = invert(t, &d);
    for (uint32_t i = 0; well && i < t->task_count; i++) {
        cyg_strbuf_puts(&text, "\n");
        put_task(&j, t, &d, i);
        for (uint32_t k = 0; k < t->tasks[i].wait_count; k++)
            put_flow(&j, t, t->tasks[i].waits[k], i, id++);
    }
    cyg_json_end_array(&j);
    cyg_json_end_object(&j);
    cyg_strbuf_puts(&text, "\n");
    status = !well || text.failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a trace")
                                  : cyg_write_file(ctx, path, text.data, text.len);
    free(d.at);
    free(d.ids);
    cyg_strbuf_deinit(&text);
    return status;
}

/* Commas and quotes in names of nodes: quoted as spreadsheets expect. */
static void put_field(cyg_strbuf *out, const char *text)
{
    cyg_strbuf_puts(out, "\"");
    for (; *text != '\0'; text++) {
        cyg_strbuf_add(out, text, 1);
        if (*text == '"')
            cyg_strbuf_puts(out, "\"");
    }
    cyg_strbuf_puts(out, "\",");
}

cyg_status cyg_profile_write(cyg_ctx *ctx, const char *path, const cyg_profile_row *rows,
                             size_t count, int64_t clock_khz)
{
    cyg_strbuf text = {0};
    cyg_strbuf_puts(&text, "name,kernel,shape,limit,start,end,us,conv,teng,cv,sdma,ddr_bytes,"
                           "ddr_gb_per_s,macs,tasks\n");
    for (size_t i = 0; i < count; i++) {
        const cyg_profile_row *r = &rows[i];
        const double us = (double)(r->end - r->start) * 1000.0 / (double)clock_khz;
        put_field(&text, r->name);
        put_field(&text, r->kernel);
        put_field(&text, r->shape);
        put_field(&text, r->limit);
        cyg_strbuf_printf(&text, "%" PRId64 ",%" PRId64 ",%.3f,", r->start, r->end, us);
        cyg_strbuf_printf(&text, "%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",", r->conv,
                          r->teng, r->cv, r->sdma);
        cyg_strbuf_printf(&text, "%" PRId64 ",%.3f,%" PRId64 ",%u\n", r->ddr_bytes,
                          us > 0 ? (double)r->ddr_bytes / us / 1000.0 : 0.0, r->macs, r->tasks);
    }
    const cyg_status status = text.failed
                                  ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a profile")
                                  : cyg_write_file(ctx, path, text.data, text.len);
    cyg_strbuf_deinit(&text);
    return status;
}

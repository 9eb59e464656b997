/* `cygnet targets`: what build can aim at, and what is known of it.
 *
 * The CPU target is one portable package; which instructions it runs on is decided where it runs,
 * so this lists the levels of this machine. NPUs come from their machine descriptions (npu), the
 * very numbers that the compiler plans with; with the name of a chip, or of a description file,
 * every number is listed with its unit and where it comes from. Chips that the configuration knows
 * by name and that nobody has described are shown as such, because a name that is silently missing
 * helps nobody. */
#include "app/app.h"

#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "npu/machine.h"

typedef struct chip {
    const char *name, *npu_modes;
} chip;

static const chip chips[] = {
#define CYG_CHIP(hardware, modes) {#hardware, modes},
#include "config/chips.def"
#undef CYG_CHIP
};

typedef struct machines {
    cyg_npu_machine *all;
    size_t count;
} machines;

/* ---- one machine ------------------------------------------------------------------------------
 */

static double gb_a_second(const cyg_npu_machine *m)
{
    return m->ddr_bytes * (double)m->clock_khz * 1e3 / 1e9;
}

static double tops(const cyg_npu_machine *m)
{
    return 2e-9 * (double)m->clock_khz * (double)(m->conv_in * m->conv_out) *
           cyg_npu_engines_of(m, CYG_NPU_CONV);
}

static void print_line(cyg_app *app, const cyg_npu_machine *m)
{
    char engines[64];
    snprintf(engines, sizeof engines, "%u CONV %u TENG %u CV %u SDMA",
             cyg_npu_engines_of(m, CYG_NPU_CONV), cyg_npu_engines_of(m, CYG_NPU_TENG),
             cyg_npu_engines_of(m, CYG_NPU_CV), cyg_npu_engines_of(m, CYG_NPU_SDMA));
    cyg_app_print_result(app, "%-10s%-8s%-28s %5.1f TOPS  OCM %5.2f MiB  DDR %4.1f GB/s\n", m->chip,
                         m->mode, engines, tops(m), (double)m->ocm_bytes / (1 << 20),
                         gb_a_second(m));
}

static void print_field(cyg_app *app, const machines *of, cyg_npu_field field, const char *name,
                        const char *unit, const char *text, const char *const *values)
{
    bool same = true;
    for (size_t i = 1; i < of->count; i++)
        same = same && strcmp(values[i], values[0]) == 0;
    cyg_app_print_result(app, "  %-17s", name);
    for (size_t i = 0; i < (same ? 1 : of->count); i++)
        cyg_app_print_result(app, "%s%s", i == 0 ? "" : " / ", values[i]);
    cyg_app_print_result(app, "%s%s    %s\n", unit[0] == '\0' ? "" : " ", unit, text);
    const char *source = of->all[0].sources[field];
    if (source != NULL)
        cyg_app_print_result(app, "  %-17s  from: %s\n", "", source);
}

static cyg_status explain(cyg_app *app, const machines *of)
{
    const char **values = CYG_NEW_ARRAY(&app->arena, const char *, of->count);
    if (values == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < of->count; i++)
        print_line(app, &of->all[i]);
    cyg_app_print_result(app, "\n");
#define SHOW(name, unit, text, format, type)                                                       \
    for (size_t i = 0; i < of->count; i++)                                                         \
        if ((values[i] = cyg_arena_printf(&app->arena, format, (type)of->all[i].name)) == NULL)    \
            return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");                              \
    print_field(app, of, CYG_NPU_FIELD_##name, #name, unit, text, values);
#define CYG_MACHINE_TEXT(name, text) SHOW(name, "", text, "%s", const char *)
#define CYG_MACHINE_COUNT(name, low, high, unit, text) SHOW(name, unit, text, "%lld", long long)
#define CYG_MACHINE_RATE(name, low, high, unit, text) SHOW(name, unit, text, "%.10g", double)
#include "npu/machine.def"
#undef CYG_MACHINE_TEXT
#undef CYG_MACHINE_COUNT
#undef CYG_MACHINE_RATE
#undef SHOW
    for (size_t i = 0; i < of->count; i++)
        cyg_app_print_result(app, "%sparameters of %s have the hash %016llx\n", i == 0 ? "\n" : "",
                             of->all[i].mode,
                             (unsigned long long)cyg_npu_machine_hash(&of->all[i]));
    return CYG_OK;
}

static void machine_json(cyg_json *json, const cyg_npu_machine *m)
{
    char hash[20];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)cyg_npu_machine_hash(m));
    cyg_json_begin_object(json);
#define CYG_MACHINE_TEXT(name, text) cyg_json_key_string(json, #name, m->name);
#define CYG_MACHINE_COUNT(name, low, high, unit, text) cyg_json_key_int(json, #name, m->name);
#define CYG_MACHINE_RATE(name, low, high, unit, text) cyg_json_key_double(json, #name, m->name);
#include "npu/machine.def"
#undef CYG_MACHINE_TEXT
#undef CYG_MACHINE_COUNT
#undef CYG_MACHINE_RATE
    cyg_json_key_string(json, "hash", hash);
    cyg_json_end_object(json);
}

/* ---- finding machines -------------------------------------------------------------------------
 */

/* The built-in descriptions of one chip (NULL: of all). */
static cyg_status built_in(cyg_app *app, const char *name, machines *out)
{
    *out = (machines){.all = CYG_NEW_ARRAY(&app->arena, cyg_npu_machine, cyg_npu_machine_count())};
    if (out->all == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < cyg_npu_machine_count(); i++) {
        cyg_npu_machine *m = &out->all[out->count];
        CYG_DO(cyg_npu_machine_built_in(&app->ctx, &app->arena, i, m));
        out->count += name == NULL || strcmp(m->chip, name) == 0;
    }
    return CYG_OK;
}

/* All modes of a description file. */
static cyg_status from_file(cyg_app *app, const char *path, machines *out)
{
    const char *const *modes;
    size_t count;
    CYG_DO(cyg_npu_machine_modes(&app->ctx, &app->arena, path, &modes, &count));
    *out = (machines){.all = CYG_NEW_ARRAY(&app->arena, cyg_npu_machine, count)};
    if (out->all == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (; out->count < count; out->count++)
        CYG_DO(cyg_npu_machine_read(&app->ctx, &app->arena, path, modes[out->count],
                                    &out->all[out->count]));
    if (count == 0) /* says what is wrong with the file */
        return cyg_npu_machine_read(&app->ctx, &app->arena, path, NULL, out->all);
    return CYG_OK;
}

static cyg_status find(cyg_app *app, const char *word, machines *out)
{
    const char *names[CYG_COUNT(chips)];
    const size_t size = strlen(word);
    if (size > 5 && strcmp(word + size - 5, ".json") == 0)
        return from_file(app, word, out);
    CYG_DO(built_in(app, word, out));
    if (out->count > 0)
        return CYG_OK;
    for (size_t i = 0; i < CYG_COUNT(chips); i++) {
        names[i] = chips[i].name;
        if (strcmp(word, names[i]) == 0)
            return CYG_FAIL(&app->ctx, CYG_E_UNSUPPORTED,
                            "%s has no machine description; a file can give one: "
                            "docs/npu-machines.md",
                            word);
    }
    const int near = cyg_nearest_name(word, names, CYG_COUNT(chips));
    return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                    "%s: neither a chip that `cygnet targets` lists nor a description file "
                    "(.json)%s%s%s",
                    word, near >= 0 ? "; did you mean " : "", near >= 0 ? names[near] : "",
                    near >= 0 ? "?" : "");
}

/* ---- the list ---------------------------------------------------------------------------------
 */

static size_t described(const machines *all, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        count += strcmp(all->all[i].chip, name) == 0;
    return count;
}

static void print_table(cyg_app *app, cyg_cpu_level_id level, const machines *all)
{
    cyg_app_print_result(app, "%-10s%-8sx86-64 and aarch64; here:", "CPU", "any");
    for (int i = 0; i < CYG_CPU_COUNT; i++)
        if (cyg_cpu_has((cyg_cpu_level_id)i))
            cyg_app_print_result(app, " %s%s", cyg_cpu_name((cyg_cpu_level_id)i),
                                 (cyg_cpu_level_id)i == level ? " (used)" : "");
    cyg_app_print_result(app, "\n");
    for (size_t i = 0; i < all->count; i++)
        print_line(app, &all->all[i]);
    for (size_t i = 0; i < CYG_COUNT(chips); i++)
        if (described(all, chips[i].name) == 0)
            cyg_app_print_result(app, "%-10s%-8sno machine description; %s\n", chips[i].name, "",
                                 chips[i].npu_modes);
    cyg_app_print_result(app, "\nMore of one: cygnet targets AX650. A description of your own: "
                              "docs/npu-machines.md.\n");
}

static void cpu_json(cyg_json *json, cyg_cpu_level_id level)
{
    cyg_json_begin_object(json);
    cyg_json_key_string(json, "name", "CPU");
    cyg_json_key_bool(json, "built", true);
    cyg_json_key_string(json, "isa", cyg_cpu_name(level));
    cyg_json_key(json, "isa_levels");
    cyg_json_begin_inline_array(json);
    for (int i = 0; i < CYG_CPU_COUNT; i++)
        if (cyg_cpu_has((cyg_cpu_level_id)i))
            cyg_json_string(json, cyg_cpu_name((cyg_cpu_level_id)i));
    cyg_json_end_array(json);
    cyg_json_end_object(json);
}

static void chip_json(cyg_json *json, const char *name, const char *modes, const machines *all)
{
    cyg_json_begin_object(json);
    cyg_json_key_string(json, "name", name);
    cyg_json_key_bool(json, "built", described(all, name) > 0);
    if (modes != NULL)
        cyg_json_key_string(json, "npu_modes", modes);
    cyg_json_key(json, "machines");
    cyg_json_begin_array(json);
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->all[i].chip, name) == 0)
            machine_json(json, &all->all[i]);
    cyg_json_end_array(json);
    cyg_json_end_object(json);
}

/* With `only`, the machines of one chip; else everything. */
static cyg_status print_json(cyg_app *app, cyg_cpu_level_id level, const machines *all, bool only)
{
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 2);
    cyg_json_begin_object(&json);
    cyg_json_key(&json, "targets");
    cyg_json_begin_array(&json);
    if (only) {
        chip_json(&json, all->all[0].chip, NULL, all);
    } else {
        cpu_json(&json, level);
        for (size_t i = 0; i < CYG_COUNT(chips); i++)
            chip_json(&json, chips[i].name, chips[i].npu_modes, all);
    }
    cyg_json_end_array(&json);
    cyg_json_end_object(&json);
    const cyg_status status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_cmd_targets(cyg_app *app, int argc, const char *const *argv)
{
    cyg_string_list rest = {0};
    cyg_cpu_level_id level;
    machines all;
    CYG_DO(cyg_app_parse(app, "targets", NULL, 0, argc, argv, &rest));
    if (app->help)
        return CYG_OK;
    if (rest.count > 1)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "targets: one chip or description file at a time");
    CYG_DO(cyg_cpu_level(&app->ctx, &level));
    CYG_DO(rest.count == 0 ? built_in(app, NULL, &all) : find(app, rest.items[0], &all));
    if (app->json)
        return print_json(app, level, &all, rest.count > 0);
    if (rest.count > 0)
        return explain(app, &all);
    print_table(app, level, &all);
    return CYG_OK;
}

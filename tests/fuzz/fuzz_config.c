/* Fuzz entry: config files. First byte: bit 0 chooses YAML, bit 2 TOML or (with bit 0) prototxt,
 * bit 1 the run configuration; the rest is the file. What reads is checked, resolved and written
 * too, and the writer's output must read back. tests/config/test_damage.c drives it as well. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef union any_config {
    cyg_config_build build;
    cyg_config_run run;
} any_config;

static void require(int condition)
{
    if (!condition)
        abort();
}

static cyg_status read_into(cyg_ctx *ctx, cyg_arena *arena, const char *name, const void *data,
                            size_t size, const cyg_config_message *message, any_config *config)
{
    require(cyg_config_init(ctx, arena, message, config) == CYG_OK);
    return cyg_config_read_text(ctx, arena, name, data, size, message, config);
}

static void look_at(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_message *message,
                    any_config *config)
{
    cyg_config_input in;
    cyg_config_output_processor out;
    any_config again;
    cyg_strbuf text = {0};
    cyg_json json;
    CYG_IGNORE(cyg_config_require(ctx, message, config));
    CYG_IGNORE(cyg_config_check_supported(ctx, message, config));
    if (message == &cyg_config_message_build) {
        CYG_IGNORE(cyg_config_validate(ctx, &config->build));
        CYG_IGNORE(cyg_config_resolve_input(ctx, arena, &config->build, "x", 3, &in));
        CYG_IGNORE(cyg_config_resolve_output(ctx, arena, &config->build, "x", &out));
    }
    cyg_json_init(&json, &text, 0);
    cyg_config_write_origins(&json, message, config);
    require(!text.failed);
    text.len = 0;
    cyg_json_init(&json, &text, 0);
    cyg_config_write(&json, message, config);
    require(!text.failed);
    /* Attributes are not written, so an op_processors entry does not read back. */
    if (message == &cyg_config_message_run ||
        config->build.op_processors.count + config->build.quant_op_processors.count == 0)
        require(read_into(ctx, arena, "again.json", text.data, text.len, message, &again) ==
                CYG_OK);
    cyg_strbuf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_ctx ctx;
    cyg_arena arena;
    any_config config;
    if (size == 0)
        return 0;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    const cyg_config_message *message =
        data[0] & 2 ? &cyg_config_message_run : &cyg_config_message_build;
    static const char *const names[] = {"a.json", "a.yaml", "a.toml", "a.prototxt"};
    const char *name = names[(data[0] & 1) + (data[0] >> 2 & 1) * 2];
    const cyg_status st = read_into(&ctx, &arena, name, data + 1, size - 1, message, &config);
    require(st != CYG_E_INTERNAL && (st == CYG_OK || cyg_ctx_message_count(&ctx) > 0));
    if (st == CYG_OK)
        look_at(&ctx, &arena, message, &config);
    cyg_arena_deinit(&arena);
    return 0;
}

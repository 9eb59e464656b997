/* Fields that must be given: the root's, once file and flags are both in. Those of list entries are
 * checked by the reader, which knows where the entry stands. A path or name that is "" counts as
 * missing. */
#include "config/config.h"

cyg_status cyg_config_require(cyg_ctx *ctx, const cyg_config_message *message, const void *config)
{
    cyg_strbuf missing = {0};
    for (size_t i = 0; i < message->count; i++) {
        const cyg_config_field *field = &message->fields[i];
        if (field->where == CYG_WHERE_NEED &&
            *(const char *const *)cyg_config_value_const(field, config) == NULL)
            cyg_strbuf_printf(&missing, "%s--%s", missing.len ? " and " : "", field->name);
    }
    cyg_status st = CYG_OK;
    if (missing.failed)
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    else if (missing.len > 0)
        st = CYG_FAIL(ctx, CYG_E_USAGE, "%s must be given, here or in the file that --config names",
                      missing.data);
    cyg_strbuf_deinit(&missing);
    return st;
}

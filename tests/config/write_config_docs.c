/* Prints docs/config.md from the tables. test_docs.c asserts that the committed page is this
 * output. */
#include <stdio.h>

#include "config/config.h"

int main(void)
{
    cyg_strbuf out = {0};
    cyg_config_docs(&out);
    const int failed =
        out.failed || fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0;
    cyg_strbuf_deinit(&out);
    return failed;
}

/* Writes PREFIX.cyg, an NPU package of program N, and PREFIX.in and PREFIX.out: what it is fed and
 * gives. argv: N, PREFIX. */
#include "programs.h"

#include "base/file.h"

int main(int argc, char **argv)
{
    char path[4096];
    sp_program s;
    const size_t n = argc == 3 ? strtoul(argv[1], NULL, 10) : sp_maker_count;
    if (n >= sp_maker_count)
        return 2;
    sp_makers[n](&s);
    const cyg_npu_io *first = &s.program.io[0], *last = &s.program.io[s.program.io_count - 1];
    snprintf(path, sizeof path, "%s.cyg", argv[2]);
    sp_write_package(&s, path, 1);
    snprintf(path, sizeof path, "%s.in", argv[2]);
    cyg_status status = cyg_write_file(NULL, path, s.io[0], (size_t)first->bytes);
    snprintf(path, sizeof path, "%s.out", argv[2]);
    if (status == CYG_OK)
        status = cyg_write_file(NULL, path, s.want, (size_t)last->bytes);
    sp_end(&s);
    return status == CYG_OK ? 0 : 1;
}

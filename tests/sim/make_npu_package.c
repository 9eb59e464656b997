/* Writes PREFIX.cyg, an NPU package of program N, PREFIX.in and PREFIX.out: what it is fed and
 * gives; and for fuzzing PREFIX.code, its code behind the size of its parameters (4 bytes), and
 * PREFIX.text, and PREFIX.taps: sizes of parameters and code, code, taps. argv: N, PREFIX. */
#include "programs.h"

#include "base/bytes.h"
#include "base/file.h"
#include "npu/tap.h"

static cyg_status write_forms(const sp_program *s, const char *prefix)
{
    char path[4096], head[4];
    cyg_strbuf code = {0}, text = {0}, taps = {0};
    cyg_store_u32(head, (uint32_t)s->program.param_bytes);
    cyg_strbuf_add(&code, head, sizeof head);
    cyg_status status = cyg_npu_encode(NULL, &s->program, &code);
    cyg_npu_print(&s->machine, &s->program, true, &text);
    cyg_strbuf_add(&taps, head, sizeof head);
    cyg_store_u32(head, (uint32_t)(code.len - sizeof head));
    cyg_strbuf_add(&taps, head, sizeof head);
    cyg_strbuf_add(&taps, code.data + sizeof head, code.len - sizeof head);
    if (status == CYG_OK)
        status = cyg_npu_taps_encode(NULL, &s->program, &taps);
    snprintf(path, sizeof path, "%s.taps", prefix);
    if (status == CYG_OK)
        status = cyg_write_file(NULL, path, taps.data, taps.len);
    snprintf(path, sizeof path, "%s.code", prefix);
    if (status == CYG_OK)
        status = cyg_write_file(NULL, path, code.data, code.len);
    snprintf(path, sizeof path, "%s.text", prefix);
    if (status == CYG_OK)
        status = cyg_write_file(NULL, path, text.data, text.len);
    cyg_strbuf_deinit(&code);
    cyg_strbuf_deinit(&text);
    cyg_strbuf_deinit(&taps);
    return status;
}

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
    if (status == CYG_OK)
        status = write_forms(&s, argv[2]);
    sp_end(&s);
    return status == CYG_OK ? 0 : 1;
}

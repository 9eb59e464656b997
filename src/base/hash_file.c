/* The hash of a file as sha256sum prints it: what a build and a converted model record of what they
 * read. The file is read once, in order, and its pages go back behind it, so that hashing a large
 * checkpoint does not show in the peak of memory. */
#include "base/ctx.h"
#include "base/file.h"
#include "base/hash.h"

cyg_status cyg_sha256_file(cyg_ctx *ctx, const char *path, char out_hex[65], uint64_t *out_size)
{
    enum { STEP = 1 << 20 };
    cyg_map map;
    cyg_sha h;
    cyg_status status = CYG_OK;
    CYG_DO(cyg_map_open(ctx, path, &map));
    cyg_sha256_init(&h);
    for (size_t at = 0; at < map.size && status == CYG_OK; at += STEP) {
        const size_t size = map.size - at < STEP ? map.size - at : STEP;
        cyg_sha_update(&h, map.data + at, size);
        cyg_map_release_pages(&map, at, size);
        status = cyg_ctx_check_cancelled(ctx);
    }
    *out_size = map.size;
    cyg_map_close(&map);
    cyg_sha_final_hex(&h, out_hex);
    return status;
}

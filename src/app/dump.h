/* A folder of tensors: one file each, .npy or the raw bytes of .bin, and tensors.json, which says
 * of each file whose it is, its element type and shape, and how real numbers follow from its codes.
 */
#ifndef CYG_APP_DUMP_H
#define CYG_APP_DUMP_H

#include "app/app.h"
#include "base/type.h"

typedef struct cyg_dump_tensor {
    const char *name, *layer; /* layer: what made it, or NULL */
    cyg_type type;
    int rank;
    int64_t dims[CYG_MAX_RANK];
    const float *scales; /* real = scale * (code - zero_point); NULL = plain numbers */
    size_t scale_count;  /* more than one: one a channel of `axis` */
    int32_t zero_point, axis;
} cyg_dump_tensor;

typedef struct cyg_dump cyg_dump;
/* folder is there. Lives in app->arena. */
cyg_status cyg_dump_open(cyg_app *app, const char *folder, bool npy,
                         cyg_dump **out_dump) CYG_MUST_USE;
/* Files are named as run names them; a name that is taken gets "_1" and so on. */
cyg_status cyg_dump_add(cyg_dump *dump, const cyg_dump_tensor *t, const void *data) CYG_MUST_USE;
/* Writes tensors.json; frees what it holds in any case. */
cyg_status cyg_dump_close(cyg_dump *dump) CYG_MUST_USE;
void cyg_dump_abort(cyg_dump *dump); /* NULL is fine */

#endif

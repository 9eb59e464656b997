/* Private to format/: what the programs of one package have in common. */
#ifndef CYG_FORMAT_VARIANTS_H
#define CYG_FORMAT_VARIANTS_H

#include "format/package.h"

/* Fails unless the programs stand in canonical order and can take each other's place: in a group
 * inputs and outputs differ in dimension 0 only, in proportion to the batch; between groups in
 * sizes only. Whoever splits a batch relies on it. */
cyg_status cyg_package_check_variants(cyg_ctx *ctx, const char *path,
                                      const cyg_package *package) CYG_MUST_USE;

#endif

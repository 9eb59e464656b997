/* Private to format/: sections SUBGRAPH and PARAMETERS. */
#ifndef CYG_FORMAT_SUBGRAPH_H
#define CYG_FORMAT_SUBGRAPH_H

#include "base/str.h"
#include "format/package.h"

typedef struct cyg_package_section {
    const uint8_t *data;
    size_t size;
    bool seen;
} cyg_package_section;

/* Reads package->subgraphs; programs are read already. taps: may be unseen. */
cyg_status cyg_package_read_subgraphs(cyg_ctx *ctx, const char *path,
                                      const cyg_package_section *subgraphs, uint32_t subgraph_count,
                                      const cyg_package_section *parameters,
                                      uint32_t parameter_count, const cyg_package_section *taps,
                                      const cyg_package_section *strings, cyg_arena *arena,
                                      cyg_package *package) CYG_MUST_USE;

/* Appends section SUBGRAPH of g; offsets of its texts in STRINGS, number of its PARAMETERS. */
void cyg_package_encode_subgraph(const cyg_subgraph *g, uint32_t executor, uint32_t name,
                                 uint32_t parameters, cyg_strbuf *out);
/* Appends section TAPS of all subgraphs; nothing when none has any. */
void cyg_package_encode_taps(const cyg_subgraph *list, uint32_t count, cyg_strbuf *out);

#endif

/* Private to format/: sizes and offsets of the package's fixed records. docs/package.md shows them
 * as tables. */
#ifndef CYG_FORMAT_LAYOUT_H
#define CYG_FORMAT_LAYOUT_H

enum {
    CYG_PK_HEADER = 64, /* magic 8, version 4, sections 4, file size 8, table checksum 8, zeros */
    CYG_PK_ROW = 48,    /* kind 4, index 4, offset 8, size 8, checksum 8, zeros 16 */
    CYG_PK_ALIGN = 64,  /* of every section and of every constant in WEIGHTS */
    CYG_PK_KINDS = 7,   /* of sections that this version knows */
    CYG_PK_MOST_SECTIONS = 256,
    CYG_PK_PROGRAM_HEAD = 48, /* tensors 4, steps 4, inputs 4, outputs 4, operands 4, zero 4, params
                                 bytes 8, arena bytes 8, group 4, batch 4 */
    CYG_PK_TENSOR = 104,  /* name 4, type 4, rank 4, kind 4, dims 64, zero point 4, scale 4, offset
                             8, arena offset 8, or of a constant its group */
    CYG_PK_STEP = 40,     /* name 4, sources 4, op 4, inputs 4, outputs 4, first operand 4, params
                             offset 4, params size 4, macs 8 */
    CYG_PK_SUBGRAPH = 48, /* program 4, first step 4, steps 4, tensors 4, executor 4, name 4,
                             parameters 4, zero 4, machine bytes 8, code bytes 8 */
    CYG_PK_SUBGRAPH_TENSOR = 8, /* tensor 4, is output 4 */
    CYG_PK_MOST_SUBGRAPH_TENSORS = 4096,
    CYG_PK_TAPS_OF_ONE = 8,      /* size of a subgraph's taps, in their order; then the taps */
    CYG_PK_MOST_GROUP = 1 << 20, /* taps of a multiplier */
    CYG_PK_PARAMS_ROOM =
        512, /* a parameter block in memory is this long at least, zeros behind its end */
};

#define CYG_PK_NO_PARAMETERS 0xffffffffu
#define CYG_PK_MAGIC "CYGNETPK"

#endif

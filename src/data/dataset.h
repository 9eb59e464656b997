/* Labelled pictures for eval: a labels.tsv, or one sub-folder a class. */
#ifndef CYG_DATA_DATASET_H
#define CYG_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/decoder.h"
#include "data/preprocess.h"

typedef struct cyg_dataset cyg_dataset;

/* path is a labels.tsv (any name, a text file; columns `file`, relative to its folder, and
 * `class_index`), a folder that holds a labels.tsv, a folder with one sub-folder a class, or an
 * archive of either of the last two. With sub-folders the class is the rank of the folder's name in
 * byte order. Lists only. */
cyg_status cyg_dataset_open(cyg_ctx *ctx, const char *path, cyg_dataset **out_set) CYG_MUST_USE;
void cyg_dataset_close(cyg_dataset *set); /* NULL is fine */
size_t cyg_dataset_count(const cyg_dataset *set);
const char *cyg_dataset_name(const cyg_dataset *set, size_t i); /* path of the file; lent */
int64_t cyg_dataset_class(const cyg_dataset *set, size_t i);
/* One more than the largest class index. */
int64_t cyg_dataset_class_count(const cyg_dataset *set);
/* Name of the sub-folder that is class c; "" with labels.tsv. */
const char *cyg_dataset_folder(const cyg_dataset *set, int64_t c);

/* Prepares decoding; once, before get. */
cyg_status cyg_dataset_start(cyg_ctx *ctx, cyg_dataset *set, const cyg_preprocess *p) CYG_MUST_USE;
/* Picture i, or the problem with it. Ascending order is fast. */
cyg_status cyg_dataset_get(cyg_ctx *ctx, cyg_dataset *set, size_t i,
                           cyg_picture *out_picture) CYG_MUST_USE;

#endif

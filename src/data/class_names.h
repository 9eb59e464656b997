/* Names of classes: from a text file, or from a checkpoint's id2label. */
#ifndef CYG_DATA_CLASS_NAMES_H
#define CYG_DATA_CLASS_NAMES_H

#include <stddef.h>

#include "base/status.h"
#include "io/doc.h"
#include "io/json_write.h"

typedef struct cyg_class_names cyg_class_names;

/* A text file (line i+1 names class i; a WordNet id in front, as in imagenet_synset_words.txt, is
 * dropped) or a .json file as for _from_doc. */
cyg_status cyg_class_names_open(cyg_ctx *ctx, const char *path,
                                cyg_class_names **out_names) CYG_MUST_USE;
/* A list of strings, a map from index to string, or a map with one of these under "id2label",
 * "label_names" or "labels". *out_names is NULL, without an error, when the document has none. */
cyg_status cyg_class_names_from_doc(cyg_ctx *ctx, const cyg_doc_node *root,
                                    cyg_class_names **out_names) CYG_MUST_USE;
cyg_status cyg_class_names_parse(cyg_ctx *ctx, const char *path, const char *text, size_t size,
                                 cyg_class_names **out_names) CYG_MUST_USE;
void cyg_class_names_close(cyg_class_names *names);         /* NULL is fine */
size_t cyg_class_names_count(const cyg_class_names *names); /* NULL: 0 */
/* "" when there is none; names may be NULL. Lent. */
const char *cyg_class_names_get(const cyg_class_names *names, size_t i);
/* As a list of strings: the form stored in packages. */
void cyg_class_names_write(const cyg_class_names *names, cyg_json *out);

#endif

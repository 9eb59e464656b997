/* What a command may be given as a model: an ONNX file, a checkpoint (file or folder), or the name
 * of one on the hub. */
#ifndef CYG_APP_MODEL_SOURCE_H
#define CYG_APP_MODEL_SOURCE_H

#include "app/app.h"
#include "data/preprocess.h"
#include "models/models.h"

/* name as a path: itself, or the folder that the hub's copy is in (fetched when it is not there).
 * In app->arena. */
cyg_status cyg_source_locate(cyg_app *app, const char *name, const char **out_path) CYG_MUST_USE;
/* A checkpoint, by its content; all else is taken for ONNX. */
bool cyg_source_is_checkpoint(const char *path);
/* How pictures are prepared for the model: from the file beside it, else ImageNet's usual numbers
 * (*out_assumed). */
cyg_status cyg_source_preprocess(cyg_app *app, const cyg_converted *model, cyg_preprocess *out_p,
                                 bool *out_assumed) CYG_MUST_USE;
/* Labels, preprocessing and the hash of the source as metadata of the graph. */
cyg_status cyg_source_describe(cyg_app *app, cyg_converted *model) CYG_MUST_USE;

#endif

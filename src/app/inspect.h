/* The parts of `cygnet inspect`, private to it. */
#ifndef CYG_APP_INSPECT_H
#define CYG_APP_INSPECT_H

#include "app/app.h"

cyg_status cyg_inspect_package(cyg_app *app, const char *path) CYG_MUST_USE;
/* The code of a package's NPU subgraphs, as the assembler takes it but for index tables and
 * weights. */
cyg_status cyg_inspect_disasm(cyg_app *app, const char *path) CYG_MUST_USE;
cyg_status cyg_inspect_checkpoint(cyg_app *app, const char *path) CYG_MUST_USE;
cyg_status cyg_inspect_onnx(cyg_app *app, const char *path) CYG_MUST_USE;

#endif

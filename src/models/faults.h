/* Everything about a checkpoint that does not fit, for one message. Private to models. */
#ifndef CYG_MODELS_FAULTS_H
#define CYG_MODELS_FAULTS_H

#include "base/str.h"
#include "io/checkpoint.h"

typedef struct cyg_fault_list {
    cyg_strbuf text; /* a line each, as many as fit a message */
    size_t count, listed;
} cyg_fault_list;

/* Zero-initialised; free with _deinit. */
typedef struct cyg_faults {
    cyg_fault_list shapes, missing, extra;
} cyg_faults;

/* In dims -1 stands for any size. */
void cyg_faults_add_shape(cyg_faults *f, const cyg_checkpoint_tensor *found, int rank,
                          const int64_t *dims);
void cyg_faults_add_missing(cyg_faults *f, const char *name, int rank, const int64_t *dims);
void cyg_faults_add_extra(cyg_faults *f, const cyg_checkpoint_tensor *found);
size_t cyg_faults_count(const cyg_faults *f);
/* CYG_OK when there are none; else CYG_E_FORMAT: what the checkpoint was taken for, then the lists.
 */
cyg_status cyg_faults_report(cyg_ctx *ctx, const cyg_faults *f, const char *title,
                             const char *taken_for) CYG_MUST_USE;
void cyg_faults_deinit(cyg_faults *f);

#endif

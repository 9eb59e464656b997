/* Samples for a model with several inputs: files of one base name in each input's set form one
 * sample. */
#ifndef CYG_DATA_JOINT_H
#define CYG_DATA_JOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/samples.h"

typedef struct cyg_joint cyg_joint;

/* sources[n] (each with one tensor a sample, opened without a limit) in the order of the model's
 * inputs; they stay the caller's and must outlive the joint. Keeps the first `limit` (-1 = all)
 * base names that every source has, in the order of the first. One source passes through. None in
 * common is an error. */
cyg_status cyg_joint_open(cyg_ctx *ctx, const cyg_sample_source *sources, size_t n, int64_t limit,
                          cyg_joint **out_joint) CYG_MUST_USE;
void cyg_joint_close(cyg_joint *joint); /* NULL is fine */
cyg_sample_source cyg_joint_source(cyg_joint *joint);

#endif

/* A checkpoint: named tensors as they lie in a file, whatever wrote it.
 *
 * safetensors (one file or a sharded set with index.json), PyTorch .bin/.pth in zip form and in the
 * form before 1.6, both through a restricted unpickler that builds tensors and plain containers and
 * executes nothing. Nested wrappers ("model", "state_dict", "model_ema", a "module." prefix) are
 * looked through; training left-overs are skipped without being built. Tensors are views into the
 * mapped file. A checkpoint is compatible for reading: one thread at a time. */
#ifndef CYG_IO_CHECKPOINT_H
#define CYG_IO_CHECKPOINT_H

#include "base/file.h"
#include "base/type.h"

typedef struct cyg_checkpoint cyg_checkpoint;

typedef struct cyg_checkpoint_tensor {
    const char *name; /* as in the state dict, wrappers and "module." removed; lent */
    cyg_type type;    /* F32 F16 BF16 F64 U8 S8 S16 S32 S64 BOOL */
    int rank;
    int64_t dims[CYG_MAX_RANK];
    int64_t strides[CYG_MAX_RANK]; /* in elements; row-major when contiguous */
    bool contiguous;
    const void *data; /* first element, lent, maybe unaligned */
    uint64_t elements;
} cyg_checkpoint_tensor;

/* path: a file, or a folder in Hugging Face layout (model.safetensors,
 * model.safetensors.index.json, pytorch_model.bin, its index; safetensors preferred). */
cyg_status cyg_checkpoint_open(cyg_ctx *ctx, const char *path,
                               cyg_checkpoint **out_checkpoint) CYG_MUST_USE;
void cyg_checkpoint_close(cyg_checkpoint *checkpoint); /* NULL is fine */
size_t cyg_checkpoint_count(const cyg_checkpoint *checkpoint);
const cyg_checkpoint_tensor *cyg_checkpoint_at(const cyg_checkpoint *checkpoint,
                                               size_t i); /* sorted by name */
const cyg_checkpoint_tensor *cyg_checkpoint_find(const cyg_checkpoint *checkpoint,
                                                 const char *name); /* NULL = absent */
/* Elements as float32 / int64, row-major; out holds t->elements. Integers beyond 2^24 lose digits
 * in f32. */
cyg_status cyg_checkpoint_read_f32(cyg_ctx *ctx, const cyg_checkpoint_tensor *t,
                                   float *out) CYG_MUST_USE;
cyg_status cyg_checkpoint_read_s64(cyg_ctx *ctx, const cyg_checkpoint_tensor *t,
                                   int64_t *out) CYG_MUST_USE;
/* The file(s) behind it, for hashes and messages. */
size_t cyg_checkpoint_file_count(const cyg_checkpoint *checkpoint);
const char *cyg_checkpoint_file(const cyg_checkpoint *checkpoint, size_t i);
/* Pages of a tensor that was used up go back to the system. */
void cyg_checkpoint_release(const cyg_checkpoint *checkpoint, const cyg_checkpoint_tensor *t);
/* True when the bytes start like a checkpoint that cyg_checkpoint_open reads (not ONNX). */
bool cyg_checkpoint_is(const char *path);

/* Elements first to first + count, row-major, as float64: exact but for integers beyond 2^53. */
cyg_status cyg_checkpoint_read_f64(cyg_ctx *ctx, const cyg_checkpoint_tensor *t, uint64_t first,
                                   size_t count, double *out) CYG_MUST_USE;
/* Over all elements, in float64. std is the sample's (n - 1), as torch.std; a NaN anywhere makes
 * all NaN; what has no elements, or one for std, is NaN. */
typedef struct cyg_checkpoint_stats {
    double min, max, mean, std;
} cyg_checkpoint_stats;
cyg_status cyg_checkpoint_measure(cyg_ctx *ctx, const cyg_checkpoint_tensor *t,
                                  cyg_checkpoint_stats *out_stats) CYG_MUST_USE;
/* What cygnet inspect says about the file. "safetensors", "PyTorch (zip)", "PyTorch (before 1.6)"
 */
const char *cyg_checkpoint_format(const cyg_checkpoint *checkpoint);
const char *cyg_checkpoint_place(
    const cyg_checkpoint *checkpoint); /* keys to the state dict, "" = it is the root */
const char *
cyg_checkpoint_prefix(const cyg_checkpoint *checkpoint); /* taken off every name, "" = none */
/* Lines about what was left out or chosen. */
size_t cyg_checkpoint_note_count(const cyg_checkpoint *checkpoint);
const char *cyg_checkpoint_note_at(const cyg_checkpoint *checkpoint, size_t i);
/* Globals ("module.name") that the pickle names and the reader does not know; never imported. At
 * most 64. */
size_t cyg_checkpoint_unknown_count(const cyg_checkpoint *checkpoint);
const char *cyg_checkpoint_unknown_at(const cyg_checkpoint *checkpoint, size_t i);
/* __metadata__ of a safetensors file, sorted by key. */
size_t cyg_checkpoint_meta_count(const cyg_checkpoint *checkpoint);
const char *cyg_checkpoint_meta_at(const cyg_checkpoint *checkpoint, size_t i,
                                   const char **out_value); /* key */

#endif

/* Cygnet's runtime: load a package, bind buffers, run. The deployable library: needs libc
 * and libm only.
 *
 * Ownership: create and open give an object to the caller, destroy and close take it back. Getters
 * lend. Every function that can fail returns a status and leaves a message for
 * cyg_runtime_message(). Thread rule: a model is safe (read-only after open) and may feed many
 * sessions; a session is compatible (one caller at a time). cyg_session_run allocates nothing. */
#ifndef CYGNET_RUNTIME_H
#define CYGNET_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define CYG_RT_API __attribute__((visibility("default")))
#else
#define CYG_RT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cyg_model cyg_model;
typedef struct cyg_session cyg_session;

typedef struct cyg_tensor_info {
    size_t struct_size;
    const char *name; /* lent, as long as the model */
    int32_t type;     /* 1 f32, 2 u8, 3 s8, 4 u16, 5 s16, 6 s32, 7 s64 (base/types.def order) */
    int32_t rank;
    int64_t dims[8];
    size_t bytes;
    float scale; /* real = scale * (q - zero_point); 0 = plain numbers */
    int32_t zero_point;
} cyg_tensor_info;

typedef struct cyg_session_options {
    size_t struct_size;
    unsigned threads; /* 0 = CYGNET_THREADS, else all processors */
    const char *isa;  /* NULL = CYGNET_CPU, else the best the machine has */
    /* Called after every step when set (profiling, per-layer dumps): step number, name, seconds. */
    void (*on_step)(void *user, uint32_t step, const char *name, double seconds);
    void *user;
    int patient; /* waiting threads sleep instead of spinning: for background jobs and busy machines
                  */
    uint32_t group; /* size group of the package, 0 = the first */
    uint32_t batch; /* samples that the buffers hold; 0 = the group's largest batch */
    /* Who runs subgraphs that are not for the CPU (src/rt/executor.h); lent to the session. A
     * package that needs one that is not here gives no session. */
    const struct cyg_executor *const *executors;
    uint32_t executor_count;
} cyg_session_options;
CYG_RT_API void cyg_session_options_init(cyg_session_options *options);

/* Status 0 = fine; others as in docs/exit-codes.md. The message of the last failure on this thread;
 * never NULL. */
CYG_RT_API const char *cyg_runtime_message(void);

CYG_RT_API int cyg_model_open(const char *path, cyg_model **out_model);
CYG_RT_API void cyg_model_close(cyg_model *model);
CYG_RT_API uint32_t cyg_model_input_count(const cyg_model *model);
CYG_RT_API uint32_t cyg_model_output_count(const cyg_model *model);
CYG_RT_API int cyg_model_input_info(const cyg_model *model, uint32_t i, cyg_tensor_info *out_info);
CYG_RT_API int cyg_model_output_info(const cyg_model *model, uint32_t i, cyg_tensor_info *out_info);
CYG_RT_API uint32_t cyg_model_step_count(const cyg_model *model);
/* A package may hold its program for several input sizes (groups, from 0) and in each for several
 * batches. The getters above show group 0 at its largest batch; steps are counted for that, too. */
CYG_RT_API uint32_t cyg_model_group_count(const cyg_model *model);
/* Batch sizes of a group, the largest first: that of place i, 0 when there is none. */
CYG_RT_API uint32_t cyg_model_batch_size(const cyg_model *model, uint32_t group, uint32_t i);
/* The package's META section: JSON text (preprocessing, labels, how it was made). */
CYG_RT_API const char *cyg_model_meta(const cyg_model *model, size_t *out_size);

CYG_RT_API int cyg_session_create(const cyg_model *model, const cyg_session_options *options,
                                  cyg_session **out_session);
CYG_RT_API void cyg_session_destroy(cyg_session *session);
/* The session's own buffers: write inputs before, read outputs after a run. A run leaves inputs as
 * they are. */
CYG_RT_API void *cyg_session_input(cyg_session *session, uint32_t i);
CYG_RT_API const void *cyg_session_output(const cyg_session *session, uint32_t i);
CYG_RT_API int cyg_session_run(cyg_session *session); /* of all samples that the buffers hold */
/* The first `samples` of them, 1 to cyg_session_batch. Any number runs: it is split greedily over
 * the batch sizes of the package, the largest first, and each sample's result is that of a run
 * alone. Outputs of the other samples are not defined. */
CYG_RT_API int cyg_session_run_batch(cyg_session *session, uint32_t samples);
CYG_RT_API uint32_t cyg_session_batch(const cyg_session *session);
/* The session's buffers, as group and batch make them. */
CYG_RT_API int cyg_session_input_info(const cyg_session *session, uint32_t i,
                                      cyg_tensor_info *out_info);
CYG_RT_API int cyg_session_output_info(const cyg_session *session, uint32_t i,
                                       cyg_tensor_info *out_info);
/* Inside on_step, for the step that it is called for: that step's output as it stands in the arena,
 * later steps may write over it. NULL when there is none, or another executor than the CPU ran the
 * step and kept nothing. */
CYG_RT_API const void *cyg_session_step_output(const cyg_session *session, uint32_t step,
                                               uint32_t output);
CYG_RT_API const char *cyg_session_isa(const cyg_session *session);
CYG_RT_API unsigned cyg_session_threads(const cyg_session *session);
/* Bytes held: activations, packed weights, scratch. */
CYG_RT_API size_t cyg_session_memory(const cyg_session *session);

#ifdef __cplusplus
}
#endif
#endif

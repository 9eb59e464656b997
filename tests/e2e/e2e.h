/* End to end: the program itself, on models and pictures that the tests make up.
 *
 * A test program gets the path of `cygnet` in the environment variable CYGNET and works in one
 * scratch folder, which fixture_setup makes and fixture_teardown removes (CYG_KEEP keeps it):
 *
 *     model.onnx            a small window transformer with fixed pseudo-random weights
 *     cnn.onnx              a small convolutional network of the same ends
 *     calib/                four pictures
 *     val/<class>/          six pictures in three classes, val/labels.tsv names the same
 *     build.json            configuration of a build into out/
 *
 * e2e_cygnet runs a command line (words are split at spaces) and keeps what came back. */
#ifndef CYG_TESTS_E2E_H
#define CYG_TESTS_E2E_H

#include "../testing.h"

#include "io/doc.h"

enum { E2E_CLASSES = 7, E2E_SIDE = 32 };

/* ---- process.c ---- */

typedef struct e2e_result {
    int code; /* exit status; 1000 + signal when killed */
    char *out, *err;
    size_t out_size;
    cyg_doc *doc; /* parsed out, by e2e_json */
} e2e_result;

/* Where the tests work; no slash at its end. */
extern char e2e_root[64];
/* "<root>/<printf>", one of 16 rotating buffers. */
const char *e2e_path(const char *fmt, ...) CYG_PRINTF(1, 2);

typedef struct e2e_how {
    const char *cpu, *threads; /* CYGNET_CPU, CYGNET_THREADS; NULL = not set (threads: 2) */
    const char *folder;        /* to start in; NULL = root */
    const char *interrupt_at;  /* send `signal` once a path matches this pattern; NULL = never */
    int signal;
} e2e_how;

/* Frees what the former call on `r` left. */
void e2e_cygnet(e2e_result *r, e2e_how how, const char *fmt, ...) CYG_PRINTF(3, 4);
void e2e_free(e2e_result *r);
/* The value under key of the object on standard output; fails when there is none. */
const cyg_doc_node *e2e_json(e2e_result *r, const char *key);
double e2e_number(e2e_result *r, const char *key);
/* Fails the test, showing the program's words, unless it ended with this code. */
void e2e_expect(const e2e_result *r, int code);
/* An error of one "error:" whose text holds all of `words` (separated by '|'), and no trace of
 * folder `out`. */
void e2e_expect_error(const e2e_result *r, int code, const char *words, const char *out);
/* Writes each broken model of model.c as bad.onnx and runs the command, which must refuse it by
 * name, node and reason, and leave no `out`. */
void e2e_refuses_broken_models(e2e_result *r, const char *command, const char *out);

/* ---- fixture.c ---- */

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* Writes text to a file below the root; folders are made. */
void fixture_write(const char *name, const void *data, size_t size);
void fixture_text(const char *name, const char *fmt, ...) CYG_PRINTF(2, 3);
/* A stored (uncompressed) RGB picture, different for each seed. */
void fixture_png(const char *name, int width, int height, unsigned seed);
void fixture_copy(const char *from_absolute, const char *to);
/* The whole file; NUL behind it. */
char *fixture_read(const char *path, size_t *out_size);
void fixture_sha256(const char *path, char out[65]);
/* Number of entries of a folder whose name holds text (NULL = any but . and ..). */
int fixture_count(const char *folder, const char *text);

/* ---- model.c ---- */

typedef enum model_damage {
    MODEL_GOOD,
    MODEL_CYCLE,          /* two nodes feed each other */
    MODEL_MISSING_WEIGHT, /* a name that nothing defines */
    MODEL_SHAPE_MISMATCH, /* MatMul of [.., 32] with [31, 64] */
    MODEL_UNSUPPORTED,    /* NonMaxSuppression, Loop and a stranger's operator */
} model_damage;

/* The file's bytes, from malloc. */
/* A convolutional network of the same ends, which runs at any size of its picture. */
uint8_t *model_make_cnn(size_t *out_size);
uint8_t *model_make(model_damage damage, size_t *out_size);

#endif

/* cygnet-run: the smallest program that runs a package, for devices.
 *
 *     cygnet-run [--repeat N] [--threads N] [--isa NAME] [--output PREFIX] PACKAGE [INPUT...]
 *
 * Reads one raw file an input (little-endian, C order, no header), runs, and prints the sha256 of
 * each output, one line each: "<sha256>  <name>". Those lines are the same on every machine, at
 * every ISA level and thread count: comparing them with the ones of another machine is the whole
 * test of a port. Without INPUT the inputs are zeros. With --output the tensors are written too, to
 * PREFIX.0, PREFIX.1 and so on; with --repeat all runs must agree, and the fastest time goes to
 * standard error.
 *
 * It is linked with the runtime alone and shows the public interface at work; arguments are parsed
 * by hand for that reason. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "cygnet/runtime.h"

enum { EXIT_USAGE = 2, EXIT_IO = 3, EXIT_DIFFERS = 6 };

typedef struct arguments {
    const char *package, *output, *isa;
    char **inputs;
    unsigned input_count, threads;
    unsigned long repeat;
} arguments;

static int usage(void)
{
    fprintf(stderr, "cygnet-run [--repeat N] [--threads N] [--isa NAME] [--output PREFIX] PACKAGE "
                    "[INPUT...]\n");
    return EXIT_USAGE;
}

static bool parse_number(const char *text, unsigned long most, unsigned long *out)
{
    char *end = NULL;
    *out = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out <= most;
}

static bool parse(int argc, char **argv, arguments *a)
{
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        unsigned long n = 0;
        if (strcmp(argv[i], "--output") == 0)
            a->output = argv[i + 1];
        else if (strcmp(argv[i], "--isa") == 0)
            a->isa = argv[i + 1];
        else if (strcmp(argv[i], "--repeat") == 0 && parse_number(argv[i + 1], 1000000, &n) &&
                 n > 0)
            a->repeat = n;
        else if (strcmp(argv[i], "--threads") == 0 && parse_number(argv[i + 1], 256, &n))
            a->threads = (unsigned)n;
        else
            return false;
    }
    if (i >= argc || strncmp(argv[i], "--", 2) == 0)
        return false;
    a->package = argv[i];
    a->inputs = argv + i + 1;
    a->input_count = (unsigned)(argc - i - 1);
    return true;
}

static int fail(const char *what)
{
    fprintf(stderr, "error: %s\n", what);
    return 1;
}

/* The exit codes of docs/exit-codes.md, as far as a runtime meets them. */
static int fail_runtime(int status)
{
    fprintf(stderr, "error: %s\n", cyg_runtime_message());
    static const int codes[] = {0, 2, 2, 3, 4, 5, 4, 6, 7, 130, 70};
    return status > 0 && (size_t)status < sizeof codes / sizeof codes[0] ? codes[status] : 70;
}

static int read_input(const char *path, void *out, size_t bytes, const char *name)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return EXIT_IO;
    }
    const size_t got = fread(out, 1, bytes, f);
    const bool exact = got == bytes && fgetc(f) == EOF && !ferror(f);
    fclose(f);
    if (exact)
        return 0;
    fprintf(stderr, "error: %s: expected exactly %zu bytes for input \"%s\"\n", path, bytes, name);
    return EXIT_IO;
}

static int feed(const cyg_model *model, cyg_session *session, const arguments *a)
{
    const unsigned count = cyg_model_input_count(model);
    if (a->input_count != 0 && a->input_count != count) {
        fprintf(stderr, "error: the package has %u inputs, %u files were given\n", count,
                a->input_count);
        return EXIT_USAGE;
    }
    for (unsigned i = 0; i < count; i++) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        const int status = cyg_model_input_info(model, i, &info);
        if (status != 0)
            return fail_runtime(status);
        memset(cyg_session_input(session, i), 0, info.bytes);
        const int code =
            a->input_count == 0
                ? 0
                : read_input(a->inputs[i], cyg_session_input(session, i), info.bytes, info.name);
        if (code != 0)
            return code;
    }
    return 0;
}

static int write_output(const char *prefix, unsigned i, const void *data, size_t bytes)
{
    char path[4096];
    const int len = snprintf(path, sizeof path, "%s.%u", prefix, i);
    if (len < 0 || (size_t)len >= sizeof path)
        return fail("--output: the name is too long");
    FILE *f = fopen(path, "wb");
    if (f == NULL) {
        perror(path);
        return EXIT_IO;
    }
    const bool wrote = fwrite(data, 1, bytes, f) == bytes;
    if (fclose(f) == 0 && wrote)
        return 0;
    perror(path);
    remove(path);
    return EXIT_IO;
}

/* One hash over all outputs, for comparing runs. */
static int hash_outputs(const cyg_model *model, const cyg_session *session, char out_hex[65])
{
    cyg_sha all;
    cyg_sha256_init(&all);
    for (unsigned i = 0; i < cyg_model_output_count(model); i++) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        const int status = cyg_model_output_info(model, i, &info);
        if (status != 0)
            return fail_runtime(status);
        cyg_sha_update(&all, cyg_session_output(session, i), info.bytes);
    }
    cyg_sha_final_hex(&all, out_hex);
    return 0;
}

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int run_all(const cyg_model *model, cyg_session *session, const arguments *a)
{
    char first[65] = "", now[65] = "";
    double fastest = 0;
    int code = feed(model, session, a);
    for (unsigned long r = 0; code == 0 && r < a->repeat; r++) {
        const double start = milliseconds();
        const int status = cyg_session_run(session);
        const double ms = milliseconds() - start;
        if (status != 0)
            return fail_runtime(status);
        fastest = r == 0 || ms < fastest ? ms : fastest;
        code = hash_outputs(model, session, now);
        if (code != 0)
            return code;
        if (r == 0)
            memcpy(first, now, sizeof first);
        if (strcmp(first, now) != 0) {
            fprintf(stderr, "error: run %lu differs from the first run\n", r);
            return EXIT_DIFFERS;
        }
    }
    if (code != 0)
        return code;
    fprintf(stderr, "%s, %u threads, %lu runs, fastest %.3f ms\n", cyg_session_isa(session),
            cyg_session_threads(session), a->repeat, fastest);
    return 0;
}

static int report(const cyg_model *model, const cyg_session *session, const arguments *a)
{
    for (unsigned i = 0; i < cyg_model_output_count(model); i++) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        char hex[65];
        const int status = cyg_model_output_info(model, i, &info);
        if (status != 0)
            return fail_runtime(status);
        cyg_sha256_hex(cyg_session_output(session, i), info.bytes, hex);
        printf("%s  %s\n", hex, info.name);
        const int code =
            a->output == NULL
                ? 0
                : write_output(a->output, i, cyg_session_output(session, i), info.bytes);
        if (code != 0)
            return code;
    }
    return fflush(stdout) == 0 ? 0 : EXIT_IO;
}

int main(int argc, char **argv)
{
    arguments a = {.repeat = 1};
    cyg_model *model = NULL;
    cyg_session *session = NULL;
    cyg_session_options options;
    if (!parse(argc, argv, &a))
        return usage();
    cyg_session_options_init(&options);
    options.threads = a.threads;
    options.isa = a.isa;
    int status = cyg_model_open(a.package, &model);
    if (status == 0)
        status = cyg_session_create(model, &options, &session);
    int code = status != 0 ? fail_runtime(status) : run_all(model, session, &a);
    if (code == 0)
        code = report(model, session, &a);
    cyg_session_destroy(session);
    cyg_model_close(model);
    return code;
}

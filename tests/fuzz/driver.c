/* Runs a fuzz entry without a fuzzer: over the files given, and over damaged copies of them.
 *
 * Each file as it is, cut at spread lengths, and `rounds` times with a few bytes changed, spliced
 * or repeated by a fixed generator; with no file, over random bytes. The same work every time, so
 * it can stand in the test suite. For real fuzzing link the entry with -fsanitize=fuzzer instead of
 * this file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 16, ROUNDS = 300, CUTS = 64 };

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* An exact copy on the heap: the sanitizer sees one byte too many. */
static void run_exact(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        return;
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t damage(uint8_t *data, size_t size)
{
    static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, '\n', '"', '{', '[', '9', '-', '\\'};
    for (uint32_t changes = 1 + next_random() % 4; changes > 0 && size > 0; changes--) {
        const size_t at = next_random() % size, other = next_random() % size;
        const size_t longest = size - (at > other ? at : other);
        switch (next_random() % 5) {
        case 0:
            data[at] = (uint8_t)(data[at] ^ 1u << next_random() % 8);
            break;
        case 1:
            data[at] = telling[next_random() % sizeof telling];
            break;
        case 2:
            memmove(data + at, data + other, next_random() % (longest < 64 ? longest + 1 : 64));
            break;
        case 3:
            memset(data + at, (int)(next_random() % 256), longest < 4 ? longest : 4);
            break;
        default:
            size = at;
            break;
        }
    }
    return size;
}

static void run_damaged(const uint8_t *data, size_t size)
{
    static uint8_t work[MOST];
    run_exact(data, size);
    for (size_t i = 0; i < CUTS; i++)
        run_exact(data, size * i / CUTS);
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(work, data, size);
        run_exact(work, damage(work, size));
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[MOST];
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (f == NULL) {
            fprintf(stderr, "%s: cannot open\n", argv[i]);
            return 1;
        }
        const size_t size = fread(data, 1, sizeof data, f);
        fclose(f);
        run_damaged(data, size);
    }
    for (int i = 0; argc < 2 && i < 16; i++) {
        for (size_t k = 0; k < 512; k++)
            data[k] = (uint8_t)next_random();
        run_damaged(data, (size_t)i * 32);
    }
    return 0;
}

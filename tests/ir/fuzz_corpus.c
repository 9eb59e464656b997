/* Runs the fuzz entry over every case of a file, whole, cut short and with bytes changed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void damage(const char *text, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL)
        return;
    for (size_t at = 0; at < size; at++) {
        static const char marks[] = "\"%[]{}()9-?@*\0";
        memcpy(copy, text, size);
        copy[at] = (uint8_t)marks[at % (sizeof marks - 1)];
        LLVMFuzzerTestOneInput(copy, size);
        memcpy(copy, text, size);
        copy[at] ^= (uint8_t)(1u << (at % 7));
        LLVMFuzzerTestOneInput(copy, size);
        LLVMFuzzerTestOneInput((const uint8_t *)text, at);
    }
    free(copy);
}

int main(int argc, char **argv)
{
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    static char text[1 << 18];
    const size_t size = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
    if (size == 0)
        return 1;
    fclose(f);
    LLVMFuzzerTestOneInput((const uint8_t *)text, size);
    for (char *at = text; at != NULL && *at != '\0';) {
        char *end = strstr(at, "\n\n");
        damage(at, end == NULL ? strlen(at) : (size_t)(end - at));
        at = end == NULL ? NULL : end + 2;
    }
    return 0;
}

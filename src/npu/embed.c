/* Build-time tool: turns files into one C header of byte arrays, so that the built-in machine
 * descriptions are data files in the tree and part of the program.
 *
 *     embed OUTPUT.h FILE...     each as `static const unsigned char cyg_npu_file_<stem>[]` */
#include <stdio.h>
#include <string.h>

static int embed(FILE *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    FILE *in = fopen(path, "rb");
    int byte, column = 0;
    if (in == NULL) {
        perror(path);
        return 1;
    }
    fprintf(out, "static const unsigned char cyg_npu_file_%.*s[] = {", (int)strcspn(name, "."),
            name);
    while ((byte = fgetc(in)) != EOF)
        fprintf(out, "%s%d,", column++ % 20 == 0 ? "\n" : "", byte);
    fprintf(out, "\n};\n");
    return fclose(in) != 0;
}

int main(int argc, char **argv)
{
    FILE *out = argc < 3 ? NULL : fopen(argv[1], "wb");
    int failed = out == NULL;
    for (int i = 2; !failed && i < argc; i++)
        failed = embed(out, argv[i]);
    if (out != NULL && fclose(out) != 0)
        failed = 1;
    if (failed)
        fprintf(stderr, "usage: embed OUTPUT.h FILE...\n");
    return failed;
}

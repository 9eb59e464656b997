/* Where pictures go: see output.c. */
#ifndef CYGNET_TRAIN_OUTPUT_H
#define CYGNET_TRAIN_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

enum { PATH_BYTES = 4096 };

/* All of these say what is wrong on stderr and return 0 when something is. */
int output_png(char const *path, unsigned char const *rgb, int size);
int output_folders(char const *dir);
int output_table(char const *dir, uint64_t count);
int output_picture_path(char *path, size_t bytes, uint64_t index); /* relative to the folder */
int output_raw(int fd, unsigned char const *bytes, size_t count, uint64_t offset);

#endif

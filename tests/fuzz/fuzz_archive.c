/* Fuzz entry: archives. They are opened by path, so the bytes go through an anonymous file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    cyg_archive *a = NULL;
    const int fd = memfd_create("archive", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if ((size == 0 || write(fd, data, size) == (ssize_t)size) &&
        cyg_archive_open(NULL, path, &a) == CYG_OK) {
        const size_t count = cyg_archive_count(a), most = count < 32 ? count : 32;
        for (size_t i = 0; i < most; i++) {
            uint8_t *bytes = NULL;
            size_t n = 0;
            const size_t member = i % 2 == 0 ? i : most - i; /* forward and back */
            if (cyg_archive_size(a, member) < 1 << 22)
                CYG_IGNORE(cyg_archive_read(NULL, a, member, &bytes, &n));
            free(bytes);
        }
        cyg_archive_close(a);
    }
    close(fd);
    return 0;
}

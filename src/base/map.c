/* Read-only file maps.
 *
 * Weights are used where they lie in the file: the kernel brings pages in on demand and may drop
 * them again, so a model of any size costs the memory of what is being looked at. Only regular
 * files are taken: a pipe has no pages, and a device may never end. A file that another process
 * shortens while it is mapped raises SIGBUS; outputs are renamed into place and never rewritten, so
 * Cygnet does not do this to itself. */
#include "base/file.h"

#include <malloc.h> /* malloc_trim */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

cyg_status cyg_map_open(cyg_ctx *ctx, const char *path, cyg_map *out_map)
{
    *out_map = (cyg_map){0};
    cyg_status status = CYG_OK;
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return CYG_FAIL(ctx, CYG_E_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0) {
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: cannot stat: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        status = CYG_FAIL(ctx, CYG_E_IO, "%s: is %s, expected a file", path,
                          S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
        goto done;
    }
    if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            status = CYG_FAIL(ctx, errno == ENOMEM ? CYG_E_NOMEM : CYG_E_IO, "%s: cannot map: %s",
                              path, strerror(errno));
            goto done;
        }
        *out_map = (cyg_map){.data = data, .size = (size_t)st.st_size};
    }
done:
    close(fd);
    return status;
}

/* The map is handed out as const; the system calls want it back without. */
static void *page_address(const cyg_map *map, size_t offset)
{
    return (void *)((uintptr_t)map->data + offset);
}

void cyg_map_close(cyg_map *map)
{
    if (map->data != NULL)
        munmap(page_address(map, 0), map->size);
    *map = (cyg_map){0};
}

void cyg_memory_release(const void *data, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)data + page - 1) & ~(page - 1),
                    end = ((uintptr_t)data + size) & ~(page - 1);
    if (end > begin)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void cyg_memory_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void cyg_map_release_pages(const cyg_map *map, size_t offset, size_t size)
{
    if (map->data == NULL || offset >= map->size)
        return;
    if (size > map->size - offset)
        size = map->size - offset;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t begin = offset & ~(page - 1);
    const size_t end = offset + size == map->size ? map->size : (offset + size) & ~(page - 1);
    if (end > begin)
        (void)madvise(page_address(map, begin), end - begin, MADV_DONTNEED);
}

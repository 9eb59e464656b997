/* Opens libraries late (late.h). */
#include "io/late.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static cyg_status look_up(cyg_ctx *ctx, const cyg_late *late, char *to)
{
    void *library = dlopen(late->library, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s, which is needed %s, does not open: %s",
                        late->library, late->what, dlerror());
    for (size_t i = 0; i < late->count; i++) {
        void *function = dlsym(library, late->names[i]);
        if (function == NULL) {
            dlclose(library);
            return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s, which is needed %s, has no function %s",
                            late->library, late->what, late->names[i]);
        }
        memcpy(to + i * sizeof function, &function, sizeof function);
    }
    return CYG_OK; /* and stays open */
}

cyg_status cyg_late_open(cyg_ctx *ctx, const cyg_late *late, void *out_functions, int *io_ready)
{
    pthread_mutex_lock(&lock);
    cyg_status status = CYG_OK;
    if (!*io_ready) {
        status = look_up(ctx, late, out_functions);
        *io_ready = status == CYG_OK;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

/* The list of what is unfinished on disk: temporaries of writers and staging folders. Internal to
 * base. */
#ifndef CYG_BASE_TEMP_H
#define CYG_BASE_TEMP_H

#include <stdbool.h>

/* Remembers path (copied); false when out of memory. Thread-safe, as are the others. */
bool cyg_temp_add(const char *path);
void cyg_temp_forget(const char *path);

#endif

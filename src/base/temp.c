/* What is unfinished on disk, so that Ctrl-C can take it away.
 *
 * The one piece of state that belongs to the process and not to a context: an interrupt does not
 * know which context was at work. A list under a mutex. cyg_staging_cleanup is for the way out
 * (after the job returned CANCELLED, or in an exit handler); it allocates and locks, so a signal
 * handler must not call it. */
#include "base/temp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

typedef struct temp_entry {
    struct temp_entry *next;
    char *path;
} temp_entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static temp_entry *entries;

bool cyg_temp_add(const char *path)
{
    temp_entry *entry = malloc(sizeof *entry);
    char *copy = strdup(path);
    if (entry == NULL || copy == NULL) {
        free(entry);
        free(copy);
        return false;
    }
    pthread_mutex_lock(&lock);
    *entry = (temp_entry){.next = entries, .path = copy};
    entries = entry;
    pthread_mutex_unlock(&lock);
    return true;
}

void cyg_temp_forget(const char *path)
{
    pthread_mutex_lock(&lock);
    for (temp_entry **at = &entries; *at != NULL; at = &(*at)->next) {
        temp_entry *entry = *at;
        if (strcmp(entry->path, path) != 0)
            continue;
        *at = entry->next;
        free(entry->path);
        free(entry);
        break;
    }
    pthread_mutex_unlock(&lock);
}

void cyg_staging_cleanup(void)
{
    pthread_mutex_lock(&lock);
    while (entries != NULL) {
        temp_entry *entry = entries;
        entries = entry->next;
        CYG_IGNORE(cyg_remove_tree(NULL, entry->path)); /* nobody is left to tell */
        free(entry->path);
        free(entry);
    }
    pthread_mutex_unlock(&lock);
}

/* "Did you mean ...": the nearest name by edit distance.
 *
 * Optimal string alignment distance (insert, delete, replace, swap of neighbours) in units of a
 * quarter edit: a change of case, or of one separator for another ('-', '_', '.', ' '), costs one
 * quarter, everything else four. A name is worth suggesting when at most a third of the longer word
 * (at least one edit) had to change; "foo" is no typo of "bar". On a tie the first name of the list
 * wins, so the answer does not depend on anything but the list. */
#include "base/str.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 96, EDIT = 4 };

static bool is_separator(char c)
{
    return c == '-' || c == '_' || c == '.' || c == ' ';
}

static int replace_cost(char a, char b)
{
    if (a == b)
        return 0;
    if (tolower((unsigned char)a) == tolower((unsigned char)b))
        return 1;
    return is_separator(a) && is_separator(b) ? 1 : EDIT;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int rows[3][LONGEST + 1]; /* rows[i % 3][j]: first i of a against first j of b */
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (int)j * EDIT;
    for (size_t i = 1; i <= a_len; i++) {
        int *now = rows[i % 3];
        const int *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = (int)i * EDIT;
        for (size_t j = 1; j <= b_len; j++) {
            int best = last[j - 1] + replace_cost(a[i - 1], b[j - 1]);
            best = min_int(best, min_int(last[j], now[j - 1]) + EDIT);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = min_int(best, before[j - 2] + EDIT);
            now[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

int cyg_nearest_name(const char *wanted, const char *const *names, size_t count)
{
    const size_t wanted_len = strlen(wanted);
    int best = -1, best_distance = 0;
    if (wanted_len == 0 || wanted_len > LONGEST)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const size_t len = names[i] != NULL ? strlen(names[i]) : 0;
        if (len == 0 || len > LONGEST)
            continue;
        const int d = distance(wanted, wanted_len, names[i], len);
        const int longer = (int)(wanted_len > len ? wanted_len : len);
        const int allowed = (longer < 3 ? 1 : longer / 3) * EDIT;
        if (d <= allowed && d < longer * EDIT && (best < 0 || d < best_distance)) {
            best = (int)i;
            best_distance = d;
        }
    }
    return best;
}

/* binary32 to the shortest of %.6g .. %.9g that reads back as the same float: what files with floats
 * hold, here and in every reader. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

enum {
    LEAST = 6, /* digits, as many as %g */
    MOST = 9,  /* always enough */
};

void cyg_text_float(float value, char out[CYG_FLOAT_TEXT])
{
    for (int digits = LEAST; digits <= MOST; digits++) {
        snprintf(out, CYG_FLOAT_TEXT, "%.*g", digits, (double)value);
        if (digits == MOST || strtof(out, NULL) == value)
            return;
    }
}

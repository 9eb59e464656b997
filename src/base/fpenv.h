/* The floating-point mode that docs/numerics.md demands: nearest even, no flush to zero.
 * cyg_pool_for sets it in every worker. */
#ifndef CYG_BASE_FPENV_H
#define CYG_BASE_FPENV_H

#include <stdint.h>

typedef struct cyg_fpenv {
    uint64_t control; /* MXCSR or FPCR */
} cyg_fpenv;

cyg_fpenv cyg_fpenv_enter(void);       /* sets the mode, returns what was there */
void cyg_fpenv_leave(cyg_fpenv saved); /* puts it back */

#endif

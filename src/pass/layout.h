/* layout: constants channels last, for the passes that turn convolutions into conv2d. Private to
 * pass. */
#ifndef CYG_PASS_LAYOUT_H
#define CYG_PASS_LAYOUT_H

#include "pass/rewrite.h"

/* A float constant of at most four axes that stands for, or broadcasts against, [B, C, H, W] (or
 * [O, I, kh, kw]): the constant for [B, H, W, C], which takes over its name. One of a single
 * element is its own. None when c is no such constant or memory ends. */
cyg_value_id cyg_layout_constant(cyg_rw *rw, cyg_value_id c);

#endif

/* Row functions compiled with this level's flags. See f32/lanes.inc.h. */
#define CYG_LANES(name) name##__avx512vnni
#include "kernels/f32/lanes.inc.h"
#include "kernels/f32/look.inc.h"

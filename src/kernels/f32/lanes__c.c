/* Row functions in plain C: the specification. See lanes.inc.h and look.inc.h. */
#define CYG_LANES(name) name##__c
#include "kernels/f32/lanes.inc.h"
#include "kernels/f32/look.inc.h"

/* Ids: 32-bit indices in one-member structs, so that a node can't be taken for a value. Id
 * 0xffffffff is "none". */
#ifndef CYG_IR_IDS_H
#define CYG_IR_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

typedef struct cyg_value_id {
    uint32_t i;
} cyg_value_id;
typedef struct cyg_node_id {
    uint32_t i;
} cyg_node_id;
typedef struct cyg_source_id {
    uint32_t i;
} cyg_source_id; /* provenance: a node or tensor of the source file */

#define CYG_NO_ID 0xffffffffu
#define CYG_NO_VALUE ((cyg_value_id){CYG_NO_ID})
#define CYG_NO_NODE ((cyg_node_id){CYG_NO_ID})

CYG_INLINE bool cyg_value_is_none(cyg_value_id v)
{
    return v.i == CYG_NO_ID;
}
CYG_INLINE bool cyg_node_is_none(cyg_node_id n)
{
    return n.i == CYG_NO_ID;
}

#endif

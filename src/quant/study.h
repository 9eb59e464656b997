/* Private to quant/: what a study (quant.h) keeps of weights between its trials. */
#ifndef CYG_QUANT_STUDY_H
#define CYG_QUANT_STUDY_H

#include "quant/params.h"
#include "quant/rows.h"

/* Gives node id the weights and the bias that a trial before this one made for an input stored as x
 * and weights of this type; false: there was none. Without a study nothing happens. */
cyg_status cyg_quant_memo_recall(cyg_scheme *s, cyg_node_id id, const cyg_quant *x, cyg_type type,
                                 bool *out_known) CYG_MUST_USE;
/* Keeps what the node has now; bias_before: its bias before it was corrected. */
cyg_status cyg_quant_memo_keep(cyg_scheme *s, cyg_node_id id, const cyg_quant *x,
                               cyg_value_id bias_before) CYG_MUST_USE;

#endif

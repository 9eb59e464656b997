/* What was asked of each node against what the scheme chose. A wish that a node has no form for, or
 * that the other readers and writers of a value overrule, is no reason to stop (a range of tensors
 * reaches everything between them), but nobody should take it for granted. */
#include "quant/internal.h"

/* Whether its data operands first..end-1 are stored as they were asked for. */
static bool reads_as_asked(const cyg_scheme *s, const cyg_node *n, uint32_t first, uint32_t end)
{
    for (uint32_t k = first; k < n->in_count && k < end; k++) {
        if (cyg_value_is_none(n->in[k]) || !cyg_quant_reads_data(n, k) || k == 3)
            continue; /* operand 3 is a residual, which is no part of the wish */
        const cyg_value *v = cyg_val(s->g, n->in[k]);
        const cyg_type asked = cyg_quant_asked_operand(s, n, k);
        if (v->type != CYG_TYPE_F32 || v->is_const || asked == CYG_TYPE_NONE)
            continue;
        const cyg_store stored = s->store[s->class_of[n->in[k].i]],
                        now =
                            cyg_quant_accepts(s, n, k, stored) ? stored : cyg_quant_demand(s, n, k);
        const bool as_bytes = n->op == CYG_OP_attention && now != CYG_STORE_S16;
        if (as_bytes ? asked == CYG_TYPE_S16 : now != cyg_quant_store_of(asked))
            return false; /* 8 bits of an attention are S8, in scales of its own */
    }
    return true;
}

/* apart: v of an attention was asked for on its own. */
static bool data_met(const cyg_scheme *s, const cyg_node *n, bool integer, cyg_type data,
                     bool apart)
{
    if (data == CYG_TYPE_F32 && !cyg_quant_is_move(n))
        return !integer;      /* the choice of nodes sees to that */
    if (cyg_quant_is_move(n)) /* as what it moves */
        return s->store[s->class_of[n->out[0].i]] == cyg_quant_store_of(data);
    if (!integer)
        return false;
    if (cyg_quant_is_table(n))
        return s->store[s->class_of[n->out[0].i]] == cyg_quant_store_of(data);
    return reads_as_asked(s, n, 0, n->op == CYG_OP_attention && apart ? 2 : n->in_count);
}

static bool output_met(const cyg_scheme *s, const cyg_node *n, cyg_type output)
{
    for (uint32_t k = 0; k < n->out_count; k++)
        if (!cyg_value_is_none(n->out[k]) &&
            s->store[s->class_of[n->out[k].i]] != cyg_quant_store_of(output))
            return false;
    return true;
}

static uint8_t outcome_of(const cyg_scheme *s, uint32_t id)
{
    const cyg_node *n = &s->g->nodes[id];
    const cyg_asked p = cyg_quant_asked(s, n);
    const bool integer = s->integer[id], to_float = p.data == CYG_TYPE_F32,
               weighted = n->op == CYG_OP_linear || n->op == CYG_OP_conv2d;
    unsigned bits = to_float ? CYG_FLOAT_AS_ASKED : 0;
    const bool apart = p.value != CYG_TYPE_NONE;
    if (p.data != CYG_TYPE_NONE && !data_met(s, n, integer, p.data, apart))
        bits |= CYG_PART_DATA;
    if (apart && n->op == CYG_OP_attention && !(integer && reads_as_asked(s, n, 2, 3)))
        bits |= CYG_PART_VALUE;
    if (p.output != CYG_TYPE_NONE && !output_met(s, n, p.output))
        bits |= CYG_PART_OUTPUT;
    if (p.weight == CYG_TYPE_S16 && weighted && !integer)
        bits |= CYG_PART_WEIGHT;
    if (p.s4 && weighted && !s->s4[id])
        bits |= CYG_PART_WEIGHT;
    if (p.e_bits != 0 && n->op == CYG_OP_attention && !integer && !to_float)
        bits |= CYG_PART_PROBABILITIES;
    return (uint8_t)bits;
}

cyg_status cyg_quant_outcomes(cyg_scheme *s, cyg_quant_report *report)
{
    uint8_t *outcomes = CYG_NEW_ARRAY(&s->g->arena, uint8_t, s->node_count + 1);
    if (outcomes == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < s->g->order_count; i++)
        outcomes[s->g->order[i].i] = outcome_of(s, s->g->order[i].i);
    report->outcomes = s->outcomes = outcomes;
    report->outcome_count = s->node_count;
    return CYG_OK;
}

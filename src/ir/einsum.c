/* Reading Einsum's equations, and the shape of its result (einsum.h). */
#include "ir/einsum.h"

#include <string.h>

#include "ir/shape.h"

static int letter(char c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= 'A' && c <= 'Z' ? c - 'A' : -1;
}

/* Letters and at most one "..."; *out_dots is where it stands, or -1. Ends at ',', '-' or the end.
 */
static const char *read_term(const char **text, cyg_einsum_term *t, int *out_dots)
{
    *t = (cyg_einsum_term){0};
    *out_dots = -1;
    for (; **text != '\0' && **text != ',' && **text != '-'; (*text)++) {
        if (**text == ' ')
            continue;
        if (strncmp(*text, "...", 3) == 0) {
            if (*out_dots >= 0)
                return "\"...\" twice in one term";
            *out_dots = t->rank;
            *text += 2;
            continue;
        }
        if (letter(**text) < 0)
            return "something that is neither letter, comma, \"...\" nor \"->\"";
        if (t->rank == CYG_MAX_RANK)
            return "more than 8 letters in one term";
        t->label[t->rank++] = (uint8_t)letter(**text);
    }
    return NULL;
}

/* Puts `dots` labels of the ellipsis where it stands. */
static bool open_dots(cyg_einsum_term *t, int at, int dots)
{
    cyg_einsum_term opened = {0};
    if (at < 0 || dots <= 0)
        return true;
    if (t->rank + dots > CYG_MAX_RANK)
        return false;
    for (int i = 0; i < CYG_MAX_RANK && i < t->rank + dots; i++)
        opened.label[i] = i < at          ? t->label[i]
                          : i < at + dots ? (uint8_t)(CYG_EINSUM_LETTERS + at + dots - 1 - i)
                                          : t->label[i - dots];
    opened.rank = (uint8_t)(t->rank + dots);
    *t = opened;
    return true;
}

/* The result of an equation without "->". */
static bool implied(const cyg_einsum *e, int most_dots, cyg_einsum_term *out)
{
    int seen[CYG_EINSUM_LETTERS] = {0}, letters = 0;
    for (uint32_t i = 0; i < e->count; i++)
        for (int k = 0; k < e->in[i].rank; k++)
            if (e->in[i].label[k] < CYG_EINSUM_LETTERS)
                seen[e->in[i].label[k]]++;
    *out = (cyg_einsum_term){0};
    for (int c = 0; c < CYG_EINSUM_LETTERS; c++)
        letters += seen[c] == 1;
    if (letters + most_dots > CYG_MAX_RANK)
        return false;
    for (int i = most_dots; i-- > 0 && out->rank < CYG_MAX_RANK;)
        out->label[out->rank++] = (uint8_t)(CYG_EINSUM_LETTERS + i);
    for (int c = 0; c < CYG_EINSUM_LETTERS; c++)
        if (seen[c] == 1 && out->rank < CYG_MAX_RANK)
            out->label[out->rank++] = (uint8_t)c;
    return true;
}

/* Every label of the result must be one of an operand, once. */
static bool result_is_known(const cyg_einsum *e)
{
    bool there[CYG_EINSUM_LABELS] = {0};
    for (uint32_t i = 0; i < e->count; i++)
        for (int k = 0; k < e->in[i].rank; k++)
            there[e->in[i].label[k]] = true;
    for (int k = 0; k < e->out.rank; k++) {
        if (!there[e->out.label[k]])
            return false;
        there[e->out.label[k]] = false;
    }
    return true;
}

const char *cyg_einsum_parse(const char *text, const uint8_t *ranks, uint32_t count, cyg_einsum *e)
{
    int dots, most_dots = 0;
    *e = (cyg_einsum){.count = count};
    if (count > CYG_EINSUM_OPERANDS)
        return "more than 16 operands";
    for (uint32_t i = 0; i < count; i++) {
        const char *why = read_term(&text, &e->in[i], &dots);
        if (why != NULL)
            return why;
        const int own = ranks[i] == CYG_RANK_UNKNOWN ? e->in[i].rank : ranks[i];
        if (dots >= 0 ? own < e->in[i].rank : own != e->in[i].rank)
            return "a term whose letters do not fit its operand's dimensions";
        if (dots >= 0 && !open_dots(&e->in[i], dots, own - e->in[i].rank))
            return "an operand of more than 8 dimensions";
        e->open = e->open || (dots >= 0 && ranks[i] == CYG_RANK_UNKNOWN);
        if (dots >= 0)
            for (int k = 0; k < e->in[i].rank; k++)
                if (e->in[i].label[k] >= CYG_EINSUM_LETTERS + most_dots)
                    most_dots = e->in[i].label[k] - CYG_EINSUM_LETTERS + 1;
        if (i + 1 < count && *text != ',')
            return "fewer terms than operands";
        text += *text == ',';
    }
    if (*text == '\0')
        return implied(e, most_dots, &e->out) ? NULL : "a result of more than 8 dimensions";
    if (strncmp(text, "->", 2) != 0)
        return "more terms than operands, or a \"-\" without \">\"";
    text += 2;
    const char *why = read_term(&text, &e->out, &dots);
    if (why != NULL)
        return why;
    if (*text != '\0')
        return "more than one term behind \"->\"";
    if (!open_dots(&e->out, dots, most_dots))
        return "a result of more than 8 dimensions";
    return e->open || result_is_known(e)
               ? NULL
               : "a letter of the result that no operand has, or has twice";
}

/* Letters mean one size everywhere; dimensions of "..." broadcast. */
static cyg_status merge(cyg_infer *s, int64_t *size, int64_t now, bool broadcasts)
{
    if (*size == -2 || (broadcasts && *size == 1)) {
        *size = now;
        return CYG_OK;
    }
    if (broadcasts && now == 1)
        return CYG_OK;
    return cyg_infer_same_dim(s, "a letter's size", *size, now, size);
}

cyg_status cyg_shape_rule_einsum(cyg_infer *s)
{
    uint8_t ranks[CYG_EINSUM_OPERANDS] = {0};
    int64_t size[CYG_EINSUM_LABELS];
    cyg_einsum e;
    const cyg_shape first = cyg_infer_shape_in(s, 0);
    bool known = true;
    for (uint32_t i = 0; i < s->n->in_count && i < CYG_EINSUM_OPERANDS; i++) {
        ranks[i] = cyg_infer_shape_in(s, i).rank;
        known = known && ranks[i] != CYG_RANK_UNKNOWN;
    }
    const char *why =
        cyg_einsum_parse(cyg_node_string(s->n, CYG_ATTR_equation, ""), ranks, s->n->in_count, &e);
    if (why != NULL)
        return CYG_INFER_FAIL(s, "equation \"%.100s\": %s",
                              cyg_node_string(s->n, CYG_ATTR_equation, ""), why);
    if (!known)
        return cyg_infer_set_unknown(s, first.type);
    for (int c = 0; c < CYG_EINSUM_LABELS; c++)
        size[c] = -2;
    for (uint32_t i = 0; i < e.count; i++) {
        const cyg_shape x = cyg_infer_shape_in(s, i);
        for (int k = 0; k < x.rank; k++)
            CYG_DO(merge(s, &size[e.in[i].label[k]], x.dims[k],
                         e.in[i].label[k] >= CYG_EINSUM_LETTERS));
    }
    cyg_shape y = {.type = first.type, .rank = e.out.rank};
    for (int k = 0; k < e.out.rank; k++)
        y.dims[k] = size[e.out.label[k]];
    return cyg_infer_set(s, 0, &y);
}

/* A matrix of operand 0's shape; its type unless dtype says another. */
cyg_status cyg_shape_rule_eye_like(cyg_infer *s)
{
    cyg_shape y = cyg_infer_shape_in(s, 0);
    if (y.rank != 2 && y.rank != CYG_RANK_UNKNOWN)
        return CYG_INFER_FAIL(s, "expected a matrix, found %s", cyg_shape_str(s->g, &y).s);
    if (cyg_node_attr(s->n, CYG_ATTR_dtype) != NULL)
        y.type = cyg_type_from_onnx(cyg_node_int(s->n, CYG_ATTR_dtype, 0));
    if (y.rank == CYG_RANK_UNKNOWN)
        y = (cyg_shape){.type = y.type, .rank = 2, .dims = {-1, -1}};
    return cyg_infer_set(s, 0, &y);
}

/* Reading of formulas (formula.h): recursive descent over a line of the pattern table.
 *
 * Products and sums are kept flat, constants collected: a * (b / c) and a / c * b are one tree, so
 * that matching need not know how either side is grouped. sqrt(a) and reciprocal(a) are powers. The
 * table is part of the program, so a mistake in it is an internal error; it still names the place.
 */
#include "pass/formula.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX = 32 };

typedef struct reader {
    cyg_ctx *ctx;
    cyg_arena *arena;
    const char *text, *at;
    char names[CYG_FORMULA_SLOTS][NAME_MAX];
    int name_count;
} reader;

static cyg_status sum(reader *r, cyg_term **out);

static cyg_status wrong(const reader *r, const char *expected)
{
    return CYG_FAIL(r->ctx, CYG_E_INTERNAL, "pattern \"%s\", at \"%.20s\": expected %s", r->text,
                    r->at, expected);
}

/* ---- characters ---- */

static void skip(reader *r)
{
    while (*r->at == ' ')
        r->at++;
}

static bool take(reader *r, const char *mark)
{
    skip(r);
    const size_t len = strlen(mark);
    if (strncmp(r->at, mark, len) != 0)
        return false;
    r->at += len;
    return true;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool take_word(reader *r, const char *word)
{
    const char *const before = r->at;
    if (take(r, word) && !is_word(*r->at))
        return true;
    r->at = before;
    return false;
}

static bool read_word(reader *r, char out[NAME_MAX])
{
    size_t n = 0;
    skip(r);
    while (is_word(r->at[n]) && n + 1 < NAME_MAX)
        n++;
    memcpy(out, r->at, n);
    out[n] = '\0';
    r->at += n;
    return n > 0;
}

static bool read_number(reader *r, double *out)
{
    char *end;
    skip(r);
    *out = strtod(r->at, &end);
    const bool ok = end != r->at;
    r->at = end;
    return ok;
}

static bool begins_number(reader *r)
{
    skip(r);
    return isdigit((unsigned char)*r->at) || (*r->at == '-' && isdigit((unsigned char)r->at[1]));
}

/* The slot of a name, with its mark ('$', '@', '#' or ' ') in front. */
static cyg_status slot_of(reader *r, char mark, const char *word, int *out_slot)
{
    char name[NAME_MAX + 1] = {mark};
    memcpy(name + 1, word, strlen(word) + 1);
    for (int i = 0; i < r->name_count; i++)
        if (strncmp(r->names[i], name, NAME_MAX - 1) == 0) {
            *out_slot = i;
            return CYG_OK;
        }
    if (r->name_count == CYG_FORMULA_SLOTS)
        return wrong(r, "fewer names");
    *out_slot = r->name_count++;
    memcpy(r->names[*out_slot], name, NAME_MAX - 1);
    return CYG_OK;
}

/* ---- terms ---- */

static cyg_status new_term(reader *r, cyg_term_kind kind, cyg_term **out)
{
    cyg_term *t = CYG_NEW(r->arena, cyg_term);
    if (t == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "out of memory");
    *t = (cyg_term){
        .kind = kind, .slot = -1, .number = kind == CYG_TERM_PRODUCT ? 1.0 : 0.0, .weight = 1.0};
    *out = t;
    return CYG_OK;
}

/* What excludes most is tried first: operators, then arithmetic, then constants, then names that
 * fit anything. */
static int rank(const cyg_term *t)
{
    switch ((int)t->kind) {
    case CYG_TERM_CALL:
        return 0;
    case CYG_TERM_PRODUCT:
    case CYG_TERM_SUM:
        return 1;
    case CYG_TERM_CHANNELS:
        return 2;
    default:
        return 3;
    }
}

static void insert(cyg_term *parent, cyg_term *t)
{
    cyg_term **at = &parent->child;
    while (*at != NULL && rank(*at) <= rank(t))
        at = &(*at)->next;
    t->next = *at;
    *at = t;
}

static void add_number(cyg_term *parent, double x, double weight)
{
    if (parent->kind == CYG_TERM_PRODUCT)
        parent->number *= pow(x, weight);
    else
        parent->number += weight * x;
}

/* parent gets the factor t ^ exponent (or the addend sign * t): constants join its number, products
 * in products and sums in sums dissolve. */
static cyg_status join(reader *r, cyg_term *parent, cyg_term *t, double weight)
{
    const bool product = parent->kind == CYG_TERM_PRODUCT;
    if (t->kind == CYG_TERM_NUMBER && t->slot >= 0) {
        if (parent->slot >= 0 || weight != 1.0)
            return wrong(r, "one @number, not divided or subtracted");
        parent->slot = t->slot;
    } else if (t->kind == CYG_TERM_NUMBER) {
        add_number(parent, t->number, weight);
    } else if (t->kind == parent->kind && t->slot < 0 && (!product || weight == rint(weight))) {
        add_number(parent, t->number, weight);
        for (cyg_term *c = t->child, *next; c != NULL; c = next) {
            next = c->next;
            c->weight *= weight;
            insert(parent, c);
        }
    } else {
        t->weight = weight;
        insert(parent, t);
    }
    return CYG_OK;
}

/* t ^ exponent as a term. */
static cyg_status power_of(reader *r, cyg_term *t, double exponent, cyg_term **out)
{
    CYG_DO(new_term(r, CYG_TERM_PRODUCT, out));
    return join(r, *out, t, exponent);
}

static cyg_status attributes(reader *r, cyg_term *t)
{
    char word[NAME_MAX];
    while (!take(r, "}")) {
        cyg_term_attr *a = CYG_NEW(r->arena, cyg_term_attr);
        if (a == NULL)
            return CYG_FAIL(r->ctx, CYG_E_NOMEM, "out of memory");
        *a = (cyg_term_attr){.slot = -1, .next = t->attrs};
        if (!read_word(r, word) || (a->key = cyg_attr_key_find(word)) == CYG_ATTR_COUNT ||
            !take(r, "="))
            return wrong(r, "attribute =");
        if (take(r, "@")) {
            if (!read_word(r, word))
                return wrong(r, "a name");
            CYG_DO(slot_of(r, '@', word, &a->slot));
        } else if (take(r, "\"")) {
            const size_t len = strcspn(r->at, "\"");
            a->text = cyg_arena_strndup(r->arena, r->at, len);
            r->at += len;
            if (a->text == NULL || !take(r, "\""))
                return wrong(r, "a string");
        } else if (!read_number(r, &a->number)) {
            return wrong(r, "a number, @number or \"string\"");
        }
        t->attrs = a;
        if (!take(r, ",") && *r->at != '}')
            return wrong(r, ", or }");
    }
    return CYG_OK;
}

static cyg_op op_named(const char *id)
{
    for (int op = 0; op < CYG_OP_COUNT; op++)
        if (strcmp(cyg_op_schema_of((cyg_op)op)->id, id) == 0)
            return (cyg_op)op;
    return CYG_OP_COUNT;
}

static cyg_status call(reader *r, const char *word, bool last, bool channel, bool only,
                       cyg_term **out)
{
    CYG_DO(new_term(r, CYG_TERM_CALL, out));
    cyg_term *t = *out, **at = &t->child;
    t->last = last;
    t->channel = channel;
    t->only = only;
    do {
        CYG_DO(sum(r, at));
        at = &(*at)->next;
    } while (take(r, ","));
    if (!take(r, ")"))
        return wrong(r, ")");
    if (strcmp(word, "sqrt") == 0 || strcmp(word, "reciprocal") == 0)
        return power_of(r, t->child, word[0] == 's' ? 0.5 : -1.0, out);
    t->op = op_named(word);
    if (t->op == CYG_OP_COUNT)
        return wrong(r, "an operator of ops.def in front");
    return take(r, "{") ? attributes(r, t) : CYG_OK;
}

static cyg_status atom(reader *r, cyg_term **out)
{
    char word[NAME_MAX];
    if (begins_number(r)) {
        CYG_DO(new_term(r, CYG_TERM_NUMBER, out));
        return read_number(r, &(*out)->number) ? CYG_OK : wrong(r, "a number");
    }
    if (take(r, "(")) {
        CYG_DO(sum(r, out));
        return take(r, ")") ? CYG_OK : wrong(r, ")");
    }
    const bool only = take_word(r, "only");
    const char mark = take(r, "$") ? '$' : take(r, "@") ? '@' : take(r, "#") ? '#' : ' ';
    if (!read_word(r, word))
        return wrong(r, "a term");
    const bool last = take(r, ".last"), channel = !last && take(r, ".channel");
    if (mark == ' ' && take(r, "("))
        return call(r, word, last, channel, only, out);
    if (last || channel || only)
        return wrong(r, "(");
    if (mark == ' ' && strcmp(word, "ones") == 0)
        return new_term(r, CYG_TERM_ONES, out);
    CYG_DO(new_term(r,
                    mark == '$'   ? CYG_TERM_CHANNELS
                    : mark == '@' ? CYG_TERM_NUMBER
                    : mark == '#' ? CYG_TERM_CONST
                                  : CYG_TERM_VALUE,
                    out));
    return slot_of(r, mark, word, &(*out)->slot);
}

static cyg_status power(reader *r, cyg_term **out)
{
    double exponent;
    CYG_DO(atom(r, out));
    if (!take(r, "^"))
        return CYG_OK;
    if (!read_number(r, &exponent))
        return wrong(r, "a number");
    return power_of(r, *out, exponent, out);
}

/* An operand on its own is no product or sum of one. */
static cyg_term *plain(cyg_term *t)
{
    const bool product = t->kind == CYG_TERM_PRODUCT;
    if (t->child != NULL && t->child->next == NULL && t->slot < 0 && t->child->weight == 1.0 &&
        t->number == (product ? 1.0 : 0.0))
        return t->child;
    if (t->child == NULL)
        t->kind = CYG_TERM_NUMBER;
    return t;
}

static cyg_status product(reader *r, cyg_term **out)
{
    cyg_term *t, *whole;
    CYG_DO(new_term(r, CYG_TERM_PRODUCT, &whole));
    for (double exponent = 1.0;; exponent = r->at[-1] == '/' ? -1.0 : 1.0) {
        CYG_DO(power(r, &t));
        CYG_DO(join(r, whole, t, exponent));
        if (!take(r, "*") && !take(r, "/"))
            break;
    }
    *out = plain(whole);
    return CYG_OK;
}

static cyg_status sum(reader *r, cyg_term **out)
{
    cyg_term *t, *whole;
    CYG_DO(new_term(r, CYG_TERM_SUM, &whole));
    double sign = !begins_number(r) && take(r, "-") ? -1.0 : 1.0;
    for (;;) {
        CYG_DO(product(r, &t));
        CYG_DO(join(r, whole, t, sign));
        skip(r);
        if (strncmp(r->at, "->", 2) == 0 || (!take(r, "+") && !take(r, "-")))
            break;
        sign = r->at[-1] == '-' ? -1.0 : 1.0;
    }
    *out = plain(whole);
    const bool negative = *out == whole && whole->child != NULL && whole->child->next == NULL &&
                          whole->slot < 0 && whole->number == 0.0;
    if (!negative)
        return CYG_OK;
    t = whole->child; /* -a is a product, as in Mul(a, -1) */
    CYG_DO(power_of(r, t, 1.0, out));
    (*out)->number = -(*out)->number;
    return CYG_OK;
}

cyg_status cyg_formula_parse(cyg_ctx *ctx, cyg_arena *arena, const char *text, cyg_formula *out)
{
    reader r = {.ctx = ctx, .arena = arena, .text = text, .at = text};
    char word[NAME_MAX];
    int slot;
    *out = (cyg_formula){.text = text};
    CYG_DO(sum(&r, &out->pattern));
    while (take_word(&r, "where")) {
        if (!read_word(&r, word) || !take(&r, "="))
            return wrong(&r, "name =");
        CYG_DO(slot_of(&r, ' ', word, &slot));
        CYG_DO(sum(&r, &out->meaning[slot]));
    }
    if (!take(&r, "->"))
        return wrong(&r, "->");
    CYG_DO(sum(&r, &out->result));
    skip(&r);
    if (*r.at != '\0' || out->result->kind != CYG_TERM_CALL)
        return wrong(&r, "one operator and the end");
    return CYG_OK;
}

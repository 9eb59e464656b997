/* Einsum and EyeLike: what import makes of them, run, is what their definitions say; those are
 * written out here as loops over every letter. */
#include "fixture.h"

#include <math.h>

#include "interp/interp.h"

enum { F32 = 1, MOST = 512, OPERANDS = 3 };

/* Sizes of the letters: all different where it matters. */
static int64_t size_of(char c)
{
    return c == '*' ? 2 : 2 + (c * 7 % 4);
}

/* The terms of an equation with "..." as one letter '*' (one dimension), blanks left out. */
typedef struct equation {
    char in[OPERANDS][8], out[8];
    int count;
} equation;

static equation read_equation(const char *text)
{
    equation e = {.count = 1};
    char *to = e.in[0];
    for (; *text != '\0'; text++) {
        if (*text == ' ')
            continue;
        if (*text == ',') {
            to = e.in[e.count++];
        } else if (*text == '-') {
            to = e.out;
            text++;
        } else if (*text == '.') {
            *to++ = '*';
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    return e;
}

static int64_t offset(const char *term, const int64_t *at)
{
    int64_t i = 0;
    for (; *term != '\0'; term++)
        i = i * size_of(*term) + at[(unsigned char)*term];
    return i;
}

static int64_t elements(const char *term)
{
    int64_t n = 1;
    for (; *term != '\0'; term++)
        n *= size_of(*term);
    return n;
}

/* Every combination of all letters once. */
static void by_definition(const equation *e, const float (*x)[MOST], double *y)
{
    char letters[32] = "";
    int64_t at[128] = {0};
    int count = 0;
    for (int i = 0; i < e->count; i++)
        for (const char *c = e->in[i]; *c != '\0'; c++)
            if (strchr(letters, *c) == NULL)
                letters[count++] = *c;
    for (;;) {
        double product = 1;
        for (int i = 0; i < e->count; i++)
            product *= (double)x[i][offset(e->in[i], at)];
        y[offset(e->out, at)] += product;
        int k = count;
        while (k-- > 0 && ++at[(unsigned char)letters[k]] == size_of(letters[k]))
            at[(unsigned char)letters[k]] = 0;
        if (k < 0)
            return;
    }
}

static void check(void **state, const char *text, bool symbolic)
{
    static float x[OPERANDS][MOST];
    static double want[MOST];
    const equation e = read_equation(text);
    cyg_kbuf in[OPERANDS] = {0};
    char names[32] = "";
    ob g = {0};
    memset(want, 0, sizeof want);
    for (int i = 0; i < e.count; i++) {
        char name[4] = {(char)('p' + i), '\0'}, dims[64] = "", *to = dims;
        sprintf(names + strlen(names), "%s%s", i > 0 ? "," : "", name);
        in[i] = (cyg_kbuf){.type = CYG_TYPE_F32, .rank = (int32_t)strlen(e.in[i]), .data = x[i]};
        for (int k = 0; k < in[i].rank; k++) {
            in[i].dims[k] = size_of(e.in[i][k]);
            to += symbolic ? sprintf(to, "%sN%d%d", k > 0 ? "," : "", i, k)
                           : sprintf(to, "%s%d", k > 0 ? "," : "", (int)in[i].dims[k]);
        }
        assert_true(elements(e.in[i]) <= MOST && elements(e.out) <= MOST);
        for (int64_t k = 0; k < elements(e.in[i]); k++)
            x[i][k] = (float)((k * 37 + i * 11) % 17) - 8.0f;
        ob_put(&g, 11, ob_value(name, F32, dims));
    }
    NODE(&g, "Einsum", "e", names, "y", at_text("equation", text));
    OUTPUT(&g, "y", NULL);
    cyg_graph *graph = NULL;
    cyg_interp *it = NULL;
    const cyg_onnx_import_options options = {.keep_symbolic = symbolic};
    cyg_status st = import_with(state, ob_model(g, 13), &options, &graph);
    if (st == CYG_OK)
        st = cyg_interp_create(&test_ctx, graph, NULL, &it);
    if (st == CYG_OK)
        st = cyg_interp_run(&test_ctx, it, in, (uint32_t)e.count);
    if (st != CYG_OK) {
        print_message("%s\n", text);
        print_messages();
    }
    assert_int_equal(st, CYG_OK);
    for (uint32_t i = 0; i < graph->order_count; i++)
        assert_true(nth(graph, i)->op != CYG_OP_einsum);
    by_definition(&e, (const float(*)[MOST])x, want);
    const cyg_kbuf *y = cyg_interp_value(it, graph->outputs[0]);
    assert_int_equal(y->rank, strlen(e.out));
    for (int k = 0; k < y->rank; k++)
        assert_int_equal(y->dims[k], size_of(e.out[k]));
    for (int64_t i = 0; i < elements(e.out); i++)
        if (fabs(want[i] - (double)((const float *)y->data)[i]) > 1e-3)
            fail_msg("%s: element %d: expected %g, found %g", text, (int)i, want[i],
                     (double)((const float *)y->data)[i]);
    cyg_interp_destroy(it);
    cyg_graph_destroy(graph);
}

static void test_equations(void **state)
{
    static const char *const all[] = {"ij,jk->ik",
                                      "ij->ji",
                                      "ij->i",
                                      "ij->",
                                      "i,i->",
                                      "i,j->ij",
                                      "bij,bjk->bik",
                                      "bnhd,bmhd->bhnm",
                                      "bhnm,bmhd->bnhd",
                                      "bnhd,md->bhnm",
                                      "bhnd,hde->bhne",
                                      "btf,fhd->bthd",
                                      "bthd,hdf->btf",
                                      "bchw,bkhw->bck",
                                      "nchw,kchw->nk",
                                      "ab,bc,cd->ad",
                                      "ab,ab->ba",
                                      "abc,ac->abc",
                                      "ab,cd->acbd",
                                      "abcd,bd->ac",
                                      "ab,cb,ac->a",
                                      "a,b,c->cab",
                                      "...j,jk->...k",
                                      "...ab,b->...a",
                                      "b...c,b...c->b...",
                                      "...a,...a->...",
                                      "a b , b c -> a c"};
    for (size_t i = 0; i < CYG_COUNT(all); i++) {
        check(state, all[i], false);
        check(state, all[i], true);
    }
}

static void test_diagonals(void **state)
{
    static const char *const all[] = {"ii->i",       "ii->",   "bii->bi",
                                      "aijj,ij->ai", "iji->j", "...ii->...i"};
    for (size_t i = 0; i < CYG_COUNT(all); i++)
        check(state, all[i], false);
}

static ob einsum(const char *text, const char *in, const char *p, const char *q)
{
    ob g = {0};
    NODE(&g, "Einsum", "e", in, "y", at_text("equation", text));
    ob_put(&g, 11, ob_value("p", F32, p));
    if (q != NULL)
        ob_put(&g, 11, ob_value("q", F32, q));
    OUTPUT(&g, "y", NULL);
    return ob_model(g, 13);
}

static void test_refusals(void **state)
{
    import_fails(state, einsum("ij,jk->ik", "p,q", "2,3", "4,5"), CYG_E_GRAPH, "a letter's size",
                 "Einsum");
    import_fails(state, einsum("ij,jk->ik", "p", "2,3", NULL), CYG_E_GRAPH, "more terms", "ij,jk");
    import_fails(state, einsum("ij", "p,q", "2,3", "3,2"), CYG_E_GRAPH, "fewer terms", "ij");
    import_fails(state, einsum("ij->ik", "p", "2,3", NULL), CYG_E_GRAPH, "no operand has", "ik");
    import_fails(state, einsum("i1->i", "p", "2,3", NULL), CYG_E_GRAPH, "neither letter", "i1");
    import_fails(state, einsum("ijk->i", "p", "2,3", NULL), CYG_E_GRAPH, "do not fit", "ijk");
    import_fails(state, einsum("ij->ii", "p", "2,3", NULL), CYG_E_GRAPH, "or has twice", "ii");
    import_fails(state, einsum("...i...->i", "p", "2,3", NULL), CYG_E_GRAPH, "twice in one term",
                 "...i...");
    import_fails(state, einsum("abcdefghi->a", "p", "2,3", NULL), CYG_E_GRAPH, "more than 8",
                 "abcdefghi");
}

static cyg_graph *eye(void **state, const char *dims, int64_t k)
{
    cyg_graph *graph = NULL;
    const cyg_onnx_import_options options = {.keep_symbolic = true};
    ob g = {0};
    NODE(&g, "EyeLike", "e", "x", "y", at_int("k", k), at_int("dtype", 1));
    ob_put(&g, 11, ob_value("x", F32, dims));
    OUTPUT(&g, "y", NULL);
    assert_int_equal(import_with(state, ob_model(g, 13), &options, &graph), CYG_OK);
    return graph;
}

static void test_eye_like(void **state)
{
    static float x[12];
    for (int64_t k = -4; k <= 5; k++)
        for (int symbolic = 0; symbolic < 2; symbolic++) {
            cyg_graph *g = eye(state, symbolic ? "R,C" : "3,4", k);
            cyg_interp *it = NULL;
            const cyg_kbuf in = {.type = CYG_TYPE_F32, .rank = 2, .dims = {3, 4}, .data = x};
            assert_int_equal(cyg_interp_create(&test_ctx, g, NULL, &it), CYG_OK);
            assert_int_equal(cyg_interp_run(&test_ctx, it, &in, 1), CYG_OK);
            const cyg_kbuf *y = cyg_interp_value(it, g->outputs[0]);
            assert_int_equal(y->type, CYG_TYPE_F32);
            for (int64_t i = 0; i < 12; i++)
                assert_true(((const float *)y->data)[i] == (i % 4 - i / 4 == k ? 1.0f : 0.0f));
            cyg_interp_destroy(it);
            cyg_graph_destroy(g);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_equations), TEST(test_diagonals),
                                       TEST(test_refusals), TEST(test_eye_like)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

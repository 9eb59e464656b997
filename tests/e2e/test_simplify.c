/* `cygnet simplify` as people run it: the table, the JSON, a result that is the same function, and
 * nothing at all when there is none. */
#include "e2e.h"

static e2e_result result;

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static void json_of_a_result(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx small.onnx --json");
    e2e_expect(&result, 0);
    assert_true(e2e_number(&result, "nodes_after") > 10);
    assert_true(e2e_number(&result, "nodes_after") < e2e_number(&result, "nodes_before"));
    assert_true(e2e_number(&result, "opset") == 17);
    assert_true(e2e_number(&result, "max_relative_diff") < 1e-5);
    assert_true(e2e_number(&result, "seconds") > 0);
    assert_true(e2e_number(&result, "check_seconds") > 0);
    assert_true(e2e_number(&result, "peak_rss_bytes") > 0);
    /* The operators of a list add up to the nodes. */
    const cyg_doc_node *ops = e2e_json(&result, "operators_after");
    double sum = 0;
    for (size_t i = 0; i < ops->count; i++)
        sum += ops->sorted[i]->number;
    assert_true(sum == e2e_number(&result, "nodes_after"));
    assert_int_equal(fixture_count(e2e_root, ".partial"), 0);
}

static void result_stays_as_it_is(void **state)
{
    (void)state;
    char once[65], twice[65];
    e2e_cygnet(&result, (e2e_how){.threads = "1"}, "simplify model.onnx once.onnx --quiet");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "wrote once.onnx"));
    e2e_cygnet(&result, (e2e_how){.threads = "2"}, "simplify model.onnx twice.onnx");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "Softmax"));
    assert_non_null(strstr(result.out, "max difference"));
    fixture_sha256(e2e_path("once.onnx"), once);
    fixture_sha256(e2e_path("twice.onnx"), twice);
    assert_string_equal(once, twice);
    /* A second time over the same file: nothing is left to do, and nothing grows. */
    e2e_cygnet(&result, (e2e_how){0}, "simplify once.onnx once.onnx --json");
    e2e_expect(&result, 0);
    assert_true(e2e_number(&result, "nodes_after") <= e2e_number(&result, "nodes_before"));
}

static void opsets(void **state)
{
    (void)state;
    for (int opset = 13; opset <= 21; opset++) {
        e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx o%d.onnx --opset %d --json", opset,
                   opset);
        e2e_expect(&result, 0);
        assert_true(e2e_number(&result, "opset") == opset);
    }
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx o.onnx --opset 5");
    e2e_expect_error(&result, 2, "--opset|13..21", "o.onnx");
}

/* Float sums in another order differ by more than nothing: with no tolerance at all the proof must
 * fail, name a pass, and leave no file. */
static void proof_can_fail(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx strict.onnx --tolerance 1e-12");
    e2e_expect_error(&result, 6, "strict.onnx is not written|not the same function|pass |element",
                     "strict.onnx");
    assert_int_equal(fixture_count(e2e_root, ".partial"), 0);
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx strict.onnx --no-check --json");
    e2e_expect(&result, 0);
    assert_int_equal(e2e_json(&result, "max_abs_diff")->kind, CYG_DOC_NULL);
}

static void explain_and_dump(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0},
               "simplify model.onnx e.onnx --explain %s --dump-after attention", "one.shares");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "\n  attention    Attention \""));
    assert_non_null(strstr(result.out, "  written      "));
    assert_true(cyg_path_exists(e2e_path("e.onnx.attention.txt")));
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx n.onnx --explain one.sharse");
    e2e_expect_error(&result, 2, "did you mean \"one.shares\"", "n.onnx");
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx n.onnx --dump-after atention");
    e2e_expect_error(&result, 2, "did you mean attention", "n.onnx");
}

static void refused(void **state)
{
    (void)state;
    e2e_refuses_broken_models(&result, "simplify bad.onnx never.onnx", "never.onnx");
    assert_int_equal(fixture_count(e2e_root, ".partial"), 0);
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx");
    e2e_expect_error(&result, 2, "two files", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx nowhere/o.onnx");
    e2e_expect_error(&result, 3, "nowhere", "nowhere");
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx val");
    e2e_expect_error(&result, 2, "is a folder", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx /dev/null");
    e2e_expect_error(&result, 2, "--no-check", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "simplify model.onnx /dev/null --no-check");
    e2e_expect(&result, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_of_a_result), cmocka_unit_test(result_stays_as_it_is),
        cmocka_unit_test(opsets),           cmocka_unit_test(proof_can_fail),
        cmocka_unit_test(explain_and_dump), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, fixture_setup, teardown);
}

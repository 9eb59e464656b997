/* Ctrl-C in the middle: exit code 130 and nothing left, the former output as it was. The pictures
 * are two thousand links to one file, so that there is a middle. */
#include "e2e.h"

#include <signal.h>

static e2e_result result;

static int setup(void **state)
{
    if (fixture_setup(state) != 0)
        return -1;
    fixture_png("many/0000.png", 140, 150, 1);
    for (int i = 1; i < 2000; i++)
        if (link(e2e_path("many/0000.png"), e2e_path("many/%04d.png", i)) != 0)
            return -1;
    fixture_text("many.json",
                 "{\"input\": \"model.onnx\", \"output_dir\": \"stopped\",\n"
                 " \"target_hardware\": \"CPU\",\n"
                 " \"quant\": {\"input_configs\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"calibration_dataset\": \"many\", \"calibration_size\": -1,\n"
                 "   \"calibration_mean\": 115, \"calibration_std\": 58}]}}\n");
    return 0;
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static void stop_build(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        e2e_cygnet(&result,
                   (e2e_how){.interrupt_at = e2e_path("stopped.partial-*/frontend/optimized.onnx"),
                             .signal = signals[i]},
                   "build --config many.json");
        e2e_expect_error(&result, 130, "cancelled", "stopped");
    }
}

static void stop_before_replacing(void **state)
{
    (void)state;
    char before[65], after[65];
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir former");
    e2e_expect(&result, 0);
    fixture_sha256(e2e_path("former/compiled.cyg"), before);
    e2e_cygnet(&result,
               (e2e_how){.interrupt_at = e2e_path("former.partial-*/frontend/optimized.onnx"),
                         .signal = SIGINT},
               "build --config many.json --output_dir former");
    e2e_expect_error(&result, 130, "cancelled", NULL);
    fixture_sha256(e2e_path("former/compiled.cyg"), after);
    assert_string_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_build),
        cmocka_unit_test(stop_before_replacing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

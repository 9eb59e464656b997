/* What progress looks like: counts as counts, bytes as people read them, ETA after half a second.
 */
#include "../testing.h"

#include "app/app.h"

static void test_progress_text(void **state)
{
    (void)state;
    static const struct {
        cyg_log_event event;
        double elapsed;
        const char *text;
    } cases[] = {
        {{CYG_LOG_PROGRESS, "calibrate", 28, 32, false}, 7, "28/32  eta 1 s"},
        {{CYG_LOG_PROGRESS, "calibrate", 28, 32, false}, 0.4, "28/32"},
        {{CYG_LOG_PROGRESS, "read", 12345, 0, false}, 9, "12,345"},
        {{CYG_LOG_PROGRESS, "download", 28300000, 113200000, true},
         20,
         "28.3 MB of 113.2 MB  eta 60 s"},
        {{CYG_LOG_PROGRESS, "download", 512, 0, true}, 20, "512 bytes"},
        {{CYG_LOG_PROGRESS, "download", 0, 5400000000, true}, 20, "0 bytes of 5.4 GB"},
        {{CYG_LOG_PROGRESS, "download", 1000000, 5400000000, true},
         1,
         "1.0 MB of 5.4 GB  eta 90 min"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        char text[112];
        assert_string_equal(cyg_text_progress(&cases[i].event, cases[i].elapsed, text),
                            cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_progress_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

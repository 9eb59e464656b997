/* Coordinate descent on integers: from any start to a place where no single step is better, with
 * the error that it says, inside the limits. */
#include "tiny_model.h"

#include <math.h>

#include "quant/descend.h"

enum { PADDING = 5, TAPS = 59, SIZE = PADDING + TAPS, STRIDE = SIZE + 16, ROWS = 90 };

typedef struct fixture {
    float matrix[SIZE * STRIDE], off[SIZE], gradient[SIZE], weights[SIZE];
    int32_t q[SIZE];
    cyg_hessian h;
    cyg_descent d;
} fixture;

/* H of rows whose taps follow each other, weights rounded to the nearest step. */
static void set_up(fixture *f, float step, int32_t most)
{
    static float x[ROWS][SIZE];
    rng r = {17};
    memset(f, 0, sizeof *f);
    for (int m = 0; m < ROWS; m++) {
        float walk = 0.0f;
        for (int p = PADDING; p < SIZE; p++)
            x[m][p] = walk = 0.9f * walk + rng_unit(&r);
    }
    for (int p = 0; p < SIZE; p++)
        for (int k = 0; k < SIZE; k++)
            for (int m = 0; m < ROWS; m++)
                f->matrix[p * STRIDE + k] += x[m][p] * x[m][k];
    for (int p = PADDING; p < SIZE; p++) {
        f->weights[p] = rng_unit(&r);
        const float q = rintf(f->weights[p] / step);
        f->q[p] = (int32_t)(q > (float)most ? (float)most : q < (float)-most ? (float)-most : q);
        f->off[p] = f->weights[p] - (float)f->q[p] * step;
    }
    for (int p = PADDING; p < SIZE; p++)
        for (int k = PADDING; k < SIZE; k++)
            f->gradient[p] += f->matrix[p * STRIDE + k] * f->off[k];
    f->h = (cyg_hessian){.size = SIZE, .padding = PADDING, .stride = STRIDE, .matrix = f->matrix};
    f->d = (cyg_descent){&f->h, step, -most, most, f->off, f->gradient, f->q};
}

/* d H d with integer `at` off by `by`. */
static double error_with(const fixture *f, int at, int by)
{
    double off[SIZE] = {0}, sum = 0.0;
    for (int p = PADDING; p < SIZE; p++)
        off[p] = (double)f->weights[p] - (double)f->d.step * (double)(f->q[p] + (p == at ? by : 0));
    for (int p = PADDING; p < SIZE; p++)
        for (int k = PADDING; k < SIZE; k++)
            sum += off[p] * off[k] * (double)f->matrix[p * STRIDE + k];
    return sum;
}

static void descends(float step, int32_t most)
{
    static fixture f;
    set_up(&f, step, most);
    const double before = error_with(&f, 0, 0), said = cyg_quant_descend(&f.d),
                 after = error_with(&f, 0, 0);
    if (!(after < 0.7 * before))
        fail_msg("error %g, was %g", after, before);
    if (!(fabs(said - after) < 1e-3 * after))
        fail_msg("says %g, is %g", said, after);
    for (int p = PADDING; p < SIZE; p++) {
        assert_in_range(f.q[p] + most, 0, 2 * most);
        for (int by = -1; by <= 1; by += 2)
            if (f.q[p] + by >= -most && f.q[p] + by <= most &&
                error_with(&f, p, by) < after * (1.0 - 1e-4))
                fail_msg("tap %d is better by %d", p, by);
    }
    for (int p = 0; p < PADDING; p++)
        assert_int_equal(f.q[p], 0);
}

static void test_descends(void **unused)
{
    (void)unused;
    descends(0.05f, 127);
    descends(0.05f, 15); /* some weights lie outside */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_descends)};
    return CYG_TEST_MAIN(tests);
}

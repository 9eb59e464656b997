/* Permuted rows against the definition, element by element; any cut into calls gives the same. */
#include "../testing.h"

#include <stdlib.h>

#include "base/permute.h"

static void check(size_t size, int rank, const int64_t *dims, const int64_t *perm)
{
    int64_t count = 1, stride[CYG_MAX_RANK], at[CYG_MAX_RANK] = {0};
    for (int k = rank - 1; k >= 0; k--) {
        stride[k] = count;
        count *= dims[k];
    }
    uint8_t *from = malloc((size_t)count * size + 1), *want = malloc((size_t)count * size + 1),
            *got = malloc((size_t)count * size + 1);
    assert_true(from != NULL && want != NULL && got != NULL);
    for (int64_t i = 0; i < count * (int64_t)size; i++)
        from[i] = (uint8_t)(i * 131 >> 3);
    for (int64_t i = 0; i < count; i++) { /* at: position in the result */
        int64_t source = 0;
        for (int k = 0; k < rank; k++)
            source += at[k] * stride[perm[k]];
        memcpy(want + (size_t)i * size, from + (size_t)source * size, size);
        for (int k = rank - 1; k >= 0 && ++at[k] == dims[perm[k]]; k--)
            at[k] = 0;
    }
    cyg_permutation p;
    cyg_permutation_init(&p, size, rank, dims, perm);
    assert_true(p.rows * p.row == count);
    for (int64_t together = 1; together <= p.rows + 1; together += together / 2 + 1) {
        memset(got, 0xee, (size_t)count * size);
        for (int64_t first = 0; first < p.rows; first += together)
            cyg_permute_rows(&p, from, first, p.rows - first < together ? p.rows - first : together,
                             got + (size_t)(first * p.row) * size);
        assert_memory_equal(got, want, (size_t)count * size);
    }
    free(from);
    free(want);
    free(got);
}

static void test_all_orders(void **state)
{
    static const int64_t dims2[] = {70, 131}, dims3[] = {5, 66, 3}, dims4[] = {3, 4, 1, 67};
    static const int64_t two[][2] = {{0, 1}, {1, 0}};
    static const int64_t three[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                       {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const int64_t four[][4] = {{0, 3, 1, 2}, {0, 2, 3, 1}, {3, 2, 1, 0}, {1, 0, 3, 2}};
    (void)state;
    for (size_t size = 1; size <= 8; size *= 2) {
        for (size_t i = 0; i < CYG_COUNT(two); i++)
            check(size, 2, dims2, two[i]);
        for (size_t i = 0; i < CYG_COUNT(three); i++)
            check(size, 3, dims3, three[i]);
        for (size_t i = 0; i < CYG_COUNT(four); i++)
            check(size, 4, dims4, four[i]);
    }
}

static void test_small_and_empty(void **state)
{
    static const int64_t one[] = {9}, none[] = {4, 0, 2}, own[] = {0}, turn[] = {2, 0, 1};
    (void)state;
    check(4, 0, one, own);
    check(2, 1, one, own);
    check(1, 3, none, turn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_orders),
        cmocka_unit_test(test_small_and_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

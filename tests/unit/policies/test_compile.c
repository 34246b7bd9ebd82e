/* Compiling a stored grant: one block, names to bits, and rows that no grant may have. */
#include "policies/policies.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* id_no 0, name 1, far 255, beyond 256, gone -1 */
static int bit_of(void *arg, struct slice item)
{
    static const struct {
        const char *name;
        int bit;
    } known[] = { { "id_no", 0 }, { "name", 1 }, { "moved_in", 64 }, { "far", 255 }, { "beyond", 256 } };

    (*(int *)arg)++;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_is(item, known[i].name))
            return known[i].bit;
    return -1;
}

static struct policy_grant_row row_make(void)
{
    return (struct policy_grant_row){ .id = SLICE("g12"),
                                      .app = SLICE("education/admission"),
                                      .resource = SLICE("public-security/household"),
                                      .purposes = SLICE("admission,transfer"),
                                      .items = SLICE("id_no,name,moved_in,far,beyond,gone"),
                                      .clear = SLICE("name,gone"),
                                      .state = SLICE("active"),
                                      .version = 3,
                                      .resource_version = 2,
                                      .max_rows = 50,
                                      .day_from = 100,
                                      .day_to = 200,
                                      .minute_from = 510,
                                      .minute_to = 1020,
                                      .weekdays = 0x1f,
                                      .expires = 123456789 };
}

static void test_block(void **state)
{
    struct policy_grant_row row = row_make();
    struct policy_grant *g = NULL;
    int asked = 0;

    (void)state;
    mem_fail_nth(0);
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_OK);
    assert_int_equal(mem_fail_nth(0), 1); /* one allocation */
    assert_int_equal(asked, 8);
    assert_string_equal(policy_grant_id(g), "g12");
    assert_string_equal(policy_grant_app(g), "education/admission");
    assert_string_equal(policy_grant_resource(g), "public-security/household");
    assert_int_equal(g->n_purposes, 2);
    assert_string_equal(policy_grant_purpose(g, 0), "admission");
    assert_string_equal(policy_grant_purpose(g, 1), "transfer");
    assert_int_equal(g->version, 3);
    assert_int_equal(g->resource_version, 2);
    assert_int_equal(g->state, POLICY_ACTIVE);
    assert_int_equal(g->max_rows, 50);
    assert_int_equal(g->day_from, 100);
    assert_int_equal(g->day_to, 200);
    assert_int_equal(g->minute_from, 510);
    assert_int_equal(g->minute_to, 1020);
    assert_int_equal(g->weekdays, 0x1f);
    assert_int_equal(g->expires, 123456789);
    struct policy_items items = policy_grant_items(g), clear = policy_grant_clear(g);
    assert_true(items.bit[0] == 3 && items.bit[1] == 1 && items.bit[2] == 0 && items.bit[3] == (uint64_t)1 << 63);
    assert_true(clear.bit[0] == 2 && clear.bit[1] == 0 && clear.bit[2] == 0 && clear.bit[3] == 0);
    counted_ref(g);
    counted_unref(g);
    counted_unref(g); /* asan says whether it is gone, once */
}

static void test_clear_stays_within_items(void **state)
{
    struct policy_grant_row row = row_make();
    struct policy_grant *g;
    int asked = 0;

    (void)state;
    row.items = SLICE("name");
    row.clear = SLICE("id_no,name");
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_OK);
    assert_true(policy_grant_items(g).bit[0] == 2 && policy_grant_clear(g).bit[0] == 2);
    counted_unref(g);
}

static void test_states(void **state)
{
    static const struct {
        const char *name;
        enum err want;
        int code;
    } rows[] = { { "active", ERR_OK, POLICY_ACTIVE },
                 { "suspended", ERR_OK, POLICY_SUSPENDED },
                 { "revoked", ERR_OK, POLICY_REVOKED },
                 { "returned", ERR_OK, POLICY_RETURNED },
                 { "", ERR_CORRUPT, 0 },
                 { "Active", ERR_CORRUPT, 0 } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_grant_row row = row_make();
        struct policy_grant *g = NULL;
        int asked = 0;

        row.state = slice_of(rows[i].name);
        assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), rows[i].want);
        if (rows[i].want == ERR_OK) {
            assert_int_equal(g->state, rows[i].code);
            counted_unref(g);
        } else {
            assert_null(g);
        }
    }
}

static void test_rows_that_cannot_be(void **state)
{
    struct policy_grant *g = NULL;
    int asked = 0;

    (void)state;
    struct policy_grant_row row = row_make();
    row.purposes = (struct slice){ 0 };
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_CORRUPT);
    row = row_make();
    row.purposes = SLICE("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q");
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_CORRUPT);
    row = row_make();
    row.version = (uint64_t)1 << 32;
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_CORRUPT);
    row = row_make();
    char *long_name = mem_zalloc(UINT16_MAX);
    assert_non_null(long_name);
    memset(long_name, 'a', UINT16_MAX);
    row.purposes = (struct slice){ long_name, UINT16_MAX }; /* further than an offset reaches */
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_CORRUPT);
    mem_free(long_name);
    row = row_make();
    mem_fail_nth(1);
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_NOMEM);
    mem_fail_nth(0);
    assert_null(g);
}

/* What the decision reads of a grant of few items is in its first lines; what it does not read is behind. */
static void test_size(void **state)
{
    struct policy_grant_row row = row_make();
    struct policy_grant *g = NULL;
    int asked = 0;

    (void)state;
    row.items = SLICE("id_no,name");
    row.purposes = SLICE("admission");
    assert_int_equal(sizeof *g, 64);
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_OK);
    assert_int_equal((uintptr_t)g % 64, 0);
    assert_int_equal(g->words, 1);
    assert_true(g->app_at < g->resource_at && g->resource_at < g->purposes_at && g->purposes_at < g->id_at);
    assert_true(g->id_at <= 3 * 64);
    counted_unref(g);
    row.items = (struct slice){ 0 };
    assert_int_equal(policy_grant_compile(&row, bit_of, &asked, &g), ERR_OK);
    assert_int_equal(g->words, 0);
    assert_int_equal(policy_grant_items(g).bit[0], 0);
    counted_unref(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block),  cmocka_unit_test(test_clear_stays_within_items),
        cmocka_unit_test(test_states), cmocka_unit_test(test_rows_that_cannot_be),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

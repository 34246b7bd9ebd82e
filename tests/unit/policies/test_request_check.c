/* What a request must be: one row for each thing that can be wrong, and all of them at once. */
#include "bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

enum field { NOTHING, DEPARTMENT, APP, PURPOSES, BASIS, SCENARIO, RESOURCE, PROVIDER, ITEMS, CLEAR };
struct row {
    enum field field;
    const char *value;
    const char *says; /* part of the English text */
};

static const struct row rows[] = {
    { DEPARTMENT, "", "department is missing" },
    { DEPARTMENT, "Education", "department is missing or malformed" },
    { APP, "", "is not one of department education" },
    { APP, "educational/admission", "is not one of department education" },
    { APP, "education", "is not one of department education" },
    { APP, "housing/desk", "is not one of department education" },
    { PURPOSES, "", "name 1 to 16 purposes" },
    { PURPOSES, "admission,", "name 1 to 16 purposes" },
    { PURPOSES, ",admission", "purpose 1 is no purpose code" },
    { PURPOSES, "a,Admission", "purpose 2 is no purpose code" },
    { PURPOSES, "a,b c", "purpose 2 is no purpose code" },
    { PURPOSES, "a,990101199003070015", "purpose 2 is no purpose code" },
    { PURPOSES, "a,b,a", "\"a\" is named twice" },
    { PURPOSES, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "name 1 to 16 purposes" },
    { BASIS, "", "basis is missing" },
    { BASIS, " \t\n", "basis is missing" },
    { BASIS, "\xff", "basis is not UTF-8" },
    { BASIS, "for 990101199003070015", "basis holds an identity number" },
    { BASIS, "for 990101 19900307 0015", "basis holds an identity number" },
    { SCENARIO, "", "scenario is missing" },
    { RESOURCE, "household", "resource 1 is not written department/resource" },
    { PROVIDER, "education", "resource 1 is not written department/resource" },
    { PROVIDER, "", "resource 1 is not written department/resource" },
    { ITEMS, "", "name 1 to 256 items" },
    { ITEMS, "name,", "name 1 to 256 items" },
    { ITEMS, "relation,,name", "item 2 is no item name" },
    { ITEMS, "relation,1st", "item 2 is no item name" },
    { ITEMS, "relation,n ame", "item 2 is no item name" },
    { ITEMS, "relation,name,relation", "\"relation\" is named twice" },
    { CLEAR, "address", "clear names an item that items does not" },
    { CLEAR, "relation,", NULL }, /* a comma at the end of clear adds no name */
};

static void set(struct policy_request *q, struct policy_wish *w, enum field f, const char *value)
{
    struct slice *const at[] = { [DEPARTMENT] = &q->department, [APP] = &q->app,           [PURPOSES] = &q->purposes,
                                 [BASIS] = &q->basis,           [SCENARIO] = &q->scenario, [RESOURCE] = &w->resource,
                                 [PROVIDER] = &w->provider,     [ITEMS] = &w->items,       [CLEAR] = &w->clear };
    if (f != NOTHING)
        *at[f] = slice_of(value);
}

static bool said(const struct diags *d, const char *part)
{
    for (const struct diag *one = d->first; one; one = one->next)
        if (strstr(one->what[LANG_EN], part))
            return true;
    return false;
}

static void expect(struct bench *b, const struct policy_request *q, const char *says)
{
    struct policy_actor by = wang;
    struct slice id = { 0 };

    by.department = q->department;
    diags_init(&b->d, &b->a);
    enum err e = policy_request_create(b->tx, q, &by, bench_time(22, 600), &b->a, &id, &b->d);
    if (says == NULL) {
        assert_int_equal(e, ERR_OK);
        return;
    }
    if (e != ERR_INVALID || !said(&b->d, says))
        fail_msg("\"%s\" was not said (%s, %u problems, first: %s)", says, err_name(e), b->d.count,
                 b->d.first ? b->d.first->what[LANG_EN] : "none");
    for (const struct diag *one = b->d.first; one; one = one->next)
        assert_string_not_equal(one->what[LANG_ZH], one->what[LANG_EN]);
    assert_int_equal(id.n, 0);
}

static void test_texts(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_request q = bench_request(1);
        struct policy_wish w = q.wishes[0];

        q.wishes = &w;
        set(&q, &w, rows[i].field, rows[i].value);
        expect(*state, &q, rows[i].says);
    }
}

static void test_window(void **state)
{
    static const struct {
        int from, to, minute_from, minute_to; /* days from today */
        int weekdays;
        int64_t expires; /* ms from now; 0: none */
        const char *says;
    } windows[] = {
        { 0, 0, 0, 0, 0, 0, NULL },
        { -5, 0, 0, 0, 0, 0, NULL }, /* begun while the request was written */
        { 0, 3653, 0, 0, 0, 0, NULL },
        { 0, 3654, 0, 0, 0, 0, "more than ten years" },
        { 1, 0, 0, 0, 0, 0, "ends before it begins" },
        { -2, -1, 0, 0, 0, 0, "the window has passed" },
        { 0, 9, 0, 1440, 0, 0, NULL },
        { 0, 9, 1320, 360, 0x7f, 0, NULL },
        { 0, 9, 1320, 0, 0, 0, NULL },
        { 0, 9, -1, 60, 0, 0, "not a span of the day" },
        { 0, 9, 60, 60, 0, 0, "not a span of the day" },
        { 0, 9, 1440, 60, 0, 0, "not a span of the day" },
        { 0, 9, 60, 1441, 0, 0, "not a span of the day" },
        { 0, 9, 0, 0, 0x80, 0, "weekdays are 1" },
        { 0, 9, 0, 0, 0, 1, NULL },
        { 0, 9, 0, 0, 0, -1, "expires lies in the past" },
        { 2, 9, 0, 0, 0, 86400000, "before the window begins" },
    };
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        struct policy_request q = bench_request(1);
        int32_t today = clock_day_of(bench_time(22, 600));

        q.day_from = today + windows[i].from;
        q.day_to = today + windows[i].to;
        q.minute_from = (int16_t)windows[i].minute_from;
        q.minute_to = (int16_t)windows[i].minute_to;
        q.weekdays = (uint8_t)windows[i].weekdays;
        q.expires = windows[i].expires ? bench_time(22, 600) + windows[i].expires : 0;
        expect(*state, &q, windows[i].says);
    }
}

static void test_numbers(void **state)
{
    struct policy_request q = bench_request(3);
    struct policy_wish w[65];

    q.max_rows = (uint64_t)1 << 53;
    expect(*state, &q, "max_rows is too large");
    q = bench_request(0);
    expect(*state, &q, "request 1 to 64 resources");
    for (size_t i = 0; i < 65; i++)
        w[i] = bench_request(1).wishes[0];
    q.wishes = w;
    q.n_wishes = 65;
    expect(*state, &q, "request 1 to 64 resources");
    q.n_wishes = 2;
    expect(*state, &q, "public-security/household is requested twice");
    q.n_wishes = 1;
    w[0].resource_version = 0;
    expect(*state, &q, "version of the resource is missing");
    char text[1001 * 3 + 1];
    for (size_t i = 0; i < 1001; i++)
        memcpy(text + i * 3, "数", 3);
    q = bench_request(1);
    q.basis = slice_make(text, (size_t)1000 * 3);
    expect(*state, &q, NULL);
    q.basis = slice_make(text, (size_t)1001 * 3);
    expect(*state, &q, "basis is longer than 1000 characters");
}

static void test_all_at_once(void **state)
{
    struct bench *b = *state;
    struct policy_request q = { .department = SLICE("education") };
    struct slice id;

    assert_int_equal(policy_request_create(b->tx, &q, &wang, bench_time(22, 600), &b->a, &id, &b->d), ERR_INVALID);
    assert_true(b->d.count >= 6);
}

/* A list that is too long costs what it weighs: a person's request is no reason for all others to wait. */
static void test_long_lists(void **state)
{
    enum { NAMES = 60000 };
    static char many[NAMES * 8], same[NAMES * 2];
    struct timespec began, ended;
    struct policy_request q;
    size_t n = 0;

    for (int i = 0; i < NAMES; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, "%sn%d", i ? "," : "", i);
    memset(same, 'a', sizeof same);
    for (size_t i = 1; i < sizeof same; i += 2)
        same[i] = i + 1 < sizeof same ? ',' : 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    q = bench_request(1);
    q.purposes = slice_make(many, n);
    expect(*state, &q, "name 1 to 16 purposes");
    q = bench_request(1);
    struct policy_wish w = q.wishes[0];
    q.wishes = &w;
    w.items = slice_make(many, n);
    expect(*state, &q, "name 1 to 256 items");
    w.items = slice_of(same);
    w.clear = slice_make(many, n);
    expect(*state, &q, "name 1 to 256 items");
    w.items = SLICE("a");
    w.clear = slice_of(same);
    expect(*state, &q, "clear names more than 256 items");
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    assert_true(ended.tv_sec - began.tv_sec <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_texts, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_window, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_numbers, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_all_at_once, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_long_lists, bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* certs/name: what is a name and what is not. */
#include "pki.h"

static const struct {
    const char *uri;
    enum certs_kind kind; /* CERTS_NOBODY: refused */
    const char *domain, *department, *id;
} cases[] = {
    { "spiffe://data.city.example/dept/education/app/admission", CERTS_APP, "data.city.example", "education",
      "admission" },
    { "spiffe://data.city.example/dept/education/person/wang", CERTS_PERSON, "data.city.example", "education", "wang" },
    { "spiffe://data.city.example/gateway/g-1", CERTS_GATEWAY, "data.city.example", "", "g-1" },
    { "spiffe://a/dept/b/app/c", CERTS_APP, "a", "b", "c" },
    { "spiffe://1-a_b/gateway/c", CERTS_GATEWAY, "1-a_b", "", "c" },
    { "spiffe://a/dept/app/app/app", CERTS_APP, "a", "app", "app" },
    { "", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe:///dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "SPIFFE://a/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "https://a/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe:/a/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://A/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a:443/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://u@a/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://.a/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a./dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a..b/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a%2e/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app/c/", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app/c/d", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app/", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept//app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a//dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/APP/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/gateway/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/robot/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/department/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/B/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app/1c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app/c?x", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app/c#x", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app/%63", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/../app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { " spiffe://a/dept/b/app/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/dept/b/app/c ", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/gateway/", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/gateway/b/c", CERTS_NOBODY, NULL, NULL, NULL },
    { "spiffe://a/app/b", CERTS_NOBODY, NULL, NULL, NULL },
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct certs_name name = { 0 };
        struct buf again = BUF_INIT(300);
        bool ok = certs_name_read(slice_of(cases[i].uri), &name);

        if (ok != (cases[i].kind != CERTS_NOBODY))
            fail_msg("%s: %d", cases[i].uri, ok);
        assert_int_equal(name.kind, cases[i].kind);
        if (!ok)
            continue;
        assert_true(slice_is(name.domain, cases[i].domain));
        assert_true(slice_is(name.department, cases[i].department));
        assert_true(slice_is(name.id, cases[i].id));
        certs_name_put(&again, name.kind, name.domain, name.department, name.id);
        assert_true(slice_is(buf_slice(&again), cases[i].uri));
        buf_done(&again);
    }
}

static void test_bytes_and_lengths(void **state)
{
    struct certs_name name;
    char text[300], longest[64];
    int n;

    (void)state;
    assert_false(certs_name_read(SLICE("spiffe://a/dept/b/app/c\0"), &name));
    assert_false(certs_name_read(SLICE("spiffe://a/dept/b\0/app/c"), &name));
    memset(longest, 'a', 63);
    longest[63] = '\0';
    for (int domain = 64; domain <= 65; domain++) {
        n = snprintf(text, sizeof text, "spiffe://b%s%s/dept/%s/person/%s", longest, domain == 65 ? "b" : "", longest,
                     longest);
        assert_int_equal(certs_name_read(slice_make(text, (size_t)n), &name), domain == 64);
    }
    n = snprintf(text, sizeof text, "spiffe://b/dept/%sa/person/c", longest);
    assert_false(certs_name_read(slice_make(text, (size_t)n), &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_bytes_and_lengths) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

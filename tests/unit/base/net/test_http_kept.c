/* Heads that come again: what is recognised is what reading it anew would give, and only what its owner let be kept. */
#include "net_test.h"
#include "base/net/internal.h"

enum { TEXT = 1500 };

static bool same_slice(struct slice a, struct slice b)
{
    return slice_eq(a, b) && (a.p == NULL) == (b.p == NULL);
}

static bool same_head(const struct http_head *a, const struct http_head *b)
{
    bool same = a->n == b->n && same_slice(a->method, b->method) && same_slice(a->target, b->target) &&
                same_slice(a->path, b->path) && same_slice(a->query, b->query) && a->minor == b->minor &&
                a->has_length == b->has_length && a->chunked == b->chunked && a->keep_alive == b->keep_alive &&
                a->expect_continue == b->expect_continue && a->length == b->length && a->absent == b->absent &&
                slice_eq(a->bytes, b->bytes) && a->status == b->status;

    for (size_t i = 0; same && i < a->n; i++)
        same = same_slice(a->at[i].name, b->at[i].name) && same_slice(a->at[i].value, b->at[i].value);
    return same;
}

/* As a connection reads it, and compared with a head that is read. Returns its number. */
static uint64_t take(struct http_kept *k, struct http_seen *seen, struct slice in, bool keep)
{
    static struct http_head got, want;
    size_t n = http_kept_find(k, seen, in, &got), plain = http_head_plain(in, true, &want);

    if (n == 0 && (n = http_head_plain(in, true, &got)) > 0)
        http_kept_miss(k, seen, &got);
    assert_int_equal(n, plain);
    assert_true(n == 0 || same_head(&got, &want));
    return n == 0 ? 0 : keep ? http_kept_keep(k, seen, &got) : got.again;
}

#define HEAD(more) "POST /x/a/b HTTP/1.1\r\nHost: h\r\n" more "Content-Length: 3\r\n\r\n"

static void recognised(void **state)
{
    struct http_kept *k = http_kept_new();
    struct http_seen one = { 0 }, other = { 0 };
    uint64_t number;

    (void)state;
    assert_non_null(k);
    assert_int_equal(take(k, &one, SLICE(HEAD("") "abc"), true), 0); /* it came once */
    number = take(k, &one, SLICE(HEAD("")), true);
    assert_int_not_equal(number, 0);
    assert_int_equal(take(k, &one, SLICE(HEAD("") "and a body"), false), number);
    assert_int_equal(take(k, &one, SLICE(HEAD("") HEAD("")), true), number);
    assert_int_equal(take(k, &other, SLICE(HEAD("")), false), number); /* of another connection */
    assert_int_equal(take(k, &one, SLICE(HEAD("X: 1\r\n")), false), 0);
    assert_int_equal(take(k, &one, SLICE(HEAD("")), false), number);
    http_kept_free(k);
}

static void not_kept(void **state)
{
    struct http_kept *k = http_kept_new();
    struct http_seen seen = { 0 };
    struct buf text = BUF_INIT(1 << 16);

    (void)state;
    assert_non_null(k);
    for (unsigned i = 0; i < 5; i++) /* nobody lets it */
        assert_int_equal(take(k, &seen, SLICE(HEAD("")), false), 0);
    buf_puts(&text, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (unsigned i = 0; i < 30; i++)
        buf_puts(&text, "X: y\r\n");
    buf_puts(&text, "\r\n");
    for (unsigned i = 0; i < 5; i++) /* too many fields */
        assert_int_equal(take(k, &seen, buf_slice(&text), true), 0);
    buf_clear(&text);
    buf_puts(&text, "GET /");
    for (unsigned i = 0; i < 1100; i++)
        buf_putc(&text, 'a');
    buf_puts(&text, " HTTP/1.1\r\nHost: h\r\n\r\n");
    for (unsigned i = 0; i < 5; i++) /* too long */
        assert_int_equal(take(k, &seen, buf_slice(&text), true), 0);
    for (unsigned i = 0; i < 5; i++) /* not plain */
        assert_int_equal(take(k, &seen, SLICE("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n"), true), 0);
    buf_done(&text);
    http_kept_free(k);
}

/* More heads than there is place for, on many connections, one byte different here and there. */
static void mixed(void **state)
{
    struct http_kept *k = http_kept_new();
    struct http_seen seen[8] = { 0 };
    uint32_t seed = 11;
    size_t known = 0;
    char text[TEXT];

    (void)state;
    assert_non_null(k);
    for (unsigned i = 0; i < 60000; i++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned which = seed >> 8 & 255, at = seed >> 16 & 7;
        int n = snprintf(text, sizeof text,
                         "POST /x/p/r%u HTTP/1.1\r\nHost: gate\r\nX: %*s\r\nContent-Length: %u\r\n\r\nbody", which % 90,
                         (int)(which % 40) + 1, "v", which % 7);
        for (unsigned times = 0; times < 3; times++) {
            char *own = malloc((size_t)n); /* what was read before is gone */
            memcpy(own, text, (size_t)n);
            if (times == 2 && which % 3 == 0)
                own[seed % (unsigned)n] ^= (char)(1 << (seed & 3));
            known += take(k, &seen[at], slice_make(own, (size_t)n), true) != 0;
            free(own);
        }
    }
    assert_true(known > 60000);
    http_kept_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(recognised), cmocka_unit_test(not_kept),
                                        cmocka_unit_test(mixed) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A connection over TLS for which memory runs out while it is made: there is none, or it is whole. */
#include "net_test.h"
#include "tests/unit/fail_alloc.h"

#include <sys/socket.h>

static void opened(void *user)
{
    (void)user;
}

static void broke(void *user, enum stream_fault f)
{
    (void)f;
    ++*(unsigned *)user;
}

static const struct stream_events events = { .open = opened, .readable = opened, .writable = opened, .broken = broke };

/* OpenSSL calls back from a handshake's first step on, with what it was given when the connection was made. */
static void each_allocation(void **state)
{
    struct loop *l = loop_new();
    struct tls_context *tls = NULL;
    struct sockaddr_storage to;
    unsigned broken = 0, none = 0;
    size_t nth = 1, made;
    int listener;

    (void)state;
    assert_non_null(l);
    assert_int_equal(net_listen("127.0.0.1", 0, false, &listener, NULL), ERR_OK);
    address_of(listener, &to);
    assert_int_equal(tls_client_new(&(struct tls_client){ .mode = TLS_LEGACY }, &tls, NULL), ERR_OK);
    do {
        struct stream *s;

        (void)fail_alloc(nth);
        s = stream_connect(l, &to, tls, SLICE("provider.example"), &events, &broken);
        made = fail_alloc(0);
        none += s == NULL;
        turns(l, 3);
        stream_close(s);
        turns(l, 1);
    } while (nth++ <= made);
    assert_true(nth > 10 && none > 5);
    assert_int_equal(broken, 0); /* nobody has answered */
    tls_unref(tls);
    loop_free(l);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_allocation) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

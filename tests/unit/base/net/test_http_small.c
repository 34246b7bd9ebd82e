/* Whole small requests: what is too large is said, and what memory lacks for is not called so. */
#include "net_test.h"
#include "tests/unit/until.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { BODY_MAX = 1000 };

static unsigned heads, asked;

static int on_head(void *owner, const struct http_conn *http, const struct http_head *h, const char **text)
{
    (void)owner, (void)http, (void)h, (void)text;
    heads++;
    return 0;
}

static void on_ask(void *owner, struct http_small_ask *a)
{
    (void)owner;
    asked++;
    http_small_answer(a, 200, "text/plain", buf_slice(&a->body));
}

static int connect_to(int listener)
{
    struct sockaddr_storage to;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address_of(listener, &to);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(struct sockaddr_in)), 0);
    return fd;
}

/* The first line of what a body of n bytes is answered; the nth allocation behind its head fails. */
static void check(size_t n, size_t nth, const char *want)
{
    static const struct http_small_config how = {
        .body_max = BODY_MAX, .connections = 2, .head = on_head, .ask = on_ask
    };
    static char body[BODY_MAX + 1];
    struct loop *l = loop_new();
    unsigned before = heads;
    struct http_small *s;
    char text[256];
    int listener, fd;
    ssize_t got = 0;

    assert_non_null(l);
    memset(body, 'x', sizeof body);
    assert_int_equal(net_listen("127.0.0.1", 0, false, &listener, NULL), ERR_OK);
    s = http_small_new(l, listener, NULL, &how);
    assert_non_null(s);
    fd = connect_to(listener);
    snprintf(text, sizeof text, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    UNTIL((turns(l, 1), heads == before + 1));
    mem_fail_nth(nth);
    assert_int_equal(send(fd, body, n, MSG_NOSIGNAL), n);
    UNTIL((turns(l, 1), (got = recv(fd, text, sizeof text, MSG_DONTWAIT)) > 0));
    mem_fail_nth(0);
    assert_true(slice_starts(slice_make(text, (size_t)got), slice_of(want)));
    close(fd);
    http_small_free(s);
    turns(l, 2);
    loop_free(l);
    close(listener);
}

static void bodies(void **state)
{
    (void)state;
    asked = 0;
    check(BODY_MAX, 0, "HTTP/1.1 200 ");
    assert_int_equal(asked, 1);
    check(BODY_MAX + 1, 0, "HTTP/1.1 413 ");
    check(BODY_MAX, 1, "HTTP/1.1 503 "); /* who asks tries again */
    assert_int_equal(asked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bodies) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

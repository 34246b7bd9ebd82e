/* A body whose owner pauses at its last piece, as one does whose own peer takes no more just then. */
#include "tls_test.h"

static bool pauses;

static void paused_head(void *state, struct http_call *call, const struct http_head *h)
{
    (void)h;
    (void)state;
    http_call_set(call, call);
}

static void paused_body(void *call, struct slice bytes)
{
    (void)bytes;
    if (pauses)
        http_call_read(call, false);
}

static void paused_end(void *call)
{
    struct http_reply r = { .status = 200, .length = 2 };

    http_reply_head(call, &r);
    http_reply_body(call, SLICE("ok"));
    http_reply_end(call, NULL, 0);
}

static void *on_open(void *arg, struct http_conn *c)
{
    (void)c;
    return arg;
}

static void nothing(void *state)
{
    (void)state;
}

static void gone_nothing(void *state, enum reason why)
{
    (void)state;
    (void)why;
}

static const struct http_service paused_service = { .open = on_open,
                                                    .close = nothing,
                                                    .head = paused_head,
                                                    .body = paused_body,
                                                    .end = paused_end,
                                                    .room = nothing,
                                                    .gone = gone_nothing,
                                                    .sent = nothing };

static bool hears_200(struct raw *r, struct world *w, int64_t ms)
{
    char block[1024];
    int got = 0;

    for (int64_t end = clock_mono_ms() + ms; clock_mono_ms() < end && got <= 0;) {
        moment(w->loop);
        raw_take(r);
        got = SSL_read(r->ssl, block, sizeof block);
    }
    return got > 12 && memcmp(block, "HTTP/1.1 200", 12) == 0;
}

/* What the owner paused is over with the body, and holds no later head back. */
static void next_head_after_a_paused_body(void **state)
{
    static const char post[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world w = { .service = &paused_service };
        struct raw r;
        pauses = i == 1;
        world_begin(&w);
        raw_shake(&r, &w, TLS1_3_VERSION);
        SSL_write(r.ssl, post, sizeof post - 1);
        raw_send(&r);
        assert_true(hears_200(&r, &w, 5000));
        /* two records in one packet: the second is nowhere but in the TLS layer when the first was read */
        SSL_write(r.ssl, "GET / HTTP/1.1\r\n", 16);
        SSL_write(r.ssl, "Host: h\r\n\r\n", 11);
        raw_send(&r);
        assert_true(hears_200(&r, &w, 5000));
        raw_done(&r);
        turns(w.loop, 3);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(next_head_after_a_paused_body) };

    return cmocka_run_group_tests(tests, make_files, drop_files);
}

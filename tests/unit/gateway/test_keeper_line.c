/* Replies that come late, in pieces, or are another's: none is taken for what it is not, and nobody is held up. */
#include "keeper_world.h"
#include "tests/unit/until.h"

/* A whole reply has come and nobody has taken any of it. */
static bool reply_is_there(const struct keeper_line *l)
{
    static char bytes[KEEPER_FRAME + 4096];
    ssize_t n = recv(l->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);

    return n >= KEEPER_FRAME && (size_t)n >= KEEPER_FRAME + keeper_get(bytes + 4, 4);
}

/* The ms of a call that the keeper's stillness must not hold up: the least of three, for a busy machine adds more. */
static int64_t refused_in(const struct certs_hand *hand)
{
    struct certs_issued issued;
    int64_t least = INT64_MAX;

    for (int i = 0; i < 3; i++) {
        int64_t began = clock_mono_ms(), took;
        assert_int_equal(hand->leaf(hand->self, buf_slice(&w.csr), SLICE("spiffe://" DOMAIN "/dept/edu/app/x"),
                                    SLICE("x"), 30, &w.a, &issued, &w.d),
                         ERR_AGAIN);
        took = clock_mono_ms() - began;
        least = took < least ? took : least;
    }
    return least;
}

/* It stands still in the middle of a signature: nothing is taken for the reply to anything else, the gate is closed
 * after a while and opens by itself, and what it signed late is asked for again. */
static void the_keeper_stands_still(void **state)
{
    (void)state;
    struct audit_notary n = keeper_notary(w.k);
    const struct certs_hand *hand = keeper_hand(w.k);
    struct sha256 a = leaf_hash("a"), b = leaf_hash("b"), ab = node_hash(a, b), x = leaf_hash("x");
    struct audit_continuation one = { .size = 1, .root = a, .wait_ms = 50 },
                              fork = { .size = 1, .root = x, .wait_ms = 50 },
                              two = { .size = 2, .root = ab, .proof = &b, .n = 1, .wait_ms = 20000 };
    struct audit_signatures sig, first;

    assert_int_equal(kill(w.k->pid, SIGSTOP), 0);
    assert_int_equal(n.sign(n.self, &one, &sig), ERR_AGAIN);
    assert_int_equal(n.sign(n.self, &one, &sig), ERR_AGAIN);
    assert_int_equal(n.sign(n.self, &fork, &sig), ERR_AGAIN); /* the other reply is owed: this is not even asked */
    assert_int_equal(keeper_state(w.k), KEEPER_SIGNS);
    assert_int_equal(gate_reason(&w.gate), REASON_GRANTED); /* not long yet */
    atomic_fetch_sub(&w.k->line[KEEPER_LOG].since, CALL_MS);
    assert_int_equal(keeper_state(w.k), KEEPER_SLOW);
    assert_int_equal(n.sign(n.self, &one, &sig), ERR_AGAIN);
    assert_int_equal(gate_reason(&w.gate), REASON_EVIDENCE_UNSIGNED);
    assert_true(refused_in(hand) < 1000);
    assert_int_equal(kill(w.k->pid, SIGCONT), 0);
    UNTIL(reply_is_there(&w.k->line[KEEPER_LOG])); /* the late signature: it is dropped, and not taken for this one's */
    fork.wait_ms = one.wait_ms = 20000;
    assert_int_equal(n.sign(n.self, &fork, &sig), ERR_CONFLICT);
    assert_int_equal(n.sign(n.self, &one, &first), ERR_OK);
    assert_int_equal(gate_reason(&w.gate), REASON_GRANTED);
    assert_int_equal(n.sign(n.self, &two, &sig), ERR_OK);
    assert_int_equal(keeper_state(w.k), KEEPER_SIGNS);
    assert_memory_not_equal(first.ed25519, sig.ed25519, ED25519_SIG);
}

/* The same on the other side: a certificate that nobody waited for is dropped, and the next list is a list. */
static void a_late_certificate(void **state)
{
    (void)state;
    struct pollfd p = { .fd = keeper_fd(w.k), .events = POLLIN };
    struct buf body = BUF_INIT(1 << 16), out = BUF_INIT(8 << 20), many = BUF_INIT(KEEPER_REQUEST_MAX);
    struct keeper_line *l = &w.k->line[KEEPER_CONTROL];
    enum err code = ERR_CLOSED;

    keeper_put(&body, 30, 4);
    put_text(&body, SLICE("spiffe://" DOMAIN "/dept/edu/app/x"));
    put_text(&body, SLICE("x"));
    buf_put(&body, buf_slice(&w.csr));
    assert_int_equal(kill(w.k->pid, SIGSTOP), 0);
    assert_int_equal(keeper_line_ask(l, KEEPER_LEAF, buf_slice(&body)), ERR_OK);
    assert_int_equal(keeper_line_wait(l, 50, &code, &out), ERR_AGAIN);
    assert_int_equal(keeper_line_ask(l, KEEPER_LIST, buf_slice(&body)), ERR_AGAIN);
    assert_int_equal(kill(w.k->pid, SIGCONT), 0);
    assert_int_equal(poll(&p, 1, 20000), 1);
    UNTIL((keeper_look(w.k), !l->owed));
    assert_int_equal(keeper_state(w.k), KEEPER_SIGNS);
    /* A list that no socket holds goes in pieces; half of it does not stop the log's side. */
    keeper_put(&many, 1, 8);
    keeper_put(&many, 48, 4);
    for (unsigned i = 0; i < 40000; i++) {
        keeper_put(&many, 3, 1);
        keeper_put(&many, 0x400000u + i, 3);
        for (int k = 3; k < 20; k++)
            buf_putc(&many, 0);
        keeper_put(&many, (uint64_t)clock_wall_ms(), 8);
    }
    assert_int_equal(kill(w.k->pid, SIGSTOP), 0); /* it takes none meanwhile */
    assert_int_equal(keeper_line_ask(l, KEEPER_LIST, buf_slice(&many)), ERR_OK);
    assert_true(l->sent < l->out.n);
    assert_int_equal(kill(w.k->pid, SIGCONT), 0);
    struct sha256 a = leaf_hash("a");
    assert_int_equal(checkpoint_of(1, &a, NULL, 0), ERR_OK);
    assert_int_equal(keeper_line_wait(l, 60000, &code, &out), ERR_OK);
    assert_int_equal(code, ERR_OK);
    assert_true(holds(buf_slice(&out), SLICE("-----BEGIN X509 CRL-----")));
    buf_done(&body);
    buf_done(&out);
    buf_done(&many);
}

/* What is no reply to the request ends the line: numbers, lengths and codes are checked. */
static void replies_of_another(void **state)
{
    (void)state;
    static const struct {
        unsigned code, length, number;
        enum err want;
    } cases[] = { { ERR_OK, 2, 1, ERR_OK },
                  { ERR_OK, 2, 0, ERR_CLOSED },
                  { ERR_OK, 2, 2, ERR_CLOSED },
                  { ERR_COUNT_, 2, 1, ERR_CLOSED },
                  { ERR_OK, KEEPER_REPLY_MAX + 1u, 1, ERR_CLOSED } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf bytes = BUF_INIT(64), out = BUF_INIT(64);
        struct keeper_line l;
        enum err code = ERR_CLOSED;
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        keeper_line_init(&l, pair[0]);
        l.owed = false;
        assert_int_equal(keeper_line_ask(&l, KEEPER_CHECKPOINT, SLICE("x")), ERR_OK);
        keeper_put(&bytes, cases[i].code, 4);
        keeper_put(&bytes, cases[i].length, 4);
        keeper_put(&bytes, cases[i].number, 4);
        buf_puts(&bytes, "ok");
        for (size_t at = 0; at < bytes.n; at++) { /* byte by byte */
            assert_int_equal(send(pair[1], bytes.p + at, 1, MSG_NOSIGNAL), 1);
            if (at + 1 < KEEPER_FRAME)
                assert_int_equal(keeper_line_wait(&l, 0, &code, &out), ERR_AGAIN);
        }
        assert_int_equal(keeper_line_wait(&l, 1000, &code, &out), cases[i].want);
        assert_int_equal(out.n, cases[i].want == ERR_OK ? 2 : 0);
        keeper_line_done(&l);
        close(pair[1]);
        buf_done(&bytes);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEEPER_TEST(the_keeper_stands_still),
        KEEPER_TEST(a_late_certificate),
        cmocka_unit_test(replies_of_another),
    };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

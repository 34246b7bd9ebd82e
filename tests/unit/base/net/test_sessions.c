/* The store of TLS sessions: what is kept, what gives way, when it ends; and many threads at once (the tsan preset
 * looks at that one). */
#include "net_test.h"

#include <pthread.h>

static struct tls_peer *peer_new(void)
{
    struct tls_peer *p = mem_zalloc(sizeof *p);

    assert_non_null(p);
    atomic_init(&p->refs, 1);
    return p;
}

/* Ids of the same `set` land in the same set of a store of one or more sets. */
static struct tls_session session(uint8_t set, unsigned number, int64_t until, struct tls_peer *p)
{
    struct tls_session s = { .until = until, .peer = p, .n = 100 };

    s.id[0] = set;
    memcpy(s.id + 8, &number, sizeof number);
    memset(s.state, (int)(number & 0xff), s.n);
    return s;
}

static bool has(struct tls_sessions *s, uint8_t set, unsigned number, int64_t now)
{
    struct tls_session want = session(set, number, 0, NULL), got;

    if (!tls_sessions_get(s, want.id, now, &got))
        return false;
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.state, want.state, got.n);
    tls_peer_unref(got.peer);
    return true;
}

static void put(struct tls_sessions *s, uint8_t set, unsigned number, int64_t until, int64_t now, struct tls_peer *p)
{
    struct tls_session one = session(set, number, until, p);

    tls_sessions_put(s, &one, now);
}

static void kept_until_its_end(void **state)
{
    struct tls_sessions *s = tls_sessions_new(64);
    struct tls_peer *p = peer_new();
    struct tls_session one = session(1, 1, 1000, p);

    (void)state;
    assert_non_null(s);
    assert_non_null(s);
    assert_false(has(s, 1, 1, 0));
    put(s, 1, 1, 1000, 0, p);
    assert_int_equal(atomic_load(&p->refs), 2);
    assert_true(has(s, 1, 1, 999));
    assert_false(has(s, 1, 1, 1000));
    assert_false(has(s, 1, 2, 0));
    tls_sessions_end(s, one.id, 500);
    tls_sessions_end(s, one.id, 900); /* never later than it was */
    assert_true(has(s, 1, 1, 499));
    assert_false(has(s, 1, 1, 500));
    tls_sessions_end(s, one.id, 0);
    assert_int_equal(atomic_load(&p->refs), 1);
    assert_false(has(s, 1, 1, 0));
    one.n = TLS_SESSION_MAX + 1;
    tls_sessions_put(s, &one, 0);
    assert_int_equal(tls_sessions_count(s).kept, 0);
    put(s, 1, 3, 1000, 0, p);
    tls_sessions_unref(s);
    assert_int_equal(atomic_load(&p->refs), 1);
    tls_peer_unref(p);
}

/* A full set: what ended goes first, then what was not used for longest. Another set loses nothing. */
static void gives_way_when_full(void **state)
{
    struct tls_sessions *s = tls_sessions_new(16);
    struct tls_peer *p = peer_new();

    (void)state;
    assert_non_null(s);
    put(s, 1, 100, 1000, 0, p);
    for (unsigned i = 0; i < 8; i++)
        put(s, 0, i, i == 5 ? 10 : 1000, 0, p);
    assert_int_equal(tls_sessions_count(s).kept, 9);
    put(s, 0, 8, 1000, 20, p);
    assert_false(has(s, 0, 5, 5));
    assert_int_equal(tls_sessions_count(s).displaced, 0);
    assert_true(has(s, 0, 0, 20));
    put(s, 0, 9, 1000, 20, p);
    assert_true(has(s, 0, 0, 20));
    assert_false(has(s, 0, 1, 20));
    assert_true(has(s, 0, 2, 20) && has(s, 0, 8, 20) && has(s, 0, 9, 20) && has(s, 1, 100, 20));
    assert_int_equal(tls_sessions_count(s).displaced, 1);
    assert_int_equal(tls_sessions_count(s).kept, 9);
    for (unsigned i = 0; i < 10000; i++)
        put(s, (uint8_t)i, 1000 + i, 1000, 20, p);
    assert_int_equal(tls_sessions_count(s).kept, 16);
    assert_int_equal(atomic_load(&p->refs), 17);
    tls_sessions_unref(s);
    tls_peer_unref(p);
}

/* ---- threads ---- */
enum { THREADS = 4, ROUNDS = 20000, IDS = 64 };
struct job {
    struct tls_sessions *s;
    struct tls_peer *p; /* ref of its own */
    unsigned number, found;
};

static void *work(void *arg)
{
    struct job *j = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned at = (i * 7 + j->number * 13) % IDS;
        struct tls_session one = session((uint8_t)at, at, 1000, j->p);

        if (i % 3 == 0)
            tls_sessions_put(j->s, &one, 0);
        else if (i % 31 == 1)
            tls_sessions_end(j->s, one.id, 0);
        else
            j->found += has(j->s, (uint8_t)at, at, 0);
    }
    tls_peer_unref(j->p);
    tls_sessions_unref(j->s);
    return NULL;
}

static void threads_share_it(void **state)
{
    struct tls_sessions *s = tls_sessions_new(32);
    struct tls_peer *p = peer_new();
    struct job jobs[THREADS];
    pthread_t t[THREADS];
    unsigned found = 0;

    (void)state;
    assert_non_null(s);
    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){ tls_sessions_ref(s), tls_peer_ref(p), i, 0 };
        assert_int_equal(pthread_create(&t[i], NULL, work, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        found += jobs[i].found;
    }
    assert_true(found > 0);
    assert_true(tls_sessions_count(s).kept <= 32);
    assert_int_equal(tls_sessions_count(s).found, found);
    assert_int_equal(atomic_load(&p->refs), 1 + tls_sessions_count(s).kept);
    tls_sessions_unref(s);
    assert_int_equal(atomic_load(&p->refs), 1);
    tls_peer_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kept_until_its_end), cmocka_unit_test(gives_way_when_full),
                                        cmocka_unit_test(threads_share_it) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

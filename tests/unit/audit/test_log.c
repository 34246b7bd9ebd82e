/* The log in normal service: order, completions, acts, lazy records, checkpoints, many owners at once. */
#include "tests/unit/audit/world.h"
#include "tests/unit/until.h"
#include "audit/note.h"
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static struct world w;

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_done(&w);
    return 0;
}

static void fresh_log(void **state)
{
    (void)state;
    struct audit_status s;
    assert_int_equal(world_open(&w), ERR_OK);
    audit_status(w.log, &s);
    assert_true(s.available);
    assert_int_equal(s.size, 1); /* the head */
    assert_int_equal(s.checkpoint_size, 1);
    struct audit_record a = world_intent(1);
    struct waited x = world_put(&w, &a, 0);
    assert_int_equal(x.e, ERR_OK);
    assert_int_equal(x.index, 1);
    world_close(&w);
    world_good(&w, 2);
}

static void pairs_in_order(void **state)
{
    (void)state;
    struct waited x[100] = { { 0 } };
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < 100; i++) {
        struct audit_record r = i % 2 ? world_outcome(i / 2) : world_intent(i / 2);
        assert_int_equal(audit_put(w.q, &r, 0, &x[i]), ERR_OK);
    }
    audit_kick(w.q);
    world_wait(&w, &x[99]);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(x[i].done);
        assert_int_equal(x[i].index, i + 1);
    }
    world_close(&w);
    world_good(&w, 101);
}

static void reopened(void **state)
{
    (void)state;
    uint64_t size = 1;
    w.c.segment_bytes = 40000; /* several segments */
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(world_open(&w), ERR_OK);
        assert_true(world_size(&w) >= size);
        world_fill(&w, i * 300, 300);
        size = world_size(&w);
        world_close(&w);
        world_good(&w, size);
    }
    struct segment_list list;
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    assert_true(list.n > 3);
    for (size_t i = 0; i < list.n; i++)
        assert_int_equal(list.first[i] % 256, 0);
    assert_int_equal(size, 3000 + list.n); /* a head each */
    segment_list_done(&list);
}

static void acts(void **state)
{
    (void)state;
    static const struct {
        uint64_t act;
        enum err want;
    } cases[] = { { 1, ERR_OK },       { 2, ERR_OK }, { 2, ERR_EXISTS },   { 1, ERR_EXISTS },
                  { 4, ERR_CONFLICT }, { 3, ERR_OK }, { 5, ERR_CONFLICT }, { 4, ERR_OK } };
    struct audit_status s;
    assert_int_equal(world_open(&w), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf line = BUF_INIT(AUDIT_RECORD_MAX * 2);
        struct audit_record r = { .kind = AUDIT_ACT,
                                  .at = 1,
                                  .act = cases[i].act,
                                  .author = SLICE("spiffe://x/p"),
                                  .verb = SLICE("grant.revoke"),
                                  .object = SLICE("g-1"),
                                  .content = SLICE("{\"n\":1}") };
        struct waited x = { 0 };
        assert_int_equal(audit_render(&r, &line), ERR_OK);
        assert_int_equal(audit_put_line(w.q, buf_slice(&line), r.act, AUDIT_ESSENTIAL, &x), ERR_OK);
        audit_kick(w.q);
        world_wait(&w, &x);
        assert_int_equal(x.e, cases[i].want);
        buf_done(&line);
    }
    audit_status(w.log, &s);
    assert_int_equal(s.last_act, 4);
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    audit_status(w.log, &s);
    assert_int_equal(s.last_act, 4);
    assert_int_equal(audit_put_line(w.q, SLICE("{\"v\":1}\n"), 5, 0, NULL), ERR_INVALID);
    assert_int_equal(audit_put_line(w.q, SLICE(""), 5, 0, NULL), ERR_INVALID);
}

/* Records gather while each turn brings some, for a millisecond or 64 KiB, and never when nobody waits. */
static void gathering(void **state)
{
    (void)state;
    static struct waited x[200];
    struct audit_record r = world_intent(1);
    enum { NOW = 5000000, MS = 1000000 };
    unsigned n = 0;
    memset(x, 0, sizeof x);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_false(audit_gathers(w.q, NOW, NOW));
    assert_int_equal(audit_put(w.q, &r, AUDIT_LAZY, NULL), ERR_OK);
    assert_false(audit_gathers(w.q, NOW, NOW));
    for (int64_t at = NOW; at < NOW + MS; at += MS / 4) {
        assert_int_equal(audit_put(w.q, &r, 0, &x[n++]), ERR_OK);
        assert_true(audit_gathers(w.q, at, at));
    }
    assert_int_equal(audit_put(w.q, &r, 0, &x[n++]), ERR_OK);
    assert_false(audit_gathers(w.q, NOW + MS, NOW + MS));
    audit_kick(w.q);
    assert_int_equal(audit_put(w.q, &r, 0, &x[n++]), ERR_OK);
    assert_false(audit_gathers(w.q, NOW, NOW + MS)); /* a turn that was so long by itself */
    audit_kick(w.q);
    assert_int_equal(audit_put(w.q, &r, 0, &x[n++]), ERR_OK);
    assert_true(audit_gathers(w.q, NOW + 2 * MS, NOW + 2 * MS));
    assert_false(audit_gathers(w.q, NOW + 2 * MS, NOW + 2 * MS)); /* that turn brought nothing */
    audit_kick(w.q);
    world_wait(&w, &x[n - 1]);
    while (n < 200 &&
           (assert_int_equal(audit_put(w.q, &r, 0, &x[n++]), ERR_OK), audit_gathers(w.q, NOW + 3 * MS, NOW + 3 * MS)))
        ;
    assert_in_range(n, 60, 180);
    audit_kick(w.q);
    world_wait(&w, &x[n - 1]);
    world_close(&w);
    world_good(&w, n + 2);
}

static void lazy_ride(void **state)
{
    (void)state;
    struct audit_record r = world_outcome(1), a = world_intent(2);
    assert_int_equal(world_open(&w), ERR_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(audit_put(w.q, &r, AUDIT_LAZY, NULL), ERR_OK);
    audit_kick(w.q); /* nobody waits: no commit */
    usleep(20000);
    assert_int_equal(world_size(&w), 1);
    struct waited x = world_put(&w, &a, 0);
    assert_int_equal(x.index, 11);
    assert_int_equal(audit_put(w.q, &r, AUDIT_LAZY, NULL), ERR_OK);
    audit_nudge(w.q);
    UNTIL(world_size(&w) >= 13);
    assert_int_equal(world_size(&w), 13);
    audit_nudge(w.q);
    world_close(&w);
    world_good(&w, 13);
}

/* A ring that is full says so, frees itself by polling, and loses nothing. */
static void full_ring(void **state)
{
    (void)state;
    struct audit_log *l;
    struct audit_queue *q;
    static struct waited x[2000];
    memset(x, 0, sizeof x);
    assert_int_equal(audit_open(&w.c, &l, &w.d), ERR_OK);
    assert_int_equal(audit_queue_new(l, 1, world_done_fn, &q), ERR_OK);
    unsigned n = 0;
    for (;; n++) {
        struct audit_record r = world_intent(n);
        enum err e = audit_put(q, &r, 0, &x[n]);
        if (e == ERR_AGAIN)
            break;
        assert_int_equal(e, ERR_OK);
    }
    assert_true(n > 50 && n < 1000);
    audit_forget(q, &x[3]);
    audit_kick(q);
    assert_int_equal(audit_start(l), ERR_OK);
    struct pollfd p = { .fd = audit_queue_fd(q), .events = POLLIN };
    while (!x[n - 1].done) {
        assert_int_equal(poll(&p, 1, 20000), 1);
        audit_poll(q);
    }
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(x[i].done, i != 3);
    for (unsigned i = 0; i < 1500; i++) { /* several times around */
        struct audit_record r = world_outcome(i % n);
        enum err e;
        while ((e = audit_put(q, &r, AUDIT_LAZY, NULL)) == ERR_AGAIN) {
            audit_nudge(q);
            usleep(100);
        }
        assert_int_equal(e, ERR_OK);
    }
    audit_nudge(q);
    audit_queue_free(q);
    audit_close(l);
    world_good(&w, 1 + n + 1500);
}

/* Lazy records that fill the ring: who finds no room waits for them, so that they are not lazy any more. */
static void full_of_lazy(void **state)
{
    (void)state;
    struct audit_record r = world_intent(1);
    enum err e;
    assert_int_equal(world_open(&w), ERR_OK);
    while ((e = audit_put(w.q, &r, AUDIT_LAZY, NULL)) == ERR_OK)
        continue;
    assert_int_equal(e, ERR_AGAIN);
    audit_kick(w.q);
    for (int i = 0; i < 5000 && world_size(&w) == 1; i++)
        usleep(1000);
    assert_true(world_size(&w) > 1);
    assert_int_equal(audit_put(w.q, &r, AUDIT_LAZY, NULL), ERR_OK);
    world_close(&w);
}

static void checkpoint_follows(void **state)
{
    (void)state;
    struct audit_status s;
    struct buf note = BUF_INIT(NOTE_MAX);
    struct note_checkpoint cp;
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 10);
    world_covered(&w, &s);
    assert_int_equal(s.checkpoint_size, 21);
    assert_int_equal(audit_checkpoint(w.log, &note), ERR_OK);
    assert_int_equal(note_read(buf_slice(&note), &cp), ERR_OK);
    assert_int_equal(cp.size, 21);
    assert_true(note_verify(&cp, w.c.origin, w.c.signer.public_key));
    assert_false(note_verify(&cp, SLICE("other"), w.c.signer.public_key));
    note.p[note.n - 10] ^= 1;
    assert_false(note_read(buf_slice(&note), &cp) == ERR_OK && note_verify(&cp, w.c.origin, w.c.signer.public_key));
    buf_done(&note);
    world_good(&w, 21); /* of a log that is running */
}

static void two_opens(void **state)
{
    (void)state;
    struct audit_log *other = NULL;
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(audit_open(&w.c, &other, &w.d), ERR_BUSY);
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    world_close(&w);
    w.c.origin = SLICE("city.example/log/node-2");
    assert_int_equal(audit_open(&w.c, &other, &w.d), ERR_CONFLICT);
}

static void secrets(void **state)
{
    (void)state;
    char a[33], b[33];
    assert_int_equal(world_open(&w), ERR_OK);
    audit_pseudonym(w.log, SLICE("990101199001011234"), a);
    audit_pseudonym(w.log, SLICE("990101199001011235"), b);
    assert_int_equal(strlen(a), 32);
    assert_string_not_equal(a, b);
    struct sha256 i = audit_salt(w.log, world_exchange(1), 'i'), o = audit_salt(w.log, world_exchange(1), 'o');
    assert_memory_not_equal(&i, &o, sizeof i);
    i = audit_keyed_digest(w.log, SLICE("990101199001011234"));
    assert_memory_not_equal(&i, a, 16);
}

/* One person, one pseudonym, however written; a search also asks for what records hold that were made without folding:
 * the value's own HMAC. */
static void spellings(void **state)
{
    (void)state;
    static const char *const same[] = { "99010119900101006x", " 990101 19900101 006x", "９９０１０１19900101006Ｘ",
                                        "990101900101006" };
    char large[33], other[33], all[1 + PERSON_SPELLINGS][33];
    assert_int_equal(world_open(&w), ERR_OK);
    audit_pseudonym(w.log, SLICE("99010119900101006X"), large);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        audit_pseudonym(w.log, slice_of(same[i]), other);
        assert_string_equal(other, large);
        unsigned n = audit_pseudonyms(w.log, slice_of(same[i]), all);
        assert_true(n >= 2);
        assert_string_equal(all[0], large);
        struct sha256 old = hmac_sha256(slice_make(w.c.name_key, KEY_LEN), SLICE("pseudonym:"), slice_of(same[i]));
        struct buf hex = BUF_INIT(64);
        hex_put(&hex, slice_make(old.b, 16));
        assert_true(slice_is(buf_slice(&hex), all[1]));
        buf_done(&hex);
    }
    audit_pseudonym(w.log, SLICE("990101199001010078"), other);
    assert_string_not_equal(other, large);
}

struct owner {
    pthread_t thread;
    unsigned first, n;
    uint64_t last;
    bool bad;
};

static void owner_done(void *waiter, enum err e, uint64_t index)
{
    struct owner *o = waiter;
    if (e != ERR_OK || index <= o->last)
        o->bad = true;
    o->last = index;
    o->n++;
}

enum { EACH = 3000, OWNERS = 4 };

static void *owner_main(void *arg)
{
    struct owner *o = arg;
    struct audit_queue *q;
    if (audit_queue_new(w.log, 1 << 17, owner_done, &q) != ERR_OK)
        return NULL;
    struct pollfd p = { .fd = audit_queue_fd(q), .events = POLLIN };
    for (unsigned i = 0; i < EACH || o->n < EACH;) {
        for (unsigned k = 0; k < 1 + i % 17 && i < EACH; k++) {
            struct audit_record r = i % 2 ? world_outcome(o->first + i / 2) : world_intent(o->first + i / 2);
            if (audit_put(q, &r, 0, o) != ERR_OK)
                break;
            i++;
        }
        audit_kick(q);
        if (audit_poll(q) == 0 && poll(&p, 1, 20000) != 1) {
            o->bad = true;
            break;
        }
    }
    audit_queue_free(q);
    return NULL;
}

static void many_owners(void **state)
{
    (void)state;
    struct owner owners[OWNERS];
    w.c.segment_bytes = 1 << 20;
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < OWNERS; i++) {
        owners[i] = (struct owner){ .first = 100000 * i };
        assert_int_equal(pthread_create(&owners[i].thread, NULL, owner_main, &owners[i]), 0);
    }
    for (unsigned i = 0; i < OWNERS; i++)
        pthread_join(owners[i].thread, NULL);
    for (unsigned i = 0; i < OWNERS; i++) {
        assert_false(owners[i].bad);
        assert_int_equal(owners[i].n, EACH);
    }
    uint64_t size = world_size(&w);
    assert_true(size > EACH * OWNERS);
    world_close(&w);
    world_good(&w, size);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(fresh_log),          TEST(pairs_in_order), TEST(reopened),  TEST(acts),
        TEST(gathering),          TEST(lazy_ride),      TEST(full_ring), TEST(full_of_lazy),
        TEST(checkpoint_follows), TEST(two_opens),      TEST(secrets),   TEST(spellings),
        TEST(many_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

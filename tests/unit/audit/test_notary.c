/* The seal and the log that asks it: nothing but a continuation of the last checkpoint is ever signed, a restart in
 * between or not. */
#include "world.h"
#include "audit/log.h"
#include "audit/note.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct world w;
static char state_file[128];
static struct audit_seal *seal;

static enum err seal_sign(void *self, const struct audit_continuation *c, uint8_t sig[ED25519_SIG])
{
    const char *why[2] = { NULL, NULL };
    (void)self;
    return audit_seal_sign(seal, c, sig, why);
}

static void seal_open(void)
{
    seal = audit_seal_free(seal);
    assert_int_equal(audit_seal_open(state_file, w.c.origin, &w.c.signer, &seal, &w.d), ERR_OK);
    w.c.notary.sign = seal_sign;
    audit_seal_last(seal, &w.c.notary.size, &w.c.notary.root);
}

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    snprintf(state_file, sizeof state_file, "%s.seal", w.dir);
    assert_int_equal(audit_seal_create(state_file, w.c.origin, &w.c.signer, &w.d), ERR_OK);
    assert_int_equal(audit_seal_create(state_file, w.c.origin, &w.c.signer, NULL), ERR_EXISTS);
    seal_open();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    seal = audit_seal_free(seal);
    unlink(state_file);
    world_done(&w);
    return 0;
}

static struct sha256 leaf(struct digest *g, unsigned n)
{
    return merkle_leaf(g, slice_make(&n, sizeof n));
}

/* A continuation of [0, to) from [0, from); leaves from `fork` on are others. */
struct step {
    struct sha256 proof[MERKLE_PATH_MAX];
    struct audit_continuation c;
};
static void step_make(struct step *s, unsigned from, unsigned to, unsigned fork)
{
    struct digest *g = digest_new();
    struct merkle tree = { 0 };
    struct merkle_growth x = { 0 };
    struct sha256 done[MERKLE_TILE_LEVELS];
    for (unsigned n = 0; n < to; n++) {
        struct sha256 l = leaf(g, n < fork ? n : n + 1000);
        if (n == from)
            merkle_growth_begin(&x, &tree);
        merkle_push_noting(&tree, g, &l, &x, done);
    }
    *s = (struct step){ .c = { .size = to, .root = merkle_root(&tree, g) } };
    s->c.n = merkle_growth_proof(&x, &tree, g, s->proof);
    s->c.proof = s->proof;
    digest_free(g);
}

static enum err ask(unsigned from, unsigned to, unsigned fork)
{
    struct step s;
    struct buf text = BUF_INIT(NOTE_MAX);
    uint8_t sig[ED25519_SIG];
    const char *why[2] = { NULL, NULL };
    step_make(&s, from, to, fork);
    enum err e = audit_seal_sign(seal, &s.c, sig, why);
    assert_true((e == ERR_OK) == (why[0] == NULL) && (why[0] == NULL) == (why[1] == NULL));
    if (e == ERR_OK) {
        assert_int_equal(note_text(w.c.origin, to, &s.c.root, &text), ERR_OK);
        assert_true(ed25519_verify(w.c.signer.public_key, buf_slice(&text), slice_make(sig, sizeof sig)));
    }
    buf_done(&text);
    return e;
}

enum { NO_FORK = 100000 };
static void only_continuations(void **state)
{
    (void)state;
    for (int restarts = 0; restarts < 2; restarts++) {
        static const struct {
            unsigned from, to, fork;
            enum err want;
        } steps[] = {
            { 0, 10, NO_FORK, ERR_OK },       { 0, 10, NO_FORK, ERR_OK },        { 0, 10, 9, ERR_CONFLICT },
            { 0, 9, NO_FORK, ERR_CONFLICT },  { 0, 0, NO_FORK, ERR_INVALID },    { 0, 12, NO_FORK, ERR_CONFLICT },
            { 9, 12, NO_FORK, ERR_CONFLICT }, { 10, 12, 5, ERR_CONFLICT },       { 10, 12, NO_FORK, ERR_OK },
            { 12, 40, NO_FORK, ERR_OK },      { 10, 50, NO_FORK, ERR_CONFLICT }, { 40, 50, 39, ERR_CONFLICT },
            { 40, 50, 40, ERR_OK },
        };
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            assert_int_equal(ask(steps[i].from, steps[i].to, steps[i].fork), steps[i].want);
            if (restarts > 0)
                seal_open();
        }
        unlink(state_file);
        assert_int_equal(audit_seal_create(state_file, w.c.origin, &w.c.signer, &w.d), ERR_OK);
        seal_open();
    }
}

static void state_put(const char *p, size_t n, off_t at)
{
    int fd = open(state_file, O_WRONLY);
    assert_int_equal(pwrite(fd, p, n, at), (ssize_t)n);
    close(fd);
}

/* A torn write of the newest place leaves the one before; a forged, a foreign or an empty state is refused. */
static void a_state_that_is_damaged(void **state)
{
    (void)state;
    uint64_t size;
    struct sha256 root;
    static const char zeros[2048];
    assert_int_equal(ask(0, 10, NO_FORK), ERR_OK);
    assert_int_equal(ask(10, 20, NO_FORK), ERR_OK);
    audit_seal_last(seal, &size, &root);
    assert_int_equal(size, 20);
    state_put("torn", 4, 0); /* 20 stands there: 0 was its first */
    seal_open();
    audit_seal_last(seal, &size, &root);
    assert_int_equal(size, 10);
    assert_int_equal(ask(10, 20, 15), ERR_OK); /* which is why it is durable before a signature leaves */
    struct audit_seal *other = NULL;
    assert_int_equal(audit_seal_open(state_file, SLICE("other/log/x"), &w.c.signer, &other, NULL), ERR_CORRUPT);
    state_put(zeros, sizeof zeros, 0);
    assert_int_equal(audit_seal_open(state_file, w.c.origin, &w.c.signer, &other, NULL), ERR_CORRUPT);
    unlink(state_file);
    assert_int_equal(audit_seal_open(state_file, w.c.origin, &w.c.signer, &other, NULL), ERR_NOT_FOUND);
    assert_null(other);
}

/* A real log under a seal, over restarts. */
static void a_log_grows(void **state)
{
    (void)state;
    uint64_t size;
    struct sha256 root;
    for (unsigned i = 0; i < 4; i++) {
        seal_open();
        assert_int_equal(world_open(&w), ERR_OK);
        world_fill(&w, 1000 * i, 7 + 100 * i);
        world_close(&w);
        audit_seal_last(seal, &size, &root);
        world_good(&w, size);
    }
    assert_true(size > 1200);
}

/* A notary that answers late: it has signed, and says so at another asking. The log goes on, asks for nothing else, and
 * shows the checkpoint that it asked for; at the end all is covered. */
static _Atomic unsigned late;
static struct {
    bool waits;
    uint64_t size;
    uint8_t sig[ED25519_SIG];
} drawer;
static enum err late_sign(void *self, const struct audit_continuation *c, uint8_t sig[ED25519_SIG])
{
    enum err e = ERR_OK;
    if (!drawer.waits)
        e = seal_sign(self, c, drawer.sig);
    if (e != ERR_OK)
        return e;
    assert_true(!drawer.waits || drawer.size == c->size);
    drawer.size = c->size;
    drawer.waits = late > 0 && c->wait_ms < LOG_END_MS / 2; /* who has time is told at once */
    if (drawer.waits && late-- > 0)
        return ERR_AGAIN;
    memcpy(sig, drawer.sig, ED25519_SIG);
    return ERR_OK;
}

static void a_late_notary(void **state)
{
    (void)state;
    uint64_t size = 0, covered = 0;
    struct sha256 root;
    struct audit_status s;
    w.c.notary.sign = late_sign;
    drawer.waits = false;
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < 3; i++) {
        late = 2;
        world_fill(&w, 1000 * i, 40 + i);
        for (int k = 0; k < 100 && late > 1; k++)
            usleep(100000);
        assert_int_equal(late, 1);
        world_fill(&w, 1000 * i + 500, 40); /* while the answer is late */
        for (int k = 0; k < 100 && (audit_status(w.log, &s), s.checkpoint_size != s.size); k++)
            usleep(100000);
        assert_int_equal(s.checkpoint_size, s.size); /* signing goes on by itself */
        assert_true(s.size > covered);
        covered = s.size;
    }
    world_close(&w);
    audit_seal_last(seal, &size, &root);
    assert_true(size > 240);
    world_good(&w, size);
}

/* A log that was cut behind its own checkpoint's back, and one that is not there any more. */
static void a_log_that_was_cut(void **state)
{
    (void)state;
    struct buf before = BUF_INIT(1 << 20), old = BUF_INIT(NOTE_MAX);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 5);
    world_close(&w);
    world_read(&w, "0000000000000000.seg", &before);
    world_read(&w, "checkpoint", &old);
    seal_open();
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 100, 5);
    world_close(&w);
    world_write(&w, "0000000000000000.seg", buf_slice(&before));
    world_write(&w, "checkpoint", buf_slice(&old));
    seal_open();
    assert_int_equal(world_open(&w), ERR_CORRUPT); /* without the seal nobody would see that it is an older copy */
    w.c.notary.sign = NULL;
    w.c.notary.size = 0;
    assert_int_equal(world_open(&w), ERR_OK);
    world_close(&w);
    seal_open();
    assert_int_equal(world_open(&w), ERR_CORRUPT);
    buf_done(&before);
    buf_done(&old);
}

/* A state of the key that is older than the log: the proof begins there. */
static void a_state_that_is_older(void **state)
{
    (void)state;
    struct buf before = BUF_INIT(4096);
    w.c.segment_bytes = 1 << 20;
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 5);
    world_close(&w);
    assert_int_equal(file_read(state_file, &before, &w.d), ERR_OK);
    for (unsigned i = 1; i < 3; i++) {
        seal_open();
        assert_int_equal(world_open(&w), ERR_OK);
        world_fill(&w, 10000 * i, 3000);
        world_close(&w);
    }
    assert_int_equal(file_write(state_file, buf_slice(&before), 0600, &w.d), ERR_OK);
    seal_open();
    assert_int_equal(world_open(&w), ERR_OK);
    world_close(&w);
    buf_done(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_continuations, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_notary, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_that_was_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_is_older, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

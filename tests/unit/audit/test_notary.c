/* The seal and the log that asks it: nothing but a continuation of the last checkpoint is ever signed, a restart in
 * between or not. */
#include "world.h"
#include "tests/unit/until.h"
#include "audit/log.h"
#include "audit/note.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct world w;
static char state_file[128];
static struct audit_seal *seal;

static enum err seal_sign(void *self, const struct audit_continuation *c, struct audit_signatures *sig)
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

static _Atomic int signing, release_sign;

static int teardown(void **state)
{
    (void)state;
    release_sign = 1; /* who waits for it, though the test ended before */
    world_close(&w);  /* the log asks the seal until its end */
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
    assert_non_null(g);
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
    struct audit_signatures sig;
    const char *why[2] = { NULL, NULL };
    step_make(&s, from, to, fork);
    enum err e = audit_seal_sign(seal, &s.c, &sig, why);
    assert_true((e == ERR_OK) == (why[0] == NULL) && (why[0] == NULL) == (why[1] == NULL));
    if (e == ERR_OK) {
        assert_int_equal(note_text(w.c.origin, to, &s.c.root, &text), ERR_OK);
        assert_true(
            ed25519_verify(w.c.signer.public_key, buf_slice(&text), slice_make(sig.ed25519, sizeof sig.ed25519)));
        assert_false(sig.has_sm2);
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

/* ---- a disk under the state ---- */
static struct {
    bool on, dirty, sync_fails;
    char durable[2048]; /* the state as a power cut would leave it */
} disk;

static void disk_keep(int fd)
{
    if (disk.dirty && pread(fd, disk.durable, sizeof disk.durable, 0) != (ssize_t)sizeof disk.durable)
        abort();
    disk.dirty = false;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (disk.on) /* else the log's threads write, too */
        disk.dirty = true;
    return syscall(SYS_pwrite64, fd, p, n, at);
}

/* After one that failed the pages look clean, and no later one carries them. */
int fdatasync(int fd)
{
    if (disk.on && disk.sync_fails) {
        disk.dirty = false;
        errno = EIO;
        return -1;
    }
    if (disk.on)
        disk_keep(fd);
    return (int)syscall(SYS_fdatasync, fd);
}

/* Written by a process that ended before its sync had, a state is there and not durable: nothing more is signed on it
 * before it is. */
static void a_state_that_is_not_durable_yet(void **state)
{
    (void)state;
    uint64_t size;
    struct sha256 root;
    disk.on = true;
    assert_int_equal(ask(0, 10, NO_FORK), ERR_OK);
    disk.sync_fails = true;
    assert_int_equal(ask(10, 20, NO_FORK), ERR_SYS);
    disk.sync_fails = false;
    seal_open();
    assert_int_equal(ask(0, 20, NO_FORK), ERR_OK); /* the signature is out */
    state_put(disk.durable, sizeof disk.durable, 0);
    seal_open();
    audit_seal_last(seal, &size, &root);
    disk.on = false;
    assert_int_equal(size, 20);
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
static _Atomic bool late;
static _Atomic unsigned times_late; /* that it was asked while it was */
static struct {
    bool waits;
    uint64_t size;
    struct audit_signatures sig;
} drawer;
static enum err late_sign(void *self, const struct audit_continuation *c, struct audit_signatures *sig)
{
    enum err e = ERR_OK;
    if (!drawer.waits)
        e = seal_sign(self, c, &drawer.sig);
    if (e != ERR_OK)
        return e;
    assert_true(!drawer.waits || drawer.size == c->size);
    drawer.size = c->size;
    drawer.waits = late && c->wait_ms < LOG_END_MS / 2; /* who has time is told at once */
    if (drawer.waits) {
        times_late++;
        return ERR_AGAIN;
    }
    *sig = drawer.sig;
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
        late = true;
        times_late = 0;
        world_fill(&w, 1000 * i, 40 + i);
        UNTIL(times_late >= 1);
        world_fill(&w, 1000 * i + 500, 40); /* while the answer is late */
        UNTIL(times_late >= 2);             /* it is asked for again, and nothing else is */
        late = false;
        world_covered(&w, &s); /* signing goes on by itself */
        assert_true(s.size > covered);
        covered = s.size;
    }
    world_close(&w);
    audit_seal_last(seal, &size, &root);
    assert_true(size > 240);
    world_good(&w, size);
}

/* With an SM2 key besides: both lines hold, each ignores the other, and neither can be of another key, origin or text.
 */
static void an_sm2_line(void **state)
{
    (void)state;
    struct buf note = BUF_INIT(NOTE_MAX), vkey = BUF_INIT(NOTE_MAX), other = BUF_INIT(NOTE_MAX);
    struct sm2 *k = NULL, *k2 = NULL;
    struct audit_verify_ask ask = { .dir = w.dir };
    struct audit_report r;
    uint64_t size;
    struct sha256 root;
    char path[160], path2[160];
    snprintf(path, sizeof path, "%s.sm2", w.dir);
    snprintf(path2, sizeof path2, "%s.sm2b", w.dir);
    assert_int_equal(sm2_generate(path, NULL), ERR_OK);
    assert_int_equal(sm2_generate(path2, NULL), ERR_OK);
    assert_int_equal(sm2_load(path, &k, NULL), ERR_OK);
    assert_int_equal(sm2_load(path2, &k2, NULL), ERR_OK);
    for (int round = 0; round < 4; round++) { /* off, on, off, on */
        bool on = round % 2 == 1;
        seal_open();
        audit_seal_sm2(seal, on ? k : NULL);
        w.c.notary.has_sm2 = on;
        memcpy(w.c.notary.sm2_key, sm2_public(k), SM2_PUB);
        assert_int_equal(world_open(&w), ERR_OK);
        world_fill(&w, 1000u * (unsigned)round, 5);
        world_close(&w);
        buf_clear(&note);
        world_read(&w, "checkpoint", &note);
        if (on && vkey.n == 0)
            world_read(&w, "log.sm2.vkey", &vkey);
        assert_true(audit_note_check(buf_slice(&note), buf_slice(&w.vkey), &size, &root));
        assert_int_equal(audit_sm2_holds(buf_slice(&note), buf_slice(&vkey)), on);
        ask.vkey = buf_slice(&w.vkey);
        ask.sm2 = buf_slice(&vkey);
        if (vkey.n > 0) {
            assert_int_equal(audit_verify_part(&ask, &r, &w.d), ERR_OK);
            assert_true(r.failed != on && r.sm2_ok == on && (on || strcmp(r.bad_what, "sm2-signature") == 0));
        }
        world_good(&w, size); /* who has no SM2 key passes over the line */
    }
    assert_true(audit_sm2_vkey_valid(buf_slice(&vkey)) && !audit_sm2_vkey_valid(buf_slice(&w.vkey)));
    assert_int_equal(audit_sm2_vkey(w.c.origin, sm2_public(k2), &other), ERR_OK);
    assert_false(audit_sm2_holds(buf_slice(&note), buf_slice(&other)));
    buf_clear(&other);
    assert_int_equal(audit_sm2_vkey(SLICE("other/log/x"), sm2_public(k), &other), ERR_OK);
    assert_false(audit_sm2_holds(buf_slice(&note), buf_slice(&other)));
    note.p[w.c.origin.n + 1] ^= 1; /* another size */
    assert_false(audit_sm2_holds(buf_slice(&note), buf_slice(&vkey)));
    note.p[w.c.origin.n + 1] ^= 1;
    note.p[note.n - 20] ^= 1;
    assert_false(audit_sm2_holds(buf_slice(&note), buf_slice(&vkey)));
    /* Another key in its place is not this log any more. */
    seal_open();
    audit_seal_sm2(seal, k2);
    memcpy(w.c.notary.sm2_key, sm2_public(k2), SM2_PUB);
    assert_int_equal(world_open(&w), ERR_CONFLICT);
    sm2_free(k);
    sm2_free(k2);
    unlink(path);
    unlink(path2);
    buf_done(&note);
    buf_done(&vkey);
    buf_done(&other);
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

static enum err seal_sign_when_told(void *self, const struct audit_continuation *c, struct audit_signatures *sig)
{
    signing++;
    while (signing > 1 && release_sign == 0)
        usleep(1000);
    return seal_sign(self, c, sig);
}

/* A signature under way keeps no record waiting, nor does the next one ask before it is there. */
static void records_do_not_wait_for_a_signature(void **state)
{
    (void)state;
    struct audit_status s;
    signing = release_sign = 0;
    w.c.notary.sign = seal_sign_when_told;
    assert_int_equal(world_open(&w), ERR_OK); /* the first signature */
    world_fill(&w, 0, 10);
    UNTIL(signing >= 2);
    assert_int_equal(signing, 2);
    audit_status(w.log, &s);
    assert_true(s.checkpoint_size < 21);
    world_fill(&w, 100, 400); /* more than the second thread is woken for */
    audit_status(w.log, &s);
    assert_int_equal(s.size, 1 + 2 * 410);
    assert_true(s.checkpoint_size < 21);
    assert_int_equal(signing, 2);
    release_sign = 1;
    world_close(&w);
    world_good(&w, 1 + 2 * 410);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_continuations, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_is_not_durable_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_notary, setup, teardown),
        cmocka_unit_test_setup_teardown(records_do_not_wait_for_a_signature, setup, teardown),
        cmocka_unit_test_setup_teardown(an_sm2_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_that_was_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_is_older, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

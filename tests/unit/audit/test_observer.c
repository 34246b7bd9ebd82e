/* A witness: each status of C2SP tlog-witness, one growing history over restarts, and a forked log that is caught. */
#include "audit/note.h"
#include "audit/audit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define ORIGIN "city.example/log/gw1"
enum { NOW = 1700000000, NO_FORK = 1 << 20, OWN = 0, STRANGER = 1 };
static char dir[64];
static struct ed25519 *keys[3]; /* the log's, a stranger's, the witness's */
static struct signer signers[3];
static struct buf vkey, out;
static struct audit_witness witness;
static struct audit_observer *o;

static void open_it(void)
{
    struct slice logs = buf_slice(&vkey);
    o = audit_observer_close(o);
    assert_int_equal(audit_observer_open(dir, SLICE("w1"), &signers[2], &logs, 1, &o, NULL), ERR_OK);
}

static int setup(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(1024);
    snprintf(dir, sizeof dir, "/tmp/sluice-observer-XXXXXX");
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 3; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/key%d", dir, i);
        assert_int_equal(ed25519_generate(path, NULL), ERR_OK);
        assert_int_equal(ed25519_load(path, &keys[i], NULL), ERR_OK);
        signers[i] = ed25519_signer(keys[i]);
    }
    vkey = BUF_INIT(1024);
    out = BUF_INIT(NOTE_MAX);
    assert_int_equal(audit_vkey(SLICE(ORIGIN), signers[0].public_key, &vkey), ERR_OK);
    assert_int_equal(audit_witness_vkey(SLICE("w1"), signers[2].public_key, &text), ERR_OK);
    assert_int_equal(audit_witness_read(buf_slice(&text), &witness), ERR_OK);
    buf_done(&text);
    open_it();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    o = audit_observer_close(o);
    for (int i = 0; i < 3; i++)
        keys[i] = ed25519_free(keys[i]);
    buf_done(&vkey);
    buf_done(&out);
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

/* A request from `from` to `to` leaves, of which those from `fork` on are others, signed by keys[who]. */
static void request(struct buf *body, struct buf *note, unsigned from, unsigned to, unsigned fork, int who)
{
    struct digest *g = digest_new();
    struct merkle tree = { 0 };
    struct merkle_growth x = { 0 };
    struct sha256 done[MERKLE_TILE_LEVELS], proof[MERKLE_PATH_MAX];
    assert_non_null(g);
    for (unsigned n = 0; n < to; n++) {
        unsigned value = n < fork ? n : n + NO_FORK;
        struct sha256 l = merkle_leaf(g, slice_make(&value, sizeof value));
        if (n == from)
            merkle_growth_begin(&x, &tree);
        merkle_push_noting(&tree, g, &l, &x, done);
    }
    struct sha256 root = merkle_root(&tree, g);
    size_t n = from > 0 && from < to ? merkle_growth_proof(&x, &tree, g, proof) : 0;
    buf_clear(note);
    assert_int_equal(note_sign(SLICE(ORIGIN), to, &root, &signers[who], note), ERR_OK);
    buf_clear(body);
    buf_printf(body, "old %u\n", from);
    for (size_t i = 0; i < n; i++) {
        base64_put(body, slice_make(proof[i].b, SHA256_LEN));
        buf_putc(body, '\n');
    }
    buf_putc(body, '\n');
    buf_put(body, buf_slice(note));
    digest_free(g);
}

static int ask(unsigned from, unsigned to, unsigned fork, int who, enum audit_fault *fault)
{
    struct buf body = BUF_INIT(AUDIT_ADD_MAX), note = BUF_INIT(NOTE_MAX);
    const char *type;
    int64_t at = 0;
    request(&body, &note, from, to, fork, who);
    int status = audit_observer_add(o, buf_slice(&body), NOW, &out, &type, fault);
    if (*fault != AUDIT_FAULT_NONE)
        assert_true(audit_fault_keep(dir, buf_slice(&vkey), buf_slice(&body), *fault));
    buf_put(&note, buf_slice(&out));
    assert_true(audit_cosigned_by(buf_slice(&note), &witness, &at) == (status == 200));
    assert_true(status != 200 || at == NOW);
    assert_true((strcmp(type, "text/x.tlog.size") == 0) == (status == 409));
    buf_done(&body);
    buf_done(&note);
    return status;
}

static void each_status(void **state)
{
    (void)state;
    enum { NONE = AUDIT_FAULT_NONE, UNPROVED = AUDIT_FAULT_UNPROVED, FORKED = AUDIT_FAULT_FORKED };
    static const struct {
        unsigned from, to, fork;
        int who, want;
        int fault;
        const char *body; /* of a 409 */
    } steps[] = {
        { 5, 10, NO_FORK, OWN, 409, NONE, "0\n" },   { 0, 10, NO_FORK, STRANGER, 403, NONE, NULL },
        { 0, 10, NO_FORK, OWN, 200, NONE, NULL },    { 0, 10, NO_FORK, OWN, 409, NONE, "10\n" },
        { 10, 10, NO_FORK, OWN, 200, NONE, NULL },   { 10, 10, 5, OWN, 409, FORKED, "10\n" },
        { 20, 10, NO_FORK, OWN, 400, NONE, NULL },   { 10, 33, 4, OWN, 422, UNPROVED, NULL },
        { 10, 33, 10, OWN, 200, NONE, NULL },        { 33, 40, NO_FORK, OWN, 422, UNPROVED, NULL },
        { 10, 40, NO_FORK, OWN, 409, NONE, "33\n" }, { 33, 64, 10, OWN, 200, NONE, NULL },
        { 33, 50, 10, OWN, 409, NONE, "64\n" },
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        enum audit_fault fault;
        assert_int_equal(ask(steps[i].from, steps[i].to, steps[i].fork, steps[i].who, &fault), steps[i].want);
        assert_int_equal(fault, steps[i].fault);
        if (steps[i].body != NULL)
            assert_true(slice_is(buf_slice(&out), steps[i].body));
        open_it(); /* what it has seen is on the disk */
    }
}

static const struct note_checkpoint *kept(const char *ending, bool there)
{
    static struct note_checkpoint cp;
    char path[160];
    struct sha256 h = sha256_of(SLICE(ORIGIN));
    snprintf(path, sizeof path, "%s/%02x%02x%02x%02x%02x%02x%02x%02x.%s", dir, h.b[0], h.b[1], h.b[2], h.b[3], h.b[4],
             h.b[5], h.b[6], h.b[7], ending);
    assert_int_equal(file_read(path, &out, NULL), there ? ERR_OK : ERR_NOT_FOUND);
    if (!there)
        return NULL;
    assert_int_equal(note_read(buf_slice(&out), &cp), ERR_OK);
    assert_true(note_verify(&cp, SLICE(ORIGIN), signers[0].public_key)); /* signed by the log itself */
    return &cp;
}

/* Two histories of one log: whichever comes first, the other is never cosigned, and is kept as evidence. Two roots of
 * one size convict it; a proof that does not hold convicts nobody, be it spoilt by who brought it. */
static void a_forked_log_is_caught(void **state)
{
    (void)state;
    enum audit_fault fault;
    struct buf body = BUF_INIT(AUDIT_ADD_MAX), note = BUF_INIT(NOTE_MAX);
    const char *type;
    assert_int_equal(ask(0, 100, NO_FORK, OWN, &fault), 200);
    request(&body, &note, 100, 140, NO_FORK, OWN); /* an honest one, of whose proof one character is changed */
    char *hash = (char *)memchr(body.p, '\n', body.n) + 1;
    hash[5] = hash[5] == 'A' ? 'B' : 'A';
    assert_int_equal(audit_observer_add(o, buf_slice(&body), NOW, &out, &type, &fault), 422);
    assert_int_equal(fault, AUDIT_FAULT_UNPROVED);
    assert_true(audit_fault_keep(dir, buf_slice(&vkey), buf_slice(&body), fault));
    kept("conflict", false);
    assert_int_equal(kept("unproved", true)->size, 140);
    for (unsigned size = 100; size < 140; size += 13) {
        assert_int_equal(ask(100, size, 60, OWN, &fault), size == 100 ? 409 : 422);
        assert_int_equal(fault, size == 100 ? AUDIT_FAULT_FORKED : AUDIT_FAULT_UNPROVED);
    }
    struct sha256 root = kept("conflict", true)->root;
    assert_int_equal(kept("conflict", true)->size, 100);
    assert_int_equal(kept("cosigned", true)->size, 100);
    assert_memory_not_equal(&kept("cosigned", true)->root, &root, sizeof root);
    assert_int_equal(kept("unproved", true)->size, 140); /* not one a request */
    assert_int_equal(ask(100, 140, NO_FORK, OWN, &fault), 200);
    assert_int_equal(ask(140, 140, 60, OWN, &fault), 409); /* the newest proof of it replaces the one before */
    assert_int_equal(kept("conflict", true)->size, 140);
    assert_int_equal(kept("cosigned", true)->size, 140);
    buf_done(&body);
    buf_done(&note);
}

static void bytes_that_are_no_request(void **state)
{
    (void)state;
    struct buf body = BUF_INIT(AUDIT_ADD_MAX), note = BUF_INIT(NOTE_MAX);
    const char *type;
    enum audit_fault fault;
    static const char *const bad[] = {
        "", "\n", "old", "old 1", "old 01\n\n", "old -1\n\n", "old 0\nAAAA\n\n", "old 0\n\nx\n", "new 0\n\n"
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(audit_observer_add(o, slice_of(bad[i]), NOW, &out, &type, &fault), 400);
    request(&body, &note, 0, 5, NO_FORK, OWN);
    for (size_t n = 0; n < body.n; n++) /* cut anywhere */
        assert_int_not_equal(audit_observer_add(o, slice_make(body.p, n), NOW, &out, &type, &fault), 200);
    for (size_t i = 0; i < body.n; i++) { /* any bit of the text or of the log's line */
        body.p[i] ^= 1;
        int status = audit_observer_add(o, buf_slice(&body), NOW, &out, &type, &fault);
        assert_true(status == 400 || status == 403 || status == 404 || status == 409);
        body.p[i] ^= 1;
    }
    buf_clear(&body);
    buf_puts(&body, "old 0\n");
    for (int i = 0; i < 64; i++)
        buf_puts(&body, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    buf_putc(&body, '\n');
    buf_put(&body, buf_slice(&note));
    assert_int_equal(audit_observer_add(o, buf_slice(&body), NOW, &out, &type, &fault), 400); /* 64 hashes */
    buf_done(&body);
    buf_done(&note);
}

static void opening(void **state)
{
    (void)state;
    struct audit_observer *other = NULL;
    enum audit_fault fault;
    struct slice logs[2] = { buf_slice(&vkey), buf_slice(&vkey) };
    char path[160], copy[170];
    struct sha256 h = sha256_of(SLICE(ORIGIN));
    assert_int_equal(audit_observer_open(dir, SLICE("w1"), &signers[2], logs, 1, &other, NULL), ERR_BUSY);
    assert_int_equal(ask(0, 10, NO_FORK, OWN, &fault), 200);
    o = audit_observer_close(o);
    assert_int_equal(audit_observer_open(dir, SLICE("w1"), &signers[2], logs, 2, &other, NULL), ERR_EXISTS);
    assert_int_equal(audit_observer_open(dir, SLICE("w 1"), &signers[2], logs, 1, &other, NULL), ERR_INVALID);
    assert_int_equal(audit_observer_open(dir, SLICE("w1"), &signers[2], logs, 0, &other, NULL), ERR_INVALID);
    snprintf(path, sizeof path, "%s/%02x%02x%02x%02x%02x%02x%02x%02x.checkpoint", dir, h.b[0], h.b[1], h.b[2], h.b[3],
             h.b[4], h.b[5], h.b[6], h.b[7]);
    /* One of the two may be damaged, whichever: nothing is taken back, and it is made good. Both may not. */
    snprintf(copy, sizeof copy, "%.*s.copy", (int)(strlen(path) - strlen(".checkpoint")), path);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(file_write(i % 2 ? path : copy, i < 2 ? SLICE("damaged\n") : SLICE(""), 0600, NULL), ERR_OK);
        open_it();
        assert_int_equal(ask(0, 10, NO_FORK, OWN, &fault), 409);
        assert_true(slice_is(buf_slice(&out), "10\n"));
    }
    o = audit_observer_close(o);
    assert_int_equal(file_write(path, SLICE("damaged\n"), 0600, NULL), ERR_OK);
    assert_int_equal(file_write(copy, SLICE("damaged\n"), 0600, NULL), ERR_OK);
    assert_int_equal(audit_observer_open(dir, SLICE("w1"), &signers[2], logs, 1, &other, NULL), ERR_CORRUPT);
    assert_null(other);
    /* The very first write, torn by a power cut, left the size and not the bytes: nothing was cosigned yet. */
    static const char zeros[300];
    assert_int_equal(file_write(path, slice_make(zeros, sizeof zeros), 0600, NULL), ERR_OK);
    assert_int_equal(file_write(copy, SLICE(""), 0600, NULL), ERR_OK);
    open_it();
    assert_int_equal(ask(0, 10, NO_FORK, OWN, &fault), 200);
    o = audit_observer_close(o);
    assert_int_equal(file_write(path, slice_make(zeros, sizeof zeros), 0600, NULL), ERR_OK);
    open_it();
    assert_int_equal(ask(0, 10, NO_FORK, OWN, &fault), 409);
}

#define OBSERVER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OBSERVER_TEST(each_status),
        OBSERVER_TEST(a_forked_log_is_caught),
        OBSERVER_TEST(bytes_that_are_no_request),
        OBSERVER_TEST(opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Starting again after each kind of end: a clean one, SIGKILL, a torn last write, a lost tail, a restored folder. */
#include "tests/unit/audit/world.h"
#include "tests/unit/audit/judge.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static struct audit_status status(void)
{
    struct audit_status s;
    audit_status(w.log, &s);
    return s;
}

struct found {
    unsigned n;
    uint64_t index, bytes;
    bool interrupted;
};

static bool find_outcome(void *arg, uint64_t index, struct slice line)
{
    struct found *f = arg;
    f->n++;
    f->index = index;
    f->interrupted = judge_text_is(line, "reason", "interrupted");
    f->bytes = (uint64_t)judge_int(line, "bytes_out");
    return true;
}

static struct found outcomes_of(unsigned exchange)
{
    char text[UUID_TEXT];
    struct found f = { 0 };
    bool more;
    uuid_text(world_exchange(exchange), text);
    struct audit_filter q = { .kind = SLICE("outcome"), .exchange = slice_of(text), .after = UINT64_MAX, .limit = 10 };
    assert_int_equal(audit_search(w.dir, &q, find_outcome, &f, &more, &w.d), ERR_OK);
    return f;
}

/* Open intents get an outcome with their last progress, durable before audit_open returns; closed ones get nothing. */
static void interrupted(void **state)
{
    (void)state;
    w.c.segment_bytes = 30000;
    assert_int_equal(world_open(&w), ERR_OK);
    struct audit_record a = world_intent(900001), b = world_intent(900002), p = world_outcome(900002);
    struct audit_record c = world_intent(900003), cut = world_outcome(900003);
    a.part = 2;
    p.kind = AUDIT_PROGRESS;
    p.bytes_out = 67108864;
    cut.kind = AUDIT_CUT;
    assert_int_equal(world_put(&w, &a, 0).e, ERR_OK);
    assert_int_equal(world_put(&w, &b, 0).e, ERR_OK);
    assert_int_equal(world_put(&w, &c, 0).e, ERR_OK);
    assert_int_equal(world_put(&w, &p, 0).e, ERR_OK);
    assert_int_equal(world_put(&w, &cut, 0).e, ERR_OK);
    world_fill(&w, 0, 600); /* through several segments: the heads carry the open ones */
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(status().interrupted, 2);
    struct found fa = outcomes_of(900001), fb = outcomes_of(900002), fc = outcomes_of(900003), fd = outcomes_of(5);
    assert_true(fa.n == 1 && fa.interrupted);
    assert_true(fb.n == 1 && fb.interrupted && fb.bytes == 67108864);
    assert_int_equal(fc.n, 0);
    assert_true(fd.n == 1 && !fd.interrupted);
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(status().interrupted, 0);
    uint64_t size = world_size(&w);
    world_close(&w);
    world_good(&w, size);
}

/* So many open intents that the head needs continuations. */
static void crowded_head(void **state)
{
    (void)state;
    enum { OPEN = 1500 };
    w.c.segment_bytes = 100000;
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < OPEN; i++) {
        struct audit_record r = world_intent(i);
        enum err e = audit_put(w.q, &r, 0, NULL);
        assert_int_equal(e, ERR_OK);
    }
    audit_kick(w.q);
    world_fill(&w, 100000, 400);
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(status().interrupted, OPEN);
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(status().interrupted, 0);
    uint64_t size = world_size(&w);
    world_close(&w);
    world_good(&w, size);
}

/* The last record cut at every byte. Behind the checkpoint it is a torn tail; below it, damage. */
static void torn_everywhere(void **state)
{
    (void)state;
    char name[SEGMENT_NAME];
    struct buf seg = BUF_INIT(1 << 20), cp = BUF_INIT(4096), now = BUF_INIT(1 << 20);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 5);
    world_close(&w);
    world_read(&w, "checkpoint", &cp); /* at 11 */
    assert_int_equal(world_open(&w), ERR_OK);
    struct audit_record r = world_intent(50);
    assert_int_equal(world_put(&w, &r, 0).index, 11);
    world_close(&w);
    segment_name(0, name);
    world_read(&w, name, &seg);
    size_t last = seg.n - 1;
    while (seg.p[last - 1] != '\n')
        last--;
    for (size_t cut = last; cut < seg.n; cut++) {
        world_write(&w, name, slice_make(seg.p, cut));
        world_write(&w, "checkpoint", buf_slice(&cp));
        assert_int_equal(world_open(&w), ERR_OK);
        assert_int_equal(status().torn_bytes, cut - last);
        assert_int_equal(world_size(&w), 11);
        struct audit_record again = world_intent(60);
        assert_int_equal(world_put(&w, &again, 0).index, 11);
        world_close(&w);
        world_good(&w, 12);
        assert_int_equal(world_open(&w), ERR_OK); /* closes 60 */
        world_close(&w);
    }
    /* The same with the record whole but zeros, or noise, behind it. */
    for (int noise = 0; noise < 2; noise++) {
        char tail[5000];
        memset(tail, noise ? 'x' : 0, sizeof tail);
        buf_clear(&now);
        buf_put(&now, slice_make(seg.p, last));
        buf_put(&now, slice_make(tail, sizeof tail));
        world_write(&w, name, buf_slice(&now));
        world_write(&w, "checkpoint", buf_slice(&cp));
        assert_int_equal(world_open(&w), ERR_OK);
        assert_int_equal(status().torn_bytes, noise ? sizeof tail : 0);
        world_close(&w);
        world_good(&w, 11);
    }
    world_write(&w, name, slice_make(seg.p, last - 1));
    assert_int_equal(world_open(&w), ERR_CORRUPT); /* below the checkpoint */
    struct audit_report rep;
    world_verify(&w, &rep);
    assert_true(rep.failed);
    assert_int_equal(rep.bad_index, 10);
    buf_done(&seg);
    buf_done(&cp);
    buf_done(&now);
}

static void damaged(void **state)
{
    (void)state;
    char first[SEGMENT_NAME], last[SEGMENT_NAME];
    struct buf seg = BUF_INIT(1 << 20), cp = BUF_INIT(4096);
    struct segment_list list;
    w.c.segment_bytes = 40000;
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 600);
    world_close(&w);
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    assert_true(list.n >= 3);
    segment_name(list.first[0], first);
    segment_name(list.first[list.n - 1], last);
    segment_list_done(&list);
    world_read(&w, "checkpoint", &cp);
    world_read(&w, last, &seg);

    seg.p[seg.n / 2] ^= 1; /* one bit in the last segment */
    world_write(&w, last, buf_slice(&seg));
    assert_int_equal(world_open(&w), ERR_CORRUPT);
    seg.p[seg.n / 2] ^= 1;
    assert_int_equal(unlink(world_path(&w, last)), 0); /* the last segment gone */
    assert_int_equal(world_open(&w), ERR_CORRUPT);
    world_write(&w, last, SLICE("")); /* or empty */
    assert_int_equal(world_open(&w), ERR_CORRUPT);
    world_write(&w, last, buf_slice(&seg));
    assert_int_equal(unlink(world_path(&w, "checkpoint")), 0);
    assert_int_equal(world_open(&w), ERR_CORRUPT);
    world_write(&w, "checkpoint", SLICE("x\n"));
    assert_int_equal(world_open(&w), ERR_CORRUPT);
    cp.p[cp.n - 20] ^= 1;
    world_write(&w, "checkpoint", buf_slice(&cp));
    assert_int_equal(world_open(&w), ERR_CORRUPT);
    cp.p[cp.n - 20] ^= 1;
    world_write(&w, "checkpoint", buf_slice(&cp));
    assert_int_equal(world_open(&w), ERR_OK);
    world_close(&w);
    buf_done(&seg);
    buf_done(&cp);
}

/* A segment whose name became durable and whose contents did not. */
static void unborn_segment(void **state)
{
    (void)state;
    static const char *contents[] = { "", "{\"v\":1,\"ind", "\0\0\0\0" };
    char name[SEGMENT_NAME];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(world_open(&w), ERR_OK);
        world_fill(&w, (unsigned)i * 10, 4);
        uint64_t size = world_size(&w);
        world_close(&w);
        segment_name(size, name);
        world_write(&w, name, slice_make(contents[i], i == 2 ? 4 : strlen(contents[i])));
        assert_int_equal(world_open(&w), ERR_OK);
        assert_int_equal(world_size(&w), size);
        world_close(&w);
        world_good(&w, size);
    }
}

/* Child: writes without end, telling each acknowledged index over a pipe. */
static void child_main(int fd)
{
    if (world_open(&w) != ERR_OK)
        _exit(1);
    for (unsigned i = 0;; i++) {
        struct audit_record a = world_intent(i), b = world_outcome(i);
        struct waited x = { 0 };
        if (audit_put(w.q, &a, 0, NULL) != ERR_OK || (i % 5 != 0 && audit_put(w.q, &b, 0, &x) != ERR_OK))
            _exit(2);
        if (i % 5 == 0)
            continue;
        audit_kick(w.q);
        world_wait(&w, &x);
        if (x.e != ERR_OK || write(fd, &x.index, sizeof x.index) != sizeof x.index)
            _exit(3);
    }
}

static void killed(void **state)
{
    (void)state;
    w.c.segment_bytes = 30000;
    uint64_t acknowledged = 0;
    for (unsigned round = 0; round < 12; round++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(pipes[0]);
            child_main(pipes[1]);
        }
        close(pipes[1]);
        uint64_t index = 0;
        for (unsigned n = 0; n <= round; n++) /* it is at work */
            assert_int_equal(read(pipes[0], &index, sizeof index), sizeof index);
        acknowledged = index;
        usleep(7919 * round);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(pipes[0], &index, sizeof index) == sizeof index)
            acknowledged = index;
        close(pipes[0]);
        assert_int_equal(world_open(&w), ERR_OK);
        assert_true(world_size(&w) > acknowledged);
        uint64_t size = world_size(&w);
        world_close(&w);
        world_good(&w, size);
    }
    assert_true(acknowledged > 20);
}

static struct audit_io counted; /* the system's, and what of it was asked */
static int dir_syncs, dir_syncs_of_child, syncs_at_signature;

static int count_sync_dir(void *self, const char *path)
{
    if (++dir_syncs == dir_syncs_of_child)
        _exit(0); /* the kill: written and synced, but under a name that is not */
    return audit_io_system.sync_dir(self, path);
}

static enum err count_sign(void *self, struct slice message, uint8_t sig[ED25519_SIG])
{
    if (syncs_at_signature < 0)
        syncs_at_signature = dir_syncs;
    struct signer s = ed25519_signer(w.key);
    (void)self;
    return s.sign(s.self, message, sig);
}

/* A segment whose name a kill left in the folder only: a power cut may take it away, so nothing in it is signed before
 * the name is durable. */
static void a_name_that_is_not_durable_yet(void **state)
{
    (void)state;
    struct segment_list list;
    counted = audit_io_system;
    counted.sync_dir = count_sync_dir;
    w.c.io = &counted;
    w.c.segment_bytes = 30000;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dir_syncs_of_child = 2;
        if (world_open(&w) == ERR_OK)
            world_fill(&w, 0, 1000);
        _exit(1);
    }
    int how = 1;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_int_equal(how, 0);
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    assert_int_equal(list.n, 2);
    segment_list_done(&list);
    syncs_at_signature = -1;
    w.c.signer.sign = count_sign;
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(status().interrupted, 0); /* no commit of this process made up for it */
    assert_true(syncs_at_signature > 0);
    uint64_t size = world_size(&w);
    world_close(&w);
    world_good(&w, size);
}

/* Tiles that a power cut took away come back, at least from the last checkpoint on. */
static void tiles_again(void **state)
{
    (void)state;
    char command[160];
    struct sha256 hash[TILE_HASHES];
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 200);
    world_close(&w);
    assert_true(tile_read(w.dir, 0, 0, TILE_HASHES, hash));
    assert_true(tile_read(w.dir, 0, 1, 401 - 256, hash));
    snprintf(command, sizeof command, "rm -rf %s/tile", w.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(world_open(&w), ERR_OK);
    world_close(&w);
    assert_true(tile_read(w.dir, 0, 0, TILE_HASHES, hash));
    assert_true(tile_read(w.dir, 0, 1, 401 - 256, hash));
}

/* What a power cut left as zeros is no hash: a reader goes without, the next process writes it again. */
static void tiles_with_a_hole(void **state)
{
    (void)state;
    struct sha256 hash[TILE_HASHES], want[TILE_HASHES];
    struct buf file = BUF_INIT(1 << 20);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 300);
    world_close(&w);
    assert_true(tile_read(w.dir, 0, 1, TILE_HASHES, want));
    world_read(&w, "tile/0.hashes", &file);
    memset(file.p + 300 * SHA256_LEN, 0, SHA256_LEN);
    world_write(&w, "tile/0.hashes", buf_slice(&file));
    assert_false(tile_read(w.dir, 0, 1, TILE_HASHES, hash));
    assert_true(tile_read(w.dir, 0, 1, 300 - 256, hash));
    assert_int_equal(world_open(&w), ERR_OK);
    world_close(&w);
    assert_true(tile_read(w.dir, 0, 1, TILE_HASHES, hash));
    assert_memory_equal(hash, want, sizeof hash);
    buf_done(&file);
}

static void tile_names(void **state)
{
    (void)state;
    static const struct {
        uint64_t tile;
        unsigned width;
        const char *want;
    } cases[] = { { 0, 256, "tile/0/000" },
                  { 67, 256, "tile/0/067" },
                  { 1234067, 256, "tile/0/x001/x234/067" },
                  { 1000, 5, "tile/0/x001/000.p/5" } };
    for (size_t i = 0; i < 4; i++) {
        char path[TILE_PATH];
        tile_path(0, cases[i].tile, cases[i].width, path);
        assert_string_equal(path, cases[i].want);
    }
}

/* The set against a plain array. */
static void open_set(void **state)
{
    (void)state;
    struct openset s = { 0 };
    static bool in[512];
    static uint64_t bytes[512];
    size_t count = 0;
    uint32_t x = 12345;
    memset(in, 0, sizeof in);
    for (unsigned i = 0; i < 200000; i++) {
        x = x * 1664525 + 1013904223;
        unsigned k = x >> 16 & 511;
        assert_int_equal(openset_reserve(&s, 1), ERR_OK);
        enum audit_kind kind = (x >> 9 & 3) == 0 ? AUDIT_INTENT : (x >> 9 & 3) == 1 ? AUDIT_PROGRESS : AUDIT_OUTCOME;
        openset_apply(&s, kind, world_exchange(k / 2), k % 2, i);
        if (kind == AUDIT_PROGRESS && in[k])
            bytes[k] = i;
        if (kind == AUDIT_INTENT)
            bytes[k] = 0;
        count += (kind == AUDIT_INTENT && !in[k]) - (kind == AUDIT_OUTCOME && in[k]);
        in[k] = kind == AUDIT_PROGRESS ? in[k] : kind == AUDIT_INTENT;
        assert_int_equal(s.count, count);
    }
    size_t at = 0, seen = 0;
    for (const struct openset_entry *e; (e = openset_each(&s, &at)) != NULL; seen++) {
        unsigned k = (unsigned)(e->exchange.b[8] | e->exchange.b[9] << 8) * 2 + e->part;
        assert_true(in[k]);
        assert_int_equal(e->bytes, bytes[k]);
    }
    assert_int_equal(seen, count);
    openset_done(&s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(interrupted),
        TEST(crowded_head),
        TEST(torn_everywhere),
        TEST(damaged),
        TEST(unborn_segment),
        TEST(killed),
        TEST(a_name_that_is_not_durable_yet),
        TEST(tiles_again),
        TEST(tiles_with_a_hole),
        cmocka_unit_test(tile_names),
        cmocka_unit_test(open_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

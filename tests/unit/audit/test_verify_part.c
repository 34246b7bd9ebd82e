/* The verifier on less than a whole log: a front that was removed, rightly or not, and what was kept of records that
 * are not read. */
#include "audit/entries.h"
#include "audit/note.h"
#include "tests/unit/audit/second.h"
#include "tests/unit/audit/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct world w;

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    w.c.segment_bytes = 50000;
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 600);
    world_close(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_done(&w);
    return 0;
}

static void ask_part(struct audit_verify_ask a, struct audit_report *r)
{
    a.dir = w.dir;
    a.vkey = buf_slice(&w.vkey);
    assert_int_equal(audit_verify_part(&a, r, &w.d), ERR_OK);
    second_log(w.dir, &(struct second_log){ .vkey = a.vkey, .kept = a.kept, .part = a.from > 0 || a.to > 0 }, r);
}

static void segment_gone(uint64_t first)
{
    char name[SEGMENT_NAME];
    segment_name(first, name);
    assert_int_equal(unlink(world_path(&w, name)), 0);
}

static void tiles_gone(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/tile", w.dir);
    assert_int_equal(system(command), 0);
}

/* Against an older checkpoint, of a copy of the newest segments: hashes that are missing or wrong accuse nobody. */
static void kept_without_hashes(void **state)
{
    (void)state;
    struct audit_report r;
    struct segment_list list;
    struct buf early = BUF_INIT(8192), tile = BUF_INIT(1 << 20), root = BUF_INIT(256);
    world_read(&w, "checkpoint", &early);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 1000, 600);
    world_close(&w);
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    uint64_t from = list.first[list.n - 1], old = audit_note_size(buf_slice(&early));
    assert_true(from > old);
    for (size_t i = 0; i + 1 < list.n; i++)
        segment_gone(list.first[i]);
    struct audit_verify_ask a = { .kept = buf_slice(&early), .from = from };
    ask_part(a, &r);
    assert_true(!r.failed && r.kept_ok);

    struct sha256 other = sha256_of(SLICE("another history"));
    struct signer signer = ed25519_signer(w.key);
    assert_int_equal(note_sign(w.c.origin, old, &other, &signer, &root), ERR_OK);
    a.kept = buf_slice(&root);
    ask_part(a, &r);
    assert_string_equal(r.bad_what, "forked");

    a.kept = buf_slice(&early);
    world_read(&w, "tile/0.hashes", &tile);
    tile.p[(old - 1) / TILE_HASHES * TILE_BYTES] ^= 1;
    world_write(&w, "tile/0.hashes", buf_slice(&tile));
    ask_part(a, &r);
    assert_string_equal(r.bad_what, "missing");
    tiles_gone();
    ask_part(a, &r);
    assert_string_equal(r.bad_what, "missing");
    assert_string_equal(r.bad_file, "kept checkpoint");
    assert_int_equal(r.bad_last, old - 1);
    buf_done(&early);
    buf_done(&tile);
    buf_done(&root);
    segment_list_done(&list);
}

/* ---- a front that is not there ---- */
static const int64_t day = 86400000;

static void put_at(int64_t at)
{
    struct audit_record r = { .kind = AUDIT_COUNT, .at = at };
    assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
}

static void say(uint64_t act, uint64_t before, int64_t at)
{
    struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
    struct waited done = { 0 };
    char content[128];
    snprintf(content, sizeof content, "{\"before\":%llu,\"newest\":\"2026-01-02T03:04:05.678Z\"}",
             (unsigned long long)before);
    struct audit_record rec = { .kind = AUDIT_ACT,
                                .at = at,
                                .act = act,
                                .author = SLICE("spiffe://d/gateway/g"),
                                .verb = SLICE("audit.prune"),
                                .object = SLICE("log"),
                                .content = slice_of(content) };
    assert_int_equal(audit_render(&rec, &line), ERR_OK);
    assert_int_equal(audit_put_line(w.q, buf_slice(&line), act, 0, &done), ERR_OK);
    audit_kick(w.q);
    world_wait(&w, &done);
    assert_int_equal(done.e, ERR_OK);
    buf_done(&line);
}

static int64_t time_of(uint64_t index)
{
    struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
    int64_t at;
    assert_int_equal(entries_line(w.dir, index, &line), ERR_OK);
    assert_true(logline_at(buf_slice(&line), &at));
    buf_done(&line);
    return at;
}

static void front(const char *what, uint64_t first, struct audit_report *r)
{
    ask_part((struct audit_verify_ask){ 0 }, r);
    if (r->failed != (what[0] != '\0') || strcmp(r->bad_what, what) != 0)
        print_error("wanted \"%s\", got \"%s\" %llu\n", what, r->bad_what, (unsigned long long)r->bad_index);
    assert_string_equal(r->bad_what, what);
    assert_int_equal(r->first, first);
    if (r->failed) {
        assert_int_equal(r->bad_index, 0);
        assert_int_equal(r->bad_last, first - 1);
    }
}

/* What retention removed is missing when no act says so, and removed early when the log cannot have lived half a year
 * between what remains and the act: neither a forged act nor a clock set forward lets go of the front. */
static void pruned_on_record(void **state)
{
    (void)state;
    struct audit_report r;
    struct segment_list list;
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    uint64_t to = list.first[1];
    world_verify(&w, &r);
    int64_t first_at = time_of(to + 1), last_at = time_of(r.size - 1);
    segment_gone(0);
    front("missing", to, &r);
    assert_false(r.pruning.said);

    assert_int_equal(world_open(&w), ERR_OK);
    say(1, to - 1, first_at + 400 * day); /* not all that is missing */
    say(2, to, last_at);                  /* moments later */
    say(3, to, last_at + 3650 * day);     /* moments later, by a clock that jumped ten years */
    world_close(&w);
    front("removed-early", to, &r);
    assert_true(r.pruning.said);
    assert_true(r.pruning.shown_ms >= 2 * day && r.pruning.shown_ms < 3 * day);
    assert_int_equal(r.pruning.at, last_at + 3650 * day);

    assert_int_equal(world_open(&w), ERR_OK);
    for (int d = 0; d < 184; d += 2)
        put_at(first_at + d * day);
    say(4, to, first_at + 184 * day - 1);
    world_close(&w);
    front("removed-early", to, &r);
    assert_int_equal(r.pruning.shown_ms, 184 * day - 1);

    assert_int_equal(world_open(&w), ERR_OK);
    uint64_t act = world_size(&w);
    say(5, to, first_at + 184 * day);
    world_close(&w);
    front("", to, &r);
    assert_true(r.pruning.said && !r.front_unjudged);
    assert_int_equal(r.pruning.index, act);
    assert_int_equal(r.pruning.shown_ms, 184 * day);
    assert_int_equal(r.pruning.newest, 1767323045678);

    segment_gone(to); /* more than was said */
    front("missing", list.first[2], &r);
    segment_list_done(&list);
}

/* A range may end before the act that says so: what is there of it is verified, and no more is said. */
static void a_range_of_a_pruned_log(void **state)
{
    (void)state;
    struct audit_report r;
    struct segment_list list;
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    uint64_t first = list.first[1];
    segment_gone(0);
    for (int tiles = 1; tiles >= 0; tiles--) {
        ask_part((struct audit_verify_ask){ .from = 0, .to = first + 10 }, &r);
        assert_false(r.failed);
        assert_true(r.front_unjudged && r.signature_ok);
        assert_int_equal(r.first, first);
        ask_part((struct audit_verify_ask){ .from = first + 3, .to = first + 10 }, &r);
        assert_true(!r.failed && !r.front_unjudged);
        ask_part((struct audit_verify_ask){ .from = 2, .to = first - 10 }, &r); /* nothing of it is there */
        assert_string_equal(r.bad_what, "missing");
        assert_int_equal(r.bad_index, 2);
        assert_int_equal(r.bad_last, first - 11);
        tiles_gone();
    }
    segment_list_done(&list);
}

/* The last checkpoint may be of before the segment that a range begins in: one begins in any second, and while the key
 * is away many do. The range is read from where something is signed. */
static void a_range_behind_the_checkpoint(void **state)
{
    (void)state;
    struct audit_report r;
    struct segment_list list;
    struct buf early = BUF_INIT(8192);
    world_read(&w, "checkpoint", &early);
    uint64_t size = audit_note_size(buf_slice(&early));
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 1000, 600);
    world_close(&w);
    world_write(&w, "checkpoint", buf_slice(&early));
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    uint64_t last = list.first[list.n - 1];
    assert_true(last > size);
    for (unsigned i = 0; i < 4; i++) {
        ask_part((struct audit_verify_ask){ .from = i < 2 ? last + 1 : size, .to = i % 2 ? last + 20 : 0 }, &r);
        if (r.failed)
            print_error("%s %llu..%llu\n", r.bad_what, (unsigned long long)r.bad_index, (unsigned long long)r.bad_last);
        assert_false(r.failed);
        assert_true(r.signature_ok);
        assert_true(r.first <= size);
    }
    segment_gone(list.first[list.n - 2]); /* what the records of the range stand behind is read, too */
    ask_part((struct audit_verify_ask){ .from = last + 1 }, &r);
    assert_string_equal(r.bad_what, "missing");
    buf_done(&early);
    segment_list_done(&list);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(kept_without_hashes),
        TEST(pruned_on_record),
        TEST(a_range_of_a_pruned_log),
        TEST(a_range_behind_the_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The verifier against each way of tampering, by people who can and who cannot make CRCs. */
#include "tests/unit/audit/second.h"
#include "tests/unit/audit/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct world w;
static struct buf seg; /* the first segment as it was written */
static char seg_name[SEGMENT_NAME];
enum { RECORDS = 701 }; /* head and 350 exchanges, in one segment */

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 350);
    world_close(&w);
    segment_name(0, seg_name);
    seg = BUF_INIT(8 << 20);
    world_read(&w, seg_name, &seg);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_done(&seg);
    world_done(&w);
    return 0;
}

/* Offset of record `index`. */
static size_t place(struct slice s, uint64_t index)
{
    size_t at = 0;
    while (index-- > 0)
        at += (size_t)((char *)memchr(s.p + at, '\n', s.n - at) - (s.p + at)) + 1;
    return at;
}

static struct slice record(uint64_t index)
{
    size_t a = place(buf_slice(&seg), index), b = place(buf_slice(&seg), index + 1);
    return slice_make(seg.p + a, b - a);
}

static void stamp_again(char *line, size_t n)
{
    struct slice s = slice_make(line, n);
    uint64_t index;
    struct slice rest = slice_sub(s, LOGLINE_INDEX, LOGLINE_INDEX_N);
    while (rest.n > 0 && rest.p[0] == ' ')
        rest = slice_sub(rest, 1, rest.n);
    assert_true(slice_u64(rest, 0, UINT64_MAX, &index));
    memcpy(line + LOGLINE_CRC, "00000000", LOGLINE_CRC_N);
    logline_stamp(line, n, index);
}

static void expect(const char *what, uint64_t index, const char *file)
{
    struct audit_report r;
    world_verify(&w, &r);
    if (!r.failed || strcmp(r.bad_what, what) != 0 || r.bad_index != index)
        print_error("wanted %s %llu, got %d %s %llu..%llu\n", what, (unsigned long long)index, r.failed, r.bad_what,
                    (unsigned long long)r.bad_index, (unsigned long long)r.bad_last);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, what);
    assert_int_equal(r.bad_index, index);
    assert_int_equal(r.bad_last, index);
    if (file != NULL)
        assert_string_equal(r.bad_file, file);
}

static void good(void **state)
{
    (void)state;
    struct audit_report r;
    world_good(&w, RECORDS);
    assert_int_equal(audit_verify(w.dir, SLICE(""), NULL, NULL, &r, &w.d), ERR_OK);
    assert_false(r.failed);
    assert_false(r.signature_ok); /* the key came from the same folder */
    assert_int_equal(audit_verify(w.dir, SLICE("nonsense"), NULL, NULL, &r, NULL), ERR_SYNTAX);
    assert_int_not_equal(audit_verify("/tmp/sluice-no-such-log", SLICE(""), NULL, NULL, &r, NULL), ERR_OK);
}

/* Each byte of one record in turn. */
static void one_byte(void **state)
{
    (void)state;
    size_t at = place(buf_slice(&seg), 300), n = record(300).n;
    for (size_t i = 0; i < n; i += 7) {
        seg.p[at + i] ^= 0x20;
        world_write(&w, seg_name, buf_slice(&seg));
        seg.p[at + i] ^= 0x20;
        expect("altered", 300, seg_name);
    }
}

/* With a CRC made anew: only the signed root knows, and the tiles name it. */
static void forged_crc(void **state)
{
    (void)state;
    static const uint64_t which[] = { 1, 255, 256, 511, 512, 700 };
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        struct slice line = record(which[i]);
        char *at = (char *)line.p;
        char *status = memmem(line.p, line.n, ",\"at\":\"2026", 11);
        assert_non_null(status);
        status[10] = '5';
        stamp_again(at, line.n - 1);
        world_write(&w, seg_name, buf_slice(&seg));
        expect("altered", which[i], seg_name);
        status[10] = '6';
        stamp_again(at, line.n - 1);
    }
    world_write(&w, seg_name, buf_slice(&seg));
    world_good(&w, RECORDS);
}

/* As above, without tiles: the range is all that can be said. */
static void forged_without_tiles(void **state)
{
    (void)state;
    char command[128];
    struct audit_report r;
    struct slice line = record(300);
    char *year = memmem(line.p, line.n, ",\"at\":\"2026", 11);
    year[10] = '5';
    stamp_again((char *)line.p, line.n - 1);
    world_write(&w, seg_name, buf_slice(&seg));
    snprintf(command, sizeof command, "rm -rf %s/tile", w.dir);
    assert_int_equal(system(command), 0);
    world_verify(&w, &r);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, "altered");
    assert_true(r.bad_index <= 300 && r.bad_last >= 300);
}

static void put_records(const uint64_t *order, size_t n, uint64_t first, uint64_t to)
{
    struct buf out = BUF_INIT(8 << 20);
    buf_put(&out, slice_make(seg.p, place(buf_slice(&seg), first)));
    for (size_t i = 0; i < n; i++)
        buf_put(&out, record(order[i]));
    size_t rest = place(buf_slice(&seg), to);
    buf_put(&out, slice_make(seg.p + rest, seg.n - rest));
    world_write(&w, seg_name, buf_slice(&out));
    buf_done(&out);
}

static void moved_records(void **state)
{
    (void)state;
    static const struct {
        uint64_t order[4];
        size_t n;
        uint64_t first, to;
        const char *what;
        uint64_t index;
    } cases[] = {
        { { 0 }, 0, 300, 301, "missing", 300 },
        { { 0 }, 0, 300, 310, "missing", 300 },
        { { 0 }, 0, 0, 1, "missing", 0 },
        { { 301, 300 }, 2, 300, 302, "reordered", 300 },
        { { 302, 301, 300 }, 3, 300, 303, "reordered", 300 },
        { { 300, 300 }, 2, 300, 301, "inserted", 300 },
        { { 300, 7 }, 2, 300, 301, "inserted", 301 },
        { { 0 }, 0, 700, 701, "truncated", 700 },
        { { 0 }, 0, 1, 701, "truncated", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_records(cases[i].order, cases[i].n, cases[i].first, cases[i].to);
        expect(cases[i].what, cases[i].index, seg_name);
    }
}

static void foreign_lines(void **state)
{
    (void)state;
    static const char *lines[] = { "hello\n", "\n", "{\"v\":1}\n" };
    for (size_t i = 0; i < 3; i++) {
        struct buf out = BUF_INIT(8 << 20);
        size_t at = place(buf_slice(&seg), 300);
        buf_put(&out, slice_make(seg.p, at));
        buf_puts(&out, lines[i]);
        buf_put(&out, slice_make(seg.p + at, seg.n - at));
        world_write(&w, seg_name, buf_slice(&out));
        expect("inserted", 300, seg_name);
        buf_done(&out);
    }
}

/* A forged twin before the true record: CRC and index right. */
static void forged_twin(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(8 << 20);
    size_t at = place(buf_slice(&seg), 300);
    struct slice twin = record(300);
    buf_put(&out, slice_make(seg.p, at));
    buf_put(&out, twin);
    char *line = out.p + at, *year = memmem(line, twin.n, ",\"at\":\"2026", 11);
    year[10] = '5';
    stamp_again(line, twin.n - 1);
    buf_put(&out, slice_make(seg.p + at, seg.n - at));
    world_write(&w, seg_name, buf_slice(&out));
    expect("inserted", 300, seg_name);
    buf_done(&out);
}

static void torn_tail(void **state)
{
    (void)state;
    struct audit_report r;
    struct slice last = record(700);
    struct buf out = BUF_INIT(8 << 20);
    for (size_t n = 1; n < last.n; n += 13) {
        buf_clear(&out);
        buf_put(&out, buf_slice(&seg));
        buf_put(&out, slice_make(last.p, n));
        world_write(&w, seg_name, buf_slice(&out));
        world_verify(&w, &r);
        assert_false(r.failed);
        assert_true(r.torn_tail);
        assert_int_equal(r.size, RECORDS);
    }
    buf_done(&out);
}

static void checkpoints(void **state)
{
    (void)state;
    struct buf note = BUF_INIT(4096);
    struct audit_report r;
    world_read(&w, "checkpoint", &note);
    char *size = (char *)memchr(note.p, '\n', note.n) + 1, *root = size + 4;
    assert_memory_equal(size, "701\n", 4);
    size[2] = '0';
    world_write(&w, "checkpoint", buf_slice(&note));
    expect("signature", 700, "checkpoint");
    size[2] = '1';
    root[3] = root[3] == 'A' ? 'B' : 'A';
    world_write(&w, "checkpoint", buf_slice(&note));
    expect("signature", 701, "checkpoint");
    world_write(&w, "checkpoint", SLICE("nonsense\n"));
    expect("checkpoint", 701, "checkpoint");
    assert_int_equal(unlink(world_path(&w, "checkpoint")), 0);
    expect("checkpoint", 701, "checkpoint");
    world_verify(&w, &r);
    assert_false(r.signature_ok);
    /* Nor is what is left when all but the first record is gone, or that, too: who gives a key asks what it signed. */
    world_write(&w, seg_name, record(0));
    expect("checkpoint", 1, "checkpoint");
    world_write(&w, seg_name, SLICE(""));
    expect("checkpoint", 0, "checkpoint");
    assert_int_equal(audit_verify(w.dir, SLICE(""), NULL, NULL, &r, &w.d), ERR_OK);
    assert_false(r.failed); /* without one only consistency is asked for */
    buf_done(&note);
}

static int setup_segments(void **state)
{
    (void)state;
    world_init(&w);
    w.c.segment_bytes = 50000;
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 600);
    world_close(&w);
    seg = BUF_INIT(8 << 20);
    return 0;
}

static void whole_segments(void **state)
{
    (void)state;
    struct segment_list list;
    char name[SEGMENT_NAME], other[SEGMENT_NAME];
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    assert_true(list.n >= 3);
    segment_name(list.first[1], name);
    segment_name(list.first[0], other);
    world_read(&w, name, &seg);
    assert_int_equal(unlink(world_path(&w, name)), 0);
    expect("missing", list.first[1], other);
    world_write(&w, name, SLICE(""));
    expect("missing", list.first[1], name);
    world_write(&w, name, slice_make(seg.p, seg.n - 1)); /* its last LF */
    expect("altered", list.first[2] - 1, name);
    world_write(&w, name, buf_slice(&seg));
    assert_int_equal(unlink(world_path(&w, other)), 0);
    struct audit_report r;
    world_verify(&w, &r);
    assert_string_equal(r.bad_what, "missing");
    assert_string_equal(r.bad_file, name);
    assert_int_equal(r.bad_index, 0);
    assert_int_equal(r.bad_last, list.first[1] - 1);
    segment_list_done(&list);
}

/* Whoever rewrites a record, its CRC and the tile, is still caught by the root. */
static void forged_tile_too(void **state)
{
    (void)state;
    struct audit_report r;
    struct buf tile = BUF_INIT(1 << 20);
    char name[SEGMENT_NAME];
    segment_name(0, name);
    world_read(&w, name, &seg);
    struct slice line = record(100);
    char *year = memmem(line.p, line.n, ",\"at\":\"2026", 11);
    year[10] = '5';
    stamp_again((char *)line.p, line.n - 1);
    world_write(&w, name, buf_slice(&seg));
    struct digest *g = digest_new();
    assert_non_null(g);
    struct sha256 leaf = merkle_leaf(g, slice_make(line.p, line.n - 1));
    digest_free(g);
    world_read(&w, "tile/0.hashes", &tile);
    memcpy(tile.p + 100 * SHA256_LEN, &leaf, sizeof leaf);
    world_write(&w, "tile/0.hashes", buf_slice(&tile));
    world_verify(&w, &r);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, "altered");
    assert_true(r.bad_index <= 100 && r.bad_last >= 100 && r.bad_last < 600); /* the segment heads narrow it down */
    buf_done(&tile);
}

static void ask_part(struct audit_verify_ask a, struct audit_report *r)
{
    a.dir = w.dir;
    a.vkey = buf_slice(&w.vkey);
    assert_int_equal(audit_verify_part(&a, r, &w.d), ERR_OK);
    second_log(w.dir, &(struct second_log){ .vkey = a.vkey, .kept = a.kept, .part = a.from > 0 || a.to > 0 }, r);
}

/* A range is read from its own segment on; tiles vouch for the rest, and where there are none the rest is read. */
static void a_range(void **state)
{
    (void)state;
    struct audit_report r;
    struct segment_list list;
    char command[256], name[SEGMENT_NAME];
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    uint64_t from = list.first[1] + 3, to = list.first[1] + 9;
    segment_name(list.first[1], name);
    ask_part((struct audit_verify_ask){ .from = from, .to = to }, &r);
    assert_false(r.failed);
    assert_int_equal(r.first, list.first[1]);
    assert_int_equal(r.first + r.size, to);
    assert_true(r.signature_ok);
    uint64_t partly = r.bytes;
    world_read(&w, name, &seg);
    char *line = seg.p + place(buf_slice(&seg), 5);
    size_t n = (size_t)((char *)memchr(line, '\n', 8192) - line);
    char was = line[n - 3];
    line[n - 3] = was == '1' ? '2' : '1';
    stamp_again(line, n);
    world_write(&w, name, buf_slice(&seg));
    ask_part((struct audit_verify_ask){ .from = from, .to = to }, &r);
    assert_true(r.failed);
    assert_int_equal(r.bad_index, list.first[1] + 5);
    assert_string_equal(r.bad_what, "altered");
    line[n - 3] = was;
    stamp_again(line, n);
    world_write(&w, name, buf_slice(&seg));
    snprintf(command, sizeof command, "rm -rf %s/tile && rm %s/%s", w.dir, w.dir, name);
    ask_part((struct audit_verify_ask){ .from = list.first[2], .to = list.first[2] + 1 }, &r);
    assert_false(r.failed);
    assert_true(r.bytes < partly * 40);
    assert_int_equal(system(command), 0);
    ask_part((struct audit_verify_ask){ .from = list.first[2], .to = list.first[2] + 1 }, &r);
    assert_false(r.failed); /* a copy of some segments is enough for them */
    assert_int_equal(r.first, list.first[2]);
    struct audit_verify_ask none = { .dir = w.dir, .from = 5, .to = 5 };
    assert_int_equal(audit_verify_part(&none, &r, &w.d), ERR_INVALID);
    segment_list_done(&list);
}

static void kept_checkpoints(void **state)
{
    (void)state;
    struct audit_report r;
    struct buf early = BUF_INIT(8192), late = BUF_INIT(8192), whole = BUF_INIT(8 << 20);
    struct audit_verify_ask a = { .dir = w.dir };
    assert_int_equal(world_open(&w), ERR_OK);
    world_close(&w);
    world_read(&w, "checkpoint", &early);
    world_read(&w, seg_name, &whole);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 1000, 5);
    world_close(&w);
    world_read(&w, "checkpoint", &late);
    ask_part((struct audit_verify_ask){ .kept = buf_slice(&early) }, &r);
    assert_false(r.failed);
    assert_true(r.kept_ok);
    /* the log as it was, with its own good checkpoint: only the kept one knows that there was more */
    world_write(&w, "checkpoint", buf_slice(&early));
    world_write(&w, seg_name, buf_slice(&whole));
    ask_part((struct audit_verify_ask){ .kept = buf_slice(&late) }, &r);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, "truncated");
    /* and gone on with otherwise */
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 5000, 20);
    world_close(&w);
    ask_part((struct audit_verify_ask){ .kept = buf_slice(&late) }, &r);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, "forked");
    ask_part((struct audit_verify_ask){ .kept = buf_slice(&early) }, &r);
    assert_false(r.failed);
    early.p[early.n - 8] = early.p[early.n - 8] == 'A' ? 'B' : 'A'; /* base64 still */
    ask_part((struct audit_verify_ask){ .kept = buf_slice(&early) }, &r);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, "signature");
    a.kept = SLICE("nothing");
    assert_int_equal(audit_verify_part(&a, &r, &w.d), ERR_INVALID);
    buf_done(&early);
    buf_done(&late);
    buf_done(&whole);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(good),
        TEST(one_byte),
        TEST(forged_crc),
        TEST(forged_without_tiles),
        TEST(moved_records),
        TEST(foreign_lines),
        TEST(forged_twin),
        TEST(torn_tail),
        TEST(checkpoints),
        cmocka_unit_test_setup_teardown(whole_segments, setup_segments, teardown),
        cmocka_unit_test_setup_teardown(forged_tile_too, setup_segments, teardown),
        cmocka_unit_test_setup_teardown(a_range, setup_segments, teardown),
        TEST(kept_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

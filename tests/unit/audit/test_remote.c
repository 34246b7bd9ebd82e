/* The verifier of a log behind an address, against a server that lies: records altered, lost, moved and added, tiles
 * that are missing or wrong, a front that was pruned, other histories. The log is made here, of 70 000 lines, so that
 * there are full tiles on two levels. */
#include "audit/entries.h"
#include "audit/note.h"
#include "audit/prove.h"
#include "tests/unit/audit/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SIZE = 70000,
    OLDER = 66000,
    LINE = 256,
    PRUNED = 66304,
    SAYS = 69000,
    SOONER = 66048,
    SOON = 66400,
    LEVELS = 3
};
static const int64_t two_hours = 7200000; /* from record to record */
static struct digest *g;
static struct ed25519 *key, *other;
static struct buf vkey;
static char (*text)[LINE]; /* the lines as they were signed */
static size_t *length;
static struct sha256 *hash[LEVELS];
static uint64_t count[LEVELS];

/* ---- the server ---- */
static struct server {
    struct buf note;
    uint64_t size;
    uint64_t least;             /* entries and tiles that end at or below this are gone */
    bool tiles_stay;            /* only the entries are */
    uint64_t moved[3], moved_n; /* at moved[0] the line of moved[1] is shown, and the other way round if moved_n is 2 */
    uint64_t dropped, added;    /* from here on the next one; from here on the one before. 0: none */
    uint64_t altered;           /* its text is another, with a right CRC */
    int wrong_level, lost_level; /* -1: none. Tile wrong_tile of that level; all of that level and above */
    uint64_t wrong_tile;
    enum err error; /* of each fetch behind the first `good` ones */
    unsigned good, fetched;
    size_t most; /* bytes of the largest answer */
} s;

static void made(char *line, size_t n, uint64_t index)
{
    memcpy(line + LOGLINE_CRC, "00000000", LOGLINE_CRC_N);
    logline_stamp(line, n, index);
}

static void line_make(uint64_t i)
{
    char content[64];
    struct buf b = BUF_INIT(AUDIT_RECORD_MAX);
    struct audit_record r = { .kind = AUDIT_REFUSED,
                              .at = 1700000000000 + (int64_t)i * two_hours,
                              .has_reason = true,
                              .reason = REASON_NO_GRANT,
                              .exchange = world_exchange((unsigned)i) };
    if (i == SAYS || i == SOON) {
        snprintf(content, sizeof content, "{\"before\":%d}", i == SAYS ? PRUNED : SOONER);
        r = (struct audit_record){ .kind = AUDIT_ACT,
                                   .at = r.at,
                                   .act = 1,
                                   .verb = SLICE("audit.prune"),
                                   .object = SLICE("log"),
                                   .content = slice_of(content) };
    }
    assert_int_equal(audit_render(&r, &b), ERR_OK);
    length[i] = b.n - 1;
    assert_true(length[i] < LINE);
    memcpy(text[i], b.p, length[i]);
    made(text[i], length[i], i);
    hash[0][i] = merkle_leaf(g, slice_make(text[i], length[i]));
    buf_done(&b);
}

static struct sha256 root_of(uint64_t size)
{
    struct merkle m = { 0 };
    for (uint64_t i = 0; i < size; i++)
        merkle_push(&m, g, &hash[0][i]);
    return merkle_root(&m, g);
}

static void note_of(uint64_t size, const struct sha256 *root, struct ed25519 *by, struct buf *out)
{
    struct signer signer = ed25519_signer(by);
    buf_clear(out);
    assert_int_equal(note_sign(SLICE("x/log/n"), size, root, &signer, out), ERR_OK);
}

static void serve(uint64_t size)
{
    struct sha256 root = root_of(size);
    buf_done(&s.note);
    s = (struct server){ .note = BUF_INIT(NOTE_MAX), .size = size, .wrong_level = -1, .lost_level = -1 };
    note_of(size, &root, key, &s.note);
}

static void put_entry(uint64_t i, struct buf *out)
{
    static char changed[LINE];
    uint64_t from = s.dropped != 0 && i >= s.dropped ? i + 1 : s.added != 0 && i >= s.added ? i - 1 : i;
    from = s.moved_n > 0 && i == s.moved[0] ? s.moved[1] : s.moved_n > 1 && i == s.moved[1] ? s.moved[0] : from;
    const char *p = text[from];
    if (s.altered != 0 && i == s.altered) {
        memcpy(changed, p, length[from]);
        memcpy(strstr(changed, "no-grant"), "no-gross", 8);
        made(changed, length[from], from);
        p = changed;
    }
    buf_putc(out, (char)(length[from] >> 8));
    buf_putc(out, (char)length[from]);
    buf_put(out, slice_make(p, length[from]));
}

static enum err fetch(void *self, const char *path, struct buf *out)
{
    struct tile_name n;
    (void)self;
    if (s.fetched++ >= s.good && s.error != ERR_OK)
        return s.error;
    if (strcmp(path, "checkpoint") == 0) {
        buf_put(out, buf_slice(&s.note));
        return ERR_OK;
    }
    assert_true(tile_name_read(slice_of(path), &n));
    if (n.width > tile_width(n.entries ? 0 : n.level, n.tile, s.size))
        return ERR_NOT_FOUND;
    uint64_t each = n.entries || n.level == 0 ? 1 : n.level == 1 ? TILE_HASHES : TILE_HASHES * TILE_HASHES;
    uint64_t first = n.tile * TILE_HASHES, end = (n.tile + 1) * TILE_HASHES * each;
    if (end <= s.least && (n.entries || !s.tiles_stay))
        return ERR_NOT_FOUND;
    if (!n.entries && s.lost_level >= 0 && n.level >= (unsigned)s.lost_level)
        return ERR_NOT_FOUND;
    for (uint64_t i = first; n.entries && i < first + n.width; i++)
        put_entry(i, out);
    if (!n.entries)
        buf_put(out, slice_make(&hash[n.level][first], n.width * SHA256_LEN));
    if (!n.entries && s.wrong_level == (int)n.level && s.wrong_tile == n.tile)
        out->p[5]++;
    s.most = out->n > s.most ? out->n : s.most;
    return out->failed;
}

/* ---- what is asked ---- */
static struct audit_report r;
static uint64_t shown, shown_total;

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    assert_true(done >= shown && done <= total);
    shown = done;
    shown_total = total;
}

static enum err verify_range(uint64_t from, uint64_t to, struct slice kept)
{
    struct audit_remote_ask a = {
        .fetch = fetch, .vkey = buf_slice(&vkey), .kept = kept, .from = from, .to = to, .progress = on_progress
    };
    shown = shown_total = 0;
    return audit_verify_remote(&a, &r, NULL);
}

static void good(uint64_t first, uint64_t n)
{
    assert_int_equal(verify_range(0, 0, SLICE("")), ERR_OK);
    if (r.failed)
        print_error("%s %llu..%llu\n", r.bad_what, (unsigned long long)r.bad_index, (unsigned long long)r.bad_last);
    assert_false(r.failed);
    assert_true(r.signature_ok);
    assert_int_equal(r.first, first);
    assert_int_equal(r.size, n);
    assert_int_equal(shown, shown_total);
    assert_true(s.most <= TILE_HASHES * (LINE + 2));
}

static void bad(const char *what, uint64_t first, uint64_t last)
{
    assert_int_equal(verify_range(0, 0, SLICE("")), ERR_OK);
    if (!r.failed || r.bad_index != first || r.bad_last != last || strcmp(r.bad_what, what) != 0)
        print_error("wanted %s %llu, got %d %s %llu..%llu\n", what, (unsigned long long)first, r.failed, r.bad_what,
                    (unsigned long long)r.bad_index, (unsigned long long)r.bad_last);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, what);
    assert_int_equal(r.bad_index, first);
    assert_int_equal(r.bad_last, last);
}

static struct ed25519 *key_make(void)
{
    char path[] = "/tmp/sluice-remote-XXXXXX";
    struct ed25519 *k = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    assert_int_equal(ed25519_generate(path, NULL), ERR_OK);
    assert_int_equal(ed25519_load(path, &k, NULL), ERR_OK);
    unlink(path);
    return k;
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(crypto_init(NULL), ERR_OK);
    g = digest_new();
    text = calloc(SIZE, LINE);
    length = calloc(SIZE, sizeof *length);
    for (unsigned l = 0, n = SIZE; l < LEVELS; l++, n /= TILE_HASHES)
        hash[l] = calloc(n + TILE_HASHES, sizeof **hash);
    for (uint64_t i = 0; i < SIZE; i++)
        line_make(i);
    count[0] = SIZE;
    for (unsigned l = 1; l < LEVELS; l++)
        for (count[l] = 0; (count[l] + 1) * TILE_HASHES <= count[l - 1]; count[l]++) {
            struct sha256 part[TILE_HASHES];
            memcpy(part, &hash[l - 1][count[l] * TILE_HASHES], sizeof part);
            hash[l][count[l]] = tile_fold(part, TILE_HASHES, g);
        }
    key = key_make();
    other = key_make();
    vkey = BUF_INIT(NOTE_MAX);
    return audit_vkey(SLICE("x/log/n"), ed25519_signer(key).public_key, &vkey) != ERR_OK;
}

static int teardown(void **state)
{
    (void)state;
    g = digest_free(g);
    for (unsigned l = 0; l < LEVELS; l++)
        free(hash[l]);
    free(text);
    free(length);
    ed25519_free(key);
    ed25519_free(other);
    buf_done(&vkey);
    buf_done(&s.note);
    return 0;
}

static void any_size_verifies(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 1, 2, 255, 256, 257, 511, 512, 1000, 65536, 65537, 65792, SIZE };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        serve(sizes[i]);
        good(0, sizes[i]);
        assert_false(r.tiles_wrong);
        struct sha256 root = root_of(sizes[i]);
        assert_memory_equal(&root, &r.root, sizeof root);
    }
}

static void the_record_is_named(void **state)
{
    (void)state;
    static const uint64_t at[] = { 1, 255, 256, 300, 65535, 65536, 69999 };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        serve(SIZE);
        s.altered = at[i];
        bad("altered", at[i], at[i]);
    }
    assert_string_equal(r.bad_file, "tile/entries/273.p/112");
    serve(SIZE);
    s.moved_n = 2;
    s.moved[0] = 700;
    s.moved[1] = 720;
    bad("reordered", 700, 700);
    serve(SIZE);
    s.moved_n = 1; /* one stands twice, the right one nowhere */
    s.moved[0] = 800;
    s.moved[1] = 790;
    bad("inserted", 800, 800);
    serve(SIZE - 5);
    s.dropped = 900;
    bad("missing", 900, 900);
    serve(SIZE);
    s.added = 1000;
    bad("inserted", 999, 999);
}

/* Where hashes fail, records must do, and what is named is as near as the rest allows. */
static void tiles_that_fail(void **state)
{
    (void)state;
    serve(SIZE);
    s.wrong_level = 0;
    s.wrong_tile = 3;
    good(0, SIZE);
    assert_true(r.tiles_wrong);
    s.altered = 3 * 256 + 7;
    bad("altered", 3 * 256, 3 * 256 + 255);
    serve(SIZE);
    s.wrong_level = 1; /* the full one: 65 536 records have no tile */
    good(0, SIZE);
    assert_true(r.tiles_wrong);
    s.altered = 66000;
    bad("altered", 66000, 66000);
    s.altered = 600;
    bad("altered", 0, SIZE - 1);
    for (int level = 0; level < LEVELS; level++) {
        serve(SIZE);
        s.lost_level = level;
        good(0, SIZE);
        assert_true(r.tiles_wrong);
        s.altered = 600;
        bad("altered", 0, SIZE - 1);
    }
}

static void a_pruned_log(void **state)
{
    (void)state;
    for (int stay = 0; stay < 2; stay++) {
        serve(SIZE);
        s.least = PRUNED;
        s.tiles_stay = stay;
        good(PRUNED, SIZE - PRUNED);
        assert_true(s.fetched < 80); /* it is found by halving */
        s.altered = PRUNED + 5;
        bad("altered", PRUNED + 5, PRUNED + 5);
        s.altered = 0;
        s.least = PRUNED + 256; /* more than the act says */
        bad("missing", 0, PRUNED + 255);
        s.least = PRUNED;
        s.wrong_level = 1; /* nothing vouches for what was before */
        s.wrong_tile = 1;
        bad("missing", 0, PRUNED - 1);
    }
    serve(SAYS); /* nobody said so yet */
    s.least = PRUNED;
    bad("missing", 0, PRUNED - 1);
    assert_false(r.pruning.said);
    s.least = SOONER; /* an act says so, of what was a month old */
    bad("removed-early", 0, SOONER - 1);
    assert_int_equal(r.pruning.index, SOON);
    assert_int_equal(r.pruning.shown_ms, (SOON - SOONER) * two_hours);
    serve(SIZE); /* and a later one again */
    s.least = SOONER;
    good(SOONER, SIZE - SOONER);
    assert_int_equal(r.pruning.index, SAYS);
    serve(SIZE);
    s.least = PRUNED; /* a range ends before the act: what of it is there is verified, and no more is said */
    assert_int_equal(verify_range(0, PRUNED + 10, SLICE("")), ERR_OK);
    assert_true(!r.failed && r.front_unjudged);
    assert_int_equal(r.first, PRUNED);
    assert_int_equal(verify_range(PRUNED, PRUNED + 10, SLICE("")), ERR_OK);
    assert_true(!r.failed && !r.front_unjudged);
    assert_int_equal(verify_range(5, PRUNED, SLICE("")), ERR_OK);
    assert_string_equal(r.bad_what, "missing");
    assert_true(r.bad_index == 5 && r.bad_last == PRUNED - 1);
}

static void ranges(void **state)
{
    (void)state;
    serve(SIZE);
    assert_int_equal(verify_range(66000, 66010, SLICE("")), ERR_OK);
    assert_false(r.failed);
    assert_int_equal(r.first, 65792);
    assert_int_equal(r.size, 256);
    assert_true(s.fetched < 12);
    s.altered = 66100; /* behind the range, in its bundle: said all the same */
    assert_int_equal(verify_range(66000, 66010, SLICE("")), ERR_OK);
    assert_true(!r.failed || r.bad_index == 66100);
    s.altered = 300;
    assert_int_equal(verify_range(66000, 66010, SLICE("")), ERR_OK);
    assert_false(r.failed);
    assert_int_equal(verify_range(200, 400, SLICE("")), ERR_OK);
    assert_true(r.failed && r.bad_index == 300);
    s.lost_level = 0; /* then only the whole tells */
    s.altered = 66000;
    assert_int_equal(verify_range(200, 400, SLICE("")), ERR_OK);
    assert_true(r.failed);
    assert_int_equal(verify_range(400, 400, SLICE("")), ERR_INVALID);
    serve(SIZE);
    assert_int_equal(verify_range(SIZE + 1000, 0, SLICE("")), ERR_OK);
    assert_false(r.failed);
}

static void kept_checkpoints(void **state)
{
    (void)state;
    struct buf kept = BUF_INIT(NOTE_MAX);
    struct sha256 root = root_of(OLDER);
    serve(SIZE);
    note_of(OLDER, &root, key, &kept);
    for (int part = 0; part < 2; part++) { /* by the records, by the tiles */
        assert_int_equal(verify_range(part ? 69000 : 0, 0, buf_slice(&kept)), ERR_OK);
        assert_true(!r.failed && r.kept_ok);
    }
    s.least = PRUNED; /* what was kept is older than what remains */
    s.tiles_stay = true;
    assert_int_equal(verify_range(0, 0, buf_slice(&kept)), ERR_OK);
    assert_true(!r.failed && r.kept_ok);
    root.b[0]++;
    note_of(OLDER, &root, key, &kept);
    for (int part = 0; part < 2; part++) {
        assert_int_equal(verify_range(part ? 69000 : 0, 0, buf_slice(&kept)), ERR_OK);
        assert_string_equal(r.bad_what, "forked");
    }
    note_of(SIZE + 1, &root, key, &kept);
    assert_int_equal(verify_range(0, 0, buf_slice(&kept)), ERR_OK);
    assert_string_equal(r.bad_what, "truncated");
    note_of(OLDER, &root, other, &kept);
    assert_int_equal(verify_range(0, 0, buf_slice(&kept)), ERR_OK);
    assert_string_equal(r.bad_what, "signature");
    assert_false(r.kept_ok);
    assert_int_equal(verify_range(0, 0, SLICE("nonsense")), ERR_INVALID);
    buf_done(&kept);
}

static void checkpoints_that_do_not_hold(void **state)
{
    (void)state;
    struct sha256 root = root_of(1000);
    serve(1000);
    note_of(1000, &root, other, &s.note);
    bad("signature", 1000, 1000);
    root.b[0]++;
    note_of(1000, &root, key, &s.note);
    bad("altered", 0, 999); /* signed, and not of these records */
    buf_clear(&s.note);
    buf_puts(&s.note, "nonsense\n");
    bad("checkpoint", 0, 0);
    assert_string_equal(r.bad_file, "checkpoint");
}

static void what_ends_the_reading_is_no_verdict(void **state)
{
    (void)state;
    for (unsigned good_ones = 0; good_ones < 40; good_ones++) {
        serve(5000);
        s.good = good_ones;
        s.error = ERR_SYS;
        assert_int_equal(verify_range(0, 0, SLICE("")), ERR_SYS);
        assert_false(r.failed);
    }
    for (unsigned good_ones = 1; good_ones < 40; good_ones++) { /* and a server that has nothing more is one */
        serve(5000);
        s.good = good_ones;
        s.error = ERR_NOT_FOUND;
        assert_int_equal(verify_range(0, 0, SLICE("")), ERR_OK);
        assert_true(r.failed);
        assert_string_equal(r.bad_what, "missing");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_size_verifies),
        cmocka_unit_test(the_record_is_named),
        cmocka_unit_test(tiles_that_fail),
        cmocka_unit_test(a_pruned_log),
        cmocka_unit_test(ranges),
        cmocka_unit_test(kept_checkpoints),
        cmocka_unit_test(checkpoints_that_do_not_hold),
        cmocka_unit_test(what_ends_the_reading_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

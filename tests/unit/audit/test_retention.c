/* Retention: what may go and what may not, by age, by the log's own time, by holds; removal; and that what remains is
 * proved as before, while a front cut off by anybody else is told. */
#include "tests/unit/audit/second.h"
#include "tests/unit/audit/world.h"
#include "tests/unit/until.h"
#include "audit/crc32c.h"
#include "audit/index.h"
#include "base/sql/sql.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DAYS = 1500, A_DAY = 6, PART_WAIT = 60000 };
static const int64_t day_ms = 86400000, begin_at = 1640995200000; /* 2022-01-01 */

static struct world w;
static struct audit_index *x;
static struct segment_list list;
static const struct audit_retention policy = { .exchange_ms = AUDIT_KEEP_EXCHANGES_DAYS * 86400000ll,
                                               .other_ms = AUDIT_KEEP_OPERATIONS_DAYS * 86400000ll,
                                               .hold_from = INT64_MAX };

static void put_day(unsigned n, int64_t at)
{
    for (unsigned i = 0; i < A_DAY / 2; i++) {
        struct audit_record a = world_intent(n * A_DAY + i), b = world_outcome(n * A_DAY + i);
        a.at = at + i * 1000;
        b.at = a.at + 7;
        assert_int_equal(audit_put(w.q, &a, 0, NULL), ERR_OK);
        if (i + 1 < A_DAY / 2 || n % 50 != 0)
            assert_int_equal(audit_put(w.q, &b, 0, NULL), ERR_OK);
        else
            assert_int_equal(world_put(&w, &b, 0).e, ERR_OK);
    }
}

static void index_open(void)
{
    assert_int_equal(audit_index_open(w.dir, w.log, &x, &w.d), ERR_OK);
    assert_true(audit_index_wait(x, world_size(&w), PART_WAIT));
}

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    w.c.segment_bytes = 60000;
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned n = 0; n < DAYS; n++)
        put_day(n, begin_at + n * day_ms);
    struct audit_record last = world_outcome(1);
    last.kind = AUDIT_COUNT;
    last.at = begin_at + DAYS * day_ms;
    assert_int_equal(world_put(&w, &last, 0).e, ERR_OK);
    index_open();
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    assert_true(list.n > 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    x = audit_index_close(x);
    segment_list_done(&list);
    world_done(&w);
    return 0;
}

static struct audit_prunable plan(const struct audit_retention *r, int64_t now)
{
    struct audit_prunable p;
    UNTIL(audit_retention_plan(x, r, now, &p));
    assert_true(p.before >= p.first);
    return p;
}

/* The newest record of what would go, read from the log itself. */
static int64_t newest_before(uint64_t before)
{
    struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
    int64_t newest = 0;
    for (uint64_t i = before > 400 ? before - 400 : 0; i < before; i++) {
        struct slice v = { 0 };
        enum audit_kind k;
        int64_t at;
        buf_clear(&line);
        assert_int_equal(audit_record_line(x, i, &line), ERR_OK);
        assert_true(logline_kind(buf_slice(&line), &k) && logline_field(buf_slice(&line), "at", &v) &&
                    logline_plain(v, &v));
        assert_true(clock_parse(v, &at));
        if (k != AUDIT_SEGMENT && at > newest)
            newest = at;
    }
    buf_done(&line);
    return newest;
}

static void by_age(void **state)
{
    (void)state;
    int64_t now = begin_at + DAYS * day_ms;
    struct audit_prunable p = plan(&policy, now), none;
    assert_true(p.segments > 3 && p.before > 0 && p.bytes > 0);
    assert_int_equal(p.kept_by, AUDIT_KEPT_AGE);
    assert_true(newest_before(p.before) <= now - policy.exchange_ms);
    uint64_t next = 0;
    for (size_t i = 0; i < list.n; i++)
        next = next == 0 && list.first[i] > p.before ? list.first[i] : next;
    assert_true(newest_before(next) > now - policy.exchange_ms); /* not one segment more, and not one less */
    none = plan(&policy, begin_at + policy.exchange_ms);
    assert_int_equal(none.segments, 0);
    struct audit_retention ever = policy;
    ever.exchange_ms = 0;
    assert_int_equal(plan(&ever, now).segments, 0);
}

/* Something alive rests on what is older than *arg days of the log, unless the log has lived longer than `rests_ms`
 * since.
 */
static int64_t rests_ms = INT64_MAX;

static bool rests(void *arg, int64_t newest_at, int64_t lived_ms)
{
    const int64_t *days = arg;
    return newest_at >= begin_at + *days * day_ms && lived_ms < rests_ms;
}

static void what_is_alive_keeps_what_it_rests_on(void **state)
{
    (void)state;
    int64_t now = begin_at + DAYS * day_ms, days = 200;
    struct audit_prunable all = plan(&policy, now), some;
    struct audit_retention r = policy;
    r.rests = rests;
    r.arg = &days;
    some = plan(&r, now);
    assert_true(some.segments > 0 && some.segments < all.segments);
    assert_int_equal(some.kept_by, AUDIT_KEPT_GRANT);
    assert_true(newest_before(some.before) < begin_at + days * day_ms);
    rests_ms = policy.exchange_ms; /* all that is old enough has been followed by so much of the log's own time */
    assert_int_equal(plan(&r, now).before, all.before);
    rests_ms = INT64_MAX;
    days = 0;
    assert_int_equal(plan(&r, now).segments, 0);
}

static void holds_stop_it(void **state)
{
    (void)state;
    int64_t now = begin_at + DAYS * day_ms;
    struct audit_prunable all = plan(&policy, now), some;
    struct audit_retention r = policy;
    r.hold_from = 0;
    some = plan(&r, now);
    assert_int_equal(some.segments, 0);
    assert_int_equal(some.kept_by, AUDIT_KEPT_HOLD);
    r.hold_from = begin_at + 200 * day_ms;
    some = plan(&r, now);
    assert_true(some.segments > 0 && some.segments < all.segments);
    assert_true(newest_before(some.before) < r.hold_from);
    r.hold_from = all.newest_at + 1;
    assert_int_equal(plan(&r, now).before, all.before);
}

/* A clock set forward by years: the log itself has not lived that long. */
static void a_clock_set_forward_prunes_nothing_more(void **state)
{
    (void)state;
    struct audit_prunable right = plan(&policy, begin_at + DAYS * day_ms), wrong;
    for (int years = 1; years <= 100; years *= 10) {
        wrong = plan(&policy, begin_at + DAYS * day_ms + years * 366 * day_ms);
        assert_true(wrong.before >= right.before);
        assert_int_equal(wrong.kept_by, AUDIT_KEPT_CLOCK);
        assert_true(newest_before(wrong.before) <= begin_at + DAYS * day_ms - policy.exchange_ms + 2 * day_ms);
    }
}

/* The log's index also knows a wrong clock from its records. What it lived in 1500 records, a second apart by `clocks`
 * that are `ahead` of the right one in turn. */
static int64_t lived_by(int64_t (*ahead)(unsigned i))
{
    struct world v;
    struct audit_index *y;
    struct audit_index_status s;
    struct audit_prunable p;
    int64_t at = 0;
    world_init(&v);
    v.c.segment_bytes = 30000;
    assert_int_equal(world_open(&v), ERR_OK);
    for (unsigned i = 0; i < 1500; i++) {
        struct audit_record r = { .kind = AUDIT_REFUSED, .has_reason = true, .reason = REASON_NO_GRANT };
        at = begin_at + i * 1000 + ahead(i);
        r.at = at;
        assert_int_equal(audit_put(v.q, &r, 0, NULL), ERR_OK);
    }
    struct audit_record end = { .kind = AUDIT_COUNT, .at = at + 1 };
    assert_int_equal(world_put(&v, &end, 0).e, ERR_OK);
    assert_int_equal(audit_index_open(v.dir, v.log, &y, &v.d), ERR_OK);
    assert_true(audit_index_wait(y, world_size(&v), PART_WAIT));
    audit_index_status(y, &s);
    UNTIL(audit_retention_plan(y, &policy, at, &p));
    assert_int_equal(p.segments, 0);
    audit_index_close(y);
    world_done(&v);
    return s.elapsed_ms;
}

static int64_t set_forward(unsigned i)
{
    return i < 500 ? 0 : 3650 * day_ms;
}

static int64_t set_forward_and_back(unsigned i)
{
    return i >= 500 && i < 900 ? 3650 * day_ms : 0;
}

static int64_t two_clocks(unsigned i)
{
    return i % 2 * 2 * day_ms;
}

static int64_t two_queues(unsigned i)
{
    return i % 2 * 7000;
}

/* Years in one step count two days, put right again they count nothing, and what goes to and fro adds nothing. */
static void clocks_that_are_wrong_make_nothing_old(void **state)
{
    (void)state;
    const int64_t right = 1499 * 1000 + 1;
    assert_int_equal(lived_by(set_forward), right - 1000 + 2 * day_ms);
    assert_int_equal(lived_by(set_forward_and_back), right - 2000);
    assert_int_equal(lived_by(two_queues), right + 7000);
    int64_t lived = lived_by(two_clocks);
    assert_true(lived > 0 && lived < 3 * day_ms);
}

static void front_cut(const char *dir, uint64_t before)
{
    struct segment_list l;
    char path[256];
    assert_int_equal(segment_list_read(dir, &l, NULL), ERR_OK);
    for (size_t i = 0; i < l.n && l.first[i] < before; i++) {
        assert_int_equal(segment_path(dir, l.first[i], path, sizeof path), ERR_OK);
        assert_int_equal(unlink(path), 0);
    }
    segment_list_done(&l);
}

static void verify_at(const char *dir, struct audit_report *r)
{
    assert_int_equal(audit_verify(dir, buf_slice(&w.vkey), NULL, NULL, r, &w.d), ERR_OK);
    second_log(dir, &(struct second_log){ .vkey = buf_slice(&w.vkey) }, r);
}

static void put_prune_act(struct world *v, uint64_t before, int64_t at)
{
    char content[64];
    struct audit_status s;
    snprintf(content, sizeof content, "{\"before\":%llu}", (unsigned long long)before);
    struct audit_record act = { .kind = AUDIT_ACT,
                                .at = at,
                                .act = 1,
                                .author = SLICE("spiffe://x/gateway/g"),
                                .verb = SLICE("audit.prune"),
                                .object = SLICE("log"),
                                .content = slice_of(content) };
    assert_int_equal(world_put(v, &act, 0).e, ERR_OK);
    world_covered(v, &s);
}

static void put_counts(struct world *v, int64_t at, unsigned n, int64_t step_ms)
{
    struct audit_record r = { .kind = AUDIT_COUNT };
    for (unsigned i = 0; i < n; i++) {
        r.at = at + i * step_ms;
        assert_int_equal(world_put(v, &r, 0).e, ERR_OK);
    }
}

/* A log that was silent for long: what stays must be old as well, for who verifies it sees nothing else. */
static void the_first_that_stays_is_old_too(void **state)
{
    (void)state;
    struct world v;
    struct audit_index *y;
    struct audit_prunable p;
    struct audit_report r;
    const int64_t keep_ms = AUDIT_KEEP_OPERATIONS_DAYS * day_ms, again_at = begin_at + 50 * day_ms;
    struct audit_retention six_months = policy;
    six_months.other_ms = keep_ms;
    world_init(&v);
    v.c.segment_bytes = 20000; /* so that 256 records are enough */
    assert_int_equal(world_open(&v), ERR_OK);
    put_counts(&v, begin_at, 255, 1000);
    put_counts(&v, again_at, 184 * 3, day_ms / 3);
    assert_int_equal(audit_index_open(v.dir, v.log, &y, &v.d), ERR_OK);
    assert_true(audit_index_wait(y, world_size(&v), PART_WAIT));
    UNTIL(audit_retention_plan(y, &six_months, again_at + keep_ms, &p));
    assert_int_equal(p.segments, 0);
    assert_int_equal(p.kept_by, AUDIT_KEPT_AGE);
    put_counts(&v, again_at + keep_ms, 7, day_ms / 3);
    assert_true(audit_index_wait(y, world_size(&v), PART_WAIT));
    UNTIL(audit_retention_plan(y, &six_months, again_at + keep_ms + 2 * day_ms, &p));
    assert_int_equal(p.segments, 1);
    assert_int_equal(p.before, 256);
    put_prune_act(&v, p.before, again_at + keep_ms + 2 * day_ms);
    assert_int_equal(audit_prune(y, p.before, &v.d), ERR_OK);
    world_verify(&v, &r);
    assert_false(r.failed);
    assert_int_equal(r.first, 256);
    audit_index_close(y);
    world_done(&v);
}

static const _Atomic bool go_on;

static void tile_spoil(char *bytes, size_t at, size_t n, struct buf *file)
{
    memcpy(file->p + at, bytes, n);
    world_write(&w, "tile/0.hashes", buf_slice(file));
}

/* What could not be derived any more when it is gone is stored first; what is not as the log and the index say stays.
 */
static void it_is_read_once_more(void **state)
{
    (void)state;
    struct audit_prunable p = plan(&policy, begin_at + DAYS * day_ms), other;
    struct buf right = BUF_INIT(4 << 20), now = BUF_INIT(4 << 20), seg = BUF_INIT(1 << 20);
    char wrong[3 * SHA256_LEN] = { 0 }, name[SEGMENT_NAME];
    static const _Atomic bool stop = true;
    world_read(&w, "tile/0.hashes", &right);
    world_read(&w, "tile/0.hashes", &now);
    tile_spoil(wrong, 0, sizeof wrong, &now); /* lost by a power cut */
    memset(wrong, 7, sizeof wrong);
    tile_spoil(wrong, (p.before - 3) * SHA256_LEN, sizeof wrong, &now);
    assert_int_equal(audit_prune_ready(x, &p, &go_on, NULL), ERR_OK);
    world_read(&w, "tile/0.hashes", &now);
    assert_memory_equal(now.p, right.p, p.before * SHA256_LEN);
    assert_int_equal(audit_prune_ready(x, &p, &stop, NULL), ERR_AGAIN);

    other = p; /* the index's files say that all is older than it is */
    other.exchange_at -= 1;
    assert_int_equal(audit_prune_ready(x, &other, &go_on, NULL), ERR_CONFLICT);

    segment_name(list.first[1], name);
    world_read(&w, name, &seg);
    char *year = memmem(seg.p + seg.n / 2, seg.n / 2, "\"at\":\"202", 9), *line = year;
    while (line[-1] != '\n')
        line--;
    size_t n = (size_t)((char *)memchr(line, '\n', AUDIT_RECORD_MAX) - line);
    uint64_t index = strtoull(line + LOGLINE_INDEX, NULL, 10);
    const char was = year[9];
    for (int round = 0; round < 2; round++) { /* a byte, with a sum that fits; and put right */
        year[9] = round == 0 ? '0' : was;
        memcpy(line + LOGLINE_CRC, "00000000", LOGLINE_CRC_N);
        logline_stamp(line, n, index);
        world_write(&w, name, buf_slice(&seg));
        assert_int_equal(audit_prune_ready(x, &p, &go_on, NULL), round == 0 ? ERR_CORRUPT : ERR_OK);
        world_read(&w, "tile/0.hashes", &now); /* it knows what was there */
        assert_memory_equal(now.p, right.p, p.before * SHA256_LEN);
    }
    buf_done(&right);
    buf_done(&now);
    buf_done(&seg);
}

/* Writes the times of a part of the index, which is closed, anew, as somebody would who has the files: its sum fits. */
static void part_forge(uint64_t first, int64_t lived_ms, int64_t older_ms)
{
    struct buf file = BUF_INIT(8 << 20);
    struct part_head *h;
    char name[64] = "index/";
    part_name(first, name + 6);
    world_read(&w, name, &file);
    h = (struct part_head *)file.p;
    h->elapsed_ms += lived_ms;
    h->exchange_at -= older_ms;
    h->other_at -= h->other_at != 0 ? older_ms : 0;
    h->sum = 0;
    h->sum = crc32c(0, buf_slice(&file));
    world_write(&w, name, buf_slice(&file));
    buf_done(&file);
}

static void index_anew(void)
{
    audit_index_rebuild(x);
    for (int i = 0; i < 1000 && atomic_load(&x->discard_from) != UINT64_MAX; i++)
        usleep(10000);
    assert_true(audit_index_wait(x, world_size(&w), PART_WAIT));
}

/* Who can write the index's files makes what the log has lived longer, or its records older, and sets the clock forward
 * to it. The plan believes both; the records are asked before anything goes, those that remain as well. */
static void a_forged_index_and_clock_remove_nothing(void **state)
{
    (void)state;
    const int64_t right_now = begin_at + DAYS * day_ms, years = 3660 * day_ms;
    struct audit_prunable right = plan(&policy, right_now), p;
    static const struct {
        int64_t lived_ms, older_ms;
    } forged[] = { { 3660 * 86400000ll, 0 }, { 0, 1000 * 86400000ll }, { 3660 * 86400000ll, 1000 * 86400000ll } };
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        uint64_t first = x->parts[x->n_parts / 2]->h.first;
        x = audit_index_close(x);
        part_forge(first, forged[i].lived_ms, forged[i].older_ms);
        index_open();
        p = plan(&policy, right_now + (forged[i].lived_ms > 0 ? years : 0));
        assert_true(forged[i].lived_ms == 0 || p.before > right.before);
        assert_int_equal(audit_prune_ready(x, &p, &go_on, NULL), ERR_CONFLICT);
        assert_int_equal(audit_index_check(x, NULL), first);
        index_anew();
        assert_int_equal(audit_index_check(x, NULL), UINT64_MAX);
        p = plan(&policy, right_now);
        assert_int_equal(p.before, right.before);
        assert_int_equal(audit_prune_ready(x, &p, &go_on, NULL), ERR_OK);
    }
}

static void what_remains_is_proved(void **state)
{
    (void)state;
    struct audit_prunable p = plan(&policy, begin_at + DAYS * day_ms);
    struct audit_report r;
    char copy[128], path[512];
    snprintf(copy, sizeof copy, "%s-copy", w.dir);
    world_copy(&w, copy);
    front_cut(copy, p.before);
    verify_at(copy, &r); /* nobody said so in the log */
    assert_true(r.failed);
    assert_string_equal(r.bad_what, "missing");
    assert_int_equal(r.bad_index, 0);

    assert_int_equal(audit_prune(x, p.before + 1, &w.d), ERR_INVALID); /* no segment begins there */
    put_prune_act(&w, p.before, begin_at + DAYS * day_ms);
    world_copy(&w, copy);
    assert_int_equal(audit_prune(x, p.before, &w.d), ERR_OK);
    verify_at(w.dir, &r);
    assert_false(r.failed);
    assert_true(r.signature_ok);
    assert_int_equal(r.first, p.before);
    assert_int_equal(r.first + r.size, world_size(&w));

    front_cut(copy, list.first[1]); /* a crash after the first file: the rest goes later */
    verify_at(copy, &r);
    assert_false(r.failed);
    assert_int_equal(r.first, list.first[1]);
    front_cut(copy, p.before);
    uint64_t further = 0;
    for (size_t i = 0; i < list.n; i++)
        further = list.first[i] > p.before && further == 0 ? list.first[i] : further;
    front_cut(copy, further); /* more than the act says */
    verify_at(copy, &r);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, "missing");

    world_copy(&w, copy); /* a byte of what remains */
    snprintf(path, sizeof path, "sed -i '0,/relation/s//relatioN/' %s/%016llu.seg", copy, (unsigned long long)p.before);
    assert_int_equal(system(path), 0);
    verify_at(copy, &r);
    assert_true(r.failed);
    assert_string_equal(r.bad_what, "altered");
    assert_true(r.bad_index > p.before && r.bad_index < p.before + 5);
    snprintf(path, sizeof path, "rm -rf %s", copy);
    assert_int_equal(system(path), 0);
}

static bool count_row(void *arg, const struct audit_row *row)
{
    (void)row;
    ++*(unsigned *)arg;
    return true;
}

static void it_goes_on_after_a_restart(void **state)
{
    (void)state;
    struct audit_index_status s;
    struct audit_question q = { .after = UINT64_MAX, .limit = 10, .oldest_first = true };
    struct audit_found found;
    struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
    struct audit_report r;
    unsigned n = 0;
    audit_index_status(x, &s);
    uint64_t first = s.first;
    assert_true(first > 0);
    x = audit_index_close(x);
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    put_day(DAYS + 1, begin_at + (DAYS + 1) * day_ms);
    put_day(DAYS + 50 - (DAYS + 50) % 50, begin_at + (DAYS + 2) * day_ms);
    index_open();
    audit_index_status(x, &s);
    assert_int_equal(s.first, first);
    assert_int_equal(audit_find(x, &q, count_row, &n, &found, &w.d), ERR_OK);
    assert_int_equal(n, 10);
    assert_int_equal(found.first, first);
    assert_int_equal(audit_record_line(x, first - 1, &line), ERR_NOT_FOUND);
    assert_int_equal(audit_record_line(x, first, &line), ERR_OK);
    verify_at(w.dir, &r);
    assert_false(r.failed);
    buf_done(&line);
}

/* ---- the state's part ---- */
static enum err last_hold(void *arg, const struct audit_hold *h)
{
    struct audit_hold *to = arg;
    assert_int_equal(h->id, to->id + 1);
    *to = (struct audit_hold){ .id = h->id, .from = h->from, .released = h->released };
    assert_true(slice_is(h->reason, "court"));
    return ERR_OK;
}

static void holds_are_kept(void **state)
{
    (void)state;
    struct sql *sql;
    struct sql_tx *tx;
    struct audit_hold h = { .from = 500, .reason = SLICE("court"), .author = SLICE("a"), .created = 1 }, seen = { 0 };
    int64_t from;
    uint64_t before;
    assert_int_equal(sql_open(world_path(&w, "state.db"), &sql, &w.d), ERR_OK);
    assert_int_equal(sql_migrate(sql, "audit", audit_migrations, audit_migrations_n, &w.d), ERR_OK);
    assert_int_equal(sql_begin(sql, true, &tx, &w.d), ERR_OK);
    assert_int_equal(audit_hold_from(tx, &from), ERR_OK);
    assert_true(from == INT64_MAX);
    assert_int_equal(audit_hold_add(tx, &h), ERR_OK);
    assert_int_equal(h.id, 1);
    h.from = 300;
    assert_int_equal(audit_hold_add(tx, &h), ERR_OK);
    assert_int_equal(audit_hold_from(tx, &from), ERR_OK);
    assert_int_equal(from, 300);
    assert_int_equal(audit_hold_release(tx, 2, SLICE("b"), SLICE("over"), 9), ERR_OK);
    assert_int_equal(audit_hold_release(tx, 2, SLICE("b"), SLICE("over"), 9), ERR_CONFLICT);
    assert_int_equal(audit_hold_release(tx, 7, SLICE("b"), SLICE("over"), 9), ERR_NOT_FOUND);
    assert_int_equal(audit_hold_from(tx, &from), ERR_OK);
    assert_int_equal(from, 500);
    assert_int_equal(audit_hold_each(tx, last_hold, &seen), ERR_OK);
    assert_int_equal(seen.id, 2);
    assert_int_equal(seen.released, 9);
    assert_int_equal(audit_prune_noted(tx, 100, &before), ERR_OK);
    assert_int_equal(before, 0);
    assert_int_equal(audit_prune_note(tx, 12, 512), ERR_OK);
    assert_int_equal(audit_prune_note(tx, 15, 1024), ERR_OK);
    assert_int_equal(audit_prune_noted(tx, 14, &before), ERR_OK);
    assert_int_equal(before, 512); /* the later act is not in the log yet */
    sql_rollback(tx);
    sql_close(sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_age),
        cmocka_unit_test(what_is_alive_keeps_what_it_rests_on),
        cmocka_unit_test(holds_stop_it),
        cmocka_unit_test(a_clock_set_forward_prunes_nothing_more),
        cmocka_unit_test(clocks_that_are_wrong_make_nothing_old),
        cmocka_unit_test(the_first_that_stays_is_old_too),
        cmocka_unit_test(it_is_read_once_more),
        cmocka_unit_test(a_forged_index_and_clock_remove_nothing),
        cmocka_unit_test(what_remains_is_proved),
        cmocka_unit_test(it_goes_on_after_a_restart),
        cmocka_unit_test(holds_are_kept),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

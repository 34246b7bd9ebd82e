/* The search index against a model that the test keeps of what it wrote: every question, both directions, pages while
 * the log grows, late outcomes and cuts, restarts, damaged files, another log's files. The model knows no hash, no part
 * and no row: it goes through all exchanges each time. */
#include "tests/unit/audit/world.h"
#include "audit/part.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RECORDS = 200000, PEOPLE = 500, NONE = -1, PAGE = 1000 };

static const char *const apps[] = { "education/app/admission", "education/app/library", "civil-affairs/app/relief",
                                    "tax/app/refund" };
static const char *const who[] = { "education/admission", "education/library", "civil-affairs/relief", "tax/refund" };
static const char *const departments[] = { "education", "education", "civil-affairs", "tax" };
static const char *const resources[] = { "public-security/household", "natural-resources/real-estate",
                                         "health/vaccination" };
static const char *const providers[] = { "public-security", "natural-resources", "health" };
static const char *const items[] = { "name,relation", "status", "name,dose,day" };
static char wide_items[4096]; /* "name" is none of those that fit */
static const enum reason reasons[] = { REASON_GRANTED, REASON_GRANTED, REASON_GRANTED, REASON_PROVIDER_TIMEOUT,
                                       REASON_REVOKED };

/* What was written: one entry for each row that the index must have. */
struct model_row {
    uint64_t index;
    int64_t at;
    enum audit_kind kind;
    enum audit_result result;
    int app, resource, person, operator_, purpose;
    unsigned exchange;
    const char *reason;
    bool outcome, cut, wide; /* wide: more items than a record has room for */
    unsigned act;
};
static struct model_row *rows;
static unsigned n_rows, n_exchanges, clock_ms, n_acts;
static struct world w;
static struct audit_index *x;
static unsigned random_state = 20261126;

static unsigned any(unsigned n)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % n;
}

static int64_t next_at(void)
{
    return 1764115200000 + (int64_t)(clock_ms += 1 + any(5));
}

static void put(const struct audit_record *r)
{
    static unsigned since;
    enum err e;
    while ((e = audit_put(w.q, r, 0, NULL)) == ERR_AGAIN) {
        audit_kick(w.q);
        audit_poll(w.q);
        usleep(200);
    }
    assert_int_equal(e, ERR_OK);
    if (++since % 512 == 0) {
        audit_kick(w.q);
        audit_poll(w.q);
    }
}

/* Open exchanges, whose outcomes come later and out of order. */
static struct open_one {
    unsigned row;
} open_ones[64];
static unsigned n_open;
static unsigned answered[32]; /* rows that may still get a cut */
static unsigned n_answered;

static void put_intent(void)
{
    struct model_row *m = &rows[n_rows];
    char subject[128], pseudonym[33], value[32], operator_[32];
    *m = (struct model_row){ .kind = AUDIT_INTENT,
                             .result = AUDIT_OPEN,
                             .at = next_at(),
                             .app = (int)any(4),
                             .resource = (int)any(3),
                             .person = any(3) == 0 ? NONE : (int)any(PEOPLE),
                             .operator_ = any(2) == 0 ? NONE : (int)any(40),
                             .purpose = (int)any(2),
                             .exchange = n_exchanges++ };
    m->wide = m->resource == 1 && any(16) == 0;
    snprintf(subject, sizeof subject, "spiffe://city.example/dept/%s", apps[m->app]);
    snprintf(value, sizeof value, "person-%d", m->person);
    snprintf(operator_, sizeof operator_, "clerk \"%d\"", m->operator_);
    audit_pseudonym(w.log, slice_of(value), pseudonym);
    struct audit_param p = { SLICE("id_no"), slice_make(pseudonym, 32), true };
    struct audit_record r = { .kind = AUDIT_INTENT,
                              .at = m->at,
                              .exchange = world_exchange(m->exchange),
                              .subject = slice_of(subject),
                              .resource = slice_of(resources[m->resource]),
                              .grant = m->resource == 0 ? SLICE("g1") : SLICE("g2"),
                              .grant_version = 1,
                              .purpose = m->purpose ? SLICE("admission") : SLICE("relief"),
                              .operator_ = m->operator_ == NONE ? (struct slice){ 0 } : slice_of(operator_),
                              .items = slice_of(m->wide ? wide_items : items[m->resource]),
                              .params = &p,
                              .n_params = m->person == NONE ? 0 : 1 };
    put(&r);
    open_ones[n_open++].row = n_rows++;
}

static void put_outcome(unsigned which)
{
    struct model_row *m = &rows[open_ones[which].row];
    struct audit_record r = { .kind = AUDIT_OUTCOME,
                              .at = next_at(),
                              .exchange = world_exchange(m->exchange),
                              .has_reason = true,
                              .reason = reasons[any(5)] };
    bool told = r.reason != REASON_PROVIDER_TIMEOUT;
    r.status = told ? 200 : 504;
    m->reason = reason_info(r.reason)->code;
    m->outcome = true;
    m->result = r.reason == REASON_GRANTED ? AUDIT_GRANTED : told ? AUDIT_WAS_CUT : AUDIT_FAILED;
    put(&r);
    if (m->result == AUDIT_GRANTED)
        answered[n_answered++ % 32] = open_ones[which].row;
    open_ones[which] = open_ones[--n_open];
}

static void put_cut(void)
{
    if (n_answered < 32)
        return;
    struct model_row *m = &rows[answered[any(32)]];
    if (m->cut)
        return;
    struct audit_record r = { .kind = AUDIT_CUT,
                              .at = next_at(),
                              .exchange = world_exchange(m->exchange),
                              .has_reason = true,
                              .reason = REASON_CONSUMER_GONE };
    m->cut = true;
    m->result = AUDIT_WAS_CUT;
    put(&r);
}

static void put_single(void)
{
    struct model_row *m = &rows[n_rows++];
    char subject[128];
    *m = (struct model_row){
        .at = next_at(), .person = NONE, .operator_ = NONE, .purpose = NONE, .exchange = UINT32_MAX
    };
    m->app = (int)any(4);
    m->resource = any(2) ? (int)any(3) : NONE;
    snprintf(subject, sizeof subject, "spiffe://city.example/dept/%s", apps[m->app]);
    struct audit_record r = { .at = m->at };
    if (any(3) != 0) {
        r.kind = m->kind = AUDIT_REFUSED;
        m->result = AUDIT_DENIED;
        m->exchange = n_exchanges++;
        r.exchange = world_exchange(m->exchange);
        r.subject = slice_of(subject);
        r.resource = m->resource == NONE ? (struct slice){ 0 } : slice_of(resources[m->resource]);
        r.has_reason = true;
        r.reason = REASON_NO_GRANT;
        m->reason = reason_info(r.reason)->code;
    } else {
        r.kind = m->kind = AUDIT_ACT;
        m->resource = NONE;
        r.act = m->act = ++n_acts;
        r.author = slice_of(subject);
        r.verb = SLICE("request.approve");
        r.object = SLICE("r7");
    }
    put(&r);
}

static void grow(unsigned records)
{
    for (unsigned i = 0; i < records; i++) {
        if (n_open == 64 || (n_open > 0 && any(100) < 49))
            put_outcome(any(4) == 0 ? any(n_open) : 0);
        else if (any(100) < 12)
            put_single();
        else if (any(400) == 0)
            put_cut();
        else
            put_intent();
    }
    struct audit_record last = { .kind = AUDIT_COUNT, .at = next_at() };
    assert_int_equal(world_put(&w, &last, 0).e, ERR_OK); /* everything before it is durable */
    rows[n_rows++] = (struct model_row){ .kind = AUDIT_COUNT,
                                         .at = last.at,
                                         .app = NONE,
                                         .resource = NONE,
                                         .person = NONE,
                                         .operator_ = NONE,
                                         .purpose = NONE,
                                         .exchange = UINT32_MAX };
}

/* The rows' indexes: the log gave them, and put heads of segments in between. */
static void number_rows(void)
{
    struct segment_list l;
    struct logscan s;
    struct slice line;
    uint64_t index, offset;
    unsigned row = 0;
    char path[256];
    assert_int_equal(segment_list_read(w.dir, &l, NULL), ERR_OK);
    for (size_t i = 0; i < l.n; i++) {
        assert_int_equal(segment_path(w.dir, l.first[i], path, sizeof path), ERR_OK);
        assert_int_equal(logscan_open(&s, path, 0), ERR_OK);
        while (logscan_next(&s, &line, &offset) == LOGSCAN_LINE) {
            enum audit_kind k = AUDIT_SEGMENT;
            assert_true(logline_check(line, &index) && logline_kind(line, &k));
            if (k == AUDIT_SEGMENT || k == AUDIT_OUTCOME || k == AUDIT_CUT)
                continue;
            assert_true(row < n_rows);
            assert_int_equal(rows[row].kind, k);
            rows[row++].index = index;
        }
        logscan_close(&s);
    }
    assert_int_equal(row, n_rows);
    segment_list_done(&l);
}

/* A folder that cannot be opened, for want of descriptors say: what is to be ended by segment_list_done is there. */
static void no_folder(void **state)
{
    struct segment_list l;

    (void)state;
    memset(&l, 0xAA, sizeof l);
    assert_int_not_equal(segment_list_read("/nonexistent", &l, NULL), ERR_OK);
    assert_null(l.first);
    assert_int_equal(l.n, 0);
    segment_list_done(&l);
}

/* ---- questions ---- */
struct ask {
    struct audit_question q;
    int app, resource, person, operator_;
    char text[2][64];
};

static bool model_holds(const struct ask *a, const struct model_row *m)
{
    const struct audit_question *q = &a->q;
    if (q->from != 0 && m->at < q->from)
        return false;
    if (q->to != 0 && m->at >= q->to)
        return false;
    if (q->result != AUDIT_NO_RESULT && m->result != q->result)
        return false;
    if (a->app != NONE && m->app != a->app)
        return false;
    if (a->resource != NONE && m->resource != a->resource)
        return false;
    if (a->person != NONE && m->person != a->person)
        return false;
    if (a->operator_ != NONE && m->operator_ != a->operator_)
        return false;
    if (q->item.n > 0 && (m->kind != AUDIT_INTENT || (m->resource == 1 && !m->wide)))
        return false; /* "name" is an item of resources 0 and 2; a wide record may have had no room for it */
    if (q->purpose.n > 0 && m->purpose != 1)
        return false;
    if (q->reason.n > 0 && (m->cut ? !slice_is(q->reason, reason_info(REASON_CONSUMER_GONE)->code) : true) &&
        (m->reason == NULL || !slice_is(q->reason, m->reason)))
        return false;
    if (q->department.n > 0 && !(m->app != NONE && slice_is(q->department, departments[m->app])) &&
        !(m->resource != NONE && slice_is(q->department, providers[m->resource])))
        return false;
    if (q->verb.n > 0 && m->kind != AUDIT_ACT)
        return false;
    if (slice_is(q->kind, "outcome"))
        return m->outcome;
    if (slice_is(q->kind, "cut"))
        return m->cut;
    return q->kind.n == 0 || slice_is(q->kind, audit_kind_name(m->kind));
}

static struct ask random_ask(void)
{
    static const char *const kinds[] = { "intent", "refused", "outcome", "cut", "act" };
    static const char *const reason_codes[] = { "provider-timeout", "no-grant", "granted", "consumer-gone", "revoked" };
    struct ask a = {
        .q = { .after = UINT64_MAX, .limit = PAGE }, .app = NONE, .resource = NONE, .person = NONE, .operator_ = NONE
    };
    unsigned mask = any(3) == 0 ? 1u << any(11) : any(2048) & any(2048); /* one condition, or about three */
    if (mask & 1)
        a.app = (int)any(4);
    if (mask & 2)
        a.resource = (int)any(3);
    if (mask & 4)
        a.person = (int)any(PEOPLE);
    if (mask & 8)
        a.operator_ = (int)any(40);
    if (mask & 16)
        a.q.item = SLICE("name");
    if (mask & 32)
        a.q.purpose = SLICE("admission");
    if (mask & 64)
        a.q.result = (enum audit_result)(AUDIT_GRANTED + any(AUDIT_RESULTS_ - 1));
    if (mask & 128)
        a.q.reason = slice_of(reason_codes[any(5)]);
    if (mask & 256)
        a.q.department = slice_of(any(2) ? departments[any(4)] : providers[any(3)]);
    if (mask & 512)
        a.q.kind = slice_of(kinds[any(5)]);
    if (mask & 1024) {
        a.q.from = 1764115200000 + (int64_t)any(clock_ms);
        a.q.to = a.q.from + (int64_t)any(clock_ms);
    }
    a.q.oldest_first = any(2);
    return a;
}

/* Texts last as long as `a`. */
static void ask_texts(struct ask *a)
{
    char value[32];
    if (a->app != NONE)
        a->q.who = slice_of(who[a->app]);
    if (a->resource != NONE)
        a->q.resource = slice_of(resources[a->resource]);
    if (a->operator_ != NONE) {
        snprintf(a->text[0], sizeof a->text[0], "clerk \"%d\"", a->operator_);
        a->q.operator_ = slice_of(a->text[0]);
    }
    if (a->person != NONE) {
        snprintf(value, sizeof value, "person-%d", a->person);
        audit_pseudonym(w.log, slice_of(value), a->text[1]);
        a->q.pseudonym = slice_of(a->text[1]);
        for (; a->person % 2 != 0 && a->q.n_older < 2; a->q.n_older++)
            a->q.older[a->q.n_older] = SLICE("ffffffffffffffffffffffffffffffff"); /* no record has this one */
        if (a->person % 4 == 3) {                                                 /* found by an older spelling only */
            a->q.older[1] = a->q.pseudonym;
            a->q.pseudonym = a->q.older[0];
        }
    }
}

struct seen {
    unsigned n, stop;
    uint64_t index[PAGE];
    enum audit_result result[PAGE];
    bool outcome[PAGE], cut[PAGE], unsure[PAGE];
};

static bool see(void *arg, const struct audit_row *r)
{
    struct seen *s = arg;
    uint64_t index;
    assert_true(s->n < PAGE);
    assert_true(logline_check(r->record, &index));
    assert_int_equal(index, r->index);
    assert_true(r->outcome.n == 0 || logline_check(r->outcome, &index));
    assert_true(r->cut.n == 0 || logline_check(r->cut, &index));
    s->index[s->n] = r->index;
    s->outcome[s->n] = r->outcome.n > 0;
    s->cut[s->n] = r->cut.n > 0;
    s->unsure[s->n] = r->item_unsure;
    s->result[s->n++] = r->result;
    return s->n != s->stop;
}

/* The first page, and what `more` says, as the model has it. */
static void compare(struct ask *a)
{
    static struct seen s;
    struct audit_found found;
    unsigned want = 0;
    ask_texts(a);
    s = (struct seen){ 0 };
    assert_int_equal(audit_find(x, &a->q, see, &s, &found, &w.d), ERR_OK);
    for (unsigned i = 0; i < n_rows; i++) {
        const struct model_row *m = &rows[a->q.oldest_first ? i : n_rows - 1 - i];
        if (!model_holds(a, m))
            continue;
        if (want < s.n) {
            assert_int_equal(s.index[want], m->index);
            assert_int_equal(s.result[want], m->result);
            assert_int_equal(s.outcome[want], m->outcome);
            assert_int_equal(s.cut[want], m->cut);
            assert_int_equal(s.unsure[want], a->q.item.n > 0 && m->wide);
        }
        want++;
    }
    assert_int_equal(s.n, want < PAGE ? want : PAGE);
    assert_int_equal(found.more, want > PAGE);
}

static void compare_many(unsigned n)
{
    number_rows();
    assert_true(audit_index_wait(x, world_size(&w), 60000));
    for (unsigned i = 0; i < n; i++) {
        struct ask a = random_ask();
        compare(&a);
    }
}

static void index_open(void)
{
    assert_int_equal(audit_index_open(w.dir, w.log, &x, &w.d), ERR_OK);
}

static int setup(void **state)
{
    (void)state;
    for (size_t n = 0; n + 48 < sizeof wide_items; n += strlen(wide_items + n))
        snprintf(wide_items + n, 48, "%sitem-%zu-of-many", n > 0 ? "," : "", n);
    world_init(&w);
    w.c.segment_bytes = 16 << 20;
    rows = mem_array(RECORDS + 40000, sizeof *rows);
    assert_non_null(rows);
    assert_int_equal(world_open(&w), ERR_OK);
    index_open();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    x = audit_index_close(x);
    mem_free(rows);
    world_done(&w);
    return 0;
}

/* ---- tests, in order ---- */
static void t1_follows_and_answers(void **state)
{
    (void)state;
    grow(3000);
    compare_many(80);
    for (unsigned i = 0; i < 9; i++) {
        grow(RECORDS / 10);
        compare_many(9);
    }
    struct audit_index_status s;
    audit_index_status(x, &s);
    assert_true(s.parts >= 3); /* sealed ones were asked, and late outcomes crossed from one to the next */
    assert_int_equal(s.indexed, world_size(&w));
    assert_int_equal(s.failed, UINT64_MAX);
}

static void t2_pages_while_it_grows(void **state)
{
    (void)state;
    struct audit_question q = { .resource = SLICE("health/vaccination"), .after = UINT64_MAX, .limit = 700 };
    uint64_t last = UINT64_MAX, top = n_rows > 0 ? rows[n_rows - 1].index : 0;
    unsigned got = 0, want = 0;
    for (unsigned i = 0; i < n_rows; i++)
        want += rows[i].resource == 2;
    for (bool more = true; more;) {
        static struct seen s;
        struct audit_found found;
        s = (struct seen){ 0 };
        assert_int_equal(audit_find(x, &q, see, &s, &found, &w.d), ERR_OK);
        for (unsigned i = 0; i < s.n; i++) {
            assert_true(s.index[i] < last && s.index[i] <= top);
            last = s.index[i];
        }
        got += s.n;
        q.after = found.last;
        more = found.more;
        if (got < 5000)
            grow(300);
    }
    assert_int_equal(got, want);
    compare_many(6);
}

static void t3_starts_again_from_its_files(void **state)
{
    (void)state;
    struct audit_index_status s;
    audit_index_status(x, &s);
    uint64_t parts = s.parts;
    x = audit_index_close(x);
    grow(500);
    index_open();
    compare_many(20);
    audit_index_status(x, &s);
    assert_int_equal(s.discarded, 0);
    assert_true(s.parts >= parts);
    assert_int_equal(audit_index_check(x, NULL), UINT64_MAX);
    audit_index_rebuild(x);
    compare_many(6);
}

/* Changes one byte of a file of the index while nobody has it. */
static void spoil(const char *name, long offset)
{
    char path[256];
    snprintf(path, sizeof path, "index/%s", name);
    FILE *f = fopen(world_path(&w, path), "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fputc(c ^ 1, f), c ^ 1);
    assert_int_equal(fclose(f), 0);
}

static void t4_damaged_files_are_built_anew(void **state)
{
    (void)state;
    static const long offsets[] = { 0, 9, 40, 200, (long)sizeof(struct part_head) + 5, 300000 };
    struct audit_index_status s;
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        x = audit_index_close(x);
        spoil("0000000000000000.part", offsets[i]);
        index_open();
        compare_many(2);
        audit_index_status(x, &s);
        assert_true(s.discarded >= 1);
    }
    x = audit_index_close(x);
    world_write(&w, "index/0000000000000000.part", SLICE("not a part"));
    index_open();
    compare_many(3);
    x = audit_index_close(x);
    assert_int_equal(unlink(world_path(&w, "index/0000000000000000.part")), 0);
    index_open();
    compare_many(3);
}

/* The index of another log of the same shape: its files are whole, but not of this log. */
static void t5_another_logs_index_is_refused(void **state)
{
    (void)state;
    char command[512];
    struct audit_index_status s;
    x = audit_index_close(x);
    world_close(&w);
    snprintf(command, sizeof command,
             "rm -rf %s-b && cp -a %s %s-b && cd %s-b && sed -i '2000,2040s/public-security/public-securitY/' "
             "0000000000000000.seg",
             w.dir, w.dir, w.dir, w.dir);
    assert_int_equal(system(command), 0);
    char other[128];
    snprintf(other, sizeof other, "%s-b", w.dir);
    struct audit_index *y;
    assert_int_equal(audit_index_open(other, NULL, &y, &w.d), ERR_OK);
    assert_true(audit_index_wait(y, 65536, 60000));
    audit_index_status(y, &s);
    assert_int_equal(s.discarded, 0); /* the first and last record of the part are as they were: a start sees no more */
    assert_int_equal(audit_index_check(y, NULL), 0); /* the whole comparison does */
    y = audit_index_close(y);
    snprintf(command, sizeof command, "rm -rf %s-b", w.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < n_open; i++) { /* the log's start closed them as interrupted */
        rows[open_ones[i].row].result = AUDIT_BROKEN_OFF;
        rows[open_ones[i].row].outcome = true;
        rows[open_ones[i].row].reason = "interrupted";
    }
    n_open = 0;
    index_open();
    compare_many(12);
}

static void t6_one_record_by_index(void **state)
{
    (void)state;
    struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
    for (unsigned i = 0; i < 500; i++) {
        uint64_t index = any((unsigned)world_size(&w)), written;
        buf_clear(&line);
        assert_int_equal(audit_record_line(x, index, &line), ERR_OK);
        assert_true(logline_check(buf_slice(&line), &written));
        assert_int_equal(written, index);
    }
    assert_int_equal(audit_record_line(x, world_size(&w) + 5, &line), ERR_NOT_FOUND);
    buf_done(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_folder),
        cmocka_unit_test(t1_follows_and_answers),
        cmocka_unit_test(t2_pages_while_it_grows),
        cmocka_unit_test(t3_starts_again_from_its_files),
        cmocka_unit_test(t4_damaged_files_are_built_anew),
        cmocka_unit_test(t5_another_logs_index_is_refused),
        cmocka_unit_test(t6_one_record_by_index),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

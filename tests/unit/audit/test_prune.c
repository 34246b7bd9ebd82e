/* Segments that go while something else happens: a disk that removes one and not the next, questions that are under
 * way; and questions that are under way while the index is thrown away. */
#include "tests/unit/audit/world.h"
#include "tests/unit/until.h"
#include "audit/index.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORDS = 1500, A_SEGMENT = 256, PART_WAIT = 60000 };
static const int64_t day_ms = 86400000, begin_at = 1640995200000; /* 2022-01-01 */
static const struct audit_retention policy = { .exchange_ms = AUDIT_KEEP_EXCHANGES_DAYS * 86400000ll,
                                               .other_ms = AUDIT_KEEP_OPERATIONS_DAYS * 86400000ll,
                                               .hold_from = INT64_MAX };

static struct world w;
static struct audit_index *x;

/* Three records a day. */
static int setup(void **state)
{
    (void)state;
    struct audit_record r = { .kind = AUDIT_COUNT };
    world_init(&w);
    w.c.segment_bytes = 20000; /* so that 256 records are enough */
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < RECORDS; i++) {
        r.at = begin_at + i * day_ms / 3;
        if (i % 50 != 0 && i + 1 < RECORDS)
            assert_int_equal(audit_put(w.q, &r, 0, NULL), ERR_OK);
        else
            assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
    }
    assert_int_equal(audit_index_open(w.dir, w.log, &x, &w.d), ERR_OK);
    assert_true(audit_index_wait(x, world_size(&w), PART_WAIT));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    x = audit_index_close(x);
    world_done(&w);
    return 0;
}

static struct audit_prunable plan(void)
{
    struct audit_prunable p;
    UNTIL(audit_retention_plan(x, &policy, begin_at + RECORDS * day_ms / 3, &p));
    assert_true(p.before > p.first);
    return p;
}

static uint64_t index_first(void)
{
    struct audit_index_status s;
    audit_index_status(x, &s);
    return s.first;
}

/* The disk refuses to remove the second segment, then no more: what was left is there to be asked, is planned again,
 * and goes at the next look. */
static void what_could_not_be_removed_goes_later(void **state)
{
    (void)state;
    struct audit_prunable p = plan(), again;
    struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
    char path[256], aside[256 + 8];
    assert_true(p.segments > 2);
    assert_int_equal(segment_path(w.dir, A_SEGMENT, path, sizeof path), ERR_OK);
    snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* no unlink removes a folder, whoever calls it */
    assert_int_equal(audit_prune(x, p.before, &w.d), ERR_SYS);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(index_first(), A_SEGMENT);
    assert_int_equal(audit_record_line(x, A_SEGMENT - 1, &line), ERR_NOT_FOUND);
    assert_int_equal(audit_record_line(x, A_SEGMENT, &line), ERR_OK);
    again = plan();
    assert_int_equal(again.first, A_SEGMENT);
    assert_int_equal(again.before, p.before);
    assert_int_equal(again.segments, p.segments - 1);
    assert_int_equal(audit_prune(x, p.before, &w.d), ERR_OK);
    assert_int_equal(index_first(), p.before);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(errno, ENOENT);
    buf_done(&line);
}

/* What is done when the first row is given. */
struct meanwhile {
    uint64_t before; /* prune; 0: throw the draft away */
    uint64_t n, behind;
};

static bool row_then(void *arg, const struct audit_row *row)
{
    struct meanwhile *m = arg;
    if (m->n++ == 0 && m->before > 0) {
        assert_int_equal(audit_prune(x, m->before, &w.d), ERR_OK);
    } else if (m->n == 1) {
        pthread_mutex_lock(&x->lock);
        bool drafting = x->drafting;
        if (drafting)
            x->discard_from = x->draft.h.first; /* by its own thread, which reads on without the lock */
        pthread_mutex_unlock(&x->lock);
        assert_true(drafting);
        UNTIL(atomic_load(&x->discard_from) == UINT64_MAX);
    }
    m->behind += row->index >= m->before;
    assert_true(row->index >= m->before || row->index < A_SEGMENT);
    return true;
}

static const struct audit_question all = { .after = UINT64_MAX, .limit = 1000, .oldest_first = true };

/* It passes over what is gone, and says from where on it answered. Nothing is wrong with the index, which is not thrown
 * away. */
static void a_question_goes_on_while_segments_go(void **state)
{
    (void)state;
    struct audit_found found;
    struct meanwhile m = { .before = plan().before };
    assert_int_equal(audit_find(x, &all, row_then, &m, &found, &w.d), ERR_OK);
    assert_int_equal(found.first, m.before);
    assert_true(m.behind > 0);
    assert_int_equal(atomic_load(&x->discard_from), UINT64_MAX);
}

/* A record that was read is proved also when its segment goes before its proof is made. */
static void what_goes_is_proved_by_what_was_read(void **state)
{
    (void)state;
    enum { RECORD = 3 };
    struct audit_proofs *proofs = NULL;
    struct audit_signed s;
    struct buf note = BUF_INIT(8192), line = BUF_INIT(AUDIT_RECORD_MAX), text = BUF_INIT(8192), raw = BUF_INIT(8192);
    struct sha256 path[AUDIT_PATH_MAX];
    struct json j;
    uint64_t index;
    size_t n = 0;
    assert_int_equal(audit_record_line(x, RECORD, &line), ERR_OK);
    world_covered(&w, &(struct audit_status){ 0 });
    assert_int_equal(audit_proofs_new(w.log, &note, &proofs), ERR_OK);
    assert_int_equal(audit_prune(x, plan().before, &w.d), ERR_OK);
    json_init(&j, &text);
    assert_int_equal(audit_proofs_put(proofs, RECORD, buf_slice(&line), &j), ERR_OK);
    for (struct slice rest = buf_slice(&text); slice_cut(&rest, '"').n > 0 && rest.n > 0; n++) {
        buf_clear(&raw);
        assert_int_equal(base64_read(slice_cut(&rest, '"'), &raw), ERR_OK);
        assert_int_equal(raw.n, SHA256_LEN);
        assert_true(n < AUDIT_PATH_MAX);
        memcpy(path[n].b, raw.p, SHA256_LEN);
    }
    assert_int_equal(audit_signed_read(buf_slice(&note), buf_slice(&w.vkey), &s), ERR_OK);
    assert_true(s.signature_ok);
    assert_true(audit_signed_holds(&s, buf_slice(&line), path, n, &index));
    assert_int_equal(index, RECORD);
    line.p[line.n - 3]++; /* what is not that record has no proof */
    assert_int_equal(audit_proofs_put(proofs, RECORD, buf_slice(&line), &j), ERR_CORRUPT);
    audit_proofs_free(proofs);
    buf_done(&note);
    buf_done(&line);
    buf_done(&text);
    buf_done(&raw);
}

/* What is not sealed yet is thrown away while a question reads what is (no room for the part, or built anew): an answer
 * without it would look like a whole one. */
static void a_question_tells_when_the_index_goes(void **state)
{
    (void)state;
    struct audit_question last = all;
    struct audit_found found;
    struct meanwhile m = { 0 };
    last.from = begin_at + (RECORDS - 900) * day_ms / 3; /* few enough for one answer */
    assert_int_equal(audit_find(x, &last, row_then, &m, &found, &w.d), ERR_AGAIN);
    assert_int_equal(atomic_load(&x->discard_from), UINT64_MAX);
}

/* The same while it has read one page of that end and asks for the next. */
static void a_question_tells_between_two_pages(void **state)
{
    (void)state;
    struct audit_question newest = all;
    struct audit_found found;
    struct meanwhile m = { 0 };
    struct audit_record r = { .kind = AUDIT_COUNT, .at = begin_at + RECORDS * day_ms / 3 };
    x = audit_index_close(x);
    world_close(&w);
    w.c.segment_bytes = 1 << 20;
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < 2 * A_SEGMENT; i++)
        assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
    assert_int_equal(audit_index_open(w.dir, w.log, &x, &w.d), ERR_OK);
    assert_true(audit_index_wait(x, world_size(&w), PART_WAIT));
    newest.oldest_first = false;
    assert_int_equal(audit_find(x, &newest, row_then, &m, &found, &w.d), ERR_AGAIN);
}

/* The files of the index as a start finds them; memory is short at each place in turn. It is tried again, with the
 * same files: what was loaded before that is none of those that do not fit. */
static void a_start_short_of_memory_keeps_the_index(void **state)
{
    (void)state;
    bool failed = true;
    x = audit_index_close(x);
    for (unsigned nth = 1; failed; nth++) {
        struct audit_index_status s = { 0 };
        assert_true(nth < 400);
        mem_fail_nth(nth);
        enum err e = audit_index_open(w.dir, w.log, &x, NULL);
        bool there = e == ERR_OK && audit_index_wait(x, world_size(&w), PART_WAIT);
        failed = mem_fail_nth(0) >= nth;
        if (e == ERR_OK) {
            assert_true(there);
            audit_index_status(x, &s);
        }
        x = audit_index_close(x);
        assert_int_equal(s.discarded, 0);
    }
}

static void *check_thread(void *arg)
{
    *(uint64_t *)arg = audit_index_check(x, NULL);
    return NULL;
}

/* A comparison of the index with the log has its hands on a segment that goes: a pipe in its place holds it there. What
 * is gone says nothing against the index. */
static void a_check_goes_on_while_segments_go(void **state)
{
    (void)state;
    char path[256], link_to[256 + 8];
    struct audit_prunable p = plan();
    uint64_t bad = 1;
    pthread_t thread;
    int fd = -1;
    assert_int_equal(segment_path(w.dir, 0, path, sizeof path), ERR_OK);
    snprintf(link_to, sizeof link_to, "%s.pipe", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(link(path, link_to), 0);
    struct part *first = part_ref(x->parts[0]);
    assert_int_equal(pthread_create(&thread, NULL, check_thread, &bad), 0);
    UNTIL(atomic_load(&first->refs) == 3); /* the index's, ours, and now the check's */
    assert_int_equal(audit_prune(x, p.before, &w.d), ERR_OK);
    UNTIL((fd = open(link_to, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0);
    close(fd);
    pthread_join(thread, NULL);
    part_unref(first);
    assert_int_equal(bad, UINT64_MAX);
    assert_int_equal(atomic_load(&x->discard_from), UINT64_MAX);
}

static void a_check_short_of_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (unsigned nth = 1; failed; nth++) {
        mem_fail_nth(nth);
        uint64_t bad = audit_index_check(x, NULL);
        failed = mem_fail_nth(0) >= nth;
        assert_int_equal(bad, UINT64_MAX);
    }
}

/* An index that is only being loaded takes in no part of what went meanwhile (and the thread sanitizer sees no race).
 */
static void segments_go_while_the_index_is_loaded(void **state)
{
    (void)state;
    struct audit_prunable p = { 0 };
    x = audit_index_close(x);
    assert_int_equal(audit_index_open(w.dir, w.log, &x, &w.d), ERR_OK);
    UNTIL((audit_retention_plan(x, &policy, begin_at + RECORDS * day_ms / 3, &p), p.before > p.first));
    assert_int_equal(audit_prune(x, p.before, &w.d), ERR_OK);
    assert_true(audit_index_wait(x, world_size(&w), PART_WAIT));
    assert_int_equal(index_first(), p.before);
    assert_true(x->n_parts > 0);
    assert_true(x->parts[0]->h.first >= p.before);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_check_short_of_memory),
        TEST(what_could_not_be_removed_goes_later),
        TEST(segments_go_while_the_index_is_loaded),
        TEST(a_question_goes_on_while_segments_go),
        TEST(what_goes_is_proved_by_what_was_read),
        TEST(a_question_tells_when_the_index_goes),
        TEST(a_question_tells_between_two_pages),
        TEST(a_check_goes_on_while_segments_go),
        TEST(a_start_short_of_memory_keeps_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

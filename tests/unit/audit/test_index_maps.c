/* An index that keeps the map of its newest part only: each question is answered as with all of them, none stays mapped
 * behind it, and files that go or are exchanged meanwhile are no wrong answer. */
#include "tests/unit/audit/world.h"
#include "audit/index.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS = 1800, PART_WAIT = 60000, LEAST_PARTS = 5, REBUILDS = 6 };

static struct world w;
static struct audit_index *x;

static unsigned mapped(void)
{
    char line[1024];
    unsigned n = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        n += strstr(line, w.dir) != NULL && strstr(line, ".part") != NULL;
    assert_int_equal(fclose(f), 0);
    return n;
}

static size_t parts(void)
{
    struct audit_index_status s;
    audit_index_status(x, &s);
    return s.parts;
}

/* Each exchange's outcome comes half of all records later, when the part of its intent is sealed. */
static int setup(void **state)
{
    (void)state;
    world_init(&w);
    w.c.segment_bytes = 20000; /* so that 256 records are enough */
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < RECORDS / 2; i++) {
        struct audit_record r = world_intent(i);
        assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
    }
    for (unsigned i = 0; i < RECORDS / 2; i++) {
        struct audit_record r = world_outcome(i);
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

struct seen {
    unsigned n, granted;
};

static bool see(void *arg, const struct audit_row *row)
{
    struct seen *s = arg;
    s->n++;
    s->granted += row->result == AUDIT_GRANTED && row->outcome.n > 0;
    return true;
}

static const struct audit_question all = { .kind = SLICE("intent"), .after = UINT64_MAX, .limit = 1000 };

static enum err ask(struct seen *s)
{
    struct audit_found found;
    *s = (struct seen){ 0 };
    return audit_find(x, &all, see, s, &found, &w.d);
}

static void few_are_kept(void **state)
{
    (void)state;
    struct seen s;
    assert_true(parts() >= LEAST_PARTS);
    assert_int_equal(mapped(), parts());
    pthread_mutex_lock(&x->lock);
    x->maps = 1;
    pthread_mutex_unlock(&x->lock);
    audit_index_rebuild(x);
    assert_true(audit_index_wait(x, world_size(&w), PART_WAIT)); /* and each outcome found its row in an older part */
    assert_true(parts() >= LEAST_PARTS);
    assert_int_equal(mapped(), 1);
    assert_int_equal(ask(&s), ERR_OK);
    assert_int_equal(s.n, RECORDS / 2);
    assert_int_equal(s.granted, RECORDS / 2);
    assert_int_equal(mapped(), 1);
}

/* Whoever compares an older one with its records maps it for as long: the whole check, and retention. */
static void older_ones_are_compared(void **state)
{
    (void)state;
    const _Atomic bool stop = false;
    assert_int_equal(audit_index_check(x, NULL), UINT64_MAX);
    assert_int_equal(mapped(), 1);
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < x->n_parts; i++)
        x->parts[i]->timed = false; /* as after a start */
    pthread_mutex_unlock(&x->lock);
    assert_int_equal(index_times(x, &stop), ERR_OK);
    assert_int_equal(mapped(), 1);
}

static void path_of(size_t part, char path[PATH_MAX])
{
    pthread_mutex_lock(&x->lock);
    assert_int_equal(index_part_path(x, x->parts[part]->h.first, path), ERR_OK);
    pthread_mutex_unlock(&x->lock);
}

/* Another file stands where one was, as when late outcomes are written into it: nothing is answered from it. */
static void one_that_is_exchanged(void **state)
{
    (void)state;
    char path[PATH_MAX], other[PATH_MAX], aside[PATH_MAX + 8];
    struct seen s;
    path_of(0, path);
    path_of(1, other);
    snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(link(other, path), 0);
    assert_int_equal(ask(&s), ERR_AGAIN);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(ask(&s), ERR_OK);
    assert_int_equal(s.n, RECORDS / 2);
    assert_int_equal(mapped(), 1);
}

static void one_that_is_gone_is_built_anew(void **state)
{
    (void)state;
    char path[PATH_MAX];
    struct seen s;
    path_of(0, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ask(&s), ERR_CORRUPT);
    assert_true(audit_index_wait(x, world_size(&w), PART_WAIT));
    assert_int_equal(ask(&s), ERR_OK);
    assert_int_equal(s.granted, RECORDS / 2);
    assert_int_equal(access(path, F_OK), 0);
}

/* The second part and those behind it, as when it is damaged. False: there is none. */
static bool throw_away(uint64_t *discarded, uint64_t *n)
{
    pthread_mutex_lock(&x->lock);
    *discarded = x->discarded;
    *n = x->n_parts;
    if (*n > 1)
        x->discard_from = x->parts[1]->h.first;
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    return *n > 1;
}

/* While they are thrown away, which is most of the time that the index's thread has the lock, somebody asks for all to
 * be built anew. */
static void no_rebuild_is_lost(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REBUILDS; i++) {
        uint64_t before, n;
        assert_true(throw_away(&before, &n));
        while (atomic_load(&x->discard_from) != UINT64_MAX && pthread_mutex_trylock(&x->lock) == 0)
            pthread_mutex_unlock(&x->lock);
        audit_index_rebuild(x);
        assert_true(audit_index_wait(x, world_size(&w), PART_WAIT));
        pthread_mutex_lock(&x->lock);
        bool all_went = x->discarded - before >= n;
        pthread_mutex_unlock(&x->lock);
        assert_true(all_went);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_kept),          cmocka_unit_test(older_ones_are_compared),
        cmocka_unit_test(one_that_is_exchanged), cmocka_unit_test(one_that_is_gone_is_built_anew),
        cmocka_unit_test(no_rebuild_is_lost),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

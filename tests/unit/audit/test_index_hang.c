/* A disk that hangs under the search index: who asks how far it is or what of the log may go, or has it
 * built anew, waits for no disk. */
#include "tests/unit/audit/world.h"
#include "tests/unit/until.h"
#include "audit/index.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RECORDS = 65536 + 512, LONG_MS = 2000 };

static struct world w;
static struct audit_index *x;

static void fill(void)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        struct audit_record r = world_intent(i + 1);
        enum err e;
        while ((e = audit_put(w.q, &r, 0, NULL)) == ERR_AGAIN) {
            audit_kick(w.q);
            audit_poll(w.q);
            usleep(200);
        }
        assert_int_equal(e, ERR_OK);
    }
    audit_kick(w.q);
    UNTIL(world_size(&w) >= RECORDS);
}

static int64_t thread_cpu_ns(pthread_t t)
{
    clockid_t id;
    struct timespec used = { 0 };

    assert_int_equal(pthread_getcpuclockid(t, &id), 0);
    assert_int_equal(clock_gettime(id, &used), 0);
    return used.tv_sec * (int64_t)1000000000 + used.tv_nsec;
}

/* The thread of the index holds its lock and does nothing: it waits for the disk. One that is only slow, as a
 * sanitizer makes it, holds the lock as long while it still joins records. */
static bool is_hung(void)
{
    int64_t used = thread_cpu_ns(x->thread);

    for (unsigned i = 0; i < 30; i++) {
        if (pthread_mutex_trylock(&x->lock) == 0) {
            pthread_mutex_unlock(&x->lock);
            return false;
        }
        usleep(10000);
    }
    return thread_cpu_ns(x->thread) == used;
}

/* The disk is back, with an error; it may hang once more before the part is another one. */
static bool comes_back(const char *path)
{
    struct audit_index_status s;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    audit_index_status(x, &s);
    return s.indexed >= RECORDS;
}

/* A pipe that nobody reads stands in the place of the part's file: its thread waits in open(), as on a dead disk. */
static void nobody_waits(void **state)
{
    char path[256];
    struct audit_index_status s = { 0 };
    struct audit_prunable p = { .first = 1, .before = 1 };
    int64_t began;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    world_init(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    snprintf(path, sizeof path, "%s/index", w.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/index/%016d.part.new", w.dir, 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    fill();
    assert_int_equal(audit_index_open(w.dir, w.log, &x, &w.d), ERR_OK);
    UNTIL(is_hung()); /* in the seal of its first part */
    began = clock_mono_ms();
    audit_index_status(x, &s);
    audit_index_rebuild(x);
    assert_false(audit_retention_plan(x, &(struct audit_retention){ .hold_from = INT64_MAX }, clock_wall_ms(), &p));
    assert_in_range(clock_mono_ms() - began, 0, LONG_MS / 2);
    assert_int_equal(p.before, p.first);
    assert_int_equal(s.failed, UINT64_MAX);
    assert_int_equal(s.parts, 0);
    UNTIL(comes_back(path));
    audit_index_status(x, &s);
    assert_in_range(s.indexed, RECORDS, world_size(&w));
    x = audit_index_close(x);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nobody_waits) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

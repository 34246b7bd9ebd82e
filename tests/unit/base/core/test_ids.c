/* UUIDv7: layout, order within a thread, no repeats between threads or across a fork. */
#include "unit.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t stamp(struct uuid u)
{
    uint64_t ms = 0;

    for (int i = 0; i < 6; i++)
        ms = ms << 8 | u.b[i];
    return ms;
}

static void layout(void **state)
{
    unsigned and_bits = 0xff, or_bits = 0;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct uuid u = uuid_v7(0x017F22E279B0 + i); /* the time of RFC 9562 appendix A.6 */
        assert_true(stamp(u) == 0x017F22E279B0u + (unsigned)i);
        assert_int_equal(u.b[6] >> 4, 7);
        assert_int_equal(u.b[8] >> 6, 2);
        and_bits &= u.b[15];
        or_bits |= u.b[15];
    }
    assert_int_equal(and_bits, 0);
    assert_int_equal(or_bits, 0xff);
    assert_int_equal(stamp(uuid_v7(-5)), 0);
}

static void text(void **state)
{
    static const char *const bad[] = { "017F22E2-79B0-7CC3-98C4-DC0C0C07398",  "017F22E2-79B0-7CC3-98C4-DC0C0C07398FF",
                                       "017F22E2-79B0-7CC3-98C4+DC0C0C07398F", "{17F22E2-79B0-7CC3-98C4-DC0C0C07398}",
                                       "017F22E279B07CC398C4DC0C0C07398F",     "",
                                       "017F22E2-79B0-7CC3-98C4-DC0C0C07398G", "017F22E27-9B0-7CC3-98C4-DC0C0C07398F" };
    struct uuid u;
    char out[UUID_TEXT];

    (void)state;
    assert_true(uuid_read(SLICE("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &u));
    assert_true(stamp(u) == 0x017F22E279B0);
    uuid_text(u, out);
    assert_string_equal(out, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    for (size_t i = 0; i < COUNT(bad); i++)
        ROW_TRUE(!uuid_read(slice_of(bad[i]), &u), bad[i]);
    assert_true(stamp(u) == 0x017F22E279B0);
}

static void ordered(void **state)
{
    struct uuid before = uuid_v7(5000000), next;

    (void)state;
    for (int i = 0; i < 20000; i++) { /* more than the counter holds in a millisecond; the clock steps back too */
        next = uuid_v7(i % 3 ? 5000000 : 4999990);
        assert_true(memcmp(before.b, next.b, 16) < 0);
        before = next;
    }
    assert_true(stamp(uuid_v7(1000)) == 1000); /* set back for good: followed */
}

enum { THREADS = 4, EACH = 20000 };

static void *draw(void *arg)
{
    struct uuid *out = arg;

    for (int i = 0; i < EACH; i++)
        out[i] = uuid_v7(123456789);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static void threads(void **state)
{
    struct uuid *all = mem_array(THREADS * EACH, sizeof *all);
    pthread_t t[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, draw, all + i * EACH), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    qsort(all, THREADS * EACH, sizeof *all, compare);
    for (int i = 1; i < THREADS * EACH; i++)
        assert_true(compare(&all[i - 1], &all[i]) != 0);
    mem_free(all);
}

/* The child must not draw the bytes that its parent's pool still holds. */
static void forked(void **state)
{
    struct uuid mine, theirs = { { 0 } };
    int fd[2], status;
    pid_t child;

    (void)state;
    uuid_v7(1);
    assert_int_equal(pipe(fd), 0);
    child = fork();
    if (child == 0) {
        theirs = uuid_v7(777777777);
        _exit(write(fd[1], &theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
    }
    mine = uuid_v7(777777777);
    assert_int_equal(read(fd[0], &theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(memcmp(mine.b + 8, theirs.b + 8, 8) != 0);
    close(fd[0]);
    close(fd[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(layout), cmocka_unit_test(text), cmocka_unit_test(ordered),
                                        cmocka_unit_test(threads), cmocka_unit_test(forked) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

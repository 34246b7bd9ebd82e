/* One line of JSON an event, the level filter, long and ill-formed values; stderr is a pipe here. */
#include "unit.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static int stderr_was, ends[2];

static void catch_begin(void)
{
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    stderr_was = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
}

static void catch_end(struct buf *out)
{
    ssize_t n;

    dup2(stderr_was, STDERR_FILENO);
    close(stderr_was);
    close(ends[1]);
    buf_clear(out);
    while ((n = read(ends[0], buf_reserve(out, 4096), 4096)) > 0)
        out->n += (size_t)n;
    close(ends[0]);
}

static void lines(void **state)
{
    struct buf out = BUF_INIT(1 << 20);
    struct slice rest, time;
    int64_t ms;

    (void)state;
    log_set_level(LOG_INFO);
    catch_begin();
    log_event(LOG_DEBUG, "hidden", NULL);
    log_event(LOG_INFO, "started", "pid", "12", "note", "a\"b\n", NULL);
    log_event(LOG_ERROR, "bad", "bytes", "\xff", "none", (const char *)NULL, NULL);
    catch_end(&out);
    rest = buf_slice(&out);
    assert_true(slice_starts(rest, SLICE("{\"time\":\"")));
    time = slice_sub(rest, 9, 29);
    assert_true(clock_parse(time, &ms));
    assert_true(clock_wall_ms() - ms < 60000);
    assert_text(slice_sub(slice_cut(&rest, '\n'), 38, 999),
                "\",\"level\":\"info\",\"event\":\"started\",\"pid\":\"12\",\"note\":\"a\\\"b\\n\"}");
    assert_text(slice_sub(slice_cut(&rest, '\n'), 38, 999),
                "\",\"level\":\"error\",\"event\":\"bad\",\"bytes\":{\"b64\":\"/w==\"},\"none\":null}");
    assert_int_equal(rest.n, 0);
    buf_done(&out);
}

static void levels(void **state)
{
    struct buf out = BUF_INIT(1 << 20);

    (void)state;
    log_set_level(LOG_DEBUG);
    catch_begin();
    log_event(LOG_DEBUG, "shown", NULL);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "hidden", NULL);
    log_set_level(LOG_INFO);
    catch_end(&out);
    assert_non_null(memmem(out.p, out.n, "shown", 5));
    assert_null(memmem(out.p, out.n, "hidden", 6));
    buf_done(&out);
}

/* Too much to say: values are cut between code points, fields that do not fit are left out, the line stays whole. */
static void long_values(void **state)
{
    struct buf out = BUF_INIT(1 << 20);
    char much[4000], controls[600];

    (void)state;
    for (size_t i = 0; i + 3 < sizeof much; i += 3)
        memcpy(much + i, "张", 4);
    memset(controls, 1, sizeof controls - 1);
    controls[sizeof controls - 1] = '\0';
    catch_begin();
    log_event(LOG_INFO, "long", "a", much, "b", controls, "c", controls, "d", controls, "last", "x", NULL);
    catch_end(&out);
    assert_true(out.n < 8192);
    assert_true(utf8_valid(buf_slice(&out)));
    assert_true(slice_ends(buf_slice(&out), SLICE("\"last\":\"x\"}\n")));
    assert_null(memmem(out.p, out.n, "\"d\":", 4));
    assert_int_equal(slice_find(buf_slice(&out), '\n'), out.n - 1);
    buf_done(&out);
}

static void *speak(void *arg)
{
    for (int i = 0; i < 50; i++)
        log_event(LOG_INFO, "tick", "who", (const char *)arg, NULL);
    return NULL;
}

static void threads(void **state)
{
    struct buf out = BUF_INIT(1 << 20);
    struct slice rest;
    pthread_t a, b;
    int n = 0;

    (void)state;
    catch_begin();
    assert_int_equal(pthread_create(&a, NULL, speak, (void *)(uintptr_t) "a"), 0);
    assert_int_equal(pthread_create(&b, NULL, speak, (void *)(uintptr_t) "b"), 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    catch_end(&out);
    rest = buf_slice(&out);
    for (; rest.n > 0; n++) {
        struct slice line = slice_cut(&rest, '\n');
        assert_true(slice_starts(line, SLICE("{\"time\":")) && slice_ends(line, SLICE("\"}")) && line.n < 100);
    }
    assert_int_equal(n, 100);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lines), cmocka_unit_test(levels),
                                        cmocka_unit_test(long_values), cmocka_unit_test(threads) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

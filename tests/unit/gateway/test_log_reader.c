/* The reading thread on a real log: what it brings, in which order, how many may wait, and that nothing is lost when it
 * ends. Where a test needs it to stand still it waits at a gate before each job. */
#include "tests/unit/gateway/control_world.h"

#include "tests/unit/until.h"

#include <poll.h>
#include <pthread.h>

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_shut, gate_reached;

static void at_gate(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_reached = true;
    pthread_cond_broadcast(&gate_moved);
    while (gate_shut)
        pthread_cond_wait(&gate_moved, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static void gate_set(bool shut)
{
    pthread_mutex_lock(&gate_lock);
    gate_shut = shut;
    gate_reached = gate_reached && !shut;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_lock);
}

static void gate_wait(void)
{
    pthread_mutex_lock(&gate_lock);
    while (!gate_reached)
        pthread_cond_wait(&gate_moved, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static enum err slow_resource(const struct audit_log *l, struct slice path, bool entries, struct buf *out)
{
    at_gate();
    return audit_resource(l, path, entries, out);
}
#define audit_resource slow_resource
#include "gateway/log_reader.c"
#undef audit_resource

enum { JOBS = LOG_WAITING_MAX + 8 };
static struct node *n;
static struct loop *loop;
static struct log_reader *reader;
static struct log_job jobs[JOBS];
static unsigned came, awaited;
static struct log_job *order[JOBS];

static int open_world(void **state)
{
    if (node_open(state) != 0)
        return -1;
    n = *state;
    loop = loop_new();
    reader = log_reader_new();
    gate_set(false);
    return loop == NULL || reader == NULL;
}

static int close_world(void **state)
{
    gate_set(false); /* a test that ended early may have left it shut */
    log_reader_free(reader);
    loop_free(loop);
    for (unsigned i = 0; i < JOBS; i++)
        buf_done(&jobs[i].out);
    return node_close(state);
}

static void on_done(struct log_job *j)
{
    order[came++] = j;
    if (came == awaited)
        loop_stop(loop);
}

static enum err put(unsigned i, const char *path, bool entries)
{
    jobs[i] =
        (struct log_job){ .back = loop, .done = on_done, .path = slice_of(path), .entries = entries, .log = n->log };
    return log_reader_put(reader, &jobs[i]);
}

static void bring(unsigned many)
{
    awaited = many;
    if (came < many)
        loop_run(loop);
    assert_int_equal(came, many);
}

static void begin(void)
{
    came = 0;
    node_story(n);
}

static void what_it_brings(void **state)
{
    static const struct {
        const char *path;
        bool entries;
        enum err e;
    } rows[] = {
        { "checkpoint", false, ERR_OK },
        { "tile/0/000.p/1", false, ERR_OK },
        { "tile/entries/000.p/1", true, ERR_OK },
        { "tile/entries/000.p/1", false, ERR_DENIED },
        { "tile/0/999", false, ERR_NOT_FOUND },
        { "checkpoint.witnessed", false, ERR_NOT_FOUND },
        { "../keys/log.key", true, ERR_NOT_FOUND },
        { "", false, ERR_NOT_FOUND },
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct audit_status s;

    (void)state;
    begin();
    UNTIL((audit_status(n->log, &s), s.checkpoint_size > 0));
    for (unsigned i = 0; i < ROWS; i++)
        assert_int_equal(put(i, rows[i].path, rows[i].entries), ERR_OK);
    bring(ROWS);
    for (unsigned i = 0; i < ROWS; i++) {
        assert_ptr_equal(order[i], &jobs[i]); /* in the order of their coming */
        assert_int_equal(jobs[i].e, rows[i].e);
        assert_int_equal(jobs[i].out.n > 0, rows[i].e == ERR_OK);
    }
    assert_int_equal(jobs[1].out.n, SHA256_LEN);
    assert_true(slice_starts(buf_slice(&jobs[0].out), audit_origin(n->log)));
}

static void a_proof(void **state)
{
    (void)state;
    begin();
    jobs[0] = (struct log_job){
        .back = loop,
        .done = on_done,
        .log = n->log,
        .proof = true,
        .ask = { .exchange = uuid_v7(1), .any = true, .intent = AUDIT_UNKNOWN, .outcome = AUDIT_UNKNOWN }
    };
    assert_int_equal(log_reader_put(reader, &jobs[0]), ERR_OK);
    bring(1);
    assert_int_equal(jobs[0].e, ERR_NOT_FOUND);
}

static void so_many_may_wait_and_no_more(void **state)
{
    (void)state;
    begin();
    gate_set(true);
    assert_int_equal(put(0, "checkpoint", false), ERR_OK);
    gate_wait(); /* it is at work on the first */
    for (unsigned i = 1; i <= LOG_WAITING_MAX; i++)
        assert_int_equal(put(i, "checkpoint", false), ERR_OK);
    assert_int_equal(put(LOG_WAITING_MAX + 1, "checkpoint", false), ERR_BUSY);
    gate_set(false);
    bring(LOG_WAITING_MAX + 1);
    for (unsigned i = 0; i <= LOG_WAITING_MAX; i++)
        assert_ptr_equal(order[i], &jobs[i]);
    assert_int_equal(put(LOG_WAITING_MAX + 1, "checkpoint", false), ERR_OK); /* there is room again */
    bring(LOG_WAITING_MAX + 2);
}

static void *free_reader(void *arg)
{
    (void)arg;
    log_reader_free(reader);
    reader = NULL;
    return NULL;
}

/* The end waits for what waits, and takes nothing new. */
static void the_end(void **state)
{
    pthread_t t;
    enum err e = ERR_OK;

    (void)state;
    begin();
    gate_set(true);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(put(i, "checkpoint", false), ERR_OK);
    gate_wait();
    assert_int_equal(pthread_create(&t, NULL, free_reader, NULL), 0);
    for (unsigned i = 5; e == ERR_OK && i < JOBS; i++) { /* until it was told */
        poll(NULL, 0, 5);
        e = put(i, "checkpoint", false);
        awaited = i;
    }
    assert_int_equal(e, ERR_BUSY);
    gate_set(false);
    pthread_join(t, NULL);
    bring(awaited);
    for (unsigned i = 0; i < awaited; i++)
        assert_ptr_equal(order[i], &jobs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_it_brings, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_proof, open_world, close_world),
        cmocka_unit_test_setup_teardown(so_many_may_wait_and_no_more, open_world, close_world),
        cmocka_unit_test_setup_teardown(the_end, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A start that has acts for the log: they are in it when the start is over, and a log that takes none ends the start
 * with the reason, however often it says so. */
#include "tests/unit/gateway/control_world.h"

#include "audit/io.h"
#include <errno.h>

static struct audit_io disk; /* the system's, while there is room */
static _Atomic bool full;

static ssize_t write_or_full(void *self, int fd, const void *p, size_t n, off_t at)
{
    errno = ENOSPC;
    return full ? -1 : audit_io_system.write(self, fd, p, n, at);
}

static ssize_t durable_or_full(void *self, int fd, const void *p, size_t n, off_t at)
{
    errno = ENOSPC;
    return full ? -1 : audit_io_system.write_durable(self, fd, p, n, at);
}

/* As a process leaves it that ended between an act's commit and its record. */
static void leave_act(struct node *n)
{
    struct audit_record r = { .at = clock_wall_ms(),
                              .author = SLICE("spiffe://data.city.example/dept/bureau/person/security"),
                              .verb = SLICE("grant.revoke"),
                              .object = SLICE("g1"),
                              .content = SLICE("{}") };
    struct buf line = BUF_INIT(1 << 16);
    struct sql_tx *tx;

    assert_int_equal(sql_begin(n->control->sql, true, &tx, NULL), ERR_OK);
    assert_int_equal(audit_outbox_add(tx, &r, true, &line), ERR_OK);
    assert_int_equal(sql_commit(tx, NULL), ERR_OK);
    buf_done(&line);
    n->control = control_free(n->control);
    n->log = audit_close(n->log);
}

static enum err start_again(struct node *n)
{
    struct audit_config c = { .dir = path_join(&n->a, n->dir, "log"),
                              .origin = SLICE("data.city.example/log/node-1"),
                              .signer = ed25519_signer(n->key),
                              .epoch = 1,
                              .segment_bytes = 1 << 20,
                              .reserve_bytes = 1 << 16,
                              .io = &disk };
    struct control_config cc = { .settings_path = path_join(&n->a, n->dir, "sluice.yaml"),
                                 .settings = &n->settings,
                                 .gate = &n->gate };

    memset(c.salt_key, 0xaa, KEY_LEN);
    memset(c.name_key, 0xbb, KEY_LEN);
    if (n->log == NULL) {
        assert_int_equal(audit_open(&c, &n->log, &n->d), ERR_OK);
        assert_int_equal(audit_start(n->log), ERR_OK);
    }
    assert_int_equal(certs_ca_open(n->dir, "data.city.example", &cc.ca, &n->d), ERR_OK);
    cc.log = n->log;
    return control_new(&cc, &n->control, &n->d);
}

static uint64_t last_act(const struct node *n)
{
    struct audit_status s;

    audit_status(n->log, &s);
    return s.last_act;
}

static void what_the_log_lacks_is_in_it_after_the_start(void **state)
{
    struct node *n = *state;
    uint64_t before = last_act(n);

    disk = audit_io_system;
    leave_act(n);
    assert_int_equal(start_again(n), ERR_OK);
    assert_int_equal(last_act(n), before + 1);
}

static void a_log_that_takes_nothing_ends_the_start(void **state)
{
    struct node *n = *state;
    uint64_t before = last_act(n);

    disk = audit_io_system;
    disk.write = write_or_full;
    disk.write_durable = durable_or_full;
    leave_act(n);
    full = true;
    assert_int_equal(start_again(n), ERR_FULL);
    assert_int_equal(last_act(n), before);
    assert_non_null(strstr(n->d.first->what[LANG_EN], "make room on its disk"));
    full = false;
    assert_int_equal(start_again(n), ERR_OK);
    assert_int_equal(last_act(n), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_log_lacks_is_in_it_after_the_start, node_open, node_close),
        cmocka_unit_test_setup_teardown(a_log_that_takes_nothing_ends_the_start, node_open, node_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What could not be read of another authority is looked at again until it can be, though its file stays the same: a
 * mode that is mended, or a want of descriptors that is over, changes none. */
#include "tests/unit/gateway/control_world.h"

/* A file of another authority that cannot be read: told, and nothing is held up by it. */
static unsigned unreadable;

static enum err reload_or_tell(const struct certs_anchor *anchors, size_t n, const struct certs_trust *before,
                               bool own_list_too, struct certs_trust **ret, struct diags *d)
{
    for (unsigned i = 0; i < unreadable; i++)
        (void)!diag_add(d, ERR_DENIED, 0, 0, "cannot open other/crl.pem", "无法打开 other/crl.pem");
    return certs_trust_reload(anchors, n, before, own_list_too, ret, d);
}
#define certs_trust_reload reload_or_tell
#include "gateway/trust_load.c" /* in place of the library's */
#undef certs_trust_reload

static uint64_t generation(const struct node *n)
{
    return n->control->snapshot->trust_generation;
}

static int begin(void **state)
{
    unreadable = 0;
    return node_open(state);
}

/* The file is another, and cannot be read. */
static void change(struct node *n, unsigned faults)
{
    unreadable = faults;
    assert_int_equal(control_crl_write(n->control, NULL), ERR_OK);
    reload_changed(n->control);
    assert_string_equal(n->control->reload_fault[LANG_EN], "cannot open other/crl.pem");
}

static void what_can_be_read_again_is_in_force_again(void **state)
{
    struct node *n = *state;
    uint64_t before;

    change(n, 1);
    before = generation(n);
    unreadable = 0;
    reload_changed(n->control);
    assert_int_equal(generation(n), before + 1);
    assert_string_equal(n->control->reload_fault[LANG_EN], "");
}

/* Each part of it at once. */
static void what_is_mended_first_waits_for_nothing(void **state)
{
    struct node *n = *state;
    uint64_t before;

    change(n, 2);
    before = generation(n);
    unreadable = 1;
    reload_changed(n->control);
    assert_int_equal(generation(n), before + 1);
    assert_string_not_equal(n->control->reload_fault[LANG_EN], "");
}

/* An act loads trust too, and tells nobody what it lacked. */
static void what_an_act_could_not_read_is_looked_at_again(void **state)
{
    struct node *n = *state;
    struct certs_trust *t = NULL;
    uint64_t before = generation(n);

    unreadable = 1;
    assert_int_equal(control_trust_load(n->control, false, &t, &n->d), ERR_OK);
    act_publish_trust(n->control, t);
    assert_int_equal(generation(n), before + 1);
    unreadable = 0;
    reload_changed(n->control);
    assert_int_equal(generation(n), before + 2);
}

/* The workers are left alone while nothing is new. */
static void what_stays_as_it_is_is_published_once(void **state)
{
    struct node *n = *state;
    uint64_t before;

    change(n, 1);
    before = generation(n);
    for (int i = 0; i < 3; i++)
        reload_changed(n->control);
    assert_int_equal(generation(n), before);
    assert_string_not_equal(n->control->reload_fault[LANG_EN], "");
    unreadable = 0;
    reload_changed(n->control);
    before = generation(n);
    for (int i = 0; i < 3; i++)
        reload_changed(n->control);
    assert_int_equal(generation(n), before);
}

#define TRUST_TEST(name) cmocka_unit_test_setup_teardown(name, begin, node_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TRUST_TEST(what_can_be_read_again_is_in_force_again),
        TRUST_TEST(what_is_mended_first_waits_for_nothing),
        TRUST_TEST(what_an_act_could_not_read_is_looked_at_again),
        TRUST_TEST(what_stays_as_it_is_is_published_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

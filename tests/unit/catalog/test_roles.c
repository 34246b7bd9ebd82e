/* Roles: every pair of them in both orders against the rule of separation, stated here a second time in words. */
#include "shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char *const names[] = { "provider-officer", "consumer-officer", "bureau-approver", "auditor",
                                     "system-admin",     "security-admin",   "audit-admin" };

/* o: may be one person; x: may not. Order of names. */
static const char *const together[] = {
    "oooxxxx", /* provider officer */
    "oooxxxx", /* consumer officer */
    "oooxxxx", /* bureau approver */
    "xxxoxxo", /* auditor: and audit administrator */
    "xxxxoxx", /* system administrator */
    "xxxxxox", /* security administrator */
    "xxxoxxo", /* audit administrator */
};

static void test_pairs(void **state)
{
    struct shelf *s = *state;
    struct slice wang = SLICE("bureau/wang");

    shelf_put(s, arena_printf(&s->a, "%sbureau: true\n", shelf_department(s, "bureau", 2)));
    shelf_put(s, "kind: Person\nid: bureau/wang\nname: w\n");
    for (unsigned i = 0; i < 7; i++)
        for (unsigned k = 0; k < 7; k++) {
            unsigned held;
            enum err want = together[i][k] == 'o' ? ERR_OK : ERR_CONFLICT;

            assert_int_equal(catalog_role_set(s->tx, wang, 1u << i, true, &s->d), ERR_OK);
            enum err e = catalog_role_set(s->tx, wang, 1u << k, true, &s->d);
            if (e != want)
                fail_msg("%s and %s: %s", names[i], names[k], err_name(e));
            assert_int_equal(catalog_roles(s->tx, wang, &held), ERR_OK);
            assert_int_equal(held, e == ERR_OK ? 1u << i | 1u << k : 1u << i);
            assert_int_equal(catalog_role_set(s->tx, wang, 1u << i, false, &s->d), ERR_OK);
            assert_int_equal(catalog_role_set(s->tx, wang, 1u << k, false, &s->d), ERR_OK);
            assert_int_equal(catalog_roles(s->tx, wang, &held), ERR_OK);
            assert_int_equal(held, 0);
        }
}

static void test_who(void **state)
{
    struct shelf *s = *state;
    unsigned held = 99;

    assert_int_equal(catalog_role_set(s->tx, SLICE("education/nobody"), ROLE_AUDITOR, true, &s->d), ERR_NOT_FOUND);
    assert_int_equal(catalog_roles(s->tx, SLICE("education/nobody"), &held), ERR_OK);
    assert_int_equal(held, 0);
    assert_int_equal(catalog_role_set(s->tx, SLICE("education/nobody"), 3, true, &s->d), ERR_INVALID);
    assert_int_equal(catalog_role_set(s->tx, SLICE("education/nobody"), 0, true, &s->d), ERR_INVALID);
    assert_int_equal(catalog_role_set(s->tx, SLICE("education/nobody"), 128, true, &s->d), ERR_INVALID);
}

/* Approvers are of the bureau's department; one of another may lose the role, not gain it. */
static void test_bureau(void **state)
{
    struct shelf *s = *state;
    struct slice wang = SLICE("education/wang");
    unsigned held = 99;

    shelf_put(s, arena_printf(&s->a, "%sbureau: true\n", shelf_department(s, "bureau", 1)));
    shelf_put(s, shelf_department(s, "education", 2));
    shelf_put(s, "kind: Person\nid: education/wang\nname: w\n");
    assert_int_equal(catalog_role_set(s->tx, wang, ROLE_PROVIDER_OFFICER, true, &s->d), ERR_OK);
    assert_int_equal(catalog_role_set(s->tx, wang, ROLE_BUREAU_APPROVER, true, &s->d), ERR_CONFLICT);
    assert_true(shelf_said(s, "bureau approvers are people of the data bureau's department: education/wang is of "));
    assert_int_equal(catalog_roles(s->tx, wang, &held), ERR_OK);
    assert_int_equal(held, ROLE_PROVIDER_OFFICER);
    assert_int_equal(catalog_role_set(s->tx, wang, ROLE_BUREAU_APPROVER, false, &s->d), ERR_OK);
}

static enum err moved(struct shelf *s, enum catalog_kind k, struct slice id, enum catalog_move move)
{
    struct catalog_act act = { .move = move, .by = SLICE("bureau/su"), .now = 1 };
    struct catalog_entry entry;

    diags_init(&s->d, &s->a);
    return catalog_move(s->tx, k, id, &act, &s->a, &entry, &s->d);
}

/* Whoever is the last that can activate people stays able to, by whichever way it would end. */
static void test_last_security_administrator(void **state)
{
    struct shelf *s = *state;
    struct slice su = SLICE("bureau/su"), wang = SLICE("education/wang");
    const char *bureau = shelf_department(s, "bureau", 1);
    enum catalog_put put;
    uint64_t version;

    shelf_put(s, bureau);
    shelf_put(s, shelf_department(s, "education", 2));
    shelf_put(s, "kind: Person\nid: bureau/su\nname: s\n");
    shelf_put(s, "kind: Person\nid: education/wang\nname: w\n");
    assert_int_equal(catalog_role_set(s->tx, su, ROLE_SECURITY_ADMIN, true, &s->d), ERR_OK);
    assert_int_equal(catalog_role_set(s->tx, su, ROLE_SECURITY_ADMIN, false, &s->d), ERR_OK); /* cannot act yet */
    assert_int_equal(catalog_role_set(s->tx, su, ROLE_SECURITY_ADMIN, true, &s->d), ERR_OK);
    assert_int_equal(moved(s, CATALOG_DEPARTMENT, SLICE("bureau"), CATALOG_ACTIVATE), ERR_OK);
    assert_int_equal(moved(s, CATALOG_PERSON, su, CATALOG_ACTIVATE), ERR_OK);
    for (unsigned others = 0; others < 4;
         others++) { /* another one with the role, then active, then their department */
        enum err want = others < 3 ? ERR_CONFLICT : ERR_OK;
        if (others == 1)
            assert_int_equal(catalog_role_set(s->tx, wang, ROLE_SECURITY_ADMIN, true, &s->d), ERR_OK);
        if (others == 2)
            assert_int_equal(moved(s, CATALOG_PERSON, wang, CATALOG_ACTIVATE), ERR_OK);
        if (others == 3)
            assert_int_equal(moved(s, CATALOG_DEPARTMENT, SLICE("education"), CATALOG_ACTIVATE), ERR_OK);
        assert_int_equal(moved(s, CATALOG_PERSON, su, CATALOG_DISABLE), want);
        assert_true(want == ERR_OK || shelf_said(s, "no security administrator would be left"));
        if (want == ERR_OK)
            assert_int_equal(moved(s, CATALOG_PERSON, su, CATALOG_ACTIVATE), ERR_OK);
        assert_int_equal(moved(s, CATALOG_DEPARTMENT, SLICE("bureau"), CATALOG_DISABLE), want);
        if (want == ERR_OK)
            assert_int_equal(moved(s, CATALOG_DEPARTMENT, SLICE("bureau"), CATALOG_ACTIVATE), ERR_OK);
        if (others < 3) /* what becomes the bureau has to be activated anew */
            assert_int_equal(shelf_try(s, arena_printf(&s->a, "%sbureau: true\n", bureau), &put, &version), want);
        assert_int_equal(catalog_role_set(s->tx, su, ROLE_SECURITY_ADMIN, false, &s->d), want);
    }
}

static void test_names(void **state)
{
    unsigned role;

    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        assert_true(catalog_role_of(slice_of(names[i]), &role));
        assert_int_equal(role, 1u << i);
        assert_string_equal(catalog_role_name(role, LANG_ZH, false), names[i]);
        assert_string_not_equal(catalog_role_name(role, LANG_ZH, true), catalog_role_name(role, LANG_EN, true));
    }
    assert_false(catalog_role_of(SLICE("root"), &role));
    assert_string_equal(catalog_role_name(3, LANG_EN, true), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pairs, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_who, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_bureau, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_last_security_administrator, shelf_open_store, shelf_close),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

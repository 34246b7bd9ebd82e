/* Items: one row for each rule, applied to the item list of the sketch. */
#include "shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
    const char *item, *says;
} rows[] = {
    { "{name: a, title: a, type: C}", NULL },
    { "{name: aB_9-x, title: {zh: 甲, en: a}, type: N, precision: 2}", NULL },
    { "{name: 1a, title: a, type: C}", "cannot be the name of an item" },
    { "{name: _items, title: a, type: C}", "cannot be the name of an item" },
    { "{name: 姓名, title: a, type: C}", "cannot be the name of an item" },
    { "{name: 'a b', title: a, type: C}", "cannot be the name of an item" },
    { "{name: '', title: a, type: C}", "'name' must have 1 to 64" },
    { "{name: name, title: a, type: C}", "item \"name\" is there already" },
    { "{title: a, type: C}", "'name' is missing" },
    { "{name: a, type: C}", "'title' is missing" },
    { "{name: a, title: a}", "'type' is missing" },
    { "{name: a, title: a, type: c}", "'type' must be" },
    { "{name: a, title: a, type: A}", "'type' must be" },
    { "{name: a, title: a, type: C, level: 0}", "'level' must lie between 1 and 4" },
    { "{name: a, title: a, type: C, level: 5}", "'level' must lie between 1 and 4" },
    { "{name: a, title: a, type: C, length: 0}", "'length' must lie between" },
    { "{name: a, title: a, type: C, precision: 2}", "precision is not for an item of type C" },
    { "{name: a, title: a, type: Y, precision: 4}", NULL },
    { "{name: a, title: a, type: C, check: id-cart}", "there is no check \"id-cart\"; use one of: id-card" },
    { "{name: a, title: a, type: C, check: uscc}", NULL },
    { "{name: a, title: a, type: L, check: uscc}", "check is not for an item of type L" },
    { "{name: a, title: a, type: C, mask: any-name}", NULL }, /* masks are known to translate */
    { "{name: a, title: a, type: C, mask: 'A B'}", "'mask' must be an identifier" },
    { "{name: a, title: a, type: list, mask: name, items: [{name: b, title: b, type: C}]}",
      "mask is not for an item of type list" },
    { "{name: a, title: a, type: C, format_in: [yyyy]}", "format_in is not for an item of type C" },
    { "{name: a, title: a, type: T, format_in: yyyyMMddHHmmss}", NULL },
    { "{name: a, title: a, type: C, codes: gb2261}", NULL },
    { "{name: a, title: a, type: D, codes: gb2261}", "codes is not for an item of type D" },
    { "{name: a, title: a, type: C, compare: exact}", "'compare' is not supported yet" },
    { "{name: a, title: a, type: list}", "a list needs its items" },
    { "{name: a, title: a, type: list, items: []}", "1 to 256 items" },
    { "{name: a, title: a, type: C, items: [{name: b, title: b, type: C}]}", "items is not for an item of type C" },
    { "{name: a, title: a, type: list, items: [{name: name, title: b, type: C}]}", NULL }, /* unique in its own list */
    { "{name: a, title: a, type: list, items: [{name: b, title: b, type: C}, {name: b, title: b, type: C}]}",
      "item \"b\" is there already" },
    { "{name: a, title: a, type: list, empty_as: ['-'], items: [{name: b, title: b, type: C}]}",
      "empty_as is not for" },
    { "{name: a, title: a, type: list, items: [{name: b, title: b, type: list, items: [{name: c, title: c, type: list, "
      "items: "
      "[{name: d, title: d, type: C}]}]}]}",
      NULL },
    { "{name: a, title: a, type: list, items: [{name: b, title: b, type: list, items: [{name: c, title: c, type: list, "
      "items: "
      "[{name: d, title: d, type: list, items: [{name: e, title: e, type: C}]}]}]}]}",
      "at most 4 deep" },
    { "just-a-text", "keys with values are expected here" },
    { "{name: a, title: a, type: C, lenght: 5}", "did you mean 'length'" },
};

static void test_rows(void **state)
{
    struct shelf *s = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char items[1000];
        struct catalog_manifest m;

        snprintf(items, sizeof items, "  - %s\nconnector:", rows[i].item);
        enum err e = shelf_read(s, shelf_sketch_with(s, "connector:", items), &m);
        if (rows[i].says == NULL ? e != ERR_OK : e == ERR_OK || !shelf_said(s, rows[i].says))
            fail_msg("%s: %s:\n%s", rows[i].item, err_name(e), shelf_problems(s));
        for (const struct diag *d = s->d.first; d; d = d->next)
            assert_int_equal(d->line, 17); /* the item's own line */
    }
}

static void test_too_many(void **state)
{
    struct shelf *s = *state;
    struct buf text = BUF_INIT(1 << 16);
    struct catalog_manifest m;

    for (int n = 252; n <= 253; n++) { /* with the four of the sketch: 256, 257 */
        buf_clear(&text);
        for (int i = 0; i < n; i++)
            buf_printf(&text, "  - {name: x%d, title: x, type: C}\n", i);
        buf_puts(&text, "connector:");
        buf_putc(&text, '\0');
        enum err e = shelf_read(s, shelf_sketch_with(s, "connector:", text.p), &m);
        assert_int_equal(e, n == 252 ? ERR_OK : ERR_INVALID);
    }
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_too_many, shelf_open, shelf_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

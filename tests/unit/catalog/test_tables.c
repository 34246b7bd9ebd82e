/* The embedded code tables: they can be read, and each has the marks that the checks look for. A slip in the YAML fails
 * here and not at a department's desk. */
#include "catalog/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct doc *tables(struct arena *a)
{
    const struct doc *t = NULL;

    arena_init(a, 1 << 20);
    assert_int_equal(catalog_tables(a, &t), ERR_OK);
    assert_int_equal(t->type, DOC_MAP);
    return t;
}

static void test_sections(void **state)
{
    static const char *const sections[] = { "class", "format", "share", "mode", "open", "update" };
    struct arena a;
    const struct doc *t = tables(&a);

    (void)state;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const struct doc *s = doc_get(t, sections[i]);
        if (s == NULL || s->type != DOC_MAP || s->count == 0)
            fail_msg("no section %s", sections[i]);
        DOC_EACH(one, s)
        {
            const struct doc *title = i == 0 ? doc_get(one, "title") : one;
            if (!ident_valid(one->key) || doc_text(title, "zh").n == 0 || doc_text(title, "en").n == 0)
                fail_msg("%s.%.*s: no identifier, or not in both languages", sections[i], SLICE_ARG(one->key));
        }
    }
    assert_true(doc_get(t, "unconditional_words")->count > 0);
    arena_done(&a);
}

static void test_classes(void **state)
{
    struct arena a;
    const struct doc *t = tables(&a);
    unsigned n = 0;

    (void)state;
    DOC_EACH(class_, doc_get(t, "class"))
    {
        struct slice digit = doc_text(class_, "digit");
        assert_true(digit.n == 1 && digit.p[0] == (char)('1' + n));
        assert_true(doc_get(class_, "names") != NULL);
        assert_true(doc_flag(class_, "any") || doc_get(class_, "names")->count > 0);
        n++;
    }
    assert_int_equal(n, 3);
    arena_done(&a);
}

/* Every mode that a format names is a mode of the platform, and every format has one. */
static void test_formats(void **state)
{
    struct arena a;
    const struct doc *t = tables(&a);

    (void)state;
    DOC_EACH(format, doc_get(t, "format"))
    {
        const struct doc *modes = doc_get(format, "modes"), *types = doc_get(format, "types");
        assert_true(modes != NULL && modes->count > 0 && types != NULL);
        assert_true(doc_flag(format, "any") || types->count > 0);
        DOC_EACH(mode, modes)
        {
            assert_true(doc_flag(doc_get_slice(doc_get(t, "mode"), mode->text), "platform"));
        }
    }
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Records written while their values come: the same answer as when nothing does, whatever breaks the line. A body that
 * comes byte by byte has no whole members, so that each record is written from its values; that is the other way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "answer_fixture.h"

#define MANIFEST(success)                                                                                              \
    "id: public-security/line\nconnector: {kind: http}\nformat: {class: interface, type: json}\n"                      \
    "request: {params: []}\nitems:\n"                                                                                  \
    "  - {name: id, type: C, length: 8}\n"                                                                             \
    "  - {name: name, type: C, length: 4, mask: name}\n"                                                               \
    "  - {name: since, type: D}\n"                                                                                     \
    "  - {name: a_name_of_twenty_one, type: M}\n"                                                                      \
    "  - {name: status, type: C, codes: ['1', '2']}\n"                                                                 \
    "  - {name: n, type: I}\n"                                                                                         \
    "response:\n" success "  records: /rows\n"                                                                         \
    "  map: {id: id, name: name, since: since, a_name_of_twenty_one: a_name_of_twenty_one, status: st, n: n}\n"
enum { ALL = 63, NAME = 2 };

#define OUT(records, count) "{\"resource\":\"public-security/line\",\"records\":[" records "],\"count\":" #count "}"
#define NOTE                "\"a_name_of_twenty_one\":\"0123456789 0123456789 0123456789 0123456789\""

static const struct row {
    const char *rows, *out;
    uint64_t wanted, clear;
    unsigned findings;
} rows[] = {
    /* the whole line, its parts, nothing */
    { "{\"id\":\"1\",\"name\":\"ab\",\"since\":\"2024-02-29\"," NOTE "}",
      OUT("{\"id\":\"1\",\"name\":\"ab\",\"since\":\"2024-02-29\"," NOTE "}", 1), ALL, ALL, 0 },
    { "{\"id\":\"1\"},{\"since\":\"2024-02-29\"},{" NOTE "},{}",
      OUT("{\"id\":\"1\"},{\"since\":\"2024-02-29\"},{" NOTE "},{}", 4), ALL, ALL, 0 },
    { "{\"id\":\"1\",\"name\":\"ab\",\"since\":\"2024-02-29\"}", OUT("{\"id\":\"1\",\"since\":\"2024-02-29\"}", 1), 5,
      0, 0 },
    { "{\"id\":\"1\",\"name\":\"ab\"}", OUT("{}", 1), 4, 0, 0 },
    { "{\"id\":\"\",\"name\":\"\"}", OUT("{\"id\":\"\",\"name\":\"\"}", 1), ALL, ALL, 0 },
    { "{\"id\":1.5e3,\"name\":true}", OUT("{\"id\":\"1.5e3\",\"name\":\"true\"}", 1), ALL, ALL, 0 },
    /* broken by the order, first, in the middle, last */
    { "{\"name\":\"ab\",\"id\":\"1\"}", OUT("{\"id\":\"1\",\"name\":\"ab\"}", 1), ALL, ALL, 0 },
    { "{\"id\":\"1\",\"since\":\"2024-02-29\",\"name\":\"ab\"," NOTE "}",
      OUT("{\"id\":\"1\",\"name\":\"ab\",\"since\":\"2024-02-29\"," NOTE "}", 1), ALL, ALL, 0 },
    { "{" NOTE ",\"id\":\"1\"},{\"id\":\"2\"}", OUT("{\"id\":\"1\"," NOTE "},{\"id\":\"2\"}", 2), ALL, ALL, 0 },
    /* by a value that needs more: escapes, a mask, codes, a number, null, a date that is none, one of another form,
       length */
    { "{\"id\":\"1\",\"name\":\"a\\u0022\",\"since\":\"2024-02-29\"}",
      OUT("{\"id\":\"1\",\"name\":\"a\\\"\",\"since\":\"2024-02-29\"}", 1), ALL, ALL, 0 },
    { "{\"id\":\"1\",\"name\":\"abc\",\"since\":\"2024-02-29\"}",
      OUT("{\"id\":\"1\",\"name\":\"a*c\",\"since\":\"2024-02-29\"}", 1), ALL, ALL & ~NAME, 0 },
    { "{\"id\":\"1\",\"st\":\"2\",\"n\":007}", NULL, ALL, ALL, 0 },
    { "{\"id\":\"1\",\"st\":\"2\",\"n\":\"007\"}", OUT("{\"id\":\"1\",\"status\":\"2\",\"n\":7}", 1), ALL, ALL, 0 },
    { "{\"id\":\"1\",\"st\":\"3\",\"n\":\"x\"}", OUT("{\"id\":\"1\",\"status\":null,\"n\":null}", 1), ALL, ALL, 2 },
    { "{\"id\":\"1\",\"name\":null,\"since\":\"2024-02-29\"}",
      OUT("{\"id\":\"1\",\"name\":null,\"since\":\"2024-02-29\"}", 1), ALL, ALL, 0 },
    { "{\"id\":\"1\",\"since\":\"2023-02-29\"," NOTE "}", OUT("{\"id\":\"1\",\"since\":null," NOTE "}", 1), ALL, ALL,
      1 },
    { "{\"id\":\"1\",\"since\":\"20240229\"," NOTE "}", OUT("{\"id\":\"1\",\"since\":\"2024-02-29\"," NOTE "}", 1), ALL,
      ALL, 0 },
    { "{\"id\":\"123456789\",\"name\":\"ab\"}", OUT("{\"id\":null,\"name\":\"ab\"}", 1), ALL, ALL, 1 },
    { "{\"id\":\"1\",\"name\":\"欧阳建国\"}", OUT("{\"id\":\"1\",\"name\":\"欧阳建国\"}", 1), ALL, ALL, 0 },
    { "{\"id\":\"1\",\"name\":\"欧阳建国军\"}", OUT("{\"id\":\"1\",\"name\":null}", 1), ALL, ALL, 1 },
    /* by what is no scalar, or comes twice; unknown things break nothing */
    { "{\"id\":\"1\",\"name\":[\"a\",\"b\"],\"since\":\"2024-02-29\"}",
      OUT("{\"id\":\"1\",\"name\":null,\"since\":\"2024-02-29\"}", 1), ALL, ALL, 1 },
    { "{\"id\":\"1\",\"name\":{\"id\":\"2\"},\"since\":\"2024-02-29\"}",
      OUT("{\"id\":\"1\",\"name\":null,\"since\":\"2024-02-29\"}", 1), ALL, ALL, 1 },
    { "{\"id\":\"1\",\"x\":{\"id\":\"2\"},\"y\":[1,{\"name\":\"n\"}],\"z\":null,\"name\":\"ab\"}",
      OUT("{\"id\":\"1\",\"name\":\"ab\"}", 1), ALL, ALL, 0 },
    { "{\"id\":\"1\",\"name\":\"ab\",\"id\":\"1\"}", NULL, ALL, ALL, 0 },
};

static void expect(struct answer *f, const struct row *row, struct slice body, size_t step)
{
    enum err e = answer_run(f, body, step, TRANSLATE_JSON, 200, "application/json", row->wanted, row->clear);

    if ((e == ERR_OK) != (row->out != NULL))
        fail_msg("%s by %zu: %s", row->rows, step, reason_info(f->outcome.reason)->code);
    if (row->out == NULL)
        return;
    if (!slice_is(buf_slice(&f->out), row->out))
        fail_msg("%s by %zu:\n got %.*s\nwant %s", row->rows, step, SLICE_ARG(buf_slice(&f->out)), row->out);
    if (f->outcome.findings != row->findings)
        fail_msg("%s by %zu: %u findings", row->rows, step, (unsigned)f->outcome.findings);
}

static struct slice body_of(const struct row *row, struct buf *to)
{
    buf_clear(to);
    buf_puts(to, "{\"rows\":[");
    buf_puts(to, row->rows);
    buf_puts(to, "]");
    buf_puts(to, ",\"padding\":\"so that the last member of the last record has as much behind it as any other\"}");
    return buf_slice(to);
}

static void test_rows(void **state)
{
    struct buf text = BUF_INIT(4096);
    struct answer f;

    (void)state;
    assert_int_equal(answer_compile(&f, MANIFEST("")), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice body = body_of(&rows[i], &text);
        for (size_t step = body.n; step > 0; step -= step > 9 ? 7 : 1)
            expect(&f, &rows[i], body, step);
        expect(&f, &rows[i], body, 0); /* with names in the order of before, and not */
        expect(&f, &rows[(i + 1) % 3], body_of(&rows[(i + 1) % 3], &text), 0);
        expect(&f, &rows[i], body_of(&rows[i], &text), 0);
    }
    buf_done(&text);
    answer_done(&f);
}

/* A result code among the items of the only record: a text that is none of its values. */
static void test_code(void **state)
{
    static const struct row with_code[] = {
        { "{\"code\":0,\"id\":\"1\",\"name\":\"ab\"}", OUT("{\"id\":\"1\",\"name\":\"ab\"}", 1), ALL, ALL, 0 },
        { "{\"id\":\"1\",\"code\":\"0\",\"name\":\"ab\"}", OUT("{\"id\":\"1\",\"name\":\"ab\"}", 1), ALL, ALL, 0 },
        { "{\"id\":\"1\",\"name\":\"ab\",\"code\":\"0\"}", OUT("{\"id\":\"1\",\"name\":\"ab\"}", 1), ALL, ALL, 0 },
        { "{\"id\":\"1\",\"name\":\"ab\",\"code\":\"9\"}", NULL, ALL, ALL, 0 },
        { "{\"code\":0}", OUT("{}", 1), ALL, ALL, 0 },
    };
    struct buf text = BUF_INIT(4096);
    struct answer f;

    (void)state;
    assert_int_equal(answer_compile(&f, MANIFEST("  success: {at: /rows/code, ok: ['0']}\n")), ERR_OK);
    for (size_t i = 0; i < sizeof with_code / sizeof with_code[0]; i++) {
        struct slice body = body_of(&with_code[i], &text);
        for (size_t step = body.n; step > 0; step -= step > 9 ? 7 : 1)
            expect(&f, &with_code[i], body, step);
    }
    buf_done(&text);
    answer_done(&f);
}

/* ---- both ways alike ---- */

static const char *const values[] = {
    "\"1\"",
    "\"ab\"",
    "\"2024-02-29\"",
    "\"2023-02-30\"",
    "\"\"",
    "null",
    "7",
    "[]",
    "{}",
    "[\"1\"]",
    "\"\\n\"",
    "\"欧阳\"",
    "\"0123456789 0123456789 0123456789\"",
    "\"2\"",
    "true",
    "{\"id\":\"5\"}",
};
static const char *const names[] = { "id", "name", "since", "a_name_of_twenty_one", "st", "n", "other" };

static uint32_t draw(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 16) % n;
}

/* Members mostly in their order, mostly without gaps, with white space now and then. */
static void random_record(struct buf *to, uint32_t *seed)
{
    bool first = true;

    buf_putc(to, '{');
    for (uint32_t i = 0; i < 7; i++) {
        if (draw(seed, 6) == 0)
            continue;
        const char *name = names[draw(seed, 12) == 0 ? draw(seed, 7) : i];
        buf_printf(to, "%s\"%s\"%s:%s%s", first ? "" : ",", name, draw(seed, 20) == 0 ? " " : "",
                   draw(seed, 20) == 0 ? "\n" : "",
                   values[draw(seed, 3) == 0 ? draw(seed, 16)
                          : i < 3            ? i
                                             : 12]);
        first = false;
    }
    buf_putc(to, '}');
}

static void test_alike(void **state)
{
    struct buf text = BUF_INIT(65536), slow = BUF_INIT(65536);
    uint32_t seed = 1;
    struct answer f;
    unsigned good = 0;

    (void)state;
    assert_int_equal(answer_compile(&f, MANIFEST("")), ERR_OK);
    for (int i = 0; i < 3000; i++) {
        buf_clear(&text);
        buf_clear(&slow);
        buf_puts(&text, "{\"rows\":[");
        for (uint32_t n = draw(&seed, 5), k = 0; k <= n; k++) {
            buf_puts(&text, k > 0 ? "," : "");
            random_record(&text, &seed);
        }
        buf_puts(&text, "]}");
        uint64_t wanted = draw(&seed, 3) == 0 ? draw(&seed, 64) : ALL, clear = draw(&seed, 64);
        struct slice type = SLICE("application/json");
        enum err by_one = answer_run(&f, buf_slice(&text), 1, TRANSLATE_JSON, 200, type.p, wanted, clear);
        uint64_t findings = f.outcome.findings;
        buf_put(&slow, buf_slice(&f.out));
        enum err whole = answer_run(&f, buf_slice(&text), 0, TRANSLATE_JSON, 200, type.p, wanted, clear);
        if ((by_one == ERR_OK) != (whole == ERR_OK) ||
            (whole == ERR_OK && (findings != f.outcome.findings || !slice_eq(buf_slice(&slow), buf_slice(&f.out)))))
            fail_msg("%.*s:\nby one %.*s\n whole %.*s", SLICE_ARG(buf_slice(&text)), SLICE_ARG(buf_slice(&slow)),
                     SLICE_ARG(buf_slice(&f.out)));
        good += whole == ERR_OK;
    }
    assert_true(good > 1000);
    buf_done(&text);
    buf_done(&slow);
    answer_done(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_code),
                                               cmocka_unit_test(test_alike) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

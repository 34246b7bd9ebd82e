/* What a provider may not do to a run: size of a record, of a list, of an answer, rows, documents in documents, refused
 * allocations; and that memory does not follow the length of the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/translate/answer_fixture.h"

static const char manifest[] = "id: d/r\n"
                               "format: {class: interface, type: xml}\n"
                               "items: [{name: a, type: C}, {name: l, type: list, items: [{name: b, type: C}]}]\n"
                               "connector: {kind: http, endpoint: 'http://x.example/'}\n"
                               "request: {params: []}\n"
                               "response:\n"
                               "  nested: [/in]\n"
                               "  records: /x/y\n"
                               "  map: {a: a, l: {at: l/e, map: {b: '@b'}}}\n";

static long memory_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (f != NULL)
        (void)fclose(f);
    return kib;
}

static const struct flood {
    const char *what, *head, *unit, *tail;
    size_t times, step;
    uint64_t max_rows;
    enum reason want;
    uint64_t rows;
} floods[] = {
    { "records", "<x>", "<y><a>0123456789</a><l><e b='1'/><e b='2'/></l></y>", "</x>", 2000000, 16384, 0,
      REASON_GRANTED, 2000000 },
    { "too many rows", "<x>", "<y/>", "</x>", 1000, 16384, 999, REASON_PROVIDER_TOO_LARGE, 999 },
    { "just enough rows", "<x>", "<y/>", "</x>", 999, 16384, 999, REASON_GRANTED, 999 },
    { "a long value", "<x><y><a>", "0123456789abcdef", "</a></y></x>", 65537, 16384, 0, REASON_PROVIDER_TOO_LARGE, 0 },
    { "a value of 1 MiB", "<x><y><a>", "0123456789abcdef", "</a></y></x>", 65536, 16384, 0, REASON_GRANTED, 1 },
    { "a long list", "<x><y><l>", "<e b='0123456789'/>", "</l></y></x>", 60000, 16384, 0, REASON_PROVIDER_TOO_LARGE,
      0 },
    { "a long list of nothing", "<x><y><l>", "<e/>", "</l></y></x>", 600000, 16384, 0, REASON_PROVIDER_TOO_LARGE, 0 },
    { "unmapped text", "<x><y><z>", "0123456789abcdef", "</z></y></x>", 6000000, 16384, 0, REASON_GRANTED, 1 },
    { "section in pieces of 300", "<in><![CDATA[<x>", "<y><a>0123456789</a></y>", "</x>]]></in>", 500000, 300, 0,
      REASON_GRANTED, 500000 },
    { "escaped in pieces of 300", "<in>&lt;x&gt;", "&lt;y&gt;&lt;a&gt;0&lt;/a&gt;&lt;/y&gt;", "&lt;/x&gt;</in>", 200000,
      300, 0, REASON_GRANTED, 200000 },
    { "documents without end", "", "<in><![CDATA[", "", 100, 16384, 0, REASON_PROVIDER_TOO_LARGE, 0 },
    { "depth in a document", "<in><![CDATA[", "<x>", "", 10000, 16384, 0, REASON_PROVIDER_TOO_LARGE, 0 },
    { "attribute in a document", "<in><![CDATA[<x y='", "0123456789", "", 10000000, 16384, 0, REASON_PROVIDER_TOO_LARGE,
      0 },
};

static struct translate_outcome run_flood(const struct translate_plan *p, const struct flood *f, struct buf *out)
{
    struct translate_want w = { .form = TRANSLATE_NDJSON, .items = { 3 }, .max_rows = f->max_rows };
    struct translate_run *run = NULL;
    size_t unit = strlen(f->unit), n = f->step / unit > 0 ? f->step / unit : 1, left = f->times;
    char *bytes = mem_alloc(n * unit);

    buf_clear(out);
    assert_int_equal(translate_open(p, &w, 200, (struct slice){ NULL, 0 }, out, &run), ERR_OK);
    for (size_t i = 0; i < n; i++)
        memcpy(bytes + i * unit, f->unit, unit);
    enum err e = translate_feed(run, slice_of(f->head));
    while (left > 0 && e == ERR_OK) {
        size_t now = left < n ? left : n;
        e = translate_feed(run, slice_make(bytes, now * unit));
        left -= now;
        if (out->n > (2u << 20))
            fail_msg("%s: %zu bytes out of %zu in", f->what, out->n, n * unit);
        buf_clear(out);
    }
    if (e == ERR_OK)
        e = translate_feed(run, slice_of(f->tail));
    if (e == ERR_OK)
        e = translate_finish(run);
    struct translate_outcome o = *translate_outcome(run);
    assert_true((e == ERR_OK) == (o.reason == REASON_GRANTED));
    assert_int_not_equal(translate_feed(run, SLICE("x")), ERR_OK); /* nothing after the end */
    (void)translate_close(run);
    mem_free(bytes);
    return o;
}

static void test_floods(void **state)
{
    struct answer f;

    (void)state;
    assert_int_equal(answer_compile(&f, manifest), ERR_OK);
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        long before = memory_kib();
        struct translate_outcome o = run_flood(f.plan, &floods[i], &f.out);
        long grown = memory_kib() - before;
        print_message("  %-28s %-20s %8llu rows %+6ld KiB  %s\n", floods[i].what, reason_info(o.reason)->code,
                      (unsigned long long)o.rows, grown, o.place);
        assert_int_equal(o.reason, floods[i].want);
        assert_true(o.rows == floods[i].rows);
        if (grown > 16384)
            fail_msg("%s: grew by %ld KiB", floods[i].what, grown);
    }
    answer_done(&f);
}

/* Each allocation of a run failing in turn: an error with a reason, no leak, nothing released. libxml2's own are not
 * ours to fail. */
static void test_no_memory(void **state)
{
    static const char in[] = "<in><![CDATA[<x><y><a>1</a><l><e b='1'/></l></y></x>]]></in>";
    struct answer f;
    unsigned failed = 0;

    (void)state;
    assert_int_equal(answer_compile(&f, manifest), ERR_OK);
    for (size_t nth = 1; nth < 100; nth++) {
        buf_done(&f.out);
        (void)mem_fail_nth(nth);
        enum err e = answer_run(&f, slice_of(in), 0, TRANSLATE_JSON, 200, NULL, 3, 0);
        (void)mem_fail_nth(0);
        if (e == ERR_OK)
            break;
        failed++;
        assert_false(f.outcome.settled && !f.finished);
        assert_true(f.outcome.reason == REASON_OVERLOADED || f.outcome.reason == REASON_INTERNAL);
        f.outcome.reason = REASON_INTERNAL;
    }
    print_message("  %u allocations\n", failed);
    assert_true(failed >= 5 && failed < 99);
    answer_done(&f);
}

/* Records that others wrote, through a mapping with lists in lists: pieces make no difference, and nothing is lost. */
static void test_corpus(void **state)
{
    static const char bills[] =
        "id: gov/bills\n"
        "format: {type: xml}\n"
        "items:\n"
        "  - {name: date, type: D}\n"
        "  - {name: text, type: C}\n"
        "  - {name: committees, type: list, items: [{name: code, type: C}, {name: name, type: C}]}\n"
        "connector: {kind: http, endpoint: 'http://x.example/'}\n"
        "request: {params: []}\n"
        "response:\n"
        "  records: /billStatus/bill/actions/item\n"
        "  map: {date: actionDate, text: text, committees: {at: committee, map: {code: systemCode, name: name}}}\n";
    const char *corpus = getenv("SLUICE_CORPUS"), *source = getenv("SLUICE_SOURCE");
    struct buf file = BUF_INIT(16 << 20), whole = BUF_INIT(64 << 20);
    char path[1024];
    struct answer f;

    (void)state;
    if (corpus != NULL && corpus[0] != 0)
        snprintf(path, sizeof path, "%s/xml-records/BILLSTATUS-114hr22.xml", corpus);
    else
        snprintf(path, sizeof path, "%s/../shared/data/xml-records/BILLSTATUS-114hr22.xml", source ? source : ".");
    if (file_read(path, &file, NULL) != ERR_OK) {
        buf_done(&file);
        print_message("  skipped: no corpus; set SLUICE_CORPUS\n");
        skip();
    }
    size_t items = 0;
    const char *end = memmem(file.p, file.n, "</actions>", 10); /* of the bill; other lists follow */
    for (const char *at = file.p; end != NULL && (at = memmem(at, (size_t)(end - at), "<actionDate>", 12)) != NULL;
         at += 12)
        items++;
    assert_int_equal(answer_compile(&f, bills), ERR_OK);
    assert_int_equal(answer_run(&f, buf_slice(&file), 0, TRANSLATE_JSON, 200, NULL, 7, 0), ERR_OK);
    print_message("  %llu rows of %zu, %zu bytes\n", (unsigned long long)f.outcome.rows, items, f.out.n);
    assert_true(items > 10 && f.outcome.rows == items && f.outcome.findings == 0);
    buf_put(&whole, buf_slice(&f.out));
    assert_int_equal(answer_run(&f, buf_slice(&file), 1, TRANSLATE_JSON, 200, NULL, 7, 0), ERR_OK);
    assert_true(slice_eq(buf_slice(&whole), buf_slice(&f.out)));
    buf_done(&whole);
    buf_done(&file);
    answer_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_floods), cmocka_unit_test(test_no_memory),
                                        cmocka_unit_test(test_corpus) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

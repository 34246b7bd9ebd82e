/* Providers that speak JSON: manifest and answer in, records out, however the answer is split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "translate/translate.h"

static const struct translate_item member_items[] = {
    { .name = { "relation", 8 }, .type = 'C', .length = 2, .level = 1 },
    { .name = { "age", 3 }, .type = 'I', .level = 1 },
};
static const struct translate_item items[] = {
    { .name = { "permit", 6 }, .type = 'C', .length = 20, .level = 2 },
    { .name = { "name", 4 }, .type = 'C', .length = 50, .level = 3, .mask = { "name", 4 } },
    { .name = { "since", 5 }, .type = 'D', .level = 2 },
    { .name = { "amount", 6 }, .type = 'N', .level = 2 },
    { .name = { "big", 3 }, .type = 'I', .level = 1 },
    { .name = { "valid", 5 }, .type = 'L', .level = 1 },
    { .name = { "members", 7 }, .type = 'A', .level = 2, .items = member_items, .n_items = 2 },
};
enum { N_ITEMS = sizeof items / sizeof items[0] };

#define HEAD "connector: {kind: http}\nformat: {class: interface, type: json}\nrequest: {params: []}\nresponse:\n"
#define MAP                                                                                                            \
    "  map: {permit: permitNo, name: holder/name, since: since, amount: amt, big: big, valid: ok, members: {at: "      \
    "family/list, map: {relation: rel, age: /age}}}\n"
static const char rows_manifest[] = HEAD "  success: {at: /code, ok: ['0'], not_found: ['1404'], message: /message}\n"
                                         "  records: /data/rows\n" MAP;
static const char root_manifest[] = HEAD "  records: ''\n" MAP;
static const char plain_manifest[] = HEAD "  records: /rows\n" MAP;
static const char index_manifest[] = HEAD "  records: /rows\n  map: {permit: ids/1, name: '@n', since: 'a~1b/x~0y', "
                                          "amount: m/0/0, big: m/1/1, valid: v, members: "
                                          "{at: g, map: {relation: '0', age: '1'}}}\n";

#define OUT(records, count) "{\"resource\":\"public-security/permit\",\"records\":[" records "],\"count\":" #count "}"

static const struct answer {
    const char *manifest, *body, *out; /* out NULL: fails */
    enum reason reason;
    const char *code;
    unsigned findings;
    bool not_found;
} answers[] = {
    { rows_manifest,
      "{\"code\":0,\"message\":\"ok\",\"data\":{\"total\":2,\"rows\":[{\"permitNo\":\"0012\",\"holder\":{\"name\":"
      "\"\\u6b27\\u9633\\u5efa\"},\"since\":\"20240229\",\"amt\":1.50,\"big\":9007199254740993,\"ok\":true,\"family\":{"
      "\"list\":[{\"rel\":\"01\",\"age\":7},{\"rel\":\"02\",\"age\":\"8\"}]},\"secret\":\"x\"},{\"permitNo\":7}]}}",
      OUT("{\"permit\":\"0012\",\"name\":\"欧*建\",\"since\":\"2024-02-29\",\"amount\":\"1.50\",\"big\":"
          "\"9007199254740993\","
          "\"valid\":true,\"members\":[{\"relation\":\"01\",\"age\":7},{\"relation\":\"02\",\"age\":8}]},{\"permit\":"
          "\"7\","
          "\"members\":[]}",
          2),
      REASON_GRANTED, "0", 0, false },
    /* the code behind the records */
    { rows_manifest, "{\"data\":{\"rows\":[{\"permitNo\":\"a\"}]},\"code\":\"0\"}",
      OUT("{\"permit\":\"a\",\"members\":[]}", 1), REASON_GRANTED, "0", 0, false },
    /* one object where an array was meant: still one record */
    { rows_manifest, "{\"code\":0,\"data\":{\"rows\":{\"permitNo\":\"a\"}}}",
      OUT("{\"permit\":\"a\",\"members\":[]}", 1), REASON_GRANTED, "0", 0, false },
    /* absent, empty, null */
    { rows_manifest,
      "{\"code\":0,\"data\":{\"rows\":[{\"permitNo\":\"\",\"since\":\"\",\"holder\":{\"name\":null},\"family\":null}]}"
      "}",
      OUT("{\"permit\":\"\",\"name\":null,\"since\":null,\"members\":[]}", 1), REASON_GRANTED, "0", 0, false },
    /* not what the item is: null and a finding */
    { rows_manifest,
      "{\"code\":0,\"data\":{\"rows\":[{\"permitNo\":{\"a\":1},\"big\":1.5,\"since\":\"x\",\"ok\":\"perhaps\"}]}}",
      OUT("{\"permit\":null,\"since\":null,\"big\":null,\"valid\":null,\"members\":[]}", 1), REASON_GRANTED, "0", 4,
      false },
    /* several values where one is declared are not chosen from */
    { rows_manifest, "{\"code\":0,\"data\":{\"rows\":[{\"permitNo\":[\"a\",\"b\"]}]}}",
      OUT("{\"permit\":null,\"members\":[]}", 1), REASON_GRANTED, "0", 1, false },
    /* no rows, said in each honest way */
    { rows_manifest, "{\"code\":0,\"data\":{\"total\":0,\"rows\":[]}}", OUT("", 0), REASON_GRANTED, "0", 0, false },
    { rows_manifest, "{\"code\":1404,\"message\":\"\",\"data\":null}", OUT("", 0), REASON_GRANTED, "1404", 0, true },
    { plain_manifest, "{\"rows\":[]}", OUT("", 0), REASON_GRANTED, "", 0, false },
    /* and in dishonest ones */
    { rows_manifest, "{\"code\":0,\"data\":null}", NULL, REASON_PROVIDER_MALFORMED, "0", 0, false },
    { rows_manifest, "{\"code\":0}", NULL, REASON_PROVIDER_MALFORMED, "0", 0, false },
    { rows_manifest, "{\"data\":{\"rows\":[]}}", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { rows_manifest, "{\"code\":null,\"data\":{\"rows\":[]}}", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { rows_manifest, "{\"code\":1900,\"data\":{\"rows\":[]}}", NULL, REASON_PROVIDER_REFUSED, "1900", 0, false },
    { rows_manifest, "{\"code\":0.0,\"data\":{\"rows\":[]}}", NULL, REASON_PROVIDER_REFUSED, "0.0", 0, false },
    { rows_manifest, "{\"code\":[],\"data\":{\"rows\":[]}}", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { rows_manifest, "{\"code\":1404,\"data\":{\"rows\":[{\"permitNo\":\"a\"}]}}", NULL, REASON_PROVIDER_MALFORMED,
      "1404", 0, false },
    { rows_manifest, "{\"code\":0,\"data\":{\"rows\":\"none\"}}", NULL, REASON_PROVIDER_MALFORMED, "0", 0, false },
    { plain_manifest, "{}", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { plain_manifest, "{\"error\":\"database is down\"}", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { plain_manifest, "[]", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { plain_manifest, "\"rows\"", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    /* not JSON, or not all of it */
    { plain_manifest, "", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { plain_manifest, "{\"rows\":[{\"permitNo\":\"a\"}]", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { plain_manifest, "{\"rows\":[]}x", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { plain_manifest, "{\"rows\":[{\"permitNo\":\"a\",\"permitNo\":\"b\"}]}", NULL, REASON_PROVIDER_MALFORMED, "", 0,
      false },
    { plain_manifest, "<html></html>", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    /* the root as the record, or as the array of them */
    { root_manifest, "{\"permitNo\":\"a\"}", OUT("{\"permit\":\"a\",\"members\":[]}", 1), REASON_GRANTED, "", 0,
      false },
    { root_manifest, "[{\"permitNo\":\"a\"},{\"permitNo\":\"b\"}]",
      OUT("{\"permit\":\"a\",\"members\":[]},{\"permit\":\"b\",\"members\":[]}", 2), REASON_GRANTED, "", 0, false },
    { root_manifest, "[]", OUT("", 0), REASON_GRANTED, "", 0, false },
    { root_manifest, "null", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    { root_manifest, "7", NULL, REASON_PROVIDER_MALFORMED, "", 0, false },
    /* places in arrays, names that XML could not have */
    { index_manifest,
      "{\"rows\":[{\"ids\":[\"a\",\"b\",\"c\"],\"@n\":\"张三\",\"a/"
      "b\":{\"x~y\":\"2024-02-29\"},\"m\":[[1.0,2],[3,4]],\"g\":[[\"01\",7],[\"02\"]]}]}",
      OUT("{\"permit\":\"b\",\"name\":\"张*\",\"since\":\"2024-02-29\",\"amount\":\"1.0\",\"big\":4,\"members\":[{"
          "\"relation\":\"01\",\"age\":7},{\"relation\":\"02\"}]}",
          1),
      REASON_GRANTED, "", 0, false },
};

struct run {
    struct arena arena;
    struct diags diags;
    const struct translate_plan *plan;
    struct buf out;
};

static void setup(struct run *r, const char *manifest)
{
    const struct doc *all = NULL;
    struct buf text = BUF_INIT(65536);

    *r = (struct run){ .out = BUF_INIT(8 << 20) };
    arena_init(&r->arena, 8 << 20);
    diags_init(&r->diags, &r->arena);
    assert_int_equal(doc_read_yaml(slice_of(manifest), &r->arena, &r->diags, &all), ERR_OK);
    enum err e = translate_compile(all->first, items, N_ITEMS, SLICE("public-security/permit"), 1, &r->arena, &r->diags,
                                   &r->plan);
    diags_print(&r->diags, LANG_EN, &text);
    if (e != ERR_OK)
        fail_msg("%s\n%.*s", manifest, SLICE_ARG(buf_slice(&text)));
    buf_done(&text);
}

static void teardown(struct run *r)
{
    arena_done(&r->arena);
    buf_done(&r->out);
}

/* The whole answer in pieces of `step`; what was said of it at the end. */
static struct translate_outcome answer_as(struct run *r, int status, struct slice type, struct slice body, size_t step,
                                          enum translate_form form)
{
    struct translate_want want = { .form = form, .items = { (1 << N_ITEMS) - 1 } };
    struct translate_run *run = NULL;
    struct translate_outcome o;
    enum err e = ERR_OK;

    buf_clear(&r->out);
    assert_int_equal(translate_open(r->plan, &want, status, type, &r->out, &run), ERR_OK);
    for (size_t i = 0; i < body.n && e == ERR_OK; i += step)
        e = translate_feed(run, slice_sub(body, i, step));
    if (e == ERR_OK)
        e = translate_finish(run);
    o = *translate_outcome(run);
    assert_int_equal(e == ERR_OK, o.reason == REASON_GRANTED);
    run = translate_close(run);
    return o;
}

static struct translate_outcome answer(struct run *r, struct slice body, size_t step, enum translate_form form)
{
    return answer_as(r, 200, SLICE("application/json"), body, step, form);
}

static void expect_answer(struct run *r, const struct answer *w, size_t step)
{
    struct translate_outcome o = answer(r, slice_of(w->body), step, TRANSLATE_JSON);

    if (o.reason != w->reason || strcmp(o.code, w->code) != 0)
        fail_msg("%s by %zu: %s code %s at %s", w->body, step, reason_info(o.reason)->code, o.code, o.place);
    if (w->out == NULL)
        return;
    if (!slice_is(buf_slice(&r->out), w->out))
        fail_msg("%s by %zu:\n got %.*s\nwant %s", w->body, step, SLICE_ARG(buf_slice(&r->out)), w->out);
    if (o.findings != w->findings || o.not_found != w->not_found || !o.settled)
        fail_msg("%s by %zu: %u findings", w->body, step, (unsigned)o.findings);
}

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct run r;

        setup(&r, answers[i].manifest);
        for (size_t step = 1; step <= strlen(answers[i].body) + 1; step += step < 9 ? 1 : 37)
            expect_answer(&r, &answers[i], step);
        expect_answer(&r, &answers[i], 1 << 20);
        teardown(&r);
    }
}

/* A status that is no success, and the encodings that a header may name. */
static void test_transport(void **state)
{
    static const struct {
        int status;
        const char *type, *body;
        enum reason reason;
        const char *code;
    } rows[] = {
        { 401, "application/json", "{\"code\":1401,\"data\":null}", REASON_PROVIDER_REFUSED, "1401" },
        { 401, "application/json", "{\"code\":0,\"data\":{\"rows\":[]}}", REASON_PROVIDER_REFUSED, "0" },
        { 404, "application/json", "{\"code\":1404}", REASON_PROVIDER_REFUSED, "1404" },
        { 500, "application/json", "oops", REASON_PROVIDER_REFUSED, "" },
        { 200, "text/html; charset=utf-8", "{\"code\":0,\"data\":{\"rows\":[]}}", REASON_PROVIDER_MALFORMED, "" },
        { 200, "application/json; charset=gbk", "{\"code\":0,\"data\":{\"rows\":[{\"permitNo\":\"\xfe\x9f\"}]}}",
          REASON_GRANTED, "0" },
        { 200, "", "{\"code\":0,\"data\":{\"rows\":[{\"permitNo\":\"䶮\"}]}}", REASON_GRANTED, "0" },
        { 200, "application/json", "{\"code\":0,\"data\":{\"rows\":[{\"permitNo\":\"\xfe\x9f\"}]}}",
          REASON_PROVIDER_MALFORMED, "0" },
    };
    struct run r;

    (void)state;
    setup(&r, rows_manifest);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice type = slice_of(rows[i].type), body = slice_of(rows[i].body);
        struct translate_outcome o = answer_as(&r, rows[i].status, type, body, 5, TRANSLATE_JSON);

        if (o.reason != rows[i].reason || strcmp(o.code, rows[i].code) != 0)
            fail_msg("%d %s: %s code %s", rows[i].status, rows[i].body, reason_info(o.reason)->code, o.code);
        if (o.reason == REASON_GRANTED)
            assert_true(slice_is(buf_slice(&r.out), OUT("{\"permit\":\"䶮\",\"members\":[]}", 1)));
    }
    teardown(&r);
}

/* A control character that JSON can say and XML cannot, in the three forms. */
static void test_forms(void **state)
{
    static const struct slice body = { "{\"rows\":[{\"permitNo\":\"a\\u0001<\"},{\"permitNo\":\"b\"}]}", 50 };
    static const struct {
        enum translate_form form;
        const char *want;
        unsigned findings;
    } rows[] = {
        { TRANSLATE_JSON, OUT("{\"permit\":\"a\\u0001<\",\"members\":[]},{\"permit\":\"b\",\"members\":[]}", 2), 0 },
        { TRANSLATE_NDJSON, "{\"permit\":\"a\\u0001<\",\"members\":[]}\n{\"permit\":\"b\",\"members\":[]}\n", 0 },
        { TRANSLATE_XML,
          "<answer xmlns=\"urn:sluice:public-security:permit:1\"><record><permit "
          "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
          "xsi:nil=\"true\"/><members></members></record><record>"
          "<permit>b</permit><members></members></record><count>2</count></answer>",
          1 },
    };
    struct run r;

    (void)state;
    setup(&r, plain_manifest);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct translate_outcome o = answer(&r, slice_make(body.p, strlen(body.p)), 3, rows[i].form);

        assert_int_equal(o.reason, REASON_GRANTED);
        if (!slice_is(buf_slice(&r.out), rows[i].want))
            fail_msg("got %.*s\nwant %s", SLICE_ARG(buf_slice(&r.out)), rows[i].want);
        assert_int_equal(o.findings, rows[i].findings);
    }
    teardown(&r);
}

/* 16 MB of rows through a buffer that is drained: neither the run nor the output grows. */
static void test_long(void **state)
{
    struct translate_want want = { .form = TRANSLATE_NDJSON, .items = { (1 << N_ITEMS) - 1 } };
    struct translate_run *run = NULL;
    struct buf piece = BUF_INIT(65536);
    size_t fed = 0, most = 0;
    uint64_t rows = 0;
    struct run r;

    (void)state;
    setup(&r, plain_manifest);
    assert_int_equal(translate_open(r.plan, &want, 200, SLICE("application/json; charset=utf-8"), &r.out, &run),
                     ERR_OK);
    assert_int_equal(translate_feed(run, SLICE("{\"rows\":[{}")), ERR_OK);
    for (unsigned i = 0; i < 100; i++)
        buf_puts(
            &piece,
            ",{\"permitNo\":\"990101\",\"holder\":{\"name\":\"欧阳建国\"},\"family\":{\"list\":[{\"rel\":\"01\"}]}}");
    assert_int_equal(piece.failed, ERR_OK);
    for (; fed < 16 << 20; fed += piece.n) {
        assert_int_equal(translate_feed(run, buf_slice(&piece)), ERR_OK);
        most = r.out.n > most ? r.out.n : most;
        rows += 100;
        buf_clear(&r.out);
    }
    assert_int_equal(translate_feed(run, SLICE("]}")), ERR_OK);
    assert_int_equal(translate_finish(run), ERR_OK);
    assert_int_equal(translate_outcome(run)->rows, rows + 1);
    assert_true(most < 2 * piece.n);
    run = translate_close(run);
    buf_done(&piece);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers), cmocka_unit_test(test_transport),
                                        cmocka_unit_test(test_forms), cmocka_unit_test(test_long) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Lines: each kind, hostile bytes, caps, and the offsets that readers rely on. judge.c is the outside judge of JSON. */
#include "tests/unit/audit/world.h"
#include "audit/crc32c.h"
#include "audit/terms.h"
#include "tests/unit/audit/judge.h"
#include <stdio.h>
#include <stdlib.h>

/* Renders, stamps and judges; the line without LF. */
static struct slice line_json(const struct audit_record *r, struct buf *line)
{
    buf_clear(line);
    assert_int_equal(audit_render(r, line), ERR_OK);
    assert_true(line->n <= AUDIT_RECORD_MAX);
    assert_int_equal(line->p[line->n - 1], '\n');
    assert_true(logline_is_blank(buf_slice(line)));
    logline_stamp(line->p, line->n - 1, 9007199254740991);
    struct slice text = slice_make(line->p, line->n - 1);
    uint64_t index;
    assert_true(logline_check(text, &index));
    assert_int_equal(index, 9007199254740991);
    assert_null(memchr(text.p, '\n', text.n));
    if (!judge_value(text))
        print_error("not JSON: %.*s\n", SLICE_ARG(text));
    assert_true(judge_value(text));
    return text;
}

static bool has(struct slice object, const char *key)
{
    struct slice v;
    return judge_get(object, key, &v);
}

static struct slice get(struct slice object, const char *key)
{
    struct slice v = { 0 };
    assert_true(judge_get(object, key, &v));
    return v;
}

static void offsets(void **state)
{
    (void)state;
    assert_int_equal(strlen(logline_blank), LOGLINE_KIND);
    assert_memory_equal(logline_blank + LOGLINE_INDEX, "                ,\"crc\":\"00000000\"", 32);
    assert_memory_equal(logline_blank + LOGLINE_CRC, "00000000", LOGLINE_CRC_N);
    for (int k = AUDIT_REFUSED; k <= AUDIT_SEGMENT; k++) {
        if (render_bound((enum audit_kind)k) >= AUDIT_RECORD_MAX)
            print_error("%s: %zu\n", audit_kind_name((enum audit_kind)k), render_bound((enum audit_kind)k));
        assert_true(render_bound((enum audit_kind)k) < AUDIT_RECORD_MAX);
    }
}

static void crc_known(void **state)
{
    (void)state;
    char zeros[32] = { 0 }, mixed[3301];
    assert_int_equal(crc32c(0, SLICE("123456789")), 0xE3069283u);
    assert_int_equal(crc32c(0, slice_make(zeros, 32)), 0x8A9136AAu); /* RFC 3720 B.4 */
    for (size_t i = 0; i < sizeof mixed; i++)
        mixed[i] = (char)(i * 7 + i / 256);
    for (size_t n = 0; n < sizeof mixed; n++) {
        assert_int_equal(crc32c(0, slice_make(mixed, n)), crc32c_plain(0, slice_make(mixed, n)));
        assert_int_equal(crc32c(crc32c(0, slice_make(mixed, n)), slice_make(mixed + n, sizeof mixed - n)),
                         crc32c(0, slice_make(mixed, sizeof mixed)));
    }
}

static void intent_line(void **state)
{
    (void)state;
    struct buf line = BUF_INIT(1 << 16);
    struct audit_param params[] = {
        { SLICE("id_no"), SLICE("00112233445566778899aabbccddeeff"), true },
        { SLICE("year"), SLICE("2026"), false },
        { SLICE("leak"), SLICE("990101199001011234"), true },
    };
    struct audit_record r = world_intent(1);
    r.params = params;
    r.n_params = 3;
    r.via = SLICE("spiffe://a/gateway/1 spiffe://b/gateway/2");
    struct slice j = line_json(&r, &line);
    assert_true(judge_text_is(j, "kind", "intent"));
    assert_true(judge_text_is(j, "case", "入学-17"));
    assert_true(judge_text_is(j, "at", "2026-11-22T09:00:00.001+08:00"));
    assert_int_equal(judge_int(j, "part"), 0);
    assert_false(has(j, "status"));
    assert_int_equal(judge_count(get(j, "items")), 2);
    assert_int_equal(judge_count(get(j, "via")), 2);
    struct slice p = get(j, "params");
    assert_true(judge_text_is(p, "year", "2026"));
    assert_true(judge_text_is(get(p, "id_no"), "hmac", "00112233445566778899aabbccddeeff"));
    assert_true(slice_is(get(get(p, "leak"), "hmac"), "null"));
    assert_null(memmem(line.p, line.n, "990101199001011234", 18));
    buf_done(&line);
}

/* Long texts before them, names that are long, many: each person that was asked for is in the record, and can be asked
 * for. */
static void persons_always_fit(void **state)
{
    (void)state;
    static const struct {
        unsigned texts, persons;
        size_t text_n, name_n; /* of the texts; of the persons' names */
    } cases[] = { { 12, 1, 250, 5 }, { 31, 1, 250, 64 }, { 0, 32, 0, 8 }, { 0, 32, 0, 64 }, { 20, 12, 300, 64 } };
    struct buf line = BUF_INIT(1 << 16);
    static char text[300], names[32][80], values[32][33];
    memset(text, 'x', sizeof text);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct audit_param params[32];
        unsigned n = cases[c].texts + cases[c].persons;
        for (unsigned i = 0; i < n; i++) {
            bool person = i >= cases[c].texts;
            size_t name_n = person ? cases[c].name_n : 6;
            memset(names[i], 'n', sizeof names[i]);
            names[i][name_n - 2] = (char)('0' + i / 10);
            names[i][name_n - 1] = (char)('0' + i % 10);
            snprintf(values[i], sizeof values[i], "%032x", i + 1);
            params[i] =
                (struct audit_param){ slice_make(names[i], name_n),
                                      person ? slice_of(values[i]) : slice_make(text, cases[c].text_n), person };
        }
        struct audit_record r = world_intent(1);
        r.params = params;
        r.n_params = n;
        struct slice j = line_json(&r, &line), p = get(j, "params");
        struct logline_iter it = { .object = p };
        struct slice key, value;
        unsigned found = 0, written = 0;
        while (logline_next(&it, &key, &value)) {
            written += !slice_is(key, "…");
            found += value.p[0] == '{';
        }
        assert_int_equal(found, cases[c].persons);
        for (unsigned i = cases[c].texts; i < n; i++)
            assert_non_null(memmem(p.p, p.n, values[i], 32));
        assert_int_equal(written < n, has(p, "…"));
        if (written < n)
            assert_int_equal(judge_int(p, "…"), n - written);
        struct terms t = { 0 };
        struct term_facts facts;
        terms_begin(&t, 1);
        assert_true(terms_of_line(&t, j, &facts));
        for (unsigned i = cases[c].texts; i < n; i++)
            assert_true(terms_hold(&t, term_of(&t, TERM_PERSON, slice_of(values[i]))));
    }
    buf_done(&line);
}

/* Order of the members is the format. */
static void canonical_order(void **state)
{
    (void)state;
    struct buf line = BUF_INIT(1 << 16);
    struct audit_record r = world_outcome(2);
    line_json(&r, &line);
    struct logline_iter it = { .object = slice_make(line.p, line.n - 1) };
    struct slice key, value;
    const char *want[] = { "v",      "index",  "crc",  "kind",     "at",        "exchange",   "part",
                           "reason", "status", "rows", "bytes_in", "bytes_out", "duration_ms" };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        assert_true(logline_next(&it, &key, &value));
        assert_true(slice_is(key, want[i]));
    }
    assert_false(logline_next(&it, &key, &value));
    buf_done(&line);
}

/* Nothing of what stands for the known columns is looked at. */
static struct audit_record only_known(const struct audit_record *r, const struct audit_known *k)
{
    struct audit_record o = *r;
    o.subject = o.via = o.origin_exchange = o.peer = o.certificate = o.resource = SLICE("other");
    o.grant = o.purpose = o.items = SLICE("other");
    o.resource_version = o.grant_version = 77;
    o.known = k;
    return o;
}

/* A record whose columns were rendered before is the same, byte for byte, as one whose columns were not. */
static void known_columns(void **state)
{
    (void)state;
    static char much[2000];
    static const char *const texts[] = { "", "a", "plain text", "\"\\\n\x01", "\xff\xfe", "教育", NULL };
    static const enum audit_kind kinds[] = { AUDIT_INTENT, AUDIT_REFUSED, AUDIT_OUTCOME, AUDIT_CUT };
    struct buf plain = BUF_INIT(1 << 16), known = BUF_INIT(1 << 16);
    struct audit_known k;
    size_t kept = 0;
    memset(much, 'm', sizeof much);
    for (unsigned i = 0; i < 4000; i++) {
        struct audit_record r = world_intent(i);
        struct slice *fields[] = { &r.subject,  &r.via,   &r.origin_exchange, &r.peer,  &r.certificate,
                                   &r.resource, &r.grant, &r.purpose,         &r.items, &r.case_ };
        r.kind = kinds[i % 4];
        uint64_t draw = i * 0x9e3779b97f4a7c15u;
        for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++, draw = draw * 0x5851f42d4c957f2du + 1) {
            const char *text = texts[(draw >> 33) % 7];
            *fields[f] = text ? slice_of(text) : slice_make(much, (draw >> 40) % sizeof much);
        }
        r.grant_version = draw >> (draw & 63);
        buf_clear(&plain);
        buf_clear(&known);
        assert_int_equal(audit_render(&r, &plain), ERR_OK);
        if (audit_know(&r, &k) != ERR_OK)
            continue;
        kept++;
        struct audit_record o = only_known(&r, &k);
        assert_int_equal(audit_render(&o, &known), ERR_OK);
        assert_true(slice_eq(buf_slice(&plain), buf_slice(&known)));
    }
    assert_in_range(kept, 1000, 3999); /* some are too long to be kept */
    buf_done(&plain);
    buf_done(&known);
}

static void numbers(void **state)
{
    (void)state;
    struct buf line = BUF_INIT(1 << 16);
    struct slice value;
    char want[24];
    for (uint64_t v = 1; v < (uint64_t)1 << 53; v = v * 3 - 1 + v / 7 % 2) {
        struct audit_record r = world_outcome(1);
        r.bytes_in = v;
        snprintf(want, sizeof want, "%llu", (unsigned long long)v);
        assert_true(logline_field(line_json(&r, &line), "bytes_in", &value));
        assert_true(slice_is(value, want));
    }
    buf_done(&line);
}

static void hostile_texts(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t n;
        const char *want; /* NULL: as b64 */
    } cases[] = {
        { "plain", 5, "plain" },
        { "\"\\\n\r\t\x01\x7f", 7, "\"\\\n\r\t\x01\x7f" },
        { "\",\"kind\":\"act", 13, "\",\"kind\":\"act" },
        { "\xf0\xa0\xae\xb7\xe4\xb6\xae", 7, "𠮷䶮" },
        { "\xc0\x80", 2, NULL },         /* overlong */
        { "\xed\xa0\x80", 3, NULL },     /* surrogate */
        { "\xf4\x90\x80\x80", 4, NULL }, /* beyond U+10FFFF */
        { "abc\xe4\xb6", 5, NULL },      /* cut short */
        { "\xff\xfe\n\"", 4, NULL },
        { "\xca\xaf\xd6\xa4", 4, "ʯ֤" },
        { "\xd6\xd0\xb9\xfa", 4, NULL }, /* GB18030 */
    };
    struct buf line = BUF_INIT(1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct audit_record r = world_intent(3);
        r.case_ = slice_make(cases[i].p, cases[i].n);
        struct slice j = line_json(&r, &line), v = get(j, "case");
        if (cases[i].want != NULL) {
            assert_true(judge_text_is(j, "case", cases[i].want));
        } else {
            struct buf raw = BUF_INIT(64);
            assert_int_equal(base64_read(slice_sub(get(v, "b64"), 1, get(v, "b64").n - 2), &raw), ERR_OK);
            assert_int_equal(raw.n, cases[i].n);
            assert_memory_equal(raw.p, cases[i].p, raw.n);
            buf_done(&raw);
        }
    }
    buf_done(&line);
}

/* Every text as long and as hostile as can be: still a record, still under the cap. */
static void worst_records(void **state)
{
    (void)state;
    static char fill[5][70000];
    memset(fill[0], 'x', sizeof fill[0]);
    memset(fill[1], 1, sizeof fill[1]);
    memset(fill[2], 0xFF, sizeof fill[2]);
    memset(fill[4], ',', sizeof fill[4]);
    for (size_t i = 0; i + 2 < sizeof fill[3]; i += 3)
        memcpy(fill[3] + i, "\xe6\x88\xb7", 3);
    struct buf line = BUF_INIT(1 << 17);
    struct sha256 h = { { 7 } };
    uint32_t counts[REASON_COUNT_];
    memset(counts, 0xFF, sizeof counts);
    for (int k = AUDIT_REFUSED; k < AUDIT_SEGMENT; k++) {
        for (int f = 0; f < 5; f++) {
            struct slice s = slice_make(fill[f], f == 3 ? 69999 : sizeof fill[f]);
            struct audit_param params[40];
            static char names[40][8];
            for (int i = 0; i < 40; i++) {
                memcpy(names[i], "param00", 8);
                names[i][5] = (char)('0' + i / 10);
                names[i][6] = (char)('0' + i % 10);
                params[i] = (struct audit_param){ slice_make(names[i], 7), s, false };
            }
            struct audit_record r = { .kind = (enum audit_kind)k,
                                      .at = 1795309200000,
                                      .exchange = world_exchange(1),
                                      .part = UINT32_MAX,
                                      .subject = s,
                                      .via = s,
                                      .origin_exchange = s,
                                      .peer = s,
                                      .certificate = s,
                                      .resource = s,
                                      .resource_version = UINT64_MAX,
                                      .grant = s,
                                      .grant_version = UINT64_MAX,
                                      .purpose = s,
                                      .operator_ = s,
                                      .case_ = s,
                                      .trace = s,
                                      .snapshot = UINT64_MAX,
                                      .debit_rows = UINT64_MAX,
                                      .debit_bytes = UINT64_MAX,
                                      .params = params,
                                      .n_params = 40,
                                      .items = s,
                                      .has_reason = true,
                                      .reason = REASON_REVOCATION_UNKNOWN,
                                      .status = 599,
                                      .provider_code = s,
                                      .rows = UINT64_MAX,
                                      .findings = UINT64_MAX,
                                      .bytes_in = UINT64_MAX,
                                      .bytes_out = UINT64_MAX,
                                      .digest_in = &h,
                                      .digest_out = &h,
                                      .duration_ms = UINT64_MAX,
                                      .provider_ms = UINT64_MAX,
                                      .raw_length = UINT64_MAX,
                                      .raw_digest = &h,
                                      .act = UINT64_MAX,
                                      .author = s,
                                      .verb = s,
                                      .object = s,
                                      .content = s,
                                      .from = 1,
                                      .to = 2,
                                      .counts = counts };
            line_json(&r, &line);
        }
    }
    buf_done(&line);
}

static void act_content(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        bool kept;
    } cases[] = {
        { "{}", true },
        { "{\"items\":[\"name\"],\"n\":1}", true },
        { "{\"a\":{\"b\":[1,{\"c\":\"}\"}]}}", true },
        { "{\"a\":1", false },
        { "{\"a\":1}}", false },
        { "{\"a\":1},\"kind\":\"cut\",\"x\":{}", false },
        { "{\"a\":\n1}", false },
        { "[1]", false },
        { "{\"a\":\"\xff\"}", false },
    };
    struct buf line = BUF_INIT(1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct audit_record r = { .kind = AUDIT_ACT,
                                  .at = 1,
                                  .act = 5,
                                  .author = SLICE("spiffe://x/dept/a/person/b"),
                                  .verb = SLICE("grant.revoke"),
                                  .object = SLICE("g-1"),
                                  .content = slice_of(cases[i].content) };
        struct slice j = line_json(&r, &line), c = get(j, "content");
        assert_int_equal(c.p[0], '{');
        assert_int_equal(!has(c, "sha256"), cases[i].kept);
        assert_true(judge_text_is(j, "verb", "grant.revoke"));
    }
    buf_done(&line);
}

static void count_line(void **state)
{
    (void)state;
    struct buf line = BUF_INIT(1 << 16);
    uint32_t counts[REASON_COUNT_] = { 0 };
    counts[REASON_CERTIFICATE_UNKNOWN] = 41;
    counts[REASON_RATE_LIMITED] = 2;
    struct audit_record r = { .kind = AUDIT_COUNT, .at = 3, .from = 1, .to = 1001, .counts = counts };
    struct slice j = line_json(&r, &line), c = get(j, "counts");
    assert_int_equal(judge_count(c), 2);
    assert_int_equal(judge_int(c, "certificate-unknown"), 41);
    assert_false(has(j, "exchange"));
    buf_done(&line);
}

/* Broken lines that readers must refuse and survive. */
static void bad_lines(void **state)
{
    (void)state;
    struct buf line = BUF_INIT(1 << 16);
    struct audit_record r = world_intent(4);
    uint64_t index;
    line_json(&r, &line);
    size_t n = line.n - 1;
    for (size_t cut = 0; cut < n; cut++)
        assert_false(logline_check(slice_make(line.p, cut), &index));
    for (size_t i = 0; i < n; i++) {
        line.p[i] ^= 1;
        bool fine = logline_check(slice_make(line.p, n), &index);
        struct slice v;
        (void)logline_field(slice_make(line.p, n), "bytes_out", &v);
        line.p[i] ^= 1;
        assert_false(fine);
    }
    assert_true(logline_check(slice_make(line.p, n), &index));
    buf_done(&line);
}

/* A line whose index has these columns, whatever they are, under a right checksum. */
static bool columns_hold(const char *columns, uint64_t *index)
{
    char line[256], sum[9];
    assert_int_equal(strlen(columns), LOGLINE_INDEX_N);
    int n =
        snprintf(line, sizeof line, "{\"v\":1,\"index\":%s,\"crc\":\"00000000\",\"kind\":\"gap\",\"at\":1}", columns);
    snprintf(sum, sizeof sum, "%08x", crc32c(0, slice_make(line, (size_t)n)));
    memcpy(line + LOGLINE_CRC, sum, LOGLINE_CRC_N);
    return logline_check(slice_make(line, (size_t)n), index);
}

static void index_columns(void **state)
{
    (void)state;
    static const char *const wrong[] = { "                ",   "              1 ", "1               ",
                                         "          12 345",   "              -1", "            0x10",
                                         "               :",   "               /", "        1       ",
                                         "       1       1",   "       1:       ", "              1\x80",
                                         "9007199254740992",   "9999999999999999", "\t              1",
                                         "      \x90        1" };
    static const char *const right[] = { "0000000000000007", "        00000007", "               0",
                                         "       012345678" };
    char columns[LOGLINE_INDEX_N + 1];
    uint64_t index;
    for (uint64_t v = 0, step = 1; v < 1ull << 53; v += step, step += step / 3 + 1) {
        snprintf(columns, sizeof columns, "%16llu", (unsigned long long)v);
        assert_true(columns_hold(columns, &index));
        assert_int_equal(index, v);
    }
    assert_true(columns_hold("9007199254740991", &index) && index == 9007199254740991u);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_true(columns_hold(right[i], &index) && index == strtoull(right[i], NULL, 10));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(columns_hold(wrong[i], &index));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets),         cmocka_unit_test(crc_known),
        cmocka_unit_test(intent_line),     cmocka_unit_test(persons_always_fit),
        cmocka_unit_test(canonical_order), cmocka_unit_test(known_columns),
        cmocka_unit_test(numbers),         cmocka_unit_test(hostile_texts),
        cmocka_unit_test(worst_records),   cmocka_unit_test(act_content),
        cmocka_unit_test(count_line),      cmocka_unit_test(bad_lines),
        cmocka_unit_test(index_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What export cuts out of an answer, and the offline verifier as a command. The functions are static: the file is part
 * of this program. */
#include "bench.h"

#include "audit/audit.h"
#include "cli/audit.c"
#include "cli/audit_export.c"

static void test_export_is_byte_for_byte(void **state)
{
    static const char text[] = "{\"rows\":[{\"index\":0,\"record\":{\"index\":      "
                               "0,\"a\":\"}]\\\"{,\\\"cut\\\":{\"}},{\"index\":1,\"record\":"
                               "{\"b\":[1,{\"c\":\"\\\\\"}]},\"outcome\":{\"cut\":{\"z\":1}}}],\"grants\":[{\"record\":"
                               "{\"never\":1}}],\"more\":false}";
    struct bench *b = *state;
    struct cli c;
    size_t n;
    FILE *out = open_memstream(&b->out, &n);

    assert_non_null(out);
    cli_init(&c, out, out);
    records_put(&c, slice_of(text));
    records_put(&c, SLICE("{\"rows\":[],\"grants\":[],\"more\":false}"));
    records_put(&c, SLICE("{\"rows\":[{\"cut\":{"));
    cli_done(&c);
    fclose(out);
    assert_string_equal(b->out, "{\"index\":      0,\"a\":\"}]\\\"{,\\\"cut\\\":{\"}\n{\"b\":[1,{\"c\":\"\\\\\"}]}\n"
                                "{\"cut\":{\"z\":1}}\n{\n");
}

/* An act in several records is shown with its joined content beside its record: a manifest, whose items have whatever
 * names. None of these is a record, whatever it is called, nor do they end the rows. */
static void test_export_takes_no_content_for_a_record(void **state)
{
#define CONTENT                                                                                                        \
    "\"content\":{\"a\":[1],\"grants\":[{\"x\":0}],\"map\":{\"record\":{\"at\":\"R\"},\"outcome\":{},\"cut\":{\"z\":{" \
    "}}}}"
    static const char text[] = "{\"rows\":[{\"index\":7,\"record\":{\"index\":7}," CONTENT
                               ",\"proofs\":{\"record\":[\"AA==\"]}},{\"index\":8,\"record\":{\"index\":8},"
                               "\"outcome\":{\"index\":9},\"proofs\":{\"record\":[\"AQ==\"],\"outcome\":[\"Ag==\"]}},"
                               "{\"index\":10,\"record\":{\"index\":10},\"proofs\":{}}],\"grants\":[],"
                               "\"checkpoint\":\"note\",\"more\":false}";
    struct bench *b = *state;
    const struct doc *reply = NULL;
    struct cli c;
    size_t n;
    FILE *out = open_memstream(&b->out, &n);

    assert_non_null(out);
    cli_init(&c, out, out);
    records_put(&c, slice_of(text));
    assert_int_equal(doc_read_json(slice_of(text), &c.arena, NULL, &reply), ERR_OK);
    assert_int_equal(proofs_put(&c, slice_of(text), reply), 1);
    cli_done(&c);
    fclose(out);
    assert_string_equal(b->out,
                        "{\"index\":7}\n{\"index\":8}\n{\"index\":9}\n{\"index\":10}\n{\"checkpoint\":\"note\"}\n"
                        "{\"record\":{\"index\":7},\"proof\":[\"AA==\"]}\n"
                        "{\"record\":{\"index\":8},\"proof\":[\"AQ==\"]}\n"
                        "{\"record\":{\"index\":9},\"proof\":[\"Ag==\"]}\n");
#undef CONTENT
}

static void test_csv_is_no_program(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = { { "plain", "plain" },
                 { "=1+2", "\"'=1+2\"" },
                 { "+86", "\"'+86\"" },
                 { "-12.5", "-12.5" },
                 { "-1+1", "\"'-1+1\"" },
                 { "@x", "\"'@x\"" },
                 { "a,\"b\"", "\"a,\"\"b\"\"\"" },
                 { "\tx", "\"'\tx\"" },
                 { "-", "\"'-\"" } };
    static const struct column columns[] = { { "a", { "A", "A" }, 0 }, { .path = NULL } };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char want[64];
        struct cli c;
        const struct doc *list = NULL;
        struct buf text = BUF_INIT(256);
        struct json j;
        size_t n;
        FILE *out = open_memstream(&b->out, &n);
        assert_non_null(out);
        cli_init(&c, out, out);
        json_init(&j, &text);
        json_open(&j, '[');
        json_open(&j, '{');
        json_pair(&j, "a", slice_of(rows[i].text));
        json_close(&j, '}');
        json_close(&j, ']');
        assert_int_equal(doc_read_json(buf_slice(&text), &c.arena, &c.diags, &list), ERR_OK);
        output_csv(&c, list, columns, i == 0);
        cli_done(&c);
        buf_done(&text);
        fclose(out);
        snprintf(want, sizeof want, "%s%s\r\n", i == 0 ? "a\r\n" : "", rows[i].want);
        assert_string_equal(b->out, want);
        free(b->out);
        b->out = NULL;
    }
}

static void test_times(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = { { "2026-11-22", "2026-11-22T00:00:00.000+08:00" },
                 { "2026-11-22T09:30:00Z", "2026-11-22T09:30:00Z" },
                 { "yesterday", NULL },
                 { "2026-02-30", NULL } };
    struct bench *b = *state;
    struct cli c;

    parse(b, &c, "me");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = audit_time(&c, rows[i].text);
        if (rows[i].want == NULL)
            assert_null(got);
        else
            assert_string_equal(got, rows[i].want);
    }
    cli_done(&c);
}

/* ---- a log of its own ---- */

static enum err sign_with(void *self, struct slice message, uint8_t sig[ED25519_SIG])
{
    struct signer *s = self;

    return s->sign(s->self, message, sig);
}

static void done(void *waiter, enum err e, uint64_t index)
{
    (void)index;
    assert_int_equal(e, ERR_OK);
    *(bool *)waiter = true;
}

static void log_make(struct bench *b, unsigned records)
{
    char dir[96], key[96];
    struct ed25519 *k = NULL;
    struct signer inner;
    struct audit_config config = { .dir = dir, .origin = SLICE("t.example/log/gw"), .epoch = 1 };
    struct audit_log *log = NULL;
    struct audit_queue *q = NULL;
    struct buf vkey = BUF_INIT(4096);

    snprintf(dir, sizeof dir, "%s/log", b->home);
    snprintf(key, sizeof key, "%s/log.key", b->home);
    assert_int_equal(ed25519_generate(key, NULL), ERR_OK);
    assert_int_equal(ed25519_load(key, &k, NULL), ERR_OK);
    inner = ed25519_signer(k);
    config.signer = inner;
    config.signer.self = &inner;
    config.signer.sign = sign_with;
    config.segment_bytes = 1 << 20;
    config.reserve_bytes = 1 << 20;
    assert_int_equal(audit_open(&config, &log, NULL), ERR_OK);
    assert_int_equal(audit_start(log), ERR_OK);
    assert_int_equal(audit_queue_new(log, 1 << 16, done, &q), ERR_OK);
    for (unsigned i = 0; i < records; i++) {
        struct audit_record r = { .kind = AUDIT_REFUSED, .at = clock_wall_ms(), .resource = SLICE("a/b") };
        bool durable = false;
        assert_int_equal(audit_put(q, &r, 0, &durable), ERR_OK);
        audit_kick(q);
        while (!durable)
            audit_poll(q);
    }
    audit_queue_free(q);
    audit_close(log);
    assert_int_equal(audit_vkey(config.origin, inner.public_key, &vkey), ERR_OK);
    buf_putc(&vkey, '\n');
    buf_putc(&vkey, '\0');
    file_put(b->home, "log.vkey", vkey.p, 0644);
    buf_done(&vkey);
    ed25519_free(k);
}

static void test_verify(void **state)
{
    struct bench *b = *state;
    char *text, *at;
    FILE *f;
    char path[128];

    log_make(b, 5);
    if (run(b, "audit verify %h/log --vkey %h/log.vkey") != CLI_OK)
        fail_msg("exit %d: %s%s", b->code, b->out, b->err);
    assert_non_null(strstr(b->out, "its signature holds"));
    assert_int_equal(run(b, "audit verify %h/log"), CLI_OK);
    assert_non_null(strstr(b->out, "only consistency is proved"));
    assert_int_equal(run(b, "audit verify %h/log --vkey %h/log.vkey -o json"), CLI_OK);
    assert_non_null(strstr(b->out, "\"verified\": true"));

    text = file_text(b->home, "log/0000000000000000.seg");
    at = strstr(text, "\"index\":               3,");
    assert_non_null(at);
    at = strstr(at, "a/b");
    snprintf(path, sizeof path, "%s/log/0000000000000000.seg", b->home);
    f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, at - text, SEEK_SET);
    fputc('x', f);
    fclose(f);
    assert_int_equal(run(b, "audit verify %h/log --vkey %h/log.vkey"), CLI_UNPROVEN);
    assert_non_null(strstr(b->out, "record 3: altered"));
    assert_int_equal(run(b, "audit verify %h/log --lang zh"), CLI_UNPROVEN);
    assert_non_null(strstr(b->out, "第 3 条记录被篡改"));
    assert_int_equal(run(b, "audit verify %h/log -o json"), CLI_UNPROVEN);
    assert_non_null(strstr(b->out, "\"bad_index\": 3"));
    assert_int_equal(run(b, "audit verify %h/nowhere"), CLI_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_export_is_byte_for_byte),
                                        CASE(test_export_takes_no_content_for_a_record), CASE(test_csv_is_no_program),
                                        CASE(test_times), CASE(test_verify) };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

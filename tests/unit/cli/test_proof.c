/* The proof of an exchange as a server brings it: it must be of the exchange that was asked for. The functions are
 * static: the file is part of this program. */
#include "bench.h"

#include "audit/audit.h"
#include "cli/proof.c"
#include "tests/unit/until.h"

static void done(void *waiter, enum err e, uint64_t index)
{
    (void)index;
    assert_int_equal(e, ERR_OK);
    *(bool *)waiter = true;
}

/* A refusal and its proof in `text`, the log's key in the home folder. */
static struct uuid proof_make(struct bench *b, struct buf *text)
{
    char dir[96], key[96];
    struct ed25519 *k = NULL;
    struct audit_config config = {
        .dir = dir, .origin = SLICE("t.example/log/gw"), .epoch = 1, .segment_bytes = 1 << 20, .reserve_bytes = 1 << 20
    };
    struct audit_record r = { .kind = AUDIT_REFUSED, .at = clock_wall_ms(), .resource = SLICE("a/b") };
    struct audit_proof_ask ask = { .intent = AUDIT_UNKNOWN, .outcome = AUDIT_UNKNOWN, .any = true };
    struct audit_log *log = NULL;
    struct audit_queue *q = NULL;
    struct audit_status s;
    struct buf vkey = BUF_INIT(4096);
    bool durable = false;

    snprintf(dir, sizeof dir, "%s/log", b->home);
    snprintf(key, sizeof key, "%s/log.key", b->home);
    assert_int_equal(ed25519_generate(key, NULL), ERR_OK);
    assert_int_equal(ed25519_load(key, &k, NULL), ERR_OK);
    config.signer = ed25519_signer(k);
    ask.exchange = r.exchange = uuid_v7(r.at);
    assert_int_equal(audit_open(&config, &log, NULL), ERR_OK);
    assert_int_equal(audit_start(log), ERR_OK);
    assert_int_equal(audit_queue_new(log, 1 << 16, done, &q), ERR_OK);
    assert_int_equal(audit_put(q, &r, 0, &durable), ERR_OK);
    audit_kick(q);
    UNTIL((audit_poll(q), durable));
    UNTIL((audit_status(log, &s), s.checkpoint_size >= s.size));
    assert_int_equal(audit_prove_exchange(log, &ask, text), ERR_OK);
    audit_queue_free(q);
    audit_close(log);
    assert_int_equal(audit_vkey(config.origin, config.signer.public_key, &vkey), ERR_OK);
    buf_puts(&vkey, "\n");
    buf_putc(&vkey, '\0');
    file_put(b->home, "log.vkey", vkey.p, 0644);
    buf_done(&vkey);
    ed25519_free(k);
    return ask.exchange;
}

/* What `sluice audit proof ID` makes of this text. */
static int judged(struct bench *b, struct uuid id, struct slice text, bool is_file)
{
    char line[256], name[UUID_TEXT];
    struct cli c;
    size_t n;
    int code;

    uuid_text(id, name);
    snprintf(line, sizeof line, "audit proof %s --vkey %%h/log.vkey", name);
    assert_int_equal(parse(b, &c, line), CLI_OK);
    c.out = c.err = open_memstream(&b->out, &n);
    assert_non_null(c.out);
    code = check_and_say(&c, text, is_file);
    fclose(c.out);
    c.out = c.err = NULL;
    cli_done(&c);
    return code;
}

static void test_of_the_exchange_that_was_asked_for(void **state)
{
    struct bench *b = *state;
    struct buf text = BUF_INIT(AUDIT_PROOF_MAX);
    struct uuid id = proof_make(b, &text), other = id;

    other.b[15]++;
    if (judged(b, id, buf_slice(&text), false) != CLI_OK)
        fail_msg("%s", b->out);
    assert_non_null(strstr(b->out, "holds: "));
    assert_int_equal(judged(b, other, buf_slice(&text), false), CLI_UNPROVEN);
    assert_null(strstr(b->out, "holds: "));
    assert_non_null(strstr(b->out, "[exchange]"));
    assert_int_equal(judged(b, other, buf_slice(&text), true), CLI_OK); /* a file by whatever name */
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_of_the_exchange_that_was_asked_for) };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

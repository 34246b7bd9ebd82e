/* The proof of an exchange whose outcome is too far off to be looked for: who is no party hears nothing of that. What
 * reads the log is replaced by name, for it gives up behind 256 MiB only. */
#include "audit/trace.h"

static enum err far_off(const char *dir, const struct audit_proof_ask *a, uint64_t size, struct trace *ret);
#define trace_exchange far_off
#include "audit/proof.c"
#include "tests/unit/audit/world.h"

static struct world w;
static enum err says;

static enum err far_off(const char *dir, const struct audit_proof_ask *a, uint64_t size, struct trace *ret)
{
    struct audit_record r = world_intent(1);
    (void)dir;
    (void)size;
    r.exchange = a->exchange;
    r.subject = SLICE("spiffe://d/dept/edu/app/one");
    r.resource = SLICE("police/household");
    *ret = (struct trace){ .lines = BUF_INIT(AUDIT_RECORD_MAX), .n = 1, .begun = true };
    assert_int_equal(audit_render(&r, &ret->lines), ERR_OK);
    logline_stamp(ret->lines.p, ret->lines.n - 1, 0);
    ret->record[0] = (struct trace_record){ .kind = AUDIT_INTENT, .n = ret->lines.n - 1 };
    return says;
}

static void told_to_parties_only(void **state)
{
    struct buf out = BUF_INIT(AUDIT_PROOF_MAX);
    static const struct {
        struct audit_proof_ask ask;
        enum err e;
    } rows[] = {
        { { .any = true }, ERR_TOO_LARGE },
        { { .subject = { "spiffe://d/dept/edu/app/one", 27 } }, ERR_TOO_LARGE },
        { { .department = { "police", 6 } }, ERR_TOO_LARGE },
        { { .subject = { "spiffe://d/dept/tax/app/two", 27 }, .department = { "tax", 3 } }, ERR_NOT_FOUND },
    };

    (void)state;
    world_init(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct audit_proof_ask a = rows[i].ask;
        a.exchange = world_exchange(1);
        a.intent = a.outcome = AUDIT_UNKNOWN;
        says = ERR_TOO_LARGE;
        assert_int_equal(audit_prove_exchange(w.log, &a, &out), rows[i].e);
        says = ERR_OK; /* it goes on still */
        assert_int_equal(audit_prove_exchange(w.log, &a, &out), rows[i].e == ERR_TOO_LARGE ? ERR_AGAIN : ERR_NOT_FOUND);
        assert_int_equal(out.n, 0);
    }
    world_done(&w);
    buf_done(&out);
}

/* libcrypto does not bear to begin without memory. */
static int ready(void **state)
{
    (void)state;
    return crypto_init(NULL) == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(told_to_parties_only) };
    return cmocka_run_group_tests(tests, ready, NULL);
}

/* The keeper ends just when the log's thread has its signature: whichever thread is told first, the gate stays closed.
 */
#include "gateway/keeper_line.h"

static enum err wait_then_end(struct keeper_line *l, int64_t ms, enum err *code, struct buf *reply);
#define keeper_line_wait wait_then_end
#include "keeper_world.h"
#undef keeper_line_wait
#include "tests/unit/until.h"

static bool ends;

/* The control thread sees the end between this reply and what the log's thread makes of it. */
static enum err wait_then_end(struct keeper_line *l, int64_t ms, enum err *code, struct buf *reply)
{
    enum err e = keeper_line_wait(l, ms, code, reply);

    if (e == ERR_OK && ends) {
        ends = false;
        kill(w.k->pid, SIGKILL);
        UNTIL((keeper_look(w.k), keeper_state(w.k) == KEEPER_GONE));
    }
    return e;
}

static void its_last_signature_opens_nothing(void **state)
{
    struct audit_notary n = keeper_notary(w.k);
    struct audit_continuation c = { .size = 1, .root = leaf_hash("a"), .wait_ms = 20000 };
    struct audit_signatures sig;

    (void)state;
    ends = true;
    assert_int_equal(n.sign(n.self, &c, &sig), ERR_OK);
    assert_false(ends);
    assert_int_equal(gate_reason(&w.gate), REASON_EVIDENCE_UNSIGNED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEEPER_TEST(its_last_signature_opens_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

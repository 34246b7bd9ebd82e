/* A log that is years old, for tests of retention: written through the log's own functions into the folder of a node
 * that has not run yet, with that node's key, so that its daemon takes it for its own.
 *
 *   sluice-aged NODE-FOLDER ORIGIN DAYS [BEFORE AHEAD]
 *
 * Four exchanges a day, up to yesterday; then an act by a clock that is AHEAD days ahead: what is before was removed.
 */
#include "audit/audit.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { A_DAY = 4, SEGMENT = 100000, OUTSTANDING = 200 };
static const int64_t day_ms = 86400000;

static void die(const char *what)
{
    fprintf(stderr, "sluice-aged: %s\n", what);
    exit(1);
}

static void on_done(void *waiter, enum err e, uint64_t index)
{
    (void)index;
    if (e != ERR_OK)
        die("a record was not written");
    --*(unsigned *)waiter;
}

static void settle(struct audit_queue *q, const unsigned *out, unsigned most)
{
    struct pollfd p = { .fd = audit_queue_fd(q), .events = POLLIN };
    while (*out > most) {
        audit_kick(q);
        if (audit_poll(q) == 0)
            poll(&p, 1, 1000);
    }
}

static void put_exchange(struct audit_queue *q, int64_t at, unsigned *out)
{
    struct audit_record i = { .kind = AUDIT_INTENT,
                              .at = at,
                              .exchange = uuid_v7(at),
                              .subject = SLICE("spiffe://test.example/dept/consumer/app/app"),
                              .resource = SLICE("provider/people"),
                              .grant = SLICE("g0"),
                              .grant_version = 1,
                              .purpose = SLICE("check"),
                              .case_ = SLICE("old"),
                              .items = SLICE("name,age") };
    struct audit_record o = { .kind = AUDIT_OUTCOME,
                              .at = at + 9,
                              .exchange = i.exchange,
                              .has_reason = true,
                              .reason = REASON_GRANTED,
                              .status = 200,
                              .rows = 1 };
    if (audit_put(q, &i, 0, out) != ERR_OK || audit_put(q, &o, 0, out) != ERR_OK)
        die("put");
    *out += 2;
}

static void put_prune(struct audit_queue *q, const char *before, const char *ahead, unsigned *out)
{
    char content[64];
    snprintf(content, sizeof content, "{\"before\":%s}", before);
    struct audit_record r = { .kind = AUDIT_ACT,
                              .at = clock_wall_ms() + strtol(ahead, NULL, 10) * day_ms,
                              .act = 1,
                              .author = SLICE("spiffe://test.example/gateway/n1"),
                              .verb = SLICE("audit.prune"),
                              .object = SLICE("log"),
                              .content = slice_of(content) };
    if (audit_put(q, &r, 0, out) != ERR_OK)
        die("put");
    ++*out;
}

int main(int argc, char **argv)
{
    char dir[4096], key[4096], seal[4096];
    struct ed25519 *signer = NULL;
    struct audit_log *log = NULL;
    struct audit_queue *q = NULL;
    unsigned out = 0;
    long days = argc == 4 || argc == 6 ? strtol(argv[3], NULL, 10) : 0;
    if (days < 1 || crypto_init(NULL) != ERR_OK)
        die("usage: sluice-aged NODE-FOLDER ORIGIN DAYS [BEFORE AHEAD]");
    snprintf(dir, sizeof dir, "%s/log", argv[1]);
    snprintf(key, sizeof key, "%s/keys/log.key", argv[1]);
    if (ed25519_load(key, &signer, NULL) != ERR_OK)
        die("no key");
    snprintf(seal, sizeof seal, "%s/keys/keeper.state", argv[1]); /* the keeper's memory begins before the log does */
    struct signer s = ed25519_signer(signer);
    if (audit_seal_create(seal, slice_of(argv[2]), &s, NULL) != ERR_OK)
        die("cannot make the keeper's state");
    struct audit_config c = {
        .dir = dir, .origin = slice_of(argv[2]), .signer = ed25519_signer(signer), .epoch = 1, .segment_bytes = SEGMENT
    };
    if (audit_open(&c, &log, NULL) != ERR_OK || audit_queue_new(log, 1 << 20, on_done, &q) != ERR_OK ||
        audit_start(log) != ERR_OK)
        die("cannot open the log");
    int64_t begin = clock_wall_ms() - days * day_ms;
    for (long d = 0; d < days - 1; d++)
        for (int i = 0; i < A_DAY; i++) {
            settle(q, &out, OUTSTANDING);
            put_exchange(q, begin + d * day_ms + i * 3600000, &out);
        }
    if (argc == 6)
        put_prune(q, argv[4], argv[5], &out);
    settle(q, &out, 0);
    audit_queue_free(q);
    audit_close(log);
    ed25519_free(signer);
    return 0;
}

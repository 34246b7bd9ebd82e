/* Requests as a daemon that was taken over would send them: the first byte chooses side and verb, the rest is the body.
 * Must hold: every request gets one reply of a known form; a signed checkpoint is what was signed last and never
 * smaller than before, nor another for the same size; a signed certificate is none of another domain's. */
#include "gateway/keeper_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DOMAIN "data.city.example"

static struct keeper_room room;

#define must(holds) ((holds) ? (void)0 : (fprintf(stderr, "line %d\n", __LINE__), abort()))

static void open_room(void)
{
    static char dir[] = "/tmp/sluice-fuzz-keeper-XXXXXX";
    static char log[64], key[96];
    struct keeper_config c = {
        .state_dir = dir, .log_dir = log, .trust_domain = DOMAIN, .origin = SLICE(DOMAIN "/log/x")
    };

    must(mkdtemp(dir) != NULL);
    snprintf(log, sizeof log, "%s/keys", dir);
    snprintf(key, sizeof key, "%s/log.key", log);
    must(crypto_init(NULL) == ERR_OK);
    must(dir_make(log, 0700, NULL) == ERR_OK);
    must(ed25519_generate(key, NULL) == ERR_OK);
    must(certs_ca_create(dir, DOMAIN, clock_wall_ms(), NULL) == ERR_OK);
    must(keeper_room_open(&c, &room, NULL) == ERR_OK);
}

static void check(uint32_t verb, struct slice body, const struct buf *out, uint64_t size_before,
                  const struct sha256 *root_before)
{
    uint64_t size, code;
    struct sha256 root;

    must(out->failed == ERR_OK && out->n >= KEEPER_FRAME);
    code = keeper_get(out->p, 4);
    must(code < ERR_COUNT_ && keeper_get(out->p + 4, 4) == out->n - KEEPER_FRAME && keeper_get(out->p + 8, 4) == 7);
    audit_seal_last(room.seal, &size, &root);
    must(size >= size_before && (size > size_before || memcmp(&root, root_before, sizeof root) == 0));
    if (code != ERR_OK)
        must(memchr(out->p + KEEPER_FRAME, '\0', out->n - KEEPER_FRAME) != NULL && size == size_before);
    else if (verb == KEEPER_CHECKPOINT)
        must(out->n == KEEPER_FRAME + ED25519_SIG && keeper_get(body.p, 8) == size &&
             memcmp(body.p + 8, &root, sizeof root) == 0);
    else if (verb == KEEPER_LEAF)
        must(memmem(body.p, body.n, "spiffe://" DOMAIN "/dept/", sizeof "spiffe://" DOMAIN "/dept/" - 1) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf out = BUF_INIT(KEEPER_REPLY_MAX);
    struct keeper_ask q = { .number = 7 };
    struct slice body;
    struct sha256 root;
    uint64_t size;
    bool skip;

    if (room.key == NULL)
        open_room();
    if (n < 1)
        return 0;
    body = slice_make(data + 1, n - 1);
    audit_seal_last(room.seal, &size, &root);
    q.side = (enum keeper_side)((data[0] & 1) + 2 * (data[0] >> 7)) % KEEPER_SIDES;
    q.verb = data[0] >> 1 & 63;
    q.length = (uint32_t)body.n;
    (void)keeper_may_read(&q, &out, &skip);
    buf_clear(&out);
    keeper_answer(&room, &q, body.p, &out);
    check(q.verb, body, &out, size, &root);
    buf_done(&out);
    return 0;
}

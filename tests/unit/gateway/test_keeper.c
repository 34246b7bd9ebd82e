/* The keeper from the daemon's side of the sockets, taken over: a real keeper is forked, and raw bytes are sent to it.
 * No forked checkpoint, no CA, no foreign name, no list that forgets is signed, also by one that was started again; no
 * bytes end it, and this process never holds the keys. */
#include "keeper_world.h"
#include "tests/unit/until.h"

static void a_forked_checkpoint(void **state)
{
    (void)state;
    struct sha256 a = leaf_hash("a"), b = leaf_hash("b"), x = leaf_hash("x");
    struct sha256 ab = node_hash(a, b), xb = node_hash(x, b), none = { 0 };

    assert_int_equal(checkpoint_of(1, &a, NULL, 0), ERR_OK);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(checkpoint_of(1, &x, NULL, 0), ERR_CONFLICT); /* the same size, another root */
        assert_int_equal(checkpoint_of(2, &xb, &b, 1), ERR_CONFLICT);  /* another first record */
        assert_int_equal(checkpoint_of(2, &ab, NULL, 0), ERR_CONFLICT);
        assert_int_equal(checkpoint_of(2, &ab, &none, 1), ERR_CONFLICT);
        assert_int_equal(checkpoint_of(0, &none, NULL, 0), ERR_INVALID);
        assert_int_equal(checkpoint_of(UINT64_MAX, &ab, &b, 1), ERR_INVALID);
        restart();
    }
    assert_int_equal(checkpoint_of(2, &ab, &b, 1), ERR_OK);
    assert_int_equal(checkpoint_of(2, &ab, NULL, 0), ERR_OK); /* the same one again */
    for (int again = 0; again < 2; again++) {
        assert_int_equal(checkpoint_of(1, &a, NULL, 0), ERR_CONFLICT); /* smaller */
        assert_int_equal(checkpoint_of(2, &xb, NULL, 0), ERR_CONFLICT);
        restart();
    }
    assert_int_equal(w.k->size, 2); /* what it told the daemon at the start */
    assert_memory_equal(w.k->root.b, ab.b, SHA256_LEN);
}

/* Taking its memory away does not make it forget while a log is there. */
static void without_its_state(void **state)
{
    (void)state;
    struct sha256 a = leaf_hash("a");

    assert_int_equal(checkpoint_of(1, &a, NULL, 0), ERR_OK);
    assert_int_equal(file_write(in_dir("log/checkpoint"), SLICE("any"), 0600, NULL), ERR_OK);
    w.k = keeper_stop(w.k);
    assert_int_equal(unlink(in_dir("keys/keeper.state")), 0);
    assert_int_equal(start(), ERR_NOT_FOUND);
    assert_null(w.k);
    assert_non_null(strstr(w.d.first->what[LANG_EN], "backup"));
    assert_int_equal(file_write(in_dir("keys/keeper.state"), SLICE("any"), 0600, NULL), ERR_OK);
    assert_int_equal(start(), ERR_CORRUPT);
}

/* ---- certificates ---- */
static enum err leaf_of(struct slice uri, struct slice csr, unsigned days, struct buf *out)
{
    struct buf body = BUF_INIT(1 << 20);
    enum err e;

    keeper_put(&body, days, 4);
    put_text(&body, uri);
    put_text(&body, SLICE("name"));
    buf_put(&body, csr);
    e = raw(KEEPER_CONTROL, KEEPER_LEAF, (uint32_t)body.n, buf_slice(&body), out);
    buf_done(&body);
    return e;
}

/* A request that wants to be a CA of another domain. */
static const char ca_request[] = "-----BEGIN CERTIFICATE REQUEST-----\n"
                                 "MIIBOjCB4QIBADAfMQ4wDAYDVQQKDAVvdGhlcjENMAsGA1UEAwwEcm9vdDBZMBMG\n"
                                 "ByqGSM49AgEGCCqGSM49AwEHA0IABJHIB0iK0MIinMmX9CvBGgHJZyJ4LyQ2cqMz\n"
                                 "ch0RtTy9g9zO/0pFlKjbeopjTcoFQUwbIyhKY3lfU/BBb2+lyCagYDBeBgkqhkiG\n"
                                 "9w0BCQ4xUTBPMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMCwGA1Ud\n"
                                 "EQQlMCOGIXNwaWZmZTovL290aGVyLmV4YW1wbGUvZ2F0ZXdheS9ndzAKBggqhkjO\n"
                                 "PQQDAgNIADBFAiEAjuArFkMyQA+fHZ81eL/7kqBw0jDue5GWVuxafh1+c3ECIG8B\n"
                                 "g/VfFrLU5sb9jAqAHErS3XZVCh32ETY0WxC3MLlz\n"
                                 "-----END CERTIFICATE REQUEST-----\n";

static void no_ca_is_signed(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1 << 20), der = BUF_INIT(1 << 20), text = BUF_INIT(1 << 20);
    struct slice pem, line;

    assert_int_equal(leaf_of(SLICE("spiffe://" DOMAIN "/dept/edu/app/x"), slice_of(ca_request), 365, &out), ERR_OK);
    pem = slice_sub(buf_slice(&out), KEEPER_ISSUED, out.n);
    slice_cut(&pem, '\n');
    while (line = slice_cut(&pem, '\n'), !slice_starts(line, SLICE("-----")))
        buf_put(&text, line);
    assert_int_equal(base64_read(buf_slice(&text), &der), ERR_OK);
    /* basicConstraints, critical: an empty sequence is CA:FALSE; and the request's own words are not there */
    assert_true(holds(buf_slice(&der), SLICE("\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00")));
    assert_false(holds(buf_slice(&der), SLICE("\x04\x05\x30\x03\x01\x01\xff")));
    assert_false(holds(buf_slice(&der), SLICE("other.example")));
    assert_true(holds(buf_slice(&der), SLICE("spiffe://" DOMAIN "/dept/edu/app/x")));
    buf_done(&out);
    buf_done(&der);
    buf_done(&text);
}

static void no_foreign_name_is_signed(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        unsigned days;
        enum err want;
    } cases[] = {
        { "spiffe://" DOMAIN "/dept/edu/app/x", 365, ERR_OK },
        { "spiffe://" DOMAIN "/dept/edu/person/li", 1, ERR_OK },
        { "spiffe://other.example/dept/edu/app/x", 365, ERR_INVALID },
        { "spiffe://" DOMAIN ".evil/dept/edu/app/x", 365, ERR_INVALID },
        { "spiffe://" DOMAIN "/gateway/gw1", 365, ERR_INVALID },
        { "spiffe://" DOMAIN, 365, ERR_INVALID },
        { "spiffe://" DOMAIN "/dept/edu/app/x/y", 365, ERR_INVALID },
        { "", 365, ERR_INVALID },
        { "spiffe://" DOMAIN "/dept/edu/app/x", 367, ERR_INVALID },
        { "spiffe://" DOMAIN "/dept/edu/app/x", 0, ERR_INVALID },
        { "spiffe://" DOMAIN "/dept/edu/app/x", UINT32_MAX, ERR_INVALID },
    };
    struct buf out = BUF_INIT(1 << 20);

    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            assert_int_equal(leaf_of(slice_of(cases[i].uri), buf_slice(&w.csr), cases[i].days, &out), cases[i].want);
        restart();
    }
    w.csr.p[w.csr.n / 2] ^= 1; /* a request that its own key did not sign */
    assert_int_not_equal(leaf_of(slice_of(cases[0].uri), buf_slice(&w.csr), 365, &out), ERR_OK);
    buf_done(&out);
}

static enum err list_of(const char *serials, unsigned hours, struct buf *out)
{
    struct buf body = BUF_INIT(1 << 20);
    enum err e;

    keeper_put(&body, 1, 8);
    keeper_put(&body, hours, 4);
    for (; *serials; serials++) {
        buf_putc(&body, 1);
        buf_putc(&body, *serials);
        for (int i = 1; i < 20; i++)
            buf_putc(&body, 0);
        keeper_put(&body, (uint64_t)clock_wall_ms(), 8);
    }
    e = raw(KEEPER_CONTROL, KEEPER_LIST, (uint32_t)body.n, buf_slice(&body), out);
    if (e == ERR_OK)
        assert_int_equal(file_write(in_dir("ca/crl.pem"), buf_slice(out), 0644, NULL), ERR_OK);
    buf_done(&body);
    return e;
}

static void no_list_that_forgets(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1 << 20);

    assert_int_equal(list_of("", 48, &out), ERR_OK);
    assert_int_equal(list_of("b", 48, &out), ERR_OK);
    assert_int_equal(list_of("abc", 48, &out), ERR_OK);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(list_of("ac", 48, &out), ERR_CONFLICT);
        assert_int_equal(list_of("", 48, &out), ERR_CONFLICT);
        assert_int_equal(list_of("abc", 169, &out), ERR_INVALID);
        assert_int_equal(list_of("abc", 0, &out), ERR_INVALID);
        restart();
    }
    assert_int_equal(list_of("cbad", 48, &out), ERR_OK);
    buf_done(&out);
}

/* ---- bytes ---- */
static void wrong_requests_are_refused(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1 << 17), many = BUF_INIT(1 << 17);
    struct sha256 a = leaf_hash("a");

    for (int i = 0; i < 4096; i++)
        buf_putc(&many, (char)i);
    for (uint32_t verb = 0; verb < 20; verb++)
        for (uint32_t n = 0; n < 100; n += 7)
            for (enum keeper_side side = 0; side < KEEPER_SIDES; side++) {
                enum err e = raw(side, verb, n, slice_sub(buf_slice(&many), 0, n), &out);
                assert_int_not_equal(e, ERR_OK);
                assert_int_not_equal(e, ERR_CLOSED);
            }
    assert_int_equal(raw(KEEPER_CONTROL, KEEPER_CHECKPOINT, 40, slice_sub(buf_slice(&many), 0, 40), &out), ERR_DENIED);
    assert_int_equal(raw(KEEPER_LOG, KEEPER_LEAF, 40, slice_sub(buf_slice(&many), 0, 40), &out), ERR_DENIED);
    assert_int_equal(raw(KEEPER_LOG, 0x70656d, 8, SLICE("signthis"), &out), ERR_UNSUPPORTED);
    /* a length that no verb has ends this side and only this */
    assert_int_equal(raw(KEEPER_CONTROL, KEEPER_LIST, UINT32_MAX, SLICE("x"), &out), ERR_TOO_LARGE);
    assert_int_equal(raw(KEEPER_CONTROL, KEEPER_LIST, 12, slice_sub(buf_slice(&many), 0, 12), &out), ERR_CLOSED);
    assert_int_equal(checkpoint_of(1, &a, NULL, 0), ERR_OK);
    buf_done(&out);
    buf_done(&many);
}

/* ---- the daemon's side ---- */
static void the_calls(void **state)
{
    (void)state;
    struct audit_notary n = keeper_notary(w.k);
    const struct certs_hand *hand = keeper_hand(w.k);
    struct sha256 a = leaf_hash("a"), b = leaf_hash("b");
    struct audit_continuation one = { .size = 1, .root = a, .wait_ms = 20000 },
                              fork = { .size = 1, .root = b, .wait_ms = 20000 };
    struct certs_issued issued;
    struct certs_ca *ca = NULL;
    struct audit_signatures sig;
    struct buf text = BUF_INIT(1024);

    assert_int_equal(n.sign(n.self, &one, &sig), ERR_OK);
    buf_puts(&text, ORIGIN "\n1\n");
    base64_put(&text, slice_make(a.b, SHA256_LEN));
    buf_putc(&text, '\n');
    assert_true(ed25519_verify(keeper_public_key(w.k).public_key, buf_slice(&text),
                               slice_make(sig.ed25519, sizeof sig.ed25519)));
    assert_int_equal(n.sign(n.self, &fork, &sig), ERR_CONFLICT);
    assert_int_equal(keeper_state(w.k), KEEPER_REFUSES);
    assert_int_equal(gate_reason(&w.gate), REASON_EVIDENCE_UNSIGNED);
    assert_int_equal(n.sign(n.self, &one, &sig), ERR_OK);
    assert_int_equal(keeper_state(w.k), KEEPER_SIGNS);
    assert_int_equal(gate_reason(&w.gate), REASON_GRANTED);
    assert_non_null(hand);
    assert_int_equal(certs_ca_open_without_key(w.dir, DOMAIN, hand, &ca, &w.d), ERR_OK);
    assert_int_equal(certs_sign(ca, buf_slice(&w.csr), SLICE("spiffe://" DOMAIN "/dept/edu/app/x"), SLICE("x"), 30,
                                clock_wall_ms(), &w.a, &issued, &w.d),
                     ERR_OK);
    assert_int_equal(strlen(issued.digest), 64);
    assert_int_equal(issued.not_after / 86400000, clock_wall_ms() / 86400000 + 30);
    assert_true(slice_starts(issued.pem, SLICE("-----BEGIN CERTIFICATE")));
    assert_int_equal(certs_sign(ca, SLICE("no request"), SLICE("spiffe://" DOMAIN "/dept/edu/app/x"), SLICE("x"), 30,
                                clock_wall_ms(), &w.a, &issued, &w.d),
                     ERR_SYNTAX);
    assert_non_null(strstr(w.d.first->what[LANG_EN], "sluice cert request"));
    assert_non_null(strstr(w.d.first->what[LANG_ZH], "证书请求"));
    certs_ca_free(ca);
    buf_done(&text);
}

static void the_keeper_is_killed(void **state)
{
    (void)state;
    struct audit_notary n = keeper_notary(w.k);
    const struct certs_hand *hand = keeper_hand(w.k);
    struct sha256 a = leaf_hash("a");
    struct audit_continuation one = { .size = 1, .root = a };
    struct certs_issued issued;
    struct pollfd p = { .fd = keeper_fd(w.k), .events = POLLIN };
    struct audit_signatures sig;

    keeper_look(w.k); /* nothing has happened yet */
    assert_int_equal(keeper_state(w.k), KEEPER_SIGNS);
    assert_int_equal(kill(w.k->pid, SIGKILL), 0);
    assert_int_equal(poll(&p, 1, 10000), 1);
    keeper_look(w.k);
    assert_int_equal(keeper_state(w.k), KEEPER_GONE);
    assert_int_equal(gate_reason(&w.gate), REASON_EVIDENCE_UNSIGNED);
    assert_int_equal(n.sign(n.self, &one, &sig), ERR_CLOSED);
    assert_int_equal(hand->leaf(hand->self, buf_slice(&w.csr), SLICE("spiffe://" DOMAIN "/dept/edu/app/x"), SLICE("x"),
                                30, &w.a, &issued, &w.d),
                     ERR_CLOSED);
    assert_int_equal(gate_reason(&w.gate), REASON_EVIDENCE_UNSIGNED);
}

static bool is_dead(pid_t pid)
{
    char path[64], text[256] = "";
    int stat;

    if (kill(pid, 0) != 0)
        return true;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    stat = open(path, O_RDONLY);
    if (stat < 0)
        return true;
    bool zombie = read(stat, text, sizeof text - 1) > 0 && strstr(text, ") Z ") != NULL; /* nobody here reaps it */
    close(stat);
    return zombie;
}

/* A daemon that is killed takes its keeper along. */
static void the_daemon_is_killed(void **state)
{
    (void)state;
    int fd[2], pid = 0;
    char byte;

    w.k = keeper_stop(w.k);
    assert_int_equal(pipe(fd), 0);
    pid_t daemon = fork();
    if (daemon == 0) {
        if (start() != ERR_OK || write(fd[1], &w.k->pid, sizeof w.k->pid) != sizeof w.k->pid)
            _exit(1);
        pause();
        _exit(0);
    }
    close(fd[1]);
    assert_int_equal(read(fd[0], &pid, sizeof pid), sizeof pid);
    assert_int_equal(kill(pid, 0), 0);
    kill(daemon, SIGKILL);
    waitpid(daemon, NULL, 0);
    assert_int_equal(read(fd[0], &byte, 1), 0);
    close(fd[0]);
    UNTIL(is_dead(pid));
}

/* ---- memory ---- */
/* Does any memory of this process hold these bytes? `mask` keeps the needle itself from being found. */
static bool memory_holds(const uint8_t *masked, size_t n, uint8_t mask)
{
    static uint8_t piece[1 << 20]; /* found in itself: left out below */
    FILE *maps = fopen("/proc/self/maps", "r");
    int fd = open("/proc/self/mem", O_RDONLY);
    char line[512];
    bool found = false;

    assert_true(maps && fd >= 0);
    while (!found && fgets(line, sizeof line, maps)) {
        char *end, *rest;
        uint64_t from = strtoull(line, &end, 16), to = strtoull(end + 1, &rest, 16);
        if (rest[1] != 'r' || rest[2] != 'w' || to - from > (uint64_t)4 << 30) /* a sanitizer's shadow */
            continue;
        for (uint64_t at = from; !found && at < to;) {
            size_t want = to - at < sizeof piece ? (size_t)(to - at) : sizeof piece;
            if (at >= (uintptr_t)piece && at < (uintptr_t)piece + sizeof piece) {
                at = (uintptr_t)piece + sizeof piece;
                continue;
            }
            if (at < (uintptr_t)piece && at + want > (uintptr_t)piece)
                want = (size_t)((uintptr_t)piece - at);
            ssize_t got = pread(fd, piece, want, (off_t)at);
            if (got <= 0)
                break;
            for (ssize_t i = 0; !found && i + (ssize_t)n <= got; i++) {
                size_t k = 0;
                while (k < n && (piece[i + (ssize_t)k] ^ mask) == masked[k])
                    k++;
                found = k == n;
            }
            at += got > (ssize_t)n && (uint64_t)got < to - at ? (uint64_t)got - n + 1 : (uint64_t)got;
        }
    }
    fclose(maps);
    close(fd);
    memset(piece, 0, sizeof piece);
    return found;
}

/* The last base64 line of the key's file, masked at once: the daemon would hold it if it had read the file, and its raw
 * form if it had parsed it. */
static size_t needle(const char *path, uint8_t raw_masked[32], uint8_t mask)
{
    struct buf text = BUF_INIT(4096), der = BUF_INIT(4096);
    struct slice rest;

    assert_true(buf_reserve(&text, 4096) && buf_reserve(&der, 4096));
    assert_int_equal(file_read(path, &text, NULL), ERR_OK);
    rest = buf_slice(&text);
    slice_cut(&rest, '\n');
    assert_int_equal(base64_read(slice_cut(&rest, '\n'), &der), ERR_OK);
    assert_true(der.n >= 48); /* RFC 8410: the seed is the last 32 bytes */
    for (size_t i = 0; i < 32; i++)
        raw_masked[i] = (uint8_t)der.p[der.n - 32 + i] ^ mask;
    mem_wipe(text.p, text.room);
    mem_wipe(der.p, der.room);
    buf_done(&text);
    buf_done(&der);
    return 32;
}

static void this_process_has_no_key(void **state)
{
    (void)state;
    uint8_t masked[32], mask = 0x5a;
    struct sha256 a = leaf_hash("a");
    struct ed25519 *own = NULL;
    struct buf out = BUF_INIT(1 << 20);

    assert_int_equal(checkpoint_of(1, &a, NULL, 0), ERR_OK);
    assert_int_equal(leaf_of(SLICE("spiffe://" DOMAIN "/dept/edu/app/x"), buf_slice(&w.csr), 365, &out), ERR_OK);
    size_t n = needle(in_dir("keys/log.key"), masked, mask);
    assert_false(memory_holds(masked, n, mask));
    assert_int_equal(ed25519_load(in_dir("keys/log.key"), &own, NULL), ERR_OK);
    assert_true(memory_holds(masked, n, mask)); /* the search finds a key that is there */
    ed25519_free(own);
    buf_done(&out);
}

static void make_gateway(void)
{
    int status = 1;
    pid_t maker = fork();

    if (maker == 0) {
        struct certs_issued c;
        struct certs_ca *ca = NULL;
        bool made = certs_ca_open(w.dir, DOMAIN, &ca, NULL) == ERR_OK &&
                    certs_sign_gateway(ca, buf_slice(&w.csr), SLICE("spiffe://" DOMAIN "/gateway/gw1"),
                                       SLICE("gw1.example"), 9, clock_wall_ms(), &w.a, &c, NULL) == ERR_OK &&
                    file_write(in_dir("keys/gateway.pem"), c.pem, 0644, NULL) == ERR_OK;
        _exit(!made);
    }
    assert_int_equal(waitpid(maker, &status, 0), maker);
    assert_int_equal(status, 0);
}

/* The gateway's certificate is made anew as the keeper found it at its start, whoever asks; of another's, none is. */
static void the_gateways_own_once_more(void **state)
{
    (void)state;
    const struct certs_hand *hand = keeper_hand(w.k);
    struct certs_issued c = { 0 };

    assert_int_equal(hand->gateway(hand->self, 90, &w.a, &c, &w.d), ERR_UNSUPPORTED); /* none was there */
    make_gateway();
    assert_int_equal(hand->gateway(hand->self, 90, &w.a, &c, &w.d), ERR_UNSUPPORTED); /* it opens no file any more */
    restart();
    hand = keeper_hand(w.k);
    assert_int_equal(hand->gateway(hand->self, 90, &w.a, &c, &w.d), ERR_OK);
    assert_true(c.not_after > clock_wall_ms() + 89ll * 86400000 && slice_starts(c.pem, SLICE("-----BEGIN")));
    assert_int_equal(hand->gateway(hand->self, 400, &w.a, &c, &w.d), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEEPER_TEST(a_forked_checkpoint),
        KEEPER_TEST(without_its_state),
        KEEPER_TEST(no_ca_is_signed),
        KEEPER_TEST(no_foreign_name_is_signed),
        KEEPER_TEST(no_list_that_forgets),
        KEEPER_TEST(wrong_requests_are_refused),
        KEEPER_TEST(the_calls),
        KEEPER_TEST(the_keeper_is_killed),
        KEEPER_TEST(the_daemon_is_killed),
        KEEPER_TEST(the_gateways_own_once_more),
        KEEPER_TEST(this_process_has_no_key),
    };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

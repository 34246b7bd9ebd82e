/* The daemon's side of the keeper: the fork, and a call for each verb. Each line (keeper_line.h) belongs to one thread,
 * so nothing is locked. A keeper that does not answer, because the disk under its state stands still for instance, is
 * waited for without being waited on: the reply stays owed, the next call for the same thing takes it, and a call for
 * anything else is refused until it has come. */
#include "gateway/keeper.h"
#include "gateway/keeper_line.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_MS = 60000,
    CALL_MS = 10000, /* the control thread waits so long; without a reply for longer the keeper is slow */
    SEND_MS = 250,   /* for the rest of a long request, once the keeper takes it again */
    END_MS = 5000,
    END_STEP_MS = 10,
    SMALL_REPLY = 64 << 10
};

struct keeper {
    pid_t pid; /* 0: has been waited for */
    struct keeper_line line[KEEPER_SIDES];
    struct gate *gate; /* bor */
    struct certs_hand hand;
    bool has_ca;
    uint8_t public_key[ED25519_PUB];
    bool has_sm2;
    uint8_t sm2_key[SM2_PUB];
    uint64_t size; /* of the last checkpoint that it had signed at the start */
    struct sha256 root;
    struct {
        uint64_t size;
        struct sha256 root;
    } asked; /* the checkpoint whose signature was asked for last */
    _Atomic bool gone, refuses, told_slow;
};

/* ---- calls ---- */
static void is_gone(struct keeper *k)
{
    bool known = atomic_exchange(&k->gone, true); /* first: see sign_checkpoint */

    atomic_store(&k->gate->unsigned_, true);
    if (!known)
        log_event(LOG_ERROR, "keeper-gone", "what", "nothing can be signed and no exchange begins: start sluiced again",
                  NULL);
}

int64_t keeper_slow_ms(const struct keeper *k)
{
    int64_t longest = 0;

    for (int i = 0; i < KEEPER_SIDES; i++) {
        int64_t since = atomic_load(&k->line[i].since), ms = since == 0 ? 0 : clock_mono_ms() - since;
        longest = ms > longest ? ms : longest;
    }
    return longest < CALL_MS ? 0 : longest;
}

static void tell_slow(struct keeper *k)
{
    bool slow = keeper_slow_ms(k) > 0;

    if (atomic_exchange(&k->told_slow, slow) == slow)
        return;
    if (slow)
        log_event(LOG_ERROR, "keeper-slow", "what", "it does not answer, is its disk there? It is asked on", NULL);
    else
        log_event(LOG_INFO, "keeper-answers", NULL);
}

/* ERR_OK: the reply has come, *code and `out` are its; ERR_AGAIN: it is owed. */
static enum err await(struct keeper *k, enum keeper_side side, int64_t ms, enum err *code, struct buf *out)
{
    enum err e = atomic_load(&k->gone) ? ERR_CLOSED : keeper_line_wait(&k->line[side], ms, code, out);

    tell_slow(k);
    if (e == ERR_CLOSED)
        is_gone(k);
    return e;
}

/* A reply that is owed to a call that gave up is dropped when it comes. ERR_AGAIN: it has not. */
static enum err drop_owed(struct keeper *k, enum keeper_side side)
{
    struct keeper_line *l = &k->line[side];
    struct buf nobody = BUF_INIT(KEEPER_REPLY_MAX);
    enum err e = ERR_OK, code;

    if (l->owed)
        e = await(k, side, l->sent < l->out.n ? SEND_MS : 0, &code, &nobody);
    buf_done(&nobody);
    return e == ERR_AGAIN || e == ERR_CLOSED ? e : ERR_OK;
}

/* A call whose reply, late, is of no use to anybody: into `out` what the verb says or the reason of a refusal, whose
 * code is returned. ERR_CLOSED: the keeper has ended; ERR_AGAIN: it does not answer in time, or owes the reply to
 * another. */
static enum err call_for(struct keeper *k, enum keeper_side side, enum keeper_verb verb, struct slice body,
                         int64_t wait_ms, struct buf *out)
{
    enum err e = drop_owed(k, side), code = ERR_CLOSED;

    if (e == ERR_OK && keeper_slow_ms(k) > 0)
        return ERR_AGAIN; /* it stands still for the log: nobody waits for nothing */
    if (e == ERR_OK)
        e = keeper_line_ask(&k->line[side], verb, body);
    if (e == ERR_OK || e == ERR_CLOSED)
        e = await(k, side, wait_ms, &code, out);
    return e == ERR_OK ? code : e;
}

static enum err call(struct keeper *k, enum keeper_verb verb, struct slice body, struct buf *out)
{
    return call_for(k, KEEPER_CONTROL, verb, body, CALL_MS, out);
}

/* The reason of a refusal, "English NUL Chinese" in the reply, into d. */
static enum err told(enum err e, struct buf *reply, struct diags *d)
{
    struct slice zh, en;

    if (e == ERR_CLOSED)
        return diag_add(d, e, 0, 0,
                        "the keeper process has ended: nothing can be signed until sluiced is started again",
                        "保管进程已结束：重新启动 sluiced 之前无法签名");
    if (e == ERR_AGAIN)
        return diag_add(d, e, 0, 0, "the keeper process does not answer: try again when /readyz?verbose says it signs",
                        "保管进程未应答：待 /readyz?verbose 显示可签名后重试");
    buf_putc(reply, '\0');
    if (reply->failed != ERR_OK)
        return reply->failed;
    zh = buf_slice(reply);
    en = slice_cut(&zh, '\0');
    return diag_add(d, e, 0, 0, "%s%.0s", "%.0s%s", en.p, zh.n > 0 ? zh.p : en.p);
}

/* ---- verbs ---- */
static bool was_asked(const struct keeper *k, const struct audit_continuation *c)
{
    return k->asked.size == c->size && memcmp(&k->asked.root, &c->root, sizeof c->root) == 0;
}

static enum err ask_checkpoint(struct keeper *k, const struct audit_continuation *c)
{
    struct buf body = BUF_INIT(8 + SHA256_LEN * (1 + AUDIT_HASHES_MAX));
    enum err e;

    keeper_put(&body, c->size, 8);
    buf_put(&body, slice_make(c->root.b, SHA256_LEN));
    buf_put(&body, slice_make(c->proof, c->n * SHA256_LEN));
    e = body.failed == ERR_OK ? keeper_line_ask(&k->line[KEEPER_LOG], KEEPER_CHECKPOINT, buf_slice(&body))
                              : body.failed;
    k->asked.size = c->size;
    k->asked.root = c->root;
    buf_done(&body);
    return e;
}

/* A late reply counts when it is to this very question. */
static enum err await_checkpoint(struct keeper *k, const struct audit_continuation *c, struct buf *out)
{
    enum err e = ERR_OK, code = ERR_CLOSED;

    if (k->line[KEEPER_LOG].owed && !was_asked(k, c))
        e = drop_owed(k, KEEPER_LOG);
    if (e == ERR_OK && !k->line[KEEPER_LOG].owed)
        e = ask_checkpoint(k, c);
    if (e == ERR_OK || e == ERR_CLOSED)
        e = await(k, KEEPER_LOG, c->wait_ms, &code, out);
    return e == ERR_OK ? code : e;
}

static enum err sign_checkpoint(void *self, const struct audit_continuation *c, struct audit_signatures *ret)
{
    struct keeper *k = self;
    struct buf out = BUF_INIT(SMALL_REPLY);
    enum err e = await_checkpoint(k, c, &out);

    ret->has_sm2 = k->has_sm2;
    if (e == ERR_OK && out.n != (k->has_sm2 ? ED25519_SIG + SM2_SIG : ED25519_SIG))
        e = ERR_CRYPTO;
    if (e == ERR_OK)
        memcpy(ret->ed25519, out.p, ED25519_SIG);
    if (e == ERR_OK && k->has_sm2)
        memcpy(ret->sm2, out.p + ED25519_SIG, SM2_SIG);
    if (e != ERR_OK && e != ERR_CLOSED && e != ERR_AGAIN && !atomic_exchange(&k->refuses, true)) {
        buf_putc(&out, '\0');
        log_event(LOG_ERROR, "checkpoint-refused", "result", err_name(e), "why", out.p, NULL);
    }
    if (e != ERR_AGAIN || keeper_slow_ms(k) > 0)
        atomic_store(&k->gate->unsigned_, e != ERR_OK);
    if (atomic_load(&k->gone)) /* the control thread may have seen its end, and closed the gate, since the reply came */
        atomic_store(&k->gate->unsigned_, true);
    if (e == ERR_OK && atomic_exchange(&k->refuses, false))
        log_event(LOG_INFO, "checkpoint-signed", NULL);
    buf_done(&out);
    return e;
}

enum err keeper_cosign(struct keeper *k, struct slice body, int64_t wait_ms, struct keeper_cosigned *ret,
                       struct buf *out)
{
    struct buf all = BUF_INIT(SMALL_REPLY);
    enum err e = call_for(k, KEEPER_WITNESS, KEEPER_COSIGN, body, wait_ms, &all);

    if (e == ERR_OK && all.n < KEEPER_COSIGNED)
        e = ERR_CRYPTO;
    if (e == ERR_OK) {
        ret->status = (int)keeper_get(all.p, 2);
        ret->fault = all.p[2] == AUDIT_FAULT_FORKED ? AUDIT_FAULT_FORKED
                     : all.p[2] != 0                ? AUDIT_FAULT_UNPROVED
                                                    : AUDIT_FAULT_NONE;
        ret->type = all.p[3] != 0 ? AUDIT_TYPE_SIZE : AUDIT_TYPE_TEXT;
        buf_put(out, slice_sub(buf_slice(&all), KEEPER_COSIGNED, all.n));
        e = out->failed;
    }
    buf_done(&all);
    return e;
}

static void put_text(struct buf *out, struct slice s)
{
    if (s.n > UINT16_MAX && out->failed == ERR_OK)
        out->failed = ERR_TOO_LARGE;
    keeper_put(out, s.n, 2);
    buf_put(out, s);
}

static enum err issued_read(struct slice reply, struct arena *a, struct certs_issued *ret)
{
    struct slice pem = slice_sub(reply, KEEPER_ISSUED, reply.n);

    if (reply.n <= KEEPER_ISSUED || reply.p[16 + sizeof ret->serial - 1] != '\0' || reply.p[KEEPER_ISSUED - 1] != '\0')
        return ERR_CRYPTO;
    ret->not_before = (int64_t)keeper_get(reply.p, 8);
    ret->not_after = (int64_t)keeper_get(reply.p + 8, 8);
    memcpy(ret->serial, reply.p + 16, sizeof ret->serial);
    memcpy(ret->digest, reply.p + 16 + sizeof ret->serial, sizeof ret->digest);
    ret->pem = arena_dup(a, pem);
    return ret->pem.n == pem.n ? ERR_OK : ERR_NOMEM;
}

static enum err sign_leaf(void *self, struct slice csr_pem, struct slice uri, struct slice common_name, unsigned days,
                          struct arena *a, struct certs_issued *ret, struct diags *d)
{
    struct buf body = BUF_INIT(64 << 10), out = BUF_INIT(1 << 20);
    enum err e;

    keeper_put(&body, days, 4);
    put_text(&body, uri);
    put_text(&body, common_name);
    buf_put(&body, csr_pem);
    if (body.failed != ERR_OK)
        e = diag_add(d, body.failed, 0, 0, "the certificate request is too large", "证书请求过大");
    else if ((e = call(self, KEEPER_LEAF, buf_slice(&body), &out)) == ERR_OK)
        e = issued_read(buf_slice(&out), a, ret);
    else
        e = told(e, &out, d);
    buf_done(&body);
    buf_done(&out);
    return e;
}

static enum err sign_gateway(void *self, unsigned days, struct arena *a, struct certs_issued *ret, struct diags *d)
{
    struct buf body = BUF_INIT(4), out = BUF_INIT(1 << 20);
    enum err e;

    keeper_put(&body, days, 4);
    e = body.failed == ERR_OK ? call(self, KEEPER_GATEWAY, buf_slice(&body), &out) : body.failed;
    e = e == ERR_OK ? issued_read(buf_slice(&out), a, ret) : told(e, &out, d);
    buf_done(&body);
    buf_done(&out);
    return e;
}

static enum err sign_list(void *self, uint64_t number, unsigned hours, const struct certs_revoked *at, size_t n,
                          struct buf *pem, struct diags *d)
{
    struct buf body = BUF_INIT(KEEPER_REQUEST_MAX), out = BUF_INIT(KEEPER_REPLY_MAX);
    enum err e;

    keeper_put(&body, number, 8);
    keeper_put(&body, hours, 4);
    for (size_t i = 0; i < n; i++) {
        keeper_put(&body, at[i].n, 1);
        buf_put(&body, slice_make(at[i].serial, sizeof at[i].serial));
        keeper_put(&body, (uint64_t)at[i].at, 8);
    }
    if (body.failed != ERR_OK)
        e = diag_add(d, body.failed, 0, 0, "the revocation list is too large for the keeper",
                     "吊销列表超出保管进程上限");
    else if ((e = call(self, KEEPER_LIST, buf_slice(&body), &out)) == ERR_OK)
        buf_put(pem, buf_slice(&out));
    else
        e = told(e, &out, d);
    buf_done(&body);
    buf_done(&out);
    return e == ERR_OK ? pem->failed : e;
}

/* ---- life ---- */
static enum err read_hello(struct keeper *k, struct diags *d)
{
    struct buf out = BUF_INIT(1 << 17);
    enum err code = ERR_CLOSED, e = await(k, KEEPER_CONTROL, START_MS, &code, &out);

    e = e == ERR_OK ? code : ERR_CLOSED;
    if (e == ERR_OK && out.n == KEEPER_HELLO) {
        memcpy(k->public_key, out.p, ED25519_PUB);
        k->has_ca = out.p[ED25519_PUB] != 0;
        k->size = keeper_get(out.p + ED25519_PUB + 1, 8);
        memcpy(k->root.b, out.p + ED25519_PUB + 9, SHA256_LEN);
        k->has_sm2 = out.p[KEEPER_HELLO - SM2_PUB - 1] != 0;
        memcpy(k->sm2_key, out.p + KEEPER_HELLO - SM2_PUB, SM2_PUB);
    } else if (e == ERR_CLOSED || e == ERR_OK) {
        e = diag_add(d, ERR_CLOSED, 0, 0, "the keeper process did not start", "保管进程未能启动");
    } else {
        e = told(e, &out, d);
    }
    buf_done(&out);
    return e;
}

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

static enum err fork_it(struct keeper *k, const struct keeper_config *c, struct diags *d)
{
    int pair[KEEPER_SIDES][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } }, theirs[KEEPER_SIDES], parent = getpid();
    bool made = true;

    for (int i = 0; i < KEEPER_SIDES; i++)
        made = made && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair[i]) == 0;
    for (int i = 0; i < KEEPER_SIDES; i++)
        theirs[i] = pair[i][1];
    k->pid = made ? fork() : -1;
    if (k->pid == 0)
        keeper_main(c, theirs, parent);
    if (k->pid < 0) {
        enum err e = diag_sys(d, errno, "cannot fork the keeper process", "无法创建保管进程");
        for (int i = 0; i < KEEPER_SIDES; i++)
            close_pair(pair[i]);
        k->pid = 0;
        return e;
    }
    for (int i = 0; i < KEEPER_SIDES; i++) {
        keeper_line_init(&k->line[i], pair[i][0]);
        close(pair[i][1]);
    }
    k->line[KEEPER_LOG].owed = k->line[KEEPER_WITNESS].owed = false; /* the hello comes on the control side */
    return ERR_OK;
}

enum err keeper_start(const struct keeper_config *c, struct keeper **ret, struct diags *d)
{
    struct keeper *k = mem_zalloc(sizeof *k);
    enum err e;

    if (k == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < KEEPER_SIDES; i++)
        k->line[i].fd = -1;
    k->gate = c->gate;
    k->hand = (struct certs_hand){ k, sign_leaf, sign_list, sign_gateway };
    e = fork_it(k, c, d);
    if (e == ERR_OK)
        e = read_hello(k, d);
    if (e == ERR_OK)
        *ret = k;
    else
        keeper_stop(k);
    return e;
}

/* True when it has ended; what it left behind is taken. */
static bool reap(struct keeper *k, int flags)
{
    if (k->pid != 0 && waitpid(k->pid, NULL, flags) == k->pid)
        k->pid = 0;
    return k->pid == 0;
}

struct keeper *keeper_stop(struct keeper *k)
{
    if (k == NULL)
        return NULL;
    for (int i = 0; i < KEEPER_SIDES; i++)
        keeper_line_done(&k->line[i]);
    for (int waited = 0; !reap(k, WNOHANG) && waited < END_MS; waited += END_STEP_MS)
        poll(NULL, 0, END_STEP_MS);
    if (k->pid != 0) {
        kill(k->pid, SIGKILL);
        reap(k, 0);
    }
    return mem_free(k);
}

/* ---- what it gives ---- */
static enum err sign_nothing(void *self, struct slice message, uint8_t sig[ED25519_SIG])
{
    (void)self, (void)message, (void)sig;
    return ERR_DENIED;
}

struct signer keeper_public_key(const struct keeper *k)
{
    struct signer s = { .sign = sign_nothing };

    memcpy(s.public_key, k->public_key, ED25519_PUB);
    return s;
}

struct audit_notary keeper_notary(struct keeper *k)
{
    struct audit_notary n = {
        .self = k, .sign = sign_checkpoint, .size = k->size, .root = k->root, .has_sm2 = k->has_sm2
    };

    memcpy(n.sm2_key, k->sm2_key, sizeof n.sm2_key);
    return n;
}

const struct certs_hand *keeper_hand(struct keeper *k)
{
    return k->has_ca ? &k->hand : NULL;
}

int keeper_fd(const struct keeper *k)
{
    return k->line[KEEPER_CONTROL].fd;
}

/* Between calls nothing comes but a late reply, or the end. */
void keeper_look(struct keeper *k)
{
    char byte;
    ssize_t n;

    if (drop_owed(k, KEEPER_CONTROL) == ERR_AGAIN)
        return;
    n = recv(keeper_fd(k), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    if (!atomic_load(&k->gone) && n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    shutdown(k->line[KEEPER_LOG].fd, SHUT_RDWR); /* the other threads must not wait for it */
    shutdown(k->line[KEEPER_WITNESS].fd, SHUT_RDWR);
    is_gone(k);
    reap(k, WNOHANG);
}

enum keeper_state keeper_state(const struct keeper *k)
{
    if (atomic_load(&k->gone))
        return KEEPER_GONE;
    if (keeper_slow_ms(k) > 0)
        return KEEPER_SLOW;
    return atomic_load(&k->refuses) ? KEEPER_REFUSES : KEEPER_SIGNS;
}

/* The keeper's table of verbs. Everything in a request is hostile: sizes first, then what the folders check anyway.
 * Invariant: nothing is signed but what audit_seal_sign, certs_sign, certs_gateway_renew and certs_list_sign make, with
 * this process's own clock. */
#include "gateway/keeper_wire.h"

#include <stdio.h>
#include <unistd.h>

enum { TEXTS_MAX = 64 << 10, ARENA_MAX = 4 << 20, HASH = SHA256_LEN, CHECKPOINT_MIN = 8 + HASH };

void keeper_put(struct buf *out, uint64_t v, unsigned n)
{
    while (n-- > 0)
        buf_putc(out, (char)(v >> (8 * n)));
}

uint64_t keeper_get(const char *p, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

/* ---- replies ---- */
static void reply(struct buf *out, uint32_t number, enum err e, struct slice body)
{
    keeper_put(out, e, 4);
    keeper_put(out, body.n, 4);
    keeper_put(out, number, 4);
    buf_put(out, body);
}

static void refuse(struct buf *out, uint32_t number, enum err e, const char *en, const char *zh)
{
    struct buf both = BUF_INIT(TEXTS_MAX);

    buf_puts(&both, en);
    buf_putc(&both, '\0');
    buf_puts(&both, zh);
    reply(out, number, e, buf_slice(&both));
    buf_done(&both);
}

void keeper_refusal(enum err e, const struct diags *d, uint32_t number, struct buf *out)
{
    if (d->first)
        refuse(out, number, e, d->first->what[LANG_EN], d->first->what[LANG_ZH]);
    else
        refuse(out, number, e, err_text(e), err_text(e));
}

/* ---- the verbs ---- */
static enum err checkpoint(struct keeper_room *r, struct slice body, struct buf *out, struct diags *d)
{
    struct sha256 proof[AUDIT_HASHES_MAX];
    struct audit_continuation c = { .size = keeper_get(body.p, 8), .proof = proof };
    const char *why[2] = { NULL, NULL };
    struct audit_signatures sig;
    enum err e;

    c.n = (body.n - CHECKPOINT_MIN) / HASH;
    memcpy(c.root.b, body.p + 8, HASH);
    memcpy(proof, body.p + CHECKPOINT_MIN, c.n * HASH);
    e = audit_seal_sign(r->seal, &c, &sig, why);
    if (e != ERR_OK)
        return why[LANG_EN] ? diag_add(d, e, 0, 0, "%s%.0s", "%.0s%s", why[LANG_EN], why[LANG_ZH]) : e;
    buf_put(out, slice_make(sig.ed25519, sizeof sig.ed25519));
    if (sig.has_sm2)
        buf_put(out, slice_make(sig.sm2, sizeof sig.sm2));
    return ERR_OK;
}

/* Two bytes of length and so many bytes, cut off *rest. */
static bool text_cut(struct slice *rest, struct slice *ret)
{
    size_t n = rest->n >= 2 ? (size_t)keeper_get(rest->p, 2) : 0;

    if (rest->n < 2 || rest->n - 2 < n)
        return false;
    *ret = slice_sub(*rest, 2, n);
    *rest = slice_sub(*rest, 2 + n, rest->n);
    return true;
}

static enum err issued_put(const struct certs_issued *issued, struct buf *out)
{
    keeper_put(out, (uint64_t)issued->not_before, 8);
    keeper_put(out, (uint64_t)issued->not_after, 8);
    buf_put(out, slice_make(issued->serial, sizeof issued->serial));
    buf_put(out, slice_make(issued->digest, sizeof issued->digest));
    buf_put(out, issued->pem);
    return out->failed;
}

static enum err leaf_sign(struct keeper_room *r, struct slice body, struct arena *a, struct buf *out, struct diags *d)
{
    struct slice rest = slice_sub(body, 4, body.n), uri, name;
    struct certs_issued issued = { 0 };
    enum err e;

    if (!text_cut(&rest, &uri) || !text_cut(&rest, &name))
        return diag_add(d, ERR_SYNTAX, 0, 0, "the parts of the request are longer than the whole",
                        "请求各部分超出总长度");
    e = certs_sign(r->ca, rest, uri, name, (unsigned)keeper_get(body.p, 4), clock_wall_ms(), a, &issued, d);
    return e == ERR_OK ? issued_put(&issued, out) : e;
}

static enum err leaf(struct keeper_room *r, struct slice body, struct buf *out, struct diags *d)
{
    struct arena a;
    enum err e;

    arena_init(&a, ARENA_MAX);
    e = leaf_sign(r, body, &a, out, d);
    arena_done(&a);
    return e;
}

static enum err gateway(struct keeper_room *r, struct slice body, struct buf *out, struct diags *d)
{
    struct certs_issued issued = { 0 };
    struct arena a;
    enum err e;

    arena_init(&a, ARENA_MAX);
    e = certs_gateway_renew(r->ca, (unsigned)keeper_get(body.p, 4), clock_wall_ms(), &a, &issued, d);
    if (e == ERR_OK)
        e = issued_put(&issued, out);
    arena_done(&a);
    return e;
}

static enum err list(struct keeper_room *r, struct slice body, struct buf *out, struct diags *d)
{
    struct slice rows = slice_sub(body, 12, body.n);
    size_t n = rows.n / KEEPER_LISTED;
    struct certs_revoked *at = mem_array(n > 0 ? n : 1, sizeof *at);
    enum err e = at ? ERR_OK : ERR_NOMEM;

    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        const char *p = rows.p + i * KEEPER_LISTED;
        at[i].n = (uint8_t)p[0];
        memcpy(at[i].serial, p + 1, sizeof at[i].serial);
        at[i].at = (int64_t)keeper_get(p + 21, 8);
        if (at[i].n == 0 || at[i].n > sizeof at[i].serial)
            e = diag_add(d, ERR_SYNTAX, 0, 0, "a serial has 1 to 20 bytes", "证书序列号应为 1 至 20 字节");
    }
    if (e == ERR_OK)
        e = certs_list_sign(r->ca, keeper_get(body.p, 8), (unsigned)keeper_get(body.p + 8, 4), at, n, clock_wall_ms(),
                            out, d);
    mem_free(at);
    return e;
}

static enum err cosign(struct keeper_room *r, struct slice body, struct buf *out, struct diags *d)
{
    struct buf text = BUF_INIT(TEXTS_MAX);
    const char *type = "";
    enum audit_fault fault;
    int status;

    if (r->observer == NULL)
        return diag_add(d, ERR_UNSUPPORTED, 0, 0, "no other log is co-signed here", "本节点不为其他日志见证");
    status = audit_observer_add(r->observer, body, clock_wall_ms() / 1000, &text, &type, &fault);
    keeper_put(out, (uint64_t)status, 2);
    buf_putc(out, (char)fault);
    buf_putc(out, strcmp(type, AUDIT_TYPE_SIZE) == 0);
    buf_put(out, buf_slice(&text));
    buf_done(&text);
    return out->failed;
}

/* `step` and `base`: a body has base + k × step bytes. */
static const struct verb {
    uint32_t verb;
    enum keeper_side side;
    uint32_t least, most, base, step;
    bool needs_ca;
    enum err (*run)(struct keeper_room *r, struct slice body, struct buf *out, struct diags *d);
} verbs[] = {
    { KEEPER_CHECKPOINT, KEEPER_LOG, CHECKPOINT_MIN, CHECKPOINT_MIN + AUDIT_HASHES_MAX *HASH, CHECKPOINT_MIN, HASH,
      false, checkpoint },
    { KEEPER_LEAF, KEEPER_CONTROL, 4 + 2 + 2, 64 << 10, 0, 1, true, leaf },
    { KEEPER_GATEWAY, KEEPER_CONTROL, 4, 4, 4, 1, true, gateway },
    { KEEPER_COSIGN, KEEPER_WITNESS, 1, AUDIT_ADD_MAX, 0, 1, false, cosign },
    { KEEPER_LIST, KEEPER_CONTROL, 12, KEEPER_REQUEST_MAX, 12, KEEPER_LISTED, true, list },
};

static const struct verb *verb_find(uint32_t id)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (verbs[i].verb == id)
            return &verbs[i];
    return NULL;
}

bool keeper_may_read(const struct keeper_ask *q, struct buf *out, bool *skip)
{
    const struct verb *v = verb_find(q->verb);

    *skip = q->length <= TEXTS_MAX;
    if (v == NULL)
        refuse(out, q->number, ERR_UNSUPPORTED, "the keeper has no such verb", "保管进程没有这一操作");
    else if (v->side != q->side)
        refuse(out, q->number, ERR_DENIED, "this verb belongs to the other side", "这一操作属于另一通道");
    else if (q->length < v->least || q->length > v->most || (q->length - v->base) % v->step != 0)
        refuse(out, q->number, ERR_TOO_LARGE, "a request of this verb has another size", "这一操作的请求大小不符");
    else
        return true;
    return false;
}

void keeper_answer(struct keeper_room *r, const struct keeper_ask *q, const char *body, struct buf *out)
{
    const struct verb *v = verb_find(q->verb);
    struct buf text = BUF_INIT(KEEPER_REPLY_MAX);
    struct diags d;
    struct arena a;
    bool skip;
    enum err e;

    if (!keeper_may_read(q, out, &skip))
        return;
    if (v->needs_ca && r->ca == NULL) {
        refuse(out, q->number, ERR_UNSUPPORTED, "the authority's key is not on this node", "本节点没有签发机构私钥");
        return;
    }
    arena_init(&a, ARENA_MAX);
    diags_init(&d, &a);
    e = v->run(r, slice_make(body, q->length), &text, &d);
    if (e == ERR_OK && text.failed != ERR_OK)
        e = text.failed;
    if (e == ERR_OK)
        reply(out, q->number, ERR_OK, buf_slice(&text));
    else
        keeper_refusal(e, &d, q->number, out);
    arena_done(&a);
    buf_done(&text);
    if (v->needs_ca)
        mem_trim(); /* a list that grows by one each time leaves the heap in pieces, of which none is large enough */
}

/* ---- opening ---- */
/* Only a log that nobody has signed yet may go without the memory of what was signed. */
static enum err state_open(const struct keeper_config *c, struct keeper_room *r, struct arena *a, struct diags *d)
{
    char *path = path_join(a, c->state_dir, "keys/keeper.state"),
         *checkpoint_path = path_join(a, c->log_dir, "checkpoint");
    enum err e;

    if (path == NULL || checkpoint_path == NULL)
        return ERR_NOMEM;
    if (access(path, F_OK) != 0 && access(checkpoint_path, F_OK) == 0)
        return diag_add(d, ERR_NOT_FOUND, 0, 0,
                        "%s is missing, and the log is not new: without it a second history could be signed; restore "
                        "state, keys and log together from the last backup",
                        "缺少 %s，而存证日志并非新建：没有它就可能签出另一份历史；请从最近的备份一并恢复状态、密钥与"
                        "日志",
                        path);
    e = access(path, F_OK) == 0 ? ERR_OK : audit_seal_create(path, c->origin, &r->signer, d);
    return e == ERR_OK ? audit_seal_open(path, c->origin, &r->signer, &r->seal, d) : e;
}

/* Made on the first use of the setting; its public half beside it, as the log's other key has. */
static enum err sm2_open(const struct keeper_config *c, struct keeper_room *r, struct arena *a, struct diags *d)
{
    char *key = path_join(a, c->state_dir, "keys/log.sm2.key"),
         *public_key = path_join(a, c->state_dir, "keys/log.sm2.vkey");
    struct buf vkey = BUF_INIT(4096);
    enum err e = key && public_key ? ERR_OK : ERR_NOMEM;

    if (e == ERR_OK && access(key, F_OK) != 0)
        e = sm2_generate(key, d);
    if (e == ERR_OK)
        e = sm2_load(key, &r->sm2, d);
    if (e == ERR_OK && access(public_key, F_OK) != 0) {
        e = audit_sm2_vkey(c->origin, sm2_public(r->sm2), &vkey);
        buf_putc(&vkey, '\n');
        e = e == ERR_OK ? file_write(public_key, buf_slice(&vkey), 0644, d) : e;
    }
    buf_done(&vkey);
    return e;
}

static enum err key_ready(const char *path, struct ed25519 **ret, struct diags *d)
{
    enum err e = access(path, F_OK) != 0 ? ed25519_generate(path, d) : ERR_OK;

    return e == ERR_OK ? ed25519_load(path, ret, d) : e;
}

/* The key by which other operators' logs are co-signed, made when it is first needed, and what was co-signed. */
static enum err observer_open(const struct keeper_config *c, struct keeper_room *r, struct arena *a, struct diags *d)
{
    char *key = path_join(a, c->state_dir, "keys/witness.key"),
         *public_key = path_join(a, c->state_dir, "keys/witness.vkey"), *dir = path_join(a, c->state_dir, "witness");
    struct buf vkey = BUF_INIT(4096);
    struct signer signer;
    enum err e = key && public_key && dir ? key_ready(key, &r->cosigner, d) : ERR_NOMEM;

    if (e != ERR_OK)
        return e;
    signer = ed25519_signer(r->cosigner);
    if (access(public_key, F_OK) != 0) {
        e = audit_witness_vkey(c->witness, signer.public_key, &vkey);
        buf_putc(&vkey, '\n');
        e = e == ERR_OK ? file_write(public_key, buf_slice(&vkey), 0644, d) : e;
    }
    if (e == ERR_OK)
        e = audit_observer_open(dir, c->witness, &signer, c->observed, c->n_observed, &r->observer, d);
    buf_done(&vkey);
    return e;
}

static enum err room_open(const struct keeper_config *c, struct keeper_room *r, struct arena *a, struct diags *d)
{
    char *key = path_join(a, c->state_dir, "keys/log.key"), *ca = path_join(a, c->state_dir, "ca/ca.key");
    enum err e = key && ca ? ed25519_load(key, &r->key, d) : ERR_NOMEM;

    if (e != ERR_OK)
        return e;
    r->signer = ed25519_signer(r->key);
    e = state_open(c, r, a, d);
    if (e == ERR_OK && c->sm2)
        e = sm2_open(c, r, a, d);
    if (r->sm2)
        audit_seal_sm2(r->seal, r->sm2);
    if (e == ERR_OK && c->n_observed > 0)
        e = observer_open(c, r, a, d);
    if (e == ERR_OK && access(ca, F_OK) == 0)
        e = certs_ca_open(c->state_dir, c->trust_domain, &r->ca, d);
    if (e == ERR_OK && r->ca && c->certificate && certs_gateway_know(r->ca, c->certificate, NULL) != ERR_OK)
        return ERR_OK; /* another's: told when somebody asks for it */
    return e;
}

enum err keeper_room_open(const struct keeper_config *c, struct keeper_room *ret, struct diags *d)
{
    struct arena a;
    enum err e;

    *ret = (struct keeper_room){ 0 };
    arena_init(&a, 1 << 16);
    e = room_open(c, ret, &a, d);
    arena_done(&a);
    if (e != ERR_OK)
        keeper_room_done(ret);
    return e;
}

void keeper_room_done(struct keeper_room *r)
{
    r->ca = certs_ca_free(r->ca);
    r->observer = audit_observer_close(r->observer);
    r->cosigner = ed25519_free(r->cosigner);
    r->seal = audit_seal_free(r->seal);
    r->sm2 = sm2_free(r->sm2);
    r->key = ed25519_free(r->key);
}

void keeper_hello(const struct keeper_room *r, struct buf *out)
{
    static const uint8_t none[SM2_PUB];
    uint64_t size;
    struct sha256 root;

    audit_seal_last(r->seal, &size, &root);
    keeper_put(out, ERR_OK, 4);
    keeper_put(out, KEEPER_HELLO, 4);
    keeper_put(out, 0, 4);
    buf_put(out, slice_make(r->signer.public_key, ED25519_PUB));
    buf_putc(out, r->ca != NULL);
    keeper_put(out, size, 8);
    buf_put(out, slice_make(root.b, sizeof root.b));
    buf_putc(out, r->sm2 != NULL);
    buf_put(out, slice_make(r->sm2 ? sm2_public(r->sm2) : none, SM2_PUB));
}

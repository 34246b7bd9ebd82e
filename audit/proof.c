/* Making and checking proofs, and the log's resources. What is given out was checked against the signed root first: a
 * tile that a power cut left wrong makes an error here, never a proof that does not hold. */
#include "audit/entries.h"
#include "audit/log.h"
#include "audit/note.h"
#include "audit/prove.h"
#include "audit/trace.h"

#define PROOF_HEADER "c2sp.org/tlog-proof@v1"
enum { FRESH_MS = 5000 };

/* ---- making ---- */
struct making {
    const struct audit_log *l;
    struct audit_proof_ask *ask; /* bor */
    struct buf note;             /* own */
    struct note_checkpoint cp;
    struct trace trace;
    struct prover *prover; /* own */
    struct digest *digest; /* own */
    bool theirs_to_give;   /* the asker is the provider, or an auditor */
};

static bool field_is(struct slice line, const char *key, struct slice want)
{
    struct slice v;
    return want.n > 0 && logline_field(line, key, &v) && logline_plain(v, &v) && slice_eq(v, want);
}

static bool provides(struct slice line, struct slice department)
{
    struct slice v;
    return department.n > 0 && logline_field(line, "resource", &v) && logline_plain(v, &v) &&
           slice_eq(slice_cut(&v, '/'), department);
}

/* The first record says whose exchange it is. */
static bool may_see(struct making *m)
{
    const struct audit_proof_ask *a = m->ask;
    struct slice line = trace_line(&m->trace, 0);
    m->theirs_to_give = a->any || provides(line, a->department);
    return m->theirs_to_give || field_is(line, "subject", a->subject);
}

static bool is_fresh(const struct uuid *u)
{
    int64_t ms = trace_time(u), now = clock_wall_ms();
    return ms > now - FRESH_MS && ms < now + FRESH_MS;
}

/* The checkpoint that witnesses have signed, where it covers all the records. */
static enum err note_choose(struct making *m)
{
    uint64_t last = 0;
    bool witnessed;
    for (unsigned i = 0; i < m->trace.n; i++) {
        if (m->trace.record[i].index > last)
            last = m->trace.record[i].index;
    }
    buf_clear(&m->note);
    enum err e = audit_checkpoint_for(m->l, last, &m->note, &witnessed);
    return e == ERR_OK && note_read(buf_slice(&m->note), &m->cp) != ERR_OK ? ERR_CORRUPT : e;
}

/* It goes on still: another try need not read again what was read. */
static enum err go_on_later(struct making *m)
{
    if (m->trace.n == 1) {
        m->ask->intent = m->trace.record[0].index;
        m->ask->outcome = m->trace.next < m->cp.size ? m->trace.next : m->cp.size;
    }
    return ERR_AGAIN;
}

/* Records that stand behind the checkpoint are left out: they were looked for to know that there are some. */
static void leave_unsigned(struct making *m)
{
    struct trace *t = &m->trace;
    unsigned n = t->n;
    t->begun = t->ended = false;
    t->n = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct trace_record r = t->record[i];
        if (r.index >= m->cp.size)
            continue;
        t->record[t->n++] = r;
        t->begun = t->begun || r.kind == AUDIT_INTENT;
        t->ended = t->ended || r.kind == AUDIT_OUTCOME || r.kind == AUDIT_REFUSED;
    }
}

static enum err making_find(struct making *m)
{
    enum err e = audit_checkpoint(m->l, &m->note);
    if (e == ERR_OK && note_read(buf_slice(&m->note), &m->cp) != ERR_OK)
        e = ERR_AGAIN;
    if (e == ERR_OK)
        e = trace_exchange(m->l->dir, m->ask, atomic_load(&m->l->size), &m->trace);
    if (e == ERR_NOT_FOUND)
        return is_fresh(&m->ask->exchange) ? ERR_AGAIN : ERR_NOT_FOUND;
    if (e != ERR_OK && e != ERR_TOO_LARGE)
        return e;
    if (!may_see(m)) /* before anything else is said of it */
        return ERR_NOT_FOUND;
    if (e != ERR_OK)
        return e;
    leave_unsigned(m);
    bool goes_on = m->trace.n == 0 || (m->trace.begun && !m->trace.ended);
    return goes_on ? go_on_later(m) : note_choose(m);
}

static enum err put_tlog_proof(struct making *m, unsigned i, struct buf *out)
{
    struct proof_path path;
    struct slice hashes[MERKLE_PATH_MAX];
    uint64_t index = m->trace.record[i].index;
    struct sha256 leaf = merkle_leaf(m->digest, trace_line(&m->trace, i));
    enum err e = prove_inclusion(m->prover, index, &path);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    for (size_t k = 0; k < path.n; k++)
        hashes[k] = slice_make(path.hash[k].b, SHA256_LEN);
    if (!merkle_included(m->digest, slice_make(leaf.b, sizeof leaf.b), index, m->cp.size,
                         (struct merkle_proof){ hashes, path.n }, slice_make(m->cp.root.b, SHA256_LEN)))
        return ERR_CORRUPT;
    buf_puts(out, PROOF_HEADER "\nindex ");
    buf_put_u64(out, index);
    buf_putc(out, '\n');
    for (size_t k = 0; k < path.n; k++) {
        base64_put(out, hashes[k]);
        buf_putc(out, '\n');
    }
    buf_putc(out, '\n');
    buf_put(out, buf_slice(&m->note));
    return out->failed;
}

static void put_salt(struct json *j, const struct making *m, const char *name, char direction)
{
    struct sha256 salt = audit_salt(m->l, m->ask->exchange, direction);
    struct buf hex = BUF_INIT(2 * SHA256_LEN);
    hex_put(&hex, slice_make(salt.b, sizeof salt.b));
    json_pair(j, name, buf_slice(&hex));
    buf_done(&hex);
}

static enum err put_record(struct making *m, unsigned i, struct json *j)
{
    struct buf text = BUF_INIT(AUDIT_PROOF_MAX / AUDIT_PROOF_RECORDS);
    enum err e = put_tlog_proof(m, i, &text);
    json_open(j, '{');
    json_pair_u64(j, "index", m->trace.record[i].index);
    json_pair(j, "line", trace_line(&m->trace, i));
    json_pair(j, "proof", buf_slice(&text));
    json_close(j, '}');
    buf_done(&text);
    return e;
}

/* The consumer sent a file: it knows it, and the provider does. */
static bool has_upload(const struct trace *t)
{
    struct slice v;
    for (unsigned i = 0; i < t->n; i++) {
        if (logline_field(trace_line(t, i), "digest_upload", &v))
            return true;
    }
    return false;
}

static enum err put_all(struct making *m, struct buf *out)
{
    struct json j;
    char id[UUID_TEXT];
    enum err e = ERR_OK;
    json_init(&j, out);
    uuid_text(m->ask->exchange, id);
    json_open(&j, '{');
    json_pair_u64(&j, "v", 1);
    json_pair(&j, "origin", slice_of(m->l->origin));
    json_pair(&j, "exchange", slice_of(id));
    json_key(&j, "salts");
    json_open(&j, '{');
    if (m->theirs_to_give)
        put_salt(&j, m, "in", 'i');
    put_salt(&j, m, "out", 'o');
    if (has_upload(&m->trace))
        put_salt(&j, m, "upload", 'u');
    json_close(&j, '}');
    json_key(&j, "records");
    json_open(&j, '[');
    for (unsigned i = 0; e == ERR_OK && i < m->trace.n; i++)
        e = put_record(m, i, &j);
    json_close(&j, ']');
    json_close(&j, '}');
    return e != ERR_OK ? e : out->failed;
}

enum err audit_prove_exchange(const struct audit_log *l, struct audit_proof_ask *a, struct buf *out)
{
    struct making m = { .l = l, .ask = a, .note = BUF_INIT(NOTE_MAX), .digest = digest_new() };
    enum err e = m.digest == NULL ? ERR_NOMEM : making_find(&m);
    if (e == ERR_OK && (m.prover = prover_folder(l->dir, m.cp.size)) == NULL)
        e = ERR_NOMEM;
    if (e == ERR_OK)
        e = put_all(&m, out);
    prover_free(m.prover);
    digest_free(m.digest);
    trace_done(&m.trace);
    buf_done(&m.note);
    return e;
}

/* ---- checking ---- */
struct parsed {
    uint64_t index;
    struct sha256 hash[MERKLE_PATH_MAX];
    size_t n;
    struct slice note;
};

static bool parse_hash(struct slice text, struct sha256 *ret)
{
    struct buf raw = BUF_INIT(SHA256_LEN);
    bool ok = base64_read(text, &raw) == ERR_OK && raw.n == SHA256_LEN;
    if (ok)
        memcpy(ret->b, raw.p, SHA256_LEN);
    buf_done(&raw);
    return ok;
}

/* Opaque, but base64. */
static bool parse_base64(struct slice text)
{
    struct buf raw = BUF_INIT(text.n + 1);
    bool ok = base64_read(text, &raw) == ERR_OK && raw.n > 0;
    buf_done(&raw);
    return ok;
}

/* C2SP tlog-proof, strictly: header, perhaps extra, index, hashes, an empty line, the checkpoint. */
static bool parse(struct slice text, struct parsed *ret)
{
    *ret = (struct parsed){ 0 };
    if (!slice_is(slice_cut(&text, '\n'), PROOF_HEADER))
        return false;
    struct slice line = slice_cut(&text, '\n');
    if (slice_starts(line, SLICE("extra "))) {
        if (!parse_base64(slice_sub(line, 6, line.n)))
            return false;
        line = slice_cut(&text, '\n');
    }
    if (!slice_starts(line, SLICE("index ")))
        return false;
    line = slice_sub(line, 6, line.n);
    if ((line.n > 1 && line.p[0] == '0') || !slice_u64(line, 0, (1ull << 53) - 1, &ret->index))
        return false;
    while ((line = slice_cut(&text, '\n')).n > 0)
        if (ret->n == MERKLE_PATH_MAX || !parse_hash(line, &ret->hash[ret->n++]))
            return false;
    ret->note = text;
    return text.n > 0;
}

static const char *note_judge(struct slice note, struct slice name, const uint8_t key[ED25519_PUB],
                              struct note_checkpoint *cp)
{
    if (note_read(note, cp) != ERR_OK)
        return "shape";
    if (!slice_eq(cp->origin, name))
        return "origin";
    return note_verify(cp, name, key) ? "" : "signature";
}

static const char *path_judge(const struct parsed *p, struct slice line, const struct note_checkpoint *cp)
{
    struct slice hashes[MERKLE_PATH_MAX];
    uint64_t own;
    if (!logline_check(line, &own) || own != p->index)
        return "line";
    struct digest *g = digest_new();
    if (g == NULL)
        return NULL;
    struct sha256 leaf = merkle_leaf(g, line);
    for (size_t i = 0; i < p->n; i++)
        hashes[i] = slice_make(p->hash[i].b, SHA256_LEN);
    bool ok = merkle_included(g, slice_make(leaf.b, sizeof leaf.b), p->index, cp->size,
                              (struct merkle_proof){ hashes, p->n }, slice_make(cp->root.b, SHA256_LEN));
    digest_free(g);
    return ok ? "" : "path";
}

enum err audit_proof_check(struct slice proof, struct slice line, struct slice vkey, struct audit_inclusion *ret)
{
    struct parsed p;
    struct note_checkpoint cp;
    struct slice name;
    uint8_t key[ED25519_PUB];
    *ret = (struct audit_inclusion){ .bad = "shape" };
    if (note_vkey_read(vkey, NOTE_ED25519, &name, key) != ERR_OK)
        return ERR_SYNTAX;
    if (!parse(proof, &p))
        return ERR_OK;
    ret->index = p.index;
    ret->note = p.note;
    ret->bad = note_judge(p.note, name, key, &cp);
    if (ret->bad[0] != '\0')
        return ERR_OK;
    ret->size = cp.size;
    ret->bad = path_judge(&p, line, &cp);
    return ret->bad != NULL ? ERR_OK : ERR_NOMEM;
}

bool audit_note_check(struct slice note, struct slice vkey, uint64_t *size, struct sha256 *root)
{
    struct note_checkpoint cp;
    struct slice name;
    uint8_t key[ED25519_PUB];
    if (note_vkey_read(vkey, NOTE_ED25519, &name, key) != ERR_OK || note_judge(note, name, key, &cp)[0] != '\0')
        return false;
    *size = cp.size;
    *root = cp.root;
    return true;
}

/* ---- the log as tiles ---- */
static enum err put_tile(const struct audit_log *l, const struct tile_name *n, struct buf *out)
{
    struct sha256 hash[TILE_HASHES];
    struct digest *g = digest_new();
    if (g == NULL)
        return ERR_NOMEM;
    bool there = tile_get(l->dir, n->level, n->tile, n->width, g, hash);
    digest_free(g);
    if (!there)
        return ERR_NOT_FOUND;
    buf_put(out, slice_make(hash, n->width * SHA256_LEN));
    return out->failed;
}

enum err audit_resource(const struct audit_log *l, struct slice path, bool entries, struct buf *out)
{
    struct tile_name n;
    if (slice_is(path, "checkpoint"))
        return audit_checkpoint(l, out);
    if (slice_is(path, "checkpoint.witnessed"))
        return audit_witnessed(l, out);
    if (!tile_name_read(path, &n))
        return ERR_NOT_FOUND;
    if (n.entries && !entries)
        return ERR_DENIED;
    if (n.width > tile_width(n.level, n.tile, atomic_load(&l->checkpoint_size)))
        return ERR_NOT_FOUND;
    return n.entries ? entries_bundle(l->dir, n.tile, n.width, out) : put_tile(l, &n, out);
}

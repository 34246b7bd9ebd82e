/* Requests to a witness. The first byte says what the rest is: a body as it comes; a body whose checkpoint the log's
 * key signs before it is sent, whatever it says; or a body that continues what the witness has seen, with a few bytes
 * changed. Must hold: every body gets one of the standard's statuses; what was seen never shrinks, nor changes at one
 * size; a cosignature holds under the witness's key, over the checkpoint that was sent, and what was seen is on the
 * disk. */
#include "audit/audit.h"
#include "audit/note.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ORIGIN  "city.example/log/gw1"
#define WITNESS "audit.city.example/w1"
enum { NOW = 1700000000, AS_IT_COMES = 0, SIGNED = 1, CONTINUED = 2, KINDS = 3, SIZE_MAX_TRIED = 4096 };

static struct {
    char dir[64], seen_file[128];
    struct ed25519 *log, *key;
    struct signer signer, cosigner;
    struct audit_observer *o;
    struct audit_witness witness;
    struct digest *digest;
    struct merkle tree; /* of our own log: what CONTINUED has shown last */
    struct buf seen;    /* the note on the disk */
} w;

#define must(holds) ((holds) ? (void)0 : (fprintf(stderr, "line %d\n", __LINE__), abort()))

static struct ed25519 *key_make(const char *name, struct signer *signer)
{
    struct ed25519 *k = NULL;
    char path[96];

    snprintf(path, sizeof path, "%s/%s", w.dir, name);
    must(ed25519_generate(path, NULL) == ERR_OK && ed25519_load(path, &k, NULL) == ERR_OK);
    *signer = ed25519_signer(k);
    return k;
}

static void open_witness(void)
{
    const char *tmp = getenv("TMPDIR");
    struct buf vkey = BUF_INIT(1024), name = BUF_INIT(1024);
    struct sha256 h = sha256_of(SLICE(ORIGIN));
    struct slice logs;

    must(crypto_init(NULL) == ERR_OK);
    snprintf(w.dir, sizeof w.dir, "%.30s/sluice-fuzz-witness-XXXXXX", tmp ? tmp : "/tmp");
    must(mkdtemp(w.dir) != NULL);
    w.log = key_make("log", &w.signer);
    w.key = key_make("witness", &w.cosigner);
    must(audit_vkey(SLICE(ORIGIN), w.signer.public_key, &vkey) == ERR_OK);
    must(audit_witness_vkey(SLICE(WITNESS), w.cosigner.public_key, &name) == ERR_OK);
    must(audit_witness_read(buf_slice(&name), &w.witness) == ERR_OK);
    logs = buf_slice(&vkey);
    must(audit_observer_open(w.dir, SLICE(WITNESS), &w.cosigner, &logs, 1, &w.o, NULL) == ERR_OK);
    snprintf(w.seen_file, sizeof w.seen_file, "%s/%02x%02x%02x%02x%02x%02x%02x%02x.checkpoint", w.dir, h.b[0], h.b[1],
             h.b[2], h.b[3], h.b[4], h.b[5], h.b[6], h.b[7]);
    w.digest = digest_new();
    w.seen = BUF_INIT(NOTE_MAX);
    buf_done(&vkey);
    buf_done(&name);
}

/* The log's line behind whatever text the fuzzer has made. */
static void sign_it(struct slice body, struct buf *out)
{
    size_t at = 0, end = body.n;
    uint8_t hash[NOTE_HASH], sig[ED25519_SIG];
    struct slice text;

    while (at + 1 < body.n && !(body.p[at] == '\n' && body.p[at + 1] == '\n'))
        at++;
    at = at + 2 < body.n ? at + 2 : 0; /* the checkpoint, behind the empty line */
    for (size_t i = at; i + 1 < body.n && end == body.n; i++)
        if (body.p[i] == '\n' && body.p[i + 1] == '\n')
            end = i + 1;
    text = slice_sub(body, at, end);
    note_key_hash(SLICE(ORIGIN), NOTE_ED25519, w.signer.public_key, hash);
    buf_put(out, slice_sub(body, 0, end));
    buf_putc(out, '\n');
    if (w.signer.sign(w.signer.self, text, sig) == ERR_OK)
        (void)!note_line(SLICE(ORIGIN), hash, slice_make(sig, sizeof sig), out);
}

/* What comes next in our own log, with bytes changed as the input says: pairs of place and mask. */
static void continue_it(struct slice in, struct buf *out)
{
    struct merkle tree = w.tree;
    struct merkle_growth x = { 0 };
    struct sha256 done[MERKLE_TILE_LEVELS], proof[MERKLE_PATH_MAX], root;
    unsigned more = in.n > 0 ? (uint8_t)in.p[0] % 9u : 1;
    size_t n;

    merkle_growth_begin(&x, &tree);
    for (unsigned i = 0; i < more; i++) {
        struct sha256 leaf = merkle_leaf(w.digest, slice_make(&tree.size, sizeof tree.size));
        merkle_push_noting(&tree, w.digest, &leaf, &x, done);
    }
    root = merkle_root(&tree, w.digest);
    n = w.tree.size > 0 ? merkle_growth_proof(&x, &tree, w.digest, proof) : 0;
    buf_printf(out, "old %llu\n", (unsigned long long)w.tree.size);
    for (size_t i = 0; i < n; i++) {
        base64_put(out, slice_make(proof[i].b, SHA256_LEN));
        buf_putc(out, '\n');
    }
    buf_putc(out, '\n');
    {
        struct buf note = BUF_INIT(NOTE_MAX);
        must(note_sign(SLICE(ORIGIN), tree.size, &root, &w.signer, &note) == ERR_OK);
        buf_put(out, buf_slice(&note));
        buf_done(&note);
    }
    for (size_t i = 1; i + 1 < in.n; i += 2)
        out->p[(size_t)(uint8_t)in.p[i] % out->n] ^= in.p[i + 1];
}

static struct note_checkpoint seen(void)
{
    struct note_checkpoint c = { .size = 0 };

    buf_clear(&w.seen);
    if (file_read(w.seen_file, &w.seen, NULL) == ERR_OK)
        must(note_read(buf_slice(&w.seen), &c) == ERR_OK && note_verify(&c, SLICE(ORIGIN), w.signer.public_key));
    return c;
}

static void check_signed(struct slice body, struct slice line, const struct note_checkpoint *now)
{
    struct buf both = BUF_INIT(AUDIT_ADD_MAX + NOTE_MAX);
    int64_t at = 0;
    struct note_checkpoint c;

    while (body.n > 0 && body.p[0] != '\n')
        slice_cut(&body, '\n');
    body = slice_sub(body, 1, body.n);
    must(note_read(body, &c) == ERR_OK && c.size == now->size && memcmp(&c.root, &now->root, sizeof c.root) == 0);
    must(note_verify(&c, SLICE(ORIGIN), w.signer.public_key));
    buf_put(&both, c.text);
    buf_putc(&both, '\n');
    buf_put(&both, line);
    must(audit_cosigned_by(buf_slice(&both), &w.witness, &at) && at == NOW);
    buf_done(&both);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf body = BUF_INIT(2 * AUDIT_ADD_MAX), out = BUF_INIT(NOTE_MAX);
    static struct note_checkpoint before;
    static struct sha256 root;
    static uint64_t size;
    struct slice in;
    const char *type = NULL;
    enum audit_fault fault;
    int status;

    if (w.o == NULL)
        open_witness();
    if (n < 1)
        return 0;
    in = slice_make(data + 1, n - 1);
    if (data[0] % KINDS == AS_IT_COMES)
        buf_put(&body, in);
    else if (data[0] % KINDS == SIGNED)
        sign_it(in, &body);
    else if (w.tree.size == size && size < SIZE_MAX_TRIED)
        continue_it(in, &body);
    if (body.failed == ERR_OK) {
        status = audit_observer_add(w.o, buf_slice(&body), NOW, &out, &type, &fault);
        must(status == 200 || status == 400 || status == 403 || status == 404 || status == 409 || status == 422);
        must(type != NULL && out.failed == ERR_OK && out.n > 0 &&
             status == (fault == AUDIT_FAULT_UNPROVED ? 422
                        : fault == AUDIT_FAULT_FORKED ? 409
                                                      : status));
        if (status == 200) {
            before = seen();
            must(before.size > size ||
                 (before.size == size && (size == 0 || memcmp(&root, &before.root, sizeof root) == 0)));
            check_signed(buf_slice(&body), buf_slice(&out), &before);
            size = before.size;
            root = before.root;
            if (data[0] % KINDS == CONTINUED) { /* the same growth, if nothing that counts was changed */
                while (w.tree.size < size) {
                    struct sha256 leaf = merkle_leaf(w.digest, slice_make(&w.tree.size, sizeof w.tree.size));
                    merkle_push(&w.tree, w.digest, &leaf);
                }
            }
        }
    }
    buf_done(&body);
    buf_done(&out);
    return 0;
}

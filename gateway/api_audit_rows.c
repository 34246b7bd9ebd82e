/* The answer of a search: rows with the records as the log holds them, and for each grant that they name, the act that
 * gave it: on whose approval, on which legal basis. Runs in a study's thread. */
#include "gateway/api_audit.h"

#include <unistd.h>

enum {
    ANSWER_FULL = 32 << 20,
    GRANTS_MAX = 200,
    GRANT_ACTS = 50,
    WAIT_MS = 4000,
    LINE_MEMORY = 1 << 18,
    CHECKPOINT_TRIES = 60
};

struct named_grant {
    struct slice id;
    uint64_t version, before; /* before: index of the first row that names it */
};
struct rows {
    struct study *study;
    struct arena arena;
    struct named_grant grants[GRANTS_MAX];
    unsigned n_grants;
    struct audit_proofs *proofs; /* own; NULL: none are asked for */
    struct buf note;
    enum err e;
};

/* ---- rows ---- */
/* A record of ours as a tree; NULL: no memory. */
static const struct doc *line_doc(struct slice line, struct arena *a)
{
    const struct doc *doc = NULL;

    return doc_read_json(line, a, NULL, &doc) == ERR_OK ? doc : NULL;
}

static void note_grant(struct rows *r, const struct audit_row *row)
{
    struct arena a;
    const struct doc *doc;
    struct named_grant g = { .before = row->index };

    arena_init(&a, LINE_MEMORY);
    doc = line_doc(row->record, &a);
    g.id = doc ? doc_text(doc, "grant") : (struct slice){ 0 };
    g.version = doc ? doc_u64(doc, "grant_version", 0) : 0;
    for (unsigned i = 0; i < r->n_grants && g.id.n > 0; i++)
        if (slice_eq(r->grants[i].id, g.id) && r->grants[i].version == g.version)
            g.id.n = 0;
    if (g.id.n > 0 && r->n_grants < GRANTS_MAX) {
        g.id = arena_dup(&r->arena, g.id);
        if (g.id.p)
            r->grants[r->n_grants++] = g;
    }
    arena_done(&a);
}

/* ---- proofs ---- */
/* The checkpoint is signed within about a second of the records: it is waited for, so that the newest have theirs. */
static enum err proofs_begin(struct rows *r)
{
    enum err e = ERR_OK;

    r->note = BUF_INIT(1 << 16);
    for (unsigned i = 0; i < CHECKPOINT_TRIES; i++) {
        r->proofs = audit_proofs_free(r->proofs);
        buf_clear(&r->note);
        e = audit_proofs_new(r->study->log, &r->note, &r->proofs);
        if (e != ERR_OK || audit_proofs_size(r->proofs) >= r->study->size)
            break;
        usleep(50000);
    }
    return e;
}

static void put_proof(struct rows *r, const char *key, struct slice line, const struct doc *doc)
{
    struct json *j = &r->study->q->json;
    uint64_t index = doc_u64(doc, "index", UINT64_MAX);

    if (line.n == 0 || doc == NULL || index >= audit_proofs_size(r->proofs) || r->e != ERR_OK)
        return;
    json_key(j, key);
    r->e = audit_proofs_put(r->proofs, index, j);
}

static void put_proofs(struct rows *r, const struct audit_row *row)
{
    static const char *const keys[] = { "record", "outcome", "cut" };
    const struct slice lines[] = { row->record, row->outcome, row->cut };
    struct json *j = &r->study->q->json;

    json_key(j, "proofs");
    json_open(j, '{');
    for (int i = 0; i < 3; i++) {
        struct arena a;
        arena_init(&a, LINE_MEMORY);
        put_proof(r, keys[i], lines[i], lines[i].n ? line_doc(lines[i], &a) : NULL);
        arena_done(&a);
    }
    json_close(j, '}');
}

static bool put_row(void *arg, const struct audit_row *row)
{
    struct rows *r = arg;
    struct json *j = &r->study->q->json;

    json_open(j, '{');
    json_pair_u64(j, "index", row->index);
    json_opt(j, "result", slice_of(audit_result_name(row->result)));
    json_key(j, "record");
    json_raw(j, row->record);
    if (row->outcome.n > 0) {
        json_key(j, "outcome");
        json_raw(j, row->outcome);
    }
    if (row->cut.n > 0) {
        json_key(j, "cut");
        json_raw(j, row->cut);
    }
    if (r->proofs)
        put_proofs(r, row);
    json_close(j, '}');
    note_grant(r, row);
    return r->study->q->out.n < ANSWER_FULL && r->e == ERR_OK;
}

/* ---- on whose approval ---- */
struct origin { /* the act that a grant's version rests on */
    uint64_t version, index;
    struct arena *arena;
    struct slice line; /* in the arena; empty: none */
    bool exact;
};

static bool take_origin(void *arg, const struct audit_row *row)
{
    struct origin *o = arg;
    struct arena a;
    const struct doc *doc, *content;

    arena_init(&a, LINE_MEMORY);
    doc = line_doc(row->record, &a);
    content = doc ? doc_get(doc, "content") : NULL;
    if (content && doc_get(content, "approvers")) {
        o->exact = doc_u64(content, "version", 0) == o->version;
        if (o->exact || o->line.n == 0) {
            o->line = arena_dup(o->arena, row->record);
            o->index = row->index;
        }
    }
    arena_done(&a);
    return !o->exact;
}

static void put_member(struct json *j, const struct doc *content, const char *key)
{
    const struct doc *v = doc_get(content, key);

    if (v) {
        json_key(j, key);
        doc_put_json(v, j);
    }
}

static void put_origin(struct rows *r, const struct named_grant *g, const struct origin *o)
{
    static const char *const shown[] = { "request", "approvers", "author", "basis", "items", "purposes", "window" };
    struct json *j = &r->study->q->json;
    struct arena a;
    const struct doc *doc, *content;

    arena_init(&a, LINE_MEMORY);
    doc = o->line.n ? line_doc(o->line, &a) : NULL;
    content = doc ? doc_get(doc, "content") : NULL;
    json_open(j, '{');
    json_pair(j, "grant", g->id);
    json_pair_u64(j, "version", g->version);
    if (content) {
        json_pair_u64(j, "record", o->index);
        json_pair(j, "verb", doc_text(doc, "verb"));
        for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
            put_member(j, content, shown[i]);
    }
    json_close(j, '}');
    arena_done(&a);
}

static enum err put_grants(struct rows *r)
{
    struct study *s = r->study;
    struct json *j = &s->q->json;
    enum err e = ERR_OK;

    json_key(j, "grants");
    json_open(j, '[');
    for (unsigned i = 0; e == ERR_OK && i < r->n_grants; i++) {
        const struct named_grant *g = &r->grants[i];
        struct origin o = { .version = g->version, .arena = &r->arena };
        struct audit_found found;
        struct audit_question q = {
            .object = g->id, .grant = g->id, .kind = SLICE("act"), .after = g->before, .limit = GRANT_ACTS
        };
        e = audit_find(s->index, &q, take_origin, &o, &found, &s->q->diags);
        if (e == ERR_OK)
            put_origin(r, g, &o);
    }
    json_close(j, ']');
    return e;
}

/* ---- the whole answer ---- */
/* What the answer covers: a program must be able to tell "nothing" from "not indexed yet". */
static void put_end(struct study *s, const struct audit_found *found)
{
    struct json *j = &s->q->json;

    json_pair_bool(j, "more", found->more);
    if (found->last != UINT64_MAX)
        json_pair_u64(j, "next", found->last);
    json_pair_u64(j, "first", found->first);
    json_pair_u64(j, "indexed", found->indexed);
    json_pair_u64(j, "size", s->size);
    json_pair_bool(j, "complete", found->indexed >= s->size);
}

static enum err search_in(struct rows *r)
{
    struct study *s = r->study;
    struct audit_found found;
    struct json *j = &s->q->json;
    enum err e = s->proofs ? proofs_begin(r) : ERR_OK;

    if (e != ERR_OK)
        return e;
    json_open(j, '{');
    json_key(j, "rows");
    json_open(j, '[');
    e = audit_find(s->index, &s->question, put_row, r, &found, &s->q->diags);
    json_close(j, ']');
    if (e == ERR_OK)
        e = r->e;
    if (e == ERR_OK)
        e = put_grants(r);
    if (e == ERR_OK && s->proofs)
        json_pair(j, "checkpoint", buf_slice(&r->note));
    if (e == ERR_OK)
        put_end(s, &found);
    json_close(j, '}');
    return e;
}

void study_search(struct study *s)
{
    struct rows *r = mem_zalloc(sizeof *r);

    if (r == NULL) {
        s->e = ERR_NOMEM;
        return;
    }
    r->study = s;
    arena_init(&r->arena, 16 << 20);
    (void)audit_index_wait(s->index, s->size, WAIT_MS); /* behind: the answer says how far it goes */
    s->e = search_in(r);
    audit_proofs_free(r->proofs);
    buf_done(&r->note);
    arena_done(&r->arena);
    mem_free(r);
}

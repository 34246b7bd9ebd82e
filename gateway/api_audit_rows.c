/* The answer of a search: rows with the records as the log holds them, and for each grant that they name, the act that
 * gave it: on whose approval, on which legal basis. Runs in a study's thread. */
#include "gateway/api_audit.h"

#include <unistd.h>

enum {
    ANSWER_FULL = 32 << 20,
    GRANTS_MAX = 1000, /* as many as an answer has rows: each finds its approvers */
    WAIT_MS = 4000,
    LINE_MEMORY = 1 << 18,
    WHOLE_MAX = 4 << 20, /* of an act's content */
    WHOLE_MEMORY = 32 << 20,
    CHECKPOINT_TRIES = 60
};

struct named_grant {
    struct slice id;
    uint64_t version;
};
struct grant_item { /* does this grant have the item that is asked for? */
    struct slice id;
    bool lacks;
};
enum { ITEMS_KNOWN = 64 };
struct rows {
    struct study *study;
    struct arena arena;
    struct named_grant grants[GRANTS_MAX];
    unsigned n_grants;
    struct grant_item known[ITEMS_KNOWN]; /* in turn */
    unsigned n_known;
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

/* ---- acts in several records ---- */
struct joining {
    uint64_t next, of;
    struct buf text;
};

static bool take_part(void *arg, const struct audit_row *row)
{
    struct joining *p = arg;
    struct arena a;
    const struct doc *content;

    arena_init(&a, LINE_MEMORY);
    content = doc_get(line_doc(row->record, &a), "content");
    if (doc_u64(content, "part", 0) == p->next + 1) {
        p->next++;
        buf_put(&p->text, doc_text(content, "text"));
    }
    arena_done(&a);
    return p->next < p->of;
}

/* The text adds up to what the act's record says. */
static bool is_whole(const struct joining *p, const struct doc *content)
{
    uint8_t want[SHA256_LEN];
    struct sha256 got = sha256_of(buf_slice(&p->text));

    return p->next == p->of && p->text.failed == ERR_OK && hex_read(doc_text(content, "sha256"), want, sizeof want) &&
           memcmp(want, got.b, sizeof want) == 0;
}

/* The content of the act at `index`; joined, where it is in parts (gateway/act_parts.c) and all of them are in the
 * index already; else what its own record holds. Reads into `a`; *ret is NULL when it has none. */
static enum err content_whole(struct study *s, uint64_t index, const struct doc *record, struct arena *a,
                              const struct doc **ret)
{
    struct joining p = { .of = doc_u64(doc_get(record, "content"), "parts", 0), .text = BUF_INIT(WHOLE_MAX) };
    const char *verb = arena_printf(a, "%.*s-part", SLICE_ARG(doc_text(record, "verb")));
    struct audit_question q = { .object = doc_text(record, "object"),
                                .verb = slice_of(verb),
                                .kind = SLICE("act"),
                                .after = index,
                                .oldest_first = true,
                                .limit = 1000 };
    struct audit_found found;
    enum err e = ERR_OK;

    *ret = doc_get(record, "content");
    if (p.of == 0)
        return ERR_OK;
    e = audit_find(s->index, &q, take_part, &p, &found, &s->q->diags);
    if (e == ERR_OK && is_whole(&p, *ret))
        e = doc_read_json(arena_dup(a, buf_slice(&p.text)), a, NULL, ret);
    buf_done(&p.text);
    return e;
}

static void put_whole(struct rows *r, const struct audit_row *row)
{
    static const char mark[] = "\"parts\":";
    struct json *j = &r->study->q->json;
    struct arena a;
    const struct doc *doc, *content = NULL;

    if (memmem(row->record.p, row->record.n, mark, sizeof mark - 1) == NULL)
        return;
    arena_init(&a, WHOLE_MEMORY);
    doc = line_doc(row->record, &a);
    if (r->e == ERR_OK)
        r->e = content_whole(r->study, row->index, doc, &a, &content);
    if (content && content != doc_get(doc, "content")) {
        json_key(j, "content");
        doc_put_json(content, j);
    }
    arena_done(&a);
}

static void note_grant(struct rows *r, const struct audit_row *row)
{
    struct arena a;
    const struct doc *doc;
    struct named_grant g = { 0 };

    arena_init(&a, LINE_MEMORY);
    doc = line_doc(row->record, &a);
    g.id = doc ? doc_text(doc, "grant") : (struct slice){ 0 };
    g.version = doc ? doc_u64(doc, "grant_version", 0) : 0;
    for (unsigned i = 0; i < r->n_grants && g.id.n > 0; i++)
        if (slice_eq(r->grants[i].id, g.id) && r->grants[i].version == g.version)
            g.id.n = 0;
    if (g.id.n > 0) {
        g.id = arena_dup(&r->arena, g.id);
        if (g.id.p && r->n_grants < GRANTS_MAX)
            r->grants[r->n_grants++] = g;
        else
            r->e = ERR_NOMEM; /* an approval left out would look like none */
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
    r->e = audit_proofs_put(r->proofs, index, line, j);
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

/* ---- items that a record had no room for ---- */
struct item_look {
    struct rows *rows;
    enum err e;
    bool lacks;
};

static bool take_grant(void *arg, const struct audit_row *row)
{
    struct item_look *l = arg;
    struct study *s = l->rows->study;
    struct arena a;
    const struct doc *content, *items;

    arena_init(&a, WHOLE_MEMORY);
    l->e = content_whole(s, row->index, line_doc(row->record, &a), &a, &content);
    items = doc_get(content, "items");
    l->lacks = items != NULL;
    DOC_EACH(one, items)
    {
        l->lacks = l->lacks && !slice_eq(one->text, s->question.item);
    }
    arena_done(&a);
    return false;
}

static struct audit_question grant_question(struct slice id)
{
    return (struct audit_question){
        .object = id, .verb = SLICE("grant.create"), .kind = SLICE("act"), .after = UINT64_MAX, .limit = 1
    };
}

static bool grant_lacks(struct rows *r, struct slice id)
{
    struct study *s = r->study;
    struct item_look l = { .rows = r };
    struct audit_question q = grant_question(id);
    struct audit_found found;
    struct grant_item *g = &r->known[r->n_known % ITEMS_KNOWN];

    for (unsigned i = 0; i < r->n_known && i < ITEMS_KNOWN; i++)
        if (slice_eq(r->known[i].id, id))
            return r->known[i].lacks;
    r->e = audit_find(s->index, &q, take_grant, &l, &found, &s->q->diags);
    r->e = r->e == ERR_OK ? l.e : r->e;
    *g = (struct grant_item){ arena_dup(&r->arena, id), l.lacks };
    r->n_known++;
    return l.lacks;
}

/* A grant that lacks the item speaks for the row; one whose act is gone, or that has it, leaves it open: shown. */
static bool is_without_item(struct rows *r, const struct audit_row *row)
{
    struct arena a;
    struct slice id;
    bool without;

    if (!row->item_unsure)
        return false;
    arena_init(&a, LINE_MEMORY);
    id = doc_text(line_doc(row->record, &a), "grant");
    without = id.n > 0 && grant_lacks(r, id);
    arena_done(&a);
    return without;
}

static bool put_row(void *arg, const struct audit_row *row)
{
    struct rows *r = arg;
    struct json *j = &r->study->q->json;

    if (is_without_item(r, row))
        return r->e == ERR_OK;
    json_open(j, '{');
    json_pair_u64(j, "index", row->index);
    json_opt(j, "result", slice_of(audit_result_name(row->result)));
    json_key(j, "record");
    json_raw(j, row->record);
    put_whole(r, row);
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
static void put_member(struct json *j, const struct doc *content, const char *key)
{
    const struct doc *v = doc_get(content, key);

    if (v) {
        json_key(j, key);
        doc_put_json(v, j);
    }
}

struct origin {
    struct rows *rows;
    enum err e;
};

static bool put_origin(void *arg, const struct audit_row *row)
{
    static const char *const shown[] = { "request", "approvers", "author", "basis", "items", "purposes", "window" };
    struct origin *o = arg;
    struct json *j = &o->rows->study->q->json;
    struct arena a;
    const struct doc *doc, *content;

    arena_init(&a, WHOLE_MEMORY);
    doc = line_doc(row->record, &a);
    o->e = content_whole(o->rows->study, row->index, doc, &a, &content);
    if (content) {
        json_pair_u64(j, "record", row->index);
        json_pair(j, "verb", doc_text(doc, "verb"));
        for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
            put_member(j, content, shown[i]);
    }
    arena_done(&a);
    return false;
}

/* All versions of a grant rest on the act that made it: what comes later only takes away, or gives back. */
static enum err put_grants(struct rows *r)
{
    struct study *s = r->study;
    struct json *j = &s->q->json;
    struct origin o = { .rows = r };
    enum err e = ERR_OK;

    json_key(j, "grants");
    json_open(j, '[');
    for (unsigned i = 0; e == ERR_OK && i < r->n_grants; i++) {
        const struct named_grant *g = &r->grants[i];
        struct audit_found found;
        struct audit_question q = grant_question(g->id);
        json_open(j, '{');
        json_pair(j, "grant", g->id);
        json_pair_u64(j, "version", g->version);
        e = audit_find(s->index, &q, put_origin, &o, &found, &s->q->diags);
        e = e == ERR_OK ? o.e : e;
        json_close(j, '}');
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

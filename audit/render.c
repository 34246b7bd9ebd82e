/* The table of columns and the functions that write one column each.
 * Invariants: order of the table is order in the line; the caps of the columns of any kind, with all keys and the worst
 * escapes, stay under AUDIT_RECORD_MAX (render_bound; the unit test computes it for each kind). */
#include "audit/render.h"

enum {
    EX = 1 << AUDIT_REFUSED | 1 << AUDIT_INTENT | 1 << AUDIT_PROGRESS | 1 << AUDIT_OUTCOME | 1 << AUDIT_CUT,
    ACT = 1 << AUDIT_ACT,
    TRIED = 1 << AUDIT_REFUSED,
    SUM = 1 << AUDIT_COUNT | 1 << AUDIT_GAP,
    NUMBER_MAX = 16, /* 2^53 - 1 */
    TEXT_OVER = 48,  /* quotes and ellipsis, or the b64 form around a capped text */
    HMAC_LEN = 32
};

enum { KEY_ROOM = 24 };
struct column {
    char key[KEY_ROOM]; /* with comma, quotes and colon; all of it is copied, key_n bytes count */
    uint16_t key_n, kinds;
    uint32_t offset, cap; /* cap: bytes of the value, without TEXT_OVER */
    void (*put)(struct pen *w, const struct column *c, const void *field);
};

static inline void put_key(struct pen *w, const struct column *c)
{
    if (w->end - w->p < KEY_ROOM)
        return;
    memcpy(w->p, c->key, KEY_ROOM);
    w->p += c->key_n;
}

static void put_text(struct pen *w, const struct column *c, const void *field)
{
    const struct slice *s = field;
    if (s->n == 0)
        return;
    put_key(w, c);
    pen_text(w, *s, c->cap);
}

static void put_u64(struct pen *w, const struct column *c, const void *field)
{
    uint64_t v = *(const uint64_t *)field;
    if (v == 0)
        return;
    put_key(w, c);
    pen_u64(w, v);
}

static void put_status(struct pen *w, const struct column *c, const void *field)
{
    int v = *(const int *)field;
    if (v <= 0)
        return;
    put_key(w, c);
    pen_u64(w, (uint64_t)v);
}

static void put_time(struct pen *w, const struct column *c, const void *field)
{
    int64_t v = *(const int64_t *)field;
    if (v == 0)
        return;
    put_key(w, c);
    pen_time(w, v);
}

static void put_digest(struct pen *w, const struct column *c, const void *field)
{
    const struct sha256 *const *h = field;
    if (*h == NULL)
        return;
    put_key(w, c);
    pen_hex(w, *h);
}

/* A list joined by one separator, as a JSON array; what does not fit any more is one last "…". */
static void put_list(struct pen *w, const struct column *c, struct slice rest, char sep)
{
    if (rest.n == 0)
        return;
    put_key(w, c);
    const char *stop = w->p + c->cap;
    char mark = '[';
    while (rest.n > 0) {
        struct slice one = slice_cut(&rest, sep);
        pen_raw(w, slice_make(&mark, 1));
        mark = ',';
        size_t left = (size_t)(stop > w->p ? stop - w->p : 0);
        if (one.n + TEXT_OVER > left) {
            pen_text(w, SLICE("…"), 3);
            break;
        }
        pen_text(w, one, left - TEXT_OVER);
    }
    pen_raw(w, SLICE("]"));
}

static void put_items(struct pen *w, const struct column *c, const void *field)
{
    put_list(w, c, *(const struct slice *)field, ',');
}

static void put_via(struct pen *w, const struct column *c, const void *field)
{
    put_list(w, c, *(const struct slice *)field, ' ');
}

/* `field` is the record itself for columns that need more than one of its members. */
static void put_exchange(struct pen *w, const struct column *c, const void *field)
{
    const struct audit_record *r = field;
    static const struct uuid none;
    if (memcmp(&r->exchange, &none, sizeof none) == 0)
        return;
    put_key(w, c);
    pen_uuid(w, &r->exchange);
    pen_raw(w, SLICE(",\"part\":"));
    pen_u64(w, r->part);
}

static void put_reason(struct pen *w, const struct column *c, const void *field)
{
    const struct audit_record *r = field;
    if (!r->has_reason)
        return;
    put_key(w, c);
    pen_text(w, slice_of(reason_info(r->reason)->code), c->cap);
}

/* A pseudonym must be one: 32 hex digits as audit_pseudonym makes them. A plain value never slips through here. */
static void put_pseudonym(struct pen *w, struct slice value)
{
    uint8_t bytes[HMAC_LEN / 2];
    if (!hex_read(value, bytes, sizeof bytes)) {
        pen_raw(w, SLICE("{\"hmac\":null}"));
        return;
    }
    pen_raw(w, SLICE("{\"hmac\":\""));
    pen_raw(w, value);
    pen_raw(w, SLICE("\"}"));
}

enum {
    PARAM_NAME = 64,
    PARAM_VALUE = 256,
    PARAM_ROOM = PARAM_NAME + PARAM_VALUE + 2 * TEXT_OVER,
    PARAM_MORE = 32,                                                 /* ,"…":n */
    PSEUDO_ROOM = sizeof(",\"…32\":{\"hmac\":\"\"}") - 1 + HMAC_LEN, /* under its number */
    PSEUDO_OVER = PSEUDO_ROOM - (sizeof("…32") - 1),                 /* what stands around a name */
    PARAMS_CAP = 2048
};
_Static_assert(AUDIT_PARAMS_MAX *PSEUDO_ROOM + PARAM_MORE < PARAMS_CAP, "every pseudonym fits");

static void put_mark(struct pen *w, char *mark)
{
    pen_raw(w, slice_make(mark, 1));
    *mark = ',';
}

/* Whom was asked for is never what does not fit: pseudonyms come first, and each has its share of the room. Where that
 * is too short for a parameter's name, its number stands there, from 1. How many were written. */
static size_t put_persons(struct pen *w, const struct audit_record *r, const char *stop, char *mark)
{
    size_t n = r->n_params < AUDIT_PARAMS_MAX ? r->n_params : AUDIT_PARAMS_MAX, left = 0, all;
    for (size_t i = 0; i < n; i++)
        left += r->params[i].pseudonym;
    all = left;
    for (size_t i = 0; i < n; i++) {
        const struct audit_param *p = &r->params[i];
        if (!p->pseudonym)
            continue;
        size_t share = stop > w->p ? (size_t)(stop - w->p) / left : 0;
        left--;
        put_mark(w, mark);
        if (p->name.n <= PARAM_NAME && p->name.n + PSEUDO_OVER <= share && utf8_valid(p->name)) {
            pen_text(w, p->name, p->name.n);
        } else {
            pen_raw(w, SLICE("\"…"));
            pen_u64(w, i + 1);
            pen_raw(w, SLICE("\""));
        }
        pen_raw(w, SLICE(":"));
        put_pseudonym(w, p->value);
    }
    return all;
}

static void put_params(struct pen *w, const struct column *c, const void *field)
{
    const struct audit_record *r = field;
    if (r->n_params == 0)
        return;
    put_key(w, c);
    const char *stop = w->p + c->cap - PARAM_MORE;
    char mark = '{';
    size_t done = put_persons(w, r, stop, &mark);
    for (size_t i = 0; i < r->n_params && i < AUDIT_PARAMS_MAX && stop >= w->p + PARAM_ROOM; i++) {
        const struct audit_param *p = &r->params[i];
        if (p->pseudonym)
            continue;
        put_mark(w, &mark);
        pen_text(w, utf8_valid(p->name) ? p->name : SLICE("?"), PARAM_NAME);
        pen_raw(w, SLICE(":"));
        pen_text(w, p->value, PARAM_VALUE);
        done++;
    }
    if (done < r->n_params) {
        put_mark(w, &mark);
        pen_raw(w, SLICE("\"…\":"));
        pen_u64(w, r->n_params - done);
    }
    pen_raw(w, SLICE("}"));
}

/* True when the text is one JSON object as our own writers make them, on one line. */
static bool is_object(struct slice s)
{
    struct logline_iter it = { .object = s };
    struct slice key, value;
    if (s.n < 2 || s.p[0] != '{' || s.p[s.n - 1] != '}' || !utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((uint8_t)s.p[i] < 0x20)
            return false;
    }
    while (logline_next(&it, &key, &value))
        continue;
    return s.n == 2 || it.at == s.n - 1;
}

static void put_content(struct pen *w, const struct column *c, const void *field)
{
    const struct slice *s = field;
    if (s->n == 0)
        return;
    put_key(w, c);
    if (s->n <= c->cap && is_object(*s)) {
        pen_raw(w, *s);
        return;
    }
    struct sha256 h = sha256_of(*s);
    pen_raw(w, SLICE("{\"sha256\":"));
    pen_hex(w, &h);
    pen_raw(w, SLICE(",\"length\":"));
    pen_u64(w, s->n);
    pen_raw(w, SLICE("}"));
}

static void put_counts(struct pen *w, const struct column *c, const void *field)
{
    const uint32_t *const *counts = field;
    if (*counts == NULL)
        return;
    put_key(w, c);
    char mark = '{';
    for (unsigned i = 0; i < REASON_COUNT_; i++) {
        if ((*counts)[i] == 0)
            continue;
        pen_raw(w, slice_make(&mark, 1));
        mark = ',';
        pen_raw(w, SLICE("\""));
        pen_raw(w, slice_of(reason_info((enum reason)i)->code));
        pen_raw(w, SLICE("\":"));
        pen_u64(w, (*counts)[i]);
    }
    if (mark == '{')
        pen_raw(w, SLICE("{"));
    pen_raw(w, SLICE("}"));
}

#define KEY(name) ",\"" name "\":", sizeof(",\"" name "\":") - 1
#define COL(name, k, fn, member, c)                                                                                    \
    {                                                                                                                  \
        KEY(name), k, offsetof(struct audit_record, member), c, fn                                                     \
    }
#define WHOLE(name, k, fn, c)                                                                                          \
    {                                                                                                                  \
        KEY(name), k, 0, c, fn                                                                                         \
    }
static const struct column columns[] = {
    WHOLE("exchange", EX | ACT, put_exchange, UUID_TEXT + 24),
    COL("act", ACT, put_u64, act, NUMBER_MAX),
    COL("author", ACT, put_text, author, 256),
    COL("verb", ACT | TRIED, put_text, verb, 64),
    COL("object", ACT | TRIED, put_text, object, 256),
    COL("subject", EX | SUM, put_text, subject, 256),
    COL("via", EX, put_via, via, 512),
    COL("origin_exchange", EX, put_text, origin_exchange, 64),
    COL("peer", EX | ACT | SUM, put_text, peer, 64),
    COL("certificate", EX | ACT | SUM, put_text, certificate, 64),
    COL("resource", EX | SUM, put_text, resource, 160),
    COL("resource_version", EX, put_u64, resource_version, NUMBER_MAX),
    COL("grant", EX, put_text, grant, 96),
    COL("grant_version", EX, put_u64, grant_version, NUMBER_MAX),
    COL("purpose", EX, put_text, purpose, 64),
    COL("operator", EX, put_text, operator_, 256),
    COL("case", EX | ACT, put_text, case_, 256),
    COL("trace", EX | ACT, put_text, trace, 32),
    COL("snapshot", EX | ACT, put_u64, snapshot, NUMBER_MAX),
    COL("debit_rows", EX, put_u64, debit_rows, NUMBER_MAX),
    COL("debit_bytes", EX, put_u64, debit_bytes, NUMBER_MAX),
    WHOLE("params", EX, put_params, PARAMS_CAP),
    COL("items", EX, put_items, items, 1536),
    WHOLE("reason", EX | ACT | SUM, put_reason, 40),
    COL("status", EX | ACT, put_status, status, NUMBER_MAX),
    COL("provider_code", EX, put_text, provider_code, 64),
    COL("rows", EX, put_u64, rows, NUMBER_MAX),
    COL("findings", EX, put_u64, findings, NUMBER_MAX),
    COL("bytes_in", EX, put_u64, bytes_in, NUMBER_MAX),
    COL("bytes_out", EX, put_u64, bytes_out, NUMBER_MAX),
    COL("bytes_upload", EX, put_u64, bytes_upload, NUMBER_MAX),
    COL("digest_in", EX, put_digest, digest_in, 2 * SHA256_LEN),
    COL("digest_out", EX, put_digest, digest_out, 2 * SHA256_LEN),
    COL("digest_upload", EX, put_digest, digest_upload, 2 * SHA256_LEN),
    COL("duration_ms", EX, put_u64, duration_ms, NUMBER_MAX),
    COL("provider_ms", EX, put_u64, provider_ms, NUMBER_MAX),
    COL("raw_length", EX | ACT, put_u64, raw_length, NUMBER_MAX),
    COL("raw_digest", EX | ACT, put_digest, raw_digest, 2 * SHA256_LEN),
    COL("from", SUM, put_time, from, CLOCK_TEXT),
    COL("to", SUM, put_time, to, CLOCK_TEXT),
    COL("counts", SUM, put_counts, counts, REASON_COUNT_ * 40),
    COL("content", ACT, put_content, content, AUDIT_CONTENT_MAX),
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

/* What audit_know makes: the columns from subject to purpose, and the items. */
enum { KNOWN_FROM = 5, KNOWN_TO = 15, ITEMS_AT = 22 };

static void put_columns(struct pen *w, const struct audit_record *r, size_t from, size_t to)
{
    unsigned kind = 1u << r->kind;
    for (const struct column *c = columns + from; c < columns + to; c++) {
        if (c->kinds & kind)
            c->put(w, c, (const char *)r + c->offset);
    }
}

enum err audit_know(const struct audit_record *r, struct audit_known *ret)
{
    char text[AUDIT_RECORD_MAX];
    struct pen w = { text, text + sizeof text };
    put_columns(&w, r, KNOWN_FROM, KNOWN_TO);
    size_t who = (size_t)(w.p - text);
    put_columns(&w, r, ITEMS_AT, ITEMS_AT + 1);
    size_t n = (size_t)(w.p - text);
    if (n > sizeof ret->text)
        return ERR_TOO_LARGE;
    memcpy(ret->text, text, n);
    ret->who = (uint16_t)who;
    ret->n = (uint16_t)n;
    return ERR_OK;
}

size_t render_record(const struct audit_record *r, char *out)
{
    struct pen w = { out, out + AUDIT_RECORD_MAX - 2 };
    const struct audit_known *k = r->known;
    pen_begin(&w, r->kind, r->at);
    if (k == NULL) {
        put_columns(&w, r, 0, COLUMNS);
    } else {
        put_columns(&w, r, 0, KNOWN_FROM);
        pen_raw(&w, slice_make(k->text, k->who));
        put_columns(&w, r, KNOWN_TO, ITEMS_AT);
        pen_raw(&w, slice_make(k->text + k->who, (size_t)k->n - k->who));
        put_columns(&w, r, ITEMS_AT + 1, COLUMNS);
    }
    *w.p++ = '}';
    *w.p++ = '\n';
    return (size_t)(w.p - out);
}

size_t render_bound(enum audit_kind k)
{
    size_t n = LOGLINE_KIND + 16 + 8 + CLOCK_TEXT + 2;
    for (size_t i = 0; i < COLUMNS; i++) {
        if (columns[i].kinds & 1u << k)
            n += columns[i].key_n + columns[i].cap + (columns[i].cap > NUMBER_MAX ? TEXT_OVER : 0);
    }
    return n;
}

bool render_as(const char *column, struct slice text, struct buf *out)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        const struct column *c = &columns[i];
        struct slice key = slice_make(c->key + 2, c->key_n - 4U);
        if (c->put != put_text || !slice_is(key, column))
            continue;
        char *p = buf_reserve(out, c->cap + TEXT_OVER);
        if (p == NULL)
            return false;
        struct pen w = { p, p + c->cap + TEXT_OVER };
        pen_text(&w, text, c->cap);
        out->n += (size_t)(w.p - p);
        return true;
    }
    return false;
}

enum err audit_render(const struct audit_record *r, struct buf *out)
{
    char *p = buf_reserve(out, AUDIT_RECORD_MAX);
    if (p == NULL)
        return out->failed;
    out->n += render_record(r, p);
    return ERR_OK;
}

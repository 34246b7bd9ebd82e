/* Reading forwards from a little before the time in the exchange's id. A line is looked at closely only when it holds
 * the id's text somewhere. Invariant: what is kept belongs to that very exchange, is whole, and stands below the size
 * given. */
#include "audit/trace.h"
#include "audit/entries.h"

enum {
    EARLY_MS = 100,         /* records of several threads stand in no order of milliseconds */
    EARLIER_MS = 2000,      /* and a clock may be set back a little: looked at when nothing was found */
    LATE_MS = 120000,       /* a request may arrive slowly: its body has limits.body_time */
    CUT_BYTES = 1 << 20,    /* behind the outcome a cut is looked for */
    FIND_BYTES = 32 << 20,  /* the first record is looked for in so much: two seconds of 40 000 records each */
    SCAN_BYTES = 256 << 20, /* in all */
    LOOK_EVERY = 256
};

struct scan {
    struct trace *t;
    const struct uuid *exchange;
    char text[UUID_TEXT];
    uint64_t size, bytes, stop_at; /* stop_at: bytes */
    int64_t last_at;               /* no intent begins later */
    unsigned look;
};

static bool is_late(struct scan *s, struct slice line)
{
    int64_t at;
    if (s->t->n > 0 || ++s->look % LOOK_EVERY != 0)
        return false;
    return logline_at(line, &at) && at > s->last_at;
}

static bool keep(struct scan *s, uint64_t index, struct slice line)
{
    struct trace *t = s->t;
    enum audit_kind kind;
    struct uuid exchange;
    uint32_t part;
    if (!logline_kind(line, &kind) || kind > AUDIT_CUT || kind == AUDIT_PROGRESS ||
        !logline_exchange(line, &exchange, &part) || memcmp(&exchange, s->exchange, sizeof exchange) != 0)
        return true;
    for (unsigned i = 0; i < t->n; i++)
        if (t->record[i].index == index)
            return true;
    if (t->n == 0)
        s->stop_at = SCAN_BYTES;
    t->record[t->n++] = (struct trace_record){ kind, index, t->lines.n, line.n };
    buf_put(&t->lines, line);
    t->begun = t->begun || kind == AUDIT_INTENT;
    t->ended = t->ended || kind == AUDIT_OUTCOME || kind == AUDIT_REFUSED;
    if (t->ended)
        s->stop_at = s->bytes + CUT_BYTES;
    return t->n < TRACE_RECORDS && t->lines.failed == ERR_OK && kind != AUDIT_REFUSED && kind != AUDIT_CUT;
}

static bool take(void *arg, uint64_t index, struct slice line)
{
    struct scan *s = arg;
    s->bytes += line.n;
    if (index >= s->size || s->bytes > s->stop_at || is_late(s, line))
        return false;
    s->t->next = index + 1;
    return memmem(line.p, line.n, s->text, UUID_TEXT - 1) == NULL || keep(s, index, line);
}

int64_t trace_time(const struct uuid *u)
{
    int64_t ms = 0;
    for (unsigned i = 0; i < 6; i++)
        ms = ms << 8 | u->b[i];
    return u->b[6] >> 4 == 7 ? ms : 0;
}

static enum err scan_from(struct scan *s, const char *dir, uint64_t from)
{
    s->bytes = 0;
    s->stop_at = s->t->n > 0 ? SCAN_BYTES : FIND_BYTES;
    s->t->next = from;
    if (from >= s->size)
        return ERR_OK;
    enum err e = entries_each(dir, from, s->size, take, s);
    return e != ERR_OK ? e : s->t->lines.failed;
}

static enum err scan_since(struct scan *s, const char *dir, int64_t wall_ms)
{
    uint64_t from;
    enum err e = entries_since(dir, wall_ms, &from);
    return e == ERR_OK ? scan_from(s, dir, from) : e;
}

static enum err find_by_time(struct scan *s, const char *dir)
{
    int64_t began = trace_time(s->exchange);
    s->last_at = began + LATE_MS;
    if (began == 0)
        return ERR_NOT_FOUND;
    enum err e = scan_since(s, dir, began - EARLY_MS);
    if (s->t->n > 0 || (e != ERR_OK && e != ERR_NOT_FOUND))
        return e;
    return scan_since(s, dir, began - EARLIER_MS);
}

static enum err find(struct scan *s, const char *dir, const struct audit_proof_ask *a)
{
    s->last_at = INT64_MAX;
    if (a->intent == AUDIT_UNKNOWN)
        return find_by_time(s, dir);
    if (a->outcome == AUDIT_UNKNOWN || a->intent >= s->size)
        return scan_from(s, dir, a->intent);
    enum err e = entries_each(dir, a->intent, a->intent + 1, take, s);
    return e == ERR_OK ? scan_from(s, dir, a->outcome) : e;
}

enum err trace_exchange(const char *dir, const struct audit_proof_ask *a, uint64_t size, struct trace *ret)
{
    struct scan s = { .t = ret, .exchange = &a->exchange, .size = size, .stop_at = SCAN_BYTES };
    *ret = (struct trace){ .lines = BUF_INIT(TRACE_RECORDS * AUDIT_RECORD_MAX) };
    uuid_text(a->exchange, s.text);
    enum err e = find(&s, dir, a);
    if (e == ERR_OK && ret->n == 0)
        e = ERR_NOT_FOUND;
    if (e == ERR_OK && ret->begun && !ret->ended && s.bytes > s.stop_at)
        e = ERR_TOO_LARGE;
    if (e != ERR_OK && e != ERR_TOO_LARGE)
        trace_done(ret);
    return e;
}

void trace_done(struct trace *t)
{
    buf_done(&t->lines);
    t->n = 0;
}

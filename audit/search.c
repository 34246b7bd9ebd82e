/* Search by reading the segments: a substring says which lines may match, their fields say which do. No index, no
 * state; reads a log that is being written too, up to its last whole record. A segment is read forwards also for
 * newest_first: the places of the last matches are kept and then read again from behind. */
#include "audit/logscan.h"
#include "audit/render.h"
#include <unistd.h>

enum { NEEDLES = 10, SEARCH_LIMIT = 1000 };

struct needle {
    const char *column, *other; /* other: a second column that may match instead, or NULL */
    struct buf text;            /* own: raw JSON text of the value */
};
struct place {
    uint64_t index, offset;
    size_t n;
};
struct search {
    const struct audit_filter *f;
    struct needle needles[NEEDLES];
    unsigned n;
    uint32_t limit, found;
    bool more, stop;
    bool (*fn)(void *arg, uint64_t index, struct slice line);
    void *arg;
    struct place *places; /* own: ring of `limit` + 1, newest_first only */
    uint64_t place_n;
};

static enum err needle_add(struct search *s, const char *column, const char *other, struct slice value)
{
    if (value.n == 0)
        return ERR_OK;
    struct needle *x = &s->needles[s->n++];
    *x = (struct needle){ .column = column, .other = other, .text = BUF_INIT(2048) };
    if (render_as(column, value, &x->text))
        return ERR_OK;
    if (x->text.failed != ERR_OK)
        return x->text.failed;
    struct json j; /* exchange, kind, reason: not text columns of the table */
    json_init(&j, &x->text);
    json_str(&j, value);
    return x->text.failed;
}

static enum err needles_make(struct search *s)
{
    const struct audit_filter *f = s->f;
    const struct {
        const char *column, *other;
        struct slice value;
    } all[] = {
        { "subject", "author", f->subject }, { "resource", NULL, f->resource }, { "grant", NULL, f->grant },
        { "reason", NULL, f->reason },       { "kind", NULL, f->kind },         { "operator", NULL, f->operator_ },
        { "case", NULL, f->case_ },          { "purpose", NULL, f->purpose },   { "exchange", NULL, f->exchange },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        enum err e = needle_add(s, all[i].column, all[i].other, all[i].value);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static bool holds(struct slice line, struct slice text)
{
    return memmem(line.p, line.n, text.p, text.n) != NULL;
}

static bool column_is(struct slice line, const char *column, struct slice raw)
{
    struct slice v;
    return column != NULL && logline_field(line, column, &v) && slice_eq(v, raw);
}

/* A parameter under this pseudonym: {"hmac":"…"} inside params. Inside a string the quotes would be escaped. */
static bool pseudonym_is(struct slice line, struct slice pseudonym)
{
    struct slice params, key, value, hex;
    if (!logline_field(line, "params", &params))
        return false;
    struct logline_iter it = { .object = params };
    while (logline_next(&it, &key, &value)) {
        struct logline_iter inner = { .object = value };
        struct slice name;
        if (value.p[0] == '{' && logline_next(&inner, &name, &hex) && slice_is(name, "hmac") &&
            logline_plain(hex, &hex) && slice_eq(hex, pseudonym))
            return true;
    }
    return false;
}

static bool time_is(const struct audit_filter *f, struct slice line)
{
    int64_t at;
    if (f->from == 0 && f->to == 0)
        return true;
    return logline_at(line, &at) && (f->from == 0 || at >= f->from) && (f->to == 0 || at <= f->to);
}

static bool line_is(const struct search *s, struct slice line)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (!holds(line, buf_slice(&s->needles[i].text)))
            return false;
    }
    if (s->f->pseudonym.n > 0 && (!holds(line, s->f->pseudonym) || !pseudonym_is(line, s->f->pseudonym)))
        return false;
    for (unsigned i = 0; i < s->n; i++) {
        const struct needle *x = &s->needles[i];
        struct slice raw = buf_slice(&x->text);
        if (!column_is(line, x->column, raw) && !column_is(line, x->other, raw))
            return false;
    }
    return time_is(s->f, line);
}

static bool index_is(const struct audit_filter *f, uint64_t index)
{
    return f->after == UINT64_MAX || (f->newest_first ? index < f->after : index > f->after);
}

/* One match, in the order of the answer. */
static void hit(struct search *s, uint64_t index, struct slice line)
{
    if (s->found == s->limit) {
        s->more = s->stop = true;
        return;
    }
    s->found++;
    if (!s->fn(s->arg, index, line))
        s->stop = true;
}

static void segment_hit(struct search *s, uint64_t index, uint64_t offset, struct slice line)
{
    if (s->f->newest_first)
        s->places[s->place_n++ % (s->limit + 1)] = (struct place){ index, offset, line.n };
    else
        hit(s, index, line);
}

static void places_answer(struct search *s, int fd)
{
    char line[AUDIT_RECORD_MAX];
    uint64_t kept = s->place_n < s->limit + 1 ? s->place_n : s->limit + 1;
    for (uint64_t i = 0; i < kept && !s->stop; i++) {
        const struct place *p = &s->places[(s->place_n - 1 - i) % (s->limit + 1)];
        if (p->n <= sizeof line && pread(fd, line, p->n, (off_t)p->offset) == (ssize_t)p->n)
            hit(s, p->index, slice_make(line, p->n));
    }
    s->place_n = 0;
}

static enum err segment_search(struct search *s, const char *dir, uint64_t first, uint64_t limit, struct diags *d)
{
    char path[4096];
    struct logscan scan;
    struct slice line;
    uint64_t index, offset;
    enum err e = segment_path(dir, first, path, sizeof path);
    if (e == ERR_OK)
        e = logscan_open(&scan, path, 0);
    if (e != ERR_OK)
        return diag_add(d, e, 0, 0, "cannot read %s", "无法读取 %s", path);
    enum logscan_state state = LOGSCAN_END;
    while (!s->stop && (state = logscan_next(&scan, &line, &offset)) == LOGSCAN_LINE) {
        if (!logline_check(line, &index) || index >= limit)
            break;
        if (index_is(s->f, index) && line_is(s, line))
            segment_hit(s, index, offset, line);
    }
    if (s->f->newest_first)
        places_answer(s, scan.fd);
    logscan_close(&scan);
    return state == LOGSCAN_FAILED ? diag_sys(d, scan.sys, "cannot read %s", "无法读取 %s", path) : ERR_OK;
}

/* No record of [first, limit) can be asked for. */
static bool segment_skip(const struct audit_filter *f, uint64_t first, uint64_t limit)
{
    if (f->after == UINT64_MAX)
        return false;
    return f->newest_first ? first >= f->after : limit <= f->after + 1;
}

static enum err search_run(struct search *s, const char *dir, struct diags *d)
{
    struct segment_list list;
    enum err e = segment_list_read(dir, &list, d);
    if (e != ERR_OK)
        return e;
    for (size_t k = 0; e == ERR_OK && k < list.n && !s->stop; k++) {
        size_t i = s->f->newest_first ? list.n - 1 - k : k;
        uint64_t limit = i + 1 < list.n ? list.first[i + 1] : UINT64_MAX;
        if (!segment_skip(s->f, list.first[i], limit))
            e = segment_search(s, dir, list.first[i], limit, d);
    }
    segment_list_done(&list);
    return e;
}

enum err audit_search(const char *dir, const struct audit_filter *f,
                      bool (*fn)(void *arg, uint64_t index, struct slice line), void *arg, bool *more, struct diags *d)
{
    struct search s = { .f = f, .fn = fn, .arg = arg };
    s.limit = f->limit < 1 ? 1 : f->limit > SEARCH_LIMIT ? SEARCH_LIMIT : f->limit;
    *more = false;
    s.places = mem_array(s.limit + 1, sizeof *s.places);
    enum err e = s.places == NULL ? ERR_NOMEM : needles_make(&s);
    if (e == ERR_OK)
        e = search_run(&s, dir, d);
    *more = s.more;
    for (unsigned i = 0; i < s.n; i++)
        buf_done(&s.needles[i].text);
    mem_free(s.places);
    return e;
}

/* Members of an object that lie whole in the bytes at hand, their key and value without escapes: nearly all there are.
 * Each is looked at first and told only when all of it is understood; anything else, and every error but those of a key
 * that comes twice and of the sink, is left to the steps, which look at the same bytes again. So there is nothing here
 * that they do not do, and no state of its own. */
#include "translate/json_reader_state.h"
#include "translate/plain.h"

enum { KEY_MAX = 256 }; /* longer ones go the other way */

struct member {
    struct member_event e;
    struct member_memo nothing;
    bool bracket;          /* `from` is at an opening one */
    bool is_known;         /* the name is the next of those known */
    const char *from, *to; /* where the value begins behind its quote, and the first byte behind all of it */
};

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && (unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* As json_string_run, for which the first sixteen bytes are mostly enough. */
static inline const char *string_run(const char *p, const char *end, bool *ret_bad)
{
    if (end - p >= 16) {
        const char *at = plain_run_16(p);
        if (at < p + 16 && *at == '"')
            return at;
        p = at;
    }
    return json_string_run(p, end, ret_bad);
}

/* Behind the closing quote of the key that begins at p; NULL: not whole, or not plain. */
static inline const char *look_at_key(const struct json_members *o, const char *p, const char *end, struct member *m)
{
    const struct json_known *known = o->known;
    bool bad;

    m->is_known = false;
    if (known != NULL && o->next < known->n) {
        const uint16_t *at = &known->at[o->next];
        size_t n = (size_t)(at[1] - at[0]);
        if ((size_t)(end - p) > n && same_bytes(p, known->text + at[0], n)) {
            m->is_known = true;
            m->e.name = slice_make(p, n - 1);
            return p + n;
        }
    }
    const char *quote = string_run(p, end, &bad);
    if (quote == end || *quote != '"' || quote - p > KEY_MAX)
        return NULL;
    m->e.name = slice_make(p, (size_t)(quote - p));
    return quote + 1;
}

static inline bool look_at_value(const char *p, const char *end, struct member *m)
{
    bool bad;

    m->bracket = false;
    if (*p == '"') {
        m->from = p + 1;
        m->e.kind = SCALAR_TEXT;
        p = string_run(p + 1, end, &bad);
        if (p == end || *p != '"')
            return false;
        m->to = p + 1;
    } else {
        m->from = p;
        m->bracket = *p == '{' || *p == '[';
        if (m->bracket)
            return true;
        m->e.kind = SCALAR_NUMBER;
        p = *p >= 'a' ? json_literal_run(p, end, &m->e.kind) : json_number_run(p, end);
        if (p == NULL)
            return false;
        m->to = p;
    }
    m->e.value = slice_make(m->from, (size_t)(p - m->from));
    return m->e.value.n <= TOKEN_MAX;
}

/* The whole member whose key's opening quote is at p. False: the steps must see to it. */
static inline bool look(const struct json_members *o, const char *p, const char *end, struct member *m)
{
    p = look_at_key(o, p + 1, end, m);
    if (p == NULL || (p < end && *p != ':' && (p = skip_space(p, end)) < end && *p != ':') || p == end)
        return false;
    p++;
    if (p < end && *p != '"')
        p = skip_space(p, end);
    return p < end && look_at_value(p, end, m);
}

/* The value is an object or an array: the steps go on at its bracket. */
static enum err leave_bracket(struct json_reader *r, struct cursor *c, const struct member *m)
{
    struct frame *f = &r->frames[r->depth];

    c->p = m->from;
    r->state = ST_VALUE;
    r->names.n = f->names_base;
    buf_put(&r->names, m->e.name);
    f->name_at = f->names_base;
    f->name_n = (uint32_t)m->e.name.n;
    return r->names.failed;
}

static enum err tell(struct json_reader *r, struct cursor *c, const struct member *m)
{
    static const struct slice none;
    enum err e;

    if (r->sink.member != NULL) {
        c->p = m->to;
        return r->sink.member(r->self, &m->e);
    }
    c->p = m->from;
    e = r->sink.open(r->self, none, m->e.name);
    if (e == ERR_OK) {
        c->p += m->e.value.n;
        e = r->sink.text(r->self, m->e.kind, m->e.value);
    }
    if (e == ERR_OK) {
        c->p = m->to;
        e = r->sink.close(r->self);
    }
    return e;
}

/* A key that is not the next of those known: its memo is one that nobody keeps when its depth has none. */
static __attribute__((noinline)) enum err add_other(struct json_reader *r, struct json_members *o, struct member *m)
{
    enum err e = json_members_add(&r->keys, o, m->e.name, true, &m->e.memo);

    if (m->e.memo == NULL) {
        m->nothing = (struct member_memo){ NULL, NULL };
        m->e.memo = &m->nothing;
    }
    return e;
}

static inline enum err add(struct json_reader *r, struct json_members *o, struct cursor *c, struct member *m)
{
    c->p = m->e.name.p + m->e.name.n + 1;
    if (!m->is_known)
        return add_other(r, o, m);
    m->e.memo = &o->known->memo[o->next];
    return json_members_add_known(&r->keys, o, o->next);
}

/* Behind a member: the opening quote of the next key. False: state and cursor are for the steps. */
static inline bool go_on(struct json_reader *r, struct cursor *c, const char *p)
{
    const char *end = c->end;

    if (p < end && *p != ',')
        p = skip_space(p, end);
    r->state = ST_AFTER;
    c->p = p;
    if (p == end || *p != ',')
        return false;
    p++;
    if (p < end && *p != '"')
        p = skip_space(p, end);
    r->state = ST_KEY;
    c->p = p;
    return p < end && *p == '"';
}

enum err json_members_step(struct json_reader *r, struct cursor *c)
{
    struct json_members *o = &r->frames[r->depth].members;
    bool room = r->frames[r->depth].names_base + KEY_MAX <= TOKEN_MAX;
    struct member m;

    do {
        if (!room || !look(o, c->p, c->end, &m)) {
            c->p++;
            return json_string_begin(r, true);
        }
        enum err e = add(r, o, c, &m);
        if (e != ERR_OK || m.bracket)
            return e != ERR_OK ? e : leave_bracket(r, c, &m);
        e = tell(r, c, &m);
        if (e != ERR_OK)
            return e;
    } while (go_on(r, c, m.to));
    if (r->state != ST_AFTER || c->p == c->end || *c->p != '}')
        return ERR_OK;
    c->p++;
    return json_close_object(r);
}

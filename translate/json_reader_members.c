/* Members of an object that lie whole in the bytes at hand, their key and value without escapes: nearly all there are.
 * Each is looked at first and told only when all of it is understood; anything else, and every error but those of a key
 * that comes twice and of the sink, is left to the steps, which look at the same bytes again. So there is nothing here
 * that they do not do, and no state of its own. */
#include "translate/json_reader_state.h"
#include "translate/plain.h"

enum { KEY_MAX = 256 }; /* longer ones go the other way */

struct member {
    struct slice name, value;
    enum scalar kind;
    bool bracket;          /* value.p is at an opening one */
    uint32_t known;        /* index of the name, or KNOWN_MAX */
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
    }
    return json_string_run(p, end, ret_bad);
}

/* Behind the closing quote of the key that begins at p; NULL: not whole, or not plain. */
static inline const char *look_at_key(const struct json_members *o, const char *p, const char *end, struct member *m)
{
    const struct json_known *known = o->known;
    bool bad;

    m->known = KNOWN_MAX;
    if (known != NULL && o->next < known->n) {
        const uint16_t *at = &known->at[o->next];
        size_t n = (size_t)(at[1] - at[0]);
        if ((size_t)(end - p) > n && same_bytes(p, known->text + at[0], n)) {
            m->known = o->next;
            m->name = slice_make(p, n - 1);
            return p + n;
        }
    }
    const char *quote = string_run(p, end, &bad);
    if (quote == end || *quote != '"' || quote - p > KEY_MAX)
        return NULL;
    m->name = slice_make(p, (size_t)(quote - p));
    return quote + 1;
}

static inline bool look_at_value(const char *p, const char *end, struct member *m)
{
    bool bad;

    m->from = p;
    m->bracket = *p == '{' || *p == '[';
    m->kind = SCALAR_NUMBER;
    if (m->bracket)
        return true;
    if (*p == '"') {
        m->kind = SCALAR_TEXT;
        m->from = p + 1;
        p = string_run(p + 1, end, &bad);
        if (p == end || *p != '"')
            return false;
        m->to = p + 1;
    } else {
        p = *p >= 'a' ? json_literal_run(p, end, &m->kind) : json_number_run(p, end);
        if (p == NULL)
            return false;
        m->to = p;
    }
    m->value = slice_make(m->from, (size_t)(p - m->from));
    return m->value.n <= TOKEN_MAX;
}

/* The whole member whose key's opening quote is at p. False: the steps must see to it. */
static inline bool look(const struct json_members *o, const char *p, const char *end, struct member *m)
{
    p = look_at_key(o, p + 1, end, m);
    if (p == NULL)
        return false;
    p = skip_space(p, end);
    if (p == end || *p != ':')
        return false;
    p = skip_space(p + 1, end);
    return p < end && look_at_value(p, end, m);
}

/* The value is an object or an array: the steps go on at its bracket. */
static enum err leave_bracket(struct json_reader *r, struct cursor *c, const struct member *m)
{
    struct frame *f = &r->frames[r->depth];

    c->p = m->from;
    r->state = ST_VALUE;
    r->names.n = f->names_base;
    buf_put(&r->names, m->name);
    f->name_at = f->names_base;
    f->name_n = (uint32_t)m->name.n;
    return r->names.failed;
}

static enum err tell(struct json_reader *r, struct cursor *c, const struct member *m, struct member_memo *memo)
{
    static const struct slice none;
    struct member_memo nothing = { NULL, NULL };
    enum err e;

    if (r->sink.member != NULL) {
        c->p = m->to;
        return r->sink.member(r->self, m->name, m->kind, m->value, memo != NULL ? memo : &nothing);
    }
    c->p = m->from;
    e = r->sink.open(r->self, none, m->name);
    if (e == ERR_OK) {
        c->p += m->value.n;
        e = r->sink.text(r->self, m->kind, m->value);
    }
    if (e == ERR_OK) {
        c->p = m->to;
        e = r->sink.close(r->self);
    }
    return e;
}

static inline enum err add(struct json_reader *r, struct cursor *c, const struct member *m, struct member_memo **memo)
{
    struct json_members *o = &r->frames[r->depth].members;

    c->p = m->name.p + m->name.n + 1;
    if (m->known == KNOWN_MAX)
        return json_members_add(&r->keys, o, m->name, memo);
    *memo = &o->known->memo[m->known];
    return json_members_add_known(&r->keys, o, m->known);
}

enum err json_members_step(struct json_reader *r, struct cursor *c)
{
    const struct frame *f = &r->frames[r->depth];
    bool room = f->names_base + KEY_MAX <= TOKEN_MAX;
    struct member_memo *memo;
    struct member m;

    for (;;) {
        if (!room || !look(&f->members, c->p, c->end, &m)) {
            c->p++;
            return json_string_begin(r, true);
        }
        enum err e = add(r, c, &m, &memo);
        if (e != ERR_OK || m.bracket)
            return e != ERR_OK ? e : leave_bracket(r, c, &m);
        e = tell(r, c, &m, memo);
        if (e != ERR_OK)
            return e;
        c->p = skip_space(m.to, c->end);
        r->state = ST_AFTER;
        if (c->p == c->end || (*c->p != ',' && *c->p != '}'))
            return ERR_OK;
        if (*c->p++ == '}')
            return json_close_object(r);
        c->p = skip_space(c->p, c->end);
        r->state = ST_KEY;
        if (c->p == c->end || *c->p != '"')
            return ERR_OK;
    }
}

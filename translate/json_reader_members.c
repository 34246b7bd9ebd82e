/* Members of an object that lie whole in the bytes at hand, their key and value without escapes: nearly all there are.
 * Each is looked at first and told only when all of it is understood; anything else, and every error but those of a key
 * that comes twice and of the sink, is left to the steps, which look at the same bytes again. So there is nothing here
 * that they do not do, and no state of its own. */
#include "translate/json_reader_state.h"
#include "translate/plain.h"

enum { KEY_MAX = 256 };               /* longer ones go the other way */
enum { USUAL_NAME = 16, USUAL = 64 }; /* of a usual member: its name with what is behind; bytes at hand at its key */

struct member {
    struct slice name, value;
    struct member_memo *memo;
    struct member_memo nothing;
    enum scalar kind;
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
        struct slice name = known->memo[o->next].name;
        if ((size_t)(end - p) > name.n + 1 && same_bytes(p, name.p, name.n + 1)) {
            m->is_known = true;
            m->name = slice_make(p, name.n);
            return p + name.n + 1;
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

    m->bracket = false;
    if (*p == '"') {
        m->from = p + 1;
        m->kind = SCALAR_TEXT;
        p = string_run(p + 1, end, &bad);
        if (p == end || *p != '"')
            return false;
        m->to = p + 1;
    } else {
        m->from = p;
        m->bracket = *p == '{' || *p == '[';
        if (m->bracket)
            return true;
        m->kind = SCALAR_NUMBER;
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
    buf_put(&r->names, m->name);
    f->name_at = f->names_base;
    f->name_n = (uint32_t)m->name.n;
    return r->names.failed;
}

static enum err tell(struct json_reader *r, struct cursor *c, const struct member *m)
{
    static const struct slice none;
    enum err e;

    if (r->sink.member != NULL) {
        c->p = m->to;
        return r->sink.member(r->self, m->memo, m->kind, m->value);
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

/* A key that is not the next of those known: its memo is one that nobody keeps when its depth has none. */
static __attribute__((noinline)) enum err add_other(struct json_reader *r, struct json_members *o, struct member *m)
{
    enum err e = json_members_add(&r->keys, o, m->name, true, &m->memo);

    if (m->memo == NULL) {
        m->nothing = (struct member_memo){ .name = m->name };
        m->memo = &m->nothing;
    }
    return e;
}

static inline enum err add(struct json_reader *r, struct json_members *o, struct cursor *c, struct member *m)
{
    c->p = m->name.p + m->name.n + 1;
    if (!m->is_known)
        return add_other(r, o, m);
    m->memo = &o->known->memo[o->next];
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

/* Behind the closing quote of the string that begins at p, where sixteen bytes can be read; NULL: it is not plain, or
 * not followed by two more bytes. */
static inline const char *usual_string(const char *p, const char *end)
{
    const char *at = plain_run_16(p);
    bool bad;

    if (*at == '"')
        return at + 1;
    if (at == p + 16)
        at = plain_run(at, end, false);
    if (at < end && *at != '"')
        at = json_string_run(at, end, &bad);
    return end - at > 2 && *at == '"' && at - p <= TOKEN_MAX ? at + 1 : NULL;
}

static uint64_t bits_below(uint32_t n)
{
    return n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
}

/* Nothing but the bytes has to be looked at: a sink for members, a known name to come, none of those behind it seen. */
static inline bool may_be_usual(const struct json_reader *r, const struct json_members *o)
{
    return r->sink.member != NULL && o->known != NULL && o->next < o->known->n && o->seen >> o->next == 0 &&
           r->keys.n + r->keys.light + KNOWN_MAX <= JSON_OPEN_MAX;
}

/* From the opening quote of a key on, members as programs write nearly all of them: the known names in the order of
 * before, no white space, plain strings; in a third of the instructions that `look` and `add` take. State and cursor
 * are left at the key of the first that is not so (ST_KEY), or behind a member. */
static enum err usual_members(struct json_reader *r, struct cursor *c, struct json_members *o)
{
    struct member_memo *first = o->known->memo, *memo = first + o->next, *last = first + o->known->n;
    const char *p = c->p, *end = c->end;
    enum err e = ERR_OK;

    r->state = ST_KEY;
    for (; memo < last && end - p >= USUAL; p++) {
        size_t key = memo->name.n + KNOWN_BEHIND_N;
        if (key > USUAL_NAME || !begins_16(p + 1, memo->name.p, (unsigned)key))
            break;
        const char *value = p + 1 + key, *to = usual_string(value, end);
        if (to == NULL)
            break;
        p = to;
        e = r->sink.member(r->self, memo++, SCALAR_TEXT, slice_make(value, (size_t)(to - 1 - value)));
        if (e != ERR_OK || p[0] != ',' || p[1] != '"') {
            r->state = ST_AFTER;
            break;
        }
    }
    uint32_t from = o->next, n = (uint32_t)(memo - first);
    o->seen |= bits_below(n) & ~bits_below(from);
    o->next = n;
    r->keys.light += n - from;
    c->p = p;
    return e;
}

enum err json_members_step(struct json_reader *r, struct cursor *c)
{
    struct json_members *o = &r->frames[r->depth].members;
    bool room = r->frames[r->depth].names_base + KEY_MAX <= TOKEN_MAX;
    struct member m;
    enum err e;

    do {
        if (room && may_be_usual(r, o)) {
            e = usual_members(r, c, o);
            if (e != ERR_OK)
                return e;
            m.to = c->p;
            if (r->state == ST_AFTER)
                continue; /* with what is behind it */
        }
        if (!room || !look(o, c->p, c->end, &m)) {
            c->p++;
            return json_string_begin(r, true);
        }
        e = add(r, o, c, &m);
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

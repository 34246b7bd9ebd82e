/* The streaming reader of JSON (RFC 8259) declared in event.h: life, brackets, and the machine.
 * One byte of input is looked at once; `state` says what may come next and steps[] has one function a state, which eats
 * as much as it can. After an error nothing is fed to the sink. Invariants: json_reader_state.h. */
#include "translate/json_reader_state.h"

static const struct slice none;

/* ---- life ---- */

struct json_reader *json_reader_new(const struct event_sink *sink, void *self)
{
    struct json_reader *r = mem_alloc(sizeof *r);

    if (r != NULL)
        json_reader_init(r, sink, self);
    return r;
}

void json_reader_init(struct json_reader *r, const struct event_sink *sink, void *self)
{
    r->sink = *sink;
    r->self = self;
    buf_init(&r->names, TOKEN_MAX);
    json_keys_init(&r->keys);
    json_reader_reset(r, false);
}

void json_reader_reset(struct json_reader *r, bool memos)
{
    r->failed = ERR_OK;
    r->state = ST_VALUE;
    r->depth = 0;
    r->high = 0;
    r->token = 0;
    r->offset = 0;
    r->frames[0] = (struct frame){ 0 };
    buf_clear(&r->names);
    json_keys_reset(&r->keys, memos);
}

struct json_reader *json_reader_free(struct json_reader *r)
{
    if (r != NULL)
        json_reader_done(r);
    return mem_free(r);
}

void json_reader_done(struct json_reader *r)
{
    buf_done(&r->names);
    json_keys_done(&r->keys);
}

uint64_t json_reader_offset(const struct json_reader *r)
{
    return r->offset;
}

/* ---- values and brackets ---- */

static struct frame *top(struct json_reader *r)
{
    return &r->frames[r->depth];
}

struct slice json_frame_name(const struct json_reader *r, const struct frame *f)
{
    return f->name_n != 0 ? slice_make(r->names.p + f->name_at, f->name_n) : none;
}

enum err json_value_open(struct json_reader *r)
{
    return r->sink.open(r->self, none, json_frame_name(r, top(r)));
}

enum err json_value_close(struct json_reader *r)
{
    r->state = ST_AFTER;
    return r->sink.close(r->self);
}

static enum err push_frame(struct json_reader *r, bool object)
{
    const struct frame *outer = top(r);
    struct frame *f;

    if (r->depth >= READER_DEPTH_MAX)
        return ERR_TOO_LARGE;
    f = &r->frames[++r->depth];
    f->names_base = (uint32_t)r->names.n;
    f->name_at = f->name_n = 0;
    f->object = object;
    f->element = false;
    if (object)
        return json_members_begin(&r->keys, &f->members, r->depth - 1U);
    if (outer->object) { /* an array's elements bear its own name */
        f->name_at = outer->name_at;
        f->name_n = outer->name_n;
    }
    return ERR_OK;
}

static void pop_frame(struct json_reader *r)
{
    const struct frame *f = top(r);

    if (f->object)
        json_members_end(&r->keys, &f->members);
    r->names.n = f->names_base;
    r->depth--;
    r->state = ST_AFTER;
}

/* Behind the bracket; goes on to the first member when it is at hand. */
static enum err open_object(struct json_reader *r, struct cursor *c)
{
    enum err e = json_value_open(r);

    r->state = ST_KEY_FIRST;
    if (e == ERR_OK)
        e = push_frame(r, true);
    return e == ERR_OK && c->p < c->end && *c->p == '"' ? json_members_step(r, c) : e;
}

static enum err open_array(struct json_reader *r)
{
    bool element = r->depth > 0 && !top(r)->object;
    enum err e = element ? json_value_open(r) : ERR_OK;

    if (e == ERR_OK)
        e = push_frame(r, false);
    if (e != ERR_OK)
        return e;
    top(r)->element = element;
    r->state = ST_FIRST;
    return r->sink.list != NULL ? r->sink.list(r->self, json_frame_name(r, top(r)), true, element) : ERR_OK;
}

enum err json_close_object(struct json_reader *r)
{
    pop_frame(r);
    return json_value_close(r);
}

static enum err close_array(struct json_reader *r)
{
    const struct frame *f = top(r);
    bool element = f->element;
    enum err e = r->sink.list != NULL ? r->sink.list(r->self, json_frame_name(r, f), false, element) : ERR_OK;

    if (e != ERR_OK)
        return e;
    pop_frame(r);
    return element ? json_value_close(r) : ERR_OK;
}

/* ---- white space and structure ---- */

static bool skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\r' || *c->p == '\t'))
        c->p++;
    return c->p < c->end;
}

/* The first byte of a value decides; numbers and literals are looked at again by their own step. */
static enum err step_value(struct json_reader *r, struct cursor *c)
{
    if (!skip_space(c))
        return ERR_OK;
    switch (*c->p) {
    case '{':
        c->p++;
        return open_object(r, c);
    case '[':
        c->p++;
        return open_array(r);
    case '"':
        c->p++;
        return json_string_begin(r, false);
    case 't':
    case 'f':
    case 'n':
        return json_literal_begin(r, *c->p);
    default:
        return *c->p == '-' || (*c->p >= '0' && *c->p <= '9') ? json_number_begin(r) : ERR_SYNTAX;
    }
}

static enum err step_first(struct json_reader *r, struct cursor *c)
{
    if (!skip_space(c))
        return ERR_OK;
    if (*c->p != ']')
        return step_value(r, c);
    c->p++;
    return close_array(r);
}

static enum err step_key(struct json_reader *r, struct cursor *c)
{
    if (!skip_space(c))
        return ERR_OK;
    if (*c->p != '"')
        return ERR_SYNTAX;
    return json_members_step(r, c);
}

static enum err step_key_first(struct json_reader *r, struct cursor *c)
{
    if (!skip_space(c))
        return ERR_OK;
    if (*c->p != '}')
        return step_key(r, c);
    c->p++;
    return json_close_object(r);
}

static enum err step_colon(struct json_reader *r, struct cursor *c)
{
    if (!skip_space(c))
        return ERR_OK;
    if (*c->p != ':')
        return ERR_SYNTAX;
    c->p++;
    r->state = ST_VALUE;
    return ERR_OK;
}

static enum err step_after(struct json_reader *r, struct cursor *c)
{
    bool object = top(r)->object;

    if (!skip_space(c))
        return ERR_OK;
    if (r->depth == 0)
        return ERR_SYNTAX;
    if (*c->p == ',') {
        c->p++;
        r->state = object ? ST_KEY : ST_VALUE;
        if (object || c->p == c->end || *c->p != '{')
            return ERR_OK;
        c->p++;
        return open_object(r, c);
    }
    if (*c->p != (object ? '}' : ']'))
        return ERR_SYNTAX;
    c->p++;
    return object ? json_close_object(r) : close_array(r);
}

/* ---- the machine ---- */

static enum err (*const steps[ST_COUNT_])(struct json_reader *, struct cursor *) = {
    [ST_VALUE] = step_value,         [ST_FIRST] = step_first,
    [ST_KEY_FIRST] = step_key_first, [ST_KEY] = step_key,
    [ST_COLON] = step_colon,         [ST_AFTER] = step_after,
    [ST_STRING] = json_step_string,  [ST_ESCAPE] = json_step_escape,
    [ST_HEX] = json_step_hex,        [ST_LOW] = json_step_low,
    [ST_LOW_U] = json_step_low_u,    [ST_UTF8] = json_step_utf8,
    [ST_NUMBER] = json_step_number,  [ST_LITERAL] = json_step_literal,
};

enum err json_reader_feed(struct json_reader *r, struct slice bytes)
{
    struct cursor c = { bytes.p, bytes.p + bytes.n };
    enum err e = r->failed;

    if (e != ERR_OK || bytes.n == 0)
        return e;
    while (e == ERR_OK && c.p < c.end)
        e = steps[r->state](r, &c);
    r->failed = e;
    r->offset += (uint64_t)(c.p - bytes.p);
    return e;
}

enum err json_reader_finish(struct json_reader *r)
{
    if (r->failed != ERR_OK)
        return r->failed;
    if (r->state == ST_NUMBER && r->depth == 0 && json_number_may_end(r))
        r->failed = json_value_close(r);
    else if (r->state != ST_AFTER || r->depth != 0)
        r->failed = ERR_SYNTAX;
    return r->failed;
}

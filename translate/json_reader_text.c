/* Strings, numbers and literals of the JSON reader. A string is handed on in runs that are slices of the input, checked
 * as UTF-8; only escapes and characters that the input has split pass through a few bytes of the reader's own. */
#include "translate/json_reader_state.h"
#include "translate/plain.h"

/* ---- tokens ---- */

/* A piece of the present string, number or literal goes to the sink, or of a key to names. */
static enum err piece(struct json_reader *r, enum scalar kind, const char *p, size_t n)
{
    if (n > TOKEN_MAX - r->token)
        return ERR_TOO_LARGE;
    r->token += n;
    if (!r->in_key) {
        r->any = true;
        return r->sink.text(r->self, kind, slice_make(p, n));
    }
    buf_put(&r->names, slice_make(p, n));
    return r->names.failed;
}

static enum err end_key(struct json_reader *r)
{
    struct frame *f = &r->frames[r->depth];
    struct member_memo *memo;

    r->in_key = false;
    r->state = ST_COLON;
    f->name_at = f->names_base;
    f->name_n = (uint32_t)(r->names.n - f->names_base);
    return json_members_add(&r->keys, &f->members, json_frame_name(r, f), false, &memo);
}

static enum err end_string(struct json_reader *r)
{
    enum err e = ERR_OK;

    if (r->in_key)
        return end_key(r);
    if (!r->any)
        e = r->sink.text(r->self, SCALAR_TEXT, slice_make("", 0));
    return e != ERR_OK ? e : json_value_close(r);
}

enum err json_string_begin(struct json_reader *r, bool key)
{
    r->state = ST_STRING;
    r->in_key = key;
    r->any = false;
    r->token = 0;
    if (!key)
        return json_value_open(r);
    r->names.n = r->frames[r->depth].names_base;
    return ERR_OK;
}

/* ---- strings ---- */

/* How many bytes the character has whose first byte is `lead`; 0: none begins so (RFC 3629). */
static unsigned utf8_length(unsigned char lead)
{
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if ((lead & 0xF0) == 0xE0)
        return 3;
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

/* Whether the first n bytes of a character, n >= 2, can begin one. */
static bool utf8_so_far(const char *s, unsigned n)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char least = u[0] == 0xE0 ? 0xA0 : u[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char most = u[0] == 0xED ? 0x9F : u[0] == 0xF4 ? 0x8F : 0xBF;

    if (u[1] < least || u[1] > most)
        return false;
    for (unsigned i = 2; i < n; i++)
        if ((u[i] & 0xC0) != 0x80)
            return false;
    return true;
}

/* A character of three bytes whose first leaves the second free: nearly all Chinese text. */
static inline bool common_wide(const char *s)
{
    const unsigned char *u = (const unsigned char *)s;

    return (u[0] & 0xF0) == 0xE0 && u[0] != 0xE0 && u[0] != 0xED && (u[1] & 0xC0) == 0x80 && (u[2] & 0xC0) == 0x80;
}

/* Behind the characters from p that are whole, valid and not ASCII; *ret_bad when what follows is none. */
static const char *wide_run(const char *p, const char *end, bool *ret_bad)
{
    *ret_bad = false;
    while (p < end && (unsigned char)*p >= 0x80) {
        unsigned n;

        if (end - p >= 3 && common_wide(p)) {
            p += 3;
            continue;
        }
        n = utf8_length((unsigned char)*p);
        if (n != 0 && (size_t)(end - p) < n)
            break;
        if (n == 0 || !utf8_so_far(p, n)) {
            *ret_bad = true;
            break;
        }
        p += n;
    }
    return p;
}

const char *json_string_run(const char *p, const char *end, bool *ret_bad)
{
    for (;;) {
        const char *at = plain_run(p, end, false);

        *ret_bad = false;
        if (at == end || (unsigned char)*at < 0x80)
            return at;
        p = wide_run(at, end, ret_bad);
        if (p == at)
            return p;
    }
}

static void begin_utf8(struct json_reader *r, struct cursor *c)
{
    r->state = ST_UTF8;
    r->utf8_need = (uint8_t)utf8_length((unsigned char)*c->p);
    r->utf8[0] = *c->p++;
    r->utf8_n = 1;
}

enum err json_step_string(struct json_reader *r, struct cursor *c)
{
    const char *from = c->p;
    bool bad;
    enum err e;

    c->p = json_string_run(from, c->end, &bad);
    e = c->p > from ? piece(r, SCALAR_TEXT, from, (size_t)(c->p - from)) : ERR_OK;
    if (e != ERR_OK || c->p == c->end)
        return e;
    if ((unsigned char)*c->p >= 0x80 && !bad) {
        begin_utf8(r, c);
        return ERR_OK;
    }
    if (bad || (unsigned char)*c->p < 0x20)
        return ERR_SYNTAX;
    if (*c->p++ == '"')
        return end_string(r);
    r->state = ST_ESCAPE;
    return ERR_OK;
}

enum err json_step_utf8(struct json_reader *r, struct cursor *c)
{
    r->utf8[r->utf8_n] = *c->p;
    if (!utf8_so_far(r->utf8, r->utf8_n + 1U))
        return ERR_SYNTAX;
    c->p++;
    if (++r->utf8_n < r->utf8_need)
        return ERR_OK;
    r->state = ST_STRING;
    return piece(r, SCALAR_TEXT, r->utf8, r->utf8_n);
}

enum err json_step_escape(struct json_reader *r, struct cursor *c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = *c->p != '\0' ? strchr(from, *c->p) : NULL;

    if (at != NULL) {
        c->p++;
        r->state = ST_STRING;
        return piece(r, SCALAR_TEXT, &to[at - from], 1);
    }
    if (*c->p != 'u')
        return ERR_SYNTAX;
    c->p++;
    r->state = ST_HEX;
    r->hex_n = 0;
    r->unit = 0;
    return ERR_OK;
}

static enum err piece_code_point(struct json_reader *r, uint32_t cp)
{
    char b[4];
    size_t n = 0;

    if (cp < 0x80) {
        b[n++] = (char)cp;
    } else if (cp < 0x800) {
        b[n++] = (char)(0xC0 | cp >> 6);
        b[n++] = (char)(0x80 | (cp & 0x3F));
    } else {
        if (cp < 0x10000) {
            b[n++] = (char)(0xE0 | cp >> 12);
        } else {
            b[n++] = (char)(0xF0 | cp >> 18);
            b[n++] = (char)(0x80 | (cp >> 12 & 0x3F));
        }
        b[n++] = (char)(0x80 | (cp >> 6 & 0x3F));
        b[n++] = (char)(0x80 | (cp & 0x3F));
    }
    r->state = ST_STRING;
    return piece(r, SCALAR_TEXT, b, n);
}

/* A whole \uXXXX: pairs of surrogates make one character, a lone one none (RFC 8259 section 8.2: we refuse it). */
static enum err end_hex(struct json_reader *r)
{
    bool low = r->unit >= 0xDC00 && r->unit <= 0xDFFF;
    uint32_t high = r->high;

    r->high = 0;
    if (low != (high != 0))
        return ERR_SYNTAX;
    if (low)
        return piece_code_point(r, 0x10000 + ((high - 0xD800) << 10) + (r->unit - 0xDC00));
    if (r->unit < 0xD800 || r->unit > 0xDFFF)
        return piece_code_point(r, r->unit);
    r->high = r->unit;
    r->state = ST_LOW;
    return ERR_OK;
}

enum err json_step_hex(struct json_reader *r, struct cursor *c)
{
    char ch = *c->p;
    uint32_t v;

    if (ch >= '0' && ch <= '9')
        v = (uint32_t)(ch - '0');
    else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
        v = (uint32_t)((ch | 0x20) - 'a') + 10;
    else
        return ERR_SYNTAX;
    c->p++;
    r->unit = r->unit << 4 | v;
    return ++r->hex_n == 4 ? end_hex(r) : ERR_OK;
}

enum err json_step_low(struct json_reader *r, struct cursor *c)
{
    if (*c->p != '\\')
        return ERR_SYNTAX;
    c->p++;
    r->state = ST_LOW_U;
    return ERR_OK;
}

enum err json_step_low_u(struct json_reader *r, struct cursor *c)
{
    if (*c->p != 'u')
        return ERR_SYNTAX;
    return json_step_escape(r, c);
}

/* ---- numbers and literals ---- */

static const struct {
    const char *text;
    uint8_t n;
    enum scalar kind;
} literals[] = { { "true", 4, SCALAR_BOOL }, { "false", 5, SCALAR_BOOL }, { "null", 4, SCALAR_NULL } };

enum err json_literal_begin(struct json_reader *r, char first)
{
    r->state = ST_LITERAL;
    r->literal = first == 't' ? 0 : first == 'f' ? 1 : 2;
    r->literal_at = 0;
    return json_value_open(r);
}

enum err json_number_begin(struct json_reader *r)
{
    r->state = ST_NUMBER;
    r->number = 0;
    r->token = 0;
    r->in_key = false;
    return json_value_open(r);
}

/* RFC 8259 section 6 as an automaton. */
enum number { NU_START, NU_MINUS, NU_ZERO, NU_INT, NU_DOT, NU_FRAC, NU_E, NU_SIGN, NU_EXP, NU_BAD };
enum digit { DG_ZERO, DG_NINE, DG_DOT, DG_E, DG_PLUS, DG_MINUS, DG_COUNT_ };
static const uint8_t number_next[][DG_COUNT_] = {
    [NU_START] = { NU_ZERO, NU_INT, NU_BAD, NU_BAD, NU_BAD, NU_MINUS },
    [NU_MINUS] = { NU_ZERO, NU_INT, NU_BAD, NU_BAD, NU_BAD, NU_BAD },
    [NU_ZERO] = { NU_BAD, NU_BAD, NU_DOT, NU_E, NU_BAD, NU_BAD },
    [NU_INT] = { NU_INT, NU_INT, NU_DOT, NU_E, NU_BAD, NU_BAD },
    [NU_DOT] = { NU_FRAC, NU_FRAC, NU_BAD, NU_BAD, NU_BAD, NU_BAD },
    [NU_FRAC] = { NU_FRAC, NU_FRAC, NU_BAD, NU_E, NU_BAD, NU_BAD },
    [NU_E] = { NU_EXP, NU_EXP, NU_BAD, NU_BAD, NU_SIGN, NU_SIGN },
    [NU_SIGN] = { NU_EXP, NU_EXP, NU_BAD, NU_BAD, NU_BAD, NU_BAD },
    [NU_EXP] = { NU_EXP, NU_EXP, NU_BAD, NU_BAD, NU_BAD, NU_BAD },
};

static enum digit digit_class(char c)
{
    switch (c) {
    case '0':
        return DG_ZERO;
    case '.':
        return DG_DOT;
    case 'e':
    case 'E':
        return DG_E;
    case '+':
        return DG_PLUS;
    case '-':
        return DG_MINUS;
    default:
        return c >= '1' && c <= '9' ? DG_NINE : DG_COUNT_;
    }
}

static bool number_may_end(uint8_t n)
{
    return n == NU_ZERO || n == NU_INT || n == NU_FRAC || n == NU_EXP;
}

bool json_number_may_end(const struct json_reader *r)
{
    return number_may_end(r->number);
}

enum err json_step_number(struct json_reader *r, struct cursor *c)
{
    const char *from = c->p;
    enum err e = ERR_OK;

    for (; c->p < c->end; c->p++) {
        enum digit d = digit_class(*c->p);
        uint8_t next = d == DG_COUNT_ ? NU_BAD : number_next[r->number][d];

        if (d == DG_COUNT_)
            break;
        if (next == NU_BAD)
            return ERR_SYNTAX;
        r->number = next;
    }
    if (c->p > from)
        e = piece(r, SCALAR_NUMBER, from, (size_t)(c->p - from));
    if (e != ERR_OK || c->p == c->end)
        return e;
    return json_number_may_end(r) ? json_value_close(r) : ERR_SYNTAX;
}

enum err json_step_literal(struct json_reader *r, struct cursor *c)
{
    const char *text = literals[r->literal].text;
    uint8_t n = literals[r->literal].n;
    enum err e;

    for (; c->p < c->end && r->literal_at < n; c->p++, r->literal_at++)
        if (*c->p != text[r->literal_at])
            return ERR_SYNTAX;
    if (r->literal_at < n)
        return ERR_OK;
    e = r->sink.text(r->self, literals[r->literal].kind, slice_make(text, n));
    return e != ERR_OK ? e : json_value_close(r);
}

const char *json_number_run(const char *p, const char *end)
{
    uint8_t at = NU_START;

    for (; p < end; p++) {
        enum digit d = digit_class(*p);

        if (d == DG_COUNT_)
            return number_may_end(at) ? p : NULL;
        at = number_next[at][d];
        if (at == NU_BAD)
            return NULL;
    }
    return NULL;
}

const char *json_literal_run(const char *p, const char *end, enum scalar *ret_kind)
{
    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++)
        if ((size_t)(end - p) >= literals[i].n && memcmp(p, literals[i].text, literals[i].n) == 0) {
            *ret_kind = literals[i].kind;
            return p + literals[i].n;
        }
    return NULL;
}

bool json_number_valid(struct slice s)
{
    uint8_t at = NU_START;

    for (size_t i = 0; i < s.n && at != NU_BAD; i++) {
        enum digit d = digit_class(s.p[i]);

        at = d == DG_COUNT_ ? NU_BAD : number_next[at][d];
    }
    return number_may_end(at);
}

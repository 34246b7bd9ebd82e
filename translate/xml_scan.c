/* The scanner in front of libxml2: one row a state, resumable at any byte, at most 9 bytes held.
 *   TEXT     everything outside; left at "<!" (OPEN) and "<?" (PI)
 *   OPEN     "<!" and what decides: "--" (COMMENT), "[CDATA[" (CDATA), else refused
 *   COMMENT  to "-->", PI to "?>", CDATA to "]]>" */
#include "translate/xml_scan.h"

/* The first "<!" or "<?" in s[from, to), or `to`. The two marks are rare in data, which makes this two fast passes. */
static size_t find_in(struct slice s, size_t from, size_t to)
{
    size_t best = to;

    for (int i = 0; i < 2; i++)
        for (size_t at = from; at < to;) {
            const char *m = memchr(s.p + at, "!?"[i], to - at);
            if (m == NULL)
                break;
            at = (size_t)(m - s.p);
            if (at > 0 && s.p[at - 1] == '<') {
                best = at - 1 < best ? at - 1 : best;
                break;
            }
            at++;
        }
    return best;
}

/* The same for all of s, in windows, so that one near mark costs no search for the other to the end of s; a '<' as last
 * byte counts, for what follows it is not known yet. */
static size_t find_special(struct slice s)
{
    enum { WINDOW = 1024 };

    for (size_t from = 0; from < s.n; from += WINDOW) {
        size_t to = s.n - from < WINDOW ? s.n : from + WINDOW;
        size_t at = find_in(s, from, to);
        if (at < to)
            return at;
    }
    return s.n > 0 && s.p[s.n - 1] == '<' ? s.n - 1 : s.n;
}

static enum err flush_held(struct xml_scan *s)
{
    struct slice held = { s->held, s->n };

    s->n = 0;
    return s->markup(s->self, held);
}

/* In TEXT: held is empty or "<". */
static enum err scan_text(struct xml_scan *s, struct slice *in)
{
    enum err e = ERR_OK;

    if (s->n == 1) {
        char c = in->p[0];
        if (c == '!' || c == '?') {
            s->held[s->n++] = c;
            *in = slice_sub(*in, 1, in->n);
            s->state = c == '!' ? XML_SCAN_OPEN : XML_SCAN_PI;
            return c == '!' ? ERR_OK : flush_held(s);
        }
        e = flush_held(s);
        if (e != ERR_OK)
            return e;
    }
    size_t at = find_special(*in);
    if (at > 0)
        e = s->markup(s->self, slice_sub(*in, 0, at));
    *in = slice_sub(*in, at, in->n);
    if (in->n > 0) {
        s->held[0] = '<';
        s->n = 1;
        *in = slice_sub(*in, 1, in->n);
    }
    return e;
}

static enum err scan_open(struct xml_scan *s, struct slice *in)
{
    static const struct slice comment = SLICE("<!--"), cdata = SLICE("<![CDATA[");

    s->held[s->n++] = in->p[0];
    *in = slice_sub(*in, 1, in->n);
    struct slice held = { s->held, s->n };
    if (slice_eq(held, comment)) {
        s->state = XML_SCAN_COMMENT;
        enum err e = flush_held(s);
        return e;
    }
    if (slice_eq(held, cdata)) {
        s->state = XML_SCAN_CDATA;
        s->taken += s->n;
        s->n = 0;
        return s->cdata_begin(s->self);
    }
    if (slice_starts(comment, held) || slice_starts(cdata, held))
        return ERR_OK;
    s->doctype = true;
    return ERR_SYNTAX;
}

/* COMMENT and PI: pass everything on and remember the last two bytes in `held`, which are not sent again. */
static enum err scan_passive(struct xml_scan *s, struct slice *in, char before, unsigned times)
{
    size_t at = 0;
    bool ended = false;

    while (!ended) {
        const char *gt = memchr(in->p + at, '>', in->n - at);
        if (gt == NULL)
            break;
        at = (size_t)(gt - in->p) + 1;
        ended = true;
        for (unsigned k = 1; k <= times && ended; k++) {
            size_t back = k + 1; /* from the byte behind '>' */
            char c = at >= back ? in->p[at - back] : s->n >= back - at ? s->held[s->n - (back - at)] : 0;
            ended = c == before && at + s->n >= back;
        }
    }
    size_t n = ended ? at : in->n;
    for (size_t i = n > 2 ? n - 2 : 0; i < n; i++) {
        if (s->n == 2)
            s->held[0] = s->held[1];
        s->held[s->n == 2 ? 1 : s->n++] = in->p[i];
    }
    enum err e = s->markup(s->self, slice_sub(*in, 0, n));
    *in = slice_sub(*in, n, in->n);
    if (ended) {
        s->state = XML_SCAN_TEXT;
        s->n = 0;
    }
    return e;
}

/* held: "", "]" or "]]". */
static enum err scan_cdata(struct xml_scan *s, struct slice *in)
{
    enum err e = ERR_OK;

    if (s->n > 0) {
        char c = in->p[0];
        if (c == ']' && s->n == 2) { /* "]]]": the first one is text */
            s->taken++;
            *in = slice_sub(*in, 1, in->n);
            return s->cdata(s->self, SLICE("]"));
        }
        if (c == ']' || (c == '>' && s->n == 2)) {
            s->taken++;
            *in = slice_sub(*in, 1, in->n);
            if (c == ']') {
                s->held[s->n++] = c;
                return ERR_OK;
            }
            s->state = XML_SCAN_TEXT;
            s->n = 0;
            return s->cdata_end(s->self);
        }
        e = s->cdata(s->self, slice_make("]]", s->n));
        s->n = 0;
        return e;
    }
    size_t at = 0;
    for (;;) {
        const char *b = memchr(in->p + at, ']', in->n - at);
        at = b ? (size_t)(b - in->p) : in->n;
        if (b == NULL || at + 1 == in->n || in->p[at + 1] == ']')
            break;
        at++;
    }
    s->taken += at;
    if (at > 0)
        e = s->cdata(s->self, slice_sub(*in, 0, at));
    *in = slice_sub(*in, at, in->n);
    if (in->n > 0) {
        s->held[s->n++] = ']';
        s->taken++;
        *in = slice_sub(*in, 1, in->n);
    }
    return e;
}

enum err xml_scan_feed(struct xml_scan *s, struct slice in)
{
    enum err e = ERR_OK;

    while (in.n > 0 && e == ERR_OK) {
        switch (s->state) {
        case XML_SCAN_TEXT:
            e = scan_text(s, &in);
            break;
        case XML_SCAN_OPEN:
            e = scan_open(s, &in);
            break;
        case XML_SCAN_COMMENT:
            e = scan_passive(s, &in, '-', 2);
            break;
        case XML_SCAN_PI:
            e = scan_passive(s, &in, '?', 1);
            break;
        case XML_SCAN_CDATA:
            e = scan_cdata(s, &in);
            break;
        }
    }
    return e;
}

enum err xml_scan_finish(struct xml_scan *s)
{
    if (s->state == XML_SCAN_TEXT)
        return s->n > 0 ? flush_held(s) : ERR_OK;
    return ERR_SYNTAX;
}

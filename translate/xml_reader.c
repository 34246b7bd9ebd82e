/* A streaming XML reader: bytes -> xml_decode (UTF-8) -> xml_scan (CDATA taken out, DOCTYPE refused) -> libxml2's push
 * parser -> sink. Invariants:
 *  - libxml2 gets pieces of at least PIECE_MIN bytes (but at the end and before a CDATA section), because its push
 * parser looks at an unfinished token again with each piece;
 *  - since the last event at most TOKEN_MAX bytes were pushed, and no element has more than XML_ATTRS_MAX attributes or
 * a long run of quotes (libxml2 compares attributes with each other), nor stands among more than XML_NAMESPACES_MAX
 * declarations of namespaces (libxml2 walks over all of them for each name);
 *  - no entity but the five, no DTD, no network, names in a dictionary of bounded size: memory stays under about 4 MiB;
 *  - the first error, the sink's or our own, is kept in `err`, and nothing reaches the sink after it. */
#include "translate/xml_reader.h"
#include "translate/xml_decode.h"
#include "translate/xml_scan.h"
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlerror.h>
#include <pthread.h>

enum { PIECE_MIN = 4096, PIECE_MAX = 16384, LONG_TOKEN = 65536, KNOWN_NAMES = 32 };

struct known_name { /* libxml2 interns names: the pointers tell them apart */
    const xmlChar *name, *uri;
    size_t n;
    struct member_memo memo;
};

struct xml_reader {
    const struct event_sink *sink; /* bor: until xml_reader_free */
    void *self;
    xmlParserCtxtPtr ctxt; /* own */
    enum err err;
    unsigned depth;
    bool too_large, rooted, cr;
    uint8_t begun; /* of the first two bytes */
    uint64_t fed, pushed, event_at;
    uint64_t quotes;    /* in a token that is long already */
    const xmlChar *uri; /* the last namespace seen and its length: libxml2 interns names */
    size_t uri_n;
    struct known_name known[KNOWN_NAMES];
    struct xml_decode decode;
    struct xml_scan scan;
    uint8_t tail[4], tail_n; /* CDATA: a character cut off at the end of a piece */
    struct buf value;        /* of an attribute */
    size_t n;
    char piece[PIECE_MIN];
};

static enum err stop(struct xml_reader *r, enum err e)
{
    if (r->err == ERR_OK)
        r->err = e;
    xmlStopParser(r->ctxt);
    return r->err;
}

static void stop_large(struct xml_reader *r)
{
    r->too_large = true;
    (void)stop(r, ERR_TOO_LARGE);
}

/* ---- what libxml2 says ---- */

static struct slice uri_slice(struct xml_reader *r, const xmlChar *uri)
{
    if (uri == NULL)
        return (struct slice){ NULL, 0 };
    if (uri != r->uri) {
        r->uri = uri;
        r->uri_n = strlen((const char *)uri);
    }
    return slice_make(uri, r->uri_n);
}

/* In a value that holds an ampersand libxml2 leaves each as "&#38;", for a tree that would read it again; unless it is
 * told to replace entities, which it is not. */
static enum err attr_value(struct xml_reader *r, const xmlChar *from, const xmlChar *to, struct slice *ret)
{
    static const struct slice mark = SLICE("&#38;");
    struct slice s = slice_make(from, (size_t)(to - from));

    *ret = s;
    if (slice_find(s, '&') == s.n)
        return ERR_OK;
    buf_clear(&r->value);
    while (s.n > 0) {
        size_t at = slice_find(s, '&');
        bool whole = slice_starts(slice_sub(s, at, s.n), mark);
        buf_put(&r->value, slice_sub(s, 0, at + (at < s.n)));
        s = slice_sub(s, at + (whole ? mark.n : 1), s.n);
    }
    *ret = buf_slice(&r->value);
    return r->value.failed;
}

static __attribute__((noinline)) bool tell_attrs(struct xml_reader *r, int n, const xmlChar **attrs)
{
    for (int i = 0; i < n; i++, attrs += 5) {
        struct slice value;
        enum err e = attr_value(r, attrs[3], attrs[4], &value);
        if (attrs[1] != NULL && attrs[2] == NULL)
            e = ERR_SYNTAX; /* prefix without a declaration */
        if (e == ERR_OK)
            e = r->sink->attr(r->self, uri_slice(r, attrs[2]), slice_of((const char *)attrs[0]), value);
        if (e != ERR_OK) {
            (void)stop(r, e);
            return false;
        }
    }
    return true;
}

static __attribute__((noinline)) void learn_name(struct known_name *k, const xmlChar *name, const xmlChar *uri)
{
    *k = (struct known_name){ name, uri, strlen((const char *)name), { .where = NULL } };
}

static inline enum err tell_open(struct xml_reader *r, const xmlChar *name, const xmlChar *uri)
{
    struct known_name *k = &r->known[((uintptr_t)name ^ (uintptr_t)name >> 5) % KNOWN_NAMES];

    if (k->name != name || k->uri != uri)
        learn_name(k, name, uri);
    if (r->sink->open_named != NULL)
        return r->sink->open_named(r->self, uri_slice(r, uri), slice_make(name, k->n), &k->memo);
    return r->sink->open(r->self, uri_slice(r, uri), slice_make(name, k->n));
}

static void on_start(void *self, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                     const xmlChar **ns, int n_attrs, int n_default, const xmlChar **attrs)
{
    struct xml_reader *r = self;
    enum err e;

    (void)n_ns, (void)ns, (void)n_default;
    if (r->err != ERR_OK)
        return;
    r->event_at = r->pushed;
    r->quotes = 0;
    r->rooted = true;
    /* nsNr: two for each declaration that holds here. */
    if (r->depth >= READER_DEPTH_MAX || n_attrs > XML_ATTRS_MAX || r->ctxt->nsNr > 2 * XML_NAMESPACES_MAX) {
        stop_large(r);
        return;
    }
    r->depth++;
    e = prefix != NULL && uri == NULL ? ERR_SYNTAX : tell_open(r, name, uri);
    if (e != ERR_OK)
        (void)stop(r, e);
    else if (n_attrs > 0)
        (void)tell_attrs(r, n_attrs, attrs);
}

static void on_end(void *self, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct xml_reader *r = self;

    (void)name, (void)prefix, (void)uri;
    if (r->err != ERR_OK)
        return;
    r->event_at = r->pushed;
    r->depth--;
    enum err e = r->sink->close(r->self);
    if (e != ERR_OK)
        (void)stop(r, e);
}

static void on_text(void *self, const xmlChar *text, int n)
{
    struct xml_reader *r = self;

    if (r->err != ERR_OK)
        return;
    r->event_at = r->pushed;
    enum err e = r->sink->text(r->self, SCALAR_TEXT, slice_make(text, (size_t)n));
    if (e != ERR_OK)
        (void)stop(r, e);
}

/* The scanner refuses DOCTYPE before this; it stays as a second lock on the same door. */
static void on_doctype(void *self, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    (void)stop(self, ERR_SYNTAX);
}

/* Comments and processing instructions mean nothing here, but they are progress. */
static void on_comment(void *self, const xmlChar *text)
{
    struct xml_reader *r = self;

    (void)text;
    r->event_at = r->pushed;
}

static void on_pi(void *self, const xmlChar *target, const xmlChar *text)
{
    (void)target;
    on_comment(self, text);
}

static void on_error(void *self, xmlErrorPtr error)
{
    struct xml_reader *r = self;

    if (error->level < XML_ERR_ERROR || r->err != ERR_OK || error->code == XML_WAR_NS_URI)
        return;
    (void)stop(r, error->code == XML_ERR_NO_MEMORY ? ERR_NOMEM : ERR_SYNTAX);
}

static xmlSAXHandler handler = {
    .initialized = XML_SAX2_MAGIC,
    .startElementNs = on_start,
    .endElementNs = on_end,
    .characters = on_text,
    .ignorableWhitespace = on_text,
    .cdataBlock = on_text,
    .comment = on_comment,
    .processingInstruction = on_pi,
    .internalSubset = on_doctype,
    .serror = on_error,
};

/* ---- pushing ---- */

static enum err push(struct xml_reader *r, struct slice s)
{
    while (s.n > 0 && r->err == ERR_OK) {
        size_t n = s.n < PIECE_MAX ? s.n : PIECE_MAX;

        r->pushed += n;
        if (xmlParseChunk(r->ctxt, s.p, (int)n, 0) != 0 && r->err == ERR_OK && !r->ctxt->wellFormed)
            r->err = ERR_SYNTAX;
        if (r->err == ERR_OK && r->pushed - r->event_at > LONG_TOKEN)
            for (size_t i = 0; i < n; i++)
                r->quotes += s.p[i] == '"' || s.p[i] == '\'';
        if (r->err == ERR_OK && (r->pushed - r->event_at > TOKEN_MAX || r->quotes > XML_QUOTES_MAX))
            stop_large(r);
        s = slice_sub(s, n, s.n);
    }
    return r->err;
}

static enum err push_piece(struct xml_reader *r)
{
    struct slice s = { r->piece, r->n };

    r->n = 0;
    return push(r, s);
}

static enum err on_markup(void *self, struct slice s)
{
    struct xml_reader *r = self;

    while (s.n > 0) {
        if (r->n == 0 && s.n >= PIECE_MIN)
            return push(r, s);
        size_t n = PIECE_MIN - r->n < s.n ? PIECE_MIN - r->n : s.n;
        memcpy(r->piece + r->n, s.p, n);
        r->n += n;
        s = slice_sub(s, n, s.n);
        if (r->n == PIECE_MIN && push_piece(r) != ERR_OK)
            return r->err;
    }
    return r->err;
}

/* ---- CDATA, told to the sink without the parser ---- */

static enum err on_cdata_begin(void *self)
{
    struct xml_reader *r = self;
    static const struct slice mark = SLICE("<!---->");

    if (on_markup(r, mark) != ERR_OK || push_piece(r) != ERR_OK)
        return r->err;
    if (r->ctxt->instate != XML_PARSER_CONTENT || r->ctxt->input->cur != r->ctxt->input->end || r->depth == 0)
        return stop(r, ERR_SYNTAX);
    r->cr = false;
    r->tail_n = 0;
    return ERR_OK;
}

/* Characters of XML 1.0 section 2.2, in valid UTF-8. */
static bool is_xml_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
            return false;
        if (c == 0xEF && i + 2 < s.n && (unsigned char)s.p[i + 1] == 0xBF && (unsigned char)s.p[i + 2] >= 0xBE)
            return false;
    }
    return utf8_valid(s);
}

/* Line ends of XML 1.0 section 2.11: CR LF and CR are LF, also when cut between two pieces. */
static enum err tell_lines(struct xml_reader *r, struct slice s)
{
    enum err e = ERR_OK;

    if (r->cr && s.n > 0 && s.p[0] == '\n')
        s = slice_sub(s, 1, s.n);
    r->cr = false;
    while (s.n > 0 && e == ERR_OK) {
        size_t at = slice_find(s, '\r');
        if (at > 0)
            e = r->sink->text(r->self, SCALAR_TEXT, slice_sub(s, 0, at));
        if (at == s.n)
            break;
        if (e == ERR_OK)
            e = r->sink->text(r->self, SCALAR_TEXT, SLICE("\n"));
        r->cr = at + 1 == s.n;
        s = slice_sub(s, at + 1, s.n);
        if (s.n > 0 && s.p[0] == '\n')
            s = slice_sub(s, 1, s.n);
    }
    return e;
}

/* How many bytes at the end of s begin a character that does not end there: 0..3. */
static size_t cut_character(struct slice s)
{
    for (size_t back = 1; back <= 3 && back <= s.n; back++) {
        unsigned char c = (unsigned char)s.p[s.n - back];
        if (c < 0x80)
            return 0;
        if (c >= 0xC0)
            return back < (c >= 0xF0 ? 4u : c >= 0xE0 ? 3u : 2u) ? back : 0;
    }
    return 0;
}

static enum err on_cdata(void *self, struct slice s)
{
    struct xml_reader *r = self;
    enum err e = ERR_OK;

    while (r->tail_n > 0 && s.n > 0 && e == ERR_OK) { /* complete the character that was cut */
        unsigned char c = (unsigned char)s.p[0];
        if ((c & 0xC0) != 0x80) /* so that tail never holds more than one character */
            return stop(r, ERR_SYNTAX);
        r->tail[r->tail_n++] = c;
        s = slice_sub(s, 1, s.n);
        struct slice one = slice_make(r->tail, r->tail_n);
        if (cut_character(one) == 0) {
            r->tail_n = 0;
            e = is_xml_text(one) ? tell_lines(r, one) : ERR_SYNTAX;
        }
    }
    size_t cut = cut_character(s);
    if (e == ERR_OK && cut > 0) {
        memcpy(r->tail, s.p + s.n - cut, cut);
        r->tail_n = (uint8_t)cut;
        s.n -= cut;
    }
    if (e == ERR_OK && s.n > 0)
        e = is_xml_text(s) ? tell_lines(r, s) : ERR_SYNTAX;
    return e == ERR_OK ? e : stop(r, e);
}

static enum err on_cdata_end(void *self)
{
    struct xml_reader *r = self;

    return r->tail_n > 0 ? stop(r, ERR_SYNTAX) : ERR_OK;
}

/* libxml2 guesses an encoding from the first bytes; nothing but "<" and no NUL leaves it nothing to guess. */
static enum err on_utf8(void *self, struct slice s)
{
    struct xml_reader *r = self;

    for (size_t i = 0; r->begun < 2 && i < s.n && i < 2; i++, r->begun++)
        if (r->begun == 0 ? s.p[i] != '<' : s.p[i] == 0)
            return stop(r, ERR_SYNTAX);
    return xml_scan_feed(&r->scan, s);
}

/* ---- life ---- */

static void start_library(void)
{
    xmlInitParser();
}

static struct xml_reader *reader_new(const struct event_sink *sink, void *self, enum xml_label told,
                                     struct slice encoding)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct xml_reader *r = mem_alloc(sizeof *r);

    (void)pthread_once(&once, start_library);
    if (r == NULL)
        return NULL;
    memset(r, 0, offsetof(struct xml_reader, piece));
    r->sink = sink;
    r->self = self;
    buf_init(&r->value, 2 * TOKEN_MAX); /* more than a value can have: one piece may pass the limit */
    r->scan.markup = on_markup;
    r->scan.cdata_begin = on_cdata_begin;
    r->scan.cdata = on_cdata;
    r->scan.cdata_end = on_cdata_end;
    r->scan.self = r;
    xml_decode_init(&r->decode, told, encoding, on_utf8, r);
    r->ctxt = xmlCreatePushParserCtxt(&handler, r, NULL, 0, NULL);
    if (r->ctxt == NULL)
        return xml_reader_free(r);
    (void)xmlCtxtUseOptions(r->ctxt, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
    (void)xmlDictSetLimit(r->ctxt->dict, XML_NAMES_MAX);
    return r;
}

struct xml_reader *xml_reader_new(const struct event_sink *sink, void *self, struct slice encoding)
{
    return reader_new(sink, self, XML_LABEL_NONE, encoding);
}

struct xml_reader *xml_reader_new_told(const struct event_sink *sink, void *self, enum xml_label told)
{
    return reader_new(sink, self, told, (struct slice){ NULL, 0 });
}

struct xml_reader *xml_reader_free(struct xml_reader *r)
{
    if (r == NULL)
        return NULL;
    if (r->ctxt != NULL)
        xmlFreeParserCtxt(r->ctxt);
    buf_done(&r->value);
    xml_decode_done(&r->decode);
    return mem_free(r);
}

enum err xml_reader_feed(struct xml_reader *r, struct slice bytes)
{
    if (r->err != ERR_OK)
        return r->err;
    r->fed += bytes.n;
    enum err e = xml_decode_feed(&r->decode, bytes);
    if (r->err == ERR_OK)
        r->err = e;
    return r->err;
}

enum err xml_reader_finish(struct xml_reader *r)
{
    if (r->err != ERR_OK)
        return r->err;
    enum err e = xml_decode_finish(&r->decode);
    if (e == ERR_OK)
        e = xml_scan_finish(&r->scan);
    if (e == ERR_OK)
        e = push_piece(r);
    if (r->err == ERR_OK)
        r->err = e;
    if (r->err != ERR_OK)
        return r->err;
    (void)xmlParseChunk(r->ctxt, "", 0, 1);
    if (r->err == ERR_OK && (!r->ctxt->wellFormed || !r->rooted || r->depth > 0))
        r->err = ERR_SYNTAX;
    return r->err;
}

bool xml_reader_too_large(const struct xml_reader *r)
{
    return r->too_large;
}

/* Exact when nothing was transcoded; never beyond what was fed. */
uint64_t xml_reader_offset(const struct xml_reader *r)
{
    uint64_t at = r->decode.dropped + r->scan.taken;
    long used = r->ctxt != NULL && r->ctxt->input != NULL ? xmlByteConsumed(r->ctxt) : 0;

    at += used > 0 ? (uint64_t)used : 0;
    return at < r->fed ? at : r->fed;
}

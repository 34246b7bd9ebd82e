/* Bytes of a document into UTF-8. States, left to right and never back:
 *   HEAD   collects up to XML_HEAD_MAX bytes until BOM and declaration are known
 *   TRIAL  passes ASCII through; from the first other byte it holds XML_TRIAL_MAX bytes, then decides
 *   SAME   bytes are UTF-8 (the parser checks them)     ICONV  bytes go through iconv, strictly
 * Memory: one block of XML_TRIAL_MAX bytes, whatever comes. */
#include "translate/xml_decode.h"
#include <errno.h>

/* Only these are believed. Others (ISO-8859-1 is what old servlet engines say of anything) are read as UTF-8 or refused
 * by it; UTF-16 is known by its bytes. */
static const struct {
    const char *name;
    enum xml_label label;
} labels[] = {
    { "utf-8", XML_LABEL_UTF8 },          { "utf8", XML_LABEL_UTF8 },
    { "us-ascii", XML_LABEL_UTF8 },       { "ascii", XML_LABEL_UTF8 },
    { "gb18030", XML_LABEL_GB18030 },     { "gbk", XML_LABEL_GB18030 },
    { "gb2312", XML_LABEL_GB18030 },      { "cp936", XML_LABEL_GB18030 },
    { "ms936", XML_LABEL_GB18030 },       { "x-gbk", XML_LABEL_GB18030 },
    { "windows-936", XML_LABEL_GB18030 }, { "euc-cn", XML_LABEL_GB18030 },
    { "gb_2312-80", XML_LABEL_GB18030 },  { "gb18030-2022", XML_LABEL_GB18030 },
};

enum xml_label xml_label_of(struct slice name)
{
    name = slice_trim(name);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (slice_eq_nocase(name, slice_of(labels[i].name)))
            return labels[i].label;
    return XML_LABEL_NONE;
}

void xml_decode_init(struct xml_decode *d, enum xml_label told, struct slice transport,
                     enum err (*out)(void *, struct slice), void *self)
{
    d->mode = XML_DECODE_HEAD;
    d->told = told;
    d->transport = xml_label_of(transport);
    d->label = XML_LABEL_NONE;
    d->head_blank = true;
    d->cd = (iconv_t)-1;
    d->n = 0;
    d->dropped = 0;
    d->out = out;
    d->self = self;
}

void xml_decode_done(struct xml_decode *d)
{
    if (d->cd != (iconv_t)-1)
        iconv_close(d->cd);
    d->cd = (iconv_t)-1;
}

static enum err start_iconv(struct xml_decode *d, const char *from)
{
    d->cd = iconv_open("UTF-8", from);
    if (d->cd == (iconv_t)-1)
        return errno == ENOMEM ? ERR_NOMEM : ERR_UNSUPPORTED;
    d->mode = XML_DECODE_ICONV;
    d->gb = from[0] == 'G';
    d->n = 0;
    return ERR_OK;
}

/* ---- iconv, with at most one split character carried in `held` ---- */

/* Characters that GB 18030-2005 writes in four bytes and the edition of 2022, which is iconv's, in two: what writes by
 * the older one (Java before 21) would have its whole answer refused for one of them. 0: none of these. */
static uint32_t older_gb(const char *in, size_t n)
{
    static const struct {
        const char *first;
        uint32_t code_point, count;
    } runs[] = { { "\x82\x35\x90\x37", 0x9fb4, 8 }, { "\x84\x31\x82\x36", 0xfe10, 10 } };
    const unsigned char *p = (const unsigned char *)in;

    for (size_t i = 0; n >= 4 && i < sizeof runs / sizeof *runs; i++) {
        const unsigned char *q = (const unsigned char *)runs[i].first;
        uint32_t at = (uint32_t)((p[2] - q[2]) * 10 + p[3] - q[3]);
        if (p[0] == q[0] && p[1] == q[1] && p[3] >= '0' && p[3] <= '9' && at < runs[i].count)
            return runs[i].code_point + at;
    }
    return 0;
}

static enum err put_older_gb(struct xml_decode *d, char **in, size_t *n)
{
    uint32_t c = d->gb ? older_gb(*in, *n) : 0;
    char utf8[3] = { (char)(0xE0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3F)), (char)(0x80 | (c & 0x3F)) };

    if (c == 0)
        return ERR_SYNTAX;
    *in += 4;
    *n -= 4;
    return d->out(d->self, slice_make(utf8, sizeof utf8));
}

static enum err convert(struct xml_decode *d, char **in, size_t *n)
{
    char utf8[4096];

    while (*n > 0) {
        char *o = utf8;
        size_t room = sizeof utf8;
        size_t r = iconv(d->cd, in, n, &o, &room);
        int sys = errno;
        if (o > utf8) {
            enum err e = d->out(d->self, slice_make(utf8, (size_t)(o - utf8)));
            if (e != ERR_OK)
                return e;
        }
        if (r == (size_t)-1 && sys == EINVAL)
            return ERR_OK;
        enum err e = r == (size_t)-1 && sys != E2BIG ? put_older_gb(d, in, n) : ERR_OK;
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err feed_iconv(struct xml_decode *d, struct slice s)
{
    while (d->n > 0 && s.n > 0) { /* complete the carried character byte by byte: at most 4 */
        char *in = d->held;
        size_t left;

        if (d->n >= 8)
            return ERR_SYNTAX;
        d->held[d->n++] = s.p[0];
        s = slice_sub(s, 1, s.n);
        left = d->n;
        enum err e = convert(d, &in, &left);
        if (e != ERR_OK)
            return e;
        memmove(d->held, in, left);
        d->n = left;
    }
    char *in = (char *)(uintptr_t)s.p; /* iconv does not write there */
    enum err e = convert(d, &in, &s.n);
    if (e != ERR_OK)
        return e;
    if (s.n > 8)
        return ERR_SYNTAX;
    if (s.n > 0) {
        memcpy(d->held, in, s.n);
        d->n = s.n;
    }
    return ERR_OK;
}

/* ---- trial ---- */

/* Length of the UTF-8 sequence at p (2..4), 0: none, -1: cut off by the end of the sample. */
static int sequence(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char lo, hi, min2, max2, len;
    } forms[] = { { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 },
                  { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
                  { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 } };

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (p[0] < forms[i].lo || p[0] > forms[i].hi)
            continue;
        for (unsigned k = 1; k < forms[i].len; k++) {
            if (k >= n)
                return -1;
            if (p[k] < (k == 1 ? forms[i].min2 : 0x80) || p[k] > (k == 1 ? forms[i].max2 : 0xBF))
                return 0;
        }
        return forms[i].len;
    }
    return 0;
}

/* A sample read as GB18030. Everyday characters are the hanzi and the punctuation of GB 2312: nearly all of what names
 * and addresses are written with, and a third of what the same bytes come to in the wrong reading. */
struct reading {
    bool fits;
    size_t all, everyday; /* characters beyond ASCII */
    size_t inside;        /* ASCII bytes that are parts of such characters */
};

static struct reading read_gb(const unsigned char *p, size_t n)
{
    struct reading r = { .fits = true };

    for (size_t i = 0, len; i + 1 < n && r.fits; i += len) { /* what is cut off by the end counts for nothing */
        len = p[i] < 0x80 ? 1 : p[i + 1] >= 0x30 && p[i + 1] <= 0x39 ? 4 : 2;
        if (len == 1 || i + len > n)
            continue;
        r.all++;
        r.inside += len == 4 ? 2 : p[i + 1] < 0x80;
        r.everyday += p[i + 1] >= 0xA1 && (p[i] == 0xA1 || p[i] == 0xA3 || (p[i] >= 0xB0 && p[i] <= 0xF7));
        r.fits = p[i] != 0x80 && p[i] != 0xFF &&
                 (len == 2 ? p[i + 1] >= 0x40 && p[i + 1] != 0x7F && p[i + 1] != 0xFF
                           : p[i + 2] >= 0x81 && p[i + 2] != 0xFF && p[i + 3] >= 0x30 && p[i + 3] <= 0x39);
    }
    return r;
}

/* A sample that holds as UTF-8, under a label that says GB18030. If it holds as both, the reading with more everyday
 * characters is meant, and when neither has more the label holds. Two labels that agree weigh no more than one: what
 * writes the one often copies it into the other. Measured with names, one an answer, of GB 2312 and a few beyond: under
 * honest labels four in ten thousand hold as both, and none of two million is read wrong; under labels that lie a third
 * does, and six in a thousand are, two names an answer one in forty thousand. To go by the label whenever it holds
 * would read that third wrong. ASCII that one reading has inside its characters counts against the other. */
static enum err weigh(struct slice sample, bool *as_gb)
{
    struct reading gb = read_gb((const unsigned char *)sample.p, sample.n), utf8;
    unsigned char other[2 * XML_TRIAL_MAX]; /* two bytes at least become four at most */
    char *in = (char *)(uintptr_t)sample.p, *out = (char *)other;
    size_t left = sample.n, room = sizeof other;

    *as_gb = gb.fits;
    if (!gb.fits)
        return ERR_OK;
    iconv_t cd = iconv_open("GB18030", "UTF-8");
    if (cd == (iconv_t)-1)
        return errno == ENOMEM ? ERR_NOMEM : ERR_UNSUPPORTED;
    (void)iconv(cd, &in, &left, &out, &room); /* as far as it goes: the last character may be cut off */
    iconv_close(cd);
    utf8 = read_gb(other, sizeof other - room);
    *as_gb = utf8.everyday * gb.all <= gb.everyday * (utf8.all + gb.inside);
    return ERR_OK;
}

/* UTF-8 or GB18030, of which some label says the second, for a sample that begins with a byte above 0x7F and may end
 * inside a character. Chinese text in UTF-8 is sequences of three bytes and more; GB18030 text seldom looks like those,
 * and is weighed when it does, but may look like sequences of two (路 is C2 B7), and these go by the label. Faults mean
 * GB18030 only where they outnumber the long sequences: else it is damaged UTF-8, and the parser will say where.
 * `first`: of the label that is trusted more; when it says UTF-8, and there is no fault, it is. */
static enum err trial(struct slice sample, enum xml_label first, bool *as_gb)
{
    const unsigned char *p = (const unsigned char *)sample.p;
    size_t bad = 0, wide = 0, n = sample.n;

    for (size_t i = 0; i < n;) {
        int len = p[i] < 0x80 ? 1 : sequence(p + i, n - i);
        if (len < 0)
            break;
        if (len == 0)
            bad++;
        else if (len > 2)
            wide++;
        i += len > 0 ? (size_t)len : 1;
    }
    if (bad == 0 && wide > 0 && first == XML_LABEL_GB18030)
        return weigh(sample, as_gb);
    *as_gb = bad > wide || (bad == 0 && first == XML_LABEL_GB18030);
    return ERR_OK;
}

static enum err decide(struct xml_decode *d)
{
    struct slice sample = { d->held, d->n };
    enum xml_label first = d->transport != XML_LABEL_NONE ? d->transport : d->label;
    bool sure = d->told == XML_LABEL_GB18030;
    bool as_gb = sure || d->transport == XML_LABEL_GB18030 || d->label == XML_LABEL_GB18030;
    enum err e = as_gb && !sure ? trial(sample, first, &as_gb) : ERR_OK;
    char mine[XML_TRIAL_MAX];

    if (e != ERR_OK)
        return e;
    memcpy(mine, sample.p, sample.n);
    sample.p = mine;
    d->n = 0;
    if (!as_gb) {
        d->mode = XML_DECODE_SAME;
        return d->out(d->self, sample);
    }
    e = start_iconv(d, "GB18030");
    return e == ERR_OK ? feed_iconv(d, sample) : e;
}

static size_t ascii_run(struct slice s)
{
    size_t i = 0;

    for (; i + 32 <= s.n; i += 32) {
        uint64_t w[4];
        memcpy(w, s.p + i, 32);
        if ((w[0] | w[1] | w[2] | w[3]) & 0x8080808080808080u)
            break;
    }
    while (i < s.n && !((unsigned char)s.p[i] & 0x80))
        i++;
    return i;
}

static enum err feed_trial(struct xml_decode *d, struct slice *s)
{
    if (d->n == 0) {
        size_t plain = ascii_run(*s);
        if (plain > 0) {
            enum err e = d->out(d->self, slice_sub(*s, 0, plain));
            if (e != ERR_OK)
                return e;
        }
        *s = slice_sub(*s, plain, s->n);
    }
    size_t take = XML_TRIAL_MAX - d->n < s->n ? XML_TRIAL_MAX - d->n : s->n;
    if (take > 0)
        memcpy(d->held + d->n, s->p, take);
    d->n += take;
    *s = slice_sub(*s, take, s->n);
    return d->n == XML_TRIAL_MAX ? decide(d) : ERR_OK;
}

/* ---- head: BOM, leading white space, declaration ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* encoding="..." of the declaration that the head begins with, and of nothing behind it; empty when it has none. */
static struct slice declared(struct slice head)
{
    struct slice word = SLICE("encoding");
    const char *end = memmem(head.p, head.n, "?>", 2);

    head.n = end != NULL ? (size_t)(end - head.p) : head.n;
    const char *at = memmem(head.p, head.n, word.p, word.n);

    if (at == NULL)
        return (struct slice){ NULL, 0 };
    struct slice s = slice_sub(head, (size_t)(at - head.p) + word.n, head.n);
    while (s.n > 0 && (is_blank(s.p[0]) || s.p[0] == '='))
        s = slice_sub(s, 1, s.n);
    if (s.n == 0 || (s.p[0] != '"' && s.p[0] != '\''))
        return (struct slice){ NULL, 0 };
    char quote = s.p[0];
    s = slice_sub(s, 1, s.n);
    return slice_sub(s, 0, slice_find(s, quote));
}

static void drop(struct xml_decode *d, size_t n)
{
    memmove(d->held, d->held + n, d->n - n);
    d->n -= n;
    d->dropped += n;
}

/* UTF-16 by its BOM or by the zero beside the first '<'; NULL: none of it. *mark: bytes of the BOM. */
static const char *utf16(const struct xml_decode *d, size_t *mark)
{
    static const struct {
        const char *bytes, *name;
        size_t mark;
    } forms[] = {
        { "\xFF\xFE", "UTF-16LE", 2 }, { "\xFE\xFF", "UTF-16BE", 2 }, { "<\0", "UTF-16LE", 0 }, { "\0<", "UTF-16BE", 0 }
    };

    for (size_t i = 0; d->n >= 2 && d->told == XML_LABEL_NONE && i < sizeof forms / sizeof *forms; i++)
        if (memcmp(d->held, forms[i].bytes, 2) == 0) {
            *mark = forms[i].mark;
            return forms[i].name;
        }
    return NULL;
}

/* False: more bytes are needed to know. */
static bool head_known(const struct xml_decode *d, bool last)
{
    struct slice head = { d->held, d->n };

    if (last || d->n >= XML_HEAD_MAX)
        return true;
    if (d->n < 5)
        return false;
    return !slice_starts(head, SLICE("<?xml")) || memmem(head.p, head.n, "?>", 2) != NULL;
}

static enum err leave_head(struct xml_decode *d)
{
    struct slice head = { d->held, d->n };
    char mine[XML_TRIAL_MAX];
    size_t mark = 0;
    const char *wide = utf16(d, &mark);
    enum err e = ERR_OK;

    if (slice_starts(head, SLICE("<?xml")))
        d->label = xml_label_of(declared(head));
    memcpy(mine, d->held + mark, d->n - mark);
    head = slice_make(mine, d->n - mark);
    d->n = 0;
    if (wide != NULL)
        e = start_iconv(d, wide);
    else if (d->told == XML_LABEL_UTF8)
        d->mode = XML_DECODE_SAME;
    else
        d->mode = XML_DECODE_TRIAL;
    return e == ERR_OK && head.n > 0 ? xml_decode_feed(d, head) : e;
}

static enum err feed_head(struct xml_decode *d, struct slice *s, bool last)
{
    size_t take = XML_HEAD_MAX - d->n < s->n ? XML_HEAD_MAX - d->n : s->n;

    if (take > 0)
        memcpy(d->held + d->n, s->p, take);
    d->n += take;
    *s = slice_sub(*s, take, s->n);
    while (d->head_blank && d->n > 0) {
        size_t blank = 0;
        if (d->told != XML_LABEL_GB18030 && d->n >= 3 && memcmp(d->held, "\xEF\xBB\xBF", 3) == 0) {
            d->told = XML_LABEL_UTF8; /* a byte order mark is believed before any label */
            blank = 3;
        } else {
            while (blank < d->n && is_blank(d->held[blank]))
                blank++;
        }
        if (blank == 0) {
            d->head_blank = d->held[0] == '\xEF' && d->n < 3 && !last;
            break;
        }
        drop(d, blank);
    }
    return head_known(d, last) ? leave_head(d) : ERR_OK;
}

enum err xml_decode_feed(struct xml_decode *d, struct slice s)
{
    enum err e = ERR_OK;

    while (s.n > 0 && e == ERR_OK) {
        switch (d->mode) {
        case XML_DECODE_HEAD:
            e = feed_head(d, &s, false);
            break;
        case XML_DECODE_TRIAL:
            e = feed_trial(d, &s);
            break;
        case XML_DECODE_SAME:
            return d->out(d->self, s);
        case XML_DECODE_ICONV:
            return feed_iconv(d, s);
        }
    }
    return e;
}

enum err xml_decode_finish(struct xml_decode *d)
{
    struct slice none = { NULL, 0 };
    enum err e = ERR_OK;

    if (d->mode == XML_DECODE_HEAD)
        e = feed_head(d, &none, true);
    if (e == ERR_OK && d->mode == XML_DECODE_TRIAL && d->n > 0)
        e = decide(d);
    if (e == ERR_OK && d->mode == XML_DECODE_ICONV && d->n > 0)
        e = ERR_SYNTAX; /* the document ends inside a character */
    return e;
}

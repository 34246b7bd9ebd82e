/* Which characters may stand where: XML 1.0 names and text, as tables of ranges; path segments and header values. */
#include "translate/request_compile.h"

struct range {
    uint32_t from, to;
};
/* XML 1.0 (fifth edition) section 2.3, production 4, without the colon. */
static const struct range name_start[] = {
    { 'A', 'Z' },       { '_', '_' },       { 'a', 'z' },       { 0xC0, 0xD6 },     { 0xD8, 0xF6 },
    { 0xF8, 0x2FF },    { 0x370, 0x37D },   { 0x37F, 0x1FFF },  { 0x200C, 0x200D }, { 0x2070, 0x218F },
    { 0x2C00, 0x2FEF }, { 0x3001, 0xD7FF }, { 0xF900, 0xFDCF }, { 0xFDF0, 0xFFFD }, { 0x10000, 0xEFFFF },
};
/* Production 4a adds these. */
static const struct range name_more[] = {
    { '-', '.' }, { '0', '9' }, { 0xB7, 0xB7 }, { 0x300, 0x36F }, { 0x203F, 0x2040 },
};
/* Section 2.2, production 2: everything else is a control character or no character. */
static const struct range text_chars[] = {
    { 9, 10 }, { 13, 13 }, { 0x20, 0xD7FF }, { 0xE000, 0xFFFD }, { 0x10000, 0x10FFFF }
};

#define COUNT(t) (sizeof(t) / sizeof(t)[0])

static bool within(const struct range *t, size_t n, uint32_t cp)
{
    for (size_t i = 0; i < n; i++)
        if (cp >= t[i].from && cp <= t[i].to)
            return true;
    return false;
}

bool xml_ncname(struct slice s)
{
    if (s.n == 0 || !within(name_start, COUNT(name_start), utf8_at(s, 0)))
        return false;
    for (size_t at = utf8_next(s, 0); at < s.n; at = utf8_next(s, at)) {
        uint32_t cp = utf8_at(s, at);

        if (!within(name_start, COUNT(name_start), cp) && !within(name_more, COUNT(name_more), cp))
            return false;
    }
    return true;
}

bool xml_text_ok(struct slice s)
{
    for (size_t at = 0; at < s.n; at = utf8_next(s, at))
        if (!within(text_chars, COUNT(text_chars), utf8_at(s, at)))
            return false;
    return true;
}

/* A segment must stay the one it is: servers decode %2F, and resolve "." and "..", before they look. */
bool request_segment_ok(struct slice v)
{
    size_t dots = 0;

    for (size_t i = 0; i < v.n; i++) {
        if ((unsigned char)v.p[i] < 0x20 || v.p[i] == 0x7F || v.p[i] == '/' || v.p[i] == '\\')
            return false;
        dots += v.p[i] == '.';
    }
    return dots < v.n; /* also refuses the empty one */
}

bool request_segment_bytes_ok(struct slice coded)
{
    while (coded.n > 0) {
        struct slice piece = slice_cut(&coded, '\\');
        size_t dots = 0;

        while (dots < piece.n && piece.p[dots] == '.')
            dots++;
        if (piece.n > 0 && dots == piece.n)
            return false;
    }
    return true;
}

/* RFC 9110 section 5.5. */
bool request_header_ok(struct slice v)
{
    for (size_t i = 0; i < v.n; i++) {
        unsigned char ch = (unsigned char)v.p[i];

        if ((ch < 0x20 && ch != '\t') || ch == 0x7F)
            return false;
    }
    return true;
}

/* Masks by name: how many code points stay clear at both ends. A value that is too short for its mask is masked whole,
 * so that a short value never shows more than a long one. Blanks (utf8_is_blank) make no value longer: those around it
 * (CHAR(18) pads) stay as they are, those inside are not among the characters that it must have. Nor are marks upon a
 * character: a name of two with a variation selector between them is none of three, whose ends would be all of it. */
#include "translate/translate.h"

static const struct mask {
    const char *name;
    struct {
        size_t at_least, head, tail; /* for values of which so many characters and more are seen; longest first */
    } keep[3];
} masks[] = {
    { "name", { { 3, 1, 1 }, { 2, 1, 0 }, { 0, 0, 0 } } },     /* 王*明, 张* */
    { "id-card", { { 11, 6, 4 }, { 0, 0, 0 }, { 0, 0, 0 } } }, /* 999901********002X */
};

static const struct mask *find(struct slice name)
{
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
        if (slice_is(name, masks[i].name))
            return &masks[i];
    return NULL;
}

bool translate_mask_known(struct slice name)
{
    return find(name) != NULL;
}

/* Marks upon the character before, and fillers: what is no character of a name, besides blanks. */
static const struct {
    uint32_t from, to;
} unseen[] = { { 0x300, 0x36f },   { 0x115f, 0x1160 }, { 0x1680, 0x1680 }, { 0x180b, 0x180f },
               { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff }, { 0x20d0, 0x20ff }, { 0x2800, 0x2800 },
               { 0x302a, 0x302d }, { 0x3099, 0x309a }, { 0x3164, 0x3164 }, { 0xfe00, 0xfe0f },
               { 0xfe20, 0xfe2f }, { 0xffa0, 0xffa0 }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff } };

/* False for the first byte of nearly everything; see UTF8_MAY_BE_BLANK. */
static bool may_be_unseen(unsigned char c)
{
    return UTF8_MAY_BE_BLANK(c) || c == 0xcc || c == 0xcd || c == 0xe1 || c == 0xf3;
}

static bool is_unseen(uint32_t c)
{
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen && c >= unseen[i].from; i++)
        if (c <= unseen[i].to)
            return true;
    return utf8_is_blank(c);
}

/* The value without the blanks around it, and how many of its characters are seen. */
static struct slice core_of(struct slice value, size_t *ret_seen)
{
    size_t first = 0, last = 0, seen = 0;
    bool blanks = false;

    for (size_t i = 0; i < value.n; i++)
        blanks |= may_be_unseen((unsigned char)value.p[i]);
    *ret_seen = blanks ? 0 : utf8_count(value);
    if (!blanks) /* nearly always */
        return value;
    for (size_t at = 0, next; at < value.n; at = next) {
        next = utf8_next(value, at);
        if (is_unseen(utf8_at(value, at)))
            continue;
        first = seen == 0 ? at : first;
        last = next;
        seen++;
    }
    *ret_seen = seen;
    return seen > 0 ? slice_sub(value, first, last - first) : value;
}

/* Unknown names mask everything: what nobody could check is not shown. */
void translate_mask(struct slice name, struct slice value, struct buf *out)
{
    const struct mask *m = find(name);
    size_t seen, row = 0, head = 0, tail = 0;
    struct slice core = m != NULL ? core_of(value, &seen) : value;

    if (m != NULL) {
        while (seen < m->keep[row].at_least)
            row++;
        head = m->keep[row].head;
        tail = m->keep[row].tail;
    }
    size_t at = (size_t)(core.p - value.p), end = at + core.n, stars = utf8_count(core) - head - tail;
    for (size_t i = 0; i < head; i++)
        at = utf8_next(value, at);
    for (size_t i = 0; i < tail; i++)
        do
            end--;
        while (((unsigned char)value.p[end] & 0xC0) == 0x80); /* valid UTF-8: a first byte comes */
    char *to = buf_reserve(out, at + stars + (value.n - end));
    if (to == NULL || value.n == 0)
        return;
    memcpy(to, value.p, at);
    memset(to + at, '*', stars);
    memcpy(to + at + stars, value.p + end, value.n - end);
    out->n += at + stars + (value.n - end);
}

/* Masks by name: how many code points stay clear at both ends. A value that is too short for its mask is masked whole,
 * so that a short value never shows more than a long one. */
#include "translate/translate.h"

static const struct mask {
    const char *name;
    struct {
        size_t at_least, head, tail; /* for values of so many code points and more; longest first */
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

/* Unknown names mask everything: what nobody could check is not shown. */
void translate_mask(struct slice name, struct slice value, struct buf *out)
{
    const struct mask *m = find(name);
    size_t n = utf8_count(value), row = 0, head = 0, tail = 0, at = 0, end = value.n;

    if (m != NULL) {
        while (n < m->keep[row].at_least)
            row++;
        head = m->keep[row].head;
        tail = m->keep[row].tail;
    }
    for (size_t i = 0; i < head; i++)
        at = utf8_next(value, at);
    for (size_t i = 0; i < tail; i++)
        do
            end--;
        while (((unsigned char)value.p[end] & 0xC0) == 0x80); /* valid UTF-8: a first byte comes */
    char *to = buf_reserve(out, at + (n - head - tail) + (value.n - end));
    if (to == NULL || n == 0)
        return;
    memcpy(to, value.p, at);
    memset(to + at, '*', n - head - tail);
    memcpy(to + at + (n - head - tail), value.p + end, value.n - end);
    out->n += at + (n - head - tail) + (value.n - end);
}

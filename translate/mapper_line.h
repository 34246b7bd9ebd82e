#pragma once
/* Inside translate: a record written while its values come; see struct map_line. */
#include "translate/mapper.h"
#include "translate/plain.h"
#include "translate/value_time.h"

/* Without looking for more; what there is never passes RECORD_MAX. */
static inline bool text_has_room(const struct mapper *m, size_t n)
{
    return m->text.failed == ERR_OK && m->text.p != NULL && n <= m->text.room - m->text.n;
}

enum { LINE_SPARE = 16 }; /* bytes that may be written behind what is put */
/* A value that needs no escapes goes on with the line (map_line). False: it cannot; nothing has happened. The text is
 * copied last, so that nothing need be saved over a call. */
static inline __attribute__((always_inline)) bool line_put(struct mapper *m, const struct map_field *f,
                                                           struct slice text)
{
    struct value *v = &m->values[f->slot];
    size_t key = f->json_key.n + 1, n = key + text.n + 1; /* the key with the quote behind it; a quote behind all */
    struct buf *to = &m->text;

    if (v->easy == MAP_NOT_EASY || f->slot < m->line.next || n + LINE_SPARE > to->room - to->n)
        return false; /* no memory yet is no room */
    if (text.n > f->limit || (v->easy == MAP_EASY_DATE && !time_is_any_year(text)))
        return false;
    char *at = to->p + to->n;
    v->at = (uint32_t)(to->n + key);
    v->n = (uint32_t)text.n;
    v->kind = VALUE_TEXT;
    v->raw = true;
    to->n += n;
    m->line.n += (uint32_t)n;
    m->line.next = f->slot + 1U;
    copy_padded(at, f->json_key.p, key);
    at[n - 1] = '"';
    copy_short(at + key, text.p, text.n);
    return true;
}

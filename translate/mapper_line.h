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

/* A value that needs no escapes goes on with the line (map_line). False: it cannot; nothing has happened. */
static inline bool line_put(struct mapper *m, const struct map_field *f, struct slice text)
{
    struct value *v = &m->values[f->slot];
    size_t key = f->json_key.n + 1; /* with the quote */
    struct buf *to = &m->text;

    if (v->easy == MAP_NOT_EASY || f->slot < m->line.next || key + text.n + 16 > to->room - to->n)
        return false; /* no memory yet is no room */
    if (text.n > f->limit || (v->easy == MAP_EASY_DATE && !time_is_date(text)))
        return false;
    char *at = to->p + to->n;
    copy_padded(at, f->json_key.p, key);
    copy_short(at + key, text.p, text.n);
    at[key + text.n] = '"';
    v->at = (uint32_t)(to->n + key);
    v->n = (uint32_t)text.n;
    v->kind = VALUE_TEXT;
    v->raw = true;
    to->n += key + text.n + 1;
    m->line.n += (uint32_t)(key + text.n + 1);
    m->line.next = f->slot + 1U;
    return true;
}

/* Records and entries of list items: where values are collected, and what happens when one is complete. An entry is
 * rendered when its element ends, into the buffer of its list; the record copies those buffers when it is written
 * itself. */
#include "translate/mapper.h"

enum err group_begin(struct map_doc *d, uint16_t group)
{
    struct mapper *m = d->m;
    const struct map_group *g = &m->r->groups[group];

    if (group == 0 && m->in_record) /* a record inside a record, by way of a nested document */
        return mapper_fail(m, REASON_PROVIDER_MALFORMED, ERR_INVALID);
    m->in_record |= group == 0;
    if (group == 0)
        m->line = (struct map_line){ .next = m->may_line ? g->slot0 : (uint32_t)LINE_BROKEN };
    for (uint16_t i = 0; i < g->n; i++)
        m->values[g->slot0 + i].kind = VALUE_ABSENT;
    for (uint16_t i = 0; g->lists && i < g->n; i++)
        if (g->fields[i].group != MAP_NO_GROUP) {
            struct buf *entries = &m->lists[g->fields[i].group];
            m->listed -= entries->n;
            buf_clear(entries);
        }
    return ERR_OK;
}

enum err group_take(struct map_doc *d, const struct map_bind *b, enum value_kind kind, uint32_t at, uint32_t n)
{
    struct mapper *m = d->m;

    if (b->target != MAP_TO_SLOT) {
        struct slice text = slice_sub(buf_slice(&m->text), at, n);
        return kind == VALUE_TEXT ? result_code(m, text, b->target == MAP_TO_FAULT) : ERR_OK;
    }
    if (m->values[b->slot].wanted)
        group_put(m, b->slot, kind, at, n, false);
    return ERR_OK;
}

static enum err record_done(struct mapper *m)
{
    struct translate_outcome *o = &m->outcome;

    m->records_seen = true;
    if (m->refused)
        return ERR_OK;
    if (o->not_found && m->code_in_record) { /* the answer is one element: it says that it is none */
        m->code_in_record = false;
        return ERR_OK;
    }
    if (o->not_found)
        return mapper_fail(m, REASON_PROVIDER_MALFORMED, ERR_INVALID);
    if (m->want.max_rows > 0 && o->rows >= m->want.max_rows)
        return mapper_fail(m, REASON_PROVIDER_TOO_LARGE, ERR_TOO_LARGE);
    if (!m->began)
        writer_begin(m);
    m->began = true;
    o->settled |= !m->r->has_code;
    o->rows++;
    writer_record(m);
    enum err e = m->out->failed != ERR_OK ? m->out->failed : m->scratch.failed;
    return e == ERR_OK ? e : mapper_fail(m, e == ERR_NOMEM ? REASON_OVERLOADED : REASON_PROVIDER_TOO_LARGE, e);
}

static enum err entry_done(struct mapper *m, const struct map_group *g)
{
    struct buf *entries = &m->lists[g->id];
    size_t before = entries->n;

    if (m->refused || !(m->want.items[g->top / 64] >> (g->top % 64) & 1))
        return ERR_OK;
    writer_entry(m, g, entries, before == 0);
    m->listed += entries->n - before;
    if (entries->failed == ERR_NOMEM)
        return mapper_fail(m, REASON_OVERLOADED, ERR_NOMEM);
    if (entries->failed != ERR_OK || m->listed > RECORD_MAX)
        return mapper_fail(m, REASON_PROVIDER_TOO_LARGE, ERR_TOO_LARGE);
    return ERR_OK;
}

/* null is no record and no entry. A JSON scalar or an array where a record should stand is not an answer; where an
 * entry should, a finding. */
enum err group_end(struct map_doc *d, uint16_t group, const struct map_frame *f)
{
    struct mapper *m = d->m;
    const struct map_group *g = &m->r->groups[group];
    bool misplaced = f->misplaced && !g->own_text;
    enum err e = ERR_OK;

    if (group != 0) {
        m->outcome.findings += misplaced;
        return f->nil || misplaced ? ERR_OK : entry_done(m, g);
    }
    if (misplaced)
        e = mapper_fail(m, REASON_PROVIDER_MALFORMED, ERR_INVALID);
    else if (!f->nil)
        e = record_done(m);
    m->in_record = false;
    m->text.n = 0;
    return e;
}

/* The documents of a run: their life; and those that lie in the text of another, which have a struct map_doc and an XML
 * reader of their own, fed by pieces of that text. */
#include "translate/mapper.h"
#include "translate/xml_reader.h"

const struct map_level map_nowhere;

/* ---- life ---- */

size_t map_doc_size(const struct plan_response *r)
{
    return sizeof(struct map_doc) + r->n_nodes * (sizeof(void *) + sizeof(uint32_t) + sizeof(uint8_t)) +
           r->n_levels * sizeof(void *) + (r->n_slots + 4u) * sizeof(struct map_stash);
}

/* The arrays lie behind the struct, widest first. Memory is cleared. */
void map_doc_init(struct map_doc *d, struct mapper *m, unsigned level)
{
    char *at = (char *)(d + 1);

    memset(d, 0, map_doc_size(m->r));
    d->m = m;
    d->level = level;
    d->members_of = &map_nowhere;
    d->root = level == 0 ? m->r->root : m->r->doc;
    d->active = (const struct map_node **)(void *)at;
    d->hints = d->active + m->r->n_nodes;
    d->stash = (struct map_stash *)(void *)(d->hints + m->r->n_levels);
    d->counts = (uint32_t *)(void *)(d->stash + m->r->n_slots + 4);
    d->states = (uint8_t *)(d->counts + m->r->n_nodes);
}

void mapper_done(struct mapper *m)
{
    for (unsigned i = 0; i <= MAP_NESTED_MAX; i++) {
        if (m->docs[i] != NULL && m->docs[i]->inner != NULL)
            m->docs[i]->inner = xml_reader_free(m->docs[i]->inner);
        if (i > 0 && m->docs[i] != NULL)
            m->docs[i] = mem_free(m->docs[i]);
    }
    for (unsigned i = 0; i < m->r->n_groups; i++)
        if (m->lists[i].p != NULL)
            buf_done(&m->lists[i]);
}

/* ---- a document in a text ---- */

enum err map_nested_text(struct map_doc *d, struct slice piece)
{
    struct mapper *m = d->m;
    enum err e;

    if (d->inner == NULL) {
        size_t blank = 0;
        while (blank < piece.n && (unsigned char)piece.p[blank] <= ' ')
            blank++;
        if (blank == piece.n)
            return ERR_OK;
        unsigned level = d->level + 1;
        if (level > MAP_NESTED_MAX)
            return mapper_fail(m, REASON_PROVIDER_TOO_LARGE, ERR_TOO_LARGE);
        if (m->docs[level] == NULL && (m->docs[level] = mem_zalloc(map_doc_size(m->r))) == NULL)
            return mapper_fail(m, REASON_OVERLOADED, ERR_NOMEM);
        map_doc_init(m->docs[level], m, level);
        d->inner = xml_reader_new_told(&map_sink, m->docs[level], XML_LABEL_UTF8);
        if (d->inner == NULL)
            return mapper_fail(m, REASON_OVERLOADED, ERR_NOMEM);
    }
    e = xml_reader_feed(d->inner, piece);
    return e == ERR_OK ? e : mapper_reader_failed(m, e);
}

enum err map_nested_end(struct map_doc *d)
{
    enum err e = ERR_OK;

    if (d->inner != NULL) {
        e = xml_reader_finish(d->inner);
        if (e != ERR_OK)
            (void)mapper_reader_failed(d->m, e);
        d->inner = xml_reader_free(d->inner);
    }
    d->stream = 0;
    return e;
}

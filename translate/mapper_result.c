/* What a provider says about its own answer: result codes, faults, and whether what had to be there was. No failure
 * ever becomes an empty answer: docs/decisions/003-empty-answers.md. */
#include "translate/mapper.h"
#include "translate/xml_reader.h"
#include <stdio.h>

/* The path of the matched elements, document by document, and the byte: only names of the manifest. */
static void put_place(struct mapper *m)
{
    char *at = m->outcome.place;
    size_t room = sizeof m->outcome.place, n = 0;

    for (unsigned l = 0; l <= MAP_NESTED_MAX; l++) {
        const struct map_doc *d = m->docs[l];
        for (unsigned i = 1; d != NULL && i <= d->depth && d->frames[i].n > 0; i++) {
            struct slice name = d->active[d->frames[i].first]->name;
            if (n + name.n + 32 < room && name.n > 0)
                n += (size_t)snprintf(at + n, room - n, "%s%.*s", i == 1 && n > 0 ? "!/" : "/", SLICE_ARG(name));
        }
        if (d == NULL || d->stream == 0)
            break;
    }
    snprintf(at + n, room - n, "%s@%llu", n > 0 ? " " : "", (unsigned long long)m->offset(m));
}

enum err mapper_fail(struct mapper *m, enum reason reason, enum err e)
{
    if (!m->failed) {
        m->failed = true;
        m->outcome.settled = false;
        for (unsigned l = 0; l <= MAP_NESTED_MAX; l++)
            if (m->docs[l] != NULL)
                map_leaf_frame(m->docs[l]);
        m->outcome.reason = m->refused && reason != REASON_OVERLOADED ? REASON_PROVIDER_REFUSED : reason;
        put_place(m);
    }
    return e;
}

enum err mapper_reader_failed(struct mapper *m, enum err e)
{
    if (e == ERR_NOMEM)
        return mapper_fail(m, REASON_OVERLOADED, e);
    return mapper_fail(m, e == ERR_TOO_LARGE ? REASON_PROVIDER_TOO_LARGE : REASON_PROVIDER_MALFORMED, e);
}

static struct slice trim(struct slice s)
{
    while (s.n > 0 && (unsigned char)s.p[0] <= ' ')
        s = slice_sub(s, 1, s.n);
    while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

static bool among(const struct doc_strs *codes, struct slice code)
{
    for (size_t i = 0; i < codes->n; i++)
        if (slice_eq(codes->at[i], code))
            return true;
    return false;
}

/* Only what is plainly a code is kept: a text, or a number of a person, is not. */
static void keep_code(struct mapper *m, struct slice code)
{
    char *to = m->outcome.code;

    to[0] = 0;
    if (code.n >= sizeof m->outcome.code || text_holds_id_card(code))
        return;
    for (size_t i = 0; i < code.n; i++) {
        char c = code.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '_' ||
              c == '-')) {
            to[0] = 0;
            return;
        }
        to[i] = c;
        to[i + 1] = 0;
    }
}

enum err result_code(struct mapper *m, struct slice text, bool fault)
{
    const struct plan_response *r = m->r;
    struct slice code = trim(text);
    char before[sizeof m->outcome.code];

    memcpy(before, m->outcome.code, sizeof before);
    if (fault) { /* soap:Server */
        size_t colon = slice_find(code, ':');
        keep_code(m, colon < code.n ? slice_sub(code, colon + 1, code.n) : code);
        return ERR_OK; /* the end of Fault ends the run */
    }
    keep_code(m, code);
    bool ok = among(&r->ok, code), none = among(&r->not_found, code);
    if (m->refused || (!ok && !none))
        return mapper_fail(m, REASON_PROVIDER_REFUSED, ERR_INVALID);
    if (m->code_seen && (strcmp(before, m->outcome.code) != 0 || m->outcome.not_found != none))
        return mapper_fail(m, REASON_PROVIDER_MALFORMED, ERR_INVALID);
    if (none && m->outcome.rows > 0)
        return mapper_fail(m, REASON_PROVIDER_MALFORMED, ERR_INVALID);
    m->code_seen = m->outcome.settled = true;
    m->outcome.not_found = none;
    m->code_in_record = none && m->in_record;
    return ERR_OK;
}

bool holds_records(const struct map_doc *d)
{
    const struct map_frame *f = &d->frames[d->depth];

    for (unsigned i = f->first; d->depth > 0 && i < f->first + (unsigned)f->n; i++)
        if (d->active[i]->flags & MAP_PARENT)
            return true;
    return false;
}

/* Beside records it means nothing; alone it is what the provider says instead of them. */
void stray_text(struct map_doc *d, struct slice piece)
{
    d->m->stray |= trim(piece).n > 0 && holds_records(d);
}

enum err mapper_finish(struct mapper *m)
{
    const struct plan_response *r = m->r;
    bool there = m->records_seen || (r->records_have_parent && m->parent_seen && !m->stray && !m->foreign);
    bool may_lack = r->empty_ok && !m->stray && !(m->strange && (r->records_have_parent || r->root != r->doc));

    if (m->refused || m->fault)
        return mapper_fail(m, REASON_PROVIDER_REFUSED, ERR_INVALID);
    if (r->has_code && !m->code_seen)
        return mapper_fail(m, REASON_PROVIDER_MALFORMED, ERR_INVALID);
    if (!there && !m->outcome.not_found && !may_lack)
        return mapper_fail(m, REASON_PROVIDER_MALFORMED, ERR_INVALID);
    if (!m->began)
        writer_begin(m);
    m->began = true;
    writer_end(m);
    if (m->out->failed != ERR_OK)
        return mapper_fail(m, m->out->failed == ERR_NOMEM ? REASON_OVERLOADED : REASON_PROVIDER_TOO_LARGE,
                           m->out->failed);
    m->outcome.settled = true;
    return ERR_OK;
}

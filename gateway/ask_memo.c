/* What a head asks for, remembered: a consumer sends the same head with most of its requests. Only what says nothing of
 * a person or a case is remembered: no query, no operator, no case, no trace; and nothing that was at fault. What is
 * remembered is ask_read's own result for the very same bytes (http_head_keep), in the same worker, whose settings do
 * not change. */
#include "gateway/exchange.h"

enum { PARTS = 4, PART_MAX = 255 };

/* The parts of x->ask that lie in memory. The department is the beginning of the resource. */
static void parts_of(struct ex_ask *ask, struct slice *ret[PARTS])
{
    ret[0] = &ask->resource;
    ret[1] = &ask->purpose;
    ret[2] = &ask->grant;
    ret[3] = &ask->accept;
}

/* Each part at its place in `text`, where all of them stand one behind the other. */
static void parts_set(struct ex_ask *ask, const uint8_t length[PARTS], const char *text)
{
    struct slice *part[PARTS];
    size_t department = ask->department.n;

    parts_of(ask, part);
    for (size_t i = 0; i < PARTS; text += length[i++])
        *part[i] = length[i] > 0 ? (struct slice){ text, length[i] } : SLICE("");
    ask->department = slice_sub(ask->resource, 0, department);
}

static bool use(struct exchange *x, const struct ask_memo *m)
{
    char *text = arena_alloc(&x->arena, m->n);

    if (text == NULL)
        return false; /* ask_read says it */
    memcpy(text, m->text, m->n);
    x->ask = m->ask;
    parts_set(&x->ask, m->length, text);
    return true;
}

static bool may_keep(struct exchange *x)
{
    struct slice *part[PARTS];
    size_t n = 0;

    parts_of(&x->ask, part);
    for (size_t i = 0; i < PARTS; i++) {
        if (part[i]->p == NULL || part[i]->n > PART_MAX)
            return false;
        n += part[i]->n;
    }
    return n <= ASK_TEXT && x->reason == REASON_INTERNAL && x->ask.late == REASON_INTERNAL && x->log == NULL &&
           x->ask.query.n == 0 && x->ask.operator_.n == 0 && x->ask.case_.n == 0 && x->ask.trace.n == 0;
}

static void make(struct ask_memo *m, struct exchange *x, uint64_t number)
{
    struct slice *part[PARTS];

    m->n = 0;
    m->number = number;
    m->ask = x->ask;
    m->ask.query = m->ask.operator_ = m->ask.case_ = m->ask.trace = SLICE("");
    parts_of(&x->ask, part);
    for (size_t i = 0; i < PARTS; i++) {
        memcpy(m->text + m->n, part[i]->p, part[i]->n);
        m->length[i] = (uint8_t)part[i]->n;
        m->n += part[i]->n;
    }
    parts_set(&m->ask, m->length, m->text);
}

void ask_remember(struct exchange *x, struct http_call *call, const struct http_head *h)
{
    struct ask_memo *m = &x->w->asks[h->again % HTTP_KEPT];
    uint64_t number;

    if (h->again != 0 && m->number == h->again && use(x, m))
        return;
    ask_read(x, h);
    number = may_keep(x) ? http_head_keep(call, h) : 0;
    if (number != 0)
        make(&x->w->asks[number % HTTP_KEPT], x, number);
}

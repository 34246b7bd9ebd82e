/* The two lines before a full evidence queue; see room.h. */
#include "gateway/room.h"
#include "gateway/exchange.h"

bool room_turn(const struct exchange *x, enum room_line line)
{
    const struct exchange *first = x->w->room[line].first;

    return first == NULL || first == x;
}

void room_wait(struct exchange *x, enum room_line line)
{
    struct room *r = &x->w->room[line];

    if (x->in_line == r)
        return;
    room_leave(x);
    x->in_line = r;
    x->line_next = NULL;
    x->line_before = r->last;
    if (r->last != NULL)
        r->last->line_next = x;
    else
        r->first = x;
    r->last = x;
    COUNT(x->w, waiting, 1);
    COUNT(x->w, waits, 1);
}

void room_leave(struct exchange *x)
{
    struct room *r = x->in_line;

    if (r == NULL)
        return;
    if (x->line_before != NULL)
        x->line_before->line_next = x->line_next;
    else
        r->first = x->line_next;
    if (x->line_next != NULL)
        x->line_next->line_before = x->line_before;
    else
        r->last = x->line_before;
    x->in_line = NULL;
    atomic_fetch_sub_explicit(&x->w->counters.waiting, 1, memory_order_relaxed);
}

/* Who is resumed and still stands first found no room. */
static void serve_line(struct room *r)
{
    struct exchange *x;

    while ((x = r->first) != NULL) {
        exchange_resume(x);
        if (r->first == x)
            return;
    }
}

void room_serve(struct worker *w)
{
    for (int i = 0; i < ROOM_LINES; i++)
        serve_line(&w->room[i]);
}

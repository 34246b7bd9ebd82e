/* Refused attempts at the administration API are evidence too: a refusal leaves when its record is durable. Floods
 * cannot buy the log: beyond the rates of the settings they are counted, as on the data listener. */
#include "gateway/control_internal.h"

enum { COUNT_MS = 1000 };

struct held { /* a refusal whose record is on its way; in the request's arena */
    enum reason reason;
    const char *detail[2];
};

/* Who may not, and what was no request: those are attempts. Mistakes in a body by a known person are not. */
static bool is_attempt(enum reason r)
{
    int status = reason_info(r)->status;

    return status == 401 || status == 403 || r == REASON_REVOCATION_UNKNOWN || r == REASON_REQUEST_MALFORMED;
}

static void on_durable(struct control_waiter *w, enum err e, uint64_t index)
{
    struct api_request *q = (struct api_request *)(void *)((char *)w - offsetof(struct api_request, waiter));
    struct held *h = q->state;

    (void)index;
    q->control->refusals_out--;
    if (e == ERR_OK)
        api_send_problem(q, h->reason, h->detail[LANG_EN], h->detail[LANG_ZH]);
    else
        api_send_problem(q, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
}

static bool is_stranger(const struct api_request *q)
{
    return q->actor.peer == NULL || q->actor.peer->verdict != REASON_GRANTED;
}

/* What was tried: the route as the table has it, "POST grants/{}/revoke", and the id in it when it is shaped as one. Of
 * a path that no route has nothing is known but its digest. */
static void put_tried(struct api_request *q, struct audit_record *rec)
{
    bool known;
    const struct api_route *route = api_route_find(q, &known);
    struct slice rest = slice_of(route ? route->path : ""), part;
    struct buf object = BUF_INIT(1024);

    if (route == NULL)
        return;
    rec->verb = slice_of(arena_printf(&q->arena, "%s %s", route->method, route->path));
    for (size_t i = 0; i < q->n_path && rest.n > 0; i++) {
        part = slice_cut(&rest, '/');
        if (slice_is(part, "{}") && ident_valid(q->path[i]) && !text_holds_id_card(q->path[i]))
            buf_printf(&object, "%s%.*s", object.n ? "/" : "", SLICE_ARG(q->path[i]));
    }
    rec->object = arena_dup(&q->arena, buf_slice(&object));
    buf_done(&object);
}

static enum err put_record(struct api_request *q, enum reason r)
{
    struct control *c = q->control;
    struct sha256 digest;
    struct audit_record rec = { .kind = AUDIT_REFUSED, .at = control_now(c), .reason = r, .has_reason = true };

    rec.exchange = uuid_v7(rec.at);
    rec.status = reason_info(r)->status;
    rec.peer = slice_of(q->address);
    rec.snapshot = c->snapshot->generation;
    if (q->actor.peer)
        rec.certificate = slice_of(q->actor.peer->digest);
    if (!is_stranger(q))
        rec.subject = slice_of(q->actor.peer->uri);
    put_tried(q, &rec);
    if (q->raw.n > 0) {
        digest = audit_keyed_digest(c->log, q->raw);
        rec.raw_length = q->raw.n;
        rec.raw_digest = &digest;
    }
    q->waiter.done = on_durable;
    audit_look(c->queue); /* nobody else here does: what cannot be recorded now is said now */
    return audit_put(c->queue, &rec, 0, &q->waiter);
}

void api_write_counted(struct control *c)
{
    (void)flood_put(&c->flood, c->queue, control_now(c), &c->counter);
}

static void on_second(struct alarm *a)
{
    struct control *c = (struct control *)((char *)a - offsetof(struct control, counted));

    api_write_counted(c);
    if (c->flood.total > 0)
        alarm_set(c->loop, a, COUNT_MS);
}

/* What is not durable is not forgotten: it goes into the next record. */
static void on_counted(struct control_waiter *w, enum err e, uint64_t index)
{
    struct control *c = (struct control *)((char *)w - offsetof(struct control, counter));

    (void)index;
    flood_written(&c->flood, e == ERR_OK);
}

void api_init(struct control *c)
{
    const struct limit_settings *l = &c->settings->limits;

    flood_init(&c->flood, l->strangers_source, l->strangers_all, l->refusals, 1);
    flood_day(&c->flood, c->settings->evidence.strangers_bytes, (unsigned)c->settings->workers + 1);
    tally_init(&c->control_each, c->flood.seed, l->control_each, 1);
    c->counter.done = on_counted;
    alarm_init(&c->counted, on_second);
}

void api_count(struct control *c, enum reason r)
{
    flood_count(&c->flood, r, control_now(c));
    if (c->flood.total == 1)
        alarm_set(c->loop, &c->counted, COUNT_MS);
}

bool api_record_refusal(struct api_request *q, enum reason r, const char *en, const char *zh)
{
    struct control *c = q->control;
    bool stranger = is_stranger(q);
    struct slice key = stranger ? slice_of(q->address) : slice_of(q->actor.peer->object);
    struct held *h;
    enum err e;

    if (q->recorded || (!is_attempt(r) || (r == REASON_REQUEST_MALFORMED && q->raw.n == 0)))
        return false;
    q->recorded = true;
    if (!flood_admit(&c->flood, key, stranger, r, clock_mono_ms(), control_now(c))) {
        if (c->flood.total == 1)
            alarm_set(c->loop, &c->counted, COUNT_MS);
        return false;
    }
    h = arena_alloc(&q->arena, sizeof *h);
    e = h ? put_record(q, r) : ERR_NOMEM;
    if (e != ERR_OK) {
        if (e != ERR_DOWN) /* what it is away for the log counts itself */
            api_count(c, r);
        api_send_problem(q, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
        return true;
    }
    c->refusals_out++;
    h->reason = r;
    h->detail[LANG_EN] = en ? arena_str(&q->arena, slice_of(en)) : NULL;
    h->detail[LANG_ZH] = zh ? arena_str(&q->arena, slice_of(zh)) : NULL;
    q->state = h;
    return true;
}

/* What leaves: heads, problems, ends. Every answer carries its exchange and its receipt. */
#include "gateway/stage_log.h"

enum { HEADERS_MAX = 10, RECEIPT_MAX = 256 };

struct headers {
    struct http_header at[HEADERS_MAX];
    size_t n;
};

static void add(struct headers *h, struct slice name, struct slice value)
{
    if (h->n < HEADERS_MAX && value.p != NULL)
        h->at[h->n++] = (struct http_header){ name, value };
}

/* "name=123" behind what is there; printf costs more than the rest of a head. */
static void put_index(struct buf *b, const char *name, const struct evidence *ev)
{
    if (!ev->durable)
        return;
    buf_puts(b, name);
    buf_put_u64(b, ev->index);
}

/* Where the records are: origin="…", intent=7, outcome=8 (RFC 9651 dictionary). What is not durable yet is left out. */
static struct slice receipt(struct exchange *x)
{
    struct buf b = { .p = arena_alloc(&x->arena, RECEIPT_MAX), .room = RECEIPT_MAX - 1, .cap = RECEIPT_MAX - 1 };

    if (b.p == NULL || (!x->intent.durable && !x->outcome.durable))
        return (struct slice){ 0 };
    buf_put(&b, SLICE("origin=\""));
    buf_put(&b, audit_origin(x->w->cfg.log));
    buf_putc(&b, '"');
    put_index(&b, ", intent=", &x->intent);
    put_index(&b, x->intent.durable ? ", outcome=" : ", refused=", &x->outcome);
    return b.failed == ERR_OK ? buf_slice(&b) : (struct slice){ 0 }; /* never grew: the memory is the arena's */
}

static struct slice grant_header(struct exchange *x)
{
    const char *id = policy_grant_id(x->grant);
    size_t n = strlen(id);
    struct buf b = { .p = arena_alloc(&x->arena, n + 32), .room = n + 31, .cap = n + 31 };

    if (b.p == NULL)
        return (struct slice){ 0 };
    buf_put(&b, (struct slice){ id, n });
    buf_put(&b, SLICE("; version="));
    buf_put_u64(&b, x->grant->version);
    return buf_slice(&b);
}

static void add_common(struct exchange *x, struct headers *h, bool cached)
{
    add(h, SLICE("Sluice-Exchange"), slice_of(x->id_text));
    add(h, SLICE("Sluice-Receipt"), receipt(x));
    add(h, SLICE("Cache-Control"), cached ? SLICE("private, max-age=31536000, immutable") : SLICE("no-store"));
}

void answer_head(struct exchange *x, int64_t length)
{
    struct headers h = { 0 };
    struct http_reply r = { .status = 200, .length = length };

    if (x->log) {
        add(&h, SLICE("Content-Type"), slice_of(log_ask_type(x)));
    } else {
        add(&h, SLICE("Content-Type"), x->passed.n ? x->passed : slice_of(translate_form_type(x->ask.form)));
        add(&h, SLICE("Sluice-Grant"), grant_header(x));
    }
    add_common(x, &h, x->log && slice_is(log_ask_resource(x), "/log/tile"));
    x->trailer = length < 0;
    if (x->trailer)
        add(&h, SLICE("Trailer"), SLICE("Sluice-Receipt"));
    r.headers = h.at;
    r.n_headers = h.n;
    x->head_sent = true;
    x->ops->head(x->call, &r);
}

/* The call may be over inside: the consumer's endpoint says so by sent or gone. */
void answer_end(struct exchange *x)
{
    struct http_header trailer = { SLICE("Sluice-Receipt"), { 0 } };

    if (x->trailer)
        trailer.value = receipt(x);
    x->ended = true;
    x->ops->end(x->call, &trailer, trailer.value.p != NULL ? 1 : 0);
}

static void fill_problem(struct exchange *x, enum reason r, struct problem *p)
{
    p->reason = r;
    if (r == x->reason) {
        p->detail[LANG_EN] = x->detail[LANG_EN];
        p->detail[LANG_ZH] = x->detail[LANG_ZH];
    }
    p->exchange = slice_of(x->id_text);
    p->has_reached = x->asked_at != 0;
    p->reached = x->reached;
}

void answer_problem(struct exchange *x, enum reason r)
{
    const struct reason_info *info = reason_info(r);
    struct slice ids[8];
    struct problem p = { .ids = ids, .n_ids = r == REASON_GRANT_AMBIGUOUS ? x->verdict.n_matches : 0 };
    struct headers h = { 0 };
    struct http_reply reply = { .status = info->status, .close = x->stranger };
    char first[4096]; /* room for most: one that grows may lack memory in the middle, and is no answer then */
    struct buf body;
    /* A provider that cannot be reached, or answers nobody, may be back when its circuit lets the next one try. */
    struct slice again = problem_retry_after(r == REASON_PROVIDER_UNREACHABLE ? 503 : info->status);

    for (size_t i = 0; i < p.n_ids; i++)
        ids[i] = slice_of(x->grant_ids[i]);
    fill_problem(x, r, &p);
    buf_init_with(&body, 16384, first, sizeof first);
    problem_put(&p, x->ask.problem, x->ask.lang, &body);
    if (body.failed != ERR_OK)
        buf_clear(&body); /* its status says what it can */
    add(&h, SLICE("Content-Type"), slice_of(problem_type(x->ask.problem)));
    add(&h, SLICE("Content-Language"), x->ask.lang == LANG_ZH ? SLICE("zh") : SLICE("en"));
    add_common(x, &h, false);
    if (info->status == 405)
        add(&h, SLICE("Allow"), x->log ? SLICE("GET") : x->up ? SLICE("POST") : SLICE("GET, POST"));
    if (again.n > 0)
        add(&h, SLICE("Retry-After"), again);
    reply.headers = h.at;
    reply.n_headers = h.n;
    reply.length = (int64_t)body.n;
    x->ended = true;
    x->ops->head(x->call, &reply);
    x->ops->body(x->call, buf_slice(&body));
    x->ops->end(x->call, NULL, 0);
    buf_done(&body);
}

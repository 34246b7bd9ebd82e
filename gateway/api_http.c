/* The administration API on HTTP/1: bodies are gathered whole, answers leave as the connection has room. A call lives
 * until its answer was sent; when the peer goes while a handler's act is still under way, until that is over.
 *
 * Whoever comes stands in the door (base/net/door.h) until its certificate holds; those who have one take places of
 * their own, so many each. A request is judged at its head: who may not make it is answered then, and its body is not
 * gathered. So strangers hold a bounded number of connections that give way, and no memory beyond a head each. Bodies
 * of the others are bounded in all, and take from the room of the process as those of exchanges do. */
#include "gateway/control_internal.h"

enum {
    PIECE = 16 * 1024,
    BODY_FREE = 64 * 1024, /* of each body, whatever memory there is: acts that narrow have no more */
    TREE_TIMES = 6         /* so many times its size a body takes as a tree */
};

static const char no_memory_en[] = "no memory for this body now", no_memory_zh[] = "当前没有内存接收该正文";

struct api_conn {
    struct control *control;
    struct api_conn *next, **pprev;
    struct http_conn *http;
    const struct certs_peer *peer; /* bor: until the connection ends */
    struct api_call *call;         /* bor: the one that is open; NULL: idle */
    char address[46];
    bool known; /* left the door, and counts as control_each says in this slot: */
    uint32_t slot;
};
struct api_call {
    struct api_request q;   /* first */
    struct http_call *http; /* NULL: the peer has gone */
    struct api_conn *conn;
    struct buf in;
    size_t counted, promised; /* of the bodies that are held; of that, what is still to come */
    size_t sent;
    bool running;              /* a handler has it, or an act of it is under way */
    bool pumping, over, whole; /* whole: the request has ended */
};

/* ---- life ---- */
void api_free(struct api_request *q)
{
    struct api_call *call = (struct api_call *)(void *)q;

    q->control->body_bytes -= call->counted;
    pressure_promise(&q->control->pressure, -(int64_t)call->promised);
    if (call->conn)
        call->conn->call = NULL;
    buf_done(&call->in);
    buf_done(&q->out);
    arena_done(&q->arena);
    mem_free(call);
}

/* The peer in memory of the request's own: a connection may end before an act of its request has taken effect. */
static const struct certs_peer *keep_peer(struct arena *a, const struct certs_peer *p)
{
    struct certs_peer *own = p ? arena_alloc(a, sizeof *own) : NULL;

    if (own == NULL)
        return NULL;
    certs_peer_copy(own, p);
    return own;
}

static void put_body(struct api_call *call)
{
    struct slice out = buf_slice(&call->q.out);

    call->pumping = true;
    while (call->http && call->sent < out.n) {
        size_t room = http_reply_room(call->http);
        struct slice piece = slice_sub(out, call->sent, room < PIECE ? room : PIECE);
        if (piece.n == 0)
            break;
        call->sent += piece.n;
        http_reply_body(call->http, piece);
    }
    call->pumping = false;
    if (call->http == NULL) {
        api_free(&call->q);
    } else if (call->sent == out.n && !call->over) {
        call->over = true;
        http_reply_end(call->http, NULL, 0);
    }
}

static void on_answered(struct api_request *q)
{
    struct api_call *call = (struct api_call *)(void *)q;
    const char *type = q->type ? q->type : "application/json";
    struct slice again = problem_retry_after(q->status);
    struct http_header h[4] = { { SLICE("Content-Type"), slice_of(type) },
                                { SLICE("Cache-Control"), SLICE("no-store") },
                                { SLICE("Vary"), SLICE("Accept-Language") },
                                { SLICE("Retry-After"), again } };
    struct http_reply r = {
        .status = q->status, .headers = h, .n_headers = again.n > 0 ? 4 : 3, .length = (int64_t)q->out.n
    };

    q->control->api_answers[q->status / 100 % 6]++;
    ops_tell(q->control); /* whoever has the answer finds it told */
    call->running = false;
    if (call->http == NULL) {
        api_free(q);
        return;
    }
    r.close = q->control->draining || !call->whole || (call->conn && !call->conn->known);
    call->pumping = true;
    http_reply_head(call->http, &r);
    call->pumping = false;
    put_body(call);
}

static struct api_call *call_new(struct api_conn *conn, struct http_call *http)
{
    struct api_call *call = mem_zalloc(sizeof *call);
    struct api_request *q = &call->q;

    if (call == NULL)
        return NULL;
    call->http = http;
    call->conn = conn;
    conn->call = call;
    buf_init(&call->in, CONTROL_BODY_CAP);
    q->control = conn->control;
    arena_init(&q->arena, CONTROL_MEMORY);
    diags_init(&q->diags, &q->arena);
    buf_init(&q->out, CONTROL_ANSWER_CAP);
    json_init(&q->json, &q->out);
    q->answered = on_answered;
    q->actor.peer = keep_peer(&q->arena, conn->peer);
    q->actor.lang = (enum lang)conn->control->settings->language;
    memcpy(q->address, conn->address, sizeof q->address);
    http_call_set(http, call);
    return call;
}

/* ---- connections ---- */
static void on_close(void *conn_state)
{
    struct api_conn *conn = conn_state;

    *conn->pprev = conn->next;
    if (conn->next)
        conn->next->pprev = conn->pprev;
    conn->control->n_connections--;
    if (conn->known) {
        conn->control->n_known--;
        tally_leave(&conn->control->control_each, conn->slot);
    }
    mem_free(conn);
}

/* The longest idle one gives its place up: nobody waits for it. */
static bool make_room(struct control *c)
{
    struct api_conn *idle = NULL;

    for (struct api_conn *conn = c->connections; conn; conn = conn->next)
        if (conn->known && conn->call == NULL)
            idle = conn; /* the newest come first */
    if (idle)
        http_conn_abort(idle->http, REASON_OVERLOADED);
    return idle != NULL;
}

/* Its certificate holds. False: those who have one take all places. */
static bool admit(struct api_conn *conn)
{
    struct control *c = conn->control;

    if (!tally_enter(&c->control_each, slice_of(conn->peer->object), &conn->slot))
        return false;
    if (c->n_known >= c->settings->limits.control_connections && !make_room(c)) {
        tally_leave(&c->control_each, conn->slot);
        return false;
    }
    conn->known = true;
    c->n_known++;
    http_conn_admit(conn->http);
    return true;
}

bool api_admit(struct api_request *q)
{
    struct api_conn *conn = ((struct api_call *)(void *)q)->conn;

    return conn == NULL || conn->known || admit(conn);
}

static void *on_open(void *arg, struct http_conn *http)
{
    struct control *c = arg;
    struct api_conn *conn = mem_zalloc(sizeof *conn);

    if (conn == NULL)
        return NULL;
    conn->control = c;
    conn->http = http;
    conn->peer = trust_peer(http_conn_peer(http));
    http_conn_address(http, conn->address, sizeof conn->address);
    conn->next = c->connections;
    conn->pprev = &c->connections;
    if (conn->next)
        conn->next->pprev = &conn->next;
    c->connections = conn;
    c->n_connections++;
    if (conn->peer && conn->peer->verdict == REASON_GRANTED)
        (void)!admit(conn); /* else its first request is told why not */
    return conn;
}

void api_connections_drain(struct control *c)
{
    struct api_conn *next;

    for (struct api_conn *conn = c->connections; conn; conn = next) {
        next = conn->next;
        http_conn_drain(conn->http);
    }
}

void api_connections_abort(struct control *c)
{
    while (c->connections)
        http_conn_end(c->connections->http);
}

void api_connections_recheck(struct control *c)
{
    struct api_conn *next;
    int64_t now = control_now(c);

    for (struct api_conn *conn = c->connections; conn; conn = next) {
        next = conn->next;
        if (conn->peer && conn->peer->verdict == REASON_GRANTED &&
            certs_peer_recheck(c->trust.trust, conn->peer, now) == REASON_CERTIFICATE_REVOKED)
            http_conn_abort(conn->http, REASON_CERTIFICATE_REVOKED);
    }
}

/* ---- calls ---- */
static void refuse(struct api_call *call, enum reason r, const char *en, const char *zh)
{
    call->running = true;
    api_problem(&call->q, r, en, zh);
}

static void split_path(struct api_request *q, struct slice path)
{
    size_t room = sizeof q->path / sizeof q->path[0];

    slice_cut(&path, '/');
    if (!slice_starts(path, SLICE("log/")) && !slice_is(slice_cut(&path, '/'), "v1"))
        return;
    while (path.n > 0 && q->n_path < room) {
        struct slice part = slice_cut(&path, '/');
        if (percent_read(part, false, &q->arena, &q->path[q->n_path]) != ERR_OK)
            q->path[q->n_path] = (struct slice){ 0 };
        q->n_path++;
    }
    if (path.n > 0)
        q->n_path = 0; /* longer than any route */
}

/* Room for n bytes more. */
static bool body_room(struct api_call *call, size_t n)
{
    struct control *c = call->q.control;
    size_t small = call->counted < BODY_FREE ? BODY_FREE - call->counted : 0;

    if (c->body_bytes + n > c->settings->limits.control_bodies ||
        (n > small && !pressure_take(&c->pressure, n - small)))
        return false;
    c->body_bytes += n;
    call->counted += n;
    call->promised += n;
    pressure_promise(&c->pressure, (int64_t)n);
    return true;
}

static void on_head(void *conn_state, struct http_call *http, const struct http_head *h)
{
    struct api_call *call = call_new(conn_state, http);

    if (call == NULL) {
        http_reply_abort(http);
        return;
    }
    call->q.actor.lang = lang_of_accept(http_get(h, "Accept-Language", NULL), call->q.actor.lang);
    call->q.method = arena_dup(&call->q.arena, h->method);
    call->q.query = arena_dup(&call->q.arena, h->query);
    split_path(&call->q, h->path);
    if (!h->chunked && h->length == 0)
        return; /* it is over in this very turn, and judged then */
    call->running = true;
    if (!api_judge(&call->q))
        return;
    call->running = false;
    if (h->length > CONTROL_BODY_CAP)
        refuse(call, REASON_REQUEST_TOO_LARGE, "a body has at most 16 MiB", "正文至多 16 MiB");
    else if (h->has_length &&
             (!body_room(call, (size_t)h->length) || buf_reserve(&call->in, (size_t)h->length) == NULL))
        refuse(call, REASON_OVERLOADED, no_memory_en, no_memory_zh);
}

static void on_body(void *call_state, struct slice bytes)
{
    struct api_call *call = call_state;

    if (call->running || call->q.status != 0)
        return;
    if (bytes.n > call->promised && !body_room(call, bytes.n - call->promised)) {
        refuse(call, REASON_OVERLOADED, no_memory_en, no_memory_zh);
        return;
    }
    call->promised -= bytes.n;
    pressure_promise(&call->q.control->pressure, -(int64_t)bytes.n);
    buf_put(&call->in, bytes);
    if (call->in.failed == ERR_NOMEM)
        refuse(call, REASON_OVERLOADED, no_memory_en, no_memory_zh);
    else if (call->in.failed != ERR_OK)
        refuse(call, REASON_REQUEST_TOO_LARGE, "a body has at most 16 MiB", "正文至多 16 MiB");
}

static void on_end(void *call_state)
{
    struct api_call *call = call_state;

    call->whole = true;
    if (call->running || call->q.status != 0)
        return;
    call->running = true;
    call->q.body = buf_slice(&call->in);
    if (call->in.n > BODY_FREE && !pressure_take(&call->q.control->pressure, TREE_TIMES * call->in.n))
        refuse(call, REASON_OVERLOADED, no_memory_en, no_memory_zh);
    else
        api_run(&call->q);
}

static void on_room(void *call_state)
{
    struct api_call *call = call_state;

    if (call->q.status != 0 && !call->over && !call->pumping)
        put_body(call);
}

static void on_gone(void *call_state, enum reason why)
{
    struct api_call *call = call_state;

    (void)why;
    call->http = NULL;
    call->conn->call = NULL;
    call->conn = NULL;
    if (!call->running && !call->pumping)
        api_free(&call->q);
}

static void on_sent(void *call_state)
{
    api_free(&((struct api_call *)call_state)->q);
}

static void on_malformed(void *conn_state, struct http_call *http, enum reason why, const char *what, struct slice raw)
{
    struct api_call *call = call_new(conn_state, http);

    if (call == NULL) {
        http_reply_abort(http);
        return;
    }
    call->q.raw = arena_dup(&call->q.arena, raw);
    refuse(call, why, what, problem_malformed_zh(what));
}

const struct http_service api_service = { .open = on_open,
                                          .close = on_close,
                                          .head = on_head,
                                          .body = on_body,
                                          .end = on_end,
                                          .room = on_room,
                                          .gone = on_gone,
                                          .sent = on_sent,
                                          .malformed = on_malformed };

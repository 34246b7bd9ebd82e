/* One connection to a provider: a request, its answer, and again. States: CONNECTING -> IDLE -> WAITING (for a head) ->
 * BODY -> IDLE …
 * -> BROKEN (failed; the owner frees it) -> DEAD. Invariants: at most one answer is awaited; every request ends in
 * exactly one of end and fail; an answer cut by the peer is never taken for whole; of a body that streams no more is
 * held than PIECE_MOST and what was put before the owner heard that there is no room. */
#include "base/net/internal.h"

#include <stdio.h>

enum state { CONNECTING, IDLE, WAITING, BODY, BROKEN, DEAD };
enum {
    READ_MOST = 16 * 1024,
    READ_FIRST = 8 * 1024,
    READ_LEAST = 4 * 1024,
    READS_A_TURN = 4,
    KEPT_MOST = 16 * 1024, /* memory for requests, of a connection that waits for the next one */
    PIECE_MOST = 8 * 1024, /* of a request's body, gathered before it goes */
    CHUNK_HEAD = 8,        /* six hex digits and a line end: of what is gathered, before its length is known */
    CHUNK_MOST = 0xffffff
};

struct http_client {
    struct loop *loop;     /* bor */
    struct stream *stream; /* own */
    const struct http_client_events *events;
    void *user;
    struct buf in, out; /* own: a head not yet whole; a request not yet sent */
    size_t looked;      /* of `in`: no head ends before it */
    size_t sent;
    struct http_body body;
    struct alarm alarm;
    struct grave grave;
    int64_t patience; /* ms allowed until the head, and without progress after it */
    int64_t due;      /* when the head must be there */
    int64_t since;    /* of an answer's body, or of a request's that streams: when this period began, */
    uint64_t came;    /* in which so much came */
    uint32_t rate;
    uint8_t state;
    uint16_t most; /* to be read at once */
    bool head_method, reusable, asked, reading;
    bool reached; /* some of the request is in the kernel's hands */
    bool heard;   /* the provider has said something on this connection */
    /* a request whose body streams */
    bool streams, more;                                /* more: of its body, to be put */
    bool chunking, in_chunk, blocked, deaf, flush_set; /* deaf: writing has failed */
    bool waits;                                        /* for the provider: a period is under way */
    uint64_t left;                                     /* of the length that its head told */
    size_t chunk;                                      /* out: where the chunk under way begins, at its head */
    uint64_t handed, taken;                            /* to the kernel; by the provider's host, before this period */
    struct later flush;
};

static void client_bury(struct grave *g)
{
    struct http_client *c = (struct http_client *)((char *)g - offsetof(struct http_client, grave));

    if (c->out.p)
        mem_wipe(c->out.p, c->out.room); /* it held credentials */
    buf_done(&c->in);
    buf_done(&c->out);
    mem_free(c);
}

struct http_client *http_client_free(struct http_client *c)
{
    if (c == NULL || c->state == DEAD)
        return NULL;
    c->state = DEAD;
    alarm_clear(&c->alarm);
    c->stream = stream_close(c->stream);
    loop_bury(c->loop, &c->grave, client_bury);
    return NULL;
}

static void fail(struct http_client *c, enum reason why)
{
    bool waiting = c->asked;

    alarm_clear(&c->alarm);
    c->asked = c->more = false;
    c->state = BROKEN;
    stream_want_read(c->stream, false);
    if (waiting)
        c->events->fail(c->user, why, c->reached);
    else
        c->events->idle_closed(c->user);
}

/* Of a request whose body streams: the kernel takes megabytes at once, and sends them at the peer's pace. */
static uint64_t taken(const struct http_client *c)
{
    size_t unsent = stream_unsent(c->stream);

    return c->handed > unsent ? c->handed - unsent : 0;
}

/* A period in which the provider must take something, and go on at a rate over all of it. */
static void wait_on(struct http_client *c)
{
    c->waits = true;
    c->since = loop_now(c->loop);
    c->taken = taken(c);
    alarm_set(c->loop, &c->alarm, c->patience);
}

static bool enough(const struct http_client *c, uint64_t bytes)
{
    return bytes * 1000 >= (uint64_t)(loop_now(c->loop) - c->since) * c->rate;
}

/* A period is over. Who took the rest in it has all of the next to answer. */
static bool took_enough(const struct http_client *c)
{
    uint64_t now = taken(c);

    return now > c->taken && (enough(c, now - c->taken) || http_client_sent(c));
}

static void on_alarm(struct alarm *a)
{
    struct http_client *c = (struct http_client *)((char *)a - offsetof(struct http_client, alarm));

    if (c->streams && c->state == WAITING && took_enough(c)) {
        wait_on(c);
        return;
    }
    fail(c, c->state == CONNECTING ? REASON_PROVIDER_UNREACHABLE : REASON_PROVIDER_TIMEOUT);
}

static void answer_done(struct http_client *c)
{
    bool reusable = c->reusable && c->body.done && c->in.n == 0 && http_client_sent(c);

    alarm_rest(&c->alarm);
    c->state = IDLE;
    c->asked = c->more = false;
    if (c->out.room > KEPT_MOST) {
        mem_wipe(c->out.p, c->out.n);
        buf_done(&c->out);
    }
    buf_clear(&c->out);
    c->sent = 0;
    stream_want_read(c->stream, true);
    c->events->end(c->user, reusable);
}

/* It is read from now on: a period begins. */
static void watch_body(struct http_client *c)
{
    c->since = loop_now(c->loop);
    c->came = 0;
    alarm_set(c->loop, &c->alarm, c->patience);
}

/* n bytes more. A byte now and then keeps no alarm from ringing: it would hold the exchange for ever. */
static bool keeps_up(struct http_client *c, size_t n)
{
    bool kept;

    c->came += n;
    if (loop_now(c->loop) - c->since < c->patience) {
        alarm_set(c->loop, &c->alarm, c->patience);
        return true;
    }
    kept = enough(c, c->came);
    watch_body(c);
    return kept;
}

static void on_piece(void *arg, struct slice content)
{
    struct http_client *c = arg;

    if (c->state == BODY && content.n > 0)
        c->events->body(c->user, content);
}

static void take_body(struct http_client *c, struct slice in)
{
    size_t used = 0;

    if (http_body_feed(&c->body, in, on_piece, c, &used) != ERR_OK && c->state == BODY) {
        fail(c, REASON_PROVIDER_MALFORMED);
        return;
    }
    if (c->state != BODY)
        return;
    if (used < in.n)
        c->reusable = false; /* bytes that nobody asked for */
    if (c->body.done)
        answer_done(c);
    else if (c->reading && !keeps_up(c, in.n))
        fail(c, REASON_PROVIDER_TIMEOUT);
}

/* The head is known: show it, then what came behind it. */
static void begin_answer(struct http_client *c, const struct http_head *head)
{
    http_body_init(&c->body, head, false, c->head_method);
    c->reusable = head->keep_alive && !c->body.until_close;
    c->state = BODY;
    watch_body(c);
    c->events->head(c->user, head);
}

static void go_on(struct http_client *c, struct slice rest)
{
    if (c->state != BODY)
        return;
    if (c->body.done) {
        c->reusable = c->reusable && rest.n == 0;
        answer_done(c);
    } else if (rest.n > 0) {
        take_body(c, rest);
    }
}

/* The bytes gathered so far may hold a head. Interim answers (1xx) are passed over. */
static void take_head(struct http_client *c)
{
    struct http_head head;
    const char *why;
    size_t n;

    while (c->state == WAITING && (n = http_head_end(buf_slice(&c->in), &c->looked)) > 0) {
        struct slice rest = { c->in.p + n, c->in.n - n };
        c->looked = 0;
        if (http_head_parse((struct slice){ c->in.p, n }, false, &head, &why) != ERR_OK || head.status == 101) {
            fail(c, REASON_PROVIDER_MALFORMED);
            return;
        }
        if (head.status < 200) {
            buf_drop(&c->in, n);
            continue;
        }
        begin_answer(c, &head);
        if (c->state == BODY)
            buf_clear(&c->in); /* its memory is still read */
        go_on(c, rest);
        buf_done(&c->in);
        return;
    }
    if (c->state == WAITING && c->in.n >= HTTP_ANSWER_HEAD_MAX)
        fail(c, REASON_PROVIDER_MALFORMED);
}

/* A whole plain head is understood where it was read; any other is gathered first. */
static void take_input(struct http_client *c, struct slice in)
{
    struct http_head head;
    size_t n = c->in.n == 0 ? http_head_plain(in, false, &head) : 0;

    if (n > 0 && head.status >= 200) {
        begin_answer(c, &head);
        go_on(c, slice_sub(in, n, in.n));
        return;
    }
    buf_put(&c->in, in);
    if (c->in.failed != ERR_OK)
        fail(c, c->in.failed == ERR_NOMEM ? REASON_OVERLOADED : REASON_PROVIDER_MALFORMED);
    else
        take_head(c);
}

static void peer_closed(struct http_client *c, enum io io)
{
    if (!c->heard && stream_fault(c->stream) == STREAM_REJECTED) {
        c->reached = false; /* a server looks at no request before it has taken the certificate */
        fail(c, REASON_GATEWAY_UNTRUSTED);
        return;
    }
    if (c->state == BODY && c->body.until_close && io == IO_EOF) {
        c->body.done = true;
        c->reusable = false;
        answer_done(c);
    } else {
        fail(c, c->state == BODY || c->in.n > 0 ? REASON_PROVIDER_CUT : REASON_PROVIDER_UNREACHABLE);
    }
}

static void on_readable(void *user)
{
    struct http_client *c = user;
    char *scratch = loop_scratch(c->loop);

    for (unsigned i = 0; i < READS_A_TURN; i++) {
        size_t got = 0, most = c->most;
        enum io io = stream_read(c->stream, scratch, most, &got);
        if (io == IO_AGAIN)
            return;
        if (io != IO_DONE || c->state == IDLE) {
            peer_closed(c, io); /* bytes nobody asked for make the connection useless too */
            return;
        }
        c->heard = true;
        if (c->state == BODY)
            take_body(c, (struct slice){ scratch, got });
        else
            take_input(c, (struct slice){ scratch, got });
        if ((c->state != BODY && c->state != WAITING) || !c->reading || !c->asked)
            return;
        if (got < most && !stream_pending(c->stream))
            return;
    }
    stream_want_read(c->stream, true);
}

static void push(struct http_client *c)
{
    while (c->sent < c->out.n) {
        size_t put = 0;
        enum io io = stream_write(c->stream, c->out.p + c->sent, c->out.n - c->sent, &put);
        c->sent += put;
        c->handed += put;
        c->reached = c->reached || put > 0;
        c->blocked = io == IO_AGAIN;
        if (io == IO_AGAIN)
            return;
        if (io != IO_DONE) {
            /* The answer may be there already (a refusal while we send): let reading find it or the end. */
            c->sent = c->out.n;
            c->deaf = true;
            return;
        }
    }
}

/* ---- a body that streams ---- */

/* Of a request that is being sent: the provider is waited for while it has something to take, or to say; else the owner
 * is, who has deadlines of its own. */
static void watch(struct http_client *c)
{
    if (c->state != WAITING)
        return;
    if (c->more && !c->deaf && c->sent == c->out.n) {
        alarm_clear(&c->alarm);
        c->waits = false;
    } else if (!c->waits) {
        wait_on(c);
    }
}

static void chunk_end(struct http_client *c)
{
    char head[CHUNK_HEAD + 1];

    if (!c->in_chunk)
        return;
    snprintf(head, sizeof head, "%06x\r\n", (unsigned)(c->out.n - c->chunk - CHUNK_HEAD) & CHUNK_MOST);
    memcpy(c->out.p + c->chunk, head, CHUNK_HEAD);
    buf_put(&c->out, SLICE("\r\n"));
    c->in_chunk = false;
}

/* Out with what is gathered. Memory for it only while some of it has not left; its head holds credentials. */
static void pump(struct http_client *c)
{
    chunk_end(c);
    if (c->state == WAITING && !c->deaf && c->out.failed == ERR_OK)
        push(c);
    if (c->state == WAITING && c->sent == c->out.n && c->out.p != NULL) {
        mem_wipe(c->out.p, c->out.n);
        buf_done(&c->out);
        c->sent = 0;
    }
    watch(c);
}

static void on_turn_end(struct later *node)
{
    struct http_client *c = (struct http_client *)((char *)node - offsetof(struct http_client, flush));

    c->flush_set = false;
    if (c->state == WAITING && c->asked)
        pump(c);
}

/* Small pieces go together, at the end of the turn: each would be a packet, and a record of TLS. */
static void pump_later(struct http_client *c)
{
    if (c->flush_set)
        return;
    c->flush_set = true;
    loop_later(c->loop, &c->flush, on_turn_end);
}

static void tell_room(struct http_client *c)
{
    if (http_client_room(c) && c->events->room)
        c->events->room(c->user);
}

bool http_client_room(const struct http_client *c)
{
    return c->more && c->state == WAITING && !c->blocked && !c->deaf;
}

bool http_client_sent(const struct http_client *c)
{
    return c->sent == c->out.n && !c->deaf && (!c->more || (!c->chunking && c->left == 0)) &&
           (!c->streams || stream_unsent(c->stream) == 0);
}

bool http_client_quiet(struct http_client *c)
{
    return c->state == IDLE && stream_silent(c->stream);
}

enum err http_client_put(struct http_client *c, struct slice bytes)
{
    if (!c->more || bytes.n > CHUNK_MOST / 2 || (!c->chunking && bytes.n > c->left))
        return ERR_BUSY;
    if (c->state == BODY)
        return ERR_AGAIN; /* answered already: nobody listens any more */
    if (c->chunking && !c->in_chunk) {
        buf_reserve(&c->out, bytes.n + CHUNK_HEAD + 2);
        c->in_chunk = true;
        c->chunk = c->out.n;
        buf_put(&c->out, SLICE("????????")); /* until its length is known */
    }
    buf_put(&c->out, bytes);
    c->left -= c->chunking ? 0 : bytes.n;
    if (c->out.failed != ERR_OK)
        return c->out.failed;
    if (!c->blocked && c->out.n - c->sent >= PIECE_MOST)
        pump(c);
    else if (!c->blocked)
        pump_later(c);
    return http_client_room(c) ? ERR_OK : ERR_AGAIN;
}

enum err http_client_put_end(struct http_client *c)
{
    if (!c->more)
        return ERR_OK;
    if (c->left > 0)
        return ERR_BUSY;
    c->more = false;
    if (c->state == BODY)
        return ERR_OK;
    chunk_end(c);
    if (c->chunking)
        buf_put(&c->out, SLICE("0\r\n\r\n"));
    if (!c->blocked)
        pump(c);
    return c->out.failed;
}

static void on_writable(void *user)
{
    struct http_client *c = user;

    if (!c->asked)
        return;
    c->blocked = false;
    if (!c->streams) {
        push(c);
        return;
    }
    pump(c);
    tell_room(c);
}

static void on_open(void *user)
{
    struct http_client *c = user;

    c->state = c->asked ? WAITING : IDLE;
    alarm_clear(&c->alarm);
    if (c->events->opened)
        c->events->opened(c->user);
    if (c->asked && c->state == WAITING) {
        alarm_set(c->loop, &c->alarm, c->due - loop_now(c->loop));
        if (!c->streams)
            push(c);
        else
            pump(c);
        tell_room(c);
    }
}

static void on_broken(void *user, enum stream_fault f)
{
    fail(user, f == STREAM_UNTRUSTED  ? REASON_PROVIDER_UNTRUSTED
               : f == STREAM_REJECTED ? REASON_GATEWAY_UNTRUSTED
                                      : REASON_PROVIDER_UNREACHABLE);
}

static const struct stream_events events = { on_open, on_readable, on_writable, on_broken };

struct http_client *http_client_new(struct loop *l, const struct sockaddr_storage *to, struct tls_context *tls,
                                    struct slice name, const struct http_client_events *e, void *user,
                                    int64_t connect_ms)
{
    struct http_client *c = mem_zalloc(sizeof *c);

    if (c == NULL || (c->stream = stream_connect(l, to, tls, name, &events, c)) == NULL)
        return mem_free(c);
    c->loop = l;
    c->events = e;
    c->user = user;
    c->reading = true;
    c->state = CONNECTING;
    buf_init(&c->in, HTTP_ANSWER_HEAD_MAX + READ_MOST);
    buf_init(&c->out, (size_t)16 << 20);
    alarm_init(&c->alarm, on_alarm);
    alarm_set(l, &c->alarm, connect_ms);
    return c;
}

void http_client_user(struct http_client *c, void *user)
{
    c->user = user;
}

static enum err ask(struct http_client *c, struct slice text, bool head_method, int64_t ms)
{
    if (c->asked || (c->state != IDLE && c->state != CONNECTING))
        return ERR_BUSY;
    buf_clear(&c->out);
    buf_clear(&c->in);
    buf_put(&c->out, text);
    if (c->out.failed != ERR_OK)
        return c->out.failed;
    c->sent = c->looked = 0;
    c->handed = 0;
    c->reached = c->blocked = c->deaf = c->in_chunk = c->waits = false;
    c->asked = c->reading = true;
    c->most = READ_FIRST;
    c->head_method = head_method;
    c->patience = ms;
    c->due = loop_now(c->loop) + ms;
    if (c->state == IDLE) {
        c->state = WAITING;
        alarm_set(c->loop, &c->alarm, ms);
        push(c);
    }
    return ERR_OK;
}

enum err http_client_send(struct http_client *c, struct slice text, bool head_method, int64_t ms)
{
    enum err e = ask(c, text, head_method, ms);

    if (e == ERR_OK)
        c->streams = c->more = false;
    return e;
}

void http_client_pauses(struct http_client *c, int64_t ms)
{
    c->patience = ms;
}

enum err http_client_begin(struct http_client *c, struct slice head, uint64_t length, int64_t ms)
{
    enum err e = ask(c, head, false, ms);

    if (e != ERR_OK)
        return e;
    c->streams = c->more = true;
    c->chunking = length == 0;
    c->left = length;
    if (c->state == WAITING)
        watch(c);
    return ERR_OK;
}

void http_client_read(struct http_client *c, bool on)
{
    if (!c->asked || c->reading == on)
        return;
    c->reading = on;
    stream_want_read(c->stream, on);
    if (c->state != BODY)
        return;
    if (on)
        watch_body(c);
    else
        alarm_clear(&c->alarm); /* it is us who wait: the consumer's deadline runs */
}

void http_client_most(struct http_client *c, size_t n)
{
    c->most = (uint16_t)(n < READ_LEAST ? READ_LEAST : n < READ_MOST ? n : READ_MOST);
}

void http_client_least(struct http_client *c, uint32_t rate)
{
    c->rate = rate;
}

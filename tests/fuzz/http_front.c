/* The service of the whole-connection fuzzers: the last byte of a path says how it answers. */
#include "http_front.h"

#include "base/net/http_held.h"

#include <sys/socket.h>
#include <unistd.h>

enum { FRONT_BIG = 40000 };

static void front_give(struct front_one *o)
{
    static const char block[3000];
    static const struct http_header trailer = { { "Sluice-Receipt", 14 }, { "r", 1 } };

    while (o->open && o->given < FRONT_BIG) {
        size_t room = http_reply_room(o->call), n = FRONT_BIG - o->given;
        if (room == 0)
            return;
        n = n < sizeof block ? n : sizeof block;
        n = n < room ? n : room;
        o->given += n;
        http_reply_body(o->call, (struct slice){ block, n });
    }
    if (o->open && !o->answered)
        http_reply_end(o->call, &trailer, 1);
    o->answered = true;
}

static void front_answer(struct front_one *o)
{
    struct http_reply r = { .status = 200, .length = o->kind % 8 == 1 ? -1 : 5, .close = o->kind % 8 == 6 };

    if (!o->open || o->answered)
        return;
    if (o->kind % 8 == 2) { /* cut at once */
        o->open = false;
        http_reply_abort(o->call);
        return;
    }
    http_reply_head(o->call, &r);
    if (o->kind % 8 == 1) {
        front_give(o);
        return;
    }
    http_reply_body(o->call, SLICE("hello"));
    if (o->kind % 8 == 3) { /* cut after the head */
        o->open = false;
        http_reply_abort(o->call);
        return;
    }
    o->answered = true;
    http_reply_end(o->call, NULL, 0);
}

static void *front_open(void *arg, struct http_conn *c)
{
    struct front *f = arg;

    f->conn = c;
    f->opened++;
    return f;
}

static void front_close(void *state)
{
    struct front *f = state;

    f->conn = NULL;
    f->closed++;
    for (size_t i = 0; i < f->n; i++)
        must(!f->one[i].open);
}

static struct front_one *front_new(struct front *f, struct http_call *call)
{
    struct front_one *o;

    if (f->n == FRONT_CALLS)
        return NULL;
    o = &f->one[f->n++];
    *o = (struct front_one){ .call = call, .open = true };
    http_call_set(call, o);
    return o;
}

static void front_head(void *state, struct http_call *call, const struct http_head *h)
{
    struct front_one *o = front_new(state, call);
    size_t hosts;

    must(h->path.n > 0 && h->path.p[0] == '/' && h->method.n > 0);
    must(!(h->has_length && h->chunked) && h->n <= HTTP_HEADERS_MAX);
    http_get(h, "Host", &hosts);
    must(hosts == 1 || (hosts == 0 && h->minor == 0));
    if (o == NULL) {
        http_reply_abort(call);
        return;
    }
    o->kind = (uint8_t)h->path.p[h->path.n - 1];
    if (o->kind % 8 == 4)
        front_answer(o); /* before the body */
    if (o->kind % 8 == 5)
        http_call_read(call, false);
}

/* Kind 13 takes what it is given and wants more only when it is asked again, like who hands it on. */
static bool front_dawdles(const struct front_one *o)
{
    return o->kind % 16 == 13;
}

static void front_body(void *state, struct slice bytes)
{
    struct front_one *o = state;

    must(o->open && !o->ended && bytes.n > 0);
    if (front_dawdles(o))
        http_call_read(o->call, false);
}

static void front_end(void *state)
{
    struct front_one *o = state;

    must(o->open && !o->ended);
    o->ended = true;
    if (o->kind % 8 != 7) /* else nobody answers until the end */
        front_answer(o);
}

static void front_room(void *state)
{
    struct front_one *o = state;

    must(o->open && !o->answered);
    front_give(o);
}

static void front_gone(void *state, enum reason why)
{
    struct front_one *o = state;

    must(o->open && why != REASON_INTERNAL);
    o->open = false;
}

static void front_sent(void *state)
{
    struct front_one *o = state;

    must(o->open && o->answered);
    o->open = false;
}

static void front_malformed(void *state, struct http_call *call, enum reason why, const char *what, struct slice raw)
{
    struct front_one *o = front_new(state, call);

    must(why != REASON_INTERNAL && what != NULL && raw.n <= HTTP_HEAD_MAX);
    if (o == NULL)
        http_reply_abort(call);
    else
        front_answer(o);
}

static void front_stop(void *arg)
{
    loop_stop(arg);
}

static void front_turns(struct front *f, unsigned n)
{
    while (n-- > 0) {
        struct loop_msg m = { .fn = front_stop, .arg = f->loop };
        loop_post(f->loop, &m);
        loop_run(f->loop);
    }
}

static void front_wake(struct front *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->one[i].open && front_dawdles(&f->one[i]))
            http_call_read(f->one[i].call, true);
}

/* Steps of memory for what is held beside calls: plenty, or for every fifth length of input hardly any. */
static bool front_hold(void *arg, size_t n, bool comes)
{
    struct front *f = arg;

    (void)n;
    if (comes)
        return true;
    if (f->steps == 0)
        return false;
    f->steps--;
    return true;
}

static void front_hear(struct front *f, int fd)
{
    ssize_t n;

    while (f->output < FRONT_OUTPUT && (n = recv(fd, f->last + f->output, FRONT_OUTPUT - f->output, MSG_DONTWAIT)) > 0)
        f->output += (size_t)n;
}

void front_run(struct front *f, struct slice data, size_t step, bool http2)
{
    static const struct http_service service = { front_open, front_close, front_head, front_body,      front_end,
                                                 front_room, front_gone,  front_sent, front_malformed, front_hold };
    struct http_limits limits = { .http2 = http2, .requests = 100 };
    bool calm = data.n % 7 == 3;
    int fd[2];

    f->steps = data.n % 5 == 2 ? 2 : 1000;
    f->loop = f->loop ? f->loop : loop_new();
    f->conn = NULL;
    f->n = f->opened = f->closed = f->output = 0;
    must(f->loop != NULL);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
    must(http_serve(f->loop, fd[1], NULL, &limits, &service, f) == ERR_OK);
    front_turns(f, 2);
    while (data.n > 0) {
        struct slice now = slice_sub(data, 0, step);
        ssize_t n = send(fd[0], now.p, now.n, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* it listens no more */
        data = slice_sub(data, (size_t)n, data.n);
        front_turns(f, 1);
        front_wake(f);
        front_hear(f, fd[0]);
    }
    for (size_t i = 0; i < f->n; i++)
        if (f->one[i].open && f->one[i].kind % 8 == 5)
            http_call_read(f->one[i].call, true);
    for (size_t heard = f->output + 1; heard != f->output;) {
        heard = f->output;
        front_wake(f);
        front_turns(f, 2);
        front_hear(f, fd[0]);
    }
    if (f->conn && calm)
        http_conn_calm(f->conn);
    else if (f->conn)
        http_conn_drain(f->conn);
    front_turns(f, 2);
    front_hear(f, fd[0]);
    close(fd[0]);
    front_turns(f, 3);
    if (f->conn) /* it waits for an owner that never answers */
        http_conn_abort(f->conn, REASON_CERTIFICATE_REVOKED);
    front_turns(f, 1);
    must(f->opened == f->closed);
}

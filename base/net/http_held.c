/* What connections hold beside their calls, told to the service in steps: calls take their room by themselves, but a
 * connection can hold much before it has any, or without (half a head, half a TLS record, what nghttp2 keeps of a
 * peer's header tables and of streams that were turned away), and there may be thousands.
 *
 * Invariant: what a connection holds is at most what it has room for, or it ends in this turn. A step that was given
 * back is asked for again, but for those of a moment ago: a connection that breathes would ask at each breath. */
#include "base/net/http_held.h"
#include "base/net/h2.h"

enum {
    FIRST = 64 * 1024, /* a handshake with the largest hello that OpenSSL takes; what follows is less at first */
    FIRST_PLAIN = 4 * 1024,
    STEP = 16 * 1024,
    RECORD = 17 * 1024,          /* OpenSSL's buffer, which it keeps while half a record is in it */
    RESTS = 16 * 1024,           /* a connection that is open, TLS and the service's state with it */
    RESTS_HTTP2 = RESTS + 16384, /* and with a session of nghttp2's */
    MOMENT_MS = ALARM_SLOT_MS    /* who gives the room may look at what is held as often, and forget what was given */
};

const char conn_no_room[] = "the gateway's memory is short";

static bool hold(const struct http_service *s, void *arg, size_t n, bool comes)
{
    return s->hold == NULL || s->hold(arg, n, comes);
}

bool conn_hold_first(const struct http_service *s, void *arg, bool tls)
{
    return hold(s, arg, tls ? FIRST : FIRST_PLAIN, true);
}

bool conn_hold(struct http_conn *c, size_t now)
{
    while (c->held < now) {
        if (!hold(c->service, c->service_arg, STEP, false))
            return false;
        c->held += STEP;
        c->held_at = loop_now(c->loop);
    }
    return true;
}

size_t conn_record(const struct http_conn *c)
{
    return stream_pending(c->stream) ? RECORD : 0;
}

/* Beyond what any connection does. */
static size_t holds(const struct http_conn *c)
{
    return (c->h2 != NULL ? h2_holds(c->h2) : c->in.room) + conn_record(c);
}

void conn_hold_anew(struct http_conn *c)
{
    size_t now;

    if (loop_now(c->loop) - c->held_at < MOMENT_MS)
        return;
    now = holds(c);
    if (now < c->held)
        c->held = (uint32_t)now;
}

size_t http_conn_held(const struct http_conn *c)
{
    return (c->h2 != NULL ? RESTS_HTTP2 : RESTS) + holds(c);
}

void http_conn_calm(struct http_conn *c)
{
    c->calmed = true;
    c->protocol->calm(c);
}

/* Trace context (W3C Trace Context level 1): a consumer's trace goes on to the provider with this gateway's own parent
 * id; where none or an ill-formed one came, a trace begins here, with the exchange's id as its trace id, so that a
 * provider's traces lead to the record. So it does where the trace id that came has an identity number among its
 * digits: trace ids stand in everyone's logs. tracestate is not passed on: what it holds is for the consumer's own
 * tools, and free text does not cross from one department to another. */
#include "gateway/exchange.h"

enum { VERSION_AT = 0, TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, LENGTH = 55 };

/* Lower-case hex only (3.2.2), and not all zeros where that means none. */
static bool field(struct slice v, size_t at, size_t n, bool zeros_too)
{
    bool zeros = true;

    for (size_t i = at; i < at + n; i++) {
        if (!(v.p[i] >= '0' && v.p[i] <= '9') && !(v.p[i] >= 'a' && v.p[i] <= 'f'))
            return false;
        zeros = zeros && v.p[i] == '0';
    }
    return zeros_too || !zeros;
}

/* A version later than ours may say more behind its flags; what comes first means the same (4.3). */
static bool traceparent_valid(struct slice v)
{
    if (v.n < LENGTH || v.p[TRACE_AT - 1] != '-' || v.p[PARENT_AT - 1] != '-' || v.p[FLAGS_AT - 1] != '-')
        return false;
    if (!field(v, VERSION_AT, 2, true) || slice_starts(v, SLICE("ff")))
        return false;
    if (v.n > LENGTH && (slice_starts(v, SLICE("00")) || v.p[LENGTH] != '-'))
        return false;
    return field(v, TRACE_AT, 32, false) && field(v, PARENT_AT, 16, false) && field(v, FLAGS_AT, 2, true);
}

void trace_read(struct exchange *x, const struct http_head *h)
{
    size_t count = 0;
    struct slice v = http_get(h, "traceparent", &count);
    uint8_t flags;

    if (count != 1 || !traceparent_valid(v) || digits_hold_id_card(slice_sub(v, TRACE_AT, 32)))
        return;
    x->ask.trace = arena_dup(&x->arena, slice_sub(v, TRACE_AT, 32));
    x->ask.sampled = hex_read(slice_sub(v, FLAGS_AT, 2), &flags, 1) && (flags & 1);
}

static char *put(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

struct slice trace_parent(const struct exchange *x, char out[TRACE_TEXT])
{
    static const size_t group[] = { 8, 4, 4, 4, 12 };
    char id[32], *to = id, *at = put(out, "00-", 3);
    const char *from = x->id_text;

    for (size_t i = 0; i < 5; from += group[i++] + 1)
        to = put(to, from, group[i]);
    at = x->ask.trace.n ? put(at, x->ask.trace.p, 32) : put(at, id, 32);
    at = put(at, "-", 1);
    at = put(at, id + 16, 16); /* the variant's bits are there: never zero */
    at = put(at, x->ask.sampled ? "-01" : "-00", 3);
    return (struct slice){ out, (size_t)(at - out) };
}

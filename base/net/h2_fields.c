/* A header block becomes the head that HTTP/1 would have shown, behind the same guards. nghttp2 has already refused
 * upper case, repeated, missing and misplaced pseudo-headers, connection-specific fields, repeated Content-Length,
 * control characters (RFC 9113 sections 8.2 and 8.3). Invariant: text holds at most `bytes`. */
#include "base/net/h2.h"
#include "base/net/internal.h"

enum { FIELD_OVERHEAD = 32 };

void h2_fields_begin(struct h2_fields *f, const struct http_limits *l)
{
    buf_done(&f->text);
    memset(f, 0, offsetof(struct h2_fields, at));
    f->bytes = l->head_bytes;
    f->most = l->head_fields;
    buf_init(&f->text, f->bytes);
}

bool h2_fields_too_large(const struct h2_fields *f)
{
    return f->size > f->bytes || f->n + f->has_authority > f->most || f->text.failed == ERR_TOO_LARGE;
}

static struct h2_field *place_of(struct h2_fields *f, struct slice name)
{
    if (slice_is(name, ":method"))
        return &f->method;
    if (slice_is(name, ":scheme"))
        return &f->scheme;
    if (slice_is(name, ":path"))
        return &f->path;
    if (slice_is(name, ":authority")) {
        f->has_authority = true;
        return &f->authority;
    }
    return &f->at[f->n++];
}

bool h2_fields_add(struct h2_fields *f, struct slice name, struct slice value)
{
    struct h2_field *to;

    f->size += name.n + value.n + FIELD_OVERHEAD;
    if (h2_fields_too_large(f))
        return f->size <= (size_t)f->bytes * H2_FIELDS_EXCESS;
    to = place_of(f, name);
    *to = (struct h2_field){ .name = (uint16_t)f->text.n, .n_name = (uint16_t)name.n };
    buf_put(&f->text, name);
    to->value = (uint16_t)f->text.n;
    to->n_value = (uint16_t)value.n;
    buf_put(&f->text, value);
    return true;
}

static struct slice value_of(const struct h2_fields *f, struct h2_field at)
{
    return (struct slice){ f->text.p + at.value, at.n_value };
}

/* RFC 9113 section 8.3.1: Host may stand beside :authority when it says the same. */
static const char *check_authority(const struct h2_fields *f, const struct http_head *h)
{
    size_t n;
    struct slice host = http_get(h, "Host", &n);

    if (f->has_authority && n > 0 && (n > 1 || !slice_eq_nocase(host, value_of(f, f->authority))))
        return "a Host that is not the authority";
    return NULL;
}

const char *h2_fields_head(const struct h2_fields *f, bool ends, struct http_head *ret)
{
    const char *why;

    memset(ret, 0, offsetof(struct http_head, at));
    ret->n = 0;
    ret->length = 0;
    ret->expect_continue = false;
    ret->minor = 1;
    ret->keep_alive = true;
    ret->method = value_of(f, f->method);
    ret->target = value_of(f, f->path);
    for (size_t i = 0; i < f->n; i++)
        ret->at[ret->n++] =
            (struct http_header){ { f->text.p + f->at[i].name, f->at[i].n_name }, value_of(f, f->at[i]) };
    if ((why = check_authority(f, ret)) != NULL)
        return why;
    if (f->has_authority && http_get(ret, "Host", NULL).p == NULL)
        ret->at[ret->n++] = (struct http_header){ SLICE("host"), value_of(f, f->authority) };
    if (!slice_eq_nocase(value_of(f, f->scheme), SLICE("https")))
        return "a scheme other than https";
    if ((why = http_head_check(ret)) != NULL)
        return why;
    /* Without a length the body ends with its stream, as chunks end with theirs. */
    ret->chunked = !ends && !ret->has_length;
    if (ends && ret->length > 0)
        return "a Content-Length without a body";
    return NULL;
}

/* certs/name: the SPIFFE names of applications, people and gateways.
 * Invariant: what certs_name_put writes from valid parts, certs_name_read reads back, and it reads nothing else: no
 * empty segment, no upper case, no escape, no port, no query. */
#include "certs/internal.h"

enum { DOMAIN_MAX = 64, SEGMENTS = 5 };

static const struct slice scheme = { "spiffe://", 9 };
static const char *const kind_words[] = { [CERTS_APP] = "app", [CERTS_PERSON] = "person" };

static bool domain_edge(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool certs_domain_valid(struct slice s)
{
    if (s.n == 0 || s.n > DOMAIN_MAX || !domain_edge(s.p[0]) || !domain_edge(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!domain_edge(c) && c != '.' && c != '-' && c != '_')
            return false;
        if (c == '.' && s.p[i - 1] == '.')
            return false;
    }
    return true;
}

/* Segments between slashes, empty ones too; 0 when there are more than SEGMENTS. */
static size_t segments_cut(struct slice s, struct slice out[SEGMENTS])
{
    for (size_t n = 0; n < SEGMENTS; n++) {
        size_t at = slice_find(s, '/');

        out[n] = slice_sub(s, 0, at);
        if (at == s.n)
            return n + 1;
        s = slice_sub(s, at + 1, s.n);
    }
    return 0;
}

bool certs_name_read(struct slice uri, struct certs_name *ret)
{
    struct slice part[SEGMENTS];
    size_t n;

    if (uri.n > CERTS_URI_MAX || !slice_starts(uri, scheme))
        return false;
    n = segments_cut(slice_sub(uri, scheme.n, uri.n), part);
    if (n == 0 || !certs_domain_valid(part[0]))
        return false;
    if (n == 3 && slice_is(part[1], "gateway") && ident_valid(part[2])) {
        *ret = (struct certs_name){ .kind = CERTS_GATEWAY, .domain = part[0], .id = part[2] };
        return true;
    }
    if (n != 5 || !slice_is(part[1], "dept") || !ident_valid(part[2]) || !ident_valid(part[4]))
        return false;
    for (enum certs_kind k = CERTS_APP; k <= CERTS_PERSON; k++) {
        if (!slice_is(part[3], kind_words[k]))
            continue;
        *ret = (struct certs_name){ .kind = k, .domain = part[0], .department = part[2], .id = part[4] };
        return true;
    }
    return false;
}

void certs_name_put(struct buf *out, enum certs_kind kind, struct slice domain, struct slice department,
                    struct slice id)
{
    buf_put(out, scheme);
    buf_put(out, domain);
    if (kind == CERTS_APP || kind == CERTS_PERSON) {
        buf_puts(out, "/dept/");
        buf_put(out, department);
        buf_putc(out, '/');
        buf_puts(out, kind_words[kind]);
        buf_putc(out, '/');
        buf_put(out, id);
    } else if (kind == CERTS_GATEWAY) {
        buf_puts(out, "/gateway/");
        buf_put(out, id);
    }
}

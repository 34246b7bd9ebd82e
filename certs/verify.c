/* certs/verify: from a presented chain to a peer with a verdict.
 * Invariants: names are set only together with REASON_GRANTED, after every check held; what OpenSSL says and is not in
 * the table is a refusal; the caller's errors in OpenSSL's queue stay, ours do not. */
#include <openssl/err.h>
#include <stdio.h>
#include "certs/internal.h"

/* Verdicts of OpenSSL that are not CERTIFICATE_INVALID. */
static const struct {
    int code;
    enum reason reason;
} codes[] = {
    { X509_V_OK, REASON_INTERNAL }, /* it failed without saying why */
    { X509_V_ERR_OUT_OF_MEM, REASON_INTERNAL },
    { X509_V_ERR_CERT_HAS_EXPIRED, REASON_CERTIFICATE_EXPIRED },
    { X509_V_ERR_CERT_NOT_YET_VALID, REASON_CERTIFICATE_EXPIRED },
    { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, REASON_CERTIFICATE_UNKNOWN },
    { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, REASON_CERTIFICATE_UNKNOWN },
    { X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, REASON_CERTIFICATE_UNKNOWN },
    { X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, REASON_CERTIFICATE_UNKNOWN },
    { X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, REASON_CERTIFICATE_UNKNOWN },
    { X509_V_ERR_CERT_SIGNATURE_FAILURE, REASON_CERTIFICATE_UNKNOWN },
    { X509_V_ERR_CERT_UNTRUSTED, REASON_CERTIFICATE_UNKNOWN },
    { X509_V_ERR_CERT_REJECTED, REASON_CERTIFICATE_UNKNOWN },
};

static enum reason reason_of(int code)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == code)
            return codes[i].reason;
    return REASON_CERTIFICATE_INVALID;
}

/* Beyond what OpenSSL checks: keys, signatures and serials of the whole path; the leaf is no CA and says clientAuth. */
static enum reason path_check(STACK_OF(X509) * path)
{
    X509 *leaf = sk_X509_value(path, 0);
    int n = sk_X509_num(path);
    struct certs_serial serial;

    if (X509_check_ca(leaf) != 0 || !(X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE))
        return REASON_CERTIFICATE_INVALID;
    for (int i = 0; i < n; i++) {
        X509 *x = sk_X509_value(path, i);

        if (!certs_key_ok(X509_get0_pubkey(x)) || !certs_serial_read(X509_get0_serialNumber(x), &serial))
            return REASON_CERTIFICATE_INVALID;
        if (i < n - 1 && !certs_signature_ok(x)) /* the anchor's own is of no use to anybody */
            return REASON_CERTIFICATE_INVALID;
    }
    return REASON_GRANTED;
}

/* Digests of what stands above the leaf; known authorities have theirs ready. */
static enum reason path_name(const struct certs_trust *t, STACK_OF(X509) * path, struct certs_peer *p)
{
    int n = sk_X509_num(path);

    if (n < 2 || n - 1 > CERTS_DEPTH_MAX)
        return REASON_CERTIFICATE_INVALID;
    for (int i = 1; i < n; i++) {
        const X509 *x = sk_X509_value(path, i);
        const struct certs_authority *a = t->authorities;

        while (a && X509_cmp(a->cert, x) != 0)
            a = a->next;
        if (a)
            p->path[i - 1] = a->digest;
        else if (!certs_digest(x, &p->path[i - 1]))
            return REASON_INTERNAL;
    }
    p->path_n = (unsigned)n - 1;
    return REASON_GRANTED;
}

/* The name in the leaf, or of its enrolment. */
static enum reason uri_take(X509 *leaf, const struct certs_enrolled *as, int64_t now, struct certs_peer *p)
{
    if (as == NULL)
        return certs_uri_read(leaf, p->uri) ? REASON_GRANTED : REASON_CERTIFICATE_INVALID;
    if (as->revoked)
        return REASON_CERTIFICATE_REVOKED;
    if (now > as->until)
        return REASON_CERTIFICATE_EXPIRED;
    if (as->uri.n > CERTS_URI_MAX)
        return REASON_CERTIFICATE_INVALID;
    memcpy(p->uri, as->uri.p, as->uri.n);
    p->uri[as->uri.n] = '\0';
    p->enrolled = true;
    return REASON_GRANTED;
}

/* Whose it is, as far as the anchor vouches for the name. */
static enum reason name_take(const struct certs_trust *t, X509 *leaf, const struct certs_enrolled *as, int64_t now,
                             struct certs_peer *p, bool *no_crl)
{
    const struct sha256 *root = &p->path[p->path_n - 1];
    bool outside = as == NULL && certs_root_enrols(t, root);
    const struct certs_vouch *v;
    struct certs_name name;
    enum reason r = uri_take(leaf, as, now, p);

    if (r == REASON_GRANTED && !certs_name_read(slice_of(p->uri), &name))
        r = REASON_CERTIFICATE_INVALID;
    if (r != REASON_GRANTED)
        return outside ? REASON_CERTIFICATE_NOT_ENROLLED : r;
    v = certs_vouch_find(t, root, &name, as != NULL);
    if (v == NULL)
        return outside ? REASON_CERTIFICATE_NOT_ENROLLED : REASON_CERTIFICATE_UNKNOWN;
    p->kind = name.kind;
    p->department = name.department;
    p->id = name.id;
    snprintf(p->object, sizeof p->object, "%.*s%s%.*s", SLICE_ARG(name.department), name.department.n ? "/" : "",
             SLICE_ARG(name.id));
    *no_crl = v->no_crl;
    return REASON_GRANTED;
}

/* The first end of a certificate on the path. */
static bool path_ends(STACK_OF(X509) * path, int64_t *until)
{
    int64_t one;

    *until = INT64_MAX;
    for (int i = 0; i < sk_X509_num(path); i++) {
        if (!certs_time_read(X509_get0_notAfter(sk_X509_value(path, i)), &one))
            return false;
        if (one < *until)
            *until = one;
    }
    return true;
}

static enum reason path_judge(const struct certs_trust *t, STACK_OF(X509) * path, int64_t now,
                              const struct certs_enrolled *as, struct certs_peer *p)
{
    X509 *leaf = sk_X509_value(path, 0);
    struct certs_serial serial;
    bool no_crl = false;
    enum reason r = path_check(path);

    if (r == REASON_GRANTED)
        r = path_name(t, path, p);
    if (r == REASON_GRANTED)
        r = name_take(t, leaf, as, now, p, &no_crl);
    if (r != REASON_GRANTED)
        return r;
    if (!certs_serial_read(X509_get0_serialNumber(leaf), &serial) ||
        !certs_time_read(X509_get0_notAfter(leaf), &p->not_after))
        return REASON_CERTIFICATE_INVALID;
    certs_hex(serial.b, serial.n, p->serial);
    if (!path_ends(path, &p->path_until))
        return REASON_CERTIFICATE_INVALID;
    if (as && as->until < p->path_until)
        p->path_until = as->until;
    return no_crl ? REASON_GRANTED : certs_path_revoked(t, p, &serial, now);
}

static enum reason judge(const struct certs_trust *t, X509 *leaf, STACK_OF(X509) * chain, int64_t now,
                         const struct certs_enrolled *as, struct certs_peer *p)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    struct sha256 digest;
    enum reason r = REASON_INTERNAL;

    if (certs_digest(leaf, &digest)) {
        certs_hex(digest.b, sizeof digest.b, p->digest);
        as = as ? as : certs_trust_enrolled(t, &digest);
    }
    if (ctx && p->digest[0] && X509_STORE_CTX_init(ctx, t->store, leaf, chain)) {
        X509_STORE_CTX_set_time(ctx, 0, (time_t)(now / 1000));
        if (X509_verify_cert(ctx) == 1)
            r = path_judge(t, X509_STORE_CTX_get0_chain(ctx), now, as, p);
        else if (X509_get_extension_flags(leaf) & EXFLAG_INVALID) /* OpenSSL only says that it found no issuer */
            r = REASON_CERTIFICATE_INVALID;
        else
            r = reason_of(X509_STORE_CTX_get_error(ctx));
    }
    X509_STORE_CTX_free(ctx);
    return r;
}

void certs_judge(const struct certs_trust *t, X509 *leaf, STACK_OF(X509) * chain, int64_t now,
                 const struct certs_enrolled *as, struct certs_peer *ret)
{
    enum reason r = REASON_CERTIFICATE_MISSING;

    *ret = (struct certs_peer){ 0 };
    if (leaf) {
        ERR_set_mark();
        r = judge(t, leaf, chain, now, as, ret);
        ERR_pop_to_mark();
    }
    if (r != REASON_GRANTED) { /* nobody may act on the name of a refused peer */
        struct certs_peer refused = { 0 };

        memcpy(refused.digest, ret->digest, sizeof refused.digest);
        *ret = refused;
    }
    ret->verdict = r;
}

void certs_peer_verify(const struct certs_trust *t, struct x509_st *leaf, struct stack_st_X509 *chain, int64_t now,
                       struct certs_peer *ret)
{
    certs_judge(t, leaf, chain, now, NULL, ret);
}

/* Is it enrolled as it was when it was judged: not at all, or under the same name, and still? */
static enum reason enrolment_recheck(const struct certs_trust *t, const struct certs_peer *p, int64_t now)
{
    const struct certs_enrolled *e = NULL;
    struct sha256 digest;

    if (t->n_enrolled > 0 && hex_read(slice_of(p->digest), digest.b, sizeof digest.b))
        e = certs_trust_enrolled(t, &digest);
    if (e && e->revoked)
        return REASON_CERTIFICATE_REVOKED;
    if (!p->enrolled)
        return e == NULL ? REASON_GRANTED : REASON_CERTIFICATE_UNKNOWN;
    if (e == NULL)
        return REASON_CERTIFICATE_NOT_ENROLLED;
    if (now > e->until)
        return REASON_CERTIFICATE_EXPIRED;
    return slice_is(e->uri, p->uri) ? REASON_GRANTED : REASON_CERTIFICATE_UNKNOWN;
}

enum reason certs_peer_recheck(const struct certs_trust *t, const struct certs_peer *p, int64_t now)
{
    struct certs_serial serial;
    struct certs_name name;
    const struct certs_vouch *v;
    size_t n = strnlen(p->serial, sizeof p->serial);
    enum reason r;

    if (p->verdict != REASON_GRANTED || p->path_n == 0 || !certs_name_read(slice_of(p->uri), &name))
        return REASON_CERTIFICATE_INVALID;
    r = enrolment_recheck(t, p, now);
    if (r != REASON_GRANTED)
        return r;
    if (now > p->not_after || now > p->path_until)
        return REASON_CERTIFICATE_EXPIRED;
    v = certs_vouch_find(t, &p->path[p->path_n - 1], &name, p->enrolled);
    if (v == NULL)
        return REASON_CERTIFICATE_UNKNOWN;
    if (v->no_crl)
        return REASON_GRANTED;
    serial.n = (uint8_t)(n / 2);
    if (n / 2 > CERTS_SERIAL_MAX || !hex_read(slice_make(p->serial, n), serial.b, n / 2))
        return REASON_CERTIFICATE_INVALID;
    return certs_path_revoked(t, p, &serial, now);
}

void certs_peer_copy(struct certs_peer *to, const struct certs_peer *from)
{
    *to = *from;
    if (from->department.p)
        to->department.p = to->uri + (from->department.p - from->uri);
    if (from->id.p)
        to->id.p = to->uri + (from->id.p - from->uri);
}

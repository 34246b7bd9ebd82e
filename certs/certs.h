#pragma once
/* certs: the certificate authority (a root kept apart, an issuing CA), signing of requests, the register of
 * certificates and its revocation list, trust anchors, strict path validation, and the identity read from a verified
 * chain. Invariants: the name in a certificate comes from the registered identity, never from the request; an identity
 * exists only after the whole path, time, usage, key and revocation checks held; anything unclear is a refusal (zero
 * verdict); a certificate of an outside authority has the name it was enrolled under here, and no other. Thread rule:
 * the authority and the register on the thread that owns SQL; a struct certs_trust is immutable, counted and read by
 * any thread. */
#include "base/crypto/crypto.h"
#include "base/doc/doc.h"
#include "base/net/net.h"
#include "base/sql/sql.h"

struct x509_st;
struct stack_st_X509;

/* ---- names: SPIFFE ---- */
enum certs_kind { CERTS_NOBODY, CERTS_APP, CERTS_PERSON, CERTS_GATEWAY };
struct certs_name { /* slices into the text that was read */
    enum certs_kind kind;
    struct slice domain, department, id; /* gateway: department empty */
};
/* spiffe://<trust domain>/dept/<id>/app/<id>, /dept/<id>/person/<id>, /gateway/<id>; nothing else. */
bool certs_name_read(struct slice uri, struct certs_name *ret);
void certs_name_put(struct buf *out, enum certs_kind kind, struct slice domain, struct slice department,
                    struct slice id);

/* ---- the peer of a connection ---- */
enum { CERTS_DEPTH_MAX = 4 }; /* the leaf is 0, the anchor at most this */
struct certs_peer {
    enum reason verdict; /* REASON_GRANTED: verified; else why not, and no name below is set */
    enum certs_kind kind;
    char uri[256];                       /* the SAN */
    struct slice department, id;         /* into uri */
    char object[160];                    /* "education/admission": department/id */
    char digest[65];                     /* SHA-256 of the leaf, hex; set also for refused ones */
    bool enrolled;                       /* the name is of its enrolment, and `uri` is in no certificate */
    char serial[65];                     /* hex */
    int64_t not_after;                   /* wall ms */
    int64_t path_until;                  /* the earliest end of leaf, path and enrolment */
    struct sha256 path[CERTS_DEPTH_MAX]; /* what stands above the leaf: its issuer first, the anchor last */
    unsigned path_n;
};
/* By this, not by assignment: department and id point into uri. */
void certs_peer_copy(struct certs_peer *to, const struct certs_peer *from);
/* Trust anchors, each bound to trust domains, and revocation lists. */
struct certs_trust;
struct certs_anchor {
    const char *ca_file;     /* PEM: one anchor (self-signed) and intermediates under it */
    const char *crl_file;    /* PEM, one or more complete lists of the CAs above; "" exactly where `no_crl` is said */
    const char *domain;      /* the trust domain it vouches for */
    const char *departments; /* ids joined by ',', or "" for all */
    bool no_crl;
    bool enrolled; /* an outside authority's: it vouches for certificates enrolled here, under names of `domain` */
};
enum err certs_trust_load(const struct certs_anchor *anchors, size_t n, struct certs_trust **ret,
                          struct diags *d) MUST_CHECK;
/* The same for a node that runs: a file of any but the first anchor that cannot be used is told in d (not NULL) and
 * holds nothing up, nor, if `own_list_too`, does the first anchor's list. What it last said in `before` (NULL: nothing)
 * stays, a list until it runs out; who has none vouches for nobody. */
enum err certs_trust_reload(const struct certs_anchor *anchors, size_t n, const struct certs_trust *before,
                            bool own_list_too, struct certs_trust **ret, struct diags *d) MUST_CHECK;
/* A certificate of an outside authority, and the name that it has here; or a revoked one of ours. */
struct certs_enrolled {
    struct sha256 digest; /* of the certificate */
    struct slice uri;
    int64_t until; /* wall ms */
    bool revoked;
};
/* What is enrolled, copied; once, before anybody else holds `t`. ERR_CONFLICT: a digest twice. Found: NULL when not. */
enum err certs_trust_enrol(struct certs_trust *t, const struct certs_enrolled *all, size_t n) MUST_CHECK;
const struct certs_enrolled *certs_trust_enrolled(const struct certs_trust *t, const struct sha256 *digest);
struct certs_trust *certs_trust_ref(struct certs_trust *t);
void certs_trust_unref(struct certs_trust *t);
/* Validate a presented chain as a client's at wall time `now`: X509_V_FLAG_X509_STRICT, CRL for every certificate but
 * the anchor, clientAuth in EKU, leaf is no CA, depth ≤ 4, RSA ≥ 2048 or P-256/P-384/Ed25519, SHA-2 signatures, exactly
 * one URI SAN, or, under an outside authority's anchor, an enrolment; name within the anchor's domain and departments.
 * Never fails otherwise: every outcome is a peer with a verdict. `leaf` NULL: certificate-missing. Any thread. */
void certs_peer_verify(const struct certs_trust *t, struct x509_st *leaf, struct stack_st_X509 *chain, int64_t now,
                       struct certs_peer *ret);
/* Is this (verified) peer's certificate, or a CA on its path, on a revocation list of `t`, or a list out of date or
 * missing, the certificate expired, or its anchor no longer vouching for the name? REASON_GRANTED when none of these.
 * For open connections; allocates nothing. */
enum reason certs_peer_recheck(const struct certs_trust *t, const struct certs_peer *p, int64_t now);
/* Until when this (verified) peer is good by what is known now: the end of its path, or of a list; 0: it is not. */
int64_t certs_good_until(const struct certs_trust *t, const struct certs_peer *p, int64_t now);

/* ---- certificates that come again ---- */
struct certs_shared { /* a peer as connections, kept sessions and threads share it: constant */
    struct tls_peer head;
    struct certs_peer peer;
};
struct certs_known;                               /* of one thread */
struct certs_known *certs_known_new(size_t most); /* remembers at most so many, rounded up to eights; NULL: no memory */
struct certs_known *certs_known_free(struct certs_known *k);
/* certs_peer_verify, but the signatures above a certificate that was found good under the same trust are not verified
 * again: it is known by its SHA-256, and only rechecked. *leaf becomes the copy that was kept, with a reference of its
 * own. k NULL: remembers nothing; t NULL: nobody is known. NULL: no memory. The caller lets the peer go. */
struct certs_shared *certs_known_verify(struct certs_known *k, struct certs_trust *t, struct x509_st **leaf,
                                        struct stack_st_X509 *chain, int64_t now);
/* May this peer of a connection (the head of a struct certs_shared, or NULL) ask as a gateway at `now`? Judged anew
 * each time: a connection may outlive the certificate that it was opened with. */
enum reason certs_gateway_judge(const struct certs_trust *t, const struct tls_peer *p, int64_t now);
/* The earliest end of the certificates in a PEM file, wall ms; nothing is verified. */
enum err certs_file_expiry(const char *pem_file, int64_t *ret, struct diags *d) MUST_CHECK;

/* ---- the authority ---- */
struct certs_ca;
/* Make root and issuing CA: <dir>/root/{root.key,root.pem} (to be taken away),
 * <dir>/ca/{ca.key,ca.pem,chain.pem,crl.pem}. P-256, keys 0600. */
enum err certs_ca_create(const char *dir, const char *trust_domain, int64_t now, struct diags *d) MUST_CHECK;
enum err certs_ca_open(const char *dir, const char *trust_domain, struct certs_ca **ret, struct diags *d) MUST_CHECK;
struct certs_ca *certs_ca_free(struct certs_ca *ca);
struct certs_issued;
struct certs_revoked;
/* The key in other hands: whoever holds it is asked what the public functions below ask, never to sign given bytes. */
struct certs_hand {
    void *self;
    enum err (*leaf)(void *self, struct slice csr_pem, struct slice uri, struct slice common_name, unsigned days,
                     struct arena *a, struct certs_issued *ret, struct diags *d);
    enum err (*list)(void *self, uint64_t number, unsigned hours, const struct certs_revoked *at, size_t n,
                     struct buf *out, struct diags *d);
    enum err (*gateway)(void *self, unsigned days, struct arena *a, struct certs_issued *ret, struct diags *d);
};
/* The authority of <dir>/ca without its key; times are then the hand's. certs_sign_gateway is ERR_UNSUPPORTED. */
enum err certs_ca_open_without_key(const char *dir, const char *trust_domain, const struct certs_hand *hand,
                                   struct certs_ca **ret, struct diags *d) MUST_CHECK;

struct certs_issued {
    struct slice pem; /* leaf and issuing CA, in the arena */
    char serial[65], digest[65];
    int64_t not_before, not_after;
};
/* Sign a PKCS#10 request (PEM) for a registered name: proof of possession checked, key type and size checked,
 * everything else of the request ignored. clientAuth; valid for `days` (1..366), never beyond the CA. */
enum err certs_sign(struct certs_ca *ca, struct slice csr_pem, struct slice uri, struct slice common_name,
                    unsigned days, int64_t now, struct arena *a, struct certs_issued *ret, struct diags *d) MUST_CHECK;
/* A server certificate for the gateway's own listeners with DNS and IP names (joined by ','), serverAuth and
 * clientAuth, and its gateway URI. */
enum err certs_sign_gateway(struct certs_ca *ca, struct slice csr_pem, struct slice uri, struct slice names,
                            unsigned days, int64_t now, struct arena *a, struct certs_issued *ret,
                            struct diags *d) MUST_CHECK;
/* The gateway's certificate that may be made anew: the first of this file, when this authority signed it for a gateway
 * of its domain. What is wrong is said when it is asked for. */
enum err certs_gateway_know(struct certs_ca *ca, const char *pem_file, struct diags *d) MUST_CHECK;
/* That certificate once more: its key, its names, another serial, `days` (1..366) from now. Nothing of it can be
 * chosen, so that whoever may ask for this gains nothing but time. ERR_UNSUPPORTED: none is known. */
enum err certs_gateway_renew(struct certs_ca *ca, unsigned days, int64_t now, struct arena *a, struct certs_issued *ret,
                             struct diags *d) MUST_CHECK;
/* A key (P-256, PKCS#8 PEM, 0600, never overwritten) and its certificate request; what `sluice cert request` runs at
 * the owner's side. */
enum err certs_request_make(const char *key_file, struct slice common_name, struct buf *csr_pem,
                            struct diags *d) MUST_CHECK;

/* ---- the register (tables certs_*) ---- */
extern const struct sql_migration certs_migrations[];
extern const size_t certs_migrations_n;
struct certs_row {
    struct slice serial, digest, uri, state /* valid, revoked, expired (as of `now`) */, reason, author;
    struct slice authority;                    /* the outside one, its subject; empty: our own */
    int64_t not_before, not_after, revoked_at; /* enrolled: not_before is when, not_after the enrolment's end */
};
enum err certs_register(struct sql_tx *tx, const struct certs_issued *c, struct slice uri,
                        struct slice author) MUST_CHECK;
/* By serial or by digest. ERR_CONFLICT: outside authorities count for themselves, and two have this serial. */
enum err certs_find(struct sql_tx *tx, struct slice id, int64_t now, struct arena *a, struct certs_row *ret) MUST_CHECK;
enum err certs_each(struct sql_tx *tx, struct slice uri /* empty: all */, int64_t now, struct arena *a /* or NULL */,
                    enum err (*fn)(void *arg, const struct certs_row *row), void *arg) MUST_CHECK;
/* By serial or digest. ERR_CONFLICT: is revoked, or two have this serial. */
enum err certs_revoke(struct sql_tx *tx, struct slice id, struct slice reason, int64_t now) MUST_CHECK;

/* ---- certificates of outside authorities (enrol.c) ---- */
struct certs_outside { /* what was judged, ready to be stored; text in the arena */
    char serial[65], digest[65];
    struct slice authority; /* subject of the anchor, RFC 2253 */
    int64_t not_after;
};
/* Would this certificate (PEM; its intermediates may follow) be accepted at `now`, were it enrolled as `uri`? Every
 * check of certs_peer_verify, and it must not name somebody by itself. REASON_GRANTED fills *ret; else *detail tells
 * more, or is NULL. */
enum reason certs_outside_judge(const struct certs_trust *t, struct slice pem, struct slice uri, int64_t now,
                                struct arena *a, struct certs_outside *ret, const char *detail[2]);
/* Enrol until `until`; one that ran out, or will, begins anew. ERR_CONFLICT: it is revoked, or somebody else's. */
enum err certs_enrol(struct sql_tx *tx, const struct certs_outside *c, struct slice uri, struct slice author,
                     int64_t now, int64_t until) MUST_CHECK;
/* All, revoked and expired ones too, in the arena; and our own that are revoked, which so hold without the list. */
enum err certs_enrolled_read(struct sql_tx *tx, struct arena *a, struct certs_enrolled **ret, size_t *n) MUST_CHECK;
struct certs_revoked {
    uint8_t n, serial[20]; /* magnitude, big endian */
    int64_t at;            /* wall ms */
};
/* Sign a list of these under `number` and append it as PEM. ERR_CONFLICT: one that this authority's last list holds is
 * missing, or the number is not a later one: nothing is ever un-revoked. */
enum err certs_list_sign(struct certs_ca *ca, uint64_t number, unsigned hours, const struct certs_revoked *at, size_t n,
                         int64_t now, struct buf *out, struct diags *d) MUST_CHECK;
/* Sign the list of all revoked certificates and write it to <dir>/ca/crl.pem; nextUpdate is `hours` ahead (1..168). */
enum err certs_crl_write(struct certs_ca *ca, struct sql_tx *tx, unsigned hours, int64_t now,
                         struct diags *d) MUST_CHECK;
int64_t certs_crl_next_update(const struct certs_trust *t, bool ours, struct slice *file); /* earliest; 0: none */
bool certs_crl_ahead(const struct certs_trust *t, int64_t now); /* one is of a time that is still to come */
